//! The exact text of the messages that a user meets first, each made to happen for real. They are
//! in `messages/`, to be read as a list; names, addresses and keys that differ from run to run are
//! replaced by words in braces.

use crate::lab::Lab;
use crate::support::{Agent, Ended, Keys, check, linkqual, run};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// The shortest that can be asked, on an idle link.
const IDLE: [&str; 4] = ["--idle", "1s", "--duration", "1s"];

/// Holds the error of `ended` against the message called `name`.
#[track_caller]
fn says(name: &str, ended: &Ended, code: i32, keys: &Keys, agent: Option<SocketAddr>) {
    ended.expect_code(code);
    let start = ended.err.find("error: ").unwrap_or_else(|| panic!("no error: {}", ended.err));
    holds(name, &ended.err[start..], keys, agent);
}

#[track_caller]
fn holds(name: &str, text: &str, keys: &Keys, agent: Option<SocketAddr>) {
    let mut text = text.replace(&keys.path("").display().to_string(), "{keys}/");
    for key in ["driver", "agent"] {
        text = text.replace(&keys.fingerprint(&format!("{key}.pub")), &format!("{{{key}'s key}}"));
        let line = fs::read_to_string(keys.path(&format!("{key}.pub"))).expect("a key");
        let line = line.trim_end();
        text = text.replace(line, &format!("{{{key}'s line}}"));
        let bare = line.rsplit_once(' ').expect("a comment").0;
        text = text.replace(bare, &format!("{{{key}'s line}}"));
    }
    if let Some(agent) = agent {
        text = text.replace(&agent.to_string(), "{agent}");
        text = text.replace(&agent.port().to_string(), "{port}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("messages");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A port of this host that nobody listens on: it was free just now.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback")
}

#[test]
fn nobody_listens_there() {
    let (keys, agent) = (Keys::of("alice"), closed());
    let (driver, key) = (keys.path("driver"), keys.path("agent.pub"));
    let ended = run(check(&agent.to_string(), &driver, &key).args(IDLE));
    says("connection-refused", &ended, 4, &keys, Some(agent));
}

#[test]
fn a_name_that_does_not_resolve() {
    let keys = Keys::of("alice");
    let (driver, key) = (keys.path("driver"), keys.path("agent.pub"));
    let ended = run(check("agent.invalid", &driver, &key).args(IDLE));
    // Where no name server answers, that is another message.
    if ended.err.contains("no such host") {
        says("no-such-host", &ended, 2, &keys, None);
    }
}

#[test]
fn an_agent_that_does_not_list_the_drivers_key() {
    let agent = Agent::start();
    let other = agent.keys.make("other", "bob");
    let line = fs::read_to_string(agent.keys.path("other.pub")).expect("a key");
    let ended =
        run(check(&agent.address.to_string(), &other, &agent.keys.path("agent.pub")).args(IDLE));
    let print = agent.keys.fingerprint("other.pub");
    let bare = line.trim_end().rsplit_once(' ').expect("a comment").0;
    let shown = Ended {
        err: ended.err.replace(&print, "{other key}").replace(bare, "{other line}"),
        ..ended
    };
    says("key-not-listed", &shown, 4, &agent.keys, Some(agent.address));
}

#[test]
fn an_agent_with_another_key_than_is_expected() {
    let agent = Agent::start();
    let keys = &agent.keys;
    let ended =
        run(check(&agent.address.to_string(), &keys.path("driver"), &keys.path("driver.pub"))
            .args(IDLE));
    says("agent-key-changed", &ended, 4, keys, Some(agent.address));
}

#[test]
fn the_roles_of_keys_swapped() {
    let keys = Keys::of("alice");
    let (driver, key) = (keys.path("driver"), keys.path("agent.pub"));
    let public = keys.path("driver.pub");
    says("public-key-as-secret", &run(&mut check("10.0.0.7", &public, &key)), 2, &keys, None);
    let secret = keys.path("agent");
    says("secret-key-as-public", &run(&mut check("10.0.0.7", &driver, &secret)), 2, &keys, None);
}

#[test]
fn a_secret_key_that_others_can_read() {
    let keys = Keys::of("alice");
    let (driver, key) = (keys.path("driver"), keys.path("agent.pub"));
    fs::set_permissions(&driver, fs::Permissions::from_mode(0o644)).expect("its owner may");
    says("key-readable-by-others", &run(&mut check("10.0.0.7", &driver, &key)), 2, &keys, None);
}

#[test]
fn an_agent_that_runs_already() {
    let agent = Agent::start();
    let mut second = Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
    second.args(["--listen", &agent.address.to_string(), "--key"]).arg(agent.keys.path("agent"));
    let ended = run(second.arg("--allow").arg(agent.keys.path("driver.pub")));
    says("agent-already-running", &ended, 4, &agent.keys, Some(agent.address));
}

#[test]
fn more_than_the_agent_allows() {
    let agent = Agent::start_with(&["--max-rate", "10 Mbit/s"]);
    let ended = run(agent.check().args(["--rate", "50M"]).args(["--idle", "1s"]));
    says("above-max-rate", &ended, 4, &agent.keys, Some(agent.address));
}

/// Which direction, as the agent counts what arrives.
#[test]
fn udp_that_is_blocked_in_one_direction() {
    let blocked = [
        ("udp dport 4872 drop", "udp-blocked-forward"),
        ("udp sport 4872 drop", "udp-blocked-reverse"),
    ];
    for (rule, name) in blocked {
        let Some(lab) = Lab::new() else { return };
        lab.forbid(rule);
        let agent = lab.agent();
        let mut command = agent.check_from(&lab.name("driver"));
        says(name, &run(command.args(IDLE)), 4, &agent.keys, Some(agent.address));
    }
}

/// No router on the way says so, and no host is there.
#[test]
fn a_host_that_does_not_answer() {
    let Some(lab) = Lab::new() else { return };
    lab.forbid("tcp dport 4872 drop");
    let agent = lab.agent();
    let ended = run(agent.check_from(&lab.name("driver")).args(IDLE));
    says("unreachable", &ended, 4, &agent.keys, Some(agent.address));
}

#[test]
fn a_black_hole() {
    let Some(lab) = Lab::new() else { return };
    lab.forbid("meta length > 1400 drop");
    let agent = lab.agent();
    let checked = ["--tcp-throughput", "1M", "--idle", "1s", "--duration", "2s"];
    let ended = run(agent.check_from(&lab.name("driver")).args(checked));
    ended.expect_code(3);
    let words: Vec<&str> = ended.out.split_whitespace().collect();
    let text = words.join(" ");
    let start = text.find("packets above 1400 octets").unwrap_or_else(|| panic!("{text}"));
    let end = text[start..].find("1360").expect("the MSS that passes") + start + 4;
    holds("black-hole", &text[start..end], &agent.keys, Some(agent.address));
}

/// Somebody else's device takes a capability; whose key it is does not.
#[test]
fn an_ordinary_user_who_may_not_read_the_key() {
    if !is_root() {
        return linkqual::io::terminal::say("SKIPPED: only root can run a program as another user");
    }
    let keys = Keys::of("alice");
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    open(&keys.path("")).expect("its owner may");
    // The program is where the other user may not look, too.
    let program = keys.path("linkqual");
    fs::copy(linkqual().get_program(), &program).expect("a copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(["check", "10.0.0.7", "--key"]).arg(keys.path("driver"));
    let ended = run(command.arg("--agent-key").arg(keys.path("agent.pub")));
    says("ordinary-user-without-the-key", &ended, 2, &keys, None);
}

fn is_root() -> bool {
    let ended = run(Command::new("id").arg("-u"));
    ended.out.trim() == "0"
}

/// A service without capabilities starts, and a port below 1024 is beyond it.
#[test]
fn an_agent_without_capabilities_at_a_port_of_the_system() {
    if !is_root() {
        return linkqual::io::terminal::say("SKIPPED: only root can give up its capabilities");
    }
    let keys = Keys::of("alice");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let program = keys.path("linkqual-agent");
    fs::copy(env!("CARGO_BIN_EXE_linkqual-agent"), &program).expect("a copy");
    for path in ["", "agent", "agent.pub", "driver.pub", "linkqual-agent"] {
        std::os::unix::fs::chown(keys.path(path), Some(65_534), Some(65_534)).expect("root may");
    }
    command.arg(&program).args(["--listen", "127.0.0.1:80", "--key"]).arg(keys.path("agent"));
    let ended = run(command.arg("--allow").arg(keys.path("driver.pub")));
    says("port-below-1024-without-capability", &ended, 4, &keys, None);
}
