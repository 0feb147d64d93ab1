//! Where the level of a series changed: the rule of alarm, run after run.

use super::quantity::Quantity;
use super::rule::{BASELINE_MIN, CONFIRMING, Finding, Reading, first_beyond, judge, median};

/// A run of a series: when it began, in nanoseconds since 1970, and what it showed.
pub type At = (u64, Reading);

/// A change of the level of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The place of the first run at the new level.
    pub place: usize,
    /// The level before it.
    pub before: f64,
    /// The median from it on, until the next change.
    pub after: f64,
    /// Whether it became worse.
    pub is_worse: bool,
}

/// The changes in `series`, which is in the order of time. Each run is held against those since the
/// last change, and of these against the `window_ns` before it.
#[must_use]
pub fn changes(quantity: Quantity, series: &[At], window_ns: u64) -> Vec<Change> {
    let readings: Vec<Reading> = series.iter().map(|(_, reading)| *reading).collect();
    let mut found: Vec<Change> = Vec::new();
    let mut since = 0;
    for (place, (at_ns, reading)) in series.iter().enumerate() {
        let oldest = at_ns.saturating_sub(window_ns);
        let first = series.partition_point(|(began_ns, _)| *began_ns < oldest).max(since);
        if place < first + BASELINE_MIN + CONFIRMING {
            continue;
        }
        let (finding, level) = judge(quantity, &readings[first..place], *reading);
        let is_worse = finding == Finding::Worse;
        let (true, Some(level)) = (is_worse || finding == Finding::Better, level) else { continue };
        let latest = place - CONFIRMING;
        since = latest + first_beyond(quantity, &level, &readings[latest..=place]);
        found.push(Change { place: since, before: level.value, after: reading.value, is_worse });
    }
    let ends: Vec<usize> =
        found.iter().skip(1).map(|next| next.place).chain([series.len()]).collect();
    for (change, end) in found.iter_mut().zip(ends) {
        let after = readings[change.place..end].iter().map(|reading| reading.value);
        change.after = median(after).unwrap_or(change.after);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::NANOS_PER_DAY;

    fn daily(levels: &[(u32, f64)]) -> Vec<At> {
        let values = levels
            .iter()
            .flat_map(|(days, level)| (0..*days).map(move |day| level + 20.0 * f64::from(day % 4)));
        let at = |(day, value)| (day * NANOS_PER_DAY, Reading { value, error: 0.0 });
        (0..).zip(values).map(at).collect()
    }

    #[test]
    fn each_change_is_found_with_the_run_that_it_began_with() {
        let series = daily(&[(20, 10_000.0), (20, 12_000.0), (30, 9_000.0)]);
        let found = changes(Quantity::RttFloor, &series, 30 * NANOS_PER_DAY);
        let shown: Vec<_> =
            found.iter().map(|it| (it.place, it.before, it.after, it.is_worse)).collect();
        let expected = [(20, 10_020.0, 12_030.0, true), (40, 12_020.0, 9_020.0, false)];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_level_that_stays_and_single_runs_that_stand_out_are_no_changes() {
        let mut series = daily(&[(60, 10_000.0)]);
        assert_eq!(changes(Quantity::RttFloor, &series, 30 * NANOS_PER_DAY), []);
        series[30].1.value = 15_000.0;
        series[45].1.value = 25_000.0;
        assert_eq!(changes(Quantity::RttFloor, &series, 30 * NANOS_PER_DAY), []);
        assert_eq!(changes(Quantity::RttFloor, &[], NANOS_PER_DAY), []);
    }
}
