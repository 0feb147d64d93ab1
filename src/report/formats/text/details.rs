//! How it was measured: what stamped delays, how loads were paced, and what buffers were granted.

use crate::account::{HostCounts, RoundTripCounts, SenderCounts, TcpBuffer, Waiting, WallClock};
use crate::direction::Direction;
use crate::report::quantity::quantity;
use crate::report::words::{ordinal, way};
use crate::report::{Report, Row, TcpLimits, TimestampMethod};
use crate::wrap::{Page, line};

pub(super) fn details(page: &mut Page, report: &Report) {
    let rows: Vec<Row<'_>> = report.rows().collect();
    let mut details = Vec::new();
    for pair in rows.chunks(Direction::ALL.len()) {
        let Some(first) = pair.first() else { continue };
        let trial = ordinal(first.trial.trial);
        if let Some(method) = first.trial.figures.timestamps {
            details.push(format!("trial {trial}: {}", timestamps_text(method, first)));
        }
        for row in pair.iter().filter(|row| row.figures().tested) {
            let parts = [udp_text(row), tcp_texts(row)].concat();
            let direction = way(row.direction);
            details.extend(parts.iter().map(|text| format!("trial {trial} {direction}: {text}")));
        }
    }
    if details.is_empty() {
        return;
    }
    line!(page, "How it was measured:");
    details.iter().for_each(|text| page.wrapped("  ", text));
    line!(page, "");
}

/// How the round trips were stamped, and how far timestamps are to be believed.
fn timestamps_text(method: TimestampMethod, row: &Row<'_>) -> String {
    let outcome = &row.trial.outcome;
    let counts = &outcome.round_trip.timestamping;
    let (driver, agent) = (&outcome.driver_host, &outcome.agent_host);
    let mut text = match method {
        TimestampMethod::Kernel => {
            let by_card =
                |host: &Option<HostCounts>| host.is_some_and(|host| host.hardware_timestamps);
            let by = stampers(by_card(driver), by_card(agent));
            let (by_kernel, exchanges) = (counts.by_kernel, counts.exchanges);
            format!("delays by {by} timestamps in {by_kernel} of {exchanges} exchanges")
        }
        TimestampMethod::UserSpaceTransmit => {
            let silent =
                [("this host", counts.probe_sent), ("the agent's host", counts.reply_sent)];
            let silent = silent.into_iter().filter(|(_, by_kernel)| *by_kernel == 0);
            let silent: Vec<&str> = silent.map(|(host, _)| host).collect();
            let silent = silent.join(" and ");
            format!("send times taken in user space: {silent} has no kernel TX timestamps")
        }
    };
    let noise = [("here", driver), ("at the agent", agent)].into_iter();
    let noise = noise.filter_map(|(place, host)| {
        let micros = crate::metric::micros(host.as_ref()?.timestamp_noise_ns?);
        Some(format!("{} {place}", quantity(micros, "us")))
    });
    let noise: Vec<String> = noise.collect();
    if !noise.is_empty() {
        text += &format!("; noise floor {}", noise.join(", "));
    }
    if let Some(offset) = outcome.round_trip.clock_offset {
        let ahead = crate::metric::micros(offset.agent_ahead_ns.unsigned_abs());
        let sign = if offset.agent_ahead_ns < 0 { "-" } else { "" };
        let error = quantity(crate::metric::micros(offset.error_ns), "us");
        text += &format!("; clock offset {sign}{} ± {error}", quantity(ahead, "us"));
        text += &clock_source(&outcome.round_trip);
    }
    text
}

/// What the bound of the clocks' offset follows from, where that is not the probes alone.
fn clock_source(round_trip: &RoundTripCounts) -> String {
    let stated = &round_trip.stated_clocks;
    let by = |host: &str, clock: Option<WallClock>| {
        clock.map(|clock| {
            let error = quantity(crate::metric::micros(clock.error_ns), "us");
            format!("{error} by {} {host}", clock.source.name())
        })
    };
    let by = [by("here", stated.driver), by("(agent)", stated.agent)];
    let by: Vec<String> = by.into_iter().flatten().collect();
    match (round_trip.are_clocks_closer(), stated.contradicted) {
        (true, _) => format!(", as the hosts state their clocks' error: {}", by.join(", ")),
        (false, true) => format!(
            ", by the probes alone: they prove that the hosts' clocks are not as right as stated \
             ({})",
            by.join(", ")
        ),
        (false, false) => String::new(),
    }
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

/// How a load of UDP was sent.
fn udp_text(row: &Row<'_>) -> Vec<String> {
    let sender = row.counts().sender.as_ref();
    let known = sender.is_some() || row.counts().receiver.is_some();
    let Some(burst) = row.figures().burst_packets.filter(|_| known) else { return Vec::new() };
    let mut parts = vec![pacing_text(burst, sender)];
    if let Some(late) = &row.figures().send_lateness_us {
        let show = |value: Option<f64>| value.map_or("?".to_owned(), |us| quantity(us, "us"));
        let (p50, p99, max) = (show(late.p50), show(late.p99), show(late.max));
        parts.push(format!("sent late by p50 {p50}, p99 {p99}, max {max}"));
    }
    let send = sender.and_then(|sender| sender.buffer_octets);
    let receive = row.counts().receiver.as_ref().and_then(|receiver| receiver.buffer_octets);
    if let (Some(send), Some(receive)) = (send, receive) {
        let (send, receive) = (send >> 10, receive >> 10);
        parts.push(format!("socket buffers {send} KiB send, {receive} KiB receive"));
    }
    vec![parts.join("; ")]
}

/// How a load was paced, in bursts of up to `burst` packets.
fn pacing_text(burst: u32, sender: Option<&SenderCounts>) -> String {
    let sent = match (burst, sender) {
        (1, Some(SenderCounts { burst: seen @ 2.., .. })) => {
            format!("packet by packet, up to {seen} handed over at once")
        }
        (1, _) => "packet by packet".to_owned(),
        (_, Some(SenderCounts { segmented, sent, .. })) if segmented < sent => format!(
            "GSO batches of up to {burst} packets, which the kernel refused for all but {segmented}"
        ),
        _ => format!("GSO batches of up to {burst} packets"),
    };
    let waiting = sender.and_then(|sender| match sender.waiting {
        Waiting::Never => None,
        Waiting::AwakeFirst => Some("busy-wait at real-time priority"),
        Waiting::Awake => Some("busy-wait"),
        Waiting::Asleep => Some("sleep (too few CPUs to busy-wait)"),
    });
    let pacing = waiting.map(|waiting| format!("; pacing by {waiting}"));
    format!("{sent}{}", pacing.unwrap_or_default())
}

/// What held TCP back, what its buffers were, and what of its payload was compared.
fn tcp_texts(row: &Row<'_>) -> Vec<String> {
    let (sender, receiver) = (&row.counts().tcp_sender, &row.counts().tcp_receiver);
    let mut texts = Vec::new();
    texts.extend(row.figures().tcp.as_ref().and_then(|figures| figures.limits).map(limits_text));
    let buffers = [
        (sender.as_ref().and_then(|sender| sender.buffer.as_ref()), "send"),
        (receiver.as_ref().and_then(|receiver| receiver.buffer.as_ref()), "receive"),
    ];
    texts.extend(buffers.into_iter().filter_map(|(buffer, what)| buffer_text(buffer?, what)));
    let all = receiver.as_ref().map_or(0, |receiver| receiver.octets);
    let checked = receiver.as_ref().and_then(|receiver| receiver.checked);
    texts.extend(checked.filter(|checked| checked.damaged_octets == 0).map(|checked| {
        match checked.octets {
            octets if octets == all => format!("all {octets} octets compared: as sent"),
            octets => format!("{octets} of {all} octets compared: as sent"),
        }
    }));
    texts
}

/// What held TCP back, in percent of its time.
fn limits_text(limits: TcpLimits) -> String {
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let idle = match percent(limits.idle_ratio) {
        none if none == "0 %" => String::new(),
        share => format!("; nothing to send {share}"),
    };
    format!(
        "TCP was limited by the network or its pace {} of the time, by the receive window {}, by \
         the send buffer {}{idle}",
        percent(limits.network_ratio),
        percent(limits.receive_window_ratio),
        percent(limits.send_buffer_ratio)
    )
}

fn buffer_text(buffer: &TcpBuffer, what: &str) -> Option<String> {
    match (&buffer.reason, buffer.granted_octets) {
        (Some(reason), _) => Some(reason.clone()),
        (None, Some(granted)) => {
            let needed = buffer.needed_octets;
            Some(format!("{what} buffer {granted} octets, {needed} needed"))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn how_a_load_was_sent_is_shown() {
        let one_by_one =
            SenderCounts { burst: 1, waiting: Waiting::Asleep, ..SenderCounts::default() };
        let trains = SenderCounts { burst: 46, segmented: 10, ..SenderCounts::default() };
        let handed_over = SenderCounts { burst: 64, ..SenderCounts::default() };
        let check = |counts: &SenderCounts, sent, expected: &str| {
            let burst = if counts.burst == 46 { 46 } else { 1 };
            let counts = SenderCounts { sent, ..counts.clone() };
            assert_eq!(pacing_text(burst, Some(&counts)), expected);
        };
        check(&one_by_one, 10, "packet by packet; pacing by sleep (too few CPUs to busy-wait)");
        check(&handed_over, 10, "packet by packet, up to 64 handed over at once");
        check(&trains, 10, "GSO batches of up to 46 packets");
        let refused = "GSO batches of up to 46 packets, which the kernel refused for all but 10";
        check(&trains, 11, refused);
    }
}
