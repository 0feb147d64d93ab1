//! The rule of alarm over many links whose truth is known: how often it is raised where nothing
//! changed, and how soon a change is found.
//!
//! A run a day, at an hour of its own. What it shows varies by Student's law with three degrees of
//! freedom, which has heavy tails; by the hour, as traffic does; by a part that lasts for some days
//! (an autocorrelation of 0.4 from one run to the next); and one run in a hundred is disturbed by
//! something else, so that half of what it shows is far worse.

use linkqual::history::NANOS_PER_DAY;
use linkqual::history::comparison::{At, Finding, Quantity, Reading, changes, judge};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::f64::consts::TAU;
use std::fmt;

/// The days of a quarter, and the runs that are there before it.
const QUARTER: usize = 92;
const BEFORE: usize = 40;

/// Days of the baseline.
const WINDOW: usize = 30;

/// How runs of a quantity vary, each a standard deviation, or an amplitude, in the unit of what is
/// varied: see [`Noise::value`].
#[derive(Clone, Copy, Debug)]
struct Noise {
    quantity: Quantity,
    level: f64,
    /// By chance, from run to run.
    chance: f64,
    /// From day to day.
    lasting: f64,
    /// From the mean to the busiest hour.
    hour: f64,
    /// A disturbed run is off by so much at most.
    disturbed: f64,
    /// Whether all of these are shares of the level.
    is_ratio: bool,
    /// What the measurement leaves open.
    error: f64,
}

const fn noise(quantity: Quantity, level: f64, parts: [f64; 4], is_ratio: bool) -> Noise {
    let [chance, lasting, hour, disturbed] = parts;
    Noise { quantity, level, chance, lasting, hour, disturbed, is_ratio, error: 0.0 }
}

/// What is compared of a link that is tested each day, both ways: idle, and with a load as fast as
/// it carries.
const SERIES: [Noise; 18] = [
    CAPACITY,
    CAPACITY,
    FLOOR,
    noise(Quantity::RttP50, 10_150.0, [0.005, 0.005, 0.01, 0.5], true),
    noise(Quantity::RttP90, 10_400.0, [0.01, 0.01, 0.02, 1.0], true),
    noise(Quantity::RttP99, 11_500.0, [0.04, 0.03, 0.08, 2.0], true),
    noise(Quantity::RttP50, 30_000.0, [0.03, 0.02, 0.05, 0.5], true),
    noise(Quantity::RttP90, 42_000.0, [0.03, 0.02, 0.05, 0.5], true),
    noise(Quantity::RttP99, 45_000.0, [0.05, 0.03, 0.05, 0.5], true),
    JITTER,
    JITTER,
    JITTER,
    JITTER,
    IDLE_LOSS,
    IDLE_LOSS,
    LOSS,
    LOSS,
    noise(Quantity::PathMtu, 1_500.0, [0.0; 4], false),
];

const CAPACITY: Noise = noise(Quantity::CarriedRate, 95e6, [0.002, 0.002, 0.003, -0.2], true);
const FLOOR: Noise = noise(Quantity::RttFloor, 10_000.0, [20.0, 15.0, 40.0, 5_000.0], false);
const JITTER: Noise = noise(Quantity::Jitter, 1_500.0, [0.15, 0.1, 0.2, 3.0], true);
const IDLE_LOSS: Noise =
    Noise { error: 0.0015, ..noise(Quantity::Loss, 0.0, [0.0, 0.0, 0.0, 0.01], false) };
const LOSS: Noise =
    Noise { error: 1.5e-5, ..noise(Quantity::Loss, 2e-5, [1e-5, 5e-6, 1e-5, 0.01], false) };

/// One run in so many is disturbed, which this share of its quantities shows.
const DISTURBED_IN: f64 = 100.0;
const SHOWS_IT: f64 = 0.5;

/// What becomes of a day's value in the next.
const LASTS: f64 = 0.4;

/// One series: its noise, and its dice.
struct Series {
    noise: Noise,
    dice: ChaCha8Rng,
    lasting: f64,
}

impl Series {
    fn new(noise: Noise, dice: ChaCha8Rng) -> Self {
        Self { noise, dice, lasting: 0.0 }
    }

    /// A number of the normal law (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (one, two): (f64, f64) = (self.dice.random(), self.dice.random());
        (-2.0 * (1.0 - one).ln()).sqrt() * (TAU * two).cos()
    }

    /// A number of Student's law with three degrees of freedom, whose variance is 1.
    fn student(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / squares.sqrt()
    }

    /// What the next run shows, where the level is `moved` away from what it was, and the run was
    /// or was not disturbed.
    fn next(&mut self, moved: f64, is_disturbed: bool) -> Reading {
        let noise = self.noise;
        let fresh = noise.lasting * (1.0 - LASTS * LASTS).sqrt() * self.normal();
        self.lasting = LASTS * self.lasting + fresh;
        let hour = noise.hour * (TAU * self.dice.random::<f64>()).sin();
        let (shows, share) = (self.dice.random::<f64>() < SHOWS_IT, self.dice.random::<f64>());
        let share = if is_disturbed && shows { share } else { 0.0 };
        let off = noise.chance * self.student() + self.lasting + hour + share * noise.disturbed;
        let level = noise.level + moved;
        let value = if noise.is_ratio { level * off.exp() } else { level + off };
        Reading { value: value.max(0.0), error: noise.error }
    }
}

/// What was found over many links.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) links: u64,
    /// Runs that were judged, of one quantity each.
    pub(crate) judged: u64,
    /// Runs that were said to be worse or better, where nothing had changed.
    pub(crate) false_alarms: u64,
    /// Changes of level that were said to have been, where there was none.
    pub(crate) false_changes: u64,
}

/// What became of changes that there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) changes: u64,
    /// Found within three runs.
    pub(crate) in_three: u64,
    /// Of all, those whose beginning is named to the run.
    pub(crate) begun_right: u64,
}

fn dice(seed: u64, series: usize) -> ChaCha8Rng {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(u64::try_from(series).unwrap());
    dice
}

/// Which of so many `runs` of the link with this `seed` are disturbed.
fn disturbed(seed: u64, runs: usize) -> Vec<bool> {
    let mut dice = dice(seed, SERIES.len() + 1);
    (0..runs).map(|_| dice.random::<f64>() * DISTURBED_IN < 1.0).collect()
}

impl Tally {
    /// A quarter of the link with this `seed`, of which nothing changes.
    pub(crate) fn add_quarter(&mut self, seed: u64) {
        self.links += 1;
        let disturbed = disturbed(seed, BEFORE + QUARTER);
        for (place, noise) in SERIES.iter().enumerate() {
            let mut series = Series::new(*noise, dice(seed, place));
            let readings: Vec<Reading> = disturbed.iter().map(|is| series.next(0.0, *is)).collect();
            for day in BEFORE..readings.len() {
                let earlier = &readings[day - WINDOW..day];
                let (finding, _) = judge(noise.quantity, earlier, readings[day]);
                self.judged += 1;
                let is_alarm = matches!(finding, Finding::Worse | Finding::Better);
                self.false_alarms += u64::from(is_alarm);
            }
            let at: Vec<At> = (0..).map(|day| day * NANOS_PER_DAY).zip(readings).collect();
            let window_ns = 30 * NANOS_PER_DAY;
            let found = changes(noise.quantity, &at, window_ns);
            self.false_changes += u64::try_from(found.len()).unwrap();
        }
    }

    /// For each quarter of 60 links.
    pub(crate) fn per_quarter_of_sixty(&self, alarms: u64) -> f64 {
        real(alarms) * 60.0 / real(self.links)
    }
}

impl Found {
    /// A fall of 5 % of what the link carries, after `runs` of one level.
    pub(crate) fn add_fall(&mut self, seed: u64, runs: usize) {
        self.add(CAPACITY, -0.05 * CAPACITY.level, seed, runs);
    }

    /// A rise of the shortest round trip by 1 ms.
    pub(crate) fn add_rise(&mut self, seed: u64, runs: usize) {
        self.add(FLOOR, 1_000.0, seed, runs);
    }

    fn add(&mut self, noise: Noise, moved: f64, seed: u64, runs: usize) {
        let mut series = Series::new(noise, dice(seed, SERIES.len()));
        let disturbed = disturbed(seed, runs + 3);
        let moved = |run: usize| if run < runs { 0.0 } else { moved };
        let run = |(run, is_disturbed): (usize, &bool)| series.next(moved(run), *is_disturbed);
        let readings: Vec<Reading> = disturbed.iter().enumerate().map(run).collect();
        let finds = |day: usize| {
            let earlier = &readings[day.saturating_sub(WINDOW)..day];
            judge(noise.quantity, earlier, readings[day]).0 == Finding::Worse
        };
        self.changes += 1;
        self.in_three += u64::from((runs..runs + 3).any(finds));
        let at: Vec<At> = (0..).map(|day| day * NANOS_PER_DAY).zip(readings.clone()).collect();
        let found = changes(noise.quantity, &at, 30 * NANOS_PER_DAY);
        self.begun_right += u64::from(found.last().is_some_and(|change| change.place == runs));
    }

    pub(crate) fn share(&self) -> f64 {
        real(self.in_three) / real(self.changes)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = 100.0 * real(self.begun_right) / real(self.changes);
        write!(f, "{} | {:.2} % | {begun:.2} %", self.changes, 100.0 * self.share())
    }
}

/// A quarter of 60 links, and 200 changes of each kind; `scripts/oracle_comparison.rs` has more.
#[test]
fn sixty_links_raise_no_false_alarm_in_a_quarter_and_changes_are_found_in_three_runs() {
    let mut tally = Tally::default();
    (0..60).for_each(|seed| tally.add_quarter(seed));
    assert!(tally.per_quarter_of_sixty(tally.false_alarms) <= 1.0, "{tally:?}");
    assert!(tally.per_quarter_of_sixty(tally.false_changes) <= 1.0, "{tally:?}");
    for runs in [WINDOW, 14] {
        let (mut falls, mut rises) = (Found::default(), Found::default());
        for seed in 0..200 {
            falls.add_fall(seed, runs);
            rises.add_rise(seed, runs);
        }
        assert!(0.95 <= falls.share(), "{runs} runs: {falls}");
        assert!(0.95 <= rises.share(), "{runs} runs: {rises}");
    }
}
