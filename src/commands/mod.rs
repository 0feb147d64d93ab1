//! What the commands of `linkqual` do: each reads its files, calls the library, prints, and says
//! what to exit with.
//!
//! All that a person sees of the driver is said here, and only here.

mod agents;
mod alerts;
mod availability;
mod blackouts;
mod compare;
mod delivery;
mod demo;
mod error;
mod firewall;
mod health;
mod history;
mod judge;
mod keys;
mod leases;
mod leasing;
mod links;
mod maintenance;
mod output;
mod permitting;
mod planning;
mod recording;
mod running;
mod runtime;
mod saved;
mod scheduling;
mod screen;
mod show;
mod stopping;
mod trust;
mod volume;
mod watch;

use crate::account::plain;
use crate::cli::{CheckArgs, DriverArgs, DriverCommand, HelpArgs, KeygenArgs, PlanCommand, TOPICS};
use crate::io::key::generate;
use crate::io::terminal::{check_stdout, is_coloured, print, say};
use error::Error;
use leasing::note_of;
use output::create;
use permitting::{confirm, permit};
use running::{How, job_of, run_job};
use std::process::ExitCode;

/// Does what was asked, and says why where that cannot be done; the exit code.
#[must_use]
pub fn main(args: &DriverArgs) -> ExitCode {
    let done = match &args.command {
        DriverCommand::Keygen(args) => keygen(args),
        DriverCommand::Key(args) => keys::key(args),
        DriverCommand::Trust(args) => trust::trust(args),
        DriverCommand::Check(args) => check(args),
        DriverCommand::Run(args) => planning::run(args),
        DriverCommand::Plan(PlanCommand::Check(args)) => planning::check(args),
        DriverCommand::Plan(PlanCommand::Init(args)) => planning::init(args),
        DriverCommand::Plan(PlanCommand::Firewall(args)) => firewall::firewall(args),
        DriverCommand::Judge(args) => judge::judge(args),
        DriverCommand::Show(args) => show::show(args),
        DriverCommand::Schedule(args) => scheduling::schedule(args),
        DriverCommand::Watch(args) => watch::watch(args),
        DriverCommand::Availability(args) => availability::availability(args),
        DriverCommand::Health(args) => health::health(args),
        DriverCommand::Alerts(args) => alerts::alerts(args),
        DriverCommand::Ack(args) => alerts::acknowledge(args),
        DriverCommand::Maintenance(args) => maintenance::maintenance(args),
        DriverCommand::Note(args) => maintenance::note(args),
        DriverCommand::Stop(args) => stopping::stop(args),
        DriverCommand::Resume(args) => stopping::resume(args),
        DriverCommand::History(args) => history::history(args),
        DriverCommand::Compare(args) => compare::compare(args),
        DriverCommand::Agents(args) => agents::agents(args),
        DriverCommand::Leases(args) => leases::leases(args),
        DriverCommand::Demo(args) => demo::demo(args),
        DriverCommand::Help(args) => help(args),
    };
    done.unwrap_or_else(|error| {
        match &error {
            Error::Plan(faults) => say(&faults.annotated(is_coloured())),
            _ => error.to_string().lines().for_each(|line| say(&format!("error: {}", plain(line)))),
        }
        ExitCode::from(error.exit_code())
    })
}

/// `linkqual check`.
///
/// # Errors
///
/// Where there is no report.
fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    let mut plans = [args.plan()];
    let notes = permit(&mut plans, &args.permit)?;
    let [plan] = plans;
    let notes = notes.into_iter().chain(note_of(Some(&args.record))).collect();
    let job = job_of(plan)?.with_notes(notes);
    confirm(job.plan(), &args.permit, args.output.quiet)?;
    let how = How { command: "check", record: Some(&args.record), output: &args.output };
    run_job(job, create(how.output)?, how)
}

/// `linkqual keygen`.
///
/// # Errors
///
/// Where the key cannot be written.
fn keygen(args: &KeygenArgs) -> Result<ExitCode, Error> {
    let line = generate(&args.out, &args.comment)?;
    let path = args.out.display();
    print(&format!(
        "{path} is secret: it stays on this host, readable by its owner alone.\n\
         {path}.pub is for the other end: {}\n",
        line.key()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// `linkqual help`.
///
/// # Errors
///
/// Where the page cannot be written.
fn help(args: &HelpArgs) -> Result<ExitCode, Error> {
    if let Some(topic) = args.topic(TOPICS) {
        print(topic.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (code, lost) =
        args.answer::<DriverArgs>(TOPICS).end(check_stdout().map_err(|lost| lost.to_string()));
    lost.iter().for_each(|why| say(&format!("error: {why}")));
    Ok(ExitCode::from(code))
}
