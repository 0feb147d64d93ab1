//! The seal of a sealed datagram: HMAC-SHA-256 under the stream's key, cut to 128 bits.
//!
//! The key comes over the control channel, so a datagram with a good seal is from the peer that
//! was admitted there. As in STAMP's authenticated mode (RFC 8762, section 4.4), half the digest
//! is kept.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
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
