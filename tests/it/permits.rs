//! What keeps a link from being loaded, and what ends a load: by real programs, with the relay
//! between them, whose counts are the truth.

use crate::support::{Agent, Ended, PATIENCE, Program, User, await_within, run, share};
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Applies, Class, Loss, Spec};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// A load of 2 Mbit/s both ways for a minute, which `agent` is reached by over `relay`.
fn load(user: &User, agent: &Agent, relay: &Relay) -> Program {
    let mut command = user.linkqual(&["check", &relay.local().to_string()]);
    command.arg("--key").arg(agent.keys.path("driver"));
    command.arg("--agent-key").arg(agent.keys.path("agent.pub"));
    command.args(["--rate", "2 Mbit/s", "-t", "60s", "--no-lengthen", "--idle", "1s", "--json"]);
    Program::start(command.arg("--yes"))
}

/// Packets of load that have entered the relay in both directions.
fn loaded(relay: &Relay) -> u64 {
    Direction::ALL.map(|direction| relay.counts(direction, Class::Load).offered).iter().sum()
}

/// Waits until a load goes on.
fn await_load(relay: &Relay) {
    await_within(PATIENCE, "both ends send load", || {
        let is_loaded = |direction| 20 < relay.counts(direction, Class::Load).offered;
        Direction::ALL.into_iter().all(is_loaded).then_some(())
    });
}

/// No packet of load comes more than a second after now.
#[track_caller]
fn check_ends(relay: &Relay) {
    sleep(Duration::from_secs(1));
    let then = loaded(relay);
    sleep(Duration::from_millis(700));
    assert_eq!(loaded(relay), then, "load goes on");
}

/// Why the run was ended; it is in its report, and in the record of its trial, which is not judged.
#[track_caller]
fn check_aborted(ended: &Ended, why: &str) {
    let report = ended.expect_code(3).json();
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.starts_with("aborted: ") && reason.contains(why), "{reason}");
    let trials = report["links"][0]["sites"][0]["trials"].as_array().unwrap();
    assert_eq!(trials.last().unwrap()["status"], "aborted", "{trials:#?}");
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().all(|it| it["verdict"] == "INCONCLUSIVE"), "{findings:#?}");
}

#[test]
fn stop_ends_load_within_a_second_and_blocks_it_until_resume() {
    let _machine = share(4);
    let (agent, user) = (Agent::start(), User::new());
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 7).unwrap();
    let running = load(&user, &agent, &relay);
    await_load(&relay);
    let stopped = run(&mut user.linkqual(&["stop", "--all", "--reason", "CPU alarm on pe1"]));
    stopped.expect_code(0);
    check_ends(&relay);
    check_aborted(&running.ended(PATIENCE), "all load was stopped by alice on");
    let again = load(&user, &agent, &relay).ended(PATIENCE);
    again.expect_error(4, &["all load was stopped by alice", "CPU alarm on pe1", "resume"]);
    let mut probes = user.linkqual(&["check", &relay.local().to_string(), "-t", "1s"]);
    probes.arg("--key").arg(agent.keys.path("driver"));
    let probes = run(probes.arg("--agent-key").arg(agent.keys.path("agent.pub")));
    assert!(!probes.err.contains("stopped"), "{}", probes.err);
    let resumed = run(&mut user.linkqual(&["resume"]));
    assert_eq!(resumed.expect_code(0).out, "Load is allowed again.\n");
    let nothing = run(&mut user.linkqual(&["resume"]));
    assert_eq!(nothing.expect_code(0).out, "No load was stopped.\n");
}

#[test]
fn pause_at_the_agent_ends_load_within_a_second_and_refuses_it_until_resume() {
    let _machine = share(4);
    let (agent, user) = (Agent::start(), User::new());
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 7).unwrap();
    let running = load(&user, &agent, &relay);
    await_load(&relay);
    let by_hand = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
        command.args(words).arg("--key").arg(agent.keys.path("agent")).env("LOGNAME", "bob");
        run(command.env("USER", "bob").env_remove("SUDO_USER"))
    };
    by_hand(&["pause", "--reason", "maintenance of pe2"]).expect_code(0);
    check_ends(&relay);
    let ended = running.ended(PATIENCE);
    let report = ended.expect_code(3).json();
    let reason = report["reason"].as_str().unwrap();
    let words = ["load is paused at this agent by bob since", "maintenance of pe2", "resume"];
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    let again = load(&user, &agent, &relay).ended(PATIENCE);
    assert!(words.iter().all(|word| again.err.contains(word)), "{}", again.err);
    assert_eq!(by_hand(&["resume"]).expect_code(0).out, "The agent may load again.\n");
    // It looks ten times a second.
    sleep(Duration::from_secs(1));
    let running = load(&user, &agent, &relay);
    let before = loaded(&relay);
    await_within(PATIENCE, "it loads again", || (before + 40 < loaded(&relay)).then_some(()));
    running.signal("TERM");
    running.ended(PATIENCE).expect_code(3);
}

/// 250 probes cross, of which an idle second takes 100; from then on none does.
#[test]
fn a_load_ends_where_its_probes_are_lost() {
    let _machine = share(16);
    let (agent, user) = (Agent::start(), User::new());
    let probes = vec![(Applies::To(Class::Probe), Loss::After(250))];
    let spec = Spec { loss: probes, ..Spec::default() };
    let relay = Relay::start(agent.address, spec, Spec::default(), 7).unwrap();
    let plan = agent.keys.path("plan.toml");
    let text = format!(
        "idle = '1 s'\n[driver]\nkey = '{}'\n[link]\nname = 'a'\nrate = '8 Mbit/s'\n[sites.far]\n\
         agent = '{}'\nkey = '{}'\n[require]\nloss = '<= 50%'\n[[test]]\nkind = 'udp'\n\
         rate = '100%'\nduration = '60 s'\n[[abort_if]]\nloss = '5%'\n",
        agent.keys.path("driver").display(),
        relay.local(),
        agent.keys.path("agent.pub").display()
    );
    fs::write(&plan, &text).unwrap();
    let running = |args: &[&str]| {
        let mut command = user.linkqual(&["run", plan.to_str().unwrap(), "--json"]);
        run(command.args(args))
    };
    let ended = running(&[]);
    check_aborted(&ended, "of the newest");
    // Of a minute at 650 packets a second and direction; a busy host may be late.
    assert!(loaded(&relay) < 2 * 650 * 15, "{}", loaded(&relay));
    fs::write(&plan, text.replace("name = 'a'", "name = 'a'\nin_service = true")).unwrap();
    let beyond = running(&[]);
    let what = "a: it is in service (in_service = true), so at most 4 Mbit/s, 50% of its";
    beyond.expect_error(2, &[what, "--out-of-service"]);
    fs::write(&plan, text.replace("name = 'a'", "name = 'a'\nrequire_change = true")).unwrap();
    running(&[]).expect_error(2, &["a: it needs a change (require_change)", "--change ID"]);
    fs::write(&plan, &text).unwrap();
    let folder = user.path("");
    fs::create_dir_all(&folder).unwrap();
    let blackout = "[[blackout]]\nfrom = 2020-01-01\nto = 2040-01-01\nzone = 'UTC'\n\
                    links = ['a']\nreason = 'freeze'\n";
    fs::write(user.path("blackouts.toml"), blackout).unwrap();
    running(&[]).expect_error(4, &["a: blackout until 2040-01-02 00:00 UTC: freeze", "--override"]);
    // The relay loses all probes now.
    let direct = text.replace(&relay.local().to_string(), &agent.address.to_string());
    fs::write(&plan, direct.replace("duration = '60 s'", "duration = '1 s'")).unwrap();
    let overridden = running(&["--override-blackout", "provider waits", "--change", "CHG7"]);
    let notes = overridden.json()["notes"].to_string();
    assert!(notes.contains("overridden: provider waits"), "{notes}");
    assert!(notes.contains("change: CHG7"), "{notes}");
}
