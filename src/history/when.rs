//! A time as people give it: so long ago, or a date.

use super::NANOS_PER_DAY;
use std::str::FromStr;

/// A time in the past.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// So many nanoseconds before now.
    Ago(u64),
    /// In nanoseconds since 1970.
    At(u64),
}

impl When {
    /// It in nanoseconds since 1970, where it is `now_ns`.
    #[must_use]
    pub const fn ns(self, now_ns: u64) -> u64 {
        match self {
            Self::Ago(ns) => now_ns.saturating_sub(ns),
            Self::At(ns) => ns,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ago(text).or_else(|| at(text)).ok_or_else(|| {
            "not a time: so long ago, such as 90min, 12h, 30d or 8w; or a date in UTC, such as \
             2026-11-30 or 2026-11-30T18:00:00Z"
                .to_owned()
        })
    }
}

fn ago(text: &str) -> Option<When> {
    const HOUR: u64 = NANOS_PER_DAY / 24;
    let unit_at = text.find(|sign: char| !sign.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ns = match unit.trim_start() {
        "min" => HOUR / 60,
        "h" => HOUR,
        "d" => NANOS_PER_DAY,
        "w" => 7 * NANOS_PER_DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ns).map(When::Ago)
}

fn at(text: &str) -> Option<When> {
    let time = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == "2026-11-30".len() => {
            date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    u64::try_from(time.as_nanosecond()).ok().map(When::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_so_long_ago_or_a_date() {
        let ns = |text: &str| text.parse::<When>().map(|when| when.ns(10 * NANOS_PER_DAY));
        assert_eq!(ns("3d"), Ok(7 * NANOS_PER_DAY));
        assert_eq!(ns("1w"), Ok(3 * NANOS_PER_DAY));
        assert_eq!(ns("12 h"), Ok(9 * NANOS_PER_DAY + NANOS_PER_DAY / 2));
        assert_eq!(ns("90min"), Ok(10 * NANOS_PER_DAY - NANOS_PER_DAY / 16));
        assert_eq!(ns("400d"), Ok(0), "before all that is recorded");
        assert_eq!(ns("1970-01-03"), Ok(2 * NANOS_PER_DAY));
        assert_eq!(ns("1970-01-03T12:00:00Z"), Ok(2 * NANOS_PER_DAY + NANOS_PER_DAY / 2));
        assert_eq!(ns("1970-01-03T12:00:00+12:00"), Ok(2 * NANOS_PER_DAY));
        for wrong in ["", "yesterday", "3", "3m", "-3d", "1960-01-01", "2026-13-01"] {
            assert!(ns(wrong).is_err_and(|why| why.contains("not a time")), "{wrong}");
        }
    }
}
