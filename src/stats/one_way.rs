//! One-way delays between clocks that agree on neither time nor rate: between which bounds each
//! lies, as far as causes come before effects and as hosts vouch for their clocks.
//!
//! How far the agent's clock is ahead moves along a line while both run evenly. A probe arrives no
//! sooner than it left, so that line is below what each probe shows there, and above what each
//! reply shows back: between the lower convex hull of the ones and the upper one of the others
//! (Moon, Skelly and Towsley, 1999; RFC 7679, section 3.7.1). The two are as far apart as the least
//! round trip is long, and nothing but the hosts' own word brings them nearer.

use super::skew::{NS_PER_DRIFT_NS, Transit, lower_hull};
use super::{difference, real, signed_real};

/// One exchange of four stamps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// When it was, in ns on the driver's clock: half-way from T1 to T4.
    pub at_ns: u64,
    /// T2 less T1: the delay there, and what the agent's clock is ahead.
    pub there_ns: i64,
    /// T4 less T3: the delay back, less what the agent's clock is ahead.
    pub back_ns: i64,
    /// How far the four stamps may be wrong against each other.
    pub error_ns: u64,
}

/// Between which bounds a delay lies, in ns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Between {
    /// At least this.
    pub low_ns: u64,
    /// At most this.
    pub high_ns: u64,
}

/// What the agent's clock is ahead of the driver's, in ns: between two bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ahead {
    /// At least this.
    pub low_ns: i64,
    /// At most this.
    pub high_ns: i64,
}

/// Why the delays of exchanges cannot be bounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contradiction {
    /// The clocks do not run evenly against each other: no line is possible.
    Uneven,
    /// What the hosts say of their clocks is not possible.
    Stated,
}

/// The bounds of each of `exchanges`, which are of one stretch without a step of the clocks: there
/// and back, in their order. `stated` is what the hosts say of their clocks.
///
/// # Errors
///
/// Where the stamps contradict each other, or what is `stated`.
pub fn bounds(
    exchanges: &[Exchange],
    stated: Option<Ahead>,
) -> Result<Vec<(Between, Between)>, Contradiction> {
    let most = ceiling(exchanges, |exchange| exchange.there_ns);
    let least = ceiling(exchanges, |exchange| exchange.back_ns);
    let bound = |((exchange, high_ns), low_ns): ((&Exchange, i64), i64)| {
        let error_ns = exchange.error_ns;
        let seen = Ahead {
            low_ns: low_ns.saturating_neg().saturating_sub_unsigned(error_ns),
            high_ns: high_ns.saturating_add_unsigned(error_ns),
        };
        if seen.high_ns < seen.low_ns {
            return Err(Contradiction::Uneven);
        }
        let ahead = match stated {
            Some(stated) => seen.in_common_with(stated).ok_or(Contradiction::Stated)?,
            None => seen,
        };
        Ok((exchange.there(ahead), exchange.back(ahead)))
    };
    exchanges.iter().zip(most).zip(least).map(bound).collect()
}

impl Ahead {
    /// What both say; `None` where they contradict each other.
    fn in_common_with(self, other: Self) -> Option<Self> {
        let low_ns = self.low_ns.max(other.low_ns);
        let high_ns = self.high_ns.min(other.high_ns);
        (low_ns <= high_ns).then_some(Self { low_ns, high_ns })
    }
}

impl Exchange {
    fn there(&self, ahead: Ahead) -> Between {
        Between::of(
            self.there_ns.saturating_sub(ahead.high_ns),
            self.there_ns.saturating_sub(ahead.low_ns),
        )
    }

    fn back(&self, ahead: Ahead) -> Between {
        Between::of(
            self.back_ns.saturating_add(ahead.low_ns),
            self.back_ns.saturating_add(ahead.high_ns),
        )
    }
}

impl Between {
    /// No delay is below zero.
    fn of(low_ns: i64, high_ns: i64) -> Self {
        let span = |ns: i64| u64::try_from(ns).unwrap_or(0);
        Self { low_ns: span(low_ns), high_ns: span(high_ns) }
    }
}

/// For each of `exchanges` the most that what the clocks add to `delay_ns` can be then: no line
/// through it, and nothing that drifts no faster than clocks do, may be above any of them.
fn ceiling(exchanges: &[Exchange], delay_ns: impl Fn(&Exchange) -> i64) -> Vec<i64> {
    let mut order: Vec<usize> = (0..exchanges.len()).collect();
    // A slow one that left earlier may be later half-way.
    order.sort_unstable_by_key(|place| exchanges[*place].at_ns);
    let point = |place: &usize| {
        let exchange = &exchanges[*place];
        Transit { sent_ns: exchange.at_ns, delay_ns: delay_ns(exchange) }
    };
    let points: Vec<Transit> = order.iter().map(point).collect();
    let hull = lower_hull(&points);
    let mut heights: Vec<i64> =
        points.iter().map(|point| height(&hull, point.sent_ns).min(point.delay_ns)).collect();
    // An end of the hull is as high as its own point, however slow that was.
    let reached = |from_ns: i64, run_ns: u64| {
        from_ns.saturating_add_unsigned(run_ns.div_ceil(NS_PER_DRIFT_NS))
    };
    for next in 1..heights.len() {
        let run_ns = points[next].sent_ns - points[next - 1].sent_ns;
        heights[next] = heights[next].min(reached(heights[next - 1], run_ns));
    }
    for last in (1..heights.len()).rev() {
        let run_ns = points[last].sent_ns - points[last - 1].sent_ns;
        heights[last - 1] = heights[last - 1].min(reached(heights[last], run_ns));
    }
    let mut found = vec![0; exchanges.len()];
    order.iter().zip(heights).for_each(|(place, height)| found[*place] = height);
    found
}

/// The height of `hull` there, which is among its points; rounded up.
fn height(hull: &[Transit], at_ns: u64) -> i64 {
    let next = hull.partition_point(|point| point.sent_ns < at_ns);
    match (next.checked_sub(1).and_then(|last| hull.get(last)), hull.get(next)) {
        (Some(last), Some(next)) if at_ns < next.sent_ns => {
            let (run_ns, all_ns) = (at_ns - last.sent_ns, next.sent_ns - last.sent_ns);
            let rise_ns = signed_real(next.delay_ns.saturating_sub(last.delay_ns));
            let part_ns = rise_ns * (real(run_ns) / real(all_ns));
            last.delay_ns.saturating_add(difference(part_ns.ceil()))
        }
        (_, Some(point)) | (Some(point), None) => point.delay_ns,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    /// An exchange so many ms after the start that took so long there and back in us, where the
    /// agent's clock is ahead by `offset_ns` and gains `ppm`.
    fn exchange(at_ms: u32, there_us: u32, back_us: u32, offset_ns: i64, ppm: i64) -> Exchange {
        let at_ns = i64::from(at_ms) * MS;
        let ahead_ns = offset_ns + at_ns / 1_000_000 * ppm;
        Exchange {
            at_ns: at_ns.cast_unsigned(),
            there_ns: i64::from(there_us) * 1_000 + ahead_ns,
            back_ns: i64::from(back_us) * 1_000 - ahead_ns,
            error_ns: 0,
        }
    }

    fn is_within((ns, between): (u32, Between)) -> bool {
        let ns = u64::from(ns) * 1_000;
        between.low_ns <= ns && ns <= between.high_ns
    }

    #[test]
    fn a_delay_is_known_to_half_the_least_round_trip() {
        let exchanges = [(0, 10_000, 10_000), (500, 15_000, 12_000), (1_000, 10_000, 10_000)];
        let exchanges = exchanges.map(|(at, there, back)| exchange(at, there, back, 5 * MS, 0));
        let (there, back) = bounds(&exchanges, None).expect("even clocks")[1];
        assert_eq!((there.low_ns, there.high_ns), (5_000_000, 25_000_000));
        assert_eq!((back.low_ns, back.high_ns), (2_000_000, 22_000_000));
    }

    /// The first is slow, and clocks drift by 5 us at most until the next.
    #[test]
    fn a_slow_exchange_at_an_end_is_bounded_by_its_neighbours() {
        let exchanges = [(0, 40_000, 10_000), (10, 10_000, 10_000), (20, 10_000, 10_000)];
        let exchanges = exchanges.map(|(at, there, back)| exchange(at, there, back, 5 * MS, 0));
        let (there, back) = bounds(&exchanges, None).expect("even clocks")[0];
        assert_eq!((there.low_ns, there.high_ns), (29_995_000, 50_000_000));
        assert_eq!((back.low_ns, back.high_ns), (0, 20_005_000));
    }

    #[test]
    fn what_the_hosts_state_narrows_it_and_what_cannot_be_is_reported() {
        let exchanges = [exchange(0, 10_000, 2_000, 5 * MS, 0)];
        let stated = |ahead_ns: i64| Ahead { low_ns: ahead_ns - 100, high_ns: ahead_ns + 100 };
        let found = bounds(&exchanges, Some(stated(5 * MS))).expect("it agrees");
        let (there, back) = found[0];
        assert_eq!((there.low_ns, there.high_ns), (9_999_900, 10_000_100));
        assert_eq!((back.low_ns, back.high_ns), (1_999_900, 2_000_100));
        // The agent's clock is ahead by 3 to 15 ms, whatever anybody says.
        assert!(bounds(&exchanges, Some(stated(15 * MS))).is_ok());
        let found = bounds(&exchanges, Some(stated(15 * MS + 101)));
        assert_eq!(found, Err(Contradiction::Stated));
    }

    #[test]
    fn clocks_that_do_not_run_evenly_bound_nothing() {
        let ahead_ms = [0, 5, 0];
        let exchange = |(i, ms): (u32, i64)| exchange(i * 1_000, 1_000, 1_000, ms * MS, 0);
        let exchanges: Vec<_> = (0..).zip(ahead_ms).map(exchange).collect();
        assert_eq!(bounds(&exchanges, None), Err(Contradiction::Uneven));
        assert_eq!(bounds(&[], None), Ok(vec![]));
    }

    proptest! {
        /// Whatever the delays, and however far apart the clocks are and drift.
        #[test]
        fn the_truth_is_within_the_bounds(
            delays in prop::collection::vec((0..50_000_u32, 0..50_000_u32), 1..80),
            offset_ns in -10 * MS..10 * MS,
            ppm in -100..100_i64,
            error_ns in 0..5_000_i64,
        ) {
            let exchange = |(i, (there, back)): (u32, &(u32, u32))| {
                exchange(i * 10, *there, *back, offset_ns, ppm)
            };
            let exchanges: Vec<_> = (0..).zip(&delays).map(exchange).collect();
            let found = bounds(&exchanges, None).expect("even clocks");
            // 80 exchanges, 10 ms apart.
            let drift_ns = ppm.abs() * 800;
            let error_ns = error_ns + drift_ns;
            let (low_ns, high_ns) = (offset_ns - error_ns, offset_ns + error_ns);
            let stated = bounds(&exchanges, Some(Ahead { low_ns, high_ns })).expect("it is right");
            for ((found, narrower), (there, back)) in found.iter().zip(&stated).zip(&delays) {
                // Each height of a hull is rounded by less than 1 ns.
                for (mut between, delay) in [found.0, found.1, narrower.0, narrower.1]
                    .into_iter()
                    .zip([*there, *back, *there, *back])
                {
                    between.low_ns = between.low_ns.saturating_sub(1);
                    between.high_ns += 1;
                    prop_assert!(is_within((delay, between)), "{delay} us is not in {between:?}");
                }
                prop_assert!(found.0.low_ns <= narrower.0.low_ns);
                prop_assert!(narrower.0.high_ns <= found.0.high_ns);
            }
        }

        #[test]
        fn no_stamps_panic(raw in prop::collection::vec(any::<(u64, i64, i64, u64)>(), 0..20)) {
            let exchange = |(at_ns, there_ns, back_ns, error_ns): &(u64, i64, i64, u64)| Exchange {
                at_ns: *at_ns,
                there_ns: *there_ns,
                back_ns: *back_ns,
                error_ns: *error_ns,
            };
            let exchanges: Vec<_> = raw.iter().map(exchange).collect();
            _ = bounds(&exchanges, None);
            _ = bounds(&exchanges, Some(Ahead { low_ns: 0, high_ns: i64::MAX }));
        }
    }
}
