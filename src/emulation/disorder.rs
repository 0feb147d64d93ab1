//! Who arrives twice, and who is held back so that others overtake.

use super::dice::Dice;
use super::{Applies, Class};

/// A rule of duplication. Packets are numbered from 1, among those that the rule applies to, the
/// lost ones included: one that is lost takes its turn, but has no copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duplicate {
    /// The packets n, 2n, 3n …; 0 is nobody.
    EveryNth {
        /// Every how many.
        n: u64,
        /// How long after the first one the copy arrives.
        gap_ns: u64,
    },
    /// Each packet by chance, on its own.
    Random {
        /// The share that arrives twice.
        ratio: f64,
        /// How long after the first one the copy arrives.
        gap_ns: u64,
    },
}

/// A rule of reordering, numbered as [`Duplicate`] is.
///
/// What is held back is overtaken only by packets that arrive within `extra_delay_ns` behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reorder {
    /// The packets n, 2n, 3n …; 0 is nobody.
    EveryNth {
        /// Every how many.
        n: u64,
        /// How much later than due the packet arrives.
        extra_delay_ns: u64,
    },
    /// Each packet by chance, on its own.
    Random {
        /// The share that is held back.
        ratio: f64,
        /// How much later than due the packet arrives.
        extra_delay_ns: u64,
    },
}

/// A rule of either kind at work: whom it strikes, and the nanoseconds that go with it.
#[derive(Debug)]
pub(super) struct DisorderRule {
    applies: Applies,
    strike: Strike,
    nanos: u64,
    number: u64,
    dice: Dice,
}

#[derive(Debug)]
enum Strike {
    EveryNth(u64),
    Random(f64),
}

impl DisorderRule {
    pub(super) const fn duplicate(applies: Applies, duplicate: Duplicate, dice: Dice) -> Self {
        let (strike, nanos) = match duplicate {
            Duplicate::EveryNth { n, gap_ns } => (Strike::EveryNth(n), gap_ns),
            Duplicate::Random { ratio, gap_ns } => (Strike::Random(ratio), gap_ns),
        };
        Self { applies, strike, nanos, number: 0, dice }
    }

    pub(super) const fn reorder(applies: Applies, reorder: Reorder, dice: Dice) -> Self {
        let (strike, nanos) = match reorder {
            Reorder::EveryNth { n, extra_delay_ns } => (Strike::EveryNth(n), extra_delay_ns),
            Reorder::Random { ratio, extra_delay_ns } => (Strike::Random(ratio), extra_delay_ns),
        };
        Self { applies, strike, nanos, number: 0, dice }
    }

    fn on_offer(&mut self, class: Class) -> Option<u64> {
        if !self.applies.covers(class) {
            return None;
        }
        self.number += 1;
        let struck = match self.strike {
            Strike::EveryNth(n) => self.number.is_multiple_of(n),
            Strike::Random(ratio) => self.dice.strikes(ratio),
        };
        struck.then_some(self.nanos)
    }
}

/// The nanoseconds of the first rule that strikes; all of them take their turn.
pub(super) fn first_struck(rules: &mut [DisorderRule], class: Class) -> Option<u64> {
    let mut struck = None;
    for rule in rules {
        let nanos = rule.on_offer(class);
        struck = struck.or(nanos);
    }
    struck
}

#[cfg(test)]
mod tests {
    use super::super::dice::Stream;
    use super::*;

    fn duplicate(applies: Applies, n: u64, gap_ns: u64) -> DisorderRule {
        let dice = Dice::new(7, Stream::Duplicate(0));
        DisorderRule::duplicate(applies, Duplicate::EveryNth { n, gap_ns }, dice)
    }

    #[test]
    fn of_several_rules_that_strike_the_first_counts_and_all_take_their_turn() {
        let mut rules = [duplicate(Applies::ToAll, 2, 20), duplicate(Applies::ToAll, 3, 30)];
        let struck = [(); 6].map(|()| first_struck(&mut rules, Class::Load));
        assert_eq!(struck, [None, Some(20), Some(30), Some(20), None, Some(20)]);
    }

    #[test]
    fn a_rule_counts_only_the_class_that_it_applies_to() {
        let mut rules = [duplicate(Applies::To(Class::Signal), 2, 20)];
        let classes = [Class::Signal, Class::Load, Class::Signal, Class::Probe];
        let struck = classes.map(|class| first_struck(&mut rules, class));
        assert_eq!(struck, [None, None, Some(20), None]);
    }

    #[test]
    fn a_random_rule_strikes_its_share() {
        let reorder = Reorder::Random { ratio: 0.1, extra_delay_ns: 5 };
        let dice = Dice::new(7, Stream::Reorder(0));
        let mut rules = [DisorderRule::reorder(Applies::ToAll, reorder, dice)];
        let struck =
            (0..10_000).filter(|_| first_struck(&mut rules, Class::Load) == Some(5)).count();
        // Binomial: mean 1000, deviation sqrt(10000 * 0.1 * 0.9) = 30; five of them are 150.
        assert!(struck.abs_diff(1_000) <= 150, "{struck}");
    }
}
