//! Whom the agent serves: the keys that it was started with, and those of a file that its operator
//! changes while it runs.

use crate::io::log::stranger;
use crate::io::watched::WatchedText;
use crate::policy::allowed::{AllowedDriver, read};
use crate::session::agent::Listed;
use crate::trial::Limits;
use crate::wire::key::{KeyLine, PublicKey};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who may use the agent.
#[derive(Debug)]
pub(super) struct Drivers {
    limits: Limits,
    given: Vec<AllowedDriver>,
    file: Option<WatchedText>,
    /// What the file said when it was last read.
    of_file: Vec<AllowedDriver>,
    /// Those of both that are allowed now.
    listed: BTreeMap<PublicKey, AllowedDriver>,
}

impl Drivers {
    /// Those of `given`, with all that the agent allows, and those of `file`.
    pub(super) fn new(limits: Limits, given: Vec<KeyLine>, file: Option<PathBuf>) -> Self {
        let given = given.into_iter().map(AllowedDriver::whole).collect();
        let file = file.map(WatchedText::new);
        Self { limits, given, file, of_file: Vec::new(), listed: BTreeMap::new() }
    }

    /// Where they are listed, besides those that were given.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(WatchedText::path)
    }

    /// Those that are allowed.
    pub(super) fn listed(&self) -> impl Iterator<Item = &AllowedDriver> {
        self.listed.values()
    }

    /// The driver whose key this is, where it is allowed.
    pub(super) fn find(&self, key: &PublicKey) -> Option<Listed> {
        let driver = self.listed.get(key)?;
        let (who, role) = (driver.key.comment().to_owned(), driver.role(self.limits));
        Some(Listed { who, key: *key, role })
    }

    /// Reads the file again, whether it has changed or not.
    pub(super) fn read_again(&mut self) {
        if let Some(file) = &mut self.file {
            file.forget();
        }
    }

    /// Takes in what has changed until `wall_ns`, and which keys have expired; `None` where nobody
    /// came or went, else those who went.
    pub(super) fn refresh(&mut self, wall_ns: u64) -> Option<Vec<PublicKey>> {
        if let Some(file) = &mut self.file
            && let Some(text) = file.changed()
        {
            let path = file.path().display();
            match text {
                Ok(text) => {
                    let (allowed, bad) = read(&text);
                    for (line, why) in bad {
                        stranger(
                            "a line of allowed_drivers allows nobody",
                            format!("{path}:{line}: {why}"),
                        );
                    }
                    self.of_file = allowed;
                }
                // Whoever is allowed stays so: the file may be half way through a change.
                Err(error) => stranger(
                    "allowed_drivers cannot be read, so what it said before holds",
                    format!("{path}: {error}"),
                ),
            }
        }
        // What is given with the command holds against the file.
        let all = self.of_file.iter().chain(&self.given);
        let all = all.filter(|driver| !driver.is_expired(wall_ns));
        let listed = all.map(|driver| (driver.key.key(), driver.clone())).collect();
        let before = std::mem::replace(&mut self.listed, listed);
        if before == self.listed {
            return None;
        }
        let gone = before.into_keys().filter(|key| !self.listed.contains_key(key));
        Some(gone.collect())
    }
}
