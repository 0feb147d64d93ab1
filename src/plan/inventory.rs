//! What a network team keeps about a link beside its rates: what it is for, who provides and owns
//! it, and by which contract. Nothing of it is measured.
//!
//! The record stores it as it is, so these types are serialised.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known of a link beside its rates; all of it is optional.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Inventory {
    /// What the link is for; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<LinkRole>,
    /// The name of the primary link that this one backs up; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protects: Option<String>,
    /// Number of physical links in the bundle (LAG) that the link is; left out if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// What the link shares with others, by names of the plan's own, such as a router or a fibre;
    /// left out if nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<String>,
    /// How its provider is reached about it; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_contact: Option<ProviderContact>,
    /// Who owns the link on the customer's side; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The contract; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// It carries the traffic.
    Primary,
    /// It carries the traffic when a primary link is down.
    Backup,
    /// It is one of several that carry the traffic together, and has addresses of its own.
    Member,
}

impl LinkRole {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Backup, Self::Member];

    /// Its name in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
            Self::Member => "member",
        }
    }
}

impl fmt::Display for LinkRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the provider wants to know when it is called.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProviderContact {
    /// The provider's circuit ID; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// The ID of the provider's acceptance test or test order; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_id: Option<String>,
    /// Its network operations centre: a telephone number or an address; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noc: Option<String>,
}

/// Until when the link is ordered.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Contract {
    /// Its last day, such as "2027-06-30"; left out if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Number of days from an order until a new or larger link is delivered; left out if not
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_time_days: Option<u32>,
}

/// The source ports that each physical link of a bundle should see: with 48 ports over 12 of them
/// every one is used with 83 %, as ports are hashed like dice (with 24 ports it is 15 %).
const STREAMS_PER_MEMBER: u32 = 4;

/// The fewest source ports that load a bundle: a gateway that hashes over more paths than the
/// bundle has members is covered as well.
const BUNDLE_STREAMS_MIN: u32 = 48;

/// The most physical links that a bundle may have, for as many streams as a test may have.
pub const MEMBERS_MAX: u32 = 16;

impl Inventory {
    /// Streams in each direction of a test that says nothing of them: a bundle without addresses
    /// of its own is loaded from so many source ports that hashing uses each of its members.
    #[must_use]
    pub fn streams(&self) -> u32 {
        let of_bundle = |members: u32| (members * STREAMS_PER_MEMBER).max(BUNDLE_STREAMS_MIN);
        self.members.map_or(1, of_bundle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::STREAMS_MAX;

    #[test]
    fn a_bundle_is_loaded_from_so_many_ports_that_hashing_reaches_each_member() {
        let streams = |members| Inventory { members, ..Inventory::default() }.streams();
        assert_eq!([None, Some(2), Some(12), Some(13)].map(streams), [1, 48, 48, 52]);
        assert_eq!(streams(Some(MEMBERS_MAX)), STREAMS_MAX);
        // Of 12 members hashed like dice each is missed by 48 ports with (11/12)^48.
        let missed = (11.0_f64 / 12.0).powi(48);
        assert!(((1.0 - missed).powi(12) - 0.83).abs() < 0.005);
    }

    #[test]
    fn what_is_not_known_is_left_out_of_a_record() {
        let json = serde_json::to_string(&Inventory::default()).expect("JSON");
        assert_eq!(json, "{}");
        assert_eq!(serde_json::from_str::<Inventory>("{}").ok(), Some(Inventory::default()));
        let roles = LinkRole::ALL.map(|role| serde_json::to_string(&role).expect("JSON"));
        assert_eq!(roles, LinkRole::ALL.map(|role| format!("\"{role}\"")));
    }
}
