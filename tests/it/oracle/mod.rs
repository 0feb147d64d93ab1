//! The oracle of throughput: random links whose truth is known, measured by the product's own
//! machines and judged by its own rule. `scripts/oracle.rs` plays thousands, the test here some.
//!
//! The truth of a link is what its bottleneck forwarded in the steady part of the trial, and what
//! it can forward for ever. A PASS is wrong where both are below the rate less what is forgiven; a
//! FAIL is wrong where both are not.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and counts of a model, far below 2^53"
)]

mod link;
mod trial;

use link::{Kind, Spec};
use linkqual::direction::{Direction, Directions};
use linkqual::flow::Evidence;
use linkqual::framing::{Framing, IpVersion, Layer};
use linkqual::metric::{Criteria, Limit, Metric, Requirement, Requirements};
use linkqual::trial::{Load, LoadKind, Trial};
use linkqual::units::{BitRate, PacketRate, Span};
use linkqual::verdict::{Verdict, findings};
use linkqual::wire::probe;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::fmt;
use trial::{Played, Sizes, play};

const PAYLOAD: u32 = 1_472;

/// What a throughput forgives where no loss is bounded.
const FORGIVEN: f64 = 1e-3;

/// The bucket that a trial assumes to have been full, in bits.
const CREDIT: f64 = 524_288.0;

/// A link, and how it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    kind: Kind,
    /// The bottleneck's rate as a part of the rate asked.
    capacity: f64,
    packets_per_second: u64,
    buffer: f64,
    duration: f64,
    skew: f64,
    seed: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The verdict of the first trial.
    first: Verdict,
    /// Whether the link carries the rate, and whether it does not: neither is its edge.
    good: bool,
    bad: bool,
    /// What the trial that decided saw forwarded, as a part of the rate.
    forwarded: f64,
    /// Whether the law states error rates for it.
    is_bound: bool,
    kind: &'static str,
}

impl Judged {
    /// Whether the verdict is one that the truth contradicts.
    pub(crate) fn is_wrong(&self) -> bool {
        self.bad && self.verdict == Verdict::Pass
            || self.good && !self.bad && self.verdict == Verdict::Fail
    }
}

impl Case {
    /// Any link whose load lasts from `shortest` to `longest` s, at up to `fastest` packets/s.
    pub(crate) fn random(seed: u64, (shortest, longest): (f64, f64), fastest: f64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut log = |low: f64, high: f64| (dice.random_range(low.ln()..high.ln())).exp();
        let duration = (log(shortest, longest) * 1e3).round() / 1e3;
        let packets_per_second = log(82.0, fastest) as u64;
        let buffer = log(0.005, 2.0);
        let skew = dice.random_range(-5e-5..5e-5);
        let capacity = match dice.random_bool(0.5) {
            true => dice.random_range(0.9..0.998),
            false => dice.random_range(1.0..1.05),
        };
        let kind = match dice.random_range(0..12) {
            0..3 => Kind::Clean,
            3 => Kind::Jitter(dice.random_range(0.001..0.02)),
            4 => Kind::Stalls(0.02),
            5 => Kind::Cross,
            6 => Kind::Step(dice.random_range(0.005..0.15)),
            7 => Kind::Loss(dice.random_range(0.0..0.002)),
            8 => Kind::Policer(8_192.0 * f64::from(1 << dice.random_range(0..4_u8))),
            9 => Kind::Policer(65_536.0),
            10 => Kind::Held(0.02),
            _ => Kind::Held(dice.random_range(0.001..0.05)),
        };
        // A queue that no stall fits in drops at any rate.
        let buffer = match kind {
            Kind::Stalls(_) | Kind::Cross => buffer.max(0.1),
            // Nor does one that holds no three packets.
            _ => buffer.max(3.0 / packets_per_second as f64),
        };
        Self { kind, capacity, packets_per_second, buffer, duration, skew, seed }
    }

    const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Clean => "clean",
            Kind::Jitter(_) => "jitter to 20 ms",
            Kind::Stalls(_) => "link stalls 20 ms/s",
            Kind::Cross => "bursts of others",
            Kind::Step(_) => "path step to 150 ms",
            Kind::Loss(_) => "loss to 0.2 %",
            Kind::Policer(_) => "policer",
            Kind::Held(_) => "sender stalls",
        }
    }

    fn load(&self) -> Trial {
        let rate = PacketRate::new(self.packets_per_second).unwrap();
        let load = Load::new(Directions::Forward, 1, PAYLOAD, rate, LoadKind::FixedRate).unwrap();
        Trial::new(Some(load), Span::from_nanos((self.duration * 1e9) as u64)).unwrap()
    }

    /// All that `trial` sends forward, in bit/s.
    fn asked(&self, sizes: Sizes, trial: &Trial) -> f64 {
        let probes = 1e9 / (trial.probe_rate().due(1_000_000).nanos() as f64 / 1e6);
        self.packets_per_second as f64 * sizes.load + probes * sizes.probe
    }

    fn play(&self, trial: Trial, asked: f64, sizes: Sizes, seed: u64) -> Played {
        let (kind, buffer) = (self.kind, self.buffer);
        let duration = trial.duration().as_secs();
        let spec = Spec { kind, rate: self.capacity * asked, buffer, duration, seed };
        play(trial, spec, sizes, self.skew)
    }

    /// Measures the link, for longer where that is needed, and judges it.
    pub(crate) fn judge(&self) -> Judged {
        let framing = Framing::plain(IpVersion::V4);
        let bits = |octets| 8.0 * f64::from(framing.octets_at(Layer::L2, octets));
        let probe = bits(u32::try_from(probe::LEN_MIN).unwrap());
        let sizes = Sizes { load: bits(PAYLOAD), probe };
        let trial = self.load();
        let asked = self.asked(sizes, &trial);
        let criteria = criteria(framing, BitRate::new(asked as u64).unwrap());
        let mut played = self.play(trial, asked, sizes, self.seed);
        let mut evidence = Evidence { trials: vec![played.run.clone()], ..Evidence::default() };
        let first = verdict(&criteria, &evidence);
        if criteria.iter().any(|criterion| criterion.is_open(&played.run)) {
            let longer = Span::from_nanos(((3.0 * self.duration).max(10.0) * 1e9) as u64);
            let trial = trial.lengthened(longer.min(Span::from_secs(600))).unwrap();
            played = self.play(trial, asked, sizes, !self.seed);
            evidence.trials.push(played.run.clone());
        }
        let verdict = verdict(&criteria, &evidence);
        let duration = played.run.trial.duration().as_secs();
        let loss = if let Kind::Loss(ratio) = self.kind { ratio } else { 0.0 };
        let forgiven = FORGIVEN.max(2.0 / played.packets);
        let forwarded = played.forwarded * (1.0 - loss);
        let is_bound = 10.0 <= self.duration
            && 2_000.0 <= played.packets
            && CREDIT < FORGIVEN * asked * duration
            && loss == 0.0;
        Judged {
            verdict,
            first,
            good: 1.0 <= self.capacity && loss < FORGIVEN,
            bad: forwarded + 1.0 / played.packets < 1.0 - forgiven
                && self.capacity * (1.0 - loss) < 1.0 - forgiven,
            forwarded: forwarded.min(self.capacity),
            is_bound,
            kind: self.kind(),
        }
    }
}

fn criteria(framing: Framing, required: BitRate) -> Criteria {
    let mut requirements = Requirements::default();
    let required = Requirement::new(Metric::THROUGHPUT, Limit::Rate(required)).unwrap();
    requirements.set(Some(Direction::Forward), required);
    let _link = linkqual::plan::Link::default();
    Criteria { framing, ..Criteria::plain(requirements, framing.ip) }
}

fn verdict(criteria: &Criteria, evidence: &Evidence) -> Verdict {
    let found = findings(criteria, evidence);
    let of =
        |finding: &&linkqual::verdict::Finding| finding.requirement.metric() == Metric::THROUGHPUT;
    found.iter().find(of).unwrap().verdict
}

/// Verdicts by what is true of their links.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    links: [u32; 3],
    verdicts: [[u32; 4]; 3],
    lengthened: u32,
    wrong_pass: u32,
    wrong_fail: u32,
}

/// All that was judged, by kind of link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    rows: BTreeMap<&'static str, Row>,
    /// Of the links that the law bounds: those that do not carry the rate, and of them those that
    /// passed, at all and below 0.99 of the rate.
    bad: u32,
    passed: u32,
    passed_far: u32,
    /// Those that carry it, and of them those that failed.
    good: u32,
    failed: u32,
}

impl Grid {
    pub(crate) fn add(&mut self, judged: &Judged) {
        let row = self.rows.entry(judged.kind).or_default();
        let truth = if judged.good {
            0
        } else if judged.bad {
            2
        } else {
            1
        };
        row.links[truth] += 1;
        row.verdicts[truth][judged.verdict as usize] += 1;
        row.lengthened += u32::from(judged.first == Verdict::Inconclusive);
        let passed = judged.bad && judged.verdict == Verdict::Pass;
        let failed = judged.good && !judged.bad && judged.verdict == Verdict::Fail;
        row.wrong_pass += u32::from(passed);
        row.wrong_fail += u32::from(failed);
        if judged.is_bound {
            self.bad += u32::from(judged.bad);
            self.passed += u32::from(passed);
            self.passed_far += u32::from(passed && judged.forwarded < 0.99);
            self.good += u32::from(judged.good);
            self.failed += u32::from(failed);
        }
    }

    /// Whether the law's error rates hold.
    pub(crate) const fn holds(&self) -> bool {
        self.passed * 50 <= self.bad && self.passed_far == 0 && self.failed == 0
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| link | carries the rate: PASS/INCONCLUSIVE/INVALID/FAIL | edge | does not | \
                     lengthened | wrong PASS | wrong FAIL |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (kind, row) in &self.rows {
            let cell =
                |[pass, open, invalid, fail]: [u32; 4]| format!("{pass}/{open}/{invalid}/{fail}");
            let [good, edge, bad] = row.verdicts.map(cell);
            writeln!(
                f,
                "| {kind} | {good} | {edge} | {bad} | {} | {} | {} |",
                row.lengthened, row.wrong_pass, row.wrong_fail
            )?;
        }
        write!(
            f,
            "\nLinks that the law bounds (10 s and longer, 2000 packets, no chance in the link): \
             {} of {} that do not carry the rate passed, {} of them below 0.99 of it; {} of {} \
             that carry it failed.",
            self.passed, self.bad, self.passed_far, self.failed, self.good
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred links in a few seconds; `scripts/oracle.rs` plays thousands for as long as a
    /// minute each.
    #[test]
    fn no_slow_link_passes_and_no_good_one_fails() {
        let (mut grid, mut wrong) = (Grid::default(), Vec::new());
        for seed in 0..100 {
            let case = Case::random(seed, (8.0, 14.0), 2_000.0);
            let judged = case.judge();
            wrong.extend(judged.is_wrong().then_some((case, judged)));
            grid.add(&judged);
        }
        assert!(grid.holds(), "{grid}\n{wrong:#?}");
        assert!(wrong.is_empty(), "{grid}\n{wrong:#?}");
    }
}
