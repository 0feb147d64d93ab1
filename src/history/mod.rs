//! What is kept of runs: one entry for each, with its report, and rows of it to search by.
//!
//! Runs that were refused, interrupted or never started are kept as well, with the reason: a
//! history of successes alone would mislead whoever plans by it. The report is the record, and owns
//! every measured value; the rows are derived from it, and made anew wherever it is written.
//!
//! Stands behind the report, as it reads one. Pure: [`crate::store`] has the database.

pub mod capacity;
pub mod comparison;

mod agents;

mod entry;
mod leases;
mod listing;
mod people;
mod rows;
mod stop;
mod tables;
mod when;

pub use agents::{Agent, AgentSeen, Agents};
pub use entry::{Class, Entry, State};
pub use leases::{Held, Holdings};
pub use listing::{Listed, Listing};
pub use people::People;
pub use rows::{PlannedLink, planned};
pub use stop::StopOrder;
pub use tables::{Cell, Column, Kind, Row, TABLES, Table, WATCHED};
pub use when::When;

use crate::report::Report;

/// A run as it is kept: its entry, its rows, its report, and the people in it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its entry.
    pub entry: Entry,
    /// Rows of the tables that are searched, in the order of [`TABLES`].
    pub rows: Vec<Row>,
    /// Its report as text, without the people; `None` of a run that has none yet.
    pub report: Option<String>,
}

impl Kept {
    /// A run of which `report` is all that is known now.
    #[must_use]
    pub fn of(entry: Entry, report: &Report) -> Self {
        let mut rows = rows::of(&entry, report);
        let mut report = report.clone();
        rows.extend(People::taken_out_of(&mut report).rows(&entry.run));
        Self { entry, rows, report: Some(report.to_json()) }
    }

    /// A run of which only the `links` are known: it begins now, or did not begin.
    #[must_use]
    pub fn planned(entry: Entry, links: &[PlannedLink]) -> Self {
        let rows = rows::of_planned(&entry.run, links);
        Self { entry, rows, report: None }
    }
}

/// For how long runs that were scheduled are kept, in days; others are kept until they are deleted
/// by name.
pub const SCHEDULED_DAYS: u64 = 400;

/// For how long the names of people are kept beside a run, in days.
pub const PEOPLE_DAYS: u64 = 180;

/// Nanoseconds of a day.
pub const NANOS_PER_DAY: u64 = 86_400_000_000_000;
