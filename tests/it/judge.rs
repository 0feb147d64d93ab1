//! Saved reports, judged again: the same evidence, by the same requirements and by others.

use crate::support::{Agent, Ended, linkqual, run};
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const SOUND: &str = include_str!("golden/sound.json");
const BROKEN: &str = include_str!("golden/broken.json");
const TCP: &str = include_str!("golden/tcp.json");

/// A folder with `report.json` in it, and the plan that requires `require` of it.
fn folder(report: &str, require: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("report.json"), report).expect("writable");
    let plan = format!(
        "[link]\ncircuit = 'demo'\nrate_layer = 'L2'\n[driver]\nkey = 'none'\n[sites.far]\n\
         agent = '192.0.2.1'\nkey = 'none.pub'\n[require]\n{require}\n[[test]]\nkind = 'tcp'\n"
    );
    fs::write(folder.path().join("plan.toml"), plan).expect("writable");
    folder
}

fn judge(folder: &Path, args: &[&str]) -> Ended {
    run(linkqual().current_dir(folder).args(["judge", "report.json"]).args(args))
}

/// The verdict of `report` by `require`, and the exit code beside it.
#[track_caller]
fn judged(report: &str, require: &str) -> (Report, Option<i32>) {
    let folder = folder(report, require);
    let ended = judge(folder.path(), &["--require", "plan.toml", "--json"]);
    let report = Report::parse(&ended.out);
    assert!(report.is_ok(), "{}\n{}", ended.out, ended.err);
    (report.expect("seen above"), ended.code)
}

#[test]
fn judged_by_what_it_was_judged_by_a_report_says_the_same_to_the_octet() {
    for (report, code) in [(SOUND, 0), (BROKEN, 1), (TCP, 0)] {
        let folder = folder(report, "");
        let ended = judge(folder.path(), &["--json", "--out", "again"]);
        ended.expect_code(code);
        assert!(ended.out == report, "{}", ended.out);
        let kept = fs::read_to_string(folder.path().join("again/report.json")).expect("there");
        assert!(kept == report, "{kept}");
    }
}

/// The run's own findings, reproduced from its own plan, without its agent and its keys.
#[test]
fn a_run_is_judged_again_by_its_own_plan() {
    let agent = Agent::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (driver, far) = (agent.keys.path("driver"), agent.keys.path("agent.pub"));
    let address = agent.address;
    let plan = format!(
        "idle = '1 s'
        [link]
        vlan_tags = 1
        [driver]
        key = {driver:?}
        [sites.far]
        agent = \"{address}\"
        key = {far:?}
        [require]
        throughput = '>= 2 Mbit/s'
        rtt_p99 = '<= 1 s'
        outage = '<= 5 s'
        path_mtu = '>= 1500'
        [require.reverse]
        loss = '<= 1%'
        [[test]]
        kind = 'udp'
        rate = '2 Mbit/s'
        size = 1200
        duration = '5 s'
        "
    );
    fs::write(folder.path().join("plan.toml"), plan).expect("writable");
    let mut command = linkqual();
    let ran = run(command.current_dir(&folder).args(["run", "plan.toml", "--json", "--out", "."]));
    let report = Report::parse(&ran.out).expect("a report");
    assert_eq!(report.findings.len(), 7, "{}", linkqual::report::text(&report));
    drop(agent);
    let again = judge(folder.path(), &["--require", "plan.toml", "--json"]);
    assert_eq!(again.code, ran.code);
    assert!(again.out == ran.out, "{}", again.out);
}

#[test]
fn other_requirements_are_judged_on_the_same_evidence() {
    let (report, code) = judged(SOUND, "loss = '<= 0.1%'\nrtt_p99 = '<= 30 ms'");
    assert_eq!((report.verdict, code, report.findings.len()), (Verdict::Pass, Some(0), 3));
    assert!(report.plan.is_some_and(|plan| plan.file == "plan.toml" && plan.sha256.len() == 64));
    let (report, code) = judged(SOUND, "rtt_p99 = '<= 5 ms'");
    assert_eq!((report.verdict, code), (Verdict::Fail, Some(1)));
    let (report, code) = judged(SOUND, "path_mtu = '>= 1500'");
    assert_eq!((report.verdict, code), (Verdict::Pass, Some(0)));
}

/// The saved TCP carried 993.26 Mbit/s (991.16 at least) where 1 Gbit/s was its limit.
#[test]
fn saved_tcp_passes_what_it_carried_and_fails_what_it_did_not() {
    let tcp = |report: &str, rate: &str| {
        let (report, code) =
            judged(report, &format!("reverse.tcp_throughput = '>= {rate} Mbit/s'"));
        (report.verdict, code)
    };
    assert_eq!(tcp(TCP, "979"), (Verdict::Pass, Some(0)));
    // Within 2 % of its limit: it was not let go faster.
    assert_eq!(tcp(TCP, "999"), (Verdict::Inconclusive, Some(3)));
    let mut slow: serde_json::Value = serde_json::from_str(TCP).expect("a report");
    for row in slow["trials"].as_array_mut().expect("trials") {
        let seconds = row.pointer_mut("/tcp/received_bytes_by_second");
        let Some(seconds) = seconds.and_then(|seconds| seconds.as_array_mut()) else { continue };
        let halves = seconds.iter().map(|octets| octets.as_u64().expect("a count") / 2);
        let halves: Vec<u64> = halves.collect();
        let sum: u64 = halves.iter().sum();
        for name in ["sent_bytes", "received_bytes", "checked_bytes"] {
            row["tcp"][name] = sum.into();
        }
        row["tcp"]["info"]["sent_bytes"] = sum.into();
        row["tcp"]["received_bytes_by_second"] = halves.into();
    }
    let slow = serde_json::to_string_pretty(&slow).expect("a text");
    assert_eq!(tcp(&slow, "400"), (Verdict::Pass, Some(0)));
    assert_eq!(tcp(&slow, "600"), (Verdict::Fail, Some(1)));
}

#[test]
fn what_the_evidence_does_not_speak_to_is_inconclusive() {
    // The demo offers 20 Mbit/s, and no TCP.
    for require in ["throughput = '>= 21 Mbit/s'", "tcp_throughput = '>= 1 Mbit/s'"] {
        let (report, code) = judged(SOUND, require);
        assert_eq!((report.verdict, code), (Verdict::Inconclusive, Some(3)), "{require}");
    }
    // No packet above the device's MTU was tried: the tester was the limit.
    let (report, _) = judged(SOUND, "path_mtu = '>= 9000'");
    let verdict = if report.sites[0].path_mtu_tried_bytes < Some(9_000) {
        Verdict::Invalid
    } else {
        Verdict::Fail
    };
    assert_eq!(report.verdict, verdict, "{}", linkqual::report::text(&report));
}

/// Each packet is in one count, or the numbers are nobody's.
#[test]
fn counts_that_do_not_add_up_prove_nothing() {
    let mut sly: serde_json::Value = serde_json::from_str(SOUND).expect("a report");
    for row in sly["trials"].as_array_mut().expect("trials") {
        if row["kind"] == "udp" {
            row["received_packets"] = 0.into();
        }
    }
    let sly = serde_json::to_string_pretty(&sly).expect("a text");
    let (report, code) = judged(&sly, "loss = '<= 0.1%'");
    assert_eq!((report.verdict, code), (Verdict::Invalid, Some(3)));
    let doubted = report.caveats.iter().any(|caveat| caveat.text.contains("the ends disagree"));
    assert!(doubted, "{:#?}", report.caveats);
}

#[test]
fn a_report_of_another_circuit_is_said_to_be_one() {
    let folder = folder(TCP, "tcp_throughput = '>= 1 Mbit/s'");
    let ended = judge(folder.path(), &["--require", "plan.toml"]);
    assert!(
        ended.err.contains("note: the report is of 'EC-7', the plan is about 'demo'"),
        "{}",
        ended.err
    );
}

#[test]
fn what_is_no_report_is_told() {
    #[track_caller]
    fn refused(report: &str, words: &[&str]) {
        judge(folder(report, "").path(), &[]).expect_error(2, words);
    }
    refused("", &["report.json: not a report of linkqual: EOF"]);
    refused("{}", &["report.json: not a report of linkqual: missing field"]);
    refused(
        &SOUND.replace("report/2", "report/1"),
        &["\"linkqual-report/1\"", "this linkqual reads"],
    );
    let lost = SOUND.replacen("\"lost_packets\": 0", "\"lost_packets\": 7", 1);
    assert_ne!(lost, SOUND);
    refused(&lost, &["contradicts itself: trial 0: ", "loss_periods"]);
    let sly = SOUND.replacen("\"demo\"", "\"a\\u001b[31m\\nPASS  all good\"", 1);
    assert_ne!(sly, SOUND);
    refused(&sly, &["has control characters"]);
    let unsure = SOUND.replacen("\"confidence\": 0.95", "\"confidence\": 0.1", 1);
    assert_ne!(unsure, SOUND);
    refused(&unsure, &["asked.confidence: 0.1 is not between 0.5 and 1"]);
    let missing = tempfile::tempdir().expect("a folder");
    judge(missing.path(), &[]).expect_error(2, &["report.json: cannot be read: "]);
}
