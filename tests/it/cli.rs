//! The built programs, as a person, a script and a stranger meet them: exit codes, what is said
//! where, and what becomes of both when one of them dies.

use crate::support::{
    Agent, Ended, Keys, PATIENCE, Program, alone, await_within, check, linkqual, run, share,
    trials, without_version,
};
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Applies, Class, Loss, Spec};
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::{Acceptor, Connector, Identity, TlsStream};
use linkqual::wire::control::{Hello, LoadRequest, Message, PROTOCOL, Request};
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// More than any answer on loopback takes, and less than what the programs themselves wait.
const SOON: Duration = Duration::from_secs(10);

// ---- What the programs say of themselves.

#[track_caller]
fn help(name: &str, program: &str, args: &[&str]) {
    let help = run(Command::new(program).args(args).env("COLUMNS", "100"));
    help.expect_code(0);
    assert_eq!(help.err, "");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, without_version(&help.out));
    });
}

const DRIVER: &str = env!("CARGO_BIN_EXE_linkqual");
const AGENT: &str = env!("CARGO_BIN_EXE_linkqual-agent");

/// What somebody types first who comes from another tool, or has not read the help.
#[test]
fn what_is_typed_by_habit_gets_a_tip_that_helps() {
    let agent = || Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
    for (mut program, args, words) in [
        (linkqual(), &["10.61.2.2"][..], "to test the link to a host: linkqual check 10.61.2.2\n"),
        (linkqual(), &["plan.toml"], "to run a plan: linkqual run plan.toml\n"),
        (linkqual(), &["chek", "h"], "similar subcommands exist: 'schedule', 'ack', 'check'"),
        (linkqual(), &["check", "-p", "5201", "h"], "linkqual check HOST:PORT\n"),
        (linkqual(), &["check", "h", "--port", "5201"], "linkqual check HOST:PORT\n"),
        (linkqual(), &["check", "h", "--time", "9"], "-t TIME, or --duration TIME\n"),
        (linkqual(), &["judge", "run-1", "--loss", "1%"], "a plan requires: --require PLAN.toml\n"),
        (linkqual(), &["run", "p.toml", "--rate", "1M"], "the plan says it: linkqual help plan\n"),
        (linkqual(), &["keygen", "--out", "-"], "give it a name"),
        (linkqual(), &["check", "h", "--out", "-"], "give it a name"),
        (agent(), &["10.61.2.2"], "linkqual-agent --listen 10.61.2.2\n"),
        (agent(), &["-s", "-p", "5201"], "linkqual-agent serves without an option"),
        (agent(), &["-p", "5201"], "linkqual-agent --listen :PORT\n"),
    ] {
        let ended = run(program.args(args));
        ended.expect_error(2, &[words]);
        assert!(!ended.err.contains("as a value, use"), "{}", ended.err);
        assert!(!ended.err.contains("similar argument"), "{}", ended.err);
    }
}

#[test]
fn help_of_either_program_has_topics_and_lists_them_where_there_is_none() {
    let agent = || Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
    for (mut program, topics, commands) in [
        (
            linkqual(),
            "  topics: install, keys, plan, verdicts, ",
            "  commands: keygen, key, trust, ",
        ),
        (
            agent(),
            "  topics: install, keys, agent, link-cost, limits\n",
            "  commands: allow, revoke, ",
        ),
    ] {
        let words = ["'nonsense' is neither a topic of the manual nor a command", topics, commands];
        run(program.args(["help", "nonsense"])).expect_error(2, &words);
    }
    for mut program in [linkqual(), agent()] {
        let page = run(program.args(["help", "keys"]));
        assert_eq!(page.expect_code(0).out, include_str!("../../docs/keys.md"));
    }
    let of_command = run(agent().args(["help", "allow"]));
    assert!(of_command.expect_code(0).out.contains("--probe-only"), "{}", of_command.out);
    let all = run(agent().arg("help"));
    assert!(all.expect_code(0).out.contains("Manual (linkqual-agent help TOPIC):"), "{}", all.out);
}

#[test]
fn a_plan_is_printed_where_its_file_is_the_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(linkqual().current_dir(&folder).args(["plan", "init", "-"]));
    assert!(printed.expect_code(0).out.contains("[sites."), "{}", printed.out);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn help_is_as_it_was_reviewed() {
    help("help_linkqual", DRIVER, &["--help"]);
    help("help_linkqual_keygen", DRIVER, &["keygen", "--help"]);
    help("help_linkqual_key", DRIVER, &["key", "--help"]);
    help("help_linkqual_key_rotate", DRIVER, &["key", "rotate", "--help"]);
    help("help_linkqual_trust", DRIVER, &["trust", "--help"]);
    help("help_linkqual_check", DRIVER, &["check", "--help"]);
    help("help_linkqual_run", DRIVER, &["run", "--help"]);
    help("help_linkqual_plan", DRIVER, &["plan", "--help"]);
    help("help_linkqual_plan_check", DRIVER, &["plan", "check", "--help"]);
    help("help_linkqual_plan_init", DRIVER, &["plan", "init", "--help"]);
    help("help_linkqual_plan_firewall", DRIVER, &["plan", "firewall", "--help"]);
    help("help_linkqual_demo", DRIVER, &["demo", "--help"]);
    help("help_linkqual_agent", AGENT, &["--help"]);
    help("help_linkqual_agent_allow", AGENT, &["allow", "--help"]);
    help("help_linkqual_agent_key", AGENT, &["key", "--help"]);
    help("version_linkqual", DRIVER, &["--version"]);
    help("version_linkqual_agent", AGENT, &["--version"]);
}

// ---- Keys.

#[test]
fn keygen_makes_a_secret_file_and_a_public_one_and_never_overwrites() {
    let keys = Keys::of("alice");
    let (path, public) = (keys.path("driver"), keys.path("driver.pub"));
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let (secret, line) = (text(&path), text(&public));
    assert!(secret.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(line.starts_with("linkqual-ed25519 ") && line.ends_with(" alice\n"), "{line}");
    let again = run(linkqual().args(["keygen", "--out"]).arg(&path));
    again.expect_error(2, &[&path.display().to_string(), "exists already", "Give another file"]);
    assert_eq!((text(&path), text(&public)), (secret, line));
}

#[test]
fn keygen_leaves_no_half_of_a_pair() {
    let keys = Keys::of("alice");
    fs::write(keys.path("half.pub"), "mine").expect("writable");
    let half = run(linkqual().args(["keygen", "--out"]).arg(keys.path("half")));
    half.expect_error(2, &["half.pub", "exists already"]);
    assert!(!keys.path("half").exists());
    assert_eq!(text(&keys.path("half.pub")), "mine");
    let nowhere = run(linkqual().args(["keygen", "--out", "/nonexistent/key"]));
    nowhere.expect_error(2, &["/nonexistent/key", "cannot be written"]);
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a text file")
}

// ---- Checks that are answered.

#[test]
fn where_nothing_is_required_nothing_can_pass() {
    let agent = Agent::start();
    let ended = run(agent.check().args(["--duration", "1s"]));
    ended.expect_code(3);
    assert!(ended.out.starts_with("INCONCLUSIVE "), "{}", ended.out);
    assert!(ended.out.contains("No requirements were given"), "{}", ended.out);
    let note = "note: the idle trial sends 10 probes per second, as no rate of the link is known";
    assert!(ended.err.lines().any(|line| line.starts_with(note)), "{}", ended.err);
}

/// The driver's UDP handshakes may arrive before the agent has opened the trial: that is no unknown
/// run.
#[test]
fn an_agent_warns_of_nothing_in_ordinary_runs() {
    let agent = Agent::start();
    let load = ["--rate", "1 Mbit/s", "--streams", "4", "--idle", "1s", "--duration", "1s"];
    for _ in 0..5 {
        run(agent.check().args(load).args(["--direction", "forward"]));
    }
    let log = agent.program.err();
    assert!(log.contains("driver connected") && !log.contains("WARN"), "{log}");
}

#[test]
fn an_idle_line_within_its_bound_passes_and_says_so_first() {
    let agent = Agent::start();
    let ended = run(agent.check().args(["--duration", "1s", "--rtt-p99", "1s"]));
    ended.expect_code(0);
    assert_eq!(ended.out.split_whitespace().next(), Some("PASS"), "{}", ended.out);
    assert!(
        ended.err.contains("takes 31 s instead of 1 s"),
        "what is decided is shown: {}",
        ended.err
    );
}

#[test]
fn an_idle_line_beyond_its_bound_fails() {
    let agent = Agent::start();
    let ended = run(agent.check().args(["--duration", "1s", "--rtt-p99", "0.001us"]));
    // No kernel turns a datagram around within 1 ns.
    ended.expect_code(1);
    assert!(ended.out.starts_with("FAIL "), "{}", ended.out);
    assert!(ended.out.contains("RTT p99"), "{}", ended.out);
}

#[test]
fn quiet_says_nothing_beside_the_result() {
    let agent = Agent::start();
    let ended = run(agent.check().args(["--quiet", "--duration", "1s", "--rtt-p99", "0.001us"]));
    ended.expect_code(1);
    assert_eq!(ended.err, "");
}

/// The names are an interface: scripts read them.
const FINDING: [&str; 9] =
    ["metric", "direction", "bound", "value", "low", "high", "unit", "verdict", "reason"];
const TRIAL: [&str; 9] = [
    "trial",
    "asked",
    "started_at",
    "status",
    "reason",
    "round_trip",
    "driver_host",
    "agent_host",
    "figures",
];
const SENDER: [&str; 4] = ["sent", "refused", "paused", "skipped"];
const RECEIVER: [&str; 7] =
    ["received", "losses", "duplicate", "reordered", "late", "host_dropped", "unattributed"];
const FIGURES: [&str; 6] =
    ["offered_bit_s", "goodput_bit_s", "lost", "outages", "jitter_us", "jitter_rfc3550_us"];
const ROUND_TRIP: [&str; 7] = ["min", "p50", "p90", "p99", "p999", "max", "samples"];

#[track_caller]
fn has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "no {name} in {value:#}");
    }
}

/// The load, both ways: the report as JSON, and the same in its folder.
#[test]
fn a_load_both_ways_passes_and_its_report_has_every_field() {
    let _machine = alone();
    let agent = Agent::start();
    let folder = agent.keys.path("runs/first");
    let load = ["--rate", "5 Mbit/s", "--duration", "2s", "--direction", "both", "--json"];
    let ended = run(agent.check().args(load).args(["--idle", "1s"]).arg("--out").arg(&folder));
    ended.expect_code(0);
    assert_eq!(ended.out, text(&folder.join("report.json")));
    assert!(text(&folder.join("report.txt")).starts_with("PASS "));
    let report = ended.json();
    has(&report, &["format", "verdict", "complete", "findings", "links", "caveats"]);
    assert_eq!(report["format"], "linkqual-report/3");
    assert_eq!((&report["verdict"], &report["complete"]), (&"PASS".into(), &true.into()));
    let findings = report["findings"].as_array().expect("a list");
    let throughput = |direction: &str| {
        let same = |finding: &&Value| finding["direction"] == direction;
        let finding = findings.iter().find(same).expect("a finding");
        has(finding, &FINDING);
        assert_eq!((&finding["metric"], &finding["unit"]), (&"throughput".into(), &"bit/s".into()));
        assert_eq!(finding["bound"].as_f64(), Some(5e6));
        assert_eq!(finding["verdict"], "PASS");
    };
    throughput("forward");
    throughput("reverse");
    assert_eq!(findings.len(), 2);
    let trials = trials(&report);
    let kinds: Vec<_> = trials.iter().map(|trial| kind(trial)).collect();
    assert_eq!(kinds, ["idle", "udp"]);
    for trial in &trials {
        has(trial, &TRIAL);
        assert_eq!(trial["status"], "ok");
        has(&trial["asked"], &["duration_ns", "udp", "tcp"]);
        has(&trial["figures"]["rtt_us"], &ROUND_TRIP);
        for direction in ["forward", "reverse"] {
            has(&trial[direction]["sender"], &SENDER);
            has(&trial[direction]["receiver"], &RECEIVER);
            has(&trial["figures"][direction], &FIGURES);
            identity_holds(trial, direction);
        }
    }
    let seconds = [0, 1].map(|trial| trials[trial]["asked"]["duration_ns"].as_u64());
    // The window of 2 s is what proves a throughput, and 200 ms at each end are outside it.
    assert_eq!(seconds, [Some(1_000_000_000), Some(3_000_000_000)]);
    has(&trials[1]["asked"]["udp"], &["streams", "rate", "payload_octets"]);
    assert!(report["caveats"].is_array());
}

/// What a trial was.
fn kind(trial: &Value) -> &'static str {
    match (trial["asked"]["udp"].is_null(), trial["asked"]["tcp"].is_null()) {
        (true, true) => "idle",
        (false, _) => "udp",
        (true, false) => "tcp",
    }
}

/// sent = received (each once) + lost + late + `host_dropped`.
#[track_caller]
fn identity_holds(trial: &Value, direction: &str) {
    let count = |value: &Value| value.as_u64().expect("a count");
    let (sent, receiver) =
        (count(&trial[direction]["sender"]["sent"]), &trial[direction]["receiver"]);
    let lost = count(&trial["figures"][direction]["lost"]);
    let received = ["received", "late", "host_dropped"].map(|name| count(&receiver[name]));
    assert!(0 < sent);
    assert_eq!(sent, received.iter().sum::<u64>() + lost, "{trial:#}");
}

#[test]
fn a_report_is_kept_behind_what_was_printed_and_never_overwritten() {
    let agent = Agent::start();
    let folder = agent.keys.path("deep/run");
    let probes = ["--duration", "1s"];
    let first = run(agent.check().args(probes).arg("--out").arg(&folder));
    first.expect_code(3);
    let whole = text(&folder.join("report.txt"));
    let files = first.out.find("Files: ").expect("they are named");
    let (screen, files) = first.out.split_at(files);
    assert!(whole.starts_with(screen) && screen.len() < whole.len(), "{whole}");
    let shown = folder.display();
    assert!(files.starts_with(&format!("Files: {shown}/report.json, report.txt, ")), "{files}");
    assert!(files.ends_with(&format!("Details: linkqual show {shown} --verbose\n")), "{files}");
    let record = text(&folder.join("report.json"));
    assert!(serde_json::from_str::<Value>(&record).is_ok(), "{record}");
    let second = run(agent.check().args(probes).arg("--out").arg(&folder));
    let path = folder.join("report.json").display().to_string();
    second.expect_error(2, &[&path, "exists", "--out of its own"]);
    assert_eq!(record, text(&folder.join("report.json")));
    assert_eq!(whole, text(&folder.join("report.txt")));
    assert!(text(&folder.join("runs.csv")).starts_with("schema_version,run_id,"));
    let left = fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left, linkqual::report::FORMATS.len(), "no drafts are left");
}

/// The folder, its record, and all of it.
#[test]
fn a_saved_report_is_shown_again() {
    let agent = Agent::start();
    let folder = agent.keys.path("run");
    let first = run(agent.check().args(["--duration", "1s", "--quiet"]).arg("--out").arg(&folder));
    first.expect_code(3);
    assert_eq!(first.err, "", "--quiet shows no phase either");
    let show = |args: &[&std::ffi::OsStr]| run(linkqual().arg("show").args(args));
    let shown = show(&[folder.as_os_str()]);
    shown.expect_code(0);
    assert_eq!(shown.out, first.out);
    let record = folder.join("report.json");
    let of_file = show(&[record.as_os_str()]);
    assert!(
        first.out.starts_with(of_file.out.split("Details: ").next().unwrap()),
        "{}",
        of_file.out
    );
    let whole = show(&[folder.as_os_str(), "--verbose".as_ref()]);
    assert!(whole.out.starts_with(&text(&folder.join("report.txt"))), "{}", whole.out);
    show(&[agent.keys.path("nowhere").as_os_str()]).expect_error(2, &["nowhere"]);
}

/// Without a terminal each phase that takes long leaves a line, behind the times of all.
#[test]
fn a_check_shows_its_phases_with_their_times_before_it_sends() {
    let agent = Agent::start();
    let load = ["--rate", "1M", "--duration", "3s", "--idle", "1s", "--direction", "forward"];
    let ended = run(agent.check().args(load));
    let lines: Vec<&str> = ended.err.lines().filter(|line| !line.starts_with("note: ")).collect();
    let [times, sends, connecting, searching, idle, udp] = lines[..] else {
        panic!("{}", ended.err)
    };
    let parts =
        ["sends about ", " packets, ", " to the agent and about ", " from it (L2, at a path"];
    assert!(parts.iter().all(|part| sends.contains(part)), "{sends}");
    let expected = "about 6 s: connect and find the path MTU 1 s, idle probes 1 s, UDP 1 Mbit/s \
                    to the agent 4 s";
    assert_eq!(times, expected);
    assert!(connecting.starts_with("connecting to 127.0.0.1:"), "{connecting}");
    assert!(searching.starts_with("finding the path MTU, up to "), "{searching}");
    assert_eq!((idle, udp), ("idle probes, 1 s", "UDP 1 Mbit/s to the agent, 3 s"));
}

#[test]
fn a_run_that_could_not_be_run_leaves_no_report_in_the_way() {
    let agent = Agent::start_with(&["--max-rate", "10 Mbit/s"]);
    let folder = agent.keys.path("run");
    let load = ["--rate", "11 Mbit/s"];
    run(agent.check().args(load).arg("--out").arg(&folder)).expect_code(4);
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
}

// ---- What cannot be meant.

#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let nobody = Path::new("/nonexistent/key");
    run(check("127.0.0.1:9", nobody, nobody).args(args)).expect_error(2, words);
}

#[test]
fn what_is_no_rate_is_refused_with_the_right_spelling() {
    let right = r#"a number followed by bit/s, kbit/s, Mbit/s or Gbit/s, such as "500 Mbit/s""#;
    for rate in ["0 Mbit/s", "1e9 bit/s", "500 Mbitte", "-5 Mbit/s", ""] {
        refused(&["--rate", rate], &[&format!("'{rate}'"), "--rate", right]);
    }
    refused(&["--rate=-5Mbit/s"], &["'-5Mbit/s'", right]);
    refused(&["--rate", "99999999999 Gbit/s"], &["--rate", right]);
    refused(&["--rate", "50MB"], &["Write \"400 Mbit/s\" if bytes were meant"]);
    refused(&["-b", "5"], &["'5'", "not clear without a unit. Write \"5 Mbit/s\""]);
    refused(&["-b", "0"], &["as fast as possible is --rate max"]);
}

#[test]
fn what_is_typed_for_another_tool_is_answered() {
    refused(&["--rate", "50", "Mbit/s"], &["'Mbit/s'", "in quotes, such as \"50 Mbit/s\""]);
    refused(&["-c"], &["'-c'", "linkqual check HOST"]);
    refused(&["-s"], &["'-s'", "linkqual-agent"]);
    refused(&["-u"], &["'-u'", "--rate loads with UDP"]);
}

#[test]
fn what_is_no_share_is_refused_with_the_right_spelling() {
    let right = r#"a number from 0 to 100 with % behind it, such as "0.01%""#;
    for loss in ["0.01", "-1%", "101%", "%", "a lot"] {
        refused(&["--loss", loss], &[&format!("'{loss}'"), "--loss", right]);
    }
}

#[test]
fn what_is_no_time_is_refused_with_the_right_spelling() {
    let right = r#"a number with ns, us, ms, s, min or h behind it, such as "20 ms""#;
    for option in ["--rtt-p99", "--jitter", "--outage", "--duration", "--idle"] {
        for time in ["-1 ms", "soon"] {
            refused(&[option, time], &[&format!("'{time}'"), option, right]);
        }
        let minutes = "Write \"20 min\" for these, \"20 ms\" for milliseconds";
        refused(&[option, "20m"], &["'20m'", option, minutes]);
    }
}

#[test]
fn a_bound_of_no_time_is_refused() {
    for option in ["--rtt-p99", "--jitter", "--outage"] {
        for time in ["0 ms", "0ns", "0.1 ns"] {
            refused(&[option, time], &[&format!("'{time}'"), option]);
        }
        refused(&[option, "0 ms"], &["a time of 0 cannot be met: give a time above 0"]);
    }
}

#[test]
fn a_duration_that_no_trial_has_is_refused_before_anybody_is_called() {
    for option in ["--duration", "--idle"] {
        for duration in ["0s", "999ms", "601s", "11min", "1h"] {
            let words = [&format!("'{duration}'"), option, "from 1 s to 600 s are allowed"];
            refused(&[option, duration], &words);
        }
    }
}

#[test]
fn numbers_outside_their_bounds_are_refused_with_the_bounds() {
    for streams in ["0", "65", "-1"] {
        refused(&["--streams", streams], &[&format!("'{streams}'"), "--streams", "1..=64"]);
    }
    for size in ["3", "35", "65508", "-36"] {
        refused(&["--size", size], &[&format!("'{size}'"), "--size", "44..=65507"]);
    }
}

#[test]
fn what_is_no_direction_or_layer_is_refused_with_what_is_one() {
    refused(&["--direction", "up"], &["'up'", "--direction", "forward, reverse or both"]);
    refused(&["--layer", "L5"], &["'L5'", "--layer", "L1 (wire), L2 (frame), L3 (IP) or L4"]);
    refused(&["--layer", "l2"], &["'l2'", "--layer"]);
}

#[test]
fn what_is_no_host_is_refused() {
    let nobody = Path::new("/nonexistent/key");
    for host in ["http://10.0.0.7", "a b", "", ":4872"] {
        run(&mut check(host, nobody, nobody)).expect_error(2, &["not a host", "10.0.0.7:4872"]);
    }
    let hosts = [
        ("0.0.0.0", "any of a host's own"),
        ("[::]:99", "any of a host's own"),
        ("224.0.0.1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("10.9.2.300", "not four numbers from 0 to 255"),
        ("1.2.3.4:4872:3", "not a host"),
    ];
    for (host, why) in hosts {
        let words = [&format!("'{host}'"), why, "such as 10.0.0.7"];
        run(&mut check(host, nobody, nobody)).expect_error(2, &words);
    }
    let unbracketed = [
        ("::1:4872", "[::1]:4872"),
        ("2001:db8:0:1:2:3:4:5:99", "[2001:db8:0:1:2:3:4:5]:99"),
        ("fe80::1%eth0:99", "[fe80::1%eth0]:99"),
    ];
    for (host, right) in unbracketed {
        let words = [&format!("'{host}'"), "must be in brackets", right];
        run(&mut check(host, nobody, nobody)).expect_error(2, &words);
    }
    for (host, port) in [("host:0", "'0'"), ("host:65536", "'65536'"), ("host:ssh", "'ssh'")] {
        run(&mut check(host, nobody, nobody)).expect_error(2, &[port, "from 1 to 65535"]);
    }
}

#[test]
fn what_is_missing_is_named() {
    let missing = run(linkqual().args(["check", "--rate", "5M"]));
    missing.expect_error(2, &["required", "<HOST[:PORT]>"]);
    let nothing = run(&mut linkqual());
    nothing.expect_code(2);
    assert!(nothing.out.is_empty() && nothing.err.contains("Usage: linkqual <COMMAND>"));
    let mut keyless = Command::new(AGENT);
    keyless.args(["--key", "/nonexistent/agent.key"]);
    run(&mut keyless).expect_error(2, &["/nonexistent/agent.key", "--key", "--make-key"]);
}

#[test]
fn keys_that_cannot_be_used_are_reported_with_what_to_do() {
    let keys = Keys::of("alice");
    let (driver, agent) = (keys.path("driver"), keys.path("agent.pub"));
    let exposed = keys.make("exposed", "alice");
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).expect("it is this test's");
    let words = ["other users of this host can read", "0644", "chmod 600"];
    run(&mut check("127.0.0.1:9", &exposed, &agent)).expect_error(2, &words);
    let public = keys.path("driver.pub");
    let words = ["driver.pub", "public key", "Give ", "/driver"];
    run(&mut check("127.0.0.1:9", &public, &agent)).expect_error(2, &words);
    let words = ["secret key", "Give", "agent.pub"];
    run(&mut check("127.0.0.1:9", &driver, &keys.path("agent"))).expect_error(2, &words);
    let words = ["nothing-here", "cannot be read"];
    run(&mut check("127.0.0.1:9", &keys.path("nothing-here"), &agent)).expect_error(2, &words);
    fs::write(keys.path("noise"), [0xa5; 100]).expect("writable");
    run(&mut check("127.0.0.1:9", &keys.path("noise"), &agent))
        .expect_error(2, &["noise: not text"]);
    let mut command = Command::new(AGENT);
    command.args(["--listen", "127.0.0.1:0", "--key"]).arg(keys.path("agent"));
    command.arg("--allow").arg(&driver);
    run(&mut command).expect_error(2, &["secret key", "driver.pub"]);
}

#[test]
fn an_output_that_cannot_be_written_is_reported_before_anybody_is_called() {
    let keys = Keys::of("alice");
    let (driver, agent) = (keys.path("driver"), keys.path("agent.pub"));
    let out = ["--out", "/proc/nothing/here"];
    let ended = run(check("127.0.0.1:9", &driver, &agent).args(out));
    ended.expect_error(2, &["cannot write /proc/nothing/here"]);
}

// ---- Who is not let in.

#[test]
fn a_driver_that_is_not_listed_is_refused_and_the_agent_logs_its_key() {
    let agent = Agent::start();
    let stranger = agent.keys.make("stranger", "mallory");
    let key = agent.keys.fingerprint("stranger.pub");
    let command = &mut check(&agent.address.to_string(), &stranger, &agent.keys.path("agent.pub"));
    let words =
        ["does not allow this driver's key", &key, "linkqual-agent allow linkqual-ed25519 "];
    run(command).expect_error(4, &words);
    agent.program.await_said(SOON, &key);
    assert!(!agent.program.err().contains('\x1b'), "a log that is no terminal has no colours");
}

#[test]
fn another_agent_than_was_meant_is_reported_with_both_keys() {
    let agent = Agent::start();
    let (meant, found) =
        (agent.keys.fingerprint("driver.pub"), agent.keys.fingerprint("agent.pub"));
    let keys = &agent.keys;
    let host = agent.address.to_string();
    let ended = run(&mut check(&host, &keys.path("driver"), &keys.path("driver.pub")));
    let words = ["HAS CHANGED", &meant, &found, "--agent-key", "linkqual-agent key", "--replace"];
    ended.expect_error(4, &words);
}

// ---- Where there is no agent.

#[test]
fn a_closed_port_is_reported_with_what_to_try() {
    let keys = Keys::of("alice");
    // Bound and not listened on, it stays closed for as long as this holds it.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let held = held.expect("a socket");
    held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    let address = held.local_addr().expect("bound").as_socket().expect("of IP");
    let began = Instant::now();
    let host = address.to_string();
    let ended = run(&mut check(&host, &keys.path("driver"), &keys.path("agent.pub")));
    let refused = format!("connection refused by {host}");
    let port = format!("nothing listens on TCP port {}", address.port());
    ended.expect_error(4, &[&refused, &port, "Is linkqual-agent running there"]);
    assert!(!ended.err.contains("within"), "nobody waited: {}", ended.err);
    assert!(began.elapsed() < SOON);
}

#[test]
fn a_name_that_nobody_has_is_wrong_usage() {
    let keys = Keys::of("alice");
    let (driver, agent) = (keys.path("driver"), keys.path("agent.pub"));
    let ended = run(&mut check("no-such-host.invalid", &driver, &agent));
    ended.expect_error(2, &["no-such-host.invalid", "no such host", "Check the spelling"]);
}

/// Listens, and hands each connection to `serve`, until the test's program ends.
fn impostor(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

#[track_caller]
fn check_impostor(address: SocketAddr) -> Ended {
    let keys = Keys::of("alice");
    let host = address.to_string();
    let command = &mut check(&host, &keys.path("driver"), &keys.path("agent.pub"));
    Program::start(command.args(["--duration", "1s"])).ended(SOON)
}

#[test]
fn a_listener_that_says_nothing_is_given_up() {
    let (keep, kept) = std::sync::mpsc::channel();
    let address = impostor(move |stream| keep.send(stream).expect("the test still runs"));
    let ended = check_impostor(address);
    ended.expect_error(4, &[&address.to_string(), "no handshake within 5s", "Is it linkqual"]);
    drop(kept);
}

#[test]
fn a_listener_of_another_trade_is_distinguished() {
    let address = impostor(|mut stream| {
        _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        _ = stream.read(&mut [0; 512]);
    });
    let ended = check_impostor(address);
    ended.expect_error(4, &[&address.to_string(), "does not speak linkqual's control protocol"]);
}

#[test]
fn a_listener_that_closes_at_once_is_reported() {
    let ended = check_impostor(impostor(drop));
    ended.expect_error(4, &["during the handshake"]);
}

/// A firewall that lets TCP pass and answers UDP with "port unreachable".
#[test]
fn an_agent_whose_udp_is_closed_is_distinguished_from_a_dead_line() {
    let agent = Agent::start();
    let target = agent.address;
    let address = impostor(move |near| {
        let far = TcpStream::connect(target).expect("the agent listens");
        pass(&near, &far);
        pass(&far, &near);
    });
    udp_does_not_pass(&agent, address);
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a descriptor");
    let mut to = to.try_clone().expect("a descriptor");
    thread::spawn(move || {
        // Whichever end closes first, the other is to learn of it.
        _ = std::io::copy(&mut from, &mut to);
        _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// A firewall that lets TCP pass and drops UDP without a word.
#[test]
fn an_agent_whose_udp_is_dropped_is_distinguished_from_a_dead_line() {
    let agent = Agent::start();
    let lost = vec![(Applies::ToAll, Loss::Random { ratio: 1.0 })];
    let dead = || Spec { loss: lost.clone(), ..Spec::default() };
    let relay = Relay::start(agent.address, dead(), dead(), 1).expect("a port");
    udp_does_not_pass(&agent, relay.local());
}

#[track_caller]
fn udp_does_not_pass(agent: &Agent, address: SocketAddr) {
    let ended = run(agent.check_at(address).args(["--duration", "1s"]));
    ended.expect_error(4, &[&address.to_string(), "no UDP datagram came back", "firewall"]);
}

// ---- What an agent takes without harm.

/// Answers a check, so it is unharmed.
#[track_caller]
fn still_serves(agent: &Agent) {
    let ended =
        Program::start(agent.check().args(["--duration", "1s", "--verbose"])).ended(PATIENCE);
    ended.expect_code(3);
    assert!(ended.out.contains("trial 1: idle, probes only, 1 s\n"), "{}", ended.out);
}

#[test]
fn octets_of_strangers_do_an_agent_no_harm() {
    let agent = Agent::start();
    let noise: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let junk = [&[0x16, 3, 3, 0xff, 0xff], &noise[..]].concat();
    let torn = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    for octets in [&noise[..], &junk, &torn, b"GET / HTTP/1.0\r\n\r\n", &[0x16], &[]] {
        let mut stream = TcpStream::connect(agent.address).expect("it listens");
        // It may close before it has read all.
        _ = stream.write_all(octets);
        _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(SOON)).expect("above 0");
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is not closed");
        }
        assert!(answer.len() < 32, "a TLS alert at most: {answer:?}");
    }
    agent.program.await_said(SOON, "not TLS: is it another program");
    let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    for len in [0, 1, 8, 44, 1_472, 65_507] {
        udp.send_to(&vec![0xa5; len], agent.address).expect("loopback takes it");
    }
    still_serves(&agent);
    udp.set_nonblocking(true).expect("a socket");
    assert!(udp.recv(&mut [0; 64]).is_err(), "a stranger is not answered");
}

#[test]
fn three_hundred_connections_of_strangers_do_not_keep_a_driver_out() {
    let agent = Agent::start();
    let strangers: Vec<_> =
        (0..300).map(|_| TcpStream::connect(agent.address).expect("it listens")).collect();
    still_serves(&agent);
    drop(strangers);
    still_serves(&agent);
}

/// Runs `conversation` in a driver's place.
pub(crate) fn converse<T>(
    agent: &Agent,
    conversation: impl AsyncFnOnce(&mut Conversation) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut open = Conversation::open(agent).await;
        conversation(&mut open).await
    })
}

/// A control connection of an allowed driver that may say anything.
pub(crate) struct Conversation {
    stream: TlsStream<tokio::net::TcpStream>,
}

/// `body` as it stands on the wire: what the programs make of it does not come in here.
fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short message");
    [&length.to_be_bytes(), body].concat()
}

impl Conversation {
    async fn open(agent: &Agent) -> Self {
        let identity = Identity::new(&read_secret(&agent.keys.path("driver")).expect("a key"));
        let expected = read_public(&agent.keys.path("agent.pub")).expect("a key").key();
        let stream = tokio::net::TcpStream::connect(agent.address).await.expect("it listens");
        let stream = Connector::new(&identity, expected).connect(stream, SOON).await;
        let mut open = Self { stream: stream.expect("it knows this key") };
        let hello = open.hear(SOON).await;
        assert!(matches!(hello, Some(Message::Hello(_))), "{hello:?}");
        open
    }

    /// The next message; `None` where the agent has closed.
    pub(crate) async fn hear(&mut self, limit: Duration) -> Option<Message> {
        let body = tokio::time::timeout(limit, self.next_body()).await;
        let body = body.expect("the agent is not silent")?;
        Some(Message::parse(&body).expect("the agent sends messages"))
    }

    async fn next_body(&mut self) -> Option<Vec<u8>> {
        let mut length = [0xa5; 4];
        let closed = self.stream.read_exact(&mut length[..1]).await;
        if closed.is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
            return None;
        }
        self.stream.read_exact(&mut length[1..]).await.expect("the agent sends frames");
        let length = usize::try_from(u32::from_be_bytes(length)).expect("64 bits");
        let mut body = vec![0xa5; length];
        self.stream.read_exact(&mut body).await.expect("the agent sends frames");
        Some(body)
    }

    pub(crate) async fn say(&mut self, message: &Message) {
        self.say_octets(&message.emit()).await;
    }

    async fn say_octets(&mut self, octets: &[u8]) {
        self.say_raw(&frame(octets)).await;
    }

    async fn say_raw(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("it is open");
        self.stream.flush().await.expect("it is open");
    }

    pub(crate) async fn greet(&mut self) {
        self.say(&Message::Hello(hello(PROTOCOL))).await;
    }

    /// Asserts that the agent reports a fault with each of `words`, then closes.
    async fn hear_fault(&mut self, limit: Duration, words: &[&str]) {
        let message = self.hear(limit).await;
        let reason = match &message {
            Some(Message::Fault { reason }) => reason,
            _ => "",
        };
        assert_ne!(reason, "", "{message:?}, where a fault with {words:?} is due");
        for word in words {
            assert!(reason.contains(word), "{word:?} is not said: {reason}");
        }
        assert_eq!(self.hear(SOON).await, None);
    }
}

fn hello(protocol: u32) -> Hello {
    let program = "linkqual 9.9.9".to_owned();
    Hello { protocol, latest: None, program, limits: None, role: None, who: None, host: None }
}

#[test]
fn a_driver_that_breaks_the_protocol_is_answered_with_the_fault_and_closed() {
    let agent = Agent::start();
    converse(&agent, async |open| {
        open.say_raw(&[0xff; 4]).await;
        open.hear_fault(SOON, &["4294967295 octets", "at most 1048576"]).await;
    });
    converse(&agent, async |open| {
        open.say_raw(&[0; 4]).await;
        open.hear_fault(SOON, &["0 octets", "at least 1"]).await;
    });
    let spoken = format!("not a message of protocol version {PROTOCOL}");
    for (octets, words) in [
        (&b"{\"type\":"[..], &[&spoken[..]][..]),
        (&[0xa5; 64], &["not a message"]),
        (br#"{"type":"sing"}"#, &["not a message", "sing"]),
        (br#"{"type":"finish"}"#, &["'finish' came before hello"]),
        (br#"{"type":"stop","trial":0}"#, &["'stop' came before hello"]),
    ] {
        converse(&agent, async |open| {
            open.say_octets(octets).await;
            open.hear_fault(SOON, words).await;
        });
    }
    converse(&agent, async |open| {
        open.say(&Message::Hello(hello(PROTOCOL + 1))).await;
        let (theirs, own) = (format!("version {}", PROTOCOL + 1), format!("to {PROTOCOL}: "));
        let words = ["linkqual 9.9.9", &theirs, &own, "upgrade the agent"];
        open.hear_fault(SOON, &words).await;
    });
    for (octets, words) in [
        (&br#"{"type":"start","trial":1}"#[..], &["a start without its trial"][..]),
        (
            br#"{"type":"prepare","trial":1,"asked":{"duration_ns":1000000000,"probe_rate":{"packets":9,"seconds":1},"heartbeat_rate":{"packets":10,"seconds":1}}}"#,
            &["without a grant"],
        ),
        (br#"{"type":"request","run":"x","duration_ns":1}"#, &["run"]),
        (br#"{"type":"started","trial":1}"#, &["'started' is not a driver's to say"]),
    ] {
        converse(&agent, async |open| {
            open.greet().await;
            open.say_octets(octets).await;
            open.hear_fault(SOON, words).await;
        });
    }
    still_serves(&agent);
}

#[test]
fn a_driver_without_a_word_is_let_go() {
    let agent = Agent::start();
    let limit = Duration::from_secs(13);
    converse(&agent, async |open| {
        open.hear_fault(limit, &["idle for too long"]).await;
    });
}

// ---- What a driver takes without harm.

/// An agent that is let in, says `messages`, and then reads on until the driver has closed.
fn odd_agent(keys: &Keys, messages: &[&[u8]]) -> SocketAddr {
    let messages: Vec<Vec<u8>> = messages.iter().map(|message| message.to_vec()).collect();
    let identity = Identity::new(&read_secret(&keys.path("agent")).expect("a key"));
    let driver = read_public(&keys.path("driver.pub")).expect("a key").key();
    let acceptor = Acceptor::new(&identity, [driver]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let (stream, _) = listener.accept().await.expect("a driver comes");
            let (mut stream, _) = acceptor.accept(stream, SOON).await.expect("it is listed");
            for message in &messages {
                stream.write_all(&frame(message)).await.expect("it is open");
            }
            stream.flush().await.expect("it is open");
            // How the driver goes is its own affair.
            _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
    });
    address
}

#[track_caller]
fn odd(messages: &[&[u8]], words: &[&str]) {
    let keys = Keys::of("alice");
    let host = odd_agent(&keys, messages).to_string();
    let command = &mut check(&host, &keys.path("driver"), &keys.path("agent.pub"));
    Program::start(command).ended(SOON).expect_error(4, &[&[&host[..]], words].concat());
}

#[test]
fn an_agent_that_breaks_the_protocol_is_reported() {
    odd(&[b"{}"], &["broke the protocol", "not a message"]);
    odd(&[br#"{"type":"hello","protocol":6,"program":"linkqual 9"}"#], &["it is a driver"]);
    let speaks = format!("to {PROTOCOL}: ");
    odd(
        &[br#"{"type":"hello","protocol":9,"program":"linkqual-agent 9.9"}"#],
        &["linkqual-agent 9.9", "version 9", &speaks, "upgrade the driver"],
    );
    odd(&[br#"{"type":"finish"}"#], &["broke the protocol", "finish"]);
    let limits = br#"{"type":"hello","protocol":6,"program":"linkqual-agent 0","limits":{"rate_max_bit_s":1000000,"duration_max_ns":1000000000}}"#;
    odd(&[limits, br#"{"type":"refused","reason":"closed on Sundays"}"#], &["closed on Sundays"]);
    odd(&[limits, br#"{"type":"fault","reason":"out of paper"}"#], &["out of paper"]);
}

// ---- What an agent allows.

#[test]
fn a_rate_above_the_limit_is_refused_and_the_limit_itself_is_not() {
    let agent = Agent::start_with(&["--max-rate", "10 Mbit/s"]);
    let above = run(agent.check().args(["--rate", "11 Mbit/s", "--size", "1472"]));
    above.expect_error(4, &["at most 10 Mbit/s", "11 Mbit/s was requested", "--max-rate"]);
    let mut at = Program::start(agent.check().args(["--rate", "10 Mbit/s", "--size", "1472"]));
    is_granted(&agent, &mut at);
}

#[test]
fn a_duration_above_the_limit_is_refused_and_the_limit_itself_is_not() {
    let agent = Agent::start_with(&["--max-duration", "3 s"]);
    let above = run(agent.check().args(["--rate", "1 Mbit/s", "--duration", "4s"]));
    above.expect_error(4, &["at most 3 s", "4 s was requested", "--max-duration"]);
    let mut at = Program::start(agent.check().args(["--rate", "1 Mbit/s", "--duration", "3s"]));
    is_granted(&agent, &mut at);
}

/// Asserts that `driver` comes to hold the agent's load lock.
#[track_caller]
fn is_granted(agent: &Agent, driver: &mut Program) {
    await_within(SOON, "it is granted", || {
        assert!(driver.is_running(), "it is not granted: {}", driver.err());
        // The first trial begins with the grant for all of them.
        driver.err().contains("\nidle probes, ").then_some(())
    });
    assert!(matches!(ask_for_load(agent), Message::Refused { .. }), "the load lock is held");
}

/// Asks the agent for a load, and gives back at once what is granted.
fn ask_for_load(agent: &Agent) -> Message {
    converse(agent, async |open| {
        open.greet().await;
        let load = Some(LoadRequest { rate_bit_s: 1_000_000, duration_ns: 1_000_000_000 });
        let run = "0123456789abcdef0123456789abcdef".to_owned();
        let request = Request {
            run,
            circuit: None,
            duration_ns: 2_000_000_000,
            load,
            congestion: Vec::new(),
            fences: Vec::new(),
        };
        open.say(&Message::Request(request)).await;
        let answer = open.hear(SOON).await.expect("an answer");
        open.say(&Message::Finish).await;
        answer
    })
}

#[test]
fn one_loads_at_a_time_and_the_others_are_given_the_holder_and_may_probe() {
    let agent = Agent::start();
    let mut holder = Program::start(agent.check().args(["--rate", "1 Mbit/s"]));
    is_granted(&agent, &mut holder);
    let second = run(agent.check().args(["--rate", "1 Mbit/s"]));
    second.expect_error(4, &["alice", "holds the load lock for ", " s more", "Try again"]);
    still_serves(&agent);
    assert!(holder.is_running(), "the holder is undisturbed: {}", holder.err());
}

/// The first release asked for the whole limit, of which a run that probes holds a part.
#[test]
fn a_load_as_fast_as_can_be_takes_what_other_runs_leave() {
    let _machine = share(20);
    let agent = Agent::start_with(&["--max-rate", "20 Mbit/s"]);
    let mut prober = Program::start(agent.check().args(["--idle", "60s"]));
    await_within(SOON, "the other run is granted", || {
        assert!(prober.is_running(), "{}", prober.err());
        (free_rate(&agent) < 20_000_000).then_some(())
    });
    let ended = run(agent.check().args(["--rate", "max", "--duration", "1s", "--idle", "1s"]));
    ended.expect_code(3);
    // The other run's probes, and those of one more, are 142.4 kbit/s each.
    let words = "19.7152 Mbit/s: other runs hold the rest of the agent's 20 Mbit/s";
    assert!(ended.err.contains(words), "{}", ended.err);
}

/// What other runs leave of the agent's limit, as it grants one more.
fn free_rate(agent: &Agent) -> u64 {
    converse(agent, async |open| {
        open.greet().await;
        let run = "0123456789abcdef0123456789abcdef".to_owned();
        let request = Request {
            run,
            circuit: None,
            duration_ns: 2_000_000_000,
            load: None,
            congestion: Vec::new(),
            fences: Vec::new(),
        };
        open.say(&Message::Request(request)).await;
        let answer = open.hear(SOON).await.expect("an answer");
        open.say(&Message::Finish).await;
        let Message::Granted(granted) = answer else { panic!("{answer:?}") };
        granted.free_rate_bit_s
    })
}

// ---- Ends.

/// A driver through a line that counts, which is ended in the midst of its probes.
struct Midway {
    agent: Agent,
    relay: Relay,
    driver: Program,
}

impl Midway {
    /// Waits until the agent has sent 200 packets of `class`: more than the search for the MTU, and
    /// less than the run.
    fn of(class: Class, args: &[&str]) -> Self {
        let agent = Agent::start();
        let (there, back) = (Spec::default(), Spec::default());
        let relay = Relay::start(agent.address, there, back, 1).expect("a port");
        let driver = Program::start(agent.check_at(relay.local()).args(args));
        let midway = Self { agent, relay, driver };
        await_within(PATIENCE, "200 packets come back", || {
            (200 < midway.sent(class)).then_some(())
        });
        midway
    }

    /// Packets of `class` that the agent has sent.
    fn sent(&self, class: Class) -> u64 {
        self.relay.counts(Direction::Reverse, class).offered
    }
}

#[test]
fn an_agent_whose_driver_is_killed_stops_sending_and_serves_the_next() {
    let _machine = share(20);
    let load = ["--rate", "20 Mbit/s", "--direction", "reverse", "--duration", "60s"];
    let load = [&load[..], &["--idle", "1s"]].concat();
    let mut midway = Midway::of(Class::Load, &load);
    assert!(matches!(ask_for_load(&midway.agent), Message::Refused { .. }), "the lock is held");
    midway.driver.kill();
    let killed = Instant::now();
    let limit = Duration::from_secs(2);
    midway.agent.program.await_said(limit, "is over");
    await_within(limit.saturating_sub(killed.elapsed()), "the next load is granted", || {
        matches!(ask_for_load(&midway.agent), Message::Granted(_)).then_some(())
    });
    // What is under way may still come: the relay reads at once.
    let mut sent = midway.sent(Class::Load);
    await_within(limit, "no further load comes", || {
        thread::sleep(Duration::from_millis(100));
        let before = std::mem::replace(&mut sent, midway.sent(Class::Load));
        (before == sent).then_some(())
    });
    still_serves(&midway.agent);
}

#[test]
fn a_driver_whose_agent_is_killed_ends_with_what_it_has() {
    let probes = ["--rtt-p99", "1s", "--duration", "30s", "--json"];
    let mut midway = Midway::of(Class::Probe, &probes);
    midway.agent.program.kill();
    let ended = midway.driver.ended(Duration::from_secs(20));
    is_partial(&ended);
}

/// As above, but with nothing between the two: the host answers for the agent.
#[test]
fn a_driver_whose_agent_crashed_ends_with_what_it_has() {
    let mut agent = Agent::start();
    let probes = ["--rtt-p99", "1s", "--duration", "30s", "--json"];
    let driver = Program::start(agent.check().args(probes));
    agent.program.await_said(SOON, "driver connected");
    // Not for luck: the crash comes at a time that the driver cannot choose, well inside its run.
    thread::sleep(Duration::from_secs(3));
    agent.program.kill();
    is_partial(&driver.ended(Duration::from_secs(20)));
}

#[track_caller]
fn is_partial(ended: &Ended) {
    let report = ended.json();
    assert_eq!(report["complete"], false, "{report:#}");
    assert!(matches!(ended.code, Some(1 | 3)), "exit code {:?} with {report:#}", ended.code);
    assert_ne!(report["verdict"], "PASS");
    assert!(report["reason"].is_string(), "{report:#}");
    let trials = trials(&report);
    assert_eq!((kind(trials[0]), &trials[0]["status"]), ("idle", &"partial".into()));
}

#[test]
fn a_driver_that_is_interrupted_tells_what_it_has() {
    let load = ["--rate", "1 Mbit/s", "--duration", "60s", "--json"];
    let agent = Agent::start();
    let folder = agent.keys.path("run");
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).expect("a port");
    let mut command = agent.check_at(relay.local());
    let driver = Program::start(command.args(load).arg("--out").arg(&folder));
    await_within(PATIENCE, "probes come back", || {
        (200 < relay.counts(Direction::Reverse, Class::Probe).offered).then_some(())
    });
    driver.signal("INT");
    let ended = driver.ended(SOON);
    ended.expect_code(3);
    is_partial(&ended);
    let report = ended.json();
    assert_eq!(report["reason"], "interrupted");
    assert_eq!(trials(&report)[1]["status"], "not_run", "{report:#}");
    let answer = "interrupted: finishing the report; Ctrl-C again to stop at once\n";
    assert!(ended.err.contains(answer), "{}", ended.err);
    assert_eq!(ended.out, text(&folder.join("report.json")));
    assert!(text(&folder.join("report.txt")).starts_with("INCONCLUSIVE "));
}

/// Its finding said that no load had been asked for.
#[test]
fn a_driver_that_is_interrupted_twice_says_which_trial_it_gave_up() {
    let load = ["--rate", "1 Mbit/s", "--idle", "1s", "--duration", "60s", "--json"];
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).expect("a port");
    let driver = Program::start(agent.check_at(relay.local()).args(load));
    await_within(PATIENCE, "load comes", || {
        (20 < relay.counts(Direction::Reverse, Class::Load).delivered).then_some(())
    });
    driver.signal("INT");
    driver.await_said(SOON, "interrupted: finishing the report");
    driver.signal("INT");
    let ended = driver.ended(SOON);
    ended.expect_code(3);
    let report = ended.json();
    let load = &trials(&report)[1];
    assert_eq!((&load["status"], &load["reason"]), (&"not_run".into(), &"interrupted".into()));
    let finding = &report["findings"][0];
    assert_eq!(finding["reason"], "the trial was not run: interrupted", "{finding:#}");
}

#[test]
fn an_agent_that_is_asked_to_end_ends_well() {
    for signal in ["TERM", "INT"] {
        let agent = Agent::start();
        agent.program.signal(signal);
        let ended = agent.program.ended(Duration::from_secs(2));
        ended.expect_code(0);
    }
}

#[test]
fn an_agent_that_is_asked_to_end_ends_well_in_the_midst_of_a_run() {
    let midway = Midway::of(Class::Probe, &["--rtt-p99", "1s", "--duration", "30s", "--json"]);
    midway.agent.program.signal("TERM");
    midway.agent.program.ended(Duration::from_secs(2)).expect_code(0);
    is_partial(&midway.driver.ended(Duration::from_secs(20)));
}

#[test]
fn an_agent_whose_port_is_taken_says_so() {
    let agent = Agent::start();
    let (own, driver) = (agent.keys.path("agent"), agent.keys.path("driver.pub"));
    let mut command = Command::new(AGENT);
    command.args(["--listen", &agent.address.to_string(), "--key"]).arg(own);
    let second = run(command.arg("--allow").arg(driver));
    second.expect_error(4, &["cannot listen on", &agent.address.to_string(), "in use"]);
}

// ---- The demo.

#[test]
fn the_demo_passes() {
    let _machine = alone();
    let ended = run(linkqual().arg("demo"));
    ended.expect_code(0);
    assert!(ended.out.starts_with("PASS "), "{}", ended.out);
    assert!(ended.err.contains("20 Mbit/s"), "it says what is required: {}", ended.err);
    // In 10 s, 64 KiB from a full bucket are 52 kbit/s.
    assert!(ended.out.contains("19.94 Mbit/s is proven"), "{}", ended.out);
    assert!(!ended.out.contains("\ntrial 1: "), "the first screen alone: {}", ended.out);
}

#[test]
fn the_broken_demo_fails_and_says_why() {
    let _machine = share(40);
    let ended = run(linkqual().args(["demo", "--broken"]));
    ended.expect_code(1);
    assert!(ended.out.starts_with("FAIL "), "{}", ended.out);
    // Where others stall this host, its throughput may be INVALID, and then it says why.
    let is_excused = ended.out.contains("explains why the rate was not");
    let throughput = if is_excused { &["FAIL", "INVALID"][..] } else { &["FAIL"] };
    for (metric, verdicts) in
        [("Throughput", throughput), ("Packet loss", &["FAIL"]), ("Longest outage", &["FAIL"])]
    {
        let fails = |line: &str| {
            let is_named = line.starts_with(metric) && line.contains("A->B");
            is_named && verdicts.iter().any(|verdict| line.ends_with(verdict))
        };
        assert!(ended.out.lines().any(fails), "{metric} A->B does not fail:\n{}", ended.out);
    }
}
