//! The paths of a watch, each probed all the time.

use super::guard::Input;
use crate::account::plain;
use crate::commands::error::Error;
use crate::commands::keys::{self, Keys};
use crate::commands::scheduling::Watched;
use crate::driver::egress_of;
use crate::driver::probing::{Path, probe};
use crate::framing::IpVersion;
use crate::health::{Observed, PathName};
use crate::io::terminal::say;
use crate::plan::Site;
use crate::units::PacketRate;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// How far apart the first connections of paths are opened: an agent that many lead to has few
/// places for drivers that it does not know yet.
const APART: Duration = Duration::from_millis(50);

/// What is seen of a path that is probed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The path.
    pub(super) path: PathName,
    /// Probes per second.
    pub(super) rate: PacketRate,
    /// What is seen.
    pub(super) observed: Observed,
}

/// The paths that are probed. Dropped, they are probed no more.
#[derive(Debug)]
pub(super) struct Probes {
    paths: BTreeMap<PathName, Probed>,
    seen: mpsc::UnboundedSender<Seen>,
    guard: mpsc::UnboundedSender<Input>,
}

/// A path that is probed.
#[derive(Debug)]
struct Probed {
    from: Watched,
    rests: watch::Sender<bool>,
    task: AbortHandle,
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probes {
    /// None yet; what is seen goes to `seen`, for the record, and to `guard`, for the states.
    pub(super) const fn new(
        seen: mpsc::UnboundedSender<Seen>,
        guard: mpsc::UnboundedSender<Input>,
    ) -> Self {
        Self { paths: BTreeMap::new(), seen, guard }
    }

    /// Probes each path of `links`. Those that were probed before and are as they were go on; the
    /// others end.
    pub(super) fn succeed(&mut self, links: &[Watched]) {
        let is_same = |name: &PathName, probed: &Probed| {
            links.iter().any(|link| link.name == name.link && link.plan == probed.from.plan)
        };
        self.paths.retain(|name, probed| is_same(name, probed));
        let mut wait = Duration::ZERO;
        for link in links {
            if let Err(why) = self.begin(link, &mut wait) {
                say(&plain(&format!("warning: {} is not probed: {why}", link.name)));
            }
        }
    }

    fn begin(&mut self, link: &Watched, wait: &mut Duration) -> Result<(), Error> {
        let name_of = |site: &str| PathName { link: link.name.clone(), site: site.to_owned() };
        let is_new = |site: &Site| !self.paths.contains_key(&name_of(&site.name));
        if !link.plan.sites.iter().any(is_new) {
            return Ok(());
        }
        let Keys { identity, former, agents } = keys::of_plan(&link.plan)?;
        for (site, agent_key) in link.plan.sites.iter().zip(agents) {
            let name = name_of(&site.name);
            if self.paths.contains_key(&name) {
                continue;
            }
            let ip: Option<IpAddr> = site.agent.name.parse().ok();
            let rate = link.plan.link.watch_rate(ip.map_or(IpVersion::V4, IpVersion::of));
            let egress = egress_of(&link.plan);
            let path = Path::new(site.agent.clone(), egress, identity.clone(), agent_key, rate);
            let path = path.with_former(former.clone());
            let (rests, is_resting) = watch::channel(false);
            let (seen, of, begins) = (self.seen.clone(), name.clone(), *wait);
            let guard = self.guard.clone();
            *wait += APART;
            let task = tokio::spawn(async move {
                tokio::time::sleep(begins).await;
                let observe = |observed| {
                    // Whoever takes it outlives this, or the program ends.
                    _ = guard.send(Input::Seen(of.clone(), Clone::clone(&observed)));
                    _ = seen.send(Seen { path: of.clone(), rate, observed });
                };
                probe(path, is_resting, observe).await;
            });
            let probed = Probed { from: link.clone(), rests, task: task.abort_handle() };
            self.paths.insert(name, probed);
        }
        Ok(())
    }

    /// Has the paths of the links called `loaded` rest, and the others go on: a run that loads a
    /// link probes it itself, and what all send counts towards the rate that it is tested at.
    pub(super) fn rest(&self, loaded: &BTreeSet<String>) {
        for (name, probed) in &self.paths {
            let rests = loaded.contains(&name.link);
            probed.rests.send_if_modified(|it| std::mem::replace(it, rests) != rests);
        }
    }
}
