//! The sending end of a load stream: what leaves when, and an exact account of what did not.
//!
//! Packets leave in trains: as many as the burst bound allows at once, so one system call may send
//! them all. A train leaves when the last of its packets is due, so that none is ever early. At
//! rates that a host sends packet by packet a train is one packet.

use super::departures::Departures;
use super::leaving::Leaving;
use super::{LATE_MAX, Next, Stream};
use crate::account::{CatchUp, EXCESS_MAX, SenderCounts, Waiting};
use crate::clock::Stamp;
use crate::pace::{Bucket, Schedule, Turns};
use crate::units::Span;
use crate::wire::load::Header;
use crate::wire::signal::Say;

/// How far behind its schedule a sender catches up; what is due longer is skipped.
const CATCH_UP_MAX: Span = Span::from_millis(50);

/// A sender that is less far behind catches up by gaps that are shorter by an [`EASE`]th: the
/// stream stays even. It has to be awake for that: each sleep ends late by more.
const AT_EASE: Span = Span::from_millis(5);
const EASE: u64 = 16;

/// The shortest such gap between trains: shorter ones it cannot time so exactly.
const EASED_MIN: Span = Span::from_nanos(16_000);

/// Others catch up by gaps that are this part.
const HURRY: u64 = 2;

/// The steps in which a load rises to its rate: each is a tenth of it.
const RAMP_STEPS: u64 = 10;

/// Packets that a capacity trial hands to the kernel in one call, where they are no train.
pub const BATCH_MAX: u32 = 64;

/// Load datagrams that leave at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Train {
    first: Header,
    since_start_ns: u64,
    turns: Turns,
    packets: u32,
}

impl Train {
    /// How many; at least one.
    #[must_use]
    pub const fn packets(&self) -> u32 {
        self.packets
    }

    /// The header of each, in their order.
    pub fn headers(&self) -> impl Iterator<Item = Header> + use<> {
        let Self { first, since_start_ns, turns, packets } = *self;
        (first.sequence..).zip(turns).take(packets as usize).map(move |(sequence, due_ns)| {
            let late_ns = since_start_ns.saturating_sub(due_ns);
            Header {
                sequence,
                due_ns,
                lateness_ns: u32::try_from(late_ns).unwrap_or(u32::MAX),
                ..first
            }
        })
    }
}

/// What a load sender puts on its socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outgoing {
    /// Load datagrams.
    Load(Train),
    /// A signal that the receiver echoes: nothing else may prove that it is alive, and while the
    /// load is paused it keeps the way back open. What left is reported to [`Sender::on_said`].
    Signal(Say),
}

/// The sending end of a load stream.
///
/// The law of its use: [`Sender::poll`]; do what it says; report the result of the train's first
/// packets by `on_sent`, `on_refused` or `on_unreachable`; poll again. Packets of a train of which
/// nothing was reported are polled again.
#[derive(Debug)]
pub struct Sender<C> {
    stream: Stream,
    start: Stamp<C>,
    schedule: Schedule<C>,
    train: u64,
    train_max: u64,
    gap_ns: u64,
    train_gap: Span,
    slot: u64,
    /// The slots in which the load rises to its rate.
    ramp_slots: u64,
    /// When it was last polled.
    polled: Stamp<C>,
    /// As of when the receiver is proven to have been alive.
    heard: Stamp<C>,
    /// By how much the round trip has risen above that of the idle link, at most.
    rise: Span,
    departures: Departures<C>,
    heartbeat_at: Stamp<C>,
    paced: Bucket<C>,
    /// The train before left so late that the next is in a catch-up.
    was_late: bool,
    policed: Bucket<C>,
    in_excess: bool,
    leaving: Leaving,
    counts: SenderCounts,
}

impl<C> Sender<C> {
    /// A sender of `stream` whose first packet is due at `start`.
    #[must_use]
    pub fn new(stream: Stream, start: Stamp<C>) -> Self {
        let schedule = Schedule::new(start, stream.rate, stream.slots);
        let train = u64::from(stream.train).max(1);
        // Who goes as fast as it can is never on time: what it hands over at once is no burst.
        let train_max = match (stream.capacity, train) {
            (true, 1) => BATCH_MAX.into(),
            _ => train,
        };
        let gap_ns = stream.rate.due(1).nanos();
        Self {
            stream,
            start,
            schedule,
            train,
            train_max,
            gap_ns,
            train_gap: stream.rate.due(train),
            slot: 0,
            ramp_slots: stream.rate.packets_in(stream.ramp),
            polled: start,
            heard: start,
            rise: Span::default(),
            heartbeat_at: start.after_nanos(stream.life.first.nanos()),
            departures: Departures::default(),
            paced: Bucket::new(gap_ns / HURRY, train_max),
            was_late: false,
            policed: Bucket::new(gap_ns, stream.burst.into()),
            in_excess: false,
            leaving: Leaving::new(start, gap_ns, stream.steady),
            counts: SenderCounts::default(),
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Stamp<C>) -> Next<C, Outgoing> {
        self.skip_stall(now);
        self.polled = now;
        if self.is_silent(now) {
            return self.pause(now);
        }
        if self.asks_at() <= now {
            return self.ask(now);
        }
        self.skip_what_is_too_late(now);
        self.pass_over_in_ramp();
        let left = self.schedule.slots() - self.slot;
        if left == 0 {
            return Next::Done;
        }
        let train = self.train.min(left);
        let ready = self.schedule.due(self.slot + train - 1).max(self.paced.room_at(train));
        if now < ready {
            return Next::Wait(ready.min(self.asks_at()));
        }
        let packets = match self.train_max {
            max if max == self.train => train,
            max => (self.schedule.due_before(now) - self.slot).clamp(train, max.min(left)),
        };
        Next::Send(Outgoing::Load(Train {
            first: Header {
                stream: self.stream.number,
                token: self.stream.token,
                sequence: self.counts.sent,
                due_ns: 0,
                lateness_ns: 0,
            },
            since_start_ns: now.nanos_since(self.start),
            turns: self.schedule.turns(self.slot),
            packets: u32::try_from(packets).unwrap_or(BATCH_MAX),
        }))
    }

    /// The kernel accepted the first `packets` of the train polled at `now`, cut where `segmented`.
    pub fn on_sent(&mut self, now: Stamp<C>, packets: u32, segmented: bool) {
        let count = u64::from(packets);
        let Some(last) = count.checked_sub(1).map(|above_first| self.slot + above_first) else {
            return;
        };
        let first_ns = self.schedule.due_after_start(self.slot).nanos();
        let last_ns = self.schedule.due_after_start(last).nanos();
        let lateness = now.nanos_since(self.start).saturating_sub(last_ns);
        let steady = self.stream.steady;
        if !self.stream.capacity {
            self.note_excess(now, packets);
        }
        let second = |due_ns: u64| due_ns / Span::from_secs(1).nanos();
        if second(first_ns) == second(last_ns)
            && steady.includes(first_ns) == steady.includes(last_ns)
        {
            self.counts.per_second.add(first_ns, count);
            self.counts.steady += count * u64::from(steady.includes(first_ns));
        } else {
            for due_ns in self.schedule.turns(self.slot).take(packets as usize) {
                self.counts.per_second.add(due_ns, 1);
                self.counts.steady += u64::from(steady.includes(due_ns));
            }
        }
        self.counts.lateness.record_many(lateness, count);
        let since_start_ns = now.nanos_since(self.start);
        self.leaving.on_sent(since_start_ns, self.counts.sent, count, lateness);
        self.counts.last_due_ns = last_ns;
        self.counts.segmented += count * u64::from(segmented);
        self.counts.burst = self.counts.burst.max(packets);
        self.counts.sent += count;
        self.departures.on_load(now, self.counts.sent);
        let planned = self.start.after_nanos(last_ns).max(self.paced.room_at(self.train));
        self.slot += count;
        self.pace(now, planned, count);
    }

    /// Sets the earliest time of the next train, behind `count` packets that left `now` and were to
    /// leave when `planned`.
    ///
    /// A sender that sleeps wakes up late each time. In a catch-up the next gap therefore counts
    /// from when the train was to leave: counted from when it left, each gap would lose the time
    /// that it overslept, and at short gaps never catch up. That credit is never more than what a
    /// policer holds, and the first late train has none.
    fn pace(&mut self, now: Stamp<C>, planned: Stamp<C>, count: u64) {
        let next_due = self.schedule.due(self.slot + self.train - 1);
        let gap_ns = self.gap_behind(now, next_due);
        let held = u64::from(self.stream.burst).saturating_sub(self.train);
        let credited = Stamp::from_nanos(now.nanos().saturating_sub(gap_ns.saturating_mul(held)));
        let from = if self.was_late { planned.max(credited).min(now) } else { now };
        let span_ns = gap_ns.saturating_mul(count);
        self.paced.fill(from, span_ns);
        self.was_late = next_due < now.after_nanos(span_ns);
    }

    /// The shortest gap behind a packet that leaves `now`, in a catch-up: the next is due at
    /// `next_due`.
    fn gap_behind(&self, now: Stamp<C>, next_due: Stamp<C>) -> u64 {
        let is_eased = self.counts.waiting != Waiting::Asleep
            && EASED_MIN <= self.train_gap
            && now.nanos_since(next_due) <= AT_EASE.nanos();
        if is_eased { self.gap_ns - self.gap_ns / EASE } else { self.gap_ns / HURRY }
    }

    /// This host's stack refused the next `packets` of the train: their slots are gone.
    pub fn on_refused(&mut self, packets: u32) {
        self.counts.refused += u64::from(packets);
        self.slot += u64::from(packets);
    }

    /// The device's queue dropped the next `packets` of the train, and said so: they were refused.
    pub fn on_queue_dropped(&mut self, packets: u32) {
        self.counts.queue_dropped += u64::from(packets);
        self.on_refused(packets);
    }

    /// The agent's meter stopped the next `packets` of the train that was polled at `now`: with
    /// them, all that the agent sends would exceed its limit. A catch-up was not due any more, and
    /// is skipped.
    pub fn on_metered(&mut self, now: Stamp<C>, packets: u32) {
        let last = (self.slot + u64::from(packets)).saturating_sub(1);
        let is_late =
            self.stream.rate.due(self.train).nanos() < now.nanos_since(self.schedule.due(last));
        self.counts.metered += u64::from(packets);
        if is_late {
            self.counts.skipped += u64::from(packets);
            self.slot += u64::from(packets);
        } else {
            self.on_refused(packets);
        }
    }

    /// The path answered the next `packets` of the train with an ICMP error, and did so again when
    /// the send was repeated.
    pub fn on_unreachable(&mut self, packets: u32) {
        self.counts.unreachable += u64::from(packets);
        self.slot += u64::from(packets);
    }

    /// How it waits, and the buffer that it has: for its account.
    pub const fn on_ready(&mut self, waiting: Waiting, buffer: u64) {
        self.counts.waiting = waiting;
        self.counts.buffer_octets = Some(buffer);
    }

    /// A fresh heartbeat came: the receiver has seen the load up to the number before `next`, and
    /// this end's signals up to the counter before `echo`. It was alive when the newest of those
    /// left; whatever came later, or from wherever, proves no more.
    pub fn on_heard(&mut self, now: Stamp<C>, next: u64, echo: u64) {
        if let Some(left) = self.departures.newest_seen(next, echo) {
            self.on_alive(now, left);
        }
    }

    /// A signal of this counter left at `now`.
    pub fn on_said(&mut self, now: Stamp<C>, counter: u64) {
        self.departures.on_signal(now, counter);
    }

    /// The far end is proven at `now` to have been alive at `alive_at`, by this stream or another
    /// of its direction: their heartbeats are one series.
    pub fn on_alive(&mut self, now: Stamp<C>, alive_at: Stamp<C>) {
        if alive_at <= self.heard {
            return;
        }
        self.skip_stall(now);
        if self.is_silent(now) {
            self.pass_paused_slots(now);
        }
        self.heard = alive_at;
    }

    /// As of when the far end is proven to have been alive.
    #[must_use]
    pub const fn alive_at(&self) -> Stamp<C> {
        self.heard
    }

    /// Fresh replies have shown the round trip to rise by this much above that of the idle link: a
    /// queue that has filled since holds heartbeats back, and is no silence. More than [`LATE_MAX`]
    /// does not count.
    pub fn on_rise(&mut self, rise: Span) {
        self.rise = self.rise.max(rise.min(LATE_MAX));
    }

    /// Whether nothing has been heard for so long that the far end must be taken for dead.
    #[must_use]
    pub fn is_silent(&self, now: Stamp<C>) -> bool {
        self.stream.life.silence.plus(self.rise).nanos() < now.nanos_since(self.heard)
    }

    /// The account so far.
    #[must_use]
    pub const fn counts(&self) -> &SenderCounts {
        &self.counts
    }

    /// The account, closed.
    #[must_use]
    pub fn into_counts(self) -> SenderCounts {
        // All slots before it were sent, or passed over for a reason that is counted.
        let ran_ns = self.schedule.due_after_start(self.slot).nanos();
        self.counts.of_stream(self.stream.number, self.leaving.window(ran_ns))
    }

    fn pause(&mut self, now: Stamp<C>) -> Next<C, Outgoing> {
        self.pass_paused_slots(now);
        if self.slot == self.schedule.slots() {
            return Next::Done;
        }
        if now < self.heartbeat_at {
            return Next::Wait(self.heartbeat_at);
        }
        self.ask(now)
    }

    /// When the receiver is asked for a sign of life, unless it gives one before: where so few
    /// packets leave that half of the silence passes without one that it has seen, or it sees none.
    /// What stands in a queue comes; to ask for it would only fill that queue.
    fn asks_at(&self) -> Stamp<C> {
        let half_ns = self.stream.life.silence.nanos() / 2;
        self.heartbeat_at.max(self.heard.after_nanos(self.rise.nanos().saturating_add(half_ns)))
    }

    fn ask(&mut self, now: Stamp<C>) -> Next<C, Outgoing> {
        self.heartbeat_at = now.after_nanos(self.stream.life.every.nanos());
        Next::Send(Outgoing::Signal(Say::Heartbeat { received: 0, next: 0, echo: 0, rise_ms: 0 }))
    }

    fn pass_paused_slots(&mut self, now: Stamp<C>) {
        let passed = self.schedule.due_before(now).max(self.slot);
        self.counts.paused += passed - self.slot;
        self.leaving.on_paused();
        self.slot = passed;
    }

    /// Where it was held up itself, and so heard nobody, those slots are its own, and no pause.
    fn skip_stall(&mut self, now: Stamp<C>) {
        if !self.is_silent(self.polled) && CATCH_UP_MAX.nanos() < now.nanos_since(self.polled) {
            self.skip_what_is_too_late(now);
        }
    }

    /// While the load rises to its rate, trains are left out evenly: of ten so many leave as steps
    /// have begun.
    fn pass_over_in_ramp(&mut self) {
        while self.slot < self.ramp_slots {
            let step = 1 + self.slot * RAMP_STEPS / self.ramp_slots;
            let train = self.slot / self.train;
            if train * step / RAMP_STEPS < (train + 1) * step / RAMP_STEPS {
                return;
            }
            let next = ((train + 1) * self.train).min(self.schedule.slots());
            self.counts.ramped += next - self.slot;
            self.slot = next;
        }
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
    /// that leaves late by more than its gap and its train: of what the link drops in it, as many
    /// as the policer has no room for may be the sender's doing.
    fn note_excess(&mut self, now: Stamp<C>, packets: u32) {
        let since_start_ns = now.nanos_since(self.start);
        let late_ns = self.train_gap.nanos();
        let turns = self.schedule.turns(self.slot).take(packets as usize);
        for (sequence, due_ns) in (self.counts.sent..).zip(turns) {
            let is_late = late_ns < since_start_ns.saturating_sub(due_ns);
            let is_beyond = !self.policed.take(now);
            self.in_excess = is_beyond || self.in_excess && is_late;
            if self.in_excess {
                self.add_excess(sequence, is_beyond);
            }
        }
    }

    fn add_excess(&mut self, sequence: u64, is_beyond: bool) {
        // The last one that is counted by itself then goes on to the end.
        let full = self.counts.excess.len() == EXCESS_MAX;
        let (end, beyond_packets) = (sequence + 1, u64::from(is_beyond));
        self.counts.excess_packets += beyond_packets;
        match self.counts.excess.last_mut() {
            Some(last) if last.end == sequence || full => {
                last.end = end;
                last.beyond_packets += beyond_packets;
            }
            _ => self.counts.excess.push(CatchUp { start: sequence, end, beyond_packets }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::direction::Direction;
    use crate::flow::{Liveness, Steady};
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
            train: 1,
            burst: 8,
            capacity: false,
            steady: Steady::of(Span::from_secs(seconds)),
            dscp: crate::trial::Dscp::default(),
            life: Liveness::default(),
            silence_min: crate::account::SILENCE_MIN,
            ramp: Span::default(),
        }
    }

    fn sender(per_second: u64, seconds: u64) -> Sender<Driver> {
        Sender::new(stream(per_second, seconds), Stamp::from_nanos(0))
    }

    /// Polls from `from_ms` to `until_ms` with a clock that moves to each wait's end; where
    /// `heard`, the receiver has seen at once what leaves, and says so.
    fn run(sender: &mut Sender<Driver>, from_ms: u64, until_ms: u64, heard: bool) {
        let mut now = Stamp::from_nanos(from_ms * MS);
        while now < Stamp::from_nanos(until_ms * MS) {
            if heard {
                sender.on_heard(now, u64::MAX, u64::MAX);
            }
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => sender.on_sent(now, train.packets(), false),
                Next::Send(Outgoing::Signal(_)) => sender.on_said(now, now.nanos()),
                Next::Wait(until) => now = until,
                Next::Done => return,
            }
        }
    }

    /// A load of 1000 packets a second that rises to its rate for 5 s of 10: a tenth of them in the
    /// first half second, two in the next, and so on; evenly, and none late.
    #[test]
    fn a_load_rises_to_its_rate_by_steps_of_a_tenth() {
        let ramp = Span::from_secs(5);
        let rate = PacketRate::new(1_000).expect("a rate");
        let load = crate::trial::Load::new(
            crate::direction::Directions::Forward,
            1,
            1_000,
            rate,
            crate::trial::LoadKind::FixedRate,
        );
        let trial = crate::trial::Trial::new(load.ok(), Span::from_secs(10)).expect("a trial");
        let trial = trial.with_ramp(ramp).expect("5 s are left");
        let stream = crate::flow::streams_of(&trial)[1];
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        let (mut sent, mut now) = (Vec::new(), Stamp::from_nanos(0));
        loop {
            sender.on_alive(now, now);
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => {
                    sent.extend(train.headers().map(|header| header.due_ns / MS));
                    sender.on_sent(now, train.packets(), false);
                }
                Next::Send(Outgoing::Signal(_)) => sender.on_said(now, 0),
                Next::Wait(until) => now = until,
                Next::Done => break,
            }
        }
        let within =
            |from: u64, until: u64| sent.iter().filter(|due| (from..until).contains(*due)).count();
        let steps: Vec<usize> = (0..10).map(|step| within(step * 500, step * 500 + 500)).collect();
        assert_eq!(steps, [50, 100, 150, 200, 250, 300, 350, 400, 450, 500]);
        assert_eq!(within(5_000, 10_000), 5_000);
        let longest = sent.array_windows().map(|[one, next]| next - one).max();
        assert_eq!(longest, Some(10), "one in ten, evenly");
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.ramped, counts.skipped), (7_750, 2_250, 0));
        assert_eq!(counts.steady, 4_600, "what is judged begins behind the ramp");
        let window = counts.streams[0].window.expect("packets in it");
        assert_eq!(window.whole.held_ns, 0, "its gaps were planned");
        assert!(5_200 * MS <= window.whole.start_ns, "{window:?}");
    }

    /// 1000 packets a second; the meter stops one on time, and one that is 2 ms late.
    #[test]
    fn what_the_meter_stops_is_refused_or_if_late_skipped() {
        let mut sender = Sender::<Driver>::new(stream(1_000, 1), Stamp::from_nanos(0));
        sender.on_metered(Stamp::from_nanos(MS), 1);
        sender.on_metered(Stamp::from_nanos(3 * MS + 1), 1);
        let counts = sender.into_counts();
        assert_eq!((counts.refused, counts.skipped, counts.metered), (1, 1, 2));
    }

    #[test]
    fn a_stream_that_is_never_late_is_sent_whole() {
        let mut sender = sender(1_000, 2);
        run(&mut sender, 0, 3_000, true);
        assert_eq!(sender.poll(Stamp::from_nanos(3_000 * MS)), Next::Done);
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.steady), (2_000, 1_600));
        assert_eq!((counts.skipped, counts.paused, counts.refused), (0, 0, 0));
        assert_eq!(counts.per_second.seconds(), [1_000, 1_000]);
        assert!(counts.excess.is_empty());
    }

    /// Gaps between departures where the next packet is polled `late_us` behind its time, and all
    /// others on time.
    fn gaps_behind(waiting: Waiting, per_second: u64, late_us: u64, count: usize) -> Vec<u64> {
        let mut sender = sender(per_second, 1);
        sender.on_ready(waiting, 0);
        run(&mut sender, 0, 100, true);
        let mut now = Stamp::from_nanos(100 * MS + late_us * 1_000);
        let mut left = Vec::new();
        while left.len() <= count {
            match sender.poll(now) {
                Next::Send(_) => {
                    sender.on_sent(now, 1, false);
                    left.push(now.nanos());
                }
                Next::Wait(until) => now = until,
                Next::Done => panic!("ended early"),
            }
        }
        assert!(sender.into_counts().excess.is_empty());
        left.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect()
    }

    #[test]
    fn a_sender_that_is_a_little_late_catches_up_evenly() {
        assert_eq!(gaps_behind(Waiting::Awake, 10_000, 30, 6), [93, 93, 93, 93, 95, 100]);
        let gaps = gaps_behind(Waiting::Awake, 10_000, 700, 120);
        assert!(gaps[..111].iter().all(|gap| (93..=94).contains(gap)), "{gaps:?}");
        assert_eq!(gaps[113..], [100; 7]);
    }

    #[test]
    fn a_sender_that_sleeps_is_on_time_again_as_soon_as_half_gaps_allow() {
        assert_eq!(gaps_behind(Waiting::Asleep, 10_000, 30, 2), [70, 100]);
        assert_eq!(gaps_behind(Waiting::Asleep, 10_000, 130, 4), [50, 50, 70, 100]);
    }

    #[test]
    fn gaps_that_are_too_short_to_be_eased_are_halved() {
        assert_eq!(gaps_behind(Waiting::Awake, 62_500, 20, 3), [15, 15, 15]);
        assert_eq!(gaps_behind(Waiting::Awake, 100_000, 20, 5), [5, 5, 5, 5, 10]);
    }

    #[test]
    fn a_short_stall_is_caught_up_at_twice_the_rate_and_reported() {
        // Asleep: twice the stall. Awake: 35 ms at twice the rate, the last 5 by eased gaps.
        for (waiting, most) in [(Waiting::Asleep, 181), (Waiting::Awake, 100 + 70 + 5 * EASE + 1)] {
            let mut sender = sender(1_000, 1);
            sender.on_ready(waiting, 0);
            run(&mut sender, 0, 100, true);
            run(&mut sender, 140, 1_200, true);
            let counts = sender.into_counts();
            assert_eq!((counts.sent, counts.skipped), (1_000, 0));
            let (first, last) = (&counts.excess[0], &counts.excess[counts.excess.len() - 1]);
            assert!(100 < first.start && first.start < 120, "8 of 1000 octets conform: {first:?}");
            assert!(last.end <= most, "caught up by then, {waiting:?}: {last:?}");
        }
    }

    /// Sends for `until_ms` from a host that wakes `oversleeps_us` late from each wait, and stalls
    /// for so long at each of `stalls`, both in ms.
    fn run_on_host(
        sender: &mut Sender<Driver>,
        oversleeps_us: u64,
        stalls: &[(u64, u64)],
        until_ms: u64,
    ) -> Vec<u64> {
        let (mut now, mut stalls, mut left) = (0, stalls.iter().peekable(), Vec::new());
        while now < until_ms * MS {
            if let Some((_, for_ms)) = stalls.next_if(|(at_ms, _)| at_ms * MS <= now) {
                now += for_ms * MS;
            }
            sender.on_heard(Stamp::from_nanos(now), u64::MAX, u64::MAX);
            match sender.poll(Stamp::from_nanos(now)) {
                Next::Send(Outgoing::Load(train)) => {
                    sender.on_sent(Stamp::from_nanos(now), train.packets(), false);
                    left.push(now);
                    // What a system call takes.
                    now += 1_000;
                }
                Next::Send(Outgoing::Signal(_)) => sender.on_said(Stamp::from_nanos(now), now),
                Next::Wait(until) => now = until.nanos() + oversleeps_us * 1_000,
                Next::Done => break,
            }
        }
        left
    }

    /// 250 Mbit/s in full frames are 20 587 packets a second, a gap of 48.6 us, and this host
    /// oversleeps by 30 us. Counted from when each packet left, a catch-up by half gaps would be
    /// slower than the schedule.
    #[test]
    fn a_sender_that_sleeps_recovers_above_17_000_packets_a_second() {
        for waiting in [Waiting::Asleep, Waiting::Awake, Waiting::AwakeFirst] {
            let rate = PacketRate::of(250_000_000, 8 * 1_518).expect("a rate");
            let slots = rate.packets_in(Span::from_secs(2));
            let stream = Stream { rate, slots, burst: 5, ..stream(1, 2) };
            let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
            sender.on_ready(waiting, 0);
            run_on_host(&mut sender, 30, &[(200, 20), (900, 40)], 3_000);
            let counts = sender.into_counts();
            assert_eq!((counts.sent, counts.skipped), (slots, 0), "{waiting:?}");
            // Of 2 s, it is held up for 60 ms, and even gaps catch up 5 of them in 80.
            let p80 = counts.lateness.quantile(0.8);
            let Some(crate::stats::delays::Delay::Finite(p80_ns)) = p80 else { panic!("{p80:?}") };
            assert!(p80_ns < 100_000, "{waiting:?}: late by {p80_ns} ns");
            let beyond: u64 = counts.excess.iter().map(|one| one.beyond_packets).sum();
            let late: u64 = counts.excess.iter().map(|one| one.end - one.start).sum();
            assert!(0 < beyond && beyond <= late / 2 + 10, "{waiting:?}: {beyond} of {late}");
        }
    }

    /// No more leaves at once than the policer holds, whatever the time that was overslept.
    #[test]
    fn a_catch_up_never_bursts_beyond_what_a_policer_holds() {
        let stream = Stream { burst: 5, ..stream(20_000, 2) };
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        sender.on_ready(Waiting::Asleep, 0);
        let left = run_on_host(&mut sender, 400, &[(200, 20), (215, 2), (225, 2)], 1_000);
        let at_once = left.windows(7).map(|seven| seven[6] - seven[0]).min();
        assert!(Some(12_500) <= at_once, "7 packets in {at_once:?} ns");
    }

    /// The host that oversleeps and is never held up keeps its schedule, as even as it wakes.
    #[test]
    fn a_sender_that_oversleeps_stays_on_schedule() {
        let mut sender = sender(20_000, 1);
        sender.on_ready(Waiting::Asleep, 0);
        let left = run_on_host(&mut sender, 30, &[], 1_100);
        assert_eq!(left.len(), 20_000);
        let counts = sender.into_counts();
        assert!(counts.lateness.max_ns() <= Some(60_000), "{:?}", counts.lateness.max_ns());
        assert!(counts.excess.is_empty());
    }

    /// By gaps 1/16 shorter 1 packet in 16 can be in excess, at half gaps 1 in 2; a link that loses
    /// more has lost it itself.
    #[test]
    fn a_catch_up_counts_no_more_than_a_policer_would_drop() {
        for (waiting, stall_ms, share) in [(Waiting::Awake, 4, 16), (Waiting::Asleep, 40, 2)] {
            let mut sender = Sender::<Driver>::new(
                Stream { burst: 3, ..stream(10_000, 2) },
                Stamp::from_nanos(0),
            );
            sender.on_ready(waiting, 0);
            run_on_host(&mut sender, 0, &[(200, stall_ms)], 2_100);
            let counts = sender.into_counts();
            let packets: u64 = counts.excess.iter().map(|one| one.end - one.start).sum();
            let beyond: u64 = counts.excess.iter().map(|one| one.beyond_packets).sum();
            let expected = packets / share - 3..=packets / share + 2;
            assert!(expected.contains(&beyond), "{waiting:?}: {:?}", counts.excess);
        }
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

    /// What comes while it is held up is read behind it: nobody was silent.
    #[test]
    fn a_stall_longer_than_silence_is_skipped_and_no_pause() {
        let mut sender = sender(1_000, 6);
        run(&mut sender, 0, 1_000, true);
        run(&mut sender, 4_000, 4_001, false);
        run(&mut sender, 4_001, 6_200, true);
        let counts = sender.into_counts();
        assert!((2_940..=2_960).contains(&counts.skipped), "{}", counts.skipped);
        assert!(counts.paused <= 60, "{}", counts.paused);
    }

    /// What another thread of this host heard before the stall reaches it first after it.
    #[test]
    fn a_word_from_before_a_stall_makes_no_pause_of_it() {
        let mut sender = sender(1_000, 6);
        run(&mut sender, 0, 1_000, true);
        let alive_at = Stamp::from_nanos(sender.alive_at().nanos() + MS);
        sender.on_alive(Stamp::from_nanos(4_000 * MS), alive_at);
        run(&mut sender, 4_000, 4_001, false);
        run(&mut sender, 4_001, 6_200, true);
        let counts = sender.into_counts();
        assert!((2_940..=2_960).contains(&counts.skipped), "{}", counts.skipped);
        assert!(counts.paused <= 60, "{}", counts.paused);
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
        // Life is as of when what was seen left, of which one packet in ten is kept.
        assert!((1_380..=1_412).contains(&counts.paused), "{}", counts.paused);
    }

    /// Heartbeats that were held back, or made of what was seen long ago, keep no load going.
    #[test]
    fn a_heartbeat_proves_life_as_of_when_what_it_echoes_left() {
        let mut sender = sender(1_000, 10);
        run(&mut sender, 0, 100, true);
        let mut now = Stamp::from_nanos(100 * MS);
        let mut last_load = now;
        while now < Stamp::from_nanos(5_000 * MS) {
            // All that it says is true, and comes again and again.
            sender.on_heard(now, 100, 0);
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => {
                    sender.on_sent(now, train.packets(), false);
                    last_load = now;
                }
                Next::Send(Outgoing::Signal(_)) => sender.on_said(now, now.nanos()),
                Next::Wait(until) => now = until,
                Next::Done => panic!("ended early"),
            }
        }
        let silence_ns = Liveness::default().silence.nanos();
        assert!(last_load <= Stamp::from_nanos(100 * MS + silence_ns), "{last_load:?}");
        assert!(Stamp::from_nanos(80 * MS + silence_ns) <= last_load, "{last_load:?}");
    }

    /// One packet a second, each of which is echoed.
    #[test]
    fn a_slow_stream_asks_for_signs_of_life_and_is_never_silent() {
        let mut sender = sender(1, 10);
        let (mut now, mut signals) = (Stamp::from_nanos(0), 0);
        while now < Stamp::from_nanos(9_500 * MS) {
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => sender.on_sent(now, train.packets(), false),
                Next::Send(Outgoing::Signal(_)) => {
                    signals += 1;
                    sender.on_said(now, signals);
                }
                Next::Wait(until) => now = until,
                Next::Done => break,
            }
            sender.on_heard(now, u64::MAX, u64::MAX);
            assert!(!sender.is_silent(now));
        }
        assert_eq!((sender.counts().sent, sender.counts().paused), (10, 0));
        assert!(signals <= 20, "{signals}");
    }

    /// A queue of 0.8 s at a narrow bottleneck: what it has seen left 1.07 s before it says so.
    #[test]
    fn a_queue_is_not_filled_by_asking_what_became_of_it() {
        let mut sender = sender(100, 10);
        sender.on_rise(Span::from_millis(800));
        let mut now = Stamp::from_nanos(0);
        while now < Stamp::from_nanos(9_000 * MS) {
            sender.on_alive(now, Stamp::from_nanos(now.nanos().saturating_sub(1_070 * MS)));
            match sender.poll(now) {
                Next::Send(Outgoing::Load(train)) => sender.on_sent(now, train.packets(), false),
                Next::Wait(until) => now = until,
                other => panic!("{other:?} at {now:?}"),
            }
        }
    }

    /// Silence is a second beyond the round trip of the idle link, and beyond what the link has
    /// shown to add to it; 2 s more at most.
    #[test]
    fn a_long_round_trip_is_no_silence() {
        let (silence, round_trip) = (Span::from_millis(1_300), Span::from_millis(300));
        let life = Liveness { silence, round_trip, ..Liveness::default() };
        let mut sender =
            Sender::<Driver>::new(Stream { life, ..stream(1_000, 9) }, Stamp::from_nanos(0));
        let mut is_silent_behind = |ms, rise_ms| {
            sender.on_rise(Span::from_millis(rise_ms));
            let silent = |ms| sender.is_silent(Stamp::from_nanos(ms * MS));
            (silent(ms), silent(ms + 1))
        };
        assert_eq!(is_silent_behind(1_300, 0), (false, true));
        assert_eq!(is_silent_behind(2_000, 700), (false, true));
        assert_eq!(is_silent_behind(2_000, 100), (false, true), "the largest rise counts");
        assert_eq!(is_silent_behind(3_300, 60_000), (false, true));
    }

    /// Four streams share ten heartbeats a second: one that hears nothing for itself goes on.
    #[test]
    fn what_another_stream_hears_keeps_this_one_going() {
        let mut sender = sender(1_000, 4);
        let at = |ms| Stamp::from_nanos(ms * MS);
        sender.on_alive(at(900), at(800));
        assert!(!sender.is_silent(at(1_800)) && sender.is_silent(at(1_801)));
        sender.on_alive(at(1_000), at(700));
        assert_eq!(sender.alive_at(), at(800), "an older proof changes nothing");
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
        let next = |sender: &mut Sender<Driver>, now| match sender.poll(now) {
            Next::Send(Outgoing::Load(train)) => train.headers().next().expect("at least one"),
            other => panic!("{other:?}"),
        };
        assert_eq!(next(&mut sender, now).sequence, 0);
        sender.on_refused(1);
        let header = next(&mut sender, Stamp::from_nanos(MS));
        assert_eq!((header.sequence, header.due_ns), (0, MS));
    }

    fn train_of(next: Next<Driver, Outgoing>) -> Train {
        match next {
            Next::Send(Outgoing::Load(train)) => train,
            other => panic!("no train: {other:?}"),
        }
    }

    #[test]
    fn a_train_leaves_when_its_last_packet_is_due_and_none_is_early() {
        let stream = Stream { train: 8, ..stream(100_000, 1) };
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        assert_eq!(sender.poll(Stamp::from_nanos(0)), Next::Wait(Stamp::from_nanos(70_000)));
        let now = Stamp::from_nanos(70_500);
        let train = train_of(sender.poll(now));
        let headers: Vec<_> =
            train.headers().map(|h| (h.sequence, h.due_ns, h.lateness_ns)).collect();
        assert_eq!(headers.len(), 8);
        assert_eq!((headers[0], headers[7]), ((0, 0, 70_500), (7, 70_000, 500)));
        sender.on_sent(now, 8, true);
        assert_eq!(sender.poll(now), Next::Wait(Stamp::from_nanos(150_000)));
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.segmented, counts.burst), (8, 8, 8));
        assert_eq!(counts.lateness.max_ns(), Some(500), "late behind the train's own time");
        assert!(counts.excess.is_empty());
    }

    #[test]
    fn what_the_kernel_did_not_take_of_a_train_is_polled_again() {
        let stream = Stream { train: 8, ..stream(100_000, 1) };
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        let now = Stamp::from_nanos(70_000);
        sender.poll(now);
        sender.on_sent(now, 3, false);
        sender.on_refused(1);
        let later = Stamp::from_nanos(110_000);
        let train = train_of(sender.poll(later));
        let first = train.headers().next().expect("at least one");
        assert_eq!((first.sequence, first.due_ns), (3, 40_000));
    }

    #[test]
    fn trains_count_in_the_seconds_and_the_steady_part_of_their_packets() {
        let stream = Stream { train: 7, ..stream(1_000, 2) };
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        run(&mut sender, 0, 3_000, true);
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.steady, counts.skipped), (2_000, 1_600, 0));
        assert_eq!(counts.per_second.seconds(), [1_000, 1_000]);
    }

    #[test]
    fn a_capacity_sender_hands_over_what_is_overdue_at_once() {
        let stream = Stream { capacity: true, ..stream(1_000_000, 1) };
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        assert_eq!(train_of(sender.poll(Stamp::from_nanos(0))).packets(), 1);
        assert_eq!(train_of(sender.poll(Stamp::from_nanos(10_001))).packets(), 11);
        assert_eq!(train_of(sender.poll(Stamp::from_nanos(MS))).packets(), BATCH_MAX);
    }
}
