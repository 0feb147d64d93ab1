//! What this host counts against itself, and which ports it takes. Reads what the kernel reports,
//! and changes nothing.

use super::egress::Egress;
use super::netlink;
use super::udp::Socket;
use crate::account::{HostFacts, plain};
use crate::units::BitRate;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

const DEVICES: &str = "/sys/class/net";
const SOFTNET: &str = "/proc/net/softnet_stat";
const SNMP: &str = "/proc/net/snmp";
const SNMP6: &str = "/proc/net/snmp6";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const OS_TYPE: &str = "/proc/sys/kernel/ostype";
const OS_RELEASE: &str = "/proc/sys/kernel/osrelease";
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Octets of a file of counters: `softnet_stat` has 144 per CPU, and Linux at most 8192 of them.
const FILE_OCTETS_MAX: u64 = 4 << 20;

/// Entries of `/sys/class/net` that are looked through.
const DEVICES_MAX: usize = 65_536;

/// The name of this host, as far as it is plain text; "unknown" where it has none.
#[must_use]
pub fn name() -> String {
    let name = plain(text(HOST_NAME).trim());
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// What this host has lost since it started; what cannot be read is 0, since it only adds a caveat.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets that the device's queue for departures dropped.
    pub queue_drops: u64,
    /// Packets of any device that arrived and found a CPU's backlog full.
    pub softnet_drops: u64,
    /// Datagrams of any socket that came with a wrong UDP checksum.
    pub checksum_errors: u64,
}

impl Counters {
    /// The counters now; without a `device` no queue is looked at.
    #[must_use]
    pub fn read(device: Option<&str>) -> Self {
        let ipv4 = parse_snmp(&text(SNMP));
        let ipv6 = parse_snmp6(&text(SNMP6));
        Self {
            queue_drops: device.map_or(0, queue_drops),
            softnet_drops: parse_softnet(&text(SOFTNET)),
            checksum_errors: ipv4.saturating_add(ipv6),
        }
    }

    /// What was added since `earlier`; 0 where a counter wrapped or was reset.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            queue_drops: self.queue_drops.saturating_sub(earlier.queue_drops),
            softnet_drops: self.softnet_drops.saturating_sub(earlier.softnet_drops),
            checksum_errors: self.checksum_errors.saturating_sub(earlier.checksum_errors),
        }
    }
}

/// Processors that this process may use.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Descriptors that this process may have, once its limit is raised as far as it may be; Linux's
/// default where the kernel does not say.
#[must_use]
pub fn descriptors() -> u64 {
    super::sys::raise_descriptors().unwrap_or(1_024)
}

/// What this host is; empty where the kernel does not say.
#[must_use]
pub fn facts() -> HostFacts {
    let word = |path: &str| text(path).trim().to_owned();
    HostFacts {
        kernel: format!("{} {}", word(OS_TYPE), word(OS_RELEASE)),
        machine: std::env::consts::ARCH.to_owned(),
        processors: u32::try_from(processors()).unwrap_or(u32::MAX),
    }
}

/// The ports that this host takes for its own ends; Linux's default where that cannot be read.
#[must_use]
pub fn own_ports() -> RangeInclusive<u16> {
    parse_ports(&text(LOCAL_PORTS)).unwrap_or(32_768..=60_999)
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// The device that carries the address `local` of this host; the first, where several do.
#[must_use]
pub fn device_of(local: IpAddr) -> Option<String> {
    // An IPv6 socket names its IPv4 address in IPv6's form.
    let local = local.to_canonical();
    match netlink::index_of(local) {
        Ok(index) => device_at(index?),
        Err(error) => {
            tracing::debug!(%local, %error, "the host's addresses cannot be read");
            None
        }
    }
}

/// The device that packets to `peer` leave by, as far as its source address shows.
#[must_use]
pub fn device_towards(peer: SocketAddr) -> Option<String> {
    let local = Socket::connect(peer).and_then(|socket| socket.local());
    device_of(local.ok()?.ip())
}

/// The device that packets leave by to `peer`, and the largest IP packet that leaves there in one
/// piece. `None` where there is no way there, or its device is not known.
///
/// What routers have reported of the path does not count: it may be over, and the search for the
/// path's MTU finds it out.
#[must_use]
pub fn outgoing(peer: SocketAddr, egress: &Egress) -> Option<(String, u32)> {
    // Connected, it has an address; nothing is sent.
    let socket = Socket::connect_by(peer, egress).ok()?;
    let device = match &egress.device {
        Some(device) => device.clone(),
        None => device_of(socket.local().ok()?.ip())?,
    };
    let mtu: u32 = text(&format!("{DEVICES}/{device}/mtu")).trim().parse().ok()?;
    // A host reaches its own addresses by another device, which takes more.
    Some((device, mtu.max(socket.mtu().ok()?)))
}

/// How fast `device` is, as its driver says; `None` where it does not, as many virtual ones. What a
/// tunnel of a program (tun, tap) says is no speed: 10 Mbit/s, whatever it carries.
#[must_use]
pub fn speed_of(device: &str) -> Option<BitRate> {
    speed_in(Path::new(DEVICES), device)
}

/// Octets that left by `device` and that arrived there, as its counters have them.
#[must_use]
pub fn octets_of(device: &str) -> Option<[u64; 2]> {
    let counter = |name: &str| {
        let path = Path::new(DEVICES).join(device).join("statistics").join(name);
        text_at(&path).trim().parse().ok()
    };
    Some([counter("tx_bytes")?, counter("rx_bytes")?])
}

fn speed_in(devices: &Path, device: &str) -> Option<BitRate> {
    let of = |what: &str| devices.join(device).join(what);
    if of("tun_flags").exists() {
        return None;
    }
    parse_speed(&text_at(&of("speed")))
}

/// The devices that carry what is sent by `device`: those below a VLAN, a bond or a bridge, down to
/// the lowest; itself, where none is below.
#[must_use]
pub fn carriers(device: &str) -> BTreeSet<String> {
    carriers_in(Path::new(DEVICES), device)
}

fn carriers_in(devices: &Path, device: &str) -> BTreeSet<String> {
    let (mut seen, mut lowest) = (BTreeSet::new(), BTreeSet::new());
    let mut ahead = vec![device.to_owned()];
    while let Some(device) = ahead.pop() {
        if !seen.insert(device.clone()) {
            continue;
        }
        let below = entries(&devices.join(&device));
        let below = below.filter_map(|name| Some(name.strip_prefix("lower_")?.to_owned()));
        let before = ahead.len();
        ahead.extend(below);
        if ahead.len() == before {
            lowest.insert(device);
        }
    }
    lowest
}

/// The devices of this host that carry what others send, or what is sent by themselves: none is
/// below them.
#[must_use]
pub fn lowest_devices() -> BTreeSet<String> {
    entries(Path::new(DEVICES)).flat_map(|device| carriers(&device)).collect()
}

/// The names in `folder`; none where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(DEVICES_MAX);
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// In Mbit/s; -1 where it is not known.
fn parse_speed(text: &str) -> Option<BitRate> {
    let mbit_s: u64 = text.trim().parse().ok()?;
    // What the kernel calls unknown, in 32 bits.
    let known = Some(mbit_s).filter(|mbit_s| *mbit_s < u64::from(u32::MAX));
    BitRate::new(known?.checked_mul(1_000_000)?)
}

fn queue_drops(device: &str) -> u64 {
    let drops = index_at(device)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .and_then(netlink::queue_drops);
    drops.unwrap_or_else(|error| {
        tracing::debug!(device, %error, "the device's queues cannot be read");
        0
    })
}

fn device_at(index: u32) -> Option<String> {
    entries(Path::new(DEVICES)).find(|name| index_at(name) == Some(index))
}

pub(super) fn index_at(device: &str) -> Option<u32> {
    text(&format!("{DEVICES}/{device}/ifindex")).trim().parse().ok()
}

/// A file's text, empty where it cannot be read.
fn text(path: &str) -> String {
    text_at(Path::new(path))
}

fn text_at(path: &Path) -> String {
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(FILE_OCTETS_MAX).read_to_string(&mut text));
    if let Err(error) = read {
        tracing::debug!(path = %path.display(), %error, "the file cannot be read");
    }
    text
}

/// One line per CPU, in hexadecimal: packets processed, packets dropped, and more.
fn parse_softnet(text: &str) -> u64 {
    let drops = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(drops).fold(0, u64::saturating_add)
}

/// For each protocol a line of names, then one of values.
fn parse_snmp(text: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "InCsumErrors")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// One name and one value per line.
fn parse_snmp6(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(name, _)| *name == "Udp6InCsumErrors")
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn softnet_drops_are_summed_over_the_cpus() {
        #[track_caller]
        fn check(text: &str, expected: u64) {
            assert_eq!(parse_softnet(text), expected, "{text:?}");
        }
        check("00000f54 00000000 00000000\n00001b10 00000000 00000000\n", 0);
        check("00000f54 0000000a 00000003\n00001b10 00000010 00000000\n", 26);
        check("00000f54 ffffffff\n00001b10 00000001\n", 1 << 32);
        check("", 0);
        check("00000f54\n", 0);
        check("00000f54 none\n00000001 00000002", 2);
    }

    #[test]
    fn checksum_errors_of_ipv4_are_found_by_name() {
        #[track_caller]
        fn check(text: &str, expected: u64) {
            assert_eq!(parse_snmp(text), expected, "{text:?}");
        }
        let (names, lite) = ("Udp: InDatagrams SndbufErrors InCsumErrors MemErrors\n", "UdpLite:");
        let tcp = "Tcp: InSegs InCsumErrors\nTcp: 5 6\n";
        check(&format!("{tcp}{names}Udp: 61 186 7 0\n{lite} InCsumErrors\n{lite} 9\n"), 7);
        check("Udp: InCsumErrors InDatagrams\nUdp: 3 4\n", 3);
        check("Udp: InDatagrams\nUdp: 4\n", 0);
        check(names, 0);
        check(&format!("{names}Udp: 61 186\n"), 0);
        check("", 0);
    }

    #[test]
    fn checksum_errors_of_ipv6_are_found_by_name() {
        #[track_caller]
        fn check(text: &str, expected: u64) {
            assert_eq!(parse_snmp6(text), expected, "{text:?}");
        }
        let others = "Icmp6InCsumErrors               \t5\nUdpLite6InCsumErrors            \t9\n";
        check(&format!("{others}Udp6InCsumErrors                \t7\n"), 7);
        check("Udp6InCsumErrors                \t7", 7);
        check(others, 0);
        check("Udp6InCsumErrors", 0);
        check("", 0);
    }

    #[test]
    fn the_ports_of_this_host_are_two_numbers() {
        assert_eq!(parse_ports("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_ports("1024"), None);
        assert_eq!(parse_ports("1024 70000"), None);
        assert_eq!(parse_ports(""), None);
    }

    #[test]
    fn a_speed_is_in_megabits_where_it_is_known() {
        assert_eq!(parse_speed("10000\n"), "10 Gbit/s".parse().ok());
        for unknown in ["-1\n", "4294967295\n", "0\n", ""] {
            assert_eq!(parse_speed(unknown), None, "{unknown:?}");
        }
        assert_eq!(speed_of("no such device"), None);
    }

    /// As in `/sys/class/net`: a VLAN on a bond of two, one of which is a VLAN, and a tunnel.
    #[test]
    fn what_is_sent_by_a_vlan_or_a_bond_is_carried_by_the_lowest_below() {
        let folder = tempfile::tempdir().expect("a folder");
        let (devices, write) = (folder.path(), |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        });
        let below =
            [("vlan7", "bond0"), ("bond0", "eth0"), ("bond0", "eth1.5"), ("eth1.5", "eth1")];
        for (device, lower) in below {
            write(&format!("{device}/lower_{lower}"), "");
            write(&format!("{lower}/upper_{device}"), "");
        }
        // No kernel has it; nor may it be followed for ever.
        write("eth1.5/lower_bond0", "");
        let carriers = |device| carriers_in(devices, device).into_iter().collect::<Vec<_>>();
        assert_eq!(carriers("vlan7"), ["eth0", "eth1"]);
        assert_eq!(carriers("eth0"), ["eth0"]);
        assert_eq!(carriers("gone"), ["gone"]);
        for device in ["eth0", "tun0"] {
            write(&format!("{device}/speed"), "10\n");
        }
        write("tun0/tun_flags", "0x1001\n");
        assert_eq!(speed_in(devices, "eth0"), "10 Mbit/s".parse().ok());
        assert_eq!(speed_in(devices, "tun0"), None);
        assert!(lowest_devices().contains("lo"));
    }

    #[test]
    fn a_difference_is_never_below_zero() {
        let earlier = Counters { queue_drops: 5, softnet_drops: 5, checksum_errors: 5 };
        let later = Counters { queue_drops: 7, softnet_drops: 5, checksum_errors: 4 };
        let expected = Counters { queue_drops: 2, softnet_drops: 0, checksum_errors: 0 };
        assert_eq!(later.since(&earlier), expected);
    }

    #[test]
    fn the_loopback_address_is_on_the_loopback_device() {
        assert_eq!(device_of(Ipv4Addr::LOCALHOST.into()).as_deref(), Some("lo"));
        assert_eq!(device_of(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()).as_deref(), Some("lo"));
        assert_eq!(device_of(Ipv4Addr::BROADCAST.into()), None);
    }

    #[test]
    fn a_device_counts_its_octets() {
        assert!(octets_of("lo").is_some());
        assert_eq!(octets_of("no such device"), None);
    }

    #[test]
    fn a_device_that_is_not_there_dropped_nothing() {
        assert_eq!(Counters::read(Some("no such device")).queue_drops, 0);
        assert_eq!(Counters::read(None).queue_drops, 0);
    }
}
