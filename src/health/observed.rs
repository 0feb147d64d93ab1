//! What is seen of a path that is probed all the time.

use super::Second;

/// What is seen of a path.
///
/// Each second comes twice, in its order: first as it looked when it was over, for whoever wants
/// to know now; and once more when it is settled, for the record. Mostly both come at once. While
/// nothing is answered, the direction of what was lost is not known yet, and seconds are settled
/// when it is: when the next reply comes, or the series of probes is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Observed {
    /// A second that is over; of an outage that goes on no direction is known.
    Live(Second),
    /// A second of which no more will be known.
    Settled(Second),
    /// Whether the agent is reached has changed.
    Reach(Reach),
}

/// Whether the agent at the far end of a path is reached, and why not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reach {
    /// It answers, and the path is probed.
    Probing,
    /// Its host answers, and no agent is there: the path is up.
    NoAgent(String),
    /// The agent answers, and does not let this driver probe; or UDP to it is blocked.
    Refused(String),
    /// Nothing answers: the link or its far end is down.
    Silent(String),
    /// This host cannot send: no route, no address.
    ThisHost(String),
    /// Probing rests, as a run loads the link and probes it itself.
    Resting,
}
