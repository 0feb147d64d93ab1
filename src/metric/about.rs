//! What a metric is, as a person reads it: its name, its unit, the bound that a requirement puts on
//! it, and which evidence it is made of. How it is computed and judged stands in
//! [`super::definition`].

use crate::direction::Direction;
use crate::stats::real;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What each metric says of itself.
#[derive(Debug)]
pub struct About {
    /// Its name: a key of a plan, an option of `check`, and how records and rows call it.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The unit of its numbers in reports.
    pub unit: Unit,
    /// What a requirement bounds it by.
    pub kind: Kind,
    /// What of the link it is a number of.
    pub reach: Reach,
    /// What is measured, as a sentence without its end.
    pub what: &'static str,
    /// What a requirement of it asks, likewise.
    pub asks: &'static str,
    /// A requirement of it, such as "<= 20 ms".
    pub example: &'static str,
    /// Whether a sample plan asks for it.
    pub sample: Sample,
    /// The standard that defines it, and what of that.
    pub source: &'static str,
    /// Which traffic answers it.
    pub answered_by: Traffic,
    /// What it is made of: a caveat on any of these is one on the metric.
    pub made_of: &'static [Basis],
}

/// How a sample plan shows a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sample {
    /// As a requirement.
    Required,
    /// As a comment.
    Commented,
}

/// What a requirement bounds a metric by, and which side of that is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// At least a rate, at the plan's layer.
    LeastRate,
    /// At most a share.
    MostShare,
    /// At most a time.
    MostTime,
    /// At least so many octets of an IP packet.
    LeastOctets,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::LeastRate, Self::MostShare, Self::MostTime, Self::LeastOctets];

    /// What stands before the number of a bound.
    #[must_use]
    pub const fn relation(self) -> &'static str {
        match self {
            Self::LeastRate | Self::LeastOctets => ">=",
            Self::MostShare | Self::MostTime => "<=",
        }
    }

    /// What its number is, for a usage line.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::LeastRate => "RATE",
            Self::MostShare => "PERCENT",
            Self::MostTime => "TIME",
            Self::LeastOctets => "OCTETS",
        }
    }
}

/// The unit of a metric's numbers in reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Bits per second.
    BitPerSecond,
    /// A part of a whole.
    Ratio,
    /// Microseconds.
    Microseconds,
    /// Seconds.
    Seconds,
    /// Octets.
    Octets,
}

impl Unit {
    /// As reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BitPerSecond => "bit/s",
            Self::Ratio => "ratio",
            Self::Microseconds => "us",
            Self::Seconds => "s",
            Self::Octets => "octets",
        }
    }
}

/// Microseconds.
#[must_use]
pub fn micros(nanos: u64) -> f64 {
    real(nanos) / 1e3
}

/// What of the link a metric is a number of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Each direction has its own.
    EachDirection,
    /// There and back.
    RoundTrip,
}

impl Reach {
    /// Each thing that has a number of its own; `None` is the round trip.
    #[must_use]
    pub const fn scopes(self) -> &'static [Option<Direction>] {
        match self {
            Self::EachDirection => &[Some(Direction::Forward), Some(Direction::Reverse)],
            Self::RoundTrip => &[None],
        }
    }
}

/// Which traffic of a plan answers a requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Traffic {
    /// Probes, over the idle link and beside UDP that it is to carry.
    Probes,
    /// Any load.
    Load,
    /// A load of UDP.
    Udp,
    /// A load of TCP.
    Tcp,
    /// The search for the largest packet, which comes before any trial.
    Search,
}

/// A kind of evidence. A caveat doubts some of these, and so the metrics that are made of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// How much of a UDP load left, and arrived in its time.
    LoadRate,
    /// Which packets of a UDP load were lost.
    LoadLosses,
    /// That packets of a flow arrived at all, and each once.
    Arrivals,
    /// What TCP carried, and what held it back.
    TcpStream,
    /// How long probes took.
    ProbeDelays,
    /// How long they took each way, by the clocks of the two hosts.
    OneWayDelays,
    /// Which sizes of packets crossed.
    Search,
}

impl Basis {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadRate => "the rate of the load",
            Self::LoadLosses => "losses of the load",
            Self::Arrivals => "arrivals",
            Self::TcpStream => "TCP",
            Self::ProbeDelays => "delays of probes",
            Self::OneWayDelays => "one-way delays of probes",
            Self::Search => "the search for the path's MTU",
        }
    }
}

/// A metric: one of those that [`Metric::ALL`] lists.
#[derive(Clone, Copy)]
pub struct Metric(&'static About);

impl Metric {
    pub(super) const fn of(about: &'static About) -> Self {
        Self(about)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn about(self) -> &'static About {
        self.0
    }

    /// Its name in plans and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Where it is a number of: each direction, or the round trip (`None`).
    pub fn scopes(self) -> impl Iterator<Item = Option<Direction>> {
        self.0.reach.scopes().iter().copied()
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Metric {}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
