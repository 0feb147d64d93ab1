//! `linkqual show`: a saved report as it was written; nothing is judged.

use super::error::Error;
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
    let report = read_report(&args.report)?;
    let folder = Some(args.report.as_path()).filter(|path| path.is_dir());
    print_text(&report, args.verbose, folder)?;
    Ok(ExitCode::SUCCESS)
}
