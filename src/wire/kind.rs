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
/// A probe begins with its sequence number, so it is known by the TLV behind STAMP's base. The two
/// cannot be mixed up: no grant lets a probe's sequence number reach the mark's 1.28 * 10^9.
#[must_use]
pub fn kind_of(datagram: &[u8]) -> Option<Kind> {
    if probe::has_token(datagram) {
        return Some(Kind::Probe);
    }
    if !datagram.starts_with(&MARK) {
        return None;
    }
    match *datagram.get(MARK.len())? {
        load::KIND => Some(Kind::Load),
        _ => Some(Kind::Signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            _ = load::Header::parse(&octets);
        }
    }

    #[test]
    fn strangers_are_told_apart() {
        assert_eq!(kind_of(b""), None);
        assert_eq!(kind_of(b"GET / HTTP/1.1"), None);
        assert_eq!(kind_of(&MARK), None);
        assert_eq!(kind_of(&[0x4c, 0x51, 1, load::KIND]), Some(Kind::Load));
        assert_eq!(kind_of(&[0x4c, 0x51, 2, load::KIND]), None);
        assert_eq!(kind_of(&[0; 44]), None);
    }
}
