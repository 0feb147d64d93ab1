//! Counts by the second, and by the minute beyond the first hour.

use super::Invalid;
use super::sums::total;
use serde::{Deserialize, Serialize};

/// Seconds that are stored one by one: the first hour.
const SECONDS_MAX: usize = 3_600;

/// The longest series: a day, beyond any trial. What comes later counts in its last second.
const SPAN_MAX: usize = 24 * SECONDS_MAX;

const SECOND_NS: u64 = 1_000_000_000;

/// Counts by the second of a trial. Stored as 1 s rows for the first hour and 60 s rows beyond.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Rows", into = "Rows")]
pub struct Series {
    seconds: Vec<u64>,
    /// Of a stored series: what lies beyond its first hour.
    minutes: Vec<Minute>,
}

/// Counts by the second of a trial: 1 s rows for the first hour, 60 s rows after it. The field that
/// holds the series says what is counted.
#[derive(Clone, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Series"))]
pub(super) struct Rows {
    /// Count of each second from 0 s on, in the unit of the series; at most 3600 rows.
    seconds: Vec<u64>,
    /// The time after the first hour, by the minute; absent if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    minutes: Vec<Minute>,
}

#[cfg(test)]
impl schemars::JsonSchema for Series {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Rows::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Rows::json_schema(generator)
    }
}

/// One minute of a series.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Minute {
    /// Sum of its seconds, in the unit of the series.
    pub count: u64,
    /// Smallest of its seconds, in the unit of the series.
    pub min: u64,
    /// Largest of its seconds, in the unit of the series.
    pub max: u64,
}

impl Minute {
    fn of(seconds: &[u64]) -> Self {
        Self {
            count: seconds.iter().sum(),
            min: seconds.iter().copied().min().unwrap_or(0),
            max: seconds.iter().copied().max().unwrap_or(0),
        }
    }

    /// Of several streams together `min` is at least this, and `max` at most: which seconds they
    /// were in is no longer known.
    const fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.min += other.min;
        self.max += other.max;
    }
}

impl From<Rows> for Series {
    fn from(rows: Rows) -> Self {
        Self { seconds: rows.seconds, minutes: rows.minutes }
    }
}

impl From<Series> for Rows {
    fn from(series: Series) -> Self {
        let Series { mut seconds, mut minutes } = series;
        let beyond = seconds.split_off(seconds.len().min(SECONDS_MAX));
        minutes.extend(beyond.chunks(60).map(Minute::of));
        Self { seconds, minutes }
    }
}

impl Series {
    /// From the counts of each second.
    #[must_use]
    pub fn from_seconds(mut seconds: Vec<u64>) -> Self {
        seconds.truncate(SPAN_MAX);
        Self { seconds, minutes: Vec::new() }
    }

    /// The counts of each second, from 0 s on; of a stored series, of its first hour.
    #[must_use]
    pub fn seconds(&self) -> &[u64] {
        &self.seconds
    }

    /// What lies beyond the first hour of a stored series, by the minute.
    #[must_use]
    pub fn minutes(&self) -> &[Minute] {
        &self.minutes
    }

    /// The sum of all.
    #[must_use]
    pub fn total(&self) -> u64 {
        let minutes = self.minutes.iter().map(|minute| minute.count);
        total(self.seconds.iter().copied().chain(minutes))
    }

    /// Adds `count` to the second of `at_ns`, nanoseconds from the start.
    pub fn add(&mut self, at_ns: u64, count: u64) {
        let second = usize::try_from(at_ns / SECOND_NS).unwrap_or(usize::MAX).min(SPAN_MAX - 1);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += count;
    }

    /// Adds the counts of another stream, second by second.
    pub fn merge(&mut self, other: &Self) {
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize(other.seconds.len(), 0);
        }
        self.seconds.iter_mut().zip(&other.seconds).for_each(|(sum, count)| *sum += count);
        if self.minutes.len() < other.minutes.len() {
            self.minutes.resize(other.minutes.len(), Minute::default());
        }
        self.minutes.iter_mut().zip(&other.minutes).for_each(|(sum, minute)| sum.merge(*minute));
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let fits = self.seconds.len() <= SECONDS_MAX
            && self.minutes.len() <= SPAN_MAX / 60
            && (self.minutes.is_empty() || self.seconds.len() == SECONDS_MAX);
        Invalid::unless(fits, "a series of more than 3600 seconds, or of minutes without them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_beyond_the_first_hour_are_stored_by_the_minute() {
        let mut series = Series::default();
        for second in 0..3_725_u64 {
            series.add(second * SECOND_NS + 1, second % 7);
        }
        let text = serde_json::to_string(&series).expect("numbers");
        let stored: Series = serde_json::from_str(&text).expect("its own text");
        assert_eq!(stored.seconds(), &series.seconds()[..3_600]);
        let minute = |seconds: std::ops::Range<u64>| Minute {
            count: seconds.map(|second| second % 7).sum(),
            min: 0,
            max: 6,
        };
        // The last one is not whole: 3720 leaves 3, and 3 4 5 6 0 are both bounds as well.
        let ranges = [3_600..3_660, 3_660..3_720, 3_720..3_725];
        assert_eq!(stored.minutes(), ranges.map(minute));
        assert_eq!(stored.total(), series.total());
        assert_eq!(stored.check(), Ok(()));
    }

    #[test]
    fn streams_add_up_second_by_second() {
        let mut sum = Series::from_seconds(vec![1, 2]);
        sum.merge(&Series::from_seconds(vec![10, 20, 30]));
        assert_eq!(sum.seconds(), [11, 22, 30]);
    }

    #[test]
    fn minutes_without_their_hour_are_no_series() {
        let text = r#"{"seconds": [1], "minutes": [{"count": 1, "min": 0, "max": 1}]}"#;
        assert!(serde_json::from_str::<Series>(text).expect("rows").check().is_err());
    }
}
