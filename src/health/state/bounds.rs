//! What of a link's requirements probes speak to, second by second.

use super::words::Cause;
use super::{NEAR, Subject};
use crate::direction::Direction;
use crate::health::Second;
use crate::metric::{JITTER_QUANTILE, Limit, Metric, Requirements};
use crate::units::Span;

/// The requirements of a link that its probes speak to all the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeBounds(pub(super) Vec<ProbeBound>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProbeBound {
    pub(super) subject: Subject,
    pub(super) cause: Cause,
    /// What of the probes is counted.
    pub(super) counts: Counts,
    /// The bound as required, such as "loss <= 0.1%".
    pub(super) required: String,
    /// The share of the probes that may be counted.
    pub(super) allowed: f64,
}

/// What of the probes is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counts {
    /// Those that were lost.
    Lost,
    /// Those whose round trip took longer than this, or that were lost.
    Longer(Span),
    /// Those whose round trip took longer than this over the shortest.
    Varied(Span),
}

/// Probes that were counted, of those sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Count {
    pub(super) sent: u64,
    /// Those beyond the bound.
    pub(super) over: u64,
    /// Those beyond 80 % of it.
    pub(super) near: u64,
}

impl ProbeBounds {
    /// Those of `requirements`.
    ///
    /// Jitter is required of each direction, and only round trips are seen here: where one took
    /// longer than the shortest by more than both bounds, one of the directions was beyond its own.
    #[must_use]
    pub fn of(requirements: &Requirements) -> Self {
        let all = requirements.iter().filter_map(|(direction, requirement)| {
            let of = |subject, cause, counts, allowed| ProbeBound {
                subject,
                cause,
                counts,
                required: format!("{} {requirement}", requirement.metric().name()),
                allowed,
            };
            let (metric, trip) = (requirement.metric(), Subject::RoundTrip);
            match requirement.limit() {
                Limit::Share(share) if metric == Metric::LOSS => {
                    let subject = Subject::of(direction);
                    Some(of(subject, Cause::Loss, Counts::Lost, share.as_fraction()))
                }
                Limit::Time(most) if metric == Metric::RTT_P99 => {
                    Some(of(trip, Cause::Delay, Counts::Longer(most), 0.01))
                }
                Limit::Time(most) if metric == Metric::RTT_P999 => {
                    Some(of(trip, Cause::Delay, Counts::Longer(most), 0.001))
                }
                Limit::Time(most) if metric == Metric::JITTER => {
                    let reverse = requirements.limit(metric, Some(Direction::Reverse))?.time()?;
                    let counts = Counts::Varied(most.plus(reverse));
                    // Each direction has it, and the round trip is one.
                    let is_first = direction == Some(Direction::Forward);
                    let allowed = 1.0 - JITTER_QUANTILE;
                    is_first.then(|| of(trip, Cause::Variation, counts, allowed))
                }
                _ => None,
            }
        });
        Self(all.collect())
    }
}

impl ProbeBound {
    /// What of `second` counts for it, where the shortest round trip is `floor`.
    pub(super) fn count(&self, second: &Second, floor: Span) -> Count {
        let carried = match self.subject.direction() {
            Some(direction) => *second.carried.get(direction),
            None => second.answered,
        };
        let Some(carried) = carried else { return Count::default() };
        let (sent, lost) = (u64::from(carried.sent), u64::from(carried.lost));
        let beyond = |most: Span| {
            let longer = second.round_trips.iter().filter(|trip| most < **trip).count();
            u64::try_from(longer).unwrap_or(u64::MAX)
        };
        match self.counts {
            Counts::Lost => Count { sent, over: lost, near: lost },
            Counts::Longer(most) => {
                let (over, near) = (beyond(most) + lost, beyond(part(most)) + lost);
                Count { sent, over: over.min(sent), near: near.min(sent) }
            }
            Counts::Varied(most) => {
                let (over, near) = (beyond(floor.plus(most)), beyond(floor.plus(part(most))));
                Count { sent, over: over.min(sent), near: near.min(sent) }
            }
        }
    }

    /// The share that may be beyond what `near` counts.
    pub(super) fn allowed_near(&self) -> f64 {
        match self.counts {
            Counts::Lost => self.allowed * NEAR,
            Counts::Longer(_) | Counts::Varied(_) => self.allowed,
        }
    }
}

/// 80 % of a time.
fn part(most: Span) -> Span {
    Span::from_nanos(most.nanos() / 5 * 4)
}

impl Count {
    pub(super) const fn plus(self, more: Self) -> Self {
        Self {
            sent: self.sent + more.sent,
            over: self.over + more.over,
            near: self.near + more.near,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::PerDirection;
    use crate::health::Carried;

    fn bounds(texts: &[(Metric, &str)]) -> ProbeBounds {
        let mut requirements = Requirements::default();
        for (metric, text) in texts {
            requirements.set(None, metric.bounded_by(text).expect("a bound"));
        }
        ProbeBounds::of(&requirements)
    }

    #[test]
    fn loss_is_of_each_direction_and_delays_are_of_the_round_trip() {
        let all = [
            (Metric::LOSS, "1%"),
            (Metric::RTT_P99, "10 ms"),
            (Metric::JITTER, "1 ms"),
            (Metric::THROUGHPUT, "5 Mbit/s"),
        ];
        let bounds = bounds(&all);
        let mut subjects: Vec<_> = bounds.0.iter().map(|it| (it.subject, it.cause)).collect();
        subjects.sort_unstable();
        assert_eq!(
            subjects,
            [
                (Subject::Forward, Cause::Loss),
                (Subject::Reverse, Cause::Loss),
                (Subject::RoundTrip, Cause::Delay),
                (Subject::RoundTrip, Cause::Variation),
            ]
        );
        assert_eq!(bounds.0[0].required, "loss <= 1%");
    }

    #[test]
    fn lost_probes_count_as_long_ones_and_not_as_variation() {
        let trips = [5, 7, 9, 11, 13].map(Span::from_millis).to_vec();
        let second = Second {
            start_s: 0,
            carried: PerDirection::default(),
            answered: Some(Carried { sent: 6, lost: 1 }),
            round_trips: trips,
        };
        let count = |metric, text| {
            let bounds = bounds(&[(metric, text)]);
            bounds.0[0].count(&second, Span::from_millis(5))
        };
        // Beyond 10 ms: 11 and 13; beyond 8 ms: 9 too.
        assert_eq!(count(Metric::RTT_P99, "10 ms"), Count { sent: 6, over: 3, near: 4 });
        // Twice 2 ms over 5 ms: beyond 9 ms; beyond 8.2 ms.
        assert_eq!(count(Metric::JITTER, "2 ms"), Count { sent: 6, over: 2, near: 3 });
        // Of which way they were lost nothing is known.
        assert_eq!(count(Metric::LOSS, "1%"), Count::default());
    }
}
