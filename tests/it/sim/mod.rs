//! The oracle simulation: both programs' machines over a simulated line, in virtual time. The line
//! knows what it did to each packet, so what is measured is held against the truth.
//!
//! Everything follows from the seed. A failure prints it; `SEED=n cargo test sim` plays it again.

mod attacker;
mod attacks;
mod catch_up;
mod clocks;
mod coverage;
mod ends;
mod exact;
mod hands;
mod lengthened;
mod narrow;
mod one_direction;
mod silence;
mod streams;
mod swarm;
mod timestamps;
mod timetable;
mod versions;
mod world;

use attacker::Attack;
use hands::Host;
use linkqual::account::{Outcome, Status};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Class, DriftingClock, EmulatedLink, Spec};
use linkqual::flow::TrialRun;
use linkqual::trial::{Load, LoadKind, Trial};
use linkqual::units::{PacketRate, Span};
use world::{Run, Setup};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// The seed of every run of a test.
#[expect(clippy::disallowed_methods, reason = "the seed of a simulation comes from outside")]
fn seed() -> u64 {
    std::env::var("SEED").map_or(92, |seed| seed.parse().unwrap())
}

/// A trial of `seconds` with a load of `per_second` packets in each direction of `directions`.
fn trial(directions: Directions, streams: u32, per_second: u64, seconds: u64) -> Trial {
    let rate = PacketRate::new(per_second).unwrap();
    let load = Load::new(directions, streams, 200, rate, LoadKind::FixedRate).unwrap();
    Trial::new(Some(load), Span::from_secs(seconds)).unwrap()
}

/// A line of 10 ms each way that does nothing else.
fn good() -> Spec {
    Spec { delay_ns: 10 * MS, ..Spec::default() }
}

/// A run of `trial` over `spec` in both directions, with right clocks and good hosts.
fn setup(trial: Trial, spec: &Spec) -> Setup {
    Setup {
        seed: seed(),
        trial,
        forward: spec.clone(),
        reverse: spec.clone(),
        driver_clock: DriftingClock::default(),
        agent_clock: DriftingClock::default(),
        agent_step: None,
        driver_host: Host::default(),
        agent_host: Host::default(),
        blows: Vec::new(),
        attack: Attack::None,
        control_bits_per_second: u64::MAX,
        before: versions::Before::None,
    }
}

const fn line(run: &Run, direction: Direction) -> &EmulatedLink {
    match direction {
        Direction::Forward => &run.forward,
        Direction::Reverse => &run.reverse,
    }
}

/// The outcome of a run that came to its end.
#[track_caller]
fn outcome<'a>(setup: &Setup, run: &'a Run) -> &'a Outcome {
    &trial_run(setup, run).outcome
}

/// The trial, with what happened in it.
#[track_caller]
fn trial_run<'a>(setup: &Setup, run: &'a Run) -> &'a TrialRun {
    let seed = setup.seed;
    let ended = run.ended.as_ref().expect("the run has no end");
    ended.as_ref().unwrap_or_else(|failure| panicked(failure, seed))
}

#[track_caller]
fn panicked<T>(failure: &impl std::fmt::Display, seed: u64) -> T {
    unreachable!("the run failed: {failure}; seed {seed}")
}

/// What was sent is received, lost, late, altered or dropped by the host: nothing else, and nothing
/// twice.
#[track_caller]
fn check_identity(setup: &Setup, outcome: &Outcome) {
    for direction in Direction::ALL {
        let half = outcome.one_way(direction);
        let (Some(sent), Some(came)) = (&half.sender, &half.receiver) else { continue };
        let all = came.received + came.lost() + came.late + came.corrupted + came.host_dropped;
        assert_eq!(sent.sent, all, "{direction}: {came:?}; {setup:?}");
    }
}

/// What is reported is what the lines did, packet by packet.
#[track_caller]
fn check_truth(setup: &Setup, run: &Run) {
    let outcome = outcome(setup, run);
    assert_eq!(outcome.status, Status::Ok, "{:?}; {setup:?}", outcome.reason);
    check_identity(setup, outcome);
    for direction in Direction::ALL {
        let half = outcome.one_way(direction);
        let probes = line(run, direction).counts(Class::Probe);
        assert_eq!(half.probes.sent, Some(probes.offered), "{direction} probes; {setup:?}");
        let received = half.probes.received;
        assert_eq!(received, Some(probes.delivered), "{direction} probes came; {setup:?}");
        let loaded = setup.trial.load().is_some_and(|load| load.directions().includes(direction));
        let idle = setup.trial.load().is_none();
        let truth = match (loaded, idle) {
            (true, _) => line(run, direction).counts(Class::Load),
            (false, true) => probes,
            (false, false) => {
                assert_eq!(
                    (&half.sender, &half.receiver),
                    (&None, &None),
                    "{direction}; {setup:?}"
                );
                continue;
            }
        };
        let (sent, came) = (half.sender.as_ref().unwrap(), half.receiver.as_ref().unwrap());
        assert_eq!(sent.sent, truth.offered, "{direction} sent; {setup:?}");
        assert_eq!(came.received, truth.delivered - came.host_dropped, "{direction}; {setup:?}");
        assert_eq!(came.losses.lost(), truth.lost(), "{direction} lost; {setup:?}");
        assert_eq!(came.duplicate, truth.duplicated, "{direction} duplicate; {setup:?}");
        assert_eq!((came.late, came.rejected, came.unattributed), (0, 0, 0), "{direction}");
        assert_eq!((came.corrupted, came.malformed), (0, 0), "{direction}; {setup:?}");
    }
}
