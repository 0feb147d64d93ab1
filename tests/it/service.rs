//! The agent as a service, and what packages are made of: the unit, its maintainer scripts, the
//! manual pages.

use crate::support::{Program, run};
use clap::Parser as _;
use linkqual::cli::{AgentArgs, AgentCommand, DriverArgs, DriverCommand};
use linkqual::store::Place;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const AGENT: &str = env!("CARGO_BIN_EXE_linkqual-agent");

/// More than any step of a program takes.
const SOON: Duration = Duration::from_secs(20);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("a text file")
}

/// The value of the line `NAME=…`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn the_service_manager_learns_when_the_agent_serves_and_when_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let manager = UnixDatagram::bind(place("notify")).expect("a socket");
    manager.set_read_timeout(Some(SOON)).expect("a limit");
    let heard = || {
        let mut octets = [0; 1_024];
        let len = manager.recv(&mut octets).expect("a message");
        String::from_utf8(octets[..len].to_vec()).expect("text")
    };
    let mut command = Command::new(AGENT);
    command.env("NOTIFY_SOCKET", place("notify")).args(["--listen", "127.0.0.1:0", "--make-key"]);
    command.arg("--key").arg(place("key")).arg("--drivers").arg(place("drivers"));
    let mut agent = Program::start(&mut command);
    let ready = heard();
    assert!(ready.lines().any(|line| line == "READY=1"), "{ready}");
    let status = value(&ready, "STATUS").expect("a status");
    assert!(status.starts_with("listens on 127.0.0.1:"), "{status}");
    assert!(status.contains("key SHA256:"), "{status}");
    // A file that anybody may have written, and then one that its owner alone can write.
    let mode = |mode| fs::set_permissions(place("drivers"), Permissions::from_mode(mode));
    fs::write(place("drivers"), "").and_then(|()| mode(0o666)).expect("a file");
    let is_shown = |is_fault: bool| {
        while value(&heard(), "STATUS").expect("a status").contains("; ") != is_fault {}
    };
    is_shown(true);
    mode(0o644).expect("a mode");
    is_shown(false);
    // A reload, or a terminal that is closed: an agent that it ended could not say the next.
    agent.signal("HUP");
    assert!(agent.is_running());
    agent.signal("TERM");
    assert_eq!(heard().trim_end(), "STOPPING=1");
    agent.ended(SOON).expect_code(0);
}

/// Its example is what the agent takes.
#[test]
fn the_example_of_the_options_is_one() {
    let conf = text("deploy/agent.conf");
    let example = conf.lines().find_map(|line| line.strip_prefix("# Example: OPTIONS="));
    let options = example.expect("an example").trim_matches('"').split(' ');
    let args = AgentArgs::try_parse_from(["linkqual-agent"].into_iter().chain(options));
    assert_eq!(args.expect("options").listen.to_string(), "10.9.2.1:4872");
    assert!(conf.contains("--listen ADDR[:PORT]"), "an address alone is taken too");
}

/// In tenths, as `--threshold` has it. The drop-in lies where systemd looks for it.
fn check_exposure(name: &str, drop_ins: &[&str], most: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join(name);
    fs::copy(file(&format!("deploy/{name}")), &unit).expect("a copy");
    let beside = folder.path().join(format!("{name}.d"));
    fs::create_dir(&beside).expect("a folder");
    for name in drop_ins {
        fs::copy(file(&format!("deploy/{name}")), beside.join(name)).expect("a copy");
    }
    let mut rate = Command::new("systemd-analyze");
    rate.args(["security", "--no-pager", "--offline=yes", &format!("--threshold={most}")]);
    let ended = run(rate.arg(&unit));
    ended.expect_code(0);
    assert!(ended.out.contains("Overall exposure level"), "{}{}", ended.out, ended.err);
    // And it is a bound: what is below each part's own exposure is not reached.
    let mut rate = Command::new("systemd-analyze");
    rate.args(["security", "--no-pager", "--offline=yes", "--threshold=5"]);
    assert_ne!(run(rate.arg(&unit)).code, Some(0));
}

#[test]
fn the_services_expose_little_and_a_drop_in_not_much_more() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    check_exposure("linkqual-agent.service", &[], 20);
    check_exposure("linkqual-agent.service", &["performance.conf"], 30);
    check_exposure("linkqual-watch.service", &[], 20);
}

/// Its options, those of `agent.conf` and those of the example there are what the agent takes.
#[test]
fn the_unit_starts_the_agent_with_options_that_it_takes() {
    let (unit, config) = (text("deploy/linkqual-agent.service"), text("deploy/agent.conf"));
    let command = value(&unit, "ExecStart").expect("a command");
    let given = value(&config, "OPTIONS").expect("options").trim_matches('"');
    let example = config.split("Example: OPTIONS=\"").nth(1).expect("an example");
    let example = example.split('"').next().expect("a first part");
    for options in [given, example] {
        let command = command.replace("$OPTIONS", options);
        let args = AgentArgs::try_parse_from(command.split_whitespace()).expect("options");
        assert_eq!(args.drivers().as_deref(), Some(Path::new("/etc/linkqual/allowed_drivers")));
        assert_eq!(args.state.as_deref(), Some(Path::new("/var/lib/linkqual-agent")));
    }
    let first = value(&unit, "ExecStartPre").and_then(|command| command.strip_prefix('+'));
    let key = AgentArgs::try_parse_from(first.expect("as root").split_whitespace());
    assert!(matches!(key.expect("options").command, Some(AgentCommand::Key(_))));
    assert_eq!(value(&unit, "StateDirectory"), Some("linkqual-agent"));
}

/// Its plans are what the program takes, and its user's home is where the unit can write.
#[test]
fn the_unit_of_watch_starts_it_with_the_plans_and_the_history_of_its_file() {
    let (unit, config) = (text("deploy/linkqual-watch.service"), text("deploy/watch.conf"));
    let unquoted = |name| value(&config, name).expect("it is set").trim_matches('"');
    let command = value(&unit, "ExecStart").expect("a command");
    let command = command.replace("$PLANS", unquoted("PLANS"));
    let history = ["--history", unquoted("LINKQUAL_HISTORY")];
    let args = DriverArgs::try_parse_from(command.split_whitespace().chain(history));
    let DriverCommand::Watch(args) = args.expect("a command").command else { panic!("watch") };
    assert_eq!(args.plans, [Path::new("/etc/linkqual/plan.toml")]);
    let state = format!("/var/lib/{}", value(&unit, "StateDirectory").expect("a folder"));
    assert_eq!(args.place.place, Some(Place::File(Path::new(&state).join("history.db"))));
    let user = value(&unit, "User").expect("a user");
    let scripts = text("deploy/debian/linkqual.postinst");
    assert!(scripts.contains(&format!("--home-dir {state} ")), "{scripts}");
    assert!(scripts.contains(&format!("'linkqual watch' {user}\n")), "{scripts}");
    assert_eq!(value(&unit, "EnvironmentFile"), Some("/etc/linkqual/watch.conf"));
}

#[test]
fn the_scripts_of_packages_are_scripts() {
    let mut checked = 0;
    for entry in fs::read_dir(file("deploy/debian")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name == "copyright") {
            continue;
        }
        assert!(fs::read_to_string(&path).unwrap().starts_with("#!/bin/sh\nset -e\n"));
        run(Command::new("sh").arg("-n").arg(path)).expect_code(0);
        checked += 1;
    }
    assert_eq!(checked, 6);
    for script in ["scripts/package", "scripts/package-test"] {
        run(Command::new("bash").arg("-n").arg(file(script))).expect_code(0);
    }
}

#[test]
fn each_command_has_a_manual_page_and_is_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::manuals::write(folder.path()).expect("pages");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
    for page in ["linkqual", "linkqual-check", "linkqual-plan-firewall", "linkqual-agent-allow"] {
        let page = read(&format!("man/{page}.1"));
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{page}");
    }
    let agent = read("man/linkqual-agent.1");
    assert!(agent.contains("max\\-rate"));
    assert!(agent.contains(".SH NOTES") && !agent.contains("EXTRA"), "{agent}");
    for shell in ["bash/linkqual.bash", "zsh/_linkqual", "fish/linkqual.fish"] {
        assert!(read(&format!("completions/{shell}")).contains("rtt-p99"));
    }
}
