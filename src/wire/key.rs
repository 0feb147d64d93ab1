//! Ed25519 keys as they stand in files and in a TLS handshake.
//!
//! ```text
//! FILE       -----BEGIN PRIVATE KEY-----
//!            BASE64(PKCS#8)
//!            -----END PRIVATE KEY-----
//! FILE.pub   linkqual-ed25519 BASE64(SPKI) COMMENT
//!
//! PKCS#8 (RFC 8410, section 7)                             48 octets
//! +------------------------------------------------+---------------+
//! | 302e 020100 300506032b6570 0422 0420           | seed (32)     |
//! +------------------------------------------------+---------------+
//! SPKI (RFC 8410, section 4)                               44 octets
//! +------------------------------------------------+---------------+
//! | 302a 300506032b6570 032100                     | key (32)      |
//! +------------------------------------------------+---------------+
//! ```
//!
//! Never computes with a key: the public key of a secret one is found in `io`. Never puts octets of
//! a secret key into an error or a debug print.

use crate::account::is_control;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use rustls_pki_types::pem::{Error as PemError, PemObject as _, SectionKind};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// Characters that a comment may have.
pub const COMMENT_CHARS_MAX: usize = 128;

/// Octets of a public key as SPKI.
pub const SPKI_LEN: usize = SPKI.len() + KEY_LEN;

/// Octets of a secret key as PKCS#8.
pub const PKCS8_LEN: usize = PKCS8_V1.len() + KEY_LEN;

/// Octets of a public key, and of the seed that is a secret one (RFC 8032, section 5.1.5).
const KEY_LEN: usize = 32;

const ALGORITHM: &str = "linkqual-ed25519";
const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_DASHES: &str = "-----";
const PEM_LABEL: &str = "PRIVATE KEY";
const PEM_LABEL_PUBLIC: &str = "PUBLIC KEY";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// What may stand around a key: not all white space, or a flipped bit of `\n` would pass as `\v`.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Characters of another's text that an error repeats.
const SHOWN_CHARS_MAX: usize = 32;

/// SEQUENCE of version 0, AlgorithmIdentifier of 1.3.101.112, OCTET STRING in OCTET STRING.
const PKCS8_V1: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The same of version 1, with the public key behind the seed (RFC 5958): ring writes it.
const PKCS8_V2: [u8; 16] = [0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PKCS8_V2_PUBLIC: [u8; 3] = [0x81, 0x21, 0];

/// SEQUENCE of AlgorithmIdentifier and BIT STRING.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

const _: () = assert!(SPKI_LEN == 44 && PKCS8_LEN == 48, "the diagram above says so");

/// A secret key: the 32 octets of an Ed25519 seed. Cleared when dropped, and never shown.
pub struct SecretKey {
    seed: Zeroizing<[u8; KEY_LEN]>,
}

impl SecretKey {
    /// The key of `seed`; any 32 octets are one.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed) }
    }

    /// The key as PKCS#8 version 1, which the caller keeps to itself.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<[u8; PKCS8_LEN]> {
        let mut der = Zeroizing::new([0; PKCS8_LEN]);
        der[..PKCS8_V1.len()].copy_from_slice(&PKCS8_V1);
        der[PKCS8_V1.len()..].copy_from_slice(&*self.seed);
        der
    }

    /// The key as PEM, with the newline at its end (RFC 7468, section 10).
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        // 48 octets are 64 characters: exactly one line of the strict form.
        let base64 = Zeroizing::new(STANDARD.encode(*self.to_pkcs8_der()));
        Zeroizing::new(format!("{PEM_BEGIN}{PEM_LABEL}{PEM_DASHES}\n{}\n{PEM_END}\n", *base64))
    }

    /// Reads a PEM file's text: PKCS#8 of version 1, or of version 2 as ring writes it, whose copy
    /// of the public key is not used. What stands before and behind the key is not looked at (RFC
    /// 7468, section 2).
    ///
    /// # Errors
    ///
    /// Says which other kind of key the text is, where it can be recognised.
    pub fn from_pem(text: &str) -> Result<Self, MalformedKey> {
        let text = without_mark(text).trim_matches(BLANKS);
        if text.is_empty() {
            return Err(MalformedKey::Empty);
        }
        if text.starts_with(ALGORITHM) {
            return Err(MalformedKey::PublicGiven);
        }
        let mut secrets = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
            match section {
                Ok((SectionKind::PrivateKey, der)) => secrets.push(Zeroizing::new(der)),
                Ok(_) => {}
                Err(PemError::Base64Decode(_)) => return Err(MalformedKey::NotBase64),
                Err(_) => return Err(MalformedKey::NotPem),
            }
        }
        match secrets.as_slice() {
            [der] => Self::from_pkcs8_der(der),
            [] => Err(match label(text) {
                None | Some(PEM_LABEL) => MalformedKey::NotPem,
                Some(PEM_LABEL_PUBLIC) => MalformedKey::PublicGiven,
                Some(other) => MalformedKey::OtherPem { label: shown(other) },
            }),
            _ => Err(MalformedKey::ManySecrets { keys: secrets.len() }),
        }
    }

    fn from_pkcs8_der(der: &[u8]) -> Result<Self, MalformedKey> {
        let seed = seed_of_v1(der)
            .or_else(|| seed_of_v2(der))
            .ok_or_else(|| MalformedKey::of_der(der, PKCS8_LEN))?;
        Ok(Self::from_seed(*seed))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(not shown)")
    }
}

/// What the first section of PEM in `text` is called.
fn label(text: &str) -> Option<&str> {
    let begun = text.lines().find_map(|line| line.strip_prefix(PEM_BEGIN))?;
    begun.split_once(PEM_DASHES).map(|(label, _)| label)
}

fn seed_of_v1(der: &[u8]) -> Option<&[u8; KEY_LEN]> {
    der.strip_prefix(&PKCS8_V1)?.try_into().ok()
}

fn seed_of_v2(der: &[u8]) -> Option<&[u8; KEY_LEN]> {
    let (seed, rest) = der.strip_prefix(&PKCS8_V2)?.split_first_chunk()?;
    (rest.strip_prefix(&PKCS8_V2_PUBLIC)?.len() == KEY_LEN).then_some(seed)
}

/// A public key: who someone is. Shown as its fingerprint.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PublicKey {
    octets: [u8; KEY_LEN],
}

impl PublicKey {
    /// The key as SPKI, which is what TLS carries in place of a certificate (RFC 7250).
    #[must_use]
    pub fn to_spki(&self) -> [u8; SPKI_LEN] {
        let mut spki = [0; SPKI_LEN];
        spki[..SPKI.len()].copy_from_slice(&SPKI);
        spki[SPKI.len()..].copy_from_slice(&self.octets);
        spki
    }

    /// Reads an SPKI, which may be anyone's. Does not ask whether the octets are a point of the
    /// curve: what is none verifies no signature.
    ///
    /// # Errors
    ///
    /// Says for which other algorithm the key is, where it can be recognised.
    pub fn from_spki(spki: &[u8]) -> Result<Self, MalformedKey> {
        let octets = spki.strip_prefix(&SPKI).and_then(|key| key.try_into().ok());
        let octets = octets.ok_or_else(|| MalformedKey::of_der(spki, SPKI_LEN))?;
        Ok(Self { octets })
    }

    /// The key alone (RFC 8032, section 5.1.5).
    #[must_use]
    pub const fn octets(&self) -> [u8; 32] {
        self.octets
    }

    /// The base64 of the SPKI: the second word of a `.pub` line.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_spki())
    }

    /// Reads what [`Self::to_base64`] writes.
    ///
    /// # Errors
    ///
    /// No base64, or not of an Ed25519 key.
    pub fn from_base64(word: &str) -> Result<Self, MalformedKey> {
        let spki = STANDARD.decode(word).map_err(|_| MalformedKey::NotBase64)?;
        Self::from_spki(&spki)
    }

    /// `SHA256:` and the base64, without padding, of the SPKI's SHA-256: 50 characters.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.to_spki())))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The line of a `.pub` file: a public key, and a comment that says whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyLine {
    key: PublicKey,
    comment: String,
}

impl KeyLine {
    /// The line of `key`; blanks around `comment` are left out, and it may be empty.
    ///
    /// # Errors
    ///
    /// A comment of more than [`COMMENT_CHARS_MAX`] characters, or with a control or direction
    /// character.
    pub fn new(key: PublicKey, comment: &str) -> Result<Self, MalformedKey> {
        let comment = comment.trim_matches(BLANKS);
        let chars = comment.chars().count();
        if COMMENT_CHARS_MAX < chars {
            return Err(MalformedKey::CommentTooLong { chars });
        }
        if let Some(control) = comment.chars().find(|c| is_control(*c)) {
            return Err(MalformedKey::CommentControl { control });
        }
        Ok(Self { key, comment: comment.to_owned() })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Whose key it is, in its owner's words; may be empty.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }
}

impl fmt::Display for KeyLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {}", self.key.to_base64())?;
        if self.comment.is_empty() {
            return Ok(());
        }
        write!(f, " {}", self.comment)
    }
}

impl FromStr for KeyLine {
    type Err = MalformedKey;

    /// Reads one line, with or without blanks and newlines around it.
    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let text = without_mark(text).trim_matches(BLANKS);
        if text.is_empty() {
            return Err(MalformedKey::Empty);
        }
        if text.starts_with(PEM_BEGIN) && text.contains(PEM_LABEL) {
            return Err(MalformedKey::SecretGiven);
        }
        let (algorithm, rest) = split_word(text);
        if algorithm != ALGORITHM {
            return Err(MalformedKey::OtherLine { algorithm: shown_algorithm(algorithm) });
        }
        let lines = text.lines().count();
        if 1 < lines {
            return Err(MalformedKey::ManyLines { lines });
        }
        let (base64, comment) = split_word(rest);
        Self::new(PublicKey::from_base64(base64)?, comment)
    }
}

/// `text` without the byte order mark that some editors put in front.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The first word, and what follows it without the blanks between.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(BLANKS).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start_matches([' ', '\t']))
}

/// The front of another's text, safe for a terminal.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect::<String>().escape_debug().to_string()
}

/// `word` if it looks like an algorithm's name, such as `ssh-ed25519`. Anything else may be a piece
/// of a secret key and is not repeated.
fn shown_algorithm(word: &str) -> Option<String> {
    let is_name = word.contains('-')
        && word.len() <= SHOWN_CHARS_MAX
        && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'@'));
    is_name.then(|| word.to_owned())
}

/// Why text or octets are no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedKey {
    /// There is nothing but blanks.
    #[error(
        "not a key: the text is empty. A secret key begins with '-----BEGIN', a public one with \
         '{ALGORITHM}'"
    )]
    Empty,
    /// A secret key where a public one belongs.
    #[error(
        "this is a secret key where a public one is needed. Give the file whose name ends in \
         .pub; keep this one to yourself"
    )]
    SecretGiven,
    /// A public key where a secret one belongs.
    #[error(
        "this is a public key where the secret one is needed. Give the file whose name is the \
         same without .pub"
    )]
    PublicGiven,
    /// No PEM, or its end is missing.
    #[error(
        "not a secret key: it must stand between the lines '{PEM_BEGIN}{PEM_LABEL}{PEM_DASHES}' \
         and '{PEM_END}'. Give the file that 'linkqual keygen' made"
    )]
    NotPem,
    /// PEM of another kind.
    #[error(
        "PEM of kind '{label}': only '{PEM_LABEL}' is read, with an Ed25519 key that is not \
         encrypted"
    )]
    OtherPem {
        /// What stands behind BEGIN.
        label: String,
    },
    /// More than the one key.
    #[error("{keys} secret keys where one is needed. Give each its own file")]
    ManySecrets {
        /// Keys there were.
        keys: usize,
    },
    /// A line of another kind.
    #[error(
        "not a linkqual public key: {}; the line must begin with '{ALGORITHM}'. Give the .pub \
         file that was made with the secret key",
        line_begins(.algorithm.as_deref())
    )]
    OtherLine {
        /// The algorithm that the line names, if it looks like one.
        algorithm: Option<String>,
    },
    /// More than the one line.
    #[error("{lines} lines, but a public key is one line. Give each key its own")]
    ManyLines {
        /// Lines there were.
        lines: usize,
    },
    /// Characters are missing, too many or not of the alphabet.
    #[error("the key is not base64 (RFC 4648, with padding). Copy it again, whole and on one line")]
    NotBase64,
    /// A whole key, of an algorithm that is not spoken.
    #[error("a key for {algorithm}: only Ed25519 is allowed. Make a new one")]
    OtherAlgorithm {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// Octets that are no key that this build knows.
    #[error(
        "not an Ed25519 key: {len} octets, where one has {expected} that begin as in RFC 8410. \
         Is it whole?"
    )]
    NotEd25519 {
        /// Octets there were.
        len: usize,
        /// Octets of a key in this place.
        expected: usize,
    },
    /// A comment that is too long to be shown.
    #[error("a comment of {chars} characters: at most {COMMENT_CHARS_MAX} are allowed. Shorten it")]
    CommentTooLong {
        /// Characters there were.
        chars: usize,
    },
    /// A comment that could change what a terminal shows.
    #[error(
        "a comment with the control character {control:?}: only printable characters are \
         allowed. Remove it"
    )]
    CommentControl {
        /// The first of them.
        control: char,
    },
}

impl MalformedKey {
    fn of_der(der: &[u8], expected: usize) -> Self {
        match other_algorithm(der) {
            Some(algorithm) => Self::OtherAlgorithm { algorithm },
            None => Self::NotEd25519 { len: der.len(), expected },
        }
    }
}

fn line_begins(algorithm: Option<&str>) -> String {
    algorithm.map_or_else(
        || "its first word is no name of an algorithm".to_owned(),
        |name| format!("it is of '{name}'"),
    )
}

/// The algorithm whose object identifier stands near the front of PKCS#8 or SPKI.
fn other_algorithm(der: &[u8]) -> Option<&'static str> {
    const OIDS: [(&str, &[u8]); 4] = [
        ("RSA", &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]),
        ("ECDSA", &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        ("X25519", &[6, 3, 0x2b, 0x65, 0x6e]),
        ("Ed448", &[6, 3, 0x2b, 0x65, 0x71]),
    ];
    // Two headers of at most 4 octets and a version of 3 come before it.
    const OID_START_MAX: usize = 11;
    let (name, _) = OIDS.iter().find(|(_, oid)| {
        (0..=OID_START_MAX).any(|start| der.get(start..).is_some_and(|at| at.starts_with(oid)))
    })?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8410, section 10.3: the first example, and in 10.1 its public key.
    const SEED: [u8; 32] = [
        0xd4, 0xee, 0x72, 0xdb, 0xf9, 0x13, 0x58, 0x4a, 0xd5, 0xb6, 0xd8, 0xf1, 0xf7, 0x69, 0xf8,
        0xad, 0x3a, 0xfe, 0x7c, 0x28, 0xcb, 0xf1, 0xd4, 0xfb, 0xe0, 0x97, 0xa8, 0x8f, 0x44, 0x75,
        0x58, 0x42,
    ];
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const LINE: &str = "linkqual-ed25519 \
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= probe@site-7, Köln";
    const KEY: PublicKey = PublicKey {
        octets: [
            0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc,
            0x3b, 0x96, 0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad,
            0x70, 0x31, 0x66, 0xe1,
        ],
    };

    #[track_caller]
    fn check_pem(text: &str, expected: &MalformedKey) {
        assert_eq!(SecretKey::from_pem(text).unwrap_err(), *expected);
    }

    #[track_caller]
    fn check_line(text: &str, expected: &MalformedKey) {
        assert_eq!(text.parse::<KeyLine>().unwrap_err(), *expected);
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    }

    #[test]
    fn a_secret_key_emits_the_octets_of_rfc_8410() {
        assert_eq!(SecretKey::from_seed(SEED).to_pem().as_str(), PEM);
    }

    #[test]
    fn a_secret_key_parses_the_octets_of_rfc_8410() {
        assert_eq!(SecretKey::from_pem(PEM).unwrap().seed[..], SEED);
        assert_eq!(SecretKey::from_pem(&PEM.replace('\n', "\r\n")).unwrap().seed[..], SEED);
    }

    /// Such as `openssl pkcs12` and editors leave.
    #[test]
    fn a_secret_key_is_found_among_other_text() {
        let attributes = "Bag Attributes\n    friendlyName: driver\n";
        let certificate = pem("CERTIFICATE", &[0xa5; 9]);
        for text in [
            format!("\u{feff}{PEM}"),
            format!("{attributes}{PEM}"),
            format!("{certificate}{PEM}{certificate}"),
            PEM.replace("K06/", "K06/\n").replace('\n', " \n"),
        ] {
            assert_eq!(SecretKey::from_pem(&text).unwrap().seed[..], SEED, "{text}");
        }
    }

    #[test]
    fn a_secret_key_with_its_public_one_behind_it_is_read() {
        let mut der = [&PKCS8_V2[..], &SEED, &PKCS8_V2_PUBLIC, &KEY.octets].concat();
        assert_eq!(SecretKey::from_pem(&pem(PEM_LABEL, &der)).unwrap().seed[..], SEED);
        for len in 0..der.len() {
            SecretKey::from_pem(&pem(PEM_LABEL, &der[..len])).unwrap_err();
        }
        der.push(0xa5);
        let expected = MalformedKey::NotEd25519 { len: der.len(), expected: 48 };
        check_pem(&pem(PEM_LABEL, &der), &expected);
    }

    #[test]
    fn a_secret_key_is_never_shown() {
        let shown = format!("{:?}", SecretKey::from_seed([0xa5; 32]));
        assert_eq!(shown, "SecretKey(not shown)");
    }

    #[test]
    fn every_truncation_of_a_secret_key_is_refused() {
        let whole = PEM.trim_end();
        for len in 0..whole.len() {
            SecretKey::from_pem(&whole[..len]).unwrap_err();
        }
        let der = SecretKey::from_seed(SEED).to_pkcs8_der();
        for len in 0..der.len() {
            let expected = MalformedKey::NotEd25519 { len, expected: 48 };
            check_pem(&pem(PEM_LABEL, &der[..len]), &expected);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_secret_key_is_refused_or_seen() {
        // The newline at the very end is outside the key: any blank may stand there.
        every_flip(PEM.trim_end(), |text| {
            assert_ne!(SecretKey::from_pem(text).ok().map(|key| *key.seed), Some(SEED), "{text}");
        });
    }

    #[test]
    fn what_is_no_secret_key_is_refused_by_its_kind() {
        check_pem("", &MalformedKey::Empty);
        check_pem(" \r\n\t", &MalformedKey::Empty);
        check_pem(LINE, &MalformedKey::PublicGiven);
        check_pem(&pem("PUBLIC KEY", &KEY.to_spki()), &MalformedKey::PublicGiven);
        check_pem("seed", &MalformedKey::NotPem);
        check_pem("-----BEGIN PRIVATE KEY", &MalformedKey::NotPem);
        check_pem(&PEM.replace("MC4", "M=4"), &MalformedKey::NotBase64);
        check_pem(&PEM.repeat(2), &MalformedKey::ManySecrets { keys: 2 });
        for label in ["RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let expected = MalformedKey::OtherPem { label: label.to_owned() };
            check_pem(&pem(label, &[0xa5; 48]), &expected);
        }
    }

    /// The fronts are openssl's, from `openssl genpkey -outform DER`.
    #[test]
    fn keys_of_other_algorithms_are_refused_by_name() {
        let fronts: [(&str, &[u8]); 4] = [
            (
                "RSA",
                b"\x30\x82\x04\xa5\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
            ),
            ("ECDSA", b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"),
            ("X25519", b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20"),
            ("Ed448", b"\x30\x47\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x71\x04\x3b\x04\x39"),
        ];
        for (algorithm, der) in fronts {
            let expected = MalformedKey::OtherAlgorithm { algorithm };
            check_pem(&pem(PEM_LABEL, der), &expected);
            assert_eq!(PublicKey::from_spki(der), Err(expected));
        }
    }

    #[test]
    fn spki_is_that_of_rfc_8410() {
        let spki = STANDARD.decode(LINE.split(' ').nth(1).unwrap()).unwrap();
        assert_eq!(KEY.to_spki().as_slice(), spki);
        assert_eq!(PublicKey::from_spki(&spki), Ok(KEY));
    }

    #[test]
    fn every_truncation_of_spki_is_refused_and_so_is_what_follows_it() {
        let spki = KEY.to_spki();
        for len in 0..spki.len() {
            let expected = MalformedKey::NotEd25519 { len, expected: 44 };
            assert_eq!(PublicKey::from_spki(&spki[..len]), Err(expected));
        }
        let longer = [&spki[..], &[0]].concat();
        let expected = MalformedKey::NotEd25519 { len: 45, expected: 44 };
        assert_eq!(PublicKey::from_spki(&longer), Err(expected));
    }

    #[test]
    fn every_flipped_bit_of_spki_is_refused_or_seen() {
        for bit in 0..SPKI_LEN * 8 {
            let mut spki = KEY.to_spki();
            spki[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PublicKey::from_spki(&spki), Ok(KEY), "bit {bit} means nothing");
        }
    }

    /// The oracle: `openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64`.
    #[test]
    fn the_fingerprint_is_that_of_openssl() {
        let expected = "SHA256:oekVYFTgT6yJmunydRMs3Ael28TqLCrTof/G4NJTaB8";
        assert_eq!(KEY.fingerprint(), expected);
        assert_eq!(KEY.to_string(), expected);
        assert_eq!(format!("{KEY:?}"), format!("PublicKey({expected})"));
    }

    #[test]
    fn a_line_is_emitted_and_parsed() {
        let line = KeyLine::new(KEY, "probe@site-7, Köln").unwrap();
        assert_eq!(line.to_string(), LINE);
        assert_eq!(LINE.parse(), Ok(line.clone()));
        assert_eq!(format!("\n {}\r\n", LINE.replacen(' ', "\t ", 2)).parse(), Ok(line));
    }

    #[test]
    fn a_line_without_a_comment_ends_with_the_key() {
        let line = KeyLine::new(KEY, " ").unwrap();
        assert_eq!(line.comment(), "");
        assert!(line.to_string().ends_with("ZuE="));
        assert_eq!(line.to_string().parse(), Ok(line));
    }

    #[test]
    fn every_truncation_of_a_line_is_refused_or_seen() {
        let key_end = LINE.find('=').unwrap() + 1;
        for (len, _) in LINE.char_indices() {
            let parsed = LINE[..len].parse::<KeyLine>();
            assert_eq!(parsed.is_ok(), key_end <= len, "{len}");
            assert_ne!(parsed, LINE.parse());
        }
    }

    #[test]
    fn every_flipped_bit_of_a_line_is_refused_or_seen() {
        every_flip(LINE, |text| assert_ne!(text.parse::<KeyLine>(), LINE.parse(), "{text}"));
    }

    #[test]
    fn what_is_no_line_is_refused_by_its_kind() {
        let other = |name: &str| MalformedKey::OtherLine { algorithm: Some(name.to_owned()) };
        check_line("", &MalformedKey::Empty);
        check_line(PEM, &MalformedKey::SecretGiven);
        check_line(&pem("OPENSSH PRIVATE KEY", &[0xa5; 9]), &MalformedKey::SecretGiven);
        check_line("ssh-ed25519 AAAA user@host", &other("ssh-ed25519"));
        check_line("linkqual-ed448 AAAA", &other("linkqual-ed448"));
        check_line(&format!("{LINE}\n{LINE}\n"), &MalformedKey::ManyLines { lines: 2 });
        check_line("linkqual-ed25519", &MalformedKey::NotEd25519 { len: 0, expected: 44 });
        check_line("linkqual-ed25519 A", &MalformedKey::NotBase64);
        check_line("linkqual-ed25519 AA=A", &MalformedKey::NotBase64);
        check_line("linkqual-ed25519 AAAA", &MalformedKey::NotEd25519 { len: 3, expected: 44 });
    }

    /// Someone pastes the body of a secret key where a public one belongs.
    #[test]
    fn a_word_that_may_be_secret_is_not_repeated() {
        let body = PEM.lines().nth(1).unwrap();
        check_line(body, &MalformedKey::OtherLine { algorithm: None });
        let message = body.parse::<KeyLine>().unwrap_err().to_string();
        assert!(!message.contains(&body[..8]), "{message}");
    }

    #[test]
    fn a_comment_has_at_most_128_characters() {
        let comment = "ö".repeat(129);
        KeyLine::new(KEY, &comment[..256]).unwrap();
        let expected = MalformedKey::CommentTooLong { chars: 129 };
        assert_eq!(KeyLine::new(KEY, &comment), Err(expected));
    }

    #[test]
    fn a_comment_has_no_control_characters() {
        for control in ['\u{1b}', '\t', '\n', '\0', '\u{7f}', '\u{9b}'] {
            let expected = MalformedKey::CommentControl { control };
            assert_eq!(KeyLine::new(KEY, &format!("a{control}b")), Err(expected));
        }
    }

    #[test]
    fn a_message_says_what_is_allowed() {
        let message = "ssh-ed25519 AAAA".parse::<KeyLine>().unwrap_err().to_string();
        let expected = "not a linkqual public key: it is of 'ssh-ed25519'; the line must begin \
            with 'linkqual-ed25519'. Give the .pub file that was made with the secret key";
        assert_eq!(message, expected);
    }

    proptest! {
        #[test]
        fn secret_keys_survive_their_text(seed: [u8; 32]) {
            let pem = SecretKey::from_seed(seed).to_pem();
            prop_assert_eq!(*SecretKey::from_pem(&pem).unwrap().seed, seed);
        }

        #[test]
        fn lines_survive_their_text(
            octets: [u8; 32],
            comment in "[\\PC--[\\p{Zl}\\p{Zp}]]{0,128}",
        ) {
            let line = KeyLine::new(PublicKey { octets }, &comment).unwrap();
            prop_assert_eq!(line.to_string().parse(), Ok(line));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = SecretKey::from_pem(&text);
            let _ = text.parse::<KeyLine>();
            let _ = SecretKey::from_pem(&format!("-----BEGIN PRIVATE KEY-----\n{text}\n{PEM_END}"));
            let _ = format!("{ALGORITHM} {text}").parse::<KeyLine>();
        }

        #[test]
        fn no_octets_make_a_parser_panic(octets: Vec<u8>) {
            let _ = PublicKey::from_spki(&octets);
            let _ = SecretKey::from_pem(&pem(PEM_LABEL, &octets));
        }
    }

    /// Calls `check` on `text` with each one bit flipped, where that is still text.
    fn every_flip(text: &str, check: impl Fn(&str)) {
        for bit in 0..text.len() * 8 {
            let mut octets = text.as_bytes().to_vec();
            octets[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = str::from_utf8(&octets) {
                check(flipped);
            }
        }
    }
}
