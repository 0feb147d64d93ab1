//! Keys without ceremony: a driver's own, the agents that it trusts, and how it changes its key.
//! Each user here has a temporary folder; nothing is read or written anywhere else.

use crate::support::{Agent, Ended, Program, User, await_within, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Far longer than an agent takes to see that its file has changed.
const SOON: Duration = Duration::from_secs(20);

/// The shortest that can be asked, on an idle line.
const IDLE: [&str; 4] = ["--idle", "1s", "--duration", "1s"];

const AGENT: &str = env!("CARGO_BIN_EXE_linkqual-agent");

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What `user` gets for checking `agent` without naming any key.
fn check(user: &User, agent: &Agent) -> Ended {
    run(user.linkqual(&["check", &agent.address.to_string()]).args(IDLE))
}

#[test]
fn the_first_use_makes_a_key_and_says_what_to_do_with_it() {
    let user = User::new();
    let first = run(&mut user.linkqual(&["key"]));
    first.expect_code(0);
    let line = first.out.trim_end();
    assert!(line.starts_with("linkqual-ed25519 MCow") && line.contains(" alice@"), "{line}");
    let path = user.path("driver.key");
    let said = format!(
        "made this driver's key, {}. On each agent its operator runs: linkqual-agent allow \
         {line}\n",
        path.display()
    );
    assert_eq!(first.err, said);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let again = run(&mut user.linkqual(&["key"]));
    again.expect_code(0);
    assert_eq!(again.out, first.out);
    assert!(again.err.starts_with("this driver's key is ") && again.err.contains("SHA256:"));
    assert_eq!(fs::read_to_string(user.path("driver.key.pub")).unwrap(), first.out);
}

/// From nothing to a result: no option names a key.
#[test]
fn a_check_takes_the_users_own_key_and_the_agent_that_it_trusts() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let host = agent.address.to_string();
    let unknown = check(&user, &agent);
    unknown.expect_error(
        2,
        &[
            "made this driver's key, ",
            &format!("the agent {host} is not known here yet"),
            &format!("linkqual trust {host}\n"),
        ],
    );
    user.trust(&agent);
    let line = user.key_line();
    let unlisted = format!("linkqual-agent allow {}", line.rsplit_once(' ').unwrap().0);
    check(&user, &agent).expect_error(4, &["does not allow this driver's key", &unlisted]);
    agent.allow_line(&line, &["--max-rate", "5M"]).expect_code(0);
    check(&user, &agent).expect_code(3);
    let plan = user.path("plan.toml");
    let text =
        format!("[sites.far]\nagent = '{host}'\n[[test]]\nkind = 'idle'\nduration = '1 s'\n");
    fs::write(&plan, format!("idle = '1 s'\n{text}")).unwrap();
    run(user.linkqual(&["run"]).arg(&plan)).expect_code(3);
    let probed = run(user.linkqual(&["plan", "firewall", "--probe"]).arg(&plan));
    assert!(probed.expect_code(0).out.contains("hello"), "{}", probed.out);
    let other = User::new();
    run(other.linkqual(&["run"]).arg(&plan)).expect_error(2, &["is not known here yet"]);
    let checked = run(other.linkqual(&["plan", "check"]).arg(&plan));
    checked.expect_code(0);
    assert!(checked.err.contains("note: before a run: the agent "), "{}", checked.err);
}

#[test]
fn an_agent_is_trusted_by_its_fingerprint_alone() {
    let (agent, user) = (Agent::start(), User::new());
    let host = agent.address.to_string();
    let print = agent.keys.fingerprint("agent.pub");
    let trust = |args: &[&str]| run(user.linkqual(&["trust", &host]).args(args));
    // No terminal, so nobody can be asked.
    let words = [print.as_str(), "nobody can be asked", &format!("linkqual trust {host} --fing")];
    trust(&[]).expect_error(2, &words);
    let wrong = agent.keys.fingerprint("driver.pub");
    let words = [print.as_str(), &wrong, "Nothing was remembered"];
    trust(&["--fingerprint", &wrong]).expect_error(4, &words);
    trust(&["--fingerprint", "SHA256:x"]).expect_error(2, &["as linkqual-agent key shows it"]);
    assert!(!user.path("known_agents").exists());
    let trusted = trust(&["--fingerprint", &print]);
    trusted.expect_code(0);
    assert!(trusted.out.contains(&format!("{host} is trusted from now on: {print}")));
    let line = fs::read_to_string(user.path("known_agents")).unwrap();
    let key = fs::read_to_string(agent.keys.path("agent.pub")).unwrap();
    let key = key.split(' ').nth(1).unwrap();
    assert_eq!(line, format!("{host} linkqual-ed25519 {key}\n"));
    let again = trust(&[]);
    assert!(again.expect_code(0).out.contains("is trusted already"), "{}", again.out);
}

/// What is left to do before a check is said at once, and by whom.
#[test]
fn trust_says_whether_the_agent_serves_this_driver() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let (host, print) = (agent.address.to_string(), agent.keys.fingerprint("agent.pub"));
    let trust = || run(&mut user.linkqual(&["trust", &host, "--fingerprint", &print]));
    let line = user.key_line();
    let first = trust();
    let allow = format!(
        "does not serve this driver yet. Have its operator run: \
                         linkqual-agent allow {line}\n"
    );
    assert!(first.expect_code(0).out.contains(&allow), "{}", first.out);
    let before = changes(&agent);
    agent.allow_line(&line, &["--max-rate", "5M"]).expect_code(0);
    await_within(SOON, "the file is read again", || (before < changes(&agent)).then_some(()));
    let served = trust();
    let words = "It serves this driver as qualifier: up to 5 Mbit/s (L2), 600 s of load";
    assert!(served.expect_code(0).out.contains(words), "{}", served.out);
    run(&mut user.linkqual(&["key", "rotate"])).expect_code(0);
    let by_old = trust();
    let words = "It serves this driver by its former key, until ";
    assert!(by_old.expect_code(0).out.contains(words), "{}", by_old.out);
}

/// On a terminal that `script` makes.
#[test]
fn a_person_is_asked() {
    let (agent, user) = (Agent::start(), User::new());
    let host = agent.address.to_string();
    let program = user.linkqual(&[]).get_program().to_owned();
    let asked = |answers: &str| {
        let trust = format!("{} trust {host}", program.display());
        let shell = format!("printf '{answers}' | script -qec '{trust}' /dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &shell]).env("XDG_CONFIG_HOME", user.path("").parent().unwrap());
        command.stdin(Stdio::null()).output().unwrap()
    };
    if Command::new("script").arg("--version").output().is_err() {
        return linkqual::io::terminal::say("SKIPPED: no program script on this machine");
    }
    let no = asked("maybe\\nno\\n");
    let text = String::from_utf8_lossy(&no.stdout).into_owned();
    assert!(text.contains("Is it the same (yes, no, or the fingerprint)?"), "{text}");
    assert!(text.contains("Please answer yes or no") && text.contains("is not trusted"), "{text}");
    assert!(text.contains(&agent.keys.fingerprint("agent.pub")), "{text}");
    assert!(!user.path("known_agents").exists());
    let yes = asked("yes\\n");
    let text = String::from_utf8_lossy(&yes.stdout).into_owned();
    assert!(text.contains("is trusted from now on"), "{text}");
    assert!(user.path("known_agents").exists());
}

#[test]
fn an_agent_whose_key_has_changed_is_refused_until_that_is_trusted() {
    let (mut agent, user) = (Agent::of_file(&[]), User::new());
    let host = agent.address.to_string();
    agent.allow_line(&user.key_line(), &[]).expect_code(0);
    user.trust(&agent);
    let old = agent.keys.fingerprint("agent.pub");
    let mut replace = Command::new(AGENT);
    replace.args(["key", "--replace", "--key"]).arg(agent.keys.path("agent"));
    let replaced = run(&mut replace);
    replaced.expect_code(0);
    let new = agent.keys.fingerprint("agent.pub");
    for words in [&old, &new, "restart it", "linkqual trust HOST --replace", "/retired/agent-"] {
        assert!(replaced.err.contains(words), "{words}: {}", replaced.err);
    }
    let line = fs::read_to_string(agent.keys.path("agent.pub")).unwrap();
    assert_eq!(replaced.out, line);
    // The one that runs has its old key.
    check(&user, &agent).expect_code(3);
    agent.restart_with(&[]);
    let expected = format!("expected {old}");
    let found = format!("found    {new}");
    let way_on = format!("linkqual trust {host} --replace");
    let words = ["HAS CHANGED", &expected, &found, &way_on];
    let checked = check(&user, &agent);
    checked.expect_error(4, &words);
    assert_eq!(checked.err.matches("HAS CHANGED").count(), 1, "{}", checked.err);
    agent.program.await_said(SOON, "driver expects another key of this agent");
    agent.program.await_said(SOON, "linkqual trust HOST --replace");
    let plan = user.path("plan.toml");
    fs::write(&plan, format!("[sites.far]\nagent = '{host}'\n[[test]]\nkind = 'idle'\n")).unwrap();
    let probed = run(user.linkqual(&["plan", "firewall", "--probe"]).arg(&plan));
    probed.expect_code(4);
    for words in ["passes   TLS", "REFUSED  key", &new, &way_on] {
        let text = probed.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&words), "{words}: {}", probed.out);
    }
    assert!(!probed.out.contains("BLOCKED"), "{}", probed.out);
    let trust = |args: &[&str]| run(user.linkqual(&["trust", &host]).args(args));
    let trusted = trust(&["--fingerprint", &new]);
    trusted.expect_error(4, &words).expect_error(4, &["Nothing was remembered"]);
    assert!(!trusted.err.contains("test"), "none was asked for: {}", trusted.err);
    trust(&["--fingerprint", &old, "--replace"]).expect_error(4, &["Nothing was remembered"]);
    check(&user, &agent).expect_error(4, &words);
    trust(&["--fingerprint", &new, "--replace"]).expect_code(0);
    let known = fs::read_to_string(user.path("known_agents")).unwrap();
    assert_eq!(known.lines().count(), 1, "{known}");
    // The agent that is started again serves the driver of its keys alone.
    check(&user, &agent).expect_error(4, &["does not allow this driver's key"]);
}

/// Somebody who comes in between while a run goes on is seen when it connects again.
#[test]
fn an_agent_whose_key_changes_during_a_run_is_said_aloud_at_once() {
    let mut agent = Agent::start();
    let mut check = agent.check();
    let driver = Program::start(check.args(["--idle", "6s", "--duration", "6s", "--quiet"]));
    agent.program.await_said(SOON, "driver connected");
    let mut replace = Command::new(AGENT);
    replace.args(["key", "--replace", "--key"]).arg(agent.keys.path("agent"));
    run(&mut replace).expect_code(0);
    agent.restart_with(&[]);
    driver.await_said(SOON, "HAS CHANGED");
    let found = format!("found    {}", agent.keys.fingerprint("agent.pub"));
    driver.await_said(SOON, &found);
    let ended = driver.ended(Duration::from_secs(60));
    assert!(ended.code == Some(3) || ended.code == Some(4), "{ended:?}");
    assert_eq!(ended.err.matches("HAS CHANGED").count(), 1, "{}", ended.err);
}

#[test]
fn what_is_known_of_an_agent_must_be_clear() {
    let (agent, user) = (Agent::start(), User::new());
    let host = agent.address.to_string();
    user.trust(&agent);
    let path = user.path("known_agents");
    let line = fs::read_to_string(&path).unwrap();
    let other = fs::read_to_string(agent.keys.path("driver.pub")).unwrap();
    fs::write(&path, format!("{line}{host} {other}")).unwrap();
    let words = ["known_agents:2: another key for the agent of line 1", "remove the other line"];
    check(&user, &agent).expect_error(2, &words);
    fs::write(&path, line).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    check(&user, &agent).expect_error(2, &["users other than its owner can write it"]);
}

/// How often the agent has taken in a change of who may use it.
fn changes(agent: &Agent) -> usize {
    agent.program.err().matches("drivers have changed").count()
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_which_is_used_until_then() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let old = user.key_line();
    agent.allow_line(&old, &["--probe-only"]).expect_code(0);
    user.trust(&agent);
    let rotated = run(&mut user.linkqual(&["key", "rotate", "--overlap", "2h"]));
    rotated.expect_code(0);
    let line = rotated.out.trim_end();
    assert!(line.starts_with("linkqual-succession MCow"), "{line}");
    assert!(rotated.err.contains("is kept in ") && rotated.err.contains("retired/driver-"));
    let new = user.key_line();
    assert_ne!(new, old);
    // The agent lists the old one only.
    let probed = check(&user, &agent);
    probed.expect_code(3);
    let said = "does not allow this driver's key";
    assert!(probed.err.contains(said) && probed.err.contains("former key"), "{}", probed.err);
    let plan = user.path("plan.toml");
    let host = agent.address.to_string();
    fs::write(&plan, format!("[sites.far]\nagent = '{host}'\n[[test]]\nkind = 'idle'\n")).unwrap();
    let probed = run(user.linkqual(&["plan", "firewall", "--probe"]).arg(&plan));
    probed.expect_code(0);
    assert!(probed.out.contains("its former key"), "{}", probed.out);
    let before = changes(&agent);
    let words = ["a new key has the limits of the old one"];
    agent.allow_line(line, &["--max-rate", "5M"]).expect_error(2, &words);
    let (said, signature) = line.rsplit_once(' ').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{said} {other}{}", &signature[1..]);
    agent.allow_line(&forged, &[]).expect_error(2, &["has not signed this line"]);
    let allowed = agent.allow_line(line, &[]);
    allowed.expect_code(0);
    let key = new.split(' ').nth(1).unwrap();
    let words = format!("now allows probe-only linkqual-ed25519 {key} alice@");
    assert!(allowed.out.contains(&words), "{}", allowed.out);
    let drivers = fs::read_to_string(agent.keys.path("drivers")).unwrap();
    let lines: Vec<&str> = drivers.lines().collect();
    assert_eq!(lines.len(), 2, "{drivers}");
    assert!(lines[0].starts_with("probe-only expires=20") && lines[0].ends_with(&old), "{drivers}");
    await_within(SOON, "the file is read again", || (before < changes(&agent)).then_some(()));
    let served = check(&user, &agent);
    served.expect_code(3);
    assert!(!served.err.contains("former key"), "{}", served.err);
    agent.allow_line(line, &[]).expect_error(2, &["the new key is allowed already"]);
}

/// An operator changes a line, and takes a driver out, without an editor.
#[test]
fn the_line_of_a_driver_is_written_anew_and_taken_out() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let (line, file) = (user.key_line(), agent.keys.path("drivers"));
    let revoke = |whom: &[&str]| {
        let mut command = Command::new(AGENT);
        run(command.arg("revoke").args(whom).arg("--drivers").arg(&file))
    };
    agent.allow_line(&line, &["--max-rate", "5M"]).expect_code(0);
    let again = agent.allow_line(&line, &["--max-rate", "6M"]);
    again.expect_error(2, &["allows this key already: max-rate=5Mbit/s", "--replace"]);
    let changed = agent.allow_line(&line, &["--max-rate", "6M", "--replace"]);
    assert!(changed.expect_code(0).out.contains("instead of max-rate=5Mbit/s"), "{}", changed.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("max-rate=6Mbit/s {line}\n"));
    let other = fs::read_to_string(agent.keys.path("driver.pub")).unwrap();
    agent.allow_line(&other, &["--replace"]).expect_code(0);
    revoke(&["nobody"]).expect_error(2, &["no line there has this key, fingerprint or comment"]);
    let words: Vec<&str> = line.split(' ').collect();
    let print = line.parse::<linkqual::wire::key::KeyLine>().unwrap().key().to_string();
    let public = user.path("driver.key.pub");
    for whom in [
        &words[..],
        &[line.as_str()],
        &words[1..2],
        &words[2..],
        &[print.as_str()],
        &[public.to_str().unwrap()],
    ] {
        let gone = revoke(whom);
        assert!(gone.expect_code(0).out.contains("no longer allows max-rate="), "{}", gone.out);
        let restart = "started with (--allow) needs a restart of the agent";
        assert!(gone.out.contains(restart), "{}", gone.out);
        assert_eq!(fs::read_to_string(&file).unwrap(), other, "{whom:?}");
        agent.allow_line(&line, &["--max-rate", "6M"]).expect_code(0);
    }
    // Its former key would serve it still.
    let rotated = run(&mut user.linkqual(&["key", "rotate"]));
    agent.allow_line(rotated.out.trim_end(), &[]).expect_code(0);
    revoke(&words[2..]).expect_code(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), other);
}

/// Its operator would allow a key that was given up on purpose.
#[test]
fn an_agent_that_lists_neither_key_is_to_allow_the_new_one() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let old = user.key_line();
    user.trust(&agent);
    run(&mut user.linkqual(&["key", "rotate"])).expect_code(0);
    let (old, new) = (words(&old)[1].to_owned(), words(&user.key_line())[1].to_owned());
    let checked = check(&user, &agent);
    checked.expect_error(4, &[&format!("linkqual-agent allow linkqual-ed25519 {new}")]);
    let plan = user.path("plan.toml");
    let host = agent.address.to_string();
    fs::write(&plan, format!("[sites.far]\nagent = '{host}'\n[[test]]\nkind = 'idle'\n")).unwrap();
    let probed = run(user.linkqual(&["plan", "firewall", "--probe"]).arg(&plan));
    assert!(probed.code != Some(0) && probed.out.contains(&new), "{}", probed.out);
    for said in [&checked.out, &checked.err, &probed.out, &probed.err] {
        assert!(!said.contains(&old) && !said.contains("former key"), "{said}");
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// An agent takes the second line only when it has taken the first.
#[test]
fn the_lines_of_two_rotations_are_printed_in_the_order_in_which_an_agent_takes_them() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    agent.allow_line(&user.key_line(), &[]).expect_code(0);
    // Both of one second, as a rule.
    for _ in 0..2 {
        run(&mut user.linkqual(&["key", "rotate"])).expect_code(0);
    }
    let shown = run(&mut user.linkqual(&["key"]));
    let lines = shown.err.lines().filter_map(|line| line.split_once("linkqual-succession "));
    let lines: Vec<String> = lines.map(|(_, line)| format!("linkqual-succession {line}")).collect();
    assert_eq!(lines.len(), 2, "{}", shown.err);
    for line in lines {
        agent.allow_line(&line, &[]).expect_code(0);
    }
}

/// The usual reason to run it again.
#[test]
fn a_line_that_has_expired_gives_way_to_a_new_one() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    let (line, file) = (user.key_line(), agent.keys.path("drivers"));
    fs::write(&file, format!("# us\nprobe-only expires=2026-01-31 {line}\n# them\n")).unwrap();
    agent.allow_line(&line, &["--max-rate", "5M"]).expect_code(0);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, format!("# us\nmax-rate=5Mbit/s {line}\n# them\n"));
    agent.allow_line(&line, &[]).expect_error(2, &["allows this key already: max-rate="]);
}

/// With the package the key is the service's, and its operator is anybody.
#[test]
fn who_may_not_read_the_agents_key_is_advised_to_be_root() {
    if !Command::new("setpriv")
        .args(["--reuid=65534", "true"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        return linkqual::io::terminal::say("SKIPPED: only root can run a program as another user");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (program, key) = (folder.path().join("agent"), folder.path().join("agent.key"));
    fs::copy(AGENT, &program).unwrap();
    run(Command::new(&program).args(["key", "--make-key", "--key"]).arg(&key)).expect_code(0);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    let ended = run(command.args(["key", "--key"]).arg(&key));
    ended.expect_error(2, &["agent.key: cannot be read", "Run it as root (sudo)"]);
    assert!(!ended.err.contains("linkqual key"), "{}", ended.err);
}

/// The driver's half is dated back, as nobody waits for an hour here.
#[test]
fn an_old_key_is_not_used_beyond_its_overlap() {
    let (agent, user) = (Agent::of_file(&[]), User::new());
    agent.allow_line(&user.key_line(), &[]).expect_code(0);
    user.trust(&agent);
    let keyring = linkqual::io::key::read_secret(&user.path("driver.key")).unwrap();
    run(&mut user.linkqual(&["key", "rotate"])).expect_code(0);
    let public = linkqual::io::key::public_key;
    let new = linkqual::io::key::read_secret(&user.path("driver.key")).unwrap();
    let day = linkqual::units::Span::from_secs(86_400);
    let (old, new) = (public(&keyring), public(&new));
    let past =
        linkqual::wire::succession::Succession::new(old, new, 1_700_000_000 * 1_000_000_000, day);
    let succession = past.unwrap();
    let signature = linkqual::io::key::sign(&keyring, succession.signed_text().as_bytes());
    let line = linkqual::wire::succession::SuccessionLine { succession, signature };
    let retired = fs::read_dir(user.path("retired")).unwrap();
    let kept = retired.map(|entry| entry.unwrap().path());
    let mut kept = kept.filter(|path| path.extension().is_some_and(|end| end == "succession"));
    fs::write(kept.next().unwrap(), format!("{line}\n")).unwrap();
    check(&user, &agent).expect_error(4, &["does not allow this driver's key"]);
    let words = ["this line was valid until ", "Allow the new key by the line of linkqual key"];
    agent.allow_line(&line.to_string(), &[]).expect_error(2, &words);
}

#[test]
fn a_key_is_there_before_it_is_rotated() {
    let user = User::new();
    let none = run(&mut user.linkqual(&["key", "rotate"]));
    none.expect_error(2, &["there is no key yet", "linkqual key"]);
    assert!(!user.path("driver.key").exists());
}

/// For the two operators to compare by telephone.
#[test]
fn an_agent_shows_its_fingerprint_and_its_line_at_its_start_and_when_asked() {
    let agent = Agent::start();
    let print = agent.keys.fingerprint("agent.pub");
    let line = fs::read_to_string(agent.keys.path("agent.pub")).unwrap();
    let key = line.split(' ').nth(1).unwrap();
    let shown = format!("public key: linkqual-ed25519 {key} linkqual-agent\n");
    let out = agent.program.out();
    assert!(out.contains(&print) && out.contains(&shown), "{out}");
    let command = || {
        let mut command = Command::new(AGENT);
        command.args(["key", "--key"]).arg(agent.keys.path("agent"));
        command
    };
    let asked = run(&mut command());
    asked.expect_code(0);
    assert_eq!(asked.out, format!("linkqual-ed25519 {key} linkqual-agent\n"));
    assert!(asked.err.contains(&print), "{}", asked.err);
    let mut none = Command::new(AGENT);
    none.args(["key", "--key"]).arg(agent.keys.path("none"));
    let words = ["none: no such key file", "start the service", "--make-key"];
    run(&mut none).expect_error(2, &words);
    run(none.arg("--make-key")).expect_code(0);
    assert!(agent.keys.path("none.pub").exists());
}

/// A host on which no package has made `/etc/linkqual`, whose root keeps what it makes to itself,
/// and uses the driver first. Its own `/etc` is out of the way: a folder in memory stands in its
/// place, for these programs alone.
#[test]
fn the_usual_folder_is_made_where_there_is_none() {
    let script = "mount -t tmpfs none /etc || exit 77
                  umask 077
                  $driver key
                  stat -c %a /etc/linkqual /etc/linkqual/driver.key.pub
                  $agent key --make-key > /etc/line
                  timeout 1 $agent --listen 127.0.0.1:0 >&2 || true
                  $agent allow $(cat /etc/line)
                  stat -c %a /etc/linkqual/agent.key /etc/linkqual/agent.key.pub
                  stat -c %a /etc/linkqual/allowed_drivers
                  ! $agent key --make-key --key /etc/other/agent.key";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script]).env("agent", AGENT);
    command.env("driver", env!("CARGO_BIN_EXE_linkqual")).env_remove("XDG_CONFIG_HOME");
    if !Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|o| o.status.success())
    {
        return linkqual::io::terminal::say("SKIPPED: no mount namespaces on this machine");
    }
    let ended = run(&mut command);
    if ended.code == Some(77) {
        return linkqual::io::terminal::say("SKIPPED: no mount namespaces on this machine");
    }
    ended.expect_code(0);
    assert!(ended.out.contains("\n755\n644\n"), "{}", ended.out);
    assert!(ended.out.ends_with("\n600\n644\n644\n"), "{}", ended.out);
    assert!(ended.err.contains("/etc/other/agent.key: cannot be written"), "{}", ended.err);
    let advice = "no driver is allowed yet: add one with linkqual-agent allow KEYLINE\n";
    assert!(ended.err.contains(advice), "the usual file needs no option: {}", ended.err);
}

/// Pasted as one word, in the words that a shell makes of it, or as a file.
#[test]
fn a_key_is_allowed_however_its_line_comes() {
    let agent = Agent::of_file(&[]);
    let public = agent.keys.path("driver.pub");
    let line = fs::read_to_string(&public).unwrap();
    let allow = |words: &[&str]| {
        fs::remove_file(agent.keys.path("drivers")).ok();
        let mut command = Command::new(AGENT);
        command.arg("allow").args(words).arg("--drivers").arg(agent.keys.path("drivers"));
        run(&mut command).expect_code(0);
        assert_eq!(fs::read_to_string(agent.keys.path("drivers")).unwrap(), line, "{words:?}");
    };
    allow(&[line.trim_end()]);
    allow(&line.split_whitespace().collect::<Vec<_>>());
    allow(&[public.to_str().unwrap()]);
    allow(&[&line]);
}
