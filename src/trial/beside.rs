//! What we send counts: how the rate that is asked of a link is shared among a trial's load, its
//! probes and its heartbeats.
//!
//! The rate asked of a link is that of all that is sent in a direction, at the layer that rates
//! count. A link policed at just that rate passes.

use super::bounds::{HEARTBEATS, HEARTBEATS_NARROW, NARROW, PROBES_PER_SECOND, PROBES_UNKNOWN};
use super::{OutOfBounds, bounds};
use crate::direction::PerDirection;
use crate::framing::{Framing, Layer};
use crate::units::{BitRate, PacketRate};
use crate::wire::{probe, signal};

/// The share of a direction's rate that probes beside a load take at most, in percent.
const LOADED_PERCENT: u64 = 1;

/// The same on an idle link.
const IDLE_PERCENT: u64 = 10;

/// The fewest probes per second beside a load, whatever share that is.
const LOADED_MIN: PacketRate = PacketRate::new(1).expect("above zero");

/// The rate of a direction, and the layer that it counts; `None` where it is not known.
pub type KnownRate = Option<(BitRate, Layer)>;

/// What goes beside the load of a trial, in packets per second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beside {
    /// Probes, which go forward, and the replies to them.
    pub probes: PacketRate,
    /// Heartbeats for the load of a direction, which go the other way.
    pub heartbeats: PacketRate,
}

impl Beside {
    /// Beside a load on a link of these rates: as many probes as 1 % of the slower direction
    /// carries, from 1 to 100 per second.
    #[must_use]
    pub fn load(known: PerDirection<KnownRate>, framing: Framing) -> Self {
        let probes = probes(known, framing, LOADED_PERCENT).map(|rate| rate.max(LOADED_MIN));
        Self::of(known, probes)
    }

    /// On an idle link of these rates: as many probes as 10 % of the slower direction carries, up
    /// to 100 per second.
    #[must_use]
    pub fn idle(known: PerDirection<KnownRate>, framing: Framing) -> Self {
        Self::of(known, probes(known, framing, IDLE_PERCENT))
    }

    fn of(known: PerDirection<KnownRate>, probes: Option<PacketRate>) -> Self {
        let is_narrow = |known: &KnownRate| known.is_some_and(|(rate, _)| rate < NARROW);
        let is_narrow = is_narrow(&known.forward) || is_narrow(&known.reverse);
        Self {
            probes: probes.unwrap_or(PROBES_UNKNOWN).min(PROBES_PER_SECOND),
            heartbeats: if is_narrow { HEARTBEATS_NARROW } else { HEARTBEATS },
        }
    }

    /// The same with the probes that were asked for, where the link carries them.
    #[must_use]
    pub fn with_probes(self, asked: Option<PacketRate>) -> Self {
        let probes = asked.map_or(self.probes, |asked| asked.min(self.probes));
        Self { probes, ..self }
    }

    /// Bits per second of it in a direction, rounded up; heartbeats go there where the other
    /// direction is loaded.
    pub(super) fn bits(self, framing: Framing, layer: Layer, has_heartbeats: bool) -> u64 {
        let bits = |rate: PacketRate, octets: usize| {
            let octets = u32::try_from(octets).unwrap_or(u32::MAX);
            rate.bit_rate(framing.octets_at(layer, octets)).map_or(0, BitRate::bits_per_second)
        };
        let heartbeats = if has_heartbeats { bits(self.heartbeats, signal::LEN) } else { 0 };
        bits(self.probes, probe::LEN_MIN).saturating_add(heartbeats)
    }

    /// What of `rate`, asked of a direction at `layer`, is left for its load.
    ///
    /// # Errors
    ///
    /// Where nothing is left.
    pub fn rest(
        self,
        rate: BitRate,
        framing: Framing,
        layer: Layer,
        has_heartbeats: bool,
    ) -> Result<BitRate, OutOfBounds> {
        let beside = self.bits(framing, layer, has_heartbeats);
        BitRate::new(rate.bits_per_second().saturating_sub(beside))
            .ok_or_else(|| bounds::no_rest(rate, beside))
    }
}

/// As many probes as `percent` of the slower direction carries; `None` where no rate is known.
fn probes(known: PerDirection<KnownRate>, framing: Framing, percent: u64) -> Option<PacketRate> {
    let of_direction = |(rate, layer): (BitRate, Layer)| {
        let octets = framing.octets_at(layer, u32::try_from(probe::LEN_MIN).ok()?);
        let bits = rate.bits_per_second().saturating_mul(percent);
        PacketRate::of(bits, 100 * 8 * u64::from(octets))
    };
    [known.forward, known.reverse].into_iter().flatten().filter_map(of_direction).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::IpVersion;

    fn framing() -> Framing {
        Framing::plain(IpVersion::V4)
    }

    fn known(forward: &str, reverse: &str) -> PerDirection<KnownRate> {
        let known = |text: &str| Some((text.parse().ok()?, Layer::L2));
        PerDirection { forward: known(forward), reverse: known(reverse) }
    }

    /// A probe is a frame of 158 octets, 1264 bits.
    #[test]
    fn probes_take_a_hundredth_beside_a_load_and_a_tenth_of_an_idle_link() {
        #[track_caller]
        fn check(rate: &str, idle: &str, loaded: &str) {
            let known = known(rate, rate);
            let (of_idle, of_load) =
                (Beside::idle(known, framing()), Beside::load(known, framing()));
            let shown = (of_idle.probes.to_string(), of_load.probes.to_string());
            assert_eq!(shown, (idle.to_owned(), loaded.to_owned()), "{rate}");
        }
        check("64 kbit/s", "5.063", "1");
        check("2 Mbit/s", "100", "15.822");
        check("12.64 Mbit/s", "100", "100");
        check("1 Gbit/s", "100", "100");
        check("?", "10", "10");
    }

    #[test]
    fn the_slower_direction_decides() {
        let beside = Beside::load(known("1 Gbit/s", "1 Mbit/s"), framing());
        assert_eq!(
            (beside.probes.to_string().as_str(), beside.heartbeats),
            ("7.911", HEARTBEATS_NARROW)
        );
        let alone = Beside::load(known("1 Gbit/s", "?"), framing());
        assert_eq!((alone.probes, alone.heartbeats), (PROBES_PER_SECOND, HEARTBEATS));
        assert_eq!(Beside::load(known("2 Mbit/s", "?"), framing()).heartbeats, HEARTBEATS);
    }

    #[test]
    fn fewer_probes_may_be_asked_for_and_no_more() {
        let beside = Beside::idle(known("64 kbit/s", "?"), framing());
        let asked = |probes| beside.with_probes(PacketRate::new(probes)).probes;
        assert_eq!((asked(2), asked(20)), (PacketRate::new(2).expect("a rate"), beside.probes));
        assert_eq!(beside.with_probes(None), beside);
    }

    #[test]
    fn a_rate_that_leaves_nothing_for_a_load_is_refused() {
        let rate: BitRate = "4 kbit/s".parse().expect("a rate");
        let beside = Beside::load(PerDirection::both(Some((rate, Layer::L2))), framing());
        let error = beside.rest(rate, framing(), Layer::L2, true).expect_err("too slow");
        assert!(error.to_string().contains("4 kbit/s leave nothing for a load"), "{error}");
    }
}
