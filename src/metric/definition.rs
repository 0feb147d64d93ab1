//! By which law a metric is measured, judged and planned for: what each metric's own file says, and
//! nobody repeats.

use super::about::Metric;
use super::criteria::{Criteria, Measured};
use super::requirement::{Limit, Requirement};
use crate::account::PathMtu;
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::trial::Trial;
use crate::units::{BitRate, Span};

/// One requirement in one direction, among all that is required of a link.
#[derive(Clone, Copy, Debug)]
pub struct Criterion<'a> {
    /// The link, and all that is required of it.
    pub criteria: &'a Criteria,
    /// Which way; `None` for the round trip.
    pub direction: Option<Direction>,
    /// What is required.
    pub requirement: Requirement,
}

impl<'a> Criterion<'a> {
    /// What `criteria` require of `metric` in `direction`; `None` where that is nothing.
    #[must_use]
    pub fn of(
        criteria: &'a Criteria,
        metric: Metric,
        direction: Option<Direction>,
    ) -> Option<Self> {
        let requirement = criteria.requirements.of(metric, direction)?;
        Some(Self { criteria, direction, requirement })
    }

    /// What bounds the metric.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.requirement.limit()
    }

    /// Whether packets of `trial` cross where it is asked about.
    #[must_use]
    pub fn covers(&self, trial: &Trial) -> bool {
        self.direction.is_none_or(|direction| trial.covers(direction))
    }

    /// The direction behind a word, in a sentence; nothing where it is the round trip.
    #[must_use]
    pub fn named(&self) -> String {
        self.direction.map_or_else(String::new, |direction| format!(" {direction}"))
    }
}

/// How long a trial has to be for what it is to prove.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    /// So long.
    pub takes: Span,
    /// What needs it, and why.
    pub because: String,
}

/// What the proof of a requirement takes, and what becomes of it by the trials that judge it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prospect {
    /// What its proof takes.
    pub needs: String,
    /// Whether it has that.
    pub chance: Chance,
}

/// Whether a requirement can be proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Chance {
    /// It can pass and it can fail.
    Provable,
    /// Neither is sure to be reached: why.
    Partly(String),
    /// It is INCONCLUSIVE at best, however good the link is: why.
    Unprovable(String),
}

/// The law of a metric. Whoever judges, doubts, plans or foretells asks here, so that all of them
/// mean the same trials by it.
///
/// Only trials in which packets cross in the direction asked about are ever asked about.
pub trait Definition: Sync {
    /// Whether the evidence of `trial` has something to say about it.
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool;

    /// Whether a trial that speaks can show that it is met, and not only that it is not.
    fn can_pass(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> bool {
        true
    }

    /// What `run`, whose trial speaks, shows; `None` where that turns out to be nothing.
    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured>;

    /// The same in the light of what else was found out about the path.
    fn beside(
        &self,
        _criterion: &Criterion<'_>,
        _evidence: &Evidence,
        measured: Measured,
    ) -> Measured {
        measured
    }

    /// What the path itself shows, whatever its trials do.
    fn of_path(&self, _criterion: &Criterion<'_>, _path: PathMtu) -> Option<Measured> {
        None
    }

    /// What several runs show together, where their counts add up.
    fn together(&self, _criterion: &Criterion<'_>, _runs: &[&TrialRun]) -> Option<Measured> {
        None
    }

    /// Whether `run` proved neither that it is met nor that it is not, and a longer trial might.
    fn is_open(&self, _criterion: &Criterion<'_>, _run: &TrialRun) -> bool {
        false
    }

    /// The rate of payload that it asks of the load of `trial`; `None` where it asks none.
    fn payload_rate(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<BitRate> {
        None
    }

    /// The shortest time without an arrival that `trial` has to record for it.
    fn silence_min(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<Span> {
        None
    }

    /// How long `trial`, which speaks, has to be for its proof; `None` where any length does.
    fn takes(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<Need>;

    /// How long `trial`, which speaks, has to be to prove all of it, where less proves a part:
    /// what a trial whose length nobody asked for is given. `None` where any length does.
    fn takes_in_full(&self, _criterion: &Criterion<'_>) -> Option<Span> {
        None
    }

    /// The same by what the idle link showed.
    fn takes_after(
        &self,
        _criterion: &Criterion<'_>,
        _trial: &Trial,
        _idle: &TrialRun,
    ) -> Option<Need> {
        None
    }

    /// What `trial`, which speaks, will not prove for its length, in sentences.
    fn shortfalls(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Vec<String> {
        Vec::new()
    }

    /// Why no run can prove it, where an agent whose limit is `rate_max` allows no more than
    /// `trials`: then none is begun.
    fn refusal(
        &self,
        _criterion: &Criterion<'_>,
        _trials: &[Trial],
        _rate_max: BitRate,
    ) -> Option<String> {
        None
    }

    /// What its proof takes, and whether `trials`, all of which judge it, have that.
    fn prospect(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect;

    /// Why none of `trials` judges it.
    fn unjudged(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> String;

    /// Why nothing was measured, where no trial spoke.
    fn unmeasured(&self) -> &'static str;
}
