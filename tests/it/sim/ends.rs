//! Ends: whoever goes, and however, nothing is sent to nobody for long, and no slot stays taken.

use super::world::{Blow, Run, Setup, play};
use super::{MS, SECOND, check_identity, good, outcome, setup, trial};
use linkqual::flow::Status;
use linkqual::line::{Applies, Class, Loss, Spec};
use linkqual::plan::{Course, Direction, Trial};
use linkqual::units::Span;

/// A load of 10 s both ways that is struck by `blow` in its middle; another driver asks for the
/// circuit at once, and again after `asks_ns`.
fn struck(blow: Blow, asks_ns: u64) -> (Setup, Run) {
    let blows = vec![
        (5 * SECOND, blow),
        (5 * SECOND + MS, Blow::AnotherAsks),
        (asks_ns, Blow::AnotherAsks),
    ];
    let setup = Setup { blows, ..setup(trial(Course::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    (setup, run)
}

/// Silence is noticed a second after the last heartbeat, which was at most 100 ms before the blow
/// and 10 ms on its way.
const STOPS_NS: u64 = 5 * SECOND + 1_500 * MS;

#[track_caller]
fn check_free(setup: &Setup, run: &Run) {
    assert_eq!(run.others_granted, [false, true], "seed {}", setup.seed);
    assert!(run.agent_over_ns.is_some(), "the agent still holds the run; seed {}", setup.seed);
}

/// Data flows on, so nothing is lost of what either end counts by itself; the driver knows that it
/// cannot hear the agent's account. The reverse load ends 250 ms after the forward one.
#[test]
fn a_control_connection_that_closes_ends_the_run_once_data_falls_silent() {
    let (setup, run) = struck(Blow::ControlCloses, 13 * SECOND);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    check_identity(&setup, outcome);
    let offered = |direction| super::line(&run, direction).counts(Class::Load).offered;
    assert_eq!(Direction::ALL.map(offered), [2_000, 2_000], "seed {}", setup.seed);
    assert_eq!(outcome.forward.sent.as_ref().unwrap().sent, 2_000);
    assert_eq!(outcome.forward.came, None, "the agent's account cannot have come");
    assert_eq!(outcome.reverse.came.as_ref().unwrap().received, 2_000);
    let data_ends_ns = 10 * SECOND + 250 * MS;
    let over_ns = run.agent_over_ns.unwrap();
    assert!(over_ns <= data_ends_ns + 2 * SECOND, "over at {over_ns} ns; seed {}", setup.seed);
    assert!(run.agent_last_ns <= data_ends_ns + 2 * SECOND, "{} ns", run.agent_last_ns);
    check_free(&setup, &run);
}

/// Closed and silent: the law's two seconds.
#[test]
fn a_driver_that_dies_with_its_connection_is_gone_within_two_seconds() {
    let blows = vec![
        (5 * SECOND, Blow::DriverVanishes),
        (5 * SECOND, Blow::ControlCloses),
        (5 * SECOND + MS, Blow::AnotherAsks),
        (7 * SECOND, Blow::AnotherAsks),
    ];
    let setup = Setup { blows, ..setup(trial(Course::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let over_ns = run.agent_over_ns.unwrap();
    assert!(over_ns <= 7 * SECOND, "over at {over_ns} ns; seed {}", setup.seed);
    assert!(run.last_load_ns[1] <= STOPS_NS, "{} ns", run.last_load_ns[1]);
    assert!(run.agent_last_ns <= 7 * SECOND, "{} ns; seed {}", run.agent_last_ns, setup.seed);
    check_free(&setup, &run);
}

/// Without a word on the control connection, the grant's end alone frees the slot: 70 s, and 7 s.
#[test]
fn a_driver_that_vanishes_gets_no_load() {
    let (setup, run) = struck(Blow::DriverVanishes, 80 * SECOND);
    assert!(run.ended.is_none());
    assert!(run.last_load_ns[1] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[1], setup.seed);
    // Its receivers say that they are alive until the trial is given up.
    assert!(run.agent_last_ns <= 30 * SECOND, "{} ns; seed {}", run.agent_last_ns, setup.seed);
    check_free(&setup, &run);
}

/// The trial is given up 7 s after its end, and what its threads have counted is waited for.
#[test]
fn an_agent_that_vanishes_gets_no_load_and_the_run_ends() {
    let blows = vec![(5 * SECOND, Blow::AgentVanishes)];
    let setup = Setup { blows, ..setup(trial(Course::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    check_identity(&setup, outcome);
    assert!(run.last_load_ns[0] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[0], setup.seed);
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 20 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
}

#[test]
fn an_agent_that_dies_with_its_connection_ends_the_run_within_five_seconds() {
    let blows = vec![(5 * SECOND, Blow::AgentVanishes), (5 * SECOND, Blow::ControlCloses)];
    let setup = Setup { blows, ..setup(trial(Course::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    assert!(run.last_load_ns[0] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[0], setup.seed);
    // A second of silence, then the threads' own last wait for what is under way: 2.25 s.
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 10 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
}

/// What had come by then is counted, at both ends.
#[test]
fn an_interrupted_trial_tells_what_it_counted() {
    let (setup, run) = struck(Blow::Interrupt, 10 * SECOND);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    assert_eq!(outcome.reason.as_deref(), Some("interrupted"));
    check_identity(&setup, outcome);
    for direction in Direction::ALL {
        let truth = super::line(&run, direction).counts(Class::Load);
        let half = outcome.half(direction);
        assert_eq!(half.sent.as_ref().unwrap().sent, truth.offered, "{direction}");
        assert_eq!(half.came.as_ref().unwrap().received, truth.delivered, "{direction}");
    }
    assert!(run.last_load_ns[0] <= 5 * SECOND, "{} ns", run.last_load_ns[0]);
    check_free(&setup, &run);
}

/// The agent closes its account of the probes as soon as it is told to stop: probes that are under
/// way then are lost to nobody, and so are those that were lost behind the last that came.
#[test]
fn an_interrupted_idle_trial_adds_up() {
    let idle = Trial::new(None, Span::from_secs(10)).unwrap();
    let blows = vec![(5 * SECOND, Blow::Interrupt)];
    let setup = Setup { blows, ..setup(idle, &good()) };
    let half_dead = Loss::After(200);
    let loss = vec![(Applies::To(Class::Probe), half_dead)];
    for forward in [good(), Spec { loss, ..good() }] {
        let setup = Setup { forward, ..setup.clone() };
        let run = play(&setup);
        check_identity(&setup, outcome(&setup, &run));
    }
}
