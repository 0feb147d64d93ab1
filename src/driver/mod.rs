//! The driver as a library: a [`Job`] in, a [`Run`] out, and events while it goes on.
//!
//! ```no_run
//! # use linkqual::driver::{Cancel, Error, Event, HostClock, Job, events, run};
//! # async fn example(
//! #     plan: linkqual::plan::Plan,
//! #     identity: linkqual::io::tls::Identity,
//! #     agent_key: linkqual::wire::key::PublicKey,
//! # ) -> Result<(), Error> {
//! let (events, mut reader) = events(8);
//! let cancel = Cancel::default();
//! let job = Job::new(plan, identity, vec![agent_key])?.reporting_to(events).ended_by(&cancel);
//! let running = tokio::spawn(run(job, HostClock));
//! while let Some(event) = reader.next().await {
//!     if let Event::Warning(_) = event {
//!         cancel.cancel();
//!     }
//! }
//! let run = running.await.expect("a run does not panic");
//! println!("{}", run.report.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! It carries out what [`crate::method`] and [`crate::session::driver`] say, and decides nothing.
//! [`run`] is a future for any tokio runtime, of one thread or of many, with its clock and its
//! network enabled; what waits or computes for long is done on threads of its own. Many runs go
//! on in one process, towards one agent or several: they share nothing.
//!
//! [`run_links`] conducts the runs of a plan of several links, one after the other or, where
//! [`crate::method::schedule`] lets them, at once: one report has all of them.
//!
//! What loads a link may need a lease, which a [`Lessor`] gives: it is taken before anything is
//! sent and given back at the end, and nothing is loaded beyond it.
//!
//! A run ends by itself, when its plan is done; by [`Cancel`], which keeps what was measured; or
//! when its future is dropped, which stops all that it has begun, and leaves the record as it was
//! kept last.
//!
//! It never prints, reads arguments or files, handles signals or knows an exit code: the programs
//! do that with what comes out of it, in [`crate::commands`].

mod addresses;
mod cancel;
mod clock;
mod conversation;
mod dialling;
mod error;
mod events;
mod guarding;
mod job;
mod lease;
mod links;
pub mod precheck;
pub mod probing;
mod results;
mod rounds;
mod trust;

pub use addresses::{addresses, egress_of, fitting};
pub use cancel::Cancel;
pub use clock::{Clock, HostClock};
pub use error::Error;
pub use events::{Event, EventReader, Events, Phase, Progress, events};
pub use job::{Former, Job, Keep, NotKept, Run, new_run};
pub use lease::{Lease, Lessor};
pub use links::{Links, claim, room, run_links};
pub use trust::{Admission, Presented, admission, presented};

use crate::io::tls::Identity;
use crate::report::{ABORTED, INTERRUPTED};
use crate::wire::key::PublicKey;
use addresses::{Lookup, addresses_by};
use cancel::Cancelled;
use conversation::{Ending, SiteJob, conduct};
use results::Results;
use std::net::SocketAddr;
use std::sync::Arc;

/// Conducts a run towards each site of its plan, one after the other, to its end.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn run(job: Job, clock: impl Clock + 'static) -> impl Future<Output = Run> + Send {
    conducted(job, Box::new(clock))
}

async fn conducted(mut job: Job, clock: Box<dyn Clock>) -> Run {
    let mut cancelled = job.cancel.listen();
    let identities = (job.identity.clone(), job.former.clone());
    let (agent_keys, lookup) = (job.agent_keys.clone(), Lookup::clone(&job.lookup));
    let leasing = leased(job.lessor.take().filter(|_| job.plan.loads())).await;
    let mut results = Results::of(job, clock);
    let (sites, mut first_error) = (agent_keys.len(), None);
    let (lessor, lease) = match leasing {
        Ok((lessor, lease)) => (lessor, lease.map(Arc::new)),
        Err(why) => {
            (0..sites).for_each(|place| results.miss(place, None, &why));
            return results.conclude(Some(Error::NotLeased(why))).await;
        }
    };
    for (place, agent_key) in agent_keys.into_iter().enumerate() {
        let keys = (&identities, agent_key, &lease);
        let ended =
            run_site(place, keys, Lookup::clone(&lookup), &mut results, &mut cancelled).await;
        results.report_phase(place, Phase::Over);
        match ended {
            Ok(Ending::Done) => {}
            Ok(Ending::Cancelled) => {
                let why = cancelled.why();
                let reason = why.as_ref().map(|why| format!("{ABORTED}{why}"));
                let reason = reason.as_deref().unwrap_or(INTERRUPTED);
                (place + 1..sites).for_each(|rest| results.miss(rest, None, reason));
                first_error.get_or_insert(why.map_or(Error::Interrupted, Error::Aborted));
                break;
            }
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    // Others wait for it: what was measured can be judged meanwhile.
    let release = released(lessor);
    tokio::join!(results.conclude(first_error), release).0
}

/// Who gives the lease, and the lease, where one is wanted.
type Leasing = (Option<Box<dyn Lessor>>, Option<Lease>);

/// The lease that `lessor` gives.
///
/// # Errors
///
/// Why it gives none.
async fn leased(lessor: Option<Box<dyn Lessor>>) -> Result<Leasing, String> {
    let Some(mut lessor) = lessor else { return Ok((None, None)) };
    let leasing = tokio::task::spawn_blocking(move || {
        let lease = lessor.lease();
        (lessor, lease)
    });
    let (lessor, lease) = leasing.await.map_err(|error| error.to_string())?;
    Ok((Some(lessor), Some(lease?)))
}

/// Gives the lease back.
async fn released(lessor: Option<Box<dyn Lessor>>) {
    if let Some(mut lessor) = lessor {
        // A lessor that panics has given its message; the lease ends by itself.
        _ = tokio::task::spawn_blocking(move || lessor.release()).await;
    }
}

/// What a run goes to a site with: its keys, the agent's, and its lease.
type With<'a> = (&'a (Identity, Vec<Former>), PublicKey, &'a Option<Arc<Lease>>);

/// Runs what goes towards the site at `place`; what was found out there is in the results.
///
/// # Errors
///
/// Where nothing was measured.
async fn run_site(
    place: usize,
    ((identity, former), agent_key, lease): With<'_>,
    lookup: Lookup,
    results: &mut Results,
    cancelled: &mut Cancelled,
) -> Result<Ending, Error> {
    results.report_phase(place, Phase::Resolving);
    let host = results.plan().sites[place].agent.clone();
    let resolved = tokio::select! {
        resolved = addresses_by(lookup, &host) => resolved,
        () = cancelled.wanted() => Err(cancelled.error()),
    };
    // Of several addresses that all fail the reason names each.
    let only = |agents: &[SocketAddr]| agents.first().copied().filter(|_| agents.len() == 1);
    let (only, conducted) = match resolved {
        Ok(agents) => {
            let agents = fitting(agents, results.plan().near.source);
            let (only, egress) = (only(&agents), egress_of(results.plan()));
            let (identity, lease) = (identity.clone(), lease.clone());
            let job = SiteJob { place, agents, egress, identity, agent_key, lease };
            (only, conduct(job, former, results, cancelled).await)
        }
        Err(error) => (None, Err(error)),
    };
    match conducted {
        Err(error) => {
            results.report_key(place, &error);
            results.miss(place, only, &error.to_string());
            match error {
                Error::Interrupted | Error::Aborted(_) => Ok(Ending::Cancelled),
                error => Err(error),
            }
        }
        ended => ended,
    }
}
