//! The record: `report.json`. Names and units here are an interface; scripts, the history and
//! certificates read them. `docs/report.md` describes every field, made of these types.
//!
//! A run has links, a link has sites, a site has trials, and a trial has what both ends counted, as
//! they counted it ([`crate::account`]). Findings, caveats and figures follow from that.

#[cfg(test)]
mod docs;

use super::date::wall_ns;
use crate::account::{AskedTrial, HostFacts, OneWayCounts, Outcome, PathMtu};
use crate::direction::{Direction, PerDirection};
use crate::framing::{IpVersion, Layer};
use crate::metric::{Basis, Metric};
use crate::plan::{Inventory, Link};
use crate::units::BitRate;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The format's name and version: later programs of this version only add fields.
///
/// A record of this version has to be readable for ever. A field that is added later is an `Option`
/// or has a serde default, because the records written before lack it: those in
/// `tests/it/golden/v3` are never made anew, and every build reads them.
pub const FORMAT: &str = "linkqual-report/3";

/// One run: what was asked, what was measured, and the verdict.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The format and its version: "linkqual-report/3".
    pub format: String,
    /// The worst verdict of the findings; INCONCLUSIVE if there are none. Derived.
    pub verdict: Verdict,
    /// Whether everything that was planned ran to its end.
    pub complete: bool,
    /// Why the run is not complete; null if it is.
    pub reason: Option<String>,
    /// The program that wrote the record, with its version.
    pub program: String,
    /// The run's identifier, 32 hexadecimal digits.
    pub run: String,
    /// When the run began: RFC 3339, UTC.
    pub started_at: String,
    /// When the record was written: RFC 3339, UTC.
    pub ended_at: String,
    /// The plan file that the run followed; null if there was none. Earlier programs wrote here
    /// what a record was judged by again.
    pub plan: Option<PlanRecord>,
    /// How the record was judged again; left out if it is as the run wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_again: Option<JudgedAgain>,
    /// The driver's host; null in records converted from format 2.
    pub driver_host: Option<HostFacts>,
    /// The requirements that the findings are judged by. Where links have different ones: those
    /// that all of them have, and `asked` of each link has all of its own.
    pub asked: Asked,
    /// Defaults and adjustments that linkqual chose for the user, one sentence each.
    pub notes: Vec<String>,
    /// Each requirement in each direction, judged. If the idle link decides a round trip, and that
    /// under load has another verdict, it follows. Derived.
    pub findings: Vec<FindingRecord>,
    /// What limits the evidence, and which findings it affects. Derived.
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

    /// When the run began, in nanoseconds since 1970; `None` where its date is none.
    #[must_use]
    pub fn started_ns(&self) -> Option<u64> {
        wall_ns(&self.started_at)
    }

    /// The same in seconds.
    #[must_use]
    pub fn started_s(&self) -> Option<i64> {
        i64::try_from(self.started_ns()? / 1_000_000_000).ok()
    }

    /// When the record was written, in nanoseconds since 1970; `None` where its date is none.
    #[must_use]
    pub fn ended_ns(&self) -> Option<u64> {
        wall_ns(&self.ended_at)
    }

    /// Every site, with its link, in their order.
    pub fn sites(&self) -> impl Iterator<Item = (&LinkRecord, &SiteRecord)> {
        self.links.iter().flat_map(|link| link.sites.iter().map(move |site| (link, site)))
    }

    /// The requirements that the link at `place` is judged by.
    #[must_use]
    pub fn asked_of(&self, place: usize) -> &Asked {
        let own = self.links.get(place).and_then(|link| link.asked.as_ref());
        own.unwrap_or(&self.asked)
    }

    /// The worst verdict of the findings on the link at `place`, as judging found it; `None` in an
    /// older record that was not judged again.
    #[must_use]
    pub fn verdict_on(&self, place: usize) -> Option<Verdict> {
        self.links.get(place)?.verdict
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

/// A later judgement of a record: the findings, the caveats, the figures and the verdict are those
/// of this judgement, by this program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JudgedAgain {
    /// When: RFC 3339, UTC, by the clock of the host that judged.
    pub at: String,
    /// The program that judged, with its version.
    pub program: String,
    /// The plan file whose requirements it was judged by; null if they are the run's own.
    pub plan: Option<PlanRecord>,
}

/// A plan file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanRecord {
    /// Its file name, as given on the command line.
    pub file: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// The text of the file; null in records converted from format 2.
    #[serde(default)]
    pub text: Option<String>,
}

/// A link under test.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkRecord {
    /// The name of the link in the plan.
    pub name: Option<String>,
    /// The provider's circuit ID.
    pub circuit: Option<String>,
    /// Who provides the link; null if not given.
    #[serde(default)]
    pub provider: Option<String>,
    /// The port rate in bit/s, at `rate_layer`; null if not given.
    pub port_rate_bit_s: Option<u64>,
    /// The committed rate in bit/s, at `rate_layer`, by direction; null if not given.
    pub committed_bit_s: PerDirection<Option<u64>>,
    /// The committed burst size (CBS) in octets, by direction: what a policer or shaper may carry
    /// beside the committed rate from a full bucket; null stands for 65536.
    #[serde(default)]
    pub committed_burst_octets: PerDirection<Option<u64>>,
    /// The layer at which the rates of the plan and of the findings are counted.
    pub rate_layer: Layer,
    /// Number of 802.1Q tags per frame that those rates include.
    pub vlan_tags: u8,
    /// Further octets per packet that those rates include.
    pub extra_overhead_octets: u16,
    /// What else is known of the link.
    #[serde(flatten)]
    pub inventory: Inventory,
    /// The worst verdict of the findings on this link; INCONCLUSIVE if there are none. Derived;
    /// null in older records.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Whether everything that was planned on this link ran to its end; left out if the plan has no
    /// other: see `complete` of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Why it did not; left out if it did, or if the plan has no other link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The requirements that the link is judged by; left out if they are those of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The sites at the far end of the link.
    pub sites: Vec<SiteRecord>,
}

impl LinkRecord {
    /// The record of `link`, without its sites.
    pub(super) fn of(link: &Link) -> Self {
        let bits = |rate: Option<BitRate>| rate.map(BitRate::bits_per_second);
        let committed = |direction| bits(*link.committed.get(direction));
        let burst = |direction| Some(link.burst.get(direction).octets().into());
        Self {
            name: link.name.clone(),
            circuit: link.circuit.clone(),
            provider: link.provider.clone(),
            port_rate_bit_s: bits(link.port_rate),
            committed_bit_s: PerDirection::from_fn(committed),
            committed_burst_octets: PerDirection::from_fn(burst),
            rate_layer: link.layer,
            vlan_tags: link.vlan_tags,
            extra_overhead_octets: link.extra_overhead_octets,
            inventory: link.inventory.clone(),
            verdict: None,
            complete: None,
            reason: None,
            asked: None,
            sites: Vec::new(),
        }
    }
}

/// The two ends of the way to a site, as they are known, and why not all was run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SiteEnds {
    /// Its name; the agent's address if the plan gives no name.
    pub site: String,
    /// The agent: host and port, as given.
    pub agent: String,
    /// The agent's IP address and port; null if the name did not resolve.
    pub address: Option<String>,
    /// The driver's IP address towards the agent; null if nothing was sent.
    pub driver_address: Option<String>,
    /// The agent's program and version; null if it did not answer.
    pub agent_program: Option<String>,
    /// The version of the protocol that was spoken with the agent; null if it did not answer, or if
    /// the report is older.
    #[serde(default)]
    pub agent_protocol: Option<u32>,
    /// Fingerprint of the driver's key: "SHA256:" and base64; null if not known.
    pub driver_key: Option<String>,
    /// Fingerprint of the agent's key, in the same form; null if not known.
    pub agent_key: Option<String>,
    /// The agent's host; null if not known.
    pub agent_host: Option<HostFacts>,
    /// The comment that the agent has for the driver's key; null if not known.
    pub requested_by: Option<String>,
    /// The role that the agent gives that key; null if not known.
    pub role: Option<String>,
    /// The IP version.
    pub ip: IpVersion,
    /// Why nothing, or not everything, was run against this site; null if everything was.
    pub reason: Option<String>,
}

impl SiteEnds {
    /// The site `site` whose agent is called `agent`, of which no more is known.
    #[must_use]
    pub const fn unknown(site: String, agent: String, ip: IpVersion) -> Self {
        Self {
            site,
            agent,
            address: None,
            driver_address: None,
            agent_program: None,
            agent_protocol: None,
            driver_key: None,
            agent_key: None,
            agent_host: None,
            requested_by: None,
            role: None,
            ip,
            reason: None,
        }
    }
}

/// A site at the far end of the link: its agent, and the trials run against it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SiteRecord {
    /// Who the two ends are.
    #[serde(flatten)]
    pub ends: SiteEnds,
    /// Maximum rate that the agent allows in one direction, in bit/s at L2; null if not known.
    pub granted_rate_max_bit_s: Option<u64>,
    /// Maximum duration of load that the agent allows in one run, in s; null if not known.
    pub granted_duration_max_s: Option<f64>,
    /// The path MTU; null if it was not measured.
    pub path_mtu: Option<PathMtu>,
    /// The trials, in the order in which they ran.
    pub trials: Vec<TrialRecord>,
}

/// The requirements that a run is judged by.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asked {
    /// Confidence level of each one-sided bound, as a ratio: 0.5 to 1.
    pub confidence: f64,
    /// Whether applications' TCP is said to be clamped to what the path carries (`mss_clamped`).
    #[serde(default)]
    pub mss_clamped: bool,
    /// The requirements.
    pub requirements: Vec<RequirementRecord>,
}

/// One requirement, as written in the plan or on the command line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RequirementRecord {
    /// The metric.
    pub metric: Metric,
    /// What of the link it is required of.
    pub direction: Scope,
    /// The bound, such as "<= 20 ms".
    pub bound: String,
}

/// A direction, or the round trip. Where a record has something of each direction and of the round
/// trip, their keys are `forward`, `reverse` and `round_trip`; as a value, the word has a hyphen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Driver to agent.
    Forward,
    /// Agent to driver.
    Reverse,
    /// From the driver to the agent and back.
    RoundTrip,
}

impl From<Option<Direction>> for Scope {
    fn from(direction: Option<Direction>) -> Self {
        match direction {
            Some(Direction::Forward) => Self::Forward,
            Some(Direction::Reverse) => Self::Reverse,
            None => Self::RoundTrip,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
            Self::RoundTrip => "round-trip",
        })
    }
}

/// Which way a caveat may have moved a value.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BiasRecord {
    /// It can only have made the link look worse. PASS stands; FAIL becomes INVALID, unless it
    /// stands without `packets`.
    CanOnlyWorsen,
    /// It may have moved the value either way. PASS and FAIL become INVALID.
    Either,
}

impl fmt::Display for BiasRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CanOnlyWorsen => "can_only_worsen",
            Self::Either => "either",
        })
    }
}

/// Which side of a bound meets the requirement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum BoundText {
    /// The value has to be at most the bound.
    #[serde(rename = "<=")]
    AtMost,
    /// The value has to be at least the bound.
    #[serde(rename = ">=")]
    AtLeast,
}

/// One requirement in one direction, judged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FindingRecord {
    /// The link: its index in `links`, from 0.
    pub link: usize,
    /// The name of the site.
    pub site: String,
    /// The metric.
    pub metric: Metric,
    /// What of the link was judged.
    pub direction: Scope,
    /// Which side of the bound meets the requirement.
    pub relation: BoundText,
    /// The bound, in `unit`.
    pub bound: f64,
    /// The measured value, in `unit`; null if not known.
    pub value: Option<f64>,
    /// What a PASS proves, in `unit`, where that is less than `bound`: a full bucket of a policer
    /// or shaper may have carried the rest. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<f64>,
    /// One-sided lower confidence bound of the true value, in `unit`; null if the value was
    /// counted, or is not known.
    pub low: Option<f64>,
    /// One-sided upper confidence bound of the true value, in `unit`; null if the value was
    /// counted, or is not known.
    pub high: Option<f64>,
    /// The unit of `bound`, `value`, `low` and `high`: `bit/s`, `ratio`, `us`, `s` or `octets`.
    pub unit: String,
    /// The value of a throughput at each layer, by the frames of the trial that decided; null for
    /// other metrics, or if no single trial decided.
    #[serde(default)]
    pub layers: Option<LayerRates>,
    /// The verdict on this requirement.
    pub verdict: Verdict,
    /// The reason for the verdict, in one sentence.
    pub reason: String,
    /// What else the evidence shows that helps to find the cause, in one sentence; the verdict does
    /// not depend on it. Absent if there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The trial that decided, by its number; null if no single trial did.
    pub trial: Option<usize>,
}

impl FindingRecord {
    /// Whether anything is known of what was measured.
    #[must_use]
    pub const fn is_measured(&self) -> bool {
        self.value.is_some() || self.low.is_some() || self.high.is_some()
    }
}

/// Something that limits the evidence, such as a tester that was too slow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CaveatRecord {
    /// The link: its index in `links`, from 0.
    pub link: usize,
    /// The name of the site.
    pub site: String,
    /// The evidence that it doubts, which the metrics follow from; none in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Basis>,
    /// The metrics that it affects.
    pub metrics: Vec<Metric>,
    /// The direction that it affects; null for all.
    pub direction: Option<Direction>,
    /// The trial that it affects, by its number; null for no single one.
    pub trial: Option<usize>,
    /// Which way it may have moved the value.
    pub bias: BiasRecord,
    /// Packets that it may explain; null if not known.
    pub packets: Option<u64>,
    /// What happened, and what to do about it.
    pub text: String,
}

/// One trial: what was asked, what both ends counted, and the figures derived from that. In an idle
/// trial, and in a direction without load, the only packets are probes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrialRecord {
    /// Its number: its index among all trials of the run, from 0.
    pub trial: usize,
    /// What was to be sent, and for how long.
    pub asked: AskedTrial,
    /// When its first packet was due: RFC 3339, UTC, to the ms; null if none was sent.
    pub started_at: Option<String>,
    /// When its last packet was due, or when it was cut short: RFC 3339, UTC, to the ms; null if
    /// none was sent. Of a trial that was cut short, records converted from format 2 have null.
    pub ended_at: Option<String>,
    /// What happened: status, and what both ends counted of each direction and of the round trip.
    /// Of an idle trial the packets are its probes.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The figures that people and scripts want most. Derived from the counts.
    pub figures: TrialFigures,
}

impl TrialRecord {
    /// When its first packet was due, in nanoseconds since 1970; `None` if none was sent.
    #[must_use]
    pub fn started_ns(&self) -> Option<u64> {
        wall_ns(self.started_at.as_deref()?)
    }
}

/// Figures derived from a trial's counts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrialFigures {
    /// Driver to agent.
    pub forward: DirectionFigures,
    /// Agent to driver.
    pub reverse: DirectionFigures,
    /// Round-trip times of the probes, in us; null if no probe was sent in time.
    pub rtt_us: Option<Percentiles>,
    /// How the probes were timestamped; null if none was answered.
    pub timestamps: Option<TimestampMethod>,
    /// The worst verdict by the evidence of this trial alone, by what it is of.
    #[serde(default)]
    pub verdicts: TrialVerdicts,
}

/// What the evidence of one trial alone says of each direction and of the round trip.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TrialVerdicts {
    /// Driver to agent; null if it decides no requirement on it.
    pub forward: Option<TrialVerdict>,
    /// Agent to driver; null if it decides no requirement on it.
    pub reverse: Option<TrialVerdict>,
    /// The round trip; null if it decides no requirement on it.
    pub round_trip: Option<TrialVerdict>,
}

impl TrialVerdicts {
    /// That on a direction, or on the round trip.
    #[must_use]
    pub const fn of(&self, scope: Scope) -> Option<&TrialVerdict> {
        match scope {
            Scope::Forward => self.forward.as_ref(),
            Scope::Reverse => self.reverse.as_ref(),
            Scope::RoundTrip => self.round_trip.as_ref(),
        }
    }
}

/// The worst verdict of several requirements.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrialVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The metric that decided, and the reason; null if the verdict is PASS.
    pub reason: Option<String>,
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

/// Figures derived from the counts of one direction of a trial.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DirectionFigures {
    /// Whether the trial tests this direction: an idle trial tests both, a trial with load those
    /// that it loads. In the others there are only probes.
    pub tested: bool,
    /// The worst verdict on this direction, and on the round trip, by the evidence of this trial
    /// alone; null if it decides no requirement.
    pub verdict: Option<Verdict>,
    /// The reason for that verdict; null if it is PASS or null.
    pub verdict_reason: Option<String>,
    /// What the trial sends in this direction; null if it does not test it.
    #[serde(default)]
    pub load_kind: Option<LoadKindRecord>,
    /// Payload (L4) that was to be sent, in bit/s; null without load.
    pub offered_bit_s: Option<u64>,
    /// The same at each layer; null without load.
    #[serde(default)]
    pub offered: Option<LayerRates>,
    /// All that was to be sent in this direction, in bit/s at `rate_layer`: a load of UDP with the
    /// probes and heartbeats beside it, or a load of TCP alone; null without load.
    #[serde(default)]
    pub offered_in_all_bit_s: Option<u64>,
    /// Payload carried, in bit/s; null without load. UDP: what of the load left in the window and
    /// arrived, divided by the window and the rise of its transit time; of a load as fast as
    /// possible, and of records converted from format 2, what was received in the steady part of
    /// the trial, as far as it ran. TCP: the mean of the whole seconds after the warm-up.
    pub goodput_bit_s: Option<u64>,
    /// What was carried at each layer, without the probes and heartbeats beside it; null without
    /// load. TCP: in the worst run of 10 whole seconds, or in the median second if there are fewer.
    #[serde(default)]
    pub carried: Option<LayerRates>,
    /// 5th percentile of the payload received in each whole second, in bit/s.
    pub goodput_p5_bit_s: Option<u64>,
    /// The payload of UDP received in each whole second, without the first and the last second that
    /// it ran; null without such seconds.
    #[serde(default)]
    pub by_second: Option<SecondFigures>,
    /// Payload (L4) that the load has to carry for the required throughput, in bit/s: that of the
    /// required rate without the probes and heartbeats beside the load; null if none is required.
    pub required_bit_s: Option<u64>,
    /// Carried payload divided by the required one: 1 is just enough. TCP: that of the worst run of
    /// 10 whole seconds. Null unless more was offered than is required.
    pub headroom_ratio: Option<f64>,
    /// Packets that never arrived and that the receiving host did not drop; null if the account of
    /// either end is missing.
    pub lost: Option<u64>,
    /// Lost and late packets divided by the packets that the link had to deliver.
    pub loss_ratio: Option<f64>,
    /// Outages: intervals without an arrival while packets were sent; null if the receiver's
    /// account is missing.
    pub outages: Option<Vec<OutageRecord>>,
    /// One-way delay variation in us: the 99.9th percentile minus the minimum (ITU-T Y.1540).
    pub jitter_us: Option<f64>,
    /// RFC 3550 jitter of the probes, in us: what iperf calls jitter.
    pub jitter_rfc3550_us: Option<f64>,
    /// One-way delays of the probes that arrived, half-way between their bounds; absent if not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owd_us: Option<Percentiles>,
    /// What the clocks leave open of each of those, in us: it is within plus or minus this. Absent
    /// if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owd_error_us: Option<f64>,
    /// How late load packets were sent (scheduling delay), in us; null for probes and TCP.
    pub send_lateness_us: Option<Percentiles>,
    /// Maximum of packets that a stream was allowed to send at once; null for probes and
    /// TCP.
    pub burst_packets: Option<u32>,
    /// Figures for TCP; null for UDP and probes.
    pub tcp: Option<TcpFigures>,
    /// The figures of each stream of the load; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamFigures>,
    /// The streams that have most of the loss; left out unless they are so few that it is no
    /// chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_concentrated: Option<LossConcentrated>,
}

/// Streams that have most of the loss: other source ports, so that a path of their own through a
/// bundle (LAG) or among equal paths (ECMP) may be what loses.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LossConcentrated {
    /// The number of each of these streams, in their order.
    pub streams: Vec<u32>,
    /// The number of streams of the load.
    pub streams_in_all: u32,
    /// Their share of all lost packets, as a ratio.
    pub loss_share: f64,
}

/// Figures of one stream of a load: they show which of several paths loses.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StreamFigures {
    /// The stream's number in the trial, from 1: forward streams before reverse ones.
    pub stream: u32,
    /// Payload carried, in bit/s. UDP: what of the stream left in the window and arrived, altered
    /// packets among it, divided by
    /// the window and the rise of the transit time of the whole load; null if the window is not
    /// known. TCP: the stream's share of all octets received, of the mean of the load.
    pub goodput_bit_s: Option<u64>,
    /// Lost and late packets divided by the packets that the link had to deliver; null for TCP, or
    /// if the account of either end is missing.
    pub loss_ratio: Option<f64>,
}

/// What a trial sends in a direction, beside probes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoadKindRecord {
    /// No load.
    Idle,
    /// UDP at a fixed rate that the link is to carry.
    Fixed,
    /// UDP at a fixed rate above the committed one.
    Overshoot,
    /// UDP as fast as possible.
    Capacity,
    /// TCP.
    Tcp,
}

/// One rate as each layer counts it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LayerRates {
    /// On the wire (L1), in bit/s.
    pub l1_bit_s: u64,
    /// In Ethernet frames with their check sequence (L2), in bit/s.
    pub l2_bit_s: u64,
    /// In IP packets (L3), in bit/s.
    pub l3_bit_s: u64,
    /// In UDP or TCP payload (L4), in bit/s.
    pub l4_bit_s: u64,
}

impl LayerRates {
    /// In bit/s at `layer`.
    #[must_use]
    pub const fn at(&self, layer: Layer) -> u64 {
        match layer {
            Layer::L1 => self.l1_bit_s,
            Layer::L2 => self.l2_bit_s,
            Layer::L3 => self.l3_bit_s,
            Layer::L4 => self.l4_bit_s,
        }
    }

    /// That which `at` says in bit/s.
    pub(super) fn from_fn(at: impl Fn(Layer) -> u64) -> Self {
        Self {
            l1_bit_s: at(Layer::L1),
            l2_bit_s: at(Layer::L2),
            l3_bit_s: at(Layer::L3),
            l4_bit_s: at(Layer::L4),
        }
    }
}

/// Rates of payload (L4) in single seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SecondFigures {
    /// Number of seconds.
    pub seconds: u64,
    /// Of the slowest second, in bit/s.
    pub min_bit_s: u64,
    /// Their mean, in bit/s.
    pub mean_bit_s: u64,
    /// Of the fastest second, in bit/s.
    pub max_bit_s: u64,
}

/// Figures derived from the counts of TCP in one direction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TcpFigures {
    /// Warm-up that the goodput leaves out, in s.
    pub warm_up_s: Option<f64>,
    /// Median of the payload received in each whole second after the warm-up, in bit/s.
    pub goodput_p50_bit_s: Option<u64>,
    /// Mean payload rate of the worst run of 10 such seconds, in bit/s: what is judged; null if
    /// there are fewer.
    #[serde(default)]
    pub goodput_worst_10s_bit_s: Option<u64>,
    /// When this run begins, in s after the first arrival.
    #[serde(default)]
    pub goodput_worst_10s_start_s: Option<u64>,
    /// Minimum of the payload received in each whole second after the warm-up, in bit/s.
    #[serde(default)]
    pub goodput_min_bit_s: Option<u64>,
    /// Maximum of it, in bit/s.
    #[serde(default)]
    pub goodput_max_bit_s: Option<u64>,
    /// The lasting change of the rate that stands out most; null if there is none.
    #[serde(default)]
    pub level_change: Option<TcpLevelChange>,
    /// Number of those seconds.
    pub goodput_seconds: Option<u64>,
    /// Octets retransmitted divided by octets sent.
    pub retransmit_ratio: Option<f64>,
    /// The streams' smoothed round-trip times as the sending kernel reports them, every 100 ms, in
    /// us.
    pub rtt_us: Option<Percentiles>,
    /// What held TCP back; null if the kernel did not report it.
    #[serde(default)]
    pub limits: Option<TcpLimits>,
}

/// What held TCP back, as shares of its streams' time: of the trial, or of the time in which they
/// had something to send if it was cut short.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TcpLimits {
    /// The network, or the pace that was granted, as a ratio.
    pub network_ratio: f64,
    /// The receive window, as a ratio.
    pub receive_window_ratio: f64,
    /// The send buffer, as a ratio.
    pub send_buffer_ratio: f64,
    /// Nothing to send, as a ratio.
    pub idle_ratio: f64,
}

/// A lasting change of the rate at which TCP's payload arrived.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TcpLevelChange {
    /// When it changed, in s after the first arrival.
    pub start_s: u64,
    /// Mean payload rate before it, in bit/s.
    pub before_bit_s: u64,
    /// Mean payload rate from it on, in bit/s.
    pub after_bit_s: u64,
}

/// How probes and replies were timestamped.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TimestampMethod {
    /// By both kernels, or network cards, at departure and arrival: no delay includes time spent in
    /// the programs.
    Kernel,
    /// A kernel, or the driver of its device, reported no departure timestamp. The program read the
    /// clock before it sent, so the delay includes the time from then on.
    UserSpaceTransmit,
}

/// An outage: an interval without an arrival while packets were sent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutageRecord {
    /// When it began, in s after the arrival of the trial's first packet (or after its expected
    /// arrival).
    pub start_s: f64,
    /// The longest that it can have been, in s: the time between the arrivals, or the departures,
    /// of the packets before and after it, without the sender's own gap.
    pub duration_s: f64,
    /// Packets lost in it; null if the sender's account is missing.
    pub packets: Option<u64>,
}

/// A distribution in us over everything that was sent. A lost packet counts as an infinite delay,
/// so percentiles beyond the share that arrived are null.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Percentiles {
    /// Minimum, in us.
    pub min: Option<f64>,
    /// Median, in us.
    pub p50: Option<f64>,
    /// 90th percentile, in us.
    pub p90: Option<f64>,
    /// 95th percentile, in us.
    pub p95: Option<f64>,
    /// 99th percentile, in us.
    pub p99: Option<f64>,
    /// 99.9th percentile, in us.
    pub p999: Option<f64>,
    /// Maximum of those that arrived, in us.
    pub max: Option<f64>,
    /// Number of samples, lost ones included.
    pub samples: u64,
    /// Number of samples that were lost.
    pub lost: u64,
}

impl Percentiles {
    /// Samples that were not lost.
    #[must_use]
    pub const fn arrived(&self) -> u64 {
        self.samples.saturating_sub(self.lost)
    }
}
