//! The round trip's 99.9th percentile, idle and beside UDP that the link is to carry.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::definition::Definition;
use super::percentile::{Percentile, ProbedBeside};

static ABOUT: About = About {
    name: "rtt_p999",
    title: "RTT p99.9",
    unit: Unit::Microseconds,
    kind: Kind::MostTime,
    reach: Reach::RoundTrip,
    what: "99.9th percentile of the round trip, over probes sent",
    asks: "99.9th percentile of the RTT, idle and under UDP load up to the committed rate",
    example: "<= 30 ms",
    sample: Sample::Commented,
    source: "RFC 2681",
    answered_by: Traffic::Probes,
    made_of: &[Basis::ProbeDelays],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Percentile {
    quantile: 0.999,
    beside: ProbedBeside::Ease,
    delays: |run, _| Some(&run.outcome.round_trip.delays),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Measured;
    use crate::metric::tests::{criteria, estimate, outcome};
    use crate::trial::Trial;
    use crate::units::Span;

    /// 2995 probes of 10 ms, and so many of 50 ms: with none the rank of the upper bound is the
    /// greatest.
    fn bounds_ms(slow: u64) -> (Option<f64>, Option<f64>) {
        let run = outcome(|run| {
            run.trial = Trial::new(None, Span::from_secs(30)).expect("a trial");
            run.outcome.round_trip.delays.record_many(10_000_000, 2_995 - slow);
            run.outcome.round_trip.delays.record_many(50_000_000, slow);
        });
        let required = METRIC.require("<= 20 ms").expect("a bound");
        let Some(Measured::Sampled { low, high, .. }) = estimate(&criteria(), required, &run)
        else {
            panic!("not sampled")
        };
        let ms = |us: f64| (us / 1e3).round();
        (low.map(ms), high.map(ms))
    }

    /// Of 2995 probes 3 are beyond the quantile on average; with 5 % seven are (P = 3.3 %).
    #[test]
    fn it_is_judged_by_one_probe_of_a_thousand() {
        assert_eq!(bounds_ms(0), (Some(10.0), Some(10.0)));
        assert_eq!(bounds_ms(1), (Some(10.0), Some(50.0)), "it may be one of a thousand");
        assert_eq!(bounds_ms(7), (Some(50.0), Some(50.0)), "it cannot be");
    }
}
