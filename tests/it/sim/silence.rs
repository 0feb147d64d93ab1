//! Outages: what they are, how long, and that a pause of the load neither hides nor ends them.

use super::world::{Blow, Setup, play};
use super::{MS, SECOND, check_identity, good, outcome, setup, trial};
use linkqual::account::{Outcome, Silence, Status};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Applies, Loss, Outage, Spec};
use linkqual::metric::outage_min;
use linkqual::session::driver::Failure;
use linkqual::trial::Trial;
use linkqual::units::Span;
use std::ops::RangeInclusive;

fn out(start_ns: u64, duration_ns: u64) -> Spec {
    let outage = Loss::Outages(vec![Outage { start_ns, duration_ns }]);
    Spec { loss: vec![(Applies::ToAll, outage)], ..good() }
}

fn outages(setup: &Setup, outcome: &Outcome, direction: Direction) -> Vec<Silence> {
    let least = outage_min(&setup.trial, direction);
    outcome.one_way(direction).silences.outages(least).copied().collect()
}

/// The one outage of `half`, from and until within these, in nanoseconds after the first packet
/// would have come.
#[track_caller]
fn check_outage(
    setup: &Setup,
    outcome: &Outcome,
    direction: Direction,
    from_ns: RangeInclusive<u64>,
    until_ns: RangeInclusive<u64>,
) {
    let half = outcome.one_way(direction);
    let found = outages(setup, outcome, direction);
    let [gap] = found.as_slice() else {
        unreachable!("{direction}: not one outage: {found:?}; seed {}", setup.seed)
    };
    let began_ns = half.receiver.as_ref().unwrap().began_ns.unwrap();
    let (from, until) = (gap.start_ns - began_ns, gap.end_ns - began_ns);
    assert!(from_ns.contains(&from), "{direction}: from {from} ns; seed {}", setup.seed);
    assert!(until_ns.contains(&until), "{direction}: until {until} ns; seed {}", setup.seed);
}

/// 200 packets a second are 5 ms apart, probes 10 ms. The last arrival before the outage left at
/// most 5 ms before it; the first behind it, a probe, at most 10 ms after it. The reverse load
/// starts 250 ms after the forward one (the control channel's delay), and the first reply behind
/// the outage needs its probe, 10 ms on the way, first.
#[test]
fn an_outage_is_found_once_and_its_load_paused() {
    let setup = setup(trial(Directions::Both, 1, 200, 30), &out(10 * SECOND, 3 * SECOND));
    let run = play(&setup);
    super::check_truth(&setup, &run);
    let outcome = outcome(&setup, &run);
    let (start, end) = (10_000 * MS, 13_000 * MS);
    check_outage(&setup, outcome, Direction::Forward, start - 5 * MS..=start, end..=end + 10 * MS);
    let (start, end) = (start - 250 * MS, end - 250 * MS);
    check_outage(&setup, outcome, Direction::Reverse, start - 5 * MS..=start, end..=end + 20 * MS);
    for direction in Direction::ALL {
        let sent = outcome.one_way(direction).sender.as_ref().unwrap();
        // Life is proven as of when what a heartbeat echoes left. The heartbeats are 100 ms apart
        // and each way takes 10 ms: the last before the outage echoes what left from 130 to 10 ms
        // before its start. Behind it a signal leaves within 100 ms and is echoed within 120 more.
        let paused = 200 * 1_980 / 1_000..=200 * 2_360 / 1_000;
        assert!(paused.contains(&sent.paused), "{direction}: {} paused", sent.paused);
        assert_eq!(sent.sent + sent.paused, 6_000, "{direction}; seed {}", setup.seed);
        let lost = outcome.one_way(direction).receiver.as_ref().unwrap().losses.lost();
        assert!(lost * 100 < sent.sent * 5, "{direction}: {lost} of {} lost", sent.sent);
    }
}

#[test]
fn an_outage_of_one_direction_is_none_of_the_other() {
    let both = setup(trial(Directions::Both, 1, 200, 10), &good());
    let setup = Setup { reverse: out(4 * SECOND, SECOND / 2), ..both };
    let run = play(&setup);
    super::check_truth(&setup, &run);
    let outcome = outcome(&setup, &run);
    let (start, end) = (3_750 * MS, 4_250 * MS);
    check_outage(&setup, outcome, Direction::Reverse, start - 5 * MS..=start, end..=end + 5 * MS);
    assert_eq!(outages(&setup, outcome, Direction::Forward), [], "seed {}", setup.seed);
}

#[test]
fn an_idle_trial_finds_outages_by_its_probes() {
    let idle = Trial::new(None, Span::from_secs(10)).unwrap();
    let both = setup(idle, &good());
    let setup = Setup { forward: out(4 * SECOND, SECOND), ..both };
    let run = play(&setup);
    super::check_truth(&setup, &run);
    let outcome = outcome(&setup, &run);
    let (start, end) = (4_000 * MS, 5_000 * MS);
    check_outage(&setup, outcome, Direction::Forward, start - 10 * MS..=start, end..=end + 10 * MS);
    assert_eq!(
        outages(&setup, outcome, Direction::Reverse),
        [],
        "no reply was lost; seed {}",
        setup.seed
    );
}

/// Probes go on behind the load, so that each direction is out until its last load packet was due.
#[test]
fn a_line_that_dies_for_good_is_out_to_the_end() {
    let setup = setup(trial(Directions::Both, 1, 200, 10), &out(5 * SECOND, u64::MAX));
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Ok, "{:?}", outcome.reason);
    check_identity(&setup, outcome);
    let (start, end) = (4_995 * MS..=5_000 * MS, 9_990 * MS..=10_000 * MS);
    check_outage(&setup, outcome, Direction::Forward, start, end);
    let (start, end) = (4_745 * MS..=4_750 * MS, 9_990 * MS..=10_000 * MS);
    check_outage(&setup, outcome, Direction::Reverse, start, end);
    for direction in Direction::ALL {
        let sent = outcome.one_way(direction).sender.as_ref().unwrap();
        assert_eq!(sent.sent + sent.paused, 2_000, "{direction}");
        assert!(200 * 3_750 / 1_000 <= sent.paused, "{direction}: {} paused", sent.paused);
    }
}

/// The line opens every stream, and never carries a packet of the trial. Nothing shows when its
/// first packet was due, so the time counts from when its streams were expected: a control
/// channel's delay of 250 ms, and a handshake of 40 ms at most, too early.
#[test]
fn a_line_that_is_dead_from_the_start_is_one_outage_and_no_error() {
    let both = setup(trial(Directions::Both, 1, 200, 5), &out(0, u64::MAX));
    for setup in [Setup { reverse: good(), ..both.clone() }, both] {
        let run = play(&setup);
        let outcome = outcome(&setup, &run);
        assert_eq!(outcome.status, Status::Ok, "{:?}", outcome.reason);
        check_identity(&setup, outcome);
        let (sent, came) =
            (outcome.forward.sender.as_ref().unwrap(), outcome.forward.receiver.as_ref().unwrap());
        assert_eq!((came.received, came.lost()), (0, sent.sent), "seed {}", setup.seed);
        check_outage(&setup, outcome, Direction::Forward, 0..=0, 4_700 * MS..=5_000 * MS);
        assert_eq!(outcome.round_trip.delays.measured(), 0);
        assert_eq!(outcome.round_trip.delays.infinite(), 500);
    }
}

#[test]
fn a_line_that_carries_no_datagram_opens_nothing_and_holds_no_slot() {
    let dead = Spec { loss: vec![(Applies::ToAll, Loss::After(0))], ..good() };
    let both = setup(trial(Directions::Both, 1, 200, 5), &dead);
    let there = Setup { reverse: good(), ..both.clone() };
    let back = Setup { forward: good(), ..both.clone() };
    for (setup, words) in [
        (both, "UDP to it is blocked"),
        (there, "UDP to it is blocked"),
        (back, "UDP is blocked on the path back"),
    ] {
        let run = play(&setup);
        let Some(Err(Failure::Blocked(blocked))) = &run.ended else {
            unreachable!("{:?}; seed {}", run.ended, setup.seed)
        };
        let why = blocked.to_string();
        assert!(why.contains("no UDP datagram came back") && why.contains(words), "{why}");
        assert!(run.agent_over_ns.is_some(), "the agent still holds the run; seed {}", setup.seed);
    }
}

/// The control connection crosses the line that dies, so no account arrives. What the driver knows
/// by itself: nothing came back for the trial's second half.
#[test]
fn a_line_that_takes_the_control_connection_with_it_is_out_all_the_same() {
    let blows = vec![(5 * SECOND, Blow::ControlDies)];
    let dead = out(5 * SECOND, u64::MAX);
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &dead) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    let longest = outages(&setup, outcome, Direction::Reverse).iter().map(Silence::span).max();
    assert!(longest.is_some_and(|span| Span::from_secs(4) <= span), "{longest:?}");
}
