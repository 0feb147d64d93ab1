//! When a link will be full: a range of dates, never one date; or why none can be given.

use crate::stats::trend::{Point, Trend};
use std::fmt;

/// Fewer points than this show no trend.
const POINTS_MIN: usize = 8;

/// Days from which points are compared with those of the same season: two years.
const SEASONS_DAYS: f64 = 730.0;

/// Days below which a season may pass for growth.
const YEAR_DAYS: f64 = 365.0;

/// Days beyond which nothing is foreseen: ten years.
const FORESEEN_DAYS: f64 = 3_652.0;

/// When what grows reaches its limit, in the days of its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exhaustion {
    /// At the earliest, by the steepest slope that the points allow (95 %); today where the limit
    /// is reached.
    pub early_day: f64,
    /// By the slope that fits them best; `None` where that is beyond ten years.
    pub likely_day: Option<f64>,
    /// At the latest; `None` where they allow that it never is, or not within ten years.
    pub late_day: Option<f64>,
    /// The trend.
    pub trend: Trend,
    /// The points are of less than a year: a part of the growth may be the season's.
    pub may_be_season: bool,
}

/// Why nothing is said about when a limit is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// So many points, of as many as it takes.
    TooFew(usize, usize),
    /// It does not grow, even by the steepest slope that the points allow.
    NoGrowth,
    /// By the steepest slope it is beyond ten years.
    Far,
    /// What was measured is what was offered, and no more: nobody knows what the link can carry.
    Capped,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew(points, needed) => {
                write!(f, "too few periods: {points}, and a trend takes {needed}")
            }
            Self::NoGrowth => f.write_str("no growth"),
            Self::Far => f.write_str("not within ten years"),
            Self::Capped => f.write_str(
                "not known what the link can carry: it carried all that was offered; run a \
                 capacity test",
            ),
        }
    }
}

/// When what `points` show reaches `limit`, as seen on the day `today`. Where there are two years
/// of them, points are compared with those of the same season.
///
/// # Errors
///
/// Where they do not say.
pub fn exhaustion(points: &[Point], limit: f64, today: f64) -> Result<Exhaustion, Unknown> {
    let days = || points.iter().map(|point| point.day);
    let span = days().fold(f64::NEG_INFINITY, f64::max) - days().fold(f64::INFINITY, f64::min);
    let too_few = Unknown::TooFew(points.len(), POINTS_MIN);
    if points.len() < POINTS_MIN {
        return Err(too_few);
    }
    let seasonal = (SEASONS_DAYS <= span).then(|| Trend::between_years(points)).flatten();
    let trend = seasonal.or_else(|| Trend::of(points)).ok_or(too_few)?;
    let level = trend.at(today);
    let reaches = |per_day: f64| {
        let days = if limit <= level { 0.0 } else { (limit - level) / per_day };
        (0.0..=FORESEEN_DAYS).contains(&days).then_some(today + days)
    };
    if level < limit && trend.per_day_high <= 0.0 {
        return Err(Unknown::NoGrowth);
    }
    Ok(Exhaustion {
        early_day: reaches(trend.per_day_high).ok_or(Unknown::Far)?,
        likely_day: reaches(trend.per_day),
        late_day: reaches(trend.per_day_low),
        trend,
        may_be_season: span < YEAR_DAYS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::real;
    use std::f64::consts::TAU;

    fn weekly(weeks: u64, value: impl Fn(f64) -> f64) -> Vec<Point> {
        let point = |week| 7.0 * real(week);
        (0..weeks).map(point).map(|day| Point { day, value: value(day) }).collect()
    }

    /// systems.md §6: 420 Mbit/s of 1 Gbit/s that grow by 18 a month reach 70 % in 15.6 months.
    #[test]
    fn a_straight_line_reaches_its_limit_on_its_day() {
        let month = 30.436_875;
        let points = weekly(20, |day| 420.0 + 18.0 * (day - 133.0) / month);
        let found = exhaustion(&points, 700.0, 133.0).expect("a date");
        let months = |day: f64| (day - 133.0) / month;
        assert!((months(found.early_day) - 15.556).abs() < 0.01, "{found:?}");
        assert!((months(found.late_day.expect("a date")) - 15.556).abs() < 0.01);
        assert!(found.may_be_season);
    }

    #[test]
    fn noise_makes_a_range_and_much_of_it_an_open_end() {
        let noise = |day: f64, size: f64| size * (day * 12.9898).sin();
        let points = weekly(30, |day| 400.0 + 0.5 * day + noise(day, 20.0));
        let found = exhaustion(&points, 700.0, 203.0).expect("a date");
        let late = found.late_day.expect("a date");
        // By the truth it is full on day 600.
        assert!(found.early_day < 600.0 && 600.0 < late, "{found:?}");
        assert!(found.early_day < found.likely_day.expect("one"), "{found:?}");
        let points = weekly(10, |day| 400.0 + 0.2 * day + noise(day, 80.0));
        assert_eq!(exhaustion(&points, 700.0, 63.0).map(|found| found.late_day), Ok(None));
    }

    /// Three years of a season of 200 each way, and of 30 a year.
    #[test]
    fn a_season_is_no_growth_once_there_are_two_years_of_it() {
        let year = 365.2425;
        let value = |day: f64| 400.0 + 30.0 * day / year - 200.0 * (TAU * day / year).cos();
        let points = weekly(157, value);
        let found = exhaustion(&points, 700.0, 1_092.0).expect("a date");
        assert!((found.trend.per_day * year - 30.0).abs() < 5.0, "{found:?}");
        assert!(!found.may_be_season);
    }

    #[test]
    fn without_growth_or_points_there_is_no_date_but_a_reason() {
        let fault = |points: &[Point]| exhaustion(points, 700.0, 200.0).expect_err("no date");
        assert_eq!(fault(&weekly(7, |day| day)), Unknown::TooFew(7, 8));
        assert_eq!(fault(&weekly(30, |day| 400.0 - day)), Unknown::NoGrowth);
        assert_eq!(fault(&weekly(30, |_| 400.0)), Unknown::NoGrowth);
        assert_eq!(fault(&weekly(30, |day| 400.0 + 0.01 * day)), Unknown::Far);
    }

    #[test]
    fn what_is_full_today_is_full_today() {
        let found = exhaustion(&weekly(30, |day| 700.0 + day), 700.0, 203.0).expect("a date");
        let today = Some(203.0);
        assert_eq!(
            (Some(found.early_day), found.likely_day, found.late_day),
            (today, today, today)
        );
    }
}
