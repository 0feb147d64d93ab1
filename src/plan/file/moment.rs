//! A time, as a plan has it.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// A time as it is written: with its offset, or by the clock of a zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moment {
    /// The time itself.
    At(Timestamp),
    /// What the clock shows.
    Local(DateTime),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.parse().map(Self::At);
        at.or_else(|_| text.parse().map(Self::Local)).map_err(|_| {
            "not a time: a date and a time with its offset, such as \"2026-12-05T22:00:00+08:00\", \
             or without, and with zone"
                .to_owned()
        })
    }
}
