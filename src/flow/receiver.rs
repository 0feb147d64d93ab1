//! The receiving end of a stream: each packet counted exactly once, whatever the line does to it.

use super::transit::Transits;
use super::window::{Slot, Window};
use super::{LATE_MAX, Liveness, PROBE_STREAM, Stream, linger};
use crate::account::{CatchUp, Excess, ReceiverCounts, SentWindow, Silence};
use crate::clock::Stamp;
use crate::stats::jitter::Rfc3550Jitter;
use crate::units::Span;
use crate::wire::signal::Say;
use std::ops::Range;

/// A load is paused after no shorter time without a heartbeat.
const PAUSE_MIN: Span = Span::from_secs(1);

/// A load that was paused for an outage resumes no later than this behind it: with the second
/// heartbeat, of four in a second at least.
pub const RESUMED_MAX: Span = Span::from_millis(500);

/// The most datagrams that a kernel joins to one.
const JOINED_MAX: u64 = 64;

/// A packet of the stream that arrived, whoever parsed it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Arrived {
    /// Its sequence number.
    pub sequence: u64,
    /// When it was due, in nanoseconds after the stream's first packet.
    pub due_ns: u64,
    /// When it left, in nanoseconds of the clock that `due_ns` counts in, whatever its start.
    pub sent_ns: u64,
    /// Octets of UDP payload.
    pub octets: u32,
    /// Slots of the schedule that were passed over before it.
    pub passed: u64,
    /// Whether its payload is what was sent; `None` where it was not compared.
    pub is_intact: Option<bool>,
}

impl Arrived {
    /// Whether it came at `at` long before it was due, of a stream that was `opened` before its
    /// start: no network does that, and no two clocks differ by so much.
    #[must_use]
    pub fn is_ahead<C>(&self, opened: Stamp<C>, at: Stamp<C>) -> bool {
        at.nanos_since(opened).saturating_add(LATE_MAX.nanos()) < self.due_ns
    }
}

/// What an arrival was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// The highest sequence number so far.
    InOrder,
    /// Behind a later one.
    Reordered,
    /// Here already, or so old that nothing is known of it any more: counted apart, never as
    /// received.
    Duplicate,
    /// More than [`LATE_MAX`] after it was due.
    Late,
    /// In time, with another payload than was sent.
    Corrupted,
    /// Outside what was granted: not counted as anything else.
    Rejected,
}

/// The newest arrival of a stream, as gaps are measured from it.
#[derive(Debug)]
struct Newest<C> {
    at: Stamp<C>,
    sent_ns: u64,
    transit_ns: i64,
}

/// The newest signal of the sender, behind the newest packet of the stream.
#[derive(Debug)]
struct Sign<C> {
    at: Stamp<C>,
    /// The longest time without one since that packet, up to this one.
    apart_ns: u64,
}

/// The receiving end of a stream.
#[derive(Debug)]
pub struct Receiver<C> {
    stream: Stream,
    opened: Stamp<C>,
    window: Window,
    newest: Option<Newest<C>>,
    sign: Option<Sign<C>>,
    /// The numbers that the newest gap counts, but for those that came since.
    skipped: Range<u64>,
    floor: Floor,
    drops: u32,
    /// Drops of this host that no hole has accounted for.
    drops_pending: u64,
    heartbeat_at: Stamp<C>,
    jitter: Rfc3550Jitter,
    /// How long the account may be, from its first packet on.
    over_ns: u64,
    transits: Transits,
    counts: ReceiverCounts,
}

impl<C> Receiver<C> {
    /// A receiver of `stream`, which was opened at `opened`. When it began to be sent is reported
    /// by its first packet.
    #[must_use]
    pub fn new(stream: Stream, opened: Stamp<C>) -> Self {
        Self {
            stream,
            opened,
            window: Window::of(&stream),
            newest: None,
            sign: None,
            skipped: 0..0,
            floor: Floor::default(),
            drops: 0,
            drops_pending: 0,
            heartbeat_at: opened.after_nanos(stream.life.first.nanos()),
            jitter: Rfc3550Jitter::default(),
            over_ns: stream.rate.due(stream.slots).nanos().saturating_add(LATE_MAX.nanos()),
            transits: Transits::new(stream.steady, stream.rate),
            counts: ReceiverCounts::default(),
        }
    }

    /// Takes note of a packet that reached this host at `at`, when its socket had dropped `drops`
    /// packets so far (a counter that wraps), and says what it was.
    pub fn on_arrival(&mut self, at: Stamp<C>, packet: &Arrived, drops: u32) -> Arrival {
        if self.stream.slots <= packet.sequence {
            self.counts.rejected += 1;
            return Arrival::Rejected;
        }
        self.note_drops(drops);
        let next = self.window.next();
        let arrival = self.classify(at, packet);
        match arrival {
            Arrival::Duplicate => self.counts.duplicate += 1,
            Arrival::Late => self.counts.late += 1,
            Arrival::Corrupted => self.counts.corrupted += 1,
            Arrival::Reordered | Arrival::InOrder => self.count(at, packet, arrival),
            Arrival::Rejected => unreachable!("refused above"),
        }
        self.counts.slots_passed = self.counts.slots_passed.max(packet.passed);
        if matches!(arrival, Arrival::Reordered | Arrival::InOrder | Arrival::Corrupted) {
            self.counts.compared += u64::from(packet.is_intact.is_some());
        }
        if arrival == Arrival::Reordered {
            let behind = (next - 1).saturating_sub(packet.sequence);
            self.counts.reordered_by_max = self.counts.reordered_by_max.max(behind);
            if self.skipped.contains(&packet.sequence) {
                self.counts.silences.forgive_last(self.stream.rate.due(1));
            }
        }
        if !self.is_straggler(at, packet, arrival) {
            self.note_gap(at, packet, next..packet.sequence);
        }
        arrival
    }

    /// A fresh signal of the sender came at `at`. It proves nobody alive, as it does not say when
    /// it left; but the link carried it here, so that a sender that is not heard otherwise may have
    /// paused its load.
    pub fn on_signal(&mut self, at: Stamp<C>) {
        let since = self.silent_since();
        let before = self.sign.as_ref().filter(|sign| since < sign.at);
        let apart_ns = at.nanos_since(before.map_or(since, |sign| sign.at));
        let longest_ns = before.map_or(0, |sign| sign.apart_ns);
        self.sign = Some(Sign { at, apart_ns: apart_ns.max(longest_ns) });
    }

    /// When the newest packet came; when the stream was opened, before the first.
    fn silent_since(&self) -> Stamp<C> {
        self.newest.as_ref().map_or(self.opened, |newest| newest.at)
    }

    /// A datagram came that is no packet of the stream's, though it claims to be load.
    pub const fn on_malformed(&mut self) {
        self.counts.malformed += 1;
    }

    /// A packet came that is more than was granted.
    pub const fn on_rejected(&mut self) {
        self.counts.rejected += 1;
    }

    /// Not all that came was read in the end: it was more than the limit of this end lets pass.
    pub const fn on_unread(&mut self) {
        self.counts.unread += 1;
    }

    /// A copy came.
    pub const fn on_copy(&mut self) {
        self.counts.duplicate += 1;
    }

    /// Whether the packet of this number has come.
    #[must_use]
    pub fn has(&self, sequence: u64) -> bool {
        !matches!(self.window.slot(sequence), Some(Slot::Missing | Slot::HostDropped))
    }

    /// The buffer that its socket has, for its account.
    pub const fn on_ready(&mut self, buffer: u64) {
        self.counts.buffer_octets = Some(buffer);
    }

    /// The heartbeat that is due at `now`, if one is; it echoes [`super::Freshness::echo`], and
    /// passes on the largest `rise` of the round trip that this end's probes have shown.
    pub fn poll_heartbeat(&mut self, now: Stamp<C>, echo: u64, rise: Span) -> Option<Say> {
        if now < self.heartbeat_at {
            return None;
        }
        self.heartbeat_at = now.after_nanos(self.stream.life.every.nanos());
        let (received, next) = (self.counts.received, self.window.next());
        let rise_ms = u16::try_from(rise.millis_up()).unwrap_or(u16::MAX);
        Some(Say::Heartbeat { received, next, echo, rise_ms })
    }

    /// When the next heartbeat is due.
    #[must_use]
    pub const fn heartbeat_at(&self) -> Stamp<C> {
        self.heartbeat_at
    }

    /// When the newest packet arrived, of those that were not late: what was held back for longer
    /// proves nobody alive.
    #[must_use]
    pub fn newest_at(&self) -> Option<Stamp<C>> {
        self.newest.as_ref().map(|newest| newest.at)
    }

    /// Whether all of `sent` packets have come.
    #[must_use]
    pub const fn has_all(&self, sent: u64) -> bool {
        sent <= self.came()
    }

    /// How long it still listens once it has all.
    #[must_use]
    pub fn linger(&self) -> Span {
        linger(self.stream.life.round_trip)
    }

    /// What came so far; its loss is known only in the end.
    #[must_use]
    pub const fn so_far(&self) -> &ReceiverCounts {
        &self.counts
    }

    /// The highest loss that is certain so far: numbers that later ones have overtaken.
    #[must_use]
    pub fn missing_so_far(&self) -> u64 {
        self.window.next().saturating_sub(self.came())
    }

    /// Packets that have come, each once.
    const fn came(&self) -> u64 {
        self.counts.received + self.counts.late + self.counts.corrupted
    }

    /// Closes the account; this host's socket dropped `drops` in the end.
    ///
    /// Where the sender's closing message is missing, what was sent is taken to end with the
    /// highest number that came; the silence behind it is the line's as far as it was listened to.
    #[must_use]
    pub fn finish(mut self, end: End<'_, C>, drops: u32) -> ReceiverCounts {
        self.note_drops(drops);
        let mut received_in = None;
        let sent = match end {
            End::Closed(closing) => {
                // No sender has more packets than slots; what the other end says beyond them would
                // be walked through number by number.
                let closing = Closing { sent: closing.sent.min(self.stream.slots), ..closing };
                let next = self.window.next();
                self.attribute_tail(closing.sent);
                self.close_gap(&closing, next);
                let lost_in = |catch_up: &CatchUp| {
                    let lost = self.window.count_not_received(catch_up.sequences(closing.sent));
                    lost.min(catch_up.beyond_packets)
                };
                self.counts.lost_in_excess = closing.excess.iter().map(lost_in).sum();
                received_in = closing.window.map(|window| self.received_in(window));
                closing.sent
            }
            End::Abandoned { listened_until } => {
                self.abandon_gap(listened_until);
                0
            }
        };
        let host_drops_most = self.drops_pending.saturating_mul(self.packets_per_drop());
        let settled = self.window.settle(sent);
        let lost = settled.losses.lost().saturating_sub(self.counts.late);
        self.counts.losses = settled.losses;
        self.counts.loss_bursts = settled.bursts;
        self.counts.host_dropped = settled.host_dropped;
        self.counts.unattributed = host_drops_most.min(lost);
        self.counts.jitter_rfc3550_ns = self.jitter.jitter_ns();
        match self.stream.number {
            PROBE_STREAM => {}
            number => {
                self.counts.of_window(number, received_in);
                self.counts.transits = self.transits.finish();
            }
        }
        self.counts
    }

    /// What was received of a stream's window, and of its last third.
    fn received_in(&self, window: &SentWindow) -> (u64, u64) {
        let SentWindow { whole, last_third, .. } = window;
        let received = |first, next| self.window.count_received(first..next);
        (received(whole.first, whole.next), received(last_third.first, last_third.next))
    }

    fn classify(&mut self, at: Stamp<C>, packet: &Arrived) -> Arrival {
        let came = self.window.slot(packet.sequence);
        if matches!(came, Some(Slot::Received | Slot::Late)) {
            return Arrival::Duplicate;
        }
        if came == Some(Slot::HostDropped) && self.packets_per_drop() == 1 {
            // It was only slow: the drop that was put down to it is another packet's.
            self.drops_pending += 1;
        }
        if came.is_none() {
            // What became of it is settled, minutes ago.
            return Arrival::Duplicate;
        }
        if self.is_late(at, packet) {
            self.window.set(packet.sequence, Slot::Late);
            return Arrival::Late;
        }
        let next = self.window.next();
        if next <= packet.sequence {
            self.attribute(next, packet.sequence);
        }
        self.window.set(packet.sequence, Slot::Received);
        match packet.is_intact {
            Some(false) => Arrival::Corrupted,
            _ if packet.sequence < next => Arrival::Reordered,
            _ => Arrival::InOrder,
        }
    }

    /// Late by the sender's own schedule, the fastest packets so far showing how the clocks stand.
    fn is_late(&mut self, at: Stamp<C>, packet: &Arrived) -> bool {
        let transit_ns = transit_ns(at, packet);
        let above_floor_ns = transit_ns.saturating_sub(self.floor.including(transit_ns));
        0 < above_floor_ns && LATE_MAX.nanos() < above_floor_ns.unsigned_abs()
    }

    fn count(&mut self, at: Stamp<C>, packet: &Arrived, arrival: Arrival) {
        let in_order = arrival == Arrival::InOrder;
        self.counts.received += 1;
        self.counts.reordered += u64::from(!in_order);
        self.counts.octets += u64::from(packet.octets);
        self.counts.steady += u64::from(self.stream.steady.includes(packet.due_ns));
        let began_ns = self.counts.began_ns.unwrap_or(at.nanos().saturating_sub(packet.due_ns));
        // What the packet says of its time makes the account no longer than its trial.
        let arrived_ns = at.nanos().saturating_sub(began_ns).min(self.over_ns);
        self.counts.steady_on_time += u64::from(self.stream.steady.includes(arrived_ns));
        self.counts.per_second.add(arrived_ns, 1);
        let transit_ns = transit_ns(at, packet);
        self.jitter.on_arrival(transit_ns);
        if self.stream.number != PROBE_STREAM {
            self.transits.on_arrival(packet.sequence, packet.sent_ns, transit_ns);
        }
    }

    /// Copies, and packets that were held back for so long that newer ones overtook them by an
    /// outage's length, show nothing of the time in which they arrive: they neither open a gap nor
    /// end one.
    fn is_straggler(&self, at: Stamp<C>, packet: &Arrived, arrival: Arrival) -> bool {
        let behind_ns = self
            .newest
            .as_ref()
            .map_or(0, |newest| transit_ns(at, packet).wrapping_sub(newest.transit_ns));
        let least_ns = self.stream.silence_min.nanos();
        match arrival {
            Arrival::InOrder => false,
            Arrival::Reordered | Arrival::Corrupted => {
                0 < behind_ns && least_ns <= behind_ns.unsigned_abs()
            }
            Arrival::Duplicate | Arrival::Late | Arrival::Rejected => true,
        }
    }

    /// An arrival ends the time without one; it `skipped` some numbers. Its header says when it
    /// left.
    fn note_gap(&mut self, at: Stamp<C>, packet: &Arrived, skipped: Range<u64>) {
        let transit_ns = transit_ns(at, packet);
        let lost = skipped.end.saturating_sub(skipped.start);
        let (start, sent_before_ns, intervals) = match &self.newest {
            Some(newest) => (newest.at, newest.sent_ns, lost + 1),
            None => {
                let began = Stamp::from_nanos(at.nanos().saturating_sub(packet.due_ns));
                self.counts.began_ns = Some(began.nanos());
                (began, packet.sent_ns.saturating_sub(packet.due_ns), lost)
            }
        };
        let departures_ns = packet.sent_ns.saturating_sub(sent_before_ns);
        let gap = self.gap((start, at), lost, (departures_ns, intervals));
        let least = self.stream.silence_min;
        if least <= gap.span() || (0 < lost && least <= gap.longest()) {
            let offered = least <= gap.longest();
            self.counts.silences.push(Silence { offered, ..gap });
            self.skipped = skipped;
        }
        let is_newest = sent_before_ns <= packet.sent_ns || self.newest.is_none();
        let transit_ns = match &self.newest {
            Some(newest) if !is_newest => newest.transit_ns,
            _ => transit_ns,
        };
        let sent_ns = sent_before_ns.max(packet.sent_ns);
        self.newest = Some(Newest { at, sent_ns, transit_ns });
    }

    /// The time between two arrivals, in which `lost` packets are missing; their senders left them
    /// so long apart, and in as many intervals of its schedule.
    ///
    /// What the departures are apart beyond the schedule is the sender's own gap, but where the
    /// load may have been paused: that takes a second without an arrival at the other end, and
    /// packets that were lost before it.
    fn gap(
        &self,
        (start, end): (Stamp<C>, Stamp<C>),
        lost: u64,
        (departures_ns, intervals): (u64, u64),
    ) -> Silence {
        let scheduled_ns = self.stream.rate.due(intervals).nanos();
        let may_pause = self.stream.number != PROBE_STREAM && 0 < lost;
        let is_paused = may_pause && PAUSE_MIN.nanos() <= departures_ns;
        let own_ns = if is_paused { 0 } else { departures_ns.saturating_sub(scheduled_ns) };
        Silence {
            start_ns: start.nanos(),
            end_ns: end.nanos(),
            packets: lost,
            departure_gap_ns: Some(departures_ns),
            sender_gap_ns: Some(own_ns),
            lost_span_ns: Some(match is_paused {
                true => self.span_of_pause(lost, departures_ns),
                false => self.span_of_lost(lost),
            }),
            ..Silence::default()
        }
    }

    /// The same where the load was paused meanwhile. Paused slots are unavailable time where the
    /// link was dead in this direction before the pause; where it was only the heartbeats that did
    /// not come, few packets of the load are lost beside it.
    fn span_of_pause(&self, lost: u64, departures_ns: u64) -> u64 {
        let lost_ns = self.span_of_lost(lost);
        let was_dead = PAUSE_MIN.nanos() / 2 <= lost_ns;
        let paused_ns = departures_ns.saturating_sub(RESUMED_MAX.nanos());
        if was_dead { lost_ns.max(paused_ns) } else { lost_ns }
    }

    /// From the departure of the first of so many lost packets to that of the last.
    fn span_of_lost(&self, lost: u64) -> u64 {
        self.stream.rate.due(lost.saturating_sub(1)).nanos()
    }

    fn push_tail(&mut self, (start, end): (Stamp<C>, Stamp<C>), tail: Silence) {
        let silence = Silence { start_ns: start.nanos(), end_ns: end.nanos(), ..tail };
        if start < end && self.stream.silence_min <= silence.span() {
            self.counts.silences.push(silence);
        }
    }

    /// The gap from the last arrival to the end, which nothing ended. A load that fell silent with
    /// its peer left nothing in its paused slots, and they do not end an outage: the probes, which
    /// go on, report how long it was. Where all that was sent has come, the silence is the
    /// sender's.
    fn close_gap(&mut self, closing: &Closing<'_>, next: u64) {
        let offered = next < closing.sent;
        let began_ns = self.counts.began_ns.unwrap_or(self.opened.nanos());
        if offered {
            self.counts.began_ns = Some(began_ns);
        }
        let last_turn_ns = match self.stream.number {
            PROBE_STREAM => closing.last_due_ns,
            _ => self.stream.rate.due(self.stream.slots).nanos(),
        };
        let end = Stamp::from_nanos(began_ns).after_nanos(last_turn_ns);
        let packets = closing.sent.saturating_sub(next);
        let start = self.silent_since();
        let lost_span_ns = Some(match self.stream.number {
            PROBE_STREAM => self.span_of_lost(packets),
            _ => self.span_of_pause(packets, end.nanos_since(start)),
        });
        let tail = Silence { packets, offered, lost_span_ns, ..Silence::default() };
        self.push_tail((start, end), tail);
    }

    /// The gap from the last arrival to where the schedule ended, or listening did: without the
    /// sender's account, its schedule is all that shows what was offered, but where its signals
    /// went on. A sender that hears nothing pauses its load, and asks for a sign of life meanwhile:
    /// as long as that comes, it is the sender that is silent, and not the link.
    fn abandon_gap(&mut self, listened_until: Stamp<C>) {
        let began_ns = *self.counts.began_ns.get_or_insert(self.opened.nanos());
        let schedule_end_ns = began_ns + self.stream.rate.due(self.stream.slots).nanos();
        let end = listened_until.min(Stamp::from_nanos(schedule_end_ns));
        let start = self.silent_since();
        let paused_until = match self.sign.as_ref().filter(|sign| start < sign.at) {
            Some(sign) if sign.apart_ns <= self.signs_apart_ns() => sign.at.min(end),
            _ => start,
        };
        let paused_until = match end.nanos_since(paused_until) <= self.signs_apart_ns() {
            true if start < paused_until => end,
            _ => paused_until,
        };
        self.push_tail((start, paused_until), Silence::default());
        self.push_tail((paused_until, end), Silence { offered: true, ..Silence::default() });
    }

    /// The longest time between two signals of a sender whose link is alive, though it loses some.
    const fn signs_apart_ns(&self) -> u64 {
        let Liveness { every, silence, .. } = self.stream.life;
        let three_ns = every.nanos().saturating_mul(3);
        if three_ns < silence.nanos() { silence.nanos() } else { three_ns }
    }

    fn note_drops(&mut self, drops: u32) {
        self.drops_pending += u64::from(drops.wrapping_sub(self.drops));
        self.drops = drops;
    }

    /// A hole before `sequence`: this host's, up to what it has dropped since the last one.
    fn attribute(&mut self, next: u64, sequence: u64) {
        if self.drops_pending == 0 {
            return;
        }
        let most = self.drops_pending.saturating_mul(self.packets_per_drop());
        let ours = most.min(sequence - next);
        // Of joined trains it is not known how many packets each drop took: a train's, most likely.
        let drops = ours.div_ceil(self.stream.train.max(1).into());
        self.drops_pending = self.drops_pending.saturating_sub(drops);
        (next..next + ours).for_each(|sequence| self.window.set(sequence, Slot::HostDropped));
    }

    /// The most packets that one drop of this host's may have taken: where the kernel joins trains,
    /// it drops them joined, and counts each as one.
    const fn packets_per_drop(&self) -> u64 {
        if 1 < self.stream.train { JOINED_MAX } else { 1 }
    }

    /// The hole behind the last arrival.
    fn attribute_tail(&mut self, sent: u64) {
        let next = self.window.next();
        if next < sent {
            self.attribute(next, sent);
        }
    }
}

/// The floor that transit is measured from: what two packets needed at most, so that a single one
/// with a wrong stamp judges no other.
#[derive(Debug, Default)]
struct Floor {
    /// The two shortest transits, in ns.
    shortest: Option<[i64; 2]>,
}

impl Floor {
    /// The floor, once a packet with this transit has come too.
    fn including(&mut self, transit_ns: i64) -> i64 {
        let [first, second] = self.shortest.unwrap_or([i64::MAX; 2]);
        let shortest = [first.min(transit_ns), second.min(first.max(transit_ns))];
        self.shortest = Some(shortest);
        shortest[1]
    }
}

/// Between the clocks of the two ends, which differ by as much in each of them.
fn transit_ns<C>(at: Stamp<C>, packet: &Arrived) -> i64 {
    at.nanos().wrapping_sub(packet.sent_ns).cast_signed()
}

/// How a stream ended, as its receiver knows.
#[derive(Clone, Copy, Debug)]
pub enum End<'a, C> {
    /// The sender's closing message is here.
    Closed(Closing<'a>),
    /// It is not, and does not come.
    Abandoned {
        /// Until when something could still have arrived.
        listened_until: Stamp<C>,
    },
}

/// What a receiver needs of the sender's closing message.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Packets that were sent.
    pub sent: u64,
    /// When the last of them was due, in nanoseconds after the first.
    pub last_due_ns: u64,
    /// Those that left too fast.
    pub excess: &'a Excess,
    /// The window that throughput is judged over.
    pub window: Option<&'a SentWindow>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::COUNT_MAX;
    use crate::account::SILENCE_MIN;
    use crate::clock::Agent;
    use crate::direction::Direction;
    use crate::flow::Steady;
    use crate::units::PacketRate;
    use crate::wire::Token;

    const MS: u64 = 1_000_000;

    fn receiver() -> Receiver<Agent> {
        let rate = PacketRate::new(1_000).expect("a rate");
        let stream = Stream {
            number: 1,
            token: Token(9),
            direction: Direction::Forward,
            rate,
            slots: 10_000,
            payload: 100,
            train: 1,
            burst: 8,
            capacity: false,
            steady: Steady::of(Span::from_secs(10)),
            dscp: crate::trial::Dscp::default(),
            life: Liveness::default(),
            silence_min: SILENCE_MIN,
            ramp: Span::default(),
        };
        Receiver::new(stream, Stamp::from_nanos(0))
    }

    fn packet(sequence: u64) -> Arrived {
        let (due_ns, sent_ns) = (sequence * MS, sequence * MS);
        Arrived { sequence, due_ns, sent_ns, octets: 100, ..Arrived::default() }
    }

    fn arrive(receiver: &mut Receiver<Agent>, at_ms: u64, sequence: u64) -> Arrival {
        receiver.on_arrival(Stamp::from_nanos(at_ms * MS), &packet(sequence), 0)
    }

    #[test]
    fn a_packet_is_ahead_of_its_time_where_no_network_explains_it() {
        let ahead = |at_ms, number| packet(number).is_ahead::<Agent>(at(1_000), at(at_ms));
        assert!(!ahead(3_000, 4_000) && ahead(3_000, 4_001));
        assert!(!ahead(1_000, 2_000) && ahead(1_000, 2_001));
    }

    /// In a stream of more than 2^26 packets, each copy of an old one was late, a sign of life, and
    /// one lost packet less.
    #[test]
    fn a_copy_of_what_the_window_has_let_go_changes_no_count() {
        let mut receiver = receiver();
        receiver.stream.slots = 1 << 27;
        receiver.window = Window::of(&receiver.stream);
        assert_eq!(arrive(&mut receiver, 0, 0), Arrival::InOrder);
        let far = (1 << 26) + 64;
        assert_eq!(arrive(&mut receiver, far, far), Arrival::InOrder);
        for _ in 0..3 {
            assert_eq!(arrive(&mut receiver, far, 0), Arrival::Duplicate);
        }
        let counts = receiver.finish(closing(far + 1), 0);
        assert_eq!((counts.received, counts.late, counts.duplicate), (2, 0, 3));
        assert_eq!(counts.lost(), far - 1);
    }

    fn at(ms: u64) -> Stamp<Agent> {
        Stamp::from_nanos(ms * MS)
    }

    fn closing(sent: u64) -> End<'static, Agent> {
        const NONE: &Excess = &Vec::new();
        End::Closed(Closing {
            sent,
            last_due_ns: sent.saturating_sub(1) * MS,
            excess: NONE,
            window: None,
        })
    }

    fn abandoned(at_ms: u64) -> End<'static, Agent> {
        End::Abandoned { listened_until: Stamp::from_nanos(at_ms * MS) }
    }

    /// RFC 4737's and RFC 5560's cases in one stream.
    #[test]
    fn each_packet_is_counted_once() {
        let mut receiver = receiver();
        let mut arrivals = |list: &[u64]| -> Vec<Arrival> {
            list.iter().map(|sequence| arrive(&mut receiver, 20 + sequence, *sequence)).collect()
        };
        use Arrival::{Duplicate, InOrder, Rejected, Reordered};
        assert_eq!(
            arrivals(&[0, 1, 4, 2, 2, 4, 9_999, 10_000]),
            [InOrder, InOrder, InOrder, Reordered, Duplicate, Duplicate, InOrder, Rejected]
        );
        let counts = receiver.finish(closing(10_000), 0);
        assert_eq!((counts.received, counts.duplicate, counts.reordered), (5, 2, 1));
        assert_eq!((counts.rejected, counts.lost(), counts.reordered_by_max), (1, 9_995, 2));
    }

    #[test]
    fn the_second_half_lost_is_lost() {
        let mut receiver = receiver();
        (0..50).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
        let counts = receiver.finish(closing(100), 0);
        assert_eq!((counts.received, counts.lost()), (50, 50));
        assert_eq!((counts.losses.bursts(), counts.losses.longest()), (1, 50));
    }

    #[test]
    fn without_a_closing_message_only_what_was_overtaken_is_lost() {
        let mut receiver = receiver();
        [0, 1, 4].into_iter().for_each(|sequence| _ = arrive(&mut receiver, 10, sequence));
        assert_eq!(receiver.missing_so_far(), 2);
        assert_eq!(receiver.finish(abandoned(10), 0).lost(), 2);
    }

    /// What is offered in the silences of a stream whose last packet came at 10 ms and of which
    /// signals came at `signals`, listened to until 10 s: from, until and whether, in ms.
    fn abandoned_beside(signals: &[u64]) -> Vec<(u64, u64, bool)> {
        let mut receiver = receiver();
        arrive(&mut receiver, 0, 0);
        arrive(&mut receiver, 10, 10);
        signals.iter().for_each(|ms| receiver.on_signal(at(*ms)));
        let counts = receiver.finish(abandoned(10_000), 0);
        let silences = counts.silences.as_slice().iter();
        let offered = silences.map(|it| (it.start_ns / MS, it.end_ns / MS, it.offered));
        offered.collect()
    }

    #[test]
    fn a_sender_whose_signals_go_on_has_paused_and_the_link_is_not_out() {
        let every = |until: u64| (1..=until / 100).map(|turn| turn * 100).collect::<Vec<_>>();
        assert_eq!(abandoned_beside(&[]), [(10, 10_000, true)]);
        assert_eq!(abandoned_beside(&every(9_900)), [(10, 10_000, false)]);
        // A second without one is no loss of a few: from the last on the link is out.
        assert_eq!(abandoned_beside(&every(9_000)), [(10, 10_000, false)]);
        let died = [(10, 8_900, false), (8_900, 10_000, true)];
        assert_eq!(abandoned_beside(&every(8_900)), died);
        let mut gone_for_a_while = every(2_000);
        gone_for_a_while.extend((31..100).map(|turn| turn * 100));
        assert_eq!(abandoned_beside(&gone_for_a_while), [(10, 10_000, true)]);
        assert_eq!(abandoned_beside(&[5]), [(10, 10_000, true)], "it came before the last packet");
    }

    #[test]
    fn a_stream_that_is_abandoned_was_silent_as_long_as_it_was_listened_to() {
        for (listened_ms, end_ms) in [(3_000, 3_000), (60_000, 10_010)] {
            let mut receiver = receiver();
            arrive(&mut receiver, 10, 0);
            let counts = receiver.finish(abandoned(listened_ms), 0);
            let gap = Silence {
                start_ns: 10 * MS,
                end_ns: end_ms * MS,
                packets: 0,
                offered: true,
                ..Silence::default()
            };
            assert_eq!(counts.silences.as_slice(), [gap]);
        }
    }

    #[test]
    fn a_packet_two_seconds_late_is_late_and_its_copy_a_duplicate() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 0);
        arrive(&mut receiver, 11, 1);
        assert_eq!(arrive(&mut receiver, 2_012, 2), Arrival::InOrder);
        assert_eq!(arrive(&mut receiver, 2_014, 3), Arrival::Late);
        assert_eq!(arrive(&mut receiver, 2_015, 3), Arrival::Duplicate);
        let counts = receiver.finish(closing(5), 0);
        assert_eq!((counts.received, counts.late, counts.lost()), (3, 1, 1));
        assert_eq!(counts.losses.lost(), 2, "a late packet counts as lost for verdicts");
    }

    /// One packet whose time is wrong by a flipped bit had all others counted as late.
    #[test]
    fn no_single_packet_makes_others_late() {
        for odd in [0, 50, 999] {
            let mut receiver = receiver();
            let arrivals = (0..1_000).map(|sequence| {
                let early_ns = if sequence == odd { 1 << 42 } else { 0 };
                let sent =
                    Arrived { sent_ns: packet(sequence).sent_ns + early_ns, ..packet(sequence) };
                receiver.on_arrival(Stamp::from_nanos((10 + sequence) * MS), &sent, 0)
            });
            assert!(arrivals.into_iter().all(|arrival| arrival == Arrival::InOrder), "{odd}");
        }
    }

    #[test]
    fn an_altered_payload_is_neither_received_nor_lost() {
        let mut receiver = receiver();
        let of = |sequence, is_intact| Arrived { is_intact, ..packet(sequence) };
        let compared = [Some(true), Some(false), None, Some(true)];
        for (sequence, is_intact) in (0..).zip(compared) {
            let at = Stamp::from_nanos((10 + sequence) * MS);
            receiver.on_arrival(at, &of(sequence, is_intact), 0);
            receiver.on_arrival(at, &of(sequence, Some(false)), 0);
        }
        assert!(receiver.has_all(4));
        receiver.on_malformed();
        let counts = receiver.finish(closing(5), 0);
        assert_eq!((counts.received, counts.corrupted, counts.lost()), (3, 1, 1));
        assert_eq!((counts.compared, counts.duplicate, counts.malformed), (3, 4, 1));
        assert_eq!(counts.streams[0].corrupted, 1);
    }

    #[test]
    fn a_gap_within_which_this_host_dropped_is_this_hosts() {
        let mut receiver = receiver();
        receiver.on_arrival(Stamp::from_nanos(0), &packet(0), 0);
        receiver.on_arrival(Stamp::from_nanos(MS), &packet(5), 0); // the line's: 1 to 4
        receiver.on_arrival(Stamp::from_nanos(2 * MS), &packet(9), 2); // ours: 2 of 6 to 8
        let counts = receiver.finish(closing(12), 3); // ours: 1 of 10 and 11
        assert_eq!((counts.received, counts.host_dropped, counts.lost()), (3, 3, 6));
        assert_eq!(counts.unattributed, 0);
    }

    #[test]
    fn a_packet_taken_for_dropped_here_that_still_comes_is_received() {
        let mut receiver = receiver();
        receiver.on_arrival(Stamp::from_nanos(0), &packet(2), 1);
        receiver.on_arrival(Stamp::from_nanos(MS), &packet(0), 1);
        let counts = receiver.finish(closing(3), 1);
        assert_eq!((counts.received, counts.host_dropped, counts.lost()), (2, 0, 1));
        assert_eq!(counts.unattributed, 1, "the drop is another packet's");
    }

    #[test]
    fn drops_that_no_gap_accounts_for_are_unattributed() {
        let mut receiver = receiver();
        receiver.on_arrival(Stamp::from_nanos(0), &packet(3), 0);
        receiver.on_arrival(Stamp::from_nanos(MS), &packet(4), 2);
        let counts = receiver.finish(closing(5), 2);
        assert_eq!((counts.host_dropped, counts.unattributed, counts.lost()), (0, 2, 3));
    }

    #[test]
    fn a_hole_of_three_seconds_is_a_gap_with_its_packets() {
        let mut receiver = receiver();
        (0..100).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
        arrive(&mut receiver, 3_110, 3_100);
        let counts = receiver.finish(closing(3_101), 0);
        let gap = Silence {
            start_ns: 109 * MS,
            end_ns: 3_110 * MS,
            packets: 3_000,
            offered: true,
            departure_gap_ns: Some(3_001 * MS),
            sender_gap_ns: Some(0),
            lost_span_ns: Some(2_999 * MS),
        };
        assert_eq!(counts.silences.outages(SILENCE_MIN).collect::<Vec<_>>(), [&gap]);
        // The stream has 10 000 slots, and nothing was sent in those behind it.
        let rest = Silence {
            start_ns: 3_110 * MS,
            end_ns: 10_010 * MS,
            packets: 0,
            offered: false,
            lost_span_ns: Some(0),
            ..Silence::default()
        };
        assert_eq!(counts.silences.as_slice(), [gap, rest]);
    }

    #[test]
    fn what_was_overtaken_by_the_packet_that_ends_a_gap_was_not_lost_in_it() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 0);
        arrive(&mut receiver, 111, 101);
        for sequence in [100, 100, 102, 99, 104, 103] {
            arrive(&mut receiver, 115, sequence);
        }
        let counts = receiver.finish(closing(105), 0);
        let gap = Silence {
            start_ns: 10 * MS,
            end_ns: 111 * MS,
            packets: 98,
            offered: true,
            departure_gap_ns: Some(99 * MS),
            sender_gap_ns: Some(0),
            lost_span_ns: Some(97 * MS),
        };
        assert_eq!(counts.silences.as_slice()[0], gap);
        assert_eq!(counts.lost(), 98);
    }

    #[test]
    fn a_senders_own_stall_is_not_offered() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 0);
        let stalled = Arrived { sent_ns: 200 * MS, ..packet(1) };
        receiver.on_arrival(Stamp::from_nanos(210 * MS), &stalled, 0);
        assert!(!receiver.finish(closing(2), 0).silences.as_slice()[0].offered);
    }

    /// A loss beside a stall of the sender makes no outage of the stall.
    #[test]
    fn a_senders_own_stall_beside_a_lost_packet_is_its_own() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 0);
        let stalled = Arrived { sent_ns: 200 * MS, ..packet(2) };
        receiver.on_arrival(Stamp::from_nanos(210 * MS), &stalled, 0);
        let counts = receiver.finish(closing(3), 0);
        let silence = counts.silences.as_slice()[0];
        assert_eq!(
            (silence.sender_gap_ns, silence.longest()),
            (Some(198 * MS), Span::from_millis(2))
        );
        assert_eq!(counts.silences.outages(SILENCE_MIN).count(), 0);
    }

    /// Losses that copies make up for half a second later, until well behind the last packet.
    #[test]
    fn copies_and_stragglers_make_no_outage() {
        let mut receiver = receiver();
        let lost = |sequence: &u64| sequence % 100 == 7;
        (0..10_000).filter(|sequence| !lost(sequence)).for_each(|sequence| {
            _ = arrive(&mut receiver, 10 + sequence, sequence);
            if let Some(old) = sequence.checked_sub(500) {
                _ = arrive(&mut receiver, 10 + sequence, old);
            }
        });
        let late = (9_500..10_000).step_by(160);
        late.for_each(|sequence| _ = arrive(&mut receiver, 510 + sequence, sequence));
        arrive(&mut receiver, 510 + 9_907, 9_907);
        let counts = receiver.finish(closing(10_000), 0);
        assert_eq!(counts.silences.outages(SILENCE_MIN).count(), 0, "{:?}", counts.silences);
    }

    /// 400 ms in which only packets arrive that were held up before.
    #[test]
    fn a_straggler_does_not_end_an_outage() {
        let mut receiver = receiver();
        (0..100).filter(|sequence| *sequence != 50).for_each(|sequence| {
            _ = arrive(&mut receiver, 10 + sequence, sequence);
        });
        assert_eq!(arrive(&mut receiver, 300, 50), Arrival::Reordered);
        arrive(&mut receiver, 510, 500);
        let counts = receiver.finish(closing(501), 0);
        let outages: Vec<_> = counts.silences.outages(SILENCE_MIN).collect();
        assert_eq!(
            outages.iter().map(|outage| outage.span()).collect::<Vec<_>>(),
            [Span::from_millis(401)]
        );
        assert_eq!(outages[0].shortest(), Span::from_millis(399));
    }

    /// The path becomes 150 ms shorter, and later packets overtake.
    #[test]
    fn packets_that_are_overtaken_make_no_outage() {
        let mut receiver = receiver();
        (0..200).for_each(|sequence| _ = arrive(&mut receiver, 160 + sequence, sequence));
        // The newest that came left 150 ms before the next.
        for at in 360..510 {
            _ = arrive(&mut receiver, at, at - 10);
            _ = arrive(&mut receiver, at, at - 160);
        }
        let counts = receiver.finish(closing(500), 0);
        assert_eq!((counts.lost(), counts.silences.outages(SILENCE_MIN).count()), (0, 0));
    }

    #[test]
    fn an_outage_of_45_ms_is_recorded_where_it_is_asked_about() {
        for (least_ms, count) in [(50, 0), (10, 1)] {
            let mut receiver = receiver();
            receiver.stream.silence_min = Span::from_millis(least_ms);
            (0..100).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
            (145..200).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
            let counts = receiver.finish(closing(200), 0);
            let outages: Vec<_> = counts.silences.outages(Span::from_millis(10)).collect();
            assert_eq!(outages.len(), count);
            let lasted = outages.first().map(|outage| (outage.shortest(), outage.longest()));
            let expected = (Span::from_millis(44), Span::from_millis(46));
            assert_eq!(lasted, (0 < count).then_some(expected));
        }
    }

    #[test]
    fn a_line_that_holds_packets_back_is_offered() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 0);
        arrive(&mut receiver, 210, 1);
        assert!(receiver.finish(closing(2), 0).silences.as_slice()[0].offered);
    }

    #[test]
    fn a_line_dead_from_the_start_is_one_gap() {
        let counts = receiver().finish(closing(1_000), 0);
        // The load was paused behind its first second: that does not end the gap.
        let gap = Silence {
            start_ns: 0,
            end_ns: 10_000 * MS,
            packets: 1_000,
            offered: true,
            lost_span_ns: Some(9_500 * MS),
            ..Silence::default()
        };
        assert_eq!(counts.silences.as_slice(), [gap]);
        assert_eq!(counts.lost(), 1_000);
    }

    /// The load was paused from 1 s behind the first lost packet until it was heard again, at 3 s.
    #[test]
    fn a_pause_of_a_load_whose_link_was_dead_is_of_the_outage() {
        for (lost, shortest_ms) in [(1_000, 2_500), (5, 4)] {
            let mut receiver = receiver();
            (0..100).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
            let sequence = 100 + lost;
            let resumed = Arrived { due_ns: 3_099 * MS, sent_ns: 3_099 * MS, ..packet(sequence) };
            receiver.on_arrival(Stamp::from_nanos(3_109 * MS), &resumed, 0);
            let counts = receiver.finish(closing(sequence + 1), 0);
            let silence = &counts.silences.as_slice()[0];
            let lasted = (silence.shortest(), silence.longest());
            assert_eq!(lasted, (Span::from_millis(shortest_ms), Span::from_secs(3)), "{lost}");
        }
    }

    #[test]
    fn losses_within_a_catch_up_are_distinguished() {
        let mut receiver = receiver();
        [0, 1, 5, 9].into_iter().for_each(|sequence| _ = arrive(&mut receiver, 10, sequence));
        let catch_up = |start, end, beyond_packets| CatchUp { start, end, beyond_packets };
        let excess = vec![catch_up(2, 4, 1), catch_up(8, 10, 2)];
        let closing = Closing { sent: 10, last_due_ns: 9 * MS, excess: &excess, window: None };
        assert_eq!(receiver.finish(End::Closed(closing), 0).lost_in_excess, 2);
    }

    /// Walked number by number, this many would take days.
    #[test]
    fn a_sender_that_claims_more_than_its_slots_does_not_hold_up_the_end() {
        let mut receiver = receiver();
        (0..9_990).for_each(|sequence| _ = arrive(&mut receiver, 10 + sequence, sequence));
        let catch_up = |start, end| CatchUp { start, end, beyond_packets: end - start };
        let excess = vec![catch_up(9_000, COUNT_MAX / 2), catch_up(COUNT_MAX / 2, COUNT_MAX)];
        let closing = Closing { sent: COUNT_MAX, last_due_ns: 0, excess: &excess, window: None };
        let counts = receiver.finish(End::Closed(closing), 3);
        assert_eq!((counts.host_dropped, counts.lost(), counts.lost_in_excess), (3, 7, 7));
    }

    #[test]
    fn what_came_damaged_is_lost_by_the_line() {
        let mut receiver = receiver();
        receiver.on_arrival(Stamp::from_nanos(0), &packet(5), 5);
        let mut counts = receiver.finish(closing(6), 5);
        assert_eq!((counts.host_dropped, counts.lost()), (5, 0));
        counts.blame_link_for(3);
        assert_eq!((counts.host_dropped, counts.lost(), counts.losses.bursts()), (2, 3, 3));
        counts.blame_link_for(9);
        assert_eq!((counts.host_dropped, counts.lost()), (0, 5));
    }

    #[test]
    fn a_heartbeat_is_due_ten_times_a_second() {
        let mut receiver = receiver();
        arrive(&mut receiver, 10, 4);
        let rise = Span::from_nanos(7 * MS + 1);
        let say = receiver.poll_heartbeat(Stamp::from_nanos(10 * MS), 3, rise);
        assert_eq!(say, Some(Say::Heartbeat { received: 1, next: 5, echo: 3, rise_ms: 8 }));
        assert_eq!(receiver.poll_heartbeat(Stamp::from_nanos(109 * MS), 3, rise), None);
        assert_eq!(receiver.heartbeat_at(), Stamp::from_nanos(110 * MS));
    }
}
