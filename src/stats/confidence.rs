//! How far the truth can be from what was counted: bounds on loss, ranks for quantiles, and how
//! many packets a bound takes.
//!
//! Every bound is one-sided: `low` is right with the confidence asked, and so is `high`; both
//! together are right with less. Never widens or narrows a bound for its looks.
//!
//! # Losses in bursts
//!
//! The usual formula takes loss periods for independent events. They are not
//! where a burst lets a packet through now and then: each hole makes one period more of the same
//! burst, and the bounds at 95 % of 20 bursts of 20 packets that lost half of them held the truth
//! in 63 % (`high`) and 70 % (`low`) of all lines. So the formula stays, and its events are
//! refined: periods with fewer arrivals between them than a reach are one event, a cluster
//! ([`bounds_of_loss`] says how far it reaches). With a reach of 1, clusters are the loss periods
//! of RFC 3357, and the formula is the usual one to the letter.

use super::beta::Beta;
use super::loss_bursts::{Clusters, LossBursts};
use super::{count, real};

/// Clusters that lost more than this on average make loss bursty (methods, section 7.1).
const MEAN_LOST_MAX: f64 = 2.0;

/// Within this many times the reach of clusters, one packet is lost on average, or none: of losses
/// that have nothing to do with each other, then one in ten at most is near the one before.
const REACH_SHARE: u128 = 10;

/// More packets than this are never planned for: 2^53, beyond which counts and real numbers part.
const PACKETS_MAX: u64 = 1 << 53;

/// The least probability of a bound that does not hold: what a ratio can still distinguish from 0.
const ALPHA_MIN: f64 = 1e-12;

/// How surely a bound must hold: a probability between 0.5 and 1, both excluded.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// 95 %: what is taken where nothing else is asked.
    pub const P95: Self = Self(0.95);

    /// The confidence `value`; `None` unless 0.5 < `value` < 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.5 < value && value < 1.0).then_some(Self(value))
    }

    /// The probability that a bound holds.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// The confidence of which each of `tries` may fail, so that all of them hold with this one
    /// (Bonferroni): 1 − (1 − c) / `tries`.
    #[must_use]
    pub fn over(self, tries: u64) -> Self {
        // Beyond this, 1 less it would be 1.
        let alpha = (self.alpha() / real(tries.max(1))).max(ALPHA_MIN);
        Self(1.0 - alpha)
    }

    /// The probability that a bound does not hold: 1 less the value.
    #[must_use]
    pub const fn alpha(self) -> f64 {
        1.0 - self.0
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self::P95
    }
}

/// Where a probability lies: `low <= high`, both from 0 to 1, each a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The truth is at least this, with the confidence asked.
    pub low: f64,
    /// The truth is at most this, with the confidence asked.
    pub high: f64,
}

/// Bounds on the loss of the line, by the way that suits the pattern: [`bursty_loss_bounds`] if a
/// cluster lost more than 2 packets on average, else [`loss_bounds`].
///
/// Clusters reach over `0.1 / p` packets, where `p` is the ratio lost: as far as independent losses
/// would seldom be joined; at least 1, where they are the loss periods of RFC 3357, and at most 16
/// ([`REACHES`](super::loss_bursts::REACHES), rounded down to one of them). `None` if nothing was
/// sent, or less than was lost.
///
/// # Limits
///
/// Of 1000 lines with bursts that lose half of their packets or more, at a loss ratio of 1 % or
/// less, bounds at 95 % hold as they do for bursts without a hole: at least 935 of `low` and 930 of
/// `high`, with 20 bursts. Where a burst loses less of its packets, or the line more of all, holes
/// outgrow the reach, and one burst is taken for several: the truth is then outside the bounds more
/// often than asked, and nothing shows it (20 bursts; in brackets, with a reach of 1 everywhere):
///
/// | packets of a burst | lost of them | loss ratio | `low` holds | `high` holds |
/// |---|---|---|---|---|
/// | 20 | 30 % | 0.6 % | 960 (712) | 929 (663) |
/// | 20 | 20 % | 0.4 % | 955 (753) | 931 (696) |
/// | 20 | 10 % | 0.2 % | 957 (827) | 869 (762) |
/// | 5 | 20 % | 0.33 % | 944 (871) | 877 (874) |
/// | 100 | 20 % | 0.4 % | 935 (633) | 895 (557) |
/// | 100 | 10 % | 0.2 % | 854 (682) | 827 (597) |
/// | 20 | 50 % | 5 % | 711 (711) | 814 (638) |
/// | 20 | 20 % | 2 % | 801 (754) | 814 (701) |
#[must_use]
pub fn bounds_of_loss(periods: &LossBursts, sent: u64, confidence: Confidence) -> Option<Bounds> {
    let clusters = clusters_of(periods, sent);
    match clusters.mean_lost() {
        Some(lost) if MEAN_LOST_MAX < lost => bursty_loss_bounds(&clusters, sent, confidence),
        _ => loss_bounds(periods.lost(), sent, confidence),
    }
}

/// The clusters that are taken for independent events.
fn clusters_of(periods: &LossBursts, sent: u64) -> Clusters {
    let reach = u128::from(sent) / (REACH_SHARE * u128::from(periods.lost().max(1)));
    periods.clusters(u64::try_from(reach).unwrap_or(u64::MAX))
}

/// Bounds on the probability of loss, each packet's independent: Clopper and Pearson (1934).
///
/// `low` is the p at which `lost` losses or more are as rare as alpha, 0 where nothing was lost;
/// `high` the p at which `lost` or fewer are, 1 where all was lost. `None` if nothing was sent, or
/// less than was lost.
#[must_use]
pub fn loss_bounds(lost: u64, sent: u64, confidence: Confidence) -> Option<Bounds> {
    if sent == 0 || sent < lost {
        return None;
    }
    Some(bounds_of_events(real(lost), real(sent), confidence))
}

/// Bounds on the probability of loss where losses come in clusters, which say less than as many
/// packets lost one by one.
///
/// Over clusters of x lost packets: Clopper-Pearson on as many events as equal clusters would be,
/// `(Σx)² / Σx²`, times what each would have lost, `Σx² / Σx`; at most 1. `None` if nothing was
/// sent, or less than was lost.
#[must_use]
pub fn bursty_loss_bounds(
    clusters: &Clusters,
    sent: u64,
    confidence: Confidence,
) -> Option<Bounds> {
    let lost = clusters.lost;
    if lost == 0 || sent < lost {
        return loss_bounds(lost, sent, confidence);
    }
    let length = real_of_squares(clusters.sum_of_squares) / real(lost);
    // Of one cluster, rounding must not make less than one event.
    let events = (real(lost) / length).max(1.0);
    let bounds = bounds_of_events(events, real(sent), confidence);
    Some(Bounds { low: (bounds.low * length).min(1.0), high: (bounds.high * length).min(1.0) })
}

/// Clopper-Pearson for a real number of events: 0, or from 1 to `trials`.
fn bounds_of_events(events: f64, trials: f64, confidence: Confidence) -> Bounds {
    let alpha = confidence.alpha();
    let rest = trials - events;
    let low = match events {
        0.0 => 0.0,
        _ => Beta::new(events, rest + 1.0).lower(alpha),
    };
    let high = match events {
        0.0 => -(alpha.ln() / trials).exp_m1(),
        _ if rest < 1.0 => 1.0,
        _ => Beta::new(events + 1.0, rest).upper(alpha),
    };
    Bounds { low, high }
}

#[expect(clippy::cast_precision_loss, reason = "one part in 2^53 is far below any bound's width")]
const fn real_of_squares(sum: u128) -> f64 {
    sum as f64
}

/// The least number of packets of which `allowed` may be lost and the loss still be at most `limit`
/// by [`loss_bounds`]: it takes 7.754 / `limit` for 3 at 95 %.
///
/// `limit` is a ratio. More than 2^53 packets are never enough: `u64::MAX`, as where `limit` is not
/// above 0. Where it is 1 or more, any line meets it: the packets allowed to be lost, at least 1.
#[must_use]
pub fn packets_needed(limit: f64, allowed: u64, confidence: Confidence) -> u64 {
    if limit.is_nan() || limit <= 0.0 {
        return u64::MAX;
    }
    if 1.0 <= limit {
        return allowed.max(1);
    }
    if PACKETS_MAX <= allowed {
        return u64::MAX;
    }
    let enough = |packets: u64| {
        let law = Beta::new(real(allowed) + 1.0, real(packets - allowed));
        law.above(limit) <= confidence.alpha()
    };
    least(allowed + 1, PACKETS_MAX, enough).unwrap_or(u64::MAX)
}

/// Which of the values of a sample, sorted from 1 for the least, bound a quantile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ranks {
    /// The greatest rank whose value is at most the quantile, with the confidence asked; `None`
    /// where the sample is too small for any.
    pub low: Option<u64>,
    /// The least rank whose value is at least the quantile, with the confidence asked; `None` where
    /// the sample is too small for any.
    pub high: Option<u64>,
}

/// The ranks of `samples` independent values that bound their quantile `q`, whatever their law.
///
/// `q` is between 0 and 1, both excluded; of any other there are no ranks.
#[must_use]
pub fn quantile_ranks(samples: u64, q: f64, confidence: Confidence) -> Ranks {
    if !(0.0 < q && q < 1.0) || samples == 0 {
        return Ranks { low: None, high: None };
    }
    // How surely the value of a rank is above the quantile: fewer values than that lie below it.
    let above = |rank: u64| Beta::new(real(rank), real(samples - rank) + 1.0).above(q);
    let high = least(1, samples, |rank| confidence.value() <= above(rank));
    let too_high = least(1, samples, |rank| confidence.alpha() < above(rank));
    let low = too_high.map_or(samples, |rank| rank - 1);
    Ranks { low: (0 < low).then_some(low), high }
}

/// The least number of samples whose greatest bounds quantile `q` from above: 299 for 0.99 at 95 %.
///
/// 1 for a `q` of 0 or less, `u64::MAX` for one of 1 or more.
#[must_use]
pub fn samples_needed(q: f64, confidence: Confidence) -> u64 {
    if q <= 0.0 {
        return 1;
    }
    if 1.0 <= q {
        return u64::MAX;
    }
    count((confidence.alpha().ln() / q.ln()).ceil())
}

/// The least number in `first..=last` for which `holds`, which must hold for all above it too.
///
/// Looks in steps that double, then halve: small answers are found soon.
fn least(first: u64, last: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (first, first);
    while !holds(high) {
        if last <= high {
            return None;
        }
        low = high + 1;
        high = high.saturating_mul(2).min(last);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P90: Confidence = Confidence(0.90);
    const P95: Confidence = Confidence::P95;
    const P99: Confidence = Confidence(0.99);

    #[track_caller]
    fn near(actual: f64, expected: f64, tolerance: f64) {
        let error = (actual / expected - 1.0).abs();
        assert!(error <= tolerance, "{actual:e} is {error:e} off {expected:e}");
    }

    /// P(Bin(n, p) = k) for each k, by the ratio of neighbours in logarithms: slow, and plain.
    fn binomial(n: u64, p: f64) -> Vec<f64> {
        let mut log = real(n) * (-p).ln_1p();
        let mut masses = vec![log.exp()];
        for k in 0..n {
            log += (real(n - k) / real(k + 1)).ln() + p.ln() - (-p).ln_1p();
            masses.push(log.exp());
        }
        masses
    }

    fn at_most(k: u64, n: u64, p: f64) -> f64 {
        binomial(n, p).iter().take(usize::try_from(k).unwrap() + 1).sum()
    }

    fn at_least(k: u64, n: u64, p: f64) -> f64 {
        binomial(n, p).iter().skip(usize::try_from(k).unwrap()).sum()
    }

    fn runs(lengths: &[u64]) -> LossBursts {
        let mut periods = LossBursts::default();
        for length in lengths {
            periods.on_lost(*length);
            periods.on_arrived(16);
        }
        periods
    }

    /// `bursts` bursts of three packets of which the second came through.
    fn holed(bursts: u64) -> LossBursts {
        let mut periods = LossBursts::default();
        for _ in 0..bursts {
            periods.on_lost(2);
            periods.on_arrived(1);
            periods.on_lost(2);
            periods.on_arrived(16);
        }
        periods
    }

    #[test]
    fn confidence_lies_between_a_half_and_one() {
        for value in [0.5, 1.0, 0.0, -1.0, 2.0, f64::NAN] {
            assert_eq!(Confidence::new(value), None, "{value} was taken");
        }
        assert_eq!(Confidence::new(0.95), Some(P95));
        assert_eq!(Confidence::default(), P95);
        near(P99.alpha(), 0.01, 1e-12);
        near(P99.value() + P99.alpha(), 1.0, 1e-15);
    }

    #[test]
    fn a_confidence_is_shared_among_tries() {
        near(P95.over(40).value(), 0.998_75, 1e-12);
        near(P95.over(1).value(), P95.value(), 0.0);
        near(P95.over(0).value(), P95.value(), 0.0);
        assert!(P95.over(u64::MAX).value() < 1.0);
    }

    #[test]
    fn of_nothing_sent_there_are_no_bounds() {
        assert_eq!(loss_bounds(0, 0, P95), None);
        assert_eq!(loss_bounds(2, 1, P95), None);
        assert_eq!(bursty_loss_bounds(&runs(&[]).clusters(1), 0, P95), None);
        assert_eq!(bounds_of_loss(&runs(&[9]), 8, P95), None);
    }

    #[test]
    fn nothing_lost_has_the_closed_form() {
        let bounds = loss_bounds(0, 2_995, P95).unwrap();
        near(bounds.low + 1.0, 1.0, 0.0);
        near(bounds.high, 1.0 - 0.05_f64.powf(1.0 / 2_995.0), 1e-12);
    }

    #[test]
    fn all_lost_may_be_a_dead_line() {
        let bounds = loss_bounds(100, 100, P95).unwrap();
        near(bounds.high, 1.0, 0.0);
        near(bounds.low, 0.05_f64.powf(0.01), 1e-12);
        near(loss_bounds(1, 1, P95).unwrap().low, 0.05, 1e-12);
    }

    #[test]
    fn tails_at_the_bounds_are_alpha_by_plain_sums() {
        for n in [1, 2, 3, 10, 57, 300] {
            for k in (0..=n).filter(|k| n <= 10 || k % 19 < 2 || n - k < 3) {
                for confidence in [P90, P95, P99] {
                    let bounds = loss_bounds(k, n, confidence).unwrap();
                    if 0 < k {
                        near(at_least(k, n, bounds.low), confidence.alpha(), 1e-9);
                    }
                    if k < n {
                        near(at_most(k, n, bounds.high), confidence.alpha(), 1e-9);
                    }
                }
            }
        }
    }

    /// Exact, not simulated: the chance of each count at the truth, where its bound is right.
    #[test]
    fn each_bound_holds_at_least_as_often_as_asked() {
        for (n, p) in [(20, 0.3), (200, 0.01), (200, 0.5), (1_000, 0.001), (1_000, 0.02)] {
            let (mut low_right, mut high_right) = (0.0, 0.0);
            for (k, mass) in (0_u64..).zip(binomial(n, p)) {
                let bounds = loss_bounds(k, n, P95).unwrap();
                low_right += if bounds.low <= p { mass } else { 0.0 };
                high_right += if p <= bounds.high { mass } else { 0.0 };
            }
            assert!(0.95 <= low_right && 0.95 <= high_right, "{n} {p} {low_right} {high_right}");
        }
    }

    #[test]
    fn the_table_of_upper_limits_is_met() {
        let n = 1_000_000_000;
        for (k, p95, p99) in [
            (0, 2.996, 4.605),
            (1, 4.744, 6.638),
            (2, 6.296, 8.406),
            (3, 7.754, 10.045),
            (4, 9.154, 11.605),
            (5, 10.513, 13.108),
            (10, 16.962, 20.145),
        ] {
            near(loss_bounds(k, n, P95).unwrap().high * real(n), p95, 0.000_5 / p95);
            near(loss_bounds(k, n, P99).unwrap().high * real(n), p99, 0.000_5 / p99);
        }
    }

    #[test]
    fn the_table_of_lower_limits_is_met() {
        let n = 1_000_000_000;
        for (k, p95) in [(1, 0.051), (2, 0.355), (3, 0.818), (4, 1.366), (5, 1.970), (10, 5.425)] {
            near(loss_bounds(k, n, P95).unwrap().low * real(n), p95, 0.000_5 / p95);
        }
    }

    #[test]
    fn the_two_sided_interval_is_the_bounds_at_half_the_alpha() {
        let bounds = loss_bounds(3, 100_000, Confidence(0.975)).unwrap();
        near(bounds.low, 0.62e-5, 0.005 / 0.62);
        near(bounds.high, 8.77e-5, 0.005 / 8.77);
    }

    #[test]
    fn bounds_are_those_of_forty_digits() {
        for (lost, sent, low, high) in [
            (1, 100_000_000_000, 5.129_329_438_753_74e-13, 4.743_864_518_301_78e-11),
            (3, 1_000_000, 8.176_919_305_463_18e-7, 7.753_638_098_840_06e-6),
            (3, 100_000_000_000, 8.176_914_471_687_87e-12, 7.753_656_527_748_44e-11),
            (50, 1_000_000, 3.896_492_809_647_25e-5, 6.328_665_364_259_26e-5),
            (1_000, 1_000_000, 9.485_837_785_936_20e-4, 1.053_574_877_454_44e-3),
            (1_000, 100_000_000_000, 9.485_598_496_228_79e-9, 1.053_603_121_850_92e-8),
            (20_000, 100_000_000, 1.976_797_530_750_53e-4, 2.023_416_667_720_80e-4),
            (1_000_000, 1_000_000_000, 9.983_565_355_808_70e-4, 1.001_645_597_995_17e-3),
            (1_000_000, 100_000_000_000, 9.983_557_232_866_53e-6, 1.001_646_414_521_93e-5),
            (1_000_000_000, 100_000_000_000, 9.999_482_464_360_14e-3, 1.000_051_755_658_30e-2),
            (50_000_000_000, 100_000_000_000, 4.999_973_992_530_61e-1, 5.000_026_007_469_39e-1),
        ] {
            let bounds = loss_bounds(lost, sent, P95).unwrap();
            near(bounds.low, low, 1e-12);
            near(bounds.high, high, 1e-12);
        }
    }

    #[test]
    fn runs_of_one_packet_are_as_good_as_independent() {
        let singles = runs(&[1; 12]);
        assert_eq!(
            bursty_loss_bounds(&singles.clusters(1), 5_000, P95),
            loss_bounds(12, 5_000, P95)
        );
        assert_eq!(bounds_of_loss(&singles, 5_000, P95), loss_bounds(12, 5_000, P95));
    }

    #[test]
    fn equal_runs_count_as_events_times_their_length() {
        let bounds = bursty_loss_bounds(&runs(&[5; 20]).clusters(1), 100_000, P95).unwrap();
        let events = loss_bounds(20, 100_000, P95).unwrap();
        near(bounds.low, events.low * 5.0, 1e-12);
        near(bounds.high, events.high * 5.0, 1e-12);
    }

    #[test]
    fn one_long_run_outweighs_many_short_ones() {
        // 100 lost, squares 91^2 + 9 = 8290: 1.206 events of 82.9 packets.
        let bounds =
            bursty_loss_bounds(&runs(&[91, 1, 1, 1, 1, 1, 1, 1, 1, 1]).clusters(1), 1_000_000, P95);
        let (one, two) =
            (loss_bounds(1, 1_000_000, P95).unwrap(), loss_bounds(2, 1_000_000, P95).unwrap());
        let bounds = bounds.unwrap();
        assert!(one.low * 82.9 < bounds.low && bounds.low < two.low * 82.9);
        assert!(one.high * 82.9 < bounds.high && bounds.high < two.high * 82.9);
    }

    #[test]
    fn loss_is_bursty_only_above_a_mean_of_two() {
        let two = runs(&[2, 2, 2]);
        assert_eq!(bounds_of_loss(&two, 1_000, P95), loss_bounds(6, 1_000, P95));
        let above = runs(&[2, 2, 3]);
        assert_eq!(
            bounds_of_loss(&above, 1_000, P95),
            bursty_loss_bounds(&above.clusters(1), 1_000, P95)
        );
        assert_ne!(bounds_of_loss(&above, 1_000, P95), loss_bounds(7, 1_000, P95));
    }

    #[test]
    fn a_burst_with_a_hole_is_one_event() {
        // 20 of 10 000 lost: a tenth of a loss within 50 packets, more than any reach that is kept.
        let bounds = bounds_of_loss(&holed(5), 10_000, P95).unwrap();
        let events = loss_bounds(5, 10_000, P95).unwrap();
        near(bounds.low, events.low * 4.0, 1e-12);
        near(bounds.high, events.high * 4.0, 1e-12);
    }

    #[test]
    fn losses_that_many_others_surround_are_not_joined() {
        // With a reach of 1, the mean of 2 is not bursty; of 2, clusters of 4 are.
        let holed = holed(5);
        for (sent, reach) in [(20, 1), (200, 1), (399, 1), (400, 2), (u64::MAX, 16)] {
            assert_eq!(clusters_of(&holed, sent), holed.clusters(reach), "{sent} sent");
        }
        assert_eq!(bounds_of_loss(&holed, 399, P95), loss_bounds(20, 399, P95));
        assert_ne!(bounds_of_loss(&holed, 400, P95), loss_bounds(20, 400, P95));
    }

    #[test]
    fn the_reach_is_the_greatest_that_holds_a_tenth_of_a_loss() {
        // Five packets lost: a tenth of a loss is in a fiftieth of all.
        let mut apart = LossBursts::default();
        for arrived in [1, 3, 7, 15, 0] {
            apart.on_lost(1);
            apart.on_arrived(arrived);
        }
        for (reach, count) in [(1, 5), (2, 4), (4, 3), (8, 2), (16, 1)] {
            assert_eq!(clusters_of(&apart, 50 * reach).count, count, "reach {reach}");
            assert_eq!(clusters_of(&apart, 100 * reach - 1).count, count, "reach {reach}");
        }
    }

    #[test]
    fn bursty_bounds_are_probabilities() {
        let dead = bursty_loss_bounds(&runs(&[1_000]).clusters(1), 1_000, P95).unwrap();
        near(dead.high, 1.0, 0.0);
        assert!(0.0 < dead.low && dead.low <= 1.0);
        let nothing = bursty_loss_bounds(&runs(&[]).clusters(1), 1_000, P95);
        assert_eq!(nothing, loss_bounds(0, 1_000, P95));
    }

    #[test]
    fn the_table_of_packets_without_a_loss_is_met() {
        for (limit, p90, p95, p99) in [
            (1e-3, 2_302, 2_995, 4_603),
            (1e-4, 23_025, 29_956, 46_050),
            (1e-5, 230_258, 299_572, 460_515),
            (1e-6, 2_302_584, 2_995_731, 4_605_168),
            (1e-7, 23_025_850, 29_957_322, 46_051_700),
        ] {
            assert_eq!(packets_needed(limit, 0, P90), p90);
            assert_eq!(packets_needed(limit, 0, P95), p95);
            assert_eq!(packets_needed(limit, 0, P99), p99);
        }
    }

    #[test]
    fn packets_needed_are_enough_and_no_more() {
        for limit in [0.9, 0.5, 0.1, 1e-3, 1e-6] {
            for allowed in [0, 1, 3, 10, 1_000] {
                let needed = packets_needed(limit, allowed, P95);
                let high = |sent| loss_bounds(allowed, sent, P95).unwrap().high;
                assert!(high(needed) <= limit, "{needed} are too few for {limit}, {allowed}");
                assert!(limit < high(needed - 1).max(limit * 2.0 * f64::from(needed == 1)));
            }
        }
        near(real(packets_needed(1e-6, 3, P95)), 7.754e6, 0.000_5 / 7.754);
    }

    #[test]
    fn a_limit_that_nothing_proves_needs_all_packets() {
        for limit in [0.0, -1.0, f64::NAN, 1e-300] {
            assert_eq!(packets_needed(limit, 3, P95), u64::MAX);
        }
        assert_eq!(packets_needed(0.5, u64::MAX, P95), u64::MAX);
    }

    #[test]
    fn a_limit_of_one_is_met_by_any_line() {
        assert_eq!(packets_needed(1.0, 0, P95), 1);
        assert_eq!(packets_needed(1.5, 7, P95), 7);
    }

    #[test]
    fn of_18000_samples_the_17990th_bounds_the_p999() {
        assert_eq!(quantile_ranks(18_000, 0.999, P95).high, Some(17_990));
    }

    #[test]
    fn two_sided_ranks_are_those_at_half_the_alpha() {
        let two_sided = Confidence(0.975);
        for (n, q, low, high) in [(10_000, 0.999, 9_983, 9_997), (18_000, 0.99, 17_793, 17_847)] {
            let ranks = quantile_ranks(n, q, two_sided);
            assert_eq!(ranks, Ranks { low: Some(low), high: Some(high) });
        }
    }

    #[test]
    fn ranks_agree_with_plain_sums() {
        for n in [1, 2, 5, 29, 58, 59, 60, 300] {
            // No power of these is 0.05 or 0.95: at a tie, rounding would decide.
            for q in [0.01, 0.5, 0.9, 0.951, 0.99] {
                let high = (1..=n).find(|rank| 0.95 <= at_most(rank - 1, n, q));
                let low = (1..=n).rev().find(|rank| 0.95 <= at_least(*rank, n, q));
                assert_eq!(quantile_ranks(n, q, P95), Ranks { low, high }, "{n} {q}");
            }
        }
    }

    #[test]
    fn samples_needed_are_the_first_with_a_rank_above() {
        for (q, needed) in
            [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2_995), (0.9999, 29_956)]
        {
            assert_eq!(samples_needed(q, P95), needed);
            assert_eq!(quantile_ranks(needed, q, P95).high, Some(needed));
            assert_eq!(quantile_ranks(needed - 1, q, P95).high, None);
        }
    }

    #[test]
    fn a_quantile_beyond_zero_and_one_has_no_ranks() {
        for q in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(quantile_ranks(1_000, q, P95), Ranks { low: None, high: None });
        }
        assert_eq!(quantile_ranks(0, 0.5, P95), Ranks { low: None, high: None });
        assert_eq!(samples_needed(0.0, P95), 1);
        assert_eq!(samples_needed(1.0, P95), u64::MAX);
    }

    #[test]
    fn hostile_counts_end() {
        let bounds = loss_bounds(u64::MAX / 3, u64::MAX, P95).unwrap();
        assert!(bounds.low < 1.0 / 3.0 && 1.0 / 3.0 < bounds.high);
        assert!(quantile_ranks(u64::MAX, 0.999, P95).high.is_some());
        assert!(packets_needed(1e-9, PACKETS_MAX - 1, P95) == u64::MAX);
    }
}
