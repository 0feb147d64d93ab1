//! What a run has found out so far: kept after each trial, before anything is rendered.

use super::clock::Clock;
use super::error::Error;
use super::events::{Event, Events, Phase};
use super::job::{Job, Keep, NotKept, Run};
use crate::account::Status;
use crate::flow::TrialRun;
use crate::framing::IpVersion;
use crate::io::host;
use crate::method::campaign::Campaign;
use crate::plan::Plan;
use crate::report::{self, CaveatRecord, FindingRecord, PlanRecord, Report, SiteEnds, SiteRun};
use crate::wire::control::RunId;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// What a path is taken to carry where it was never seen: Ethernet's packet.
const MTU_USUAL: u32 = 1_500;

/// A run under way: its plan, and the ways to its sites as far as they have come.
pub(super) struct Results {
    run: RunId,
    started_ns: u64,
    plan: Plan,
    file: Option<PlanRecord>,
    site_runs: Vec<SiteRun>,
    complete: bool,
    notes: Vec<String>,
    clock: Box<dyn Clock>,
    keeper: Option<Box<dyn Keep>>,
    events: Option<Events>,
    sent: Sent,
    at_once: usize,
    /// Sites whose agents were reported to have another key.
    changed: BTreeSet<usize>,
}

/// What was sent of the report so far.
#[derive(Debug, Default)]
struct Sent {
    caveats: Vec<CaveatRecord>,
    findings: Vec<FindingRecord>,
}

impl Results {
    /// What `job` begins with, now.
    pub(super) fn of(job: Job, clock: Box<dyn Clock>) -> Self {
        let Job { id, plan, file, notes, keeper, events, at_once, .. } = job;
        let mut results = Self {
            run: id,
            started_ns: clock.wall_ns(),
            plan,
            file,
            site_runs: Vec::new(),
            complete: true,
            notes: Vec::new(),
            clock,
            keeper: keeper.0,
            events,
            sent: Sent::default(),
            at_once,
            changed: BTreeSet::new(),
        };
        results.remember(notes);
        results
    }

    /// The clock that dates the run.
    pub(super) fn wall_ns(&self) -> u64 {
        self.clock.wall_ns()
    }

    /// Sends an event to whoever follows the run.
    pub(super) fn emit(&self, event: Event) {
        self.events.iter().for_each(|events| events.emit(event.clone()));
    }

    /// Reports that `phase` begins on the way to the site at `site`.
    pub(super) fn report_phase(&self, site: usize, phase: Phase) {
        self.emit(Event::Phase { site, phase });
    }

    /// Reports where `error`, of the way to the site at `site`, is that its agent has another key.
    pub(super) fn report_key(&mut self, site: usize, error: &Error) {
        if let Error::AnotherKey { host, expected, got } = error
            && self.changed.insert(site)
        {
            let (host, expected, got) = (host.clone(), *expected, *got);
            self.emit(Event::KeyChanged { site, host, expected, got });
        }
    }

    /// How many runs this host may conduct at once.
    pub(super) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// What is asked.
    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The run's name towards the site at `place`: agents know each other's runs apart.
    pub(super) fn run_towards(&self, place: usize) -> RunId {
        RunId(self.run.0.wrapping_add(place as u128))
    }

    /// Reports and remembers what was decided for the user.
    pub(super) fn note(&mut self, notes: Vec<String>) {
        notes.iter().for_each(|note| self.emit(Event::Note(note.clone())));
        self.remember(notes);
    }

    fn remember(&mut self, notes: Vec<String>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Keeps what is known, of which `site_run` is the newest, and reports what is new in it.
    pub(super) async fn save(&mut self, site_run: SiteRun, is_complete: bool) {
        if self.keeper.is_none() && self.events.is_none() {
            return;
        }
        let mut run = self.run();
        run.site_runs.push(site_run);
        run.complete &= is_complete && run.site_runs.len() == self.plan.sites.len();
        run.reason = reason(&run);
        let (report, kept) = self.judge(run, true).await;
        self.report_news(&report, false);
        if let Err(why) = kept {
            // What is measured is not given up for that: the caller has it in the end.
            self.emit(Event::Warning(format!("{why}. The run goes on, and tries again later")));
        }
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
        let site_run = missed(&self.plan, place, agent, reason);
        self.close(site_run, false);
    }

    /// Whether anything was measured on the way to any site.
    fn has_evidence(&self) -> bool {
        let ran = |run: &TrialRun| run.outcome.status != Status::NotRun;
        self.site_runs.iter().any(|site_run| site_run.evidence.trials.iter().any(ran))
    }

    /// What the run came to; `error` is why, where nothing was measured.
    pub(super) async fn conclude(mut self, error: Option<Error>) -> Run {
        let has_evidence = self.has_evidence();
        let run = self.run();
        let (report, kept) = self.judge(run, has_evidence).await;
        self.report_news(&report, true);
        Run { report, kept, error: error.filter(|_| !has_evidence) }
    }

    /// The run as it is known now.
    fn run(&self) -> report::Run {
        let mut run = report::Run {
            id: self.run.to_string(),
            started_ns: self.started_ns,
            ended_ns: self.clock.wall_ns(),
            plan: self.plan.clone(),
            file: self.file.clone(),
            driver_host: None,
            site_runs: self.site_runs.clone(),
            complete: self.complete && self.site_runs.len() == self.plan.sites.len(),
            reason: None,
            notes: self.notes.clone(),
        };
        run.reason = reason(&run);
        run
    }

    /// The report of `run`, and whether it could be kept, where it is to be. Both may take long,
    /// and are done where nothing else waits for them.
    async fn judge(&mut self, run: report::Run, is_kept: bool) -> (Report, Result<(), NotKept>) {
        let mut keeper = self.keeper.take();
        let judging = tokio::task::spawn_blocking(move || {
            let report = report::Run { driver_host: Some(host::facts()), ..run }.report();
            let keep = keeper.as_mut().filter(|_| is_kept);
            let kept = keep.map_or(Ok(()), |keeper| keeper.keep(&report));
            (report, kept, keeper)
        });
        match judging.await {
            Ok((report, kept, keeper)) => {
                self.keeper = keeper;
                (report, kept)
            }
            Err(error) => match error.try_into_panic() {
                // A bug, here or in the keeper: it is the caller's to see.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and drops this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Reports what of `report` is new: of findings those that have a value, and all at the end.
    fn report_news(&mut self, report: &Report, is_last: bool) {
        if self.events.is_none() {
            return;
        }
        let sent = std::mem::take(&mut self.sent);
        for caveat in report.caveats.iter().filter(|caveat| !sent.caveats.contains(caveat)) {
            self.emit(Event::Caveat(caveat.clone()));
        }
        let is_due = |finding: &&FindingRecord| is_last || finding.trial.is_some();
        let findings: Vec<_> = report.findings.iter().filter(is_due).cloned().collect();
        for finding in findings.iter().filter(|finding| !sent.findings.contains(finding)) {
            self.emit(Event::Finding(finding.clone()));
        }
        self.sent = Sent { caveats: report.caveats.clone(), findings };
    }
}

/// The way to the site of `plan` at `place` that could not even be begun, for this `reason`.
pub(super) fn missed(
    plan: &Plan,
    place: usize,
    agent: Option<SocketAddr>,
    reason: &str,
) -> SiteRun {
    let site = &plan.sites[place];
    let ip = agent.map_or(IpVersion::V4, |agent| IpVersion::of(agent.ip()));
    let mut campaign = Campaign::new(plan.clone(), place, ip, MTU_USUAL);
    campaign.abandon(reason);
    SiteRun {
        ends: SiteEnds {
            address: agent.map(|agent| agent.to_string()),
            reason: Some(reason.to_owned()),
            ..SiteEnds::unknown(site.name.clone(), site.agent.to_string(), ip)
        },
        limits: None,
        evidence: campaign.evidence().clone(),
    }
}

/// Why `run` is not complete: that of the first site that has a reason.
fn reason(run: &report::Run) -> Option<String> {
    run.site_runs.iter().find_map(|site_run| {
        let ends = &site_run.ends;
        let site = if 1 < run.plan.sites.len() { format!("{}: ", ends.site) } else { "".into() };
        ends.reason.as_ref().map(|reason| format!("{site}{reason}"))
    })
}
