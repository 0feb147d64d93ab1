//! Times of the wall clock, as the record has them.

/// RFC 3339, UTC, to the millisecond.
pub(super) fn date(wall_ns: u64) -> String {
    let millis = i64::try_from(wall_ns / 1_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "unknown".to_owned(), |date| format!("{date:.3}"))
}

/// The time that [`date`] wrote, in ns since 1970; `None` where `text` is none.
pub(super) fn wall_ns(text: &str) -> Option<u64> {
    let date: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(date.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_rfc_3339() {
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(1_767_225_600_500_999_999), "2026-01-01T00:00:00.500Z");
        assert_eq!(wall_ns("2026-01-01T00:00:00.500Z"), Some(1_767_225_600_500_000_000));
        assert_eq!(wall_ns("2026-01-01T00:00:00Z"), Some(1_767_225_600_000_000_000));
        assert_eq!([wall_ns("yesterday"), wall_ns("1969-01-01T00:00:00Z")], [None, None]);
    }
}
