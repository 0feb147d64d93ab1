//! A trial and an agent's limits as wire and record carry them, and back: within this module's
//! bounds, whoever wrote them.

use super::{Beside, Dscp, HEARTBEATS, Limits, Load, LoadKind, SILENCE_MIN_LEAST, TcpLoad, Trial};
use crate::account::{AskedRate, AskedTcp, AskedTrial, AskedUdp, Invalid, SILENCE_MIN};
use crate::direction::PerDirection;
use crate::units::{BitRate, Malformed, PacketRate, Span};
use crate::wire::control::LimitsMessage;
use std::fmt::Display;

fn invalid(error: impl Display) -> Invalid {
    Invalid::new(error.to_string())
}

impl From<&Trial> for AskedTrial {
    fn from(trial: &Trial) -> Self {
        Self {
            duration_ns: trial.duration().nanos(),
            dscp: trial.dscp().number(),
            probe_rate: trial.beside().probes.into(),
            heartbeat_rate: (!trial.is_rounded_up()).then(|| trial.beside().heartbeats.into()),
            idle_round_trip_ns: trial.round_trip().map(Span::nanos),
            lengthened: trial.is_lengthened(),
            ramp_ns: Some(trial.ramp()).filter(|it| *it != Span::default()).map(Span::nanos),
            udp: trial.load().map(AskedUdp::from),
            tcp: trial.tcp().map(AskedTcp::from),
            silence_min_ns: Some(trial.silence_min())
                .filter(|least| *least != SILENCE_MIN)
                .map(Span::nanos),
        }
    }
}

impl From<&Load> for AskedUdp {
    fn from(load: &Load) -> Self {
        Self {
            rate: PerDirection::from_fn(|direction| load.rate(direction).map(AskedRate::from)),
            streams: load.streams(),
            payload_octets: load.payload(),
            capacity: load.kind() == LoadKind::Capacity,
            burst_max_octets: load.burst_max(),
        }
    }
}

impl From<&TcpLoad> for AskedTcp {
    fn from(load: &TcpLoad) -> Self {
        Self {
            payload_bit_s: PerDirection::from_fn(|direction| {
                load.rate(direction).map(BitRate::bits_per_second)
            }),
            streams: load.streams(),
            path_mtu_octets: load.mtu(),
            congestion_control: load.congestion().to_string(),
            capacity: load.kind() == LoadKind::Capacity,
            verify: load.verify(),
        }
    }
}

impl TryFrom<&AskedTrial> for Trial {
    type Error = Invalid;

    fn try_from(asked: &AskedTrial) -> Result<Self, Invalid> {
        let duration = Span::from_nanos(asked.duration_ns);
        let trial = match (&asked.udp, &asked.tcp) {
            (Some(_), Some(_)) => return Err(Invalid::new("a trial of UDP and of TCP")),
            (_, Some(tcp)) => Self::with_tcp(TcpLoad::try_from(tcp)?, duration),
            (udp, None) => Self::new(udp.as_ref().map(Load::try_from).transpose()?, duration),
        };
        let dscp = Dscp::new(asked.dscp);
        let dscp = dscp.ok_or_else(|| Invalid::new(format!("dscp: {} is above 63", asked.dscp)))?;
        let probes = PacketRate::try_from(asked.probe_rate)?;
        let heartbeats = asked.heartbeat_rate.map(PacketRate::try_from).transpose()?;
        let beside = Beside { probes, heartbeats: heartbeats.unwrap_or(HEARTBEATS) };
        let round_trip = asked.idle_round_trip_ns.map(Span::from_nanos);
        let trial = trial
            .map_err(invalid)?
            .with_dscp(dscp)
            .with_silence_min(silence_min(asked)?)
            .with_round_trip(round_trip)
            .with_beside(beside)
            .map(|trial| trial.rounded_up(asked.heartbeat_rate.is_none()))
            .and_then(|trial| trial.with_ramp(Span::from_nanos(asked.ramp_ns.unwrap_or(0))))
            .map_err(invalid)?;
        if asked.lengthened { trial.lengthened(duration).map_err(invalid) } else { Ok(trial) }
    }
}

fn silence_min(asked: &AskedTrial) -> Result<Span, Invalid> {
    let Some(nanos) = asked.silence_min_ns else { return Ok(SILENCE_MIN) };
    let (least, most) = (SILENCE_MIN_LEAST.nanos(), SILENCE_MIN.nanos());
    let within = (least..=most).contains(&nanos);
    let why = || Invalid::new(format!("silence_min_ns: {nanos} is not from {least} to {most}"));
    within.then(|| Span::from_nanos(nanos)).ok_or_else(why)
}

const fn kind(capacity: bool) -> LoadKind {
    if capacity { LoadKind::Capacity } else { LoadKind::FixedRate }
}

/// The rates that are asked for, by direction.
fn rates<A, T>(
    asked: PerDirection<Option<A>>,
    new: impl Fn(A) -> Result<T, Invalid>,
) -> Result<PerDirection<Option<T>>, Invalid> {
    let rate = |asked: Option<A>| asked.map(&new).transpose();
    Ok(PerDirection { forward: rate(asked.forward)?, reverse: rate(asked.reverse)? })
}

impl From<PacketRate> for AskedRate {
    fn from(rate: PacketRate) -> Self {
        Self { packets: rate.packets(), seconds: rate.seconds() }
    }
}

impl TryFrom<AskedRate> for PacketRate {
    type Error = Invalid;

    fn try_from(asked: AskedRate) -> Result<Self, Invalid> {
        let AskedRate { packets, seconds } = asked;
        let rate = Self::of(packets, seconds);
        rate.ok_or_else(|| Invalid::new(format!("a rate of {packets} packets in {seconds} s")))
    }
}

impl TryFrom<&AskedUdp> for Load {
    type Error = Invalid;

    fn try_from(asked: &AskedUdp) -> Result<Self, Invalid> {
        let AskedUdp { rate, streams, payload_octets, capacity, burst_max_octets } = *asked;
        let rates = rates(rate, PacketRate::try_from)?;
        let load = Self::with_rates(rates, streams, payload_octets, kind(capacity));
        let load = load.map_err(invalid)?;
        burst_max_octets.map_or(Ok(load), |octets| load.with_burst_max(octets).map_err(invalid))
    }
}

impl TryFrom<&AskedTcp> for TcpLoad {
    type Error = Invalid;

    fn try_from(asked: &AskedTcp) -> Result<Self, Invalid> {
        let AskedTcp { payload_bit_s, streams, path_mtu_octets, capacity, .. } = *asked;
        let rates = rates(payload_bit_s, |bit_s| {
            BitRate::new(bit_s).ok_or_else(|| Invalid::new("a load at a rate of 0"))
        })?;
        let congestion =
            asked.congestion_control.parse().map_err(|error: Malformed| invalid(error))?;
        let load = Self::new(rates, streams, path_mtu_octets, congestion, kind(capacity));
        Ok(load.map_err(invalid)?.with_verify(asked.verify))
    }
}

impl From<Limits> for LimitsMessage {
    fn from(limits: Limits) -> Self {
        let rate_max_bit_s = limits.rate_max.bits_per_second();
        Self { rate_max_bit_s, duration_max_ns: limits.duration_max.nanos() }
    }
}

impl TryFrom<LimitsMessage> for Limits {
    type Error = Invalid;

    fn try_from(message: LimitsMessage) -> Result<Self, Invalid> {
        let rate_max = BitRate::new(message.rate_max_bit_s);
        let rate_max = rate_max.filter(|rate| *rate <= BitRate::MAX).ok_or_else(|| {
            let (rate, most) = (message.rate_max_bit_s, BitRate::MAX.bits_per_second());
            Invalid::new(format!("rate_max_bit_s: {rate} is not from 1 to {most}"))
        })?;
        Ok(Self { rate_max, duration_max: Span::from_nanos(message.duration_max_ns) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::trial::CongestionControl;

    fn udp() -> Trial {
        let rate = PacketRate::of(625_000, 759).expect("a rate");
        let load = Load::new(Directions::Both, 3, 1_000, rate, LoadKind::FixedRate);
        Trial::new(Some(load.expect("a load")), Span::from_secs(30)).expect("a trial")
    }

    fn tcp() -> Trial {
        let rates = PerDirection { forward: BitRate::new(95_000_000), reverse: BitRate::new(1) };
        let load = TcpLoad::new(rates, 4, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        Trial::with_tcp(load.expect("a load"), Span::from_secs(30)).expect("a trial")
    }

    /// Whether what was asked, once changed, is still a trial.
    fn is_trial(trial: &Trial, change: impl Fn(&mut AskedTrial)) -> bool {
        let mut asked = AskedTrial::from(trial);
        change(&mut asked);
        Trial::try_from(&asked).is_ok()
    }

    fn with_udp(change: impl Fn(&mut AskedUdp)) -> bool {
        is_trial(&udp(), |asked| change(asked.udp.as_mut().expect("it has one")))
    }

    fn with_tcp(change: impl Fn(&mut AskedTcp)) -> bool {
        is_trial(&tcp(), |asked| change(asked.tcp.as_mut().expect("it has one")))
    }

    #[test]
    fn a_trial_is_read_back() {
        for trial in [udp(), tcp(), Trial::new(None, Span::from_secs(5)).expect("a trial")] {
            assert_eq!(Trial::try_from(&AskedTrial::from(&trial)), Ok(trial));
        }
        let load = *udp().load().expect("it has one");
        let load = load.with_burst_max(9_000).expect("within bounds");
        let trial = Trial::new(Some(load), Span::from_secs(5)).expect("a trial");
        let longer = trial.lengthened(Span::from_secs(10)).expect("within bounds");
        let slower = longer.with_probe_rate(PacketRate::of(5, 3).expect("a rate"));
        let slower = slower.map(|trial| trial.with_round_trip(Some(Span::from_millis(30))));
        let trial = slower.expect("within bounds").with_dscp(Dscp::new(46).expect("EF"));
        assert_eq!(Trial::try_from(&AskedTrial::from(&trial)), Ok(trial));
    }

    #[test]
    fn what_is_out_of_bounds_is_no_trial() {
        assert!(with_udp(|load| load.rate.forward = None), "reverse alone");
        let rate = |packets, seconds| Some(AskedRate { packets, seconds });
        assert!(with_udp(|load| load.rate.forward = rate(12, 10)), "in no lowest terms");
        for (packets, seconds) in [(0, 1), (1, 0), (1, 11), (u64::MAX, 1), (1, u64::MAX)] {
            let asked = rate(packets, seconds);
            assert!(!with_udp(|load| load.rate.forward = asked), "{packets} in {seconds} s");
        }
        assert!(!with_udp(|load| load.streams = 65));
        assert!(!with_udp(|load| load.payload_octets = 3));
        assert!(with_udp(|load| load.burst_max_octets = Some(1)));
        assert!(!with_udp(|load| load.burst_max_octets = Some(0)));
        assert!(!is_trial(&udp(), |asked| asked.probe_rate.packets = 0));
        assert!(!is_trial(&udp(), |asked| asked.probe_rate.packets = 101));
        for (packets, holds) in [(3, false), (4, true), (10, true), (11, false)] {
            let rate = Some(AskedRate { packets, seconds: 1 });
            assert_eq!(is_trial(&udp(), |asked| asked.heartbeat_rate = rate), holds, "{packets}");
        }
        assert!(!is_trial(&udp(), |asked| asked.duration_ns = u64::MAX));
        assert!(!is_trial(&udp(), |asked| asked.dscp = 64));
        assert!(with_tcp(|load| load.payload_bit_s.reverse = None), "forward alone");
        assert!(!with_tcp(|load| load.payload_bit_s = PerDirection::default()));
        assert!(!with_tcp(|load| load.path_mtu_octets = 100));
        assert!(!with_tcp(|load| load.streams = 0));
        assert!(!with_tcp(|load| load.congestion_control = "a b".into()));
        let both = AskedTrial::from(&udp()).udp;
        assert!(!is_trial(&tcp(), |asked| asked.udp = both));
    }

    #[test]
    fn limits_are_read_back_and_have_a_rate_that_a_link_can_have() {
        let rate_max = BitRate::new(1_000).expect("a rate");
        let limits = Limits { rate_max, duration_max: Span::from_secs(60) };
        let message = LimitsMessage::from(limits);
        assert_eq!(Limits::try_from(message), Ok(limits));
        let most = BitRate::MAX.bits_per_second();
        for (rate_max_bit_s, holds) in [(0, false), (1, true), (most, true), (most + 1, false)] {
            let message = LimitsMessage { rate_max_bit_s, ..message };
            assert_eq!(Limits::try_from(message).is_ok(), holds, "{rate_max_bit_s}");
        }
    }
}
