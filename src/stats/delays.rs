//! A distribution of delays over packets *sent*: one that was lost is late without end (RFC 7679).
//!
//! Never holds a delay apart: buckets of at most 0.1 % width, and the exact least and greatest.

use super::confidence::Confidence;
use super::confidence::quantile_ranks;
use super::{count, real};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::Serializer as _;
use hdrhistogram::serialization::V2Serializer;
use std::fmt;

/// Delays above this, in ns, share the last bucket: 60 s, far beyond when a packet counts as lost.
pub const DELAY_NS_MAX: u64 = 60_000_000_000;

/// Delays that one distribution can be saved with: 2^48, so that no sum of a few thousand saved
/// ones overflows.
pub const TOTAL_MAX: u64 = 1 << 48;

/// Decimal digits that a bucket distinguishes.
const DIGITS: u8 = 3;

/// Octets of a saved histogram's header: cookie, payload length, offset, digits, least, greatest
/// value, ratio.
const HEADER_LEN: usize = 40;

/// The header's first four octets: V2, not compressed.
const COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];

/// Slots of our histogram: 27 half buckets of 1024, the last one up to 2^36 - 1 ns.
const SLOTS: u64 = 27 * 1024;

/// Characters of a saved histogram at most: each slot in 9 octets, in base64.
const TEXT_MAX: usize = (HEADER_LEN + 27 * 1024 * 9).div_ceil(3) * 4;

/// A delay: some nanoseconds, or never. `Infinite` is the greatest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Delay {
    /// Nanoseconds.
    Finite(u64),
    /// The packet was lost.
    Infinite,
}

/// The delays of packets sent, in ns.
#[derive(Clone, PartialEq)]
pub struct Delays {
    histogram: Histogram<u64>,
    infinite: u64,
    /// Exact least and greatest of the measured ones.
    extremes: Option<(u64, u64)>,
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delays")
            .field("measured", &self.measured())
            .field("infinite", &self.infinite)
            .field("extremes", &self.extremes)
            .finish_non_exhaustive()
    }
}

impl Default for Delays {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, DELAY_NS_MAX, DIGITS)
            .expect("bounds and digits are constants that the histogram takes");
        Self { histogram, infinite: 0, extremes: None }
    }
}

impl Delays {
    /// Takes the delay of a packet that arrived.
    pub fn record(&mut self, delay_ns: u64) {
        self.histogram.saturating_record(delay_ns.min(DELAY_NS_MAX));
        self.widen(delay_ns, delay_ns);
    }

    /// Takes the one delay of `packets` that arrived.
    pub fn record_many(&mut self, delay_ns: u64, packets: u64) {
        self.histogram.saturating_record_n(delay_ns.min(DELAY_NS_MAX), packets);
        self.widen(delay_ns, delay_ns);
    }

    /// Takes note of `packets` that never arrived.
    pub const fn record_lost(&mut self, packets: u64) {
        self.infinite = self.infinite.saturating_add(packets);
    }

    /// Adds the delays that `other` holds.
    #[expect(clippy::missing_panics_doc, reason = "all histograms here have the same bounds")]
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        self.infinite = self.infinite.saturating_add(other.infinite);
        if let Some((min_ns, max_ns)) = other.extremes {
            self.widen(min_ns, max_ns);
        }
    }

    /// Packets that arrived.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.histogram.len()
    }

    /// Packets that were lost.
    #[must_use]
    pub const fn infinite(&self) -> u64 {
        self.infinite
    }

    /// The same with up to `packets` of the lost ones taken out.
    #[must_use]
    pub fn without_lost(mut self, packets: u64) -> Self {
        self.infinite = self.infinite.saturating_sub(packets);
        self
    }

    /// The same with up to `packets` of the longest delays measured as none.
    #[must_use]
    pub fn with_longest_at_best(&self, packets: u64) -> Self {
        let (mut left, mut shorter) = (packets.min(self.measured()), Self::default());
        let steps = self.histogram.iter_recorded();
        let steps = steps.map(|step| (step.value_iterated_to(), step.count_since_last_iteration()));
        let steps: Vec<(u64, u64)> = steps.collect();
        (shorter.infinite, shorter.extremes) = (self.infinite, self.extremes);
        shorter.record_many(0, left);
        for (delay_ns, count) in steps.into_iter().rev() {
            let taken = left.min(count);
            left -= taken;
            let delay_ns = delay_ns.min(DELAY_NS_MAX);
            shorter.histogram.saturating_record_n(delay_ns, count - taken);
        }
        shorter
    }

    /// Packets sent: measured and infinite.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.measured().saturating_add(self.infinite)
    }

    /// The least delay measured, exact; `None` if no packet arrived.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        self.extremes.map(|(min_ns, _)| min_ns)
    }

    /// The greatest delay measured, exact; `None` if no packet arrived.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        self.extremes.map(|(_, max_ns)| max_ns)
    }

    /// The delay that the share `q` of the packets sent did not exceed: the nearest rank, at its
    /// bucket's upper edge, so at most 0.1 % too long.
    ///
    /// `q` from 0, the least delay's bucket, to 1, the greatest; `None` beyond, and if nothing was
    /// sent.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Delay> {
        if !(0.0..=1.0).contains(&q) || self.total() == 0 {
            return None;
        }
        // A decimal share is never exact in binary: what is whole but for that must not round up.
        let rank = count((q * real(self.total()) * (1.0 - 2.0 * f64::EPSILON)).ceil());
        Some(self.edges(rank.clamp(1, self.total())).1)
    }

    /// Between which delays the line's quantile `q` lies, each bound with the confidence asked.
    ///
    /// The low one is at its bucket's lower edge, the high one at its upper, so that buckets never
    /// make a bound tighter than it is. `None` where too little was sent to know (see
    /// [`super::confidence::samples_needed`]).
    #[must_use]
    pub fn bounds(&self, q: f64, confidence: Confidence) -> (Option<Delay>, Option<Delay>) {
        let ranks = quantile_ranks(self.total(), q, confidence);
        (ranks.low.map(|rank| self.edges(rank).0), ranks.high.map(|rank| self.edges(rank).1))
    }

    /// The buckets as text: base64 of HdrHistogram V2, uncompressed. The lost, and the exact
    /// extremes, are not in it.
    ///
    /// # Panics
    ///
    /// Panics if a bucket holds 2^63 delays: no run lasts as long.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let mut octets = Vec::new();
        V2Serializer::new()
            .serialize(&self.histogram, &mut octets)
            .expect("counts below 2^63 fit, and a vector takes all octets");
        STANDARD.encode(octets)
    }

    /// The delays that [`Self::to_base64`] wrote, with what the text lacks: anyone's, so nothing in
    /// it is believed, and no memory is taken on its word.
    ///
    /// # Errors
    ///
    /// Says in what the text is not a saved distribution, or disagrees with `min_ns` and `max_ns`;
    /// never panics.
    pub fn from_base64(
        text: &str,
        infinite: u64,
        min_ns: Option<u64>,
        max_ns: Option<u64>,
    ) -> Result<Self, BadDelays> {
        if TEXT_MAX < text.len() {
            return Err(BadDelays::TooLong { len: text.len() });
        }
        let octets = STANDARD.decode(text).map_err(|_| BadDelays::NotBase64)?;
        let total = total_of(payload_of(&octets)?)?;
        if TOTAL_MAX < total.saturating_add(infinite) {
            return Err(BadDelays::TooMany);
        }
        let histogram = Deserializer::new()
            .deserialize(&mut octets.as_slice())
            .map_err(|_| BadDelays::BadPayload)?;
        let extremes = min_ns.zip(max_ns);
        let delays = Self { histogram, infinite, extremes };
        if min_ns.is_some() != max_ns.is_some() || !delays.extremes_agree() {
            return Err(BadDelays::ExtremesDisagree { min_ns, max_ns });
        }
        Ok(delays)
    }

    fn widen(&mut self, min_ns: u64, max_ns: u64) {
        let (min_before_ns, max_before_ns) = self.extremes.unwrap_or((min_ns, max_ns));
        self.extremes = Some((min_before_ns.min(min_ns), max_before_ns.max(max_ns)));
    }

    /// The least and the greatest delay that the packet of `rank`, from 1, can have had.
    fn edges(&self, rank: u64) -> (Delay, Delay) {
        let mut seen: u64 = 0;
        for step in self.histogram.iter_recorded() {
            seen = seen.saturating_add(step.count_since_last_iteration());
            if rank <= seen {
                let (low_ns, high_ns) = self.bucket(step.value_iterated_to());
                return (Delay::Finite(low_ns), Delay::Finite(high_ns));
            }
        }
        (Delay::Infinite, Delay::Infinite)
    }

    /// The edges of the bucket of `delay_ns`, no wider than the exact extremes.
    fn bucket(&self, delay_ns: u64) -> (u64, u64) {
        let low_ns = self.histogram.lowest_equivalent(delay_ns);
        let high_ns = match self.histogram.equivalent(delay_ns, DELAY_NS_MAX) {
            // The last bucket holds whatever was above it, too.
            true => u64::MAX,
            false => self.histogram.highest_equivalent(delay_ns),
        };
        let (min_ns, max_ns) = self.extremes.unwrap_or((0, u64::MAX));
        (low_ns.max(min_ns), high_ns.min(max_ns))
    }

    /// Whether the exact extremes lie in the first and the last bucket that hold anything.
    fn extremes_agree(&self) -> bool {
        let mut buckets = self.histogram.iter_recorded().map(|step| step.value_iterated_to());
        let first = buckets.next();
        let last = buckets.last().or(first);
        match (first.zip(last), self.extremes) {
            (None, None) => true,
            (Some((first_ns, last_ns)), Some((min_ns, max_ns))) => {
                min_ns <= max_ns
                    && self.histogram.equivalent(first_ns, min_ns.min(DELAY_NS_MAX))
                    && self.histogram.equivalent(last_ns, max_ns.min(DELAY_NS_MAX))
            }
            _ => false,
        }
    }
}

/// The counts behind a header that is ours to the last bit: any other would size the histogram.
fn payload_of(octets: &[u8]) -> Result<&[u8], BadDelays> {
    let Some((header, payload)) = octets.split_first_chunk::<HEADER_LEN>() else {
        return Err(BadDelays::Truncated { len: octets.len() });
    };
    if header[..4] != COOKIE {
        return Err(BadDelays::NotHistogram);
    }
    let ours = [
        u64::from(DIGITS).to_be_bytes(), // normalising offset 0, then the digits
        1_u64.to_be_bytes(),
        DELAY_NS_MAX.to_be_bytes(),
        1_f64.to_be_bytes(),
    ];
    if header[8..] != *ours.as_flattened() {
        return Err(BadDelays::ForeignBounds);
    }
    let promised = header[4..8].iter().fold(0, |len, octet| len << 8 | u64::from(*octet));
    if u64::try_from(payload.len()) != Ok(promised) {
        return Err(BadDelays::Truncated { len: octets.len() });
    }
    Ok(payload)
}

/// The sum of the counts in `payload`, once each is known to have its slot: the library adds and
/// negates without looking.
fn total_of(mut payload: &[u8]) -> Result<u64, BadDelays> {
    let (mut slots, mut total) = (0_u64, 0_u64);
    while !payload.is_empty() {
        let number = take_number(&mut payload).ok_or(BadDelays::BadPayload)?;
        // Zigzag: odd numbers are runs of empty slots, even ones a slot's count.
        let (used, counted) =
            if number % 2 == 1 { ((number >> 1) + 1, 0) } else { (1, number >> 1) };
        slots = slots.saturating_add(used);
        total = total.saturating_add(counted);
        if SLOTS < slots {
            return Err(BadDelays::BadPayload);
        }
    }
    Ok(total)
}

/// Takes a number in HdrHistogram's base 128 off the front: least first, a ninth octet whole.
fn take_number(payload: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..9 {
        let (octet, rest) = payload.split_first()?;
        *payload = rest;
        if place == 8 {
            return Some(number | u64::from(*octet) << 56);
        }
        number |= u64::from(octet & 0x7f) << (7 * place);
        if octet & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

/// Why a text is not a saved distribution of delays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadDelays {
    /// Its counts do not fill slots of the histogram.
    BadPayload,
    /// The least or greatest delay is not in the first or last bucket with a count.
    ExtremesDisagree {
        /// The least delay given.
        min_ns: Option<u64>,
        /// The greatest delay given.
        max_ns: Option<u64>,
    },
    /// A histogram, but of other bounds or precision.
    ForeignBounds,
    /// Not in the base64 alphabet, or not padded.
    NotBase64,
    /// Some other octets, or a compressed histogram.
    NotHistogram,
    /// More characters than any distribution has.
    TooLong {
        /// Characters there were.
        len: usize,
    },
    /// More delays than [`TOTAL_MAX`].
    TooMany,
    /// Fewer or more octets than the header says.
    Truncated {
        /// Octets there were.
        len: usize,
    },
}

impl fmt::Display for BadDelays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPayload => write!(f, "saved delays: counts that fill no slots"),
            Self::ExtremesDisagree { min_ns, max_ns } => write!(
                f,
                "saved delays: least {} and greatest {} are not in the first and last bucket",
                Shown(*min_ns),
                Shown(*max_ns),
            ),
            Self::ForeignBounds => write!(
                f,
                "saved delays: another histogram's bounds, where 1 to {DELAY_NS_MAX} ns with \
                 {DIGITS} digits are taken"
            ),
            Self::NotBase64 => write!(f, "saved delays: not base64"),
            Self::NotHistogram => {
                write!(f, "saved delays: not an uncompressed HdrHistogram of version 2")
            }
            Self::TooLong { len } => {
                write!(f, "saved delays: {len} characters, where {TEXT_MAX} are the most")
            }
            Self::TooMany => write!(f, "saved delays: more than {TOTAL_MAX} packets"),
            Self::Truncated { len } => {
                write!(f, "saved delays: {len} octets are not what their header says")
            }
        }
    }
}

impl std::error::Error for BadDelays {}

struct Shown(Option<u64>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(delay_ns) => write!(f, "{delay_ns} ns"),
            None => write!(f, "none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P95: Confidence = Confidence::P95;

    fn delays(recorded: &[u64], lost: u64) -> Delays {
        let mut delays = Delays::default();
        for delay_ns in recorded {
            delays.record(*delay_ns);
        }
        delays.record_lost(lost);
        delays
    }

    fn reread(delays: &Delays) -> Result<Delays, BadDelays> {
        Delays::from_base64(
            &delays.to_base64(),
            delays.infinite(),
            delays.min_ns(),
            delays.max_ns(),
        )
    }

    /// The text of 5, 7 and 7 ns, with its octets changed.
    fn changed(change: impl Fn(&mut Vec<u8>)) -> Result<Delays, BadDelays> {
        let mut octets = STANDARD.decode(delays(&[5, 7, 7], 0).to_base64()).unwrap();
        change(&mut octets);
        Delays::from_base64(&STANDARD.encode(octets), 0, Some(5), Some(7))
    }

    #[test]
    fn slots_are_those_of_the_library() {
        let slots = Delays::default().histogram.distinct_values();
        assert_eq!(u64::try_from(slots), Ok(SLOTS));
    }

    #[test]
    fn the_lost_are_later_than_any_delay() {
        assert!(Delay::Finite(u64::MAX) < Delay::Infinite);
        let delays = delays(&[10, 20, 30], 1);
        assert_eq!((delays.measured(), delays.infinite(), delays.total()), (3, 1, 4));
        assert_eq!(delays.quantile(0.75), Some(Delay::Finite(30)));
        assert_eq!(delays.quantile(0.76), Some(Delay::Infinite));
    }

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let delays = delays(&(1..=1_000).collect::<Vec<_>>(), 0);
        for (q, expected) in
            [(0.0, 1), (0.001, 1), (0.0011, 2), (0.07, 70), (0.5, 500), (0.999, 999), (1.0, 1_000)]
        {
            assert_eq!(delays.quantile(q), Some(Delay::Finite(expected)), "{q}");
        }
        assert_eq!(delays.quantile(-0.1), None);
        assert_eq!(delays.quantile(1.1), None);
        assert_eq!(delays.quantile(f64::NAN), None);
    }

    #[test]
    fn of_nothing_sent_there_is_no_quantile() {
        let none = Delays::default();
        assert_eq!((none.quantile(0.5), none.min_ns(), none.max_ns()), (None, None, None));
        assert_eq!(none.bounds(0.5, P95), (None, None));
        assert_eq!(delays(&[], 9).quantile(0.5), Some(Delay::Infinite));
    }

    #[test]
    fn extremes_are_exact() {
        let delays = delays(&[123_456_789, 987_654_321], 3);
        assert_eq!(delays.min_ns(), Some(123_456_789));
        assert_eq!(delays.max_ns(), Some(987_654_321));
        assert_eq!(delays.quantile(0.0), Some(Delay::Finite(123_469_823)));
        assert_eq!(delays.quantile(0.4), Some(Delay::Finite(987_654_321)));
    }

    #[test]
    fn bounds_take_the_outer_edges_of_their_buckets() {
        // Buckets of 2^16 ns at 100 ms: 99_942_400 to 100_007_935 ns holds all but the extremes.
        let mut recorded = vec![100_000_000; 98];
        recorded.extend([1_000_000, 200_000_000]);
        let (low, high) = delays(&recorded, 0).bounds(0.5, P95);
        assert_eq!(low, Some(Delay::Finite(99_942_400)));
        assert_eq!(high, Some(Delay::Finite(100_007_935)));
    }

    #[test]
    fn bounds_go_no_further_than_the_extremes() {
        let (low, high) = delays(&[100_000_000; 100], 0).bounds(0.5, P95);
        assert_eq!(low, Some(Delay::Finite(100_000_000)));
        assert_eq!(high, Some(Delay::Finite(100_000_000)));
    }

    #[test]
    fn too_few_packets_have_no_bound_above() {
        assert_eq!(delays(&[7; 298], 0).bounds(0.99, P95).1, None);
        assert_eq!(delays(&[7; 299], 0).bounds(0.99, P95).1, Some(Delay::Finite(7)));
        assert_eq!(delays(&[7; 298], 1).bounds(0.99, P95).1, Some(Delay::Infinite));
    }

    #[test]
    fn ten_lost_of_18000_leave_the_bound_on_the_p999_finite() {
        assert_eq!(delays(&[7; 17_990], 10).bounds(0.999, P95).1, Some(Delay::Finite(7)));
        assert_eq!(delays(&[7; 17_989], 11).bounds(0.999, P95).1, Some(Delay::Infinite));
    }

    #[test]
    fn a_dead_line_is_infinitely_late_for_sure() {
        let (low, high) = delays(&[], 100).bounds(0.5, P95);
        assert_eq!((low, high), (Some(Delay::Infinite), Some(Delay::Infinite)));
    }

    #[test]
    fn a_delay_above_60_s_is_never_understated() {
        let late = delays(&[70_000_000_000, 1], 0);
        assert_eq!(late.quantile(1.0), Some(Delay::Finite(70_000_000_000)));
        assert_eq!(reread(&late), Ok(late.clone()));
        let later = delays(&[u64::MAX], 0);
        assert_eq!(later.quantile(1.0), Some(Delay::Finite(u64::MAX)));
        assert_eq!(reread(&later), Ok(later.clone()));
    }

    #[test]
    fn a_delay_of_zero_is_kept() {
        let zero = delays(&[0, 0, 3], 0);
        assert_eq!(zero.quantile(0.5), Some(Delay::Finite(0)));
        assert_eq!(zero.min_ns(), Some(0));
    }

    #[test]
    fn a_merge_is_as_if_all_were_recorded_in_one() {
        let mut merged = delays(&[10, 5_000_000], 1);
        merged.merge(&delays(&[3, 4_000_000_000], 2));
        merged.merge(&delays(&[], 4));
        let one = delays(&[10, 5_000_000, 3, 4_000_000_000], 7);
        assert_eq!(merged, one);
        assert_eq!((merged.min_ns(), merged.max_ns()), (one.min_ns(), one.max_ns()));
    }

    #[test]
    fn any_other_header_is_refused() {
        assert!(changed(|_| ()).is_ok());
        assert_eq!(changed(|octets| octets[3] = 0x14), Err(BadDelays::NotHistogram));
        for place in 8..HEADER_LEN {
            assert_eq!(changed(|octets| octets[place] ^= 1), Err(BadDelays::ForeignBounds));
        }
        for place in 4..8 {
            let refused = changed(|octets| octets[place] ^= 0x80);
            assert!(matches!(refused, Err(BadDelays::Truncated { .. })));
        }
    }

    #[test]
    fn octets_cut_off_or_added_are_refused() {
        for len in 0..HEADER_LEN {
            assert_eq!(changed(|octets| octets.truncate(len)), Err(BadDelays::Truncated { len }));
        }
        let refused = changed(|octets| octets.push(0xa5));
        assert!(matches!(refused, Err(BadDelays::Truncated { .. })));
    }

    /// The library panics on it where overflow is checked: it negates `i64::MIN`.
    #[test]
    fn a_run_of_2_to_63_empty_slots_is_refused() {
        let payload = |payload: &[u8]| {
            changed(|octets| {
                octets.truncate(HEADER_LEN);
                octets[7] = u8::try_from(payload.len()).unwrap();
                octets.extend_from_slice(payload);
            })
        };
        assert_eq!(payload(&[0xff; 9]), Err(BadDelays::BadPayload));
        assert_eq!(payload(&[0xff; 3]), Err(BadDelays::BadPayload));
        // 27648 empty slots fit, one more does not: 2 * 27648 - 1 = 0x3_57ff.
        assert!(matches!(payload(&[0xff, 0xaf, 0x03]), Err(BadDelays::ExtremesDisagree { .. })));
        assert_eq!(payload(&[0xff, 0xaf, 0x03, 0x02]), Err(BadDelays::BadPayload));
        assert_eq!(payload(&[0xfe; 9]), Err(BadDelays::TooMany));
    }

    #[test]
    fn extremes_of_another_distribution_are_refused() {
        let text = delays(&[5, 7, 7], 0).to_base64();
        for (min_ns, max_ns) in [
            (None, None),
            (Some(5), None),
            (None, Some(7)),
            (Some(7), Some(5)),
            (Some(4), Some(7)),
            (Some(5), Some(8)),
        ] {
            let refused = Delays::from_base64(&text, 0, min_ns, max_ns);
            assert_eq!(refused, Err(BadDelays::ExtremesDisagree { min_ns, max_ns }));
        }
        let none = Delays::default().to_base64();
        assert!(Delays::from_base64(&none, 5, None, None).is_ok());
        assert!(Delays::from_base64(&none, 5, Some(0), Some(0)).is_err());
    }

    #[test]
    fn texts_of_no_histogram_are_refused() {
        assert_eq!(Delays::from_base64("?", 0, None, None), Err(BadDelays::NotBase64));
        let long = "A".repeat(TEXT_MAX + 1);
        let len = long.len();
        assert_eq!(Delays::from_base64(&long, 0, None, None), Err(BadDelays::TooLong { len }));
        let text = delays(&[5], 0).to_base64();
        let refused = Delays::from_base64(&text, TOTAL_MAX, Some(5), Some(5));
        assert_eq!(refused, Err(BadDelays::TooMany));
    }

    #[test]
    fn messages_say_which_value_is_wrong() {
        let refused = BadDelays::ExtremesDisagree { min_ns: Some(4), max_ns: None };
        assert_eq!(
            refused.to_string(),
            "saved delays: least 4 ns and greatest none are not in the first and last bucket"
        );
    }

    proptest! {
        #[test]
        fn a_saved_distribution_is_read_back_whole(
            recorded in prop::collection::vec(0..80_000_000_000_u64, 0..200),
            lost in 0..50_u64,
        ) {
            let saved = delays(&recorded, lost);
            let read = reread(&saved).unwrap();
            for q in [0.01, 0.5, 0.9, 0.99] {
                prop_assert_eq!(read.bounds(q, P95), saved.bounds(q, P95));
                prop_assert_eq!(read.quantile(q), saved.quantile(q));
            }
            prop_assert_eq!(read.total(), saved.total());
            prop_assert_eq!(read.to_base64(), saved.to_base64());
        }

        #[test]
        fn a_quantile_is_at_most_a_thousandth_above_the_sample(
            mut recorded in prop::collection::vec(0..60_000_000_000_u64, 1..100),
        ) {
            let delays = delays(&recorded, 0);
            recorded.sort_unstable();
            let exact_ns = recorded[recorded.len().div_ceil(2) - 1];
            let Some(Delay::Finite(delay_ns)) = delays.quantile(0.5) else { unreachable!() };
            prop_assert!(exact_ns <= delay_ns && delay_ns - exact_ns <= exact_ns / 1_000);
        }

        #[test]
        fn no_text_panics(text: String, infinite: u64, min_ns: Option<u64>, max_ns: Option<u64>) {
            let _ = Delays::from_base64(&text, infinite, min_ns, max_ns);
        }

        #[test]
        fn no_payload_behind_our_header_panics(
            payload in prop::collection::vec(any::<u8>(), 0..64),
            min_ns: Option<u64>,
        ) {
            let _ = changed(|octets| {
                octets.truncate(HEADER_LEN);
                octets[7] = u8::try_from(payload.len()).unwrap();
                octets.extend_from_slice(&payload);
            });
            let mut octets = COOKIE.to_vec();
            octets.extend_from_slice(&payload);
            let _ = Delays::from_base64(&STANDARD.encode(octets), 0, min_ns, min_ns);
        }
    }
}
