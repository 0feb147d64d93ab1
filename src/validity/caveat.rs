//! A caveat: what it touches, and which way.

use crate::direction::Direction;
use crate::metric::{Basis, Metric};

/// Which way a caveat may have moved a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bias {
    /// It can only have made the line look worse: FAIL becomes INVALID, PASS stands.
    CanOnlyWorsen,
    /// Likewise, by packets that were counted: FAIL stands where it does without them.
    CanOnlyWorsenBy(u64),
    /// It may have moved the number either way: PASS and FAIL become INVALID.
    Either,
    /// Likewise, by samples that were counted and bounded: PASS stands where it does with each of
    /// them at its worst, FAIL where it does with each at its best.
    EitherBy(u64),
}

/// Something that this tester cannot vouch for; it touches the metrics that are made of what it
/// doubts, and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caveat {
    /// The evidence that it doubts.
    pub doubts: &'static [Basis],
    /// The direction; `None` for all.
    pub direction: Option<Direction>,
    /// The trial: its place among those of its site; `None` where it is of no single trial.
    pub trial: Option<usize>,
    /// Which way it may have moved them.
    pub bias: Bias,
    /// What happened, and what to do.
    pub text: String,
}

impl Caveat {
    /// The metrics that it touches.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        Metric::made_of(self.doubts)
    }

    /// Whether it touches this number. A round trip is of both directions.
    #[must_use]
    pub fn touches(
        &self,
        metric: Metric,
        direction: Option<Direction>,
        trial: Option<usize>,
    ) -> bool {
        let same_way = self.direction.zip(direction).is_none_or(|(mine, its)| mine == its);
        self.trial == trial && same_way && self.metrics().contains(&metric)
    }
}

/// A share above which a sender was too slow to be believed: 1 %.
pub(super) const SHORT_MAX_PERCENT: u64 = 1;

/// What one direction of a trial is doubted for: the evidence, which way, and why.
pub(super) type Concern = (&'static [Basis], Bias, String);

/// The hosts of the sender and of the receiver.
pub(super) const fn hosts(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Forward => ("this host", "the agent's host"),
        Direction::Reverse => ("the agent's host", "this host"),
    }
}
