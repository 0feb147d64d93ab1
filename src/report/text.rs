//! The report for a terminal: the verdict is the first word.

mod tcp;

use super::quantity::{bits_text, digits, quantity};
use super::{
    BoundText, FindingRecord, LayerRates, LinkRecord, LoadKindRecord, Percentiles, Rendering,
    Report, Row, TimestampMethod,
};
use crate::account::{HostCounts, SenderCounts, Status, Waiting};
use crate::direction::Direction;
use crate::framing::Layer;
use crate::metric::{About, Kind, Traffic, black_hole};
use crate::trial::Dscp;
use crate::units::{BitRate, Span};
use crate::verdict::Verdict;
use crate::wrap::{line, wrapped};
use tcp::{tcp_counts, tcp_text};

/// The report as text, in lines of up to 100 columns.
#[must_use]
pub fn text(report: &Report) -> String {
    render(report, &Rendering::default())
}

/// The report as text.
pub(super) fn render(report: &Report, _: &Rendering) -> String {
    let mut out = String::new();
    head(&mut out, report);
    findings(&mut out, report);
    paths(&mut out, report);
    caveats(&mut out, report);
    trials(&mut out, report);
    asked(&mut out, report);
    out
}

fn head(out: &mut String, report: &Report) {
    let links: Vec<String> = report.links.iter().map(link_text).collect();
    line!(out, "{}  {}, {}", report.verdict, links.join("; "), report.started_at);
    if let Some(reason) = &report.reason {
        wrapped(out, "      ", &format!("not complete: {reason}"));
    }
    line!(out, "");
}

fn link_text(link: &LinkRecord) -> String {
    let name = match (&link.name, link.sites.as_slice()) {
        (Some(name), _) => format!("link {name}"),
        (None, [site]) => format!("line to {}", site.ends.site),
        (None, sites) => format!("line to {} sites", sites.len()),
    };
    let circuit = link.circuit.as_ref().map(|circuit| format!(", circuit {circuit}"));
    name + &circuit.unwrap_or_default()
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
        if 1 < report.sites().count() && site != Some(&finding.site) {
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
        if finding.verdict != Verdict::Pass || finding.proven.is_some() {
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

/// What the path to each site carries in one piece, where it is less than was tried.
fn paths(out: &mut String, report: &Report) {
    for (_, site) in report.sites() {
        let Some(path) = site.path_mtu.filter(|path| path.octets < path.tried_octets) else {
            continue;
        };
        let (octets, tried) = (path.octets, path.tried_octets);
        let mut text = format!("path MTU to {}: {octets} octets, of {tried} tried", site.ends.site);
        if let Some(hole) = black_hole(path, site.ends.ip) {
            text += &format!(": {hole}");
        }
        wrapped(out, "", &text);
        line!(out, "");
    }
}

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

/// A rate at the layers that it is not judged at.
fn other_layers(report: &Report, finding: &FindingRecord) -> Option<String> {
    let judged = report.links.get(finding.link)?.rate_layer;
    let layers = Layer::ALL.into_iter().filter(|layer| *layer != judged);
    Some(format!("= {}", layers_text(&finding.layers?, layers)))
}

/// A rate at each of `layers`.
fn layers_text(rates: &LayerRates, layers: impl Iterator<Item = Layer>) -> String {
    let at = |layer| format!("{} {layer}", bits_text(rates.at(layer)));
    layers.map(at).collect::<Vec<_>>().join(", ")
}

fn caveats(out: &mut String, report: &Report) {
    if report.caveats.is_empty() && report.complete {
        line!(out, "No measurement caveats.");
    }
    for caveat in &report.caveats {
        let direction = caveat.direction.map(|direction| format!(" {direction}"));
        let direction = direction.unwrap_or_default();
        let trial = caveat.trial.map(|trial| format!(", trial {trial}")).unwrap_or_default();
        let metrics: Vec<&str> = caveat.metrics.iter().map(|metric| metric.name()).collect();
        let metrics = metrics.join(", ");
        let caveat = format!("caveat on {metrics}{direction}{trial}: {}", caveat.text);
        wrapped(out, "", &caveat);
    }
    line!(out, "");
}

fn trials(out: &mut String, report: &Report) {
    let mut shown = None;
    for row in report.rows().filter(|row| row.figures().tested) {
        trial_head(out, report, &row);
        let outcome = &row.trial.outcome;
        if let Some(reason) = &outcome.reason {
            wrapped(out, "    ", reason);
        }
        if matches!(outcome.status, Status::NotRun | Status::Refused) {
            continue;
        }
        let is_capacity = row.figures().load_kind == Some(LoadKindRecord::Capacity);
        if let Some(carried) = row.figures().carried.filter(|_| is_capacity) {
            line!(out, "    came through: {}", layers_text(&carried, Layer::ALL.into_iter()));
        }
        match &row.trial.asked.tcp {
            Some(_) => {
                tcp_counts(out, &row);
                outages(out, &row);
            }
            None => counts(out, &row),
        }
        if shown.replace(row.trial.trial) != Some(row.trial.trial) {
            round_trip(out, &row);
        }
        delays(out, &row);
        // The direction that is not loaded is not shown, but what became of its marks.
        let facing = report.rows().filter(|other| {
            other.trial.trial == row.trial.trial
                && !other.figures().tested
                && other.direction != row.direction
        });
        std::iter::once(row).chain(facing).for_each(|row| remarked(out, &row));
    }
    line!(out, "");
}

fn trial_head(out: &mut String, report: &Report, row: &Row<'_>) {
    let asked = &row.trial.asked;
    let kind = match (&asked.udp, &asked.tcp) {
        (Some(_), _) => udp_text(row),
        (None, Some(_)) => tcp_text(row),
        (None, None) => "idle probes".to_owned(),
    };
    let status = match row.trial.outcome.status {
        Status::Ok => "",
        Status::Partial => ", cut short",
        Status::Refused => ", refused",
        Status::NotRun => ", not run",
    };
    let several = 1 < report.sites().count();
    let site = if several { format!(" {}", row.site.ends.site) } else { String::new() };
    let duration = Span::from_nanos(asked.duration_ns).as_secs();
    let mark = match asked.dscp {
        0 => String::new(),
        dscp => format!(", marked {}", mark(dscp)),
    };
    let (number, direction) = (row.trial.trial, row.direction);
    line!(out, "trial {number}{site} {direction}: {kind}{mark}, {duration} s{status}");
}

/// The rate that a load was to have, at the layer that rates count.
fn offered_text(row: &Row<'_>) -> String {
    let offered = row.figures().offered.map(|offered| offered.at(row.link.rate_layer));
    offered.map_or_else(String::new, bits_text)
}

fn udp_text(row: &Row<'_>) -> String {
    let Some(load) = &row.trial.asked.udp else { return "UDP".to_owned() };
    let (layer, payload) = (row.link.rate_layer, load.payload_octets);
    let rate = offered_text(row);
    let up_to = if load.capacity { "up to " } else { "" };
    let streams = if load.streams == 1 { "stream" } else { "streams" };
    format!("UDP {up_to}{rate} {layer}, {} {streams} of {payload} B", load.streams)
}

fn counts(out: &mut String, row: &Row<'_>) {
    let (sender, receiver) = (row.counts().sender.as_ref(), row.counts().receiver.as_ref());
    let show = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let mut parts = vec![
        format!("sent {}", show(sender.map(|sender| sender.sent))),
        format!("received {}", show(receiver.map(|receiver| receiver.received))),
        format!("lost {}", show(row.figures().lost)),
    ];
    let rest = [
        ("late", receiver.map(|receiver| receiver.late)),
        ("duplicate", receiver.map(|receiver| receiver.duplicate)),
        ("reordered", receiver.map(|receiver| receiver.reordered)),
        ("dropped by the receiving host", receiver.map(|receiver| receiver.host_dropped)),
        ("refused by the sending host", sender.map(|sender| sender.refused)),
        ("unreachable", sender.map(|sender| sender.unreachable)),
        ("paused", sender.map(|sender| sender.paused)),
        ("skipped", sender.map(|sender| sender.skipped)),
        ("corrupted", receiver.map(|receiver| receiver.corrupted)),
        ("malformed", receiver.map(|receiver| receiver.malformed)),
        ("rejected", receiver.map(|receiver| receiver.rejected)),
    ];
    let some = rest.into_iter().filter_map(|(what, count)| Some((what, count?)));
    let some = some.filter(|(_, count)| 0 < *count);
    parts.extend(some.map(|(what, count)| format!("{what} {count}")));
    line!(out, "    packets: {}", parts.join(", "));
    let losses = row.figures().lost.and(receiver).map(|receiver| receiver.losses);
    if let Some(losses) = losses.filter(|losses| 0 < losses.bursts()) {
        let (count, longest) = (losses.bursts(), losses.longest());
        let periods = if count == 1 { "period" } else { "periods" };
        line!(out, "    losses in {count} {periods}, the longest of {longest}");
    }
    outages(out, row);
    by_second(out, row);
    if let Some(burst) =
        row.figures().burst_packets.filter(|_| sender.is_some() || receiver.is_some())
    {
        line!(out, "    {}", sending_text(burst, sender));
        line!(out, "    {}", lateness_text(row));
    }
}

/// How a load was sent, in bursts of up to `burst` packets.
fn sending_text(burst: u32, sender: Option<&SenderCounts>) -> String {
    let mut parts = vec![match (burst, sender) {
        (1, Some(SenderCounts { burst: seen @ 2.., .. })) => {
            format!("sent one by one, up to {seen} handed over at once")
        }
        (1, _) => "sent one by one".to_owned(),
        (_, Some(SenderCounts { segmented, sent, .. })) if segmented < sent => format!(
            "sent in trains of up to {burst}, which the kernel would not cut: {segmented} packets \
             left so"
        ),
        _ => format!("sent in trains of up to {burst} packets, which the kernel cuts"),
    }];
    parts.extend(sender.and_then(|sender| match sender.waiting {
        Waiting::Never => None,
        Waiting::AwakeFirst => Some("timed awake, ahead of other threads".to_owned()),
        Waiting::Awake => Some("timed awake".to_owned()),
        Waiting::Asleep => Some("timed asleep, for want of processors".to_owned()),
    }));
    parts.join("; ")
}

/// How late packets left, and what their sockets had room for.
fn lateness_text(row: &Row<'_>) -> String {
    let late = row.figures().send_lateness_us.as_ref().map(|late| {
        let show = |value: Option<f64>| value.map_or("?".to_owned(), |us| quantity(us, "us"));
        let (p50, p99, max) = (show(late.p50), show(late.p99), show(late.max));
        format!("packets left late by p50 {p50}, p99 {p99}, max {max}")
    });
    let send = row.counts().sender.as_ref().and_then(|sender| sender.buffer_octets);
    let receive = row.counts().receiver.as_ref().and_then(|receiver| receiver.buffer_octets);
    let buffers = send.zip(receive);
    let buffers =
        buffers.map(|(send, receive)| format!("buffers {} and {} KiB", send >> 10, receive >> 10));
    [late, buffers].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn outages(out: &mut String, row: &Row<'_>) {
    let outages = row.figures().outages.as_deref().unwrap_or_default();
    for outage in outages.iter().take(OUTAGES_SHOWN) {
        line!(
            out,
            "    outage of {} at {:.3} s, {} packets of load and probes",
            quantity(outage.duration_s, "s"),
            outage.start_s,
            outage.packets.map_or_else(|| "?".to_owned(), |packets| packets.to_string())
        );
    }
    if OUTAGES_SHOWN < outages.len() {
        line!(out, "    … and {} outages more", outages.len() - OUTAGES_SHOWN);
    }
}

/// Outages that the text shows; the record has them all.
const OUTAGES_SHOWN: usize = 5;

/// The slowest and the fastest second of a load, and their mean.
fn by_second(out: &mut String, row: &Row<'_>) {
    let Some(seconds) = row.figures().by_second else { return };
    let [min, mean, max] =
        [seconds.min_bit_s, seconds.mean_bit_s, seconds.max_bit_s].map(bits_text);
    line!(out, "    goodput by the second (L4): min {min}, mean {mean}, max {max}");
}

fn round_trip(out: &mut String, row: &Row<'_>) {
    let (figures, counts) = (&row.trial.figures, &row.trial.outcome.round_trip);
    if let Some(rtt) = &figures.rtt_us {
        line!(out, "    round trip: {}", percentile_text(rtt));
    }
    if let Some(method) = figures.timestamps {
        wrapped(out, "    ", &timestamps_text(method, row));
    }
    if let Some(offset) = counts.clock_offset {
        let ahead = crate::metric::micros(offset.agent_ahead_ns.unsigned_abs());
        let ahead = if offset.agent_ahead_ns < 0 { -ahead } else { ahead };
        let error = quantity(crate::metric::micros(offset.error_ns), "us");
        line!(out, "    the agent's clock is {} ahead, known to {error}", quantity(ahead, "us"));
    }
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
            format!("{by} transmit and receive stamps in {by_kernel} of {exchanges} exchanges")
        }
        TimestampMethod::UserSpaceTransmit => {
            let silent =
                [("this host", counts.probe_sent), ("the agent's host", counts.reply_sent)];
            let silent = silent.into_iter().filter(|(_, by_kernel)| *by_kernel == 0);
            let silent: Vec<&str> = silent.map(|(host, _)| host).collect();
            format!("user-space transmit stamps, as {} tells no others", silent.join(" and "))
        }
    };
    let noise = [("", driver), ("agent ", agent)].into_iter().filter_map(|(place, host)| {
        let micros = crate::metric::micros(host.as_ref()?.timestamp_noise_ns?);
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

fn delays(out: &mut String, row: &Row<'_>) {
    let (jitter, rfc) = (row.figures().jitter_us, row.figures().jitter_rfc3550_us);
    let jitter = jitter.map(|value| format!("jitter (PDV p99.9) {}", quantity(value, "us")));
    let rfc = rfc.map(|value| format!("RFC 3550 {}", quantity(value, "us")));
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
fn remarked(out: &mut String, row: &Row<'_>) {
    let probes = &row.counts().probes;
    let Some(marks) = probes.marks.filter(|marks| 0 < marks.changed) else { return };
    let Some(other) = marks.other else { return };
    let of = probes.received.map(|all| format!(" of {all}")).unwrap_or_default();
    let (sent, other, changed) = (mark(row.trial.asked.dscp), mark(other), marks.changed);
    let direction = row.direction;
    line!(
        out,
        "    the line changes marks: {changed}{of} probes {direction}, {sent}, came as {other}"
    );
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
    report.links.iter().for_each(|link| asked_of_link(out, link));
    for (_, site) in report.sites() {
        let granted = site.granted_rate_max_bit_s.and_then(BitRate::new);
        let mut parts = vec![format!("{} over {}", site.ends.agent, site.ends.ip)];
        if let Some(path) = site.path_mtu {
            parts.push(format!("path MTU {}", path.octets));
        }
        if let (Some(rate), Some(seconds)) = (granted, site.granted_duration_max_s) {
            let allows = format!("{rate} (L2) in each direction, {seconds} s of load");
            parts.push(format!("it allows {allows}"));
        }
        parts.extend(site.ends.reason.iter().map(|reason| format!("not complete: {reason}")));
        wrapped(out, "", &format!("the agent at {}", parts.join("; ")));
    }
    for note in report.notes.iter().map(String::as_str).chain(of_its_time(report)) {
        wrapped(out, "", &format!("note: {note}"));
    }
    if let Some(plan) = &report.plan {
        line!(out, "plan {}, sha256 {}", plan.file, plan.sha256);
    }
    line!(out, "{}, run {}", report.program, report.run);
}

/// A throughput that was measured before what left and arrived was kept: format 2 has no rate of
/// heartbeats either.
fn of_its_time(report: &Report) -> Option<&'static str> {
    let asked = |row: Row<'_>| {
        row.trial.asked.udp.is_some_and(|_| row.trial.asked.heartbeat_rate.is_none())
    };
    let is_rate =
        |about: &About| about.kind == Kind::LeastRate && about.answered_by == Traffic::Udp;
    let is_required = report.asked.requirements.iter().any(|one| is_rate(one.metric.about()));
    (is_required && report.rows().any(asked)).then_some(
        "throughput is judged by the rule of the record's own time: by packets that were due in \
         the window, not by those that left and arrived in it",
    )
}

fn asked_of_link(out: &mut String, link: &LinkRecord) {
    let mut rates = format!("rates count {}", link.rate_layer);
    match (link.vlan_tags, link.extra_overhead_octets) {
        (0, 0) => {}
        (tags, 0) => rates += &format!(" with {tags} VLAN tags"),
        (tags, more) => rates += &format!(" with {tags} VLAN tags and {more} octets more a packet"),
    }
    for direction in Direction::ALL {
        if let Some(rate) = link.committed_bit_s.get(direction).and_then(BitRate::new) {
            rates += &format!(", {rate} is committed {direction}");
        }
    }
    line!(out, "{rates}");
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
            assert_eq!(sending_text(burst, Some(&counts)), expected);
        };
        check(&one_by_one, 10, "sent one by one; timed asleep, for want of processors");
        check(&handed_over, 10, "sent one by one, up to 64 handed over at once");
        check(&trains, 10, "sent in trains of up to 46 packets, which the kernel cuts");
        let uncut =
            "sent in trains of up to 46, which the kernel would not cut: 10 packets left so";
        check(&trains, 11, uncut);
    }
}
