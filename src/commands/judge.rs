//! `linkqual judge`: the evidence of a saved report, judged again; nothing is sent.

use super::error::Error;
use super::output::{Files, create, show};
use super::planning::read_plan;
use crate::cli::JudgeArgs;
use crate::io::clock;
use crate::io::files::read_text;
use crate::io::terminal::say;
use crate::report::{Question, Report, Unreadable};
use std::process::ExitCode;

/// The octets of a report at most: one of the longest run is far below.
const REPORT_OCTETS_MAX: u64 = 256 << 20;

/// `linkqual judge`.
///
/// # Errors
///
/// Where the report or the plan cannot be read.
pub(super) fn judge(args: &JudgeArgs) -> Result<ExitCode, Error> {
    let text = read_text(&args.report, REPORT_OCTETS_MAX)?.text;
    let path = args.report.display();
    let unreadable = |error: Unreadable| Error::Unreadable(format!("{path}: {error}"));
    let mut report = Report::parse(&text).map_err(unreadable)?;
    match &args.require {
        Some(plan) => {
            let (plan, record) = read_plan(plan)?;
            let judged = report.links.first().and_then(|link| link.circuit.clone());
            if plan.link.circuit != judged {
                let name = |circuit: &Option<String>| {
                    circuit.as_ref().map_or_else(|| "no circuit".to_owned(), |id| format!("'{id}'"))
                };
                say(&format!(
                    "note: the report is of {}, the plan is about {}",
                    name(&judged),
                    name(&plan.link.circuit)
                ));
            }
            let question = Question::of(&plan);
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
