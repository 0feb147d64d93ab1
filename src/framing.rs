//! What stands around a payload on the path: how many octets a packet takes at each layer, and so
//! what a rate at one layer is at another.

use crate::units::{BitRate, ByteCount, Malformed, PacketRate, Span};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Which headers a rate counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Layer {
    /// The wire: frame, preamble and the gap between frames.
    L1,
    /// The Ethernet frame with its check sequence and tags.
    #[default]
    L2,
    /// The IP packet.
    L3,
    /// The UDP or TCP payload.
    L4,
}

impl Layer {
    /// Every layer, from the wire up.
    pub const ALL: [Self; 4] = [Self::L1, Self::L2, Self::L3, Self::L4];
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        })
    }
}

impl FromStr for Layer {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::ALL.into_iter().find(|layer| layer.to_string() == text).ok_or_else(|| {
            Malformed::new(text, "a layer: L1 (wire), L2 (frame), L3 (IP) or L4 (payload)")
        })
    }
}

/// What stands around a UDP payload on this path, so that a rate can be given at each layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Framing {
    /// IPv4 or IPv6.
    pub ip: IpVersion,
    /// 802.1Q tags on the line.
    pub vlan_tags: u8,
    /// Further octets of each packet at L2 (MPLS 4 a label, PPPoE 8, VXLAN 50).
    pub extra_overhead_octets: u16,
}

/// The version of the Internet Protocol.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum IpVersion {
    /// Version 4, a header of 20 octets.
    #[serde(rename = "IPv4")]
    V4,
    /// Version 6, a header of 40 octets.
    #[serde(rename = "IPv6")]
    V6,
}

impl IpVersion {
    /// The version of `address`; an IPv4 address in IPv6 form travels as IPv4.
    #[must_use]
    pub fn of(address: std::net::IpAddr) -> Self {
        match address.to_canonical() {
            std::net::IpAddr::V4(_) => Self::V4,
            std::net::IpAddr::V6(_) => Self::V6,
        }
    }

    /// Octets of the IP and the UDP header together.
    #[must_use]
    pub const fn udp_overhead_octets(self) -> u32 {
        match self {
            Self::V4 => 20 + UDP_OCTETS,
            Self::V6 => 40 + UDP_OCTETS,
        }
    }
}

/// Octets of a UDP header.
const UDP_OCTETS: u32 = 8;

/// Octets of a TCP header, and of its timestamps (RFC 7323) with what aligns them.
const TCP_OCTETS: u32 = 20;
const TIMESTAMP_OCTETS: u32 = 12;

impl IpVersion {
    /// Octets of the IP and the TCP header together.
    #[must_use]
    pub const fn tcp_overhead_octets(self, timestamps: bool) -> u32 {
        let ip = self.udp_overhead_octets() - UDP_OCTETS;
        ip + TCP_OCTETS + if timestamps { TIMESTAMP_OCTETS } else { 0 }
    }

    /// What a TCP segment with timestamps carries that fills a packet of `mtu` octets.
    #[must_use]
    pub const fn segment_octets(self, mtu: u32) -> u32 {
        mtu.saturating_sub(self.tcp_overhead_octets(true))
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Octets around an untagged Ethernet packet: 14 of header, 4 of check sequence.
const ETHERNET_OCTETS: u32 = 14 + 4;

/// The smallest untagged Ethernet frame; a smaller packet is padded to it.
const FRAME_MIN_OCTETS: u32 = 64;

/// Octets that a frame takes on the wire beside its own: preamble 7, delimiter 1, gap 12.
const WIRE_OCTETS: u32 = 7 + 1 + 12;

impl Framing {
    /// Plain, untagged Ethernet.
    #[must_use]
    pub const fn plain(ip: IpVersion) -> Self {
        Self { ip, vlan_tags: 0, extra_overhead_octets: 0 }
    }

    /// Octets that a datagram of `payload` octets takes at `layer`.
    #[must_use]
    pub fn octets_at(self, layer: Layer, payload: u32) -> u32 {
        self.packet_at(layer, payload, self.ip.udp_overhead_octets())
    }

    /// Octets that a TCP segment of `segment` octets of payload takes at `layer`.
    #[must_use]
    pub fn tcp_octets_at(self, layer: Layer, segment: u32, timestamps: bool) -> u32 {
        self.packet_at(layer, segment, self.ip.tcp_overhead_octets(timestamps))
    }

    fn packet_at(self, layer: Layer, payload: u32, headers: u32) -> u32 {
        let packet = payload + headers;
        let frame = (packet + ETHERNET_OCTETS).max(FRAME_MIN_OCTETS)
            + 4 * u32::from(self.vlan_tags)
            + u32::from(self.extra_overhead_octets);
        match layer {
            Layer::L1 => frame + WIRE_OCTETS,
            Layer::L2 => frame,
            Layer::L3 => packet,
            Layer::L4 => payload,
        }
    }

    /// The UDP payload that `rate` at `layer` carries, in datagrams of `payload` octets; `None`
    /// where there is no such rate.
    #[must_use]
    pub fn goodput(self, rate: BitRate, layer: Layer, payload: u32) -> Option<BitRate> {
        rate.scaled(payload, self.octets_at(layer, payload))
    }

    /// What a TCP payload of `goodput` is as a rate at `layer`, in segments of `segment` octets;
    /// `None` where there is no such rate.
    #[must_use]
    pub fn tcp_rate_at(
        self,
        goodput: BitRate,
        layer: Layer,
        segment: u32,
        timestamps: bool,
    ) -> Option<BitRate> {
        goodput.scaled(self.tcp_octets_at(layer, segment, timestamps), segment)
    }

    /// The TCP payload that `rate` at `layer` carries, in segments of `segment` octets; `None`
    /// where there is no such rate.
    #[must_use]
    pub fn tcp_goodput(
        self,
        rate: BitRate,
        layer: Layer,
        segment: u32,
        timestamps: bool,
    ) -> Option<BitRate> {
        rate.scaled(segment, self.tcp_octets_at(layer, segment, timestamps))
    }

    /// The packet rate at which datagrams of `payload` octets carry `rate` at `layer`.
    #[must_use]
    pub fn packet_rate(self, rate: BitRate, layer: Layer, payload: u32) -> PacketRate {
        PacketRate::carrying(rate, self.octets_at(layer, payload))
    }

    /// What `packets` datagrams of `payload` octets over `span` are as a rate at `layer`.
    #[must_use]
    pub fn bit_rate(self, packets: u64, span: Span, layer: Layer, payload: u32) -> Option<BitRate> {
        ByteCount::new(packets.saturating_mul(u64::from(self.octets_at(layer, payload)))).per(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1500 octets of MTU, at each layer of a 1 Gbit/s line.
    #[test]
    fn full_packets_on_gigabit_ethernet() {
        let framing = Framing::plain(IpVersion::V4);
        let octets: Vec<u32> =
            Layer::ALL.iter().map(|layer| framing.octets_at(*layer, 1472)).collect();
        assert_eq!(octets, [1538, 1518, 1500, 1472]);
        let line = BitRate::new(1_000_000_000).expect("a rate");
        assert_eq!(
            framing.packet_rate(line, Layer::L1, 1472).packets_in(Span::from_secs(1)),
            81_275
        );
        let tagged = Framing { vlan_tags: 1, ..framing };
        assert_eq!(tagged.octets_at(Layer::L2, 1472), 1522);
        assert_eq!(Framing::plain(IpVersion::V6).octets_at(Layer::L2, 1452), 1518);
    }

    #[test]
    fn a_small_packet_is_padded_to_the_smallest_frame() {
        assert_eq!(Framing::plain(IpVersion::V4).octets_at(Layer::L2, 4), 64);
        assert_eq!(Framing::plain(IpVersion::V4).octets_at(Layer::L2, 18), 64);
        assert_eq!(Framing::plain(IpVersion::V4).octets_at(Layer::L2, 19), 65);
    }

    /// methods, section 9: what is left of 1 Gbit/s of wire.
    #[test]
    fn tcp_is_counted_at_each_layer() {
        #[track_caller]
        fn check(ip: IpVersion, vlan_tags: u8, mtu: u32, expected_kbit_s: u64) {
            let framing = Framing { vlan_tags, ..Framing::plain(ip) };
            let segment = ip.segment_octets(mtu);
            let wire = "1 Gbit/s".parse().expect("a rate");
            let goodput = framing.tcp_goodput(wire, Layer::L1, segment, true).expect("a rate");
            assert_eq!(goodput.bits_per_second() / 1_000, expected_kbit_s);
            let back = framing.tcp_rate_at(goodput, Layer::L1, segment, true).expect("a rate");
            assert!(wire.bits_per_second() - back.bits_per_second() <= 2, "{back}");
        }
        check(IpVersion::V4, 0, 1_500, 941_482);
        check(IpVersion::V4, 1, 1_500, 939_040);
        check(IpVersion::V6, 0, 1_500, 928_478);
        check(IpVersion::V4, 0, 9_000, 990_042);
    }

    proptest! {
        #[test]
        fn any_text_is_a_layer_or_refused_without_panic(text in ".{0,40}") {
            let _ = text.parse::<Layer>();
        }
    }
}
