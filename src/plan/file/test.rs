//! The tests: what each kind may say, and what it says.

use super::draft::{Draft, SizeAsked};
use super::fault::Place;
use super::kinds::KindOfTest;
use super::link::LinkRates;
use super::raw::{Given, Maybe, RawTest, RawTests, value};
use super::site;
use crate::direction::{Direction, Directions};
use crate::framing::IpVersion;
use crate::plan::{Link, Offer, Site, TcpTest, Test, UdpTest, Work};
use crate::trial::{CongestionControl, Load, LoadKind};
use crate::units::{BitRate, Share};

/// The most tests of one plan.
const TESTS_MAX: usize = 64;

/// UDP payload of a full Ethernet packet: what is taken before the path is known.
const PAYLOAD_USUAL: u32 = 1_472;

/// What a test offers in one direction, and where that is written.
#[derive(Clone, Debug)]
pub(super) struct Offering {
    /// UDP or TCP.
    pub(super) kind: KindOfTest,
    /// Which way.
    pub(super) direction: Direction,
    /// How fast; `None`: as fast as possible.
    pub(super) rate: Option<BitRate>,
    /// Its rate, or the test where it has none.
    pub(super) place: Place,
}

/// Whose tests they are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose<'a> {
    /// The link's own.
    Its,
    /// Those of all links, whose far ends have these names: what goes to another link's is not run
    /// on this one.
    Everyones(&'a [String]),
}

/// The tests, and what each offers.
pub(super) fn tests(
    draft: &mut Draft<'_>,
    (raw, whose): (&Maybe<RawTests>, Whose<'_>),
    sites: &[Site],
    (link, rates): (&Link, &LinkRates),
) -> (Vec<Test>, Vec<Offering>) {
    let of_plan = Place::absent("test");
    let place = raw.as_ref().map_or(&of_plan, |given| &given.place);
    let none = &RawTests::default();
    let RawTests(entries) = value(raw).unwrap_or(none);
    let is_missing = draft.is_run() || raw.is_some();
    if is_missing && entries.is_empty() && raw.as_ref().is_none_or(|given| given.value.is_some()) {
        draft
            .fault(place, "no test: at least one is needed, such as [[test]] with kind = \"idle\"");
    }
    if TESTS_MAX < entries.len() {
        let what = format!("{} tests: at most {TESTS_MAX} are allowed", entries.len());
        draft.fault(place, what);
    }
    let (mut tests, mut offerings) = (Vec::new(), Vec::new());
    let mut is_whole = value(raw).is_some() && entries.len() <= TESTS_MAX;
    for given in entries.iter().take(TESTS_MAX) {
        let Some((raw, place)) = given.whole() else {
            is_whole = false;
            continue;
        };
        let site = raw.site.as_ref().and_then(Given::whole);
        if site.is_some_and(|(name, _)| whose.is_of_another(&name.0, sites)) {
            continue;
        }
        let site = site.map(|(name, place)| site::named(draft, &name.0, place, sites));
        is_whole &= site != Some(None);
        if let Some(work) = work(draft, raw, place, (link, rates), &mut offerings) {
            let duration = value(&raw.duration).map(|length| length.0);
            let dscp = value(&raw.dscp).map(|mark| mark.0);
            let site = site.flatten();
            if let (Some((size, place)), Work::Udp(_)) =
                (raw.size.as_ref().and_then(Given::whole), &work)
            {
                let (octets, plan, place) = (size.0, draft.plan, place.clone());
                draft.sizes.push(SizeAsked { octets, plan, site, place });
            }
            tests.push(Test { site, work, duration, dscp });
        } else {
            is_whole = false;
        }
    }
    if is_whole && !entries.is_empty() {
        draft.visit(&tests);
    }
    (tests, offerings)
}

impl Whose<'_> {
    /// Whether the site `name` is none of these `sites`, and another link's.
    fn is_of_another(self, name: &str, sites: &[Site]) -> bool {
        let Self::Everyones(all) = self else { return false };
        all.iter().any(|other| other == name) && sites.iter().all(|site| site.name != name)
    }
}

/// What a test puts on the line; `None` where that is not known.
fn work(
    draft: &mut Draft<'_>,
    raw: &RawTest,
    place: &Place,
    (link, rates): (&Link, &LinkRates),
    offerings: &mut Vec<Offering>,
) -> Option<Work> {
    let Some(kind) = &raw.kind else {
        draft.missing(place, "kind", "what it puts on the line: idle, udp or tcp", "udp");
        return None;
    };
    let kind = kind.value.as_ref()?.0;
    refuse_strange_keys(draft, raw, kind);
    if kind == KindOfTest::Idle {
        return Some(Work::Idle);
    }
    if raw.direction.is_none() {
        draft.assume(&place.field("direction"), "both at once");
    }
    let directions = value(&raw.direction).map_or(Directions::Both, |course| course.0);
    let offer = offer(draft, raw, kind, place)?;
    let at = raw.rate.as_ref().map_or_else(|| place.field("rate"), |given| given.place.clone());
    let rate_place = raw.rate.as_ref().map_or(place, |given| &given.place);
    for direction in directions.iter() {
        let rate = match offer {
            Offer::Max => None,
            _ => match offer.rate(link, direction) {
                Some((rate, _)) if BitRate::MAX < rate => {
                    draft.fault(
                        rate_place,
                        format!("{rate} {direction}: at most {} is allowed", BitRate::MAX),
                    );
                    continue;
                }
                Some((rate, _)) => Some(rate),
                None => continue,
            },
        };
        offerings.push(Offering { kind, direction, rate, place: rate_place.clone() });
    }
    if matches!(offer, Offer::Committed(_)) && !rates.is_wrong {
        let lacks = |direction: &Direction| rates.committed.get(*direction).is_none();
        let lacking: Vec<Direction> = directions.iter().filter(lacks).collect();
        not_committed(draft, raw, (&at, &rates.table), &lacking);
    }
    let streams = streams(draft, raw, place, link);
    if kind == KindOfTest::Tcp {
        let given = value(&raw.congestion_control).map(|given| given.0);
        let congestion = given.unwrap_or(CongestionControl::CUBIC);
        let verify = value(&raw.verify).copied().unwrap_or(false);
        return Some(Work::Tcp(TcpTest { directions, offer, streams, congestion, verify }));
    }
    let payload = value(&raw.size).map(|size| size.0);
    let burst_max = value(&raw.burst_max).map(|burst| burst.0);
    let udp = UdpTest { directions, offer, streams, payload, burst_max };
    refuse_too_many_packets(draft, &udp, link, raw.size.as_ref().map_or(&at, |size| &size.place));
    Some(Work::Udp(udp))
}

/// Streams in each direction: more than one for a bundle.
fn streams(draft: &mut Draft<'_>, raw: &RawTest, place: &Place, link: &Link) -> u32 {
    if let Some(given) = &raw.streams {
        return given.value.as_ref().map_or(1, |streams| streams.0);
    }
    let streams = link.inventory.streams();
    if let Some(members) = link.inventory.members {
        let name = link.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        let taken = format!("{streams}, so that hashing uses each of the {members} members{name}");
        draft.assume(&place.field("streams"), taken);
    }
    streams
}

/// What it offers; `None` where that is written, and wrong.
fn offer(draft: &mut Draft<'_>, raw: &RawTest, kind: KindOfTest, place: &Place) -> Option<Offer> {
    if let Some(given) = &raw.rate {
        return given.value.as_ref().map(|offered| offered.0);
    }
    let place = place.field("rate");
    if kind == KindOfTest::Tcp {
        draft.assume(&place, "as fast as possible, up to what the agent allows");
        return Some(Offer::Max);
    }
    draft.assume(&place, "the committed rate (100%)");
    Some(Offer::Committed(Share::WHOLE))
}

/// It offers what is committed, and in these directions nothing is.
fn not_committed(
    draft: &mut Draft<'_>,
    raw: &RawTest,
    (at, link): (&Place, &str),
    lacking: &[Direction],
) {
    let (in_which, give) = match lacking {
        [] => return,
        [direction] => {
            (format!(" {direction}"), format!("{link}.rate, or [{link}.{direction}] rate"))
        }
        _ => (String::new(), format!("{link}.rate")),
    };
    let what = match raw.rate {
        Some(_) => format!("a share of the committed rate, and none is committed{in_which}"),
        None => format!("is missing, and there is no committed rate{in_which} to default to"),
    };
    draft.fault(at, format!("{what}: give {give}, or a rate here such as \"500 Mbit/s\""));
}

/// A key that this kind does not have.
fn refuse_strange_keys(draft: &mut Draft<'_>, raw: &RawTest, kind: KindOfTest) {
    let given = [
        ("direction", raw.direction.as_ref().map(|given| &given.place)),
        ("rate", raw.rate.as_ref().map(|given| &given.place)),
        ("streams", raw.streams.as_ref().map(|given| &given.place)),
        ("size", raw.size.as_ref().map(|given| &given.place)),
        ("burst_max", raw.burst_max.as_ref().map(|given| &given.place)),
        ("congestion_control", raw.congestion_control.as_ref().map(|given| &given.place)),
        ("verify", raw.verify.as_ref().map(|given| &given.place)),
    ];
    for (key, place) in given {
        let Some(place) = place.filter(|_| !kind.keys().contains(&key)) else { continue };
        let why = match kind {
            KindOfTest::Idle => "probes alone, and loads nothing",
            KindOfTest::Udp => "UDP, which has no such key",
            KindOfTest::Tcp => "TCP, whose segments fill the path's MTU",
        };
        let name = kind.name();
        let keys = [&["kind", "site", "duration", "dscp"], kind.keys()].concat().join(", ");
        draft.fault(place, format!("a test of kind {name} is {why}: it has {keys}"));
    }
}

/// Rates at which datagrams so small are more packets than any line carries.
fn refuse_too_many_packets(draft: &mut Draft<'_>, udp: &UdpTest, link: &Link, place: &Place) {
    let payload = udp.payload.unwrap_or(PAYLOAD_USUAL);
    let framing = link.framing(IpVersion::V4);
    for direction in udp.directions.iter() {
        let Some((rate, layer)) = udp.offer.rate(link, direction) else { continue };
        let packets = framing.packet_rate(rate, layer, payload);
        let load = Load::new(udp.directions, udp.streams, payload, packets, LoadKind::FixedRate);
        if let Err(error) = load {
            draft.fault(place, format!("{error}: load slower, or in larger datagrams"));
        }
    }
}
