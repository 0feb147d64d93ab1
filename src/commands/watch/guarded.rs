//! What a guard knows of each path that is watched.

use crate::alerting::Placed;
use crate::commands::keys::known;
use crate::health::state::{ProbeBounds, Watched};
use crate::health::{Maintained, PathName};
use crate::plan::{Host, LinkRole, Plan, Site, Works};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A path that is watched.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    /// Its link and its site.
    pub(super) path: PathName,
    /// What its states need.
    pub(super) watched: Watched,
    /// What its alerts need.
    pub(super) placed: Placed,
    /// Where its host answers beside it.
    pub(super) management: Option<Host>,
    works: Vec<Works>,
}

/// The paths of `links`, each a name and a plan.
pub(super) fn guarded<'a>(links: impl Iterator<Item = (&'a str, &'a Plan)>) -> Vec<Guarded> {
    let mut hosts = BTreeMap::new();
    let mut all = Vec::new();
    for (name, plan) in links {
        let known = known(plan).unwrap_or_default();
        for (place, site) in plan.sites.iter().enumerate() {
            // A host is the same by whatever address it is reached: it is called by the first.
            let key = known.get(place).and_then(Option::as_ref);
            let by = key.map_or_else(|| site.agent.name.clone(), |key| key.fingerprint());
            let host = hosts.entry(by).or_insert_with(|| site.agent.name.clone()).clone();
            all.push(path(name, plan, site, host));
        }
    }
    all
}

fn path(name: &str, plan: &Plan, site: &Site, host: String) -> Guarded {
    let label = match plan.sites.len() {
        1 => name.to_owned(),
        _ => format!("{name}/{}", site.name),
    };
    let is_backup = plan.link.inventory.role == Some(LinkRole::Backup);
    let is_bound = plan.near.device.is_some() || plan.near.source.is_some();
    let inventory = &plan.link.inventory;
    Guarded {
        path: PathName { link: name.to_owned(), site: site.name.clone() },
        watched: Watched {
            name: label.clone(),
            host: host.clone(),
            site: site.name.clone(),
            bounds: ProbeBounds::of(&plan.requirements),
            is_unproven: is_backup && !is_bound,
        },
        placed: Placed {
            link: label,
            host,
            circuit: plan.link.circuit.clone(),
            shares: inventory.shares.clone(),
            severity: plan.link.severity,
        },
        management: site.management.clone(),
        works: plan.link.works.clone(),
    }
}

impl Guarded {
    /// Whether `name` means it: the link, or the path.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.path.link == name || self.placed.link == name
    }

    /// Its maintenance from `from_s` to `until_s`, as its plan says.
    pub(super) fn planned(
        &self,
        from_s: i64,
        until_s: i64,
    ) -> impl Iterator<Item = Maintained> + '_ {
        let at = |at_s: i64| Timestamp::from_second(at_s).unwrap_or(Timestamp::MAX);
        self.works.iter().flat_map(move |works| {
            let ticket = works.ticket.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            let reason = format!("{}{ticket}", works.reason);
            works.within(at(from_s), at(until_s)).into_iter().map(move |(from, until)| Maintained {
                from_s: from.as_second(),
                until_s: until.as_second(),
                reason: reason.clone(),
            })
        })
    }
}
