//! The report for a terminal: the verdict is the first word.

use super::{
    BoundText, FindingRecord, Percentiles, Report, SendingRecord, StampMethod, StampingRecord,
    StatusRecord, TcpInfoRecord, TcpRecord, TrialKind, TrialRecord, WaitingRecord,
};
use crate::direction::Direction;
use crate::flow::Steady;
use crate::framing::{Framing, IpVersion, Layer};
use crate::plan::Dscp;
use crate::units::{BitRate, PacketRate, Span};
use crate::verdict::Verdict;
use crate::wrap::{line, wrapped};

/// The report as text, in lines of up to 100 columns.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    findings(&mut out, report);
    caveats(&mut out, report);
    trials(&mut out, report);
    asked(&mut out, report);
    out
}

fn head(out: &mut String, report: &Report) {
    let link = match (&report.link.name, report.sites.as_slice()) {
        (Some(name), _) => format!("link {name}"),
        (None, [site]) => format!("line to {}", site.site),
        (None, sites) => format!("line to {} sites", sites.len()),
    };
    let circuit = report.link.circuit.as_ref().map(|circuit| format!(", circuit {circuit}"));
    let circuit = circuit.unwrap_or_default();
    line!(out, "{}  {link}{circuit}, {}", report.verdict, report.started_at);
    if let Some(reason) = &report.reason {
        wrapped(out, "      ", &format!("not complete: {reason}"));
    }
    line!(out, "");
}

fn findings(out: &mut String, report: &Report) {
    if report.findings.is_empty() {
        line!(out, "Nothing was required, so there is nothing to pass: {NOTHING_REQUIRED}");
        line!(out, "");
        return;
    }
    let percent = report.asked.confidence * 100.0;
    let measured = format!("measured ({} % bounds)", digits(percent));
    line!(out, "{:<14} {:<10} {:<16} {measured:<42} verdict", "required", "", "needed");
    let mut site = None;
    for finding in &report.findings {
        if 1 < report.sites.len() && site != Some(&finding.site) {
            line!(out, "towards {}", finding.site);
            site = Some(&finding.site);
        }
        let value = value(finding);
        line!(
            out,
            "{:<14} {:<10} {:<16} {value:<42} {}",
            finding.metric,
            finding.direction,
            needed(finding),
            finding.verdict
        );
        if finding.verdict != Verdict::Pass {
            wrapped(out, "            ", &finding.reason);
        }
        if let Some(other) = other_layers(report, finding) {
            line!(out, "{:<42} {other}", "");
        }
    }
    line!(out, "");
}

/// How a line comes to be judged.
const NOTHING_REQUIRED: &str = "give a requirement,\nsuch as --rate or --loss, or [require] in a \
                                plan, to have the line judged.";

fn needed(finding: &FindingRecord) -> String {
    let relation = match finding.relation {
        BoundText::AtMost => "<=",
        BoundText::AtLeast => ">=",
    };
    format!("{relation} {}", quantity(finding.bound, &finding.unit))
}

fn value(finding: &FindingRecord) -> String {
    let show = |value: f64| quantity(value, &finding.unit);
    let value = match finding.value {
        Some(value) => show(value),
        None if finding.verdict == Verdict::Fail => return "no end: lost".to_owned(),
        None if finding.low.is_none() && finding.high.is_none() => return "-".to_owned(),
        None => "beyond all that came back".to_owned(),
    };
    match (finding.low, finding.high) {
        (None, None) => format!("{value} (counted)"),
        (Some(low), Some(high)) => format!("{value} ({} to {})", show(low), show(high)),
        (Some(low), None) => format!("{value} ({} or more)", show(low)),
        (None, Some(high)) => format!("{value} (up to {})", show(high)),
    }
}

/// A throughput at the layers that it is not judged at.
fn other_layers(report: &Report, finding: &FindingRecord) -> Option<String> {
    finding.value?;
    let row = row_of(report, finding)?;
    let judged = report.link.rate_layer;
    let layers = Layer::ALL.into_iter().filter(|layer| *layer != judged);
    match finding.metric.as_str() {
        "throughput" => Some(format!("= {}", carried(report, row, layers)?)),
        "tcp_throughput" => Some(format!("= {}", tcp_carried(report, row, layers)?)),
        _ => None,
    }
}

/// The median of what TCP carried, at each of `layers`.
fn tcp_carried(
    report: &Report,
    row: &TrialRecord,
    layers: impl Iterator<Item = Layer>,
) -> Option<String> {
    let tcp = row.tcp.as_ref()?;
    let (goodput, info) = (BitRate::new(tcp.goodput_p50_bit_s?)?, tcp.info?);
    let framing = framing(report, row);
    let at = |layer| {
        let rate = framing.tcp_rate_at(goodput, layer, info.mss_bytes, info.timestamps);
        rate.map(|rate| format!("{} {layer}", rate_text(rate)))
    };
    Some(layers.filter_map(at).collect::<Vec<_>>().join(", "))
}

/// What was received of a load in its steady part, at each of `layers`.
fn carried(
    report: &Report,
    row: &TrialRecord,
    layers: impl Iterator<Item = Layer>,
) -> Option<String> {
    let (packets, payload) = (row.steady_received_packets?, row.payload_bytes?);
    let framing = framing(report, row);
    let rate = PacketRate::new(row.offered_packets_s?)?.share(row.streams)?;
    let steady = Steady::of(Span::from_nanos(nanos(row.duration_s))).span(rate);
    let at = |layer| {
        let rate = framing.bit_rate(packets, steady, layer, payload);
        rate.map(|rate| format!("{} {layer}", rate_text(rate)))
    };
    Some(layers.filter_map(at).collect::<Vec<_>>().join(", "))
}

fn row_of<'a>(report: &'a Report, finding: &FindingRecord) -> Option<&'a TrialRecord> {
    let same = |row: &&TrialRecord| {
        Some(row.trial) == finding.trial && row.direction.to_string() == finding.direction
    };
    report.trials.iter().find(same)
}

/// What stands around a payload of `row`.
fn framing(report: &Report, row: &TrialRecord) -> Framing {
    let site = report.sites.iter().find(|site| site.site == row.site);
    Framing {
        ip: site.map_or(IpVersion::V4, |site| site.ip),
        vlan_tags: report.link.vlan_tags,
        extra_overhead_octets: report.link.extra_overhead_bytes,
    }
}

fn caveats(out: &mut String, report: &Report) {
    if report.caveats.is_empty() && report.complete {
        line!(out, "No measurement caveats.");
    }
    for caveat in &report.caveats {
        let direction = caveat.direction.map(|direction| format!(" {direction}"));
        let direction = direction.unwrap_or_default();
        let trial = caveat.trial.map(|trial| format!(", trial {trial}")).unwrap_or_default();
        let metrics = caveat.metrics.join(", ");
        let caveat = format!("caveat on {metrics}{direction}{trial}: {}", caveat.text);
        wrapped(out, "", &caveat);
    }
    line!(out, "");
}

fn trials(out: &mut String, report: &Report) {
    let mut shown = None;
    for row in report.trials.iter().filter(|row| row.tested) {
        let kind = match row.kind {
            TrialKind::Idle => "idle probes".to_owned(),
            TrialKind::Udp => udp_text(report, row),
            TrialKind::Tcp => tcp_text(report, row),
        };
        let status = match row.status {
            StatusRecord::Ok => "",
            StatusRecord::Partial => ", cut short",
            StatusRecord::Refused => ", refused",
            StatusRecord::NotRun => ", not run",
        };
        let site = if 1 < report.sites.len() { format!(" {}", row.site) } else { String::new() };
        let duration = row.duration_s;
        let mark = match row.dscp {
            0 => String::new(),
            dscp => format!(", marked {}", mark(dscp)),
        };
        line!(
            out,
            "trial {}{site} {}: {kind}{mark}, {duration} s{status}",
            row.trial,
            row.direction
        );
        if let Some(reason) = &row.reason {
            wrapped(out, "    ", reason);
        }
        if row.status == StatusRecord::NotRun || row.status == StatusRecord::Refused {
            continue;
        }
        if let Some(carried) = carried(report, row, Layer::ALL.into_iter()).filter(|_| row.capacity)
        {
            line!(out, "    came through: {carried}");
        }
        match &row.tcp {
            Some(tcp) => tcp_counts(out, report, row, tcp),
            None => counts(out, row),
        }
        // What is of the whole trial stands in its first row, which may not be shown.
        let first = report.trials.iter().find(|first| first.trial == row.trial);
        if let Some(first) = first.filter(|_| shown != Some(row.trial)) {
            round_trip(out, first);
            shown = Some(row.trial);
        }
        delays(out, row);
        // The direction that is not loaded has a row too, which is not shown.
        let rows = report.trials.iter().filter(|other| other.trial == row.trial);
        let facing = rows.filter(|other| !other.tested && other.direction != row.direction);
        std::iter::once(row).chain(facing).for_each(|row| remarked(out, row));
    }
    line!(out, "");
}

fn udp_text(report: &Report, row: &TrialRecord) -> String {
    let (Some(per_second), Some(payload)) = (row.offered_packets_s, row.payload_bytes) else {
        return "UDP".to_owned();
    };
    let layer = report.link.rate_layer;
    let rate = framing(report, row).bit_rate(per_second, Span::from_secs(1), layer, payload);
    let rate = rate.map_or_else(String::new, rate_text);
    let up_to = if row.capacity { "up to " } else { "" };
    let streams = if row.streams == 1 { "stream" } else { "streams" };
    format!("UDP {up_to}{rate} {layer}, {} {streams} of {payload} B", row.streams)
}

fn tcp_text(report: &Report, row: &TrialRecord) -> String {
    let Some(tcp) = &row.tcp else { return "TCP".to_owned() };
    let (layer, framing) = (report.link.rate_layer, framing(report, row));
    let segment = framing.ip.segment_octets(tcp.path_mtu_bytes);
    let rate = row.offered_bit_s.and_then(BitRate::new);
    let rate = rate.and_then(|rate| framing.tcp_rate_at(rate, layer, segment, true));
    let rate = rate.map_or_else(String::new, rate_text);
    let up_to = if row.capacity { "as fast as it can, up to " } else { "" };
    let streams = if row.streams == 1 { "stream" } else { "streams" };
    let control = tcp.congestion_control.as_ref().unwrap_or(&tcp.congestion_control_asked);
    format!("TCP {up_to}{rate} {layer}, {} {streams}, {control}", row.streams)
}

fn tcp_counts(out: &mut String, report: &Report, row: &TrialRecord, tcp: &TcpRecord) {
    for why in tcp.refused.iter().chain(&tcp.broken) {
        wrapped(out, "    ", why);
    }
    if let (Some(carried), Some(seconds)) =
        (tcp_carried(report, row, Layer::ALL.into_iter()), tcp.goodput_seconds)
    {
        let warm_up = tcp.warm_up_s.unwrap_or(0.0);
        line!(out, "    came through: {carried}");
        let slow = row.goodput_p5_bit_s.and_then(BitRate::new);
        let slow = slow.map_or_else(|| "0 bit/s".to_owned(), rate_text);
        line!(
            out,
            "    the median of {seconds} whole seconds behind {warm_up} s of warm-up; 5 % of them \
             below {slow} (L4)"
        );
    }
    if let Some(info) = &tcp.info {
        let share = tcp.retransmit_ratio.map(|ratio| format!(" ({})", percent(ratio)));
        let mut parts = vec![format!(
            "{} segments sent again{}",
            info.retransmitted_segments,
            share.unwrap_or_default()
        )];
        if let Some(duplicates) = info.duplicate_segments.filter(|count| 0 < *count) {
            parts.push(format!("{duplicates} of them for nothing"));
        }
        if let Some(reordered) = info.reordered.filter(|count| 0 < *count) {
            parts.push(format!("reordering seen {reordered} times"));
        }
        line!(out, "    {}", parts.join(", "));
        if let Some(limits) = limits_text(info, row) {
            wrapped(out, "    ", &limits);
        }
    }
    if let Some(rtt) = &tcp.rtt_us
        && let (Some(min), Some(p50), Some(max)) = (rtt.min, rtt.p50, rtt.max)
    {
        let [min, p50, max] = [min, p50, max].map(|us| quantity(us / 1e6, "s"));
        line!(out, "    TCP's own round trip: {min} least, {p50} median, {max} greatest");
    }
    for (buffer, what) in [(&tcp.send_buffer, "send"), (&tcp.receive_buffer, "receive")] {
        let Some(buffer) = buffer else { continue };
        match (&buffer.reason, buffer.granted_bytes) {
            (Some(reason), _) => wrapped(out, "    ", reason),
            (None, Some(granted)) => line!(
                out,
                "    {what} buffer set to {granted} octets, as {} are needed",
                buffer.needed_bytes
            ),
            (None, None) => {}
        }
    }
    match (tcp.checked_bytes, tcp.damaged_bytes) {
        (Some(checked), Some(0)) => line!(out, "    {checked} octets compared: all as sent"),
        (Some(checked), Some(damaged)) => {
            line!(out, "    {damaged} of {checked} octets are DAMAGED: others than were sent");
        }
        _ => {}
    }
    outages(out, row);
}

/// What held TCP back, in percent of its time: of a trial that was cut short, of the time in which
/// it had something to send.
fn limits_text(info: &TcpInfoRecord, row: &TrialRecord) -> Option<String> {
    let busy = info.busy_us.filter(|busy| 0 < *busy)?;
    let (window, buffer) = (info.receiver_limited_us?, info.buffer_limited_us?);
    let time = match row.status {
        StatusRecord::Ok => (nanos(row.duration_s) / 1_000).saturating_mul(row.streams.into()),
        _ => 0,
    };
    let all = busy.max(time);
    let share = |part: u64| (part.saturating_mul(100) + all / 2) / all;
    let network = busy.saturating_sub(window).saturating_sub(buffer);
    let nothing = match share(all - busy) {
        0 => String::new(),
        share => format!("; had nothing to send for {share} %"),
    };
    Some(format!(
        "limited by the network or its pace {} %, by the receive window {} %, by the send buffer \
         {} % of its time{nothing}",
        share(network),
        share(window),
        share(buffer)
    ))
}

fn counts(out: &mut String, row: &TrialRecord) {
    let show = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let mut parts = vec![
        format!("sent {}", show(row.sent_packets)),
        format!("received {}", show(row.received_packets)),
        format!("lost {}", show(row.lost_packets)),
    ];
    let rest = [
        ("late", row.late_packets),
        ("duplicate", row.duplicate_packets),
        ("reordered", row.reordered_packets),
        ("dropped by the receiving host", row.host_dropped_packets),
        ("refused by the sending host", row.refused_packets),
        ("unreachable", row.unreachable_packets),
        ("paused", row.paused_packets),
        ("skipped", row.skipped_packets),
        ("rejected", row.rejected_packets),
    ];
    let some = rest.into_iter().filter(|(_, count)| count.is_some_and(|count| 0 < count));
    parts.extend(some.map(|(what, count)| format!("{what} {}", show(count))));
    line!(out, "    packets: {}", parts.join(", "));
    if let Some(periods) = row.loss_periods.as_ref().filter(|periods| 0 < periods.count) {
        let (count, longest) = (periods.count, periods.longest);
        let periods = if count == 1 { "period" } else { "periods" };
        line!(out, "    losses in {count} {periods}, the longest of {longest}");
    }
    outages(out, row);
    by_second(out, row);
    if let Some(sending) = &row.sending {
        line!(out, "    {}", sending_text(sending, row.sent_packets));
        line!(out, "    {}", lateness_text(sending, row));
    }
}

/// How a load left and came.
fn sending_text(sending: &SendingRecord, sent: Option<u64>) -> String {
    let segmented = sending.segmented_packets;
    let mut parts = vec![match (sending.burst_packets, segmented) {
        (1, _) => match sending.burst_packets_seen {
            Some(seen @ 2..) => format!("sent one by one, up to {seen} handed over at once"),
            _ => "sent one by one".to_owned(),
        },
        (burst, Some(segmented)) if Some(segmented) < sent => format!(
            "sent in trains of up to {burst}, which the kernel would not cut: {segmented} packets \
             left so"
        ),
        (burst, _) => format!("sent in trains of up to {burst} packets, which the kernel cuts"),
    }];
    parts.extend(sending.waiting.map(|waiting| match waiting {
        WaitingRecord::AwakeFirst => "timed awake, ahead of other threads".to_owned(),
        WaitingRecord::Awake => "timed awake".to_owned(),
        WaitingRecord::Asleep => "timed asleep, for want of processors".to_owned(),
    }));
    parts.join("; ")
}

/// How late packets left, and what their sockets had room for.
fn lateness_text(sending: &SendingRecord, row: &TrialRecord) -> String {
    let late = row.send_lateness_us.as_ref().map(|late| {
        let show = |value: Option<f64>| value.map_or("?".to_owned(), |us| quantity(us, "us"));
        let (p50, p99, max) = (show(late.p50), show(late.p99), show(late.max));
        format!("packets left late by p50 {p50}, p99 {p99}, max {max}")
    });
    let buffers = match (sending.send_buffer_bytes, sending.receive_buffer_bytes) {
        (Some(send), Some(receive)) => {
            Some(format!("buffers {} and {} KiB", send >> 10, receive >> 10))
        }
        _ => None,
    };
    [late, buffers].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn outages(out: &mut String, row: &TrialRecord) {
    for outage in row.outages.iter().flatten().take(OUTAGES_SHOWN) {
        line!(
            out,
            "    outage of {} at {:.3} s, {} packets of load and probes",
            quantity(outage.duration_s, "s"),
            outage.start_s,
            outage.packets.map_or_else(|| "?".to_owned(), |packets| packets.to_string())
        );
    }
    let outages = row.outages.as_ref().map_or(0, Vec::len);
    if OUTAGES_SHOWN < outages {
        line!(out, "    … and {} outages more", outages - OUTAGES_SHOWN);
    }
}

/// Outages that the text shows; the record has them all.
const OUTAGES_SHOWN: usize = 5;

/// The least, mean and greatest second of a load: its first and last second are partial.
fn by_second(out: &mut String, row: &TrialRecord) {
    let whole = usize::try_from(nanos(row.duration_s) / Span::from_secs(1).nanos()).unwrap_or(0);
    if row.received_packets.is_none() {
        return;
    }
    let ran = row.sent_by_second.len().max(row.received_by_second.len());
    let whole = if row.status == StatusRecord::Partial { whole.min(ran) } else { whole };
    let came = |second| row.received_by_second.get(second).copied().unwrap_or(0);
    let seconds: Vec<u64> = (1..whole.saturating_sub(1)).map(came).collect();
    let (Some(min), Some(max)) = (seconds.iter().min(), seconds.iter().max()) else { return };
    let Some(payload) = row.payload_bytes else { return };
    let rate = |packets: u64| {
        let octets = crate::units::ByteCount::new(packets.saturating_mul(payload.into()));
        octets.per(Span::from_secs(1)).map_or_else(|| "0 bit/s".to_owned(), rate_text)
    };
    let mean = seconds.iter().sum::<u64>() / (seconds.len() as u64).max(1);
    let (min, mean, max) = (rate(*min), rate(mean), rate(*max));
    line!(out, "    goodput by the second (L4): min {min}, mean {mean}, max {max}");
}

fn round_trip(out: &mut String, row: &TrialRecord) {
    if let Some(rtt) = &row.rtt_us {
        line!(out, "    round trip: {}", percentile_text(rtt));
    }
    if let Some(stamping) = &row.stamping {
        wrapped(out, "    ", &stamping_text(stamping, row));
    }
    if let (Some(offset), Some(error)) = (row.clock_offset_us, row.clock_offset_error_us) {
        let (offset, error) = (quantity(offset, "us"), quantity(error, "us"));
        line!(out, "    the agent's clock is {offset} ahead, known to {error}");
    }
}

/// How the round trips were stamped, and how far stamps are to be believed.
fn stamping_text(stamping: &StampingRecord, row: &TrialRecord) -> String {
    let StampingRecord { method, exchanges, by_kernel, .. } = *stamping;
    let (probe_left, reply_left) = (stamping.probe_left_by_kernel, stamping.reply_left_by_kernel);
    let mut text = match method {
        StampMethod::Kernel => {
            // The first row is forward: its sender is the driver.
            let by = stampers(row.sender_host.card_stamps, row.receiver_host.card_stamps);
            format!("{by} transmit and receive stamps in {by_kernel} of {exchanges} exchanges")
        }
        StampMethod::UserSpaceTransmit => {
            let silent = [("this host", probe_left), ("the agent's host", reply_left)];
            let silent: Vec<&str> =
                silent.into_iter().filter(|(_, told)| *told == 0).map(|(host, _)| host).collect();
            format!("user-space transmit stamps, as {} tells no others", silent.join(" and "))
        }
    };
    // The first row is forward: its sender is the driver.
    let noise = [("", row.sender_host), ("agent ", row.receiver_host)];
    let noise = noise.into_iter().filter_map(|(place, host)| {
        let micros = crate::metric::micros(host.stamp_noise_ns?);
        Some(format!("{place}{}", quantity(micros, "us")))
    });
    let noise: Vec<String> = noise.collect();
    if !noise.is_empty() {
        text += &format!("; noise floor {}", noise.join(", "));
    }
    text
}

/// Who stamped what the hosts' programs did not: the network card of the driver's, of the agent's.
const fn stampers(driver_card: bool, agent_card: bool) -> &'static str {
    match (driver_card, agent_card) {
        (false, false) => "kernel",
        (true, false) => "network card (here, not tested on hardware) and kernel (agent)",
        (false, true) => "kernel (here) and network card (agent, not tested on hardware)",
        (true, true) => "network card (not tested on hardware)",
    }
}

fn delays(out: &mut String, row: &TrialRecord) {
    let jitter = row.jitter_us.map(|value| format!("jitter (PDV p99.9) {}", quantity(value, "us")));
    let rfc = row.jitter_rfc3550_us.map(|value| format!("RFC 3550 {}", quantity(value, "us")));
    let parts: Vec<String> = [jitter, rfc].into_iter().flatten().collect();
    if !parts.is_empty() {
        line!(out, "    {}", parts.join(", "));
    }
}

/// A code point, by its name where it has one.
fn mark(dscp: u8) -> String {
    Dscp::new(dscp).map_or_else(|| dscp.to_string(), |dscp| format!("DSCP {dscp}"))
}

/// What the line made of its marks.
fn remarked(out: &mut String, row: &TrialRecord) {
    let changed = row.probe_remarked_packets.filter(|changed| 0 < *changed);
    let (Some(changed), Some(other)) = (changed, row.dscp_received) else { return };
    let of = row.probe_received_packets.map(|all| format!(" of {all}")).unwrap_or_default();
    let (sent, other, way) = (mark(row.dscp), mark(other), row.direction);
    line!(out, "    the line changes marks: {changed}{of} probes {way}, {sent}, came as {other}");
}

fn percentile_text(percentiles: &Percentiles) -> String {
    let show = |name: &str, value: Option<f64>| {
        let value = value.map_or_else(|| "lost".to_owned(), |value| quantity(value, "us"));
        format!("{name} {value}")
    };
    let Percentiles { min, p50, p99, p999, max, samples, lost, .. } = percentiles;
    let mut parts = vec![show("min", *min), show("p50", *p50), show("p99", *p99)];
    parts.extend([show("p99.9", *p999), show("max", *max)]);
    let lost = if *lost == 0 { String::new() } else { format!(", {lost} lost") };
    format!("{} ({samples} probes{lost})", parts.join(", "))
}

fn asked(out: &mut String, report: &Report) {
    let layer = report.link.rate_layer;
    let mut rates = format!("rates count {layer}");
    let overhead = report.link.extra_overhead_bytes;
    match (report.link.vlan_tags, overhead) {
        (0, 0) => {}
        (tags, 0) => rates += &format!(" with {tags} VLAN tags"),
        (tags, more) => rates += &format!(" with {tags} VLAN tags and {more} octets more a packet"),
    }
    for direction in Direction::ALL {
        if let Some(rate) = report.link.committed_bit_s.get(direction).and_then(BitRate::new) {
            rates += &format!(", {rate} is committed {direction}");
        }
    }
    line!(out, "{rates}");
    for site in &report.sites {
        let granted = site.granted_rate_max_bit_s.and_then(BitRate::new);
        let mut parts = vec![format!("{} over {}", site.agent, site.ip)];
        if let Some(octets) = site.path_mtu_bytes {
            parts.push(format!("path MTU {octets}"));
        }
        if let (Some(rate), Some(seconds)) = (granted, site.granted_duration_max_s) {
            let allows = format!("{rate} (L2) in each direction, {seconds} s of load");
            parts.push(format!("it allows {allows}"));
        }
        parts.extend(site.reason.iter().map(|reason| format!("not complete: {reason}")));
        wrapped(out, "", &format!("the agent at {}", parts.join("; ")));
    }
    for note in &report.notes {
        wrapped(out, "", &format!("note: {note}"));
    }
    if let Some(plan) = &report.plan {
        line!(out, "plan {}, sha256 {}", plan.file, plan.sha256);
    }
    line!(out, "{}, run {}", report.program, report.run);
}

/// A number with its unit, at four digits.
fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "bit/s" => {
            scaled(value, &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)])
        }
        "us" => scaled(value, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)]),
        "s" => scaled(value * 1e3, &[("ms", 1.0), ("s", 1e3)]),
        "ratio" => percent(value),
        _ => format!("{value} {unit}"),
    }
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    // What four digits round up to a unit is shown in it.
    let reaches = |scale: f64| scale <= value.abs() * (1.0 + 5e-5);
    let unit = units.iter().rfind(|(_, scale)| reaches(*scale)).or_else(|| units.first());
    unit.map_or_else(String::new, |(unit, scale)| format!("{} {unit}", digits(value / scale)))
}

/// A share in percent, of which a hundred-thousandth still shows.
fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        _ if percent.abs() < 1e-12 => "0 %".to_owned(),
        _ if percent.abs() < 1e-4 => format!("{percent:.2e} %"),
        _ if percent.abs() < 0.1 => format!("{} %", trim(&format!("{percent:.5}"))),
        _ => format!("{} %", digits(percent)),
    }
}

/// Four significant digits, without zeros behind the point.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        magnitude if magnitude < 10.0 => 3,
        magnitude if magnitude < 100.0 => 2,
        magnitude if magnitude < 1_000.0 => 1,
        _ => 0,
    };
    trim(&format!("{value:.decimals$}")).to_owned()
}

fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn rate_text(rate: BitRate) -> String {
    quantity(crate::metric::float(rate.bits_per_second()), "bit/s")
}

/// Seconds of the record, which were whole nanoseconds once.
fn nanos(seconds: f64) -> u64 {
    u64::try_from(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e6)).as_nanos())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_four_digits_and_their_unit() {
        assert_eq!(quantity(80_003_560.0, "bit/s"), "80 Mbit/s");
        assert_eq!(quantity(500_123_456.0, "bit/s"), "500.1 Mbit/s");
        assert_eq!(quantity(999_999_600.0, "bit/s"), "1 Gbit/s");
        assert_eq!(quantity(999_900_000.0, "bit/s"), "999.9 Mbit/s");
        assert_eq!(quantity(0.0, "bit/s"), "0 bit/s");
        assert_eq!(quantity(12.345, "us"), "12.35 us");
        assert_eq!(quantity(20_000.0, "us"), "20 ms");
        assert_eq!(quantity(0.25, "s"), "250 ms");
        assert_eq!(quantity(3.0012, "s"), "3.001 s");
        assert_eq!(quantity(0.0001, "ratio"), "0.01 %");
        assert_eq!(quantity(0.000_033_2, "ratio"), "0.00332 %");
        assert_eq!(quantity(0.0, "ratio"), "0 %");
        assert_eq!(quantity(0.25, "ratio"), "25 %");
        assert_eq!(quantity(1e-7, "ratio"), "1.00e-5 %");
    }

    #[test]
    fn a_network_card_that_stamps_is_told_with_how_far_it_was_tried() {
        assert_eq!(stampers(false, false), "kernel");
        for (driver, agent) in [(true, false), (false, true), (true, true)] {
            assert!(stampers(driver, agent).contains("not tested on hardware"));
        }
        let agent = "kernel (here) and network card (agent, not tested on hardware)";
        assert_eq!(stampers(false, true), agent);
    }

    #[test]
    fn how_a_load_left_is_told() {
        let one_by_one = SendingRecord {
            burst_packets: 1,
            burst_packets_seen: Some(1),
            segmented_packets: Some(0),
            waiting: Some(WaitingRecord::Asleep),
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
        };
        let trains = SendingRecord {
            burst_packets: 46,
            burst_packets_seen: Some(46),
            segmented_packets: Some(10),
            waiting: None,
            ..one_by_one
        };
        let handed_over =
            SendingRecord { burst_packets_seen: Some(64), waiting: None, ..one_by_one };
        let check = |sending, sent, expected: &str| {
            assert_eq!(sending_text(sending, Some(sent)), expected);
        };
        check(&one_by_one, 10, "sent one by one; timed asleep, for want of processors");
        check(&handed_over, 10, "sent one by one, up to 64 handed over at once");
        check(&trains, 10, "sent in trains of up to 46 packets, which the kernel cuts");
        let uncut =
            "sent in trains of up to 46, which the kernel would not cut: 10 packets left so";
        check(&trains, 11, uncut);
    }
}
