//! One-way delays over random links of known truth: whether the bounds that stand beside them hold.
//!
//! Probes cross an emulated link whose delays each way are drawn; the two hosts' clocks are up to
//! 10 ms apart and gain up to 100 ppm on each other, and either, both or none states how right its
//! wall clock is, rightly or not. What the product makes of the stamps is held against the delays
//! that there were, and against the model's own percentile.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a model, far below 2^53"
)]

use linkqual::account::{ClockSource, HostCounts, Outcome, Status, WallClock};
use linkqual::clock::Stamp;
use linkqual::direction::Direction;
use linkqual::emulation::{Applies, Class, DriftingClock, EmulatedLink, Jitter, Loss, Spec};
use linkqual::flow::{Exchange, Probed, Returned, TrialRun};
use linkqual::framing::IpVersion;
use linkqual::metric::{Criteria, Criterion, Measured, Metric, Requirements};
use linkqual::trial::Trial;
use linkqual::units::Span;
use std::fmt;

const MS: f64 = 1e6;

/// Probes per second, and the true moment at which the first leaves.
const PROBES: u64 = 100;
const BEGIN_NS: u64 = 1_000_000_000;

/// Who states something of a wall clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stated {
    Nobody,
    OneHost,
    Both,
    /// Both, and one of them is wrong by more than it says.
    BothWrongly,
}

impl Stated {
    const ALL: [Self; 4] = [Self::Nobody, Self::OneHost, Self::Both, Self::BothWrongly];
}

/// A link, two clocks, and what their hosts state.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    seed: u64,
    there: Spec,
    back: Spec,
    driver: DriftingClock,
    agent: DriftingClock,
    seconds: u64,
    pub(crate) stated: Stated,
    /// How far each wall clock is off true time, and the most that its host says, in ns.
    walls: [(i64, u64); 2],
}

/// What was made of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// The model's percentile lies within the interval that is judged.
    pub(crate) holds: bool,
    /// That of the delays that there were lies within what the clocks leave open.
    pub(crate) clocks_hold: bool,
    /// Half of what they leave open, in us.
    pub(crate) error_us: f64,
    /// Whether what the hosts state was found to be impossible.
    pub(crate) contradicted: bool,
}

/// A small generator: the same seed gives the same links everywhere (splitmix64).
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    /// As many between 1 and 2 as between 10 and 20.
    fn of_any_size(&mut self, low: f64, high: f64) -> f64 {
        (low.ln() + (high / low).ln() * self.next()).exp()
    }

    fn spec(&mut self) -> Spec {
        let scale_ns = self.of_any_size(0.01 * MS, 3.0 * MS) as u64;
        let jitter = match (self.next() * 4.0) as u32 {
            0 => Jitter::None,
            1 => Jitter::Uniform { max_ns: scale_ns },
            2 => Jitter::Exponential { mean_ns: scale_ns },
            _ => Jitter::Normal { sigma_ns: scale_ns },
        };
        let ratio = self.between(0.0, 0.01);
        Spec {
            delay_ns: self.of_any_size(0.02 * MS, 50.0 * MS) as u64,
            jitter,
            loss: vec![(Applies::To(Class::Probe), Loss::Random { ratio })],
            ..Spec::default()
        }
    }
}

impl Case {
    pub(crate) fn random(seed: u64) -> Self {
        let mut mix = Mix(seed);
        let (there, back) = (mix.spec(), mix.spec());
        let skew_ppb = mix.between(-100_000.0, 100_000.0);
        // Each host has its part of what they gain on each other.
        let part = mix.next();
        let clock = |drift_ppb: f64, offset_ns: f64| DriftingClock {
            drift_ppb: drift_ppb as i64,
            offset_ns: offset_ns as i64,
            step: None,
        };
        let offset_ns = mix.between(-10.0 * MS, 10.0 * MS);
        let driver = clock(-skew_ppb * part, 0.0);
        let agent = clock(skew_ppb * (1.0 - part), offset_ns);
        let stated = Stated::ALL[(mix.next() * 4.0) as usize];
        let mut wall = || {
            let error_ns = mix.of_any_size(0.01 * MS, 5.0 * MS);
            ((error_ns * mix.between(-1.0, 1.0)) as i64, error_ns as u64)
        };
        let mut walls = [wall(), wall()];
        if stated == Stated::BothWrongly {
            walls[0].0 += 200 * MS as i64;
        }
        let seconds = if mix.next() < 0.5 { 10 } else { 30 };
        Self { seed, there, back, driver, agent, seconds, stated, walls }
    }

    /// What a host states of a wall clock that runs evenly with `clock`: it is as right as it says
    /// at the end of the trial, too.
    fn wall_clock(&self, clock: &DriftingClock, (off_ns, error_ns): (i64, u64)) -> WallClock {
        let half_ns = self.seconds * 1_000_000_000 / 2;
        let middle_ns = BEGIN_NS + half_ns;
        let shown_ns = clock.read(middle_ns);
        let drifted_ns = half_ns * clock.drift_ppb.unsigned_abs() / 1_000_000_000;
        WallClock {
            ahead_ns: middle_ns.cast_signed() + off_ns - shown_ns.cast_signed(),
            // A reply may come some time after the last probe is due.
            error_ns: error_ns + drifted_ns + 100_000,
            source: ClockSource::Kernel,
        }
    }

    /// The trial as the product sees it, and the true delays of what came back, in ns.
    fn play(&self) -> (TrialRun, [Vec<u64>; 2]) {
        let mut there = EmulatedLink::new(self.there.clone(), self.seed);
        let mut back = EmulatedLink::new(self.back.clone(), !self.seed);
        let mut delays = [Vec::new(), Vec::new()];
        let mut exchange = |probe: u64| {
            let sent_ns = BEGIN_NS + probe * 1_000_000_000 / PROBES;
            let sent = Stamp::from_nanos(self.driver.read(sent_ns));
            let mut exchange =
                Exchange { due: sent, sent, sent_by_kernel: true, late: false, reply: None };
            let Some(seen_ns) =
                there.offer(sent_ns, 128, Class::Probe).arrivals_ns().first().copied()
            else {
                return exchange;
            };
            let answered_ns = seen_ns + 20_000;
            let Some(back_ns) =
                back.offer(answered_ns, 128, Class::Probe).arrivals_ns().first().copied()
            else {
                return exchange;
            };
            delays[0].push(seen_ns - sent_ns);
            delays[1].push(back_ns - answered_ns);
            exchange.reply = Some(Returned {
                sequence: u32::try_from(probe).unwrap(),
                seen: Stamp::from_nanos(self.agent.read(seen_ns)),
                seen_by_kernel: true,
                answered: Stamp::from_nanos(self.agent.read(answered_ns)),
                answered_by_kernel: true,
                back: Stamp::from_nanos(self.driver.read(back_ns)),
                back_by_kernel: true,
            });
            exchange
        };
        let exchanges: Vec<Exchange> = (0..self.seconds * PROBES).map(&mut exchange).collect();
        let states = |host: usize, clock| {
            let is_stated = match self.stated {
                Stated::Nobody => false,
                Stated::OneHost => host == 1,
                Stated::Both | Stated::BothWrongly => true,
            };
            is_stated.then(|| self.wall_clock(clock, self.walls[host]))
        };
        let trial = Trial::new(None, Span::from_secs(self.seconds)).unwrap();
        let counts = HostCounts { wall_clock: states(1, &self.agent), ..HostCounts::default() };
        let outcome =
            Outcome { status: Status::Ok, agent_host: Some(counts), ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let wall_clock = states(0, &self.driver);
        run.take_probes(Probed { exchanges, wall_clock, ..Probed::default() }, None);
        (run, delays)
    }

    /// What is made of each direction.
    pub(crate) fn judge(&self) -> [Judged; 2] {
        let (run, mut delays) = self.play();
        let mut requirements = Requirements::default();
        requirements.set(None, Metric::OWD_P99.require("<= 1 ms").unwrap());
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let specs = [&self.there, &self.back];
        let mut place = 0..;
        Direction::ALL.map(|direction| {
            let place = place.next().unwrap();
            let criterion = Criterion::of(&criteria, Metric::OWD_P99, Some(direction)).unwrap();
            let Some(Measured::Sampled { low, high, .. }) = criterion.estimate(&run) else {
                unreachable!("{self:?}")
            };
            let jitter_ns = specs[place].jitter.quantile_ns(0.99).unwrap();
            let truth_us = (specs[place].delay_ns + jitter_ns) as f64 / 1e3;
            let bounds = run.outcome.one_way(direction).probes.delays.as_ref().unwrap();
            let of = |delays: &linkqual::stats::delays::Delays| match delays.quantile(0.99) {
                Some(linkqual::stats::delays::Delay::Finite(nanos)) => nanos as f64 / 1e3,
                other => unreachable!("{other:?}; {self:?}"),
            };
            let (shortest, longest) = (of(&bounds.low), of(&bounds.high));
            delays[place].sort_unstable();
            let rank = (delays[place].len() * 99).div_ceil(100) - 1;
            let sample_us = delays[place][rank] as f64 / 1e3;
            // A bucket is a thousandth wide, and a quantile is given at its upper edge.
            Judged {
                holds: low.unwrap() <= truth_us && truth_us <= high.unwrap(),
                clocks_hold: shortest <= sample_us * 1.001 && sample_us <= longest,
                error_us: (longest - shortest) / 2.0,
                contradicted: run.outcome.round_trip.stated_clocks.contradicted,
            }
        })
    }
}

/// What held, by who states something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    rows: [Vec<Judged>; 4],
}

impl Tally {
    pub(crate) fn add(&mut self, case: &Case, judged: [Judged; 2]) {
        let place = Stated::ALL.iter().position(|stated| *stated == case.stated).unwrap();
        self.rows[place].extend(judged);
    }

    /// The share of directions in which the interval holds the truth, of those whose hosts state
    /// the truth or are found out.
    pub(crate) fn coverage(&self) -> f64 {
        share(self.fair(), |judged| judged.holds)
    }

    /// The same of what the clocks leave open: the bound that stands beside the value.
    pub(crate) fn clocks(&self) -> f64 {
        share(self.fair(), |judged| judged.clocks_hold)
    }

    fn fair(&self) -> impl Iterator<Item = &Judged> {
        let right = self.rows[..3].iter().flatten();
        right.chain(self.rows[3].iter().filter(|judged| judged.contradicted))
    }

    /// The share of wrong statements that were found out.
    pub(crate) fn found_out(&self) -> f64 {
        share(self.rows[3].iter(), |judged| judged.contradicted)
    }

    /// Whether a right statement was held to be wrong.
    pub(crate) fn is_unjust(&self) -> bool {
        self.rows[..3].iter().flatten().any(|judged| judged.contradicted)
    }
}

fn share<'a>(of: impl Iterator<Item = &'a Judged>, holds: impl Fn(&Judged) -> bool) -> f64 {
    let (mut all, mut held) = (0_u32, 0_u32);
    for judged in of {
        all += 1;
        held += u32::from(holds(judged));
    }
    f64::from(held) / f64::from(all.max(1))
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| hosts that state their clocks | directions | interval holds the truth | clocks' \
             bound holds | error, median | found impossible |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        let names = ["none", "one", "both", "both, one wrongly by 0.2 s"];
        for (name, row) in names.iter().zip(&self.rows) {
            let mut errors: Vec<f64> = row.iter().map(|judged| judged.error_us).collect();
            errors.sort_unstable_by(f64::total_cmp);
            let percent = |holds: fn(&Judged) -> bool| 100.0 * share(row.iter(), holds);
            writeln!(
                f,
                "| {name} | {} | {:.2} % | {:.2} % | {:.0} us | {:.1} % |",
                row.len(),
                percent(|judged| judged.holds),
                percent(|judged| judged.clocks_hold),
                errors.get(errors.len() / 2).copied().unwrap_or(0.0),
                percent(|judged| judged.contradicted)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scripts/oracle_owd.rs` does the same with 1000 links.
    #[test]
    fn the_bounds_of_one_way_delays_hold_the_truth() {
        let mut tally = Tally::default();
        for seed in 0..100 {
            let case = Case::random(seed);
            let judged = case.judge();
            for judged in judged.iter().filter(|judged| !judged.clocks_hold) {
                assert!(case.stated == Stated::BothWrongly && !judged.contradicted, "{case:?}");
            }
            tally.add(&case, judged);
        }
        assert!(0.94 <= tally.coverage() && 1.0 <= tally.clocks(), "{tally}");
        assert!(!tally.is_unjust(), "{tally}");
        assert!(0.9 < tally.found_out(), "{tally}");
    }
}
