//! TCP over scripted links of known truth, through the product's own judge.
//!
//! The transport has no congestion control: in each tenth of a second it delivers as much as the
//! link, its window over the round trip, its pace and its application allow, and fills in what the
//! kernel would report of it. A window beyond what the path holds stands in the bottleneck's queue,
//! and makes the round trip as long as that takes. The truth is the worst 10 s of the link, and
//! whether anything of the tester's was below what is required.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times of a model, far below 2^53"
)]

use linkqual::account::{
    OneWayCounts, Outcome, Series, Status, TcpBuffer, TcpInfo, TcpReceiverCounts, TcpSenderCounts,
};
use linkqual::direction::{Direction, PerDirection};
use linkqual::flow::{Evidence, TrialRun};
use linkqual::framing::{Framing, IpVersion, Layer};
use linkqual::metric::{Criteria, Limit, Metric, Requirement, Requirements};
use linkqual::stats::delays::Delays;
use linkqual::trial::{CongestionControl, LoadKind, TcpLoad, Trial};
use linkqual::units::{BitRate, Span};
use linkqual::verdict::{Verdict, findings};
use std::fmt;

const STEPS_PER_SECOND: usize = 10;
const MBIT: f64 = 1e6;

/// How the rate of a link changes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Shape {
    Constant,
    Noise,
    Saw,
    Collapse,
    Decline,
    Dead,
    Dip,
}

const SHAPES: [Shape; 7] = [
    Shape::Constant,
    Shape::Noise,
    Shape::Saw,
    Shape::Collapse,
    Shape::Decline,
    Shape::Dead,
    Shape::Dip,
];

/// What of the tester's is smaller than what is required takes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Held {
    Free,
    SendBuffer,
    ReceiveWindow,
    Application,
}

/// A link, a transport and a question.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) held: Held,
    /// In bit/s of Ethernet frames.
    required: f64,
    /// The rate of the link by tenths of a second, as a share of what is required.
    link: Vec<f64>,
    idle_s: f64,
    /// Octets under way at most.
    window: f64,
    /// What the bottleneck's queue holds, in octets.
    queue: f64,
    /// What the application offers, as a share of what is required.
    offers: f64,
}

/// A small generator: the same seed gives the same links everywhere (splitmix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    /// As likely to be small as to be large.
    fn scaled(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        let place = (self.next() * of.len() as f64) as usize;
        of[place.min(of.len() - 1)]
    }
}

impl Case {
    pub(crate) fn random(seed: u64) -> Self {
        let mut draws = Draws(seed);
        let shape = draws.one_of(&SHAPES);
        let kinds = [
            Held::Free,
            Held::Free,
            Held::Free,
            Held::SendBuffer,
            Held::ReceiveWindow,
            Held::Application,
        ];
        let held = draws.one_of(&kinds);
        let required = draws.scaled(1.0, 1_000.0) * MBIT;
        let seconds = draws.between(14.0, 60.0) as usize;
        let level = draws.between(0.7, 1.3);
        let idle_s = draws.scaled(0.000_1, 0.1);
        let path = payload(required) / 8.0 * idle_s;
        let window = match held {
            Held::SendBuffer | Held::ReceiveWindow => path * draws.between(0.3, 0.95),
            // From just enough to far more than the path holds: that stands in the queue.
            Held::Free | Held::Application => path.max(3_000.0) * draws.scaled(1.5, 1_000.0),
        };
        let offers = if held == Held::Application { draws.between(0.4, 0.97) } else { 9.0 };
        let queue = path.max(3_000.0) * draws.scaled(0.5, 2_000.0);
        let link = shape.rates(level, seconds * STEPS_PER_SECOND, &mut draws);
        Self { shape, held, required, link, idle_s, window, queue, offers }
    }

    /// The worst 10 s of what the link carries, as a share of what is required, behind a warm-up
    /// and before the second that the trial's end cuts off, as they are judged.
    pub(crate) fn truth(&self) -> f64 {
        let seconds = per_second(&self.link);
        let judged = &seconds[self.warm_up()..seconds.len() - 1];
        let blocks = judged.windows(10).map(|block| block.iter().sum::<f64>() / 10.0);
        blocks.fold(f64::INFINITY, f64::min)
    }

    fn warm_up(&self) -> usize {
        (20.0 * self.idle_s).ceil().max(2.0) as usize
    }

    pub(crate) fn judge(&self) -> Judged {
        let run = self.run();
        let mut requirements = Requirements::default();
        let required = BitRate::new(self.required as u64).unwrap();
        let required = Requirement::new(Metric::TCP_THROUGHPUT, Limit::Rate(required)).unwrap();
        requirements.set(Some(Direction::Forward), required);
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let evidence = Evidence { trials: vec![run], ..Evidence::default() };
        let finding = findings(&criteria, &evidence).remove(0);
        let truth = self.truth();
        Judged { verdict: finding.verdict, truth, held: self.held, reason: finding.reason }
    }

    /// What both ends report.
    fn run(&self) -> TrialRun {
        let framing = Framing::plain(IpVersion::V4);
        let required = BitRate::new(self.required as u64).unwrap();
        let paced = linkqual::trial::tcp_paced_at_least(required);
        let rate = framing.tcp_goodput(paced, Layer::L2, 1_448, true);
        let rates = PerDirection { forward: rate, reverse: None };
        let control = CongestionControl::CUBIC;
        let load = TcpLoad::new(rates, 1, 1_500, control, LoadKind::FixedRate).unwrap();
        let idle = Span::try_from_secs(self.idle_s);
        let seconds = self.link.len() / STEPS_PER_SECOND;
        let load = load.with_round_trip(idle);
        let trial = Trial::with_tcp(load, Span::from_secs(seconds as u64)).unwrap();
        let carried = self.carry(rate.unwrap().bits_per_second() as f64);
        let octets = |shares: &[f64]| per_second(shares).iter().map(|rate| *rate as u64).collect();
        let came: Vec<u64> = octets(&carried.octets_s);
        let sum = came.iter().sum();
        let whole_us = (seconds * 1_000_000) as f64;
        let last = TcpInfo {
            min_rtt_us: Some((self.idle_s * 1e6) as u64),
            mss_octets: 1_448,
            timestamps: true,
            sent_octets: Some(sum),
            busy_us: Some((whole_us * carried.busy) as u64),
            receiver_limited_us: Some((whole_us * carried.by_receiver) as u64),
            buffer_limited_us: Some((whole_us * carried.by_buffer) as u64),
            ..TcpInfo::default()
        };
        // The kernel counts twice the payload.
        let octets = (self.window * 2.0) as u64;
        let buffer = || TcpBuffer { tuned_max_octets: Some(octets), ..TcpBuffer::default() };
        let round_trips = carried.round_trips;
        let sender = TcpSenderCounts {
            octets: sum,
            last,
            round_trips,
            buffer: (self.held != Held::ReceiveWindow).then(buffer),
            ..TcpSenderCounts::default()
        };
        let receiver = TcpReceiverCounts {
            octets: sum,
            per_second: Series::from_seconds(came),
            began_ns: Some(1),
            ended: true,
            buffer: (self.held == Held::ReceiveWindow).then(buffer),
            ..TcpReceiverCounts::default()
        };
        let forward = OneWayCounts {
            tcp_sender: Some(sender),
            tcp_receiver: Some(receiver),
            ..OneWayCounts::default()
        };
        let outcome = Outcome { status: Status::Ok, forward, ..Outcome::default() };
        TrialRun { trial, outcome }
    }

    fn carry(&self, paced: f64) -> Carried {
        let mut carried = Carried::default();
        let steps = self.link.len() as f64;
        for share in &self.link {
            let link = payload(share * self.required) / 8.0;
            // Beyond what the path holds, a window stands in the queue; what that has no room for
            // is lost, and TCP takes it back.
            let path = link * self.idle_s;
            let queued = (self.window - path).clamp(0.0, self.queue);
            let round_trip_s = self.idle_s + if 0.0 < link { queued / link } else { 1.0 };
            let is_bound = self.window <= path + self.queue;
            let network = link.min(self.window / self.idle_s).min(paced / 8.0);
            let offered = payload(self.offers * self.required) / 8.0;
            let octets_s = network.min(offered);
            carried.octets_s.push(octets_s);
            carried.round_trips.record((round_trip_s * 1e9) as u64);
            let busy = if 0.0 < network { octets_s / network } else { 1.0 };
            carried.busy += busy / steps;
            let waits = if is_bound && octets_s < paced / 8.0 { busy / steps } else { 0.0 };
            match self.held {
                Held::ReceiveWindow => carried.by_receiver += waits,
                _ => carried.by_buffer += waits,
            }
        }
        carried
    }
}

/// What a scripted transport shows; times are shares of the whole.
#[derive(Default)]
struct Carried {
    octets_s: Vec<f64>,
    round_trips: Delays,
    busy: f64,
    by_receiver: f64,
    by_buffer: f64,
}

/// The payload of a rate in Ethernet frames: 1448 octets of 1518.
fn payload(rate: f64) -> f64 {
    rate * 1_448.0 / 1_518.0
}

fn per_second(steps: &[f64]) -> Vec<f64> {
    let mean = |second: &[f64]| second.iter().sum::<f64>() / second.len() as f64;
    steps.chunks(STEPS_PER_SECOND).map(mean).collect()
}

impl Shape {
    fn rates(self, level: f64, steps: usize, draws: &mut Draws) -> Vec<f64> {
        let whole = steps as f64;
        let start = draws.between(0.1, 0.9) * whole;
        let (to, period) = (draws.between(0.0, 0.9), draws.between(5.0, 11.0));
        let second = STEPS_PER_SECOND as f64;
        let mut rate = |step: usize| {
            let at = step as f64;
            let within = |seconds: f64| start <= at && at < start + seconds * second;
            match self {
                Self::Constant => level,
                Self::Noise => level * draws.between(0.9, 1.1),
                Self::Saw => level * (0.9 + 0.2 * (at / second / period).fract()),
                Self::Collapse if start <= at => level * to,
                Self::Decline => level * (1.1 - 0.2 * at / whole),
                Self::Dead if within(3.0) => 0.0,
                Self::Dip if within(1.0) => level * to,
                Self::Collapse | Self::Dead | Self::Dip => level,
            }
        };
        (0..steps).map(&mut rate).collect()
    }
}

/// A verdict beside the truth.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// See [`Case::truth`].
    pub(crate) truth: f64,
    held: Held,
    pub(crate) reason: String,
}

/// Counts are whole octets of a second: what is closer to a bound than this is neither.
const EDGE: f64 = 1e-5;

impl Judged {
    /// Whether nobody who knows the truth could agree.
    pub(crate) fn is_wrong(&self) -> bool {
        use Verdict::{Fail, Invalid, Pass};
        let is_good = 1.0 + EDGE <= self.truth;
        let is_bad = self.truth < 0.9 - EDGE;
        match (self.held, self.verdict) {
            // The link did what is required, or the tester kept it from showing that.
            (_, Fail) => is_good,
            // What the tester does not let through cannot pass.
            (held, Pass) => self.truth < 1.0 - EDGE || held != Held::Free,
            (Held::Free, Invalid) => true,
            // A link that is short by more than TCP's own swing is proven to be.
            (Held::Free, _) => is_bad,
            _ => false,
        }
    }
}

/// Verdicts by what is true.
#[derive(Default)]
pub(crate) struct Grid {
    rows: std::collections::BTreeMap<(Held, u8), [u64; 5]>,
}

impl Grid {
    pub(crate) fn add(&mut self, judged: &Judged) {
        let class = u8::from(0.9 <= judged.truth) + u8::from(1.0 <= judged.truth);
        let row = self.rows.entry((judged.held, class)).or_default();
        row[judged.verdict as usize] += 1;
        row[4] += u64::from(judged.is_wrong());
    }

    pub(crate) fn wrong(&self) -> u64 {
        self.rows.values().map(|row| row[4]).sum()
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| held back by | worst 10 s of the link | PASS | INCONCLUSIVE | INVALID | FAIL \
             | wrong |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for ((held, class), [pass, inconclusive, invalid, fail, wrong]) in &self.rows {
            let held = match held {
                Held::Free => "nothing",
                Held::SendBuffer => "send buffer",
                Held::ReceiveWindow => "receive window",
                Held::Application => "application",
            };
            let truth = ["below 0.9 R", "0.9 R to R", "R or more"][usize::from(*class)];
            writeln!(
                f,
                "| {held} | {truth} | {pass} | {inconclusive} | {invalid} | {fail} | {wrong} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verdict_on_a_hundred_links_of_known_truth_is_wrong() {
        let mut grid = Grid::default();
        for seed in 0..100 {
            let case = Case::random(seed);
            let judged = case.judge();
            let (shape, held, reason) = (case.shape, case.held, &judged.reason);
            assert!(!judged.is_wrong(), "seed {seed}: {shape:?} {held:?}: {reason}\n{judged:?}");
            grid.add(&judged);
        }
        assert_eq!(grid.wrong(), 0);
    }
}
