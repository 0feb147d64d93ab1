//! What will be qualified: the link and its far ends, the tests to run, and what is required.
//!
//! Values only: nothing here measures, judges or sends. A [`Plan`] that exists is a valid one,
//! whether it came from a file or from the command line.

pub mod file;

mod link;

pub use link::{
    Host, IDLE_DEFAULT, Link, Near, Offer, PORT, Plan, Site, TcpTest, Test, UdpTest, Work,
};
