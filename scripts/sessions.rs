//! Many lines watched by one process: whether each gets its probes, and what that costs.
//!
//! The agent is a real one, in a process of its own; each session here has a control connection, a
//! run and a probe stream of its own, as the product makes them. A session goes from one run to
//! the next, as one that is scheduled does, and the sessions begin one after the other, so that
//! runs begin and end all the time. The line is the loopback: it loses nothing and takes no time,
//! so that what is missing, and all of the round trip, is the programs'.
//!
//! `cargo build --release && cargo run --release --example sessions`

use clap::Parser;
use linkqual::driver::{self, HostClock, Job};
use linkqual::io::key::{generate, read_public, read_secret};
use linkqual::io::terminal::{print, say};
use linkqual::io::tls::Identity;
use linkqual::metric::Requirements;
use linkqual::plan::{Host, Link, Plan, Site, Test, Work};
use linkqual::report::Report;
use linkqual::stats::delays::{Delay, Delays};
use linkqual::units::{PacketRate, Span};
use linkqual::wire::key::PublicKey;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Watches many lines from one process, and reports whether each got its probes and what that cost.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Args {
    /// Sessions at once
    #[arg(long, default_value_t = 500)]
    sessions: u32,
    /// Probes per second of each
    #[arg(long, default_value_t = 10)]
    probes: u64,
    /// How long all of them are watched
    #[arg(long, default_value = "10 min")]
    duration: Span,
    /// Length of each run
    #[arg(long, default_value = "60 s")]
    run: Span,
    /// The agent's program; beside this one's folder if not given
    #[arg(long)]
    agent: Option<PathBuf>,
}

/// Sessions towards one agent.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Sessions at once.
    pub(crate) sessions: u32,
    /// Probes per second of each.
    pub(crate) probes: PacketRate,
    /// How long all of them run.
    pub(crate) duration: Span,
    /// Length of each run.
    pub(crate) run: Span,
    /// Where the agent is.
    pub(crate) agent: SocketAddr,
    /// This end.
    pub(crate) identity: Identity,
    /// The agent's key.
    pub(crate) agent_key: PublicKey,
}

/// What became of one session.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Runs that came to their end.
    pub(crate) runs: u64,
    /// Runs that did not.
    pub(crate) failures: u64,
    /// Probes that were due in all of them.
    pub(crate) due: u64,
    /// Probes that left.
    pub(crate) sent: u64,
    /// Replies that came back.
    pub(crate) received: u64,
    /// Probes that left later than half their gap.
    pub(crate) late: u64,
    /// The longest that a run took beside its probing, in seconds.
    pub(crate) beside_s: f64,
    /// The 99th percentile of the round trip in the worst of its runs.
    pub(crate) p99_us: f64,
    /// Why the last of those that did not end did not.
    pub(crate) failure: Option<String>,
}

impl Watched {
    /// Whether it got less than 99 of 100 probes and their replies.
    pub(crate) const fn is_starved(&self) -> bool {
        self.due == 0 || self.received * 100 < self.due * 99
    }

    fn fail(&mut self, why: String) {
        self.failures += 1;
        self.failure = Some(why);
    }

    fn take(&mut self, report: &Report, all: &Mutex<Delays>) {
        let trials: Vec<_> = report.sites().flat_map(|(_, site)| &site.trials).collect();
        let [trial] = trials.as_slice() else {
            return self.fail(format!("{} trials", trials.len()));
        };
        let (outcome, rtt) = (&trial.outcome, trial.figures.rtt_us.as_ref());
        self.runs += 1;
        self.sent += outcome.forward.probes.sent.unwrap_or(0);
        self.received += outcome.reverse.probes.received.unwrap_or(0);
        self.late += outcome.round_trip.late_probes;
        let p99 = rtt.and_then(|rtt| rtt.p99);
        self.p99_us = self.p99_us.max(p99.unwrap_or(f64::INFINITY));
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.merge(&outcome.round_trip.delays);
    }
}

impl Watch {
    /// Watches until each session has run for its time; what became of each, and all round trips
    /// together. The first begin at once, the last after one run's length.
    pub(crate) async fn watch(self: Arc<Self>) -> (Vec<Watched>, Delays) {
        let began = Instant::now();
        let all = Arc::new(Mutex::new(Delays::default()));
        let tasks: Vec<_> = (0..self.sessions)
            .map(|number| {
                let (watch, all) = (Arc::clone(&self), Arc::clone(&all));
                tokio::spawn(async move { watch.session(number, began, &all).await })
            })
            .collect();
        let mut watched = Vec::new();
        for task in tasks {
            watched.push(task.await.expect("a session never panics"));
        }
        let all = all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (watched, all)
    }

    async fn session(&self, number: u32, began: Instant, all: &Mutex<Delays>) -> Watched {
        let (run, whole) = (length(self.run), length(self.duration));
        let mut watched = Watched::default();
        sleep_until(began + run * number / self.sessions).await;
        while Instant::now() < began + run + whole {
            let run_began = Instant::now();
            watched.due += self.probes.packets_in(self.run);
            match self.run().await {
                Ok(report) => watched.take(&report, all),
                Err(error) => {
                    watched.fail(error.to_string());
                    sleep_until(Instant::now() + PAUSE).await;
                }
            }
            let beside = run_began.elapsed().saturating_sub(run);
            watched.beside_s = watched.beside_s.max(beside.as_secs_f64());
        }
        watched
    }

    async fn run(&self) -> Result<Report, driver::Error> {
        let job = Job::new(self.plan(), self.identity.clone(), vec![self.agent_key])?;
        // Nobody cancels it: what ends the program ends them all.
        let run = driver::run(job, HostClock).await;
        run.error.map_or(Ok(run.report), Err)
    }

    fn plan(&self) -> Plan {
        let agent = Host { name: self.agent.ip().to_string(), port: self.agent.port() };
        let site = Site { name: "far".into(), agent, key: None, management: None };
        Plan {
            link: Link { probes_per_second: Some(self.probes), ..Link::default() },
            key: None,
            near: linkqual::plan::Near::default(),
            sites: vec![site],
            idle: linkqual::plan::IDLE_DEFAULT,
            effort: linkqual::plan::Effort::Full,
            schedule: None,
            rules: linkqual::plan::LoadRules::default(),
            requirements: Requirements::default(),
            tests: vec![Test {
                site: None,
                work: Work::Idle,
                duration: Some(self.run),
                dscp: None,
            }],
        }
    }
}

/// How long a session waits behind a run that failed.
const PAUSE: Duration = Duration::from_secs(1);

const fn length(span: Span) -> Duration {
    Duration::from_nanos(span.nanos())
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
struct Spent {
    cpu_s: f64,
    resident_kib: u64,
    threads: u64,
}

impl Spent {
    /// That of the process `id`.
    fn of(id: &str) -> Result<Self, Box<dyn Error>> {
        /// What the kernel's own count of CPU time is in, everywhere on Linux.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let behind_name = stat.rsplit_once(") ").ok_or("no name in stat")?.1;
        let fields: Vec<&str> = behind_name.split(' ').collect();
        let cpu_s = (fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS_PER_SECOND;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let (resident_kib, threads) = (number("VmRSS:"), number("Threads:"));
        let threads = threads.ok_or("no Threads in status")?;
        Ok(Self { cpu_s, resident_kib: resident_kib.ok_or("no VmRSS in status")?, threads })
    }
}

/// Both processes at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    driver: Spent,
    agent: Spent,
}

/// The agent's process; dropped, it is killed.
struct Agent {
    child: Child,
    address: SocketAddr,
}

impl Agent {
    fn start(program: &Path, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--key"])
            .arg(folder.join("agent"))
            .arg("--allow")
            .arg(folder.join("driver.pub"))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}. Is it built?", program.display()))?;
        let said = child.stdout.take();
        // From here on it is killed where something goes wrong.
        let mut agent = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut first = String::new();
        BufReader::new(said.ok_or("it is piped")?).read_line(&mut first)?;
        let address = first.split(' ').find_map(|word| word.parse().ok());
        agent.address = address.ok_or_else(|| format!("the agent says: {first}"))?;
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(4)
        }
    }
}

/// Whether no session starved.
fn measure(args: &Args) -> Result<bool, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for name in ["driver", "agent"] {
        generate(&folder.path().join(name), name)?;
    }
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("linkqual-agent"));
    let program = args.agent.clone().or_else(beside).ok_or("no agent: give --agent")?;
    let agent = Agent::start(&program, folder.path())?;
    let watch = Arc::new(Watch {
        sessions: args.sessions,
        probes: PacketRate::new(args.probes).ok_or("0 probes per second")?,
        duration: args.duration,
        run: args.run,
        agent: agent.address,
        identity: Identity::new(&read_secret(&folder.path().join("driver"))?),
        agent_key: read_public(&folder.path().join("agent.pub"))?.key(),
    });
    let id = agent.child.id().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (watched, all, samples) = runtime.block_on(sampled(&watch, &id))?;
    print(&summary(&watch, &watched, &all, &samples))?;
    Ok(!watched.iter().any(Watched::is_starved))
}

type Measured = (Vec<Watched>, Delays, Vec<Sample>);

/// Watches, and looks at both processes ten times from when all sessions run.
async fn sampled(watch: &Arc<Watch>, agent: &str) -> Result<Measured, Box<dyn Error>> {
    const LOOKS: u32 = 10;
    let began = Instant::now();
    let sessions = tokio::spawn(Arc::clone(watch).watch());
    let mut samples = Vec::new();
    for look in 0..=LOOKS {
        let at = length(watch.run) + length(watch.duration) * look / LOOKS;
        sleep_until(began + at).await;
        samples.push(Sample { at, driver: Spent::of("self")?, agent: Spent::of(agent)? });
    }
    let (watched, all) = sessions.await?;
    Ok((watched, all, samples))
}

#[expect(clippy::cast_precision_loss, reason = "counts to be read, not to be judged")]
fn summary(watch: &Watch, watched: &[Watched], all: &Delays, samples: &[Sample]) -> String {
    let sum = |count: fn(&Watched) -> u64| watched.iter().map(count).sum::<u64>();
    let (due, sent, received) = (sum(|one| one.due), sum(|one| one.sent), sum(|one| one.received));
    let share = |one: &Watched| 100.0 * one.received as f64 / one.due.max(1) as f64;
    let least = watched.iter().map(share).fold(f64::INFINITY, f64::min);
    let worst = watched.iter().map(|one| one.p99_us).fold(0.0, f64::max);
    let rtt = |q| match all.quantile(q) {
        Some(Delay::Finite(nanos)) => format!("{:.1} us", nanos as f64 / 1e3),
        Some(Delay::Infinite) => "lost".to_owned(),
        None => "none".to_owned(),
    };
    let starved = watched.iter().filter(|one| one.is_starved()).count();
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        writeln!(text, "| {what} | {value} |").expect("a String takes any text");
    };
    line("sessions", format!("{}, {} probes/s each", watch.sessions, watch.probes));
    line("---", "---".to_owned());
    line("watched", format!("{} in runs of {}", watch.duration, watch.run));
    let beside = watched.iter().map(|one| one.beside_s).fold(0.0, f64::max);
    let (runs, failures) = (sum(|one| one.runs), sum(|one| one.failures));
    line("runs, failed ones", format!("{runs}, {failures}"));
    line("longest that a run took beside its probing", format!("{beside:.1} s"));
    line("probes due, sent, answered", format!("{due}, {sent}, {received}"));
    line("answered of the least answered session", format!("{least:.3} %"));
    line("starved sessions (less than 99 %)", starved.to_string());
    line("probes later than half their gap", sum(|one| one.late).to_string());
    line("round trip p50, p99, p99.9", format!("{}, {}, {}", rtt(0.5), rtt(0.99), rtt(0.999)));
    line("p99 of the worst run of any session", format!("{worst:.1} us"));
    if let [first, .., last] = samples {
        let took = (last.at - first.at).as_secs_f64();
        let share = |of: fn(&Sample) -> f64| 100.0 * (of(last) - of(first)) / took;
        let (driver, agent) = (share(|s| s.driver.cpu_s), share(|s| s.agent.cpu_s));
        line("CPU of driver, agent", format!("{driver:.1} %, {agent:.1} % of a core"));
    }
    text += "\n| after | driver MiB | threads | agent MiB | threads |\n|---|---|---|---|---|\n";
    for Sample { at, driver, agent } in samples {
        let mib = |spent: &Spent| spent.resident_kib as f64 / 1024.0;
        let (at, near, far) = (at.as_secs(), mib(driver), mib(agent));
        let (near_threads, far_threads) = (driver.threads, agent.threads);
        writeln!(text, "| {at} s | {near:.1} | {near_threads} | {far:.1} | {far_threads} |")
            .expect("a String takes any text");
    }
    for (number, one) in watched.iter().enumerate() {
        if let Some(failure) = &one.failure {
            writeln!(text, "session {number}: {failure}").expect("a String takes any text");
        }
    }
    text
}
