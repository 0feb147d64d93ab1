//! Loss in its pattern: how many runs of consecutive losses there were, how long (RFC 3357), and
//! how they crowd.
//!
//! A burst that lets one packet through is two loss periods, which did not happen independently of
//! each other. So periods that are close together are counted as one, too: a **cluster** of reach g
//! holds losses of which each has less than g arrivals between itself and the next. The clusters of
//! reach 1 are the loss periods of RFC 3357, which alone are reported as such; a wider reach serves
//! [`bounds_of_loss`](super::confidence::bounds_of_loss). Never says where in a stream a loss was.

use super::real;

/// The reaches whose clusters are counted, each twice the one before: 1 is that of RFC 3357.
pub const REACHES: [u64; 5] = [1, 2, 4, 8, 16];

/// Loss periods of packets reported in the order of their sequence numbers: runs of losses, each as
/// long as it can be, and their clusters.
///
/// A run that is still open counts at its length so far. `r x r r x r x r x x` has the four periods
/// of 1, 1, 1 and 2 packets; of reach 2, it has two clusters, of 1 and 4 lost packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LossBursts {
    lost: u64,
    longest: u64,
    /// One for each of [`REACHES`].
    crowds: [Crowd; REACHES.len()],
    /// Arrivals since the newest loss, while any cluster is open; else 0.
    apart: u64,
}

/// The clusters of one reach.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Crowd {
    count: u64,
    sum_of_squares: u128,
    /// Lost packets of the cluster that the next loss would add to; 0 if that would begin another.
    open: u64,
}

/// How all that was lost falls into clusters of one reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clusters {
    /// How many there are.
    pub count: u64,
    /// Packets lost: the sum of what each of them lost, arrivals in between not counted.
    pub lost: u64,
    /// The sum of the squares of what each of them lost, in packets squared: an outage's does not
    /// fit `u64`.
    pub sum_of_squares: u128,
}

impl Clusters {
    /// Packets that a cluster lost on average, 1 or more; `None` if nothing was lost.
    #[must_use]
    pub fn mean_lost(&self) -> Option<f64> {
        (0 < self.count).then(|| real(self.lost) / real(self.count))
    }
}

impl LossBursts {
    /// From the numbers of a saved record, its last cluster closed; `None` unless they agree with
    /// one another.
    ///
    /// `wider` has count and sum of squares of the clusters of each of [`REACHES`] from 2 on; where
    /// it is empty, no period is near another. Beside what the numbers imply one of another,
    /// squares keep parity: each sum of them is odd exactly where `lost` is.
    #[must_use]
    pub fn from_parts(
        lost: u64,
        periods: u64,
        longest: u64,
        sum_of_squares: u128,
        wider: &[(u64, u128)],
    ) -> Option<Self> {
        let narrowest = Crowd { count: periods, sum_of_squares, open: 0 };
        let mut crowds = [narrowest; REACHES.len()];
        if !wider.is_empty() {
            if wider.len() != REACHES.len() - 1 {
                return None;
            }
            for (crowd, (count, sum_of_squares)) in crowds[1..].iter_mut().zip(wider) {
                *crowd = Crowd { count: *count, sum_of_squares: *sum_of_squares, open: 0 };
            }
        }
        let parts = Self { lost, longest, crowds, apart: 0 };
        parts.is_consistent().then_some(parts)
    }

    /// The next `packets` in sequence arrived: whatever run was open is closed by the first, and
    /// each cluster by as many as its reach.
    pub fn on_arrived(&mut self, packets: u64) {
        let [.., widest] = &self.crowds;
        if packets == 0 || widest.open == 0 {
            return;
        }
        self.apart = self.apart.saturating_add(packets);
        if REACHES[REACHES.len() - 1] <= self.apart {
            self.close();
            return;
        }
        for (crowd, reach) in self.crowds.iter_mut().zip(REACHES) {
            if reach <= self.apart {
                crowd.open = 0;
            }
        }
    }

    /// The next `packets` in sequence were lost: a run begins, or the open one goes on.
    pub fn on_lost(&mut self, packets: u64) {
        if packets == 0 {
            return;
        }
        self.apart = 0;
        self.lost = self.lost.saturating_add(packets);
        for crowd in &mut self.crowds {
            crowd.on_lost(packets);
        }
        let [run, ..] = &self.crowds;
        self.longest = self.longest.max(run.open);
    }

    /// Adds `packets` that were lost nobody knows where: each as a period and a cluster of its own,
    /// which is the least burstiness that they can have. Open runs are closed.
    pub fn add_scattered(&mut self, packets: u64) {
        let crowd = Crowd { count: packets, sum_of_squares: packets.into(), open: 0 };
        let crowds = [crowd; REACHES.len()];
        self.merge(&Self { lost: packets, longest: packets.min(1), crowds, apart: 0 });
    }

    /// The end of the stream: the next loss is another's, and begins a run and clusters of its own.
    pub fn close(&mut self) {
        self.apart = 0;
        for crowd in &mut self.crowds {
            crowd.open = 0;
        }
    }

    /// Adds what `other` saw elsewhere. Open runs of both are closed, so order and grouping of
    /// merges do not matter.
    pub fn merge(&mut self, other: &Self) {
        self.close();
        self.lost = self.lost.saturating_add(other.lost);
        self.longest = self.longest.max(other.longest);
        for (mine, theirs) in self.crowds.iter_mut().zip(&other.crowds) {
            mine.count = mine.count.saturating_add(theirs.count);
            mine.sum_of_squares = mine.sum_of_squares.saturating_add(theirs.sum_of_squares);
        }
    }

    /// Packets that were lost: the sum of all lengths.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How many runs there were.
    #[must_use]
    pub const fn bursts(&self) -> u64 {
        self.crowds[0].count
    }

    /// Packets of the longest run; 0 if nothing was lost.
    #[must_use]
    pub const fn longest(&self) -> u64 {
        self.longest
    }

    /// The sum of the squares of all lengths, in packets squared: an outage's does not fit `u64`.
    #[must_use]
    pub const fn sum_of_squares(&self) -> u128 {
        self.crowds[0].sum_of_squares
    }

    /// Packets of a run on average, 1 or more; `None` if nothing was lost.
    #[must_use]
    pub fn mean_length(&self) -> Option<f64> {
        self.clusters(1).mean_lost()
    }

    /// The clusters of the greatest of [`REACHES`] that is at most `reach`, and of 1 where none is:
    /// then they are the loss periods.
    #[must_use]
    pub fn clusters(&self, reach: u64) -> Clusters {
        let wider = REACHES.iter().rposition(|kept| *kept <= reach);
        let Crowd { count, sum_of_squares, .. } = self.crowds[wider.unwrap_or(0)];
        Clusters { count, lost: self.lost, sum_of_squares }
    }

    /// Each of [`REACHES`] from 2 on, with its clusters.
    pub fn wider(&self) -> impl Iterator<Item = (u64, Clusters)> {
        REACHES.into_iter().skip(1).map(|reach| (reach, self.clusters(reach)))
    }

    /// The pattern with `packets` fewer lost, taken from its periods and clusters in proportion:
    /// what would be left if that many had not been the line's.
    #[must_use]
    pub fn without(&self, packets: u64) -> Self {
        let lost = self.lost.saturating_sub(packets);
        if lost == 0 {
            return Self::default();
        }
        let left = |whole: u128| whole.saturating_mul(lost.into()) / u128::from(self.lost);
        let crowds = self.crowds.map(|crowd| Crowd {
            count: u64::try_from(left(crowd.count.into())).unwrap_or(lost).clamp(1, lost),
            sum_of_squares: left(crowd.sum_of_squares).max(lost.into()),
            open: 0,
        });
        Self { lost, longest: self.longest.min(lost), crowds, apart: 0 }
    }

    /// Whether lengths from 1 to `longest`, at least one of them `longest`, can have these sums,
    /// and their clusters theirs.
    fn is_consistent(&self) -> bool {
        if self.bursts() == 0 || self.longest == 0 {
            return *self == Self::default();
        }
        let others = u128::from(self.bursts() - 1);
        let longest = u128::from(self.longest);
        let Some(shared) = u128::from(self.lost).checked_sub(longest) else {
            return false;
        };
        if shared < others || others * longest < shared {
            return false;
        }
        let squares = longest * longest;
        let (least, most) = (evenly(shared, others), unevenly(shared, others, longest));
        squares + least <= self.sum_of_squares()
            && self.sum_of_squares() <= squares + most
            && self.crowds.iter().all(|crowd| crowd.has_parity_of(self.lost))
            && self.crowds.windows(2).all(|pair| pair[1].can_join(&pair[0], self.lost))
    }
}

impl Crowd {
    fn on_lost(&mut self, packets: u64) {
        if self.open == 0 {
            self.count = self.count.saturating_add(1);
        }
        let before = self.open;
        self.open = self.open.saturating_add(packets);
        let added = square(self.open) - square(before);
        self.sum_of_squares = self.sum_of_squares.saturating_add(added);
    }

    const fn has_parity_of(&self, lost: u64) -> bool {
        self.sum_of_squares.is_multiple_of(2) == lost.is_multiple_of(2)
    }

    /// Whether these can be clusters of `lost` packets that join those of `narrower`.
    fn can_join(&self, narrower: &Self, lost: u64) -> bool {
        if self.count == 0 || narrower.count < self.count {
            return false;
        }
        if self.count == narrower.count {
            return self.sum_of_squares == narrower.sum_of_squares;
        }
        // Each joint makes (a + b)^2 of a^2 + b^2, which is 2 more at least.
        let joints = u128::from(narrower.count - self.count);
        let (sum, parts) = (u128::from(lost), u128::from(self.count));
        narrower.sum_of_squares.saturating_add(2 * joints) <= self.sum_of_squares
            && evenly(sum, parts) <= self.sum_of_squares
            && self.sum_of_squares <= unevenly(sum, parts, sum - parts + 1)
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
    use proptest::prelude::*;

    #[test]
    fn a_pattern_without_some_of_its_losses_keeps_their_burstiness() {
        let mut periods = LossBursts::default();
        (0..4).for_each(|_| {
            periods.on_lost(5);
            periods.on_arrived(3);
        });
        let half = periods.without(10);
        assert_eq!((half.lost(), half.bursts(), half.sum_of_squares()), (10, 2, 50));
        // All four are one cluster of reach 4: of its 20 packets, half stays.
        assert_eq!(half.clusters(4), Clusters { count: 1, lost: 10, sum_of_squares: 200 });
        assert_eq!(periods.without(20), LossBursts::default());
        assert_eq!(periods.without(0).lost(), 20);
    }

    #[test]
    fn half_an_outage_keeps_half_its_squares_beyond_64_bit() {
        let mut periods = LossBursts::default();
        periods.on_lost(100_000_000_000);
        let half = periods.without(50_000_000_000);
        assert_eq!(half.sum_of_squares(), 5 * 10_u128.pow(21));
        assert_eq!(half.clusters(16).sum_of_squares, 5 * 10_u128.pow(21));
    }

    /// The periods of a pattern: `r` arrived, `x` lost.
    fn periods(pattern: &str) -> LossBursts {
        let mut periods = LossBursts::default();
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
    fn merged(mut left: LossBursts, right: LossBursts) -> LossBursts {
        left.merge(&right);
        left
    }

    /// Count and sum of squares of the clusters of `reach`, the plain way: each loss against the
    /// one before.
    fn plainly(pattern: &str, reach: usize) -> (u64, u128) {
        let mut clusters: Vec<u128> = Vec::new();
        let mut newest = None;
        for (place, _) in pattern.match_indices('x') {
            match (newest, clusters.last_mut()) {
                (Some(newest), Some(cluster)) if place - newest - 1 < reach => *cluster += 1,
                _ => clusters.push(1),
            }
            newest = Some(place);
        }
        (clusters.len() as u64, clusters.iter().map(|lost| lost * lost).sum())
    }

    fn from_parts_of(periods: &LossBursts) -> Option<LossBursts> {
        let wider = periods.wider().map(|(_, clusters)| (clusters.count, clusters.sum_of_squares));
        let wider: Vec<_> = wider.collect();
        let (lost, count, longest) = (periods.lost(), periods.bursts(), periods.longest());
        LossBursts::from_parts(lost, count, longest, periods.sum_of_squares(), &wider)
    }

    /// Count and sum of squares of the clusters of each reach.
    #[track_caller]
    fn check_clusters(periods: LossBursts, expected: [(u64, u128); REACHES.len()]) {
        for (reach, (count, sum_of_squares)) in REACHES.into_iter().zip(expected) {
            let lost = periods.lost();
            let expected = Clusters { count, lost, sum_of_squares };
            assert_eq!(periods.clusters(reach), expected, "reach {reach}");
        }
    }

    #[track_caller]
    fn check(periods: LossBursts, lost: u64, count: u64, longest: u64, sum_of_squares: u128) {
        assert_eq!(periods.lost(), lost, "lost");
        assert_eq!(periods.bursts(), count, "periods");
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
    fn losses_added_in_one_number_are_one_run() {
        let mut bursts = LossBursts::default();
        bursts.on_lost(2);
        bursts.on_arrived(0);
        bursts.on_lost(3);
        bursts.on_lost(0);
        check(bursts, 5, 1, 5, 25);
        bursts.on_arrived(7);
        bursts.on_lost(1);
        check(bursts, 6, 2, 5, 26);
    }

    #[test]
    fn an_outage_of_10_to_11_packets_is_exact() {
        let mut periods = LossBursts::default();
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
    fn a_cluster_joins_losses_with_fewer_arrivals_between_than_its_reach() {
        check_clusters(periods("rxrrxrxrxx"), [(4, 7), (2, 17), (1, 25), (1, 25), (1, 25)]);
        for (arrivals, counts) in [
            (1, [2, 1, 1, 1, 1]),
            (2, [2, 2, 1, 1, 1]),
            (3, [2, 2, 1, 1, 1]),
            (4, [2, 2, 2, 1, 1]),
            (7, [2, 2, 2, 1, 1]),
            (8, [2, 2, 2, 2, 1]),
            (15, [2, 2, 2, 2, 1]),
            (16, [2, 2, 2, 2, 2]),
        ] {
            let mut bursts = LossBursts::default();
            bursts.on_lost(3);
            bursts.on_arrived(arrivals);
            bursts.on_lost(2);
            check_clusters(bursts, counts.map(|count| (count, if count == 1 { 25 } else { 13 })));
        }
    }

    #[test]
    fn clusters_are_of_the_greatest_reach_that_is_kept_and_not_exceeded() {
        let periods = periods("xrxrrx");
        for (reach, count) in [(0, 3), (1, 3), (2, 2), (3, 2), (4, 1), (16, 1), (u64::MAX, 1)] {
            assert_eq!(periods.clusters(reach).count, count, "reach {reach}");
        }
        assert_eq!(periods.clusters(2).mean_lost(), Some(1.5));
        assert_eq!(LossBursts::default().clusters(2).mean_lost(), None);
    }

    #[test]
    fn a_merge_closes_open_clusters() {
        let mut merged = periods("xrx");
        merged.merge(&periods("xrx"));
        merged.on_lost(1);
        check_clusters(merged, [(5, 5), (3, 9), (3, 9), (3, 9), (3, 9)]);
    }

    #[test]
    fn the_end_of_a_stream_closes_open_clusters() {
        let mut closed = periods("xrx");
        closed.close();
        closed.on_lost(1);
        check_clusters(closed, [(3, 3), (2, 5), (2, 5), (2, 5), (2, 5)]);
    }

    #[test]
    fn scattered_losses_are_in_no_ones_cluster() {
        let mut periods = periods("xrx");
        periods.add_scattered(3);
        periods.on_lost(1);
        check_clusters(periods, [(6, 6), (5, 8), (5, 8), (5, 8), (5, 8)]);
        check(periods, 6, 6, 1, 6);
        let mut nothing = LossBursts::default();
        nothing.add_scattered(0);
        assert_eq!(nothing, LossBursts::default());
        nothing.add_scattered(u64::MAX);
        assert_eq!(from_parts_of(&nothing), Some(nothing));
    }

    #[test]
    fn parts_without_clusters_are_periods_apart_from_each_other() {
        let parts = LossBursts::from_parts(5, 4, 2, 7, &[]);
        check_clusters(parts.expect("a pattern"), [(4, 7); 5]);
    }

    #[test]
    fn clusters_that_no_pattern_has_are_refused() {
        let bursts = |wider: &[(u64, u128)]| LossBursts::from_parts(5, 4, 2, 7, wider);
        assert!(bursts(&[(2, 17), (1, 25), (1, 25), (1, 25)]).is_some());
        assert!(bursts(&[(4, 7), (4, 7), (3, 9), (2, 17)]).is_some());
        for wider in [
            &[(2, 17), (1, 25), (1, 25)][..],               // one too few
            &[(2, 17), (1, 25), (1, 25), (1, 25), (1, 25)], // one too many
            &[(5, 7), (4, 7), (4, 7), (4, 7)],              // more clusters than periods
            &[(2, 17), (3, 17), (1, 25), (1, 25)],          // a wider reach parts again
            &[(4, 9), (4, 9), (4, 9), (4, 9)],              // nothing joined, squares changed
            &[(3, 7), (3, 7), (3, 7), (3, 7)],              // joined, squares did not change
            &[(2, 17), (2, 13), (1, 25), (1, 25)],          // squares fall
            &[(2, 11), (2, 11), (2, 11), (2, 11)],          // two of 5 have squares of 13 at least
            &[(2, 19), (1, 25), (1, 25), (1, 25)],          // and of 17 at most
            &[(3, 10), (2, 17), (1, 25), (1, 25)],          // even squares of an odd sum
            &[(0, 0), (0, 0), (0, 0), (0, 0)],              // losses in no cluster
            &[(0, u128::MAX); 4],
            &[(1, u128::MAX); 4],
        ] {
            assert_eq!(bursts(wider), None, "{wider:?} was taken");
        }
        let nothing = |wider| LossBursts::from_parts(0, 0, 0, 0, wider);
        assert_eq!(nothing(&[(0, 0); 4]), Some(LossBursts::default()));
        assert_eq!(nothing(&[(1, 0); 4]), None);
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
            let parts = LossBursts::from_parts(lost, count, longest, squares, &[]);
            assert_eq!(parts, None, "{lost} {count} {longest} {squares} was taken");
        }
        assert!(LossBursts::from_parts(6, 3, 3, 14, &[]).is_some());
        let dead = LossBursts::from_parts(u64::MAX, 1, u64::MAX, square(u64::MAX), &[]);
        assert!(dead.is_some());
    }

    proptest! {
        #[test]
        fn every_pattern_survives_its_parts(pattern in "[rx]{0,60}") {
            let mut periods = periods(&pattern);
            periods.close();
            prop_assert_eq!(from_parts_of(&periods), Some(periods));
        }

        #[test]
        fn clusters_are_those_of_the_plain_way(pattern in "(x{1,3}r{0,20}){0,9}") {
            for reach in [1, 2, 4, 8, 16] {
                let clusters = periods(&pattern).clusters(reach as u64);
                let bursts = (clusters.count, clusters.sum_of_squares);
                prop_assert_eq!(bursts, plainly(&pattern, reach), "reach {}", reach);
            }
        }

        #[test]
        fn packets_added_together_are_those_added_one_by_one(
            runs in prop::collection::vec((0_u64..20, 0_u64..4), 0..9),
        ) {
            let (mut together, mut one_by_one) = (LossBursts::default(), LossBursts::default());
            for (arrived, lost) in runs {
                together.on_arrived(arrived);
                together.on_lost(lost);
                (0..arrived).for_each(|_| one_by_one.on_arrived(1));
                (0..lost).for_each(|_| one_by_one.on_lost(1));
            }
            prop_assert_eq!(together, one_by_one);
        }

        #[test]
        fn merges_commute_and_associate(a in "[rx]{0,9}", b in "[rx]{0,9}", c in "[rx]{0,9}") {
            let (a, b, c) = (periods(&a), periods(&b), periods(&c));
            prop_assert_eq!(merged(a, b), merged(b, a));
            prop_assert_eq!(merged(merged(a, b), c), merged(a, merged(b, c)));
        }

        #[test]
        fn no_parts_panic(
            lost: u64,
            count: u64,
            longest: u64,
            squares: u128,
            wider: [(u64, u128); REACHES.len() - 1],
        ) {
            let _ = LossBursts::from_parts(lost, count, longest, squares, &wider);
            let _ = LossBursts::from_parts(lost, 1, lost, square(lost), &wider);
        }
    }
}
