//! `linkqual judge`: the evidence of a saved report, judged again; nothing is sent.

use super::error::Error;
use super::output::{Files, create, show};
use super::planning::read_requirements;
use super::saved::{read_report, record_at, unreadable};
use crate::cli::JudgeArgs;
use crate::io::clock;
use crate::io::terminal::say;
use crate::report::{Question, Unreadable};
use std::process::ExitCode;

/// `linkqual judge`.
///
/// # Errors
///
/// Where the report or the plan cannot be read.
pub(super) fn judge(args: &JudgeArgs) -> Result<ExitCode, Error> {
    let path = record_at(&args.report);
    let mut report = read_report(&path)?;
    let unreadable = |error: Unreadable| unreadable(&path, &error);
    match &args.require {
        Some(plan) => {
            let (plans, record) = read_requirements(plan)?;
            let (question, notes) = Question::by(&plans, &report).map_err(unreadable)?;
            notes.iter().for_each(|note| say(&format!("note: {note}")));
            report.judge_again(&question, Some(record), clock::wall_ns()).map_err(unreadable)?;
        }
        None => {
            let question = report.question().map_err(unreadable)?;
            report.judge_again(&question, None, clock::wall_ns()).map_err(unreadable)?;
        }
    }
    let saved = match create(&args.output)? {
        Some(output) => Files::new(output, &args.output).save(&report).map_err(Error::from),
        None => Ok(()),
    };
    show(&report, saved, &args.output)
}
