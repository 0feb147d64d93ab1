//! How long a packet is under way, once it has left.

use super::dice::Dice;
use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};

/// Delay above the floor, drawn for each packet on its own, in whole nanoseconds (rounded down).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Jitter {
    /// Always 0.
    #[default]
    None,
    /// Each of 0 to `max_ns` alike.
    Uniform {
        /// The most there is.
        max_ns: u64,
    },
    /// Mostly little, rarely much.
    Exponential {
        /// The mean, which is the standard deviation too.
        mean_ns: u64,
    },
    /// A normal distribution around 0, of which what is below 0 becomes 0: half of the packets have
    /// no delay above the floor.
    Normal {
        /// The standard deviation, before the lower half is cut off.
        sigma_ns: u64,
    },
}

impl Jitter {
    /// The true quantile `q`, to 1 ns: a share of `q` of the packets has no more than this.
    ///
    /// `None` if `q` is no share (0 to 1), or if the distribution has no upper end and `q` is 1. It
    /// is the truth of the delay above the floor only where nothing else delays: with no shaper, no
    /// rule of reordering, and `keep_order` off or packets wider apart than their jitter.
    #[must_use]
    pub fn quantile_ns(self, q: f64) -> Option<u64> {
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        match self {
            Self::None => Some(0),
            Self::Uniform { max_ns } => Some(whole_ns(q * float_ns(max_ns))),
            _ if 1.0 <= q => None,
            Self::Exponential { mean_ns } => Some(whole_ns(-(-q).ln_1p() * float_ns(mean_ns))),
            Self::Normal { .. } if q <= 0.5 => Some(0),
            Self::Normal { sigma_ns } => {
                Some(whole_ns(upper_normal_quantile(q) * float_ns(sigma_ns)))
            }
        }
    }

    fn draw_ns(self, dice: &mut Dice) -> u64 {
        match self {
            Self::None => 0,
            Self::Uniform { max_ns } => dice.rng().random_range(0..=max_ns),
            Self::Exponential { mean_ns } => {
                let means: f64 = Exp1.sample(dice.rng());
                whole_ns(means * float_ns(mean_ns))
            }
            Self::Normal { sigma_ns } => {
                let sigmas: f64 = StandardNormal.sample(dice.rng());
                whole_ns(sigmas * float_ns(sigma_ns))
            }
        }
    }
}

/// The way from the near end to the far end.
#[derive(Debug)]
pub(super) struct Flight {
    delay_ns: u64,
    jitter: Jitter,
    keep_order: bool,
    dice: Dice,
    latest_ns: u64,
}

impl Flight {
    pub(super) const fn new(delay_ns: u64, jitter: Jitter, keep_order: bool, dice: Dice) -> Self {
        Self { delay_ns, jitter, keep_order, dice, latest_ns: 0 }
    }

    pub(super) fn draw_jitter_ns(&mut self) -> u64 {
        self.jitter.draw_ns(&mut self.dice)
    }

    /// When a packet that leaves at `departure_ns` arrives; the end of time if that is too late.
    pub(super) fn arrival_ns(&mut self, departure_ns: u64, jitter_ns: u64) -> u64 {
        let mut arrival_ns = departure_ns.saturating_add(self.delay_ns).saturating_add(jitter_ns);
        if self.keep_order {
            arrival_ns = arrival_ns.max(self.latest_ns);
            self.latest_ns = arrival_ns;
        }
        arrival_ns
    }

    /// The same for a packet that is held back: out of the order, whatever `keep_order` says.
    pub(super) const fn held_arrival_ns(
        &self,
        departure_ns: u64,
        jitter_ns: u64,
        hold_ns: u64,
    ) -> u64 {
        let due_ns = departure_ns.saturating_add(self.delay_ns).saturating_add(jitter_ns);
        due_ns.saturating_add(hold_ns)
    }
}

/// Exact up to 2^53 ns, which is 104 days; above that, the nearest there is.
const fn float_ns(nanos: u64) -> f64 {
    nanos as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounds down, and is meant to: below 0 to 0, too much to the end of time"
)]
const fn whole_ns(nanos: f64) -> u64 {
    nanos as u64
}

/// The quantile of the standard normal distribution, for `0.5 < q < 1`.
///
/// P. J. Acklam's rational approximation (2003); its relative error is below 1.15e-9.
fn upper_normal_quantile(q: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const TAIL: f64 = 0.024_25;
    if 1.0 - TAIL < q {
        let t = (-2.0 * (1.0 - q).ln()).sqrt();
        return -polynomial(&C, t) / polynomial(&D, t);
    }
    let t = q - 0.5;
    t * polynomial(&A, t * t) / polynomial(&B, t * t)
}

/// By Horner's rule, the highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::super::dice::Stream;
    use super::*;

    const MS: u64 = 1_000_000;

    fn flight(keep_order: bool) -> Flight {
        Flight::new(100, Jitter::None, keep_order, Dice::new(7, Stream::Jitter))
    }

    /// The share of draws at or below the quantile `q` is `q`.
    #[track_caller]
    fn check_share(jitter: Jitter, q: f64) {
        const DRAWS: u32 = 100_000;
        let quantile_ns = jitter.quantile_ns(q).expect("a quantile");
        let mut dice = Dice::new(7, Stream::Jitter);
        let below = (0..DRAWS).filter(|_| jitter.draw_ns(&mut dice) <= quantile_ns).count();
        // Binomial: five deviations of the share.
        let bound = 5.0 * (q * (1.0 - q) / f64::from(DRAWS)).sqrt();
        let share = f64::from(u32::try_from(below).expect("at most DRAWS")) / f64::from(DRAWS);
        assert!((share - q).abs() <= bound, "{jitter:?}: {share} is not {q} +- {bound}");
    }

    #[test]
    fn draws_follow_the_quantiles() {
        for q in [0.5, 0.9, 0.975, 0.99, 0.999] {
            check_share(Jitter::Uniform { max_ns: MS }, q);
            check_share(Jitter::Exponential { mean_ns: MS }, q);
            check_share(Jitter::Normal { sigma_ns: MS }, q);
        }
        check_share(Jitter::Uniform { max_ns: MS }, 0.01);
        check_share(Jitter::Exponential { mean_ns: MS }, 0.01);
    }

    #[track_caller]
    fn check_quantile(jitter: Jitter, q: f64, expected: Option<u64>) {
        assert_eq!(jitter.quantile_ns(q), expected, "{jitter:?} at {q}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        check_quantile(Jitter::None, 0.99, Some(0));
        check_quantile(Jitter::Uniform { max_ns: MS }, 0.0, Some(0));
        check_quantile(Jitter::Uniform { max_ns: MS }, 0.75, Some(750_000));
        check_quantile(Jitter::Uniform { max_ns: MS }, 1.0, Some(MS));
        // -ln(0.5) and -ln(0.01)
        check_quantile(Jitter::Exponential { mean_ns: MS }, 0.5, Some(693_147));
        check_quantile(Jitter::Exponential { mean_ns: MS }, 0.99, Some(4_605_170));
        check_quantile(Jitter::Normal { sigma_ns: MS }, 0.5, Some(0));
        check_quantile(Jitter::Normal { sigma_ns: MS }, 0.9, Some(1_281_551));
        check_quantile(Jitter::Normal { sigma_ns: MS }, 0.975, Some(1_959_963));
        check_quantile(Jitter::Normal { sigma_ns: MS }, 0.976, Some(1_977_368));
        check_quantile(Jitter::Normal { sigma_ns: MS }, 0.999, Some(3_090_232));
    }

    #[test]
    fn what_is_no_share_or_has_no_end_has_no_quantile() {
        for jitter in [Jitter::None, Jitter::Uniform { max_ns: MS }] {
            check_quantile(jitter, -0.1, None);
            check_quantile(jitter, 1.1, None);
            check_quantile(jitter, f64::NAN, None);
        }
        check_quantile(Jitter::Exponential { mean_ns: MS }, 1.0, None);
        check_quantile(Jitter::Normal { sigma_ns: MS }, 1.0, None);
    }

    #[test]
    fn uniform_jitter_reaches_both_of_its_ends() {
        let mut dice = Dice::new(7, Stream::Jitter);
        let draws = [(); 100].map(|()| Jitter::Uniform { max_ns: 3 }.draw_ns(&mut dice));
        assert_eq!(draws.iter().min(), Some(&0));
        assert_eq!(draws.iter().max(), Some(&3));
    }

    #[test]
    fn where_order_is_kept_a_quick_packet_waits_for_a_slow_one() {
        let mut flight = flight(true);
        assert_eq!(flight.arrival_ns(0, 50), 150);
        assert_eq!(flight.arrival_ns(10, 0), 150);
        assert_eq!(flight.arrival_ns(51, 0), 151);
    }

    #[test]
    fn where_order_is_not_kept_a_quick_packet_overtakes() {
        let mut flight = flight(false);
        assert_eq!(flight.arrival_ns(0, 50), 150);
        assert_eq!(flight.arrival_ns(10, 0), 110);
    }

    #[test]
    fn a_packet_held_back_keeps_nobody_waiting() {
        let mut flight = flight(true);
        assert_eq!(flight.held_arrival_ns(0, 1, 1_000), 1_101);
        assert_eq!(flight.arrival_ns(10, 0), 110);
    }

    #[test]
    fn the_end_of_time_is_the_latest_arrival() {
        let mut flight = flight(true);
        assert_eq!(flight.arrival_ns(u64::MAX, 1), u64::MAX);
        assert_eq!(flight.held_arrival_ns(0, 0, u64::MAX), u64::MAX);
    }
}
