//! The mean of a series whose values depend on each other, and changes of its level.
//!
//! TCP's seconds are not independent: its window climbs and falls over many of them. The bounds of
//! a mean count as many values as independent ones would say as much.

use super::confidence::Confidence;
use super::{count, real};
use std::f64::consts::FRAC_PI_2;

/// The mean of a series, with one-sided bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanBounds {
    /// The mean.
    pub mean: f64,
    /// The long-run mean is at least this, with the confidence asked.
    pub low: f64,
    /// The long-run mean is at most this, with the confidence asked.
    pub high: f64,
    /// How many independent values would say as much: 2 to their number.
    pub effective: f64,
}

/// The bounds of the mean of `values`, by Student's law on their effective number
/// n / (1 + 2 Σ ρk): the autocorrelations of lag k < n/3, summed to the first that is not above 0.
/// `None` of fewer than two values.
#[must_use]
pub fn mean_bounds(values: &[f64], confidence: Confidence) -> Option<MeanBounds> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let effective = effective_number(values, mean);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (len(values) - 1.0)).sqrt();
    let half = student(confidence, effective - 1.0) * deviation / effective.sqrt();
    Some(MeanBounds { mean, low: mean - half, high: mean + half, effective })
}

fn len(values: &[f64]) -> f64 {
    real(values.len() as u64)
}

/// `None` of no values.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / len(values))
}

fn effective_number(values: &[f64], mean: f64) -> f64 {
    let around: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let together = |lag: usize| -> f64 {
        around.iter().zip(&around[lag..]).map(|(early, late)| early * late).sum()
    };
    let whole = together(0);
    if whole <= 0.0 {
        return len(values);
    }
    let lags = (1..values.len()).take_while(|lag| 3 * lag < values.len());
    let positive = lags.map(|lag| together(lag) / whole).take_while(|rho| 0.0 < *rho);
    (len(values) / (1.0 + 2.0 * positive.sum::<f64>())).max(2.0)
}

/// Points of the integral of Student's law.
const NODES: u32 = 1 << 13;

/// The quantile of Student's law of `degrees` degrees of freedom, at least 1, at `confidence`.
///
/// With t = √ν tan θ its density is cos^(ν−1) θ but for a constant, from which the trapezoidal rule
/// makes the quantile: to 1e-4 of it at 99.9 %, and below that closer.
fn student(confidence: Confidence, degrees: f64) -> f64 {
    let step = FRAC_PI_2 / f64::from(NODES);
    let height = |node: u32| (f64::from(node) * step).cos().max(0.0).powf(degrees - 1.0);
    let area = |node: u32| f64::midpoint(height(node), height(node + 1));
    let whole: f64 = (0..NODES).map(area).sum();
    // Half of the law lies below 0.
    let mut rest = (2.0 * confidence.value() - 1.0) * whole;
    let mut angle = FRAC_PI_2;
    for node in 0..NODES {
        let area = area(node);
        if rest <= area {
            angle = (f64::from(node) + rest / area) * step;
            break;
        }
        rest -= area;
    }
    degrees.sqrt() * angle.tan()
}

/// A lasting change of the level of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelChange {
    /// The place of the first value at the other level.
    pub place: usize,
    /// The mean before it.
    pub before: f64,
    /// The mean from it on.
    pub after: f64,
}

/// A level lasts for so many values at least.
const LEVEL_MIN: usize = 3;

/// Changes that are smaller than this share of the higher level are TCP's own swing.
const CHANGE_MIN: f64 = 0.1;

/// A change stands out by so many standard deviations about the two levels at least.
const DEVIATIONS_MIN: f64 = 3.0;

/// The change of level that explains most of how `values` differ: the two means are at least a
/// tenth of the higher one apart, and three times what the values differ about them. `None` where
/// there is no such change.
#[must_use]
pub fn level_change(values: &[f64]) -> Option<LevelChange> {
    let places = LEVEL_MIN..(values.len() + 1).saturating_sub(LEVEL_MIN);
    let at = |place: usize| {
        let (before, after) = values.split_at(place);
        Some(LevelChange { place, before: mean(before)?, after: mean(after)? })
    };
    let weight = |change: &LevelChange| {
        let (left, right) = values.split_at(change.place);
        len(left) * len(right) * (change.before - change.after).powi(2)
    };
    let changes = places.filter_map(at);
    let change = changes.max_by(|a, b| weight(a).total_cmp(&weight(b)))?;
    let height = (change.before - change.after).abs();
    let (left, right) = values.split_at(change.place);
    let squares = |part: &[f64], level: f64| -> f64 {
        part.iter().map(|value| (value - level).powi(2)).sum()
    };
    let about = squares(left, change.before) + squares(right, change.after);
    let deviation = (about / len(values)).sqrt();
    let is_high = CHANGE_MIN * change.before.max(change.after) <= height;
    (is_high && 0.0 < height && DEVIATIONS_MIN * deviation <= height).then_some(change)
}

/// What `values` fall by from first to last, by the straight line that fits them best, as a share
/// of their mean; negative where they rise, 0 where a line explains less than half of how they
/// differ.
#[must_use]
pub fn decline(values: &[f64]) -> f64 {
    let Some(level) = mean(values) else { return 0.0 };
    let middle = (len(values) - 1.0) / 2.0;
    let (mut cross, mut across, mut along) = (0.0, 0.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        let (x, y) = (real(place as u64) - middle, value - level);
        cross += x * y;
        across += x * x;
        along += y * y;
    }
    if level <= 0.0 || across <= 0.0 || 2.0 * cross * cross < across * along {
        return 0.0;
    }
    -cross / across * (len(values) - 1.0) / level
}

/// `value` as a count, rounded; 0 where it is negative.
#[must_use]
pub fn whole(value: f64) -> u64 {
    count(value.round())
}

/// The mean of each run of `width` consecutive values, from the first on.
pub fn runs(values: &[u64], width: usize) -> impl Iterator<Item = u64> {
    let sum = |run: &[u64]| run.iter().fold(0, |sum: u64, value| sum.saturating_add(*value));
    let mean = move |run: &[u64]| count(real(sum(run)) / real(run.len() as u64));
    values.windows(width.max(1)).map(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(actual: f64, expected: f64, tolerance: f64) {
        let error = (actual / expected - 1.0).abs();
        assert!(error <= tolerance, "{actual} is {error:e} off {expected}");
    }

    fn at(value: f64) -> Confidence {
        Confidence::new(value).expect("between a half and one")
    }

    /// The tables of every textbook.
    #[test]
    fn quantiles_of_students_law_are_those_of_the_tables() {
        near(student(at(0.95), 1.0), 6.313_75, 1e-5);
        near(student(at(0.95), 2.0), 2.919_99, 1e-5);
        near(student(at(0.975), 10.0), 2.228_14, 1e-5);
        near(student(at(0.95), 29.0), 1.699_13, 1e-5);
        near(student(at(0.999), 5.0), 5.893_43, 1e-4);
        near(student(at(0.95), 1e4), 1.645_0, 1e-4);
    }

    /// 2, 4, 4, 4, 5, 5, 7, 9 have the mean 5, and the squares about it sum up to 32.
    #[test]
    fn the_bounds_of_a_mean_are_those_of_independent_values_where_they_are() {
        let bounds = mean_bounds(&[4.0, 9.0, 2.0, 7.0, 4.0, 5.0, 4.0, 5.0], at(0.95));
        let bounds = bounds.expect("eight values");
        near(bounds.mean, 5.0, 1e-12);
        near(bounds.effective, 8.0, 1e-12);
        // 1.894579 for 7 degrees of freedom, times sqrt(32 / 7 / 8).
        near(bounds.high - 5.0, 1.894_579 * (32.0_f64 / 56.0).sqrt(), 1e-5);
        near(5.0 - bounds.low, bounds.high - 5.0, 1e-12);
    }

    #[test]
    fn values_that_are_alike_have_a_mean_without_width() {
        let bounds = mean_bounds(&[3.0; 10], at(0.95)).expect("ten values");
        assert_eq!((bounds.low, bounds.high, bounds.effective), (3.0, 3.0, 10.0));
        assert_eq!(mean_bounds(&[3.0], at(0.95)), None);
    }

    #[test]
    fn values_that_follow_each_other_prove_less() {
        let halves: Vec<f64> = (0..30).map(|place| if place < 15 { 1.0 } else { 2.0 }).collect();
        let bounds = mean_bounds(&halves, at(0.95)).expect("thirty values");
        assert!(bounds.effective < 4.0, "{bounds:?}");
    }

    #[test]
    fn a_lasting_change_is_placed_and_a_swing_is_none() {
        let mut fell = vec![40.0; 22];
        fell.extend([8.0; 6]);
        let change = level_change(&fell);
        assert_eq!(change, Some(LevelChange { place: 22, before: 40.0, after: 8.0 }));
        let swing: Vec<f64> = (0..30).map(|place| 40.0 + 4.0 * f64::from(place % 6)).collect();
        assert_eq!(level_change(&swing), None);
        assert_eq!(level_change(&[40.0, 38.0, 40.0, 38.0, 40.0, 38.0]), None);
        assert_eq!(level_change(&[0.0; 12]), None);
        assert_eq!(level_change(&[1.0, 9.0]), None);
    }

    #[test]
    fn a_decline_is_the_share_that_the_line_falls_by() {
        let falls: Vec<f64> = (0..11).map(|place| 110.0 - 2.0 * f64::from(place)).collect();
        near(decline(&falls), 0.2, 1e-9);
        let swings: Vec<f64> = (0..30).map(|place| f64::from(place % 2)).collect();
        near(decline(&swings) + 1.0, 1.0, 1e-9);
        assert!(decline(&[]).abs() < f64::EPSILON, "nothing falls");
    }

    #[test]
    fn each_run_of_consecutive_values_has_its_mean() {
        assert_eq!(runs(&[1, 2, 3, 10], 3).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(runs(&[1, 2], 3).count(), 0);
    }
}
