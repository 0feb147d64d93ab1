//! The agent's half of the conversation: one machine for all its drivers, because slots, the load
//! lock and records outlive connections.
//!
//! A run is known by its name and by the key that asked for it. Its connection may go and another
//! take its place; its grant may end, and what it counted is still told to who comes for it.

use super::{ANSWER_MAX, QUIET_MAX, hello};
use crate::clock::{Agent, Stamp};
use crate::flow::{
    FarEvent as Event, LATE_MAX, SenderCounts, Stream, TcpCame, TcpSent, TcpStream, streams_of,
    tcp_streams_of,
};
use crate::framing::Framing;
use crate::plan::Trial;
use crate::policy::{Grant, Holder, Refusal, Request, Role, Usage, authorise};
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Hello, Message, PROTOCOL, RunId, Secrets, SenderMessage};
use crate::wire::key::PublicKey;
use crate::wire::record::Record;
use std::collections::{BTreeMap, VecDeque};

/// How long a driver that is admitted may do nothing.
const IDLE_MAX: Span = Span::from_secs(60);

/// How long after its last packet was due a trial whose driver says nothing is kept open: longer
/// than the driver tries to come back with its accounts, which make the counts exact.
const ABANDONED_MAX: Span = Span::from_secs(20);

/// How long after its end a grant still holds its slot, for the accounts of its last trial.
const GRACE: Span = LATE_MAX.plus(Span::from_secs(5));

/// Runs that are over of which a record is kept: the oldest gives way.
pub const RECORDS_MAX: usize = 64;

/// How long a record is kept.
pub const RECORD_SPAN: Span = Span::from_secs(3_600);

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

/// What the machine has to ask its host for.
pub trait Host: Send {
    /// Secrets for `stream` that nobody can guess: the machine has no randomness of its own.
    fn secrets(&mut self, stream: StreamNumber) -> Secrets;

    /// Why this host cannot carry its end of `trial`; `None` where it can.
    fn lacks(&self, trial: &Trial) -> Option<String>;
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
    Sent(TrialId, StreamNumber, SenderCounts),
    /// End the trial now; what it has counted is still told.
    Stop(TrialId),
    /// Keep this beyond the program's end, in the place of what is kept of the run.
    Keep(Box<Record>),
    /// Nothing of this run needs to be kept any more.
    Forget(RunId),
    /// For the log.
    Note(String),
}

#[derive(Debug)]
struct Peer {
    who: String,
    key: PublicKey,
    framing: Framing,
    greeted: bool,
    run: Option<RunId>,
    idle_since: Stamp<Agent>,
}

/// A run, and what is kept of it.
#[derive(Debug)]
struct Run {
    who: String,
    owner: PublicKey,
    connection: Option<ConnectionId>,
    closed_at: Stamp<Agent>,
    spent: Span,
    phase: Phase,
    trial: Option<Running>,
}

#[derive(Debug)]
enum Phase {
    /// It holds a slot.
    Granted(Grant),
    /// It holds nothing; what its last trial counted is kept.
    Over { at: Stamp<Agent> },
}

/// A trial under way, or the last one of its run.
#[derive(Debug)]
struct Running {
    number: u32,
    started_at: Option<Stamp<Agent>>,
    heard: Stamp<Agent>,
    closings: Vec<(StreamNumber, SenderMessage)>,
    /// The TCP streams of each way together: one by one, they would be more than a frame.
    tcp_sent: Option<TcpSent>,
    tcp_came: Option<TcpCame>,
    account: Account,
    part: Part,
}

/// How far a trial has come.
#[derive(Debug)]
enum Part {
    /// Its threads run until all is counted, or until they are stopped.
    Open { trial: Trial, secrets: Vec<Secrets>, stop_at: Stamp<Agent> },
    /// Its threads have been told to end, and tell what they have counted.
    Stopped,
    /// All is counted.
    Counted,
}

impl Running {
    /// Whether packets of it are still due, or would be once it is started.
    fn may_send(&self, now: Stamp<Agent>) -> bool {
        let Part::Open { trial, .. } = &self.part else { return false };
        let ends_at = |started: Stamp<Agent>| started.after_nanos(trial.duration().nanos());
        self.started_at.is_none_or(|started_at| now < ends_at(started_at))
    }

    const fn stop_at(&self) -> Option<Stamp<Agent>> {
        match &self.part {
            Part::Open { stop_at, .. } => Some(*stop_at),
            Part::Stopped | Part::Counted => None,
        }
    }
}

impl Run {
    const fn grant(&self) -> Option<&Grant> {
        match &self.phase {
            Phase::Granted(grant) => Some(grant),
            Phase::Over { .. } => None,
        }
    }

    const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// When its phase ends, whoever is alive: a grant with its time, or a second after its driver
    /// fell silent; a record with its hour.
    fn until(&self) -> Stamp<Agent> {
        let grant = match &self.phase {
            Phase::Granted(grant) => grant,
            Phase::Over { at } => return at.after_nanos(RECORD_SPAN.nanos()),
        };
        let grant_end = grant.ends_at().after_nanos(GRACE.nanos());
        if self.connection.is_some() {
            return grant_end;
        }
        let heard = self.trial.as_ref().map_or(self.closed_at, |running| running.heard);
        grant_end.min(heard.max(self.closed_at).after_nanos(QUIET_MAX.nanos()))
    }
}

/// The agent's half of all its conversations.
pub struct Session {
    role: Role,
    host: Box<dyn Host>,
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
    pub fn new(role: Role, host: Box<dyn Host>) -> Self {
        let (peers, runs, actions) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { role, host, peers, runs, actions }
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

    /// A record that an earlier process kept is found, `age` old; of one that is too old nothing
    /// is kept.
    pub fn restore(&mut self, now: Stamp<Agent>, record: Record, age: Span) {
        let Record { run: id, owner, who, closings, account } = record;
        // What is older than this host is up is as old as that: the clock has no time before it.
        let at = Stamp::from_nanos(now.nanos().saturating_sub(age.nanos()));
        if RECORD_SPAN <= age {
            return self.actions.push_back(Action::Forget(id));
        }
        let number = account.trial;
        let trial = Some(Running {
            number,
            started_at: None,
            heard: at,
            closings,
            tcp_sent: None,
            tcp_came: None,
            account,
            part: Part::Counted,
        });
        let (connection, spent, phase) = (None, Span::default(), Phase::Over { at });
        let run = Run { who, owner, connection, closed_at: at, spent, phase, trial };
        self.runs.insert(id, run);
        self.bound_records();
    }

    /// A driver whose `key` is listed as `who`'s is connected; `framing` tells its version of IP.
    pub fn handle_open(
        &mut self,
        now: Stamp<Agent>,
        connection: ConnectionId,
        who: String,
        key: PublicKey,
        framing: Framing,
    ) {
        let role = Some(self.role.name.to_owned());
        let limits = Some(self.role.limits.into());
        let introduced = hello("linkqual-agent", limits);
        let introduced = Hello { role, who: Some(who.clone()), ..introduced };
        let peer = Peer { who, key, framing, greeted: false, run: None, idle_since: now };
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
            Message::Prepare(prepare) => match (peer.run, Trial::try_from(&prepare)) {
                (Some(run), Ok(trial)) => self.on_prepare(now, from, run, prepare.trial, trial),
                (Some(_), Err(error)) => self.fault(now, from, &error.to_string()),
                (None, _) => self.fault(now, from, "a trial without a grant"),
            },
            Message::Start { trial } => self.on_start(now, from, trial),
            Message::Closing { trial, stream, sent } => match SenderCounts::try_from(&sent) {
                Ok(sent) => self.on_closing(from, trial, stream, sent),
                Err(error) => self.fault(now, from, &error.to_string()),
            },
            Message::Stop { trial } => self.on_stop(from, trial),
            Message::Fault { reason } => {
                self.note(format!("{from:?}: the driver says: {reason}"));
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
                let sent: SenderMessage = (&sent).into();
                running.closings.push((stream, sent.clone()));
                if let Some(connection) = connection {
                    self.say(connection, Message::Closing { trial: id.number, stream, sent });
                }
            }
            Event::Came(stream, counts) => {
                running.account.counts.push((stream, (&counts).into()));
            }
            Event::TcpSent(_, sent) => {
                let sum = running.tcp_sent.get_or_insert_default();
                sum.merge(&sent);
            }
            Event::TcpCame(_, came) => match &mut running.tcp_came {
                Some(sum) => sum.merge(&came),
                none => *none = Some(came),
            },
            Event::Reflected(reflected) => {
                running.account.probes = (&reflected.probes).into();
                running.account.marks = reflected.marks;
                running.account.replies = reflected.replies;
                running.account.replies_refused = reflected.refused;
                running.account.follow_ups = super::convert::follow_ups(&reflected);
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
            .filter(|(_, peer)| is_over(self.peer_until(peer)))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in idle {
            self.fault(now, connection, "nothing was said for too long");
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

    fn peer_until(&self, peer: &Peer) -> Option<Stamp<Agent>> {
        let granted = || self.runs.get(&peer.run?)?.grant();
        match peer.greeted {
            false => Some(peer.idle_since.after_nanos(ANSWER_MAX.nanos())),
            true if granted().is_some() => None,
            true => Some(peer.idle_since.after_nanos(IDLE_MAX.nanos())),
        }
    }

    fn say(&mut self, to: ConnectionId, message: Message) {
        self.actions.push_back(Action::Say(to, message));
    }

    fn note(&mut self, text: String) {
        self.actions.push_back(Action::Note(text));
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
                self.fault(now, from, &reason);
            }
            other => self.fault(now, from, &format!("'{}' came before hello", other.name())),
        }
    }

    fn on_request(&mut self, now: Stamp<Agent>, from: ConnectionId, id: RunId, asked: &Request) {
        let Some(peer) = self.peers.get(&from) else { return };
        let (who, owner) = (peer.who.clone(), peer.key);
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
        match authorise(&self.role, asked, &self.usage(id), now) {
            Ok(grant) => {
                let load = grant.load().map(Into::into);
                let (spent, trial) = self
                    .runs
                    .remove(&id)
                    .map_or_else(Default::default, |run| (run.spent, run.trial));
                let (connection, phase) = (Some(from), Phase::Granted(grant));
                let run = Run { who, owner, connection, closed_at: now, spent, phase, trial };
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

    /// A driver is back for its run. What the connection before may still carry is as good as lost,
    /// so all that was told of the trial is told again.
    fn on_attach(&mut self, now: Stamp<Agent>, from: ConnectionId, id: RunId) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let (who, key) = (peer.who.clone(), peer.key);
        if peer.run.is_some_and(|run| run != id) {
            return self.fault(now, from, "one connection has one run");
        }
        // Another's run is not known either: nobody learns here which runs there are.
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.owner == key) else {
            let reason = "no such run is known here: the agent was started again since then, or \
                          keeps no record of it any more";
            self.note(format!("{from:?}: run {id} of {who}: {reason}"));
            return self.say(from, Message::Refused { reason: reason.to_owned() });
        };
        peer.run = Some(id);
        let before = run.connection.replace(from).filter(|before| *before != from);
        let trial = run.trial.as_ref();
        let attached = Message::Attached {
            run: id.to_string(),
            trial: trial.map(|running| running.number),
            granted: !run.is_over(),
        };
        let closing = |running: &Running, (stream, sent): &(StreamNumber, SenderMessage)| {
            Message::Closing { trial: running.number, stream: *stream, sent: sent.clone() }
        };
        let told = trial.into_iter().flat_map(|running| {
            let is_counted = matches!(running.part, Part::Counted);
            let account = is_counted.then(|| Message::Account(Box::new(running.account.clone())));
            running.closings.iter().map(move |sent| closing(running, sent)).chain(account)
        });
        let told: Vec<Message> = std::iter::once(attached).chain(told).collect();
        self.note(format!("{from:?}: {who} is back for run {id}"));
        if let Some(before) = before {
            self.peers.remove(&before);
            self.actions.push_back(Action::Close(before));
        }
        told.into_iter().for_each(|message| self.say(from, message));
    }

    fn usage(&self, but: RunId) -> Usage {
        let others = self.runs.iter().filter(|(id, _)| **id != but);
        let granted = |(_, run): (&RunId, &Run)| Some((run.who.clone(), run.grant()?.clone()));
        let others: Vec<(String, Grant)> = others.filter_map(granted).collect();
        let holder = |(who, grant): &(String, Grant)| {
            let (who, until) = (who.clone(), grant.ends_at());
            let circuit = grant.circuit().map(str::to_owned);
            grant.load().map(|_| Holder { who, circuit, until })
        };
        Usage { runs: others.len(), holders: others.iter().filter_map(holder).collect() }
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
        match run.trial.as_ref().map(|running| (running.number, &running.part)) {
            Some((before, Part::Open { trial: asked, secrets, .. }))
                if before == number && *asked == trial =>
            {
                let streams = secrets.clone();
                return self.say(from, Message::Prepared { trial: number, streams });
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
        if let Err(refusal) = grant.allows(&trial, framing, now, run.spent) {
            return self.refuse_trial(from, &refusal);
        }
        if let Some(reason) = self.host.lacks(&trial) {
            let reason = format!("the agent's host cannot send it: {reason}");
            self.note(format!("{from:?}: {reason}"));
            return self.say(from, Message::Refused { reason });
        }
        if !trial.is_idle() {
            run.spent = run.spent.plus(trial.duration());
        }
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
        let wait = ANSWER_MAX.plus(trial.duration()).plus(LATE_MAX).plus(ABANDONED_MAX);
        let stop_at = now.after_nanos(wait.nanos());
        run.trial = Some(Running {
            number,
            started_at: None,
            heard: now,
            closings: Vec::new(),
            tcp_sent: None,
            tcp_came: None,
            account: Account { trial: number, ..Account::default() },
            part: Part::Open { trial, secrets: secrets.clone(), stop_at },
        });
        self.actions.push_back(Action::Expect(TrialId { run: id, number }, from, streams, tcp));
        self.say(from, Message::Prepared { trial: number, streams: secrets });
    }

    fn refuse_trial(&mut self, to: ConnectionId, refusal: &Refusal) {
        self.note(format!("{to:?}: {refusal}"));
        self.say(to, Message::Refused { reason: refusal.to_string() });
    }

    /// The trial of this number of this connection's run, whether it is over or not.
    fn known(&mut self, from: ConnectionId, number: u32) -> Option<(TrialId, &mut Running)> {
        let run = self.peers.get(&from)?.run?;
        let running = self.runs.get_mut(&run)?.trial.as_mut()?;
        (running.number == number).then_some((TrialId { run, number }, running))
    }

    fn on_start(&mut self, now: Stamp<Agent>, from: ConnectionId, number: u32) {
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

    fn on_closing(
        &mut self,
        from: ConnectionId,
        number: u32,
        stream: StreamNumber,
        sent: SenderCounts,
    ) {
        // One of a trial that has ended by itself may still be under way.
        let known = self.known(from, number);
        if let Some((id, _)) = known.filter(|(_, run)| !matches!(run.part, Part::Counted)) {
            self.actions.push_back(Action::Sent(id, stream, sent));
        }
    }

    fn on_stop(&mut self, from: ConnectionId, number: u32) {
        let Some((id, running)) = self.known(from, number) else { return };
        if matches!(running.part, Part::Open { .. }) {
            running.part = Part::Stopped;
            self.actions.push_back(Action::Stop(id));
        }
    }

    /// All of a trial is counted: told where somebody listens, and kept where nobody may.
    fn end_trial(&mut self, id: TrialId) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let (owner, who, connection) = (run.owner, run.who.clone(), run.connection);
        let Some(running) = run.trial.as_mut() else { return };
        running.part = Part::Counted;
        running.account.tcp_sent = running.tcp_sent.as_ref().map(|sent| Box::new(sent.into()));
        running.account.tcp_came = running.tcp_came.as_ref().map(|came| Box::new(came.into()));
        let (closings, account) = (running.closings.clone(), running.account.clone());
        if let Some(connection) = connection {
            self.say(connection, Message::Account(Box::new(account.clone())));
        }
        let record = Record { run: id.run, owner, who, closings, account };
        self.actions.push_back(Action::Keep(Box::new(record)));
    }

    /// Frees the slot of a run. What it still sends is stopped; what it counted is kept. A trial
    /// whose packets have all been due waits on for the driver's accounts, which make it exact.
    fn end_run(&mut self, now: Stamp<Agent>, id: RunId) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.is_over()) else { return };
        if run.trial.is_none() {
            return self.drop_run(id);
        }
        run.phase = Phase::Over { at: now };
        if let Some(peer) = run.connection.and_then(|connection| self.peers.get_mut(&connection)) {
            peer.idle_since = now;
        }
        if let Some(running) = run.trial.as_mut()
            && running.may_send(now)
        {
            running.part = Part::Stopped;
            self.actions.push_back(Action::Stop(TrialId { run: id, number: running.number }));
        }
        let text = format!("run {id} of {} is over; its record is kept", run.who);
        self.note(text);
        self.bound_records();
    }

    /// Frees all that a run holds: nobody will ask for it again.
    fn drop_run(&mut self, id: RunId) {
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(Running { number, part: Part::Open { .. }, .. }) = run.trial {
            self.actions.push_back(Action::Stop(TrialId { run: id, number }));
        }
        if let Some(peer) = run.connection.and_then(|connection| self.peers.get_mut(&connection)) {
            // It may have another run by now.
            peer.run = peer.run.filter(|run| *run != id);
        }
        self.actions.push_back(Action::Forget(id));
        if !run.is_over() {
            self.note(format!("run {id} of {} is over", run.who));
        }
    }

    /// The oldest records give way.
    fn bound_records(&mut self) {
        loop {
            let over = self.runs.iter().filter_map(|(id, run)| match run.phase {
                Phase::Over { at } => Some((at, *id)),
                Phase::Granted(_) => None,
            });
            let over: Vec<(Stamp<Agent>, RunId)> = over.collect();
            let oldest = over.iter().min().filter(|_| RECORDS_MAX < over.len());
            let Some((_, oldest)) = oldest else { return };
            self.drop_run(*oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::IpVersion;
    use crate::plan::Limits;
    use crate::wire::Token;
    use crate::wire::control::Prepare;

    const DRIVER: ConnectionId = ConnectionId(1);

    struct Ones;

    impl Host for Ones {
        fn secrets(&mut self, stream: StreamNumber) -> Secrets {
            Secrets { stream, token: Token(u64::from(stream) + 1), key: [1; 32] }
        }

        fn lacks(&self, trial: &Trial) -> Option<String> {
            trial.tcp().map(|load| format!("no {}", load.congestion()))
        }
    }

    fn key(octet: u8) -> PublicKey {
        let mut spki = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        spki.extend([octet; 32]);
        PublicKey::from_spki(&spki).expect("any 32 octets are one")
    }

    fn at(seconds: u64) -> Stamp<Agent> {
        Stamp::from_nanos(Span::from_secs(seconds).nanos())
    }

    fn open(session: &mut Session, seconds: u64, connection: ConnectionId, key: PublicKey) {
        let framing = Framing::plain(IpVersion::V4);
        session.handle_open(at(seconds), connection, "ops".into(), key, framing);
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
        open(&mut session, 0, DRIVER, key(1));
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
        let (trial, dscp, probes_s) = (1, 0, None);
        Message::Prepare(Prepare { trial, duration_ns, dscp, probes_s, load: None, tcp: None })
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
        let tcp = crate::wire::control::TcpLoadMessage {
            forward_bit_s: None,
            reverse_bit_s: Some(1_000_000),
            streams: 1,
            mtu: 1_500,
            congestion_control: "vegas".into(),
            capacity: false,
            verify: false,
            round_trip_ns: None,
        };
        let duration_ns = Span::from_secs(10).nanos();
        let (trial, dscp, probes_s) = (1, 0, None);
        let prepare = Prepare { trial, duration_ns, dscp, probes_s, load: None, tcp: Some(tcp) };
        let actions = say(&mut session, 0, Message::Prepare(prepare));
        let [Action::Say(DRIVER, Message::Refused { reason })] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!(reason, "the agent's host cannot send it: no vegas");
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
        open(&mut session, 0, ConnectionId(2), key(1));
        session.handle_message(at(0), ConnectionId(2), request());
        let actions: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let faulted = |action: &Action| matches!(action, Action::Say(_, Message::Fault { .. }));
        assert!(actions.iter().any(faulted), "{actions:?}");
    }

    #[test]
    fn another_version_is_told_what_to_install() {
        let mut session = greeted();
        open(&mut session, 0, ConnectionId(2), key(1));
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

    const BACK: ConnectionId = ConnectionId(2);

    /// What the agent says to `connection`, which asks for run 7.
    fn attach(session: &mut Session, seconds: u64, connection: ConnectionId) -> Vec<Action> {
        let hello = Message::Hello(hello("linkqual", None));
        let attach = Message::Attach { run: RunId(7).to_string() };
        for message in [hello, attach] {
            session.handle_message(at(seconds), connection, message);
        }
        let actions = std::iter::from_fn(|| session.poll_action());
        let is_hello = |action: &Action| matches!(action, Action::Say(_, Message::Hello(_)));
        actions.filter(|a| !matches!(a, Action::Note(_)) && !is_hello(a)).collect()
    }

    /// What its threads tell of trial 1 of run 7 in the end.
    fn count(session: &mut Session) {
        let id = TrialId { run: RunId(7), number: 1 };
        session
            .handle_trial(id, Event::Sent(2, SenderCounts { sent: 9, ..SenderCounts::default() }));
        session.handle_trial(id, Event::Reflected(crate::flow::Reflected::default()));
        session.handle_trial(id, Event::Host(crate::flow::HostLimits::default()));
    }

    /// A trial of 10 s that started at 0 s.
    fn started() -> Session {
        let mut session = greeted();
        say(&mut session, 0, request());
        say(&mut session, 0, prepare(10));
        say(&mut session, 0, Message::Start { trial: 1 });
        session
    }

    #[test]
    fn a_run_that_is_attached_to_again_closes_the_connection_before_and_goes_on() {
        let mut session = started();
        open(&mut session, 3, BACK, key(1));
        let actions = attach(&mut session, 3, BACK);
        let [Action::Close(DRIVER), Action::Say(BACK, attached)] = &actions[..] else {
            panic!("{actions:?}")
        };
        let run = RunId(7).to_string();
        assert_eq!(*attached, Message::Attached { run, trial: Some(1), granted: true });
        // What becomes of the connection before is nobody's business any more.
        session.handle_closed(at(4), DRIVER);
        session.handle_timeout(at(20));
        assert_eq!(session.poll_action(), None);
        count(&mut session);
        let told: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let [Action::Say(BACK, sent), Action::Say(BACK, account), Action::Keep(_)] = &told[..]
        else {
            panic!("{told:?}")
        };
        // Who comes later still is told it once more.
        open(&mut session, 30, ConnectionId(3), key(1));
        let again = attach(&mut session, 30, ConnectionId(3));
        let [Action::Close(BACK), Action::Say(_, _), Action::Say(_, one), Action::Say(_, two)] =
            &again[..]
        else {
            panic!("{again:?}")
        };
        assert_eq!((one, two), (sent, account));
    }

    #[test]
    fn a_run_is_known_to_the_key_that_asked_for_it_alone() {
        let mut session = started();
        open(&mut session, 3, BACK, key(2));
        let actions = attach(&mut session, 3, BACK);
        let [Action::Say(BACK, Message::Refused { reason })] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert!(reason.contains("no such run is known here"), "{reason}");
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
            let sent = (&SenderCounts::default()).into();
            let closing = match closing {
                true => Message::Closing { trial: 1, stream: 1, sent },
                false => Message::Stop { trial: 1 },
            };
            assert_eq!(say(&mut session, 56, closing), []);
        }
    }

    #[test]
    fn a_run_that_is_over_holds_nothing_and_tells_what_it_counted() {
        let mut session = started();
        session.handle_closed(at(5), DRIVER);
        session.handle_timeout(at(6));
        assert_eq!(session.usage(RunId(8)), Usage::default());
        open(&mut session, 7, BACK, key(1));
        let actions = attach(&mut session, 7, BACK);
        let run = RunId(7).to_string();
        let attached = Message::Attached { run, trial: Some(1), granted: false };
        let id = TrialId { run: RunId(7), number: 1 };
        assert_eq!(actions, [Action::Stop(id), Action::Say(BACK, attached)]);
        count(&mut session);
        let told: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        assert!(
            matches!(
                told[..],
                [
                    Action::Say(BACK, Message::Closing { .. }),
                    Action::Say(BACK, Message::Account(_)),
                    Action::Keep(_)
                ]
            ),
            "{told:?}"
        );
        // It may be asked for leave again, and go on.
        session.handle_message(at(8), BACK, request());
        assert!(matches!(session.poll_action(), Some(Action::Say(BACK, Message::Granted(_)))));
        session.handle_message(at(9), BACK, Message::Finish);
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(7))));
    }

    /// Nothing is due any more, so that silence tells nothing: the accounts are still waited for.
    #[test]
    fn a_trial_whose_packets_were_all_due_is_not_stopped_by_silence() {
        let mut session = started();
        session.handle_closed(at(10), DRIVER);
        session.handle_timeout(at(11));
        assert_eq!(session.usage(RunId(8)), Usage::default());
        assert!(matches!(session.poll_action(), Some(Action::Note(_))));
        assert_eq!(session.poll_action(), None);
        // The driver had 10 s to start it, and has 22 s behind its end.
        assert_eq!(session.deadline(), Some(at(42)));
        session.handle_timeout(at(42));
        let id = TrialId { run: RunId(7), number: 1 };
        assert_eq!(session.poll_action(), Some(Action::Stop(id)));
    }

    fn record(run: u128) -> Record {
        let account = Account { trial: 1, ..Account::default() };
        let (owner, who) = (key(1), "ops".to_owned());
        Record { run: RunId(run), owner, who, closings: Vec::new(), account }
    }

    #[test]
    fn records_are_kept_for_an_hour_and_the_oldest_gives_way() {
        let mut session = greeted();
        session.restore(at(4_000), record(0), RECORD_SPAN);
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(0))), "it is too old");
        for run in 0..64 {
            session.restore(at(4_000), record(run.into()), Span::from_secs(600 - 9 * run));
        }
        assert_eq!(session.poll_action(), None);
        session.restore(at(4_000), record(64), Span::from_secs(1));
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(0))));
        assert_eq!(session.poll_action(), None);
        session.handle_timeout(at(4_000 - 591 + 3_600));
        let over = std::iter::from_fn(|| session.poll_action());
        let over: Vec<Action> = over.filter(|a| matches!(a, Action::Forget(_))).collect();
        assert_eq!(over, [Action::Forget(RunId(1))]);
    }
}
