//! The agent's half of the conversation: one machine for all its drivers, because slots and the
//! load lock outlive connections.

use super::{ANSWER_MAX, QUIET_MAX, convert, hello};
use crate::clock::{Agent, Stamp};
use crate::flow::{
    FarEvent as Event, LATE_MAX, SentCounts, Stream, TcpStream, streams_of, tcp_streams_of,
};
use crate::plan::Trial;
use crate::policy::{Grant, Holder, Refusal, Request, Role, Usage, authorise};
use crate::units::{Framing, Span};
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message, PROTOCOL, RunId, Secrets};
use std::collections::{BTreeMap, VecDeque};

/// How long a driver that is admitted may do nothing.
const IDLE_MAX: Span = Span::from_secs(60);

/// How long after its last packet was due a trial whose driver is gone is kept open.
const ABANDONED_MAX: Span = Span::from_secs(5);

/// A connection to a driver, by its number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId(pub u64);

/// A trial of a run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TrialId {
    /// The run.
    pub run: RunId,
    /// The trial's number in it.
    pub number: u32,
}

/// Makes secrets that nobody can guess: the machine has no randomness of its own.
pub trait Dice: Send {
    /// Secrets for `stream`.
    fn secrets(&mut self, stream: StreamNumber) -> Secrets;
}

/// What the hands are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say this.
    Say(ConnectionId, Message),
    /// Close this connection once all has been said.
    Close(ConnectionId),
    /// Expect the handshakes of these streams, from the driver of this connection, and the
    /// connections of these TCP streams.
    Expect(TrialId, ConnectionId, Vec<(Stream, Secrets)>, Vec<(TcpStream, Secrets)>),
    /// Send what is to be sent.
    Start(TrialId),
    /// The driver's account of a stream that comes from it.
    Sent(TrialId, StreamNumber, SentCounts),
    /// End the trial now; what it has counted is still told.
    Stop(TrialId),
    /// For the log.
    Note(String),
}

#[derive(Debug)]
struct Peer {
    who: String,
    framing: Framing,
    greeted: bool,
    run: Option<RunId>,
    idle_since: Stamp<Agent>,
}

#[derive(Debug)]
struct Run {
    who: String,
    connection: Option<ConnectionId>,
    grant: Grant,
    spent: Span,
    closed_at: Stamp<Agent>,
    trial: Option<Running>,
}

#[derive(Debug)]
struct Running {
    number: u32,
    duration: Span,
    stop_at: Option<Stamp<Agent>>,
    heard: Stamp<Agent>,
    account: Account,
}

/// The agent's half of all its conversations.
pub struct Session {
    role: Role,
    dice: Box<dyn Dice>,
    peers: BTreeMap<ConnectionId, Peer>,
    runs: BTreeMap<RunId, Run>,
    actions: VecDeque<Action>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peers", &self.peers).field("runs", &self.runs).finish()
    }
}

impl Session {
    /// An agent that gives every driver `role`.
    #[must_use]
    pub fn new(role: Role, dice: Box<dyn Dice>) -> Self {
        let (peers, runs, actions) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { role, dice, peers, runs, actions }
    }

    /// The next action; `None` until something else happens.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Stamp<Agent>> {
        let peers = self.peers.values().filter_map(Self::peer_until);
        let trials = self.runs.values().filter_map(|run| run.trial.as_ref()?.stop_at);
        peers.chain(trials).chain(self.runs.values().map(run_until)).min()
    }

    /// A driver whose key is listed as `who`'s is connected; `framing` tells its version of IP.
    pub fn handle_open(
        &mut self,
        now: Stamp<Agent>,
        connection: ConnectionId,
        who: String,
        framing: Framing,
    ) {
        let peer = Peer { who, framing, greeted: false, run: None, idle_since: now };
        self.peers.insert(connection, peer);
        let limits = Some(self.role.limits.into());
        self.say(connection, Message::Hello(hello("linkqual-agent", limits)));
    }

    /// A driver said `message`.
    pub fn handle_message(&mut self, now: Stamp<Agent>, from: ConnectionId, message: Message) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.idle_since = now;
        if !peer.greeted {
            return self.on_greeting(from, &message);
        }
        match message {
            Message::Request(request) => match convert::run_id(&request.run) {
                Ok(run) => match Request::try_from(&request) {
                    Ok(asked) => self.on_request(now, from, run, &asked),
                    Err(error) => self.fault(from, &error.to_string()),
                },
                Err(error) => self.fault(from, &error.to_string()),
            },
            Message::Finish => {
                if let Some(run) = peer.run.take() {
                    self.end_run(run);
                }
            }
            Message::Prepare(prepare) => match (peer.run, Trial::try_from(&prepare)) {
                (Some(run), Ok(trial)) => self.on_prepare(now, from, run, prepare.trial, trial),
                (Some(_), Err(error)) => self.fault(from, &error.to_string()),
                (None, _) => self.fault(from, "a trial without a grant"),
            },
            Message::Start { trial } => self.on_start(now, from, trial),
            Message::Closing { trial, stream, sent } => match SentCounts::try_from(&sent) {
                Ok(sent) => self.on_closing(from, trial, stream, sent),
                Err(error) => self.fault(from, &error.to_string()),
            },
            Message::Stop { trial } => {
                if let Some(id) = self.running(from, trial) {
                    self.actions.push_back(Action::Stop(id));
                }
            }
            Message::Fault { reason } => {
                self.note(format!("{from:?}: the driver says: {reason}"));
                self.close(from);
            }
            other => self.fault(from, &format!("'{}' is not a driver's to say", other.name())),
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

    /// Something happened in a trial.
    pub fn handle_trial(&mut self, id: TrialId, event: Event) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let connection = run.connection;
        let Some(running) = run.trial.as_mut().filter(|running| running.number == id.number) else {
            return;
        };
        match event {
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Sent(stream, sent) => {
                if let Some(connection) = connection {
                    let sent = (&sent).into();
                    self.say(connection, Message::Closing { trial: id.number, stream, sent });
                }
            }
            Event::Came(stream, tally) => {
                running.account.tallies.push((stream, (&tally).into()));
            }
            Event::TcpSent(stream, sent) => {
                running.account.tcp_sent.push((stream, (&sent).into()));
            }
            Event::TcpCame(stream, came) => {
                running.account.tcp_came.push((stream, (&came).into()));
            }
            Event::Reflected(reflected) => {
                running.account.probes = (&reflected.probes).into();
                running.account.replies = reflected.replies;
                running.account.replies_refused = reflected.refused;
            }
            Event::Host(host) => {
                running.account.host = host.into();
                self.end_trial(id);
            }
        }
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Stamp<Agent>) {
        let is_over = |until: Option<Stamp<Agent>>| until.is_some_and(|until| until <= now);
        let idle: Vec<ConnectionId> = self
            .peers
            .iter()
            .filter(|(_, peer)| is_over(Self::peer_until(peer)))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in idle {
            self.fault(connection, "nothing was said for too long");
        }
        for (id, run) in &mut self.runs {
            let Some(running) = &mut run.trial else { continue };
            if is_over(running.stop_at) {
                running.stop_at = None;
                let id = TrialId { run: *id, number: running.number };
                self.actions.push_back(Action::Stop(id));
            }
        }
        let over: Vec<RunId> = self
            .runs
            .iter()
            .filter(|(_, run)| is_over(Some(run_until(run))))
            .map(|(id, _)| *id)
            .collect();
        for run in over {
            self.end_run(run);
        }
    }

    fn peer_until(peer: &Peer) -> Option<Stamp<Agent>> {
        match (peer.greeted, peer.run) {
            (false, _) => Some(peer.idle_since.after_nanos(ANSWER_MAX.nanos())),
            (true, None) => Some(peer.idle_since.after_nanos(IDLE_MAX.nanos())),
            (true, Some(_)) => None,
        }
    }

    fn say(&mut self, to: ConnectionId, message: Message) {
        self.actions.push_back(Action::Say(to, message));
    }

    fn note(&mut self, text: String) {
        self.actions.push_back(Action::Note(text));
    }

    fn fault(&mut self, connection: ConnectionId, reason: &str) {
        self.note(format!("{connection:?}: {reason}"));
        self.say(connection, Message::Fault { reason: reason.to_owned() });
        self.close(connection);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.actions.push_back(Action::Close(connection));
        if let Some(run) = self.peers.remove(&connection).and_then(|peer| peer.run) {
            self.end_run(run);
        }
    }

    fn on_greeting(&mut self, from: ConnectionId, message: &Message) {
        match message {
            Message::Hello(hello) if hello.protocol == PROTOCOL => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.greeted = true;
                }
            }
            Message::Hello(hello) => {
                let reason = format!(
                    "{} speaks protocol version {}, this agent speaks {PROTOCOL}: install the same \
                     release at both ends",
                    hello.program, hello.protocol
                );
                self.fault(from, &reason);
            }
            other => self.fault(from, &format!("'{}' came before hello", other.name())),
        }
    }

    fn on_request(&mut self, now: Stamp<Agent>, from: ConnectionId, id: RunId, asked: &Request) {
        let Some(peer) = self.peers.get(&from) else { return };
        let (who, other) = (peer.who.clone(), peer.run.is_some_and(|run| run != id));
        let taken = self.runs.get(&id).is_some_and(|run| run.connection != Some(from));
        if other || taken {
            return self.fault(from, "one connection has one run, and one run one connection");
        }
        if self.runs.get(&id).is_some_and(|run| run.trial.is_some()) {
            return self.fault(from, "a request while a trial runs");
        }
        match authorise(&self.role, asked, &self.usage(id), now) {
            Ok(grant) => {
                let load = grant.load().map(Into::into);
                let spent = self.runs.remove(&id).map_or(Span::default(), |run| run.spent);
                let connection = Some(from);
                let run = Run { who, connection, grant, spent, closed_at: now, trial: None };
                self.runs.insert(id, run);
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.run = Some(id);
                }
                let duration_ns = asked.duration.nanos();
                let granted =
                    crate::wire::control::Granted { run: id.to_string(), duration_ns, load };
                self.say(from, Message::Granted(granted));
            }
            Err(refusal) => {
                self.note(format!("{from:?}: refused {who}: {refusal}"));
                self.say(from, Message::Refused { reason: refusal.to_string() });
            }
        }
    }

    fn usage(&self, but: RunId) -> Usage {
        let others = || self.runs.iter().filter(|(id, _)| **id != but).map(|(_, run)| run);
        let holder = |run: &Run| {
            let (who, until) = (run.who.clone(), run.grant.ends_at());
            let circuit = run.grant.circuit().map(str::to_owned);
            run.grant.load().map(|_| Holder { who, circuit, until })
        };
        Usage { runs: others().count(), holders: others().filter_map(holder).collect() }
    }

    fn on_prepare(
        &mut self,
        now: Stamp<Agent>,
        from: ConnectionId,
        id: RunId,
        number: u32,
        trial: Trial,
    ) {
        let framing = self.peers.get(&from).map(|peer| peer.framing);
        let (Some(run), Some(framing)) = (self.runs.get_mut(&id), framing) else { return };
        if run.trial.is_some() {
            return self.fault(from, "a trial while another runs");
        }
        if let Err(refusal) = run.grant.allows(&trial, framing, now, run.spent) {
            return self.refuse_trial(from, &refusal);
        }
        if !trial.is_idle() {
            run.spent = run.spent.plus(trial.duration());
        }
        let streams: Vec<(Stream, Secrets)> = streams_of(&trial)
            .into_iter()
            .map(|stream| (stream, self.dice.secrets(stream.number)))
            .map(|(stream, secret)| (Stream { token: secret.token, ..stream }, secret))
            .collect();
        let tcp: Vec<(TcpStream, Secrets)> = tcp_streams_of(&trial)
            .into_iter()
            .map(|stream| (stream, self.dice.secrets(stream.number)))
            .map(|(stream, secret)| (TcpStream { token: secret.token, ..stream }, secret))
            .collect();
        let wait = ANSWER_MAX.plus(trial.duration()).plus(LATE_MAX).plus(ABANDONED_MAX);
        run.trial = Some(Running {
            number,
            duration: trial.duration(),
            stop_at: Some(now.after_nanos(wait.nanos())),
            heard: now,
            account: Account { trial: number, ..Account::default() },
        });
        let secrets = streams.iter().map(|(_, secret)| secret);
        let secrets = secrets.chain(tcp.iter().map(|(_, secret)| secret)).cloned().collect();
        self.actions.push_back(Action::Expect(TrialId { run: id, number }, from, streams, tcp));
        self.say(from, Message::Prepared { trial: number, streams: secrets });
    }

    fn refuse_trial(&mut self, to: ConnectionId, refusal: &Refusal) {
        self.note(format!("{to:?}: {refusal}"));
        self.say(to, Message::Refused { reason: refusal.to_string() });
    }

    /// The trial of this number that runs on this connection.
    fn running(&self, from: ConnectionId, number: u32) -> Option<TrialId> {
        let run = self.peers.get(&from)?.run?;
        let running = self.runs.get(&run)?.trial.as_ref()?;
        (running.number == number).then_some(TrialId { run, number })
    }

    fn on_start(&mut self, now: Stamp<Agent>, from: ConnectionId, number: u32) {
        let Some(id) = self.running(from, number) else {
            return self.fault(from, "a start without its trial");
        };
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let Some(running) = run.trial.as_mut() else { return };
        if run.grant.ends_at() < now.after_nanos(running.duration.nanos()) {
            return self.fault(from, "a start so late that the trial would outlast its grant");
        }
        running.heard = now;
        self.actions.push_back(Action::Start(id));
        self.say(from, Message::Started { trial: number });
    }

    fn on_closing(
        &mut self,
        from: ConnectionId,
        number: u32,
        stream: StreamNumber,
        sent: SentCounts,
    ) {
        // One of a trial that has ended by itself may still be under way.
        if let Some(id) = self.running(from, number) {
            self.actions.push_back(Action::Sent(id, stream, sent));
        }
    }

    fn end_trial(&mut self, id: TrialId) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let Some(running) = run.trial.take() else { return };
        if let Some(connection) = run.connection {
            self.say(connection, Message::Account(running.account));
        }
    }

    /// Frees all that a run holds; what it still sends is stopped.
    fn end_run(&mut self, id: RunId) {
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(running) = run.trial {
            self.actions.push_back(Action::Stop(TrialId { run: id, number: running.number }));
        }
        if let Some(peer) = run.connection.and_then(|connection| self.peers.get_mut(&connection)) {
            peer.run = None;
        }
        self.note(format!("run {id} of {} is over", run.who));
    }
}

/// When a run ends, whoever is alive: with its grant, or a second after its driver fell silent.
fn run_until(run: &Run) -> Stamp<Agent> {
    let grant_end = run.grant.ends_at().after_nanos(LATE_MAX.plus(ABANDONED_MAX).nanos());
    if run.connection.is_some() {
        return grant_end;
    }
    let heard = run.trial.as_ref().map_or(run.closed_at, |running| running.heard);
    grant_end.min(heard.max(run.closed_at).after_nanos(QUIET_MAX.nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Limits;
    use crate::units::IpVersion;
    use crate::wire::Token;
    use crate::wire::control::{Hello, Prepare};

    const DRIVER: ConnectionId = ConnectionId(1);

    struct Ones;

    impl Dice for Ones {
        fn secrets(&mut self, stream: StreamNumber) -> Secrets {
            Secrets { stream, token: Token(u64::from(stream) + 1), key: [1; 32] }
        }
    }

    fn at(seconds: u64) -> Stamp<Agent> {
        Stamp::from_nanos(Span::from_secs(seconds).nanos())
    }

    /// What the agent does about `message`, but for its log.
    fn say(session: &mut Session, seconds: u64, message: Message) -> Vec<Action> {
        session.handle_message(at(seconds), DRIVER, message);
        let actions = std::iter::from_fn(|| session.poll_action());
        actions.filter(|action| !matches!(action, Action::Note(_))).collect()
    }

    /// An agent with a driver that has said hello, at 0 s.
    fn greeted() -> Session {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        let limits = Limits { rate_max, duration_max: Span::from_secs(600) };
        let mut session = Session::new(Role::qualifier(limits), Box::new(Ones));
        session.handle_open(at(0), DRIVER, "ops".into(), Framing::plain(IpVersion::V4));
        let actions = say(&mut session, 0, Message::Hello(hello("linkqual", None)));
        assert!(matches!(actions[..], [Action::Say(DRIVER, Message::Hello(_))]));
        session
    }

    /// Leave to probe for 60 s.
    fn request() -> Message {
        let run = RunId(7).to_string();
        let duration_ns = Span::from_secs(60).nanos();
        let request = crate::wire::control::Request { run, circuit: None, duration_ns, load: None };
        Message::Request(request)
    }

    fn prepare(seconds: u64) -> Message {
        let duration_ns = Span::from_secs(seconds).nanos();
        Message::Prepare(Prepare { trial: 1, duration_ns, load: None, tcp: None })
    }

    #[track_caller]
    fn check_fault(actions: &[Action], words: &str) {
        let [Action::Say(DRIVER, Message::Fault { reason }), Action::Close(DRIVER), ..] = actions
        else {
            panic!("no fault: {actions:?}")
        };
        assert!(reason.contains(words), "{reason}");
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

    #[test]
    fn a_request_does_not_replace_a_trial_that_runs() {
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        check_fault(&say(&mut session, 1, request()), "while a trial runs");
    }

    #[test]
    fn nothing_goes_without_hello_and_a_grant() {
        let mut session = greeted();
        check_fault(&say(&mut session, 0, prepare(10)), "without a grant");
        let mut session = greeted();
        session.handle_open(at(0), ConnectionId(2), "ops".into(), Framing::plain(IpVersion::V4));
        session.handle_message(at(0), ConnectionId(2), request());
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let faulted = |action: &Action| matches!(action, Action::Say(_, Message::Fault { .. }));
        assert!(actions.iter().any(faulted), "{actions:?}");
    }

    #[test]
    fn another_version_is_told_what_to_install() {
        let mut session = greeted();
        session.handle_open(at(0), ConnectionId(2), "ops".into(), Framing::plain(IpVersion::V4));
        let other = Hello { protocol: PROTOCOL + 1, ..hello("linkqual", None) };
        session.handle_message(at(0), ConnectionId(2), Message::Hello(other));
        let text =
            format!("{:?}", std::iter::from_fn(|| session.poll_action()).collect::<Vec<_>>());
        assert!(text.contains("install the same release at both ends"), "{text}");
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
}
