//! Seconds in, rows out: what a path came to minute by minute, and its outages.

use super::{Class, End, HOUR_S, HourOfSeconds, Outage, PathName, Period, Second, Sum, Way};
use crate::stats::availability::{Availability, RUN};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds of a minute.
const MINUTE_S: i64 = 60;

/// What a path came to since the last time, for the record.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct PathRows {
    /// Minutes that are over.
    pub minutes: Vec<Period>,
    /// Hours of whose seconds more is known.
    pub hours: Vec<HourOfSeconds>,
    /// Outages that are new, or of which more is known.
    pub outages: Vec<Outage>,
}

impl PathRows {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.hours.is_empty() && self.outages.is_empty()
    }
}

/// What paths came to since the last time, for the record.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Batch {
    /// One for each path of which there is anything.
    pub paths: Vec<PathBatch>,
}

/// What one path came to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PathBatch {
    /// The path.
    pub name: PathName,
    /// Probes per second, as they are sent.
    pub probes_per_second: f64,
    /// Until when it was seen, in seconds since 1970.
    pub seen_s: i64,
    /// Its rows.
    pub rows: PathRows,
}

/// Rows of one path, from its settled seconds.
#[derive(Clone, Debug, Default)]
pub struct Rollup {
    /// The second that comes next.
    next_s: Option<i64>,
    minutes: BTreeMap<i64, Period>,
    hour: Option<HourOfSeconds>,
    /// Hours that are over and were not taken yet.
    hours: Vec<HourOfSeconds>,
    is_hour_new: bool,
    ways: [OneWay; 3],
    outages: Vec<Outage>,
}

/// A way's state from second to second.
#[derive(Clone, Debug, Default)]
struct OneWay {
    availability: Availability,
    outage: Option<Outage>,
    /// Whether more is known of the outage than was taken.
    is_outage_new: bool,
}

impl Rollup {
    /// Takes the next settled second; one that does not come behind the last is of a clock that was
    /// set, and begins anew.
    pub fn on_second(&mut self, second: &Second) {
        let start_s = second.start_s;
        match self.next_s {
            Some(next_s) if next_s <= start_s && start_s - next_s < HOUR_S => {
                (next_s..start_s).for_each(|missing| self.count(&unmeasured(missing), false));
            }
            Some(_) => self.forget(),
            None => {}
        }
        self.count(second, true);
        self.next_s = Some(start_s + 1);
    }

    fn count(&mut self, second: &Second, is_watched: bool) {
        let start_s = second.start_s;
        let minute_s = start_s - start_s.rem_euclid(MINUTE_S);
        let new = || Period { start_s: minute_s, ..Period::default() };
        let minute = self.minutes.entry(minute_s).or_insert_with(new);
        minute.watched_s += u64::from(is_watched);
        for round_trip in &second.round_trips {
            minute.round_trips.record(round_trip.nanos());
        }
        for (way, one) in Way::ALL.into_iter().zip(&mut self.ways) {
            one.count(way, second, &mut self.minutes, &mut self.outages);
        }
        if !is_watched {
            return;
        }
        let hour_s = start_s - start_s.rem_euclid(HOUR_S);
        if self.hour.as_ref().is_none_or(|hour| hour.start_s != hour_s) {
            self.hours.extend(self.hour.replace(HourOfSeconds::new(hour_s)));
        }
        if let Some(hour) = &mut self.hour {
            hour.take(second);
            self.is_hour_new = true;
        }
    }

    /// What was measured stays; what goes on is not followed any further.
    fn forget(&mut self) {
        self.outages.extend(self.ways.iter_mut().filter_map(OneWay::lose_sight));
        self.ways = Default::default();
    }

    /// What is known and was not taken yet. A minute is taken once no later second can change how
    /// its own count, or `is_over`: nothing more comes.
    pub fn take(&mut self, is_over: bool) -> PathRows {
        let mut rows = PathRows::default();
        if is_over {
            self.forget();
        }
        // The next seconds may still decide whether those before them are available.
        let settled_s = self.next_s.unwrap_or(0) - i64::from(RUN);
        let is_settled = |minute_s: i64| is_over || minute_s + MINUTE_S <= settled_s;
        while let Some(minute) = self.minutes.first_entry().filter(|it| is_settled(*it.key())) {
            let minute = minute.remove();
            if 0 < minute.watched_s {
                rows.minutes.push(minute);
            }
        }
        // With each minute, and not with each second.
        if !rows.minutes.is_empty() || is_over || !self.hours.is_empty() {
            rows.hours = std::mem::take(&mut self.hours);
            if std::mem::take(&mut self.is_hour_new) {
                rows.hours.extend(self.hour.clone());
            }
        }
        rows.outages = std::mem::take(&mut self.outages);
        for one in self.ways.iter_mut().filter(|one| one.is_outage_new) {
            one.is_outage_new = false;
            rows.outages.extend(one.outage.clone());
        }
        rows
    }
}

impl OneWay {
    fn count(
        &mut self,
        way: Way,
        second: &Second,
        minutes: &mut BTreeMap<i64, Period>,
        outages: &mut Vec<Outage>,
    ) {
        let (start_s, class) = (second.start_s, way.class_of(second));
        let counted = self.availability.on_second(class);
        let is_unavailable = counted.is_unavailable;
        for back in 1..=i64::from(counted.reversed) {
            if let Some(sum) = sum_at(minutes, way, start_s - back) {
                match is_unavailable {
                    Some(true) => sum.unavailable_s += 1,
                    _ => sum.unavailable_s = sum.unavailable_s.saturating_sub(1),
                }
            }
        }
        if let Some(sum) = sum_at(minutes, way, start_s) {
            let carried = way.carried(second).unwrap_or_default();
            sum.sent += u64::from(carried.sent);
            sum.lost += u64::from(carried.lost);
            sum.good_s += u64::from(class == Class::Good);
            sum.errored_s += u64::from(class == Class::Errored);
            sum.unavailable_s += u64::from(is_unavailable == Some(true));
        }
        self.follow_outage(way, second, class, outages);
    }

    fn follow_outage(
        &mut self,
        way: Way,
        second: &Second,
        class: Class,
        outages: &mut Vec<Outage>,
    ) {
        let start_s = second.start_s;
        match (class, &mut self.outage) {
            (Class::Errored, outage) => {
                let carried = way.carried(second).unwrap_or_default();
                let outage = outage.get_or_insert(Outage {
                    way,
                    start_s,
                    until_s: start_s,
                    end: End::Open,
                    sent: 0,
                    lost: 0,
                    is_unavailability: false,
                });
                outage.until_s = start_s + 1;
                outage.sent += u64::from(carried.sent);
                outage.lost += u64::from(carried.lost);
                outage.is_unavailability |= self.availability.is_unavailable();
                self.is_outage_new = true;
            }
            (Class::Good, Some(_)) => {
                let over = self.outage.take().map(|it| Outage { end: End::Recovered, ..it });
                outages.extend(over);
                self.is_outage_new = false;
            }
            (Class::Unmeasured, Some(outage)) if outage.until_s + i64::from(RUN) <= start_s + 1 => {
                outages.extend(self.lose_sight());
            }
            (Class::Good | Class::Unmeasured, _) => {}
        }
    }

    /// An outage that goes on, and whose end nobody will see.
    fn lose_sight(&mut self) -> Option<Outage> {
        self.is_outage_new = false;
        self.outage.take().map(|outage| Outage { end: End::Unseen, ..outage })
    }
}

fn sum_at(minutes: &mut BTreeMap<i64, Period>, way: Way, second_s: i64) -> Option<&mut Sum> {
    let minute_s = second_s - second_s.rem_euclid(MINUTE_S);
    minutes.get_mut(&minute_s).map(|minute| minute.sum_mut(way))
}

fn unmeasured(start_s: i64) -> Second {
    let (carried, answered, round_trips) = (Default::default(), None, Vec::new());
    Second { start_s, carried, answered, round_trips }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::PerDirection;
    use crate::health::{Carried, Sum};
    use crate::units::Span;

    /// Of 20 probes so many are lost on the way there; `None`: nothing was sent.
    fn second(start_s: i64, lost: Option<u32>) -> Second {
        let Some(lost) = lost else { return unmeasured(start_s) };
        let forward = Some(Carried { sent: 20, lost });
        let reverse = Some(Carried { sent: 20 - lost, lost: 0 });
        let round_trips = vec![Span::from_millis(10); (20 - lost) as usize];
        Second {
            start_s,
            carried: PerDirection { forward, reverse },
            answered: forward,
            round_trips,
        }
    }

    fn rolled(from_s: i64, runs: &[(i64, Option<u32>)]) -> (Rollup, PathRows) {
        let (mut rollup, mut at_s) = (Rollup::default(), from_s);
        for (length, lost) in runs {
            for _ in 0..*length {
                rollup.on_second(&second(at_s, *lost));
                at_s += 1;
            }
        }
        let rows = rollup.clone().take(true);
        (rollup, rows)
    }

    #[test]
    fn minutes_sum_up_their_seconds_each_way() {
        let (mut rollup, rows) = rolled(60, &[(60, Some(1)), (30, Some(0)), (30, None)]);
        let [first, second] = rows.minutes.as_slice() else { panic!("{rows:?}") };
        assert_eq!((first.start_s, first.watched_s), (60, 60));
        let good_s = 60;
        let sum = Sum { sent: 1_200, lost: 60, good_s, errored_s: 0, unavailable_s: 0 };
        assert_eq!((first.round_trip, first.one_way.forward), (sum, sum));
        assert_eq!(first.one_way.reverse, Sum { sent: 1_140, lost: 0, ..sum });
        assert_eq!(first.round_trips.count(), 1_140);
        assert_eq!((second.watched_s, second.round_trip.measured_s()), (60, 30));
        // The last minute may still change.
        let taken = rollup.take(false);
        assert_eq!(taken.minutes.first(), Some(first));
        assert_eq!(taken.minutes.len(), 1);
        assert_eq!(rollup.take(false), PathRows::default(), "each is taken once");
        assert_eq!(taken.hours.len(), 1);
        assert_eq!(taken.hours[0].of(Way::Forward)[60..150], [Class::Good; 90]);
    }

    /// Ten errored seconds over the edge of a minute: the first five count as unavailable only when
    /// the last one is known.
    #[test]
    fn unavailable_seconds_are_those_of_the_standard_whichever_minute_they_are_of() {
        let runs = [(55, Some(0)), (10, Some(20)), (55, Some(0))];
        let (mut rollup, rows) = rolled(0, &runs);
        let unavailable: Vec<u64> =
            rows.minutes.iter().map(|it| it.one_way.forward.unavailable_s).collect();
        assert_eq!(unavailable, [5, 5]);
        let reverse: Vec<u64> = rows.minutes.iter().map(|it| it.one_way.reverse.good_s).collect();
        assert_eq!(reverse, [55, 55], "nothing was sent back in the outage");
        assert_eq!(rollup.take(false).minutes.len(), 1);
        let (_, rows) = rolled(0, &[(55, Some(0)), (9, Some(20)), (56, Some(0))]);
        assert!(rows.minutes.iter().all(|it| it.one_way.forward.unavailable_s == 0));
        assert_eq!(rows.minutes[1].one_way.forward.errored_s, 4);
    }

    fn outages(rows: &PathRows, way: Way) -> Vec<(i64, i64, End, bool)> {
        let of = rows.outages.iter().filter(|it| it.way == way);
        of.map(|it| (it.start_s, it.until_s, it.end, it.is_unavailability)).collect()
    }

    #[test]
    fn outages_begin_and_end_with_their_errored_seconds() {
        let runs = [(5, Some(0)), (3, Some(20)), (5, Some(10)), (12, Some(11)), (9, Some(0))];
        let (_, rows) = rolled(100, &runs);
        let expected = [(105, 108, End::Recovered, false), (113, 125, End::Recovered, true)];
        assert_eq!(outages(&rows, Way::Forward), expected);
        assert_eq!(outages(&rows, Way::RoundTrip), expected);
        assert_eq!(outages(&rows, Way::Reverse), []);
        let lost: Vec<_> = rows.outages.iter().map(|it| (it.sent, it.lost)).collect();
        assert_eq!(lost, [(60, 60), (60, 60), (240, 132), (240, 132)]);
    }

    #[test]
    fn of_an_outage_that_goes_on_more_is_known_each_time() {
        let (mut rollup, rows) = rolled(0, &[(5, Some(0)), (30, Some(20))]);
        let first = rollup.take(false);
        assert_eq!(outages(&first, Way::Forward), [(5, 35, End::Open, true)]);
        assert_eq!(rollup.take(false).outages, [], "nothing new");
        rollup.on_second(&second(35, Some(20)));
        assert_eq!(outages(&rollup.take(false), Way::Forward), [(5, 36, End::Open, true)]);
        assert_eq!(outages(&rows, Way::Forward), [(5, 35, End::Unseen, true)], "the program ends");
    }

    #[test]
    fn what_nobody_measured_ends_no_outage_at_once_and_proves_no_recovery() {
        let (_, rows) = rolled(0, &[(5, Some(20)), (9, None), (5, Some(20)), (1, Some(0))]);
        assert_eq!(outages(&rows, Way::Forward), [(0, 19, End::Recovered, false)]);
        let (_, rows) = rolled(0, &[(5, Some(20)), (10, None), (5, Some(20)), (1, Some(0))]);
        let expected = [(0, 5, End::Unseen, false), (15, 20, End::Recovered, false)];
        assert_eq!(outages(&rows, Way::Forward), expected);
    }

    #[test]
    fn a_clock_that_is_set_begins_anew() {
        let mut rollup = Rollup::default();
        (0..5).for_each(|at| rollup.on_second(&second(at, Some(20))));
        rollup.on_second(&second(100_000, Some(0)));
        rollup.on_second(&second(50, Some(0)));
        let rows = rollup.take(true);
        assert_eq!(outages(&rows, Way::Forward), [(0, 5, End::Unseen, false)]);
        let starts: Vec<i64> = rows.minutes.iter().map(|it| it.start_s).collect();
        assert_eq!(starts, [0, 99_960]);
        assert_eq!(rows.minutes[0].watched_s, 6);
    }
}
