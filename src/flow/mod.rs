//! What one end of one stream does and knows. The other end and the network are not here.
//!
//! Each part is a machine that is handed time and octets and hands back what to do: [`Sender`]
//! faces [`Receiver`], [`Prober`] faces [`Reflector`], and a [`Handshake`] opens each stream. None
//! reads a clock, touches a socket or waits. What they leave behind is an
//! [`Outcome`](crate::account::Outcome): counts, never verdicts.

mod allowance;
mod check;
mod departures;
mod ending;
mod event;
mod evidence;
mod frames;
mod freshness;
mod handshake;
mod intake;
mod leaving;
mod payload;
mod prober;
mod receiver;
mod reflector;
mod search;
mod sender;
mod tap;
mod tcp;
mod throughput;
mod transit;
mod window;

pub use allowance::Allowance;
pub use check::{LoadCheck, compared_of};
pub use ending::{Ending, FAREWELL};
pub use event::{FarEvent, NearEvent, Probed};
pub use evidence::{Evidence, TrialRun};
pub use frames::Frames;
pub use freshness::Freshness;
pub use handshake::{Handshake, HandshakeFailed};
pub use intake::Intake;
pub use payload::{LoadPayload, Payload, PayloadCheck, Turn};
pub use prober::{Exchange, Exchanges, Prober, Returned};
pub use receiver::{Arrival, Arrived, Closing, End, RESUMED_MAX, Receiver};
pub use reflector::{Incoming, Opened, Reflector, Response};
pub use search::PayloadSearch;
pub use sender::{BATCH_MAX, Outgoing, Sender, Train};
pub use tap::ProbeEvent;
pub use tcp::{TcpReceiver, TcpSender, TcpStream, WRITE_MAX, tcp_streams_of};

use crate::clock::Stamp;
use crate::direction::Direction;
use crate::trial::{Dscp, Trial};
use crate::units::{PacketRate, Span};
use crate::wire::{StreamNumber, Token};

/// How late a packet may come before it is counted as lost.
pub const LATE_MAX: Span = Span::from_secs(2);

/// How long a receiver that has all still listens, at least.
const LINGER_MIN: Span = Span::from_millis(50);

/// How many idle round trips it does, so that copies which the path itself made are counted.
const LINGER_ROUND_TRIPS: u64 = 3;

/// How long without a heartbeat a sender goes on at least, on a link without delay.
pub const SILENCE: Span = Span::from_secs(1);

/// How often the receivers of a direction say that they are alive, unless the link is narrow.
pub const HEARTBEAT: Span = Span::from_millis(100);

/// How long probes go on behind a load: they show whether its queue drains, or the path is longer.
pub const TRAIL_MIN: Span = Span::from_secs(1);

/// The longest that they do, which is for a queue of [`LATE_MAX`].
pub const TRAIL_MAX: Span = Span::from_secs(4);

/// What is cut off each end of a trial before its throughput is judged.
pub const EDGE: Span = Span::from_millis(200);

/// How long an end that has all of a trial still listens for copies, over a path of this round
/// trip: max(3 RTT, 50 ms).
#[must_use]
pub fn linger(round_trip: Span) -> Span {
    Span::from_nanos(round_trip.nanos().saturating_mul(LINGER_ROUND_TRIPS)).max(LINGER_MIN)
}

/// What a machine that sends wants next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next<C, T> {
    /// Send this now.
    Send(T),
    /// Nothing before this moment, unless something arrives.
    Wait(Stamp<C>),
    /// Nothing any more.
    Done,
}

/// The number of the probes' stream in every trial; load streams count from 1.
pub const PROBE_STREAM: StreamNumber = 0;

/// One stream of a trial, as both ends know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stream {
    /// Its number in the trial.
    pub number: StreamNumber,
    /// Its secret.
    pub token: Token,
    /// Which way it goes; probes go forward and their replies come back.
    pub direction: Direction,
    /// Its packets per second.
    pub rate: PacketRate,
    /// How many packets may be sent: a sequence number beyond is no packet of it.
    pub slots: u64,
    /// Octets of UDP payload of each.
    pub payload: u32,
    /// The most packets that leave at once, at least 1: where it is more, they are sent and
    /// received as trains that the kernel cuts and joins.
    pub train: u32,
    /// Packets that a policer of the stream's rate lets through at once, at least: a catch-up that
    /// is faster is in excess.
    pub burst: u32,
    /// It goes as fast as its host can, up to its rate.
    pub capacity: bool,
    /// The steady part of its trial.
    pub steady: Steady,
    /// How long it rises to its rate before that; 0 where it has it at once.
    pub ramp: Span,
    /// How its packets are marked, replies to probes among them.
    pub dscp: Dscp,
    /// How its ends know that the other is alive.
    pub life: Liveness,
    /// The shortest time without an arrival that its receiver records.
    pub silence_min: Span,
}

impl Stream {
    /// Whether the driver sends its packets, and so has its account to give.
    #[must_use]
    pub fn is_sent_by_driver(&self) -> bool {
        self.direction == Direction::Forward
    }
}

/// How the two ends of a load stream know that the other is alive: its receiver returns heartbeats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Liveness {
    /// When the first heartbeat is due, after the receiver was opened.
    pub first: Span,
    /// How often one is due. The streams of a direction take turns: together they are one series.
    pub every: Span,
    /// How long the sender goes on without a fresh one, on the idle link.
    pub silence: Span,
    /// The round trip of the idle link; 0 where it is not known.
    pub round_trip: Span,
}

impl Default for Liveness {
    /// That of the only stream of its direction, on a link without delay.
    fn default() -> Self {
        let (first, round_trip) = (Span::default(), Span::default());
        Self { first, every: HEARTBEAT, silence: SILENCE, round_trip }
    }
}

impl Liveness {
    /// That of the stream at `place`, from 0, of the `streams` of its direction in `trial`.
    fn of(trial: &Trial, place: u32, streams: u32) -> Self {
        let (heartbeats, round_trip) = (trial.beside().heartbeats, idle_round_trip(trial));
        Self {
            first: heartbeats.due(place.into()),
            every: heartbeats.due(streams.into()),
            silence: SILENCE.max(heartbeats.due(INTERVALS)).plus(round_trip),
            round_trip,
        }
    }
}

/// How long without a sign of life a sender of UDP in `trial` goes on at least.
#[must_use]
pub fn silence_of(trial: &Trial) -> Span {
    Liveness::of(trial, 0, 1).silence
}

/// The round trip of the idle link of `trial`; 0 where it is not known.
fn idle_round_trip(trial: &Trial) -> Span {
    trial.round_trip().unwrap_or_default()
}

/// Heartbeats in a row that a link may lose without its load being paused.
const INTERVALS: u64 = 3;

/// The steady part of a trial: all but 200 ms at each end, by when packets were due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Steady {
    from_ns: u64,
    until_ns: u64,
}

impl Steady {
    /// That of a trial of `duration`, which is longer than both edges
    /// ([`crate::trial::DURATION_MIN`]).
    #[must_use]
    pub const fn of(duration: Span) -> Self {
        Self { from_ns: EDGE.nanos(), until_ns: duration.minus(EDGE).nanos() }
    }

    /// That of `trial`: where its load rises to its rate first, it is what follows.
    #[must_use]
    pub const fn of_trial(trial: &Trial) -> Self {
        let whole = Self::of(trial.duration());
        Self { from_ns: whole.from_ns + trial.ramp().nanos(), ..whole }
    }

    /// Whether a packet due then counts.
    #[must_use]
    pub const fn includes(&self, due_ns: u64) -> bool {
        self.from_ns <= due_ns && due_ns < self.until_ns
    }

    /// When it begins, in nanoseconds after the first packet.
    #[must_use]
    pub const fn from_ns(&self) -> u64 {
        self.from_ns
    }

    /// When it ends, in nanoseconds after the first packet.
    #[must_use]
    pub const fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// How long its trial is, in nanoseconds.
    #[must_use]
    pub const fn trial_ns(&self) -> u64 {
        self.until_ns + EDGE.nanos()
    }

    /// When its last third begins, in nanoseconds after the first packet.
    #[must_use]
    pub const fn last_third_ns(&self) -> u64 {
        self.until_ns - (self.until_ns - self.from_ns) / 3
    }

    /// The time that a stream of `rate` has for its packets in it: whole packets' turns, so that a
    /// stream of which none is missing has its own rate, however few they are.
    #[must_use]
    pub fn span(&self, rate: PacketRate) -> Span {
        rate.span_of(self.slots(rate))
    }

    /// The slots of a stream of `rate` that are due in it.
    #[must_use]
    pub fn slots(&self, rate: PacketRate) -> u64 {
        let slots_before = |nanos| rate.packets_in(Span::from_nanos(nanos));
        slots_before(self.until_ns).saturating_sub(slots_before(self.from_ns))
    }
}

/// The streams of `trial`, without their secrets: the probes first, then the load's, forward
/// before reverse. Both ends derive them, so that nobody can ask for streams that are no trial.
#[must_use]
pub fn streams_of(trial: &Trial) -> Vec<Stream> {
    let steady = Steady::of_trial(trial);
    let probes = Stream {
        number: PROBE_STREAM,
        token: Token(0),
        direction: Direction::Forward,
        rate: trial.probe_rate(),
        slots: probes_at_most(trial),
        payload: 0,
        train: 1,
        burst: 1,
        capacity: false,
        steady,
        ramp: Span::default(),
        dscp: trial.dscp(),
        life: Liveness { round_trip: idle_round_trip(trial), ..Liveness::default() },
        silence_min: trial.silence_min(),
    };
    let load = trial.load().into_iter().flat_map(|load| {
        let streams = load.streams();
        let each = move |(direction, rate)| (0..streams).map(move |place| (direction, rate, place));
        let rated = move |direction| load.stream_rate(direction).map(|rate| (direction, rate));
        let directions = Direction::ALL.into_iter().filter_map(rated).flat_map(each);
        directions.zip(PROBE_STREAM + 1..).map(move |((direction, rate, place), number)| Stream {
            number,
            direction,
            rate,
            slots: rate.packets_in(trial.duration()),
            payload: load.payload(),
            train: load.train(direction),
            burst: load.burst(direction),
            capacity: trial.is_capacity(),
            ramp: trial.ramp(),
            life: Liveness::of(trial, place, streams),
            ..probes
        })
    });
    std::iter::once(probes).chain(load).collect()
}

/// How long the probes of `trial` go on behind it, at least and at most: behind a load at a fixed
/// rate alone.
#[must_use]
pub fn trail(trial: &Trial) -> (Span, Span) {
    match trial.load() {
        Some(_) if !trial.is_capacity() => (TRAIL_MIN, TRAIL_MAX),
        _ => (Span::default(), Span::default()),
    }
}

/// The probes of `trial`, with those behind it.
fn probes_at_most(trial: &Trial) -> u64 {
    trial.probe_rate().packets_in(trial.duration().plus(trail(trial).1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::trial::{Load, LoadKind};

    #[test]
    fn streams_are_numbered_alike_at_both_ends() {
        let rate = PacketRate::new(101).expect("a rate");
        let load = Load::new(Directions::Both, 2, 100, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let streams = streams_of(&trial);
        let shape: Vec<_> =
            streams.iter().map(|stream| (stream.number, stream.direction)).collect();
        use Direction::{Forward, Reverse};
        assert_eq!(shape, [(0, Forward), (1, Forward), (2, Forward), (3, Reverse), (4, Reverse)]);
        assert_eq!((streams[0].slots, streams[1].slots), (1_400, 505), "4 s of probes behind it");
    }

    /// One series for each direction: 4 streams at 10 a second say one each 400 ms, in turn.
    #[test]
    fn the_streams_of_a_direction_take_turns_with_their_heartbeats() {
        let rate = PacketRate::new(100).expect("a rate");
        let load = Load::new(Directions::Both, 4, 100, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let trial = trial.with_round_trip(Some(Span::from_millis(300)));
        let streams = streams_of(&trial);
        let due: Vec<_> = streams[1..].iter().map(|stream| stream.life.first.millis_up()).collect();
        assert_eq!(due, [0, 100, 200, 300, 0, 100, 200, 300]);
        assert!(streams[1..].iter().all(|stream| stream.life.every == Span::from_millis(400)));
        assert_eq!(streams[1].life.silence, Span::from_millis(1_300));
    }

    #[test]
    fn the_steady_part_counts_the_slots_due_in_it() {
        let steady = Steady::of(Span::from_secs(2));
        let rate = PacketRate::new(10).expect("a rate");
        assert!(!steady.includes(199_999_999));
        assert!(steady.includes(200_000_000));
        assert!(!steady.includes(1_800_000_000));
        assert_eq!((steady.slots(rate), steady.span(rate)), (16, Span::from_millis(1_600)));
        let slow = PacketRate::new(1).expect("a rate");
        assert_eq!((steady.slots(slow), steady.span(slow)), (1, Span::from_secs(1)));
    }
}
