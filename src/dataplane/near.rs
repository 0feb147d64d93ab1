//! The driver's end of a trial: a thread for each stream, which opens it and then carries it.

use super::load::{self, OpenStream, ThreadBudget};
use super::tape::Tape;
use super::{Control, DATAGRAM_MAX, Gauge, LOOK_NS, spawn};
use super::{dial, probing, tcp};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Handshake, HandshakeFailed, NearEvent as Event, Next, PROBE_STREAM, Stream, TcpStream,
};
use crate::io::clock;
use crate::io::egress::Egress;
use crate::io::udp::Socket;
use crate::wire::control::RunId;
use crate::wire::seal::{KEY_LEN, Seals, payload_key};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where the threads of a trial report what happened.
pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// How a trial is carried out.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The probes do not measure, but search for the largest payload up to this.
    pub find_payload: Option<u32>,
    /// Trials that may run on this host at once.
    pub at_once: usize,
    /// What becomes of each probe is recorded there meanwhile.
    pub tape: Option<Arc<Tape>>,
}

/// A trial whose threads run; dropped, they stop.
#[derive(Debug)]
pub struct NearTrial {
    control: Arc<Control<Driver>>,
    gauge: Arc<Gauge>,
}

impl NearTrial {
    /// Opens each of `streams`, and of the TCP streams, with the agent at `peer`, by `way`.
    ///
    /// # Errors
    ///
    /// Where this host can start no thread.
    pub fn open(
        (peer, egress): (SocketAddr, &Egress),
        streams: &[(Stream, [u8; KEY_LEN])],
        tcp: &[TcpDial],
        manner: &Manner,
        on_event: &OnEvent,
    ) -> io::Result<Self> {
        let trial = Self { control: Arc::default(), gauge: Arc::default() };
        for dial in tcp {
            let (control, gauge) = (Arc::clone(&trial.control), Arc::clone(&trial.gauge));
            let (on_event, dial, egress) = (Arc::clone(on_event), dial.clone(), egress.clone());
            spawn(format!("tcp {}", dial.stream.number), move || {
                carry_tcp((peer, &egress), &dial, &control, &gauge, &on_event);
            })?;
        }
        for (stream, key) in streams {
            let (control, gauge) = (Arc::clone(&trial.control), Arc::clone(&trial.gauge));
            let (on_event, stream, key) = (Arc::clone(on_event), *stream, *key);
            let egress = egress.clone();
            let all = streams.iter().map(|(stream, _)| stream);
            let budget = ThreadBudget::of(&stream, all, manner.at_once);
            let manner = manner.clone();
            spawn(format!("stream {}", stream.number), move || {
                let open = match open_stream((peer, &egress), stream, &key, &control) {
                    Ok(open) => open,
                    Err(NotOpen::Failed(why)) => {
                        return on_event(Event::NotOpened(stream.number, why));
                    }
                    Err(NotOpen::Host(error)) => {
                        return on_event(Event::HostFailed(format!(
                            "this host has no route to {peer}: {error}"
                        )));
                    }
                    Err(NotOpen::Stopped) => return,
                };
                on_event(Event::Opened(stream.number));
                run(open, budget, &manner, &control, &gauge, &on_event);
            })?;
        }
        Ok(trial)
    }

    /// Sends and receives from a moment after `now` on.
    pub fn start(&self, now: Stamp<Driver>) {
        self.control.start(now);
    }

    /// What the threads are asked to do.
    #[must_use]
    pub fn control(&self) -> &Control<Driver> {
        &self.control
    }

    /// Its counters.
    #[must_use]
    pub const fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }
}

impl Drop for NearTrial {
    fn drop(&mut self) {
        self.control.stop();
    }
}

fn run(
    open: OpenStream,
    budget: ThreadBudget,
    manner: &Manner,
    control: &Control<Driver>,
    gauge: &Gauge,
    on_event: &OnEvent,
) {
    let number = open.stream.number;
    match (number, open.stream.direction, manner.find_payload) {
        (PROBE_STREAM, _, Some(most)) => {
            while control.started().is_none() && !control.is_stopped() {
                clock::wait_until(clock::now::<Driver>().after_nanos(LOOK_NS / 10), 0);
            }
            let (found, sent) = probing::find_payload(open, most, control);
            on_event(Event::Sent(number, sent));
            on_event(Event::PayloadFound(found));
        }
        (PROBE_STREAM, _, None) => {
            let tape = manner.tape.as_deref();
            probing::probe(open, control, gauge, tape, |event| on_event(event));
        }
        (_, Direction::Forward, _) => {
            let sent = load::send(open, budget, control, gauge);
            on_event(Event::Sent(number, sent));
        }
        (_, Direction::Reverse, _) => {
            let counts = load::receive(open, &[], control, gauge);
            on_event(Event::Came(number, counts));
        }
    }
}

/// A TCP stream to be dialled.
#[derive(Clone, Debug)]
pub struct TcpDial {
    /// The run.
    pub run: RunId,
    /// The stream, its token in it.
    pub stream: TcpStream,
    /// Its key.
    pub key: [u8; KEY_LEN],
}

/// Dials a TCP stream and carries it.
fn carry_tcp(
    (peer, egress): (SocketAddr, &Egress),
    dial: &TcpDial,
    control: &Control<Driver>,
    gauge: &Gauge,
    on_event: &OnEvent,
) {
    let TcpDial { run, stream, key } = dial;
    let number = stream.number;
    let bulk = match dial::open(
        (peer, egress),
        *run,
        stream,
        &Seals::of(key, Direction::Forward),
        control,
    ) {
        Ok(bulk) => bulk,
        Err(error) => return on_event(Event::NotConnected(number, error.to_string())),
    };
    on_event(Event::Opened(number));
    let keyed = (stream, &payload_key(key, stream.direction));
    on_event(match stream.direction {
        Direction::Forward => Event::TcpSent(number, tcp::send(&bulk, keyed, control, gauge)),
        Direction::Reverse => Event::TcpCame(number, tcp::receive(&bulk, keyed, control, gauge)),
    });
}

enum NotOpen {
    Failed(HandshakeFailed),
    Host(io::Error),
    Stopped,
}

/// Opens a stream by its handshake.
fn open_stream(
    (peer, egress): (SocketAddr, &Egress),
    stream: Stream,
    key: &[u8; KEY_LEN],
    control: &Control<Driver>,
) -> Result<OpenStream, NotOpen> {
    let socket = Socket::connect_by(peer, egress).map_err(NotOpen::Host)?;
    socket.set_mark(stream.dscp.number()).map_err(NotOpen::Host)?;
    if stream.number == PROBE_STREAM {
        socket.receive_marks().map_err(NotOpen::Host)?;
    }
    let mut open = OpenStream::new(stream, key, Direction::Forward, socket);
    let mut handshake = Handshake::new(clock::now(), stream.number);
    let mut buffer = vec![0; DATAGRAM_MAX];
    while !control.is_stopped() {
        match handshake.poll(clock::now()).map_err(NotOpen::Failed)? {
            Next::Done => return Ok(open),
            // What is refused or unreachable now may pass when it is said again.
            Next::Send(say) => _ = open.say(say),
            Next::Wait(until) => {
                let until = until.min(clock::now().after_nanos(LOOK_NS));
                _ = open.socket.wait_readable(until);
                while let Ok(Some(received)) = open.socket.receive::<Driver>(&mut buffer) {
                    if let Some(say) = open.read(&buffer[..received.len]) {
                        handshake.on_say(received.at, say);
                    }
                }
            }
        }
    }
    Err(NotOpen::Stopped)
}
