//! What one trial puts on the link, which bounds hold for it, and what an agent allows.
//!
//! Values only: nothing here measures, judges or sends. A [`Trial`] that exists is within the
//! bounds of this module, whether it came from a plan, the command line or over the network. Which
//! trials a migration needs is for `plan` to say, which stands above the metrics, as it requires
//! them; the data plane, the limits and the metrics need to know no more than a trial.

mod asked;
mod beside;
mod bounds;
mod dscp;
mod load;
mod shares;

pub use beside::{Beside, KnownRate};
pub use bounds::{
    BURST_OCTETS, DURATION_MAX, DURATION_MIN, HEARTBEATS, HEARTBEATS_NARROW, MTU_MAX, MTU_MIN,
    OutOfBounds, PACKET_RATE_MAX, PACKET_RATE_MIN, PAYLOAD_MAX, PAYLOAD_MIN, PROBES_PER_SECOND,
    PROBES_PER_SECOND_MIN, ROUND_TRIP_MAX, STREAMS_MAX,
};
pub use dscp::Dscp;
pub use load::{
    CongestionControl, Load, LoadKind, SILENCE_MIN_LEAST, TCP_PACE_SPARE_PERCENT, TcpLoad, Trial,
    tcp_paced_at_least,
};

use crate::units::{BitRate, Span};

/// What an agent lets a driver do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The highest rate in one direction, of untagged Ethernet frames (L2).
    pub rate_max: BitRate,
    /// The longest that load may be sent under one grant.
    pub duration_max: Span,
}
