//! A run as its record: what happened, as it was counted. What follows from requirements is not
//! written here: [`super::judging`] derives it from the record, now and years later.

use super::date::date;
use super::judging::{Question, program};
use super::record::{Asked, FORMAT, LinkRecord, Report, SiteRecord, TrialFigures, TrialRecord};
use super::run::{Run, SiteRun};
use crate::account::{AskedTrial, Outcome};
use crate::flow::TrialRun;
use crate::verdict::Verdict;

impl Run {
    /// The record of the run, judged by what its plan requires.
    ///
    /// # Panics
    ///
    /// Never: what a run writes can be read.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = record(self);
        report.judge(&Question::of(&self.plan)).expect("what a run writes can be read");
        report
    }
}

/// The record of `run`, not judged yet.
fn record(run: &Run) -> Report {
    let link = &run.plan.link;
    let mut number = 0;
    let mut sites = Vec::new();
    for site_run in &run.site_runs {
        sites.push(site(site_run, number));
        number += site_run.evidence.trials.len();
    }
    Report {
        format: FORMAT.to_owned(),
        verdict: Verdict::Inconclusive,
        complete: run.complete,
        reason: run.reason.clone(),
        program: program(),
        run: run.id.clone(),
        started_at: date(run.started_ns),
        ended_at: date(run.ended_ns),
        plan: run.file.clone(),
        judged_again: None,
        driver_host: run.driver_host.clone(),
        asked: Asked { confidence: 0.0, mss_clamped: false, requirements: Vec::new() },
        notes: run.notes.clone(),
        findings: Vec::new(),
        caveats: Vec::new(),
        links: vec![LinkRecord { sites, ..LinkRecord::of(link) }],
    }
}

fn site(site_run: &SiteRun, first: usize) -> SiteRecord {
    let trials = (first..).zip(&site_run.evidence.trials);
    SiteRecord {
        ends: site_run.ends.clone(),
        granted_rate_max_bit_s: site_run.limits.map(|limits| limits.rate_max.bits_per_second()),
        granted_duration_max_s: site_run.limits.map(|limits| limits.duration_max.as_secs()),
        path_mtu: site_run.evidence.path_mtu,
        trials: trials.map(|(number, run)| trial(number, run)).collect(),
    }
}

fn trial(number: usize, run: &TrialRun) -> TrialRecord {
    let Outcome { started_ns, ended_ns, .. } = run.outcome;
    TrialRecord {
        trial: number,
        asked: AskedTrial::from(&run.trial),
        started_at: started_ns.map(date),
        ended_at: ended_ns.map(date),
        outcome: Outcome { started_ns: None, ended_ns: None, ..run.outcome.clone() },
        // Judging derives them.
        figures: TrialFigures::default(),
    }
}
