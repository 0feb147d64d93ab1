//! What `src/traffic` does with threads and sockets, as machines that are stepped: the same calls
//! of `flow` in the same order, over the same octets.

use linkqual::account::{Excess, Marks, ReceiverCounts, SenderCounts, Waiting, WallClock};
use linkqual::clock::{Driver, Stamp};
use linkqual::direction::Direction;
use linkqual::emulation::Class;
use linkqual::flow::{
    Arrival, Arrived, Closing, End, Ending, FAREWELL, Freshness, Handshake, LATE_MAX, LoadCheck,
    LoadPayload, NearEvent, Next, Outgoing, Probed, Prober, Receiver, Sender, Stream,
};
use linkqual::units::Span;
use linkqual::wire::probe::{LEN_MIN, Probe, Reply};
use linkqual::wire::seal::{KEY_LEN, Seals, Tagger};
use linkqual::wire::signal::{Say, Signal};
use linkqual::wire::{Kind, StreamNumber, kind_of};
use std::collections::BTreeMap;

/// How often a thread looks at what it is asked, where nothing wakes it.
const LOOK_NS: u64 = 10_000_000;

/// Datagrams to be sent, each with its class.
pub(super) type Out = Vec<(Class, Vec<u8>)>;

/// What a host does wrong, counted by load datagrams of each stream; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Host {
    /// Its stack refuses each n-th that it sends.
    pub(super) refuses_nth: u64,
    /// Its socket drops each n-th that comes, and counts it.
    pub(super) drops_nth: u64,
    /// How long its program takes from reading the clock for a probe, or a reply, to its leaving.
    pub(super) takes_ns: u64,
    /// How long a probe waits until the program reads it.
    pub(super) wakes_ns: u64,
    /// Its kernel stamps all probes, or replies, that leave but each n-th.
    pub(super) unstamped_nth: u64,
    /// How a load sender waits.
    pub(super) waiting: Waiting,
    /// How late a load sender wakes from each wait.
    pub(super) oversleeps_ns: u64,
    /// When a load sender does not run.
    pub(super) stall: Option<Stall>,
    /// What it states of its wall clock.
    pub(super) wall_clock: Option<WallClock>,
}

/// Times in which a program does not run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    /// How often, the first time this long after the clock began.
    pub(super) each_ns: u64,
    /// For how long.
    pub(super) for_ns: u64,
}

impl Stall {
    /// Until when the program does not run; `None` where it does at `now_ns`.
    const fn until(self, now_ns: u64) -> Option<u64> {
        let into_ns = now_ns % self.each_ns;
        if into_ns < self.for_ns { Some(now_ns - into_ns + self.for_ns) } else { None }
    }
}

impl Host {
    /// Whether its kernel stamps the leaving of the datagram of this number.
    pub(super) fn stamps(self, sequence: u32) -> bool {
        !(u64::from(sequence) + 1).is_multiple_of(self.unstamped_nth)
    }
}

/// What the threads of a trial are asked to do (`dataplane::Control`).
pub(super) struct Orders<C> {
    pub(super) start: Option<Stamp<C>>,
    pub(super) stopped: bool,
    pub(super) gone: Option<Stamp<C>>,
    pub(super) closings: BTreeMap<StreamNumber, SenderCounts>,
    /// By how much the round trip has risen (`dataplane::Gauge`).
    pub(super) rise: Span,
}

impl<C> Default for Orders<C> {
    fn default() -> Self {
        let (closings, rise) = (BTreeMap::new(), Span::default());
        Self { start: None, stopped: false, gone: None, closings, rise }
    }
}

/// What a load stream's thread reports in the end.
#[expect(clippy::large_enum_variant, reason = "one of each stream, and no more")]
pub(super) enum Ended {
    Sent(SenderCounts),
    Came(ReceiverCounts),
}

/// How a step ended.
pub(super) enum Step<C, T> {
    /// Nothing before this moment, unless something comes.
    Wait(Stamp<C>),
    /// The thread is over.
    Over(T),
}

/// One end's signals of a stream (`dataplane::load::OpenStream`).
pub(super) struct Signals {
    stream: Stream,
    seals: Seals,
    counter: u64,
    seen: Freshness,
}

impl Signals {
    fn new(stream: Stream, key: &[u8; KEY_LEN], sends: Direction) -> Self {
        Self { stream, seals: Seals::of(key, sends), counter: 0, seen: Freshness::default() }
    }

    fn say(&mut self, say: Say, out: &mut Out) -> u64 {
        let (counter, Stream { number: stream, token, .. }) = (self.counter, self.stream);
        self.counter += 1;
        let signal = Signal { stream, token, counter, say }.emit(&self.seals.sent);
        out.push((Class::Signal, signal.to_vec()));
        counter
    }

    fn read(&mut self, datagram: &[u8]) -> Option<Say> {
        let signal = Signal::parse(datagram, &self.seals.received).ok()?;
        let is_ours = signal.token == self.stream.token && self.seen.accepts(&signal);
        is_ours.then_some(signal.say)
    }

    fn hear(&mut self, datagram: &[u8], out: &mut Out) -> Option<Say> {
        let say = self.read(datagram)?;
        match say {
            Say::Confirm { .. } => _ = self.say(Say::Accepted, out),
            Say::Challenge { cookie } => _ = self.say(Say::Confirm { cookie }, out),
            Say::Hello | Say::Accepted | Say::Heartbeat { .. } => {}
        }
        Some(say)
    }
}

enum Part<C> {
    ExpectStart,
    Sending { sender: Box<Sender<C>>, payload: Box<LoadPayload> },
    Receiving { receiver: Box<Receiver<C>>, check: Box<LoadCheck>, ending: Box<Ending<C>> },
    Over,
}

/// One end of a load stream (`dataplane::load`).
pub(super) struct LoadEnd<C> {
    pub(super) stream: Stream,
    signals: Signals,
    tagger: Tagger,
    siblings: u32,
    host: Host,
    part: Part<C>,
    offered: u64,
    arrivals: u64,
    drops: u32,
    /// When anything came last.
    pub(super) heard: Option<Stamp<C>>,
    /// The largest rise of the round trip that the other end has reported.
    pub(super) rise: Span,
}

impl<C> LoadEnd<C> {
    /// The end of `stream` that sends it or receives it.
    pub(super) fn new(
        stream: Stream,
        key: &[u8; KEY_LEN],
        sends: Direction,
        siblings: u32,
        host: Host,
        now: Stamp<C>,
    ) -> Self {
        let signals = Signals::new(stream, key, sends);
        Self::going_on(stream, key, (sends, signals), siblings, host, now)
    }

    /// The same behind a handshake, whose signals go on.
    pub(super) fn going_on(
        stream: Stream,
        key: &[u8; KEY_LEN],
        (sends, signals): (Direction, Signals),
        siblings: u32,
        host: Host,
        now: Stamp<C>,
    ) -> Self {
        let tagger = Tagger::of(key, stream.direction);
        let part = if stream.direction == sends {
            Part::ExpectStart
        } else {
            let receiver = Box::new(Receiver::new(stream, now));
            let ending = Box::new(Ending::default());
            let check = Box::new(LoadCheck::new(stream, tagger));
            Part::Receiving { receiver, check, ending }
        };
        let (offered, arrivals, drops, heard, rise) = (0, 0, 0, None, Span::default());
        Self {
            stream,
            signals,
            tagger,
            siblings,
            host,
            part,
            offered,
            arrivals,
            drops,
            heard,
            rise,
        }
    }

    pub(super) fn say(&mut self, say: Say, out: &mut Out) {
        self.signals.say(say, out);
    }

    pub(super) const fn next_heartbeat(&self) -> u64 {
        self.signals.seen.next_heartbeat()
    }

    /// What its agent's port has accepted, and what its own socket has.
    pub(super) fn seen(&mut self) -> &mut Freshness {
        &mut self.signals.seen
    }

    /// A datagram came to the stream's socket.
    pub(super) fn take(&mut self, at: Stamp<C>, datagram: &[u8], out: &mut Out) {
        match kind_of(datagram) {
            Some(Kind::Load) | None => self.take_load(at, datagram),
            Some(Kind::Signal) => self.take_signal(at, datagram, out),
            Some(Kind::Probe) => {}
        }
    }

    fn take_load(&mut self, at: Stamp<C>, datagram: &[u8]) {
        let Part::Receiving { receiver, check, .. } = &mut self.part else { return };
        self.arrivals += 1;
        if self.arrivals.is_multiple_of(self.host.drops_nth) {
            self.drops += 1;
            return;
        }
        let Some(packet) = check.packet(datagram, datagram.len()) else {
            return receiver.on_malformed();
        };
        receiver.on_arrival(at, &packet, self.drops);
        self.heard = receiver.newest_at();
    }

    fn take_signal(&mut self, at: Stamp<C>, datagram: &[u8], out: &mut Out) {
        let Some(say) = self.signals.hear(datagram, out) else { return };
        if let Part::Receiving { receiver, .. } = &mut self.part {
            receiver.on_signal(at);
        }
        if let Part::Sending { sender, .. } = &mut self.part
            && let Say::Heartbeat { next, echo, rise_ms, .. } = say
        {
            self.rise = self.rise.max(Span::from_millis(rise_ms.into()));
            sender.on_heard(at, next, echo);
            self.heard = Some(sender.alive_at());
        }
    }

    /// Does all that is to be done at `now`.
    pub(super) fn step(
        &mut self,
        now: Stamp<C>,
        orders: &Orders<C>,
        out: &mut Out,
    ) -> Step<C, Ended> {
        if let (Part::ExpectStart, Some(start)) = (&self.part, orders.start) {
            let start = staggered(start, &self.stream, self.siblings);
            let mut sender = Box::new(Sender::new(self.stream, start));
            sender.on_ready(self.host.waiting, 0);
            let payload = Box::new(LoadPayload::new(&self.stream).for_sending(&self.stream));
            self.part = Part::Sending { sender, payload };
        }
        match std::mem::replace(&mut self.part, Part::Over) {
            Part::ExpectStart if orders.stopped => Step::Over(Ended::Sent(SenderCounts::default())),
            Part::ExpectStart => {
                self.part = Part::ExpectStart;
                Step::Wait(now.after_nanos(LOOK_NS))
            }
            Part::Sending { sender, payload } => self.send(now, (sender, payload), orders, out),
            Part::Receiving { receiver, check, ending } => {
                self.receive(now, receiver, (check, ending), orders, out)
            }
            Part::Over => unreachable!("a thread that is over is not stepped"),
        }
    }

    fn send(
        &mut self,
        now: Stamp<C>,
        (mut sender, mut payload): (Box<Sender<C>>, Box<LoadPayload>),
        orders: &Orders<C>,
        out: &mut Out,
    ) -> Step<C, Ended> {
        loop {
            if orders.stopped {
                break;
            }
            let stall = self.host.stall.and_then(|stall| stall.until(now.nanos()));
            if let Some(until_ns) = stall {
                self.part = Part::Sending { sender, payload };
                return Step::Wait(Stamp::from_nanos(until_ns));
            }
            sender.on_rise(orders.rise);
            match sender.poll(now) {
                Next::Done => break,
                Next::Wait(until) => {
                    self.part = Part::Sending { sender, payload };
                    return Step::Wait(until.after_nanos(self.host.oversleeps_ns));
                }
                Next::Send(Outgoing::Signal(say)) => {
                    sender.on_said(now, self.signals.say(say, out));
                }
                Next::Send(Outgoing::Load(train)) => {
                    let range = payload.load(&train, &self.tagger);
                    for datagram in payload.octets(range).chunks(payload.each()) {
                        self.offered += 1;
                        if self.offered.is_multiple_of(self.host.refuses_nth) {
                            sender.on_refused(1);
                            break;
                        }
                        out.push((Class::Load, datagram.to_vec()));
                        sender.on_sent(now, 1, false);
                    }
                }
            }
        }
        Step::Over(Ended::Sent(sender.into_counts()))
    }

    fn receive(
        &mut self,
        now: Stamp<C>,
        mut receiver: Box<Receiver<C>>,
        (check, mut ending): (Box<LoadCheck>, Box<Ending<C>>),
        orders: &Orders<C>,
        out: &mut Out,
    ) -> Step<C, Ended> {
        if let Some(say) = receiver.poll_heartbeat(now, self.signals.seen.echo(), orders.rise) {
            self.say(say, out);
        }
        let closing = || orders.closings.get(&self.stream.number).cloned();
        if !ending.is_over(now, &receiver, closing, orders.stopped) {
            let until = receiver.heartbeat_at();
            self.part = Part::Receiving { receiver, check, ending };
            return Step::Wait(until);
        }
        let listened_until = orders.gone.unwrap_or(now);
        Step::Over(Ended::Came(ending.finish(*receiver, self.drops, listened_until)))
    }
}

/// When each of a direction's streams starts: spread over one packet gap (`load::staggered`).
fn staggered<C>(start: Stamp<C>, stream: &Stream, streams: u32) -> Stamp<C> {
    let place = stream.number.saturating_sub(1) % streams.max(1);
    let gap_ns = stream.rate.due(1).nanos();
    start.after_nanos(gap_ns * u64::from(place) / u64::from(streams.max(1)))
}

/// The driver's end of opening a stream (`near::open_stream`).
pub(super) struct Opening {
    stream: Stream,
    signals: Signals,
    handshake: Handshake<Driver>,
}

impl Opening {
    pub(super) fn new(stream: Stream, key: &[u8; KEY_LEN], now: Stamp<Driver>) -> Self {
        let signals = Signals::new(stream, key, Direction::Forward);
        Self { stream, signals, handshake: Handshake::new(now, stream.number) }
    }

    /// What it said and heard, for the stream that is open now.
    pub(super) fn into_signals(self) -> Signals {
        self.signals
    }

    pub(super) fn take(&mut self, at: Stamp<Driver>, datagram: &[u8]) {
        if let Some(say) = self.signals.read(datagram) {
            self.handshake.on_say(at, say);
        }
    }

    /// Over with whether the stream is open.
    pub(super) fn step(&mut self, now: Stamp<Driver>, out: &mut Out) -> Step<Driver, NearEvent> {
        let number = self.stream.number;
        loop {
            match self.handshake.poll(now) {
                Err(why) => return Step::Over(NearEvent::NotOpened(number, why)),
                Ok(Next::Done) => return Step::Over(NearEvent::Opened(number)),
                Ok(Next::Wait(until)) => return Step::Wait(until),
                Ok(Next::Send(say)) => _ = self.signals.say(say, out),
            }
        }
    }
}

enum Phase {
    ExpectStart,
    ProbeCounts { stopped: bool },
    ExpectClosing { stop_by: Option<Stamp<Driver>> },
}

/// The driver's probes (`dataplane::probing`).
pub(super) struct Probes {
    stream: Stream,
    signals: Signals,
    phase: Phase,
    host: Host,
    prober: Prober,
    replies: Receiver<Driver>,
    pub(super) heard: Option<Stamp<Driver>>,
    /// By how much the round trip has risen.
    pub(super) rise: Span,
}

impl Probes {
    pub(super) fn new(stream: Stream, signals: Signals, host: Host, now: Stamp<Driver>) -> Self {
        Self {
            stream,
            signals,
            phase: Phase::ExpectStart,
            host,
            prober: Prober::new(stream, now),
            replies: Receiver::new(stream, now),
            heard: None,
            rise: Span::default(),
        }
    }

    pub(super) fn take(&mut self, at: Stamp<Driver>, datagram: &[u8], out: &mut Out) {
        if kind_of(datagram) == Some(Kind::Signal) {
            self.signals.hear(datagram, out);
            return;
        }
        let Ok(reply) = Reply::parse(datagram, &self.signals.seals.received) else { return };
        if reply.answers_copy {
            return;
        }
        let arrived = Arrived {
            sequence: reply.sequence.into(),
            due_ns: self.stream.rate.due(reply.probe_sequence.into()).nanos(),
            sent_ns: reply.sent_ns,
            octets: u32::try_from(datagram.len()).unwrap(),
            ..Arrived::default()
        };
        let arrival = self.replies.on_arrival(at, &arrived, 0);
        if matches!(arrival, Arrival::Duplicate | Arrival::Rejected) {
            return;
        }
        self.prober.on_reply(at, true, &reply);
        self.heard = self.replies.newest_at();
        let round_trip = Span::from_nanos(self.prober.newest_round_trip_ns().unwrap_or(0));
        self.rise = self.rise.max(round_trip.minus(self.stream.life.round_trip));
    }

    /// Over once the agent's count of replies is here; sends `events` on the way.
    pub(super) fn step(
        &mut self,
        now: Stamp<Driver>,
        orders: &Orders<Driver>,
        out: &mut Out,
        events: &mut Vec<NearEvent>,
    ) -> Step<Driver, ()> {
        if matches!(self.phase, Phase::ExpectStart) {
            match orders.start {
                Some(start) => {
                    self.prober = Prober::new(self.stream, start);
                    self.replies = Receiver::new(self.stream, start);
                    self.phase = Phase::ProbeCounts { stopped: false };
                }
                None if orders.stopped => {
                    events.push(NearEvent::Probed(Box::default()));
                    return Step::Over(());
                }
                None => return Step::Wait(now.after_nanos(LOOK_NS)),
            }
        }
        if let Phase::ProbeCounts { stopped } = &mut self.phase {
            if orders.stopped && !*stopped {
                *stopped = true;
                self.prober.stop(now);
            }
            if let Some(until) = self.probe(now, out) {
                return Step::Wait(until);
            }
            events.push(NearEvent::Sent(self.stream.number, self.prober.counts()));
            self.phase = Phase::ExpectClosing { stop_by: None };
        }
        self.expect_closing(now, orders, events)
    }

    /// `None` once the last reply has come or never will.
    fn probe(&mut self, now: Stamp<Driver>, out: &mut Out) -> Option<Stamp<Driver>> {
        loop {
            match self.prober.poll(now) {
                Next::Done => return None,
                Next::Wait(until) => return Some(until),
                Next::Send(probe) => {
                    let mut datagram = vec![0xa5; LEN_MIN];
                    let read = Stamp::from_nanos(now.nanos() - self.host.takes_ns);
                    Probe { sent_ns: read.nanos(), ..probe }
                        .emit(&self.signals.seals.sent, &mut datagram);
                    out.push((Class::Probe, datagram));
                    self.prober.on_sent(read);
                    if self.host.stamps(probe.sequence) {
                        self.prober.on_left(probe.sequence, now);
                    }
                }
            }
        }
    }

    fn expect_closing(
        &mut self,
        now: Stamp<Driver>,
        orders: &Orders<Driver>,
        events: &mut Vec<NearEvent>,
    ) -> Step<Driver, ()> {
        let Phase::ExpectClosing { stop_by } = &mut self.phase else {
            unreachable!("the probes are sent")
        };
        let closing = orders.closings.get(&self.stream.number);
        if stop_by.is_none() && orders.stopped {
            *stop_by = Some(now.after_nanos(LATE_MAX.nanos() + FAREWELL.nanos() / 2));
        }
        if closing.is_none() && stop_by.is_none_or(|stop_by| now < stop_by) {
            return Step::Wait(now.after_nanos(LOOK_NS));
        }
        let excess = Excess::new();
        let end = match closing {
            Some(SenderCounts { sent, last_due_ns, .. }) => End::Closed(Closing {
                sent: *sent,
                last_due_ns: *last_due_ns,
                excess: &excess,
                window: None,
            }),
            None => End::Abandoned { listened_until: orders.gone.unwrap_or(now) },
        };
        let spent = Prober::new(self.stream, now);
        let prober = std::mem::replace(&mut self.prober, spent);
        let none = Receiver::new(self.stream, now);
        let replies = std::mem::replace(&mut self.replies, none).finish(end, 0);
        let (refused, exchanges) = (prober.refused(), prober.into_exchanges());
        events.push(NearEvent::Probed(Box::new(Probed {
            exchanges,
            refused,
            replies,
            marks: Marks::default(),
            wall_clock: self.host.wall_clock,
        })));
        Step::Over(())
    }
}
