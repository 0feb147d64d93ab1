//! A trial of a forecast, and what it sends.

use crate::direction::{Direction, PerDirection};
use crate::flow::trail;
use crate::framing::{Framing, IpVersion, Layer};
use crate::plan::{Offer, Plan};
use crate::trial::Trial;
use crate::units::ByteCount;
use crate::wire::{probe, signal};

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The trial itself.
    pub trial: Trial,
    /// What its load is offered as; `None` where it is idle.
    pub offer: Option<Offer>,
    /// What is sent in each direction.
    pub sent: PerDirection<Sent>,
}

/// What a trial sends in one direction: its probes, its heartbeats and its load.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Packets of load; of TCP, segments.
    pub packets: u64,
    /// Probes, or the replies to them; behind a load, the fewest.
    pub probes: u64,
    /// Octets of all of it, as Ethernet frames on the line (L2).
    pub octets: ByteCount,
    /// Whether the load is only known not to be more than this.
    pub is_most: bool,
    /// Whether not even that is known: as fast as the hosts can and the agent allows.
    pub is_open: bool,
}

impl Step {
    /// Streams in each direction.
    #[must_use]
    pub fn streams(&self) -> u32 {
        let udp = self.trial.load().map(|load| load.streams());
        udp.or(self.trial.tcp().map(|load| load.streams())).unwrap_or(0)
    }
}

pub(super) const fn plus(sum: ByteCount, octets: u64) -> ByteCount {
    ByteCount::new(sum.octets().saturating_add(octets))
}

pub(super) fn sent(
    plan: &Plan,
    ip: IpVersion,
    trial: &Trial,
    offer: Option<Offer>,
    direction: Direction,
) -> Sent {
    let framing = plan.link.framing(ip);
    let probe = u32::try_from(probe::LEN_MIN).expect("a probe is short");
    // Those behind a load at the least.
    let probes = trial.probe_rate().packets_in(trial.duration().plus(trail(trial).0));
    let heartbeat = u32::try_from(signal::LEN).expect("a heartbeat is short");
    let heartbeats = match trial.has_heartbeats(direction) {
        true => trial.beside().heartbeats.packets_in(trial.duration()),
        false => 0,
    };
    let octets_of =
        |count: u64, payload| count.saturating_mul(framing.octets_at(Layer::L2, payload).into());
    let beside = octets_of(probes, probe).saturating_add(octets_of(heartbeats, heartbeat));
    let (packets, octets) = load(framing, trial, direction).unwrap_or_default();
    let covered = trial.directions().is_some_and(|directions| directions.includes(direction));
    let is_fast = covered && offer == Some(Offer::Max);
    Sent {
        packets,
        probes,
        octets: plus(ByteCount::new(beside), octets),
        // TCP sends no faster than what it is given; it may send less.
        is_most: is_fast || covered && trial.tcp().is_some(),
        is_open: is_fast && plan.link.port_rate.is_none(),
    }
}

/// The packets of the load in one direction, and their octets at L2.
fn load(framing: Framing, trial: &Trial, direction: Direction) -> Option<(u64, u64)> {
    let (packets, frame) = match (trial.load(), trial.tcp()) {
        (Some(load), _) => {
            let streams = u64::from(load.streams());
            let packets = load.stream_rate(direction)?.packets_in(trial.duration());
            let frame = framing.octets_at(Layer::L2, load.payload());
            (packets.saturating_mul(streams), frame)
        }
        (None, Some(load)) => {
            let segment = load.segment(framing.ip);
            let octets = load.rate(direction)?.octets_in(trial.duration()).octets();
            let frame = framing.tcp_octets_at(Layer::L2, segment, true);
            (octets.div_ceil(u64::from(segment).max(1)), frame)
        }
        (None, None) => return None,
    };
    Some((packets, packets.saturating_mul(frame.into())))
}
