//! Whether a scheduled run may load its link: what its plan demands, and how things are.

use crate::plan::{Blackouts, LoadRules};
use jiff::Timestamp;

/// What is demanded of loads on a link beside a window.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    /// When nothing is loaded.
    pub blackouts: Blackouts,
    /// The link needs a change that allows its loads, and the schedule names none.
    pub lacks_change: bool,
    /// A time service has to keep this host's clock.
    pub needs_clock: bool,
}

impl Permit {
    /// That of a link with these `rules` and `blackouts`.
    #[must_use]
    pub fn of(rules: &LoadRules, blackouts: Blackouts) -> Self {
        Self {
            blackouts,
            lacks_change: rules.requires_change && rules.change.is_none(),
            needs_clock: !rules.allows_unsynchronised_clock,
        }
    }

    /// Why nothing may be loaded from `start` to `end`, as far as that is known beforehand.
    #[must_use]
    pub fn denied(&self, start: Timestamp, end: Timestamp) -> Option<Denied> {
        if self.lacks_change {
            return Some(Denied::NoChange);
        }
        self.blackouts.within(start, end).map(Denied::Blackout)
    }

    /// The same of a load that starts now, as things are.
    pub(super) fn denied_now(
        &self,
        link: &str,
        start: Timestamp,
        end: Timestamp,
        conditions: &Conditions,
    ) -> Option<Denied> {
        let stop = conditions.stops.iter().find(|stop| stop.is_about(link));
        let stop = stop.map(|stop| Denied::Stopped(stop.why.clone()));
        let clock = (self.needs_clock && conditions.is_unsynchronised).then_some(Denied::Clock);
        stop.or_else(|| self.denied(start, end)).or(clock)
    }
}

/// How things are, beyond what plans say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conditions {
    /// No time service keeps this host's clock.
    pub is_unsynchronised: bool,
    /// What stops loads now.
    pub stops: Vec<Stop>,
}

/// Something that stops all load on a link, or on all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stop {
    /// The link; all where there is none.
    pub link: Option<String>,
    /// Who stopped it, when and why, in words.
    pub why: String,
}

impl Stop {
    /// Whether it stops load on the link of that name.
    #[must_use]
    pub fn is_about(&self, link: &str) -> bool {
        self.link.as_ref().is_none_or(|own| own == link)
    }
}

/// Why a link may not be loaded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denied {
    /// It is a time in which nothing is loaded.
    #[error("{0}")]
    Blackout(String),
    /// No change allows it.
    #[error(
        "the link needs a change (require_change), and its schedule names none: give it change = \
         \"ID\""
    )]
    NoChange,
    /// No time service keeps this host's clock.
    #[error(
        "this host's clock is not synchronised, so nobody knows whether a window is open. Start \
         chrony or another time service, or set allow_unsynchronised_clock in the schedule"
    )]
    Clock,
    /// Somebody stopped all load.
    #[error("{0}")]
    Stopped(String),
}
