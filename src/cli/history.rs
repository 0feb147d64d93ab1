//! The arguments of `linkqual history`, and of what records a run.

use crate::account::is_control;
use crate::history::{Class, State, When};
use crate::store::Place;
use crate::verdict::Verdict;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Which history is meant.
#[derive(Args, Clone, Debug)]
pub struct HistoryPlaceArgs {
    /// History to use: a SQLite file or a PostgreSQL URL; if not given, the one that `linkqual
    /// history init` made
    #[arg(long = "history", value_name = "FILE|URL", env = "LINKQUAL_HISTORY")]
    #[arg(hide_env_values = true, global = true)]
    pub place: Option<Place>,
}

/// Whether and where a run is recorded.
#[derive(Args, Clone, Debug)]
pub struct RecordArgs {
    /// Where.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
    /// Do not record this run in the history, and load without a lease
    #[arg(long)]
    pub no_history: bool,
    /// Load even if other runs hold the circuit, an end host or an entry of `shares`, or if that
    /// cannot be known; the reason goes into the report
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    pub without_lease: Option<String>,
}

/// A reason of some words, as it is kept.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_right = !text.is_empty() && text.chars().count() <= REASON_LEN_MAX;
    match is_right && !text.chars().any(is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("a reason has 1 to {REASON_LEN_MAX} printable characters")),
    }
}

/// The longest reason, in characters.
const REASON_LEN_MAX: usize = 200;

/// `linkqual leases`.
#[derive(Args, Debug)]
#[command(after_help = LEASES_NOTES)]
pub struct LeasesArgs {
    /// Print them in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: TableFormat,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

const LEASES_NOTES: &str = "\
A run that loads a link holds a lease on its circuit, on both end hosts and on each entry of shares
until it is over, or until its time is over; nothing else that uses this history loads them
meanwhile. Exit code: 0; 2 wrong usage, or there is no history; 4 the history cannot be read; 5
output could not be written.";

/// `linkqual history`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_help = HISTORY_NOTES)]
pub struct HistoryArgs {
    /// What to do in the place of listing runs.
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
    /// Which runs.
    #[command(flatten)]
    pub list: ListArgs,
}

const HISTORY_NOTES: &str = "\
Runs are listed with a line for each link, the newest first; linkqual show RUN shows one of them.
Exit code: 0; 2 wrong usage, or there is no history; 4 the history cannot be read or written;
5 output could not be written.";

/// What `linkqual history` does beside listing runs.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Make a history; check and run record in it from then on
    Init(InitArgs),
    /// Record reports that were saved with --out; those that are there already are left as they are
    Import(ImportArgs),
    /// Copy the history to a new SQLite file
    Backup(BackupArgs),
    /// Bring back the runs of a backup; runs that are there and as new stay
    Restore(BackupArgs),
    /// Copy the history to another place, and record there from then on
    Move(MoveArgs),
    /// Delete runs; who did so, and why, is kept
    Delete(DeleteArgs),
    /// Delete the names of people from runs; who did so, and why, is kept
    Redact(DeleteArgs),
    /// Delete what is older than it is to be kept: scheduled runs after 400 days, names of people
    /// after 180
    Prune,
}

/// `linkqual history init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// A file for SQLite, or postgresql://USER@HOST/DATABASE;
    /// $XDG_DATA_HOME/linkqual/history.db if not given (root: /var/lib/linkqual/history.db)
    #[arg(value_name = "FILE|URL")]
    pub at: Option<Place>,
}

/// `linkqual history import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Folders with a report.json, folders of such folders, or files
    #[arg(value_name = "DIR", required = true)]
    pub paths: Vec<PathBuf>,
}

/// `linkqual history backup` and `restore`.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The file of the backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `linkqual history move`.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// Where to: a file for SQLite, or postgresql://USER@HOST/DATABASE
    #[arg(value_name = "FILE|URL")]
    pub to: Place,
}

/// `linkqual history delete` and `redact`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The runs: the first digits of each, as linkqual history shows them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Why: kept with your name
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Which runs are listed, and how.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Runs of this link alone: its name, circuit or site
    #[arg(long, value_name = "LINK")]
    pub link: Option<String>,
    /// Runs since then: 90min, 12h, 30d or 8w ago, or a date such as 2026-11-30 (UTC)
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Runs before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
    /// Links with this verdict
    #[arg(long, value_name = "VERDICT", ignore_case = true)]
    pub verdict: Option<VerdictArg>,
    /// Runs that came so far
    #[arg(long, value_name = "STATE", value_parser = states())]
    pub state: Option<State>,
    /// Runs of this class
    #[arg(long, value_name = "CLASS", value_parser = classes())]
    pub class: Option<Class>,
    /// This many lines at most
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Print them in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
}

/// A verdict as it is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[expect(missing_docs, reason = "they are the verdicts' own names")]
pub enum VerdictArg {
    Pass,
    Fail,
    Inconclusive,
    Invalid,
}

impl From<VerdictArg> for Verdict {
    fn from(typed: VerdictArg) -> Self {
        match typed {
            VerdictArg::Pass => Self::Pass,
            VerdictArg::Fail => Self::Fail,
            VerdictArg::Inconclusive => Self::Inconclusive,
            VerdictArg::Invalid => Self::Invalid,
        }
    }
}

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ListFormat {
    /// A table.
    Text,
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
}

fn states() -> impl clap::builder::TypedValueParser<Value = State> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    PossibleValuesParser::new(State::ALL.map(State::name)).map(|name| {
        let is_it = |state: &State| state.name() == name;
        State::ALL.into_iter().find(is_it).expect("a name of the list")
    })
}

fn classes() -> impl clap::builder::TypedValueParser<Value = Class> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    PossibleValuesParser::new(Class::ALL.map(Class::name)).map(|name| {
        let is_it = |class: &Class| class.name() == name;
        Class::ALL.into_iter().find(is_it).expect("a name of the list")
    })
}

/// `linkqual compare`.
#[derive(Args, Debug)]
#[command(after_help = COMPARE_NOTES)]
pub struct CompareArgs {
    /// The run: the first digits of its name, as linkqual history shows it
    #[arg(value_name = "RUN")]
    pub run: String,
    /// What to compare it with: another run, or the runs of the same link in so much time before
    /// it, such as 30d
    #[arg(long, value_name = "RUN|TIME", default_value = "30d")]
    pub baseline: String,
    /// Print it in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: ListFormat,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

const COMPARE_NOTES: &str = "\
Only runs that are whole and not INVALID are a baseline, and only trials of the same load are
compared. A change is shown where the run before agrees on it, or the two before it show one too.
Exit code: 0 nothing is shown to be worse, 1 something is, 2 wrong usage, or there is no such run,
3 there is too little to say, 4 the history cannot be read, 5 output could not be written.";

/// `linkqual agents`.
#[derive(Args, Debug)]
#[command(after_help = AGENTS_NOTES)]
pub struct AgentsArgs {
    /// Print it in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: TableFormat,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TableFormat {
    /// A table.
    Text,
    /// JSON.
    Json,
}

const AGENTS_NOTES: &str = "\
Agents are those that linkqual trust has remembered, and those that runs of the history have met.
Versions and limits are those of the last run in which the agent answered; nothing is sent.
Exit code: 0; 2 wrong usage; 4 the history cannot be read; 5 output could not be written.";
