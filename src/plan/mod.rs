//! What will be qualified: the link and its far ends, the tests to run, and what is required.
//!
//! Values only: nothing here measures, judges or sends. A [`Plan`] that exists is a valid one,
//! whether it came from a file or from the command line.

pub mod file;

mod allowance;
mod blackout;
mod host;
mod inventory;
mod link;
mod maintenance;
mod rules;
mod set;
mod severity;
mod timing;

pub use crate::wire::PORT;
pub use blackout::{Blackout, Blackouts, Scope};
pub use host::{Host, one_hosts};
pub use inventory::{Contract, Inventory, LinkRole, MEMBERS_MAX, ProviderContact};
pub use link::{
    Effort, GivenKeys, IDLE_DEFAULT, IDLE_QUICK, Link, Near, Offer, Plan, Site, TcpTest, Test,
    UdpTest, WATCHED_AT, Work,
};
pub use maintenance::{Works, WorksWhen};
pub use rules::{AbortIf, Billing, LoadRules, Price, Witness};
pub use set::{PlanKind, PlanSet};
pub use severity::Severity;
pub use timing::{Opening, Rule, Timing, Window};
