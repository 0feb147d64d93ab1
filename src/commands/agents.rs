//! `linkqual agents`: the agents that are known here, and what is known of each.

use super::error::Error;
use super::recording::{configured, open};
use super::runtime::runtime;
use crate::account::plain;
use crate::cli::{AgentsArgs, TableFormat};
use crate::history::Agents;
use crate::io::keyring::{Keyring, KnownAgents};
use crate::io::terminal::{columns, print, say};
use crate::report::program;
use std::process::ExitCode;

/// `linkqual agents`.
///
/// # Errors
///
/// Where what is known cannot be read.
pub(super) fn agents(args: &AgentsArgs) -> Result<ExitCode, Error> {
    let KnownAgents { agents: known, unclear } = Keyring::of_user()?.all_known()?;
    unclear.iter().for_each(|why| say(&plain(&format!("warning: {why}"))));
    let known: Vec<(String, String)> =
        known.into_iter().map(|(host, key)| (host, key.fingerprint())).collect();
    let mut agents = Agents::known(&program(), &known);
    match configured(&args.place)? {
        Some(place) => runtime()?.block_on(async {
            let mut store = open(&place).await?;
            for seen in store.agents_seen().await? {
                // A run without a report has no limits either.
                let report = store.report(&seen.run).await.ok();
                agents.add(&seen, report.as_ref());
            }
            Ok::<_, crate::store::Error>(())
        })?,
        None => say(
            "note: there is no history, so that versions, limits and when each was seen are not \
             known. Make one: linkqual history init",
        ),
    }
    let agents = agents.sorted();
    print(&match args.format {
        TableFormat::Text => agents.text(columns()),
        TableFormat::Json => agents.json(),
    })?;
    Ok(ExitCode::SUCCESS)
}
