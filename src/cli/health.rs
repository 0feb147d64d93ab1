//! The arguments of the commands about links that are watched: their health, alerts, maintenance
//! and notes.

use super::history::HistoryPlaceArgs;
use crate::health::Moment;
use crate::health::record::NoteKind;
use crate::history::When;
use clap::{Args, Subcommand};

/// `linkqual health`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0 no link fails; 1 one does; 2 wrong usage, or there is no history; 3 no link fails, and
nothing is known of one; 4 the history cannot be read; 5 output could not be written.")]
pub struct HealthArgs {
    /// This link alone
    #[arg(long, value_name = "LINK")]
    pub link: Option<String>,
    /// Print how states changed since then instead: 90min, 12h, 30d or 8w ago, or a date in UTC
    #[arg(long, value_name = "TIME")]
    pub events: Option<When>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// `linkqual alerts`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AlertsArgs {
    /// What to do in the place of listing them.
    #[command(subcommand)]
    pub command: Option<AlertsCommand>,
    /// Also those that are over, and began since then: 90min, 12h, 30d or 8w ago, or a date in UTC
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// What `linkqual alerts` does beside listing them.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum AlertsCommand {
    /// Send a test notification to each receiver of alerts.toml
    Test,
}

/// `linkqual ack`.
#[derive(Args, Debug)]
pub struct AckArgs {
    /// The alert, as linkqual alerts shows it
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// Who takes care of it; you if not given
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Until when nobody is reminded of it: 90min, 4h or 2d from now, or a date and a time
    #[arg(long, value_name = "TIME", default_value = "8h")]
    pub until: Moment,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// `linkqual maintenance`.
#[derive(Args, Debug)]
#[command(after_help = "\
Times: now; 90min, 4h or 2d from now (--to: from --from); or a date and a time such as
\"2026-12-05 22:00\" by this host's clock, or 2026-12-05T22:00:00+08:00. A link in maintenance is
probed and not loaded, and nobody is alerted.")]
pub struct MaintenanceArgs {
    /// The link, by its name
    #[arg(value_name = "LINK", required_unless_present = "list")]
    pub link: Option<String>,
    /// List maintenance
    #[arg(long, conflicts_with_all = ["link", "from", "to", "reason", "ticket", "end"])]
    pub list: bool,
    /// When it begins
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub from: Moment,
    /// When it ends
    #[arg(long, value_name = "TIME", required_unless_present_any = ["end", "list"])]
    pub to: Option<Moment>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["end", "list"])]
    pub reason: Option<String>,
    /// The change or the ticket
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// End it now
    #[arg(long, conflicts_with_all = ["to", "reason", "ticket"])]
    pub end: bool,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

/// `linkqual note`.
#[derive(Args, Debug)]
pub struct NoteArgs {
    /// The link, by its name
    #[arg(value_name = "LINK", required_unless_present = "list")]
    pub link: Option<String>,
    /// What there is to say
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// List the notes
    #[arg(long, conflicts_with_all = ["link", "text", "from", "to", "kind", "ticket"])]
    pub list: bool,
    /// From when
    #[arg(long, value_name = "TIME", required_unless_present = "list")]
    pub from: Option<Moment>,
    /// Until when
    #[arg(long, value_name = "TIME", required_unless_present = "list")]
    pub to: Option<Moment>,
    /// Whose doing it was
    #[arg(long, value_name = "KIND", required_unless_present = "list", value_parser = kinds())]
    pub kind: Option<NoteKind>,
    /// The provider's ticket, or your own
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// Which history.
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = NoteKind> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    PossibleValuesParser::new(NoteKind::ALL.map(NoteKind::name)).map(|name| {
        let is_it = |kind: &NoteKind| kind.name() == name;
        NoteKind::ALL.into_iter().find(is_it).expect("a name of the list")
    })
}
