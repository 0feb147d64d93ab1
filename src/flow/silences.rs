//! Times in which nothing arrived, of one stream and of several together: what outages are made of.

use crate::units::Span;

/// The shortest time without an arrival that is kept.
pub(super) const GAP_MIN: Span = Span::from_millis(50);

/// The most gaps of one stream that are kept; the shortest give way to longer ones.
const GAPS_MAX: usize = 4_096;

/// A time in which nothing arrived, in nanoseconds of the receiver's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Silence {
    /// The last arrival before.
    pub start_ns: u64,
    /// The next arrival.
    pub end_ns: u64,
    /// Packets that were sent in it and never came, or came too late.
    pub packets: u64,
    /// Whether anything was sent in it: without that, the silence is the sender's, not the line's.
    pub offered: bool,
}

impl Silence {
    /// How long it lasted.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span::from_nanos(self.end_ns.saturating_sub(self.start_ns))
    }
}

/// The gaps of a stream, or the gaps that several streams have in common; ordered, apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Silences(Vec<Silence>);

impl Silences {
    /// From saved gaps, which must be ordered and apart.
    #[must_use]
    pub fn from_vec(gaps: Vec<Silence>) -> Option<Self> {
        let forward = gaps.iter().all(|gap| gap.start_ns <= gap.end_ns);
        let apart = gaps.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns);
        (forward && apart && gaps.len() <= GAPS_MAX).then_some(Self(gaps))
    }

    /// The gaps, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Silence] {
        &self.0
    }

    /// Adds a gap that comes behind the others; one shorter than [`GAP_MIN`] is none.
    pub(super) fn push(&mut self, gap: Silence) {
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

    /// A packet that the last of them counts came after all.
    pub(super) const fn forgive_last(&mut self) {
        if let [.., last] = self.0.as_mut_slice() {
            last.packets = last.packets.saturating_sub(1);
        }
    }

    /// The times in which neither stream had an arrival; something was offered where either
    /// stream offered something.
    #[must_use]
    pub fn in_common_with(&self, other: &Self) -> Self {
        let mut mine = self.0.iter().map(Divided::new).peekable();
        let mut theirs = other.0.iter().map(Divided::new).peekable();
        let mut common = Vec::new();
        while let (Some(a), Some(b)) = (mine.peek_mut(), theirs.peek_mut()) {
            let start_ns = a.gap.start_ns.max(b.gap.start_ns);
            let end_ns = a.gap.end_ns.min(b.gap.end_ns);
            if start_ns < end_ns {
                let packets = a.take(start_ns, end_ns) + b.take(start_ns, end_ns);
                let offered = a.gap.offered || b.gap.offered;
                common.push(Silence { start_ns, end_ns, packets, offered });
            }
            if a.gap.end_ns < b.gap.end_ns {
                mine.next();
            } else {
                theirs.next();
            }
        }
        Self(common)
    }

    /// Outages: gaps of at least `least` in which something was offered.
    pub fn outages(&self, least: Span) -> impl Iterator<Item = &Silence> {
        self.0.iter().filter(move |gap| gap.offered && least <= gap.span())
    }
}

/// A gap whose packets fall to its parts.
struct Divided<'a> {
    gap: &'a Silence,
    /// How many of them earlier parts have.
    taken: u64,
}

impl<'a> Divided<'a> {
    const fn new(gap: &'a Silence) -> Self {
        Self { gap, taken: 0 }
    }

    /// The packets of a part, which comes behind those before. When they were lost nobody knows:
    /// they are taken to stand at even distances from the gap's ends and each other, and one that
    /// is less than half of that outside belongs to the part. So nothing is counted twice where a
    /// long gap meets several short ones; and where the line was dead for all, the last to arrive
    /// having been of the other stream, the part has them all.
    fn take(&mut self, start_ns: u64, end_ns: u64) -> u64 {
        let before = self.standing_before(start_ns, |at, half| at.saturating_sub(half));
        let until = self.standing_before(end_ns, u128::saturating_add);
        let from = before.max(self.taken);
        self.taken = until.max(from);
        self.taken - from
    }

    /// How many stand before a moment that is moved by half of their distance.
    fn standing_before(&self, at_ns: u64, moved: impl Fn(u128, u128) -> u128) -> u64 {
        let Silence { start_ns, packets, .. } = *self.gap;
        let span = u128::from(self.gap.span().nanos().max(1));
        // In units of which a distance has twice the span, so that half of it is whole.
        let at = u128::from(at_ns.saturating_sub(start_ns)) * 2 * (u128::from(packets) + 1);
        let reached = moved(at, span).div_ceil(2 * span);
        u64::try_from(reached.saturating_sub(1)).unwrap_or(u64::MAX).min(packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn gaps(list: &[(u64, u64, u64, bool)]) -> Silences {
        let mut gaps = Silences::default();
        for (start, end, packets, offered) in list.iter().copied() {
            gaps.push(Silence { start_ns: start * MS, end_ns: end * MS, packets, offered });
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
        let packets = 30 + 29;
        let outage = Silence { start_ns: 100 * MS, end_ns: 390 * MS, packets, offered: true };
        assert_eq!(outages, [outage]);
        assert_eq!(probes.in_common_with(&load), common);
    }

    #[test]
    fn parts_of_a_gap_have_all_its_packets_and_none_twice() {
        let load = gaps(&[(0, 500, 850, true)]);
        let parts = gaps(&[(0, 60, 0, true), (60, 490, 0, true), (490, 500, 0, true)]);
        let packets: Vec<u64> =
            load.in_common_with(&parts).as_slice().iter().map(|gap| gap.packets).collect();
        // 851 distances of 0.5875 ms: the 102nd packet stands at 59.9 ms, the 834th at 490.0.
        assert_eq!(packets, [102, 732]);
        // The third stands at 1.76 ms, the 850th at 499.4.
        assert_eq!(load.in_common_with(&gaps(&[(2, 499, 0, true)])).as_slice()[0].packets, 847);
    }

    #[test]
    fn a_probe_that_is_lost_just_behind_the_last_arrival_is_of_the_outage() {
        // Probes each 10 ms, the last that came 0.1 ms late: 50 are lost behind it. The first of
        // them left when the last packet of the load arrived, and a moment later.
        let gap = |start_us: u64, end_us: u64, packets| {
            let (start_ns, end_ns) = (start_us * 1_000, end_us * 1_000);
            Silences(vec![Silence { start_ns, end_ns, packets, offered: true }])
        };
        let (probes, load) = (gap(100_100, 610_000, 50), gap(110_099, 609_999, 850));
        let packets = |a: &Silences, b: &Silences| a.in_common_with(b).as_slice()[0].packets;
        assert_eq!(packets(&probes, &load), 900);
        assert_eq!(packets(&load, &probes), 900);
    }

    #[test]
    fn a_pause_of_the_load_does_not_end_an_outage_that_probes_see() {
        let load = gaps(&[(100, 3_100, 0, false)]);
        let probes = gaps(&[(95, 3_095, 300, true)]);
        let common = load.in_common_with(&probes);
        assert_eq!(common.outages(GAP_MIN).map(Silence::span).collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn a_silent_sender_is_no_outage() {
        let load = gaps(&[(100, 400, 0, false)]);
        let probes = gaps(&[(100, 400, 0, false)]);
        assert_eq!(load.in_common_with(&probes).outages(GAP_MIN).count(), 0);
    }

    #[test]
    fn a_gap_below_fifty_milliseconds_is_none() {
        assert_eq!(gaps(&[(0, 49, 1, true)]), Silences::default());
        assert_eq!(gaps(&[(0, 50, 1, true)]).as_slice().len(), 1);
    }

    #[test]
    fn what_overlaps_is_no_saved_list() {
        let gap = |start_ns, end_ns| Silence { start_ns, end_ns, packets: 0, offered: true };
        assert!(Silences::from_vec(vec![gap(0, 10), gap(10, 20)]).is_some());
        assert!(Silences::from_vec(vec![gap(0, 11), gap(10, 20)]).is_none());
        assert!(Silences::from_vec(vec![gap(2, 1)]).is_none());
    }
}
