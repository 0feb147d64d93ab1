//! The driver's probes over their own socket, and the search for the largest payload.

use super::tape::Tape;
use super::{Control, DATAGRAM_MAX, Gauge, LOOK_NS, Progress};
use crate::account::{Excess, Marks, SenderCounts};
use crate::clock::{Driver, Stamp};
use crate::dataplane::load::OpenStream;
use crate::flow::{
    Arrival, Arrived, Closing, End, FAREWELL, LATE_MAX, NearEvent as Event, Next, PayloadSearch,
    ProbeEvent, Probed, Prober, Receiver,
};
use crate::io::clock::{self, WallWatch};
use crate::io::timestamps::Label;
use crate::io::udp::{Received, Sent};
use crate::units::Span;
use crate::wire::probe::{LEN_MIN, Probe, Reply};
use crate::wire::{self, Kind};
use std::sync::atomic::Ordering::Relaxed;

/// How often a prober looks whether it is to end. A host that watches hundreds of lines has as many
/// threads that do: a tenth of a second keeps them asleep between their probes.
const STOP_LOOK_NS: u64 = 100_000_000;

/// Probes until the trial's end, then waits for the agent's count of replies. Calls `event` twice:
/// when the last reply has come, and when all is counted. What becomes of each probe is recorded on
/// `tape` meanwhile.
pub(super) fn probe(
    mut open: OpenStream,
    control: &Control<Driver>,
    gauge: &Gauge,
    tape: Option<&Tape>,
    mut event: impl FnMut(Event),
) {
    clock::tighten_timer_slack();
    let Some(start) = wait_for_start(control) else {
        record(tape, ProbeEvent::Over);
        return event(Event::Probed(Box::default()));
    };
    if let Err(error) = open.socket.stamp_departures() {
        tracing::debug!(%error, "the kernel does not stamp what leaves");
    }
    gauge.note_card(open.socket.is_stamped_by_card());
    let wall = WallWatch::begin();
    let mut prober = Prober::new(open.stream, start);
    let mut replies = Receiver::new(open.stream, start);
    let mut marks = Marks::default();
    let into = (&mut prober, &mut replies, &mut marks, tape);
    exchange(&mut open, control, into, gauge);
    event(Event::Sent(open.stream.number, prober.counts()));
    let into = (&mut prober, &mut replies, &mut marks, tape);
    let closing = wait_for_closing(&mut open, control, into, gauge);
    record_gone(tape, control);
    record(tape, ProbeEvent::Over);
    gauge.note_clock_steps(open.socket.clock_steps());
    let excess = Excess::new();
    let end = match &closing {
        Some(SenderCounts { sent, last_due_ns, .. }) => End::Closed(Closing {
            sent: *sent,
            last_due_ns: *last_due_ns,
            excess: &excess,
            window: None,
        }),
        None => {
            End::Abandoned { listened_until: control.listened_until().min(prober.offered_until()) }
        }
    };
    let replies = replies.finish(end, open.socket.drops().unwrap_or(0));
    let refused = prober.refused();
    if let Some(gone) = control.gone.get() {
        prober.forget_unanswered_from(*gone);
    }
    let exchanges = prober.into_exchanges();
    let wall_clock = wall.end();
    event(Event::Probed(Box::new(Probed { exchanges, refused, replies, marks, wall_clock })));
}

/// When the trial starts; `None` where it was stopped before.
fn wait_for_start(control: &Control<Driver>) -> Option<Stamp<Driver>> {
    loop {
        match (control.started(), control.is_stopped()) {
            (Some(start), _) => return Some(start),
            (None, true) => return None,
            (None, false) => clock::wait_until(clock::now::<Driver>().after_nanos(LOOK_NS / 10), 0),
        }
    }
}

/// Sends probes as they fall due, and reads the replies meanwhile.
fn exchange(
    open: &mut OpenStream,
    control: &Control<Driver>,
    (prober, replies, marks, tape): Into<'_>,
    gauge: &Gauge,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let (mut stopped, mut progress) = (false, Progress::default());
    loop {
        if !stopped && control.is_stopped() {
            stopped = true;
            prober.stop(clock::now());
            record_gone(tape, control);
        }
        match prober.poll(clock::now()) {
            Next::Done => return,
            Next::Send(probe) => {
                if progress.is_new(gauge) {
                    open.socket.confirm_next();
                }
                send_probe(open, &probe, prober, tape);
                gauge.probes.fetch_add(1, Relaxed);
            }
            Next::Wait(until) => {
                let until = until.min(clock::now().after_nanos(STOP_LOOK_NS));
                _ = open.socket.wait_readable(until);
                read_replies(open, (prober, replies, marks, tape), gauge, &mut buffer);
            }
        }
    }
}

fn send_probe(open: &mut OpenStream, probe: &Probe, prober: &mut Prober, tape: Option<&Tape>) {
    let mut datagram = [0; LEN_MIN];
    let now = clock::now::<Driver>();
    Probe { sent_ns: now.nanos(), ..*probe }.emit(&open.seals.sent, &mut datagram);
    let label = Label { token: probe.token, sequence: probe.sequence };
    match open.socket.send_labelled(&datagram, label) {
        Ok(Sent::Refused(_) | Sent::TooLong) | Err(_) => prober.on_refused(),
        // An unreachable path is a lost probe: the line's doing, not this host's.
        Ok(Sent::Accepted | Sent::Unreachable) => {
            prober.on_sent(now);
            record_sent(tape, prober, probe.sequence);
        }
    }
    read_departures(open, prober);
}

/// Most devices stamp a datagram within the call that sends it; others later.
fn read_departures(open: &mut OpenStream, prober: &mut Prober) {
    while let Some(left) = open.socket.departed() {
        prober.on_left(left.label.sequence, left.at);
    }
}

/// What a reply is counted into.
type Into<'a> = (&'a mut Prober, &'a mut Receiver<Driver>, &'a mut Marks, Option<&'a Tape>);

fn record(tape: Option<&Tape>, event: ProbeEvent) {
    if let Some(tape) = tape {
        tape.record(event);
    }
}

fn record_gone(tape: Option<&Tape>, control: &Control<Driver>) {
    if let Some(gone) = control.gone.get() {
        record(tape, ProbeEvent::Gone(*gone));
    }
}

fn record_sent(tape: Option<&Tape>, prober: &Prober, sequence: u32) {
    if let Some(exchange) = prober.exchange(sequence) {
        let late = Span::from_nanos(exchange.sent.nanos_since(exchange.due));
        record(tape, ProbeEvent::Sent { sequence, sent: exchange.sent, late });
    }
}

/// The first reply to the probe of that number has come.
fn record_answered(tape: Option<&Tape>, prober: &Prober, sequence: u32) {
    let exchange = prober.exchange(sequence);
    let Some((exchange, reply)) = exchange.and_then(|it| Some((it, it.reply?))) else { return };
    let after = Span::from_nanos(reply.round_trip_ns(exchange.sent));
    let round_trip = (!exchange.late).then_some(after);
    record(tape, ProbeEvent::Answered { sequence, reply: reply.sequence, after, round_trip });
}

fn read_replies(
    open: &mut OpenStream,
    (prober, replies, marks, tape): Into<'_>,
    gauge: &Gauge,
    buffer: &mut [u8],
) {
    read_departures(open, prober);
    let began = clock::now();
    while let Ok(Some(received)) = open.socket.receive::<Driver>(buffer) {
        // A challenge is answered; nothing else is said on this stream.
        if wire::kind_of(&buffer[..received.len]) == Some(Kind::Signal) {
            open.hear(&buffer[..received.len]);
            continue;
        }
        let Some(reply) = reply_of(open, &received, buffer) else { continue };
        let arrived = Arrived {
            sequence: reply.sequence.into(),
            due_ns: open.stream.rate.due(reply.probe_sequence.into()).nanos(),
            sent_ns: reply.sent_ns,
            octets: u32::try_from(received.len).unwrap_or(u32::MAX),
            ..Arrived::default()
        };
        let arrival = replies.on_arrival(received.at, &arrived, received.drops);
        if matches!(arrival, Arrival::Duplicate | Arrival::Rejected) {
            continue;
        }
        if prober.on_reply(received.at, received.by_kernel, &reply) {
            record_answered(tape, prober, reply.probe_sequence);
        }
        gauge.replies.fetch_add(1, Relaxed);
        if let Some(alive_at) = prober.alive_at() {
            gauge.note_alive(alive_at);
        }
        marks.on_arrival(open.stream.dscp.number(), received.mark);
        if let Some(at) = replies.newest_at() {
            gauge.hear(at);
        }
        let round_trip = Span::from_nanos(prober.newest_round_trip_ns().unwrap_or(0));
        gauge.round_trip_ns.store(round_trip.nanos(), Relaxed);
        gauge.note_rise(round_trip.minus(open.stream.life.round_trip));
    }
    record(tape, ProbeEvent::Read(began));
}

/// A reply to a probe; an answer to a copy of one is none.
fn reply_of(open: &OpenStream, received: &Received<Driver>, buffer: &[u8]) -> Option<Reply> {
    let reply = Reply::parse(&buffer[..received.len], &open.seals.received).ok()?;
    (reply.token == open.stream.token && !reply.answers_copy).then_some(reply)
}

/// Waits for the agent's count of replies, reading what still comes.
fn wait_for_closing(
    open: &mut OpenStream,
    control: &Control<Driver>,
    (prober, replies, marks, tape): Into<'_>,
    gauge: &Gauge,
) -> Option<SenderCounts> {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut stop_by: Option<Stamp<Driver>> = None;
    loop {
        let now: Stamp<Driver> = clock::now();
        if let Some(closing) = control.closing(open.stream.number) {
            return Some(closing);
        }
        if stop_by.is_none() && control.is_stopped() {
            // The agent's account comes within its receivers' own farewell.
            stop_by = Some(now.after_nanos(LATE_MAX.nanos() + FAREWELL.nanos() / 2));
        }
        if stop_by.is_some_and(|stop_by| stop_by <= now) {
            return None;
        }
        _ = open.socket.wait_readable(now.after_nanos(LOOK_NS));
        read_replies(open, (&mut *prober, &mut *replies, &mut *marks, tape), gauge, &mut buffer);
    }
}

/// Finds the largest payload, at most `most`, that crosses both ways; `None` where nothing does.
/// With it comes the account of the probes, with which the agent closes its own at once.
pub(super) fn find_payload(
    mut open: OpenStream,
    most: u32,
    control: &Control<Driver>,
) -> (Option<u32>, SenderCounts) {
    let least = u32::try_from(LEN_MIN).expect("a probe is short");
    let mut search = PayloadSearch::new(least, most.max(least));
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut sequence = 0;
    while !control.is_stopped() {
        match search.poll(clock::now()) {
            Next::Done => break,
            Next::Send(payload) => {
                let datagram = &mut buffer[..payload as usize];
                let sent_ns = clock::now::<Driver>().nanos();
                let (newest_reply_ns, token) = (0, open.stream.token);
                let probe = Probe { sequence, sent_ns, newest_reply_ns, token };
                probe.emit(&open.seals.sent, datagram);
                sequence += 1;
                if matches!(open.socket.send(datagram), Ok(Sent::TooLong)) {
                    search.on_failed(payload);
                }
            }
            Next::Wait(until) => {
                _ = open.socket.wait_readable(until);
                while let Ok(Some(received)) = open.socket.receive::<Driver>(&mut buffer) {
                    if reply_of(&open, &received, &buffer).is_some() {
                        let payload = u32::try_from(received.len).unwrap_or(u32::MAX);
                        search.on_passed(received.at, payload);
                    }
                }
            }
        }
    }
    let last_due_ns = open.stream.rate.due(u64::from(sequence).saturating_sub(1)).nanos();
    let counts = SenderCounts { sent: sequence.into(), last_due_ns, ..SenderCounts::default() };
    (search.found(), counts)
}
