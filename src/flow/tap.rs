//! What becomes of a trial's probes, one by one, while the trial goes on.

use crate::clock::{Driver, Stamp};
use crate::units::Span;

/// What happened to a probe. Events of one probe come in this order; replies of several in any.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProbeEvent {
    /// It left.
    Sent {
        /// Its number, from 0.
        sequence: u32,
        /// When.
        sent: Stamp<Driver>,
        /// How long after it was due.
        late: Span,
    },
    /// The first reply to it came.
    Answered {
        /// Its number.
        sequence: u32,
        /// The reply's own number: the agent counts those that it sends.
        reply: u32,
        /// How long after the probe left, without the time that the agent kept it.
        after: Span,
        /// The round trip without the time at the agent; `None` where the probe left late.
        round_trip: Option<Span>,
    },
    /// Whatever had come by then has been read.
    Read(Stamp<Driver>),
    /// The agent is gone since then: what is unanswered from then on is not the link's doing.
    Gone(Stamp<Driver>),
    /// Nothing more comes.
    Over,
}
