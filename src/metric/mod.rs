//! The metrics: what each is, its unit, and how it follows from what happened in a trial.
//!
//! | metric | unit | what it is | source |
//! |---|---|---|---|
//! | throughput | bit/s | what of a fixed-rate UDP load and its probes left in the window and arrived in its time | RFC 2544, 26.1; Y.1564, CIR test |
//! | tcp_throughput | bit/s | the worst run of 10 whole seconds that TCP's receiver got after its warm-up | RFC 6349; RFC 9097, 1 s intervals |
//! | loss | ratio | UDP load packets lost or later than 2 s, of those sent | RFC 7680 |
//! | rtt_p99 | us | 99th percentile of the round trip, over probes sent | RFC 2681 |
//! | rtt_p99_loaded | us | the same beside any load, TCP and overshoot included | |
//! | jitter | us | one-way delay variation of the probes that arrived, 99.9th percentile less the least | Y.1540; RFC 5481, PDV |
//! | outage | s | the longest time without an arrival while packets were sent | |
//! | path_mtu | octets | the largest IP packet that crosses both ways in one piece | RFC 8899 |
//!
//! A number comes with what is known of it: bounds where it was sampled, or that it was counted;
//! or with the reason why there is none. Never 0 for "no result".

mod criteria;
mod due_throughput;
mod loss;
mod outage;
mod requirement;
mod tcp_throughput;
mod throughput;

pub(crate) use criteria::float;
pub use criteria::{Criteria, Measured, micros};
pub use loss::{LossProof, Losses, losses, pooled_loss};
pub use outage::{OUTAGE_INTERVALS, can_resolve, outage_min, packet_interval, silence_min};
pub use requirement::{Bound, FORGIVEN_MIN, Metric, OneWay, Requirement, Requirements, RoundTrip};
pub use tcp_throughput::{TCP_SECONDS_MIN, TcpCarried};
pub use throughput::{
    SenderShortage, carried_packets, is_throughput_open, judges_throughput, sender_shortage,
};

use crate::account::{PathMtu, RoundTripCounts, Status};
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::framing::IpVersion;
use crate::stats::confidence::Confidence;
use crate::stats::delays::{Delay, Delays};
use crate::trial::Trial;
use crate::units::BitRate;
use loss::loss;
use outage::longest_outage;
use tcp_throughput::tcp_throughput;
use throughput::{beside, is_open_in, throughput};

/// The percentile of a round trip that is judged.
pub const RTT_QUANTILE: f64 = 0.99;

/// That of the delay variation that is jitter.
pub const JITTER_QUANTILE: f64 = 0.999;

/// One metric of one trial and direction, beside what is required of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The trial: its place among those of its site; `None` where it is of no single trial.
    pub trial: Option<usize>,
    /// The direction; `None` for the round trip.
    pub direction: Option<Direction>,
    /// What is required.
    pub requirement: Requirement,
    /// What was measured.
    pub measured: Measured,
}

/// The unit of a metric's numbers in reports.
#[must_use]
pub const fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput | Metric::TcpThroughput => "bit/s",
        Metric::Loss => "ratio",
        Metric::RttP99 | Metric::RttP99Loaded | Metric::Jitter => "us",
        Metric::Outage => "s",
        Metric::PathMtu => "octets",
    }
}

/// A requirement as a bound in its metric's unit.
#[must_use]
pub fn bound(requirement: Requirement) -> Bound {
    match requirement {
        Requirement::Throughput(rate) | Requirement::TcpThroughput(rate) => {
            Bound::AtLeast(float(rate.bits_per_second()))
        }
        Requirement::Loss(ratio) => Bound::AtMost(ratio.as_fraction()),
        Requirement::RttP99(span) | Requirement::RttP99Loaded(span) | Requirement::Jitter(span) => {
            Bound::AtMost(micros(span.nanos()))
        }
        Requirement::Outage(span) => Bound::AtMost(span.as_secs()),
        Requirement::PathMtu(octets) => Bound::AtLeast(octets.into()),
    }
}

/// All that `evidence` has to say to one requirement, trial by trial; `direction` is `None` for the
/// round trip.
#[must_use]
pub fn measure(
    criteria: &Criteria,
    evidence: &Evidence,
    direction: Option<Direction>,
    requirement: Requirement,
) -> Vec<Measurement> {
    let of = |trial, measured| Measurement { trial, direction, requirement, measured };
    let of_path = match (requirement, evidence.path_mtu) {
        (Requirement::PathMtu(octets), Some(path)) => Some(of(None, path_mtu(path, octets))),
        _ => None,
    };
    let of_trial = |(trial, run)| {
        let measured = match direction {
            None => of_round_trip(criteria, requirement, run),
            Some(direction) => of_direction(criteria, requirement, run, direction),
        };
        let measured = match requirement {
            Requirement::TcpThroughput(_) => beside_black_hole(criteria, evidence, measured?),
            _ => measured?,
        };
        Some(of(Some(trial), measured))
    };
    of_path.into_iter().chain(evidence.trials.iter().enumerate().filter_map(of_trial)).collect()
}

/// Whether the throughput that is required of `direction` is not judged by `trial`: it proved
/// neither PASS nor FAIL there, and ran again for longer to its end. What it proved stands,
/// whatever the second trial, which may be for the other direction, shows.
#[must_use]
pub fn is_superseded(
    criteria: &Criteria,
    evidence: &Evidence,
    direction: Direction,
    trial: usize,
) -> bool {
    let again = evidence.trials.get(trial + 1);
    again.is_some_and(|again| again.trial.is_lengthened() && again.outcome.status == Status::Ok)
        && is_open_in(criteria, &evidence.trials[trial], direction)
}

/// What of `path` stalls applications without an ICMP error; `None` where there is no such thing.
#[must_use]
pub fn black_hole(path: PathMtu, ip: IpVersion) -> Option<String> {
    let octets = path.octets;
    let segment = octets.saturating_sub(ip.tcp_overhead_octets(false));
    path.is_black_hole().then(|| {
        format!(
            "packets above {octets} octets vanish and no ICMP says so (black hole): applications' \
             TCP stalls here unless its MSS is clamped to {segment}"
        )
    })
}

/// TCP was clamped to what crosses, as applications are not: where a black hole is smaller than the
/// MTU that was ordered, or else the device's, what TCP carried proves nothing for them, unless the
/// plan says that their segments are clamped too.
fn beside_black_hole(criteria: &Criteria, evidence: &Evidence, measured: Measured) -> Measured {
    let hole = evidence.path_mtu.filter(|path| {
        let ordered = criteria.requirements.round_trip.path_mtu;
        path.octets < ordered.unwrap_or(path.tried_octets)
    });
    let text = hole.and_then(|path| black_hole(path, criteria.framing.ip));
    match (measured, text.filter(|_| !criteria.requirements.mss_clamped)) {
        (Measured::Counted { value, meets: Some(true), counts, .. }, Some(text)) => {
            let counts =
                format!("{counts}; but {text}. If it is, say mss_clamped = true in the plan");
            Measured::Counted { value, meets: None, meets_at_best: None, proven: None, counts }
        }
        (measured, _) => measured,
    }
}

fn path_mtu(path: PathMtu, needed: u32) -> Measured {
    let meets = Some(needed <= path.octets);
    let counts =
        format!("{} octets cross both ways, of {} that were tried", path.octets, path.tried_octets);
    Measured::Counted {
        value: path.octets.into(),
        meets,
        meets_at_best: meets,
        proven: None,
        counts,
    }
}

/// `None` where the trial does not speak to the requirement.
fn of_round_trip(
    criteria: &Criteria,
    requirement: Requirement,
    run: &TrialRun,
) -> Option<Measured> {
    let speaks = match requirement.metric() {
        Metric::RttP99 => criteria.is_at_ease(&run.trial),
        Metric::RttP99Loaded => !run.trial.is_idle(),
        _ => false,
    };
    let delays = &run.outcome.round_trip.delays;
    speaks.then(|| percentile(run, delays, RTT_QUANTILE, criteria.confidence()))
}

/// `None` where the trial does not speak to the requirement in this direction.
fn of_direction(
    criteria: &Criteria,
    requirement: Requirement,
    run: &TrialRun,
    direction: Direction,
) -> Option<Measured> {
    let one_way = run.outcome.one_way(direction);
    let carried = || run.trial.load().filter(|_| criteria.is_carried(&run.trial, direction));
    let at_ease = criteria.is_at_ease(&run.trial);
    if !run.trial.covers(direction) {
        return None;
    }
    match requirement {
        Requirement::Throughput(rate) => throughput(criteria, run, carried()?, direction, rate),
        Requirement::TcpThroughput(rate) => {
            tcp_throughput(criteria, run, run.trial.tcp()?, direction, rate)
        }
        Requirement::Loss(_) => carried().map(|_| loss(criteria, run, direction)),
        Requirement::Jitter(_) => {
            let variation = &one_way.probes.variation;
            at_ease.then(|| percentile(run, variation, JITTER_QUANTILE, criteria.confidence()))
        }
        Requirement::Outage(most) => {
            // A queue that TCP fills delays and drops; it does not fall silent.
            let speaks = at_ease || run.trial.tcp().is_some();
            if speaks { longest_outage(run, one_way, direction, most) } else { None }
        }
        Requirement::RttP99(_) | Requirement::RttP99Loaded(_) | Requirement::PathMtu(_) => None,
    }
}

/// The payload that the requirements ask of the load of `trial` in `direction`: the rate that is
/// required is that of all that is sent, so that UDP need not carry what goes beside it. `None`
/// where they ask none of it.
#[must_use]
pub fn required_goodput(
    criteria: &Criteria,
    trial: &Trial,
    direction: Direction,
) -> Option<BitRate> {
    let required = criteria.requirements.each.get(direction);
    let (framing, layer) = (criteria.framing, criteria.layer);
    if !trial.directions()?.includes(direction) {
        return None;
    }
    match (trial.load(), trial.tcp()) {
        (Some(load), _) => {
            let is_beside = !trial.is_rounded_up();
            let beside = if is_beside { beside(criteria, trial, load, direction) } else { 0 };
            let rest = required.throughput?.bits_per_second().saturating_sub(beside);
            framing.goodput(BitRate::new(rest)?, layer, load.payload())
        }
        (None, Some(load)) => {
            let segment = load.segment(framing.ip);
            framing.tcp_goodput(required.tcp_throughput?, layer, segment, true)
        }
        (None, None) => None,
    }
}

/// The percentile of `delays`, which are among what the probes of `run` showed.
///
/// A probe that left late is in no percentile, but it bounds what it would have shown in time: a
/// path that keeps packets in order cannot have held it for longer than until its reply came. At
/// worst it took that long, at best no time at all.
fn percentile(run: &TrialRun, delays: &Delays, quantile: f64, confidence: Confidence) -> Measured {
    let Some(value) = delays.quantile(quantile) else {
        return Measured::Missing("no probe that was sent on time came back".into());
    };
    let (low, high) = delays.bounds(quantile, confidence);
    let finite = |delay: Delay| match delay {
        Delay::Finite(nanos) => Some(micros(nanos)),
        Delay::Infinite => None,
    };
    let RoundTripCounts { late_probes, late_delay_max_ns, .. } = run.outcome.round_trip;
    let with_late = |delay_ns| {
        let mut delays = delays.clone();
        delays.record_many(delay_ns, late_probes);
        delays.bounds(quantile, confidence)
    };
    let at_worst = late_delay_max_ns.map_or(high, |max_ns| with_late(max_ns).1);
    Measured::Sampled {
        value: finite(value),
        low: low.and_then(finite),
        high: high.and_then(finite),
        low_at_best: with_late(0).0.map(|low| finite(low).unwrap_or(f64::INFINITY)),
        high_at_worst: at_worst.and_then(finite),
        unbounded: low == Some(Delay::Infinite),
        samples: delays.total(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::OneWayCounts;
    use crate::account::{Outcome, ReceiverCounts, SenderCounts, Silence, Silences};
    use crate::account::{ThroughputEvidence, TransitFit};
    use crate::direction::Directions;
    use crate::framing::{Framing, IpVersion, Layer};
    use crate::metric::Requirements;
    use crate::trial::{Load, LoadKind};
    use crate::units::Span;

    const MS: u64 = 1_000_000;

    /// 10 Mbit/s in frames of 1518 octets: 8235 packets in 10 s, 7905 in the steady 9.6 s.
    pub(super) const SLOTS: u64 = 7_905;
    const SENT: u64 = 8_235;

    pub(crate) fn criteria() -> Criteria {
        let mut requirements = Requirements::default();
        requirements.set(None, throughput());
        requirements.set(None, Requirement::Outage(Span::from_secs(1)));
        Criteria::plain(requirements, IpVersion::V4)
    }

    /// A trial that sent and received all, changed by `change`.
    pub(crate) fn outcome(change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate: BitRate = "10 Mbit/s".parse().expect("a rate");
        let rate = Framing::plain(IpVersion::V4).packet_rate(rate, Layer::L2, 1_472);
        let load =
            Load::new(Directions::Forward, 1, 1_472, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let sent = SenderCounts { sent: SENT, steady: SLOTS, ..SenderCounts::default() };
        let counts = ReceiverCounts {
            received: SENT,
            steady: SLOTS,
            steady_on_time: SLOTS,
            ..ReceiverCounts::default()
        };
        run.outcome.forward =
            OneWayCounts { sender: Some(sent), receiver: Some(counts), ..OneWayCounts::default() };
        let whole = fit(9_600, SLOTS);
        let last_third = fit(3_200, SLOTS / 3);
        let evidence = ThroughputEvidence { whole, last_third, ..ThroughputEvidence::default() };
        run.outcome.forward.throughput = Some(evidence);
        change(&mut run);
        run
    }

    /// So many ms of load of which nothing was lost and no queue grew.
    const fn fit(duration_ms: u64, packets: u64) -> TransitFit {
        TransitFit {
            duration_ns: duration_ms * MS,
            sent: packets,
            carried: packets,
            rise_ns: Some(0),
            spread_ns: Some(0),
            held_ns: 0,
        }
    }

    /// What its throughput is judged by.
    pub(crate) fn judged(run: &mut TrialRun) -> &mut ThroughputEvidence {
        run.outcome.forward.throughput.as_mut().expect("it has it")
    }

    pub(super) fn measured(requirement: Requirement, run: &TrialRun) -> Option<Measured> {
        of_direction(&criteria(), requirement, run, Direction::Forward)
    }

    pub(super) fn gaps(start_ms: u64, end_ms: u64, offered: bool) -> Silences {
        let (start_ns, end_ns) = (start_ms * MS, end_ms * MS);
        let gap = Silence { start_ns, end_ns, offered, ..Silence::default() };
        Silences::from_vec(vec![gap]).expect("one gap")
    }

    #[track_caller]
    pub(super) fn check(requirement: Requirement, run: &TrialRun, expected: Option<bool>) {
        let Counts { meets, counts, .. } = counted(measured(requirement, run));
        assert_eq!(meets, expected, "{counts}");
    }

    /// [`Measured::Counted`].
    pub(super) struct Counts {
        pub(super) value: f64,
        pub(super) meets: Option<bool>,
        pub(super) meets_at_best: Option<bool>,
        pub(super) proven: Option<f64>,
        pub(super) counts: String,
    }

    #[track_caller]
    pub(super) fn counted(measured: Option<Measured>) -> Counts {
        let Some(Measured::Counted { value, meets, meets_at_best, proven, counts }) = measured
        else {
            panic!("not counted: {measured:?}")
        };
        Counts { value, meets, meets_at_best, proven, counts }
    }

    pub(super) fn throughput() -> Requirement {
        Requirement::Throughput("10 Mbit/s".parse().expect("a rate"))
    }

    pub(crate) fn came(run: &mut TrialRun) -> &mut ReceiverCounts {
        run.outcome.forward.receiver.as_mut().expect("it has one")
    }

    pub(crate) fn sent(run: &mut TrialRun) -> &mut SenderCounts {
        run.outcome.forward.sender.as_mut().expect("it has one")
    }

    /// 986 round trips of 10 ms, and 14 probes that left late.
    fn with_late(late_delay_max_ms: Option<u64>) -> Measured {
        let mut run = outcome(|_| {});
        run.outcome.round_trip.delays.record_many(10 * MS, 986);
        run.outcome.round_trip.late_probes = 14;
        run.outcome.round_trip.late_delay_max_ns = late_delay_max_ms.map(|ms| ms * MS);
        percentile(&run, &run.outcome.round_trip.delays, 0.99, Confidence::P95)
    }

    #[test]
    fn late_probes_count_at_worst_from_when_they_were_due_and_at_best_as_no_delay() {
        let Measured::Sampled { low, high, low_at_best, high_at_worst, .. } = with_late(Some(40))
        else {
            panic!("not sampled")
        };
        let ms = |us: Option<f64>| us.map(|us| (us / 1e3).round());
        assert_eq!((ms(low), ms(high)), (Some(10.0), Some(10.0)));
        assert_eq!((ms(low_at_best), ms(high_at_worst)), (Some(10.0), Some(40.0)));
        let Measured::Sampled { high, high_at_worst, .. } = with_late(None) else {
            panic!("not sampled")
        };
        assert_eq!(high_at_worst, high, "unbounded ones are a caveat of their own kind");
    }

    #[test]
    fn what_is_offered_too_slowly_or_above_what_is_committed_says_nothing() {
        let measured = |criteria: &Criteria, rate: &str| {
            let required = Requirement::Throughput(rate.parse().expect("a rate"));
            of_direction(criteria, required, &outcome(|_| {}), Direction::Forward)
        };
        let mut criteria = criteria();
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        assert_eq!(measured(&criteria, "10.2 Mbit/s"), None, "10.13 Mbit/s with its probes");
        criteria.committed.forward = Some("10.2 Mbit/s".parse().expect("a rate"));
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        criteria.committed.forward = Some("10 Mbit/s".parse().expect("a rate"));
        assert_eq!(measured(&criteria, "9.9 Mbit/s"), None, "overshoot");
        let outage = Requirement::Outage(Span::from_secs(1));
        assert_eq!(of_direction(&criteria, outage, &outcome(|_| {}), Direction::Forward), None);
        assert!(
            of_round_trip(&criteria, Requirement::RttP99(Span::default()), &outcome(|_| {}))
                .is_none()
        );
        let loaded = Requirement::RttP99Loaded(Span::default());
        assert!(of_round_trip(&criteria, loaded, &outcome(|_| {})).is_some());
    }
}
