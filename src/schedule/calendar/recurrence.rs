//! When an event takes place again: by days, weeks, months or years (RFC 5545, section 3.3.10).

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// The most periods that are looked through, with an occurrence in them or not: a daily event of
/// two and a half centuries.
const PERIODS_MAX: i64 = 100_000;

/// What repeats: from its first time on.
#[derive(Debug)]
pub(super) struct Recurrence {
    start: DateTime,
    every: Option<Every>,
    interval: i64,
    count: Option<usize>,
    until: Option<Timestamp>,
    /// Days of the week, of a month with their number in it; none where the first day decides.
    by_day: Vec<(i8, Weekday)>,
    /// Days of a month, from its end where they are negative.
    by_month_day: Vec<i8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Every {
    Day,
    Week,
    Month,
    Year,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

impl Recurrence {
    /// What takes place once.
    pub(super) const fn once(start: DateTime) -> Self {
        Self {
            start,
            every: None,
            interval: 1,
            count: None,
            until: None,
            by_day: Vec::new(),
            by_month_day: Vec::new(),
        }
    }

    /// The rule `text` of an event whose first time is `start` in `zone`.
    pub(super) fn parse(text: &str, start: DateTime, zone: &TimeZone) -> Result<Self, String> {
        let mut rule = Self::once(start);
        for part in text.trim().split(';').filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("'{part}' is no part"))?;
            let not = || format!("{key}={value} is not understood");
            match key.to_ascii_uppercase().as_str() {
                "FREQ" => {
                    rule.every = Some(match value.to_ascii_uppercase().as_str() {
                        "DAILY" => Every::Day,
                        "WEEKLY" => Every::Week,
                        "MONTHLY" => Every::Month,
                        "YEARLY" => Every::Year,
                        _ => return Err(not()),
                    });
                }
                "INTERVAL" => {
                    let interval = value.parse().ok().filter(|it| (1..=1_000).contains(it));
                    rule.interval = interval.ok_or_else(not)?;
                }
                "COUNT" => rule.count = Some(value.parse().map_err(|_| not())?),
                "UNTIL" => rule.until = Some(until(value, zone).ok_or_else(not)?),
                "BYDAY" => {
                    let days = value.split(',').map(by_day).collect::<Option<_>>();
                    rule.by_day = days.ok_or_else(not)?;
                }
                "BYMONTHDAY" => {
                    let day = |day: &str| day.parse().ok().filter(|day| *day != 0);
                    let days = value.split(',').map(day).collect::<Option<_>>();
                    rule.by_month_day = days.ok_or_else(not)?;
                }
                // It matters where weeks are left out alone.
                "WKST" if value.eq_ignore_ascii_case("MO") || rule.interval == 1 => {}
                _ => return Err(not()),
            }
        }
        rule.checked()
    }

    /// Itself, where all its parts go together.
    fn checked(self) -> Result<Self, String> {
        let is_plain = self.by_day.iter().all(|(number, _)| *number == 0);
        let (has_days, has_month_days) = (!self.by_day.is_empty(), !self.by_month_day.is_empty());
        let wrong = match self.every {
            None => Some("FREQ is missing"),
            Some(Every::Day | Every::Year) if has_days || has_month_days => {
                Some("BYDAY and BYMONTHDAY are understood with FREQ=WEEKLY and MONTHLY alone")
            }
            Some(Every::Week) if has_month_days || !is_plain => {
                Some("a week has days such as BYDAY=MO,TU")
            }
            Some(Every::Month) if has_days && has_month_days => {
                Some("BYDAY and BYMONTHDAY together are not understood")
            }
            Some(_) => None,
        };
        match wrong {
            Some(wrong) => Err(wrong.to_owned()),
            None => Ok(self),
        }
    }

    /// Whether what would start at `from` is behind its end.
    pub(super) fn is_over(&self, from: Timestamp) -> bool {
        self.until.is_some_and(|until| until < from)
    }

    /// Its times, in order, as the clock shows them; those behind its end among them.
    pub(super) fn times(&self) -> impl Iterator<Item = DateTime> + '_ {
        let most = self.count.unwrap_or(usize::MAX);
        let periods = if self.every.is_some() { PERIODS_MAX } else { 1 };
        let (first, time) = (self.start, self.start.time());
        // RFC 5545: the first time is one of the series, whether the rule has it or not.
        let has_first = move |period: i64, days: &mut Vec<Date>| {
            if period == 0 && !days.contains(&first.date()) {
                days.push(first.date());
                days.sort_unstable();
            }
        };
        let of_period = move |period: i64| {
            let mut days = self.days(period).unwrap_or_default();
            has_first(period, &mut days);
            days
        };
        let times = (0..periods).flat_map(of_period).map(move |day| at(day, time));
        times.filter(move |time| first <= *time).take(most)
    }

    /// The days in the period of that number, in order; `None` beyond the calendar.
    fn days(&self, period: i64) -> Option<Vec<Date>> {
        let (first, step) = (self.start.date(), period.checked_mul(self.interval)?);
        match self.every {
            None => Some(vec![first]),
            Some(Every::Day) => Some(vec![first.checked_add(step.days()).ok()?]),
            Some(Every::Week) => {
                let monday = first.weekday().to_monday_zero_offset();
                let monday = first.checked_sub(i64::from(monday).days()).ok()?;
                let monday = monday.checked_add(step.weeks()).ok()?;
                let own = [(0, first.weekday())];
                let days = if self.by_day.is_empty() { &own[..] } else { &self.by_day };
                let day = |(_, day): &(i8, Weekday)| {
                    monday.checked_add(i64::from(day.to_monday_zero_offset()).days()).ok()
                };
                Some(ordered(days.iter().filter_map(day)))
            }
            Some(Every::Month) => {
                let month = first.first_of_month().checked_add(step.months()).ok()?;
                Some(ordered(self.in_month(month)))
            }
            // 29 February is left out where there is none.
            Some(Every::Year) => {
                let year = i16::try_from(i64::from(first.year()) + step).ok()?;
                Some(Date::new(year, first.month(), first.day()).into_iter().collect())
            }
        }
    }

    /// The days in the month that begins with `first`.
    fn in_month(&self, first: Date) -> Vec<Date> {
        let last = first.days_in_month();
        let day = |day: i8| Date::new(first.year(), first.month(), day).ok();
        if !self.by_day.is_empty() {
            let all = (1..=last).filter_map(day);
            let is_meant = |date: &Date| {
                let nth = (date.day() - 1) / 7 + 1;
                let from_end = -((last - date.day()) / 7 + 1);
                self.by_day.iter().any(|(number, weekday)| {
                    *weekday == date.weekday() && [0, nth, from_end].contains(number)
                })
            };
            return all.filter(is_meant).collect();
        }
        let own = [self.start.day()];
        let days = if self.by_month_day.is_empty() { &own[..] } else { &self.by_month_day };
        let of_month = |number: &i8| if *number < 0 { last + 1 + number } else { *number };
        days.iter()
            .map(of_month)
            .filter(|number| (1..=last).contains(number))
            .filter_map(day)
            .collect()
    }
}

fn at(day: Date, time: Time) -> DateTime {
    DateTime::from_parts(day, time)
}

fn ordered(days: impl IntoIterator<Item = Date>) -> Vec<Date> {
    let mut days: Vec<Date> = days.into_iter().collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// "MO", or "-1FR": the last Friday.
fn by_day(text: &str) -> Option<(i8, Weekday)> {
    let text = text.trim().to_ascii_uppercase();
    let (number, name) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let (_, day) = WEEKDAYS.iter().find(|(known, _)| *known == name)?;
    let number = match number {
        "" => 0,
        number => number.parse().ok().filter(|it| (1..=5_i8).contains(&i8::abs(*it)))?,
    };
    Some((number, *day))
}

/// The last moment of a series: a day is meant to its end.
fn until(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (day, time) = text.split_once('T').unwrap_or((text, "235959"));
    let (time, is_utc) = match time.strip_suffix('Z') {
        Some(time) => (time, true),
        None => (time, false),
    };
    let digits = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let small = |text, from, to| i8::try_from(digits(text, from, to)?).ok();
    if day.len() != 8 || time.len() != 6 {
        return None;
    }
    let date = Date::new(digits(day, 0, 4)?, small(day, 4, 6)?, small(day, 6, 8)?).ok()?;
    let time = Time::new(small(time, 0, 2)?, small(time, 2, 4)?, small(time, 4, 6)?, 0).ok()?;
    let zone = if is_utc { TimeZone::UTC } else { zone.clone() };
    zone.to_ambiguous_zoned(at(date, time)).later().ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first days of the series that begins on 29 January 2026, a Thursday.
    fn days(rule: &str, count: usize) -> Vec<String> {
        let start = "2026-01-29T10:00:00".parse().expect("a time");
        let rule = Recurrence::parse(rule, start, &TimeZone::UTC).expect("a rule");
        rule.times().take(count).map(|at| at.date().to_string()).collect()
    }

    #[test]
    fn days_weeks_months_and_years_repeat() {
        assert_eq!(days("FREQ=DAILY;INTERVAL=2", 2), ["2026-01-29", "2026-01-31"]);
        assert_eq!(days("FREQ=WEEKLY", 2), ["2026-01-29", "2026-02-05"]);
        let two = days("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", 4);
        assert_eq!(two, ["2026-01-29", "2026-01-30", "2026-02-09", "2026-02-13"]);
        // February has no 29th, March has.
        assert_eq!(days("FREQ=MONTHLY", 2), ["2026-01-29", "2026-03-29"]);
        assert_eq!(
            days("FREQ=MONTHLY;BYMONTHDAY=-1", 3),
            ["2026-01-29", "2026-01-31", "2026-02-28"]
        );
        assert_eq!(days("FREQ=MONTHLY;BYDAY=1MO", 3), ["2026-01-29", "2026-02-02", "2026-03-02"]);
        assert_eq!(days("FREQ=YEARLY;COUNT=2", 9), ["2026-01-29", "2027-01-29"]);
        assert_eq!(days("FREQ=DAILY;COUNT=3", 9).len(), 3);
    }

    #[test]
    fn a_series_ends_with_its_last_moment() {
        let start = "2026-01-29T10:00:00".parse().expect("a time");
        let rule = |text: &str| Recurrence::parse(text, start, &TimeZone::UTC).expect("a rule");
        let is_over = |text: &str, at: &str| rule(text).is_over(at.parse().expect("a time"));
        let by_day = "FREQ=DAILY;UNTIL=20260131";
        assert!(
            !is_over(by_day, "2026-01-31T10:00:00Z") && is_over(by_day, "2026-02-01T00:00:00Z")
        );
        let exact = "FREQ=DAILY;UNTIL=20260131T100000Z";
        assert!(!is_over(exact, "2026-01-31T10:00:00Z") && is_over(exact, "2026-01-31T10:00:01Z"));
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused() {
        let start = "2026-01-29T10:00:00".parse().expect("a time");
        for (rule, why) in [
            ("COUNT=3", "FREQ is missing"),
            ("FREQ=DAILY;BYDAY=MO", "FREQ=WEEKLY and MONTHLY alone"),
            ("FREQ=WEEKLY;BYDAY=1MO", "a week has days"),
            ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY=6MO is not understood"),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY=0 is not understood"),
            ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "WKST=SU is not understood"),
            ("FREQ=DAILY;UNTIL=soon", "UNTIL=soon is not understood"),
            ("FREQ=DAILY;X", "'X' is no part"),
        ] {
            let found = Recurrence::parse(rule, start, &TimeZone::UTC).expect_err(rule);
            assert!(found.contains(why), "{found}");
        }
    }
}
