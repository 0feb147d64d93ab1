//! Why a history cannot be read or written.

use super::place::Place;
use std::path::PathBuf;

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no history at {0}. Make one: linkqual history init")]
    None(Place),
    /// Its folder is shared by several hosts, whose locks do not hold there.
    #[error(
        "{}: it is on a network file system ({kind}), where SQLite's locks do not hold and a \
         history may be damaged. Use a local disk, or PostgreSQL: postgresql://USER@HOST/DATABASE",
        .path.display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A later linkqual has changed it.
    #[error(
        "the history at {place} has version {found}, of a later linkqual; this one knows versions \
         up to {known}. Upgrade linkqual on this host"
    )]
    Newer {
        /// Where.
        place: Place,
        /// Its version.
        found: i64,
        /// The last one that is known here.
        known: i64,
    },
    /// The database says no.
    #[error("history at {place}: {source}")]
    Database {
        /// Where.
        place: Place,
        /// Why.
        source: sqlx::Error,
    },
    /// The server does not answer.
    #[error("history at {place}: no answer within {} s", .after.as_secs())]
    Silent {
        /// Where.
        place: Place,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The database cannot be brought to this version.
    #[error("history at {place}: it cannot be brought up to date: {source}")]
    Migration {
        /// Where.
        place: Place,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// Its file cannot be had.
    #[error("history at {}: {source}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it is not what was written.
    #[error("run {run} in the history: {why}")]
    Damaged {
        /// The run.
        run: String,
        /// Why.
        why: String,
    },
    /// A name that is no run's, or several runs'.
    #[error("{0}")]
    NoRun(String),
}
