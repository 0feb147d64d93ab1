//! Questions to the kernel's routing socket, and no change to anything: what the queues of a device
//! dropped, which device carries an address, which next hop packets go to, and whether that one's
//! link-layer address is known.
//!
//! ```text
//!  0                   1                   2                   3
//! |                            length                             |  message; counts this header
//! |             kind              |             flags             |
//! |                           sequence                            |
//! |                             port                              |
//! |  a fixed part by kind, then attributes, each padded to 4:     |
//! |            length             |             kind              |  counts these 4 octets
//! ```
//!
//! All integers are in the host's order.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::io::Read;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The kernel writes the next page of a dump while the last is read, so a wait means a fault.
const REPLY_WAIT: Duration = Duration::from_millis(200);

/// Octets of a page: the kernel fills at most 32 KiB, and cuts what the reader has no room for.
const PAGE_OCTETS: usize = 64 << 10;

/// Pages of a dump: at about 80 queues or 400 addresses each, more than any host has.
const PAGES_MAX: usize = 256;

/// Distinguishes the answer from messages that this socket did not ask for.
const SEQUENCE: u32 = 1;

const MESSAGE_HEADER_LEN: usize = 16;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const ALIGN: usize = 4;

/// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const ATTRIBUTE_KIND_MASK: u16 = 0x3fff;

/// `NLMSG_ERROR`, `NLMSG_DONE` as they stand in a header.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x0301;

/// `NLM_F_REQUEST | NLM_F_ACK`: one answer, and an end of it.
const REQUEST_ONE: u16 = 0x0005;

/// `struct tcmsg`: family, padding, device, handle, parent, info.
const QUEUE_LEN: usize = 20;
const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
/// The place of `drops` in `struct gnet_stats_queue`: after `qlen` and `backlog`.
const STATS_DROPS: usize = 8;
/// The parent of `ingress` and `clsact`.
const TC_H_INGRESS: u32 = 0xffff_fff1;

/// `struct ifaddrmsg`: family, prefix length, flags, scope, device.
const ADDRESS_LEN: usize = 8;

/// `struct rtmsg`: family, lengths of the destination and the source, service, table, protocol,
/// scope, type, flags.
const ROUTE_LEN: usize = 12;
const ROUTE_TYPE: usize = 7;
/// `struct ndmsg`: family, padding, device, state, flags, type.
const NEIGHBOUR_LEN: usize = 12;
/// `NUD_INCOMPLETE | NUD_FAILED`: it was asked for and has not answered, or never did.
const UNRESOLVED: u16 = 0x01 | 0x20;
const RTA_VIA: u16 = 18;
const NDA_DST: u16 = 1;
const NDA_IFINDEX: u16 = 8;

/// Where packets go to first: a router, or their destination itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NextHop {
    /// The device that leads there.
    device: u32,
    pub(super) address: IpAddr,
}

/// The next hop of what `local` sends to `peer`, by `device` where that is given; `None` where it
/// does not leave this host.
///
/// # Errors
///
/// What the kernel says.
pub(super) fn next_hop(
    local: Option<IpAddr>,
    peer: IpAddr,
    device: Option<u32>,
) -> io::Result<Option<NextHop>> {
    let mut hop = None;
    let local = local.filter(|local| local.is_ipv4() == peer.is_ipv4());
    ask(libc::RTM_GETROUTE, REQUEST_ONE, &emit_route(local, peer, device), |kind, body| {
        if kind == libc::RTM_NEWROUTE && hop.is_none() {
            hop = parse_next_hop(body, peer);
        }
    })?;
    Ok(hop)
}

/// Whether this host asked for the link-layer address of `hop`, and has no answer.
///
/// # Errors
///
/// What the kernel says, or that it did not say all.
pub(super) fn is_unresolved(hop: NextHop) -> io::Result<bool> {
    let mut is_unresolved = false;
    let mut request = vec![0; NEIGHBOUR_LEN];
    request[0] = family_of(hop.address);
    emit_attribute(&mut request, NDA_IFINDEX, &hop.device.to_ne_bytes());
    dump(libc::RTM_GETNEIGH, &request, |kind, body| {
        if kind == libc::RTM_NEWNEIGH
            && let Some((found, state)) = parse_neighbour(body)
        {
            is_unresolved |= found == hop && state & UNRESOLVED != 0;
        }
    })?;
    Ok(is_unresolved)
}

/// Packets that the queues of the device `index` have dropped, modulo 2^32 as the kernel counts.
///
/// # Errors
///
/// What the kernel says, or that it did not say all.
pub(super) fn queue_drops(index: u32) -> io::Result<u64> {
    // A device has a tree of queues, and what counts there is not agreed: `mq` sums its children
    // when asked, `htb`, `tbf` and `prio` count a child's drop with their own, `taprio` leaves it
    // to the child, and kernels differ. A sum would count drops twice, the root alone might miss
    // them; the maximum is right for the first kinds and no more than the truth for the last. A
    // rise of the maximum is likewise at most the true rise, for a child may rise below another.
    let mut drops = 0;
    dump(libc::RTM_GETQDISC, &[0; QUEUE_LEN], |kind, body| {
        if kind == libc::RTM_NEWQDISC {
            drops = drops.max(parse_drops(body, index).unwrap_or(0));
        }
    })?;
    Ok(u64::from(drops))
}

/// The index of the first device that carries `local`.
///
/// # Errors
///
/// What the kernel says, or that it did not say all.
pub(super) fn index_of(local: IpAddr) -> io::Result<Option<u32>> {
    let mut index = None;
    dump(libc::RTM_GETADDR, &[0; ADDRESS_LEN], |kind, body| {
        if kind == libc::RTM_NEWADDR && index.is_none() {
            index = parse_address(body).and_then(|(at, address)| (address == local).then_some(at));
        }
    })?;
    Ok(index)
}

fn dump(kind: u16, body: &[u8], on_message: impl FnMut(u16, &[u8])) -> io::Result<()> {
    ask(kind, REQUEST_DUMP, body, on_message)
}

fn ask(
    kind: u16,
    flags: u16,
    body: &[u8],
    mut on_message: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let (domain, protocol) = (libc::AF_NETLINK, libc::NETLINK_ROUTE);
    let socket = Socket::new(Domain::from(domain), Type::RAW, Some(Protocol::from(protocol)))?;
    socket.set_read_timeout(Some(REPLY_WAIT))?;
    socket.send(&emit_request(kind, flags, body))?;
    let mut page = vec![0; PAGE_OCTETS];
    for _ in 0..PAGES_MAX {
        let len = match (&socket).read(&mut page) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if parse_page(&page[..len], &mut on_message)? == Page::Last {
            return Ok(());
        }
    }
    Err(io::Error::other("the kernel's answer does not end"))
}

fn emit_request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(MESSAGE_HEADER_LEN + body.len()).expect("a request is short");
    let mut octets = Vec::new();
    octets.extend(len.to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(flags.to_ne_bytes());
    octets.extend(SEQUENCE.to_ne_bytes());
    octets.extend(0_u32.to_ne_bytes());
    octets.extend(body);
    octets
}

/// Adds an attribute to `octets`, which are a fixed part and whole attributes.
fn emit_attribute(octets: &mut Vec<u8>, kind: u16, body: &[u8]) {
    let len = u16::try_from(ATTRIBUTE_HEADER_LEN + body.len()).expect("an address is short");
    octets.extend(len.to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(body);
    octets.resize(octets.len().next_multiple_of(ALIGN), 0);
}

/// The question for the route from `local` to `peer`.
fn emit_route(local: Option<IpAddr>, peer: IpAddr, device: Option<u32>) -> Vec<u8> {
    let mut octets = vec![0; ROUTE_LEN];
    let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    (octets[0], octets[1]) = (family_of(peer), bits(peer));
    octets[2] = local.map_or(0, bits);
    emit_attribute(&mut octets, libc::RTA_DST, &octets_of(peer));
    if let Some(local) = local {
        emit_attribute(&mut octets, libc::RTA_SRC, &octets_of(local));
    }
    if let Some(device) = device {
        emit_attribute(&mut octets, libc::RTA_OIF, &device.to_ne_bytes());
    }
    octets
}

fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn family_of(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).expect("families are small")
}

/// Whether the kernel has more to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Page {
    More,
    Last,
}

/// Hands on the kind and the body of each message; a message that is cut ends the page.
fn parse_page(octets: &[u8], on_message: &mut impl FnMut(u16, &[u8])) -> io::Result<Page> {
    let len_of = |header: &[u8; MESSAGE_HEADER_LEN]| u32_at(header, 0);
    for (header, body) in records(octets, len_of) {
        if u32_at(header, 8) != Some(SEQUENCE) {
            continue;
        }
        match u16_at(header, 4) {
            Some(ERROR | DONE) => {
                return match u32_at(body, 0).map_or(0, u32::cast_signed) {
                    0 => Ok(Page::Last),
                    error => Err(io::Error::from_raw_os_error(error.saturating_neg())),
                };
            }
            Some(kind) => on_message(kind, body),
            None => {}
        }
    }
    Ok(Page::More)
}

/// The drops of a queue for departures, if it is one of the device `index`.
fn parse_drops(body: &[u8], index: u32) -> Option<u32> {
    let (fixed, rest) = body.split_at_checked(QUEUE_LEN)?;
    // `ingress` and `clsact` hold no packets. Their drops are a filter's, and a large old count of
    // them would hide, in a maximum, what a queue drops now.
    if u32_at(fixed, 4) != Some(index) || u32_at(fixed, 12) == Some(TC_H_INGRESS) {
        return None;
    }
    let stats = attribute(rest, TCA_STATS2)?;
    u32_at(attribute(stats, TCA_STATS_QUEUE)?, STATS_DROPS)
}

/// A device's index and an address that it carries.
fn parse_address(body: &[u8]) -> Option<(u32, IpAddr)> {
    let (fixed, rest) = body.split_at_checked(ADDRESS_LEN)?;
    // On a point-to-point link IFA_ADDRESS is the peer's; IPv6 has IFA_LOCAL only there.
    let octets = attribute(rest, libc::IFA_LOCAL).or_else(|| attribute(rest, libc::IFA_ADDRESS))?;
    Some((u32_at(fixed, 4)?, address_of(fixed[0], octets)?))
}

/// An address of this family.
fn address_of(family: u8, octets: &[u8]) -> Option<IpAddr> {
    match libc::c_int::from(family) {
        libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    }
}

/// The next hop of a route to `peer`; none of one that stays in this host, or leads nowhere. A
/// gateway of another version of IP is not known (RTA_VIA).
fn parse_next_hop(body: &[u8], peer: IpAddr) -> Option<NextHop> {
    let (fixed, rest) = body.split_at_checked(ROUTE_LEN)?;
    if fixed[ROUTE_TYPE] != libc::RTN_UNICAST || attribute(rest, RTA_VIA).is_some() {
        return None;
    }
    let device = u32_at(attribute(rest, libc::RTA_OIF)?, 0)?;
    let address = match attribute(rest, libc::RTA_GATEWAY) {
        Some(octets) => address_of(fixed[0], octets)?,
        None => peer,
    };
    Some(NextHop { device, address })
}

/// A neighbour and the state of its entry.
fn parse_neighbour(body: &[u8]) -> Option<(NextHop, u16)> {
    let (fixed, rest) = body.split_at_checked(NEIGHBOUR_LEN)?;
    let address = address_of(fixed[0], attribute(rest, NDA_DST)?)?;
    Some((NextHop { device: u32_at(fixed, 4)?, address }, u16_at(fixed, 8)?))
}

fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    let len_of = |header: &[u8; ATTRIBUTE_HEADER_LEN]| u16_at(header, 0).map(u32::from);
    records(octets, len_of)
        .find(|(header, _)| {
            u16_at(*header, 2).map(|found| found & ATTRIBUTE_KIND_MASK) == Some(kind)
        })
        .map(|(_, body)| body)
}

/// Headers and bodies in a row, up to the first that is cut. A length covers at least its own
/// header, so each step consumes octets and the row ends.
fn records<const HEADER_LEN: usize>(
    mut rest: &[u8],
    len_of: impl Fn(&[u8; HEADER_LEN]) -> Option<u32>,
) -> impl Iterator<Item = (&[u8; HEADER_LEN], &[u8])> {
    iter::from_fn(move || {
        let header = rest.first_chunk()?;
        let len = usize::try_from(len_of(header)?).ok()?;
        let body = rest.get(HEADER_LEN..len)?;
        rest = rest.get(len.next_multiple_of(ALIGN)..).unwrap_or(&[]);
        Some((header, body))
    })
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    const NESTED: u16 = 0x8000;

    fn attribute_of(kind: u16, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(ATTRIBUTE_HEADER_LEN + body.len()).expect("short");
        let mut octets = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend(body);
        octets.resize(octets.len().next_multiple_of(ALIGN), 0xa5);
        octets
    }

    fn message_of(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut octets = emit_request(kind, REQUEST_DUMP, body);
        octets[8..12].copy_from_slice(&sequence.to_ne_bytes());
        octets
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// A queue of device 7 that dropped 42, behind a name whose length needs padding.
    fn queue(parent: u32) -> Vec<u8> {
        let stats = [
            attribute_of(1, &[0xa5; 16]),
            attribute_of(TCA_STATS_QUEUE, &words(&[1, 2, 42, 4, 5])),
        ];
        let mut octets = words(&[0, 7, 0x0001_0000, parent, 0]);
        octets.extend(attribute_of(1, b"tbf\0\0"));
        octets.extend(attribute_of(TCA_STATS2 | NESTED, &stats.concat()));
        octets
    }

    fn address(family: libc::c_int, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = vec![u8::try_from(family).expect("small"), 24, 0, 0];
        octets.extend(3_u32.to_ne_bytes());
        attributes.iter().for_each(|(kind, body)| octets.extend(attribute_of(*kind, body)));
        octets
    }

    #[test]
    fn drops_are_those_of_the_departure_queues_of_one_device() {
        const ROOT: u32 = u32::MAX;
        assert_eq!(parse_drops(&queue(ROOT), 7), Some(42));
        assert_eq!(parse_drops(&queue(0x0001_0001), 7), Some(42));
        assert_eq!(parse_drops(&queue(ROOT), 8), None);
        assert_eq!(parse_drops(&queue(TC_H_INGRESS), 7), None);
        assert_eq!(parse_drops(&queue(ROOT)[..QUEUE_LEN], 7), None);
    }

    #[test]
    fn an_address_is_the_local_end_and_not_the_peer() {
        #[track_caller]
        fn check(octets: &[u8], expected: Option<&str>) {
            let expected = expected.map(|text| (3, text.parse().expect("an address")));
            assert_eq!(parse_address(octets), expected);
        }
        let (near, far, six) = ([10, 0, 0, 1], [10, 0, 0, 2], Ipv6Addr::LOCALHOST.octets());
        let (local, other) = (libc::IFA_LOCAL, libc::IFA_ADDRESS);
        check(&address(libc::AF_INET, &[(other, &far), (local, &near)]), Some("10.0.0.1"));
        check(&address(libc::AF_INET, &[(other, &near)]), Some("10.0.0.1"));
        check(&address(libc::AF_INET6, &[(other, &six)]), Some("::1"));
        check(&address(libc::AF_INET6, &[(other, &near)]), None);
        check(&address(libc::AF_INET, &[]), None);
        check(&address(libc::AF_UNIX, &[(other, &near)]), None);
    }

    #[test]
    fn a_page_ends_with_done_or_an_error_of_this_request() {
        #[track_caller]
        fn check(octets: &[u8], expected: Result<Page, i32>, bodies_expected: usize) {
            let mut bodies = 0;
            let page = parse_page(octets, &mut |_, _| bodies += 1);
            assert_eq!(page.map_err(|error| error.raw_os_error().unwrap_or(0)), expected);
            assert_eq!(bodies, bodies_expected);
        }
        let body = message_of(libc::RTM_NEWQDISC, SEQUENCE, &queue(1));
        let done = message_of(DONE, SEQUENCE, &words(&[0]));
        let error = message_of(ERROR, SEQUENCE, &(-libc::EPERM).to_ne_bytes());
        let stray = message_of(DONE, SEQUENCE + 1, &words(&[0]));
        check(&[], Ok(Page::More), 0);
        check(&[body.clone(), body.clone()].concat(), Ok(Page::More), 2);
        check(&[body.clone(), done, body.clone()].concat(), Ok(Page::Last), 1);
        check(&[stray, body.clone(), error].concat(), Err(libc::EPERM), 1);
        check(&body[..body.len() - 1], Ok(Page::More), 0);
        check(&words(&[0, 0, SEQUENCE, 0]), Ok(Page::More), 0);
        check(&words(&[15, 0, SEQUENCE, 0]), Ok(Page::More), 0);
        check(&words(&[u32::MAX, 0, SEQUENCE, 0]), Ok(Page::More), 0);
    }

    /// A route by device 3, to whom these attributes lead besides.
    fn route(kind: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = vec![0; ROUTE_LEN];
        (octets[0], octets[ROUTE_TYPE]) = (family_of(Ipv4Addr::LOCALHOST.into()), kind);
        emit_attribute(&mut octets, libc::RTA_OIF, &3_u32.to_ne_bytes());
        attributes.iter().for_each(|(kind, body)| emit_attribute(&mut octets, *kind, body));
        octets
    }

    #[test]
    fn a_next_hop_is_the_gateway_or_the_peer_itself() {
        let peer = IpAddr::from([10, 2, 2, 2]);
        let address = |octets: &[u8]| parse_next_hop(octets, peer).map(|hop| hop.address);
        let gateway: (u16, &[u8]) = (libc::RTA_GATEWAY, &[10, 1, 1, 1]);
        let by_gateway = route(libc::RTN_UNICAST, &[gateway]);
        assert_eq!(address(&by_gateway), Some(IpAddr::from([10, 1, 1, 1])));
        assert_eq!(parse_next_hop(&by_gateway, peer).map(|hop| hop.device), Some(3));
        assert_eq!(address(&route(libc::RTN_UNICAST, &[])), Some(peer));
        assert_eq!(address(&route(libc::RTN_LOCAL, &[])), None, "it does not leave this host");
        assert_eq!(address(&route(libc::RTN_UNICAST, &[(RTA_VIA, &[0xa5; 18])])), None);
    }

    #[test]
    fn a_neighbour_has_the_state_of_its_entry() {
        let mut octets = vec![0; NEIGHBOUR_LEN];
        octets[0] = family_of(Ipv4Addr::LOCALHOST.into());
        octets[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        octets[8..10].copy_from_slice(&0x20_u16.to_ne_bytes());
        assert_eq!(parse_neighbour(&octets), None, "it has no address");
        emit_attribute(&mut octets, NDA_DST, &[10, 1, 1, 1]);
        let hop = NextHop { device: 3, address: [10, 1, 1, 1].into() };
        assert_eq!(parse_neighbour(&octets), Some((hop, 0x20)));
    }

    #[test]
    fn the_kernel_answers_each_question() {
        let index = index_of(Ipv4Addr::LOCALHOST.into()).expect("addresses");
        assert_eq!(index, Some(1), "the loopback device is the first of its namespace");
        assert_eq!(index_of(Ipv4Addr::BROADCAST.into()).expect("addresses"), None);
        assert_eq!(queue_drops(u32::MAX).expect("queues"), 0);
        let local = Ipv4Addr::LOCALHOST.into();
        assert_eq!(next_hop(Some(local), local, None).expect("a route"), None);
        let nobody = NextHop { device: 1, address: Ipv4Addr::BROADCAST.into() };
        assert!(!is_unresolved(nobody).expect("neighbours"));
    }

    proptest! {
        #[test]
        fn no_octets_make_a_parser_panic(octets in vec(any::<u8>(), 0..256)) {
            let _ = parse_page(&octets, &mut parse_any);
            parse_any(0, &octets);
        }

        #[test]
        fn no_cut_or_change_makes_a_parser_panic(
            len in 0_usize..=128, at in 0_usize..128, octet in any::<u8>(),
        ) {
            let mut octets = message_of(libc::RTM_NEWQDISC, SEQUENCE, &queue(1));
            if let Some(place) = octets.get_mut(at) {
                *place = octet;
            }
            octets.truncate(len);
            let _ = parse_page(&octets, &mut parse_any);
        }
    }

    fn parse_any(_kind: u16, body: &[u8]) {
        let _ = (parse_drops(body, 7), parse_address(body));
        let _ = (parse_next_hop(body, Ipv4Addr::LOCALHOST.into()), parse_neighbour(body));
    }
}
