//! What an agent serves: connections, trials and records, as [`crate::session::agent`] says.

use super::connection::{Admission, Input};
use super::drivers::Drivers;
use super::pause::Pause;
use super::strangers::Budget;
use crate::account::HostCounts;
use crate::account::{HostFacts, plain};
use crate::cli::DRIVERS;
use crate::clock::{Agent, Stamp};
use crate::dataplane::crew::{Crew, Pool, Shortage};
use crate::dataplane::far::{FarTrial, Port};
use crate::dataplane::meter::Meter;
use crate::direction::Direction;
use crate::flow::{FarEvent, Frames, PROBE_STREAM, Stream, TcpStream, streams_of, tcp_streams_of};
use crate::framing::{Framing, IpVersion};
use crate::io::channel::{Closed, Outbox, Unsaid};
use crate::io::clock::WallWatch;
use crate::io::egress::{Egress, listen_at};
use crate::io::files::StateDir;
use crate::io::log::{stranger, sum_up};
use crate::io::neighbour::NextHopWatch;
use crate::io::service;
use crate::io::tcp::{Bulk, listen_by, try_congestion_control};
use crate::io::timestamps::KeptNoise;
use crate::io::tls::Identity;
use crate::io::{clock, host};
use crate::session::agent::{
    Action, ConnectionId, Host, RECORD_SPAN, RECORDS_MAX, Session, TrialId,
};
use crate::trial::{CongestionControl, Limits, TcpLoad, Trial};
use crate::units::Span;
use crate::wire::control::{Message, Secrets};
use crate::wire::data::{DataHello, HELLO_LEN};
use crate::wire::fence::{self, Fence};
use crate::wire::key::{KeyLine, PublicKey};
use crate::wire::record::Record;
use crate::wire::seal::KEY_LEN;
use crate::wire::{StreamNumber, Token};
use rand::rngs::SysRng;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What the leases that drivers have shown are kept under, beside the records of runs.
const FENCES: &str = "fences";

/// How often the agent looks whether data still comes.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// How long an agent that is to end waits for drivers to fetch what has been counted.
const LEAVING_MAX: Span = Span::from_secs(3);

/// Of that, what threads have to count what they had, where no driver asked for it.
const LAST_COUNTS: Span = Span::from_secs(1);

/// Messages and events that may wait: a program that is this far behind is lost.
const QUEUE_MAX: usize = 4_096;

/// Tries to find a port that is free for TCP and for UDP.
const PORT_TRIES: usize = 16;

/// What an agent needs to serve.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Its key.
    pub identity: Identity,
    /// Drivers that it serves within `limits` alone.
    pub allowed: Vec<KeyLine>,
    /// The file that lists further ones, each with its own limits; it may change at any time.
    pub drivers: Option<PathBuf>,
    /// What all of them together may do.
    pub limits: Limits,
    /// The only device that it uses; any where it is `None`.
    pub device: Option<String>,
    /// Where records outlive the program; without it they are kept in memory only.
    pub state: Option<StateDir>,
    /// The file of its key, beside which its operator may pause it; never where it is `None`.
    pub pause: Option<PathBuf>,
}

/// The line that an agent's key has in a `.pub` file and in `known_agents`.
pub(super) fn public_line(key: PublicKey) -> KeyLine {
    KeyLine::new(key, COMMENT).expect("fifteen printable characters")
}

/// What stands behind an agent's public key.
pub(super) const COMMENT: &str = "linkqual-agent";

/// A trial whose threads run.
#[derive(Debug)]
struct Live {
    trial: FarTrial,
    parts: usize,
    device: Option<String>,
    before: host::Counters,
    next_hop: Option<NextHopWatch<Agent>>,
    timestamp_noise_ns: Option<u64>,
    wall: WallWatch,
}

/// An agent that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    port: Port,
    identity: Identity,
    drivers: Drivers,
    limits: Limits,
    state: Option<StateDir>,
    pause: Option<Pause>,
    meter: Arc<Meter>,
    reload: Reload,
}

impl Server {
    /// Listens on TCP and on UDP.
    ///
    /// # Errors
    ///
    /// What the system says, such as that the port is taken.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let mut secret = [0; KEY_LEN];
        fill(&mut secret);
        let meter = Arc::new(Meter::new::<Agent>(config.limits.rate_max, clock::now()));
        let egress = Egress::by(config.device);
        let listen_there = |local| listen(local, &egress, &secret, &meter);
        let (listener, port) = listen_at(config.listen, listen_there)?;
        let Config { identity, allowed, drivers, limits, state, pause, .. } = config;
        let pause = pause.map(|key| Pause::beside(&key));
        let mut drivers = Drivers::new(limits, allowed, drivers);
        drivers.refresh(clock::wall_ns());
        let reload = Reload::listen();
        Ok(Self { listener, port, identity, drivers, limits, state, pause, meter, reload })
    }

    /// Where it listens, TCP and UDP alike.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.port.local()
    }

    /// Where it listens, and its key, in one line.
    fn place(&self) -> String {
        format!("listens on {} (TCP and UDP), key {}", self.local(), self.identity.public_key())
    }

    /// The same, and why the file of drivers is not taken in as it is, if so.
    #[must_use]
    pub fn status(&self) -> String {
        status(&self.place(), self.drivers.fault())
    }

    /// What it is and whom it serves, for its operator.
    #[must_use]
    pub fn introduction(&self) -> String {
        let Limits { rate_max, duration_max } = self.limits;
        let mut text = format!(
            "linkqual-agent {} {}\npublic key: {}\nprobes at any time; load up to {rate_max} (L2) \
             in each direction, all drivers together, for up to {duration_max}\n",
            env!("CARGO_PKG_VERSION"),
            self.place(),
            public_line(self.identity.public_key()),
        );
        let place = match &self.state {
            Some(_) => "in the --state folder",
            None => "in memory only: with --state DIR they outlive this process",
        };
        text +=
            &format!("records of up to {RECORDS_MAX} runs are kept for {RECORD_SPAN}, {place}\n");
        for driver in self.drivers.listed() {
            text += &format!("allowed: {driver}\n");
        }
        for line in self.drivers.bad_lines() {
            text += &format!("line ignored: {line}\n");
        }
        text += &self.drivers.fault().map_or_else(String::new, |fault| format!("{fault}\n"));
        if let Some(file) = self.drivers.file() {
            let path = file.display();
            text += &match self.drivers.listed().next() {
                Some(_) => format!("further drivers: {path}, read again at each change\n"),
                None => {
                    let option = match file == Path::new(DRIVERS) {
                        true => String::new(),
                        false => format!(" --drivers {path}"),
                    };
                    format!(
                        "no driver is allowed yet: add one with linkqual-agent allow \
                         KEYLINE{option}\n"
                    )
                }
            };
        }
        text
    }

    /// Serves until `ended`.
    pub async fn serve(self, ended: impl Future<Output = ()>) {
        let mut shown = Shown { place: self.place(), fault: None };
        let (inputs, mut input) = mpsc::channel(QUEUE_MAX);
        let (events, mut occurred) = mpsc::unbounded_channel();
        let budget = Budget::of(host::descriptors());
        let mut admission = Admission::new(self.identity, self.drivers, inputs, budget);
        let hired = Hired::default();
        let this_host = ThisHost { pool: Pool::new(budget.streams), hired: Arc::clone(&hired) };
        let mut loops = Loop {
            session: Session::new(self.limits, Box::new(this_host)),
            hired,
            meter: self.meter,
            port: self.port,
            outboxes: BTreeMap::new(),
            peers: BTreeMap::new(),
            trials: BTreeMap::new(),
            events,
            state: self.state,
            noise: KeptNoise::default(),
        };
        loops.restore();
        let mut pause = self.pause;
        loops.look_at_pause(pause.as_mut());
        loops.carry_out();
        tokio::pin!(ended);
        let mut look = tokio::time::interval(LOOK);
        let mut reload = self.reload;
        let mut leaves_at = None;
        while leaves_at.is_none_or(|at| !loops.has_left(at)) {
            tokio::select! {
                () = &mut ended, if leaves_at.is_none() => leaves_at = Some(loops.leave()),
                () = reload.asked() => {
                    let gone = admission.read_again();
                    loops.revoke(&gone, &admission);
                }
                accepted = accept(&self.listener) => {
                    let gone = admission.refresh();
                    loops.revoke(&gone, &admission);
                    admission.admit(accepted);
                }
                Some(input) = input.recv() => match &input {
                    // It was listed when its handshake began.
                    Input::Open { driver, .. } if !admission.admits(driver) => {}
                    _ => loops.take(input),
                },
                Some((id, event)) = occurred.recv() => loops.handle_trial(id, event),
                _ = look.tick() => {
                    let gone = admission.refresh();
                    loops.revoke(&gone, &admission);
                    loops.look_at_pause(pause.as_mut());
                    loops.look();
                }
            }
            let paused = pause.as_ref().and_then(Pause::why);
            shown.update(admission.fault().or(paused.map(String::as_str)));
            loops.carry_out();
        }
        loops.outboxes.clear();
        // What has been said goes out by tasks of their own.
        tokio::time::sleep(LOOK).await;
        tracing::info!("ending");
    }
}

/// What `systemctl status` shows of an agent.
struct Shown {
    place: String,
    /// What was shown to be wrong with the file of drivers.
    fault: Option<String>,
}

impl Shown {
    /// Shows what is wrong with the file of drivers, where that is another thing than before.
    fn update(&mut self, fault: Option<&str>) {
        if self.fault.as_deref() != fault {
            self.fault = fault.map(str::to_owned);
            service::status(&status(&self.place, fault));
        }
    }
}

/// The line of an agent at `place`.
fn status(place: &str, fault: Option<&str>) -> String {
    fault.map_or_else(|| place.to_owned(), |fault| format!("{place}; {fault}"))
}

/// One port for both. Where the system chooses it for TCP, it may be taken for UDP: then another.
fn listen(
    local: SocketAddr,
    egress: &Egress,
    secret: &[u8; KEY_LEN],
    meter: &Arc<Meter>,
) -> io::Result<(TcpListener, Port)> {
    let mut tries = 1;
    loop {
        let listener = listen_by(local, egress)?;
        match Port::listen(listener.local_addr()?, egress.clone(), secret, Arc::clone(meter)) {
            Ok(port) => return Ok((listener, port)),
            Err(error) if local.port() != 0 || tries == PORT_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

/// The next connection. After an error, such as too many open files, a moment passes before the
/// next try.
async fn accept(listener: &TcpListener) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    let accepted = listener.accept().await;
    if accepted.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    accepted
}

struct Loop {
    session: Session,
    port: Port,
    outboxes: BTreeMap<ConnectionId, Outbox>,
    peers: BTreeMap<ConnectionId, SocketAddr>,
    trials: BTreeMap<TrialId, Live>,
    events: mpsc::UnboundedSender<(TrialId, FarEvent)>,
    state: Option<StateDir>,
    hired: Hired,
    meter: Arc<Meter>,
    noise: KeptNoise<Agent>,
}

/// The threads of the trial that was allowed last, until it is expected.
type Hired = Arc<Mutex<Option<Crew>>>;

/// SIGHUP, by which an operator has a service read its files again.
#[derive(Debug)]
struct Reload(Option<tokio::signal::unix::Signal>);

impl Reload {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).ok())
    }

    /// Once it is asked for.
    async fn asked(&mut self) {
        let asked = match &mut self.0 {
            Some(signals) => signals.recv().await,
            None => None,
        };
        if asked.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Loop {
    /// Announces the stop to the drivers; the time at which the program ends whatever they do.
    fn leave(&mut self) -> Stamp<Agent> {
        tracing::info!("stopping: drivers have 3 s to fetch their counts");
        self.session.handle_leaving();
        clock::now::<Agent>().after_nanos(LEAVING_MAX.nanos())
    }

    /// Whether it can end: all counts have been handed out, or `at` has passed.
    fn has_left(&mut self, at: Stamp<Agent>) -> bool {
        let now = clock::now();
        if at <= now.after_nanos(LAST_COUNTS.nanos()) {
            // Whoever has not asked for the end by now does not listen.
            self.session.handle_left();
            self.carry_out();
        }
        self.session.is_quiet() || at <= now
    }

    /// The keys that may use the agent no longer, or within other limits.
    fn revoke(&mut self, gone: &[PublicKey], admission: &Admission) {
        for key in gone {
            let reason = match admission.lists(key) {
                true => "the limits of this key have been changed. Start the run again",
                false => "this key is not allowed any more",
            };
            self.session.handle_revoked(clock::now(), key, reason);
        }
    }

    /// Looks whether the operator has paused the agent, or lets it load again.
    fn look_at_pause(&mut self, pause: Option<&mut Pause>) {
        let Some(pause) = pause else { return };
        if pause.look() {
            match pause.why() {
                Some(why) => tracing::warn!("{why}"),
                None => tracing::info!("load is allowed again"),
            }
            self.session.handle_paused(clock::now(), pause.why().cloned());
        }
    }

    fn take(&mut self, input: Input) {
        let now = clock::now();
        match input {
            Input::Open { connection, driver, peer, outbox } => {
                tracing::info!(?connection, %peer, who = driver.who, "driver connected");
                self.outboxes.insert(connection, outbox);
                self.peers.insert(connection, peer);
                let framing = Framing::plain(IpVersion::of(peer.ip()));
                self.session.handle_open(now, connection, driver, framing);
            }
            Input::Data { bulk, peer, hello } => self.carry(bulk, peer, &hello),
            Input::Message { connection, message } => {
                self.session.handle_message(now, connection, *message);
            }
            Input::Closed { connection, closed } => {
                self.part(connection, closed);
                tracing::info!(?connection, "driver disconnected");
                self.outboxes.remove(&connection);
                self.peers.remove(&connection);
                self.session.handle_closed(now, connection);
            }
        }
    }

    /// Logs how a connection ended; a driver that broke the protocol is sent the reason.
    fn part(&mut self, connection: ConnectionId, closed: Closed) {
        match closed {
            Closed::Malformed(reason) => {
                tracing::warn!(?connection, %reason, "invalid message");
                self.say(connection, &Message::Fault { reason: reason.to_string() });
            }
            Closed::Stalled { .. } | Closed::Oversize { .. } => {
                tracing::warn!(?connection, reason = %closed, "driver dropped");
            }
            Closed::There | Closed::Here => {}
            Closed::Broken(_) | Closed::Refused => {
                tracing::debug!(?connection, reason = %closed, "connection broken");
            }
        }
    }

    /// Hands a data connection to its trial; a stranger's is closed.
    fn carry(&mut self, bulk: Bulk, peer: SocketAddr, hello: &[u8; HELLO_LEN]) {
        let claimed = DataHello::claimed(hello).ok();
        let trial = claimed.and_then(|hello| {
            let mut trials = self.trials.iter_mut();
            trials.find(|(id, live)| id.run == hello.run && live.trial.awaits(hello.stream))
        });
        let Some((_, live)) = trial else {
            return stranger("data connection of no trial", peer);
        };
        if let Err(error) = live.trial.dialled(bulk, hello) {
            stranger("data connection not accepted", format!("{peer}: {error}"));
        }
    }

    fn handle_trial(&mut self, id: TrialId, event: FarEvent) {
        let is_part = !matches!(event, FarEvent::Heard(_) | FarEvent::Moved(_) | FarEvent::Host(_));
        self.session.handle_trial(id, event);
        let Some(live) = self.trials.get_mut(&id) else { return };
        live.parts = live.parts.saturating_sub(usize::from(is_part));
        if live.parts == 0 {
            let Some(live) = self.trials.remove(&id) else { return };
            let since = host::Counters::read(live.device.as_deref()).since(&live.before);
            let is_heard = live.trial.gauge().hears::<Agent>(clock::now());
            let limits = HostCounts {
                queue_drops: since.queue_drops,
                kernel_drops: since.softnet_drops,
                checksum_errors: since.checksum_errors,
                clock_steps: live.trial.gauge().clock_steps(),
                unresolved_next_hop: live.next_hop.and_then(|hop| hop.end(is_heard)),
                timestamp_noise_ns: live.timestamp_noise_ns,
                hardware_timestamps: live.trial.gauge().hardware_timestamps(),
                wall_clock: live.wall.end(),
            };
            self.session.handle_trial(id, FarEvent::Host(limits));
        }
    }

    fn look(&mut self) {
        for (id, live) in &mut self.trials {
            let is_heard = live.trial.gauge().hears::<Agent>(clock::now());
            live.next_hop.iter_mut().for_each(|hop| hop.look(is_heard));
            let heard: Stamp<Agent> = live.trial.gauge().heard();
            self.session.handle_trial(*id, FarEvent::Heard(heard));
            if let Some(at) = live.trial.exceeded() {
                self.session.handle_trial(*id, FarEvent::Exceeded(at));
            }
        }
        sum_up();
        self.session.handle_timeout(clock::now());
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Say(connection, message) => self.say(connection, &message),
                Action::Close(connection) => _ = self.outboxes.remove(&connection),
                Action::Expect(id, connection, streams, tcp, until) => {
                    self.expect(id, connection, streams, tcp, until);
                }
                Action::Start(id) => {
                    if let Some(live) = self.trials.get(&id) {
                        live.trial.start(clock::now());
                    }
                }
                Action::Sent(id, stream, sent) => {
                    if let Some(live) = self.trials.get(&id) {
                        live.trial.close(stream, sent);
                    }
                }
                Action::Stop(id) => {
                    if let Some(live) = self.trials.get_mut(&id) {
                        live.trial.stop();
                    }
                }
                Action::Keep(record) => self.keep(&record),
                Action::KeepFences(fences) => self.keep_fences(&fences),
                Action::Forget(run) => {
                    _ = self.state.as_ref().map(|state| state.forget(&run.to_string()));
                }
                Action::Note(text) => tracing::info!("{text}"),
            }
        }
    }

    /// Takes in what an earlier process kept.
    fn restore(&mut self) {
        let (now, wall_ns) = (clock::now(), clock::wall_ns());
        for (name, text) in self.state.iter().flat_map(StateDir::read) {
            let parsed = text.map_err(|error| error.to_string());
            if name == FENCES {
                let fences =
                    parsed.and_then(|text| fence::parse(&text).map_err(|error| error.to_string()));
                match fences {
                    Ok(fences) => self.session.restore_fences(fences),
                    Err(error) => tracing::warn!(%error, "leases in --state ignored"),
                }
                continue;
            }
            let parsed =
                parsed.and_then(|text| Record::parse(&text).map_err(|error| error.to_string()));
            match parsed {
                // A wall clock that was set back makes a record no younger than new.
                Ok((record, saved_ns)) => {
                    let age = Span::from_nanos(wall_ns.saturating_sub(saved_ns));
                    self.session.restore(now, record, age);
                }
                Err(error) => {
                    let name = plain(&name);
                    tracing::warn!(name, %error, "record in --state ignored");
                }
            }
        }
    }

    /// Writes the leases that were shown, so that they outlive this process.
    fn keep_fences(&self, fences: &[Fence]) {
        let Some(state) = &self.state else { return };
        if let Err(error) = state.keep(FENCES, &fence::emit(fences)) {
            tracing::warn!(%error, "the leases that drivers have shown are kept in memory only");
        }
    }

    /// Writes a record, so that it outlives this process.
    fn keep(&self, record: &Record) {
        let Some(state) = &self.state else { return };
        let text = record.emit(clock::wall_ns());
        if let Err(error) = state.keep(&record.run.to_string(), &text) {
            tracing::warn!(%error, "record kept in memory only");
        }
    }

    fn say(&mut self, connection: ConnectionId, message: &Message) {
        let Some(outbox) = self.outboxes.get(&connection) else { return };
        match outbox.say(message) {
            Ok(octets) => {
                if let Some(peer) = self.peers.get(&connection) {
                    let (frames, octets) = (Frames::of(peer.ip()), octets as u64);
                    self.meter.charge_control::<Agent>(clock::now(), frames, octets);
                }
            }
            Err(Unsaid::Full) => {
                tracing::warn!(?connection, "driver dropped: it does not read");
                self.outboxes.remove(&connection);
            }
            // Its inbox reports how it ended.
            Err(Unsaid::Closed) => {}
        }
    }

    fn expect(
        &mut self,
        id: TrialId,
        connection: ConnectionId,
        streams: Vec<(Stream, Secrets)>,
        tcp: Vec<(TcpStream, Secrets)>,
        until: Stamp<Agent>,
    ) {
        let parts = streams.len() + tcp.len();
        let events = self.events.clone();
        // The loop outlives every trial, or the program ends.
        let on_event = Arc::new(move |event| _ = events.send((id, event)));
        let keyed = streams.into_iter().map(|(stream, secrets)| (stream, secrets.key)).collect();
        let tcp = tcp.into_iter().map(|(stream, secrets)| (stream, secrets.key)).collect();
        let hired = self.hired.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(crew) = hired else {
            return tracing::error!("a trial without threads that were set aside for it");
        };
        let trial = self.port.expect(keyed, tcp, until, crew, on_event);
        let peer = self.peers.get(&connection).copied();
        let device = peer.and_then(host::device_towards);
        let next_hop = peer.map(|peer| NextHopWatch::begin(None, peer, None));
        let before = host::Counters::read(device.as_deref());
        let timestamp_noise_ns = self.noise.noise_ns(clock::now());
        let wall = WallWatch::begin();
        let live = Live { trial, parts, device, before, next_hop, timestamp_noise_ns, wall };
        self.trials.insert(id, live);
    }
}

/// The system's randomness, and what its kernel can do.
#[derive(Debug)]
struct ThisHost {
    pool: Arc<Pool>,
    hired: Hired,
}

impl ThisHost {
    /// Sets aside the threads and descriptors of a trial's load.
    fn hire(&self, trial: &Trial) -> Result<(), Shortage> {
        let udp = streams_of(trial).iter().filter(|stream| stream.number != PROBE_STREAM).count();
        let crew = self.pool.hire(udp + tcp_streams_of(trial).len())?;
        *self.hired.lock().unwrap_or_else(PoisonError::into_inner) = Some(crew);
        Ok(())
    }
}

impl Host for ThisHost {
    fn secrets(&mut self, stream: StreamNumber) -> Secrets {
        let (mut token, mut key) = ([0; 8], [0; KEY_LEN]);
        fill(&mut token);
        fill(&mut key);
        Secrets { stream, token: Token(u64::from_le_bytes(token)), key }
    }

    fn lacks(&self, trial: &Trial) -> Option<String> {
        let is_reverse = |load: &&TcpLoad| load.directions().includes(Direction::Reverse);
        let load = trial.tcp().filter(is_reverse);
        let lacks = load.and_then(|load| self.lacks_congestion(load.congestion()));
        lacks.or_else(|| self.hire(trial).err().map(|shortage| shortage.to_string()))
    }

    fn lacks_congestion(&self, control: CongestionControl) -> Option<String> {
        try_congestion_control(control.name()).err().map(|error| error.to_string())
    }

    fn facts(&self) -> HostFacts {
        host::facts()
    }
}

/// Fills `octets` with the system's randomness, without which nothing here is safe to do.
fn fill(octets: &mut [u8]) {
    use rand::TryRng as _;
    SysRng.try_fill_bytes(octets).expect("the system has randomness");
    debug_assert!(octets.iter().any(|octet| *octet != 0), "randomness is not all zero");
}
