//! The sending end of a load stream: what leaves when, and an exact account of what did not.

use super::{HEARTBEAT, Next, PerSecond, SILENCE, Sequences, Stream};
use crate::clock::Stamp;
use crate::pace::{Bucket, Schedule};
use crate::stats::delays::Delays;
use crate::units::Span;
use crate::wire::load::Header;
use crate::wire::signal::Say;

/// How far behind its schedule a sender catches up; what is due longer is skipped.
const CATCH_UP_MAX: Span = Span::from_millis(50);

/// The longest train of a verdict trial, by time.
const TRAIN_MAX: Span = Span::from_nanos(250_000);

/// What a line's policer is taken to hold at least: 8 KiB, or 50 us at the rate.
const BURST_OCTETS: u64 = 8 << 10;
const BURST_SPAN: Span = Span::from_nanos(50_000);

/// The most catch-ups that are told apart; the last one then goes on to the end.
const EXCESS_MAX: usize = 1_024;

/// Sequence numbers that left faster than a policer of the stream's rate has to let through.
pub type Excess = Vec<Sequences>;

/// The sender's account of a stream: the authority for what was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SentCounts {
    /// Packets that the sending kernel accepted.
    pub sent: u64,
    /// Packets that this host's stack refused.
    pub refused: u64,
    /// Of those: packets that the device's queue dropped, and counts itself.
    pub queue_dropped: u64,
    /// Packets for which the path answered with an ICMP error, twice.
    pub unreachable: u64,
    /// Slots that passed while the peer was silent.
    pub paused: u64,
    /// Slots that this host was too slow for.
    pub skipped: u64,
    /// Packets accepted that were due in the steady part of the trial.
    pub steady: u64,
    /// When the last accepted packet was due, in nanoseconds after the first.
    pub last_due_ns: u64,
    /// Accepted packets by the second in which they were due.
    pub per_second: PerSecond,
    /// Packets that left in a catch-up beyond the burst bound.
    pub excess: Excess,
    /// How late packets left.
    pub lateness: Delays,
}

impl SentCounts {
    /// Adds the account of another stream of the same direction. Sequence numbers are a stream's
    /// own, so `excess` stays with the streams.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.refused += other.refused;
        self.queue_dropped += other.queue_dropped;
        self.unreachable += other.unreachable;
        self.paused += other.paused;
        self.skipped += other.skipped;
        self.steady += other.steady;
        self.last_due_ns = self.last_due_ns.max(other.last_due_ns);
        self.per_second.merge(&other.per_second);
        self.lateness.merge(&other.lateness);
    }
}

/// What a load sender puts on its socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outgoing {
    /// A load datagram.
    Load(Header),
    /// A signal, to keep the way back open while the load is paused.
    Signal(Say),
}

/// The sending end of a load stream.
///
/// The law of its use: [`Sender::poll`]; do what it says; tell it the result of a load datagram by
/// `on_sent`, `on_refused` or `on_unreachable`; poll again.
#[derive(Debug)]
pub struct Sender<C> {
    stream: Stream,
    schedule: Schedule<C>,
    slot: u64,
    heard: Stamp<C>,
    heartbeat_at: Stamp<C>,
    paced: Bucket<C>,
    policed: Bucket<C>,
    in_excess: bool,
    counts: SentCounts,
}

impl<C> Sender<C> {
    /// A sender of `stream` whose first packet is due at `start`.
    #[must_use]
    pub fn new(stream: Stream, start: Stamp<C>) -> Self {
        let schedule = Schedule::new(start, stream.rate, stream.slots);
        let octets = u64::from(stream.payload).max(1);
        let within = |span: Span| stream.rate.packets_in(span);
        let burst = (BURST_OCTETS / octets).max(within(BURST_SPAN)).max(1);
        let train = within(TRAIN_MAX).min(burst).max(1);
        let gap_ns = stream.rate.due(1).nanos();
        Self {
            stream,
            schedule,
            slot: 0,
            heard: start,
            heartbeat_at: start,
            paced: Bucket::new(gap_ns / 2, train),
            policed: Bucket::new(gap_ns, burst),
            in_excess: false,
            counts: SentCounts::default(),
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Stamp<C>) -> Next<C, Outgoing> {
        if self.is_silent(now) {
            return self.pause(now);
        }
        self.skip_what_is_too_late(now);
        if self.slot == self.schedule.slots() {
            return Next::Done;
        }
        let due = self.schedule.due(self.slot);
        let ready = due.max(self.paced.room_at());
        if now < ready {
            return Next::Wait(ready);
        }
        Next::Send(Outgoing::Load(Header {
            stream: self.stream.number,
            token: self.stream.token,
            sequence: self.counts.sent,
            due_ns: self.schedule.due_after_start(self.slot).nanos(),
            lateness_ns: u32::try_from(now.nanos_since(due)).unwrap_or(u32::MAX),
        }))
    }

    /// The kernel accepted the load datagram polled at `now`.
    pub fn on_sent(&mut self, now: Stamp<C>) {
        let due_ns = self.schedule.due_after_start(self.slot).nanos();
        let lateness = now.nanos_since(self.schedule.due(self.slot));
        self.note_excess(now, lateness);
        self.paced.take(now);
        self.counts.lateness.record(lateness);
        self.counts.per_second.count(due_ns);
        self.counts.last_due_ns = due_ns;
        self.counts.steady += u64::from(self.stream.steady.includes(due_ns));
        self.counts.sent += 1;
        self.slot += 1;
    }

    /// This host's stack refused the load datagram: its slot is gone.
    pub const fn on_refused(&mut self) {
        self.counts.refused += 1;
        self.slot += 1;
    }

    /// The device's queue dropped the load datagram, and said so: it was refused.
    pub const fn on_queue_dropped(&mut self) {
        self.counts.queue_dropped += 1;
        self.on_refused();
    }

    /// The path answered with an ICMP error, and did so again when the send was repeated.
    pub const fn on_unreachable(&mut self) {
        self.counts.unreachable += 1;
        self.slot += 1;
    }

    /// The receiver said that it is alive.
    pub fn on_heard(&mut self, now: Stamp<C>) {
        if self.is_silent(now) {
            self.pass_paused_slots(now);
        }
        self.heard = now;
    }

    /// Whether nothing has been heard for [`SILENCE`].
    #[must_use]
    pub fn is_silent(&self, now: Stamp<C>) -> bool {
        SILENCE.nanos() < now.nanos_since(self.heard)
    }

    /// The account so far.
    #[must_use]
    pub const fn counts(&self) -> &SentCounts {
        &self.counts
    }

    /// The account, closed.
    #[must_use]
    pub fn into_counts(self) -> SentCounts {
        self.counts
    }

    fn pause(&mut self, now: Stamp<C>) -> Next<C, Outgoing> {
        self.pass_paused_slots(now);
        if self.slot == self.schedule.slots() {
            return Next::Done;
        }
        if now < self.heartbeat_at {
            return Next::Wait(self.heartbeat_at);
        }
        self.heartbeat_at = now.after_nanos(HEARTBEAT.nanos());
        Next::Send(Outgoing::Signal(Say::Heartbeat { received: 0, next: 0 }))
    }

    fn pass_paused_slots(&mut self, now: Stamp<C>) {
        let passed = self.schedule.due_before(now).max(self.slot);
        self.counts.paused += passed - self.slot;
        self.slot = passed;
    }

    fn skip_what_is_too_late(&mut self, now: Stamp<C>) {
        let oldest = Stamp::from_nanos(now.nanos().saturating_sub(CATCH_UP_MAX.nanos()));
        let first = self.schedule.due_before(oldest);
        if self.slot < first {
            self.counts.skipped += first - self.slot;
            self.slot = first;
        }
    }

    /// A catch-up is in excess from the first packet that the policer has no room for to the last
    /// that leaves late by more than its gap: what the line drops in it may be the sender's doing.
    fn note_excess(&mut self, now: Stamp<C>, lateness_ns: u64) {
        let conforms = self.policed.take(now);
        self.in_excess =
            !conforms || self.in_excess && self.stream.rate.due(1).nanos() < lateness_ns;
        if !self.in_excess {
            return;
        }
        let sequence = self.counts.sent;
        let full = self.counts.excess.len() == EXCESS_MAX;
        match self.counts.excess.last_mut() {
            Some(last) if last.end == sequence || full => last.end = sequence + 1,
            _ => self.counts.excess.push(sequence..sequence + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::flow::Steady;
    use crate::plan::Direction;
    use crate::units::PacketRate;
    use crate::wire::Token;

    const MS: u64 = 1_000_000;

    fn stream(per_second: u64, seconds: u64) -> Stream {
        let rate = PacketRate::new(per_second).expect("a rate");
        Stream {
            number: 1,
            token: Token(9),
            direction: Direction::Forward,
            rate,
            slots: per_second * seconds,
            payload: 1_000,
            steady: Steady::of(Span::from_secs(seconds)),
        }
    }

    fn sender(per_second: u64, seconds: u64) -> Sender<Driver> {
        Sender::new(stream(per_second, seconds), Stamp::from_nanos(0))
    }

    /// Polls from `from_ms` to `until_ms` with a clock that moves to each wait's end; a heartbeat
    /// comes each 100 ms where `heard`.
    fn run(sender: &mut Sender<Driver>, from_ms: u64, until_ms: u64, heard: bool) {
        let mut now = Stamp::from_nanos(from_ms * MS);
        while now < Stamp::from_nanos(until_ms * MS) {
            if heard {
                sender.on_heard(now);
            }
            match sender.poll(now) {
                Next::Send(Outgoing::Load(_)) => sender.on_sent(now),
                Next::Send(Outgoing::Signal(_)) => {}
                Next::Wait(until) => now = until,
                Next::Done => return,
            }
        }
    }

    #[test]
    fn a_stream_that_is_never_late_is_sent_whole() {
        let mut sender = sender(1_000, 2);
        run(&mut sender, 0, 3_000, true);
        assert_eq!(sender.poll(Stamp::from_nanos(3_000 * MS)), Next::Done);
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.steady), (2_000, 1_600));
        assert_eq!((counts.skipped, counts.paused, counts.refused), (0, 0, 0));
        assert_eq!(counts.per_second.counts(), [1_000, 1_000]);
        assert!(counts.excess.is_empty());
    }

    #[test]
    fn a_short_stall_is_caught_up_at_twice_the_rate_and_told() {
        let mut sender = sender(1_000, 1);
        run(&mut sender, 0, 100, true);
        run(&mut sender, 140, 1_200, true);
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.skipped), (1_000, 0));
        let (first, last) = (&counts.excess[0], &counts.excess[counts.excess.len() - 1]);
        assert!(100 < first.start && first.start < 120, "8 of 1000 octets conform: {first:?}");
        assert!(last.end <= 181, "caught up after twice the stall: {last:?}");
    }

    #[test]
    fn a_long_stall_is_skipped_but_for_its_end() {
        let mut sender = sender(1_000, 2);
        run(&mut sender, 0, 100, true);
        run(&mut sender, 600, 2_200, true);
        let counts = sender.into_counts();
        assert_eq!(counts.sent + counts.skipped, 2_000);
        assert!((440..=460).contains(&counts.skipped), "{}", counts.skipped);
    }

    #[test]
    fn silence_pauses_and_a_word_resumes() {
        let mut sender = sender(1_000, 4);
        run(&mut sender, 0, 100, true);
        run(&mut sender, 100, 2_500, false);
        assert!(sender.is_silent(Stamp::from_nanos(2_500 * MS)));
        run(&mut sender, 2_500, 4_200, true);
        let counts = sender.into_counts();
        assert_eq!(counts.sent + counts.paused, 4_000);
        assert!((1_380..=1_402).contains(&counts.paused), "{}", counts.paused);
    }

    #[test]
    fn a_paused_sender_keeps_the_way_back_open_ten_times_a_second() {
        let mut sender = sender(1_000, 4);
        let mut now = Stamp::from_nanos(1_001 * MS);
        let mut signals = 0;
        while now < Stamp::from_nanos(2_001 * MS) {
            match sender.poll(now) {
                Next::Send(Outgoing::Signal(_)) => signals += 1,
                Next::Send(Outgoing::Load(_)) => panic!("load went into the silence"),
                Next::Wait(until) => now = until,
                Next::Done => panic!("ended early"),
            }
        }
        assert_eq!(signals, 10);
    }

    #[test]
    fn a_refused_packet_leaves_no_gap_in_the_sequence() {
        let mut sender = sender(1_000, 1);
        let now = Stamp::from_nanos(0);
        assert!(matches!(sender.poll(now), Next::Send(Outgoing::Load(Header { sequence: 0, .. }))));
        sender.on_refused();
        let now = Stamp::from_nanos(MS);
        let next = sender.poll(now);
        assert!(matches!(next, Next::Send(Outgoing::Load(Header { sequence: 0, due_ns: MS, .. }))));
    }

    #[test]
    fn a_fast_stream_may_send_the_trains_of_the_burst_bound() {
        // 100 000 packets/s of 1000 octets: 25 in 250 us, 8 of them in 8 KiB.
        let mut sender = sender(100_000, 1);
        let now = Stamp::from_nanos(MS);
        sender.on_heard(now);
        let mut train = 0;
        while let Next::Send(_) = sender.poll(now) {
            sender.on_sent(now);
            train += 1;
        }
        assert_eq!(train, 8);
    }
}
