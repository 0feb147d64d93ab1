//! Signals: the handshake that opens a stream, and the heartbeat. All fields are big-endian.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+---------------+---------------+
//! |         mark (0x4c51)         |  version (2)  |     kind      |
//! +-------------------------------+---------------+---------------+
//! |                     stream number (32 bit)                    |
//! +---------------------------------------------------------------+
//! |                      stream token (64 bit)                    |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |   counter: of the sender's signals of this stream (64 bit)    |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |           first value (64 bit): cookie; or                    |
//! |           rise in ms (16 bit), packets received (48 bit)      |
//! +---------------------------------------------------------------+
//! |     second value (64 bit): 0; or 1 + highest number seen      |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |     third value (64 bit): 0; or 1 + highest counter seen      |
//! |                                                               |
//! +---------------------------------------------------------------+
//! |                    seal of all before (128 bit)               |
//! |                                                               |
//! |                                                               |
//! |                                                               |
//! +---------------------------------------------------------------+
//! ```
//!
//! The driver says *hello* from the address of its stream; the agent answers with a *challenge*, a
//! cookie that only that address can have read; the driver *confirms* with the cookie; the agent
//! *accepts*. So no load goes to an address that has not answered, and each answer is as long as
//! its question. The same happens when a stream that is open comes from a new address, because a
//! NAT on the path has forgotten the old one: the agent challenges it there, and the stream moves.
//!
//! Each signal has the next counter of its end, from 0, and each counter is accepted once. A
//! *heartbeat* has to exceed those before it, and echoes what its sender has seen: the highest
//! sequence number of the load, and the highest counter of the other end's signals. Life is proven
//! as of when the echoed packet left, so that a heartbeat that is held back, sent again or sent
//! back proves no more than it did. The driver's heartbeats also say by how much its probes have
//! shown the round trip to rise above that of the idle link: a queue of the load's own holds back
//! what is echoed, and is no silence.

use crate::wire::seal::{SEAL_LEN, Sealer};
use crate::wire::{MARK, Malformed, StreamNumber, Token, be, be32};
use std::ops::Range;

/// Octets of a signal.
pub const LEN: usize = field::SEAL.end;

mod field {
    use super::{Range, SEAL_LEN};

    pub(super) const MARK: Range<usize> = 0..3;
    pub(super) const KIND: usize = 3;
    pub(super) const STREAM: Range<usize> = 4..8;
    pub(super) const TOKEN: Range<usize> = 8..16;
    pub(super) const COUNTER: Range<usize> = 16..24;
    pub(super) const VALUES: [Range<usize>; 3] = [24..32, 32..40, 40..48];
    pub(super) const SEALED: Range<usize> = 0..48;
    pub(super) const SEAL: Range<usize> = 48..48 + SEAL_LEN;
}

const _: () = assert!(LEN == 64, "the diagram above says 64 octets");

/// What a signal says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Say {
    /// Driver: this stream will come from here.
    Hello,
    /// Agent: show that you read what is sent there.
    Challenge {
        /// To be sent back.
        cookie: u64,
    },
    /// Driver: here is what you sent.
    Confirm {
        /// As received.
        cookie: u64,
    },
    /// Agent: the stream is open.
    Accepted,
    /// Receiver: alive, and this is what has come. From a sender that waits to hear from it: the
    /// first two are 0.
    Heartbeat {
        /// Packets received so far, each once; below 2^48.
        received: u64,
        /// One more than the highest sequence number seen so far; 0 before the first.
        next: u64,
        /// One more than the highest counter seen of the other end's signals; 0 before the first.
        echo: u64,
        /// The largest rise of the round trip above that of the idle link in this trial, in ms; 0
        /// where none is known.
        rise_ms: u16,
    },
}

/// Bits of the packets received; the rise stands above them.
const RECEIVED_BITS: u32 = 48;
const RECEIVED_MAX: u64 = (1 << RECEIVED_BITS) - 1;

impl Say {
    fn parts(self) -> (u8, [u64; 3]) {
        match self {
            Self::Hello => (2, [0; 3]),
            Self::Challenge { cookie } => (3, [cookie, 0, 0]),
            Self::Confirm { cookie } => (4, [cookie, 0, 0]),
            Self::Accepted => (5, [0; 3]),
            Self::Heartbeat { received, next, echo, rise_ms } => {
                let first = u64::from(rise_ms) << RECEIVED_BITS | received.min(RECEIVED_MAX);
                (6, [first, next, echo])
            }
        }
    }

    const fn from_parts(kind: u8, [first, next, echo]: [u64; 3]) -> Result<Self, Malformed> {
        match kind {
            2 => Ok(Self::Hello),
            3 => Ok(Self::Challenge { cookie: first }),
            4 => Ok(Self::Confirm { cookie: first }),
            5 => Ok(Self::Accepted),
            6 => {
                let [high, low, ..] = first.to_be_bytes();
                let rise_ms = u16::from_be_bytes([high, low]);
                Ok(Self::Heartbeat { received: first & RECEIVED_MAX, next, echo, rise_ms })
            }
            _ => Err(Malformed::UnknownSignal(kind)),
        }
    }
}

/// A signal of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signal {
    /// Which stream of the trial.
    pub stream: StreamNumber,
    /// The stream's secret.
    pub token: Token,
    /// Its place among the signals of this stream that its end sends, from 0.
    pub counter: u64,
    /// What it says.
    pub say: Say,
}

impl Signal {
    /// The signal as octets, sealed.
    #[must_use]
    pub fn emit(&self, sealer: &Sealer) -> [u8; LEN] {
        let (kind, values) = self.say.parts();
        let mut octets = [0; LEN];
        octets[field::MARK].copy_from_slice(&MARK);
        octets[field::KIND] = kind;
        octets[field::STREAM].copy_from_slice(&self.stream.to_be_bytes());
        octets[field::TOKEN].copy_from_slice(&self.token.0.to_be_bytes());
        octets[field::COUNTER].copy_from_slice(&self.counter.to_be_bytes());
        for (place, value) in field::VALUES.into_iter().zip(values) {
            octets[place].copy_from_slice(&value.to_be_bytes());
        }
        let seal = sealer.seal(&[&octets[field::SEALED]]);
        octets[field::SEAL].copy_from_slice(&seal);
        octets
    }

    /// Whose signal `datagram` says it is: what finds the key that it must be sealed with.
    ///
    /// # Errors
    ///
    /// Where it is too short or not ours.
    pub fn claimed(datagram: &[u8]) -> Result<(StreamNumber, Token), Malformed> {
        let octets = whole(datagram)?;
        Ok((be32(&octets[field::STREAM]), Token(be(&octets[field::TOKEN]))))
    }

    /// Whether `datagram` says that it begins a handshake; whose it is, nobody has checked.
    #[must_use]
    pub fn claims_hello(datagram: &[u8]) -> bool {
        whole(datagram).is_ok_and(|octets| octets[field::KIND] == Say::Hello.parts().0)
    }

    /// Reads a signal, which may be anyone's; octets behind it are ignored.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(datagram: &[u8], sealer: &Sealer) -> Result<Self, Malformed> {
        let octets = whole(datagram)?;
        if !sealer.holds(&[&octets[field::SEALED]], &octets[field::SEAL]) {
            return Err(Malformed::Unsealed);
        }
        let values = field::VALUES.map(|place| be(&octets[place]));
        let say = Say::from_parts(octets[field::KIND], values)?;
        let (stream, token) = Self::claimed(datagram)?;
        Ok(Self { stream, token, counter: be(&octets[field::COUNTER]), say })
    }
}

fn whole(datagram: &[u8]) -> Result<&[u8; LEN], Malformed> {
    let Some(octets) = datagram.first_chunk::<LEN>() else {
        return Err(Malformed::Truncated { len: datagram.len(), needed: LEN });
    };
    if octets[field::MARK] == MARK { Ok(octets) } else { Err(Malformed::NotOurs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: Signal = Signal {
        stream: 7,
        token: Token(0x0102_0304_0506_0708),
        counter: 43,
        say: Say::Heartbeat { received: 41, next: 42, echo: 44, rise_ms: 0x0102 },
    };

    /// Golden: these octets are the protocol. A change here is a change of version.
    const OCTETS: [u8; 48] = [
        0x4c, 0x51, 2, 6, // mark, version, kind
        0, 0, 0, 7, // stream
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
        0, 0, 0, 0, 0, 0, 0, 43, // counter
        1, 2, // rise
        0, 0, 0, 0, 0, 41, // received
        0, 0, 0, 0, 0, 0, 0, 42, // next
        0, 0, 0, 0, 0, 0, 0, 44, // echo
    ];

    fn sealer() -> Sealer {
        Sealer::new(&[0xa5; 32])
    }

    #[test]
    fn emits_the_golden_octets_and_their_seal() {
        let octets = SIGNAL.emit(&sealer());
        assert_eq!(octets[..48], OCTETS);
        assert_eq!(octets[48..], sealer().seal(&[&OCTETS]));
    }

    #[test]
    fn every_word_is_read_back() {
        let words = [
            Say::Hello,
            Say::Challenge { cookie: u64::MAX },
            Say::Confirm { cookie: 1 },
            Say::Accepted,
            Say::Heartbeat { received: RECEIVED_MAX, next: 9, echo: 2, rise_ms: u16::MAX },
        ];
        for say in words {
            let signal = Signal { say, ..SIGNAL };
            assert_eq!(Signal::parse(&signal.emit(&sealer()), &sealer()), Ok(signal));
        }
    }

    #[test]
    fn refuses_every_truncation_and_every_flipped_bit() {
        let golden = SIGNAL.emit(&sealer());
        for len in 0..LEN {
            let refusal = Malformed::Truncated { len, needed: LEN };
            assert_eq!(Signal::parse(&golden[..len], &sealer()), Err(refusal));
        }
        for bit in 0..LEN * 8 {
            let mut octets = golden;
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(Signal::parse(&octets, &sealer()).is_err(), "bit {bit} is not sealed");
        }
    }

    #[test]
    fn a_sealed_word_of_a_later_version_is_refused() {
        let mut octets = SIGNAL.emit(&sealer());
        octets[3] = 99;
        let seal = sealer().seal(&[&octets[..48]]);
        octets[48..].copy_from_slice(&seal);
        assert_eq!(Signal::parse(&octets, &sealer()), Err(Malformed::UnknownSignal(99)));
    }
}
