//! What an agent may send in all, or accept: a bucket of octets of Ethernet frames.
//!
//! The bucket drains at the agent's limit. How full it is, whoever shares it keeps in one number:
//! the octets that the limit will have let pass when it is empty. So the bucket itself never
//! changes, and its owner may be any number of threads.

use super::LATE_MAX;
use crate::units::{BitRate, Span};

/// The least that the bucket holds, and the time in which a fast limit fills it.
const DEPTH_OCTETS_MIN: u64 = 64 << 10;
const DEPTH_SPAN: Span = Span::from_millis(20);

/// A rate, and how much above it may pass at once: over any time T no more than rate x T and the
/// depth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    rate: BitRate,
    depth: u64,
}

impl Allowance {
    /// That of an agent whose limit is `rate`: its bucket holds 64 KiB, or 20 ms of `rate`.
    #[must_use]
    pub fn of(rate: BitRate) -> Self {
        Self { rate, depth: rate.octets_in(DEPTH_SPAN).octets().max(DEPTH_OCTETS_MIN) }
    }

    /// That of one stream that was granted `rate`: a network that held back 2 s of it may deliver
    /// them at once.
    #[must_use]
    pub fn of_stream(rate: BitRate) -> Self {
        Self { rate, depth: rate.octets_in(LATE_MAX).octets().max(DEPTH_OCTETS_MIN) }
    }

    /// Octets that may pass at once.
    #[must_use]
    pub const fn depth(&self) -> u64 {
        self.depth
    }

    /// The level once `octets` more have passed, `elapsed` after the bucket was new, where it was
    /// at `level`; `None` where there is no room for them and `spare` octets beside.
    #[must_use]
    pub fn take(&self, level: u64, elapsed: Span, octets: u64, spare: u64) -> Option<u64> {
        let filled = self.charge(level, elapsed, octets);
        (self.held(filled, elapsed).saturating_add(spare) <= self.depth).then_some(filled)
    }

    /// The same where they have passed already, whether there was room or not.
    #[must_use]
    pub fn charge(&self, level: u64, elapsed: Span, octets: u64) -> u64 {
        level.max(self.drained(elapsed)).saturating_add(octets)
    }

    /// The same where what would fill more than three quarters of the bucket overflows. One that
    /// others filled beyond that stays as it is.
    #[must_use]
    pub fn charge_bounded(&self, level: u64, elapsed: Span, octets: u64) -> u64 {
        let most = self.drained(elapsed).saturating_add(self.depth - self.depth / 4);
        self.charge(level, elapsed, octets).min(most.max(level))
    }

    /// Octets that there is room for at `level`.
    #[must_use]
    pub fn room(&self, level: u64, elapsed: Span) -> u64 {
        self.depth.saturating_sub(self.held(level, elapsed))
    }

    /// Octets above the depth that have passed at `level`; 0 where there is room.
    #[must_use]
    pub fn excess(&self, level: u64, elapsed: Span) -> u64 {
        self.held(level, elapsed).saturating_sub(self.depth)
    }

    /// Whether what has passed above the depth would take a second to drain: that is no chance.
    #[must_use]
    pub fn is_broken(&self, level: u64, elapsed: Span) -> bool {
        self.rate.octets_in(Span::from_secs(1)).octets() < self.excess(level, elapsed)
    }

    fn held(&self, level: u64, elapsed: Span) -> u64 {
        level.saturating_sub(self.drained(elapsed))
    }

    fn drained(&self, elapsed: Span) -> u64 {
        self.rate.octets_in(elapsed).octets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allowance(rate: &str) -> Allowance {
        Allowance::of(rate.parse().expect("a rate"))
    }

    #[test]
    fn the_depth_is_64_kib_or_20_ms() {
        assert_eq!(allowance("1 Mbit/s").depth(), 65_536);
        assert_eq!(allowance("100 Mbit/s").depth(), 250_000);
        let of_stream = |rate: &str| Allowance::of_stream(rate.parse().expect("a rate")).depth();
        assert_eq!((of_stream("100 kbit/s"), of_stream("1 Mbit/s")), (65_536, 250_000));
    }

    #[test]
    fn the_depth_passes_at_once_and_then_the_rate() {
        // 1000 octets per millisecond.
        let allowance = allowance("8 Mbit/s");
        let full = allowance.take(0, Span::default(), 65_536, 0).expect("room");
        assert_eq!(allowance.take(full, Span::default(), 1, 0), None);
        assert_eq!(allowance.take(full, Span::from_millis(1), 1_001, 0), None);
        assert_eq!(allowance.take(full, Span::from_millis(1), 1_000, 1), None, "1 is to be spared");
        assert_eq!(allowance.take(full, Span::from_millis(1), 1_000, 0), Some(66_536));
    }

    #[test]
    fn what_passed_without_room_is_paid_back() {
        let allowance = allowance("8 Mbit/s");
        let level = allowance.charge(0, Span::default(), 65_536 + 1_000_001);
        assert_eq!(allowance.excess(level, Span::default()), 1_000_001);
        assert!(allowance.is_broken(level, Span::default()));
        assert!(!allowance.is_broken(level, Span::from_millis(1)));
        assert_eq!(allowance.excess(level, Span::from_millis(1_001)), 0);
        assert_eq!(allowance.take(level, Span::from_millis(1_001), 1_000, 0), None);
    }

    #[test]
    fn what_overflows_is_not_owed() {
        let allowance = allowance("8 Mbit/s");
        let second = Span::from_secs(1);
        let most = 1_000_000 + 49_152;
        assert_eq!(allowance.charge_bounded(0, second, 49_151), most - 1);
        assert_eq!(allowance.charge_bounded(0, second, 49_153), most);
        assert_eq!(allowance.charge_bounded(most + 7, second, 65_537), most + 7, "another's debt");
    }

    proptest! {
        /// Whoever asks for how much when: over no time passes more than the rate and one depth.
        #[test]
        fn no_more_passes_than_the_rate_and_one_depth(
            bits in 8_u64..1_000_000_000_000,
            asked in prop::collection::vec((0_u64..50_000_000, 1_u64..200_000), 1..200),
        ) {
            let rate = BitRate::new(bits).expect("above zero");
            let allowance = Allowance::of(rate);
            let (mut level, mut now) = (0, Span::default());
            let mut passed: Vec<(Span, u64)> = Vec::new();
            for (wait_ns, octets) in asked {
                now = now.plus(Span::from_nanos(wait_ns));
                if let Some(filled) = allowance.take(level, now, octets, 0) {
                    level = filled;
                    passed.push((now, octets));
                }
            }
            for (place, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (at, octets) in &passed[place..] {
                    sum += octets;
                    let most = rate.octets_in(at.minus(*from)).octets() + 1 + allowance.depth();
                    prop_assert!(sum <= most, "{sum} of {most}");
                }
            }
        }
    }
}
