//! What both ends of TCP streams counted, and what their kernels report.

use super::sums::{either, total};
use super::{Fact, Invalid, NANOS_MAX, Series, Silences};
use crate::stats::delays::Delays;
use serde::{Deserialize, Serialize};

/// The most samples: more than the longest trial has seconds.
const SAMPLES_MAX: usize = 24 * 3_600 + 2;

/// The largest segment that IP can carry.
const SEGMENT_MAX: u32 = 65_535;

/// What the sending kernel reports of a connection (`TCP_INFO`); null where the kernel is too old
/// to report it. Of several streams together, times and counts are sums unless the field says
/// otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpInfo {
    /// Smoothed round-trip time, in us; the largest of several streams; null if not known.
    #[serde(with = "unknown_at_0")]
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    pub rtt_us: u64,
    /// Minimum round-trip time, in us; the smallest of several streams.
    pub min_rtt_us: Option<u64>,
    /// Congestion window, in segments.
    pub cwnd_segments: u64,
    /// Octets of payload in a full segment (MSS); the smallest of several streams; null if not
    /// known.
    #[serde(with = "unknown_at_0")]
    #[cfg_attr(test, schemars(with = "Option<u32>"))]
    pub mss_octets: u32,
    /// Whether segments carry TCP timestamps.
    pub timestamps: bool,
    /// Segments retransmitted.
    pub retransmitted_segments: u64,
    /// Octets sent, retransmissions included.
    pub sent_octets: Option<u64>,
    /// Octets retransmitted.
    pub retransmitted_octets: Option<u64>,
    /// Segments that the receiver reported as duplicates (DSACK): spurious retransmissions.
    pub duplicate_segments: Option<u64>,
    /// Number of times that segments were seen out of order.
    pub reordered: Option<u64>,
    /// Time with something to send, in us.
    pub busy_us: Option<u64>,
    /// Of that: time limited by the receive window, in us.
    pub receiver_limited_us: Option<u64>,
    /// Of that: time limited by the send buffer, in us.
    pub buffer_limited_us: Option<u64>,
}

/// Numbers of which the kernel says 0 where it does not know them, and a record null.
mod unknown_at_0 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S, N>(number: &N, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        N: Copy + Default + PartialEq + Serialize,
    {
        Some(*number).filter(|number| *number != N::default()).serialize(to)
    }

    pub(super) fn deserialize<'de, D, N>(from: D) -> Result<N, D::Error>
    where
        D: Deserializer<'de>,
        N: Default + Deserialize<'de>,
    {
        Option::<N>::deserialize(from).map(Option::unwrap_or_default)
    }
}

impl TcpInfo {
    fn merged(&self, other: &Self) -> Self {
        let (a, b) = (self, other);
        Self {
            rtt_us: a.rtt_us.max(b.rtt_us),
            min_rtt_us: either(a.min_rtt_us, b.min_rtt_us, u64::min),
            cwnd_segments: a.cwnd_segments + b.cwnd_segments,
            mss_octets: match (a.mss_octets, b.mss_octets) {
                (0, octets) | (octets, 0) => octets,
                (a, b) => a.min(b),
            },
            timestamps: a.timestamps || b.timestamps,
            retransmitted_segments: a.retransmitted_segments + b.retransmitted_segments,
            sent_octets: sum(a.sent_octets, b.sent_octets),
            retransmitted_octets: sum(a.retransmitted_octets, b.retransmitted_octets),
            duplicate_segments: sum(a.duplicate_segments, b.duplicate_segments),
            reordered: sum(a.reordered, b.reordered),
            busy_us: sum(a.busy_us, b.busy_us),
            receiver_limited_us: sum(a.receiver_limited_us, b.receiver_limited_us),
            buffer_limited_us: sum(a.buffer_limited_us, b.buffer_limited_us),
        }
    }
}

/// The socket buffer of one end of a connection, in octets as the kernel counts them: twice the
/// payload.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpBuffer {
    /// Octets that the bandwidth-delay product (rate times round-trip time) needs.
    pub needed_octets: u64,
    /// Maximum octets to which the kernel's autotuning grows it; null if not known.
    pub tuned_max_octets: Option<u64>,
    /// Octets that it was set to; null if left to autotuning.
    pub granted_octets: Option<u64>,
    /// Why it is smaller than needed; null if it is not.
    pub reason: Option<String>,
}

/// Result of comparing the payload received with the payload sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpChecked {
    /// Octets compared.
    pub octets: u64,
    /// Of those: octets that differ.
    pub damaged_octets: u64,
    /// The number of the stream with the first difference; null if there is none.
    pub stream: Option<u32>,
    /// Octets of that stream before the first difference; null if there is none.
    pub first_octet: Option<u64>,
    /// Octets of that stream before the last difference found; null if there is none.
    pub last_octet: Option<u64>,
}

/// One second of all TCP streams of a direction, sampled every 100 ms.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpSample {
    /// Number of streams sampled.
    pub streams: u64,
    /// Sum of the streams' smoothed round-trip times at the end of the second, in us.
    pub rtt_us_sum: u64,
    /// Smallest of them in the second, in us; null if there was none.
    pub rtt_us_min: Option<u64>,
    /// Largest of them in the second, in us.
    pub rtt_us_max: u64,
    /// Sum of the congestion windows at the end of the second, in segments.
    pub cwnd_segments: u64,
    /// Sum of each stream's largest congestion window in the second, in segments.
    pub cwnd_max_segments: u64,
    /// Segments retransmitted so far.
    pub retransmitted_segments: u64,
    /// Of those: spurious retransmissions (DSACK) so far.
    pub duplicate_segments: Option<u64>,
    /// Number of times that segments were seen out of order so far.
    pub reordered: Option<u64>,
    /// Time with something to send so far, in us.
    pub busy_us: Option<u64>,
    /// Of that: time limited by the receive window, in us.
    pub receiver_limited_us: Option<u64>,
    /// Of that: time limited by the send buffer, in us.
    pub buffer_limited_us: Option<u64>,
}

impl TcpSample {
    /// What one stream's kernel reports at one moment.
    #[must_use]
    pub const fn of(info: &TcpInfo) -> Self {
        Self {
            streams: 1,
            rtt_us_sum: info.rtt_us,
            // A kernel that has not measured one yet reports 0.
            rtt_us_min: if info.rtt_us == 0 { None } else { Some(info.rtt_us) },
            rtt_us_max: info.rtt_us,
            cwnd_segments: info.cwnd_segments,
            cwnd_max_segments: info.cwnd_segments,
            retransmitted_segments: info.retransmitted_segments,
            duplicate_segments: info.duplicate_segments,
            reordered: info.reordered,
            busy_us: info.busy_us,
            receiver_limited_us: info.receiver_limited_us,
            buffer_limited_us: info.buffer_limited_us,
        }
    }

    /// One stream's second, of which `before` was seen already.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        Self {
            rtt_us_min: either(self.rtt_us_min, before.rtt_us_min, u64::min),
            rtt_us_max: self.rtt_us_max.max(before.rtt_us_max),
            cwnd_max_segments: self.cwnd_max_segments.max(before.cwnd_max_segments),
            ..self
        }
    }

    fn merge(&mut self, other: &Self) {
        *self = Self {
            streams: self.streams + other.streams,
            rtt_us_sum: self.rtt_us_sum + other.rtt_us_sum,
            rtt_us_min: either(self.rtt_us_min, other.rtt_us_min, u64::min),
            rtt_us_max: self.rtt_us_max.max(other.rtt_us_max),
            cwnd_segments: self.cwnd_segments + other.cwnd_segments,
            cwnd_max_segments: self.cwnd_max_segments + other.cwnd_max_segments,
            retransmitted_segments: self.retransmitted_segments + other.retransmitted_segments,
            duplicate_segments: sum(self.duplicate_segments, other.duplicate_segments),
            reordered: sum(self.reordered, other.reordered),
            busy_us: sum(self.busy_us, other.busy_us),
            receiver_limited_us: sum(self.receiver_limited_us, other.receiver_limited_us),
            buffer_limited_us: sum(self.buffer_limited_us, other.buffer_limited_us),
        };
    }
}

/// The sum of what is known.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    either(a, b, |a, b| a + b)
}

/// Payload and retransmissions of one TCP stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpStreamOctets {
    /// The stream's number in the trial, from 1: forward streams before reverse ones.
    pub stream: u32,
    /// Octets of payload.
    pub octets: u64,
    /// Segments retransmitted; null at a receiver, which cannot know.
    pub retransmitted_segments: Option<u64>,
}

/// What the sender of TCP counted, in all streams of one direction together. Retransmissions,
/// spurious retransmissions and reordering are separate: none of them is loss.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpSenderCounts {
    /// Octets of payload that the sending kernel accepted.
    pub octets: u64,
    /// The congestion control that the kernel used; null if there was no stream.
    pub congestion_control: Option<String>,
    /// What the kernel reported at the end.
    pub last: TcpInfo,
    /// What the kernel reported during the trial, one row per second, and one row after it.
    pub samples: Vec<TcpSample>,
    /// The streams' smoothed round-trip times in ns, sampled every 100 ms.
    pub round_trips: Delays,
    /// How long the sending threads were delayed because their host was stopped or busy, in ns.
    pub held_up_ns: u64,
    /// The send buffer; of several streams, the one that falls shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<TcpBuffer>,
    /// Why a stream ended before its time; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Why this host could not send a stream at all; absent if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The counts of each stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<TcpStreamOctets>,
}

impl TcpSenderCounts {
    /// Adds the account of another stream of the same direction.
    pub fn merge(&mut self, other: &Self) {
        self.octets += other.octets;
        if self.congestion_control.is_none() {
            self.congestion_control.clone_from(&other.congestion_control);
        }
        self.last = self.last.merged(&other.last);
        if self.samples.len() < other.samples.len() {
            self.samples.resize(other.samples.len(), TcpSample::default());
        }
        self.samples.iter_mut().zip(&other.samples).for_each(|(sum, sample)| sum.merge(sample));
        self.round_trips.merge(&other.round_trips);
        self.held_up_ns = self.held_up_ns.saturating_add(other.held_up_ns).min(NANOS_MAX);
        self.buffer = shorter(self.buffer.take(), other.buffer.as_ref());
        self.broken = self.broken.take().or_else(|| other.broken.clone());
        self.refused = self.refused.take().or_else(|| other.refused.clone());
        merge_streams(&mut self.streams, &other.streams);
    }

    /// The same account as that of the stream `number` alone.
    #[must_use]
    pub fn of_stream(mut self, number: u32) -> Self {
        let retransmitted_segments = Some(self.last.retransmitted_segments);
        let octets = self.octets;
        self.streams = vec![TcpStreamOctets { stream: number, octets, retransmitted_segments }];
        self
    }
}

fn merge_streams(mine: &mut Vec<TcpStreamOctets>, others: &[TcpStreamOctets]) {
    mine.extend_from_slice(others);
    mine.sort_unstable_by_key(|stream| stream.stream);
}

/// The buffer that falls shorter of what it needs.
fn shorter(a: Option<TcpBuffer>, b: Option<&TcpBuffer>) -> Option<TcpBuffer> {
    let lacks = |buffer: &TcpBuffer| {
        let had = buffer.granted_octets.or(buffer.tuned_max_octets).unwrap_or(u64::MAX);
        buffer.needed_octets.saturating_sub(had)
    };
    match (a, b) {
        (Some(a), Some(b)) if lacks(&a) < lacks(b) => Some(b.clone()),
        (a, b) => a.or_else(|| b.cloned()),
    }
}

/// Whether streams' shares, where they are listed, make the whole.
fn adds_up(streams: &[TcpStreamOctets], octets: u64) -> Result<(), Invalid> {
    let shared = total(streams.iter().map(|stream| stream.octets));
    let holds = streams.is_empty() || shared == octets;
    Invalid::unless(holds, "TCP streams that do not add up")
}

impl Fact for TcpSenderCounts {
    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.samples.len() <= SAMPLES_MAX, "more samples than any trial has")?;
        let fits = self.last.mss_octets <= SEGMENT_MAX;
        Invalid::unless(fits, "mss_octets: no packet is as long")?;
        adds_up(&self.streams, self.octets)
    }
}

/// What the receiver of TCP counted, in all streams of one direction together.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcpReceiverCounts {
    /// Octets of payload received.
    pub octets: u64,
    /// Octets of payload received, by second, from the first arrival.
    pub per_second: Series,
    /// When the first octet arrived, in ns of the receiver's clock; null if none did.
    pub began_ns: Option<u64>,
    /// Intervals of 50 ms or more without an arrival.
    pub silences: Silences,
    /// Whether every stream was received to its end.
    pub ended: bool,
    /// Result of the payload comparison: of all octets with `--verify` or up to 200 Mbit/s per
    /// stream, else of one piece of 64 KiB in 64, chosen at random; absent if nothing was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<TcpChecked>,
    /// The receive buffer; of several streams, the one that falls shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<TcpBuffer>,
    /// The counts of each stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<TcpStreamOctets>,
}

impl TcpReceiverCounts {
    /// Adds another stream of the same direction.
    pub fn merge(&mut self, other: &Self) {
        self.octets += other.octets;
        self.per_second.merge(&other.per_second);
        self.began_ns = either(self.began_ns, other.began_ns, u64::min);
        self.silences = self.silences.in_common_with(&other.silences);
        self.ended &= other.ended;
        self.checked = either(self.checked, other.checked, |a, b| a.with(&b));
        self.buffer = shorter(self.buffer.take(), other.buffer.as_ref());
        merge_streams(&mut self.streams, &other.streams);
    }

    /// The same account as that of the stream `number` alone.
    #[must_use]
    pub fn of_stream(mut self, number: u32) -> Self {
        let (octets, retransmitted_segments) = (self.octets, None);
        self.streams = vec![TcpStreamOctets { stream: number, octets, retransmitted_segments }];
        self
    }
}

impl TcpChecked {
    /// What was compared of two streams; the place is that of the first stream that is damaged.
    const fn with(&self, other: &Self) -> Self {
        let place = if self.damaged_octets == 0 { other } else { self };
        let octets = self.octets + other.octets;
        let damaged_octets = self.damaged_octets + other.damaged_octets;
        Self { octets, damaged_octets, ..*place }
    }
}

impl Fact for TcpReceiverCounts {
    fn check(&self) -> Result<(), Invalid> {
        let whole = self.per_second.total() == self.octets;
        Invalid::unless(whole, "per_second: the seconds do not add up to octets")?;
        let TcpChecked { octets, damaged_octets, .. } = self.checked.unwrap_or_default();
        let part = octets <= self.octets && damaged_octets <= octets;
        Invalid::unless(part, "checked: more octets than were received")?;
        self.silences.check()?;
        self.per_second.check()?;
        adds_up(&self.streams, self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::{check, refuses_absurd_numbers};

    fn received() -> TcpReceiverCounts {
        TcpReceiverCounts {
            octets: 7,
            per_second: Series::from_seconds(vec![3, 0, 4]),
            began_ns: Some(9),
            ended: true,
            checked: Some(TcpChecked { octets: 7, damaged_octets: 1, ..TcpChecked::default() }),
            buffer: Some(TcpBuffer { needed_octets: 9, ..TcpBuffer::default() }),
            ..TcpReceiverCounts::default()
        }
        .of_stream(1)
    }

    fn sent() -> TcpSenderCounts {
        let last = TcpInfo { rtt_us: 5, busy_us: Some(9), timestamps: true, ..TcpInfo::default() };
        TcpSenderCounts {
            octets: 7,
            congestion_control: Some("cubic".into()),
            last,
            samples: vec![TcpSample { streams: 1, rtt_us_sum: 5, ..TcpSample::default() }],
            held_up_ns: 70_000_000,
            buffer: received().buffer,
            broken: Some("reset".into()),
            ..TcpSenderCounts::default()
        }
        .of_stream(1)
    }

    #[test]
    fn accounts_are_read_back_whole_and_absurd_ones_refused() {
        refuses_absurd_numbers(&received());
        refuses_absurd_numbers(&sent());
    }

    #[test]
    fn accounts_that_contradict_themselves_are_refused() {
        check(&received(), true);
        check(&TcpReceiverCounts { octets: 8, ..received() }, false);
        let checked = Some(TcpChecked { octets: 8, ..TcpChecked::default() });
        check(&TcpReceiverCounts { checked, ..received() }, false);
        let buffer = Some(TcpBuffer { reason: Some("\u{1b}".into()), ..TcpBuffer::default() });
        check(&TcpReceiverCounts { buffer, ..received() }, false);
        check(&sent(), true);
        let last = TcpInfo { mss_octets: u32::MAX, ..TcpInfo::default() };
        check(&TcpSenderCounts { last, ..sent() }, false);
        // 2^16 such shares are 2^64: beyond 64 bit, they would add up again.
        let share = TcpStreamOctets { octets: 1 << 48, ..TcpStreamOctets::default() };
        let streams = [vec![share; 1 << 16], sent().streams].concat();
        check(&TcpSenderCounts { streams, ..sent() }, false);
        let broken = Some("x".repeat(2_000));
        check(&TcpSenderCounts { broken, ..sent() }, false);
    }

    #[test]
    fn the_buffer_that_falls_shortest_stands_for_all() {
        let buffer = |needed_octets, granted| {
            let granted_octets = Some(granted);
            Some(TcpBuffer { needed_octets, granted_octets, ..TcpBuffer::default() })
        };
        assert_eq!(shorter(buffer(9, 9), buffer(9, 8).as_ref()), buffer(9, 8));
        assert_eq!(shorter(buffer(9, 8), buffer(9, 9).as_ref()), buffer(9, 8));
    }

    #[test]
    fn streams_add_up() {
        let info = |rtt_us, min, mss_octets| TcpInfo {
            rtt_us,
            min_rtt_us: Some(min),
            mss_octets,
            cwnd_segments: 10,
            retransmitted_segments: 1,
            busy_us: Some(100),
            receiver_limited_us: Some(40),
            buffer_limited_us: Some(10),
            ..TcpInfo::default()
        };
        let sent = |info: TcpInfo| TcpSenderCounts {
            octets: 5,
            congestion_control: Some("cubic".into()),
            last: info,
            samples: vec![TcpSample::of(&info)],
            ..TcpSenderCounts::default()
        };
        let mut sum = TcpSenderCounts::default();
        sum.merge(&sent(info(300, 200, 1_448)));
        sum.merge(&sent(info(500, 100, 1_400)));
        assert_eq!((sum.octets, sum.last.mss_octets, sum.last.min_rtt_us), (10, 1_400, Some(100)));
        assert_eq!((sum.last.busy_us, sum.last.receiver_limited_us), (Some(200), Some(80)));
        let sample = sum.samples[0];
        assert_eq!((sample.streams, sample.rtt_us_sum, sample.rtt_us_max), (2, 800, 500));
        assert_eq!(
            (sample.rtt_us_min, sum.congestion_control.as_deref()),
            (Some(300), Some("cubic"))
        );
    }

    #[test]
    fn a_round_trip_that_no_kernel_has_measured_is_not_the_smallest() {
        let none = TcpSample::of(&TcpInfo::default());
        assert_eq!(none.rtt_us_min, None);
        let some = TcpSample::of(&TcpInfo { rtt_us: 300, ..TcpInfo::default() });
        assert_eq!(some.after(&none).rtt_us_min, Some(300));
    }
}
