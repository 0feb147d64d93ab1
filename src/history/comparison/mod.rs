//! Holding a run against those before it: what changed on each link, and since when.
//!
//! Only like is compared with like: trials of the same load, offered at the same rate. Runs that
//! say nothing of the link, being INVALID or not whole, are in no baseline. Distributions are
//! compared by their histograms, pooled over the baseline, and never by a mean. What counts as a
//! change is the rule of alarm, in `rule`.

mod changes;
mod past;
mod quantity;
mod rule;
mod text;

pub use changes::{At, Change, changes};
pub use past::{PastFigures, PastPath, PastRun, PastTrial};
pub use quantity::Quantity;
pub use rule::{BASELINE_MIN, CONFIRMING, Finding, Level, Reading, judge};

use crate::account::plain;
use crate::direction::Direction;
use crate::report::{Report, Scope, date};
use crate::stats::confidence::Confidence;
use crate::stats::delays::{Delay, Delays};
use crate::stats::real;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a run is held against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Baseline {
    /// The runs of the same link that began in so many nanoseconds before it.
    Rolling(u64),
    /// One run.
    Run(String),
}

/// Runs before this one whose histograms are read, at most: the newest.
const DOCUMENTS_MAX: usize = 60;

/// Changes of level are looked for in so many nanoseconds before the run, or in the baseline's
/// time where that is longer.
pub const CHANGES_NS: u64 = 90 * crate::history::NANOS_PER_DAY;

/// The rolling baseline where nothing else is asked for.
pub const ROLLING_NS: u64 = 30 * crate::history::NANOS_PER_DAY;

/// A site, the run that is compared, and those before it.
#[derive(Debug)]
pub struct Comparing {
    label: String,
    site: String,
    /// In the order of time; the run itself is not among them.
    earlier: Vec<PastRun>,
    run: PastRun,
    baseline: Baseline,
    /// One trial of each kind that the run has.
    kinds: Vec<Kind>,
}

/// Trials of one kind.
#[derive(Debug)]
struct Kind {
    trial: PastTrial,
    /// The round trips of the baseline's runs, pooled.
    pooled: Delays,
    /// Percentiles of the round trips of each run, by its name, in the order of
    /// [`Quantity::QUANTILES`].
    of_run: BTreeMap<String, [Option<Quantile>; 3]>,
}

/// A percentile with its bounds, in us.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantile {
    value: f64,
    low: f64,
    high: f64,
}

/// How one quantity of one run compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Of what: a direction, or the round trip; null for the path.
    pub direction: Option<Scope>,
    /// What was sent beside probes: udp, tcp or idle; null for the path.
    pub load: Option<String>,
    /// The load's payload in bit/s, forward and reverse; null where there was none.
    pub offered_bit_s: [Option<u64>; 2],
    /// What.
    pub quantity: Quantity,
    /// The unit of all values.
    pub unit: &'static str,
    /// The baseline's value; null without a baseline.
    pub baseline: Option<f64>,
    /// From what the baseline's value lies, at 95 %.
    pub baseline_low: Option<f64>,
    /// To what.
    pub baseline_high: Option<f64>,
    /// Runs that the baseline is made of.
    pub baseline_runs: usize,
    /// The run's value.
    pub value: f64,
    /// What is shown.
    pub result: Finding,
    /// Value less baseline.
    pub difference: Option<f64>,
    /// From what the difference lies, at 95 %.
    pub difference_low: Option<f64>,
    /// To what.
    pub difference_high: Option<f64>,
    /// What else is to be known of it, in one sentence.
    pub note: Option<String>,
    /// Where the level changed, the oldest first.
    pub changes: Vec<Changed>,
}

/// A change of level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The first run at the new level.
    pub run: String,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// The level before it.
    pub before: f64,
    /// The level from it on.
    pub after: f64,
    /// Whether it became worse.
    pub is_worse: bool,
}

/// How a site compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SiteCompared {
    /// The link.
    pub link: String,
    /// The site.
    pub site: String,
    /// Runs that the baseline has.
    pub baseline_runs: usize,
    /// Runs that it has not, by the reason.
    pub left_out: BTreeMap<String, usize>,
    /// What else changed, or is to be known; one sentence each.
    pub notes: Vec<String>,
    /// Each quantity.
    pub compared: Vec<Compared>,
}

/// How a run compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The format and its version.
    pub format: &'static str,
    /// The run.
    pub run: String,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// What it is held against, in words.
    pub baseline: String,
    /// What is shown in all.
    pub result: Outcome,
    /// Each site of each link.
    pub sites: Vec<SiteCompared>,
}

/// What is shown in all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing is shown to be worse.
    NotWorse,
    /// Something is.
    Worse,
    /// There is too little to say it of each link.
    TooLittle,
}

impl Comparison {
    /// How a run that began at `started_ns` compares with `baseline`, by its `sites`.
    #[must_use]
    pub fn new(run: &str, started_ns: u64, baseline: &Baseline, sites: Vec<SiteCompared>) -> Self {
        let outcomes = sites.iter().map(SiteCompared::outcome);
        let has = |outcome| outcomes.clone().any(|it| it == outcome);
        let result = if has(Outcome::Worse) {
            Outcome::Worse
        } else if has(Outcome::TooLittle) || sites.is_empty() {
            Outcome::TooLittle
        } else {
            Outcome::NotWorse
        };
        let baseline = match baseline {
            Baseline::Run(other) => format!("run {other}"),
            Baseline::Rolling(ns) => format!("the {} before it", span(*ns)),
        };
        let (run, started_at) = (run.to_owned(), date(started_ns));
        Self { format: "linkqual-comparison/1", run, started_at, baseline, result, sites }
    }
}

/// A time in the largest unit of which it is a whole number.
fn span(ns: u64) -> String {
    const MINUTE: u64 = crate::history::NANOS_PER_DAY / (24 * 60);
    let units = [("day", 24 * 60 * MINUTE), ("hour", 60 * MINUTE), ("minute", MINUTE)];
    let whole = units.iter().find(|(_, unit)| ns.is_multiple_of(*unit)).unwrap_or(&units[2]);
    let count = ns / whole.1;
    format!("{count} {}{}", whole.0, if count == 1 { "" } else { "s" })
}

impl SiteCompared {
    fn outcome(&self) -> Outcome {
        let has = |finding| self.compared.iter().any(|compared| compared.result == finding);
        if has(Finding::Worse) {
            Outcome::Worse
        } else if has(Finding::WorseOnce) || self.compared.iter().all(Compared::is_unjudged) {
            Outcome::TooLittle
        } else {
            Outcome::NotWorse
        }
    }
}

impl Compared {
    fn is_unjudged(&self) -> bool {
        self.result == Finding::TooFew
    }
}

impl Comparing {
    /// A comparison of `run` at `site` of the link `label` with those of `earlier`, in any order.
    #[must_use]
    pub fn new(
        label: &str,
        site: &str,
        run: PastRun,
        mut earlier: Vec<PastRun>,
        baseline: Baseline,
    ) -> Self {
        earlier.retain(|other| other.run != run.run);
        earlier.sort_by(|one, two| (one.started_ns, &one.run).cmp(&(two.started_ns, &two.run)));
        let mut kinds: Vec<Kind> = Vec::new();
        for trial in run.trials.iter().filter(|trial| trial.is_whole) {
            let is_new = |kind: &Kind| !run.like(&kind.trial).any(|it| it.number == trial.number);
            if kinds.iter().all(is_new) {
                let trial = trial.clone();
                kinds.push(Kind { trial, pooled: Delays::default(), of_run: BTreeMap::new() });
            }
        }
        let (label, site) = (label.to_owned(), site.to_owned());
        Self { label, site, earlier, run, baseline, kinds }
    }

    /// The runs whose reports have histograms that are needed.
    #[must_use]
    pub fn documents(&self) -> BTreeSet<String> {
        let newest = self.sound().rev().take(DOCUMENTS_MAX).map(|past| past.run.clone());
        newest.chain([self.run.run.clone()]).collect()
    }

    /// Takes the histograms out of the `report` of the run called `run`.
    pub fn take(&mut self, run: &str, report: &Report) {
        let is_it = |past: &&PastRun| past.run == run;
        let all = self.earlier.iter().chain([&self.run]);
        let Some(past) = all.clone().find(is_it) else { return };
        let site = report
            .links
            .get(past.place)
            .and_then(|link| link.sites.iter().find(|record| record.ends.site == self.site));
        let Some(site) = site else { return };
        let confirming = match self.baseline {
            Baseline::Rolling(_) => CONFIRMING,
            Baseline::Run(_) => 0,
        };
        for kind in &mut self.kinds {
            let mut delays = Delays::default();
            for trial in past.like(&kind.trial) {
                let record = site.trials.iter().find(|record| record.trial == trial.number);
                record.iter().for_each(|record| delays.merge(&record.outcome.round_trip.delays));
            }
            let quantiles = Quantity::QUANTILES.map(|(_, share)| Quantile::of(&delays, share));
            kind.of_run.insert(run.to_owned(), quantiles);
            let sound = sound_of(&self.earlier, &self.baseline, self.run.started_ns);
            let alike = sound.filter(|past| past.like(&kind.trial).next().is_some());
            if alike.rev().skip(confirming).any(|past| past.run == run) {
                kind.pooled.merge(&delays);
            }
        }
    }

    /// What is shown.
    #[must_use]
    pub fn conclude(&self) -> SiteCompared {
        let mut compared = Vec::new();
        for kind in &self.kinds {
            for direction in Direction::ALL {
                for quantity in [Quantity::CarriedRate, Quantity::Loss, Quantity::Jitter] {
                    let of = |past: &PastRun| {
                        let load = past.reading(&kind.trial, Some(direction), quantity);
                        load.filter(|_| is_wanted(kind, quantity))
                    };
                    compared.extend(self.compared(Some(kind), Some(direction), quantity, &of));
                }
            }
            let of = |past: &PastRun| past.reading(&kind.trial, None, Quantity::RttFloor);
            if kind.trial.load == IDLE {
                compared.extend(self.compared(Some(kind), None, Quantity::RttFloor, &of));
            }
            compared.extend((0..3).filter_map(|place| self.quantile(kind, place)));
        }
        compared.extend(self.compared(None, None, Quantity::PathMtu, &PastRun::mtu));
        let window = window_of(&self.earlier, &self.baseline, self.run.started_ns);
        let mut left_out = BTreeMap::new();
        for why in window.filter_map(PastRun::why_out) {
            *left_out.entry(why).or_insert(0) += 1;
        }
        SiteCompared {
            link: plain(&self.label),
            site: plain(&self.site),
            baseline_runs: self.sound().count(),
            left_out,
            notes: self.notes(),
            compared,
        }
    }

    fn sound(&self) -> impl DoubleEndedIterator<Item = &PastRun> {
        sound_of(&self.earlier, &self.baseline, self.run.started_ns)
    }

    /// How one quantity compares, each run's being what `of` says.
    fn compared(
        &self,
        kind: Option<&Kind>,
        direction: Option<Direction>,
        quantity: Quantity,
        of: &dyn Fn(&PastRun) -> Option<Reading>,
    ) -> Option<Compared> {
        let latest = of(&self.run)?;
        let earlier: Vec<Reading> = self.sound().filter_map(of).collect();
        let (mut result, level) = match &self.baseline {
            Baseline::Rolling(_) => judge(quantity, &earlier, latest),
            Baseline::Run(_) => match earlier.first() {
                None => (Finding::TooFew, None),
                Some(one) => {
                    let known = Level::of(quantity, &self.before(of));
                    let known = known.filter(|level| BASELINE_MIN <= level.runs);
                    let level = Level::of_one(quantity, *one, known);
                    (level.against(quantity, latest), Some(level))
                }
            },
        };
        let (baseline, differences) = match &level {
            Some(level) => {
                let [low, high] = level.interval(quantity);
                (Some([level.value, low, high]), Some(level.difference(quantity, latest)))
            }
            None => (None, None),
        };
        let mut note = kind.and_then(|kind| capped(kind, direction, quantity));
        if let Some(why) = self.run.why_out() {
            (result, note) = (Finding::TooFew, Some(format!("this run is {why}")));
        } else if result == Finding::TooFew {
            note = Some(self.too_few(earlier.len()));
        }
        let part = |of: Option<[f64; 3]>, place: usize| of.map(|all| all[place]);
        Some(Compared {
            direction: kind.map(|_| direction.into()),
            load: kind.map(|kind| kind.trial.load.clone()),
            offered_bit_s: kind.map_or([None; 2], Kind::offered),
            quantity,
            unit: quantity.unit(),
            baseline: part(baseline, 0),
            baseline_low: part(baseline, 1),
            baseline_high: part(baseline, 2),
            baseline_runs: level.map_or(0, |level| level.runs),
            value: latest.value,
            result,
            difference: part(differences, 0),
            difference_low: part(differences, 1),
            difference_high: part(differences, 2),
            note,
            changes: self.changed(quantity, of),
        })
    }

    /// How a percentile of the round trips compares: a change is shown only where the intervals of
    /// the pooled histograms do not meet either.
    fn quantile(&self, kind: &Kind, place: usize) -> Option<Compared> {
        let quantile = |past: &PastRun| kind.of_run.get(&past.run)?[place];
        let of = |past: &PastRun| {
            let Quantile { value, low, high } = quantile(past)?;
            Some(Reading { value, error: (high - low) / 2.0 })
        };
        let (quantity, share) = Quantity::QUANTILES[place];
        let latest = quantile(&self.run)?;
        let mut compared = self.compared(Some(kind), None, quantity, &of)?;
        if let Some(pooled) = Quantile::of(&kind.pooled, share) {
            compared.baseline = Some(pooled.value);
            (compared.baseline_low, compared.baseline_high) = (Some(pooled.low), Some(pooled.high));
            let moved = pooled.value - (compared.value - compared.difference.unwrap_or(0.0));
            for difference in [
                &mut compared.difference,
                &mut compared.difference_low,
                &mut compared.difference_high,
            ] {
                *difference = difference.map(|difference| difference - moved);
            }
            let meet = latest.low <= pooled.high && pooled.low <= latest.high;
            if meet && compared.result != Finding::TooFew {
                compared.result = Finding::Same;
            }
        }
        Some(compared)
    }

    /// The readings of the runs before the compared one, whatever the baseline.
    fn before(&self, of: &dyn Fn(&PastRun) -> Option<Reading>) -> Vec<Reading> {
        let rolling = Baseline::Rolling(ROLLING_NS);
        let runs = sound_of(&self.earlier, &rolling, self.run.started_ns);
        runs.filter(|past| self.baseline != Baseline::Run(past.run.clone()))
            .filter_map(of)
            .collect()
    }

    fn too_few(&self, there: usize) -> String {
        match &self.baseline {
            Baseline::Run(run) => format!("run {run} has nothing that is like it"),
            Baseline::Rolling(_) => format!(
                "{} earlier runs like it are needed, and {there} are there",
                BASELINE_MIN + CONFIRMING
            ),
        }
    }

    fn changed(
        &self,
        quantity: Quantity,
        of: &dyn Fn(&PastRun) -> Option<Reading>,
    ) -> Vec<Changed> {
        let window_ns = match self.baseline {
            Baseline::Rolling(ns) => ns,
            Baseline::Run(_) => ROLLING_NS,
        };
        let oldest = self.run.started_ns.saturating_sub(CHANGES_NS.max(window_ns));
        let earlier = self.earlier.iter().filter(|past| oldest <= past.started_ns);
        let runs = earlier.filter(|past| past.started_ns <= self.run.started_ns);
        let sound = runs.chain([&self.run]).filter(|past| past.why_out().is_none());
        let (runs, series): (Vec<&PastRun>, Vec<At>) =
            sound.filter_map(|past| Some((past, (past.started_ns, of(past)?)))).unzip();
        let changed = |change: Change| Changed {
            run: runs[change.place].run.clone(),
            started_at: date(runs[change.place].started_ns),
            before: change.before,
            after: change.after,
            is_worse: change.is_worse,
        };
        changes(quantity, &series, window_ns).into_iter().map(changed).collect()
    }

    /// What changed beside what was measured.
    fn notes(&self) -> Vec<String> {
        type Fact = fn(&PastPath) -> Option<&str>;
        let facts: [(&str, Fact); 4] = [
            ("the driver's address", |path| path.driver_address.as_deref()),
            ("the agent's address", |path| path.agent_address.as_deref()),
            ("the agent's program", |path| path.agent_program.as_deref()),
            ("the agent's key", |path| path.agent_key.as_deref()),
        ];
        let mut notes = Vec::new();
        for (name, of) in facts {
            let Some(now) = of(&self.run.path) else { continue };
            let known: Vec<(&PastRun, &str)> =
                self.sound().filter_map(|past| Some((past, of(&past.path)?))).collect();
            let Some(place) = known.iter().rposition(|(_, value)| *value != now) else { continue };
            let before = known[place].1;
            let first = known.get(place + 1).map_or(&self.run, |(past, _)| past);
            let at = date(first.started_ns);
            notes.push(format!("{name} was {before} and is {now} since run {} of {at}", first.run));
        }
        let cut = self.run.trials.iter().filter(|trial| !trial.is_whole).count();
        if 0 < cut {
            notes.push(format!("trials of this run that did not run to their end: {cut}"));
        }
        notes
    }
}

/// What is sent in an idle trial.
const IDLE: &str = "idle";

/// A rate is carried where one is offered.
fn is_wanted(kind: &Kind, quantity: Quantity) -> bool {
    quantity != Quantity::CarriedRate || kind.trial.load != IDLE
}

/// That a rate which was carried is no capacity, where it is none.
fn capped(kind: &Kind, direction: Option<Direction>, quantity: Quantity) -> Option<String> {
    let figures = kind.trial.one_way.get(direction?).as_ref()?;
    let is_capped = quantity == Quantity::CarriedRate && figures.is_carried_whole();
    is_capped.then(|| "all that was offered was carried: this is not the capacity".to_owned())
}

/// The runs that `baseline` means before a run that began at `started_ns`, whatever came of them.
fn window_of<'a>(
    earlier: &'a [PastRun],
    baseline: &'a Baseline,
    started_ns: u64,
) -> impl DoubleEndedIterator<Item = &'a PastRun> {
    earlier.iter().filter(move |past| match baseline {
        Baseline::Run(run) => past.run == *run,
        Baseline::Rolling(ns) => {
            let oldest = started_ns.saturating_sub(*ns);
            (oldest..=started_ns).contains(&past.started_ns)
        }
    })
}

/// Those of them that may be in a baseline.
fn sound_of<'a>(
    earlier: &'a [PastRun],
    baseline: &'a Baseline,
    started_ns: u64,
) -> impl DoubleEndedIterator<Item = &'a PastRun> {
    window_of(earlier, baseline, started_ns).filter(|past| past.why_out().is_none())
}

impl Kind {
    fn offered(&self) -> [Option<u64>; 2] {
        Direction::ALL.map(|way| {
            let figures = self.trial.one_way.get(way).as_ref();
            figures.and_then(|figures| figures.offered_bit_s)
        })
    }
}

impl Quantile {
    /// The percentile `share` of `delays`, in us; `None` where it is not known, or where too few
    /// arrived to bound it.
    fn of(delays: &Delays, share: f64) -> Option<Self> {
        let us = |delay: Delay| match delay {
            Delay::Finite(ns) => Some(real(ns) / 1e3),
            Delay::Infinite => None,
        };
        let (low, high) = delays.bounds(share, Confidence::P95);
        let value = us(delays.quantile(share)?)?;
        Some(Self { value, low: us(low?)?, high: us(high?)? })
    }
}
