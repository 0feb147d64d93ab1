//! A trial for people: what was sent and what came of it, a column for each direction.

use super::words::{Once, duration_text, mark};
use crate::account::{Status, TcpInfo};
use crate::direction::Direction;
use crate::framing::Layer;
use crate::report::quantity::{bits_text, percent, quantity};
use crate::report::words::{ordinal, way};
use crate::report::{
    LoadKindRecord, OutageRecord, Percentiles, Report, Row, TcpFigures, TrialRecord,
};
use crate::wrap::{Page, Table, line};

/// Outages that the text shows; the record has them all.
const OUTAGES_SHOWN: usize = 5;

pub(super) fn trials(page: &mut Page, report: &Report, said: &mut Once) {
    let rows: Vec<Row<'_>> = report.rows().collect();
    let several = 1 < report.sites().count();
    let mut missed = Missed::default();
    for pair in rows.chunks(Direction::ALL.len()) {
        let Some(first) = pair.first() else { continue };
        let outcome = &first.trial.outcome;
        if matches!(outcome.status, Status::NotRun | Status::Refused) {
            missed.add(page, first, said);
            continue;
        }
        missed.show(page);
        page.wrapped("", &head(pair, several));
        if let Some(reason) = outcome.reason.as_ref().filter(|reason| said.is_new(reason)) {
            page.wrapped("  ", reason);
        }
        body(page, pair);
        line!(page, "");
    }
    if missed.show(page) {
        line!(page, "");
    }
}

/// Trials in a row of which nothing was sent, and that share their reason.
#[derive(Default)]
struct Missed {
    first: usize,
    last: usize,
    what: String,
}

impl Missed {
    fn add(&mut self, page: &mut Page, row: &Row<'_>, said: &mut Once) {
        let TrialRecord { trial, outcome, .. } = row.trial;
        let what = if outcome.status == Status::Refused { "refused" } else { "not run" };
        let reason = outcome.reason.as_ref().filter(|reason| said.is_new(reason));
        let what = reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}"));
        if !self.what.is_empty() && self.last + 1 == *trial && reason.is_none() {
            self.last = *trial;
            return;
        }
        self.show(page);
        *self = Self { first: *trial, last: *trial, what };
    }

    /// Shows them, and forgets them; false where there are none.
    fn show(&mut self, page: &mut Page) -> bool {
        let Self { first, last, what } = std::mem::take(self);
        if what.is_empty() {
            return false;
        }
        let (first, last) = (ordinal(first), ordinal(last));
        let trials = match last {
            last if last == first => format!("trial {first}"),
            last => format!("trials {first} to {last}"),
        };
        page.wrapped("", &format!("{trials}: {what}"));
        true
    }
}

fn head(pair: &[Row<'_>], several: bool) -> String {
    let Some(row) = pair.first() else { return String::new() };
    let asked = &row.trial.asked;
    let site = if several { format!(" towards {}", row.site.ends.site) } else { String::new() };
    let kind = match (&asked.udp, &asked.tcp) {
        (Some(load), _) => {
            let streams = streams_text(load.streams);
            let (payload, offered) = (load.payload_octets, offered(pair, load.capacity));
            format!("UDP{offered}, {streams}, payload {payload} octets")
        }
        (None, Some(load)) => {
            let streams = streams_text(load.streams);
            format!("TCP{}, {streams}, {}", offered(pair, load.capacity), control(pair))
        }
        (None, None) => "idle, probes only".to_owned(),
    };
    let mark = match asked.dscp {
        0 => String::new(),
        dscp => format!(", DSCP {}", mark(dscp)),
    };
    let cut = match row.trial.outcome.status {
        Status::Partial => ", cut short",
        Status::Aborted => ", aborted",
        Status::Ok | Status::Refused | Status::NotRun => "",
    };
    let (number, duration) = (ordinal(row.trial.trial), duration_text(asked.duration_ns));
    format!("trial {number}{site}: {kind}{mark}, {duration}{cut}")
}

fn streams_text(streams: u32) -> String {
    if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") }
}

/// The rate that a load was to have in each direction, at the layer that rates count.
fn offered(pair: &[Row<'_>], capacity: bool) -> String {
    let rate = |row: &Row<'_>| {
        let offered = row.figures().offered_in_all_bit_s?;
        let over = match row.figures().load_kind {
            Some(LoadKindRecord::Overshoot) => " (above the committed rate)",
            _ => "",
        };
        Some((format!("{} {}{over}", bits_text(offered), row.link.rate_layer), row.direction))
    };
    let rates: Vec<(String, Direction)> = pair.iter().filter_map(rate).collect();
    let up_to = if capacity { " as fast as possible, up to" } else { "" };
    match rates.as_slice() {
        [] => String::new(),
        [(one, _), (other, _)] if one == other => format!("{up_to} {one} each way"),
        rates => {
            let each = rates.iter().map(|(rate, direction)| format!("{rate} {}", way(*direction)));
            format!("{up_to} {}", each.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The congestion control that was used, or else asked.
fn control(pair: &[Row<'_>]) -> String {
    let used = pair.iter().filter_map(|row| row.counts().tcp_sender.as_ref());
    let used = used.filter_map(|sender| sender.congestion_control.clone()).next();
    let asked = pair.first().and_then(|row| row.trial.asked.tcp.as_ref());
    used.or(asked.map(|load| load.congestion_control.clone())).unwrap_or_default()
}

/// A line of the table: its name, and what each direction shows.
struct Lines<'a> {
    tested: Vec<Row<'a>>,
    table: Table,
}

impl Lines<'_> {
    /// Adds a line where any direction has something to show.
    fn add(&mut self, name: &str, of: impl Fn(&Row<'_>) -> Option<String>) {
        let cells: Vec<Option<String>> = self.tested.iter().map(of).collect();
        if cells.iter().any(Option::is_some) {
            let shown = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
            let row: Vec<String> = std::iter::once(name.to_owned()).chain(shown).collect();
            self.table.row(&row);
        }
    }

    /// Adds a line of a count where any direction counted something.
    fn count(&mut self, name: &str, of: impl Fn(&Row<'_>) -> Option<u64>) {
        let any = self.tested.iter().any(|row| of(row).is_some_and(|count| 0 < count));
        if any {
            self.add(name, |row| of(row).map(|count| count.to_string()));
        }
    }
}

fn body(page: &mut Page, pair: &[Row<'_>]) {
    let tested: Vec<Row<'_>> = pair.iter().copied().filter(|row| row.figures().tested).collect();
    let Some(first) = tested.first().copied() else { return };
    let names = tested.iter().map(|row| way(row.direction).to_owned());
    let names: Vec<String> = std::iter::once(String::new()).chain(names).collect();
    let mut lines = Lines { tested, table: Table::new(&names) };
    match first.trial.asked.tcp {
        Some(_) => tcp(&mut lines),
        None => packets(&mut lines, first.trial.asked.udp.is_some()),
    }
    lines.add("outages", |row| outages(row.figures().outages.as_deref().unwrap_or_default()));
    for (name, of) in [
        ("one-way delay p50", (|owd| owd.p50) as fn(&Percentiles) -> Option<f64>),
        ("one-way delay p99", |owd| owd.p99),
    ] {
        lines.add(name, |row| {
            let delay_us = of(row.figures().owd_us.as_ref()?)?;
            let error = micros(row.figures().owd_error_us?);
            Some(format!("{} ± {error}", micros(delay_us)))
        });
    }
    lines.add("jitter (PDV p99.9)", |row| row.figures().jitter_us.map(micros));
    lines.add("jitter (RFC 3550)", |row| row.figures().jitter_rfc3550_us.map(micros));
    page.table("  ", &lines.table);
    if let Some(rtt) = &first.trial.figures.rtt_us {
        page.wrapped("  ", &format!("round trip: {}", percentiles(rtt)));
    }
    lines.tested.iter().for_each(|row| tcp_remarks(page, row));
    pair.iter().for_each(|row| remarked(page, row));
}

fn micros(us: f64) -> String {
    quantity(us, "us")
}

fn packets(lines: &mut Lines<'_>, is_load: bool) {
    let unknown = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |it| it.to_string());
    lines.add(if is_load { "packets sent" } else { "probes sent" }, |row| {
        Some(unknown(row.counts().sender.as_ref().map(|sender| sender.sent)))
    });
    lines.add("received", |row| {
        Some(unknown(row.counts().receiver.as_ref().map(|receiver| receiver.received)))
    });
    lines.add("lost", |row| {
        let ratio = row.figures().loss_ratio.filter(|ratio| 0.0 < *ratio);
        let ratio = ratio.map(|ratio| format!(" ({})", percent(ratio))).unwrap_or_default();
        Some(unknown(row.figures().lost) + &ratio)
    });
    lines.add("loss bursts", |row| {
        let losses = row.figures().lost.and(row.counts().receiver.as_ref())?.losses;
        let (bursts, longest) = (losses.bursts(), losses.longest());
        (0 < bursts).then(|| format!("{bursts}, longest {longest} packets"))
    });
    rest(lines);
    if is_load {
        lines.add("goodput (L4)", |row| row.figures().goodput_bit_s.map(bits_text));
        lines.add("per-second range", |row| {
            let seconds = row.figures().by_second?;
            let [min, max] = [seconds.min_bit_s, seconds.max_bit_s].map(bits_text);
            Some(format!("{min} to {max}"))
        });
        for layer in [Layer::L1, Layer::L2, Layer::L3] {
            let is_capacity =
                |row: &Row<'_>| row.figures().load_kind == Some(LoadKindRecord::Capacity);
            lines.add(&format!("carried ({layer})"), |row| {
                let carried = row.figures().carried.filter(|_| is_capacity(row))?;
                Some(bits_text(carried.at(layer)))
            });
        }
    }
}

/// What became of the other packets, and of those that were never sent.
fn rest(lines: &mut Lines<'_>) {
    type Count = (&'static str, fn(&Row<'_>) -> Option<u64>);
    let received: [Count; 7] = [
        ("late", |row| Some(row.counts().receiver.as_ref()?.late)),
        ("corrupted", |row| Some(row.counts().receiver.as_ref()?.corrupted)),
        ("duplicate", |row| Some(row.counts().receiver.as_ref()?.duplicate)),
        ("reordered", |row| Some(row.counts().receiver.as_ref()?.reordered)),
        ("malformed", |row| Some(row.counts().receiver.as_ref()?.malformed)),
        ("rejected", |row| Some(row.counts().receiver.as_ref()?.rejected)),
        ("dropped by the receiver", |row| Some(row.counts().receiver.as_ref()?.host_dropped)),
    ];
    let sent: [Count; 4] = [
        ("refused by the sender", |row| Some(row.counts().sender.as_ref()?.refused)),
        ("unreachable", |row| Some(row.counts().sender.as_ref()?.unreachable)),
        ("paused", |row| Some(row.counts().sender.as_ref()?.paused)),
        ("skipped by the sender", |row| Some(row.counts().sender.as_ref()?.skipped)),
    ];
    received.into_iter().chain(sent).for_each(|(name, of)| lines.count(name, of));
}

fn outages(outages: &[OutageRecord]) -> Option<String> {
    let shown = outages.iter().take(OUTAGES_SHOWN).map(|outage| {
        let packets = outage.packets.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let duration = quantity(outage.duration_s, "s");
        format!("{duration} at {:.3} s, {packets} packets", outage.start_s)
    });
    let more = outages.len().saturating_sub(OUTAGES_SHOWN);
    let more = (0 < more).then(|| format!("and {more} more"));
    let all: Vec<String> = shown.chain(more).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

fn percentiles(rtt: &Percentiles) -> String {
    let show = |name: &str, value: Option<f64>| {
        let value = value.map_or_else(|| "undefined".to_owned(), micros);
        format!("{name} {value}")
    };
    let Percentiles { min, p50, p99, p999, max, samples, lost, .. } = rtt;
    let mut parts = vec![show("min", *min), show("p50", *p50), show("p99", *p99)];
    parts.extend([show("p99.9", *p999), show("max", *max)]);
    let lost = if *lost == 0 { String::new() } else { format!(", {lost} lost") };
    format!("{} ({samples} probes{lost})", parts.join(", "))
}

fn tcp(lines: &mut Lines<'_>) {
    let figures = |row: &Row<'_>| row.figures().tcp.clone();
    let worst = lines
        .tested
        .iter()
        .any(|row| figures(row).is_some_and(|tcp| tcp.goodput_worst_10s_bit_s.is_some()));
    let mut layers = vec![lines.tested.first().map_or(Layer::L2, |row| row.link.rate_layer)];
    layers.extend((layers[0] != Layer::L4).then_some(Layer::L4));
    for layer in layers {
        let name = if worst { "carried in the worst 10 s" } else { "carried in the median second" };
        lines.add(&format!("{name} ({layer})"), |row| {
            Some(bits_text(row.figures().carried?.at(layer)))
        });
    }
    lines.add("worst 10 s from", |row| {
        figures(row)?.goodput_worst_10s_start_s.map(|second| format!("second {second}"))
    });
    lines.add("goodput (L4), mean", |row| row.figures().goodput_bit_s.map(bits_text));
    lines.add("goodput (L4), median", |row| figures(row)?.goodput_p50_bit_s.map(bits_text));
    lines.add("per-second range", |row| {
        let TcpFigures { goodput_min_bit_s, goodput_max_bit_s, .. } = figures(row)?;
        Some(format!("{} to {}", bits_text(goodput_min_bit_s?), bits_text(goodput_max_bit_s?)))
    });
    lines.add("whole seconds", |row| {
        let TcpFigures { goodput_seconds, warm_up_s, .. } = figures(row)?;
        let warm_up = warm_up_s.unwrap_or(0.0);
        Some(format!("{}, after {warm_up} s of warm-up", goodput_seconds?))
    });
    lines.add("change of the rate (L4)", |row| {
        let change = figures(row)?.level_change?;
        let [before, after] = [change.before_bit_s, change.after_bit_s].map(bits_text);
        Some(format!("{before} to {after} at second {}", change.start_s))
    });
    lines.add("segments retransmitted", |row| {
        let ratio = figures(row)?.retransmit_ratio;
        Some(retransmitted(&row.counts().tcp_sender.as_ref()?.last, ratio))
    });
    lines.add("TCP's own round trip", |row| {
        let rtt = figures(row)?.rtt_us?;
        let [min, p50, max] = [rtt.min?, rtt.p50?, rtt.max?].map(micros);
        Some(format!("min {min}, median {p50}, max {max}"))
    });
}

/// What the sending kernel reported in the end.
fn retransmitted(info: &TcpInfo, ratio: Option<f64>) -> String {
    let share = ratio.map(|ratio| format!(" ({} of the payload)", percent(ratio)));
    let mut text = format!("{}{}", info.retransmitted_segments, share.unwrap_or_default());
    if let Some(spurious) = info.duplicate_segments.filter(|count| 0 < *count) {
        text += &format!(", {spurious} of them spurious (DSACK)");
    }
    if let Some(reordered) = info.reordered.filter(|count| 0 < *count) {
        text += &format!("; reordering seen {reordered} times");
    }
    text
}

/// What TCP met, in sentences.
fn tcp_remarks(page: &mut Page, row: &Row<'_>) {
    let (sender, receiver) = (&row.counts().tcp_sender, &row.counts().tcp_receiver);
    for why in sender.iter().flat_map(|sender| sender.refused.iter().chain(&sender.broken)) {
        page.wrapped("  ", &format!("{}: {why}", way(row.direction)));
    }
    let asked = row.trial.asked.tcp.as_ref().map(|load| &load.congestion_control);
    let used = sender.as_ref().and_then(|sender| sender.congestion_control.as_ref());
    if let (Some(asked), Some(used)) = (asked, used)
        && asked != used
    {
        let why = format!(
            "{}: {used} took the place of {asked}, which the sending user may not choose \
             (net.ipv4.tcp_allowed_congestion_control)",
            way(row.direction)
        );
        page.wrapped("  ", &why);
    }
    let damaged = receiver.as_ref().and_then(|receiver| receiver.checked);
    if let Some(checked) = damaged.filter(|checked| 0 < checked.damaged_octets) {
        let text = format!(
            "{}: {} of {} octets are CORRUPTED: they differ from what was sent",
            way(row.direction),
            checked.damaged_octets,
            checked.octets
        );
        page.wrapped("  ", &text);
    }
}

/// What the link made of its marks, of a direction that carries only replies too.
fn remarked(page: &mut Page, row: &Row<'_>) {
    let probes = &row.counts().probes;
    let Some(marks) = probes.marks.filter(|marks| 0 < marks.changed) else { return };
    let Some(other) = marks.other else { return };
    let of = probes.received.map(|all| format!(" of {all}")).unwrap_or_default();
    let (sent, other, changed) = (mark(row.trial.asked.dscp), mark(other), marks.changed);
    let text = format!(
        "{}: DSCP changed on the way: {changed}{of} probes sent as {sent} arrived as {other}",
        way(row.direction)
    );
    page.wrapped("  ", &text);
}
