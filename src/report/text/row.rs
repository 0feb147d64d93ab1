//! What a row of a report is about: its load, and what stands around a payload of it.

use crate::account::{AskedTcp, AskedUdp};
use crate::framing::Framing;
use crate::report::Row;
use crate::units::PacketRate;

/// What stands around a payload of `row`.
pub(super) const fn framing(row: &Row<'_>) -> Framing {
    Framing {
        ip: row.site.ends.ip,
        vlan_tags: row.link.vlan_tags,
        extra_overhead_octets: row.link.extra_overhead_octets,
    }
}

/// The UDP load that is sent in the row's direction, and its packets per second.
pub(super) fn udp<'a>(row: &Row<'a>) -> Option<(&'a AskedUdp, PacketRate)> {
    let load = row.trial.asked.udp.as_ref()?;
    Some((load, PacketRate::try_from((*load.rate.get(row.direction))?).ok()?))
}

/// The TCP load that is sent in the row's direction, and its payload in bit/s.
pub(super) fn tcp<'a>(row: &Row<'a>) -> Option<(&'a AskedTcp, u64)> {
    let load = row.trial.asked.tcp.as_ref()?;
    Some((load, (*load.payload_bit_s.get(row.direction))?))
}

/// Streams of the load that is sent in the row's direction.
pub(super) fn streams(row: &Row<'_>) -> u32 {
    let udp = udp(row).map(|(load, _)| load.streams);
    udp.or(tcp(row).map(|(load, _)| load.streams)).unwrap_or(0)
}
