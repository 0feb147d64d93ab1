//! TCP streams: what each end counts of one, and when it sends, samples and ends. The kernel's TCP
//! decides what goes when; nothing here does.

use super::silences::GAP_MIN;
use super::{LATE_MAX, Next, PerSecond, Silence, Silences};
use crate::clock::Stamp;
use crate::direction::Direction;
use crate::plan::{CongestionControl, Dscp, LoadKind, Trial};
use crate::stats::delays::Delays;
use crate::units::{BitRate, Span};
use crate::wire::tcp::{SampleMessage, TcpBuffer, TcpChecked, TcpInfo};
use crate::wire::{StreamNumber, Token};

/// Octets that are handed to the kernel at once: larger writes are not faster, smaller ones are
/// slower.
pub const WRITE_MAX: usize = 1 << 20;

/// How often the kernel is asked about a stream, and how often what it says is kept.
const LOOK: Span = Span::from_millis(100);
const SAMPLE: Span = Span::from_secs(1);

/// The shortest time between two turns of a sender that tells that its host kept it from its work:
/// it waits for no longer than 10 ms for anything.
const HELD_UP_MIN: Span = Span::from_millis(50);

/// The samples of a stream at most: those of the longest trial, before and after.
const SAMPLES_MAX: usize = 603;

/// What a receiver takes at once beyond what is granted: 250 ms at the rate, and a write.
const BURST: Span = Span::from_millis(250);

/// What a sender hands over at once beyond what is granted, where no kernel paces it: 10 ms at the
/// rate, and a write.
const AHEAD: Span = Span::from_millis(10);

/// The fastest stream that is paced where nothing asks for it: 10 Gbit/s. Beyond it the kernel's
/// timer for each train costs more than a limit that no line reaches is worth.
const PACED_MAX_BIT_S: u64 = 10_000_000_000;

/// The largest buffer that is asked for.
const BUFFER_MAX: u64 = 1 << 30;

/// The longest that a receiver lets octets gather before it takes them, and the most of them.
const GATHERED: Span = Span::from_millis(1);
const GATHERED_MAX: u64 = WRITE_MAX as u64;

/// What is less than this is not worth gathering.
const GATHERED_MIN: u64 = 1 << 16;

/// How often a receiver decides how much that is.
const GATHERED_SPAN: Span = Span::from_millis(100);

/// The least time that TCP is given to warm up, and how many round trips.
const WARM_UP_MIN: Span = Span::from_secs(2);
const WARM_UP_ROUND_TRIPS: u64 = 20;

/// One TCP stream of a trial, as both ends know it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpStream {
    /// Its number in the trial.
    pub number: StreamNumber,
    /// Its secret.
    pub token: Token,
    /// Which way its data goes; the driver dials, whichever that is.
    pub direction: Direction,
    /// The most payload per second.
    pub rate: BitRate,
    /// How long it sends.
    pub duration: Span,
    /// What governs how fast it sends.
    pub congestion: CongestionControl,
    /// Whether its rate is to be met, or is only as far as it may go.
    pub kind: LoadKind,
    /// Whether its receiver compares what comes with what was sent.
    pub verify: bool,
    /// The round trip that its buffers are to span, where it is known.
    pub round_trip: Option<Span>,
    /// How its packets are marked.
    pub dscp: Dscp,
}

impl TcpStream {
    /// Whether it is paced from its first octet on: where a rate is asked for, and where the limit
    /// is one that a line may reach. Any other is paced once it has reached its limit.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.kind == LoadKind::FixedRate || self.rate.bits_per_second() <= PACED_MAX_BIT_S
    }

    /// Octets that a buffer of either end needs, as the kernel counts them: twice what is under way
    /// in a round trip. A limit that no line reaches asks for no more than one that some may.
    #[must_use]
    pub fn buffer_needed(&self) -> Option<u64> {
        let most = BitRate::new(PACED_MAX_BIT_S).filter(|_| self.kind == LoadKind::Capacity);
        let rate = most.map_or(self.rate, |most| most.min(self.rate));
        let octets = rate.octets_in(self.round_trip?).octets();
        Some(octets.saturating_mul(2).min(BUFFER_MAX))
    }
}

/// The TCP streams of `trial`, without their secrets: forward before reverse. Both ends derive
/// them, so that nobody can ask for streams that are no trial.
#[must_use]
pub fn tcp_streams_of(trial: &Trial) -> Vec<TcpStream> {
    let Some(load) = trial.tcp() else { return Vec::new() };
    let rated = |way| load.stream_rate(way).map(|rate| (way, rate));
    let each = |way| std::iter::repeat_n(way, load.streams() as usize);
    let ways = Direction::ALL.into_iter().filter_map(rated).flat_map(each);
    let stream = |((direction, rate), number)| TcpStream {
        number,
        token: Token(0),
        direction,
        rate,
        duration: trial.duration(),
        congestion: load.congestion(),
        kind: load.kind(),
        verify: load.verify(),
        round_trip: load.round_trip(),
        dscp: trial.dscp(),
    };
    ways.zip(super::PROBE_STREAM + 1..).map(stream).collect()
}

/// A second of all streams of a direction together, which were looked at each 100 ms of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpSample {
    /// Streams that were asked.
    pub streams: u64,
    /// The sum of their smoothed round trips at its end, in microseconds.
    pub rtt_us_sum: u64,
    /// The least of them in it; 0 where there was none.
    pub rtt_us_min: u64,
    /// The greatest of them in it.
    pub rtt_us_max: u64,
    /// The sum of their congestion windows at its end, in segments.
    pub cwnd_sum: u64,
    /// The sum of the greatest congestion window of each in it.
    pub cwnd_max_sum: u64,
    /// Segments sent again so far.
    pub retransmits: u64,
    /// Of those: segments that the receiver had already.
    pub duplicates: Option<u64>,
    /// How often segments were seen out of order so far.
    pub reordered: Option<u64>,
    /// Microseconds in which there was something to send, so far.
    pub busy_us: Option<u64>,
    /// Of those: limited by the receiver's window.
    pub receiver_limited_us: Option<u64>,
    /// Of those: limited by the sender's own buffer.
    pub buffer_limited_us: Option<u64>,
}

impl TcpSample {
    const fn of(info: &TcpInfo) -> Self {
        Self {
            streams: 1,
            rtt_us_sum: info.rtt_us,
            rtt_us_min: info.rtt_us,
            rtt_us_max: info.rtt_us,
            cwnd_sum: info.cwnd,
            cwnd_max_sum: info.cwnd,
            retransmits: info.retransmits,
            duplicates: info.duplicates,
            reordered: info.reordered,
            busy_us: info.busy_us,
            receiver_limited_us: info.receiver_limited_us,
            buffer_limited_us: info.buffer_limited_us,
        }
    }

    /// One stream's second, of which `before` was seen already.
    fn after(self, before: &Self) -> Self {
        Self {
            rtt_us_min: least(self.rtt_us_min, before.rtt_us_min),
            rtt_us_max: self.rtt_us_max.max(before.rtt_us_max),
            cwnd_max_sum: self.cwnd_max_sum.max(before.cwnd_max_sum),
            ..self
        }
    }

    fn merge(&mut self, other: &Self) {
        *self = Self {
            streams: self.streams + other.streams,
            rtt_us_sum: self.rtt_us_sum + other.rtt_us_sum,
            rtt_us_min: least(self.rtt_us_min, other.rtt_us_min),
            rtt_us_max: self.rtt_us_max.max(other.rtt_us_max),
            cwnd_sum: self.cwnd_sum + other.cwnd_sum,
            cwnd_max_sum: self.cwnd_max_sum + other.cwnd_max_sum,
            retransmits: self.retransmits + other.retransmits,
            duplicates: sum(self.duplicates, other.duplicates),
            reordered: sum(self.reordered, other.reordered),
            busy_us: sum(self.busy_us, other.busy_us),
            receiver_limited_us: sum(self.receiver_limited_us, other.receiver_limited_us),
            buffer_limited_us: sum(self.buffer_limited_us, other.buffer_limited_us),
        };
    }
}

/// Of what is known the sum.
const fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// The lesser, where 0 is none.
fn least(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}

macro_rules! alike {
    ($from:ident, $to:ident: $($field:ident)*) => {
        impl From<$from> for $to {
            fn from(sample: $from) -> Self {
                Self { $($field: sample.$field,)* }
            }
        }

        impl From<$to> for $from {
            fn from(sample: $to) -> Self {
                Self { $($field: sample.$field,)* }
            }
        }
    };
}

alike!(TcpSample, SampleMessage: streams rtt_us_sum rtt_us_min rtt_us_max cwnd_sum cwnd_max_sum
       retransmits duplicates reordered busy_us receiver_limited_us buffer_limited_us);

/// The sender's account of a stream; that of several is their sum. What was sent again, what was
/// sent again for nothing and what came out of order stay apart: none of them is loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpSent {
    /// Octets of payload that the kernel took.
    pub octets: u64,
    /// The kernel's name of the congestion control; empty where no stream was.
    pub congestion_control: String,
    /// What the kernel knew in the end: times and counts summed, round trip and segment the least.
    pub last: TcpInfo,
    /// Before, each second, and after.
    pub samples: Vec<TcpSample>,
    /// The streams' smoothed round trips, each 100 ms.
    pub round_trips: Delays,
    /// How long their threads were kept from sending, because their host was stopped or busy.
    pub held_up: Span,
    /// The send buffer: of several the one that falls shortest.
    pub buffer: Option<TcpBuffer>,
    /// Why a stream ended before its time.
    pub broken: Option<String>,
    /// Why this host could not send a stream at all.
    pub refused: Option<String>,
}

impl TcpSent {
    /// Adds the account of another stream of the same direction.
    pub fn merge(&mut self, other: &Self) {
        self.octets += other.octets;
        if self.congestion_control.is_empty() {
            self.congestion_control.clone_from(&other.congestion_control);
        }
        self.last = merged(&self.last, &other.last);
        if self.samples.len() < other.samples.len() {
            self.samples.resize(other.samples.len(), TcpSample::default());
        }
        self.samples.iter_mut().zip(&other.samples).for_each(|(sum, sample)| sum.merge(sample));
        self.round_trips.merge(&other.round_trips);
        self.held_up = self.held_up.plus(other.held_up);
        self.buffer = shorter(self.buffer.take(), other.buffer.as_ref());
        self.broken = self.broken.take().or_else(|| other.broken.clone());
        self.refused = self.refused.take().or_else(|| other.refused.clone());
    }

    /// How long TCP is given to warm up: 20 round trips, 2 s at least.
    #[must_use]
    pub fn warm_up(&self) -> Span {
        let round_trips = self.last.min_rtt_us.unwrap_or(0).saturating_mul(WARM_UP_ROUND_TRIPS);
        WARM_UP_MIN.max(Span::from_nanos(round_trips.saturating_mul(1_000)))
    }
}

/// The buffer that falls shorter of what it needs.
fn shorter(a: Option<TcpBuffer>, b: Option<&TcpBuffer>) -> Option<TcpBuffer> {
    let lacks = |buffer: &TcpBuffer| {
        buffer.needed.saturating_sub(buffer.granted.or(buffer.tuned_max).unwrap_or(u64::MAX))
    };
    match (a, b) {
        (Some(a), Some(b)) if lacks(&a) < lacks(b) => Some(b.clone()),
        (a, b) => a.or_else(|| b.cloned()),
    }
}

fn merged(a: &TcpInfo, b: &TcpInfo) -> TcpInfo {
    let segment = |a: u32, b: u32| if a == 0 || b == 0 { a.max(b) } else { a.min(b) };
    TcpInfo {
        rtt_us: a.rtt_us.max(b.rtt_us),
        min_rtt_us: match (a.min_rtt_us, b.min_rtt_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        cwnd: a.cwnd + b.cwnd,
        mss: segment(a.mss, b.mss),
        timestamps: a.timestamps || b.timestamps,
        retransmits: a.retransmits + b.retransmits,
        bytes_sent: sum(a.bytes_sent, b.bytes_sent),
        bytes_retransmitted: sum(a.bytes_retransmitted, b.bytes_retransmitted),
        duplicates: sum(a.duplicates, b.duplicates),
        reordered: sum(a.reordered, b.reordered),
        busy_us: sum(a.busy_us, b.busy_us),
        receiver_limited_us: sum(a.receiver_limited_us, b.receiver_limited_us),
        buffer_limited_us: sum(a.buffer_limited_us, b.buffer_limited_us),
    }
}

/// The sending end of a TCP stream.
///
/// The law of its use: ask the kernel where it wants a look, [`TcpSender::poll`], do
/// what it says, tell what the kernel took, poll again.
#[derive(Debug)]
pub struct TcpSender<C> {
    rate: BitRate,
    start: Stamp<C>,
    until: Stamp<C>,
    look_at: Stamp<C>,
    sample_at: Stamp<C>,
    polled_at: Option<Stamp<C>>,
    /// What was seen of the second under way.
    second: Option<TcpSample>,
    sent: TcpSent,
}

impl<C> TcpSender<C> {
    /// A sender of `stream` that begins at `start`.
    #[must_use]
    pub fn new(stream: &TcpStream, start: Stamp<C>, congestion_control: String) -> Self {
        let until = start.after_nanos(stream.duration.nanos());
        let sent = TcpSent { congestion_control, ..TcpSent::default() };
        let (rate, look_at, sample_at) = (stream.rate, start, start);
        Self { rate, start, until, look_at, sample_at, polled_at: None, second: None, sent }
    }

    /// Whether the kernel is to be asked about the stream at `now`; once more is due at its end.
    #[must_use]
    pub fn wants_look(&self, now: Stamp<C>) -> bool {
        self.look_at <= now && now < self.until
    }

    /// What the kernel says of the stream at `now`. Each second of it is kept, also where the
    /// kernel could not be asked in it.
    pub fn on_info(&mut self, now: Stamp<C>, info: &TcpInfo) {
        let looked = TcpSample::of(info);
        let looked = self.second.take().map_or(looked, |before| looked.after(&before));
        self.sent.last = *info;
        if 0 < info.rtt_us {
            self.sent.round_trips.record(info.rtt_us.saturating_mul(1_000));
        }
        while self.look_at <= now {
            self.look_at = self.look_at.after_nanos(LOOK.nanos());
        }
        if now < self.sample_at {
            self.second = Some(looked);
            return;
        }
        while self.sample_at <= now.min(self.until) {
            self.sample_at = self.sample_at.after_nanos(SAMPLE.nanos());
            self.keep(looked);
        }
    }

    /// What the kernel says of the stream in the end.
    pub fn on_last_info(&mut self, info: &TcpInfo) {
        let looked = TcpSample::of(info);
        let looked = self.second.take().map_or(looked, |before| looked.after(&before));
        self.sent.last = *info;
        self.keep(looked);
    }

    fn keep(&mut self, sample: TcpSample) {
        if self.sent.samples.len() < SAMPLES_MAX {
            self.sent.samples.push(sample);
        }
    }

    /// What is known of its buffer.
    pub fn on_buffer(&mut self, buffer: TcpBuffer) {
        self.sent.buffer = Some(buffer);
    }

    /// What to do at `now`: send up to so many octets, wait because all that is granted by then has
    /// been handed over, or nothing any more. A wait tells that the limit is reached: from then on
    /// the kernel is to pace the stream.
    pub fn poll(&mut self, now: Stamp<C>) -> Next<C, usize> {
        let before = self.polled_at.replace(now).unwrap_or(self.start);
        let since = Span::from_nanos(now.min(self.until).nanos_since(before));
        if HELD_UP_MIN <= since {
            self.sent.held_up = self.sent.held_up.plus(since);
        }
        if self.until <= now {
            return Next::Done;
        }
        let elapsed = Span::from_nanos(now.nanos_since(self.start));
        let most = self.rate.octets_in(elapsed.plus(AHEAD)).octets();
        match most.saturating_add(WRITE_MAX as u64).checked_sub(self.sent.octets) {
            None | Some(0) => Next::Wait(now.after_nanos(AHEAD.nanos() / 10)),
            Some(room) => Next::Send(usize::try_from(room).unwrap_or(WRITE_MAX).min(WRITE_MAX)),
        }
    }

    /// Until when a wait for room may last.
    #[must_use]
    pub fn wait_until(&self) -> Stamp<C> {
        self.until.min(self.look_at)
    }

    /// The kernel took so many octets.
    pub fn on_sent(&mut self, octets: usize) {
        self.sent.octets += octets as u64;
    }

    /// The stream broke.
    pub fn on_broken(&mut self, why: String) {
        self.sent.broken = Some(why);
    }

    /// The account, closed.
    #[must_use]
    pub fn into_sent(self) -> TcpSent {
        self.sent
    }
}

/// The receiver's account of a stream; that of several is their sum.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpCame {
    /// Octets of payload that came.
    pub octets: u64,
    /// The same by the second on the receiver's clock, from the first arrival.
    pub per_second: PerSecond,
    /// When the first came, in nanoseconds of the receiver's clock: the earliest of several.
    pub began_ns: Option<u64>,
    /// Times without an arrival.
    pub gaps: Silences,
    /// Whether every stream's end came.
    pub ended: bool,
    /// What was compared with what was sent; `None` where nothing was.
    pub checked: Option<TcpChecked>,
    /// The receive buffer: of several the one that falls shortest.
    pub buffer: Option<TcpBuffer>,
}

impl TcpCame {
    /// Adds another stream of the same direction.
    pub fn merge(&mut self, other: &Self) {
        self.octets += other.octets;
        self.per_second.merge(&other.per_second);
        self.began_ns = match (self.began_ns, other.began_ns) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.gaps = self.gaps.in_common_with(&other.gaps);
        self.ended &= other.ended;
        self.checked = match (self.checked, other.checked) {
            (Some(mine), Some(theirs)) => Some(both_checked(&mine, &theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.buffer = shorter(self.buffer.take(), other.buffer.as_ref());
    }

    /// Octets of each whole second of a trial of `duration` behind its warm-up: a second in which
    /// nothing came counts, the one that the end cuts off does not.
    #[must_use]
    pub fn seconds(&self, warm_up: Span, duration: Span) -> Vec<u64> {
        let whole = duration.nanos() / SAMPLE.nanos();
        let count = |second: u64| {
            let second = usize::try_from(second).unwrap_or(usize::MAX);
            self.per_second.counts().get(second).copied().unwrap_or(0)
        };
        // The last whole second may end behind the sender's last octet, where the first was late.
        (warm_up.secs_up()..whole.saturating_sub(1)).map(count).collect()
    }
}

/// What was compared of two streams; the damage of the first that has any is where it is told.
const fn both_checked(a: &TcpChecked, b: &TcpChecked) -> TcpChecked {
    let told = if a.damaged == 0 { b } else { a };
    let (octets, damaged) = (a.octets + b.octets, a.damaged + b.damaged);
    TcpChecked { octets, damaged, ..*told }
}

/// The receiving end of a TCP stream.
#[derive(Debug)]
pub struct TcpReceiver<C> {
    rate: BitRate,
    duration: Span,
    newest: Option<Stamp<C>>,
    began: Option<Stamp<C>>,
    came: TcpCame,
    /// Since when, and from which count on, it is seen how fast octets come.
    seen: Option<(Stamp<C>, u64)>,
    gathered: u32,
}

impl<C> TcpReceiver<C> {
    /// A receiver of `stream`.
    #[must_use]
    pub fn new(stream: &TcpStream) -> Self {
        let TcpStream { rate, duration, .. } = *stream;
        let (newest, began, came) = (None, None, TcpCame::default());
        Self { rate, duration, newest, began, came, seen: None, gathered: 1 }
    }

    /// How many octets are worth waiting for at `now`, where that is another number than before: as
    /// many as come in a millisecond, a power of two, so that a fast stream costs few wake-ups; 1
    /// where that is little, so that a slow one is seen as it comes.
    pub fn gathers(&mut self, now: Stamp<C>) -> Option<u32> {
        let octets = self.came.octets;
        let (since, before) = *self.seen.get_or_insert((now, octets));
        let span = now.nanos_since(since);
        if span < GATHERED_SPAN.nanos() {
            return None;
        }
        self.seen = Some((now, octets));
        let came = (octets - before).saturating_mul(GATHERED.nanos()) / span;
        let worth = match came.min(GATHERED_MAX).checked_ilog2() {
            Some(log) if GATHERED_MIN <= 1 << log => 1_u32 << log,
            _ => 1,
        };
        (std::mem::replace(&mut self.gathered, worth) != worth).then_some(worth)
    }

    /// Until when it may wait at `now` for as many as are worth waiting for; fewer are taken then.
    #[must_use]
    pub fn wait_until(&self, now: Stamp<C>) -> Option<Stamp<C>> {
        (1 < self.gathered).then(|| now.after_nanos(GATHERED.nanos()))
    }

    /// How much may be taken at `now` within what is granted, or when there is room again: what is
    /// not taken, flow control holds back at the sender.
    pub fn poll(&self, now: Stamp<C>) -> Next<C, usize> {
        let Some(began) = self.began else { return Next::Send(WRITE_MAX) };
        let granted = |span: Span| self.rate.octets_in(span).octets();
        let elapsed = Span::from_nanos(now.nanos_since(began));
        let most = granted(elapsed.plus(BURST)).saturating_add(WRITE_MAX as u64);
        match most.checked_sub(self.came.octets) {
            None | Some(0) => Next::Wait(now.after_nanos(BURST.nanos() / 10)),
            Some(room) => Next::Send(usize::try_from(room).unwrap_or(WRITE_MAX).min(WRITE_MAX)),
        }
    }

    /// So many octets came at `at`.
    pub fn on_came(&mut self, at: Stamp<C>, octets: usize) {
        let began = *self.began.get_or_insert(at);
        let octets = octets as u64;
        self.came.octets += octets;
        self.came.per_second.add(at.nanos_since(began), octets);
        self.note_gap(at);
        self.newest = Some(at);
    }

    /// What was compared of all that came.
    pub const fn on_checked(&mut self, checked: TcpChecked) {
        self.came.checked = Some(checked);
    }

    /// What is known of its buffer.
    pub fn on_buffer(&mut self, buffer: TcpBuffer) {
        self.came.buffer = Some(buffer);
    }

    fn note_gap(&mut self, at: Stamp<C>) {
        let Some(newest) = self.newest else { return };
        let (start_ns, end_ns) = (newest.nanos(), at.nanos());
        if GAP_MIN.nanos() <= at.nanos_since(newest) {
            // Whether the other end's TCP had anything to send, this end cannot tell.
            self.came.gaps.push(Silence { start_ns, end_ns, packets: 0, offered: false });
        }
    }

    /// The stream's end came.
    pub fn on_end(&mut self) {
        self.came.ended = true;
    }

    /// Whether nothing is waited for any more at `now`, where the stream started at `started`.
    #[must_use]
    pub fn is_over(&self, now: Stamp<C>, started: Option<Stamp<C>>) -> bool {
        let last = self.duration.plus(LATE_MAX).nanos();
        self.came.ended || started.is_some_and(|started| started.after_nanos(last) <= now)
    }

    /// The account of a stream that was to begin at `started`. Where it was `stopped`, nothing more
    /// could come from then on; a stream that broke or ended early was silent until its time.
    #[must_use]
    pub fn finish(mut self, started: Option<Stamp<C>>, stopped: Option<Stamp<C>>) -> TcpCame {
        let last = started.map(|started| started.after_nanos(self.duration.nanos()));
        if let (Some(newest), Some(last)) = (self.newest.or(started), last) {
            self.newest = Some(newest);
            self.note_gap(stopped.map_or(last, |stopped| stopped.min(last)));
        }
        self.came.began_ns = self.began.map(Stamp::nanos);
        self.came
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Agent;
    use crate::direction::PerDirection;
    use crate::plan::TcpLoad;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Stamp<Agent> {
        Stamp::from_nanos(ms * MS)
    }

    fn stream() -> TcpStream {
        let rates =
            PerDirection { forward: BitRate::new(8_000_000), reverse: BitRate::new(4_000_000) };
        let load = TcpLoad::new(rates, 2, 1_500, CongestionControl::CUBIC, LoadKind::FixedRate);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(10)).expect("a trial");
        let streams = tcp_streams_of(&trial);
        let ways: Vec<_> = streams.iter().map(|s| (s.number, s.direction)).collect();
        use Direction::{Forward, Reverse};
        assert_eq!(ways, [(1, Forward), (2, Forward), (3, Reverse), (4, Reverse)]);
        assert_eq!(streams[3].rate, "2 Mbit/s".parse().expect("a rate"));
        streams[0]
    }

    #[test]
    fn a_sender_ends_with_its_time_and_samples_before_and_each_second() {
        let mut sender = TcpSender::new(&stream(), at(1_000), "cubic".into());
        assert!(sender.wants_look(at(1_000)));
        let info = |rtt_us, cwnd| TcpInfo { rtt_us, cwnd, ..TcpInfo::default() };
        sender.on_info(at(1_000), &info(500, 10));
        assert!(!sender.wants_look(at(1_099)) && sender.wants_look(at(1_100)));
        sender.on_info(at(1_100), &info(900, 30));
        sender.on_info(at(1_200), &info(100, 20));
        sender.on_info(at(2_000), &info(300, 25));
        assert_eq!(sender.poll(at(1_000)), Next::Send(WRITE_MAX));
        sender.on_sent(7);
        assert_eq!(sender.poll(at(11_000)), Next::Done);
        let sent = sender.into_sent();
        assert_eq!((sent.octets, sent.samples.len()), (7, 2));
        assert_eq!((sent.samples[0].rtt_us_max, sent.samples[0].cwnd_max_sum), (500, 10));
        let TcpSample { rtt_us_sum, rtt_us_min, rtt_us_max, cwnd_sum, cwnd_max_sum, .. } =
            sent.samples[1];
        assert_eq!([rtt_us_sum, rtt_us_min, rtt_us_max], [300, 100, 900]);
        assert_eq!([cwnd_sum, cwnd_max_sum], [25, 30]);
        assert_eq!(sent.round_trips.measured(), 4);
    }

    /// 4 Mbit/s a stream are 500 octets a millisecond.
    #[test]
    fn no_more_is_handed_over_than_is_granted() {
        let mut sender = TcpSender::new(&stream(), at(1_000), "cubic".into());
        sender.on_sent(WRITE_MAX);
        assert_eq!(sender.poll(at(1_000)), Next::Send(5_000));
        sender.on_sent(5_000);
        assert_eq!(sender.poll(at(1_000)), Next::Wait(at(1_001)));
        assert_eq!(sender.poll(at(1_001)), Next::Send(500));
    }

    #[test]
    fn a_second_in_which_the_kernel_was_not_asked_is_kept_like_any_other() {
        let mut sender = TcpSender::new(&stream(), at(1_000), "cubic".into());
        for (ms, rtt_us) in [(1_000, 1), (2_000, 2), (5_050, 5), (5_100, 6), (6_000, 7)] {
            sender.on_info(at(ms), &TcpInfo { rtt_us, ..TcpInfo::default() });
        }
        sender.on_last_info(&TcpInfo { rtt_us: 8, ..TcpInfo::default() });
        let rtt_us = sender.into_sent().samples.iter().map(|s| s.rtt_us_sum).collect::<Vec<_>>();
        assert_eq!(rtt_us, [1, 2, 5, 5, 5, 7, 8], "at 1 s to 6 s, and in the end");
    }

    #[test]
    fn a_sender_that_was_stopped_tells_for_how_long() {
        let mut sender = TcpSender::new(&stream(), at(1_000), "cubic".into());
        for ms in [1_000, 1_049, 1_099, 2_098, 2_108, 12_000] {
            _ = sender.poll(at(ms));
        }
        // 50 ms, 999 ms, and from 2.108 s to its end at 11 s.
        assert_eq!(sender.into_sent().held_up, Span::from_millis(50 + 999 + 8_892));
    }

    /// 40 Mbit/s over 100 ms are 500 000 octets under way.
    #[test]
    fn a_buffer_spans_the_round_trip() {
        let needed = |rate: &str, kind, ms: Option<u64>| {
            let (rate, round_trip) = (rate.parse().expect("a rate"), ms.map(Span::from_millis));
            TcpStream { rate, kind, round_trip, ..stream() }.buffer_needed()
        };
        assert_eq!(needed("40 Mbit/s", LoadKind::FixedRate, Some(100)), Some(1_000_000));
        assert_eq!(needed("40 Gbit/s", LoadKind::FixedRate, Some(10)), Some(100_000_000));
        assert_eq!(needed("40 Gbit/s", LoadKind::Capacity, Some(10)), Some(25_000_000));
        assert_eq!(needed("40 Gbit/s", LoadKind::FixedRate, None), None);
        let buffer = |needed, tuned_max| {
            Some(TcpBuffer { needed, tuned_max: Some(tuned_max), ..TcpBuffer::default() })
        };
        assert_eq!(shorter(buffer(9, 9), buffer(9, 8).as_ref()), buffer(9, 8));
        assert_eq!(shorter(buffer(9, 8), buffer(9, 9).as_ref()), buffer(9, 8));
    }

    #[test]
    fn a_limit_that_no_line_reaches_is_not_paced_at_before_it_is_reached() {
        let paced = |rate: &str, kind| {
            TcpStream { rate: rate.parse().expect("a rate"), kind, ..stream() }.is_paced()
        };
        assert!(paced("10 Gbit/s", LoadKind::Capacity) && paced("40 Gbit/s", LoadKind::FixedRate));
        assert!(!paced("10.1 Gbit/s", LoadKind::Capacity));
    }

    #[test]
    fn a_fast_stream_is_let_gather_and_a_slow_one_is_not() {
        let mut receiver = TcpReceiver::new(&stream());
        assert_eq!(receiver.gathers(at(0)), None);
        receiver.on_came(at(50), 20_000_000);
        assert_eq!(receiver.gathers(at(99)), None);
        assert_eq!(receiver.wait_until(at(99)), None);
        // 200 000 octets a millisecond.
        assert_eq!(receiver.gathers(at(100)), Some(131_072));
        assert_eq!(receiver.wait_until(at(100)), Some(at(101)));
        receiver.on_came(at(200), 500_000_000);
        assert_eq!(receiver.gathers(at(200)), Some(1 << 20), "no more than one read takes");
        receiver.on_came(at(300), 6_553_599);
        assert_eq!(receiver.gathers(at(300)), Some(1));
        receiver.on_came(at(400), 1);
        assert_eq!(receiver.gathers(at(400)), None);
    }

    #[test]
    fn octets_are_counted_by_the_second_from_the_first() {
        let mut receiver = TcpReceiver::new(&stream());
        for (ms, octets) in [(5_400, 100), (5_410, 100), (6_399, 3), (6_400, 5), (8_400, 7)] {
            receiver.on_came(at(ms), octets);
        }
        receiver.on_end();
        let came = receiver.finish(Some(at(5_000)), Some(at(9_000)));
        assert_eq!(came.per_second.counts(), [203, 5, 0, 7]);
        assert_eq!((came.octets, came.began_ns, came.ended), (215, Some(5_400 * MS), true));
        let gaps: Vec<_> = came.gaps.as_slice().iter().map(|gap| gap.span().millis_up()).collect();
        assert_eq!(gaps, [989, 2_000, 600], "the last until it was stopped");
        assert_eq!(came.seconds(Span::from_secs(1), Span::from_secs(5)), [5, 0, 7]);
    }

    /// Such as one that a firewall resets: what the probes see later is still an outage.
    #[test]
    fn a_stream_that_breaks_or_ends_early_is_silent_until_its_time() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_came(at(1_000), 1);
        receiver.on_end();
        let came = receiver.finish(Some(at(1_000)), None);
        assert_eq!(came.gaps.as_slice()[0].span(), Span::from_secs(10));
    }

    #[test]
    fn a_stream_that_never_ends_was_silent_until_its_time() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_came(at(1_000), 1);
        assert!(!receiver.is_over(at(12_999), Some(at(1_000))));
        assert!(receiver.is_over(at(13_000), Some(at(1_000))));
        let came = receiver.finish(Some(at(1_000)), None);
        assert_eq!(came.gaps.as_slice()[0].span(), Span::from_secs(10));
        let never = TcpReceiver::new(&stream()).finish(Some(at(1_000)), None);
        assert_eq!(never.gaps.as_slice()[0].span(), Span::from_secs(10));
        assert_eq!(never.began_ns, None);
    }

    /// 4 Mbit/s a stream are 500 octets a millisecond.
    #[test]
    fn no_more_is_taken_than_is_granted() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_came(at(0), WRITE_MAX);
        assert_eq!(receiver.poll(at(0)), Next::Send(125_000));
        receiver.on_came(at(0), 125_000);
        assert!(matches!(receiver.poll(at(0)), Next::Wait(until) if at(0) < until));
        assert_eq!(receiver.poll(at(10)), Next::Send(5_000));
    }

    #[test]
    fn streams_add_up() {
        let info = |rtt_us, min, mss| TcpInfo {
            rtt_us,
            min_rtt_us: Some(min),
            mss,
            cwnd: 10,
            retransmits: 1,
            busy_us: Some(100),
            receiver_limited_us: Some(40),
            buffer_limited_us: Some(10),
            ..TcpInfo::default()
        };
        let sent = |info: TcpInfo| TcpSent {
            octets: 5,
            congestion_control: "cubic".into(),
            last: info,
            samples: vec![TcpSample::of(&info)],
            ..TcpSent::default()
        };
        let mut sum = TcpSent::default();
        sum.merge(&sent(info(300, 200, 1_448)));
        sum.merge(&sent(info(500, 100, 1_400)));
        assert_eq!((sum.octets, sum.last.mss, sum.last.min_rtt_us), (10, 1_400, Some(100)));
        assert_eq!((sum.last.busy_us, sum.last.receiver_limited_us), (Some(200), Some(80)));
        let sample = sum.samples[0];
        assert_eq!((sample.streams, sample.rtt_us_sum, sample.rtt_us_max), (2, 800, 500));
        assert_eq!(sum.warm_up(), Span::from_secs(2));
        let far = TcpSent { last: info(0, 150_000, 1_448), ..TcpSent::default() };
        assert_eq!(far.warm_up(), Span::from_secs(3));
    }
}
