//! The bounds of a trial's numbers, whoever asks for it.

use crate::units::{BitRate, PacketRate, Span};
use crate::wire::load;
use std::fmt;

/// The most streams of one direction of a trial.
pub const STREAMS_MAX: u32 = 64;

/// The longest trial.
pub const DURATION_MAX: Span = Span::from_secs(600);

/// The shortest trial: less is all edge.
pub const DURATION_MIN: Span = Span::from_secs(1);

/// The largest payload of a UDP datagram over IPv4.
pub const PAYLOAD_MAX: u32 = 65_507;

/// The smallest payload of a load datagram.
pub const PAYLOAD_MIN: u32 = 44;

const _: () = assert!(PAYLOAD_MIN as usize == load::HEADER_LEN, "it holds the header alone");

/// The smallest packet that every IPv4 host takes whole.
pub const MTU_MIN: u32 = 576;

/// The largest packet that IP can name.
pub const MTU_MAX: u32 = 65_535;

/// The highest packet rate that is a rate at all: 400 Gbit/s of the smallest frames.
pub const PACKET_RATE_MAX: PacketRate = PacketRate::new(600_000_000).expect("above zero");

/// The lowest packet rate of a load: fewer packets are no test of anything.
pub const PACKET_RATE_MIN: PacketRate = PacketRate::of(1, 10).expect("above zero");

/// The longest round trip that buffers are made for.
pub const ROUND_TRIP_MAX: Span = Span::from_secs(2);

/// The most probes per second: probes hold no load lock, so that more of them would be load without
/// one.
pub const PROBES_PER_SECOND: PacketRate = PacketRate::new(100).expect("above zero");

/// The fewest probes per second of a trial.
pub const PROBES_PER_SECOND_MIN: PacketRate = PacketRate::of(1, 10).expect("above zero");

/// Probes per second of a link of which no rate is known.
pub(super) const PROBES_UNKNOWN: PacketRate = PacketRate::new(10).expect("above zero");

/// Heartbeats per second of each direction.
pub const HEARTBEATS: PacketRate = PacketRate::new(10).expect("above zero");

/// The same where the link is narrow.
pub const HEARTBEATS_NARROW: PacketRate = PacketRate::new(4).expect("above zero");

/// A link below this rate is narrow.
pub(super) const NARROW: BitRate = BitRate::new(2_000_000).expect("above zero");

/// What a line's policer is taken to let pass at once at least: leased lines' often hold 8 to 64
/// KiB.
pub const BURST_OCTETS: u64 = 8 << 10;

/// Packets that a policer is taken to let pass at once at least, however long they are.
pub(super) const BURST_PACKETS_MIN: u32 = 3;

/// The longest burst of a load that is to be carried, by time.
pub(super) const BURST_SPAN_MAX: Span = Span::from_nanos(250_000);

/// The burst that a fast line is taken to let pass, by time.
pub(super) const BURST_SPAN: Span = Span::from_nanos(50_000);

/// Packets per second of a direction that leave one by one: a host has 20 us for each.
pub(super) const SINGLY_MAX: PacketRate = PacketRate::new(50_000).expect("above zero");

/// The most datagrams that every kernel cuts one send into, and the octets that those may have.
pub(super) const TRAIN_MAX: u64 = 64;
pub(super) const TRAIN_OCTETS_MAX: u64 = PAYLOAD_MAX as u64;

/// A number of a trial is outside its bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfBounds(Fault);

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Fault {
    #[error("{value} {what}: from {min} to {max} are allowed")]
    Outside { what: &'static str, value: Number, min: Number, max: Number },
    #[error(
        "{rate} leave nothing for a load: its probes and heartbeats alone take {beside} bit/s. \
         Ask for a higher rate, or probe alone"
    )]
    NoRest { rate: BitRate, beside: u64 },
}

/// `rate` is not above what goes beside a load, in bit/s.
pub(super) const fn no_rest(rate: BitRate, beside: u64) -> OutOfBounds {
    OutOfBounds(Fault::NoRest { rate, beside })
}

/// A number that has bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Number {
    Count(u64),
    Rate(PacketRate),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Rate(rate) => write!(f, "{rate}"),
        }
    }
}

pub(super) const fn check(
    what: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), OutOfBounds> {
    if min <= value && value <= max {
        return Ok(());
    }
    let (value, min, max) = (Number::Count(value), Number::Count(min), Number::Count(max));
    Err(OutOfBounds(Fault::Outside { what, value, min, max }))
}

pub(super) fn check_rate(
    what: &'static str,
    value: PacketRate,
    min: PacketRate,
    max: PacketRate,
) -> Result<(), OutOfBounds> {
    if min <= value && value <= max {
        return Ok(());
    }
    let (value, min, max) = (Number::Rate(value), Number::Rate(min), Number::Rate(max));
    Err(OutOfBounds(Fault::Outside { what, value, min, max }))
}

/// A load goes some way.
pub(super) fn check_loaded(is_loaded: bool) -> Result<(), OutOfBounds> {
    check("loaded directions", is_loaded.into(), 1, 2)
}
