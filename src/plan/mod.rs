//! What will be qualified: the trials to run, what is required of them, and what a limit allows.
//!
//! Values only: nothing here measures, judges or sends. A [`Trial`] that exists is within the
//! bounds of this module, whether it came from the command line or over the network.

mod check;
mod requirement;

pub use check::{Check, Offer};
pub use requirement::{Bound, Metric, Requirement, Requirements};

use crate::units::{BitRate, PacketRate, Span};
use crate::wire::load;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The most streams of one direction of a trial.
pub const STREAMS_MAX: u32 = 64;

/// The longest trial.
pub const DURATION_MAX: Span = Span::from_secs(600);

/// The shortest trial: less is all edge.
pub const DURATION_MIN: Span = Span::from_secs(1);

/// The largest payload of a UDP datagram over IPv4.
pub const PAYLOAD_MAX: u32 = 65_507;

/// The smallest payload of a load datagram.
pub const PAYLOAD_MIN: u32 = 36;

const _: () = assert!(PAYLOAD_MIN as usize == load::HEADER_LEN, "it holds the header alone");

/// Probes per second, in every trial.
pub const PROBES_PER_SECOND: PacketRate = match PacketRate::new(100) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// Which way packets go.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Driver to agent.
    Forward,
    /// Agent to driver.
    Reverse,
}

impl Direction {
    /// Both, in the order in which reports show them.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Reverse];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        })
    }
}

/// Which ways a trial loads: one, or both at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// Driver to agent.
    Forward,
    /// Agent to driver.
    Reverse,
    /// The two at once.
    Both,
}

impl Course {
    /// Whether `direction` is loaded.
    #[must_use]
    pub const fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Forward => matches!(direction, Direction::Forward),
            Self::Reverse => matches!(direction, Direction::Reverse),
            Self::Both => true,
        }
    }

    /// The directions that are loaded.
    pub fn directions(self) -> impl Iterator<Item = Direction> {
        Direction::ALL.into_iter().filter(move |direction| self.includes(*direction))
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
            Self::Both => "both",
        })
    }
}

impl FromStr for Course {
    type Err = crate::units::Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Forward, Self::Reverse, Self::Both]
            .into_iter()
            .find(|course| course.to_string() == text)
            .ok_or_else(|| Self::Err::new(text, "a direction: forward, reverse or both"))
    }
}

/// Whether a trial's rate is to be met, or is only as far as it may go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// A rate that the line is to carry: its loss and delay are judged.
    Carry,
    /// As fast as this host can, up to the rate: overshoot, which is shown and not judged.
    Capacity,
}

/// The load of a trial: the same in each direction that it loads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    course: Course,
    streams: u32,
    payload: u32,
    rate: PacketRate,
    aim: Aim,
}

impl Load {
    /// A load of `streams` streams of datagrams of `payload` octets, `rate` packets per second of
    /// all streams together in each direction.
    ///
    /// # Errors
    ///
    /// Where a number is outside the bounds of this module.
    pub fn new(
        course: Course,
        streams: u32,
        payload: u32,
        rate: PacketRate,
        aim: Aim,
    ) -> Result<Self, OutOfBounds> {
        check("streams", streams.into(), 1, STREAMS_MAX.into())?;
        check("size", payload.into(), PAYLOAD_MIN.into(), PAYLOAD_MAX.into())?;
        check("packets per second", rate.per_second(), 1, PACKET_RATE_MAX)?;
        Ok(Self { course, streams, payload, rate, aim })
    }

    /// Which ways it goes.
    #[must_use]
    pub const fn course(&self) -> Course {
        self.course
    }

    /// Streams in each direction, 1 to [`STREAMS_MAX`].
    #[must_use]
    pub const fn streams(&self) -> u32 {
        self.streams
    }

    /// Octets of UDP payload of each datagram.
    #[must_use]
    pub const fn payload(&self) -> u32 {
        self.payload
    }

    /// Packets per second in each direction, all streams together.
    #[must_use]
    pub const fn rate(&self) -> PacketRate {
        self.rate
    }

    /// Packets per second of one stream: the share, rounded up, so that the whole is never less.
    #[must_use]
    pub fn stream_rate(&self) -> PacketRate {
        self.rate.share(self.streams).unwrap_or(self.rate)
    }

    /// What its rate is for.
    #[must_use]
    pub const fn aim(&self) -> Aim {
        self.aim
    }
}

/// The highest packet rate that is a rate at all: 400 Gbit/s of the smallest frames.
pub const PACKET_RATE_MAX: u64 = 600_000_000;

/// One trial: probes, and a load beside them or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trial {
    load: Option<Load>,
    duration: Span,
}

impl Trial {
    /// A trial of `duration`, idle where there is no `load`.
    ///
    /// # Errors
    ///
    /// Where `duration` is outside [`DURATION_MIN`] to [`DURATION_MAX`].
    pub fn new(load: Option<Load>, duration: Span) -> Result<Self, OutOfBounds> {
        let millis = duration.millis_up();
        check("milliseconds", millis, DURATION_MIN.millis_up(), DURATION_MAX.millis_up())?;
        Ok(Self { load, duration })
    }

    /// The load beside the probes.
    #[must_use]
    pub const fn load(&self) -> Option<&Load> {
        self.load.as_ref()
    }

    /// How long packets are due.
    #[must_use]
    pub const fn duration(&self) -> Span {
        self.duration
    }

    /// Whether packets of this trial cross in `direction`: the probes of an idle one go both ways.
    #[must_use]
    pub fn covers(&self, direction: Direction) -> bool {
        self.load.is_none_or(|load| load.course.includes(direction))
    }

    /// Probes that are due.
    #[must_use]
    pub fn probes(&self) -> u64 {
        PROBES_PER_SECOND.packets_in(self.duration)
    }

    /// Whether its delays and losses are the line's at a rate it is to carry.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.load.is_none_or(|load| load.aim == Aim::Carry)
    }
}

/// What an agent lets a driver do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The highest rate in one direction, of untagged Ethernet frames (L2).
    pub rate_max: BitRate,
    /// The longest that load may be sent under one grant.
    pub duration_max: Span,
}

/// A number of a trial is outside its bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{value} {what}: from {min} to {max} are allowed")]
pub struct OutOfBounds {
    what: &'static str,
    value: u64,
    min: u64,
    max: u64,
}

const fn check(what: &'static str, value: u64, min: u64, max: u64) -> Result<(), OutOfBounds> {
    if min <= value && value <= max {
        return Ok(());
    }
    Err(OutOfBounds { what, value, min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(streams: u32, payload: u32, rate: u64) -> Result<Load, OutOfBounds> {
        let rate = PacketRate::new(rate).expect("above zero");
        Load::new(Course::Both, streams, payload, rate, Aim::Carry)
    }

    #[test]
    fn a_load_is_within_its_bounds() {
        assert!(load(1, 36, 1).is_ok());
        assert!(load(64, 65_507, PACKET_RATE_MAX).is_ok());
        assert!(load(0, 36, 1).is_err());
        assert!(load(65, 36, 1).is_err());
        assert!(load(1, 35, 1).is_err());
        assert!(load(1, 65_508, 1).is_err());
        let error = load(1, 36, PACKET_RATE_MAX + 1).expect_err("too fast").to_string();
        assert_eq!(error, "600000001 packets per second: from 1 to 600000000 are allowed");
    }

    #[test]
    fn a_trial_is_neither_too_short_nor_too_long() {
        assert!(Trial::new(None, Span::from_millis(999)).is_err());
        assert!(Trial::new(None, Span::from_secs(1)).is_ok());
        assert!(Trial::new(None, Span::from_secs(600)).is_ok());
        assert!(Trial::new(None, Span::from_nanos(600_000_000_001)).is_err());
    }

    #[test]
    fn the_streams_together_are_never_slower_than_the_load() {
        let load = load(3, 36, 100).expect("a load");
        assert_eq!(load.stream_rate().per_second(), 34);
    }

    #[test]
    fn an_idle_trial_covers_both_directions() {
        let idle = Trial::new(None, Span::from_secs(10)).expect("a trial");
        assert!(Direction::ALL.into_iter().all(|direction| idle.covers(direction)));
        assert_eq!(idle.probes(), 1_000);
    }
}
