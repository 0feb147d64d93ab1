//! `runs.csv`: a row for each trial and direction that it tests, for spreadsheets and for capacity
//! planning. Decimal points, UTC, seconds and bits; what is not known is empty, never 0.
//!
//! Rates are payload (L4), the required one too, so that they can be divided by each other. What is
//! of the whole trial, such as the round trip, stands in its first row.

use super::record::{Report, Row};
use crate::account::Status;
use crate::direction::Direction;
use crate::metric::micros;
use crate::units::Span;

/// The version of the columns: a later one only adds some.
const SCHEMA_VERSION: u32 = 1;

/// What the near end is called.
const NEAR: &str = "driver";

/// The columns, in their order.
#[rustfmt::skip]
const COLUMNS: [&str; 55] = [
    "schema_version", "run_id", "plan_id", "plan_sha256", "link", "test", "proto", "src_site",
    "src_addr", "dst_site", "dst_addr", "started_at", "ended_at", "duration_s", "flows",
    "packet_bytes", "offered_bps", "goodput_bps", "goodput_p5_bps", "retransmit_ratio", "sent_pkts",
    "recv_pkts", "lost_pkts", "loss_ratio", "dup_pkts", "reordered_pkts", "rtt_min_s", "rtt_p50_s",
    "rtt_p95_s", "rtt_p99_s", "rtt_p999_s", "rtt_max_s", "owd_min_s", "owd_p50_s", "owd_p95_s",
    "owd_p99_s", "owd_p999_s", "owd_max_s", "clock_error_s", "jitter_s", "path_mtu_bytes",
    "path_hash", "required_bps", "headroom_ratio", "status", "verdict", "reason", "validity_flags",
    "agent_version_src", "agent_version_dst", "requested_by", "role", "trial",
    "dscp", "dscp_received",
];

/// The report's trials as comma-separated values (RFC 4180), a header line first.
///
/// # Panics
///
/// Never: a vector takes all octets, and text is UTF-8.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(COLUMNS).expect("a vector takes all octets");
    let mut shown = None;
    for row in report.rows().filter(|row| row.figures().tested) {
        let is_first = shown.replace(row.trial.trial) != Some(row.trial.trial);
        let cells = Cells { report, row, is_first };
        writer.write_record(COLUMNS.map(|column| cells.cell(column))).expect("as many as columns");
    }
    let octets = writer.into_inner().expect("a vector takes all octets");
    String::from_utf8(octets).expect("text is UTF-8")
}

/// A row's cells, by their columns' names.
struct Cells<'a> {
    report: &'a Report,
    row: Row<'a>,
    /// Whether what is of the whole trial stands here.
    is_first: bool,
}

/// A cell; empty where nothing is known.
fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Microseconds as seconds, to the nanosecond.
fn seconds(micros: Option<f64>) -> String {
    let shown = |micros: f64| {
        let text = format!("{:.9}", micros / 1e6);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    micros.map_or_else(String::new, shown)
}

/// Somebody's words: a spreadsheet takes none of them for a formula.
fn free(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

impl Cells<'_> {
    fn cell(&self, column: &str) -> String {
        let (report, row) = (self.report, &self.row);
        let (asked, outcome) = (&row.trial.asked, &row.trial.outcome);
        match column {
            "schema_version" => SCHEMA_VERSION.to_string(),
            "run_id" => report.run.clone(),
            "plan_id" => report.plan.as_ref().map_or_else(String::new, |plan| free(&plan.file)),
            "plan_sha256" => known(report.plan.as_ref().map(|plan| &plan.sha256)),
            "link" => self.link(),
            "trial" => row.trial.trial.to_string(),
            "test" => match (&asked.udp, &asked.tcp) {
                (Some(_), _) => "udp",
                (None, Some(_)) => "tcp",
                (None, None) => "idle",
            }
            .to_owned(),
            "proto" => if asked.tcp.is_some() { "tcp" } else { "udp" }.to_owned(),
            "started_at" => known(row.trial.started_at.as_ref()),
            "ended_at" => known(row.trial.ended_at.as_ref()),
            "duration_s" => Span::from_nanos(asked.duration_ns).as_secs().to_string(),
            "status" => match outcome.status {
                Status::Ok => "ok",
                Status::Partial => "partial",
                Status::Refused => "refused",
                Status::NotRun => "not_run",
            }
            .to_owned(),
            "verdict" => known(row.figures().verdict),
            "reason" => {
                let reason = outcome.reason.as_ref().or(row.figures().verdict_reason.as_ref());
                let reason = reason.map(String::as_str);
                free(reason.unwrap_or_default())
            }
            "validity_flags" => self.flags(),
            _ => self.of_ends(column).or_else(|| self.of_load(column)).unwrap_or_else(|| {
                if self.is_first { self.of_trial(column) } else { String::new() }
            }),
        }
    }

    /// The line's name; where it has none of its own, the circuit's, or the agent's.
    fn link(&self) -> String {
        let (link, site) = (self.row.link, self.row.site);
        free(link.name.as_ref().or(link.circuit.as_ref()).unwrap_or(&site.ends.agent))
    }

    /// What is known of the two ends.
    fn of_ends(&self, column: &str) -> Option<String> {
        let site = self.row.site;
        let (near, far) = match self.row.direction {
            Direction::Forward => ("src", "dst"),
            Direction::Reverse => ("dst", "src"),
        };
        let (end, what) = match column.split_once('_') {
            Some((end @ ("src" | "dst"), what)) => (end, what),
            _ => match column.strip_prefix("agent_version_") {
                Some(end) => (end, "version"),
                None => {
                    return match column {
                        "requested_by" => {
                            Some(free(site.ends.requested_by.as_deref().unwrap_or("")))
                        }
                        "role" => Some(free(site.ends.role.as_deref().unwrap_or(""))),
                        "path_mtu_bytes" => Some(known(site.path_mtu.map(|path| path.octets))),
                        _ => None,
                    };
                }
            },
        };
        Some(match (what, end == near, end == far) {
            ("site", true, _) => NEAR.to_owned(),
            ("site", _, true) => free(&site.ends.site),
            ("addr", true, _) => known(site.ends.driver_address.as_ref()),
            ("addr", _, true) => known(site.ends.address.as_ref()),
            ("version", true, _) => self.report.program.clone(),
            ("version", _, true) => free(site.ends.agent_program.as_deref().unwrap_or("")),
            _ => return None,
        })
    }

    /// What was counted of the load.
    fn of_load(&self, column: &str) -> Option<String> {
        let (counts, figures) = (self.row.counts(), self.row.figures());
        let asked = &self.row.trial.asked;
        let (sender, receiver) = (counts.sender.as_ref(), counts.receiver.as_ref());
        let udp = asked.udp.as_ref().filter(|load| load.rate.get(self.row.direction).is_some());
        let tcp =
            asked.tcp.as_ref().filter(|load| load.payload_bit_s.get(self.row.direction).is_some());
        Some(match column {
            "flows" => {
                let streams = udp.map(|load| load.streams).or(tcp.map(|load| load.streams));
                streams.unwrap_or(0).to_string()
            }
            "dscp" => asked.dscp.to_string(),
            "dscp_received" => known(counts.probes.marks.and_then(|marks| marks.other)),
            "packet_bytes" => {
                let segment = counts.tcp_sender.as_ref().map(|sender| sender.last.mss_octets);
                let segment = segment.filter(|octets| 0 < *octets);
                known(udp.map(|load| load.payload_octets).or(segment))
            }
            "retransmit_ratio" => {
                known(figures.tcp.as_ref().and_then(|figures| figures.retransmit_ratio))
            }
            "offered_bps" => known(figures.offered_bit_s),
            "goodput_bps" => known(figures.goodput_bit_s),
            "goodput_p5_bps" => known(figures.goodput_p5_bit_s),
            "sent_pkts" => known(sender.map(|sender| sender.sent)),
            "recv_pkts" => known(receiver.map(|receiver| receiver.received)),
            "lost_pkts" => known(figures.lost),
            "loss_ratio" => known(figures.loss_ratio),
            "dup_pkts" => known(receiver.map(|receiver| receiver.duplicate)),
            "reordered_pkts" => known(receiver.map(|receiver| receiver.reordered)),
            "jitter_s" => seconds(figures.jitter_us),
            "required_bps" => known(figures.required_bit_s),
            "headroom_ratio" => known(figures.headroom_ratio),
            _ => return None,
        })
    }

    /// What was told by the probes of the whole trial; one-way delays and paths are not told.
    fn of_trial(&self, column: &str) -> String {
        let trial = self.row.trial;
        if column == "clock_error_s" {
            let offset = trial.outcome.round_trip.clock_offset;
            return seconds(offset.map(|offset| micros(offset.error_ns)));
        }
        let Some(rtt) = &trial.figures.rtt_us else { return String::new() };
        match column {
            "rtt_min_s" => seconds(rtt.min),
            "rtt_p50_s" => seconds(rtt.p50),
            "rtt_p95_s" => seconds(rtt.p95),
            "rtt_p99_s" => seconds(rtt.p99),
            "rtt_p999_s" => seconds(rtt.p999),
            "rtt_max_s" => seconds(rtt.max),
            _ => String::new(),
        }
    }

    /// The metrics that are doubted here, and how far.
    fn flags(&self) -> String {
        let row = &self.row;
        let here = self.report.caveats.iter().filter(|caveat| {
            caveat.site == row.site.ends.site
                && caveat.trial == Some(row.trial.trial)
                && caveat.direction.is_none_or(|direction| direction == row.direction)
        });
        let flags = here.flat_map(|caveat| {
            caveat.metrics.iter().map(move |metric| format!("{metric}:{}", caveat.bias))
        });
        flags.collect::<Vec<_>>().join(";")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_formulas() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(free(text), format!("'{text}"));
        }
        assert_eq!(free("idc-to-vpc"), "idc-to-vpc");
        assert_eq!(free(""), "");
    }

    #[test]
    fn what_is_not_known_is_empty() {
        assert_eq!(known::<u64>(None), "");
        assert_eq!(known(Some(0)), "0");
        assert_eq!(seconds(Some(12_345.6)), "0.0123456");
        assert_eq!(seconds(Some(11_132.927)), "0.011132927");
        assert_eq!(seconds(Some(2e6)), "2");
        assert_eq!(seconds(None), "");
    }
}
