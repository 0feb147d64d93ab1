//! What one key may do.

use crate::trial::Limits;

/// A set of limits that a key is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role {
    /// Its name, as the report shows it.
    pub name: &'static str,
    /// What it may do: the rate of all runs of the key together, and the time that one may load.
    pub limits: Limits,
    /// Whether it may load, and not probe alone.
    pub may_load: bool,
    /// The circuits that it may load; any, and a link without a name, where it is `None`.
    pub circuits: Option<Vec<String>>,
}

impl Role {
    /// May probe and load, within `limits`.
    #[must_use]
    pub const fn qualifier(limits: Limits) -> Self {
        Self { name: "qualifier", limits, may_load: true, circuits: None }
    }

    /// May probe alone.
    #[must_use]
    pub const fn prober(limits: Limits) -> Self {
        Self { name: "prober", limits, may_load: false, circuits: None }
    }

    /// The role, for load on `circuits` alone.
    #[must_use]
    pub fn on_circuits(self, circuits: Vec<String>) -> Self {
        Self { circuits: Some(circuits), ..self }
    }
}
