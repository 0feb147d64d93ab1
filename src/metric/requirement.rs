//! What a line must do: a bound on a metric, of one direction or of the round trip.

use crate::direction::{Direction, PerDirection};
use crate::trial::{MTU_MAX, MTU_MIN};
use crate::units::{BitRate, Malformed, Ratio, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What can be required.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// UDP packets carried at a rate.
    Throughput,
    /// What TCP carries, as its receiver sees it.
    TcpThroughput,
    /// UDP packets lost.
    Loss,
    /// 99th percentile of the round trip's time.
    RttP99,
    /// The same beside any load, TCP and overshoot included.
    RttP99Loaded,
    /// One-way delay variation of the probes that arrived, 99.9th percentile less the least.
    Jitter,
    /// The longest outage.
    Outage,
    /// The largest packet that crosses both ways in one piece.
    PathMtu,
}

impl Metric {
    /// Every metric, in the order in which reports show them.
    pub const ALL: [Self; 8] = [
        Self::Throughput,
        Self::TcpThroughput,
        Self::Loss,
        Self::RttP99,
        Self::RttP99Loaded,
        Self::Jitter,
        Self::Outage,
        Self::PathMtu,
    ];

    /// Its name in plans and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::TcpThroughput => "tcp_throughput",
            Self::Loss => "loss",
            Self::RttP99 => "rtt_p99",
            Self::RttP99Loaded => "rtt_p99_loaded",
            Self::Jitter => "jitter",
            Self::Outage => "outage",
            Self::PathMtu => "path_mtu",
        }
    }

    /// Whether it is a number of the round trip, and not of each direction.
    #[must_use]
    pub const fn is_round_trip(self) -> bool {
        matches!(self, Self::RttP99 | Self::RttP99Loaded | Self::PathMtu)
    }

    /// Where it is a number of: each direction, or the round trip (`None`).
    pub fn scopes(self) -> impl Iterator<Item = Option<Direction>> {
        let scopes: &[Option<Direction>] = match self.is_round_trip() {
            true => &[None],
            false => &[Some(Direction::Forward), Some(Direction::Reverse)],
        };
        scopes.iter().copied()
    }

    /// Reads a bound on it as [`Requirement`] shows it, such as ">= 500 Mbit/s".
    ///
    /// # Errors
    ///
    /// Where `text` is none, or bounds it from the wrong side.
    pub fn require(self, text: &str) -> Result<Requirement, Malformed> {
        let malformed = || Malformed::new(text, self.form());
        let (relation, number) = text.split_at_checked(2).ok_or_else(malformed)?;
        let relation_needed = match self {
            Self::Throughput | Self::TcpThroughput | Self::PathMtu => ">=",
            _ => "<=",
        };
        let number = number.strip_prefix(' ').unwrap_or(number);
        if relation != relation_needed {
            return Err(malformed());
        }
        let rate = || number.parse::<BitRate>().ok();
        let span = || number.parse::<Span>().ok();
        let requirement = match self {
            Self::Throughput => rate().map(Requirement::Throughput),
            Self::TcpThroughput => rate().map(Requirement::TcpThroughput),
            Self::Loss => {
                number.parse().ok().filter(|share| *share != NO_LOSS).map(Requirement::Loss)
            }
            Self::RttP99 => span().map(Requirement::RttP99),
            Self::RttP99Loaded => span().map(Requirement::RttP99Loaded),
            Self::Jitter => span().map(Requirement::Jitter),
            Self::Outage => span().map(Requirement::Outage),
            Self::PathMtu => {
                let octets = number.parse().ok();
                let some = |octets: &u32| (MTU_MIN..=MTU_MAX).contains(octets);
                octets.filter(some).map(Requirement::PathMtu)
            }
        };
        requirement.ok_or_else(malformed)
    }

    const fn form(self) -> &'static str {
        match self {
            Self::Throughput | Self::TcpThroughput => {
                "a bound on a rate: \">=\" and a number with bit/s, kbit/s, Mbit/s or Gbit/s \
                 behind it, such as \">= 500 Mbit/s\""
            }
            Self::Loss => {
                "a bound on a share above 0 %, which no test proves: \"<=\" and a number with % \
                 behind it, such as \"<= 0.01%\""
            }
            Self::RttP99 | Self::RttP99Loaded | Self::Jitter | Self::Outage => {
                "a bound on a time: \"<=\" and a number with us, ms, s or min behind it, such as \
                 \"<= 20 ms\""
            }
            Self::PathMtu => {
                "a bound on a packet's octets, IP header included, from 576 to 65535: such as \
                 \">= 1500\""
            }
        }
    }
}

/// No test proves that nothing is ever lost.
const NO_LOSS: Ratio = match Ratio::from_ppm(0) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

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
    /// At least this rate, at the plan's layer.
    TcpThroughput(BitRate),
    /// At most this share lost.
    Loss(Ratio),
    /// At most this.
    RttP99(Span),
    /// At most this.
    RttP99Loaded(Span),
    /// At most this.
    Jitter(Span),
    /// None longer than this.
    Outage(Span),
    /// Packets of at least so many octets, IP header included.
    PathMtu(u32),
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
            Self::TcpThroughput(_) => Metric::TcpThroughput,
            Self::Loss(_) => Metric::Loss,
            Self::RttP99(_) => Metric::RttP99,
            Self::RttP99Loaded(_) => Metric::RttP99Loaded,
            Self::Jitter(_) => Metric::Jitter,
            Self::Outage(_) => Metric::Outage,
            Self::PathMtu(_) => Metric::PathMtu,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Throughput(rate) | Self::TcpThroughput(rate) => format!(">= {rate}"),
            Self::Loss(ratio) => format!("<= {ratio}"),
            Self::RttP99(span)
            | Self::RttP99Loaded(span)
            | Self::Jitter(span)
            | Self::Outage(span) => format!("<= {span}"),
            Self::PathMtu(octets) => format!(">= {octets}"),
        };
        f.pad(&text)
    }
}

/// What is required of one direction; each is optional.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OneWay {
    /// Carried rate, at the plan's layer.
    pub throughput: Option<BitRate>,
    /// Rate that TCP carries, at the plan's layer.
    pub tcp_throughput: Option<BitRate>,
    /// Share of UDP packets lost.
    pub loss: Option<Ratio>,
    /// One-way delay variation.
    pub jitter: Option<Span>,
    /// The longest outage.
    pub outage: Option<Span>,
}

/// What is required of the round trip; each is optional.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RoundTrip {
    /// Its 99th percentile, idle and at or below the committed rate.
    pub rtt_p99: Option<Span>,
    /// Its 99th percentile beside any load.
    pub rtt_p99_loaded: Option<Span>,
    /// Octets of the largest packet that crosses both ways.
    pub path_mtu: Option<u32>,
}

/// All that is required.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirements {
    /// Of each direction.
    pub each: PerDirection<OneWay>,
    /// Of the two together.
    pub round_trip: RoundTrip,
    /// How surely each one-sided bound must hold.
    pub confidence: Ratio,
    /// Whether applications' TCP is clamped to what the path carries, so that a black hole is none
    /// to them.
    pub mss_clamped: bool,
}

impl Default for Requirements {
    fn default() -> Self {
        let (each, round_trip) = (PerDirection::default(), RoundTrip::default());
        Self { each, round_trip, confidence: CONFIDENCE, mss_clamped: false }
    }
}

/// What is taken where no confidence is asked for: 95 %.
const CONFIDENCE: Ratio = match Ratio::from_ppm(950_000) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

/// The share of packets that a throughput forgives at least, and where no loss is required; of a
/// queue's growth, the share of the time: 0.1 %.
pub const FORGIVEN_MIN: Ratio = match Ratio::from_ppm(1_000) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

impl Requirements {
    /// What is required of `metric` in `direction`; of the round trip where that is `None`.
    #[must_use]
    pub fn of(&self, metric: Metric, direction: Option<Direction>) -> Option<Requirement> {
        let RoundTrip { rtt_p99, rtt_p99_loaded, path_mtu } = self.round_trip;
        let Some(direction) = direction else {
            return match metric {
                Metric::RttP99 => rtt_p99.map(Requirement::RttP99),
                Metric::RttP99Loaded => rtt_p99_loaded.map(Requirement::RttP99Loaded),
                Metric::PathMtu => path_mtu.map(Requirement::PathMtu),
                _ => None,
            };
        };
        let required = self.each.get(direction);
        match metric {
            Metric::Throughput => required.throughput.map(Requirement::Throughput),
            Metric::TcpThroughput => required.tcp_throughput.map(Requirement::TcpThroughput),
            Metric::Loss => required.loss.map(Requirement::Loss),
            Metric::Jitter => required.jitter.map(Requirement::Jitter),
            Metric::Outage => required.outage.map(Requirement::Outage),
            Metric::RttP99 | Metric::RttP99Loaded | Metric::PathMtu => None,
        }
    }

    /// Requires this in `direction`; `None` is the round trip, or each direction where the metric
    /// is a number of those.
    pub fn set(&mut self, direction: Option<Direction>, requirement: Requirement) {
        let mut each = |set: &dyn Fn(&mut OneWay)| match direction {
            Some(direction) => set(self.each.get_mut(direction)),
            None => {
                Direction::ALL.into_iter().for_each(|direction| set(self.each.get_mut(direction)));
            }
        };
        match requirement {
            Requirement::Throughput(rate) => each(&|required| required.throughput = Some(rate)),
            Requirement::TcpThroughput(rate) => {
                each(&|required| required.tcp_throughput = Some(rate));
            }
            Requirement::Loss(share) => each(&|required| required.loss = Some(share)),
            Requirement::Jitter(span) => each(&|required| required.jitter = Some(span)),
            Requirement::Outage(span) => each(&|required| required.outage = Some(span)),
            Requirement::RttP99(span) => self.round_trip.rtt_p99 = Some(span),
            Requirement::RttP99Loaded(span) => self.round_trip.rtt_p99_loaded = Some(span),
            Requirement::PathMtu(octets) => self.round_trip.path_mtu = Some(octets),
        }
    }

    /// Those that are there, each with its direction, in the order in which reports show them.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Direction>, Requirement)> {
        let scoped = |metric: Metric| metric.scopes().map(move |scope| (metric, scope));
        let of = |(metric, scope)| self.of(metric, scope).map(|requirement| (scope, requirement));
        Metric::ALL.into_iter().flat_map(scoped).filter_map(of)
    }

    /// The share of packets that may be lost while a throughput still counts as carried.
    #[must_use]
    pub fn loss_of_throughput(&self, direction: Direction) -> Ratio {
        self.each.get(direction).loss.unwrap_or(FORGIVEN_MIN)
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
        check(Metric::Throughput, ">= 500Mbit/s", ">= 500 Mbit/s");
        check(Metric::TcpThroughput, ">=1.5 Gbit/s", ">= 1.5 Gbit/s");
        check(Metric::Loss, "<= 0.01%", "<= 0.01%");
        check(Metric::RttP99, "<= 20ms", "<= 20 ms");
        check(Metric::RttP99Loaded, "<= 1 min", "<= 60 s");
        check(Metric::Jitter, "<=250us", "<= 250 us");
        check(Metric::Outage, "<= 1s", "<= 1 s");
        check(Metric::PathMtu, ">= 1500", ">= 1500");
    }

    #[test]
    fn a_record_has_each_metric_by_its_name() {
        for metric in Metric::ALL {
            let record = serde_json::to_value(metric).expect("a name");
            assert_eq!(record, metric.name());
            assert_eq!(serde_json::from_value::<Metric>(record).expect("a metric"), metric);
        }
        assert!(serde_json::from_str::<Metric>("\"speed\"").is_err());
    }

    #[test]
    fn a_bound_from_the_wrong_side_or_of_another_unit_is_none() {
        for (metric, text) in [
            (Metric::Throughput, "<= 500 Mbit/s"),
            (Metric::Throughput, "500 Mbit/s"),
            (Metric::Throughput, ">= 500"),
            (Metric::TcpThroughput, ">= 10 MB"),
            (Metric::Loss, ">= 0.01%"),
            (Metric::Loss, "<= 0%"),
            (Metric::Loss, "<= 0.01"),
            (Metric::RttP99, "<= 20"),
            (Metric::Jitter, "< 2 ms"),
            (Metric::Outage, ""),
            (Metric::Outage, "é"),
            (Metric::PathMtu, ">= 1500 B"),
            (Metric::PathMtu, ">= 500"),
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
            [(Metric::PathMtu, ">= 1500"), (Metric::Loss, "<= 1%"), (Metric::RttP99, "<= 5 ms")]
        {
            requirements.set(None, metric.require(text).expect("a bound"));
        }
        let tighter = Metric::Loss.require("<= 0.1%").expect("a bound");
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
        let reverse = requirements.loss_of_throughput(Direction::Reverse);
        assert_eq!(reverse.to_string(), "0.1%");
    }
}
