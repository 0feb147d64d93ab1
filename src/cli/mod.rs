//! The arguments of both programs: what was typed, and what it means.

mod agent;

#[cfg(feature = "driver")]
mod driver;

mod help;

mod hint;

#[cfg(feature = "driver")]
mod health;

#[cfg(feature = "driver")]
mod history;

#[cfg(feature = "driver")]
mod permit;

#[cfg(feature = "driver")]
mod schedule;

#[cfg(feature = "driver")]
mod stop;

mod topics;

mod value;

pub use agent::{
    AgentArgs, AgentCommand, AgentKeyArgs, AllowArgs, DRIVERS, PauseArgs, ResumeArgs, RevokeArgs,
};
#[cfg(feature = "driver")]
pub use driver::{
    CheckArgs, DemoArgs, DriverArgs, DriverCommand, JudgeArgs, KeyArgs, KeyCommand, KeygenArgs,
    OutputArgs, PlanCheckArgs, PlanCommand, PlanFirewallArgs, PlanInitArgs, RotateArgs, RunArgs,
    ShowArgs, TrustArgs,
};
#[cfg(feature = "driver")]
pub use health::{AckArgs, AlertsArgs, AlertsCommand, HealthArgs, MaintenanceArgs, NoteArgs};
pub use help::HelpArgs;
#[cfg(feature = "driver")]
pub use history::{
    AgentsArgs, BackupArgs, CompareArgs, DeleteArgs, HistoryArgs, HistoryCommand, HistoryPlaceArgs,
    ImportArgs, InitArgs, LeasesArgs, ListArgs, ListFormat, MoveArgs, RecordArgs, TableFormat,
    VerdictArg,
};
#[cfg(feature = "driver")]
pub use permit::PermitArgs;
#[cfg(feature = "driver")]
pub use schedule::{AvailabilityArgs, ScheduleArgs, WatchArgs};
#[cfg(feature = "driver")]
pub use stop::{ResumeLoadArgs, StopArgs};
#[cfg(feature = "driver")]
pub use topics::TOPICS;
pub use topics::{AGENT_TOPICS, Topic};

use clap::Parser;

/// What was said in the place of a command: help, a version, or what is wrong with the arguments.
#[derive(Debug)]
pub struct Answered {
    code: u8,
    lost: Option<String>,
}

impl Answered {
    /// The exit code, and why the answer could not be written; it went to the standard output
    /// unless the arguments were wrong.
    #[must_use]
    pub fn end(self, stdout: Result<(), String>) -> (u8, Option<String>) {
        match (self.code, stdout) {
            (0, Err(lost)) => (LOST, Some(lost)),
            (code, _) => (code, self.lost),
        }
    }
}

/// The exit code of output that could not be written.
const LOST: u8 = 5;

/// What was typed.
///
/// # Errors
///
/// Where it was no command: it has been answered then.
pub fn typed<A: Parser>() -> Result<A, Answered> {
    A::try_parse().map_err(|error| hint::hinted(&A::command(), error)).map_err(answered)
}

/// Says what `error` has to say.
fn answered(error: clap::Error) -> Answered {
    match error.print() {
        Err(lost) if !error.use_stderr() => {
            let lost = format!("could not write to the standard output: {lost}");
            Answered { code: LOST, lost: Some(lost) }
        }
        _ => Answered { code: u8::try_from(error.exit_code()).unwrap_or(2), lost: None },
    }
}
