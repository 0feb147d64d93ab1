//! Jitter: how far one-way delay varies, as the probes that arrived show it.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::definition::Definition;
use super::percentile::{Percentile, ProbedBeside};

/// The percentile of the delay variation that is jitter.
pub const JITTER_QUANTILE: f64 = 0.999;

static ABOUT: About = About {
    name: "jitter",
    title: "jitter",
    unit: Unit::Microseconds,
    kind: Kind::MostTime,
    reach: Reach::EachDirection,
    what: "One-way delay variation of the probes that arrived, 99.9th percentile minus the minimum",
    asks: "One-way delay variation, 99.9th percentile minus the minimum",
    example: "<= 2 ms",
    sample: Sample::Required,
    source: "Y.1540; RFC 5481, PDV",
    answered_by: Traffic::Probes,
    made_of: &[Basis::ProbeDelays, Basis::OneWayDelays],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Percentile {
    quantile: JITTER_QUANTILE,
    beside: ProbedBeside::Ease,
    delays: |run, direction| Some(&run.outcome.one_way(direction?).probes.variation),
};
