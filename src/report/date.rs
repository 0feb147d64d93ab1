//! Times of the wall clock, as the record has them.

/// RFC 3339, UTC, to the millisecond.
#[must_use]
pub fn date(wall_ns: u64) -> String {
    let millis = i64::try_from(wall_ns / 1_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "unknown".to_owned(), |date| format!("{date:.3}"))
}

/// The time that [`date`] wrote, in ns since 1970; `None` where `text` is none.
pub(super) fn wall_ns(text: &str) -> Option<u64> {
    let date: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(date.as_nanosecond()).ok()
}

/// From when to when, in UTC; and the same in the reader's time, `utc_offset_s` ahead, where that
/// is another. What is no date is shown as it stands.
pub(super) fn span_text(
    (from, to): (&str, &str),
    utc_offset_s: Option<i32>,
) -> (String, Option<String>) {
    let dates = from.parse::<jiff::Timestamp>().ok().zip(to.parse::<jiff::Timestamp>().ok());
    let Some((from, to)) = dates else { return (format!("{from} to {to}"), None) };
    let shown = |seconds: i32| {
        let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
        let [from, to] = [from, to].map(|at| offset.to_datetime(at));
        let end = match from.date() == to.date() {
            true => to.strftime("%H:%M:%S").to_string(),
            false => to.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        };
        Some(format!("{} to {end}", from.strftime("%Y-%m-%d %H:%M:%S")))
    };
    let utc = shown(0).map_or_else(String::new, |span| format!("{span} UTC"));
    let local = utc_offset_s.filter(|seconds| *seconds != 0).and_then(|seconds| {
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        Some(format!("{} local time (UTC{sign}{hours:02}:{minutes:02})", shown(seconds)?))
    });
    (utc, local)
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

    #[test]
    fn a_run_is_dated_in_utc_and_in_the_readers_time_where_that_differs() {
        let run = ("2026-11-29T18:36:31.250Z", "2026-11-29T18:37:12Z");
        let utc = "2026-11-29 18:36:31 to 18:37:12 UTC".to_owned();
        assert_eq!(span_text(run, None), (utc.clone(), None));
        assert_eq!(span_text(run, Some(0)), (utc.clone(), None));
        let shanghai = "2026-11-30 02:36:31 to 02:37:12 local time (UTC+08:00)".to_owned();
        assert_eq!(span_text(run, Some(8 * 3_600)), (utc.clone(), Some(shanghai)));
        let newfoundland = "2026-11-29 15:06:31 to 15:07:12 local time (UTC-03:30)".to_owned();
        assert_eq!(span_text(run, Some(-12_600)), (utc, Some(newfoundland)));
        let night = ("2026-11-29T23:59:59Z", "2026-11-30T00:00:01Z");
        let (utc, _) = span_text(night, None);
        assert_eq!(utc, "2026-11-29 23:59:59 to 2026-11-30 00:00:01 UTC");
    }
}
