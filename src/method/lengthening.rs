//! Which trial takes longer than was planned, by what was seen: one that proved neither PASS nor
//! FAIL of a throughput runs once more, and one whose delay varies much runs for long enough from
//! the start.

use crate::direction::Direction;
use crate::flow::Evidence;
use crate::method::trials::{Note, THROUGHPUT_EDGES};
use crate::metric::{
    Criteria, FORGIVEN_MIN, JITTER_QUANTILE, is_throughput_open, judges_throughput,
};
use crate::stats::delays::Delay;
use crate::stats::{count, real};
use crate::trial::{DURATION_MAX, Trial};
use crate::units::Span;

/// How many times as long the second trial is, and how long at least.
const TIMES: u64 = 3;
const AGAIN_MIN: Span = Span::from_secs(10);

/// The trial that was run last once more, for three times as long and 10 s at least, as it proved
/// neither PASS nor FAIL of a throughput; `spare` is what may still be loaded beside all that is
/// planned.
pub(super) fn again(
    criteria: &Criteria,
    evidence: &Evidence,
    spare: Span,
) -> Option<(Trial, Note)> {
    let last = evidence.trials.last()?;
    if last.trial.is_lengthened() || !is_throughput_open(criteria, last) {
        return None;
    }
    let asked = last.trial.duration();
    let takes = Span::from_nanos(asked.nanos().saturating_mul(TIMES)).max(AGAIN_MIN);
    let takes = takes.min(spare).min(DURATION_MAX);
    if takes <= asked {
        return None;
    }
    let because = "it proved neither PASS nor FAIL of throughput, and is run once more".to_owned();
    let note = Note::Lengthened { which: "udp".to_owned(), asked, takes, because };
    Some((last.trial.lengthened(takes).ok()?, note))
}

/// `next` for as long as the variation of the idle link's delay asks, where it judges a throughput.
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
    let variation = |direction: Direction| {
        let variation = &idle.outcome.one_way(direction).probes.variation;
        match variation
            .quantile(JITTER_QUANTILE)
            .filter(|_| judges_throughput(criteria, next, direction))?
        {
            Delay::Finite(nanos) => Some(nanos),
            Delay::Infinite => None,
        }
    };
    let variation_ns = Direction::ALL.into_iter().filter_map(variation).max()?;
    // Half of the variation is then no more than the growth that a PASS allows.
    let window_ns = real(variation_ns) / (2.0 * FORGIVEN_MIN.as_fraction());
    let window = Span::from_nanos(count(window_ns.round()));
    let asked = next.duration();
    let takes = Span::from_secs(window.plus(THROUGHPUT_EDGES).secs_up());
    let takes = takes.min(DURATION_MAX).min(asked.plus(spare));
    if takes <= asked {
        return None;
    }
    let because = format!(
        "throughput: the idle link's delay varies by {} ms, which hides a queue that grows in less",
        Span::from_nanos(variation_ns).millis_up()
    );
    let note = Note::Lengthened { which: "udp".to_owned(), asked, takes, because };
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
