//! When what a heartbeat echoes left: what life is proven as of.

use crate::clock::Stamp;
use std::collections::VecDeque;

/// Departures this close to the one before are not kept apart: what they prove is that much older.
const APART_NS: u64 = 10_000_000;

/// The most that are kept: ten seconds of them, and any silence is shorter.
const KEPT_MAX: usize = 1_024;

/// When packets and signals of one end of a stream left.
#[derive(Debug)]
pub(super) struct Departures<C> {
    load: Kept<C>,
    signals: Kept<C>,
}

impl<C> Default for Departures<C> {
    fn default() -> Self {
        Self { load: Kept::default(), signals: Kept::default() }
    }
}

impl<C> Departures<C> {
    /// Load left at `at`, the last of it of the number before `next`.
    pub(super) fn on_load(&mut self, at: Stamp<C>, next: u64) {
        self.load.push(at, next);
    }

    /// The signal of this counter left at `at`.
    pub(super) fn on_signal(&mut self, at: Stamp<C>, counter: u64) {
        self.signals.push(at, counter.saturating_add(1));
    }

    /// When the newest left that a heartbeat proves to have been seen: `next` is one more than the
    /// highest number of the load, `echo` than the highest counter of a signal. Never later than it
    /// did; `None` where neither is known.
    pub(super) fn newest_seen(&self, next: u64, echo: u64) -> Option<Stamp<C>> {
        self.load.newest_below(next).max(self.signals.newest_below(echo))
    }
}

/// Departures in their order, each with one more than the highest number that had left by then.
#[derive(Debug)]
struct Kept<C> {
    list: VecDeque<(u64, Stamp<C>)>,
}

impl<C> Default for Kept<C> {
    fn default() -> Self {
        Self { list: VecDeque::new() }
    }
}

impl<C> Kept<C> {
    fn push(&mut self, at: Stamp<C>, next: u64) {
        if self.list.back().is_some_and(|(_, last)| at.nanos_since(*last) < APART_NS) {
            return;
        }
        if self.list.len() == KEPT_MAX {
            self.list.pop_front();
        }
        self.list.push_back((next, at));
    }

    fn newest_below(&self, next: u64) -> Option<Stamp<C>> {
        // Who claims to have seen what never left has not seen it.
        let behind = self.list.partition_point(|(kept, _)| *kept <= next);
        self.list.get(behind.checked_sub(1)?).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Stamp<Driver> {
        Stamp::from_nanos(ms * MS)
    }

    #[test]
    fn life_is_as_of_the_newest_that_was_seen() {
        let mut departures = Departures::default();
        assert_eq!(departures.newest_seen(9, 9), None);
        (0..1_000).for_each(|packet| departures.on_load(at(packet), packet + 1));
        assert_eq!(departures.newest_seen(0, 0), None, "nothing was seen");
        assert_eq!(departures.newest_seen(1, 0), Some(at(0)));
        assert_eq!(departures.newest_seen(500, 0), Some(at(490)), "up to 10 ms earlier");
        assert_eq!(departures.newest_seen(u64::MAX, 0), Some(at(990)), "nothing left later");
        departures.on_signal(at(1_200), 4);
        assert_eq!(departures.newest_seen(500, 4), Some(at(490)));
        assert_eq!(departures.newest_seen(500, 5), Some(at(1_200)));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut departures = Departures::default();
        (0..5_000).for_each(|packet| departures.on_load(at(10 * packet), packet + 1));
        assert_eq!(departures.load.list.len(), KEPT_MAX);
        assert_eq!(departures.newest_seen(100, 0), None, "too long ago to prove anything");
        assert_eq!(departures.newest_seen(4_900, 0), Some(at(48_990)));
    }
}
