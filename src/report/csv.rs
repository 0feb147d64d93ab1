//! `runs.csv`: a row for each trial and direction that it tests, for spreadsheets and for capacity
//! planning. Decimal points, UTC, seconds and bits; what is not known is empty, never 0.
//!
//! Rates are payload (L4), the required one too, so that they can be divided by each other. What is
//! of the whole trial, such as the round trip, stands in its first row.

use super::record::{Report, SiteRecord, StatusRecord, TrialKind, TrialRecord};
use crate::direction::Direction;

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
    for row in report.trials.iter().filter(|row| row.tested) {
        let is_first = shown.replace(row.trial) != Some(row.trial);
        let cells = Cells { report, row, is_first };
        writer.write_record(COLUMNS.map(|column| cells.cell(column))).expect("as many as columns");
    }
    let octets = writer.into_inner().expect("a vector takes all octets");
    String::from_utf8(octets).expect("text is UTF-8")
}

/// A row's cells, by their columns' names.
struct Cells<'a> {
    report: &'a Report,
    row: &'a TrialRecord,
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
        let (report, row) = (self.report, self.row);
        match column {
            "schema_version" => SCHEMA_VERSION.to_string(),
            "run_id" => report.run.clone(),
            "plan_id" => report.plan.as_ref().map_or_else(String::new, |plan| free(&plan.file)),
            "plan_sha256" => known(report.plan.as_ref().map(|plan| &plan.sha256)),
            "link" => self.link(),
            "trial" => row.trial.to_string(),
            "test" => match row.kind {
                TrialKind::Idle => "idle",
                TrialKind::Udp => "udp",
                TrialKind::Tcp => "tcp",
            }
            .to_owned(),
            "proto" => if row.kind == TrialKind::Tcp { "tcp" } else { "udp" }.to_owned(),
            "started_at" => known(row.started_at.as_ref()),
            "ended_at" => known(row.ended_at.as_ref()),
            "duration_s" => row.duration_s.to_string(),
            "status" => match row.status {
                StatusRecord::Ok => "ok",
                StatusRecord::Partial => "partial",
                StatusRecord::Refused => "refused",
                StatusRecord::NotRun => "not_run",
            }
            .to_owned(),
            "verdict" => known(row.verdict),
            "reason" => {
                let reason = row.reason.as_deref().or(row.verdict_reason.as_deref());
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
        let link = &self.report.link;
        let agent = self.site().map(|site| &site.agent);
        link.name.as_ref().or(link.circuit.as_ref()).or(agent).map_or_else(String::new, |n| free(n))
    }

    fn site(&self) -> Option<&SiteRecord> {
        self.report.sites.iter().find(|site| site.site == self.row.site)
    }

    /// What is known of the two ends.
    fn of_ends(&self, column: &str) -> Option<String> {
        let site = self.site()?;
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
                        "requested_by" => Some(free(site.requested_by.as_deref().unwrap_or(""))),
                        "role" => Some(free(site.role.as_deref().unwrap_or(""))),
                        "path_mtu_bytes" => Some(known(site.path_mtu_bytes)),
                        _ => None,
                    };
                }
            },
        };
        Some(match (what, end == near, end == far) {
            ("site", true, _) => NEAR.to_owned(),
            ("site", _, true) => free(&site.site),
            ("addr", true, _) => known(site.driver_address.as_ref()),
            ("addr", _, true) => known(site.address.as_ref()),
            ("version", true, _) => self.report.program.clone(),
            ("version", _, true) => free(site.agent_program.as_deref().unwrap_or("")),
            _ => return None,
        })
    }

    /// What was counted of the load.
    fn of_load(&self, column: &str) -> Option<String> {
        let row = self.row;
        Some(match column {
            "flows" => row.streams.to_string(),
            "dscp" => row.dscp.to_string(),
            "dscp_received" => known(row.dscp_received),
            "packet_bytes" => {
                let segment = row.tcp.as_ref().and_then(|tcp| tcp.info.as_ref());
                known(row.payload_bytes.or(segment.map(|info| info.mss_bytes)))
            }
            "retransmit_ratio" => known(row.tcp.as_ref().and_then(|tcp| tcp.retransmit_ratio)),
            "offered_bps" => known(row.offered_bit_s),
            "goodput_bps" => known(row.goodput_bit_s),
            "goodput_p5_bps" => known(row.goodput_p5_bit_s),
            "sent_pkts" => known(row.sent_packets),
            "recv_pkts" => known(row.received_packets),
            "lost_pkts" => known(row.lost_packets),
            "loss_ratio" => known(row.loss_ratio),
            "dup_pkts" => known(row.duplicate_packets),
            "reordered_pkts" => known(row.reordered_packets),
            "jitter_s" => seconds(row.jitter_us),
            "required_bps" => known(row.required_bit_s),
            "headroom_ratio" => known(row.headroom_ratio),
            _ => return None,
        })
    }

    /// What was told by the probes of the whole trial; one-way delays and paths are not told.
    fn of_trial(&self, column: &str) -> String {
        let first = self.report.trials.iter().find(|first| first.trial == self.row.trial);
        let Some(first) = first else { return String::new() };
        if column == "clock_error_s" {
            return seconds(first.clock_offset_error_us);
        }
        let Some(rtt) = &first.rtt_us else { return String::new() };
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
        let row = self.row;
        let here = self.report.caveats.iter().filter(|caveat| {
            caveat.site == row.site
                && caveat.trial == Some(row.trial)
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
