//! The database of the history: SQLite in a file, or PostgreSQL, by the same SQL.
//!
//! A run is written in one transaction, by its identifier: written again it takes the place of what
//! was there. So nothing is half written, whatever is killed, and a run that was kept aside
//! ([`spool`]) may be brought in twice.

mod agents;
mod available;
mod comparing;
mod connection;
mod copying;
mod document;
mod error;
mod leases;
mod opening;
mod place;
mod probed;
mod reading;
mod schema;
pub mod spool;
pub mod stops;
mod watched;
mod writing;

pub use available::Watched;
pub use comparing::RunSite;
pub use connection::Store;
pub use copying::Copied;
pub use error::Error;
pub use leases::{Leased, Wanted};
pub use place::Place;
pub use reading::Filter;
pub use watched::{Acknowledgement, EventFilter, KeptEvent};
pub use writing::{Audit, Expired};
