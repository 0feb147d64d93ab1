//! The path's MTU: what the search before the first trial found.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::criteria::Measured;
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::requirement::{Limit, Requirements};
use crate::account::PathMtu;
use crate::flow::TrialRun;
use crate::framing::IpVersion;
use crate::trial::Trial;

/// The largest IP packet that a path is taken to carry before it is known: Ethernet's.
pub const MTU_ASSUMED: u32 = 1_500;

static ABOUT: About = About {
    name: "path_mtu",
    title: "path MTU",
    unit: Unit::Octets,
    kind: Kind::LeastOctets,
    reach: Reach::RoundTrip,
    what: "The largest IP packet that crosses both ways unfragmented",
    asks: "Path MTU in octets: the largest IP packet that crosses both ways unfragmented",
    example: ">= 1500",
    sample: Sample::Required,
    source: "RFC 8899",
    answered_by: Traffic::Search,
    made_of: &[Basis::Search],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Search;

struct Search;

impl Definition for Search {
    fn speaks(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> bool {
        false
    }

    fn estimate(&self, _criterion: &Criterion<'_>, _run: &TrialRun) -> Option<Measured> {
        None
    }

    fn of_path(&self, criterion: &Criterion<'_>, path: PathMtu) -> Option<Measured> {
        let meets = Some(criterion.limit().octets()? <= path.octets);
        let counts = format!(
            "packets of {} octets cross both ways; the largest tried was {}",
            path.octets, path.tried_octets
        );
        let value = path.octets.into();
        Some(Measured::Counted { value, meets, meets_at_best: meets, proven: None, counts })
    }

    fn takes(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<Need> {
        None
    }

    fn prospect(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> Prospect {
        let beyond = criterion.limit().octets().filter(|octets| MTU_ASSUMED < *octets);
        let chance = beyond.map_or(Chance::Provable, |octets| {
            Chance::Partly(format!("this host's device must carry {octets} octets as well"))
        });
        let needs = "the search that comes before the first trial; counted".to_owned();
        Prospect { needs, chance }
    }

    fn unjudged(&self, _criterion: &Criterion<'_>, _trials: &[&Trial]) -> String {
        "it is measured before the first trial".to_owned()
    }

    fn unmeasured(&self) -> &'static str {
        "the path MTU was not measured"
    }
}

/// The MTU that was ordered, where one is required.
pub(super) fn ordered(requirements: &Requirements) -> Option<u32> {
    requirements.limit(METRIC, None).and_then(Limit::octets)
}

/// What of `path` stalls applications without an ICMP error; `None` where there is no such thing.
#[must_use]
pub fn black_hole(path: PathMtu, ip: IpVersion) -> Option<String> {
    let octets = path.octets;
    let segment = octets.saturating_sub(ip.tcp_overhead_octets(false));
    path.is_black_hole().then(|| {
        format!(
            "packets above {octets} octets are dropped without ICMP (black hole): application \
             TCP will stall on this path unless its MSS is clamped to {segment}"
        )
    })
}
