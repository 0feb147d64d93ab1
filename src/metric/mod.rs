//! The metrics: what each is, its unit, and how it follows from what happened in a trial.
//!
//! | metric | unit | what it is | source |
//! |---|---|---|---|
//! | throughput | bit/s | What of a fixed-rate UDP load and its probes left in the window and arrived in time | RFC 2544, 26.1; Y.1564, CIR test |
//! | tcp_throughput | bit/s | The worst 10 s of TCP goodput at the receiver after the warm-up | RFC 6349; RFC 9097, 1 s intervals |
//! | loss | ratio | Share of the UDP load packets sent that were lost, altered or more than 2 s late | RFC 7680 |
//! | rtt_p99 | us | 99th percentile of the round trip, over probes sent | RFC 2681 |
//! | rtt_p999 | us | 99.9th percentile of the round trip, over probes sent | RFC 2681 |
//! | rtt_p99_loaded | us | 99th percentile of the round trip under any load, TCP and overshoot included | RFC 2681; RFC 6349, under load |
//! | owd_p99 | us | 99th percentile of the one-way delay of the probes that arrived | RFC 7679; Y.1540, IPTD |
//! | jitter | us | One-way delay variation of the probes that arrived, 99.9th percentile minus the minimum | Y.1540; RFC 5481, PDV |
//! | outage | s | The longest time without an arrival while packets were sent | Y.1540, service availability; RFC 3357, loss periods |
//! | path_mtu | octets | The largest IP packet that crosses both ways unfragmented | RFC 8899 |
//!
//! Each has a file of its own, and a line in the list below: the file says all that is known of it,
//! in its [`About`] and its [`Definition`]. Keys of plans, options of `check`, schemas, rows, the
//! forecast, caveats and verdicts ask there, so that a new metric is a new file and a new line.
//!
//! A number comes with what is known of it: bounds where it was sampled, or that it was counted;
//! or with the reason why there is none. Never 0 for "no result".

mod about;
mod criteria;
mod definition;
mod due_throughput;
mod percentile;
mod requirement;

pub use about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit, micros};
pub use criteria::{Criteria, Measured};
pub use definition::{Chance, Criterion, Definition, Need, Prospect};
pub use requirement::{Bound, Limit, Requirement, Requirements};

pub use jitter::JITTER_QUANTILE;
pub use loss::{Losses, losses, unresolved_for};
pub use outage::outage_min;
pub use path_mtu::{MTU_ASSUMED, black_hole};
pub use percentile::catch_up_queue;
pub use tcp_throughput::{TRIAL_MIN as TCP_TRIAL_MIN, TcpCarried};
pub use throughput::{SenderShortage, carried_packets, sender_shortage};

pub(crate) use crate::stats::real as float;

use crate::account::{SILENCE_MIN, Status};
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::trial::Trial;
use crate::units::{BitRate, Span};
use serde::de::{Deserialize, Deserializer, Error as _};

/// Lists the metrics, each with its file.
macro_rules! metrics {
    ($($metric:ident: $file:ident,)*) => {
        $(mod $file;)*

        impl Metric {
            $(
                #[doc = concat!("See `", stringify!($file), ".rs`.")]
                pub const $metric: Self = $file::METRIC;
            )*

            /// Every metric, in the order in which reports show them.
            pub const ALL: &[Self] = &[$($file::METRIC,)*];
        }

        /// Their names and laws, in the same order.
        static LAWS: &[(&str, &dyn Definition)] = &[$((stringify!($file), $file::LAW),)*];

        /// Their names.
        const NAMES: &[&str] = &[$(stringify!($file),)*];
    };
}

metrics! {
    THROUGHPUT: throughput,
    TCP_THROUGHPUT: tcp_throughput,
    LOSS: loss,
    RTT_P99: rtt_p99,
    RTT_P999: rtt_p999,
    RTT_P99_LOADED: rtt_p99_loaded,
    OWD_P99: owd_p99,
    JITTER: jitter,
    OUTAGE: outage,
    PATH_MTU: path_mtu,
}

impl Metric {
    /// The metric of this name; `None` where there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|metric| metric.name() == name).copied()
    }

    /// Its law.
    #[must_use]
    fn law(self) -> &'static dyn Definition {
        let listed = LAWS.iter().find(|(name, _)| *name == self.name());
        listed.expect("each metric is in the list").1
    }

    /// Those that are made of any of `doubted`.
    #[must_use]
    pub fn made_of(doubted: &[Basis]) -> Vec<Self> {
        let is_touched =
            |metric: &&Self| metric.about().made_of.iter().any(|basis| doubted.contains(basis));
        Self::ALL.iter().filter(is_touched).copied().collect()
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| D::Error::unknown_variant(&name, NAMES))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Metric {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metric".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = |metric: &Self| {
            let what = format!("{}.", metric.about().what);
            schemars::json_schema!({
                "description": what,
                "type": "string",
                "const": metric.name(),
            })
        };
        schemars::json_schema!({
            "description": "What can be required.",
            "oneOf": Self::ALL.iter().map(one).collect::<Vec<_>>(),
        })
    }
}

impl Requirements {
    /// Those that are there, each with its direction, in the order in which reports show them.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Direction>, Requirement)> {
        let scoped = |metric: Metric| metric.scopes().map(move |scope| (metric, scope));
        let of = |(metric, scope)| self.of(metric, scope).map(|requirement| (scope, requirement));
        Metric::ALL.iter().copied().flat_map(scoped).filter_map(of)
    }
}

impl Criteria {
    /// Each requirement in each direction, in the order in which reports show them.
    pub fn iter(&self) -> impl Iterator<Item = Criterion<'_>> {
        let of = |(direction, requirement)| Criterion { criteria: self, direction, requirement };
        self.requirements.iter().map(of)
    }

    /// The shortest time without an arrival that `trial` has to record for what is required.
    #[must_use]
    pub fn silence_min(&self, trial: &Trial) -> Span {
        let of = |criterion: Criterion<'_>| criterion.law().silence_min(&criterion, trial);
        self.iter().filter_map(of).min().unwrap_or(SILENCE_MIN)
    }

    /// The rate that the requirements ask of the load of `trial` in `direction`, and how much of
    /// that is payload; `None` where they ask none of it.
    #[must_use]
    pub fn rate_asked(&self, trial: &Trial, direction: Direction) -> Option<(BitRate, BitRate)> {
        if !trial.directions()?.includes(direction) {
            return None;
        }
        let here = self.iter().filter(|criterion| criterion.direction == Some(direction));
        let rates = here.filter_map(|criterion| {
            let payload = criterion.law().payload_rate(&criterion, trial)?;
            Some((criterion.limit().rate()?, payload))
        });
        rates.max()
    }

    /// The payload of that.
    #[must_use]
    pub fn payload_rate(&self, trial: &Trial, direction: Direction) -> Option<BitRate> {
        self.rate_asked(trial, direction).map(|(_, payload)| payload)
    }
}

/// The law of a metric, asked about one requirement of it.
impl Criterion<'_> {
    fn law(&self) -> &'static dyn Definition {
        self.requirement.metric().law()
    }

    /// Whether the evidence of `trial` has something to say about it.
    #[must_use]
    pub fn is_spoken_to_by(&self, trial: &Trial) -> bool {
        self.covers(trial) && self.law().speaks(self, trial)
    }

    /// Whether `trial` can show that it is met.
    #[must_use]
    pub fn is_judged_by(&self, trial: &Trial) -> bool {
        self.is_spoken_to_by(trial) && self.law().can_pass(self, trial)
    }

    /// What `run` shows of it; `None` where that is nothing.
    #[must_use]
    pub fn estimate(&self, run: &TrialRun) -> Option<Measured> {
        if self.is_spoken_to_by(&run.trial) { self.law().estimate(self, run) } else { None }
    }

    /// All that `evidence` has to say about it, trial by trial.
    #[must_use]
    pub fn measure(&self, evidence: &Evidence) -> Vec<Measurement> {
        let of_path = evidence.path_mtu.and_then(|path| self.law().of_path(self, path));
        let of_path = of_path.map(|measured| Measurement { trial: None, measured });
        let of_trial = |(trial, run)| {
            let measured = self.law().beside(self, evidence, self.estimate(run)?);
            Some(Measurement { trial: Some(trial), measured })
        };
        let of_trials = evidence.trials.iter().enumerate().filter_map(of_trial);
        of_path.into_iter().chain(of_trials).collect()
    }

    /// What `runs` show together; `None` where they do not add up.
    #[must_use]
    pub fn measure_together(&self, runs: &[&TrialRun]) -> Option<Measured> {
        self.law().together(self, runs)
    }

    /// Whether `run`, which went to its end, proved neither PASS nor FAIL of it, and a longer trial
    /// might.
    #[must_use]
    pub fn is_open(&self, run: &TrialRun) -> bool {
        run.outcome.status == Status::Ok && self.is_unproved_by(run)
    }

    fn is_unproved_by(&self, run: &TrialRun) -> bool {
        self.is_spoken_to_by(&run.trial) && self.law().is_open(self, run)
    }

    /// Whether it is not judged by the trial at the place `trial`: that proved neither PASS nor
    /// FAIL of it, and ran again for longer to its end. What it proved stands, whatever the second
    /// trial, which may be for the other direction, shows.
    #[must_use]
    pub fn is_superseded(&self, evidence: &Evidence, trial: usize) -> bool {
        let again = evidence.trials.get(trial + 1);
        again.is_some_and(|again| again.trial.is_lengthened() && again.outcome.status == Status::Ok)
            && self.is_unproved_by(&evidence.trials[trial])
    }

    /// How long `trial` has to be for its proof; `None` where it does not speak to it, or any
    /// length does.
    #[must_use]
    pub fn takes(&self, trial: &Trial) -> Option<Need> {
        if self.is_spoken_to_by(trial) { self.law().takes(self, trial) } else { None }
    }

    /// How long `trial` has to be to prove all of it, where less proves a part; `None` where any
    /// length does.
    #[must_use]
    pub fn takes_in_full(&self, trial: &Trial) -> Option<Span> {
        if self.is_spoken_to_by(trial) { self.law().takes_in_full(self) } else { None }
    }

    /// The same by what the idle link showed.
    #[must_use]
    pub fn takes_after(&self, trial: &Trial, idle: &TrialRun) -> Option<Need> {
        if !self.is_spoken_to_by(trial) {
            return None;
        }
        self.law().takes_after(self, trial, idle)
    }

    /// What `trial` will not prove of it for its length, in sentences.
    #[must_use]
    pub fn shortfalls(&self, trial: &Trial) -> Vec<String> {
        if self.is_spoken_to_by(trial) { self.law().shortfalls(self, trial) } else { Vec::new() }
    }

    /// Why no run can prove it, where an agent whose limit is `rate_max` allows no more than
    /// `trials`: then none is begun.
    #[must_use]
    pub fn refusal(&self, trials: &[Trial], rate_max: BitRate) -> Option<String> {
        self.law().refusal(self, trials, rate_max)
    }

    /// The places of `trials` that judge it, what its proof takes, and whether they have that.
    #[must_use]
    pub fn prospect(&self, trials: &[&Trial]) -> (Vec<usize>, Prospect) {
        let numbered = trials.iter().copied().enumerate();
        let (places, judges): (Vec<usize>, Vec<&Trial>) =
            numbered.filter(|(_, trial)| self.is_judged_by(trial)).unzip();
        let prospect = self.law().prospect(self, &judges);
        let is_of_trials = self.requirement.metric().about().answered_by != Traffic::Search;
        if judges.is_empty() && is_of_trials {
            let chance = Chance::Unprovable(self.law().unjudged(self, trials));
            return (places, Prospect { chance, ..prospect });
        }
        (places, prospect)
    }

    /// That nothing was measured of it, and why.
    #[must_use]
    pub fn unmeasured(&self) -> &'static str {
        self.law().unmeasured()
    }
}

/// What one trial shows of a requirement.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The trial: its place among those of its site; `None` where it is of no single trial.
    pub trial: Option<usize>,
    /// What was measured.
    pub measured: Measured,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::{HostCounts, OneWayCounts, UnresolvedNextHop};
    use crate::account::{Outcome, ReceiverCounts, SenderCounts, Silence, Silences};
    use crate::account::{ThroughputEvidence, TransitFit};
    use crate::direction::Directions;
    use crate::framing::{Framing, IpVersion, Layer};
    use crate::metric::Requirements;
    use crate::trial::{Load, LoadKind};
    use crate::units::Span;

    const MS: u64 = 1_000_000;

    /// 10 Mbit/s in frames of 1518 octets: 8235 packets in 10 s, 7905 in the steady 9.6 s.
    pub(super) const SLOTS: u64 = 7_905;
    const SENT: u64 = 8_235;

    pub(crate) fn criteria() -> Criteria {
        let mut requirements = Requirements::default();
        requirements.set(None, throughput());
        requirements.set(None, outage(Span::from_secs(1)));
        Criteria::plain(requirements, IpVersion::V4)
    }

    /// A trial that sent and received all, changed by `change`.
    pub(crate) fn outcome(change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate: BitRate = "10 Mbit/s".parse().expect("a rate");
        let rate = Framing::plain(IpVersion::V4).packet_rate(rate, Layer::L2, 1_472);
        let load =
            Load::new(Directions::Forward, 1, 1_472, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let sent = SenderCounts { sent: SENT, steady: SLOTS, ..SenderCounts::default() };
        let counts = ReceiverCounts {
            received: SENT,
            steady: SLOTS,
            steady_on_time: SLOTS,
            ..ReceiverCounts::default()
        };
        run.outcome.forward =
            OneWayCounts { sender: Some(sent), receiver: Some(counts), ..OneWayCounts::default() };
        let whole = fit(9_600, SLOTS);
        let last_third = fit(3_200, SLOTS / 3);
        let evidence = ThroughputEvidence { whole, last_third, ..ThroughputEvidence::default() };
        run.outcome.forward.throughput = Some(evidence);
        change(&mut run);
        run
    }

    /// Of 8235 packets and 1000 probes so many and 20 were lost, while its host did not know its
    /// next hop for so many ms.
    pub(crate) fn kept_back(lost: u64, unresolved_ms: u64) -> TrialRun {
        outcome(|run| {
            let counts = came(run);
            counts.received -= lost;
            for _ in 0..lost {
                counts.losses.on_lost(1);
                counts.losses.on_arrived(1);
            }
            counts.losses.on_arrived(counts.received - lost);
            (run.outcome.forward.probes.sent, run.outcome.forward.probes.received) =
                (Some(1_000), Some(980));
            let (address, unresolved_ns) = ([10, 1, 1, 1].into(), unresolved_ms * MS);
            let hop = UnresolvedNextHop { address, unresolved_ns };
            let unresolved_next_hop = (0 < unresolved_ms).then_some(hop);
            run.outcome.driver_host =
                Some(HostCounts { unresolved_next_hop, ..HostCounts::default() });
        })
    }

    /// The same of a load in reverse, whose sender is the agent.
    pub(crate) fn reversed(mut run: TrialRun) -> TrialRun {
        let load = run.trial.load().expect("a load");
        let (payload, rate) = (load.payload(), load.rate(Direction::Forward).expect("a rate"));
        let load = Load::new(Directions::Reverse, 1, payload, rate, LoadKind::FixedRate);
        run.trial = Trial::new(load.ok(), run.trial.duration()).expect("a trial");
        let outcome = &mut run.outcome;
        std::mem::swap(&mut outcome.forward, &mut outcome.reverse);
        std::mem::swap(&mut outcome.driver_host, &mut outcome.agent_host);
        run
    }

    /// So many ms of load of which nothing was lost and no queue grew.
    const fn fit(duration_ms: u64, packets: u64) -> TransitFit {
        TransitFit {
            duration_ns: duration_ms * MS,
            sent: packets,
            carried: packets,
            rise_ns: Some(0),
            spread_ns: Some(0),
            held_ns: 0,
            paused_ns: 0,
            pauses: 0,
        }
    }

    /// What its throughput is judged by.
    pub(crate) fn judged(run: &mut TrialRun) -> &mut ThroughputEvidence {
        run.outcome.forward.throughput.as_mut().expect("it has it")
    }

    /// What `run` shows of it, forward.
    pub(super) fn estimate(
        criteria: &Criteria,
        requirement: Requirement,
        run: &TrialRun,
    ) -> Option<Measured> {
        let direction =
            Some(Direction::Forward).filter(|_| 1 < requirement.metric().scopes().count());
        Criterion { criteria, direction, requirement }.estimate(run)
    }

    pub(super) fn measured(requirement: Requirement, run: &TrialRun) -> Option<Measured> {
        estimate(&criteria(), requirement, run)
    }

    pub(crate) fn gaps(start_ms: u64, end_ms: u64, offered: bool) -> Silences {
        let (start_ns, end_ns) = (start_ms * MS, end_ms * MS);
        let gap = Silence { start_ns, end_ns, offered, ..Silence::default() };
        Silences::from_vec(vec![gap]).expect("one gap")
    }

    #[track_caller]
    pub(super) fn check(requirement: Requirement, run: &TrialRun, expected: Option<bool>) {
        let Counts { meets, counts, .. } = counted(measured(requirement, run));
        assert_eq!(meets, expected, "{counts}");
    }

    /// [`Measured::Counted`].
    pub(super) struct Counts {
        pub(super) value: f64,
        pub(super) meets: Option<bool>,
        pub(super) meets_at_best: Option<bool>,
        pub(super) proven: Option<f64>,
        pub(super) counts: String,
    }

    #[track_caller]
    pub(super) fn counted(measured: Option<Measured>) -> Counts {
        let Some(Measured::Counted { value, meets, meets_at_best, proven, counts }) = measured
        else {
            panic!("not counted: {measured:?}")
        };
        Counts { value, meets, meets_at_best, proven, counts }
    }

    pub(super) fn throughput() -> Requirement {
        Metric::THROUGHPUT.require(">= 10 Mbit/s").expect("a bound")
    }

    pub(super) fn outage(most: Span) -> Requirement {
        Requirement::new(Metric::OUTAGE, Limit::Time(most)).expect("a time")
    }

    pub(crate) fn came(run: &mut TrialRun) -> &mut ReceiverCounts {
        run.outcome.forward.receiver.as_mut().expect("it has one")
    }

    pub(crate) fn sent(run: &mut TrialRun) -> &mut SenderCounts {
        run.outcome.forward.sender.as_mut().expect("it has one")
    }

    #[test]
    fn what_is_offered_too_slowly_or_above_what_is_committed_says_nothing() {
        let measured = |criteria: &Criteria, rate: &str| {
            let required = Metric::THROUGHPUT.bounded_by(rate).expect("a rate");
            estimate(criteria, required, &outcome(|_| {}))
        };
        let mut criteria = criteria();
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        assert_eq!(measured(&criteria, "10.2 Mbit/s"), None, "10.13 Mbit/s with its probes");
        criteria.committed.forward = Some("10.2 Mbit/s".parse().expect("a rate"));
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        criteria.committed.forward = Some("10 Mbit/s".parse().expect("a rate"));
        assert_eq!(measured(&criteria, "9.9 Mbit/s"), None, "overshoot");
        let measured = |requirement| estimate(&criteria, requirement, &outcome(|_| {}));
        let within = |metric: Metric| metric.require("<= 1 s").expect("a bound");
        assert_eq!(measured(within(Metric::OUTAGE)), None);
        assert_eq!(measured(within(Metric::RTT_P99)), None);
        assert!(measured(within(Metric::RTT_P99_LOADED)).is_some());
    }

    /// Where the tables of metrics stand, each with what its rows begin with and what is in front
    /// of them.
    const TABLES: [(&str, &str, &str); 1] =
        [("src/metric/mod.rs", "//! ", "| metric | unit | what it is | source |")];

    fn row(metric: Metric) -> String {
        let About { name, unit, what, source, .. } = metric.about();
        format!("| {name} | {} | {what} | {source} |", unit.name())
    }

    #[test]
    fn the_page_on_verdicts_has_a_row_for_each_metric() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdicts.md");
        let page = std::fs::read_to_string(path).expect("it is there");
        let lacks = |metric: &&Metric| !page.contains(&format!("\n| `{metric}` | "));
        assert_eq!(Metric::ALL.iter().find(lacks), None, "docs/verdicts.md has no row for it");
    }

    /// To accept a change: `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_tables_in_the_docs_are_those_of_the_list_as_a_schema_is() {
        for (file, margin, head) in TABLES {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let kept = std::fs::read_to_string(&path).expect("it is there");
            let rule = "|---".repeat(head.matches(" | ").count() + 1) + "|";
            let begin = format!("{margin}{head}\n{margin}{rule}\n");
            let (before, table) = kept.split_once(&begin).expect("it has the table");
            let is_row = |line: &&str| line.starts_with(&format!("{margin}|"));
            let rows: usize = table.split_inclusive('\n').take_while(is_row).map(str::len).sum();
            let row = |metric: &Metric| format!("{margin}{}\n", row(*metric));
            let made: String = Metric::ALL.iter().map(row).collect();
            let text = format!("{before}{begin}{made}{}", &table[rows..]);
            if std::env::var("UPDATE_SCHEMA").is_ok() {
                std::fs::write(&path, &text).expect("it is writable");
            }
            let kept = std::fs::read_to_string(&path).expect("it is there");
            assert!(kept == text, "{file}: the table of metrics is not the list's");
        }
    }

    #[test]
    fn each_metric_has_the_name_of_its_file_and_a_law() {
        for (metric, name) in Metric::ALL.iter().zip(NAMES) {
            assert_eq!(metric.name(), *name);
            assert_eq!(Metric::named(name), Some(*metric));
            assert!(!metric.about().made_of.is_empty(), "{name}: no caveat can touch it");
            assert!(!metric.law().unmeasured().is_empty(), "{name}");
            let example = metric.about().example;
            assert!(metric.require(example).is_ok_and(|it| it.to_string() == example), "{name}");
        }
    }
}
