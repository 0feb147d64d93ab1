//! What is on its way over a line in real time: kept until it is due, and handed out in that order.

use crate::clock::{Driver, Stamp};
use crate::emulation::{Class, Deliveries};
use crate::io::clock;
use crate::wire::{self, Kind};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The longest sleep: how late a packet may be seen that comes meanwhile.
const NAP_NS: u64 = 100_000;

/// How long before something is due the sleep ends.
const SPIN_NS: u64 = 20_000;

/// All that is on its way.
#[derive(Debug)]
pub(super) struct Transit<T> {
    under_way: BinaryHeap<Reverse<Passage<T>>>,
    count: u64,
}

/// One that is on its way. Of those that are due at once, the first to come is the first to go.
#[derive(Debug)]
struct Passage<T> {
    due_ns: u64,
    number: u64,
    what: T,
}

impl<T> Transit<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { under_way: BinaryHeap::new(), count: 0 }
    }

    /// Keeps what `copy` makes for each of the arrivals.
    pub(super) fn carry(&mut self, deliveries: &Deliveries, mut copy: impl FnMut() -> T) {
        for due_ns in deliveries.arrivals_ns() {
            self.count += 1;
            let passage = Passage { due_ns: *due_ns, number: self.count, what: copy() };
            self.under_way.push(Reverse(passage));
        }
    }

    /// Hands out the next that is due by `now`, and when it was.
    pub(super) fn next_due(&mut self, now: Stamp<Driver>) -> Option<(u64, T)> {
        let next = self.under_way.peek_mut()?;
        if now.nanos() < next.0.due_ns {
            return None;
        }
        let Reverse(passage) = std::collections::binary_heap::PeekMut::pop(next);
        Some((passage.due_ns, passage.what))
    }

    /// Sleeps until shortly before the next is due, but not for long: more may come meanwhile.
    pub(super) fn wait(&self, now: Stamp<Driver>) {
        let pause = now.after_nanos(NAP_NS);
        let due = self.under_way.peek().map(|Reverse(next)| Stamp::from_nanos(next.due_ns));
        clock::wait_until(due.map_or(pause, |due| due.min(pause)), SPIN_NS);
    }
}

/// What a datagram of ours is for; `None` where it is not ours.
pub(super) fn class_of(datagram: &[u8]) -> Option<Class> {
    Some(match wire::kind_of(datagram)? {
        Kind::Load => Class::Load,
        Kind::Probe => Class::Probe,
        Kind::Signal => Class::Signal,
    })
}

impl<T> Passage<T> {
    const fn key(&self) -> (u64, u64) {
        (self.due_ns, self.number)
    }
}

impl<T> Ord for Passage<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> PartialOrd for Passage<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Passage<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Passage<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulation::{EmulatedLink, Spec};

    /// Has `transit` carry what a perfect line of this delay makes of `what`, offered at 0.
    fn carry(transit: &mut Transit<char>, delay_ns: u64, what: char) {
        let mut line = EmulatedLink::new(Spec { delay_ns, ..Spec::default() }, 7);
        transit.carry(&line.offer(0, 100, Class::Load), || what);
    }

    #[test]
    fn what_is_due_comes_out_in_the_order_of_its_time_and_then_of_its_coming() {
        let mut transit = Transit::new();
        for (delay_ns, what) in [(20, 'c'), (10, 'a'), (20, 'd'), (10, 'b')] {
            carry(&mut transit, delay_ns, what);
        }
        let mut next = |now_ns| transit.next_due(Stamp::from_nanos(now_ns));
        assert_eq!(next(9), None);
        assert_eq!(next(10), Some((10, 'a')));
        assert_eq!(next(19), Some((10, 'b')));
        assert_eq!(next(19), None);
        assert_eq!(next(30), Some((20, 'c')));
        assert_eq!(next(30), Some((20, 'd')));
        assert_eq!(next(30), None);
    }
}
