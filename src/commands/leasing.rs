//! The lease of a run: taken from the history's database before a link is loaded.

use super::error::Error;
use super::recording::configured;
use super::runtime::runtime;
use crate::cli::RecordArgs;
use crate::driver::{Job, Lease, Lessor, claim};
use crate::forecast::Forecast;
use crate::history::planned;
use crate::io::clock::boot_ns;
use crate::io::host;
use crate::io::user_folders::user_name;
use crate::method::schedule::Resource;
use crate::store::{self, Leased, Place, Store, Wanted};
use crate::units::Span;
use std::collections::BTreeSet;
use std::time::Duration;

/// How much longer a lease lasts than what an agent is asked for: the agent holds what it granted
/// for a few seconds longer, for the counts of the last trial, and clocks run unevenly.
const MARGIN: Span = Span::from_secs(15);

/// How long the history may take to give a lease.
const LEASE_MAX: Duration = Duration::from_secs(10);

/// What a run loads, and where it is leased.
#[derive(Clone, Debug)]
pub(super) struct Leasing {
    place: Place,
    wanted: Wanted,
}

/// Why there is no lease.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NotLeased {
    /// Others hold what is wanted.
    #[error("{0}")]
    Held(String),
    /// Nobody knows who holds it.
    #[error("no lease can be taken, as the history does not take it: {0}")]
    Unknown(String),
}

impl Leasing {
    /// For `job`, which is the whole of the run called `run` or a part of it; the database is at
    /// `place`.
    pub(super) fn of(job: &Job, run: &str, command: &str, place: Place) -> Self {
        let plan = job.plan();
        let forecast = Forecast::of(plan).ok();
        let takes = forecast.map_or(Span::default(), |forecast| forecast.longest(plan));
        let mut resources = claim(plan, job.agent_keys()).resources;
        resources.insert(Resource::ThisHost);
        let host = host::name();
        let wanted = Wanted {
            resources: names(&resources, &host),
            holder: job.id(),
            run: run.to_owned(),
            who: format!("{}@{host}", user_name().unwrap_or_else(|| "unknown".to_owned())),
            command: command.to_owned(),
            link: planned([plan]).into_iter().next().map(|link| link.label).unwrap_or_default(),
            span_ns: takes.plus(MARGIN).nanos(),
        };
        Self { place, wanted }
    }

    /// Takes the lease.
    ///
    /// # Errors
    ///
    /// Where others hold any of it, or the history cannot be had.
    pub(super) fn take(&self) -> Result<Lease, NotLeased> {
        // It lasts at least so long from here on: the database dates it later.
        let began_ns = boot_ns();
        let unknown = |why: String| NotLeased::Unknown(why);
        let leased = runtime().map_err(|why| unknown(why.to_string()))?.block_on(async {
            let leasing = async {
                let mut store = Store::open(&self.place).await?;
                let leased = store.lease(&self.wanted).await?;
                store.close().await?;
                Ok::<_, store::Error>(leased)
            };
            tokio::time::timeout(LEASE_MAX, leasing).await
        });
        match leased {
            Ok(Ok(Leased::Yes(mut fences))) => {
                // No agent knows this host by its name.
                fences.retain(|fence| !fence.of.starts_with(HOST));
                let lasts_ns = self.wanted.span_ns.saturating_sub(MARGIN.nanos());
                Ok(Lease { ends_ns: began_ns.saturating_add(lasts_ns), fences })
            }
            Ok(Ok(Leased::Held(holdings))) => Err(NotLeased::Held(holdings.to_string())),
            Ok(Err(why)) => Err(unknown(why.to_string())),
            Err(_) => {
                let (place, within) = (&self.place, LEASE_MAX.as_secs());
                Err(unknown(format!("history at {place}: no answer within {within} s")))
            }
        }
    }

    /// Gives it back; where the history cannot be had, it ends by itself.
    pub(super) fn give_back(&self) {
        let Ok(runtime) = runtime() else { return };
        let released = runtime.block_on(async {
            let releasing = async {
                let mut store = Store::open(&self.place).await?;
                store.release(&self.wanted.holder).await?;
                store.close().await
            };
            tokio::time::timeout(LEASE_MAX, releasing).await
        });
        if let Ok(Err(why)) = released {
            tracing::info!(%why, "a lease is not given back, and ends by itself");
        }
    }

    /// The same with its lease, for a run that is to wait where there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub(super) fn taken(self) -> Result<Taken, NotLeased> {
        let lease = self.take()?;
        Ok(Taken { leasing: self, lease })
    }
}

/// A lease that has been taken.
#[derive(Debug)]
pub(super) struct Taken {
    leasing: Leasing,
    lease: Lease,
}

impl Lessor for Taken {
    fn lease(&mut self) -> Result<Lease, String> {
        Ok(self.lease.clone())
    }

    fn release(&mut self) {
        self.leasing.give_back();
    }
}

impl Lessor for Leasing {
    fn lease(&mut self) -> Result<Lease, String> {
        self.take().map_err(|why| {
            let after = match &why {
                NotLeased::Held(_) => "Try again then",
                NotLeased::Unknown(_) => "Try again when it can be reached",
            };
            format!(
                "{why}. {after}; to load without a lease, give a reason: --without-lease REASON"
            )
        })
    }

    fn release(&mut self) {
        self.give_back();
    }
}

/// What stands before the name of a host.
const HOST: &str = "host ";

/// What `resources` are called by every host that uses the database. An agent is its key: where it
/// listens is another address from elsewhere.
fn names(resources: &BTreeSet<Resource>, host: &str) -> BTreeSet<String> {
    let name = |resource: &Resource| match resource {
        Resource::Agent(_) => None,
        Resource::AgentKey(key) => Some(format!("agent {key}")),
        Resource::Circuit(circuit) => Some(format!("circuit {circuit}")),
        Resource::Shared(name) => Some(format!("shared {name}")),
        Resource::ThisHost => Some(format!("{HOST}{host}")),
    };
    resources.iter().filter_map(name).collect()
}

/// `job`, a part of the run called `run`, with the lease that it needs by `record`.
///
/// # Errors
///
/// Where it is not clear which history is meant.
pub(super) fn leased(
    job: Job,
    run: &str,
    command: &str,
    record: Option<&RecordArgs>,
) -> Result<Job, Error> {
    let Some(args) = record.filter(|args| !args.no_history) else { return Ok(job) };
    let Some(place) = configured(&args.place)?.filter(|_| args.without_lease.is_none()) else {
        return Ok(job);
    };
    let leasing = Leasing::of(&job, run, command, place);
    Ok(job.leased_by(leasing))
}

/// The note that a run loads without a lease, where `record` has it so.
pub(super) fn note_of(record: Option<&RecordArgs>) -> Option<String> {
    let why = record?.without_lease.as_ref()?;
    let who = user_name().unwrap_or_else(|| "unknown".to_owned());
    Some(format!("loaded without a lease, as {who} wanted: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_leased_has_the_same_name_on_each_host() {
        let resources = BTreeSet::from([
            Resource::Agent("10.0.0.1:4872".into()),
            Resource::AgentKey("SHA256:a".into()),
            Resource::Circuit("EC-1".into()),
            Resource::Shared("EC-1".into()),
            Resource::ThisHost,
        ]);
        let names: Vec<String> = names(&resources, "noc1").into_iter().collect();
        assert_eq!(names, ["agent SHA256:a", "circuit EC-1", "host noc1", "shared EC-1"]);
    }
}
