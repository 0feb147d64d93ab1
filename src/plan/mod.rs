//! What will be qualified: the link and its far ends, the tests to run, and what is required.
//!
//! Values only: nothing here measures, judges or sends. A [`Plan`] that exists is a valid one,
//! whether it came from a file or from the command line.

pub mod file;

mod host;
mod link;

pub use crate::wire::PORT;
pub use host::{Host, one_hosts};
pub use link::{IDLE_DEFAULT, Link, Near, Offer, Plan, Site, TcpTest, Test, UdpTest, Work};
