//! The record: `report.json`. Names and units here are an interface; scripts read them.

use crate::direction::{Direction, PerDirection};
use crate::framing::{IpVersion, Layer};
use crate::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format's name and version: later programs of this version only add fields.
pub const FORMAT: &str = "linkqual-report/2";

/// A run's evidence and its verdict.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Report {
    /// "linkqual-report/2".
    pub format: String,
    /// The worst of the findings; without any, INCONCLUSIVE.
    pub verdict: Verdict,
    /// Whether all that was to run has run to its end.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// The program that wrote this, with its version.
    pub program: String,
    /// The run's name, 32 hexadecimal digits.
    pub run: String,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// When this was written: RFC 3339, UTC.
    pub ended_at: String,
    /// The plan file that was run or judged by; null where there was none.
    pub plan: Option<PlanRecord>,
    /// The link.
    pub link: LinkRecord,
    /// Its far ends.
    pub sites: Vec<SiteRecord>,
    /// What is required.
    pub asked: Asked,
    /// What was decided for the user.
    pub notes: Vec<String>,
    /// Each requirement, judged.
    pub findings: Vec<FindingRecord>,
    /// Each trial and direction, counted.
    pub trials: Vec<TrialRecord>,
    /// What this tester cannot vouch for.
    #[serde(rename = "doubts")]
    pub caveats: Vec<CaveatRecord>,
}

impl Report {
    /// The record as text: one JSON document.
    ///
    /// # Panics
    ///
    /// Never: numbers, texts and lists are JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("numbers, texts and lists are JSON") + "\n"
    }
}

/// A plan file.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct PlanRecord {
    /// Its name, as it was given.
    pub file: String,
    /// SHA-256 of its octets, 64 hexadecimal digits.
    pub sha256: String,
}

/// The link that a report is about.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct LinkRecord {
    /// What its users call it.
    pub name: Option<String>,
    /// The provider's name of the circuit.
    pub circuit: Option<String>,
    /// What the port carries, at `rate_layer`.
    pub port_rate_bit_s: Option<u64>,
    /// What the provider has committed to, at `rate_layer`, by direction.
    pub committed_bit_s: PerDirection<Option<u64>>,
    /// The layer that every rate counts.
    pub rate_layer: Layer,
    /// 802.1Q tags that rates count.
    pub vlan_tags: u8,
    /// Further octets of each packet that rates count.
    pub extra_overhead_bytes: u16,
}

/// A far end of the link, and what its agent allows.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SiteRecord {
    /// Its name; the agent's address where it has none of its own.
    pub site: String,
    /// The agent: host and port, as they were given.
    pub agent: String,
    /// The agent's address and port; null where the name was nobody's.
    pub address: Option<String>,
    /// The address of the driver's end; null where nothing was sent.
    pub driver_address: Option<String>,
    /// The agent's program, with its version.
    pub agent_program: Option<String>,
    /// What the agent calls the driver's key.
    pub requested_by: Option<String>,
    /// The role that it gives that key.
    pub role: Option<String>,
    /// The version of IP.
    pub ip: IpVersion,
    /// Why nothing, or not all, was run towards it.
    pub reason: Option<String>,
    /// The highest rate that the agent allows, in bit/s at L2.
    pub granted_rate_max_bit_s: Option<u64>,
    /// The longest load that the agent allows.
    pub granted_duration_max_s: Option<f64>,
    /// Octets of the largest IP packet that crosses both ways in one piece.
    pub path_mtu_bytes: Option<u32>,
    /// Octets of the largest that was tried.
    pub path_mtu_tried_bytes: Option<u32>,
}

/// What is required.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Asked {
    /// The confidence of each one-sided bound.
    pub confidence: f64,
    /// Each requirement.
    pub requirements: Vec<RequirementRecord>,
}

/// One requirement, as it was written.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RequirementRecord {
    /// The metric.
    pub metric: String,
    /// forward, reverse or round-trip.
    pub direction: String,
    /// Its bound, such as "<= 20 ms".
    pub bound: String,
}

/// Which side of a bound is good.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum BoundText {
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
}

/// One requirement in one direction, judged.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct FindingRecord {
    /// The far end.
    pub site: String,
    /// throughput, `tcp_throughput`, loss, `rtt_p99`, `rtt_p99_loaded`, jitter, outage or
    /// `path_mtu`.
    pub metric: String,
    /// forward, reverse or round-trip.
    pub direction: String,
    /// Which side of the bound is good.
    pub relation: BoundText,
    /// The bound, in `unit`.
    pub bound: f64,
    /// What was measured, in `unit`.
    pub value: Option<f64>,
    /// One-sided lower bound of the true value; null where it was counted, or cannot be told.
    pub low: Option<f64>,
    /// One-sided upper bound of the true value; null likewise.
    pub high: Option<f64>,
    /// The unit of the four numbers.
    pub unit: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The trial whose evidence decided: its place in the run, from 0.
    pub trial: Option<usize>,
}

/// What a trial was.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialKind {
    /// Probes alone.
    Idle,
    /// UDP load beside probes.
    Udp,
    /// TCP load beside probes.
    Tcp,
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusRecord {
    /// To its end.
    Ok,
    /// It was cut short, or an account is missing.
    Partial,
    /// The agent did not allow it.
    Refused,
    /// Nothing of it left.
    NotRun,
}

/// One trial in one direction. Packets are the load's; of an idle trial, the probes'. A null count
/// is one that is not known, never 0.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TrialRecord {
    /// Its place in the run, from 0.
    pub trial: usize,
    /// The far end.
    pub site: String,
    /// idle, udp or tcp.
    pub kind: TrialKind,
    /// The direction of these counts.
    pub direction: Direction,
    /// Whether it tests this direction: an idle one tests both, a load those that it goes. Of a
    /// direction that is not tested there are only probes.
    pub tested: bool,
    /// How far it came.
    pub status: StatusRecord,
    /// Why it came no farther.
    pub reason: Option<String>,
    /// The worst of what this trial alone says of this direction, and of the round trip; null where
    /// nothing that is required can be judged by it.
    pub verdict: Option<Verdict>,
    /// Why, where that is not PASS.
    pub verdict_reason: Option<String>,
    /// When packets began to be due: RFC 3339, UTC; null where none were sent.
    pub started_at: Option<String>,
    /// When the last were due, likewise.
    pub ended_at: Option<String>,
    /// How long packets were due.
    pub duration_s: f64,
    /// Load streams in this direction.
    pub streams: u32,
    /// UDP payload of each load packet.
    pub payload_bytes: Option<u32>,
    /// Probes that were due each second; absent where they were 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_packets_s: Option<u64>,
    /// Load packets that were due each second.
    pub offered_packets_s: Option<u64>,
    /// UDP payload that was to be sent.
    pub offered_bit_s: Option<u64>,
    /// UDP payload that came, in the trial's steady part.
    pub goodput_bit_s: Option<u64>,
    /// The 5th percentile of the payload that came in each whole second.
    pub goodput_p5_bit_s: Option<u64>,
    /// The payload that is required of this load; null where none is.
    pub required_bit_s: Option<u64>,
    /// How much of what is required came: 1 is just enough; null where none is.
    pub headroom_ratio: Option<f64>,
    /// Whether the load was to go as fast as possible, so that its loss and delay are not judged.
    pub capacity: bool,
    /// Accepted by the sending kernel.
    pub sent_packets: Option<u64>,
    /// Refused by the sending host's own stack: never sent.
    pub refused_packets: Option<u64>,
    /// Of the refused: those that its device's queue dropped, and counts itself.
    pub queue_dropped_packets: Option<u64>,
    /// Answered with ICMP errors: never sent.
    pub unreachable_packets: Option<u64>,
    /// Came in time, each counted once.
    pub received_packets: Option<u64>,
    /// Never came.
    pub lost_packets: Option<u64>,
    /// Lost and late ones, of those that the line had to deliver.
    pub loss_ratio: Option<f64>,
    /// Further copies.
    pub duplicate_packets: Option<u64>,
    /// Came behind a later one.
    pub reordered_packets: Option<u64>,
    /// Came more than 2 s after they were due; they count as lost for verdicts.
    pub late_packets: Option<u64>,
    /// Dropped by the receiving host itself; not among the lost.
    pub host_dropped_packets: Option<u64>,
    /// Of the lost: those that the receiving host may have dropped.
    pub unattributed_packets: Option<u64>,
    /// Of the lost and late: those that left in a catch-up beyond the burst bound.
    pub lost_in_catch_up_packets: Option<u64>,
    /// Never offered, because the far end was silent.
    pub paused_packets: Option<u64>,
    /// Never offered, because the sending host was too slow.
    pub skipped_packets: Option<u64>,
    /// Arrivals outside what was granted.
    pub rejected_packets: Option<u64>,
    /// Sent, of those due in the steady part.
    pub steady_sent_packets: Option<u64>,
    /// Received, of those due in the steady part.
    pub steady_received_packets: Option<u64>,
    /// Received in the steady part itself: fewer than those due in it where a queue fills.
    pub steady_on_time_packets: Option<u64>,
    /// Periods of consecutive losses.
    pub loss_periods: Option<LossPeriodRecord>,
    /// Times without an arrival while packets were sent.
    pub outages: Option<Vec<OutageRecord>>,
    /// Every time of 50 ms or more without an arrival: what outages are made of.
    pub silences: Vec<SilenceRecord>,
    /// What TCP did; null for UDP and for probes.
    pub tcp: Option<TcpRecord>,
    /// Round trips of the probes; in the trial's first row.
    pub rtt_us: Option<Percentiles>,
    /// One-way delay variation: the 99.9th percentile less the least (ITU-T Y.1540).
    pub jitter_us: Option<f64>,
    /// RFC 3550's jitter, which iperf calls jitter: another thing.
    pub jitter_rfc3550_us: Option<f64>,
    /// Probes that were sent this way; of the reverse, replies.
    pub probe_sent_packets: Option<u64>,
    /// Probes that came this way, each once; of the reverse, replies.
    pub probe_received_packets: Option<u64>,
    /// The differentiated services code point that packets were marked with, 0 to 63.
    pub dscp: u8,
    /// Probes that came this way marked otherwise than they were sent; of the reverse, replies.
    /// Null where the receiving end could not tell.
    pub probe_remarked_packets: Option<u64>,
    /// What the last of those was marked with; null where there was none.
    pub dscp_received: Option<u8>,
    /// Probes that left too late to tell a delay; in the trial's first row.
    pub probe_late_packets: Option<u64>,
    /// How the exchanges that delays are read from were stamped; in the trial's first row. Null
    /// where none came back.
    pub stamping: Option<StampingRecord>,
    /// How far the agent's clock is ahead of the driver's; in the trial's first row.
    pub clock_offset_us: Option<f64>,
    /// The bound of that offset's error.
    pub clock_offset_error_us: Option<f64>,
    /// How often the two clocks' relation jumped; in the trial's first row.
    pub clock_jumps: Option<u64>,
    /// How fast the far clock runs against the near one, by this direction's probes.
    pub clock_skew_ppm: Option<f64>,
    /// How late packets left: those that left in a train, behind the time of its last one; null for
    /// probes.
    pub send_lateness_us: Option<Percentiles>,
    /// How the load left and came; null for probes and TCP, and where both ends' accounts are
    /// missing.
    #[serde(default)]
    pub sending: Option<SendingRecord>,
    /// Sent packets by the second in which they were due.
    pub sent_by_second: Vec<u64>,
    /// Received packets by the second in which they arrived, from the first one's arrival.
    pub received_by_second: Vec<u64>,
    /// The round trips, all of them; in the trial's first row.
    pub rtt_delays: Option<DelaysRecord>,
    /// One-way delays above their floor, all of them.
    pub variation_delays: DelaysRecord,
    /// What the sending host reports against itself.
    pub sender_host: HostRecord,
    /// What the receiving host reports against itself.
    pub receiver_host: HostRecord,
}

/// How a UDP load left one host and came to the other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SendingRecord {
    /// The most packets of a stream that were to leave at once: the burst bound.
    pub burst_packets: u32,
    /// The most that did, trains and what was handed over at once in a capacity trial alike.
    pub burst_packets_seen: Option<u32>,
    /// Of the sent packets, those that left in trains which the kernel or the device cut: 0 where
    /// packets leave one by one, and fewer than were sent where the kernel would not cut them.
    pub segmented_packets: Option<u64>,
    /// How the sender waited for each packet's time.
    pub waiting: Option<WaitingRecord>,
    /// Octets of the socket's send buffer that the kernel granted, which are twice what a program
    /// may ask for, its own needs among them: 16 MiB are asked. Of several streams, the least.
    pub send_buffer_bytes: Option<u64>,
    /// The same of the receive buffer.
    pub receive_buffer_bytes: Option<u64>,
}

/// How a sender waits for a packet's time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingRecord {
    /// Asleep, then awake for the last 60 us, ahead of the other threads of its host.
    AwakeFirst,
    /// Asleep, then awake for the last 60 us.
    Awake,
    /// Asleep alone: the host has fewer processors than the trial has threads there.
    Asleep,
}

/// How probes and replies were stamped.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StampMethod {
    /// By both kernels, or by the network cards of which each host tells, when they left and when
    /// they came: what the programs take is in no delay.
    #[serde(rename = "kernel transmit and receive stamps")]
    Kernel,
    /// A kernel, or the driver of its device, told no time of leaving: there the program's reading
    /// of the clock before it sent stands, and the time from then on is in the delay.
    #[serde(rename = "user-space transmit stamps")]
    UserSpaceTransmit,
}

/// What stamped the exchanges that delays are read from, each of four stamps. Where the kernel gave
/// none the program's reading of the clock stands, which makes a delay longer, never shorter.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct StampingRecord {
    /// How they were stamped, where all went well.
    pub method: StampMethod,
    /// Probes that came back and did not leave late.
    pub exchanges: u64,
    /// Those with all four stamps by the kernels; the others are less exact.
    pub by_kernel: u64,
    /// Those whose probe's leaving the driver's kernel stamped.
    pub probe_left_by_kernel: u64,
    /// Those whose probe's coming the agent's kernel stamped.
    pub probe_came_by_kernel: u64,
    /// Those whose reply's leaving the agent's kernel stamped, and a later reply told when.
    pub reply_left_by_kernel: u64,
    /// Those whose reply's coming the driver's kernel stamped.
    pub reply_came_by_kernel: u64,
}

/// TCP in one direction of a trial, all streams together. What was sent again, what was sent again
/// for nothing and what came out of order stand apart: none of them is loss.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct TcpRecord {
    /// Octets of the largest IP packet that crosses the path.
    pub path_mtu_bytes: u32,
    /// The congestion control that was asked for.
    pub congestion_control_asked: String,
    /// The one that the sending kernel used; null where its account is missing.
    pub congestion_control: Option<String>,
    /// Octets of payload that the sending kernel took.
    pub sent_bytes: Option<u64>,
    /// Octets of payload that came.
    pub received_bytes: Option<u64>,
    /// Whether every stream came to its end.
    pub ended: Option<bool>,
    /// What was cut off before the goodput, so that TCP could warm up.
    pub warm_up_s: Option<f64>,
    /// The median of the payload that came in each whole second behind the warm-up.
    pub goodput_p50_bit_s: Option<u64>,
    /// How many seconds those were.
    pub goodput_seconds: Option<u64>,
    /// Payload that came by the second, from the first arrival.
    pub received_bytes_by_second: Vec<u64>,
    /// When the first came, in nanoseconds of the receiver's clock.
    pub began_ns: Option<u64>,
    /// The share of the octets sent that were sent again.
    pub retransmit_ratio: Option<f64>,
    /// What the sending kernel knew in the end.
    pub info: Option<TcpInfoRecord>,
    /// What it knew before, each second, and after.
    pub samples: Vec<TcpSampleRecord>,
    /// The streams' smoothed round trips as the sending kernel saw them, each 100 ms.
    pub rtt_us: Option<Percentiles>,
    /// How long the sending threads were kept from their work, because their host was stopped or
    /// busy: the times of 50 ms and more, of all streams together.
    pub held_up_s: Option<f64>,
    /// The idle line's round trip, which buffers were to span; null where it was not known.
    pub round_trip_us: Option<f64>,
    /// The send buffer: of several streams the one that falls shortest.
    pub send_buffer: Option<TcpBufferRecord>,
    /// The receive buffer, likewise.
    pub receive_buffer: Option<TcpBufferRecord>,
    /// Whether receivers were to compare what came with what was sent.
    pub verify: bool,
    /// Octets that were compared.
    pub checked_bytes: Option<u64>,
    /// Of those: octets that are others than were sent.
    pub damaged_bytes: Option<u64>,
    /// Where the first damage was found; null where there is none.
    pub damage: Option<TcpDamageRecord>,
    /// Why a stream ended before its time.
    pub broken: Option<String>,
    /// Why the sending host could not send a stream at all.
    pub refused: Option<String>,
}

/// A buffer of a TCP connection, in octets as the kernel counts them: twice the payload.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TcpBufferRecord {
    /// What the rate times the round trip needs.
    pub needed_bytes: u64,
    /// How far its host's kernel lets it grow by itself.
    pub tuned_max_bytes: Option<u64>,
    /// What it was set to; null where the kernel was left to tune it.
    pub granted_bytes: Option<u64>,
    /// Why it is less than is needed; null where it is not.
    pub reason: Option<String>,
}

/// Damage in a TCP stream that its checksums did not show.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TcpDamageRecord {
    /// The stream, counted from 1, forward before reverse.
    pub stream: u32,
    /// Octets of the stream before the first damaged one.
    pub first_byte: u64,
    /// Octets of the stream before the last damaged one.
    pub last_byte: u64,
}

/// What the sending kernel knows of its TCP streams (`TCP_INFO`): times and counts of all of them
/// summed. Null where the kernel is too old to tell.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TcpInfoRecord {
    /// The greatest smoothed round trip.
    pub rtt_us: u64,
    /// The least round trip.
    pub min_rtt_us: Option<u64>,
    /// Congestion windows, in segments.
    pub cwnd_segments: u64,
    /// Payload of a full segment.
    pub mss_bytes: u32,
    /// Whether segments carry timestamps.
    pub timestamps: bool,
    /// Segments sent again.
    pub retransmitted_segments: u64,
    /// Octets sent, those sent again among them.
    pub sent_bytes: Option<u64>,
    /// Octets sent again.
    pub retransmitted_bytes: Option<u64>,
    /// Segments that the receiver had already: sent again for nothing.
    pub duplicate_segments: Option<u64>,
    /// How often segments were seen out of order.
    pub reordered: Option<u64>,
    /// Time with something to send.
    pub busy_us: Option<u64>,
    /// Of that: limited by the receiver's window.
    pub receiver_limited_us: Option<u64>,
    /// Of that: limited by the sender's own buffer.
    pub buffer_limited_us: Option<u64>,
}

/// A second of all TCP streams of a direction, which were looked at each 100 ms of it. Null where
/// the kernel is too old to tell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct TcpSampleRecord {
    /// Streams that were asked.
    pub streams: u64,
    /// The sum of their smoothed round trips at its end.
    pub rtt_us_sum: u64,
    /// The least of them in it; 0 where there was none.
    pub rtt_us_min: u64,
    /// The greatest of them in it.
    pub rtt_us_max: u64,
    /// The sum of their congestion windows at its end, in segments.
    pub cwnd_segments: u64,
    /// The sum of the greatest congestion window of each in it.
    pub cwnd_max_segments: u64,
    /// Segments sent again so far.
    pub retransmitted_segments: u64,
    /// Of those: segments that the receiver had already, sent again for nothing.
    pub duplicate_segments: Option<u64>,
    /// How often segments were seen out of order so far.
    pub reordered: Option<u64>,
    /// Time with something to send, so far.
    pub busy_us: Option<u64>,
    /// Of that: limited by the receiver's window.
    pub receiver_limited_us: Option<u64>,
    /// Of that: limited by the sender's own buffer.
    pub buffer_limited_us: Option<u64>,
}

/// Losses in their pattern (RFC 3357).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LossPeriodRecord {
    /// Runs of consecutive losses, late packets among them.
    pub count: u64,
    /// Packets of the longest.
    pub longest: u64,
    /// The sum of the squares of their lengths, in decimal digits: it may exceed 64 bit.
    pub squares: String,
    /// The same losses in clusters, for each reach that is kept: bounds on loss are those of the
    /// greatest reach that is at most a tenth of the packets sent for each one lost. The periods
    /// are the clusters of reach 1.
    pub clusters: Vec<LossClusterRecord>,
}

/// Losses in clusters: what bounds on loss take for one event.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LossClusterRecord {
    /// Losses of a cluster have fewer packets that arrived than this between each and the next.
    pub reach_packets: u64,
    /// How many clusters there are.
    pub count: u64,
    /// The sum of the squares of the packets that each lost, in decimal digits.
    pub squares: String,
}

/// A time without an arrival while packets were sent.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct OutageRecord {
    /// When it began, in seconds after the trial's first packet would have arrived.
    pub start_s: f64,
    /// From the last arrival before to the first after it.
    pub duration_s: f64,
    /// Packets that it swallowed; null where the sender's account is missing.
    pub packets: Option<u64>,
}

/// A time without an arrival, in nanoseconds of the receiver's clock.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SilenceRecord {
    /// The last arrival before.
    pub start_ns: u64,
    /// The next arrival.
    pub end_ns: u64,
    /// Packets that were sent in it and never came, or came too late.
    pub packets: u64,
    /// Whether anything was sent in it.
    pub offered: bool,
}

/// Delays as they were counted.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct DelaysRecord {
    /// `HdrHistogram` V2 in nanoseconds, base64; empty where there is none.
    pub histogram: String,
    /// How many never ended, because the packet was lost.
    pub lost: u64,
    /// The least, exactly.
    pub min_ns: Option<u64>,
    /// The greatest, exactly.
    pub max_ns: Option<u64>,
}

/// A distribution in microseconds, over all that was sent: a lost packet is infinitely late, so
/// a percentile beyond the share that came is null.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Percentiles {
    /// The least.
    pub min: Option<f64>,
    /// Half are at most this.
    pub p50: Option<f64>,
    /// 90 % are at most this.
    pub p90: Option<f64>,
    /// 95 % are at most this.
    pub p95: Option<f64>,
    /// 99 % are at most this.
    pub p99: Option<f64>,
    /// 99.9 % are at most this.
    pub p999: Option<f64>,
    /// The greatest of those that came.
    pub max: Option<f64>,
    /// How many there were, lost ones included.
    pub samples: u64,
    /// How many of them were lost.
    pub lost: u64,
}

/// What a host reports against itself while a trial ran.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct HostRecord {
    /// Packets that its interface's queue dropped.
    pub queue_drops: u64,
    /// Packets that its kernel dropped before any socket.
    pub kernel_drops: u64,
    /// Datagrams with a wrong UDP checksum.
    pub checksum_errors: u64,
    /// Steps of its wall clock.
    pub clock_steps: u64,
    /// The noise floor of its stamps: from the kernel's stamp of leaving to that of coming, of a
    /// datagram that it sends itself over loopback before the trial; the 99th percentile of a
    /// hundred. Null where that was not found out.
    pub stamp_noise_ns: Option<u64>,
    /// Its probes and replies were stamped by its network card, and not by its kernel; absent where
    /// they were not. Not tested on hardware.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub card_stamps: bool,
}

/// Something that this tester cannot vouch for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct CaveatRecord {
    /// The metrics that it touches.
    pub metrics: Vec<String>,
    /// The direction that it touches; null for all.
    pub direction: Option<Direction>,
    /// The far end.
    pub site: String,
    /// The trial that it touches: its place in the run, from 0; null for none alone.
    pub trial: Option<usize>,
    /// `can_only_worsen` or `either`.
    pub bias: String,
    /// How many packets it may explain, where that is known.
    pub packets: Option<u64>,
    /// What happened, and what to do.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema in the repository is that of the types. To accept a change of the interface:
    /// `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_schema_in_the_repository_is_that_of_the_types() {
        let schema = schemars::schema_for!(Report);
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/report.schema.json");
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(path, &text).expect("the schema is writable");
        }
        let kept = std::fs::read_to_string(path).expect("the schema is there");
        assert_eq!(kept, text, "report.schema.json is not that of the types");
    }
}
