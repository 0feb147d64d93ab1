//! Until when a watch has seen to its schedule, in a file: what was missed while it was down is
//! known when it starts again.

use crate::commands::error::Error;
use crate::commands::recording::spool;
use crate::commands::scheduling::now;
use crate::io::files::{make_private_folder, read_text, replace_private};
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// How far back runs that were missed are looked for.
const BACK_MAX: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The octets of the file below at most.
const OCTETS_MAX: u64 = 128;

/// Until when the schedule was seen to; `None` where it never was, or too long ago.
///
/// # Errors
///
/// Where there is no place for the file, or it cannot be read.
pub(super) fn seen(paths: &[PathBuf]) -> Result<Option<Timestamp>, Error> {
    let path = folder()?.join(seen_file(paths));
    if !path.exists() {
        return Ok(None);
    }
    let seen = read_text(&path, OCTETS_MAX)?.text.trim().parse::<Timestamp>().ok();
    let (now, back) = (now(), now().checked_sub(BACK_MAX).unwrap_or(Timestamp::MIN));
    // A clock that was ahead then would keep everything from starting.
    Ok(seen.map(|seen| seen.clamp(back, now)))
}

/// Writes down that the schedule was seen to until `at`.
///
/// # Errors
///
/// Where it cannot be written.
pub(super) fn see(paths: &[PathBuf], at: Timestamp) -> Result<(), Error> {
    let folder = folder()?;
    let failed = |source| crate::store::Error::File { path: folder.clone(), source };
    make_private_folder(&folder).map_err(failed)?;
    Ok(replace_private(&folder, &seen_file(paths), &format!("{at}\n"))?)
}

/// Beside the folder in which runs are kept aside.
fn folder() -> Result<PathBuf, Error> {
    let spool = spool()?;
    Ok(spool.folder().parent().unwrap_or(spool.folder()).to_owned())
}

/// The file that says until when the schedule of these plans has been seen to.
fn seen_file(paths: &[PathBuf]) -> String {
    format!("watch-{}.seen", digits(paths))
}

/// The file that has the states and the alerts of the links of these plans.
///
/// # Errors
///
/// Where there is no place for it.
pub(super) fn health_file(paths: &[PathBuf]) -> Result<PathBuf, Error> {
    Ok(folder()?.join(format!("watch-{}.health.json", digits(paths))))
}

/// Sixteen hexadecimal digits for these plans.
fn digits(paths: &[PathBuf]) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    paths.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
