//! The health of a link that is watched: what its probes show second by second, and what follows
//! from that. Pure: seconds come in, states and rows go out.

mod collector;
pub mod entered;
pub mod listing;
mod maintenance;
mod moment;
mod observed;
pub mod record;
mod rollup;
mod rows;
mod second;
pub mod state;
pub mod summary;

pub use crate::stats::availability::Class;
pub use collector::{Collector, SeriesId};
pub use maintenance::{Calendar, Maintained};
pub use moment::Moment;
pub use observed::{Observed, Reach};
pub use rollup::{Batch, PathBatch, PathRows, Rollup};
pub use rows::{
    End, HOUR_S, HOURS_DAYS, HourOfSeconds, MINUTES_DAYS, Outage, PathName, Period, SECONDS_DAYS,
    Sum, Way,
};
pub use second::{Carried, Second};
