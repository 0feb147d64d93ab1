//! The arguments of `linkqual stop` and `linkqual resume`.

use super::history::HistoryPlaceArgs;
use clap::Args;

/// `linkqual stop`.
#[derive(Args, Debug)]
#[command(after_help = "\
Ends the load of every run that this user has under way on this host, within a second, and keeps new
load from starting until linkqual resume; probes go on. With a history, watches of other hosts that
use it stop too. An order of root holds for everybody on this host. Exit code: 0; 2 wrong usage;
5 the order could not be written.")]
pub struct StopArgs {
    /// Stop all load
    #[arg(long, required_unless_present = "link", conflicts_with = "link")]
    pub all: bool,
    /// Stop load on this link alone
    #[arg(long, value_name = "NAME")]
    pub link: Option<String>,
    /// Why: shown and recorded with each run that ends or does not start
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// `linkqual resume`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0, also where nothing was stopped; 5 the order stays.")]
pub struct ResumeLoadArgs {
    /// Allow load on this link again; on all links, if not given
    #[arg(long, value_name = "NAME")]
    pub link: Option<String>,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}
