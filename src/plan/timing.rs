//! When a link is tested again and again: a rule, a time zone, and the windows in which it may be
//! loaded.

use croner::Cron;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::fmt;
use std::str::FromStr;

/// When a link is tested again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timing {
    /// The rule.
    pub rule: Rule,
    /// The zone that the rule and the windows count in.
    pub zone: TimeZone,
    /// Each start is put off by a part of this.
    pub jitter: SignedDuration,
    /// When the link may be loaded; nothing else is bound to them.
    pub windows: Vec<Window>,
}

/// A rule as cron has it, of five fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule(Cron);

/// Monday, 5 January 2026, in seconds since 1970.
const MONDAY_S: i64 = 1_767_571_200;

/// A time that repeats by the week, such as "mon-fri 22:00-04:00".
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Window {
    /// On which days it opens, from Monday.
    days: [bool; 7],
    opens: Time,
    closes: Time,
}

/// When a window is open, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opening {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

impl Timing {
    /// The next time of the rule after `after`; `None` where it has none within years.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.rule.next(after, &self.zone)
    }

    /// The shortest time between two times of the rule, of the next hundred from any Monday on.
    #[must_use]
    pub fn shortest_interval(&self) -> Option<SignedDuration> {
        let monday = Timestamp::from_second(MONDAY_S).ok();
        let times = std::iter::successors(monday, |time| self.next(*time));
        let times: Vec<Timestamp> = times.skip(1).take(100).collect();
        times.array_windows().map(|[first, next]| next.duration_since(*first)).min()
    }

    /// The opening of a window in which all from `start` to `end` falls.
    #[must_use]
    pub fn opening(&self, start: Timestamp, end: Timestamp) -> Option<Opening> {
        let mut openings = self.openings(start);
        openings.find(|opening| opening.from <= start && end <= opening.until)
    }

    /// The openings that `at` may fall in, and the next ones.
    fn openings(&self, at: Timestamp) -> impl Iterator<Item = Opening> + '_ {
        let today = at.to_zoned(self.zone.clone()).date();
        // One that opened the evening before may be open still.
        let days = [today.yesterday().ok(), Some(today)].into_iter().flatten();
        days.flat_map(move |day| self.windows.iter().filter_map(move |it| it.on(day, &self.zone)))
    }
}

impl Window {
    /// When it is open that opens on `day`, if it does.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<Opening> {
        let place = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !*self.days.get(place)? {
            return None;
        }
        let last = if self.opens < self.closes { day } else { day.tomorrow().ok()? };
        // Where the clock skips a time, or shows it twice, the window is the shorter one.
        let at = |day, time| zone.to_ambiguous_zoned(DateTime::from_parts(day, time));
        let from = at(day, self.opens).later().ok()?.timestamp();
        let until = at(last, self.closes).earlier().ok()?.timestamp();
        Some(Opening { from, until })
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Rule {
    /// The next time of it after `after`, in `zone`; `None` where it has none within years.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = after.to_zoned(zone.clone());
        self.0.find_next_occurrence(&after, false).ok().map(|next: Zoned| next.timestamp())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "not a rule of cron: minute, hour, day of the month, month and day of \
                            the week, such as \"30 2 * * *\" or \"0 3 * * sun\"";
        // Seconds, years and names such as @daily are croner's own.
        if text.split_whitespace().count() != 5 {
            return Err(FORM.to_owned());
        }
        Cron::from_str(text).map(Self).map_err(|why| format!("{FORM}: {why}"))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(&text.to_ascii_lowercase()).ok_or_else(|| {
            "not a window: days and times of day, such as \"mon-fri 22:00-04:00\", \"sat,sun \
             00:00-24:00\", or \"01:00-05:00\" for every day"
                .to_owned()
        })
    }
}

fn parse(text: &str) -> Option<Window> {
    let (days, times) = match text.trim().rsplit_once(char::is_whitespace) {
        Some((days, times)) => (days_of(days)?, times),
        None => ([true; 7], text.trim()),
    };
    let (opens, closes) = times.split_once('-')?;
    let (opens, is_midnight) = (time(opens)?, closes == "24:00");
    let closes = if is_midnight { Time::midnight() } else { time(closes)? };
    // Of the same time nobody knows whether it is a day or nothing.
    (opens != closes || is_midnight).then_some(Window { days, opens, closes })
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn days_of(text: &str) -> Option<[bool; 7]> {
    let place = |name: &str| DAYS.iter().position(|(day, _)| *day == name);
    let mut days = [false; 7];
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first.trim())?, place(last.trim())?);
        // "fri-mon" goes over Sunday.
        let count = (last + 7 - first) % 7 + 1;
        (0..count).for_each(|step| days[(first + step) % 7] = true);
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(rule: &str, zone: &str, windows: &[&str]) -> Timing {
        Timing {
            rule: rule.parse().expect("a rule"),
            zone: TimeZone::get(zone).expect("a zone"),
            jitter: SignedDuration::ZERO,
            windows: windows.iter().map(|window| window.parse().expect("a window")).collect(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[track_caller]
    fn check_next(timing: &Timing, after: &str, expected: &[&str]) {
        let mut after = at(after);
        for expected in expected {
            after = timing.next(after).expect("a next time");
            assert_eq!(after, at(expected));
        }
    }

    /// 2026-03-29 has no 02:30 in Berlin, 2026-10-25 has it twice.
    #[test]
    fn a_rule_is_met_once_a_day_also_where_the_clock_changes() {
        let nightly = timing("30 2 * * *", "Europe/Berlin", &[]);
        let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        check_next(&nightly, "2026-03-27T12:00:00Z", &spring);
        let autumn = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        check_next(&nightly, "2026-10-23T12:00:00Z", &autumn);
        let shanghai = timing("0 1 * * mon", "Asia/Shanghai", &[]);
        check_next(&shanghai, "2026-11-30T00:00:00Z", &["2026-12-06T17:00:00Z"]);
    }

    #[test]
    fn a_window_may_go_over_midnight_and_belongs_to_the_day_on_which_it_opens() {
        let timing = timing("0 0 * * *", "Europe/Berlin", &["mon-fri 22:00-04:00"]);
        let fits = |start, end| timing.opening(at(start), at(end)).is_some();
        // Friday, 27 November 2026; Berlin is an hour ahead.
        assert!(fits("2026-11-27T21:00:00Z", "2026-11-27T22:00:00Z"));
        assert!(fits("2026-11-28T02:00:00Z", "2026-11-28T03:00:00Z"), "Saturday before 04:00");
        assert!(!fits("2026-11-28T02:00:00Z", "2026-11-28T03:00:01Z"), "it has closed");
        assert!(!fits("2026-11-28T22:00:00Z", "2026-11-28T22:30:00Z"), "Saturday evening");
        assert!(!fits("2026-11-27T20:59:59Z", "2026-11-27T22:00:00Z"), "it is closed still");
        assert!(!fits("2026-11-30T02:00:00Z", "2026-11-30T02:30:00Z"), "Monday before 04:00");
    }

    /// From 01:00 to 05:00 there are three hours when the clock goes ahead, five when it goes back.
    #[test]
    fn a_window_is_as_long_as_the_clock_shows_it() {
        let timing = timing("0 0 * * *", "Europe/Berlin", &["01:00-05:00"]);
        let length = |start: &str| {
            let opening = timing.opening(at(start), at(start)).expect("open");
            opening.until.duration_since(opening.from).as_hours()
        };
        assert_eq!(length("2026-03-29T01:30:00Z"), 3);
        assert_eq!(length("2026-03-30T01:30:00Z"), 4);
        assert_eq!(length("2026-10-25T01:30:00Z"), 5);
    }

    /// 02:30 is skipped on 29 March, and comes twice on 25 October.
    #[test]
    fn a_window_never_goes_on_for_longer_than_the_clock_shows() {
        let timing = timing("0 0 * * *", "Europe/Berlin", &["01:00-02:30"]);
        let until = |start: &str| timing.opening(at(start), at(start)).map(|it| it.until);
        assert_eq!(until("2026-03-29T00:15:00Z"), Some(at("2026-03-29T00:30:00Z")));
        assert_eq!(until("2026-10-24T23:30:00Z"), Some(at("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn what_is_no_window_and_no_rule_is_refused_with_its_form() {
        for right in ["00:00-24:00", "sat, sun 00:00-24:00", "Fri-Mon 08:30-17:00"] {
            assert!(right.parse::<Window>().is_ok(), "{right}");
        }
        for wrong in ["", "1:00-5:00", "05:00-05:00", "25:00-26:00", "mon", "foo 01:00-02:00"] {
            let why = wrong.parse::<Window>().expect_err(wrong);
            assert!(why.starts_with("not a window"), "{why}");
        }
        for wrong in ["", "@daily", "0 0 2 * * *", "61 * * * *", "0 2 * *"] {
            let why = wrong.parse::<Rule>().expect_err(wrong);
            assert!(why.starts_with("not a rule of cron"), "{why}");
        }
    }
}
