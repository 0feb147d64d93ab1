//! What a load offered, and what was carried of it.

use super::delays::percentiles;
use crate::account::{SenderCounts, Status, TcpInfo};
use crate::direction::Direction;
use crate::flow::{Steady, TrialRun};
use crate::framing::Layer;
use crate::metric::{Criteria, TcpCarried, carried_packets, float};
use crate::report::record::{
    DirectionFigures, LayerRates, SecondFigures, TcpFigures, TcpLevelChange, TcpLimits,
};
use crate::stats::count;
use crate::trial::{Load, TcpLoad};
use crate::units::{BitRate, PacketRate, Span};

const SECOND: Span = Span::from_secs(1);

/// A rate in bit/s, 0 for none.
fn bits(rate: Option<BitRate>) -> u64 {
    rate.map_or(0, BitRate::bits_per_second)
}

/// Fills in what a load of UDP offered and what was carried of it.
pub(super) fn of_udp(
    figures: &mut DirectionFigures,
    load: &Load,
    run: &TrialRun,
    direction: Direction,
    criteria: &Criteria,
) {
    let (framing, layer) = (criteria.framing, criteria.layer);
    let Some(each) = load.stream_rate(direction) else { return };
    let payload = load.payload();
    let offered = LayerRates::from_fn(|layer| bits(load.rate_at(direction, framing, layer)));
    let all = run.trial.rate_at(direction, framing, layer).filter(|_| !run.trial.is_rounded_up());
    figures.offered_in_all_bit_s = Some(all.map_or(offered.at(layer), BitRate::bits_per_second));
    figures.offered = Some(offered);
    figures.offered_bit_s = Some(offered.l4_bit_s);
    let offered_s = float(offered.l4_bit_s) / 8.0 / f64::from(payload.max(1));
    figures.carried = carried(run, direction, each).map(|packets_s| {
        // Of trains that are as long as the kernel takes, one more may arrive in the window than
        // left in it.
        let is_capacity = run.trial.is_capacity();
        let packets_s = if is_capacity { packets_s.min(offered_s) } else { packets_s };
        let octets = |layer| f64::from(framing.octets_at(layer, payload));
        LayerRates::from_fn(|layer| count((packets_s * octets(layer) * 8.0).round()))
    });
    figures.goodput_bit_s = figures.carried.map(|carried| carried.l4_bit_s);
    let mut seconds = whole_seconds(run, direction);
    let rate = |packets: u64| bits(framing.bit_rate(packets, SECOND, Layer::L4, payload));
    let number = seconds.len() as u64;
    seconds.sort_unstable();
    // The nearest rank.
    let slow = (seconds.len() * 5).div_ceil(100).checked_sub(1);
    figures.goodput_p5_bit_s = slow.and_then(|slow| seconds.get(slow)).copied().map(rate);
    figures.by_second = seconds.first().zip(seconds.last()).map(|(min, max)| SecondFigures {
        seconds: number,
        min_bit_s: rate(*min),
        mean_bit_s: rate(seconds.iter().sum::<u64>() / number.max(1)),
        max_bit_s: rate(*max),
    });
}

/// Packets of a load per second that were carried, in streams of `each`; `None` where nobody
/// reported what arrived.
///
/// Without the evidence that throughput is judged by, it is what was received of the steady part of
/// the trial, as far as that ran: by when packets were due, or of a load as fast as possible, of
/// which most were never sent, by when they arrived.
fn carried(run: &TrialRun, direction: Direction, each: PacketRate) -> Option<f64> {
    let receiver = run.outcome.one_way(direction).receiver.as_ref()?;
    if let Some(packets_s) = carried_packets(run, direction) {
        return Some(packets_s);
    }
    let steady = Steady::of_trial(&run.trial);
    let whole_ns = steady.span(each).nanos();
    let ran_ns = match ran(run, direction) {
        Some(ran) => ran.nanos().min(steady.until_ns()).saturating_sub(steady.from_ns()),
        None => whole_ns,
    };
    let is_capacity = run.trial.is_capacity();
    let packets = if is_capacity { receiver.steady_on_time } else { receiver.steady };
    let seconds = Span::from_nanos(ran_ns.min(whole_ns)).as_secs();
    (0.0 < seconds).then(|| float(packets) / seconds)
}

/// How long a trial that was cut short ran; `None` for one that ran to its end.
fn ran(run: &TrialRun, direction: Direction) -> Option<Span> {
    if run.outcome.status == Status::Ok {
        return None;
    }
    let one_way = run.outcome.one_way(direction);
    let sent = one_way.sender.as_ref();
    let sent_ns = sent.map(|sent| sent.last_due_ns).filter(|due_ns| 0 < *due_ns);
    let (started_ns, ended_ns) = (run.outcome.started_ns, run.outcome.ended_ns);
    let dated_ns = started_ns.zip(ended_ns).map(|(start, end)| end.saturating_sub(start));
    let seen = || SECOND.nanos().saturating_mul(seconds_seen(run, direction) as u64);
    Some(Span::from_nanos(sent_ns.or(dated_ns).unwrap_or_else(seen)))
}

/// Seconds in which either end saw something of the load.
fn seconds_seen(run: &TrialRun, direction: Direction) -> usize {
    let one_way = run.outcome.one_way(direction);
    let came = one_way.receiver.as_ref().map_or(0, |came| came.per_second.seconds().len());
    let sent = |sent: &SenderCounts| sent.per_second.seconds().len();
    one_way.sender.as_ref().map_or(0, sent).max(came)
}

/// What arrived in each whole second of a trial as far as it ran, its first and last cut off: they
/// are partial.
fn whole_seconds(run: &TrialRun, direction: Direction) -> Vec<u64> {
    let Some(receiver) = &run.outcome.one_way(direction).receiver else { return Vec::new() };
    let planned = run.trial.duration().nanos() / SECOND.nanos();
    let planned = usize::try_from(planned).unwrap_or(usize::MAX);
    let whole = match run.outcome.status {
        Status::Ok => planned,
        _ => planned.min(seconds_seen(run, direction)),
    };
    let count = |second: usize| receiver.per_second.seconds().get(second).copied().unwrap_or(0);
    (1..whole.saturating_sub(1)).map(count).collect()
}

/// Fills in what a load of TCP offered and what was carried of it, where there was one.
pub(super) fn of_tcp(
    figures: &mut DirectionFigures,
    run: &TrialRun,
    direction: Direction,
    criteria: &Criteria,
) {
    let (framing, layer) = (criteria.framing, criteria.layer);
    let Some(load) = run.trial.tcp().filter(|load| load.rate(direction).is_some()) else { return };
    figures.offered_bit_s = Some(bits(load.rate(direction)));
    let offered = LayerRates::from_fn(|layer| bits(load.rate_at(direction, framing, layer)));
    figures.offered = Some(offered);
    figures.offered_in_all_bit_s = Some(offered.at(layer));
    let carried = TcpCarried::of(run, direction, framing.ip);
    let payload = |octets: u64| {
        bits(carried.as_ref().and_then(|carried| carried.rate(octets, framing, Layer::L4)))
    };
    let carried = carried.as_ref();
    figures.goodput_bit_s = carried.and_then(TcpCarried::mean).map(payload);
    figures.goodput_p5_bit_s = carried.and_then(|carried| carried.quantile(5)).map(payload);
    figures.carried = carried.and_then(|carried| {
        let worst = carried.worst_block().map(|block| block.octets);
        let octets = worst.or_else(|| carried.quantile(50))?;
        Some(LayerRates::from_fn(|layer| bits(carried.rate(octets, framing, layer))))
    });
    figures.tcp = Some(tcp_figures(run, load, direction, carried, payload));
}

fn tcp_figures(
    run: &TrialRun,
    load: &TcpLoad,
    direction: Direction,
    carried: Option<&TcpCarried>,
    payload: impl Fn(u64) -> u64,
) -> TcpFigures {
    let sender = run.outcome.one_way(direction).tcp_sender.as_ref();
    let second_at = |percent| carried.and_then(|carried| carried.quantile(percent)).map(&payload);
    let worst = carried.and_then(TcpCarried::worst_block);
    let change = carried.and_then(TcpCarried::level_change);
    TcpFigures {
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
        limits: sender.and_then(|sender| limits(&sender.last, run, load)),
    }
}

fn retransmit_ratio(info: &TcpInfo) -> Option<f64> {
    let sent = info.sent_octets.filter(|sent| 0 < *sent)?;
    Some(float(info.retransmitted_octets?) / float(sent))
}

/// What held TCP back, as shares of its streams' time: of a trial that was cut short, of the time
/// in which they had something to send.
fn limits(info: &TcpInfo, run: &TrialRun, load: &TcpLoad) -> Option<TcpLimits> {
    let busy = info.busy_us.filter(|busy| 0 < *busy)?;
    let (window, buffer) = (info.receiver_limited_us?, info.buffer_limited_us?);
    let time = match run.outcome.status {
        Status::Ok => (run.trial.duration().nanos() / 1_000).saturating_mul(load.streams().into()),
        _ => 0,
    };
    let all = busy.max(time);
    let share = |part: u64| float(part) / float(all);
    Some(TcpLimits {
        network_ratio: share(busy.saturating_sub(window).saturating_sub(buffer)),
        receive_window_ratio: share(window),
        send_buffer_ratio: share(buffer),
        idle_ratio: share(all - busy),
    })
}
