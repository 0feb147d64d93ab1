//! What the throughput of a direction is recomputed from: the window, and how transit grew in it.
//! See the law of measurement, "Throughput" and "Trials".

use super::sums::either;
use super::{Fact, Invalid};
use serde::{Deserialize, Serialize};

/// The most blocks of 100 ms, and the most trailing probes.
const BLOCKS_MAX: usize = 24 * 36_000;

/// What the throughput of one direction is recomputed from. Absent in records whose throughput was
/// judged by due times.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThroughputEvidence {
    /// When the window opened, in ns after the first packet was due: the mean of several streams.
    pub window_start_ns: u64,
    /// When it closed, in ns after the first packet was due: the mean of several streams.
    pub window_end_ns: u64,
    /// What was sent and carried in the whole window, and how the transit time of the load grew.
    pub whole: TransitFit,
    /// The same of its last third.
    pub last_third: TransitFit,
    /// A change of the path's own delay, which is not a growing queue; null if there was none.
    #[serde(default)]
    pub path_change: Option<PathChange>,
    /// The uncertainty of the clock skew that was removed, in ns over the whole window. It is part
    /// of each spread.
    #[serde(default)]
    pub skew_error_ns: u64,
    /// Transit time of the load in each 100 ms, or twelfth of a shorter window.
    pub blocks: Vec<TransitBlock>,
    /// The probes sent after the load.
    pub trailing_probes: Vec<TransitSample>,
}

/// What was sent and carried in a part of the window, and the growth of the transit time over it,
/// with its uncertainty. A load that exceeds the link's rate fills a queue, and the transit time
/// grows.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitFit {
    /// Length of this part, in ns: the mean of several streams.
    pub duration_ns: u64,
    /// Packets sent in it.
    pub sent: u64,
    /// Of those: packets that arrived, altered ones among them.
    pub carried: u64,
    /// Rise of the transit time, in ns; negative if it fell. A change of the path's own delay is
    /// not part of it. Null if too few packets arrived.
    pub rise_ns: Option<i64>,
    /// Deviation of the transit time from an even rise, in ns: the uncertainty of the rise. Null
    /// if too few packets arrived.
    pub spread_ns: Option<u64>,
    /// Sum of the sender's gaps beyond its schedule, in ns: the mean of several streams.
    pub held_ns: u64,
    /// How long the load was paused in it, as no heartbeat arrived, in ns: the mean of several
    /// streams. Absent if it was not paused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused_ns: u64,
    /// Number of those pauses: the most of any stream. Absent if it was not paused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pauses: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A change of the path's own delay during the load.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathChange {
    /// When it happened, in ns after the first packet was due; null if it cannot be placed.
    pub at_ns: Option<u64>,
    /// By how much the transit time changed, in ns.
    pub change_ns: i64,
}

/// 100 ms of the load.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitBlock {
    /// Packets sent in it that arrived.
    pub count: u64,
    /// 10th percentile of their transit times above the smallest block of the trial, clock skew
    /// removed, in ns; null if none arrived.
    pub transit_p10_ns: Option<i64>,
    /// The smallest of their transit times, in the same scale; absent if the window is longer than
    /// 6 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_min_ns: Option<i64>,
    /// The largest of their transit times, in the same scale; absent if the window is longer than
    /// 6 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_max_ns: Option<i64>,
}

impl TransitBlock {
    /// Adds the same time of another stream: levels by their packets' number, to 1 ns.
    pub fn merge(&mut self, other: &Self) {
        let level = |of: &Self| of.transit_p10_ns.map(|ns| i128::from(ns) * i128::from(of.count));
        let sum = either(level(self), level(other), |a, b| a + b);
        let with_level = |of: &Self| if of.transit_p10_ns.is_some() { of.count } else { 0 };
        let count = i128::from(with_level(self) + with_level(other)).max(1);
        self.transit_p10_ns = sum.and_then(|sum| i64::try_from(sum / count).ok());
        self.transit_min_ns = either(self.transit_min_ns, other.transit_min_ns, i64::min);
        self.transit_max_ns = either(self.transit_max_ns, other.transit_max_ns, i64::max);
        self.count += other.count;
    }

    /// The same with its times less `ns`.
    #[must_use]
    pub fn less(self, ns: i64) -> Self {
        let less = |time: Option<i64>| time.map(|time| time.saturating_sub(ns));
        Self {
            count: self.count,
            transit_p10_ns: less(self.transit_p10_ns),
            transit_min_ns: less(self.transit_min_ns),
            transit_max_ns: less(self.transit_max_ns),
        }
    }
}

/// Adds the blocks of another stream.
pub(super) fn merge_blocks(sum: &mut Vec<TransitBlock>, other: &[TransitBlock]) {
    if sum.len() < other.len() {
        sum.resize(other.len(), TransitBlock::default());
    }
    sum.iter_mut().zip(other).for_each(|(sum, block)| sum.merge(block));
}

/// Whether there are no more of them than any trial has.
pub(super) fn check_blocks(blocks: &[TransitBlock]) -> Result<(), Invalid> {
    Invalid::unless(blocks.len() <= BLOCKS_MAX, "more blocks of 100 ms than any trial has")
}

/// Transit time of one probe.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransitSample {
    /// When it was sent, in ns after the first packet of the load was due.
    pub sent_ns: u64,
    /// Its transit time in the scale of the blocks, in ns; null if it was lost.
    pub transit_ns: Option<i64>,
}

/// The packets of a stream that its sender had sent in the window: it opens and closes with packets
/// that left on time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SentWindow {
    /// When the stream's first packet was due, in ns of the sender's clock.
    pub began_ns: u64,
    /// The whole window.
    pub whole: SentPart,
    /// Its last third.
    pub last_third: SentPart,
}

/// A part of a stream's window. Its last packet is the last one before the packet that closes it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SentPart {
    /// When it opens, in ns after the stream's first packet was due.
    pub start_ns: u64,
    /// When it closes, in ns after the stream's first packet was due.
    pub end_ns: u64,
    /// Sequence number of its first packet.
    pub first: u64,
    /// Sequence number of the packet behind its last.
    pub next: u64,
    /// Sum of the sender's gaps beyond its schedule until it closes, in ns.
    pub held_ns: u64,
    /// How long the load was paused between the two, in ns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused_ns: u64,
    /// Number of those pauses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pauses: u64,
}

impl SentPart {
    fn is_within(&self, sent: u64) -> bool {
        let is_within = self.first <= self.next && self.next <= sent;
        is_within && self.start_ns.saturating_add(self.paused_ns) <= self.end_ns
    }
}

impl Fact for SentWindow {
    fn check(&self) -> Result<(), Invalid> {
        self.check_within(u64::MAX)
    }
}

impl SentWindow {
    /// Whether it is one of a stream of `sent` packets.
    pub(super) fn check_within(&self, sent: u64) -> Result<(), Invalid> {
        let holds = self.whole.is_within(sent) && self.last_third.is_within(sent);
        Invalid::unless(holds, "a window beyond what was sent")
    }
}

impl ThroughputEvidence {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let ordered = self.window_start_ns <= self.window_end_ns;
        Invalid::unless(ordered, "throughput: a window that ends before it starts")?;
        let parts = [&self.whole, &self.last_third];
        let holds = parts.iter().all(|part| part.carried <= part.sent);
        Invalid::unless(holds, "throughput: more carried than sent")?;
        let holds = parts.iter().all(|part| part.paused_ns <= part.duration_ns);
        Invalid::unless(holds, "throughput: a load paused for longer than its window")?;
        let fits = self.blocks.len() <= BLOCKS_MAX && self.trailing_probes.len() <= BLOCKS_MAX;
        Invalid::unless(fits, "throughput: more blocks or probes than any trial has")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(count: u64, transit_p10_ns: Option<i64>) -> TransitBlock {
        TransitBlock { count, transit_p10_ns, ..TransitBlock::default() }
    }

    #[test]
    fn streams_are_averaged_by_their_packets() {
        let mut sum = vec![block(3, Some(10))];
        merge_blocks(&mut sum, &[block(1, Some(-2)), block(5, None)]);
        assert_eq!(sum, [block(4, Some(7)), block(5, None)]);
        merge_blocks(&mut sum, &[block(4, None), block(5, Some(9))]);
        assert_eq!(sum, [block(8, Some(7)), block(10, Some(9))]);
    }

    #[test]
    fn a_window_is_of_what_was_sent() {
        let part = SentPart { end_ns: 5, first: 1, next: 4, ..SentPart::default() };
        let window = SentWindow { whole: part, last_third: part, began_ns: 0 };
        assert_eq!(window.check_within(4), Ok(()));
        assert!(window.check_within(3).is_err());
        let paused = |paused_ns| SentPart { paused_ns, pauses: 1, ..part };
        let with = |whole| SentWindow { whole, ..window }.check_within(4);
        assert_eq!((with(paused(5)), with(paused(6)).is_err()), (Ok(()), true));
        let turned = SentPart { start_ns: 6, ..part };
        assert!(SentWindow { last_third: turned, ..window }.check_within(4).is_err());
    }
}
