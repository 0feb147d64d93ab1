//! What the receiving end of UDP streams counted.

use super::sender::is_none;
use super::sums::{either, total};
use super::throughput::{check_blocks, merge_blocks};
use super::{Fact, Invalid, SUM_MAX, Series, Silences, TransitBlock};
use crate::stats::loss_bursts::LossBursts;
use serde::{Deserialize, Serialize};

/// The most loss bursts of a direction that are listed one by one.
pub const LOSS_BURSTS_MAX: usize = 10_000;

/// What the receiver of UDP counted, in all streams of one direction together; `streams` lists them
/// one by one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ReceiverCounts {
    /// Packets received in time, each counted once.
    pub received: u64,
    /// Packets received more than 2 s after they were due: verdicts count them as lost.
    pub late: u64,
    /// Packets received again: further copies.
    pub duplicate: u64,
    /// Received packets that arrived after a packet that was sent later.
    pub reordered: u64,
    /// By how many packets a received one was behind the newest, at most: a TCP that goes by three
    /// duplicate acknowledgements retransmits needlessly from 3 on.
    pub reordered_by_max: u64,
    /// Packets that the receiving host dropped: not lost by the link.
    pub host_dropped: u64,
    /// Of the lost packets: those that the receiving host may have dropped.
    pub unattributed: u64,
    /// Packets received in time with another payload than was sent, under a right checksum: neither
    /// received nor lost. Verdicts count their share of the compared packets as lost.
    pub corrupted: u64,
    /// Of the received and corrupted packets: those whose payload was compared with what was sent.
    pub compared: u64,
    /// Datagrams of the stream whose header was damaged or forged, or whose length was wrong: no
    /// packets, so that the packets that they were count as lost.
    pub malformed: u64,
    /// Packets received that were outside what the agent had granted.
    pub rejected: u64,
    /// Packets that were never sent, by the due times of those that arrived: slots of the schedule
    /// that were passed over before the last. No more than the sender reports.
    pub slots_passed: u64,
    /// Received packets that were due in the steady part of the trial (without 200 ms at each end).
    pub steady: u64,
    /// Received packets that arrived in the steady part, counted from the first arrival.
    pub steady_on_time: u64,
    /// Octets of UDP payload in the received packets.
    pub octets: u64,
    /// Packets received, by second of arrival, from the first arrival.
    pub per_second: Series,
    /// Lost and late packets by their pattern (RFC 3357).
    pub losses: LossBursts,
    /// The loss bursts, one by one.
    #[serde(skip_serializing_if = "LossBurstList::is_empty")]
    pub loss_bursts: LossBurstList,
    /// Of the lost and late packets: those that were sent in a catch-up beyond the burst bound.
    pub lost_in_excess: u64,
    /// Number of streams that were not read to the end, because more datagrams had arrived than
    /// twice what was granted: packets that were not read may count as lost. Absent if none.
    #[serde(skip_serializing_if = "is_none")]
    pub unread: u64,
    /// When the first packet arrived (or was expected), in ns of the receiver's clock, the earliest
    /// of several streams; null if none arrived.
    pub began_ns: Option<u64>,
    /// Intervals without an arrival, from 50 ms on, or from what a shorter bound on outages needs.
    pub silences: Silences,
    /// RFC 3550 jitter in ns, the largest of several streams; null if not known.
    pub jitter_rfc3550_ns: Option<f64>,
    /// Octets of the socket's receive buffer as granted by the kernel, the smallest of several
    /// streams; null if not known.
    pub buffer_octets: Option<u64>,
    /// The counts of each stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamReceived>,
    /// Transit times of the load in each 100 ms, each stream's above its first packet's. A record
    /// has them in the evidence of throughput, put on the sender's clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(skip))]
    pub transits: Vec<TransitBlock>,
}

/// What the receiver of one UDP stream counted: shows which of several paths loses.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StreamReceived {
    /// The stream's number in the trial, from 1: forward streams before reverse ones.
    pub stream: u32,
    /// Packets received in time, each counted once.
    pub received: u64,
    /// Packets that never arrived and that the receiving host did not drop.
    pub lost: u64,
    /// Packets received more than 2 s after they were due.
    pub late: u64,
    /// Packets received again: further copies.
    pub duplicate: u64,
    /// Received packets that arrived after a packet that was sent later.
    pub reordered: u64,
    /// Packets that the receiving host dropped.
    pub host_dropped: u64,
    /// Packets received in time with another payload than was sent.
    pub corrupted: u64,
    /// Packets received of those sent in the window that throughput is judged over, altered ones
    /// among them; null if not known.
    pub in_window: Option<u64>,
    /// Packets received of those sent in the last third of that window; null if not known.
    pub in_last_third: Option<u64>,
}

/// A run of consecutive losses of one stream, late packets included (RFC 3357).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LossBurst {
    /// The stream's number in the trial.
    pub stream: u32,
    /// Sequence number of its first lost packet, from 0. Divided by the packet rate of the stream:
    /// the earliest time at which that packet can have been due. Only packets sent are numbered, so
    /// it was due later by the packets that were skipped, refused or paused before it.
    pub sequence: u64,
    /// Packets lost in it.
    pub packets: u64,
}

/// Loss bursts one by one, up to 10 000 per direction; the rest are summed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LossBurstList {
    /// The first bursts of each stream, ordered by stream and sequence number.
    pub listed: Vec<LossBurst>,
    /// Number of bursts that are not listed.
    pub beyond: u64,
    /// Packets lost in those.
    pub beyond_packets: u64,
}

impl LossBurstList {
    /// Adds a burst behind the others of its stream.
    pub fn push(&mut self, burst: LossBurst) {
        if self.listed.len() < LOSS_BURSTS_MAX {
            self.listed.push(burst);
        } else {
            self.beyond += 1;
            self.beyond_packets += burst.packets;
        }
    }

    /// The burst that was added last goes on by so many packets.
    pub const fn extend_last(&mut self, packets: u64) {
        match self.listed.as_mut_slice() {
            [.., last] if self.beyond == 0 => last.packets += packets,
            _ => self.beyond_packets += packets,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.beyond == 0
    }

    fn merge(&mut self, other: &Self) {
        self.listed.extend_from_slice(&other.listed);
        self.listed.sort_unstable();
        self.beyond += other.beyond;
        self.beyond_packets += other.beyond_packets;
        for burst in self.listed.split_off(self.listed.len().min(LOSS_BURSTS_MAX)) {
            self.beyond += 1;
            self.beyond_packets += burst.packets;
        }
    }

    /// Packets of all of them.
    fn packets(&self) -> u64 {
        let listed = self.listed.iter().map(|burst| burst.packets);
        total(listed.chain([self.beyond_packets]))
    }
}

impl ReceiverCounts {
    /// Packets that never arrived and that this host did not drop.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.losses.lost().saturating_sub(self.late)
    }

    /// All packets that are accounted for: with the sender's account, what it sent.
    #[must_use]
    pub const fn accounted(&self) -> u64 {
        self.received
            .saturating_add(self.late)
            .saturating_add(self.lost())
            .saturating_add(self.corrupted)
            .saturating_add(self.host_dropped)
    }

    /// Attributes `damaged` packets to the link that this host dropped because their checksum
    /// was wrong: the link delivered them damaged, and so did not deliver them.
    pub fn blame_link_for(&mut self, damaged: u64) {
        let damaged = damaged.min(self.host_dropped);
        self.host_dropped -= damaged;
        // Where they stood is not known; apart from each other they prove the least burstiness.
        self.losses.add_scattered(damaged);
    }

    /// Adds another stream of the same direction. Associative and commutative.
    pub fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.reordered_by_max = self.reordered_by_max.max(other.reordered_by_max);
        self.host_dropped += other.host_dropped;
        self.unattributed += other.unattributed;
        self.corrupted += other.corrupted;
        self.compared += other.compared;
        self.malformed += other.malformed;
        self.rejected += other.rejected;
        self.unread += other.unread;
        self.slots_passed += other.slots_passed;
        self.steady += other.steady;
        self.steady_on_time += other.steady_on_time;
        self.octets += other.octets;
        self.per_second.merge(&other.per_second);
        self.losses.merge(&other.losses);
        self.loss_bursts.merge(&other.loss_bursts);
        self.lost_in_excess += other.lost_in_excess;
        self.began_ns = either(self.began_ns, other.began_ns, u64::min);
        self.silences = self.silences.in_common_with(&other.silences);
        self.jitter_rfc3550_ns = either(self.jitter_rfc3550_ns, other.jitter_rfc3550_ns, f64::max);
        self.buffer_octets = either(self.buffer_octets, other.buffer_octets, u64::min);
        self.streams.extend_from_slice(&other.streams);
        self.streams.sort_unstable_by_key(|stream| stream.stream);
        merge_blocks(&mut self.transits, &other.transits);
    }

    /// The same account as that of the stream `number` alone.
    #[must_use]
    pub fn of_stream(mut self, number: u32) -> Self {
        self.of_window(number, None);
        self
    }

    /// Notes the share of the stream `number`, which alone this is of, and what was received of
    /// its window and of the last third of that.
    pub fn of_window(&mut self, number: u32, received_in: Option<(u64, u64)>) {
        let Self { received, late, duplicate, reordered, host_dropped, corrupted, .. } = *self;
        let lost = self.lost();
        let share = StreamReceived {
            stream: number,
            received,
            lost,
            late,
            duplicate,
            reordered,
            host_dropped,
            corrupted,
            in_window: received_in.map(|(whole, _)| whole),
            in_last_third: received_in.map(|(_, last_third)| last_third),
        };
        self.streams = vec![share];
    }
}

impl Fact for ReceiverCounts {
    fn check(&self) -> Result<(), Invalid> {
        let listed = self.loss_bursts.listed.len();
        Invalid::unless(listed <= LOSS_BURSTS_MAX, "more loss bursts than are listed")?;
        let ordered = self.loss_bursts.listed.windows(2).all(|pair| pair[0] < pair[1]);
        Invalid::unless(ordered, "loss bursts out of order")?;
        let within = self.loss_bursts.packets() <= self.losses.lost();
        Invalid::unless(within, "loss bursts of more packets than were lost")?;
        let part = self.steady.max(self.steady_on_time).max(self.reordered);
        Invalid::unless(part <= self.received, "more packets of one kind than were received")?;
        let compared = total([self.received, self.corrupted]);
        let holds = self.corrupted <= self.compared && self.compared <= compared;
        Invalid::unless(holds, "more packets corrupted than compared, or compared than arrived")?;
        // Records that were converted from format 2 may have no series.
        let in_seconds = self.per_second.total();
        let adds_up = self.per_second == Series::default() || in_seconds == self.received;
        Invalid::unless(adds_up, "seconds that do not add up to what was received")?;
        // What the host dropped may become the link's loss: that is one sum.
        let missing = total([self.losses.lost(), self.host_dropped]);
        Invalid::unless(missing <= SUM_MAX, "more packets lost and dropped than any run sends")?;
        let shared = total(self.streams.iter().map(|stream| stream.received));
        let adds_up = self.streams.is_empty() || shared == self.received;
        Invalid::unless(adds_up, "streams that do not add up to what was received")?;
        let jitter_ns = self.jitter_rfc3550_ns.unwrap_or(0.0);
        Invalid::unless(jitter_ns.is_finite() && 0.0 <= jitter_ns, "a jitter that is none")?;
        check_blocks(&self.transits)?;
        self.silences.check()?;
        self.per_second.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::{check, refuses_absurd_numbers};
    use crate::account::read_back;

    fn received() -> ReceiverCounts {
        let mut counts = ReceiverCounts {
            received: 5,
            late: 1,
            steady: 5,
            steady_on_time: 4,
            corrupted: 2,
            compared: 7,
            malformed: 1,
            slots_passed: 3,
            reordered: 3,
            per_second: Series::from_seconds(vec![2, 3]),
            jitter_rfc3550_ns: Some(1.5),
            began_ns: Some(3),
            ..ReceiverCounts::default()
        };
        for arrived in [1, 3, 20] {
            counts.losses.on_lost(4);
            counts.losses.on_arrived(arrived);
        }
        counts.loss_bursts.push(LossBurst { stream: 1, sequence: 9, packets: 4 });
        counts.loss_bursts.push(LossBurst { stream: 1, sequence: 14, packets: 4 });
        counts.of_stream(1)
    }

    #[test]
    fn an_account_is_read_back_whole_and_an_absurd_one_refused() {
        refuses_absurd_numbers(&received());
    }

    #[test]
    fn an_account_that_contradicts_itself_is_refused() {
        check(&received(), true);
        check(&ReceiverCounts { received: 6, ..received() }, false);
        check(&ReceiverCounts { losses: LossBursts::default(), ..received() }, false);
        check(&ReceiverCounts { jitter_rfc3550_ns: Some(-1.0), ..received() }, false);
        check(&ReceiverCounts { corrupted: 8, ..received() }, false);
        check(&ReceiverCounts { compared: 8, ..received() }, false);
        check(&ReceiverCounts { compared: 1, ..received() }, false);
        check(&ReceiverCounts { steady: 6, ..received() }, false);
        check(&ReceiverCounts { steady_on_time: 6, ..received() }, false);
        check(&ReceiverCounts { reordered: 6, ..received() }, false);
        let per_second = Series::from_seconds(vec![2, 2]);
        check(&ReceiverCounts { per_second, ..received() }, false);
        check(&ReceiverCounts { per_second: Series::default(), ..received() }, true);
        // 2^16 such shares are 2^64: beyond 64 bit, they would add up again.
        let share = StreamReceived { received: 1 << 48, ..StreamReceived::default() };
        let streams = [vec![share; 1 << 16], received().streams].concat();
        check(&ReceiverCounts { streams, ..received() }, false);
    }

    /// The last word on a trial is what of its host's drops is the link's loss.
    #[test]
    fn an_account_that_can_be_recorded_still_can_when_the_link_is_to_blame() {
        let of = |lost, host_dropped| {
            let mut counts = ReceiverCounts { host_dropped, ..ReceiverCounts::default() };
            counts.losses.on_lost(lost);
            counts
        };
        assert!(read_back(&of(SUM_MAX, 1)).is_err());
        let mut most = of(SUM_MAX - 1, 1);
        assert_eq!(read_back(&most), Ok(()));
        most.blame_link_for(u64::MAX);
        assert_eq!((most.lost(), most.host_dropped), (SUM_MAX, 0));
        assert_eq!(read_back(&most), Ok(()));
    }

    #[test]
    fn bursts_beyond_the_list_are_summed() {
        let list = received().loss_bursts;
        assert_eq!((list.listed.len(), list.beyond, list.beyond_packets), (2, 0, 0));
        let mut long = LossBurstList::default();
        for sequence in 0..LOSS_BURSTS_MAX as u64 {
            long.push(LossBurst { stream: 2, sequence, packets: 1 });
        }
        long.merge(&list);
        assert_eq!((long.listed.len(), long.beyond, long.beyond_packets), (LOSS_BURSTS_MAX, 2, 2));
        assert_eq!(long.listed[0].stream, 1);
        long.extend_last(3);
        assert_eq!((long.beyond, long.beyond_packets), (2, 5), "the newest is beyond the list");
    }

    #[test]
    fn of_several_streams_the_one_that_reorders_furthest_counts() {
        let by = |reordered_by_max| ReceiverCounts { reordered_by_max, ..received() };
        let mut sum = by(2);
        sum.merge(&by(5));
        sum.merge(&by(3));
        assert_eq!(sum.reordered_by_max, 5);
    }

    #[test]
    fn the_stream_that_loses_is_seen_in_the_sum() {
        let mut sum = received();
        let clean = ReceiverCounts { received: 17, ..ReceiverCounts::default() };
        sum.merge(&clean.of_stream(2));
        let lost: Vec<_> = sum.streams.iter().map(|share| (share.stream, share.lost)).collect();
        assert_eq!(lost, [(1, 11), (2, 0)]);
    }
}
