//! The driver's program: carries out what [`crate::method`] and [`crate::session::driver`] say.

mod conversation;
mod dialling;
mod error;
mod firewall;
mod judge;
mod output;
mod planning;
mod precheck;
mod progress;
mod results;
mod rounds;
mod running;
mod runtime;

pub use conversation::{SiteJob, conduct};
pub use error::Error;
pub use judge::judge;
pub use output::{create, show};
pub use planning::run;
pub use results::Results;
pub use runtime::{interrupts, runtime};

use crate::account::plain;
use crate::cli::{CheckArgs, KeygenArgs, PlanCommand};
use crate::io::key::generate;
use crate::io::terminal::{is_coloured, print, say};
use running::run_plan;
use std::process::ExitCode;

/// The exit code of what was done, or of why it was not, which is told.
#[must_use]
pub fn exit(result: Result<ExitCode, Error>) -> ExitCode {
    result.unwrap_or_else(|error| {
        match &error {
            Error::Plan(faults) => say(&faults.annotated(is_coloured())),
            _ => error.to_string().lines().for_each(|line| say(&format!("error: {}", plain(line)))),
        }
        ExitCode::from(error.exit_code())
    })
}

/// `linkqual keygen`.
///
/// # Errors
///
/// Where the key cannot be written.
pub fn keygen(args: &KeygenArgs) -> Result<ExitCode, Error> {
    let line = generate(&args.out, &args.comment)?;
    let path = args.out.display();
    print(&format!(
        "{path} is secret: it stays on this host, readable by its owner alone.\n\
         {path}.pub is for the other end: {}\n",
        line.key()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// `linkqual plan`.
///
/// # Errors
///
/// Where what is asked cannot be done.
pub fn plan(command: &PlanCommand) -> Result<ExitCode, Error> {
    match command {
        PlanCommand::Check(args) => planning::check(args),
        PlanCommand::Init(args) => planning::init(args),
        PlanCommand::Firewall(args) => firewall::firewall(args),
    }
}

/// `linkqual check`.
///
/// # Errors
///
/// Where there is no report.
pub fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    run_plan(args.plan(), None, Vec::new(), &args.output)
}
