//! What will be qualified: the link and its far ends, the tests to run, what is required, and what
//! a limit allows.
//!
//! Values only: nothing here measures, judges or sends. A [`Trial`] that exists is within the
//! bounds of this module, whether it came from a plan, the command line or over the network.

pub mod file;

mod asked;
mod beside;
mod bounds;
mod dscp;
mod link;
mod requirement;
mod shares;
mod trial;

pub use beside::{Beside, KnownRate};
pub use bounds::{
    BURST_OCTETS, DURATION_MAX, DURATION_MIN, HEARTBEATS, HEARTBEATS_NARROW, MTU_MAX, MTU_MIN,
    OutOfBounds, PACKET_RATE_MAX, PACKET_RATE_MIN, PAYLOAD_MAX, PAYLOAD_MIN, PROBES_PER_SECOND,
    PROBES_PER_SECOND_MIN, ROUND_TRIP_MAX, STREAMS_MAX,
};
pub use dscp::Dscp;
pub use link::{
    BurstSize, CIRCUIT_LEN_MAX, Host, IDLE_DEFAULT, Link, Near, Offer, PORT, Plan, Site, TcpTest,
    Test, UdpTest, Work, is_circuit, is_device,
};
pub use requirement::{
    Bound, FORGIVEN_MIN, Metric, OneWay, Requirement, Requirements, RoundTrip,
    TCP_PACE_SPARE_PERCENT, tcp_paced_at_least,
};
pub use trial::{CongestionControl, Load, LoadKind, SILENCE_MIN_LEAST, TcpLoad, Trial};

use crate::units::{BitRate, Span};

/// What an agent lets a driver do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The highest rate in one direction, of untagged Ethernet frames (L2).
    pub rate_max: BitRate,
    /// The longest that load may be sent under one grant.
    pub duration_max: Span,
}
