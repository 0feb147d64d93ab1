//! What a datagram claims to be, by its first octets.

use crate::wire::{MARK, load, probe};

/// What a datagram claims to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A load datagram.
    Load,
    /// A step of the handshake, or a heartbeat.
    Signal,
    /// A probe or its reply.
    Probe,
}

/// What `datagram` claims to be, or `None` where it is not ours.
///
/// A probe begins with its sequence number, so it is known by the TLV behind STAMP's base, but only
/// where the mark is not there: no grant lets a probe's sequence number reach the mark's
/// 1.28 * 10^9, while the payload of load may have any octets where a probe has its TLV.
#[must_use]
pub fn kind_of(datagram: &[u8]) -> Option<Kind> {
    if !datagram.starts_with(&MARK) {
        return probe::has_token(datagram).then_some(Kind::Probe);
    }
    match *datagram.get(MARK.len())? {
        load::KIND => Some(Kind::Load),
        _ => Some(Kind::Signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Direction;
    use crate::wire::{seal, signal};
    use proptest::prelude::*;

    proptest! {
        /// Anyone may send anything to an agent's port.
        #[test]
        fn any_datagram_is_read_or_refused(
            mark in any::<bool>(),
            mut octets in prop::collection::vec(any::<u8>(), 0..160),
        ) {
            if mark && MARK.len() <= octets.len() {
                octets[..MARK.len()].copy_from_slice(&MARK);
            }
            let sealer = seal::Sealer::new(&[1; seal::KEY_LEN]);
            _ = kind_of(&octets);
            assert!(probe::Probe::parse(&octets, &sealer).is_err(), "nobody guesses a seal");
            assert!(probe::Reply::parse(&octets, &sealer).is_err(), "nobody guesses a seal");
            assert!(signal::Signal::parse(&octets, &sealer).is_err(), "nobody guesses a seal");
            _ = probe::claimed(&octets);
            _ = signal::Signal::claimed(&octets);
            _ = load::Header::claimed(&octets);
            let tagger = seal::Tagger::of(&[1; seal::KEY_LEN], Direction::Forward);
            let header = load::Header::parse(&octets, octets.len(), &tagger);
            assert!(header.is_err(), "nobody guesses a tag");
        }
    }

    /// Else a change of the layouts leaves the fuzzer to find them anew.
    #[test]
    fn the_fuzzer_starts_from_datagrams_of_this_version() {
        let mut rest = &include_bytes!("../../tests/fuzz/seeds/probe/each-kind")[..];
        let mut kinds = Vec::new();
        while let [_, len, behind @ ..] = rest {
            let (datagram, next) = behind.split_at(usize::from(*len));
            let kind = kind_of(datagram).expect("a datagram of ours");
            match kind {
                Kind::Load => _ = load::Header::claimed(datagram).expect("a whole header"),
                Kind::Signal => _ = signal::Signal::claimed(datagram).expect("a whole signal"),
                Kind::Probe => _ = probe::claimed(datagram).expect("a whole probe"),
            }
            kinds.push(kind);
            rest = next;
        }
        assert!([Kind::Load, Kind::Signal, Kind::Probe].iter().all(|it| kinds.contains(it)));
    }

    #[test]
    fn strangers_are_distinguished() {
        assert_eq!(kind_of(b""), None);
        assert_eq!(kind_of(b"GET / HTTP/1.1"), None);
        assert_eq!(kind_of(&MARK), None);
        assert_eq!(kind_of(&[0x4c, 0x51, 2, load::KIND]), Some(Kind::Load));
        assert_eq!(kind_of(&[0x4c, 0x51, 1, load::KIND]), None);
        assert_eq!(kind_of(&[0; 44]), None);
        let mut probe = [0; probe::LEN_MIN];
        probe[44..48].copy_from_slice(&[0, 240, 0, 24]);
        assert_eq!(kind_of(&probe), Some(Kind::Probe));
        probe[..4].copy_from_slice(&[0x4c, 0x51, 2, load::KIND]);
        assert_eq!(kind_of(&probe), Some(Kind::Load), "whatever its payload is");
    }
}
