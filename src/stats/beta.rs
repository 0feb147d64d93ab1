//! The beta distribution with real parameters: the exact law behind every binomial bound.
//!
//! If X has the law Beta(a, b), let s be its log-odds, counted from their mode ln(a / b). The
//! density of s is proportional to exp(g(s)), where
//!
//! ```text
//! g(s) = a s - (a + b) ln(1 + a / (a + b) (e^s - 1))     g(0) = 0, the greatest; g is concave
//! ```
//!
//! Both tails fall at least exponentially, so the double-exponential rule (Takahasi and Mori, 1974)
//! integrates them, and the whole, in [`NODES`] points for any a and b. Neither textbook way goes
//! as far: log-gamma has lost four digits after the point at 1e11, and the continued fraction takes
//! of the order of sqrt(a) steps. Never used with a or b below 1.

/// Points of one integral: 1/16 apart from -3.375 to 3.75, beyond which lies less than 1e-13 of it.
/// Twice as far apart, the bounds after a single loss would lose four digits.
const NODES: usize = 115;
const NODE_FIRST: f64 = -3.375;
const NODE_STEP: f64 = 1.0 / 16.0;

/// Newton's steps at most. Five do: the logarithm of a tail is concave, so from the second step on
/// they come from one side, without overshooting.
const STEPS_MAX: usize = 60;

/// Stop when a step is this small against the width of the distribution: the error left is the
/// step's square.
const STEP_MIN: f64 = 1e-7;

/// The law Beta(a, b), ready for questions about its tails.
#[derive(Clone, Debug)]
pub(super) struct Beta {
    a: f64,
    b: f64,
    /// Places and weights of the rule for an integral from 0 to infinity.
    nodes: [(f64, f64); NODES],
    /// The integral of exp(g) over all s.
    whole: f64,
}

impl Beta {
    /// The law with the parameters `a` and `b`.
    ///
    /// # Panics
    ///
    /// Panics if either is below 1 or no number: the caller's counts are wrong.
    pub(super) fn new(a: f64, b: f64) -> Self {
        assert!(1.0 <= a && 1.0 <= b, "no bound needs Beta({a}, {b})");
        let mut place = NODE_FIRST;
        let nodes = [(); NODES].map(|()| {
            let fall = (-place).exp();
            let node = (place - fall).exp();
            place += NODE_STEP;
            (node, NODE_STEP * (1.0 + fall) * node)
        });
        let half = Self { a, b, nodes, whole: 1.0 };
        let whole = half.fall(0.0) + half.mirror().fall(0.0);
        Self { whole, ..half }
    }

    /// P(X > p), for p in (0, 1).
    pub(super) fn above(&self, p: f64) -> f64 {
        let s = (p / (1.0 - p) * (self.b / self.a)).ln();
        if 0.0 <= s { self.tail(s) } else { 1.0 - self.mirror().tail(-s) }
    }

    /// The p with P(X > p) = `alpha`, for `alpha` in (0, 0.5).
    pub(super) fn upper(&self, alpha: f64) -> f64 {
        self.p_at(self.quantile(alpha))
    }

    /// The p with P(X < p) = `alpha`, for `alpha` in (0, 0.5).
    pub(super) fn lower(&self, alpha: f64) -> f64 {
        self.p_at(-self.mirror().quantile(alpha))
    }

    /// The law of 1 - X: its tail above s is this one's below -s.
    fn mirror(&self) -> Self {
        Self { a: self.b, b: self.a, ..*self }
    }

    /// The s with a tail of `alpha` above it.
    fn quantile(&self, alpha: f64) -> f64 {
        let width = (1.0 / self.a + 1.0 / self.b).sqrt();
        let target = (alpha * self.whole).ln();
        // Where a normal tail is below `alpha` for sure: exp(-z^2 / 2) / 2 bounds it.
        let mut s = width * (-2.0 * (2.0 * alpha).ln()).sqrt();
        for _ in 0..STEPS_MAX {
            let fall = self.fall(s);
            let step = (self.exponent(s) + fall.ln() - target) * fall;
            s += step;
            if step.abs() <= STEP_MIN * width {
                break;
            }
        }
        s
    }

    /// The share of the distribution above `s`, which is 0 or more.
    fn tail(&self, s: f64) -> f64 {
        self.exponent(s).exp() * self.fall(s) / self.whole
    }

    /// The integral of exp(g(r) - g(s)) over all r above `s`: scaled, so that it can't underflow.
    fn fall(&self, s: f64) -> f64 {
        let (p, rest) = (self.p_at(s), self.mirror().p_at(-s));
        let slope = self.a * rest - self.b * p;
        let curvature = (self.a + self.b) * p * rest;
        let scale = 1.0 / (slope.abs() + curvature.sqrt());
        let peak = self.exponent(s);
        let sum = self.nodes.iter().fold(0.0, |sum, (place, weight)| {
            sum + weight * (self.exponent(s + scale * place) - peak).exp()
        });
        scale * sum
    }

    /// g(s). Where a > b, as the mirrored law sees it: 1 - a / (a + b) would cancel.
    fn exponent(&self, s: f64) -> f64 {
        let (a, b, s) = if self.a <= self.b { (self.a, self.b, s) } else { (self.b, self.a, -s) };
        a * s - (a + b) * (a / (a + b) * s.exp_m1()).ln_1p()
    }

    /// The probability that has these log-odds.
    fn p_at(&self, s: f64) -> f64 {
        1.0 / (1.0 + self.b / self.a * (-s).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference is mpmath, 40 digits.
    #[track_caller]
    fn check(actual: f64, expected: f64, tolerance: f64) {
        let error = (actual / expected - 1.0).abs();
        assert!(error <= tolerance, "{actual:e} is {error:e} off {expected:e}");
    }

    #[test]
    fn a_uniform_law_has_straight_tails() {
        let uniform = Beta::new(1.0, 1.0);
        for p in [1e-9, 0.05, 0.3, 0.5, 0.7, 0.95] {
            check(uniform.above(p), 1.0 - p, 1e-12);
        }
        check(uniform.upper(0.05), 0.95, 1e-12);
        check(uniform.lower(0.05), 0.05, 1e-12);
    }

    #[test]
    fn a_power_law_has_its_closed_form() {
        for b in [2.0_f64, 17.5, 1e4, 1e11] {
            let p = 3.0 / b.max(6.0);
            check(Beta::new(1.0, b).above(p), (b * (-p).ln_1p()).exp(), 1e-11);
            check(Beta::new(1.0, b).upper(0.05), -(0.05_f64.ln() / b).exp_m1(), 1e-11);
            check(Beta::new(1.0, b).upper(0.49), -(0.49_f64.ln() / b).exp_m1(), 1e-11);
            check(Beta::new(1.0, b).lower(0.05), -(0.95_f64.ln() / b).exp_m1(), 1e-11);
            check(Beta::new(b, 1.0).lower(0.05), (0.05_f64.ln() / b).exp(), 1e-11);
        }
    }

    #[test]
    fn a_bound_given_back_has_its_tail() {
        for (a, b) in [(1.0, 3.5), (4.0, 1e11), (1e3, 1e3), (1e9, 1e11), (5e10, 5e10), (1e4, 7.25)]
        {
            for alpha in [0.4999, 0.05, 1e-3, 1e-12] {
                let law = Beta::new(a, b);
                check(law.above(law.upper(alpha)), alpha, 1e-9);
                let low = law.lower(alpha);
                let s = (low / (1.0 - low) * (b / a)).ln();
                check(law.mirror().tail(-s), alpha, 1e-9);
            }
        }
    }

    #[test]
    fn real_parameters_have_the_tails_of_forty_digits() {
        for (a, b, p, above) in [
            (1.2, 9.7, 0.25, 0.084_645_390_378_842_33),
            (2.5, 7.25, 0.3, 0.339_517_726_418_092_75),
            (1.75, 1e6, 3e-6, 0.152_438_635_191_779_83),
            (800.3, 1_200.9, 0.37, 0.997_052_929_766_957_7),
            (40.5, 1.5, 0.9, 0.964_669_356_482_328),
        ] {
            check(Beta::new(a, b).above(p), above, 1e-12);
        }
    }

    #[test]
    #[should_panic(expected = "no bound needs Beta(0.5, 2)")]
    fn a_parameter_below_one_is_the_callers_error() {
        let _ = Beta::new(0.5, 2.0);
    }
}
