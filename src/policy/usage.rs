//! What an agent is doing already, and what that counts for.

use crate::clock::{Agent, Stamp};
use crate::units::BitRate;

/// The most runs that an agent serves at once: a site that 500 others watch has as many that only
/// probe, whose probes are all one thread's, and as many that end while the next ones begin.
pub const RUNS_MAX: usize = 1_024;

/// The most runs of one key at once: drivers with other keys always find a quarter of them free.
pub const KEY_RUNS_MAX: usize = RUNS_MAX / 4 * 3;

/// What a run that only probes counts for in each direction, as Ethernet frames: 100 probes per
/// second of 112 octets of UDP payload over IPv6. Of a lower limit than ten times that it counts a
/// tenth.
pub const PROBING_RATE: BitRate = match BitRate::new(100 * 8 * (112 + 48 + 18)) {
    Some(rate) => rate,
    None => unreachable!(),
};
const PROBING_PART: u32 = 10;

/// A run that holds the load lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Who it is, as the agent's operator knows the key.
    pub who: String,
    /// What it holds; the whole agent where there is none.
    pub circuit: Option<String>,
    /// The rate of its load, as Ethernet frames in one direction.
    pub rate: BitRate,
    /// When its grant ends.
    pub until: Stamp<Agent>,
    /// When its loads are over if it goes as asked: the grant has time in reserve for each trial.
    pub likely: Stamp<Agent>,
}

/// What the agent is doing already, but for the run that asks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Runs that it serves.
    pub runs: usize,
    /// Those of them whose key is the one that asks.
    pub own_runs: usize,
    /// Bits per second that those have been granted in each direction.
    pub own_granted: u64,
    /// What of that is for runs that only probe.
    pub own_probing: u64,
    /// Those of them that hold a load lock.
    pub holders: Vec<Holder>,
    /// Since when the run that asks has held a load lock without a break.
    pub locked_since: Option<Stamp<Agent>>,
}

impl Usage {
    /// Bits per second that are granted in each direction, of an agent whose limit is `rate_max`:
    /// all loads, and what the runs count for that only probe.
    #[must_use]
    pub fn granted(&self, rate_max: BitRate) -> u64 {
        let probing = self.runs.saturating_sub(self.holders.len()) as u64;
        let loads = self.holders.iter().map(|holder| holder.rate.bits_per_second());
        let probing = probing.saturating_mul(probing_rate(rate_max).bits_per_second());
        loads.fold(probing, u64::saturating_add)
    }
}

/// What a run that only probes counts for at an agent whose limit is `rate_max`.
#[must_use]
pub fn probing_rate(rate_max: BitRate) -> BitRate {
    rate_max.share(PROBING_PART).map_or(PROBING_RATE, |part| part.min(PROBING_RATE))
}
