//! The threads of the data plane: each runs one machine of `flow` over one socket of `io`.
//!
//! A thread owns its socket and its machine; it shares with the others of its trial only a
//! [`Control`], which is written rarely, and a [`Gauge`] of counters for the progress line. It
//! never decides: it carries out what its machine says, and reports how that ended.

#[cfg(feature = "driver")]
pub mod near;

pub mod far;

pub mod crew;

pub mod meter;

#[cfg(feature = "driver")]
mod dial;
mod load;
#[cfg(feature = "driver")]
mod probing;
#[cfg(feature = "driver")]
pub mod tape;
mod tcp;

use crate::account::SenderCounts;
use crate::clock::Stamp;
use crate::flow::{Frames, SILENCE, TcpStream};
use crate::units::Span;
use crate::wire::StreamNumber;
use meter::{Meter, TcpToll, Toll};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How often a thread that waits for something else looks at its [`Control`].
const LOOK_NS: u64 = 10_000_000;

/// How long behind the word to start the first packet is due, so that no thread that is still being
/// woken, or makes its payload, is late for it.
const START_LEAD: Span = Span::from_millis(50);

/// The largest datagram.
const DATAGRAM_MAX: usize = 1 << 16;

/// What the threads of a trial are asked to do.
#[derive(Debug)]
pub struct Control<C> {
    start: OnceLock<Stamp<C>>,
    stop: AtomicBool,
    gone: OnceLock<Stamp<C>>,
    closings: Mutex<BTreeMap<StreamNumber, SenderCounts>>,
    exceeded: OnceLock<Stamp<C>>,
    /// What all that is sent and accepted passes; nothing at the driver's end.
    meter: Option<Arc<Meter>>,
    /// When the grant is over, and nothing is accepted any more; never at the driver's end.
    until: Option<Stamp<C>>,
    /// Streams whose driver has a new address, which their threads do not know yet.
    moves: Mutex<BTreeMap<StreamNumber, SocketAddr>>,
}

impl<C> Default for Control<C> {
    fn default() -> Self {
        let (start, stop, gone) = (OnceLock::new(), AtomicBool::new(false), OnceLock::new());
        let (closings, moves, exceeded) = (Mutex::default(), Mutex::default(), OnceLock::new());
        Self { start, stop, gone, closings, moves, exceeded, meter: None, until: None }
    }
}

impl<C> Control<C> {
    /// That of a trial at an agent's end, whose grant is over at `until`.
    #[must_use]
    pub fn metered(meter: Arc<Meter>, until: Stamp<C>) -> Self {
        Self { meter: Some(meter), until: Some(until), ..Self::default() }
    }

    /// Whether its grant is over at `now`.
    fn is_lapsed(&self, now: Stamp<C>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The other end has sent far more than it was granted.
    fn note_exceeded(&self, at: Stamp<C>) {
        // Once is enough.
        _ = self.exceeded.set(at);
    }

    fn exceeded(&self) -> Option<Stamp<C>> {
        self.exceeded.get().copied()
    }

    /// What `stream` over a TCP connection with `peer` pays; nothing at the driver's end.
    fn tcp_toll(&self, peer: io::Result<SocketAddr>, stream: &TcpStream) -> Option<TcpToll> {
        let (meter, peer) = (self.meter.as_ref()?, peer.ok()?);
        let toll = Toll::new(Arc::clone(meter), Frames::of(peer.ip()));
        Some(TcpToll::new(toll, stream, crate::io::clock::now::<C>()))
    }

    /// Streams that are open begin `START_LEAD` after `now`.
    pub fn start(&self, now: Stamp<C>) {
        // A second start of the same trial changes nothing.
        _ = self.start.set(now.after_nanos(START_LEAD.nanos()));
    }

    /// All threads of the trial end, and report what they have counted.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// The other end's account of a stream that comes from it.
    pub fn close(&self, stream: StreamNumber, sent: SenderCounts) {
        locked(&self.closings).insert(stream, sent);
    }

    /// The other end is gone since `at`: what does not come from then on is not the line's doing.
    pub fn peer_gone(&self, at: Stamp<C>) {
        // It goes once.
        _ = self.gone.set(at);
    }

    /// The driver of a stream is at `peer` from now on.
    fn move_stream(&self, stream: StreamNumber, peer: SocketAddr) {
        locked(&self.moves).insert(stream, peer);
    }

    fn take_move(&self, stream: StreamNumber) -> Option<SocketAddr> {
        locked(&self.moves).remove(&stream)
    }

    /// Until when something of the other end's could have come.
    fn listened_until(&self) -> Stamp<C> {
        self.gone.get().copied().unwrap_or_else(crate::io::clock::now)
    }

    fn started(&self) -> Option<Stamp<C>> {
        self.start.get().copied()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn closing(&self, stream: StreamNumber) -> Option<SenderCounts> {
        locked(&self.closings).get(&stream).cloned()
    }
}

/// A thread that panicked while it held the lock left a whole map: inserts are atomic here.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counters of a running trial, for the progress line and for silence. Approximate: no verdict
/// reads them.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Load packets of both directions that left this host.
    pub sent: AtomicU64,
    /// Load packets of both directions that reached this host.
    pub received: AtomicU64,
    /// Octets of payload of those.
    pub octets: AtomicU64,
    /// Load packets that the far end says it has received.
    pub far_received: AtomicU64,
    /// Load packets that later ones have overtaken, at either end.
    pub missing: AtomicU64,
    /// Probes that left this host.
    pub probes: AtomicU64,
    /// Probes that were answered.
    pub replies: AtomicU64,
    /// The newest round trip, in nanoseconds.
    pub round_trip_ns: AtomicU64,
    /// The largest rise of the round trip above that of the idle link, in nanoseconds: the driver's
    /// probes show it, and its heartbeats pass it on to the agent.
    pub rise_ns: AtomicU64,
    /// When anything of the trial arrived last, on this host's clock.
    pub heard_ns: AtomicU64,
    /// As of when the far end is proven to have been alive and what this host sends to have reached
    /// it, by any stream and by the probes; 0 where nothing has proven it.
    pub alive_ns: AtomicU64,
    /// How often the wall clock was set while a socket of the trial received.
    pub clock_steps: AtomicU64,
    /// Handshake datagrams that came for streams that were never opened.
    pub unopened_hellos: AtomicU64,
    /// This host's network card stamps the probes.
    pub hardware_timestamps: AtomicBool,
}

impl Gauge {
    /// How often the wall clock was set, as the socket that noticed most often reports.
    #[must_use]
    pub fn clock_steps(&self) -> u64 {
        self.clock_steps.load(Relaxed)
    }

    fn note_clock_steps(&self, steps: u64) {
        self.clock_steps.fetch_max(steps, Relaxed);
    }

    /// Whether this host's network card stamps the probes, and not its kernel.
    #[must_use]
    pub fn hardware_timestamps(&self) -> bool {
        self.hardware_timestamps.load(Relaxed)
    }

    fn note_card(&self, stamps: bool) {
        self.hardware_timestamps.store(stamps, Relaxed);
    }

    fn hear<C>(&self, at: Stamp<C>) {
        self.heard_ns.fetch_max(at.nanos(), Relaxed);
    }

    /// The far end proves that what left this host at `at` reached it; whether anything that left
    /// before did so until now.
    fn note_alive<C>(&self, at: Stamp<C>) -> bool {
        self.alive_ns.fetch_max(at.nanos(), Relaxed) < at.nanos()
    }

    fn note_rise(&self, rise: Span) {
        self.rise_ns.fetch_max(rise.nanos(), Relaxed);
    }

    fn rise(&self) -> Span {
        Span::from_nanos(self.rise_ns.load(Relaxed))
    }

    /// When anything of the trial arrived last.
    #[must_use]
    pub fn heard<C>(&self) -> Stamp<C> {
        Stamp::from_nanos(self.heard_ns.load(Relaxed))
    }

    /// Whether the far end is being heard at `now`: anything of the trial arrived within the time
    /// after which a load is paused.
    #[must_use]
    pub fn hears<C>(&self, now: Stamp<C>) -> bool {
        let heard_ns = self.heard_ns.load(Relaxed);
        0 < heard_ns && now.nanos_since(Stamp::from_nanos(heard_ns)) < SILENCE.nanos()
    }
}

/// Whether the far end has proven, since the last look, that what this host sends reaches it. Then
/// the next datagram confirms to the kernel that the next hop is reachable (`MSG_CONFIRM`), as TCP
/// does with each acknowledgement: the kernel need not ask for the next hop's link-layer address
/// again during the trial. Its questions and their answers cross the queues that the load fills,
/// and where they are lost, the kernel drops the load before the device, and says nothing.
///
/// A path that is dead proves nothing and so is never confirmed.
#[derive(Debug, Default)]
struct Progress {
    seen_ns: u64,
}

impl Progress {
    fn is_new(&mut self, gauge: &Gauge) -> bool {
        let alive_ns = gauge.alive_ns.load(Relaxed);
        std::mem::replace(&mut self.seen_ns, alive_ns) < alive_ns
    }
}

/// Starts a thread of the data plane.
fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(body).map(drop)
}
