//! What a load run says of a link's state.

use super::NEAR;
use super::words::{Current, State, Subject};
use crate::report::{BoundText, FindingRecord, Report, Scope};
use crate::verdict::Verdict;

/// What a load run says of one direction, or of the round trip.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum LoadVerdict {
    /// Nothing: it was not judged, or the evidence does not decide.
    #[default]
    Open,
    /// All is as required.
    Pass,
    /// It is, and above 80 % of a bound.
    Near,
    /// It is not.
    Fail,
}

/// A load run that is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadResult {
    /// When it ended, in seconds since 1970.
    pub at_s: i64,
    /// Its name.
    pub run: String,
    /// What it says of each subject, and why, in the order of [`Subject::ALL`].
    pub verdicts: [(LoadVerdict, String); 3],
    /// Until when a failure may be confirmed by another run; `None` where it may not.
    pub confirm_until_s: Option<i64>,
    /// Whether a failure is believed.
    pub(super) is_confirmed: bool,
}

impl LoadResult {
    /// A run of which nothing is known.
    pub(super) fn none(at_s: i64) -> Self {
        let verdicts = Subject::ALL.map(|_| (LoadVerdict::Open, String::new()));
        let run = String::new();
        Self { at_s, run, verdicts, confirm_until_s: None, is_confirmed: false }
    }

    /// What the run of `report`, which ended at `at_s`, says of the link at `place` in it, towards
    /// `site`.
    #[must_use]
    pub fn of(report: &Report, place: usize, site: &str, at_s: i64) -> Self {
        let mut load = Self::none(at_s);
        load.run.clone_from(&report.run);
        let of_link = |it: &&FindingRecord| it.link == place && it.site == site;
        for finding in report.findings.iter().filter(of_link) {
            let verdict = verdict(report, finding);
            let held = &mut load.verdicts[subject(finding.direction).place()];
            if held.0 < verdict {
                let near =
                    if verdict == LoadVerdict::Near { ": above 80 % of the bound" } else { "" };
                *held = (verdict, format!("{}: {}{near}", finding.metric.name(), finding.reason));
            }
        }
        load
    }

    /// Whether it shows that the link does not do what it must.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.verdicts.iter().any(|(verdict, _)| *verdict == LoadVerdict::Fail)
    }

    /// Whether nothing in it speaks to any requirement.
    fn is_open(&self) -> bool {
        self.verdicts.iter().all(|(verdict, _)| *verdict == LoadVerdict::Open)
    }

    pub(super) fn is_unconfirmed(&self) -> bool {
        self.failed() && !self.is_confirmed && self.confirm_until_s.is_some()
    }

    /// It follows `before`: a failure after one is confirmed, and what says nothing leaves what was
    /// known.
    pub(super) fn after(mut self, before: Option<Self>) -> Self {
        match before {
            Some(before) if self.is_open() => before,
            Some(before) if before.failed() => {
                self.is_confirmed = true;
                self
            }
            _ => self,
        }
    }

    /// Believes a failure that can no longer be confirmed.
    pub(super) fn handle_time(&mut self, now_s: i64) {
        if self.confirm_until_s.is_some_and(|until_s| until_s <= now_s) {
            self.confirm_until_s = None;
        }
    }

    /// What it says of `subject`, and since when: a failure that waits to be confirmed says nothing
    /// yet.
    pub(super) fn standing(&self, subject: Subject) -> Option<(LoadVerdict, String, i64)> {
        let (verdict, why) = &self.verdicts[subject.place()];
        let waits = *verdict == LoadVerdict::Fail && self.is_unconfirmed();
        (!waits).then(|| (*verdict, why.clone(), self.at_s))
    }

    /// Takes what the history, or a file, has of a state that a load run led to.
    pub(super) fn restore(&mut self, before: &Current) {
        let verdict = match before.state {
            State::Fail => LoadVerdict::Fail,
            State::Warning => LoadVerdict::Near,
            _ => return,
        };
        self.verdicts[before.subject.place()] = (verdict, before.reason.clone());
        self.is_confirmed = true;
    }
}

const fn subject(scope: Scope) -> Subject {
    match scope {
        Scope::Forward => Subject::Forward,
        Scope::Reverse => Subject::Reverse,
        Scope::RoundTrip => Subject::RoundTrip,
    }
}

fn verdict(report: &Report, finding: &FindingRecord) -> LoadVerdict {
    match finding.verdict {
        Verdict::Fail => LoadVerdict::Fail,
        Verdict::Pass if is_near(report, finding) => LoadVerdict::Near,
        Verdict::Pass => LoadVerdict::Pass,
        Verdict::Inconclusive | Verdict::Invalid => LoadVerdict::Open,
    }
}

/// Whether the value is above 80 % of the bound. A link that carries what is required, and was
/// offered no more, is not near its limit: a throughput is where it was sent as fast as possible.
/// What a path carries in one piece is met or not.
fn is_near(report: &Report, finding: &FindingRecord) -> bool {
    let Some(value) = finding.value else { return false };
    match finding.relation {
        BoundText::AtMost => finding.bound * NEAR < value,
        BoundText::AtLeast if finding.unit == "bit/s" => {
            is_capacity(report, finding) && value * NEAR < finding.bound
        }
        BoundText::AtLeast => false,
    }
}

fn is_capacity(report: &Report, finding: &FindingRecord) -> bool {
    let trials = report.links.iter().flat_map(|link| &link.sites).flat_map(|site| &site.trials);
    let mut decided = trials.filter(|trial| Some(trial.trial) == finding.trial);
    decided.any(|trial| {
        let asked = &trial.asked;
        asked.udp.is_some_and(|udp| udp.capacity)
            || asked.tcp.as_ref().is_some_and(|tcp| tcp.capacity)
    })
}
