//! What hosts state of their wall clocks, which time services keep right: a bound that no exchange
//! of packets can give. It is of the time of one trial, and travels with that trial's account.

use super::{Fact, Invalid};
use crate::clock::Offset;
use serde::{Deserialize, Serialize};

/// Who states how far a wall clock may be wrong.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// chronyd, on its monitoring port: root dispersion, half the root delay, and what is still to
    /// be corrected.
    Chrony,
    /// The kernel's clock discipline (`adjtimex`: its maximum error, which NTP or PTP software sets
    /// and the kernel raises by 500 ppm until it is set again).
    Kernel,
}

impl ClockSource {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chrony => "chronyd",
            Self::Kernel => "the kernel (adjtimex)",
        }
    }
}

/// A wall clock that a time service keeps, as its host states it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WallClock {
    /// How far it is ahead of the monotonic clock that timestamps are read on, in ns.
    pub ahead_ns: i64,
    /// The most that it may be off true time during the trial, in ns.
    pub error_ns: u64,
    /// Who states that.
    pub source: ClockSource,
}

/// What both hosts state of their wall clocks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StatedClocks {
    /// The driver's; null if its host states none.
    pub driver: Option<WallClock>,
    /// The agent's; null if its host states none.
    pub agent: Option<WallClock>,
    /// Whether the probes prove that the two cannot both be so: delays are then bounded by the
    /// probes alone.
    pub contradicted: bool,
}

impl StatedClocks {
    /// Whether no host states anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.driver.is_none() && self.agent.is_none()
    }

    /// What follows for the two monotonic clocks; `None` where one host states nothing, or both
    /// cannot be so.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        let (driver, agent) = self.driver.zip(self.agent).filter(|_| !self.contradicted)?;
        let ahead_ns = driver.ahead_ns.checked_sub(agent.ahead_ns)?;
        Some(Offset::stated(ahead_ns, driver.error_ns.saturating_add(agent.error_ns)))
    }
}

impl Fact for WallClock {
    fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::check;

    fn clock(ahead_ns: i64, error_ns: u64) -> Option<WallClock> {
        Some(WallClock { ahead_ns, error_ns, source: ClockSource::Kernel })
    }

    /// At true time 1000 the driver's monotonic clock shows 300, and the agent's 900.
    #[test]
    fn two_clocks_that_are_right_show_how_far_apart_the_others_are() {
        let both =
            StatedClocks { driver: clock(700, 5), agent: clock(100, 7), contradicted: false };
        let offset = both.offset().expect("both state something");
        assert_eq!((offset.agent_ahead_ns(), offset.error_ns()), (600, 12));
        assert_eq!(StatedClocks { contradicted: true, ..both }.offset(), None);
        assert_eq!(StatedClocks { agent: None, ..both }.offset(), None);
        let far = StatedClocks { driver: clock(i64::MAX, 0), agent: clock(-1, 0), ..both };
        assert_eq!(far.offset(), None);
    }

    #[test]
    fn a_stated_clock_is_read_back_and_an_absurd_one_refused() {
        check(&clock(-5, 9).expect("a clock"), true);
        check(&clock(-5, u64::MAX).expect("a clock"), false);
        check(&clock(i64::MIN, 9).expect("a clock"), false);
    }
}
