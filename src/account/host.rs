//! What a host reports of itself.

use super::{Fact, Invalid, WallClock};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a host counted of its own drops, errors and clock while a trial ran.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostCounts {
    /// Packets that the queue of its interface dropped.
    pub queue_drops: u64,
    /// Packets that its kernel or network card dropped before they reached a socket.
    pub kernel_drops: u64,
    /// Datagrams with a wrong UDP checksum.
    pub checksum_errors: u64,
    /// Number of times that its wall clock was stepped.
    pub clock_steps: u64,
    /// The next hop of what it sends, if that did not answer ARP or neighbour discovery for a
    /// time: what its kernel accepted then may never have left it. Null if it was always known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unresolved_next_hop: Option<UnresolvedNextHop>,
    /// Noise of its timestamps, in ns: from the kernel's transmit timestamp to its receive
    /// timestamp of a datagram over its own loopback, the 99th percentile of 100; null if not
    /// measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_noise_ns: Option<u64>,
    /// Whether its network card, and not its kernel, timestamped the probes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hardware_timestamps: bool,
    /// Its wall clock, as it states it to the other end; a record has it as
    /// `round_trip.stated_clocks`. Null if no time service keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<WallClock>,
}

impl Fact for HostCounts {
    fn check(&self) -> Result<(), Invalid> {
        self.unresolved_next_hop.iter().try_for_each(Fact::check)?;
        self.wall_clock.iter().try_for_each(Fact::check)
    }
}

/// A next hop whose link-layer address a host asked for in vain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnresolvedNextHop {
    /// Its IP address.
    pub address: IpAddr,
    /// For how long at most its address was not known while the far end was being heard, in ns.
    pub unresolved_ns: u64,
}

impl Fact for UnresolvedNextHop {
    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(0 < self.unresolved_ns, "a next hop that was unresolved for no time")
    }
}

/// A host.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostFacts {
    /// Its kernel's name and release, such as `Linux 6.1.0`.
    pub kernel: String,
    /// Its processor architecture, such as `x86_64`.
    pub machine: String,
    /// Number of processors that the program may use.
    pub processors: u32,
}

impl Fact for HostFacts {
    fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::refuses_absurd_numbers;

    #[test]
    fn what_a_host_reports_is_read_back_whole_and_absurd_counts_are_refused() {
        let hop = |unresolved_ns| {
            let address = IpAddr::from([10, 1, 1, 1]);
            Some(UnresolvedNextHop { address, unresolved_ns })
        };
        let counts = HostCounts {
            queue_drops: 1,
            timestamp_noise_ns: Some(9),
            unresolved_next_hop: hop(1),
            ..HostCounts::default()
        };
        refuses_absurd_numbers(&counts);
        assert!(HostCounts { unresolved_next_hop: hop(0), ..counts }.check().is_err());
        let kernel = "Linux 6.1.0".to_owned();
        refuses_absurd_numbers(&HostFacts { kernel, processors: 2, ..HostFacts::default() });
    }
}
