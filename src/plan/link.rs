//! The link that is qualified, its far ends, and the tests that are run on it.

use crate::account::is_device;
use crate::direction::{Direction, Directions, PerDirection};
use crate::framing::{Framing, IpVersion, Layer};
use crate::metric::{Criteria, Requirements};
use crate::policy::CONGESTION_MAX;
use crate::trial::{CongestionControl, Dscp, LoadKind};
use crate::units::{BitRate, BurstSize, PacketRate, Ratio, Span};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The port of the agent, TCP and UDP: one that IANA lists as unassigned.
pub const PORT: u16 = 4872;

/// How long an idle link is probed where nothing else is said.
pub const IDLE_DEFAULT: Span = Span::from_secs(10);

/// What is asked of a link: whether it carries what it must.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The link.
    pub link: Link,
    /// This end's secret key.
    pub key: PathBuf,
    /// How this end is left.
    pub near: Near,
    /// Its far ends; at least one.
    pub sites: Vec<Site>,
    /// How long the idle link is probed, at least, before its first load.
    pub idle: Span,
    /// What it must do.
    pub requirements: Requirements,
    /// What is run, in this order, towards each site.
    pub tests: Vec<Test>,
}

impl Plan {
    /// The question that it asks of its link over `ip`.
    #[must_use]
    pub fn criteria(&self, ip: IpVersion) -> Criteria {
        self.link.criteria(self.requirements.clone(), ip)
    }

    /// The tests that go to the site at `place`.
    pub fn tests_of(&self, place: usize) -> impl Iterator<Item = &Test> {
        self.tests.iter().filter(move |test| test.site.is_none_or(|site| site == place))
    }

    /// What the agent of the site at `place` is to send TCP by, each once; as many as a request
    /// names.
    #[must_use]
    pub fn reverse_congestion(&self, place: usize) -> Vec<CongestionControl> {
        let mut named = Vec::new();
        for test in self.tests_of(place) {
            match test.work {
                Work::Tcp(tcp) if tcp.directions.includes(Direction::Reverse) => {
                    if !named.contains(&tcp.congestion) {
                        named.push(tcp.congestion);
                    }
                }
                _ => {}
            }
        }
        named.truncate(CONGESTION_MAX);
        named
    }
}

/// A line, as its provider sells it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// What its users call it.
    pub name: Option<String>,
    /// What its provider calls it: the load lock's key.
    pub circuit: Option<String>,
    /// Who provides it.
    pub provider: Option<String>,
    /// What the port carries.
    pub port_rate: Option<BitRate>,
    /// What the provider has committed to: load above it is overshoot, which is not judged.
    pub committed: PerDirection<Option<BitRate>>,
    /// What a policer or shaper may carry beside that from a full bucket.
    pub burst: PerDirection<BurstSize>,
    /// The layer that every rate counts.
    pub layer: Layer,
    /// 802.1Q tags on it.
    pub vlan_tags: u8,
    /// Further octets of each packet that rates count.
    pub extra_overhead_octets: u16,
    /// Probes per second, where the link carries them; as many as it does where there is none.
    pub probes_per_second: Option<PacketRate>,
}

impl Link {
    /// What stands around a payload on it.
    #[must_use]
    pub const fn framing(&self, ip: IpVersion) -> Framing {
        let (vlan_tags, extra_overhead_octets) = (self.vlan_tags, self.extra_overhead_octets);
        Framing { ip, vlan_tags, extra_overhead_octets }
    }

    /// The question that `requirements` ask of it over `ip`.
    #[must_use]
    pub const fn criteria(&self, requirements: Requirements, ip: IpVersion) -> Criteria {
        let Self { committed, burst, layer, .. } = *self;
        Criteria { requirements, committed, burst, layer, framing: self.framing(ip) }
    }
}

/// Which of this host's addresses and devices a run uses; nothing where its routes decide.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Near {
    /// The address that it sends from.
    pub source: Option<IpAddr>,
    /// The device that it sends by.
    pub device: Option<String>,
}

/// A far end of the link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    /// What its users call it.
    pub name: String,
    /// Its agent.
    pub agent: Host,
    /// The agent's public key.
    pub key: PathBuf,
}

/// One test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test {
    /// The site that it goes to: its place in the plan; every one where it is `None`.
    pub site: Option<usize>,
    /// What is put on the line.
    pub work: Work,
    /// How long; as long as what is required needs, where nothing is said.
    pub duration: Option<Span>,
    /// How its packets are marked, both ways; not at all where nothing is said.
    pub dscp: Option<Dscp>,
}

/// What a test puts on the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// Probes alone.
    Idle,
    /// Probes, and UDP beside them.
    Udp(UdpTest),
    /// Probes, and TCP beside them.
    Tcp(TcpTest),
}

impl Work {
    /// Which ways it loads; `None` where it is idle.
    #[must_use]
    pub const fn directions(&self) -> Option<Directions> {
        match self {
            Self::Idle => None,
            Self::Udp(UdpTest { directions, .. }) | Self::Tcp(TcpTest { directions, .. }) => {
                Some(*directions)
            }
        }
    }

    /// The load that it offers; `None` where it is idle.
    #[must_use]
    pub const fn offer(&self) -> Option<Offer> {
        match self {
            Self::Idle => None,
            Self::Udp(UdpTest { offer, .. }) | Self::Tcp(TcpTest { offer, .. }) => Some(*offer),
        }
    }
}

/// A test of UDP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UdpTest {
    /// Which ways.
    pub directions: Directions,
    /// How fast, in each direction.
    pub offer: Offer,
    /// Streams in each direction.
    pub streams: u32,
    /// Octets of UDP payload; what fills the path's MTU where it is not given.
    pub payload: Option<u32>,
    /// The most octets of UDP payload of a stream at once; what follows from the rate where it is
    /// not given.
    pub burst_max: Option<u32>,
}

/// A test of TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpTest {
    /// Which ways.
    pub directions: Directions,
    /// How fast, in each direction.
    pub offer: Offer,
    /// Streams in each direction.
    pub streams: u32,
    /// What governs how fast they send.
    pub congestion: CongestionControl,
    /// Whether what comes is compared with what was sent.
    pub verify: bool,
}

/// The load that a test offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// This rate, at the link's layer.
    Rate(BitRate),
    /// This share of what is committed in each direction.
    Committed(Ratio),
    /// This rate at L2, for want of any; less where the agent's role allows less.
    Assumed(BitRate),
    /// As fast as the hosts can, up to what the agent grants.
    Max,
}

impl Offer {
    /// What its rate is for.
    #[must_use]
    pub const fn kind(self) -> LoadKind {
        match self {
            Self::Max => LoadKind::Capacity,
            Self::Rate(_) | Self::Committed(_) | Self::Assumed(_) => LoadKind::FixedRate,
        }
    }

    /// The rate in `direction` of `link`, and the layer that it counts; `None` where it has none
    /// of its own.
    #[must_use]
    pub fn rate(self, link: &Link, direction: Direction) -> Option<(BitRate, Layer)> {
        match self {
            Self::Rate(rate) => Some((rate, link.layer)),
            Self::Committed(share) => {
                let rate = share.of(*link.committed.get(direction).as_ref()?)?;
                Some((rate, link.layer))
            }
            Self::Assumed(rate) => Some((rate, Layer::L2)),
            Self::Max => None,
        }
    }
}

/// A host and a port, as `HOST[:PORT]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// A name or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const NOT_A_HOST: &str = "not a host: a name or an address, such as 10.0.0.7, \
                                  10.0.0.7:4872, [2001:db8::7]:4872, [fe80::7%eth0]:4872 or \
                                  vpc-agent.example";
        let host = |name: &str, port| Self { name: name.to_owned(), port };
        if is_ipv6(text) {
            return Ok(host(text, PORT));
        }
        let (name, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
            // What stands in brackets is an IPv6 address.
            Some(Some((inner, ""))) if is_ipv6(inner) => return Ok(host(inner, PORT)),
            Some(Some((inner, rest))) if is_ipv6(inner) && rest.starts_with(':') => {
                (inner, rest.strip_prefix(':'))
            }
            Some(_) => return Err(NOT_A_HOST.to_owned()),
            None => text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !name.is_empty() && name.chars().all(allowed);
        let is_path = port.is_some_and(|port| port.starts_with('/'));
        if is_path || !(is_name || is_ipv6(name)) {
            return Err(NOT_A_HOST.to_owned());
        }
        Ok(host(name, port.map_or(Ok(PORT), parse_port)?))
    }
}

/// Whether `text` is an IPv6 address, with or without its zone: the device that it is reached by
/// (RFC 4007, section 11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(a, zone)| (a, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_device)
}

impl Host {
    /// The zone of an IPv6 address: the name or the number of the device that it is reached by.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.name.split_once('%').map(|(_, zone)| zone)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse::<u16>().ok().filter(|port| 0 < *port);
    port.ok_or_else(|| format!("'{text}' is not a port: a number from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(text: &str, name: &str, port: u16) {
        assert_eq!(text.parse(), Ok(Host { name: name.to_owned(), port }));
    }

    #[test]
    fn a_host_may_name_its_port() {
        host("10.0.0.7", "10.0.0.7", PORT);
        host("10.0.0.7:99", "10.0.0.7", 99);
        host("vpc-agent.example:99", "vpc-agent.example", 99);
        host("::1", "::1", PORT);
        host("[::1]", "::1", PORT);
        host("[::1]:99", "::1", 99);
    }

    #[test]
    fn a_host_may_have_a_zone() {
        for text in ["fe80::1%eth0", "[fe80::1%eth0]", "[fe80::1%eth0]:4872"] {
            host(text, "fe80::1%eth0", PORT);
        }
        host("[fe80::1%3]:99", "fe80::1%3", 99);
        host("fe80::1%br-lan.100", "fe80::1%br-lan.100", PORT);
        let zone = |text: &str| text.parse::<Host>().expect("a host").zone().map(str::to_owned);
        assert_eq!(zone("[fe80::1%eth0]:99").as_deref(), Some("eth0"));
        assert_eq!(zone("fe80::1"), None);
        let shown = "[fe80::1%eth0]:99".parse::<Host>().expect("a host").to_string();
        assert_eq!(shown, "[fe80::1%eth0]:99");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let others =
            ["[host]", "[\u{1b}[2J]", "[::1]x", "fe80::1%", "fe80::1%a/b", "10.0.0.1%eth0", "[::1"];
        let names = ["", ":99", "host:0", "host:65536", "host:x", "a b", "http://host"];
        for text in names.into_iter().chain(others) {
            assert!(text.parse::<Host>().is_err(), "{text:?} was taken for a host");
        }
    }
}
