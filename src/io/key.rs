//! Key files: makes a pair, reads either half.
//!
//! Never overwrites a file, never leaves half a pair behind when it reports an error, and never
//! uses a secret key that others on this host can read.

use crate::wire::key::{KeyLine, MalformedKey, PublicKey, SecretKey};
use crate::wire::succession::SIGNATURE_LEN;
use rand::{TryRng, rngs};
use rustls::{
    SignatureScheme, crypto::ring::default_provider, crypto::ring::sign::any_eddsa_type,
    pki_types::PrivatePkcs8KeyDer, sign::SigningKey,
};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// Octets that a key file may have: a hundred times what is needed.
pub const FILE_OCTETS_MAX: u64 = 16 << 10;

/// What is read of one: an octet more than allowed, to see that there is one more.
const READ_MAX: usize = 1 + (16 << 10);

const _: () = assert!(READ_MAX as u64 == FILE_OCTETS_MAX + 1, "one more");

pub(super) const MODE_SECRET: u32 = 0o600;
pub(super) const MODE_PUBLIC: u32 = 0o644;
const MODE_OTHERS: u32 = 0o077;

/// Makes a new pair from the system's randomness: the secret key in the file `path`, its public key
/// in `path` with `.pub` behind it. Returns what the latter holds.
///
/// # Errors
///
/// The comment is not allowed, one of the files exists or cannot be written, or there is no
/// randomness. In each case neither file has been made, and what stood there is untouched.
pub fn generate(path: &Path, comment: &str) -> Result<KeyLine, KeyFileError> {
    let secret = new_secret()?;
    let line = KeyLine::new(public_key(&secret), comment)
        .map_err(|source| KeyFileError::Comment { source })?;
    write_new(path, MODE_SECRET, &secret.to_pem())?;
    if let Err(err) = write_new(&pub_path(path), MODE_PUBLIC, &format!("{line}\n")) {
        discard(path);
        return Err(err);
    }
    Ok(line)
}

/// A new key, of the system's randomness.
pub(super) fn new_secret() -> Result<SecretKey, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    rngs::SysRng.try_fill_bytes(&mut *seed).map_err(KeyFileError::NoRandomness)?;
    Ok(SecretKey::from_seed(*seed))
}

/// Reads the secret key in the file `path`.
///
/// # Errors
///
/// The file cannot be read, is no secret key, or can be read by group or others.
pub fn read_secret(path: &Path) -> Result<SecretKey, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Of the open file: the one behind `path` may be another by now.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    let octets = read_octets(path, file)?;
    // Parsed first: the advice to change the mode is wrong for a file that is no secret key.
    let secret = SecretKey::from_pem(text(path, &octets)?).map_err(|source| {
        let secret = path.to_str().and_then(|path| path.strip_suffix(".pub")).map(PathBuf::from);
        match (source, secret) {
            (MalformedKey::PublicGiven, Some(secret)) => {
                KeyFileError::PublicGiven { path: path.to_owned(), secret }
            }
            (source, _) => KeyFileError::Malformed { path: path.to_owned(), source },
        }
    })?;
    if mode & MODE_OTHERS != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    Ok(secret)
}

/// Reads the public key in the file `path`, whose name ends in `.pub`.
///
/// # Errors
///
/// The file cannot be read, or is no public key; a secret key is distinguished.
pub fn read_public(path: &Path) -> Result<KeyLine, KeyFileError> {
    let file = File::open(path)
        .map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
    let octets = read_octets(path, file)?;
    text(path, &octets)?.parse().map_err(|source| match source {
        MalformedKey::SecretGiven => KeyFileError::SecretGiven { path: path.to_owned() },
        source => KeyFileError::Malformed { path: path.to_owned(), source },
    })
}

/// The public key that belongs to `secret`.
#[must_use]
pub fn public_key(secret: &SecretKey) -> PublicKey {
    key_pair(secret).1
}

/// The signature of `secret` over `message` (Ed25519, RFC 8032).
///
/// # Panics
///
/// Never: an Ed25519 key signs anything.
#[must_use]
pub fn sign(secret: &SecretKey, message: &[u8]) -> [u8; SIGNATURE_LEN] {
    let signer = key_pair(secret).0.choose_scheme(&[SignatureScheme::ED25519]);
    let signature = signer.and_then(|signer| signer.sign(message).ok());
    let signature = signature.and_then(|octets| octets.try_into().ok());
    signature.expect("an Ed25519 key signs anything, in 64 octets")
}

/// Whether `signature` over `message` is that of the owner of `key`.
#[must_use]
pub fn is_signed(key: &PublicKey, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let algorithms = default_provider().signature_verification_algorithms.mapping;
    let found = algorithms.iter().find(|(scheme, _)| *scheme == SignatureScheme::ED25519);
    let algorithm = found.and_then(|(_, algorithms)| algorithms.first());
    algorithm.is_some_and(|it| it.verify_signature(&key.octets(), message, signature).is_ok())
}

/// What signs in a handshake with `secret`, and its public key.
pub(super) fn key_pair(secret: &SecretKey) -> (Arc<dyn SigningKey>, PublicKey) {
    let der = secret.to_pkcs8_der();
    let signing = any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]));
    let signing = signing.expect("any 32 octets are an Ed25519 seed");
    let public = signing.public_key().and_then(|spki| PublicKey::from_spki(&spki).ok());
    let public = public.expect("an Ed25519 key has an Ed25519 SPKI");
    (signing, public)
}

/// What the file holds, which may be secret: it is wiped when it is dropped, and stands nowhere
/// else.
fn read_octets(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    // One more than allowed, to see that there is one more; at once, as a buffer that grows leaves
    // its octets behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(READ_MAX));
    let read = file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets);
    read.map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
    if FILE_OCTETS_MAX < octets.len() as u64 {
        return Err(KeyFileError::TooLong { path: path.to_owned() });
    }
    Ok(octets)
}

fn text<'a>(path: &Path, octets: &'a [u8]) -> Result<&'a str, KeyFileError> {
    str::from_utf8(octets).map_err(|_| KeyFileError::NotText { path: path.to_owned() })
}

/// Writes `text` to the new file `path`, to the disk itself, with `mode`: what is public is so
/// whatever the umask.
pub(super) fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), KeyFileError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Unwritable { path: path.to_owned(), source },
    })?;
    if mode == MODE_PUBLIC {
        // A file system without modes has none to set.
        _ = file.set_permissions(fs::Permissions::from_mode(mode));
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
        discard(path);
        KeyFileError::Unwritten { path: path.to_owned(), source }
    })
}

/// Removes a file that was made a moment ago.
fn discard(path: &Path) {
    // The error that led here is the one to report, not that its traces remain.
    let _ = fs::remove_file(path);
}

/// Where the public key of the secret one at `path` is.
#[must_use]
pub fn pub_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".pub");
    name.into()
}

/// Why a key file could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The comment cannot stand in a `.pub` file.
    #[error("{source}")]
    Comment {
        /// What is wrong with it.
        source: MalformedKey,
    },
    /// The system gave no randomness for a new key.
    #[error("this system gives no randomness for a new key: {0}")]
    NoRandomness(#[source] rngs::SysError),
    /// A file has the name already.
    #[error(
        "{}: exists already, and a key is never overwritten. Give another file",
        .path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be created or written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file was created, and could not be written, such as for lack of space.
    #[error("{}: could not be written: {source}", .path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}{}", .path.display(), whose(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is longer than any key.
    #[error(
        "{}: longer than {FILE_OCTETS_MAX} octets, so it is not a key. Give the key's file",
        .path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not UTF-8.
    #[error(
        "{}: not text, so neither a PEM key nor a .pub line. Give the key's file",
        .path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A secret key that is not kept secret.
    #[error(
        "{}: other users of this host can read this secret key: its mode is {mode:04o}; it must \
         be 0600. Run: chmod 600 {}",
        .path.display(), .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret key's file where its `.pub` belongs.
    #[error(
        "{}: this is a secret key where the public one is needed. Give {}",
        .path.display(), pub_path(.path).display()
    )]
    SecretGiven {
        /// The file.
        path: PathBuf,
    },
    /// The `.pub` file of a secret key where that belongs.
    #[error(
        "{}: this is a public key where the secret one is needed. Give {}",
        .path.display(), .secret.display()
    )]
    PublicGiven {
        /// The file.
        path: PathBuf,
        /// The file of the secret key beside it.
        secret: PathBuf,
    },
    /// The text is no key.
    #[error("{}: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with the text.
        source: MalformedKey,
    },
}

/// What to do about a file of somebody else's.
fn whose(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ". Run this as the key's owner, or use a key of your own: linkqual key"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A new pair in a directory of its own.
    fn pair() -> (TempDir, PathBuf, KeyLine) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.key");
        let line = generate(&path, "driver@hq").unwrap();
        (dir, path, line)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    fn check_message(err: &KeyFileError, parts: &[&str]) {
        let message = err.to_string();
        for part in parts {
            assert!(message.contains(part), "'{part}' is not in: {message}");
        }
    }

    /// RFC 8410, sections 10.3 and 10.1.
    #[test]
    fn the_public_key_is_that_of_rfc_8410() {
        let secret = SecretKey::from_pem(
            "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n",
        );
        let line: KeyLine =
            "linkqual-ed25519 MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
                .parse()
                .unwrap();
        assert_eq!(public_key(&secret.unwrap()), line.key());
    }

    /// RFC 8032, section 7.1, the second test.
    #[test]
    fn a_signature_is_that_of_rfc_8032_and_of_its_key_and_message_alone() {
        let seed = [
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11,
            0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed,
            0x4f, 0xb8, 0xa6, 0xfb,
        ];
        let secret = SecretKey::from_seed(seed);
        let signature = sign(&secret, &[0x72]);
        assert_eq!(signature[..8], [0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8]);
        assert_eq!(signature[56..], [0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00]);
        let key = public_key(&secret);
        assert!(is_signed(&key, &[0x72], &signature));
        assert!(!is_signed(&key, &[0x73], &signature));
        assert!(!is_signed(&public_key(&SecretKey::from_seed([7; 32])), &[0x72], &signature));
        for bit in 0..SIGNATURE_LEN * 8 {
            let mut forged = signature;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed(&key, &[0x72], &forged), "bit {bit}");
        }
    }

    #[test]
    fn a_new_pair_is_read_back() {
        let (_dir, path, line) = pair();
        assert_eq!(line.comment(), "driver@hq");
        assert_eq!(read_public(&pub_path(&path)).unwrap(), line);
        assert_eq!(public_key(&read_secret(&path).unwrap()), line.key());
    }

    #[test]
    fn two_new_pairs_differ() {
        assert_ne!(pair().2, pair().2);
    }

    #[test]
    fn only_the_public_half_may_be_read_by_others() {
        let (_dir, path, _) = pair();
        assert_eq!(mode(&path) & !MODE_SECRET, 0);
        assert_eq!(mode(&pub_path(&path)) & !MODE_PUBLIC, 0);
    }

    #[test]
    fn a_file_that_exists_is_refused_and_untouched() {
        let (_dir, path, line) = pair();
        let before = fs::read(&path).unwrap();
        check_message(&generate(&path, "").unwrap_err(), &["driver.key: exists already"]);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(read_public(&pub_path(&path)).unwrap(), line);
    }

    #[test]
    fn a_public_file_that_exists_is_untouched_and_no_secret_one_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        fs::write(pub_path(&path), "another's").unwrap();
        check_message(&generate(&path, "").unwrap_err(), &["agent.key.pub: exists already"]);
        assert_eq!(fs::read(pub_path(&path)).unwrap(), b"another's");
        assert!(!path.exists());
    }

    #[test]
    fn a_comment_that_is_not_allowed_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        check_message(&generate(&path, "a\nb").unwrap_err(), &["control character '\\n'"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none").join("agent.key");
        check_message(&generate(&path, "").unwrap_err(), &["none/agent.key: cannot be written"]);
        check_message(&read_secret(&path).unwrap_err(), &["none/agent.key: cannot be read"]);
        check_message(&read_public(&path).unwrap_err(), &["none/agent.key: cannot be read"]);
    }

    #[test]
    fn a_secret_key_that_others_can_use_is_refused() {
        let (_dir, path, _) = pair();
        for bit in [0o40, 0o20, 0o10, 0o4, 0o2, 0o1] {
            set_mode(&path, 0o600 | bit);
            let shown = format!("mode is {:04o}", 0o600 | bit);
            let advice = format!("Run: chmod 600 {}", path.display());
            check_message(&read_secret(&path).unwrap_err(), &[&shown, &advice]);
        }
        for allowed in [0o600, 0o400] {
            set_mode(&path, allowed);
            read_secret(&path).unwrap();
        }
    }

    #[test]
    fn the_wrong_half_is_reported_by_its_kind() {
        let (_dir, path, _) = pair();
        let (secret, public) = (path.display(), pub_path(&path));
        let give = format!("{secret}: this is a secret key where the public one is needed. Give ");
        let give = format!("{give}{}", public.display());
        check_message(&read_public(&path).unwrap_err(), &[&give]);
        let shown = public.display();
        let give =
            format!("{shown}: this is a public key where the secret one is needed. Give {secret}");
        assert_eq!(read_secret(&public).unwrap_err().to_string(), give);
        let renamed = path.with_file_name("other");
        fs::rename(&public, &renamed).unwrap();
        check_message(&read_secret(&renamed).unwrap_err(), &["is the same without .pub"]);
    }

    #[test]
    fn a_line_of_openssh_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id.pub");
        fs::write(&path, "ssh-ed25519 AAAA user@host\n").unwrap();
        check_message(
            &read_public(&path).unwrap_err(),
            &[
                "id.pub: not a linkqual public \
                                                           key",
                "'ssh-",
            ],
        );
    }

    #[test]
    fn a_file_has_at_most_16_kib() {
        let (_dir, path, line) = pair();
        let path = pub_path(&path);
        let padded = |len: usize| format!("{line}{}", "\n".repeat(len - line.to_string().len()));
        fs::write(&path, padded(16_384)).unwrap();
        assert_eq!(read_public(&path).unwrap(), line);
        fs::write(&path, padded(16_385)).unwrap();
        check_message(&read_public(&path).unwrap_err(), &["longer than 16384 octets"]);
    }

    #[test]
    fn octets_that_are_no_text_are_refused() {
        let (_dir, path, _) = pair();
        fs::write(&path, [0xa5; 48]).unwrap();
        check_message(&read_secret(&path).unwrap_err(), &["driver.key: not text"]);
    }
}
