//! `runs.csv`: a row for each trial and direction that it tests, one for its round trip, and on
//! request one for each stream; for spreadsheets and for capacity planning. `docs/csv.md` explains
//! the columns.
//!
//! Decimal points, UTC, seconds and bits; what is not known is empty, never 0. What is of the whole
//! trial stands in the row of the round trip, and only there.

use crate::account::Status;
use crate::direction::Direction;
use crate::metric::{Metric, micros};
use crate::report::figures::beginnings;
use crate::report::record::{
    LoadKindRecord, Percentiles, Report, Row, Scope, StreamFigures, TrialFigures, TrialRecord,
};
use crate::report::rendering::Rendering;
use crate::units::Span;
use crate::verdict::Verdict;
use serde::{Serialize, Serializer};

/// The version of the columns: a later one of the same number only adds some, at the end.
const SCHEMA_VERSION: u32 = 2;

/// What the near end is called.
const NEAR: &str = "driver";

/// The report's trials as comma-separated values (RFC 4180), a header line first.
///
/// # Panics
///
/// Never: a vector takes all octets, and text is UTF-8.
#[must_use]
pub fn csv(report: &Report) -> String {
    render(report, &Rendering::default())
}

/// The same, with a row for each stream where that is asked for.
pub(super) fn render(report: &Report, rendering: &Rendering) -> String {
    let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(columns()).expect("a vector takes all octets");
    for cells in rows(report, rendering.streams) {
        writer.serialize(cells).expect("a vector takes all octets");
    }
    let octets = writer.into_inner().expect("a vector takes all octets");
    String::from_utf8(octets).expect("text is UTF-8")
}

/// The columns' names, in their order.
fn columns() -> Vec<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.serialize(Cells::default()).expect("a vector takes all octets");
    let octets = writer.into_inner().expect("a vector takes all octets");
    let mut reader = ::csv::Reader::from_reader(octets.as_slice());
    let header = reader.headers().expect("it was written above");
    header.iter().map(str::to_owned).collect()
}

/// Somebody's words: a spreadsheet takes none of them for a formula.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Text<'a>(&'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_formula = self.0.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let guard = if is_formula { "'" } else { "" };
        serializer.collect_str(&format_args!("{guard}{}", self.0))
    }
}

/// Microseconds, written as seconds to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds(f64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{:.9}", self.0 / 1e6);
        serializer.serialize_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A number without an exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Decimal(f64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A row: its fields are the columns, in their order.
#[derive(Clone, Debug, Default, Serialize)]
struct Cells<'a> {
    schema_version: u32,
    run_id: Text<'a>,
    plan_id: Option<Text<'a>>,
    plan_sha256: Option<Text<'a>>,
    link: Option<Text<'a>>,
    circuit: Option<Text<'a>>,
    provider: Option<Text<'a>>,
    site: Text<'a>,
    trial: usize,
    test: &'static str,
    load_kind: Option<LoadKindRecord>,
    proto: &'static str,
    direction: Option<Scope>,
    stream: Option<u32>,
    src_site: Text<'a>,
    src_addr: Option<Text<'a>>,
    dst_site: Text<'a>,
    dst_addr: Option<Text<'a>>,
    started_at: Text<'a>,
    ended_at: Option<Text<'a>>,
    duration_s: Decimal,
    flows: Option<u32>,
    dscp: u8,
    dscp_received: Option<u8>,
    packet_bytes: Option<u32>,
    offered_bps: Option<u64>,
    goodput_bps: Option<u64>,
    goodput_p5_bps: Option<u64>,
    retransmit_ratio: Option<Decimal>,
    sent_pkts: Option<u64>,
    recv_pkts: Option<u64>,
    lost_pkts: Option<u64>,
    late_pkts: Option<u64>,
    corrupted_pkts: Option<u64>,
    host_dropped_pkts: Option<u64>,
    loss_ratio: Option<Decimal>,
    dup_pkts: Option<u64>,
    reordered_pkts: Option<u64>,
    recv_bytes: Option<u64>,
    rtt_min_s: Option<Seconds>,
    rtt_p50_s: Option<Seconds>,
    rtt_p95_s: Option<Seconds>,
    rtt_p99_s: Option<Seconds>,
    rtt_p999_s: Option<Seconds>,
    rtt_max_s: Option<Seconds>,
    owd_min_s: Option<Seconds>,
    owd_p50_s: Option<Seconds>,
    owd_p95_s: Option<Seconds>,
    owd_p99_s: Option<Seconds>,
    owd_p999_s: Option<Seconds>,
    owd_max_s: Option<Seconds>,
    clock_error_s: Option<Seconds>,
    jitter_s: Option<Seconds>,
    path_mtu_bytes: Option<u32>,
    path_mtu_tried_bytes: Option<u32>,
    path_hash: Option<Text<'a>>,
    required_bps: Option<u64>,
    headroom_ratio: Option<Decimal>,
    status: Status,
    verdict: Option<Verdict>,
    reason: Option<Text<'a>>,
    validity_flags: String,
    agent_version_src: Option<Text<'a>>,
    agent_version_dst: Option<Text<'a>>,
    requested_by: Option<Text<'a>>,
    role: Option<Text<'a>>,
}

/// All rows, trial by trial: each direction that it tests, with its streams if they are asked for,
/// and its round trip.
fn rows(report: &Report, streams: bool) -> Vec<Cells<'_>> {
    let pairs: Vec<Row<'_>> = report.rows().collect();
    let mut rows = Vec::new();
    for (pair, started_at) in pairs.chunks(Direction::ALL.len()).zip(beginnings(report)) {
        for row in pair.iter().copied().filter(|row| row.figures().tested) {
            let at = At { report, row, started_at };
            rows.push(at.one_way());
            let each = row.figures().streams.iter().filter(|_| streams);
            rows.extend(each.map(|figures| at.of_stream(figures)));
        }
        let first = pair.first().copied();
        rows.extend(first.map(|row| At { report, row, started_at }.round_trip()));
    }
    rows
}

/// What a row is about.
#[derive(Clone, Copy)]
struct At<'a> {
    report: &'a Report,
    row: Row<'a>,
    started_at: &'a str,
}

impl<'a> At<'a> {
    /// What each row has of the trial, from the end that `scope` starts at.
    fn of_trial(&self, scope: Scope) -> Cells<'a> {
        let Self { report, row: Row { link, site, trial, .. }, started_at } = *self;
        let (asked, outcome, path) = (&trial.asked, &trial.outcome, site.path_mtu);
        let judged = trial.figures.verdicts.of(scope);
        let reason = outcome.reason.as_deref();
        let reason = reason.or(judged.and_then(|judged| judged.reason.as_deref()));
        let near = (Text(NEAR), text(&site.ends.driver_address), Some(Text(&report.program)));
        let far = (Text(&site.ends.site), text(&site.ends.address), text(&site.ends.agent_program));
        let (src, dst) = if scope == Scope::Reverse { (far, near) } else { (near, far) };
        Cells {
            schema_version: SCHEMA_VERSION,
            run_id: Text(&report.run),
            plan_id: report.plan.as_ref().map(|plan| Text(&plan.file)),
            plan_sha256: report.plan.as_ref().map(|plan| Text(&plan.sha256)),
            link: text(&link.name),
            circuit: text(&link.circuit),
            provider: text(&link.provider),
            site: Text(&site.ends.site),
            trial: trial.trial,
            test: match (&asked.udp, &asked.tcp) {
                (Some(_), _) => "udp",
                (None, Some(_)) => "tcp",
                (None, None) => "idle",
            },
            load_kind: load_kind(trial, scope),
            proto: if asked.tcp.is_some() { "tcp" } else { "udp" },
            direction: Some(scope),
            src_site: src.0,
            src_addr: src.1,
            dst_site: dst.0,
            dst_addr: dst.1,
            started_at: Text(started_at),
            ended_at: text(&trial.ended_at),
            duration_s: Decimal(Span::from_nanos(asked.duration_ns).as_secs()),
            dscp: asked.dscp,
            path_mtu_bytes: path.map(|path| path.octets),
            path_mtu_tried_bytes: path.map(|path| path.tried_octets),
            status: outcome.status,
            verdict: judged.map(|judged| judged.verdict),
            reason: reason.map(Text),
            validity_flags: self.flags(scope),
            agent_version_src: src.2,
            agent_version_dst: dst.2,
            requested_by: text(&site.ends.requested_by),
            role: text(&site.ends.role),
            ..Cells::default()
        }
    }

    /// The row of a direction.
    fn one_way(&self) -> Cells<'a> {
        let (counts, figures) = (self.row.counts(), self.row.figures());
        let owd = figures.owd_us.as_ref();
        let at = |value: Option<f64>| value.map(Seconds);
        let (sender, receiver) = (counts.sender.as_ref(), counts.receiver.as_ref());
        let octets = counts.tcp_receiver.as_ref().map(|receiver| receiver.octets);
        let octets = octets.or(receiver.map(|receiver| receiver.octets));
        Cells {
            flows: Some(self.flows()),
            dscp_received: counts.probes.marks.and_then(|marks| marks.other),
            packet_bytes: self.packet_bytes(),
            offered_bps: figures.offered_bit_s,
            goodput_bps: figures.goodput_bit_s,
            goodput_p5_bps: figures.goodput_p5_bit_s,
            retransmit_ratio: figures.tcp.as_ref().and_then(|tcp| decimal(tcp.retransmit_ratio)),
            sent_pkts: sender.map(|sender| sender.sent),
            recv_pkts: receiver.map(|receiver| receiver.received),
            lost_pkts: figures.lost,
            late_pkts: receiver.map(|receiver| receiver.late),
            corrupted_pkts: receiver.map(|receiver| receiver.corrupted),
            host_dropped_pkts: receiver.map(|receiver| receiver.host_dropped),
            loss_ratio: decimal(figures.loss_ratio),
            dup_pkts: receiver.map(|receiver| receiver.duplicate),
            reordered_pkts: receiver.map(|receiver| receiver.reordered),
            recv_bytes: octets,
            owd_min_s: owd.and_then(|owd| at(owd.min)),
            owd_p50_s: owd.and_then(|owd| at(owd.p50)),
            owd_p95_s: owd.and_then(|owd| at(owd.p95)),
            owd_p99_s: owd.and_then(|owd| at(owd.p99)),
            owd_p999_s: owd.and_then(|owd| at(owd.p999)),
            owd_max_s: owd.and_then(|owd| at(owd.max)),
            clock_error_s: figures.owd_error_us.map(Seconds),
            jitter_s: figures.jitter_us.map(Seconds),
            required_bps: figures.required_bit_s,
            headroom_ratio: decimal(figures.headroom_ratio),
            ..self.of_trial(Scope::from(Some(self.row.direction)))
        }
    }

    /// The row of one stream of a direction: no requirement is judged by it.
    fn of_stream(&self, figures: &StreamFigures) -> Cells<'a> {
        let counts = self.row.counts();
        let number = figures.stream;
        let sent = counts.sender.iter().flat_map(|sender| &sender.streams);
        let sent = sent.copied().find(|sent| sent.stream == number);
        let received = counts.receiver.iter().flat_map(|receiver| &receiver.streams);
        let received = received.copied().find(|received| received.stream == number);
        let octets = counts.tcp_receiver.iter().flat_map(|receiver| &receiver.streams);
        let octets = octets.copied().find(|octets| octets.stream == number);
        Cells {
            stream: Some(number),
            flows: Some(1),
            packet_bytes: self.packet_bytes(),
            goodput_bps: figures.goodput_bit_s,
            sent_pkts: sent.map(|sent| sent.sent),
            recv_pkts: received.map(|received| received.received),
            // The receiver alone does not know what was sent behind the last that arrived.
            lost_pkts: sent.and(received).map(|received| received.lost),
            late_pkts: received.map(|received| received.late),
            corrupted_pkts: received.map(|received| received.corrupted),
            host_dropped_pkts: received.map(|received| received.host_dropped),
            loss_ratio: decimal(figures.loss_ratio),
            dup_pkts: received.map(|received| received.duplicate),
            reordered_pkts: received.map(|received| received.reordered),
            recv_bytes: octets.map(|octets| octets.octets),
            verdict: None,
            reason: text(&self.row.trial.outcome.reason),
            validity_flags: String::new(),
            ..self.of_trial(Scope::from(Some(self.row.direction)))
        }
    }

    /// The row of the round trip: what the probes of the whole trial showed.
    fn round_trip(&self) -> Cells<'a> {
        let trial = self.row.trial;
        let rtt = trial.figures.rtt_us.as_ref();
        let at = |value: Option<f64>| value.map(Seconds);
        let offset = trial.outcome.round_trip.clock_offset;
        Cells {
            sent_pkts: rtt.map(|rtt| rtt.samples),
            recv_pkts: rtt.map(Percentiles::arrived),
            lost_pkts: rtt.map(|rtt| rtt.lost),
            rtt_min_s: rtt.and_then(|rtt| at(rtt.min)),
            rtt_p50_s: rtt.and_then(|rtt| at(rtt.p50)),
            rtt_p95_s: rtt.and_then(|rtt| at(rtt.p95)),
            rtt_p99_s: rtt.and_then(|rtt| at(rtt.p99)),
            rtt_p999_s: rtt.and_then(|rtt| at(rtt.p999)),
            rtt_max_s: rtt.and_then(|rtt| at(rtt.max)),
            clock_error_s: offset.map(|offset| Seconds(micros(offset.error_ns))),
            ..self.of_trial(Scope::RoundTrip)
        }
    }

    /// Streams of the load in this direction.
    fn flows(&self) -> u32 {
        let asked = &self.row.trial.asked;
        let udp = asked.udp.map(|load| load.streams);
        udp.or(asked.tcp.as_ref().map(|load| load.streams)).unwrap_or(0)
    }

    /// Octets of payload of a datagram or a full segment.
    fn packet_bytes(&self) -> Option<u32> {
        let segment = self.row.counts().tcp_sender.as_ref().map(|sender| sender.last.mss_octets);
        let payload = self.row.trial.asked.udp.map(|load| load.payload_octets);
        payload.or(segment.filter(|octets| 0 < *octets))
    }

    /// The metrics that a caveat touches here, and how far.
    fn flags(&self, scope: Scope) -> String {
        let Row { link, site, trial, .. } = self.row;
        let here = self.report.caveats.iter().filter(|caveat| {
            let of_link = self.report.links.get(caveat.link);
            of_link.is_some_and(|of_link| std::ptr::eq(of_link, link))
                && caveat.site == site.ends.site
                && caveat.trial.is_none_or(|number| number == trial.trial)
                && caveat.direction.is_none_or(|direction| Scope::from(Some(direction)) == scope)
        });
        let flags = here.flat_map(|caveat| {
            let of_scope = |metric: &&Metric| metric.scopes().any(|its| Scope::from(its) == scope);
            let metrics = caveat.metrics.iter().filter(of_scope);
            metrics.map(move |metric| format!("{metric}:{}", caveat.bias))
        });
        flags.collect::<Vec<_>>().join(";")
    }
}

/// What is sent in a direction; of the round trip, in the direction with the heavier load.
fn load_kind(trial: &TrialRecord, scope: Scope) -> Option<LoadKindRecord> {
    let TrialFigures { forward, reverse, .. } = &trial.figures;
    match scope {
        Scope::Forward => forward.load_kind,
        Scope::Reverse => reverse.load_kind,
        Scope::RoundTrip => forward.load_kind.max(reverse.load_kind),
    }
}

fn text(text: &Option<String>) -> Option<Text<'_>> {
    text.as_deref().map(Text)
}

fn decimal(number: Option<f64>) -> Option<Decimal> {
    number.map(Decimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::CaveatRecord;

    const DOCS: &str = include_str!("../../../docs/csv.md");
    const SOUND: &str = include_str!("../../../tests/it/golden/v3/sound.json");
    const TCP: &str = include_str!("../../../tests/it/golden/v3/tcp.json");

    /// A record, judged by what it was judged by.
    fn judged(record: &str) -> Report {
        let mut report = Report::parse(record).expect("a record");
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        report
    }

    /// Each row as pairs of column and value.
    fn read(report: &Report, streams: bool) -> Vec<Vec<(String, String)>> {
        let text = render(report, &Rendering { streams, ..Rendering::default() });
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().expect("a header").clone();
        let rows = reader.records().map(|row| row.expect("as many cells as columns"));
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        rows.map(|row| header.iter().zip(row.iter()).map(pair).collect()).collect()
    }

    fn cell<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
        let found = row.iter().find(|(name, _)| name == column);
        &found.unwrap_or_else(|| panic!("no column {column}")).1
    }

    fn cells(rows: &[Vec<(String, String)>], column: &str) -> Vec<String> {
        rows.iter().map(|row| cell(row, column).to_owned()).collect()
    }

    #[track_caller]
    fn written(value: impl Serialize, expected: &str) {
        let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize((value, 0)).expect("a vector takes all octets");
        let octets = writer.into_inner().expect("a vector takes all octets");
        let text = String::from_utf8(octets).expect("text is UTF-8");
        assert_eq!(text.strip_suffix(",0\n"), Some(expected), "{text}");
    }

    #[test]
    fn words_are_no_formulas() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            written(Text(text), &format!("'{text}"));
        }
        written(Text("\t=1"), "'\t=1");
        written(Text("\r=1"), "\"'\r=1\"");
        written(Text("idc-to-vpc"), "idc-to-vpc");
        written(Text("上海"), "上海");
    }

    #[test]
    fn what_is_not_known_is_empty() {
        written(None::<u64>, "");
        written(Some(0), "0");
        written(Some(Seconds(12_345.6)), "0.0123456");
        written(Some(Seconds(11_132.927)), "0.011132927");
        written(Some(Seconds(2e6)), "2");
        written(None::<Seconds>, "");
        written(Some(Decimal(1e-7)), "0.0000001");
        written(Some(Decimal(30.0)), "30");
    }

    #[test]
    fn the_docs_name_each_column_in_its_order() {
        let named = DOCS.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<_> = named.filter_map(|line| line.split('`').next()).collect();
        assert_eq!(named, columns());
        let explained = |line: &str| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            matches!(cells.as_slice(), [_, unit, meaning] if !unit.is_empty() && 5 < meaning.len())
        };
        for line in DOCS.lines().filter(|line| line.starts_with("| `")) {
            assert!(explained(line), "{line}");
        }
    }

    #[test]
    fn a_report_without_trials_still_has_its_columns() {
        let mut report = judged(SOUND);
        report.links.clear();
        assert_eq!(csv(&report), columns().join(",") + "\n");
    }

    #[test]
    fn each_trial_has_a_row_for_each_direction_and_one_for_its_round_trip() {
        let rows = read(&judged(SOUND), false);
        let scopes = ["forward", "reverse", "round-trip"];
        assert_eq!(cells(&rows, "direction"), [scopes, scopes].concat());
        assert_eq!(cells(&rows, "trial"), ["0", "0", "0", "1", "1", "1"]);
        assert_eq!(cells(&rows, "load_kind"), ["idle", "idle", "idle", "fixed", "fixed", "fixed"]);
        for row in &rows {
            let is_whole = cell(row, "direction") == "round-trip";
            for column in ["rtt_min_s", "rtt_p99_s"] {
                assert_eq!(!cell(row, column).is_empty(), is_whole, "{column}: {row:?}");
            }
            for column in ["jitter_s", "goodput_bps", "offered_bps"] {
                assert!(!is_whole || cell(row, column).is_empty(), "{column}: {row:?}");
            }
            let expected = ["2", "demo", "the demo's agent", "ok"];
            assert_eq!(
                ["schema_version", "circuit", "site", "status"].map(|c| cell(row, c)),
                expected
            );
        }
        // What is required of the round trip is judged there alone.
        assert_eq!(cells(&rows, "verdict")[3..], ["PASS", "PASS", "PASS"]);
        let ends: Vec<_> = rows[3..].iter().map(|row| cell(row, "src_site")).collect();
        assert_eq!(ends, ["driver", "the demo's agent", "driver"]);
        let ratio: Vec<_> = cells(&rows, "headroom_ratio");
        assert!(ratio.iter().all(String::is_empty), "no more than the requirement was offered");
    }

    #[test]
    fn a_trial_that_was_never_run_is_dated() {
        let mut report = judged(SOUND);
        let trials = &mut report.links[0].sites[0].trials;
        let (mut refused, mut never) = (trials[1].clone(), trials[1].clone());
        trials[0].ended_at = Some("2026-11-25T16:34:50.000Z".to_owned());
        for (trial, status) in [(&mut refused, Status::Refused), (&mut never, Status::NotRun)] {
            (trial.started_at, trial.ended_at) = (None, None);
            trial.outcome.status = status;
        }
        trials.splice(1.., [refused, never]);
        let rows = read(&report, false);
        assert_eq!(cells(&rows, "status")[3..6], ["refused", "refused", "refused"]);
        assert_eq!(cell(&rows[8], "status"), "not_run");
        for row in &rows[3..] {
            assert_eq!(cell(row, "started_at"), "2026-11-25T16:34:50.000Z");
        }
        // Nothing was ever run.
        report.links[0].sites[0].trials.drain(..2);
        assert_eq!(cell(&read(&report, false)[0], "started_at"), report.started_at);
    }

    #[test]
    fn streams_have_rows_on_request() {
        use crate::account::{StreamReceived, StreamSent};
        let mut report = judged(SOUND);
        let trial = &mut report.links[0].sites[0].trials[1];
        let receiver = trial.outcome.forward.receiver.as_mut().expect("it has one");
        let received = StreamReceived { stream: 1, received: 7, lost: 2, ..Default::default() };
        receiver.streams = vec![received, StreamReceived { stream: 2, ..received }];
        let sender = trial.outcome.forward.sender.as_mut().expect("it has one");
        sender.streams = vec![StreamSent { stream: 1, sent: 9, ..StreamSent::default() }];
        let figures = |stream, goodput| StreamFigures {
            stream,
            goodput_bit_s: Some(goodput),
            ..StreamFigures::default()
        };
        trial.figures.forward.streams = vec![figures(1, 500), figures(2, 600)];
        let rows = read(&report, true);
        assert_eq!(cells(&rows[3..7], "stream"), ["", "1", "2", ""]);
        assert_eq!(cells(&rows[4..6], "goodput_bps"), ["500", "600"]);
        assert_eq!(cells(&rows[4..6], "sent_pkts"), ["9", ""]);
        assert_eq!(cells(&rows[4..6], "lost_pkts"), ["2", ""]);
        assert_eq!(cells(&rows[4..6], "verdict"), ["", ""]);
        assert!(cells(&read(&report, false), "stream").iter().all(String::is_empty));
    }

    #[test]
    fn a_caveat_flags_the_rows_that_it_touches() {
        let mut report = judged(SOUND);
        report.caveats = vec![CaveatRecord {
            link: 0,
            site: "the demo's agent".to_owned(),
            evidence: Vec::new(),
            metrics: vec![Metric::RTT_P99, Metric::JITTER],
            direction: None,
            trial: Some(1),
            bias: crate::report::BiasRecord::Either,
            packets: None,
            text: String::new(),
        }];
        let flags = cells(&read(&report, false), "validity_flags");
        assert_eq!(flags, ["", "", "", "jitter:either", "jitter:either", "rtt_p99:either"]);
    }

    #[test]
    fn tcp_has_its_own_numbers() {
        let rows = read(&judged(TCP), false);
        let tcp: Vec<_> = rows.iter().filter(|row| cell(row, "proto") == "tcp").collect();
        assert_eq!(tcp.len(), 2, "reverse, and the round trip");
        assert_eq!(cell(tcp[0], "load_kind"), "tcp");
        assert_eq!(cell(tcp[0], "recv_bytes"), "1737593578");
        assert!(!cell(tcp[0], "headroom_ratio").is_empty(), "100 of up to 1000 Mbit/s");
    }
}
