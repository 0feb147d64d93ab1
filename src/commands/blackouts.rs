//! The blackouts of this host: read from their files, with the calendars that these name.

use super::error::Error;
use super::volume::now;
use crate::io::files::read_text;
use crate::io::user_folders;
use crate::plan::file::{BlackoutFile, CalendarFile, FILE_OCTETS_MAX, read_blackouts};
use crate::plan::{Blackout, Blackouts, Link};
use crate::schedule::calendar::{OCTETS_MAX, times};
use jiff::{SignedDuration, Timestamp};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The file, in the folder of what is configured, and in that of the host.
const FILE: &str = "blackouts.toml";
const HOSTS: &str = "/etc/linkqual";

/// How far ahead calendars are read: longer than anything is asked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 400);

/// The blackouts that are known now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    blackouts: Vec<Blackout>,
    until: Timestamp,
}

impl Known {
    /// Those of this user and of this host.
    ///
    /// # Errors
    ///
    /// All that is wrong with a file, or the first thing that is wrong with a calendar: none is
    /// left out.
    pub(super) fn read() -> Result<Self, Error> {
        let until = now().checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let mut known = Self { blackouts: Vec::new(), until };
        for path in files() {
            let text = read_text(&path, FILE_OCTETS_MAX)?.text;
            let BlackoutFile { blackouts, calendars } = read_blackouts(&path, &text)?;
            known.blackouts.extend(blackouts);
            for calendar in calendars {
                known.blackouts.extend(of_calendar(&calendar, until)?);
            }
        }
        Ok(known)
    }

    /// Those of `link`.
    pub(super) fn of(&self, link: &Link) -> Blackouts {
        Blackouts::of(&self.blackouts, link, self.until)
    }
}

/// The files that are there.
fn files() -> Vec<PathBuf> {
    let own = user_folders::config().map(|folder| folder.join(FILE));
    let of_host = Path::new(HOSTS).join(FILE);
    let mut files: Vec<PathBuf> = own.into_iter().chain([of_host]).collect();
    files.dedup();
    // One that cannot be looked at is there: reading it says what is wrong.
    let is_none = |error: io::Error| error.kind() == ErrorKind::NotADirectory;
    files.retain(|path| path.try_exists().unwrap_or_else(|error| !is_none(error)));
    files
}

/// The events of a calendar that are not over.
fn of_calendar(calendar: &CalendarFile, until: Timestamp) -> Result<Vec<Blackout>, Error> {
    let CalendarFile { path, zone, reason, scope } = calendar;
    let text = read_text(path, OCTETS_MAX)?.text;
    let busy = times(&text, zone.as_ref(), now(), until).map_err(|fault| {
        let path = path.display();
        Error::Unreadable(format!("{path}, {fault}. Until it is right, nothing is loaded"))
    })?;
    let blackout = |busy: crate::schedule::calendar::Busy| Blackout {
        from: busy.from,
        to: busy.to,
        reason: reason.clone().unwrap_or(busy.summary),
        scope: scope.clone(),
    };
    Ok(busy.into_iter().map(blackout).collect())
}
