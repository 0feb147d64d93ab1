//! A run as a library: what a process has of it that starts many, watches them and ends them.

use crate::support::{Agent, PATIENCE, share};
use linkqual::account::Status;
use linkqual::driver::{
    Cancel, Clock, Error, Event, EventReader, HostClock, Job, Keep, NotKept, Phase, Run, events,
    run,
};
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::Identity;
use linkqual::plan::Plan;
use linkqual::plan::file::read;
use linkqual::report::{FindingRecord, Report, TrialRecord};
use linkqual::verdict::Verdict;
use linkqual::wire::key::PublicKey;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Who runs, and whom they meet.
struct Ends {
    identity: Identity,
    agent_key: PublicKey,
}

impl Ends {
    fn of(agent: &Agent) -> Self {
        Self {
            identity: Identity::new(&read_secret(&agent.keys.path("driver")).unwrap()),
            agent_key: read_public(&agent.keys.path("agent.pub")).unwrap().key(),
        }
    }

    /// A run of `tests`, in TOML, of `circuit` towards the agents at each of `agents`.
    fn job(&self, agents: &[SocketAddr], circuit: &str, tests: &str) -> Job {
        let keys = vec![self.agent_key; agents.len()];
        Job::new(plan_of(agents, circuit, tests), self.identity.clone(), keys).unwrap()
    }
}

fn plan_of(agents: &[SocketAddr], circuit: &str, tests: &str) -> Plan {
    let site = |(number, agent): (usize, &SocketAddr)| {
        format!("[sites.site{number}]\nagent = '{agent}'\nkey = 'a.pub'\n")
    };
    let sites: String = agents.iter().enumerate().map(site).collect();
    let text = format!(
        "idle = '1 s'\n[link]\ncircuit = '{circuit}'\ncbs_bytes = 1500\n[driver]\nkey = 'd'\n\
         {sites}{tests}"
    );
    read(Path::new("plan.toml"), &text).conclude().unwrap().0
}

/// One thread, as the programs have it.
fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Several threads, among which futures move while they wait.
fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

const IDLE: &str = "[[test]]\nkind = 'idle'\nduration = '1 s'\n";

/// Load in both directions for so many seconds.
fn load(rate: &str, seconds: u32) -> String {
    format!(
        "{IDLE}[[test]]\nkind = 'udp'\nrate = '{rate}'\ndirection = 'both'\nsize = 600\n\
         duration = '{seconds} s'\n"
    )
}

fn trials(report: &Report) -> Vec<&TrialRecord> {
    report.sites().flat_map(|(_, site)| &site.trials).collect()
}

fn statuses(report: &Report) -> Vec<Status> {
    trials(report).iter().map(|trial| trial.outcome.status).collect()
}

/// Received packets of load, both directions together.
fn received(trial: &TrialRecord) -> u64 {
    let outcome = &trial.outcome;
    let received = [&outcome.forward, &outcome.reverse].map(|counts| counts.receiver.as_ref());
    received.into_iter().flatten().map(|receiver| receiver.received).sum()
}

/// Waits until the load has come so far that it is seen.
async fn loaded(reader: &mut EventReader) {
    let mut is_load = false;
    while let Some(event) = reader.next().await {
        match event {
            Event::Phase { phase: Phase::Measuring(trial), .. } => is_load = !trial.is_idle(),
            Event::Progress(progress) if is_load && 50 < progress.sent => return,
            _ => {}
        }
    }
    panic!("the run ended before it loaded");
}

/// Keeps every record that it is handed.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Report>>>);

impl Keep for Kept {
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        self.0.lock().unwrap().push(report.clone());
        Ok(())
    }
}

impl Kept {
    fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap().clone()
    }
}

/// By its type, whatever the clock: it may be spawned, and moved among threads.
#[test]
fn a_run_is_a_future_for_any_runtime() {
    fn is_at_home_anywhere<T: Future<Output = Run> + Send + 'static>(_: &T) {}
    let agent = Agent::start();
    let job = Ends::of(&agent).job(&[agent.address], "any", IDLE);
    is_at_home_anywhere(&run(job, HostClock));
}

/// The driver's part of a process that watches many links.
#[test]
fn fifty_loads_at_once_towards_one_agent_each_end_with_a_verdict() {
    const JOBS: usize = 50;
    let _machine = share(20);
    let agent = Agent::start();
    let ends = Ends::of(&agent);
    let required = "[require]\nthroughput = '>= 200 kbit/s'\nloss = '<= 10%'\n";
    let runs = two_threads().block_on(async {
        let running: Vec<_> = (0..JOBS)
            .map(|number| {
                let tests = format!("{required}{}", load("200 kbit/s", 4));
                let job = ends.job(&[agent.address], &format!("circuit {number}"), &tests);
                tokio::spawn(run(job, HostClock))
            })
            .collect();
        let mut runs = Vec::new();
        for one in running {
            runs.push(timeout(PATIENCE, one).await.unwrap().unwrap());
        }
        runs
    });
    let mut names: Vec<_> = runs.iter().map(|run| run.report.run.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), JOBS, "each has a name of its own");
    for (number, Run { report, kept, error }) in runs.iter().enumerate() {
        assert!(error.is_none() && kept.is_ok(), "run {number}: {error:?}, {kept:?}");
        assert!(report.complete, "run {number}: {:?}", report.reason);
        // A load that was held up by a busy host is run once more, for longer.
        let statuses = statuses(report);
        assert!(matches!(
            statuses[..],
            [Status::Ok, Status::Ok] | [Status::Ok, Status::Ok, Status::Ok]
        ));
        assert_eq!(report.findings.len(), 4, "two requirements, both ways");
        // A host that is too slow for all of them makes a run INVALID; nothing was lost.
        assert_ne!(
            report.verdict,
            Verdict::Fail,
            "run {number}: {}",
            linkqual::report::text(report)
        );
        assert!(80 < received(trials(report)[1]), "run {number}: {report:?}");
    }
    let load = |run: &Run| {
        let load = trials(&run.report)[1];
        (load.started_at.clone().unwrap(), load.ended_at.clone().unwrap())
    };
    let last_begin = runs.iter().map(|run| load(run).0).max().unwrap();
    let first_end = runs.iter().map(|run| load(run).1).min().unwrap();
    assert!(last_begin < first_end, "all load at once: {last_begin} {first_end}");
}

#[test]
fn a_run_that_is_cancelled_keeps_what_was_measured() {
    let agent = Agent::start();
    let (events, mut reader) = events(1);
    let (cancel, kept) = (Cancel::default(), Kept::default());
    let tests = format!("[require]\nloss = '<= 10%'\n{}", load("1 Mbit/s", 60));
    let never = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let job = Ends::of(&agent).job(&[agent.address, never], "cancelled", &tests);
    let job = job.reporting_to(events).ended_by(&cancel).kept_by(kept.clone());
    let run = one_thread().block_on(async {
        let running = tokio::spawn(run(job, HostClock));
        loaded(&mut reader).await;
        cancel.cancel();
        timeout(Duration::from_secs(20), running).await.expect("it ends soon").unwrap()
    });
    let report = &run.report;
    assert!(run.error.is_none() && run.kept.is_ok(), "{:?}", run.error);
    assert_eq!((report.complete, report.reason.as_deref()), (false, Some("site0: interrupted")));
    let expected = [Status::Ok, Status::Partial, Status::NotRun, Status::NotRun];
    assert_eq!(statuses(report), expected);
    let cut = trials(report)[1];
    assert!(50 < received(cut), "what had come is in the record: {cut:?}");
    assert!(cut.ended_at.is_some(), "{cut:?}");
    assert_eq!(report.verdict, Verdict::Inconclusive, "{:?}", report.findings);
    let kept = kept.all();
    let after_idle = kept.first().expect("the idle trial was kept when it was over");
    assert_eq!(statuses(after_idle), [Status::Ok]);
    assert_eq!(kept.last(), Some(report), "what is kept last is what is returned");
}

#[test]
fn a_run_that_is_cancelled_twice_ends_at_once_with_the_trials_before() {
    let agent = Agent::start();
    let (events, mut reader) = events(1);
    let cancel = Cancel::default();
    let job = Ends::of(&agent).job(&[agent.address], "twice", &load("1 Mbit/s", 60));
    let job = job.reporting_to(events).ended_by(&cancel);
    let run = one_thread().block_on(async {
        let running = tokio::spawn(run(job, HostClock));
        loaded(&mut reader).await;
        cancel.cancel();
        cancel.cancel();
        timeout(Duration::from_secs(20), running).await.expect("it ends soon").unwrap()
    });
    assert!(run.error.is_none(), "the idle trial was measured");
    assert_eq!(statuses(&run.report)[0], Status::Ok);
    assert!(!run.report.complete);
}

#[test]
fn a_run_that_is_cancelled_before_it_begins_says_that_nothing_was_run() {
    let agent = Agent::start();
    let (cancel, kept) = (Cancel::default(), Kept::default());
    cancel.cancel();
    let job = Ends::of(&agent).job(&[agent.address], "never", &load("1 Mbit/s", 60));
    let run = one_thread().block_on(run(job.ended_by(&cancel).kept_by(kept.clone()), HostClock));
    assert!(matches!(run.error, Some(Error::Interrupted)), "{:?}", run.error);
    assert_eq!(statuses(&run.report), [Status::NotRun; 2], "what was planned is in the report");
    assert!(kept.all().is_empty(), "nothing was measured, so nothing is kept");
}

/// The threads stop, and the agent gives the circuit to the next.
#[test]
fn a_run_that_is_dropped_leaves_its_circuit_to_the_next() {
    let agent = Agent::start();
    let ends = Ends::of(&agent);
    let (events, mut reader) = events(1);
    let kept = Kept::default();
    let job = ends.job(&[agent.address], "dropped", &load("1 Mbit/s", 60));
    let job = job.reporting_to(events).kept_by(kept.clone());
    let run = two_threads().block_on(async {
        let running = tokio::spawn(run(job, HostClock));
        loaded(&mut reader).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        let began = tokio::time::Instant::now();
        loop {
            let next = ends.job(&[agent.address], "dropped", &load("1 Mbit/s", 1));
            let next = run(next, HostClock).await;
            if next.report.complete || Duration::from_secs(30) < began.elapsed() {
                return next;
            }
        }
    });
    assert!(run.report.complete, "{:?}", run.report.reason);
    assert_eq!(kept.all().iter().map(statuses).collect::<Vec<_>>(), [[Status::Ok]]);
}

/// Only progress gives way; the run itself takes no longer.
#[test]
fn a_reader_that_never_reads_holds_nothing_up_and_misses_progress_alone() {
    let agent = Agent::start();
    let (events, mut reader) = events(3);
    let tests = format!("[require]\noutage = '<= 2 s'\nloss = '<= 10%'\n{}", load("1 Mbit/s", 3));
    let job = Ends::of(&agent).job(&[agent.address], "unheard", &tests).reporting_to(events);
    let (run, events_seen) = one_thread().block_on(async {
        let run = run(job, HostClock).await;
        let mut events_seen = Vec::new();
        while let Some(event) = reader.next().await {
            events_seen.push(event);
        }
        (run, events_seen)
    });
    let report = run.report;
    assert!(report.complete, "{:?}", report.reason);
    let progress = events_seen.iter().filter(|event| matches!(event, Event::Progress(_))).count();
    assert_eq!(progress, 3, "4 s of it were sent, and the newest of it waited");
    let phases: Vec<_> = events_seen.iter().filter_map(phase).collect();
    let expected = [
        "resolving",
        "connecting",
        "asking",
        "searching",
        "asking",
        "idle",
        "judging",
        "load",
        "judging",
        "over",
    ];
    assert_eq!(phases, expected);
    let notes = events_seen.iter().filter_map(|event| match event {
        Event::Note(note) => Some(note.clone()),
        _ => None,
    });
    let notes: Vec<_> = notes.collect();
    assert!(!notes.is_empty(), "the credit of a policer at least is noted");
    assert_eq!(notes, report.notes);
    for finding in &report.findings {
        let same = |other: &&FindingRecord| {
            (other.metric, other.direction) == (finding.metric, finding.direction)
        };
        let mut findings = events_seen.iter().filter_map(|event| match event {
            Event::Finding(finding) => Some(finding),
            _ => None,
        });
        assert_eq!(findings.rfind(same), Some(finding), "sent last as it stands");
    }
    for caveat in &report.caveats {
        assert!(events_seen.contains(&Event::Caveat(caveat.clone())), "{caveat:?}");
    }
}

fn phase(event: &Event) -> Option<&'static str> {
    let Event::Phase { site: 0, phase } = event else { return None };
    Some(match phase {
        Phase::Resolving => "resolving",
        Phase::Connecting => "connecting",
        Phase::Asking => "asking",
        Phase::Searching(_) => "searching",
        Phase::Measuring(trial) if trial.is_idle() => "idle",
        Phase::Measuring(_) => "load",
        Phase::Judging => "judging",
        Phase::Over => "over",
    })
}

/// A record that cannot be kept ends no run; whoever watches is warned, also at the end.
#[test]
fn a_record_that_cannot_be_kept_is_a_warning_and_stands_in_the_result() {
    struct Full;
    impl Keep for Full {
        fn keep(&mut self, _: &Report) -> Result<(), NotKept> {
            Err("no space left".into())
        }
    }
    let agent = Agent::start();
    let (events, mut reader) = events(0);
    let job =
        Ends::of(&agent).job(&[agent.address], "full", IDLE).reporting_to(events).kept_by(Full);
    let (run, warnings) = one_thread().block_on(async {
        let run = run(job, HostClock).await;
        let mut warnings = Vec::new();
        while let Some(event) = reader.next().await {
            if let Event::Warning(why) = event {
                warnings.push(why);
            }
        }
        (run, warnings)
    });
    assert!(run.report.complete);
    assert_eq!(run.kept.unwrap_err().to_string(), "no space left");
    assert_eq!(warnings, ["no space left. The run goes on, and tries again later"]);
}

/// 2033-05-18, when the seconds since 1970 are 2 000 000 000.
#[test]
fn a_run_and_its_trials_are_dated_by_the_clock_that_it_is_given() {
    struct Fixed;
    impl Clock for Fixed {
        fn wall_ns(&self) -> u64 {
            2_000_000_000_000_000_000
        }
    }
    let agent = Agent::start();
    let job = Ends::of(&agent).job(&[agent.address], "dated", IDLE);
    let run = one_thread().block_on(run(job, Fixed));
    let trial = trials(&run.report)[0];
    let dates = [Some(&run.report.started_at), trial.started_at.as_ref()];
    for date in dates {
        assert!(date.is_some_and(|date| date.starts_with("2033-05-18T03:33:20")), "{date:?}");
    }
}

#[test]
fn a_site_that_is_not_reached_takes_nothing_from_the_others() {
    let agent = Agent::start();
    let ends = Ends::of(&agent);
    let closed = {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        taken.local_addr().unwrap()
    };
    let both =
        one_thread().block_on(run(ends.job(&[closed, agent.address], "two", IDLE), HostClock));
    assert!(both.error.is_none(), "something was measured");
    assert_eq!(statuses(&both.report), [Status::NotRun, Status::Ok]);
    let reason = both.report.reason.unwrap();
    assert!(reason.starts_with(&format!("site0: connection refused by {closed}")), "{reason}");
    let none = one_thread().block_on(run(ends.job(&[closed], "two", IDLE), HostClock));
    assert!(matches!(none.error, Some(Error::Refused { .. })), "{:?}", none.error);
    assert_eq!(statuses(&none.report), [Status::NotRun]);
    let keyless = Job::new(plan_of(&[closed], "two", IDLE), ends.identity, Vec::new());
    assert!(matches!(keyless, Err(Error::Keys { sites: 1, keys: 0 })), "{keyless:?}");
}
