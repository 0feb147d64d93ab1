//! When a link is worked on, as its plan says: once, or again and again.

use super::timing::Rule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// When a link is worked on, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Works {
    /// When.
    pub when: WorksWhen,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: Option<String>,
}

/// When a link is worked on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WorksWhen {
    /// Once.
    Once {
        /// From then on.
        from: Timestamp,
        /// Until then.
        until: Timestamp,
    },
    /// Again and again.
    Every {
        /// When it begins.
        rule: Box<Rule>,
        /// The zone that the rule counts in.
        zone: TimeZone,
        /// How long it takes.
        lasts: SignedDuration,
    },
}

/// Times that are looked at: those of a rule that is met each minute, for a day.
const TIMES_MAX: usize = 1500;

impl Works {
    /// Each time from `from` to `until` at which the link is worked on, in their order.
    #[must_use]
    pub fn within(&self, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        match &self.when {
            WorksWhen::Once { from: begins, until: ends } => {
                let is_within = *begins < until && from < *ends;
                is_within.then_some((*begins, *ends)).into_iter().collect()
            }
            WorksWhen::Every { rule, zone, lasts } => {
                // One that began before may go on.
                let first = from.checked_sub(*lasts).unwrap_or(Timestamp::MIN);
                let next = |after: &Timestamp| rule.next(*after, zone);
                let times = std::iter::successors(next(&first), next);
                let times = times.take(TIMES_MAX).take_while(|begins| *begins < until);
                times
                    .filter_map(|begins| Some((begins, begins.checked_add(*lasts).ok()?)))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[track_caller]
    fn check(works: &Works, from: &str, until: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(from, until)| (at(from), at(until))).collect();
        assert_eq!(works.within(at(from), at(until)), expected);
    }

    /// 2026-03-29 has no 02:30 in Berlin: the work begins at 03:00, and takes as long.
    #[test]
    fn works_that_come_again_follow_the_local_clock() {
        let when = WorksWhen::Every {
            rule: Box::new("30 2 * * sun".parse().expect("a rule")),
            zone: TimeZone::get("Europe/Berlin").expect("a zone"),
            lasts: SignedDuration::from_hours(2),
        };
        let works = Works { when, reason: "updates".to_owned(), ticket: None };
        check(
            &works,
            "2026-03-22T00:00:00Z",
            "2026-04-05T00:00:00Z",
            &[
                ("2026-03-22T01:30:00Z", "2026-03-22T03:30:00Z"),
                ("2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"),
            ],
        );
        let goes_on = [("2026-04-05T00:30:00Z", "2026-04-05T02:30:00Z")];
        check(&works, "2026-04-05T02:00:00Z", "2026-04-05T03:00:00Z", &goes_on);
        check(&works, "2026-04-05T02:30:00Z", "2026-04-05T03:00:00Z", &[]);
    }

    #[test]
    fn works_that_come_once_do_so() {
        let (from, until) = (at("2026-12-05T22:00:00Z"), at("2026-12-06T02:00:00Z"));
        let when = WorksWhen::Once { from, until };
        let works = Works { when, reason: "fibre".to_owned(), ticket: None };
        let once = [("2026-12-05T22:00:00Z", "2026-12-06T02:00:00Z")];
        check(&works, "2026-12-06T01:59:59Z", "2026-12-07T00:00:00Z", &once);
        check(&works, "2026-12-06T02:00:00Z", "2026-12-07T00:00:00Z", &[]);
    }
}
