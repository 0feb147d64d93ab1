//! One load stream over its own socket: its sending end, and its receiving end.

use super::{Control, DATAGRAM_MAX, Gauge, LOOK_NS};
use crate::clock::Stamp;
use crate::flow::{Arrived, Ending, Next, Outgoing, Receiver, Sender, SentCounts, Stream, Tally};
use crate::io::clock;
use crate::io::udp::{Refusal, Sent, Socket, Stray};
use crate::wire::load::Header;
use crate::wire::seal::Sealer;
use crate::wire::signal::{Say, Signal};
use crate::wire::{self, Kind, Token};
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use std::sync::atomic::Ordering::Relaxed;

/// Octets by which the payload's window may move, so that no two packets in a row are alike.
const SLIDE: usize = 4_096;

/// Datagrams that are read before anything else is looked at.
const READ_MAX: usize = 256;

/// How long a sender spins before a packet is due: a sleep ends up to 60 us late.
const SPIN_NS: u64 = 60_000;

/// A stream on its own socket, open.
#[derive(Debug)]
pub(super) struct OpenStream {
    pub(super) stream: Stream,
    pub(super) sealer: Sealer,
    pub(super) socket: Socket,
}

impl OpenStream {
    /// Tells the driver that the stream is open.
    pub(super) fn accept(&mut self) {
        self.say(Say::Accepted);
    }

    fn say(&mut self, say: Say) {
        let signal = Signal { stream: self.stream.number, token: self.stream.token, say };
        // A signal that is refused is said again soon.
        if let Err(error) = self.socket.send(&signal.emit(&self.sealer)) {
            tracing::debug!(%error, "a signal could not be sent");
        }
    }

    /// What the other end says in `datagram`; a repeated confirmation is accepted again.
    fn hear(&mut self, datagram: &[u8]) -> Option<Say> {
        let signal = Signal::parse(datagram, &self.sealer).ok()?;
        if signal.token != self.stream.token {
            return None;
        }
        if matches!(signal.say, Say::Confirm { .. }) {
            self.say(Say::Accepted);
        }
        Some(signal.say)
    }
}

/// When each of `streams` streams of a direction starts: spread over one packet gap.
pub(super) fn staggered<C>(start: Stamp<C>, stream: &Stream, streams: u32) -> Stamp<C> {
    let gap_ns = stream.rate.due(1).nanos();
    let place = u64::from(stream.number.saturating_sub(1) % streams.max(1));
    start.after_nanos(gap_ns * place / u64::from(streams.max(1)))
}

/// Sends a stream, to its end or until stopped.
pub(super) fn send<C>(
    mut open: OpenStream,
    streams: u32,
    control: &Control<C>,
    gauge: &Gauge,
) -> SentCounts {
    clock::tighten_timer_slack();
    let mut buffer = vec![0; DATAGRAM_MAX];
    let Some(start) = wait_for_start(&mut open, control, &mut buffer) else {
        return SentCounts::default();
    };
    let mut sender = Sender::new(open.stream, staggered(start, &open.stream, streams));
    let len = usize::try_from(open.stream.payload).unwrap_or(DATAGRAM_MAX);
    let mut payload = random(open.stream.token, len + SLIDE);
    let mut look_at = start;
    while !control.is_stopped() {
        let now = clock::now();
        if look_at <= now {
            look_at = now.after_nanos(LOOK_NS);
            listen(&mut open, &mut sender, gauge, &mut buffer);
        }
        match sender.poll(now) {
            Next::Done => break,
            Next::Wait(until) => clock::wait_until(until.min(look_at), SPIN_NS),
            Next::Send(Outgoing::Signal(say)) => open.say(say),
            Next::Send(Outgoing::Load(header)) => {
                let from = usize::try_from(header.sequence).unwrap_or(0).wrapping_mul(8) % SLIDE;
                let datagram = &mut payload[from..from + len];
                header.emit(datagram);
                send_one(&mut open.socket, datagram, now, &mut sender, gauge);
            }
        }
    }
    gauge.note_clock_steps(open.socket.clock_steps());
    sender.into_counts()
}

/// Octets that no line compresses, and that no other stream has.
pub(super) fn random(token: Token, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    ChaCha8Rng::seed_from_u64(token.0).fill_bytes(&mut octets);
    octets
}

fn send_one<C>(
    socket: &mut Socket,
    datagram: &[u8],
    now: Stamp<C>,
    sender: &mut Sender<C>,
    gauge: &Gauge,
) {
    match socket.send(datagram) {
        Ok(Sent::Accepted) => {
            sender.on_sent(now);
            gauge.sent.fetch_add(1, Relaxed);
        }
        Ok(Sent::Unreachable) => sender.on_unreachable(),
        Ok(Sent::Refused(Refusal::QueueDropped)) => sender.on_queue_dropped(),
        Ok(Sent::Refused(_) | Sent::TooLong) => sender.on_refused(),
        Err(error) => {
            tracing::debug!(%error, "a load packet could not be sent");
            sender.on_refused();
        }
    }
}

/// Reads what the receiver says.
fn listen<C>(open: &mut OpenStream, sender: &mut Sender<C>, gauge: &Gauge, buffer: &mut [u8]) {
    for _ in 0..READ_MAX {
        let Ok(Some(received)) = open.socket.receive::<C>(buffer) else { return };
        if let Some(Say::Heartbeat { received: count, next }) = open.hear(&buffer[..received.len]) {
            sender.on_heard(received.at);
            gauge.hear(received.at);
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
/// `early` came before the socket was the stream's own.
pub(super) fn receive<C>(
    mut open: OpenStream,
    early: &[Stray<C>],
    control: &Control<C>,
    gauge: &Gauge,
) -> Tally {
    let mut receiver = Receiver::new(open.stream, clock::now());
    let mut buffer = vec![0; DATAGRAM_MAX];
    for Stray { octets, at, .. } in early {
        take(&mut open, &mut receiver, gauge, *at, 0, octets);
    }
    let mut ending = Ending::default();
    loop {
        let now = clock::now();
        if let Some(say) = receiver.poll_heartbeat(now) {
            open.say(say);
        }
        let flooded = read_all(&mut open, &mut receiver, gauge, &mut buffer);
        if flooded && !control.is_stopped() {
            continue;
        }
        let closing = || control.closing(open.stream.number);
        if ending.is_over(now, &receiver, closing, control.is_stopped()) {
            break;
        }
        let until = receiver.heartbeat_at().min(now.after_nanos(LOOK_NS));
        _ = open.socket.wait_readable(until);
    }
    gauge.note_clock_steps(open.socket.clock_steps());
    let drops = open.socket.drops().unwrap_or(0);
    ending.finish(receiver, drops, control.listened_until())
}

/// Reads what is here, up to a bound; whether there may be more.
fn read_all<C>(
    open: &mut OpenStream,
    receiver: &mut Receiver<C>,
    gauge: &Gauge,
    buffer: &mut [u8],
) -> bool {
    for _ in 0..READ_MAX {
        let Ok(Some(received)) = open.socket.receive::<C>(buffer) else { return false };
        take(open, receiver, gauge, received.at, received.drops, &buffer[..received.len]);
    }
    gauge.missing.fetch_max(receiver.missing_so_far(), Relaxed);
    true
}

fn take<C>(
    open: &mut OpenStream,
    receiver: &mut Receiver<C>,
    gauge: &Gauge,
    at: Stamp<C>,
    drops: u32,
    datagram: &[u8],
) {
    match wire::kind_of(datagram) {
        Some(Kind::Load) => {
            let Ok(header) = Header::parse(datagram) else { return };
            if (header.stream, header.token) != (open.stream.number, open.stream.token) {
                return;
            }
            let octets = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
            let arrived = Arrived {
                sequence: header.sequence,
                due_ns: header.due_ns,
                sent_ns: header.due_ns.saturating_add(header.lateness_ns.into()),
                octets,
            };
            receiver.on_arrival(at, &arrived, drops);
            gauge.hear(at);
            gauge.received.fetch_add(1, Relaxed);
            gauge.octets.fetch_add(octets.into(), Relaxed);
        }
        Some(Kind::Signal) => _ = open.hear(datagram).map(|_| gauge.hear(at)),
        Some(Kind::Probe) | None => {}
    }
}
