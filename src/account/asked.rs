//! What was asked of a trial, as wire and record carry it: numbers and names. The head's own type,
//! `plan::Trial`, is made of it, within the bounds of `plan`.

use crate::direction::PerDirection;
use serde::{Deserialize, Serialize};

/// A trial: probes, and a load beside them or none.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedTrial {
    /// How long packets are due, in ns.
    pub duration_ns: u64,
    /// The differentiated services code point of every packet, 0 to 63.
    #[serde(default)]
    pub dscp: u8,
    /// Probes due each second.
    pub probe_packets_s: u64,
    /// Its UDP load; null where it has none.
    #[serde(default)]
    pub udp: Option<AskedUdp>,
    /// Its TCP load; null where it has none.
    #[serde(default)]
    pub tcp: Option<AskedTcp>,
}

/// The UDP load of a trial.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedUdp {
    /// Packets due each second of all streams together, by direction; null where none are sent.
    pub packets_s: PerDirection<Option<u64>>,
    /// Streams in each direction.
    pub streams: u32,
    /// Octets of UDP payload of each packet.
    pub payload_octets: u32,
    /// Whether the load is sent as fast as possible, up to that rate: its loss and delay are then
    /// not judged.
    pub capacity: bool,
    /// The most octets of payload of a stream sent at once; null where that follows from its rate.
    #[serde(default)]
    pub burst_max_octets: Option<u32>,
}

/// The TCP load of a trial.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedTcp {
    /// The most payload of all streams together, in bit/s, by direction; null where none is sent.
    pub payload_bit_s: PerDirection<Option<u64>>,
    /// Streams in each direction.
    pub streams: u32,
    /// Octets of the largest IP packet that crosses the path.
    pub path_mtu_octets: u32,
    /// The congestion control asked for, by the kernel's name.
    pub congestion_control: String,
    /// Whether the load is sent as fast as possible, up to that rate.
    pub capacity: bool,
    /// Whether receivers compare the payload received with the payload sent.
    #[serde(default)]
    pub verify: bool,
    /// The round trip of the idle link in ns, which buffers are to span; null where not known.
    #[serde(default)]
    pub idle_round_trip_ns: Option<u64>,
}
