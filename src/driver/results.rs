//! What a run has found out so far, and its files: written after each trial, before anything is
//! rendered.

use super::error::Error;
use crate::account::Status;
use crate::flow::TrialRun;
use crate::framing::IpVersion;
use crate::io::files::Output;
use crate::io::{clock, host};
use crate::method::campaign::Campaign;
use crate::plan::Plan;
use crate::report::{FORMATS, PlanRecord, Rendering, Report, Run, SiteEnds, SiteRun};
use crate::wire::control::RunId;
use rand::TryRng as _;
use std::net::SocketAddr;

/// What a path is taken to carry where it was never seen: Ethernet's packet.
const MTU_USUAL: u32 = 1_500;

/// A run under way: its plan, and the ways to its sites as far as they have come.
#[derive(Debug)]
pub struct Results {
    run: RunId,
    started_ns: u64,
    plan: Plan,
    file: Option<PlanRecord>,
    site_runs: Vec<SiteRun>,
    complete: bool,
    notes: Vec<String>,
    output: Option<Output>,
}

impl Results {
    /// A run of `plan`, read from `file`, that begins now.
    ///
    /// # Errors
    ///
    /// Where this host has no randomness to name it by.
    pub fn open(
        plan: Plan,
        file: Option<PlanRecord>,
        output: Option<Output>,
    ) -> Result<Self, Error> {
        let mut name = [0; 16];
        rand::rngs::SysRng
            .try_fill_bytes(&mut name)
            .map_err(|error| Error::System(error.to_string()))?;
        let run = RunId(u128::from_le_bytes(name));
        let (started_ns, site_runs, notes) = (clock::wall_ns(), Vec::new(), Vec::new());
        Ok(Self { run, started_ns, plan, file, site_runs, complete: true, notes, output })
    }

    /// What is asked.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The run's name towards the site at `place`: agents know each other's runs apart.
    pub(super) fn run_towards(&self, place: usize) -> RunId {
        RunId(self.run.0.wrapping_add(place as u128))
    }

    /// Remembers what was decided for the user.
    pub(super) fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Writes what is known, of which `site_run` is the newest.
    ///
    /// # Errors
    ///
    /// Where the files cannot be written now; they are written again later.
    pub(super) fn save(&mut self, site_run: SiteRun, is_complete: bool) -> Result<(), Error> {
        self.site_runs.push(site_run);
        let before = self.complete;
        self.complete &= is_complete;
        let (_, saved) = self.write();
        self.complete = before;
        self.site_runs.pop();
        saved
    }

    /// The way to a site is over.
    pub(super) fn close(&mut self, site_run: SiteRun, is_complete: bool) {
        self.complete &= is_complete;
        self.site_runs.push(site_run);
    }

    /// The way to the site at `place` could not even be begun.
    /// Nothing is changed where it was.
    pub(super) fn miss(&mut self, place: usize, agent: Option<SocketAddr>, reason: &str) {
        if place < self.site_runs.len() {
            return;
        }
        let site = &self.plan.sites[place];
        let ip = agent.map_or(IpVersion::V4, |agent| IpVersion::of(agent.ip()));
        let mut campaign = Campaign::new(self.plan.clone(), place, ip, MTU_USUAL);
        campaign.abandon(reason);
        let site_run = SiteRun {
            ends: SiteEnds {
                address: agent.map(|agent| agent.to_string()),
                reason: Some(reason.to_owned()),
                ..SiteEnds::unknown(site.name.clone(), site.agent.to_string(), ip)
            },
            limits: None,
            evidence: campaign.evidence().clone(),
        };
        self.close(site_run, false);
    }

    /// Whether anything was measured on the way to any site.
    #[must_use]
    pub fn has_evidence(&self) -> bool {
        let ran = |run: &TrialRun| run.outcome.status != Status::NotRun;
        self.site_runs.iter().any(|site_run| site_run.evidence.trials.iter().any(ran))
    }

    /// The report of all that was found out, and whether it could be written.
    pub fn conclude(mut self) -> (Report, Result<(), Error>) {
        self.write()
    }

    fn write(&mut self) -> (Report, Result<(), Error>) {
        let report = self.report();
        let saved = self.output.as_mut().map_or(Ok(()), |output| save(output, &report));
        (report, saved)
    }

    fn report(&self) -> Report {
        let of_site_run = |site_run: &SiteRun| {
            let ends = &site_run.ends;
            let site =
                if 1 < self.plan.sites.len() { format!("{}: ", ends.site) } else { "".into() };
            ends.reason.as_ref().map(|reason| format!("{site}{reason}"))
        };
        let run = Run {
            id: self.run.to_string(),
            started_ns: self.started_ns,
            ended_ns: clock::wall_ns(),
            plan: self.plan.clone(),
            file: self.file.clone(),
            driver_host: Some(host::facts()),
            site_runs: self.site_runs.clone(),
            complete: self.complete && self.site_runs.len() == self.plan.sites.len(),
            reason: self.site_runs.iter().find_map(of_site_run),
            notes: self.notes.clone(),
        };
        run.report()
    }
}

/// Writes a report in each of its formats, the record first.
///
/// # Errors
///
/// Where a file cannot be written.
pub(super) fn save(output: &mut Output, report: &Report) -> Result<(), Error> {
    let rendering = Rendering::default();
    for format in FORMATS {
        output.save(format.file, &(format.render)(report, &rendering))?;
    }
    Ok(())
}
