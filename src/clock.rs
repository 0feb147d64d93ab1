//! Moments and spans, each moment tied to the clock that read it.
//!
//! Two hosts' clocks differ, so `rx - tx` across hosts is no delay. Here it does not compile:
//!
//! ```compile_fail,E0308
//! use linkqual::clock::{Agent, Driver, Stamp};
//! let tx: Stamp<Driver> = Stamp::from_nanos(10);
//! let rx: Stamp<Agent> = Stamp::from_nanos(30);
//! let delay = rx - tx; // two clocks: first bring `rx` over with `Offset`
//! ```

use std::{cmp::Ordering, fmt, marker::PhantomData, ops::Sub};

/// The clock of the host that runs the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Driver {}

/// The clock of the host that runs the agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Agent {}

/// A moment on the clock `C`: nanoseconds since that clock's own, arbitrary, start.
pub struct Stamp<C> {
    nanos: u64,
    clock: PhantomData<fn() -> C>,
}

impl<C> Stamp<C> {
    /// The moment `nanos` nanoseconds after the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos, clock: PhantomData }
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// The moment `nanos` nanoseconds later; the end of time if there is none.
    #[must_use]
    pub const fn after_nanos(self, nanos: u64) -> Self {
        Self::from_nanos(self.nanos.saturating_add(nanos))
    }
}

impl Stamp<Agent> {
    /// The same moment on the driver's clock; off by at most `offset`'s error.
    #[must_use]
    pub fn on_driver(self, offset: Offset) -> Stamp<Driver> {
        Stamp::from_nanos(self.nanos.saturating_add_signed(offset.agent_ahead_ns.saturating_neg()))
    }
}

impl<C> Stamp<C> {
    /// Nanoseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.nanos.saturating_sub(earlier.nanos)
    }
}

impl<C> Clone for Stamp<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Stamp<C> {}

impl<C> PartialEq for Stamp<C> {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl<C> Eq for Stamp<C> {}

impl<C> PartialOrd for Stamp<C> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<C> Ord for Stamp<C> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl<C> fmt::Debug for Stamp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.nanos)
    }
}

impl<C> Sub for Stamp<C> {
    type Output = i64;

    /// The span from `earlier` to `self`, in nanoseconds; negative if `self` came first.
    fn sub(self, earlier: Self) -> i64 {
        self.nanos.wrapping_sub(earlier.nanos).cast_signed()
    }
}

/// How far the agent's clock is ahead of the driver's, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offset {
    agent_ahead_ns: i64,
    error_ns: u64,
}

impl Offset {
    /// From one exchange: half the round trip bounds the error (RFC 5905, section 8).
    #[must_use]
    pub fn from_exchange(
        sent: Stamp<Driver>,
        seen: Stamp<Agent>,
        back: Stamp<Driver>,
    ) -> Option<Self> {
        let round_trip_ns = u64::try_from(back - sent).ok()?;
        let midpoint_ns = sent.nanos.saturating_add(round_trip_ns / 2);
        Some(Self {
            agent_ahead_ns: seen.nanos.wrapping_sub(midpoint_ns).cast_signed(),
            error_ns: round_trip_ns.div_ceil(2),
        })
    }

    /// From what both hosts state of their clocks.
    #[must_use]
    pub const fn stated(agent_ahead_ns: i64, error_ns: u64) -> Self {
        Self { agent_ahead_ns, error_ns }
    }

    /// How far the agent's clock is ahead, in nanoseconds.
    #[must_use]
    pub const fn agent_ahead_ns(self) -> i64 {
        self.agent_ahead_ns
    }

    /// The bound of the error, in nanoseconds.
    #[must_use]
    pub const fn error_ns(self) -> u64 {
        self.error_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_exchange_gives_the_offset_exactly() {
        let offset = Offset::from_exchange(
            Stamp::from_nanos(1_000),
            Stamp::from_nanos(9_100),
            Stamp::from_nanos(1_200),
        )
        .unwrap();
        assert_eq!(Stamp::<Agent>::from_nanos(9_100).on_driver(offset), Stamp::from_nanos(1_100));
        assert_eq!(offset.error_ns(), 100);
    }

    #[test]
    fn answer_before_the_question_gives_none() {
        let offset =
            Offset::from_exchange(Stamp::from_nanos(5), Stamp::from_nanos(5), Stamp::from_nanos(4));
        assert_eq!(offset, None);
    }
}
