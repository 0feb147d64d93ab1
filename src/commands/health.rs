//! `linkqual health`: the state of each watched link, as the history has it.

use super::error::Error;
use super::history::opened;
use super::runtime::runtime;
use crate::cli::HealthArgs;
use crate::health::listing::{Beside, Happened, Row, events_json, events_text, json, rows, text};
use crate::health::state::State;
use crate::io::clock::wall_ns;
use crate::io::terminal::{columns, print};
use crate::store::{EventFilter, Filter, Store};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// A link fails.
const FAILS: u8 = 1;

/// Nothing is known of one.
const UNKNOWN: u8 = 3;

/// Events that are shown at most.
const EVENTS_MAX: u32 = 1000;

/// Now, in seconds since 1970.
pub(super) fn now_s() -> i64 {
    i64::try_from(wall_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// `linkqual health`.
///
/// # Errors
///
/// Where there is no history, no such link, or it cannot be read.
pub(super) fn health(args: &HealthArgs) -> Result<ExitCode, Error> {
    runtime()?.block_on(async {
        let mut store = opened(&args.place).await?;
        if let Some(since) = args.events {
            let since_s = i64::try_from(since.ns(wall_ns()) / 1_000_000_000).unwrap_or(0);
            let filter = EventFilter { link: args.link.clone(), since_s, limit: EVENTS_MAX };
            let events = store.events(&filter).await?.into_iter();
            let events: Vec<Happened> = events
                .map(|it| Happened::of(it.at_s, it.from, &it.now.current, it.first))
                .collect();
            print(&if args.json { events_json(&events) } else { events_text(&events, columns()) })?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = known(&mut store, args.link.as_deref()).await?;
        print(&if args.json { json(&rows) } else { text(&rows, columns()) })?;
        Ok(ExitCode::from(code(&rows)))
    })
}

/// The rows of all links, or of the one that is called so.
async fn known(store: &mut Store, link: Option<&str>) -> Result<Vec<Row>, Error> {
    let states = store.link_states().await?.into_iter();
    let states = states.map(|kept| (kept.current, kept.watch));
    let is_meant = |name: &str| link.is_none_or(|link| link == name);
    let states: Vec<_> = states.filter(|(current, _)| is_meant(&current.link)).collect();
    if let (Some(link), true) = (link, states.is_empty()) {
        return Err(Error::Links(format!("no watched link is called '{link}': linkqual health")));
    }
    let watches = store.watches().await?;
    let alerts = store.alerts(i64::MAX / 2_000_000_000).await?;
    let mut beside: BTreeMap<String, Beside> = BTreeMap::new();
    for (current, _) in &states {
        if beside.contains_key(&current.link) {
            continue;
        }
        let filter = Filter { link: Some(current.link.clone()), limit: 1, ..Filter::default() };
        let last = store.list(&filter, wall_ns()).await?.found.into_iter().next();
        let last_run = last.map(|run| {
            let verdict = run.verdict.map_or_else(|| run.state.to_string(), |it| it.to_string());
            (verdict, run.run)
        });
        let open = alerts.iter().filter(|alert| alert.links.contains(&current.link));
        let alerts = open.map(|alert| alert.id.clone()).collect();
        beside.insert(current.link.clone(), Beside { last_run, alerts });
    }
    Ok(rows(&states, &watches, beside, now_s()))
}

fn code(rows: &[Row]) -> u8 {
    let worst: Vec<State> = rows.iter().filter_map(|row| Some(row.worst()?.state)).collect();
    if worst.contains(&State::Fail) {
        FAILS
    } else if worst.iter().any(|it| matches!(it, State::Indeterminate | State::NotRunning)) {
        UNKNOWN
    } else {
        0
    }
}
