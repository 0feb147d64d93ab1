//! Who may use an agent, by the file that its operator keeps, and what becomes of a run when that
//! changes or the agent is stopped.

use crate::cli::free_rate;
use crate::support::{Agent, Program, await_within, run, share};
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
    run(agent.check().args(idle)).expect_error(4, &["does not list this key"]);
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
        agent.allow(limits).expect_code(0);
        // What takes something away is taken in at the second look.
        std::thread::sleep(Duration::from_secs(1));
    };
    allow(&["--max-rate", "5M"]);
    let words = ["role 'qualifier' may send at most 5 Mbit/s (L2), 6 Mbit/s was asked"];
    run(agent.check().args(["--rate", "6M", "--idle", "1s"])).expect_error(4, &words);
    allow(&["--circuits", "EC-1,EC-2"]);
    let load = ["--rate", "1M", "--idle", "1s", "--duration", "1s"];
    let words = ["may load only these circuits: EC-1, EC-2; none was named"];
    run(agent.check().args(load)).expect_error(4, &words);
    let named = run(agent.check().args(load).args(["--circuit", "EC-2", "--json"]));
    let report: Report = serde_json::from_str(&named.out).unwrap();
    assert!(report.rows().any(|row| row.trial.asked.udp.is_some()), "{}", named.out);
    allow(&["--probe-only"]);
    run(agent.check().args(load)).expect_error(4, &["role 'prober' may probe, and not load"]);
    run(agent.check().args(["--idle", "1s"])).expect_code(3);
    let drivers = agent.keys.path("drivers");
    let line = fs::read_to_string(agent.keys.path("driver.pub")).unwrap();
    fs::write(&drivers, format!("expires=2020-01-01 {line}")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    run(agent.check().args(["--idle", "1s"])).expect_error(4, &["does not list this key"]);
    fs::remove_file(&drivers).unwrap();
    let passed = agent.allow(&["--expires", "2020-01-01"]);
    passed.expect_error(2, &["2020-01-02T00:00:00Z has passed, so it would allow nobody"]);
}

/// Waits until a run of 1 Mbit/s or more is two seconds into its load.
fn is_granted(agent: &Agent) {
    await_within(SOON, "the load is granted", || (free_rate(agent) <= 999_000_000).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
}

#[test]
fn a_key_that_is_taken_out_loses_its_run() {
    let _machine = share(4);
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let load = ["--rate", "1M", "--idle", "1s", "--duration", "60s", "--json"];
    let driver = Program::start(agent.check().args(load));
    is_granted(&agent);
    fs::write(agent.keys.path("drivers"), "# nobody\n").unwrap();
    let ended = driver.ended(SOON);
    ended.expect_code(3);
    let report: Report = serde_json::from_str(&ended.out).unwrap();
    let reason = report.reason.unwrap();
    assert!(reason.contains("this key is not allowed any more"), "{reason}");
    run(agent.check().args(["--idle", "1s"])).expect_error(4, &["does not list this key"]);
}

#[test]
fn a_line_that_is_wrong_is_logged_and_takes_nothing_from_the_others() {
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let drivers = agent.keys.path("drivers");
    let text = fs::read_to_string(&drivers).unwrap();
    fs::write(&drivers, format!("max-rate=5MB {text}{text}")).unwrap();
    agent.program.await_said(SOON, "a line of allowed_drivers allows nobody");
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

/// What was counted is told before the agent ends, and the report is partial.
#[test]
fn an_agent_that_is_stopped_hands_out_what_it_counted() {
    let _machine = share(4);
    let agent = Agent::of_file(&[]);
    agent.allow(&[]).expect_code(0);
    let load = ["--rate", "2M", "--idle", "1s", "--duration", "60s", "--json"];
    let driver = Program::start(agent.check().args(load));
    is_granted(&agent);
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
