//! A driver's change of its key: the old one signs the new one, and is kept with its date.

use super::{DRIVER_KEY, Keyring, KeyringError, RETIRED, line_of, usual_line};
use crate::io::key::{
    KeyFileError, MODE_PUBLIC, MODE_SECRET, is_signed, new_secret, pub_path, public_key,
    read_secret, sign, write_new,
};
use crate::io::watched::read_text;
use crate::units::Span;
use crate::wire::key::{KeyLine, SecretKey};
use crate::wire::succession::{Succession, SuccessionLine, day_of};
use std::fs;
use std::path::{Path, PathBuf};

/// What a succession's file is called.
const SUCCESSION: &str = "succession";

/// Files in the folder of retired keys that are looked at.
const FILES_MAX: usize = 4_096;

/// Keys that may retire on one day.
const A_DAY_MAX: u32 = 100;

/// A key that is still valid, though another has taken its place.
#[derive(Debug)]
pub struct FormerKey {
    /// The key.
    pub secret: SecretKey,
    /// By what, and until when it is valid.
    pub line: SuccessionLine,
}

/// A change of the key.
#[derive(Debug)]
pub struct Rotation {
    /// The file of the new key.
    pub path: PathBuf,
    /// The new key.
    pub new: KeyLine,
    /// Where the old key is kept.
    pub retired: PathBuf,
    /// What the old key says of the new one.
    pub line: SuccessionLine,
}

impl Keyring {
    /// Makes a new key in the place of the driver's, which signs it, is kept, and stays valid for
    /// `overlap` from `wall_ns` on, in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// Where there is no key, or another cannot be kept. The key that there was is then still the
    /// driver's.
    pub fn rotate(&self, overlap: Span, wall_ns: u64) -> Result<Rotation, KeyringError> {
        let path = self.folder.join(DRIVER_KEY);
        if !path.try_exists().unwrap_or(true) {
            return Err(KeyringError::NothingToRotate(path));
        }
        let lock = self.lock()?;
        let old = read_secret(&path)?;
        let draft = self.folder.join(format!("{DRIVER_KEY}.new"));
        if lock.is_some() {
            // Nobody else rotates: what is there was left by a rotation that was interrupted before
            // anybody saw its new key.
            _ = fs::remove_file(&draft);
        }
        let new = new_secret()?;
        match write_new(&draft, MODE_SECRET, &new.to_pem()) {
            Err(KeyFileError::Exists { path }) => return Err(KeyringError::Rotating(path)),
            written => written?,
        }
        let retired = self.retire(&path, &old, &new, (overlap, wall_ns));
        let (retired, line) = retired.inspect_err(|_| _ = fs::remove_file(&draft))?;
        fs::rename(&draft, &path).map_err(self.unwritable())?;
        self.write_public(&path, &new)?;
        Ok(Rotation { path, new: usual_line(public_key(&new)), retired, line })
    }

    /// Keeps the key `old` at `path` among the retired ones, and how it signs `new`.
    fn retire(
        &self,
        path: &Path,
        old: &SecretKey,
        new: &SecretKey,
        (overlap, wall_ns): (Span, u64),
    ) -> Result<(PathBuf, SuccessionLine), KeyringError> {
        let (old_key, new_key) = (public_key(old), public_key(new));
        let succession = Succession::new(old_key, new_key, wall_ns, overlap);
        let succession = succession.ok_or(KeyringError::Clock)?;
        let signature = sign(old, succession.signed_text().as_bytes());
        let line = SuccessionLine { succession, signature };
        let folder = self.folder.join(RETIRED);
        self.make_folder(&folder)?;
        let day = day_of(wall_ns).ok_or(KeyringError::Clock)?;
        let (stem, kept) = new_place(&folder, "driver", &day, old)?;
        let public = format!("{}\n", line_of(path, old));
        write_new(&pub_path(&kept), MODE_PUBLIC, &public)?;
        write_new(&stem.with_extension(SUCCESSION), MODE_PUBLIC, &format!("{line}\n"))?;
        Ok((kept, line))
    }

    /// The keys that are valid at `wall_ns` beside the driver's own: the newest first.
    ///
    /// They are those that have handed on to it, one after the other, whatever their dates. What
    /// an interrupted rotation left is none of them: it has signed a key that never became the
    /// driver's.
    #[must_use]
    pub fn former_keys(&self, wall_ns: u64) -> Vec<FormerKey> {
        let Ok(current) = read_secret(&self.folder.join(DRIVER_KEY)) else { return Vec::new() };
        let entries = fs::read_dir(self.folder.join(RETIRED)).into_iter().flatten();
        let paths = entries.take(FILES_MAX).flatten().map(|entry| entry.path());
        let of_lines = paths.filter(|path| path.extension().is_some_and(|end| end == SUCCESSION));
        let mut all: Vec<FormerKey> = of_lines.filter_map(|path| former(&path)).collect();
        let (mut chain, mut key) = (Vec::new(), public_key(&current));
        // Each that is found leaves one less. A key that was rotated back to hands on to itself.
        while let Some(place) = all.iter().position(|it| it.line.succession.new_key() == key) {
            let former = all.swap_remove(place);
            key = former.line.succession.old();
            chain.push(former);
        }
        let own = public_key(&current);
        chain.retain(|former| {
            let succession = former.line.succession;
            !succession.is_over(wall_ns) && succession.old() != own
        });
        chain
    }
}

/// Writes `old`, the key of `who`, to a new file of `day` in `folder`; that, without its ending and
/// with it.
pub(super) fn new_place(
    folder: &Path,
    who: &str,
    day: &str,
    old: &SecretKey,
) -> Result<(PathBuf, PathBuf), KeyringError> {
    let mut count = 1;
    loop {
        let more = if count == 1 { String::new() } else { format!("-{count}") };
        let stem = folder.join(format!("{who}-{day}{more}"));
        let kept = stem.with_extension("key");
        match write_new(&kept, MODE_SECRET, &old.to_pem()) {
            Err(KeyFileError::Exists { .. }) if count < A_DAY_MAX => count += 1,
            written => return Ok(written.map(|()| (stem, kept))?),
        }
    }
}

/// The retired key whose succession is in the file `path`; `None` where the two do not fit.
fn former(path: &Path) -> Option<FormerKey> {
    let line: SuccessionLine = read_text(path).ok()?.parse().ok()?;
    let secret = read_secret(&path.with_extension("key")).ok()?;
    let succession = line.succession;
    let signed = succession.signed_text();
    let fits = public_key(&secret) == succession.old()
        && is_signed(&succession.old(), signed.as_bytes(), &line.signature);
    fits.then_some(FormerKey { secret, line })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keyring, mode, names};
    use super::*;
    use crate::io::key::read_public;

    /// 2026-11-30T19:40:00Z.
    const NOW_NS: u64 = 1_796_067_600_000_000_000;
    const WEEK: Span = Span::from_secs(7 * 86_400);

    #[test]
    fn the_old_key_signs_the_new_one_and_is_kept_with_its_day() {
        let (_base, keyring) = keyring();
        let old = keyring.driver_key().unwrap();
        let done = keyring.rotate(WEEK, NOW_NS).unwrap();
        let succession = done.line.succession;
        assert_eq!((succession.old(), succession.new_key()), (old.line.key(), done.new.key()));
        assert_eq!(succession.until().to_string(), "2026-12-07T19:40:00Z");
        let signed = succession.signed_text();
        assert!(is_signed(&old.line.key(), signed.as_bytes(), &done.line.signature));
        assert_eq!(keyring.driver_key().unwrap().line, done.new);
        assert_eq!(names(&keyring.folder), ["driver.key", "driver.key.pub", "retired"]);
        let stem = "driver-2026-11-30";
        let kept = [".key", ".key.pub", ".succession"].map(|end| format!("{stem}{end}"));
        let folder = keyring.folder.join(RETIRED);
        assert_eq!(names(&folder), kept);
        assert_eq!((mode(&folder), mode(&done.retired), mode(&done.path)), (0o700, 0o600, 0o600));
        assert_eq!(read_public(&pub_path(&done.retired)).unwrap(), old.line);
        assert_eq!(done.retired, folder.join(&kept[0]));
    }

    #[test]
    fn a_retired_key_is_valid_for_the_overlap_alone_and_the_newest_comes_first() {
        let (_base, keyring) = keyring();
        let first = keyring.driver_key().unwrap().line.key();
        assert!(keyring.former_keys(NOW_NS).is_empty());
        keyring.rotate(WEEK, NOW_NS).unwrap();
        let second = keyring.driver_key().unwrap().line.key();
        let later_ns = NOW_NS + 3_600_000_000_000;
        keyring.rotate(WEEK, later_ns).unwrap();
        let keys = |wall_ns| -> Vec<_> {
            let former = keyring.former_keys(wall_ns);
            former.iter().map(|former| public_key(&former.secret)).collect()
        };
        assert_eq!(keys(later_ns), [second, first]);
        assert_eq!(keys(NOW_NS + WEEK.nanos() - 1), [second, first]);
        assert_eq!(keys(NOW_NS + WEEK.nanos()), [second]);
        assert_eq!(keys(later_ns + WEEK.nanos()), []);
        assert_eq!(names(&keyring.folder.join(RETIRED)).len(), 6, "both of one day are kept");
    }

    #[test]
    fn a_succession_that_was_changed_makes_no_key_valid() {
        let (_base, keyring) = keyring();
        keyring.driver_key().unwrap();
        keyring.rotate(WEEK, NOW_NS).unwrap();
        let file = keyring.folder.join(RETIRED).join("driver-2026-11-30.succession");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("2026-12-07T", "2036-12-07T")).unwrap();
        assert!(keyring.former_keys(NOW_NS).is_empty());
    }

    #[test]
    fn there_is_a_key_before_it_is_rotated() {
        let (_base, keyring) = keyring();
        let error = keyring.rotate(WEEK, NOW_NS).unwrap_err().to_string();
        assert!(
            error.contains("there is no key yet") && error.ends_with("linkqual key"),
            "{error}"
        );
    }

    /// The one that is interrupted has signed a key that nobody has: whoever allowed it would lock
    /// the driver out.
    #[test]
    fn what_an_interrupted_rotation_left_is_in_nobodys_way() {
        let (_base, keyring) = keyring();
        let old = keyring.driver_key().unwrap().line.key();
        let lost = SecretKey::from_seed([7; 32]);
        fs::write(keyring.folder.join("driver.key.new"), lost.to_pem().as_bytes()).unwrap();
        let path = keyring.folder.join(DRIVER_KEY);
        let secret = read_secret(&path).unwrap();
        keyring.retire(&path, &secret, &lost, (WEEK, NOW_NS)).unwrap();
        assert!(keyring.former_keys(NOW_NS).is_empty(), "it is the driver's own still");
        let done = keyring.rotate(WEEK, NOW_NS).unwrap();
        assert_eq!(keyring.driver_key().unwrap().line, done.new);
        let former = keyring.former_keys(NOW_NS);
        assert_eq!(former.len(), 1);
        let succession = former[0].line.succession;
        assert_eq!((succession.old(), succession.new_key()), (old, done.new.key()));
        assert!(!keyring.folder.join("driver.key.new").exists());
    }

    #[test]
    fn rotations_at_once_take_their_turn() {
        let (_base, keyring) = keyring();
        keyring.driver_key().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| keyring.rotate(WEEK, NOW_NS).unwrap());
            }
        });
        // All of one second: their order is that in which one handed on to the next.
        let former = keyring.former_keys(NOW_NS);
        assert_eq!(former.len(), 6);
        let mut next = keyring.driver_key().unwrap().line.key();
        for former in former {
            assert_eq!(former.line.succession.new_key(), next);
            next = public_key(&former.secret);
        }
    }

    /// The key that there was stays, and the draft of the other is gone.
    #[test]
    fn a_rotation_that_fails_leaves_the_key_as_it_was() {
        let (_base, keyring) = keyring();
        let own = keyring.driver_key().unwrap();
        fs::write(keyring.folder.join(RETIRED), "a file in its place").unwrap();
        keyring.rotate(WEEK, NOW_NS).unwrap_err();
        assert_eq!(keyring.driver_key().unwrap().line, own.line);
        assert_eq!(names(&keyring.folder), ["driver.key", "driver.key.pub", "retired"]);
    }
}
