//! Times in which nothing is loaded, whatever the plans of the links say.

use super::link::Link;
use jiff::Timestamp;
use std::fmt;

/// Which links something is about: all, where it names none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scope {
    /// Links, by their names.
    pub links: Vec<String>,
    /// Circuits.
    pub circuits: Vec<String>,
}

impl Scope {
    /// Whether it is about `link`.
    #[must_use]
    pub fn includes(&self, link: &Link) -> bool {
        let is_all = self.links.is_empty() && self.circuits.is_empty();
        let is_in = |names: &[String], name: &Option<String>| {
            name.as_ref().is_some_and(|name| names.contains(name))
        };
        is_all || is_in(&self.links, &link.name) || is_in(&self.circuits, &link.circuit)
    }
}

/// A time in which nothing is loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blackout {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// Why.
    pub reason: String,
    /// Of which links.
    pub scope: Scope,
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.to.strftime("%Y-%m-%d %H:%M UTC");
        write!(f, "blackout until {until}: {}", self.reason)
    }
}

/// The blackouts of one link, as far as they are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Blackouts {
    /// By their beginnings.
    blackouts: Vec<Blackout>,
    /// Calendars repeat without end: their events are known until then.
    known_until: Option<Timestamp>,
}

impl Blackouts {
    /// Those of `link` among `all`, which calendars were asked for until `known_until`.
    #[must_use]
    pub fn of(all: &[Blackout], link: &Link, known_until: Timestamp) -> Self {
        let of_link = all.iter().filter(|blackout| blackout.scope.includes(link));
        let mut blackouts: Vec<Blackout> = of_link.cloned().collect();
        blackouts.sort_by_key(|blackout| (blackout.from, blackout.to));
        Self { blackouts, known_until: (!all.is_empty()).then_some(known_until) }
    }

    /// Why nothing may be loaded all the time from `start` to `end`; `None` where it may.
    #[must_use]
    pub fn within(&self, start: Timestamp, end: Timestamp) -> Option<String> {
        let overlaps = |it: &&Blackout| it.from < end && start < it.to;
        let blackout = self.blackouts.iter().find(overlaps).map(Blackout::to_string);
        let unknown = self
            .known_until
            .filter(|until| *until < end)
            .map(|until| format!("blackouts are known until {} alone", until.strftime("%Y-%m-%d")));
        blackout.or(unknown)
    }

    /// When the first of them begins after `at`.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let begins = self.blackouts.iter().map(|blackout| blackout.from);
        begins.filter(|from| at <= *from).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn blackout(from: &str, to: &str, scope: Scope) -> Blackout {
        Blackout { from: at(from), to: at(to), reason: "freeze".into(), scope }
    }

    #[test]
    fn a_blackout_is_of_the_links_and_circuits_that_it_names_or_of_all() {
        let link = Link { name: Some("a".into()), circuit: Some("EC-1".into()), ..Link::default() };
        let scope = |links: &[&str], circuits: &[&str]| Scope {
            links: links.iter().map(|it| (*it).to_owned()).collect(),
            circuits: circuits.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert!(Scope::default().includes(&link));
        assert!(Scope::default().includes(&Link::default()), "it has no name");
        assert!(scope(&["a", "b"], &[]).includes(&link));
        assert!(scope(&["b"], &["EC-1"]).includes(&link));
        assert!(!scope(&["b"], &["EC-2"]).includes(&link));
        assert!(!scope(&["a"], &[]).includes(&Link::default()));
    }

    #[test]
    fn what_touches_a_blackout_is_denied_and_says_until_when() {
        let all = [blackout("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z", Scope::default())];
        let of = Blackouts::of(&all, &Link::default(), at("2027-12-01T00:00:00Z"));
        let within = |from, to| of.within(at(from), at(to));
        assert_eq!(within("2026-12-23T23:00:00Z", "2026-12-24T00:00:00Z"), None);
        let expected = Some("blackout until 2026-12-27 00:00 UTC: freeze".to_owned());
        assert_eq!(within("2026-12-23T23:00:00Z", "2026-12-24T00:00:01Z"), expected);
        assert_eq!(within("2026-12-26T23:59:59Z", "2026-12-28T00:00:00Z"), expected);
        assert_eq!(within("2026-12-27T00:00:00Z", "2026-12-28T00:00:00Z"), None);
        let beyond = within("2027-11-30T23:59:59Z", "2027-12-01T00:00:01Z");
        assert_eq!(beyond.as_deref(), Some("blackouts are known until 2027-12-01 alone"));
        assert_eq!(of.next(at("2026-12-01T00:00:00Z")), Some(at("2026-12-24T00:00:00Z")));
        assert_eq!(of.next(at("2026-12-25T00:00:00Z")), None);
        let none = Blackouts::of(&[], &Link::default(), at("2026-12-01T00:00:00Z"));
        assert_eq!(none.within(at("2026-12-24T00:00:00Z"), at("2028-01-01T00:00:00Z")), None);
    }
}
