//! The round trip's 99th percentile, idle and beside UDP that the link is to carry.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::definition::Definition;
use super::percentile::{Percentile, ProbedBeside};

/// The percentile of a round trip that is judged.
pub(super) const RTT_QUANTILE: f64 = 0.99;

static ABOUT: About = About {
    name: "rtt_p99",
    title: "RTT p99",
    unit: Unit::Microseconds,
    kind: Kind::MostTime,
    reach: Reach::RoundTrip,
    what: "99th percentile of the round trip, over probes sent",
    asks: "99th percentile of the RTT, idle and under UDP load up to the committed rate",
    example: "<= 20 ms",
    sample: Sample::Required,
    source: "RFC 2681",
    answered_by: Traffic::Probes,
    made_of: &[Basis::ProbeDelays],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Percentile {
    quantile: RTT_QUANTILE,
    beside: ProbedBeside::Ease,
    delays: |run, _| Some(&run.outcome.round_trip.delays),
};
