//! The requirements: of each direction, and of the round trip.

use super::draft::Draft;
use super::fault::Place;
use super::raw::{Bounds, RawRequire, value};
use crate::direction::Direction;
use crate::metric::{Metric, Requirement, Requirements};

/// A requirement, and where it is written.
pub(super) type Demand = (Option<Direction>, Requirement, Place);

/// What `raw` requires, and where each is written.
pub(super) fn requirements(draft: &mut Draft<'_>, raw: &RawRequire) -> (Requirements, Vec<Demand>) {
    let mut requirements = Requirements::default();
    let mut demands: Vec<Demand> = Vec::new();
    for (metric, bound, place) in written(&raw.bounds) {
        if let Some(requirement) = read(draft, metric, bound, place) {
            requirements.set(None, requirement);
            demands
                .extend(metric.scopes().map(|direction| (direction, requirement, place.clone())));
        }
    }
    for (direction, table) in
        Direction::ALL.into_iter().zip([value(&raw.forward), value(&raw.reverse)])
    {
        for (metric, bound, place) in
            table.map(|table| written(&table.bounds)).into_iter().flatten()
        {
            let requirement = read(draft, metric, bound, place);
            demands.retain(|(other, was, _)| *other != Some(direction) || was.metric() != metric);
            if let Some(requirement) = requirement {
                requirements.set(Some(direction), requirement);
                demands.push((Some(direction), requirement, place.clone()));
            }
        }
    }
    requirements.mss_clamped = value(&raw.mss_clamped).copied().unwrap_or(false);
    match value(&raw.confidence) {
        Some(confidence) => requirements.confidence = confidence.0,
        None if demands.is_empty() => {}
        None => {
            let place = Place::absent("require.confidence");
            draft.assume(&place, format!("each bound holds at {}", requirements.confidence));
        }
    }
    (requirements, demands)
}

/// The bounds that are there and are text, each with its metric and its place.
fn written<B>(bounds: &Bounds<B>) -> impl Iterator<Item = (Metric, &str, &Place)> {
    let whole = bounds.0.iter().filter_map(|(metric, given)| Some((*metric, given.whole()?)));
    whole.map(|(metric, (bound, place))| (metric, bound.as_str(), place))
}

fn read(draft: &mut Draft<'_>, metric: Metric, bound: &str, place: &Place) -> Option<Requirement> {
    let read = metric.require(bound);
    if let Err(error) = &read {
        draft.fault(place, error.form());
    }
    read.ok()
}
