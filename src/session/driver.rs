//! The driver's half of the conversation.
//!
//! A trial under way and the connection to its agent are two things. Data goes on whatever becomes
//! of the connection; where that closes, or an answer is overdue on it, another is opened, and the
//! run is attached to it. Then all that may not have been heard is said again.

use super::{ANSWER_MAX, Inconsistent, QUIET_MAX, convert, hello};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Half, HandshakeFailed, HostLimits, LATE_MAX, NearEvent as Event, Outcome, PROBE_STREAM, Probed,
    ReceiverCounts, SenderCounts, Status, Stream, TcpCame, TcpSent, TcpStream, streams_of,
    tcp_streams_of,
};
use crate::plan::{Limits, Trial};
use crate::policy::Request;
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Hello, Message, PROTOCOL, RunId, Secrets};
use crate::wire::seal::KEY_LEN;
use std::collections::{BTreeMap, VecDeque};

/// How long an answer may take before the connection is taken for dead, and another is opened
/// beside it.
const OVERDUE: Span = Span::from_secs(3);

/// How long an answer may take in all, over whichever connection; shorter than the agent keeps an
/// abandoned trial open, so that what comes at last is still exact.
const REACH_MAX: Span = Span::from_secs(18);

/// How long the record of a run is tried for that the agent has ended.
const FETCH_MAX: Span = Span::from_secs(10);

/// How long the two ends' last words on a trial that is stopped may take.
const LAST_WORDS_MAX: Span = LATE_MAX.plus(QUIET_MAX);

/// How far apart two connections are opened.
const RETRY: Span = Span::from_secs(1);

/// What a trial is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Task {
    /// To measure.
    Measure,
    /// To find the largest payload, at most this, that crosses both ways.
    FindPayload(u32),
}

/// A stream to be opened, and how it is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opening {
    /// The stream, its token in it.
    pub stream: Stream,
    /// Its key.
    pub key: [u8; KEY_LEN],
}

/// A TCP stream to be opened, and how its hello is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TcpOpening {
    /// The run.
    pub run: RunId,
    /// The stream, its token in it.
    pub stream: TcpStream,
    /// Its key.
    pub key: [u8; KEY_LEN],
}

/// How an agent introduced itself, and what it calls this driver; for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Introduced {
    /// Its program, with its version.
    pub program: String,
    /// The role that it gives this driver's key.
    pub role: Option<String>,
    /// What it calls this driver's key.
    pub who: Option<String>,
}

/// The longest word of an agent's that is kept.
const WORD_MAX: usize = 128;

/// What an agent says, as far as it is printed.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A name that an agent says.
fn word(text: &str) -> String {
    printable(text).chars().take(WORD_MAX).collect()
}

/// What the hands are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say this to the agent.
    Say(Message),
    /// Open these streams, each by its handshake, and these TCP streams, each by its hello.
    Open(Vec<Opening>, Vec<TcpOpening>),
    /// All streams are open: search, then tell [`Event::PayloadFound`].
    FindPayload(u32),
    /// All streams are open: send and receive.
    Start,
    /// The agent's account of a stream that comes from it; of the probes' stream, of its replies.
    Close(StreamNumber, SenderCounts),
    /// End the trial now; what it has counted is still told.
    Stop,
    /// The agent is gone since then: what does not come any more is not the line's doing.
    Gone(Stamp<Driver>),
    /// Open another connection, and tell [`Session::handle_connected`] or
    /// [`Session::handle_unreachable`]; what is said until then goes over the old one, where that
    /// is still open.
    Reconnect,
    /// The agent has admitted this driver, with these limits.
    Admitted(Limits, Box<Introduced>),
    /// The agent has granted the request.
    Granted,
    /// The largest payload that crosses both ways; `None` where nothing did.
    PayloadFound(Option<u32>),
    /// The trial is over.
    Ended(Box<Outcome>),
    /// The conversation is over.
    Failed(Failure),
}

/// Why a conversation is over before its time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The agent said no.
    #[error("{0}")]
    Refused(String),
    /// The agent's version is another.
    #[error(
        "the agent is {program} and speaks protocol version {theirs}, this driver speaks \
         {PROTOCOL}: install the same release at both ends"
    )]
    OtherVersion {
        /// The agent, as it introduced itself.
        program: String,
        /// Its version of the protocol.
        theirs: u32,
    },
    /// The agent said what makes no sense here.
    #[error("the agent broke the protocol: {0}")]
    Protocol(String),
    /// The connection closed.
    #[error("the agent closed the connection")]
    Closed,
    /// No answer came.
    #[error("the agent did not answer within {0}")]
    Timeout(Span),
    /// The connection was lost, and there was no other.
    #[error("the control connection was lost, and none could be had again within {REACH_MAX}: {0}")]
    Unreachable(String),
    /// The agent does not know the run any more.
    #[error("the agent lost this run: {0}")]
    Lost(String),
    /// No stream could be opened.
    #[error("{0}")]
    NotOpened(String),
}

#[derive(Debug)]
enum State {
    ExpectHello {
        until: Stamp<Driver>,
    },
    Idle,
    /// `then` waits for a grant that is asked for once more.
    ExpectGrant {
        then: Option<(Task, Trial)>,
        until: Stamp<Driver>,
    },
    ExpectPrepared {
        task: Task,
        trial: Trial,
        until: Stamp<Driver>,
    },
    Opening {
        task: Task,
        running: Running,
    },
    ExpectStarted {
        running: Running,
        until: Stamp<Driver>,
    },
    Running(Running),
    Searching,
    ExpectAccount {
        found: Option<u32>,
        until: Stamp<Driver>,
    },
    Over,
}

/// How the agent can be spoken to.
#[derive(Debug)]
enum Link {
    /// The run has a connection.
    Open,
    /// The hands open another, beside one that is silent or in the place of one that closed.
    Dialling,
    /// Another is open; the agent is asked for the run.
    Attaching { until: Stamp<Driver> },
    /// The agent could not be reached: the next try comes.
    Waiting { until: Stamp<Driver> },
    /// There will be none any more.
    Lost,
}

/// A trial under way.
#[derive(Debug)]
struct Running {
    trial: Trial,
    streams: Vec<Stream>,
    tcp: Vec<TcpStream>,
    opened: usize,
    started: bool,
    ends_at: Stamp<Driver>,
    heard: Stamp<Driver>,
    sent: BTreeMap<StreamNumber, SenderCounts>,
    came: BTreeMap<StreamNumber, ReceiverCounts>,
    tcp_sent: BTreeMap<StreamNumber, TcpSent>,
    tcp_came: BTreeMap<StreamNumber, TcpCame>,
    probed: Option<Box<Probed>>,
    account: Option<Account>,
    stopping: Option<Stopping>,
}

/// A trial that is cut short: the hands and the agent are given a moment to tell what they have.
#[derive(Debug)]
struct Stopping {
    reason: String,
    until: Stamp<Driver>,
}

impl Running {
    /// Whether this end has nothing more to count.
    fn is_counted(&self) -> bool {
        let counted = |stream: &Stream| match (stream.number, stream.direction) {
            (PROBE_STREAM, _) => self.probed.is_some(),
            (number, Direction::Forward) => self.sent.contains_key(&number),
            (number, Direction::Reverse) => self.came.contains_key(&number),
        };
        let tcp_counted = |stream: &TcpStream| match stream.direction {
            Direction::Forward => self.tcp_sent.contains_key(&stream.number),
            Direction::Reverse => self.tcp_came.contains_key(&stream.number),
        };
        self.streams.iter().all(counted) && self.tcp.iter().all(tcp_counted)
    }

    /// Whether every stream is open.
    const fn is_open(&self) -> bool {
        self.opened == self.streams.len() + self.tcp.len()
    }

    /// Until when the agent's account is waited for, and tried for.
    const fn account_until(&self) -> Stamp<Driver> {
        self.ends_at.after_nanos(LATE_MAX.plus(REACH_MAX).nanos())
    }

    /// Whether this end sends `stream`, and so closes its account.
    fn is_sent_here(stream: &Stream) -> bool {
        stream.number == PROBE_STREAM || stream.direction == Direction::Forward
    }
}

/// The driver's half of a conversation with one agent.
#[derive(Debug)]
pub struct Session {
    run: RunId,
    state: State,
    trials: u32,
    /// What leave was asked for last; asked again where the agent has ended the run meanwhile.
    request: Option<Request>,
    has_lapsed: bool,
    link: Link,
    /// When the run's connection closed, where it has no other yet.
    closed_at: Option<Stamp<Driver>>,
    /// Why the agent could not be reached, the last time.
    unreachable: Option<String>,
    dialled_at: Option<Stamp<Driver>>,
    /// When the connection was last given something to answer.
    asked_at: Stamp<Driver>,
    actions: VecDeque<Action>,
}

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
            asked_at: now,
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
        self.state = self.ask_for_leave(now, None);
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
            true => self.ask_for_leave(now, Some((task, trial))),
            false => self.prepare(now, task, trial),
        };
    }

    /// No more trials: the agent may free what it holds.
    pub fn finish(&mut self) {
        self.say(Message::Finish);
        self.state = State::Over;
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
            Message::Refused { reason } => Message::Refused { reason: printable(&reason) },
            Message::Fault { reason } => Message::Fault { reason: printable(&reason) },
            message => message,
        };
        let message = match (&self.link, message) {
            (Link::Attaching { .. }, message) => match self.on_attaching(now, message) {
                Some(message) => message,
                None => return self.settle(now),
            },
            (_, message) => message,
        };
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (state, message) {
            (State::ExpectHello { .. }, Message::Hello(hello)) => self.on_hello(hello),
            (State::ExpectGrant { then, .. }, Message::Granted(_)) => self.on_granted(now, then),
            (State::ExpectGrant { then: None, .. }, Message::Refused { reason }) => {
                self.fail(Failure::Refused(reason))
            }
            (
                State::ExpectGrant { then: Some((_, trial)), .. }
                | State::ExpectPrepared { trial, .. },
                Message::Refused { reason },
            ) => self.end_with(Outcome::nothing(trial, Status::Refused, reason)),
            (
                State::ExpectPrepared { task, trial, .. },
                Message::Prepared { trial: number, streams },
            ) if number == self.trials => self.on_prepared(now, task, trial, &streams),
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
            (State::ExpectAccount { found, .. }, Message::Account(account))
                if account.trial == self.trials =>
            {
                self.actions.push_back(Action::PayloadFound(found));
                State::Idle
            }
            (
                State::ExpectStarted { running, .. } | State::Running(running),
                Message::Fault { reason },
            ) => self.lose(now, running, &format!("the agent broke it off: {reason}")),
            (_, Message::Fault { reason }) => self.fail(Failure::Protocol(reason)),
            (state, message) => self.on_stray(state, &message),
        };
        self.settle(now);
    }

    /// The connection to the agent closed; the trial under way need not end.
    pub fn handle_closed(&mut self, now: Stamp<Driver>) {
        match (&self.state, &self.link) {
            (State::Over, _) => return,
            (State::ExpectHello { .. }, _) => self.state = self.fail(Failure::Closed),
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

    /// The connection that was asked for is open, and the one before is not listened to any more.
    pub fn handle_connected(&mut self, now: Stamp<Driver>) {
        if matches!(self.link, Link::Dialling) && !matches!(self.state, State::Over) {
            self.actions.push_back(Action::Say(Message::Hello(hello("linkqual", None))));
            self.actions.push_back(Action::Say(Message::Attach { run: self.run.to_string() }));
            self.link = Link::Attaching { until: now.after_nanos(OVERDUE.nanos()) };
        }
    }

    /// The connection that was asked for cannot be had now, because of `why`.
    pub fn handle_unreachable(&mut self, now: Stamp<Driver>, why: &str) {
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
            _ => self.fail(Failure::Closed),
        };
        self.settle(now);
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
                self.on_not_opened(&running, stream, why)
            }
            (State::Opening { running, .. }, Event::NotConnected(stream, why)) => {
                self.on_not_connected(&running, stream, &why)
            }
            (State::Searching, Event::PayloadFound(found)) => {
                self.actions.push_back(Action::Stop);
                self.say(Message::Stop { trial: self.trials });
                self.asked_at = now;
                State::ExpectAccount { found, until: now.after_nanos(REACH_MAX.nanos()) }
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
            // A stream that could not be carried tells so before the others are open.
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
            State::ExpectHello { .. } => self.fail(Failure::Timeout(ANSWER_MAX)),
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
                    let reason = "the agent went away: the control connection closed, and then \
                                  no data came";
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

    /// The user wants it to end: what was measured is still told.
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

    fn state_until(&self) -> Option<Stamp<Driver>> {
        match &self.state {
            State::ExpectHello { until }
            | State::ExpectGrant { until, .. }
            | State::ExpectPrepared { until, .. }
            | State::ExpectStarted { until, .. }
            | State::ExpectAccount { until, .. } => Some(*until),
            State::Running(running) => Some(self.running_until(running)),
            State::Opening { .. } | State::Searching | State::Idle | State::Over => None,
        }
    }

    /// When another connection is to be opened.
    fn link_until(&self) -> Option<Stamp<Driver>> {
        let overdue = |since: Stamp<Driver>| Some(since.after_nanos(OVERDUE.nanos()));
        match (&self.link, &self.state) {
            (_, State::Over | State::ExpectHello { .. }) | (Link::Dialling | Link::Lost, _) => None,
            (Link::Attaching { until } | Link::Waiting { until }, _) => Some(*until),
            (
                Link::Open,
                State::ExpectGrant { .. }
                | State::ExpectPrepared { .. }
                | State::ExpectStarted { .. }
                | State::ExpectAccount { .. },
            ) => overdue(self.asked_at),
            (Link::Open, State::Running(running)) => {
                overdue(self.asked_at.max(running.ends_at.after_nanos(LATE_MAX.nanos())))
            }
            (Link::Open, State::Idle | State::Opening { .. } | State::Searching) => None,
        }
    }

    /// Says what is to be answered, or to be known. What no connection carries is said again once
    /// the run has another.
    fn say(&mut self, message: Message) {
        if matches!(self.link, Link::Open | Link::Dialling | Link::Waiting { .. }) {
            self.actions.push_back(Action::Say(message));
        }
    }

    fn ask_for_leave(&mut self, now: Stamp<Driver>, then: Option<(Task, Trial)>) -> State {
        if let Some(request) = &self.request {
            self.say(Message::Request(convert::request(self.run, request)));
        }
        self.asked_at = now;
        State::ExpectGrant { then, until: now.after_nanos(REACH_MAX.nanos()) }
    }

    fn prepare(&mut self, now: Stamp<Driver>, task: Task, trial: Trial) -> State {
        self.say(Message::Prepare(convert::prepare(self.trials, &trial)));
        self.asked_at = now;
        State::ExpectPrepared { task, trial, until: now.after_nanos(REACH_MAX.nanos()) }
    }

    fn on_granted(&mut self, now: Stamp<Driver>, then: Option<(Task, Trial)>) -> State {
        self.has_lapsed = false;
        match then {
            Some((task, trial)) => self.prepare(now, task, trial),
            None => {
                self.actions.push_back(Action::Granted);
                State::Idle
            }
        }
    }

    /// Opens another connection: now, or a moment after the try before.
    fn reconnect(&mut self, now: Stamp<Driver>) {
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
    fn on_attaching(&mut self, now: Stamp<Driver>, message: Message) -> Option<Message> {
        match message {
            Message::Hello(hello) if hello.protocol == PROTOCOL => {}
            Message::Hello(hello) => {
                let (program, theirs) = (hello.program, hello.protocol);
                let why = Failure::OtherVersion { program, theirs }.to_string();
                self.handle_lost(now, &why);
            }
            Message::Attached { trial, granted, .. } => self.on_attached(now, trial, granted),
            Message::Refused { reason } => self.on_forgotten(now, &reason),
            message => return Some(message),
        }
        None
    }

    /// The run has a connection again: what still waits for an answer is said again, and the
    /// accounts too.
    fn on_attached(&mut self, now: Stamp<Driver>, trial: Option<u32>, granted: bool) {
        self.link = Link::Open;
        (self.closed_at, self.unreachable) = (None, None);
        (self.asked_at, self.has_lapsed) = (now, !granted);
        let is_known = trial == Some(self.trials);
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectGrant { then, .. } => self.ask_for_leave(now, then),
            State::ExpectPrepared { task, trial, .. } if granted => self.prepare(now, task, trial),
            State::ExpectPrepared { task, trial, .. } => {
                self.ask_for_leave(now, Some((task, trial)))
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
            state @ (State::ExpectHello { .. } | State::Idle | State::Over) => state,
        };
    }

    fn say_again(&mut self, running: &Running) {
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
    fn on_forgotten(&mut self, now: Stamp<Driver>, reason: &str) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let then = match state {
            State::ExpectGrant { then, .. } => then,
            State::ExpectPrepared { task, trial, .. } => Some((task, trial)),
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
            State::ExpectHello { .. } | State::Over => return,
        };
        (self.link, self.closed_at) = (Link::Open, None);
        self.state = self.ask_for_leave(now, then);
    }

    /// The agent is lost, and with it what it counted: this end tells what it has.
    fn lose(&mut self, now: Stamp<Driver>, running: Running, reason: &str) -> State {
        let gone_at = running.heard.max(self.closed_at.unwrap_or(running.heard));
        self.link = Link::Lost;
        self.actions.push_back(Action::Gone(gone_at));
        self.stop(now, running, reason, LAST_WORDS_MAX)
    }

    fn no_account(&mut self) -> String {
        match (&self.link, self.unreachable.take()) {
            (Link::Open, _) | (_, None) => "the agent's account did not arrive in time".to_owned(),
            (_, Some(why)) => {
                format!("the agent's account could not be fetched: {why}")
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> State {
        self.actions.push_back(Action::Failed(failure));
        State::Over
    }

    fn end_with(&mut self, outcome: Outcome) -> State {
        self.actions.push_back(Action::Ended(Box::new(outcome)));
        State::Idle
    }

    fn on_hello(&mut self, hello: Hello) -> State {
        if hello.protocol != PROTOCOL {
            let (program, theirs) = (hello.program, hello.protocol);
            return self.fail(Failure::OtherVersion { program, theirs });
        }
        let introduced = Introduced {
            program: word(&hello.program),
            role: hello.role.as_deref().map(word),
            who: hello.who.as_deref().map(word),
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

    fn on_prepared(
        &mut self,
        now: Stamp<Driver>,
        task: Task,
        trial: Trial,
        secrets: &[Secrets],
    ) -> State {
        let streams = streams_of(&trial);
        let opening = |stream: &Stream| {
            let secret = secrets.iter().find(|secret| secret.stream == stream.number)?;
            Some(Opening { stream: Stream { token: secret.token, ..*stream }, key: secret.key })
        };
        let Some(openings) = streams.iter().map(opening).collect::<Option<Vec<_>>>() else {
            return self.fail(Failure::Protocol("a stream without its secrets".into()));
        };
        let tcp = tcp_streams_of(&trial);
        let run = self.run;
        let tcp_opening = |stream: &TcpStream| {
            let secret = secrets.iter().find(|secret| secret.stream == stream.number)?;
            let stream = TcpStream { token: secret.token, ..*stream };
            Some(TcpOpening { run, stream, key: secret.key })
        };
        let Some(tcp_openings) = tcp.iter().map(tcp_opening).collect::<Option<Vec<_>>>() else {
            return self.fail(Failure::Protocol("a TCP stream without its secrets".into()));
        };
        self.actions.push_back(Action::Open(openings, tcp_openings));
        let running = Running {
            trial,
            streams,
            tcp,
            opened: 0,
            started: false,
            ends_at: now,
            heard: now,
            sent: BTreeMap::new(),
            came: BTreeMap::new(),
            tcp_sent: BTreeMap::new(),
            tcp_came: BTreeMap::new(),
            probed: None,
            account: None,
            stopping: None,
        };
        State::Opening { task, running }
    }

    fn on_all_open(&mut self, now: Stamp<Driver>, task: Task, mut running: Running) -> State {
        match task {
            Task::FindPayload(most) => {
                self.actions.push_back(Action::FindPayload(most));
                State::Searching
            }
            Task::Measure => {
                running.ends_at = now.after_nanos(running.trial.duration().nanos());
                running.heard = now;
                self.say(Message::Start { trial: self.trials });
                self.asked_at = now;
                self.actions.push_back(Action::Start);
                State::ExpectStarted { running, until: now.after_nanos(ANSWER_MAX.nanos()) }
            }
        }
    }

    fn on_not_opened(
        &mut self,
        running: &Running,
        stream: StreamNumber,
        why: HandshakeFailed,
    ) -> State {
        let what = match why {
            HandshakeFailed::NoAnswer => "no UDP datagram came back from the agent's port",
            HandshakeFailed::NotAccepted => {
                "the agent's first UDP datagram came back, and none after it"
            }
        };
        self.give_up(format!(
            "stream {stream} of {} could not be opened: {what} within 5 s. Does a firewall let UDP \
             to that port pass, both ways?",
            running.streams.len()
        ))
    }

    fn on_not_connected(&mut self, running: &Running, stream: StreamNumber, why: &str) -> State {
        self.give_up(format!(
            "TCP stream {stream} of {} could not be opened: {why}. Does a firewall limit how many \
             connections to that port may be open?",
            running.tcp.len()
        ))
    }

    /// A trial that cannot begin.
    fn give_up(&mut self, reason: String) -> State {
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        self.fail(Failure::NotOpened(reason))
    }

    fn on_trial_message(&mut self, mut running: Running, message: Message) -> Running {
        let result = match message {
            Message::Closing { trial, stream, sent } if trial == self.trials => {
                SenderCounts::try_from(&sent).map(|sent| {
                    self.actions.push_back(Action::Close(stream, sent.clone()));
                    running.sent.insert(stream, sent);
                })
            }
            Message::Account(account) if account.trial == self.trials => {
                let trial = &running.trial;
                let last_due = trial.probe_rate().due(trial.probes().saturating_sub(1));
                let (sent, last_due_ns) = (account.replies, last_due.nanos());
                let replies = SenderCounts { sent, last_due_ns, ..SenderCounts::default() };
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

    fn on_counted(&mut self, mut running: Running, event: Event) -> Running {
        match event {
            Event::Sent(stream, sent) => {
                self.close(stream, &sent);
                running.sent.insert(stream, sent);
            }
            Event::Came(stream, counts) => _ = running.came.insert(stream, counts),
            Event::TcpSent(stream, sent) => _ = running.tcp_sent.insert(stream, sent),
            Event::TcpCame(stream, came) => _ = running.tcp_came.insert(stream, came),
            Event::Probed(probed) => running.probed = Some(probed),
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Opened(_) | Event::NotOpened(..) | Event::NotConnected(..) => {}
            Event::HostFailed(_) | Event::PayloadFound(_) => {}
        }
        running
    }

    fn close(&mut self, stream: StreamNumber, sent: &SenderCounts) {
        self.say(Message::Closing { trial: self.trials, stream, sent: sent.into() });
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

    /// Ends the trial under way when both ends have counted all, or nothing more can come.
    fn settle(&mut self, now: Stamp<Driver>) {
        let State::Running(running) = &self.state else { return };
        let agent_told = running.account.is_some() || matches!(self.link, Link::Lost);
        if !running.is_counted() || !agent_told {
            return;
        }
        debug_assert!(running.heard <= now, "a trial was heard in the future");
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Over) {
            self.state = self.end(running);
        }
    }

    /// When something is to be done about a running trial, whatever comes. Where the connection
    /// closed and no data came for a second since, the agent has ended the run; behind the trial's
    /// end none is due, and it still waits for the accounts.
    fn running_until(&self, running: &Running) -> Stamp<Driver> {
        if let Some(stopping) = &running.stopping {
            return stopping.until;
        }
        let quiet = |closed_at| running.heard.max(closed_at).after_nanos(QUIET_MAX.nanos());
        let quiet = self.closed_at.map(quiet).filter(|quiet| *quiet < running.ends_at);
        quiet.unwrap_or_else(|| running.account_until())
    }

    /// Ends the trial; what either end still has to tell of it may take `most`.
    fn stop(
        &mut self,
        now: Stamp<Driver>,
        mut running: Running,
        reason: &str,
        most: Span,
    ) -> State {
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        let until = now.after_nanos(most.nanos());
        let reason = reason.to_owned();
        let stopping = running.stopping.get_or_insert(Stopping { reason, until });
        stopping.until = stopping.until.min(until);
        State::Running(running)
    }

    fn end(&mut self, running: Running) -> State {
        if !running.is_counted() {
            self.actions.push_back(Action::Stop);
        }
        let outcome = compose(running);
        self.end_with(outcome)
    }
}

/// Puts both ends' accounts together.
fn compose(mut running: Running) -> Outcome {
    let mut outcome = Outcome::nothing(running.trial, Status::Ok, String::new());
    let stopping = running.stopping.take();
    let account = running.account.take();
    let no_account = || account.is_none().then(|| "the agent's account is missing".to_owned());
    outcome.reason = stopping.map(|stopping| stopping.reason).or_else(no_account);
    let (agent, broken) = match account.as_ref().map(take_account).transpose() {
        Ok(agent) => (agent, None),
        Err(error) => (None, Some(format!("the agent's account makes no sense: {error}"))),
    };
    outcome.reason = outcome.reason.take().or(broken);
    outcome.agent = agent.as_ref().map(|agent| agent.host).unwrap_or_default();
    let came_to_agent = agent.as_ref().map(|agent| &agent.counts);
    for direction in Direction::ALL {
        let came = match direction {
            Direction::Forward => came_to_agent,
            Direction::Reverse => Some(&running.came),
        };
        let mut streams = running
            .streams
            .iter()
            .filter(|stream| stream.number != PROBE_STREAM && stream.direction == direction)
            .map(|stream| stream.number);
        let half = outcome.half_mut(direction);
        half.sent =
            sum(streams.clone().map(|stream| running.sent.get(&stream)), SenderCounts::merge);
        half.came = came
            .and_then(|came| sum(streams.by_ref().map(|s| came.get(&s)), ReceiverCounts::merge));
        half.gaps = half.came.as_ref().map(|came| came.gaps.clone()).unwrap_or_default();
    }
    compose_tcp(&mut outcome, &running, agent.as_ref());
    let probed = running.probed.map(|probed| *probed).unwrap_or_default();
    let reflected = agent.map(|agent| agent.reflected);
    let marks = reflected.as_ref().map(|reflected| reflected.marks);
    outcome.take_probes(probed.exchanges, probed.refused, probed.replies, reflected);
    (outcome.forward.probing.marks, outcome.reverse.probing.marks) = (marks, Some(probed.marks));
    if outcome.reason.is_some() {
        outcome.status = Status::Partial;
        Direction::ALL.into_iter().for_each(|way| put_down_tail(outcome.half_mut(way)));
    }
    outcome
}

/// Puts both ends' accounts of TCP together.
fn compose_tcp(outcome: &mut Outcome, running: &Running, agent: Option<&AgentAccount>) {
    for direction in Direction::ALL {
        let streams = running.tcp.iter().filter(|stream| stream.direction == direction);
        let numbers: Vec<StreamNumber> = streams.map(|stream| stream.number).collect();
        if numbers.is_empty() {
            continue;
        }
        let own_sent = sum(numbers.iter().map(|n| running.tcp_sent.get(n)), TcpSent::merge);
        let own_came = sum(numbers.iter().map(|n| running.tcp_came.get(n)), TcpCame::merge);
        let half = outcome.half_mut(direction);
        (half.tcp_sent, half.tcp_came) = match direction {
            Direction::Forward => (own_sent, agent.and_then(|agent| agent.tcp_came.clone())),
            Direction::Reverse => (agent.and_then(|agent| agent.tcp_sent.clone()), own_came),
        };
        if let Some(came) = &half.tcp_came {
            half.gaps = came.gaps.clone();
        }
    }
}

/// Of a trial that was cut short, a receiver may have closed its account before it knew what was
/// sent. What it never saw is lost; whether on the line, or because nobody listened any more, is
/// not known.
fn put_down_tail(half: &mut Half) {
    let (Some(sent), Some(came)) = (&half.sent, &mut half.came) else { return };
    let seen = came.received + came.lost() + came.late + came.host_dropped;
    let tail = sent.sent.saturating_sub(seen);
    came.periods.close();
    came.periods.on_lost(tail);
    came.periods.close();
    came.unattributed += tail;
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

struct AgentAccount {
    counts: BTreeMap<StreamNumber, ReceiverCounts>,
    tcp_sent: Option<TcpSent>,
    tcp_came: Option<TcpCame>,
    reflected: crate::flow::Reflected,
    host: HostLimits,
}

fn take_account(account: &Account) -> Result<AgentAccount, Inconsistent> {
    let counts = account.counts.iter().map(|(stream, counts)| Ok((*stream, counts.try_into()?)));
    Ok(AgentAccount {
        counts: counts.collect::<Result<_, Inconsistent>>()?,
        tcp_sent: account.tcp_sent.as_deref().map(TryInto::try_into).transpose()?,
        tcp_came: account.tcp_came.as_deref().map(TryInto::try_into).transpose()?,
        reflected: convert::reflected(account)?,
        host: account.host.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::LimitsMessage;

    const NOW: Stamp<Driver> = Stamp::from_nanos(1_000);

    fn say(session: &mut Session, message: Message) -> Vec<Action> {
        session.handle_message(NOW, message);
        std::iter::from_fn(|| session.poll_action()).collect()
    }

    fn admitted() -> Session {
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
        session.request(NOW, &Request { circuit: None, duration: Span::from_secs(1), load: None });
        assert!(matches!(session.poll_action(), Some(Action::Say(Message::Request(_)))));
    }

    #[test]
    fn another_version_is_told_with_both_numbers() {
        let mut session = Session::new(RunId(7), NOW);
        let other = Hello { protocol: PROTOCOL + 1, ..hello("linkqual-agent", None) };
        let actions = say(&mut session, Message::Hello(other));
        let Some(Action::Failed(failure)) = actions.last() else { panic!("{actions:?}") };
        let text = failure.to_string();
        assert!(text.contains("speaks protocol version 4, this driver speaks 3"), "{text}");
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

    fn actions(session: &mut Session) -> Vec<Action> {
        std::iter::from_fn(|| session.poll_action()).collect()
    }

    fn after(span: Span) -> Stamp<Driver> {
        NOW.after_nanos(span.nanos())
    }

    /// A driver that has asked for leave, and been granted it.
    fn granted() -> Session {
        let mut session = admitted();
        session.request(NOW, &Request { circuit: None, duration: Span::from_secs(1), load: None });
        let (run, duration_ns) = (RunId(7).to_string(), 1);
        let granted = crate::wire::control::Granted { run, duration_ns, load: None };
        let said = say(&mut session, Message::Granted(granted));
        assert!(matches!(said[..], [Action::Say(Message::Request(_)), Action::Granted]));
        session
    }

    fn idle() -> Trial {
        Trial::new(None, Span::from_secs(10)).expect("a trial")
    }

    /// The names of what is said.
    fn names(actions: &[Action]) -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::Say(message) => Some(message.name()),
            _ => None,
        };
        actions.iter().filter_map(name).collect()
    }

    fn attached(trial: Option<u32>, granted: bool) -> Message {
        Message::Attached { run: RunId(7).to_string(), trial, granted }
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
                let granted = crate::wire::control::Granted { run, duration_ns, load: None };
                assert_eq!(names(&say(&mut session, Message::Granted(granted))), ["prepare"]);
            }
            assert!(session.is_connected());
        }
    }

    /// The agent closes its account when it is stopped; behind the last packet that came it knows
    /// of none.
    #[test]
    fn what_a_receiver_that_was_stopped_never_saw_is_lost_and_doubtful() {
        let sent = Some(SenderCounts { sent: 10, ..SenderCounts::default() });
        let mut came = ReceiverCounts { received: 6, ..ReceiverCounts::default() };
        came.periods.on_lost(1);
        let mut half = Half { sent, came: Some(came), ..Half::default() };
        put_down_tail(&mut half);
        let came = half.came.expect("it was there");
        assert_eq!((came.lost(), came.unattributed, came.periods.longest()), (4, 3, 3));
    }
}
