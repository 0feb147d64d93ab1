//! One TCP stream over its own connection: its sending end, and its receiving end.

use super::meter::TcpToll;
use super::{Control, Gauge, LOOK_NS};
use crate::account::{TcpInfo, TcpReceiverCounts, TcpSenderCounts};
use crate::clock::{Agent, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Frames, LATE_MAX, Next, Payload, PayloadCheck, TcpReceiver, TcpSender, TcpStream, Turn,
    WRITE_MAX,
};
use crate::io::clock;
use crate::io::tcp::{Bulk, Moved};
use crate::units::Span;
use crate::wire::data::{HELLO_LEN, emit_answer};
use crate::wire::seal::{KEY_LEN, Seals, payload_key};
use std::io;
use std::sync::atomic::Ordering::Relaxed;

/// Octets that are compared at once: as many as stay in a core's cache.
const CHECKED_MAX: usize = 1 << 17;

/// Accepts the connection that said `hello`.
///
/// # Errors
///
/// What the kernel says.
pub(super) fn accept(
    bulk: &Bulk,
    stream: &TcpStream,
    hello: &[u8; HELLO_LEN],
    seals: &Seals,
) -> io::Result<()> {
    bulk.set_mark(stream.dscp.number())?;
    say(bulk, &emit_answer(hello, &seals.sent))
}

/// A few octets on a new connection, whose buffer is empty.
pub(super) fn say(bulk: &Bulk, octets: &[u8]) -> io::Result<()> {
    match bulk.write(octets) {
        Moved::Octets(len) if len == octets.len() => Ok(()),
        Moved::Gone(why) => Err(io::Error::other(why)),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Sends a stream with this payload key, to its end or until stopped.
pub(super) fn send<C>(
    bulk: &Bulk,
    (stream, key): (&TcpStream, &[u8; KEY_LEN]),
    control: &Control<C>,
    gauge: &Gauge,
) -> TcpSenderCounts {
    let congestion_control = match prepare(bulk, stream) {
        Ok(name) => name,
        Err(error) => {
            return TcpSenderCounts {
                refused: Some(error.to_string()),
                ..TcpSenderCounts::default()
            };
        }
    };
    let buffer = stream.buffer_needed().map(|needed| bulk.fit_send_buffer(needed));
    let payload = Payload::new(key);
    let Some(start) = wait_for_start(control) else {
        let congestion_control = Some(congestion_control);
        return TcpSenderCounts { congestion_control, ..TcpSenderCounts::default() };
    };
    let mut sender = TcpSender::new(stream, start, congestion_control);
    if let Some(buffer) = buffer {
        sender.on_buffer(buffer);
    }
    send_payload(bulk, stream, payload, &mut sender, (control, gauge));
    look(bulk, |info| sender.on_last_info(info));
    bulk.finish();
    if !await_end(bulk, control) {
        // What the receiver has not taken by now is not sent to it any more.
        bulk.abort();
    }
    sender.into_sent()
}

/// Sets what the stream needs of its connection; the congestion control that it has: the host's
/// default, where this user may not choose the one that was asked for.
fn prepare(bulk: &Bulk, stream: &TcpStream) -> io::Result<String> {
    match bulk.set_congestion_control(stream.congestion.name()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(%error, "the host's default takes its place");
        }
        set => set?,
    }
    if stream.is_paced() {
        pace(bulk, stream)?;
    }
    bulk.congestion_control()
}

/// Has the kernel pace the stream so that its frames take no more than was granted, in segments of
/// the length that it uses now.
fn pace(bulk: &Bulk, stream: &TcpStream) -> io::Result<()> {
    let (info, frames) = (bulk.info()?, Frames::of(bulk.peer()?.ip()));
    let segment = (info.mss_octets, info.timestamps);
    bulk.set_rate(frames.tcp_payload(stream.rate, stream.mtu, segment))
}

/// How long a stream waits that the agent's meter stops, before it looks again.
const METERED_NS: u64 = 1_000_000;

/// Sends until the stream's end, a stop, or the connection's.
fn send_payload<C>(
    bulk: &Bulk,
    stream: &TcpStream,
    mut payload: Payload,
    sender: &mut TcpSender<C>,
    (control, gauge): (&Control<C>, &Gauge),
) {
    let mut from = 0;
    let mut is_paced = stream.is_paced();
    let mut toll = control.tcp_toll(bulk.peer(), stream);
    while !control.is_stopped() {
        let now = clock::now();
        if sender.wants_look(now) {
            look(bulk, |info| sender.on_info(now, info));
            if is_paced {
                // Segments may have become shorter. Where it fails, the pace before still holds.
                _ = pace(bulk, stream);
            }
        }
        if !toll.as_mut().is_none_or(|toll| toll.may_send(bulk, now)) && !sender.is_over(now) {
            clock::wait_until(now.after_nanos(METERED_NS), 0);
            continue;
        }
        let most = match sender.poll(now) {
            Next::Send(most) => most,
            Next::Wait(until) => {
                if !is_paced {
                    // Where it fails, the machine's own limit still holds.
                    _ = pace(bulk, stream);
                    is_paced = true;
                }
                clock::wait_until(until, 0);
                continue;
            }
            Next::Done => break,
        };
        if from == WRITE_MAX {
            from = 0;
            payload.turn();
        }
        match bulk.write(&payload.octets()[from..WRITE_MAX.min(from + most)]) {
            Moved::Octets(octets) => {
                sender.on_sent(octets);
                from += octets;
                gauge.sent.fetch_add(octets as u64, Relaxed);
            }
            Moved::Nothing => {
                bulk.wait_writable(sender.wait_until().min(now.after_nanos(LOOK_NS)));
            }
            Moved::End => break,
            Moved::Gone(why) => {
                sender.on_broken(why);
                break;
            }
        }
    }
}

fn look(bulk: &Bulk, on_info: impl FnOnce(&TcpInfo)) {
    match bulk.info() {
        Ok(info) => on_info(&info),
        Err(error) => tracing::debug!(%error, "the kernel gives no TCP_INFO of a connection"),
    }
}

/// Gives the receiver the time to take what is under way: it closes when it has all. Whether it
/// did.
fn await_end<C>(bulk: &Bulk, control: &Control<C>) -> bool {
    let until = clock::now::<C>().after_nanos(LATE_MAX.nanos());
    while !control.is_stopped() && clock::now() < until {
        match bulk.discard(WRITE_MAX) {
            Moved::End | Moved::Gone(_) => return true,
            Moved::Octets(_) => {}
            Moved::Nothing => {
                bulk.wait_readable(clock::now::<C>().after_nanos(LOOK_NS).min(until));
            }
        }
    }
    false
}

fn wait_for_start<C>(control: &Control<C>) -> Option<Stamp<C>> {
    loop {
        match (control.started(), control.is_stopped()) {
            (_, true) => return None,
            (Some(start), false) => {
                clock::wait_until(start, 0);
                return Some(start);
            }
            (None, false) => clock::wait_until(clock::now::<C>().after_nanos(LOOK_NS / 10), 0),
        }
    }
}

/// Receives a stream with this payload key until its end, until its time is over, or until stopped.
pub(super) fn receive<C>(
    bulk: &Bulk,
    (stream, key): (&TcpStream, &[u8; KEY_LEN]),
    control: &Control<C>,
    gauge: &Gauge,
) -> TcpReceiverCounts {
    let mut receiver = TcpReceiver::new(stream);
    let mut toll = control.tcp_toll(bulk.peer(), stream);
    if let Some(needed) = stream.buffer_needed() {
        let needed = if toll.is_some() { believed(bulk, stream, needed) } else { needed };
        receiver.on_buffer(bulk.fit_receive_buffer(needed));
    }
    let mut sink = Sink::new(stream, key);
    loop {
        let now = clock::now();
        if control.is_stopped() {
            return receiver.finish(control.started(), Some(now));
        }
        if receiver.is_over(now, control.started()) || control.is_lapsed(now) {
            return receiver.finish(control.started(), None);
        }
        if let Some(octets) = receiver.gathers(now) {
            gather(bulk, octets);
        }
        let Some(room) = accepts(&mut toll, bulk, now, control) else {
            clock::wait_until(now.after_nanos(METERED_NS), 0);
            continue;
        };
        let look = receiver.wait_until(now).unwrap_or_else(|| now.after_nanos(LOOK_NS));
        let most = match receiver.poll(now) {
            Next::Send(most) => most,
            Next::Wait(until) => {
                clock::wait_until(until.min(look), 0);
                continue;
            }
            Next::Done => return receiver.finish(control.started(), None),
        };
        match sink.take(bulk, most.min(room)) {
            Moved::Octets(octets) => {
                let at = clock::now();
                if let Some(toll) = &mut toll {
                    toll.on_read(at, octets);
                }
                receiver.on_arrival(at, octets);
                receiver.on_checked(sink.check.checked());
                gauge.octets.fetch_add(octets as u64, Relaxed);
            }
            Moved::Nothing => bulk.wait_readable(look),
            Moved::End => receiver.on_end(),
            Moved::Gone(why) => {
                tracing::debug!(%why, stream = stream.number, "a TCP stream broke");
                return receiver.finish(control.started(), None);
            }
        }
    }
}

/// How many octets the agent may accept over `bulk` at `now`; `None` where it is to wait. Of a
/// driver that sends far more than it was granted, `control` takes note.
fn accepts<C>(
    toll: &mut Option<TcpToll>,
    bulk: &Bulk,
    now: Stamp<C>,
    control: &Control<C>,
) -> Option<usize> {
    let Some(toll) = toll else { return Some(WRITE_MAX) };
    let room = toll.may_accept(bulk, now);
    if toll.is_broken(now) {
        control.note_exceeded(now);
    }
    room
}

/// What a receive buffer of `stream` needs at most, where its driver says `needed`: the round trip
/// that it names is believed up to four times the one that the kernel knows, or a quarter of a
/// second.
fn believed(bulk: &Bulk, stream: &TcpStream, needed: u64) -> u64 {
    let known_us = bulk.info().map_or(0, |info| info.rtt_us);
    let known = Span::from_nanos(known_us.saturating_mul(4_000)).max(BELIEVED);
    let round_trip = stream.round_trip.map(|named| named.min(known));
    let believed = TcpStream { round_trip, ..*stream };
    believed.buffer_needed().unwrap_or(needed)
}

const BELIEVED: Span = Span::from_millis(250);

/// Where octets go that came: some are read and compared, of the others the kernel hands out none.
struct Sink {
    check: PayloadCheck,
    buffer: Vec<u8>,
}

impl Sink {
    fn new(stream: &TcpStream, key: &[u8; KEY_LEN]) -> Self {
        Self { check: PayloadCheck::new(stream, key), buffer: vec![0; CHECKED_MAX] }
    }

    fn take(&mut self, bulk: &Bulk, most: usize) -> Moved {
        let Self { check, buffer } = self;
        match check.next() {
            Turn::Pass(len) => {
                let moved = bulk.discard(most.min(len));
                if let Moved::Octets(octets) = moved {
                    check.on_passed(octets);
                }
                moved
            }
            Turn::Compare(len) => {
                let moved = bulk.read(&mut buffer[..most.min(len).min(CHECKED_MAX)]);
                if let Moved::Octets(octets) = moved {
                    check.on_octets(&buffer[..octets]);
                }
                moved
            }
        }
    }
}

/// Without it a fast stream wakes its receiver more often; nothing else is lost.
fn gather(bulk: &Bulk, octets: u32) {
    if let Err(error) = bulk.set_gathered(octets) {
        tracing::debug!(%error, octets, "the kernel does not wait for as many");
    }
}

/// Carries a stream of the agent's end, of this key, from its acceptance to its account.
pub(super) fn carry(
    bulk: &Bulk,
    (stream, key): (&TcpStream, &[u8; KEY_LEN]),
    control: &Control<Agent>,
    gauge: &Gauge,
) -> crate::flow::FarEvent {
    use crate::flow::FarEvent;
    let keyed = (stream, &payload_key(key, stream.direction));
    match stream.direction {
        Direction::Forward => {
            FarEvent::TcpCame(stream.number, receive(bulk, keyed, control, gauge))
        }
        Direction::Reverse => FarEvent::TcpSent(stream.number, send(bulk, keyed, control, gauge)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "tests hold the listener")]
#[expect(clippy::disallowed_methods, reason = "tests start threads")]
mod tests {
    use super::*;
    use crate::account::TcpChecked;
    use crate::clock::Driver;
    use crate::io::egress::Egress;
    use crate::trial::{CongestionControl, Dscp, LoadKind};
    use crate::units::BitRate;
    use crate::wire::Token;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    const KEY: [u8; KEY_LEN] = [7; KEY_LEN];

    fn stream(rate: &str, seconds: u64) -> TcpStream {
        TcpStream {
            number: 1,
            token: Token(7),
            direction: Direction::Forward,
            rate: rate.parse().expect("a rate"),
            duration: Span::from_secs(seconds),
            mtu: 1_500,
            congestion: CongestionControl::CUBIC,
            kind: LoadKind::FixedRate,
            verify: true,
            round_trip: Some(Span::from_millis(1)),
            dscp: Dscp::default(),
        }
    }

    fn pair() -> (Bulk, Bulk) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let near =
            Bulk::connect(address, &Egress::default(), Duration::from_secs(5), (1_500, None))
                .expect("it listens");
        (near, Bulk::of(listener.accept().expect("it was dialled").0).expect("a socket"))
    }

    /// 8 Mbit/s over 10 s would be 20 MB, of any kernel that lets it.
    #[test]
    fn a_round_trip_that_a_driver_makes_up_sizes_no_buffer() {
        let (_near, far) = pair();
        let named = |ms| {
            let stream =
                TcpStream { round_trip: Some(Span::from_millis(ms)), ..stream("8 Mbit/s", 1) };
            believed(&far, &stream, 20_000_000)
        };
        assert_eq!((named(10_000), named(100)), (500_000, 200_000));
    }

    /// Both ends of `stream`, to their ends; stopped as soon as something was sent where `stops`.
    fn run(stream: TcpStream, stops: bool) -> (TcpSenderCounts, TcpReceiverCounts) {
        let (near, far) = pair();
        let control = Arc::new(Control::<Driver>::default());
        control.start(clock::now());
        let gauge = Arc::new(Gauge::default());
        let (sender, sender_gauge) = (Arc::clone(&control), Arc::clone(&gauge));
        let sending =
            std::thread::spawn(move || send(&near, (&stream, &KEY), &sender, &sender_gauge));
        if stops {
            let control = Arc::clone(&control);
            std::thread::spawn(move || {
                while gauge.sent.load(Relaxed) == 0 {
                    clock::wait_until(clock::now::<Driver>().after_nanos(LOOK_NS), 0);
                }
                control.stop();
            });
        }
        let came = receive(&far, (&stream, &KEY), &control, &Gauge::default());
        drop(far);
        (sending.join().expect("it never panics"), came)
    }

    #[test]
    fn all_that_is_sent_comes_and_both_ends_know_it() {
        let (sent, came) = run(stream("50 Mbit/s", 3), false);
        let used = sent.congestion_control.as_deref();
        assert_eq!((sent.octets, used), (came.octets, Some("cubic")));
        assert!(came.ended && sent.broken.is_none(), "{sent:?}");
        assert_eq!(sent.samples.len(), 4, "before, each second, and after");
        assert!(0 < sent.last.mss_octets && 0 < sent.round_trips.measured(), "{sent:?}");
        let octets = came.octets;
        let whole = TcpChecked { octets, ..Default::default() };
        assert_eq!(came.checked, Some(whole), "each octet is what was sent");
        // 50 Mbit/s over 1 ms are 6250 octets, which any kernel tunes by itself.
        let needed =
            [&sent.buffer, &came.buffer].map(|buffer| buffer.as_ref().map(|b| b.needed_octets));
        assert_eq!(needed, [Some(12_500); 2]);
        // The pace is not exceeded; that it is kept up, only a machine without others can promise.
        let paced = BitRate::bits_per_second("50 Mbit/s".parse().expect("a rate")) / 8;
        assert!(came.per_second.seconds()[1] <= paced + paced / 10, "{came:?}");
    }

    /// Above 200 Mbit/s: what is not compared stays in the kernel, and no octet is missed or
    /// counted twice.
    #[test]
    fn a_fast_stream_is_compared_in_part() {
        let (sent, came) = run(TcpStream { verify: false, ..stream("1 Gbit/s", 2) }, false);
        let checked = came.checked.expect("compared");
        assert_eq!((sent.octets, checked.damaged_octets), (came.octets, 0));
        let pieces = came.octets / (1 << 22);
        assert!(pieces << 16 <= checked.octets && checked.octets <= (pieces + 1) << 16);
    }

    #[test]
    fn a_stopped_stream_ends_and_tells() {
        let began: Stamp<Driver> = clock::now();
        let (sent, came) = run(stream("10 Mbit/s", 60), true);
        assert!(clock::now::<Driver>().nanos_since(began) < 10_000_000_000, "it was stopped");
        assert!(0 < sent.octets && !came.ended);
    }

    #[test]
    fn a_reset_is_reported_by_the_sender_and_ends_the_receiver() {
        let (near, far) = pair();
        let control = Control::<Driver>::default();
        control.start(clock::now());
        drop(far);
        let sent = send(&near, (&stream("1 Gbit/s", 5), &KEY), &control, &Gauge::default());
        assert!(sent.broken.is_some(), "{sent:?}");
    }

    #[test]
    fn what_this_host_cannot_send_by_is_refused() {
        let (near, _far) = pair();
        let congestion = "no_such".parse().expect("a name");
        let stream = TcpStream { congestion, ..stream("1 Mbit/s", 1) };
        let sent = send(&near, (&stream, &KEY), &Control::<Driver>::default(), &Gauge::default());
        assert!(sent.refused.is_some_and(|why| why.contains("no_such")));
    }
}
