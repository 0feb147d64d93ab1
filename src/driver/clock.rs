//! The clock that dates a run.

use crate::io::clock;

/// The wall clock by which a run and its trials are dated.
///
/// Of the two clocks of a run this one alone is the caller's. A date says when, and to whom: a
/// host whose own clock is not to be believed is given a better one, and a test a fixed one. The
/// other clock, which measures, is no parameter: departures and arrivals are stamped by the kernel
/// and by network cards against this host's monotonic clock, and what the conversation with the
/// agent waits for has to be on the same one. A run in virtual time is another thing: the
/// simulation drives the same machines ([`crate::session`]) without sockets.
pub trait Clock: Send {
    /// Nanoseconds since 1970, UTC.
    fn wall_ns(&self) -> u64;
}

/// This host's own wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn wall_ns(&self) -> u64 {
        clock::wall_ns()
    }
}
