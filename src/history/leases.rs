//! The leases that runs hold on what they load, as they are shown.

use crate::report::date;
use crate::wrap::{Page, Table, line};
use serde::Serialize;
use std::fmt;

/// A lease that is held.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Held {
    /// What is leased, such as "circuit EC-2031".
    pub resource: String,
    /// The run that holds it.
    pub run: String,
    /// Who runs it: user and host.
    pub who: String,
    /// The command that makes the run: check, run or watch.
    pub command: String,
    /// The link that it loads.
    pub link: String,
    /// Since when, in nanoseconds since 1970 on the database's clock.
    pub since_ns: u64,
    /// Until when at the latest.
    pub until_ns: u64,
}

/// The leases that are held at a moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holdings {
    /// That moment, in nanoseconds since 1970 on the database's clock.
    pub now_ns: u64,
    /// Each of them.
    pub held: Vec<Held>,
}

const NANOS_PER_S: u64 = 1_000_000_000;

/// Digits of a run's identifier that are shown.
const DIGITS: usize = 16;

/// Of several that are in the way, the one that ends last: until then there is no use in trying.
impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(held) = self.held.iter().max_by_key(|held| held.until_ns) else {
            return f.write_str("nothing is leased");
        };
        let Held { resource, who, command, link, .. } = held;
        let until = clock_time(held.until_ns);
        let left = held.until_ns.saturating_sub(self.now_ns).div_ceil(NANOS_PER_S);
        let run = shown(&held.run);
        write!(
            f,
            "{resource} is in use by run {run} of {who} ({command}, link {link}), until {until} \
             at the latest, which is in {left} s"
        )
    }
}

impl Holdings {
    /// They as a table, for a terminal of so many `columns`: a row for each run, with all that it
    /// holds.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        if self.held.is_empty() {
            line!(page, "No leases are held: nothing is being loaded.");
            return page.into_text();
        }
        let mut table = Table::new(&["LINK", "HELD BY", "COMMAND", "SINCE (UTC)", "UNTIL", "RUN"]);
        let is_same = |one: &Held, other: &Held| (&one.run, &one.link) == (&other.run, &other.link);
        for own in self.held.chunk_by(is_same) {
            let first = &own[0];
            let since = date(first.since_ns).get(..19).unwrap_or_default().replace('T', " ");
            let until = clock_time(first.until_ns);
            table.row(&[
                first.link.clone(),
                first.who.clone(),
                first.command.clone(),
                since,
                until,
                shown(&first.run).to_owned(),
            ]);
            let names: Vec<&str> = own.iter().map(|held| held.resource.as_str()).collect();
            table.remark(names.join(", "));
        }
        page.table("", &table);
        page.into_text()
    }

    /// They as JSON.
    ///
    /// # Panics
    ///
    /// Never: numbers, texts and lists are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.held).expect("numbers and texts are JSON") + "\n"
    }
}

/// The time of day of `ns`, in UTC.
fn clock_time(ns: u64) -> String {
    format!("{} UTC", date(ns).get(11..19).unwrap_or_default())
}

fn shown(run: &str) -> &str {
    run.get(..DIGITS).unwrap_or(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(resource: &str, run: &str, until_s: u64) -> Held {
        Held {
            resource: resource.to_owned(),
            run: run.repeat(32),
            who: "alice@noc1".to_owned(),
            command: "check".to_owned(),
            link: "ec-2031".to_owned(),
            since_ns: 1_796_000_000 * NANOS_PER_S,
            until_ns: (1_796_000_000 + until_s) * NANOS_PER_S,
        }
    }

    #[test]
    fn who_is_kept_waiting_is_given_the_last_holder_and_the_time() {
        let held = vec![held("circuit EC-2031", "a", 30), held("host noc1", "b", 60)];
        let holdings = Holdings { now_ns: 1_796_000_018 * NANOS_PER_S + 1, held };
        assert_eq!(
            holdings.to_string(),
            "host noc1 is in use by run bbbbbbbbbbbbbbbb of alice@noc1 (check, link ec-2031), \
             until 00:54:20 UTC at the latest, which is in 42 s"
        );
    }

    #[test]
    fn a_run_has_one_row_with_all_that_it_holds() {
        let held =
            vec![held("circuit EC-1", "a", 30), held("host n", "a", 30), held("host m", "b", 9)];
        let text = Holdings { now_ns: 0, held }.text(None);
        assert!(text.contains("circuit EC-1, host n\n"), "{text}");
        assert_eq!(text.matches("alice@noc1").count(), 2, "{text}");
        assert!(text.contains("2026-11-30 00:53:20  00:53:50 UTC"), "{text}");
        let none = Holdings::default().text(None);
        assert!(none.contains("No leases are held"), "{none}");
    }
}
