//! A swarm: each seed draws a trial, two lines, clocks and hosts of its own.

use super::hands::Host;
use super::world::{Blow, Setup, play};
use super::{MS, SECOND, check_identity, check_truth, outcome, seed, setup, trial};
use linkqual::direction::Directions;
use linkqual::emulation::{
    Applies, Class, DriftingClock, Duplicate, Jitter, Loss, Outage, Policer, Reorder, Shaper, Spec,
};
use linkqual::trial::Trial;
use linkqual::units::Span;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Runs of each kind.
const RUNS: u64 = 150;

/// Whether something with a chance of one in `n` happens.
fn one_in(dice: &mut ChaCha8Rng, n: u32) -> bool {
    dice.random_range(0..n) == 0
}

fn draw_loss(dice: &mut ChaCha8Rng) -> Loss {
    match dice.random_range(0..6) {
        0 => Loss::EveryNth(dice.random_range(2..50)),
        1 => Loss::First(dice.random_range(0..8)),
        2 => Loss::Random { ratio: dice.random_range(0.0..0.3) },
        3 => Loss::GilbertElliott {
            enter: dice.random_range(0.001..0.05),
            leave: dice.random_range(0.05..0.9),
            loss_in_bad: dice.random_range(0.3..1.0),
            loss_in_good: 0.0,
        },
        4 => Loss::Listed((1..dice.random_range(2..200)).collect()),
        _ => Loss::Outages(vec![Outage {
            start_ns: dice.random_range(0..2 * SECOND),
            duration_ns: dice.random_range(0..2 * SECOND),
        }]),
    }
}

/// What may be struck: signals are spared by losses so great that no stream would open.
fn draw_losses(dice: &mut ChaCha8Rng) -> Vec<(Applies, Loss)> {
    let mut rules = Vec::new();
    while one_in(dice, 2) && rules.len() < 3 {
        let applies = [Applies::To(Class::Load), Applies::To(Class::Probe)];
        rules.push((applies[dice.random_range(0..2)], draw_loss(dice)));
    }
    if one_in(dice, 3) {
        // Nine datagrams are said before a handshake gives up: 0.19^9 of them fail at worst.
        let ratio = dice.random_range(0.0..0.1);
        rules.push((Applies::To(Class::Signal), Loss::Random { ratio }));
    }
    rules
}

/// Delays stay below the control channel's, so that all that will come has come by its account.
fn draw_spec(dice: &mut ChaCha8Rng) -> Spec {
    let jitter = match dice.random_range(0..4) {
        0 => Jitter::None,
        1 => Jitter::Uniform { max_ns: dice.random_range(0..20 * MS) },
        2 => Jitter::Exponential { mean_ns: dice.random_range(0..3 * MS) },
        _ => Jitter::Normal { sigma_ns: dice.random_range(0..5 * MS) },
    };
    let mut spec = Spec {
        loss: draw_losses(dice),
        delay_ns: dice.random_range(0..80 * MS),
        jitter,
        keep_order: one_in(dice, 2),
        ..Spec::default()
    };
    let overhead_octets = 18;
    if one_in(dice, 4) {
        let bits_per_second = dice.random_range(400_000..4_000_000);
        // Room for the hellos of seven streams at once: without it some never get through.
        let queue_octets = dice.random_range(800..3_000);
        spec.shaper = Some(Shaper { bits_per_second, queue_octets, overhead_octets });
    }
    if one_in(dice, 4) {
        let bits_per_second = dice.random_range(400_000..4_000_000);
        let burst_octets = dice.random_range(1_000..10_000);
        spec.policer = Some(Policer { bits_per_second, burst_octets, overhead_octets });
    }
    if one_in(dice, 3) {
        let (ratio, extra_delay_ns) = (dice.random_range(0.0..0.3), dice.random_range(0..30 * MS));
        spec.reorder.push((Applies::ToAll, Reorder::Random { ratio, extra_delay_ns }));
    }
    if one_in(dice, 3) {
        let (ratio, gap_ns) = (dice.random_range(0.0..0.5), dice.random_range(0..30 * MS));
        spec.duplicate.push((Applies::ToAll, Duplicate::Random { ratio, gap_ns }));
    }
    spec
}

fn draw_clock(dice: &mut ChaCha8Rng) -> DriftingClock {
    let drift_ppb = dice.random_range(-100_000..100_000);
    DriftingClock { drift_ppb, offset_ns: dice.random_range(0..40_000 * 1_000_000_000), step: None }
}

fn draw_trial(dice: &mut ChaCha8Rng) -> Trial {
    let seconds = dice.random_range(1..=3);
    let directions =
        [Directions::Forward, Directions::Reverse, Directions::Both][dice.random_range(0..3)];
    if one_in(dice, 8) {
        return Trial::new(None, Span::from_secs(seconds)).unwrap();
    }
    trial(directions, dice.random_range(1..=3), dice.random_range(20..1_500), seconds)
}

fn draw_setup(seed: u64) -> Setup {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let trial = draw_trial(&mut dice);
    let (forward, reverse) = (draw_spec(&mut dice), draw_spec(&mut dice));
    let (driver_clock, agent_clock) = (draw_clock(&mut dice), draw_clock(&mut dice));
    let base = setup(trial, &forward);
    Setup { seed, reverse, driver_clock, agent_clock, ..base }
}

fn draw_host(dice: &mut ChaCha8Rng) -> Host {
    let mut draw = |most| if one_in(dice, 2) { dice.random_range(2..most) } else { 0 };
    Host { refuses_nth: draw(100), drops_nth: draw(100), ..Host::default() }
}

#[test]
fn whatever_a_line_does_is_counted_exactly() {
    for seed in (0..RUNS).map(|n| seed().wrapping_add(n)) {
        let setup = draw_setup(seed);
        let run = play(&setup);
        check_truth(&setup, &run);
    }
}

/// Drops of a host among copies and losses cannot be distinguished one by one; the sum still holds,
/// nothing counts twice, and only what is missing is put down to anybody.
#[test]
fn whatever_a_line_and_its_hosts_do_adds_up() {
    for seed in (0..RUNS).map(|n| seed().wrapping_add(1 << 32).wrapping_add(n)) {
        let mut dice = ChaCha8Rng::seed_from_u64(!seed);
        let (driver_host, agent_host) = (draw_host(&mut dice), draw_host(&mut dice));
        let step_ns = dice.random_range(-80 * MS.cast_signed()..80 * MS.cast_signed());
        let agent_step = one_in(&mut dice, 3).then_some((SECOND / 2, step_ns));
        let setup = Setup { driver_host, agent_host, agent_step, ..draw_setup(seed) };
        let run = play(&setup);
        check_identity(&setup, outcome(&setup, &run));
    }
}

/// Whoever goes, and whenever: the driver's run ends, the agent's too, and what is reported adds
/// up. A grant of 63 s at most ends all, 7 s behind its end; the trial starts within a few seconds
/// of it.
#[test]
fn whatever_ends_a_run_it_ends() {
    let blow = |dice: &mut ChaCha8Rng| match dice.random_range(0..7) {
        0 => Blow::ControlCloses,
        1 => Blow::ControlStalls,
        2 => Blow::ControlDies,
        3 => Blow::AgentRestarts,
        4 => Blow::DriverVanishes,
        5 => Blow::AgentVanishes,
        _ => Blow::Interrupt,
    };
    for seed in (0..RUNS).map(|n| seed().wrapping_add(2 << 32).wrapping_add(n)) {
        let mut dice = ChaCha8Rng::seed_from_u64(!seed);
        let mut blows = vec![(dice.random_range(0..4 * SECOND), blow(&mut dice))];
        if one_in(&mut dice, 2) {
            blows.push((dice.random_range(0..4 * SECOND), blow(&mut dice)));
        }
        blows.push((75 * SECOND, Blow::AnotherAsks));
        let struck = |blow| blows.iter().any(|(_, other)| *other == blow);
        let (no_driver, no_agent) = (struck(Blow::DriverVanishes), struck(Blow::AgentVanishes));
        let setup = Setup { blows, ..draw_setup(seed) };
        let run = play(&setup);
        if !no_driver {
            check_identity(&setup, outcome(&setup, &run));
        }
        if !no_agent {
            assert!(run.agent_over_ns.is_some(), "the agent holds the run: {setup:?}");
            assert_eq!(run.others_granted, [true], "the circuit is held: {setup:?}");
        }
    }
}

/// Whatever becomes of the control connection, and as often as it does: as long as data comes, the
/// run goes on, and both ends' accounts meet in the end.
#[test]
fn whatever_becomes_of_the_control_connection_is_not_seen_in_the_counts() {
    for seed in (0..RUNS).map(|n| seed().wrapping_add(3 << 32).wrapping_add(n)) {
        let mut dice = ChaCha8Rng::seed_from_u64(!seed);
        let mut setup = draw_setup(seed);
        // A line that is out for a second is silent, and ends a run whose connection is closed.
        let is_silent = |loss: &Loss| matches!(loss, Loss::Outages(_) | Loss::Listed(_));
        for spec in [&mut setup.forward, &mut setup.reverse] {
            spec.loss.retain(|(_, loss)| !is_silent(loss));
        }
        let blow = |dice: &mut ChaCha8Rng| match dice.random_range(0..2) {
            0 => Blow::ControlCloses,
            _ => Blow::ControlStalls,
        };
        for _ in 0..dice.random_range(1..5) {
            setup.blows.push((dice.random_range(0..8 * SECOND), blow(&mut dice)));
        }
        let run = play(&setup);
        check_truth(&setup, &run);
        assert!(run.agent_over_ns.is_some(), "the agent holds the run: {setup:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let setup = draw_setup(seed());
    let (one, other) = (play(&setup), play(&setup));
    assert_eq!(outcome(&setup, &one), outcome(&setup, &other), "seed {}", setup.seed);
    assert_eq!(one.events, other.events, "seed {}", setup.seed);
}
