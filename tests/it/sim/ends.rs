//! Ends: whoever goes, and however, nothing is sent to nobody for long, and no slot stays taken.

use super::world::{Blow, Run, Setup, play};
use super::{MS, SECOND, check_identity, good, outcome, setup, trial};
use linkqual::account::{Silence, Status};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Applies, Class, Loss, Outage, Spec};
use linkqual::trial::Trial;
use linkqual::units::Span;

/// A load of 10 s both ways that is struck by `blow` in its middle; another driver asks for the
/// circuit at once, and again after `asks_ns`.
fn struck(blow: Blow, asks_ns: u64) -> (Setup, Run) {
    let blows = vec![
        (5 * SECOND, blow),
        (5 * SECOND + MS, Blow::AnotherAsks),
        (asks_ns, Blow::AnotherAsks),
    ];
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &good()) };
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

/// A load of 10 s both ways to which `blows` happen.
fn with(blows: &[(u64, Blow)]) -> (Setup, Run) {
    let blows = blows.to_vec();
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    (setup, run)
}

/// The outcome does not show what `blows` did to the control connection.
#[track_caller]
fn check_unharmed(blows: &[(u64, Blow)]) {
    let (setup, run) = with(blows);
    super::check_truth(&setup, &run);
    let (calm, undisturbed) = with(&[]);
    assert_eq!(outcome(&setup, &run), outcome(&calm, &undisturbed), "{blows:?}");
    assert!(run.agent_over_ns.is_some(), "the agent still holds the run: {blows:?}");
}

#[test]
fn a_control_connection_that_closes_changes_nothing() {
    // In the midst, again and again, as the streams end, and while their accounts are under way.
    for at_ms in [300, 5_000, 9_990, 10_000, 10_010, 10_250, 10_600, 11_000] {
        check_unharmed(&[(at_ms * MS, Blow::ControlCloses)]);
    }
    let often: Vec<_> = (1..12).map(|n| (n * 900 * MS, Blow::ControlCloses)).collect();
    check_unharmed(&often);
}

#[test]
fn a_control_connection_that_falls_silent_changes_nothing() {
    for at_ms in [5_000, 9_990, 10_000, 10_010, 10_250, 10_600, 11_000] {
        check_unharmed(&[(at_ms * MS, Blow::ControlStalls)]);
    }
    // The second is silent too, and the third closes.
    let stalls = [(5 * SECOND, Blow::ControlStalls), (16 * SECOND, Blow::ControlStalls)];
    check_unharmed(&stalls);
    check_unharmed(&[stalls[0], stalls[1], (19 * SECOND + 600 * MS, Blow::ControlCloses)]);
}

/// The agent's account takes longer than an answer may: dialled anew each 3 s, it never arrived.
#[test]
fn an_account_that_crosses_a_narrow_link_is_waited_for() {
    for (bits_per_second, seconds) in [(8_000, 16), (2_000, 31)] {
        let trial = trial(Directions::Both, 1, 200, 10);
        let good = setup(trial, &good());
        let setup = Setup { control_bits_per_second: bits_per_second, ..good };
        let run = play(&setup);
        let ended_ns = run.ended_ns.unwrap();
        assert!((seconds * SECOND..50 * SECOND).contains(&ended_ns), "{ended_ns} ns");
        assert_eq!(outcome(&setup, &run).status, Status::Ok);
        super::check_truth(&setup, &run);
    }
}

/// The agent is asked to start 3.5 s late: only the reverse load comes later.
#[test]
fn a_start_that_is_not_heard_is_said_again() {
    let (setup, run) = with(&[(MS, Blow::ControlStalls)]);
    super::check_truth(&setup, &run);
    assert_eq!(outcome(&setup, &run).reverse.receiver.as_ref().unwrap().received, 2_000);
}

/// Neither end has the other's account: each half is reported as far as one end knows it.
#[test]
fn a_control_channel_that_is_dead_for_good_leaves_this_ends_own_half() {
    let (setup, run) = with(&[(5 * SECOND, Blow::ControlDies)]);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    let reason = outcome.reason.as_deref().unwrap();
    assert!(reason.contains("could not be fetched: nothing answers"), "{reason}");
    let offered = |direction| super::line(&run, direction).counts(Class::Load).offered;
    assert_eq!(Direction::ALL.map(offered), [2_000, 2_000], "seed {}", setup.seed);
    assert_eq!(outcome.forward.sender.as_ref().unwrap().sent, 2_000);
    assert_eq!(outcome.forward.receiver, None, "the agent's account cannot have come");
    assert_eq!(outcome.reverse.receiver.as_ref().unwrap().received, 2_000);
    // The driver tries to get the account until 20 s after the last probe, which is 4 s after the
    // end of the trial; the closing words take 3 s at most.
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 37 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
}

/// No data comes any more, and the agent that is asked for the run does not know it.
#[test]
fn an_agent_that_is_started_again_ends_the_run_soon() {
    let (setup, run) = struck(Blow::AgentRestarts, 7 * SECOND);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    let reason = outcome.reason.as_deref().unwrap();
    assert!(reason.contains("lost this run") && reason.contains("restarted"), "{reason}");
    assert_eq!(run.others_granted, [true, true], "a new agent holds no lock");
    let sent = outcome.forward.sender.as_ref().unwrap().sent;
    assert!((1_000..1_300).contains(&sent), "{sent} packets sent in 5 s, and until it was known");
    let came = outcome.reverse.receiver.as_ref().unwrap();
    assert!((945..=950).contains(&came.received), "{} packets came in 4.75 s", came.received);
    let longest = came.silences.as_slice().iter().map(Silence::span).max();
    assert_eq!(longest, None, "what the agent did not send is not the line's doing");
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 9 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
}

/// The control connection closes, and within a second of it the line is dead: by the law the run is
/// over. What the agent had counted until then is fetched from its record.
#[test]
fn a_run_that_the_agent_has_ended_is_known_by_its_record() {
    let outage = Outage { start_ns: 5 * SECOND, duration_ns: 3 * SECOND };
    let dead = vec![(Applies::ToAll, Loss::Outages(vec![outage]))];
    let spec = Spec { loss: dead, ..good() };
    let blows = vec![
        (5 * SECOND, Blow::ControlDies),
        (5 * SECOND, Blow::ControlCloses),
        (8 * SECOND, Blow::ControlRecovers),
    ];
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &spec) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    assert!(outcome.reason.as_deref().unwrap().contains("went away"), "{:?}", outcome.reason);
    check_identity(&setup, outcome);
    for direction in Direction::ALL {
        let truth = super::line(&run, direction).counts(Class::Load);
        let half = outcome.one_way(direction);
        assert_eq!(half.sender.as_ref().unwrap().sent, truth.offered, "{direction}");
        let came = half.receiver.as_ref().unwrap();
        assert_eq!(came.received, truth.delivered, "{direction}");
        assert_eq!(came.lost(), truth.lost(), "{direction}");
    }
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
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let over_ns = run.agent_over_ns.unwrap();
    assert!(over_ns <= 7 * SECOND, "over at {over_ns} ns; seed {}", setup.seed);
    assert!(run.last_load_ns[1] <= STOPS_NS, "{} ns", run.last_load_ns[1]);
    assert!(run.agent_last_ns <= 7 * SECOND, "{} ns; seed {}", run.agent_last_ns, setup.seed);
    check_free(&setup, &run);
}

/// Without a word on the control connection, the grant's end alone frees the slot: 70 s, and 7 s.
/// Its receivers say that they are alive until the trial is given up: 22 s behind its last probe,
/// 4 s behind its end, 10 s that the driver had to start it, and half a second of farewell.
#[test]
fn a_driver_that_vanishes_gets_no_load() {
    let (setup, run) = struck(Blow::DriverVanishes, 80 * SECOND);
    assert!(run.ended.is_none());
    assert!(run.last_load_ns[1] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[1], setup.seed);
    assert!(run.agent_last_ns <= 47 * SECOND, "{} ns; seed {}", run.agent_last_ns, setup.seed);
    check_free(&setup, &run);
}

/// The trial is given up 20 s after its last probe, 4 s behind its end, and what its threads have
/// counted is waited for.
#[test]
fn an_agent_that_vanishes_gets_no_load_and_the_run_ends() {
    let blows = vec![(5 * SECOND, Blow::AgentVanishes)];
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    check_identity(&setup, outcome);
    assert!(run.last_load_ns[0] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[0], setup.seed);
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 37 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
}

/// Its record is tried for, for 10 s: it may have been the connection alone.
#[test]
fn an_agent_that_dies_with_its_connection_ends_the_run_within_twelve_seconds() {
    let blows = vec![(5 * SECOND, Blow::AgentVanishes), (5 * SECOND, Blow::ControlCloses)];
    let setup = Setup { blows, ..setup(trial(Directions::Both, 1, 200, 10), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.status, Status::Partial, "{:?}", outcome.reason);
    assert!(run.last_load_ns[0] <= STOPS_NS, "{} ns; seed {}", run.last_load_ns[0], setup.seed);
    let ended_ns = run.ended_ns.unwrap();
    assert!(ended_ns <= 17 * SECOND, "ended at {ended_ns} ns; seed {}", setup.seed);
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
        let half = outcome.one_way(direction);
        assert_eq!(half.sender.as_ref().unwrap().sent, truth.offered, "{direction}");
        assert_eq!(half.receiver.as_ref().unwrap().received, truth.delivered, "{direction}");
        // What was never run is no time in which nothing was carried.
        let whole = half.throughput.as_ref().unwrap().whole;
        assert!(whole.duration_ns <= 5 * SECOND, "{direction}: {whole:?}");
        let missing = (whole.duration_ns / (SECOND / 200)).abs_diff(whole.sent);
        assert!(missing <= 2, "{direction}: {missing} of 200 a second, {whole:?}");
    }
    assert!(run.last_load_ns[0] <= 5 * SECOND, "{} ns", run.last_load_ns[0]);
    check_free(&setup, &run);
}

/// The agent closes its account of the probes as soon as it is asked to stop: probes that are under
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
