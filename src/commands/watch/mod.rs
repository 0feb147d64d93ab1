//! `linkqual watch`: probes the links of plans all the time, and runs their tests by schedule,
//! until it is ended.
//!
//! This file has the service and its loop; [`probes`] has the paths that are probed, [`records`]
//! what is kept of them, [`loads`] the runs, [`permits`] whether they may load, [`seen`] until when
//! their schedule was seen to, and [`guard`] the states of the links and their alerts.

mod guard;
mod guarded;
mod kept;
mod loads;
mod permits;
mod probes;
mod records;
mod seen;

use super::error::Error;
use super::recording::configured;
use super::runtime::runtime;
use super::scheduling::{Recurring, Watched, now, recurring, watched};
use crate::account::plain;
use crate::cli::WatchArgs;
use crate::io::service;
use crate::io::terminal::say;
use crate::plan::Plan;
use crate::store::{Place, Store};
use guard::{Guard, Input};
use guarded::{Guarded, guarded};
use loads::Loads;
use probes::Probes;
use records::Records;
use seen::{health_file, see, seen};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the clock is looked at, whatever is due: it may have been set.
const LOOK: Duration = Duration::from_secs(10);

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
    let links = links_of(&args.plans)?;
    runtime()?.block_on(async {
        // A wrong place is known before anything is due; a server may come back later.
        if let Place::File(_) = place {
            Store::open(&place).await?.close().await?;
        }
        let mut signals = Signals::new()?;
        let watch = Watch::begin(args.plans.clone(), place, links)?;
        watch.run(&mut signals).await;
        Ok::<_, Error>(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is watched: the links of all plans, and those of them that have a schedule.
struct Links {
    watched: Vec<Watched>,
    recurring: Vec<Recurring>,
}

fn links_of(paths: &[PathBuf]) -> Result<Links, Error> {
    let watched = watched(paths)?;
    let recurring = recurring(&watched)?;
    let plans: Vec<Plan> = watched.iter().map(|link| link.plan.clone()).collect();
    match super::keys::unknown(&plans)? {
        Some(unknown) => Err(Error::UnknownAgents(unknown)),
        None => Ok(Links { watched, recurring }),
    }
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

/// The service.
struct Watch {
    paths: Vec<PathBuf>,
    loads: Loads,
    probes: Probes,
    records: Records,
    guard: Guard,
}

impl Watch {
    fn begin(paths: Vec<PathBuf>, place: Place, links: Links) -> Result<Self, Error> {
        let since = seen(&paths)?.unwrap_or_else(now);
        let Links { watched, recurring } = links;
        say(&format!("{} links are watched", watched.len()));
        let (records, observed) = Records::begin(place.clone());
        let (name, file) = (name_of(&paths), health_file(&paths)?);
        let guard = Guard::begin(name, file, place.clone(), guarded_of(&watched));
        let mut probes = Probes::new(observed, guard.inputs().clone());
        probes.succeed(&watched);
        let loads = Loads::new(place, recurring, since, &guard);
        Ok(Self { paths, loads, probes, records, guard })
    }

    /// Until a signal ends it.
    async fn run(mut self, signals: &mut Signals) {
        service::ready(&self.loads.status());
        loop {
            // Written down first: whatever ends this program, no run is started twice.
            if let Err(error) = see(&self.paths, now()) {
                // Runs go on: what is lost is which were missed while this program is down.
                say(&plain(&format!("warning: {error}")));
            }
            self.loads.see_to();
            self.probes.rest(&self.loads.loaded());
            service::alive(&self.loads.status());
            let pause = self.loads.pause(LOOK);
            tokio::select! {
                over = self.loads.next_over() => self.loads.handle_over(over),
                _ = signals.reload.recv() => self.reload(),
                _ = signals.interrupt.recv() => break,
                _ = signals.terminate.recv() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        service::stopping();
        self.loads.end().await;
        // With the probes goes whoever says what they show.
        drop(self.probes);
        drop(self.loads);
        self.records.end().await;
        self.guard.end().await;
    }

    /// Takes the plans as they are now; those from before where they are wrong.
    fn reload(&mut self) {
        match links_of(&self.paths) {
            Ok(Links { watched, recurring }) => {
                let count = watched.len();
                say(&format!("the plans were read again: {count} links are watched"));
                self.loads.succeed(recurring);
                // Whoever takes them outlives this, or the program ends.
                _ = self.guard.inputs().send(Input::Links(guarded_of(&watched)));
                self.probes.succeed(&watched);
            }
            Err(error) => {
                say(&plain(&format!("warning: {error}")));
                say("warning: the plans were not read again: those from before stay");
            }
        }
    }
}

fn guarded_of(links: &[Watched]) -> Vec<Guarded> {
    guarded(links.iter().map(|link| (link.name.as_str(), &link.plan)))
}

/// What a watch of these plans is called: by its host and by them.
fn name_of(paths: &[PathBuf]) -> String {
    let file = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let plans: Vec<String> = paths.iter().filter_map(file).collect();
    plain(&format!("{} {}", super::delivery::watch_name(), plans.join(" ")))
}
