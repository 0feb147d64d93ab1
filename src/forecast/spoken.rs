//! Lengths of time as people say them.

use crate::units::Span;

/// A length of time in minutes and seconds.
pub(super) fn spoken(span: Span) -> String {
    let seconds = span.secs_up();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_spoken_in_minutes_and_seconds() {
        let shown = [0, 59, 60, 61, 3_600].map(|seconds| spoken(Span::from_secs(seconds)));
        assert_eq!(shown, ["0 s", "59 s", "1 min", "1 min 1 s", "60 min"]);
    }
}
