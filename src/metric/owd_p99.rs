//! One-way delay: its 99th percentile in each direction, between the bounds that the two hosts'
//! clocks leave.
//!
//! What the clocks leave open is no matter of chance: it is a bound, which stands whole in the
//! interval that is judged, and which no number of probes narrows. A requirement inside of it is
//! INCONCLUSIVE, and the reason says what would decide it.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit, micros};
use super::criteria::Measured;
use super::definition::{Criterion, Definition, Need, Prospect};
use super::percentile::{NOT_COVERED, ProbedBeside, percentile, probes_needed, prospect};
use crate::account::{DelayBounds, RoundTripCounts};
use crate::flow::TrialRun;
use crate::stats::count;
use crate::trial::Trial;
use crate::units::Span;

const QUANTILE: f64 = 0.99;

static ABOUT: About = About {
    name: "owd_p99",
    title: "OWD p99",
    unit: Unit::Microseconds,
    kind: Kind::MostTime,
    reach: Reach::EachDirection,
    what: "99th percentile of the one-way delay of the probes that arrived",
    asks: "99th percentile of the one-way delay, idle and under UDP load up to the committed rate",
    example: "<= 12 ms",
    sample: Sample::Commented,
    source: "RFC 7679; Y.1540, IPTD",
    answered_by: Traffic::Probes,
    made_of: &[Basis::ProbeDelays, Basis::OneWayDelays],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &OneWay;

struct OneWay;

impl Definition for OneWay {
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        ProbedBeside::Ease.includes(criterion, trial)
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        let probes = &run.outcome.one_way(criterion.direction?).probes;
        Some(match &probes.delays {
            Some(bounds) => estimate(criterion, run, bounds),
            None if probes.variation.total() == 0 => {
                Measured::Missing("no probe that was sent on time was answered".into())
            }
            None => Measured::Missing(
                "the record has no one-way delays, or the two hosts' clocks did not run evenly \
                 against each other"
                    .into(),
            ),
        })
    }

    fn takes(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<Need> {
        Some(probes_needed(criterion, trial, QUANTILE))
    }

    fn prospect(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect {
        let Prospect { needs, chance } = prospect(criterion, trials, QUANTILE);
        let needs = format!("{needs}, and a clock error that is small enough");
        Prospect { needs, chance }
    }

    fn unjudged(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> String {
        ProbedBeside::Ease.missing(criterion)
    }

    fn unmeasured(&self) -> &'static str {
        NOT_COVERED
    }
}

/// The percentile lies between those of the shortest and of the longest that each delay can have
/// been; the value is half-way.
fn estimate(criterion: &Criterion<'_>, run: &TrialRun, bounds: &DelayBounds) -> Measured {
    let (judged, confidence) = ((run, criterion.direction), criterion.criteria.confidence());
    let of = |delays| percentile(judged, delays, QUANTILE, confidence);
    let (shortest, longest) = (of(&bounds.low), of(&bounds.high));
    match (shortest, longest) {
        (
            Measured::Sampled { value: least, low, low_at_best, unbounded, samples, .. },
            Measured::Sampled { value: most, high, high_at_worst, open, .. },
        ) => {
            let value = least.zip(most).map(|(least, most)| f64::midpoint(least, most));
            let wide = least.zip(most).and_then(|bounds| too_wide(criterion, run, bounds));
            let open = wide.or(open);
            Measured::Sampled {
                value,
                low,
                high,
                low_at_best,
                high_at_worst,
                unbounded,
                samples,
                open,
            }
        }
        (missing, _) => missing,
    }
}

/// Why no number of probes decides it, where the bound lies within what the clocks leave open.
fn too_wide(
    criterion: &Criterion<'_>,
    run: &TrialRun,
    (least, most): (f64, f64),
) -> Option<String> {
    let bound = criterion.requirement.bound().limit();
    if bound < least || most <= bound {
        return None;
    }
    let limit = criterion.limit();
    let (error, most) = (shown((most - least) / 2.0), shown(most));
    let (which, narrower) = source(&run.outcome.round_trip);
    Some(format!(
        "the required {limit} is within the clock error of ±{error} ({which}), which more probes \
         do not reduce. To judge it, {narrower}, or require {most} or more"
    ))
}

/// So many microseconds, rounded up: no reader wants the nanoseconds of an error.
fn shown(us: f64) -> Span {
    Span::from_nanos(count(us.ceil()).saturating_mul(1_000))
}

/// What the clocks' error follows from, and what would narrow it.
fn source(round_trip: &RoundTripCounts) -> (String, &'static str) {
    let stated = &round_trip.stated_clocks;
    match (stated.offset(), stated.driver, stated.agent) {
        (Some(_), Some(driver), Some(agent)) if round_trip.are_clocks_closer() => (
            format!(
                "the clocks' own error: {} here, as {} states it, and {} at the agent, by {}",
                shown(micros(driver.error_ns)),
                driver.source.name(),
                shown(micros(agent.error_ns)),
                agent.source.name()
            ),
            "use a nearer or better time source (chronyd, ntpd) on both hosts",
        ),
        _ if stated.contradicted => (
            "half the minimum round trip: the probes prove that the clock errors the hosts state \
             are wrong"
                .into(),
            "find out which of the two clocks is wrong",
        ),
        (Some(_), ..) => (
            "half the minimum round trip, which is less than the clock error the hosts state"
                .into(),
            "use a nearer or better time source (chronyd, ntpd) on both hosts",
        ),
        (None, driver, agent) => (
            format!("half the minimum round trip: {}", unstated(driver.is_some(), agent.is_some())),
            "synchronise both hosts' clocks with chronyd or ntpd",
        ),
    }
}

const fn unstated(driver: bool, agent: bool) -> &'static str {
    match (driver, agent) {
        (true, _) => "the agent's host does not state that its clock is synchronised",
        (_, true) => "this host does not state that its clock is synchronised",
        (false, false) => "neither host states that its clock is synchronised",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{ClockSource, StatedClocks, WallClock};
    use crate::direction::Direction;
    use crate::metric::tests::{criteria, outcome};

    const MS: u64 = 1_000_000;

    /// 1000 probes, each of which took between so many and so many ms forward, of a round trip of
    /// 20 ms.
    fn run(low_ms: u64, high_ms: u64, stated: StatedClocks) -> TrialRun {
        let mut bounds = DelayBounds::default();
        bounds.low.record_many(low_ms * MS, 1_000);
        bounds.high.record_many(high_ms * MS, 1_000);
        outcome(|run| {
            run.trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
            run.outcome.forward.probes.delays = Some(bounds);
            run.outcome.round_trip.delays.record_many(20 * MS, 1_000);
            run.outcome.round_trip.stated_clocks = stated;
        })
    }

    /// Whether the whole interval is on the good side, or on the bad one; and why no more probes
    /// would decide it.
    fn judged(run: &TrialRun, required: &str) -> (Option<bool>, Option<String>) {
        let requirement = METRIC.require(required).expect("a bound");
        let criteria = criteria();
        let direction = Some(Direction::Forward);
        let criterion = Criterion { criteria: &criteria, direction, requirement };
        let Some(Measured::Sampled { low, high, open, .. }) = criterion.estimate(run) else {
            panic!("not sampled")
        };
        let (bound, low, high) =
            (requirement.bound().limit(), low.expect("one"), high.expect("one"));
        let meets = match (high <= bound, bound < low) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        (meets, open)
    }

    fn clock(error_ms: u64) -> Option<WallClock> {
        let (error_ns, source) = (error_ms * MS, ClockSource::Kernel);
        Some(WallClock { ahead_ns: 0, error_ns, source })
    }

    #[test]
    fn the_whole_of_what_the_clocks_leave_open_has_to_be_on_one_side() {
        let run = run(5, 25, StatedClocks::default());
        let meets = |required| judged(&run, required).0;
        assert_eq!(meets("<= 26 ms"), Some(true));
        assert_eq!((meets("<= 24 ms"), meets("<= 6 ms")), (None, None));
        assert_eq!(meets("<= 4 ms"), Some(false));
        let Some(Measured::Sampled { value, .. }) =
            crate::metric::tests::measured(METRIC.require("<= 4 ms").expect("a bound"), &run)
        else {
            panic!("not sampled")
        };
        assert_eq!(value.map(|us| (us / 1e3).round()), Some(15.0), "half-way");
    }

    #[test]
    fn a_bound_that_no_probes_prove_says_what_would() {
        let why = |stated| judged(&run(5, 25, stated), "<= 12 ms").1.expect("a reason");
        let nobody = why(StatedClocks::default());
        assert!(nobody.contains("is within the clock error of ±10 ms"), "{nobody}");
        assert!(nobody.contains("half the minimum round trip: neither host states"), "{nobody}");
        assert!(
            nobody.contains("synchronise both hosts' clocks with chronyd or ntpd, or require 25"),
            "{nobody}"
        );
        let one = why(StatedClocks { driver: clock(1), ..StatedClocks::default() });
        assert!(one.contains("the agent's host does not state"), "{one}");
        let both = StatedClocks { driver: clock(1), agent: clock(2), contradicted: false };
        let stated = why(both);
        let words = "1 ms here, as the kernel (adjtimex) states it, and 2 ms at the agent, by the";
        assert!(stated.contains(words), "{stated}");
        let far = why(StatedClocks { driver: clock(90), ..both });
        assert!(far.contains("which is less than the clock error the hosts state"), "{far}");
        let wrong = why(StatedClocks { contradicted: true, ..both });
        assert!(
            wrong.contains("the probes prove that the clock errors the hosts state"),
            "{wrong}"
        );
    }

    #[test]
    fn a_record_without_one_way_delays_says_so() {
        let mut run = run(5, 25, StatedClocks::default());
        run.outcome.forward.probes.delays = None;
        run.outcome.forward.probes.variation.record(1);
        let required = METRIC.require("<= 12 ms").expect("a bound");
        let Some(Measured::Missing(why)) = crate::metric::tests::measured(required, &run) else {
            panic!("it is there")
        };
        assert!(why.contains("the record has no one-way delays"), "{why}");
    }
}
