//! Plans, as a person meets them: what is wrong with one, what it would do, and what it does.

use crate::support::{
    Agent, Ended, Keys, PATIENCE, Program, User, await_within, linkqual, run, trials,
};
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Class, Spec};
use linkqual::plan::file::{SAMPLE, SAMPLE_LINKS};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder with the key files that the plans under `golden/plan` name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    run(linkqual().args(["keygen", "--out"]).arg(path("driver.key"))).expect_code(0);
    for name in ["vpc-agent.key.pub", "one.pub", "two.pub"] {
        fs::copy(path("driver.key.pub"), path(name)).expect("a copy");
    }
    folder
}

/// Runs a command of `linkqual` where the plan `name` is, `text` in it.
fn linkqual_on(folder: &Path, args: &[&str], name: &str, text: &str) -> Ended {
    fs::write(folder.join(name), text).expect("writable");
    run(linkqual().current_dir(folder).args(args).arg(name))
}

/// What `linkqual plan check` says of the faulty plan `name`.
#[track_caller]
fn faulty(folder: &TempDir, name: &str, text: &str) {
    let ended = linkqual_on(folder.path(), &["plan", "check"], &format!("{name}.toml"), text);
    ended.expect_error(2, &[&format!("--> {name}.toml")]);
    for message in ended.err.split("\n\n") {
        assert!(message.starts_with("error: "), "it stands alone: {message}");
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("plan_{name}"), ended.err);
    });
}

macro_rules! faulty {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            let text = include_str!(concat!("golden/plan/", $name, ".toml"));
            faulty(&folder(), $name, text);
        }
    )*};
}

faulty! {
    a_typo_is_shown_with_what_was_meant: "typo",
    a_wrong_unit_is_reported_with_the_right_one: "unit",
    what_is_missing_is_reported: "missing",
    a_plan_without_anything_is_shown_what_it_needs: "empty",
    rates_that_contradict_each_other_are_reported: "rates",
    keys_that_do_not_exist_are_reported: "unknown",
    values_of_the_wrong_type_are_reported: "types",
    numbers_and_names_out_of_bounds_are_reported: "numbers",
    a_text_that_is_no_toml_is_reported_with_its_line: "syntax",
    a_key_that_is_there_twice_is_reported: "duplicate",
    what_is_wrong_with_links_is_reported: "links",
    two_hundred_errors_are_counted_and_twenty_shown: "many",
}

/// As on a terminal that `script` makes.
#[test]
fn a_terminal_shows_faults_in_colours_unless_none_are_wanted() {
    let folder = folder();
    fs::write(folder.path().join("typo.toml"), include_str!("golden/plan/typo.toml")).unwrap();
    let check = format!("{} plan check typo.toml", linkqual().get_program().display());
    let shown = |wanted: Option<&str>| {
        let mut script = Command::new("script");
        script.current_dir(&folder).args(["-qec", &check, "/dev/null"]).env("TERM", "xterm");
        script.env_remove("NO_COLOR").envs(wanted.map(|text| ("NO_COLOR", text)));
        script.stdin(Stdio::null()).output()
    };
    let Ok(coloured) = shown(None) else {
        return linkqual::io::terminal::say("SKIPPED: no program script on this machine");
    };
    let text = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stdout).expect("text").replace("\r\n", "\n")
    };
    let coloured = text(coloured);
    assert!(coloured.contains("\u{1b}[") && coloured.contains("did you mean"), "{coloured}");
    let plain = text(shown(Some("1")).expect("it is there"));
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert_eq!(
        plain,
        linkqual_on(
            folder.path(),
            &["plan", "check"],
            "typo.toml",
            include_str!("golden/plan/typo.toml")
        )
        .err
    );
    assert!(
        text(shown(Some("")).expect("it is there")).contains('\u{1b}'),
        "an empty one says nothing"
    );
}

/// Beside the other errors, in the order of the lines.
#[test]
fn key_files_that_cannot_be_used_are_reported() {
    let folder = folder();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).expect("a folder");
    for name in ["exposed.key", "driver.key"] {
        fs::copy(folder.path().join("driver.key"), keys.join(name)).expect("a copy");
    }
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(keys.join("exposed.key"), readable).expect("it is this test's own");
    fs::write(keys.join("ssh.pub"), "ssh-ed25519 AAAA user@host\n").expect("writable");
    faulty(&folder, "keys", include_str!("golden/plan/keys.toml"));
}

#[test]
fn a_plan_that_cannot_be_read_is_reported() {
    let folder = folder();
    let check = |name: &str| run(linkqual().current_dir(&folder).args(["plan", "check", name]));
    check("none.toml").expect_error(2, &["error: none.toml: cannot be read: "]);
    check(".").expect_error(2, &["error: .: cannot be read: "]);
    fs::write(folder.path().join("long.toml"), "#".repeat((1 << 20) + 1)).expect("writable");
    check("long.toml").expect_error(2, &["error: long.toml: longer than 1048576 octets"]);
    fs::write(folder.path().join("octets.toml"), [b'#', 0xff]).expect("writable");
    check("octets.toml").expect_error(2, &["not text (UTF-8) from octet 1 on"]);
}

#[test]
fn a_sample_is_written_once_and_is_a_plan_but_for_its_keys() {
    let folder = folder();
    let init =
        |args: &[&str]| run(linkqual().current_dir(&folder).args(["plan", "init"]).args(args));
    let shown = init(&[]);
    assert_eq!((shown.expect_code(0).out.as_str(), shown.err.as_str()), (SAMPLE, ""));
    let written = init(&["new.toml"]);
    assert_eq!((written.expect_code(0).out.as_str(), written.err.as_str()), ("", ""));
    assert_eq!(fs::read_to_string(folder.path().join("new.toml")).expect("there"), SAMPLE);
    init(&["new.toml"]).expect_error(2, &["new.toml exists, and is not overwritten"]);
    let user = User::new();
    let checked = run(user.linkqual(&["plan", "check", "new.toml"]).current_dir(&folder));
    checked.expect_code(0);
    let unknown = "note: before a run: the agent 172.16.0.2:4872 is not known here yet.";
    assert!(checked.err.starts_with(unknown), "{}", checked.err);
    assert!(
        checked.out.starts_with("link idc-to-vpc-prod, circuit EC-2031 of Example Telecom\n"),
        "{}",
        checked.out
    );
}

/// It is whole, and says when each link is run.
#[test]
fn a_sample_of_several_links_is_checked_with_its_schedule() {
    let folder = folder();
    let run = |args: &[&str]| run(linkqual().current_dir(&folder).args(args));
    let shown = run(&["plan", "init", "--links"]);
    assert_eq!((shown.expect_code(0).out.as_str(), shown.err.as_str()), (SAMPLE_LINKS, ""));
    run(&["plan", "init", "--links", "many.toml"]).expect_code(0);
    let checked = run(&["plan", "check", "many.toml", "--parallel", "2"]);
    let head: Vec<&str> = checked.expect_code(0).out.lines().take(6).collect();
    assert!(head[0].starts_with("4 links, up to 2 at once, about "), "{head:?}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = head[2..].iter().map(|line| words(line)).collect();
    assert_eq!(rows[0][..4], ["ec-2031", "primary", "0", "s"], "{head:?}");
    let backup = checked.out.lines().find(|line| line.trim_start().starts_with("ec-2032"));
    let backup = backup.unwrap_or_else(|| panic!("{}", checked.out));
    assert!(backup.contains("backup of ec-2031"), "{backup}");
    assert!(backup.contains("shares pe1 with ec-2031"), "{backup}");
    assert!(checked.out.contains("link ec-2031, circuit EC-2031 of Example Telecom\n"));
    assert_eq!(checked.out.matches("assumptions (not set in the plan):").count(), 1);
}

#[test]
fn what_cannot_be_proved_is_warned_of_and_is_no_error() {
    let folder = folder();
    let text = "[driver]\nkey = 'driver.key'\n[sites.vpc]\nagent = '192.0.2.1'\nkey = 'one.pub'\n\
                [require]\nthroughput = '>= 1 Mbit/s'\n[[test]]\nkind = 'idle'\n";
    let ended = linkqual_on(folder.path(), &["plan", "check"], "plan.toml", text);
    ended.expect_code(0);
    assert!(ended.out.contains("no udp test loads forward at 1 Mbit/s or more"), "{}", ended.out);
    assert!(ended.out.contains("warning: 2 of 2 cannot be proved"), "{}", ended.out);
}

/// A plan for agents on loopback, each with its driver's keys in a folder of its own.
fn plan_for(agents: &[(&str, &str, &Keys)], rest: &str) -> String {
    let key = agents[0].2.path("driver");
    let mut text = format!("[driver]\nkey = {key:?}\n");
    for (name, address, keys) in agents {
        let key = keys.path("agent.pub");
        text += &format!("[sites.{name}]\nagent = \"{address}\"\nkey = {key:?}\n");
    }
    text + rest
}

/// An address on which nobody listens.
fn nobody() -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    taken.local_addr().expect("it is bound").to_string()
}

/// A second, which a host that others stall passes too.
const IDLE: &str = "[link]\nport_rate = \"1 Gbit/s\"\n[require]\noutage = \"<= 10 s\"\n[[test]]\n\
                    kind = \"idle\"\nduration = \"1 s\"\n";

#[test]
fn a_congestion_control_that_this_host_lacks_is_reported_before_any_load() {
    let agent = Agent::start();
    let test = "[[test]]\nkind = 'tcp'\ndirection = 'forward'\ncongestion_control = 'no_such'\n";
    let plan = plan_for(&[("near", &agent.address.to_string(), &agent.keys)], test);
    let ended = linkqual_on(folder().path(), &["run"], "plan.toml", &plan);
    ended.expect_error(2, &["no congestion control 'no_such'", "it has", "reno"]);
}

/// Before the path is searched, and so before a probe: the idle trial alone would take 10 s.
#[test]
fn a_congestion_control_that_the_agent_lacks_is_refused_before_any_probe() {
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).expect("a port");
    let test = "[[test]]\nkind = 'tcp'\ndirection = 'reverse'\ncongestion_control = 'no_such'\n";
    let plan = plan_for(&[("near", &relay.local().to_string(), &agent.keys)], test);
    let folder = folder();
    let ended = linkqual_on(folder.path(), &["run"], "plan.toml", &plan);
    let words = ["refused: its host cannot send TCP as asked", "'no_such'", "it has", "reno"];
    ended.expect_error(4, &words);
    let probes = relay.counts(Direction::Forward, Class::Probe).offered;
    assert_eq!(probes, 0, "it was refused at once");
    let seen = linkqual_on(folder.path(), &["plan", "firewall", "--probe"], "plan.toml", &plan);
    seen.expect_code(4);
    assert!(seen.out.contains("cannot send TCP as asked: no congestion control"), "{}", seen.out);
}

/// What the user no longer wants is not gone on with at the next site.
#[test]
fn an_interrupt_ends_the_run_at_every_site() {
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).expect("a port");
    let (near, nobody) = (relay.local().to_string(), nobody());
    let sites = [("near", near.as_str(), &agent.keys), ("gone", &nobody, &agent.keys)];
    let folder = folder();
    fs::write(folder.path().join("plan.toml"), plan_for(&sites, "[[test]]\nkind = \"idle\"\n"))
        .expect("writable");
    let mut command = linkqual();
    command.current_dir(folder.path()).args(["run", "plan.toml", "--json"]);
    let driver = Program::start(&mut command);
    await_within(PATIENCE, "probes come back", || {
        (100 < relay.counts(Direction::Reverse, Class::Probe).offered).then_some(())
    });
    driver.signal("INT");
    let ended = driver.ended(PATIENCE);
    ended.expect_code(3);
    let report = ended.json();
    let status = |place: usize| trials(&report)[place]["status"].as_str();
    assert_eq!((status(0), status(1)), (Some("partial"), Some("not_run")), "{report:#}");
    assert_eq!(trials(&report)[1]["reason"], "interrupted", "it was never tried: {report:#}");
}

#[test]
fn a_plan_is_run_and_its_report_names_it() {
    let agent = Agent::start();
    let address = agent.address.to_string();
    let text = plan_for(&[("near", &address, &agent.keys)], IDLE);
    let folder = folder();
    let ended =
        linkqual_on(folder.path(), &["run", "--json", "--out", "result"], "plan.toml", &text);
    ended.expect_code(0);
    assert!(ended.err.contains("so assumed: rate_layer: rates count "), "{}", ended.err);
    let report = ended.json();
    assert_eq!(report["verdict"], "PASS");
    assert_eq!(report["plan"]["file"], "plan.toml");
    assert_eq!(report["plan"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(report["links"][0]["sites"][0]["site"], "near");
    let kept = fs::read_to_string(folder.path().join("result/report.json")).expect("there");
    assert_eq!(kept, ended.out);
}

/// One of two sites does not answer: the other is measured, and the whole is not conclusive.
#[test]
fn a_site_that_does_not_answer_leaves_the_report_of_the_other() {
    let agent = Agent::start();
    let (address, nobody) = (agent.address.to_string(), nobody());
    let sites = [("gone", nobody.as_str(), &agent.keys), ("near", &address, &agent.keys)];
    let folder = folder();
    let text = plan_for(&sites, IDLE);
    let ended = linkqual_on(folder.path(), &["run", "--json", "--quiet"], "plan.toml", &text);
    ended.expect_code(3);
    assert_eq!(ended.err, "");
    let report = ended.json();
    assert_eq!(report["verdict"], "INCONCLUSIVE");
    assert_eq!(report["complete"], false);
    let verdict = |site: &str| {
        let findings = report["findings"].as_array().expect("a list");
        let finding = findings.iter().find(|finding| finding["site"] == site);
        finding.unwrap_or_else(|| panic!("{report:#}"))["verdict"].clone()
    };
    assert_eq!((verdict("gone"), verdict("near")), ("INCONCLUSIVE".into(), "PASS".into()));
}

#[test]
fn where_no_site_answers_nothing_is_run() {
    let keys = Keys::of("alice");
    let text = plan_for(&[("gone", &nobody(), &keys)], IDLE);
    let ended = linkqual_on(folder().path(), &["run"], "plan.toml", &text);
    ended.expect_error(4, &["connection refused by 127.0.0.1:"]);
}

#[test]
fn the_rules_for_a_firewall_are_ones_that_nft_takes() {
    let keys = Keys::of("alice");
    let sites = [
        ("four", "127.0.0.1:4872", &keys),
        ("six", "[::1]:99", &keys),
        ("name", "localhost", &keys),
    ];
    let (folder, text) = (folder(), plan_for(&sites, IDLE));
    let ended = linkqual_on(folder.path(), &["plan", "firewall"], "plan.toml", &text);
    ended.expect_code(0);
    assert!(ended.out.contains("127.0.0.1:4872"), "{}", ended.out);
    let rules = linkqual_on(folder.path(), &["plan", "firewall", "--nft"], "plan.toml", &text);
    rules.expect_code(0);
    assert!(ended.out.ends_with(&rules.out), "the table's rules are the same");
    let nft =
        Command::new("nft").args(["-c", "-f", "-"]).stdin(Stdio::piped()).output_of(&rules.out);
    match nft {
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || is_forbidden(&why), "{why}\n{}", rules.out);
        }
        Err(error) => linkqual::io::terminal::say(&format!("SKIPPED: no nft here: {error}")),
    }
}

/// Whether nft could not even ask the kernel.
fn is_forbidden(why: &str) -> bool {
    why.contains("Operation not permitted")
}

/// A program that is given its input.
trait OutputOf {
    fn output_of(&mut self, input: &str) -> std::io::Result<std::process::Output>;
}

impl OutputOf for Command {
    fn output_of(&mut self, input: &str) -> std::io::Result<std::process::Output> {
        use std::io::Write as _;
        let mut child = self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        child.wait_with_output()
    }
}

#[test]
fn a_name_that_is_nobodys_is_reported_beside_what_is_known() {
    let keys = Keys::of("alice");
    let sites = [("one", "127.0.0.1:4872", &keys), ("lost", "nobody.invalid", &keys)];
    let (folder, text) = (folder(), plan_for(&sites, IDLE));
    let ended = linkqual_on(folder.path(), &["plan", "firewall"], "plan.toml", &text);
    ended.expect_code(2);
    assert!(ended.err.contains("error: nobody.invalid:4872: no such host"), "{}", ended.err);
    assert!(ended.out.contains("towards one"), "{}", ended.out);
}

#[test]
fn the_pre_check_passes_where_a_run_would() {
    let agent = Agent::start();
    let address = agent.address.to_string();
    let text = plan_for(&[("near", &address, &agent.keys)], IDLE);
    let ended = linkqual_on(folder().path(), &["plan", "firewall", "--probe"], "plan.toml", &text);
    ended.expect_code(0);
    let seen: Vec<&str> = ended.out.lines().skip(1).map(|line| &line[..22]).collect();
    let port = agent.address.port();
    let expected = [&format!("  passes   TCP {port}")[..], "  passes   TLS", "  passes   hello"];
    for (seen, expected) in seen.iter().zip(expected) {
        assert!(seen.starts_with(expected), "{}", ended.out);
    }
    assert_eq!(seen.len(), 4, "{}", ended.out);
    assert!(ended.out.contains("handshake and probes pass both ways"), "{}", ended.out);
}

#[test]
fn the_pre_check_tells_what_is_in_the_way() {
    #[track_caller]
    fn blocked(text: &str, parts: &[&str]) {
        let ended =
            linkqual_on(folder().path(), &["plan", "firewall", "--probe"], "plan.toml", text);
        ended.expect_code(4);
        for part in parts {
            assert!(ended.out.contains(part), "{part:?} is not in:\n{}", ended.out);
        }
    }
    let agent = Agent::start();
    let address = agent.address.to_string();
    let strangers = Keys::of("bob");
    let nobody = nobody();
    let closed = plan_for(&[("gone", &nobody, &agent.keys)], IDLE);
    blocked(&closed, &["BLOCKED  TCP", "refused: the host is up, but nothing listens"]);
    let other = plan_for(&[("near", &address, &strangers)], IDLE);
    blocked(&other, &["passes   TLS", "REFUSED  key", "has another key, ", "put the line"]);
    let agents_key = agent.keys.path("agent.pub");
    let driver = strangers.path("driver");
    let stranger = format!(
        "[driver]\nkey = {driver:?}\n[sites.near]\nagent = \"{address}\"\n\
         key = {agents_key:?}\n{IDLE}"
    );
    let own = strangers.fingerprint("driver.pub");
    blocked(
        &stranger,
        &["passes   TLS", "REFUSED  hello", "does not allow this driver's key", &own],
    );
    let text = plan_for(&[("lost", "nobody.invalid", &agent.keys)], IDLE);
    blocked(&text, &["BLOCKED  name", "no such host"]);
}
