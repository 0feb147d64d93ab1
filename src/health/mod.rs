//! The health of a link that is watched: what its probes show second by second, and what follows
//! from that. Pure: seconds come in, states and rows go out.

pub mod listing;
mod maintenance;
mod moment;
pub mod record;
mod second;
pub mod state;

pub use maintenance::{Calendar, Maintained};
pub use moment::Moment;
pub use second::{Carried, Class, Second};
