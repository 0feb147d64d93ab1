//! Loss in its pattern: how many runs of consecutive losses there were, and how long (RFC 3357).

/// Loss periods of packets told in the order of their sequence numbers: runs of losses, each as
/// long as it can be.
///
/// A run that is still open counts at its length so far. `r x r r x r x r x x` has the four periods
/// of 1, 1, 1 and 2 packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LossPeriods {
    lost: u64,
    periods: u64,
    longest: u64,
    sum_of_squares: u128,
    /// Length of the run that the next loss makes longer; 0 after an arrival.
    open: u64,
}

impl LossPeriods {
    /// From the numbers of a saved record, its last run closed; `None` unless some pattern has
    /// them.
    ///
    /// Beside what the four numbers imply one of another, squares keep parity: `sum_of_squares` is
    /// odd exactly where `lost` is.
    #[must_use]
    pub fn from_parts(lost: u64, periods: u64, longest: u64, sum_of_squares: u128) -> Option<Self> {
        let parts = Self { lost, periods, longest, sum_of_squares, open: 0 };
        parts.is_consistent().then_some(parts)
    }

    /// The next `packets` in sequence arrived: whatever run was open is closed by the first.
    pub const fn on_arrived(&mut self, packets: u64) {
        if 0 < packets {
            self.open = 0;
        }
    }

    /// The next `packets` in sequence were lost: a run begins, or the open one goes on.
    pub fn on_lost(&mut self, packets: u64) {
        if packets == 0 {
            return;
        }
        if self.open == 0 {
            self.periods = self.periods.saturating_add(1);
        }
        let before = self.open;
        self.open = self.open.saturating_add(packets);
        self.lost = self.lost.saturating_add(packets);
        self.longest = self.longest.max(self.open);
        self.sum_of_squares =
            self.sum_of_squares.saturating_add(square(self.open) - square(before));
    }

    /// Adds what `other` saw elsewhere. Open runs of both are closed, so order and grouping of
    /// merges do not matter.
    pub fn merge(&mut self, other: &Self) {
        self.lost = self.lost.saturating_add(other.lost);
        self.periods = self.periods.saturating_add(other.periods);
        self.longest = self.longest.max(other.longest);
        self.sum_of_squares = self.sum_of_squares.saturating_add(other.sum_of_squares);
        self.open = 0;
    }

    /// Packets that were lost: the sum of all lengths.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How many runs there were.
    #[must_use]
    pub const fn periods(&self) -> u64 {
        self.periods
    }

    /// Packets of the longest run; 0 if nothing was lost.
    #[must_use]
    pub const fn longest(&self) -> u64 {
        self.longest
    }

    /// The sum of the squares of all lengths, in packets squared: an outage's does not fit `u64`.
    #[must_use]
    pub const fn sum_of_squares(&self) -> u128 {
        self.sum_of_squares
    }

    /// Packets of a run on average, 1 or more; `None` if nothing was lost.
    #[must_use]
    pub fn mean_length(&self) -> Option<f64> {
        (0 < self.periods).then(|| super::real(self.lost) / super::real(self.periods))
    }

    /// The pattern with `packets` fewer lost, taken from its periods in proportion: what would be
    /// left if that many had not been the line's.
    #[must_use]
    pub fn without(&self, packets: u64) -> Self {
        let lost = self.lost.saturating_sub(packets);
        if lost == 0 {
            return Self::default();
        }
        let left = |whole: u128| {
            let part = whole.saturating_mul(u128::from(lost)) / u128::from(self.lost);
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        Self {
            lost,
            periods: left(self.periods.into()).clamp(1, lost),
            longest: self.longest.min(lost),
            sum_of_squares: u128::from(left(self.sum_of_squares)).max(lost.into()),
            open: 0,
        }
    }

    /// Whether lengths from 1 to `longest`, at least one of them `longest`, can have these sums.
    fn is_consistent(&self) -> bool {
        if self.periods == 0 || self.longest == 0 {
            return *self == Self::default();
        }
        let others = u128::from(self.periods - 1);
        let longest = u128::from(self.longest);
        let Some(shared) = u128::from(self.lost).checked_sub(longest) else {
            return false;
        };
        if shared < others || others * longest < shared {
            return false;
        }
        let squares = longest * longest;
        let (least, most) = (evenly(shared, others), unevenly(shared, others, longest));
        squares + least <= self.sum_of_squares
            && self.sum_of_squares <= squares + most
            && self.sum_of_squares % 2 == u128::from(self.lost % 2)
    }
}

fn square(length: u64) -> u128 {
    u128::from(length) * u128::from(length)
}

/// The least sum of squares of `parts` lengths whose sum is `sum`: all within 1 of each other.
fn evenly(sum: u128, parts: u128) -> u128 {
    if parts == 0 {
        return 0;
    }
    let (length, longer) = (sum / parts, sum % parts);
    (parts - longer) * length * length + longer * (length + 1) * (length + 1)
}

/// The greatest sum of squares of `parts` lengths from 1 to `longest` whose sum is `sum`: as many
/// of `longest` as fit, one between, the others 1.
fn unevenly(sum: u128, parts: u128, longest: u128) -> u128 {
    if longest == 1 {
        return parts;
    }
    let (full, over) = ((sum - parts) / (longest - 1), (sum - parts) % (longest - 1));
    // 1 for each of the others; the one between adds (1 + over)^2 - 1.
    full * longest * longest + (parts - full) + over * (over + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_without_some_of_its_losses_keeps_their_burstiness() {
        let mut periods = LossPeriods::default();
        (0..4).for_each(|_| {
            periods.on_lost(5);
            periods.on_arrived(1);
        });
        let half = periods.without(10);
        assert_eq!((half.lost(), half.periods(), half.sum_of_squares()), (10, 2, 50));
        assert_eq!(periods.without(20), LossPeriods::default());
        assert_eq!(periods.without(0).lost(), 20);
    }
    use proptest::prelude::*;

    /// The periods of a pattern: `r` arrived, `x` lost.
    fn periods(pattern: &str) -> LossPeriods {
        let mut periods = LossPeriods::default();
        for packet in pattern.chars() {
            match packet {
                'x' => periods.on_lost(1),
                _ => periods.on_arrived(1),
            }
        }
        periods
    }

    /// Not a closure: rustc 1.95 at opt-level 1 shares a closure's arguments with its caller
    /// (rust-lang/rust#155241), and merges twice.
    fn merged(mut left: LossPeriods, right: LossPeriods) -> LossPeriods {
        left.merge(&right);
        left
    }

    #[track_caller]
    fn check(periods: LossPeriods, lost: u64, count: u64, longest: u64, sum_of_squares: u128) {
        assert_eq!(periods.lost(), lost, "lost");
        assert_eq!(periods.periods(), count, "periods");
        assert_eq!(periods.longest(), longest, "longest");
        assert_eq!(periods.sum_of_squares(), sum_of_squares, "sum of squares");
    }

    #[test]
    fn the_stream_of_the_rfc_has_its_four_periods() {
        check(periods("rxrrxrxrxx"), 5, 4, 2, 7);
        assert_eq!(periods("rxrrxrxrxx").mean_length(), Some(1.25));
    }

    #[test]
    fn nothing_lost_has_no_periods_and_no_mean() {
        check(periods(""), 0, 0, 0, 0);
        check(periods("rrr"), 0, 0, 0, 0);
        assert_eq!(periods("rrr").mean_length(), None);
    }

    #[test]
    fn an_open_run_counts_at_its_length_so_far() {
        check(periods("rx"), 1, 1, 1, 1);
        check(periods("rxx"), 2, 1, 2, 4);
        check(periods("rxxx"), 3, 1, 3, 9);
    }

    #[test]
    fn losses_told_in_one_number_are_one_run() {
        let mut told = LossPeriods::default();
        told.on_lost(2);
        told.on_arrived(0);
        told.on_lost(3);
        told.on_lost(0);
        check(told, 5, 1, 5, 25);
        told.on_arrived(7);
        told.on_lost(1);
        check(told, 6, 2, 5, 26);
    }

    #[test]
    fn an_outage_of_10_to_11_packets_is_exact() {
        let mut periods = LossPeriods::default();
        periods.on_lost(100_000_000_000);
        check(periods, 100_000_000_000, 1, 100_000_000_000, 10_u128.pow(22));
    }

    #[test]
    fn a_merge_closes_open_runs() {
        let mut merged = periods("rxx");
        merged.merge(&periods("xr"));
        merged.on_lost(1);
        check(merged, 4, 3, 2, 6);
    }

    #[test]
    fn parts_that_no_pattern_has_are_refused() {
        for (lost, count, longest, squares) in [
            (0, 0, 0, 1),  // squares of nothing
            (0, 1, 0, 0),  // a period without a loss
            (1, 0, 0, 0),  // a loss without a period
            (3, 4, 1, 3),  // more periods than losses
            (5, 2, 5, 25), // the longest leaves nothing for the other
            (7, 2, 3, 18), // two of at most 3 are not 7
            (5, 4, 2, 9),  // the squares of 1 1 1 2 are 7
            (6, 3, 3, 12), // only 2 2 2 has these squares
            (6, 3, 3, 13), // odd squares of an even sum
            (u64::MAX, u64::MAX, u64::MAX, u128::MAX),
        ] {
            let parts = LossPeriods::from_parts(lost, count, longest, squares);
            assert_eq!(parts, None, "{lost} {count} {longest} {squares} was taken");
        }
        assert!(LossPeriods::from_parts(6, 3, 3, 14).is_some());
        assert!(LossPeriods::from_parts(u64::MAX, 1, u64::MAX, square(u64::MAX)).is_some());
    }

    proptest! {
        #[test]
        fn every_pattern_survives_its_parts(pattern in "[rx]{0,60}r") {
            let p = periods(&pattern);
            let parts =
                LossPeriods::from_parts(p.lost(), p.periods(), p.longest(), p.sum_of_squares());
            prop_assert_eq!(parts, Some(p));
        }

        #[test]
        fn merges_commute_and_associate(a in "[rx]{0,9}", b in "[rx]{0,9}", c in "[rx]{0,9}") {
            let (a, b, c) = (periods(&a), periods(&b), periods(&c));
            prop_assert_eq!(merged(a, b), merged(b, a));
            prop_assert_eq!(merged(merged(a, b), c), merged(a, merged(b, c)));
        }

        #[test]
        fn no_parts_panic(lost: u64, count: u64, longest: u64, squares: u128) {
            let _ = LossPeriods::from_parts(lost, count, longest, squares);
        }
    }
}
