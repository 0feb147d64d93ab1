//! A link of known truth for one direction of a trial: a bottleneck with its queue, or a policer,
//! and what else a path does. It is written for speed: one call for each packet, in their order.

use rand::Rng as _;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_distr::Distribution as _;
use rand_distr::Gamma;

/// What the path does beside its bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing.
    Clean,
    /// A delay of each ms, with this 99.9th percentile in s. Order is kept.
    Jitter(f64),
    /// The bottleneck serves nothing for so many s of each second.
    Stalls(f64),
    /// Bursts of others, of 30 ms of work, twice a second.
    Cross,
    /// The delay changes once, by so many s.
    Step(f64),
    /// This share of packets is lost at random.
    Loss(f64),
    /// No queue, but a policer that holds so many octets.
    Policer(f64),
    /// The sender is held up for so many s, about once in 3 s.
    Held(f64),
}

/// All that a link follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Bit/s that the bottleneck serves, beside what others take of it.
    pub(crate) rate: f64,
    /// What its queue holds, in s.
    pub(crate) buffer: f64,
    /// How long the load lasts, in s.
    pub(crate) duration: f64,
    pub(crate) seed: u64,
}

/// What others take of a bottleneck that they share.
const CROSS_SHARE: f64 = 0.06;
const CROSS_WORK: f64 = 0.03;

#[derive(Debug)]
pub(crate) struct Link {
    spec: Spec,
    dice: StdRng,
    /// When the bottleneck is free, in s of the time that it works.
    free: f64,
    /// What a policer holds, in bits, as of when.
    tokens: f64,
    at: f64,
    phase: f64,
    crosses: Vec<f64>,
    step_at: f64,
    jitter: Option<Gamma<f64>>,
    jitter_slot: u64,
    jitter_now: f64,
    newest: f64,
}

/// When a packet left the bottleneck, and when it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) served: f64,
    pub(crate) arrived: f64,
}

impl Link {
    pub(crate) fn new(spec: Spec) -> Self {
        let mut dice = StdRng::seed_from_u64(spec.seed);
        let mut crosses = Vec::new();
        if spec.kind == Kind::Cross {
            let count = (2.0 * spec.duration) as usize;
            crosses.extend((0..count).map(|_| dice.random_range(0.0..spec.duration)));
            crosses.sort_unstable_by(|a, b| b.total_cmp(a));
        }
        let jitter = match spec.kind {
            // The 99.9th percentile of a Gamma of shape 2 is 9.23 times its scale.
            Kind::Jitter(p999) => Some(Gamma::new(2.0, p999 / 9.23).unwrap()),
            _ => None,
        };
        let depth = if let Kind::Policer(octets) = spec.kind { 8.0 * octets } else { 0.0 };
        Self {
            spec,
            phase: dice.random_range(0.0..1.0),
            step_at: spec.duration * dice.random_range(0.3..0.9),
            dice,
            free: 0.0,
            tokens: depth,
            at: 0.0,
            crosses,
            jitter,
            jitter_slot: u64::MAX,
            jitter_now: 0.0,
            newest: 0.0,
        }
    }

    /// A packet of `bits` that reaches the link at `at`, in s; `None` where it is dropped.
    pub(crate) fn pass(&mut self, at: f64, bits: f64) -> Option<Passed> {
        let served = match self.spec.kind {
            Kind::Policer(octets) => self.police(at, bits, 8.0 * octets)?,
            _ => self.serve(at, bits)?,
        };
        let mut arrived = served + 0.005;
        match self.spec.kind {
            Kind::Jitter(_) => arrived += self.jitter(at),
            Kind::Step(change) if self.step_at < at => arrived += change,
            Kind::Loss(ratio) if self.dice.random_bool(ratio) => return None,
            _ => {}
        }
        arrived = arrived.max(self.newest);
        self.newest = arrived;
        Some(Passed { served, arrived })
    }

    fn police(&mut self, at: f64, bits: f64, depth: f64) -> Option<f64> {
        self.tokens = depth.min(self.tokens + (at - self.at) * self.spec.rate);
        self.at = at;
        (bits <= self.tokens).then(|| {
            self.tokens -= bits;
            at
        })
    }

    fn serve(&mut self, at: f64, bits: f64) -> Option<f64> {
        let stall = if let Kind::Stalls(stall) = self.spec.kind { stall } else { 0.0 };
        let rate = match self.spec.kind {
            Kind::Cross => self.spec.rate / (1.0 - CROSS_SHARE),
            // What is never served is not of its rate.
            _ => self.spec.rate / (1.0 - stall),
        };
        let buffer = self.spec.buffer;
        while let Some(cross) = self.crosses.pop_if(|cross| *cross <= at) {
            self.free = self.free.max(cross);
            self.free += CROSS_WORK.min((buffer - (self.free - cross)).max(0.0));
        }
        let work = bits / rate;
        let now = self.worked(at, stall);
        self.free = self.free.max(now);
        if buffer.max(1.5 * work) < self.free - now + work {
            return None;
        }
        self.free += work;
        Some(self.real(self.free, stall))
    }

    /// The time that the bottleneck has worked by `at`: it stalls once a second.
    fn worked(&self, at: f64, stall: f64) -> f64 {
        let seconds = (at - self.phase).floor();
        self.phase + seconds * (1.0 - stall) + (at - self.phase - seconds - stall).max(0.0)
    }

    fn real(&self, worked: f64, stall: f64) -> f64 {
        let seconds = ((worked - self.phase) / (1.0 - stall)).floor();
        self.phase + seconds + stall + (worked - self.phase - seconds * (1.0 - stall))
    }

    fn jitter(&mut self, at: f64) -> f64 {
        let slot = (at * 1e3) as u64;
        if slot != self.jitter_slot {
            self.jitter_slot = slot;
            self.jitter_now = self.jitter.map_or(0.0, |jitter| jitter.sample(&mut self.dice));
        }
        self.jitter_now
    }

    /// When the sender of this link is held up, and until when: in order of time.
    pub(crate) fn held(&mut self) -> Vec<(f64, f64)> {
        let Kind::Held(hold) = self.spec.kind else { return Vec::new() };
        let stalls = 1 + (self.spec.duration / 3.0) as usize;
        let mut starts: Vec<f64> =
            (0..stalls).map(|_| self.dice.random_range(0.0..self.spec.duration)).collect();
        starts.sort_unstable_by(f64::total_cmp);
        starts.into_iter().map(|start| (start, start + hold)).collect()
    }

    /// A number that follows from the seed, for whatever else is by chance.
    pub(crate) fn draw(&mut self) -> u64 {
        self.dice.next_u64()
    }
}
