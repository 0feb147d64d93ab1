//! What time it is, and what a run sends.

use crate::direction::Direction;
use crate::forecast::{Forecast, total};
use crate::io::clock::wall_ns;
use crate::plan::Plan;
use crate::schedule::cost::Volume;
use crate::units::{ByteCount, Span};
use jiff::Timestamp;

/// Now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_nanosecond(wall_ns().into()).unwrap_or(Timestamp::MIN)
}

/// What a run of `plan` sends, if nothing is lengthened.
pub(super) fn volume(plan: &Plan, forecast: &Forecast) -> Volume {
    let sent = Direction::ALL.map(|direction| {
        let octets = forecast.sites.iter().map(|site| site.sent(direction).octets.octets());
        ByteCount::new(octets.fold(0, u64::saturating_add))
    });
    let sum = |spans: &mut dyn Iterator<Item = Span>| spans.fold(Span::default(), Span::plus);
    let trials = || forecast.sites.iter().flat_map(|site| &site.steps).map(|step| step.trial);
    let loads = sum(&mut trials().filter(|trial| !trial.is_idle()).map(|it| it.duration()));
    let lasts = sum(&mut forecast.sites.iter().map(|site| total(&site.phases(plan))));
    Volume { sent, loads, lasts }
}
