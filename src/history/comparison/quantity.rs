//! What is compared of a link, and by which scale.

use serde::Serialize;

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// The rate that a load was carried at, at the link's layer.
    CarriedRate,
    /// Lost and late packets divided by those that were to be delivered.
    Loss,
    /// The 99.9th percentile of the one-way delay above its minimum.
    Jitter,
    /// The shortest round trip of the idle link.
    RttFloor,
    /// The median of the round trips.
    RttP50,
    /// Their 90th percentile.
    RttP90,
    /// Their 99th percentile.
    RttP99,
    /// The largest IP packet that crosses the path.
    PathMtu,
}

/// How values of a quantity are held against its level.
#[derive(Clone, Copy, Debug)]
struct Law {
    /// In ratios, those of values with this much added; in differences if `None`.
    ratio_of: Option<f64>,
    /// The least spread between runs that is believed, on that scale.
    spread_min: f64,
    /// The least change that is worth an alarm, on that scale.
    change_min: f64,
}

impl Quantity {
    /// Those that are compared by whole distributions, with the share of each.
    pub const QUANTILES: [(Self, f64); 3] =
        [(Self::RttP50, 0.5), (Self::RttP90, 0.9), (Self::RttP99, 0.99)];

    /// Its name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CarriedRate => "carried rate",
            Self::Loss => "loss",
            Self::Jitter => "jitter",
            Self::RttFloor => "RTT floor",
            Self::RttP50 => "RTT p50",
            Self::RttP90 => "RTT p90",
            Self::RttP99 => "RTT p99",
            Self::PathMtu => "path MTU",
        }
    }

    /// Its unit.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::CarriedRate => "bit/s",
            Self::Loss => "ratio",
            Self::Jitter | Self::RttFloor | Self::RttP50 | Self::RttP90 | Self::RttP99 => "us",
            Self::PathMtu => "octets",
        }
    }

    /// Whether a higher value is a worse one.
    #[must_use]
    pub const fn is_worse_higher(self) -> bool {
        !matches!(self, Self::CarriedRate | Self::PathMtu)
    }

    /// Rates and delays differ by shares of themselves, so that they are compared by ratios; 0.1 ms
    /// more or less is no change of a jitter or a percentile, whatever its ratio. A floor of the
    /// round trip, a loss and an MTU move by amounts.
    fn law(self) -> Law {
        let ratio =
            |zero, spread_min, change_min| Law { ratio_of: Some(zero), spread_min, change_min };
        let amount = |spread_min, change_min| Law { ratio_of: None, spread_min, change_min };
        match self {
            // What a meter of packets and of whole seconds leaves open: 0.2 %.
            Self::CarriedRate => ratio(1e3, 0.002, 0.02),
            Self::Loss => amount(1e-6, 1e-4),
            Self::Jitter => ratio(100.0, 0.1, 0.4),
            // Timestamps of a kernel are read some 10 us late, at times.
            Self::RttFloor => amount(25.0, 250.0),
            Self::RttP50 => ratio(100.0, 0.01, 0.1),
            Self::RttP90 => ratio(100.0, 0.02, 0.15),
            Self::RttP99 => ratio(100.0, 0.05, 0.25),
            Self::PathMtu => amount(0.2, 1.0),
        }
    }

    /// How far `value` is from `level`, on the scale of this quantity: above 0 where it is higher.
    pub(super) fn deviation(self, level: f64, value: f64) -> f64 {
        match self.law().ratio_of {
            Some(zero) => ((value + zero) / (level + zero)).ln(),
            None => value - level,
        }
    }

    /// The value that is so far from `level`.
    pub(super) fn value_at(self, level: f64, deviation: f64) -> f64 {
        match self.law().ratio_of {
            Some(zero) => (level + zero) * deviation.exp() - zero,
            None => level + deviation,
        }
    }

    /// What an error of so much, near `level`, is on that scale.
    pub(super) fn error_of(self, level: f64, error: f64) -> f64 {
        match self.law().ratio_of {
            Some(zero) => error / (level + zero),
            None => error,
        }
    }

    /// The least spread between runs that is believed, on that scale.
    pub(super) fn spread_min(self) -> f64 {
        self.law().spread_min
    }

    /// The least change that is worth an alarm, on that scale.
    pub(super) fn change_min(self) -> f64 {
        self.law().change_min
    }
}
