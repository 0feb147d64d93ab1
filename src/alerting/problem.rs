//! From the states of all links to what is wrong, each thing once.

use super::words::{Key, Severity};
use crate::health::state::{Cause, Current, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What alerts need to know of a link beside its states.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Placed {
    /// Its name.
    pub link: String,
    /// Its far host.
    pub host: String,
    /// Its circuit.
    pub circuit: Option<String>,
    /// What it shares with other links.
    pub shares: Vec<String>,
    /// How bad it is when it fails.
    pub severity: Severity,
}

/// Something that is wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Since when, in seconds since 1970.
    pub since_s: i64,
    /// The links that show it, each with what is wrong with it.
    pub links: BTreeMap<String, String>,
}

/// What is wrong with one link.
struct Wrong<'a> {
    placed: &'a Placed,
    current: &'a Current,
}

/// All that is wrong, by what it is about. A link is in one of them: what explains it best.
#[must_use]
pub fn problems(links: &[Placed], states: &[Current]) -> BTreeMap<Key, Problem> {
    let wrong: Vec<Wrong<'_>> = links.iter().filter_map(|link| wrong(link, states)).collect();
    let shared = shared(links, &wrong);
    let mut problems = BTreeMap::new();
    for wrong in &wrong {
        add(&mut problems, key(wrong, &shared), wrong);
    }
    problems
}

/// The worst of what is wrong with `link`.
fn wrong<'a>(placed: &'a Placed, states: &'a [Current]) -> Option<Wrong<'a>> {
    let is_wrong = |it: &&Current| match it.state {
        State::Fail | State::Warning => true,
        State::Indeterminate => it.cause.is_missing(),
        State::Pass | State::Maintenance | State::NotRunning => false,
    };
    let own = states.iter().filter(|it| it.link == placed.link).filter(is_wrong);
    // Of the same, what has been there for longer.
    let worst = own.max_by_key(|it| (it.state == State::Fail, it.state, -it.since_s));
    worst.map(|current| Wrong { placed, current })
}

/// What several links share that are all down, and each of which does not answer on its own.
fn shared(links: &[Placed], wrong: &[Wrong<'_>]) -> Vec<String> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for link in links {
        for share in &link.shares {
            users.entry(share).or_default().push(&link.link);
        }
    }
    let is_down = |link: &&str| {
        wrong.iter().any(|it| it.placed.link == *link && it.current.cause.is_outage())
    };
    let down = users.into_iter().filter(|(_, links)| 2 <= links.len() && links.iter().all(is_down));
    down.map(|(share, _)| share.to_owned()).collect()
}

fn key(wrong: &Wrong<'_>, shared: &[String]) -> Key {
    let Wrong { placed, current } = wrong;
    let own = || match &placed.circuit {
        Some(circuit) => Key::Circuit(circuit.clone()),
        None => Key::Link(placed.link.clone()),
    };
    match current.cause {
        Cause::HostDown => Key::Host(placed.host.clone()),
        Cause::NearEnd => Key::NearEnd,
        cause if cause.is_missing() => Key::NoData(placed.host.clone()),
        cause if cause.is_outage() => {
            let of_link = placed.shares.iter().find(|share| shared.contains(share));
            of_link.map_or_else(own, |share| Key::Shared(share.clone()))
        }
        _ => own(),
    }
}

fn add(problems: &mut BTreeMap<Key, Problem>, key: Key, wrong: &Wrong<'_>) {
    let Wrong { placed, current } = wrong;
    let severity = match current.state {
        State::Fail => placed.severity,
        _ => placed.severity.min(Severity::Warning),
    };
    let since_s = current.since_s;
    let new = || Problem { severity, since_s, links: BTreeMap::new() };
    let problem = problems.entry(key).or_insert_with(new);
    problem.severity = problem.severity.max(severity);
    problem.since_s = problem.since_s.min(since_s);
    let text = match current.subject.direction() {
        // A link that does not answer does not in any direction.
        _ if current.cause.is_outage() || current.cause.is_missing() => current.reason.clone(),
        _ => format!("{}: {}", current.subject.words(), current.reason),
    };
    problem.links.insert(placed.link.clone(), text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::state::Subject;

    fn link(name: &str, host: &str, circuit: Option<&str>, shares: &[&str]) -> Placed {
        Placed {
            link: name.to_owned(),
            host: host.to_owned(),
            circuit: circuit.map(str::to_owned),
            shares: shares.iter().map(|share| (*share).to_owned()).collect(),
            severity: Severity::Critical,
        }
    }

    fn is(link: &str, state: State, cause: Cause) -> Current {
        Current {
            link: link.to_owned(),
            subject: Subject::Forward,
            state,
            cause,
            reason: "because".to_owned(),
            since_s: 100,
        }
    }

    #[track_caller]
    fn check(links: &[Placed], states: &[Current], expected: &[(Key, Severity, usize)]) {
        let found = problems(links, states).into_iter();
        let found: Vec<_> = found.map(|(key, it)| (key, it.severity, it.links.len())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_thing_that_is_wrong_is_one_problem() {
        use Cause::{HostDown, LinkOrFarEnd, Loss, Met, NoData, Outage};
        let links = [
            link("a", "h1", Some("c1"), &["pe1"]),
            link("b", "h1", Some("c2"), &["pe1"]),
            link("c", "h2", Some("c2"), &[]),
            link("d", "h3", None, &[]),
        ];
        let (fail, warning) = (State::Fail, State::Warning);
        let (critical, warn) = (Severity::Critical, Severity::Warning);
        let host = || Key::Host("h1".to_owned());
        let circuit = |name: &str| Key::Circuit(name.to_owned());
        check(&links, &[is("a", State::Pass, Met)], &[]);
        check(
            &links,
            &[is("a", fail, HostDown), is("b", fail, HostDown), is("d", warning, Loss)],
            &[(host(), critical, 2), (Key::Link("d".to_owned()), warn, 1)],
        );
        check(
            &links,
            &[is("b", fail, LinkOrFarEnd), is("c", fail, LinkOrFarEnd)],
            &[(circuit("c2"), critical, 2)],
        );
        check(
            &links,
            &[is("a", fail, Outage), is("b", fail, Outage)],
            &[(Key::Shared("pe1".to_owned()), critical, 2)],
        );
        // One of those that share it is up: it is the circuit.
        check(&links, &[is("a", fail, Outage)], &[(circuit("c1"), critical, 1)]);
        check(
            &links,
            &[is("a", State::Indeterminate, NoData), is("b", State::Indeterminate, NoData)],
            &[(Key::NoData("h1".to_owned()), warn, 2)],
        );
        check(&links, &[is("a", State::Maintenance, Cause::Maintenance)], &[]);
        check(&links, &[is("a", State::Indeterminate, Cause::NotProven)], &[]);
    }
}
