//! What was asked of a trial, as wire and record carry it: numbers and names. The head's own type,
//! `trial::Trial`, is made of it, within the bounds of `trial`.

use crate::direction::PerDirection;
use serde::{Deserialize, Serialize};

/// What a trial sends: probes, and at most one load (UDP or TCP) beside them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedTrial {
    /// Duration in which packets are due, in ns.
    pub duration_ns: u64,
    /// DSCP of every packet, a number from 0 to 63.
    #[serde(default)]
    pub dscp: u8,
    /// Rate of the probes.
    pub probe_rate: AskedRate,
    /// Rate of the heartbeats that the receivers of a direction's load return together; null in
    /// records converted from format 2, whose load alone was at the rate that was asked, rounded up
    /// to whole packets per second and stream.
    #[serde(default)]
    pub heartbeat_rate: Option<AskedRate>,
    /// Round-trip time of the idle link, in ns, which silence and TCP's buffers allow for; null if
    /// not known.
    #[serde(default)]
    pub idle_round_trip_ns: Option<u64>,
    /// Whether it repeats the trial before it for longer, as that proved neither PASS nor FAIL of a
    /// throughput. Where that was so in a direction, and this one ran to its end, this one alone
    /// judges the throughput of that direction; absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lengthened: bool,
    /// The shortest interval without an arrival that is recorded, in ns; absent for 50 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_min_ns: Option<u64>,
    /// Of the duration: time at its start in which a UDP load rises to its rate by steps of a
    /// tenth, as the link is in service; in ns. Throughput is judged by what follows. Absent if it
    /// has its rate at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_ns: Option<u64>,
    /// The UDP load; null if there is none.
    #[serde(default)]
    pub udp: Option<AskedUdp>,
    /// The TCP load; null if there is none.
    #[serde(default)]
    pub tcp: Option<AskedTcp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A packet rate as an exact fraction: so many packets are due in so many seconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedRate {
    /// Packets due in `seconds`.
    pub packets: u64,
    /// Seconds in which `packets` are due.
    pub seconds: u64,
}

/// The UDP load of a trial.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedUdp {
    /// Packet rate of all streams together, by direction; null for a direction without load.
    pub rate: PerDirection<Option<AskedRate>>,
    /// Number of streams in each direction.
    pub streams: u32,
    /// Octets of UDP payload per packet.
    pub payload_octets: u32,
    /// Whether the load is sent as fast as possible, up to that rate. Its loss and delay are not
    /// judged then.
    pub capacity: bool,
    /// Maximum octets of payload that a stream sends at once; null for the default, which depends
    /// on the rate.
    #[serde(default)]
    pub burst_max_octets: Option<u32>,
}

/// The TCP load of a trial.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AskedTcp {
    /// Maximum payload of all streams together, in bit/s, by direction; null for a direction
    /// without load.
    pub payload_bit_s: PerDirection<Option<u64>>,
    /// Number of streams in each direction.
    pub streams: u32,
    /// Octets of the largest IP packet that crosses the path.
    pub path_mtu_octets: u32,
    /// The congestion control that was requested, by its name in the kernel.
    pub congestion_control: String,
    /// Whether the load is sent as fast as possible, up to that rate.
    pub capacity: bool,
    /// Whether receivers compare the payload received with the payload sent.
    #[serde(default)]
    pub verify: bool,
}
