//! When each packet of a constant-rate stream is due, and how fast a late sender may catch up.
//!
//! Open loop: packet `n` is due at `start + n / rate`, whatever happened to the packets before, so
//! that a slow host can't hide its delay. Times are computed from the start, never from the packet
//! before, so that rounding never adds up. It never waits: it only says until when.

use crate::clock::Stamp;
use crate::units::{PacketRate, Span};

/// Departure times: slot `n` is due at `start + n / rate`, rounded down to 1 ns.
#[derive(Debug)]
pub struct Schedule<C> {
    start: Stamp<C>,
    rate: PacketRate,
    slots: u64,
}

impl<C> Schedule<C> {
    /// `slots` slots at `rate`, the first of them due at `start`.
    #[must_use]
    pub const fn new(start: Stamp<C>, rate: PacketRate, slots: u64) -> Self {
        Self { start, rate, slots }
    }

    /// The number of slots.
    #[must_use]
    pub const fn slots(&self) -> u64 {
        self.slots
    }

    /// When `slot` is due after the first one.
    #[must_use]
    pub fn due_after_start(&self, slot: u64) -> Span {
        self.rate.due(slot)
    }

    /// When `slot` is due.
    #[must_use]
    pub fn due(&self, slot: u64) -> Stamp<C> {
        self.start.after_nanos(self.rate.due(slot).nanos())
    }

    /// How many slots are due before `now`; all of them at the end.
    #[must_use]
    pub fn due_before(&self, now: Stamp<C>) -> u64 {
        self.rate.packets_in(Span::from_nanos(now.nanos_since(self.start))).min(self.slots)
    }

    /// When the last slot's turn is over.
    #[must_use]
    pub fn end(&self) -> Stamp<C> {
        self.due(self.slots)
    }

    /// When `slot` and those behind it are due after the first one.
    #[must_use]
    pub fn turns(&self, slot: u64) -> Turns {
        Turns::new(self.rate, slot)
    }
}

/// When one slot after another is due, in nanoseconds after the first slot: what
/// [`Schedule::due_after_start`] says of each, the remainder of the division carried from slot to
/// slot. It has no end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turns {
    due_ns: u64,
    /// What `due_ns` rounds off, in parts of which `packets` are one nanosecond.
    remainder: u64,
    gap_ns: u64,
    gap_remainder: u64,
    packets: u64,
}

impl Turns {
    /// From `slot` on, at `rate`.
    #[must_use]
    pub fn new(rate: PacketRate, slot: u64) -> Self {
        Self {
            due_ns: rate.due(slot).nanos(),
            remainder: rate.due_remainder(slot),
            gap_ns: rate.due(1).nanos(),
            gap_remainder: rate.due_remainder(1),
            packets: rate.packets(),
        }
    }
}

impl Iterator for Turns {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let due_ns = self.due_ns;
        let remainder = self.remainder + self.gap_remainder;
        let carry = u64::from(self.packets <= remainder);
        self.remainder = remainder - carry * self.packets;
        self.due_ns = due_ns.saturating_add(self.gap_ns + carry);
        Some(due_ns)
    }
}

/// A leaky bucket over departures: what a policer of the same rate and depth would let pass
/// (the virtual scheduling algorithm of ITU-T I.371, annex A).
#[derive(Debug)]
pub struct Bucket<C> {
    gap_ns: u64,
    depth_ns: u64,
    empty_at: Stamp<C>,
}

impl<C> Bucket<C> {
    /// A bucket that drains a packet each `gap_ns` and holds `depth` packets, at least 1; empty.
    #[must_use]
    pub const fn new(gap_ns: u64, depth: u64) -> Self {
        let above_first = depth.saturating_sub(1);
        Self {
            gap_ns,
            depth_ns: gap_ns.saturating_mul(above_first),
            empty_at: Stamp::from_nanos(0),
        }
    }

    /// When there is room for `packets` at once, or for as many as it ever holds: now or earlier
    /// where there is room already.
    #[must_use]
    pub fn room_at(&self, packets: u64) -> Stamp<C> {
        let above_first = self.gap_ns.saturating_mul(packets.saturating_sub(1));
        let spare_ns = self.depth_ns.saturating_sub(above_first);
        Stamp::from_nanos(self.empty_at.nanos().saturating_sub(spare_ns))
    }

    /// Takes a packet that leaves `now`; whether there was room. A packet without room is not
    /// taken.
    pub fn take(&mut self, now: Stamp<C>) -> bool {
        if now < self.room_at(1) {
            return false;
        }
        self.add(now, 1);
        true
    }

    /// Takes `packets` that leave `now`, whether there is room or not.
    pub fn add(&mut self, now: Stamp<C>, packets: u64) {
        self.fill(now, self.gap_ns.saturating_mul(packets));
    }

    /// Fills it with what it takes `span_ns` to drain, whether there is room or not.
    pub fn fill(&mut self, now: Stamp<C>, span_ns: u64) {
        self.empty_at = self.empty_at.max(now).after_nanos(span_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use proptest::prelude::*;

    fn schedule(per_second: u64, slots: u64) -> Schedule<Driver> {
        let rate = PacketRate::new(per_second).expect("a rate above zero");
        Schedule::new(Stamp::from_nanos(500), rate, slots)
    }

    #[test]
    fn the_first_packet_is_due_at_the_start() {
        assert_eq!(schedule(1_000, 10).due(0), Stamp::from_nanos(500));
    }

    #[test]
    fn a_third_of_a_nanosecond_never_adds_up() {
        assert_eq!(schedule(3_000_000_000, 1).due(3_000_000), Stamp::from_nanos(500 + 1_000_000));
    }

    #[test]
    fn a_slot_counts_as_due_from_the_nanosecond_after_its_time() {
        let schedule = schedule(1_000, 3);
        assert_eq!(schedule.due_before(Stamp::from_nanos(0)), 0);
        assert_eq!(schedule.due_before(Stamp::from_nanos(500)), 0);
        assert_eq!(schedule.due_before(Stamp::from_nanos(501)), 1);
        assert_eq!(schedule.due_before(Stamp::from_nanos(1_000_500)), 1);
        assert_eq!(schedule.due_before(Stamp::from_nanos(1_000_501)), 2);
        assert_eq!(schedule.due_before(Stamp::from_nanos(u64::MAX)), 3);
    }

    #[test]
    fn a_bucket_takes_its_depth_at_once_and_then_its_rate() {
        let mut bucket = Bucket::<Driver>::new(100, 3);
        let now = Stamp::from_nanos(1_000);
        assert_eq!([0; 4].map(|_| bucket.take(now)), [true, true, true, false]);
        assert_eq!(bucket.room_at(1), Stamp::from_nanos(1_100));
        assert_eq!(bucket.room_at(2), Stamp::from_nanos(1_200));
        assert_eq!(bucket.room_at(9), Stamp::from_nanos(1_300), "it never holds 9");
        assert!(!bucket.take(Stamp::from_nanos(1_099)));
        assert!(bucket.take(Stamp::from_nanos(1_100)));
    }

    #[test]
    fn a_train_is_taken_as_its_packets_are() {
        let mut bucket = Bucket::<Driver>::new(100, 3);
        bucket.add(Stamp::from_nanos(1_000), 3);
        assert_eq!(bucket.room_at(1), Stamp::from_nanos(1_100));
    }

    proptest! {
        #[test]
        fn turns_are_what_the_schedule_says(
            packets in 1..2_000_000_000_u64,
            seconds in 1..1_u64 << 20,
            slot in 0..1_u64 << 32,
        ) {
            let rate = PacketRate::of(packets, seconds).expect("a rate");
            let schedule = Schedule::<Driver>::new(Stamp::from_nanos(500), rate, u64::MAX);
            for (turn, slot) in schedule.turns(slot).take(100).zip(slot..) {
                prop_assert_eq!(turn, schedule.due_after_start(slot).nanos());
            }
        }
    }

    #[test]
    fn packets_on_schedule_always_find_room() {
        let mut bucket = Bucket::<Driver>::new(100, 1);
        assert!((1..1_000).all(|packet| bucket.take(Stamp::from_nanos(packet * 100))));
    }
}
