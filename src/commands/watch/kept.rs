//! What a guard keeps on this host over a restart, whatever becomes of the database.

use crate::account::plain;
use crate::alerting::{Alert, Notice, Waiting};
use crate::health::state::{Current, Event};
use crate::io::files::{BadOutput, make_private_folder, read_text, replace_private};
use crate::io::terminal::say;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The octets of such a file at most.
const OCTETS_MAX: u64 = 64 << 20;

/// Events and notices that wait for the history at most: beyond that the oldest are given up.
const UNWRITTEN_MAX: usize = 50_000;

/// All that is kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Kept {
    /// The states.
    pub(super) states: Vec<Current>,
    /// The alerts that are open.
    pub(super) alerts: Vec<Alert>,
    /// What waits for receivers.
    pub(super) waiting: Vec<Waiting>,
    /// What the history does not have yet.
    pub(super) unwritten: Unwritten,
}

/// What the history does not have yet.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Unwritten {
    /// Changes of states.
    pub(super) events: Vec<Event>,
    /// Notices of alerts.
    pub(super) notices: Vec<Notice>,
}

impl Unwritten {
    pub(super) const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.notices.is_empty()
    }

    /// What came later, too.
    pub(super) fn add(&mut self, later: Self) {
        self.events.extend(later.events);
        self.notices.extend(later.notices);
        self.events.drain(..self.events.len().saturating_sub(UNWRITTEN_MAX));
        self.notices.drain(..self.notices.len().saturating_sub(UNWRITTEN_MAX));
    }
}

impl Kept {
    /// What `file` has; nothing where there is none, or where it cannot be used, which is said.
    pub(super) fn read(file: &Path) -> Self {
        if !file.exists() {
            return Self::default();
        }
        let text = read_text(file, OCTETS_MAX).map_err(|error| error.to_string());
        let kept = text.and_then(|text| {
            serde_json::from_str(&text.text).map_err(|error| format!("{}: {error}", file.display()))
        });
        kept.unwrap_or_else(|why| {
            say(&plain(&format!("warning: states from before are not known: {why}")));
            Self::default()
        })
    }

    /// It as text.
    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Writes `text`, which is its own, in the place of what is there.
    pub(super) fn write(&self, file: &Path, text: &str) -> Result<(), BadOutput> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let failed = |source| BadOutput::Unwritten { path: folder.to_owned(), source };
        make_private_folder(folder).map_err(failed)?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("watch.health.json");
        replace_private(folder, name, text)
    }
}
