//! `linkqual-agent pause` and `resume`: local hands that keep an agent from loading, and how a
//! running one looks at that.

use crate::account::plain;
use crate::cli::{PauseArgs, ResumeArgs};
use crate::io::pause::PauseFile;
use crate::io::terminal::print;
use crate::io::{clock, user_folders};
use jiff::Timestamp;
use std::path::Path;

/// Why nothing was changed, and the exit code for that.
type NotChanged = (String, u8);

/// Has the agent load nothing from now on.
pub(super) fn pause(args: &PauseArgs) -> Result<(), NotChanged> {
    let file = PauseFile::beside(&args.key);
    let at = Timestamp::from_nanosecond(clock::wall_ns().into()).unwrap_or_default();
    let by = user_folders::user_name().unwrap_or_else(|| "somebody".to_owned());
    let (at, reason) = (at.strftime("%Y-%m-%d %H:%M UTC"), plain(args.reason.trim()));
    if reason.is_empty() {
        return Err(("--reason: say why, for the drivers whose load ends".to_owned(), 2));
    }
    file.write(&format!("by {by} since {at}: {reason}")).map_err(|error| {
        let path = file.path();
        (format!("{}: {error}. Run it as root (sudo)", path.display()), 2)
    })?;
    say(&format!(
        "An agent with the key {} loads nothing from now on; probes go on. linkqual-agent resume \
         ends that.\n",
        args.key.display()
    ))
}

/// Lets the agent load again.
pub(super) fn resume(args: &ResumeArgs) -> Result<(), NotChanged> {
    let file = PauseFile::beside(&args.key);
    let was_paused = file.remove().map_err(|error| {
        (format!("{}: {error}. Run it as root (sudo)", file.path().display()), 2)
    })?;
    say(match was_paused {
        true => "The agent may load again.\n",
        false => "The agent was not paused.\n",
    })
}

fn say(text: &str) -> Result<(), NotChanged> {
    print(text).map_err(|error| (error.to_string(), 5))
}

/// How a running agent looks at it.
#[derive(Debug)]
pub(super) struct Pause {
    file: PauseFile,
    /// Why it is paused, as it was seen last.
    why: Option<String>,
}

impl Pause {
    /// Of the agent whose key is in the file `key`.
    pub(super) fn beside(key: &Path) -> Self {
        Self { file: PauseFile::beside(key), why: None }
    }

    /// Looks again; whether anything has changed.
    pub(super) fn look(&mut self) -> bool {
        let why = self.file.read().map(|text| {
            let text = plain(text.trim());
            let text = if text.is_empty() { "by its operator".to_owned() } else { text };
            format!(
                "load is paused at this agent {text}. Probes go on. Its operator lets it load \
                 again with linkqual-agent resume"
            )
        });
        let has_changed = why != self.why;
        self.why = why;
        has_changed
    }

    /// Why it is paused, if it is.
    pub(super) const fn why(&self) -> Option<&String> {
        self.why.as_ref()
    }
}
