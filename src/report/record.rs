//! The record: `report.json`. Names and units here are an interface; scripts read them.

use super::Run;
use crate::doubt::{Bias, Doubt};
use crate::flow::{Half, HostLimits, Outcome, Status};
use crate::metric::{Measured, bound, float, micros, outage_min, unit};
use crate::plan::{Aim, Bound, Direction, Load, Offer};
use crate::stats::delays::{Delay, Delays};
use crate::stats::periods::Clusters;
use crate::stats::periods::LossPeriods;
use crate::units::{BitRate, Framing, IpVersion, Layer, Span};
use crate::verdict::{Finding, Verdict, overall};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format's name and version: a later one only adds fields.
pub const FORMAT: &str = "linkqual-report/1";

/// A run's evidence and its verdict.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Report {
    /// "linkqual-report/1".
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
    /// The link.
    pub link: LinkRecord,
    /// What was asked for, and what the agent allows.
    pub asked: Asked,
    /// What was decided for the user.
    pub notes: Vec<String>,
    /// Each requirement, judged.
    pub findings: Vec<FindingRecord>,
    /// Each trial and direction, counted.
    pub trials: Vec<TrialRecord>,
    /// What this tester cannot vouch for.
    pub doubts: Vec<DoubtRecord>,
}

/// The link that a report is about.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LinkRecord {
    /// The agent: address and port.
    pub agent: String,
    /// The provider's name of the circuit.
    pub circuit: Option<String>,
    /// The version of IP.
    pub ip: IpVersion,
    /// 802.1Q tags that rates count.
    pub vlan_tags: u8,
    /// Further octets of each packet that rates count.
    pub extra_overhead_bytes: u16,
}

/// What was asked for, and what the agent allows.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Asked {
    /// The load's rate; `"max"`, or null where there is none.
    pub rate: Option<String>,
    /// The layer that every rate counts.
    pub rate_layer: Layer,
    /// The confidence of each one-sided bound.
    pub confidence: f64,
    /// What is required.
    pub requirements: Vec<RequirementRecord>,
    /// The highest rate that the agent allows, in bit/s at L2.
    pub granted_rate_max_bit_s: Option<u64>,
    /// The longest load that the agent allows.
    pub granted_duration_max_s: Option<f64>,
}

/// One requirement, as it was written.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RequirementRecord {
    /// The metric.
    pub metric: String,
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
    /// throughput, loss, `rtt_p99`, jitter or outage.
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
    /// idle, udp or tcp.
    pub kind: TrialKind,
    /// The direction of these counts.
    pub direction: Direction,
    /// How far it came.
    pub status: StatusRecord,
    /// Why it came no farther.
    pub reason: Option<String>,
    /// How long packets were due.
    pub duration_s: f64,
    /// Load streams in this direction.
    pub streams: u32,
    /// UDP payload of each load packet.
    pub payload_bytes: Option<u32>,
    /// Load packets that were due each second.
    pub offered_packets_s: Option<u64>,
    /// UDP payload that was to be sent.
    pub offered_bit_s: Option<u64>,
    /// UDP payload that came, in the trial's steady part.
    pub goodput_bit_s: Option<u64>,
    /// Whether the load was to go as fast as possible, so that its loss and delay are not judged.
    pub capacity: bool,
    /// Accepted by the sending kernel.
    pub sent_packets: Option<u64>,
    /// Refused by the sending host's own stack: never sent.
    pub refused_packets: Option<u64>,
    /// Answered with ICMP errors: never sent.
    pub unreachable_packets: Option<u64>,
    /// Came in time, each counted once.
    pub received_packets: Option<u64>,
    /// Never came.
    pub lost_packets: Option<u64>,
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
    /// Probes that left too late to tell a delay; in the trial's first row.
    pub probe_late_packets: Option<u64>,
    /// How far the agent's clock is ahead of the driver's; in the trial's first row.
    pub clock_offset_us: Option<f64>,
    /// The bound of that offset's error.
    pub clock_offset_error_us: Option<f64>,
    /// How fast the far clock runs against the near one, by this direction's probes.
    pub clock_skew_ppm: Option<f64>,
    /// How late packets left; null for probes.
    pub send_lateness_us: Option<Percentiles>,
    /// Sent packets by the second in which they were due.
    pub sent_by_second: Vec<u64>,
    /// Received packets by the second in which they arrived, from the first one's arrival.
    pub received_by_second: Vec<u64>,
    /// The round trips: `HdrHistogram` V2 in nanoseconds, base64; in the trial's first row.
    pub rtt_histogram: Option<String>,
    /// One-way delays above their floor: `HdrHistogram` V2 in nanoseconds, base64.
    pub variation_histogram: Option<String>,
    /// One-way delays that are infinite: probes lost this way.
    pub variation_lost: u64,
    /// What the sending host reports against itself.
    pub sender_host: HostRecord,
    /// What the receiving host reports against itself.
    pub receiver_host: HostRecord,
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
}

/// Something that this tester cannot vouch for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct DoubtRecord {
    /// The metrics that it touches.
    pub metrics: Vec<String>,
    /// The direction that it touches; null for all.
    pub direction: Option<Direction>,
    /// The trial that it touches: its place in the run, from 0.
    pub trial: usize,
    /// `can_only_worsen` or `either`.
    pub bias: String,
    /// How many packets it may explain, where that is known.
    pub packets: Option<u64>,
    /// What happened, and what to do.
    pub text: String,
}

pub(super) fn report(run: &Run, findings: &[Finding], doubts: &[Doubt]) -> Report {
    let terms = &run.terms;
    let requirement = |requirement: crate::plan::Requirement| RequirementRecord {
        metric: requirement.metric().name().to_owned(),
        bound: requirement.to_string(),
    };
    let verdict = match overall(findings) {
        Verdict::Pass if !run.complete => Verdict::Inconclusive,
        verdict => verdict,
    };
    Report {
        format: FORMAT.to_owned(),
        verdict,
        complete: run.complete,
        reason: run.reason.clone(),
        program: concat!("linkqual ", env!("CARGO_PKG_VERSION")).to_owned(),
        run: run.id.clone(),
        started_at: date(run.started_ns),
        ended_at: date(run.ended_ns),
        link: LinkRecord {
            agent: run.agent.clone(),
            circuit: run.check.circuit.clone(),
            ip: terms.framing.ip,
            vlan_tags: terms.framing.vlan_tags,
            extra_overhead_bytes: terms.framing.extra_overhead_octets,
        },
        asked: Asked {
            rate: run.check.offer.map(|offer| match offer {
                Offer::Rate(rate) => rate.to_string(),
                Offer::Max => "max".to_owned(),
            }),
            rate_layer: terms.layer,
            confidence: terms.confidence.value(),
            requirements: terms.requirements.iter().map(requirement).collect(),
            granted_rate_max_bit_s: run.limits.map(|limits| limits.rate_max.bits_per_second()),
            granted_duration_max_s: run.limits.map(|limits| limits.duration_max.as_secs()),
        },
        notes: run.notes.clone(),
        findings: findings.iter().map(finding).collect(),
        trials: trials(&run.outcomes, terms.framing),
        doubts: doubts.iter().map(doubt).collect(),
    }
}

fn finding(finding: &Finding) -> FindingRecord {
    let metric = finding.requirement.metric();
    let (value, low, high) = match &finding.measured {
        Measured::Sampled { value, low, high, .. } => (*value, *low, *high),
        Measured::Counted { value, .. } => (Some(*value), None, None),
        Measured::Missing(_) => (None, None, None),
    };
    let bound = bound(finding.requirement);
    FindingRecord {
        metric: metric.name().to_owned(),
        direction: finding.direction.map_or_else(|| "round-trip".into(), |way| way.to_string()),
        relation: match bound {
            Bound::AtMost(_) => BoundText::AtMost,
            Bound::AtLeast(_) => BoundText::AtLeast,
        },
        bound: bound.limit(),
        value,
        low,
        high,
        unit: unit(metric).to_owned(),
        verdict: finding.verdict,
        reason: finding.reason.clone(),
        trial: finding.trial,
    }
}

fn doubt(doubt: &Doubt) -> DoubtRecord {
    let (bias, packets) = match doubt.bias {
        Bias::CanOnlyWorsen => ("can_only_worsen", None),
        Bias::CanOnlyWorsenBy(packets) => ("can_only_worsen", Some(packets)),
        Bias::Either => ("either", None),
    };
    DoubtRecord {
        metrics: doubt.metrics.iter().map(|metric| metric.name().to_owned()).collect(),
        direction: doubt.direction,
        trial: doubt.trial,
        bias: bias.to_owned(),
        packets,
        text: doubt.text.clone(),
    }
}

fn trials(outcomes: &[Outcome], framing: Framing) -> Vec<TrialRecord> {
    let rows = |(number, outcome): (usize, &Outcome)| -> Vec<TrialRecord> {
        let covered = |direction: &Direction| outcome.trial.covers(*direction);
        let directions = Direction::ALL.into_iter().filter(covered).enumerate();
        directions
            .map(|(place, direction)| row(number, outcome, direction, place == 0, framing))
            .collect()
    };
    outcomes.iter().enumerate().flat_map(rows).collect()
}

fn row(
    number: usize,
    outcome: &Outcome,
    direction: Direction,
    is_first: bool,
    framing: Framing,
) -> TrialRecord {
    let half = outcome.half(direction);
    let load = outcome.trial.load();
    let (sent, came) = (half.sent.as_ref(), half.came.as_ref());
    // The receiver alone does not know what was sent behind the last that came.
    let judged = came.filter(|_| sent.is_some());
    let (sender, receiver) = match direction {
        Direction::Forward => (&outcome.driver, &outcome.agent),
        Direction::Reverse => (&outcome.agent, &outcome.driver),
    };
    let first = |number: Option<f64>| number.filter(|_| is_first);
    let payload_rate = |packets, span| {
        let load: &Load = load?;
        framing.bit_rate(packets, span, Layer::L4, load.payload()).map(BitRate::bits_per_second)
    };
    let second = Span::from_secs(1);
    let steady = crate::flow::Steady::of(outcome.trial.duration());
    let steady = load.map_or(second, |load| steady.span(load.stream_rate()));
    let offset = outcome.offset.filter(|_| is_first);
    TrialRecord {
        trial: number,
        kind: if load.is_some() { TrialKind::Udp } else { TrialKind::Idle },
        direction,
        status: status(outcome.status),
        reason: outcome.reason.clone(),
        duration_s: outcome.trial.duration().as_secs(),
        streams: load.map_or(0, Load::streams),
        payload_bytes: load.map(Load::payload),
        offered_packets_s: load.map(|load| load.rate().per_second()),
        offered_bit_s: load.and_then(|load| payload_rate(load.rate().per_second(), second)),
        goodput_bit_s: load.and(came).map(|came| payload_rate(came.steady, steady).unwrap_or(0)),
        capacity: load.is_some_and(|load| load.aim() == Aim::Capacity),
        sent_packets: sent.map(|sent| sent.sent),
        refused_packets: sent.map(|sent| sent.refused),
        unreachable_packets: sent.map(|sent| sent.unreachable),
        received_packets: came.map(|came| came.received),
        lost_packets: judged.map(crate::flow::Tally::lost),
        duplicate_packets: came.map(|came| came.duplicate),
        reordered_packets: came.map(|came| came.reordered),
        late_packets: came.map(|came| came.late),
        host_dropped_packets: came.map(|came| came.host_dropped),
        unattributed_packets: came.map(|came| came.unattributed),
        lost_in_catch_up_packets: judged.map(|came| came.lost_in_excess),
        paused_packets: sent.map(|sent| sent.paused),
        skipped_packets: sent.map(|sent| sent.skipped),
        rejected_packets: came.map(|came| came.rejected),
        steady_sent_packets: load.and(sent).map(|sent| sent.steady),
        steady_received_packets: load.and(came).map(|came| came.steady),
        steady_on_time_packets: load.and(came).map(|came| came.steady_on_time),
        loss_periods: judged.map(|came| loss_periods(&came.periods)),
        outages: came.map(|_| outages(outcome, half)),
        rtt_us: is_first.then(|| percentiles(&outcome.round_trip)).flatten(),
        jitter_us: finite(half.probing.variation.quantile(0.999)),
        jitter_rfc3550_us: half.probing.jitter_rfc3550_ns.map(|nanos| nanos / 1e3),
        probe_sent_packets: half.probing.sent,
        probe_received_packets: half.probing.received,
        probe_late_packets: is_first.then_some(outcome.late_probes),
        clock_offset_us: offset.map(|offset| signed_micros(offset.agent_ahead_ns())),
        clock_offset_error_us: first(offset.map(|offset| micros(offset.error_ns()))),
        clock_skew_ppm: half.probing.skew_ppm,
        send_lateness_us: load.and(sent).and_then(|sent| percentiles(&sent.lateness)),
        sent_by_second: sent.map_or_else(Vec::new, |sent| sent.per_second.counts().to_vec()),
        received_by_second: came.map_or_else(Vec::new, |came| came.per_second.counts().to_vec()),
        rtt_histogram: is_first.then(|| histogram(&outcome.round_trip)).flatten(),
        variation_histogram: histogram(&half.probing.variation),
        variation_lost: half.probing.variation.infinite(),
        sender_host: host(sender),
        receiver_host: host(receiver),
    }
}

fn cluster((reach_packets, clusters): (u64, Clusters)) -> LossClusterRecord {
    let Clusters { count, sum_of_squares, .. } = clusters;
    LossClusterRecord { reach_packets, count, squares: sum_of_squares.to_string() }
}

/// Losses in their pattern, as the record tells it.
fn loss_periods(periods: &LossPeriods) -> LossPeriodRecord {
    LossPeriodRecord {
        count: periods.periods(),
        longest: periods.longest(),
        squares: periods.sum_of_squares().to_string(),
        clusters: periods.wider().map(cluster).collect(),
    }
}

const fn status(status: Status) -> StatusRecord {
    match status {
        Status::Ok => StatusRecord::Ok,
        Status::Partial => StatusRecord::Partial,
        Status::Refused => StatusRecord::Refused,
        Status::NotRun => StatusRecord::NotRun,
    }
}

fn outages(outcome: &Outcome, half: &Half) -> Vec<OutageRecord> {
    let began_ns = half.came.as_ref().and_then(|came| came.began_ns).unwrap_or(0);
    half.gaps
        .outages(outage_min(outcome))
        .map(|gap| OutageRecord {
            start_s: Span::from_nanos(gap.start_ns.saturating_sub(began_ns)).as_secs(),
            duration_s: gap.span().as_secs(),
            packets: half.sent.as_ref().map(|_| gap.packets),
        })
        .collect()
}

fn percentiles(delays: &Delays) -> Option<Percentiles> {
    if delays.total() == 0 {
        return None;
    }
    let quantile = |q| finite(delays.quantile(q));
    Some(Percentiles {
        min: delays.min_ns().map(micros),
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: delays.max_ns().map(micros),
        samples: delays.total(),
        lost: delays.infinite(),
    })
}

fn finite(delay: Option<Delay>) -> Option<f64> {
    match delay {
        Some(Delay::Finite(nanos)) => Some(micros(nanos)),
        Some(Delay::Infinite) | None => None,
    }
}

fn histogram(delays: &Delays) -> Option<String> {
    (0 < delays.measured()).then(|| delays.to_base64())
}

fn signed_micros(nanos: i64) -> f64 {
    let magnitude = float(nanos.unsigned_abs()) / 1e3;
    if nanos < 0 { -magnitude } else { magnitude }
}

const fn host(host: &HostLimits) -> HostRecord {
    let HostLimits { queue_drops, kernel_drops, checksum_errors, clock_steps } = *host;
    HostRecord { queue_drops, kernel_drops, checksum_errors, clock_steps }
}

/// RFC 3339, UTC, to the second.
fn date(wall_ns: u64) -> String {
    let seconds = i64::try_from(wall_ns / 1_000_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "unknown".to_owned(), |date| date.to_string())
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

    #[test]
    fn a_date_is_rfc_3339() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(1_767_225_600_500_000_000), "2026-01-01T00:00:00Z");
    }
}
