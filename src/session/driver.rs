//! The driver's half of the conversation.

use super::{ANSWER_MAX, Inconsistent, QUIET_MAX, convert, hello};
use crate::clock::{Driver, Stamp};
use crate::flow::{
    HandshakeFailed, HostLimits, LATE_MAX, NearEvent as Event, Outcome, PROBE_STREAM, Probed,
    SentCounts, Status, Stream, Tally, TcpCame, TcpSent, TcpStream, streams_of, tcp_streams_of,
};
use crate::plan::{Direction, Limits, PROBES_PER_SECOND, Trial};
use crate::policy::Request;
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Hello, Message, PROTOCOL, RunId, Secrets};
use crate::wire::seal::KEY_LEN;
use std::collections::{BTreeMap, VecDeque};

/// How long after the last packet was due the two ends' accounts may take.
const ACCOUNTS_MAX: Span = Span::from_secs(5);

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
    Close(StreamNumber, SentCounts),
    /// End the trial now; what it has counted is still told.
    Stop,
    /// The agent has admitted this driver, with these limits.
    Admitted(Limits),
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
    /// No stream could be opened.
    #[error("{0}")]
    NotOpened(String),
}

#[derive(Debug)]
enum State {
    ExpectHello { until: Stamp<Driver> },
    Idle,
    ExpectGrant { until: Stamp<Driver> },
    ExpectPrepared { task: Task, trial: Trial, until: Stamp<Driver> },
    Opening { task: Task, running: Running },
    ExpectStarted { running: Running, until: Stamp<Driver> },
    Running(Running),
    Searching,
    ExpectAccount { found: Option<u32>, until: Stamp<Driver> },
    Over,
}

/// A trial under way.
#[derive(Debug)]
struct Running {
    trial: Trial,
    streams: Vec<Stream>,
    tcp: Vec<TcpStream>,
    opened: usize,
    ends_at: Stamp<Driver>,
    heard: Stamp<Driver>,
    sent: BTreeMap<StreamNumber, SentCounts>,
    came: BTreeMap<StreamNumber, Tally>,
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
}

/// The driver's half of a conversation with one agent.
#[derive(Debug)]
pub struct Session {
    run: RunId,
    state: State,
    trials: u32,
    connected: bool,
    closed_at: Option<Stamp<Driver>>,
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
            connected: true,
            closed_at: None,
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
        self.say(Message::Request(convert::request(self.run, request)));
        self.state = State::ExpectGrant { until: now.after_nanos(ANSWER_MAX.nanos()) };
    }

    /// Begins a trial.
    ///
    /// # Panics
    ///
    /// Panics where something else is under way: the caller's own order is wrong.
    pub fn begin(&mut self, now: Stamp<Driver>, task: Task, trial: Trial) {
        assert!(matches!(self.state, State::Idle), "a trial while {:?}", self.state);
        self.trials += 1;
        self.say(Message::Prepare(convert::prepare(self.trials, &trial)));
        let until = now.after_nanos(ANSWER_MAX.nanos());
        self.state = State::ExpectPrepared { task, trial, until };
    }

    /// No more trials: the agent may free what it holds.
    pub fn finish(&mut self) {
        if self.connected {
            self.say(Message::Finish);
        }
        self.state = State::Over;
    }

    /// Whether the agent can still be spoken to.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected && !matches!(self.state, State::Over)
    }

    /// The next action; `None` until something else happens.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Stamp<Driver>> {
        match &self.state {
            State::ExpectHello { until }
            | State::ExpectGrant { until }
            | State::ExpectPrepared { until, .. }
            | State::ExpectStarted { until, .. }
            | State::ExpectAccount { until, .. } => Some(*until),
            State::Running(running) => Some(self.running_until(running)),
            State::Opening { .. } | State::Searching | State::Idle | State::Over => None,
        }
    }

    /// The agent said `message`.
    pub fn handle_message(&mut self, now: Stamp<Driver>, message: Message) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (state, message) {
            (State::ExpectHello { .. }, Message::Hello(hello)) => self.on_hello(hello),
            (State::ExpectGrant { .. }, Message::Granted(_)) => {
                self.actions.push_back(Action::Granted);
                State::Idle
            }
            (State::ExpectGrant { .. }, Message::Refused { reason }) => {
                self.fail(Failure::Refused(reason))
            }
            (State::ExpectPrepared { trial, .. }, Message::Refused { reason }) => {
                self.end_with(Outcome::nothing(trial, Status::Refused, reason))
            }
            (
                State::ExpectPrepared { task, trial, .. },
                Message::Prepared { trial: number, streams },
            ) if number == self.trials => self.on_prepared(now, task, trial, &streams),
            (State::ExpectStarted { running, .. }, Message::Started { trial })
                if trial == self.trials =>
            {
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
            (State::ExpectAccount { found, .. }, Message::Account(_)) => {
                self.actions.push_back(Action::PayloadFound(found));
                State::Idle
            }
            (_, Message::Fault { reason }) => self.fail(Failure::Protocol(reason)),
            (state, message) => self.on_stray(state, &message),
        };
        self.settle(now);
    }

    /// The connection to the agent closed; the trial under way need not end.
    pub fn handle_closed(&mut self, now: Stamp<Driver>) {
        self.connected = false;
        self.closed_at = Some(now);
        let waits = matches!(
            self.state,
            State::ExpectHello { .. }
                | State::ExpectGrant { .. }
                | State::ExpectPrepared { .. }
                | State::ExpectAccount { .. }
                | State::Opening { .. }
                | State::Searching
        );
        if waits {
            self.state = self.fail(Failure::Closed);
        }
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
                let until = now.after_nanos(ANSWER_MAX.nanos());
                State::ExpectAccount { found, until }
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
            (state, _) => state,
        };
        self.settle(now);
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Stamp<Driver>) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectHello { .. }
            | State::ExpectGrant { .. }
            | State::ExpectPrepared { .. }
            | State::ExpectAccount { .. } => self.fail(Failure::Timeout(ANSWER_MAX)),
            // Whether it has started is seen on the data plane; the answer may be under way.
            State::ExpectStarted { running, .. } => State::Running(running),
            State::Running(running) if running.stopping.is_some() => self.end(running),
            State::Running(running) => {
                let reason = match self.closed_at {
                    Some(_) => "the agent went away",
                    None => "the agent's account did not arrive in time",
                };
                self.stop(now, running, reason)
            }
            other => other,
        };
        self.settle(now);
    }

    /// The user wants it to end: what was measured is still told.
    pub fn handle_interrupt(&mut self, now: Stamp<Driver>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::ExpectStarted { running, .. } | State::Running(running) => {
                self.stop(now, running, "interrupted")
            }
            _ => self.fail(Failure::NotOpened("interrupted".into())),
        };
        self.settle(now);
    }

    fn say(&mut self, message: Message) {
        self.actions.push_back(Action::Say(message));
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
        match hello.limits.map(Limits::try_from) {
            Some(Ok(limits)) => {
                self.actions.push_back(Action::Admitted(limits));
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
                SentCounts::try_from(&sent).map(|sent| {
                    self.actions.push_back(Action::Close(stream, sent.clone()));
                    running.sent.insert(stream, sent);
                })
            }
            Message::Account(account) if account.trial == self.trials => {
                let last_due = PROBES_PER_SECOND.due(running.trial.probes().saturating_sub(1));
                let (sent, last_due_ns) = (account.replies, last_due.nanos());
                let replies = SentCounts { sent, last_due_ns, ..SentCounts::default() };
                self.actions.push_back(Action::Close(PROBE_STREAM, replies));
                running.account = Some(account);
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
            Event::Came(stream, tally) => _ = running.came.insert(stream, tally),
            Event::TcpSent(stream, sent) => _ = running.tcp_sent.insert(stream, sent),
            Event::TcpCame(stream, came) => _ = running.tcp_came.insert(stream, came),
            Event::Probed(probed) => running.probed = Some(probed),
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Opened(_) | Event::NotOpened(..) | Event::NotConnected(..) => {}
            Event::HostFailed(_) | Event::PayloadFound(_) => {}
        }
        running
    }

    fn close(&mut self, stream: StreamNumber, sent: &SentCounts) {
        if self.connected {
            let sent = sent.into();
            self.say(Message::Closing { trial: self.trials, stream, sent });
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

    /// Ends the trial under way when both ends have counted all, or nothing more can come.
    fn settle(&mut self, now: Stamp<Driver>) {
        let State::Running(running) = &self.state else { return };
        let agent_told = running.account.is_some() || !self.connected;
        if !running.is_counted() || !agent_told {
            return;
        }
        debug_assert!(running.heard <= now, "a trial was heard in the future");
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Over) {
            self.state = self.end(running);
        }
    }

    /// When something is to be done about a running trial, whatever comes.
    fn running_until(&self, running: &Running) -> Stamp<Driver> {
        if let Some(stopping) = &running.stopping {
            return stopping.until;
        }
        let at_last = running.ends_at.after_nanos(LATE_MAX.plus(ACCOUNTS_MAX).nanos());
        match self.closed_at {
            Some(closed_at) => {
                at_last.min(running.heard.max(closed_at).after_nanos(QUIET_MAX.nanos()))
            }
            None => at_last,
        }
    }

    fn stop(&mut self, now: Stamp<Driver>, mut running: Running, reason: &str) -> State {
        self.actions.push_back(Action::Stop);
        if self.connected {
            self.say(Message::Stop { trial: self.trials });
        }
        let until = now.after_nanos(LATE_MAX.plus(QUIET_MAX).nanos());
        running.stopping.get_or_insert(Stopping { reason: reason.to_owned(), until });
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
    let came_to_agent = agent.as_ref().map(|agent| &agent.tallies);
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
        half.sent = sum(streams.clone().map(|stream| running.sent.get(&stream)), SentCounts::merge);
        half.came = came.and_then(|came| sum(streams.by_ref().map(|s| came.get(&s)), Tally::merge));
        half.gaps = half.came.as_ref().map(|came| came.gaps.clone()).unwrap_or_default();
    }
    compose_tcp(&mut outcome, &running, agent.as_ref());
    let probed = running.probed.map(|probed| *probed).unwrap_or_default();
    let reflected = agent.map(|agent| agent.reflected);
    outcome.take_probes(&probed.exchanges, probed.refused, probed.replies, reflected);
    if outcome.reason.is_some() {
        outcome.status = Status::Partial;
    }
    outcome
}

/// Puts both ends' accounts of TCP together.
fn compose_tcp(outcome: &mut Outcome, running: &Running, agent: Option<&AgentAccount>) {
    for direction in Direction::ALL {
        let (sent, came) = match direction {
            Direction::Forward => (Some(&running.tcp_sent), agent.map(|agent| &agent.tcp_came)),
            Direction::Reverse => (agent.map(|agent| &agent.tcp_sent), Some(&running.tcp_came)),
        };
        let streams = running.tcp.iter().filter(|stream| stream.direction == direction);
        let numbers: Vec<StreamNumber> = streams.map(|stream| stream.number).collect();
        let half = outcome.half_mut(direction);
        half.tcp_sent = sent
            .and_then(|sent| sum(numbers.iter().map(|number| sent.get(number)), TcpSent::merge));
        half.tcp_came = came
            .and_then(|came| sum(numbers.iter().map(|number| came.get(number)), TcpCame::merge));
        if let Some(came) = &half.tcp_came {
            half.gaps = came.gaps.clone();
        }
    }
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
    tallies: BTreeMap<StreamNumber, Tally>,
    tcp_sent: BTreeMap<StreamNumber, TcpSent>,
    tcp_came: BTreeMap<StreamNumber, TcpCame>,
    reflected: crate::flow::Reflected,
    host: HostLimits,
}

fn take_account(account: &Account) -> Result<AgentAccount, Inconsistent> {
    let tallies = account.tallies.iter().map(|(stream, tally)| Ok((*stream, tally.try_into()?)));
    let tcp_sent = account.tcp_sent.iter().map(|(stream, sent)| Ok((*stream, sent.try_into()?)));
    let tcp_came = account.tcp_came.iter().map(|(stream, came)| Ok((*stream, came.try_into()?)));
    Ok(AgentAccount {
        tallies: tallies.collect::<Result<_, Inconsistent>>()?,
        tcp_sent: tcp_sent.collect::<Result<_, Inconsistent>>()?,
        tcp_came: tcp_came.collect::<Result<_, Inconsistent>>()?,
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
        assert!(matches!(actions[..], [Action::Say(Message::Hello(_)), Action::Admitted(_)]));
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
        assert!(text.contains("speaks protocol version 2, this driver speaks 1"), "{text}");
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
}
