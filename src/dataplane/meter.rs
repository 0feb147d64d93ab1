//! The agent's meter: all its threads take from it what they send, and what they accept.
//!
//! It is lock-free: how full a bucket is stands in one word. What passes is decided by
//! [`Allowance`].

use crate::clock::Stamp;
use crate::flow::{Allowance, Frames, TcpStream};
use crate::io::tcp::{Bulk, Carried};
use crate::units::{BitRate, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What load leaves of the bucket: signals and answers of all streams have priority, as without
/// them a load is neither opened nor kept up.
const SPARED_OCTETS: u64 = 8 << 10;

/// One direction of all that the agent does.
#[derive(Debug)]
struct Gate {
    allowance: Allowance,
    began_ns: u64,
    level: AtomicU64,
}

impl Gate {
    fn new(rate: BitRate, began_ns: u64) -> Self {
        Self { allowance: Allowance::of(rate), began_ns, level: AtomicU64::new(0) }
    }

    fn elapsed<C>(&self, now: Stamp<C>) -> Span {
        Span::from_nanos(now.nanos().saturating_sub(self.began_ns))
    }

    fn take<C>(&self, now: Stamp<C>, octets: u64, spare: u64) -> bool {
        let elapsed = self.elapsed(now);
        let filled = |level| self.allowance.take(level, elapsed, octets, spare);
        self.level.fetch_update(Relaxed, Relaxed, filled).is_ok()
    }

    fn charge<C>(&self, now: Stamp<C>, octets: u64) {
        let elapsed = self.elapsed(now);
        let filled = |level| Some(self.allowance.charge(level, elapsed, octets));
        // It always has a new level.
        _ = self.level.fetch_update(Relaxed, Relaxed, filled);
    }

    /// The same, but that it never fills the bucket.
    fn charge_bounded<C>(&self, now: Stamp<C>, octets: u64) {
        let elapsed = self.elapsed(now);
        let filled = |level| Some(self.allowance.charge_bounded(level, elapsed, octets));
        _ = self.level.fetch_update(Relaxed, Relaxed, filled);
    }

    fn is_open<C>(&self, now: Stamp<C>) -> bool {
        self.allowance.excess(self.level.load(Relaxed), self.elapsed(now)) == 0
    }

    /// Octets that there is room for; `None` where more has passed than there was room for.
    fn room<C>(&self, now: Stamp<C>) -> Option<u64> {
        let level = self.level.load(Relaxed);
        self.is_open(now).then(|| self.allowance.room(level, self.elapsed(now)))
    }
}

/// All that an agent sends, and all that it accepts.
#[derive(Debug)]
pub struct Meter {
    sent: Gate,
    accepted: Gate,
}

impl Meter {
    /// That of an agent whose limit is `rate` in each direction, from `now` on.
    #[must_use]
    pub fn new<C>(rate: BitRate, now: Stamp<C>) -> Self {
        let began_ns = now.nanos();
        Self { sent: Gate::new(rate, began_ns), accepted: Gate::new(rate, began_ns) }
    }

    /// Octets that go over a control connection, whatever else does. They never fill the bucket: a
    /// long account leaves answers and load their turn, other drivers' and its own driver's.
    pub fn charge_control<C>(&self, now: Stamp<C>, frames: Frames, octets: u64) {
        let segments = octets.div_ceil(CONTROL_SEGMENT);
        self.sent.charge_bounded(now, frames.tcp_octets(octets, segments, true));
    }
}

/// What a segment of a control connection carries at least.
const CONTROL_SEGMENT: u64 = 1_200;

/// The meter as one stream meets it: the frames of its own peer.
#[derive(Clone, Debug)]
pub(super) struct Toll {
    meter: Arc<Meter>,
    frames: Frames,
}

impl Toll {
    pub(super) const fn new(meter: Arc<Meter>, frames: Frames) -> Self {
        Self { meter, frames }
    }

    /// Whether `packets` datagrams of load of `payload` octets may leave.
    pub(super) fn load<C>(&self, now: Stamp<C>, payload: u32, packets: u32) -> bool {
        let octets = self.frames.udp_octets(payload, packets.into());
        let spare = SPARED_OCTETS.min(self.meter.sent.allowance.depth() / 8);
        self.meter.sent.take(now, octets, spare)
    }

    /// Whether a signal or an answer of `payload` octets may leave.
    pub(super) fn answer<C>(&self, now: Stamp<C>, payload: usize) -> bool {
        let payload = u32::try_from(payload).unwrap_or(u32::MAX);
        self.meter.sent.take(now, self.frames.udp_octets(payload, 1), 0)
    }
}

/// The meter as a TCP connection meets it. What is read is taken from it at once. Of what the
/// kernel sends and receives by itself, segments without payload too, the rest is taken behind it,
/// and the stream waits until that is paid back.
#[derive(Debug)]
pub(super) struct TcpToll {
    toll: Toll,
    /// What the stream itself was granted; its driver sends too much only where this is exceeded.
    own: Gate,
    segment: u64,
    carried: Carried,
    look_at_ns: u64,
    /// Octets of frames that came, by the kernel; that were read at least; and that were charged.
    came: u64,
    read: u64,
    charged: u64,
}

/// How often the kernel is asked.
const LOOK_NS: u64 = 5_000_000;

/// What may be read at least, once the meter is open.
const READ_MIN: u64 = 16 << 10;

impl TcpToll {
    /// That of `stream` from `now` on.
    pub(super) fn new<C>(toll: Toll, stream: &TcpStream, now: Stamp<C>) -> Self {
        let granted = toll.frames.tcp_rate(stream.rate, stream.mtu).unwrap_or(stream.rate);
        let (allowance, level) = (Allowance::of_stream(granted), AtomicU64::new(0));
        let own = Gate { allowance, began_ns: now.nanos(), level };
        let segment = toll.frames.segment_octets(stream.mtu).max(1).into();
        let (came, read, charged, look_at_ns) = (0, 0, 0, 0);
        Self { toll, own, segment, carried: Carried::default(), look_at_ns, came, read, charged }
    }

    /// Whether the agent may send more over `bulk` at `now`.
    pub(super) fn may_send<C>(&mut self, bulk: &Bulk, now: Stamp<C>) -> bool {
        self.look(bulk, now);
        self.toll.meter.sent.is_open(now)
    }

    /// How many octets it may accept now, at least some; `None` where it is to wait.
    pub(super) fn may_accept<C>(&mut self, bulk: &Bulk, now: Stamp<C>) -> Option<usize> {
        self.look(bulk, now);
        let room = self.toll.meter.accepted.room(now)?.max(READ_MIN);
        Some(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// So many octets of payload were read.
    pub(super) fn on_read<C>(&mut self, now: Stamp<C>, octets: usize) {
        let octets = octets as u64;
        // Not more than they can have taken: the kernel's count makes up the rest.
        self.read += self.toll.frames.tcp_octets(octets, octets / self.segment, true);
        self.charge_accepted(now);
    }

    fn look<C>(&mut self, bulk: &Bulk, now: Stamp<C>) {
        if now.nanos() < self.look_at_ns {
            return;
        }
        self.look_at_ns = now.nanos().saturating_add(LOOK_NS);
        match bulk.carried() {
            Ok(carried) => self.on_carried(now, carried),
            Err(error) => tracing::debug!(%error, "the kernel gives no TCP_INFO of a connection"),
        }
    }

    /// Takes what the kernel has `carried` by now.
    fn on_carried<C>(&mut self, now: Stamp<C>, carried: Carried) {
        let before = std::mem::replace(&mut self.carried, carried);
        let frames = |octets: u64, octets_before, segments: u64, segments_before| {
            let segments = segments.saturating_sub(segments_before);
            // Segments without timestamps take less.
            self.toll.frames.tcp_octets(octets.saturating_sub(octets_before), segments, true)
        };
        let sent = frames(
            carried.sent_octets,
            before.sent_octets,
            carried.sent_segments,
            before.sent_segments,
        );
        self.came += frames(
            carried.received_octets,
            before.received_octets,
            carried.received_segments,
            before.received_segments,
        );
        self.toll.meter.sent.charge(now, sent);
        self.charge_accepted(now);
    }

    /// Takes what came, or was read, and was not taken yet.
    fn charge_accepted<C>(&mut self, now: Stamp<C>) {
        let owed = self.came.max(self.read).saturating_sub(self.charged);
        self.charged += owed;
        self.toll.meter.accepted.charge(now, owed);
        self.own.charge(now, owed);
    }

    /// Whether the other end sends so much more than its stream was granted that its run is to end.
    pub(super) fn is_broken<C>(&self, now: Stamp<C>) -> bool {
        self.own.allowance.is_broken(self.own.level.load(Relaxed), self.own.elapsed(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Agent;
    use crate::direction::Direction;
    use crate::trial::{CongestionControl, Dscp, LoadKind};
    use crate::wire::Token;
    use std::net::{IpAddr, Ipv4Addr};

    fn at(ms: u64) -> Stamp<Agent> {
        Stamp::from_nanos(ms * 1_000_000)
    }

    /// 1000 octets per millisecond, from 5 ms on; 64 KiB at once.
    fn toll() -> Toll {
        let meter = Meter::new("8 Mbit/s".parse().expect("a rate"), at(5));
        Toll::new(Arc::new(meter), Frames::of(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// Frames of 1000 octets: what many threads take together is no more than the limit.
    #[test]
    fn threads_that_share_it_send_no_more_than_its_limit() {
        let toll = toll();
        let passed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for ms in 5..105 {
                        let packets = (0..100).filter(|_| toll.load(at(ms), 954, 1)).count();
                        passed.fetch_add(packets as u64, Relaxed);
                    }
                });
            }
        });
        // 100 ms, and the depth but for what answers are spared.
        let most = 100 + (65_536 - 8_192) / 1_000;
        let passed = passed.load(Relaxed);
        assert!((most - 2..=most).contains(&passed), "{passed} of {most}");
    }

    #[test]
    fn load_leaves_room_for_answers() {
        let toll = toll();
        assert!(toll.load(at(5), 954, 57) && !toll.load(at(5), 954, 1));
        assert!(toll.answer(at(5), 8_400) && !toll.answer(at(5), 300));
    }

    /// At 1 Mbit/s, an account of 1 MB silenced the agent for each driver for 8 s.
    #[test]
    fn a_long_account_leaves_the_answers_of_others_their_turn() {
        let toll = toll();
        let frames = Frames::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
        (0..100).for_each(|_| toll.meter.charge_control(at(5), frames, 1 << 20));
        // A quarter of 65 536 octets, of which load spares 8192.
        assert!(toll.load(at(5), 954, 8) && !toll.load(at(5), 954, 1));
        assert!(toll.answer(at(5), 8_192 + 192 - 46) && !toll.answer(at(5), 64));
    }

    /// A stream that was granted 8 Mbit/s of payload in segments of 1448 octets.
    fn tcp(toll: Toll) -> TcpToll {
        let stream = TcpStream {
            number: 1,
            token: Token(7),
            direction: Direction::Forward,
            rate: "8 Mbit/s".parse().expect("a rate"),
            duration: Span::from_secs(10),
            mtu: 1_500,
            congestion: CongestionControl::CUBIC,
            kind: LoadKind::FixedRate,
            verify: false,
            round_trip: None,
            dscp: Dscp::default(),
        };
        TcpToll::new(toll, &stream, at(5))
    }

    fn carried(received: u64) -> Carried {
        Carried {
            received_octets: received * 1_448,
            received_segments: received,
            ..Carried::default()
        }
    }

    #[test]
    fn what_tcp_carries_is_paid_for_behind_it() {
        let mut tcp = tcp(toll());
        let may_send = |tcp: &TcpToll, ms| tcp.toll.meter.sent.is_open(at(ms));
        let carried = Carried { sent_octets: 144_800, sent_segments: 100, ..Carried::default() };
        tcp.on_carried(at(5), carried);
        // 151 800 octets of frames, 65 536 of which may pass at once.
        assert!(!may_send(&tcp, 91) && may_send(&tcp, 92));
        assert!(tcp.toll.meter.accepted.is_open(at(5)), "nothing came");
        tcp.on_carried(at(92), carried);
        assert!(may_send(&tcp, 92), "it is paid for once");
    }

    /// Looked at each 5 ms, a read of 1 MiB before it cost nothing.
    #[test]
    fn what_is_read_is_paid_for_at_once_and_only_once() {
        let mut tcp = tcp(toll());
        let room = |tcp: &TcpToll| tcp.toll.meter.accepted.room(at(5));
        assert_eq!(room(&tcp), Some(65_536));
        tcp.on_read(at(5), 14_480);
        assert_eq!(room(&tcp), Some(65_536 - 15_180));
        tcp.on_carried(at(5), carried(10));
        assert_eq!(room(&tcp), Some(65_536 - 15_180), "they are the same");
        tcp.on_carried(at(5), carried(20));
        assert_eq!(room(&tcp), Some(65_536 - 30_360));
        tcp.on_read(at(5), 14_480);
        assert_eq!(room(&tcp), Some(65_536 - 30_360), "it came before it was read");
        tcp.on_read(at(5), 1 << 20);
        assert_eq!(room(&tcp), None);
        // Segments without payload are seen by the kernel alone.
        let charged = tcp.charged;
        tcp.on_carried(at(5), Carried { received_segments: 1_000, ..carried(800) });
        assert!(charged < tcp.charged);
    }

    /// The first release asked the agent's whole meter, so that one driver's flood ended the runs
    /// of others.
    #[test]
    fn a_stream_is_broken_by_what_it_carries_itself_alone() {
        let toll = toll();
        let (mut honest, mut flood) = (tcp(toll.clone()), tcp(toll));
        honest.on_carried(at(5), carried(600));
        // 3 s of what was granted: two at once, and a second that is owed.
        flood.on_carried(at(5), carried(3 * 690));
        assert!(!flood.is_broken(at(5)), "2 s that a network held back, and a second");
        flood.on_carried(at(5), carried(3 * 691));
        assert!(flood.is_broken(at(5)) && !honest.is_broken(at(5)));
        assert_eq!(honest.toll.meter.accepted.room(at(5)), None, "all wait");
    }
}
