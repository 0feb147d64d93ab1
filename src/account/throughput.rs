//! What the throughput of a direction is recomputed from: the window, and how transit grew in it.
//! See the law of measurement, "Throughput" and "Trials".

use super::Invalid;
use serde::{Deserialize, Serialize};

/// The most blocks of 100 ms, and the most trailing probes.
const BLOCKS_MAX: usize = 24 * 36_000;

/// What the throughput of one direction is recomputed from. Absent in records whose throughput was
/// judged by due times.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThroughputEvidence {
    /// When the window opened, in ns after the first packet was due.
    pub window_start_ns: u64,
    /// When it closed, in ns after the first packet was due.
    pub window_end_ns: u64,
    /// How the transit time of the load grew over the whole window.
    pub whole: TransitFit,
    /// The same over its last third.
    pub last_third: TransitFit,
    /// Transit time of the load in each 100 ms of the window.
    pub blocks: Vec<TransitBlock>,
    /// The probes sent after the load.
    pub trailing_probes: Vec<TransitSample>,
}

/// Growth of the transit time over a part of the window, with its uncertainty. A load that exceeds
/// the link's rate fills a queue, and the transit time grows.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitFit {
    /// Packets sent in it.
    pub sent: u64,
    /// Of those: packets that arrived.
    pub carried: u64,
    /// Rise of the transit time, in ns; negative if it fell.
    pub rise_ns: i64,
    /// Deviation of the transit time from an even rise, in ns: the uncertainty of the rise.
    pub spread_ns: u64,
    /// Sum of the sender's gaps beyond its schedule, in ns.
    pub held_ns: u64,
}

/// 100 ms of the load.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitBlock {
    /// Packets sent in it that arrived.
    pub count: u64,
    /// 10th percentile of their transit times above the smallest of the trial, in ns; null if none
    /// arrived.
    pub transit_p10_ns: Option<u64>,
}

/// Transit time of one probe.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitSample {
    /// When it was sent, in ns after the first packet of the load was due.
    pub sent_ns: u64,
    /// Its transit time above the smallest of the trial, in ns; null if it was lost.
    pub transit_ns: Option<u64>,
}

impl ThroughputEvidence {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let ordered = self.window_start_ns <= self.window_end_ns;
        Invalid::unless(ordered, "throughput: a window that ends before it starts")?;
        let part = |fit: &TransitFit| fit.carried <= fit.sent;
        let parts = part(&self.whole) && part(&self.last_third);
        Invalid::unless(parts, "throughput: more carried than sent")?;
        let fits = self.blocks.len() <= BLOCKS_MAX && self.trailing_probes.len() <= BLOCKS_MAX;
        Invalid::unless(fits, "throughput: more blocks or probes than any trial has")
    }
}
