//! Both ends' accounts of a trial: taken as they arrive, and put together at its end.
//!
//! An account that is missing or inconsistent never fails the trial: the outcome is partial, with
//! the reason.

use super::state::{Action, Link, Running, Session, State, Stopping};
use crate::account::{
    HostCounts, Invalid, Moved, OneWayCounts, Outcome, ReceiverCounts, ReflectorCounts,
    SenderCounts, Status, StreamReceived, TcpReceiverCounts, TcpSenderCounts, read_back, spoken,
};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{NearEvent as Event, PROBE_STREAM, Stream, TrialRun};
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message};
use std::fmt::Display;

impl Session {
    pub(super) fn on_trial_message(&mut self, mut running: Running, message: Message) -> Running {
        let result = match message {
            Message::Closing { trial, stream, sent } if trial == self.trials => {
                let sent = sent.into_fact().and_then(|sent| match running.is_sent_there(stream) {
                    true => Ok(sent),
                    false => Err(Invalid::new(format!("stream {stream} is not its to close"))),
                });
                sent.map(|sent| {
                    self.actions.push_back(Action::Close(stream, sent.clone()));
                    running.sent.insert(stream, sent);
                })
            }
            Message::Account(account) if account.trial == self.trials => {
                let trial = &running.trial;
                let last_due = trial.probe_rate().due(trial.probes().saturating_sub(1)).nanos();
                let probes = running.sent.get(&PROBE_STREAM);
                let replies = account.probes.fact().map_or(0, |probes| probes.replies);
                let last_due_ns = probes.map_or(last_due, |probes| probes.last_due_ns);
                let replies =
                    SenderCounts { sent: replies, last_due_ns, ..SenderCounts::default() };
                self.actions.push_back(Action::Close(PROBE_STREAM, replies));
                running.account = Some(*account);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            let reason = format!("the agent broke the protocol: {error}");
            running.stopping.get_or_insert(Stopping { reason, until: running.ends_at });
        }
        running
    }

    pub(super) fn on_counted(&mut self, mut running: Running, event: Event) -> Running {
        match event {
            Event::Sent(stream, sent) => {
                self.close(stream, &sent);
                running.sent.insert(stream, sent);
            }
            Event::Came(stream, counts) => _ = running.came.insert(stream, counts),
            Event::TcpSent(stream, sent) => _ = running.tcp_sender.insert(stream, sent),
            Event::TcpCame(stream, came) => _ = running.tcp_receiver.insert(stream, came),
            Event::Probed(probed) => running.probed = Some(probed),
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Opened(_) | Event::NotOpened(..) | Event::NotConnected(..) => {}
            Event::HostFailed(_) | Event::PayloadFound(_) => {}
        }
        running
    }

    pub(super) fn close(&mut self, stream: StreamNumber, sent: &SenderCounts) {
        self.say(Message::Closing { trial: self.trials, stream, sent: sent.clone().into() });
    }

    /// Ends the trial under way when both ends have counted all, or nothing more can come.
    pub(super) fn settle(&mut self, now: Stamp<Driver>) {
        let State::Running(running) = &self.state else { return };
        let has_agent_reported = running.account.is_some() || matches!(self.link, Link::Lost);
        if !running.is_counted() || !has_agent_reported {
            return;
        }
        debug_assert!(running.heard <= now, "a trial was heard in the future");
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Over) {
            self.state = self.end(running);
        }
    }

    /// Ends the trial; what either end still has to report may take `wait_max`.
    pub(super) fn stop(
        &mut self,
        now: Stamp<Driver>,
        mut running: Running,
        reason: &str,
        wait_max: Span,
    ) -> State {
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        let until = now.after_nanos(wait_max.nanos());
        let reason = reason.to_owned();
        let stopping = running.stopping.get_or_insert(Stopping { reason, until });
        stopping.until = stopping.until.min(until);
        State::Running(running)
    }

    /// Why the agent's account is missing.
    pub(super) fn no_account(&mut self) -> String {
        match (&self.link, self.unreachable.take()) {
            (Link::Open, _) | (_, None) => "the agent's account did not arrive in time".to_owned(),
            (_, Some(why)) => {
                format!("the agent's account could not be fetched: {why}")
            }
        }
    }

    pub(super) fn end(&mut self, running: Running) -> State {
        if !running.is_counted() {
            self.actions.push_back(Action::Stop);
        }
        let outcome = compose(running);
        self.end_with(outcome)
    }
}

/// Puts both ends' accounts together, such that the outcome can be read back from a record. Valid
/// accounts can have a sum that is not: then what is left is this end's own, and nothing where even
/// that holds what the agent said, in its replies.
fn compose(mut running: Running) -> TrialRun {
    let account = running.account.take();
    let mut agent = account.map(|account| AgentAccount::of(account, &running));
    let no_account = match &mut agent {
        None => Some("the agent's account is missing".to_owned()),
        Some(agent) => agent.invalid.take().map(|why| makes_no_sense(&why)),
    };
    let stopped = running.stopping.take().map(|stopping| stopping.reason);
    let run = put_together(&running, agent, stopped.clone().or(no_account));
    let Err(why) = read_back(&run.outcome) else { return run };
    let reason = stopped.unwrap_or_else(|| makes_no_sense(&why));
    let Running { streams, sent, .. } = &mut running;
    let is_own = |stream: &&Stream| Running::is_sent_here(stream);
    sent.retain(|number, _| streams.iter().filter(is_own).any(|own| own.number == *number));
    let run = put_together(&running, None, Some(reason.clone()));
    if read_back(&run.outcome).is_ok() {
        return run;
    }
    let outcome = Outcome::nothing(Status::Partial, spoken(&reason));
    TrialRun { trial: running.trial, outcome }
}

fn makes_no_sense(why: &impl Display) -> String {
    format!("the agent's account is inconsistent: {why}")
}

/// Puts both ends' accounts together; the outcome is partial where there is a `reason`.
fn put_together(
    running: &Running,
    agent: Option<AgentAccount>,
    reason: Option<String>,
) -> TrialRun {
    let mut outcome = Outcome { status: Status::Ok, reason, ..Outcome::default() };
    outcome.agent_host = agent.as_ref().and_then(|agent| agent.host);
    outcome.moves = agent.as_ref().map_or_else(Vec::new, |agent| agent.moves.clone());
    for direction in Direction::ALL {
        let streams = running
            .streams
            .iter()
            .filter(|stream| stream.number != PROBE_STREAM && stream.direction == direction)
            .map(|stream| stream.number);
        let sent = streams.clone().map(|stream| running.sent.get(&stream));
        let one_way = outcome.one_way_mut(direction);
        one_way.sender = sum(sent, SenderCounts::merge);
        one_way.receiver = match direction {
            Direction::Forward => agent.as_ref().and_then(|agent| agent.receiver.clone()),
            Direction::Reverse => {
                sum(streams.map(|stream| running.came.get(&stream)), ReceiverCounts::merge)
            }
        };
        let silences = one_way.receiver.as_ref().map(|receiver| receiver.silences.clone());
        one_way.silences = silences.unwrap_or_default();
    }
    compose_tcp(&mut outcome, running, agent.as_ref());
    let probed = running.probed.as_deref().cloned().unwrap_or_default();
    let reflected = agent.and_then(|agent| agent.reflected);
    let mut run = TrialRun { trial: running.trial, outcome };
    run.take_probes(probed, reflected);
    let outcome = &mut run.outcome;
    if outcome.reason.is_some() {
        outcome.status = Status::Partial;
        for direction in Direction::ALL {
            count_tail(outcome.one_way_mut(direction));
        }
    }
    run
}

/// Puts both ends' accounts of TCP together.
fn compose_tcp(outcome: &mut Outcome, running: &Running, agent: Option<&AgentAccount>) {
    for direction in Direction::ALL {
        let streams = running.tcp.iter().filter(|stream| stream.direction == direction);
        let numbers: Vec<StreamNumber> = streams.map(|stream| stream.number).collect();
        if numbers.is_empty() {
            continue;
        }
        let sent = numbers.iter().map(|number| running.tcp_sender.get(number));
        let received = numbers.iter().map(|number| running.tcp_receiver.get(number));
        let one_way = outcome.one_way_mut(direction);
        (one_way.tcp_sender, one_way.tcp_receiver) = match direction {
            Direction::Forward => (
                sum(sent, TcpSenderCounts::merge),
                agent.and_then(|agent| agent.tcp_receiver.clone()),
            ),
            Direction::Reverse => (
                agent.and_then(|agent| agent.tcp_sender.clone()),
                sum(received, TcpReceiverCounts::merge),
            ),
        };
        if let Some(receiver) = &one_way.tcp_receiver {
            one_way.silences = receiver.silences.clone();
        }
    }
}

/// Of a trial that was cut short, a receiver may have closed its account before it knew what was
/// sent. What it never saw counts as lost, and as unattributed: the link may have lost it, or it
/// arrived when the receiver had stopped.
fn count_tail(one_way: &mut OneWayCounts) {
    let (Some(sender), Some(receiver)) = (&one_way.sender, &mut one_way.receiver) else { return };
    let tail = sender.sent.saturating_sub(receiver.accounted());
    receiver.losses.close();
    receiver.losses.on_lost(tail);
    receiver.losses.close();
    receiver.unattributed += tail;
}

/// The sum of the accounts, or `None` where one is missing or there is none.
fn sum<'a, T: Clone + 'a>(
    accounts: impl Iterator<Item = Option<&'a T>>,
    merge: impl Fn(&mut T, &T),
) -> Option<T> {
    let accounts = accounts.collect::<Option<Vec<&T>>>()?;
    let (first, rest) = accounts.split_first()?;
    let mut sum = (*first).clone();
    rest.iter().for_each(|account| merge(&mut sum, account));
    Some(sum)
}

/// The agent's account: what of it is valid.
struct AgentAccount {
    receiver: Option<ReceiverCounts>,
    tcp_sender: Option<TcpSenderCounts>,
    tcp_receiver: Option<TcpReceiverCounts>,
    reflected: Option<ReflectorCounts>,
    host: Option<HostCounts>,
    moves: Vec<Moved>,
    /// Why a part of it is missing: the first that is invalid.
    invalid: Option<String>,
}

impl AgentAccount {
    /// What is valid of `account`, in the trial `running`.
    fn of(account: Account, running: &Running) -> Self {
        let streams = &running.streams;
        let mut invalid = None;
        let receiver = account.receiver.map(|claim| {
            claim.into_fact().and_then(|counts| fits_load(&counts, streams).map(|()| counts))
        });
        let probes = streams.iter().find(|stream| stream.number == PROBE_STREAM);
        let reflected = account
            .probes
            .into_fact()
            .and_then(|reflected| fits(&reflected.probes, probes).map(|()| reflected));
        let moves = account.moves.into_fact().and_then(|moves| {
            let is_known = |moved: &Moved| streams.iter().any(|it| it.number == moved.stream);
            match moves.iter().all(is_known) {
                true => Ok(moves),
                false => Err(Invalid::new("a stream that is none of the trial's moved")),
            }
        });
        let tcp_sender = account.tcp_sender.map(|claim| {
            claim.into_fact().and_then(|sent| fits_received(&sent, running).map(|()| sent))
        });
        let tcp_receiver = account.tcp_receiver.map(|claim| {
            claim.into_fact().and_then(|came| fits_sent(&came, running).map(|()| came))
        });
        Self {
            receiver: receiver.and_then(|counts| valid(counts, "the receiver", &mut invalid)),
            tcp_sender: tcp_sender.and_then(|sent| valid(sent, "the TCP sender", &mut invalid)),
            tcp_receiver: tcp_receiver
                .and_then(|came| valid(came, "the TCP receiver", &mut invalid)),
            reflected: valid(reflected, "the probes", &mut invalid),
            host: valid(account.host.into_fact(), "the host", &mut invalid),
            moves: valid(moves, "the moves", &mut invalid).unwrap_or_default(),
            invalid,
        }
    }
}

/// The fact that is claimed of `what`; where it is invalid, the first reason is kept.
fn valid<T>(claim: Result<T, Invalid>, what: &str, invalid: &mut Option<String>) -> Option<T> {
    match claim {
        Ok(fact) => Some(fact),
        Err(why) => {
            invalid.get_or_insert_with(|| format!("{what}: {why}"));
            None
        }
    }
}

/// Whether the agent's account of the load that it receives has each of its streams, once, and no
/// other, and none of them more packets than were sent.
fn fits_load(counts: &ReceiverCounts, streams: &[Stream]) -> Result<(), Invalid> {
    let is_received =
        |stream: &&Stream| stream.number != PROBE_STREAM && stream.direction == Direction::Forward;
    let slots = streams.iter().filter(is_received).map(|stream| (stream.number, stream.slots));
    let shares = &counts.streams;
    let named = shares.iter().map(|share| share.stream);
    if !named.eq(slots.clone().map(|(number, _)| number)) {
        return Err(Invalid::new("streams: not those that the agent receives"));
    }
    for (share, (number, slots)) in shares.iter().zip(slots) {
        let StreamReceived { received, lost, late, corrupted, host_dropped, .. } = *share;
        let packets = [received, lost, late, corrupted, host_dropped];
        let packets = packets.into_iter().fold(0, u64::saturating_add);
        if slots < packets {
            let why = format!("stream {number}: {packets} packets, at most {slots} were sent");
            return Err(Invalid::new(why));
        }
    }
    Ok(())
}

/// Whether `stream` can have had as many packets as arrived of it or were lost, or is none that the
/// agent receives.
fn fits(counts: &ReceiverCounts, stream: Option<&Stream>) -> Result<(), Invalid> {
    let Some(stream) = stream else {
        return Err(Invalid::new("the agent receives no such stream"));
    };
    let (packets, slots) = (counts.accounted(), stream.slots);
    match packets <= slots {
        true => Ok(()),
        false => Err(Invalid::new(format!("{packets} packets, at most {slots} were sent"))),
    }
}

/// Whether no TCP stream has brought more octets to this end than the agent says it sent.
fn fits_received(sent: &TcpSenderCounts, running: &Running) -> Result<(), Invalid> {
    let received = running.tcp_receiver.iter().map(|(number, came)| (*number, came.octets));
    let sent = |number| sent.streams.iter().find(|stream| stream.stream == number);
    fit_tcp(received, |number| Some(sent(number).map_or(0, |stream| stream.octets)))
}

/// Whether no TCP stream has brought more octets to the agent than this end has sent.
fn fits_sent(came: &TcpReceiverCounts, running: &Running) -> Result<(), Invalid> {
    let received = came.streams.iter().map(|stream| (stream.stream, stream.octets));
    if came.streams.is_empty() && 0 < came.octets {
        return Err(Invalid::new("TCP streams that are not listed"));
    }
    fit_tcp(received, |number| match running.tcp.iter().any(|stream| stream.number == number) {
        true => running.tcp_sender.get(&number).map(|sent| sent.octets),
        false => Some(0),
    })
}

/// Somebody on the path who feeds a receiver what its sender never sent would make any link fast.
fn fit_tcp(
    received: impl Iterator<Item = (StreamNumber, u64)>,
    sent: impl Fn(StreamNumber) -> Option<u64>,
) -> Result<(), Invalid> {
    for (number, arrived) in received {
        let sent = sent(number).unwrap_or(u64::MAX);
        if sent < arrived {
            let why = format!("stream {number}: {arrived} octets arrived, {sent} were sent");
            return Err(Invalid::new(why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{COUNT_MAX, SentWindow, Series, TransitBlock};
    use crate::clock::Agent;
    use crate::direction::PerDirection;
    use crate::flow::{Exchange, Probed, Returned, streams_of, tcp_streams_of};
    use crate::session::driver::tests::{NOW, actions, admitted, idle};
    use crate::trial::{CongestionControl, Load, LoadKind, TcpLoad, Trial};
    use crate::units::PacketRate;

    /// A trial with a load both ways: stream 1 forward, stream 2 reverse, 1 000 packets each.
    fn loaded() -> Trial {
        let rates = PerDirection::from_fn(|_| PacketRate::new(100));
        let load = Load::with_rates(rates, 1, 200, LoadKind::FixedRate).expect("a load");
        Trial::new(Some(load), Span::from_secs(10)).expect("a trial")
    }

    fn running(trial: Trial) -> Running {
        Running { started: true, ..Running::new(trial, (streams_of(&trial), Vec::new()), NOW) }
    }

    /// A probe that came back, by the agent's stamps `seen_ns` and a microsecond later.
    fn exchange(seen_ns: u64) -> Exchange {
        let seen = Stamp::<Agent>::from_nanos(seen_ns);
        let reply = Returned {
            sequence: 0,
            seen,
            seen_by_kernel: true,
            answered: seen.after_nanos(1_000),
            answered_by_kernel: true,
            back: NOW.after_nanos(9_000),
            back_by_kernel: true,
        };
        Exchange { due: NOW, sent: NOW, sent_by_kernel: true, late: false, reply: Some(reply) }
    }

    fn probed(seen_ns: &[u64]) -> Option<Box<Probed>> {
        let exchanges = seen_ns.iter().copied().map(exchange).collect();
        Some(Box::new(Probed { exchanges, ..Probed::default() }))
    }

    /// A valid account of so many packets that were lost and late.
    fn counts(lost: u64, late: u64) -> ReceiverCounts {
        let mut counts = ReceiverCounts { late, ..ReceiverCounts::default() };
        counts.losses.on_lost(lost);
        assert_eq!(read_back(&counts), Ok(()));
        counts
    }

    fn reflected(probes: ReceiverCounts) -> Option<Account> {
        let probes = ReflectorCounts { probes, ..ReflectorCounts::default() };
        Some(Account { probes: probes.into(), ..Account::default() })
    }

    /// What is composed can be read back from the record, and is partial, because of `words`.
    #[track_caller]
    fn composed(running: Running, words: &str) -> Outcome {
        let outcome = compose(running).outcome;
        assert_eq!((read_back(&outcome), outcome.status), (Ok(()), Status::Partial));
        let reason = outcome.reason.as_deref().expect("it is partial");
        assert!(reason.contains(words), "{reason}");
        outcome
    }

    /// Each account is valid; what they add up to no record can hold.
    #[test]
    fn without_an_account_that_no_record_can_hold_this_ends_own_is_left() {
        let mut running = running(loaded());
        running.probed = probed(&[500]);
        let sent = |window| SenderCounts::default().of_stream(1, window);
        running.sent = [(1, sent(Some(SentWindow::default()))), (2, sent(None))].into();
        running.came = [(2, counts(3, 0))].into();
        let limit_ns = i64::MAX;
        let block = TransitBlock {
            count: 1,
            transit_p10_ns: Some(limit_ns),
            transit_min_ns: Some(-limit_ns),
            transit_max_ns: Some(limit_ns),
        };
        let mut receiver = ReceiverCounts { transits: vec![block], ..counts(1, 0) };
        receiver.of_window(1, Some((0, 0)));
        running.account = reflected(counts(0, 0))
            .map(|account| Account { receiver: Some(receiver.into()), ..account });
        let words = "the agent's account is inconsistent: transit_min_ns: ";
        let outcome = composed(running, words);
        let Outcome { forward, reverse, round_trip, .. } = outcome;
        assert_eq!((round_trip.delays.total(), forward.sender.is_some()), (1, true));
        assert_eq!(reverse.receiver.map(|receiver| receiver.lost()), Some(3));
        assert_eq!((forward.receiver, forward.probes.received, reverse.sender), (None, None, None));
    }

    /// The agent's replies are in this end's account: without its own they are still there.
    #[test]
    fn of_a_trial_whose_replies_no_record_can_hold_nothing_is_left() {
        let mut running = running(idle());
        let replies = ReceiverCounts { reordered: 1, ..ReceiverCounts::default() };
        running.probed = probed(&[500]).map(|probed| Box::new(Probed { replies, ..*probed }));
        running.account = reflected(ReceiverCounts::default());
        let outcome = composed(running, "the agent's account is inconsistent: ");
        let reason = outcome.reason.clone().unwrap_or_default();
        assert_eq!(outcome, Outcome::nothing(Status::Partial, reason));
    }

    #[test]
    fn more_packets_than_a_stream_has_slots_are_missing() {
        for (number, (lost, late), words) in [
            (1, (0, COUNT_MAX), "stream 1: 281474976710656 packets, at most 1000 were sent"),
            (1, (1_001, 0), "stream 1: 1001 packets, at most 1000 were sent"),
            (2, (0, 1), "the receiver: streams: not those that the agent receives"),
            (PROBE_STREAM, (0, 1), "the receiver: streams: not those that the agent receives"),
            (9, (0, 1), "the receiver: streams: not those that the agent receives"),
        ] {
            let mut running = running(loaded());
            let receiver = Some(counts(lost, late).of_stream(number).into());
            running.account = Some(Account { receiver, ..Account::default() });
            assert_eq!(composed(running, words).forward.receiver, None);
        }
        let mut running = running(idle());
        running.account = reflected(counts(0, COUNT_MAX));
        composed(running, "the probes: 281474976710656 packets, at most 1000 were sent");
        let mut running = self::running(idle());
        running.account = reflected(counts(1_001, 0));
        composed(running, "the probes: 1001 packets, at most 1000 were sent");
    }

    /// A trial of one TCP stream in `direction`, of whose octets `sent` left and `came` arrived, as
    /// this end and the agent say.
    fn tcp(direction: Direction, sent: u64, came: u64) -> Running {
        let rate = "10 Mbit/s".parse().ok();
        let rates = PerDirection::from_fn(|one| rate.filter(|_| one == direction));
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::FixedRate);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(10)).expect("a trial");
        let mut running = Running::new(trial, (streams_of(&trial), tcp_streams_of(&trial)), NOW);
        let sent = TcpSenderCounts { octets: sent, ..TcpSenderCounts::default() }.of_stream(1);
        let per_second = Series::from_seconds(vec![came]);
        let came = TcpReceiverCounts { octets: came, per_second, ..TcpReceiverCounts::default() };
        let came = came.of_stream(1);
        let mut account = Account::default();
        match direction {
            Direction::Forward => {
                running.tcp_sender = [(1, sent)].into();
                account.tcp_receiver = Some(came.into());
            }
            Direction::Reverse => {
                account.tcp_sender = Some(sent.into());
                running.tcp_receiver = [(1, came)].into();
            }
        }
        running.account = Some(account);
        running
    }

    /// Who feeds octets to the receiver in the sender's place needs no key for a connection that is
    /// open.
    #[test]
    fn more_octets_of_tcp_than_were_sent_prove_nothing() {
        for direction in Direction::ALL {
            let outcome = compose(tcp(direction, 7, 7)).outcome;
            let one_way = outcome.one_way(direction);
            assert!(one_way.tcp_sender.is_some() && one_way.tcp_receiver.is_some());
            let outcome = composed(tcp(direction, 7, 8), "stream 1: 8 octets arrived, 7 were sent");
            let one_way = outcome.one_way(direction);
            assert!(one_way.tcp_sender.is_none() || one_way.tcp_receiver.is_none());
        }
        let mut unlisted = tcp(Direction::Forward, 7, 8);
        let per_second = Series::from_seconds(vec![8]);
        let came = TcpReceiverCounts { octets: 8, per_second, ..TcpReceiverCounts::default() };
        unlisted.account = Some(Account { tcp_receiver: Some(came.into()), ..Account::default() });
        composed(unlisted, "TCP streams that are not listed");
    }

    #[test]
    fn the_agent_closes_the_streams_that_it_sends_and_no_other() {
        for (stream, holds) in [(2, true), (1, false), (PROBE_STREAM, false), (3, false)] {
            let mut session = admitted();
            let sent = SenderCounts { sent: 7, ..SenderCounts::default() };
            let closing = Message::Closing { trial: 0, stream, sent: sent.into() };
            let running = session.on_trial_message(running(loaded()), closing);
            assert_eq!(running.sent.contains_key(&stream), holds, "stream {stream}");
            let reason = running.stopping.map(|stopping| stopping.reason);
            let expected =
                format!("the agent broke the protocol: stream {stream} is not its to close");
            assert_eq!(reason, (!holds).then_some(expected));
            assert_eq!(actions(&mut session).len(), usize::from(holds));
        }
    }

    /// The agent closes its account when it is stopped; of packets behind the last one that
    /// arrived it knows nothing.
    #[test]
    fn what_a_receiver_that_was_stopped_never_saw_is_lost_and_unattributed() {
        let sender = Some(SenderCounts { sent: 10, ..SenderCounts::default() });
        let mut receiver = ReceiverCounts { received: 6, ..ReceiverCounts::default() };
        receiver.losses.on_lost(1);
        let receiver = Some(receiver);
        let mut one_way = OneWayCounts { sender, receiver, ..OneWayCounts::default() };
        count_tail(&mut one_way);
        let receiver = one_way.receiver.expect("it was there");
        let ReceiverCounts { losses, unattributed, .. } = &receiver;
        assert_eq!((receiver.lost(), *unattributed, losses.longest()), (4, 3, 3));
    }
}
