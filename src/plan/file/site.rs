//! The two ends: this host's key, and the agents with theirs.

use super::draft::{Draft, Half};
use super::fault::{Place, nearest};
use super::raw::{Given, Maybe, RawDriver, RawSite, RawSites, SITES_MAX, value};
use crate::account::is_control;
use crate::plan::{Host, Near, PORT, Site};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

/// Names of sites that a message lists.
const NAMES_MAX: usize = 8;

/// The longest name of a site, in characters.
const NAME_LEN_MAX: usize = 63;

/// This end's key where one is named, and how it is left.
pub(super) fn driver(draft: &mut Draft<'_>, raw: &Maybe<RawDriver>) -> (Option<PathBuf>, Near) {
    let Some(driver) = value(raw) else { return (None, Near::default()) };
    let near = Near {
        source: value(&driver.source).map(|source| source.0),
        device: value(&driver.device).map(|device| device.0.clone()),
    };
    let key = driver.key.as_ref().and_then(Given::whole);
    let key = key.map(|(path, place)| draft.key(Half::Secret, &path.0, place));
    (key, near)
}

/// The far ends, as they stand in the file.
pub(super) fn sites(draft: &mut Draft<'_>, raw: &Maybe<RawSites>) -> Vec<Site> {
    let of_plan = Place::absent("sites");
    let place = raw.as_ref().map_or(&of_plan, |given| &given.place);
    let none = &RawSites::default();
    let RawSites(entries) = value(raw).unwrap_or(none);
    let is_missing = draft.is_run() || raw.is_some();
    if is_missing && entries.is_empty() && raw.as_ref().is_none_or(|given| given.value.is_some()) {
        let what = "no far end: at least one is needed, such as [sites.vpc] with agent = \
                    \"172.16.0.2\"";
        draft.fault(place, what);
    }
    if u32::try_from(entries.len()).is_ok_and(|count| SITES_MAX < count) {
        let what = format!("{} far ends: at most {SITES_MAX} are allowed", entries.len());
        draft.fault(place, what);
    }
    let sites = entries.iter().map(|(name, given)| site(draft, name, given)).collect();
    draft.sites = entries.iter().map(|(_, given)| given.place.clone()).collect();
    named_twice(draft, entries);
    sites
}

fn site(draft: &mut Draft<'_>, name: &str, given: &Given<RawSite>) -> Site {
    check_name(draft, "site", name, &given.place);
    let none = &RawSite::default();
    let raw = given.value.as_ref().unwrap_or(none);
    if given.value.is_some() && raw.agent.is_none() {
        draft.missing(&given.place, "agent", "where its agent listens", "172.16.0.2:4872");
    }
    let agent = raw.agent.as_ref().and_then(Given::whole).map(|(address, place)| {
        let written = place.value.as_deref().unwrap_or_default();
        if address.0.port == PORT && !written.contains(&format!(":{PORT}")) {
            draft.assume(place, format!("port {PORT}, as none is given"));
        }
        address.0.clone()
    });
    let key = raw.key.as_ref().and_then(Given::whole);
    let key = key.map(|(path, place)| draft.key(Half::Public, &path.0, place));
    Site {
        name: name.to_owned(),
        agent: agent.unwrap_or(Host { name: String::new(), port: PORT }),
        key,
        management: value(&raw.management).map(|address| address.0.clone()),
    }
}

/// What a table may be called that stands for a `what`.
pub(super) fn check_name(draft: &mut Draft<'_>, what: &str, name: &str, place: &Place) {
    let is_allowed = |c: char| !is_control(c) && !c.is_whitespace();
    if !(1..=NAME_LEN_MAX).contains(&name.chars().count()) || !name.chars().all(is_allowed) {
        let what = format!(
            "not a {what}'s name: 1 to {NAME_LEN_MAX} printable characters without a space"
        );
        draft.fault(place, what);
    }
}

/// Two sites with one agent are one.
fn named_twice(draft: &mut Draft<'_>, entries: &[(String, Given<RawSite>)]) {
    let mut named: BTreeMap<(String, u16), &Place> = BTreeMap::new();
    for (_, given) in entries {
        let agent = given.value.as_ref().and_then(|site| site.agent.as_ref());
        let Some((address, place)) = agent.and_then(Given::whole) else { continue };
        match named.entry((address.0.name.to_ascii_lowercase(), address.0.port)) {
            Entry::Occupied(other) => {
                let (other, first) = (other.get(), other.get().described());
                draft
                    .fault(place, format!("the same agent as {first}: give each far end once"))
                    .beside(other, "the first");
            }
            Entry::Vacant(first) => _ = first.insert(place),
        }
    }
}

/// The place among `sites` of the one that a test or a link names.
pub(super) fn named(
    draft: &mut Draft<'_>,
    name: &str,
    place: &Place,
    sites: &[Site],
) -> Option<usize> {
    let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
    place_of(draft, "site", name, place, &names)
}

/// The place of `name` among the `known` names of each `what`.
pub(super) fn place_of(
    draft: &mut Draft<'_>,
    what: &str,
    name: &str,
    place: &Place,
    known: &[&str],
) -> Option<usize> {
    let found = known.iter().position(|known| *known == name);
    if found.is_none() {
        let meant = nearest(name, known.iter().copied());
        let known = match &known[..known.len().min(NAMES_MAX)] {
            [] => "the plan has none".to_owned(),
            known => format!("the plan has {}", known.join(", ")),
        };
        draft.fault(place, format!("no such {what}")).suggest(meant, known);
    }
    found
}
