//! A probe and its reply: STAMP's base (RFC 8762), our token as a TLV (RFC 8972), padding.
//!
//! ```text
//!        probe                                reply
//!   0    sequence number (32)                 sequence number of the reply (32)
//!   4    T1: left the driver (64)             T3: left the agent (64)
//!  12    error estimate (16)                  error estimate (16)
//!  14    session id (16): 0                   session id (16): 0
//!  16    zero                                 T2: reached the agent (64)
//!  24    zero                                 the probe's sequence number (32)
//!  28    zero                                 the probe's T1 (64)
//!  36    zero                                 the probe's error estimate (16), zero (16)
//!  40    zero                                 the probe's TTL (8): 255, not read; zero (24)
//!  44    TLV: flags (8), type 240 (8), length 24 (16)
//!  48         token of the stream (64)
//!  56         seal of octets 0 to 43 and of the token (128)
//!  72    TLV: flags (8), type 1 (8), length (16), padding; only where it is longer
//! ```
//!
//! All fields are big-endian. Timestamps have NTP's form (32 bit of seconds, 32 bit of fraction)
//! and carry the host's *monotonic* clock: no wall clock, which may step, enters a measurement.
//! A reply is exactly as long as its probe.

use crate::wire::seal::{SEAL_LEN, Sealer};
use crate::wire::{Malformed, Token, be, be32};
use std::ops::Range;

/// Octets of the smallest probe: the base and the token.
pub const LEN_MIN: usize = field::SEAL.end;

/// Octets that padding needs for its own header; a probe between the two sizes has none.
const PADDING_HEADER: usize = 4;

mod field {
    use super::{Range, SEAL_LEN};

    pub(super) const SEQUENCE: Range<usize> = 0..4;
    pub(super) const STAMP: Range<usize> = 4..12;
    pub(super) const ERROR: Range<usize> = 12..14;
    pub(super) const RECEIVED: Range<usize> = 16..24;
    pub(super) const PROBE_SEQUENCE: Range<usize> = 24..28;
    pub(super) const PROBE_STAMP: Range<usize> = 28..36;
    pub(super) const PROBE_ERROR: Range<usize> = 36..38;
    pub(super) const PROBE_TTL: usize = 40;
    pub(super) const BASE: Range<usize> = 0..44;
    pub(super) const TLV_FLAGS: usize = 44;
    pub(super) const TLV_TYPE: usize = 45;
    pub(super) const TLV_LEN: Range<usize> = 46..48;
    pub(super) const TOKEN: Range<usize> = 48..56;
    pub(super) const SEAL: Range<usize> = 56..56 + SEAL_LEN;
}

const _: () = assert!(LEN_MIN == 72, "the diagram above says 72 octets");

/// The first type of RFC 8972's experimental range.
const TYPE_TOKEN: u8 = 240;

const TYPE_PADDING: u8 = 1;

/// Octets of the token's TLV behind its header.
const TOKEN_TLV_LEN: [u8; 2] = [0, 24];

/// "Unrecognised", as a sender sets it and a reflector that knows the TLV clears it.
const FLAG_UNRECOGNISED: u8 = 0x80;

/// Not synchronised to UTC, 100 us: what a stamp taken in user space is good for.
const ERROR_ESTIMATE: [u8; 2] = [0x0b, 0xd2];

/// The probe's TTL was not read.
const TTL_UNREAD: u8 = 255;

/// Whether `datagram` has the token's TLV where a probe has it.
#[must_use]
pub fn has_token(datagram: &[u8]) -> bool {
    datagram.first_chunk::<LEN_MIN>().is_some_and(|octets| {
        octets[field::TLV_TYPE] == TYPE_TOKEN && octets[field::TLV_LEN] == TOKEN_TLV_LEN
    })
}

/// The token that `datagram` carries: what finds the key that it must be sealed with.
///
/// # Errors
///
/// Where it is no probe.
pub fn claimed(datagram: &[u8]) -> Result<Token, Malformed> {
    whole(datagram).map(|octets| Token(be(&octets[field::TOKEN])))
}

/// A probe, from driver to agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Probe {
    /// Counts the stream's probes from 0.
    pub sequence: u32,
    /// T1: when it left, in nanoseconds of the driver's clock.
    pub sent_ns: u64,
    /// The stream's secret.
    pub token: Token,
}

impl Probe {
    /// Writes the probe over the whole of `datagram`, padded to its length.
    ///
    /// # Panics
    ///
    /// Panics if `datagram` is shorter than [`LEN_MIN`]: the sender's own sizes are wrong.
    pub fn emit(&self, sealer: &Sealer, datagram: &mut [u8]) {
        let octets = blank(datagram);
        octets[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        octets[field::STAMP].copy_from_slice(&to_ntp(self.sent_ns).to_be_bytes());
        octets[field::ERROR].copy_from_slice(&ERROR_ESTIMATE);
        octets[field::TLV_FLAGS] = FLAG_UNRECOGNISED;
        finish(octets, self.token, sealer);
        pad(datagram, FLAG_UNRECOGNISED);
    }

    /// Reads a probe, which may be anyone's.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(datagram: &[u8], sealer: &Sealer) -> Result<Self, Malformed> {
        let octets = sealed(datagram, sealer)?;
        Ok(Self {
            sequence: be32(&octets[field::SEQUENCE]),
            sent_ns: from_ntp(be(&octets[field::STAMP])),
            token: Token(be(&octets[field::TOKEN])),
        })
    }
}

/// The reply to a probe, from agent to driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Counts the stream's replies from 0: a stateful reflector, so loss is told by direction.
    pub sequence: u32,
    /// T3: when the reply left, in nanoseconds of the agent's clock.
    pub sent_ns: u64,
    /// T2: when the probe came, in nanoseconds of the agent's clock.
    pub received_ns: u64,
    /// The probe's sequence number.
    pub probe_sequence: u32,
    /// T1, as the probe said it.
    pub probe_sent_ns: u64,
    /// The stream's secret.
    pub token: Token,
}

impl Reply {
    /// Writes the reply over the whole of `datagram`, padded to its length.
    ///
    /// # Panics
    ///
    /// Panics if `datagram` is shorter than [`LEN_MIN`]: the reflector's own sizes are wrong.
    pub fn emit(&self, sealer: &Sealer, datagram: &mut [u8]) {
        let octets = blank(datagram);
        octets[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        octets[field::STAMP].copy_from_slice(&to_ntp(self.sent_ns).to_be_bytes());
        octets[field::ERROR].copy_from_slice(&ERROR_ESTIMATE);
        octets[field::RECEIVED].copy_from_slice(&to_ntp(self.received_ns).to_be_bytes());
        octets[field::PROBE_SEQUENCE].copy_from_slice(&self.probe_sequence.to_be_bytes());
        octets[field::PROBE_STAMP].copy_from_slice(&to_ntp(self.probe_sent_ns).to_be_bytes());
        octets[field::PROBE_ERROR].copy_from_slice(&ERROR_ESTIMATE);
        octets[field::PROBE_TTL] = TTL_UNREAD;
        finish(octets, self.token, sealer);
        pad(datagram, 0);
    }

    /// Reads a reply, which may be anyone's.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(datagram: &[u8], sealer: &Sealer) -> Result<Self, Malformed> {
        let octets = sealed(datagram, sealer)?;
        Ok(Self {
            sequence: be32(&octets[field::SEQUENCE]),
            sent_ns: from_ntp(be(&octets[field::STAMP])),
            received_ns: from_ntp(be(&octets[field::RECEIVED])),
            probe_sequence: be32(&octets[field::PROBE_SEQUENCE]),
            probe_sent_ns: from_ntp(be(&octets[field::PROBE_STAMP])),
            token: Token(be(&octets[field::TOKEN])),
        })
    }
}

fn blank(datagram: &mut [u8]) -> &mut [u8; LEN_MIN] {
    let len = datagram.len();
    datagram.fill(0);
    let octets = datagram.first_chunk_mut();
    octets.unwrap_or_else(|| unreachable!("no room for a probe in {len} octets"))
}

fn finish(octets: &mut [u8; LEN_MIN], token: Token, sealer: &Sealer) {
    octets[field::TLV_TYPE] = TYPE_TOKEN;
    octets[field::TLV_LEN].copy_from_slice(&TOKEN_TLV_LEN);
    octets[field::TOKEN].copy_from_slice(&token.0.to_be_bytes());
    let seal = sealer.seal(&[&octets[field::BASE], &octets[field::TOKEN]]);
    octets[field::SEAL].copy_from_slice(&seal);
}

fn pad(datagram: &mut [u8], flags: u8) {
    let padding = &mut datagram[LEN_MIN..];
    let Some(len) = padding.len().checked_sub(PADDING_HEADER) else { return };
    let len = u16::try_from(len).expect("a datagram is shorter than 2^16 octets");
    padding[..2].copy_from_slice(&[flags, TYPE_PADDING]);
    padding[2..PADDING_HEADER].copy_from_slice(&len.to_be_bytes());
}

fn whole(datagram: &[u8]) -> Result<&[u8; LEN_MIN], Malformed> {
    let Some(octets) = datagram.first_chunk::<LEN_MIN>() else {
        return Err(Malformed::Truncated { len: datagram.len(), needed: LEN_MIN });
    };
    if has_token(octets) { Ok(octets) } else { Err(Malformed::NotOurs) }
}

fn sealed<'a>(datagram: &'a [u8], sealer: &Sealer) -> Result<&'a [u8; LEN_MIN], Malformed> {
    let octets = whole(datagram)?;
    let parts = [&octets[field::BASE], &octets[field::TOKEN]];
    if sealer.holds(&parts, &octets[field::SEAL]) { Ok(octets) } else { Err(Malformed::Unsealed) }
}

/// Nanoseconds in NTP's form, rounded up so that [`from_ntp`] gives them back exactly; seconds
/// beyond 2^32 (136 years since the host's start) wrap.
fn to_ntp(nanos: u64) -> u64 {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    (seconds << 32) | (rest << 32).div_ceil(1_000_000_000)
}

/// NTP's form in nanoseconds, rounded down.
fn from_ntp(stamp: u64) -> u64 {
    let (seconds, fraction) = (stamp >> 32, stamp & 0xffff_ffff);
    seconds * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROBE: Probe =
        Probe { sequence: 7, sent_ns: 1_500_000_000, token: Token(0x0102_0304_0506_0708) };

    const REPLY: Reply = Reply {
        sequence: 6,
        sent_ns: 3_250_000_000,
        received_ns: 3_125_000_000,
        probe_sequence: 7,
        probe_sent_ns: 1_500_000_000,
        token: Token(0x0102_0304_0506_0708),
    };

    /// Golden: these octets are the protocol. The seal follows them.
    const PROBE_OCTETS: [u8; 56] = [
        0, 0, 0, 7, // sequence
        0, 0, 0, 1, 0x80, 0, 0, 0, // T1: 1.5 s
        0x0b, 0xd2, 0, 0, // error estimate, session id
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, // zero
        0x80, 240, 0, 24, // TLV: unrecognised, token, 24 octets
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
    ];

    const REPLY_OCTETS: [u8; 56] = [
        0, 0, 0, 6, // sequence
        0, 0, 0, 3, 0x40, 0, 0, 0, // T3: 3.25 s
        0x0b, 0xd2, 0, 0, // error estimate, session id
        0, 0, 0, 3, 0x20, 0, 0, 0, // T2: 3.125 s
        0, 0, 0, 7, // the probe's sequence
        0, 0, 0, 1, 0x80, 0, 0, 0, // the probe's T1
        0x0b, 0xd2, 0, 0, // the probe's error estimate
        255, 0, 0, 0, // TTL
        0, 240, 0, 24, // TLV: recognised, token, 24 octets
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
    ];

    fn sealer() -> Sealer {
        Sealer::new(&[0xa5; 32])
    }

    #[test]
    fn emits_the_golden_octets() {
        let mut datagram = [0xa5; LEN_MIN];
        PROBE.emit(&sealer(), &mut datagram);
        assert_eq!(datagram[..56], PROBE_OCTETS);
        assert_eq!(datagram[56..], sealer().seal(&[&PROBE_OCTETS[..44], &PROBE_OCTETS[48..]]));
        REPLY.emit(&sealer(), &mut datagram);
        assert_eq!(datagram[..56], REPLY_OCTETS);
        assert_eq!(datagram[56..], sealer().seal(&[&REPLY_OCTETS[..44], &REPLY_OCTETS[48..]]));
    }

    #[test]
    fn padding_fills_the_datagram_and_says_its_length() {
        let mut datagram = [0xa5; LEN_MIN + 9];
        PROBE.emit(&sealer(), &mut datagram);
        assert_eq!(datagram[LEN_MIN..], [0x80, 1, 0, 5, 0, 0, 0, 0, 0]);
        let mut short = [0xa5; LEN_MIN + 3];
        PROBE.emit(&sealer(), &mut short);
        assert_eq!(short[LEN_MIN..], [0, 0, 0]);
        assert_eq!(Probe::parse(&short, &sealer()), Ok(PROBE));
    }

    #[test]
    fn probe_and_reply_are_read_back() {
        let mut datagram = [0xa5; 1472];
        PROBE.emit(&sealer(), &mut datagram);
        assert_eq!(Probe::parse(&datagram, &sealer()), Ok(PROBE));
        assert_eq!(claimed(&datagram), Ok(PROBE.token));
        REPLY.emit(&sealer(), &mut datagram);
        assert_eq!(Reply::parse(&datagram, &sealer()), Ok(REPLY));
    }

    #[test]
    fn refuses_every_truncation() {
        let mut golden = [0; LEN_MIN];
        PROBE.emit(&sealer(), &mut golden);
        for len in 0..LEN_MIN {
            let refusal = Malformed::Truncated { len, needed: LEN_MIN };
            assert_eq!(Probe::parse(&golden[..len], &sealer()), Err(refusal));
        }
    }

    /// Bit 352 to 359 are the TLV's flags, which a reflector changes: they alone are not sealed.
    #[test]
    fn refuses_every_flipped_bit_but_the_flags() {
        let mut golden = [0; LEN_MIN];
        PROBE.emit(&sealer(), &mut golden);
        for bit in (0..LEN_MIN * 8).filter(|bit| bit / 8 != field::TLV_FLAGS) {
            let mut octets = golden;
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(Probe::parse(&octets, &sealer()).is_err(), "bit {bit} is not sealed");
        }
    }

    proptest! {
        #[test]
        fn a_stamp_keeps_every_nanosecond(nanos in 0..u64::from(u32::MAX) * 1_000_000_000) {
            prop_assert_eq!(from_ntp(to_ntp(nanos)), nanos);
        }
    }
}
