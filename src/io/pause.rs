//! The file by which an agent's operator has it load nothing for a while.

use super::files::{BadOutput, replace_shared};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file, in the folder of the agent's key.
const FILE: &str = "paused";

/// The octets of it that are read.
const OCTETS_MAX: usize = 4_096;

/// The file that says that an agent is paused, and why.
#[derive(Clone, Debug)]
pub struct PauseFile {
    folder: PathBuf,
}

impl PauseFile {
    /// That of the agent whose key is in the file `key`.
    #[must_use]
    pub fn beside(key: &Path) -> Self {
        let folder = key.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or(Path::new(".")).to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What it says; `None` where it is not there. One that is there and cannot be read says
    /// nothing, and pauses all the same.
    #[must_use]
    pub fn read(&self) -> Option<String> {
        match fs::read_to_string(self.path()) {
            Ok(text) => Some(text.chars().take(OCTETS_MAX).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(String::new()),
        }
    }

    /// Puts it there, for everybody to read.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn write(&self, text: &str) -> Result<(), BadOutput> {
        replace_shared(&self.folder, FILE, &format!("{text}\n"))
    }

    /// Takes it away; whether it was there.
    ///
    /// # Errors
    ///
    /// Where it stays.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(self.path()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_it_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = PauseFile::beside(&folder.path().join("agent.key"));
        assert_eq!(file.read(), None);
        file.write("an alarm").expect("written");
        assert_eq!(file.read().as_deref(), Some("an alarm\n"));
        assert!(file.remove().expect("removed"));
        assert_eq!((file.read(), file.remove().expect("not there")), (None, false));
    }
}
