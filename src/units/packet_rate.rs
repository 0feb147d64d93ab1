//! Packets per second, as an exact fraction: what a bit rate carries is seldom a whole number of
//! packets per second.

use super::{BitRate, NANOS_PER_SECOND, Span};
use std::cmp::Ordering;
use std::fmt;

/// Packets per second: `packets` in each `seconds` seconds, in lowest terms; never zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketRate {
    packets: u64,
    seconds: u64,
}

impl PacketRate {
    /// The largest number of packets of the fraction.
    pub const PACKETS_MAX: u64 = 1 << 48;

    /// The largest number of seconds of the fraction: a nanosecond count of it fits 64 bit.
    pub const SECONDS_MAX: u64 = 1 << 32;

    /// More than any link carries.
    pub const MAX: Self = Self { packets: Self::PACKETS_MAX, seconds: 1 };

    /// A rate of `per_second` packets per second; `None` for zero, or more than
    /// [`Self::PACKETS_MAX`].
    #[must_use]
    pub const fn new(per_second: u64) -> Option<Self> {
        match per_second {
            1..=Self::PACKETS_MAX => Some(Self { packets: per_second, seconds: 1 }),
            _ => None,
        }
    }

    /// A rate of `packets` packets in `seconds` seconds; `None` where either is zero, or in lowest
    /// terms above its maximum.
    #[must_use]
    pub const fn of(packets: u64, seconds: u64) -> Option<Self> {
        if packets == 0 || seconds == 0 {
            return None;
        }
        let common = common_divisor(packets, seconds);
        let (packets, seconds) = (packets / common, seconds / common);
        if Self::PACKETS_MAX < packets || Self::SECONDS_MAX < seconds {
            return None;
        }
        Some(Self { packets, seconds })
    }

    /// The rate at which packets of `octets` octets, never zero, carry `rate`: exact. Of a rate
    /// that no link has, the fastest packet rate.
    #[must_use]
    pub const fn carrying(rate: BitRate, octets: u32) -> Self {
        match Self::of(rate.bits_per_second(), 8 * octets as u64) {
            Some(rate) => rate,
            None => Self::MAX,
        }
    }

    /// The packets of the fraction, in lowest terms; never zero.
    #[must_use]
    pub const fn packets(self) -> u64 {
        self.packets
    }

    /// The seconds of the fraction, in lowest terms; never zero.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// How many packets are due in `span` when the first is due at its start: rounded up.
    #[must_use]
    pub fn packets_in(self, span: Span) -> u64 {
        let packets = u128::from(self.packets) * u128::from(span.nanos());
        u64::try_from(packets.div_ceil(self.nanos().into())).unwrap_or(u64::MAX)
    }

    /// The whole packets that it has in `span`.
    #[must_use]
    pub fn whole_packets_in(self, span: Span) -> u64 {
        let packets = u128::from(self.packets) * u128::from(span.nanos());
        u64::try_from(packets / u128::from(self.nanos())).unwrap_or(u64::MAX)
    }

    /// When packet `number` is due after packet 0, rounded down to 1 ns; exact, so no error adds
    /// up.
    #[must_use]
    pub fn due(self, number: u64) -> Span {
        let nanos = u128::from(number) * u128::from(self.nanos()) / u128::from(self.packets);
        Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What [`Self::due`] rounds off packet `number`, in parts of a nanosecond of which
    /// [`Self::packets`] are one.
    pub(crate) fn due_remainder(self, number: u64) -> u64 {
        let nanos = u128::from(number) * u128::from(self.nanos()) % u128::from(self.packets);
        u64::try_from(nanos).unwrap_or(0)
    }

    /// The time that `packets` take at this rate, rounded up.
    #[must_use]
    pub fn span_of(self, packets: u64) -> Span {
        let nanos = u128::from(packets) * u128::from(self.nanos());
        let nanos = nanos.div_ceil(self.packets.into());
        Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The share of one of `streams` equal streams, exact; `None` for no stream, or where the
    /// fraction would exceed its maximum.
    #[must_use]
    pub const fn share(self, streams: u32) -> Option<Self> {
        match self.seconds.checked_mul(streams as u64) {
            Some(seconds) => Self::of(self.packets, seconds),
            None => None,
        }
    }

    /// The rate of packets of `octets` octets each, rounded up to 1 bit/s; `None` where that is no
    /// rate.
    #[must_use]
    pub fn bit_rate(self, octets: u32) -> Option<BitRate> {
        let bits = u128::from(self.packets) * 8 * u128::from(octets);
        BitRate::new(u64::try_from(bits.div_ceil(self.seconds.into())).ok()?)
    }

    /// The nanoseconds of [`Self::seconds`]: below 2^62.
    const fn nanos(self) -> u64 {
        self.seconds * NANOS_PER_SECOND
    }
}

impl Ord for PacketRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let crossed = |a: &Self, b: &Self| u128::from(a.packets) * u128::from(b.seconds);
        crossed(self, other).cmp(&crossed(other, self))
    }
}

impl PartialOrd for PacketRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PacketRate {
    /// Packets per second, the unit left out: three decimals at most, rounded down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = u128::from(self.packets) * 1_000 / u128::from(self.seconds);
        let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
        match format!("{rest:03}").trim_end_matches('0') {
            "" => f.pad(&whole.to_string()),
            fraction => f.pad(&format!("{whole}.{fraction}")),
        }
    }
}

/// The greatest common divisor, by Euclid; at most 94 steps.
const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(packets: u64, seconds: u64) -> PacketRate {
        PacketRate::of(packets, seconds).expect("a rate")
    }

    #[test]
    fn due_times_never_drift() {
        let rate = rate(3, 1);
        assert_eq!(rate.due(1), Span::from_nanos(333_333_333));
        assert_eq!(rate.due(3_000_000), Span::from_secs(1_000_000));
        assert_eq!(rate.packets_in(Span::from_secs(2)), 6);
        assert_eq!(rate.packets_in(Span::from_nanos(1)), 1);
        assert_eq!(rate.packets_in(Span::default()), 0);
    }

    /// 64 kbit/s in frames of 1518 octets: 4000 packets in 759 s, and not 6 in each.
    #[test]
    fn a_bit_rate_is_carried_exactly_however_few_its_packets_are() {
        let narrow: BitRate = "64 kbit/s".parse().expect("a rate");
        let packets = PacketRate::carrying(narrow, 1_518);
        assert_eq!((packets.packets(), packets.seconds()), (4_000, 759));
        assert_eq!(packets.to_string(), "5.27");
        assert_eq!(packets.bit_rate(1_518), Some(narrow));
        assert_eq!(packets.due(8_000), Span::from_secs(1_518));
        assert_eq!(packets.packets_in(Span::from_secs(10)), 53);
        assert_eq!(packets.whole_packets_in(Span::from_secs(10)), 52);
        assert_eq!(packets.share(64).and_then(|share| share.share(64)), Some(rate(125, 97_152)));
    }

    #[test]
    fn rates_compare_and_show_by_their_value() {
        assert_eq!(rate(10, 20), rate(1, 2));
        assert!(rate(1, 3) < rate(34, 100) && rate(33, 100) < rate(1, 3));
        let shown = [rate(1, 3), rate(5, 2), rate(100, 1), rate(1_001, 1_000)];
        assert_eq!(shown.map(|rate| rate.to_string()), ["0.333", "2.5", "100", "1.001"]);
    }

    #[test]
    fn what_is_no_rate_or_too_fine_is_none() {
        assert_eq!(PacketRate::new(0), None);
        assert_eq!(PacketRate::of(1, 0), None);
        assert_eq!(PacketRate::of(1, PacketRate::SECONDS_MAX + 1), None);
        assert_eq!(PacketRate::of(PacketRate::PACKETS_MAX + 1, 1), None);
        assert_eq!(rate(1, PacketRate::SECONDS_MAX).share(2), None);
        assert_eq!(rate(1, 1).share(0), None);
    }

    proptest! {
        #[test]
        fn no_rate_overflows(
            packets in 1..=PacketRate::PACKETS_MAX,
            seconds in 1..=PacketRate::SECONDS_MAX,
            number in any::<u64>(),
        ) {
            let rate = rate(packets, seconds);
            let span = Span::from_nanos(number);
            prop_assert!(rate.whole_packets_in(span) <= rate.packets_in(span));
            prop_assert!(rate.due(number) <= rate.span_of(number));
            prop_assert!(rate.due_remainder(number) < rate.packets());
            let _ = (rate.to_string(), rate.bit_rate(u32::MAX), rate.share(u32::MAX));
        }

        /// The sum of equal shares is the whole, so that streams never exceed their load's rate.
        #[test]
        fn shares_add_up_to_the_whole(bits in 1..1_000_000_000_000_u64, streams in 1..64_u32) {
            let whole = PacketRate::carrying(BitRate::new(bits).expect("above zero"), 1_518);
            let share = whole.share(streams).expect("a share");
            let sum = PacketRate::of(share.packets() * u64::from(streams), share.seconds());
            prop_assert_eq!(sum, Some(whole));
        }
    }
}
