//! The first octets of a TCP connection that carries a stream's data. All fields are big-endian.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+---------------+---------------+
//! |         mark (0x4c51)         |  version (2)  |   kind (16)   |
//! +-------------------------------+---------------+---------------+
//! |                     stream number (32 bit)                    |
//! +---------------------------------------------------------------+
//! |                          run (128 bit)                        |
//! |                               …                               |
//! +---------------------------------------------------------------+
//! |                      stream token (64 bit)                    |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |               seal of all before it (128 bit)                 |
//! |                               …                               |
//! +---------------------------------------------------------------+
//! ```
//!
//! The driver says it, whichever way the data goes. The agent answers with the first 8 octets, of
//! kind 17, and the seal of those and of the hello's own seal, each end under its own key; what
//! follows is payload. TLS begins
//! with the octet 0x16, so that one port takes both. Bulk never goes inside TLS.

use crate::wire::control::RunId;
use crate::wire::seal::{SEAL_LEN, Sealer};
use crate::wire::{MARK, Malformed, StreamNumber, Token, be, be32};
use std::ops::Range;

/// The hello's code for its kind, and the answer's.
const HELLO: u8 = 16;
const ANSWER: u8 = 17;

/// Octets of a hello.
pub const HELLO_LEN: usize = field::SEAL.end;

/// Octets of an answer.
pub const ANSWER_LEN: usize = field::STREAM.end + SEAL_LEN;

/// The octet that a data connection begins with.
pub const FIRST_OCTET: u8 = MARK[0];

mod field {
    use super::{Range, SEAL_LEN};

    pub(super) const MARK: Range<usize> = 0..3;
    pub(super) const KIND: usize = 3;
    pub(super) const STREAM: Range<usize> = 4..8;
    pub(super) const RUN: Range<usize> = 8..24;
    pub(super) const TOKEN: Range<usize> = 24..32;
    pub(super) const SEAL: Range<usize> = 32..32 + SEAL_LEN;
}

const _: () = assert!(HELLO_LEN == 48 && ANSWER_LEN == 24, "as the diagram above says");

/// What a data connection claims to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataHello {
    /// Which stream of the trial.
    pub stream: StreamNumber,
    /// The run.
    pub run: RunId,
    /// The stream's secret.
    pub token: Token,
}

impl DataHello {
    /// The hello's octets, sealed.
    #[must_use]
    pub fn emit(&self, sealer: &Sealer) -> [u8; HELLO_LEN] {
        let mut octets = [0; HELLO_LEN];
        octets[field::MARK].copy_from_slice(&MARK);
        octets[field::KIND] = HELLO;
        octets[field::STREAM].copy_from_slice(&self.stream.to_be_bytes());
        octets[field::RUN].copy_from_slice(&self.run.0.to_be_bytes());
        octets[field::TOKEN].copy_from_slice(&self.token.0.to_be_bytes());
        let seal = sealer.seal(&[&octets[..field::SEAL.start]]);
        octets[field::SEAL].copy_from_slice(&seal);
        octets
    }

    /// What `octets`, which may be anyone's, claim to be: to find the key that they are sealed
    /// with.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn claimed(octets: &[u8; HELLO_LEN]) -> Result<Self, Malformed> {
        if octets[field::MARK] != MARK || octets[field::KIND] != HELLO {
            return Err(Malformed::NotOurs);
        }
        let (high, low) = octets[field::RUN].split_at(8);
        Ok(Self {
            stream: be32(&octets[field::STREAM]),
            run: RunId(u128::from(be(high)) << 64 | u128::from(be(low))),
            token: Token(be(&octets[field::TOKEN])),
        })
    }

    /// Reads a hello that is sealed with the stream's key.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(octets: &[u8; HELLO_LEN], sealer: &Sealer) -> Result<Self, Malformed> {
        let hello = Self::claimed(octets)?;
        let (sealed, seal) = octets.split_at(field::SEAL.start);
        if !sealer.holds(&[sealed], seal) {
            return Err(Malformed::Unsealed);
        }
        Ok(hello)
    }
}

/// The answer to the hello in `octets`: its stream is accepted.
#[must_use]
pub fn emit_answer(hello: &[u8; HELLO_LEN], sealer: &Sealer) -> [u8; ANSWER_LEN] {
    let mut octets = [0; ANSWER_LEN];
    octets[..field::STREAM.end].copy_from_slice(&hello[..field::STREAM.end]);
    octets[field::KIND] = ANSWER;
    let seal = sealer.seal(&[&octets[..field::STREAM.end], &hello[field::SEAL]]);
    octets[field::STREAM.end..].copy_from_slice(&seal);
    octets
}

/// Whether `octets` accept the hello that was said.
///
/// # Errors
///
/// Says what is wrong with the octets; never panics.
pub fn parse_answer(
    octets: &[u8; ANSWER_LEN],
    hello: &[u8; HELLO_LEN],
    sealer: &Sealer,
) -> Result<(), Malformed> {
    let (head, seal) = octets.split_at(field::STREAM.end);
    if head[field::MARK] != MARK || head[field::KIND] != ANSWER {
        return Err(Malformed::NotOurs);
    }
    match sealer.holds(&[head, &hello[field::SEAL]], seal) {
        true => Ok(()),
        false => Err(Malformed::Unsealed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

    fn sealer() -> Sealer {
        Sealer::new(&[0xa5; 32])
    }

    fn hello() -> DataHello {
        DataHello { stream: 3, run: RUN, token: Token(0x1112_1314_1516_1718) }
    }

    /// Golden: these octets are the protocol; the seal is held by its own test.
    #[test]
    fn the_octets_are_those_of_the_diagram() {
        let octets = hello().emit(&sealer());
        let expected = [
            0x4c, 0x51, 2, 16, 0, 0, 0, 3, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
            0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
            0x18,
        ];
        assert_eq!(octets[..32], expected);
        assert_eq!(DataHello::parse(&octets, &sealer()), Ok(hello()));
        let answer = emit_answer(&octets, &sealer());
        assert_eq!(answer[..8], [0x4c, 0x51, 2, 17, 0, 0, 0, 3]);
        assert_eq!(parse_answer(&answer, &octets, &sealer()), Ok(()));
    }

    #[test]
    fn refuses_every_flipped_bit_and_another_key() {
        let octets = hello().emit(&sealer());
        let answer = emit_answer(&octets, &sealer());
        for bit in 0..HELLO_LEN * 8 {
            let mut flipped = octets;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(DataHello::parse(&flipped, &sealer()).is_err(), "bit {bit}");
        }
        for bit in 0..ANSWER_LEN * 8 {
            let mut flipped = answer;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_answer(&flipped, &octets, &sealer()).is_err(), "bit {bit}");
        }
        let other = Sealer::new(&[0x5a; 32]);
        assert_eq!(DataHello::parse(&octets, &other), Err(Malformed::Unsealed));
        assert_eq!(parse_answer(&answer, &octets, &other), Err(Malformed::Unsealed));
        let another = DataHello { stream: 4, ..hello() }.emit(&sealer());
        assert!(parse_answer(&answer, &another, &sealer()).is_err(), "an answer to another hello");
    }
}
