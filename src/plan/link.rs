//! The link that is qualified, its far ends, and the tests that are run on it.

use super::host::Host;
use super::inventory::Inventory;
use super::maintenance::Works;
use super::rules::LoadRules;
use super::severity::Severity;
use super::timing::Timing;
use crate::direction::{Direction, Directions, PerDirection};
use crate::framing::{Framing, IpVersion, Layer};
use crate::metric::{Criteria, Requirements};
use crate::policy::CONGESTION_MAX;
use crate::trial::{Beside, CongestionControl, Dscp, LoadKind, PROBES_PER_SECOND_MIN};
use crate::units::{BitRate, BurstSize, PacketRate, Share, Span};
use std::net::IpAddr;
use std::path::PathBuf;

/// How long an idle link is probed where nothing else is said.
pub const IDLE_DEFAULT: Span = Span::from_secs(10);

/// The same in a quick run.
pub const IDLE_QUICK: Span = Span::from_secs(2);

/// Probes per second by which a link is watched where nothing else is said: with fewer, half of
/// those of a second are too few to say whether it was lost.
pub const WATCHED_AT: PacketRate = PacketRate::new(20).expect("above zero");

/// How long a run takes for its evidence.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Effort {
    /// As long as its proofs take.
    #[default]
    Full,
    /// As long as was asked for, and no longer, whatever that cannot prove.
    Exact,
    /// A few seconds: no trial is lengthened, whatever it cannot prove.
    Quick,
}

/// What is asked of a link: whether it carries what it must.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The link.
    pub link: Link,
    /// The file of this end's secret key; the driver's own where it is `None`.
    pub key: Option<PathBuf>,
    /// How this end is left.
    pub near: Near,
    /// Its far ends; at least one.
    pub sites: Vec<Site>,
    /// How long the idle link is probed, at least, before its first load.
    pub idle: Span,
    /// How long its trials are where nothing else is asked for.
    pub effort: Effort,
    /// What it must do.
    pub requirements: Requirements,
    /// What is run, in this order, towards each site.
    pub tests: Vec<Test>,
    /// When `linkqual watch` runs it again and again; never where it is `None`.
    pub schedule: Option<Timing>,
    /// On which terms it may load the link.
    pub rules: LoadRules,
}

impl Plan {
    /// The question that it asks of its link over `ip`.
    #[must_use]
    pub fn criteria(&self, ip: IpVersion) -> Criteria {
        self.link.criteria(self.requirements.clone(), ip)
    }

    /// Whether a run of it loads the link.
    #[must_use]
    pub fn loads(&self) -> bool {
        self.tests.iter().any(|test| test.work != Work::Idle)
    }

    /// The tests that go to the site at `place`.
    pub fn tests_of(&self, place: usize) -> impl Iterator<Item = &Test> {
        self.tests.iter().filter(move |test| test.site.is_none_or(|site| site == place))
    }

    /// The longest UDP payload that a test towards the site at `place` asks for.
    #[must_use]
    pub fn longest_size(&self, place: usize) -> Option<u32> {
        let size = |test: &Test| match test.work {
            Work::Udp(udp) => udp.payload,
            Work::Idle | Work::Tcp(_) => None,
        };
        self.tests_of(place).filter_map(size).max()
    }

    /// What the agent of the site at `place` is to send TCP by, each once; as many as a request
    /// names.
    #[must_use]
    pub fn reverse_congestion(&self, place: usize) -> Vec<CongestionControl> {
        let by_agent = self.tests_of(place).filter_map(|test| match test.work {
            Work::Tcp(tcp) if tcp.directions.includes(Direction::Reverse) => Some(tcp.congestion),
            _ => None,
        });
        let mut named = Vec::new();
        for congestion in by_agent {
            if named.len() < CONGESTION_MAX && !named.contains(&congestion) {
                named.push(congestion);
            }
        }
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
    /// Probes per second by which it is watched all the time, where its plan says.
    pub watched_at: Option<PacketRate>,
    /// What is known of it beside its rates.
    pub inventory: Inventory,
    /// How bad it is when it fails.
    pub severity: Severity,
    /// When it is worked on.
    pub works: Vec<Works>,
    /// Which of this its plan gives, and does not leave to the defaults.
    pub given: GivenKeys,
}

/// Which keys a plan gives of a link, where their values do not show it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GivenKeys {
    /// The burst size, by direction.
    pub burst: PerDirection<bool>,
    /// The layer that rates count.
    pub layer: bool,
    /// How many tags.
    pub vlan_tags: bool,
    /// The octets that rates count beside.
    pub extra_overhead: bool,
}

impl Link {
    /// This link, where a plan judges what was measured on it before, when it was `measured`: of a
    /// plan that commits no rate, what it leaves open is as it was then. What was overshoot stays
    /// overshoot so, and rates count what they counted. A plan that has a committed rate says what
    /// that counts, by the defaults too.
    #[must_use]
    pub fn over(&self, measured: &Self) -> Self {
        let is_given = |direction| self.committed.get(direction).is_some();
        if Direction::ALL.into_iter().any(is_given) {
            return self.clone();
        }
        let given = self.given;
        let burst = |direction| match given.burst.get(direction) {
            true => *self.burst.get(direction),
            false => *measured.burst.get(direction),
        };
        Self {
            port_rate: self.port_rate.or(measured.port_rate),
            committed: measured.committed,
            burst: PerDirection::from_fn(burst),
            layer: if given.layer { self.layer } else { measured.layer },
            vlan_tags: if given.vlan_tags { self.vlan_tags } else { measured.vlan_tags },
            extra_overhead_octets: match given.extra_overhead {
                true => self.extra_overhead_octets,
                false => measured.extra_overhead_octets,
            },
            ..self.clone()
        }
    }

    /// Probes per second by which it is watched over `ip`: those that were asked for, or
    /// [`WATCHED_AT`]; at most as many as a tenth of its slower direction carries.
    #[must_use]
    pub fn watch_rate(&self, ip: IpVersion) -> PacketRate {
        let asked = self.watched_at.unwrap_or(WATCHED_AT);
        let rate = |direction: Direction| (*self.committed.get(direction)).or(self.port_rate);
        let known = PerDirection::from_fn(|it| rate(it).map(|rate| (rate, self.layer)));
        if known.forward.is_none() && known.reverse.is_none() {
            return asked;
        }
        let carried = Beside::idle(known, self.framing(ip)).probes;
        asked.min(carried).max(PROBES_PER_SECOND_MIN)
    }

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
    /// The file of the agent's public key; what is known of the agent where it is `None`.
    pub key: Option<PathBuf>,
    /// Where its host answers TCP beside the link, such as over a management network.
    pub management: Option<Host>,
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
    /// This share of what is committed in each direction; above all of it, overshoot.
    Committed(Share),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_link_is_watched_by_fewer_probes() {
        let link = |rate: &str, asked: Option<u64>| Link {
            committed: PerDirection::both(rate.parse().ok()),
            watched_at: asked.and_then(PacketRate::new),
            ..Link::default()
        };
        let rate = |link: Link| link.watch_rate(IpVersion::V4).to_string();
        assert_eq!(rate(link("100 Mbit/s", None)), "20");
        assert_eq!(rate(link("100 Mbit/s", Some(50))), "50");
        assert_eq!(rate(link("64 kbit/s", Some(50))), "5.063", "1264 bits each");
        assert_eq!(rate(link("64 kbit/s", Some(2))), "2");
        assert_eq!(rate(link("?", Some(50))), "50", "no rate is known");
    }
}
