//! `linkqual availability`: how available the links were that are watched, and their outages.

use super::error::Error;
use super::history::opened;
use super::runtime::runtime;
use crate::cli::AvailabilityArgs;
use crate::health::summary::{json, outages_text, text};
use crate::io::clock::{utc_offset_s, wall_ns};
use crate::io::terminal::{columns, print};
use crate::store::Watched;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use std::process::ExitCode;

/// `linkqual availability`.
///
/// # Errors
///
/// Where there is no history, or it cannot be read.
pub(super) fn availability(args: &AvailabilityArgs) -> Result<ExitCode, Error> {
    let now_ns = wall_ns();
    let seconds = |ns: u64| i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX);
    let (since_s, now_s) = (seconds(args.since.ns(now_ns)), seconds(now_ns));
    let wanted = Watched { link: args.link.clone(), since_s, now_s };
    let shown = runtime()?.block_on(async {
        let mut store = opened(&args.place).await?;
        let shown = if args.outages {
            let outages = store.outages(&wanted).await?;
            match args.json {
                true => json(&outages),
                false => outages_text(&outages, columns(), local),
            }
        } else {
            let found = store.available(&wanted).await?;
            if args.json { json(&found) } else { text(&found, columns()) }
        };
        Ok::<_, Error>(shown)
    })?;
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// A time by this host's clock, with what that is ahead of UTC.
fn local(at_s: i64) -> String {
    let zone = utc_offset_s(at_s).and_then(|offset| Offset::from_seconds(offset).ok());
    let zone = zone.map_or(TimeZone::UTC, TimeZone::fixed);
    let at = Timestamp::from_second(at_s).unwrap_or(Timestamp::MIN).to_zoned(zone);
    at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}
