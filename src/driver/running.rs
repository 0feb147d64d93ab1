//! A plan's run: its sites one after the other, and the report of all of them.

use super::conversation::{SiteJob, conduct};
use super::error::Error;
use super::output::{create, show};
use super::results::Results;
use super::runtime::{addresses, egress_of, interrupts, runtime};
use crate::cli::OutputArgs;
use crate::direction::Direction;
use crate::io::key::{read_public, read_secret};
use crate::io::tcp::try_congestion_control;
use crate::io::tls::Identity;
use crate::plan::{Plan, Test, Work};
use crate::report::PlanRecord;
use crate::wire::key::PublicKey;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

/// Runs a plan, read from `file`, towards each of its sites, one after the other; the exit code of
/// the verdict. The report tells `notes`.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run_plan(
    plan: Plan,
    file: Option<PlanRecord>,
    notes: Vec<String>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    for test in &plan.tests {
        try_congestion_control_of(test)?;
    }
    let identity = Identity::new(&read_secret(&plan.key)?);
    let keys = plan.sites.iter().map(|site| Ok(read_public(&site.key)?.key()));
    let keys = keys.collect::<Result<Vec<PublicKey>, Error>>()?;
    let mut results = Results::open(plan, file, create(args)?)?;
    results.note(notes);
    let (report, saved) = runtime()?.block_on(async {
        let mut interrupts = interrupts();
        let mut first_error = None;
        let sites = keys.len();
        for (place, agent_key) in keys.into_iter().enumerate() {
            let result = run_site(place, agent_key, &identity, &mut results, &mut interrupts, args);
            match result.await {
                Ok(()) => {}
                Err(error @ Error::Interrupted) => {
                    (place + 1..sites).for_each(|rest| results.miss(rest, None, "interrupted"));
                    first_error.get_or_insert(error);
                    break;
                }
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        match first_error {
            Some(error) if !results.has_evidence() => Err(error),
            _ => Ok(results.conclude()),
        }
    })?;
    show(&report, saved, args)
}

/// What this host cannot send is found out before anything is loaded.
fn try_congestion_control_of(test: &Test) -> Result<(), Error> {
    match &test.work {
        Work::Tcp(tcp) if tcp.directions.includes(Direction::Forward) => {
            let tried = try_congestion_control(tcp.congestion.name());
            tried.map_err(|error| Error::NoCongestionControl(error.to_string()))
        }
        _ => Ok(()),
    }
}

async fn run_site(
    place: usize,
    agent_key: PublicKey,
    identity: &Identity,
    results: &mut Results,
    interrupts: &mut tokio::sync::mpsc::Receiver<()>,
    args: &OutputArgs,
) -> Result<(), Error> {
    let host = results.plan().sites[place].agent.clone();
    let agents = match addresses(&host).await {
        Ok(agents) => fitting(agents, results.plan().near.source),
        Err(error) => {
            results.miss(place, None, &error.to_string());
            return Err(error);
        }
    };
    // Of several that all fail the reason names each.
    let only = agents.first().copied().filter(|_| agents.len() == 1);
    let (identity, watched) = (identity.clone(), !args.quiet);
    let egress = egress_of(results.plan());
    let job = SiteJob { place, agents, egress, identity, agent_key, watched };
    let conducted = conduct(job, results, interrupts).await;
    if let Err(error) = &conducted {
        results.miss(place, only, &error.to_string());
    }
    conducted
}

/// Of an agent's addresses those that `source` can speak to; all where that is none, so that the
/// reason is told.
pub(super) fn fitting(agents: Vec<SocketAddr>, source: Option<IpAddr>) -> Vec<SocketAddr> {
    let fits = |agent: &SocketAddr| source.is_none_or(|source| source.is_ipv6() == agent.is_ipv6());
    let fitting: Vec<_> = agents.iter().copied().filter(fits).collect();
    if fitting.is_empty() { agents } else { fitting }
}
