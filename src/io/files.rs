//! The files that a run leaves, and what is said on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// The record's name in the output folder.
pub const RECORD: &str = "report.json";

/// The text's name in the output folder.
pub const TEXT: &str = "report.txt";

/// The trials' rows in the output folder.
pub const ROWS: &str = "runs.csv";

/// Where a run's files go. They are created before the first packet, so that a bad path is known
/// in time; what stays empty is removed again.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    saved: bool,
}

/// The output cannot be written there.
#[derive(Debug, thiserror::Error)]
pub enum BadOutput {
    /// Another run's report is there.
    #[error("{0} exists: it is another run's report. Give an --out of its own to each run")]
    Exists(PathBuf),
    /// The system says no.
    #[error("cannot write {path}: {source}")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Output {
    /// Makes `folder` and the record's file in it.
    ///
    /// # Errors
    ///
    /// Where a report is there already, or nothing can be written.
    pub fn create(folder: &Path) -> Result<Self, BadOutput> {
        let unwritable =
            |path: &Path, source| BadOutput::Unwritable { path: path.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|source| unwritable(folder, source))?;
        let record = folder.join(RECORD);
        match OpenOptions::new().write(true).create_new(true).open(&record) {
            Ok(_) => Ok(Self { folder: folder.to_owned(), saved: false }),
            // A run that was killed before it had a record left an empty one.
            Err(_) if std::fs::metadata(&record).is_ok_and(|file| file.len() == 0) => {
                Ok(Self { folder: folder.to_owned(), saved: false })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BadOutput::Exists(record))
            }
            Err(source) => Err(unwritable(&record, source)),
        }
    }

    /// Replaces the record, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; the record before it stands.
    pub fn save_record(&mut self, text: &str) -> Result<(), BadOutput> {
        self.save(RECORD, text)?;
        self.saved = true;
        Ok(())
    }

    /// Replaces the file `name`, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; the one before it stands.
    pub fn save(&self, name: &str, text: &str) -> Result<(), BadOutput> {
        let path = self.folder.join(name);
        let draft = self.folder.join(format!(".{name}.draft"));
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)
        };
        write().map_err(|source| BadOutput::Unwritable { path, source })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.saved {
            // The empty record would only be in the next run's way.
            _ = std::fs::remove_file(self.folder.join(RECORD));
        }
    }
}

/// The octets of a text file that is read at most: a report of the longest run is far below.
const TEXT_MAX: u64 = 256 << 20;

/// Reads a text file whole.
///
/// # Errors
///
/// What the system says, or that it is too long or no text.
pub fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let len = File::open(path)?.take(TEXT_MAX + 1).read_to_string(&mut text)?;
    if TEXT_MAX < len as u64 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 256 MiB"));
    }
    Ok(text)
}

/// Writes a result to the standard output. Whoever reads it may have gone: that is no error.
pub fn print(text: &str) {
    _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes talk to the standard error.
pub fn say(text: &str) {
    _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person reads the standard error.
#[must_use]
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_never_overwritten_by_another_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/run");
        let mut output = Output::create(&path).expect("writable");
        output.save_record("{}").expect("writable");
        output.save_record("{1}").expect("its own may be replaced");
        drop(output);
        assert!(matches!(Output::create(&path), Err(BadOutput::Exists(_))));
        assert_eq!(std::fs::read_to_string(path.join(RECORD)).expect("there"), "{1}");
    }

    #[test]
    fn a_run_without_a_record_leaves_nothing_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Output::create(folder.path()).expect("writable"));
        std::mem::forget(Output::create(folder.path()).expect("writable"));
        assert!(Output::create(folder.path()).is_ok(), "what a killed run left is in the way");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let error = Output::create(Path::new("/proc/nothing/here")).expect_err("not writable");
        assert!(error.to_string().starts_with("cannot write /proc/nothing/here: "), "{error}");
    }
}
