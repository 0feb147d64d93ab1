//! The line by which a driver changes its key: the old key signs the new one.
//!
//! ```text
//! linkqual-succession OLD NEW FROM UNTIL SIGNATURE
//!
//! OLD, NEW     BASE64(SPKI), as in a .pub line
//! FROM, UNTIL  the overlap, in which both keys are valid: 2026-11-30T19:40:00Z, whole seconds
//! SIGNATURE    BASE64 of the 64 octets of Ed25519 by OLD over all words before it, with one space
//!              between two
//! ```
//!
//! What is signed begins with a word that no TLS handshake signs (RFC 8446, section 4.4.3: 64
//! spaces), so neither signature can be taken for the other.
//!
//! Never signs or verifies: that is done in `io`. A line that was parsed is only a claim.

use super::key::{MalformedKey, PublicKey};
use crate::units::Span;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;

/// The first word of the line.
pub const MARK: &str = "linkqual-succession";

/// Octets of a signature (RFC 8032, section 5.1.6).
pub const SIGNATURE_LEN: usize = 64;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What an old key says of the new one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Succession {
    old: PublicKey,
    new: PublicKey,
    from: Timestamp,
    until: Timestamp,
}

impl Succession {
    /// `new` takes the place of `old`, and both are valid from `wall_ns`, in nanoseconds since
    /// 1970, for as long as `overlap`; both in whole seconds. `None` beyond the calendar.
    #[must_use]
    pub fn new(old: PublicKey, new: PublicKey, wall_ns: u64, overlap: Span) -> Option<Self> {
        let from_s = wall_ns / NANOS_PER_SECOND;
        let until_s = from_s.checked_add(overlap.nanos() / NANOS_PER_SECOND)?;
        let at = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        Some(Self { old, new, from: at(from_s)?, until: at(until_s)? })
    }

    /// The key that signs.
    #[must_use]
    pub const fn old(&self) -> PublicKey {
        self.old
    }

    /// The key that takes its place.
    #[must_use]
    pub const fn new_key(&self) -> PublicKey {
        self.new
    }

    /// When the new key was made.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.from
    }

    /// When the old key ends.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether the old key has ended at `wall_ns`, in nanoseconds since 1970.
    #[must_use]
    pub fn is_over(&self, wall_ns: u64) -> bool {
        self.until.as_nanosecond() <= i128::from(wall_ns)
    }

    /// The octets that the old key signs.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let (old, new) = (self.old.to_base64(), self.new.to_base64());
        format!("{MARK} {old} {new} {} {}", self.from, self.until)
    }
}

/// The day of `wall_ns`, nanoseconds since 1970 in UTC, such as 2026-11-30; `None` beyond the
/// calendar.
#[must_use]
pub fn day_of(wall_ns: u64) -> Option<String> {
    let at = Timestamp::from_nanosecond(i128::from(wall_ns)).ok()?;
    Some(at.strftime("%Y-%m-%d").to_string())
}

/// The line: a succession, and a signature that is claimed to be that of its old key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SuccessionLine {
    /// What it says.
    pub succession: Succession,
    /// By whom: to be verified against [`Succession::signed_text`].
    pub signature: [u8; SIGNATURE_LEN],
}

impl fmt::Display for SuccessionLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.succession.signed_text(), STANDARD.encode(self.signature))
    }
}

impl FromStr for SuccessionLine {
    type Err = MalformedSuccession;

    /// Reads one line, with or without blanks and newlines around it and between its words.
    fn from_str(text: &str) -> Result<Self, MalformedSuccession> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[MARK, old, new, from, until, signature] = words.as_slice() else {
            return Err(MalformedSuccession::Words { words: words.len() });
        };
        let key = |word| PublicKey::from_base64(word).map_err(MalformedSuccession::Key);
        let time = |word: &str| {
            let shown = || word.chars().take(32).collect::<String>().escape_debug().to_string();
            word.parse::<Timestamp>().map_err(|_| MalformedSuccession::Time { word: shown() })
        };
        let succession =
            Succession { old: key(old)?, new: key(new)?, from: time(from)?, until: time(until)? };
        let signature = STANDARD.decode(signature).ok().and_then(|octets| octets.try_into().ok());
        let signature = signature.ok_or(MalformedSuccession::Signature)?;
        Ok(Self { succession, signature })
    }
}

/// Why a text is no succession line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedSuccession {
    /// Words are missing, or there are too many.
    #[error(
        "not a succession line: {words} words, where it has six and begins with '{MARK}'. Copy \
         the line of 'linkqual key rotate' again, whole"
    )]
    Words {
        /// Words there were.
        words: usize,
    },
    /// One of the keys is none.
    #[error("not a succession line: {0}")]
    Key(MalformedKey),
    /// One of the times is none.
    #[error("not a succession line: '{word}' is not a time such as 2026-12-07T19:40:00Z")]
    Time {
        /// What stands there.
        word: String,
    },
    /// The last word is no signature.
    #[error(
        "not a succession line: its last word is no signature. Copy the line of 'linkqual key \
         rotate' again, whole"
    )]
    Signature,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-30T19:40:00Z, and a fraction that is left out.
    const NOW_NS: u64 = 1_796_067_600_000_000_007;
    const WEEK: Span = Span::from_secs(7 * 86_400);

    fn key(octet: u8) -> PublicKey {
        let mut spki = [octet; 44];
        spki[..12].copy_from_slice(&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0]);
        PublicKey::from_spki(&spki).unwrap()
    }

    fn line() -> SuccessionLine {
        let succession = Succession::new(key(1), key(2), NOW_NS, WEEK).unwrap();
        SuccessionLine { succession, signature: [0xa5; SIGNATURE_LEN] }
    }

    #[test]
    fn what_is_signed_is_all_but_the_signature() {
        let (line, succession) = (line(), line().succession);
        let (old, new) = (key(1).to_base64(), key(2).to_base64());
        let expected =
            format!("linkqual-succession {old} {new} 2026-11-30T19:40:00Z 2026-12-07T19:40:00Z");
        assert_eq!(succession.signed_text(), expected);
        assert!(line.to_string().starts_with(&format!("{expected} paWlpa")));
        let end_ns = 1_796_672_400 * NANOS_PER_SECOND;
        assert!(!succession.is_over(end_ns - 1) && succession.is_over(end_ns));
    }

    #[test]
    fn a_line_is_read_as_it_is_written_whatever_blanks_a_shell_or_a_mail_made() {
        let text = line().to_string();
        assert_eq!(text.parse(), Ok(line()));
        assert_eq!(format!("\n  {}\r\n", text.replace(' ', "\n ")).parse(), Ok(line()));
    }

    #[track_caller]
    fn check(text: &str, words: &str) {
        let error = text.parse::<SuccessionLine>().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn what_is_no_line_is_refused_by_its_kind() {
        let text = line().to_string();
        check("", "0 words, where it has six");
        check(&format!("{text} more"), "7 words");
        check(&text.replace("linkqual-s", "s"), "begins with 'linkqual-succession'");
        check(&text.replacen("MCow", "MC=w", 1), "not base64");
        check(&text.replacen("MCow", "MDow", 1), "not an Ed25519 key");
        check(&text.replace("2026-12-07T", "2026-12-07"), "is not a time such as");
        check(&text[..text.len() - 4], "no signature");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<SuccessionLine>();
            let _ = format!("{MARK} {text}").parse::<SuccessionLine>();
        }
    }
}
