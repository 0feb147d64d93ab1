//! What one `linkqual check` asks: every part optional.

use crate::plan::{Course, Requirements};
use crate::units::{BitRate, Layer, Span};

/// The load that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// This rate, at the check's layer.
    Rate(BitRate),
    /// As fast as this host can, up to what the agent grants.
    Max,
}

/// One question to one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// The load; none where only idle probes are asked for.
    pub offer: Option<Offer>,
    /// What the line must do.
    pub requirements: Requirements,
    /// How long to load, or to probe where there is no load.
    pub duration: Option<Span>,
    /// Which ways to load.
    pub course: Course,
    /// Load streams in each direction.
    pub streams: u32,
    /// Octets of UDP payload; what fills the path's MTU where it is not given.
    pub payload: Option<u32>,
    /// The layer that every rate counts.
    pub layer: Layer,
    /// The provider's name of the circuit: the load lock's key.
    pub circuit: Option<String>,
}
