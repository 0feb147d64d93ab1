//! What one end counted, and what both make of it: the facts that a verdict rests on.
//!
//! One type per fact. `flow` fills it, the wire carries it, the record stores it and metrics read
//! it, as it is: there are no mirrors, and a new counter is one field here. What arrives from the
//! other side, or from a file, is validated once, by [`read`]: its numbers are bounded by one rule
//! ([`COUNT_MAX`], [`NANOS_MAX`]), and each type checks that its fields agree ([`Fact::check`]).
//!
//! Fields count packets unless their name says otherwise: `_octets`, `_ns`, `_us`. Nothing here
//! decides anything, and no fact knows which trial it belongs to: the record pairs them by number.

mod asked;
mod claim;
mod host;
mod moved;
mod outcome;
mod probes;
mod receiver;
mod sender;
mod series;
mod silences;
mod stored;
mod sums;
mod tcp;
mod text;
mod throughput;
mod wall_clock;

pub use asked::{AskedRate, AskedTcp, AskedTrial, AskedUdp};
pub use claim::{COUNT_MAX, Claim, Fact, Invalid, NANOS_MAX, SUM_MAX, bounded, read, read_back};
pub use host::{HostCounts, HostFacts, UnresolvedNextHop};
pub use moved::{MOVED_MAX, Moved};
pub use outcome::{OneWayCounts, Outcome, PathMtu, RoundTripCounts, Status};
pub use probes::{
    ClockOffset, DelayBounds, FollowUp, Marks, ProbeCounts, ReflectorCounts, Timestamping,
};
pub use receiver::{LOSS_BURSTS_MAX, LossBurst, LossBurstList, ReceiverCounts, StreamReceived};
pub use sender::{CatchUp, EXCESS_MAX, Excess, SenderCounts, Sequences, StreamSent, Waiting};
pub use series::{Minute, Series};
pub use silences::{SILENCE_MIN, SILENCES_MAX, Silence, Silences, SilencesBeyond};
pub use tcp::{
    TcpBuffer, TcpChecked, TcpInfo, TcpReceiverCounts, TcpSample, TcpSenderCounts, TcpStreamOctets,
};
pub use text::{TEXT_MAX, is_control, is_device, plain, sets_direction, spoken};
pub use throughput::{
    PathChange, SentPart, SentWindow, ThroughputEvidence, TransitBlock, TransitFit, TransitSample,
};
pub use wall_clock::{ClockSource, StatedClocks, WallClock};
