//! Why an agent does not let a driver run what it asks for, in words: what was asked, what is
//! allowed, and what to do.

use super::circuit::CIRCUIT_LEN_MAX;
use super::usage::{Holder, KEY_RUNS_MAX, RUNS_MAX};
use crate::clock::{Agent, Stamp};
use crate::units::{BitRate, Span};
use std::fmt;

/// Why a request was refused; sent to the driver, and logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The agent serves as many runs as it can.
    Full,
    /// It serves as many runs of this key as it does of any.
    KeyFull,
    /// More was asked for than is left of what the agent may send and accept in all.
    RateTaken {
        /// What was asked for.
        asked: BitRate,
        /// What all runs together have been granted.
        granted: u64,
        /// What they may have.
        max: BitRate,
        /// The load that has most of it.
        holder: Option<Holder>,
        /// How long it will still have it.
        left: Left,
    },
    /// More was asked for than is left of what the key may send and accept in all.
    OwnRateTaken {
        /// What was asked for.
        asked: BitRate,
        /// What the key's runs together have been granted.
        granted: u64,
        /// What they may have.
        max: BitRate,
    },
    /// The role may probe alone.
    ProbesOnly(&'static str),
    /// The role may not load this circuit.
    OtherCircuit {
        /// The role.
        role: &'static str,
        /// What was asked for.
        asked: Option<String>,
        /// Those that it may load.
        allowed: Vec<String>,
    },
    /// The run would hold its load lock for longer than the role may.
    LockedTooLong {
        /// The role.
        role: &'static str,
        /// How long it may.
        max: Span,
    },
    /// The circuit's name is too long or not plain text.
    BadCircuit,
    /// More was asked for than the role may send.
    RateAboveMax {
        /// What was asked for.
        asked: BitRate,
        /// What is allowed.
        max: BitRate,
    },
    /// It would take longer than the role may.
    DurationAboveMax {
        /// The role.
        role: &'static str,
        /// What is meant: "load for", "probe for".
        what: &'static str,
        /// What was asked for.
        asked: Span,
        /// What is allowed.
        max: Span,
    },
    /// Another run holds the load lock.
    Locked {
        /// Who, and what.
        holder: Holder,
        /// How long it will still have it.
        left: Left,
    },
    /// The run's lease on this has ended, and another run has shown a newer one.
    LeaseOver(String),
    /// A trial is not within the grant: the driver's own error.
    BeyondGrant(&'static str),
}

/// How long a run will still have what it holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Left {
    /// If it goes as asked.
    likely: Span,
    /// Whatever happens.
    most: Span,
}

impl Left {
    /// What `holder` has at `now`.
    #[must_use]
    pub fn of(holder: &Holder, now: Stamp<Agent>) -> Self {
        let left = |until: Stamp<Agent>| Span::from_nanos(until.nanos_since(now));
        Self { likely: left(holder.likely), most: left(holder.until) }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (likely, most) = (self.likely.secs_up().max(1), self.most.secs_up());
        match likely < most {
            true => write!(f, "about {likely} s more, at most {most} s"),
            false => write!(f, "at most {most} s more"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "it is serving {RUNS_MAX} runs already. Try again in a minute"),
            Self::KeyFull => write!(
                f,
                "it is serving {KEY_RUNS_MAX} runs of this key already, and keeps room for others. \
                 Try again in a minute"
            ),
            Self::RateTaken { asked, granted, max, holder, left } => {
                taken(f, (*asked, *granted, *max), holder.as_ref(), *left)
            }
            Self::OwnRateTaken { asked, granted, max } => write!(
                f,
                "{asked} (L2) was requested, and other runs of this key hold {} of its {max} in \
                 all. Ask for less, try again later, or ask the agent's operator to raise max-rate \
                 in its line of allowed_drivers",
                BitRate::new(*granted).map_or_else(String::new, |rate| rate.to_string())
            ),
            Self::ProbesOnly(role) => write!(
                f,
                "role '{role}' may probe but not load. Check without load, or have the agent's \
                 operator remove probe-only from this key's line in allowed_drivers"
            ),
            Self::OtherCircuit { role, asked, allowed } => write!(
                f,
                "role '{role}' may load only these circuits: {}; {}. Name one of them with \
                 --circuit, or have the agent's operator change circuits in the key's line of \
                 allowed_drivers",
                allowed.join(", "),
                asked.as_ref().map_or_else(
                    || "none was named".to_owned(),
                    |asked| format!("'{asked}' was requested")
                )
            ),
            Self::LockedTooLong { role, max } => write!(
                f,
                "role '{role}' may hold the load lock for at most {max} in one run. Start \
                 another run, so that others get a chance"
            ),
            Self::BadCircuit => {
                write!(f, "the circuit's name must be 1 to {CIRCUIT_LEN_MAX} printable characters")
            }
            Self::RateAboveMax { asked, max } => write!(
                f,
                "this driver may send at most {max} (L2), but {asked} was requested. Request less, \
                 or ask the agent's operator to raise --max-rate, or max-rate in the line of this \
                 key in allowed_drivers"
            ),
            Self::DurationAboveMax { role, what, asked, max } => write!(
                f,
                "role '{role}' may {what} at most {max}, {asked} was requested. Ask for less, or \
                 have its operator raise --max-duration"
            ),
            Self::Locked { holder, left } => locked(f, holder, *left),
            Self::LeaseOver(of) => write!(
                f,
                "the lease on {of} has ended, and another run has taken it over since. Start the \
                 run again"
            ),
            Self::BeyondGrant(how) => write!(f, "the trial is not within its grant: {how}"),
        }
    }
}

/// Others hold what was asked for, or part of it.
fn taken(
    f: &mut fmt::Formatter<'_>,
    (asked, granted, max): (BitRate, u64, BitRate),
    holder: Option<&Holder>,
    left: Left,
) -> fmt::Result {
    write!(f, "{asked} (L2) was requested, ")?;
    match BitRate::new(max.bits_per_second().saturating_sub(granted)) {
        Some(free) => write!(f, "{free} of {max} is free")?,
        None => write!(f, "none of {max} is free")?,
    }
    match holder {
        Some(Holder { who, rate, .. }) => {
            write!(f, ": a run of {who} holds {rate} for {left}")?;
        }
        None => write!(f, ": runs that probe hold the rest")?,
    }
    write!(f, ". Ask for less, try again later, or ask the agent's operator to raise --max-rate")
}

/// Another run has the load lock.
fn locked(f: &mut fmt::Formatter<'_>, holder: &Holder, left: Left) -> fmt::Result {
    let run = match &holder.circuit {
        Some(circuit) => format!("a run on circuit '{circuit}'"),
        None => "a run".to_owned(),
    };
    write!(
        f,
        "{run} of {} holds the load lock for {left}. Try again then, or check without load",
        holder.who
    )
}
