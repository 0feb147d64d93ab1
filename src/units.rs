//! Quantities with their units in the type: nothing outside this module multiplies by 8 or by 1000.
//!
//! All scales are decimal, as circuits are sold, and all text is read in exact integer arithmetic.

mod burst_size;
mod packet_rate;
mod rate_text;
mod text;

pub use burst_size::BurstSize;
pub use packet_rate::PacketRate;
pub use text::Malformed;

use std::{fmt, str::FromStr};
use text::{decimal, parse_scaled, show_scaled};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A data rate in bits per second; never zero.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BitRate {
    bits_per_second: u64,
}

impl BitRate {
    /// More than any line carries: 1 Tbit/s.
    pub const MAX: Self = Self { bits_per_second: 1_000_000_000_000 };

    /// A rate of `bits_per_second` bit/s; zero is no rate, and gives `None`.
    #[must_use]
    pub const fn new(bits_per_second: u64) -> Option<Self> {
        match bits_per_second {
            0 => None,
            _ => Some(Self { bits_per_second }),
        }
    }

    /// The rate in bit/s; never zero.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// The same at four digits, for people: no higher.
    #[must_use]
    pub fn rounded_down(self) -> Self {
        let grain = grain(self.bits_per_second());
        Self::new(self.bits_per_second() / grain * grain).unwrap_or(self)
    }

    /// The same at four digits, for people: no lower.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        let grain = grain(self.bits_per_second());
        Self::new(self.bits_per_second().div_ceil(grain).saturating_mul(grain)).unwrap_or(self)
    }

    /// The share of one of `streams` equal streams, rounded up; `None` for no stream.
    #[must_use]
    pub fn share(self, streams: u32) -> Option<Self> {
        match streams {
            0 => None,
            _ => Self::new(self.bits_per_second.div_ceil(u64::from(streams))),
        }
    }

    /// This rate times `part` to `whole`, rounded down; `None` where that is no rate.
    #[must_use]
    pub fn scaled(self, part: u32, whole: u32) -> Option<Self> {
        let bits = u128::from(self.bits_per_second) * u128::from(part);
        Self::new(u64::try_from(bits.checked_div(u128::from(whole))?).ok()?)
    }

    /// The octets that this rate carries in `span`, rounded down.
    #[must_use]
    pub fn octets_in(self, span: Span) -> ByteCount {
        let bits = u128::from(self.bits_per_second) * u128::from(span.nanos)
            / u128::from(NANOS_PER_SECOND);
        ByteCount::new(u64::try_from(bits / 8).unwrap_or(u64::MAX))
    }
}

impl FromStr for BitRate {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        rate_text::parse(text).map(|bits_per_second| Self { bits_per_second })
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&show_scaled(self.bits_per_second, &rate_text::SCALES))
    }
}

/// A number of octets.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteCount {
    octets: u64,
}

impl ByteCount {
    /// `octets` octets.
    #[must_use]
    pub const fn new(octets: u64) -> Self {
        Self { octets }
    }

    /// The count.
    #[must_use]
    pub const fn octets(self) -> u64 {
        self.octets
    }

    /// The rate at which these octets went, over `span`; `None` where that is no rate above zero.
    #[must_use]
    pub fn per(self, span: Span) -> Option<BitRate> {
        let bits = u128::from(self.octets) * 8 * u128::from(NANOS_PER_SECOND);
        let rate = bits.checked_div(u128::from(span.nanos))?;
        BitRate::new(u64::try_from(rate).ok()?)
    }
}

const BYTE_COUNT_FORM: &str =
    "a number of octets: with B, kB, MB or GB behind it, such as \"250 kB\"";

const BYTE_COUNT_SCALES: [(&str, u64); 4] =
    [("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

impl FromStr for ByteCount {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let octets = parse_scaled(text, &BYTE_COUNT_SCALES);
        octets.map(Self::new).ok_or_else(|| Malformed::new(text, BYTE_COUNT_FORM))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scales = BYTE_COUNT_SCALES;
        let (unit, scale) =
            scales.into_iter().rfind(|(_, scale)| *scale <= self.octets.max(1)).unwrap_or(("B", 1));
        let tenths = u128::from(self.octets) * 10 / u128::from(scale);
        match (scale, tenths % 10) {
            (1, _) | (_, 0) => write!(f, "{} {unit}", tenths / 10),
            (_, tenth) => write!(f, "{}.{tenth} {unit}", tenths / 10),
        }
    }
}

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Span {
    nanos: u64,
}

impl Span {
    /// `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// `millis` milliseconds; the longest span where that is too many.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// `seconds` seconds; the longest span where that is too many.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self { nanos: seconds.saturating_mul(NANOS_PER_SECOND) }
    }

    /// The length in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// The length in milliseconds, rounded up.
    #[must_use]
    pub const fn millis_up(self) -> u64 {
        self.nanos.div_ceil(1_000_000)
    }

    /// The length in seconds, rounded up.
    #[must_use]
    pub const fn secs_up(self) -> u64 {
        self.nanos.div_ceil(NANOS_PER_SECOND)
    }

    /// The span that [`Self::as_secs`] gave, to the nearest nanosecond; `None` where it is none.
    #[must_use]
    pub fn try_from_secs(seconds: f64) -> Option<Self> {
        let span = std::time::Duration::try_from_secs_f64(seconds).ok()?;
        u64::try_from(span.as_nanos()).ok().map(Self::from_nanos)
    }

    /// The length in seconds.
    #[must_use]
    pub fn as_secs(self) -> f64 {
        std::time::Duration::from_nanos(self.nanos).as_secs_f64()
    }

    /// Both lengths one after the other; the longest span where that is too much.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(more.nanos) }
    }

    /// What is left of it without `less`; nothing where `less` is longer.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(less.nanos) }
    }
}

const SPAN_FORM: &str =
    "a length of time: a number with ns, us, ms, s, min or h behind it, such as \"20 ms\"";

const SPAN_SCALES: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("min", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let nanos = parse_scaled(text, &SPAN_SCALES);
        nanos.map(Self::from_nanos).ok_or_else(|| {
            let right = other_span(text).map(|why| Malformed::corrected(text, why));
            right.unwrap_or_else(|| Malformed::new(text, SPAN_FORM))
        })
    }
}

/// Other spellings of units of time, and what is read here.
const SPAN_SPELLINGS: [(&str, &[&str]); 5] = [
    ("us", &["usec", "\u{b5}s", "\u{3bc}s"]),
    ("ms", &["msec", "millis"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("min", &["mins", "minute", "minutes"]),
    ("h", &["hr", "hour", "hours"]),
];

/// How to write a length of time that is spelt otherwise, or has no unit; reads on from "not".
fn other_span(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    text::parse_number(number, NANOS_PER_SECOND)?;
    match unit.trim_start() {
        "" => Some(format!("clear without a unit. Write \"{number} s\" or \"{number} ms\"")),
        "m" => Some(format!(
            "clear: m may be minutes. Write \"{number} min\" for these, \"{number} ms\" for \
             milliseconds"
        )),
        unit => {
            let read = SPAN_SPELLINGS.iter().find(|(_, spelt)| spelt.contains(&unit));
            read.map(|(right, _)| format!("a unit that is read here. Write \"{number} {right}\""))
        }
    }
}

/// What the fourth digit of `number` stands for; 1 where it has no more.
const fn grain(number: u64) -> u64 {
    let mut grain = 1;
    while 10_000 <= number / grain {
        grain *= 10;
    }
    grain
}

impl fmt::Display for Span {
    /// Seconds at most: `90 s` is read at a glance, `0.025 h` is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&show_scaled(self.nanos, &SPAN_SCALES[..4]))
    }
}

/// A part of a whole, exact to 10^-12: a loss ratio, a share.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ratio {
    parts: u64,
}

impl Ratio {
    const WHOLE: u64 = 1_000_000_000_000;

    /// `parts_per_million` of 10^6; `None` above the whole.
    #[must_use]
    pub const fn from_ppm(parts_per_million: u64) -> Option<Self> {
        if parts_per_million <= 1_000_000 {
            Some(Self { parts: parts_per_million * 1_000_000 })
        } else {
            None
        }
    }

    /// The ratio that [`Self::as_fraction`] gave; `None` outside 0 to 1.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10^12")]
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        let within = (0.0..=1.0).contains(&fraction);
        within.then(|| Self { parts: (fraction * 1e12).round() as u64 })
    }

    /// The ratio as a number between 0 and 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 10^12, which a double holds exactly")]
    pub fn as_fraction(self) -> f64 {
        self.parts as f64 / Self::WHOLE as f64
    }

    /// This share of `rate`, rounded up; `None` where that is nothing.
    #[must_use]
    pub fn of(self, rate: BitRate) -> Option<BitRate> {
        Share { parts: self.parts }.of(rate)
    }

    /// Whether `part` of `whole` is at most this ratio; exact.
    #[must_use]
    pub fn holds(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(Self::WHOLE) <= u128::from(self.parts) * u128::from(whole)
    }
}

const RATIO_FORM: &str = "a share: a number from 0 to 100 with % behind it, such as \"0.01%\"";

impl FromStr for Ratio {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match parse_scaled(text, &[("%", Self::WHOLE / 100)]) {
            Some(parts) if parts <= Self::WHOLE => Ok(Self { parts }),
            _ => Err(Malformed::new(text, RATIO_FORM)),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = decimal(self.parts, Self::WHOLE / 100);
        f.pad(&format!("{percent}%"))
    }
}

/// A share of a rate, above nothing; more than all of it is overshoot. Exact to 10^-12.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Share {
    parts: u64,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { parts: Ratio::WHOLE };

    /// Half of it.
    pub const HALF: Self = Self { parts: Ratio::WHOLE / 2 };

    /// Ten times as much: overshoot shows what a policer does well below that.
    pub const MAX: Self = Self { parts: 10 * Ratio::WHOLE };

    /// This share of `rate`, rounded up; `None` where that is beyond any rate.
    #[must_use]
    pub fn of(self, rate: BitRate) -> Option<BitRate> {
        let parts = u128::from(self.parts) * u128::from(rate.bits_per_second);
        BitRate::new(u64::try_from(parts.div_ceil(u128::from(Ratio::WHOLE))).ok()?)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ratio { parts: self.parts }.fmt(f)
    }
}

const SHARE_FORM: &str =
    "a share: a number above 0 and up to 1000 with % behind it, such as \"80%\"";

impl FromStr for Share {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parts = parse_scaled(text, &[("%", Ratio::WHOLE / 100)]);
        let parts = parts.filter(|parts| (1..=Self::MAX.parts).contains(parts));
        parts.map(|parts| Self { parts }).ok_or_else(|| Malformed::new(text, SHARE_FORM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_is_rounded_to_four_digits_to_the_safe_side() {
        let rate = |bits| BitRate::new(bits).expect("above zero");
        let down = |bits| rate(bits).rounded_down().to_string();
        let up = |bits| rate(bits).rounded_up().to_string();
        assert_eq!([down(49_952_337), up(6_599_999)], ["49.95 Mbit/s", "6.6 Mbit/s"]);
        assert_eq!([down(9_999), up(9_999)], ["9.999 kbit/s", "9.999 kbit/s"]);
        assert_eq!([down(12_345), up(12_345)], ["12.34 kbit/s", "12.35 kbit/s"]);
        assert!(rate(u64::MAX >> 1).rounded_down() < rate(u64::MAX >> 1));
    }

    #[test]
    fn rates_are_decimal_and_exact() {
        for (text, expected) in [
            ("10Gbit/s", 10_000_000_000),
            ("500 Mbit/s", 500_000_000),
            ("1.544 Mbit/s", 1_544_000),
            ("0.001 kbit/s", 1),
        ] {
            let rate = text.parse::<BitRate>().map(BitRate::bits_per_second);
            assert_eq!(rate, Ok(expected), "{text}");
        }
    }

    #[test]
    fn quantities_show_as_they_are_written() {
        for text in ["500 Mbit/s", "1.544 Mbit/s", "10 Gbit/s", "999 bit/s", "64 kbit/s"] {
            assert_eq!(text.parse::<BitRate>().expect(text).to_string(), text);
        }
        for text in ["20 ms", "1.5 s", "250 us", "90 s"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
        assert_eq!("1.5min".parse::<Span>(), Ok(Span::from_secs(90)));
        for (text, right) in [
            ("20m", "not clear: m may be minutes. Write \"20 min\" for these, \"20 ms\" for"),
            ("20", "not clear without a unit. Write \"20 s\" or \"20 ms\""),
            ("1.5 sec", "Write \"1.5 s\""),
            ("3 hours", "Write \"3 h\""),
            ("250 \u{b5}s", "Write \"250 us\""),
            ("5 fortnights", "such as \"20 ms\""),
            ("soon", "such as \"20 ms\""),
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.contains(right), "{error}");
        }
        assert_eq!("250ns".parse::<Span>(), Ok(Span::from_nanos(250)));
        assert_eq!("2 h".parse::<Span>(), Ok(Span::from_secs(7_200)));
        let named = SPAN_FORM.split(", ").flat_map(|part| part.split(' '));
        let named: Vec<&str> =
            named.filter(|word| SPAN_SCALES.iter().any(|(unit, _)| unit == word)).collect();
        assert_eq!(named, SPAN_SCALES.map(|(unit, _)| unit), "what is read is what is printed");
        assert_eq!("0.010 %".parse::<Ratio>().map(|ratio| ratio.to_string()), Ok("0.01%".into()));
        assert_eq!(ByteCount::new(10_800_000_000).to_string(), "10.8 GB");
        assert_eq!(ByteCount::new(999).to_string(), "999 B");
        assert_eq!("1.5 kB".parse(), Ok(ByteCount::new(1_500)));
        assert!("250".parse::<ByteCount>().is_err() && "0.5 B".parse::<ByteCount>().is_err());
    }

    #[test]
    fn a_share_is_a_percentage_up_to_the_whole() {
        assert_eq!("100%".parse::<Ratio>().map(Ratio::as_fraction), Ok(1.0));
        assert_eq!("0.0001%".parse::<Ratio>().map(Ratio::as_fraction), Ok(1e-6));
        for text in ["0.01", "100.1%", "%", "1e-4", "-1%"] {
            assert!(text.parse::<Ratio>().is_err(), "{text:?} was taken for a share");
        }
    }

    #[test]
    fn a_ratio_holds_on_counts_exactly_at_its_bound() {
        let ratio: Ratio = "0.01%".parse().expect("a share");
        assert!(ratio.holds(1, 10_000));
        assert!(!ratio.holds(1, 9_999));
        assert!(!ratio.holds(2, 10_000));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,40}") {
            let _ = text.parse::<BitRate>();
            let _ = text.parse::<Span>();
            let _ = text.parse::<Ratio>();
        }

        #[test]
        fn what_is_shown_is_read_back(value in 1_u64..) {
            let rate = BitRate::new(value).expect("above zero");
            prop_assert_eq!(rate.to_string().parse::<BitRate>(), Ok(rate));
            let span = Span::from_nanos(value);
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
            let ratio = Ratio { parts: value % (Ratio::WHOLE + 1) };
            prop_assert_eq!(ratio.to_string().parse::<Ratio>(), Ok(ratio));
        }
    }

    #[test]
    fn a_share_of_a_rate_is_rounded_up() {
        let rate: BitRate = "3 bit/s".parse().expect("a rate");
        let share = |text: &str| text.parse::<Ratio>().expect("a share").of(rate);
        assert_eq!(share("50%").map(BitRate::bits_per_second), Some(2));
        assert_eq!(share("100%"), Some(rate));
        assert_eq!(share("0%"), None);
        let more = |text: &str| text.parse::<Share>().map(|share| share.of(rate));
        assert_eq!(more("125%").map(|rate| rate.map(BitRate::bits_per_second)), Ok(Some(4)));
        assert_eq!(more("1000 %").map(|rate| rate.map(BitRate::bits_per_second)), Ok(Some(30)));
        for text in ["0%", "1000.0000000001%", "-1%", "125"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        assert_eq!(rate.share(2).map(BitRate::bits_per_second), Some(2));
    }
}
