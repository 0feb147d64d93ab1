//! `linkqual judge`: the evidence of a saved report, judged again; nothing is sent.

use super::ledger::save;
use super::{Error, create, show};
use crate::cli::JudgeArgs;
use crate::io::files::read;
use crate::report::Report;
use std::process::ExitCode;

/// `linkqual judge`.
///
/// # Errors
///
/// Where the report or the plan cannot be read.
pub fn judge(args: &JudgeArgs) -> Result<ExitCode, Error> {
    let path = args.report.display();
    let unreadable = |why: String| Error::Unreadable(format!("{path}: {why}"));
    let text = read(&args.report).map_err(|error| unreadable(error.to_string()))?;
    let mut report = Report::parse(&text).map_err(|error| unreadable(error.to_string()))?;
    let question = report.question().map_err(|error| unreadable(error.to_string()))?;
    report.judge(&question).map_err(|error| unreadable(error.to_string()))?;
    if let Some(mut output) = create(&args.output)? {
        save(&mut output, &report)?;
    }
    Ok(show(&report, &args.output))
}
