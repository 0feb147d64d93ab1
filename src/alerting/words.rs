//! What alerts are about, and on which occasions they are reported.

pub use crate::plan::Severity;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an alert is about.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Key {
    /// No link answers: this end.
    NearEnd,
    /// A far host that does not answer anywhere.
    Host(String),
    /// What links share that are all down.
    Shared(String),
    /// A circuit.
    Circuit(String),
    /// A link of which no circuit is known.
    Link(String),
    /// A far host to which nothing is measured.
    NoData(String),
}

impl Key {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NearEnd => "near_end",
            Self::Host(_) => "host",
            Self::Shared(_) => "shared",
            Self::Circuit(_) => "circuit",
            Self::Link(_) => "link",
            Self::NoData(_) => "no_data",
        }
    }

    /// The name of what it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NearEnd => "",
            Self::Host(name)
            | Self::Shared(name)
            | Self::Circuit(name)
            | Self::Link(name)
            | Self::NoData(name) => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NearEnd => f.write_str("every watched link"),
            Self::Host(name) => write!(f, "host {name}"),
            Self::Shared(name) => write!(f, "shared {name}"),
            Self::Circuit(name) => write!(f, "circuit {name}"),
            Self::Link(name) => write!(f, "link {name}"),
            Self::NoData(name) => write!(f, "no data from {name}"),
        }
    }
}

/// Why there is a notice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// It has begun.
    Firing,
    /// It has become worse.
    Worse,
    /// It goes on.
    Reminder,
    /// It is over, or is no alert of its own any more.
    Resolved,
    /// Nothing: somebody tries the receivers.
    Test,
}

impl Occasion {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Worse => "worse",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}
