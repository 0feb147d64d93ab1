//! How packets are marked for the classes of a line: the differentiated services code point (RFC
//! 2474), by its number or its name.

use crate::units::Malformed;
use std::fmt;
use std::str::FromStr;

/// A code point.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Dscp(u8);

/// The names that IANA lists, with their numbers.
const NAMES: [(&str, u8); 23] = [
    ("CS0", 0),
    ("LE", 1),
    ("CS1", 8),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("CS2", 16),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("CS3", 24),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("CS4", 32),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("CS5", 40),
    ("VOICE-ADMIT", 44),
    ("EF", 46),
    ("CS6", 48),
    ("CS7", 56),
];

impl Dscp {
    /// The greatest.
    pub const MAX: u8 = 63;

    /// The code point `number`; `None` beyond 63.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, number)) => f.pad(&format!("{name} ({number})")),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl fmt::Debug for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Dscp {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        let number = || text.parse().ok().filter(|_| is_number).and_then(Self::new);
        named.map(|(_, number)| Self(*number)).or_else(number).ok_or_else(|| {
            let form = "a DSCP: a name such as \"EF\", \"AF11\" to \"AF43\" or \"CS0\" to \
                        \"CS7\", or a number from 0 to 63";
            Malformed::new(text, form)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_point_has_a_name_or_a_number() {
        #[track_caller]
        fn check(text: &str, number: u8, shown: &str) {
            let dscp: Dscp = text.parse().expect("a code point");
            assert_eq!((dscp.number(), dscp.to_string().as_str()), (number, shown), "{text}");
        }
        check("EF", 46, "EF (46)");
        check("ef", 46, "EF (46)");
        check("AF11", 10, "AF11 (10)");
        check("af43", 38, "AF43 (38)");
        check("CS7", 56, "CS7 (56)");
        check("0", 0, "CS0 (0)");
        check("63", 63, "63");
        for text in ["", "64", "-1", "+1", "AF44", "CS8", "0x2e", "256"] {
            assert!(text.parse::<Dscp>().is_err(), "{text:?}");
        }
    }

    /// RFC 2597, section 6: class times 8, and drop precedence times 2.
    #[test]
    fn assured_forwarding_is_numbered_by_class_and_precedence() {
        for class in 1..=4_u8 {
            for precedence in 1..=3_u8 {
                let dscp: Dscp = format!("AF{class}{precedence}").parse().expect("a name");
                assert_eq!(dscp.number(), class * 8 + precedence * 2);
            }
        }
    }
}
