//! Saved reports, read again.

use super::error::Error;
use crate::io::files::{RECORD, read_text};
use crate::report::{Report, Unreadable};
use std::path::{Path, PathBuf};

/// The octets of a report at most: one of the longest run is far below.
const REPORT_OCTETS_MAX: u64 = 256 << 20;

/// The record at `path`: a file, or the folder of a run that has one.
pub(super) fn record_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(RECORD) } else { path.to_owned() }
}

/// Reads a saved report: its record, or the folder of a run.
///
/// # Errors
///
/// Where it cannot be read, or is none.
pub(super) fn read_report(path: &Path) -> Result<Report, Error> {
    let path = record_at(path);
    let text = read_text(&path, REPORT_OCTETS_MAX)?.text;
    Report::parse(&text).map_err(|error| unreadable(&path, &error))
}

/// Why the report at `path` is none, or cannot be judged.
pub(super) fn unreadable(path: &Path, error: &Unreadable) -> Error {
    Error::Unreadable(format!("{}: {error}", path.display()))
}
