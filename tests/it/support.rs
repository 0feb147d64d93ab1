//! Set-up that the tests of the programs share: keys, an agent, programs with a deadline.
//!
//! Each program that is started here is ended by its handle when that is dropped. Each wait ends:
//! what does not happen in time fails the test, which then shows all that the program has said.

use linkqual::account::{Status, TcpReceiverCounts, TcpSenderCounts};
use linkqual::direction::Direction;
use linkqual::report::{OutageRecord, Report, Row};
use linkqual::stats::loss_bursts::LossBursts;
use linkqual::verdict::Verdict;
use serde_json::Value;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Read;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any check here takes on a busy host; no test that passes waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What names the folder of a user's own keys.
const CONFIG: &str = "XDG_CONFIG_HOME";

/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(5);

/// Mbit/s that tests may send at the same time, all of their directions together: what two shared
/// processors carry in debug builds without packets that leave late.
const MACHINE: u32 = 80;

/// What an agent takes of it whose test says nothing: idle probes, control connections, a start.
const LIGHT: u32 = 2;

/// What is left of [`MACHINE`].
static FREE: Mutex<u32> = Mutex::new(MACHINE);

/// Something was given back.
static GIVEN_BACK: Condvar = Condvar::new();

thread_local! {
    /// Whether this thread's test has said what it sends.
    static HAS_SAID: Cell<bool> = const { Cell::new(false) };
}

/// A part of the machine, until it is dropped.
#[derive(Debug)]
struct Part(u32);

impl Part {
    /// Waits for it. Who waits for all of it comes last, when no other test sends: the tests are
    /// so many, and no more.
    fn take(mbit_s: u32) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = GIVEN_BACK
            .wait_while(free, |free| *free < mbit_s)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= mbit_s;
        Self(mbit_s)
    }

    /// One for an agent, unless this thread's test has said what it sends.
    fn light() -> Option<Self> {
        (!HAS_SAID.get()).then(|| Self::take(LIGHT))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.0;
        GIVEN_BACK.notify_all();
    }
}

/// What this thread's test uses of the machine, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _part: Part,
    /// It is this thread's.
    _here: PhantomData<*const ()>,
}

/// Uses the machine beside others, to send `mbit_s` in all directions together.
pub(crate) fn share(mbit_s: u32) -> Share {
    assert!(!HAS_SAID.replace(true), "a test says once what it sends");
    Share { _part: Part::take(mbit_s), _here: PhantomData }
}

/// Has the machine alone: where packets that leave late would change the verdict.
pub(crate) fn alone() -> Share {
    share(MACHINE)
}

impl Drop for Share {
    fn drop(&mut self) {
        HAS_SAID.set(false);
    }
}

/// Waits until `look` has something to show.
///
/// # Panics
///
/// When `limit` is over: `what` did not happen.
#[track_caller]
pub(crate) fn await_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "{what}: not within {limit:?}");
        thread::sleep(LOOK);
    }
}

/// What a program has written so far, on one of its outputs.
#[derive(Debug)]
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn by(mut output: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut octets) {
                let piece = String::from_utf8_lossy(&octets[..len]);
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&piece);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it, once its program has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader never panics");
        }
        self.text()
    }
}

/// A program that runs; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    out: Said,
    err: Said,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` where a signal killed it.
    pub(crate) code: Option<i32>,
    /// All of its standard output.
    pub(crate) out: String,
    /// All of its standard error.
    pub(crate) err: String,
}

impl Program {
    /// Starts `command` with nothing to read, and with neither colours nor a filter for its log.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::started(command.env_remove("LINKQUAL_HISTORY"))
    }

    /// Starts it with its history at `path`.
    pub(crate) fn start_with_history(command: &mut Command, path: &Path) -> Self {
        Self::started(command.env("LINKQUAL_HISTORY", path))
    }

    fn started(command: &mut Command) -> Self {
        command.env_remove("RUST_LOG").env_remove("NO_COLOR");
        // The keys of whoever runs the tests are none of theirs: nothing can be read or made there.
        if !command.get_envs().any(|(name, _)| name == CONFIG) {
            command.env(CONFIG, "/dev/null/config");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let out = Said::by(child.stdout.take().expect("it is piped"));
        let err = Said::by(child.stderr.take().expect("it is piped"));
        Self { child, out, err }
    }

    /// Its standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// Its standard error so far.
    pub(crate) fn err(&self) -> String {
        self.err.text()
    }

    /// Waits until its standard error contains `text`.
    #[track_caller]
    pub(crate) fn await_said(&self, limit: Duration, text: &str) {
        await_within(limit, text, || self.err().contains(text).then_some(()));
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is this test's own child")
    }

    /// Sends it a signal by its name, such as INT.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(status.success(), "{kill}");
    }

    /// Kills it as `SIGKILL` does: it can say nothing more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is this test's own child");
        self.child.wait().expect("it is this test's own child");
    }

    /// Waits until it ends.
    #[track_caller]
    pub(crate) fn ended(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            let (out, err) = (self.out(), self.err());
            assert!(Instant::now() < until, "it runs after {limit:?}:\n{out}\n---\n{err}");
            thread::sleep(LOOK);
        };
        Ended { code: status.code(), out: self.out.whole(), err: self.err.whole() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts that it exited with `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n{}\n---\n{}", self.out, self.err);
        self
    }

    /// Asserts that it failed with `code`, and said on the standard error alone why: with each of
    /// `words`.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: i32, words: &[&str]) -> &Self {
        self.expect_code(code);
        assert_eq!(self.out, "", "an error is no result");
        assert!(self.err.contains("error: "), "no error is shown: {}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not said: {}", self.err);
        }
        self
    }

    /// Its standard output as the one JSON document that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.out);
        assert!(parsed.is_ok(), "not one JSON document: {}", self.out);
        parsed.expect("seen above")
    }
}

/// A folder with the keys of a driver and of an agent.
#[derive(Debug)]
pub(crate) struct Keys {
    folder: TempDir,
}

impl Keys {
    /// Makes both with `linkqual keygen`; the driver's is called `who`.
    pub(crate) fn of(who: &str) -> Self {
        let keys = Self { folder: tempfile::tempdir().expect("a folder") };
        keys.make("driver", who);
        keys.make("agent", "agent");
        keys
    }

    /// Makes another.
    pub(crate) fn make(&self, name: &str, comment: &str) -> PathBuf {
        let path = self.path(name);
        run(linkqual().args(["keygen", "--comment", comment, "--out"]).arg(&path)).expect_code(0);
        path
    }

    /// A path in their folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The fingerprint of the public key in `name`.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let line = linkqual::io::key::read_public(&self.path(name)).expect("a public key");
        line.key().to_string()
    }
}

/// A user who has no keys yet, and whose folder for them is a temporary one.
#[derive(Debug)]
pub(crate) struct User {
    folder: TempDir,
}

impl User {
    /// A new one.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// The driver's program, run by this user.
    pub(crate) fn linkqual(&self, args: &[&str]) -> Command {
        let mut command = linkqual();
        command.args(args).env("LOGNAME", "alice").env("USER", "alice").env_remove("SUDO_USER");
        command.env(CONFIG, self.folder.path()).env("XDG_DATA_HOME", self.data());
        command
    }

    /// The folder of what this user's programs keep.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path in the folder of this user's keys.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("linkqual").join(name)
    }

    /// The line of this user's key, which is made where there is none.
    #[track_caller]
    pub(crate) fn key_line(&self) -> String {
        let ended = run(&mut self.linkqual(&["key"]));
        ended.expect_code(0).out.trim_end().to_owned()
    }

    /// Has this user trust `agent`.
    #[track_caller]
    pub(crate) fn trust(&self, agent: &Agent) {
        let (host, print) = (agent.address.to_string(), agent.keys.fingerprint("agent.pub"));
        run(&mut self.linkqual(&["trust", &host, "--fingerprint", &print])).expect_code(0);
    }
}

/// An agent that serves the driver of its keys.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Its keys, and its driver's.
    pub(crate) keys: Keys,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The program.
    pub(crate) program: Program,
    _part: Option<Part>,
}

impl Agent {
    /// Starts one on a port of the system's choice.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::start_in(None, "127.0.0.1:0", args)
    }

    /// Starts one in a network namespace, to listen at `listen`.
    pub(crate) fn start_in(namespace: Option<&str>, listen: &str, args: &[&str]) -> Self {
        let part = Part::light();
        let keys = Keys::of("alice");
        let program = Self::program(&keys, namespace, listen, args);
        let address = await_within(PATIENCE, "an agent listens", || address(&program.out()));
        Self { keys, address, program, _part: part }
    }

    /// Starts one that may have no more than `descriptors`.
    pub(crate) fn start_limited(descriptors: u32, args: &[&str]) -> Self {
        let (part, keys) = (Part::light(), Keys::of("alice"));
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={descriptors}:{descriptors}"));
        command.args([env!("CARGO_BIN_EXE_linkqual-agent"), "--listen", "127.0.0.1:0", "--key"]);
        command.arg(keys.path("agent")).arg("--allow").arg(keys.path("driver.pub")).args(args);
        let program = Program::start(&mut command);
        let address = await_within(PATIENCE, "an agent listens", || address(&program.out()));
        Self { keys, address, program, _part: part }
    }

    /// Starts one that makes its own key, and serves whom its file of drivers lists.
    pub(crate) fn of_file(args: &[&str]) -> Self {
        let (part, keys) = (Part::light(), Keys::of("alice"));
        for name in ["agent", "agent.pub"] {
            std::fs::remove_file(keys.path(name)).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
        command.args(["--listen", "127.0.0.1:0", "--make-key", "--key"]).arg(keys.path("agent"));
        command.arg("--drivers").arg(keys.path("drivers")).args(args);
        let program = Program::start(&mut command);
        let address = await_within(PATIENCE, "an agent listens", || address(&program.out()));
        Self { keys, address, program, _part: part }
    }

    /// `linkqual-agent allow` of this agent's driver.
    #[track_caller]
    pub(crate) fn allow(&self, limits: &[&str]) -> Ended {
        let line = std::fs::read_to_string(self.keys.path("driver.pub")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
        command.arg("allow").args(line.split_whitespace()).args(limits);
        run(command.arg("--drivers").arg(self.keys.path("drivers")))
    }

    /// `linkqual-agent allow` of `line`, in one word.
    #[track_caller]
    pub(crate) fn allow_line(&self, line: &str, limits: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkqual-agent"));
        command.args(["allow", line]).args(limits);
        run(command.arg("--drivers").arg(self.keys.path("drivers")))
    }

    fn program(keys: &Keys, namespace: Option<&str>, listen: &str, args: &[&str]) -> Program {
        let mut command = command_in(namespace, env!("CARGO_BIN_EXE_linkqual-agent"));
        command.args(["--listen", listen, "--key"]).arg(keys.path("agent"));
        command.arg("--allow").arg(keys.path("driver.pub")).args(args);
        Program::start(&mut command)
    }

    /// Kills it, and starts another in its place with `args`.
    pub(crate) fn restart_with(&mut self, args: &[&str]) {
        self.program.kill();
        let listen = self.address.to_string();
        self.program = Self::program(&self.keys, None, &listen, args);
        await_within(PATIENCE, "an agent listens again", || address(&self.program.out()));
    }

    /// `linkqual check` of this agent, without any question yet.
    pub(crate) fn check(&self) -> Command {
        self.check_at(self.address)
    }

    /// The same, at an address that leads to it.
    pub(crate) fn check_at(&self, address: SocketAddr) -> Command {
        let keys = &self.keys;
        check(&address.to_string(), &keys.path("driver"), &keys.path("agent.pub"))
    }

    /// The same, from a network namespace.
    pub(crate) fn check_from(&self, namespace: &str) -> Command {
        let keys = &self.keys;
        let mut command = command_in(Some(namespace), env!("CARGO_BIN_EXE_linkqual"));
        command.args(["check", &self.address.to_string(), "--key"]).arg(keys.path("driver"));
        command.arg("--agent-key").arg(keys.path("agent.pub"));
        command
    }
}

/// The address in an agent's first line, once that is whole.
fn address(out: &str) -> Option<SocketAddr> {
    let (first, _) = out.split_once('\n')?;
    let words: Vec<&str> = first.split(' ').collect();
    let ["linkqual-agent", _, "listens", "on", address, "(TCP", "and", "UDP),", "key", _] =
        words[..]
    else {
        return None;
    };
    address.parse().ok()
}

/// A command in a network namespace, or in this one where none is named.
fn command_in(namespace: Option<&str>, program: &str) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

/// The driver's program.
pub(crate) fn linkqual() -> Command {
    Command::new(env!("CARGO_BIN_EXE_linkqual"))
}

/// `linkqual check` of `host` with these key files.
pub(crate) fn check(host: &str, key: &Path, agent_key: &Path) -> Command {
    let mut command = linkqual();
    command.args(["check", host, "--key"]).arg(key).arg("--agent-key").arg(agent_key);
    command
}

/// Runs `command` to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    Program::start(command).ended(PATIENCE)
}

/// `text` with the version, which changes with each release, as `VERSION`.
pub(crate) fn without_version(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        writeln!(out, "{}", line.replace(env!("CARGO_PKG_VERSION"), "VERSION"))
            .expect("a String takes any text");
    }
    out
}

/// What a report says of one trial in one direction, on one level. Packets are the load's; of an
/// idle trial, the probes'.
#[derive(Clone, Debug)]
pub(crate) struct TrialRow {
    pub(crate) trial: usize,
    pub(crate) kind: TrialKind,
    pub(crate) direction: Direction,
    pub(crate) tested: bool,
    pub(crate) status: Status,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) dscp: u8,
    pub(crate) payload_bytes: Option<u32>,
    pub(crate) sent_packets: Option<u64>,
    pub(crate) paused_packets: Option<u64>,
    pub(crate) skipped_packets: Option<u64>,
    pub(crate) received_packets: Option<u64>,
    pub(crate) lost_packets: Option<u64>,
    pub(crate) late_packets: Option<u64>,
    pub(crate) duplicate_packets: Option<u64>,
    pub(crate) reordered_packets: Option<u64>,
    pub(crate) host_dropped_packets: Option<u64>,
    pub(crate) rejected_packets: Option<u64>,
    pub(crate) loss_bursts: Option<LossBursts>,
    pub(crate) outages: Option<Vec<OutageRecord>>,
    pub(crate) probe_received_packets: Option<u64>,
    pub(crate) probe_remarked_packets: Option<u64>,
    pub(crate) dscp_received: Option<u8>,
    /// The goodput of TCP in its best second.
    pub(crate) goodput_max_bit_s: Option<u64>,
    /// How many whole seconds that is the best of.
    pub(crate) goodput_seconds: Option<u64>,
    pub(crate) tcp: Option<TcpSenderCounts>,
    pub(crate) tcp_received: Option<TcpReceiverCounts>,
}

/// What a trial was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TrialKind {
    Idle,
    Udp,
    Tcp,
}

/// Every trial of `report`, forward and reverse, in their order.
pub(crate) fn rows(report: &Report) -> Vec<TrialRow> {
    report.rows().map(|row| TrialRow::of(&row)).collect()
}

impl TrialRow {
    fn of(row: &Row<'_>) -> Self {
        let (asked, outcome) = (&row.trial.asked, &row.trial.outcome);
        let (counts, figures) = (row.counts(), row.figures());
        let (sender, receiver) = (counts.sender.as_ref(), counts.receiver.as_ref());
        let loaded = asked.udp.filter(|udp| udp.rate.get(row.direction).is_some());
        let marks = counts.probes.marks;
        Self {
            trial: row.trial.trial,
            kind: match (asked.udp, &asked.tcp) {
                (Some(_), _) => TrialKind::Udp,
                (None, Some(_)) => TrialKind::Tcp,
                (None, None) => TrialKind::Idle,
            },
            direction: row.direction,
            tested: figures.tested,
            status: outcome.status,
            verdict: figures.verdict,
            dscp: asked.dscp,
            payload_bytes: loaded.map(|udp| udp.payload_octets),
            sent_packets: sender.map(|sender| sender.sent),
            paused_packets: sender.map(|sender| sender.paused),
            skipped_packets: sender.map(|sender| sender.skipped),
            received_packets: receiver.map(|receiver| receiver.received),
            lost_packets: figures.lost,
            late_packets: receiver.map(|receiver| receiver.late),
            duplicate_packets: receiver.map(|receiver| receiver.duplicate),
            reordered_packets: receiver.map(|receiver| receiver.reordered),
            host_dropped_packets: receiver.map(|receiver| receiver.host_dropped),
            rejected_packets: receiver.map(|receiver| receiver.rejected),
            loss_bursts: sender.and(receiver).map(|receiver| receiver.losses),
            outages: figures.outages.clone(),
            probe_received_packets: counts.probes.received,
            probe_remarked_packets: marks.map(|marks| marks.changed),
            dscp_received: marks.and_then(|marks| marks.other),
            goodput_max_bit_s: figures.tcp.as_ref().and_then(|tcp| tcp.goodput_max_bit_s),
            goodput_seconds: figures.tcp.as_ref().and_then(|tcp| tcp.goodput_seconds),
            tcp: counts.tcp_sender.clone(),
            tcp_received: counts.tcp_receiver.clone(),
        }
    }
}

/// Every trial of a report that is read as JSON, in their order.
#[track_caller]
pub(crate) fn trials(report: &Value) -> Vec<&Value> {
    let sites = report["links"][0]["sites"].as_array().expect("a list");
    let trials = sites.iter().map(|site| site["trials"].as_array().expect("a list"));
    trials.flatten().collect()
}
