//! Which trial takes longer than was planned, by what was seen: one that proved neither PASS nor
//! FAIL of a throughput runs once more, and one whose delay varies much runs for long enough from
//! the start.

use crate::flow::Evidence;
use crate::method::note::Note;
use crate::metric::{Criteria, Criterion};
use crate::trial::{DURATION_MAX, Trial};
use crate::units::Span;

/// How many times as long the second trial is, and how long at least.
const TIMES: u64 = 3;
const AGAIN_MIN: Span = Span::from_secs(10);

/// The trial that was run last once more, for three times as long and 10 s at least, as it proved
/// neither PASS nor FAIL of a requirement; `spare` is what may still be loaded beside all that is
/// planned.
pub(super) fn again(
    criteria: &Criteria,
    evidence: &Evidence,
    spare: Span,
) -> Option<(Trial, Note)> {
    let last = evidence.trials.last()?;
    if last.trial.is_lengthened() {
        return None;
    }
    let open = criteria.iter().find(|criterion| criterion.is_open(last))?;
    let asked = last.trial.duration();
    let takes = Span::from_nanos(asked.nanos().saturating_mul(TIMES)).max(AGAIN_MIN);
    let takes = takes.min(spare).min(DURATION_MAX);
    if takes <= asked {
        return None;
    }
    let metric = open.requirement.metric();
    let because = format!("it proved neither PASS nor FAIL of {metric}, and is run once more");
    let which = last.trial.kind_name().to_owned();
    let note = Note::Lengthened { which, asked: Some(asked), takes, because };
    Some((last.trial.lengthened(takes).ok()?, note))
}

/// `next` for as long as what the idle link showed asks.
pub(super) fn long_enough(
    criteria: &Criteria,
    evidence: &Evidence,
    next: &Trial,
    spare: Span,
) -> Option<(Trial, Note)> {
    if next.is_lengthened() {
        return None;
    }
    let idle = evidence.trials.iter().rev().find(|run| run.trial.is_idle())?;
    let need = |criterion: Criterion<'_>| criterion.takes_after(next, idle);
    let need = criteria.iter().filter_map(need).max_by_key(|need| need.takes)?;
    let asked = next.duration();
    let takes = Span::from_secs(need.takes.secs_up());
    let takes = takes.min(DURATION_MAX).min(asked.plus(spare));
    if takes <= asked {
        return None;
    }
    let which = next.kind_name().to_owned();
    let note = Note::Lengthened { which, asked: Some(asked), takes, because: need.because };
    Some((next.with_duration(takes).ok()?, note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::metric::tests::{criteria, judged, outcome};

    fn evidence(change: impl FnOnce(&mut crate::flow::TrialRun)) -> Evidence {
        Evidence { trials: vec![outcome(change)], ..Evidence::default() }
    }

    const MINUTE: Span = Span::from_secs(60);

    #[test]
    fn a_trial_between_pass_and_fail_is_run_once_more_for_three_times_as_long() {
        let open = |run: &mut crate::flow::TrialRun| {
            judged(run).whole.rise_ns = Some(250_000_000);
            judged(run).whole.spread_ns = Some(240_000_000);
        };
        let between = evidence(open);
        let (trial, _) = again(&criteria(), &between, MINUTE).expect("once more");
        assert_eq!((trial.duration(), trial.is_lengthened()), (Span::from_secs(30), true));
        let (trial, _) = again(&criteria(), &between, Span::from_secs(12)).expect("once more");
        assert_eq!(trial.duration(), Span::from_secs(12), "the role allows no more");
        assert_eq!(again(&criteria(), &between, Span::from_secs(10)), None);
        let mut twice = evidence(open);
        twice.trials[0].trial = trial;
        assert_eq!(again(&criteria(), &twice, MINUTE), None, "once");
        assert_eq!(again(&criteria(), &evidence(|_| {}), MINUTE), None, "it passed");
        let cut = evidence(|run| {
            open(run);
            run.outcome.status = Status::Partial;
        });
        assert_eq!(again(&criteria(), &cut, MINUTE), None);
        let none = evidence(|run| run.outcome.forward.throughput = None);
        assert_eq!(again(&criteria(), &none, MINUTE), None);
    }

    #[test]
    fn a_load_is_as_long_as_the_variation_of_the_idle_link_asks() {
        let idle = |variation_ms: u64| {
            let trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
            let mut run = outcome(|run| run.trial = trial);
            for _ in 0..1_000 {
                run.outcome.forward.probes.variation.record(variation_ms * 1_000_000);
            }
            Evidence { trials: vec![run], ..Evidence::default() }
        };
        let next = outcome(|_| {}).trial;
        let takes = |variation_ms, spare| {
            let longer = long_enough(&criteria(), &idle(variation_ms), &next, spare);
            longer.map(|(trial, _)| trial.duration().secs_up())
        };
        assert_eq!(takes(19, MINUTE), None);
        assert_eq!(takes(40, MINUTE), Some(21));
        assert_eq!(takes(40, Span::from_secs(5)), Some(15));
        assert_eq!(takes(40, Span::default()), None);
        let reverse = outcome(|_| {}).trial;
        assert_eq!(long_enough(&criteria(), &Evidence::default(), &reverse, MINUTE), None);
    }
}
