//! The rate that a trial takes of each direction: of all that is sent, which both ends compute from
//! the trial alone.

use super::Trial;
use crate::direction::Direction;
use crate::framing::{Framing, Layer};
use crate::units::{BitRate, PacketRate, Span};

impl Trial {
    /// The rate of all that it sends in `direction`, as it takes it at `layer`: load, probes or
    /// replies, and the heartbeats for the load of the other direction. Rounded up to 1 bit/s.
    #[must_use]
    pub fn rate_at(&self, direction: Direction, framing: Framing, layer: Layer) -> Option<BitRate> {
        let load = match (self.load(), self.tcp()) {
            (Some(load), _) => load.rate_at(direction, framing, layer),
            (None, Some(load)) => load.rate_at(direction, framing, layer),
            (None, None) => None,
        };
        let beside = self.beside().bits(framing, layer, self.has_heartbeats(direction));
        let bits = load.map_or(0, BitRate::bits_per_second).saturating_add(beside);
        BitRate::new(bits)
    }

    /// The rate that was asked of `direction`, at `layer`, as far as the trial shows: of one in a
    /// record of format 2 the lowest that was rounded up to its own, and `None` where that is none.
    #[must_use]
    pub fn asked_at(
        &self,
        direction: Direction,
        framing: Framing,
        layer: Layer,
    ) -> Option<BitRate> {
        if !self.is_rounded_up() {
            return self.rate_at(direction, framing, layer);
        }
        let load = self.load()?;
        let each = load.stream_rate(direction)?.whole_packets_in(Span::from_secs(1));
        let lower = PacketRate::new(each.saturating_sub(1).saturating_mul(load.streams().into()))?;
        lower.bit_rate(framing.octets_at(layer, load.payload()))
    }

    /// Whether heartbeats go in `direction`: the other one is loaded by UDP.
    #[must_use]
    pub fn has_heartbeats(&self, direction: Direction) -> bool {
        self.load().is_some_and(|load| load.rate(direction.opposite()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::{Directions, PerDirection};
    use crate::framing::IpVersion;
    use crate::trial::{Beside, Load, LoadKind};

    fn framing() -> Framing {
        Framing::plain(IpVersion::V4)
    }

    /// What is left for the load, and all that goes beside it, are the rate again: to the bit.
    #[test]
    fn load_probes_and_heartbeats_are_the_rate_that_was_asked() {
        for text in ["64 kbit/s", "333.333 kbit/s", "2.048 Mbit/s", "10 Mbit/s", "1 Gbit/s"] {
            for layer in Layer::ALL {
                let rate: BitRate = text.parse().expect("a rate");
                let known = PerDirection::both(Some((rate, layer)));
                let beside = Beside::load(known, framing());
                let rest = beside.rest(rate, framing(), layer, true).expect("there is some");
                let packets = framing().packet_rate(rest, layer, 1_472);
                let load = Load::new(Directions::Both, 3, 1_472, packets, LoadKind::FixedRate);
                let trial = Trial::new(Some(load.expect("a load")), Span::from_secs(10));
                let trial = trial.and_then(|trial| trial.with_beside(beside)).expect("a trial");
                for direction in Direction::ALL {
                    let all = trial.rate_at(direction, framing(), layer);
                    assert_eq!(all, Some(rate), "{text} {layer} {direction}");
                }
            }
        }
    }

    /// 20 Mbit/s in full frames are 1646.9 packets per second, which format 2 rounded up.
    #[test]
    fn what_format_2_rounded_up_was_asked_for_as_less() {
        let rate = PacketRate::new(1_647).expect("a rate");
        let load = Load::new(Directions::Both, 1, 1_472, rate, LoadKind::FixedRate);
        let trial = Trial::new(load.ok(), Span::from_secs(10)).expect("a trial").rounded_up(true);
        let asked = trial.asked_at(Direction::Forward, framing(), Layer::L2);
        let committed: BitRate = "20 Mbit/s".parse().expect("a rate");
        assert!(asked <= Some(committed), "{asked:?}");
        assert!(Some(committed) < trial.rate_at(Direction::Forward, framing(), Layer::L2));
    }
}
