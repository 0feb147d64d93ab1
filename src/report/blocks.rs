//! A report by link and site: what was found of each, and the worst on top.

use super::judging::unless_partial;
use super::record::{CaveatRecord, FindingRecord, LinkRecord, Report, Scope, SiteRecord};
use crate::account::Status;
use crate::direction::Direction;
use crate::metric::Metric;
use crate::verdict::Verdict;
use std::collections::BTreeSet;

/// Why a site was not run, where nobody wanted it any more.
pub const INTERRUPTED: &str = "interrupted";

/// Why a run ended, where it was not to go on for the sake of others: before the reason.
pub const ABORTED: &str = "aborted: ";

/// Why a site was not run, where its turn has not come.
pub const NOT_RUN_YET: &str = "not run yet";

/// One site of one link, with all that was found out about it.
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    /// Its link.
    pub(super) link: &'a LinkRecord,
    /// The site.
    pub(super) site: &'a SiteRecord,
    /// Its findings, in their order.
    pub(super) findings: Vec<&'a FindingRecord>,
    /// The worst of them; INCONCLUSIVE of none, or where all PASS and not all was run.
    pub(super) verdict: Verdict,
    /// Whether not all was run there.
    is_partial: bool,
    /// Why the run is not complete, where that is known.
    pub(super) reason: Option<&'a str>,
    pub(super) place: usize,
}

/// Each site of each link, the worst first, and those of one verdict in their order.
pub(super) fn blocks(report: &Report) -> Vec<Block<'_>> {
    let links = report.links.iter().enumerate();
    let sites = links.flat_map(|(place, link)| link.sites.iter().map(move |it| (place, link, it)));
    let mut blocks: Vec<Block<'_>> = sites
        .map(|(place, link, site)| {
            let is_here = |it: &&FindingRecord| it.link == place && it.site == site.ends.site;
            let findings: Vec<_> = report.findings.iter().filter(is_here).collect();
            let worst = findings.iter().map(|finding| finding.verdict).max();
            let is_partial = is_partial(report, link, site);
            let verdict = unless_partial(worst.unwrap_or(Verdict::Inconclusive), !is_partial);
            let reason = reason(report, link, site);
            Block { link, site, findings, verdict, is_partial, reason, place }
        })
        .collect();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.verdict));
    blocks
}

/// Whether not all was run on the way to `site` of `link`. Of a link that is not complete that is
/// so of the sites where something is missing; of all of them, where each looks whole.
fn is_partial(report: &Report, link: &LinkRecord, site: &SiteRecord) -> bool {
    let lacks = |site: &SiteRecord| {
        let is_cut = site.trials.iter().any(|trial| trial.outcome.status != Status::Ok);
        site.ends.reason.is_some() || is_cut
    };
    !link.complete.unwrap_or(report.complete) && (lacks(site) || !link.sites.iter().any(lacks))
}

/// Why not all was run there. Of the run's own reason nobody knows whose it is where there are
/// several sites.
fn reason<'a>(report: &'a Report, link: &'a LinkRecord, site: &'a SiteRecord) -> Option<&'a str> {
    let of_run = report.reason.as_ref().filter(|_| report.sites().count() == 1);
    site.ends.reason.as_ref().or(link.reason.as_ref()).or(of_run).map(String::as_str)
}

impl<'a> Block<'a> {
    /// What the link is called, with its circuit; and the site, where the link has several.
    pub(super) fn name(&self) -> String {
        let link = self.link;
        let name = match (&link.name, link.sites.len()) {
            (Some(name), 1) => name.clone(),
            (Some(name), _) => format!("{name} to {}", self.site.ends.site),
            (None, _) => format!("link to {}", self.site.ends.site),
        };
        let circuit = link.circuit.as_ref().map(|circuit| format!("circuit {circuit}"));
        let role = link.inventory.role.map(|role| match &link.inventory.protects {
            Some(protects) => format!("{role} of {protects}"),
            None => role.to_string(),
        });
        let known = circuit.into_iter().chain(link.provider.clone()).chain(role);
        let known: Vec<String> = known.collect();
        match known.is_empty() {
            true => name,
            false => format!("{name} ({})", known.join(", ")),
        }
    }

    /// The word that it is headed by: its verdict, unless nothing of it was begun.
    pub(super) fn heading(&self) -> String {
        let reason = self.site.ends.reason.as_deref().filter(|_| !self.is_reached());
        match reason.is_some_and(|reason| [INTERRUPTED, NOT_RUN_YET].contains(&reason)) {
            true => "NOT RUN".to_owned(),
            false => self.verdict.to_string(),
        }
    }

    /// The finding that decides its verdict: the first of the worst. None does where nothing was
    /// required, or where all PASS and not all was run.
    pub(super) fn worst(&self) -> Option<&'a FindingRecord> {
        self.findings.iter().copied().find(|finding| finding.verdict == self.verdict)
    }

    /// Whether it has no verdict as not all was run: all that was measured passes, or is open and
    /// somebody says why the run ended.
    pub(super) fn is_unfinished(&self) -> bool {
        let is_open = self.worst().is_none_or(|worst| {
            worst.verdict == Verdict::Inconclusive && self.reason.is_some() && self.is_reached()
        });
        self.is_partial && !self.findings.is_empty() && is_open
    }

    /// How many requirements it has: a round trip may be found idle and loaded.
    pub(super) fn requirements(&self) -> usize {
        let is_new = |place: &usize| {
            let (before, finding) = (&self.findings[..*place], self.findings[*place]);
            let is_same = |it: &&FindingRecord| {
                it.metric == finding.metric && it.direction == finding.direction
            };
            !before.iter().any(is_same)
        };
        (0..self.findings.len()).filter(is_new).count()
    }

    /// How many requirements are INCONCLUSIVE where that is the worst, and several are, each for a
    /// reason of its own.
    pub(super) fn undecided(&self) -> Option<usize> {
        let is_worst = self.verdict == Verdict::Inconclusive && self.is_reached();
        let open = self.findings.iter().filter(|it| it.verdict == Verdict::Inconclusive);
        let reasons: BTreeSet<&str> = open.clone().map(|it| it.reason.as_str()).collect();
        (is_worst && 1 < reasons.len()).then(|| open.count())
    }

    /// Whether anything was measured there, or could have been: else one line says why not.
    pub(super) fn is_reached(&self) -> bool {
        let is_open = self.findings.is_empty() || self.findings.iter().any(|it| it.is_measured());
        let was_sent = |status| matches!(status, Status::Ok | Status::Partial | Status::Aborted);
        let is_begun = self.site.trials.iter().any(|trial| was_sent(trial.outcome.status));
        is_open || is_begun || self.site.ends.reason.is_none()
    }

    /// When its first trial began, and its last one ended: RFC 3339.
    pub(super) fn times<'b>(&'b self, report: &'b Report) -> (&'b str, &'b str) {
        let trials = &self.site.trials;
        let started = trials.iter().find_map(|trial| trial.started_at.as_deref());
        let ended = trials.iter().rev().find_map(|trial| trial.ended_at.as_deref());
        (started.unwrap_or(&report.started_at), ended.unwrap_or(&report.ended_at))
    }

    /// What limits its evidence.
    pub(super) fn caveats<'b>(
        &'b self,
        report: &'b Report,
    ) -> impl Iterator<Item = &'b CaveatRecord> {
        let is_here = |it: &&CaveatRecord| it.link == self.place && it.site == self.site.ends.site;
        report.caveats.iter().filter(is_here)
    }
    /// The metrics that `caveat` touches and something is required of, each once.
    pub(super) fn touched_by(&self, caveat: &CaveatRecord) -> Vec<Metric> {
        let is_touched = |finding: &FindingRecord| match (finding.direction, caveat.direction) {
            (Scope::Forward, Some(way)) => way == Direction::Forward,
            (Scope::Reverse, Some(way)) => way == Direction::Reverse,
            (Scope::RoundTrip, _) | (_, None) => true,
        };
        let is_required = |metric: &Metric| {
            self.findings.iter().any(|finding| finding.metric == *metric && is_touched(finding))
        };
        caveat.metrics.iter().copied().filter(is_required).collect()
    }
}
