//! The header of a load datagram. All fields are big-endian.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+---------------+---------------+
//! |         mark (0x4c51)         |  version (1)  |   kind (1)    |
//! +-------------------------------+---------------+---------------+
//! |                     stream number (32 bit)                    |
//! +---------------------------------------------------------------+
//! |                      stream token (64 bit)                    |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |                     sequence number (64 bit)                  |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |       due, ns since the stream's first packet (64 bit)        |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |       left late by, ns, at most 2^32 - 1 (32 bit)             |
//! +---------------------------------------------------------------+
//! |              payload, incompressible …                        |
//! ```
//!
//! The sequence number counts what the sender's kernel accepted, so it has no gaps of the sender's
//! own making. *Due* is the packet's place in the schedule: what is counted by time is counted by
//! it, alike at both ends, whatever the two clocks show.

use crate::wire::{MARK, Malformed, StreamNumber, Token, be, be32};
use std::ops::Range;

/// The header's code for its kind.
pub const KIND: u8 = 1;

/// Octets of the header: the smallest payload of a load datagram.
pub const HEADER_LEN: usize = field::LATENESS.end;

mod field {
    use super::Range;

    pub(super) const MARK: Range<usize> = 0..3;
    pub(super) const KIND: usize = 3;
    pub(super) const STREAM: Range<usize> = 4..8;
    pub(super) const TOKEN: Range<usize> = 8..16;
    pub(super) const SEQUENCE: Range<usize> = 16..24;
    pub(super) const DUE: Range<usize> = 24..32;
    pub(super) const LATENESS: Range<usize> = 32..36;
}

const _: () = assert!(HEADER_LEN == 36, "the diagram above says 36 octets");

/// A load datagram's header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Which stream of the trial.
    pub stream: StreamNumber,
    /// The stream's secret.
    pub token: Token,
    /// Counts the stream's accepted packets from 0.
    pub sequence: u64,
    /// When it was due, in nanoseconds after the stream's first packet.
    pub due_ns: u64,
    /// How much later than due it left, in nanoseconds.
    pub lateness_ns: u32,
}

impl Header {
    /// Writes the header to the front of `datagram`.
    ///
    /// # Panics
    ///
    /// Panics if `datagram` is shorter than [`HEADER_LEN`]: the sender's own sizes are wrong.
    pub fn emit(&self, datagram: &mut [u8]) {
        let len = datagram.len();
        assert!(HEADER_LEN <= len, "no room for a load header in {len} octets");
        datagram[field::MARK].copy_from_slice(&MARK);
        datagram[field::KIND] = KIND;
        datagram[field::STREAM].copy_from_slice(&self.stream.to_be_bytes());
        datagram[field::TOKEN].copy_from_slice(&self.token.0.to_be_bytes());
        datagram[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        datagram[field::DUE].copy_from_slice(&self.due_ns.to_be_bytes());
        datagram[field::LATENESS].copy_from_slice(&self.lateness_ns.to_be_bytes());
    }

    /// Reads the header at the front of `datagram`, which may be anyone's.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let Some(header) = datagram.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated { len: datagram.len(), needed: HEADER_LEN });
        };
        if header[field::MARK] != MARK || header[field::KIND] != KIND {
            return Err(Malformed::NotOurs);
        }
        Ok(Self {
            stream: be32(&header[field::STREAM]),
            token: Token(be(&header[field::TOKEN])),
            sequence: be(&header[field::SEQUENCE]),
            due_ns: be(&header[field::DUE]),
            lateness_ns: be32(&header[field::LATENESS]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        stream: 7,
        token: Token(0x0102_0304_0506_0708),
        sequence: 42,
        due_ns: 1_000_000_001,
        lateness_ns: 0x1122_3344,
    };

    /// Golden: these octets are the protocol. A change here is a change of version.
    const OCTETS: [u8; HEADER_LEN] = [
        0x4c, 0x51, 1, 1, // mark, version, kind
        0, 0, 0, 7, // stream
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
        0, 0, 0, 0, 0, 0, 0, 42, // sequence
        0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0x01, // due
        0x11, 0x22, 0x33, 0x44, // lateness
    ];

    #[test]
    fn emits_the_golden_octets_and_no_more() {
        let mut datagram = [0xa5; HEADER_LEN + 4];
        HEADER.emit(&mut datagram);
        assert_eq!(datagram[..HEADER_LEN], OCTETS);
        assert_eq!(datagram[HEADER_LEN..], [0xa5; 4]);
    }

    #[test]
    fn parses_the_golden_octets() {
        assert_eq!(Header::parse(&OCTETS), Ok(HEADER));
    }

    #[test]
    fn refuses_every_truncation() {
        for len in 0..HEADER_LEN {
            let refusal = Malformed::Truncated { len, needed: HEADER_LEN };
            assert_eq!(Header::parse(&OCTETS[..len]), Err(refusal));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_or_seen() {
        for bit in 0..HEADER_LEN * 8 {
            let mut octets = OCTETS;
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Header::parse(&octets), Ok(HEADER), "bit {bit} means nothing");
        }
    }
}
