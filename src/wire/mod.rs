//! Octets on the network, and values in memory; the specification of what linkqual speaks.
//!
//! A datagram is one of three, distinguished by [`kind_of`]: a [`load`] datagram, a [`signal`]
//! (handshake and heartbeat), or a [`probe`] (STAMP, so that it starts with no mark of ours).
//! Signals and probes are sealed ([`seal`]); load is sent by the million, so it has a tag over its
//! header, which is cheaper. [`control`] is what the two programs say to each other over TLS,
//! [`data`] what opens a TCP stream, a [`fence`] what shows that a run holds its lease, and a
//! [`record`] is what an agent keeps of a run on its disk.
//!
//! Parsers take anyone's octets: they refuse, and never panic.

pub mod key;

pub mod seal;

pub mod succession;

pub mod probe;

pub mod load;

pub mod signal;

pub mod control;

pub mod data;

pub mod fence;

pub mod record;

mod kind;

pub use kind::{Kind, kind_of};

use std::fmt;

/// The port of an agent, TCP and UDP: one that IANA lists as unassigned.
pub const PORT: u16 = 4872;

/// The first octets of a load datagram and of a signal, and their version.
const MARK: [u8; 3] = [0x4c, 0x51, 2];

/// A stream of datagrams within a trial: its number in the trial.
pub type StreamNumber = u32;

/// The secret of a stream that each of its datagrams carries, so that no stranger's is counted.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why octets are not what they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// Another protocol's datagram, or another version of ours.
    #[error("not a datagram of this version of linkqual")]
    NotOurs,
    /// A code that this version does not know.
    #[error("a signal of unknown kind {0}")]
    UnknownSignal(u8),
    /// Fewer octets than there must be.
    #[error("cut short: {len} octets where {needed} are needed")]
    Truncated {
        /// Octets there were.
        len: usize,
        /// Octets there must be.
        needed: usize,
    },
    /// The seal, or the tag, is not that of the stream's key.
    #[error("the seal does not fit: forged, or damaged on the way")]
    Unsealed,
}

/// The big-endian number in `octets`, at most eight of them.
fn be(octets: &[u8]) -> u64 {
    debug_assert!(octets.len() <= 8, "a field of {} octets is no u64", octets.len());
    octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

/// The big-endian number in `octets`, at most four of them.
fn be32(octets: &[u8]) -> u32 {
    debug_assert!(octets.len() <= 4, "a field of {} octets is no u32", octets.len());
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}
