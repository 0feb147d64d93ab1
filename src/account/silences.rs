//! Times without an arrival, of one stream and of several together: what outages are made of.

use super::Invalid;
use super::sums::either;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// The shortest time without an arrival that is kept, where no shorter outage is asked about.
pub const SILENCE_MIN: Span = Span::from_millis(50);

/// The shortest part of a silence that several streams have in common.
const PART_MIN: Span = Span::from_millis(1);

/// The most silences of a direction that are kept; the shortest give way to longer ones.
pub const SILENCES_MAX: usize = 10_000;

/// An interval without an arrival.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Silence {
    /// The last arrival before it, in ns of the receiver's clock.
    pub start_ns: u64,
    /// The first arrival after it, in ns of the receiver's clock.
    pub end_ns: u64,
    /// Packets that were sent in it and never arrived, or arrived too late.
    pub packets: u64,
    /// Whether anything was sent in it. If not, the sender was silent, not the link.
    pub offered: bool,
    /// Time between the departures of the two packets before and after it, in ns; absent if not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure_gap_ns: Option<u64>,
    /// Of that: time in which the sender sent nothing although its schedule had packets due, in ns;
    /// absent if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_gap_ns: Option<u64>,
    /// Time from the departure of the first lost packet to that of the last, in ns; absent if not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_span_ns: Option<u64>,
}

impl Silence {
    /// How long it lasted.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span::from_nanos(self.end_ns.saturating_sub(self.start_ns))
    }

    /// The longest that the link can have been dead: the time between the arrivals or between the
    /// departures of the packets around it, whichever is longer, without the sender's own gap.
    #[must_use]
    pub fn longest(&self) -> Span {
        let around_ns = self.span().nanos().max(self.departure_gap_ns.unwrap_or(0));
        Span::from_nanos(around_ns.saturating_sub(self.sender_gap_ns.unwrap_or(0)))
    }

    /// The shortest that the link was dead: from the departure of the first lost packet to that of
    /// the last. Where it was not measured, as in old records, all of it.
    #[must_use]
    pub fn shortest(&self) -> Span {
        self.lost_span_ns.map_or_else(|| self.span(), Span::from_nanos).min(self.longest())
    }

    /// The part of it, and of `other`, from `start_ns` to `end_ns`, in which neither stream had an
    /// arrival: it began and ended within either stream's departures, and was as long as what one
    /// of them lost in it.
    ///
    /// Of which stream the packets around the part are is not known: what is outside it is cut off
    /// the departures of each, and the longer gap stands, up to the shorter of the whole ones.
    fn part(&self, other: &Self, (start_ns, end_ns): (u64, u64)) -> Self {
        let both = |a: Option<u64>, b: Option<u64>| either(a, b, u64::min);
        let cut = |silence: &Self, whole_ns: Option<u64>| {
            let cut_ns = silence.span().nanos().saturating_sub(end_ns.saturating_sub(start_ns));
            whole_ns.map(|whole_ns| whole_ns.saturating_sub(cut_ns))
        };
        let longer = |of: fn(&Self) -> Option<u64>| {
            either(cut(self, of(self)), cut(other, of(other)), u64::max)
        };
        let departures = |silence: &Self| silence.departure_gap_ns;
        Self {
            start_ns,
            end_ns,
            packets: 0,
            offered: self.offered || other.offered,
            departure_gap_ns: both(longer(departures), both(departures(self), departures(other))),
            sender_gap_ns: both(self.sender_gap_ns, other.sender_gap_ns),
            lost_span_ns: longer(|silence| silence.lost_span_ns),
        }
    }
}

/// Intervals without an arrival in a stream, or those that several streams have in common. They are
/// ordered and do not overlap.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Silences {
    /// The longest ones, in order of time; at most 10 000.
    listed: Vec<Silence>,
    /// The rest, summed.
    #[serde(skip_serializing_if = "SilencesBeyond::is_none")]
    beyond: SilencesBeyond,
}

/// Intervals without an arrival that are not listed; each is shorter than those that are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SilencesBeyond {
    /// Number of such intervals.
    pub count: u64,
    /// Their total duration, in ns.
    pub sum_ns: u64,
    /// Packets that were sent in them and never arrived, or arrived too late.
    pub packets: u64,
}

impl SilencesBeyond {
    const fn is_none(&self) -> bool {
        self.count == 0
    }

    const fn add(&mut self, silence: &Silence) {
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(silence.span().nanos());
        self.packets = self.packets.saturating_add(silence.packets);
    }
}

impl Silences {
    /// From silences in their order.
    ///
    /// # Errors
    ///
    /// Where they are not ordered, overlap, or are too many.
    pub fn from_vec(listed: Vec<Silence>) -> Result<Self, Invalid> {
        let silences = Self { listed, beyond: SilencesBeyond::default() };
        silences.check()?;
        Ok(silences)
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let list = &self.listed;
        let forward = list.iter().all(|silence| silence.start_ns <= silence.end_ns);
        let apart = list.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns);
        let fits = list.len() <= SILENCES_MAX;
        Invalid::unless(forward && apart && fits, "silences that are not ordered, or not apart")
    }

    /// The listed ones, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Silence] {
        &self.listed
    }

    /// Those that are not listed.
    #[must_use]
    pub const fn beyond(&self) -> &SilencesBeyond {
        &self.beyond
    }

    /// Adds one that comes behind the others, of which at most [`SILENCES_MAX`] stay listed.
    pub fn push(&mut self, silence: Silence) {
        self.listed.push(silence);
        if SILENCES_MAX < self.listed.len() {
            let spans = self.listed.iter().map(Silence::span).enumerate();
            let shortest = spans.min_by_key(|(_, span)| *span);
            let place = shortest.map_or(0, |(place, _)| place);
            self.beyond.add(&self.listed.remove(place));
        }
    }

    /// A packet that the last of them counts arrived after all; packets leave `interval` apart.
    /// What was overtaken was not lost, and makes no outage by its departure.
    pub fn forgive_last(&mut self, interval: Span) {
        if let [.., last] = self.listed.as_mut_slice() {
            last.packets = last.packets.saturating_sub(1);
            let less = |nanos: &mut u64| *nanos = nanos.saturating_sub(interval.nanos());
            last.departure_gap_ns.iter_mut().for_each(less);
            last.lost_span_ns.iter_mut().for_each(less);
        }
    }

    /// The same, of a stream that may have been offered nothing in any of them.
    #[must_use]
    pub fn unoffered(mut self) -> Self {
        self.listed.iter_mut().for_each(|silence| silence.offered = false);
        self
    }

    /// The times in which neither stream had an arrival; something was offered where either
    /// stream offered something.
    #[must_use]
    pub fn in_common_with(&self, other: &Self) -> Self {
        let mut mine = self.listed.iter().map(Divided::new).peekable();
        let mut theirs = other.listed.iter().map(Divided::new).peekable();
        let mut common = Self::default();
        while let (Some(a), Some(b)) = (mine.peek_mut(), theirs.peek_mut()) {
            let start_ns = a.silence.start_ns.max(b.silence.start_ns);
            let end_ns = a.silence.end_ns.min(b.silence.end_ns);
            if start_ns < end_ns {
                let packets = a.take(start_ns, end_ns) + b.take(start_ns, end_ns);
                let part = a.silence.part(b.silence, (start_ns, end_ns));
                if PART_MIN <= part.span() {
                    common.push(Silence { packets, ..part });
                }
            }
            if a.silence.end_ns < b.silence.end_ns {
                mine.next();
            } else {
                theirs.next();
            }
        }
        common
    }

    /// Outages: silences of at least `least` in which something was offered. A gap below 50 ms in
    /// which no packet was lost is delay.
    pub fn outages(&self, least: Span) -> impl Iterator<Item = &Silence> {
        self.listed.iter().filter(move |silence| {
            let is_delay = silence.packets == 0 && silence.span() < SILENCE_MIN;
            silence.offered && !is_delay && least <= silence.longest()
        })
    }
}

/// A silence whose packets fall to its parts.
struct Divided<'a> {
    silence: &'a Silence,
    /// How many of them earlier parts have.
    taken: u64,
}

impl<'a> Divided<'a> {
    const fn new(silence: &'a Silence) -> Self {
        Self { silence, taken: 0 }
    }

    /// The packets of a part, which comes behind those before. When they were lost nobody knows:
    /// they are taken to stand at even distances from the silence's ends and each other, and one
    /// that is less than half of that outside belongs to the part. So nothing is counted twice
    /// where a long silence meets several short ones; and where the link was dead for all, the last
    /// to arrive having been of the other stream, the part has them all.
    fn take(&mut self, start_ns: u64, end_ns: u64) -> u64 {
        let before = self.standing_before(start_ns, |at, half| at.saturating_sub(half));
        let until = self.standing_before(end_ns, u128::saturating_add);
        let from = before.max(self.taken);
        self.taken = until.max(from);
        self.taken - from
    }

    /// How many stand before a moment that is moved by half of their distance.
    fn standing_before(&self, at_ns: u64, moved: impl Fn(u128, u128) -> u128) -> u64 {
        let Silence { start_ns, packets, .. } = *self.silence;
        let span = u128::from(self.silence.span().nanos().max(1));
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

    fn silences(list: &[(u64, u64, u64, bool)]) -> Silences {
        let mut silences = Silences::default();
        for (start, end, packets, offered) in list.iter().copied() {
            let (start_ns, end_ns) = (start * MS, end * MS);
            let silence = Silence { start_ns, end_ns, packets, offered, ..Silence::default() };
            silences.push(silence);
        }
        silences
    }

    #[test]
    fn an_outage_is_where_no_stream_had_an_arrival() {
        let load = silences(&[(100, 400, 30, true), (1_000, 1_100, 10, true)]);
        let probes = silences(&[(90, 390, 29, true)]);
        let common = load.in_common_with(&probes);
        let outages: Vec<_> = common.outages(SILENCE_MIN).copied().collect();
        // Of the load, the 30th of 30 stands at 390.3 ms; of the probes, the first at 100 ms.
        let packets = 30 + 29;
        let (start_ns, end_ns) = (100 * MS, 390 * MS);
        let outage = Silence { start_ns, end_ns, packets, offered: true, ..Silence::default() };
        assert_eq!(outages, [outage]);
        assert_eq!(probes.in_common_with(&load), common);
    }

    #[test]
    fn parts_of_a_silence_have_all_its_packets_and_none_twice() {
        let load = silences(&[(0, 500, 850, true)]);
        let parts = silences(&[(0, 60, 0, true), (60, 490, 0, true), (490, 500, 0, true)]);
        let packets: Vec<u64> =
            load.in_common_with(&parts).as_slice().iter().map(|silence| silence.packets).collect();
        // 851 distances of 0.5875 ms: the 102nd packet stands at 59.9 ms, the 834th at 490.0.
        assert_eq!(packets, [102, 732, 16]);
        // The third stands at 1.76 ms, the 850th at 499.4.
        assert_eq!(load.in_common_with(&silences(&[(2, 499, 0, true)])).as_slice()[0].packets, 847);
    }

    #[test]
    fn a_probe_that_is_lost_just_behind_the_last_arrival_is_of_the_outage() {
        // Probes each 10 ms, the last that came 0.1 ms late: 50 are lost behind it. The first of
        // them left when the last packet of the load arrived, and a moment later.
        let silence = |start_us: u64, end_us: u64, packets| {
            let (start_ns, end_ns) = (start_us * 1_000, end_us * 1_000);
            let silence =
                Silence { start_ns, end_ns, packets, offered: true, ..Silence::default() };
            Silences::from_vec(vec![silence]).expect("one")
        };
        let (probes, load) = (silence(100_100, 610_000, 50), silence(110_099, 609_999, 850));
        let packets = |a: &Silences, b: &Silences| a.in_common_with(b).as_slice()[0].packets;
        assert_eq!(packets(&probes, &load), 900);
        assert_eq!(packets(&load, &probes), 900);
    }

    #[test]
    fn a_pause_of_the_load_does_not_end_an_outage_that_probes_see() {
        let load = silences(&[(100, 3_100, 0, false)]);
        let probes = silences(&[(95, 3_095, 300, true)]);
        let common = load.in_common_with(&probes);
        assert_eq!(common.outages(SILENCE_MIN).map(Silence::span).collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn a_silent_sender_is_no_outage() {
        let load = silences(&[(100, 400, 0, false)]);
        let probes = silences(&[(100, 400, 0, false)]);
        assert_eq!(load.in_common_with(&probes).outages(SILENCE_MIN).count(), 0);
    }

    #[test]
    fn a_gap_below_fifty_milliseconds_without_a_lost_packet_is_delay() {
        let outages = |length, packets| {
            silences(&[(0, length, packets, true)]).outages(Span::from_millis(20)).count()
        };
        assert_eq!((outages(49, 0), outages(49, 1), outages(50, 0), outages(19, 1)), (0, 1, 1, 0));
    }

    /// Jitter shortens the time between two arrivals, and a stall of the sender lengthens both.
    #[test]
    fn an_outage_is_as_long_as_its_packets_say() {
        let silence = |departures_ms: u64, own_ms: u64, lost_ms: u64| Silence {
            end_ns: 100 * MS,
            departure_gap_ns: Some(departures_ms * MS),
            sender_gap_ns: Some(own_ms * MS),
            lost_span_ns: Some(lost_ms * MS),
            ..Silence::default()
        };
        let check = |silence: Silence, longest, shortest| {
            assert_eq!(silence.longest(), Span::from_millis(longest));
            assert_eq!(silence.shortest(), Span::from_millis(shortest));
        };
        check(silence(120, 0, 118), 120, 118);
        check(silence(80, 0, 78), 100, 78);
        check(silence(120, 70, 118), 50, 50);
        check(Silence { end_ns: 100 * MS, ..Silence::default() }, 100, 100);
    }

    #[test]
    fn a_part_was_dead_as_long_as_either_stream_shows() {
        let silence = |start, end, departures, lost| Silence {
            start_ns: start * MS,
            end_ns: end * MS,
            packets: 9,
            offered: true,
            departure_gap_ns: Some(departures * MS),
            sender_gap_ns: Some(0),
            lost_span_ns: Some(lost * MS),
        };
        let load = Silences::from_vec(vec![silence(100, 150, 51, 48)]).expect("one");
        let probes = Silences::from_vec(vec![silence(95, 145, 60, 40)]).expect("one");
        let common = load.in_common_with(&probes).as_slice()[0];
        assert_eq!((common.start_ns, common.end_ns), (100 * MS, 145 * MS));
        assert_eq!(common.departure_gap_ns, Some(51 * MS));
        assert_eq!(common.lost_span_ns, Some(43 * MS), "5 ms of the load's are outside");
    }

    /// 500 kbit/s in 8 streams, each of which has a packet each 195 ms: one of them is lost.
    #[test]
    fn a_lone_loss_of_many_slow_streams_is_as_long_as_the_packets_around_it_are_apart() {
        let each_us = 195_000;
        let stream = |place: u64| {
            let start = |turn: u64| turn * each_us + place * each_us / 8;
            let turns = (0..20).filter(|turn| (place, *turn) != (3, 11));
            let silence = |turn: u64| {
                let is_lost = (place, turn) == (3, 10);
                let end_us = start(if is_lost { turn + 2 } else { turn + 1 });
                Silence {
                    start_ns: start(turn) * 1_000,
                    end_ns: end_us * 1_000,
                    packets: u64::from(is_lost),
                    offered: true,
                    departure_gap_ns: Some((end_us - start(turn)) * 1_000),
                    sender_gap_ns: Some(0),
                    lost_span_ns: Some(0),
                }
            };
            Silences::from_vec(turns.map(silence).collect()).expect("in order")
        };
        let all = (1..8).fold(stream(0), |common, place| common.in_common_with(&stream(place)));
        let longest = all.as_slice().iter().map(Silence::longest).max();
        assert_eq!(longest, Some(Span::from_nanos(2 * each_us * 1_000 / 8)));
        assert_eq!(all.outages(SILENCE_MIN).count(), 0);
    }

    #[test]
    fn what_was_overtaken_was_not_lost() {
        let mut silences = silences(&[(0, 1, 2, true)]);
        silences.listed[0].departure_gap_ns = Some(150 * MS);
        silences.listed[0].lost_span_ns = Some(100 * MS);
        silences.forgive_last(Span::from_millis(60));
        let left = silences.as_slice()[0];
        assert_eq!((left.packets, left.departure_gap_ns), (1, Some(90 * MS)));
        assert_eq!(left.lost_span_ns, Some(40 * MS));
    }

    #[test]
    fn what_overlaps_is_no_saved_list() {
        let silence = |start_ns, end_ns| Silence { start_ns, end_ns, ..Silence::default() };
        assert!(Silences::from_vec(vec![silence(0, 10), silence(10, 20)]).is_ok());
        assert!(Silences::from_vec(vec![silence(0, 11), silence(10, 20)]).is_err());
        assert!(Silences::from_vec(vec![silence(2, 1)]).is_err());
    }

    #[test]
    fn the_shortest_are_summed_where_the_list_is_full() {
        let mut many = Silences::default();
        for place in 0..=SILENCES_MAX as u64 {
            let start_ns = place * 200 * MS;
            let length = if place == 3 { 60 } else { 70 };
            many.push(Silence { start_ns, end_ns: start_ns + length * MS, ..Silence::default() });
        }
        assert_eq!(many.as_slice().len(), SILENCES_MAX);
        let is_long = |silence: &Silence| silence.span() == Span::from_millis(70);
        assert!(many.as_slice().iter().all(is_long));
        assert_eq!(*many.beyond(), SilencesBeyond { count: 1, sum_ns: 60 * MS, packets: 0 });
    }
}
