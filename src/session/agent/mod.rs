//! The agent's half of the conversation: one machine for all its drivers, because slots, the load
//! lock and records outlive connections.
//!
//! A run is known by its name and by the key that asked for it. Its connection may go and another
//! take its place; its grant may end, and what it counted is still sent to whoever comes for it.
//!
//! This file has the connections, and hands each message to the run it is about. `state` has what
//! is held and until when each part of it waits, `run` the grant and the trial of a run, and
//! `records` what is kept of a run until its hour is over. The cut differs from the driver's, which
//! has one run and one trial: here both are many.

mod records;

mod run;

mod state;

use crate::account::{plain, spoken};
use crate::clock::{Agent, Stamp};
use crate::framing::Framing;
use crate::policy::{Fences, Request};
use crate::session::agent::state::{Part, Peer, Run, turns};
use crate::session::hello;
use crate::trial::{Limits, Trial};
use crate::wire::control::{Hello, Message, RunId, Versions};
use crate::wire::key::PublicKey;
use std::collections::{BTreeMap, VecDeque};

pub use state::{Action, ConnectionId, Host, Listed, RECORD_SPAN, RECORDS_MAX, Session, TrialId};

impl Session {
    /// An agent that sends and accepts no more than `limits` for all drivers together.
    #[must_use]
    pub fn new(limits: Limits, host: Box<dyn Host>) -> Self {
        let (peers, runs, actions) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        let fences = Fences::default();
        Self { limits, host, peers, runs, fences, is_leaving: false, paused: None, actions }
    }

    /// The next action; `None` until something else happens.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Stamp<Agent>> {
        let peers = self.peers.values().filter_map(|peer| self.peer_until(peer));
        let trials = self.runs.values().filter_map(|run| run.trial.as_ref()?.stop_at());
        peers.chain(trials).chain(self.runs.values().map(Run::until)).min()
    }

    /// A driver that is listed is connected; `framing` has its version of IP.
    pub fn handle_open(
        &mut self,
        now: Stamp<Agent>,
        connection: ConnectionId,
        driver: Listed,
        framing: Framing,
    ) {
        let Listed { who, key, role } = driver;
        let introduced = hello("linkqual-agent", Some(role.limits.into()));
        let host = Some(self.host.facts().into());
        let name = Some(role.name.to_owned());
        let introduced = Hello { role: name, who: Some(who.clone()), host, ..introduced };
        let (greeted, run, turns) = (false, None, turns(now));
        let breaking = None;
        let peer = Peer { who, key, role, framing, greeted, run, idle_since: now, turns, breaking };
        self.peers.insert(connection, peer);
        self.say(connection, Message::Hello(introduced));
    }

    /// A driver said `message`.
    pub fn handle_message(&mut self, now: Stamp<Agent>, from: ConnectionId, message: Message) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.idle_since = now;
        if !peer.greeted {
            return self.on_greeting(now, from, &message);
        }
        if peer.breaking.is_some()
            && !matches!(message, Message::Closing { .. } | Message::Stop { .. })
        {
            // Its own counts make the last account exact; it has nothing more to ask.
            return;
        }
        match message {
            Message::Request(request) => match request.run.parse() {
                Ok(run) => match Request::try_from(&request) {
                    Ok(asked) => self.on_request(now, from, run, &asked),
                    Err(error) => self.fault(now, from, &error.to_string()),
                },
                Err(error) => self.fault(now, from, &format!("{error}")),
            },
            Message::Attach { run } => match run.parse() {
                Ok(run) => self.on_attach(now, from, run),
                Err(error) => self.fault(now, from, &format!("{error}")),
            },
            Message::Finish => {
                if let Some(run) = peer.run.take() {
                    self.drop_run(run);
                }
            }
            Message::Prepare(prepare) => match (peer.run, Trial::try_from(&prepare.asked)) {
                (Some(run), Ok(trial)) => self.on_prepare(now, from, run, prepare.trial, trial),
                (Some(_), Err(error)) => self.fault(now, from, &error.to_string()),
                (None, _) => self.fault(now, from, "a trial without a grant"),
            },
            Message::Start { trial } => self.on_start(now, from, trial),
            Message::Closing { trial, stream, sent } => match sent.into_fact() {
                Ok(sent) => self.on_closing(from, trial, stream, sent),
                Err(error) => self.fault(now, from, &error.to_string()),
            },
            Message::Stop { trial } => self.on_stop(from, trial),
            Message::Fault { reason } => {
                self.note(format!("{from:?}: the driver says: {}", spoken(&reason)));
                self.close(now, from);
            }
            other => self.fault(now, from, &format!("'{}' is not a driver's to say", other.name())),
        }
    }

    /// A connection closed. Its run goes on for as long as data comes.
    pub fn handle_closed(&mut self, now: Stamp<Agent>, connection: ConnectionId) {
        let Some(peer) = self.peers.remove(&connection) else { return };
        if let Some(run) = peer.run.and_then(|run| self.runs.get_mut(&run)) {
            run.connection = None;
            run.closed_at = now;
        }
    }

    /// The key is listed no longer, or with other limits: its connections and its runs are over,
    /// for this reason.
    pub fn handle_revoked(&mut self, now: Stamp<Agent>, key: &PublicKey, reason: &str) {
        let peers = self.peers.iter().filter(|(_, peer)| peer.key == *key);
        let connections: Vec<ConnectionId> = peers.map(|(connection, _)| *connection).collect();
        for connection in connections {
            self.break_off(now, connection, reason);
        }
        let runs = self.runs.iter().filter(|(_, run)| run.owner == *key && !run.is_over());
        let runs: Vec<RunId> = runs.map(|(id, _)| *id).collect();
        runs.into_iter().for_each(|run| self.end_run(now, run));
    }

    /// Nothing is loaded from now on, for the reason that `why` gives, until this is called without
    /// one. Runs that may load end, and what they have counted is sent; those that probe go on.
    pub fn handle_paused(&mut self, now: Stamp<Agent>, why: Option<String>) {
        if let Some(reason) = &why {
            let may_load = |run: &Run| run.grant().is_some_and(|grant| grant.load().is_some());
            let loading = self.runs.iter().filter(|(_, run)| !run.is_over() && may_load(run));
            let loading: Vec<(RunId, Option<ConnectionId>)> =
                loading.map(|(id, run)| (*id, run.connection)).collect();
            for (run, connection) in loading {
                match connection {
                    Some(connection) => {
                        // What the driver sends ends as soon as it hears this.
                        let reason = Some(reason.clone());
                        self.say(connection, Message::Leaving { reason });
                        self.break_off(now, connection, why.as_deref().unwrap_or_default());
                    }
                    None => self.end_run(now, run),
                }
            }
        }
        self.paused = why;
    }

    /// Ends a connection, and its run with it; of a trial that has started and is not counted yet,
    /// the account is sent first.
    fn break_off(&mut self, now: Stamp<Agent>, connection: ConnectionId, reason: &str) {
        let run = self.peers.get(&connection).and_then(|peer| peer.run);
        let trial = run.and_then(|run| self.runs.get(&run)).and_then(|run| run.trial.as_ref());
        let is_counting = trial.is_some_and(|running| {
            running.started_at.is_some() && !matches!(running.part, Part::Counted)
        });
        match (run, self.peers.get_mut(&connection)) {
            (Some(run), Some(peer)) if is_counting => {
                peer.breaking = Some(reason.to_owned());
                self.end_run(now, run);
            }
            _ => self.fault(now, connection, reason),
        }
    }

    /// The program is to end: drivers are informed, to fetch what has been counted, and nothing new
    /// is granted.
    pub fn handle_leaving(&mut self) {
        self.is_leaving = true;
        let greeted = self.peers.iter().filter(|(_, peer)| peer.greeted);
        let connections: Vec<ConnectionId> = greeted.map(|(connection, _)| *connection).collect();
        let leaving = || Message::Leaving { reason: None };
        connections.into_iter().for_each(|connection| self.say(connection, leaving()));
        // Nobody is informed of these: their drivers come back for what is counted.
        self.stop_trials(|run| run.connection.is_none());
    }

    /// Stops all that is still under way: what it has counted is kept.
    pub fn handle_left(&mut self) {
        self.stop_trials(|_| true);
    }

    fn stop_trials(&mut self, of: impl Fn(&Run) -> bool) {
        for (id, run) in self.runs.iter_mut().filter(|(_, run)| of(run)) {
            let Some(running) = &mut run.trial else { continue };
            if matches!(running.part, Part::Open { .. }) {
                running.part = Part::Stopped;
                let id = TrialId { run: *id, number: running.number };
                self.actions.push_back(Action::Stop(id));
            }
        }
    }

    /// Whether no trial is under way whose counts are still to be sent.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_counted = |run: &Run| {
            run.trial.as_ref().is_none_or(|running| matches!(running.part, Part::Counted))
        };
        self.runs.values().all(is_counted)
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Stamp<Agent>) {
        let is_over = |until: Option<Stamp<Agent>>| until.is_some_and(|until| until <= now);
        let idle: Vec<ConnectionId> = self
            .peers
            .iter()
            .filter(|(_, peer)| is_over(self.peer_until(peer)))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in idle {
            self.fault(now, connection, "idle for too long");
        }
        for (id, run) in &mut self.runs {
            let Some(running) = &mut run.trial else { continue };
            if is_over(running.stop_at()) {
                running.part = Part::Stopped;
                let id = TrialId { run: *id, number: running.number };
                self.actions.push_back(Action::Stop(id));
            }
        }
        let passed = self.runs.iter().filter(|(_, run)| is_over(Some(run.until())));
        let passed: Vec<(RunId, bool)> = passed.map(|(id, run)| (*id, run.is_over())).collect();
        for (run, is_over) in passed {
            match is_over {
                true => self.drop_run(run),
                false => self.end_run(now, run),
            }
        }
    }

    fn say(&mut self, to: ConnectionId, message: Message) {
        self.actions.push_back(Action::Say(to, message));
    }

    fn note(&mut self, text: String) {
        // A driver can have put its own words into it.
        self.actions.push_back(Action::Note(plain(&text)));
    }

    fn fault(&mut self, now: Stamp<Agent>, connection: ConnectionId, reason: &str) {
        self.note(format!("{connection:?}: {reason}"));
        self.say(connection, Message::Fault { reason: reason.to_owned() });
        self.close(now, connection);
    }

    fn close(&mut self, now: Stamp<Agent>, connection: ConnectionId) {
        self.actions.push_back(Action::Close(connection));
        if let Some(run) = self.peers.remove(&connection).and_then(|peer| peer.run) {
            self.end_run(now, run);
            if let Some(run) = self.runs.get_mut(&run) {
                run.connection = None;
            }
        }
    }

    fn on_greeting(&mut self, now: Stamp<Agent>, from: ConnectionId, message: &Message) {
        match message {
            Message::Hello(hello) => {
                let (theirs, own) = (Versions::of(hello), Versions::OWN);
                if theirs.shared(own).is_some() {
                    self.peers.entry(from).and_modify(|peer| peer.greeted = true);
                    return;
                }
                let older = if theirs.is_older_than(own) { "driver" } else { "agent" };
                let program = spoken(&hello.program);
                let reason = format!(
                    "{program} speaks {theirs}, this agent speaks {own}: upgrade the {older}"
                );
                self.fault(now, from, &reason);
            }
            other => self.fault(now, from, &format!("'{}' came before hello", other.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{HostCounts, HostFacts, ReflectorCounts, SenderCounts};
    use crate::flow::FarEvent as Event;
    use crate::framing::IpVersion;
    use crate::policy::Role;
    use crate::trial::CongestionControl;
    use crate::units::Span;
    use crate::wire::control::{self, Prepare, Secrets};
    use crate::wire::{StreamNumber, Token};

    pub(super) const DRIVER: ConnectionId = ConnectionId(1);

    struct Ones;

    impl Host for Ones {
        fn secrets(&mut self, stream: StreamNumber) -> Secrets {
            Secrets { stream, token: Token(u64::from(stream) + 1), key: [1; 32] }
        }

        fn lacks(&self, trial: &Trial) -> Option<String> {
            trial.tcp().map(|load| format!("no {}", load.congestion()))
        }

        fn lacks_congestion(&self, control: CongestionControl) -> Option<String> {
            (control != CongestionControl::CUBIC).then(|| format!("no {control}"))
        }

        fn facts(&self) -> HostFacts {
            HostFacts::default()
        }
    }

    pub(super) fn key(octet: u8) -> PublicKey {
        let mut spki = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        spki.extend([octet; 32]);
        PublicKey::from_spki(&spki).expect("any 32 octets are one")
    }

    pub(super) fn at(seconds: u64) -> Stamp<Agent> {
        Stamp::from_nanos(Span::from_secs(seconds).nanos())
    }

    pub(super) fn open(
        session: &mut Session,
        seconds: u64,
        connection: ConnectionId,
        key: PublicKey,
    ) {
        let framing = Framing::plain(IpVersion::V4);
        let role = Role::qualifier(limits());
        session.handle_open(
            at(seconds),
            connection,
            Listed { who: "ops".into(), key, role },
            framing,
        );
    }

    /// What the agent does about `message`, but for its log.
    pub(super) fn say(session: &mut Session, seconds: u64, message: Message) -> Vec<Action> {
        session.handle_message(at(seconds), DRIVER, message);
        let actions = std::iter::from_fn(|| session.poll_action());
        actions.filter(|action| !matches!(action, Action::Note(_))).collect()
    }

    fn limits() -> Limits {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        Limits { rate_max, duration_max: Span::from_secs(600) }
    }

    /// An agent with a driver that has said hello, at 0 s.
    pub(super) fn greeted() -> Session {
        let mut session = Session::new(limits(), Box::new(Ones));
        open(&mut session, 0, DRIVER, key(1));
        let actions = say(&mut session, 0, Message::Hello(hello("linkqual", None)));
        assert!(matches!(actions[..], [Action::Say(DRIVER, Message::Hello(_))]));
        session
    }

    /// Leave to probe for 60 s.
    pub(super) fn request() -> Message {
        let run = RunId(7).to_string();
        let duration_ns = Span::from_secs(60).nanos();
        let (circuit, load, congestion, fences) = (None, None, Vec::new(), Vec::new());
        let asked = control::Request { run, circuit, duration_ns, load, congestion, fences };
        Message::Request(asked)
    }

    pub(super) fn prepare(seconds: u64) -> Message {
        let idle = Trial::new(None, Span::from_secs(seconds)).expect("within bounds");
        Message::Prepare(Prepare { trial: 1, asked: (&idle).into() })
    }

    #[track_caller]
    pub(super) fn check_fault(actions: &[Action], words: &str) {
        let [Action::Say(DRIVER, Message::Fault { reason }), Action::Close(DRIVER), ..] = actions
        else {
            panic!("no fault: {actions:?}")
        };
        assert!(reason.contains(words), "{reason}");
    }

    #[test]
    fn nothing_goes_without_hello_and_a_grant() {
        let mut session = greeted();
        check_fault(&say(&mut session, 0, prepare(10)), "without a grant");
        let mut session = greeted();
        open(&mut session, 0, ConnectionId(2), key(1));
        session.handle_message(at(0), ConnectionId(2), request());
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let faulted = |action: &Action| matches!(action, Action::Say(_, Message::Fault { .. }));
        assert!(actions.iter().any(faulted), "{actions:?}");
    }

    #[test]
    fn another_version_is_refused_with_what_to_install() {
        let mut session = greeted();
        open(&mut session, 0, ConnectionId(2), key(1));
        let program = "\u{202e}linkqual 9".to_owned();
        let other = Hello { protocol: 5, latest: None, program, ..hello("linkqual", None) };
        session.handle_message(at(0), ConnectionId(2), Message::Hello(other));
        let text =
            format!("{:?}", std::iter::from_fn(|| session.poll_action()).collect::<Vec<_>>());
        let words = "\"linkqual 9 speaks protocol version 5, this agent speaks protocol versions 6 \
                     to 7: upgrade the driver\"";
        assert!(text.contains(words), "{text}");
    }

    /// What its threads report of trial 1 of run 7 in the end.
    /// The first release that could revoke a key left its driver with its own half.
    #[test]
    fn a_key_that_is_taken_out_gets_what_was_counted_and_then_the_reason() {
        let mut session = started();
        let id = TrialId { run: RunId(7), number: 1 };
        session.handle_revoked(at(5), &key(2), "another key");
        assert_eq!(session.poll_action(), None);
        session.handle_revoked(at(5), &key(1), "this key is not allowed any more");
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        assert!(matches!(&actions[..], [Action::Stop(of), Action::Note(_)] if *of == id));
        assert_eq!(session.usage(at(9), RunId(8), (&key(2), crate::units::BitRate::MAX)).runs, 0);
        for ignored in [request(), prepare(10), Message::Start { trial: 1 }] {
            assert_eq!(say(&mut session, 5, ignored), []);
        }
        count(&mut session);
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let [
            Action::Say(DRIVER, Message::Closing { .. }),
            Action::Say(DRIVER, Message::Account(_)),
            rest @ ..,
        ] = &actions[..]
        else {
            panic!("{actions:?}")
        };
        let [Action::Keep(_), Action::Note(_), rest @ ..] = rest else { panic!("{rest:?}") };
        check_fault(rest, "this key is not allowed any more");
        assert_eq!(say(&mut session, 6, request()), [], "it is no peer any more");
        // Where nothing has started there is nothing to wait for.
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        session.handle_revoked(at(1), &key(1), "this key is not allowed any more");
        let actions = std::iter::from_fn(|| session.poll_action());
        let actions: Vec<Action> = actions.filter(|a| !matches!(a, Action::Note(_))).collect();
        check_fault(&actions, "this key is not allowed any more");
    }

    /// Leave to load for 10 s at 10 Mbit/s.
    fn load_request(run: u128) -> Message {
        let Message::Request(asked) = request() else { panic!("a request") };
        let load = control::LoadRequest { rate_bit_s: 10_000_000, duration_ns: 10_000_000_000 };
        let run = RunId(run).to_string();
        Message::Request(control::Request { run, load: Some(load), ..asked })
    }

    #[test]
    fn a_paused_agent_ends_load_and_refuses_it_and_probes_go_on() {
        let why = "load is paused at this agent by root: an alarm";
        let mut session = greeted();
        let granted = say(&mut session, 0, load_request(7));
        assert!(matches!(granted[..], [Action::Say(DRIVER, Message::Granted(_))]), "{granted:?}");
        say(&mut session, 0, prepare(5));
        say(&mut session, 0, Message::Start { trial: 1 });
        session.handle_paused(at(1), Some(why.to_owned()));
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let id = TrialId { run: RunId(7), number: 1 };
        assert!(actions.contains(&Action::Stop(id)), "{actions:?}");
        count(&mut session);
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let is_said = |action: &Action| match action {
            Action::Say(DRIVER, Message::Fault { reason }) => reason == why,
            _ => false,
        };
        assert!(actions.iter().any(is_said), "{actions:?}");
        // It probes all the same, and loads again once it may.
        let mut session = started();
        session.handle_paused(at(1), Some(why.to_owned()));
        assert_eq!(session.poll_action(), None);
        let mut session = greeted();
        session.handle_paused(at(1), Some(why.to_owned()));
        let refused = say(&mut session, 2, load_request(8));
        let [Action::Say(DRIVER, Message::Refused { reason })] = &refused[..] else {
            panic!("{refused:?}")
        };
        assert_eq!(reason, why);
        let granted = say(&mut session, 2, request());
        assert!(matches!(granted[..], [Action::Say(DRIVER, Message::Granted(_))]), "{granted:?}");
        session.handle_paused(at(3), None);
        let mut session = greeted();
        session.handle_paused(at(3), None);
        let granted = say(&mut session, 3, load_request(8));
        assert!(matches!(granted[..], [Action::Say(DRIVER, Message::Granted(_))]), "{granted:?}");
    }

    pub(super) fn count(session: &mut Session) {
        let id = TrialId { run: RunId(7), number: 1 };
        session
            .handle_trial(id, Event::Sent(2, SenderCounts { sent: 9, ..SenderCounts::default() }));
        session.handle_trial(id, Event::Reflected(ReflectorCounts::default()));
        session.handle_trial(id, Event::Host(HostCounts::default()));
    }

    /// A trial of 10 s that started at 0 s.
    pub(super) fn started() -> Session {
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        say(&mut session, 0, Message::Start { trial: 1 });
        session
    }
}
