//! The arguments of `linkqual schedule`, `linkqual watch` and `linkqual availability`.

use super::history::HistoryPlaceArgs;
use crate::history::When;
use clap::Args;
use std::path::PathBuf;

/// `linkqual schedule`.
#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is sent. Exit code: 0; 2 a plan is wrong, or a run does not fit its windows or falls into a
blackout; 5 output could not be written.")]
pub struct ScheduleArgs {
    /// The plans
    #[arg(value_name = "PLAN.toml", required = true)]
    pub plans: Vec<PathBuf>,
    /// How far ahead, in days
    #[arg(long, value_name = "DAYS", default_value = "7d", value_parser = parse_days)]
    pub next: u32,
    /// Show up to this many runs
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub limit: usize,
    /// Print all of it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `linkqual watch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Every link of the plans is probed all the time (linkqual availability shows what came of it); links
with a schedule are tested by it. Each run is recorded in the history, which is needed, and so is
each run that was missed, with the reason; a missed run is never made up for. SIGHUP reads the plans
again; SIGTERM ends the runs under way, records them and exits. Exit code: 0 ended by a signal; 2 a
plan is wrong, or there is no history; 4 this host cannot do it.")]
pub struct WatchArgs {
    /// The plans
    #[arg(value_name = "PLAN.toml", required = true)]
    pub plans: Vec<PathBuf>,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// `linkqual availability`.
#[derive(Args, Debug)]
#[command(after_help = "\
Seconds that were not measured count neither as up nor as down (linkqual help availability). Exit
code: 0; 2 wrong usage, or there is no history; 4 the history cannot be read; 5 output could not be
written.")]
pub struct AvailabilityArgs {
    /// This link alone
    #[arg(long, value_name = "LINK")]
    pub link: Option<String>,
    /// Since then: 90min, 12h, 30d or 8w ago, or a date such as 2026-11-30 (UTC)
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub since: When,
    /// List each outage, the newest first
    #[arg(long)]
    pub outages: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// Days, with or without their unit.
fn parse_days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').unwrap_or(text).trim_end().parse::<u32>().ok();
    let days = days.filter(|days| (1..=366).contains(days));
    days.ok_or_else(|| "not a number of days such as 7d: from 1d to 366d are allowed".to_owned())
}
