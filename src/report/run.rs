//! A run, as the programs hand it over to be written down.

use super::record::PlanRecord;
use crate::account::HostFacts;
use crate::flow::Evidence;
use crate::framing::IpVersion;
use crate::plan::{Limits, Plan};

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
    /// Its name.
    pub site: String,
    /// Its agent, as the user calls it.
    pub agent: String,
    /// The agent's address and port, where they are known.
    pub address: Option<String>,
    /// The driver's own address towards it.
    pub driver_address: Option<String>,
    /// The agent's program.
    pub agent_program: Option<String>,
    /// The fingerprint of the driver's key towards it, where it is known.
    pub driver_key: Option<String>,
    /// The fingerprint of the agent's key, where it is known.
    pub agent_key: Option<String>,
    /// The agent's host, where it said what it is.
    pub agent_host: Option<HostFacts>,
    /// What the agent calls the driver's key.
    pub requested_by: Option<String>,
    /// The role that it gives that key.
    pub role: Option<String>,
    /// The version of IP.
    pub ip: IpVersion,
    /// What the agent allows; `None` where it never said.
    pub limits: Option<Limits>,
    /// What was found out.
    pub evidence: Evidence,
    /// Why nothing, or not all, was run towards it.
    pub reason: Option<String>,
}
