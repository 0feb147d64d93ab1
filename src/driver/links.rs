//! The runs of several links, as one: it starts those that may start, and keeps one record of all.

use super::addresses::egress_of;
use super::cancel::Cancel;
use super::clock::Clock;
use super::error::Error;
use super::events::Events;
use super::job::{Job, Keep, Keeper, NotKept, Run, wanted};
use super::results::missed;
use super::run;
use crate::io::egress::Egress;
use crate::io::host;
use crate::method::schedule::{Claim, Resource, Room, Schedule};
use crate::plan::Plan;
use crate::report::{self, Merged, NOT_RUN_YET, PlanRecord, Report};
use crate::wire::control::RunId;
use crate::wire::key::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Identifiers that the runs of one link may take: one for each of its sites.
const IDS_OF_LINK: u128 = 64;

/// Runs of several links that are to be conducted as one.
#[derive(Debug)]
pub struct Links {
    jobs: Vec<Job>,
    claims: Vec<Claim>,
    room: Room,
    file: Option<PlanRecord>,
    notes: Vec<String>,
    keeper: Keeper,
    events: Option<Events>,
    cancel: Cancel,
}

impl Links {
    /// Those of `jobs`, each of a link with a name, in the order of the plan; on this host up to
    /// `parallel` of them at once. Whatever the jobs themselves say of files, notes, keepers,
    /// events and cancelling gives way to what is said here of all.
    ///
    /// # Panics
    ///
    /// Where there is no job: the caller has refused that.
    #[must_use]
    pub fn new(jobs: Vec<Job>, parallel: u32) -> Self {
        assert!(!jobs.is_empty(), "no link is to be run");
        let room = room(jobs.iter().map(|job| &job.plan), parallel);
        let claims = jobs.iter().map(|job| claim(&job.plan, &job.agent_keys)).collect();
        let (file, notes, keeper) = (None, Vec::new(), Keeper(None));
        Self { jobs, claims, room, file, notes, keeper, events: None, cancel: Cancel::default() }
    }

    /// The name of them all, which their report has, too.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.jobs.first().map_or(RunId(0), |job| job.id)
    }

    /// What they will do, in their order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.jobs.iter().map(|job| &job.plan)
    }

    /// What each takes, in their order, and what this host has.
    #[must_use]
    pub fn claims(&self) -> (Vec<Claim>, Room) {
        (self.claims.clone(), self.room.clone())
    }

    wanted!();
}

/// What this host has for runs of `plans`, up to `parallel` of them at once.
pub fn room<'a>(plans: impl IntoIterator<Item = &'a Plan>, parallel: u32) -> Room {
    let interfaces_of = |plan| interfaces_of(plan).unwrap_or_else(host::lowest_devices);
    let interfaces: BTreeSet<String> = plans.into_iter().flat_map(interfaces_of).collect();
    let speed = |name: String| host::speed_of(&name).map(|speed| (name, speed));
    let speeds = interfaces.into_iter().filter_map(speed).collect();
    let processors = u32::try_from(host::processors()).unwrap_or(u32::MAX);
    Room { speeds, processors, parallel }
}

/// What a run of `plan` takes of this host, and of the agents that have `keys`.
#[must_use]
pub fn claim(plan: &Plan, keys: &[PublicKey]) -> Claim {
    let mut claim = Claim::of(plan, interfaces_of(plan));
    claim.resources.extend(keys.iter().map(|key| Resource::AgentKey(key.to_string())));
    claim
}

/// The interfaces that runs of `plan` send by: the lowest, which VLANs, bonds and bridges share.
/// `None` where that is not known without a name server, or without a way there.
fn interfaces_of(plan: &Plan) -> Option<BTreeSet<String>> {
    let egress = egress_of(plan);
    if let Some(device) = &egress.device {
        return Some(host::carriers(device));
    }
    // A source address may be of another interface than the one that the route leaves by.
    let ways = if egress.source.is_some() { vec![egress, Egress::default()] } else { vec![egress] };
    let mut all = BTreeSet::new();
    for site in &plan.sites {
        let ip: IpAddr = site.agent.name.parse().ok()?;
        for way in &ways {
            let (device, _) = host::outgoing((ip, site.agent.port).into(), way)?;
            all.extend(host::carriers(&device));
        }
    }
    Some(all)
}

/// The time in which the record of all links is written once at most while they run: it grows with
/// each of them, and each has many trials.
const KEEP_EVERY: Duration = Duration::from_secs(3);

/// What keeps the record of all links, and what is in it beside their own.
struct Keeping {
    merged: Merged,
    keeper: Keeper,
    clock: Box<dyn Clock>,
    /// When it was kept last.
    kept_at: Option<Instant>,
    /// Whether more is known since.
    is_due: bool,
}

impl Keeping {
    fn by(keeper: Keeper, merged: Merged, clock: Box<dyn Clock>) -> Self {
        Self { merged, keeper, clock, kept_at: None, is_due: false }
    }
}

/// What of the record is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extent {
    /// The record alone.
    Record,
    /// Every format.
    All,
}

/// What is known of all links, for each of their runs.
///
/// The parts are held only for as long as one takes to be put in its place, so that this may be
/// waited for where others wait. Keeping takes as long as a disk does, and is held only where
/// nothing else waits; `parts` are never held while it is waited for.
#[derive(Clone)]
struct Shared {
    parts: Arc<Mutex<Vec<Arc<Report>>>>,
    keeping: Arc<Mutex<Keeping>>,
}

impl Shared {
    fn new(parts: Vec<Report>, keeping: Keeping) -> Self {
        let parts = parts.into_iter().map(Arc::new).collect();
        Self { parts: Arc::new(Mutex::new(parts)), keeping: Arc::new(Mutex::new(keeping)) }
    }

    /// Puts `report` in the place of what was known of the link at `place`.
    fn set(&self, place: usize, report: Report) {
        held(&self.parts)[place] = Arc::new(report);
    }

    /// One record of all links, as far as they have come, and whether it could be kept, where it is
    /// to be. What is kept later knows no less. It may take long.
    fn keep(&self, extent: Option<Extent>) -> (Report, Result<(), NotKept>) {
        let mut keeping = held(&self.keeping);
        let parts = held(&self.parts).clone();
        let ended_ns = keeping.clock.wall_ns();
        let whole = Merged { ended_ns, ..keeping.merged.clone() }.report(&parts);
        (keeping.kept_at, keeping.is_due) = (Some(Instant::now()), false);
        let kept = match (keeping.keeper.0.as_mut(), extent) {
            (Some(keeper), Some(Extent::Record)) => keeper.keep_record(&whole),
            (Some(keeper), Some(Extent::All)) => keeper.keep(&whole),
            (None, _) | (_, None) => Ok(()),
        };
        (whole, kept)
    }

    /// Keeps the record, unless it was kept a moment ago: then it is due.
    fn keep_in_time(&self) -> Result<(), NotKept> {
        {
            let mut keeping = held(&self.keeping);
            if keeping.kept_at.is_some_and(|at| at.elapsed() < KEEP_EVERY) {
                keeping.is_due = true;
                return Ok(());
            }
        }
        self.keep(Some(Extent::Record)).1
    }

    /// Keeps what is due.
    fn keep_due(&self) {
        let is_due = held(&self.keeping).is_due;
        if is_due {
            // Where that fails, so does the next, which reports it.
            _ = self.keep(Some(Extent::Record)).1;
        }
    }
}

/// What `mutex` holds: a keeper that panics leaves it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the record of the link at a place in that of all.
struct Part {
    place: usize,
    shared: Shared,
}

impl Keep for Part {
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        self.shared.set(self.place, report.clone());
        self.shared.keep_in_time()
    }
}

/// Conducts the run of each link to its end, each once; those of one host and plan that may load at
/// once do.
///
/// A link that fails, whether its agents are dead or its run ends with an error, costs its own
/// verdict. Cancelled, the links that were not run are in the report with that reason.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run_links(links: Links, clock: impl Clock + Clone + 'static) -> Run {
    let Links { jobs, claims, room, file, notes, keeper, events, cancel } = links;
    let at_once = jobs.len().min(usize::try_from(room.parallel).unwrap_or(usize::MAX));
    let mut schedule = Schedule::new(claims, room);
    let id = jobs.first().map_or(RunId(0), |job| job.id);
    let started_ns = clock.wall_ns();
    let merged = Merged { id: id.to_string(), started_ns, ended_ns: started_ns, file, notes };
    let parts = jobs.iter().map(|job| not_run_yet(&job.plan, started_ns)).collect();
    let clock_of_all = Box::new(clock.clone());
    let shared = Shared::new(parts, Keeping::by(keeper, merged, clock_of_all));
    let job = |(place, job): (usize, Job)| {
        let part = Part { place, shared: shared.clone() };
        let name = job.plan.link.name.clone().unwrap_or_default();
        let events = events.as_ref().map(|events| events.on_link(&name));
        let id = RunId(id.0.wrapping_add(place as u128 * IDS_OF_LINK));
        let job = Job { id, events, at_once, ..job }.kept_by(part).ended_by(&cancel);
        Some(job)
    };
    let mut waiting: Vec<Option<Job>> = jobs.into_iter().enumerate().map(job).collect();
    // From here on each run reports for itself, and the reader sees the end of the last.
    drop(events);
    let (mut running, mut errors) = (JoinSet::new(), BTreeMap::new());
    let mut writing = JoinSet::new();
    let mut is_any_measured = false;
    loop {
        while let Some(place) = schedule.poll_start() {
            if let Some(job) = waiting[place].take() {
                let running_one = run(job, clock.clone());
                running.spawn(async move { (place, running_one.await) });
            }
        }
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = tokio::time::sleep(KEEP_EVERY) => {
                let shared = shared.clone();
                writing.spawn_blocking(move || shared.keep_due());
                continue;
            }
        };
        let Some(ended) = ended else { break };
        let (place, ended) = of_task(ended).await;
        schedule.handle_over(place);
        shared.set(place, ended.report);
        if ended.error.is_none() {
            is_any_measured = true;
            let shared = shared.clone();
            // Where that fails, so does the last, which reports it.
            writing.spawn_blocking(move || _ = shared.keep(Some(Extent::All)));
        }
        errors.extend(ended.error.map(|error| (place, error)));
    }
    while let Some(written) = writing.join_next().await {
        of_task(written).await;
    }
    conclude(shared, is_any_measured, errors.into_values().next()).await
}

/// What a task came to, such as the run of a link.
async fn of_task<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => match error.try_into_panic() {
            // A bug, in a run or in the keeper: it is the caller's to see.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and drops this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The record of a link whose run has not begun.
fn not_run_yet(plan: &Plan, wall_ns: u64) -> Report {
    let why = NOT_RUN_YET;
    let sites = 0..plan.sites.len();
    let run = report::Run {
        id: String::new(),
        started_ns: wall_ns,
        ended_ns: wall_ns,
        plan: plan.clone(),
        file: None,
        driver_host: None,
        site_runs: sites.map(|place| missed(plan, place, None, why)).collect(),
        complete: false,
        reason: Some(why.to_owned()),
        notes: Vec::new(),
    };
    run.report()
}

/// What all came to: kept once more, as links that never began have not kept themselves.
async fn conclude(shared: Shared, is_any_measured: bool, error: Option<Error>) -> Run {
    let extent = is_any_measured.then_some(Extent::All);
    let keeping = tokio::task::spawn_blocking(move || shared.keep(extent));
    match keeping.await {
        Ok((report, kept)) => Run { report, kept, error: error.filter(|_| !is_any_measured) },
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::HostClock;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};

    fn plan(agent: &str, driver: &str) -> Plan {
        let text = format!(
            "[driver]\nkey = 'd'\n{driver}\n[sites.far]\nagent = '{agent}'\nkey = 'a.pub'\n\
             [links.x]\nrate = '1 Mbit/s'\nsites = ['far']\n[[test]]\nkind = 'idle'\n"
        );
        let read = crate::plan::file::read(Path::new("plan.toml"), &text);
        read.conclude_all().expect("a plan").0.plans.remove(0)
    }

    #[test]
    fn only_an_address_or_a_device_shows_the_interface() {
        let of = |agent, driver| interfaces_of(&plan(agent, driver));
        let these = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of("127.0.0.1", ""), these(&["lo"]));
        assert_eq!(of("127.0.0.1", "source = '127.0.0.1'"), these(&["lo"]));
        assert_eq!(of("localhost", ""), None);
        assert_eq!(of("localhost", "device = 'eth7'"), these(&["eth7"]));
        let known: Vec<String> = room([&plan("localhost", "")], 2).speeds.into_keys().collect();
        let speeds = host::lowest_devices().into_iter();
        let speeds: Vec<_> = speeds.filter(|it| host::speed_of(it).is_some()).collect();
        assert_eq!(known, speeds, "each may be the one");
    }

    /// Counts what is kept: the record alone, and all of it.
    #[derive(Clone, Default)]
    struct Counter(Arc<Mutex<(usize, usize)>>);

    impl Keep for Counter {
        fn keep(&mut self, _: &Report) -> Result<(), NotKept> {
            held(&self.0).1 += 1;
            Ok(())
        }

        fn keep_record(&mut self, _: &Report) -> Result<(), NotKept> {
            held(&self.0).0 += 1;
            Ok(())
        }
    }

    /// A hundred trials at once are one record, and the last of them is in the next.
    #[test]
    fn the_record_of_all_is_not_written_at_each_trial_and_none_is_forgotten() {
        let counter = Counter::default();
        let keeper = Keeper(Some(Box::new(counter.clone())));
        let keeping = Keeping::by(keeper, Merged::default(), Box::new(HostClock));
        let report = not_run_yet(&plan("127.0.0.1", ""), 0);
        let shared = Shared::new(vec![report.clone()], keeping);
        let mut part = Part { place: 0, shared: shared.clone() };
        (0..100).for_each(|_| assert!(part.keep(&report).is_ok()));
        assert_eq!(*held(&counter.0), (1, 0));
        shared.keep_due();
        shared.keep_due();
        assert_eq!(*held(&counter.0), (2, 0), "what came since is kept once");
        assert!(shared.keep(Some(Extent::All)).1.is_ok());
        shared.keep_due();
        assert_eq!(*held(&counter.0), (2, 1));
    }

    /// A disk that takes until it is let go, and shows how many links were known to be run.
    struct SlowDisk {
        begun: Sender<usize>,
        go: Receiver<()>,
    }

    impl Keep for SlowDisk {
        fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
            let run = report.links.iter().filter(|link| link.reason.as_deref() == Some("is run"));
            self.begun.send(run.count())?;
            Ok(self.go.recv()?)
        }
    }

    /// What waits is the runtime's only thread, and with it all that the links say.
    #[test]
    fn what_is_known_of_a_link_is_taken_while_a_slow_disk_keeps_that_of_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let plan = plan("127.0.0.1", "");
        let (begun, kept) = channel();
        let (go, may_go) = channel();
        let keeper = Keeper(Some(Box::new(SlowDisk { begun, go: may_go })));
        let keeping = Keeping::by(keeper, Merged::default(), Box::new(HostClock));
        let parts = vec![not_run_yet(&plan, 0), not_run_yet(&plan, 0)];
        let shared = Shared::new(parts, keeping);
        let mut is_run = not_run_yet(&plan, 0);
        is_run.reason = Some("is run".to_owned());
        let part = |place| Part { place, shared: shared.clone() };
        let (mut first, report) = (part(0), is_run.clone());
        let writing = runtime.spawn_blocking(move || first.keep(&report).is_ok());
        let patience = Duration::from_secs(20);
        assert_eq!(kept.recv_timeout(patience), Ok(1));
        let (setting, (done, is_set)) = (shared.clone(), channel());
        runtime.spawn_blocking(move || {
            setting.set(1, is_run);
            done.send(())
        });
        assert_eq!(is_set.recv_timeout(patience), Ok(()), "it waits for the disk");
        go.send(()).expect("the keeper waits");
        assert!(runtime.block_on(writing).expect("it is kept"));
        go.send(()).expect("the keeper is there");
        let (whole, last) = shared.keep(Some(Extent::All));
        assert!(last.is_ok());
        assert_eq!((kept.recv_timeout(patience), whole.links.len()), (Ok(2), 2));
    }
}
