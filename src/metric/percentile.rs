//! What all percentiles of probes share: beside which traffic they are judged, how they are
//! bounded, and how many probes that takes.

use super::about::micros;
use super::criteria::Measured;
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::loss::unresolved_for;
use crate::account::{CatchUp, RoundTripCounts};
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::stats::confidence::{Confidence, samples_needed};
use crate::stats::delays::{Delay, Delays};
use crate::trial::Trial;
use crate::units::Span;

/// Probes beyond what a percentile needs, for those that leave late and are not counted: 5 %.
const PROBES_SPARE_PERCENT: u64 = 5;

/// Beside what probes run that show a percentile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProbedBeside {
    /// Nothing, or a load of UDP that the link is to carry.
    Ease,
    /// Any load.
    Load,
}

/// A metric that is a percentile of what probes show.
pub(super) struct Percentile {
    /// Which one, as a share.
    pub(super) quantile: f64,
    pub(super) beside: ProbedBeside,
    /// Of what, in a direction; `None` is the round trip.
    pub(super) delays: fn(&TrialRun, Option<Direction>) -> Option<&Delays>,
}

impl Definition for Percentile {
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        self.beside.includes(criterion, trial)
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        let delays = (self.delays)(run, criterion.direction)?;
        let (direction, confidence) = (criterion.direction, criterion.criteria.confidence());
        Some(percentile((run, direction), delays, self.quantile, confidence))
    }

    fn takes(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<Need> {
        Some(probes_needed(criterion, trial, self.quantile))
    }

    fn prospect(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect {
        prospect(criterion, trials, self.quantile)
    }

    fn unjudged(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> String {
        self.beside.missing(criterion)
    }

    fn unmeasured(&self) -> &'static str {
        match self.beside {
            ProbedBeside::Ease => NOT_COVERED,
            ProbedBeside::Load => "no load was sent",
        }
    }
}

/// Why nothing was measured of what any trial at ease shows.
pub(super) const NOT_COVERED: &str = "no trial measured it";

impl ProbedBeside {
    /// Whether `trial` has its probes beside that.
    pub(super) fn includes(self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        match self {
            Self::Ease => criterion.criteria.is_at_ease(trial),
            Self::Load => !trial.is_idle(),
        }
    }

    /// That no trial has.
    pub(super) fn missing(self, criterion: &Criterion<'_>) -> String {
        match self {
            Self::Ease => format!(
                "no test{} is idle, or loads with UDP up to the committed rate",
                criterion.named()
            ),
            Self::Load => "no test loads the line".to_owned(),
        }
    }
}

/// The time in which enough probes of `trial` leave for the percentile at `quantile`.
pub(super) fn probes_needed(criterion: &Criterion<'_>, trial: &Trial, quantile: f64) -> Need {
    let probe_rate = trial.probe_rate();
    let probes = samples_needed(quantile, criterion.criteria.confidence());
    let probes = probes.saturating_add(probes / 100 * PROBES_SPARE_PERCENT + 1);
    let (metric, requirement) = (criterion.requirement.metric(), criterion.requirement);
    let because = format!("{metric} {requirement} needs {probes} probes at {probe_rate}/s");
    Need { takes: probe_rate.span_of(probes), because }
}

/// Whether each of `trials` has the probes that the percentile at `quantile` takes.
pub(super) fn prospect(criterion: &Criterion<'_>, trials: &[&Trial], quantile: f64) -> Prospect {
    let needed = samples_needed(quantile, criterion.criteria.confidence());
    let fewest = trials.iter().map(|trial| trial.probes()).min().unwrap_or(0);
    let slowest = trials.iter().map(|trial| trial.probe_rate()).min();
    let takes = slowest.map(|rate| format!(", {} s at {rate}/s", rate.span_of(needed).secs_up()));
    let chance = match fewest < needed {
        true => Chance::Unprovable(format!("{fewest} probes can prove a FAIL but not a PASS")),
        false => Chance::Provable,
    };
    Prospect { needs: format!("{needed} probes{}", takes.unwrap_or_default()), chance }
}

/// The percentile of `delays`, which are among what the probes of `run` showed.
///
/// A probe that left late is in no percentile, but it bounds what it would have shown in time: a
/// path that keeps packets in order cannot have held it for longer than until its reply came. At
/// worst it took that long, or was lost where no reply came; at best it took no time at all. So
/// late probes change a percentile within their number only. At best, too, those are no loss that
/// may never have left their host; and the probes beside the load's catch-ups, whichever they were,
/// took no time, or the catch-ups made all the queue that they can have made, whichever explains
/// less.
pub(super) fn percentile(
    (run, direction): (&TrialRun, Option<Direction>),
    delays: &Delays,
    quantile: f64,
    confidence: Confidence,
) -> Measured {
    let Some(value) = delays.quantile(quantile) else {
        return Measured::Missing("no probe that was sent on time was answered".into());
    };
    let (low, high) = delays.bounds(quantile, confidence);
    let finite = |delay: Delay| match delay {
        Delay::Finite(nanos) => Some(micros(nanos)),
        Delay::Infinite => None,
    };
    let RoundTripCounts { late_probes, late_delay_max_ns, .. } = run.outcome.round_trip;
    let mut at_best = delays.clone().without_lost(unresolved_probes(run));
    at_best.record_many(0, late_probes);
    let mut at_worst = delays.clone();
    match late_delay_max_ns {
        Some(max_ns) => at_worst.record_many(max_ns, late_probes),
        None => at_worst.record_lost(late_probes),
    }
    let low_of = |delays: &Delays| {
        let low = delays.bounds(quantile, confidence).0;
        low.map(|low| finite(low).unwrap_or(f64::INFINITY))
    };
    let ways = Direction::ALL.into_iter().filter(|it| direction.is_none_or(|own| own == *it));
    let queue = ways.clone().map(|way| catch_up_queue(run, way)).fold(Span::default(), Span::plus);
    let beside = ways.map(|way| catch_up_probes(run, way)).sum();
    let all_less = low_of(&at_best).map_or(0.0, |low| low - micros(queue.nanos()));
    let lowest = low_of(&at_best.with_longest_at_best(beside));
    let highest = at_worst.bounds(quantile, confidence).1;
    Measured::Sampled {
        value: finite(value),
        low: low.and_then(finite),
        high: high.and_then(finite),
        low_at_best: lowest.map(|low| low.max(all_less)),
        high_at_worst: highest.and_then(finite),
        unbounded: low == Some(Delay::Infinite),
        samples: delays.total(),
        open: unbounded_text(delays, quantile, confidence, high),
    }
}

/// The time that a queue takes at most which the catch-ups of the load in `direction` make: none
/// where it never left faster than its burst bound.
///
/// A load is never early. What it sends in any time beyond its rate was late before, and a link
/// that carries the rate has that in its queue at most: as much as is due in the longest time by
/// which the load was late.
#[must_use]
pub fn catch_up_queue(run: &TrialRun, direction: Direction) -> Span {
    let sender = run.outcome.one_way(direction).sender.as_ref();
    let sender = sender.filter(|sent| !run.trial.is_capacity() && 0 < sent.excess_packets);
    let late_ns = sender.and_then(|sent| sent.lateness.max_ns()).unwrap_or(0);
    Span::from_nanos(late_ns)
}

/// A catch-up by gaps that are 1/16 shorter has one packet in 16 in excess.
const PACKETS_PER_EXCESS: u64 = 16;

/// The most probes that can have left while the load in `direction` caught up faster than its burst
/// bound.
fn catch_up_probes(run: &TrialRun, direction: Direction) -> u64 {
    let sent = run.outcome.one_way(direction).sender.as_ref();
    let rate = run.trial.load().and_then(|load| load.rate(direction));
    let Some((sent, rate)) = sent.zip(rate).filter(|_| !run.trial.is_capacity()) else { return 0 };
    let most = sent.excess_packets.saturating_mul(PACKETS_PER_EXCESS);
    let listed = |catch_up: &CatchUp| catch_up.end.saturating_sub(catch_up.start);
    let packets = match sent.excess.as_slice() {
        [] => most,
        excess => excess.iter().map(listed).fold(0, u64::saturating_add).min(most),
    };
    run.trial.probe_rate().packets_in(rate.span_of(packets.min(sent.sent)))
}

/// Probes and replies that may never have left their hosts, as those did not know their next hops:
/// in either direction no more than were lost in it.
fn unresolved_probes(run: &TrialRun) -> u64 {
    let of = |direction| {
        let due = run.trial.probe_rate().packets_in(unresolved_for(run, direction));
        let probes = &run.outcome.one_way(direction).probes;
        let lost = probes.sent.zip(probes.received);
        lost.map_or(due, |(sent, received)| due.min(sent.saturating_sub(received)))
    };
    Direction::ALL.map(of).into_iter().sum()
}

/// Why a percentile has no upper bound: too few samples, or too many that never came.
fn unbounded_text(
    delays: &Delays,
    quantile: f64,
    confidence: Confidence,
    high: Option<Delay>,
) -> Option<String> {
    let (samples, lost) = (delays.total(), delays.infinite());
    let needed = samples_needed(quantile, confidence);
    match high {
        Some(Delay::Finite(_)) => None,
        None if samples < needed => Some(format!(
            "{samples} probes can prove a FAIL but not a PASS, which takes {needed}. Test longer"
        )),
        _ => {
            let level = quantile * 100.0;
            Some(format!(
                "{lost} of {samples} probes were lost, too many for a {level}th percentile. Find \
                 the cause of the losses first"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::tests::outcome;

    const MS: u64 = 1_000_000;

    /// What keeps a percentile of so many probes open, of which some were lost.
    #[track_caller]
    fn check_open(arrived: u64, lost: u64, expected: Option<&str>) {
        let mut delays = Delays::default();
        delays.record_many(10 * MS, arrived);
        delays.record_lost(lost);
        let measured = percentile((&outcome(|_| {}), None), &delays, 0.99, Confidence::P95);
        let Measured::Sampled { open, .. } = measured else { panic!("not sampled") };
        assert_eq!(open.as_deref().map(|text| &text[..22.min(text.len())]), expected);
    }

    #[test]
    fn too_few_probes_are_not_called_lost_ones() {
        check_open(299, 0, None);
        check_open(298, 0, Some("298 probes can prove a"));
        check_open(900, 100, Some("100 of 1000 probes wer"));
    }

    /// 986 round trips of 10 ms, and 14 probes that left late.
    fn with_late(late_delay_max_ms: Option<u64>) -> Measured {
        let mut run = outcome(|_| {});
        run.outcome.round_trip.delays.record_many(10 * MS, 986);
        run.outcome.round_trip.late_probes = 14;
        run.outcome.round_trip.late_delay_max_ns = late_delay_max_ms.map(|ms| ms * MS);
        percentile((&run, None), &run.outcome.round_trip.delays, 0.99, Confidence::P95)
    }

    #[test]
    fn late_probes_count_at_worst_from_when_they_were_due_and_at_best_as_no_delay() {
        let Measured::Sampled { low, high, low_at_best, high_at_worst, .. } = with_late(Some(40))
        else {
            panic!("not sampled")
        };
        let ms = |us: Option<f64>| us.map(|us| (us / 1e3).round());
        assert_eq!((ms(low), ms(high)), (Some(10.0), Some(10.0)));
        assert_eq!((ms(low_at_best), ms(high_at_worst)), (Some(10.0), Some(40.0)));
        let Measured::Sampled { high_at_worst, .. } = with_late(None) else {
            panic!("not sampled")
        };
        assert_eq!(high_at_worst, None, "some were lost: in time, they may have been too");
    }

    /// One stall of 80 ms in a trial of which each round trip, or each 100th, takes 70 ms.
    #[test]
    fn a_catch_up_explains_as_many_probes_as_left_beside_it() {
        let low_at_best = |slow: u64, excess: Vec<CatchUp>, excess_packets: u64| {
            let run = outcome(|run| {
                let delays = &mut run.outcome.round_trip.delays;
                delays.record_many(MS, 6_000 - slow);
                delays.record_many(70 * MS, slow);
                let sent = run.outcome.forward.sender.as_mut().expect("it has one");
                sent.lateness.record(80 * MS);
                (sent.excess, sent.excess_packets) = (excess, excess_packets);
            });
            let delays = &run.outcome.round_trip.delays;
            let measured = percentile((&run, None), delays, 0.99, Confidence::P95);
            let Measured::Sampled { low_at_best, .. } = measured else { panic!("not sampled") };
            low_at_best.map(|us| (us / 1e3).round())
        };
        assert_eq!(low_at_best(6_000, Vec::new(), 20), Some(70.0), "at its steady rate");
        // Of 6000 probes 39 left beside 320 packets of 823 a second, and 60 are beyond the 99th.
        assert_eq!(low_at_best(120, Vec::new(), 20), Some(70.0));
        assert_eq!(low_at_best(85, Vec::new(), 20), Some(1.0));
        let listed = vec![CatchUp { start: 100, end: 140, beyond_packets: 20 }];
        assert_eq!(low_at_best(85, listed, 20), Some(70.0), "5 probes left beside 40 packets");
        let absurd = vec![CatchUp { start: 0, end: u64::MAX, beyond_packets: 20 }];
        assert_eq!(low_at_best(6_000, absurd, 20), Some(70.0));
    }

    /// 76 of 6400 probes left late, and 80 % of the others were lost.
    #[test]
    fn late_probes_change_a_percentile_within_their_number_only() {
        let mut run = outcome(|_| {});
        run.outcome.round_trip.delays.record_many(10 * MS, 1_245);
        run.outcome.round_trip.delays.record_lost(5_079);
        (run.outcome.round_trip.late_probes, run.outcome.round_trip.late_delay_max_ns) = (76, None);
        let delays = &run.outcome.round_trip.delays;
        let measured = percentile((&run, None), delays, 0.99, Confidence::P95);
        let Measured::Sampled { low_at_best, unbounded, .. } = measured else {
            panic!("not sampled")
        };
        assert_eq!((low_at_best, unbounded), (Some(f64::INFINITY), true), "whatever they show");
    }
}
