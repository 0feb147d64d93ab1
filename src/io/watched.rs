//! A text file that may be changed while the program runs, and how programs change it: one at a
//! time, whole or not at all, and never over a change that somebody else has made meanwhile.
//!
//! Each folder has a lock for that, `.keys.lock`. An editor does not take it: whether the file is
//! still what was read is looked at once more before it is replaced.

use super::clock;
use super::files::{draft_name, open_regular};
use crate::clock::Driver;
use crate::units::Span;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The longest file that is read: 10 000 lines of a hundred octets.
const OCTETS_MAX: u64 = 1 << 20;

/// Permission bits by which others than the owner could write.
const WRITTEN_BY_OTHERS: u32 = 0o022;

/// The lock of a folder.
const LOCK: &str = ".keys.lock";

/// How long the lock is waited for, and how often it is looked at.
const LOCK_MAX: Span = Span::from_secs(10);
const LOCK_LOOK: Span = Span::from_millis(10);

/// Times that a file is changed again which somebody else has changed meanwhile.
const TRIES_MAX: u32 = 8;

/// Links that are followed from one to the next.
const LINKS_MAX: u32 = 8;

/// A text file that is read again whenever it has changed.
#[derive(Debug)]
pub struct WatchedText {
    path: PathBuf,
    seen: Option<Seen>,
}

/// What distinguishes one state of a file from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    Missing,
    There {
        device: u64,
        inode: u64,
        changed: (i64, i64),
        octets: u64,
    },
    /// It could not be looked at.
    Hidden(io::ErrorKind),
}

impl Seen {
    fn at(path: &Path) -> Self {
        Self::of(&fs::metadata(path))
    }

    fn of(looked: &io::Result<Metadata>) -> Self {
        match looked {
            Ok(there) => Self::There {
                device: there.dev(),
                inode: there.ino(),
                changed: (there.ctime(), there.ctime_nsec()),
                octets: there.len(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Hidden(error.kind()),
        }
    }
}

/// Why a text is not to be taken as it is.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Others than root and this program's user can have written it.
    #[error("{why}")]
    Exposed {
        /// Who, and what to do.
        why: String,
        /// What it holds.
        text: String,
    },
    /// It cannot be read.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

impl WatchedText {
    /// The file at `path`, of which nothing has been seen yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what was seen: the next look reads it.
    pub const fn forget(&mut self) {
        self.seen = None;
    }

    /// What it holds, where that may have changed since it was last asked for: nothing where there
    /// is no such file.
    ///
    /// # Errors
    ///
    /// Where it is there and cannot be read, or others than its owner can write it.
    pub fn changed(&mut self) -> Option<Result<String, Unread>> {
        let looked = fs::metadata(&self.path);
        let seen = Seen::of(&looked);
        if self.seen.replace(seen) == Some(seen) {
            return None;
        }
        let text = match looked {
            Ok(_) => read(&self.path),
            Err(_) if seen == Seen::Missing => Ok(String::new()),
            Err(error) => Err(error.into()),
        };
        if matches!(text, Err(Unread::Failed(_))) {
            // What could not be read this time may be next time.
            self.seen = None;
        }
        Some(text)
    }
}

fn read(path: &Path) -> Result<String, Unread> {
    // It may be a link, as the files of a Kubernetes ConfigMap are; a pipe is not waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file").into());
    }
    let mut octets = Vec::new();
    file.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if OCTETS_MAX < octets.len() as u64 {
        return Err(io::Error::other(format!("it is longer than {OCTETS_MAX} octets")).into());
    }
    // A line that is no UTF-8 is one bad line, and takes nothing from the others.
    let text = String::from_utf8_lossy(&octets).into_owned();
    match exposed(path, &there) {
        Some(why) => Err(Unread::Exposed { why, text }),
        None => Ok(text),
    }
}

/// Who else can have written the file `there`; `None` where nobody can.
fn exposed(path: &Path, there: &Metadata) -> Option<String> {
    let mode = there.mode();
    if mode & WRITTEN_BY_OTHERS != 0 {
        return Some(format!(
            "users other than its owner can write it: its mode is {:04o}. Try: chmod go-w {}",
            mode & 0o7777,
            path.display()
        ));
    }
    let why = "its owner is neither root nor the user that this program runs as";
    (!is_trusted(there.uid())).then(|| why.to_owned())
}

/// Whether `owner` is root or the user of this process.
fn is_trusted(owner: u32) -> bool {
    // Of files in this process's own folder of /proc its owner is this process's user.
    let own = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    [0, own].contains(&owner)
}

/// What the file at `path` holds; nothing where there is none.
///
/// # Errors
///
/// As [`WatchedText::changed`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let read = WatchedText::new(path.to_owned()).changed().unwrap_or_else(|| Ok(String::new()));
    read.map_err(|why| match why {
        Unread::Failed(error) => error,
        Unread::Exposed { why, .. } => io::Error::other(why),
    })
}

/// `text` and `line` behind it.
#[must_use]
pub fn with_line(text: &str, line: &str) -> String {
    let start = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{start}{line}\n")
}

/// Why a text was not changed.
#[derive(Debug)]
pub enum Unchanged<E> {
    /// It was not to be.
    Refused(E),
    /// It cannot be read.
    Unreadable(io::Error),
    /// It cannot be written.
    Unwritable(io::Error),
}

/// Has `change` say what the file at `path` is to hold, from what it holds: nothing where there is
/// none. It is asked again where somebody else has changed the file meanwhile. What it says beside
/// that is returned.
///
/// A new file is for its owner to write and everybody to read; of one that is there owner and mode
/// stay. Where `path` is a link, what it leads to is changed.
///
/// # Errors
///
/// Where `change` refuses, or the file cannot be read or written; it is then as it was.
pub fn change_text<T, E>(
    path: &Path,
    mut change: impl FnMut(&str) -> Result<(String, T), E>,
) -> Result<T, Unchanged<E>> {
    let path = target(path).map_err(Unchanged::Unwritable)?;
    let _lock = lock(folder_of(&path)).map_err(Unchanged::Unwritable)?;
    for _ in 0..TRIES_MAX {
        let seen = Seen::at(&path);
        let before = read_text(&path).map_err(Unchanged::Unreadable)?;
        let (after, said) = change(&before).map_err(Unchanged::Refused)?;
        // Where nothing but lines are added, the file stays the one that it is.
        let written = match after.strip_prefix(&before) {
            Some(added) => append(&path, seen, added),
            None => replace(&path, seen, &after),
        };
        if written.map_err(Unchanged::Unwritable)? {
            return Ok(said);
        }
    }
    let why = "somebody else changes it again and again";
    Err(Unchanged::Unwritable(io::Error::other(why)))
}

/// Takes the lock of `folder`, for as long as what is returned stands: `None` where there can be
/// none, as on a file system without locks.
///
/// # Errors
///
/// Where another process does not give it back, or there is no such folder.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = match open_regular(&path, &mut options) {
        Ok(lock) => lock,
        // Who cannot write there cannot replace a file either: whether it can be added to is seen.
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let looks = LOCK_MAX.nanos() / LOCK_LOOK.nanos();
    for _ in 0..looks {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => {
                let next = clock::now::<Driver>().after_nanos(LOCK_LOOK.nanos());
                clock::wait_until(next, 0);
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    let why =
        format!("another program has held {} for {LOCK_MAX}. Try again later", path.display());
    Err(io::Error::other(why))
}

/// The folder of `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Where `path` leads: links are followed that root or this user has made.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() && is_trusted(there.uid()) => {
                let to = fs::read_link(&path)?;
                path = folder_of(&path).join(to);
            }
            Ok(there) if there.is_symlink() => {
                let why = format!("{} is a link that another user has made", path.display());
                return Err(io::Error::other(why));
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("it is a link that leads to links without end"))
}

/// Adds `text` to the file at `path`, which is made where there was none; `false` where it is not
/// what was `seen`.
fn append(path: &Path, seen: Seen, text: &str) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    let is_new = seen == Seen::Missing;
    let opened = open_regular(path, options.append(true).create_new(is_new).mode(0o644));
    let mut file: File = match opened {
        Err(error) if is_new && error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        opened => opened?,
    };
    if is_new {
        // Whatever the umask takes: the agent may run as another user.
        file.set_permissions(Permissions::from_mode(0o644))?;
    } else if Seen::of(&file.metadata()) != seen {
        return Ok(false);
    }
    // In one piece: who reads it meanwhile sees all of the line, or nothing.
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // An editor may have put another in its place.
    let own = file.metadata()?;
    let there = fs::metadata(path);
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

/// Replaces the file at `path` by `text`, whole or not at all; its owner and mode stay. `false`
/// where it is not what was `seen`.
fn replace(path: &Path, seen: Seen, text: &str) -> io::Result<bool> {
    let there = fs::symlink_metadata(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder_of(path).join(draft_name(&name)?);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&draft)?;
    let mut write = || {
        file.write_all(text.as_bytes())?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
            fchown(&file, Some(there.uid()), Some(there.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(there.mode() & 0o7777))?;
        file.sync_all()?;
        let is_as_seen = Seen::at(path) == seen;
        match is_as_seen {
            true => fs::rename(&draft, path)?,
            false => fs::remove_file(&draft)?,
        }
        Ok(is_as_seen)
    };
    // The error that led here is the one to report.
    write().inspect_err(|_| _ = fs::remove_file(&draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tempfile::TempDir;

    /// A folder of this test's own, and a path in it.
    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        (folder, file)
    }

    fn text(watched: &mut WatchedText) -> Option<String> {
        watched.changed().map(|read| read.expect("a text"))
    }

    fn add(file: &Path, line: &str) {
        let added = change_text(file, |text| Ok::<_, Infallible>((with_line(text, line), ())));
        added.expect("a line");
    }

    fn set(file: &Path, text: &str) -> Result<(), Unchanged<Infallible>> {
        change_text(file, |_| Ok((text.to_owned(), ())))
    }

    /// What is in the folder beside the lock.
    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let names = entries.map(|entry| entry.expect("there").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a text")).collect();
        names.retain(|name| name != LOCK);
        names.sort();
        names
    }

    #[test]
    fn a_file_is_read_once_for_each_change() {
        let (_folder, file) = place();
        let mut watched = WatchedText::new(file.clone());
        assert_eq!(text(&mut watched).as_deref(), Some(""), "none is there");
        assert_eq!(text(&mut watched), None);
        add(&file, "one");
        assert_eq!(text(&mut watched).as_deref(), Some("one\n"));
        assert_eq!(text(&mut watched), None);
        add(&file, "two");
        assert_eq!(text(&mut watched).as_deref(), Some("one\ntwo\n"));
        watched.forget();
        assert_eq!(text(&mut watched).as_deref(), Some("one\ntwo\n"));
        fs::remove_file(&file).expect("it is there");
        assert_eq!(text(&mut watched).as_deref(), Some(""));
    }

    #[test]
    fn a_line_without_an_end_is_ended_before_the_next() {
        let (_folder, file) = place();
        fs::write(&file, "one").expect("a file");
        add(&file, "two");
        assert_eq!(read_text(&file).expect("a text"), "one\ntwo\n");
    }

    /// Such as for want of a descriptor: a key that was taken out would stay allowed.
    #[test]
    fn what_could_not_be_read_is_read_at_the_next_look() {
        let (_folder, file) = place();
        fs::create_dir(&file).expect("a folder");
        let mut watched = WatchedText::new(file);
        for _ in 0..2 {
            assert!(watched.changed().is_some_and(|read| read.is_err()));
        }
    }

    #[test]
    fn an_octet_that_is_no_text_spoils_its_own_line_alone() {
        let (_folder, file) = place();
        fs::write(&file, b"# caf\xe9\none\n").expect("a file");
        assert!(read_text(&file).expect("a text").ends_with("\none\n"));
    }

    #[test]
    fn what_replaces_a_file_has_its_mode() {
        let (folder, file) = place();
        add(&file, "one");
        let mode = Permissions::from_mode(0o640);
        fs::set_permissions(&file, mode).expect("a mode");
        set(&file, "two\n").expect("written");
        assert_eq!(read_text(&file).expect("a text"), "two\n");
        let mode = fs::metadata(&file).expect("there").mode() & 0o7777;
        assert_eq!(mode, 0o640);
        assert_eq!(names(&folder), ["allowed_drivers"], "no draft is left");
    }

    /// As those who keep their files in a repository have them: adding and replacing are the same.
    #[test]
    fn of_a_link_what_it_leads_to_is_changed() {
        let (folder, link) = place();
        let file = folder.path().join("kept");
        std::os::unix::fs::symlink("kept", &link).expect("a link");
        add(&link, "one");
        assert_eq!(read_text(&file).expect("a text"), "one\n", "it is made there");
        add(&link, "two");
        set(&link, "three\n").expect("written");
        assert_eq!(read_text(&file).expect("a text"), "three\n");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(names(&folder), ["allowed_drivers", "kept"]);
        fs::remove_file(&file).expect("it is there");
        std::os::unix::fs::symlink("allowed_drivers", &file).expect("a link");
        let Err(Unchanged::Unwritable(error)) = set(&link, "four\n") else { panic!("a circle") };
        assert!(error.to_string().contains("without end"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_what_it_holds() {
        let (_folder, file) = place();
        add(&file, "one");
        let mode = Permissions::from_mode(0o664);
        fs::set_permissions(&file, mode).expect("a mode");
        let error = read_text(&file).expect_err("anyone's").to_string();
        assert!(error.contains("its mode is 0664. Try: chmod go-w"), "{error}");
        let mut watched = WatchedText::new(file);
        let read = watched.changed();
        assert!(matches!(read, Some(Err(Unread::Exposed { text, .. })) if text == "one\n"));
        assert!(watched.changed().is_none(), "once for each change");
    }

    /// One reads, another removes a line and saves: what was removed would be back.
    #[test]
    fn what_somebody_changes_meanwhile_is_not_undone() {
        let (folder, file) = place();
        for is_added in [true, false] {
            fs::write(&file, "one\ntwo\n").expect("a file");
            let mut calls = 0;
            let changed = change_text(&file, |text| {
                calls += 1;
                if calls == 1 {
                    // As an editor does it: a new file in the place of the old one.
                    let other = folder.path().join("other");
                    fs::write(&other, "two\n").and_then(|()| fs::rename(&other, &file)).ok();
                }
                let text = if is_added { text.to_owned() } else { format!("# us\n{text}") };
                Ok::<_, Infallible>((with_line(&text, "three"), calls))
            });
            assert_eq!(changed.expect("written"), 2);
            let start = if is_added { "" } else { "# us\n" };
            assert_eq!(read_text(&file).expect("a text"), format!("{start}two\nthree\n"));
            assert_eq!(names(&folder), ["allowed_drivers"]);
        }
    }

    /// Each reads what the one before it has written.
    #[test]
    fn many_that_change_a_file_at_once_lose_nothing() {
        let (_folder, file) = place();
        add(&file, "first");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for round in 0..8 {
                        let line = format!("{number}.{round}");
                        let change = |text: &str| {
                            let text = format!("{line}\n{text}");
                            Ok::<_, Infallible>((text, ()))
                        };
                        change_text(file, change).expect("a line");
                    }
                });
            }
        });
        let text = read_text(&file).expect("a text");
        assert_eq!(text.lines().count(), 65, "{text}");
    }

    #[test]
    fn what_is_refused_leaves_the_file_as_it_was() {
        let (folder, file) = place();
        let refused = change_text(&file, |_| Err::<(String, ()), _>("no"));
        assert!(matches!(refused, Err(Unchanged::Refused("no"))));
        assert!(names(&folder).is_empty());
    }
}
