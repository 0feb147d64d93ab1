//! A run: the grant that it holds, and its trial from `Prepare` to the last count.
//!
//! No trial is prepared here without a grant that allows it, and none starts that outlasts it.

use super::state::{
    Action, ConnectionId, GRACE, Part, Phase, Run, Running, Session, TrialId, turns,
};
use crate::account::{Claim, MOVED_MAX, SenderCounts};
use crate::clock::{Agent, Stamp};
use crate::flow::{
    FarEvent as Event, LATE_MAX, Stream, TcpStream, streams_of, tcp_streams_of, trail,
};
use crate::policy::{
    Grant, Holder, Refusal, Request, Usage, authorise, is_superseded, probing_rate,
};
use crate::session::ANSWER_MAX;
use crate::trial::Trial;
use crate::units::{BitRate, Span};
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message, RunId, Secrets};
use crate::wire::key::PublicKey;

/// How long after its last packet was due a trial whose driver says nothing is kept open: longer
/// than the driver tries to come back with its accounts, which make the counts exact.
const ABANDONED_MAX: Span = Span::from_secs(20);

impl Session {
    /// Something happened in a trial.
    pub fn handle_trial(&mut self, id: TrialId, event: Event) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let connection = run.connection;
        let Some(running) = run.trial.as_mut().filter(|running| running.number == id.number) else {
            return;
        };
        match event {
            Event::Exceeded(at) if matches!(running.part, Part::Open { .. }) => {
                self.on_exceeded(at, id.run);
            }
            Event::Exceeded(_) => {}
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Sent(stream, sent) => {
                let sent = Claim::of(sent);
                running.closings.push((stream, sent.clone()));
                if let Some(connection) = connection {
                    self.say(connection, Message::Closing { trial: id.number, stream, sent });
                }
            }
            Event::Came(_, counts) => match &mut running.receiver {
                Some(sum) => sum.merge(&counts),
                none => *none = Some(counts),
            },
            Event::TcpSent(_, sent) => {
                let sum = running.tcp_sender.get_or_insert_default();
                sum.merge(&sent);
            }
            Event::TcpCame(_, came) => match &mut running.tcp_receiver {
                Some(sum) => sum.merge(&came),
                none => *none = Some(came),
            },
            Event::Moved(moved) => {
                let moves = std::mem::take(&mut running.account.moves).into_fact();
                let mut moves = moves.unwrap_or_default();
                if moves.len() < MOVED_MAX {
                    moves.push(moved);
                }
                running.account.moves = moves.into();
            }
            Event::Reflected(reflected) => {
                running.account.probes = reflected.into();
            }
            Event::Host(host) => {
                running.account.host = host.into();
                self.end_trial(id);
            }
        }
    }

    pub(super) fn on_request(
        &mut self,
        now: Stamp<Agent>,
        from: ConnectionId,
        id: RunId,
        asked: &Request,
    ) {
        let Some(peer) = self.peers.get(&from) else { return };
        let (who, owner, role) = (peer.who.clone(), peer.key, peer.role.clone());
        let other = peer.run.filter(|run| *run != id).and_then(|run| self.runs.get(&run));
        let holds_another = other.is_some_and(|run| !run.is_over());
        let known = self.runs.get(&id);
        if holds_another || known.is_some_and(|run| run.connection != Some(from)) {
            return self.fault(now, from, "one connection has one run, and one run one connection");
        }
        let trial = known.and_then(|run| run.trial.as_ref());
        if trial.is_some_and(|running| matches!(running.part, Part::Open { .. })) {
            return self.fault(now, from, "a request while a trial runs");
        }
        if self.is_leaving {
            let reason = "the agent is being stopped".to_owned();
            return self.say(from, Message::Refused { reason });
        }
        if let Some(reason) = self.paused.clone().filter(|_| asked.load.is_some()) {
            self.note(format!("{from:?}: refused {who}: it is paused"));
            return self.say(from, Message::Refused { reason });
        }
        if !self.can_send_by(now, from, asked) {
            return;
        }
        if let Err(refusal) = self.take_fences(now, asked) {
            self.note(format!("{from:?}: refused {who}: {refusal}"));
            return self.say(from, Message::Refused { reason: refusal.to_string() });
        }
        let usage = self.usage(now, id, (&owner, role.limits.rate_max));
        let rate_max = self.limits.rate_max;
        match authorise(rate_max, &role, asked, &usage, now) {
            Ok(grant) => {
                let left = |max: BitRate, granted| max.bits_per_second().saturating_sub(granted);
                let own = left(role.limits.rate_max, usage.own_granted);
                let free = left(rate_max, usage.granted(rate_max)).min(own);
                let run = (id, usage.locked_since);
                self.on_grant(now, from, run, grant, (asked.duration, free));
            }
            Err(refusal) => {
                self.note(format!("{from:?}: refused {who}: {refusal}"));
                self.say(from, Message::Refused { reason: refusal.to_string() });
            }
        }
    }

    /// Takes the leases of a run that asks to load. A run that holds an older one is over: its
    /// program goes on beyond the end of its lease, and does not know of it.
    ///
    /// # Errors
    ///
    /// Where one of them is over.
    fn take_fences(&mut self, now: Stamp<Agent>, asked: &Request) -> Result<(), Refusal> {
        if asked.load.is_none() {
            return Ok(());
        }
        self.fences.check(&asked.fences)?;
        let holds_older = |run: &Run| {
            run.grant().is_some_and(|grant| is_superseded(grant.fences(), &asked.fences))
        };
        let older = self.runs.iter().filter(|(_, run)| holds_older(run));
        let older: Vec<RunId> = older.map(|(id, _)| *id).collect();
        for run in older {
            self.note(format!("run {run} has lost its lease: another run holds it now"));
            self.end_run(now, run);
        }
        if self.fences.note(&asked.fences) {
            self.actions.push_back(Action::KeepFences(self.fences.all().to_vec()));
        }
        Ok(())
    }

    /// Whether this host has every congestion control that is asked for; where it has not, or the
    /// driver asks too often, the request is refused.
    fn can_send_by(&mut self, now: Stamp<Agent>, from: ConnectionId, asked: &Request) -> bool {
        // To ask the kernel is costly, as to prepare a trial is.
        if asked.congestion.is_empty() || !self.takes_turn(now, from) {
            return asked.congestion.is_empty();
        }
        let lacks =
            asked.congestion.iter().find_map(|control| self.host.lacks_congestion(*control));
        if let Some(reason) = &lacks {
            let reason = format!("its host cannot send TCP as asked: {reason}");
            self.note(format!("{from:?}: refused: {reason}"));
            self.say(from, Message::Refused { reason });
        }
        lacks.is_none()
    }

    /// A run has its grant; since when it has `locked` already, how long it asked for, and what
    /// other runs leave of the agent's limit.
    fn on_grant(
        &mut self,
        now: Stamp<Agent>,
        from: ConnectionId,
        (id, locked): (RunId, Option<Stamp<Agent>>),
        grant: Grant,
        (duration, free_rate_bit_s): (Span, u64),
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.run = Some(id);
        let load = grant.load().map(Into::into);
        let before = self.runs.remove(&id).map(|run| (run.spent, run.trial, run.turns));
        let (spent, trial, turns) = before.unwrap_or_else(|| (Span::default(), None, turns(now)));
        let run = Run {
            who: peer.who.clone(),
            owner: peer.key,
            connection: Some(from),
            turns,
            closed_at: now,
            locked_since: grant.load().map(|_| locked.unwrap_or(now)),
            spent,
            phase: Phase::Granted(grant),
            trial,
        };
        self.runs.insert(id, run);
        let (run, duration_ns) = (id.to_string(), duration.nanos());
        let granted = crate::wire::control::Granted { run, duration_ns, load, free_rate_bit_s };
        self.say(from, Message::Granted(granted));
    }

    /// What all runs but `but` have been granted `now`; `key` is its owner's, which may have
    /// `own_max`.
    pub(super) fn usage(
        &self,
        now: Stamp<Agent>,
        but: RunId,
        (key, own_max): (&PublicKey, BitRate),
    ) -> Usage {
        let granted = self.runs.iter().filter(|(id, run)| **id != but && !run.is_over());
        let granted: Vec<&Run> = granted.map(|(_, run)| run).collect();
        let holder = |run: &&Run| {
            let grant = run.grant()?;
            let (who, until, load) = (run.who.clone(), grant.ends_at(), grant.load()?);
            let likely = run.loads_until(load.duration, now).min(until);
            let circuit = grant.circuit().map(str::to_owned);
            Some(Holder { who, circuit, rate: load.rate, until, likely })
        };
        let rate = |run: &&&Run| match run.grant().and_then(Grant::load) {
            Some(load) => load.rate,
            None => probing_rate(own_max.min(self.limits.rate_max)),
        };
        let own = || granted.iter().filter(|run| run.owner == *key);
        let own_granted = own().map(|run| rate(&run).bits_per_second());
        let only_probes = |run: &&&Run| run.grant().is_none_or(|grant| grant.load().is_none());
        let own_probing = own().filter(only_probes).map(|run| rate(&run).bits_per_second());
        let asking = self.runs.get(&but).filter(|run| run.owner == *key && !run.is_over());
        Usage {
            runs: granted.len(),
            own_runs: own().count(),
            own_granted: own_granted.fold(0, u64::saturating_add),
            own_probing: own_probing.fold(0, u64::saturating_add),
            holders: granted.iter().filter_map(holder).collect(),
            locked_since: asking.and_then(|run| run.locked_since),
        }
    }

    pub(super) fn on_prepare(
        &mut self,
        now: Stamp<Agent>,
        from: ConnectionId,
        id: RunId,
        number: u32,
        trial: Trial,
    ) {
        let framing = self.peers.get(&from).map(|peer| peer.framing);
        let (Some(run), Some(framing)) = (self.runs.get_mut(&id), framing) else { return };
        match run.trial.as_ref().map(|running| (running.number, &running.part)) {
            Some((before, Part::Open { trial: asked, secrets, .. }))
                if before == number && *asked == trial =>
            {
                let streams = secrets.clone();
                if self.takes_turn(now, from) {
                    self.say(from, Message::Prepared { trial: number, streams });
                }
                return;
            }
            Some((_, Part::Open { .. })) => {
                return self.fault(now, from, "a trial while another runs");
            }
            Some((before, _)) if before == number => {
                return self.refuse_trial(from, &Refusal::BeyondGrant("it is over already"));
            }
            _ => {}
        }
        let Some(grant) = run.grant() else {
            return self.refuse_trial(from, &Refusal::BeyondGrant("that has ended"));
        };
        if self.is_leaving {
            let reason = "the agent is being stopped".to_owned();
            return self.say(from, Message::Refused { reason });
        }
        if let Err(refusal) = grant.allows(&trial, framing, now, run.spent) {
            return self.refuse_trial(from, &refusal);
        }
        if !self.takes_turn(now, from) {
            return;
        }
        if let Some(reason) = self.host.lacks(&trial) {
            let reason = format!("the agent's host cannot send it: {reason}");
            self.note(format!("{from:?}: {reason}"));
            return self.say(from, Message::Refused { reason });
        }
        if let Some(run) = self.runs.get_mut(&id).filter(|_| !trial.is_idle()) {
            run.spent = run.spent.plus(trial.duration());
        }
        self.open_trial(now, from, TrialId { run: id, number }, trial);
    }

    /// Whether a driver may have one more trial prepared now; where it may not, it is refused.
    fn takes_turn(&mut self, now: Stamp<Agent>, from: ConnectionId) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        let takes = peer.turns.passes(now);
        if !takes {
            let reason = "this driver prepares trials, or asks for congestion controls, more \
                          than once a second"
                .into();
            self.say(from, Message::Refused { reason });
        }
        takes
    }

    /// A trial is allowed: its streams are expected, each with secrets of its own.
    fn open_trial(&mut self, now: Stamp<Agent>, from: ConnectionId, id: TrialId, trial: Trial) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let streams: Vec<(Stream, Secrets)> = streams_of(&trial)
            .into_iter()
            .map(|stream| (stream, self.host.secrets(stream.number)))
            .map(|(stream, secret)| (Stream { token: secret.token, ..stream }, secret))
            .collect();
        let tcp: Vec<(TcpStream, Secrets)> = tcp_streams_of(&trial)
            .into_iter()
            .map(|stream| (stream, self.host.secrets(stream.number)))
            .map(|(stream, secret)| (TcpStream { token: secret.token, ..stream }, secret))
            .collect();
        let secrets = streams.iter().map(|(_, secret)| secret);
        let secrets: Vec<Secrets> =
            secrets.chain(tcp.iter().map(|(_, secret)| secret)).cloned().collect();
        let awaited = streams.iter().map(|(stream, _)| *stream).filter(Stream::is_sent_by_driver);
        let awaited = awaited.map(|stream| stream.number).collect();
        // Behind the grant's end come late packets, and the probes behind the load.
        let until = run.grant().map_or(now, |grant| grant.ends_at()).after_nanos(GRACE.nanos());
        let lasts = trial.duration().plus(trail(&trial).1).plus(LATE_MAX);
        let wait = ANSWER_MAX.plus(lasts).plus(ABANDONED_MAX);
        let stop_at = now.after_nanos(wait.nanos());
        run.trial = Some(Running {
            number: id.number,
            started_at: None,
            heard: now,
            awaited,
            closings: Vec::new(),
            tcp_sender: None,
            receiver: None,
            tcp_receiver: None,
            account: Account { trial: id.number, ..Account::default() },
            part: Part::Open { trial, secrets: secrets.clone(), stop_at },
        });
        self.actions.push_back(Action::Expect(id, from, streams, tcp, until));
        self.say(from, Message::Prepared { trial: id.number, streams: secrets });
    }

    pub(super) fn refuse_trial(&mut self, to: ConnectionId, refusal: &Refusal) {
        self.note(format!("{to:?}: {refusal}"));
        self.say(to, Message::Refused { reason: refusal.to_string() });
    }

    /// The trial of this number of this connection's run, whether it is over or not.
    pub(super) fn known(
        &mut self,
        from: ConnectionId,
        number: u32,
    ) -> Option<(TrialId, &mut Running)> {
        let run = self.peers.get(&from)?.run?;
        let running = self.runs.get_mut(&run)?.trial.as_mut()?;
        (running.number == number).then_some((TrialId { run, number }, running))
    }

    pub(super) fn on_start(&mut self, now: Stamp<Agent>, from: ConnectionId, number: u32) {
        let run = self.peers.get(&from).and_then(|peer| peer.run);
        let grant_end = run.and_then(|run| Some(self.runs.get(&run)?.grant()?.ends_at()));
        let Some((id, running)) = self.known(from, number) else {
            return self.fault(now, from, "a start without its trial");
        };
        // A start that is said again comes when the trial is under way, or over already.
        if let Part::Open { trial, .. } = &running.part {
            let ends_at = now.after_nanos(trial.duration().nanos());
            let is_first = running.started_at.is_none();
            if is_first && grant_end.is_none_or(|grant_end| grant_end < ends_at) {
                let reason = "a start so late that the trial would outlast its grant";
                return self.fault(now, from, reason);
            }
            running.heard = now;
            running.started_at.get_or_insert(now);
            self.actions.push_back(Action::Start(id));
        }
        self.say(from, Message::Started { trial: number });
    }

    pub(super) fn on_closing(
        &mut self,
        from: ConnectionId,
        number: u32,
        stream: StreamNumber,
        sent: SenderCounts,
    ) {
        // One of a trial that has ended by itself may still be under way, and each may come twice.
        // Of a stream that the trial does not have, none is kept.
        let known = self.known(from, number);
        if let Some((id, run)) = known.filter(|(_, run)| !matches!(run.part, Part::Counted))
            && run.awaited.remove(&stream)
        {
            self.actions.push_back(Action::Sent(id, stream, sent));
        }
    }

    /// The driver sends far more than it was granted: its run is over.
    fn on_exceeded(&mut self, now: Stamp<Agent>, id: RunId) {
        let reason = "the driver sends more than it was granted";
        match self.runs.get(&id).and_then(|run| run.connection) {
            Some(connection) => self.fault(now, connection, reason),
            None => self.end_run(now, id),
        }
    }

    pub(super) fn on_stop(&mut self, from: ConnectionId, number: u32) {
        let Some((id, running)) = self.known(from, number) else { return };
        if matches!(running.part, Part::Open { .. }) {
            running.part = Part::Stopped;
            self.actions.push_back(Action::Stop(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AskedTcp, AskedTrial};
    use crate::direction::PerDirection;
    use crate::session::agent::tests::{
        DRIVER, at, check_fault, count, greeted, key, open, prepare, request, say, started,
    };
    use crate::session::hello;
    use crate::wire::control::Prepare;

    #[test]
    fn a_congestion_control_that_the_host_lacks_is_refused_with_the_request() {
        let asking = |names: &[&str]| {
            let Message::Request(asked) = request() else { panic!("a request") };
            let congestion = names.iter().map(|name| (*name).to_owned()).collect();
            Message::Request(crate::wire::control::Request { congestion, ..asked })
        };
        let mut session = greeted();
        let refused = say(&mut session, 0, asking(&["cubic", "vegas"]));
        let [Action::Say(DRIVER, Message::Refused { reason })] = &refused[..] else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("its host cannot send TCP as asked: no vegas"), "{reason}");
        // The driver may ask for another one.
        let granted = say(&mut session, 0, asking(&["cubic"]));
        assert!(matches!(granted[..], [Action::Say(DRIVER, Message::Granted(_))]), "{granted:?}");
        // To ask a kernel is costly: not without end.
        let refused = (0..9).map(|_| say(&mut session, 0, asking(&["cubic"]))).filter(|actions| {
            matches!(actions[..], [Action::Say(DRIVER, Message::Refused { .. })])
        });
        assert_eq!(refused.count(), 3, "eight at once, of which two are spent");
    }

    const OTHER: ConnectionId = ConnectionId(2);

    /// Leave for `run` to load for 20 s, by a lease of this number.
    fn leased(run: u128, number: u64) -> Message {
        let load = crate::wire::control::LoadRequest {
            rate_bit_s: 1_000_000,
            duration_ns: Span::from_secs(20).nanos(),
        };
        let of = "circuit EC-1".to_owned();
        let fences = vec![crate::wire::fence::Fence { of, sequence: 1, number }];
        let Message::Request(asked) = request() else { unreachable!("it is one") };
        let run = RunId(run).to_string();
        let load = Some(load);
        Message::Request(crate::wire::control::Request { run, load, fences, ..asked })
    }

    /// An agent with two drivers, of which the first loads by lease 7 since 0 s.
    fn loading() -> Session {
        let mut session = greeted();
        let granted = say(&mut session, 0, leased(7, 7));
        assert!(
            matches!(granted[..], [Action::KeepFences(_), Action::Say(_, Message::Granted(_))]),
            "{granted:?}"
        );
        say(&mut session, 0, prepare(20));
        say(&mut session, 0, Message::Start { trial: 1 });
        open(&mut session, 1, OTHER, key(2));
        say_from(&mut session, OTHER, Message::Hello(hello("linkqual", None)));
        session
    }

    #[test]
    fn who_shows_a_newer_lease_ends_the_run_of_the_older_and_has_its_lock() {
        let mut session = loading();
        let by_none = say_from(&mut session, OTHER, {
            let Message::Request(asked) = leased(8, 0) else { unreachable!("it is one") };
            let fences = Vec::new();
            Message::Request(crate::wire::control::Request { fences, ..asked })
        });
        let [Action::Say(OTHER, Message::Refused { reason })] = &by_none[..] else {
            panic!("{by_none:?}")
        };
        assert!(reason.contains("holds the load lock"), "{reason}");
        let newer = say_from(&mut session, OTHER, leased(8, 8));
        let id = TrialId { run: RunId(7), number: 1 };
        assert!(
            matches!(
                &newer[..],
                [Action::Stop(of), Action::KeepFences(kept), Action::Say(OTHER, granted)]
                    if *of == id && kept[0].number == 8 && granted.name() == "granted"
            ),
            "{newer:?}"
        );
    }

    /// A program that was stopped beyond the end of its lease, and goes on.
    #[test]
    fn a_lease_that_another_has_taken_over_is_refused_also_after_a_restart() {
        let mut before = loading();
        say_from(&mut before, OTHER, leased(8, 8));
        let mut restarted = greeted();
        restarted.restore_fences(before.fences.all().to_vec());
        for session in [&mut before, &mut restarted] {
            count(session);
            while session.poll_action().is_some() {}
            let refused = say(session, 30, leased(9, 7));
            let [Action::Say(DRIVER, Message::Refused { reason })] = &refused[..] else {
                panic!("{refused:?}")
            };
            assert!(reason.contains("the lease on circuit EC-1 has ended"), "{reason}");
            // It may probe.
            let probing = say(session, 30, request());
            assert!(matches!(probing[..], [Action::Say(_, Message::Granted(_))]), "{probing:?}");
            say(session, 30, Message::Finish);
        }
    }

    #[test]
    fn a_trial_runs_within_its_grant_and_no_later() {
        let mut session = greeted();
        let actions = say(&mut session, 0, request());
        assert!(matches!(actions[..], [Action::Say(_, Message::Granted(_))]));
        let actions = say(&mut session, 1, prepare(50));
        assert!(matches!(
            actions[..],
            [Action::Expect(_, DRIVER, ..), Action::Say(_, Message::Prepared { .. })]
        ));
        check_fault(&say(&mut session, 11, Message::Start { trial: 1 }), "outlast its grant");
    }

    /// Of a check of 7 s it said "63 s more", and whoever waited so long waited for nothing.
    #[test]
    fn a_holder_is_announced_as_long_as_its_trials_take() {
        let mut session = greeted();
        let load = crate::wire::control::LoadRequest {
            rate_bit_s: 1_000_000_000,
            duration_ns: Span::from_secs(3).nanos(),
        };
        let Message::Request(asked) = request() else { unreachable!("it is one") };
        let asked = crate::wire::control::Request { load: Some(load), ..asked };
        say(&mut session, 0, Message::Request(asked));
        let likely = |session: &Session, seconds| {
            let usage = session.usage(at(seconds), RunId(8), (&key(2), BitRate::MAX));
            usage.holders[0].likely
        };
        assert_eq!(likely(&session, 0), at(3), "its load alone is known");
        say(&mut session, 1, prepare(2));
        say(&mut session, 1, Message::Start { trial: 1 });
        assert_eq!(likely(&session, 2), at(6), "the idle trial ends at 3, then it loads");
        assert_eq!(likely(&session, 5), at(8), "its account is late");
        assert_eq!(likely(&session, 59), at(60), "never beyond its grant");
    }

    /// Found out behind the trial, it would have cost its time.
    #[test]
    fn what_the_agents_host_cannot_send_is_refused_before_it_is_prepared() {
        let mut session = greeted();
        let load = crate::wire::control::LoadRequest {
            rate_bit_s: 1_000_000_000,
            duration_ns: Span::from_secs(20).nanos(),
        };
        let Message::Request(asked) = request() else { unreachable!("it is one") };
        let asked = crate::wire::control::Request { load: Some(load), ..asked };
        say(&mut session, 0, Message::Request(asked));
        let tcp = AskedTcp {
            payload_bit_s: PerDirection { forward: None, reverse: Some(1_000_000) },
            streams: 1,
            path_mtu_octets: 1_500,
            congestion_control: "vegas".into(),
            capacity: false,
            verify: false,
        };
        let idle = Trial::new(None, Span::from_secs(10)).expect("within bounds");
        let asked = AskedTrial { tcp: Some(tcp), ..(&idle).into() };
        let prepare = Prepare { trial: 1, asked };
        let actions = say(&mut session, 0, Message::Prepare(prepare));
        let [Action::Say(DRIVER, Message::Refused { reason })] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!(reason, "the agent's host cannot send it: no vegas");
    }

    /// The first release kept each account of each made-up stream: 15 MB of memory for one message.
    #[test]
    fn an_account_of_a_stream_that_the_trial_does_not_have_is_not_kept() {
        let mut session = started();
        let sent = || Claim::of(SenderCounts::default());
        let closing = |stream| Message::Closing { trial: 1, stream, sent: sent() };
        assert_eq!(say(&mut session, 5, closing(1)), [], "it has probes alone");
        let actions = say(&mut session, 5, closing(0));
        assert!(matches!(actions[..], [Action::Sent(_, 0, _)]), "{actions:?}");
        assert_eq!(say(&mut session, 5, closing(0)), [], "one is enough");
    }

    #[test]
    fn a_driver_that_sends_more_than_it_was_granted_loses_its_run() {
        let mut session = started();
        let id = TrialId { run: RunId(7), number: 1 };
        session.handle_trial(id, Event::Exceeded(at(5)));
        let actions = std::iter::from_fn(|| session.poll_action());
        let actions: Vec<Action> = actions.filter(|a| !matches!(a, Action::Note(_))).collect();
        check_fault(&actions, "more than it was granted");
        assert!(actions.contains(&Action::Stop(id)), "{actions:?}");
        assert_eq!(session.usage(at(9), RunId(8), (&key(2), BitRate::MAX)), Usage::default());
        session.handle_trial(id, Event::Exceeded(at(6)));
        assert_eq!(session.poll_action(), None, "once");
    }

    fn say_from(session: &mut Session, from: ConnectionId, message: Message) -> Vec<Action> {
        session.handle_message(at(1), from, message);
        let actions = std::iter::from_fn(|| session.poll_action());
        actions.filter(|action| !matches!(action, Action::Note(_))).collect()
    }

    /// Of 1 Gbit/s, another driver's run that probes counts for 142.4 kbit/s.
    #[test]
    fn a_grant_says_what_other_runs_leave() {
        let mut session = greeted();
        let free = |actions: &[Action]| match actions {
            [Action::Say(_, Message::Granted(granted))] => granted.free_rate_bit_s,
            actions => panic!("{actions:?}"),
        };
        assert_eq!(free(&say(&mut session, 0, request())), 1_000_000_000);
        assert_eq!(free(&say(&mut session, 1, request())), 1_000_000_000, "its own is not in it");
        open(&mut session, 1, OTHER, key(2));
        say_from(&mut session, OTHER, Message::Hello(hello("linkqual", None)));
        let Message::Request(asked) = request() else { unreachable!("it is one") };
        let asked = crate::wire::control::Request { run: RunId(8).to_string(), ..asked };
        let granted = say_from(&mut session, OTHER, Message::Request(asked));
        assert_eq!(free(&granted), 1_000_000_000 - 142_400);
        // A load that is as fast as can be leaves what one more driver needs to probe, so that it
        // is not refused for one that came since it asked what is free.
        let Message::Request(asked) = request() else { unreachable!("it is one") };
        let load = crate::wire::control::LoadRequest {
            rate_bit_s: 1_000_000_000 - 142_400,
            duration_ns: Span::from_secs(10).nanos(),
        };
        let asked = crate::wire::control::Request { load: Some(load), ..asked };
        let granted = say(&mut session, 2, Message::Request(asked));
        assert!(matches!(granted[..], [Action::Say(_, Message::Granted(_))]), "{granted:?}");
    }

    #[test]
    fn a_request_does_not_replace_a_trial_that_runs() {
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        check_fault(&say(&mut session, 1, request()), "while a trial runs");
    }

    fn trial(number: u32, seconds: u64) -> Message {
        let Message::Prepare(asked) = prepare(seconds) else { unreachable!("it is one") };
        Message::Prepare(Prepare { trial: number, ..asked })
    }

    #[test]
    fn a_trial_that_is_refused_takes_no_other_trials_turn() {
        let mut session = greeted();
        say(&mut session, 0, request());
        for number in 1..20 {
            let actions = say(&mut session, 0, trial(number, 61));
            assert!(matches!(actions[..], [Action::Say(_, Message::Refused { .. })]));
        }
        let actions = say(&mut session, 0, trial(20, 1));
        assert!(matches!(actions[..], [Action::Expect(..), _]), "{actions:?}");
    }

    /// Each costs the loop that serves all drivers a millisecond and more.
    #[test]
    fn trials_are_prepared_eight_at_once_and_then_one_a_second() {
        let mut session = greeted();
        say(&mut session, 0, request());
        let mut prepares = |seconds, number| {
            let actions = say(&mut session, seconds, trial(number, 1));
            say(&mut session, seconds, Message::Stop { trial: number });
            actions.iter().any(|action| matches!(action, Action::Expect(..)))
        };
        assert_eq!((1..100).filter(|number| prepares(0, *number)).count(), 8);
        // Trials of a second, one behind the other.
        assert!((1..40).all(|seconds| prepares(seconds, 100 + u32::try_from(seconds).unwrap())));
        assert!(!prepares(39, 1_000));
    }

    #[test]
    fn a_run_whose_driver_is_gone_is_over_a_second_later() {
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        session.handle_closed(at(5), DRIVER);
        session.handle_timeout(at(5));
        assert_eq!(session.poll_action(), None);
        assert_eq!(session.deadline(), Some(at(6)));
        session.handle_timeout(at(6));
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        assert!(matches!(actions[..], [Action::Stop(_), Action::Note(_)]), "{actions:?}");
    }

    #[test]
    fn what_is_said_twice_is_done_once() {
        let mut session = greeted();
        say(&mut session, 0, request());
        let prepared = say(&mut session, 0, prepare(10));
        let [Action::Expect(..), prepared @ Action::Say(..)] = &prepared[..] else {
            panic!("{prepared:?}")
        };
        let again = say(&mut session, 1, prepare(10));
        assert_eq!(again, std::slice::from_ref(prepared), "the same secrets, and nothing else");
        say(&mut session, 1, Message::Start { trial: 1 });
        // Said again when it is under way, a start is no later than the grant allows.
        let late = say(&mut session, 55, Message::Start { trial: 1 });
        assert_eq!(late.last(), Some(&Action::Say(DRIVER, Message::Started { trial: 1 })));
        count(&mut session);
        assert_eq!(std::iter::from_fn(|| session.poll_action()).count(), 3);
        let over = say(&mut session, 56, Message::Start { trial: 1 });
        assert_eq!(over, [Action::Say(DRIVER, Message::Started { trial: 1 })]);
        let over = say(&mut session, 56, prepare(10));
        assert!(matches!(over[..], [Action::Say(_, Message::Refused { .. })]), "{over:?}");
        for closing in [true, false] {
            let sent = SenderCounts::default().into();
            let closing = match closing {
                true => Message::Closing { trial: 1, stream: 1, sent },
                false => Message::Stop { trial: 1 },
            };
            assert_eq!(say(&mut session, 56, closing), []);
        }
    }
}
