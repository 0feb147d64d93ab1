//! Blocks of probes, and how several of them are held against a bound.

use super::bounds::{Count, ProbeBound};
use crate::stats::confidence::{Confidence, loss_bounds};
use crate::stats::real;
use std::collections::VecDeque;

/// Blocks that are looked at together, and how many of them decide.
pub(super) const RECENT: usize = 5;
const DECIDING: usize = 3;

/// Blocks of an hour.
const LASTING: usize = 360;

/// Of those, blocks with something beyond the bound: fewer are single events, of which nothing
/// follows for an hour.
const SPREAD_MIN: usize = 10;

/// Probability that a block of a link at its bound is taken to be over it: 1 %.
const CONFIDENCE: f64 = 0.99;

/// How far a bound is kept.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Grade {
    /// Nothing shows otherwise.
    #[default]
    Kept,
    /// It is kept, and 80 % of it is not.
    Near,
    /// It is not kept.
    Over,
}

/// The blocks of one bound.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    pub(super) bound: ProbeBound,
    recent: VecDeque<(Grade, Count)>,
    lasting: VecDeque<Count>,
    sum: Count,
    grade: Grade,
}

impl Gauge {
    pub(super) fn new(bound: ProbeBound) -> Self {
        let (recent, lasting) = (VecDeque::new(), VecDeque::new());
        Self { bound, recent, lasting, sum: Count::default(), grade: Grade::Kept }
    }

    /// How far the bound is kept.
    pub(super) const fn grade(&self) -> Grade {
        self.grade
    }

    /// Takes a block that is over; one without probes says nothing.
    pub(super) fn push(&mut self, block: Count) {
        if block.sent == 0 {
            return;
        }
        self.recent.push_back((self.graded(block), block));
        self.lasting.push_back(block);
        self.sum = self.sum.plus(block);
        if RECENT < self.recent.len() {
            self.recent.pop_front();
        }
        if LASTING < self.lasting.len()
            && let Some(gone) = self.lasting.pop_front()
        {
            self.sum.sent -= gone.sent;
            self.sum.over -= gone.over;
            self.sum.near -= gone.near;
        }
        self.grade = self.judged();
    }

    /// A grade is entered by 3 of 5 blocks, and left when none of 5 shows it.
    fn judged(&self) -> Grade {
        let showing = |grade| self.recent.iter().filter(|(block, _)| grade <= *block).count();
        let holds = |grade| match grade <= self.grade {
            true => 0 < showing(grade),
            false => DECIDING <= showing(grade),
        };
        let lasting = self.lasting();
        [Grade::Over, Grade::Near]
            .into_iter()
            .find(|grade| holds(*grade) || *grade <= lasting)
            .unwrap_or_default()
    }

    /// What an hour shows that no block does.
    fn lasting(&self) -> Grade {
        let spread = |beyond: fn(&Count) -> u64| {
            SPREAD_MIN <= self.lasting.iter().filter(|block| 0 < beyond(block)).count()
        };
        match self.graded(self.sum) {
            Grade::Over if spread(|block| block.over) => Grade::Over,
            Grade::Over | Grade::Near if spread(|block| block.near) => Grade::Near,
            _ => Grade::Kept,
        }
    }

    fn graded(&self, count: Count) -> Grade {
        let exceeds = |beyond: u64, allowed: f64| {
            // The usual block has nothing beyond its bound.
            0 < beyond && allowed < least_share(beyond, count.sent)
        };
        if exceeds(count.over, self.bound.allowed) {
            Grade::Over
        } else if exceeds(count.near, self.bound.allowed_near()) {
            Grade::Near
        } else {
            Grade::Kept
        }
    }

    /// The share of the probes beyond the bound, or beyond 80 % of it, of the blocks that show it.
    pub(super) fn share(&self) -> f64 {
        let recent = self.recent.iter().fold(Count::default(), |sum, (_, block)| sum.plus(*block));
        let shown = match self.recent.iter().any(|(grade, _)| self.grade <= *grade) {
            true => recent,
            false => self.sum,
        };
        let beyond = if self.grade == Grade::Over { shown.over } else { shown.near };
        real(beyond) / real(shown.sent.max(1))
    }
}

/// The share that is exceeded with the confidence above.
fn least_share(beyond: u64, sent: u64) -> f64 {
    let confidence = Confidence::new(CONFIDENCE).unwrap_or_default();
    loss_bounds(beyond, sent, confidence).map_or(0.0, |bounds| bounds.low)
}

#[cfg(test)]
mod tests {
    use super::super::bounds::Counts;
    use super::super::words::{Cause, Subject};
    use super::*;

    fn gauge(allowed: f64) -> Gauge {
        Gauge::new(ProbeBound {
            subject: Subject::Forward,
            cause: Cause::Loss,
            counts: Counts::Lost,
            required: "loss".to_owned(),
            allowed,
        })
    }

    fn lost(lost: u64) -> Count {
        Count { sent: 200, over: lost, near: lost }
    }

    /// Of 200 probes at 0.1 % two or more are lost in 1.7 % of blocks, three or more in 0.1 %.
    #[test]
    fn three_of_five_blocks_are_needed_and_five_without_end_it() {
        let mut gauge = gauge(0.001);
        for (count, expected) in [
            (3, Grade::Kept),
            (0, Grade::Kept),
            (3, Grade::Kept),
            (0, Grade::Kept),
            (4, Grade::Over),
            (0, Grade::Over),
            (0, Grade::Over),
            (0, Grade::Over),
            (0, Grade::Over),
            (0, Grade::Kept),
            (2, Grade::Kept),
            (2, Grade::Kept),
            (2, Grade::Kept),
        ] {
            gauge.push(lost(count));
            assert_eq!(gauge.grade(), expected, "{:?}", gauge.recent);
        }
        // What has no probes says nothing.
        gauge.push(Count::default());
        assert_eq!(gauge.recent.len(), 5);
    }

    /// A second without a single probe is an event, and one probe in each second block is loss.
    #[test]
    fn an_hour_shows_what_is_too_thin_for_a_block_and_no_single_event() {
        let mut single = gauge(0.0001);
        let mut thin = gauge(0.001);
        for block in 0..LASTING {
            single.push(lost(if block == 9 { 20 } else { 0 }));
            thin.push(lost(if block % 2 == 0 { 1 } else { 0 }));
        }
        assert_eq!((single.grade(), thin.grade()), (Grade::Kept, Grade::Over));
        assert!((thin.share() - 0.0025).abs() < 1e-4, "{}", thin.share());
        // An hour later nothing of it is left.
        (0..LASTING).for_each(|_| thin.push(lost(0)));
        assert_eq!(
            (thin.grade(), thin.sum),
            (Grade::Kept, Count { sent: 72_000, over: 0, near: 0 })
        );
    }

    #[test]
    fn above_80_percent_of_a_bound_is_near_it() {
        let mut gauge = gauge(0.01);
        // An hour at 0.9 %: its lower bound is above 0.8 %.
        (0..LASTING).for_each(|block| gauge.push(lost(if block % 5 == 0 { 1 } else { 2 })));
        assert_eq!(gauge.grade(), Grade::Near);
    }
}
