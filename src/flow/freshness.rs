//! Which of the other end's signals are new: each counter is accepted once, and a heartbeat has to
//! exceed those before it.

use crate::wire::signal::{Say, Signal};

/// Counters behind the highest that are still distinguished. Signals are at most twenty per second,
/// so that it is more than six seconds wide, and [`super::LATE_MAX`] is two.
const WIDTH: u64 = u128::BITS as u64;

/// What one end has seen of the other's signals of a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Freshness {
    signals: Counters,
    /// Challenges are the agent's port's, which counts apart from the stream's own socket.
    challenges: Counters,
    /// One more than the counter of the newest heartbeat.
    next_heartbeat: u64,
}

impl Freshness {
    /// Whether `signal`, whose seal holds, is new; then it is accepted, and not again.
    pub fn accepts(&mut self, signal: &Signal) -> bool {
        // A counter that leaves none behind it is nobody's: an end would have to say so much first.
        let Some(behind) = signal.counter.checked_add(1) else { return false };
        match signal.say {
            Say::Challenge { .. } => self.challenges.marks(behind),
            Say::Heartbeat { .. } => {
                let is_new = self.next_heartbeat < behind && self.signals.marks(behind);
                if is_new {
                    self.next_heartbeat = behind;
                }
                is_new
            }
            Say::Hello | Say::Confirm { .. } | Say::Accepted => self.signals.marks(behind),
        }
    }

    /// One more than the counter of the newest heartbeat that was accepted; 0 before the first.
    #[must_use]
    pub const fn next_heartbeat(&self) -> u64 {
        self.next_heartbeat
    }

    /// The same of the agent's port and of the stream's own socket: what one of the two has
    /// accepted, the other does not.
    pub fn on_heartbeats(&mut self, next: u64) {
        self.next_heartbeat = self.next_heartbeat.max(next);
    }

    /// What the other end is echoed: one more than the highest counter seen.
    #[must_use]
    pub const fn echo(&self) -> u64 {
        self.signals.next
    }
}

/// Which counters have been seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counters {
    /// One more than the highest; 0 before the first.
    next: u64,
    /// Those below it, the highest in the lowest bit.
    seen: u128,
}

impl Counters {
    /// Marks the counter before `behind`; false where it was marked, or is too old to be known.
    const fn marks(&mut self, behind: u64) -> bool {
        if self.next < behind {
            let ahead = behind - self.next;
            self.seen = if ahead < WIDTH { self.seen << ahead | 1 } else { 1 };
            self.next = behind;
            return true;
        }
        let age = self.next - behind;
        if WIDTH <= age || self.seen >> age & 1 == 1 {
            return false;
        }
        self.seen |= 1 << age;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Token;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn signal(counter: u64, say: Say) -> Signal {
        Signal { stream: 1, token: Token(9), counter, say }
    }

    const HEARTBEAT: Say = Say::Heartbeat { received: 0, next: 0, echo: 0, rise_ms: 0 };

    #[test]
    fn each_counter_is_accepted_once_in_any_order() {
        let mut freshness = Freshness::default();
        let mut accepts = |counter| freshness.accepts(&signal(counter, Say::Hello));
        assert!(accepts(2) && accepts(0) && accepts(1) && accepts(129));
        assert!(!accepts(2) && !accepts(0) && !accepts(129));
        assert!(!accepts(1), "too old to be checked");
        assert!(accepts(3), "new, and just within the window");
        assert!(!accepts(u64::MAX));
        assert_eq!(freshness.echo(), 130);
    }

    #[test]
    fn a_heartbeat_has_to_exceed_the_newest() {
        let mut freshness = Freshness::default();
        assert!(freshness.accepts(&signal(5, HEARTBEAT)));
        assert!(!freshness.accepts(&signal(5, HEARTBEAT)), "sent again");
        assert!(!freshness.accepts(&signal(4, HEARTBEAT)), "overtaken, or held back");
        assert!(freshness.accepts(&signal(3, Say::Confirm { cookie: 1 })), "no heartbeat");
        assert!(freshness.accepts(&signal(6, HEARTBEAT)));
        freshness.on_heartbeats(9);
        assert!(!freshness.accepts(&signal(8, HEARTBEAT)), "it came elsewhere");
        assert!(freshness.accepts(&signal(8, Say::Confirm { cookie: 1 })), "no heartbeat");
        assert!(freshness.accepts(&signal(9, HEARTBEAT)));
        assert_eq!(freshness.next_heartbeat(), 10);
        let challenge = signal(6, Say::Challenge { cookie: 1 });
        assert!(freshness.accepts(&challenge), "the port's own counter");
        assert!(!freshness.accepts(&challenge));
    }

    proptest! {
        #[test]
        fn the_window_is_a_set(counters in prop::collection::vec(0_u64..100, 0..200)) {
            let (mut freshness, mut seen) = (Freshness::default(), BTreeSet::new());
            for counter in counters {
                let accepted = freshness.accepts(&signal(counter, Say::Hello));
                prop_assert_eq!(accepted, seen.insert(counter));
            }
        }
    }
}
