//! One direction dies: the other falls silent with it, and is not blamed. What nobody sent, or
//! nobody reports, is not known, and the report says so.

use super::narrow::read_plan;
use super::world::{Blow, Setup, play};
use super::{SECOND, good, setup, trial, trial_run};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Applies, Loss, Outage, Spec};
use linkqual::flow::Evidence;
use linkqual::framing::IpVersion;
use linkqual::plan::Plan;
use linkqual::trial::Trial;
use linkqual::units::Span;
use linkqual::verdict::Verdict::{self, Fail, Inconclusive, Pass};
use linkqual::verdict::{Finding, findings};

/// How long the link lives.
const ALIVE: u64 = 5 * SECOND;

/// A link that dies, for so long.
fn dead(duration_ns: u64) -> Spec {
    let outage = Loss::Outages(vec![Outage { start_ns: ALIVE, duration_ns }]);
    Spec { loss: vec![(Applies::ToAll, outage)], ..good() }
}

fn both() -> Trial {
    trial(Directions::Both, 1, 200, 20)
}

fn reverse() -> Trial {
    trial(Directions::Reverse, 1, 200, 20)
}

fn idle() -> Trial {
    Trial::new(None, Span::from_secs(20)).unwrap()
}

/// The findings of `trial` about `metric`, over links each way; the control connection dies with
/// them, or lives on.
fn found(
    trial: Trial,
    (forward, reverse): (Spec, Spec),
    control_dies: bool,
    metric: &str,
) -> Vec<Finding> {
    let blows = if control_dies { vec![(ALIVE, Blow::ControlDies)] } else { Vec::new() };
    let setup = Setup { blows, reverse, ..setup(trial, &forward) };
    let run = play(&setup);
    let run = trial_run(&setup, &run).clone();
    let plan: Plan = read_plan(&format!("[require]\n{metric}\n[[test]]\nkind = 'idle'\n"));
    let evidence = Evidence { trials: vec![run], ..Evidence::default() };
    findings(&plan.criteria(IpVersion::V4), &evidence)
}

/// What is found of an outage: in each direction the verdict, and words of its reason.
#[track_caller]
fn check(trial: Trial, links: (Spec, Spec), control_dies: bool, expected: [(Verdict, &str); 2]) {
    let found = found(trial, links, control_dies, "outage = '<= 1 s'");
    for (direction, (verdict, words)) in Direction::ALL.into_iter().zip(expected) {
        let finding = found.iter().find(|finding| finding.direction == Some(direction)).unwrap();
        let Finding { verdict: was, reason, .. } = finding;
        assert_eq!(*was, verdict, "{direction}: {reason}");
        assert!(reason.contains(words), "{direction}: {reason}");
    }
}

const NOT_KNOWN: &str = "while A->B was down, and no outage can be seen in a pause";

/// With both accounts the counts show it: nothing was lost, as nothing was sent.
#[test]
fn a_forward_path_that_dies_does_not_fail_reverse() {
    for duration_ns in [3 * SECOND, 8 * SECOND, u64::MAX] {
        for trial in [both(), idle()] {
            let expected = [(Fail, "one outage"), (Inconclusive, NOT_KNOWN)];
            check(trial, (dead(duration_ns), good()), false, expected);
        }
    }
}

/// The usual case: what dies carried the control connection, so that the agent's account never
/// comes. Where it was to load, it asks for a sign of life to the end, and that is heard.
#[test]
fn without_the_agents_account_its_signals_show_that_reverse_was_alive() {
    let forward =
        (Fail, "no probe was answered in that time, while the agent's heartbeats arrived");
    let links = || (dead(u64::MAX), good());
    // Several streams take turns with their signals.
    for streams in [1, 4, 16] {
        let trial = trial(Directions::Both, streams, 320, 20);
        check(trial, links(), true, [forward, (Inconclusive, NOT_KNOWN)]);
    }
    let untested = (Inconclusive, "no trial measured it");
    check(reverse(), links(), true, [untested, (Inconclusive, NOT_KNOWN)]);
}

/// Nothing of the agent's came, though it sends to the end whatever it hears. A line that answers
/// nothing is dead: that fails forward too, which says what is not known.
#[test]
fn a_reverse_path_that_dies_is_distinguished_from_a_forward_one() {
    for forward in [good(), dead(u64::MAX)] {
        let reverse =
            (Fail, "one outage; the sender's counts are missing, and no heartbeat arrived");
        let reason =
            "B->A was down; without the agent's counts it is not known whether A->B was too";
        check(both(), (forward, dead(u64::MAX)), true, [(Fail, reason), reverse]);
    }
    let alive = (Pass, "no gap of 50 ms or more between arrivals");
    check(both(), (good(), dead(u64::MAX)), false, [alive, (Fail, "one outage")]);
}

/// An agent that only answers has nothing to say by itself. That the line was dead stands.
#[test]
fn where_nothing_tells_which_direction_died_reverse_is_not_failed() {
    let forward = (Fail, "no probe was answered in that time; the agent's counts are missing, so");
    let reverse = (Inconclusive, "B->A was down, or only A->B");
    for links in [(dead(u64::MAX), good()), (good(), dead(u64::MAX))] {
        check(idle(), links, true, [forward, reverse]);
    }
}

/// The time in which the load is paused says nothing about the direction that lives: the rest is
/// judged, and proves that it carries what is required.
#[test]
fn a_load_that_was_paused_for_the_other_direction_is_judged_without_that_time() {
    let links = (dead(8 * SECOND), good());
    let found = found(both(), links, false, "throughput = '>= 400 kbit/s'");
    let of = |direction| found.iter().find(|it| it.direction == Some(direction)).unwrap();
    assert_eq!(of(Direction::Forward).verdict, Fail);
    let reverse = of(Direction::Reverse);
    assert_eq!(reverse.verdict, Pass, "{}", reverse.reason);
    let words = "s, as the far end stopped answering: that time is not judged";
    assert!(reverse.reason.contains(words), "{}", reverse.reason);
}

/// A direction that loses a third fails, although the other one was dead for 2 s meanwhile.
#[test]
fn a_lossy_direction_fails_though_the_other_one_paused_its_load() {
    let lossy = Spec { loss: vec![(Applies::ToAll, Loss::Random { ratio: 0.33 })], ..good() };
    let links = (lossy, dead(2 * SECOND));
    let found = found(both(), links, false, "throughput = '>= 400 kbit/s'");
    let forward = found.iter().find(|it| it.direction == Some(Direction::Forward)).unwrap();
    assert_eq!(forward.verdict, Fail, "{}", forward.reason);
    assert!(forward.reason.contains("that time is not judged"), "{}", forward.reason);
}
