//! Utilisation of a period: means of five minutes, and the percentiles that planners and bills use.

use super::counters::Reading;
use crate::stats::real;

/// Seconds of a sample: that of billing by the 95th percentile.
pub const SAMPLE_S: i64 = 300;

/// What a link's interface carried in a period, in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Means of five minutes, ascending, in bit/s; those that less than half is known of are not
    /// among them.
    pub samples: Vec<f64>,
    /// How many five minutes the period has.
    pub expected: usize,
    /// The mean of each hour of the day in UTC, in bit/s; `None` where nothing is known of it.
    pub by_hour: [Option<f64>; 24],
}

impl Usage {
    /// Five minutes of which nothing is known.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.expected.saturating_sub(self.samples.len())
    }

    /// The 95th percentile as it is billed: of N samples the one of ascending rank ⌈0.95 N⌉.
    #[must_use]
    pub fn p95(&self) -> Option<f64> {
        self.ranked(19, 20)
    }

    /// The median, by rank.
    #[must_use]
    pub fn p50(&self) -> Option<f64> {
        self.ranked(1, 2)
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.samples.last().copied()
    }

    /// The sample of ascending rank ⌈N · part / of⌉.
    fn ranked(&self, part: usize, of: usize) -> Option<f64> {
        let rank = (self.samples.len() * part).div_ceil(of);
        self.samples.get(rank.checked_sub(1)?).copied()
    }
}

/// What `readings` show of the time from `from_s` until `until_s`, whole samples of it.
#[must_use]
pub fn usage(readings: &[Reading], from_s: i64, until_s: i64) -> Usage {
    let count = usize::try_from(until_s.saturating_sub(from_s) / SAMPLE_S).unwrap_or(0);
    // Of each sample: its known seconds, and the bits of those.
    let mut sums = vec![(0.0_f64, 0.0_f64); count];
    for reading in readings {
        let (start, end) = (reading.from_s.max(from_s), reading.until_s.min(until_s));
        let mut at = start;
        while at < end {
            let place = (at - from_s) / SAMPLE_S;
            let next = (from_s + (place + 1) * SAMPLE_S).min(end);
            let seconds = real(next.abs_diff(at));
            if let Some(sum) = usize::try_from(place).ok().and_then(|place| sums.get_mut(place)) {
                sum.0 += seconds;
                sum.1 += seconds * reading.bit_s;
            }
            at = next;
        }
    }
    let half = real(SAMPLE_S.unsigned_abs()) / 2.0;
    let mean = |(seconds, bits): &(f64, f64)| (half <= *seconds).then(|| bits / seconds);
    let means: Vec<Option<f64>> = sums.iter().map(mean).collect();
    let mut by_hour = [(0.0_f64, 0.0_f64); 24];
    for (place, mean) in means.iter().enumerate() {
        let start_s = from_s + SAMPLE_S * i64::try_from(place).unwrap_or(0);
        let hour = usize::try_from(start_s.rem_euclid(86_400) / 3_600).unwrap_or(0);
        if let (Some(mean), Some(sum)) = (mean, by_hour.get_mut(hour)) {
            sum.0 += 1.0;
            sum.1 += mean;
        }
    }
    let mut samples: Vec<f64> = means.into_iter().flatten().collect();
    samples.sort_by(f64::total_cmp);
    let by_hour = by_hour.map(|(samples, sum)| (0.0 < samples).then(|| sum / samples));
    Usage { samples, expected: count, by_hour }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 days of five minutes: 8640 samples, 432 of them dropped, and the 433rd largest billed.
    #[test]
    fn the_billed_percentile_of_a_month_is_the_433rd_largest() {
        let readings: Vec<Reading> = (0..8_640)
            .map(|place| Reading {
                from_s: place * SAMPLE_S,
                until_s: (place + 1) * SAMPLE_S,
                // Each value from 1 to 8640 once, in no order: 4801 and 8640 have no common factor.
                bit_s: real((place.unsigned_abs() * 4_801) % 8_640 + 1),
            })
            .collect();
        let usage = usage(&readings, 0, 30 * 86_400);
        assert_eq!((usage.expected, usage.missing()), (8_640, 0));
        assert_eq!((usage.p95(), usage.max()), (Some(8_208.0), Some(8_640.0)));
        assert_eq!(usage.p50(), Some(4_320.0));
    }

    #[test]
    fn a_reading_is_spread_over_its_samples_and_a_gap_is_missing() {
        let reading = |from_s, until_s, bit_s| Reading { from_s, until_s, bit_s };
        // The first is of ten minutes; then four are not known, and one is.
        let readings = [reading(0, 600, 4.0), reading(840, 900, 8.0), reading(900, 1_200, 8.0)];
        let usage = usage(&readings, 0, 1_500);
        assert_eq!(usage.samples, [4.0, 4.0, 8.0]);
        assert_eq!((usage.expected, usage.missing()), (5, 2));
        assert_eq!(usage.by_hour[0], Some(16.0 / 3.0));
        assert_eq!(usage.by_hour[1], None);
    }

    /// An hour's test at the rate of the line, five minutes of each: one sample in twelve, which is
    /// above the 95th percentile no more.
    #[test]
    fn a_test_of_five_minutes_an_hour_sets_the_bill() {
        let quiet = |place: i64| if place % 12 == 0 { 1_000.0 } else { 10.0 };
        let readings: Vec<Reading> = (0..8_640)
            .map(|place| Reading {
                from_s: place * SAMPLE_S,
                until_s: (place + 1) * SAMPLE_S,
                bit_s: quiet(place),
            })
            .collect();
        assert_eq!(usage(&readings, 0, 30 * 86_400).p95(), Some(1_000.0));
    }

    #[test]
    fn without_readings_there_is_no_percentile() {
        let usage = usage(&[], 0, 3_600);
        assert_eq!(
            (usage.p95(), usage.p50(), usage.max(), usage.missing()),
            (None, None, None, 12)
        );
    }
}
