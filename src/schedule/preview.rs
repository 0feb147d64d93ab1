//! What will become of the runs of a schedule, if each takes as long as planned.

use super::{Due, Missed, Schedule, Scheduled, Step};
use crate::units::Span;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A run that is to come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Coming {
    /// Its link, by its place.
    pub place: usize,
    /// When it is due.
    pub due: Due,
    /// When it starts; or why it will be missed.
    pub starts: Result<Timestamp, Missed>,
    /// The link whose run it waits for.
    pub waits_for: Option<String>,
}

/// The runs of `links` from `from` until `until`, by when they are due; each run takes as long as
/// `lasts` says of its link.
#[must_use]
pub fn preview(
    links: Vec<Scheduled>,
    lasts: &[Span],
    from: Timestamp,
    until: Timestamp,
) -> Vec<Coming> {
    let mut schedule = Schedule::new(links, from);
    let mut running = BTreeSet::new();
    let mut waits = BTreeMap::new();
    let mut coming = Vec::new();
    let mut now = from;
    loop {
        while let Some(step) = schedule.poll(now) {
            let (place, due, starts) = match step {
                Step::Start(place, due) => (place, due, Ok(now)),
                Step::Missed(place, due, why) => (place, due, Err(why)),
            };
            if starts.is_ok() {
                let lasts = lasts.get(place).map_or(0, |span| span.nanos());
                let lasts = SignedDuration::from_nanos_i128(lasts.into());
                running.insert((now.checked_add(lasts).unwrap_or(Timestamp::MAX), place));
            }
            let waits_for = waits.remove(&(place, due));
            coming.push(Coming { place, due, starts, waits_for });
        }
        for waiting in schedule.waiting().collect::<Vec<_>>() {
            if let Some(holder) = schedule.holder(waiting.0) {
                waits.entry(waiting).or_insert_with(|| holder.to_owned());
            }
        }
        let over = running.first().map(|(end, _)| *end);
        let Some(next) = [over, schedule.deadline()].into_iter().flatten().min() else { break };
        now = next.max(now);
        if until <= now && waits.is_empty() {
            break;
        }
        while let Some((_, place)) = running.first().filter(|(end, _)| *end <= now).copied() {
            running.pop_first();
            if let Some(name) = schedule.link(place).map(|link| link.name.clone()) {
                schedule.handle_over(&name);
            }
        }
    }
    coming.retain(|run| run.due.start < until);
    coming.sort_by_key(|run| (run.due, run.place));
    coming
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, link, sharing};
    use super::*;

    #[test]
    fn a_run_that_waits_is_marked_with_whom_it_waits_for() {
        let links = ["a", "b", "c"]
            .map(|name| sharing(link(name, "0 2 * * *", &["02:00-03:00"], 25), "fibre-7"));
        let lasts = [Span::from_secs(600); 3];
        let (from, until) = (at("2026-11-27T00:00:00Z"), at("2026-11-28T00:00:00Z"));
        let coming = preview(links.to_vec(), &lasts, from, until);
        let shown: Vec<_> = coming
            .iter()
            .map(|run| (run.place, run.starts.clone().ok(), run.waits_for.as_deref()))
            .collect();
        let expected = [
            (0, Some(at("2026-11-27T01:00:00Z")), None),
            (1, Some(at("2026-11-27T01:10:00Z")), Some("a")),
            (2, Some(at("2026-11-27T01:20:00Z")), Some("a")),
        ];
        assert_eq!(shown, expected);
        let lasts = [Span::from_secs(1_500); 3];
        let coming = preview(links.to_vec(), &lasts, from, until);
        assert!(matches!(coming[2].starts, Err(Missed::Busy(_))), "{coming:?}");
    }
}
