//! Who may use an agent, by the file that its operator keeps, and what becomes of a run when that
//! changes or the agent is stopped.

use crate::support::{Agent, Program, await_within, run, share};
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Class, Spec};
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use std::fs;
use std::time::{Duration, Instant};

/// Far longer than an agent takes to see that its file has changed.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn an_agent_admits_nobody_until_somebody_is_allowed() {
    let agent = Agent::of_file(&[]);
    assert!(agent.program.err().contains("made the key"), "{}", agent.program.err());
    let out = agent.program.out();
    assert!(out.contains("no driver is allowed yet: add one with linkqual-agent allow"), "{out}");
    let idle = ["--idle", "1s", "--duration", "1s"];
    run(agent.check().args(idle)).expect_error(4, &["does not allow this driver's key"]);
    let allowed = agent.allow(&["--max-rate", "5M"]);
    allowed.expect_code(0);
    assert!(
        allowed.out.contains("now allows max-rate=5Mbit/s linkqual-ed25519 "),
        "{}",
        allowed.out
    );
    run(agent.check().args(idle)).expect_code(3);
    let again = agent.allow(&["--max-rate", "6M"]);
    again.expect_error(2, &["allows this key already: max-rate=5Mbit/s"]);
}

#[test]
fn a_key_has_its_own_limits() {
    let agent = Agent::of_file(&[]);
    let allow = |limits: &[&str]| {
        fs::remove_file(agent.keys.path("drivers")).ok();
        let before = changes(&agent);
        agent.allow(limits).expect_code(0);
        await_change(&agent, before);
    };
    allow(&["--max-rate", "5M"]);
    let words = ["this driver may send at most 5 Mbit/s (L2), but 6 Mbit/s was requested"];
    run(agent.check().args(["--rate", "6M", "--idle", "1s"])).expect_error(4, &words);
    allow(&["--circuits", "EC-1,EC-2"]);
    let load = ["--rate", "1M", "--idle", "1s", "--duration", "1s"];
    let words = ["may load only these circuits: EC-1, EC-2; none was named"];
    run(agent.check().args(load)).expect_error(4, &words);
    let named = run(agent.check().args(load).args(["--circuit", "EC-2", "--json"]));
    let report: Report = serde_json::from_str(&named.out).unwrap();
    assert!(report.rows().any(|row| row.trial.asked.udp.is_some()), "{}", named.out);
    allow(&["--probe-only"]);
    run(agent.check().args(load)).expect_error(4, &["role 'prober' may probe but not load"]);
    run(agent.check().args(["--idle", "1s"])).expect_code(3);
    let drivers = agent.keys.path("drivers");
    let line = fs::read_to_string(agent.keys.path("driver.pub")).unwrap();
    let before = changes(&agent);
    fs::write(&drivers, format!("expires=2020-01-01 {line}")).unwrap();
    await_change(&agent, before);
    run(agent.check().args(["--idle", "1s"]))
        .expect_error(4, &["does not allow this driver's key"]);
    fs::remove_file(&drivers).unwrap();
    let passed = agent.allow(&["--expires", "2020-01-01"]);
    passed.expect_error(2, &["2020-01-02T00:00:00Z has passed, so it would allow nobody"]);
}

/// How often the agent has taken in a change of who may use it.
fn changes(agent: &Agent) -> usize {
    agent.program.err().matches("drivers have changed").count()
}

/// Waits until it has taken in one more.
fn await_change(agent: &Agent, before: usize) {
    await_within(SOON, "the file is read again", || (before < changes(agent)).then_some(()));
}

/// A driver whose load crosses both ways, over a line that counts it.
fn loading(agent: &Agent, rate: &str) -> (Relay, Program) {
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).unwrap();
    let load = ["--rate", rate, "--idle", "1s", "--duration", "60s", "--json"];
    let driver = Program::start(agent.check_at(relay.local()).args(load));
    await_within(SOON, "load crosses both ways", || {
        let crossed = |direction| relay.counts(direction, Class::Load).delivered;
        Direction::ALL.into_iter().all(|direction| 100 < crossed(direction)).then_some(())
    });
    (relay, driver)
}

#[test]
fn a_key_that_is_taken_out_loses_its_run() {
    let _machine = share(4);
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let (_relay, driver) = loading(&agent, "1M");
    fs::write(agent.keys.path("drivers"), "# nobody\n").unwrap();
    let ended = driver.ended(SOON);
    ended.expect_code(3);
    let report: Report = serde_json::from_str(&ended.out).unwrap();
    let reason = report.reason.as_ref().unwrap();
    assert!(reason.contains("this key is not allowed any more"), "{reason}");
    // It has both halves of what was counted until then.
    let loaded: Vec<_> = report.rows().filter(|row| row.trial.asked.udp.is_some()).collect();
    assert_eq!(loaded.len(), 2, "{}", ended.out);
    for row in loaded {
        let (sent, came) = (row.counts().sender.as_ref(), row.counts().receiver.as_ref());
        assert!(sent.is_some_and(|sent| 0 < sent.sent), "{}", ended.out);
        assert!(came.is_some_and(|came| 0 < came.received), "{}", ended.out);
    }
    run(agent.check().args(["--idle", "1s"]))
        .expect_error(4, &["does not allow this driver's key"]);
}

#[test]
fn a_line_that_is_wrong_is_logged_and_takes_nothing_from_the_others() {
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let drivers = agent.keys.path("drivers");
    let text = fs::read_to_string(&drivers).unwrap();
    fs::write(&drivers, format!("max-rate=5MB {text}{text}")).unwrap();
    agent.program.await_said(SOON, "line of allowed_drivers ignored");
    agent.program.await_said(SOON, "drivers:1: max-rate=\"5MB\": not in bits");
    run(agent.check().args(["--idle", "1s"])).expect_code(3);
}

#[test]
fn an_agent_survives_a_hangup() {
    let mut agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    agent.program.signal("HUP");
    run(agent.check().args(["--idle", "1s"])).expect_code(3);
    assert!(agent.program.is_running());
}

/// What was counted is sent before the agent ends, and the report is partial.
#[test]
fn an_agent_that_is_stopped_hands_out_what_it_counted() {
    let _machine = share(4);
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let (_relay, driver) = loading(&agent, "2M");
    agent.program.signal("TERM");
    let signalled = Instant::now();
    let stopped = agent.program.ended(SOON);
    stopped.expect_code(0);
    assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    let ended = driver.ended(SOON);
    let report: Report = serde_json::from_str(&ended.out).unwrap();
    assert_ne!(report.verdict, Verdict::Pass);
    let loaded = report.rows().filter(|row| row.trial.asked.udp.is_some());
    let loaded: Vec<_> = loaded.collect();
    assert_eq!(loaded.len(), 2, "{}", ended.out);
    for row in loaded {
        let reason = row.trial.outcome.reason.as_deref();
        assert_eq!(reason, Some("the agent was stopped"), "{}", ended.out);
        let (sent, came) = (row.counts().sender.as_ref(), row.counts().receiver.as_ref());
        assert!(sent.is_some() && came.is_some_and(|came| 0 < came.received), "{}", ended.out);
    }
}
