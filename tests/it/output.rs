//! Nobody hears: what becomes of a result that cannot be written. Each command of both programs is
//! run with a standard output that takes nothing, and with one that nobody reads.

use crate::support::{Agent, Keys, PATIENCE, Program, linkqual};
use linkqual::io::files::{BadOutput, Output as Folder, RECORD, StateDir, write_new};
use linkqual::report::{FORMATS, Rendering, Report};
use std::fs::{self, File, OpenOptions};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const DRIVER: &str = env!("CARGO_BIN_EXE_linkqual");
const AGENT: &str = env!("CARGO_BIN_EXE_linkqual-agent");
const SOUND: &str = include_str!("golden/v3/sound.json");

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[track_caller]
fn lost(command: &mut Command) -> String {
    let mut said = String::new();
    for (out, why) in [(Stdio::from(full()), "No space left"), (unread(), "Broken pipe")] {
        let Output { status, stderr, .. } =
            command.stdin(Stdio::null()).stdout(out).output().unwrap();
        said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(5), "{command:?}: {said}");
        let reason = format!("error: could not write to the standard output: {why}");
        assert!(said.contains(&reason) && !said.contains("panicked"), "{command:?}: {said}");
    }
    said
}

/// The standard library opens `/dev/null` in the place of an output that is closed.
#[test]
fn an_output_that_is_closed_from_the_start_is_an_error() {
    let commands =
        [[DRIVER, "plan init"], [DRIVER, "--help"], [DRIVER, "check --help"], [AGENT, "--version"]];
    for [program, args] in commands {
        let script = format!("exec {program} {args} >&-");
        let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(5), "{script}: {said}");
        assert!(said.contains("standard output: Bad file descriptor"), "{script}: {said}");
    }
    let wrong = Command::new("sh").args(["-c", &format!("exec {DRIVER} sing >&-")]).status();
    assert_eq!(wrong.unwrap().code(), Some(2), "nothing was to go there");
}

fn plan(keys: &Keys) -> std::path::PathBuf {
    let path = keys.path("plan.toml");
    let text = "[driver]\nkey = 'driver'\n[sites.far]\nagent = '127.0.0.1:9'\n\
                key = 'agent.pub'\n[[test]]\nkind = 'idle'\n";
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn help_and_versions_that_cannot_be_printed_are_errors() {
    for args in [&["--help"][..], &["--version"], &["check", "--help"], &["help", "plan"]] {
        lost(linkqual().args(args));
    }
    lost(Command::new(AGENT).arg("--help"));
    lost(Command::new(AGENT).arg("--version"));
}

#[test]
fn a_plan_or_a_report_that_cannot_be_printed_is_an_error() {
    let keys = Keys::of("alice");
    let (plan, report) = (plan(&keys), keys.path("report.json"));
    fs::write(&report, SOUND).unwrap();
    lost(linkqual().args(["plan", "init"]));
    lost(linkqual().args(["plan", "check"]).arg(&plan));
    lost(linkqual().args(["plan", "firewall"]).arg(&plan));
    lost(linkqual().args(["plan", "firewall", "--nft"]).arg(&plan));
    lost(linkqual().args(["plan", "firewall", "--probe"]).arg(&plan));
    for json in [&[][..], &["--json"]] {
        let said = lost(linkqual().arg("judge").arg(&report).args(json));
        assert!(said.starts_with("verdict: PASS\n"), "the verdict is not lost: {said}");
    }
}

#[test]
fn a_key_that_is_made_and_not_announced_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (name, out) in [("full", Stdio::from(full())), ("unread", unread())] {
        let path = folder.path().join(name);
        let made = linkqual().args(["keygen", "--out"]).arg(&path).stdout(out).output().unwrap();
        assert_eq!(made.status.code(), Some(5), "{made:?}");
        assert!(path.exists(), "the key itself is there");
    }
}

#[test]
fn a_run_that_nobody_hears_says_its_verdict_on_the_standard_error() {
    let agent = Agent::start();
    let folder = agent.keys.path("run");
    let mut command = agent.check();
    command.args(["--duration", "1s", "--rtt-p99", "0.001us", "--out"]).arg(&folder);
    let ended = command.stdin(Stdio::null()).stdout(full()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(5), "{said}");
    assert!(
        said.contains("verdict: FAIL\nerror: could not write to the standard output"),
        "{said}"
    );
    assert!(fs::read_to_string(folder.join("report.txt")).unwrap().starts_with("FAIL "));
}

/// What took a minute to measure is nowhere else.
#[test]
fn a_run_that_is_neither_kept_nor_printed_is_shown_on_the_standard_error() {
    let agent = Agent::start();
    for format in [&[][..], &["--json"]] {
        let mut command = agent.check();
        command
            .args(["--duration", "1s", "--no-lengthen", "--rtt-p99", "0.001us", "--quiet"])
            .args(format);
        let ended = command.stdin(Stdio::null()).stdout(full()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(5), "{said}");
        for words in ["FAIL ", "RTT p99", "verdict: FAIL\nerror: could not write to the standard"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

/// What `script` makes of a terminal: it shows the command's output, and ends as it ends.
fn on_a_terminal(command: &str, variables: &[(&str, &str)]) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).stdin(Stdio::null());
    for name in ["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG"] {
        script.env_remove(name);
    }
    script.env("TERM", "xterm").envs(variables.iter().copied());
    let ended = script.output().ok()?;
    Some(String::from_utf8(ended.stdout).expect("text").replace("\r\n", "\n"))
}

#[test]
fn a_verdict_is_coloured_on_a_terminal_unless_no_colour_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    fs::write(&report, SOUND).unwrap();
    let show = format!("{DRIVER} show {}", report.display());
    let Some(coloured) = on_a_terminal(&show, &[]) else {
        return linkqual::io::terminal::say("SKIPPED: no program script on this machine");
    };
    assert!(coloured.contains("\u{1b}[1;32mPASS\u{1b}[0m"), "{coloured}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = on_a_terminal(&show, &[plain]).unwrap();
        assert!(text.contains("PASS") && !text.contains('\u{1b}'), "{plain:?}: {text}");
    }
    // Where nobody looks, whatever the terminal of the user could show.
    let piped = on_a_terminal(&format!("{show} | cat"), &[]).unwrap();
    assert!(piped.contains("PASS") && !piped.contains('\u{1b}'), "{piped}");
    let asked_in_vain = on_a_terminal(&show, &[("NO_COLOR", "")]).unwrap();
    assert!(asked_in_vain.contains('\u{1b}'), "an empty one says nothing: {asked_in_vain}");
}

#[test]
fn a_locale_without_utf_8_is_shown_ascii_alone() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    fs::write(&report, SOUND).unwrap();
    let shown = |variables: &[(&str, &str)]| {
        let mut show = linkqual();
        show.arg("show").arg(&report).arg("--verbose");
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            show.env_remove(name);
        }
        String::from_utf8(show.envs(variables.iter().copied()).output().unwrap().stdout).unwrap()
    };
    for ascii in [&[][..], &[("LANG", "C")], &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]] {
        let text = shown(ascii);
        assert!(text.is_ascii() && text.contains(" +/- "), "{ascii:?}: {text}");
    }
    for utf_8 in [&[("LANG", "de_DE.UTF-8")][..], &[("LANG", "C"), ("LC_CTYPE", "C.utf8")]] {
        let text = shown(utf_8);
        assert!(text.contains(" ± ") && !text.contains("+/-"), "{utf_8:?}: {text}");
    }
}

/// On a terminal one line changes; a file or a log has a line for each phase, and no more.
#[test]
fn progress_is_drawn_on_a_terminal_alone() {
    let agent = Agent::start();
    let mut check = agent.check();
    check.args(["--duration", "1s"]);
    let words: Vec<_> = std::iter::once(check.get_program()).chain(check.get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
    let Some(drawn) = on_a_terminal(&words.join(" "), &[]) else {
        return linkqual::io::terminal::say("SKIPPED: no program script on this machine");
    };
    assert!(drawn.contains("\u{1b}[") && drawn.contains('\r'), "{drawn:?}");
    let piped = crate::support::run(&mut check);
    piped.expect_code(3);
    assert!(!piped.err.contains(['\u{1b}', '\r']), "{:?}", piped.err);
    assert!(piped.err.contains("connecting to ") && piped.err.contains("idle"), "{}", piped.err);
}

/// The folder is taken away while the run goes on.
#[test]
fn a_run_whose_folder_is_lost_goes_on_and_prints_its_report() {
    let agent = Agent::start();
    let folder = agent.keys.path("run");
    let mut command = agent.check();
    command.args(["--duration", "2s", "--rtt-p99", "0.001us", "--out"]).arg(&folder);
    let driver = Program::start(&mut command);
    crate::support::await_within(PATIENCE, "the record's place is taken", || {
        folder.join("report.json").exists().then_some(())
    });
    fs::rename(&folder, agent.keys.path("elsewhere")).unwrap();
    let ended = driver.ended(PATIENCE);
    ended.expect_code(5);
    assert!(ended.out.starts_with("FAIL "), "{}", ended.out);
    for words in ["warning: could not write ", "report.json: ", "The run goes on", "verdict: FAIL"]
    {
        assert!(ended.err.contains(words), "{words:?} is not said: {}", ended.err);
    }
}

#[test]
fn a_saved_report_whose_folder_takes_nothing_is_reported_before_it_is_judged() {
    let keys = Keys::of("alice");
    let report = keys.path("report.json");
    fs::write(&report, SOUND).unwrap();
    let judged = |out: &Path| linkqual().arg("judge").arg(&report).arg("--out").arg(out).output();
    let wrong = judged(Path::new("/proc/nothing/here")).unwrap();
    assert_eq!((wrong.status.code(), &wrong.stdout[..]), (Some(2), &b""[..]));
    let planted = keys.path("planted");
    fs::create_dir(&planted).unwrap();
    symlink(keys.path("victim"), planted.join("report.json")).unwrap();
    let refused = judged(&planted).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not a regular file"));
    assert!(!keys.path("victim").exists());
}

/// The table of README, "Verdicts", without a line: what ends with each of the codes.
#[test]
fn each_exit_code_is_that_of_the_table() {
    let keys = Keys::of("alice");
    let judged = |report: &str| {
        let path = keys.path("report.json");
        fs::write(&path, report).unwrap();
        linkqual().arg("judge").arg(path).output().unwrap().status.code()
    };
    assert_eq!(judged(SOUND), Some(0), "PASS");
    assert_eq!(judged(include_str!("golden/v3/broken.json")), Some(1), "FAIL");
    assert_eq!(judged("{}"), Some(2), "what is asked makes no sense");
    assert_eq!(judged(&SOUND.replacen("\"complete\": true", "\"complete\": false", 1)), Some(3));
    let (driver, public) = (keys.path("driver"), keys.path("agent.pub"));
    let code = |mut command: Command| command.output().unwrap().status.code();
    assert_eq!(code(crate::support::check("127.0.0.1:9", &driver, &public)), Some(4), "no agent");
    let mut full_disk = linkqual();
    full_disk.args(["plan", "init"]).stdout(full());
    assert_eq!(full_disk.status().unwrap().code(), Some(5), "nobody hears");
}

/// The record comes first, under the name that its folder is locked by.
#[test]
fn each_format_is_rendered() {
    let report = Report::parse(SOUND).unwrap();
    for format in FORMATS {
        assert!(!(format.render)(&report, &Rendering::default()).is_empty(), "{format:?}");
    }
    assert_eq!(FORMATS[0].file, RECORD);
    assert_eq!((FORMATS[0].render)(&report, &Rendering::default()), report.to_json());
}

// ---- What another user of the host can plant.

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What another user could plant in the place of any file that is written: nothing is written
/// to it, and nothing waits for it.
#[test]
fn what_was_planted_in_the_place_of_an_output_is_never_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, out) = (folder.path().join("victim"), folder.path().join("out"));
    let check = || assert_eq!(fs::read_to_string(&victim).unwrap(), "");
    fs::write(&victim, "").unwrap();
    fs::create_dir(&out).unwrap();
    let names: Vec<&str> = FORMATS.iter().map(|format| format.file).collect();
    for name in &names {
        symlink(&victim, out.join(format!(".{name}.draft"))).unwrap();
        if *name != RECORD {
            symlink(&victim, out.join(name)).unwrap();
        }
    }
    let output = Folder::create(&out, &names[1..]).unwrap();
    for name in &names {
        output.save(name, "text").unwrap();
        assert!(fs::symlink_metadata(out.join(name)).unwrap().is_file());
    }
    check();
    let record = |name: &str| {
        let out = folder.path().join(name);
        fs::create_dir(&out).unwrap();
        (out.join(RECORD), out)
    };
    let (planted, out) = record("linked");
    symlink(&victim, &planted).unwrap();
    assert!(
        matches!(Folder::create(&out, &[]), Err(BadOutput::NotRegular(path)) if path == planted)
    );
    check();
    let (planted, out) = record("piped");
    make_fifo(&planted);
    assert!(matches!(Folder::create(&out, &[]), Err(BadOutput::NotRegular(_))));
    symlink(&victim, folder.path().join("plan.toml")).unwrap();
    let named = write_new(&folder.path().join("plan.toml"), "text");
    assert!(matches!(named, Err(BadOutput::Named(_))));
    check();
}

#[test]
fn a_state_directory_takes_no_link_and_no_pipe_for_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, state) = (folder.path().join("victim"), folder.path().join("state"));
    fs::write(&victim, "secret").unwrap();
    let state_dir = StateDir::open(&state).unwrap();
    symlink(&victim, state.join("a.json")).unwrap();
    make_fifo(&state.join("b.json"));
    let kept = state_dir.read();
    assert!(kept.len() == 2 && kept.iter().all(|(_, text)| text.is_err()), "{kept:?}");
    state_dir.keep("a", "1").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "secret");
    drop(state_dir);
    fs::remove_file(state.join(".lock")).unwrap();
    symlink(folder.path().join("new"), state.join(".lock")).unwrap();
    assert!(matches!(StateDir::open(&state), Err(BadOutput::Unwritable { .. })));
    assert!(!folder.path().join("new").exists());
    fs::remove_file(state.join(".lock")).unwrap();
    make_fifo(&state.join(".lock"));
    assert!(matches!(StateDir::open(&state), Err(BadOutput::Unwritable { .. })));
}

// ---- The agent.

fn agent(keys: &Keys) -> Command {
    let mut command = Command::new(AGENT);
    command.args(["--listen", "127.0.0.1:0", "--key"]).arg(keys.path("agent"));
    command.arg("--allow").arg(keys.path("driver.pub")).stdin(Stdio::null());
    command
}

#[test]
fn an_agent_whose_introduction_nobody_hears_does_not_start() {
    lost(&mut agent(&Keys::of("alice")));
}

/// The disk that holds its log is full: it serves all the same.
#[test]
fn an_agent_whose_log_takes_nothing_serves_on() {
    let keys = Keys::of("alice");
    let mut child = agent(&keys).stdout(Stdio::piped()).stderr(full()).spawn().unwrap();
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    let address = first.split(' ').nth(4).unwrap();
    for _ in 0..3 {
        let mut stranger = TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stranger, b"GET / HTTP/1.0\r\n\r\n").unwrap();
        _ = std::io::Read::read(&mut stranger, &mut [0; 64]);
    }
    let (driver, public) = (keys.path("driver"), keys.path("agent.pub"));
    let mut check = crate::support::check(address, &driver, &public);
    let ended = crate::support::run(check.args(["--duration", "1s"]));
    child.kill().unwrap();
    child.wait().unwrap();
    ended.expect_code(3);
}
