//! What a run showed, for people and for programs: each format a pure function of the record.
//!
//! A report never computes a number that the head has not: it chooses, orders and formats.

mod record;
mod text;

pub use record::{
    Asked, BoundText, DoubtRecord, FORMAT, FindingRecord, HostRecord, LinkRecord,
    LossClusterRecord, LossPeriodRecord, OutageRecord, Percentiles, Report, RequirementRecord,
    StatusRecord, TrialKind, TrialRecord,
};
pub use text::text;

use crate::doubt::doubts;
use crate::flow::Outcome;
use crate::metric::Terms;
use crate::plan::{Check, Direction, Limits};
use crate::verdict::findings;

/// A run, as far as it came.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// The link that it was about, for people.
    pub agent: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// When this was written, likewise.
    pub ended_ns: u64,
    /// What was asked.
    pub check: Check,
    /// What the agent allows; `None` where it never said.
    pub limits: Option<Limits>,
    /// What it is judged by.
    pub terms: Terms,
    /// What happened.
    pub outcomes: Vec<Outcome>,
    /// Whether all that was to run has run to its end.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was decided for the user.
    pub notes: Vec<String>,
}

impl Run {
    /// The record of the run, judged.
    #[must_use]
    pub fn report(&self) -> Report {
        let asked: Vec<Direction> = self.check.course.directions().collect();
        let findings = findings(&self.terms, &asked, &self.outcomes);
        record::report(self, &findings, &doubts(&self.outcomes))
    }
}
