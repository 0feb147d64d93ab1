//! Who is lost, and by which rule.

use super::dice::Dice;
use super::{Applies, Cause, Class};
use std::collections::BTreeSet;

/// A rule of loss. Packets are numbered from 1, among those that the rule applies to.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// The packets n, 2n, 3n …; 0 is nobody.
    EveryNth(u64),
    /// The packets 1 to n.
    First(u64),
    /// All packets behind the n-th, without end.
    After(u64),
    /// Exactly the packets with these numbers.
    Listed(BTreeSet<u64>),
    /// Each packet by chance, on its own.
    Random {
        /// The share that is lost.
        ratio: f64,
    },
    /// Loss in bursts: a line that is good or bad, each with a loss of its own.
    ///
    /// It starts good, and may change before each packet. In the long run it is bad for a share of
    /// `enter / (enter + leave)` of the packets, for `1 / leave` packets on end on average.
    /// (Gilbert 1960, with Elliott's loss in the good state, 1963.)
    GilbertElliott {
        /// The chance to turn bad, per packet.
        enter: f64,
        /// The chance to turn good, per packet.
        leave: f64,
        /// The share that is lost while the line is bad.
        loss_in_bad: f64,
        /// The share that is lost while the line is good.
        loss_in_good: f64,
    },
    /// Each packet offered during one of these; what was offered before still arrives.
    Outages(Vec<Outage>),
}

/// A time in which nothing enters the line: from `start_ns`, up to but without its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outage {
    /// Nanoseconds since the line's epoch.
    pub start_ns: u64,
    /// How long it lasts; 0 is no outage.
    pub duration_ns: u64,
}

impl Outage {
    const fn covers(self, since_epoch_ns: u64) -> bool {
        self.start_ns <= since_epoch_ns && since_epoch_ns - self.start_ns < self.duration_ns
    }
}

/// A rule of loss at work.
#[derive(Debug)]
pub(super) struct LossRule {
    applies: Applies,
    loss: Loss,
    number: u64,
    weather: Weather,
    dice: Dice,
}

/// The state of the line as [`Loss::GilbertElliott`] has it; `Good` for ever with other rules.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Good,
    Bad,
}

impl LossRule {
    pub(super) const fn new(applies: Applies, loss: Loss, dice: Dice) -> Self {
        Self { applies, loss, number: 0, weather: Weather::Good, dice }
    }

    /// Whether the rule loses the next packet, of `class`; `None` for the time is before the epoch.
    pub(super) fn on_offer(&mut self, class: Class, since_epoch_ns: Option<u64>) -> Option<Cause> {
        if !self.applies.covers(class) {
            return None;
        }
        self.number += 1;
        let lost = match &self.loss {
            Loss::EveryNth(n) => self.number.is_multiple_of(*n),
            Loss::First(n) => self.number <= *n,
            Loss::After(n) => *n < self.number,
            Loss::Listed(numbers) => numbers.contains(&self.number),
            Loss::Random { ratio } => self.dice.strikes(*ratio),
            Loss::GilbertElliott { enter, leave, loss_in_bad, loss_in_good } => {
                self.weather = self.weather.next(*enter, *leave, &mut self.dice);
                self.dice.strikes(match self.weather {
                    Weather::Good => *loss_in_good,
                    Weather::Bad => *loss_in_bad,
                })
            }
            Loss::Outages(outages) => {
                let since_epoch_ns = since_epoch_ns?;
                let out = outages.iter().any(|outage| outage.covers(since_epoch_ns));
                return out.then_some(Cause::Outage);
            }
        };
        lost.then_some(Cause::Rule)
    }
}

impl Weather {
    fn next(self, enter: f64, leave: f64, dice: &mut Dice) -> Self {
        match self {
            Self::Good if dice.strikes(enter) => Self::Bad,
            Self::Bad if dice.strikes(leave) => Self::Good,
            unchanged => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::Stream;
    use super::*;

    fn rule(applies: Applies, loss: Loss) -> LossRule {
        LossRule::new(applies, loss, Dice::new(7, Stream::Loss(0)))
    }

    /// The numbers, from 1, of the packets that `loss` loses out of `count`.
    fn lost(loss: Loss, count: u64) -> Vec<u64> {
        let mut rule = rule(Applies::ToAll, loss);
        (1..=count).filter(|_| rule.on_offer(Class::Load, Some(0)).is_some()).collect()
    }

    #[test]
    fn counted_rules_lose_exactly_the_packets_that_they_name() {
        assert_eq!(lost(Loss::EveryNth(3), 10), [3, 6, 9]);
        assert_eq!(lost(Loss::EveryNth(1), 3), [1, 2, 3]);
        assert!(lost(Loss::EveryNth(0), 3).is_empty());
        assert_eq!(lost(Loss::First(2), 5), [1, 2]);
        assert!(lost(Loss::First(0), 5).is_empty());
        assert_eq!(lost(Loss::After(2), 5), [3, 4, 5]);
        assert_eq!(lost(Loss::After(0), 2), [1, 2]);
        assert_eq!(lost(Loss::Listed([2, 3, 9].into()), 5), [2, 3]);
    }

    #[test]
    fn a_rule_counts_only_the_class_that_it_applies_to() {
        let mut rule = rule(Applies::To(Class::Probe), Loss::EveryNth(2));
        assert_eq!(rule.on_offer(Class::Probe, None), None);
        assert_eq!(rule.on_offer(Class::Load, None), None);
        assert_eq!(rule.on_offer(Class::Signal, None), None);
        assert_eq!(rule.on_offer(Class::Probe, None), Some(Cause::Rule));
    }

    #[test]
    fn an_outage_holds_from_its_start_up_to_but_without_its_end() {
        let outages = vec![
            Outage { start_ns: 100, duration_ns: 10 },
            Outage { start_ns: 50, duration_ns: 0 },
            Outage { start_ns: u64::MAX, duration_ns: 1 },
        ];
        let mut rule = rule(Applies::ToAll, Loss::Outages(outages));
        let mut check = |since_epoch_ns, expected| {
            assert_eq!(rule.on_offer(Class::Load, since_epoch_ns), expected, "{since_epoch_ns:?}");
        };
        check(None, None);
        check(Some(50), None);
        check(Some(99), None);
        check(Some(100), Some(Cause::Outage));
        check(Some(109), Some(Cause::Outage));
        check(Some(110), None);
        check(Some(u64::MAX), Some(Cause::Outage));
    }

    #[test]
    fn random_loss_loses_its_share() {
        // Binomial: mean 1000, deviation sqrt(100000 * 0.01 * 0.99) = 31.5; five of them are 157.
        let count = lost(Loss::Random { ratio: 0.01 }, 100_000).len();
        assert!(count.abs_diff(1_000) <= 157, "{count}");
    }

    #[test]
    fn gilbert_elliott_loses_its_share_in_bursts_of_its_length() {
        let loss =
            Loss::GilbertElliott { enter: 0.01, leave: 0.25, loss_in_bad: 1.0, loss_in_good: 0.0 };
        let lost = lost(loss, 200_000);
        // Bad for p = 0.01 / 0.26 of the packets: 7692. Neighbours correlate by r = 1 - 0.26, so
        // the deviation is sqrt(200000 * p * (1 - p) * (1 + r) / (1 - r)) = 222; five are 1112.
        assert!(lost.len().abs_diff(7_692) <= 1_112, "{}", lost.len());
        // About 1923 bursts of geometric length: mean 4, deviation of the mean
        // sqrt(0.75) / 0.25 / sqrt(1923) = 0.079; five of them are 0.4. So 4.4 to 3.6 packets each.
        let bursts = 1 + lost.windows(2).filter(|pair| pair[0] + 1 < pair[1]).count();
        assert!(bursts * 36 <= lost.len() * 10, "{bursts} bursts, {} lost", lost.len());
        assert!(lost.len() * 10 <= bursts * 44, "{bursts} bursts, {} lost", lost.len());
    }

    #[test]
    fn gilbert_elliott_loses_in_the_good_state_too() {
        let loss =
            Loss::GilbertElliott { enter: 0.0, leave: 0.0, loss_in_bad: 0.0, loss_in_good: 1.0 };
        assert_eq!(lost(loss, 3), [1, 2, 3]);
    }
}
