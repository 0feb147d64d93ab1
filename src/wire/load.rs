//! The header of a load datagram. All fields are big-endian.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+---------------+---------------+
//! |         mark (0x4c51)         |  version (2)  |   kind (1)    |
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
//! |   tag of all before it and of the datagram's length (64 bit)  |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |              payload, incompressible …                        |
//! ```
//!
//! The tag is SipHash-2-4 under the stream's key for its direction, over the 36 octets before it
//! and the length in octets (32 bit): no bit of the header that a link flips, and no datagram that
//! somebody makes up, shortens or sends back, is taken for a packet of the stream.
//!
//! The sequence number counts what the sender's kernel accepted, so it has no gaps of the sender's
//! own making. *Due* is the packet's place in the schedule: what is counted by time is counted by
//! it, alike at both ends, whatever the two clocks show.

use crate::wire::seal::Tagger;
use crate::wire::{MARK, Malformed, StreamNumber, Token, be, be32};
use std::ops::Range;

/// The header's code for its kind.
pub const KIND: u8 = 1;

/// Octets of the header: the smallest payload of a load datagram.
pub const HEADER_LEN: usize = field::TAG.end;

mod field {
    use super::Range;

    pub(super) const MARK: Range<usize> = 0..3;
    pub(super) const KIND: usize = 3;
    pub(super) const STREAM: Range<usize> = 4..8;
    pub(super) const TOKEN: Range<usize> = 8..16;
    pub(super) const SEQUENCE: Range<usize> = 16..24;
    pub(super) const DUE: Range<usize> = 24..32;
    pub(super) const LATENESS: Range<usize> = 32..36;
    pub(super) const TAGGED: Range<usize> = 0..36;
    pub(super) const TAG: Range<usize> = 36..44;
}

/// Octets that are tagged: the header before the tag, and the length (32 bit).
const TAGGED_LEN: usize = field::TAGGED.end + 4;

const _: () = assert!(HEADER_LEN == 44, "the diagram above says 44 octets");

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
    /// Writes the header to the front of `datagram`, with its tag.
    ///
    /// # Panics
    ///
    /// Panics if `datagram` is shorter than [`HEADER_LEN`]: the sender's own sizes are wrong.
    pub fn emit(&self, datagram: &mut [u8], tagger: &Tagger) {
        let len = datagram.len();
        assert!(HEADER_LEN <= len, "no room for a load header in {len} octets");
        let tagged = self.tagged(len);
        let tag = tagger.tag(&tagged);
        datagram[field::TAGGED].copy_from_slice(&tagged[field::TAGGED]);
        datagram[field::TAG].copy_from_slice(&tag.to_be_bytes());
    }

    /// What is tagged in a datagram of `len` octets: the header before the tag, and `len`. It is
    /// put together by words, as the tag reads it: a processor is slow to read what it has just
    /// written in other pieces.
    fn tagged(&self, len: usize) -> [u8; TAGGED_LEN] {
        let [first, second, version] = MARK.map(u64::from);
        let kind = first << 56 | second << 48 | version << 40 | u64::from(KIND) << 32;
        // No datagram is longer than 2^16 octets.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let words = [
            kind | u64::from(self.stream),
            self.token.0,
            self.sequence,
            self.due_ns,
            u64::from(self.lateness_ns) << 32 | u64::from(len),
        ];
        let mut tagged = [0; TAGGED_LEN];
        for (octets, word) in tagged.chunks_exact_mut(8).zip(words) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
        tagged
    }

    /// Whose load `datagram` says it is: what finds the key that it must be tagged with.
    ///
    /// # Errors
    ///
    /// Where it is too short or not ours.
    pub fn claimed(datagram: &[u8]) -> Result<(StreamNumber, Token), Malformed> {
        let header = whole(datagram)?;
        Ok((be32(&header[field::STREAM]), Token(be(&header[field::TOKEN]))))
    }

    /// Reads the header at the front of a datagram of `len` octets, which may be anyone's; of
    /// those, `datagram` are at hand.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(datagram: &[u8], len: usize, tagger: &Tagger) -> Result<Self, Malformed> {
        let octets = whole(datagram)?;
        let header = Self {
            stream: be32(&octets[field::STREAM]),
            token: Token(be(&octets[field::TOKEN])),
            sequence: be(&octets[field::SEQUENCE]),
            due_ns: be(&octets[field::DUE]),
            lateness_ns: be32(&octets[field::LATENESS]),
        };
        let is_tagged = be(&octets[field::TAG]) == tagger.tag(&header.tagged(len));
        if is_tagged { Ok(header) } else { Err(Malformed::Unsealed) }
    }
}

fn whole(datagram: &[u8]) -> Result<&[u8; HEADER_LEN], Malformed> {
    let Some(header) = datagram.first_chunk::<HEADER_LEN>() else {
        return Err(Malformed::Truncated { len: datagram.len(), needed: HEADER_LEN });
    };
    let is_load = header[field::MARK] == MARK && header[field::KIND] == KIND;
    if is_load { Ok(header) } else { Err(Malformed::NotOurs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Direction;

    const HEADER: Header = Header {
        stream: 7,
        token: Token(0x0102_0304_0506_0708),
        sequence: 42,
        due_ns: 1_000_000_001,
        lateness_ns: 0x1122_3344,
    };

    /// Golden: these octets are the protocol. A change here is a change of version.
    const OCTETS: [u8; 36] = [
        0x4c, 0x51, 2, 1, // mark, version, kind
        0, 0, 0, 7, // stream
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
        0, 0, 0, 0, 0, 0, 0, 42, // sequence
        0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0x01, // due
        0x11, 0x22, 0x33, 0x44, // lateness
    ];

    fn tagger() -> Tagger {
        Tagger::of(&[0xa5; 32], Direction::Forward)
    }

    fn golden() -> [u8; HEADER_LEN + 4] {
        let mut datagram = [0xa5; HEADER_LEN + 4];
        HEADER.emit(&mut datagram, &tagger());
        datagram
    }

    fn parse(datagram: &[u8]) -> Result<Header, Malformed> {
        Header::parse(datagram, datagram.len(), &tagger())
    }

    #[test]
    fn emits_the_golden_octets_their_tag_and_no_more() {
        let datagram = golden();
        assert_eq!(datagram[..36], OCTETS);
        let tag = tagger().tag(&[&OCTETS[..], &[0, 0, 0, 48]].concat());
        assert_eq!(datagram[36..HEADER_LEN], tag.to_be_bytes());
        assert_eq!(datagram[HEADER_LEN..], [0xa5; 4]);
        assert_eq!(parse(&datagram), Ok(HEADER));
        assert_eq!(Header::claimed(&datagram), Ok((7, HEADER.token)));
    }

    #[test]
    fn refuses_every_truncation() {
        let golden = golden();
        for len in 0..HEADER_LEN {
            let refusal = Malformed::Truncated { len, needed: HEADER_LEN };
            assert_eq!(parse(&golden[..len]), Err(refusal));
        }
        for len in HEADER_LEN..golden.len() {
            assert_eq!(parse(&golden[..len]), Err(Malformed::Unsealed), "{len} octets");
        }
        let longer = Header::parse(&golden, golden.len() + 1, &tagger());
        assert_eq!(longer, Err(Malformed::Unsealed));
    }

    #[test]
    fn refuses_every_flipped_bit_and_every_other_key() {
        for bit in 0..HEADER_LEN * 8 {
            let mut octets = golden();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&octets).is_err(), "bit {bit} is not tagged");
        }
        for tagger in [
            Tagger::of(&[0xa5; 32], Direction::Reverse),
            Tagger::of(&[0x5a; 32], Direction::Forward),
        ] {
            let golden = golden();
            assert_eq!(Header::parse(&golden, golden.len(), &tagger), Err(Malformed::Unsealed));
        }
    }
}
