//! The requirements: of each direction, and of the round trip.

use super::draft::Draft;
use super::fault::Place;
use super::raw::{Given, RawOneWay, RawRequire, value};
use crate::direction::Direction;
use crate::metric::{Metric, Requirement, Requirements};

/// A requirement, and where it is written.
pub(super) type Demand = (Option<Direction>, Requirement, Place);

/// What `raw` requires, and where each is written.
pub(super) fn requirements(draft: &mut Draft<'_>, raw: &RawRequire) -> (Requirements, Vec<Demand>) {
    let mut requirements = Requirements::default();
    let mut demands: Vec<Demand> = Vec::new();
    for (metric, written) in of_both(raw) {
        let Some((bound, place)) = written else { continue };
        if let Some(requirement) = read(draft, metric, bound, place) {
            requirements.set(None, requirement);
            demands
                .extend(metric.scopes().map(|direction| (direction, requirement, place.clone())));
        }
    }
    for (direction, table) in
        Direction::ALL.into_iter().zip([value(&raw.forward), value(&raw.reverse)])
    {
        for (metric, written) in table.map(of_one).into_iter().flatten() {
            let Some((bound, place)) = written else { continue };
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

/// A bound as it is written, and where.
type Written<'a> = (Metric, Option<(&'a str, &'a Place)>);

/// What is written for one metric.
macro_rules! written {
    ($metric:ident, $given:expr) => {
        (
            Metric::$metric,
            $given.as_ref().and_then(Given::whole).map(|(bound, place)| (bound.0.as_str(), place)),
        )
    };
}

fn of_both(raw: &RawRequire) -> [Written<'_>; 8] {
    [
        written!(Throughput, raw.throughput),
        written!(TcpThroughput, raw.tcp_throughput),
        written!(Loss, raw.loss),
        written!(RttP99, raw.rtt_p99),
        written!(RttP99Loaded, raw.rtt_p99_loaded),
        written!(Jitter, raw.jitter),
        written!(Outage, raw.outage),
        written!(PathMtu, raw.path_mtu),
    ]
}

fn of_one(raw: &RawOneWay) -> [Written<'_>; 5] {
    [
        written!(Throughput, raw.throughput),
        written!(TcpThroughput, raw.tcp_throughput),
        written!(Loss, raw.loss),
        written!(Jitter, raw.jitter),
        written!(Outage, raw.outage),
    ]
}

fn read(draft: &mut Draft<'_>, metric: Metric, bound: &str, place: &Place) -> Option<Requirement> {
    let read = metric.require(bound);
    if let Err(error) = &read {
        draft.fault(place, error.form());
    }
    read.ok()
}
