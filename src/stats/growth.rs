//! How the transit time of a load grows: a load above the link's rate fills a queue, and every
//! second of it arrives later than the second before.
//!
//! A path that changes makes a step, and a step is not growth: it is placed and taken out. All
//! times are real numbers of nanoseconds, relative to whatever the caller chose.

/// Levels at each end that the rise is taken between: 500 ms of blocks of 100 ms.
const END: usize = 5;

/// Fewer levels than this leave the ends too short: a quarter of them is an end.
const LONG: usize = 4 * END;

/// Fewer levels than this show nothing.
const LEVELS_MIN: usize = 6;

/// The smallest change that is taken for a step of the path, in ns.
const STEP_MIN_NS: f64 = 3e6;

/// What is left of a step behind the load may be smaller by this, in ns, or by a quarter of it.
const STEP_DOUBT_NS: f64 = 2e6;

/// Of how many times its scatter a difference is taken for a step.
const STEP_SCATTERS: f64 = 6.0;

/// The standard deviation of normal scatter as a multiple of its median absolute deviation.
const DEVIATION: f64 = 1.4826;

/// Samples of which a tenth can be distinguished from the smallest.
const TENTH_OF: usize = 10;

/// The transit time of one block of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its 10th percentile.
    pub tenth: f64,
    /// Its smallest and its largest, where they were kept.
    pub extremes: Option<(f64, f64)>,
}

impl Level {
    fn less(self, change: f64) -> Self {
        let extremes = self.extremes.map(|(min, max)| (min - change, max - change));
        Self { tenth: self.tenth - change, extremes }
    }
}

/// How the transit time grew over some blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// From the start of the first to the end of the last; negative where it fell.
    pub rise_ns: f64,
    /// How far that may be wrong.
    pub spread_ns: f64,
}

/// A change of the path's own delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The first block behind it.
    pub block: usize,
    /// By how much.
    pub change_ns: f64,
}

/// The growth over `levels`, one for each block of a window in turn; `None` of too few.
///
/// The rise is that between the medians of the first and of the last 500 ms, or quarters of a
/// window of fewer than 20 blocks, extended to the whole window. The spread is the range of what
/// the running median of five levels has beyond that of their isotonic fit: a queue only grows, so
/// what an increasing curve cannot follow is no queue of ours. Of fewer than 20 blocks it is the
/// range of all packets about that fit.
#[must_use]
pub fn growth(levels: &[Level]) -> Option<Growth> {
    let count = levels.len();
    if count < LEVELS_MIN {
        return None;
    }
    let tenths: Vec<f64> = levels.iter().map(|level| level.tenth).collect();
    let end = if LONG <= count { END } else { (count / 4).max(2) };
    let between = median(&tenths[count - end..]) - median(&tenths[..end]);
    let rise_ns = between * real(count) / real(count - end);
    let fit = isotonic(&tenths);
    let spread_ns = match extremes(levels, &fit).filter(|_| count < LONG) {
        Some(spread_ns) => spread_ns,
        None => {
            let beyond = running_medians(&tenths, end).zip(running_medians(&fit, end));
            range(beyond.map(|(level, fit)| level - fit))
        }
    };
    Some(Growth { rise_ns, spread_ns })
}

/// The range of all packets about `fit`.
fn extremes(levels: &[Level], fit: &[f64]) -> Option<f64> {
    let both = levels.iter().zip(fit).map(|(level, fit)| {
        let (min, max) = level.extremes?;
        Some([min - fit, max - fit])
    });
    Some(range(both.collect::<Option<Vec<_>>>()?.into_iter().flatten()))
}

/// How far the transit time was above its least at the end of `levels`: a queue of that much is
/// empty again so long behind the load.
#[must_use]
pub fn standing(levels: &[Level]) -> f64 {
    let least = levels.iter().map(|level| level.tenth).fold(f64::INFINITY, f64::min);
    levels.last().map_or(0.0, |level| level.tenth - least)
}

/// The step in `levels` that the path still shows behind the load, where probes have the transit
/// times `behind`.
///
/// It is the largest difference between the medians of three levels before a block and of three
/// behind it. A queue that the load filled is empty again by the time of `behind`; a longer path is
/// as long as before.
#[must_use]
pub fn step(levels: &[Level], behind: &[f64]) -> Option<Step> {
    let still = low(behind)?;
    let tenths: Vec<f64> = levels.iter().map(|level| level.tenth).collect();
    let inner = 1..tenths.len().checked_sub(1).filter(|end| 8 <= *end)?;
    let jump = |block: usize| {
        let after = block + 1..tenths.len().min(block + 4);
        median(&tenths[after]) - median(&tenths[block.saturating_sub(3)..block])
    };
    let jumps: Vec<f64> = inner.map(jump).collect();
    let usual = median(&jumps);
    let scatter = DEVIATION * median(&jumps.iter().map(|j| (j - usual).abs()).collect::<Vec<_>>());
    let largest = |a: &(usize, f64), b: &(usize, f64)| a.1.abs().total_cmp(&b.1.abs());
    // Of equal ones the first.
    let (place, change_ns) = jumps.into_iter().enumerate().rev().max_by(largest)?;
    let block = place + 1;
    if change_ns.abs() < STEP_MIN_NS.max(STEP_SCATTERS * scatter) {
        return None;
    }
    let before = median(&tenths[block.saturating_sub(4)..block]);
    // Measured along the change: what is left of it behind the load.
    let left = (still - before) * change_ns.signum();
    let holds = change_ns.abs() - STEP_DOUBT_NS.max(change_ns.abs() / 4.0) < left;
    let is_behind = |tenth: f64| change_ns.abs() / 2.0 < (tenth - before) * change_ns.signum();
    let near = block.saturating_sub(2)..tenths.len();
    let block = near.into_iter().find(|block| is_behind(tenths[*block]))?;
    holds.then_some(Step { block, change_ns })
}

/// `levels` without `step`.
#[must_use]
pub fn without(levels: &[Level], step: Option<Step>) -> Vec<Level> {
    let change = |block: usize| step.filter(|step| step.block <= block).map(|step| step.change_ns);
    let each = levels.iter().enumerate();
    each.map(|(block, level)| level.less(change(block).unwrap_or(0.0))).collect()
}

/// What of `rise_ns` drained behind the load, whose last level is `end`; by the time that a queue
/// is empty, probes have the transit times `behind`: a queue drains, a longer path does not. Of a
/// rise of which more than half stayed, only what drained was growth.
#[must_use]
pub fn drained(rise_ns: f64, end: f64, behind: &[f64]) -> f64 {
    match low(behind) {
        Some(still) if end - still < rise_ns / 2.0 => (end - still).max(0.0),
        _ => rise_ns,
    }
}

/// By how much the level behind the load is above that at its `start`, where that is more than 2 ms
/// and half the `spread_ns`: the path changed, wherever.
#[must_use]
pub fn changed(start: f64, spread_ns: f64, behind: &[f64]) -> Option<f64> {
    let change_ns = low(behind)? - start;
    (STEP_DOUBT_NS + spread_ns / 2.0 < change_ns).then_some(change_ns)
}

/// The 10th percentile of `samples`, between the two that it lies between; `None` of none.
#[must_use]
pub fn tenth(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (place, next, tenths) = place_of_tenth(sorted.len())?;
    Some(sorted[place] + real(tenths) / 10.0 * (sorted[next] - sorted[place]))
}

/// Where the 10th percentile of `count` sorted samples lies: from one place so many tenths of the
/// way to the next; `None` of none.
#[must_use]
pub fn place_of_tenth(count: usize) -> Option<(usize, usize, usize)> {
    let last = count.checked_sub(1)?;
    let place = last / 10;
    Some((place, last.min(place + 1), last % 10))
}

/// The middle of `samples`, or between the two in the middle; not a number of none.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even.is_multiple_of(2) => f64::midpoint(sorted[half - 1], sorted[half]),
        _ => sorted[half],
    }
}

/// The 10th percentile, or the smallest of too few for one.
fn low(samples: &[f64]) -> Option<f64> {
    match samples.len() {
        0..TENTH_OF => samples.iter().copied().min_by(f64::total_cmp),
        _ => tenth(samples),
    }
}

fn running_medians(levels: &[f64], width: usize) -> impl Iterator<Item = f64> {
    levels.windows(width).map(median)
}

fn range(values: impl Iterator<Item = f64>) -> f64 {
    let (min, max) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| {
        (min.min(value), max.max(value))
    });
    (max - min).max(0.0)
}

/// The non-decreasing curve of the least squared distance to `levels`: adjacent violators are
/// pooled (Ayer et al., 1955).
fn isotonic(levels: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::with_capacity(levels.len());
    for level in levels {
        pools.push((*level, 1));
        while let [.., (before, few), (last, many)] = pools.as_slice()
            && last < before
        {
            let size = few + many;
            let mean = (before * real(*few) + last * real(*many)) / real(size);
            pools.truncate(pools.len() - 2);
            pools.push((mean, size));
        }
    }
    pools.into_iter().flat_map(|(mean, size)| std::iter::repeat_n(mean, size)).collect()
}

fn real(count: usize) -> f64 {
    super::real(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    fn levels(tenths: impl Iterator<Item = f64>) -> Vec<Level> {
        tenths.map(|tenth| Level { tenth, extremes: None }).collect()
    }

    #[track_caller]
    fn check(levels: &[Level], rise_ms: f64, spread_ms: f64) {
        let Growth { rise_ns, spread_ns } = growth(levels).expect("levels enough");
        assert!((rise_ns / MS - rise_ms).abs() < 1e-9, "{rise_ns}");
        assert!((spread_ns / MS - spread_ms).abs() < 1e-9, "{spread_ns}");
    }

    /// 1 ms in each of 100 blocks is 100 ms, from the start of the first to the end of the last.
    #[test]
    fn an_even_rise_is_extended_to_the_whole_window() {
        check(&levels((0..100).map(|block| f64::from(block) * MS)), 100.0, 0.0);
        check(&levels((0..12).map(|block| f64::from(block) * MS)), 12.0, 0.0);
        assert_eq!(growth(&levels((0..5).map(f64::from))), None);
    }

    #[test]
    fn what_falls_is_no_rise_and_spreads() {
        check(&levels((0..100).map(|block| f64::from(-block) * MS)), -100.0, 95.0);
    }

    /// The fit ends with the last stall of 20 ms spread over its six blocks.
    #[test]
    fn stalls_do_not_rise_and_spread_little() {
        let stalled = (0..100).map(|block| if block % 10 == 4 { 20.0 * MS } else { 0.0 });
        check(&levels(stalled), 0.0, 20.0 / 6.0);
    }

    #[test]
    fn a_short_window_spreads_as_far_as_its_packets() {
        let level = Level { tenth: 0.0, extremes: Some((-MS, 2.0 * MS)) };
        check(&[level; 12], 0.0, 3.0);
        check(&[level; 20], 0.0, 0.0);
    }

    #[test]
    fn the_isotonic_fit_pools_what_falls() {
        assert_eq!(isotonic(&[1.0, 3.0, 2.0, 2.5, 9.0, 0.0]), [1.0, 2.5, 2.5, 2.5, 4.5, 4.5]);
    }

    #[test]
    fn the_tenth_lies_between_its_neighbours() {
        assert_eq!(tenth(&[]), None);
        assert_eq!(tenth(&[7.0]), Some(7.0));
        assert_eq!(tenth(&[4.0, 2.0]), Some(2.2));
        let hundred: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(tenth(&hundred), Some(10.0));
    }

    fn stepped(at: usize, change: f64) -> Vec<Level> {
        levels((0..50).map(move |block| if at <= block { change } else { 0.0 }))
    }

    #[test]
    fn a_step_that_the_path_still_shows_is_placed_and_taken_out() {
        for (at, change) in [(20, 150.0 * MS), (21, -8.0 * MS), (3, 4.0 * MS), (46, 4.0 * MS)] {
            let levels = stepped(at, change);
            let found = step(&levels, &[change; 100]);
            assert_eq!(found, Some(Step { block: at, change_ns: change }));
            check(&without(&levels, found), 0.0, 0.0);
        }
        assert_eq!(step(&stepped(20, 2.9 * MS), &[2.9 * MS; 100]), None);
    }

    #[test]
    fn a_queue_that_drains_behind_the_load_is_no_step() {
        assert_eq!(step(&stepped(20, 50.0 * MS), &[0.0; 100]), None);
        assert_eq!(step(&stepped(20, 50.0 * MS), &[]), None);
    }

    #[test]
    fn what_stands_at_the_end_is_above_the_least() {
        let level = |tenth| Level { tenth, extremes: None };
        let check = |tenths: &[f64], expected: f64| {
            let levels: Vec<Level> = tenths.iter().copied().map(level).collect();
            assert!((standing(&levels) - expected).abs() < 1e-9, "{tenths:?}");
        };
        check(&[3.0, 1.0, 9.0, 6.0], 5.0);
        check(&[3.0, 1.0], 0.0);
        check(&[], 0.0);
    }

    #[test]
    fn only_what_drained_is_growth_where_more_than_half_stayed() {
        assert!((drained(10.0, 10.0, &[0.0, 0.0]) - 10.0).abs() < 1e-9);
        assert!((drained(10.0, 10.0, &[9.0, 8.0]) - 2.0).abs() < 1e-9);
        assert!(drained(10.0, 10.0, &[11.0, 12.0]).abs() < 1e-9);
        assert!((drained(10.0, 10.0, &[]) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_level_that_changed_is_above_its_doubt() {
        assert_eq!(changed(0.0, 2.0 * MS, &[3.0 * MS; 4]), None);
        assert_eq!(changed(0.0, 2.0 * MS, &[3.1 * MS; 4]), Some(3.1 * MS));
    }
}
