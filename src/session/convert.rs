//! Between what the head works with and what the wire carries: one conversion each way.

use crate::direction::{Direction, PerDirection};
use crate::flow::{
    COUNT_MAX, HostLimits, PerSecond, ReceiverCounts, Reflected, SenderCounts, Silence, Silences,
    Waiting,
};
use crate::plan::{Dscp, Limits, Load, LoadKind, OutOfBounds, PROBES_PER_SECOND, TcpLoad, Trial};
use crate::policy;
use crate::stats::delays::Delays;
use crate::stats::loss_bursts::{Clusters, LossBursts};
use crate::units::{BitRate, Malformed, PacketRate, Span};
use crate::wire::control::{
    Account, DelaysMessage, HostMessage, LimitsMessage, LoadMessage, LoadRequest, Prepare,
    ReceiverMessage, Request, RunId, SenderMessage, SilenceMessage, TcpLoadMessage, WaitingMessage,
};
use crate::wire::probe::FollowUp;

/// A message that is well formed and makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Inconsistent(String);

impl Inconsistent {
    pub(super) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl From<OutOfBounds> for Inconsistent {
    fn from(error: OutOfBounds) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn prepare(number: u32, trial: &Trial) -> Prepare {
    let load = trial.load().map(|load| LoadMessage {
        forward_packets_s: load.rate(Direction::Forward).map(PacketRate::per_second),
        reverse_packets_s: load.rate(Direction::Reverse).map(PacketRate::per_second),
        streams: load.streams(),
        payload: load.payload(),
        capacity: load.kind() == LoadKind::Capacity,
        burst_max: load.burst_max(),
    });
    let tcp = trial.tcp().map(|load| TcpLoadMessage {
        forward_bit_s: load.rate(Direction::Forward).map(BitRate::bits_per_second),
        reverse_bit_s: load.rate(Direction::Reverse).map(BitRate::bits_per_second),
        streams: load.streams(),
        mtu: load.mtu(),
        congestion_control: load.congestion().to_string(),
        capacity: load.kind() == LoadKind::Capacity,
        verify: load.verify(),
        round_trip_ns: load.round_trip().map(Span::nanos),
    });
    let usual = trial.probe_rate() == PROBES_PER_SECOND;
    let probes_s = (!usual).then(|| trial.probe_rate().per_second());
    let (duration_ns, dscp) = (trial.duration().nanos(), trial.dscp().number());
    Prepare { trial: number, duration_ns, dscp, probes_s, load, tcp }
}

impl TryFrom<&Prepare> for Trial {
    type Error = Inconsistent;

    fn try_from(message: &Prepare) -> Result<Self, Inconsistent> {
        let duration = Span::from_nanos(message.duration_ns);
        let dscp = Dscp::new(message.dscp).ok_or_else(|| Inconsistent::new("a DSCP above 63"))?;
        let trial = match (&message.load, &message.tcp) {
            (Some(_), Some(_)) => return Err(Inconsistent::new("a trial of UDP and of TCP")),
            (_, Some(tcp)) => Self::with_tcp(TcpLoad::try_from(tcp)?, duration)?,
            (load, None) => Self::new(load.as_ref().map(Load::try_from).transpose()?, duration)?,
        };
        let trial = trial.with_dscp(dscp);
        let Some(probes_s) = message.probes_s else { return Ok(trial) };
        let rate = PacketRate::new(probes_s).ok_or_else(|| Inconsistent::new("no probes"))?;
        Ok(trial.with_probe_rate(rate)?)
    }
}

const fn kind(capacity: bool) -> LoadKind {
    if capacity { LoadKind::Capacity } else { LoadKind::FixedRate }
}

/// The rate of a message, where it has one.
fn rate<T>(value: Option<u64>, new: impl Fn(u64) -> Option<T>) -> Result<Option<T>, Inconsistent> {
    let some = |value| new(value).ok_or_else(|| Inconsistent::new("a load at a rate of 0"));
    value.map(some).transpose()
}

impl TryFrom<&LoadMessage> for Load {
    type Error = Inconsistent;

    fn try_from(message: &LoadMessage) -> Result<Self, Inconsistent> {
        let rates = PerDirection {
            forward: rate(message.forward_packets_s, PacketRate::new)?,
            reverse: rate(message.reverse_packets_s, PacketRate::new)?,
        };
        let LoadMessage { streams, payload, capacity, burst_max, .. } = *message;
        let load = Self::with_rates(rates, streams, payload, kind(capacity))?;
        Ok(burst_max.map_or(Ok(load), |octets| load.with_burst_max(octets))?)
    }
}

impl TryFrom<&TcpLoadMessage> for TcpLoad {
    type Error = Inconsistent;

    fn try_from(message: &TcpLoadMessage) -> Result<Self, Inconsistent> {
        let rates = PerDirection {
            forward: rate(message.forward_bit_s, BitRate::new)?,
            reverse: rate(message.reverse_bit_s, BitRate::new)?,
        };
        let congestion = message.congestion_control.parse();
        let congestion = congestion.map_err(|error: Malformed| Inconsistent(error.to_string()))?;
        let TcpLoadMessage { streams, mtu, capacity, verify, round_trip_ns, .. } = *message;
        let load = Self::new(rates, streams, mtu, congestion, kind(capacity))?;
        Ok(load.with_verify(verify).with_round_trip(round_trip_ns.map(Span::from_nanos)))
    }
}

impl From<Limits> for LimitsMessage {
    fn from(limits: Limits) -> Self {
        let rate_max_bit_s = limits.rate_max.bits_per_second();
        Self { rate_max_bit_s, duration_max_ns: limits.duration_max.nanos() }
    }
}

impl TryFrom<LimitsMessage> for Limits {
    type Error = Inconsistent;

    fn try_from(message: LimitsMessage) -> Result<Self, Inconsistent> {
        let rate_max = BitRate::new(message.rate_max_bit_s)
            .ok_or_else(|| Inconsistent::new("a limit of 0 bit/s"))?;
        Ok(Self { rate_max, duration_max: Span::from_nanos(message.duration_max_ns) })
    }
}

impl From<policy::LoadRequest> for LoadRequest {
    fn from(load: policy::LoadRequest) -> Self {
        Self { rate_bit_s: load.rate.bits_per_second(), duration_ns: load.duration.nanos() }
    }
}

pub(super) fn request(run: RunId, request: &policy::Request) -> Request {
    Request {
        run: run.to_string(),
        circuit: request.circuit.clone(),
        duration_ns: request.duration.nanos(),
        load: request.load.map(Into::into),
    }
}

impl TryFrom<&Request> for policy::Request {
    type Error = Inconsistent;

    fn try_from(message: &Request) -> Result<Self, Inconsistent> {
        let load = |load: LoadRequest| -> Result<policy::LoadRequest, Inconsistent> {
            let rate = BitRate::new(load.rate_bit_s)
                .ok_or_else(|| Inconsistent::new("a load of 0 bit/s"))?;
            Ok(policy::LoadRequest { rate, duration: Span::from_nanos(load.duration_ns) })
        };
        Ok(Self {
            circuit: message.circuit.clone(),
            duration: Span::from_nanos(message.duration_ns),
            load: message.load.map(load).transpose()?,
        })
    }
}

impl From<&Delays> for DelaysMessage {
    fn from(delays: &Delays) -> Self {
        Self {
            histogram: delays.to_base64(),
            infinite: delays.infinite(),
            min_ns: delays.min_ns(),
            max_ns: delays.max_ns(),
        }
    }
}

impl TryFrom<&DelaysMessage> for Delays {
    type Error = Inconsistent;

    fn try_from(message: &DelaysMessage) -> Result<Self, Inconsistent> {
        let DelaysMessage { histogram, infinite, min_ns, max_ns } = message;
        if histogram.is_empty() {
            let mut delays = Self::default();
            delays.record_lost(*infinite);
            return Ok(delays);
        }
        Self::from_base64(histogram, *infinite, *min_ns, *max_ns)
            .map_err(|error| Inconsistent(error.to_string()))
    }
}

impl From<&SenderCounts> for SenderMessage {
    fn from(counts: &SenderCounts) -> Self {
        Self {
            sent: counts.sent,
            refused: counts.refused,
            queue_dropped: counts.queue_dropped,
            unreachable: counts.unreachable,
            paused: counts.paused,
            skipped: counts.skipped,
            steady: counts.steady,
            last_due_ns: counts.last_due_ns,
            per_second: counts.per_second.counts().to_vec(),
            excess: counts.excess.iter().map(|range| (range.start, range.end)).collect(),
            lateness: (&counts.lateness).into(),
            segmented: counts.segmented,
            burst: counts.burst,
            waiting: counts.waiting.into(),
            buffer: counts.buffer,
        }
    }
}

pub(super) fn are_counts<'a>(counts: impl IntoIterator<Item = &'a u64>) -> bool {
    counts.into_iter().all(|count| *count <= COUNT_MAX)
}

impl TryFrom<&SenderMessage> for SenderCounts {
    type Error = Inconsistent;

    fn try_from(message: &SenderMessage) -> Result<Self, Inconsistent> {
        let ranges = message.excess.iter().map(|(start, end)| *start..*end);
        let excess: Vec<_> = ranges.collect();
        let ordered = excess.windows(2).all(|pair| pair[0].end <= pair[1].start)
            && excess.iter().all(|range| range.start <= range.end && range.end <= message.sent);
        let SenderMessage { sent, refused, queue_dropped, unreachable, paused, skipped, .. } =
            message;
        let counts = [sent, refused, queue_dropped, unreachable, paused, skipped, &message.buffer];
        let plausible = are_counts(counts) && are_counts(&message.per_second);
        if !ordered || !plausible || *sent < message.steady.max(message.segmented) {
            return Err(Inconsistent::new("a sender's account that contradicts itself"));
        }
        Ok(Self {
            sent: message.sent,
            refused: message.refused,
            queue_dropped: message.queue_dropped,
            unreachable: message.unreachable,
            paused: message.paused,
            skipped: message.skipped,
            steady: message.steady,
            last_due_ns: message.last_due_ns,
            per_second: PerSecond::from_counts(message.per_second.clone()),
            excess,
            lateness: (&message.lateness).try_into()?,
            segmented: message.segmented,
            burst: message.burst,
            waiting: message.waiting.into(),
            buffer: message.buffer,
        })
    }
}

impl From<Waiting> for WaitingMessage {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Never => Self::Never,
            Waiting::AwakeFirst => Self::AwakeFirst,
            Waiting::Awake => Self::Awake,
            Waiting::Asleep => Self::Asleep,
        }
    }
}

impl From<WaitingMessage> for Waiting {
    fn from(message: WaitingMessage) -> Self {
        match message {
            WaitingMessage::Never => Self::Never,
            WaitingMessage::AwakeFirst => Self::AwakeFirst,
            WaitingMessage::Awake => Self::Awake,
            WaitingMessage::Asleep => Self::Asleep,
        }
    }
}

pub(super) const fn gap_message(gap: &Silence) -> SilenceMessage {
    let Silence { start_ns, end_ns, packets, offered } = *gap;
    SilenceMessage { start_ns, end_ns, packets, offered }
}

pub(super) const fn gap(message: &SilenceMessage) -> Silence {
    let SilenceMessage { start_ns, end_ns, packets, offered } = *message;
    Silence { start_ns, end_ns, packets, offered }
}

impl From<&ReceiverCounts> for ReceiverMessage {
    fn from(counts: &ReceiverCounts) -> Self {
        let cluster = |(_, clusters): (u64, Clusters)| {
            let Clusters { count, sum_of_squares, .. } = clusters;
            (count, sum_of_squares.to_string())
        };
        Self {
            received: counts.received,
            late: counts.late,
            duplicate: counts.duplicate,
            reordered: counts.reordered,
            host_dropped: counts.host_dropped,
            unattributed: counts.unattributed,
            rejected: counts.rejected,
            steady: counts.steady,
            steady_on_time: counts.steady_on_time,
            octets: counts.octets,
            per_second: counts.per_second.counts().to_vec(),
            lost: counts.periods.lost(),
            loss_periods: counts.periods.periods(),
            loss_period_max: counts.periods.longest(),
            loss_period_squares: counts.periods.sum_of_squares().to_string(),
            loss_clusters: counts.periods.wider().map(cluster).collect(),
            lost_in_excess: counts.lost_in_excess,
            began_ns: counts.began_ns,
            gaps: counts.gaps.as_slice().iter().map(gap_message).collect(),
            jitter_rfc3550_ns: counts.jitter_rfc3550_ns,
            buffer: counts.buffer,
        }
    }
}

impl TryFrom<&ReceiverMessage> for ReceiverCounts {
    type Error = Inconsistent;

    fn try_from(message: &ReceiverMessage) -> Result<Self, Inconsistent> {
        let contradiction = || Inconsistent::new("a receiver's account that contradicts itself");
        let ReceiverMessage { received, late, duplicate, reordered, host_dropped, .. } = message;
        let ReceiverMessage { unattributed, rejected, steady, octets, lost_in_excess, .. } =
            message;
        let counts = [received, late, duplicate, reordered, host_dropped, unattributed, rejected];
        let ReceiverMessage { steady_on_time, lost, buffer, .. } = message;
        let more = [steady, steady_on_time, octets, lost_in_excess, lost, buffer];
        if !are_counts(counts) || !are_counts(more) || !are_counts(&message.per_second) {
            return Err(contradiction());
        }
        let squares = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| contradiction()),
        };
        let clusters = message.loss_clusters.iter();
        let clusters = clusters.map(|(count, digits)| Ok((*count, squares(digits)?)));
        let clusters: Vec<(u64, u128)> = clusters.collect::<Result<_, Inconsistent>>()?;
        let squares = squares(&message.loss_period_squares)?;
        let ReceiverMessage { lost, loss_periods, loss_period_max, .. } = *message;
        let periods =
            LossBursts::from_parts(lost, loss_periods, loss_period_max, squares, &clusters);
        let gaps = Silences::from_vec(message.gaps.iter().map(gap).collect());
        Ok(Self {
            received: message.received,
            late: message.late,
            duplicate: message.duplicate,
            reordered: message.reordered,
            host_dropped: message.host_dropped,
            unattributed: message.unattributed,
            rejected: message.rejected,
            steady: message.steady,
            steady_on_time: message.steady_on_time,
            octets: message.octets,
            per_second: PerSecond::from_counts(message.per_second.clone()),
            periods: periods.ok_or_else(contradiction)?,
            lost_in_excess: message.lost_in_excess,
            began_ns: message.began_ns,
            gaps: gaps.ok_or_else(contradiction)?,
            jitter_rfc3550_ns: message.jitter_rfc3550_ns,
            buffer: message.buffer,
        })
    }
}

impl From<HostLimits> for HostMessage {
    fn from(host: HostLimits) -> Self {
        let HostLimits { queue_drops, kernel_drops, checksum_errors, .. } = host;
        let HostLimits { clock_steps, stamp_noise_ns, card_stamps, .. } = host;
        Self {
            queue_drops,
            kernel_drops,
            checksum_errors,
            clock_steps,
            stamp_noise_ns,
            card_stamps,
        }
    }
}

impl From<HostMessage> for HostLimits {
    fn from(message: HostMessage) -> Self {
        let HostMessage { queue_drops, kernel_drops, checksum_errors, .. } = message;
        let HostMessage { clock_steps, stamp_noise_ns, card_stamps, .. } = message;
        Self {
            queue_drops,
            kernel_drops,
            checksum_errors,
            clock_steps,
            stamp_noise_ns,
            card_stamps,
        }
    }
}

/// The part of an account that tells of the probes.
pub(super) fn reflected(account: &Account) -> Result<Reflected, Inconsistent> {
    let marks = account.marks;
    if !are_counts([&marks.seen]) || marks.seen < marks.changed {
        return Err(Inconsistent::new("marks of more probes than came"));
    }
    Ok(Reflected {
        probes: (&account.probes).try_into()?,
        marks,
        replies: account.replies,
        refused: account.replies_refused,
        follow_ups: account.follow_ups.iter().map(follow_up).collect(),
    })
}

fn follow_up((sequence, sent_ns): &(u32, u64)) -> FollowUp {
    FollowUp { sequence: *sequence, sent_ns: *sent_ns }
}

/// When the newest replies left, as an account tells it.
pub(super) fn follow_ups(reflected: &Reflected) -> Vec<(u32, u64)> {
    reflected.follow_ups.iter().map(|told| (told.sequence, told.sent_ns)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::plan::CongestionControl;

    #[test]
    fn a_trial_is_read_back_and_a_bad_one_refused() {
        let trial = udp_trial();
        let message = prepare(7, &trial);
        assert_eq!(Trial::try_from(&message), Ok(trial));
        let broken = |change: fn(&mut LoadMessage)| {
            let mut load = message.load.expect("it has one");
            change(&mut load);
            Trial::try_from(&Prepare { load: Some(load), ..message.clone() })
        };
        assert!(broken(|load| load.forward_packets_s = None).is_ok(), "reverse alone");
        assert!(broken(|load| load.forward_packets_s = Some(0)).is_err());
        assert!(broken(|load| load.streams = 65).is_err());
        assert!(broken(|load| load.payload = 3).is_err());
        assert!(broken(|load| load.burst_max = Some(1)).is_ok());
        assert!(broken(|load| load.burst_max = Some(0)).is_err());
        let probed = |probes_s| Trial::try_from(&Prepare { probes_s, ..message.clone() });
        assert!(probed(Some(0)).is_err());
        assert!(probed(Some(101)).is_err());
        let slower = probed(Some(10)).expect("within bounds");
        assert_eq!(Trial::try_from(&prepare(7, &slower)), Ok(slower));
        assert!(Trial::try_from(&Prepare { duration_ns: u64::MAX, ..message }).is_err());
    }

    #[test]
    fn a_trial_of_tcp_is_read_back_and_a_bad_one_refused() {
        let rates = PerDirection { forward: BitRate::new(95_000_000), reverse: BitRate::new(1) };
        let load = TcpLoad::new(rates, 4, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(30)).expect("a trial");
        let message = prepare(7, &trial);
        assert_eq!(Trial::try_from(&message), Ok(trial));
        let broken = |change: fn(&mut TcpLoadMessage)| {
            let mut tcp = message.tcp.clone().expect("it has one");
            change(&mut tcp);
            Trial::try_from(&Prepare { tcp: Some(tcp), ..message.clone() })
        };
        assert!(broken(|tcp| tcp.reverse_bit_s = None).is_ok(), "forward alone");
        assert!(broken(|tcp| (tcp.forward_bit_s, tcp.reverse_bit_s) = (None, None)).is_err());
        assert!(broken(|tcp| tcp.mtu = 100).is_err());
        assert!(broken(|tcp| tcp.streams = 0).is_err());
        assert!(broken(|tcp| tcp.congestion_control = "a b".into()).is_err());
        let both = Prepare { load: prepare(7, &udp_trial()).load, ..message };
        assert!(Trial::try_from(&both).is_err());
    }

    fn udp_trial() -> Trial {
        let rate = PacketRate::new(1_000).expect("a rate");
        let load =
            Load::new(Directions::Both, 3, 1_000, rate, LoadKind::FixedRate).expect("a load");
        Trial::new(Some(load), Span::from_secs(30)).expect("a trial")
    }

    #[test]
    fn accounts_are_read_back_whole() {
        let mut counts = ReceiverCounts {
            received: 5,
            late: 1,
            jitter_rfc3550_ns: Some(1.5),
            ..ReceiverCounts::default()
        };
        for arrived in [1, 3, 20] {
            counts.periods.on_lost(4);
            counts.periods.on_arrived(arrived);
        }
        assert_eq!(ReceiverCounts::try_from(&ReceiverMessage::from(&counts)), Ok(counts));
        let mut sent = SenderCounts {
            sent: 9,
            steady: 7,
            excess: vec![2..4, 6..9],
            ..SenderCounts::default()
        };
        sent.lateness.record(17);
        (sent.segmented, sent.burst, sent.buffer) = (6, 3, 212_992);
        sent.waiting = Waiting::Asleep;
        assert_eq!(SenderCounts::try_from(&SenderMessage::from(&sent)), Ok(sent));
    }

    #[test]
    fn accounts_that_contradict_themselves_are_refused() {
        let sent = SenderMessage { sent: 3, excess: vec![(2, 4)], ..SenderMessage::default() };
        assert!(SenderCounts::try_from(&sent).is_err());
        let counts = ReceiverMessage { lost: 3, ..ReceiverMessage::default() };
        assert!(ReceiverCounts::try_from(&counts).is_err());
        let squares =
            ReceiverMessage { loss_period_squares: "-1".into(), ..ReceiverMessage::default() };
        assert!(ReceiverCounts::try_from(&squares).is_err());
        let huge = ReceiverMessage { received: u64::MAX, ..ReceiverMessage::default() };
        assert!(ReceiverCounts::try_from(&huge).is_err(), "a sum with it would overflow");
        let huge = SenderMessage { per_second: vec![u64::MAX], ..SenderMessage::default() };
        assert!(SenderCounts::try_from(&huge).is_err(), "a sum with it would overflow");
    }

    #[test]
    fn clusters_that_contradict_the_periods_are_refused() {
        let mut counts = ReceiverCounts::default();
        counts.periods.on_lost(2);
        counts.periods.on_arrived(1);
        counts.periods.on_lost(1);
        let message = ReceiverMessage::from(&counts);
        let nine = (1, "9".to_owned());
        assert_eq!(message.loss_clusters, [nine.clone(), nine.clone(), nine.clone(), nine.clone()]);
        let told = |loss_clusters| {
            let told =
                ReceiverCounts::try_from(&ReceiverMessage { loss_clusters, ..message.clone() })?;
            Ok::<_, Inconsistent>(told.periods.clusters(16).count)
        };
        assert_eq!(told(vec![nine.clone(); 4]), Ok(1));
        assert_eq!(told(Vec::new()), Ok(2), "an account without clusters has its periods");
        for clusters in [
            vec![nine.clone(); 3],
            vec![nine; 5],
            vec![(3, "5".to_owned()); 4],
            vec![(1, "5".to_owned()); 4],
            vec![(1, "-9".to_owned()); 4],
            vec![(1, String::new()); 4],
        ] {
            assert!(told(clusters.clone()).is_err(), "{clusters:?} were taken");
        }
    }
}
