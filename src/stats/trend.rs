//! How fast something grows over weeks or months: Theil and Sen's slope, which a few wild points do
//! not move, with the interval that Kendall's test gives it (P. K. Sen, JASA 63, 1968).
//!
//! Times may be any distance apart; a gap is no point. Where points of one season follow those of
//! another, [`Trend::between_years`] compares each with those of the same season alone.

use super::real;

/// The quantile of the normal distribution that leaves 2.5 % above it: intervals are of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Days of a mean Gregorian year.
const YEAR_DAYS: f64 = 365.2425;

/// How far from whole years two points may be that are of one season, in days.
const SEASON_DAYS: f64 = 16.0;

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in days from whatever the caller chose.
    pub day: f64,
    /// How much.
    pub value: f64,
}

/// A straight line through points, and how sure its slope is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// By how much it grows in a day.
    pub per_day: f64,
    /// The least that may be, at 95 %.
    pub per_day_low: f64,
    /// The most.
    pub per_day_high: f64,
    /// The value of the line at day 0.
    pub at_zero: f64,
}

impl Trend {
    /// That of `points`; `None` of fewer than two times.
    #[must_use]
    pub fn of(points: &[Point]) -> Option<Self> {
        Self::by(points, |_| true)
    }

    /// The same by pairs of points that are whole years apart, within half a month: what the
    /// season does to both leaves the slope alone. `None` without such a pair.
    #[must_use]
    pub fn between_years(points: &[Point]) -> Option<Self> {
        Self::by(points, |days| {
            let years = (days / YEAR_DAYS).round();
            1.0 <= years && (days - years * YEAR_DAYS).abs() <= SEASON_DAYS
        })
    }

    fn by(points: &[Point], counts: impl Fn(f64) -> bool) -> Option<Self> {
        let pairs = points.iter().enumerate().flat_map(|(place, first)| {
            points.iter().skip(place + 1).map(move |second| (first, second))
        });
        let slope = |(first, second): (&Point, &Point)| {
            let days = second.day - first.day;
            let is_wanted = days != 0.0 && counts(days.abs());
            is_wanted.then(|| (second.value - first.value) / days)
        };
        let mut slopes: Vec<f64> = pairs.filter_map(slope).collect();
        slopes.sort_by(f64::total_cmp);
        let per_day = middle(&slopes)?;
        let (low, high) = ranks(points, slopes.len());
        let mut levels: Vec<f64> =
            points.iter().map(|point| point.value - per_day * point.day).collect();
        levels.sort_by(f64::total_cmp);
        Some(Self {
            per_day,
            per_day_low: *slopes.get(low)?,
            per_day_high: *slopes.get(high)?,
            at_zero: middle(&levels)?,
        })
    }

    /// The value of the line at `day`.
    #[must_use]
    pub fn at(&self, day: f64) -> f64 {
        self.at_zero + self.per_day * day
    }
}

/// The median of `sorted`; `None` where it is empty.
fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    let is_odd = sorted.len() % 2 == 1;
    Some(if is_odd { upper } else { f64::midpoint(*sorted.get(half - 1)?, upper) })
}

/// The places of the least and of the largest slope that 95 % leave, among `slopes` sorted ones.
fn ranks(points: &[Point], slopes: usize) -> (usize, usize) {
    let all = slopes.saturating_sub(1);
    let count = |count: usize| real(u64::try_from(count).unwrap_or(u64::MAX));
    // Kendall's variance is that of all pairs: where only some count, so do as many of it.
    let pairs = count(points.len() * points.len().saturating_sub(1) / 2);
    let deviation = variance(points).sqrt() * (count(slopes) / pairs).sqrt();
    let low = ((count(slopes) - Z * deviation) / 2.0).round() - 1.0;
    let high = ((count(slopes) + Z * deviation) / 2.0).round();
    let place = |rank: f64| usize::try_from(super::count(rank.max(0.0))).unwrap_or(all).min(all);
    (place(low), place(high))
}

/// Kendall's variance of the number of rising pairs less that of falling ones; equal values take of
/// it.
fn variance(points: &[Point]) -> f64 {
    let of = |count: usize| {
        let n = real(u64::try_from(count).unwrap_or(u64::MAX));
        n * (n - 1.0) * (2.0 * n + 5.0) / 18.0
    };
    let mut values: Vec<f64> = points.iter().map(|point| point.value).collect();
    values.sort_by(f64::total_cmp);
    let ties: f64 =
        values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|alike| of(alike.len())).sum();
    (of(points.len()) - ties).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(days: &[f64], values: &[f64]) -> Vec<Point> {
        days.iter().zip(values).map(|(&day, &value)| Point { day, value }).collect()
    }

    fn weeks(values: &[f64]) -> Vec<Point> {
        let days: Vec<f64> = (0..values.len()).map(|week| 7.0 * real(week as u64)).collect();
        points(&days, values)
    }

    #[track_caller]
    fn assert_is(trend: Trend, slope: f64, (low, high): (f64, f64), at_zero: f64) {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let slopes = close(trend.per_day, slope) && close(trend.per_day_low, low);
        assert!(slopes && close(trend.per_day_high, high), "{trend:?}");
        assert!(close(trend.at_zero, at_zero), "{trend:?}");
    }

    /// By `scipy.stats.theilslopes`, 1.17, jointly. One week carries twice as much as the others.
    #[test]
    fn one_wild_point_does_not_move_the_slope() {
        let values = [42.0, 44.1, 43.2, 47.9, 46.0, 49.3, 50.8, 49.9, 53.6, 120.0, 55.2, 57.9];
        let interval = (0.168_571_428_571_428_73, 0.271_428_571_428_571_46);
        let trend = Trend::of(&weeks(&values)).expect("a slope");
        assert_is(trend, 0.204_761_904_761_904_87, interval, 42.133_333_333_333_326);
    }

    /// By the same. Weeks are missing, and values are equal.
    #[test]
    fn a_gap_is_no_point_and_ties_narrow_the_interval() {
        let days = [0.0, 7.0, 14.0, 35.0, 42.0, 49.0, 56.0, 84.0];
        let trend = Trend::of(&points(&days, &[10.0, 12.0, 11.0, 15.0, 15.0, 15.0, 17.0, 20.0]));
        let interval = (0.071_428_571_428_571_42, 0.142_857_142_857_142_85);
        assert_is(
            trend.expect("a slope"),
            0.110_714_285_714_285_71,
            interval,
            10.525_000_000_000_002,
        );
    }

    #[test]
    fn two_times_make_a_line_and_one_does_not() {
        assert_eq!(Trend::of(&[]), None);
        assert_eq!(Trend::of(&points(&[3.0, 3.0], &[1.0, 2.0])), None);
        let line = Trend::of(&points(&[0.0, 10.0], &[1.0, 2.0])).expect("a slope");
        assert!((line.at(20.0) - 3.0).abs() < 1e-12);
    }

    /// It grows by 12 a year, and by 80 from winter to summer, which is all that half a year shows.
    #[test]
    fn a_season_does_not_pass_for_growth_between_years() {
        let days: Vec<f64> = (0..18_u64).map(|month| 30.436_875 * real(month)).collect();
        let season = |day: f64| -40.0 * (std::f64::consts::TAU * day / YEAR_DAYS).cos();
        let values: Vec<f64> =
            days.iter().map(|day| 12.0 * day / YEAR_DAYS + season(*day)).collect();
        let points = points(&days, &values);
        let per_year = |trend: Option<Trend>| trend.expect("a slope").per_day * YEAR_DAYS;
        assert!((per_year(Trend::between_years(&points)) - 12.0).abs() < 1.0);
        assert!(100.0 < per_year(Trend::of(&points[..7])));
    }
}
