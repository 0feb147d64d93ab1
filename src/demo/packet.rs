//! What the packets of a host are for, by their headers.

use crate::demo::transit::class_of;
use crate::emulation::Class;
use pnet_packet::Packet as _;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types};
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::udp::UdpPacket;

/// UDP payload from which on another program's datagram fills the line.
const FOREIGN_LOAD_MIN: usize = 1_000;

/// UDP payload from which on another program's datagram measures; what is shorter only says hello.
const FOREIGN_PROBE_MIN: usize = 48;

/// What an IP packet is for. Our own datagrams say so; other programs' UDP is classed by its
/// length, so that the lab can hold them to the same line; an ICMP echo measures; all else is a
/// signal, what is no IP packet or a later fragment of one included.
pub(super) fn class_of_packet(packet: &[u8]) -> Class {
    match packet.first().map(|first| first >> 4) {
        Some(4) => Ipv4Packet::new(packet)
            // What its header claims to be without room for itself has no payload to be found.
            .filter(|ip| {
                ip.get_fragment_offset() == 0 && HEADER_WORDS_MIN <= ip.get_header_length()
            })
            .map_or(Class::Signal, |ip| {
                class_of_payload(ip.get_next_level_protocol(), ip.payload())
            }),
        // Extension headers are not followed: no probe or load has any.
        Some(6) => Ipv6Packet::new(packet)
            .map_or(Class::Signal, |ip| class_of_payload(ip.get_next_header(), ip.payload())),
        _ => Class::Signal,
    }
}

/// The shortest header of IPv4, in words of four octets.
const HEADER_WORDS_MIN: u8 = 5;

fn class_of_payload(protocol: IpNextHeaderProtocol, payload: &[u8]) -> Class {
    let is_echo = match protocol {
        IpNextHeaderProtocols::Udp => {
            let udp = UdpPacket::new(payload);
            return udp.map_or(Class::Signal, |udp| class_of_datagram(udp.payload()));
        }
        IpNextHeaderProtocols::Icmp => IcmpPacket::new(payload).is_some_and(|icmp| {
            matches!(icmp.get_icmp_type(), IcmpTypes::EchoRequest | IcmpTypes::EchoReply)
        }),
        IpNextHeaderProtocols::Icmpv6 => Icmpv6Packet::new(payload).is_some_and(|icmp| {
            matches!(icmp.get_icmpv6_type(), Icmpv6Types::EchoRequest | Icmpv6Types::EchoReply)
        }),
        _ => false,
    };
    if is_echo { Class::Probe } else { Class::Signal }
}

fn class_of_datagram(datagram: &[u8]) -> Class {
    class_of(datagram).unwrap_or(match datagram.len() {
        FOREIGN_LOAD_MIN.. => Class::Load,
        FOREIGN_PROBE_MIN.. => Class::Probe,
        _ => Class::Signal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::load;
    use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
    use pnet_packet::icmpv6::MutableIcmpv6Packet;
    use pnet_packet::ipv4::{Ipv4Flags, MutableIpv4Packet};
    use pnet_packet::ipv6::MutableIpv6Packet;
    use pnet_packet::udp::MutableUdpPacket;
    use pnet_packet::{icmp, icmpv6, ipv4, udp};
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
    const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);
    const NEAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
    const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

    const UDP: IpNextHeaderProtocol = IpNextHeaderProtocols::Udp;
    const TCP: IpNextHeaderProtocol = IpNextHeaderProtocols::Tcp;
    const ICMP: IpNextHeaderProtocol = IpNextHeaderProtocols::Icmp;
    const ICMP_V6: IpNextHeaderProtocol = IpNextHeaderProtocols::Icmpv6;

    /// A packet of IPv4 whose options are `options` words of no operation.
    fn v4(protocol: IpNextHeaderProtocol, options: u8, payload: &[u8]) -> Vec<u8> {
        let header = 20 + 4 * usize::from(options);
        let mut octets = [&vec![1; header], payload].concat();
        octets[..20].fill(0);
        let len = u16::try_from(octets.len()).unwrap();
        let mut packet = MutableIpv4Packet::new(&mut octets).unwrap();
        packet.set_version(4);
        packet.set_header_length(5 + options);
        packet.set_total_length(len);
        packet.set_flags(Ipv4Flags::DontFragment);
        packet.set_ttl(64);
        packet.set_next_level_protocol(protocol);
        packet.set_source(NEAR);
        packet.set_destination(FAR);
        let checksum = ipv4::checksum(&packet.to_immutable());
        packet.set_checksum(checksum);
        octets
    }

    fn v6(protocol: IpNextHeaderProtocol, payload: &[u8]) -> Vec<u8> {
        let mut octets = [&[0; 40], payload].concat();
        let mut packet = MutableIpv6Packet::new(&mut octets).unwrap();
        packet.set_version(6);
        packet.set_payload_length(u16::try_from(payload.len()).unwrap());
        packet.set_hop_limit(64);
        packet.set_next_header(protocol);
        packet.set_source(NEAR_V6);
        packet.set_destination(FAR_V6);
        octets
    }

    /// A datagram in a packet of each version.
    fn datagrams(payload: &[u8]) -> [Vec<u8>; 2] {
        let made = |checksum: &dyn Fn(&UdpPacket<'_>) -> u16| {
            let mut octets = [&[0; 8], payload].concat();
            let len = u16::try_from(octets.len()).unwrap();
            let mut datagram = MutableUdpPacket::new(&mut octets).unwrap();
            datagram.set_source(40_000);
            datagram.set_destination(4_872);
            datagram.set_length(len);
            let checksum = checksum(&datagram.to_immutable());
            datagram.set_checksum(checksum);
            octets
        };
        let over_v4 = made(&|datagram| udp::ipv4_checksum(datagram, &NEAR, &FAR));
        let over_v6 = made(&|datagram| udp::ipv6_checksum(datagram, &NEAR_V6, &FAR_V6));
        [v4(UDP, 0, &over_v4), v6(UDP, &over_v6)]
    }

    #[track_caller]
    fn check(packets: &[Vec<u8>], expected: Class) {
        for packet in packets {
            assert_eq!(class_of_packet(packet), expected, "{packet:?}");
        }
    }

    /// RFC 1071: with its checksum, the sum of what it covers is all ones.
    #[test]
    fn packets_are_made_with_the_checksums_that_a_host_expects() {
        let sum = |parts: &[&[u8]]| {
            let octets = parts.concat();
            let words = octets
                .chunks(2)
                .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
            let sum: u32 = words.sum();
            (sum >> 16) + (sum & 0xffff)
        };
        // An odd length, so that the last octet is padded.
        let [over_v4, over_v6] = datagrams(&[0xa5; 49]);
        assert_eq!(sum(&[&over_v4[..20]]), 0xffff);
        assert_eq!(sum(&[&over_v4[12..20], &[0, 17, 0, 57], &over_v4[20..]]), 0xffff);
        assert_eq!(sum(&[&over_v6[8..40], &[0, 0, 0, 57, 0, 0, 0, 17], &over_v6[40..]]), 0xffff);
    }

    #[test]
    fn our_datagrams_are_what_they_say() {
        let mut load = [0xa5; load::HEADER_LEN];
        load[..4].copy_from_slice(&[0x4c, 0x51, 2, load::KIND]);
        check(&datagrams(&load), Class::Load);
        let mut probe = [0; 72];
        probe[44..48].copy_from_slice(&[0, 240, 0, 24]);
        check(&datagrams(&probe), Class::Probe);
        let mut signal = [0xa5; 1_200];
        signal[..4].copy_from_slice(&[0x4c, 0x51, 2, 2]);
        check(&datagrams(&signal), Class::Signal);
    }

    #[test]
    fn other_programs_datagrams_are_recognised_by_their_length() {
        check(&datagrams(&[0xa5; 1_000]), Class::Load);
        check(&datagrams(&[0xa5; 999]), Class::Probe);
        check(&datagrams(&[0xa5; 48]), Class::Probe);
        check(&datagrams(&[0xa5; 47]), Class::Signal);
        check(&[v4(UDP, 0, &[0xa5; 7]), v6(UDP, &[0xa5; 7])], Class::Signal);
    }

    #[test]
    fn options_are_no_part_of_the_datagram() {
        check(&[v4(UDP, 10, &[0xa5; 8 + 999])], Class::Probe);
        check(&[v4(UDP, 10, &[0xa5; 8 + 1_000])], Class::Load);
    }

    #[test]
    fn an_echo_measures_and_other_protocols_are_signals() {
        let mut octets = [0; 64];
        let mut echo = MutableEchoRequestPacket::new(&mut octets).unwrap();
        echo.set_icmp_type(IcmpTypes::EchoRequest);
        echo.set_identifier(7);
        let checksum = icmp::checksum(&IcmpPacket::new(&octets).unwrap());
        MutableEchoRequestPacket::new(&mut octets).unwrap().set_checksum(checksum);
        check(&[v4(ICMP, 0, &octets)], Class::Probe);
        let mut octets = [0; 64];
        let mut echo = MutableIcmpv6Packet::new(&mut octets).unwrap();
        echo.set_icmpv6_type(Icmpv6Types::EchoReply);
        let checksum = icmpv6::checksum(&echo.to_immutable(), &NEAR_V6, &FAR_V6);
        echo.set_checksum(checksum);
        check(&[v6(ICMP_V6, &octets)], Class::Probe);
        // A destination that is unreachable, and a neighbour's solicitation.
        check(&[v4(ICMP, 0, &[3; 64]), v6(ICMP_V6, &[135; 64])], Class::Signal);
        check(&[v4(TCP, 0, &[0xa5; 1_400]), v6(TCP, &[0xa5; 1_400])], Class::Signal);
    }

    #[test]
    fn what_is_cut_short_or_no_first_fragment_is_a_signal() {
        let [load, _] = datagrams(&[0xa5; 1_000]);
        let fragment = |offset, flags| {
            let mut octets = load.clone();
            let mut packet = MutableIpv4Packet::new(&mut octets).unwrap();
            packet.set_fragment_offset(offset);
            packet.set_flags(flags);
            octets
        };
        check(&[fragment(1, 0), fragment(0x1fff, Ipv4Flags::MoreFragments)], Class::Signal);
        check(&[fragment(0, Ipv4Flags::MoreFragments)], Class::Load);
        let mut without_room = load.clone();
        without_room[0] = 0x44;
        check(&[vec![], vec![0x45], vec![0x60; 39], vec![0x15; 60], without_room], Class::Signal);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(first: u8, mut octets: Vec<u8>) {
            octets.insert(0, first);
            class_of_packet(&octets);
            octets[0] = 0x40 | first & 0x0f;
            class_of_packet(&octets);
            octets[0] = 0x60 | first & 0x0f;
            class_of_packet(&octets);
        }
    }
}
