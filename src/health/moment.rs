//! A time as people type it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::str::FromStr;

/// A time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// Now.
    Now,
    /// So many seconds after now, or after the time that it is given with.
    In(i64),
    /// In seconds since 1970.
    At(i64),
    /// What the clock of this host shows then.
    Local(DateTime),
}

impl Moment {
    /// It in seconds since 1970. What is given as a length counts from `base_s`; `offset_s` is how
    /// far the clock of this host is ahead of UTC at a time.
    #[must_use]
    pub fn seconds(self, base_s: i64, now_s: i64, offset_s: impl Fn(i64) -> i64) -> i64 {
        match self {
            Self::Now => now_s,
            Self::In(seconds) => base_s.saturating_add(seconds),
            Self::At(at_s) => at_s,
            Self::Local(clock) => {
                let utc = clock.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
                let utc_s = utc.map_or(0, Timestamp::as_second);
                // The offset at that time, where it is about to change too.
                let guess_s = utc_s - offset_s(utc_s);
                utc_s - offset_s(guess_s)
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let after = text.strip_prefix('+').unwrap_or(text);
        length(after)
            .map(Self::In)
            .or_else(|| Some(Self::At(text.parse::<Timestamp>().ok()?.as_second())))
            .or_else(|| text.parse().ok().map(Self::Local))
            .ok_or_else(|| {
                "not a time: now; after so long, such as 90min, 4h or 2d; or a date and a time, \
                 such as \"2026-12-05 22:00\" (this host's clock) or 2026-12-05T22:00:00+08:00"
                    .to_owned()
            })
    }
}

/// Minutes, hours or days, in seconds; a year at most.
fn length(text: &str) -> Option<i64> {
    let unit_at = text.find(|sign: char| !sign.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit.trim_start() {
        "min" => SignedDuration::from_mins(1),
        "h" => SignedDuration::from_hours(1),
        "d" => SignedDuration::from_hours(24),
        _ => return None,
    };
    let seconds = number.parse::<i64>().ok()?.checked_mul(unit.as_secs())?;
    (0 < seconds && seconds <= 366 * 86_400).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_now_or_after_so_long_or_a_date() {
        // The clock is 8 h ahead, and 9 h from 1 000 000 on.
        let offset_s = |at_s: i64| if at_s < 1_000_000 { 28_800 } else { 32_400 };
        let seconds =
            |text: &str| text.parse::<Moment>().map(|moment| moment.seconds(500, 600, offset_s));
        assert_eq!(seconds("now"), Ok(600));
        assert_eq!(seconds("4h"), Ok(500 + 14_400));
        assert_eq!(seconds("+90min"), Ok(500 + 5400));
        assert_eq!(seconds("1970-01-02T00:00:00Z"), Ok(86_400));
        assert_eq!(seconds("1970-01-02T00:00:00+08:00"), Ok(57_600));
        assert_eq!(seconds("1970-01-02 08:00"), Ok(86_400));
        assert_eq!(seconds("1970-02-01 09:00"), Ok(31 * 86_400));
        for wrong in ["", "soon", "4", "4m", "0h", "400d", "22:00"] {
            assert!(seconds(wrong).is_err_and(|why| why.contains("not a time")), "{wrong}");
        }
    }
}
