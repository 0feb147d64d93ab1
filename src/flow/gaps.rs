//! Times in which nothing arrived, of one stream and of several together: what outages are made of.

use crate::units::Span;

/// The shortest time without an arrival that is kept.
pub(super) const GAP_MIN: Span = Span::from_millis(50);

/// The most gaps of one stream that are kept; the shortest give way to longer ones.
const GAPS_MAX: usize = 4_096;

/// A time in which nothing arrived, in nanoseconds of the receiver's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The last arrival before.
    pub start_ns: u64,
    /// The next arrival.
    pub end_ns: u64,
    /// Packets that were sent in it and never came, or came behind later ones.
    pub packets: u64,
    /// Whether anything was sent in it: without that, the silence is the sender's, not the line's.
    pub offered: bool,
}

impl Gap {
    /// How long it lasted.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span::from_nanos(self.end_ns.saturating_sub(self.start_ns))
    }
}

/// The gaps of a stream, or the gaps that several streams have in common; ordered, apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// From saved gaps, which must be ordered and apart.
    #[must_use]
    pub fn from_vec(gaps: Vec<Gap>) -> Option<Self> {
        let forward = gaps.iter().all(|gap| gap.start_ns <= gap.end_ns);
        let apart = gaps.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns);
        (forward && apart && gaps.len() <= GAPS_MAX).then_some(Self(gaps))
    }

    /// The gaps, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Gap] {
        &self.0
    }

    /// Adds a gap that comes behind the others; one shorter than [`GAP_MIN`] is none.
    pub(super) fn push(&mut self, gap: Gap) {
        if gap.span() < GAP_MIN {
            return;
        }
        if self.0.len() == GAPS_MAX {
            let shortest = self.0.iter().enumerate().min_by_key(|(_, gap)| gap.span());
            let place = shortest.map_or(0, |(place, _)| place);
            self.0.remove(place);
        }
        self.0.push(gap);
    }

    /// The times in which neither stream had an arrival; something was offered where either
    /// stream offered something.
    #[must_use]
    pub fn in_common_with(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let (start_ns, end_ns) = (a.start_ns.max(b.start_ns), a.end_ns.min(b.end_ns));
            if start_ns < end_ns {
                let packets = within(a, start_ns, end_ns) + within(b, start_ns, end_ns);
                common.push(Gap { start_ns, end_ns, packets, offered: a.offered || b.offered });
            }
            if a.end_ns < b.end_ns {
                mine.next()
            } else {
                theirs.next()
            };
        }
        Self(common)
    }

    /// Outages: gaps of at least `least` in which something was offered.
    pub fn outages(&self, least: Span) -> impl Iterator<Item = &Gap> {
        self.0.iter().filter(move |gap| gap.offered && least <= gap.span())
    }
}

/// The packets of `gap` that fall to a part of it: they are taken to stand at even distances from
/// its ends and each other, so that nothing is counted twice where a long gap meets several short
/// ones, and one that is a moment shorter has them all.
fn within(gap: &Gap, start_ns: u64, end_ns: u64) -> u64 {
    let span = u128::from(gap.span().nanos().max(1));
    let before = |at_ns: u64| {
        let distance = u128::from(at_ns.saturating_sub(gap.start_ns));
        let reached = (distance * (u128::from(gap.packets) + 1)).div_ceil(span);
        u64::try_from(reached.saturating_sub(1)).unwrap_or(u64::MAX).min(gap.packets)
    };
    before(end_ns) - before(start_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn gaps(list: &[(u64, u64, u64, bool)]) -> Gaps {
        let mut gaps = Gaps::default();
        for (start, end, packets, offered) in list.iter().copied() {
            gaps.push(Gap { start_ns: start * MS, end_ns: end * MS, packets, offered });
        }
        gaps
    }

    #[test]
    fn an_outage_is_where_no_stream_had_an_arrival() {
        let load = gaps(&[(100, 400, 30, true), (1_000, 1_100, 10, true)]);
        let probes = gaps(&[(90, 390, 29, true)]);
        let common = load.in_common_with(&probes);
        let outages: Vec<_> = common.outages(GAP_MIN).copied().collect();
        // Of the load, the 30th of 30 stands at 390.3 ms; of the probes, the first at 100 ms.
        let packets = 29 + 29;
        let outage = Gap { start_ns: 100 * MS, end_ns: 390 * MS, packets, offered: true };
        assert_eq!(outages, [outage]);
        assert_eq!(probes.in_common_with(&load), common);
    }

    #[test]
    fn parts_of_a_gap_have_all_its_packets_and_none_twice() {
        let load = gaps(&[(0, 500, 850, true)]);
        let parts = gaps(&[(0, 60, 0, true), (60, 490, 0, true), (490, 500, 0, true)]);
        let packets: Vec<u64> =
            load.in_common_with(&parts).as_slice().iter().map(|gap| gap.packets).collect();
        // 851 distances of 0.5875 ms: the 102nd packet stands at 59.9 ms, the 833rd at 489.4.
        assert_eq!(packets, [102, 731]);
        assert_eq!(load.in_common_with(&gaps(&[(2, 499, 0, true)])).as_slice()[0].packets, 846);
    }

    #[test]
    fn a_pause_of_the_load_does_not_end_an_outage_that_probes_see() {
        let load = gaps(&[(100, 3_100, 0, false)]);
        let probes = gaps(&[(95, 3_095, 300, true)]);
        let common = load.in_common_with(&probes);
        assert_eq!(common.outages(GAP_MIN).map(Gap::span).collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn a_silent_sender_is_no_outage() {
        let load = gaps(&[(100, 400, 0, false)]);
        let probes = gaps(&[(100, 400, 0, false)]);
        assert_eq!(load.in_common_with(&probes).outages(GAP_MIN).count(), 0);
    }

    #[test]
    fn a_gap_below_fifty_milliseconds_is_none() {
        assert_eq!(gaps(&[(0, 49, 1, true)]), Gaps::default());
        assert_eq!(gaps(&[(0, 50, 1, true)]).as_slice().len(), 1);
    }

    #[test]
    fn what_overlaps_is_no_saved_list() {
        let gap = |start_ns, end_ns| Gap { start_ns, end_ns, packets: 0, offered: true };
        assert!(Gaps::from_vec(vec![gap(0, 10), gap(10, 20)]).is_some());
        assert!(Gaps::from_vec(vec![gap(0, 11), gap(10, 20)]).is_none());
        assert!(Gaps::from_vec(vec![gap(2, 1)]).is_none());
    }
}
