//! The alerts that are open, and when each is reported.

use super::alert::{Acknowledged, Alert, Notice};
use super::problem::Problem;
use super::words::{Key, Occasion};
use std::collections::{BTreeMap, VecDeque};

/// When alerts are reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// So long a problem has to last before it is reported, in seconds: what belongs to it comes
    /// together within that time.
    pub group_wait_s: i64,
    /// So long it has to be gone before it is reported as over.
    pub resolve_wait_s: i64,
    /// As often it is reported again while it lasts.
    pub remind_s: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { group_wait_s: 15, resolve_wait_s: 30, remind_s: 4 * HOUR_S }
    }
}

const HOUR_S: i64 = 3600;

/// What began so often within an hour is flapping: it is over when it was quiet for a quarter of an
/// hour.
const FLAPS: usize = 3;
const FLAPPING_WAIT_S: i64 = HOUR_S / 4;

/// The alerts that are open.
#[derive(Clone, Debug, Default)]
pub struct Register {
    pace: Pace,
    alerts: BTreeMap<Key, Alert>,
    /// When each problem began, within the last hour.
    begun: BTreeMap<Key, VecDeque<i64>>,
    notices: VecDeque<Notice>,
}

impl Register {
    /// None yet, to be reported at that pace.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Goes on with the alerts of before this program was started again.
    pub fn restore(&mut self, alerts: Vec<Alert>) {
        self.alerts.extend(alerts.into_iter().map(|alert| (alert.key.clone(), alert)));
    }

    /// Reports at another pace from now on.
    pub const fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Those that are open, reported or not.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// The next notice.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Somebody takes care of the alert called `id`; false where there is none.
    pub fn acknowledge(&mut self, id: &str, by: Acknowledged) -> bool {
        let alert = self.alerts.values_mut().find(|alert| alert.id == id);
        alert.map(|alert| alert.acknowledged = Some(by)).is_some()
    }

    /// All that is wrong at `now_s`. `muted` says of a link why nobody is alerted of it, where that
    /// is so.
    pub fn handle_problems(
        &mut self,
        now_s: i64,
        problems: &BTreeMap<Key, Problem>,
        muted: impl Fn(&str) -> Option<String>,
    ) {
        for (key, problem) in problems {
            self.see(key, problem, now_s);
        }
        let gone: Vec<Key> =
            self.alerts.keys().filter(|key| !problems.contains_key(key)).cloned().collect();
        for key in gone {
            let elsewhere = self.alerts.get(&key).and_then(|alert| {
                let mut links = alert.problem.links.keys();
                let muted = links.clone().find_map(|link| muted(link));
                muted.or_else(|| links.find_map(|link| part_of(link, problems)))
            });
            self.miss(&key, now_s, elsewhere);
        }
        self.begun.retain(|_, begun| begun.back().is_some_and(|last| now_s - HOUR_S < *last));
    }

    fn see(&mut self, key: &Key, problem: &Problem, now_s: i64) {
        let is_new = self.alerts.get(key).is_none_or(|alert| alert.gone_s.is_some());
        let begun = self.begun.entry(key.clone()).or_default();
        if is_new {
            begun.push_back(now_s);
        }
        while begun.front().is_some_and(|first| *first <= now_s - HOUR_S) {
            begun.pop_front();
        }
        let is_flapping = FLAPS <= begun.len();
        let new = || Alert::new(key.clone(), problem.clone(), now_s);
        let alert = self.alerts.entry(key.clone()).or_insert_with(new);
        let severity = alert.problem.severity.max(problem.severity);
        let since_s = alert.problem.since_s.min(problem.since_s);
        alert.problem = Problem { severity, since_s, links: problem.links.clone() };
        alert.gone_s = None;
        alert.flapping |= is_flapping;
        if let Some((occasion, remark)) = due(alert, self.pace, now_s) {
            alert.noticed = Some((now_s, severity));
            let alert = alert.clone();
            self.notices.push_back(Notice { occasion, at_s: now_s, alert, remark });
        }
    }

    /// The problem of `key` is gone; `elsewhere` says what its links are part of now.
    fn miss(&mut self, key: &Key, now_s: i64, elsewhere: Option<String>) {
        let Some(alert) = self.alerts.get_mut(key) else { return };
        let gone_s = *alert.gone_s.get_or_insert(now_s);
        let wait_s = if alert.flapping { FLAPPING_WAIT_S } else { self.pace.resolve_wait_s };
        if alert.noticed.is_some() && elsewhere.is_none() && now_s < gone_s + wait_s {
            return;
        }
        let Some(alert) = self.alerts.remove(key) else { return };
        if alert.noticed.is_some() {
            let (occasion, at_s, remark) = (Occasion::Resolved, now_s, elsewhere);
            self.notices.push_back(Notice { occasion, at_s, alert, remark });
        }
    }
}

/// What `link` is part of now.
fn part_of(link: &str, problems: &BTreeMap<Key, Problem>) -> Option<String> {
    let part = problems.iter().find(|(_, problem)| problem.links.contains_key(link));
    part.map(|(key, _)| format!("it is part of another alert now: {key}"))
}

/// What there is to report of `alert` now, and why.
fn due(alert: &mut Alert, pace: Pace, now_s: i64) -> Option<(Occasion, Option<String>)> {
    let expired = alert.acknowledged.take_if(|by| by.until_s <= now_s);
    let Some((noticed_s, severity)) = alert.noticed else {
        let wait_s = if alert.flapping { 0 } else { pace.group_wait_s };
        return (alert.seen_s + wait_s <= now_s).then_some((Occasion::Firing, None));
    };
    if severity < alert.problem.severity {
        return Some((Occasion::Worse, None));
    }
    if let Some(by) = expired {
        let remark = format!("the acknowledgement by {} has expired", by.owner);
        return Some((Occasion::Reminder, Some(remark)));
    }
    let is_due = alert.acknowledged.is_none() && noticed_s + pace.remind_s <= now_s;
    is_due.then_some((Occasion::Reminder, None))
}

#[cfg(test)]
mod tests {
    use super::super::words::Severity;
    use super::*;

    fn problem(severity: Severity) -> Problem {
        let links = BTreeMap::from([("a".to_owned(), "no reply".to_owned())]);
        Problem { severity, since_s: 0, links }
    }

    /// A register, and all that it said.
    struct Desk {
        register: Register,
        said: Vec<(i64, Occasion)>,
    }

    impl Desk {
        fn new() -> Self {
            Self { register: Register::new(Pace::default()), said: Vec::new() }
        }

        /// From `from_s` to `until_s` that is wrong.
        fn run(&mut self, from_s: i64, until_s: i64, wrong: Option<Severity>) {
            let key = Key::Link("a".to_owned());
            let wrong = wrong.map(|severity| (key, problem(severity)));
            let problems = wrong.into_iter().collect();
            for now_s in from_s..until_s {
                self.register.handle_problems(now_s, &problems, |_| None);
                while let Some(notice) = self.register.poll_notice() {
                    self.said.push((notice.at_s, notice.occasion));
                }
            }
        }
    }

    #[test]
    fn a_problem_that_lasts_is_reported_once_reminded_of_and_resolved() {
        let mut desk = Desk::new();
        desk.run(0, 10, Some(Severity::Critical));
        desk.run(10, 100, None);
        assert_eq!(desk.said, [], "it did not last");
        desk.run(100, 20_000, Some(Severity::Critical));
        desk.run(20_000, 20_020, None);
        desk.run(20_020, 20_100, Some(Severity::Critical));
        desk.run(20_100, 20_200, None);
        let remind_s = 115 + 4 * 3600;
        assert_eq!(
            desk.said,
            [(115, Occasion::Firing), (remind_s, Occasion::Reminder), (20_130, Occasion::Resolved)]
        );
    }

    #[test]
    fn what_gets_worse_is_reported_and_what_gets_better_is_not() {
        let mut desk = Desk::new();
        desk.run(0, 100, Some(Severity::Warning));
        desk.run(100, 200, Some(Severity::Critical));
        desk.run(200, 300, Some(Severity::Warning));
        desk.run(300, 400, None);
        assert_eq!(
            desk.said,
            [(15, Occasion::Firing), (100, Occasion::Worse), (330, Occasion::Resolved)]
        );
    }

    /// 40 s down and 40 s up, for 40 minutes: the third time it is known to flap.
    #[test]
    fn what_comes_and_goes_is_one_alert() {
        let mut desk = Desk::new();
        for round in 0..30 {
            desk.run(round * 80, round * 80 + 40, Some(Severity::Critical));
            desk.run(round * 80 + 40, round * 80 + 80, None);
        }
        desk.run(2400, 6000, None);
        let expected = [
            (15, Occasion::Firing),
            (70, Occasion::Resolved),
            (95, Occasion::Firing),
            (150, Occasion::Resolved),
            (160, Occasion::Firing),
            (29 * 80 + 40 + 900, Occasion::Resolved),
        ];
        assert_eq!(desk.said, expected);
    }

    #[test]
    fn who_takes_care_is_not_reminded_until_that_expires() {
        let mut desk = Desk::new();
        desk.run(0, 100, Some(Severity::Critical));
        let id = desk.register.alerts().next().expect("one").id.clone();
        let by = Acknowledged { owner: "alice".to_owned(), until_s: 30_000 };
        assert!(desk.register.acknowledge(&id, by.clone()));
        assert!(!desk.register.acknowledge("00000000", by));
        desk.run(100, 30_010, Some(Severity::Critical));
        assert_eq!(desk.said, [(15, Occasion::Firing), (30_000, Occasion::Reminder)]);
    }

    #[test]
    fn what_is_part_of_another_or_muted_is_over_at_once_and_says_so() {
        let mut register = Register::new(Pace::default());
        let of = |key: Key| BTreeMap::from([(key, problem(Severity::Critical))]);
        let link = of(Key::Link("a".to_owned()));
        for now_s in 0..=15 {
            register.handle_problems(now_s, &link, |_| None);
        }
        assert_eq!(register.poll_notice().map(|it| it.occasion), Some(Occasion::Firing));
        register.handle_problems(16, &of(Key::Host("h".to_owned())), |_| None);
        let notice = register.poll_notice().expect("a notice");
        assert_eq!(notice.occasion, Occasion::Resolved);
        let remark = "it is part of another alert now: host h";
        assert_eq!(notice.remark.as_deref(), Some(remark));
        let host = register.alerts().next().expect("the host's");
        assert!(!host.is_reported());
        register.handle_problems(31, &of(Key::Host("h".to_owned())), |_| None);
        assert_eq!(register.poll_notice().map(|it| it.occasion), Some(Occasion::Firing));
        register.handle_problems(32, &BTreeMap::new(), |_| Some("maintenance".to_owned()));
        let notice = register.poll_notice().expect("a notice");
        assert_eq!(notice.remark.as_deref(), Some("maintenance"));
    }

    #[test]
    fn after_a_restart_nothing_is_reported_twice() {
        let mut before = Desk::new();
        before.run(0, 100, Some(Severity::Critical));
        let text = serde_json::to_string(&before.register.alerts().collect::<Vec<_>>());
        let alerts = serde_json::from_str(&text.expect("JSON")).expect("alerts");
        let mut after = Desk::new();
        after.register.restore(alerts);
        after.run(200, 300, Some(Severity::Critical));
        after.run(300, 400, None);
        assert_eq!(after.said, [(330, Occasion::Resolved)]);
    }
}
