//! A run, as the programs hand it over to be written down.

use super::record::{PlanRecord, SiteEnds};
use crate::account::HostFacts;
use crate::flow::Evidence;
use crate::plan::Plan;
use crate::trial::Limits;

/// A run, as far as it came.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// When this was written, likewise.
    pub ended_ns: u64,
    /// What was asked.
    pub plan: Plan,
    /// The plan's file, where there is one.
    pub file: Option<PlanRecord>,
    /// The driver's host.
    pub driver_host: Option<HostFacts>,
    /// What happened on the way to each far end, in the plan's order, as far as it came.
    pub site_runs: Vec<SiteRun>,
    /// Whether all that was to run has run to its end.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was decided for the user.
    pub notes: Vec<String>,
}

/// One far end, and what happened on the way to it.
#[derive(Clone, Debug)]
pub struct SiteRun {
    /// Who the two ends are, and why nothing, or not all, was run.
    pub ends: SiteEnds,
    /// What the agent allows; `None` where it never said.
    pub limits: Option<Limits>,
    /// What was found out.
    pub evidence: Evidence,
}
