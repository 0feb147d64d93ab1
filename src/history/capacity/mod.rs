//! What a link carries of what it can carry, how that grows, and when it is full: the arithmetic
//! of capacity planning. Utilisation is what interface counters say; a load test says what is left
//! free, and never how much is used.

mod counters;
mod exhaustion;
mod usage;

pub use counters::{Counters, Faulty, Reading, read};
pub use exhaustion::{Exhaustion, Unknown, exhaustion};
pub use usage::{SAMPLE_S, Usage, usage};
