//! Why output cannot be written, and whether that was known before anything was done.

use std::io;
use std::path::PathBuf;

/// Output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BadOutput {
    /// A report is there: another run's, or that of the run itself which is judged again.
    #[error(
        "{} exists, and no report is overwritten. Give each run, and each judgement of one, an \
         --out of its own",
        .0.display()
    )]
    Exists(PathBuf),
    /// Another run is under way that will save its report there.
    #[error(
        "another run under way writes to {}. Give an --out of its own to each run",
        .0.display()
    )]
    Running(PathBuf),
    /// A file of that name is there.
    #[error("{} exists, and is not overwritten. Name another file", .0.display())]
    Named(PathBuf),
    /// Something other than a file has that name: a link, a pipe, a device.
    #[error(
        "{} is not a regular file, and is not used. Remove it, or name another place",
        .0.display()
    )]
    NotRegular(PathBuf),
    /// Another process keeps its texts there.
    #[error(
        "{} is in use by another process. Give a --state of its own to each agent",
        .0.display()
    )]
    Taken(PathBuf),
    /// Other users of this host can put files there.
    #[error(
        "{}: other users of this host can write there: its mode is {mode:04o}; it must be 0700. \
         Run: chmod 700 {}",
        .path.display(), .path.display()
    )]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refuses the place, before anything was done.
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refuses what was to be written, such as for lack of space.
    #[error("could not write {}: {source}", .path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The standard output takes nothing.
    #[error("could not write to the standard output: {0}")]
    Stdout(io::Error),
}

impl BadOutput {
    /// Whether the place was right as far as could be known, and the output was lost all the same.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Unwritten { .. } | Self::Stdout(_))
    }
}
