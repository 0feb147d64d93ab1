//! The connection of a run: when another one is opened, and what is said again over it.
//!
//! A lost connection never ends a trial here; only an agent that lost the run does.

use super::state::{
    Action, FETCH_MAX, Failure, LAST_WORDS_MAX, Link, OVERDUE, REACH_MAX, Running, Session, State,
};
use crate::account::spoken;
use crate::clock::{Driver, Stamp};
use crate::session::{ANSWER_MAX, hello};
use crate::units::Span;
use crate::wire::control::{Message, Versions};

/// How far apart two connections are opened.
const RETRY: Span = Span::from_secs(1);

/// Connections that may close, one after the other, before the agent has said hello.
const UNGREETED_MAX: u32 = 4;

/// How many bits of a run's name say when it tries again, each time others of them.
const DICE_BITS: u32 = 16;

impl Session {
    /// The connection to the agent closed; the trial under way need not end.
    pub fn handle_closed(&mut self, now: Stamp<Driver>) {
        match (&self.state, &self.link) {
            (State::Over, _) => return,
            (State::ExpectHello { .. }, _) => return self.greet_again(now),
            (_, Link::Open | Link::Attaching { .. }) => {
                self.closed_at.get_or_insert(now);
                self.reconnect(now);
            }
            // The silent one, beside which another is opened, or the one before.
            (_, Link::Dialling | Link::Waiting { .. } | Link::Lost) => {
                self.closed_at.get_or_insert(now);
            }
        }
        // The answer that was under way there is lost.
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::ExpectStarted { running, .. } => State::Running(running),
            state => state,
        };
        self.settle(now);
    }

    /// The connection closed before the agent had said hello: another is opened a moment later.
    ///
    /// An agent has few places for connections that have not shown a key yet, and closes the oldest
    /// of one source for the newest, without a word: this end may have taken the handshake for
    /// done. Runs that begin together on one host push each other out like that, so that each has
    /// its own moment to come back.
    fn greet_again(&mut self, now: Stamp<Driver>) {
        self.ungreeted += 1;
        if UNGREETED_MAX < self.ungreeted {
            self.state = self.fail(Failure::Closed);
            return;
        }
        // The run's name is random.
        let dice = (self.run.0 >> (DICE_BITS * self.ungreeted)) & ((1 << DICE_BITS) - 1);
        let dice = u64::try_from(dice).expect("16 bits fit into 64");
        let wait_ns = (RETRY.nanos() * u64::from(self.ungreeted) * dice) >> DICE_BITS;
        self.link = Link::Waiting { until: now.after_nanos(wait_ns) };
        self.state = State::ExpectHello { until: now.after_nanos(REACH_MAX.nanos()) };
    }

    /// The connection that was asked for is open, and the one before is not listened to any more.
    pub fn handle_connected(&mut self, now: Stamp<Driver>) {
        if !matches!(self.link, Link::Dialling) || matches!(self.state, State::Over) {
            return;
        }
        self.actions.push_back(Action::Say(Message::Hello(hello("linkqual", None))));
        if matches!(self.state, State::ExpectHello { .. }) {
            // There is no run yet that it could be attached to.
            self.link = Link::Open;
            self.state = State::ExpectHello { until: now.after_nanos(ANSWER_MAX.nanos()) };
            return;
        }
        self.actions.push_back(Action::Say(Message::Attach { run: self.run.to_string() }));
        self.link = Link::Attaching { until: now.after_nanos(OVERDUE.nanos()) };
    }

    /// Octets have moved on the connection since the last time: an answer may be among them.
    pub fn handle_progress(&mut self, now: Stamp<Driver>) {
        match &mut self.link {
            Link::Open => (self.asked_at, self.moved_at) = (now, Some(now)),
            Link::Attaching { until } => *until = now.after_nanos(OVERDUE.nanos()),
            Link::Dialling | Link::Waiting { .. } | Link::Lost => {}
        }
    }

    /// The connection that was asked for cannot be had now, because of `why`.
    pub fn handle_unreachable(&mut self, now: Stamp<Driver>, why: &str) {
        if matches!(self.state, State::ExpectHello { .. }) {
            return self.greet_again(now);
        }
        self.unreachable = Some(why.to_owned());
        if matches!(self.link, Link::Dialling) {
            self.reconnect(now);
        }
    }

    /// The agent cannot be spoken to any more, because of `why`: no further try can help.
    pub fn handle_lost(&mut self, now: Stamp<Driver>, why: &str) {
        self.closed_at.get_or_insert(now);
        self.link = Link::Lost;
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectStarted { running, .. } | State::Running(running) => {
                self.lose(now, running, why)
            }
            State::Over => State::Over,
            State::ExpectReceived { blocked, .. } => self.fail(Failure::Blocked(blocked)),
            _ => self.fail(Failure::Closed),
        };
        self.settle(now);
    }

    /// When another connection is to be opened.
    pub(super) fn link_until(&self) -> Option<Stamp<Driver>> {
        let overdue = |since: Stamp<Driver>| Some(since.after_nanos(OVERDUE.nanos()));
        match (&self.link, &self.state) {
            (_, State::Over) | (Link::Dialling | Link::Lost, _) => None,
            (Link::Attaching { until } | Link::Waiting { until }, _) => Some(*until),
            (
                Link::Open,
                State::ExpectGrant { .. }
                | State::ExpectPrepared { .. }
                | State::ExpectStarted { .. }
                | State::ExpectAccount { .. },
            ) => overdue(self.asked_at),
            (Link::Open, State::Running(running)) => overdue(self.asked_at.max(running.last_at())),
            (
                Link::Open,
                State::ExpectHello { .. }
                | State::Idle
                | State::Opening { .. }
                | State::Searching
                | State::ExpectReceived { .. },
            ) => None,
        }
    }

    /// Opens another connection: now, or a moment after the try before.
    pub(super) fn reconnect(&mut self, now: Stamp<Driver>) {
        let next_at = self.dialled_at.map(|dialled_at| dialled_at.after_nanos(RETRY.nanos()));
        self.link = match next_at.filter(|next_at| now < *next_at) {
            Some(until) => Link::Waiting { until },
            None => {
                self.dialled_at = Some(now);
                self.actions.push_back(Action::Reconnect);
                Link::Dialling
            }
        };
    }

    /// What a connection says before the run is attached to it; anything else is given back.
    pub(super) fn on_attaching(&mut self, now: Stamp<Driver>, message: Message) -> Option<Message> {
        match message {
            Message::Hello(hello) => {
                let theirs = Versions::of(&hello);
                if theirs.shared(Versions::OWN).is_none() {
                    let program = spoken(&hello.program);
                    let why = Failure::OtherVersion { program, theirs }.to_string();
                    self.handle_lost(now, &why);
                }
            }
            Message::Attached { trial, granted, .. } => self.on_attached(now, trial, granted),
            Message::Refused { reason } => self.on_forgotten(now, &reason),
            // Such as that it has no room for one more connection now.
            Message::Fault { reason } => {
                self.unreachable = Some(reason);
                self.reconnect(now);
            }
            message => return Some(message),
        }
        None
    }

    /// The run has a connection again: what still waits for an answer is said again, and the
    /// accounts too.
    pub(super) fn on_attached(&mut self, now: Stamp<Driver>, trial: Option<u32>, granted: bool) {
        self.link = Link::Open;
        (self.closed_at, self.unreachable) = (None, None);
        (self.asked_at, self.has_lapsed) = (now, !granted);
        let is_known = trial == Some(self.trials);
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectGrant { then, until } => self.ask_for_leave(now, then, until),
            State::ExpectPrepared { task, trial, until } if granted => {
                self.prepare(now, task, trial, until)
            }
            State::ExpectPrepared { task, trial, until } => {
                self.ask_for_leave(now, Some((task, trial)), until)
            }
            State::ExpectAccount { found, until } if is_known => {
                self.say(Message::Stop { trial: self.trials });
                State::ExpectAccount { found, until }
            }
            state @ (State::Opening { .. } | State::Searching) if is_known && granted => state,
            State::Opening { .. } | State::Searching | State::ExpectAccount { .. } => {
                self.actions.push_back(Action::Stop);
                self.fail(Failure::Lost("it ended it, as nothing was heard for a second".into()))
            }
            State::ExpectStarted { running, .. } | State::Running(running) if is_known => {
                let is_over = !granted && running.stopping.is_none() && now < running.ends_at;
                self.say_again(&running);
                match is_over {
                    true => self.stop(now, running, "the agent had ended the run", FETCH_MAX),
                    false => State::Running(running),
                }
            }
            State::ExpectStarted { running, .. } | State::Running(running) => {
                self.lose(now, running, "the agent has no record of this trial")
            }
            State::ExpectReceived { blocked, until } => {
                if is_known {
                    self.say(Message::Stop { trial: self.trials });
                }
                State::ExpectReceived { blocked, until }
            }
            state @ (State::ExpectHello { .. } | State::Idle | State::Over) => state,
        };
    }

    pub(super) fn say_again(&mut self, running: &Running) {
        if !running.started {
            self.say(Message::Start { trial: self.trials });
        }
        for stream in running.streams.iter().filter(|stream| Running::is_sent_here(stream)) {
            if let Some(sent) = running.sent.get(&stream.number) {
                self.close(stream.number, sent);
            }
        }
        if running.stopping.is_some() {
            self.say(Message::Stop { trial: self.trials });
        }
    }

    /// The agent does not know the run: it was started again. Where no trial is under way, nothing
    /// is lost by that, and it is asked as at first.
    pub(super) fn on_forgotten(&mut self, now: Stamp<Driver>, reason: &str) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let (then, until) = match state {
            State::ExpectGrant { then, until } => (then, until),
            State::ExpectPrepared { task, trial, until } => (Some((task, trial)), until),
            State::Idle => {
                (self.link, self.closed_at, self.has_lapsed) = (Link::Open, None, true);
                self.state = State::Idle;
                return;
            }
            State::ExpectStarted { running, .. } | State::Running(running) => {
                self.state = self.lose(now, running, &format!("the agent lost this run: {reason}"));
                return;
            }
            State::Opening { .. } | State::Searching | State::ExpectAccount { .. } => {
                self.actions.push_back(Action::Stop);
                self.state = self.fail(Failure::Lost(reason.to_owned()));
                return;
            }
            State::ExpectReceived { blocked, .. } => {
                self.state = self.fail(Failure::Blocked(blocked));
                return;
            }
            State::ExpectHello { .. } | State::Over => return,
        };
        (self.link, self.closed_at) = (Link::Open, None);
        self.state = self.ask_for_leave(now, then, until);
    }

    /// The agent is lost, and with it what it counted: this end reports what it has.
    pub(super) fn lose(&mut self, now: Stamp<Driver>, running: Running, reason: &str) -> State {
        let gone_at = running.heard.max(self.closed_at.unwrap_or(running.heard));
        self.link = Link::Lost;
        self.actions.push_back(Action::Gone(gone_at));
        self.stop(now, running, reason, LAST_WORDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::LATE_MAX;
    use crate::flow::NearEvent as Event;
    use crate::session::driver::state::{MOVING_MAX, Task};
    use crate::session::driver::tests::{NOW, actions, after, granted, idle, names, say};
    use crate::wire::Token;
    use crate::wire::control::{Account, RunId, Secrets};

    fn attached(trial: Option<u32>, granted: bool) -> Message {
        Message::Attached { run: RunId(7).to_string(), trial, granted }
    }

    /// As an agent does that has no place left for connections without a key.
    #[test]
    fn a_connection_that_closes_before_the_hello_is_opened_again_a_few_times() {
        let run = RunId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let (mut session, mut now) = (Session::new(run, NOW), NOW);
        assert_eq!(names(&actions(&mut session)), ["hello"]);
        for _ in 0..UNGREETED_MAX {
            session.handle_closed(now);
            assert_eq!(actions(&mut session), [], "not at once: others come back too");
            for _ in 0..2 {
                now = session.deadline().expect("another is to be opened");
                session.handle_timeout(now);
                if matches!(session.link, Link::Dialling) {
                    break;
                }
            }
            assert_eq!(actions(&mut session), [Action::Reconnect]);
            session.handle_connected(now);
            assert_eq!(names(&actions(&mut session)), ["hello"], "no run to be attached to");
        }
        assert!(now.nanos_since(NOW) < 15_000_000_000, "{now:?}");
        session.handle_closed(now);
        assert_eq!(actions(&mut session), [Action::Failed(Failure::Closed)]);
    }

    #[test]
    fn runs_that_are_pushed_out_together_do_not_come_back_together() {
        let waits = |run| {
            let mut session = Session::new(RunId(run), NOW);
            session.handle_closed(NOW);
            session.deadline().expect("another is to be opened")
        };
        assert_ne!(waits(1 << 30), waits(1 << 31));
    }

    #[test]
    fn an_agent_that_is_gone_before_its_hello_is_given_up() {
        let mut session = Session::new(RunId(7), NOW);
        session.handle_closed(NOW);
        let (mut now, mut failed) = (NOW, None);
        while failed.is_none() {
            now = session.deadline().expect("another try, or the end");
            session.handle_timeout(now);
            if actions(&mut session).contains(&Action::Reconnect) {
                session.handle_unreachable(now, "refused");
                failed = actions(&mut session).pop();
            }
        }
        assert_eq!(failed, Some(Action::Failed(Failure::Closed)));
        assert!(now.nanos_since(NOW) < 15_000_000_000, "{now:?}");
    }

    #[test]
    fn an_overdue_answer_is_asked_for_over_another_connection_until_the_time_is_over() {
        let mut session = granted();
        session.begin(NOW, Task::Measure, idle());
        assert_eq!(names(&actions(&mut session)), ["prepare"]);
        assert_eq!(session.deadline(), Some(after(OVERDUE)));
        session.handle_timeout(after(OVERDUE));
        assert_eq!(actions(&mut session), [Action::Reconnect]);
        // Refused at once, the next try comes a second after the one before.
        session.handle_unreachable(after(OVERDUE), "refused");
        assert_eq!(actions(&mut session), []);
        let next = after(OVERDUE.plus(RETRY));
        assert_eq!(session.deadline(), Some(next));
        session.handle_timeout(next);
        assert_eq!(actions(&mut session), [Action::Reconnect]);
        session.handle_connected(next);
        assert_eq!(names(&actions(&mut session)), ["hello", "attach"]);
        session.handle_timeout(next.after_nanos(OVERDUE.nanos()));
        assert_eq!(actions(&mut session), [Action::Reconnect], "nobody answers there either");
        session.handle_timeout(after(REACH_MAX));
        let failed = Action::Failed(Failure::Unreachable("refused".into()));
        assert_eq!(actions(&mut session).first(), Some(&failed));
        assert_eq!(session.deadline(), None);
    }

    /// Each time that it was asked over another connection, it had its whole time anew.
    #[test]
    fn an_agent_that_answers_the_attach_alone_is_given_up_in_time() {
        for (granted_still, asks) in [(true, "prepare"), (false, "request")] {
            let mut session = granted();
            session.begin(NOW, Task::Measure, idle());
            let mut now = NOW;
            let mut asked = names(&actions(&mut session));
            while let Some(deadline) = session.deadline() {
                now = deadline;
                session.handle_timeout(now);
                if actions(&mut session).contains(&Action::Reconnect) {
                    session.handle_connected(now);
                    session.handle_message(now, attached(None, granted_still));
                    asked.extend(names(&actions(&mut session)));
                }
                assert!(now <= after(REACH_MAX), "it is waited for at {now:?}");
            }
            assert_eq!(now, after(REACH_MAX));
            assert!(3 < asked.iter().filter(|word| **word == asks).count(), "{asked:?}");
        }
    }

    /// A trial whose data is over, and whose account is asked for.
    fn awaiting_account() -> Session {
        let mut session = granted();
        session.begin(NOW, Task::Measure, idle());
        let secrets = Secrets { stream: 0, token: Token(7), key: [1; 32] };
        let prepared = Message::Prepared { trial: 1, streams: vec![secrets] };
        say(&mut session, prepared);
        session.handle_trial(NOW, Event::Opened(0));
        say(&mut session, Message::Started { trial: 1 });
        session.handle_trial(NOW, Event::Probed(Box::default()));
        actions(&mut session);
        session
    }

    /// 4 MiB at 512 kbit/s take 66 s; it was dialled anew each 3 s, and the account began anew.
    #[test]
    fn a_connection_on_which_octets_move_is_not_overdue() {
        let mut session = awaiting_account();
        let ends = session.deadline().expect("the account is due").nanos_since(NOW);
        let mut at = Span::from_secs(10);
        while at < Span::from_secs(76) {
            at = at.plus(Span::from_millis(200));
            session.handle_progress(after(at));
            session.handle_timeout(after(at));
            assert_eq!(actions(&mut session), [], "{at}, where {ends} ns were due");
        }
        let account = Message::Account(Box::new(Account { trial: 1, ..Account::default() }));
        session.handle_message(after(at), account);
        let ended = actions(&mut session);
        assert!(matches!(ended.last(), Some(Action::Ended(_))), "{ended:?}");
    }

    #[test]
    fn an_agent_that_trickles_octets_holds_the_driver_no_longer_than_it_may() {
        let mut session = awaiting_account();
        let mut at = Span::from_secs(10);
        let ended = loop {
            at = at.plus(Span::from_secs(1));
            session.handle_progress(after(at));
            session.handle_timeout(after(at));
            let actions = actions(&mut session);
            if matches!(actions.last(), Some(Action::Ended(_))) {
                break at;
            }
            assert!(!actions.contains(&Action::Reconnect), "octets move");
        };
        let account_max = Span::from_secs(10).plus(LATE_MAX).plus(REACH_MAX);
        let most = account_max.plus(MOVING_MAX).plus(LAST_WORDS_MAX).plus(MOVING_MAX);
        assert!(account_max.plus(MOVING_MAX) < ended && ended <= most, "{ended}");
    }

    #[test]
    fn an_agent_without_room_for_another_connection_is_tried_again() {
        let mut session = granted();
        session.begin(NOW, Task::Measure, idle());
        session.handle_closed(NOW);
        session.handle_connected(NOW);
        actions(&mut session);
        assert_eq!(say(&mut session, Message::Fault { reason: "full".into() }), []);
        session.handle_closed(NOW);
        assert_eq!(session.deadline(), Some(after(RETRY)));
        session.handle_timeout(after(RETRY));
        assert_eq!(actions(&mut session), [Action::Reconnect]);
    }

    #[test]
    fn a_run_that_has_ended_between_trials_is_asked_for_once_more() {
        for (answer, words) in [
            (attached(None, true), &["prepare"][..]),
            (attached(None, false), &["request"]),
            (Message::Refused { reason: "started again".into() }, &["request"]),
        ] {
            let mut session = granted();
            session.begin(NOW, Task::Measure, idle());
            session.handle_closed(NOW);
            assert_eq!(actions(&mut session).last(), Some(&Action::Reconnect));
            session.handle_connected(NOW);
            actions(&mut session);
            assert_eq!(names(&say(&mut session, answer)), words);
            if words == ["request"] {
                let (run, duration_ns) = (RunId(7).to_string(), 1);
                let granted = crate::wire::control::Granted {
                    run,
                    duration_ns,
                    load: None,
                    free_rate_bit_s: 1,
                };
                assert_eq!(names(&say(&mut session, Message::Granted(granted))), ["prepare"]);
            }
            assert!(session.is_connected());
        }
    }
}
