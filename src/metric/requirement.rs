//! What a link must do: a bound on a metric, of one direction or of the round trip.

use super::about::{About, Kind, Metric, Unit, micros};
use crate::direction::Direction;
use crate::stats::real;
use crate::trial::{MTU_MAX, MTU_MIN};
use crate::units::{BitRate, Malformed, Ratio, Span};
use std::collections::BTreeMap;
use std::fmt;

/// The number of a bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// A rate, at the plan's layer.
    Rate(BitRate),
    /// A share.
    Share(Ratio),
    /// A time.
    Time(Span),
    /// Octets of an IP packet.
    Octets(u32),
}

impl Limit {
    /// The rate; `None` where it bounds something else.
    #[must_use]
    pub const fn rate(self) -> Option<BitRate> {
        if let Self::Rate(rate) = self { Some(rate) } else { None }
    }

    /// The share, likewise.
    #[must_use]
    pub const fn share(self) -> Option<Ratio> {
        if let Self::Share(share) = self { Some(share) } else { None }
    }

    /// The time, likewise.
    #[must_use]
    pub const fn time(self) -> Option<Span> {
        if let Self::Time(span) = self { Some(span) } else { None }
    }

    /// The octets, likewise.
    #[must_use]
    pub const fn octets(self) -> Option<u32> {
        if let Self::Octets(octets) = self { Some(octets) } else { None }
    }

    /// As a number of `unit`.
    fn number(self, unit: Unit) -> f64 {
        match (self, unit) {
            (Self::Rate(rate), _) => real(rate.bits_per_second()),
            (Self::Share(share), _) => share.as_fraction(),
            (Self::Time(span), Unit::Seconds) => span.as_secs(),
            (Self::Time(span), _) => micros(span.nanos()),
            (Self::Octets(octets), _) => octets.into(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => rate.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Time(span) => span.fmt(f),
            Self::Octets(octets) => octets.fmt(f),
        }
    }
}

impl Kind {
    /// Reads the number of a bound, such as "500 Mbit/s".
    ///
    /// # Errors
    ///
    /// Says what `text` is not, and gives an example.
    pub fn limit(self, text: &str) -> Result<Limit, String> {
        let form = |error: Malformed| error.form();
        match self {
            Self::LeastRate => text.parse().map(Limit::Rate).map_err(form),
            Self::MostTime => match text.parse().map_err(form)? {
                NO_TIME => {
                    Err("a time of 0 cannot be met: give a time above 0, such as 20 ms".into())
                }
                most => Ok(Limit::Time(most)),
            },
            Self::MostShare => match text.parse().map_err(form)? {
                NONE => {
                    Err("a share of 0 % cannot be proven: give one above 0, such as 0.001%".into())
                }
                share => Ok(Limit::Share(share)),
            },
            Self::LeastOctets => {
                let octets = text.parse().ok().filter(|it| (MTU_MIN..=MTU_MAX).contains(it));
                octets.map(Limit::Octets).ok_or_else(|| {
                    format!("not a packet size from {MTU_MIN} to {MTU_MAX} octets, such as 1500")
                })
            }
        }
    }

    /// What a bound of it is, with an example.
    const fn form(self) -> &'static str {
        match self {
            Self::LeastRate => {
                "a bound on a rate: \">=\" and a number with bit/s, kbit/s, Mbit/s or Gbit/s \
                 as its unit, such as \">= 500 Mbit/s\""
            }
            Self::MostShare => {
                "a bound on a share above 0 % (0 % cannot be proven): \"<=\" and a number with % \
                 as its unit, such as \"<= 0.01%\""
            }
            Self::MostTime => {
                "a bound on a time above 0: \"<=\" and a number with ns, us, ms, s, min or h \
                 as its unit, such as \"<= 20 ms\""
            }
            Self::LeastOctets => {
                "a bound on a packet's octets, IP header included, from 576 to 65535: such as \
                 \">= 1500\""
            }
        }
    }
}

/// No test proves that nothing is ever lost.
const NONE: Ratio = match Ratio::from_ppm(0) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

/// No link delivers in no time.
const NO_TIME: Span = Span::from_secs(0);

impl Metric {
    /// Reads a bound on it as [`Requirement`] shows it, such as ">= 500 Mbit/s".
    ///
    /// # Errors
    ///
    /// Where `text` is none, or bounds it from the wrong side.
    pub fn require(self, text: &str) -> Result<Requirement, Malformed> {
        let kind = self.about().kind;
        let number = text.strip_prefix(kind.relation());
        let number = number.map(|number| number.strip_prefix(' ').unwrap_or(number));
        let limit = number.and_then(|number| kind.limit(number).ok());
        let malformed = || Malformed::new(text, kind.form());
        limit.map(|limit| Requirement { metric: self, limit }).ok_or_else(malformed)
    }

    /// Reads the number of a bound on it, such as "500 Mbit/s".
    ///
    /// # Errors
    ///
    /// Says what `text` is not, and gives an example.
    pub fn bounded_by(self, text: &str) -> Result<Requirement, String> {
        self.about().kind.limit(text).map(|limit| Requirement { metric: self, limit })
    }
}

/// A bound on one metric: its limit is of the metric's kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirement {
    metric: Metric,
    limit: Limit,
}

impl Requirement {
    /// That `metric` is bounded by `limit`; `None` where it is bounded by another kind.
    #[must_use]
    pub const fn new(metric: Metric, limit: Limit) -> Option<Self> {
        let holds = match limit {
            Limit::Rate(_) => matches!(metric.about().kind, Kind::LeastRate),
            Limit::Share(_) => matches!(metric.about().kind, Kind::MostShare),
            Limit::Time(_) => matches!(metric.about().kind, Kind::MostTime),
            Limit::Octets(_) => matches!(metric.about().kind, Kind::LeastOctets),
        };
        if holds { Some(Self { metric, limit }) } else { None }
    }

    /// The metric that it bounds.
    #[must_use]
    pub const fn metric(self) -> Metric {
        self.metric
    }

    /// What it bounds it by.
    #[must_use]
    pub const fn limit(self) -> Limit {
        self.limit
    }

    /// The bound as a number in its metric's unit.
    #[must_use]
    pub fn bound(self) -> Bound {
        let About { kind, unit, .. } = self.metric.about();
        let number = self.limit.number(*unit);
        match kind {
            Kind::LeastRate | Kind::LeastOctets => Bound::AtLeast(number),
            Kind::MostShare | Kind::MostTime => Bound::AtMost(number),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.metric.about().kind.relation(), self.limit))
    }
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

/// All that is required.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirements {
    /// By the metric's name, and what of the link it is required of.
    limits: BTreeMap<(&'static str, Option<Direction>), Limit>,
    /// How surely each one-sided bound must hold.
    pub confidence: Ratio,
    /// Whether applications' TCP is clamped to what the path carries, so that a black hole is none
    /// to them.
    pub mss_clamped: bool,
}

impl Default for Requirements {
    fn default() -> Self {
        Self { limits: BTreeMap::new(), confidence: CONFIDENCE, mss_clamped: false }
    }
}

/// What is taken where no confidence is asked for: 95 %.
const CONFIDENCE: Ratio = match Ratio::from_ppm(950_000) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

impl Requirements {
    /// What bounds `metric` in `direction`; of the round trip where that is `None`.
    #[must_use]
    pub fn limit(&self, metric: Metric, direction: Option<Direction>) -> Option<Limit> {
        self.limits.get(&(metric.name(), direction)).copied()
    }

    /// What is required of `metric`, likewise.
    #[must_use]
    pub fn of(&self, metric: Metric, direction: Option<Direction>) -> Option<Requirement> {
        self.limit(metric, direction).map(|limit| Requirement { metric, limit })
    }

    /// Requires this in `direction`. `None` is each direction of a metric that both have, and
    /// whatever is said the round trip of one that is of that.
    pub fn set(&mut self, direction: Option<Direction>, requirement: Requirement) {
        let Requirement { metric, limit } = requirement;
        let asked = |scope: &Option<Direction>| {
            scope.is_none() || direction.is_none_or(|it| *scope == Some(it))
        };
        for scope in metric.scopes().filter(asked) {
            self.limits.insert((metric.name(), scope), limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_read_as_it_is_shown() {
        #[track_caller]
        fn check(metric: Metric, text: &str, shown: &str) {
            let requirement = metric.require(text).expect("a bound");
            assert_eq!((requirement.metric(), requirement.to_string()), (metric, shown.to_owned()));
            assert_eq!(metric.require(shown), Ok(requirement));
        }
        check(Metric::THROUGHPUT, ">= 500Mbit/s", ">= 500 Mbit/s");
        check(Metric::TCP_THROUGHPUT, ">=1.5 Gbit/s", ">= 1.5 Gbit/s");
        check(Metric::LOSS, "<= 0.01%", "<= 0.01%");
        check(Metric::RTT_P99, "<= 20ms", "<= 20 ms");
        check(Metric::RTT_P99_LOADED, "<= 1 min", "<= 60 s");
        check(Metric::JITTER, "<=250us", "<= 250 us");
        check(Metric::JITTER, "<= 1500ns", "<= 1.5 us");
        check(Metric::OUTAGE, "<= 0.01 h", "<= 36 s");
        check(Metric::OUTAGE, "<= 1s", "<= 1 s");
        check(Metric::PATH_MTU, ">= 1500", ">= 1500");
    }

    #[test]
    fn a_record_has_each_metric_by_its_name() {
        for metric in Metric::ALL {
            let record = serde_json::to_value(metric).expect("a name");
            assert_eq!(record, metric.name());
            assert_eq!(serde_json::from_value::<Metric>(record).expect("a metric"), *metric);
        }
        assert!(serde_json::from_str::<Metric>("\"speed\"").is_err());
    }

    #[test]
    fn a_bound_from_the_wrong_side_or_of_another_unit_is_none() {
        for (metric, text) in [
            (Metric::THROUGHPUT, "<= 500 Mbit/s"),
            (Metric::THROUGHPUT, "500 Mbit/s"),
            (Metric::THROUGHPUT, ">= 500"),
            (Metric::TCP_THROUGHPUT, ">= 10 MB"),
            (Metric::LOSS, ">= 0.01%"),
            (Metric::LOSS, "<= 0%"),
            (Metric::LOSS, "<= 0.01"),
            (Metric::RTT_P99, "<= 20"),
            (Metric::JITTER, "< 2 ms"),
            (Metric::JITTER, "<= 0 ns"),
            (Metric::RTT_P99, "<= 0.1 ns"),
            (Metric::OUTAGE, ""),
            (Metric::OUTAGE, "é"),
            (Metric::PATH_MTU, ">= 1500 B"),
            (Metric::PATH_MTU, ">= 500"),
        ] {
            let error = metric.require(text).expect_err(text).to_string();
            assert!(error.contains("such as"), "{error}");
        }
    }

    #[test]
    fn each_direction_has_its_own_and_the_round_trip_one() {
        let mut requirements = Requirements::default();
        assert_eq!(requirements.iter().count(), 0);
        for (metric, text) in
            [(Metric::PATH_MTU, ">= 1500"), (Metric::LOSS, "<= 1%"), (Metric::RTT_P99, "<= 5 ms")]
        {
            requirements.set(None, metric.require(text).expect("a bound"));
        }
        let tighter = Metric::LOSS.require("<= 0.1%").expect("a bound");
        requirements.set(Some(Direction::Reverse), tighter);
        let shown: Vec<_> =
            requirements.iter().map(|(scope, what)| (scope, what.to_string())).collect();
        let expected = [
            (Some(Direction::Forward), "<= 1%"),
            (Some(Direction::Reverse), "<= 0.1%"),
            (None, "<= 5 ms"),
            (None, ">= 1500"),
        ];
        assert_eq!(shown, expected.map(|(scope, what)| (scope, what.to_owned())));
    }
}
