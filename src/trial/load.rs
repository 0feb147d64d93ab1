//! What is put on the line at once: probes, and a load beside them or none.

use super::bounds::{
    BURST_OCTETS, BURST_PACKETS_MIN, BURST_SPAN, BURST_SPAN_MAX, DURATION_MAX, DURATION_MIN,
    HEARTBEATS, HEARTBEATS_NARROW, MTU_MAX, MTU_MIN, OutOfBounds, PACKET_RATE_MAX, PACKET_RATE_MIN,
    PAYLOAD_MAX, PAYLOAD_MIN, PROBES_PER_SECOND, PROBES_PER_SECOND_MIN, ROUND_TRIP_MAX, SINGLY_MAX,
    STREAMS_MAX, TRAIN_MAX, TRAIN_OCTETS_MAX, check, check_loaded, check_rate,
};
use super::{Beside, Dscp};
use crate::account::SILENCE_MIN;
use crate::direction::{Direction, Directions, PerDirection};
use crate::framing::{Framing, IpVersion, Layer};
use crate::units::{BitRate, Malformed, PacketRate, Span};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Whether a load's rate is to be met, or is only as far as it may go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadKind {
    /// A rate that the line is to carry.
    FixedRate,
    /// As fast as the hosts can, up to the rate.
    Capacity,
}

/// A load of UDP datagrams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    rates: PerDirection<Option<PacketRate>>,
    streams: u32,
    payload: u32,
    kind: LoadKind,
    burst_max: Option<u32>,
}

impl Load {
    /// A load of `streams` streams of datagrams of `payload` octets, `rate` packets per second of
    /// all streams together in each direction of `directions`.
    ///
    /// # Errors
    ///
    /// Where a number is outside the bounds of this module.
    pub fn new(
        directions: Directions,
        streams: u32,
        payload: u32,
        rate: PacketRate,
        kind: LoadKind,
    ) -> Result<Self, OutOfBounds> {
        let rates =
            PerDirection::from_fn(|direction| directions.includes(direction).then_some(rate));
        Self::with_rates(rates, streams, payload, kind)
    }

    /// The same, at a rate of its own in each direction; none where a direction is not loaded.
    /// Streams share it evenly, so that together they send the load's rate exactly.
    ///
    /// # Errors
    ///
    /// Where a number is outside the bounds of this module, or no direction is loaded.
    pub fn with_rates(
        rates: PerDirection<Option<PacketRate>>,
        streams: u32,
        payload: u32,
        kind: LoadKind,
    ) -> Result<Self, OutOfBounds> {
        check("streams", streams.into(), 1, STREAMS_MAX.into())?;
        check("size", payload.into(), PAYLOAD_MIN.into(), PAYLOAD_MAX.into())?;
        check_loaded(rates.forward.is_some() || rates.reverse.is_some())?;
        for rate in [rates.forward, rates.reverse].into_iter().flatten() {
            let finest = PacketRate::SECONDS_MAX / u64::from(streams);
            check("seconds of a packet rate", rate.seconds(), 1, finest)?;
            check_rate("packets per second", rate, PACKET_RATE_MIN, PACKET_RATE_MAX)?;
        }
        Ok(Self { rates, streams, payload, kind, burst_max: None })
    }

    /// The same, with at most `octets` of UDP payload of a stream at once, but for a single
    /// datagram, which always leaves whole.
    ///
    /// # Errors
    ///
    /// Where they are outside the bounds of this module.
    pub fn with_burst_max(self, octets: u32) -> Result<Self, OutOfBounds> {
        check("octets of burst", octets.into(), 1, PAYLOAD_MAX.into())?;
        Ok(Self { burst_max: Some(octets), ..self })
    }

    /// The most octets of UDP payload of a stream that leave at once, where that was asked for.
    #[must_use]
    pub const fn burst_max(&self) -> Option<u32> {
        self.burst_max
    }

    /// Datagrams of a stream in `direction` that leave at once: as many as the burst bound allows.
    ///
    /// A load that is to be carried bursts for at most 250 us, and at most 8 KiB or 50 us of its
    /// rate, as long as nothing else is asked for; one that needs no trains to be sent, of up to
    /// 50 000 packets a second, has none. As fast as possible is in the longest trains that the
    /// kernel takes.
    #[must_use]
    pub fn train(&self, direction: Direction) -> u32 {
        let Some(rate) = self.stream_rate(direction) else { return 1 };
        let whole = self.rate(direction).unwrap_or(rate);
        let payload = u64::from(self.payload);
        let most = TRAIN_MAX.min(TRAIN_OCTETS_MAX / payload);
        let asked = self.burst_max.map(|octets| u64::from(octets) / payload);
        let packets = match (self.kind, asked) {
            (LoadKind::Capacity, asked) => asked.unwrap_or(most),
            (LoadKind::FixedRate, None) if whole <= SINGLY_MAX => 1,
            (LoadKind::FixedRate, asked) => {
                let held = (BURST_OCTETS / payload).max(rate.whole_packets_in(BURST_SPAN));
                asked.unwrap_or(held).min(rate.whole_packets_in(BURST_SPAN_MAX))
            }
        };
        u32::try_from(packets.clamp(1, most.max(1))).unwrap_or(1)
    }

    /// Datagrams of a stream in `direction` that a policer of its rate is taken to let through at
    /// once: what was asked for, else 8 KiB or 50 us of the rate; 3 at least, so that a moment's
    /// delay of one packet puts none in excess, and never less than what leaves at once.
    #[must_use]
    pub fn burst(&self, direction: Direction) -> u32 {
        let payload = u64::from(self.payload);
        let rate = self.stream_rate(direction);
        let usual = || {
            let fast = rate.map_or(0, |rate| rate.whole_packets_in(BURST_SPAN));
            (BURST_OCTETS / payload).max(fast)
        };
        let held = self.burst_max.map_or_else(usual, |octets| u64::from(octets) / payload);
        u32::try_from(held).unwrap_or(u32::MAX).max(BURST_PACKETS_MIN).max(self.train(direction))
    }

    /// Which ways it goes.
    #[must_use]
    pub const fn directions(&self) -> Directions {
        directions_of(self.rates.forward.is_some(), self.rates.reverse.is_some())
    }

    /// Streams in each direction, 1 to [`STREAMS_MAX`].
    #[must_use]
    pub const fn streams(&self) -> u32 {
        self.streams
    }

    /// Octets of UDP payload of each datagram.
    #[must_use]
    pub const fn payload(&self) -> u32 {
        self.payload
    }

    /// Packets per second in `direction`, all streams together; `None` where it is not loaded.
    #[must_use]
    pub const fn rate(&self, direction: Direction) -> Option<PacketRate> {
        *self.rates.get(direction)
    }

    /// Packets per second of one stream in `direction`.
    #[must_use]
    pub fn stream_rate(&self, direction: Direction) -> Option<PacketRate> {
        self.rate(direction).map(|rate| rate.share(self.streams).unwrap_or(rate))
    }

    /// The rate of `direction` as its datagrams take it at `layer`, rounded up to 1 bit/s.
    #[must_use]
    pub fn rate_at(&self, direction: Direction, framing: Framing, layer: Layer) -> Option<BitRate> {
        self.rate(direction)?.bit_rate(framing.octets_at(layer, self.payload))
    }

    /// What its rate is for.
    #[must_use]
    pub const fn kind(&self) -> LoadKind {
        self.kind
    }
}

/// What governs how fast a TCP stream sends, by the kernel's name for it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct CongestionControl {
    name: [u8; Self::LEN_MAX],
}

impl CongestionControl {
    /// The longest name that Linux has: `TCP_CA_NAME_MAX` less the zero that ends it.
    pub const LEN_MAX: usize = 15;

    /// What most systems, and so most migrations, send by.
    pub const CUBIC: Self = Self { name: *b"cubic\0\0\0\0\0\0\0\0\0\0" };

    /// The name.
    ///
    /// # Panics
    ///
    /// Never: only letters, digits, `_` and `-` are taken for a name.
    #[must_use]
    pub fn name(&self) -> &str {
        let len = self.name.iter().position(|octet| *octet == 0).unwrap_or(Self::LEN_MAX);
        str::from_utf8(&self.name[..len]).expect("a name is ASCII")
    }
}

impl FromStr for CongestionControl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"_-".contains(&octet);
        if text.is_empty() || Self::LEN_MAX < text.len() || !text.bytes().all(allowed) {
            let form = "a congestion control: the kernel's name of one, such as \"cubic\"";
            return Err(Malformed::new(text, form));
        }
        let mut name = [0; Self::LEN_MAX];
        name[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { name })
    }
}

impl fmt::Display for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The shortest time without an arrival that can be recorded: 12 intervals of the fastest load.
pub const SILENCE_MIN_LEAST: Span = Span::from_nanos(100_000);

/// A load of TCP streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpLoad {
    rates: PerDirection<Option<BitRate>>,
    streams: u32,
    mtu: u32,
    congestion: CongestionControl,
    kind: LoadKind,
    verify: bool,
    round_trip: Option<Span>,
}

impl TcpLoad {
    /// A load of `streams` streams in each direction that has a rate: of all streams together, in
    /// TCP payload (L4). `mtu` is the largest IP packet that crosses the path: segments fill it.
    ///
    /// # Errors
    ///
    /// Where a number is outside the bounds of this module, or no direction is loaded.
    pub fn new(
        rates: PerDirection<Option<BitRate>>,
        streams: u32,
        mtu: u32,
        congestion: CongestionControl,
        kind: LoadKind,
    ) -> Result<Self, OutOfBounds> {
        check("streams", streams.into(), 1, STREAMS_MAX.into())?;
        check("octets of path MTU", mtu.into(), MTU_MIN.into(), MTU_MAX.into())?;
        check_loaded(rates.forward.is_some() || rates.reverse.is_some())?;
        for rate in [rates.forward, rates.reverse].into_iter().flatten() {
            check("bit/s", rate.bits_per_second(), 1, BitRate::MAX.bits_per_second())?;
        }
        let (verify, round_trip) = (false, None);
        Ok(Self { rates, streams, mtu, congestion, kind, verify, round_trip })
    }

    /// The same, with receivers that compare what comes with what was sent where `verify` is true.
    #[must_use]
    pub const fn with_verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// The same on a line whose idle `round_trip` is known, as far as it is one: buffers are to
    /// span it.
    #[must_use]
    pub fn with_round_trip(self, round_trip: Option<Span>) -> Self {
        Self { round_trip: round_trip.map(|span| span.min(ROUND_TRIP_MAX)), ..self }
    }

    /// Which ways it goes.
    #[must_use]
    pub const fn directions(&self) -> Directions {
        directions_of(self.rates.forward.is_some(), self.rates.reverse.is_some())
    }

    /// Streams in each direction, 1 to [`STREAMS_MAX`].
    #[must_use]
    pub const fn streams(&self) -> u32 {
        self.streams
    }

    /// The most payload per second in `direction`, all streams together; `None` where it is not
    /// loaded.
    #[must_use]
    pub const fn rate(&self, direction: Direction) -> Option<BitRate> {
        *self.rates.get(direction)
    }

    /// The most payload per second of one stream in `direction`: the share, rounded up.
    #[must_use]
    pub fn stream_rate(&self, direction: Direction) -> Option<BitRate> {
        self.rate(direction).and_then(|rate| rate.share(self.streams))
    }

    /// The largest IP packet that crosses the path.
    #[must_use]
    pub const fn mtu(&self) -> u32 {
        self.mtu
    }

    /// What governs how fast it sends.
    #[must_use]
    pub const fn congestion(&self) -> CongestionControl {
        self.congestion
    }

    /// What its rates are for.
    #[must_use]
    pub const fn kind(&self) -> LoadKind {
        self.kind
    }

    /// Whether receivers compare what comes with what was sent.
    #[must_use]
    pub const fn verify(&self) -> bool {
        self.verify
    }

    /// The round trip of the idle line, where it is known.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Span> {
        self.round_trip
    }

    /// What a full segment of it carries over `ip`, timestamps among its options.
    #[must_use]
    pub const fn segment(&self, ip: IpVersion) -> u32 {
        ip.segment_octets(self.mtu)
    }

    /// The rate of `direction` as its segments take it at `layer`.
    #[must_use]
    pub fn rate_at(&self, direction: Direction, framing: Framing, layer: Layer) -> Option<BitRate> {
        let segment = self.segment(framing.ip);
        framing.tcp_rate_at(self.rate(direction)?, layer, segment, true)
    }

    /// Whether its pace in `direction` leaves room to prove that the link carries `required`, as
    /// `layer` counts it; `None` where it does not load that direction.
    #[must_use]
    pub fn can_prove(
        &self,
        required: BitRate,
        direction: Direction,
        framing: Framing,
        layer: Layer,
    ) -> Option<bool> {
        let (needed, segment) = (tcp_paced_at_least(required), self.segment(framing.ip));
        // Both are rounded down to octets of payload alike.
        let goodput = framing.tcp_goodput(needed, layer, segment, true);
        self.rate(direction).map(|paced| goodput.is_some_and(|goodput| goodput <= paced))
    }
}

const fn directions_of(forward: bool, reverse: bool) -> Directions {
    Directions::of(PerDirection { forward, reverse }).expect("a load goes some way")
}

/// What a trial puts on the line beside its probes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Traffic {
    Idle,
    Udp(Load),
    Tcp(TcpLoad),
}

/// One trial: probes, and a load beside them or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trial {
    traffic: Traffic,
    duration: Span,
    beside: Beside,
    round_trip: Option<Span>,
    dscp: Dscp,
    is_rounded_up: bool,
    is_lengthened: bool,
    silence_min: Span,
    ramp: Span,
}

impl Trial {
    /// A trial of `duration`, idle where there is no `load`.
    ///
    /// # Errors
    ///
    /// Where `duration` is outside [`DURATION_MIN`] to [`DURATION_MAX`].
    pub fn new(load: Option<Load>, duration: Span) -> Result<Self, OutOfBounds> {
        Self::of(load.map_or(Traffic::Idle, Traffic::Udp), duration)
    }

    /// A trial of `duration` with TCP beside its probes.
    ///
    /// # Errors
    ///
    /// Where `duration` is outside [`DURATION_MIN`] to [`DURATION_MAX`].
    pub fn with_tcp(load: TcpLoad, duration: Span) -> Result<Self, OutOfBounds> {
        Self::of(Traffic::Tcp(load), duration)
    }

    fn of(traffic: Traffic, duration: Span) -> Result<Self, OutOfBounds> {
        let millis = duration.millis_up();
        check("milliseconds", millis, DURATION_MIN.millis_up(), DURATION_MAX.millis_up())?;
        let beside = Beside { probes: PROBES_PER_SECOND, heartbeats: HEARTBEATS };
        let (round_trip, dscp) = (None, Dscp::default());
        Ok(Self {
            traffic,
            duration,
            beside,
            round_trip,
            dscp,
            is_rounded_up: false,
            is_lengthened: false,
            silence_min: SILENCE_MIN,
            ramp: Span::default(),
        })
    }

    /// The same, probed at `rate`.
    ///
    /// # Errors
    ///
    /// Where `rate` is outside [`PROBES_PER_SECOND_MIN`] to [`PROBES_PER_SECOND`].
    pub fn with_probe_rate(self, rate: PacketRate) -> Result<Self, OutOfBounds> {
        self.with_beside(Beside { probes: rate, ..self.beside })
    }

    /// The same, with these probes and heartbeats.
    ///
    /// # Errors
    ///
    /// Where probes are outside [`PROBES_PER_SECOND_MIN`] to [`PROBES_PER_SECOND`], or heartbeats
    /// outside [`HEARTBEATS_NARROW`] to [`HEARTBEATS`].
    pub fn with_beside(self, beside: Beside) -> Result<Self, OutOfBounds> {
        let Beside { probes, heartbeats } = beside;
        check_rate("probes per second", probes, PROBES_PER_SECOND_MIN, PROBES_PER_SECOND)?;
        check_rate("heartbeats per second", heartbeats, HEARTBEATS_NARROW, HEARTBEATS)?;
        Ok(Self { beside, ..self })
    }

    /// The same as a record of format 2 has it: its load alone is at the rate that was asked,
    /// rounded up to whole packets per second and stream.
    #[must_use]
    pub const fn rounded_up(self, is_rounded_up: bool) -> Self {
        Self { is_rounded_up, ..self }
    }

    /// Whether a record of format 2 has it.
    #[must_use]
    pub const fn is_rounded_up(&self) -> bool {
        self.is_rounded_up
    }

    /// What goes beside its load.
    #[must_use]
    pub const fn beside(&self) -> Beside {
        self.beside
    }

    /// The same, its packets marked with `dscp` both ways, probes and load alike.
    #[must_use]
    pub const fn with_dscp(self, dscp: Dscp) -> Self {
        Self { dscp, ..self }
    }

    /// The same trial once more, of `duration`, as it proved neither PASS nor FAIL of a throughput.
    ///
    /// # Errors
    ///
    /// Where `duration` is outside [`DURATION_MIN`] to [`DURATION_MAX`].
    pub fn lengthened(self, duration: Span) -> Result<Self, OutOfBounds> {
        Ok(Self { is_lengthened: true, ..self.with_duration(duration)? })
    }

    /// The same, of `duration`.
    ///
    /// # Errors
    ///
    /// Where `duration` is outside [`DURATION_MIN`] to [`DURATION_MAX`].
    pub fn with_duration(self, duration: Span) -> Result<Self, OutOfBounds> {
        let Self { duration, .. } = Self::of(self.traffic, duration)?;
        Self { duration, ..self }.with_ramp(self.ramp)
    }

    /// The same, whose UDP load rises to its rate within `ramp` of its duration: a link in service
    /// is not loaded at once. A load that is as fast as can be, TCP and an idle trial have none.
    ///
    /// # Errors
    ///
    /// Where less than [`DURATION_MIN`] is left behind it.
    pub fn with_ramp(self, ramp: Span) -> Result<Self, OutOfBounds> {
        let rises = self.load().is_some_and(|load| load.kind() == LoadKind::FixedRate);
        if !rises || ramp == Span::default() {
            return Ok(Self { ramp: Span::default(), ..self });
        }
        let left = self.duration.minus(ramp).millis_up();
        check("milliseconds behind the ramp", left, DURATION_MIN.millis_up(), left)?;
        Ok(Self { ramp, ..self })
    }

    /// How long its load rises to its rate; 0 where it has it at once.
    #[must_use]
    pub const fn ramp(&self) -> Span {
        self.ramp
    }

    /// The part of its duration in which its load has its rate.
    #[must_use]
    pub const fn at_rate(&self) -> Span {
        self.duration.minus(self.ramp)
    }

    /// Whether it repeats the trial before it for longer, as that proved neither PASS nor FAIL of a
    /// throughput.
    #[must_use]
    pub const fn is_lengthened(&self) -> bool {
        self.is_lengthened
    }

    /// How its packets are marked.
    #[must_use]
    pub const fn dscp(&self) -> Dscp {
        self.dscp
    }

    /// The same, in which times without an arrival are recorded from `least` on: within
    /// [`SILENCE_MIN_LEAST`] and [`SILENCE_MIN`], whatever is asked.
    #[must_use]
    pub fn with_silence_min(self, least: Span) -> Self {
        Self { silence_min: least.clamp(SILENCE_MIN_LEAST, SILENCE_MIN), ..self }
    }

    /// The shortest time without an arrival that is recorded.
    #[must_use]
    pub const fn silence_min(&self) -> Span {
        self.silence_min
    }

    /// The same on a link whose idle `round_trip` is known, [`ROUND_TRIP_MAX`] at most: what waits
    /// for an answer waits for so long more, and TCP's buffers are to span it.
    #[must_use]
    pub fn with_round_trip(self, round_trip: Option<Span>) -> Self {
        let round_trip = round_trip.map(|span| span.min(ROUND_TRIP_MAX));
        let traffic = match self.traffic {
            Traffic::Tcp(load) => Traffic::Tcp(load.with_round_trip(round_trip)),
            other @ (Traffic::Idle | Traffic::Udp(_)) => other,
        };
        Self { traffic, round_trip, ..self }
    }

    /// The round trip of the idle link, where it is known.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Span> {
        self.round_trip
    }

    /// The UDP load beside the probes.
    #[must_use]
    pub const fn load(&self) -> Option<&Load> {
        match &self.traffic {
            Traffic::Udp(load) => Some(load),
            Traffic::Idle | Traffic::Tcp(_) => None,
        }
    }

    /// The TCP load beside the probes.
    #[must_use]
    pub const fn tcp(&self) -> Option<&TcpLoad> {
        match &self.traffic {
            Traffic::Tcp(load) => Some(load),
            Traffic::Idle | Traffic::Udp(_) => None,
        }
    }

    /// Whether there are probes alone.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.traffic, Traffic::Idle)
    }

    /// "idle", "udp" or "tcp": what it puts on the link beside its probes.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match &self.traffic {
            Traffic::Idle => "idle",
            Traffic::Udp(_) => "udp",
            Traffic::Tcp(_) => "tcp",
        }
    }

    /// Which ways it loads; `None` where it is idle.
    #[must_use]
    pub const fn directions(&self) -> Option<Directions> {
        match &self.traffic {
            Traffic::Idle => None,
            Traffic::Udp(load) => Some(load.directions()),
            Traffic::Tcp(load) => Some(load.directions()),
        }
    }

    /// Whether its load goes as fast as the hosts can.
    #[must_use]
    pub const fn is_capacity(&self) -> bool {
        let kind = match &self.traffic {
            Traffic::Idle => LoadKind::FixedRate,
            Traffic::Udp(load) => load.kind,
            Traffic::Tcp(load) => load.kind,
        };
        matches!(kind, LoadKind::Capacity)
    }

    /// How long packets are due.
    #[must_use]
    pub const fn duration(&self) -> Span {
        self.duration
    }

    /// Whether packets of this trial cross in `direction`: the probes of an idle one go both ways.
    #[must_use]
    pub fn covers(&self, direction: Direction) -> bool {
        self.directions().is_none_or(|directions| directions.includes(direction))
    }

    /// Probes per second.
    #[must_use]
    pub const fn probe_rate(&self) -> PacketRate {
        self.beside.probes
    }

    /// Probes that are due.
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.beside.probes.packets_in(self.duration)
    }
}

/// What a TCP load must be paced above what is required of it, in percent, so that its pace is not
/// what holds it below.
pub const TCP_PACE_SPARE_PERCENT: u64 = 10;

/// The least rate at which TCP is paced where `required` is to be proved.
#[must_use]
pub fn tcp_paced_at_least(required: BitRate) -> BitRate {
    let percent = u128::from(100 + TCP_PACE_SPARE_PERCENT);
    let bits = (u128::from(required.bits_per_second()) * percent).div_ceil(100);
    u64::try_from(bits).ok().and_then(BitRate::new).unwrap_or(BitRate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(streams: u32, payload: u32, rate: u64) -> Result<Load, OutOfBounds> {
        let rate = PacketRate::new(rate).expect("above zero");
        Load::new(Directions::Both, streams, payload, rate, LoadKind::FixedRate)
    }

    #[test]
    fn a_load_is_within_its_bounds() {
        assert!(load(1, 44, 1).is_ok());
        assert!(load(64, 65_507, 600_000_000).is_ok());
        assert!(load(0, 44, 1).is_err());
        assert!(load(65, 44, 1).is_err());
        assert!(load(1, 43, 1).is_err());
        assert!(load(1, 65_508, 1).is_err());
        let error = load(1, 44, 600_000_001).expect_err("too fast").to_string();
        assert_eq!(error, "600000001 packets per second: from 0.1 to 600000000 are allowed");
    }

    #[test]
    fn a_trial_is_neither_too_short_nor_too_long() {
        assert!(Trial::new(None, Span::from_millis(999)).is_err());
        assert!(Trial::new(None, Span::from_secs(1)).is_ok());
        assert!(Trial::new(None, Span::from_secs(600)).is_ok());
        assert!(Trial::new(None, Span::from_nanos(600_000_000_001)).is_err());
    }

    #[test]
    fn the_streams_together_send_the_loads_rate_exactly() {
        let load = load(3, 44, 100).expect("a load");
        assert_eq!(load.stream_rate(Direction::Forward), PacketRate::of(100, 3));
        assert_eq!(load.rate(Direction::Forward), PacketRate::new(100));
    }

    #[test]
    fn a_rate_so_low_that_nothing_is_sent_or_so_fine_that_no_share_holds_it_is_refused() {
        let load = |packets, seconds| {
            let rate = PacketRate::of(packets, seconds).expect("a rate");
            Load::new(Directions::Both, 64, 44, rate, LoadKind::FixedRate)
        };
        assert!(load(1, 10).is_ok());
        let error = load(1, 11).expect_err("too slow").to_string();
        assert_eq!(error, "0.09 packets per second: from 0.1 to 600000000 are allowed");
        let finest = PacketRate::SECONDS_MAX / 64;
        assert!(load(finest - 1, finest).is_ok());
        assert!(load(finest, finest + 1).is_err());
    }

    fn train(rate: u64, payload: u32, kind: LoadKind, burst_max: Option<u32>) -> u32 {
        let rate = PacketRate::new(rate).expect("above zero");
        let load = Load::new(Directions::Both, 1, payload, rate, kind).expect("a load");
        let load = burst_max.map_or(Ok(load), |octets| load.with_burst_max(octets));
        load.expect("a burst").train(Direction::Forward)
    }

    #[test]
    fn a_load_bursts_as_far_as_its_bound_allows() {
        use LoadKind::{Capacity, FixedRate};
        // Up to 50 000 packets/s one by one, beyond it 8 KiB.
        assert_eq!(train(50_000, 1_400, FixedRate, None), 1);
        assert_eq!(train(50_001, 1_400, FixedRate, None), 5);
        // 50 us of 10 Gbit/s are 62 500 octets.
        assert_eq!(train(892_857, 1_400, FixedRate, None), 44);
        // What is asked for counts, within 250 us and what the kernel takes.
        assert_eq!(train(10_000, 1_400, FixedRate, Some(64_000)), 2);
        assert_eq!(train(1_000, 1_400, FixedRate, Some(64_000)), 1);
        assert_eq!(train(50_001, 1_400, FixedRate, Some(1)), 1);
        assert_eq!(train(10_000_000, 100, FixedRate, Some(65_000)), 64);
        assert_eq!(train(1_000, 1_400, Capacity, None), 46);
        assert_eq!(train(1_000, 1_400, Capacity, Some(1)), 1);
        assert_eq!(train(1_000, 64, Capacity, None), 64);
        assert_eq!(train(1_000, 65_507, Capacity, None), 1);
        // Two streams that share 60 000 packets/s are too many for one by one together.
        let rate = PacketRate::new(60_000).expect("above zero");
        let load = Load::new(Directions::Forward, 2, 1_400, rate, FixedRate).expect("a load");
        assert_eq!(load.train(Direction::Forward), 5);
        assert_eq!(load.train(Direction::Reverse), 1, "it does not go that way");
    }

    /// 9000 octets of MTU: 8 KiB hold no packet of it, and a bucket of one would put nearly all of
    /// a catch-up in excess.
    #[test]
    fn a_policer_is_taken_to_hold_three_packets_at_least() {
        let burst = |payload, burst_max: Option<u32>| {
            let load = load(1, payload, 1_000).expect("a load");
            let load = burst_max.map_or(Ok(load), |octets| load.with_burst_max(octets));
            load.expect("a burst").burst(Direction::Forward)
        };
        assert_eq!((burst(8_972, None), burst(1_472, None)), (3, 5));
        assert_eq!((burst(1_472, Some(14_720)), burst(1_472, Some(1))), (10, 3));
    }

    #[test]
    fn an_idle_trial_covers_both_directions() {
        let idle = Trial::new(None, Span::from_secs(10)).expect("a trial");
        let probed = |per_second| {
            let rate = PacketRate::new(per_second).expect("above zero");
            idle.with_probe_rate(rate).map(|trial| trial.probes()).ok()
        };
        assert_eq!([1, 100, 101].map(probed), [Some(10), Some(1_000), None]);
        assert!(Direction::ALL.into_iter().all(|direction| idle.covers(direction)));
        assert_eq!(idle.probes(), 1_000);
    }
}
