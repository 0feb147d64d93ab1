//! Both ends' accounts of a trial: taken as they arrive, and put together at its end.
//!
//! An account that is missing or inconsistent never fails the trial: the outcome is partial, with
//! the reason.

use super::state::{Action, Link, Running, Session, State, Stopping};
use crate::account::{
    Claim, HostCounts, Invalid, OneWayCounts, Outcome, ReceiverCounts, ReflectorCounts,
    SenderCounts, Silences, Status, TcpReceiverCounts, TcpSenderCounts, read_back,
};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{NearEvent as Event, PROBE_STREAM, TrialRun};
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message};

impl Session {
    pub(super) fn on_trial_message(&mut self, mut running: Running, message: Message) -> Running {
        let result = match message {
            Message::Closing { trial, stream, sent } if trial == self.trials => {
                sent.into_fact().map(|sent| {
                    self.actions.push_back(Action::Close(stream, sent.clone()));
                    running.sent.insert(stream, sent);
                })
            }
            Message::Account(account) if account.trial == self.trials => {
                let trial = &running.trial;
                let last_due = trial.probe_rate().due(trial.probes().saturating_sub(1));
                let replies = account.probes.fact().map_or(0, |probes| probes.replies);
                let last_due_ns = last_due.nanos();
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

/// Puts both ends' accounts together.
fn compose(mut running: Running) -> TrialRun {
    let mut outcome = Outcome { status: Status::Ok, ..Outcome::default() };
    let stopping = running.stopping.take();
    let mut agent = running.account.take().map(AgentAccount::of);
    let no_account = || match &mut agent {
        None => Some("the agent's account is missing".to_owned()),
        Some(agent) => {
            let why = agent.invalid.take()?;
            Some(format!("the agent's account makes no sense: {why}"))
        }
    };
    outcome.reason = stopping.map(|stopping| stopping.reason).or_else(no_account);
    outcome.agent_host = agent.as_ref().and_then(|agent| agent.host);
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
    compose_tcp(&mut outcome, &running, agent.as_ref());
    let probed = running.probed.map(|probed| *probed).unwrap_or_default();
    let reflected = agent.and_then(|agent| agent.reflected);
    let marks = reflected.as_ref().map(|reflected| reflected.marks);
    let mut run = TrialRun { trial: running.trial, outcome };
    run.take_probes(probed.exchanges, probed.refused, probed.replies, reflected);
    let outcome = &mut run.outcome;
    (outcome.forward.probes.marks, outcome.reverse.probes.marks) = (marks, Some(probed.marks));
    if outcome.reason.is_some() {
        outcome.status = Status::Partial;
        for direction in Direction::ALL {
            count_tail(outcome.one_way_mut(direction));
        }
    }
    if let Err(why) = read_back(outcome) {
        strike(outcome, &why);
    }
    run
}

/// Valid accounts of several streams can have a sum that is not: without the agent's, what is left
/// is this end's own.
fn strike(outcome: &mut Outcome, why: &Invalid) {
    (outcome.forward.receiver, outcome.forward.tcp_receiver) = (None, None);
    (outcome.reverse.sender, outcome.reverse.tcp_sender) = (None, None);
    outcome.forward.silences = Silences::default();
    outcome.status = Status::Partial;
    let reason = format!("the agent's account makes no sense: {why}");
    outcome.reason.get_or_insert(reason);
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
    let seen = receiver.received + receiver.lost() + receiver.late + receiver.host_dropped;
    let tail = sender.sent.saturating_sub(seen);
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
    /// Why a part of it is missing: the first that is invalid.
    invalid: Option<String>,
}

impl AgentAccount {
    fn of(account: Account) -> Self {
        let mut invalid = None;
        Self {
            receiver: account.receiver.and_then(|claim| valid(claim, "the receiver", &mut invalid)),
            tcp_sender: account
                .tcp_sender
                .and_then(|claim| valid(claim, "the TCP sender", &mut invalid)),
            tcp_receiver: account
                .tcp_receiver
                .and_then(|claim| valid(claim, "the TCP receiver", &mut invalid)),
            reflected: valid(account.probes, "the probes", &mut invalid),
            host: valid(account.host, "the host", &mut invalid),
            invalid,
        }
    }
}

/// The fact that is claimed of `what`; where it is invalid, the first reason is kept.
fn valid<T>(claim: Claim<T>, what: &str, invalid: &mut Option<String>) -> Option<T> {
    match claim.into_fact() {
        Ok(fact) => Some(fact),
        Err(why) => {
            invalid.get_or_insert_with(|| format!("{what}: {why}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::SUM_MAX;

    #[test]
    fn accounts_whose_sum_no_record_can_hold_are_missing() {
        let outcome = |received| {
            let receiver = Some(ReceiverCounts { received, ..ReceiverCounts::default() });
            let forward = OneWayCounts { receiver, ..OneWayCounts::default() };
            Outcome { status: Status::Ok, forward, ..Outcome::default() }
        };
        assert_eq!(read_back(&outcome(SUM_MAX)), Ok(()));
        let mut beyond = outcome(SUM_MAX + 1);
        let why = read_back(&beyond).expect_err("no record holds it");
        strike(&mut beyond, &why);
        assert_eq!(read_back(&beyond), Ok(()));
        assert_eq!((beyond.status, beyond.forward.receiver), (Status::Partial, None));
        assert!(beyond.reason.is_some_and(|reason| reason.contains("received")));
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
