//! States, what they are of, and why they changed.

use crate::direction::Direction;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a link, in one direction or of the round trip.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does what is required, as far as it is known.
    Pass,
    /// It does, and is above 80 % of a bound.
    Warning,
    /// Nobody can say.
    Indeterminate,
    /// It does not.
    Fail,
    /// It is being worked on: what it does is shown, and judged by nobody.
    Maintenance,
    /// It is not watched.
    NotRunning,
}

/// What a state is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// From the driver to the agent.
    Forward,
    /// From the agent to the driver.
    Reverse,
    /// There and back.
    RoundTrip,
}

/// Why a state is what it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing has been measured yet.
    Starting,
    /// All is as required.
    Met,
    /// Probes are lost.
    Loss,
    /// Round trips are long.
    Delay,
    /// Delay varies.
    Variation,
    /// The link does not answer, and its far host does elsewhere, or other hosts of the far site.
    Outage,
    /// The far host does not answer anywhere.
    HostDown,
    /// Nothing answers, and nothing else shows whether it is the link or its far end.
    LinkOrFarEnd,
    /// No watched link answers: it is more likely this host, or what it is connected by.
    NearEnd,
    /// A load run failed, or came near a bound.
    Load,
    /// Nothing has been measured for a while.
    NoData,
    /// The agent's host answers, the agent does not.
    AgentDown,
    /// The agent refuses this driver.
    Refused,
    /// The probes of a backup are not shown to cross it.
    NotProven,
    /// It is being worked on.
    Maintenance,
    /// It is no longer watched.
    Stopped,
}

macro_rules! named {
    ($($type:ident: $count:literal { $($variant:ident $name:literal)+ })+) => {$(
        impl $type {
            /// Every one.
            pub const ALL: [Self; $count] = [$(Self::$variant),+];

            /// Its name in records and in the history.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|it| it.name() == name)
            }
        }
    )+};
}

named! {
    State: 6 {
        Pass "pass" Warning "warning" Indeterminate "indeterminate" Fail "fail"
        Maintenance "maintenance" NotRunning "not_running"
    }
    Subject: 3 { Forward "forward" Reverse "reverse" RoundTrip "round_trip" }
    Cause: 16 {
        Starting "starting" Met "met" Loss "loss" Delay "delay" Variation "variation"
        Outage "outage" HostDown "host_down" LinkOrFarEnd "link_or_far_end" NearEnd "near_end"
        Load "load" NoData "no_data" AgentDown "agent_down" Refused "refused"
        NotProven "not_proven" Maintenance "maintenance" Stopped "stopped"
    }
    Changed: 6 {
        Path "path" Mtu "mtu" RttFloor "rtt_floor" Throughput "throughput" Loss "loss" Host "host"
    }
}

impl State {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotRunning => "not running",
            other => other.name(),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

impl Subject {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::RoundTrip => "round trip",
            other => other.name(),
        }
    }

    /// The direction; `None` of the round trip.
    #[must_use]
    pub const fn direction(self) -> Option<Direction> {
        match self {
            Self::Forward => Some(Direction::Forward),
            Self::Reverse => Some(Direction::Reverse),
            Self::RoundTrip => None,
        }
    }

    /// That of `direction`, or the round trip.
    #[must_use]
    pub const fn of(direction: Option<Direction>) -> Self {
        match direction {
            Some(Direction::Forward) => Self::Forward,
            Some(Direction::Reverse) => Self::Reverse,
            None => Self::RoundTrip,
        }
    }

    /// Its place in [`Subject::ALL`].
    pub(super) const fn place(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Reverse => 1,
            Self::RoundTrip => 2,
        }
    }
}

impl Cause {
    /// Whether the link does not answer.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::Outage | Self::HostDown | Self::LinkOrFarEnd | Self::NearEnd)
    }

    /// Whether nothing is known of the link that should be.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::NoData | Self::AgentDown | Self::Refused)
    }
}

/// What changed on a link, of what is looked at whatever is required.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// The routers on its way.
    Path,
    /// The largest packet that crosses it.
    Mtu,
    /// The shortest round trip.
    RttFloor,
    /// What it carries.
    Throughput,
    /// It began to lose packets.
    Loss,
    /// Its far host: its address, its agent's key or version.
    Host,
}

impl Changed {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Path => "the path",
            Self::Mtu => "the path MTU",
            Self::RttFloor => "the shortest round trip",
            Self::Throughput => "the throughput",
            Self::Loss => "loss",
            Self::Host => "the far host",
        }
    }
}

/// A change, and when it was first seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// What changed.
    pub what: Changed,
    /// When, in seconds since 1970.
    pub at_s: i64,
}

/// The state of a subject, and since when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Current {
    /// The link's name.
    pub link: String,
    /// What it is of.
    pub subject: Subject,
    /// The state.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// Why, in a line.
    pub reason: String,
    /// Since when it has been so, in seconds since 1970.
    pub since_s: i64,
}

/// A change of state, or of its cause.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When it was known, in seconds since 1970.
    pub at_s: i64,
    /// The state before.
    pub from: State,
    /// The state now.
    pub now: Current,
    /// What changed first, where something was seen to change before.
    pub first: Option<Change>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_state_and_of_its_record() {
        for state in State::ALL {
            assert_eq!(State::named(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).expect("a name"), state.name());
        }
        for cause in Cause::ALL {
            assert_eq!(Cause::named(cause.name()), Some(cause));
            assert_eq!(serde_json::to_value(cause).expect("a name"), cause.name());
        }
        assert_eq!(Subject::ALL.map(Subject::place), [0, 1, 2]);
        assert_eq!(Subject::named("down"), None);
    }
}
