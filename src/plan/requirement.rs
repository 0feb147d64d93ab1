//! What a line must do: a bound on a metric.

use crate::units::{BitRate, Ratio, Span};
use std::fmt;

/// What can be required; metric.rs says what each is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Metric {
    /// UDP packets carried at a rate.
    Throughput,
    /// UDP packets lost.
    Loss,
    /// 99th percentile of the round trip's time.
    RttP99,
    /// One-way delay variation, 99.9th percentile less the least.
    Jitter,
    /// The longest outage.
    Outage,
}

impl Metric {
    /// Every metric, in the order in which reports show them.
    pub const ALL: [Self; 5] =
        [Self::Throughput, Self::Loss, Self::RttP99, Self::Jitter, Self::Outage];

    /// Its name in plans and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Loss => "loss",
            Self::RttP99 => "rtt_p99",
            Self::Jitter => "jitter",
            Self::Outage => "outage",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A bound on one metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requirement {
    /// At least this rate, at the plan's layer.
    Throughput(BitRate),
    /// At most this share lost.
    Loss(Ratio),
    /// At most this.
    RttP99(Span),
    /// At most this.
    Jitter(Span),
    /// None longer than this.
    Outage(Span),
}

/// Which side of a number is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The metric may not be above this.
    AtMost(f64),
    /// The metric may not be below this.
    AtLeast(f64),
}

impl Bound {
    /// The number itself, in the metric's unit.
    #[must_use]
    pub const fn limit(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => limit,
        }
    }
}

impl Requirement {
    /// The metric that it bounds.
    #[must_use]
    pub const fn metric(self) -> Metric {
        match self {
            Self::Throughput(_) => Metric::Throughput,
            Self::Loss(_) => Metric::Loss,
            Self::RttP99(_) => Metric::RttP99,
            Self::Jitter(_) => Metric::Jitter,
            Self::Outage(_) => Metric::Outage,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Throughput(rate) => format!(">= {rate}"),
            Self::Loss(ratio) => format!("<= {ratio}"),
            Self::RttP99(span) | Self::Jitter(span) | Self::Outage(span) => format!("<= {span}"),
        };
        f.pad(&text)
    }
}

/// All that is required; each is optional.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Requirements {
    /// Carried rate, at the plan's layer.
    pub throughput: Option<BitRate>,
    /// Share of UDP packets lost.
    pub loss: Option<Ratio>,
    /// 99th percentile of the round trip.
    pub rtt_p99: Option<Span>,
    /// One-way delay variation.
    pub jitter: Option<Span>,
    /// The longest outage.
    pub outage: Option<Span>,
}

/// The loss that a throughput may have where no loss is required: 0.1 %.
const LOSS_OF_THROUGHPUT: Ratio = match Ratio::from_ppm(1_000) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

impl Requirements {
    /// Those that are there, in the order in which reports show them.
    pub fn iter(&self) -> impl Iterator<Item = Requirement> {
        [
            self.throughput.map(Requirement::Throughput),
            self.loss.map(Requirement::Loss),
            self.rtt_p99.map(Requirement::RttP99),
            self.jitter.map(Requirement::Jitter),
            self.outage.map(Requirement::Outage),
        ]
        .into_iter()
        .flatten()
    }

    /// The share of packets that may be lost while a throughput still counts as carried.
    #[must_use]
    pub fn loss_of_throughput(&self) -> Ratio {
        self.loss.unwrap_or(LOSS_OF_THROUGHPUT)
    }

    /// Whether one of them can be judged only on load.
    #[must_use]
    pub const fn need_load(&self) -> bool {
        self.throughput.is_some() || self.loss.is_some()
    }
}
