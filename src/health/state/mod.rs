//! The state of each watched link: of each direction, and of the round trip.
//!
//! Evidence comes in: seconds of probing, how the agent was reached, finished load runs,
//! maintenance, and whether a far host answers at its management address. States and events come
//! out, once for each second of the clock. Pure: the clock is an argument.
//!
//! | rule | figure |
//! |---|---|
//! | no reply at all | down after 3 s, up again after 10 good seconds in a row |
//! | a requirement that probes speak to | blocks of 10 s; 3 of the last 5 over it: fail |
//! | what is too thin for a block | an hour of blocks, 10 of them with losses |
//! | back again | none of the last 5 blocks over it |
//! | warning | the same at 80 % of the bound |
//! | nothing measured | indeterminate after 60 s |
//!
//! A block is over a bound where its probes exclude, with 99 % confidence, that the bound is kept.
//! Seconds of an outage count for no block: loss and delay are those of available time (Y.1564).

mod blocks;
mod bounds;
mod cause;
mod link;
mod load;
#[cfg(test)]
mod tests;
mod watched;
mod words;

pub use bounds::ProbeBounds;
pub use link::Contact;
pub use load::{LoadResult, LoadVerdict};
pub use watched::{Health, Watched};
pub use words::{Cause, Change, Changed, Current, Event, State, Subject};

/// Seconds of a block.
pub const BLOCK_S: i64 = 10;

/// After so many seconds without any reply a link is down.
pub const DOWN_S: i64 = 3;

/// After so many good seconds in a row it is up again (Y.1563 has as many).
pub const UP_S: i64 = 10;

/// For so long the cause of an outage may be undecided: links that share it are found to be down
/// within that time.
pub const DECIDE_S: i64 = 8;

/// After so many seconds of which nothing was measured, nothing is known.
pub const NO_DATA_S: i64 = 60;

/// The part of a bound above which a link is in warning.
pub const NEAR: f64 = 0.8;
