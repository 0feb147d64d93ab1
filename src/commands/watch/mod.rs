//! `linkqual watch`: runs plans by their schedules until it is ended, and records each run.

use super::error::Error;
use super::recording::{Begun, Recording, configured, spool};
use super::running::job_of;
use super::runtime::runtime;
use super::scheduling::{Recurring, now, recurring};
use crate::account::plain;
use crate::cli::WatchArgs;
use crate::driver::{Cancel, HostClock, NotKept, Run, new_run, run};
use crate::history::Class;
use crate::io::files::{make_private_folder, read_text, replace_private};
use crate::io::service;
use crate::io::terminal::say;
use crate::schedule::{Due, Missed, Schedule, Step};
use crate::store::{Place, Store};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinSet, spawn_blocking};

/// How often the clock is looked at, whatever is due: it may have been set.
const LOOK: Duration = Duration::from_secs(10);

/// How long before its window closes a run is ended: it takes a moment for its last counts.
const BEFORE_CLOSING: SignedDuration = SignedDuration::from_secs(5);

/// How far back runs that were missed are looked for.
const BACK_MAX: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The octets of the file below at most.
const OCTETS_MAX: u64 = 128;

/// `linkqual watch`.
///
/// # Errors
///
/// Where a plan is wrong, there is no history, or this host cannot do it.
pub(super) fn watch(args: &WatchArgs) -> Result<ExitCode, Error> {
    let place = configured(&args.place)?.ok_or_else(|| {
        let what = "watch records each run, and there is no history yet. Make one: linkqual \
                    history init";
        Error::History(what.to_owned())
    })?;
    let links = recurring(&args.plans)?;
    if let Some(unknown) = super::keys::unknown(&plans_of(&links))? {
        return Err(Error::UnknownAgents(unknown));
    }
    runtime()?.block_on(async {
        // A wrong place is known before anything is due; a server may come back later.
        if let Place::File(_) = place {
            Store::open(&place).await?.close().await?;
        }
        let mut signals = Signals::new()?;
        let mut watch = Watch::begin(args.plans.clone(), place, links)?;
        watch.run(&mut signals).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn plans_of(links: &[Recurring]) -> Vec<crate::plan::Plan> {
    links.iter().map(|link| link.plan.clone()).collect()
}

/// What this program is asked by.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind);
        let failed = |error: std::io::Error| {
            Error::Run(crate::driver::Error::System(format!("signals cannot be handled: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt()).map_err(failed)?,
            terminate: listen(SignalKind::terminate()).map_err(failed)?,
            reload: listen(SignalKind::hangup()).map_err(failed)?,
        })
    }
}

/// The service: links, their schedule, and the runs under way.
struct Watch {
    paths: Vec<PathBuf>,
    place: Place,
    links: Vec<Recurring>,
    schedule: Schedule,
    /// The runs under way, by the names of their links.
    running: BTreeMap<String, Running>,
    tasks: JoinSet<Over>,
}

/// A run under way.
struct Running {
    cancel: Cancel,
    /// When its window closes.
    closes: Option<Timestamp>,
    is_cancelled: bool,
}

/// What a task came to.
enum Over {
    /// A run of the link of that name: what it came to, in a line; or why it did not come about.
    Run(String, Result<String, String>),
    /// A missed run of the link of that name was recorded, or could not be.
    Missed(String, Result<(), String>),
}

impl Watch {
    fn begin(paths: Vec<PathBuf>, place: Place, links: Vec<Recurring>) -> Result<Self, Error> {
        let since = seen(&paths)?.unwrap_or_else(now);
        let schedule = schedule_of(&links, since);
        say(&format!("{} links are watched", links.len()));
        let running = BTreeMap::new();
        Ok(Self { paths, place, links, schedule, running, tasks: JoinSet::new() })
    }

    /// Until a signal ends it.
    async fn run(&mut self, signals: &mut Signals) -> Result<(), Error> {
        service::ready(&self.status());
        loop {
            // Written down first: whatever ends this program, no run is started twice.
            if let Err(error) = see(&self.paths, now()) {
                // Runs go on: what is lost is which were missed while this program is down.
                say(&plain(&format!("warning: {error}")));
            }
            self.see_to();
            service::alive(&self.status());
            let pause = self.pause();
            tokio::select! {
                Some(over) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.handle_over(over);
                }
                _ = signals.reload.recv() => self.reload(),
                _ = signals.interrupt.recv() => break,
                _ = signals.terminate.recv() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        service::stopping();
        self.end().await;
        Ok(())
    }

    /// What the service manager shows.
    fn status(&self) -> String {
        let next = match self.schedule.deadline() {
            Some(next) => format!("next run {}", next.strftime("%Y-%m-%d %H:%M:%S UTC")),
            None => "no run is due".to_owned(),
        };
        match self.running.len() {
            0 => next,
            count => format!("{count} running, {next}"),
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let running = self.running.values().filter(|running| !running.is_cancelled);
        let closing =
            running.filter_map(|running| running.closes?.checked_sub(BEFORE_CLOSING).ok());
        let next = closing.chain(self.schedule.deadline()).min();
        let next = next.map(|next| next.duration_since(now()));
        let next = next.map(|next| Duration::try_from(next).unwrap_or(Duration::ZERO));
        next.unwrap_or(LOOK).min(LOOK)
    }

    /// Does all that is due, and ends what would load its link when its window has closed: a run
    /// that takes longer than it was planned to.
    fn see_to(&mut self) {
        let soon = now().checked_add(BEFORE_CLOSING).unwrap_or(Timestamp::MAX);
        for (name, running) in &mut self.running {
            if !running.is_cancelled && running.closes.is_some_and(|closes| closes <= soon) {
                say(&plain(&format!("{name}: ended, as its window closes")));
                running.cancel.cancel();
                running.is_cancelled = true;
            }
        }
        while let Some(step) = self.schedule.poll(now()) {
            match step {
                Step::Start(place, _) => self.start(place),
                Step::Missed(place, due, why) => self.miss(place, due, &why),
            }
        }
    }

    fn start(&mut self, place: usize) {
        let link = self.links[place].clone();
        let name = link.scheduled.name.clone();
        let cancel = Cancel::default();
        let (history, ended) = (self.place.clone(), cancel.clone());
        say(&plain(&format!("{name}: started")));
        let closes = self.schedule.closes(place, now());
        self.running.insert(name.clone(), Running { cancel, closes, is_cancelled: false });
        self.tasks.spawn(async move {
            let outcome = conduct(link, history, ended).await;
            Over::Run(name, outcome.map_err(|why| why.to_string()))
        });
    }

    /// A database that does not answer holds up nothing: this is recorded beside what goes on.
    fn miss(&mut self, place: usize, due: Due, why: &Missed) {
        let link = self.links[place].clone();
        let (name, why) = (link.scheduled.name.clone(), why.to_string());
        say(&plain(&format!("{name}: missed the run of {}: {why}", due.start)));
        let history = self.place.clone();
        self.tasks.spawn_blocking(move || {
            let recorded = record_missed(history, &link, due, why);
            Over::Missed(name, recorded.map_err(|why| why.to_string()))
        });
    }

    fn handle_over(&mut self, over: Result<Over, tokio::task::JoinError>) {
        let (name, text) = match over {
            Ok(Over::Run(name, outcome)) => {
                self.running.remove(&name);
                self.schedule.handle_over(&name);
                (name, outcome.unwrap_or_else(|why| format!("error: {why}")))
            }
            Ok(Over::Missed(_, Ok(()))) => return,
            Ok(Over::Missed(name, Err(why))) => {
                (name, format!("warning: the missed run could not be recorded: {why}"))
            }
            // A fault of this program ends it: the service manager starts it again.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        say(&plain(&format!("{name}: {text}")));
    }

    /// Takes the plans as they are now; those from before where they are wrong.
    fn reload(&mut self) {
        let links = recurring(&self.paths).and_then(|links| {
            match super::keys::unknown(&plans_of(&links))? {
                Some(unknown) => Err(Error::UnknownAgents(unknown)),
                None => Ok(links),
            }
        });
        match links {
            Ok(links) => {
                let scheduled = links.iter().map(|link| link.scheduled.clone()).collect();
                self.schedule = Schedule::succeed(&self.schedule, scheduled, now());
                self.links = links;
                say(&format!("the plans were read again: {} links are watched", self.links.len()));
            }
            Err(error) => {
                say(&plain(&format!("warning: {error}")));
                say("warning: the plans were not read again: those from before stay");
            }
        }
    }

    /// Ends the runs under way, and waits until they are recorded.
    async fn end(&mut self) {
        let waiting: Vec<(usize, Due)> = self.schedule.waiting().collect();
        waiting.into_iter().for_each(|(place, due)| self.miss(place, due, &Missed::Ended));
        self.running.values().for_each(|running| running.cancel.cancel());
        while let Some(over) = self.tasks.join_next().await {
            self.handle_over(over);
        }
    }
}

fn schedule_of(links: &[Recurring], since: Timestamp) -> Schedule {
    Schedule::new(links.iter().map(|link| link.scheduled.clone()).collect(), since)
}

fn record_missed(history: Place, link: &Recurring, due: Due, why: String) -> Result<(), NotKept> {
    let due_ns = u64::try_from(due.start.as_nanosecond()).unwrap_or(0);
    let name = new_run()?.to_string();
    let plans = [&link.plan];
    Recording::missed(history, &begun(link, &name, &plans), due_ns, why)
}

fn begun<'a>(link: &'a Recurring, run: &'a str, plans: &'a [&'a crate::plan::Plan]) -> Begun<'a> {
    Begun { command: "watch", run, plans, file: Some(&link.file) }
}

/// Runs `link` once and records it; what it came to, in a line.
async fn conduct(link: Recurring, history: Place, cancel: Cancel) -> Result<String, NotKept> {
    let job = match job_of(link.plan.clone()) {
        Ok(job) => job,
        Err(error) => {
            let (why, start) = (error.to_string(), now());
            let (due, impossible) = (Due { start, end: start }, why.clone());
            spawn_blocking(move || record_missed(history, &link, due, impossible)).await??;
            return Err(why.into());
        }
    };
    let job = job.from_file(Some(link.file.clone())).ended_by(&cancel);
    let name = job.run().to_string();
    let recording = spawn_blocking(move || {
        let plans = [&link.plan];
        let begun = begun(&link, &name, &plans);
        Recording::begin(history, Class::Scheduled, &begun)
    });
    let recording = recording.await?.map_err(|error| NotKept::from(error.to_string()))?;
    let run = run(job.kept_by(recording.clone()), HostClock).await;
    let text = outcome(&run);
    spawn_blocking(move || recording.conclude(&run)).await??;
    Ok(text)
}

/// What a run came to.
fn outcome(run: &Run) -> String {
    let name = run.report.run.get(..16).unwrap_or_default();
    match (&run.error, run.report.headlines().first()) {
        (Some(error), _) => format!("not run: {error}"),
        (None, Some(headline)) => format!("{}: {} (run {name})", headline.verdict, headline.why),
        (None, None) => format!("{} (run {name})", run.report.verdict),
    }
}

/// Until when the schedule was seen to; `None` where it never was, or too long ago.
fn seen(paths: &[PathBuf]) -> Result<Option<Timestamp>, Error> {
    let path = folder()?.join(seen_file(paths));
    if !path.exists() {
        return Ok(None);
    }
    let seen = read_text(&path, OCTETS_MAX)?.text.trim().parse::<Timestamp>().ok();
    let (now, back) = (now(), now().checked_sub(BACK_MAX).unwrap_or(Timestamp::MIN));
    // A clock that was ahead then would keep everything from starting.
    Ok(seen.map(|seen| seen.clamp(back, now)))
}

/// Writes down that the schedule was seen to until `at`.
fn see(paths: &[PathBuf], at: Timestamp) -> Result<(), Error> {
    let folder = folder()?;
    let failed = |source| crate::store::Error::File { path: folder.clone(), source };
    make_private_folder(&folder).map_err(failed)?;
    Ok(replace_private(&folder, &seen_file(paths), &format!("{at}\n"))?)
}

/// Beside the folder in which runs are kept aside.
fn folder() -> Result<PathBuf, Error> {
    let spool = spool()?;
    Ok(spool.folder().parent().unwrap_or(spool.folder()).to_owned())
}

/// The file that says until when the schedule of these plans has been seen to.
fn seen_file(paths: &[PathBuf]) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    paths.hash(&mut hasher);
    format!("watch-{:016x}.seen", hasher.finish())
}
