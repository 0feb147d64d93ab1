//! Accounts of TCP streams, between the head and the wire.

use super::Inconsistent;
use super::convert::{are_counts, gap, gap_message};
use crate::flow::{PerSecond, Silences, TcpCame, TcpSample, TcpSent};
use crate::plan::MTU_MAX;
use crate::units::Span;
use crate::wire::tcp::{TcpBuffer, TcpCameMessage, TcpInfo, TcpSentMessage};

/// The most samples of a stream: more than the longest trial has seconds.
const SAMPLES_MAX: usize = 700;

/// The longest text that is taken for a reason or a name.
const TEXT_MAX: usize = 1_024;

impl From<&TcpSent> for TcpSentMessage {
    fn from(sent: &TcpSent) -> Self {
        Self {
            octets: sent.octets,
            congestion_control: sent.congestion_control.clone(),
            last: sent.last,
            samples: sent.samples.iter().copied().map(Into::into).collect(),
            round_trips: (&sent.round_trips).into(),
            held_up_ns: sent.held_up.nanos(),
            buffer: sent.buffer.clone(),
            broken: sent.broken.clone(),
            refused: sent.refused.clone(),
        }
    }
}

impl TryFrom<&TcpSentMessage> for TcpSent {
    type Error = Inconsistent;

    fn try_from(message: &TcpSentMessage) -> Result<Self, Inconsistent> {
        let contradiction = || Inconsistent::new("a TCP sender's account that contradicts itself");
        let samples: Vec<TcpSample> = message.samples.iter().copied().map(Into::into).collect();
        let sampled = samples.iter().flat_map(sampled_numbers);
        let counts: Vec<u64> = sampled.chain(numbers(&message.last)).collect();
        let counts = counts.iter().chain([&message.held_up_ns]);
        let texts = [Some(&message.congestion_control), message.broken.as_ref()];
        let texts = texts.into_iter().chain([message.refused.as_ref()]).flatten();
        let long =
            texts.into_iter().any(|text| is_unfit(text)) || !is_buffer(message.buffer.as_ref());
        let plausible = are_counts(counts) && are_counts([&message.octets]);
        let oversized = MTU_MAX < message.last.mss;
        if SAMPLES_MAX < samples.len() || long || oversized || !plausible {
            return Err(contradiction());
        }
        Ok(Self {
            octets: message.octets,
            congestion_control: message.congestion_control.clone(),
            last: message.last,
            samples,
            round_trips: (&message.round_trips).try_into()?,
            held_up: Span::from_nanos(message.held_up_ns),
            buffer: message.buffer.clone(),
            broken: message.broken.clone(),
            refused: message.refused.clone(),
        })
    }
}

fn is_unfit(text: &str) -> bool {
    TEXT_MAX < text.len() || text.contains(char::is_control)
}

/// Whether it is a buffer, where it is there.
fn is_buffer(buffer: Option<&TcpBuffer>) -> bool {
    let Some(TcpBuffer { needed, tuned_max, granted, reason }) = buffer else { return true };
    let sizes = [Some(needed), tuned_max.as_ref(), granted.as_ref()];
    are_counts(sizes.into_iter().flatten()) && !reason.as_deref().is_some_and(is_unfit)
}

/// Every number of a second that is summed over streams.
fn sampled_numbers(sample: &TcpSample) -> Vec<u64> {
    let TcpSample { streams, rtt_us_sum, rtt_us_min, rtt_us_max, cwnd_sum, .. } = *sample;
    let TcpSample { cwnd_max_sum, retransmits, duplicates, reordered, busy_us, .. } = *sample;
    let TcpSample { receiver_limited_us, buffer_limited_us, .. } = *sample;
    let known = [duplicates, reordered, busy_us, receiver_limited_us, buffer_limited_us];
    let all = [streams, rtt_us_sum, rtt_us_min, rtt_us_max, cwnd_sum, cwnd_max_sum, retransmits];
    all.into_iter().chain(known.into_iter().flatten()).collect()
}

/// Every number of it that is summed over streams.
fn numbers(info: &TcpInfo) -> impl Iterator<Item = u64> {
    let TcpInfo { rtt_us, min_rtt_us, cwnd, retransmits, bytes_sent, .. } = *info;
    let TcpInfo { bytes_retransmitted, duplicates, reordered, busy_us, .. } = *info;
    let TcpInfo { receiver_limited_us, buffer_limited_us, .. } = *info;
    let known = [
        min_rtt_us,
        bytes_sent,
        bytes_retransmitted,
        duplicates,
        reordered,
        busy_us,
        receiver_limited_us,
        buffer_limited_us,
    ];
    [rtt_us, cwnd, retransmits].into_iter().chain(known.into_iter().flatten())
}

impl From<&TcpCame> for TcpCameMessage {
    fn from(came: &TcpCame) -> Self {
        Self {
            octets: came.octets,
            per_second: came.per_second.counts().to_vec(),
            began_ns: came.began_ns,
            gaps: came.gaps.as_slice().iter().map(gap_message).collect(),
            ended: came.ended,
            checked: came.checked,
            buffer: came.buffer.clone(),
        }
    }
}

impl TryFrom<&TcpCameMessage> for TcpCame {
    type Error = Inconsistent;

    fn try_from(message: &TcpCameMessage) -> Result<Self, Inconsistent> {
        let contradiction =
            || Inconsistent::new("a TCP receiver's account that contradicts itself");
        let plausible = are_counts(&message.per_second) && are_counts([&message.octets]);
        let sum = message.per_second.iter().fold(0_u64, |sum, octets| sum.saturating_add(*octets));
        let checked = message.checked.unwrap_or_default();
        let is_checked = checked.octets <= message.octets && checked.damaged <= checked.octets;
        if !plausible || sum != message.octets || !is_checked || !is_buffer(message.buffer.as_ref())
        {
            return Err(contradiction());
        }
        let gaps = Silences::from_vec(message.gaps.iter().map(gap).collect());
        Ok(Self {
            octets: message.octets,
            per_second: PerSecond::from_counts(message.per_second.clone()),
            began_ns: message.began_ns,
            gaps: gaps.ok_or_else(contradiction)?,
            ended: message.ended,
            checked: message.checked,
            buffer: message.buffer.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::TcpChecked;

    fn came() -> TcpCameMessage {
        let (per_second, gaps) = (vec![3, 0, 4], Vec::new());
        let checked = Some(TcpChecked { octets: 7, damaged: 1, ..TcpChecked::default() });
        let buffer = Some(TcpBuffer { needed: 9, ..TcpBuffer::default() });
        TcpCameMessage {
            octets: 7,
            per_second,
            began_ns: Some(9),
            gaps,
            ended: true,
            checked,
            buffer,
        }
    }

    #[test]
    fn accounts_are_read_back_whole() {
        let message = came();
        let read = TcpCame::try_from(&message).expect("consistent");
        assert_eq!(TcpCameMessage::from(&read), message);
        let last = TcpInfo { rtt_us: 5, busy_us: Some(9), timestamps: true, ..TcpInfo::default() };
        let sample = TcpSample { streams: 1, rtt_us_sum: 5, ..TcpSample::default() };
        let sent = TcpSent {
            octets: 7,
            congestion_control: "cubic".into(),
            last,
            samples: vec![sample],
            round_trips: crate::stats::delays::Delays::default(),
            held_up: Span::from_millis(70),
            buffer: came().buffer,
            broken: Some("reset".into()),
            refused: None,
        };
        assert_eq!(TcpSent::try_from(&TcpSentMessage::from(&sent)), Ok(sent));
    }

    #[test]
    fn accounts_that_contradict_themselves_are_refused() {
        assert!(TcpCame::try_from(&TcpCameMessage { octets: 8, ..came() }).is_err());
        let per_second = vec![u64::MAX, 8];
        assert!(TcpCame::try_from(&TcpCameMessage { per_second, ..came() }).is_err());
        let checked = Some(TcpChecked { octets: 8, ..TcpChecked::default() });
        assert!(TcpCame::try_from(&TcpCameMessage { checked, ..came() }).is_err());
        let buffer = Some(TcpBuffer { reason: Some("\u{1b}".into()), ..TcpBuffer::default() });
        assert!(TcpCame::try_from(&TcpCameMessage { buffer, ..came() }).is_err());
        let last = TcpInfo { cwnd: u64::MAX, ..TcpInfo::default() };
        let sent = TcpSentMessage { last, ..TcpSentMessage::default() };
        assert!(TcpSent::try_from(&sent).is_err(), "a sum with it would overflow");
        let last = TcpInfo { mss: u32::MAX, ..TcpInfo::default() };
        let sent = TcpSentMessage { last, ..TcpSentMessage::default() };
        assert!(TcpSent::try_from(&sent).is_err(), "no packet is as long");
        let broken = Some("x".repeat(2_000));
        assert!(TcpSent::try_from(&TcpSentMessage { broken, ..Default::default() }).is_err());
    }
}
