//! A plan's run: its keys, what is shown of it meanwhile, and its report.

use super::error::{Error, NOT_RUN};
use super::keys::{self, Keys};
use super::leasing::{leased, note_of};
use super::output::{Files, create, show_run};
use super::recording::{Begun, Keepers, Recording, configured};
use super::runtime::{pass_on_interrupts, runtime};
use super::screen::Screen;
use super::stopping::{loaded, obey};
use crate::cli::{OutputArgs, RecordArgs};
use crate::driver::{self, Cancel, HostClock, Job, Keep, Run, events, run};
use crate::history::Class;
use crate::io::files::Output;
use crate::plan::Plan;
use crate::report::PlanRecord;
use std::process::ExitCode;

/// Reports of progress that may wait to be shown: only the newest is worth it.
pub(super) const PROGRESS_MAX: usize = 1;

/// How a run is recorded and shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    /// The command that makes it.
    pub(super) command: &'static str,
    /// Whether it goes to the history; never where there is nothing said of it.
    pub(super) record: Option<&'a RecordArgs>,
    /// Where and how the result goes.
    pub(super) output: &'a OutputArgs,
}

/// Runs a plan, read from `file`, towards each of its sites, one after the other; the exit code of
/// the verdict. The report includes `notes`.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run_plan(
    plan: Plan,
    file: Option<PlanRecord>,
    notes: Vec<String>,
    how: How<'_>,
) -> Result<ExitCode, Error> {
    let notes = notes.into_iter().chain(note_of(how.record)).collect();
    let job = job_of(plan)?.from_file(file).with_notes(notes);
    run_job(job, create(how.output)?, how)
}

/// The run of a plan, with the keys that it names.
///
/// # Errors
///
/// Where a key cannot be read, or this host cannot send as the plan says.
pub(super) fn job_of(plan: Plan) -> Result<Job, Error> {
    let Keys { identity, former, agents } = keys::of_plan(&plan)?;
    Ok(Job::new(plan, identity, agents)?.with_former(former))
}

/// Runs `job`, by a lease where there is a history, and shows how it goes and what it came to; its
/// record goes to `output`. The exit code of the verdict.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run_job(job: Job, output: Option<Output>, how: How<'_>) -> Result<ExitCode, Error> {
    let args = how.output;
    let id = job.id();
    let job = leased(job, &id, how.command, how.record)?;
    let screen = Screen::begin(!args.quiet, &[job.plan()], None);
    let run_name = job.run().to_string();
    let recording = how.recording(&run_name, &[job.plan()], job.file())?;
    let (events, reader) = events(PROGRESS_MAX);
    let cancel = Cancel::default();
    let loaded = loaded([job.plan()]);
    let job = job.reporting_to(events).ended_by(&cancel);
    let job = match keepers(output, args, recording.as_ref()) {
        Some(keepers) => job.kept_by(keepers),
        None => job,
    };
    let (run, is_said) = runtime()?.block_on(async {
        loaded.map(|links| tokio::spawn(obey(cancel.clone(), links, Vec::new)));
        tokio::spawn(pass_on_interrupts(cancel, !args.quiet));
        tokio::join!(run(job, HostClock), screen.follow(reader))
    });
    conclude(run, is_said, recording, args)
}

impl How<'_> {
    /// What records the run; `None` where nothing does.
    ///
    /// # Errors
    ///
    /// Where it is not clear which history is meant.
    pub(super) fn recording(
        &self,
        run: &str,
        plans: &[&Plan],
        file: Option<&PlanRecord>,
    ) -> Result<Option<Recording>, Error> {
        let Some(args) = self.record.filter(|args| !args.no_history) else { return Ok(None) };
        let Some(place) = configured(&args.place)? else { return Ok(None) };
        let begun = Begun { command: self.command, run, plans, file };
        Recording::begin(place, Class::Manual, &begun).map(Some)
    }
}

/// Who keeps a run: its folder, and the history.
pub(super) fn keepers(
    output: Option<Output>,
    args: &OutputArgs,
    recording: Option<&Recording>,
) -> Option<Keepers> {
    let files = output.map(|output| Box::new(Files::new(output, args)) as Box<dyn Keep>);
    let history = recording.map(|recording| Box::new(recording.clone()) as Box<dyn Keep>);
    let keepers: Vec<Box<dyn Keep>> = files.into_iter().chain(history).collect();
    (!keepers.is_empty()).then_some(Keepers(keepers))
}

/// Records what a run came to, and shows it; the exit code of the verdict. A changed key is shown
/// unless it `is_said` already.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn conclude(
    run: Run,
    is_said: bool,
    recording: Option<Recording>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    let recorded = recording.map_or(Ok(()), |recording| recording.conclude(&run));
    match run.error {
        Some(driver::Error::AnotherKey { .. }) if is_said => Ok(ExitCode::from(NOT_RUN)),
        Some(error) => Err(error.into()),
        None => show_run(&run.report, run.kept.and(recorded).map_err(Error::NotKept), args),
    }
}
