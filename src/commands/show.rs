//! `linkqual show`: a saved report as it was written; nothing is judged.

use super::error::Error;
use super::history::report_of;
use super::output::print_text;
use super::saved::read_report;
use crate::cli::ShowArgs;
use std::process::ExitCode;

/// `linkqual show`.
///
/// # Errors
///
/// Where there is no report, or nobody can read it.
pub(super) fn show(args: &ShowArgs) -> Result<ExitCode, Error> {
    let run = args.report.to_str().filter(|_| !args.report.exists()).filter(|name| is_run(name));
    let report = match run {
        Some(run) => report_of(&args.place, run)?,
        None => read_report(&args.report)?,
    };
    let folder = Some(args.report.as_path()).filter(|path| path.is_dir());
    print_text(&report, args.verbose, folder)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether `name` may be the first digits of a run.
fn is_run(name: &str) -> bool {
    4 <= name.len() && name.bytes().all(|it| it.is_ascii_hexdigit())
}
