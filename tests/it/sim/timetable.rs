//! How long a check takes: what it announces, and what it waits for beyond that.

use super::world::{CONTROL_NS, play};
use super::{MS, SECOND, good, setup};
use clap::Parser as _;
use linkqual::account::Status;
use linkqual::cli::{DriverArgs, DriverCommand};
use linkqual::flow::trail;
use linkqual::forecast::{Forecast, total};
use linkqual::plan::Plan;
use linkqual::units::Span;

/// What `linkqual check` with `args` plans.
fn plan(args: &[&str]) -> Plan {
    let ends = ["linkqual", "check", "192.0.2.1", "--key", "key", "--agent-key", "agent.pub"];
    let args = DriverArgs::parse_from(ends.iter().chain(args));
    let DriverCommand::Check(check) = args.command else { unreachable!("it is a check") };
    check.plan()
}

/// Plays each trial of the check over a healthy link of 10 ms each way. What is announced is within
/// `most` seconds, and no trial takes more than a tenth of a second beyond its packets: the last
/// replies and copies of them are in that. What the control channel takes for the two accounts is
/// left out: here it is far longer than the link.
#[track_caller]
fn check(args: &[&str], most: u64) {
    let plan = plan(args);
    let forecast = Forecast::of(&plan).unwrap();
    let phases = forecast.sites[0].phases(&plan);
    let planned = total(&phases);
    assert!(planned <= Span::from_secs(most), "{phases:?}");
    let mut took_ns = 0;
    for step in &forecast.sites[0].steps {
        let trial = step.trial.with_round_trip(Some(Span::from_millis(20)));
        let run = play(&setup(trial, &good()));
        let ended = run.ended.expect("it has an end").expect("it is measured");
        assert_eq!(ended.outcome.status, Status::Ok);
        let trial_ns = run.ended_ns.expect("it has an end") - 2 * CONTROL_NS;
        let due_ns = trial.duration().plus(trail(&trial).0).nanos();
        assert!(trial_ns <= due_ns + 100 * MS, "{:?}: {} ms", trial, trial_ns / MS);
        took_ns += trial_ns;
    }
    assert!(took_ns <= planned.nanos() && took_ns <= most * SECOND, "{} ms", took_ns / MS);
}

#[test]
fn a_check_of_50_megabits_takes_26_seconds_at_most() {
    check(&["--rate", "50M"], 26);
}

#[test]
fn a_quick_check_of_50_megabits_takes_8_seconds_at_most() {
    check(&["--rate", "50M", "--quick"], 8);
}
