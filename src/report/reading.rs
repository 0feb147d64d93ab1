//! The record, read back: anyone's text, so that nothing in it is believed before it agrees with
//! the rest.

use super::record::{
    DelaysRecord, FORMAT, HostRecord, LossPeriodRecord, Report, SilenceRecord, SiteRecord,
    StampingRecord, StatusRecord, TrialKind, TrialRecord,
};
use super::tcp;
use crate::direction::{Direction, PerDirection};
use crate::flow::{
    COUNT_MAX, Evidence, Half, HostLimits, Outcome, PathMtu, Probing, ReceiverCounts, SenderCounts,
    Silence, Silences, Stamping, Status,
};
use crate::plan::{Dscp, Load, LoadKind, Trial};
use crate::stats::delays::Delays;
use crate::stats::loss_bursts::LossBursts;
use crate::units::{PacketRate, Span};

/// The longest text that is taken for a report: the longest run's is a hundredth of it.
const TEXT_MAX: usize = 1 << 28;

/// Why a text is no report, or none that can be judged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than any report.
    #[error("{0} octets: no report is as long")]
    TooLong(usize),
    /// Not JSON, or not the fields of a report.
    #[error("not a report of linkqual: {0}")]
    NotAReport(String),
    /// Another version's.
    #[error("a report of format {0:?}: this linkqual reads \"{FORMAT}\"")]
    OtherFormat(String),
    /// It contradicts itself, or what can be.
    #[error("the report contradicts itself: {0}")]
    Contradiction(String),
}

/// What was found out on the way to one far end.
pub(super) struct ReadSiteRun<'a> {
    pub(super) site: &'a SiteRecord,
    /// The place of its first trial in the run.
    pub(super) first: usize,
    pub(super) evidence: Evidence,
}

impl Report {
    /// Reads a report's text, which may be anyone's.
    ///
    /// # Errors
    ///
    /// Says in what the text is no report of this version; never panics.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if TEXT_MAX < text.len() {
            return Err(Unreadable::TooLong(text.len()));
        }
        let not_a_report = |error: serde_json::Error| Unreadable::NotAReport(error.to_string());
        let any: serde_json::Value = serde_json::from_str(text).map_err(not_a_report)?;
        let format = any.get("format").and_then(serde_json::Value::as_str);
        match format {
            Some(format) if format != FORMAT => {
                let format = format.chars().take(64).collect();
                return Err(Unreadable::OtherFormat(format));
            }
            _ => {}
        }
        if let Some(text) = unprintable(&any) {
            return Err(bad(format!("{text:?} has control characters, and no report has")));
        }
        serde_json::from_str(text).map_err(not_a_report)
    }
}

/// A text in `value` that would write more than itself on a terminal.
fn unprintable(value: &serde_json::Value) -> Option<&str> {
    match value {
        serde_json::Value::String(text) => text.contains(char::is_control).then_some(text),
        serde_json::Value::Array(values) => values.iter().find_map(unprintable),
        serde_json::Value::Object(fields) => fields.values().find_map(unprintable),
        _ => None,
    }
}

pub(super) fn bad(what: impl Into<String>) -> Unreadable {
    Unreadable::Contradiction(what.into())
}

/// The evidence in `report`, by far end.
pub(super) fn evidence(report: &Report) -> Result<Vec<ReadSiteRun<'_>>, Unreadable> {
    let mut rows = report.trials.as_slice();
    let mut first = 0;
    let mut site_runs = Vec::new();
    for site in &report.sites {
        let mut evidence = Evidence { path_mtu: path_mtu(site)?, outcomes: Vec::new() };
        while let [forward, reverse, rest @ ..] = rows
            && forward.site == site.site
        {
            let number = first + evidence.outcomes.len();
            let is_pair = [forward, reverse].iter().all(|row| row.trial == number)
                && (forward.direction, reverse.direction)
                    == (Direction::Forward, Direction::Reverse)
                && reverse.site == site.site;
            if !is_pair {
                return Err(bad(format!("trials: a forward and a reverse row of trial {number}")));
            }
            let within = |error: Unreadable| bad(format!("trial {number}: {error}"));
            evidence.outcomes.push(outcome(forward, reverse).map_err(within)?);
            rows = rest;
        }
        let count = evidence.outcomes.len();
        site_runs.push(ReadSiteRun { site, first, evidence });
        first += count;
    }
    match rows {
        [] => Ok(site_runs),
        [row, ..] => Err(bad(format!("trial {} is of no site, or stands alone", row.trial))),
    }
}

fn path_mtu(site: &SiteRecord) -> Result<Option<PathMtu>, Unreadable> {
    match (site.path_mtu_bytes, site.path_mtu_tried_bytes) {
        (Some(octets), Some(tried)) if octets <= tried => Ok(Some(PathMtu { octets, tried })),
        (None, None) => Ok(None),
        _ => Err(bad(format!("the path MTU of site {}", site.site))),
    }
}

fn outcome(forward: &TrialRecord, reverse: &TrialRecord) -> Result<Outcome, Unreadable> {
    let trial = trial(forward, reverse)?;
    let (status, reason) = (status(forward.status), forward.reason.clone());
    let mut outcome = Outcome::nothing(trial, status, reason.clone().unwrap_or_default());
    outcome.reason = reason;
    let round_trip = forward.rtt_delays.as_ref().ok_or_else(|| bad("no round trips"))?;
    outcome.round_trip = delays(round_trip)?;
    outcome.late_probes = count(forward.probe_late_packets.unwrap_or(0), "probe_late_packets")?;
    outcome.stamping = forward.stamping.as_ref().map(stamping).transpose()?.unwrap_or_default();
    outcome.clock_steps = forward.clock_jumps.unwrap_or(0);
    (outcome.driver, outcome.agent) = (host(&forward.sender_host)?, host(&forward.receiver_host)?);
    (outcome.forward, outcome.reverse) = (half(forward)?, half(reverse)?);
    Ok(outcome)
}

fn stamping(record: &StampingRecord) -> Result<Stamping, Unreadable> {
    let stamping = Stamping {
        exchanges: count(record.exchanges, "exchanges")?,
        by_kernel: record.by_kernel,
        probe_left: record.probe_left_by_kernel,
        probe_came: record.probe_came_by_kernel,
        reply_left: record.reply_left_by_kernel,
        reply_came: record.reply_came_by_kernel,
    };
    let Stamping { exchanges, by_kernel, probe_left, probe_came, reply_left, reply_came } =
        stamping;
    let holds = |each: u64| by_kernel <= each && each <= exchanges;
    if [probe_left, probe_came, reply_left, reply_came].into_iter().all(holds) {
        return Ok(stamping);
    }
    Err(bad("stamping: more stamps than exchanges"))
}

fn trial(forward: &TrialRecord, reverse: &TrialRecord) -> Result<Trial, Unreadable> {
    let out_of_bounds = |error: crate::plan::OutOfBounds| bad(error.to_string());
    let duration = Span::try_from_secs(forward.duration_s);
    let duration = duration.ok_or_else(|| bad(format!("{} s", forward.duration_s)))?;
    let kinds = [forward, reverse].map(|row| (row.kind, row.capacity));
    if kinds[0] != kinds[1] {
        return Err(bad("its two rows are of different kinds"));
    }
    let (kind, capacity) = kinds[0];
    let load_kind = if capacity { LoadKind::Capacity } else { LoadKind::FixedRate };
    let dscp = Dscp::new(forward.dscp).ok_or_else(|| bad(format!("dscp: {}", forward.dscp)))?;
    let trial = match kind {
        TrialKind::Idle => Trial::new(None, duration).map_err(out_of_bounds)?,
        TrialKind::Udp => {
            let rate = |row: &TrialRecord| row.offered_packets_s.and_then(PacketRate::new);
            let rates = PerDirection { forward: rate(forward), reverse: rate(reverse) };
            let streams = forward.streams.max(reverse.streams);
            let payload = forward.payload_bytes.or(reverse.payload_bytes).unwrap_or(0);
            let load =
                Load::with_rates(rates, streams, payload, load_kind).map_err(out_of_bounds)?;
            Trial::new(Some(load), duration).map_err(out_of_bounds)?
        }
        TrialKind::Tcp => {
            let load = tcp::load(forward, reverse, load_kind)?;
            Trial::with_tcp(load, duration).map_err(out_of_bounds)?
        }
    };
    let trial = trial.with_dscp(dscp);
    let Some(probes) = forward.probe_packets_s else { return Ok(trial) };
    let rate = PacketRate::new(probes).ok_or_else(|| bad("0 probes per second"))?;
    trial.with_probe_rate(rate).map_err(out_of_bounds)
}

fn half(row: &TrialRecord) -> Result<Half, Unreadable> {
    let gap = |silence: &SilenceRecord| {
        let SilenceRecord { start_ns, end_ns, packets, offered } = *silence;
        Silence { start_ns, end_ns, packets: packets.min(COUNT_MAX), offered }
    };
    let gaps = Silences::from_vec(row.silences.iter().map(gap).collect());
    Ok(Half {
        sent: row.sent_packets.map(|sent| sent_counts(row, sent)).transpose()?,
        came: row.received_packets.map(|received| counts(row, received)).transpose()?,
        tcp_sent: tcp::sent(row)?,
        tcp_came: tcp::came(row)?,
        gaps: gaps.ok_or_else(|| bad("silences: not ordered, or not apart"))?,
        probing: Probing {
            sent: row.probe_sent_packets,
            received: row.probe_received_packets,
            variation: delays(&row.variation_delays)?,
            jitter_rfc3550_ns: None,
            skew_ppm: row.clock_skew_ppm,
            marks: None,
        },
    })
}

fn sent_counts(row: &TrialRecord, sent: u64) -> Result<SenderCounts, Unreadable> {
    let known = |value: Option<u64>, name| count(value.unwrap_or(0), name);
    let counts = SenderCounts {
        sent: count(sent, "sent_packets")?,
        refused: known(row.refused_packets, "refused_packets")?,
        queue_dropped: known(row.queue_dropped_packets, "queue_dropped_packets")?,
        unreachable: known(row.unreachable_packets, "unreachable_packets")?,
        paused: known(row.paused_packets, "paused_packets")?,
        skipped: known(row.skipped_packets, "skipped_packets")?,
        steady: known(row.steady_sent_packets, "steady_sent_packets")?,
        ..SenderCounts::default()
    };
    if counts.sent < counts.steady {
        return Err(bad("steady_sent_packets: more than were sent"));
    }
    Ok(counts)
}

fn counts(row: &TrialRecord, received: u64) -> Result<ReceiverCounts, Unreadable> {
    let known = |value: Option<u64>, name| count(value.unwrap_or(0), name);
    let late = known(row.late_packets, "late_packets")?;
    let lost = known(row.lost_packets, "lost_packets")? + late;
    let periods = match &row.loss_periods {
        Some(record) => loss_periods(record, lost)?,
        None => LossBursts::default(),
    };
    Ok(ReceiverCounts {
        received: count(received, "received_packets")?,
        late,
        duplicate: known(row.duplicate_packets, "duplicate_packets")?,
        reordered: known(row.reordered_packets, "reordered_packets")?,
        host_dropped: known(row.host_dropped_packets, "host_dropped_packets")?,
        unattributed: known(row.unattributed_packets, "unattributed_packets")?,
        rejected: known(row.rejected_packets, "rejected_packets")?,
        steady: known(row.steady_received_packets, "steady_received_packets")?,
        steady_on_time: known(row.steady_on_time_packets, "steady_on_time_packets")?,
        periods,
        lost_in_excess: known(row.lost_in_catch_up_packets, "lost_in_catch_up_packets")?,
        ..ReceiverCounts::default()
    })
}

fn loss_periods(record: &LossPeriodRecord, lost: u64) -> Result<LossBursts, Unreadable> {
    let squares = |digits: &str| digits.parse().map_err(|_| bad("loss_periods: squares"));
    let clusters = record.clusters.iter();
    let clusters = clusters.map(|cluster| Ok((cluster.count, squares(&cluster.squares)?)));
    let clusters: Vec<(u64, u128)> = clusters.collect::<Result<_, Unreadable>>()?;
    let squares = squares(&record.squares)?;
    let periods = LossBursts::from_parts(lost, record.count, record.longest, squares, &clusters);
    periods.ok_or_else(|| bad("loss_periods: they do not agree with what was lost"))
}

fn delays(record: &DelaysRecord) -> Result<Delays, Unreadable> {
    let lost = count(record.lost, "lost delays")?;
    if record.histogram.is_empty() {
        let mut delays = Delays::default();
        delays.record_lost(lost);
        return Ok(delays);
    }
    Delays::from_base64(&record.histogram, lost, record.min_ns, record.max_ns)
        .map_err(|error| bad(error.to_string()))
}

pub(super) fn count(value: u64, name: &str) -> Result<u64, Unreadable> {
    if COUNT_MAX < value {
        return Err(bad(format!("{name}: {value} is more than any run counts")));
    }
    Ok(value)
}

fn host(record: &HostRecord) -> Result<HostLimits, Unreadable> {
    let HostRecord { queue_drops, kernel_drops, checksum_errors, .. } = *record;
    let HostRecord { clock_steps, stamp_noise_ns, card_stamps, .. } = *record;
    Ok(HostLimits {
        queue_drops: count(queue_drops, "queue_drops")?,
        kernel_drops: count(kernel_drops, "kernel_drops")?,
        checksum_errors: count(checksum_errors, "checksum_errors")?,
        clock_steps: count(clock_steps, "clock_steps")?,
        stamp_noise_ns,
        card_stamps,
    })
}

const fn status(record: StatusRecord) -> Status {
    match record {
        StatusRecord::Ok => Status::Ok,
        StatusRecord::Partial => Status::Partial,
        StatusRecord::Refused => Status::Refused,
        StatusRecord::NotRun => Status::NotRun,
    }
}
