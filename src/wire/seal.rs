//! The seal of a sealed datagram: HMAC-SHA-256, cut to 128 bits; and the tag of a load datagram:
//! SipHash-2-4, 64 bits.
//!
//! A stream's key comes over the control channel, so a datagram with a good seal is from the peer
//! that was admitted there. As in STAMP's authenticated mode (RFC 8762, section 4.4), half the
//! digest is kept. No two uses share a key: each direction has its own for seals and for tags, made
//! from the stream's key, so that what one end sent is never taken for the other's when somebody
//! sends it back.
//!
//! Load is sent by the million packets per second, so HMAC would be most of its cost. SipHash-2-4
//! is made for this: a keyed function (PRF) of short inputs, a few nanoseconds for a header.

use crate::direction::Direction;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use std::fmt;

/// Octets of a seal.
pub const SEAL_LEN: usize = 16;

/// Octets of a key.
pub const KEY_LEN: usize = 32;

/// A stream's key, ready to seal with.
#[derive(Clone)]
pub struct Sealer {
    mac: Hmac<Sha256>,
}

impl Sealer {
    /// Seals under `key`.
    ///
    /// # Panics
    ///
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self { mac }
    }

    /// The seal of `parts`, one after the other.
    #[must_use]
    pub fn seal(&self, parts: &[&[u8]]) -> [u8; SEAL_LEN] {
        let digest = self.mac_of(parts).finalize().into_bytes();
        let mut seal = [0; SEAL_LEN];
        seal.copy_from_slice(&digest[..SEAL_LEN]);
        seal
    }

    /// Whether `seal` is that of `parts`; takes as long whichever octet is wrong.
    #[must_use]
    pub fn holds(&self, parts: &[&[u8]], seal: &[u8]) -> bool {
        seal.len() == SEAL_LEN && self.mac_of(parts).verify_truncated_left(seal).is_ok()
    }

    fn mac_of(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        parts.iter().fold(self.mac.clone(), |mac, part| mac.chain_update(part))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// One end's seals of a stream: what it sends and what it receives have different keys.
#[derive(Clone, Debug)]
pub struct Seals {
    /// For what this end sends.
    pub sent: Sealer,
    /// For what the other end sends.
    pub received: Sealer,
}

impl Seals {
    /// The seals of a stream with this key, at the end that sends in the direction `sends`: the
    /// driver's is forward.
    #[must_use]
    pub fn of(key: &[u8; KEY_LEN], sends: Direction) -> Self {
        let sealer = |direction| Sealer::new(&derived(key, "seal", direction));
        let receives = match sends {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        };
        Self { sent: sealer(sends), received: sealer(receives) }
    }
}

/// A load stream's key, ready to tag with.
#[derive(Clone, Copy)]
pub struct Tagger {
    hasher: SipHasher24,
}

impl Tagger {
    /// Tags load that goes in `direction`, of the stream with this key.
    #[must_use]
    pub fn of(key: &[u8; KEY_LEN], direction: Direction) -> Self {
        let mut half = [0; KEY_LEN / 2];
        half.copy_from_slice(&derived(key, "tag", direction)[..KEY_LEN / 2]);
        Self { hasher: SipHasher24::new_with_key(&half) }
    }

    /// The tag of `octets`.
    #[must_use]
    pub fn tag(&self, octets: &[u8]) -> u64 {
        self.hasher.hash(octets)
    }
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagger(…)")
    }
}

/// What the payload of a TCP stream that goes in `direction` is made from: who only sees the stream
/// cannot go on with it.
#[must_use]
pub fn payload_key(key: &[u8; KEY_LEN], direction: Direction) -> [u8; KEY_LEN] {
    derived(key, "payload", direction)
}

/// The key for one use in one direction: HKDF-Expand (RFC 5869, section 2.3) of the stream's key,
/// which is random as it is.
fn derived(key: &[u8; KEY_LEN], purpose: &str, direction: Direction) -> [u8; KEY_LEN] {
    let way = match direction {
        Direction::Forward => "forward",
        Direction::Reverse => "reverse",
    };
    let info = ["linkqual ", purpose, " ", way].map(str::as_bytes);
    let mac = info.iter().fold(Sealer::new(key).mac, |mac, part| mac.chain_update(part));
    mac.chain_update([1]).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8762's authenticated packet; its digest was computed apart, by another program.
    #[test]
    fn seals_as_stamp_does() {
        let mut key = [0; KEY_LEN];
        key.iter_mut().zip(0..).for_each(|(octet, number)| *octet = number);
        let mut packet = [0; 96];
        packet[..4].copy_from_slice(&7_u32.to_be_bytes());
        packet[16..24].copy_from_slice(&0xed00_3780_8000_0000_u64.to_be_bytes());
        packet[24..26].copy_from_slice(&[0x8f, 0x84]);
        let expected = 0x2eb5_f091_bc7a_08a4_4ee5_cc95_bd4b_b408_u128.to_be_bytes();
        let sealer = Sealer::new(&key);
        assert_eq!(sealer.seal(&[&packet]), expected);
        assert_eq!(sealer.seal(&[&packet[..10], &packet[10..]]), expected);
        assert!(sealer.holds(&[&packet], &expected));
    }

    /// RFC 5869's first expansion; both were computed apart, by another program.
    #[test]
    fn each_use_has_a_key_of_its_own() {
        let mut key = [0; KEY_LEN];
        key.iter_mut().zip(0..).for_each(|(octet, number)| *octet = number);
        let [seal, back] = Direction::ALL.map(|direction| derived(&key, "seal", direction));
        let [tag, tag_back] = Direction::ALL.map(|direction| derived(&key, "tag", direction));
        assert_eq!(seal[..8], [0x17, 0x4f, 0x77, 0xd1, 0xd0, 0xe6, 0x4a, 0x5e]);
        assert_eq!(tag_back[..8], [0xe5, 0xcf, 0x6e, 0x26, 0x19, 0x9b, 0x62, 0x03]);
        let [payload, payload_back] = Direction::ALL.map(|direction| payload_key(&key, direction));
        let mut keys = [key, seal, back, tag, tag_back, payload, payload_back];
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn what_comes_back_to_its_sender_does_not_hold() {
        let [driver, agent] = Direction::ALL.map(|sends| Seals::of(&[0xa5; KEY_LEN], sends));
        let seal = driver.sent.seal(&[b"here"]);
        assert!(agent.received.holds(&[b"here"], &seal));
        assert!(!driver.received.holds(&[b"here"], &seal), "reflected");
        assert!(!agent.sent.holds(&[b"here"], &seal));
        let [forward, reverse] =
            Direction::ALL.map(|direction| Tagger::of(&[0xa5; KEY_LEN], direction).tag(b"here"));
        assert_ne!(forward, reverse);
    }

    /// The example of the paper that specifies it (Aumasson and Bernstein, 2012, appendix A).
    #[test]
    fn tags_are_siphash_2_4() {
        let (mut key, mut octets) = ([0; 16], [0; 15]);
        key.iter_mut().zip(0..).for_each(|(octet, number)| *octet = number);
        octets.iter_mut().zip(0..).for_each(|(octet, number)| *octet = number);
        let tagger = Tagger { hasher: SipHasher24::new_with_key(&key) };
        assert_eq!(tagger.tag(&octets), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn no_other_octets_hold() {
        let sealer = Sealer::new(&[0xa5; KEY_LEN]);
        let seal = sealer.seal(&[b"here"]);
        assert!(!sealer.holds(&[b"hers"], &seal));
        assert!(!sealer.holds(&[b"here"], &seal[..15]));
        assert!(!sealer.holds(&[b"here"], &[]));
        assert!(!Sealer::new(&[0x5a; KEY_LEN]).holds(&[b"here"], &seal));
    }
}
