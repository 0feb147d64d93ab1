//! Judges what was measured against what is required. Pure: the same evidence, the same verdict.

use crate::account::Status;
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::metric::{Bound, Criteria, Criterion, Measured, Measurement, Requirement};
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
        Measured::Sampled { low_at_best, high, .. } => judge_interval(bound, *low_at_best, *high),
        Measured::Missing(_) => judge(bound, measured),
    }
}

/// What the number would say if all of it had gone the other way.
fn judge_at_worst(bound: Bound, measured: &Measured) -> Verdict {
    match measured {
        Measured::Sampled { low, high_at_worst, .. } => judge_interval(bound, *low, *high_at_worst),
        Measured::Counted { .. } | Measured::Missing(_) => judge(bound, measured),
    }
}

/// Judges one number in the light of the caveats that touch it.
fn judge_with_caveats(bound: Bound, measured: &Measured, caveats: &[&Caveat]) -> Verdict {
    let verdict = judge(bound, measured);
    let is_void = |caveat: &&Caveat| match (caveat.bias, verdict) {
        (Bias::Either, _) | (Bias::CanOnlyWorsen, Verdict::Fail) => true,
        (Bias::CanOnlyWorsenBy(_) | Bias::EitherBy(_), Verdict::Fail) => {
            judge_at_best(bound, measured) != Verdict::Fail
        }
        (Bias::EitherBy(_), _) => judge_at_worst(bound, measured) != Verdict::Pass,
        (Bias::CanOnlyWorsen | Bias::CanOnlyWorsenBy(_), _) => false,
    };
    match verdict {
        Verdict::Pass | Verdict::Fail if caveats.iter().any(is_void) => Verdict::Invalid,
        _ => verdict,
    }
}

/// The findings on the way to one far end: for each requirement and direction the worst of its
/// trials, or what they show together. Where the idle link decides a round trip, that of the loaded
/// one follows if its verdict is another: a host that was busy for a moment must not hide it.
#[must_use]
pub fn findings(criteria: &Criteria, evidence: &Evidence) -> Vec<Finding> {
    let caveats = caveats(criteria, evidence);
    let of = |criterion: Criterion<'_>| {
        let judge = Judge { criterion, evidence, caveats: &caveats };
        let each = judge.each();
        let worst = each.iter().cloned().reduce(worse);
        let decides = match (worst, judge.together()) {
            (Some(worst), Some(pooled)) if worst.verdict < pooled.verdict => pooled,
            (Some(worst), _) => worst,
            (None, _) => nothing_measured(&criterion),
        };
        let loaded = (criterion.direction.is_none()).then(|| loaded(evidence, &decides, each));
        std::iter::once(decides).chain(loaded.flatten())
    };
    criteria.iter().flat_map(of).collect()
}

/// The worst of `each` that were found beside a load, where the one that `decides` was found on the
/// idle link; `None` where it has the same verdict, or says nothing.
fn loaded(evidence: &Evidence, decides: &Finding, each: Vec<Finding>) -> Option<Finding> {
    let is_idle = |finding: &Finding| Some(evidence.trials.get(finding.trial?)?.trial.is_idle());
    if is_idle(decides) != Some(true) {
        return None;
    }
    let is_measured = |it: &Finding| !matches!(it.measured, Measured::Missing(_));
    let loaded = each.into_iter().filter(|it| is_idle(it) == Some(false) && is_measured(it));
    loaded.reduce(worse).filter(|loaded| loaded.verdict != decides.verdict)
}

/// The finding of each trial about each requirement that it speaks to, judged as one of all that
/// do.
#[must_use]
pub fn each_finding(criteria: &Criteria, evidence: &Evidence) -> Vec<Finding> {
    let caveats = caveats(criteria, evidence);
    let of = |criterion| Judge { criterion, evidence, caveats: &caveats }.each();
    criteria.iter().flat_map(of).collect()
}

/// One requirement in one direction, before all the trials that speak to it.
///
/// Each trial has to pass at the confidence asked, which no number of trials makes easier. But of
/// twenty trials at that confidence one fails by chance: the more there are, the surer each
/// failure has to be, so that all of them together are wrong no more often than asked (Bonferroni).
struct Judge<'a> {
    criterion: Criterion<'a>,
    evidence: &'a Evidence,
    caveats: &'a [Caveat],
}

impl Judge<'_> {
    /// The same requirement, where each bound has to hold as surely as one of `tries` wrong ones
    /// would be.
    fn stricter(&self, tries: u64) -> Criteria {
        let criteria = self.criterion.criteria;
        criteria.at(criteria.confidence().over(tries))
    }

    fn measured(&self, criteria: &Criteria) -> Vec<Measurement> {
        let criterion = Criterion { criteria, ..self.criterion };
        let mut measurements = criterion.measure(self.evidence);
        measurements.retain(|measured| !self.is_superseded(measured.trial));
        measurements
    }

    /// By the confidence asked, however sure a failure has to be: it is the same trials each time.
    fn is_superseded(&self, trial: Option<usize>) -> bool {
        trial.is_some_and(|trial| self.criterion.is_superseded(self.evidence, trial))
    }

    /// The finding of each trial.
    fn each(&self) -> Vec<Finding> {
        let measured = self.measured(self.criterion.criteria);
        let tries = tries_of(&measured);
        let strict = match tries {
            0 | 1 => measured.clone(),
            // One half is for each trial by itself, the other for all of them together.
            _ => self.measured(&self.stricter(2 * tries)),
        };
        let of = |(asked, strict)| self.finding((asked, strict), tries);
        measured.iter().zip(&strict).map(of).collect()
    }

    /// What the trials show together where each alone shows too little: by counts alone, which add
    /// up. `None` where that is no failure.
    fn together(&self) -> Option<Finding> {
        let Criterion { criteria, direction, requirement } = self.criterion;
        let measured = self.measured(criteria);
        if tries_of(&measured) < 2 {
            return None;
        }
        let trials: Vec<usize> = measured.iter().filter_map(|measured| measured.trial).collect();
        let runs: Vec<&TrialRun> =
            trials.iter().filter_map(|trial| self.evidence.trials.get(*trial)).collect();
        let strict = self.stricter(2);
        let measured = Criterion { criteria: &strict, ..self.criterion }.measure_together(&runs)?;
        let touches = |caveat: &&Caveat| {
            let mut touched = trials.iter().map(|trial| Some(*trial)).chain([None]);
            touched.any(|trial| caveat.touches(requirement.metric(), direction, trial))
        };
        let caveats: Vec<&Caveat> = self.caveats.iter().filter(touches).collect();
        let bound = requirement.bound();
        let verdict = judge_with_caveats(bound, &measured, &caveats);
        (verdict == Verdict::Fail).then(|| Finding {
            requirement,
            direction,
            trial: None,
            reason: format!("in {} trials together: {}", runs.len(), reason_of(bound, &measured)),
            measured,
            verdict,
        })
    }

    /// The finding of one of `tries` trials, measured at the confidence asked, and at the one that
    /// a failure takes.
    fn finding(&self, (asked, strict): (&Measurement, &Measurement), tries: u64) -> Finding {
        let Criterion { direction, requirement, .. } = self.criterion;
        let Measurement { trial, measured } = asked.clone();
        let metric = requirement.metric();
        let touching: Vec<&Caveat> =
            self.caveats.iter().filter(|caveat| caveat.touches(metric, direction, trial)).collect();
        let bound = requirement.bound();
        let is_chance = judge(bound, &measured) == Verdict::Fail
            && judge(bound, &strict.measured) != Verdict::Fail;
        let judged = match judge_with_caveats(bound, &measured, &touching) {
            Verdict::Fail if is_chance => Verdict::Inconclusive,
            // What would stand without the caveats has to stand as surely.
            Verdict::Fail => judge_with_caveats(bound, &strict.measured, &touching),
            verdict => verdict,
        };
        let run = trial.and_then(|trial| self.evidence.trials.get(trial));
        let is_partial = run.is_some_and(|run| run.outcome.status != Status::Ok);
        let verdict = if is_partial { judged.max(Verdict::Inconclusive) } else { judged };
        let reason = match (verdict, &measured) {
            (_, Measured::Missing(why)) => why.clone(),
            (Verdict::Invalid, _) => INVALID.into(),
            (Verdict::Inconclusive, _) if judged == Verdict::Pass => CUT_SHORT.into(),
            (Verdict::Inconclusive, _) if is_chance => format!(
                "{}; but one of {tries} trials may show this by chance. Test longer",
                reason_of(bound, &measured)
            ),
            _ => reason_of(bound, &measured),
        };
        let is_cut = run.is_some_and(|run| is_cut_short(run, direction));
        let reason = if is_cut { cut_short(verdict, reason) } else { reason };
        Finding { requirement, direction, trial, measured, verdict, reason }
    }
}

/// The trials that have something to say.
fn tries_of(measured: &[Measurement]) -> u64 {
    let says = |m: &&Measurement| !matches!(m.measured, Measured::Missing(_));
    measured.iter().filter(says).count() as u64
}

/// The verdict on a run: the worst of its findings; of nothing, `Inconclusive`.
pub fn overall(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive)
}

const INVALID: &str = "the test hosts were the limit, not the link. What to do: see the caveat";

const CUT_SHORT: &str = "the trial was cut short";

/// Whether less of a trial was run than was asked for, as far as what was counted of `direction`
/// shows it: where an account of it is missing, that says more.
fn is_cut_short(run: &TrialRun, direction: Option<Direction>) -> bool {
    let is_counted = |direction: Direction| {
        let counts = run.outcome.one_way(direction);
        let udp = counts.sender.is_some() == counts.receiver.is_some();
        udp && counts.tcp_sender.is_some() == counts.tcp_receiver.is_some()
    };
    run.outcome.status == Status::Partial && direction.is_none_or(is_counted)
}

/// The reason of a finding about a trial that was cut short: whoever ended it reads that it is why
/// the evidence is too little, and not only what would be enough.
fn cut_short(verdict: Verdict, reason: String) -> String {
    match verdict {
        _ if reason.contains("cut short") => reason,
        Verdict::Inconclusive => format!("{CUT_SHORT}: {reason}"),
        _ => format!("{reason}; {CUT_SHORT}"),
    }
}

fn reason_of(bound: Bound, measured: &Measured) -> String {
    match (measured, judge(bound, measured)) {
        (Measured::Missing(why), _) => why.clone(),
        (Measured::Counted { counts, .. }, _) => counts.clone(),
        (Measured::Sampled { unbounded: true, open: Some(why), .. }, _) => why.clone(),
        (Measured::Sampled { unbounded: true, .. }, _) => {
            "too many probes were lost to give the percentile a value".into()
        }
        (Measured::Sampled { samples, .. }, Verdict::Pass) => {
            format!("the whole confidence interval ({samples} samples) meets the limit")
        }
        (Measured::Sampled { samples, .. }, Verdict::Fail) => {
            format!("the whole confidence interval ({samples} samples) fails the limit")
        }
        (Measured::Sampled { open: Some(why), .. }, _) => why.clone(),
        (Measured::Sampled { samples, high: None, .. }, _) => {
            format!("{samples} samples are too few to be judged by. Test longer")
        }
        (Measured::Sampled { samples, .. }, _) => {
            format!("the limit is inside the confidence interval ({samples} samples). Test longer")
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
        match finding.requirement.bound() {
            Bound::AtMost(_) => value,
            Bound::AtLeast(_) => -value,
        }
    };
    let order = a.verdict.cmp(&b.verdict).then(badness(&a).total_cmp(&badness(&b)));
    if order.is_lt() { b } else { a }
}

fn nothing_measured(criterion: &Criterion<'_>) -> Finding {
    let Criterion { direction, requirement, .. } = *criterion;
    let reason = criterion.unmeasured().to_owned();
    let measured = Measured::Missing(reason.clone());
    let verdict = Verdict::Inconclusive;
    Finding { requirement, direction, trial: None, measured, verdict, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Outcome, ReceiverCounts, SenderCounts, Silence, Silences};
    use crate::direction::{Directions, PerDirection};
    use crate::framing::IpVersion;
    use crate::metric::tests as fixture;
    use crate::metric::{Basis, Metric, Requirements};
    use crate::stats::loss_bursts::LossBursts;
    use crate::trial::{Load, LoadKind, Trial};
    use crate::units::{PacketRate, Span};

    fn sampled(low: f64, high: f64) -> Measured {
        Measured::Sampled {
            value: Some(f64::midpoint(low, high)),
            low: Some(low),
            high: Some(high),
            low_at_best: Some(low),
            high_at_worst: Some(high),
            unbounded: false,
            samples: 100,
            open: None,
        }
    }

    fn caveat(bias: Bias) -> Caveat {
        let (doubts, text) = (&[Basis::LoadLosses], String::new());
        Caveat { doubts, direction: Some(Direction::Forward), trial: Some(1), bias, text }
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

    #[track_caller]
    fn kept_back(run: TrialRun, direction: Direction, metric: Metric, bound: &str) -> Verdict {
        let mut requirements = Requirements::default();
        requirements.set(Some(direction), metric.require(bound).expect("a bound"));
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let found = findings(&criteria, &Evidence { trials: vec![run], ..<_>::default() });
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        finding.verdict
    }

    /// It says so of the whole trial.
    #[test]
    fn what_an_agent_says_of_its_next_hop_excuses_no_more_than_was_silent_here() {
        let said = |silent: Option<(u64, u64)>| {
            let mut run = fixture::reversed(fixture::kept_back(700, 10_000));
            let seen = silent.map(|(from, until)| fixture::gaps(from, until, true));
            run.outcome.reverse.silences = seen.unwrap_or_default();
            run
        };
        let loss = |silent| kept_back(said(silent), Direction::Reverse, Metric::LOSS, "<= 1%");
        assert_eq!(loss(None), Verdict::Fail);
        assert_eq!(loss(Some((1_000, 1_200))), Verdict::Fail, "164 of 700");
        assert_eq!(loss(Some((1_000, 1_900))), Verdict::Invalid);
        // Of the round trips 300 were lost, and none of them on the way that the agent speaks of.
        let mut run = said(Some((1_000, 5_000)));
        run.outcome.round_trip.delays.record_many(1_000_000, 700);
        run.outcome.round_trip.delays.record_lost(300);
        run.outcome.reverse.probes.sent = run.outcome.reverse.probes.received;
        let mut requirements = Requirements::default();
        requirements.set(None, Metric::RTT_P99_LOADED.require("<= 5 ms").expect("a bound"));
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let found = findings(&criteria, &Evidence { trials: vec![run], ..<_>::default() });
        assert_eq!(found.iter().map(|it| it.verdict).collect::<Vec<_>>(), [Verdict::Fail]);
        // An outage forward is none of its business.
        let mut run = fixture::kept_back(700, 10_000);
        run.outcome.agent_host = run.outcome.driver_host.take();
        run.outcome.forward.silences = fixture::gaps(1_000, 2_500, true);
        run.outcome.reverse.silences = fixture::gaps(1_000, 2_500, true);
        let outage = kept_back(run, Direction::Forward, Metric::OUTAGE, "<= 1 s");
        assert_eq!(outage, Verdict::Fail);
    }

    /// 823 packets a second.
    #[test]
    fn what_a_host_may_have_kept_back_for_want_of_its_next_hop_is_not_the_links() {
        let verdict = |run, metric, bound| kept_back(run, Direction::Forward, metric, bound);
        let loss = |ms| verdict(fixture::kept_back(700, ms), Metric::LOSS, "<= 1%");
        assert_eq!(
            [loss(0), loss(100), loss(1_000)],
            [Verdict::Fail, Verdict::Fail, Verdict::Invalid]
        );
        let outage = |most| {
            let mut run = fixture::kept_back(700, 1_000);
            run.outcome.forward.silences = fixture::gaps(1_000, 2_500, true);
            verdict(run, Metric::OUTAGE, most)
        };
        assert_eq!(outage("<= 1 s"), Verdict::Invalid);
        assert_eq!(outage("<= 300 ms"), Verdict::Fail, "0.5 s of it are the link's");
    }

    /// The load was late by 12 ms, and caught up: a link that carries its rate has that in its
    /// queue at most, and no more probes meet it than left meanwhile.
    #[test]
    fn a_delay_that_the_loads_own_catch_up_explains_is_invalid_and_a_longer_one_fails() {
        let verdict = |excess_packets: u64, delay_ms: u64, slow: u64| {
            let run = fixture::outcome(|run| {
                let sent = fixture::sent(run);
                sent.lateness.record_many(12_000_000, 1);
                sent.excess_packets = excess_packets;
                run.outcome.round_trip.delays.record_many(1_000_000, 1_000 - slow);
                run.outcome.round_trip.delays.record_many(delay_ms * 1_000_000, slow);
            });
            let mut requirements = Requirements::default();
            let required = Metric::RTT_P99_LOADED.require("<= 5 ms").expect("a bound");
            requirements.set(None, required);
            let criteria = Criteria::plain(requirements, IpVersion::V4);
            let found = findings(&criteria, &Evidence { trials: vec![run], ..<_>::default() });
            let [finding] = found.as_slice() else { panic!("{found:?}") };
            finding.verdict
        };
        assert_eq!([verdict(0, 4, 25), verdict(0, 16, 25)], [Verdict::Pass, Verdict::Fail]);
        assert_eq!([verdict(7, 4, 25), verdict(7, 16, 25)], [Verdict::Pass, Verdict::Invalid]);
        assert_eq!(verdict(7, 18, 25), Verdict::Fail, "6 ms are the link's");
        assert_eq!(verdict(7, 16, 1_000), Verdict::Fail, "14 probes left meanwhile");
    }

    /// An idle link that a busy host probed late, and a load that fills its queue.
    #[test]
    fn an_idle_round_trip_that_decides_does_not_hide_the_loaded_one() {
        let found = |late_probes, loaded_ms: u64| {
            let idle = Trial::new(None, Span::from_secs(10)).expect("a trial");
            let mut outcome = Outcome { status: Status::Ok, ..Outcome::default() };
            outcome.round_trip.delays.record_many(50_000, 1_000 - late_probes);
            outcome.round_trip.late_probes = late_probes;
            let idle = TrialRun { trial: idle, outcome };
            let loaded = fixture::outcome(|run| {
                run.outcome.round_trip.delays.record_many(loaded_ms * 1_000_000, 1_000);
            });
            let mut requirements = Requirements::default();
            requirements.set(None, Metric::RTT_P99.require("<= 20 ms").expect("a bound"));
            let criteria = Criteria {
                committed: PerDirection::both(Some("12 Mbit/s".parse().expect("a rate"))),
                ..Criteria::plain(requirements, IpVersion::V4)
            };
            let evidence = Evidence { trials: vec![idle, loaded], ..Evidence::default() };
            let found = findings(&criteria, &evidence).into_iter();
            found.map(|it| (it.trial, it.verdict)).collect::<Vec<_>>()
        };
        use Verdict::{Fail, Invalid, Pass};
        assert_eq!(found(0, 1), [(Some(1), Pass)]);
        assert_eq!(found(30, 1), [(Some(0), Invalid), (Some(1), Pass)]);
        assert_eq!(found(30, 25), [(Some(1), Fail)]);
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
            high_at_worst: None,
            unbounded: false,
            samples,
            open: None,
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

    /// A number that lies within `interval`, and within `wider` if what is doubted counts for and
    /// against the line.
    fn doubted(interval: (f64, f64), wider: (f64, f64)) -> Measured {
        let mut measured = sampled(interval.0, interval.1);
        if let Measured::Sampled { low_at_best, high_at_worst, .. } = &mut measured {
            (*low_at_best, *high_at_worst) = (Some(wider.0), Some(wider.1));
        }
        measured
    }

    #[test]
    fn a_fail_that_stands_without_the_counted_drops_stands() {
        let judge = |bias, low_at_best| {
            let measured = doubted((11.0, 12.0), (low_at_best, 13.0));
            judge_with_caveats(Bound::AtMost(10.0), &measured, &[&caveat(bias)])
        };
        for bias in [Bias::CanOnlyWorsenBy(3), Bias::EitherBy(3)] {
            assert_eq!(judge(bias, 10.5), Verdict::Fail);
            assert_eq!(judge(bias, 9.5), Verdict::Invalid);
        }
    }

    #[test]
    fn a_pass_that_stands_with_the_counted_samples_at_their_worst_stands() {
        let judge = |bias, high_at_worst| {
            let measured = doubted((8.0, 9.0), (0.0, high_at_worst));
            judge_with_caveats(Bound::AtMost(10.0), &measured, &[&caveat(bias)])
        };
        assert_eq!(judge(Bias::EitherBy(3), 10.0), Verdict::Pass);
        assert_eq!(judge(Bias::EitherBy(3), 10.5), Verdict::Invalid);
        assert_eq!(judge(Bias::CanOnlyWorsenBy(3), 10.5), Verdict::Pass, "they were drops");
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
        assert!(caveat.touches(Metric::LOSS, Some(Direction::Forward), Some(1)));
        assert!(!caveat.touches(Metric::LOSS, Some(Direction::Reverse), Some(1)));
        assert!(!caveat.touches(Metric::LOSS, Some(Direction::Forward), Some(0)));
        assert!(!caveat.touches(Metric::OUTAGE, Some(Direction::Forward), Some(1)));
    }

    /// Forward carries too little, and of reverse the first trial shows too little: it ran again
    /// and carried all, or was cut short.
    fn again(status: Status) -> Vec<(Option<usize>, Verdict)> {
        let mut first = fixture::outcome(|_| {});
        let load = *first.trial.load().expect("a load");
        let rate = load.rate(Direction::Forward).expect("a rate");
        let load = Load::new(Directions::Both, 1, load.payload(), rate, LoadKind::FixedRate);
        first.trial = Trial::new(Some(load.expect("a load")), Span::from_secs(10)).expect("one");
        first.outcome.reverse = first.outcome.forward.clone();
        let mut second = first.clone();
        second.trial = first.trial.lengthened(Span::from_secs(30)).expect("within bounds");
        second.outcome.status = status;
        fixture::judged(&mut first).whole.carried = 7_000;
        let open = first.outcome.reverse.throughput.as_mut().expect("it has it");
        (open.whole.rise_ns, open.whole.spread_ns) = (Some(250_000_000), Some(240_000_000));
        let evidence = Evidence { trials: vec![first, second], ..Evidence::default() };
        let found = findings(&fixture::criteria(), &evidence).into_iter();
        let found = found.filter(|it| it.requirement.metric() == Metric::THROUGHPUT);
        found.map(|finding| (finding.trial, finding.verdict)).collect()
    }

    #[test]
    fn a_longer_trial_for_one_direction_takes_no_failure_from_the_other() {
        let fail = (Some(0), Verdict::Fail);
        assert_eq!(again(Status::Ok), [fail, (Some(1), Verdict::Pass)]);
        assert_eq!(again(Status::Partial), [fail, (Some(0), Verdict::Inconclusive)]);
    }

    /// The reason of each finding about a trial that was interrupted, whatever came of it.
    #[test]
    fn a_trial_that_was_interrupted_says_that_it_was_cut_short() {
        let reasons = |change: &dyn Fn(&mut TrialRun)| -> Vec<String> {
            let mut run = fixture::outcome(|run| {
                run.outcome.status = Status::Partial;
                run.outcome.reason = Some("interrupted".into());
            });
            change(&mut run);
            let mut requirements = Requirements::default();
            for (metric, bound) in [
                (Metric::THROUGHPUT, ">= 1 Mbit/s"),
                (Metric::LOSS, "<= 0.001%"),
                (Metric::OUTAGE, "<= 1 s"),
                (Metric::RTT_P99, "<= 20 ms"),
            ] {
                let requirement = metric.require(bound).expect("a bound");
                requirements.set(Some(Direction::Forward), requirement);
            }
            let criteria = Criteria::plain(requirements, IpVersion::V4);
            let evidence = Evidence { trials: vec![run], ..Evidence::default() };
            let found = findings(&criteria, &evidence).into_iter();
            found.map(|finding| format!("{} {}", finding.verdict, finding.reason)).collect()
        };
        let all = reasons(&|_| {});
        assert_eq!(all.len(), 4);
        for reason in &all {
            let is_said = reason.matches("cut short").count() == 1;
            assert!(is_said && reason.starts_with("INCONCLUSIVE"), "{reason}");
        }
        // What has failed all the same, and what no account covers.
        let dead = reasons(&|run| {
            let (end_ns, offered) = (2_000_000_000, true);
            let silence = Silence { end_ns, offered, ..Silence::default() };
            run.outcome.forward.silences = Silences::from_vec(vec![silence]).expect("one");
        });
        assert!(dead.contains(&"FAIL one outage; the trial was cut short".to_owned()), "{dead:?}");
        let unreported = reasons(&|run| run.outcome.forward.receiver = None);
        let why = "INCONCLUSIVE the receiver's account did not arrive".to_owned();
        assert!(unreported.contains(&why), "{unreported:?}");
    }

    #[test]
    fn the_worst_verdict_wins_a_run() {
        let finding = |verdict| Finding {
            verdict,
            ..nothing_measured(&criteria().iter().next().expect("one"))
        };
        use Verdict::{Fail, Inconclusive, Invalid, Pass};
        let overall =
            |list: &[Verdict]| overall(&list.iter().copied().map(finding).collect::<Vec<_>>());
        assert_eq!(overall(&[Pass, Pass]), Pass);
        assert_eq!(overall(&[Pass, Inconclusive, Invalid]), Invalid);
        assert_eq!(overall(&[Fail, Invalid]), Fail);
    }
    const PACKETS: u64 = 8_000;

    fn criteria() -> Criteria {
        let mut requirements = Requirements::default();
        let most = Metric::LOSS.require("<= 0.1%").expect("a bound");
        requirements.set(Some(Direction::Forward), most);
        Criteria::plain(requirements, IpVersion::V4)
    }

    /// A UDP trial forward of [`PACKETS`] packets that lost `lost` of them, one by one.
    fn trial(lost: u64) -> TrialRun {
        let rate = PacketRate::new(PACKETS / 10).expect("a rate");
        let load = Load::new(Directions::Forward, 1, 1_000, rate, LoadKind::FixedRate);
        let trial = Trial::new(load.ok(), Span::from_secs(10)).expect("a trial");
        let mut outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut losses = LossBursts::default();
        for _ in 0..lost {
            losses.on_lost(1);
            losses.on_arrived(100);
        }
        let received = PACKETS - lost;
        let receiver = ReceiverCounts { received, losses, ..ReceiverCounts::default() };
        let sender = SenderCounts { sent: PACKETS, ..SenderCounts::default() };
        (outcome.forward.sender, outcome.forward.receiver) = (Some(sender), Some(receiver));
        TrialRun { trial, outcome }
    }

    fn judged(lost: &[u64]) -> Finding {
        let trials = lost.iter().map(|lost| trial(*lost)).collect();
        let evidence = Evidence { trials, ..Evidence::default() };
        findings(&criteria(), &evidence).remove(0)
    }

    /// At most 0.1 % may be lost of 8000: 8 are that to the packet. 14 are beyond it at 95 %
    /// (P = 3.4 %), 18 at 99.875 % too (P = 0.16 % for 17, 0.07 % for 18).
    #[test]
    fn one_of_many_trials_may_be_beyond_its_bound_by_chance() {
        assert_eq!(judged(&[14]).verdict, Verdict::Fail, "the only one");
        let mut many = vec![3; 19];
        many.push(14);
        let finding = judged(&many);
        assert_eq!((finding.verdict, finding.trial), (Verdict::Inconclusive, Some(19)));
        assert!(finding.reason.contains("one of 20 trials may show this by chance"), "{finding:?}");
        many[19] = 19;
        let finding = judged(&many);
        assert_eq!((finding.verdict, finding.trial), (Verdict::Fail, Some(19)));
    }

    /// Each of them has 11 of 8 (P = 18 %), and all together 220 of 160.
    #[test]
    fn what_no_trial_shows_alone_they_may_show_together() {
        assert_eq!(judged(&[11]).verdict, Verdict::Inconclusive);
        let finding = judged(&[11; 20]);
        assert_eq!((finding.verdict, finding.trial), (Verdict::Fail, None));
        assert!(finding.reason.starts_with("in 20 trials together: "), "{finding:?}");
        assert_eq!(judged(&[8; 20]).verdict, Verdict::Inconclusive);
        assert_eq!(judged(&[2; 20]).verdict, Verdict::Pass);
    }

    #[test]
    fn a_trial_without_its_account_is_no_try() {
        let mut trials = vec![trial(14), trial(0)];
        trials[1].outcome.forward.receiver = None;
        let evidence = Evidence { trials, ..Evidence::default() };
        let finding = findings(&criteria(), &evidence).remove(0);
        assert_eq!((finding.verdict, finding.trial), (Verdict::Fail, Some(0)));
    }

    /// The field case: 20 trials of a link that loses just what it may. At the confidence asked, 53
    /// of 100 such runs would fail (each trial with 3.4 %, at 14 losses or more).
    #[test]
    fn twenty_trials_at_the_true_bound_fail_no_more_often_than_asked() {
        const RUNS: u64 = 200;
        let mut state = 1_u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(u32::try_from(state >> 32).expect("32 bits")) / f64::from(u32::MAX)
        };
        // Poisson's law by its arrivals: of 8000 packets at 0.1 % hardly another.
        let mut lost = || {
            let (mut at, mut lost) = (0.0, 0);
            loop {
                at -= uniform().max(1e-12).ln();
                if 8.0 <= at {
                    return lost;
                }
                lost += 1;
            }
        };
        let (mut fails, mut alone) = (0, 0);
        for _ in 0..RUNS {
            let counts: Vec<u64> = (0..20).map(|_| lost()).collect();
            alone += u64::from(counts.iter().any(|lost| 14 <= *lost));
            fails += u64::from(judged(&counts).verdict == Verdict::Fail);
        }
        assert!(RUNS * 40 / 100 < alone, "the draws are not those: {alone}");
        // 5 % of 200 are 10, and their deviation 3.
        assert!(fails <= 18, "{fails} of {RUNS}");
    }
}
