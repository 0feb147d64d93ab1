//! The agent's end of all trials: the thread of its UDP port, and a thread for each load stream.

use super::crew::Crew;
use super::load::{self, OpenStream, ThreadBudget};
use super::meter::{Meter, Toll};
use super::tcp;
use super::{Control, DATAGRAM_MAX, Gauge, LOOK_NS, spawn};
use crate::account::{
    Excess, Moved, ReceiverCounts, ReflectorCounts, SenderCounts, TcpReceiverCounts,
    TcpSenderCounts,
};
use crate::clock::{Agent, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Closing, End, FAREWELL, FarEvent as Event, Frames, Incoming, LATE_MAX, Opened, PROBE_STREAM,
    Reflector, Response, Stream, TcpStream,
};
use crate::io::clock;
use crate::io::egress::{Egress, beside, canonical};
use crate::io::log::stranger;
use crate::io::tcp::Bulk;
use crate::io::timestamps::Label;
use crate::io::udp::{Received, Sent, Socket, Stray};
use crate::wire::data::{DataHello, HELLO_LEN};
use crate::wire::seal::{KEY_LEN, Seals};
use crate::wire::signal::Signal;
use crate::wire::{Malformed, StreamNumber, Token};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Where the threads of a trial report what happened in it.
pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// Datagrams that are read before commands are looked at.
const READ_MAX: usize = 64;

/// The wait for a datagram when there is none: how late a command may be seen.
const COMMAND_NS: u64 = LOOK_NS / 2;

/// How long a driver that ends a trial may take to report how many probes it sent: as long as the
/// last reply may take, and a moment.
const HOLD_NS: u64 = LATE_MAX.nanos() + FAREWELL.nanos();

/// A trial that the port's thread knows.
#[derive(Clone)]
struct Known {
    control: Arc<Control<Agent>>,
    gauge: Arc<Gauge>,
    on_event: OnEvent,
    /// All streams of the trial.
    streams: Arc<[Stream]>,
    /// The threads of its load.
    crew: Arc<Crew>,
}

enum Command {
    Expect(Vec<(Stream, [u8; KEY_LEN])>, Known),
    /// The probes are over: this was sent.
    CloseProbes(Token, Box<SenderCounts>),
    /// The probes are over: what was sent is reported soon, or never.
    StopProbes(Token),
    /// Streams that nobody opened are over.
    Forget(Vec<Token>),
}

/// The agent's UDP port, served by a thread of its own until this is dropped.
#[derive(Debug)]
pub struct Port {
    commands: Sender<Command>,
    local: SocketAddr,
    meter: Arc<Meter>,
}

/// A trial on the port; dropped, its threads stop.
pub struct FarTrial {
    commands: Sender<Command>,
    control: Arc<Control<Agent>>,
    gauge: Arc<Gauge>,
    probes: Option<Token>,
    load: Vec<Token>,
    on_event: OnEvent,
    /// TCP streams that nobody has dialled yet.
    awaited: BTreeMap<StreamNumber, (TcpStream, [u8; KEY_LEN])>,
    crew: Arc<Crew>,
}

impl Port {
    /// Listens at `local`, on the device of `way` alone; `secret` makes the cookies, and all that
    /// it sends passes `meter`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn listen(
        local: SocketAddr,
        egress: Egress,
        secret: &[u8; KEY_LEN],
        meter: Arc<Meter>,
    ) -> io::Result<Self> {
        let mut socket = Socket::listen_by(local, &egress)?;
        if let Err(error) = socket.stamp_departures() {
            tracing::warn!(%error, "the kernel does not stamp what leaves");
        }
        let local = socket.local()?;
        let (commands, receiver) = channel();
        let mut reflector = Reflector::new(secret);
        if socket.is_stamped_by_card() {
            reflector.on_card();
        }
        let mut server = Server {
            socket,
            local,
            egress,
            reflector,
            pending: BTreeMap::new(),
            open: BTreeMap::new(),
            probes: BTreeMap::new(),
            stopping: VecDeque::new(),
            meter: Arc::clone(&meter),
        };
        spawn("port".into(), move || server.run(&receiver))?;
        Ok(Self { commands, local, meter })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Expects `streams` of a trial to be opened, and the TCP streams to be dialled; `crew` carries
    /// the load. Nothing is accepted or answered from `until` on.
    #[must_use]
    pub fn expect(
        &self,
        streams: Vec<(Stream, [u8; KEY_LEN])>,
        tcp: Vec<(TcpStream, [u8; KEY_LEN])>,
        until: Stamp<Agent>,
        crew: Crew,
        on_event: OnEvent,
    ) -> FarTrial {
        let crew = Arc::new(crew);
        let control = Arc::new(Control::<Agent>::metered(Arc::clone(&self.meter), until));
        let gauge = Arc::<Gauge>::default();
        let token = |(stream, _): &(Stream, _)| stream.token;
        let (probes, load): (Vec<_>, Vec<_>) =
            streams.iter().partition(|(stream, _)| stream.number == PROBE_STREAM);
        let trial = FarTrial {
            commands: self.commands.clone(),
            control: Arc::clone(&control),
            gauge: Arc::clone(&gauge),
            probes: probes.first().copied().map(token),
            load: load.iter().copied().map(token).collect(),
            on_event: Arc::clone(&on_event),
            awaited: tcp.into_iter().map(|(stream, key)| (stream.number, (stream, key))).collect(),
            crew: Arc::clone(&crew),
        };
        let all = streams.iter().map(|(stream, _)| *stream).collect();
        trial.command(Command::Expect(
            streams,
            Known { control, gauge, on_event, streams: all, crew },
        ));
        trial
    }
}

impl std::fmt::Debug for FarTrial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FarTrial").field("load", &self.load.len()).finish_non_exhaustive()
    }
}

impl FarTrial {
    /// Sends what is to be sent, from a moment after `now` on.
    pub fn start(&self, now: Stamp<Agent>) {
        self.control.start(now);
    }

    /// The driver's account of a stream that comes from it.
    pub fn close(&self, stream: StreamNumber, sent: SenderCounts) {
        match self.probes {
            Some(token) if stream == PROBE_STREAM => {
                self.command(Command::CloseProbes(token, Box::new(sent)));
            }
            _ => self.control.close(stream, sent),
        }
    }

    /// Whether it awaits this TCP stream.
    #[must_use]
    pub fn awaits(&self, stream: StreamNumber) -> bool {
        self.awaited.contains_key(&stream)
    }

    /// Carries the TCP stream that a connection claims to be with `hello`; a stranger's, or one
    /// that is carried already, is dropped.
    ///
    /// # Errors
    ///
    /// Why it is not carried.
    pub fn dialled(&mut self, bulk: Bulk, hello: &[u8; HELLO_LEN]) -> Result<(), Stranger> {
        let claimed = DataHello::claimed(hello)?;
        let (stream, key) = self.awaited.get(&claimed.stream).ok_or(Stranger::Unexpected)?;
        let (stream, key, seals) = (*stream, *key, Seals::of(key, Direction::Reverse));
        if DataHello::parse(hello, &seals.received)?.token != stream.token {
            return Err(Stranger::Unexpected);
        }
        tcp::accept(&bulk, &stream, hello, &seals)?;
        let (control, gauge) = (Arc::clone(&self.control), Arc::clone(&self.gauge));
        let on_event = Arc::clone(&self.on_event);
        let carries = move || on_event(tcp::carry(&bulk, (&stream, &key), &control, &gauge));
        if !self.crew.put_to_work(carries) {
            return Err(Stranger::Host(io::Error::other("no thread waits for the stream")));
        }
        self.awaited.remove(&claimed.stream);
        Ok(())
    }

    /// Ends the trial; what it has counted is reported.
    pub fn stop(&mut self) {
        self.control.stop();
        for (number, (stream, _)) in std::mem::take(&mut self.awaited) {
            // Nobody dialled it: nothing was sent, nothing came.
            (self.on_event)(match stream.direction {
                Direction::Forward => Event::TcpCame(number, TcpReceiverCounts::default()),
                Direction::Reverse => Event::TcpSent(number, TcpSenderCounts::default()),
            });
        }
        self.command(Command::Forget(self.load.clone()));
        if let Some(token) = self.probes {
            self.command(Command::StopProbes(token));
        }
    }

    /// Since when it is certain that the driver has sent far more than it was granted.
    #[must_use]
    pub fn exceeded(&self) -> Option<Stamp<Agent>> {
        self.control.exceeded()
    }

    /// Its counters.
    #[must_use]
    pub const fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    fn command(&self, command: Command) {
        // The port's thread ends only with the program, or when its socket breaks: then nothing
        // answers, and the trial ends by its time.
        _ = self.commands.send(command);
    }
}

impl Drop for FarTrial {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a connection carries no stream.
#[derive(Debug, thiserror::Error)]
pub enum Stranger {
    /// Its first octets are not those of a stream, or not sealed with its key.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// No such stream is awaited.
    #[error("no such stream is awaited")]
    Unexpected,
    /// This host cannot carry it.
    #[error("{0}")]
    Host(#[from] io::Error),
}

struct Pending {
    stream: Stream,
    key: [u8; KEY_LEN],
    known: Known,
}

struct Server {
    socket: Socket,
    egress: Egress,
    local: SocketAddr,
    reflector: Reflector,
    /// Load streams that are not open yet.
    pending: BTreeMap<Token, Pending>,
    /// The trials whose load streams are open: they learn where those move to. And the newest
    /// heartbeat of each stream, as port and socket both know it.
    open: BTreeMap<Token, (Known, Arc<AtomicU64>)>,
    /// The trials whose probes it answers, and how often the wall clock had been set before.
    probes: BTreeMap<Token, (Known, u64)>,
    /// Probes that are over, and until when the driver's count of them is waited for.
    stopping: VecDeque<(Stamp<Agent>, Token)>,
    meter: Arc<Meter>,
}

impl Server {
    fn run(&mut self, commands: &Receiver<Command>) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let until = clock::now::<Agent>().after_nanos(COMMAND_NS);
            if let Err(error) = self.socket.wait_readable(until) {
                tracing::error!(%error, "the UDP port is lost");
                return;
            }
            // Before what has come is read: a driver says hello as soon as it hears of its streams,
            // and the command to expect them came before that, during the wait.
            loop {
                match commands.try_recv() {
                    Ok(command) => self.carry_out(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            for _ in 0..READ_MAX {
                match self.socket.receive(&mut buffer) {
                    Ok(Some(received)) => self.take(&received, &mut buffer),
                    Ok(None) => break,
                    Err(error) => tracing::warn!(%error, "the UDP port could not be read"),
                }
            }
            self.read_departures();
            while let Some((until, token)) = self.stopping.front().copied() {
                if clock::now() < until {
                    break;
                }
                self.stopping.pop_front();
                self.close_probes(token, None);
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Expect(streams, known) => {
                for (stream, key) in streams {
                    self.reflector.expect(stream, &key, clock::now());
                    if let Some(until) = known.control.until {
                        self.reflector.lapse(stream.token, until);
                    }
                    if stream.number == PROBE_STREAM {
                        let by_card = self.socket.is_stamped_by_card();
                        known.gauge.note_card(by_card);
                        let steps = self.socket.clock_steps();
                        self.probes.insert(stream.token, (known.clone(), steps));
                    } else {
                        let pending = Pending { stream, key, known: known.clone() };
                        self.pending.insert(stream.token, pending);
                    }
                }
            }
            Command::CloseProbes(token, sent) => self.close_probes(token, Some(&sent)),
            Command::StopProbes(token) => {
                if !self.reflector.is_opened(token) {
                    // No probe came, and none is under way.
                    return self.close_probes(token, None);
                }
                let until = clock::now::<Agent>().after_nanos(HOLD_NS);
                self.stopping.push_back((until, token));
            }
            Command::Forget(tokens) => tokens.into_iter().for_each(|token| self.forget(token)),
        }
    }

    fn close_probes(&mut self, token: Token, sent: Option<&SenderCounts>) {
        let Some((known, steps_before)) = self.probes.remove(&token) else { return };
        known.gauge.note_clock_steps(self.socket.clock_steps() - steps_before);
        let excess = Excess::new();
        let end = match sent {
            Some(SenderCounts { sent, last_due_ns, .. }) => End::Closed(Closing {
                sent: *sent,
                last_due_ns: *last_due_ns,
                excess: &excess,
                window: None,
            }),
            None => End::Abandoned { listened_until: clock::now() },
        };
        let drops = self.socket.drops().unwrap_or(0);
        let own_hellos = self.reflector.unopened_hellos(token);
        let others = known.gauge.unopened_hellos.load(Relaxed);
        let unopened_hellos = own_hellos.saturating_add(others);
        let reflected = self.reflector.forget(token, end, drops);
        let reflected = ReflectorCounts { unopened_hellos, ..reflected };
        (known.on_event)(Event::Reflected(reflected));
    }

    /// A stream that nobody opened: nothing was sent, nothing came.
    fn forget(&mut self, token: Token) {
        let hellos = self.reflector.unopened_hellos(token);
        self.reflector.forget(token, End::Abandoned { listened_until: clock::now() }, 0);
        self.open.remove(&token);
        let Some(Pending { stream, known, .. }) = self.pending.remove(&token) else { return };
        known.gauge.unopened_hellos.fetch_add(hellos, Relaxed);
        (known.on_event)(match stream.direction {
            Direction::Forward => Event::Came(stream.number, ReceiverCounts::default()),
            Direction::Reverse => Event::Sent(stream.number, SenderCounts::default()),
        });
    }

    fn take(&mut self, received: &Received<Agent>, buffer: &mut [u8]) {
        let Some(peer) = received.peer else { return };
        let Received { at, by_kernel, local, drops, mark, .. } = *received;
        let octets = &buffer[..received.len];
        let incoming = Incoming { at, by_kernel, peer, local, drops, mark, octets };
        let claimed = Signal::claimed(octets).ok();
        let heartbeats = claimed.and_then(|(_, token)| Some((token, &self.open.get(&token)?.1)));
        if let Some((token, heartbeats)) = heartbeats {
            self.reflector.on_heartbeats(token, heartbeats.load(Relaxed));
        }
        let response = self.reflector.handle(&incoming);
        if let Some((token, heartbeats)) = heartbeats {
            heartbeats.fetch_max(self.reflector.next_heartbeat(token), Relaxed);
        }
        self.report_moves();
        let toll = Toll::new(Arc::clone(&self.meter), Frames::of(peer.ip()));
        match response {
            Response::Ignore => self.note_unknown(peer, octets),
            Response::Signal(signal) if toll.answer::<Agent>(clock::now(), signal.len()) => {
                _ = self.send(&signal, received);
            }
            // It is said again.
            Response::Signal(_) => {}
            Response::Reply(reply) if !toll.answer::<Agent>(clock::now(), received.len) => {
                self.reflector.on_refused(&reply);
            }
            Response::Reply(reply) => {
                self.read_departures();
                let datagram = &mut buffer[..received.len];
                if !self.reflector.emit(&reply, clock::now(), datagram) {
                    return;
                }
                if let Some((known, _)) = self.probes.get(&reply.token) {
                    if let Some(newest) = self.reflector.newest_at(reply.token) {
                        known.gauge.hear(newest);
                    }
                    let alive = self.reflector.alive_at(reply.token);
                    if alive.is_some_and(|alive| known.gauge.note_alive(alive)) {
                        self.socket.confirm_next();
                    }
                }
                let mark = self.reflector.mark(reply.token);
                let label = Label { token: reply.token, sequence: reply.sequence };
                match self.socket.send_labelled_to(datagram, peer, local, mark, label) {
                    Ok(Sent::Accepted) => self.reflector.on_replied(&reply),
                    _ => self.reflector.on_refused(&reply),
                }
            }
            Response::Open(opened) => self.open(&opened),
        }
    }

    /// A handshake of a run that is not known here, which may be meant for another agent, is worth
    /// a line.
    fn note_unknown(&self, peer: SocketAddr, octets: &[u8]) {
        let claimed = Signal::claimed(octets).ok().filter(|_| Signal::claims_hello(octets));
        if claimed.is_some_and(|(_, token)| !self.reflector.knows(token)) {
            stranger("UDP handshake of an unknown run", peer);
        }
    }

    fn send(&mut self, octets: &[u8], to: &Received<Agent>) -> Option<Sent> {
        self.socket.send_to(octets, to.peer?, to.local).ok()
    }

    /// When replies left, by the kernel: later replies carry it.
    fn read_departures(&mut self) {
        while let Some(left) = self.socket.departed() {
            self.reflector.on_left(left.label.token, left.label.sequence, left.at);
        }
    }

    /// Streams whose driver is somewhere else now: their threads follow.
    fn report_moves(&mut self) {
        while let Some((token, moved)) = self.reflector.take_moved() {
            let probes = self.probes.get(&token).map(|(known, _)| known);
            let open = self.open.get(&token).map(|(known, _)| known);
            let Some(known) = open.or(probes) else { continue };
            let (from, to) = (canonical(moved.from), canonical(moved.to));
            tracing::info!(stream = moved.stream, %from, %to, "stream moved");
            known.control.move_stream(moved.stream, to);
            (known.on_event)(Event::Moved(Moved { from, to, ..moved }));
        }
    }

    /// Gives a stream a socket of its own, which says that it is accepted.
    fn open(&mut self, opened: &Opened) {
        let Some(pending) = self.pending.remove(&opened.token) else { return };
        let ip = opened.local.unwrap_or_else(|| self.local.ip());
        let local = canonical(beside(ip, self.local.port(), opened.peer));
        let (socket, strays) =
            match Socket::connect_from(local, canonical(opened.peer), &self.egress) {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(%error, peer = %opened.peer, "no socket for a stream");
                    // The driver confirms again, and this is tried again.
                    self.pending.insert(opened.token, pending);
                    return;
                }
            };
        if let Err(error) = socket.set_mark(pending.stream.dscp.number()) {
            tracing::warn!(%error, peer = %opened.peer, "a stream cannot be marked");
        }
        let (early, others): (Vec<Stray<Agent>>, Vec<_>) =
            strays.into_iter().partition(|stray| stray.peer == Some(canonical(opened.peer)));
        let Pending { stream, key, known } = pending;
        let toll = Some(Toll::new(Arc::clone(&self.meter), Frames::of(opened.peer.ip())));
        let mut open = OpenStream::new(stream, &key, Direction::Reverse, socket);
        (open.toll, open.seen) = (toll, opened.seen);
        self.open.insert(stream.token, (known.clone(), Arc::clone(&open.heartbeats)));
        let crew = Arc::clone(&known.crew);
        if !crew.put_to_work(move || carry(open, &early, &known)) {
            tracing::error!(stream = stream.number, "no thread waits for a stream");
        }
        self.hand_back(others, ip);
    }

    /// Strangers' datagrams that a new socket got before it was connected.
    fn hand_back(&mut self, strays: Vec<Stray<Agent>>, local: IpAddr) {
        for Stray { mut octets, peer, at, by_kernel } in strays {
            let (len, local) = (octets.len(), Some(local));
            let drops = self.socket.drops().unwrap_or(0);
            let (truncated, mark) = (false, None);
            let received = Received { len, truncated, peer, local, at, by_kernel, drops, mark };
            self.take(&received, &mut octets);
        }
    }
}

/// Carries a load stream of the agent's end, from its acceptance to its account.
fn carry(mut open: OpenStream, early: &[Stray<Agent>], known: &Known) {
    let number = open.stream.number;
    open.accept();
    (known.on_event)(match open.stream.direction {
        Direction::Forward => {
            Event::Came(number, load::receive(open, early, &known.control, &known.gauge))
        }
        Direction::Reverse => {
            let budget = ThreadBudget::of(&open.stream, known.streams.iter(), 1);
            Event::Sent(number, load::send(open, budget, &known.control, &known.gauge))
        }
    });
}
