//! A run as its record: what happened, told in the record's words. What follows from it is not
//! written here: [`super::judging`] derives it from the record, now and years later.

use super::record::{
    Asked, DelaysRecord, FORMAT, HostRecord, LinkRecord, LossClusterRecord, LossPeriodRecord,
    OutageRecord, Percentiles, Report, SendingRecord, SilenceRecord, SiteRecord, StampMethod,
    StampingRecord, StatusRecord, TrialKind, TrialRecord, WaitingRecord,
};
use super::{Run, SiteRun};
use crate::direction::{Direction, PerDirection};
use crate::flow::{
    Half, HostLimits, Outcome, PerSecond, ReceiverCounts, Silence, Stamping, Status, Steady,
    Waiting,
};
use crate::framing::{Framing, Layer};
use crate::metric::{TcpCarried, float, losses, micros, outage_min};
use crate::plan::{Link, Load, PROBES_PER_SECOND, TcpLoad, Trial};
use crate::stats::delays::{Delay, Delays};
use crate::stats::loss_bursts::{Clusters, LossBursts};
use crate::units::{BitRate, Span};
use crate::verdict::Verdict;

/// The record of `run`, not judged yet.
pub(super) fn record(run: &Run) -> Report {
    let link = &run.plan.link;
    Report {
        format: FORMAT.to_owned(),
        verdict: Verdict::Inconclusive,
        complete: run.complete,
        reason: run.reason.clone(),
        program: concat!("linkqual ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: run.id.clone(),
        started_at: date(run.started_ns),
        ended_at: date(run.ended_ns),
        plan: run.file.clone(),
        link: link_record(link),
        sites: run.site_runs.iter().map(site).collect(),
        asked: Asked { confidence: 0.0, requirements: Vec::new() },
        notes: run.notes.clone(),
        findings: Vec::new(),
        trials: trials(&run.site_runs, link),
        caveats: Vec::new(),
    }
}

/// The link, as the record tells it.
pub(super) fn link_record(link: &Link) -> LinkRecord {
    let bits = |rate: Option<BitRate>| rate.map(BitRate::bits_per_second);
    LinkRecord {
        name: link.name.clone(),
        circuit: link.circuit.clone(),
        port_rate_bit_s: bits(link.port_rate),
        committed_bit_s: PerDirection::from_fn(|way| bits(*link.committed.get(way))),
        rate_layer: link.layer,
        vlan_tags: link.vlan_tags,
        extra_overhead_bytes: link.extra_overhead_octets,
    }
}

fn site(site_run: &SiteRun) -> SiteRecord {
    let path = site_run.evidence.path_mtu;
    SiteRecord {
        site: site_run.site.clone(),
        agent: site_run.agent.clone(),
        address: site_run.address.clone(),
        driver_address: site_run.driver_address.clone(),
        agent_program: site_run.agent_program.clone(),
        requested_by: site_run.requested_by.clone(),
        role: site_run.role.clone(),
        ip: site_run.ip,
        reason: site_run.reason.clone(),
        granted_rate_max_bit_s: site_run.limits.map(|limits| limits.rate_max.bits_per_second()),
        granted_duration_max_s: site_run.limits.map(|limits| limits.duration_max.as_secs()),
        path_mtu_bytes: path.map(|path| path.octets),
        path_mtu_tried_bytes: path.map(|path| path.tried),
    }
}

fn trials(site_runs: &[SiteRun], link: &Link) -> Vec<TrialRecord> {
    let outcomes = site_runs
        .iter()
        .flat_map(|site_run| site_run.evidence.outcomes.iter().map(move |o| (site_run, o)));
    let rows = |(number, (site_run, outcome)): (usize, (&SiteRun, &Outcome))| {
        Direction::ALL.map(|direction| {
            let of = Row { number, site: &site_run.site, outcome, direction };
            row(&of, link.framing(site_run.ip))
        })
    };
    outcomes.enumerate().flat_map(rows).collect()
}

/// Where a row stands.
struct Row<'a> {
    number: usize,
    site: &'a str,
    outcome: &'a Outcome,
    direction: Direction,
}

impl Row<'_> {
    /// Whether what is of the whole trial stands here.
    fn is_first(&self) -> bool {
        self.direction == Direction::Forward
    }
}

#[expect(clippy::too_many_lines, reason = "a record's field a line, none of which decides")]
fn row(of: &Row<'_>, framing: Framing) -> TrialRecord {
    let Row { number, site, outcome, direction } = *of;
    let is_first = of.is_first();
    let half = outcome.half(direction);
    let load = outcome.trial.load();
    let (sent, came) = (half.sent.as_ref(), half.came.as_ref());
    // The receiver alone does not know what was sent behind the last that came.
    let judged = came.filter(|_| sent.is_some());
    let (sender, receiver) = match direction {
        Direction::Forward => (&outcome.driver, &outcome.agent),
        Direction::Reverse => (&outcome.agent, &outcome.driver),
    };
    let load = load.filter(|load| load.directions().includes(direction));
    let tcp = outcome.trial.tcp().filter(|load| load.directions().includes(direction));
    let rates = match load {
        Some(load) => udp_rates(load, outcome, direction, framing),
        None => tcp_rates(outcome, direction, framing),
    };
    let duration = outcome.trial.duration();
    let losses = losses(outcome, direction).filter(|losses| 0 < losses.offered);
    let offset = outcome.offset.filter(|_| is_first);
    let probe_rate = outcome.trial.probe_rate();
    TrialRecord {
        trial: number,
        site: site.to_owned(),
        kind: kind(&outcome.trial),
        direction,
        tested: outcome.trial.covers(direction),
        status: status(outcome.status),
        reason: outcome.reason.clone(),
        verdict: None,
        verdict_reason: None,
        started_at: outcome.began_wall_ns.map(date),
        ended_at: outcome.began_wall_ns.map(|began_ns| date(began_ns + duration.nanos())),
        duration_s: duration.as_secs(),
        streams: load.map(Load::streams).or(tcp.map(TcpLoad::streams)).unwrap_or(0),
        payload_bytes: load.map(Load::payload),
        probe_packets_s: (probe_rate != PROBES_PER_SECOND).then(|| probe_rate.per_second()),
        offered_packets_s: load.and_then(|load| Some(load.rate(direction)?.per_second())),
        offered_bit_s: rates.offered_bit_s,
        goodput_bit_s: rates.goodput_bit_s,
        goodput_p5_bit_s: rates.goodput_p5_bit_s,
        required_bit_s: None,
        headroom_ratio: None,
        capacity: outcome.trial.is_capacity(),
        sent_packets: sent.map(|sent| sent.sent),
        refused_packets: sent.map(|sent| sent.refused),
        queue_dropped_packets: sent.map(|sent| sent.queue_dropped),
        unreachable_packets: sent.map(|sent| sent.unreachable),
        received_packets: came.map(|came| came.received),
        lost_packets: judged.map(ReceiverCounts::lost),
        loss_ratio: losses.map(|losses| float(losses.lost) / float(losses.offered)),
        duplicate_packets: came.map(|came| came.duplicate),
        reordered_packets: came.map(|came| came.reordered),
        late_packets: came.map(|came| came.late),
        host_dropped_packets: came.map(|came| came.host_dropped),
        unattributed_packets: came.map(|came| came.unattributed),
        lost_in_catch_up_packets: judged.map(|came| came.lost_in_excess),
        paused_packets: sent.map(|sent| sent.paused),
        skipped_packets: sent.map(|sent| sent.skipped),
        rejected_packets: came.map(|came| came.rejected),
        steady_sent_packets: load.and(sent).map(|sent| sent.steady),
        steady_received_packets: load.and(came).map(|came| came.steady),
        steady_on_time_packets: load.and(came).map(|came| came.steady_on_time),
        loss_periods: judged.map(|came| loss_periods(&came.periods)),
        outages: (came.is_some() || half.tcp_came.is_some()).then(|| outages(outcome, half)),
        silences: half.gaps.as_slice().iter().map(silence).collect(),
        tcp: super::tcp::record(outcome, direction, framing),
        rtt_us: is_first.then(|| percentiles(&outcome.round_trip)).flatten(),
        jitter_us: finite(half.probing.variation.quantile(0.999)),
        jitter_rfc3550_us: half.probing.jitter_rfc3550_ns.map(|nanos| nanos / 1e3),
        probe_sent_packets: half.probing.sent,
        probe_received_packets: half.probing.received,
        dscp: outcome.trial.dscp().number(),
        probe_remarked_packets: half.probing.marks.map(|marks| marks.changed),
        dscp_received: half.probing.marks.and_then(|marks| marks.other),
        probe_late_packets: is_first.then_some(outcome.late_probes),
        stamping: is_first.then(|| stamping(&outcome.stamping)).flatten(),
        clock_offset_us: offset.map(|offset| signed_micros(offset.agent_ahead_ns())),
        clock_offset_error_us: offset.map(|offset| micros(offset.error_ns())),
        clock_jumps: is_first.then_some(outcome.clock_steps),
        clock_skew_ppm: half.probing.skew_ppm,
        send_lateness_us: load.and(sent).and_then(|sent| percentiles(&sent.lateness)),
        sending: load.and_then(|load| sending(load, half, direction)),
        sent_by_second: sent.map_or_else(Vec::new, |sent| sent.per_second.counts().to_vec()),
        received_by_second: came.map_or_else(Vec::new, |came| came.per_second.counts().to_vec()),
        rtt_delays: is_first.then(|| delays(&outcome.round_trip)),
        variation_delays: delays(&half.probing.variation),
        sender_host: host(sender),
        receiver_host: host(receiver),
    }
}

fn sending(load: &Load, half: &Half, direction: Direction) -> Option<SendingRecord> {
    load.rate(direction)?;
    let (sent, came) = (half.sent.as_ref(), half.came.as_ref());
    sent.map(|_| ()).or(came.map(|_| ()))?;
    let granted = |octets: u64| (0 < octets).then_some(octets);
    Some(SendingRecord {
        burst_packets: load.train(direction),
        burst_packets_seen: sent.map(|sent| sent.burst),
        segmented_packets: sent.map(|sent| sent.segmented),
        waiting: sent.and_then(|sent| match sent.waiting {
            Waiting::Never => None,
            Waiting::AwakeFirst => Some(WaitingRecord::AwakeFirst),
            Waiting::Awake => Some(WaitingRecord::Awake),
            Waiting::Asleep => Some(WaitingRecord::Asleep),
        }),
        send_buffer_bytes: sent.and_then(|sent| granted(sent.buffer)),
        receive_buffer_bytes: came.and_then(|came| granted(came.buffer)),
    })
}

/// How the exchanges were stamped; `None` where there were none.
fn stamping(stamping: &Stamping) -> Option<StampingRecord> {
    let Stamping { exchanges, by_kernel, probe_left, probe_came, reply_left, reply_came } =
        *stamping;
    (0 < exchanges).then_some(StampingRecord {
        method: match by_kernel {
            0 => StampMethod::UserSpaceTransmit,
            _ => StampMethod::Kernel,
        },
        exchanges,
        by_kernel,
        probe_left_by_kernel: probe_left,
        probe_came_by_kernel: probe_came,
        reply_left_by_kernel: reply_left,
        reply_came_by_kernel: reply_came,
    })
}

/// UDP payload that was to be sent, and that came.
#[derive(Default)]
struct Rates {
    offered_bit_s: Option<u64>,
    goodput_bit_s: Option<u64>,
    goodput_p5_bit_s: Option<u64>,
}

fn udp_rates(load: &Load, outcome: &Outcome, direction: Direction, framing: Framing) -> Rates {
    let rate = |packets, span| {
        framing.bit_rate(packets, span, Layer::L4, load.payload()).map(BitRate::bits_per_second)
    };
    let (Some(all), Some(each)) = (load.rate(direction), load.stream_rate(direction)) else {
        return Rates::default();
    };
    let steady = Steady::of(outcome.trial.duration()).span(each);
    let came = outcome.half(direction).came.as_ref();
    let second = Span::from_secs(1);
    let slow = came.and_then(|came| slow_second(&came.per_second, outcome.trial.duration()));
    Rates {
        offered_bit_s: rate(all.per_second(), second),
        goodput_bit_s: came.map(|came| rate(came.steady, steady).unwrap_or(0)),
        goodput_p5_bit_s: slow.map(|packets| rate(packets, second).unwrap_or(0)),
    }
}

fn tcp_rates(outcome: &Outcome, direction: Direction, framing: Framing) -> Rates {
    let offered = outcome.trial.tcp().and_then(|load| load.rate(direction));
    let carried = TcpCarried::of(outcome, direction, framing.ip).filter(|_| offered.is_some());
    let rate = |octets: Option<u64>| {
        let rate = carried.as_ref()?.rate(octets?, framing, Layer::L4);
        Some(rate.map_or(0, BitRate::bits_per_second))
    };
    Rates {
        offered_bit_s: offered.map(BitRate::bits_per_second),
        goodput_bit_s: rate(carried.as_ref().and_then(TcpCarried::mean)),
        goodput_p5_bit_s: rate(carried.as_ref().and_then(|carried| carried.quantile(5))),
    }
}

/// The 5th percentile of the counts of the whole seconds of a trial, its first and last cut off:
/// the nearest rank. `None` where there are none.
fn slow_second(per_second: &PerSecond, duration: Span) -> Option<u64> {
    let whole = usize::try_from(duration.nanos() / Span::from_secs(1).nanos()).unwrap_or(0);
    let count = |second: usize| per_second.counts().get(second).copied().unwrap_or(0);
    let mut counts: Vec<u64> = (1..whole.saturating_sub(1)).map(count).collect();
    counts.sort_unstable();
    let rank = (counts.len() * 5).div_ceil(100);
    counts.get(rank.checked_sub(1)?).copied()
}

const fn kind(trial: &Trial) -> TrialKind {
    match (trial.load(), trial.tcp()) {
        (Some(_), _) => TrialKind::Udp,
        (None, Some(_)) => TrialKind::Tcp,
        (None, None) => TrialKind::Idle,
    }
}

const fn silence(gap: &Silence) -> SilenceRecord {
    let Silence { start_ns, end_ns, packets, offered } = *gap;
    SilenceRecord { start_ns, end_ns, packets, offered }
}

fn cluster((reach_packets, clusters): (u64, Clusters)) -> LossClusterRecord {
    let Clusters { count, sum_of_squares, .. } = clusters;
    LossClusterRecord { reach_packets, count, squares: sum_of_squares.to_string() }
}

/// Losses in their pattern, as the record tells it.
fn loss_periods(periods: &LossBursts) -> LossPeriodRecord {
    LossPeriodRecord {
        count: periods.periods(),
        longest: periods.longest(),
        squares: periods.sum_of_squares().to_string(),
        clusters: periods.wider().map(cluster).collect(),
    }
}

const fn status(status: Status) -> StatusRecord {
    match status {
        Status::Ok => StatusRecord::Ok,
        Status::Partial => StatusRecord::Partial,
        Status::Refused => StatusRecord::Refused,
        Status::NotRun => StatusRecord::NotRun,
    }
}

fn outages(outcome: &Outcome, half: &Half) -> Vec<OutageRecord> {
    let udp_ns = half.came.as_ref().and_then(|came| came.began_ns);
    let tcp_ns = half.tcp_came.as_ref().and_then(|came| came.began_ns);
    let began_ns = udp_ns.or(tcp_ns).unwrap_or(0);
    let told = half.sent.is_some() || half.tcp_sent.is_some();
    half.gaps
        .outages(outage_min(outcome))
        .map(|gap| OutageRecord {
            start_s: Span::from_nanos(gap.start_ns.saturating_sub(began_ns)).as_secs(),
            duration_s: gap.span().as_secs(),
            packets: told.then_some(gap.packets),
        })
        .collect()
}

pub(super) fn percentiles(delays: &Delays) -> Option<Percentiles> {
    if delays.total() == 0 {
        return None;
    }
    let quantile = |q| finite(delays.quantile(q));
    Some(Percentiles {
        min: delays.min_ns().map(micros),
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: delays.max_ns().map(micros),
        samples: delays.total(),
        lost: delays.infinite(),
    })
}

fn finite(delay: Option<Delay>) -> Option<f64> {
    match delay {
        Some(Delay::Finite(nanos)) => Some(micros(nanos)),
        Some(Delay::Infinite) | None => None,
    }
}

fn delays(delays: &Delays) -> DelaysRecord {
    let is_empty = delays.measured() == 0;
    DelaysRecord {
        histogram: if is_empty { String::new() } else { delays.to_base64() },
        lost: delays.infinite(),
        min_ns: delays.min_ns(),
        max_ns: delays.max_ns(),
    }
}

fn signed_micros(nanos: i64) -> f64 {
    let magnitude = float(nanos.unsigned_abs()) / 1e3;
    if nanos < 0 { -magnitude } else { magnitude }
}

const fn host(host: &HostLimits) -> HostRecord {
    let HostLimits { queue_drops, kernel_drops, checksum_errors, .. } = *host;
    let HostLimits { clock_steps, stamp_noise_ns, card_stamps, .. } = *host;
    HostRecord {
        queue_drops,
        kernel_drops,
        checksum_errors,
        clock_steps,
        stamp_noise_ns,
        card_stamps,
    }
}

/// RFC 3339, UTC, to the second.
fn date(wall_ns: u64) -> String {
    let seconds = i64::try_from(wall_ns / 1_000_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "unknown".to_owned(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_rfc_3339() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(1_767_225_600_500_000_000), "2026-01-01T00:00:00Z");
    }
}
