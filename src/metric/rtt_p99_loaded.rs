//! The round trip's 99th percentile beside any load.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::definition::Definition;
use super::percentile::{Percentile, ProbedBeside};
use super::rtt_p99::RTT_QUANTILE;

static ABOUT: About = About {
    name: "rtt_p99_loaded",
    title: "RTT p99 loaded",
    unit: Unit::Microseconds,
    kind: Kind::MostTime,
    reach: Reach::RoundTrip,
    what: "99th percentile of the round trip under any load, TCP and overshoot included",
    asks: "99th percentile of the RTT under any load, including TCP and overshoot",
    example: "<= 80 ms",
    sample: Sample::Commented,
    source: "RFC 2681; RFC 6349, under load",
    answered_by: Traffic::Load,
    made_of: &[Basis::ProbeDelays],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Percentile {
    quantile: RTT_QUANTILE,
    beside: ProbedBeside::Load,
    delays: |run, _| Some(&run.outcome.round_trip.delays),
};
