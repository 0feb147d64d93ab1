//! What a metric is computed by: the question, and the form of its answer.

use super::requirement::Requirements;
use crate::account::{OneWayCounts, Status};
use crate::direction::{Direction, PerDirection};
use crate::flow::TrialRun;
use crate::framing::{Framing, IpVersion, Layer};
use crate::stats::confidence::Confidence;
use crate::trial::{Load, LoadKind, Trial};
use crate::units::{BitRate, BurstSize, Ratio};

/// What every computation here needs to know of the link and of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Criteria {
    /// What is required.
    pub requirements: Requirements,
    /// What the provider has committed to; load above it is overshoot.
    pub committed: PerDirection<Option<BitRate>>,
    /// What a policer or shaper may carry beside that from a full bucket.
    pub burst: PerDirection<BurstSize>,
    /// The layer that rates count.
    pub layer: Layer,
    /// What stands around a payload.
    pub framing: Framing,
}

impl Criteria {
    /// What `requirements` ask of a link without tags over `ip`, of which nothing else is known.
    #[must_use]
    pub fn plain(requirements: Requirements, ip: IpVersion) -> Self {
        Self {
            requirements,
            committed: PerDirection::default(),
            burst: PerDirection::default(),
            layer: Layer::default(),
            framing: Framing::plain(ip),
        }
    }

    /// The confidence of each one-sided bound.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        Confidence::new(self.requirements.confidence.as_fraction()).unwrap_or_default()
    }

    /// The same question, with bounds that hold at `confidence`.
    #[must_use]
    pub fn at(&self, confidence: Confidence) -> Self {
        let asked = self.requirements.confidence;
        let confidence = Ratio::from_fraction(confidence.value()).unwrap_or(asked);
        let mut requirements = self.requirements.clone();
        requirements.confidence = confidence;
        Self { requirements, ..*self }
    }

    /// Whether the UDP load of `trial` is what the link is to carry in `direction`: not as fast as
    /// can be, and with its probes and heartbeats not above what is committed.
    #[must_use]
    pub fn is_carried(&self, trial: &Trial, direction: Direction) -> bool {
        let Some(load) = trial.load().filter(|load| load.rate(direction).is_some()) else {
            return false;
        };
        let rate = trial.asked_at(direction, self.framing, self.layer);
        let committed = *self.committed.get(direction);
        let within = committed.is_none_or(|committed| rate.is_none_or(|rate| rate <= committed));
        load.kind() == LoadKind::FixedRate && within
    }

    /// Whether delays of `trial` are those of a line that is idle, or carries no more than it must.
    #[must_use]
    pub fn is_at_ease(&self, trial: &Trial) -> bool {
        let carried = |load: &Load| {
            let mut directions = load.directions().iter();
            directions.all(|direction| self.is_carried(trial, direction))
        };
        trial.is_idle() || trial.load().is_some_and(carried)
    }
}

/// A number that was measured, or why it was not. "No packet was lost" is not "no packet was sent".
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Sampled: the true value is at least `low`, and at most `high`, each at the confidence asked.
    Sampled {
        /// The best guess; `None` where it is infinite (a lost probe has no end to its delay).
        value: Option<f64>,
        /// One-sided lower bound; `None` where the samples are too few for one, or it is infinite.
        low: Option<f64>,
        /// One-sided upper bound; `None` likewise.
        high: Option<f64>,
        /// The lower bound if all that this tester cannot vouch for had gone the line's way.
        low_at_best: Option<f64>,
        /// The upper bound if all of it had gone the other way.
        high_at_worst: Option<f64>,
        /// Whether `low` is missing because it is infinite.
        unbounded: bool,
        /// How many samples there were.
        samples: u64,
        /// Why it is open, and what would close it, where that is not the width of the interval.
        open: Option<String>,
    },
    /// Counted exactly.
    Counted {
        /// The number.
        value: f64,
        /// Whether the counts meet the requirement; `None` where they prove neither.
        meets: Option<bool>,
        /// Whether they would if all that this tester cannot vouch for had gone the line's way.
        meets_at_best: Option<bool>,
        /// What a PASS proves, where that is less than the requirement.
        proven: Option<f64>,
        /// The counts, in words.
        counts: String,
    },
    /// No number: the reason, as the report gives it.
    Missing(String),
}

pub(super) fn account_missing(run: &TrialRun, one_way: &OneWayCounts) -> Measured {
    if run.outcome.status == Status::Aborted {
        let reason = run.outcome.reason.as_deref().unwrap_or("it was stopped");
        return Measured::Missing(format!("the trial is not judged: {reason}"));
    }
    if run.outcome.status == Status::NotRun || run.outcome.status == Status::Refused {
        let reason = run.outcome.reason.as_deref().unwrap_or("it was not reached");
        return Measured::Missing(format!("the trial was not run: {reason}"));
    }
    let has_come = one_way.receiver.is_some() || one_way.tcp_receiver.is_some();
    let whose = if has_come { "sender" } else { "receiver" };
    Measured::Missing(format!("the {whose}'s account did not arrive"))
}
