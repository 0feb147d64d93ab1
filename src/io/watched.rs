//! A text file that may be changed while the program runs, and lines that are added to it.

use super::files::{draft_name, open_regular};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The longest file that is read: 10 000 lines of a hundred octets.
const OCTETS_MAX: u64 = 1 << 20;

/// Permission bits by which others than the owner could write.
const WRITTEN_BY_OTHERS: u32 = 0o022;

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
    pub fn changed(&mut self) -> Option<io::Result<String>> {
        let looked = std::fs::metadata(&self.path);
        let seen = Seen::of(&looked);
        if self.seen.replace(seen) == Some(seen) {
            return None;
        }
        let text = match looked {
            Ok(_) => read(&self.path),
            Err(_) if seen == Seen::Missing => Ok(String::new()),
            Err(error) => Err(error),
        };
        if text.is_err() {
            // What could not be read this time may be next time.
            self.seen = None;
        }
        Some(text)
    }
}

fn read(path: &Path) -> io::Result<String> {
    // It may be a link, as the files of a Kubernetes ConfigMap are; a pipe is not waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mode = there.mode();
    if mode & WRITTEN_BY_OTHERS != 0 {
        return Err(io::Error::other(format!(
            "users other than its owner can write it: its mode is {:04o}. Try: chmod go-w {}",
            mode & 0o7777,
            path.display()
        )));
    }
    // Of files in this process's own folder of /proc its owner is this process's user.
    let own = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
    if ![0, own].contains(&there.uid()) {
        let why = "its owner is neither root nor the user that this program runs as";
        return Err(io::Error::other(why));
    }
    let mut octets = Vec::new();
    file.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if OCTETS_MAX < octets.len() as u64 {
        return Err(io::Error::other(format!("it is longer than {OCTETS_MAX} octets")));
    }
    // A line that is no UTF-8 is one bad line, and takes nothing from the others.
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// What the file at `path` holds; nothing where there is none.
///
/// # Errors
///
/// As [`WatchedText::changed`].
pub fn read_text(path: &Path) -> io::Result<String> {
    WatchedText::new(path.to_owned()).changed().unwrap_or_else(|| Ok(String::new()))
}

/// Adds `line` to the file at `path`, which is made where there is none, for its owner to write and
/// everybody to read.
///
/// # Errors
///
/// Where it cannot be written.
pub fn add_line(path: &Path, line: &str) -> io::Result<()> {
    let before = read_text(path)?;
    let is_new = std::fs::symlink_metadata(path).is_err();
    let mut options = OpenOptions::new();
    let mut file: File = open_regular(path, options.append(true).create(true).mode(0o644))?;
    if is_new {
        // Whatever the umask takes: the agent may run as another user.
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let start = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    // In one piece: who reads it meanwhile sees all of the line, or nothing.
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

/// Replaces the file at `path` by `text`, whole or not at all; its owner and mode stay.
///
/// # Errors
///
/// Where it is no regular file, such as a link that leads to one elsewhere, or cannot be written.
pub fn replace_text(path: &Path, text: &str) -> io::Result<()> {
    let there = std::fs::symlink_metadata(path)?;
    if !there.is_file() {
        let why = "it is a link, or no regular file: change what it leads to by hand";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(draft_name(&name)?);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&draft)?;
    let mut write = || {
        file.write_all(text.as_bytes())?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
            fchown(&file, Some(there.uid()), Some(there.gid()))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(there.mode() & 0o7777))?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    // The error that led here is the one to report.
    write().inspect_err(|_| _ = std::fs::remove_file(&draft))
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn a_file_is_read_once_for_each_change() {
        let (_folder, file) = place();
        let mut watched = WatchedText::new(file.clone());
        assert_eq!(text(&mut watched).as_deref(), Some(""), "none is there");
        assert_eq!(text(&mut watched), None);
        add_line(&file, "one").expect("a line");
        assert_eq!(text(&mut watched).as_deref(), Some("one\n"));
        assert_eq!(text(&mut watched), None);
        add_line(&file, "two").expect("a line");
        assert_eq!(text(&mut watched).as_deref(), Some("one\ntwo\n"));
        watched.forget();
        assert_eq!(text(&mut watched).as_deref(), Some("one\ntwo\n"));
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(text(&mut watched).as_deref(), Some(""));
    }

    #[test]
    fn a_line_without_an_end_is_ended_before_the_next() {
        let (_folder, file) = place();
        std::fs::write(&file, "one").expect("a file");
        add_line(&file, "two").expect("a line");
        assert_eq!(read_text(&file).expect("a text"), "one\ntwo\n");
    }

    /// Such as for want of a descriptor: a key that was taken out would stay allowed.
    #[test]
    fn what_could_not_be_read_is_read_at_the_next_look() {
        let (_folder, file) = place();
        std::fs::create_dir(&file).expect("a folder");
        let mut watched = WatchedText::new(file);
        for _ in 0..2 {
            assert!(watched.changed().is_some_and(|read| read.is_err()));
        }
    }

    #[test]
    fn an_octet_that_is_no_text_spoils_its_own_line_alone() {
        let (_folder, file) = place();
        std::fs::write(&file, b"# caf\xe9\none\n").expect("a file");
        assert!(read_text(&file).expect("a text").ends_with("\none\n"));
    }

    #[test]
    fn what_replaces_a_file_has_its_mode_and_follows_no_link() {
        let (folder, file) = place();
        assert!(replace_text(&file, "two\n").is_err(), "there is none");
        add_line(&file, "one").expect("a line");
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&file, mode).expect("a mode");
        replace_text(&file, "two\n").expect("written");
        assert_eq!(read_text(&file).expect("a text"), "two\n");
        let mode = std::fs::metadata(&file).expect("there").mode() & 0o7777;
        assert_eq!(mode, 0o640);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let error = replace_text(&link, "three\n").expect_err("a link").to_string();
        assert!(error.contains("it is a link"), "{error}");
        assert_eq!(read_text(&file).expect("a text"), "two\n");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 2, "no draft is left");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let (_folder, file) = place();
        add_line(&file, "one").expect("a line");
        let mode = std::fs::Permissions::from_mode(0o664);
        std::fs::set_permissions(&file, mode).expect("a mode");
        let error = read_text(&file).expect_err("anyone's").to_string();
        assert!(error.contains("its mode is 0664. Try: chmod go-w"), "{error}");
    }
}
