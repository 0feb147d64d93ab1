//! `linkqual demo`: a verdict on an emulated line, on this machine alone.

use super::error::Error;
use super::output::create;
use super::running::{How, run_job};
use crate::cli::DemoArgs;
use crate::demo::Demo;
use crate::io::terminal::say;
use std::process::ExitCode;

/// Runs the demo; its exit code is that of the verdict.
///
/// # Errors
///
/// Where this host cannot even emulate a line.
pub(super) fn demo(args: &DemoArgs) -> Result<ExitCode, Error> {
    let output = create(&args.output)?;
    let demo = Demo::start(args.broken)?;
    if !args.output.quiet {
        demo.introduction().iter().for_each(|line| say(line));
        say("");
    }
    let how = How { command: "demo", record: None, output: &args.output };
    run_job(demo.job()?, output, how)
}
