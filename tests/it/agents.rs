//! The agents that are known here: those that a user trusts, and those that runs have met.

use crate::history::with_each;
use crate::support::{Agent, User, run};
use linkqual::history::{AgentSeen, Entry, Kept};
use linkqual::report::Report;
use linkqual::store::Store;
use serde_json::Value;

const SOUND: &str = include_str!("golden/v3/sound.json");

/// A run of the minute `minute` against the agent with the key `key` and this `version`.
fn run_of(minute: u64, key: &str, version: Option<&str>) -> Report {
    let mut report = Report::parse(SOUND).unwrap();
    report.run = format!("{minute:04x}").repeat(8);
    report.started_at = format!("2026-11-30T10:{minute:02}:00.000Z");
    let ends = &mut report.links[0].sites[0].ends;
    ends.agent_key = Some(key.to_owned());
    ends.agent_protocol = Some(7);
    ends.agent_program = version.map(|version| format!("linkqual-agent {version}"));
    report
}

#[test]
fn an_agent_is_as_it_was_in_the_last_run_in_which_it_answered() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        assert_eq!(store.agents_seen().await.unwrap(), []);
        for (minute, key, version) in [
            (1, "SHA256:a", Some("0.1.0")),
            (3, "SHA256:a", Some("0.2.0")),
            (2, "SHA256:a", Some("0.1.1")),
            (4, "SHA256:b", Some("0.3.0")),
            (5, "SHA256:a", None),
        ] {
            let report = run_of(minute, key, version);
            let entry = Entry::imported(&report, 1).unwrap();
            store.record(&Kept::of(entry, &report)).await.unwrap();
        }
        let seen = store.agents_seen().await.unwrap();
        let shown = |it: &AgentSeen| {
            format!("{} {} {}", it.key, it.program.as_deref().unwrap(), &it.run[..4])
        };
        assert_eq!(
            seen.iter().map(shown).collect::<Vec<_>>(),
            ["SHA256:a linkqual-agent 0.2.0 0003", "SHA256:b linkqual-agent 0.3.0 0004"]
        );
        assert_eq!(seen[0].started_ns, run_of(3, "", None).started_ns().unwrap());
    });
}

/// A database that others write may hold what no terminal should be sent.
#[test]
fn what_a_shared_database_says_of_agents_is_made_printable() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let report = run_of(1, "SHA256:a", Some("0.1.0\u{1b}[2J"));
        let entry = Entry::imported(&report, 1).unwrap();
        store.record(&Kept::of(entry, &report)).await.unwrap();
        let program = store.agents_seen().await.unwrap()[0].program.clone().unwrap();
        let site = store.sites(&report.run).await.unwrap().remove(0);
        let past = store.past_runs(&site, 0, u64::MAX).await.unwrap();
        let of_path = past[0].path.agent_program.clone().unwrap();
        for text in [program, of_path] {
            assert!(text.starts_with("linkqual-agent 0.1.0"), "{text:?}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    });
}

#[test]
fn agents_that_are_trusted_and_agents_that_runs_have_met_are_listed() {
    let (user, agent) = (User::new(), Agent::start());
    let agents = |args: &[&str]| run(user.linkqual(&["agents"]).args(args));
    let none = agents(&[]);
    assert!(none.expect_code(0).out.contains("No agents are known."), "{}", none.out);
    user.trust(&agent);
    let (host, print) = (agent.address.to_string(), agent.keys.fingerprint("agent.pub"));
    let trusted = agents(&[]);
    for words in [host.as_str(), &print, "never"] {
        assert!(trusted.expect_code(0).out.contains(words), "{words}: {}", trusted.out);
    }
    assert!(trusted.err.contains("there is no history"), "{}", trusted.err);
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    let folder = tempfile::tempdir().unwrap();
    for (minute, key) in [(1, print.as_str()), (2, "SHA256:other")] {
        let report = run_of(minute, key, Some("0.0.9"));
        let file = folder.path().join(format!("{minute}.json"));
        std::fs::write(&file, report.to_json()).unwrap();
        run(&mut user.linkqual(&["history", "import", file.to_str().unwrap()])).expect_code(0);
    }
    let met = agents(&[]);
    for words in [
        "0.0.9    7         1 Gbit/s, 60 s of load  2026-11-30 10:01  0001000100010001",
        "older than this driver, linkqual ",
        "not in known_agents",
    ] {
        assert!(met.expect_code(0).out.contains(words), "{words}: {}", met.out);
    }
    let json = agents(&["--format", "json"]);
    let json: Value = serde_json::from_str(&json.expect_code(0).out).unwrap();
    let own = json["agents"].as_array().unwrap().iter().find(|it| it["key"] == print.as_str());
    let own = own.unwrap();
    assert_eq!((&own["hosts"][0], &own["is_known"]), (&Value::from(host), &Value::from(true)));
    assert_eq!(
        (&own["granted_rate_max_bit_s"], &own["protocol"]),
        (&1_000_000_000.into(), &7.into())
    );
    assert_eq!(
        (own["is_older"].as_bool(), json["agents"].as_array().unwrap().len()),
        (Some(true), 2)
    );
}
