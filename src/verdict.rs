//! Judges what was measured against what is required. Pure: the same evidence, the same verdict.

use crate::account::Status;
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::metric::{Criteria, Measured, Measurement, bound, measure};
use crate::plan::{Bound, Metric, Requirement};
use crate::validity::{Bias, Caveat, caveats};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict on one requirement, or on a run: the worst of its requirements.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
#[must_use]
pub enum Verdict {
    /// The link meets the requirement.
    Pass,
    /// There is too little evidence at the confidence level asked for; never counts as a pass.
    Inconclusive,
    /// The tester was the limit, not the link.
    Invalid,
    /// The link does not meet the requirement.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
            Self::Fail => "FAIL",
        })
    }
}

/// One requirement, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was required.
    pub requirement: Requirement,
    /// In which direction; `None` for the round trip.
    pub direction: Option<Direction>,
    /// The trial whose evidence decided: its place among those of its site; `None` where no trial
    /// spoke to it, or none alone.
    pub trial: Option<usize>,
    /// What was measured there.
    pub measured: Measured,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
}

/// Judges one number on its own: the whole interval has to be on the good side to pass.
pub fn judge(bound: Bound, measured: &Measured) -> Verdict {
    match measured {
        Measured::Missing(_) => Verdict::Inconclusive,
        Measured::Counted { meets, .. } => judge_counts(*meets),
        Measured::Sampled { unbounded: true, .. } => match bound {
            Bound::AtMost(_) => Verdict::Fail,
            Bound::AtLeast(_) => Verdict::Pass,
        },
        Measured::Sampled { low, high, .. } => judge_interval(bound, *low, *high),
    }
}

const fn judge_counts(meets: Option<bool>) -> Verdict {
    match meets {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::Inconclusive,
    }
}

fn judge_interval(bound: Bound, low: Option<f64>, high: Option<f64>) -> Verdict {
    let (all_good, all_bad) = match bound {
        Bound::AtMost(max) => {
            (high.is_some_and(|high| high <= max), low.is_some_and(|low| max < low))
        }
        Bound::AtLeast(min) => {
            (low.is_some_and(|low| min <= low), high.is_some_and(|high| high < min))
        }
    };
    match (all_good, all_bad) {
        (true, _) => Verdict::Pass,
        (_, true) => Verdict::Fail,
        (false, false) => Verdict::Inconclusive,
    }
}

/// What the number would say if all that was counted against this tester had gone the line's way.
fn judge_at_best(bound: Bound, measured: &Measured) -> Verdict {
    match measured {
        Measured::Counted { meets_at_best, .. } => judge_counts(*meets_at_best),
        Measured::Sampled { low_at_best, high, unbounded: false, .. } => {
            judge_interval(bound, *low_at_best, *high)
        }
        Measured::Sampled { .. } | Measured::Missing(_) => judge(bound, measured),
    }
}

/// Judges one number in the light of the caveats that touch it.
fn judge_with_caveats(bound: Bound, measured: &Measured, caveats: &[&Caveat]) -> Verdict {
    let verdict = judge(bound, measured);
    let either = caveats.iter().any(|caveat| caveat.bias == Bias::Either);
    let worsened = caveats.iter().any(|caveat| caveat.bias == Bias::CanOnlyWorsen);
    let worsened_by = caveats.iter().any(|caveat| matches!(caveat.bias, Bias::CanOnlyWorsenBy(_)));
    match verdict {
        Verdict::Pass | Verdict::Fail if either => Verdict::Invalid,
        Verdict::Fail if worsened => Verdict::Invalid,
        Verdict::Fail if worsened_by && judge_at_best(bound, measured) != Verdict::Fail => {
            Verdict::Invalid
        }
        _ => verdict,
    }
}

/// The findings on the way to one far end: for each requirement and direction the worst of its
/// trials.
#[must_use]
pub fn findings(criteria: &Criteria, evidence: &Evidence) -> Vec<Finding> {
    let caveats = caveats(criteria, evidence);
    let measurements = measure(criteria, evidence);
    let of = |(direction, requirement)| {
        let worst = measurements
            .iter()
            .filter(|m| m.requirement == requirement && m.direction == direction)
            .map(|measurement| finding(measurement, &caveats, &evidence.trials))
            .reduce(worse);
        worst.unwrap_or_else(|| nothing_measured(requirement, direction))
    };
    criteria.requirements.iter().map(of).collect()
}

/// The verdict on a run: the worst of its findings; of nothing, `Inconclusive`.
pub fn overall(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive)
}

fn finding(measurement: &Measurement, caveats: &[Caveat], trials: &[TrialRun]) -> Finding {
    let Measurement { trial, direction, requirement, measured } = measurement.clone();
    let touching: Vec<&Caveat> = caveats
        .iter()
        .filter(|caveat| caveat.touches(requirement.metric(), direction, trial))
        .collect();
    let bound = bound(requirement);
    let judged = judge_with_caveats(bound, &measured, &touching);
    let run = trial.and_then(|trial| trials.get(trial));
    let cut_short = run.is_some_and(|run| run.outcome.status != Status::Ok);
    let verdict = if cut_short { judged.max(Verdict::Inconclusive) } else { judged };
    let reason = match (verdict, &measured) {
        (_, Measured::Missing(why)) => why.clone(),
        (Verdict::Invalid, _) => "this tester was the limit: see the caveats".into(),
        (Verdict::Inconclusive, _) if judged == Verdict::Pass => "the trial was cut short".into(),
        _ => reason_of(bound, &measured),
    };
    Finding { requirement, direction, trial, measured, verdict, reason }
}

fn reason_of(bound: Bound, measured: &Measured) -> String {
    match (measured, judge(bound, measured)) {
        (Measured::Missing(why), _) => why.clone(),
        (Measured::Counted { counts, .. }, _) => counts.clone(),
        (Measured::Sampled { unbounded: true, .. }, _) => {
            "so many probes were lost that the percentile has no end".into()
        }
        (Measured::Sampled { samples, .. }, Verdict::Pass) => {
            format!("the whole interval of {samples} samples is within the bound")
        }
        (Measured::Sampled { samples, .. }, Verdict::Fail) => {
            format!("the whole interval of {samples} samples is beyond the bound")
        }
        (Measured::Sampled { samples, high: None, .. }, _) => {
            format!("{samples} samples are too few, or too many of them were lost, to bound it")
        }
        (Measured::Sampled { samples, .. }, _) => {
            format!("the bound lies within the interval of {samples} samples: measure longer")
        }
    }
}

/// The finding that weighs more: by verdict, then by how far it is to the bad side.
fn worse(a: Finding, b: Finding) -> Finding {
    let badness = |finding: &Finding| {
        let value = match &finding.measured {
            Measured::Sampled { value, .. } => value.unwrap_or(f64::INFINITY),
            Measured::Counted { value, .. } => *value,
            Measured::Missing(_) => f64::NEG_INFINITY,
        };
        match bound(finding.requirement) {
            Bound::AtMost(_) => value,
            Bound::AtLeast(_) => -value,
        }
    };
    let order = a.verdict.cmp(&b.verdict).then(badness(&a).total_cmp(&badness(&b)));
    if order.is_lt() { b } else { a }
}

fn nothing_measured(requirement: Requirement, direction: Option<Direction>) -> Finding {
    let reason = match requirement.metric() {
        Metric::Throughput => {
            "no UDP load covered it at this rate or above, within what is committed"
        }
        Metric::TcpThroughput => "no TCP load covered it at this rate or above",
        Metric::Loss => "no UDP load covered it at a rate that the line is to carry",
        Metric::RttP99 | Metric::Jitter | Metric::Outage => "no trial covered it",
        Metric::RttP99Loaded => "no load was sent",
        Metric::PathMtu => "the path's MTU was not found out",
    };
    let reason = reason.to_owned();
    let measured = Measured::Missing(reason.clone());
    let verdict = Verdict::Inconclusive;
    Finding { requirement, direction, trial: None, measured, verdict, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(low: f64, high: f64) -> Measured {
        Measured::Sampled {
            value: Some(f64::midpoint(low, high)),
            low: Some(low),
            high: Some(high),
            low_at_best: Some(low),
            unbounded: false,
            samples: 100,
        }
    }

    fn caveat(bias: Bias) -> Caveat {
        let (metrics, text) = (vec![Metric::Loss], String::new());
        Caveat { metrics, direction: Some(Direction::Forward), trial: Some(1), bias, text }
    }

    #[track_caller]
    fn check(bound: Bound, (low, high): (f64, f64), expected: Verdict) {
        assert_eq!(judge(bound, &sampled(low, high)), expected);
    }

    #[test]
    fn the_bound_itself_passes() {
        check(Bound::AtMost(10.0), (9.0, 10.0), Verdict::Pass);
        check(Bound::AtLeast(10.0), (10.0, 11.0), Verdict::Pass);
    }

    #[test]
    fn an_interval_across_the_bound_is_inconclusive() {
        check(Bound::AtMost(10.0), (9.9, 10.1), Verdict::Inconclusive);
        check(Bound::AtLeast(10.0), (9.9, 10.1), Verdict::Inconclusive);
    }

    #[test]
    fn an_interval_beyond_the_bound_fails() {
        check(Bound::AtMost(10.0), (10.1, 10.2), Verdict::Fail);
        check(Bound::AtLeast(10.0), (9.8, 9.9), Verdict::Fail);
    }

    #[test]
    fn nothing_measured_never_passes() {
        let missing = Measured::Missing("no probe came back".into());
        assert_eq!(judge(Bound::AtMost(0.1), &missing), Verdict::Inconclusive);
        assert_eq!(overall(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_missing_upper_bound_never_passes_and_a_low_one_can_fail() {
        let Measured::Sampled { value, low, samples, .. } = sampled(9.0, 11.0) else { return };
        let open = |low| Measured::Sampled {
            value,
            low,
            high: None,
            low_at_best: low,
            unbounded: false,
            samples,
        };
        assert_eq!(judge(Bound::AtMost(10.0), &open(low)), Verdict::Inconclusive);
        assert_eq!(judge(Bound::AtMost(8.0), &open(low)), Verdict::Fail);
        assert_eq!(judge(Bound::AtMost(8.0), &open(None)), Verdict::Inconclusive);
    }

    #[test]
    fn own_drops_turn_fail_into_invalid_and_leave_pass() {
        let caveat = caveat(Bias::CanOnlyWorsen);
        let judge =
            |low, high| judge_with_caveats(Bound::AtMost(10.0), &sampled(low, high), &[&caveat]);
        assert_eq!(judge(1.0, 2.0), Verdict::Pass);
        assert_eq!(judge(11.0, 12.0), Verdict::Invalid);
        assert_eq!(judge(9.0, 11.0), Verdict::Inconclusive);
    }

    #[test]
    fn a_fail_that_stands_without_the_counted_drops_stands() {
        let caveat = caveat(Bias::CanOnlyWorsenBy(3));
        let judge = |low_at_best| {
            let Measured::Sampled { value, low, high, samples, .. } = sampled(11.0, 12.0) else {
                unreachable!("made above")
            };
            let (low_at_best, unbounded) = (Some(low_at_best), false);
            let measured = Measured::Sampled { value, low, high, low_at_best, unbounded, samples };
            judge_with_caveats(Bound::AtMost(10.0), &measured, &[&caveat])
        };
        assert_eq!(judge(10.5), Verdict::Fail);
        assert_eq!(judge(9.5), Verdict::Invalid);
    }

    #[test]
    fn a_doubt_either_way_voids_pass_and_fail() {
        let caveat = caveat(Bias::Either);
        let judge =
            |low, high| judge_with_caveats(Bound::AtMost(10.0), &sampled(low, high), &[&caveat]);
        assert_eq!((judge(1.0, 2.0), judge(11.0, 12.0)), (Verdict::Invalid, Verdict::Invalid));
        assert_eq!(judge(9.0, 11.0), Verdict::Inconclusive);
    }

    #[test]
    fn a_doubt_touches_only_what_it_names() {
        let caveat = caveat(Bias::Either);
        assert!(caveat.touches(Metric::Loss, Some(Direction::Forward), Some(1)));
        assert!(!caveat.touches(Metric::Loss, Some(Direction::Reverse), Some(1)));
        assert!(!caveat.touches(Metric::Loss, Some(Direction::Forward), Some(0)));
        assert!(!caveat.touches(Metric::Outage, Some(Direction::Forward), Some(1)));
    }

    #[test]
    fn the_worst_verdict_wins_a_run() {
        let finding = |verdict| Finding {
            verdict,
            ..nothing_measured(Requirement::Loss("1%".parse().expect("a ratio")), None)
        };
        use Verdict::{Fail, Inconclusive, Invalid, Pass};
        let overall =
            |list: &[Verdict]| overall(&list.iter().copied().map(finding).collect::<Vec<_>>());
        assert_eq!(overall(&[Pass, Pass]), Pass);
        assert_eq!(overall(&[Pass, Inconclusive, Invalid]), Invalid);
        assert_eq!(overall(&[Fail, Invalid]), Fail);
    }
}
