//! The rule of alarm: whether a run differs from those before it by more than they differ from each
//! other, and whether another run says so too.
//!
//! A level is the median of a baseline. Its spread is robust: neither a run that was disturbed nor
//! two move it much. It is never less than what the measurement itself leaves open. A run is beyond
//! the baseline where it is more than [`BEYOND`] spreads away, and more than a change that matters.
//! One run alone raises no alarm: single runs are disturbed by other traffic, and by hosts. The run
//! before it has to be beyond on the same side, and agree with it; or both runs before it have to
//! be beyond. Runs that are disturbed by chance rarely agree.
//!
//! `benches/results/comparison.md` has the rates of false alarms and of changes that are found.

use super::quantity::Quantity;
use crate::stats::real;
use serde::Serialize;

/// What a run showed of a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The value.
    pub value: f64,
    /// What the measurement itself leaves open, in the unit of the value: half the width of its
    /// interval; 0 where it has none.
    pub error: f64,
}

/// The level of a baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its median.
    pub value: f64,
    /// What single runs differ from it: a standard deviation, on the scale of the quantity.
    pub(super) spread: f64,
    /// Runs that it is made of.
    pub runs: usize,
}

/// What is shown of a quantity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Too few runs are there.
    TooFew,
    /// No change is shown.
    Same,
    /// This run is worse than the baseline, and no other says so yet.
    WorseOnce,
    /// It is worse, and that is confirmed.
    Worse,
    /// This run is better than the baseline, and no other says so yet.
    BetterOnce,
    /// It is better, and that is confirmed.
    Better,
}

/// Runs that a baseline needs.
pub const BASELINE_MIN: usize = 10;

/// Runs before the newest that may confirm it; they are in no baseline.
pub const CONFIRMING: usize = 2;

/// A run is beyond the baseline from so many spreads on, where the baseline is large; of few runs
/// the spread itself is not well known.
const BEYOND: f64 = 6.0;
const BEYOND_OF_FEW: f64 = 20.0;

/// Runs agree that are within so many spreads of each other, or within this share of what they are
/// away from the level.
const AGREEING_SPREADS: f64 = 2.5;
const AGREEING_SHARE: f64 = 0.1;

/// The standard deviation of a normal law by its median absolute deviation, and by the distance of
/// its tenth from its ninetieth percentile.
const BY_MEDIAN: f64 = 1.4826;
const BY_TENTHS: f64 = 2.563;

/// Standard deviations of an interval at 95 %.
const INTERVAL: f64 = 1.96;

/// The variance of a median is so many times that of a mean.
const OF_MEDIAN: f64 = std::f64::consts::FRAC_PI_2;

impl Level {
    /// That of `baseline`; `None` of no runs.
    #[must_use]
    pub fn of(quantity: Quantity, baseline: &[Reading]) -> Option<Self> {
        let value = median(baseline.iter().map(|reading| reading.value))?;
        let deviations =
            sorted(baseline.iter().map(|reading| quantity.deviation(value, reading.value)));
        let by_median = BY_MEDIAN * median(deviations.iter().map(|it| it.abs()))?;
        let tenth = deviations.len() / 10;
        let by_tenths = (deviations[deviations.len() - 1 - tenth] - deviations[tenth]) / BY_TENTHS;
        let error = median(baseline.iter().map(|it| quantity.error_of(value, it.error)))?;
        let spread = by_median.max(by_tenths).max(error).max(quantity.spread_min());
        Some(Self { value, spread, runs: baseline.len() })
    }

    /// That of one run, about which `known` says what runs differ by, if anything does.
    #[must_use]
    pub fn of_one(quantity: Quantity, reading: Reading, known: Option<Self>) -> Self {
        let error = quantity.error_of(reading.value, reading.error);
        // Without other runs it is taken to be a few times the least.
        let spread = known.map_or(OF_ONE * quantity.spread_min(), |known| known.spread);
        Self { value: reading.value, spread: spread.max(error), runs: 1 }
    }

    fn count(&self) -> f64 {
        real(u64::try_from(self.runs).unwrap_or(u64::MAX))
    }

    /// By how much a run has to differ, on the scale of `quantity`.
    fn beyond(&self, quantity: Quantity, reading: Reading) -> f64 {
        let spread = self.spread.max(quantity.error_of(self.value, reading.error));
        let times = match self.runs {
            1 => BEYOND * 2.0_f64.sqrt(),
            _ => BEYOND + BEYOND_OF_FEW / self.count(),
        };
        (times * spread).max(quantity.change_min())
    }

    /// The deviation of `reading` where it is beyond; above 0 where that is higher.
    fn excess(&self, quantity: Quantity, reading: Reading) -> Option<f64> {
        let deviation = quantity.deviation(self.value, reading.value);
        (self.beyond(quantity, reading) < deviation.abs()).then_some(deviation)
    }

    /// How much `value` is above the level, from what to what at 95 %: by what runs differ and by
    /// how well the level is known.
    #[must_use]
    pub fn difference(&self, quantity: Quantity, reading: Reading) -> [f64; 3] {
        let deviation = quantity.deviation(self.value, reading.value);
        let spread = self.spread.max(quantity.error_of(self.value, reading.error));
        let of_level = if self.runs == 1 { 1.0 } else { OF_MEDIAN / self.count() };
        let half = INTERVAL * spread * (1.0 + of_level).sqrt();
        [deviation, deviation - half, deviation + half]
            .map(|deviation| quantity.value_at(self.value, deviation) - self.value)
    }

    /// From what to what the level itself lies, at 95 %.
    #[must_use]
    pub fn interval(&self, quantity: Quantity) -> [f64; 2] {
        let of_level = if self.runs == 1 { 1.0 } else { OF_MEDIAN / self.count() };
        let half = INTERVAL * self.spread * of_level.sqrt();
        [-half, half].map(|deviation| quantity.value_at(self.value, deviation))
    }

    /// What `reading` alone shows against one other run: there is no third to confirm it.
    #[must_use]
    pub fn against(&self, quantity: Quantity, reading: Reading) -> Finding {
        match self.excess(quantity, reading) {
            None => Finding::Same,
            Some(deviation) => finding(quantity, deviation, true),
        }
    }
}

/// Without other runs, runs are taken to differ by so many times the least.
const OF_ONE: f64 = 4.0;

/// What `latest` shows after those `earlier`, which are in the order of time; and the level that it
/// is held against.
#[must_use]
pub fn judge(quantity: Quantity, earlier: &[Reading], latest: Reading) -> (Finding, Option<Level>) {
    let (baseline, confirming) = earlier.split_at(earlier.len().saturating_sub(CONFIRMING));
    let Some(level) = Level::of(quantity, baseline) else { return (Finding::TooFew, None) };
    if baseline.len() < BASELINE_MIN {
        return (Finding::TooFew, Some(level));
    }
    let Some(deviation) = level.excess(quantity, latest) else {
        return (Finding::Same, Some(level));
    };
    let alike = |reading: &Reading| {
        let excess = level.excess(quantity, *reading);
        excess.filter(|other| other.signum() == deviation.signum())
    };
    let reach = (AGREEING_SPREADS * level.spread).max(AGREEING_SHARE * deviation.abs());
    let before = confirming.last().and_then(alike);
    let agrees = before.is_some_and(|before| (before - deviation).abs() <= reach);
    let is_confirmed = agrees || confirming.iter().all(|reading| alike(reading).is_some());
    (finding(quantity, deviation, is_confirmed), Some(level))
}

/// The place of the first of `readings` that is beyond `level` on the side of the last.
pub(super) fn first_beyond(quantity: Quantity, level: &Level, readings: &[Reading]) -> usize {
    let last = readings.last().and_then(|reading| level.excess(quantity, *reading));
    let is_alike = |reading: &Reading| {
        let excess = level.excess(quantity, *reading);
        excess.map(f64::signum) == last.map(f64::signum)
    };
    readings.iter().position(is_alike).unwrap_or(0)
}

const fn finding(quantity: Quantity, deviation: f64, is_confirmed: bool) -> Finding {
    match ((0.0 < deviation) == quantity.is_worse_higher(), is_confirmed) {
        (true, true) => Finding::Worse,
        (true, false) => Finding::WorseOnce,
        (false, true) => Finding::Better,
        (false, false) => Finding::BetterOnce,
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle of `values`, or the mean of the two middle ones; `None` of none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values = sorted(values);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: &[f64]) -> Vec<Reading> {
        values.iter().map(|value| Reading { value: *value, error: 0.0 }).collect()
    }

    /// Twelve runs of 100 Mbit/s, a little apart, and what is put behind them.
    #[track_caller]
    fn check(behind: &[f64], expected: Finding) {
        let mut values: Vec<f64> = (0..12).map(|run| 100e6 + 1e5 * f64::from(run % 3)).collect();
        values.extend(behind.iter().map(|mbit| mbit * 1e6));
        let readings = readings(&values);
        let (latest, earlier) = readings.split_last().expect("some");
        assert_eq!(judge(Quantity::CarriedRate, earlier, *latest).0, expected, "{behind:?}");
    }

    #[test]
    fn a_change_is_shown_by_two_runs_that_agree_or_by_three() {
        check(&[100.0], Finding::Same);
        check(&[98.2], Finding::Same);
        check(&[95.0], Finding::WorseOnce);
        check(&[95.0, 95.2], Finding::Worse);
        check(&[95.0, 100.0, 95.2], Finding::WorseOnce);
        check(&[100.0, 95.0, 95.2], Finding::Worse);
        check(&[80.0, 95.0], Finding::WorseOnce);
        check(&[80.0, 90.0, 95.0], Finding::Worse);
        check(&[105.0, 95.0], Finding::WorseOnce);
        check(&[105.0, 105.0], Finding::Better);
        check(&[105.0], Finding::BetterOnce);
        check(&[95.0, 100.0], Finding::Same);
    }

    #[test]
    fn ten_runs_and_two_that_may_confirm_are_needed() {
        let some = readings(&[100e6; 12]);
        let latest = Reading { value: 50e6, error: 0.0 };
        assert_eq!(judge(Quantity::CarriedRate, &some[..11], latest).0, Finding::TooFew);
        assert_eq!(judge(Quantity::CarriedRate, &some, latest).0, Finding::WorseOnce);
        assert_eq!(judge(Quantity::CarriedRate, &[], latest), (Finding::TooFew, None));
    }

    /// Of 12 deviations -1, 0 and 1 the median of their amounts is 1, that of their tenths 2 apart.
    #[test]
    fn a_level_is_a_median_with_a_robust_spread() {
        let values = [9.0, 10.0, 11.0].repeat(4).map_values(|it| it * 1_000.0);
        let level = Level::of(Quantity::RttFloor, &readings(&values)).expect("runs");
        assert_eq!((level.value, level.runs), (10_000.0, 12));
        assert!((level.spread - 1_482.6).abs() < 1e-9, "{level:?}");
        let mut disturbed = values;
        disturbed[5] = 900_000.0;
        let again = Level::of(Quantity::RttFloor, &readings(&disturbed)).expect("runs");
        assert_eq!((again.value, again.spread), (level.value, level.spread));
        let equal = Level::of(Quantity::RttFloor, &readings(&[10_000.0; 12])).expect("runs");
        assert!((equal.spread - 25.0).abs() < 1e-9, "{equal:?}");
    }

    trait MapValues {
        fn map_values(self, of: impl Fn(f64) -> f64) -> Vec<f64>;
    }

    impl MapValues for Vec<f64> {
        fn map_values(self, of: impl Fn(f64) -> f64) -> Vec<f64> {
            self.into_iter().map(of).collect()
        }
    }

    /// 1000 probes without a loss leave up to 0.3 % open: 1 % more is then no change.
    #[test]
    fn nothing_is_shown_that_the_measurement_itself_leaves_open() {
        let none = [Reading { value: 0.0, error: 0.003 }; 14];
        let lossy = Reading { value: 0.01, error: 0.005 };
        assert_eq!(judge(Quantity::Loss, &none, lossy).0, Finding::Same);
        let fine = [Reading { value: 0.0, error: 3e-5 }; 14];
        let lossy = Reading { value: 0.01, error: 6e-4 };
        assert_eq!(judge(Quantity::Loss, &fine, lossy).0, Finding::WorseOnce);
    }

    #[test]
    fn a_difference_is_in_the_unit_of_the_value() {
        let level = Level { value: 10_000.0, spread: 100.0, runs: 1_000_000 };
        let reading = Reading { value: 11_000.0, error: 0.0 };
        let [difference, low, high] = level.difference(Quantity::RttFloor, reading);
        assert!((difference - 1_000.0).abs() < 1e-6);
        assert!((low - 804.0).abs() < 0.1 && (high - 1_196.0).abs() < 0.1, "{low} {high}");
        let level = Level { value: 100e6, spread: 0.01, runs: 1_000_000 };
        let reading = Reading { value: 95e6, error: 0.0 };
        let [difference, low, high] = level.difference(Quantity::CarriedRate, reading);
        assert!((difference + 5e6).abs() < 1.0);
        assert!((low + 6.84e6).abs() < 1e4 && (high + 3.12e6).abs() < 1e4, "{low} {high}");
    }

    #[test]
    fn one_run_against_one_takes_a_larger_change() {
        let level = Level::of_one(Quantity::CarriedRate, readings(&[100e6])[0], None);
        let against = |mbit: f64| level.against(Quantity::CarriedRate, readings(&[mbit * 1e6])[0]);
        assert_eq!(against(95.0), Finding::Same);
        assert_eq!(against(90.0), Finding::Worse);
        assert_eq!(against(110.0), Finding::Better);
    }
}
