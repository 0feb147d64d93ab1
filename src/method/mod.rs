//! The procedures: which trials a plan needs, and which comes next.
//!
//! A method knows trials and findings, never messages. [`campaign`] alone says what comes next.

pub mod campaign;

pub mod trials;

use crate::plan::{OutOfBounds, Trial};
use crate::policy::Request;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask the agent for leave.
    Request(Request),
    /// Find the largest payload, at most this, that crosses both ways; the trial bounds its time.
    FindPayload(u32, Trial),
    /// Run this trial.
    Run(Trial),
    /// There is nothing more to do.
    Finish,
}

/// Why a plan cannot be run as it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// A number of a trial is outside its bounds.
    #[error("{0}")]
    OutOfBounds(#[from] OutOfBounds),
    /// The size does not cross.
    #[error(
        "a size of {asked} octets: the path carries at most {found} octets of UDP payload in one \
         piece. Ask for at most that, or leave the size out"
    )]
    SizeTooLong {
        /// What was asked for.
        asked: u32,
        /// What crosses.
        found: u32,
    },
    /// No probe of any size came back.
    #[error("no probe came back, not even the smallest: does a firewall drop UDP after a start?")]
    NothingCrosses,
}
