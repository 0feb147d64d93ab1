//! Which of several links are loaded at once: a machine that never waits, loads or reads a clock.
//!
//! [`Schedule::poll_start`] says which link may start now; [`Schedule::handle_over`] hears which is
//! over. A link has all that it shares for as long as its whole run takes, with its idle probes:
//! what is found idle is then not somebody else's load.
//!
//! Links start in the order of the plan; one that has to wait lets others pass that need not. So
//! what one link needs delays another by no more than the time that this takes, however it ends,
//! and each is started once: when nothing runs, the first that waits may always start, even if it
//! asks for more than this host has. What comes of that its own report shows.
//!
//! What is not known is taken at its worst: two links at once that share a slow interface find
//! each other's load and fail by it, while one that waits for nothing only takes longer.

use crate::direction::{Direction, Directions, PerDirection};
use crate::framing::{IpVersion, Layer};
use crate::plan::{Host, Link, Offer, Plan, Work};
use crate::units::{BitRate, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What one link at a time may load.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Resource {
    /// An agent, by where it listens.
    Agent(String),
    /// An agent, by its key: the same wherever it listens.
    AgentKey(String),
    /// A circuit.
    Circuit(String),
    /// What the plan says is shared.
    Shared(String),
    /// This host: one that a schedule loads links from does so one after the other.
    ThisHost,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent) => write!(f, "the agent at {agent}"),
            Self::AgentKey(key) => write!(f, "the agent with key {key}"),
            Self::Circuit(circuit) => write!(f, "circuit {circuit}"),
            Self::Shared(name) => f.write_str(name),
            Self::ThisHost => f.write_str("this host"),
        }
    }
}

/// A rate that is as much as an interface carries.
const OPEN: u64 = u64::MAX;

/// Bits per second that a stream's thread handles and still keeps its pace: from there on it is
/// taken to fill a processor, below it a part.
const THREAD_BITS_PER_SECOND: u64 = 250_000_000;

/// Packets per second that a stream's thread sends and still sleeps in between: before each it is
/// awake for up to 60 us, so that it is in time.
const THREAD_PACKETS_PER_SECOND: u64 = 16_667;

/// What TCP that is to be as fast as can be offers beyond what a port carries, in percent: what
/// the port drops is sent again.
const TCP_BEYOND_PORT_PERCENT: u64 = 10;

/// Parts of a processor that processors are counted in.
const PROCESSOR: u64 = 1_000;

/// UDP payload of a full Ethernet packet, where a test says nothing of it.
const PAYLOAD_USUAL: u32 = 1_472;

/// What a link takes of this host and of its neighbours while it is run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claim {
    /// The link's name.
    pub name: String,
    /// What no other may load meanwhile.
    pub resources: BTreeSet<Resource>,
    /// The interfaces of this host that it sends by; `None` where they are not known beforehand,
    /// so that it may be any.
    pub interfaces: Option<BTreeSet<String>>,
    /// The fastest that it loads, in bit/s on the wire; [`OPEN`] where it is as fast as can be.
    rates: PerDirection<u64>,
    /// The most of [`PROCESSOR`]s that its streams' threads take.
    processor_parts: u64,
}

impl Claim {
    /// What a run of `plan` takes that sends by `interfaces`, where they are known.
    #[must_use]
    pub fn of(plan: &Plan, interfaces: Option<BTreeSet<String>>) -> Self {
        let link = &plan.link;
        let at = |agent: &Host| format!("{}:{}", agent.name.to_ascii_lowercase(), agent.port);
        let agents = plan.sites.iter().map(|site| Resource::Agent(at(&site.agent)));
        let circuit = link.circuit.clone().map(Resource::Circuit);
        let shared = link.inventory.shares.iter().cloned().map(Resource::Shared);
        let loads = || plan.tests.iter().filter_map(|test| Load::of(link, &test.work));
        let fastest = |direction| {
            let rates = loads().filter(|load| load.directions.includes(direction));
            rates.map(|load| *load.rates.get(direction)).max().unwrap_or(0)
        };
        Self {
            name: link.name.clone().unwrap_or_default(),
            resources: agents.chain(circuit).chain(shared).collect(),
            interfaces,
            rates: PerDirection::from_fn(fastest),
            processor_parts: loads().map(|load| load.processor_parts()).max().unwrap_or(0),
        }
    }

    /// Whether it sends, or may send, by `interface`; without one, by one that is not known.
    fn may_use(&self, interface: Option<&str>) -> bool {
        let is_among = |known: &BTreeSet<String>| interface.is_some_and(|it| known.contains(it));
        self.interfaces.as_ref().is_none_or(is_among)
    }
}

/// What a test sends.
struct Load {
    directions: Directions,
    streams: u32,
    rates: PerDirection<u64>,
    /// Bits that a packet takes on the wire, where each is sent for itself.
    packet_bits: Option<u64>,
}

impl Load {
    /// `None` where it loads nothing.
    fn of(link: &Link, work: &Work) -> Option<Self> {
        let (directions, offer) = (work.directions()?, work.offer()?);
        let (streams, payload, is_tcp) = match work {
            Work::Udp(udp) => (udp.streams, udp.payload.unwrap_or(PAYLOAD_USUAL), false),
            Work::Tcp(tcp) => (tcp.streams, PAYLOAD_USUAL, true),
            Work::Idle => return None,
        };
        let framing = link.framing(IpVersion::V4);
        let on_wire = |rate: BitRate, layer| {
            let octets = |layer| u128::from(framing.octets_at(layer, payload));
            let bits = u128::from(rate.bits_per_second());
            u64::try_from(bits * octets(Layer::L1) / octets(layer).max(1)).unwrap_or(OPEN)
        };
        let rate = |direction| match (offer.rate(link, direction), link.port_rate) {
            // TCP too is paced at the rate that the plan gives.
            (Some((rate, layer)), _) => on_wire(rate, layer),
            (None, _) if offer != Offer::Max => 0,
            (None, Some(port)) if is_tcp => beyond_port(on_wire(port, link.layer)),
            // Only what arrives has been through the port: datagrams leave as fast as they can.
            (None, Some(port)) if direction == Direction::Reverse => on_wire(port, link.layer),
            (None, _) => OPEN,
        };
        let packet_bits = 8 * u64::from(framing.octets_at(Layer::L1, payload));
        let packet_bits = Some(packet_bits).filter(|_| !is_tcp);
        Some(Self { directions, streams, rates: PerDirection::from_fn(rate), packet_bits })
    }

    /// A sender of datagrams is busy with each of them, a receiver with what they hold.
    fn processor_parts(&self) -> u64 {
        let of = |direction: Direction| {
            let stream = self.rates.get(direction) / u64::from(self.streams.max(1));
            let part = |of: u64, whole| of.saturating_mul(PROCESSOR).div_ceil(whole).min(PROCESSOR);
            let sent = self.packet_bits.filter(|_| direction == Direction::Forward);
            let packets = sent.map_or(0, |bits| stream / bits.max(1));
            let part =
                part(stream, THREAD_BITS_PER_SECOND).max(part(packets, THREAD_PACKETS_PER_SECOND));
            part.saturating_mul(self.streams.into())
        };
        self.directions.iter().map(of).sum()
    }
}

/// What TCP offers that is to fill a port which carries `rate`.
fn beyond_port(rate: u64) -> u64 {
    let bits = u128::from(rate) * u128::from(100 + TCP_BEYOND_PORT_PERCENT) / 100;
    u64::try_from(bits).unwrap_or(OPEN)
}

/// What this host has for all links together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Room {
    /// How fast each interface is, where that is known.
    pub speeds: BTreeMap<String, BitRate>,
    /// Processors.
    pub processors: u32,
    /// Links that may be run at once.
    pub parallel: u32,
}

/// Why a link has to wait.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wait {
    /// As many run as may.
    Parallel(u32),
    /// Another that runs loads the same.
    Resource {
        /// What both load.
        resource: Resource,
        /// The other link.
        with: String,
    },
    /// An interface is too slow for both.
    Interface {
        /// The interface.
        name: String,
        /// How fast it is.
        speed: BitRate,
        /// Both are known to send by it; else they may.
        is_sure: bool,
    },
    /// A load that is as fast as can be, beside another on what may be the same interface, of which
    /// nobody says what it carries.
    Open {
        /// The interface, where it is known.
        interface: Option<String>,
    },
    /// There are too few processors for both.
    Processors(u32),
}

/// Why an interface is not known, and what to do.
const BEFOREHAND: &str = " beforehand, as an agent is given by name: see device";

/// What is not sure of two links on one interface, why, and what to do.
const IF_BY_IT: &str = ", if both leave by it: an agent is given by name, see device";

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parallel(1) => f.write_str("one link at a time: see --parallel"),
            Self::Parallel(most) => write!(f, "{most} links at a time"),
            Self::Resource { resource, with } => write!(f, "shares {resource} with {with}"),
            Self::Interface { name, speed, is_sure } => {
                write!(f, "the rates together exceed the {speed} of interface {name}")?;
                if *is_sure { Ok(()) } else { f.write_str(IF_BY_IT) }
            }
            Self::Open { interface: Some(name) } => {
                write!(f, "\"max\" runs alone on interface {name}, whose speed is not known")
            }
            Self::Open { interface: None } => {
                write!(f, "\"max\" runs alone on an interface that is not known{BEFOREHAND}")
            }
            Self::Processors(count) => {
                write!(f, "the streams together need more than this host's {count} CPUs")
            }
        }
    }
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Running,
    Over,
}

/// Which links run.
#[derive(Clone, Debug)]
pub struct Schedule {
    claims: Vec<Claim>,
    room: Room,
    states: Vec<State>,
}

impl Schedule {
    /// Of links that take `claims`, of which none runs, on a host with this `room`.
    #[must_use]
    pub fn new(claims: Vec<Claim>, room: Room) -> Self {
        let states = vec![State::Waiting; claims.len()];
        Self { claims, room, states }
    }

    /// A link that may start now, by its place, and that runs from now on; `None` where none may.
    pub fn poll_start(&mut self) -> Option<usize> {
        let waiting = |place: &usize| self.states[*place] == State::Waiting;
        let mut places = (0..self.claims.len()).filter(waiting);
        let next = places.find(|place| self.wait_of(*place).is_none())?;
        self.states[next] = State::Running;
        Some(next)
    }

    /// The link at `place` is over, in whatever way.
    ///
    /// # Panics
    ///
    /// Where it did not run: the caller's own order is wrong.
    pub fn handle_over(&mut self, place: usize) {
        assert_eq!(self.states[place], State::Running, "link {place} did not run");
        self.states[place] = State::Over;
    }

    /// Whether every link was run.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.states.iter().all(|state| *state == State::Over)
    }

    /// Why the link at `place` cannot start now; `None` where it can.
    #[must_use]
    pub fn wait_of(&self, place: usize) -> Option<Wait> {
        let running = || {
            let claims = self.claims.iter().zip(&self.states);
            claims.filter(|(_, state)| **state == State::Running).map(|(claim, _)| claim)
        };
        let claim = &self.claims[place];
        // Alone it may have all that there is.
        running().next()?;
        let shared = running().find_map(|other| shared(claim, other));
        let most = self.room.parallel.max(1);
        let is_full = || u32::try_from(running().count()).is_ok_and(|count| most <= count);
        shared
            .or_else(|| is_full().then_some(Wait::Parallel(most)))
            .or_else(|| self.too_slow(claim, &running().collect::<Vec<_>>()))
            .or_else(|| self.too_few(claim, &running().collect::<Vec<_>>()))
    }

    /// An interface that is too slow for `claim` beside those `running`, or may be.
    fn too_slow(&self, claim: &Claim, running: &[&Claim]) -> Option<Wait> {
        let speeds = &self.room.speeds;
        let of_speed = speeds.iter().map(|(name, speed)| (Some(name), Some(*speed)));
        let named = claim.interfaces.iter().flatten();
        let named = running.iter().flat_map(|it| it.interfaces.iter().flatten()).chain(named);
        let of_none = named.filter(|name| !speeds.contains_key(*name));
        let of_none = of_none.map(|name| (Some(name), None)).chain([(None, None)]);
        of_speed.chain(of_none).find_map(|(interface, speed)| {
            let uses = |claim: &&Claim| claim.may_use(interface.map(String::as_str));
            let mut users: Vec<&Claim> = running.iter().copied().filter(uses).collect();
            if !uses(&claim) || users.is_empty() {
                return None;
            }
            users.push(claim);
            exceeds(&users, speed).then(|| match (interface.cloned(), speed) {
                (Some(name), Some(speed)) => {
                    let is_sure = users.iter().all(|claim| claim.interfaces.is_some());
                    Wait::Interface { name, speed, is_sure }
                }
                (interface, _) => Wait::Open { interface },
            })
        })
    }

    /// Too few processors for `claim` beside those `running`.
    fn too_few(&self, claim: &Claim, running: &[&Claim]) -> Option<Wait> {
        let all = running.iter().copied().chain([claim]);
        let parts = all.map(|claim| claim.processor_parts).fold(0, u64::saturating_add);
        let processors = self.room.processors;
        let most = u64::from(processors.max(1)) * PROCESSOR;
        (most < parts).then_some(Wait::Processors(processors))
    }
}

/// Whether an interface of this `speed` is too slow for what `users` send in either direction. One
/// of unknown speed is too slow for what is as fast as can be.
fn exceeds(users: &[&Claim], speed: Option<BitRate>) -> bool {
    let exceeds = |direction| {
        let mut rates = users.iter().map(|claim| *claim.rates.get(direction));
        match speed {
            Some(speed) => speed.bits_per_second() < rates.fold(0, u64::saturating_add),
            None => rates.any(|rate| rate == OPEN),
        }
    };
    Direction::ALL.into_iter().any(exceeds)
}

/// What both load, where they do.
fn shared(claim: &Claim, other: &Claim) -> Option<Wait> {
    let resource = claim.resources.intersection(&other.resources).next()?.clone();
    Some(Wait::Resource { resource, with: other.name.clone() })
}

/// When a link runs, as far as it can be known before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// The link's place.
    pub place: usize,
    /// When it starts, since the begin of all.
    pub start: Span,
    /// When it ends.
    pub end: Span,
    /// Why it did not start with the first, as it was when others started last before it.
    pub waited: Option<Wait>,
}

/// When links that take `claims` and so long each are run on a host with this `room`, in the order
/// in which they start.
///
/// # Panics
///
/// Where there are not as many `lengths` as `claims`.
#[must_use]
pub fn timetable(claims: Vec<Claim>, room: Room, lengths: &[Span]) -> Vec<Slot> {
    assert_eq!(claims.len(), lengths.len(), "each link takes its time");
    let mut schedule = Schedule::new(claims, room);
    let mut waits: Vec<Option<Wait>> = vec![None; lengths.len()];
    let (mut slots, mut running, mut now) = (Vec::new(), BTreeSet::new(), Span::default());
    while !schedule.is_over() {
        while let Some(place) = schedule.poll_start() {
            let end = now.plus(lengths[place]);
            let waited = waits[place].take();
            slots.push(Slot { place, start: now, end, waited });
            running.insert((end, place));
        }
        for (place, wait) in waits.iter_mut().enumerate() {
            if schedule.states[place] == State::Waiting {
                *wait = schedule.wait_of(place);
            }
        }
        let Some((end, place)) = running.pop_first() else { break };
        now = end;
        schedule.handle_over(place);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(name: &str, shared: &[&str]) -> Claim {
        let resources = shared.iter().map(|name| Resource::Shared((*name).to_owned())).collect();
        Claim { name: name.to_owned(), resources, ..Claim::default() }
    }

    fn room(parallel: u32) -> Room {
        Room { processors: 2, parallel, ..Room::default() }
    }

    fn seconds(seconds: &[u64]) -> Vec<Span> {
        seconds.iter().copied().map(Span::from_secs).collect()
    }

    /// Place, start and end in seconds of each link, in the order in which they start.
    fn times(claims: &[Claim], room: Room, lengths: &[u64]) -> Vec<(usize, u64, u64)> {
        let slots = timetable(claims.to_vec(), room, &seconds(lengths));
        slots.iter().map(|it| (it.place, it.start.secs_up(), it.end.secs_up())).collect()
    }

    #[test]
    fn one_link_at_a_time_runs_in_the_order_of_the_plan() {
        let claims = [claim("a", &[]), claim("b", &[]), claim("c", &[])];
        let expected = [(0, 0, 5), (1, 5, 6), (2, 6, 9)];
        assert_eq!(times(&claims, room(1), &[5, 1, 3]), expected);
        assert_eq!(times(&claims, room(0), &[5, 1, 3]), expected, "none at a time is no schedule");
    }

    #[test]
    fn links_that_share_wait_for_each_other_and_others_pass() {
        let claims = [
            claim("a", &["pe1"]),
            claim("b", &["pe1", "pe2"]),
            claim("c", &["pe2"]),
            claim("d", &[]),
        ];
        let expected = [(0, 0, 10), (2, 0, 4), (3, 4, 5), (1, 10, 12)];
        assert_eq!(times(&claims, room(2), &[10, 2, 4, 1]), expected);
        let slots = timetable(claims.to_vec(), room(2), &seconds(&[10, 2, 4, 1]));
        let why: Vec<String> = slots
            .iter()
            .map(|it| it.waited.as_ref().map_or(String::new(), Wait::to_string))
            .collect();
        assert_eq!(why, ["", "", "2 links at a time", "shares pe1 with a"]);
    }

    fn fast(mbit_s: u64, interface: &str) -> Claim {
        Claim {
            interfaces: Some([interface.to_owned()].into()),
            rates: PerDirection { forward: mbit_s * 1_000_000, reverse: 0 },
            ..claim(interface, &[])
        }
    }

    fn open(claim: Claim) -> Claim {
        Claim { rates: PerDirection { forward: 0, reverse: OPEN }, ..claim }
    }

    /// A host with an interface of 1 Gbit/s and others of unknown speed.
    fn gigabit() -> Room {
        let speed = "1 Gbit/s".parse().expect("a rate");
        Room { speeds: [("eth0".to_owned(), speed)].into(), ..room(9) }
    }

    /// Why `one` has to wait for `other`; empty where it need not.
    fn waits(one: &Claim, other: &Claim, room: &Room) -> String {
        let slots = timetable(vec![one.clone(), other.clone()], room.clone(), &seconds(&[3, 3]));
        let wait = slots[1].waited.as_ref().map_or_else(String::new, Wait::to_string);
        assert_eq!(slots[1].start == Span::default(), wait.is_empty(), "{wait}");
        wait
    }

    #[test]
    fn rates_fit_the_interface_or_queue() {
        let room = gigabit();
        let both = |one, other| waits(&one, &other, &room);
        assert_eq!(both(fast(600, "eth0"), fast(400, "eth0")), "", "just what it carries");
        let exceed = "the rates together exceed the 1 Gbit/s of interface eth0";
        assert_eq!(both(fast(600, "eth0"), fast(401, "eth0")), exceed);
        assert_eq!(both(fast(600, "eth0"), fast(401, "eth1")), "", "another interface");
        assert_eq!(both(open(fast(0, "eth0")), fast(1, "eth0")), exceed, "it leaves nothing");
        assert_eq!(times(&[fast(5_000, "eth0")], room.clone(), &[3]), [(0, 0, 3)], "alone it runs");
    }

    /// Half of what an interface carries each is no verdict on either link.
    #[test]
    fn as_fast_as_can_be_runs_alone_where_nobody_says_what_the_interface_carries() {
        let both = |one, other| waits(&one, &other, &gigabit());
        let alone = "\"max\" runs alone on interface eth1, whose speed is not known";
        assert_eq!(both(open(fast(0, "eth1")), open(fast(0, "eth1"))), alone);
        assert_eq!(both(fast(5, "eth1"), open(fast(0, "eth1"))), alone);
        assert_eq!(both(fast(600, "eth1"), fast(401, "eth1")), "", "rates that the plan gives");
        assert_eq!(both(open(fast(0, "eth1")), open(fast(0, "eth2"))), "", "another interface");
    }

    #[test]
    fn a_link_whose_interface_is_not_known_counts_against_each() {
        let named = |mbit_s| Claim { interfaces: None, ..fast(mbit_s, "") };
        let both = |one, other| waits(&one, &other, &gigabit());
        let exceed = "the rates together exceed the 1 Gbit/s of interface eth0, if both leave by \
                      it: an agent is given by name, see device";
        assert_eq!(both(named(600), named(401)), exceed);
        assert_eq!(both(named(600), fast(401, "eth0")), exceed);
        assert_eq!(both(fast(600, "eth0"), named(401)), exceed);
        assert_eq!(both(named(600), named(400)), "");
        assert_eq!(both(named(600), fast(401, "eth1")), "", "what eth1 carries is not known");
        let alone = "\"max\" runs alone on interface eth1, whose speed is not known";
        assert_eq!(both(open(named(0)), fast(401, "eth1")), alone);
        let nowhere = "\"max\" runs alone on an interface that is not known beforehand, as an \
                       agent is given by name: see device";
        assert_eq!(waits(&open(named(0)), &named(1), &room(9)), nowhere);
        assert_eq!(waits(&named(600), &named(600), &room(9)), "");
    }

    #[test]
    fn streams_fit_the_processors_or_queue() {
        let takes = |parts| Claim { processor_parts: parts, ..Claim::default() };
        let starts = |one, other| times(&[takes(one), takes(other)], room(9), &[3, 3])[1].1;
        assert_eq!((starts(1_500, 500), starts(1_500, 501)), (0, 3));
    }

    /// A link of 100 Mbit/s at L2 each way, one stream: 101.3 Mbit/s on the wire, where 1518 octets
    /// take 1538. To send 8234 packets/s takes 0.495 of a processor, to receive their bits 0.406.
    #[test]
    fn a_plan_claims_its_agents_its_circuit_and_its_fastest_load() {
        let text = "[driver]\nkey = 'd'\n[sites.far]\nagent = 'Agent.example'\nkey = 'a.pub'\n\
                    [links.x]\nrate = '100 Mbit/s'\ncircuit = 'EC-1'\nsites = ['far']\n\
                    shares = ['pe1']\n[[test]]\nkind = 'udp'\nrate = '100%'\n[[test]]\n\
                    kind = 'udp'\nrate = '10%'\nstreams = 4\n";
        let claim = Claim::of(&plan(text), None);
        let names: Vec<String> = claim.resources.iter().map(Resource::to_string).collect();
        assert_eq!(names, ["the agent at agent.example:4872", "circuit EC-1", "pe1"]);
        let expected = 100_000_000 * 1_538 / 1_518;
        assert_eq!(claim.rates, PerDirection::both(expected));
        assert_eq!(claim.processor_parts, 495 + 406);
    }

    fn plan(text: &str) -> Plan {
        let read = crate::plan::file::read(std::path::Path::new("plan.toml"), text);
        read.conclude_all().expect("a plan").0.plans.remove(0)
    }

    /// What a test of `kind` that is as fast as can be claims of a port that carries 10 Mbit/s.
    fn of_port(kind: &str, port: &str) -> PerDirection<u64> {
        let text = format!(
            "[driver]\nkey = 'd'\n[sites.far]\nagent = '192.0.2.1'\nkey = 'a.pub'\n\
             [links.x]\nsites = ['far']\n{port}\n[[test]]\nkind = '{kind}'\nrate = 'max'\n"
        );
        Claim::of(&plan(&text), None).rates
    }

    /// The port stands behind this host's interface, and drops what the test sends beyond it.
    #[test]
    fn as_fast_as_can_be_is_held_by_a_port_as_far_as_it_is() {
        let port = "port_rate = '10 Mbit/s'";
        let rate = 10_000_000 * 1_538 / 1_518;
        assert_eq!(of_port("udp", port), PerDirection { forward: OPEN, reverse: rate });
        assert_eq!(of_port("tcp", port), PerDirection::both(rate * 110 / 100));
        assert_eq!(of_port("udp", ""), PerDirection::both(OPEN));
        assert_eq!(of_port("tcp", ""), PerDirection::both(OPEN));
    }

    /// A sender is awake before each packet, however short: 20 Mbit/s of 170 octets at L2, which
    /// are 190 on the wire, are 14 706 packets/s.
    #[test]
    fn short_packets_take_a_processor_to_send() {
        let text = "[driver]\nkey = 'd'\n[sites.far]\nagent = '192.0.2.1'\nkey = 'a.pub'\n\
                    [links.x]\nrate = '20 Mbit/s'\nsites = ['far']\n[[test]]\nkind = 'udp'\n\
                    size = 124\nrate = '100%'\n";
        assert_eq!(Claim::of(&plan(text), None).processor_parts, 883 + 90);
    }

    fn any_claims() -> impl Strategy<Value = Vec<(Claim, u64)>> {
        let shared = proptest::collection::btree_set(0_u8..4, 0..3);
        let one = (shared, 0_u64..1_200, 0_u64..3_000, 0_u64..20);
        proptest::collection::vec(one, 0..9).prop_map(|all| {
            let link = |(place, (shared, mbit_s, processor_parts, length)): (usize, _)| {
                let shared: BTreeSet<u8> = shared;
                let of = |number: u8| Resource::Shared(number.to_string());
                let claim = Claim {
                    name: format!("link {place}"),
                    resources: shared.into_iter().map(of).collect(),
                    interfaces: Some(["eth0".to_owned()].into()),
                    rates: PerDirection::both(mbit_s * 1_000_000),
                    processor_parts,
                };
                (claim, length)
            };
            all.into_iter().enumerate().map(link).collect()
        })
    }

    proptest! {
        /// Whatever they share and however long they take: a link that is dead takes its own time.
        #[test]
        fn every_link_runs_once_and_never_beside_what_it_may_not(
            links in any_claims(),
            parallel in 0_u32..5,
        ) {
            let room = Room { parallel, ..gigabit() };
            let (claims, lengths): (Vec<Claim>, Vec<u64>) = links.into_iter().unzip();
            let slots = timetable(claims.clone(), room, &seconds(&lengths));
            let places: BTreeSet<usize> = slots.iter().map(|slot| slot.place).collect();
            prop_assert_eq!((places.len(), slots.len()), (claims.len(), claims.len()));
            for slot in &slots {
                let took = slot.end.minus(slot.start);
                prop_assert_eq!(took, Span::from_secs(lengths[slot.place]));
                // What runs when it has just started.
                let beside: Vec<&Claim> = slots
                    .iter()
                    .filter(|it| it.start <= slot.start && slot.start < it.end)
                    .map(|it| &claims[it.place])
                    .collect();
                prop_assert!(beside.len() <= parallel.max(1) as usize);
                for (place, one) in beside.iter().enumerate() {
                    for other in &beside[place + 1..] {
                        prop_assert!(one.resources.is_disjoint(&other.resources));
                    }
                }
                let sum = |of: &dyn Fn(&Claim) -> u64| beside.iter().map(|it| of(it)).sum::<u64>();
                if 1 < beside.len() {
                    prop_assert!(sum(&|it| it.rates.forward) <= 1_000_000_000);
                    prop_assert!(sum(&|it| it.processor_parts) <= 2_000);
                }
            }
            // No time passes in which nothing runs.
            let all = seconds(&lengths).into_iter().fold(Span::default(), Span::plus);
            let end = slots.iter().map(|slot| slot.end).max().unwrap_or_default();
            prop_assert!(end <= all);
        }
    }
}
