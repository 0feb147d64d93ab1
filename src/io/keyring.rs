//! Where a driver keeps its keys where nobody names others: its own, those that it had before, and
//! the agents that it knows. And how an agent's key, a file of its own, is made and replaced.
//!
//! ```text
//! $XDG_CONFIG_HOME/linkqual/   ~/.config/linkqual/ where that is not set, /etc/linkqual/ for root
//!     driver.key               the secret key, made at first use; driver.key.pub beside it
//!     known_agents             the keys of agents, a line each
//!     retired/                 driver-2026-11-30.key: retired that day, with its .pub;
//!                              driver-2026-11-30.succession: how it signed the next
//! ```
//!
//! An `XDG_CONFIG_HOME` that is set holds for root too. Never overwrites a secret key, and never
//! leaves half of one where another process could read it: each is written under a name of its own
//! and then renamed or linked, under the folder's lock (`.keys.lock`).

mod agent;

mod known;

mod rotation;

pub use agent::{ReplacedKey, make_agent_key, replace_agent_key};
pub use known::{KnownAgents, Unclear};
pub use rotation::{FormerKey, Rotation};

use super::bad_output::BadOutput;
use super::files::{draft_name, make_usual_folder, replace};
use super::key::{
    self, KeyFileError, MODE_PUBLIC, MODE_SECRET, new_secret, pub_path, public_key, read_public,
    read_secret,
};
use super::user_folders;
use super::watched::{self, Unchanged};
use crate::account::plain;
use crate::wire::key::{KeyLine, PublicKey, SecretKey};
use std::convert::Infallible;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const DRIVER_KEY: &str = "driver.key";
const KNOWN_AGENTS: &str = "known_agents";
const RETIRED: &str = "retired";

/// A folder in which a driver keeps its keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyring {
    folder: PathBuf,
}

/// The driver's own key.
#[derive(Debug)]
pub struct OwnKey {
    /// Its file.
    pub path: PathBuf,
    /// The key.
    pub secret: SecretKey,
    /// Its public half, as the other end is given it.
    pub line: KeyLine,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Keyring {
    /// The folder of this user.
    ///
    /// # Errors
    ///
    /// Where the environment names none.
    pub fn of_user() -> Result<Self, KeyringError> {
        let folder = user_folders::config().ok_or(KeyringError::NoHome)?;
        Ok(Self { folder })
    }

    /// The driver's key; where there is none yet, it is made, and its folder with it.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or made, or others can read it.
    pub fn driver_key(&self) -> Result<OwnKey, KeyringError> {
        let path = self.folder.join(DRIVER_KEY);
        let (secret, is_new) = match read_secret(&path) {
            Err(KeyFileError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                self.make(&path)?
            }
            read => (read?, false),
        };
        let line = line_of(&path, &secret);
        Ok(OwnKey { path, secret, line, is_new })
    }

    /// Makes the key at `path`, unless another process has just done so; whether it is this one's.
    fn make(&self, path: &Path) -> Result<(SecretKey, bool), KeyringError> {
        self.make_folder(&self.folder)?;
        let _lock = self.lock()?;
        let secret = new_secret()?;
        let draft = self.folder.join(draft_name(DRIVER_KEY).map_err(self.unwritable())?);
        key::write_new(&draft, MODE_SECRET, &secret.to_pem())?;
        let published = publish(&draft, path, |from, to| fs::hard_link(from, to));
        _ = fs::remove_file(&draft);
        if !published.map_err(self.unwritable())? {
            return Ok((read_secret(path)?, false));
        }
        self.write_public(path, &secret)?;
        Ok((secret, true))
    }

    /// Takes the folder's lock, for as long as what is returned stands.
    fn lock(&self) -> Result<Option<File>, KeyringError> {
        watched::lock(&self.folder).map_err(self.unwritable())
    }

    /// Writes the public half of the key at `path`; one of a key that is gone gives way.
    fn write_public(&self, path: &Path, secret: &SecretKey) -> Result<(), KeyringError> {
        let line = usual_line(public_key(secret));
        let public = pub_path(path);
        let name = public.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = public.parent().unwrap_or(&self.folder);
        let text = format!("{line}\n");
        replace(folder, &name.unwrap_or_default(), &text, MODE_PUBLIC)?;
        // Whatever the umask took; a file system without modes has none to set.
        _ = fs::set_permissions(&public, fs::Permissions::from_mode(MODE_PUBLIC));
        Ok(())
    }

    /// Makes `folder` where there is none: for this user alone, but root's for everybody to enter,
    /// as the agent on this host has its key there too.
    fn make_folder(&self, folder: &Path) -> Result<(), KeyringError> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        let made =
            make_usual_folder(&folder.join(DRIVER_KEY)).and_then(|()| private.create(folder));
        made.map_err(|source| KeyringError::Folder { path: folder.to_owned(), source })
    }

    fn unwritable(&self) -> impl Fn(io::Error) -> KeyringError + '_ {
        |source| KeyringError::Folder { path: self.folder.clone(), source }
    }

    /// The file that lists the agents that are known.
    #[must_use]
    pub fn known_agents(&self) -> PathBuf {
        self.folder.join(KNOWN_AGENTS)
    }

    /// The key of the agent `host`, a name or an address and a port as it was typed.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or says two things of this agent.
    pub fn known(&self, host: &str) -> Result<Option<PublicKey>, KeyringError> {
        known::find(&self.read_known()?, host)
            .map_err(|why| KeyringError::Known { path: self.known_agents(), why })
    }

    /// Every agent that is known.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn all_known(&self) -> Result<KnownAgents, KeyringError> {
        let name = self.known_agents().display().to_string();
        Ok(known::all(&self.read_known()?, &name))
    }

    /// Remembers that the agent `host` has `key`, and no other.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn remember(&self, host: &str, key: PublicKey) -> Result<(), KeyringError> {
        self.make_folder(&self.folder)?;
        let path = self.known_agents();
        let line = known::line(host, key);
        let remembered = watched::change_text(&path, |text| {
            let others = known::without(text, host).unwrap_or_else(|| text.to_owned());
            Ok::<_, Infallible>((watched::with_line(&others, &line), ()))
        });
        remembered.map_err(|why| match why {
            Unchanged::Unreadable(source) => KeyringError::Unreadable { path, source },
            Unchanged::Unwritable(source) => KeyringError::Folder { path, source },
            Unchanged::Refused(never) => match never {},
        })
    }

    fn read_known(&self) -> Result<String, KeyringError> {
        let path = self.known_agents();
        watched::read_text(&path).map_err(|source| KeyringError::Unreadable { path, source })
    }
}

/// Gives the file `draft` the name `path`, which nobody else's file has: `false` where one has it.
/// Another process sees all of it, or nothing.
fn publish(
    draft: &Path,
    path: &Path,
    link: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<bool> {
    match link(draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links: the lock keeps others from making one meanwhile.
        Err(_) if fs::symlink_metadata(path).is_ok() => Ok(false),
        Err(_) => fs::rename(draft, path).map(|()| true),
    }
}

/// The public half of the secret key at `path`, by its `.pub` file where that is its own.
fn line_of(path: &Path, secret: &SecretKey) -> KeyLine {
    let key = public_key(secret);
    let own = read_public(&pub_path(path)).ok().filter(|line| line.key() == key);
    own.unwrap_or_else(|| usual_line(key))
}

/// `key` with the comment that says whose it is: this user, at this host.
fn usual_line(key: PublicKey) -> KeyLine {
    let user = ["USER", "LOGNAME"].into_iter().find_map(std::env::var_os);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // A shell, a mail and a terminal take it as it is.
    let word = |text: &str| {
        let is_usual = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
        plain(text).chars().filter(is_usual).take(63).collect::<String>()
    };
    let user = user.map(|user| word(&user.to_string_lossy())).filter(|user| !user.is_empty());
    let comment = format!("{}@{}", user.unwrap_or_else(|| "linkqual".into()), word(&host));
    KeyLine::new(key, comment.trim_end_matches('@')).expect("127 characters without a control")
}

/// Why a driver's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The environment does not say where they are.
    #[error(
        "this driver's keys have no folder: neither XDG_CONFIG_HOME nor HOME names one. Set either \
         one, or name the key's file with --key (in a plan: key, under [driver])"
    )]
    NoHome,
    /// A key cannot be used or made.
    #[error("{0}")]
    Key(#[from] KeyFileError),
    /// The folder, or a file in it, cannot be made.
    #[error("{}: cannot be written: {source}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{0}")]
    Output(#[from] BadOutput),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is known of an agent is not clear.
    #[error("{}:{why}", .path.display())]
    Known {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        why: Unclear,
    },
    /// There is nothing to rotate.
    #[error(
        "{}: there is no key yet, so there is none to rotate. Make it: linkqual key",
        .0.display()
    )]
    NothingToRotate(PathBuf),
    /// Another rotation has begun.
    #[error(
        "{} exists: another rotation is under way, or one was interrupted. If none is running, \
         remove it and try again",
        .0.display()
    )]
    Rotating(PathBuf),
    /// The end of the overlap is beyond the calendar.
    #[error("this host's clock is wrong: no overlap can begin now")]
    Clock,
}

impl KeyringError {
    /// Whether the place was right as far as could be known, and what was written is lost.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        match self {
            Self::Output(output) => output.is_lost(),
            error => matches!(error, Self::Key(KeyFileError::Unwritten { .. })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    pub(super) fn keyring() -> (TempDir, Keyring) {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("config").join("linkqual");
        (base, Keyring { folder })
    }

    pub(super) fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    pub(super) fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".keys.lock");
        names.sort();
        names
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let (_base, keyring) = keyring();
        let first = keyring.driver_key().unwrap();
        assert!(first.is_new);
        assert_eq!(mode(&keyring.folder), 0o700);
        assert_eq!(mode(keyring.folder.parent().unwrap()), 0o700);
        assert_eq!(mode(&first.path), 0o600);
        assert_eq!(names(&keyring.folder), ["driver.key", "driver.key.pub"], "no drafts are left");
        assert_eq!(read_public(&pub_path(&first.path)).unwrap(), first.line);
        let again = keyring.driver_key().unwrap();
        assert!(!again.is_new);
        assert_eq!((again.line, again.path), (first.line, first.path));
    }

    #[test]
    fn many_that_use_it_first_have_the_same() {
        let (_base, keyring) = keyring();
        let lines: Vec<OwnKey> = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..8).map(|_| scope.spawn(|| keyring.driver_key().unwrap())).collect();
            tries.into_iter().map(|each| each.join().unwrap()).collect()
        });
        assert!(lines.iter().all(|own| own.line.key() == lines[0].line.key()));
        assert_eq!(lines.iter().filter(|own| own.is_new).count(), 1);
        assert_eq!(names(&keyring.folder), ["driver.key", "driver.key.pub"]);
    }

    /// Such as vfat, 9p and some homes.
    #[test]
    fn without_hard_links_a_key_is_whole_and_never_overwritten_either() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, path) = (folder.path().join("draft"), folder.path().join("driver.key"));
        let refused = |_: &Path, _: &Path| Err(io::ErrorKind::Unsupported.into());
        fs::write(&draft, "mine").unwrap();
        assert!(publish(&draft, &path, refused).unwrap());
        assert!(!draft.exists(), "it was renamed, not written a second time");
        fs::write(&draft, "another").unwrap();
        assert!(!publish(&draft, &path, refused).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    /// As those who keep their files in a repository have it.
    #[test]
    fn known_agents_may_be_a_link_whether_a_key_is_added_or_replaced() {
        let (base, keyring) = keyring();
        let key = |seed| public_key(&SecretKey::from_seed([seed; 32]));
        let kept = base.path().join("kept");
        fs::create_dir_all(&keyring.folder).unwrap();
        std::os::unix::fs::symlink(&kept, keyring.known_agents()).unwrap();
        keyring.remember("a:1", key(1)).unwrap();
        keyring.remember("b:1", key(2)).unwrap();
        keyring.remember("a:1", key(3)).unwrap();
        assert_eq!(keyring.known("a:1").unwrap(), Some(key(3)));
        assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 2);
        assert!(fs::symlink_metadata(keyring.known_agents()).unwrap().is_symlink());
    }

    #[test]
    fn a_public_half_of_a_key_that_is_gone_is_not_taken_for_this_ones() {
        let (_base, keyring) = keyring();
        let first = keyring.driver_key().unwrap();
        fs::remove_file(&first.path).unwrap();
        let second = keyring.driver_key().unwrap();
        assert_ne!(second.line.key(), first.line.key());
        assert_eq!(read_public(&pub_path(&second.path)).unwrap(), second.line);
        fs::write(pub_path(&second.path), format!("{}\n", first.line)).unwrap();
        assert_eq!(keyring.driver_key().unwrap().line.key(), second.line.key());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_not_made_again() {
        let (_base, keyring) = keyring();
        let path = keyring.driver_key().unwrap().path;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = keyring.driver_key().unwrap_err().to_string();
        assert!(error.contains("its mode is 0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn an_agent_is_remembered_and_its_new_key_takes_the_place_of_the_old() {
        let (_base, keyring) = keyring();
        let key = |seed| public_key(&SecretKey::from_seed([seed; 32]));
        assert_eq!(keyring.known("a.example:4872").unwrap(), None, "no folder yet");
        keyring.remember("a.example:4872", key(1)).unwrap();
        keyring.remember("[::1]:99", key(2)).unwrap();
        keyring.remember("a.example:4872", key(3)).unwrap();
        assert_eq!(keyring.known("a.example:4872").unwrap(), Some(key(3)));
        assert_eq!(keyring.known("[::1]:99").unwrap(), Some(key(2)));
        let text = fs::read_to_string(keyring.known_agents()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!(mode(&keyring.known_agents()), 0o644);
    }

    #[test]
    fn known_agents_that_others_can_write_is_refused() {
        let (_base, keyring) = keyring();
        let key = public_key(&SecretKey::from_seed([1; 32]));
        keyring.remember("a:1", key).unwrap();
        let mode = fs::Permissions::from_mode(0o666);
        fs::set_permissions(keyring.known_agents(), mode).unwrap();
        for error in [keyring.known("a:1").unwrap_err(), keyring.remember("b:1", key).unwrap_err()]
        {
            let error = error.to_string();
            assert!(error.contains("known_agents: cannot be read: users"), "{error}");
        }
    }
}
