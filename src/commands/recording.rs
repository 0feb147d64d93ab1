//! Recording a run: in the history, or beside it while the history cannot take it.

use super::error::Error;
use super::runtime::runtime;
use crate::account::plain;
use crate::cli::HistoryPlaceArgs;
use crate::driver::{self, Keep, NotKept, Run};
use crate::forecast::Forecast;
use crate::health::Batch;
use crate::history::{Class, Entry, Kept, State, planned};
use crate::io::clock::wall_ns;
use crate::io::files::{read_text, replace_private};
use crate::io::terminal::say;
use crate::io::user_folders;
use crate::method::Impossible;
use crate::plan::Plan;
use crate::report::{PlanRecord, Report, program};
use crate::store::spool::Spool;
use crate::store::{self, Place, Store};
use crate::units::Span;
use std::path::PathBuf;

/// The file that names the history, in the folder of what is configured.
const NAMED_IN: &str = "history";

/// The octets of that file at most.
const OCTETS_MAX: u64 = 4_096;

/// Where `linkqual history init` makes a history if it is not given another place.
///
/// # Errors
///
/// Where the environment names no folder.
pub(super) fn usual_place() -> Result<Place, Error> {
    Ok(Place::File(folder(user_folders::data())?.join("history.db")))
}

/// Where runs are kept aside.
///
/// # Errors
///
/// Where the environment names no folder.
pub(super) fn spool() -> Result<Spool, Error> {
    Ok(Spool::new(folder(user_folders::data())?.join("spool")))
}

fn folder(folder: Option<PathBuf>) -> Result<PathBuf, Error> {
    let none = || "HOME is not set, so there is no place for a history: name one, --history FILE";
    folder.ok_or_else(|| Error::History(none().to_owned()))
}

/// The history that is configured: the one that is named, or the one that was made.
///
/// # Errors
///
/// Where the file that names it cannot be read.
pub(super) fn configured(args: &HistoryPlaceArgs) -> Result<Option<Place>, Error> {
    if let Some(place) = &args.place {
        return Ok(Some(place.clone()));
    }
    let Some(path) = user_folders::config().map(|folder| folder.join(NAMED_IN)) else {
        return Ok(None);
    };
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path, OCTETS_MAX)?.text;
    let place = text.trim().parse();
    let wrong = |why: String| Error::History(format!("{}: {why}", path.display()));
    place.map(Some).map_err(wrong)
}

/// Has runs recorded at `place` from now on.
///
/// # Errors
///
/// Where it cannot be written down.
pub(super) fn configure(place: &Place) -> Result<(), Error> {
    let folder = folder(user_folders::config())?;
    let failed = |source| store::Error::File { path: folder.clone(), source };
    crate::io::files::make_private_folder(&folder).map_err(failed)?;
    replace_private(&folder, NAMED_IN, &format!("{}\n", place.remembered()))?;
    Ok(())
}

/// Opens the history at `place`, and brings in what was kept aside.
///
/// # Errors
///
/// Where it cannot be opened.
pub(super) async fn open(place: &Place) -> Result<Store, store::Error> {
    let mut store = Store::open(place).await?;
    if let Ok(spool) = spool() {
        let brought = spool.bring_into(&mut store).await;
        if 0 < brought.runs {
            let (runs, s) = (brought.runs, if brought.runs == 1 { "" } else { "s" });
            say(&format!("note: {runs} run{s} that had been kept aside are in the history now"));
        }
        brought.left.iter().for_each(|why| say(&format!("warning: kept aside still: {why}")));
    }
    Ok(store)
}

/// A run that begins, or was to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    /// The command that makes it.
    pub(super) command: &'a str,
    /// Its identifier.
    pub(super) run: &'a str,
    /// What is run, a plan for each link.
    pub(super) plans: &'a [&'a Plan],
    /// The file that they are from.
    pub(super) file: Option<&'a PlanRecord>,
}

impl Begun<'_> {
    /// The entry of one that starts at `started_ns`.
    fn entry(&self, class: Class, started_ns: u64) -> Entry {
        Entry {
            run: self.run.to_owned(),
            class,
            state: State::Running,
            verdict: None,
            reason: None,
            command: self.command.to_owned(),
            plan_file: self.file.map(|file| file.file.clone()),
            plan_sha256: self.file.map(|file| file.sha256.clone()),
            program: program(),
            started_ns,
            ended_ns: None,
            due_ns: Some(started_ns.saturating_add(longest(self.plans).nanos())),
            recorded_ns: started_ns,
        }
    }
}

/// A run that is being recorded.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    place: Place,
    spool: Spool,
    entry: Entry,
    /// The history did not take it: until it is over, it is kept aside.
    is_aside: bool,
}

impl Recording {
    /// Records that a run begins. Where the history cannot be had, that is said, and the run is
    /// kept aside.
    ///
    /// # Errors
    ///
    /// Where there is no place to keep it aside.
    pub(super) fn begin(place: Place, class: Class, begun: &Begun<'_>) -> Result<Self, Error> {
        let (spool, is_aside) = (spool()?, false);
        let entry = begun.entry(class, wall_ns());
        let mut recording = Self { place, spool, entry: entry.clone(), is_aside };
        let links = planned(begun.plans.iter().copied());
        if let Err(why) = recording.write(&Kept::planned(entry.clone(), &links)) {
            say(&plain(&format!("warning: {why}. The run is kept aside until it can be recorded")));
            // What is measured is tried again later.
            if let Err(lost) = recording.spool.keep_planned(entry, links) {
                say(&plain(&format!("warning: it could not be kept aside: {lost}")));
            }
            recording.is_aside = true;
        }
        Ok(recording)
    }

    /// Records a scheduled run that did not start when it was due, at `due_ns`, and why.
    ///
    /// # Errors
    ///
    /// Where neither the history nor the folder beside it takes it.
    pub(super) fn missed(
        place: Place,
        begun: &Begun<'_>,
        due_ns: u64,
        why: String,
    ) -> Result<(), NotKept> {
        let (spool, is_aside) = (spool()?, false);
        let entry = begun.entry(Class::Scheduled, due_ns);
        let entry = Entry {
            state: State::Missed,
            reason: Some(why),
            due_ns: None,
            recorded_ns: wall_ns(),
            ..entry
        };
        let recording = Self { place, spool, entry: entry.clone(), is_aside };
        let links = planned(begun.plans.iter().copied());
        match recording.write(&Kept::planned(entry.clone(), &links)) {
            Ok(()) => Ok(()),
            Err(_) => Ok(recording.spool.keep_planned(entry, links)?),
        }
    }

    /// Records what the run came to.
    ///
    /// # Errors
    ///
    /// Where neither the history nor the folder beside it takes it.
    pub(super) fn conclude(mut self, run: &Run) -> Result<(), NotKept> {
        if self.entry.class == Class::Manual && run.error.as_ref().is_some_and(is_wrong_usage) {
            return self.forget();
        }
        self.entry.ended_ns = run.report.ended_ns();
        self.entry.state = match &run.error {
            None => State::of(&run.report),
            Some(error) => state_of(error),
        };
        let entry = self.entry.clone().with(&run.report, wall_ns());
        let entry = match &run.error {
            None => entry,
            Some(error) => Entry { verdict: None, reason: Some(error.to_string()), ..entry },
        };
        match self.write(&Kept::of(entry.clone(), &run.report)) {
            Ok(()) => Ok(()),
            Err(why) => {
                self.spool.keep(entry, &run.report)?;
                let folder = self.spool.folder().display();
                say(&plain(&format!(
                    "warning: {why}. The run is kept in {folder}, and is brought into the history \
                     with the next run or linkqual history"
                )));
                Ok(())
            }
        }
    }

    /// Nothing is recorded of a run that was asked for wrongly: whoever did so sees why.
    fn forget(&self) -> Result<(), NotKept> {
        self.spool.forget(&self.entry.run);
        self.done(async |store| store.forget(&self.entry.run).await)
    }

    fn write(&self, kept: &Kept) -> Result<(), NotKept> {
        self.done(async |store| store.record(kept).await.map(|_| ()))
    }

    /// Does `what` with the history.
    fn done(
        &self,
        what: impl AsyncFnOnce(&mut Store) -> Result<(), store::Error>,
    ) -> Result<(), NotKept> {
        let written = runtime()?.block_on(async {
            let writing = async {
                let mut store = open(&self.place).await?;
                what(&mut store).await?;
                store.close().await
            };
            tokio::time::timeout(WRITE_MAX, writing).await
        });
        match written {
            Ok(written) => Ok(written?),
            Err(_) => Err(format!("history at {}: too slow to write to", self.place).into()),
        }
    }
}

/// Records what probes showed; where the history cannot take it, it is kept aside. Once an hour
/// what is older than it is kept is deleted.
///
/// # Errors
///
/// Where neither the history nor the folder beside it takes it.
pub(super) fn record_probed(place: &Place, batch: &Batch, now_s: i64) -> Result<(), NotKept> {
    let is_hourly = now_s.div_euclid(60).rem_euclid(60) == 0;
    let written = runtime()?.block_on(async {
        let writing = async {
            let mut store = open(place).await?;
            store.record_probed(batch).await?;
            if is_hourly {
                store.expire_probed(now_s).await?;
            }
            store.close().await
        };
        tokio::time::timeout(WRITE_MAX, writing).await
    });
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Ok(spool()?.keep_probed(batch, now_s)?),
    }
}

/// How long a history may take to write a run.
const WRITE_MAX: std::time::Duration = std::time::Duration::from_secs(30);

impl Keep for Recording {
    /// What was measured so far. Where the history cannot take it, it is kept aside, which is said
    /// in the end.
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        let entry = self.entry.clone().with(report, wall_ns());
        self.is_aside = self.is_aside || self.write(&Kept::of(entry.clone(), report)).is_err();
        match self.is_aside {
            true => Ok(self.spool.keep(entry, report)?),
            false => Ok(()),
        }
    }
}

/// Whether `error` is about what was typed, and not about the link or its ends.
const fn is_wrong_usage(error: &driver::Error) -> bool {
    use driver::Error;
    match error {
        Error::NoSuchHost { .. } | Error::NoCongestionControl(_) | Error::Keys { .. } => true,
        // That nothing crosses is the link's own doing.
        Error::Impossible(why) => !matches!(why, Impossible::NothingCrosses),
        _ => false,
    }
}

/// How far a run came of which `error` is all.
const fn state_of(error: &driver::Error) -> State {
    use driver::Error;
    match error {
        Error::Agent(_) | Error::NotListed { .. } | Error::NotAdmitted(_) => State::Refused,
        Error::Interrupted | Error::Aborted(_) => State::Aborted,
        _ => State::NotRun,
    }
}

/// How long a run of `plans` may take: one after the other.
fn longest(plans: &[&Plan]) -> Span {
    let each = plans.iter().filter_map(|plan| Some(Forecast::of(plan).ok()?.longest(plan)));
    each.fold(Span::default(), Span::plus)
}

/// Several keepers of one run: each is handed it, whatever became of it at another.
#[derive(Default)]
pub(super) struct Keepers(pub(super) Vec<Box<dyn Keep>>);

impl Keepers {
    /// What `keep` does with each of them.
    fn each(
        &mut self,
        mut keep: impl FnMut(&mut dyn Keep) -> Result<(), NotKept>,
    ) -> Result<(), NotKept> {
        let failed: Vec<String> = self
            .0
            .iter_mut()
            .filter_map(|keeper| keep(keeper.as_mut()).err())
            .map(|error| error.to_string())
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
    }
}

impl Keep for Keepers {
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        self.each(|keeper| keeper.keep(report))
    }

    fn keep_record(&mut self, report: &Report) -> Result<(), NotKept> {
        self.each(|keeper| keeper.keep_record(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing, and says what it was handed.
    struct Full;

    impl Keep for Full {
        fn keep(&mut self, _: &Report) -> Result<(), NotKept> {
            Err("all".into())
        }

        fn keep_record(&mut self, _: &Report) -> Result<(), NotKept> {
            Err("the record".into())
        }
    }

    #[test]
    fn each_keeper_is_handed_the_record_alone_where_that_is_wanted() {
        let report = include_str!("../../tests/it/golden/v3/sound.json");
        let report = Report::parse(report).expect("a record");
        let mut keepers = Keepers(vec![Box::new(Full), Box::new(Full)]);
        let failed = |kept: Result<(), NotKept>| kept.expect_err("both are full").to_string();
        assert_eq!(failed(keepers.keep_record(&report)), "the record; the record");
        assert_eq!(failed(keepers.keep(&report)), "all; all");
    }
}
