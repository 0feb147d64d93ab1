//! The record: `report.json`. Names and units here are an interface; scripts, the history and
//! certificates read them. `docs/report.md` is made of these types.
//!
//! A run has links, a link has sites, a site has trials, and a trial has what both ends counted, as
//! they counted it ([`crate::account`]). Findings, caveats and figures follow from that.

use crate::account::{AskedTrial, HostFacts, OneWayCounts, Outcome, PathMtu};
use crate::direction::{Direction, PerDirection};
use crate::framing::{IpVersion, Layer};
use crate::plan::Link;
use crate::units::BitRate;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// The format's name and version: later programs of this version only add fields.
pub const FORMAT: &str = "linkqual-report/3";

/// A run's evidence and its verdict.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// "linkqual-report/3".
    pub format: String,
    /// The worst of the findings; without any, INCONCLUSIVE.
    pub verdict: Verdict,
    /// Whether all that was to run has run to its end.
    pub complete: bool,
    /// Why it is not complete; null where it is.
    pub reason: Option<String>,
    /// The program that wrote this, with its version.
    pub program: String,
    /// The run's id, 32 hexadecimal digits.
    pub run: String,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// When this was written: RFC 3339, UTC.
    pub ended_at: String,
    /// The plan file that was run or judged by; null where there was none.
    pub plan: Option<PlanRecord>,
    /// The driver's host; null in records of before format 3.
    pub driver_host: Option<HostFacts>,
    /// What is required.
    pub asked: Asked,
    /// What was decided for the user.
    pub notes: Vec<String>,
    /// Each requirement, judged.
    pub findings: Vec<FindingRecord>,
    /// What limits the evidence, and what it touches.
    pub caveats: Vec<CaveatRecord>,
    /// The links, with their sites and trials.
    pub links: Vec<LinkRecord>,
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

    /// Every site, with its link, in their order.
    pub fn sites(&self) -> impl Iterator<Item = (&LinkRecord, &SiteRecord)> {
        self.links.iter().flat_map(|link| link.sites.iter().map(move |site| (link, site)))
    }

    /// Every trial and direction, in their order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.sites().flat_map(|(link, site)| {
            site.trials.iter().flat_map(move |trial| {
                Direction::ALL.map(|direction| Row { link, site, trial, direction })
            })
        })
    }
}

/// One trial and direction, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its link.
    pub link: &'a LinkRecord,
    /// Its site.
    pub site: &'a SiteRecord,
    /// The trial.
    pub trial: &'a TrialRecord,
    /// The direction.
    pub direction: Direction,
}

impl<'a> Row<'a> {
    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &'a OneWayCounts {
        self.trial.outcome.one_way(self.direction)
    }

    /// What follows from it.
    #[must_use]
    pub const fn figures(&self) -> &'a DirectionFigures {
        match self.direction {
            Direction::Forward => &self.trial.figures.forward,
            Direction::Reverse => &self.trial.figures.reverse,
        }
    }
}

/// A plan file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanRecord {
    /// Its name, as it was given.
    pub file: String,
    /// SHA-256 of its octets, 64 hexadecimal digits.
    pub sha256: String,
    /// Its text; null in records of before format 3.
    #[serde(default)]
    pub text: Option<String>,
}

/// A link that a report is about.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkRecord {
    /// What its users call it.
    pub name: Option<String>,
    /// The provider's name of the circuit.
    pub circuit: Option<String>,
    /// The port rate in bit/s, at `rate_layer`.
    pub port_rate_bit_s: Option<u64>,
    /// The committed rate in bit/s, at `rate_layer`, by direction.
    pub committed_bit_s: PerDirection<Option<u64>>,
    /// The layer at which every rate of the plan and of findings is counted.
    pub rate_layer: Layer,
    /// 802.1Q tags that those rates include.
    pub vlan_tags: u8,
    /// Further octets of each packet that those rates include.
    pub extra_overhead_octets: u16,
    /// Its sites.
    pub sites: Vec<SiteRecord>,
}

impl LinkRecord {
    /// The record of `link`, without its sites.
    pub(super) fn of(link: &Link) -> Self {
        let bits = |rate: Option<BitRate>| rate.map(BitRate::bits_per_second);
        let committed = |direction| bits(*link.committed.get(direction));
        Self {
            name: link.name.clone(),
            circuit: link.circuit.clone(),
            port_rate_bit_s: bits(link.port_rate),
            committed_bit_s: PerDirection::from_fn(committed),
            rate_layer: link.layer,
            vlan_tags: link.vlan_tags,
            extra_overhead_octets: link.extra_overhead_octets,
            sites: Vec::new(),
        }
    }
}

/// A site at the far end of the link, its agent, and what was run towards it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SiteRecord {
    /// Its name; the agent's address where it has none of its own.
    pub site: String,
    /// The agent: host and port, as they were given.
    pub agent: String,
    /// The agent's address and port; null where the name did not resolve.
    pub address: Option<String>,
    /// The driver's address towards it; null where nothing was sent.
    pub driver_address: Option<String>,
    /// The agent's program, with its version; null where it did not answer.
    pub agent_program: Option<String>,
    /// The fingerprint of the driver's key towards it, "SHA256:" and base64; null where it is not
    /// known.
    pub driver_key: Option<String>,
    /// The fingerprint of the agent's key, likewise.
    pub agent_key: Option<String>,
    /// The agent's host; null where it is not known.
    pub agent_host: Option<HostFacts>,
    /// What the agent calls the driver's key.
    pub requested_by: Option<String>,
    /// The role that it gives that key.
    pub role: Option<String>,
    /// The version of IP.
    pub ip: IpVersion,
    /// Why nothing, or not all, was run towards it; null where all was.
    pub reason: Option<String>,
    /// The highest rate that the agent allows in one direction, in bit/s at L2.
    pub granted_rate_max_bit_s: Option<u64>,
    /// The longest load that the agent allows, in s.
    pub granted_duration_max_s: Option<f64>,
    /// The path MTU; null where it was not found out.
    pub path_mtu: Option<PathMtu>,
    /// The trials, in the order in which they ran.
    pub trials: Vec<TrialRecord>,
}

/// What is required.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asked {
    /// The confidence of each one-sided bound, 0.5 to 1.
    pub confidence: f64,
    /// Each requirement.
    pub requirements: Vec<RequirementRecord>,
}

/// One requirement, as it was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RequirementRecord {
    /// The metric.
    pub metric: String,
    /// forward, reverse or round-trip.
    pub direction: String,
    /// Its bound, such as "<= 20 ms".
    pub bound: String,
}

/// Which side of a bound is good.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum BoundText {
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
}

/// One requirement in one direction, judged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FindingRecord {
    /// The link: its place in `links`, from 0.
    pub link: usize,
    /// The site.
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
    /// One-sided lower bound of the true value, in `unit`; null where it was counted, or is not
    /// known.
    pub low: Option<f64>,
    /// One-sided upper bound of the true value, in `unit`; null likewise.
    pub high: Option<f64>,
    /// The unit of the four numbers.
    pub unit: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The trial whose evidence decided; null for none alone.
    pub trial: Option<usize>,
}

/// Something that limits the evidence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CaveatRecord {
    /// The link: its place in `links`, from 0.
    pub link: usize,
    /// The site.
    pub site: String,
    /// The metrics that it touches.
    pub metrics: Vec<String>,
    /// The direction that it touches; null for all.
    pub direction: Option<Direction>,
    /// The trial that it touches; null for none alone.
    pub trial: Option<usize>,
    /// `can_only_worsen` or `either`.
    pub bias: String,
    /// How many packets it may explain, where that is known.
    pub packets: Option<u64>,
    /// What happened, and what to do.
    pub text: String,
}

/// One trial: what was asked, what happened, and what follows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrialRecord {
    /// Its number: its place in the run, from 0.
    pub trial: usize,
    /// What was asked.
    pub asked: AskedTrial,
    /// When its first packet was due: RFC 3339, UTC; null where none was sent.
    pub started_at: Option<String>,
    /// When its last packet was due, likewise.
    pub ended_at: Option<String>,
    /// What happened: status, and what both ends counted of each direction and of the round trip.
    /// Of an idle trial the packets are its probes.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What follows from that, for people and for scripts.
    pub figures: TrialFigures,
}

/// What follows from a trial's counts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrialFigures {
    /// Driver to agent.
    pub forward: DirectionFigures,
    /// Agent to driver.
    pub reverse: DirectionFigures,
    /// The round trips of the probes; null where none was sent in time.
    pub rtt_us: Option<Percentiles>,
    /// How the exchanges that delays are read from were stamped; null where none was answered.
    pub timestamps: Option<TimestampMethod>,
}

impl TrialFigures {
    /// Those of one direction, to be filled in.
    pub const fn one_way_mut(&mut self, direction: Direction) -> &mut DirectionFigures {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }
}

/// What follows from the counts of one direction of a trial. What is not known is null, never 0.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DirectionFigures {
    /// Whether the trial tests this direction: an idle one tests both, a load those it is sent in.
    /// Of a direction that is not tested there are only probes.
    pub tested: bool,
    /// The worst of what this trial alone shows of this direction, and of the round trip; null
    /// where no requirement can be judged by it.
    pub verdict: Option<Verdict>,
    /// Why, where that is not PASS.
    pub verdict_reason: Option<String>,
    /// Payload (L4) that was to be sent, in bit/s.
    pub offered_bit_s: Option<u64>,
    /// Payload received in the trial's steady part, in bit/s; of TCP, the mean of its whole
    /// seconds.
    pub goodput_bit_s: Option<u64>,
    /// The 5th percentile of the payload received in each whole second, in bit/s.
    pub goodput_p5_bit_s: Option<u64>,
    /// The payload that is required of this load, in bit/s; null where none is.
    pub required_bit_s: Option<u64>,
    /// Goodput divided by what is required: 1 is just enough; null where nothing is.
    pub headroom_ratio: Option<f64>,
    /// Packets that never arrived and that the receiving host did not drop; null where an end's
    /// account is missing.
    pub lost: Option<u64>,
    /// Lost and late packets divided by those that the link had to deliver.
    pub loss_ratio: Option<f64>,
    /// Outages: times without an arrival while packets were sent; null where the receiver's account
    /// is missing.
    pub outages: Option<Vec<OutageRecord>>,
    /// One-way delay variation in us: the 99.9th percentile less the minimum (ITU-T Y.1540).
    pub jitter_us: Option<f64>,
    /// RFC 3550 jitter of the probes in us, which iperf calls jitter.
    pub jitter_rfc3550_us: Option<f64>,
    /// How late load packets were sent, in us; null for probes and TCP.
    pub send_lateness_us: Option<Percentiles>,
    /// The most packets of a stream that were to be sent at once: the burst bound; null for probes
    /// and TCP.
    pub burst_packets: Option<u32>,
    /// What follows for TCP; null for UDP and probes.
    pub tcp: Option<TcpFigures>,
}

/// What follows from the counts of TCP in one direction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TcpFigures {
    /// What was cut off before the goodput, so that TCP could warm up, in s.
    pub warm_up_s: Option<f64>,
    /// The median of the payload received in each whole second behind the warm-up, in bit/s.
    pub goodput_p50_bit_s: Option<u64>,
    /// How many seconds those were.
    pub goodput_seconds: Option<u64>,
    /// Octets retransmitted divided by octets sent.
    pub retransmit_ratio: Option<f64>,
    /// The streams' smoothed round trips as the sending kernel saw them, each 100 ms, in us.
    pub rtt_us: Option<Percentiles>,
}

/// How probes and replies were stamped.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TimestampMethod {
    /// By both kernels, or network cards, at departure and arrival: what the programs take is in
    /// no delay.
    Kernel,
    /// A kernel, or its device's driver, reported no time of departure: the program read the clock
    /// before it sent, and the time from then on is in the delay.
    UserSpaceTransmit,
}

/// A time without an arrival while packets were sent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutageRecord {
    /// When it began, in s after the trial's first packet arrived, or would have.
    pub start_s: f64,
    /// From the last arrival before to the first after it, in s.
    pub duration_s: f64,
    /// Packets lost in it; null where the sender's account is missing.
    pub packets: Option<u64>,
}

/// A distribution in microseconds, over all that was sent: a lost packet is infinitely late, so
/// a percentile beyond the share that arrived is null.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Percentiles {
    /// The minimum.
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
    /// The maximum of those that arrived.
    pub max: Option<f64>,
    /// How many there were, lost ones included.
    pub samples: u64,
    /// How many of them were lost.
    pub lost: u64,
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
