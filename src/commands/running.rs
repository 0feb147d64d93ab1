//! A plan's run: its keys, what is shown of it meanwhile, and its report.

use super::error::{Error, NOT_RUN};
use super::keys::{self, Keys};
use super::output::{Files, create, show_run};
use super::runtime::{pass_on_interrupts, runtime};
use super::screen::Screen;
use crate::cli::OutputArgs;
use crate::driver::{self, Cancel, HostClock, Job, events, run};
use crate::io::files::Output;
use crate::plan::Plan;
use crate::report::PlanRecord;
use std::process::ExitCode;

/// Reports of progress that may wait to be shown: only the newest is worth it.
pub(super) const PROGRESS_MAX: usize = 1;

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
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    let job = job_of(plan)?.from_file(file).with_notes(notes);
    run_job(job, create(args)?, args)
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

/// Runs `job`, whose record goes to `output`, and shows how it goes and what it came to; the exit
/// code of the verdict.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run_job(
    job: Job,
    output: Option<Output>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    let screen = Screen::begin(!args.quiet, &[job.plan()], None);
    let (events, reader) = events(PROGRESS_MAX);
    let cancel = Cancel::default();
    let job = job.reporting_to(events).ended_by(&cancel);
    let job = match output {
        Some(output) => job.kept_by(Files::new(output, args)),
        None => job,
    };
    let (run, is_said) = runtime()?.block_on(async {
        tokio::spawn(pass_on_interrupts(cancel, !args.quiet));
        tokio::join!(run(job, HostClock), screen.follow(reader))
    });
    match run.error {
        Some(driver::Error::AnotherKey { .. }) if is_said => Ok(ExitCode::from(NOT_RUN)),
        Some(error) => Err(error.into()),
        None => show_run(&run.report, run.kept.map_err(Error::NotKept), args),
    }
}
