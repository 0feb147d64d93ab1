//! When each of several links is run, before any is.

use super::Forecast;
use crate::method::schedule::{Claim, Room, Slot, timetable};
use crate::plan::Plan;
use crate::units::Span;

/// Which links a host runs at once.
#[derive(Clone, Debug)]
pub struct AtOnce {
    /// What each link takes, in the order of the plan.
    pub claims: Vec<Claim>,
    /// What the host has.
    pub room: Room,
}

impl AtOnce {
    /// When each of `plans` is run, if all are healthy.
    pub(super) fn slots(&self, plans: &[(&Plan, &Forecast)]) -> Vec<Slot> {
        let length = |(plan, forecast): &(&Plan, &Forecast)| {
            let phases = forecast.sites.iter().flat_map(|site| site.phases(plan));
            phases.fold(Span::default(), |sum, phase| sum.plus(phase.takes))
        };
        let lengths: Vec<Span> = plans.iter().map(length).collect();
        timetable(self.claims.clone(), self.room.clone(), &lengths)
    }

    /// When the last of `plans` is over.
    pub(super) fn end(&self, plans: &[(&Plan, &Forecast)]) -> Span {
        self.slots(plans).iter().map(|slot| slot.end).max().unwrap_or_default()
    }
}
