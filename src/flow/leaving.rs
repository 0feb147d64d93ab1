//! The window of a stream that throughput is judged over, as its sender saw it leave: it opens and
//! closes with packets that left on time, so that no stall of the sender stands at its ends.

use super::{EDGE, Steady};
use crate::account::{SentPart, SentWindow};
use crate::clock::Stamp;

/// A packet that left later than this, or than a quarter of its gap, was not on time.
const ON_TIME_NS: u64 = 100_000;

/// A gap that is longer than the schedule's by less than this, or than a quarter gap, is no stall.
const HELD_MIN_NS: u64 = 250_000;

/// The part of the steady time, in percent, below which no window between packets on time is.
const SNAPPED_MIN_PERCENT: u64 = 80;

/// A moment of the sender: what had left by then.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at_ns: u64,
    sequence: u64,
    held_ns: u64,
    paused_ns: u64,
    pauses: u64,
}

/// What left of one stream, as far as its window needs it. Times are nanoseconds after the stream's
/// first packet was due.
#[derive(Debug)]
pub(super) struct Leaving {
    began_ns: u64,
    gap_ns: u64,
    steady: Steady,
    /// When the packet before left; `None` where the load was paused since.
    before_ns: Option<u64>,
    held_ns: u64,
    /// When the packet left behind which the load was paused; `None` where it is not.
    paused_from_ns: Option<u64>,
    paused_ns: u64,
    pauses: u64,
    /// The first packet of the steady part and of its last third, and the first behind it, whether
    /// they left on time or not.
    first: Option<Mark>,
    third: Option<Mark>,
    next: Mark,
    /// The first packet of each that left on time, and the last of all.
    opened: Option<Mark>,
    third_opened: Option<Mark>,
    closed: Option<Mark>,
}

impl Leaving {
    /// Of a stream whose first packet is due at `start` and whose packets are `gap_ns` apart.
    pub(super) const fn new<C>(start: Stamp<C>, gap_ns: u64, steady: Steady) -> Self {
        Self {
            began_ns: start.nanos(),
            gap_ns,
            steady,
            before_ns: None,
            held_ns: 0,
            paused_from_ns: None,
            paused_ns: 0,
            pauses: 0,
            first: None,
            third: None,
            next: Mark { at_ns: 0, sequence: 0, held_ns: 0, paused_ns: 0, pauses: 0 },
            opened: None,
            third_opened: None,
            closed: None,
        }
    }

    /// Packets that left at once at `at_ns`, the first of them of number `sequence` and the last
    /// `late_ns` after it was due.
    pub(super) fn on_sent(&mut self, at_ns: u64, sequence: u64, packets: u64, late_ns: u64) {
        if let Some(before_ns) = self.before_ns.replace(at_ns) {
            let planned_ns = self.gap_ns.saturating_mul(packets);
            let beyond_ns = at_ns.saturating_sub(before_ns).saturating_sub(planned_ns);
            let is_judged = self.ramp_ns() <= before_ns && at_ns < self.steady.until_ns();
            if HELD_MIN_NS.max(self.gap_ns / 4) < beyond_ns && is_judged {
                self.held_ns += beyond_ns;
            }
        }
        if let Some(from_ns) = self.paused_from_ns.take() {
            self.paused_ns += at_ns.saturating_sub(from_ns).saturating_sub(self.gap_ns);
            self.pauses += 1;
        }
        let (held_ns, paused_ns, pauses) = (self.held_ns, self.paused_ns, self.pauses);
        let mark = Mark { at_ns, sequence, held_ns, paused_ns, pauses };
        if !self.steady.includes(at_ns) {
            return;
        }
        let is_third = self.steady.last_third_ns() <= at_ns;
        let is_on_time = late_ns <= ON_TIME_NS.max(self.gap_ns / 4);
        self.first.get_or_insert(mark);
        self.next = Mark { sequence: sequence + packets, ..mark };
        if is_third {
            self.third.get_or_insert(mark);
        }
        if is_on_time {
            self.opened.get_or_insert(mark);
            self.closed = Some(mark);
        }
        if is_on_time && is_third {
            self.third_opened.get_or_insert(mark);
        }
    }

    /// Until when the load rises to its rate: its gaps are those that were planned.
    const fn ramp_ns(&self) -> u64 {
        self.steady.from_ns().saturating_sub(EDGE.nanos())
    }

    /// The load is paused: the gap until the next packet is not the sender's.
    pub(super) fn on_paused(&mut self) {
        let before_ns = self.before_ns.take();
        self.paused_from_ns = self.paused_from_ns.or(before_ns);
    }

    /// The window of a stream that was sent until `ran_ns`, its pauses among it; `None` where
    /// nothing left in it. Of a trial that was cut short, what was never run is no time in which
    /// nothing was carried.
    pub(super) fn window(&self, ran_ns: u64) -> Option<SentWindow> {
        let (from_ns, until_ns) = (self.steady.from_ns(), self.steady.until_ns().min(ran_ns));
        if until_ns <= from_ns {
            return None;
        }
        let first = Mark { at_ns: from_ns, ..self.first? };
        // What is paused at the end has not been counted yet.
        let still_ns = self.paused_from_ns.map_or(0, |from_ns| until_ns.saturating_sub(from_ns));
        let last = Mark {
            at_ns: until_ns,
            paused_ns: self.paused_ns + still_ns.saturating_sub(self.gap_ns),
            pauses: self.pauses + u64::from(0 < still_ns),
            ..self.next
        };
        let enough_ns = (until_ns - from_ns) / 100 * SNAPPED_MIN_PERCENT;
        let snapped = self.opened.zip(self.closed);
        let snapped = snapped.filter(|(open, close)| enough_ns < close.at_ns - open.at_ns);
        let (open, close) = snapped.unwrap_or((first, last));
        let third_ns = self.steady.last_third_ns();
        // A third without any packet is empty, at the end.
        let third = self
            .third
            .map_or(Mark { at_ns: third_ns, ..close }, |third| Mark { at_ns: third_ns, ..third });
        let third = match (snapped, self.third_opened) {
            (Some(_), Some(opened)) if opened.at_ns < close.at_ns => opened,
            _ => third,
        };
        let whole = part(open, close);
        let before = close.held_ns.saturating_sub(third.held_ns);
        let last_third = SentPart { held_ns: before, ..part(third, close) };
        Some(SentWindow { began_ns: self.began_ns, whole, last_third })
    }
}

/// From `open` to `close`, whose packets may be the same.
fn part(open: Mark, close: Mark) -> SentPart {
    SentPart {
        start_ns: open.at_ns.min(close.at_ns),
        end_ns: close.at_ns,
        first: open.sequence.min(close.sequence),
        next: close.sequence,
        held_ns: close.held_ns,
        paused_ns: close.paused_ns.saturating_sub(open.paused_ns),
        pauses: close.pauses.saturating_sub(open.pauses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::units::Span;

    const MS: u64 = 1_000_000;

    /// To its end.
    const RAN_NS: u64 = 4_000 * MS;

    /// 1000 packets a second for 4 s, of which each leaves as late as `late_ms` says.
    fn sent(late_ms: impl Fn(u64) -> u64) -> Leaving {
        let steady = Steady::of(Span::from_secs(4));
        let mut leaving = Leaving::new(Stamp::<Driver>::from_nanos(7), MS, steady);
        for sequence in 0..4_000 {
            let late_ns = late_ms(sequence) * MS;
            leaving.on_sent(sequence * MS + late_ns, sequence, 1, late_ns);
        }
        leaving
    }

    const fn shape(part: &SentPart) -> (u64, u64, u64, u64, u64) {
        (part.start_ns / MS, part.end_ns / MS, part.first, part.next, part.held_ns / MS)
    }

    #[test]
    fn a_window_on_time_has_a_packet_for_each_gap() {
        let window = sent(|_| 0).window(RAN_NS).expect("it was sent");
        assert_eq!(window.began_ns, 7);
        assert_eq!(shape(&window.whole), (200, 3_799, 200, 3_799, 0));
        assert_eq!(shape(&window.last_third), (2_600, 3_799, 2_600, 3_799, 0));
    }

    #[test]
    fn a_window_opens_and_closes_with_packets_on_time() {
        // Held up until 230 ms, and again from 3700 ms on.
        let late = |sequence| match sequence {
            150..230 => 230 - sequence,
            3_700.. => 90,
            _ => 0,
        };
        let window = sent(late).window(RAN_NS).expect("it was sent");
        assert_eq!(shape(&window.whole), (230, 3_699, 230, 3_699, 80));
        assert_eq!(shape(&window.last_third), (2_600, 3_699, 2_600, 3_699, 0));
    }

    #[test]
    fn a_stall_is_held_by_what_is_beyond_its_gap() {
        let late = |sequence| if (3_000..3_020).contains(&sequence) { 3_020 - sequence } else { 0 };
        let window = sent(late).window(RAN_NS).expect("it was sent");
        assert_eq!((window.whole.held_ns, window.last_third.held_ns), (20 * MS, 20 * MS));
    }

    #[test]
    fn a_sender_that_is_never_on_time_has_the_whole_steady_part() {
        let window = sent(|_| 5).window(RAN_NS).expect("it was sent");
        assert_eq!(shape(&window.whole), (200, 3_800, 195, 3_795, 0));
        assert_eq!(shape(&window.last_third), (2_600, 3_800, 2_595, 3_795, 0));
    }

    #[test]
    fn a_pause_is_not_held() {
        let steady = Steady::of(Span::from_secs(4));
        let mut leaving = Leaving::new(Stamp::<Driver>::from_nanos(0), MS, steady);
        leaving.on_sent(200 * MS, 0, 1, 0);
        leaving.on_paused();
        leaving.on_sent(1_700 * MS, 1, 1, 0);
        let window = leaving.window(RAN_NS).expect("it was sent");
        assert_eq!(shape(&window.whole), (200, 3_800, 0, 2, 0));
        let pauses = |part: &SentPart| (part.paused_ns / MS, part.pauses);
        assert_eq!(pauses(&window.whole), (1_499, 1));
        leaving.on_paused();
        let window = leaving.window(RAN_NS).expect("it was sent");
        assert_eq!(pauses(&window.whole), (1_499 + 2_099, 2), "it is paused until the end");
        assert_eq!(pauses(&sent(|_| 0).window(RAN_NS).expect("sent").whole), (0, 0));
        assert_eq!(shape(&window.last_third), (2_600, 3_800, 2, 2, 0));
        let nothing = Leaving::new(Stamp::<Driver>::from_nanos(0), MS, steady);
        assert_eq!(nothing.window(RAN_NS), None);
    }

    /// 1000 packets a second, of 4 s of which 2 s ran.
    #[test]
    fn a_stream_that_was_cut_short_has_the_window_that_it_ran() {
        let steady = Steady::of(Span::from_secs(4));
        let cut = |late_ns| {
            let mut leaving = Leaving::new(Stamp::<Driver>::from_nanos(0), MS, steady);
            (0..2_000).for_each(|it| leaving.on_sent(it * MS + late_ns, it, 1, late_ns));
            leaving.window(2_000 * MS).expect("it was sent")
        };
        assert_eq!(shape(&cut(0).whole), (200, 1_999, 200, 1_999, 0));
        // Never on time.
        assert_eq!(shape(&cut(5 * MS).whole), (200, 2_000, 195, 2_000, 0));
        assert_eq!(shape(&cut(0).last_third), (1_999, 1_999, 1_999, 1_999, 0));
        let at_once = Leaving::new(Stamp::<Driver>::from_nanos(0), MS, steady);
        assert_eq!(at_once.window(200 * MS), None);
    }
}
