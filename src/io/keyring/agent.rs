//! The agent's key: a file of its own, which is made, and replaced by another.
//!
//! No key of an agent signs the one after it: whoever has taken the old one could sign too. A
//! driver sees a changed key, and its user trusts it once the two operators have compared it.

use super::{KeyringError, RETIRED};
use crate::io::files::{draft_name, replace};
use crate::io::key::{
    KeyFileError, MODE_PUBLIC, MODE_SECRET, new_secret, pub_path, public_key, read_secret,
    write_new,
};
use crate::io::watched::{folder_of, lock};
use crate::wire::key::{KeyLine, PublicKey};
use crate::wire::succession::day_of;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

/// An agent's key that has taken the place of another.
#[derive(Debug)]
pub struct ReplacedKey {
    /// The new key.
    pub new: KeyLine,
    /// The old one.
    pub old: PublicKey,
    /// Where that is kept.
    pub retired: PathBuf,
}

/// Makes an agent's key in the new file `path`; the public half of one that is gone gives way.
///
/// # Errors
///
/// Where the file exists or cannot be written, or the comment is not allowed.
pub fn make_agent_key(path: &Path, comment: &str) -> Result<KeyLine, KeyringError> {
    let secret = new_secret()?;
    let line = line_of(public_key(&secret), comment)?;
    write_new(path, MODE_SECRET, &secret.to_pem())?;
    // Without its public half the key is as good: it is printed where it is asked for.
    write_public(path, &line).inspect_err(|_| _ = fs::remove_file(path))?;
    Ok(line)
}

/// Puts a new key in the place of the agent's at `path`, which is kept beside it in `retired/` by
/// the day of `wall_ns`, in nanoseconds since 1970. Owner and mode of the file stay.
///
/// # Errors
///
/// Where there is no key, or the old one cannot be kept, or the new one written: the old one is
/// still the agent's then.
pub fn replace_agent_key(
    path: &Path,
    comment: &str,
    wall_ns: u64,
) -> Result<ReplacedKey, KeyringError> {
    let folder = folder_of(path);
    let unwritable = |source: io::Error| KeyringError::Folder { path: path.to_owned(), source };
    // Before the old key is read: of two that replace it, the second keeps the key of the first.
    let _lock = lock(folder).map_err(unwritable)?;
    let old = read_secret(path)?;
    let there = fs::metadata(path).map_err(unwritable)?;
    let secret = new_secret()?;
    let line = line_of(public_key(&secret), comment)?;
    let retired = folder.join(RETIRED);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&retired);
    made.map_err(|source| KeyringError::Folder { path: retired.clone(), source })?;
    let day = day_of(wall_ns).ok_or(KeyringError::Clock)?;
    let (_, kept) = super::rotation::new_place(&retired, "agent", &day, &old)?;
    let old = public_key(&old);
    write_new(&pub_path(&kept), MODE_PUBLIC, &format!("{}\n", line_of(old, comment)?))?;
    let draft = folder.join(draft_name("agent.key").map_err(unwritable)?);
    write_new(&draft, MODE_SECRET, &secret.to_pem())?;
    let publish = || {
        chown(&draft, Some(there.uid()), Some(there.gid()))?;
        fs::set_permissions(&draft, Permissions::from_mode(there.mode() & 0o7777))?;
        fs::rename(&draft, path)
    };
    publish().inspect_err(|_| _ = fs::remove_file(&draft)).map_err(unwritable)?;
    write_public(path, &line)?;
    Ok(ReplacedKey { new: line, old, retired: kept })
}

fn line_of(key: PublicKey, comment: &str) -> Result<KeyLine, KeyFileError> {
    KeyLine::new(key, comment).map_err(|source| KeyFileError::Comment { source })
}

/// Writes the public half of the key at `path`, for everybody to read.
fn write_public(path: &Path, line: &KeyLine) -> Result<(), KeyringError> {
    let public = pub_path(path);
    let name = public.file_name().unwrap_or_default().to_string_lossy().into_owned();
    replace(folder_of(&public), &name, &format!("{line}\n"), MODE_PUBLIC)?;
    // Whatever the umask took; a file system without modes has none to set.
    _ = fs::set_permissions(&public, Permissions::from_mode(MODE_PUBLIC));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::key::read_public;
    use crate::io::keyring::tests::{mode, names};

    /// 2026-11-30T19:40:00Z.
    const NOW_NS: u64 = 1_796_067_600_000_000_000;

    /// Its owner had moved the secret half away, and no other could be made.
    #[test]
    fn a_key_is_made_where_only_its_public_half_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        let first = make_agent_key(&path, "agent").unwrap();
        assert!(make_agent_key(&path, "agent").unwrap_err().to_string().contains("exists"));
        assert_eq!(read_public(&pub_path(&path)).unwrap(), first);
        fs::remove_file(&path).unwrap();
        let second = make_agent_key(&path, "agent").unwrap();
        assert_eq!(read_public(&pub_path(&path)).unwrap(), second);
        assert_eq!(public_key(&read_secret(&path).unwrap()), second.key());
    }

    #[test]
    fn a_key_that_is_replaced_is_kept_and_the_new_one_has_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        assert!(replace_agent_key(&path, "agent", NOW_NS).is_err(), "there is none");
        let first = make_agent_key(&path, "agent").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        let mut old = first.key();
        for place in ["agent-2026-11-30.key", "agent-2026-11-30-2.key"] {
            let kept = folder.path().join(RETIRED).join(place);
            let done = replace_agent_key(&path, "agent", NOW_NS).unwrap();
            assert_eq!((done.old, &done.retired), (old, &kept));
            assert_eq!(public_key(&read_secret(&kept).unwrap()), old);
            assert_eq!(read_public(&pub_path(&kept)).unwrap().key(), old);
            old = done.new.key();
        }
        assert_eq!(mode(&path), 0o400);
        assert_eq!(mode(&folder.path().join(RETIRED)), 0o700);
        let now = public_key(&read_secret(&path).unwrap());
        assert_eq!(read_public(&pub_path(&path)).unwrap().key(), now);
        assert_eq!(names(folder.path()), ["agent.key", "agent.key.pub", "retired"]);
    }
}
