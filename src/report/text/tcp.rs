//! The report for a terminal: what a TCP load did.

use super::{layers_text, offered_text};
use crate::account::{TcpBuffer, TcpInfo};
use crate::framing::Layer;
use crate::report::quantity::{bits_text, percent, quantity};
use crate::report::{Row, TcpFigures, TcpLimits};
use crate::wrap::{line, wrapped};

pub(super) fn tcp_text(row: &Row<'_>) -> String {
    let Some(load) = &row.trial.asked.tcp else { return "TCP".to_owned() };
    let (layer, rate) = (row.link.rate_layer, offered_text(row));
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
    if let (Some(carried), Some(seconds)) = (row.figures().carried, figures.goodput_seconds) {
        let carried = layers_text(&carried, Layer::ALL.into_iter());
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
    let shown = |bit_s: Option<u64>| bits_text(bit_s.unwrap_or(0));
    match figures.goodput_worst_10s_start_s {
        Some(second) => {
            wrapped(
                out,
                "    ",
                &format!("carried in the worst 10 s, from second {second}: {carried}"),
            );
        }
        None => line!(out, "    carried in the median second: {carried}"),
    }
    let spread = figures.goodput_min_bit_s.map_or_else(String::new, |min| {
        format!(", {} to {}", shown(Some(min)), shown(figures.goodput_max_bit_s))
    });
    let text = format!(
        "{seconds} whole seconds after {} s of warm-up: mean {}, median {}{spread} (L4)",
        figures.warm_up_s.unwrap_or(0.0),
        shown(row.figures().goodput_bit_s),
        shown(figures.goodput_p50_bit_s)
    );
    wrapped(out, "    ", &text);
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
    if let Some(limits) = row.figures().tcp.as_ref().and_then(|figures| figures.limits) {
        wrapped(out, "    ", &limits_text(&limits));
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

/// What held TCP back, in percent of its time.
fn limits_text(limits: &TcpLimits) -> String {
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let nothing = match percent(limits.idle_ratio) {
        none if none == "0 %" => String::new(),
        share => format!("; had nothing to send for {share}"),
    };
    format!(
        "limited by the network or its pace {}, by the receive window {}, by the send buffer {} of \
         its time{nothing}",
        percent(limits.network_ratio),
        percent(limits.receive_window_ratio),
        percent(limits.send_buffer_ratio)
    )
}
