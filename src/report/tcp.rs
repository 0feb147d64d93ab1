//! TCP in the record: written, and read back.

use super::reading::{Unreadable, bad, count};
use super::record::{
    TcpBufferRecord, TcpDamageRecord, TcpInfoRecord, TcpRecord, TcpSampleRecord, TrialRecord,
};
use super::writing::percentiles;
use crate::direction::{Direction, PerDirection};
use crate::flow::{Half, Outcome, PerSecond, Silences, TcpCame, TcpSample, TcpSent};
use crate::framing::{Framing, Layer};
use crate::metric::{TcpCarried, float, micros};
use crate::plan::{LoadKind, MTU_MAX, TcpLoad};
use crate::stats::delays::Delays;
use crate::units::{BitRate, Span};
use crate::wire::tcp::{TcpBuffer, TcpChecked, TcpInfo};

/// What TCP did in `direction`; `None` where it was not sent.
pub(super) fn record(
    outcome: &Outcome,
    direction: Direction,
    framing: Framing,
) -> Option<TcpRecord> {
    let load = outcome.trial.tcp().filter(|load| load.directions().includes(direction))?;
    let Half { tcp_sent, tcp_came, .. } = outcome.half(direction);
    let (sent, came) = (tcp_sent.as_ref(), tcp_came.as_ref());
    let checked = came.and_then(|came| came.checked);
    let carried = TcpCarried::of(outcome, direction, framing.ip);
    let median = carried.as_ref().and_then(|carried| carried.quantile(50));
    let median = median.and_then(|octets| carried.as_ref()?.rate(octets, framing, Layer::L4));
    Some(TcpRecord {
        path_mtu_bytes: load.mtu(),
        congestion_control_asked: load.congestion().to_string(),
        congestion_control: sent.map(|sent| sent.congestion_control.clone()),
        sent_bytes: sent.map(|sent| sent.octets),
        received_bytes: came.map(|came| came.octets),
        ended: came.map(|came| came.ended),
        warm_up_s: carried.as_ref().map(|carried| carried.warm_up.as_secs()),
        goodput_p50_bit_s: median.map(BitRate::bits_per_second),
        goodput_seconds: carried.as_ref().map(|carried| carried.seconds.len() as u64),
        received_bytes_by_second: came
            .map_or_else(Vec::new, |came| came.per_second.counts().to_vec()),
        began_ns: came.and_then(|came| came.began_ns),
        retransmit_ratio: sent.and_then(|sent| retransmit_ratio(&sent.last)),
        info: sent.map(|sent| info(&sent.last)),
        samples: sent.map_or_else(Vec::new, |sent| sent.samples.iter().map(sample).collect()),
        rtt_us: sent.and_then(|sent| percentiles(&sent.round_trips)),
        held_up_s: sent.map(|sent| sent.held_up.as_secs()),
        round_trip_us: load.round_trip().map(|span| micros(span.nanos())),
        send_buffer: sent.and_then(|sent| sent.buffer.as_ref()).map(buffer),
        receive_buffer: came.and_then(|came| came.buffer.as_ref()).map(buffer),
        verify: load.verify(),
        checked_bytes: checked.map(|checked| checked.octets),
        damaged_bytes: checked.map(|checked| checked.damaged),
        damage: checked.and_then(damage),
        broken: sent.and_then(|sent| sent.broken.clone()),
        refused: sent.and_then(|sent| sent.refused.clone()),
    })
}

fn retransmit_ratio(info: &TcpInfo) -> Option<f64> {
    let (again, all) = (info.bytes_retransmitted?, info.bytes_sent.filter(|sent| 0 < *sent)?);
    Some(float(again) / float(all))
}

const fn info(info: &TcpInfo) -> TcpInfoRecord {
    TcpInfoRecord {
        rtt_us: info.rtt_us,
        min_rtt_us: info.min_rtt_us,
        cwnd_segments: info.cwnd,
        mss_bytes: info.mss,
        timestamps: info.timestamps,
        retransmitted_segments: info.retransmits,
        sent_bytes: info.bytes_sent,
        retransmitted_bytes: info.bytes_retransmitted,
        duplicate_segments: info.duplicates,
        reordered: info.reordered,
        busy_us: info.busy_us,
        receiver_limited_us: info.receiver_limited_us,
        buffer_limited_us: info.buffer_limited_us,
    }
}

const fn sample(sample: &TcpSample) -> TcpSampleRecord {
    TcpSampleRecord {
        streams: sample.streams,
        rtt_us_sum: sample.rtt_us_sum,
        rtt_us_min: sample.rtt_us_min,
        rtt_us_max: sample.rtt_us_max,
        cwnd_segments: sample.cwnd_sum,
        cwnd_max_segments: sample.cwnd_max_sum,
        retransmitted_segments: sample.retransmits,
        duplicate_segments: sample.duplicates,
        reordered: sample.reordered,
        busy_us: sample.busy_us,
        receiver_limited_us: sample.receiver_limited_us,
        buffer_limited_us: sample.buffer_limited_us,
    }
}

fn buffer(buffer: &TcpBuffer) -> TcpBufferRecord {
    TcpBufferRecord {
        needed_bytes: buffer.needed,
        tuned_max_bytes: buffer.tuned_max,
        granted_bytes: buffer.granted,
        reason: buffer.reason.clone(),
    }
}

const fn damage(checked: TcpChecked) -> Option<TcpDamageRecord> {
    match (checked.stream, checked.first_at, checked.last_at) {
        (Some(stream), Some(first_byte), Some(last_byte)) => {
            Some(TcpDamageRecord { stream, first_byte, last_byte })
        }
        _ => None,
    }
}

/// A buffer in a row.
fn read_buffer(record: Option<&TcpBufferRecord>) -> Result<Option<TcpBuffer>, Unreadable> {
    let Some(record) = record else { return Ok(None) };
    let size = |octets: u64| count(octets, "tcp: a buffer");
    Ok(Some(TcpBuffer {
        needed: size(record.needed_bytes)?,
        tuned_max: record.tuned_max_bytes.map(size).transpose()?,
        granted: record.granted_bytes.map(size).transpose()?,
        reason: record.reason.clone(),
    }))
}

/// A time in a row, in units of so many nanoseconds.
fn time(value: f64, unit_ns: f64, what: &str) -> Result<Span, Unreadable> {
    let nanos = (value * unit_ns).round();
    if !(0.0..=1e15).contains(&nanos) {
        return Err(bad(format!("{what}: {value}")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u64")]
    let nanos = nanos as u64;
    Ok(Span::from_nanos(nanos))
}

/// The load that the two rows of a trial tell.
pub(super) fn load(
    forward: &TrialRecord,
    reverse: &TrialRecord,
    kind: LoadKind,
) -> Result<TcpLoad, Unreadable> {
    let any = forward.tcp.as_ref().or(reverse.tcp.as_ref());
    let tcp = any.ok_or_else(|| bad("a trial of TCP without it"))?;
    let rate = |row: &TrialRecord| row.tcp.as_ref().and(row.offered_bit_s).and_then(BitRate::new);
    let rates = PerDirection { forward: rate(forward), reverse: rate(reverse) };
    let congestion = tcp.congestion_control_asked.parse();
    let congestion = congestion.map_err(|error: crate::units::Malformed| bad(error.to_string()))?;
    let streams = forward.streams.max(reverse.streams);
    let round_trip = tcp.round_trip_us.map(|us| time(us, 1e3, "tcp.round_trip_us")).transpose()?;
    let load = TcpLoad::new(rates, streams, tcp.path_mtu_bytes, congestion, kind)
        .map_err(|error| bad(error.to_string()))?;
    Ok(load.with_verify(tcp.verify).with_round_trip(round_trip))
}

/// The sender's account in a row.
pub(super) fn sent(row: &TrialRecord) -> Result<Option<TcpSent>, Unreadable> {
    let Some(tcp) = &row.tcp else { return Ok(None) };
    let (Some(octets), Some(record)) = (tcp.sent_bytes, &tcp.info) else { return Ok(None) };
    if MTU_MAX < record.mss_bytes {
        return Err(bad(format!("tcp.info.mss_bytes: {}", record.mss_bytes)));
    }
    let known = |value: Option<u64>| value.map(|value| count(value, "tcp.info")).transpose();
    let last = TcpInfo {
        rtt_us: record.rtt_us,
        min_rtt_us: known(record.min_rtt_us)?,
        cwnd: record.cwnd_segments,
        mss: record.mss_bytes,
        timestamps: record.timestamps,
        retransmits: count(record.retransmitted_segments, "tcp.info")?,
        bytes_sent: known(record.sent_bytes)?,
        bytes_retransmitted: known(record.retransmitted_bytes)?,
        duplicates: known(record.duplicate_segments)?,
        reordered: known(record.reordered)?,
        busy_us: known(record.busy_us)?,
        receiver_limited_us: known(record.receiver_limited_us)?,
        buffer_limited_us: known(record.buffer_limited_us)?,
    };
    Ok(Some(TcpSent {
        octets: count(octets, "tcp.sent_bytes")?,
        congestion_control: tcp.congestion_control.clone().unwrap_or_default(),
        last,
        samples: Vec::new(),
        round_trips: Delays::default(),
        held_up: time(tcp.held_up_s.unwrap_or(0.0), 1e9, "tcp.held_up_s")?,
        buffer: read_buffer(tcp.send_buffer.as_ref())?,
        broken: tcp.broken.clone(),
        refused: tcp.refused.clone(),
    }))
}

/// The receiver's account in a row; its times without an arrival stand among the row's own.
pub(super) fn came(row: &TrialRecord) -> Result<Option<TcpCame>, Unreadable> {
    let Some(tcp) = &row.tcp else { return Ok(None) };
    let Some(octets) = tcp.received_bytes else { return Ok(None) };
    for octets in &tcp.received_bytes_by_second {
        count(*octets, "tcp.received_bytes_by_second")?;
    }
    Ok(Some(TcpCame {
        octets: count(octets, "tcp.received_bytes")?,
        per_second: PerSecond::from_counts(tcp.received_bytes_by_second.clone()),
        began_ns: tcp.began_ns,
        gaps: Silences::default(),
        ended: tcp.ended.unwrap_or(false),
        checked: tcp.checked_bytes.map(|octets| TcpChecked {
            octets,
            damaged: tcp.damaged_bytes.unwrap_or(0),
            stream: tcp.damage.map(|damage| damage.stream),
            first_at: tcp.damage.map(|damage| damage.first_byte),
            last_at: tcp.damage.map(|damage| damage.last_byte),
        }),
        buffer: read_buffer(tcp.receive_buffer.as_ref())?,
    }))
}
