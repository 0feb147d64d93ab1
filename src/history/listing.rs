//! The history as people and scripts read it: a line for each link of each run, the newest first.

use super::entry::{Class, State};
use crate::verdict::Verdict;
use crate::wrap::{Page, Table, line};
use serde::Serialize;

/// One link of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// The run: 32 hexadecimal digits.
    pub run: String,
    /// When the run began: RFC 3339, UTC.
    pub started_at: String,
    /// When it ended: RFC 3339, UTC; null until it has.
    pub ended_at: Option<String>,
    /// Why it was made.
    pub class: Class,
    /// How far it came.
    pub state: State,
    /// The link: its name, its circuit or its agent.
    pub link: String,
    /// The site at its far end.
    pub site: String,
    /// The circuit.
    pub circuit: Option<String>,
    /// The verdict on the link; null if there is none.
    pub verdict: Option<Verdict>,
    /// The reason for it, or why it was not run.
    pub why: Option<String>,
}

/// What was found in the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The links of runs, the newest first.
    pub found: Vec<Listed>,
    /// Whether there are more.
    pub has_more: bool,
}

/// Digits of a run's identifier that are shown: of a thousand million runs two are alike with a
/// chance of 1 in 36.
const DIGITS: usize = 16;

impl Listing {
    /// It as a table, for a terminal of so many `columns`.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        if self.found.is_empty() {
            line!(page, "No runs are recorded that fit.");
            return page.into_text();
        }
        let mut table = Table::new(&["STARTED (UTC)", "LINK", "VERDICT", "WHY", "RUN"]);
        for it in &self.found {
            let started = it.started_at.get(..16).unwrap_or(&it.started_at).replace('T', " ");
            let verdict = match (it.state, it.verdict) {
                (State::Ok | State::Partial | State::Aborted, Some(verdict)) => verdict.to_string(),
                (state, _) => state.to_string(),
            };
            let why = it.why.clone().unwrap_or_default();
            let run = it.run.get(..DIGITS).unwrap_or(&it.run).to_owned();
            table.row(&[started, it.link.clone(), verdict, why, run]);
        }
        page.table("", &table);
        if self.has_more {
            let count = self.found.len();
            line!(page, "The newest {count} are shown: --limit N shows more.");
        }
        page.into_text()
    }

    /// It as comma-separated values (RFC 4180), a header line first.
    ///
    /// # Panics
    ///
    /// Never: a vector takes all octets, and text is UTF-8.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        for listed in &self.found {
            writer.serialize(listed).expect("a vector takes all octets");
        }
        let octets = writer.into_inner().expect("a vector takes all octets");
        String::from_utf8(octets).expect("text is UTF-8")
    }

    /// It as JSON: a list.
    ///
    /// # Panics
    ///
    /// Never: texts and lists are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.found).expect("texts are JSON") + "\n"
    }
}
