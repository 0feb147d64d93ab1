//! Bounds: over a thousand lines whose truth is known, each one-sided 95 % bound holds it as often
//! as it says: 94 % a side at least, 90 % where losses come in bursts.
//!
//! Thresholds: of 1000 bounds that each hold with a chance of 95 %, 950 hold on average, with a
//! binomial deviation of 6.9. 940 is 1.5 deviations below: an exact bound passes with a chance of
//! 93 %, and one that holds 93 % of the time fails with 88 %. The seed is fixed, so that a pass
//! stays one; `SEED=n` plays another thousand lines, of which some then miss by chance. Where
//! losses come in bursts, 900 is asked: 943 of 1000 are what the formula holds on
//! average where it holds.

use super::{MS, seed};
use linkqual::account::{Outcome, ReceiverCounts, Status};
use linkqual::clock::{Driver, Stamp};
use linkqual::direction::Direction;
use linkqual::emulation::{Applies, Class, EmulatedLink, Jitter, Loss, Spec};
use linkqual::flow::{
    Arrived, Closing, End, Evidence, Exchange, Probed, Receiver, Returned, Steady, Stream, TrialRun,
};
use linkqual::framing::IpVersion;
use linkqual::metric::{Criteria, Criterion, Measured, Metric, Requirements};
use linkqual::stats::confidence::{Bounds, Confidence, bounds_of_loss};
use linkqual::trial::Trial;
use linkqual::units::{PacketRate, Span};
use linkqual::wire::Token;
use std::fmt;

const LINES: u32 = 1_000;

/// The least of [`LINES`] that must hold on each side, and where losses come in bursts.
const HOLD_MIN: u32 = 940;
const BURSTY_HOLD_MIN: u32 = 900;

/// Where bounds are known to miss: 711 at the worst, less three binomial deviations of 14.
const KNOWN_TO_MISS_MIN: u32 = 669;

/// How many bounds held.
#[derive(Clone, Copy, Debug, Default)]
struct Coverage {
    low: u32,
    high: u32,
    lines: u32,
}

impl Coverage {
    fn count(&mut self, low: Option<f64>, high: Option<f64>, truth: f64) {
        self.lines += 1;
        // A bound that is missing claims nothing.
        self.low += u32::from(low.is_none_or(|low| low <= truth));
        self.high += u32::from(high.is_none_or(|high| truth <= high));
    }

    #[track_caller]
    fn check(&self, what: &str, least: u32) {
        self.check_sides(what, least, least);
    }

    #[track_caller]
    fn check_sides(&self, what: &str, low: u32, high: u32) {
        assert_eq!(self.lines, LINES, "{what}");
        assert!(low <= self.low && high <= self.high, "{what}: {self}; seed {}", seed());
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "low {:4}  high {:4}  of {}", self.low, self.high, self.lines)
    }
}

/// A line of the table: `cargo test sim -- --nocapture`.
#[expect(clippy::print_stdout, reason = "the table of coverages is for people")]
fn show(line: &str) {
    println!("{line}");
}

/// What a receiver counts of `packets` packets, 1 ms apart, that a line with `loss` carries.
fn counts(loss: &Loss, packets: u64, seed: u64) -> ReceiverCounts {
    let rate = PacketRate::new(1_000).unwrap();
    let stream = Stream {
        number: 1,
        token: Token(0),
        direction: Direction::Forward,
        rate,
        slots: packets,
        payload: 200,
        train: 1,
        burst: 3,
        capacity: false,
        steady: Steady::of(Span::from_secs(2)),
        dscp: linkqual::trial::Dscp::default(),
        life: linkqual::flow::Liveness::default(),
        silence_min: linkqual::account::SILENCE_MIN,
        ramp: Span::default(),
    };
    let spec = Spec { loss: vec![(Applies::ToAll, loss.clone())], ..Spec::default() };
    let mut line = EmulatedLink::new(spec, seed);
    let mut receiver = Receiver::<Driver>::new(stream, Stamp::from_nanos(0));
    for sequence in 0..packets {
        let due_ns = sequence * MS;
        for at_ns in line.offer(due_ns, 228, Class::Load).arrivals_ns() {
            let (sent_ns, octets) = (due_ns, 200);
            let arrived = Arrived { sequence, due_ns, sent_ns, octets, ..Arrived::default() };
            receiver.on_arrival(Stamp::from_nanos(*at_ns), &arrived, 0);
        }
    }
    let closing =
        Closing { sent: packets, last_due_ns: packets * MS, excess: &Vec::new(), window: None };
    receiver.finish(End::Closed(closing), 0)
}

fn loss_coverage(loss: &Loss, truth: f64, packets: u64) -> Coverage {
    let mut coverage = Coverage::default();
    for line in 0..LINES {
        let counts = counts(loss, packets, seed().wrapping_add(u64::from(line)));
        let bounds = bounds_of_loss(&counts.losses, packets, Confidence::P95);
        let Bounds { low, high } = bounds.unwrap();
        coverage.count(Some(low), Some(high), truth);
    }
    coverage
}

#[test]
fn bounds_of_independent_loss_hold() {
    for (ratio, packets) in [(0.000_5, 4_000), (0.002, 4_000), (0.01, 3_000), (0.1, 1_000)] {
        let coverage = loss_coverage(&Loss::Random { ratio }, ratio, packets);
        show(&format!("loss {ratio:7} of {packets:6}                 {coverage}"));
        coverage.check("independent loss", HOLD_MIN);
    }
}

/// Bursts of `length` packets on average, `bursts` of them in `packets`; of a burst's packets the
/// share `lost` is lost.
#[derive(Clone, Copy)]
struct Bursts {
    length: f64,
    bursts: f64,
    packets: u32,
    lost: f64,
}

impl Bursts {
    const fn new(length: f64, bursts: f64, packets: u32, lost: f64) -> Self {
        Self { length, bursts, packets, lost }
    }

    fn coverage(&self) -> Coverage {
        let Self { length, bursts, packets, lost } = *self;
        let good = f64::from(packets) / bursts - length;
        let (enter, leave) = (1.0 / good, 1.0 / length);
        let loss = Loss::GilbertElliott { enter, leave, loss_in_bad: lost, loss_in_good: 0.0 };
        let coverage = loss_coverage(&loss, lost * enter / (enter + leave), packets.into());
        show(&format!(
            "bursts of {length:3}, {bursts:3} in {packets:5}, {lost:3} lost    {coverage}"
        ));
        coverage
    }
}

#[test]
fn bounds_of_bursty_loss_hold() {
    for bursts in [
        Bursts::new(3.0, 20.0, 6_000, 1.0),
        Bursts::new(5.0, 20.0, 1_000, 1.0),
        Bursts::new(5.0, 20.0, 6_000, 1.0),
        Bursts::new(5.0, 60.0, 12_000, 1.0),
        Bursts::new(20.0, 20.0, 20_000, 1.0),
        Bursts::new(20.0, 60.0, 20_000, 1.0),
    ] {
        bursts.coverage().check_sides("bursts", HOLD_MIN, BURSTY_HOLD_MIN);
    }
}

/// A packet that comes through in the middle of a burst makes two loss periods of it, which are not
/// independent: taken for that, 634 to 940 of these held. Bounds take clusters for events. The low
/// one of bursts of 20 of which half is lost holds 94 % on average, and so is not held to 940.
#[test]
fn bounds_of_bursts_with_holes_hold() {
    let all = [
        Bursts::new(5.0, 20.0, 6_000, 0.9),
        Bursts::new(20.0, 20.0, 20_000, 0.9),
        Bursts::new(20.0, 20.0, 20_000, 0.8),
        Bursts::new(20.0, 20.0, 20_000, 0.5),
        Bursts::new(5.0, 20.0, 6_000, 0.5),
        Bursts::new(20.0, 20.0, 20_000, 0.3),
        Bursts::new(20.0, 20.0, 20_000, 0.2),
    ];
    for coverage in all.map(|bursts| bursts.coverage()) {
        coverage.check("bursts with holes", BURSTY_HOLD_MIN);
    }
}

/// Where holes are longer than clusters reach, because a burst loses little or the line much,
/// bounds miss what is asked above. This shows by how much, which `bounds_of_loss` documents, and
/// keeps it from becoming more.
#[test]
fn bounds_of_bursts_with_holes_beyond_the_reach_miss_as_documented() {
    let all = [
        Bursts::new(20.0, 20.0, 20_000, 0.1),
        Bursts::new(5.0, 20.0, 6_000, 0.2),
        Bursts::new(100.0, 20.0, 100_000, 0.1),
        Bursts::new(20.0, 20.0, 4_000, 0.5),
        Bursts::new(20.0, 20.0, 4_000, 0.2),
    ];
    for coverage in all.map(|bursts| bursts.coverage()) {
        coverage.check("bursts with holes beyond the reach", KNOWN_TO_MISS_MIN);
    }
}

/// A bound below and one above, in microseconds.
type Sides = (Option<f64>, Option<f64>);

/// What the driver's session makes of probes.
struct ProbedLine {
    round_trip: Sides,
    /// Of the way there.
    jitter: Sides,
    /// The least delay above the floor that any probe had on its way there, in microseconds.
    least_us: f64,
}

/// `probes` probes over a line that has `jitter` each way.
fn probed(jitter: Jitter, probes: u64, seed: u64) -> ProbedLine {
    let spec = Spec { jitter, delay_ns: 10 * MS, ..Spec::default() };
    let (mut there, mut back) =
        (EmulatedLink::new(spec.clone(), seed), EmulatedLink::new(spec, !seed));
    let mut least_ns = u64::MAX;
    let exchange = |probe| {
        let sent_ns = probe * 10 * MS;
        let seen_ns = there.offer(sent_ns, 128, Class::Probe).arrivals_ns()[0];
        let back_ns = back.offer(seen_ns, 128, Class::Probe).arrivals_ns()[0];
        least_ns = least_ns.min(seen_ns - sent_ns - 10 * MS);
        let (seen, back) = (Stamp::from_nanos(seen_ns), Stamp::from_nanos(back_ns));
        let reply = Returned {
            sequence: u32::try_from(probe).unwrap(),
            seen,
            seen_by_kernel: true,
            answered: seen,
            answered_by_kernel: true,
            back,
            back_by_kernel: true,
        };
        let sent = Stamp::from_nanos(sent_ns);
        Exchange { due: sent, sent, sent_by_kernel: true, late: false, reply: Some(reply) }
    };
    let exchanges: Vec<Exchange> = (0..probes).map(exchange).collect();
    let trial = Trial::new(None, Span::from_millis(probes * 10)).unwrap();
    let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
    let mut run = TrialRun { trial, outcome };
    run.take_probes(Probed { exchanges, ..Probed::default() }, None);
    let (criteria, evidence) = (criteria(), Evidence { trials: vec![run], ..Evidence::default() });
    let sides = |metric, direction| {
        let criterion = Criterion::of(&criteria, metric, direction).unwrap();
        match criterion.measure(&evidence)[0].measured {
            Measured::Sampled { low, high, .. } => (low, high),
            ref other => unreachable!("{metric}: {other:?}"),
        }
    };
    ProbedLine {
        round_trip: sides(Metric::RTT_P99, None),
        jitter: sides(Metric::JITTER, Some(Direction::Forward)),
        least_us: micros(least_ns),
    }
}

fn criteria() -> Criteria {
    let mut requirements = Requirements::default();
    requirements.set(None, Metric::RTT_P99.require("<= 1 ms").unwrap());
    requirements.set(None, Metric::JITTER.require("<= 1 ms").unwrap());
    Criteria::plain(requirements, IpVersion::V4)
}

fn micros(nanos: u64) -> f64 {
    f64::from(u32::try_from(nanos).unwrap()) / 1e3
}

/// The 99th percentile of the sum of two exponential delays of mean 1: the x at which
/// `(1 + x) * exp(-x)` is 0.01 (Erlang's law of shape 2).
const ERLANG_P99: f64 = 6.638_352_067_993_8;

/// 3200 probes: p99.9 has an upper bound from 2995 on.
const PROBES: u64 = 3_200;

/// A thousandth, which is what a bucket of delays is wide.
const BUCKET: f64 = 1e-3;

/// What held of lines with a jitter.
#[derive(Default)]
struct DelayCoverage {
    rtt: Coverage,
    /// Of jitter above the line's own floor.
    jitter: Coverage,
    /// Of jitter above the least delay that any probe had.
    above_least: Coverage,
    /// Of jitter above the line's own floor, each bound moved by a bucket's width.
    within_bucket: Coverage,
}

/// The truth of rtt_p99 is `rtt_us`.
fn delay_coverage(name: &str, jitter: Jitter, rtt_us: f64) -> DelayCoverage {
    let mut coverage = DelayCoverage::default();
    let p999_us = micros(jitter.quantile_ns(0.999).unwrap());
    for line in 0..LINES {
        let line = probed(jitter, PROBES, seed().wrapping_add(u64::from(line)));
        let (low, high) = line.round_trip;
        coverage.rtt.count(low, high, rtt_us);
        let (low, high) = line.jitter;
        coverage.jitter.count(low, high, p999_us);
        coverage.above_least.count(low, high, p999_us - line.least_us);
        let moved = |bound: Option<f64>, by| bound.map(|bound| bound * by);
        let (low, high) = (moved(low, 1.0 - BUCKET), moved(high, 1.0 + BUCKET));
        coverage.within_bucket.count(low, high, p999_us);
    }
    show(&format!("jitter p99.9, {name:11} above the floor  {}", coverage.jitter));
    show(&format!("jitter p99.9, {name:11} above the least  {}", coverage.above_least));
    show(&format!("jitter p99.9, {name:11} within 0.1 %     {}", coverage.within_bucket));
    coverage
}

#[test]
fn bounds_of_exponential_delay_and_its_variation_hold() {
    let jitter = Jitter::Exponential { mean_ns: MS };
    let coverage = delay_coverage("exponential", jitter, 20_000.0 + 1_000.0 * ERLANG_P99);
    show(&format!("rtt_p99,      exponential                  {}", coverage.rtt));
    coverage.rtt.check("exponential, round trip", HOLD_MIN);
    coverage.jitter.check("exponential, jitter", HOLD_MIN);
}

#[test]
fn bounds_of_the_variation_of_half_normal_delay_hold() {
    let coverage = delay_coverage("half normal", Jitter::Normal { sigma_ns: MS }, 0.0);
    coverage.jitter.check("half normal, jitter", HOLD_MIN);
}

/// The sum of two uniform delays of 0 to 1 is above 2 - sqrt(0.02) with a chance of 1 %.
///
/// The floor that delays vary above is an estimate: of n uniform delays it is about 1/n of their
/// range too high. That is nothing beside how far the bounds of any law with a tail lie apart, but
/// as far as those of uniform delays do, whose 99.9th percentile is 1/1000 from their greatest: the
/// upper bound alone would hold 77 %, by less than the 0.1 % that delays are resolved to.
#[test]
fn bounds_of_uniform_delay_hold_within_a_bucket() {
    let rtt_us = 20_000.0 + 1_000.0 * (2.0 - 0.02_f64.sqrt());
    let coverage = delay_coverage("uniform", Jitter::Uniform { max_ns: MS }, rtt_us);
    show(&format!("rtt_p99,      uniform                      {}", coverage.rtt));
    coverage.rtt.check("uniform, round trip", HOLD_MIN);
    coverage.within_bucket.check("uniform, jitter", HOLD_MIN);
}
