//! The health of links as people and scripts read it.

use super::record::WatchSeen;
use super::state::{Cause, Change, Changed, Current, State, Subject};
use crate::wrap::{Page, Table, line};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A watch that was not heard of for so long does not run, in seconds: it says each minute that it
/// does.
pub const SILENT_S: i64 = 180;

/// A link, as it is shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub link: String,
    /// The state of each direction and of the round trip.
    pub states: BTreeMap<&'static str, Shown>,
    /// The verdict of its last run; null if there is none.
    pub last_verdict: Option<String>,
    /// The identifier of that run.
    pub last_run: Option<String>,
    /// The alerts that are open, by their names.
    pub alerts: Vec<String>,
    /// The watch that watches it, or did.
    pub watch: String,
}

/// A state, as it is shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Shown {
    /// The state.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Why, in a line.
    pub reason: String,
    /// Since when: RFC 3339, UTC.
    pub since: String,
}

/// What is known of a link beside its states.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Beside {
    /// The verdict and the identifier of its last run.
    pub last_run: Option<(String, String)>,
    /// The alerts that are open.
    pub alerts: Vec<String>,
}

/// The rows of `links`, each with its states and the watch that said so, at `now_s`.
#[must_use]
pub fn rows(
    states: &[(Current, String)],
    watches: &[WatchSeen],
    mut beside: BTreeMap<String, Beside>,
    now_s: i64,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (current, watch) in states {
        if rows.last().is_none_or(|row| row.link != current.link) {
            let Beside { last_run, alerts } = beside.remove(&current.link).unwrap_or_default();
            let (last_verdict, last_run) = last_run.unzip();
            let (link, watch) = (current.link.clone(), watch.clone());
            let states = BTreeMap::new();
            rows.push(Row { link, states, last_verdict, last_run, alerts, watch });
        }
        if let Some(row) = rows.last_mut() {
            let seen = watches.iter().find(|seen| seen.watch == *watch);
            row.states.insert(current.subject.name(), shown(current, seen, now_s));
        }
    }
    rows
}

/// A state of a watch that does not run is not known any more.
fn shown(current: &Current, watch: Option<&WatchSeen>, now_s: i64) -> Shown {
    let stopped = match watch {
        None => Some((current.since_s, "its watch is not known".to_owned())),
        Some(WatchSeen { ended_s: Some(ended_s), .. }) => {
            Some((*ended_s, "its watch was ended".to_owned()))
        }
        Some(WatchSeen { seen_s, .. }) if seen_s + SILENT_S < now_s => {
            Some((*seen_s, "its watch was not heard of since then".to_owned()))
        }
        Some(_) => None,
    };
    match stopped {
        Some((since_s, why)) if current.state != State::NotRunning => Shown {
            state: State::NotRunning,
            cause: Cause::Stopped,
            reason: format!("{why}; before that: {} ({})", current.state, current.reason),
            since: date(since_s),
        },
        _ => Shown {
            state: current.state,
            cause: current.cause,
            reason: current.reason.clone(),
            since: date(current.since_s),
        },
    }
}

fn date(at_s: i64) -> String {
    Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A date as a table has it, to the minute.
fn minute(date: &str) -> String {
    date.get(..16).unwrap_or(date).replace('T', " ")
}

impl Row {
    /// The state that matters most.
    #[must_use]
    pub fn worst(&self) -> Option<&Shown> {
        let rank = |shown: &&Shown| match shown.state {
            State::Pass => 0,
            State::Maintenance => 1,
            State::Warning => 2,
            State::NotRunning => 3,
            State::Indeterminate => 4,
            State::Fail => 5,
        };
        let all = Subject::ALL.iter().filter_map(|subject| self.states.get(subject.name()));
        // Of the same, the first.
        all.rev().max_by_key(rank)
    }
}

/// `rows` as a table, for a terminal of so many `columns`.
#[must_use]
pub fn text(rows: &[Row], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if rows.is_empty() {
        line!(page, "No link is watched: linkqual watch PLAN.toml watches those of a plan.");
        return page.into_text();
    }
    let heads = ["LINK", "A->B", "B->A", "ROUND TRIP", "SINCE (UTC)", "WHY", "LAST RUN", "ALERTS"];
    let mut table = Table::new(&heads);
    for row in rows {
        let state = |subject: Subject| {
            let shown = row.states.get(subject.name());
            shown.map_or_else(String::new, |shown| shown.state.to_string())
        };
        let worst = row.worst();
        let [forward, reverse, round_trip] = Subject::ALL.map(state);
        table.row(&[
            row.link.clone(),
            forward,
            reverse,
            round_trip,
            worst.map(|it| minute(&it.since)).unwrap_or_default(),
            worst.map(|it| it.reason.clone()).unwrap_or_default(),
            row.last_verdict.clone().unwrap_or_default(),
            row.alerts.join(" "),
        ]);
    }
    page.table("", &table);
    page.into_text()
}

/// A change of a state, as it is shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Happened {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// The link.
    pub link: String,
    /// What of it.
    pub subject: Subject,
    /// The state before.
    pub from: State,
    /// The state from then on.
    #[serde(flatten)]
    pub now: Shown,
    /// What changed first; null if nothing was seen to change.
    pub first_change: Option<Changed>,
    /// When that was.
    pub first_at: Option<String>,
}

impl Happened {
    /// An event that was known at `at_s`.
    #[must_use]
    pub fn of(at_s: i64, from: State, now: &Current, first: Option<Change>) -> Self {
        Self {
            at: date(at_s),
            link: now.link.clone(),
            subject: now.subject,
            from,
            now: Shown {
                state: now.state,
                cause: now.cause,
                reason: now.reason.clone(),
                since: date(now.since_s),
            },
            first_change: first.map(|first| first.what),
            first_at: first.map(|first| date(first.at_s)),
        }
    }
}

/// `events` as a table, for a terminal of so many `columns`.
#[must_use]
pub fn events_text(events: &[Happened], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if events.is_empty() {
        line!(page, "No state has changed in that time.");
        return page.into_text();
    }
    let mut table = Table::new(&["AT (UTC)", "LINK", "OF", "FROM", "TO", "WHY"]);
    for event in events {
        let second = event.at.get(..19).unwrap_or(&event.at).replace('T', " ");
        let first = event.first_change.map(|what| format!("; first changed: {}", what.words()));
        table.row(&[
            second,
            event.link.clone(),
            event.subject.words().to_owned(),
            event.from.to_string(),
            event.now.state.to_string(),
            format!("{}{}", event.now.reason, first.unwrap_or_default()),
        ]);
    }
    page.table("", &table);
    page.into_text()
}

/// `events` as JSON: a list.
///
/// # Panics
///
/// Never: texts and lists are JSON.
#[must_use]
pub fn events_json(events: &[Happened]) -> String {
    serde_json::to_string_pretty(events).expect("texts are JSON") + "\n"
}

/// `rows` as JSON: a list.
///
/// # Panics
///
/// Never: texts and lists are JSON.
#[must_use]
pub fn json(rows: &[Row]) -> String {
    serde_json::to_string_pretty(rows).expect("texts are JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(link: &str, subject: Subject, state: State) -> (Current, String) {
        let (link, reason) = (link.to_owned(), "because".to_owned());
        let (cause, since_s) = (Cause::Loss, 100);
        (Current { link, subject, state, cause, reason, since_s }, "near".to_owned())
    }

    fn watch(seen_s: i64, ended_s: Option<i64>) -> WatchSeen {
        let (watch, program) = ("near".to_owned(), "linkqual 0.1.0".to_owned());
        WatchSeen { watch, program, started_s: 0, links: 1, ended_s, seen_s }
    }

    #[test]
    fn a_link_is_a_row_and_the_worst_of_it_is_explained() {
        let states = [
            current("a", Subject::Forward, State::Pass),
            current("a", Subject::Reverse, State::Fail),
            current("b", Subject::Forward, State::Maintenance),
        ];
        let alerts = vec!["0badcafe".to_owned()];
        let last_run = Some(("PASS".to_owned(), "27f80f3d".to_owned()));
        let beside = BTreeMap::from([("a".to_owned(), Beside { last_run, alerts })]);
        let rows = rows(&states, &[watch(1000, None)], beside, 1100);
        assert_eq!(rows.iter().map(|row| row.states.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(rows[0].worst().map(|it| it.state), Some(State::Fail));
        let text = text(&rows, None);
        for part in ["ROUND TRIP", "1970-01-01 00:01", "because", "PASS", "0badcafe"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(json(&rows).contains("\"since\": \"1970-01-01T00:01:40Z\""));
    }

    #[test]
    fn what_happened_is_shown_with_what_changed_first() {
        let (now, _) = current("a", Subject::RoundTrip, State::Fail);
        let first = Some(Change { what: Changed::RttFloor, at_s: 90 });
        let events = [Happened::of(101, State::Pass, &now, first)];
        let text = events_text(&events, None);
        let why = "because; first changed: the shortest round trip";
        for part in ["1970-01-01 00:01:41", "round trip", "pass", "fail", why] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let json = events_json(&events);
        assert!(json.contains("\"first_at\": \"1970-01-01T00:01:30Z\""), "{json}");
    }

    #[test]
    fn where_the_watch_does_not_run_nothing_is_known_any_more() {
        let states = [current("a", Subject::Forward, State::Pass)];
        let state = |watch: &[WatchSeen], now_s| {
            let rows = rows(&states, watch, BTreeMap::new(), now_s);
            rows[0].states["forward"].clone()
        };
        assert_eq!(state(&[watch(1000, None)], 1180).state, State::Pass);
        let gone = state(&[watch(1000, None)], 1181);
        let why = "its watch was not heard of since then; before that: pass (because)";
        assert_eq!((gone.state, gone.reason.as_str()), (State::NotRunning, why));
        assert_eq!(gone.since, "1970-01-01T00:16:40Z");
        assert_eq!(state(&[watch(1000, Some(990))], 1001).state, State::NotRunning);
        assert_eq!(state(&[], 1001).state, State::NotRunning);
    }
}
