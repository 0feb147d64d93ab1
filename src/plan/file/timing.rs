//! When a plan is run again and again.

use super::draft::Draft;
use super::raw::{Given, Maybe, RawSchedule, value};
use crate::plan::{Test, Timing, Work};
use jiff::SignedDuration;

/// When a link with `tests` is run, by `given`; never where it is not given, or wrong.
///
/// What is to be loaded by a schedule takes a window.
pub(super) fn timing(
    draft: &mut Draft<'_>,
    given: &Maybe<RawSchedule>,
    tests: &[Test],
) -> Option<Timing> {
    let (raw, place) = given.as_ref().and_then(Given::whole)?;
    if raw.cron.is_none() {
        draft.missing(place, "cron", "when the tests are run", "30 2 * * *");
    }
    if raw.zone.is_none() {
        draft.missing(place, "zone", "the time zone of cron and windows", "Asia/Shanghai");
    }
    let windows = value(&raw.windows).into_iter().flat_map(|list| list.whole());
    let windows: Vec<_> = windows.map(|(window, _)| window.0.clone()).collect();
    if raw.windows.is_none() && tests.iter().any(|test| test.work != Work::Idle) {
        let what = "is missing: the tests load the link, so say when they may, such as windows = \
                    [\"mon-fri 01:00-05:00\"], or give it tests of kind idle alone";
        draft.fault(&place.field("windows"), what);
    }
    let jitter = value(&raw.jitter).map_or(0, |jitter| jitter.0.nanos());
    let timing = Timing {
        rule: value(&raw.cron)?.0.clone(),
        zone: value(&raw.zone)?.0.clone(),
        jitter: SignedDuration::from_nanos_i128(jitter.into()),
        windows,
    };
    if let Some((_, place)) = raw.jitter.as_ref().and_then(Given::whole)
        && timing.shortest_interval().is_some_and(|shortest| shortest <= timing.jitter)
    {
        draft.fault(place, "has to be shorter than the time between two runs of cron");
    }
    Some(timing)
}

#[cfg(test)]
mod tests {
    use super::super::{read, read_to_judge};
    use std::path::Path;

    const ENDS: &str = "[sites.vpc]\nagent = '10.0.0.7:99'\n";

    fn faults_of(text: &str) -> String {
        let read = read(Path::new("plan.toml"), &format!("{ENDS}{text}")).conclude_all();
        read.map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    const UDP: &str = "[[test]]\nkind = 'udp'\nrate = '5 Mbit/s'\n";
    const IDLE: &str = "[[test]]\nkind = 'idle'\n";
    const RULE: &str = "[schedule]\ncron = '30 2 * * *'\nzone = 'Asia/Shanghai'\n";

    #[test]
    fn a_schedule_is_read() {
        let more = "jitter = '10 min'\nwindows = ['mon-fri 01:00-05:00']\n";
        let text = format!("{ENDS}{UDP}[link]\nin_service = false\n{RULE}{more}");
        let read = read(Path::new("plan.toml"), &text).conclude().expect("a plan");
        let timing = read.0.schedule.expect("a schedule");
        assert_eq!((timing.rule.to_string().as_str(), timing.windows.len()), ("30 2 * * *", 1));
        assert_eq!(timing.zone.iana_name(), Some("Asia/Shanghai"));
        assert_eq!(timing.jitter.as_mins(), 10);
        assert_eq!(faults_of(&format!("{IDLE}{RULE}")), "", "probes need no window");
    }

    #[test]
    fn a_schedule_may_not_load_at_any_time() {
        let link = "[link]\nrate = '10 Mbit/s'\n";
        let found = faults_of(&format!("{UDP}{link}{RULE}"));
        assert!(found.contains("schedule.windows: is missing: the tests load the link"), "{found}");
        let windows = "windows = ['01:00-05:00']\n";
        assert_eq!(faults_of(&format!("{UDP}{link}{RULE}{windows}")), "");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_form() {
        let text = "[schedule]\ncron = '@daily'\nzone = 'Mars'\njitter = '7 h'\nwindows = ['x']\n";
        let found = faults_of(&format!("{IDLE}{text}"));
        for what in [
            "not a rule of cron: minute, hour",
            "not a time zone: a name of the IANA database",
            "at most 21600 s is allowed",
            "not a window: days and times of day",
        ] {
            assert!(found.contains(what), "{what}: {found}");
        }
        let often = "[schedule]\ncron = '*/15 * * * *'\nzone = 'UTC'\njitter = '30 min'\n";
        let found = faults_of(&format!("{IDLE}{often}"));
        assert!(found.contains("has to be shorter than the time between two runs"), "{found}");
        let found = faults_of(&format!("{IDLE}[schedule]\n"));
        assert!(found.contains("schedule.cron: is missing: when the tests are run"), "{found}");
        assert!(found.contains("schedule.zone: is missing: the time zone"), "{found}");
    }

    #[test]
    fn a_link_has_its_own_schedule_or_that_of_all() {
        let links = "[links.x]\nsites = ['vpc']\n[links.y]\nsites = ['vpc']\n\
                     [links.y.schedule]\ncron = '0 5 * * *'\nzone = 'UTC'\n";
        let text = format!("{ENDS}{IDLE}{RULE}{links}");
        let (set, _) = read(Path::new("p.toml"), &text).conclude_all().expect("a plan");
        let rules = set.plans.iter().map(|plan| plan.schedule.as_ref().expect("one").rule.clone());
        let rules: Vec<String> = rules.map(|rule| rule.to_string()).collect();
        assert_eq!(rules, ["30 2 * * *", "0 5 * * *"]);
        let judged = read_to_judge(Path::new("p.toml"), "[require]\nloss = '<= 1%'\n");
        assert_eq!(judged.conclude().expect("enough").0.schedule, None);
    }
}
