//! What follows from a trial's counts: every number that a reader sees, computed once.

use super::record::{
    DirectionFigures, OutageRecord, Percentiles, TcpFigures, TcpLevelChange, TimestampMethod,
    TrialFigures,
};
use crate::account::{OneWayCounts, Series, TcpInfo, Timestamping};
use crate::direction::Direction;
use crate::flow::{Steady, TrialRun};
use crate::framing::{Framing, Layer};
use crate::metric::{JITTER_QUANTILE, TcpCarried, float, losses, micros, outage_min};
use crate::stats::delays::{Delay, Delays};
use crate::trial::Load;
use crate::units::{BitRate, Span};

/// The figures of `run`, but for those that depend on what is required.
pub(super) fn figures(run: &TrialRun, framing: Framing) -> TrialFigures {
    let round_trip = &run.outcome.round_trip;
    TrialFigures {
        forward: of_direction(run, Direction::Forward, framing),
        reverse: of_direction(run, Direction::Reverse, framing),
        rtt_us: percentiles(&round_trip.delays),
        timestamps: method(&round_trip.timestamping),
    }
}

/// How exchanges were stamped; `None` where there were none.
fn method(timestamping: &Timestamping) -> Option<TimestampMethod> {
    (0 < timestamping.exchanges).then_some(match timestamping.by_kernel {
        0 => TimestampMethod::UserSpaceTransmit,
        _ => TimestampMethod::Kernel,
    })
}

fn of_direction(run: &TrialRun, direction: Direction, framing: Framing) -> DirectionFigures {
    let counts = run.outcome.one_way(direction);
    let load = run.trial.load().filter(|load| load.directions().includes(direction));
    let (sender, receiver) = (counts.sender.as_ref(), counts.receiver.as_ref());
    let rates = match load {
        Some(load) => udp_rates(load, run, direction, framing),
        None => tcp_rates(run, direction, framing),
    };
    let losses = losses(run, direction).filter(|losses| 0 < losses.offered);
    let has_receiver = receiver.is_some() || counts.tcp_receiver.is_some();
    DirectionFigures {
        tested: run.trial.covers(direction),
        offered_bit_s: rates.offered_bit_s,
        goodput_bit_s: rates.goodput_bit_s,
        goodput_p5_bit_s: rates.goodput_p5_bit_s,
        // The receiver alone does not know what was sent behind the last that arrived.
        lost: sender.and(receiver).map(|receiver| receiver.lost()),
        loss_ratio: losses.map(|losses| float(losses.lost) / float(losses.offered)),
        outages: has_receiver.then(|| outages(run, direction, counts)),
        jitter_us: finite(counts.probes.variation.quantile(JITTER_QUANTILE)),
        jitter_rfc3550_us: counts.probes.jitter_rfc3550_ns.map(|nanos| nanos / 1e3),
        send_lateness_us: load.and(sender).and_then(|sender| percentiles(&sender.lateness)),
        burst_packets: load.map(|load| load.train(direction)),
        tcp: of_tcp(run, direction, framing),
        ..DirectionFigures::default()
    }
}

/// Payload that was to be sent, and that arrived.
#[derive(Default)]
struct Rates {
    offered_bit_s: Option<u64>,
    goodput_bit_s: Option<u64>,
    goodput_p5_bit_s: Option<u64>,
}

fn udp_rates(load: &Load, run: &TrialRun, direction: Direction, framing: Framing) -> Rates {
    let rate = |packets, span| {
        framing.bit_rate(packets, span, Layer::L4, load.payload()).map(BitRate::bits_per_second)
    };
    let Some(each) = load.stream_rate(direction) else { return Rates::default() };
    let duration = run.trial.duration();
    let steady = Steady::of(duration).span(each);
    let receiver = run.outcome.one_way(direction).receiver.as_ref();
    let second = Span::from_secs(1);
    let slow = receiver.and_then(|receiver| slow_second(&receiver.per_second, duration));
    Rates {
        offered_bit_s: load.rate_at(direction, framing, Layer::L4).map(BitRate::bits_per_second),
        goodput_bit_s: receiver.map(|receiver| rate(receiver.steady, steady).unwrap_or(0)),
        goodput_p5_bit_s: slow.map(|packets| rate(packets, second).unwrap_or(0)),
    }
}

fn tcp_rates(run: &TrialRun, direction: Direction, framing: Framing) -> Rates {
    let offered = run.trial.tcp().and_then(|load| load.rate(direction));
    let carried = TcpCarried::of(run, direction, framing.ip).filter(|_| offered.is_some());
    let rate = |octets: Option<u64>| {
        let rate = carried.as_ref()?.rate(octets?, framing, Layer::L4);
        Some(rate.map_or(0, BitRate::bits_per_second))
    };
    Rates {
        offered_bit_s: offered.map(BitRate::bits_per_second),
        goodput_bit_s: rate(carried.as_ref().and_then(TcpCarried::mean)),
        goodput_p5_bit_s: rate(carried.as_ref().and_then(|carried| carried.quantile(5))),
    }
}

/// The 5th percentile of the counts of the whole seconds of a trial, its first and last cut off:
/// the nearest rank. `None` where there are none.
fn slow_second(per_second: &Series, duration: Span) -> Option<u64> {
    let whole = usize::try_from(duration.nanos() / Span::from_secs(1).nanos()).unwrap_or(0);
    let count = |second: usize| per_second.seconds().get(second).copied().unwrap_or(0);
    let mut counts: Vec<u64> = (1..whole.saturating_sub(1)).map(count).collect();
    counts.sort_unstable();
    let rank = (counts.len() * 5).div_ceil(100);
    counts.get(rank.checked_sub(1)?).copied()
}

fn outages(run: &TrialRun, direction: Direction, counts: &OneWayCounts) -> Vec<OutageRecord> {
    let udp_ns = counts.receiver.as_ref().and_then(|receiver| receiver.began_ns);
    let tcp_ns = counts.tcp_receiver.as_ref().and_then(|receiver| receiver.began_ns);
    let began_ns = udp_ns.or(tcp_ns).unwrap_or(0);
    let has_sender = counts.sender.is_some() || counts.tcp_sender.is_some();
    let outage = |silence: &crate::account::Silence| OutageRecord {
        start_s: Span::from_nanos(silence.start_ns.saturating_sub(began_ns)).as_secs(),
        duration_s: silence.longest().as_secs(),
        packets: has_sender.then_some(silence.packets),
    };
    counts.silences.outages(outage_min(&run.trial, direction)).map(outage).collect()
}

/// `None` where TCP was not sent in this direction.
fn of_tcp(run: &TrialRun, direction: Direction, framing: Framing) -> Option<TcpFigures> {
    run.trial.tcp().filter(|load| load.directions().includes(direction))?;
    let sender = run.outcome.one_way(direction).tcp_sender.as_ref();
    let carried = TcpCarried::of(run, direction, framing.ip);
    let carried = carried.as_ref();
    let payload = |octets: u64| {
        let rate = carried.and_then(|carried| carried.rate(octets, framing, Layer::L4));
        rate.map_or(0, BitRate::bits_per_second)
    };
    let second_at = |percent| carried.and_then(|carried| carried.quantile(percent)).map(payload);
    let worst = carried.and_then(TcpCarried::worst_block);
    let change = carried.and_then(TcpCarried::level_change);
    Some(TcpFigures {
        warm_up_s: carried.map(|carried| carried.warm_up.as_secs()),
        goodput_p50_bit_s: second_at(50),
        goodput_worst_10s_bit_s: worst.map(|block| payload(block.octets)),
        goodput_worst_10s_start_s: worst.map(|block| block.second),
        goodput_min_bit_s: second_at(0),
        goodput_max_bit_s: second_at(100),
        level_change: change.map(|change| TcpLevelChange {
            start_s: change.second,
            before_bit_s: payload(change.before_octets),
            after_bit_s: payload(change.after_octets),
        }),
        goodput_seconds: carried.map(|carried| carried.seconds.len() as u64),
        retransmit_ratio: sender.and_then(|sender| retransmit_ratio(&sender.last)),
        rtt_us: sender.and_then(|sender| percentiles(&sender.round_trips)),
    })
}

fn retransmit_ratio(info: &TcpInfo) -> Option<f64> {
    let sent = info.sent_octets.filter(|sent| 0 < *sent)?;
    Some(float(info.retransmitted_octets?) / float(sent))
}

fn percentiles(delays: &Delays) -> Option<Percentiles> {
    if delays.total() == 0 {
        return None;
    }
    let quantile = |q| finite(delays.quantile(q));
    Some(Percentiles {
        min: delays.min_ns().map(micros),
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: delays.max_ns().map(micros),
        samples: delays.total(),
        lost: delays.infinite(),
    })
}

fn finite(delay: Option<Delay>) -> Option<f64> {
    match delay {
        Some(Delay::Finite(nanos)) => Some(micros(nanos)),
        Some(Delay::Infinite) | None => None,
    }
}
