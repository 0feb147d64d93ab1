//! Which trial comes next, given what the ones before it showed.

use crate::flow::{Outcome, Status};
use crate::plan::Trial;
use std::collections::VecDeque;

/// The trials of a run, and what came of them.
#[derive(Debug)]
pub struct Campaign {
    ahead: VecDeque<Trial>,
    outcomes: Vec<Outcome>,
}

impl Campaign {
    /// A campaign of `trials`, in order.
    #[must_use]
    pub fn new(trials: Vec<Trial>) -> Self {
        Self { ahead: trials.into(), outcomes: Vec::new() }
    }

    /// The next trial; `None` when all have run.
    pub fn next_trial(&mut self) -> Option<Trial> {
        self.ahead.pop_front()
    }

    /// A trial is over. One that was cut short is the last; load is spared a line that is dead.
    pub fn handle_outcome(&mut self, outcome: Outcome) {
        let reason = match outcome.status {
            Status::Ok if outcome.round_trip.measured() == 0 => "no probe came back before it",
            Status::Ok => "",
            Status::Partial | Status::Refused | Status::NotRun => {
                "the trial before it was cut short"
            }
        };
        self.outcomes.push(outcome);
        if !reason.is_empty() {
            self.abandon(reason);
        }
    }

    /// No further trial runs, because of `reason`.
    pub fn abandon(&mut self, reason: &str) {
        let skipped = self.ahead.drain(..);
        let nothing = |trial| Outcome::nothing(trial, Status::NotRun, reason.to_owned());
        self.outcomes.extend(skipped.map(nothing));
    }

    /// What came of the trials so far.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Whether every trial has run to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ahead.is_empty() && self.outcomes.iter().all(|outcome| outcome.status == Status::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn trial() -> Trial {
        Trial::new(None, Span::from_secs(10)).expect("a trial")
    }

    fn outcome(status: Status, answered: bool) -> Outcome {
        let mut outcome = Outcome::nothing(trial(), status, String::new());
        if answered {
            outcome.round_trip.record(1_000);
        }
        outcome
    }

    #[test]
    fn trials_run_in_order_to_the_last() {
        let mut campaign = Campaign::new(vec![trial(), trial()]);
        for _ in 0..2 {
            assert!(campaign.next_trial().is_some());
            campaign.handle_outcome(outcome(Status::Ok, true));
        }
        assert!(campaign.next_trial().is_none());
        assert!(campaign.is_complete());
    }

    #[test]
    fn a_dead_line_is_not_loaded_and_a_cut_trial_is_the_last() {
        for first in [outcome(Status::Ok, false), outcome(Status::Partial, true)] {
            let mut campaign = Campaign::new(vec![trial(), trial()]);
            campaign.next_trial();
            campaign.handle_outcome(first);
            assert!(campaign.next_trial().is_none());
            assert_eq!(campaign.outcomes()[1].status, Status::NotRun);
            assert!(!campaign.is_complete());
        }
    }
}
