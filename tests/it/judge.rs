//! Saved reports, judged again: the same evidence, by the same requirements and by others.

use crate::support::{Agent, Ended, linkqual, run};
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

/// A saved report of format 2.
const BEFORE: &str = include_str!("golden/sound.json");

static SOUND: LazyLock<String> = LazyLock::new(|| converted(BEFORE));
static BROKEN: LazyLock<String> = LazyLock::new(|| converted(include_str!("golden/broken.json")));
static TCP: LazyLock<String> = LazyLock::new(|| converted(include_str!("golden/tcp.json")));

/// A report of format 2 in the present one, judged anew: format 2 judged TCP by the median of its
/// seconds, and had fewer figures.
fn converted(report: &str) -> String {
    let mut report = Report::parse(report).expect("a report");
    let question = report.question().expect("what it was judged by");
    report.judge(&question).expect("evidence");
    report.to_json()
}

/// `report` with another value at the path `place`.
#[track_caller]
fn with(report: &str, place: &str, value: Value) -> String {
    let mut report: Value = serde_json::from_str(report).expect("a report");
    *report.pointer_mut(place).expect("it is there") = value;
    serde_json::to_string_pretty(&report).expect("a text")
}

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

/// `record` without the remark that it was judged again; by whose requirements it was.
#[track_caller]
fn without_remark(record: &str) -> (String, Option<String>) {
    let mut report = Report::parse(record).expect("a report");
    let remark = report.judged_again.take().expect("it was judged again");
    assert!(remark.at.starts_with("20") && remark.program.starts_with("linkqual "), "{remark:?}");
    (report.to_json(), remark.plan.map(|plan| plan.file))
}

#[test]
fn judged_by_what_it_was_judged_by_a_report_says_the_same_to_the_octet() {
    for (report, code) in [(&*SOUND, 0), (&*BROKEN, 1), (&*TCP, 0)] {
        let folder = folder(report, "");
        let ended = judge(folder.path(), &["--json", "--out", "again"]);
        ended.expect_code(code);
        let (again, by) = without_remark(&ended.out);
        assert!(again == *report, "{again}");
        assert_eq!(by, None, "by its own requirements");
        let kept = fs::read_to_string(folder.path().join("again/report.json")).expect("there");
        assert!(kept == ended.out, "{kept}");
    }
}

#[test]
fn each_format_is_printed_and_kept_as_it_is_asked_for() {
    let folder = folder(&SOUND, "");
    let judged = |args: &[&str]| {
        let ended = judge(folder.path(), args);
        ended.expect_code(0);
        ended.out
    };
    let csv = judged(&["--format", "csv", "--out", "again"]);
    assert!(csv.starts_with("schema_version,run_id,"), "{csv}");
    let kept = fs::read_to_string(folder.path().join("again/runs.csv")).expect("there");
    assert_eq!(kept, csv);
    assert!(judged(&["--format", "text"]).starts_with("PASS  "));
    assert!(judged(&["--format", "json"]).starts_with('{'));
    let refused = judge(folder.path(), &["--format", "pdf"]);
    refused.expect_error(2, &["pdf", "json", "text", "csv"]);
}

/// The streams of a record that was converted from format 2 are not known.
#[test]
fn rows_of_streams_are_written_on_request() {
    let agent = Agent::start();
    let folder = tempfile::tempdir().expect("a folder");
    let load = ["--rate", "1 Mbit/s", "--streams", "2", "--duration", "2s", "--idle", "1s"];
    let ran = run(agent.check().args(load).args(["--csv-streams", "--out"]).arg(folder.path()));
    let rows = fs::read_to_string(folder.path().join("runs.csv")).expect("there");
    // The header, two trials with two directions and a round trip each, and four streams.
    assert_eq!(rows.lines().count(), 1 + 6 + 4, "{rows}\n{}", ran.err);
    let again = judge(folder.path(), &["--format", "csv"]);
    assert_eq!(again.out.lines().count(), 1 + 6, "{}", again.out);
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
    let (same, by) = without_remark(&again.out);
    assert!(same == ran.out, "{same}");
    assert_eq!(by.as_deref(), Some("plan.toml"));
}

#[test]
fn other_requirements_are_judged_on_the_same_evidence() {
    let (report, code) = judged(&SOUND, "loss = '<= 0.1%'\nrtt_p99 = '<= 30 ms'");
    assert_eq!((report.verdict, code, report.findings.len()), (Verdict::Pass, Some(0), 3));
    assert_eq!(report.plan, None, "the run followed none");
    let plan = report.judged_again.and_then(|again| again.plan);
    assert!(plan.is_some_and(|plan| plan.file == "plan.toml" && plan.sha256.len() == 64));
    let (report, code) = judged(&SOUND, "rtt_p99 = '<= 5 ms'");
    assert_eq!((report.verdict, code), (Verdict::Fail, Some(1)));
    let (report, code) = judged(&SOUND, "path_mtu = '>= 1500'");
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
    assert_eq!(tcp(&TCP, "909"), (Verdict::Pass, Some(0)));
    // Within a tenth of its limit: its pace held it back.
    assert_eq!(tcp(&TCP, "979"), (Verdict::Inconclusive, Some(3)));
    let mut slow: Value = serde_json::from_str(&TCP).expect("a report");
    for trial in slow["links"][0]["sites"][0]["trials"].as_array_mut().expect("trials") {
        for direction in ["forward", "reverse"] {
            let seconds = trial[direction].pointer_mut("/tcp_receiver/per_second/seconds");
            let Some(seconds) = seconds.and_then(Value::as_array_mut) else { continue };
            let halves = seconds.iter().map(|octets| octets.as_u64().expect("a count") / 2);
            let halves: Vec<u64> = halves.collect();
            let sum: u64 = halves.iter().sum();
            *seconds = halves.into_iter().map(Value::from).collect();
            let counts = &mut trial[direction];
            counts["tcp_receiver"]["octets"] = sum.into();
            counts["tcp_receiver"]["checked"]["octets"] = sum.into();
            counts["tcp_sender"]["octets"] = sum.into();
            counts["tcp_sender"]["last"]["sent_octets"] = sum.into();
        }
    }
    let slow = serde_json::to_string_pretty(&slow).expect("a text");
    assert_eq!(tcp(&slow, "400"), (Verdict::Pass, Some(0)));
    assert_eq!(tcp(&slow, "600"), (Verdict::Fail, Some(1)));
}

#[test]
fn what_the_evidence_does_not_speak_to_is_inconclusive() {
    // The demo offers 20 Mbit/s, and no TCP.
    for require in ["throughput = '>= 21 Mbit/s'", "tcp_throughput = '>= 1 Mbit/s'"] {
        let (report, code) = judged(&SOUND, require);
        assert_eq!((report.verdict, code), (Verdict::Inconclusive, Some(3)), "{require}");
    }
    // No packet above the device's MTU was tried: the tester was the limit.
    let (report, _) = judged(&SOUND, "path_mtu = '>= 9000'");
    let tried = report.links[0].sites[0].path_mtu.map(|path| path.tried_octets);
    let verdict = if tried < Some(9_000) { Verdict::Invalid } else { Verdict::Fail };
    assert_eq!(report.verdict, verdict, "{}", linkqual::report::text(&report));
}

/// Each packet is in one count, or the numbers are nobody's.
#[test]
fn counts_that_do_not_add_up_prove_nothing() {
    let mut sly: Value = serde_json::from_str(&SOUND).expect("a report");
    for trial in sly["links"][0]["sites"][0]["trials"].as_array_mut().expect("trials") {
        for direction in ["forward", "reverse"] {
            if trial["asked"]["udp"].is_object() {
                let receiver = &mut trial[direction]["receiver"];
                for count in ["received", "steady", "steady_on_time", "reordered"] {
                    receiver[count] = 0.into();
                }
                receiver["per_second"] = json!({"seconds": []});
            }
        }
    }
    let sly = serde_json::to_string_pretty(&sly).expect("a text");
    let (report, code) = judged(&sly, "loss = '<= 0.1%'");
    assert_eq!((report.verdict, code), (Verdict::Invalid, Some(3)));
    let doubted = report.caveats.iter().any(|caveat| caveat.text.contains("the ends disagree"));
    assert!(doubted, "{:#?}", report.caveats);
}

#[test]
fn counts_that_no_run_has_are_refused_by_their_name() {
    let trial = "/links/0/sites/0/trials/1";
    let mut nameless = Vec::new();
    for (place, name) in [
        ("asked/probe_rate", "probe_rate"),
        ("forward/sender/sent", "sent"),
        ("forward/sender/per_second/seconds/0", "seconds"),
        ("reverse/receiver/received", "received"),
        ("reverse/receiver/losses/lost", "lost"),
        ("reverse/probes/received", "received"),
        ("round_trip/late_probes", "late_probes"),
        ("round_trip/timestamping/exchanges", "exchanges"),
        ("agent_host/kernel_drops", "kernel_drops"),
    ] {
        for absurd in [json!(1_u64 << 63), json!((1_u64 << 54) + 1), json!(-1)] {
            let report = with(&SOUND, &format!("{trial}/{place}"), absurd.clone());
            let error = Report::parse(&report).expect_err(place).to_string();
            if !error.contains(&format!("{name}: ")) {
                nameless.push(format!("{place} = {absurd}: {error}"));
            }
        }
    }
    assert!(nameless.is_empty(), "{}", nameless.join("\n"));
    // What follows from counts is higher than any count where few octets took little time.
    let goodput = format!("{trial}/figures/forward/goodput_bit_s");
    assert!(Report::parse(&with(&SOUND, &goodput, json!(u64::MAX))).is_ok());
    assert!(Report::parse(&with(&SOUND, &goodput, json!(-1))).is_err());
    let jitter = with(&SOUND, &format!("{trial}/figures/forward/jitter_us"), json!(1.5));
    assert!(Report::parse(&jitter).is_ok());
    assert!(
        Report::parse(&jitter.replacen("\"jitter_us\": 1.5", "\"jitter_us\": 1e999", 1)).is_err()
    );
    let before = with(BEFORE, "/trials/2/sent_packets", json!(1_u64 << 63));
    let error = Report::parse(&before).expect_err("absurd").to_string();
    assert!(error.contains("trial 1: ") && error.contains("sent_packets: 9223372"), "{error}");
}

#[test]
fn a_report_of_another_circuit_is_said_to_be_one() {
    let folder = folder(&TCP, "tcp_throughput = '>= 1 Mbit/s'");
    let ended = judge(folder.path(), &["--require", "plan.toml"]);
    assert!(
        ended.err.contains("note: the report is of 'EC-7', the plan is about 'demo'"),
        "{}",
        ended.err
    );
}

#[test]
fn what_is_no_report_is_reported() {
    #[track_caller]
    fn refused(report: &str, words: &[&str]) {
        judge(folder(report, "").path(), &[]).expect_error(2, words);
    }
    refused("", &["report.json: not a report of linkqual: EOF"]);
    refused("{}", &["report.json: not a report of linkqual: missing field"]);
    refused(
        &SOUND.replace("report/3", "report/1"),
        &["\"linkqual-report/1\"", "this linkqual reads"],
    );
    let lost = BEFORE.replacen("\"lost_packets\": 0", "\"lost_packets\": 7", 1);
    assert_ne!(lost, BEFORE);
    refused(&lost, &["contradicts itself: trial 0: ", "loss_periods"]);
    let lost = with(&SOUND, "/links/0/sites/0/trials/0/forward/receiver/losses/lost", 7.into());
    refused(&lost, &["losses that do not agree with their bursts"]);
    let sly = SOUND.replacen("\"demo\"", "\"a\\u001b[31m\\nPASS  all good\"", 1);
    assert_ne!(sly, *SOUND);
    refused(&sly, &["has control characters"]);
    let unsure = SOUND.replacen("\"confidence\": 0.95", "\"confidence\": 0.1", 1);
    assert_ne!(unsure, *SOUND);
    refused(&unsure, &["asked.confidence: 0.1 is not between 0.5 and 1"]);
    let missing = tempfile::tempdir().expect("a folder");
    judge(missing.path(), &[]).expect_error(2, &["report.json: cannot be read: "]);
}

/// The commands that `docs/report.md` shows.
fn jq_examples() -> Vec<&'static str> {
    let docs = include_str!("../../docs/report.md");
    docs.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// Needs `jq`; where it is missing the test says so and passes.
#[test]
fn the_examples_of_the_docs_work() {
    if Command::new("jq").arg("--version").output().is_err() {
        println!("skipped: no jq here");
        return;
    }
    let examples = jq_examples();
    assert!(5 <= examples.len(), "{examples:?}");
    let folders = [&*SOUND, &*BROKEN, &*TCP].map(|report| folder(report, ""));
    for example in examples {
        let mut out = String::new();
        for folder in &folders {
            let ended = run(Command::new("sh").current_dir(folder.path()).args(["-c", example]));
            assert_eq!(ended.code, Some(0), "{example}: {}", ended.err);
            out += &ended.out;
        }
        assert!(!out.trim().is_empty(), "{example} shows nothing of any report");
    }
}
