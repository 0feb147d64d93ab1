//! How many packets of a stream are read, or answered: what its sender was granted, with what an
//! honest network makes of it.

use super::LATE_MAX;
use crate::clock::Stamp;
use crate::units::{PacketRate, Span};

/// Packets beyond the schedule that always pass: a few of a slow stream.
const BURST: u64 = 128;

/// A rate of packets, or of anything else, that may pass, and how many of them at once.
#[derive(Clone, Copy, Debug)]
pub struct Intake<C> {
    rate: PacketRate,
    /// How often each packet may come.
    copies: u64,
    depth: u64,
    since: Stamp<C>,
    /// What passed by now, where it was never less than what the rate would have let pass.
    level: u64,
}

impl<C> Intake<C> {
    /// That of `rate`, each packet as often as `copies`, from `now` on. A network may hold 2 s of
    /// them back and deliver them at once.
    #[must_use]
    pub fn new(rate: PacketRate, copies: u64, now: Stamp<C>) -> Self {
        let depth = rate.packets_in(LATE_MAX).saturating_mul(copies).saturating_add(BURST);
        Self { copies, ..Self::of(rate, depth, now) }
    }

    /// That of `rate`, and of `depth` at once.
    #[must_use]
    pub const fn of(rate: PacketRate, depth: u64, now: Stamp<C>) -> Self {
        Self { rate, copies: 1, depth, since: now, level: 0 }
    }

    /// Whether more may pass at `now`.
    #[must_use]
    pub fn is_open(&self, now: Stamp<C>) -> bool {
        self.level < self.due(now).saturating_add(self.depth)
    }

    /// So many have passed at `now`.
    pub fn take(&mut self, now: Stamp<C>, packets: u64) {
        self.level = self.level.max(self.due(now)).saturating_add(packets);
    }

    /// Whether one more passes at `now`.
    pub fn passes(&mut self, now: Stamp<C>) -> bool {
        let is_open = self.is_open(now);
        if is_open {
            self.take(now, 1);
        }
        is_open
    }

    fn due(&self, now: Stamp<C>) -> u64 {
        let elapsed = Span::from_nanos(now.nanos_since(self.since));
        self.rate.whole_packets_in(elapsed).saturating_mul(self.copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Agent;

    fn at(ms: u64) -> Stamp<Agent> {
        Stamp::from_nanos(ms * 1_000_000)
    }

    /// 100 packets a second.
    fn intake(copies: u64) -> Intake<Agent> {
        Intake::new(PacketRate::new(100).expect("a rate"), copies, at(0))
    }

    #[test]
    fn two_seconds_pass_at_once_and_then_the_rate() {
        let mut intake = intake(1);
        assert_eq!((0..1_000).filter(|_| intake.passes(at(0))).count(), 328);
        assert!(!intake.passes(at(9)) && intake.passes(at(10)) && !intake.passes(at(10)));
        // What was not used is not saved up beyond that.
        assert_eq!((0..1_000).filter(|_| intake.passes(at(60_000))).count(), 328);
    }

    #[test]
    fn a_network_that_doubles_each_packet_has_them_all_read() {
        let mut intake = intake(2);
        for packet in 0..10_000 {
            assert!(intake.is_open(at(packet * 10)));
            intake.take(at(packet * 10), 2);
        }
        intake.take(at(100_000), 528);
        assert!(!intake.is_open(at(100_000)));
    }
}
