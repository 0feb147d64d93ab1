//! What the packets of one peer take as Ethernet frames: what limits and grants are counted in.

use crate::framing::{Framing, IpVersion, Layer};
use crate::units::BitRate;
use std::net::IpAddr;

/// The frames of packets to and from one address: untagged, with their check sequence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frames {
    framing: Framing,
}

impl Frames {
    /// Those to and from `peer`; of an IPv4 address in IPv6's form, those of IPv4.
    #[must_use]
    pub fn of(peer: IpAddr) -> Self {
        Self { framing: Framing::plain(IpVersion::of(peer)) }
    }

    /// Octets of `packets` datagrams of `payload` octets each.
    #[must_use]
    pub fn udp_octets(self, payload: u32, packets: u64) -> u64 {
        u64::from(self.framing.octets_at(Layer::L2, payload)).saturating_mul(packets)
    }

    /// Octets of `segments` TCP segments that carry `payload` octets together.
    #[must_use]
    pub fn tcp_octets(self, payload: u64, segments: u64, timestamps: bool) -> u64 {
        // One of no payload is padded; the least that several can take is that of all but its own.
        let each = self.framing.tcp_octets_at(Layer::L2, 0, timestamps);
        payload.saturating_add(u64::from(each).saturating_mul(segments))
    }

    /// Payload of a segment that fills a packet of `mtu`, with timestamps.
    #[must_use]
    pub fn segment_octets(self, mtu: u32) -> u32 {
        self.framing.ip.segment_octets(mtu)
    }

    /// The rate of the frames of `rate` of payload in such segments.
    #[must_use]
    pub fn tcp_rate(self, rate: BitRate, mtu: u32) -> Option<BitRate> {
        self.framing.tcp_rate_at(rate, Layer::L2, self.segment_octets(mtu), true)
    }

    /// The most payload per second whose frames take no more than those that were granted: `rate`
    /// of payload in segments that fill packets of `mtu`. The segments of the connection carry
    /// `mss` octets, `timestamps` beside them or not, as its other end chose: smaller ones take
    /// more frames.
    #[must_use]
    pub fn tcp_payload(self, rate: BitRate, mtu: u32, (mss, timestamps): (u32, bool)) -> BitRate {
        let fits = self
            .tcp_rate(rate, mtu)
            .filter(|_| 0 < mss)
            .and_then(|frames| self.framing.tcp_goodput(frames, Layer::L2, mss, timestamps));
        fits.map_or(rate, |fits| fits.min(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn each_version_of_ip_has_its_own_headers() {
        assert_eq!(Frames::of(V4).udp_octets(1_472, 2), 2 * 1_518);
        assert_eq!(Frames::of(V6).udp_octets(1_452, 1), 1_518);
        assert_eq!(Frames::of(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()), Frames::of(V4));
        assert_eq!(Frames::of(V4).udp_octets(0, 1), 64, "the smallest frame");
        assert_eq!(Frames::of(V4).tcp_octets(1_448, 1, true), 1_518);
        assert_eq!(Frames::of(V6).tcp_octets(0, 3, true), 3 * 90);
    }

    /// The first release paced the payload, and segments of 88 octets took 1.9 times the limit.
    #[test]
    fn tcp_in_small_segments_takes_no_more_frames() {
        let rate: BitRate = "100 Mbit/s".parse().expect("a rate");
        let whole = Frames::of(V4).tcp_payload(rate, 1_500, (1_448, true));
        assert_eq!(whole.bits_per_second(), 99_999_999, "rounded down twice");
        let small = Frames::of(V4).tcp_payload(rate, 1_500, (88, true)).bits_per_second();
        // 100 Mbit/s in frames are 104.834; of 158 octets 88 are payload.
        assert_eq!(small, 104_834_254 * 88 / 158);
        let larger = Frames::of(V4).tcp_payload(rate, 1_500, (8_948, true));
        assert_eq!(larger, rate, "no more than was asked for");
        assert_eq!(Frames::of(V4).tcp_payload(rate, 1_500, (0, true)), rate, "it is not known");
        let v6 = Frames::of(V6).tcp_payload(rate, 1_500, (1_428, true));
        assert_eq!(v6.bits_per_second(), 99_999_999);
    }
}
