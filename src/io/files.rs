//! The files that a run reads and leaves, and what is said on the terminal.

use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
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
    /// A file of that name is there.
    #[error("{0} exists, and is not overwritten. Name another file")]
    Named(PathBuf),
    /// Another process keeps its texts there.
    #[error("{0} is in use by another process. Give a --state of its own to each agent")]
    Taken(PathBuf),
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
        replace(&self.folder, name, text, &mut OpenOptions::new())
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

/// A folder in which small texts are kept from one process to the next, each under its name. One
/// process has it at a time.
#[derive(Debug)]
pub struct StateDir {
    folder: PathBuf,
    /// Held as long as this stands.
    _lock: File,
}

/// The longest text that is read from a state directory.
const TEXT_MAX: u64 = 16 << 20;

/// Files of a state directory that are looked at.
const FILES_MAX: usize = 4_096;

/// What stands behind a text's name.
const SUFFIX: &str = ".json";

impl StateDir {
    /// Makes `folder`, which only its owner may look into, and takes it.
    ///
    /// # Errors
    ///
    /// Where it cannot be made or written, or another process has it.
    pub fn open(folder: &Path) -> Result<Self, BadOutput> {
        let unwritable =
            |path: &Path, source| BadOutput::Unwritable { path: path.to_owned(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| unwritable(folder, source))?;
        let path = folder.join(".lock");
        let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&path);
        let lock = file.map_err(|source| unwritable(&path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(BadOutput::Taken(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(unwritable(&path, source)),
        }
    }

    /// Every text that is kept, with its name, oldest first; or why one of them cannot be read.
    #[must_use]
    pub fn read(&self) -> Vec<(String, io::Result<String>)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let kept = |entry: DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(SUFFIX)?.to_owned();
            let written = entry.metadata().and_then(|file| file.modified()).ok();
            (!name.starts_with('.')).then_some((written, name))
        };
        let mut kept: Vec<_> =
            entries.take(FILES_MAX).filter_map(|entry| kept(entry.ok()?)).collect();
        kept.sort();
        kept.into_iter()
            .map(|(_, name)| {
                let text = self.read_one(&name);
                (name, text)
            })
            .collect()
    }

    fn read_one(&self, name: &str) -> io::Result<String> {
        let file = File::open(self.path(name))?;
        if TEXT_MAX < file.metadata()?.len() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is longer than any record",
            ));
        }
        let mut text = String::new();
        file.take(TEXT_MAX).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Keeps `text` under `name`, whole or not at all, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; what was there before stands.
    pub fn keep(&self, name: &str, text: &str) -> Result<(), BadOutput> {
        replace(&self.folder, &format!("{name}{SUFFIX}"), text, private(&mut OpenOptions::new()))
    }

    /// Forgets `name`; true where there was something to forget.
    pub fn forget(&self, name: &str) -> bool {
        std::fs::remove_file(self.path(name)).is_ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }
}

/// Readable and writable by the owner alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Writes the file `name` in `folder`, whole or not at all.
fn replace(
    folder: &Path,
    name: &str,
    text: &str,
    options: &mut OpenOptions,
) -> Result<(), BadOutput> {
    let path = folder.join(name);
    let draft = folder.join(format!(".{name}.draft"));
    let mut write = || {
        let mut file = options.write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)
    };
    write().map_err(|source| BadOutput::Unwritable { path, source })
}

/// A text that was read, and its fingerprint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextFile {
    /// Its text.
    pub text: String,
    /// SHA-256 of its octets, 64 hexadecimal digits.
    pub sha256: String,
}

/// A text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadInput {
    /// The system says no.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than anything of its kind.
    #[error("{}: longer than {octets_max} octets. Is it the right file?", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What is allowed.
        octets_max: u64,
    },
    /// It is not UTF-8.
    #[error("{}: not text (UTF-8) from octet {at} on. Is it the right file?", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first octet that is none.
        at: usize,
    },
}

/// Reads a text of at most `octets_max` octets.
///
/// # Errors
///
/// Where it cannot be read, is longer, or is no text.
pub fn read_text(path: &Path, octets_max: u64) -> Result<TextFile, BadInput> {
    let unreadable = |source| BadInput::Unreadable { path: path.to_owned(), source };
    let mut octets = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // One more than allowed, to see that there is one more.
    file.take(octets_max.saturating_add(1)).read_to_end(&mut octets).map_err(unreadable)?;
    if u64::try_from(octets.len()).is_ok_and(|len| octets_max < len) {
        return Err(BadInput::TooLong { path: path.to_owned(), octets_max });
    }
    let sha256 = Sha256::digest(&octets).iter().map(|octet| format!("{octet:02x}")).collect();
    let text = String::from_utf8(octets).map_err(|error| BadInput::NotText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    Ok(TextFile { text, sha256 })
}

/// Writes `text` to the new file `path`.
///
/// # Errors
///
/// Where it exists, or cannot be written.
pub fn write_new(path: &Path, text: &str) -> Result<(), BadOutput> {
    let unwritable = |source| BadOutput::Unwritable { path: path.to_owned(), source };
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BadOutput::Named(path.to_owned()),
        _ => unwritable(error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)
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
    use std::os::unix::fs::PermissionsExt as _;

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
    fn a_text_is_read_up_to_its_bound_with_its_fingerprint() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("text");
        write_new(&path, "abc").expect("writable");
        // FIPS 180-4's own example.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let expected = TextFile { text: "abc".into(), sha256: sha256.into() };
        assert_eq!(read_text(&path, 3).expect("a text"), expected);
        assert!(matches!(read_text(&path, 2), Err(BadInput::TooLong { octets_max: 2, .. })));
        std::fs::write(&path, [b'a', 0xff]).expect("writable");
        assert!(matches!(read_text(&path, 9), Err(BadInput::NotText { at: 1, .. })));
        let missing = read_text(&folder.path().join("none"), 9).expect_err("not there");
        assert!(missing.to_string().contains("none: cannot be read: "), "{missing}");
    }

    #[test]
    fn a_new_file_takes_no_other_ones_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.toml");
        write_new(&path, "mine").expect("writable");
        assert!(matches!(write_new(&path, "yours"), Err(BadOutput::Named(_))));
        assert_eq!(read_text(&path, 9).expect("a text").text, "mine");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let error = Output::create(Path::new("/proc/nothing/here")).expect_err("not writable");
        assert!(error.to_string().starts_with("cannot write /proc/nothing/here: "), "{error}");
    }

    #[test]
    fn a_shelf_keeps_texts_for_the_next_process_and_for_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/state");
        let state_dir = StateDir::open(&path).expect("writable");
        assert!(matches!(StateDir::open(&path), Err(BadOutput::Taken(_))));
        state_dir.keep("a", "1").expect("writable");
        state_dir.keep("a", "2").expect("writable");
        state_dir.keep("b", "3").expect("writable");
        std::fs::write(path.join(".c.json.draft"), "cut short").expect("writable");
        std::fs::write(path.join("d.json"), [0xff]).expect("writable");
        assert!(state_dir.forget("b") && !state_dir.forget("b"));
        drop(state_dir);
        let kept = StateDir::open(&path).expect("it is free again").read();
        let texts: Vec<_> =
            kept.iter().map(|(name, text)| (&name[..], text.as_deref().ok())).collect();
        assert_eq!(texts, [("a", Some("2")), ("d", None)]);
        for (path, mode) in [(path.join("a.json"), 0o600), (path, 0o700)] {
            let metadata = std::fs::metadata(path).expect("there");
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
        }
    }
}
