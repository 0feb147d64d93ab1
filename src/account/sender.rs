//! What the sending end of UDP streams counted.

use super::sums::{either, total};
use super::{Fact, Invalid, SentWindow, Series};
use crate::stats::delays::Delays;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A part of a stream's sequence numbers.
pub type Sequences = Range<u64>;

/// The catch-ups of a stream that left faster than a policer of its rate has to let through, in
/// their order.
pub type Excess = Vec<CatchUp>;

/// Packets sent late and faster than the stream's rate, because the sender had been held up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CatchUp {
    /// Sequence number of the first packet beyond the burst bound.
    pub start: u64,
    /// One past the sequence number of the last late packet.
    pub end: u64,
    /// Packets that a policer of the stream's rate and burst bound would have dropped of them. No
    /// more of them can be lost because of the catch-up.
    pub beyond_packets: u64,
}

impl CatchUp {
    /// The packets of it that were sent, within the first `sent` of the stream.
    #[must_use]
    pub fn sequences(&self, sent: u64) -> Sequences {
        self.start..self.end.min(sent)
    }
}

/// The most catch-ups that are counted one by one.
pub const EXCESS_MAX: usize = 1_024;

/// The most streams of a direction.
const STREAMS_MAX: usize = 64;

/// What the sender of UDP counted, in all streams of one direction together; `streams` lists them
/// one by one. What was sent is what this account says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SenderCounts {
    /// Packets that the sending kernel accepted.
    pub sent: u64,
    /// Packets that the sending host's network stack refused: never sent.
    pub refused: u64,
    /// Of the refused: packets that the queue of the device dropped and reported.
    pub queue_dropped: u64,
    /// Packets that were never sent because the path had answered with an ICMP error twice.
    pub unreachable: u64,
    /// Packets never sent because the far end had stopped responding.
    pub paused: u64,
    /// Packets never sent because the sending host was too slow.
    pub skipped: u64,
    /// Of the refused and the skipped: packets that the agent's meter stopped, as all that the
    /// agent sends together reached its `--max-rate`; absent if none.
    #[serde(skip_serializing_if = "is_none")]
    pub metered: u64,
    /// Packets never sent because the load still rose to its rate; absent if none.
    #[serde(skip_serializing_if = "is_none")]
    pub ramped: u64,
    /// Packets sent that were due in the steady part of the trial (without 200 ms at each end).
    pub steady: u64,
    /// When the last packet sent was due, in ns after the first.
    pub last_due_ns: u64,
    /// Packets sent, by the second in which they were due.
    pub per_second: Series,
    /// Catch-ups beyond the burst bound. Empty if there are several streams, as each has sequence
    /// numbers of its own.
    pub excess: Excess,
    /// Packets of catch-ups beyond the burst bound, of all streams; absent if none.
    #[serde(skip_serializing_if = "is_none")]
    pub excess_packets: u64,
    /// How late packets were sent (scheduling delay), in ns; packets of a GSO batch are all as late
    /// as its last.
    pub lateness: Delays,
    /// Packets sent in GSO batches: fewer than `sent` if the kernel or the device refused to
    /// segment.
    pub segmented: u64,
    /// Maximum of packets sent at once.
    pub burst: u32,
    /// How the sender waited for the due time of each packet (pacing).
    pub waiting: Waiting,
    /// Octets of the socket's send buffer as granted by the kernel, the smallest of several
    /// streams; null if not known.
    pub buffer_octets: Option<u64>,
    /// The counts of each stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamSent>,
}

/// What the sender of one UDP stream counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StreamSent {
    /// The stream's number in the trial, from 1: forward streams before reverse ones.
    pub stream: u32,
    /// Packets that the sending kernel accepted.
    pub sent: u64,
    /// Packets that the sending host's network stack refused: never sent.
    pub refused: u64,
    /// Packets never sent because the sending host was too slow.
    pub skipped: u64,
    /// What it sent in the window that throughput is judged over; null if nothing was sent in it,
    /// or throughput was judged by due times.
    pub window: Option<SentWindow>,
}

/// How a sender waits for the due time of a packet. Of several streams, the least precise.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// It did not wait: nothing was sent, or it sent as fast as it could.
    #[default]
    Never,
    /// Busy-wait for the last 60 us, at real-time priority.
    AwakeFirst,
    /// Busy-wait for the last 60 us.
    Awake,
    /// Sleep only: there are fewer processors than threads that send and receive.
    Asleep,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(super) const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl SenderCounts {
    /// Adds the account of another stream of the same direction. Associative and commutative.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.refused += other.refused;
        self.queue_dropped += other.queue_dropped;
        self.unreachable += other.unreachable;
        self.paused += other.paused;
        self.skipped += other.skipped;
        self.metered += other.metered;
        self.ramped += other.ramped;
        self.steady += other.steady;
        self.last_due_ns = self.last_due_ns.max(other.last_due_ns);
        self.per_second.merge(&other.per_second);
        self.excess.clear();
        self.excess_packets += other.excess_packets;
        self.lateness.merge(&other.lateness);
        self.segmented += other.segmented;
        self.burst = self.burst.max(other.burst);
        self.waiting = self.waiting.max(other.waiting);
        self.buffer_octets = either(self.buffer_octets, other.buffer_octets, u64::min);
        self.streams.extend_from_slice(&other.streams);
        self.streams.sort_unstable_by_key(|stream| stream.stream);
    }

    /// The same account as that of the stream `number` alone.
    #[must_use]
    pub fn of_stream(mut self, number: u32, window: Option<SentWindow>) -> Self {
        let Self { sent, refused, skipped, .. } = self;
        self.streams = vec![StreamSent { stream: number, sent, refused, skipped, window }];
        self
    }
}

impl Fact for SenderCounts {
    fn check(&self) -> Result<(), Invalid> {
        let is_part = self.steady.max(self.segmented) <= self.sent;
        Invalid::unless(is_part, "more packets in the steady part or in batches than were sent")?;
        let is_part = self.metered <= self.refused.saturating_add(self.skipped);
        Invalid::unless(is_part, "more packets stopped by the meter than were not sent")?;
        let is_short = self.excess.len() <= EXCESS_MAX && self.streams.len() <= STREAMS_MAX;
        Invalid::unless(is_short, "more than 1024 catch-ups, or more than 64 streams")?;
        let ordered = self.excess.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let within = self.excess.iter().all(|catch_up| {
            let packets = catch_up.end.checked_sub(catch_up.start);
            packets.is_some_and(|packets| catch_up.beyond_packets <= packets)
                && catch_up.end <= self.sent
        });
        Invalid::unless(ordered && within, "catch-ups out of order, or beyond what was sent")?;
        let shared = total(self.streams.iter().map(|stream| stream.sent));
        let adds_up = self.streams.is_empty() || shared == self.sent;
        Invalid::unless(adds_up, "streams that do not add up to what was sent")?;
        self.streams.iter().try_for_each(|stream| {
            stream.window.iter().try_for_each(|window| window.check_within(stream.sent))
        })?;
        self.per_second.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::{check, refuses_absurd_numbers};

    fn catch_up(start: u64, end: u64, beyond_packets: u64) -> CatchUp {
        CatchUp { start, end, beyond_packets }
    }

    fn sent() -> SenderCounts {
        let mut sent = SenderCounts {
            sent: 9,
            steady: 7,
            excess: vec![catch_up(2, 4, 1), catch_up(6, 9, 3)],
            segmented: 6,
            burst: 3,
            waiting: Waiting::Asleep,
            buffer_octets: Some(212_992),
            ..SenderCounts::default()
        };
        sent.lateness.record(17);
        sent.of_stream(2, None)
    }

    #[test]
    fn an_account_is_read_back_whole_and_an_absurd_one_refused() {
        refuses_absurd_numbers(&sent());
    }

    #[test]
    fn an_account_that_contradicts_itself_is_refused() {
        check(&sent(), true);
        check(&SenderCounts { sent: 3, ..sent() }, false);
        let excess = |excess| SenderCounts { excess, ..sent() };
        check(&excess(vec![catch_up(6, 9, 1), catch_up(2, 4, 1)]), false);
        check(&excess(vec![catch_up(6, 10, 1)]), false);
        check(&excess(vec![catch_up(6, 9, 4)]), false);
        check(&SenderCounts { segmented: 10, ..sent() }, false);
        check(&SenderCounts { refused: 1, skipped: 2, metered: 3, ..sent() }, true);
        check(&SenderCounts { refused: 1, skipped: 2, metered: 4, ..sent() }, false);
        check(&SenderCounts { excess: vec![catch_up(2, 2, 0); 1_024], ..sent() }, true);
        check(&SenderCounts { excess: vec![catch_up(2, 2, 0); 1_025], ..sent() }, false);
        check(&SenderCounts { streams: vec![StreamSent::default()], ..sent() }, false);
        // 2^16 such shares are 2^64: beyond 64 bit, they would add up again.
        let share = StreamSent { sent: 1 << 48, ..StreamSent::default() };
        let streams = [vec![share; 1 << 16], sent().streams].concat();
        check(&SenderCounts { streams, ..sent() }, false);
    }

    #[test]
    fn streams_stay_apart_in_their_sum() {
        let mut sum = sent();
        sum.merge(&SenderCounts { sent: 4, ..SenderCounts::default() }.of_stream(1, None));
        assert_eq!(sum.buffer_octets, Some(212_992), "that of the stream that knows it");
        let shares: Vec<_> = sum.streams.iter().map(|share| (share.stream, share.sent)).collect();
        assert_eq!((sum.sent, shares), (13, vec![(1, 4), (2, 9)]));
        check(&sum, true);
    }
}
