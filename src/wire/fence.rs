//! Proof that a run holds the lease on what it loads: a number that grows with each lease.
//!
//! A program that was stopped beyond the end of its lease may go on as if it still held it. By then
//! the next holder has shown the agent a higher number, and the lower one is refused. Numbers are
//! comparable within one sequence only: each database has one for each thing that it leases.

use crate::account::{Invalid, is_control, plain, spoken};
use serde::{Deserialize, Serialize};

/// Fences that a request has at most: a circuit, an agent, and what a link shares.
pub const FENCES_MAX: usize = 64;

/// The longest name of what is leased, in characters.
pub const LEASED_LEN_MAX: usize = 160;

/// The highest number: what a database's column holds.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// The number of a run's lease on one thing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fence {
    /// What is leased, for people, such as "circuit EC-2031".
    pub of: String,
    /// The sequence that the number is of.
    #[serde(with = "sequence")]
    pub sequence: u128,
    /// The number: higher than that of every earlier lease.
    pub number: u64,
}

impl Fence {
    /// The same, where it can be a lease's.
    ///
    /// # Errors
    ///
    /// Where the name is too long or empty, or the number is none of a database.
    pub fn checked(self) -> Result<Self, Invalid> {
        let len = self.of.chars().count();
        if !(1..=LEASED_LEN_MAX).contains(&len) || self.of.chars().any(is_control) {
            let why =
                format!("what is leased must have 1 to {LEASED_LEN_MAX} printable characters");
            return Err(Invalid::new(why));
        }
        if NUMBER_MAX < self.number {
            let why = format!("a lease's number is {}, of at most {NUMBER_MAX}", self.number);
            return Err(Invalid::new(why));
        }
        Ok(self)
    }
}

/// What the document of [`emit`] calls itself.
pub const FORMAT: &str = "linkqual-agent-fences/1";

#[derive(Deserialize, Serialize)]
struct Document {
    format: String,
    fences: Vec<Fence>,
}

/// The highest fences as a document for an agent's disk, the one that was used last at its end.
///
/// # Panics
///
/// Never: texts and numbers are JSON.
#[must_use]
pub fn emit(fences: &[Fence]) -> String {
    let document = Document { format: FORMAT.to_owned(), fences: fences.to_vec() };
    serde_json::to_string(&document).expect("texts and numbers are JSON") + "\n"
}

/// Reads such a document, which anyone may have written.
///
/// # Errors
///
/// Says what is wrong with it; never panics.
pub fn parse(text: &str) -> Result<Vec<Fence>, MalformedFences> {
    let malformed = |why: &str| MalformedFences(spoken(why));
    let document: Document =
        serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
    if document.format != FORMAT {
        return Err(malformed(&format!("its format is '{}'", plain(&document.format))));
    }
    let fences = document.fences.into_iter().map(Fence::checked);
    fences.collect::<Result<_, _>>().map_err(|error| malformed(&error.to_string()))
}

/// Digits of a sequence's name.
const DIGITS: usize = 32;

/// A sequence as so many hexadecimal digits.
mod sequence {
    use super::DIGITS;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(sequence: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{sequence:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        let is_hex = text.len() == DIGITS && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let sequence = u128::from_str_radix(&text, 16).ok().filter(|_| is_hex);
        sequence.ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
    }
}

/// A file has no fences of this version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a list of {FORMAT}: {0}")]
pub struct MalformedFences(String);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fence(of: &str, number: u64) -> Fence {
        Fence { of: of.to_owned(), sequence: 0xfeed, number }
    }

    /// Golden: this text is the protocol.
    #[test]
    fn a_fence_is_a_name_a_sequence_and_a_number() {
        let text = serde_json::to_string(&fence("circuit EC-1", 7)).expect("JSON");
        let sequence = format!("{:0>DIGITS$}", "feed");
        let expected = format!(r#"{{"of":"circuit EC-1","sequence":"{sequence}","number":7}}"#);
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Fence>(&text).ok(), Some(fence("circuit EC-1", 7)));
        for bad in ["feed", &"g".repeat(DIGITS), &format!("+{}", "0".repeat(DIGITS - 1))] {
            assert!(serde_json::from_str::<Fence>(&text.replace(&sequence, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_and_a_number_that_is_too_high_are_refused() {
        let longest = "x".repeat(LEASED_LEN_MAX);
        assert!(fence(&longest, NUMBER_MAX).checked().is_ok());
        for (of, number) in
            [("", 1), (&*(longest + "x"), 1), ("a\u{1b}[2J", 1), ("a", NUMBER_MAX + 1)]
        {
            assert!(fence(of, number).checked().is_err(), "{of:?} {number}");
        }
    }

    #[test]
    fn what_is_kept_is_read_back_in_its_order() {
        let fences = [fence("circuit EC-1", 7), Fence { sequence: 3, ..fence("x", 1) }];
        assert_eq!(parse(&emit(&fences)).as_deref(), Ok(&fences[..]));
        let other = emit(&fences).replace("fences/1", "fences/2");
        assert!(parse(&other).is_err_and(|why| why.to_string().contains("fences/2")));
        let text = emit(&fences);
        for len in 0..text.trim_end().len() {
            assert!(parse(&text[..len]).is_err(), "cut after {len} octets");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
