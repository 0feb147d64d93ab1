//! The report for a terminal: what a TCP load did.

use super::row::{framing, streams, tcp};
use crate::account::{Status, TcpBuffer, TcpInfo};
use crate::framing::Layer;
use crate::report::quantity::{percent, quantity, rate_text};
use crate::report::{Row, TcpFigures};
use crate::units::BitRate;
use crate::wrap::{line, wrapped};

pub(super) fn tcp_text(row: &Row<'_>) -> String {
    let Some((load, payload_bit_s)) = tcp(row) else { return "TCP".to_owned() };
    let (layer, framing) = (row.link.rate_layer, framing(row));
    let segment = framing.ip.segment_octets(load.path_mtu_octets);
    let rate = BitRate::new(payload_bit_s);
    let rate = rate.and_then(|rate| framing.tcp_rate_at(rate, layer, segment, true));
    let rate = rate.map_or_else(String::new, rate_text);
    let up_to = if load.capacity { "as fast as it can, up to " } else { "" };
    let streams = if load.streams == 1 { "stream" } else { "streams" };
    let used = row.counts().tcp_sender.as_ref();
    let used = used.and_then(|sender| sender.congestion_control.as_ref());
    let control = used.unwrap_or(&load.congestion_control);
    format!("TCP {up_to}{rate} {layer}, {} {streams}, {control}", load.streams)
}

pub(super) fn tcp_counts(out: &mut String, row: &Row<'_>) {
    let Some(figures) = &row.figures().tcp else { return };
    let (sender, receiver) = (&row.counts().tcp_sender, &row.counts().tcp_receiver);
    for why in sender.iter().flat_map(|sender| sender.refused.iter().chain(&sender.broken)) {
        wrapped(out, "    ", why);
    }
    let asked = row.trial.asked.tcp.as_ref().map(|load| &load.congestion_control);
    let used = sender.as_ref().and_then(|sender| sender.congestion_control.as_ref());
    if let (Some(asked), Some(used)) = (asked, used)
        && asked != used
    {
        let why = format!(
            "{used} took the place of {asked}: the sending user may not choose that \
             (net.ipv4.tcp_allowed_congestion_control)"
        );
        wrapped(out, "    ", &why);
    }
    if let (Some(carried), Some(seconds)) =
        (tcp_carried(row, Layer::ALL.into_iter()), figures.goodput_seconds)
    {
        tcp_seconds(out, row, figures, (&carried, seconds));
    }
    if let Some(sender) = sender {
        tcp_info(out, row, &sender.last);
    }
    if let Some(rtt) = &figures.rtt_us
        && let (Some(min), Some(p50), Some(max)) = (rtt.min, rtt.p50, rtt.max)
    {
        let [min, p50, max] = [min, p50, max].map(|us| quantity(us / 1e6, "s"));
        line!(out, "    TCP's own round trip: {min} least, {p50} median, {max} greatest");
    }
    let buffers = [
        (sender.as_ref().and_then(|sender| sender.buffer.as_ref()), "send"),
        (receiver.as_ref().and_then(|receiver| receiver.buffer.as_ref()), "receive"),
    ];
    for (buffer, what) in buffers {
        if let Some(buffer) = buffer {
            tcp_buffer(out, buffer, what);
        }
    }
    if let Some(checked) = receiver.as_ref().and_then(|receiver| receiver.checked) {
        let all = receiver.as_ref().map_or(0, |receiver| receiver.octets);
        match (checked.octets, checked.damaged_octets) {
            (octets, 0) if octets == all => line!(out, "    {octets} octets compared: all as sent"),
            (octets, 0) => line!(out, "    {octets} of {all} octets compared: all as sent"),
            (octets, damaged) => {
                line!(out, "    {damaged} of {octets} octets are DAMAGED: others than were sent");
            }
        }
    }
}

/// What came of TCP in its whole seconds.
fn tcp_seconds(
    out: &mut String,
    row: &Row<'_>,
    figures: &TcpFigures,
    (carried, seconds): (&str, u64),
) {
    let shown = |bit_s: Option<u64>| {
        let rate = bit_s.and_then(BitRate::new);
        rate.map_or_else(|| "0 bit/s".to_owned(), rate_text)
    };
    match figures.goodput_worst_10s_start_s {
        Some(second) => {
            line!(out, "    carried in the worst 10 s, from second {second}: {carried}");
        }
        None => line!(out, "    carried in the median second: {carried}"),
    }
    let spread = figures.goodput_min_bit_s.map_or_else(String::new, |min| {
        format!(", {} to {}", shown(Some(min)), shown(figures.goodput_max_bit_s))
    });
    line!(
        out,
        "    {seconds} whole seconds after {} s of warm-up: mean {}, median {}{spread} (L4)",
        figures.warm_up_s.unwrap_or(0.0),
        shown(row.figures().goodput_bit_s),
        shown(figures.goodput_p50_bit_s)
    );
    if let Some(change) = figures.level_change {
        line!(
            out,
            "    the rate changed from {} to {} at second {} (L4)",
            shown(Some(change.before_bit_s)),
            shown(Some(change.after_bit_s)),
            change.start_s
        );
    }
}

/// What the sending kernel reported in the end.
fn tcp_info(out: &mut String, row: &Row<'_>, info: &TcpInfo) {
    let ratio = row.figures().tcp.as_ref().and_then(|figures| figures.retransmit_ratio);
    let share = ratio.map(|ratio| format!(" ({})", percent(ratio))).unwrap_or_default();
    let again = info.retransmitted_segments;
    let mut parts = vec![format!("{again} segments sent again{share}")];
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

fn tcp_buffer(out: &mut String, buffer: &TcpBuffer, what: &str) {
    match (&buffer.reason, buffer.granted_octets) {
        (Some(reason), _) => wrapped(out, "    ", reason),
        (None, Some(granted)) => line!(
            out,
            "    {what} buffer set to {granted} octets, as {} are needed",
            buffer.needed_octets
        ),
        (None, None) => {}
    }
}

/// What held TCP back, in percent of its time: of a trial that was cut short, of the time in which
/// it had something to send.
fn limits_text(info: &TcpInfo, row: &Row<'_>) -> Option<String> {
    let busy = info.busy_us.filter(|busy| 0 < *busy)?;
    let (window, buffer) = (info.receiver_limited_us?, info.buffer_limited_us?);
    let time = match row.trial.outcome.status {
        Status::Ok => (row.trial.asked.duration_ns / 1_000).saturating_mul(streams(row).into()),
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

/// What TCP carried in its worst 10 s, or in its median second where it has fewer, at each of
/// `layers`.
pub(super) fn tcp_carried(row: &Row<'_>, layers: impl Iterator<Item = Layer>) -> Option<String> {
    let figures = row.figures().tcp.as_ref()?;
    let goodput = figures.goodput_worst_10s_bit_s.or(figures.goodput_p50_bit_s);
    let goodput = BitRate::new(goodput?)?;
    let info = row.counts().tcp_sender.as_ref()?.last;
    let segment = match info.mss_octets {
        0 => framing(row).ip.segment_octets(row.trial.asked.tcp.as_ref()?.path_mtu_octets),
        octets => octets,
    };
    let framing = framing(row);
    let at = |layer| {
        let rate = framing.tcp_rate_at(goodput, layer, segment, info.timestamps);
        rate.map(|rate| format!("{} {layer}", rate_text(rate)))
    };
    Some(layers.filter_map(at).collect::<Vec<_>>().join(", "))
}
