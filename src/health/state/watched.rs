//! All links that are watched together: what one shows is evidence for the others.

use super::bounds::ProbeBounds;
use super::cause::Around;
use super::link::{Contact, Known};
use super::load::LoadResult;
use super::words::{Cause, Change, Changed, Current, Event, State, Subject};
use super::{DECIDE_S, DOWN_S};
use crate::health::{Maintained, Second};
use std::collections::{BTreeMap, VecDeque};

/// A link that is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watched {
    /// Its name, which no other has.
    pub name: String,
    /// Its far host: the same text for every link that leads to it, whatever its address is.
    pub host: String,
    /// Its far site.
    pub site: String,
    /// What of its requirements probes speak to.
    pub bounds: ProbeBounds,
    /// Whether it is a backup of which nothing shows that its probes cross it.
    pub is_unproven: bool,
}

/// The states of all links.
#[derive(Clone, Debug)]
pub struct Health {
    links: Vec<Link>,
    /// Whether each far host answers at its management address, and when it was asked.
    management: BTreeMap<String, (i64, bool)>,
    events: VecDeque<Event>,
}

#[derive(Clone, Debug)]
struct Link {
    watched: Watched,
    known: Known,
    maintenance: Option<Maintained>,
    states: [Current; 3],
}

impl Health {
    /// The states of `links`, of which nothing is known at `now_s`.
    #[must_use]
    pub fn new(links: Vec<Watched>, now_s: i64) -> Self {
        let link = |watched: Watched| Link::new(watched, now_s);
        let links = links.into_iter().map(link).collect();
        Self { links, management: BTreeMap::new(), events: VecDeque::new() }
    }

    /// Goes on from the states `before` this program was started again.
    pub fn restore(&mut self, before: &[Current]) {
        for current in before {
            let Some(link) = self.links.iter_mut().find(|it| it.watched.name == current.link)
            else {
                continue;
            };
            link.known.restore(current);
            link.states[current.subject.place()] = current.clone();
        }
    }

    /// Takes `links` in the place of those that were watched; what is known of those that stay is
    /// kept, unless they are asked for something else now.
    #[must_use]
    pub fn succeed(self, links: Vec<Watched>, now_s: i64) -> Self {
        let Self { links: old, management, mut events } = self;
        let mut old: BTreeMap<String, Link> =
            old.into_iter().map(|link| (link.watched.name.clone(), link)).collect();
        let links = links.into_iter().map(|watched| match old.remove(&watched.name) {
            Some(link) => link.watched_as(watched, now_s),
            None => Link::new(watched, now_s),
        });
        let links = links.collect();
        for mut gone in old.into_values() {
            let stopped = (State::NotRunning, Cause::Stopped, "it is not watched".to_owned());
            for subject in Subject::ALL {
                events.extend(gone.enter(subject, stopped.clone(), now_s, None));
            }
        }
        Self { links, management, events }
    }

    /// The place of the link called `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.links.iter().position(|link| link.watched.name == name)
    }

    /// A second of probing of the link at `place`; those of a link come in their order.
    pub fn handle_second(&mut self, place: usize, second: &Second) {
        self.with(place, |link| link.known.handle_second(second));
    }

    /// How the agent of the link at `place` was reached at `at_s`.
    pub fn handle_contact(&mut self, place: usize, at_s: i64, contact: Contact) {
        self.with(place, |link| link.known.handle_contact(at_s, contact));
    }

    /// A load run of the link at `place` is over.
    pub fn handle_load(&mut self, place: usize, load: LoadResult) {
        self.with(place, |link| link.known.handle_load(load));
    }

    /// Something of the link at `place` changed at `at_s`.
    pub fn handle_change(&mut self, place: usize, what: Changed, at_s: i64) {
        self.with(place, |link| link.known.note(what, at_s));
    }

    /// Whether `host` answered at its management address, asked at `at_s`.
    pub fn handle_management(&mut self, host: &str, at_s: i64, answers: bool) {
        self.management.insert(host.to_owned(), (at_s, answers));
    }

    /// What of maintenance the link at `place` is in from now on.
    pub fn handle_maintenance(&mut self, place: usize, maintained: Option<Maintained>) {
        self.with(place, |link| link.maintenance = maintained);
    }

    fn with(&mut self, place: usize, act: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(place) {
            act(link);
        }
    }

    /// Judges every link at `now_s`: to be called once in each second.
    pub fn handle_time(&mut self, now_s: i64) {
        for place in 0..self.links.len() {
            self.decide(place, now_s);
        }
        for link in &mut self.links {
            link.known.handle_time(now_s);
            let events = link.judge(now_s);
            self.events.extend(events);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The links whose load failed and may be confirmed by another run, until when, at most once
    /// each.
    pub fn unconfirmed(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        let load = |link: &Link| link.known.unconfirmed()?.confirm_until_s;
        self.links.iter().enumerate().filter_map(move |(place, it)| Some((place, load(it)?)))
    }

    /// The far hosts of links that do not answer, which are to be asked at their management
    /// addresses.
    pub fn silent_hosts(&self) -> impl Iterator<Item = &str> {
        let silent = self.links.iter().filter(|link| link.known.down.is_some());
        silent.map(|link| link.watched.host.as_str())
    }

    /// The states of all links.
    pub fn states(&self) -> impl Iterator<Item = &Current> {
        self.links.iter().flat_map(|link| &link.states)
    }

    /// Decides what an outage of the link at `place` is of, as soon as something shows it and after
    /// a few seconds at the latest. What is decided changes where more is known later.
    fn decide(&mut self, place: usize, now_s: i64) {
        let Some(down) = self.links[place].known.down.as_ref() else { return };
        let since_s = down.since_s;
        // What was decided before this program was started again stands until there is evidence.
        let is_new = now_s < self.links[place].known.watched_since_s + DECIDE_S;
        if is_new && down.cause.is_some() {
            return;
        }
        let around = self.around(place, since_s);
        if around.elsewhere.is_none() && down.cause.is_none() && now_s < since_s + DECIDE_S {
            return;
        }
        if let Some(down) = self.links[place].known.down.as_mut() {
            down.cause = Some(around.cause());
        }
    }

    fn around(&self, place: usize, since_s: i64) -> Around {
        let own = &self.links[place];
        let (mut around, is_same_host) =
            (Around::default(), |it: &Link| it.watched.host == own.watched.host);
        let others = self.links.iter().enumerate().filter(|(other, _)| *other != place);
        for (_, other) in others {
            let name = &other.watched.name;
            let answers = other.answers(since_s);
            match (is_same_host(other), answers, other.known.down.is_some()) {
                (true, true, _) => around.elsewhere = Some(format!("over {name}")),
                (true, false, true) => around.silent.push(format!("over {name}")),
                (false, true, _) if other.watched.site == own.watched.site => {
                    around.neighbour = Some(name.clone());
                }
                _ => {}
            }
        }
        match self.management.get(&own.watched.host) {
            Some((at_s, true)) if since_s + DOWN_S <= *at_s => {
                around.elsewhere = Some("at its management address".to_owned());
            }
            Some((at_s, false)) if since_s <= *at_s => {
                around.silent.push("at its management address".to_owned());
            }
            _ => {}
        }
        let others_differ = self.links.iter().any(|it| !is_same_host(it));
        let is_down = |link: &Link| link.known.down.is_some();
        around.all_silent = others_differ && self.links.iter().all(is_down);
        around
    }
}

impl Link {
    fn new(watched: Watched, now_s: i64) -> Self {
        let states = Subject::ALL.map(|subject| Current {
            link: watched.name.clone(),
            subject,
            state: State::NotRunning,
            cause: Cause::Starting,
            reason: "nothing has been measured yet".to_owned(),
            since_s: now_s,
        });
        let known = Known::new(&watched.bounds, now_s);
        Self { watched, known, maintenance: None, states }
    }

    fn watched_as(self, watched: Watched, now_s: i64) -> Self {
        if self.watched.bounds == watched.bounds {
            return Self { watched, ..self };
        }
        let mut link = Self::new(watched, now_s);
        for state in &self.states {
            link.known.restore(state);
        }
        Self { states: self.states, maintenance: self.maintenance, ..link }
    }

    /// Whether it answered when another had been silent for a while since `since_s`.
    fn answers(&self, since_s: i64) -> bool {
        let answered = self.known.answered_s.is_some_and(|last| since_s + DOWN_S <= last);
        answered && self.known.down.is_none()
    }

    fn judge(&mut self, now_s: i64) -> Vec<Event> {
        let first = self.known.first_change();
        let mut events = Vec::new();
        for subject in Subject::ALL {
            let Some((judged, since_s)) = self.judged(subject, now_s) else { continue };
            let first = first.filter(|_| matches!(judged.0, State::Warning | State::Fail));
            let event = self.enter(subject, judged, now_s, since_s);
            events.extend(event.map(|event| Event { first, ..event }));
        }
        if self.states.iter().all(|it| it.state == State::Pass) {
            self.known.forget_changes();
        }
        events
    }

    /// What `subject` is to be now; `None` while that is not decided.
    fn judged(&self, subject: Subject, now_s: i64) -> Option<(super::link::Judged, Option<i64>)> {
        if let Some(maintained) = &self.maintenance {
            let reason = maintained.reason.clone();
            return Some((
                (State::Maintenance, Cause::Maintenance, reason),
                Some(maintained.from_s),
            ));
        }
        let judged = self.known.judge(subject, now_s)?;
        let (state, ..) = judged.0;
        if self.watched.is_unproven && matches!(state, State::Pass | State::Warning) {
            let reason = "not proven on this path: name the device or the source address by which \
                          the probes of this backup leave";
            let judged = (State::Indeterminate, Cause::NotProven, reason.to_owned());
            return Some((judged, None));
        }
        Some(judged)
    }

    /// Goes to another state, or to the same for another cause.
    fn enter(
        &mut self,
        subject: Subject,
        (state, cause, reason): super::link::Judged,
        now_s: i64,
        since_s: Option<i64>,
    ) -> Option<Event> {
        let current = &mut self.states[subject.place()];
        if (current.state, current.cause) == (state, cause) {
            return None;
        }
        let from = current.state;
        let goes_on = from == state && current.cause.is_outage() && cause.is_outage();
        let since_s = if goes_on { current.since_s } else { since_s.unwrap_or(now_s) };
        *current = Current { state, cause, reason, since_s, ..current.clone() };
        Some(Event { at_s: now_s, from, now: current.clone(), first: None::<Change> })
    }
}
