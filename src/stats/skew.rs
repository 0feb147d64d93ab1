//! One-way delay between clocks that agree on neither time nor rate: what can be said is how far
//! each packet was above the floor, the line of least delay that drifts with the clocks.
//!
//! Never gives an absolute delay: the offset of the clocks is in the floor, and stays there.

use super::{count, difference, real, signed_real};

/// Segments of fewer points than this are too short for a slope: their floor is level.
const FIT_POINTS_MIN: usize = 10;

/// Clocks are steered by at most 500 ppm (RFC 5905, section 11.3): 1 ns in so many.
pub(super) const NS_PER_DRIFT_NS: u64 = 2_000;

/// One packet that crossed the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transit {
    /// When it left, in ns on the sender's clock.
    pub sent_ns: u64,
    /// Its arrival on the receiver's clock less `sent_ns`: a delay plus the clocks' offset.
    pub delay_ns: i64,
}

/// A line below all points of a trial: the least delay, as it drifts with the clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// A point on the line, exact: offsets of 10^18 ns do not fit a float.
    anchor: Transit,
    slope: f64,
}

impl Floor {
    /// What the delay rises by per time, in ns per ns: the receiver's clock rate less the sender's.
    ///
    /// As the points have it, without limit: a short or congested trial can show any.
    #[must_use]
    pub const fn slope(&self) -> f64 {
        self.slope
    }

    /// The slope in parts per million; quartz is within 100.
    #[must_use]
    pub const fn skew_ppm(&self) -> f64 {
        self.slope * 1e6
    }

    /// The delay of the floor for a packet sent at `sent_ns`, in ns, rounded to the nearest.
    #[must_use]
    pub fn delay_ns_at(&self, sent_ns: u64) -> i64 {
        self.anchor.delay_ns.saturating_add(difference(self.rise_ns(sent_ns).round()))
    }

    /// How far `point` is above the floor, in ns, rounded to the nearest; 0 if it is below.
    #[must_use]
    pub fn above_floor_ns(&self, point: &Transit) -> u64 {
        let above_anchor_ns = match point.delay_ns.checked_sub(self.anchor.delay_ns) {
            Some(above_ns) => signed_real(above_ns),
            None => signed_real(point.delay_ns) - signed_real(self.anchor.delay_ns),
        };
        count((above_anchor_ns - self.rise_ns(point.sent_ns)).round())
    }

    /// What the floor rises by from the anchor to `sent_ns`.
    fn rise_ns(&self, sent_ns: u64) -> f64 {
        let after_ns = real(sent_ns.saturating_sub(self.anchor.sent_ns));
        let before_ns = real(self.anchor.sent_ns.saturating_sub(sent_ns));
        self.slope * (after_ns - before_ns)
    }

    /// A level floor at the least delay.
    fn level(points: &[Transit]) -> Option<Self> {
        Self::below(points, 0.0)
    }

    /// The floor of this slope that touches the lowest of `points`.
    fn below(points: &[Transit], slope: f64) -> Option<Self> {
        let first = Self { anchor: *points.first()?, slope };
        let height = |point: &Transit| {
            let above_ns = signed_real(point.delay_ns.saturating_sub(first.anchor.delay_ns));
            above_ns - first.rise_ns(point.sent_ns)
        };
        let lowest = points.iter().min_by(|a, b| height(a).total_cmp(&height(b)))?;
        Some(Self { anchor: *lowest, slope })
    }
}

/// Fits the floor to `points`, which are in order of `sent_ns`: of all lines that no point is
/// below, the one with the least sum of distances (Moon, Skelly and Towsley, 1999).
///
/// That is the edge of the lower convex hull above which the mean time lies. Points of one time
/// only, one point included, have a level floor; none have no floor.
#[must_use]
pub fn fit_floor(points: &[Transit]) -> Option<Floor> {
    let first_ns = points.first()?.sent_ns;
    let times_ns = points.iter().map(|point| u128::from(point.sent_ns.abs_diff(first_ns)));
    // At least one point: no division by zero, and points fewer than 2^64 of 64 bits have a sum.
    let mean_ns = times_ns.sum::<u128>() / points.len().max(1) as u128;
    let hull = lower_hull(points);
    let edge =
        hull.array_windows().find(|[_, end]| mean_ns <= u128::from(end.sent_ns.abs_diff(first_ns)));
    let Some([start, end]) = edge else {
        return Floor::level(points);
    };
    let run_ns = real(end.sent_ns.abs_diff(start.sent_ns));
    let rise_ns = real(end.delay_ns.abs_diff(start.delay_ns));
    let slope = if start.delay_ns <= end.delay_ns { rise_ns } else { -rise_ns } / run_ns;
    Some(Floor { anchor: *start, slope })
}

/// The points of the lower convex hull, in order of time, no two at one time: Andrew's chain.
pub(super) fn lower_hull(points: &[Transit]) -> Vec<Transit> {
    let mut hull: Vec<Transit> = Vec::new();
    for point in points {
        match hull.last() {
            // Of points at one time only the lowest matters.
            Some(last) if last.sent_ns == point.sent_ns => {
                if last.delay_ns <= point.delay_ns {
                    continue;
                }
                hull.pop();
            }
            _ => {}
        }
        while let [.., before, last] = hull.as_slice() {
            if is_below(before, last, point) {
                break;
            }
            hull.pop();
        }
        hull.push(*point);
    }
    hull
}

/// Whether `middle` is below the line from `start` to `end`.
fn is_below(start: &Transit, middle: &Transit, end: &Transit) -> bool {
    let run = |point: &Transit| i128::from(point.sent_ns) - i128::from(start.sent_ns);
    let rise = |point: &Transit| i128::from(point.delay_ns) - i128::from(start.delay_ns);
    // Exact for stamps within 2^63 ns, 292 years; a stranger's beyond may fit badly, not panic.
    rise(middle).saturating_mul(run(end)) < rise(end).saturating_mul(run(middle))
}

/// Delays above the floor, in ns, one for each of `points` and in their order: the one-way delay
/// variation of the line, clock skew removed.
///
/// `facing` are the other direction's points of the same exchanges; with none, this direction's
/// own slope is taken for skew. `points` are in order of `sent_ns`; `steps` are the ascending
/// indices of points from which on the clocks' offset is another (0, and what is beyond the points
/// or not ascending, is passed over). Each segment has a floor of its own; of fewer than 10 points
/// it is level.
#[must_use]
pub fn variation(points: &[Transit], facing: &[Transit], steps: &[usize]) -> Vec<u64> {
    let mut above_ns = Vec::with_capacity(points.len());
    for end in steps.iter().copied().chain([points.len()]) {
        let part = above_ns.len()..end;
        let Some(segment) = points.get(part.clone()) else {
            continue;
        };
        let floor = match segment.len() {
            0..FIT_POINTS_MIN => Floor::level(segment),
            _ => Floor::below(segment, skew_of(segment, facing.get(part).unwrap_or_default())),
        };
        let Some(floor) = floor else {
            continue;
        };
        above_ns.extend(segment.iter().map(|point| floor.above_floor_ns(point)));
    }
    above_ns
}

/// The clocks' skew as both directions allow it. Skew tilts the two floors by the same amount,
/// one up and one down; a queue that fills or drains tilts the floor of its own direction alone.
/// So the skew lies between the two slopes, and the least there is what cannot be a queue.
fn skew_of(points: &[Transit], facing: &[Transit]) -> f64 {
    let own = fit_floor(points).map_or(0.0, |floor| floor.slope());
    let Some(other) = turned_slope(facing) else { return own };
    if own * other <= 0.0 {
        return 0.0;
    }
    if own.abs() < other.abs() { own } else { other }
}

/// The slope of the other direction's floor as this one's clocks have it: a clock that runs 1 + s
/// times as fast as the other sees it run 1 / (1 + s) times as fast.
fn turned_slope(facing: &[Transit]) -> Option<f64> {
    let slope = fit_floor(facing)?.slope();
    Some(-slope / (1.0 + slope))
}

/// The clock skew of a trial, as its probes of both directions show it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Skew {
    /// The receiver's clock rate less the sender's, in ns per ns.
    pub rate: f64,
    /// How far it may be wrong.
    pub error: f64,
}

/// Clocks that are not steered are this far apart at most, in ns per ns.
const QUARTZ: f64 = 1e-4;

/// No pair of clocks is steered further apart, in ns per ns.
const SKEW_MAX: f64 = 5e-4;

/// What the stamps themselves leave open of any slope, in ns per ns.
const SLOPE_ERROR: f64 = 1e-6;

/// The skew that `points` and the other direction's, `facing`, show together, and how surely: by
/// how much it differs between every other probe and the rest, and where queues or a change of the
/// path hide it, by what quartz may be off.
#[must_use]
pub fn skew(points: &[Transit], facing: &[Transit]) -> Skew {
    let half = |points: &[Transit], first| -> Vec<Transit> {
        points.iter().skip(first).step_by(2).copied().collect()
    };
    let [even, odd] = [0, 1].map(|first| skew_of(&half(points, first), &half(facing, first)));
    let own = fit_floor(points).map_or(0.0, |floor| floor.slope());
    let other = turned_slope(facing).unwrap_or(own);
    let hidden = if own * other <= 0.0 { own.abs().max(other.abs()).min(QUARTZ) } else { 0.0 };
    let rate = skew_of(points, facing).clamp(-SKEW_MAX, SKEW_MAX);
    let error = hidden.max((even - odd).abs().min(QUARTZ)).max(SLOPE_ERROR);
    Skew { rate, error }
}

/// What one exchange of four stamps proves about the clocks: [θ - δ/2, θ + δ/2].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// When it was, in ns on the driver's clock.
    pub sent_ns: u64,
    /// The agent's clock less the driver's is at least this, in ns.
    pub offset_low_ns: i64,
    /// The agent's clock less the driver's is at most this, in ns.
    pub offset_high_ns: i64,
}

/// Indices of `exchanges` before which a clock was stepped for sure, ascending.
///
/// No offset that drifts by at most 500 ppm, the most that clocks are steered by, fits the
/// exchanges from one index to the next and the one at it. A step smaller than the exchanges' own
/// doubt is not proven, or only by a later one. Exchanges in order of `sent_ns`; one whose interval
/// is empty proves nothing, and is passed over.
#[must_use]
pub fn clock_steps(exchanges: &[Exchange]) -> Vec<usize> {
    let mut steps = Vec::new();
    let mut known: Option<Exchange> = None;
    for (index, exchange) in exchanges.iter().enumerate() {
        if exchange.offset_high_ns < exchange.offset_low_ns {
            continue;
        }
        let both = known.and_then(|known| narrowed(&known, exchange));
        if known.is_some() && both.is_none() {
            steps.push(index);
        }
        known = Some(both.unwrap_or(*exchange));
    }
    steps
}

/// What `known`, drifted until then, and `exchange` prove together; `None` if they disagree.
fn narrowed(known: &Exchange, exchange: &Exchange) -> Option<Exchange> {
    let drift_ns = exchange.sent_ns.abs_diff(known.sent_ns).div_ceil(NS_PER_DRIFT_NS);
    let low_ns = known.offset_low_ns.saturating_sub_unsigned(drift_ns);
    let high_ns = known.offset_high_ns.saturating_add_unsigned(drift_ns);
    let both = Exchange {
        sent_ns: exchange.sent_ns,
        offset_low_ns: low_ns.max(exchange.offset_low_ns),
        offset_high_ns: high_ns.min(exchange.offset_high_ns),
    };
    (both.offset_low_ns <= both.offset_high_ns).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock 20 ppm fast, and a queue in one direction that grows by a tenth of all time.
    #[test]
    fn a_queue_that_fills_is_no_skew() {
        let at = |slope: i64| {
            let point = move |ms: i64| Transit {
                sent_ns: ms.cast_unsigned() * 1_000_000,
                delay_ns: 5_000_000 + ms * slope,
            };
            (0..1_000).map(point).collect::<Vec<_>>()
        };
        let (queued, clear) = (at(100_000 + 20), at(-20));
        let most = variation(&queued, &clear, &[]).into_iter().max().unwrap();
        assert!(most.abs_diff(99_900_000) < 1_000, "{most} ns");
        let most = variation(&clear, &queued, &[]).into_iter().max().unwrap();
        assert!(most < 1_000, "{most} ns");
    }
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use rand_distr::Distribution as _;
    use rand_distr::Exp;

    /// A clock that has run for 40 years, and one that has not: no float holds their difference.
    const START_NS: u64 = 1_300_000_000_000_000_123;
    const OFFSET_NS: i64 = -1_299_999_999_000_000_457;

    fn queues(mean_ns: f64) -> impl Iterator<Item = f64> {
        let law = Exp::new(1.0 / mean_ns).unwrap();
        law.sample_iter(StdRng::seed_from_u64(0x5eed))
    }

    /// 100 packets a second through an exponential queue, clocks `ppm` apart.
    fn trial(packets: u64, ppm: f64, queue_mean_ns: f64) -> Vec<Transit> {
        (0..packets)
            .zip(queues(queue_mean_ns))
            .map(|(n, queue_ns)| {
                let after_ns = n * 10_000_000;
                let delay_ns = 1e6 + ppm * 1e-6 * real(after_ns) + queue_ns;
                Transit {
                    sent_ns: START_NS + after_ns,
                    delay_ns: OFFSET_NS + difference(delay_ns.round()),
                }
            })
            .collect()
    }

    fn points(points: &[(u64, i64)]) -> Vec<Transit> {
        points
            .iter()
            .map(|(sent_ns, delay_ns)| Transit { sent_ns: *sent_ns, delay_ns: *delay_ns })
            .collect()
    }

    #[track_caller]
    fn check_skew(packets: u64, ppm: f64, tolerance_ppm: f64) {
        let points = trial(packets, ppm, 2e6);
        let floor = fit_floor(&points).unwrap();
        let error_ppm = (floor.skew_ppm() - ppm).abs();
        assert!(error_ppm < tolerance_ppm, "{ppm} ppm is {error_ppm} ppm off");
        for point in &points {
            assert!(floor.delay_ns_at(point.sent_ns) <= point.delay_ns);
        }
    }

    #[test]
    fn the_skew_of_both_directions_is_within_its_error() {
        for ppm in [0.0, 50.0, -50.0] {
            let (there, back) = (trial(1_000, ppm, 2e6), trial(1_000, -ppm, 1e6));
            let Skew { rate, error } = skew(&there, &back);
            assert!((rate - ppm * 1e-6).abs() <= error + 5e-6, "{rate} +- {error}, not {ppm} ppm");
            assert!(error < 6e-5, "{error}");
        }
    }

    #[test]
    fn skew_is_recovered_through_an_exponential_queue() {
        check_skew(6_000, 20.0, 0.5);
        check_skew(6_000, -100.0, 0.5);
        check_skew(6_000, 0.0, 0.5);
        check_skew(90_000, 20.0, 0.005);
    }

    #[test]
    fn delays_above_the_floor_are_the_queues() {
        let above_ns = variation(&trial(6_000, 20.0, 2e6), &[], &[]);
        assert_eq!(above_ns.iter().min(), Some(&0));
        for (above_ns, queue_ns) in above_ns.iter().zip(queues(2e6)) {
            assert!((real(*above_ns) - queue_ns).abs() < 20_000.0, "{above_ns} {queue_ns}");
        }
    }

    #[test]
    fn the_floor_is_the_edge_at_the_mean_time() {
        // Hull (0, 5) (10, 1) (40, 4): the mean, 17.5, is over the second edge, of slope 0.1.
        let points = points(&[(0, 5), (10, 1), (20, 9), (40, 4)]);
        let floor = fit_floor(&points).unwrap();
        assert!((floor.slope() - 0.1).abs() < 1e-15);
        assert!((floor.skew_ppm() - 1e5).abs() < 1e-9);
        assert_eq!(floor.delay_ns_at(30), 3);
        assert_eq!(floor.above_floor_ns(&points[2]), 7);
        // The first point is above the line as well, by 5 - 0; one below it is at 0.
        assert_eq!(floor.above_floor_ns(&points[0]), 5);
        assert_eq!(floor.above_floor_ns(&Transit { sent_ns: 40, delay_ns: 2 }), 0);
    }

    #[test]
    fn points_of_one_time_have_a_level_floor() {
        assert_eq!(fit_floor(&[]), None);
        for (points, least_ns) in [(points(&[(7, -3)]), -3), (points(&[(7, 5), (7, 2), (7, 4)]), 2)]
        {
            let floor = fit_floor(&points).unwrap();
            assert!(floor.slope().abs() < f64::MIN_POSITIVE);
            assert_eq!(floor.delay_ns_at(1_000_000), least_ns);
        }
    }

    #[test]
    fn of_points_at_one_time_the_lowest_counts() {
        let points = points(&[(0, 8), (0, 2), (0, 4), (10, 9), (10, 3), (10, 5)]);
        let floor = fit_floor(&points).unwrap();
        assert_eq!((floor.delay_ns_at(0), floor.delay_ns_at(10)), (2, 3));
    }

    #[test]
    fn a_known_step_leaves_no_variation() {
        let mut points = trial(2_000, 20.0, 1_000.0);
        for point in &mut points[1_200..] {
            point.delay_ns += 5_000_000;
        }
        let one_floor_ns = variation(&points, &[], &[]).into_iter().max().unwrap();
        assert!(100_000 < one_floor_ns);
        // An exponential of mean 1 us, 2000 times, is above 20 us with a chance of 4e-6.
        let two_floors_ns = variation(&points, &[], &[1_200]).into_iter().max().unwrap();
        assert!(two_floors_ns < 20_000, "{two_floors_ns}");
    }

    #[test]
    fn a_short_segment_has_a_level_floor() {
        let slope = |n: u64| {
            (0..n).map(|n| Transit { sent_ns: n, delay_ns: n.cast_signed() }).collect::<Vec<_>>()
        };
        assert_eq!(variation(&slope(9), &[], &[]), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(variation(&slope(10), &[], &[]), [0; 10]);
    }

    #[test]
    fn steps_that_are_no_index_are_passed_over() {
        let points = trial(50, 20.0, 1_000.0);
        let expected = variation(&points, &[], &[20]);
        assert_eq!(variation(&points, &[], &[0, 20, 20, 7, 50, 99]), expected);
        assert_eq!(expected.len(), points.len());
        assert!(variation(&[], &[], &[0, 3]).is_empty());
    }

    /// 10 exchanges a second, each way 200 us and a queue, clocks `ppm` apart.
    fn exchanges(count: u64, ppm: f64) -> Vec<Exchange> {
        let mut queues = queues(300_000.0).map(|queue_ns| difference(200_000.0 + queue_ns));
        (0..count)
            .map(|n| {
                let after_ns = n * 100_000_000;
                let offset_ns = OFFSET_NS + difference(ppm * 1e-6 * real(after_ns));
                Exchange {
                    sent_ns: START_NS + after_ns,
                    offset_low_ns: offset_ns - queues.next().unwrap(),
                    offset_high_ns: offset_ns + queues.next().unwrap(),
                }
            })
            .collect()
    }

    fn step(exchanges: &mut [Exchange], step_ns: i64) {
        for exchange in exchanges {
            exchange.offset_low_ns += step_ns;
            exchange.offset_high_ns += step_ns;
        }
    }

    #[test]
    fn drift_and_queues_are_no_step() {
        for ppm in [0.0, 100.0, -100.0, 499.0, -499.0] {
            assert!(clock_steps(&exchanges(9_000, ppm)).is_empty(), "{ppm} ppm");
        }
    }

    #[test]
    fn a_step_of_5_ms_is_found_where_it_is() {
        for step_ns in [5_000_000, -5_000_000] {
            let mut exchanges = exchanges(600, 100.0);
            step(&mut exchanges[300..], step_ns);
            assert_eq!(clock_steps(&exchanges), [300]);
            step(&mut exchanges[450..], -2 * step_ns);
            assert_eq!(clock_steps(&exchanges), [300, 450]);
        }
    }

    #[test]
    fn a_step_within_the_doubt_is_not_proven() {
        let mut exchanges = exchanges(600, 0.0);
        step(&mut exchanges[300..], 200_000);
        assert!(clock_steps(&exchanges).is_empty());
    }

    #[test]
    fn intervals_that_touch_prove_no_step() {
        let exchange = |sent_ns, low_ns, high_ns| Exchange {
            sent_ns,
            offset_low_ns: low_ns,
            offset_high_ns: high_ns,
        };
        // 2000 ns on, an offset of at most 10 has drifted by 1 at most.
        assert!(clock_steps(&[exchange(0, 0, 10), exchange(2_000, 11, 20)]).is_empty());
        assert_eq!(clock_steps(&[exchange(0, 0, 10), exchange(2_000, 12, 20)]), [1]);
        // Known to be within 11 and 11 by then, whatever the first alone allows.
        let three = [exchange(0, 0, 10), exchange(2_000, 11, 20), exchange(2_000, 0, 10)];
        assert_eq!(clock_steps(&three), [2]);
        assert!(
            clock_steps(&[exchange(0, 0, 10), exchange(0, 99, 98), exchange(0, 5, 6)]).is_empty()
        );
        assert!(clock_steps(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_point_is_below_the_floor(
            mut raw in
                prop::collection::vec((0..1_000_000_000_u64, -1_000_000..1_000_000_i64), 1..60),
        ) {
            raw.sort_unstable();
            let points = points(&raw);
            let floor = fit_floor(&points).unwrap();
            for point in &points {
                prop_assert!(floor.delay_ns_at(point.sent_ns) <= point.delay_ns);
            }
        }

        #[test]
        fn no_stamps_panic(
            raw in prop::collection::vec(any::<(u64, i64)>(), 0..20),
            steps in prop::collection::vec(any::<usize>(), 0..4),
        ) {
            prop_assert_eq!(variation(&points(&raw), &[], &steps).len(), raw.len());
            let exchanges: Vec<_> = raw
                .iter()
                .map(|(sent_ns, offset_ns)| Exchange {
                    sent_ns: *sent_ns,
                    offset_low_ns: offset_ns.wrapping_add(7),
                    offset_high_ns: *offset_ns,
                })
                .collect();
            let _ = clock_steps(&exchanges);
        }
    }
}
