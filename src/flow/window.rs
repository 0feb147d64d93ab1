//! Which sequence numbers have come: two bits for each, so that every packet is counted once.

use super::Stream;
use crate::account::Sequences;
use crate::account::{LossBurst, LossBurstList};
use crate::stats::loss_bursts::LossBursts;

/// The most numbers that are remembered at once: 16 MiB of bits, untouched until they are needed.
const CAPACITY_MAX: u64 = 1 << 26;

/// A number of packets that the window keeps in one word.
const WORD: u64 = u64::BITS as u64;

/// What became of a packet that the window has not yet let go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slot {
    /// It has not come.
    Missing,
    /// It has not come, while this host dropped packets.
    HostDropped,
    /// It came in time.
    Received,
    /// It came, too late to count as received.
    Late,
}

/// What became of the packets that the window has let go, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Settled {
    /// Lost and late packets in their periods; a host's own drop counts as neither lost nor
    /// received.
    pub(super) losses: LossBursts,
    /// The same one by one.
    pub(super) bursts: LossBurstList,
    /// Packets that this host dropped.
    pub(super) host_dropped: u64,
}

/// A ring of the newest sequence numbers. It covers a whole stream where that fits
/// [`CAPACITY_MAX`]; a longer one it covers for minutes, far beyond [`super::LATE_MAX`].
#[derive(Debug)]
pub(super) struct Window {
    came: Vec<u64>,
    marked: Vec<u64>,
    capacity: u64,
    base: u64,
    next: u64,
    settled: Settled,
    /// Whether no packet has arrived since the newest loss.
    in_burst: bool,
    /// The stream's number.
    stream: u32,
}

impl Window {
    /// A window over all numbers of `stream`.
    pub(super) fn of(stream: &Stream) -> Self {
        let capacity = stream.slots.clamp(WORD, CAPACITY_MAX).next_power_of_two();
        Self::with_capacity(capacity, stream.number)
    }

    fn with_capacity(capacity: u64, stream: u32) -> Self {
        assert!(
            capacity.is_power_of_two() && WORD <= capacity,
            "the window is kept in words of {WORD} bits"
        );
        let words = usize::try_from(capacity / WORD).expect("2^26 fits");
        let settled = Settled::default();
        Self {
            came: vec![0; words],
            marked: vec![0; words],
            capacity,
            base: 0,
            next: 0,
            settled,
            in_burst: false,
            stream,
        }
    }

    /// One more than the highest number that came.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// What became of `sequence`; `None` where the window has let it go.
    pub(super) fn slot(&self, sequence: u64) -> Option<Slot> {
        if sequence < self.base {
            return None;
        }
        if self.next <= sequence {
            return Some(Slot::Missing);
        }
        let (word, bit) = self.place(sequence);
        Some(match (self.came[word] & bit != 0, self.marked[word] & bit != 0) {
            (false, false) => Slot::Missing,
            (false, true) => Slot::HostDropped,
            (true, false) => Slot::Received,
            (true, true) => Slot::Late,
        })
    }

    /// Notes what became of `sequence`, which the window has not let go.
    pub(super) fn set(&mut self, sequence: u64, slot: Slot) {
        debug_assert!(self.base <= sequence, "the window has let {sequence} go");
        self.reach(sequence);
        let (word, bit) = self.place(sequence);
        let (came, marked) = match slot {
            Slot::Missing => (0, 0),
            Slot::HostDropped => (0, bit),
            Slot::Received => (bit, 0),
            Slot::Late => (bit, bit),
        };
        self.came[word] = self.came[word] & !bit | came;
        self.marked[word] = self.marked[word] & !bit | marked;
    }

    /// How many of `sequences` have not come in time, of those that the window still knows. It
    /// looks at no more words than the window has, however many numbers are asked for.
    pub(super) fn count_not_received(&self, sequences: Sequences) -> u64 {
        let (mut from, end) = (sequences.start.max(self.base), sequences.end);
        let mut missing = end.saturating_sub(from.max(self.next));
        while from < end.min(self.next) {
            let until = end.min(self.next).min((from / WORD + 1) * WORD);
            let (word, _) = self.place(from);
            // Received, or dropped by this host: one bit alone is set.
            let well = (self.came[word] ^ self.marked[word]) & bits(from, until);
            missing += until - from - u64::from(well.count_ones());
            from = until;
        }
        missing
    }

    /// How many of `sequences` have come in time. What the window has let go counts as it did there
    /// on the whole.
    pub(super) fn count_received(&self, sequences: Sequences) -> u64 {
        let gone = sequences.start.min(self.base)..sequences.end.min(self.base);
        let gone = gone.end - gone.start;
        let missing = self.settled.losses.lost() + self.settled.host_dropped;
        let known = sequences.start.max(self.base)..sequences.end.min(self.next);
        let mut received = gone - missing.min(gone);
        let mut from = known.start;
        while from < known.end {
            let until = known.end.min((from / WORD + 1) * WORD);
            let (word, _) = self.place(from);
            let came = self.came[word] & !self.marked[word] & bits(from, until);
            received += u64::from(came.count_ones());
            from = until;
        }
        received
    }

    /// Lets everything go: `sent` packets there were, none less than the highest that came. Of
    /// those above it none came: they are settled at once, however many they are.
    pub(super) fn settle(mut self, sent: u64) -> Settled {
        let sent = sent.max(self.next);
        while self.base < self.next {
            self.settle_word(self.next.min(self.base + WORD));
        }
        if self.base < sent {
            self.settle_lost(self.base, sent - self.base);
        }
        self.settled.losses.close();
        self.settled
    }

    /// Makes room for `sequence`. What the window knows is settled word by word, what lies between
    /// that and `sequence` at once: a number from outside is the length of no loop.
    fn reach(&mut self, sequence: u64) {
        let base = (sequence / WORD + 1) * WORD;
        let base = base.saturating_sub(self.capacity).max(self.base);
        while self.base < base.min(self.next) {
            self.settle_word(self.base + WORD);
        }
        if self.base < base {
            self.settle_lost(self.base, base - self.base);
            self.base = base;
        }
        self.next = self.next.max(sequence + 1);
    }

    /// Lets the oldest word go, as far as `end`.
    fn settle_word(&mut self, end: u64) {
        let (word, _) = self.place(self.base);
        let (came, marked) = (self.came[word], self.marked[word]);
        let len = end - self.base;
        match (came, marked) {
            (u64::MAX, 0) if len == WORD => self.settle_arrived(WORD),
            (0, 0) => self.settle_lost(self.base, len),
            _ => (0..len).for_each(|bit| match (came >> bit & 1, marked >> bit & 1) {
                (0, 1) => self.settled.host_dropped += 1,
                (1, 0) => self.settle_arrived(1),
                _ => self.settle_lost(self.base + bit, 1),
            }),
        }
        self.came[word] = 0;
        self.marked[word] = 0;
        self.base = end;
    }

    fn settle_arrived(&mut self, packets: u64) {
        self.settled.losses.on_arrived(packets);
        self.in_burst = false;
    }

    fn settle_lost(&mut self, sequence: u64, packets: u64) {
        self.settled.losses.on_lost(packets);
        if std::mem::replace(&mut self.in_burst, true) {
            self.settled.bursts.extend_last(packets);
        } else {
            let burst = LossBurst { stream: self.stream, sequence, packets };
            self.settled.bursts.push(burst);
        }
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        // The capacity is a power of two.
        let slot = sequence & (self.capacity - 1);
        (usize::try_from(slot / WORD).expect("2^26 fits"), 1 << (slot % WORD))
    }
}

/// The bits of a word that stand for the numbers `from..until`, which are of one word.
const fn bits(from: u64, until: u64) -> u64 {
    (u64::MAX >> (WORD - (until - from))) << (from % WORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window over the numbers `0..slots`.
    fn window(slots: u64) -> Window {
        Window::with_capacity(slots.clamp(WORD, CAPACITY_MAX).next_power_of_two(), 1)
    }

    #[test]
    fn what_never_came_is_lost_to_the_last_packet() {
        let mut window = window(1_000);
        window.set(0, Slot::Received);
        window.set(3, Slot::Received);
        window.set(2, Slot::Late);
        window.set(5, Slot::Received);
        window.set(4, Slot::HostDropped);
        let settled = window.settle(10);
        assert_eq!((settled.losses.lost(), settled.host_dropped), (6, 1));
        assert_eq!((settled.losses.bursts(), settled.losses.longest()), (2, 4));
    }

    #[test]
    fn a_number_beyond_the_window_lets_the_oldest_go() {
        let mut window = Window::with_capacity(64, 1);
        window.set(0, Slot::Received);
        window.set(63, Slot::Received);
        assert_eq!(window.slot(0), Some(Slot::Received));
        window.set(64, Slot::Received);
        assert_eq!((window.slot(0), window.slot(64)), (None, Some(Slot::Received)));
        window.set(10_000, Slot::Received);
        assert_eq!(window.slot(10_000 - 64), None);
        assert_eq!(window.slot(9_999), Some(Slot::Missing));
        assert_eq!(window.settle(10_001).losses.lost(), 10_001 - 4);
    }

    /// The first release walked through what a closing message said, and an agent's UDP port stood
    /// for all of its drivers meanwhile.
    #[test]
    fn a_number_from_outside_sets_the_length_of_no_loop() {
        let mut window = Window::with_capacity(1 << 10, 1);
        window.set(5, Slot::Received);
        assert_eq!(window.count_not_received(0..1 << 60), (1 << 60) - 1);
        let far = 1 << 62;
        window.set(far, Slot::Received);
        assert_eq!(
            (window.slot(far), window.slot(far - 1)),
            (Some(Slot::Received), Some(Slot::Missing))
        );
        let settled = window.settle(u64::MAX);
        assert_eq!(settled.losses.lost(), u64::MAX - 2);
        assert_eq!(settled.losses.bursts(), 3);
    }

    proptest! {
        #[test]
        fn what_did_not_come_is_counted_as_slot_by_slot(
            slots in prop::collection::btree_map(0_u64..500, 0_u8..4, 0..300),
            start in 0_u64..600,
            len in 0_u64..600,
        ) {
            let mut window = Window::with_capacity(256, 1);
            for (sequence, kind) in slots {
                let kinds = [Slot::Missing, Slot::HostDropped, Slot::Received, Slot::Late];
                if window.base <= sequence {
                    window.set(sequence, kinds[usize::from(kind)]);
                }
            }
            let bad = |slot| matches!(slot, Slot::Missing | Slot::Late);
            let known = start.max(window.base)..start + len;
            let truth = known.filter(|sequence| window.slot(*sequence).is_some_and(bad)).count();
            prop_assert_eq!(window.count_not_received(start..start + len), truth as u64);
        }

        #[test]
        fn a_ring_counts_as_a_whole_stream_does(
            came in prop::collection::btree_set(0_u64..2_000, 0..600),
            sent in 0_u64..2_000,
        ) {
            let mut ring = Window::with_capacity(64, 1);
            let mut whole = Window::with_capacity(2_048, 1);
            for sequence in &came {
                ring.set(*sequence, Slot::Received);
                whole.set(*sequence, Slot::Received);
            }
            let truth = sent.max(came.last().map_or(0, |last| last + 1)) - came.len() as u64;
            let (ring, whole) = (ring.settle(sent), whole.settle(sent));
            prop_assert_eq!(&ring, &whole);
            prop_assert_eq!(ring.losses.lost(), truth);
        }
    }
}
