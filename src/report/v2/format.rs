//! Format 2 as it stands in its files: only what is converted.

use crate::account::{Silence, Status, TcpSample, Waiting};
use crate::direction::{Direction, PerDirection};
use crate::framing::{IpVersion, Layer};
use crate::metric::Metric;
use crate::report::record::{
    BiasRecord, BoundText, OutageRecord, Percentiles, PlanRecord, RequirementRecord, Scope,
};
use crate::verdict::Verdict;
use serde::Deserialize;

/// The format's name.
pub(in crate::report) const FORMAT: &str = "linkqual-report/2";

/// A report as that format has it. Only what is converted stands here and below.
#[derive(Deserialize)]
pub(in crate::report) struct ReportV2 {
    pub(super) verdict: Verdict,
    pub(super) complete: bool,
    pub(super) reason: Option<String>,
    pub(super) program: String,
    pub(super) run: String,
    pub(super) started_at: String,
    pub(super) ended_at: String,
    pub(super) plan: Option<PlanRecord>,
    pub(super) link: LinkV2,
    pub(super) sites: Vec<SiteV2>,
    pub(super) asked: AskedV2,
    pub(super) notes: Vec<String>,
    pub(super) findings: Vec<FindingV2>,
    pub(super) trials: Vec<RowV2>,
    pub(super) doubts: Vec<DoubtV2>,
}

#[derive(Deserialize)]
pub(super) struct LinkV2 {
    pub(super) name: Option<String>,
    pub(super) circuit: Option<String>,
    pub(super) port_rate_bit_s: Option<u64>,
    pub(super) committed_bit_s: PerDirection<Option<u64>>,
    pub(super) rate_layer: Layer,
    pub(super) vlan_tags: u8,
    pub(super) extra_overhead_bytes: u16,
}

#[derive(Deserialize)]
pub(super) struct SiteV2 {
    pub(super) site: String,
    pub(super) agent: String,
    pub(super) address: Option<String>,
    pub(super) driver_address: Option<String>,
    pub(super) agent_program: Option<String>,
    pub(super) requested_by: Option<String>,
    pub(super) role: Option<String>,
    pub(super) ip: IpVersion,
    pub(super) reason: Option<String>,
    pub(super) granted_rate_max_bit_s: Option<u64>,
    pub(super) granted_duration_max_s: Option<f64>,
    pub(super) path_mtu_bytes: Option<u32>,
    pub(super) path_mtu_tried_bytes: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct AskedV2 {
    pub(super) confidence: f64,
    pub(super) requirements: Vec<RequirementRecord>,
}

#[derive(Deserialize)]
pub(super) struct FindingV2 {
    pub(super) site: String,
    pub(super) metric: Metric,
    pub(super) direction: Scope,
    pub(super) relation: BoundText,
    pub(super) bound: f64,
    pub(super) value: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) trial: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct DoubtV2 {
    pub(super) metrics: Vec<Metric>,
    pub(super) direction: Option<Direction>,
    pub(super) site: String,
    pub(super) trial: Option<usize>,
    pub(super) bias: BiasRecord,
    pub(super) packets: Option<u64>,
    pub(super) text: String,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindV2 {
    Idle,
    Udp,
    Tcp,
}

/// A trial in one direction: what is of the whole trial stands in its forward row.
#[derive(Deserialize)]
pub(super) struct RowV2 {
    pub(super) trial: usize,
    pub(super) site: String,
    pub(super) kind: KindV2,
    pub(super) direction: Direction,
    pub(super) tested: bool,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) verdict: Option<Verdict>,
    pub(super) verdict_reason: Option<String>,
    pub(super) started_at: Option<String>,
    pub(super) ended_at: Option<String>,
    pub(super) duration_s: f64,
    pub(super) streams: u32,
    pub(super) payload_bytes: Option<u32>,
    pub(super) probe_packets_s: Option<u64>,
    pub(super) offered_packets_s: Option<u64>,
    pub(super) offered_bit_s: Option<u64>,
    pub(super) goodput_bit_s: Option<u64>,
    pub(super) goodput_p5_bit_s: Option<u64>,
    pub(super) required_bit_s: Option<u64>,
    pub(super) headroom_ratio: Option<f64>,
    pub(super) capacity: bool,
    pub(super) sent_packets: Option<u64>,
    pub(super) refused_packets: Option<u64>,
    pub(super) queue_dropped_packets: Option<u64>,
    pub(super) unreachable_packets: Option<u64>,
    pub(super) received_packets: Option<u64>,
    pub(super) lost_packets: Option<u64>,
    pub(super) loss_ratio: Option<f64>,
    pub(super) duplicate_packets: Option<u64>,
    pub(super) reordered_packets: Option<u64>,
    pub(super) late_packets: Option<u64>,
    pub(super) host_dropped_packets: Option<u64>,
    pub(super) unattributed_packets: Option<u64>,
    pub(super) lost_in_catch_up_packets: Option<u64>,
    pub(super) paused_packets: Option<u64>,
    pub(super) skipped_packets: Option<u64>,
    pub(super) rejected_packets: Option<u64>,
    pub(super) steady_sent_packets: Option<u64>,
    pub(super) steady_received_packets: Option<u64>,
    pub(super) steady_on_time_packets: Option<u64>,
    pub(super) loss_periods: Option<LossPeriodsV2>,
    pub(super) outages: Option<Vec<OutageRecord>>,
    pub(super) silences: Vec<Silence>,
    pub(super) tcp: Option<TcpV2>,
    pub(super) rtt_us: Option<Percentiles>,
    pub(super) jitter_us: Option<f64>,
    pub(super) jitter_rfc3550_us: Option<f64>,
    pub(super) probe_sent_packets: Option<u64>,
    pub(super) probe_received_packets: Option<u64>,
    pub(super) dscp: u8,
    pub(super) probe_remarked_packets: Option<u64>,
    pub(super) dscp_received: Option<u8>,
    pub(super) probe_late_packets: Option<u64>,
    pub(super) stamping: Option<StampingV2>,
    pub(super) clock_offset_us: Option<f64>,
    pub(super) clock_offset_error_us: Option<f64>,
    pub(super) clock_jumps: Option<u64>,
    pub(super) clock_skew_ppm: Option<f64>,
    pub(super) send_lateness_us: Option<Percentiles>,
    pub(super) sending: Option<SendingV2>,
    pub(super) sent_by_second: Vec<u64>,
    pub(super) received_by_second: Vec<u64>,
    pub(super) rtt_delays: Option<DelaysV2>,
    pub(super) variation_delays: DelaysV2,
    pub(super) sender_host: HostV2,
    pub(super) receiver_host: HostV2,
}

#[derive(Deserialize)]
pub(super) struct SendingV2 {
    pub(super) burst_packets: u32,
    pub(super) burst_packets_seen: Option<u32>,
    pub(super) segmented_packets: Option<u64>,
    pub(super) waiting: Option<Waiting>,
    pub(super) send_buffer_bytes: Option<u64>,
    pub(super) receive_buffer_bytes: Option<u64>,
}

#[derive(Deserialize)]
pub(super) enum StampMethodV2 {
    #[serde(rename = "kernel transmit and receive stamps")]
    Kernel,
    #[serde(rename = "user-space transmit stamps")]
    UserSpaceTransmit,
}

#[derive(Deserialize)]
pub(super) struct StampingV2 {
    pub(super) method: StampMethodV2,
    pub(super) exchanges: u64,
    pub(super) by_kernel: u64,
    pub(super) probe_left_by_kernel: u64,
    pub(super) probe_came_by_kernel: u64,
    pub(super) reply_left_by_kernel: u64,
    pub(super) reply_came_by_kernel: u64,
}

#[derive(Deserialize)]
pub(super) struct LossPeriodsV2 {
    pub(super) count: u64,
    pub(super) longest: u64,
    pub(super) squares: String,
    pub(super) clusters: Vec<ClusterV2>,
}

#[derive(Deserialize)]
pub(super) struct ClusterV2 {
    pub(super) count: u64,
    pub(super) squares: String,
}

#[derive(Clone, Default, Deserialize)]
pub(super) struct DelaysV2 {
    pub(super) histogram: String,
    pub(super) lost: u64,
    pub(super) min_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
pub(super) struct HostV2 {
    pub(super) queue_drops: u64,
    pub(super) kernel_drops: u64,
    pub(super) checksum_errors: u64,
    pub(super) clock_steps: u64,
    pub(super) stamp_noise_ns: Option<u64>,
    #[serde(default)]
    pub(super) card_stamps: bool,
}

#[derive(Deserialize)]
pub(super) struct TcpV2 {
    pub(super) path_mtu_bytes: u32,
    pub(super) congestion_control_asked: String,
    pub(super) congestion_control: Option<String>,
    pub(super) sent_bytes: Option<u64>,
    pub(super) received_bytes: Option<u64>,
    pub(super) ended: Option<bool>,
    pub(super) warm_up_s: Option<f64>,
    pub(super) goodput_p50_bit_s: Option<u64>,
    pub(super) goodput_seconds: Option<u64>,
    pub(super) received_bytes_by_second: Vec<u64>,
    pub(super) began_ns: Option<u64>,
    pub(super) retransmit_ratio: Option<f64>,
    pub(super) info: Option<TcpInfoV2>,
    pub(super) samples: Vec<TcpSampleV2>,
    pub(super) rtt_us: Option<Percentiles>,
    pub(super) held_up_s: Option<f64>,
    pub(super) round_trip_us: Option<f64>,
    pub(super) send_buffer: Option<TcpBufferV2>,
    pub(super) receive_buffer: Option<TcpBufferV2>,
    pub(super) verify: bool,
    pub(super) checked_bytes: Option<u64>,
    pub(super) damaged_bytes: Option<u64>,
    pub(super) damage: Option<TcpDamageV2>,
    pub(super) broken: Option<String>,
    pub(super) refused: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct TcpBufferV2 {
    pub(super) needed_bytes: u64,
    pub(super) tuned_max_bytes: Option<u64>,
    pub(super) granted_bytes: Option<u64>,
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct TcpDamageV2 {
    pub(super) stream: u32,
    pub(super) first_byte: u64,
    pub(super) last_byte: u64,
}

#[derive(Deserialize)]
pub(super) struct TcpInfoV2 {
    pub(super) rtt_us: u64,
    pub(super) min_rtt_us: Option<u64>,
    pub(super) cwnd_segments: u64,
    pub(super) mss_bytes: u32,
    pub(super) timestamps: bool,
    pub(super) retransmitted_segments: u64,
    pub(super) sent_bytes: Option<u64>,
    pub(super) retransmitted_bytes: Option<u64>,
    pub(super) duplicate_segments: Option<u64>,
    pub(super) reordered: Option<u64>,
    pub(super) busy_us: Option<u64>,
    pub(super) receiver_limited_us: Option<u64>,
    pub(super) buffer_limited_us: Option<u64>,
}

/// Named alike in both formats.
pub(super) type TcpSampleV2 = TcpSample;
