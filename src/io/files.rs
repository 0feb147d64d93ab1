//! The files that a run reads and leaves.

pub use super::bad_output::BadOutput;

use super::sys::file_system;
use rand::{TryRng as _, rngs};
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// The record's name in the output folder.
pub const RECORD: &str = "report.json";

/// Where a run's files go. They are created before the first packet, so that a bad path is known
/// in time; what stays empty is removed again.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    /// The empty record, locked: no other run that finds it empty takes it for one that was left.
    empty: File,
}

impl Output {
    /// Makes `folder` and the record's file in it, beside which files of the names `others` may be
    /// written.
    ///
    /// # Errors
    ///
    /// Where a report is there already, or nothing can be written.
    pub fn create(folder: &Path, others: &[&str]) -> Result<Self, BadOutput> {
        let unwritable =
            |path: &Path, source| BadOutput::Unwritable { path: path.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|source| unwritable(folder, source))?;
        let record = folder.join(RECORD);
        let mut others = others.iter().map(|name| folder.join(name));
        // A link or a pipe in their place is replaced, and never written to.
        let has_text = |there: std::fs::Metadata| there.is_file() && 0 < there.len();
        if !record.exists()
            && let Some(other) = others.find(|at| at.symlink_metadata().is_ok_and(has_text))
        {
            return Err(BadOutput::Exists(other));
        }
        let created = OpenOptions::new().write(true).create_new(true).open(&record);
        let empty = match created {
            Ok(created) => created,
            Err(error) => match std::fs::symlink_metadata(&record) {
                // A run that was killed before it had a record left an empty one.
                Ok(there) if there.is_file() && there.len() == 0 => {
                    open_regular(&record, OpenOptions::new().write(true))
                        .map_err(|source| unwritable(&record, source))?
                }
                Ok(there) if there.is_file() => return Err(BadOutput::Exists(record)),
                Ok(_) => return Err(BadOutput::NotRegular(record)),
                Err(_) => return Err(unwritable(&record, error)),
            },
        };
        // A file system without locks cannot keep two runs apart.
        if matches!(empty.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(BadOutput::Running(folder.to_owned()));
        }
        match is_empty_at(&empty, &record) {
            // Made on success alone: dropped, it removes the record.
            true => Ok(Self { folder: folder.to_owned(), empty }),
            // It was saved between the look and the lock.
            false => Err(BadOutput::Exists(record)),
        }
    }

    /// Replaces the file `name`, whole or not at all.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; the one before it stands.
    pub fn save(&self, name: &str, text: &str) -> Result<(), BadOutput> {
        replace(&self.folder, name, text, MODE_SHARED)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let record = self.folder.join(RECORD);
        if is_empty_at(&self.empty, &record) {
            // The empty record would only be in the next run's way.
            _ = std::fs::remove_file(record);
        }
    }
}

/// Whether `file` is what stands at `path`, and nothing was written there.
fn is_empty_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else {
        return false;
    };
    (own.dev(), own.ino()) == (there.dev(), there.ino()) && there.len() == 0
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
        let place = std::fs::metadata(folder).map_err(|source| unwritable(folder, source))?;
        let mode = place.permissions().mode() & 0o7777;
        if mode & MODE_OTHERS_WRITE != 0 {
            return Err(BadOutput::Exposed { path: folder.to_owned(), mode });
        }
        let path = folder.join(".lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(MODE_PRIVATE);
        let lock = open_regular(&path, &mut options).map_err(|source| unwritable(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {
                remove_drafts(folder);
                Ok(Self { folder: folder.to_owned(), _lock: lock })
            }
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
        let file = open_regular(&self.path(name), OpenOptions::new().read(true))?;
        if TEXT_MAX < file.metadata()?.len() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than any record",
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
        replace(&self.folder, &format!("{name}{SUFFIX}"), text, MODE_PRIVATE)
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
const MODE_PRIVATE: u32 = 0o600;

/// Readable by all whom the umask does not keep out.
const MODE_SHARED: u32 = 0o666;

/// The permission bits by which others than the owner could plant files in a folder.
const MODE_OTHERS_WRITE: u32 = 0o022;

/// What every draft's name ends in; it begins with a dot.
const DRAFT: &str = ".draft";

/// Opens the regular file `path`, and nothing else: no link is followed, and a pipe or a device
/// that has its name is not waited for.
pub(super) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Writes the file `name` in `folder`, whole or not at all.
///
/// The draft has a name that nobody can foresee, and is made new, so that nothing that was planted
/// in the folder is written to. The file itself is replaced by renaming, which follows no link.
pub(super) fn replace(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), BadOutput> {
    let path = folder.join(name);
    let write = || {
        let draft = folder.join(draft_name(name)?);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| std::fs::rename(&draft, &path)).inspect_err(|_| {
            // The error that led here is the one to report.
            _ = std::fs::remove_file(&draft);
        })
    };
    write().map_err(|source| BadOutput::Unwritten { path, source })
}

/// What a draft of the file `name` is called, which nobody can foresee.
pub(super) fn draft_name(name: &str) -> io::Result<String> {
    let mut unforeseen = [0; 8];
    rngs::SysRng.try_fill_bytes(&mut unforeseen).map_err(io::Error::other)?;
    Ok(format!(".{name}.{:016x}{DRAFT}", u64::from_ne_bytes(unforeseen)))
}

/// Removes the drafts that a process left which was killed while it wrote.
fn remove_drafts(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.take(FILES_MAX).flatten() {
        let name = entry.file_name();
        let is_draft =
            name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(DRAFT));
        if is_draft {
            _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Where this host's administrator keeps what both programs use.
const USUAL_FOLDER: &str = "/etc/linkqual";

/// Makes the folder of `path` where it is the usual one, which no package has made, for everybody
/// to enter whatever the umask: the agent is a user of its own. Another is made by whoever names
/// it: a slip of the pen would be made, too.
///
/// # Errors
///
/// Where it cannot be made.
pub fn make_usual_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder == Path::new(USUAL_FOLDER) && !folder.exists() => {
            DirBuilder::new().mode(0o755).create(folder)?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        }
        _ => Ok(()),
    }
}

/// Makes `folder`, and what it is in, for this user alone where there is none.
///
/// # Errors
///
/// Where it cannot be made.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Lets others pass through `folder` to files in it that they may read.
///
/// # Errors
///
/// Where that cannot be.
pub fn let_others_pass(folder: &Path) -> io::Result<()> {
    let mut permissions = std::fs::metadata(folder)?.permissions();
    permissions.set_mode(permissions.mode() | 0o011);
    std::fs::set_permissions(folder, permissions)
}

/// Makes an empty file at `path` for this user alone, where there is none.
///
/// # Errors
///
/// Where it cannot be made.
pub fn make_private_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(MODE_PRIVATE);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()),
    }
}

/// The folders in `folder`, by their names; none where it cannot be read.
#[must_use]
pub fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.take(FOLDERS_MAX).filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Folders of a folder that are looked at.
const FOLDERS_MAX: usize = 1_000_000;

/// Writes the file `name` in `folder`, whole or not at all, for this user alone.
///
/// # Errors
///
/// Where it cannot be written; what was there before stands.
pub fn replace_private(folder: &Path, name: &str, text: &str) -> Result<(), BadOutput> {
    replace(folder, name, text, MODE_PRIVATE)
}

/// The same, for everybody to read.
///
/// # Errors
///
/// Where it cannot be written; what was there before stands.
pub fn replace_shared(folder: &Path, name: &str, text: &str) -> Result<(), BadOutput> {
    replace(folder, name, text, MODE_SHARED)
}

/// The kind of network file system that `path` is on; `None` where it is none.
#[must_use]
pub fn network_file_system(path: &Path) -> Option<&'static str> {
    let kind = file_system::kind(path)?;
    NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}

/// By their magic numbers, as statfs(2) and the kernel's `magic.h` have them. FUSE is among them as
/// it cannot be seen what is behind it.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
];

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

/// Writes `text` to the new file `path`; nothing is left there where that fails.
///
/// # Errors
///
/// Where it exists, or cannot be written.
pub fn write_new(path: &Path, text: &str) -> Result<(), BadOutput> {
    let mut file = File::create_new(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => BadOutput::Named(path.to_owned()),
        _ => BadOutput::Unwritable { path: path.to_owned(), source },
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
        _ = std::fs::remove_file(path);
        BadOutput::Unwritten { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_report_is_never_overwritten_by_another_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/run");
        let output = Output::create(&path, OTHERS).expect("writable");
        output.save(RECORD, "{}").expect("writable");
        output.save(RECORD, "{1}").expect("its own may be replaced");
        drop(output);
        assert!(matches!(Output::create(&path, OTHERS), Err(BadOutput::Exists(_))));
        assert_eq!(std::fs::read_to_string(path.join(RECORD)).expect("there"), "{1}");
    }

    const OTHERS: &[&str] = &["report.txt", "runs.csv"];

    #[test]
    fn a_run_without_a_record_leaves_nothing_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Output::create(folder.path(), OTHERS).expect("writable"));
        std::fs::write(folder.path().join(RECORD), "").expect("writable");
        assert!(
            Output::create(folder.path(), OTHERS).is_ok(),
            "what a killed run left is in the way"
        );
    }

    /// The first release replaced them.
    #[test]
    fn a_text_or_rows_without_their_record_are_not_overwritten() {
        for name in OTHERS {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(name);
            std::fs::write(&path, "kept").expect("writable");
            let made = Output::create(folder.path(), OTHERS);
            assert!(matches!(&made, Err(BadOutput::Exists(there)) if *there == path), "{made:?}");
            assert!(!folder.path().join(RECORD).exists());
            assert_eq!(std::fs::read_to_string(&path).expect("there"), "kept");
        }
    }

    /// The second took the empty record for one that a killed run had left, and each replaced or
    /// removed the other's.
    #[test]
    fn two_runs_with_one_folder_do_not_share_a_report() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(RECORD);
        let first = Output::create(folder.path(), OTHERS).expect("writable");
        let second = Output::create(folder.path(), OTHERS);
        assert!(matches!(second, Err(BadOutput::Running(_))), "{second:?}");
        drop(second);
        assert!(path.exists(), "the second removed the first one's");
        first.save(RECORD, "{}").expect("writable");
        assert!(matches!(Output::create(folder.path(), OTHERS), Err(BadOutput::Exists(_))));
        drop(first);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "{}");
        std::fs::remove_file(&path).expect("there");
        let own = Output::create(folder.path(), OTHERS).expect("writable");
        std::fs::remove_file(&path).expect("there");
        std::fs::write(&path, "").expect("writable");
        drop(own);
        assert!(path.exists(), "another's empty record");
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
    fn a_folder_that_cannot_be_made_is_reported() {
        let error =
            Output::create(Path::new("/proc/nothing/here"), OTHERS).expect_err("not writable");
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
        std::fs::write(path.join(".c.json.0123456789abcdef.draft"), "cut short").expect("writable");
        std::fs::write(path.join("d.json"), [0xff]).expect("writable");
        assert!(state_dir.forget("b") && !state_dir.forget("b"));
        drop(state_dir);
        let kept = StateDir::open(&path).expect("it is free again").read();
        let texts: Vec<_> =
            kept.iter().map(|(name, text)| (&name[..], text.as_deref().ok())).collect();
        assert_eq!(texts, [("a", Some("2")), ("d", None)]);
        let names = std::fs::read_dir(&path).expect("a folder").count();
        assert_eq!(names, 3, "a.json, d.json and .lock: drafts of the dead are removed");
        for (path, mode) in [(path.join("a.json"), 0o600), (path, 0o700)] {
            let metadata = std::fs::metadata(path).expect("there");
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_state_directory_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, is_right) in [(0o700, true), (0o750, true), (0o770, false), (0o1777, false)] {
            let open = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), open).expect("it is this test's");
            match StateDir::open(folder.path()) {
                Ok(_) => assert!(is_right, "{mode:o}"),
                Err(error) => {
                    assert!(!is_right && error.to_string().contains("chmod 700"), "{error}");
                }
            }
        }
    }

    /// `/dev/full` in the place of each: the system takes nothing.
    #[test]
    fn what_is_lost_for_lack_of_space_is_distinguished_from_a_wrong_place() {
        let lost = BadOutput::Stdout(io::ErrorKind::StorageFull.into());
        assert!(lost.is_lost());
        let wrong =
            Output::create(Path::new("/proc/nothing/here"), OTHERS).expect_err("not writable");
        assert!(!wrong.is_lost());
        let folder = tempfile::tempdir().expect("a folder");
        let output = Output::create(folder.path(), OTHERS).expect("writable");
        std::fs::create_dir(folder.path().join("taken")).expect("writable");
        std::fs::write(folder.path().join("taken/by"), "another").expect("writable");
        let unwritten = output.save("taken", "text").expect_err("a folder is there");
        assert!(unwritten.is_lost(), "{unwritten}");
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 2, "no draft is left beside the record and that folder");
    }
}
