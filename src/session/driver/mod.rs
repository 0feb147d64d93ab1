//! The driver's half of the conversation.
//!
//! A trial under way and the connection to its agent are two things. Data goes on whatever becomes
//! of the connection; where that closes, or an answer is overdue on it, another is opened, and the
//! run is attached to it. Then all that may not have been heard is said again.
//!
//! This file matches each message and event with the state that expects it. `state` has the states
//! and until when each waits, `opening` takes a trial from `Prepare` to `Start`, `reconnect` keeps
//! the connection, and `reconcile` takes both ends' accounts and puts them together.

mod opening;

mod reconcile;

mod reconnect;

mod state;

use crate::account::{Outcome, Status, spoken};
use crate::clock::{Driver, Stamp};
use crate::flow::{NearEvent as Event, TrialRun};
use crate::policy::Request;
use crate::session::driver::state::{FETCH_MAX, LAST_WORDS_MAX, Link, REACH_MAX, State};
use crate::session::{ANSWER_MAX, hello};
use crate::trial::{Limits, Trial};
use crate::wire::control::{self, Hello, Message, RunId, Versions};
use std::collections::VecDeque;

pub use state::{Action, Blocked, Failure, Introduced, Opening, Session, Task, TcpOpening};

/// Why a run ends that its agent does not carry to its end.
const LEAVES: &str = "the agent was stopped";

impl Session {
    /// A conversation for `run` that begins `now`: the first action says hello.
    #[must_use]
    pub fn new(run: RunId, now: Stamp<Driver>) -> Self {
        let say_hello = Action::Say(Message::Hello(hello("linkqual", None)));
        Self {
            run,
            state: State::ExpectHello { until: now.after_nanos(ANSWER_MAX.nanos()) },
            trials: 0,
            request: None,
            has_lapsed: false,
            link: Link::Open,
            closed_at: None,
            unreachable: None,
            dialled_at: None,
            ungreeted: 0,
            asked_at: now,
            moved_at: None,
            actions: VecDeque::from([say_hello]),
        }
    }

    /// Asks for leave.
    ///
    /// # Panics
    ///
    /// Panics where something else is under way: the caller's own order is wrong.
    pub fn request(&mut self, now: Stamp<Driver>, request: &Request) {
        assert!(matches!(self.state, State::Idle), "a request while {:?}", self.state);
        self.request = Some(request.clone());
        self.state = self.ask_for_leave(now, None, reach_until(now));
    }

    /// Begins a trial.
    ///
    /// # Panics
    ///
    /// Panics where something else is under way: the caller's own order is wrong.
    pub fn begin(&mut self, now: Stamp<Driver>, task: Task, trial: Trial) {
        assert!(matches!(self.state, State::Idle), "a trial while {:?}", self.state);
        self.trials += 1;
        self.state = match self.has_lapsed {
            true => self.ask_for_leave(now, Some((task, trial)), reach_until(now)),
            false => self.prepare(now, task, trial, reach_until(now)),
        };
    }

    /// No more trials: the agent may free what it holds.
    pub fn finish(&mut self) {
        self.say(Message::Finish);
        self.state = State::Over;
    }

    /// What was refused for this `reason` was all that there was to ask: the conversation is over.
    pub fn end_refused(&mut self, reason: String) {
        // What was granted before is free at once: whoever asks next is not refused for it.
        self.say(Message::Finish);
        self.state = self.fail(Failure::Refused(reason));
    }

    /// Whether the agent can be spoken to now.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open) && !matches!(self.state, State::Over)
    }

    /// The next action; `None` until something else happens.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Stamp<Driver>> {
        [self.state_until(), self.link_until()].into_iter().flatten().min()
    }

    /// The agent said `message`.
    pub fn handle_message(&mut self, now: Stamp<Driver>, message: Message) {
        if matches!(self.state, State::Over) {
            return;
        }
        let message = match message {
            Message::Refused { reason } => Message::Refused { reason: spoken(&reason) },
            Message::Fault { reason } => Message::Fault { reason: spoken(&reason) },
            message => message,
        };
        let message = match &self.link {
            Link::Attaching { .. } => self.on_attaching(now, message),
            _ => Some(message),
        };
        if let Some(message) = message {
            let state = std::mem::replace(&mut self.state, State::Over);
            self.state = self.on_message(now, state, message);
        }
        self.settle(now);
    }

    fn on_message(&mut self, now: Stamp<Driver>, state: State, message: Message) -> State {
        match (state, message) {
            (State::ExpectHello { .. }, Message::Hello(hello)) => self.on_hello(hello),
            // It has no room for one more driver.
            (State::ExpectHello { .. }, Message::Fault { reason }) => {
                self.fail(Failure::Refused(reason))
            }
            (State::ExpectGrant { then, until }, Message::Granted(granted)) => {
                self.on_granted(now, then, until, granted.free_rate_bit_s)
            }
            (State::ExpectGrant { then: None, .. }, Message::Refused { reason })
                if self.request.as_ref().is_some_and(|request| request.load.is_some()) =>
            {
                self.actions.push_back(Action::Refused(reason));
                State::Idle
            }
            (State::ExpectGrant { then: None, .. }, Message::Refused { reason }) => {
                // What was granted before is free at once: whoever asks next is not refused for it.
                self.say(Message::Finish);
                self.fail(Failure::Refused(reason))
            }
            (
                State::ExpectGrant { then: Some((_, trial)), .. }
                | State::ExpectPrepared { trial, .. },
                Message::Refused { reason },
            ) => self
                .end_with(TrialRun { trial, outcome: Outcome::nothing(Status::Refused, reason) }),
            (
                State::ExpectPrepared { task, trial, .. },
                Message::Prepared { trial: number, streams },
            ) if number == self.trials => self.on_prepared(now, task, trial, &streams),
            (State::ExpectAccount { found, .. }, Message::Account(account))
                if account.trial == self.trials =>
            {
                self.actions.push_back(Action::PayloadFound(found));
                State::Idle
            }
            (State::ExpectReceived { blocked, .. }, Message::Account(account))
                if account.trial == self.trials =>
            {
                self.on_received(blocked, &account)
            }
            (
                State::ExpectStarted { running, .. } | State::Running(running),
                Message::Leaving { reason },
            ) => {
                let reason = reason.as_deref().map_or_else(|| LEAVES.to_owned(), spoken);
                self.stop(now, running, &reason, LAST_WORDS_MAX)
            }
            (_, Message::Leaving { reason }) => {
                let reason = reason.as_deref().map_or_else(|| LEAVES.to_owned(), spoken);
                self.fail(Failure::Refused(reason))
            }
            (state @ (State::ExpectStarted { .. } | State::Running(_)), message) => {
                self.on_message_of_trial(now, state, message)
            }
            (_, Message::Fault { reason }) => self.fail(Failure::BrokenOff(reason)),
            (state, message) => self.on_stray(state, &message),
        }
    }

    /// The agent said `message` while a trial is under way.
    fn on_message_of_trial(&mut self, now: Stamp<Driver>, state: State, message: Message) -> State {
        match (state, message) {
            (
                State::ExpectStarted { mut running, .. } | State::Running(mut running),
                Message::Started { trial },
            ) if trial == self.trials => {
                running.started = true;
                State::Running(running)
            }
            (
                State::ExpectStarted { running, until },
                message @ (Message::Closing { .. } | Message::Account(_)),
            ) => {
                let running = self.on_trial_message(running, message);
                State::ExpectStarted { running, until }
            }
            (
                State::Running(running),
                message @ (Message::Closing { .. } | Message::Account(_)),
            ) => State::Running(self.on_trial_message(running, message)),
            (
                State::ExpectStarted { running, .. } | State::Running(running),
                Message::Fault { reason },
            ) => self.lose(now, running, &format!("the agent ended it: {reason}")),
            (state, message) => self.on_stray(state, &message),
        }
    }

    /// Something happened in the trial under way.
    pub fn handle_trial(&mut self, now: Stamp<Driver>, event: Event) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (state, event) {
            (State::Opening { task, mut running }, Event::Opened(_)) => {
                running.opened += 1;
                if running.is_open() {
                    self.on_all_open(now, task, running)
                } else {
                    State::Opening { task, running }
                }
            }
            (State::Opening { running, .. }, Event::NotOpened(stream, why)) => {
                self.on_not_opened(now, &running, stream, why)
            }
            (State::Opening { running, .. }, Event::NotConnected(stream, why)) => {
                self.on_not_connected(&running, stream, &why)
            }
            // The agent has not to wait for it then, before it closes the trial.
            (State::Searching, Event::Sent(stream, sent)) => {
                self.close(stream, &sent);
                State::Searching
            }
            (State::Searching, Event::PayloadFound(found)) => {
                self.actions.push_back(Action::Stop);
                self.say(Message::Stop { trial: self.trials });
                self.asked_at = now;
                State::ExpectAccount { found, until: reach_until(now) }
            }
            // Of a trial that is over already.
            (state @ (State::Over | State::Idle | State::ExpectGrant { .. }), _) => state,
            (_, Event::HostFailed(why)) => {
                self.actions.push_back(Action::Stop);
                self.fail(Failure::NotOpened(why))
            }
            (State::ExpectStarted { running, until }, event) => {
                let running = self.on_counted(running, event);
                State::ExpectStarted { running, until }
            }
            (State::Running(running), event) => State::Running(self.on_counted(running, event)),
            // A stream that could not be carried says so before the others are open.
            (State::Opening { task, running }, event) => {
                State::Opening { task, running: self.on_counted(running, event) }
            }
            (state, _) => state,
        };
        self.settle(now);
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Stamp<Driver>) {
        if self.state_until().is_some_and(|until| until <= now) {
            self.on_state_timeout(now);
        }
        if self.link_until().is_some_and(|until| until <= now) {
            self.reconnect(now);
        }
        self.settle(now);
    }

    fn on_state_timeout(&mut self, now: Stamp<Driver>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectHello { .. } if matches!(self.link, Link::Open) => {
                self.fail(Failure::Timeout(ANSWER_MAX))
            }
            State::ExpectHello { .. } => self.fail(Failure::Closed),
            State::ExpectReceived { blocked, .. } => self.fail(Failure::Blocked(blocked)),
            State::ExpectGrant { .. }
            | State::ExpectPrepared { .. }
            | State::ExpectAccount { .. } => {
                let failure = match (&self.link, self.unreachable.take()) {
                    (Link::Open, _) | (_, None) => Failure::Timeout(REACH_MAX),
                    (_, Some(why)) => Failure::Unreachable(why),
                };
                self.fail(failure)
            }
            // Whether it has started is seen on the data plane; the answer may be under way.
            State::ExpectStarted { running, .. } => State::Running(running),
            State::Running(running) if running.stopping.is_some() => self.end(running),
            State::Running(running) => match self.closed_at {
                Some(closed_at) if now < running.ends_at => {
                    let gone_at = running.heard.max(closed_at);
                    self.actions.push_back(Action::Gone(gone_at));
                    let reason = "the agent went away: the control connection closed, and no \
                                  more data arrived";
                    self.stop(now, running, reason, FETCH_MAX)
                }
                _ => {
                    let reason = self.no_account();
                    self.stop(now, running, &reason, LAST_WORDS_MAX)
                }
            },
            other => other,
        };
    }

    /// The user wants it to end: what was measured is still reported.
    pub fn handle_interrupt(&mut self, now: Stamp<Driver>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectStarted { running, .. } | State::Running(running) => {
                self.stop(now, running, "interrupted", LAST_WORDS_MAX)
            }
            _ => self.fail(Failure::NotOpened("interrupted".into())),
        };
        self.settle(now);
    }

    /// Says what is to be answered, or to be known. What no connection carries is said again once
    /// the run has another.
    fn say(&mut self, message: Message) {
        if matches!(self.link, Link::Open | Link::Dialling | Link::Waiting { .. }) {
            self.actions.push_back(Action::Say(message));
        }
    }

    /// Asks for the grant, and waits `until` then for it and for what follows it: asking again over
    /// another connection gives the agent no more time.
    fn ask_for_leave(
        &mut self,
        now: Stamp<Driver>,
        then: Option<(Task, Trial)>,
        until: Stamp<Driver>,
    ) -> State {
        if let Some(request) = &self.request {
            self.say(Message::Request(said(self.run, request)));
        }
        self.asked_at = now;
        State::ExpectGrant { then, until }
    }

    fn on_granted(
        &mut self,
        now: Stamp<Driver>,
        then: Option<(Task, Trial)>,
        until: Stamp<Driver>,
        free_rate_bit_s: u64,
    ) -> State {
        self.has_lapsed = false;
        match then {
            Some((task, trial)) => self.prepare(now, task, trial, until),
            None => {
                self.actions.push_back(Action::Granted { free_rate_bit_s });
                State::Idle
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> State {
        self.actions.push_back(Action::Failed(failure));
        State::Over
    }

    fn end_with(&mut self, run: TrialRun) -> State {
        self.actions.push_back(Action::Ended(Box::new(run)));
        State::Idle
    }

    fn on_hello(&mut self, hello: Hello) -> State {
        let theirs = Versions::of(&hello);
        let Some(protocol) = theirs.shared(Versions::OWN) else {
            let program = spoken(&hello.program);
            return self.fail(Failure::OtherVersion { program, theirs });
        };
        let introduced = Introduced {
            program: spoken(&hello.program),
            role: hello.role.as_deref().map(spoken),
            who: hello.who.as_deref().map(spoken),
            host: hello.host.and_then(|host| host.into_fact().ok()),
            protocol,
        };
        match hello.limits.map(Limits::try_from) {
            Some(Ok(limits)) => {
                self.actions.push_back(Action::Admitted(limits, Box::new(introduced)));
                State::Idle
            }
            Some(Err(error)) => self.fail(Failure::Protocol(error.to_string())),
            None => self.fail(Failure::Protocol("it is a driver, not an agent".into())),
        }
    }

    /// A message that nothing here waits for. One of an earlier trial may be under way still.
    fn on_stray(&mut self, state: State, message: &Message) -> State {
        match message {
            Message::Started { .. } | Message::Closing { .. } | Message::Account(_) => state,
            _ => {
                let name = message.name();
                self.fail(Failure::Protocol(format!("'{name}' came unasked")))
            }
        }
    }
}

/// Until when an answer that is asked for `now` is waited for.
fn reach_until(now: Stamp<Driver>) -> Stamp<Driver> {
    now.after_nanos(REACH_MAX.nanos())
}

/// `request` for `run`, as it is said.
fn said(run: RunId, request: &Request) -> control::Request {
    control::Request {
        run: run.to_string(),
        circuit: request.circuit.clone(),
        duration_ns: request.duration.nanos(),
        load: request.load.map(Into::into),
        congestion: request.congestion.iter().map(|control| control.name().to_owned()).collect(),
        fences: request.fences.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use crate::wire::control::{LimitsMessage, PROTOCOL, PROTOCOL_BEFORE};

    fn probing() -> Request {
        let (duration, fences) = (Span::from_secs(1), Vec::new());
        Request { circuit: None, duration, load: None, congestion: Vec::new(), fences }
    }

    pub(super) const NOW: Stamp<Driver> = Stamp::from_nanos(1_000);

    pub(super) fn say(session: &mut Session, message: Message) -> Vec<Action> {
        session.handle_message(NOW, message);
        std::iter::from_fn(|| session.poll_action()).collect()
    }

    pub(super) fn admitted() -> Session {
        let mut session = Session::new(RunId(7), NOW);
        let limits = LimitsMessage { rate_max_bit_s: 1, duration_max_ns: 1 };
        let actions = say(&mut session, Message::Hello(hello("linkqual-agent", Some(limits))));
        assert!(matches!(actions[..], [Action::Say(Message::Hello(_)), Action::Admitted(..)]));
        session
    }

    #[test]
    fn an_event_of_a_trial_that_is_over_changes_nothing() {
        let mut session = admitted();
        session.handle_trial(NOW, Event::Heard(NOW));
        session.handle_trial(NOW, Event::HostFailed("late".into()));
        assert_eq!(session.poll_action(), None);
        session.request(NOW, &probing());
        assert!(matches!(session.poll_action(), Some(Action::Say(Message::Request(_)))));
    }

    #[test]
    fn another_version_is_reported_with_both_numbers() {
        let mut session = Session::new(RunId(7), NOW);
        let hello = hello("linkqual-agent", None);
        let program = format!("\u{1b}[2J\u{202e}{}", hello.program);
        let other = Hello { protocol: PROTOCOL + 1, latest: None, program, ..hello };
        let actions = say(&mut session, Message::Hello(other));
        let Some(Action::Failed(failure)) = actions.last() else { panic!("{actions:?}") };
        let text = failure.to_string();
        assert!(text.starts_with("the agent is [2Jlinkqual-agent"), "{text:?}");
        let versions = format!(
            "version {}, this driver speaks protocol versions {PROTOCOL_BEFORE} to {PROTOCOL}: \
             upgrade the driver",
            PROTOCOL + 1
        );
        assert!(text.contains(&versions), "{text}");
        assert!(!session.is_connected());
    }

    #[test]
    fn silence_after_hello_ends_with_the_time_that_was_waited() {
        let mut session = Session::new(RunId(7), NOW);
        let deadline = session.deadline().expect("an answer is awaited");
        session.handle_timeout(NOW);
        assert!(session.is_connected());
        session.handle_timeout(deadline);
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        assert_eq!(actions.last(), Some(&Action::Failed(Failure::Timeout(ANSWER_MAX))));
    }

    #[test]
    fn a_message_that_nobody_waits_for_breaks_the_protocol() {
        let actions = say(&mut admitted(), Message::Finish);
        let Some(Action::Failed(Failure::Protocol(why))) = actions.last() else {
            panic!("{actions:?}")
        };
        assert_eq!(why, "'finish' came unasked");
    }

    pub(super) fn actions(session: &mut Session) -> Vec<Action> {
        std::iter::from_fn(|| session.poll_action()).collect()
    }

    pub(super) fn after(span: Span) -> Stamp<Driver> {
        NOW.after_nanos(span.nanos())
    }

    /// A driver that has asked for leave, and been granted it.
    pub(super) fn granted() -> Session {
        let mut session = admitted();
        session.request(NOW, &probing());
        let (run, duration_ns) = (RunId(7).to_string(), 1);
        let granted = control::Granted { run, duration_ns, load: None, free_rate_bit_s: 7 };
        let said = say(&mut session, Message::Granted(granted));
        assert!(matches!(said[..], [Action::Say(Message::Request(_)), Action::Granted { .. }]));
        assert_eq!(said[1], Action::Granted { free_rate_bit_s: 7 });
        session
    }

    #[test]
    fn a_load_that_is_refused_may_be_asked_for_in_another_way_or_ends_the_conversation() {
        let refused = || {
            let mut session = granted();
            let rate = "1 Mbit/s".parse().expect("a rate");
            let load = Some(crate::policy::LoadRequest { rate, duration: Span::from_secs(1) });
            session.request(NOW, &Request { load, ..probing() });
            let actions = say(&mut session, Message::Refused { reason: "taken".into() });
            assert_eq!(actions.last(), Some(&Action::Refused("taken".into())), "{actions:?}");
            session
        };
        let mut session = refused();
        session.request(NOW, &probing());
        assert_eq!(names(&actions(&mut session)), ["request"]);
        let mut session = refused();
        session.end_refused("taken".into());
        let ended = actions(&mut session);
        assert_eq!(names(&ended), ["finish"], "what it holds is free at once");
        assert_eq!(ended.last(), Some(&Action::Failed(Failure::Refused("taken".into()))));
        // Whoever may not even probe has nothing else to ask for.
        let mut session = admitted();
        session.request(NOW, &probing());
        let ended = say(&mut session, Message::Refused { reason: "full".into() });
        assert_eq!(ended.last(), Some(&Action::Failed(Failure::Refused("full".into()))));
    }

    pub(super) fn idle() -> Trial {
        Trial::new(None, Span::from_secs(10)).expect("a trial")
    }

    /// The names of what is said.
    pub(super) fn names(actions: &[Action]) -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::Say(message) => Some(message.name()),
            _ => None,
        };
        actions.iter().filter_map(name).collect()
    }
}
