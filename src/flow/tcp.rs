//! TCP streams: what each end counts of one, and when it sends, samples and ends. The kernel's TCP
//! decides what goes when; nothing here does.

use super::{LATE_MAX, Next};
use crate::account::{
    SILENCE_MIN, Silence, TcpBuffer, TcpChecked, TcpInfo, TcpReceiverCounts, TcpSample,
    TcpSenderCounts,
};
use crate::clock::Stamp;
use crate::direction::Direction;
use crate::trial::{CongestionControl, Dscp, LoadKind, Trial};
use crate::units::{BitRate, Span};
use crate::wire::{StreamNumber, Token};

/// Octets that are handed to the kernel at once: larger writes are not faster, smaller ones are
/// slower.
pub const WRITE_MAX: usize = 1 << 20;

/// How often the kernel is asked about a stream, and how often what it says is kept.
const LOOK: Span = Span::from_millis(100);
const SAMPLE: Span = Span::from_secs(1);

/// The shortest time between two turns of a sender that shows that its host kept it from its work:
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
    /// The largest IP packet that crosses the path, whose segments the grant is counted in.
    pub mtu: u32,
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
    let rated = |direction| load.stream_rate(direction).map(|rate| (direction, rate));
    let each = |rated| std::iter::repeat_n(rated, load.streams() as usize);
    let directions = Direction::ALL.into_iter().filter_map(rated).flat_map(each);
    let stream = |((direction, rate), number)| TcpStream {
        number,
        token: Token(0),
        direction,
        rate,
        duration: trial.duration(),
        mtu: load.mtu(),
        congestion: load.congestion(),
        kind: load.kind(),
        verify: load.verify(),
        round_trip: load.round_trip(),
        dscp: trial.dscp(),
    };
    directions.zip(super::PROBE_STREAM + 1..).map(stream).collect()
}

/// The sending end of a TCP stream.
///
/// The law of its use: ask the kernel where it wants a look, [`TcpSender::poll`], do
/// what it says, report what the kernel took, poll again.
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
    number: StreamNumber,
    sent: TcpSenderCounts,
}

impl<C> TcpSender<C> {
    /// A sender of `stream` that begins at `start`.
    #[must_use]
    pub fn new(stream: &TcpStream, start: Stamp<C>, congestion_control: String) -> Self {
        let until = start.after_nanos(stream.duration.nanos());
        let congestion_control = Some(congestion_control);
        let sent = TcpSenderCounts { congestion_control, ..TcpSenderCounts::default() };
        Self {
            rate: stream.rate,
            start,
            until,
            look_at: start,
            sample_at: start,
            polled_at: None,
            second: None,
            number: stream.number,
            sent,
        }
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
    /// been handed over, or nothing any more. A wait shows that the limit is reached: from then on
    /// the kernel is to pace the stream.
    pub fn poll(&mut self, now: Stamp<C>) -> Next<C, usize> {
        let before = self.polled_at.replace(now).unwrap_or(self.start);
        let since = Span::from_nanos(now.min(self.until).nanos_since(before));
        if HELD_UP_MIN <= since {
            self.sent.held_up_ns = self.sent.held_up_ns.saturating_add(since.nanos());
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

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Stamp<C>) -> bool {
        self.until <= now
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
    pub fn into_sent(self) -> TcpSenderCounts {
        self.sent.of_stream(self.number)
    }
}

/// The receiving end of a TCP stream.
#[derive(Debug)]
pub struct TcpReceiver<C> {
    rate: BitRate,
    duration: Span,
    newest: Option<Stamp<C>>,
    began: Option<Stamp<C>>,
    number: StreamNumber,
    came: TcpReceiverCounts,
    /// Since when, and from which count on, it is seen how fast octets come.
    seen: Option<(Stamp<C>, u64)>,
    gathered: u32,
}

impl<C> TcpReceiver<C> {
    /// A receiver of `stream`.
    #[must_use]
    pub fn new(stream: &TcpStream) -> Self {
        let TcpStream { rate, duration, number, .. } = *stream;
        let (newest, began, came) = (None, None, TcpReceiverCounts::default());
        Self { rate, duration, newest, began, number, came, seen: None, gathered: 1 }
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
    /// not taken, flow control holds back at the sender. What is granted ends with the trial's
    /// duration, whenever it began.
    pub fn poll(&self, now: Stamp<C>) -> Next<C, usize> {
        let Some(began) = self.began else { return Next::Send(WRITE_MAX) };
        let granted = |span: Span| self.rate.octets_in(span).octets();
        let elapsed = Span::from_nanos(now.nanos_since(began)).min(self.duration);
        let most = granted(elapsed.plus(BURST)).saturating_add(WRITE_MAX as u64);
        match most.checked_sub(self.came.octets) {
            None | Some(0) => Next::Wait(now.after_nanos(BURST.nanos() / 10)),
            Some(room) => Next::Send(usize::try_from(room).unwrap_or(WRITE_MAX).min(WRITE_MAX)),
        }
    }

    /// So many octets came at `at`.
    pub fn on_arrival(&mut self, at: Stamp<C>, octets: usize) {
        let began = *self.began.get_or_insert(at);
        let octets = octets as u64;
        self.came.octets += octets;
        self.came.per_second.add(at.nanos_since(began), octets);
        self.note_gap(at);
        self.newest = Some(at);
    }

    /// What was compared so far of what came.
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
        if SILENCE_MIN.nanos() <= at.nanos_since(newest) {
            // Whether the other end's TCP had anything to send, this end cannot know.
            let silence = Silence { start_ns, end_ns, ..Silence::default() };
            self.came.silences.push(silence);
        }
    }

    /// The stream's end came.
    pub fn on_end(&mut self) {
        self.came.ended = true;
    }

    /// Whether nothing is waited for any more at `now`, where the stream started at `started`: its
    /// time runs from then, or from its first octet where no start was said.
    #[must_use]
    pub fn is_over(&self, now: Stamp<C>, started: Option<Stamp<C>>) -> bool {
        let last = self.duration.plus(LATE_MAX).nanos();
        let began = started.or(self.began);
        self.came.ended || began.is_some_and(|began| began.after_nanos(last) <= now)
    }

    /// The account of a stream that was to begin at `started`. Where it was `stopped`, nothing more
    /// could come from then on; a stream that broke or ended early was silent until its time.
    #[must_use]
    pub fn finish(
        mut self,
        started: Option<Stamp<C>>,
        stopped: Option<Stamp<C>>,
    ) -> TcpReceiverCounts {
        let last = started.map(|started| started.after_nanos(self.duration.nanos()));
        if let (Some(newest), Some(last)) = (self.newest.or(started), last) {
            self.newest = Some(newest);
            self.note_gap(stopped.map_or(last, |stopped| stopped.min(last)));
        }
        self.came.began_ns = self.began.map(Stamp::nanos);
        self.came.of_stream(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Agent;
    use crate::direction::PerDirection;
    use crate::trial::TcpLoad;

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
        let directions: Vec<_> = streams.iter().map(|s| (s.number, s.direction)).collect();
        use Direction::{Forward, Reverse};
        assert_eq!(directions, [(1, Forward), (2, Forward), (3, Reverse), (4, Reverse)]);
        assert_eq!(streams[3].rate, "2 Mbit/s".parse().expect("a rate"));
        streams[0]
    }

    #[test]
    fn a_sender_ends_with_its_time_and_samples_before_and_each_second() {
        let mut sender = TcpSender::new(&stream(), at(1_000), "cubic".into());
        assert!(sender.wants_look(at(1_000)));
        let info = |rtt_us, cwnd_segments| TcpInfo { rtt_us, cwnd_segments, ..TcpInfo::default() };
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
        assert_eq!((sent.samples[0].rtt_us_max, sent.samples[0].cwnd_max_segments), (500, 10));
        let TcpSample {
            rtt_us_sum, rtt_us_min, rtt_us_max, cwnd_segments, cwnd_max_segments, ..
        } = sent.samples[1];
        assert_eq!((rtt_us_sum, rtt_us_min, rtt_us_max), (300, Some(100), 900));
        assert_eq!([cwnd_segments, cwnd_max_segments], [25, 30]);
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
        assert_eq!(sender.into_sent().held_up_ns, (50 + 999 + 8_892) * MS);
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
        receiver.on_arrival(at(50), 20_000_000);
        assert_eq!(receiver.gathers(at(99)), None);
        assert_eq!(receiver.wait_until(at(99)), None);
        // 200 000 octets a millisecond.
        assert_eq!(receiver.gathers(at(100)), Some(131_072));
        assert_eq!(receiver.wait_until(at(100)), Some(at(101)));
        receiver.on_arrival(at(200), 500_000_000);
        assert_eq!(receiver.gathers(at(200)), Some(1 << 20), "no more than one read takes");
        receiver.on_arrival(at(300), 6_553_599);
        assert_eq!(receiver.gathers(at(300)), Some(1));
        receiver.on_arrival(at(400), 1);
        assert_eq!(receiver.gathers(at(400)), None);
    }

    #[test]
    fn octets_are_counted_by_the_second_from_the_first() {
        let mut receiver = TcpReceiver::new(&stream());
        for (ms, octets) in [(5_400, 100), (5_410, 100), (6_399, 3), (6_400, 5), (8_400, 7)] {
            receiver.on_arrival(at(ms), octets);
        }
        receiver.on_end();
        let came = receiver.finish(Some(at(5_000)), Some(at(9_000)));
        assert_eq!(came.per_second.seconds(), [203, 5, 0, 7]);
        assert_eq!((came.octets, came.began_ns, came.ended), (215, Some(5_400 * MS), true));
        let gaps: Vec<_> =
            came.silences.as_slice().iter().map(|gap| gap.span().millis_up()).collect();
        assert_eq!(gaps, [989, 2_000, 600], "the last until it was stopped");
    }

    /// Such as one that a firewall resets: what the probes see later is still an outage.
    #[test]
    fn a_stream_that_breaks_or_ends_early_is_silent_until_its_time() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_arrival(at(1_000), 1);
        receiver.on_end();
        let came = receiver.finish(Some(at(1_000)), None);
        assert_eq!(came.silences.as_slice()[0].span(), Span::from_secs(10));
    }

    #[test]
    fn a_stream_that_never_ends_was_silent_until_its_time() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_arrival(at(1_000), 1);
        assert!(!receiver.is_over(at(12_999), Some(at(1_000))));
        assert!(receiver.is_over(at(13_000), Some(at(1_000))));
        let came = receiver.finish(Some(at(1_000)), None);
        assert_eq!(came.silences.as_slice()[0].span(), Span::from_secs(10));
        let never = TcpReceiver::new(&stream()).finish(Some(at(1_000)), None);
        assert_eq!(never.silences.as_slice()[0].span(), Span::from_secs(10));
        assert_eq!(never.began_ns, None);
    }

    /// 4 Mbit/s a stream are 500 octets a millisecond.
    #[test]
    fn no_more_is_taken_than_is_granted() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_arrival(at(0), WRITE_MAX);
        assert_eq!(receiver.poll(at(0)), Next::Send(125_000));
        receiver.on_arrival(at(0), 125_000);
        assert!(matches!(receiver.poll(at(0)), Next::Wait(until) if at(0) < until));
        assert_eq!(receiver.poll(at(10)), Next::Send(5_000));
    }

    /// A driver that prepared a trial of 1 s and never said start had its load taken for 33 s.
    #[test]
    fn a_stream_takes_no_more_than_its_duration_holds_and_ends_without_a_start() {
        let mut receiver = TcpReceiver::new(&stream());
        receiver.on_arrival(at(0), WRITE_MAX);
        // 10 s, and 250 ms.
        receiver.on_arrival(at(10_000), 5_125_000 - 7);
        assert_eq!(receiver.poll(at(11_900)), Next::Send(7));
        assert!(!receiver.is_over(at(11_999), None) && receiver.is_over(at(12_000), None));
    }
}
