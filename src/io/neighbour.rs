//! Whether the next hop of a trial's packets answers this host's ARP or neighbour discovery.
//!
//! Where it does not, the kernel holds back about a hundred packets and drops all others before the
//! device. It has accepted them, and counts them nowhere that a program of one network namespace
//! could read: the state of the next hop's entry is what shows it. The entry is looked at a few
//! times a second; the kernel does not report each change of it.
//!
//! A line that is dead carries no ARP either where the next hop stands behind it. So the entry
//! counts only while the far end is being heard: where nothing comes at all, the line may be why,
//! and that is what is measured.

use super::clock;
use super::netlink::{self, NextHop};
use crate::account::UnresolvedNextHop;
use crate::clock::Stamp;
use std::net::{IpAddr, SocketAddr};

/// The entry of the next hop during a trial.
#[derive(Debug)]
pub struct NextHopWatch<C> {
    /// `None` where packets leave without one, such as over loopback.
    hop: Option<NextHop>,
    /// When it was last seen to be usable, or not to be there.
    usable_at: Stamp<C>,
    is_unresolved: bool,
    unresolved_ns: u64,
}

impl<C> NextHopWatch<C> {
    /// Looks at the next hop of what `local` sends to `peer`, from now on.
    #[must_use]
    pub fn begin(local: Option<IpAddr>, peer: SocketAddr, device: Option<&str>) -> Self {
        let peer = peer.ip().to_canonical();
        let local = local.map(|local| local.to_canonical());
        let device = device.and_then(super::host::index_at);
        let hop = netlink::next_hop(local, peer, device).unwrap_or_else(|error| {
            tracing::debug!(%peer, %error, "the route cannot be read");
            None
        });
        Self { hop, usable_at: clock::now(), is_unresolved: false, unresolved_ns: 0 }
    }

    /// Looks again, while the far end is being heard or is not.
    pub fn look(&mut self, is_heard: bool) {
        let Some(hop) = self.hop else { return };
        match netlink::is_unresolved(hop) {
            Ok(is_unresolved) => self.note(clock::now(), is_unresolved, is_heard),
            Err(error) => {
                tracing::debug!(%error, "the neighbours cannot be read");
                self.hop = None;
            }
        }
    }

    /// Between two looks it may have changed at any time: the whole of it counts.
    fn note(&mut self, now: Stamp<C>, is_unresolved: bool, is_heard: bool) {
        if is_heard && (self.is_unresolved || is_unresolved) {
            self.unresolved_ns += now.nanos_since(self.usable_at);
        }
        (self.usable_at, self.is_unresolved) = (now, is_unresolved);
    }

    /// The next hop and for how long it was unresolved, up to now and at most; `None` where it
    /// never was.
    #[must_use]
    pub fn end(mut self, is_heard: bool) -> Option<UnresolvedNextHop> {
        self.look(is_heard);
        let (address, unresolved_ns) = (self.hop?.address, self.unresolved_ns);
        (0 < unresolved_ns).then_some(UnresolvedNextHop { address, unresolved_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;

    #[test]
    fn the_whole_time_between_a_look_that_shows_it_and_its_neighbours_counts() {
        let mut watch: NextHopWatch<Driver> = NextHopWatch {
            hop: None,
            usable_at: Stamp::from_nanos(0),
            is_unresolved: false,
            unresolved_ns: 0,
        };
        for (ms, is_unresolved) in [(100, false), (200, true), (300, true), (400, false)] {
            watch.note(Stamp::from_nanos(ms * 1_000_000), is_unresolved, true);
        }
        assert_eq!(watch.unresolved_ns, 300_000_000, "from 100 to 400 ms");
        watch.note(Stamp::from_nanos(500_000_000), false, true);
        assert_eq!(watch.unresolved_ns, 300_000_000);
        // The far end fell silent: the line may be dead, with the next hop behind it.
        for ms in [600, 3_000] {
            watch.note(Stamp::from_nanos(ms * 1_000_000), true, false);
        }
        assert_eq!(watch.unresolved_ns, 300_000_000);
        watch.note(Stamp::from_nanos(3_200_000_000), true, true);
        assert_eq!(watch.unresolved_ns, 500_000_000, "it is heard again, and the hop is not there");
    }

    #[test]
    fn loopback_has_no_next_hop() {
        let local = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut watch = NextHopWatch::<Driver>::begin(None, local, None);
        watch.look(true);
        assert_eq!((watch.hop.is_some(), watch.end(true)), (false, None));
    }
}
