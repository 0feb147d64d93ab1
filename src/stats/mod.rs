//! What the counts and stamps of a trial prove, and how surely: bounds, delays, jitter, skew.
//!
//! Pure arithmetic on what was measured: never reads a clock, never rounds a bound to its good
//! side, and never calls a line good: `verdict` does that.

#[cfg(feature = "driver")]
pub mod availability;
pub mod confidence;
pub mod delays;
pub mod growth;
pub mod jitter;
pub mod loss_bursts;
pub mod means;
pub mod one_way;
#[cfg(feature = "driver")]
pub mod round_trips;
pub mod skew;
#[cfg(feature = "driver")]
pub mod trend;

mod beta;

/// `count` as a real number: exact up to 2^53, and off by at most one part in 2^53 above.
#[expect(clippy::cast_precision_loss, reason = "one part in 2^53 is far below any bound's width")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// `difference` as a real number: exact within 2^53 of zero, one part in 2^53 off beyond.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days, no span within a trial")]
pub(crate) const fn signed_real(difference: i64) -> f64 {
    difference as f64
}

/// `number` as a count, its fraction dropped: 0 if below that or no number, `u64::MAX` if above.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what the doc promises"
)]
pub(crate) const fn count(number: f64) -> u64 {
    number as u64
}

/// `number` as a difference, its fraction dropped: the nearest end of `i64` if it is beyond.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as the doc promises")]
pub(crate) const fn difference(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_to_2_to_53_survive_the_way_through_real_numbers() {
        for value in [0, 1, 100_000_000_001, 1 << 53] {
            assert_eq!(count(real(value)), value);
        }
        assert_eq!(difference(signed_real(-(1 << 53))), -(1 << 53));
    }

    #[test]
    fn real_numbers_beyond_the_counts_saturate() {
        assert_eq!(count(-0.5), 0);
        assert_eq!(count(f64::NAN), 0);
        assert_eq!(count(2.9), 2);
        assert_eq!(count(1e30), u64::MAX);
        assert_eq!(difference(-1e30), i64::MIN);
        assert_eq!(difference(-2.9), -2);
    }
}
