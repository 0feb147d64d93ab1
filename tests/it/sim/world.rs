//! Two hosts and the line between them in virtual time: both sessions, both ends of every stream,
//! and a control channel, driven by one queue of events. Nothing here waits or reads a clock.

use super::attacker::{Attack, Attacker, Passed};
use super::hands::{Ended, Host, LoadEnd, Opening, Orders, Out, Probes, Step};
use super::versions::{Before, as_before};
use linkqual::account::HostFacts;
use linkqual::account::{Excess, HostCounts, Moved, ReceiverCounts, ReflectorCounts, SenderCounts};
use linkqual::clock::{Agent, Driver, Stamp};
use linkqual::direction::Direction;
use linkqual::emulation::{self, Class, DriftingClock, EmulatedLink, Spec};
use linkqual::flow::{
    Closing, End, FAREWELL, FarEvent, Incoming, LATE_MAX, NearEvent, PROBE_STREAM, Reflector,
    Response, Stream, TrialRun,
};
use linkqual::framing::{Framing, IpVersion};
use linkqual::policy::{LoadRequest, Request, Role};
use linkqual::session::agent::{self, ConnectionId, TrialId};
use linkqual::session::driver::{self, Failure, Task};
use linkqual::session::hello;
use linkqual::trial::{CongestionControl, Limits, Trial};
use linkqual::units::{BitRate, Span};
use linkqual::wire::control::{self, Message, RunId, Secrets};
use linkqual::wire::fence::Fence;
use linkqual::wire::key::PublicKey;
use linkqual::wire::seal::KEY_LEN;
use linkqual::wire::signal::Signal;
use linkqual::wire::{Kind, StreamNumber, Token, kind_of};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One way of the control channel. It is longer than the line, so that what the line still carries
/// when a stream ends has come before its account.
pub(super) const CONTROL_NS: u64 = 250_000_000;

/// How often the driver looks whether octets have moved (`driver::conversation`).
const LOOK_NS: u64 = 200_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// More events than any run here has: a machine that asks again and again without time passing.
const EVENTS_MAX: u64 = 20_000_000;

/// The true moment at which a run begins: clocks that are behind still read more than 0.
const BEGIN_NS: u64 = 1_000_000_000;

/// IP and UDP headers: the line counts IP packets.
const HEADERS: u32 = 28;

/// The connection of another driver that asks for the same circuit; the run's own count from 1
/// behind it.
const ANOTHER: ConnectionId = ConnectionId(0);

/// A listed key: the run's driver's, or another's.
fn key(connection: ConnectionId) -> PublicKey {
    let mut spki = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    spki.extend([if connection == ANOTHER { 0x5a } else { 0xa5 }; 32]);
    PublicKey::from_spki(&spki).unwrap()
}

/// Something that befalls a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Blow {
    /// The control connection is reset: both ends see it. Another can be had.
    ControlCloses,
    /// Nothing said on the control connection arrives any more, and neither end is informed.
    /// Another can be had.
    ControlStalls,
    /// Neither this control connection nor any other carries anything any more.
    ControlDies,
    /// Connections can be had again.
    ControlRecovers,
    /// The agent's program is killed and started again: all that it held is gone.
    AgentRestarts,
    /// The driver's host is gone, without a word.
    DriverVanishes,
    /// The agent's host is gone, without a word.
    AgentVanishes,
    /// The user interrupts the driver.
    Interrupt,
    /// Another driver asks for the same circuit.
    AnotherAsks,
    /// A NAT on the driver's side forgets its flows: each has a new port, and the old are dead.
    NatForgets,
}

/// All that a run follows from.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) trial: Trial,
    pub(super) forward: Spec,
    pub(super) reverse: Spec,
    pub(super) driver_clock: DriftingClock,
    pub(super) agent_clock: DriftingClock,
    /// Somebody sets the agent's clock: nanoseconds after the start, and by how many.
    pub(super) agent_step: Option<(u64, i64)>,
    pub(super) driver_host: Host,
    pub(super) agent_host: Host,
    /// Nanoseconds after the driver's start of the trial, and what happens then.
    pub(super) blows: Vec<(u64, Blow)>,
    /// What one on the path does.
    pub(super) attack: Attack,
    /// What the control channel carries, each way.
    pub(super) control_bits_per_second: u64,
    /// The end that speaks the version before.
    pub(super) before: Before,
}

/// What a run leaves behind. True times are nanoseconds after the driver's start of the trial.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ended: Option<Result<Box<TrialRun>, Failure>>,
    /// When that was.
    pub(super) ended_ns: Option<u64>,
    pub(super) forward: EmulatedLink,
    pub(super) reverse: EmulatedLink,
    /// When the last load packet of each direction left.
    pub(super) last_load_ns: [u64; 2],
    /// When anything of the data plane left the agent last.
    pub(super) agent_last_ns: u64,
    /// When the agent ended the run.
    pub(super) agent_over_ns: Option<u64>,
    /// Whether another driver that asked was granted the circuit; in the order of asking.
    pub(super) others_granted: Vec<bool>,
    pub(super) events: u64,
    /// Datagrams that an attacker touched or put in.
    pub(super) touched: u64,
}

#[derive(Debug)]
enum Event {
    Near(StreamNumber),
    Far(SocketAddr),
    ToDriver(StreamNumber, Vec<u8>),
    ToAgent(SocketAddr, Vec<u8>),
    ReadAtAgent(SocketAddr, Vec<u8>, Stamp<Agent>),
    SayToDriver(ConnectionId, Vec<u8>),
    SayToAgent(ConnectionId, Vec<u8>),
    MovedAtDriver(ConnectionId),
    Dialled,
    ClosedAtDriver(ConnectionId),
    ClosedAtAgent(ConnectionId),
    CloseProbes(TrialId),
    DriverTime,
    AgentTime,
    Blow(Blow),
}

/// An event in the queue: earliest first, and those of one moment in the order of their making.
struct Due {
    at_ns: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}

/// Secrets that follow from the seed.
struct SeededDice(u64);

impl agent::Host for SeededDice {
    fn secrets(&mut self, stream: StreamNumber) -> Secrets {
        let token = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(stream) << 32 ^ 0x5a;
        let key = [stream.to_be_bytes()[3] ^ 0xa5; KEY_LEN];
        Secrets { stream, token: Token(token), key }
    }

    fn lacks(&self, _: &Trial) -> Option<String> {
        None
    }

    fn lacks_congestion(&self, _: CongestionControl) -> Option<String> {
        None
    }

    fn facts(&self) -> HostFacts {
        HostFacts::default()
    }
}

enum Near {
    Opening(Box<Opening>),
    Probes(Box<Probes>),
    Load(Box<LoadEnd<Driver>>),
    Over,
}

struct NearStream {
    stream: Stream,
    key: [u8; KEY_LEN],
    siblings: u32,
    near: Near,
    wake_ns: u64,
}

struct FarTrial {
    orders: Orders<Agent>,
    heard: Option<Stamp<Agent>>,
    unopened_hellos: u64,
    to_report: usize,
    siblings: u32,
}

struct FarStream {
    trial: TrialId,
    end: LoadEnd<Agent>,
    wake_ns: u64,
}

/// The agent's hands (`dataplane::far`).
struct Far {
    reflector: Reflector,
    pending: BTreeMap<Token, (TrialId, Stream, [u8; KEY_LEN])>,
    probes: BTreeMap<Token, TrialId>,
    streams: BTreeMap<SocketAddr, FarStream>,
    trials: BTreeMap<TrialId, FarTrial>,
}

impl Default for Far {
    fn default() -> Self {
        Self {
            reflector: Reflector::new(&[0x5a; KEY_LEN]),
            pending: BTreeMap::new(),
            probes: BTreeMap::new(),
            streams: BTreeMap::new(),
            trials: BTreeMap::new(),
        }
    }
}

struct World {
    setup: Setup,
    now_ns: u64,
    started_ns: Option<u64>,
    queue: BinaryHeap<Reverse<Due>>,
    made: u64,
    driver: driver::Session,
    agent: agent::Session,
    limits: Limits,
    near: BTreeMap<StreamNumber, NearStream>,
    orders: Orders<Driver>,
    far: Far,
    /// The run's connection, as the driver has it.
    control: ConnectionId,
    /// Connections that carry something.
    carrying: BTreeSet<ConnectionId>,
    /// Until when each connection is busy with what was said before, each way.
    busy_ns: BTreeMap<(ConnectionId, Direction), u64>,
    control_dead: bool,
    driver_gone: bool,
    agent_gone: bool,
    driver_wake_ns: u64,
    agent_wake_ns: u64,
    /// How far the ports of the driver's streams have moved.
    moved_ports: u16,
    attacker: Attacker,
    run: Run,
}

/// Plays `setup` to its end.
pub(super) fn play(setup: &Setup) -> Run {
    World::new(setup.clone()).play()
}

/// How far a NAT that forgets its flows moves their ports.
const PORTS_MOVED: u16 = 1_000;

/// A line whose outages count from the start of the trial, and spare what comes before it.
fn new_line(spec: &Spec, seed: u64) -> EmulatedLink {
    let mut line = EmulatedLink::new(spec.clone(), seed);
    line.set_epoch(u64::MAX);
    line.keep_log();
    line
}

fn request(trial: &Trial) -> Request {
    let rate = BitRate::new(10_000_000_000).unwrap();
    let load = trial.load().map(|_| LoadRequest { rate, duration: trial.duration() });
    let duration = trial.duration().plus(Span::from_secs(60));
    let fence = Fence { of: "circuit EC-1".into(), sequence: 1, number: 1 };
    let (congestion, fences) = (Vec::new(), vec![fence]);
    Request { circuit: Some("EC-1".into()), duration, load, congestion, fences }
}

impl World {
    fn new(setup: Setup) -> Self {
        let rate_max = BitRate::new(10_000_000_000).unwrap();
        let limits = Limits { rate_max, duration_max: Span::from_secs(600) };
        let agent = agent::Session::new(limits, Box::new(SeededDice(setup.seed)));
        let begin = Stamp::from_nanos(setup.driver_clock.read(BEGIN_NS));
        let run = Run {
            ended: None,
            ended_ns: None,
            forward: new_line(&setup.forward, setup.seed),
            reverse: new_line(&setup.reverse, !setup.seed),
            last_load_ns: [0; 2],
            agent_last_ns: 0,
            agent_over_ns: None,
            others_granted: Vec::new(),
            events: 0,
            touched: 0,
        };
        let far = Far::default();
        let attacker = Attacker::new(setup.attack);
        Self {
            driver: driver::Session::new(RunId(7), begin),
            agent,
            limits,
            setup,
            now_ns: BEGIN_NS,
            started_ns: None,
            queue: BinaryHeap::new(),
            made: 0,
            near: BTreeMap::new(),
            orders: Orders::default(),
            far,
            control: ConnectionId(1),
            carrying: BTreeSet::from([ANOTHER, ConnectionId(1)]),
            busy_ns: BTreeMap::new(),
            control_dead: false,
            driver_gone: false,
            agent_gone: false,
            driver_wake_ns: u64::MAX,
            agent_wake_ns: u64::MAX,
            moved_ports: 0,
            attacker,
            run,
        }
    }

    fn play(mut self) -> Run {
        self.open_at_agent(self.control);
        self.after_driver();
        self.after_agent();
        while let Some(Reverse(due)) = self.queue.pop() {
            self.run.events += 1;
            let (events, seed) = (self.run.events, self.setup.seed);
            assert!(events < EVENTS_MAX, "the run never ends: seed {seed}");
            assert!(self.now_ns <= due.at_ns, "time runs backwards: seed {seed}");
            self.now_ns = due.at_ns;
            self.happen(due.event);
        }
        self.run.touched = self.attacker.touched;
        self.run
    }

    fn push(&mut self, at_ns: u64, event: Event) {
        if at_ns == u64::MAX {
            return;
        }
        self.made += 1;
        self.queue.push(Reverse(Due { at_ns, number: self.made, event }));
    }

    fn driver_now(&self) -> Stamp<Driver> {
        Stamp::from_nanos(self.setup.driver_clock.read(self.now_ns))
    }

    fn agent_now(&self) -> Stamp<Agent> {
        Stamp::from_nanos(self.setup.agent_clock.read(self.now_ns))
    }

    fn when_driver(&self, at: Stamp<Driver>) -> u64 {
        self.setup.driver_clock.true_ns_when(at.nanos(), self.now_ns).unwrap_or(u64::MAX)
    }

    fn when_agent(&self, at: Stamp<Agent>) -> u64 {
        self.setup.agent_clock.true_ns_when(at.nanos(), self.now_ns).unwrap_or(u64::MAX)
    }

    fn since_start_ns(&self) -> u64 {
        self.started_ns.map_or(0, |started_ns| self.now_ns - started_ns)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Near(_) | Event::ToDriver(..) | Event::Dialled | Event::DriverTime
                if self.driver_gone => {}
            Event::SayToDriver(to, _) if self.driver_gone && to != ANOTHER => {}
            Event::MovedAtDriver(connection) => {
                if connection == self.control && self.carrying.contains(&connection) {
                    self.driver.handle_progress(self.driver_now());
                    self.after_driver();
                }
            }
            Event::Far(_) | Event::CloseProbes(_) | Event::ToAgent(..) | Event::SayToAgent(..)
                if self.agent_gone => {}
            Event::ReadAtAgent(..) if self.agent_gone => {}
            Event::AgentTime if self.agent_gone => {}
            Event::Near(number) => self.step_near(number),
            Event::Far(peer) => self.step_far(peer),
            Event::CloseProbes(trial) => self.close_probes(trial, None),
            Event::ToDriver(number, octets) => self.take_at_driver(number, &octets),
            Event::ToAgent(peer, octets) => self.take_at_agent(peer, octets),
            Event::ReadAtAgent(peer, octets, at) => self.read_at_agent(peer, octets, at),
            Event::SayToDriver(to, frame) => self.hear_at_driver(to, &frame),
            Event::SayToAgent(from, frame) => self.hear_at_agent(from, &frame),
            Event::Dialled => self.take_connection(),
            Event::ClosedAtDriver(connection) => {
                let is_heard = connection == self.control && self.run.ended.is_none();
                if is_heard && !self.driver_gone {
                    self.driver.handle_closed(self.driver_now());
                    self.after_driver();
                }
            }
            Event::ClosedAtAgent(_) if self.agent_gone => {}
            Event::ClosedAtAgent(connection) => {
                self.agent.handle_closed(self.agent_now(), connection);
                self.after_agent();
            }
            Event::DriverTime => self.driver_time(),
            Event::AgentTime => self.agent_time(),
            Event::Blow(blow) => self.strike(blow),
        }
    }

    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::ControlCloses => {
                self.carrying.remove(&self.control);
                self.push(self.now_ns, Event::ClosedAtDriver(self.control));
                self.push(self.now_ns, Event::ClosedAtAgent(self.control));
            }
            Blow::ControlStalls => _ = self.carrying.remove(&self.control),
            Blow::ControlDies => {
                self.carrying.retain(|connection| *connection == ANOTHER);
                self.control_dead = true;
            }
            Blow::ControlRecovers => self.control_dead = false,
            Blow::AgentRestarts => self.restart_agent(),
            Blow::DriverVanishes => self.driver_gone = true,
            Blow::AgentVanishes => self.agent_gone = true,
            Blow::Interrupt if self.driver_gone || self.run.ended.is_some() => {}
            Blow::Interrupt => {
                self.driver.handle_interrupt(self.driver_now());
                self.after_driver();
            }
            Blow::NatForgets => self.moved_ports += PORTS_MOVED,
            Blow::AnotherAsks => {
                self.open_at_agent(ANOTHER);
                let asked = request(&self.setup.trial);
                let load = asked.load.map(|load| control::LoadRequest {
                    rate_bit_s: load.rate.bits_per_second(),
                    duration_ns: load.duration.nanos(),
                });
                let request = control::Request {
                    run: RunId(8).to_string(),
                    circuit: asked.circuit,
                    duration_ns: asked.duration.nanos(),
                    load,
                    congestion: Vec::new(),
                    fences: Vec::new(),
                };
                self.say_to_agent(ANOTHER, &Message::Hello(hello("another", None)));
                self.say_to_agent(ANOTHER, &Message::Request(request));
                self.after_agent();
            }
        }
    }

    // The control channel: frames of JSON, as io::channel carries them.

    fn open_at_agent(&mut self, connection: ConnectionId) {
        let framing = Framing::plain(IpVersion::V4);
        let who = if connection == ANOTHER { "another" } else { "driver" };
        let now = self.agent_now();
        let (key, role) = (key(connection), Role::qualifier(self.limits));
        self.agent.handle_open(
            now,
            connection,
            agent::Listed { who: who.into(), key, role },
            framing,
        );
    }

    /// What the driver dialled for has come about, or not.
    fn take_connection(&mut self) {
        let now = self.driver_now();
        if self.agent_gone || self.control_dead {
            self.driver.handle_unreachable(now, "nothing answers");
            return self.after_driver();
        }
        if self.carrying.remove(&self.control) {
            self.push(self.now_ns + CONTROL_NS, Event::ClosedAtAgent(self.control));
        }
        self.control.0 += 1;
        self.carrying.insert(self.control);
        self.open_at_agent(self.control);
        self.after_agent();
        self.driver.handle_connected(now);
        self.after_driver();
    }

    fn restart_agent(&mut self) {
        self.carrying.remove(&self.control);
        self.push(self.now_ns, Event::ClosedAtDriver(self.control));
        self.agent = agent::Session::new(self.limits, Box::new(SeededDice(!self.setup.seed)));
        self.far = Far::default();
        self.run.agent_over_ns = Some(self.since_start_ns());
    }

    fn say_to_agent(&mut self, from: ConnectionId, message: &Message) {
        if self.carrying.contains(&from) {
            let frame = self.in_its_version(Before::Driver, message);
            let at_ns = self.carry(from, Direction::Forward, frame.len());
            self.push(at_ns, Event::SayToAgent(from, frame));
        }
    }

    fn say_to_driver(&mut self, to: ConnectionId, message: &Message) {
        if self.carrying.contains(&to) {
            let frame = self.in_its_version(Before::Agent, message);
            let at_ns = self.carry(to, Direction::Reverse, frame.len());
            self.push(at_ns, Event::SayToDriver(to, frame));
        }
    }

    /// `message` of the end `from`, as one of the ends has it that speaks the version before.
    fn in_its_version(&self, from: Before, message: &Message) -> Vec<u8> {
        let frame = serde_json::to_vec(message).unwrap();
        match self.setup.before {
            Before::None => frame,
            before => as_before(&frame, before == from),
        }
    }

    /// When a frame of `len` octets has come whole; while it comes, the driver sees octets move.
    fn carry(&mut self, connection: ConnectionId, direction: Direction, len: usize) -> u64 {
        let rate = self.setup.control_bits_per_second;
        let takes_ns = 8 * u64::try_from(len).unwrap() * SECOND_NS / rate;
        let busy_ns = self.busy_ns.entry((connection, direction)).or_default();
        let from_ns = self.now_ns.max(*busy_ns);
        *busy_ns = from_ns + takes_ns;
        let looks = (1..=takes_ns / LOOK_NS).map(|look| from_ns + CONTROL_NS + look * LOOK_NS);
        looks.for_each(|at_ns| self.push(at_ns, Event::MovedAtDriver(connection)));
        from_ns + takes_ns + CONTROL_NS
    }

    fn hear_at_driver(&mut self, to: ConnectionId, frame: &[u8]) {
        let message = serde_json::from_slice(frame).unwrap();
        if to == ANOTHER {
            match message {
                Message::Granted(_) => self.run.others_granted.push(true),
                Message::Refused { .. } => self.run.others_granted.push(false),
                _ => return,
            }
            return self.push(self.now_ns, Event::ClosedAtAgent(ANOTHER));
        }
        if to == self.control && self.carrying.contains(&to) {
            self.driver.handle_message(self.driver_now(), message);
            self.after_driver();
        }
    }

    fn hear_at_agent(&mut self, from: ConnectionId, frame: &[u8]) {
        if self.carrying.contains(&from) {
            let message = serde_json::from_slice(frame).unwrap();
            self.agent.handle_message(self.agent_now(), from, message);
            self.after_agent();
        }
    }

    // The driver's host.

    fn driver_time(&mut self) {
        self.driver_wake_ns = u64::MAX;
        let heard = self.near.values().filter_map(|near| match &near.near {
            Near::Probes(probes) => probes.heard,
            Near::Load(end) => end.heard,
            Near::Opening(_) | Near::Over => None,
        });
        if let Some(at) = heard.max() {
            self.driver.handle_trial(self.driver_now(), NearEvent::Heard(at));
        }
        self.driver.handle_timeout(self.driver_now());
        self.after_driver();
    }

    fn after_driver(&mut self) {
        while let Some(action) = self.driver.poll_action() {
            self.act_for_driver(action);
        }
        let Some(deadline) = self.driver.deadline() else { return };
        let at_ns = self.when_driver(deadline);
        if at_ns < self.driver_wake_ns {
            self.driver_wake_ns = at_ns;
            self.push(at_ns, Event::DriverTime);
        }
    }

    fn act_for_driver(&mut self, action: driver::Action) {
        let now = self.driver_now();
        match action {
            driver::Action::Say(message) => self.say_to_agent(self.control, &message),
            driver::Action::Admitted(..) => self.driver.request(now, &request(&self.setup.trial)),
            driver::Action::Granted { .. } => {
                self.driver.begin(now, Task::Measure, self.setup.trial);
            }
            driver::Action::Open(openings, _) => self.open_near(openings),
            driver::Action::Start => self.start_near(now),
            driver::Action::Close(stream, sent) => {
                self.orders.closings.insert(stream, sent);
                self.wake_near();
            }
            driver::Action::Stop => self.stop_near(),
            driver::Action::Gone(since) => self.orders.gone = self.orders.gone.or(Some(since)),
            driver::Action::Reconnect => {
                self.push(self.now_ns + 2 * CONTROL_NS, Event::Dialled);
            }
            driver::Action::Ended(outcome) => self.end(Ok(outcome)),
            driver::Action::Refused(reason) => self.driver.end_refused(reason),
            driver::Action::Failed(failure) => self.end(Err(failure)),
            driver::Action::FindPayload(_) | driver::Action::PayloadFound(_) => {}
        }
    }

    fn open_near(&mut self, openings: Vec<driver::Opening>) {
        let now = self.driver_now();
        let streams: Vec<Stream> = openings.iter().map(|opening| opening.stream).collect();
        for driver::Opening { stream, key } in openings {
            let same_way = |other: &&Stream| {
                other.number != PROBE_STREAM && other.direction == stream.direction
            };
            let siblings = u32::try_from(streams.iter().filter(same_way).count()).unwrap();
            let near = Near::Opening(Box::new(Opening::new(stream, &key, now)));
            let wake_ns = self.now_ns;
            self.near.insert(stream.number, NearStream { stream, key, siblings, near, wake_ns });
            self.push(self.now_ns, Event::Near(stream.number));
        }
    }

    fn start_near(&mut self, now: Stamp<Driver>) {
        self.started_ns = Some(self.now_ns);
        self.run.forward.set_epoch(self.now_ns);
        self.run.reverse.set_epoch(self.now_ns);
        self.orders.start = Some(now);
        self.setup.agent_clock.step = self.setup.agent_step.map(|(after_ns, by_ns)| {
            let at_ns = self.now_ns + after_ns;
            emulation::Step { at_ns, by_ns }
        });
        self.wake_near();
        for (after_ns, blow) in self.setup.blows.clone() {
            self.push(self.now_ns + after_ns, Event::Blow(blow));
        }
    }

    fn stop_near(&mut self) {
        self.orders.stopped = true;
        self.wake_near();
    }

    fn wake_near(&mut self) {
        let numbers: Vec<StreamNumber> = self.near.keys().copied().collect();
        for number in numbers {
            self.push(self.now_ns, Event::Near(number));
        }
    }

    fn end(&mut self, ended: Result<Box<TrialRun>, Failure>) {
        assert!(self.run.ended.is_none(), "the run ends twice: seed {}", self.setup.seed);
        self.run.ended = Some(ended);
        self.run.ended_ns = Some(self.since_start_ns());
        self.driver.finish();
        self.stop_near();
        // The connection closes behind the last word.
        if self.carrying.contains(&self.control) {
            self.push(self.now_ns + CONTROL_NS + 1, Event::ClosedAtAgent(self.control));
        }
    }

    fn step_near(&mut self, number: StreamNumber) {
        let now = self.driver_now();
        let Some(near) = self.near.get_mut(&number) else { return };
        if near.wake_ns <= self.now_ns {
            near.wake_ns = u64::MAX;
        }
        let (mut out, mut events) = (Out::new(), Vec::new());
        let wait = match &mut near.near {
            Near::Over => None,
            // A thread that is stopped while it opens its stream reports nothing.
            Near::Opening(_) if self.orders.stopped => {
                near.near = Near::Over;
                None
            }
            Near::Opening(opening) => match opening.step(now, &mut out) {
                Step::Wait(until) => Some(until),
                Step::Over(event) => {
                    near.open(self.setup.driver_host, now, &event);
                    events.push(event);
                    Some(now)
                }
            },
            Near::Probes(probes) => match probes.step(now, &self.orders, &mut out, &mut events) {
                Step::Wait(until) => Some(until),
                Step::Over(()) => {
                    near.near = Near::Over;
                    None
                }
            },
            Near::Load(end) => match end.step(now, &self.orders, &mut out) {
                Step::Wait(until) => Some(until),
                Step::Over(ended) => {
                    near.near = Near::Over;
                    events.push(match ended {
                        Ended::Sent(sent) => NearEvent::Sent(number, sent),
                        Ended::Came(counts) => NearEvent::Came(number, counts),
                    });
                    None
                }
            },
        };
        self.send_forward(number, out);
        if let Some(until) = wait {
            self.wake_near_at(number, until);
        }
        for event in events {
            self.driver.handle_trial(now, event);
            self.after_driver();
        }
    }

    fn wake_near_at(&mut self, number: StreamNumber, until: Stamp<Driver>) {
        let at_ns = self.when_driver(until);
        let near = self.near.get_mut(&number).unwrap();
        if at_ns < near.wake_ns {
            near.wake_ns = at_ns;
            self.push(at_ns, Event::Near(number));
        }
    }

    fn take_at_driver(&mut self, number: StreamNumber, octets: &[u8]) {
        let now = self.driver_now();
        let mut out = Out::new();
        match &mut self.near.get_mut(&number).unwrap().near {
            Near::Opening(opening) => opening.take(now, octets),
            Near::Probes(probes) => {
                probes.take(now, octets, &mut out);
                self.orders.rise = self.orders.rise.max(probes.rise);
            }
            Near::Load(end) => end.take(now, octets, &mut out),
            Near::Over => return,
        }
        self.send_forward(number, out);
        self.step_near(number);
    }

    /// The address of a stream's driver, as the agent sees it now.
    fn driver_address(&self, stream: StreamNumber) -> SocketAddr {
        let port = 40_000 + self.moved_ports + u16::try_from(stream).unwrap();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port)
    }

    fn send_forward(&mut self, number: StreamNumber, out: Out) {
        for (class, octets) in out {
            let since_ns = self.since_start_ns();
            if class == Class::Load {
                self.run.last_load_ns[0] = since_ns;
            }
            let len = u32::try_from(octets.len()).unwrap() + HEADERS;
            let deliveries = self.run.forward.offer(self.now_ns, len, class);
            for at_ns in deliveries.arrivals_ns() {
                self.deliver(*at_ns, Direction::Forward, number, &octets);
            }
        }
    }

    fn send_reverse(&mut self, to: SocketAddr, out: Out) {
        for (class, octets) in out {
            let since_ns = self.since_start_ns();
            if class == Class::Load {
                self.run.last_load_ns[1] = since_ns;
            }
            self.run.agent_last_ns = since_ns;
            let len = u32::try_from(octets.len()).unwrap() + HEADERS;
            let deliveries = self.run.reverse.offer(self.now_ns, len, class);
            // What is sent to a port that the NAT has forgotten is dropped there.
            let port = to.port().wrapping_sub(40_000 + self.moved_ports);
            if PORTS_MOVED <= port {
                continue;
            }
            for at_ns in deliveries.arrivals_ns() {
                self.deliver(*at_ns, Direction::Reverse, port.into(), &octets);
            }
        }
    }

    /// What comes out of the link passes whoever is on the path.
    fn deliver(&mut self, at_ns: u64, direction: Direction, number: StreamNumber, octets: &[u8]) {
        for Passed { at_ns, direction, octets } in self.attacker.pass(at_ns, direction, octets) {
            let event = match direction {
                Direction::Forward => Event::ToAgent(self.driver_address(number), octets),
                Direction::Reverse => Event::ToDriver(number, octets),
            };
            self.push(at_ns, event);
        }
    }

    // The agent's host.

    fn agent_time(&mut self) {
        self.agent_wake_ns = u64::MAX;
        let heard: Vec<_> = self
            .far
            .trials
            .iter()
            .map(|(id, trial)| {
                let streams = self.far.streams.values().filter(|stream| stream.trial == *id);
                (*id, streams.filter_map(|stream| stream.end.heard).max().max(trial.heard))
            })
            .collect();
        for (id, at) in heard {
            if let Some(at) = at {
                self.agent.handle_trial(id, FarEvent::Heard(at));
            }
        }
        self.agent.handle_timeout(self.agent_now());
        self.after_agent();
    }

    fn after_agent(&mut self) {
        while let Some(action) = self.agent.poll_action() {
            self.act_for_agent(action);
        }
        let Some(deadline) = self.agent.deadline() else { return };
        let at_ns = self.when_agent(deadline);
        if at_ns < self.agent_wake_ns {
            self.agent_wake_ns = at_ns;
            self.push(at_ns, Event::AgentTime);
        }
    }

    fn act_for_agent(&mut self, action: agent::Action) {
        match action {
            agent::Action::Say(to, message) => self.say_to_driver(to, &message),
            agent::Action::Close(connection) => {
                self.push(self.now_ns + CONTROL_NS, Event::ClosedAtDriver(connection));
            }
            agent::Action::Keep(_) | agent::Action::KeepFences(_) | agent::Action::Forget(_) => {}
            agent::Action::Expect(trial, _, streams, ..) => self.expect(trial, streams),
            agent::Action::Start(trial) => {
                let now = self.agent_now();
                if let Some(trial) = self.far.trials.get_mut(&trial) {
                    trial.orders.start = Some(now);
                }
                self.wake_far(trial);
            }
            agent::Action::Sent(trial, PROBE_STREAM, sent) => self.close_probes(trial, Some(&sent)),
            agent::Action::Sent(trial, stream, sent) => {
                if let Some(trial) = self.far.trials.get_mut(&trial) {
                    trial.orders.closings.insert(stream, sent);
                }
                self.wake_far(trial);
            }
            agent::Action::Stop(trial) => self.stop_far(trial),
            agent::Action::Note(note) => {
                if note.starts_with("run ") && note.contains("of driver is over") {
                    self.run.agent_over_ns = Some(self.since_start_ns());
                }
            }
        }
    }

    fn expect(&mut self, trial: TrialId, streams: Vec<(Stream, Secrets)>) {
        let now = self.agent_now();
        let reverse = streams.iter().filter(|(s, _)| s.direction == Direction::Reverse).count();
        let far = FarTrial {
            orders: Orders::default(),
            heard: None,
            unopened_hellos: 0,
            to_report: streams.len(),
            siblings: u32::try_from(reverse).unwrap(),
        };
        self.far.trials.insert(trial, far);
        for (stream, secrets) in streams {
            self.far.reflector.expect(stream, &secrets.key, now);
            if stream.number == PROBE_STREAM {
                self.far.probes.insert(stream.token, trial);
            } else {
                self.far.pending.insert(stream.token, (trial, stream, secrets.key));
            }
        }
    }

    fn wake_far(&mut self, trial: TrialId) {
        let of_trial =
            |(peer, far): (&SocketAddr, &FarStream)| (far.trial == trial).then_some(*peer);
        let peers: Vec<SocketAddr> = self.far.streams.iter().filter_map(of_trial).collect();
        for peer in peers {
            self.push(self.now_ns, Event::Far(peer));
        }
    }

    fn stop_far(&mut self, trial: TrialId) {
        if let Some(trial) = self.far.trials.get_mut(&trial) {
            trial.orders.stopped = true;
        }
        let unopened: Vec<(Token, Stream)> = self
            .far
            .pending
            .iter()
            .filter(|(_, (id, ..))| *id == trial)
            .map(|(token, (_, stream, _))| (*token, *stream))
            .collect();
        for (token, stream) in unopened {
            self.far.pending.remove(&token);
            let end = End::Abandoned { listened_until: self.agent_now() };
            if let Some(far) = self.far.trials.get_mut(&trial) {
                far.unopened_hellos += self.far.reflector.unopened_hellos(token);
            }
            self.far.reflector.forget(token, end, 0);
            let event = match stream.direction {
                Direction::Forward => FarEvent::Came(stream.number, ReceiverCounts::default()),
                Direction::Reverse => FarEvent::Sent(stream.number, SenderCounts::default()),
            };
            self.pass_to_agent(trial, event);
        }
        let probes = self.far.probes.iter().find(|(_, id)| **id == trial).map(|(token, _)| *token);
        if probes.is_some_and(|token| self.far.reflector.is_opened(token)) {
            let hold_ns = LATE_MAX.nanos() + FAREWELL.nanos();
            self.push(self.now_ns + hold_ns, Event::CloseProbes(trial));
        } else {
            self.close_probes(trial, None);
        }
        self.wake_far(trial);
    }

    fn close_probes(&mut self, trial: TrialId, sent: Option<&SenderCounts>) {
        let token = self.far.probes.iter().find(|(_, id)| **id == trial).map(|(token, _)| *token);
        let Some(token) = token else { return };
        self.far.probes.remove(&token);
        let excess = Excess::new();
        let end = match sent {
            Some(SenderCounts { sent, last_due_ns, .. }) => End::Closed(Closing {
                sent: *sent,
                last_due_ns: *last_due_ns,
                excess: &excess,
                window: None,
            }),
            None => End::Abandoned { listened_until: self.agent_now() },
        };
        let others = self.far.trials.get(&trial).map_or(0, |far| far.unopened_hellos);
        let unopened_hellos = others + self.far.reflector.unopened_hellos(token);
        let reflected = self.far.reflector.forget(token, end, 0);
        let reflected = ReflectorCounts { unopened_hellos, ..reflected };
        self.pass_to_agent(trial, FarEvent::Reflected(reflected));
    }

    /// A stream is over; behind the last of them the host's own report follows.
    fn pass_to_agent(&mut self, id: TrialId, event: FarEvent) {
        self.agent.handle_trial(id, event);
        let trial = self.far.trials.get_mut(&id).unwrap();
        trial.to_report -= 1;
        if trial.to_report == 0 {
            self.far.trials.remove(&id);
            let wall_clock = self.setup.agent_host.wall_clock;
            let counts = HostCounts { wall_clock, ..HostCounts::default() };
            self.agent.handle_trial(id, FarEvent::Host(counts));
        }
        self.after_agent();
    }

    fn take_at_agent(&mut self, peer: SocketAddr, octets: Vec<u8>) {
        let now = self.agent_now();
        if let Some(far) = self.far.streams.get_mut(&peer) {
            let mut out = Out::new();
            far.end.take(now, &octets, &mut out);
            let orders = &mut self.far.trials.get_mut(&far.trial).unwrap().orders;
            orders.rise = orders.rise.max(far.end.rise);
            self.send_reverse(peer, out);
            return self.step_far(peer);
        }
        let wakes_ns = self.setup.agent_host.wakes_ns;
        if kind_of(&octets) == Some(Kind::Probe) && 0 < wakes_ns {
            return self.push(self.now_ns + wakes_ns, Event::ReadAtAgent(peer, octets, now));
        }
        self.read_at_agent(peer, octets, now);
    }

    /// The agent's program reads a datagram of its port that came `at`.
    fn read_at_agent(&mut self, peer: SocketAddr, mut octets: Vec<u8>, at: Stamp<Agent>) {
        let (now, host) = (self.agent_now(), self.setup.agent_host);
        let (local, by_kernel, mark, octets) = (None, true, None, &mut octets);
        let incoming = Incoming { at, by_kernel, peer, local, drops: 0, mark, octets };
        let claimed = Signal::claimed(incoming.octets).ok().map(|(_, token)| token);
        let open = self.far.streams.values_mut();
        let open = open.map(|far| &mut far.end).find(|end| claimed == Some(end.stream.token));
        if let Some(end) = &open {
            let next = end.next_heartbeat();
            self.far.reflector.on_heartbeats(end.stream.token, next);
        }
        let response = self.far.reflector.handle(&incoming);
        if let Some(end) = open {
            let next = self.far.reflector.next_heartbeat(end.stream.token);
            end.seen().on_heartbeats(next);
        }
        while let Some((token, moved)) = self.far.reflector.take_moved() {
            self.follow(token, moved);
        }
        match response {
            Response::Ignore => {}
            Response::Signal(signal) => {
                self.send_reverse(peer, vec![(Class::Signal, signal.to_vec())]);
            }
            Response::Reply(reply) => {
                let read = Stamp::from_nanos(now.nanos() - host.takes_ns);
                if !self.far.reflector.emit(&reply, read, octets) {
                    return;
                }
                if let Some(id) = self.far.probes.get(&reply.token) {
                    let heard = self.far.reflector.newest_at(reply.token);
                    self.far.trials.get_mut(id).unwrap().heard = heard;
                }
                assert_eq!(kind_of(octets), Some(Kind::Probe), "a reply is a probe's");
                self.far.reflector.on_replied(&reply);
                if host.stamps(reply.sequence) {
                    self.far.reflector.on_left(reply.token, reply.sequence, now);
                }
                // What answers a copy is no reply of the account's.
                let class = if reply.answers_copy { Class::Signal } else { Class::Probe };
                self.send_reverse(peer, vec![(class, octets.clone())]);
            }
            Response::Open(opened) => {
                let Some((trial, stream, key)) = self.far.pending.remove(&opened.token) else {
                    return;
                };
                let siblings = self.far.trials[&trial].siblings;
                let mut end = LoadEnd::new(stream, &key, Direction::Reverse, siblings, host, now);
                *end.seen() = opened.seen;
                let mut out = Out::new();
                end.say(linkqual::wire::signal::Say::Accepted, &mut out);
                self.send_reverse(peer, out);
                let far = FarStream { trial, end, wake_ns: u64::MAX };
                self.far.streams.insert(peer, far);
                self.step_far(peer);
            }
        }
    }

    /// A stream's driver is at another address (`Server::report_moves`, `OpenStream::follow`).
    fn follow(&mut self, token: Token, moved: Moved) {
        let id = match self.far.streams.remove(&moved.from) {
            Some(mut far) => {
                let (id, mut out) = (far.trial, Out::new());
                far.end.say(linkqual::wire::signal::Say::Accepted, &mut out);
                far.wake_ns = u64::MAX;
                self.far.streams.insert(moved.to, far);
                self.send_reverse(moved.to, out);
                self.push(self.now_ns, Event::Far(moved.to));
                id
            }
            None => match self.far.probes.get(&token) {
                Some(id) => *id,
                None => return,
            },
        };
        self.agent.handle_trial(id, FarEvent::Moved(moved));
    }

    fn step_far(&mut self, peer: SocketAddr) {
        let now = self.agent_now();
        let Some(far) = self.far.streams.get_mut(&peer) else { return };
        if far.wake_ns <= self.now_ns {
            far.wake_ns = u64::MAX;
        }
        let (id, number) = (far.trial, far.end.stream.number);
        let mut out = Out::new();
        let step = far.end.step(now, &self.far.trials[&id].orders, &mut out);
        self.send_reverse(peer, out);
        match step {
            Step::Wait(until) => {
                let at_ns = self.when_agent(until);
                let far = self.far.streams.get_mut(&peer).unwrap();
                if at_ns < far.wake_ns {
                    far.wake_ns = at_ns;
                    self.push(at_ns, Event::Far(peer));
                }
            }
            Step::Over(ended) => {
                let far = self.far.streams.remove(&peer).unwrap();
                let trial = self.far.trials.get_mut(&id).unwrap();
                trial.heard = trial.heard.max(far.end.heard);
                self.pass_to_agent(
                    id,
                    match ended {
                        Ended::Sent(sent) => FarEvent::Sent(number, sent),
                        Ended::Came(counts) => FarEvent::Came(number, counts),
                    },
                );
            }
        }
    }
}

impl NearStream {
    /// Its opening is over.
    fn open(&mut self, host: Host, now: Stamp<Driver>, event: &NearEvent) {
        let Near::Opening(opening) = std::mem::replace(&mut self.near, Near::Over) else { return };
        let Self { stream, key, siblings, .. } = self;
        let signals = opening.into_signals();
        self.near = match (event, stream.number) {
            (NearEvent::NotOpened(..), _) => Near::Over,
            (_, PROBE_STREAM) => Near::Probes(Box::new(Probes::new(*stream, signals, host, now))),
            _ => {
                let signals = (Direction::Forward, signals);
                let end = LoadEnd::going_on(*stream, key, signals, *siblings, host, now);
                Near::Load(Box::new(end))
            }
        };
    }
}
