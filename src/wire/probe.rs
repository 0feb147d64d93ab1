//! A probe and its reply: STAMP's base (RFC 8762), our token as a TLV (RFC 8972), padding.
//!
//! ```text
//!        probe                                reply
//!   0    sequence number (32)                 sequence number of the reply (32)
//!   4    T1: left the driver (64)             T3: left the agent (64)
//!  12    error estimate (16)                  error estimate (16)
//!  14    session id (16): 0                   session id (16): 0
//!  16    T3 of the newest reply that came (64)  T2: reached the agent (64)
//!  24    zero                                 the probe's sequence number (32)
//!  28    zero                                 the probe's T1 (64)
//!  36    zero                                 the probe's error estimate (16)
//!  38    zero                                 1 where it answers a copy, else 0 (16)
//!  40    zero                                 the probe's TTL (8): 255, not read; zero (24)
//!  44    TLV: flags (8), type 240 (8), length 24 (16)
//!  48         token of the stream (64)
//!  56         seal of octets 0 to 43, of the token, of 73 to 91 and 93 to 111, and of the
//!             datagram's length (128)
//!  72    TLV: flags (8), type 7 (8), length 16 (16)
//!  76         zero                            sequence number of an earlier reply (32)
//!  80         zero                            T3 of that reply, by its kernel (64)
//!  88         zero                            2: by software; or all zero: none (8), zero (24)
//!  92    TLV: as at 72, of another earlier reply
//! 112    TLV: flags (8), type 1 (8), length (16), padding; only where it is longer
//! ```
//!
//! A datagram cannot carry the kernel's stamp of its own leaving, so that T1 and T3 are read by the
//! programs before they send. T1's stamp is known where it is needed, at the driver; T3's follows
//! in later replies (RFC 8972, section 4.7, Follow-Up Telemetry), each one twice, so that a lost
//! reply takes no stamp with it.
//!
//! A probe says which reply was the newest to come, by its T3; 0 stands for none. RFC 8762 leaves
//! these octets zero, and has reflectors ignore them. So the agent knows as of when the way to the
//! driver worked, a hundred times a second, whatever share of the heartbeats is lost.
//!
//! The error estimate says what the *least* exact stamp of the datagram is good for: 100 us where
//! a program read the clock and then sent, 10 ms where it had to be woken up to read T2 too.
//!
//! A probe that comes again is answered once more, so that whoever looks at the link sees that it
//! copies packets. That answer has no number of its own and says so at octet 38: it is no reply of
//! the probe's, and nothing is counted by it.
//!
//! All fields are big-endian. Timestamps have NTP's form (32 bit of seconds, 32 bit of fraction)
//! and carry the host's *monotonic* clock: no wall clock, which may step, enters a measurement.
//! A reply is exactly as long as its probe.

use crate::account::FollowUp;
use crate::wire::seal::{SEAL_LEN, Sealer};
use crate::wire::{Malformed, Token, be, be32};
use std::ops::Range;

/// Octets of the smallest probe: the base, the token and the follow-ups.
pub const LEN_MIN: usize = field::FOLLOW_UPS[FOLLOW_UPS - 1].end;

/// Earlier replies whose T3, by the kernel, a reply carries.
pub const FOLLOW_UPS: usize = 2;

/// Octets that padding needs for its own header; a probe between the two sizes has none.
const PADDING_HEADER: usize = 4;

mod field {
    use super::{Range, SEAL_LEN};

    pub(super) const SEQUENCE: Range<usize> = 0..4;
    pub(super) const STAMP: Range<usize> = 4..12;
    pub(super) const ERROR: Range<usize> = 12..14;
    /// Of a reply.
    pub(super) const RECEIVED: Range<usize> = 16..24;
    /// Of a probe.
    pub(super) const NEWEST_REPLY: Range<usize> = 16..24;
    pub(super) const PROBE_SEQUENCE: Range<usize> = 24..28;
    pub(super) const PROBE_STAMP: Range<usize> = 28..36;
    pub(super) const PROBE_ERROR: Range<usize> = 36..38;
    pub(super) const ANSWERS_COPY: Range<usize> = 38..40;
    pub(super) const PROBE_TTL: usize = 40;
    pub(super) const BASE: Range<usize> = 0..44;
    pub(super) const TLV_FLAGS: usize = 44;
    pub(super) const TLV_TYPE: usize = 45;
    pub(super) const TLV_LEN: Range<usize> = 46..48;
    pub(super) const TOKEN: Range<usize> = 48..56;
    pub(super) const SEAL: Range<usize> = 56..56 + SEAL_LEN;
    pub(super) const FOLLOW_UPS: [Range<usize>; super::FOLLOW_UPS] = [72..92, 92..112];
}

/// Within the TLV of a follow-up.
mod follow_up {
    use super::Range;

    pub(super) const FLAGS: usize = 0;
    pub(super) const SEALED: std::ops::RangeFrom<usize> = 1..;
    pub(super) const TYPE: usize = 1;
    pub(super) const LEN: Range<usize> = 2..4;
    pub(super) const SEQUENCE: Range<usize> = 4..8;
    pub(super) const STAMP: Range<usize> = 8..16;
    pub(super) const MODE: usize = 16;
}

const _: () = assert!(LEN_MIN == 112, "the diagram above says 112 octets");
const _: () = assert!(field::SEAL.end == field::FOLLOW_UPS[0].start, "the TLVs leave no gap");

/// The first type of RFC 8972's experimental range.
const TYPE_TOKEN: u8 = 240;

const TYPE_PADDING: u8 = 1;

const TYPE_FOLLOW_UP: u8 = 7;

/// Octets of a follow-up's TLV behind its header.
const FOLLOW_UP_TLV_LEN: [u8; 2] = [0, 16];

/// "HW Assist" and "SW Local", the timestamping methods (RFC 8972, section 7.3).
const MODE_HARDWARE: u8 = 1;
const MODE_SOFTWARE: u8 = 2;

/// Octets of the token's TLV behind its header.
const TOKEN_TLV_LEN: [u8; 2] = [0, 24];

/// "Unrecognised", as a sender sets it and a reflector that knows the TLV clears it.
const FLAG_UNRECOGNISED: u8 = 0x80;

/// Not synchronised to UTC, 100 us (210 * 2^11 / 2^32 s): what a stamp is good for that a program
/// takes just before it sends.
const ERROR_OF_SENDING: [u8; 2] = [0x0b, 0xd2];

/// Likewise, 10 ms (164 * 2^18 / 2^32 s): for one that a program takes once it has been woken up.
const ERROR_OF_READING: [u8; 2] = [0x12, 0xa4];

/// The bits of an error estimate's first octet that are its scale (RFC 4656, section 4.1.2).
const ERROR_SCALE: u8 = 0x3f;

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
    /// T3 of the newest reply that the driver had by then, in nanoseconds of the agent's clock; 0
    /// where none had come.
    pub newest_reply_ns: u64,
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
        let len = length(datagram);
        let octets = blank(datagram);
        octets[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        octets[field::STAMP].copy_from_slice(&to_ntp(self.sent_ns).to_be_bytes());
        octets[field::ERROR].copy_from_slice(&ERROR_OF_SENDING);
        octets[field::NEWEST_REPLY].copy_from_slice(&to_ntp(self.newest_reply_ns).to_be_bytes());
        octets[field::TLV_FLAGS] = FLAG_UNRECOGNISED;
        for place in field::FOLLOW_UPS {
            FollowUp::emit(None, 0, FLAG_UNRECOGNISED, &mut octets[place]);
        }
        finish(octets, self.token, len, sealer);
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
            newest_reply_ns: from_ntp(be(&octets[field::NEWEST_REPLY])),
            token: Token(be(&octets[field::TOKEN])),
        })
    }
}

/// The reply to a probe, from agent to driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Counts the stream's replies from 0: a stateful reflector, so loss is known by direction.
    pub sequence: u32,
    /// T3: when the reply left, in nanoseconds of the agent's clock.
    pub sent_ns: u64,
    /// T2: when the probe came, in nanoseconds of the agent's clock.
    pub received_ns: u64,
    /// Whether T2 is the kernel's stamp, and not the time at which the agent read the probe.
    pub received_by_kernel: bool,
    /// The probe's sequence number.
    pub probe_sequence: u32,
    /// T1, as the probe said it.
    pub probe_sent_ns: u64,
    /// T3 of earlier replies.
    pub follow_ups: [Option<FollowUp>; FOLLOW_UPS],
    /// Whether the agent's network card stamped those, and not its kernel.
    pub by_card: bool,
    /// Whether it answers a probe that had come before: then it has no number of its own.
    pub answers_copy: bool,
    /// The stream's secret.
    pub token: Token,
}

impl FollowUp {
    /// Writes the whole of a TLV, `octets`; `mode` is how what it carries was stamped.
    fn emit(follow_up: Option<Self>, mode: u8, flags: u8, octets: &mut [u8]) {
        octets[follow_up::FLAGS] = flags;
        octets[follow_up::TYPE] = TYPE_FOLLOW_UP;
        octets[follow_up::LEN].copy_from_slice(&FOLLOW_UP_TLV_LEN);
        let Some(Self { sequence, sent_ns }) = follow_up else { return };
        octets[follow_up::SEQUENCE].copy_from_slice(&sequence.to_be_bytes());
        octets[follow_up::STAMP].copy_from_slice(&to_ntp(sent_ns).to_be_bytes());
        octets[follow_up::MODE] = mode;
    }

    /// Reads a TLV, `octets`; `None` where it holds nothing, or another kind of stamp.
    fn parse(octets: &[u8]) -> Option<Self> {
        let is_follow_up = octets[follow_up::TYPE] == TYPE_FOLLOW_UP
            && octets[follow_up::LEN] == FOLLOW_UP_TLV_LEN
            && [MODE_HARDWARE, MODE_SOFTWARE].contains(&octets[follow_up::MODE]);
        is_follow_up.then(|| Self {
            sequence: be32(&octets[follow_up::SEQUENCE]),
            sent_ns: from_ntp(be(&octets[follow_up::STAMP])),
        })
    }
}

impl Reply {
    /// Writes the reply over the whole of `datagram`, padded to its length.
    ///
    /// # Panics
    ///
    /// Panics if `datagram` is shorter than [`LEN_MIN`]: the reflector's own sizes are wrong.
    pub fn emit(&self, sealer: &Sealer, datagram: &mut [u8]) {
        let len = length(datagram);
        let octets = blank(datagram);
        octets[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        octets[field::STAMP].copy_from_slice(&to_ntp(self.sent_ns).to_be_bytes());
        let by_kernel = self.received_by_kernel;
        let error = if by_kernel { ERROR_OF_SENDING } else { ERROR_OF_READING };
        octets[field::ERROR].copy_from_slice(&error);
        octets[field::RECEIVED].copy_from_slice(&to_ntp(self.received_ns).to_be_bytes());
        octets[field::PROBE_SEQUENCE].copy_from_slice(&self.probe_sequence.to_be_bytes());
        octets[field::PROBE_STAMP].copy_from_slice(&to_ntp(self.probe_sent_ns).to_be_bytes());
        octets[field::PROBE_ERROR].copy_from_slice(&ERROR_OF_SENDING);
        octets[field::ANSWERS_COPY].copy_from_slice(&u16::from(self.answers_copy).to_be_bytes());
        octets[field::PROBE_TTL] = TTL_UNREAD;
        let mode = if self.by_card { MODE_HARDWARE } else { MODE_SOFTWARE };
        for (follow_up, place) in self.follow_ups.into_iter().zip(field::FOLLOW_UPS) {
            FollowUp::emit(follow_up, mode, 0, &mut octets[place]);
        }
        finish(octets, self.token, len, sealer);
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
            received_by_kernel: error_of(&octets[field::ERROR]) <= error_of(&ERROR_OF_SENDING),
            probe_sequence: be32(&octets[field::PROBE_SEQUENCE]),
            probe_sent_ns: from_ntp(be(&octets[field::PROBE_STAMP])),
            follow_ups: field::FOLLOW_UPS.map(|place| FollowUp::parse(&octets[place])),
            by_card: field::FOLLOW_UPS
                .iter()
                .any(|place| octets[place.clone()][follow_up::MODE] == MODE_HARDWARE),
            answers_copy: be(&octets[field::ANSWERS_COPY]) != 0,
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

fn finish(octets: &mut [u8; LEN_MIN], token: Token, len: [u8; 4], sealer: &Sealer) {
    octets[field::TLV_TYPE] = TYPE_TOKEN;
    octets[field::TLV_LEN].copy_from_slice(&TOKEN_TLV_LEN);
    octets[field::TOKEN].copy_from_slice(&token.0.to_be_bytes());
    let seal = sealer.seal(&sealed_parts(octets, &len));
    octets[field::SEAL].copy_from_slice(&seal);
}

/// What the seal vouches for: all but the TLVs' flags, which a reflector changes, and the octets of
/// the padding; but its length, so that nobody makes a short probe look as if a long one had
/// crossed.
fn sealed_parts<'a>(octets: &'a [u8; LEN_MIN], len: &'a [u8; 4]) -> [&'a [u8]; 3 + FOLLOW_UPS] {
    let [first, second] = field::FOLLOW_UPS.map(|place| &octets[place][follow_up::SEALED]);
    [&octets[field::BASE], &octets[field::TOKEN], first, second, len]
}

/// The length of `datagram`, as it is sealed.
fn length(datagram: &[u8]) -> [u8; 4] {
    u32::try_from(datagram.len()).unwrap_or(u32::MAX).to_be_bytes()
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
    if sealer.holds(&sealed_parts(octets, &length(datagram)), &octets[field::SEAL]) {
        Ok(octets)
    } else {
        Err(Malformed::Unsealed)
    }
}

/// An error estimate, in 2^-32 s (RFC 4656, section 4.1.2).
fn error_of(octets: &[u8]) -> u128 {
    let [scale, multiplier] = [0, 1].map(|place| octets.get(place).copied().unwrap_or(0));
    u128::from(multiplier) << (scale & ERROR_SCALE)
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

    const PROBE: Probe = Probe {
        sequence: 7,
        sent_ns: 1_500_000_000,
        newest_reply_ns: 2_750_000_000,
        token: Token(0x0102_0304_0506_0708),
    };

    const REPLY: Reply = Reply {
        sequence: 6,
        sent_ns: 3_250_000_000,
        received_ns: 3_125_000_000,
        received_by_kernel: true,
        probe_sequence: 7,
        probe_sent_ns: 1_500_000_000,
        follow_ups: [Some(FollowUp { sequence: 5, sent_ns: 2_500_000_000 }), None],
        by_card: false,
        answers_copy: false,
        token: Token(0x0102_0304_0506_0708),
    };

    /// Golden: these octets are the protocol. The seal follows them.
    const PROBE_OCTETS: [u8; 56] = [
        0, 0, 0, 7, // sequence
        0, 0, 0, 1, 0x80, 0, 0, 0, // T1: 1.5 s
        0x0b, 0xd2, 0, 0, // error estimate, session id
        0, 0, 0, 2, 0xc0, 0, 0, 0, // T3 of the newest reply: 2.75 s
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // zero
        0x80, 240, 0, 24, // TLV: unrecognised, token, 24 octets
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // token
    ];

    const PROBE_FOLLOW_UPS: [u8; 40] = [
        0x80, 7, 0, 16, // TLV: unrecognised, follow-up, 16 octets
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // zero
        0x80, 7, 0, 16, // the same once more
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    const REPLY_FOLLOW_UPS: [u8; 40] = [
        0, 7, 0, 16, // TLV: recognised, follow-up, 16 octets
        0, 0, 0, 5, // sequence of the earlier reply
        0, 0, 0, 2, 0x80, 0, 0, 0, // its T3: 2.5 s
        2, 0, 0, 0, // by software
        0, 7, 0, 16, // TLV: recognised, follow-up, 16 octets
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // none
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

    /// The octets before the seal, the seal, and those behind it.
    #[track_caller]
    fn check_golden(datagram: &[u8; LEN_MIN], head: &[u8; 56], tail: &[u8; 40]) {
        assert_eq!(datagram[..56], *head);
        assert_eq!(datagram[72..], *tail);
        let parts = [&head[..44], &head[48..], &tail[1..20], &tail[21..], &[0, 0, 0, 112]];
        assert_eq!(datagram[56..72], sealer().seal(&parts));
    }

    #[test]
    fn emits_the_golden_octets() {
        let mut datagram = [0xa5; LEN_MIN];
        PROBE.emit(&sealer(), &mut datagram);
        check_golden(&datagram, &PROBE_OCTETS, &PROBE_FOLLOW_UPS);
        REPLY.emit(&sealer(), &mut datagram);
        check_golden(&datagram, &REPLY_OCTETS, &REPLY_FOLLOW_UPS);
    }

    /// 0x12 is scale 18, 0xa4 is 164: 164 * 2^18 / 2^32 s = 10.01 ms.
    #[test]
    fn a_time_of_reading_is_reported_by_its_error() {
        let mut datagram = [0xa5; LEN_MIN];
        let read = Reply { received_by_kernel: false, ..REPLY };
        read.emit(&sealer(), &mut datagram);
        assert_eq!(datagram[12..14], [0x12, 0xa4]);
        assert_eq!(Reply::parse(&datagram, &sealer()), Ok(read));
    }

    #[test]
    fn an_error_estimate_of_any_octets_is_a_number() {
        assert_eq!(error_of(&[0x0b, 0xd2]), 210 << 11);
        assert_eq!(error_of(&[0xff, 0xff]), 255 << 63, "the two highest bits are no scale");
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
    fn refuses_another_length() {
        let mut datagram = [0xa5; 1_472];
        PROBE.emit(&sealer(), &mut datagram);
        for len in [LEN_MIN, 1_471] {
            assert_eq!(Probe::parse(&datagram[..len], &sealer()), Err(Malformed::Unsealed));
        }
        let longer = [&datagram[..], &[0]].concat();
        assert_eq!(Probe::parse(&longer, &sealer()), Err(Malformed::Unsealed));
    }

    #[test]
    fn probe_and_reply_are_read_back() {
        let mut datagram = [0xa5; 1472];
        PROBE.emit(&sealer(), &mut datagram);
        assert_eq!(Probe::parse(&datagram, &sealer()), Ok(PROBE));
        assert_eq!(claimed(&datagram), Ok(PROBE.token));
        let both = [5, 4].map(|sequence| Some(FollowUp { sequence, sent_ns: u64::from(sequence) }));
        for follow_ups in [REPLY.follow_ups, both, [None, None]] {
            let reply = Reply { follow_ups, ..REPLY };
            reply.emit(&sealer(), &mut datagram);
            assert_eq!(Reply::parse(&datagram, &sealer()), Ok(reply));
        }
        let by_card = Reply { by_card: true, follow_ups: both, ..REPLY };
        by_card.emit(&sealer(), &mut datagram);
        assert_eq!(Reply::parse(&datagram, &sealer()), Ok(by_card));
        let again = Reply { answers_copy: true, ..REPLY };
        again.emit(&sealer(), &mut datagram);
        assert_eq!(datagram[38..40], [0, 1]);
        assert_eq!(Reply::parse(&datagram, &sealer()), Ok(again));
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

    /// Octets 44, 72 and 92 are the TLVs' flags, which a reflector changes: they alone are not
    /// sealed.
    #[test]
    fn refuses_every_flipped_bit_but_the_flags() {
        let mut golden = [0; LEN_MIN];
        PROBE.emit(&sealer(), &mut golden);
        for bit in (0..LEN_MIN * 8).filter(|bit| ![44, 72, 92].contains(&(bit / 8))) {
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
