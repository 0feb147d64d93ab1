//! One load stream over its own socket: its sending end, and its receiving end.

use super::meter::Toll;
use super::{Control, DATAGRAM_MAX, Gauge, LOOK_NS, Progress};
use crate::account::{ReceiverCounts, SenderCounts, Waiting};
use crate::clock::{Agent, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Arrival, Ending, Freshness, Intake, LoadCheck, LoadPayload, Next, Outgoing, PROBE_STREAM,
    Receiver, Sender, Stream, Train,
};
use crate::io::udp::{Batch, Refusal, Sent, Socket, Stray};
use crate::io::{clock, host};
use crate::units::Span;
use crate::wire::seal::{KEY_LEN, Seals, Tagger};
use crate::wire::signal::{self, Say, Signal};
use crate::wire::{self, Kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Batches that are read before anything else is looked at.
const READ_MAX: usize = 16;

/// Datagrams of signals that are read at once.
const SIGNALS_MAX: usize = 256;

/// How long a sender spins before a packet is due: a sleep ends up to 60 us late.
const SPIN_NS: u64 = 60_000;

/// How long a sender waits for room in its buffer before it looks around.
const ROOM_NS: u64 = 1_000_000;

/// A stream on its own socket.
#[derive(Debug)]
pub(super) struct OpenStream {
    pub(super) stream: Stream,
    pub(super) seals: Seals,
    pub(super) socket: Socket,
    /// What it pays to send; nothing at the driver, which nobody but its user limits.
    pub(super) toll: Option<Toll>,
    /// Tags its load, whichever end sends it.
    tagger: Tagger,
    /// The counter of the next signal.
    counter: u64,
    pub(super) seen: Freshness,
    /// One more than the counter of the newest heartbeat, shared with the agent's port.
    pub(super) heartbeats: Arc<AtomicU64>,
}

impl OpenStream {
    /// The stream with this key, at the end that sends in the direction `sends`.
    pub(super) fn new(
        stream: Stream,
        key: &[u8; KEY_LEN],
        sends: Direction,
        socket: Socket,
    ) -> Self {
        let tagger = Tagger::of(key, stream.direction);
        let (counter, seen) = (0, Freshness::default());
        let (seals, toll, heartbeats) = (Seals::of(key, sends), None, Arc::default());
        Self { stream, seals, socket, toll, tagger, counter, seen, heartbeats }
    }

    /// Confirms to the driver that the stream is open.
    pub(super) fn accept(&mut self) {
        self.say(Say::Accepted);
    }

    /// Sends a signal; its counter.
    pub(super) fn say(&mut self, say: Say) -> u64 {
        let (counter, Stream { number: stream, token, .. }) = (self.counter, self.stream);
        self.counter += 1;
        let may = |toll: &Toll| toll.answer::<Agent>(clock::now(), signal::LEN);
        if !self.toll.as_ref().is_none_or(may) {
            return counter;
        }
        // A signal that is refused is said again soon.
        let signal = Signal { stream, token, counter, say }.emit(&self.seals.sent);
        if let Err(error) = self.socket.send(&signal) {
            tracing::debug!(%error, "heartbeat could not be sent");
        }
        counter
    }

    /// Whether the agent's meter lets `packets` of load leave at `now`.
    fn may_load<C>(&self, now: Stamp<C>, packets: u32) -> bool {
        let payload = self.stream.payload;
        self.toll.as_ref().is_none_or(|toll| toll.load(now, payload, packets))
    }

    /// What the other end says in `datagram`, where that is new.
    pub(super) fn read(&mut self, datagram: &[u8]) -> Option<Say> {
        let signal = Signal::parse(datagram, &self.seals.received).ok()?;
        self.seen.on_heartbeats(self.heartbeats.load(Relaxed));
        let is_ours = signal.token == self.stream.token && self.seen.accepts(&signal);
        self.heartbeats.fetch_max(self.seen.next_heartbeat(), Relaxed);
        is_ours.then_some(signal.say)
    }

    /// The same of a stream that is open: a repeated confirmation is accepted again, and a
    /// challenge confirmed, which comes where the agent sees this end at a new address.
    pub(super) fn hear(&mut self, datagram: &[u8]) -> Option<Say> {
        let say = self.read(datagram)?;
        match say {
            Say::Confirm { .. } => _ = self.say(Say::Accepted),
            Say::Challenge { cookie } => _ = self.say(Say::Confirm { cookie }),
            Say::Hello | Say::Accepted | Say::Heartbeat { .. } => {}
        }
        Some(say)
    }

    /// Follows the driver to its new address, where it has one.
    fn follow<C>(&mut self, control: &Control<C>) {
        let Some(peer) = control.take_move(self.stream.number) else { return };
        match self.socket.move_to(peer) {
            // The driver hears at once that it is followed.
            Ok(()) => self.accept(),
            Err(error) => tracing::warn!(%error, %peer, "stream cannot follow its driver"),
        }
    }
}

/// When each of `streams` streams of a direction starts: spread over one packet gap.
pub(super) fn staggered<C>(start: Stamp<C>, stream: &Stream, streams: u32) -> Stamp<C> {
    let gap_ns = stream.rate.due(1).nanos();
    let place = u64::from(stream.number.saturating_sub(1) % streams.max(1));
    start.after_nanos(gap_ns * place / u64::from(streams.max(1)))
}

/// Who else sends and receives in a trial at this end of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadBudget {
    /// Streams of the same direction, this one among them.
    pub(super) streams: u32,
    /// Threads of the trial, that of its probes among them, and of those that may run beside it.
    pub(super) threads: usize,
}

impl ThreadBudget {
    /// That of `stream` among all `streams` of its trial, where up to `at_once` trials like it run
    /// on this host.
    pub(super) fn of<'a>(
        stream: &Stream,
        streams: impl Iterator<Item = &'a Stream>,
        at_once: usize,
    ) -> Self {
        let mut budget = Self { streams: 0, threads: 0 };
        for other in streams {
            budget.threads += 1;
            let same_way = other.number != PROBE_STREAM && other.direction == stream.direction;
            budget.streams += u32::from(same_way);
        }
        budget.threads = budget.threads.saturating_mul(at_once.max(1));
        budget
    }
}

/// Sends a stream, to its end or until stopped.
pub(super) fn send<C>(
    mut open: OpenStream,
    budget: ThreadBudget,
    control: &Control<C>,
    gauge: &Gauge,
) -> SenderCounts {
    clock::tighten_timer_slack();
    let mut buffer = vec![0; DATAGRAM_MAX];
    // All is ready before the start: made behind it, the payload alone would make packets late.
    let mut loader = Loader::new(&open);
    let waiting = waiting(&open.stream, budget);
    let Some(start) = wait_for_start(&mut open, control, &mut buffer) else {
        return SenderCounts::default();
    };
    let mut sender = Sender::new(open.stream, staggered(start, &open.stream, budget.streams));
    let spin_ns = if waiting == Waiting::Asleep { 0 } else { SPIN_NS };
    sender.on_ready(waiting, open.socket.buffers().map_or(0, |(_, send)| send));
    let (mut look_at, mut progress) = (start, Progress::default());
    while !control.is_stopped() {
        let now = clock::now();
        if look_at <= now {
            look_at = now.after_nanos(LOOK_NS);
            open.follow(control);
            listen(&mut open, &mut sender, gauge, &mut buffer);
            share_life(&mut sender, gauge, now);
            if progress.is_new(gauge) {
                open.socket.confirm_next();
            }
        }
        match sender.poll(now) {
            Next::Done => break,
            Next::Wait(until) => clock::wait_until(until.min(look_at), spin_ns),
            Next::Send(Outgoing::Signal(say)) => sender.on_said(now, open.say(say)),
            Next::Send(Outgoing::Load(train)) if !open.may_load(now, train.packets()) => {
                sender.on_metered(now, train.packets());
            }
            Next::Send(Outgoing::Load(train)) => {
                loader.send(&mut open.socket, &train, now, &mut sender, gauge);
            }
        }
    }
    gauge.note_clock_steps(open.socket.clock_steps());
    sender.into_counts()
}

/// How a sender waits: asleep where more threads than processors want to be awake. Ahead of all
/// others it is only where it sleeps for a good part of the time: it would starve them.
fn waiting(stream: &Stream, budget: ThreadBudget) -> Waiting {
    let gap_ns = stream.rate.due(stream.train.into()).nanos();
    if host::processors() < budget.threads {
        Waiting::Asleep
    } else if SPIN_NS + SPIN_NS / 2 <= gap_ns && clock::run_first() {
        Waiting::AwakeFirst
    } else {
        Waiting::Awake
    }
}

/// Makes the datagrams of a stream, and sends them by the train.
struct Loader {
    payload: LoadPayload,
    tagger: Tagger,
    /// The kernel cuts trains.
    cuts: bool,
}

impl Loader {
    fn new(open: &OpenStream) -> Self {
        let Stream { payload, train, .. } = open.stream;
        let cuts = 1 < train && open.socket.cut(payload).is_ok();
        let payload = LoadPayload::new(&open.stream).for_sending(&open.stream);
        Self { payload, tagger: open.tagger, cuts }
    }

    /// Sends `train`, which `sender` was polled for at `now`, as far as the kernel takes it.
    fn send<C>(
        &mut self,
        socket: &mut Socket,
        train: &Train,
        now: Stamp<C>,
        sender: &mut Sender<C>,
        gauge: &Gauge,
    ) {
        let range = self.payload.load(train, &self.tagger);
        let octets = self.payload.octets(range);
        let packets = train.packets();
        let whole = if self.cuts { socket.send_cut(octets) } else { Ok(None) };
        if self.cuts && matches!(whole, Ok(None)) {
            tracing::debug!("trains are sent packet by packet: the kernel cuts none");
            self.cuts = false;
            // Where that fails, nothing is cut that would be sent one by one.
            _ = socket.cut(0);
        }
        // Sent one by one, what was not taken is the first alone.
        let (result, segmented, refused) = match whole {
            Ok(None) => (socket.send_each(octets, self.payload.each()), false, 1),
            Ok(Some(sent)) => (Ok((packets as usize, sent)), true, packets),
            Err(error) => (Err(error), false, packets),
        };
        match result {
            Ok((taken, Sent::Accepted)) => {
                let taken = u32::try_from(taken).unwrap_or(packets);
                sender.on_sent(now, taken, segmented);
                gauge.sent.fetch_add(taken.into(), Relaxed);
            }
            Ok((_, Sent::Unreachable)) => sender.on_unreachable(refused),
            Ok((_, Sent::Refused(Refusal::QueueDropped))) => sender.on_queue_dropped(refused),
            Ok((_, Sent::Refused(Refusal::BufferFull))) => {
                sender.on_refused(refused);
                socket.wait_writable(now.after_nanos(ROOM_NS));
            }
            Ok((_, Sent::Refused(Refusal::Forbidden) | Sent::TooLong)) => {
                sender.on_refused(refused);
            }
            Err(error) => {
                tracing::debug!(%error, "load could not be sent");
                sender.on_refused(refused);
            }
        }
    }
}

/// The streams of a direction hear one series of heartbeats together, and the driver's probes show
/// that the far end is alive too, and by how much the round trip rises.
fn share_life<C>(sender: &mut Sender<C>, gauge: &Gauge, now: Stamp<C>) {
    sender.on_alive(now, Stamp::from_nanos(gauge.alive_ns.load(Relaxed)));
    sender.on_rise(gauge.rise());
}

/// Reads what the receiver says.
fn listen<C>(open: &mut OpenStream, sender: &mut Sender<C>, gauge: &Gauge, buffer: &mut [u8]) {
    for _ in 0..SIGNALS_MAX {
        let Ok(Some(received)) = open.socket.receive::<C>(buffer) else { return };
        let said = open.hear(&buffer[..received.len]);
        if let Some(Say::Heartbeat { received: count, next, echo, rise_ms }) = said {
            gauge.note_rise(Span::from_millis(rise_ms.into()));
            let before = sender.alive_at();
            sender.on_heard(received.at, next, echo);
            if before < sender.alive_at() {
                gauge.note_alive(sender.alive_at());
            }
            // What was held back on the way says nothing about now.
            gauge.hear(sender.alive_at());
            gauge.far_received.fetch_max(count, Relaxed);
            gauge.missing.fetch_max(next.saturating_sub(count), Relaxed);
        }
    }
}

/// Waits for the trial to start; `None` where it is stopped before.
fn wait_for_start<C>(
    open: &mut OpenStream,
    control: &Control<C>,
    buffer: &mut [u8],
) -> Option<Stamp<C>> {
    loop {
        if control.is_stopped() {
            return None;
        }
        if let Some(start) = control.started() {
            return Some(start);
        }
        let until = clock::now::<C>().after_nanos(LOOK_NS / 10);
        if open.socket.wait_readable(until).unwrap_or(false)
            && let Ok(Some(received)) = open.socket.receive::<C>(buffer)
        {
            open.hear(&buffer[..received.len]);
        }
    }
}

/// Receives a stream until its sender's account is here and its packets too, or until stopped.
/// `early` came before the socket was the stream's own. Of a sender that sends far more than it was
/// granted, the control takes note.
pub(super) fn receive<C>(
    open: OpenStream,
    early: &[Stray<C>],
    control: &Control<C>,
    gauge: &Gauge,
) -> ReceiverCounts {
    clock::tighten_timer_slack();
    let opened = clock::now();
    let mut receiver = Receiver::new(open.stream, opened);
    let intake = Intake::new(open.stream.rate, COPIES_MAX, opened);
    let room = open.socket.buffers().map_or(0, |(receive, _)| receive);
    receiver.on_ready(room);
    let joins = 1 < open.stream.train && open.socket.join().is_ok();
    let mut batch = if joins { Batch::joined() } else { Batch::each(longest(&open.stream)) };
    let check = LoadCheck::new(open.stream, open.tagger);
    let mut receiving =
        Receiving { open, receiver, check, intake, opened, is_ahead: false, is_behind: false };
    for Stray { octets, at, .. } in early {
        receiving.take(*at, 0, octets, octets.len());
    }
    let mut ending = Ending::default();
    let mut coalescing = ReadCoalescing::new(room, clock::now());
    loop {
        let now = clock::now();
        receiving.say_what_is_due(now, gauge.rise());
        let reads = !control.is_lapsed(now);
        let flooded = reads && receiving.read_all(now, gauge, &mut batch, &mut coalescing);
        if receiving.is_ahead {
            control.note_exceeded(now);
        }
        if flooded && !control.is_stopped() {
            continue;
        }
        receiving.open.follow(control);
        let Receiving { open, receiver, .. } = &receiving;
        let closing = || control.closing(open.stream.number);
        if ending.is_over(now, receiver, closing, control.is_stopped()) {
            break;
        }
        let until = receiver.heartbeat_at().min(now.after_nanos(LOOK_NS));
        if !reads || !receiving.intake.is_open(now) {
            // What waits in the socket's buffer is not read: where it overflows, this host drops.
            clock::wait_until(until.min(now.after_nanos(ROOM_NS)), 0);
            continue;
        }
        match coalescing.poll(clock::now()) {
            Some(rested) => clock::wait_until(rested.min(until), 0),
            None => _ = open.socket.wait_readable(until),
        }
    }
    let Receiving { open, mut receiver, is_behind, .. } = receiving;
    if is_behind {
        receiver.on_unread();
    }
    gauge.note_clock_steps(open.socket.clock_steps());
    let drops = open.socket.drops().unwrap_or(0);
    ending.finish(receiver, drops, control.listened_until())
}

/// The most times that a network may deliver each packet before no more is read.
const COPIES_MAX: u64 = 2;

/// Octets of the longest datagram of `stream`.
fn longest(stream: &Stream) -> usize {
    usize::try_from(stream.payload).unwrap_or(DATAGRAM_MAX).max(signal::LEN)
}

/// The receiving end of a stream on its own socket.
struct Receiving<C> {
    open: OpenStream,
    receiver: Receiver<C>,
    check: LoadCheck,
    intake: Intake<C>,
    opened: Stamp<C>,
    /// A packet came that was due long after.
    is_ahead: bool,
    /// What came was not all read, for the limit.
    is_behind: bool,
}

impl<C> Receiving<C> {
    fn say_what_is_due(&mut self, now: Stamp<C>, rise: Span) {
        if let Some(say) = self.receiver.poll_heartbeat(now, self.open.seen.echo(), rise) {
            self.open.say(say);
        }
    }

    /// Reads what is here, up to a bound; whether there may be more.
    fn read_all(
        &mut self,
        now: Stamp<C>,
        gauge: &Gauge,
        batch: &mut Batch<C>,
        coalescing: &mut ReadCoalescing<C>,
    ) -> bool {
        let before = (self.receiver.so_far().received, self.receiver.so_far().octets);
        let mut flooded = true;
        for _ in 0..READ_MAX {
            let reads = self.intake.is_open(now);
            if !reads || !self.open.socket.receive_batch(batch).unwrap_or(false) {
                (flooded, self.is_behind) = (false, !reads);
                break;
            }
            let mut datagrams = 0;
            for arrivals in batch.arrivals() {
                for (octets, len) in arrivals.datagrams() {
                    datagrams += 1;
                    self.take(arrivals.at, arrivals.drops, octets, len);
                }
            }
            self.intake.take(now, datagrams);
            coalescing.on_read(batch.arrivals().count() as u64, batch.footprint());
            if !batch.is_full() {
                (flooded, self.is_behind) = (false, false);
                break;
            }
        }
        if let Some(at) = self.receiver.newest_at() {
            gauge.hear(at);
        }
        let after = self.receiver.so_far();
        gauge.received.fetch_add(after.received - before.0, Relaxed);
        gauge.octets.fetch_add(after.octets - before.1, Relaxed);
        gauge.missing.fetch_max(self.receiver.missing_so_far(), Relaxed);
        flooded
    }

    /// Takes a datagram of `len` octets, of which `octets` were read. Signals are answered, and are
    /// no sign of life: none says when it left.
    fn take(&mut self, at: Stamp<C>, drops: u32, octets: &[u8], len: usize) {
        match wire::kind_of(octets) {
            Some(Kind::Signal) if self.open.hear(octets).is_some() => self.receiver.on_signal(at),
            Some(Kind::Signal) => {}
            Some(Kind::Probe) => {}
            Some(Kind::Load) | None => match self.check.packet(octets, len) {
                Some(packet) => {
                    let arrival = self.receiver.on_arrival(at, &packet, drops);
                    let is_new = !matches!(arrival, Arrival::Duplicate | Arrival::Rejected);
                    self.is_ahead |= is_new && packet.is_ahead(self.opened, at);
                }
                None => self.receiver.on_malformed(),
            },
        }
    }
}

/// How long a receiver lets packets gather. Each that finds it asleep costs the sender's processor
/// a wake-up where both are of one host, and this one's always; the kernel stamps them anyhow.
struct ReadCoalescing<C> {
    /// What of the socket's buffer may fill meanwhile.
    room: u64,
    since: Stamp<C>,
    read: u64,
    footprint: u64,
}

/// The longest wait for more to read, and the shortest that is worth it.
const NAP_NS_MAX: u64 = 500_000;
const NAP_NS_MIN: u64 = 30_000;

/// The part of the buffer that may fill in such a wait.
const NAP_PART: u64 = 8;

impl<C> ReadCoalescing<C> {
    const fn new(buffer: u64, now: Stamp<C>) -> Self {
        Self { room: buffer / NAP_PART, since: now, read: 0, footprint: 0 }
    }

    const fn on_read(&mut self, read: u64, footprint: u64) {
        self.read += read;
        self.footprint += footprint;
    }

    /// Until when to sleep at `now`, at the pace at which packets have come since the last time;
    /// `None` where the next is better waited for.
    fn poll(&mut self, now: Stamp<C>) -> Option<Stamp<C>> {
        let elapsed_ns = now.nanos_since(self.since);
        let (read, footprint) = (self.read, self.footprint);
        (self.since, self.read, self.footprint) = (now, 0, 0);
        let fills_ns = self.room.saturating_mul(elapsed_ns).checked_div(footprint)?;
        let nap_ns = fills_ns.min(NAP_NS_MAX);
        let gather = nap_ns.saturating_mul(read) / elapsed_ns.max(1);
        (NAP_NS_MIN <= nap_ns && 2 <= gather).then(|| now.after_nanos(nap_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::direction::Direction;
    use crate::flow::Steady;
    use crate::trial::Dscp;
    use crate::units::PacketRate;
    use crate::wire::{Token, load};

    const US: u64 = 1_000;

    fn at(us: u64) -> Stamp<Driver> {
        Stamp::from_nanos(us * US)
    }

    #[test]
    fn a_receiver_naps_for_what_an_eighth_of_its_buffer_holds_and_half_a_millisecond_at_most() {
        // 80 000 octets, an eighth of which is filled by 10 packets of 1000.
        let mut coalescing = ReadCoalescing::new(80_000, at(0));
        coalescing.on_read(10, 10_000);
        assert_eq!(coalescing.poll(at(100)), Some(at(200)), "10 packets came in 100 us");
        coalescing.on_read(1, 1_000);
        assert_eq!(coalescing.poll(at(300)), Some(at(800)), "one in 100 us: 5 in the longest wait");
    }

    #[test]
    fn it_waits_for_what_comes_seldom_or_would_fill_its_buffer_at_once() {
        let mut coalescing = ReadCoalescing::new(80_000, at(0));
        assert_eq!(coalescing.poll(at(100)), None, "nothing came");
        coalescing.on_read(1, 1_000);
        assert_eq!(coalescing.poll(at(10_100)), None, "one in 10 ms");
        coalescing.on_read(100, 100_000);
        assert_eq!(coalescing.poll(at(10_200)), None, "10 us fill it");
    }

    fn stream() -> Stream {
        Stream {
            number: 1,
            token: Token(9),
            direction: Direction::Forward,
            rate: PacketRate::new(1_000_000).expect("a rate"),
            slots: 1_000_000,
            payload: 3_000,
            train: 4,
            burst: 8,
            capacity: false,
            dscp: Dscp::default(),
            life: crate::flow::Liveness::default(),
            steady: Steady::of(Span::from_secs(1)),
            silence_min: crate::account::SILENCE_MIN,
            ramp: Span::default(),
        }
    }

    #[test]
    fn a_train_that_the_kernel_does_not_cut_leaves_packet_by_packet_and_is_reported() {
        let far = Socket::listen("127.0.0.1:0".parse().expect("an address")).expect("a listener");
        let near = Socket::connect(far.local().expect("bound"));
        // No kernel cuts a send into more than 128.
        let stream = Stream { train: 200, payload: 100, ..stream() };
        let mut open = open(stream, near.expect("a socket"));
        let mut loader = Loader::new(&open);
        let mut sender = Sender::<Driver>::new(stream, at(0));
        let train = train(&mut sender, at(300));
        loader.send(&mut open.socket, &train, at(300), &mut sender, &Gauge::default());
        let counts = sender.into_counts();
        assert!(!loader.cuts);
        // One call takes 64 packets; the others are polled again.
        assert_eq!((counts.sent, counts.segmented, counts.refused), (64, 0, 0));
    }

    /// What the agent's port has accepted is not new to the stream's own socket, nor the other way
    /// round.
    #[test]
    fn a_signal_is_accepted_at_one_socket_of_the_two() {
        let far = Socket::listen("127.0.0.1:0".parse().expect("an address")).expect("a listener");
        let near = Socket::connect(far.local().expect("bound")).expect("a socket");
        let mut open = OpenStream::new(stream(), &[1; KEY_LEN], Direction::Reverse, near);
        let heard = Arc::clone(&open.heartbeats);
        let seals = Seals::of(&[1; KEY_LEN], Direction::Forward);
        let (stream, token) = (1, Token(9));
        let heartbeat = |counter| {
            let say = Say::Heartbeat { received: 0, next: 0, echo: 0, rise_ms: 0 };
            Signal { stream, token, counter, say }.emit(&seals.sent)
        };
        assert!(open.read(&heartbeat(4)).is_some());
        assert_eq!(heard.load(Relaxed), 5, "the port accepts none before");
        heard.store(9, Relaxed);
        assert!(open.read(&heartbeat(8)).is_none() && open.read(&heartbeat(9)).is_some());
    }

    #[test]
    fn the_last_packet_of_a_stream_left_as_its_trains_did() {
        let far = Socket::listen("127.0.0.1:0".parse().expect("an address")).expect("a listener");
        let near = Socket::connect(far.local().expect("bound"));
        let stream = Stream { slots: 9, payload: 100, ..stream() };
        let mut open = open(stream, near.expect("a socket"));
        let mut loader = Loader::new(&open);
        let mut sender = Sender::<Driver>::new(stream, at(0));
        for now in [4, 8, 12] {
            let train = train(&mut sender, at(now));
            loader.send(&mut open.socket, &train, at(now), &mut sender, &Gauge::default());
        }
        let counts = sender.into_counts();
        assert_eq!((counts.sent, counts.segmented, counts.burst), (9, 9, 4));
    }

    /// A packet of load, due then, as its driver sends it.
    fn packet(sequence: u64, due_ns: u64) -> Vec<u8> {
        let header = load::Header { stream: 1, token: Token(9), sequence, due_ns, lateness_ns: 0 };
        let mut datagram = vec![0xa5; 100];
        header.emit(&mut datagram, &Tagger::of(&[1; KEY_LEN], Direction::Forward));
        datagram
    }

    /// In the first release a stranger's copies ended a run, and packets of the future did not.
    #[test]
    fn a_run_is_ended_by_packets_far_ahead_of_their_time_and_by_no_copies() {
        let far = Socket::listen("127.0.0.1:0".parse().expect("an address")).expect("a listener");
        let near = Socket::connect(far.local().expect("bound"));
        let stream = Stream { slots: 9_000_000, payload: 100, ..stream() };
        let open = open(stream, near.expect("a socket"));
        let check = LoadCheck::new(stream, open.tagger);
        let (receiver, opened) = (Receiver::<Driver>::new(stream, at(0)), at(0));
        let intake = Intake::new(stream.rate, COPIES_MAX, opened);
        let mut receiving =
            Receiving { open, receiver, check, intake, opened, is_ahead: false, is_behind: false };
        let mut take = |sequence, due_us: u64| {
            let datagram = packet(sequence, due_us * US);
            receiving.take(at(1_000_000), 0, &datagram, datagram.len());
            receiving.is_ahead
        };
        assert!(!(0..10_000).any(|_| take(7, 7)), "copies");
        assert!(!take(3_000_000, 3_000_000), "2 s ahead of the second that has passed");
        assert!(take(3_000_001, 3_000_001));
        let counts = receiving.receiver.so_far();
        assert_eq!((counts.duplicate, counts.rejected, counts.malformed), (9_999, 0, 0));
    }

    /// Four links at once spun on four processors, as each trial thought that it had them alone.
    #[test]
    fn trials_at_once_share_the_processors() {
        let both = [stream(), Stream { direction: Direction::Reverse, ..stream() }];
        let threads = |at_once| ThreadBudget::of(&both[0], both.iter(), at_once).threads;
        assert_eq!([0, 1, 4].map(threads), [2, 2, 8]);
        let many = ThreadBudget::of(&both[0], both.iter(), host::processors());
        assert_eq!(waiting(&both[0], many), Waiting::Asleep);
    }

    fn train(sender: &mut Sender<Driver>, now: Stamp<Driver>) -> Train {
        match sender.poll(now) {
            Next::Send(Outgoing::Load(train)) => train,
            other => panic!("no train: {other:?}"),
        }
    }

    fn open(stream: Stream, socket: Socket) -> OpenStream {
        OpenStream::new(stream, &[1; KEY_LEN], Direction::Forward, socket)
    }
}
