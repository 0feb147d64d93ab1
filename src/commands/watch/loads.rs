//! The runs of a watch: which are due and under way, and what becomes of each.

use super::guard::{Guard, Input, Works};
use super::permits::{Elsewhere, Permits};
use crate::account::plain;
use crate::commands::leasing::Leasing;
use crate::commands::recording::{Begun, Recording};
use crate::commands::running::job_of;
use crate::commands::scheduling::{Recurring, now};
use crate::commands::stopping::obey;
use crate::driver::{Cancel, HostClock, NotKept, Run, new_run, run};
use crate::health::Calendar;
use crate::history::Class;
use crate::io::terminal::say;
use crate::plan::Plan;
use crate::report::Report;
use crate::schedule::{Due, Missed, Schedule, Step};
use crate::store::Place;
use crate::verdict::Verdict;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

/// How long before its window closes a run is ended: it takes a moment for its last counts.
const BEFORE_CLOSING: SignedDuration = SignedDuration::from_secs(5);

/// The links that have a schedule, and the runs of them that are under way.
pub(super) struct Loads {
    history: Place,
    links: Vec<Recurring>,
    schedule: Schedule,
    /// The runs under way, by the names of their links.
    running: BTreeMap<String, Running>,
    tasks: JoinSet<Over>,
    /// Where reports go that states follow from.
    judged: mpsc::UnboundedSender<Input>,
    /// When each link is worked on.
    works: watch::Receiver<Works>,
    permits: Permits,
}

/// A run under way.
struct Running {
    cancel: Cancel,
    /// When its window closes.
    closes: Option<Timestamp>,
    is_cancelled: bool,
}

/// What a task came to.
pub(super) enum Over {
    /// A run of the link of that name: what it came to, in a line; or why it did not come about.
    Run(String, Result<Ran, String>),
    /// A run of the link of that name has no lease on what it would load, for this reason.
    NotLeased(String, Due, String),
    /// A missed run of the link of that name was recorded, or could not be.
    Missed(String, Result<(), String>),
}

/// A run that is over.
pub(super) struct Ran {
    /// What it came to, in a line.
    text: String,
    report: Box<Report>,
}

impl Loads {
    /// Runs of `links`, recorded in `history`; what was due since `since` was missed.
    pub(super) fn new(
        history: Place,
        links: Vec<Recurring>,
        since: Timestamp,
        guard: &Guard,
    ) -> Self {
        let schedule = schedule_of(&links, since);
        let (judged, works) = (guard.inputs().clone(), guard.works());
        let (running, tasks) = (BTreeMap::new(), JoinSet::new());
        let permits = Permits::new(&history);
        Self { history, links, schedule, running, tasks, judged, works, permits }
    }

    /// What the service manager shows.
    pub(super) fn status(&self) -> String {
        let next = match self.schedule.deadline() {
            Some(next) => format!("next run {}", next.strftime("%Y-%m-%d %H:%M:%S UTC")),
            None => "no run is due".to_owned(),
        };
        let running = match self.running.len() {
            0 => next,
            count => format!("{count} running, {next}"),
        };
        match self.schedule.conditions().stops.first() {
            None => running,
            Some(stop) => format!("{running}; {}", plain(&stop.why)),
        }
    }

    /// The links that are being loaded.
    pub(super) fn loaded(&self) -> BTreeSet<String> {
        let loads = |name: &String| {
            self.links.iter().any(|it| it.scheduled.name == *name && it.scheduled.loads)
        };
        self.running.keys().filter(|name| loads(name)).cloned().collect()
    }

    /// How long nothing is due; `look` at most.
    pub(super) fn pause(&self, look: Duration) -> Duration {
        let running = self.running.values().filter(|running| !running.is_cancelled);
        let closing =
            running.filter_map(|running| running.closes?.checked_sub(BEFORE_CLOSING).ok());
        let next = closing.chain(self.schedule.deadline()).min();
        let next = next.map(|next| next.duration_since(now()));
        let next = next.map(|next| Duration::try_from(next).unwrap_or(Duration::ZERO));
        next.unwrap_or(look).min(look)
    }

    /// Does all that is due, and ends what would load its link when its window has closed: a run
    /// that takes longer than it was planned to.
    pub(super) fn see_to(&mut self) {
        self.permits.look(&mut self.schedule, &self.links);
        let soon = now().checked_add(BEFORE_CLOSING).unwrap_or(Timestamp::MAX);
        for (name, running) in &mut self.running {
            // A new blackout, or a plan that was read again, may close it sooner.
            let place = self.links.iter().position(|link| link.scheduled.name == *name);
            let closes = place.and_then(|place| self.schedule.closes(place, now()));
            running.closes = [running.closes, closes].into_iter().flatten().min();
            if !running.is_cancelled && running.closes.is_some_and(|closes| closes <= soon) {
                say(&plain(&format!("{name}: ended, as its window closes")));
                running.cancel.cancel();
                running.is_cancelled = true;
            }
            let why = self.schedule.ends_load(name, now()).filter(|_| !running.is_cancelled);
            if let Some(why) = why {
                running.cancel.abort(&why.to_string());
                running.is_cancelled = true;
            }
        }
        while let Some(step) = self.schedule.poll(now()) {
            match step {
                Step::Start(place, due) => match self.works_on(place, due) {
                    Some(why) => {
                        self.miss(place, due, &Missed::Maintained(why));
                        self.schedule.handle_over(&self.links[place].scheduled.name);
                    }
                    None => self.start(place, due),
                },
                Step::Missed(place, due, why) => self.miss(place, due, &why),
            }
        }
    }

    /// Why the link at `place` is worked on in a time in which a run would load it.
    fn works_on(&self, place: usize, due: Due) -> Option<String> {
        let link = &self.links[place].scheduled;
        let works = self.works.borrow();
        let calendars = works.get(&link.name).filter(|_| link.loads)?;
        let (start_s, end_s) = (due.start.as_second(), due.end.as_second());
        let denies =
            |calendar: &Calendar| Some(calendar.denies_load(start_s, end_s)?.reason.clone());
        calendars.iter().find_map(denies)
    }

    fn start(&mut self, place: usize, due: Due) {
        let link = self.links[place].clone();
        let name = link.scheduled.name.clone();
        let cancel = Cancel::default();
        let (history, ended) = (self.history.clone(), cancel.clone());
        let elsewhere = self.permits.elsewhere.clone();
        let closes = self.schedule.closes(place, now());
        self.running.insert(name.clone(), Running { cancel, closes, is_cancelled: false });
        self.tasks.spawn(async move {
            let obeying = obeying(&link, &ended, elsewhere);
            let conducted = conduct(link, history, ended).await;
            drop(obeying);
            match conducted {
                Ok(Conducted::Run(ran)) => Over::Run(name, Ok(ran)),
                Ok(Conducted::NotLeased(why)) => Over::NotLeased(name, due, why),
                Err(why) => Over::Run(name, Err(why.to_string())),
            }
        });
    }

    /// A database that does not answer holds up nothing: this is recorded beside what goes on.
    fn miss(&mut self, place: usize, due: Due, why: &Missed) {
        let link = self.links[place].clone();
        let (name, why) = (link.scheduled.name.clone(), why.to_string());
        say(&plain(&format!("{name}: missed the run of {}: {why}", due.start)));
        let history = self.history.clone();
        self.tasks.spawn_blocking(move || {
            let recorded = record_missed(history, &link, due, why);
            Over::Missed(name, recorded.map_err(|why| why.to_string()))
        });
    }

    /// What a run, or the record of one that was missed, came to; nothing ever, where none is under
    /// way.
    pub(super) async fn next_over(&mut self) -> Result<Over, JoinError> {
        match self.tasks.join_next().await {
            Some(over) => over,
            None => std::future::pending().await,
        }
    }

    /// Takes what [`Self::next_over`] gave.
    pub(super) fn handle_over(&mut self, over: Result<Over, JoinError>) {
        let (name, text) = match over {
            Ok(Over::Run(name, outcome)) => {
                self.running.remove(&name);
                self.schedule.handle_over(&name);
                let text = match outcome {
                    Ok(ran) => self.handle_ran(&name, ran),
                    Err(why) => format!("error: {why}"),
                };
                (name, text)
            }
            Ok(Over::NotLeased(name, due, why)) => {
                self.running.remove(&name);
                if !self.schedule.handle_not_leased(&name, due, why.clone(), now()) {
                    return;
                }
                (name, format!("waits for its lease: {why}"))
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

    /// A run of the link called `name` is over; what is said of it. One that failed is run once
    /// more, where that fits.
    fn handle_ran(&mut self, name: &str, Ran { mut text, report }: Ran) -> String {
        let failed = report.verdict == Verdict::Fail;
        let until = failed.then(|| self.schedule.confirm(name, now())).flatten();
        if until.is_some() {
            text.push_str("; it is run once more, to confirm that");
        }
        let until_s = until.map(Timestamp::as_second);
        // Whoever takes it outlives this, or the program ends.
        _ = self.judged.send(Input::Loaded(name.to_owned(), report, until_s));
        text
    }

    /// Takes `links` in the place of those from before.
    pub(super) fn succeed(&mut self, links: Vec<Recurring>) {
        let scheduled = links.iter().map(|link| link.scheduled.clone()).collect();
        self.schedule = Schedule::succeed(&self.schedule, scheduled, now());
        self.links = links;
    }

    /// Ends the runs under way, and waits until they are recorded.
    pub(super) async fn end(&mut self) {
        self.running.values().for_each(|running| running.cancel.cancel());
        // One that has just been refused its lease waits too.
        loop {
            let waiting: Vec<(usize, Due)> = self.schedule.waiting().collect();
            self.schedule.give_up();
            waiting.into_iter().for_each(|(place, due)| self.miss(place, due, &Missed::Ended));
            let Some(over) = self.tasks.join_next().await else { break };
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

fn begun<'a>(link: &'a Recurring, run: &'a str, plans: &'a [&'a Plan]) -> Begun<'a> {
    Begun { command: "watch", run, plans, file: Some(&link.file) }
}

/// Ends the run of `link` once its load is stopped, until this is dropped.
fn obeying(link: &Recurring, cancel: &Cancel, elsewhere: Elsewhere) -> JoinSet<()> {
    let mut obeying = JoinSet::new();
    if link.plan.loads() {
        let links = vec![link.scheduled.name.clone()];
        obeying.spawn(obey(cancel.clone(), links, move || elsewhere.orders()));
    }
    obeying
}

/// What became of a run that was to start.
enum Conducted {
    /// It was run.
    Run(Ran),
    /// It has no lease, for this reason: nothing was done.
    NotLeased(String),
}

/// Runs `link` once and records it, where what it loads can be leased.
async fn conduct(link: Recurring, history: Place, cancel: Cancel) -> Result<Conducted, NotKept> {
    let called = link.scheduled.name.clone();
    let job = match job_of(link.plan.clone()) {
        Ok(job) => job,
        Err(error) => {
            let (why, start) = (error.to_string(), now());
            let (due, impossible) = (Due { start, end: start }, why.clone());
            spawn_blocking(move || record_missed(history, &link, due, impossible)).await??;
            return Err(why.into());
        }
    };
    let change = link.plan.rules.change.iter().filter(|_| link.plan.loads());
    let notes = change.map(|change| format!("change: {change}")).collect();
    let job = job.from_file(Some(link.file.clone())).ended_by(&cancel).with_notes(notes);
    let name = job.run().to_string();
    let job = match link.plan.loads() {
        false => job,
        true => {
            let leasing = Leasing::of(&job, &name, "watch", history.clone());
            match spawn_blocking(move || leasing.taken()).await? {
                Ok(taken) => job.leased_by(taken),
                Err(why) => return Ok(Conducted::NotLeased(why.to_string())),
            }
        }
    };
    say(&plain(&format!("{}: started", link.scheduled.name)));
    let recording = spawn_blocking(move || {
        let plans = [&link.plan];
        let begun = begun(&link, &name, &plans);
        Recording::begin(history, Class::Scheduled, &begun)
    });
    let recording = recording.await?.map_err(|error| NotKept::from(error.to_string()))?;
    let run = run(job.kept_by(recording.clone()), HostClock).await;
    let ran = Ran { text: outcome(&run), report: Box::new(run.report.clone()) };
    if let Err(why) = spawn_blocking(move || recording.conclude(&run)).await? {
        say(&plain(&format!("{called}: warning: the run could not be recorded: {why}")));
    }
    Ok(Conducted::Run(ran))
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
