//! Who may have a connection: strangers a few each, drivers a few of each key, within what
//! descriptors the process may have.

use crate::policy::{KEY_RUNS_MAX, RUNS_MAX};
use crate::wire::key::PublicKey;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Connections of one source that may be open at once before they have shown a key. One more takes
/// the place of that source's oldest.
const SOURCE_MAX: usize = 16;

/// Descriptors that the process has beside connections and streams: its listeners, its log, those
/// of its runtime, and a file or two that it reads or writes now and then.
const BASE: u64 = 48;

/// How many of each the process has descriptors for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Budget {
    /// Connections that have not shown a key.
    pub(super) strangers: usize,
    /// Connections of drivers.
    pub(super) connections: usize,
    /// Streams of load.
    pub(super) streams: usize,
}

/// The most of each, where descriptors are plenty.
const STRANGERS_MAX: usize = 256;
const STREAMS_MAX: usize = 4_096;

impl Budget {
    /// What `descriptors` are enough for: strangers never take what drivers and their streams need.
    pub(super) fn of(descriptors: u64) -> Self {
        let spare = usize::try_from(descriptors.saturating_sub(BASE)).unwrap_or(usize::MAX);
        let strangers = (spare / 4).min(STRANGERS_MAX);
        let connections = (spare / 4).min(RUNS_MAX);
        let streams = (spare - strangers - connections).min(STREAMS_MAX);
        Self { strangers, connections, streams }
    }
}

/// Where a stranger comes from: an address, of IPv6 the network of 64 bits that one site has.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Connections that have not shown a key. One more than may be takes the place of the oldest of the
/// source that has most: whoever opens many displaces none but its own.
#[derive(Debug)]
pub(super) struct Strangers {
    places: VecDeque<(IpAddr, oneshot::Sender<()>)>,
    max: usize,
}

impl Strangers {
    pub(super) const fn new(max: usize) -> Self {
        Self { places: VecDeque::new(), max }
    }

    /// A place for one more, from `peer`; what is returned resolves when another takes it.
    pub(super) fn place(&mut self, peer: IpAddr) -> oneshot::Receiver<()> {
        self.places.retain(|(_, place)| !place.is_closed());
        let source = source(peer);
        let own = self.places.iter().filter(|(other, _)| *other == source).count();
        if SOURCE_MAX <= own {
            self.displace(source);
        } else if self.max <= self.places.len() {
            self.displace(self.largest().unwrap_or(source));
        }
        let (place, displaced) = oneshot::channel();
        self.places.push_back((source, place));
        displaced
    }

    /// The source that has most places; of several, the one whose oldest is oldest.
    fn largest(&self) -> Option<IpAddr> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.places.iter().for_each(|(source, _)| *counts.entry(*source).or_default() += 1);
        let most = counts.values().max()?;
        self.places
            .iter()
            .map(|(source, _)| *source)
            .find(|source| counts.get(source) == Some(most))
    }

    fn displace(&mut self, source: IpAddr) {
        let oldest = self.places.iter().position(|(other, _)| *other == source);
        // Dropped, its place resolves.
        _ = oldest.and_then(|oldest| self.places.remove(oldest));
    }
}

/// Connections of admitted drivers, counted by key: each run has one.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    max: usize,
    taken: Arc<Mutex<BTreeMap<PublicKey, usize>>>,
}

/// The place of one; dropped, it is free.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    key: PublicKey,
}

/// Why a driver has no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum NoSlot {
    /// All are taken.
    #[error("{0} drivers are connected, and this host has no descriptors for more")]
    Full(usize),
    /// Its key has as many as any may have.
    #[error("{0} connections of this key are open, and room is kept for others")]
    KeyFull(usize),
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// A place for a driver with `key`.
    pub(super) fn take(&self, key: PublicKey) -> Result<Slot, NoSlot> {
        // A key has its runs, and with few descriptors three quarters of all.
        let key_max = KEY_RUNS_MAX.min(self.max.saturating_sub(self.max / 4));
        let mut taken = self.taken();
        if self.max <= taken.values().sum() {
            return Err(NoSlot::Full(self.max));
        }
        let own = taken.entry(key).or_default();
        if key_max <= *own {
            return Err(NoSlot::KeyFull(key_max));
        }
        *own += 1;
        Ok(Slot { slots: self.clone(), key })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<PublicKey, usize>> {
        // What a task that panicked left is whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(own) = taken.get_mut(&self.key) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn is_displaced(place: &mut oneshot::Receiver<()>) -> bool {
        place.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    /// 1000 silent connections a second displaced a driver within its handshake in the first
    /// release.
    #[test]
    fn whoever_opens_many_connections_displaces_none_but_its_own() {
        let mut strangers = Strangers::new(64);
        let mut driver = strangers.place(address(1));
        let mut flood: Vec<_> = (0..1_000).map(|_| strangers.place(address(2))).collect();
        assert!(!is_displaced(&mut driver));
        let open =
            flood.iter_mut().filter_map(|place| (!is_displaced(place)).then_some(())).count();
        assert_eq!(open, SOURCE_MAX);
        assert_eq!(strangers.places.len(), 1 + SOURCE_MAX);
    }

    #[test]
    fn of_many_sources_the_one_that_has_most_gives_way() {
        let mut strangers = Strangers::new(20);
        let mut many: Vec<_> = (0..10).map(|_| strangers.place(address(1))).collect();
        let mut few: Vec<_> = (10..20).map(|last| strangers.place(address(last))).collect();
        let _one_more = strangers.place(address(99));
        assert!(is_displaced(&mut many[0]) && !is_displaced(&mut many[1]));
        assert!(!few.iter_mut().any(is_displaced));
        drop(many);
        let _place = strangers.place(address(98));
        assert_eq!(strangers.places.len(), 12, "what is over has no place");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let parse = |text: &str| source(text.parse().expect("an address"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), address(1));
    }

    #[test]
    fn a_key_leaves_a_quarter_of_the_connections_to_others() {
        let slots = Slots::new(8);
        let key = |octet: u8| {
            let mut spki = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
            spki.extend([octet; 32]);
            PublicKey::from_spki(&spki).expect("any 32 octets are one")
        };
        let mut own: Vec<Slot> = (0..6).map(|_| slots.take(key(1)).expect("room")).collect();
        assert_eq!(slots.take(key(1)).err(), Some(NoSlot::KeyFull(6)));
        let _others = [slots.take(key(2)).expect("room"), slots.take(key(3)).expect("room")];
        assert_eq!(slots.take(key(4)).err(), Some(NoSlot::Full(8)));
        own.pop();
        assert!(slots.take(key(1)).is_ok());
    }

    #[test]
    fn strangers_never_take_what_drivers_and_their_streams_need() {
        let plenty = Budget { strangers: 256, connections: 1_024, streams: 4_096 };
        assert_eq!(Budget::of(1 << 20), plenty);
        assert_eq!(Budget::of(1_024), Budget { strangers: 244, connections: 244, streams: 488 });
        assert_eq!(Budget::of(148), Budget { strangers: 25, connections: 25, streams: 50 });
        assert_eq!(Budget::of(3), Budget { strangers: 0, connections: 0, streams: 0 });
    }
}
