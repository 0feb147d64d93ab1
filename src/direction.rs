//! Which way: driver to agent, agent to driver, and what there is of each.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Which way packets go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Driver to agent.
    Forward,
    /// Agent to driver.
    Reverse,
}

impl Direction {
    /// Both, in the order in which reports show them.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Reverse];

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }

    /// As people read it in a report: A is the driver's end, B the agent's.
    #[must_use]
    pub const fn way(self) -> &'static str {
        match self {
            Self::Forward => "A->B",
            Self::Reverse => "B->A",
        }
    }
}

/// Something of each direction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PerDirection<T> {
    /// Driver to agent.
    pub forward: T,
    /// Agent to driver.
    pub reverse: T,
}

impl<T> PerDirection<T> {
    /// That of `direction`.
    #[must_use]
    pub const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }

    /// That of `direction`, to be changed.
    pub const fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// What `of` makes for each direction.
    pub fn from_fn(mut of: impl FnMut(Direction) -> T) -> Self {
        Self { forward: of(Direction::Forward), reverse: of(Direction::Reverse) }
    }
}

impl<T: Clone> PerDirection<T> {
    /// The same in each direction.
    pub fn both(same: T) -> Self {
        Self { forward: same.clone(), reverse: same }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        })
    }
}

/// Which ways a trial loads: one, or both at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// Driver to agent.
    Forward,
    /// Agent to driver.
    Reverse,
    /// The two at once.
    Both,
}

impl Directions {
    /// The ways that are loaded; `None` where there are none.
    #[must_use]
    pub const fn of(included: PerDirection<bool>) -> Option<Self> {
        match (included.forward, included.reverse) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Forward),
            (false, true) => Some(Self::Reverse),
            (false, false) => None,
        }
    }

    /// Whether `direction` is loaded.
    #[must_use]
    pub const fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Forward => matches!(direction, Direction::Forward),
            Self::Reverse => matches!(direction, Direction::Reverse),
            Self::Both => true,
        }
    }

    /// The directions that are loaded.
    pub fn iter(self) -> impl Iterator<Item = Direction> {
        Direction::ALL.into_iter().filter(move |direction| self.includes(*direction))
    }
}

impl fmt::Display for Directions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
            Self::Both => "both",
        })
    }
}

impl FromStr for Directions {
    type Err = crate::units::Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Forward, Self::Reverse, Self::Both]
            .into_iter()
            .find(|directions| directions.to_string() == text)
            .ok_or_else(|| Self::Err::new(text, "a direction: forward, reverse or both"))
    }
}
