//! A line on loopback: what reaches its port goes to an agent, as the model in `line` lets it.
//!
//! UDP datagrams are delayed, dropped, doubled and overtaken, each direction by its own line, and
//! counted exactly. TCP passes unharmed, but for what it is asked to do to it: to reset what
//! passes, or to carry nothing for a while. The demo shows it; the tests hold reports against it.

use crate::clock::{Driver, Stamp};
use crate::demo::transit::{Transit, class_of};
use crate::direction::{Direction, PerDirection};
use crate::emulation::{Class, Counts, EmulatedLink, Spec};
use crate::framing::IpVersion;
use crate::io::clock;
use crate::io::udp::Socket;
use crate::units::Span;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// Datagrams that are read from one socket before the others' turn.
const READ_MAX: usize = 64;

/// Streams that pass at once.
const STREAMS_MAX: usize = 256;

/// Tries to find a port that is free for TCP and for UDP.
const PORT_TRIES: usize = 16;

const DATAGRAM_MAX: usize = 1 << 16;

/// Octets of a TCP connection that are under way at once.
const CHUNK: usize = 16 << 10;

/// A line on loopback; dropped, it is cut.
#[derive(Debug)]
pub struct Relay {
    local: SocketAddr,
    lines: Arc<Mutex<PerDirection<EmulatedLink>>>,
    cut: Arc<AtomicBool>,
    faults: watch::Sender<Faults>,
}

/// What befalls TCP.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// How often all that passed was reset.
    resets: u64,
    /// Nothing passes before.
    stalled_until: Instant,
}

impl Relay {
    /// A line to `target`, of `forward` and `reverse`; all it does follows from `seed`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start(target: SocketAddr, forward: Spec, reverse: Spec, seed: u64) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (listener, socket) = runtime.block_on(bind(target))?;
        let local = listener.local_addr()?;
        let lines = PerDirection {
            forward: EmulatedLink::new(forward, seed),
            reverse: EmulatedLink::new(reverse, !seed),
        };
        let (lines, cut) = (Arc::new(Mutex::new(lines)), Arc::new(AtomicBool::new(false)));
        let mut server = Server {
            target,
            listener: socket,
            lines: Arc::clone(&lines),
            streams: Vec::new(),
            places: BTreeMap::new(),
            under_way: Transit::new(),
        };
        let is_cut = Arc::clone(&cut);
        spawn("relay", move || server.run(&is_cut))?;
        let is_cut = Arc::clone(&cut);
        let (faults, wanted) = watch::channel(Faults { resets: 0, stalled_until: Instant::now() });
        spawn("relay tcp", move || runtime.block_on(pass_tcp(&listener, target, wanted, &is_cut)))?;
        Ok(Self { local, lines, cut, faults })
    }

    /// Sets the moment that outages count from, in either direction; without it, the first datagram
    /// that goes that way is that moment.
    pub fn set_epoch(&self, epoch: Stamp<Driver>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.forward.set_epoch(epoch.nanos());
        lines.reverse.set_epoch(epoch.nanos());
    }

    /// Resets every TCP connection that passes now; others may be opened.
    pub fn reset_tcp(&self) {
        self.faults.send_modify(|faults| faults.resets += 1);
    }

    /// Carries nothing of TCP for `span`, and closes nothing: what was said arrives behind it. A
    /// connection that is opened meanwhile is accepted by the kernel, and answered behind it.
    pub fn stall_tcp(&self, span: Span) {
        let until = Instant::now() + Duration::from_nanos(span.nanos());
        self.faults.send_modify(|faults| faults.stalled_until = until);
    }

    /// Where a driver finds it.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// What the line did in `direction` to datagrams of `class`.
    #[must_use]
    pub fn counts(&self, direction: Direction, class: Class) -> Counts {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(direction).counts(class)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut.store(true, Relaxed);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// A port that is free for both.
async fn bind(target: SocketAddr) -> io::Result<(TcpListener, Socket)> {
    let mut tries = 0;
    loop {
        let listener = TcpListener::bind(SocketAddr::new(target.ip(), 0)).await?;
        match Socket::listen(listener.local_addr()?) {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if tries == PORT_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn pass_tcp(
    listener: &TcpListener,
    target: SocketAddr,
    faults: watch::Receiver<Faults>,
    cut: &AtomicBool,
) {
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !cut.load(Relaxed) {
        let is_stalled = Instant::now() < faults.borrow().stalled_until;
        tokio::select! {
            _ = look.tick() => {}
            Ok((near, _)) = listener.accept(), if !is_stalled => {
                let faults = faults.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        pass(near, far, faults).await;
                    }
                });
            }
        }
    }
}

/// Carries one connection until both ends have closed it, one has broken, or it is reset.
async fn pass(mut near: TcpStream, mut far: TcpStream, mut faults: watch::Receiver<Faults>) {
    let (mut there, mut back) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut near_open, mut far_open) = (true, true);
    let resets = faults.borrow().resets;
    while near_open || far_open {
        let Faults { resets: now, stalled_until } = *faults.borrow_and_update();
        if now != resets {
            // Closed without lingering, both are reset.
            _ = near.set_zero_linger().and_then(|()| far.set_zero_linger());
            return;
        }
        let is_stalled = Instant::now() < stalled_until;
        tokio::select! {
            // The relay is gone where nobody can change anything any more.
            changed = faults.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(stalled_until), if is_stalled => {}
            read = near.read(&mut there), if near_open && !is_stalled => {
                let Ok(len) = read else { return };
                near_open = 0 < len;
                if hand_on(&mut far, &there[..len]).await.is_err() {
                    return;
                }
            }
            read = far.read(&mut back), if far_open && !is_stalled => {
                let Ok(len) = read else { return };
                far_open = 0 < len;
                if hand_on(&mut near, &back[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Hands on what came; nothing is the end.
async fn hand_on(to: &mut TcpStream, octets: &[u8]) -> io::Result<()> {
    match octets {
        [] => to.shutdown().await,
        octets => to.write_all(octets).await,
    }
}

/// A datagram on its way: of which stream, and where to.
type Passenger = (usize, Direction, Vec<u8>);

/// A driver's socket, and the one that stands for it at the agent.
#[derive(Debug)]
struct Passing {
    driver: SocketAddr,
    socket: Socket,
}

struct Server {
    target: SocketAddr,
    listener: Socket,
    lines: Arc<Mutex<PerDirection<EmulatedLink>>>,
    streams: Vec<Passing>,
    places: BTreeMap<SocketAddr, usize>,
    under_way: Transit<Passenger>,
}

impl Server {
    fn run(&mut self, cut: &AtomicBool) {
        clock::tighten_timer_slack();
        let mut buffer = vec![0; DATAGRAM_MAX];
        while !cut.load(Relaxed) {
            self.read_drivers(&mut buffer);
            self.read_agent(&mut buffer);
            let now: Stamp<Driver> = clock::now();
            self.deliver(now);
            // The kernel stamps what comes meanwhile, so the pause delays it only where the line is
            // faster than that.
            self.under_way.wait(now);
        }
    }

    fn read_drivers(&mut self, buffer: &mut [u8]) {
        for _ in 0..READ_MAX {
            let Ok(Some(received)) = self.listener.receive::<Driver>(buffer) else { return };
            let Some(driver) = received.peer else { continue };
            let Some(place) = self.place_of(driver) else { continue };
            self.offer(Direction::Forward, place, received.at, &buffer[..received.len]);
        }
    }

    fn read_agent(&mut self, buffer: &mut [u8]) {
        for place in 0..self.streams.len() {
            for _ in 0..READ_MAX {
                let Ok(Some(received)) = self.streams[place].socket.receive::<Driver>(buffer)
                else {
                    break;
                };
                self.offer(Direction::Reverse, place, received.at, &buffer[..received.len]);
            }
        }
    }

    fn place_of(&mut self, driver: SocketAddr) -> Option<usize> {
        if let Some(place) = self.places.get(&driver) {
            return Some(*place);
        }
        if self.streams.len() == STREAMS_MAX {
            return None;
        }
        let socket = Socket::connect(self.target).ok()?;
        let place = self.streams.len();
        self.streams.push(Passing { driver, socket });
        self.places.insert(driver, place);
        Some(place)
    }

    fn offer(&mut self, direction: Direction, place: usize, at: Stamp<Driver>, datagram: &[u8]) {
        let payload = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        let octets = payload + IpVersion::of(self.target.ip()).udp_overhead_octets();
        let class = class_of(datagram).unwrap_or(Class::Signal);
        let deliveries = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.get_mut(direction).offer(at.nanos(), octets, class)
        };
        self.under_way.carry(&deliveries, || (place, direction, datagram.to_vec()));
    }

    fn deliver(&mut self, now: Stamp<Driver>) {
        while let Some((_, (place, direction, datagram))) = self.under_way.next_due(now) {
            let passing = &mut self.streams[place];
            let sent = match direction {
                Direction::Forward => passing.socket.send(&datagram),
                Direction::Reverse => self.listener.send_to(&datagram, passing.driver, None),
            };
            if !matches!(sent, Ok(crate::io::udp::Sent::Accepted)) {
                tracing::warn!(?sent, %direction, "the relay itself could not deliver");
            }
        }
    }
}
