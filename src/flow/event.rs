//! What the data plane reports of a trial: parts of it that are counted, and heartbeats.

use super::{Exchange, HandshakeFailed};
use crate::account::{
    HostCounts, Marks, Moved, ReceiverCounts, ReflectorCounts, SenderCounts, TcpReceiverCounts,
    TcpSenderCounts, WallClock,
};
use crate::clock::{Agent, Driver, Stamp};
use crate::wire::StreamNumber;

/// What happened in a trial, as the driver's data plane reports it.
#[derive(Clone, Debug, PartialEq)]
pub enum NearEvent {
    /// A stream is open.
    Opened(StreamNumber),
    /// A stream could not be opened.
    NotOpened(StreamNumber, HandshakeFailed),
    /// A TCP stream could not be opened: why.
    NotConnected(StreamNumber, String),
    /// This host could not carry it out.
    HostFailed(String),
    /// The search for the largest payload is over; what it sent is reported before it.
    PayloadFound(Option<u32>),
    /// A stream of this end's is sent; of the probes, the last reply has come or never will.
    Sent(StreamNumber, SenderCounts),
    /// A stream of the agent's has come.
    Came(StreamNumber, ReceiverCounts),
    /// A TCP stream of this end's is sent.
    TcpSent(StreamNumber, TcpSenderCounts),
    /// A TCP stream of the agent's has come.
    TcpCame(StreamNumber, TcpReceiverCounts),
    /// What became of the probes, once the agent has reported how many replies it sent.
    Probed(Box<Probed>),
    /// Something arrived last at this time.
    Heard(Stamp<Driver>),
}

/// What the driver's end knows of a trial's probes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed {
    /// Each probe.
    pub exchanges: Vec<Exchange>,
    /// Probes that this host's stack refused.
    pub refused: u64,
    /// The replies that came.
    pub replies: ReceiverCounts,
    /// How they were marked.
    pub marks: Marks,
    /// This host's wall clock, as it states it.
    pub wall_clock: Option<WallClock>,
}

/// What happened in a trial, as the agent's data plane reports it.
#[derive(Clone, Debug, PartialEq)]
pub enum FarEvent {
    /// The driver has sent far more than it was granted: at this time that was certain.
    Exceeded(Stamp<Agent>),
    /// A stream of the agent's is sent.
    Sent(StreamNumber, SenderCounts),
    /// A stream of the driver's has come.
    Came(StreamNumber, ReceiverCounts),
    /// A TCP stream of the agent's is sent.
    TcpSent(StreamNumber, TcpSenderCounts),
    /// A TCP stream of the driver's has come.
    TcpCame(StreamNumber, TcpReceiverCounts),
    /// A stream's driver is at another address from now on.
    Moved(Moved),
    /// The probes are over.
    Reflected(ReflectorCounts),
    /// Something arrived last at this time.
    Heard(Stamp<Agent>),
    /// What this host reports against itself; the last word of a trial.
    Host(HostCounts),
}
