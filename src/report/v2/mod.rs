//! Reports of format 2, converted once when they are read: their flat rows become sites, trials
//! and accounts. What that format did not keep stays unknown.
//!
//! `format` has that format's types; this file converts them.

mod format;

use crate::account::{
    AskedRate, AskedTcp, AskedTrial, AskedUdp, COUNT_MAX, ClockOffset, HostCounts, Invalid, Marks,
    OneWayCounts, Outcome, PathMtu, ProbeCounts, ReceiverCounts, RoundTripCounts, SenderCounts,
    Series, Silence, Silences, StatedClocks, Status, TcpBuffer, TcpChecked, TcpInfo,
    TcpReceiverCounts, TcpSample, TcpSenderCounts, Timestamping, read_back,
};
use crate::direction::{Direction, PerDirection};
use crate::plan::Inventory;
use crate::report::record::{
    self, Asked, CaveatRecord, DirectionFigures, FindingRecord, LinkRecord, Report, SiteEnds,
    SiteRecord, TcpFigures, TimestampMethod, TrialFigures, TrialRecord,
};
use crate::stats::delays::Delays;
use crate::stats::loss_bursts::LossBursts;
use crate::trial::PROBES_PER_SECOND;
use crate::units::BurstSize;
use format::{
    AskedV2, DelaysV2, DoubtV2, FindingV2, HostV2, KindV2, LinkV2, LossPeriodsV2, RowV2, SiteV2,
    StampMethodV2, TcpBufferV2, TcpInfoV2, TcpV2,
};

pub(super) use format::{FORMAT, ReportV2};

/// The report in the present format, judged as it was.
pub(super) fn convert(old: ReportV2) -> Result<Report, Invalid> {
    let sites = sites(old.sites, old.trials)?;
    let LinkV2 { name, circuit, port_rate_bit_s, committed_bit_s, .. } = old.link;
    let link = LinkRecord {
        name,
        circuit,
        provider: None,
        port_rate_bit_s,
        committed_bit_s,
        committed_burst_octets: PerDirection::both(Some(BurstSize::default().octets().into())),
        rate_layer: old.link.rate_layer,
        vlan_tags: old.link.vlan_tags,
        extra_overhead_octets: old.link.extra_overhead_bytes,
        inventory: Inventory::default(),
        verdict: None,
        complete: None,
        reason: None,
        asked: None,
        sites,
    };
    let AskedV2 { confidence, requirements } = old.asked;
    Ok(Report {
        format: record::FORMAT.to_owned(),
        verdict: old.verdict,
        complete: old.complete,
        reason: old.reason,
        program: old.program,
        run: old.run,
        started_at: old.started_at,
        ended_at: old.ended_at,
        plan: old.plan,
        judged_again: None,
        driver_host: None,
        asked: Asked { confidence, mss_clamped: false, requirements },
        notes: old.notes,
        findings: old.findings.into_iter().map(Into::into).collect(),
        caveats: old.doubts.into_iter().map(Into::into).collect(),
        links: vec![link],
    })
}

impl From<FindingV2> for FindingRecord {
    fn from(old: FindingV2) -> Self {
        let FindingV2 { site, metric, direction, relation, bound, value, low, high, .. } = old;
        Self {
            link: 0,
            site,
            metric,
            direction,
            relation,
            bound,
            proven: None,
            value,
            low,
            high,
            unit: metric.about().unit.name().to_owned(),
            layers: None,
            verdict: old.verdict,
            reason: old.reason,
            remark: None,
            trial: old.trial,
        }
    }
}

impl From<DoubtV2> for CaveatRecord {
    fn from(old: DoubtV2) -> Self {
        let DoubtV2 { metrics, direction, site, trial, bias, packets, text } = old;
        let evidence = Vec::new();
        Self { link: 0, site, evidence, metrics, direction, trial, bias, packets, text }
    }
}

/// The sites, each with its trials: a forward and a reverse row each.
fn sites(sites: Vec<SiteV2>, rows: Vec<RowV2>) -> Result<Vec<SiteRecord>, Invalid> {
    let mut rows = rows.into_iter().peekable();
    let mut number = 0;
    let mut converted = Vec::new();
    for old in sites {
        let mut trials = Vec::new();
        while let Some(forward) = rows.next_if(|row| row.site == old.site) {
            let no_pair =
                || Invalid::new(format!("trials: a forward and a reverse row of trial {number}"));
            let reverse = rows.next_if(|row| row.site == old.site).ok_or_else(no_pair)?;
            let directions = (forward.direction, reverse.direction);
            let is_pair = directions == (Direction::Forward, Direction::Reverse)
                && (forward.trial, reverse.trial) == (number, number);
            if !is_pair {
                return Err(no_pair());
            }
            let of_trial = |error: Invalid| Invalid::new(format!("trial {number}: {error}"));
            trials.push(trial(number, &forward, &reverse).map_err(of_trial)?);
            number += 1;
        }
        converted.push(site(old, trials)?);
    }
    match rows.next() {
        None => Ok(converted),
        Some(row) => {
            Err(Invalid::new(format!("trial {} is of no site, or stands alone", row.trial)))
        }
    }
}

fn site(old: SiteV2, trials: Vec<TrialRecord>) -> Result<SiteRecord, Invalid> {
    let path_mtu = match (old.path_mtu_bytes, old.path_mtu_tried_bytes) {
        (Some(octets), Some(tried_octets)) => {
            Some(PathMtu { octets, tried_octets, kernel_octets: None })
        }
        (None, None) => None,
        _ => return Err(Invalid::new(format!("the path MTU of site {}", old.site))),
    };
    let SiteV2 { site, agent, address, driver_address, agent_program, .. } = old;
    Ok(SiteRecord {
        ends: SiteEnds {
            address,
            driver_address,
            agent_program,
            requested_by: old.requested_by,
            role: old.role,
            reason: old.reason,
            ..SiteEnds::unknown(site, agent, old.ip)
        },
        granted_rate_max_bit_s: old.granted_rate_max_bit_s,
        granted_duration_max_s: old.granted_duration_max_s,
        path_mtu,
        trials,
    })
}

fn trial(number: usize, forward: &RowV2, reverse: &RowV2) -> Result<TrialRecord, Invalid> {
    let asked = asked(forward, reverse)?;
    let outcome = outcome(forward, reverse)?;
    read_back(&outcome)?;
    let timestamps = forward.stamping.as_ref().map(|stamping| match stamping.method {
        StampMethodV2::Kernel => TimestampMethod::Kernel,
        StampMethodV2::UserSpaceTransmit => TimestampMethod::UserSpaceTransmit,
    });
    Ok(TrialRecord {
        trial: number,
        asked,
        started_at: forward.started_at.clone(),
        // That format has the planned end, whatever happened.
        ended_at: forward.ended_at.clone().filter(|_| outcome.status == Status::Ok),
        outcome,
        figures: TrialFigures {
            forward: figures(forward),
            reverse: figures(reverse),
            rtt_us: forward.rtt_us.clone(),
            timestamps,
            ..TrialFigures::default()
        },
    })
}

fn asked(forward: &RowV2, reverse: &RowV2) -> Result<AskedTrial, Invalid> {
    let kinds = [forward, reverse].map(|row| (row.kind, row.capacity));
    if kinds[0] != kinds[1] {
        return Err(Invalid::new("its two rows are of different kinds"));
    }
    let (kind, capacity) = kinds[0];
    let streams = forward.streams.max(reverse.streams);
    let udp = (kind == KindV2::Udp).then(|| AskedUdp {
        rate: PerDirection {
            forward: forward.offered_packets_s.map(per_second),
            reverse: reverse.offered_packets_s.map(per_second),
        },
        streams,
        payload_octets: forward.payload_bytes.or(reverse.payload_bytes).unwrap_or(0),
        capacity,
        burst_max_octets: None,
    });
    let any = forward.tcp.as_ref().or(reverse.tcp.as_ref());
    let tcp = match (kind, any) {
        (KindV2::Tcp, None) => return Err(Invalid::new("a trial of TCP without it")),
        (KindV2::Tcp, Some(tcp)) => {
            let rate = |row: &RowV2| row.tcp.as_ref().and(row.offered_bit_s);
            Some(AskedTcp {
                payload_bit_s: PerDirection { forward: rate(forward), reverse: rate(reverse) },
                streams,
                path_mtu_octets: tcp.path_mtu_bytes,
                congestion_control: tcp.congestion_control_asked.clone(),
                capacity,
                verify: tcp.verify,
            })
        }
        _ => None,
    };
    let duration_ns = time(Some(forward.duration_s), 1e9, "duration_s")?.unwrap_or(0);
    let probe_rate = forward.probe_packets_s.map_or(PROBES_PER_SECOND.into(), per_second);
    let round_trip_us = any.and_then(|tcp| tcp.round_trip_us);
    Ok(AskedTrial {
        duration_ns,
        dscp: forward.dscp,
        silence_min_ns: None,
        probe_rate,
        heartbeat_rate: None,
        idle_round_trip_ns: time(round_trip_us, 1e3, "tcp.round_trip_us")?,
        lengthened: false,
        ramp_ns: None,
        udp,
        tcp,
    })
}

/// Format 2 had whole packets per second.
const fn per_second(packets: u64) -> AskedRate {
    AskedRate { packets, seconds: 1 }
}

/// A time of the record's, in units of so many nanoseconds.
fn time(value: Option<f64>, unit_ns: f64, what: &str) -> Result<Option<u64>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    let nanos = (value * unit_ns).round();
    if !(0.0..=1e15).contains(&nanos) {
        return Err(Invalid::new(format!("{what}: {value}")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u64")]
    let nanos = nanos as u64;
    Ok(Some(nanos))
}

fn outcome(forward: &RowV2, reverse: &RowV2) -> Result<Outcome, Invalid> {
    let round_trip = forward.rtt_delays.as_ref().ok_or_else(|| Invalid::new("no round trips"))?;
    let timestamping =
        forward.stamping.as_ref().map_or_else(Timestamping::default, |old| Timestamping {
            exchanges: old.exchanges,
            by_kernel: old.by_kernel,
            probe_sent: old.probe_left_by_kernel,
            probe_received: old.probe_came_by_kernel,
            reply_sent: old.reply_left_by_kernel,
            reply_received: old.reply_came_by_kernel,
        });
    let ahead_us = forward.clock_offset_us;
    let ahead_ns = time(ahead_us.map(f64::abs), 1e3, "clock_offset_us")?;
    let ahead_ns = ahead_ns.and_then(|nanos| i64::try_from(nanos).ok());
    let error_ns = time(forward.clock_offset_error_us, 1e3, "clock_offset_error_us")?;
    let is_behind = ahead_us.is_some_and(|us| us < 0.0);
    let clock_offset = ahead_ns.zip(error_ns).map(|(ahead_ns, error_ns)| ClockOffset {
        agent_ahead_ns: if is_behind { -ahead_ns } else { ahead_ns },
        error_ns,
    });
    Ok(Outcome {
        status: forward.status,
        reason: forward.reason.clone(),
        started_ns: None,
        ended_ns: None,
        forward: one_way(forward)?,
        reverse: one_way(reverse)?,
        round_trip: RoundTripCounts {
            delays: delays(round_trip)?,
            late_probes: count(forward.probe_late_packets, "probe_late_packets")?,
            late_delay_max_ns: None,
            timestamping,
            clock_offset,
            clock_steps: count(forward.clock_jumps, "clock_jumps")?,
            stated_clocks: StatedClocks::default(),
        },
        driver_host: host(&forward.sender_host, forward.status)?,
        agent_host: host(&forward.receiver_host, forward.status)?,
        moves: Vec::new(),
    })
}

fn one_way(row: &RowV2) -> Result<OneWayCounts, Invalid> {
    let listed = row
        .silences
        .iter()
        .map(|silence| Silence { packets: silence.packets.min(COUNT_MAX), ..*silence });
    let silences = Silences::from_vec(listed.collect());
    let changed = row.probe_remarked_packets;
    let marks = changed.map(|changed| Marks { seen: None, changed, other: row.dscp_received });
    Ok(OneWayCounts {
        sender: row.sent_packets.map(|sent| sender(row, sent)).transpose()?,
        receiver: row.received_packets.map(|received| receiver(row, received)).transpose()?,
        tcp_sender: row.tcp.as_ref().map(tcp_sender).transpose()?.flatten(),
        tcp_receiver: row.tcp.as_ref().map(tcp_receiver).transpose()?.flatten(),
        silences: silences?,
        probes: ProbeCounts {
            sent: row.probe_sent_packets,
            received: row.probe_received_packets,
            variation: variation(&row.variation_delays)?,
            delays: None,
            jitter_rfc3550_ns: row.jitter_rfc3550_us.map(|us| us * 1e3),
            skew_ppm: row.clock_skew_ppm,
            marks,
        },
        throughput: None,
    })
}

fn sender(row: &RowV2, sent: u64) -> Result<SenderCounts, Invalid> {
    let sending = row.sending.as_ref();
    Ok(SenderCounts {
        sent: count(Some(sent), "sent_packets")?,
        refused: count(row.refused_packets, "refused_packets")?,
        queue_dropped: count(row.queue_dropped_packets, "queue_dropped_packets")?,
        unreachable: count(row.unreachable_packets, "unreachable_packets")?,
        paused: count(row.paused_packets, "paused_packets")?,
        skipped: count(row.skipped_packets, "skipped_packets")?,
        steady: count(row.steady_sent_packets, "steady_sent_packets")?,
        per_second: series(&row.sent_by_second, "sent_by_second")?,
        segmented: sending.and_then(|sending| sending.segmented_packets).unwrap_or(0),
        burst: sending.and_then(|sending| sending.burst_packets_seen).unwrap_or(0),
        waiting: sending.and_then(|sending| sending.waiting).unwrap_or_default(),
        buffer_octets: known(sending.and_then(|sending| sending.send_buffer_bytes)),
        ..SenderCounts::default()
    })
}

fn receiver(row: &RowV2, received: u64) -> Result<ReceiverCounts, Invalid> {
    let sending = row.sending.as_ref();
    let late = count(row.late_packets, "late_packets")?;
    let lost = count(row.lost_packets, "lost_packets")? + late;
    let losses = match &row.loss_periods {
        Some(periods) => losses(periods, lost)?,
        None => LossBursts::default(),
    };
    Ok(ReceiverCounts {
        received: count(Some(received), "received_packets")?,
        late,
        duplicate: count(row.duplicate_packets, "duplicate_packets")?,
        reordered: count(row.reordered_packets, "reordered_packets")?,
        host_dropped: count(row.host_dropped_packets, "host_dropped_packets")?,
        unattributed: count(row.unattributed_packets, "unattributed_packets")?,
        rejected: count(row.rejected_packets, "rejected_packets")?,
        steady: count(row.steady_received_packets, "steady_received_packets")?,
        steady_on_time: count(row.steady_on_time_packets, "steady_on_time_packets")?,
        per_second: series(&row.received_by_second, "received_by_second")?,
        losses,
        lost_in_excess: count(row.lost_in_catch_up_packets, "lost_in_catch_up_packets")?,
        buffer_octets: known(sending.and_then(|sending| sending.receive_buffer_bytes)),
        ..ReceiverCounts::default()
    })
}

fn losses(periods: &LossPeriodsV2, lost: u64) -> Result<LossBursts, Invalid> {
    let squares = |digits: &str| digits.parse().map_err(|_| Invalid::new("loss_periods: squares"));
    let clusters = periods.clusters.iter();
    let clusters = clusters.map(|cluster| Ok((cluster.count, squares(&cluster.squares)?)));
    let clusters: Vec<(u64, u128)> = clusters.collect::<Result<_, Invalid>>()?;
    let squares = squares(&periods.squares)?;
    LossBursts::from_parts(lost, periods.count, periods.longest, squares, &clusters)
        .ok_or_else(|| Invalid::new("loss_periods: they do not agree with what was lost"))
}

/// Format 2 counted lost probes as infinite variation: it is over those that arrived (Y.1540).
fn variation(old: &DelaysV2) -> Result<Delays, Invalid> {
    delays(&DelaysV2 { lost: 0, ..old.clone() })
}

fn delays(old: &DelaysV2) -> Result<Delays, Invalid> {
    let lost = count(Some(old.lost), "lost delays")?;
    if old.histogram.is_empty() {
        let mut delays = Delays::default();
        delays.record_lost(lost);
        return Ok(delays);
    }
    Delays::from_base64(&old.histogram, lost, old.min_ns, old.max_ns)
        .map_err(|error| Invalid::new(error.to_string()))
}

/// A count that can be so; 0 where it was not known, as it then is not read either.
fn count(value: Option<u64>, name: &str) -> Result<u64, Invalid> {
    match value.unwrap_or(0) {
        absurd if COUNT_MAX < absurd => {
            Err(Invalid::new(format!("{name}: {absurd} is more than any run counts")))
        }
        count => Ok(count),
    }
}

/// A number of which that format has 0 where it is not known.
fn known(value: Option<u64>) -> Option<u64> {
    value.filter(|value| 0 < *value)
}

/// The counts of each second.
fn series(seconds: &[u64], name: &str) -> Result<Series, Invalid> {
    let seconds = seconds.iter().map(|second| count(Some(*second), name));
    Ok(Series::from_seconds(seconds.collect::<Result<_, _>>()?))
}

/// What a host reported. Where it reported nothing, that format has zeros: of a trial that did not
/// run to its end, those are not known.
fn host(old: &HostV2, status: Status) -> Result<Option<HostCounts>, Invalid> {
    let counts = HostCounts {
        queue_drops: count(Some(old.queue_drops), "queue_drops")?,
        kernel_drops: count(Some(old.kernel_drops), "kernel_drops")?,
        checksum_errors: count(Some(old.checksum_errors), "checksum_errors")?,
        clock_steps: count(Some(old.clock_steps), "clock_steps")?,
        unresolved_next_hop: None,
        timestamp_noise_ns: old.stamp_noise_ns,
        hardware_timestamps: old.card_stamps,
        wall_clock: None,
    };
    Ok(Some(counts).filter(|counts| status == Status::Ok || *counts != HostCounts::default()))
}

/// The figures of a row, as they stand in it.
fn figures(row: &RowV2) -> DirectionFigures {
    DirectionFigures {
        tested: row.tested,
        verdict: row.verdict,
        verdict_reason: row.verdict_reason.clone(),
        offered_bit_s: row.offered_bit_s,
        goodput_bit_s: row.goodput_bit_s,
        goodput_p5_bit_s: row.goodput_p5_bit_s,
        required_bit_s: row.required_bit_s,
        headroom_ratio: row.headroom_ratio,
        lost: row.lost_packets,
        loss_ratio: row.loss_ratio,
        outages: row.outages.clone(),
        jitter_us: row.jitter_us,
        jitter_rfc3550_us: row.jitter_rfc3550_us,
        send_lateness_us: row.send_lateness_us.clone(),
        burst_packets: row.sending.as_ref().map(|sending| sending.burst_packets),
        tcp: row.tcp.as_ref().map(|tcp| TcpFigures {
            warm_up_s: tcp.warm_up_s,
            goodput_p50_bit_s: tcp.goodput_p50_bit_s,
            goodput_seconds: tcp.goodput_seconds,
            retransmit_ratio: tcp.retransmit_ratio,
            rtt_us: tcp.rtt_us.clone(),
            ..TcpFigures::default()
        }),
        ..DirectionFigures::default()
    }
}

fn tcp_sender(tcp: &TcpV2) -> Result<Option<TcpSenderCounts>, Invalid> {
    let (Some(octets), Some(info)) = (tcp.sent_bytes, &tcp.info) else { return Ok(None) };
    Ok(Some(TcpSenderCounts {
        octets: count(Some(octets), "tcp.sent_bytes")?,
        congestion_control: tcp.congestion_control.clone().filter(|name| !name.is_empty()),
        last: tcp_info(info)?,
        samples: tcp
            .samples
            .iter()
            .map(|sample| TcpSample { rtt_us_min: known(sample.rtt_us_min), ..*sample })
            .collect(),
        held_up_ns: time(tcp.held_up_s, 1e9, "tcp.held_up_s")?.unwrap_or(0),
        buffer: tcp.send_buffer.as_ref().map(buffer).transpose()?,
        broken: tcp.broken.clone(),
        refused: tcp.refused.clone(),
        ..TcpSenderCounts::default()
    }))
}

fn tcp_info(old: &TcpInfoV2) -> Result<TcpInfo, Invalid> {
    let known = |value: Option<u64>| value.map(|value| count(Some(value), "tcp.info")).transpose();
    Ok(TcpInfo {
        rtt_us: old.rtt_us,
        min_rtt_us: known(old.min_rtt_us)?,
        cwnd_segments: old.cwnd_segments,
        mss_octets: old.mss_bytes,
        timestamps: old.timestamps,
        retransmitted_segments: count(Some(old.retransmitted_segments), "tcp.info")?,
        sent_octets: known(old.sent_bytes)?,
        retransmitted_octets: known(old.retransmitted_bytes)?,
        duplicate_segments: known(old.duplicate_segments)?,
        reordered: known(old.reordered)?,
        busy_us: known(old.busy_us)?,
        receiver_limited_us: known(old.receiver_limited_us)?,
        buffer_limited_us: known(old.buffer_limited_us)?,
    })
}

fn buffer(old: &TcpBufferV2) -> Result<TcpBuffer, Invalid> {
    let known =
        |octets: Option<u64>| octets.map(|octets| count(Some(octets), "tcp: a buffer")).transpose();
    Ok(TcpBuffer {
        needed_octets: count(Some(old.needed_bytes), "tcp: a buffer")?,
        tuned_max_octets: known(old.tuned_max_bytes)?,
        granted_octets: known(old.granted_bytes)?,
        reason: old.reason.clone(),
    })
}

/// Its times without an arrival stand among the row's own.
fn tcp_receiver(tcp: &TcpV2) -> Result<Option<TcpReceiverCounts>, Invalid> {
    let Some(octets) = tcp.received_bytes else { return Ok(None) };
    Ok(Some(TcpReceiverCounts {
        octets: count(Some(octets), "tcp.received_bytes")?,
        per_second: series(&tcp.received_bytes_by_second, "tcp.received_bytes_by_second")?,
        began_ns: tcp.began_ns,
        ended: tcp.ended.unwrap_or(false),
        checked: tcp.checked_bytes.map(|octets| TcpChecked {
            octets,
            damaged_octets: tcp.damaged_bytes.unwrap_or(0),
            stream: tcp.damage.as_ref().map(|damage| damage.stream),
            first_octet: tcp.damage.as_ref().map(|damage| damage.first_byte),
            last_octet: tcp.damage.as_ref().map(|damage| damage.last_byte),
        }),
        buffer: tcp.receive_buffer.as_ref().map(buffer).transpose()?,
        ..TcpReceiverCounts::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_more_than_any_run_counts_are_no_series() {
        assert_eq!(series(&[COUNT_MAX, 0], "x").map(|series| series.total()), Ok(COUNT_MAX));
        assert!(series(&[0, COUNT_MAX + 1], "x").is_err());
    }

    /// The text of a report adds seconds up.
    #[test]
    fn a_report_with_an_absurd_second_is_refused() {
        let sound = include_str!("../../../tests/it/golden/sound.json");
        for name in ["sent_by_second", "received_by_second"] {
            let mut report: serde_json::Value = serde_json::from_str(sound).expect("JSON");
            let rows = report["trials"].as_array_mut().expect("a list");
            let row =
                rows.iter_mut().find(|row| row[name].as_array().is_some_and(|s| !s.is_empty()));
            row.expect("a load")[name] = serde_json::json!([u64::MAX, 1]);
            let error = Report::parse(&report.to_string()).expect_err("absurd").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
