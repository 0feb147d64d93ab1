//! When each link is run again: a machine that is handed the time, and says what starts, and what
//! was missed and why. It never waits, runs or reads a clock.
//!
//! A run has a time by its rule, and starts a part of the jitter later: which part follows from the
//! link and that time alone, so that what is shown beforehand is what happens. A run that loads
//! its link has to fit into one opening of a window, from its start to the end of its last trial,
//! lengthened ones included.
//!
//! What does not start in its time is missed, and is never made up for: not where this program did
//! not run, or its host slept, nor where what a link shares with others was taken until its window
//! closed. A schedule that caught up would load production lines on a Monday morning.

pub mod calendar;

pub mod cost;

pub mod listing;

mod permit;

pub mod preview;

pub use permit::{Conditions, Denied, Permit, Stop};

use crate::method::schedule::Resource;
use crate::plan::{Blackouts, Timing};
use crate::units::Span;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A link that is run again and again.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// When.
    pub timing: Timing,
    /// The longest that a run of it may take.
    pub takes: Span,
    /// Whether a run loads the link.
    pub loads: bool,
    /// What no other run may use meanwhile.
    pub resources: BTreeSet<Resource>,
    /// What is demanded of a load beside a window.
    pub permit: Permit,
}

/// A run that is due.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Due {
    /// When it starts.
    pub start: Timestamp,
    /// When it is over at the latest.
    pub end: Timestamp,
}

/// Why a run was missed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Missed {
    /// There is no window at that time that is open for long enough.
    NoWindow,
    /// The link may not be loaded.
    Denied(Denied),
    /// Its time was over when this was asked: the program did not run, or its host slept.
    Late,
    /// What it shares with others was in use until it could not be over in its window any more, or
    /// until its next run was due.
    Busy(Resource),
    /// It had no lease until it could not be over in its window any more, for this reason.
    NotLeased(String),
    /// The run before it was not over.
    Running,
    /// This program was ended while the run waited for what it shares.
    Ended,
    /// The link is worked on then, for this reason.
    Maintained(String),
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWindow => f.write_str("no window is open for as long as the run may take"),
            Self::Denied(why) => why.fmt(f),
            Self::Late => f.write_str("linkqual watch was not running then, or its host slept"),
            Self::Busy(resource) => write!(f, "{resource} was in use until the window closed"),
            Self::NotLeased(why) => write!(f, "it had no lease until the window closed: {why}"),
            Self::Running => f.write_str("the run before it was not over"),
            Self::Ended => f.write_str("linkqual watch was ended while the run waited"),
            Self::Maintained(why) => write!(f, "the link is in maintenance: {why}"),
        }
    }
}

/// How late a run may start: a program that is busy is not one that was stopped.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(60);

/// How long a run that has no lease waits until it asks again.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Scheduled {
    /// Its first run that is due by its rule after `after`.
    #[must_use]
    pub fn due(&self, after: Timestamp) -> Option<Due> {
        self.with_rule(after).map(|(_, due)| due)
    }

    /// The next time by its rule after `after`, and the run that is due by it.
    fn with_rule(&self, after: Timestamp) -> Option<(Timestamp, Due)> {
        let by_rule = self.timing.next(after)?;
        let start = by_rule.checked_add(self.put_off(by_rule)).ok()?;
        let takes = SignedDuration::from_nanos_i128(self.takes.nanos().into());
        Some((by_rule, Due { start, end: start.checked_add(takes).ok()? }))
    }

    /// Its runs that start from `from` until `until`, with what each misses, if anything.
    pub fn runs(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = (Due, Option<Missed>)> {
        // One that is due by its rule before that may start after it.
        let first = from.checked_sub(self.timing.jitter + SECOND).unwrap_or(Timestamp::MIN);
        let next = |due: &(Timestamp, Due)| self.with_rule(due.0);
        let runs = std::iter::successors(self.with_rule(first), next);
        let runs = runs.map(|(_, due)| due).take_while(move |due| due.start < until);
        runs.filter(move |due| from <= due.start).map(|due| (due, self.unfit(due)))
    }

    /// Why a run cannot take place then, as far as that is known beforehand.
    fn unfit(&self, due: Due) -> Option<Missed> {
        if !self.loads {
            return None;
        }
        match self.timing.opening(due.start, due.end) {
            None => Some(Missed::NoWindow),
            Some(_) => self.permit.denied(due.start, due.end).map(Missed::Denied),
        }
    }

    /// When the run `due` can start at the latest: it is over before its window closes, and has
    /// begun before the next one is due.
    fn last_start(&self, due: Due) -> Timestamp {
        let next = self.due(due.start).map_or(Timestamp::MAX, |next| next.start);
        let before_next = next.checked_sub(SECOND).unwrap_or(Timestamp::MIN);
        let opening = self.timing.opening(due.start, due.end).filter(|_| self.loads);
        let takes = due.end.duration_since(due.start);
        let in_window = opening.and_then(|opening| opening.until.checked_sub(takes).ok());
        in_window.map_or(before_next, |last| last.min(before_next))
    }

    /// By how much the run of a time of the rule is put off.
    fn put_off(&self, by_rule: Timestamp) -> SignedDuration {
        let most = u64::try_from(self.timing.jitter.as_secs()).unwrap_or(0);
        if most == 0 {
            return SignedDuration::ZERO;
        }
        // FNV-1a: any spread does, and it is the same on every host.
        let octets = self.name.bytes().chain(by_rule.as_second().to_be_bytes());
        let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        // The upper half is the better mixed one.
        SignedDuration::from_secs(i64::try_from((hash >> 32) % (most + 1)).unwrap_or(0))
    }
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// A run starts now.
    Start(usize, Due),
    /// A run did not start.
    Missed(usize, Due, Missed),
}

/// Several links that are run again and again, each by its place.
#[derive(Debug)]
pub struct Schedule {
    links: Vec<Watched>,
    /// The runs under way: their links' names, and what each uses.
    held: BTreeMap<String, BTreeSet<Resource>>,
    /// When it was last asked what is to be done.
    asked: Timestamp,
    /// How things are, beyond what plans say.
    conditions: Conditions,
}

#[derive(Debug)]
struct Watched {
    link: Scheduled,
    next: Option<Next>,
    /// The next run is due, and waits for what another one uses.
    waits: bool,
    /// Why it was not given a lease, and when it asks again.
    not_leased: Option<(String, Timestamp)>,
    /// When the run that was started last was due.
    started: Option<Timestamp>,
    /// When the run was due that had no lease last.
    asked_for: Option<Timestamp>,
    /// The run that was started last.
    under_way: Option<Next>,
    /// When the run was due that was to confirm a failed one last.
    confirms: Option<Timestamp>,
}

/// The run that comes next.
#[derive(Clone, Copy, Debug)]
struct Next {
    due: Due,
    /// Whether a window is open for it.
    has_window: bool,
    /// When it can start at the latest.
    last_start: Timestamp,
}

impl Next {
    fn of(link: &Scheduled, due: Due) -> Self {
        let has_window = !link.loads || link.timing.opening(due.start, due.end).is_some();
        Self { due, has_window, last_start: link.last_start(due) }
    }
}

impl Watched {
    /// That whose runs until `since` have been seen to.
    fn new(link: Scheduled, since: Timestamp) -> Self {
        let mut watched = Self {
            link,
            next: None,
            waits: false,
            not_leased: None,
            started: None,
            asked_for: None,
            under_way: None,
            confirms: None,
        };
        watched.plan(since, |_| true);
        watched
    }

    /// Whether its run that waits asks for its lease later than `now`.
    fn asks_later(&self, now: Timestamp) -> bool {
        self.not_leased.as_ref().is_some_and(|(_, again)| now < *again)
    }

    /// Plans the first run from `from` on that `is_new`.
    fn plan(&mut self, from: Timestamp, is_new: impl Fn(&Due) -> bool) {
        let link = &self.link;
        let mut due = link.runs(from, Timestamp::MAX).map(|(due, _)| due);
        self.next = due.find(is_new).map(|due| Next::of(link, due));
        (self.waits, self.not_leased) = (false, None);
    }
}

impl Schedule {
    /// That of `links`, whose runs until `since` have been seen to.
    #[must_use]
    pub fn new(links: Vec<Scheduled>, since: Timestamp) -> Self {
        let links = links.into_iter().map(|link| Watched::new(link, since)).collect();
        Self { links, held: BTreeMap::new(), asked: since, conditions: Conditions::default() }
    }

    /// The same of `links` from `now` on, in the place of `before`: what runs goes on and uses what
    /// it did, and what waits goes on waiting.
    #[must_use]
    pub fn succeed(before: &Self, links: Vec<Scheduled>, now: Timestamp) -> Self {
        let succeed = |link: Scheduled| {
            let old = before.links.iter().find(|old| old.link.name == link.name);
            let waiting = old.filter(|old| old.waits).and_then(|old| old.next);
            let started = old.and_then(|old| old.started);
            let under_way = old.and_then(|old| old.under_way);
            let confirms = old.and_then(|old| old.confirms);
            let since = waiting.map_or(now, |next| next.due.start);
            let watched = Watched::new(link, since);
            Watched { waits: waiting.is_some(), started, under_way, confirms, ..watched }
        };
        let links = links.into_iter().map(succeed).collect();
        let (held, conditions) = (before.held.clone(), before.conditions.clone());
        Self { links, held, asked: now, conditions }
    }

    /// Things are so from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// How things are, as they were said last.
    #[must_use]
    pub const fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The blackouts of each link are those that `of` says, from now on.
    pub fn set_blackouts(&mut self, of: impl Fn(&Scheduled) -> Blackouts) {
        for Watched { link, .. } in &mut self.links {
            link.permit.blackouts = of(link);
        }
    }

    /// Why the load of the run of the link called `name` has to end at `now`, if it has to.
    #[must_use]
    pub fn ends_load(&self, name: &str, now: Timestamp) -> Option<Denied> {
        let link = &self.links.iter().find(|watched| watched.link.name == name)?.link;
        let soon = now.checked_add(SECOND).ok()?;
        let permit = Permit { lacks_change: false, needs_clock: false, ..link.permit.clone() };
        permit.denied_now(name, now, soon, &self.conditions).filter(|_| link.loads)
    }

    /// The runs that are due and wait.
    pub fn waiting(&self) -> impl Iterator<Item = (usize, Due)> {
        let waiting = self.links.iter().enumerate().filter(|(_, watched)| watched.waits);
        waiting.filter_map(|(place, watched)| Some((place, watched.next?.due)))
    }

    /// When the run of the link at `place` that starts at `now` has to be over; `None` where it may
    /// take as long as it does.
    #[must_use]
    pub fn closes(&self, place: usize, now: Timestamp) -> Option<Timestamp> {
        let link = &self.links.get(place)?.link;
        let opening = link.timing.opening(now, now).filter(|_| link.loads)?;
        let blackout = link.permit.blackouts.next(now);
        Some(blackout.map_or(opening.until, |from| opening.until.min(from)))
    }

    /// The link at `place`.
    #[must_use]
    pub fn link(&self, place: usize) -> Option<&Scheduled> {
        self.links.get(place).map(|watched| &watched.link)
    }

    /// What is to be done at `now`; `None` where nothing is, until [`Self::deadline`].
    pub fn poll(&mut self, now: Timestamp) -> Option<Step> {
        if LATE_MAX < self.asked.duration_since(now) {
            // The clock was ahead, and was put right: what was planned by it is planned anew.
            for watched in &mut self.links {
                let started = watched.started;
                watched.plan(now, |due| Some(due.start) != started);
            }
        }
        self.asked = now;
        for place in 0..self.links.len() {
            let Some(next) = self.links[place].next.filter(|next| next.due.start <= now) else {
                continue;
            };
            let due = next.due;
            let step = match self.missed(place, next, now) {
                None if self.user(place).is_some() => {
                    self.links[place].waits = true;
                    continue;
                }
                None if self.links[place].asks_later(now) => continue,
                None => {
                    let watched = &mut self.links[place];
                    (watched.started, watched.under_way) = (Some(due.start), Some(next));
                    self.held.insert(watched.link.name.clone(), watched.link.resources.clone());
                    Step::Start(place, due)
                }
                Some(why) => Step::Missed(place, due, why),
            };
            self.links[place].plan(due.start, |next| due.start < next.start);
            return Some(step);
        }
        None
    }

    /// Nothing that waits is started any more.
    pub fn give_up(&mut self) {
        for watched in &mut self.links {
            if watched.waits {
                (watched.next, watched.waits) = (None, false);
            }
        }
    }

    /// The run of the link called `name` is over.
    pub fn handle_over(&mut self, name: &str) {
        self.held.remove(name);
    }

    /// The run `due` of the link called `name`, which was started, has no lease, for this reason:
    /// others outside this program use what it would load, or nobody can say. It waits, and asks
    /// again a moment later. True where it is the first time that it asked.
    pub fn handle_not_leased(&mut self, name: &str, due: Due, why: String, now: Timestamp) -> bool {
        self.held.remove(name);
        let mut links = self.links.iter_mut();
        let Some(watched) = links.find(|watched| watched.link.name == name) else { return true };
        let is_first = watched.asked_for != Some(due.start);
        let Some(next) = watched.under_way.filter(|next| next.due == due) else { return is_first };
        (watched.next, watched.waits) = (Some(next), true);
        watched.not_leased = Some((why, now.checked_add(ASK_AGAIN).unwrap_or(Timestamp::MAX)));
        watched.asked_for = Some(due.start);
        is_first
    }

    /// The run of the link called `name` that was started last is over, and has failed: it is run
    /// once more, now, if all of that fits where its runs may load the link. When that is over at
    /// the latest; `None` where it is not run, or was to confirm a failure itself.
    pub fn confirm(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let mut links = self.links.iter_mut();
        let watched = links.find(|watched| watched.link.name == name)?;
        let link = &watched.link;
        let is_due = watched.next.is_some_and(|next| next.due.start <= now);
        if !link.loads || is_due || watched.started.is_none() || watched.started == watched.confirms
        {
            return None;
        }
        let takes = SignedDuration::from_nanos_i128(link.takes.nanos().into());
        let due = Due { start: now, end: now.checked_add(takes).ok()? };
        let next = Next::of(link, due);
        let denied = link.permit.denied_now(name, due.start, due.end, &self.conditions);
        if !next.has_window || next.last_start < now || denied.is_some() {
            return None;
        }
        (watched.next, watched.confirms) = (Some(next), Some(now));
        next.last_start.checked_add(takes).ok()
    }

    /// When there is something to do at the latest, as long as no run ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let deadlines = self.links.iter().filter_map(|watched| {
            let next = watched.next?;
            Some(match watched.waits {
                true => {
                    let over = next.last_start.checked_add(SECOND).unwrap_or(Timestamp::MAX);
                    watched.not_leased.as_ref().map_or(over, |(_, again)| over.min(*again))
                }
                false => next.due.start,
            })
        });
        deadlines.min()
    }

    /// Why the `next` run of the link at `place` cannot start any more at `now`.
    fn missed(&self, place: usize, next: Next, now: Timestamp) -> Option<Missed> {
        let watched = &self.links[place];
        let is_late = LATE_MAX < now.duration_since(next.due.start);
        let takes = next.due.end.duration_since(next.due.start);
        let start = now.max(next.due.start);
        let end = start.checked_add(takes).unwrap_or(Timestamp::MAX);
        let (link, conditions) = (&watched.link, &self.conditions);
        let denied = || link.permit.denied_now(&link.name, start, end, conditions);
        match self.user(place) {
            _ if !next.has_window => Some(Missed::NoWindow),
            _ if self.held.contains_key(&watched.link.name) => Some(Missed::Running),
            _ if is_late && !watched.waits => Some(Missed::Late),
            Some(resource) if next.last_start < now => Some(Missed::Busy(resource)),
            None if next.last_start < now => Some(match &watched.not_leased {
                Some((why, _)) => Missed::NotLeased(why.clone()),
                None => Missed::Late,
            }),
            Some(_) => None,
            None => denied().filter(|_| link.loads).map(Missed::Denied),
        }
    }

    /// The link whose run uses what the one at `place` needs.
    #[must_use]
    pub fn holder(&self, place: usize) -> Option<&str> {
        let wanted = &self.links.get(place)?.link.resources;
        let mut held = self.held.iter();
        held.find(|(_, used)| !used.is_disjoint(wanted)).map(|(name, _)| name.as_str())
    }

    /// What of the link at `place` another run uses.
    fn user(&self, place: usize) -> Option<Resource> {
        let wanted = &self.links[place].link.resources;
        self.held.values().find_map(|used| used.intersection(wanted).next().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    pub(super) fn link(name: &str, rule: &str, windows: &[&str], minutes: u64) -> Scheduled {
        Scheduled {
            name: name.to_owned(),
            timing: Timing {
                rule: rule.parse().expect("a rule"),
                zone: TimeZone::get("Europe/Berlin").expect("a zone"),
                jitter: SignedDuration::ZERO,
                windows: windows.iter().map(|it| it.parse().expect("a window")).collect(),
            },
            takes: Span::from_secs(60 * minutes),
            loads: !windows.is_empty(),
            resources: BTreeSet::new(),
            permit: Permit::default(),
        }
    }

    pub(super) fn sharing(mut link: Scheduled, resource: &str) -> Scheduled {
        link.resources.insert(Resource::Shared(resource.to_owned()));
        link
    }

    pub(super) fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// What happens until `until`, where each run takes as long as it may.
    fn story(schedule: &mut Schedule, from: &str, until: &str) -> Vec<String> {
        let (mut now, until) = (at(from), at(until));
        let (mut running, mut story) = (BTreeSet::new(), Vec::new());
        loop {
            while let Some(step) = schedule.poll(now) {
                let name = |place| schedule.link(place).expect("a link").name.clone();
                story.push(match &step {
                    Step::Start(place, due) => {
                        running.insert((now.checked_add(due.end - due.start).unwrap(), *place));
                        format!("{now} {}", name(*place))
                    }
                    Step::Missed(place, _, why) => format!("{now} {}: {why}", name(*place)),
                });
            }
            let over = running.first().map(|(end, _)| *end);
            let Some(next) = [over, schedule.deadline()].into_iter().flatten().min() else { break };
            if until <= next {
                break;
            }
            now = next.max(now);
            while let Some((_, place)) = running.first().filter(|(end, _)| *end <= now).copied() {
                running.pop_first();
                let name = schedule.link(place).expect("a link").name.clone();
                schedule.handle_over(&name);
            }
        }
        story
    }

    /// A run that others keep from its lease asks again every 5 s, until it could not be over
    /// in its window; the next one is not touched by that.
    #[test]
    fn a_run_without_a_lease_waits_and_is_missed_once_its_window_is_too_short() {
        let nightly = link("a", "0 2 * * *", &["02:00-02:30"], 20);
        let mut schedule = Schedule::new(vec![nightly], at("2026-11-27T00:00:00Z"));
        let mut asked = Vec::new();
        let mut now = at("2026-11-27T01:00:00Z");
        let until = at("2026-11-27T01:10:01Z");
        let missed = loop {
            match schedule.poll(now) {
                Some(Step::Start(_, due)) => {
                    let first = schedule.handle_not_leased("a", due, "bob loads it".into(), now);
                    assert_eq!(first, asked.is_empty(), "said once");
                    asked.push(now);
                }
                Some(Step::Missed(_, _, why)) => break why.to_string(),
                None => now = schedule.deadline().expect("it waits"),
            }
            assert!(now <= until, "{now}");
        };
        assert_eq!(missed, "it had no lease until the window closed: bob loads it");
        assert_eq!((asked.len(), now), (121, until), "each 5 s of ten minutes");
        let next = schedule.deadline();
        assert_eq!(next, Some(at("2026-11-28T01:00:00Z")), "the next night");
    }

    #[test]
    fn a_run_that_gets_its_lease_at_last_is_started_and_holds_what_it_shares() {
        let links = ["a", "b"]
            .map(|name| sharing(link(name, "0 2 * * *", &["02:00-03:00"], 10), "fibre-7"));
        let mut schedule = Schedule::new(links.to_vec(), at("2026-11-27T00:00:00Z"));
        let now = at("2026-11-27T01:00:00Z");
        let Some(Step::Start(0, due)) = schedule.poll(now) else { panic!("a starts") };
        assert_eq!(schedule.poll(now), None, "b waits for it");
        schedule.handle_not_leased("a", due, "the history is out of reach".into(), now);
        // What a shares is free meanwhile.
        assert!(matches!(schedule.poll(now), Some(Step::Start(1, _))));
        let later = at("2026-11-27T01:00:05Z");
        assert_eq!(schedule.poll(later), None, "now b has it");
        schedule.handle_over("b");
        assert_eq!(schedule.poll(later), Some(Step::Start(0, due)));
        assert_eq!(schedule.waiting().count(), 0);
    }

    #[test]
    fn a_failed_run_is_confirmed_once_if_its_window_has_room_for_that() {
        let nightly = link("a", "0 2 * * *", &["02:00-03:00"], 25);
        let mut schedule = Schedule::new(vec![nightly], at("2026-11-27T00:00:00Z"));
        let start = at("2026-11-27T01:00:00Z");
        assert!(matches!(schedule.poll(start), Some(Step::Start(0, _))));
        schedule.handle_over("a");
        let over = at("2026-11-27T01:20:00Z");
        assert_eq!(
            schedule.confirm("a", over),
            Some(at("2026-11-27T02:00:00Z")),
            "the window's end"
        );
        // Others hold what it would load: it waits, as any run does.
        let Some(Step::Start(0, due)) = schedule.poll(over) else { panic!("it is run again") };
        schedule.handle_not_leased("a", due, "bob loads it".to_owned(), over);
        let later = at("2026-11-27T01:20:05Z");
        assert_eq!(schedule.poll(later), Some(Step::Start(0, due)));
        schedule.handle_over("a");
        assert_eq!(schedule.confirm("a", later), None, "once");
        assert_eq!(schedule.deadline(), Some(at("2026-11-28T01:00:00Z")));
        let next = at("2026-11-28T01:00:00Z");
        assert!(matches!(schedule.poll(next), Some(Step::Start(0, _))));
        schedule.handle_over("a");
        assert_eq!(schedule.confirm("a", at("2026-11-28T01:40:00Z")), None, "20 minutes are left");
        assert_eq!(schedule.deadline(), Some(at("2026-11-29T01:00:00Z")));
    }

    /// Plans were read again meanwhile, and no run of the new rule is due at that time.
    #[test]
    fn a_run_without_a_lease_is_no_matter_of_the_rule() {
        let mut schedule =
            Schedule::new(vec![link("a", "0 2 * * *", &[], 5)], at("2026-11-27T00:00:00Z"));
        let now = at("2026-11-27T01:00:00Z");
        let Some(Step::Start(0, due)) = schedule.poll(now) else { panic!("a starts") };
        let mut schedule = Schedule::succeed(&schedule, vec![link("a", "30 4 * * *", &[], 5)], now);
        assert!(schedule.handle_not_leased("a", due, "bob loads it".to_owned(), now));
        assert_eq!(schedule.waiting().map(|(_, due)| due).collect::<Vec<_>>(), [due]);
    }

    #[test]
    fn a_run_starts_in_its_window_or_is_missed() {
        let nightly = link("a", "0 2 * * *", &["mon-fri 01:00-05:00"], 20);
        let too_long = link("b", "45 4 * * *", &["01:00-05:00"], 20);
        let probes = link("c", "0 12 * * *", &[], 5);
        // Friday to Sunday.
        let mut schedule =
            Schedule::new(vec![nightly, too_long, probes], at("2026-11-27T00:00:00Z"));
        let expected = [
            "2026-11-27T01:00:00Z a",
            "2026-11-27T03:45:00Z b: no window is open for as long as the run may take",
            "2026-11-27T11:00:00Z c",
            "2026-11-28T01:00:00Z a: no window is open for as long as the run may take",
            "2026-11-28T03:45:00Z b: no window is open for as long as the run may take",
            "2026-11-28T11:00:00Z c",
        ];
        let story = story(&mut schedule, "2026-11-27T00:00:00Z", "2026-11-29T00:00:00Z");
        assert_eq!(story, expected);
    }

    /// Nothing that was due at the weekend starts on Monday, and each run is on record as missed.
    #[test]
    fn a_weekend_without_power_is_never_made_up_for() {
        let loads = link("a", "0 2 * * *", &["00:00-24:00"], 20);
        let mut schedule = Schedule::new(vec![loads], at("2026-11-27T12:00:00Z"));
        let story = story(&mut schedule, "2026-11-30T10:00:00Z", "2026-11-30T23:59:00Z");
        let late = "2026-11-30T10:00:00Z a: linkqual watch was not running then, or its host slept";
        assert_eq!(story, [late; 3]);
    }

    #[test]
    fn what_is_shared_is_used_by_one_at_a_time_and_who_waits_too_long_is_missed() {
        let links = ["a", "b", "c"].map(|name| {
            let link = link(name, "0 2 * * *", &["02:00-03:00"], 25);
            sharing(link, "fibre-7")
        });
        let mut schedule = Schedule::new(links.to_vec(), at("2026-11-27T00:00:00Z"));
        let expected = [
            "2026-11-27T01:00:00Z a",
            "2026-11-27T01:25:00Z b",
            "2026-11-27T01:35:01Z c: fibre-7 was in use until the window closed",
        ];
        let story = story(&mut schedule, "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z");
        assert_eq!(story, expected);
    }

    #[test]
    fn a_run_that_is_not_over_keeps_the_next_from_starting() {
        let mut long = link("a", "0 * * * *", &[], 90);
        long.loads = false;
        let mut schedule = Schedule::new(vec![long], at("2026-11-27T00:30:00Z"));
        let story = story(&mut schedule, "2026-11-27T00:30:00Z", "2026-11-27T04:30:00Z");
        let expected = [
            "2026-11-27T01:00:00Z a",
            "2026-11-27T02:00:00Z a: the run before it was not over",
            "2026-11-27T03:00:00Z a",
            "2026-11-27T04:00:00Z a: the run before it was not over",
        ];
        assert_eq!(story, expected);
    }

    #[test]
    fn the_jitter_is_the_same_whenever_it_is_asked_for_and_spreads_links() {
        let starts: BTreeSet<i64> = (0..100)
            .map(|number| {
                let mut link = link(&format!("link-{number}"), "0 2 * * *", &[], 5);
                link.timing.jitter = SignedDuration::from_mins(10);
                let due = link.due(at("2026-11-27T00:00:00Z")).expect("due");
                assert_eq!(link.due(at("2026-11-27T00:30:00Z")), Some(due));
                let late = due.start.duration_since(at("2026-11-27T01:00:00Z")).as_secs();
                assert!((0..=600).contains(&late), "{late}");
                late
            })
            .collect();
        assert!(80 < starts.len(), "{starts:?}");
    }

    /// The clock is set back by an hour, then ahead by two: each run starts once at most.
    #[test]
    fn a_clock_that_is_set_starts_no_run_twice() {
        let hourly = link("a", "0 * * * *", &[], 5);
        let mut schedule = Schedule::new(vec![hourly], at("2026-11-27T00:30:00Z"));
        let first = Due { start: at("2026-11-27T01:00:00Z"), end: at("2026-11-27T01:05:00Z") };
        assert_eq!(schedule.poll(at("2026-11-27T01:00:00Z")), Some(Step::Start(0, first)));
        schedule.handle_over("a");
        assert_eq!(schedule.poll(at("2026-11-27T00:10:00Z")), None);
        assert_eq!(schedule.poll(at("2026-11-27T01:00:00Z")), None, "it ran already");
        let missed = schedule.poll(at("2026-11-27T02:10:00Z"));
        assert!(matches!(missed, Some(Step::Missed(0, _, Missed::Late))), "{missed:?}");
    }

    /// A clock that was ahead for a moment, by years, does not silence the schedule.
    #[test]
    fn a_clock_that_is_put_right_plans_anew() {
        let mut schedule =
            Schedule::new(vec![link("a", "0 2 * * *", &[], 5)], at("2026-11-27T00:00:00Z"));
        let _missed = std::iter::from_fn(|| schedule.poll(at("2030-01-01T00:00:00Z"))).count();
        assert!(schedule.deadline().is_some_and(|next| at("2030-01-01T00:00:00Z") < next));
        assert_eq!(schedule.poll(at("2026-11-27T00:30:00Z")), None);
        assert_eq!(schedule.deadline(), Some(at("2026-11-27T01:00:00Z")));
    }

    /// A host that slept while another run had the circuit does not make up for its own.
    #[test]
    fn a_run_that_is_late_is_missed_though_its_resource_is_busy() {
        let [long, late] = [("a", "0 2 * * *"), ("b", "30 2 * * *")]
            .map(|(name, rule)| sharing(link(name, rule, &["00:00-24:00"], 60), "fibre-7"));
        let mut schedule = Schedule::new(vec![long, late], at("2026-11-27T00:00:00Z"));
        assert!(matches!(schedule.poll(at("2026-11-27T01:00:00Z")), Some(Step::Start(0, _))));
        let missed = schedule.poll(at("2026-11-27T02:30:00Z"));
        assert!(matches!(missed, Some(Step::Missed(1, _, Missed::Late))), "{missed:?}");
    }

    /// New plans forget neither what runs, though it has another name now, nor what waits.
    #[test]
    fn what_runs_and_what_waits_outlives_new_plans() {
        let links = |first: &str| {
            [first, "b"].map(|it| sharing(link(it, "0 2 * * *", &["02:00-05:00"], 20), "fibre-7"))
        };
        let mut schedule = Schedule::new(links("a").to_vec(), at("2026-11-27T00:00:00Z"));
        assert!(matches!(schedule.poll(at("2026-11-27T01:00:00Z")), Some(Step::Start(0, _))));
        assert_eq!(schedule.poll(at("2026-11-27T01:00:00Z")), None, "b waits");
        let now = at("2026-11-27T01:10:00Z");
        let mut schedule = Schedule::succeed(&schedule, links("c").to_vec(), now);
        assert_eq!(schedule.poll(now), None, "a has the fibre still");
        assert_eq!(schedule.waiting().count(), 1);
        schedule.handle_over("a");
        let step = schedule.poll(now);
        assert!(matches!(step, Some(Step::Start(1, _))), "{step:?}");
        let closes = schedule.closes(1, now);
        assert_eq!(closes, Some(at("2026-11-27T04:00:00Z")));
    }

    fn blacked_out(mut link: Scheduled, from: &str, to: &str) -> Scheduled {
        let (scope, reason) = (crate::plan::Scope::default(), "freeze".to_owned());
        let blackout = crate::plan::Blackout { from: at(from), to: at(to), reason, scope };
        let known_until = at("2027-11-27T00:00:00Z");
        link.permit.blackouts =
            Blackouts::of(&[blackout], &crate::plan::Link::default(), known_until);
        link
    }

    /// What is only probed goes on; what waits is missed once it could only end in the blackout.
    #[test]
    fn no_load_touches_a_blackout() {
        let during = |link| blacked_out(link, "2026-11-27T01:30:00Z", "2026-11-28T00:30:00Z");
        let first = sharing(link("a", "0 2 * * *", &["00:00-24:00"], 20), "fibre-7");
        let second = during(sharing(link("b", "0 2 * * *", &["00:00-24:00"], 15), "fibre-7"));
        let probes = during(link("c", "0 12 * * *", &[], 5));
        let links = vec![first, second, probes];
        let listed: Vec<_> = links[1]
            .runs(at("2026-11-27T00:00:00Z"), at("2026-11-29T00:00:00Z"))
            .map(|(_, missed)| missed)
            .collect();
        assert_eq!(listed, [None, None], "of itself it fits");
        let mut schedule = Schedule::new(links, at("2026-11-27T00:00:00Z"));
        let story = story(&mut schedule, "2026-11-27T00:00:00Z", "2026-11-28T02:00:00Z");
        let expected = [
            "2026-11-27T01:00:00Z a",
            "2026-11-27T01:20:00Z b: blackout until 2026-11-28 00:30 UTC: freeze",
            "2026-11-27T11:00:00Z c",
            "2026-11-28T01:00:00Z a",
            "2026-11-28T01:20:00Z b",
        ];
        assert_eq!(story, expected);
    }

    #[test]
    fn a_run_ends_before_a_blackout_begins_and_at_once_in_one_that_is_new() {
        let link = link("a", "0 2 * * *", &["02:00-05:00"], 20);
        let known = blacked_out(link, "2026-11-27T01:20:00Z", "2026-11-27T02:00:00Z");
        let mut schedule = Schedule::new(vec![known.clone()], at("2026-11-27T00:00:00Z"));
        let now = at("2026-11-27T01:00:00Z");
        assert!(matches!(schedule.poll(now), Some(Step::Start(0, _))));
        assert_eq!(schedule.closes(0, now), Some(at("2026-11-27T01:20:00Z")));
        assert_eq!(schedule.ends_load("a", now), None);
        let new = blacked_out(known, "2026-11-27T01:05:00Z", "2026-11-27T02:00:00Z");
        schedule.set_blackouts(|_| new.permit.blackouts.clone());
        assert_eq!(schedule.ends_load("a", at("2026-11-27T01:04:58Z")), None);
        let ends = schedule.ends_load("a", at("2026-11-27T01:04:59.5Z"));
        assert!(matches!(ends, Some(Denied::Blackout(_))), "{ends:?}");
    }

    #[test]
    fn no_load_starts_without_its_change_or_on_a_clock_that_nobody_keeps() {
        let mut changeless = link("a", "0 2 * * *", &["00:00-24:00"], 20);
        changeless.permit.lacks_change = true;
        let mut clocked = link("b", "0 3 * * *", &["00:00-24:00"], 20);
        clocked.permit.needs_clock = true;
        let mut probes = link("c", "0 4 * * *", &[], 20);
        probes.permit = Permit { lacks_change: true, needs_clock: true, ..Permit::default() };
        let lax = link("d", "0 5 * * *", &["00:00-24:00"], 20);
        let runs = changeless.runs(at("2026-11-27T00:00:00Z"), at("2026-11-28T00:00:00Z"));
        let missed: Vec<_> = runs.map(|(_, missed)| missed).collect();
        assert_eq!(missed, [Some(Missed::Denied(Denied::NoChange))]);
        let links = vec![changeless, clocked, probes, lax];
        let mut schedule = Schedule::new(links, at("2026-11-27T00:00:00Z"));
        schedule.set_conditions(Conditions { is_unsynchronised: true, ..Conditions::default() });
        let first = story(&mut schedule, "2026-11-27T00:00:00Z", "2026-11-27T12:00:00Z");
        assert!(
            first[0].starts_with("2026-11-27T01:00:00Z a: the link needs a change"),
            "{first:?}"
        );
        assert!(first[1].contains("b: this host's clock is not synchronised"), "{first:?}");
        assert_eq!(first[2..], ["2026-11-27T03:00:00Z c", "2026-11-27T04:00:00Z d"]);
        schedule.set_conditions(Conditions::default());
        let then = story(&mut schedule, "2026-11-27T12:00:00Z", "2026-11-28T02:30:00Z");
        assert_eq!(then[1..], ["2026-11-28T02:00:00Z b"]);
    }

    /// A stop outlives new plans, and what was due meanwhile is not made up for.
    #[test]
    fn a_stop_holds_until_it_is_lifted() {
        let links = || {
            let loads = ["a", "b"].map(|name| link(name, "0 * * * *", &["00:00-24:00"], 5));
            let probes = link("c", "0 * * * *", &[], 5);
            loads.into_iter().chain([probes]).collect::<Vec<_>>()
        };
        let stop = |link: Option<&str>| Conditions {
            stops: vec![Stop { link: link.map(str::to_owned), why: "stopped by alice".into() }],
            ..Conditions::default()
        };
        let mut schedule = Schedule::new(links(), at("2026-11-27T00:30:00Z"));
        schedule.set_conditions(stop(Some("a")));
        assert!(matches!(
            schedule.ends_load("a", at("2026-11-27T00:30:00Z")),
            Some(Denied::Stopped(_))
        ));
        assert_eq!(schedule.ends_load("b", at("2026-11-27T00:30:00Z")), None);
        let shown = story(&mut schedule, "2026-11-27T00:30:00Z", "2026-11-27T01:30:00Z");
        let expected = [
            "2026-11-27T01:00:00Z a: stopped by alice",
            "2026-11-27T01:00:00Z b",
            "2026-11-27T01:00:00Z c",
        ];
        assert_eq!(shown, expected);
        schedule.set_conditions(stop(None));
        let mut schedule = Schedule::succeed(&schedule, links(), at("2026-11-27T01:30:00Z"));
        let shown = story(&mut schedule, "2026-11-27T01:30:00Z", "2026-11-27T02:30:00Z");
        let expected = [
            "2026-11-27T02:00:00Z a: stopped by alice",
            "2026-11-27T02:00:00Z b: stopped by alice",
            "2026-11-27T02:00:00Z c",
        ];
        assert_eq!(shown, expected);
        assert_eq!(schedule.ends_load("c", at("2026-11-27T02:00:00Z")), None, "it loads nothing");
        schedule.set_conditions(Conditions::default());
        let shown = story(&mut schedule, "2026-11-27T02:30:00Z", "2026-11-27T03:30:00Z");
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown.iter().all(|line| !line.contains("stopped")), "{shown:?}");
    }

    /// Every due run is started or missed, once, and no two at once use the same thing. Of a
    /// thousand links where the code is optimised.
    #[test]
    fn a_month_of_many_links_has_no_overlap_and_no_gap() {
        let count = if cfg!(debug_assertions) { 50 } else { 1_000 };
        let circuits = count / 5;
        let links: Vec<Scheduled> = (0..count)
            .map(|number| {
                let rule = format!("{} {} * * *", number % 60, number % 5);
                let mut link = link(&format!("l{number}"), &rule, &["00:00-06:00"], 10);
                link.timing.jitter = SignedDuration::from_mins(7);
                sharing(link, &format!("circuit-{}", number % circuits))
            })
            .collect();
        let (from, until) = (at("2026-03-01T12:00:00Z"), at("2026-04-01T12:00:00Z"));
        let due: usize = links.iter().map(|link| link.runs(from, until).count()).sum();
        let mut schedule = Schedule::new(links, from);
        let story = story(&mut schedule, &from.to_string(), &until.to_string());
        assert_eq!(story.len(), due, "each once");
        let mut ends = BTreeMap::new();
        let mut started = 0;
        for line in story.iter().filter(|line| !line.contains(": ")) {
            let (time, name) = line.split_once(' ').expect("a time, a name");
            let number: usize = name.trim_start_matches('l').parse().expect("a number");
            let start = at(time);
            let end = start.checked_add(SignedDuration::from_mins(10)).expect("in range");
            let before = ends.insert(number % circuits, end);
            assert!(before.is_none_or(|before| before <= start), "{line}");
            started += 1;
        }
        assert!(due * 9 / 10 < started, "{started} of {due}");
    }
}
