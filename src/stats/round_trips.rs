//! Many round trips in few octets: a histogram that is kept for years, and merged.
//!
//! Buckets of at most 1 % width, where a report's are of 0.1 %: a minute of probing takes some
//! dozen octets.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use std::fmt;

/// Round trips above this, in ns, share the last bucket: 60 s.
const NS_MAX: u64 = 60_000_000_000;

/// Decimal digits that a bucket distinguishes.
const DIGITS: u8 = 2;

/// Octets of a saved one at most: its header, and each of its buckets in nine.
const OCTETS_MAX: usize = 40 + 30 * 128 * 9;

/// Octets of a saved histogram's header, behind which its buckets stand.
const HEADER_LEN: usize = 40;

/// Round trips, in ns.
#[derive(Clone, PartialEq)]
pub struct RoundTrips {
    histogram: Histogram<u64>,
}

impl fmt::Debug for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundTrips").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Default for RoundTrips {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, NS_MAX, DIGITS)
            .expect("bounds and digits are constants that the histogram takes");
        Self { histogram }
    }
}

impl RoundTrips {
    /// Takes one.
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos.clamp(1, NS_MAX));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Adds those of another time.
    #[expect(clippy::missing_panics_doc, reason = "all histograms here have the same bounds")]
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// That which the share `q` of them did not exceed, within 1 %; `None` where there is none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        (0 < self.count()).then(|| self.histogram.value_at_quantile(q))
    }

    /// HdrHistogram V2, uncompressed; nothing where there is none.
    ///
    /// # Panics
    ///
    /// Panics if a bucket holds 2^63: no link is probed for as long.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        if 0 < self.count() {
            V2Serializer::new()
                .serialize(&self.histogram, &mut octets)
                .expect("counts below 2^63 fit, and a vector takes all octets");
        }
        octets
    }

    /// What [`Self::to_octets`] made; `None` where that is not what it is: others may write to a
    /// shared database, and no memory is taken on their word.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        if octets.is_empty() {
            return Some(Self::default());
        }
        let mut one = Self::default();
        one.record(1);
        let own = one.to_octets();
        // All of the header but the length of what is behind it, which the reader checks.
        let is_alike = octets.get(..4) == own.get(..4)
            && octets.get(8..HEADER_LEN) == own.get(8..HEADER_LEN)
            && octets.len() <= OCTETS_MAX
            && are_counts(&octets[HEADER_LEN..], one.histogram.distinct_values());
        if !is_alike {
            return None;
        }
        let histogram = Deserializer::new().deserialize(&mut &*octets).ok()?;
        Some(Self { histogram })
    }
}

/// Whether `payload` has a count for each of at most `slots` buckets, none of which is beyond all
/// that can have been counted: the library adds and negates without looking.
fn are_counts(mut payload: &[u8], slots: usize) -> bool {
    const COUNT_MAX: u64 = 1 << 40;
    let (slots, mut used) = (slots as u64, 0_u64);
    while !payload.is_empty() {
        let mut number = 0_u64;
        for place in 0..9_u32 {
            let Some((octet, rest)) = payload.split_first() else { return false };
            payload = rest;
            if place == 8 {
                return false;
            }
            number |= u64::from(octet & 0x7f) << (7 * place);
            if octet & 0x80 == 0 {
                break;
            }
        }
        // Zigzag: odd numbers are runs of empty buckets, even ones a bucket's count.
        let is_run = number % 2 == 1;
        used = used.saturating_add(if is_run { (number >> 1) + 1 } else { 1 });
        if slots < used || (!is_run && COUNT_MAX < number >> 1) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn of(nanos: impl IntoIterator<Item = u64>) -> RoundTrips {
        let mut all = RoundTrips::default();
        nanos.into_iter().for_each(|one| all.record(one));
        all
    }

    #[test]
    fn quantiles_are_within_a_hundredth() {
        let all = of((1..=1_000).map(|ms| ms * MS));
        for (q, expected) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1_000)] {
            let found = all.quantile(q).expect("there are some");
            assert!(found.abs_diff(expected * MS) <= expected * MS / 100, "{q}: {found}");
        }
        assert_eq!(RoundTrips::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_merged_is_what_was_recorded_together() {
        let (mut one, other) = (of([5 * MS, 7 * MS]), of([6 * MS, 900 * MS]));
        one.merge(&other);
        assert_eq!(one, of([5 * MS, 6 * MS, 7 * MS, 900 * MS]));
    }

    /// 20 probes a second for a minute, 10 ms and some tenths each.
    #[test]
    fn a_minute_takes_some_dozen_octets_and_is_read_back() {
        let minute = of((0..1_200).map(|number| 10 * MS + number * 1_000));
        let octets = minute.to_octets();
        assert!(octets.len() < 80, "{}", octets.len());
        assert_eq!(RoundTrips::from_octets(&octets), Some(minute));
        assert_eq!(RoundTrips::default().to_octets(), [0; 0]);
        assert_eq!(RoundTrips::from_octets(&[]), Some(RoundTrips::default()));
        let wide = of((1..=60_000).map(|number| number * MS));
        assert_eq!(RoundTrips::from_octets(&wide.to_octets()), Some(wide));
    }

    #[test]
    fn what_is_none_is_not_read() {
        let octets = of([5 * MS, 7 * MS]).to_octets();
        for len in 1..octets.len() {
            assert_eq!(RoundTrips::from_octets(&octets[..len]), None, "the first {len}");
        }
        let mut foreign = octets.clone();
        foreign[15] = 3;
        assert_eq!(RoundTrips::from_octets(&foreign), None, "three digits");
        for huge in [&[0xff; 9][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            let mut huge_count = octets[..HEADER_LEN].to_vec();
            huge_count[7] = u8::try_from(huge.len()).expect("some octets");
            huge_count.extend(huge);
            assert_eq!(RoundTrips::from_octets(&huge_count), None);
        }
    }
}
