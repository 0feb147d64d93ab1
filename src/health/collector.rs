//! Probes in, seconds out: what each second of probing carried, and which way a loss went.
//!
//! The agent numbers its replies. Between two replies that came, the numbers that are missing were
//! lost on the way back; the other probes without an answer between them were lost on the way
//! there. Where no reply has come since, the direction is not known until one does.
//!
//! What this host did not send, or sent more than a second late because it was held up, is not
//! measured, and never lost. Nor is what nobody could answer, as the agent was gone.

use super::{Carried, Observed, Second};
use crate::clock::{Driver, Stamp};
use crate::direction::PerDirection;
use crate::flow::{LATE_MAX, ProbeEvent};
use crate::units::Span;
use std::collections::{BTreeMap, VecDeque};

/// A probe that left so late says nothing of its second: this host was held up.
const HELD_UP: Span = Span::from_secs(1);

/// A second is over so many seconds after it began: its own, those of [`LATE_MAX`], and one for
/// what is still to be read.
const OVER_AFTER_S: i64 = 4;

/// Of a series that has made no progress for so many seconds nothing more is awaited.
const STUCK_S: i64 = 60;

/// A clock that jumps ahead by more than this is not filled up with seconds.
const FILLED_S: i64 = 3_600;

/// A series of probes, those of one trial, by its number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SeriesId(pub u64);

/// Makes seconds of one path's probes.
#[derive(Debug)]
pub struct Collector {
    series: BTreeMap<SeriesId, Series>,
    buckets: BTreeMap<i64, Bucket>,
    /// The next second to be shown, and the next to be settled.
    live_from_s: i64,
    settled_from_s: i64,
    now_s: i64,
}

/// What is known of a second so far.
#[derive(Debug, Default)]
struct Bucket {
    sent: u32,
    answered: u32,
    lost: PerDirection<u32>,
    /// Lost probes whose direction may still come out, and those whose never will.
    open: u32,
    unknown: u32,
    round_trips: Vec<Span>,
    knocks: Carried,
}

#[derive(Debug, Default)]
struct Series {
    /// Probes of which it is not known yet what became of them, in their order.
    pending: VecDeque<Pending>,
    /// Lost probes since the newest reply.
    gap: Vec<Lost>,
    /// The number of the reply that would come next if none is lost.
    next_reply: u32,
    read: Option<Stamp<Driver>>,
    read_s: i64,
    gone: Option<Stamp<Driver>>,
    is_over: bool,
}

#[derive(Debug)]
struct Pending {
    sequence: u32,
    sent: Stamp<Driver>,
    second: i64,
    /// Whether this host sent it in time.
    counts: bool,
    answer: Option<Answer>,
}

/// A probe that was given up.
#[derive(Clone, Copy, Debug)]
struct Lost {
    sequence: u32,
    sent: Stamp<Driver>,
    second: i64,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    reply: u32,
    round_trip: Option<Span>,
}

impl Collector {
    /// From the second behind `now_s` on, in seconds since 1970.
    #[must_use]
    pub const fn new(now_s: i64) -> Self {
        Self {
            series: BTreeMap::new(),
            buckets: BTreeMap::new(),
            live_from_s: now_s + 1,
            settled_from_s: now_s + 1,
            now_s,
        }
    }

    /// Takes what happened to the probes of `series`; the wall clock is `ahead_ns` ahead of that of
    /// the stamps.
    pub fn take(&mut self, series: SeriesId, events: &[ProbeEvent], ahead_ns: i64) {
        let second = |at: Stamp<Driver>| second_of(at, ahead_ns);
        let read_s = self.now_s;
        let new = || Series { read_s, ..Series::default() };
        let series = self.series.entry(series).or_insert_with(new);
        for event in events {
            match *event {
                ProbeEvent::Sent { sequence, sent, late } => {
                    let counts = late < HELD_UP;
                    let second = second(sent);
                    let probe = Pending { sequence, sent, second, counts, answer: None };
                    series.pending.push_back(probe);
                }
                ProbeEvent::Answered { sequence, reply, after, round_trip } => {
                    let answer = Answer { reply, round_trip };
                    if after <= LATE_MAX {
                        series.on_reply(sequence, answer, &mut self.buckets);
                    }
                }
                ProbeEvent::Read(at) => (series.read, series.read_s) = (Some(at), second(at)),
                ProbeEvent::Gone(at) => series.on_gone(at, &mut self.buckets),
                ProbeEvent::Over => series.is_over = true,
            }
        }
    }

    /// Nothing more comes of `series`, whatever became of it.
    pub fn end(&mut self, series: SeriesId) {
        self.series.entry(series).and_modify(|series| series.is_over = true);
    }

    /// Something that is answered without leave of the agent was sent in `second`: a try to
    /// connect. It counts where no probe could be sent.
    pub fn on_knock(&mut self, second: i64, is_answered: bool) {
        if self.live_from_s <= second {
            let knocks = &mut self.buckets.entry(second).or_default().knocks;
            knocks.sent += 1;
            knocks.lost += u32::from(!is_answered);
        }
    }

    /// What is known at `now_s` and was not before: each second once as it looked when it was over,
    /// and once when its directions were known, or never will be. Both in their order.
    pub fn poll(&mut self, now_s: i64) -> Vec<Observed> {
        if now_s < self.now_s - 1 || self.now_s + FILLED_S < now_s {
            self.restart(now_s);
        }
        self.now_s = now_s;
        for series in self.series.values_mut() {
            series.is_over |= series.until_s() < now_s - STUCK_S;
            series.settle(&mut self.buckets);
        }
        self.series.retain(|_, series| !series.is_over);
        let until_s = self.series.values().map(Series::until_s).min().unwrap_or(now_s);
        let until_s = until_s.min(now_s - OVER_AFTER_S + 1);
        let mut observed = Vec::new();
        while self.settled_from_s < self.live_from_s {
            let bucket = self.buckets.get(&self.settled_from_s);
            if bucket.is_some_and(|bucket| 0 < bucket.open) {
                break;
            }
            observed.push(Observed::Settled(self.second(self.settled_from_s)));
            self.buckets.remove(&self.settled_from_s);
            self.settled_from_s += 1;
        }
        while self.live_from_s < until_s {
            let second = self.second(self.live_from_s);
            observed.push(Observed::Live(second.clone()));
            let is_open = |bucket: &Bucket| 0 < bucket.open;
            let is_next = self.settled_from_s == self.live_from_s;
            if is_next && !self.buckets.get(&self.live_from_s).is_some_and(is_open) {
                observed.push(Observed::Settled(second));
                self.buckets.remove(&self.live_from_s);
                self.settled_from_s += 1;
            }
            self.live_from_s += 1;
        }
        observed
    }

    /// The clock was set: what is not settled cannot be put into seconds any more.
    fn restart(&mut self, now_s: i64) {
        self.buckets.clear();
        for series in self.series.values_mut() {
            series.pending.clear();
            series.gap.clear();
            series.read_s = now_s;
        }
        (self.live_from_s, self.settled_from_s) = (now_s + 1, now_s + 1);
    }

    fn second(&self, start_s: i64) -> Second {
        let unmeasured = Second {
            start_s,
            carried: PerDirection::default(),
            answered: None,
            round_trips: Vec::new(),
        };
        self.buckets.get(&start_s).map_or(unmeasured, |bucket| bucket.second(start_s))
    }
}

impl Bucket {
    fn second(&self, start_s: i64) -> Second {
        let Self { sent, answered, knocks, .. } = *self;
        let round_trips = self.round_trips.clone();
        if sent == 0 {
            let answered = (0 < knocks.sent).then_some(knocks);
            let carried = answered.filter(|knocks| knocks.lost == 0);
            return Second { start_s, carried: PerDirection::both(carried), answered, round_trips };
        }
        let is_known = self.open == 0 && self.unknown == 0;
        let PerDirection { forward, reverse } = self.lost;
        let carried = PerDirection {
            forward: is_known.then_some(Carried { sent, lost: forward }),
            reverse: is_known.then_some(Carried { sent: answered + reverse, lost: reverse }),
        };
        let answered = Some(Carried { sent, lost: sent - answered });
        Second { start_s, carried, answered, round_trips }
    }
}

impl Series {
    /// The second before which all is known of it.
    fn until_s(&self) -> i64 {
        self.pending.front().map_or(self.read_s, |probe| probe.second)
    }

    /// A reply came in time, but for what the agent itself took: it may come long after its probe
    /// was given up. Then the agent's host was held up, and the link lost nothing.
    fn on_reply(&mut self, sequence: u32, answer: Answer, buckets: &mut BTreeMap<i64, Bucket>) {
        let place = self.pending.partition_point(|it| it.sequence < sequence);
        let probe = self.pending.get_mut(place).filter(|it| it.sequence == sequence);
        if let Some(probe) = probe {
            probe.answer = Some(answer);
            return;
        }
        let Some(place) = self.gap.iter().position(|it| it.sequence == sequence) else { return };
        let given_up = self.gap.remove(place);
        self.next_reply = self.next_reply.max(answer.reply.saturating_add(1));
        if let Some(bucket) = buckets.get_mut(&given_up.second) {
            bucket.sent -= 1;
            bucket.open -= 1;
        }
    }

    fn on_gone(&mut self, at: Stamp<Driver>, buckets: &mut BTreeMap<i64, Bucket>) {
        self.gone = Some(at);
        self.gap.retain(|it| {
            let is_lost = it.sent < at;
            if !is_lost && let Some(bucket) = buckets.get_mut(&it.second) {
                bucket.sent -= 1;
                bucket.open -= 1;
            }
            is_lost
        });
    }

    /// Takes what is known of the oldest probes.
    fn settle(&mut self, buckets: &mut BTreeMap<i64, Bucket>) {
        while let Some(probe) = self.pending.pop_front() {
            let lost_at = probe.sent.after_nanos(LATE_MAX.nanos());
            let is_lost = self.read.is_some_and(|read| lost_at <= read);
            match probe.answer {
                Some(answer) => self.on_answered(&probe, answer, buckets),
                None if is_lost => self.on_lost(&probe, buckets),
                // Nobody listens any more.
                None if self.is_over => {}
                None => {
                    self.pending.push_front(probe);
                    break;
                }
            }
        }
        if self.is_over {
            for Lost { second, .. } in self.gap.drain(..) {
                if let Some(bucket) = buckets.get_mut(&second) {
                    bucket.open -= 1;
                    bucket.unknown += 1;
                }
            }
        }
    }

    fn on_answered(
        &mut self,
        probe: &Pending,
        Answer { reply, round_trip }: Answer,
        buckets: &mut BTreeMap<i64, Bucket>,
    ) {
        let missing = reply.saturating_sub(self.next_reply);
        self.next_reply = self.next_reply.max(reply.saturating_add(1));
        self.close_gap(missing, buckets);
        if probe.counts {
            let bucket = buckets.entry(probe.second).or_default();
            bucket.sent += 1;
            bucket.answered += 1;
            bucket.round_trips.extend(round_trip);
        }
    }

    fn on_lost(&mut self, probe: &Pending, buckets: &mut BTreeMap<i64, Bucket>) {
        if probe.counts && self.gone.is_none_or(|gone| probe.sent < gone) {
            let bucket = buckets.entry(probe.second).or_default();
            bucket.sent += 1;
            bucket.open += 1;
            let Pending { sequence, sent, second, .. } = *probe;
            self.gap.push(Lost { sequence, sent, second });
        }
    }

    /// A reply has come, before which `missing` others were sent and did not come. Which of the
    /// probes those answered is not known where there are others too: in a short gap it makes no
    /// difference to its second, and they are spread evenly; in a long one nobody can tell.
    fn close_gap(&mut self, missing: u32, buckets: &mut BTreeMap<i64, Bucket>) {
        let lost = self.gap.len() as u64;
        let back = u64::from(missing).min(lost);
        let (first, last) = (self.gap.first().copied(), self.gap.last().copied());
        let length_ns =
            first.zip(last).map_or(0, |(first, last)| last.sent.nanos_since(first.sent));
        let is_clear = back == 0 || back == lost || length_ns <= LATE_MAX.nanos();
        for (Lost { second, .. }, number) in self.gap.drain(..).zip(0_u64..) {
            let Some(bucket) = buckets.get_mut(&second) else { continue };
            bucket.open -= 1;
            let is_back = number * back / lost < (number + 1) * back / lost;
            match (is_clear, is_back) {
                (false, _) => bucket.unknown += 1,
                (true, true) => bucket.lost.reverse += 1,
                (true, false) => bucket.lost.forward += 1,
            }
        }
    }
}

/// The second since 1970 in which `at` was, by a wall clock that is `ahead_ns` ahead of its own.
fn second_of(at: Stamp<Driver>, ahead_ns: i64) -> i64 {
    let nanos = i128::from(at.nanos()) + i128::from(ahead_ns);
    i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Class;

    const MS: u64 = 1_000_000;

    /// Ten probes a second from second 1 on, as a link with some delay has them.
    struct Link {
        collector: Collector,
        sequence: u32,
        reply: u32,
        events: Vec<ProbeEvent>,
    }

    /// What becomes of a probe.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Fate {
        Answered,
        LostThere,
        LostBack,
    }

    impl Link {
        fn new() -> Self {
            Self { collector: Collector::new(0), sequence: 0, reply: 0, events: Vec::new() }
        }

        fn send(&mut self, at_ms: u64, fate: Fate) {
            self.send_late(at_ms, 0, fate);
        }

        fn send_late(&mut self, at_ms: u64, late_ms: u64, fate: Fate) {
            let (sequence, sent) = (self.sequence, Stamp::from_nanos(at_ms * MS));
            let late = Span::from_millis(late_ms);
            self.events.push(ProbeEvent::Sent { sequence, sent, late });
            self.sequence += 1;
            if fate == Fate::Answered {
                let after = Span::from_millis(20);
                let (reply, round_trip) = (self.reply, Some(after));
                self.events.push(ProbeEvent::Answered { sequence, reply, after, round_trip });
            }
            self.reply += u32::from(fate != Fate::LostThere);
        }

        /// All of second `second`.
        fn second(&mut self, second: u64, fate: impl Fn(u64) -> Fate) {
            (0..10).for_each(|place| self.send(second * 1_000 + place * 100, fate(place)));
        }

        fn until(&mut self, now_s: u64) -> Vec<Observed> {
            self.events.push(ProbeEvent::Read(Stamp::from_nanos(now_s * 1_000 * MS)));
            let events = std::mem::take(&mut self.events);
            self.collector.take(SeriesId(1), &events, 0);
            self.collector.poll(now_s.cast_signed())
        }
    }

    fn live(observed: &[Observed]) -> Vec<Second> {
        let live = observed.iter().filter_map(|it| match it {
            Observed::Live(second) => Some(second.clone()),
            _ => None,
        });
        live.collect()
    }

    fn settled(observed: &[Observed]) -> Vec<Second> {
        let settled = observed.iter().filter_map(|it| match it {
            Observed::Settled(second) => Some(second.clone()),
            _ => None,
        });
        settled.collect()
    }

    /// Start, sent and lost forward and reverse; the round trip's.
    type Row = (i64, Option<(u32, u32)>, Option<(u32, u32)>, Option<(u32, u32)>);

    fn row(second: &Second) -> Row {
        let counts = |it: Option<Carried>| it.map(|it| (it.sent, it.lost));
        let PerDirection { forward, reverse } = second.carried;
        (second.start_s, counts(forward), counts(reverse), counts(second.answered))
    }

    fn rows(seconds: &[Second]) -> Vec<Row> {
        seconds.iter().map(row).collect()
    }

    #[test]
    fn each_second_comes_once_when_no_reply_can_come_any_more() {
        let mut link = Link::new();
        (1..=3).for_each(|second| link.second(second, |_| Fate::Answered));
        assert_eq!(link.until(4), []);
        let observed = link.until(6);
        let good = |second| (second, Some((10, 0)), Some((10, 0)), Some((10, 0)));
        assert_eq!(rows(&live(&observed)), [good(1), good(2)]);
        assert_eq!(live(&observed), settled(&observed));
        assert_eq!(live(&observed)[0].round_trips, [Span::from_millis(20); 10]);
        assert_eq!(rows(&live(&link.until(7))), [good(3)]);
        assert_eq!(rows(&live(&link.until(8))), [(4, None, None, None)], "nothing was sent");
    }

    #[test]
    fn a_loss_between_two_replies_went_the_way_that_their_numbers_say() {
        for (fate, forward, reverse) in
            [(Fate::LostThere, (10, 2), (8, 0)), (Fate::LostBack, (10, 0), (10, 2))]
        {
            let mut link = Link::new();
            let is_lost = |place| [3, 4].contains(&place);
            link.second(1, |place| if is_lost(place) { fate } else { Fate::Answered });
            link.second(2, |_| Fate::Answered);
            let observed = link.until(6);
            let expected = (1, Some(forward), Some(reverse), Some((10, 2)));
            assert_eq!(rows(&settled(&observed))[0], expected, "{fate:?}");
            assert_eq!(live(&observed), settled(&observed));
        }
    }

    #[test]
    fn in_an_outage_the_direction_is_known_when_it_ends_and_the_rest_at_once() {
        for (fate, forward, reverse) in
            [(Fate::LostThere, (10, 10), (0, 0)), (Fate::LostBack, (10, 0), (10, 10))]
        {
            let mut link = Link::new();
            link.second(1, |_| Fate::Answered);
            (2..=12).for_each(|second| link.second(second, |_| fate));
            let observed = link.until(15);
            let unknown = |second| (second, None, None, Some((10, 10)));
            assert_eq!(rows(&live(&observed))[1..], (2..=11).map(unknown).collect::<Vec<_>>());
            assert_eq!(settled(&observed).len(), 1, "of the outage nothing is settled");
            link.second(13, |_| Fate::Answered);
            link.second(14, |_| Fate::Answered);
            let observed = link.until(18);
            let settled = settled(&observed);
            let lost = |second| (second, Some(forward), Some(reverse), Some((10, 10)));
            assert_eq!(rows(&settled)[..11], (2..=12).map(lost).collect::<Vec<_>>());
            assert_eq!(settled.len(), 13, "and those behind it");
            let class = settled[0].carried.reverse.map(|it| it.class());
            let errored = fate == Fate::LostBack;
            let expected = if errored { Class::Errored } else { Class::Unmeasured };
            assert_eq!(class, Some(expected), "where nothing is sent, nothing is measured");
        }
    }

    #[test]
    fn of_a_long_gap_in_which_both_ways_lose_the_direction_stays_unknown() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        link.second(2, |_| Fate::LostBack);
        (3..=6).for_each(|second| link.second(second, |_| Fate::LostThere));
        link.second(7, |_| Fate::Answered);
        let seconds = settled(&link.until(12));
        assert_eq!(rows(&seconds)[1..3], [2, 3].map(|it| (it, None, None, Some((10, 10)))));
        // In a short one they are spread evenly.
        let mut link = Link::new();
        let fates = [Fate::Answered, Fate::LostThere, Fate::LostBack, Fate::LostThere];
        let mut fates = fates.into_iter();
        for place in 0..10 {
            link.send(1_000 + place * 100, fates.next().unwrap_or(Fate::Answered));
        }
        let seconds = settled(&link.until(6));
        assert_eq!(rows(&seconds)[0], (1, Some((10, 2)), Some((8, 1)), Some((10, 3))));
    }

    /// Three probes overtook each other on the way there; nothing is lost.
    #[test]
    fn replies_out_of_order_are_no_loss() {
        let mut link = Link::new();
        let sent = |sequence| Stamp::from_nanos(1_000 * MS + u64::from(sequence) * 50 * MS);
        for sequence in 0..4 {
            let late = Span::default();
            link.events.push(ProbeEvent::Sent { sequence, sent: sent(sequence), late });
        }
        for (sequence, reply) in [(2, 0), (0, 1), (1, 2), (3, 3)] {
            let (after, round_trip) = (Span::from_millis(150), None);
            link.events.push(ProbeEvent::Answered { sequence, reply, after, round_trip });
        }
        let settled = settled(&link.until(6));
        assert_eq!(rows(&settled)[0], (1, Some((4, 0)), Some((4, 0)), Some((4, 0))));
    }

    #[test]
    fn what_came_too_late_is_lost() {
        let mut link = Link::new();
        for (sequence, after) in [(0, LATE_MAX), (1, LATE_MAX.plus(Span::from_nanos(1)))] {
            let (sent, late) = (Stamp::from_nanos(1_000 * MS), Span::default());
            link.events.push(ProbeEvent::Sent { sequence, sent, late });
            let (reply, round_trip) = (sequence, Some(after));
            link.events.push(ProbeEvent::Answered { sequence, reply, after, round_trip });
        }
        assert_eq!(rows(&live(&link.until(6)))[0].3, Some((2, 1)));
    }

    /// The process was suspended for 5 s: what was due then left late, all at once.
    #[test]
    fn what_this_host_held_up_is_not_measured_and_not_lost() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        (0..50).for_each(|_| link.send_late(7_000, 1_000, Fate::LostThere));
        link.second(8, |_| Fate::Answered);
        let seconds = rows(&settled(&link.until(13)));
        let unmeasured = |second| (second, None, None, None);
        assert_eq!(seconds[1..7], (2..=7).map(unmeasured).collect::<Vec<_>>());
        assert_eq!(seconds[7].3, Some((10, 0)));
        // What was not read yet is not lost yet, however long ago it was sent.
        link.second(14, |_| Fate::LostThere);
        link.collector.take(SeriesId(1), &std::mem::take(&mut link.events), 0);
        let observed = link.collector.poll(40);
        assert_eq!(live(&observed).last().map(|it| it.start_s), Some(13));
    }

    #[test]
    fn what_nobody_could_answer_is_not_lost() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        link.second(2, |_| Fate::LostThere);
        link.second(3, |_| Fate::LostThere);
        link.until(5);
        link.events.push(ProbeEvent::Gone(Stamp::from_nanos(2_500 * MS)));
        link.events.push(ProbeEvent::Over);
        let seconds = rows(&settled(&link.until(8)));
        assert_eq!(seconds[0], (2, None, None, Some((5, 5))), "the half before it was gone");
        assert_eq!(seconds[1], (3, None, None, None));
    }

    /// Its process was suspended for 5 s, and answered all at once then.
    #[test]
    fn what_the_agents_host_held_up_is_not_measured_and_not_lost() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        (2..=6).for_each(|second| link.second(second, |_| Fate::LostBack));
        let observed = link.until(9);
        assert_eq!(rows(&live(&observed))[1].3, Some((10, 10)), "for now nothing is answered");
        for number in 10..60 {
            let (after, round_trip) = (Span::from_millis(20), None);
            let (sequence, reply) = (number, number);
            link.events.push(ProbeEvent::Answered { sequence, reply, after, round_trip });
        }
        link.second(9, |_| Fate::Answered);
        let seconds = rows(&settled(&link.until(14)));
        let unmeasured = |second| (second, None, None, None);
        assert_eq!(seconds[..7], (2..=8).map(unmeasured).collect::<Vec<_>>());
        assert_eq!(seconds[7], (9, Some((10, 0)), Some((10, 0)), Some((10, 0))));
    }

    #[test]
    fn a_try_to_connect_counts_where_no_probe_could_be_sent() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        for (second, is_answered) in [(1, false), (2, false), (3, true)] {
            link.collector.on_knock(second, is_answered);
        }
        let seconds = rows(&live(&link.until(8)));
        assert_eq!(seconds[0].3, Some((10, 0)), "probes say more");
        assert_eq!(seconds[1], (2, None, None, Some((1, 1))), "which way is not known");
        assert_eq!(seconds[2], (3, Some((1, 0)), Some((1, 0)), Some((1, 0))));
    }

    /// One trial follows the other; for a moment both probe.
    #[test]
    fn two_series_make_one_path() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        let late = Span::default();
        let sent = Stamp::from_nanos(1_950 * MS);
        let (after, round_trip) = (Span::from_millis(1), None);
        let next = [
            ProbeEvent::Sent { sequence: 0, sent, late },
            ProbeEvent::Answered { sequence: 0, reply: 0, after, round_trip },
            ProbeEvent::Read(Stamp::from_nanos(6_000 * MS)),
        ];
        link.events.push(ProbeEvent::Over);
        link.collector.take(SeriesId(2), &next, 0);
        assert_eq!(rows(&live(&link.until(6)))[0].3, Some((11, 0)));
    }

    #[test]
    fn a_clock_that_is_set_starts_anew_and_no_second_is_made_up() {
        let mut link = Link::new();
        link.second(1, |_| Fate::Answered);
        link.until(5);
        link.events.push(ProbeEvent::Over);
        assert_eq!(live(&link.until(6)).len(), 1);
        assert_eq!(link.collector.poll(100_000), [], "a day ahead");
        assert_eq!(live(&link.collector.poll(100_006)).first().map(|it| it.start_s), Some(100_001));
        assert_eq!(link.collector.poll(50), [], "back");
        assert_eq!(live(&link.collector.poll(55)).first().map(|it| it.start_s), Some(51));
    }
}
