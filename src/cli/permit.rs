//! The arguments by which a run may load a link.

use clap::Args;

/// What lets a run load its links.
#[derive(Args, Clone, Debug, Default)]
pub struct PermitArgs {
    /// Nobody uses the link: load it without asking, also if the plan says that it is in service
    #[arg(long)]
    pub out_of_service: bool,
    /// Load the link without asking
    #[arg(long, short)]
    pub yes: bool,
    /// The ID of the change that allows the load; recorded with the run
    #[arg(long, value_name = "ID")]
    pub change: Option<String>,
    /// Load in spite of a blackout, for this reason, which is recorded with the run
    #[arg(long, value_name = "REASON")]
    pub override_blackout: Option<String>,
}
