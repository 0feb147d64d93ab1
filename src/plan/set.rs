//! What a plan file holds: a plan for each of its links.

use super::link::Plan;

/// The plans of one file, in the order of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanSet {
    /// One for each link. They name their links; those of [`PlanKind::Links`] all do.
    pub plans: Vec<Plan>,
    /// How the file has them.
    pub kind: PlanKind,
}

/// How a plan file says what its links are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlanKind {
    /// It says nothing: what it requires is required of any link.
    Bare,
    /// A table `[link]`.
    Link,
    /// Tables `[links.NAME]`.
    Links,
}

impl PlanSet {
    /// The names of its links.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().filter_map(|plan| plan.link.name.as_deref())
    }

    /// The same with those links alone that `is_wanted`, in their order.
    #[must_use]
    pub fn only(self, is_wanted: impl Fn(&Plan) -> bool) -> Self {
        let Self { mut plans, kind } = self;
        plans.retain(is_wanted);
        Self { plans, kind }
    }
}
