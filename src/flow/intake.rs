//! How many packets of a stream are looked at: what its sender was granted, with what an honest
//! network makes of it.

use super::{LATE_MAX, Stream};
use crate::clock::Stamp;
use crate::units::Span;

/// The most times that a network may deliver each packet before the copies are looked at no more.
const COPIES_MAX: u64 = 2;

/// Packets beyond the schedule that are always looked at: a few of a slow stream.
const BURST: u64 = 128;

/// Counts what comes of a stream since it was opened. A network may hold packets back and deliver
/// them at once, so it is the number until now that counts, never the rate of the moment.
#[derive(Debug)]
pub struct Intake<C> {
    stream: Stream,
    opened: Stamp<C>,
    taken: u64,
    limit: u64,
    refused: u64,
}

impl<C> Intake<C> {
    /// That of `stream`, opened at `opened`.
    #[must_use]
    pub const fn new(stream: Stream, opened: Stamp<C>) -> Self {
        Self { stream, opened, taken: 0, limit: BURST, refused: 0 }
    }

    /// How many of `packets` that were read at `now` are to be looked at.
    pub fn take(&mut self, now: Stamp<C>, packets: u64) -> u64 {
        if self.limit < self.taken.saturating_add(packets) {
            self.limit = self.limit.max(self.granted(now));
        }
        let looked_at = packets.min(self.limit.saturating_sub(self.taken));
        self.taken += looked_at;
        self.refused += packets - looked_at;
        looked_at
    }

    /// Packets that were not looked at.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether its sender sends far more than it was granted: a second's worth.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.stream.rate.packets_in(Span::from_secs(1)) + BURST < self.refused
    }

    fn granted(&self, now: Stamp<C>) -> u64 {
        let elapsed = Span::from_nanos(now.nanos_since(self.opened)).plus(LATE_MAX);
        let due = self.stream.rate.packets_in(elapsed).min(self.stream.slots);
        due.saturating_mul(COPIES_MAX).saturating_add(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Agent;
    use crate::flow::streams_of;
    use crate::plan::Trial;
    use crate::units::PacketRate;

    fn at(ms: u64) -> Stamp<Agent> {
        Stamp::from_nanos(ms * 1_000_000)
    }

    /// 100 packets a second for 10 s.
    fn intake() -> Intake<Agent> {
        let trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
        let rate = PacketRate::new(100).expect("a rate");
        Intake::new(Stream { rate, slots: 1_000, ..streams_of(&trial)[0] }, at(0))
    }

    #[test]
    fn what_was_granted_is_looked_at_however_late_it_comes_and_twice() {
        let mut intake = intake();
        assert_eq!(intake.take(at(9_000), 2_000), 2_000, "all of it at once, and a copy of each");
        let mut intake = self::intake();
        let each: u64 = (0..1_000).map(|packet| intake.take(at(packet * 10), 2)).sum();
        assert_eq!((each, intake.refused()), (2_000, 0));
    }

    #[test]
    fn what_exceeds_the_grant_is_not_looked_at_and_ends_the_run() {
        let mut intake = intake();
        // 2 s, twice, and 128.
        assert_eq!(intake.take(at(0), 1_000), 528);
        assert_eq!(intake.refused(), 472);
        assert!(intake.is_exceeded());
        let mut intake = self::intake();
        intake.take(at(0), 528 + 228);
        assert!(!intake.is_exceeded(), "a second's worth, and 128, is borne");
    }
}
