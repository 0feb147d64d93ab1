//! The health of a link that is watched: what its probes show second by second, and what follows
//! from that. Pure: seconds come in, states and rows go out.

mod second;

pub use second::{Carried, Class, Second};
