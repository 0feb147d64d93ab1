//! What follows from a trial's counts: every number that a reader sees, computed once. Formats only
//! write it down, each with its unit.
//!
//! `rates` has what was offered and carried, `streams` the same of each stream; `judged` what
//! depends on the requirements.

mod delays;
mod judged;
mod rates;
mod streams;

pub(super) use judged::{layers, remark, require};

use delays::{finite, one_way_delays, percentiles};

use super::record::{
    DirectionFigures, LoadKindRecord, OutageRecord, Percentiles, Report, TimestampMethod,
    TrialFigures,
};
use crate::account::{OneWayCounts, Timestamping};
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::metric::{Criteria, JITTER_QUANTILE, float, losses, outage_min};
use crate::units::Span;

/// The figures of `run` on the link that `criteria` are about, but for those that depend on what is
/// required. What a record that was converted from format 2 has no counts of stays as it was
/// `before`.
pub(super) fn figures(run: &TrialRun, criteria: &Criteria, before: &TrialFigures) -> TrialFigures {
    let round_trip = &run.outcome.round_trip;
    let mut figures = TrialFigures {
        forward: of_direction(run, Direction::Forward, criteria),
        reverse: of_direction(run, Direction::Reverse, criteria),
        rtt_us: percentiles(&round_trip.delays),
        timestamps: method(&round_trip.timestamping),
        ..TrialFigures::default()
    };
    if run.trial.is_rounded_up() {
        keep(&mut figures.forward, &before.forward);
        keep(&mut figures.reverse, &before.reverse);
    }
    figures
}

/// When each trial began, or would have: one that was refused or never run at the end of the one
/// before it, the first at the start of the run. In the order of the trials.
pub(super) fn beginnings(report: &Report) -> Vec<&str> {
    let mut before = report.started_at.as_str();
    let mut beginnings = Vec::new();
    for trial in report.sites().flat_map(|(_, site)| &site.trials) {
        let began = trial.started_at.as_deref().unwrap_or(before);
        beginnings.push(began);
        before = trial.ended_at.as_deref().unwrap_or(began);
    }
    beginnings
}

/// Format 2 kept no histograms of lateness and of TCP's round trips, and no time at which its
/// receivers began.
fn keep(figures: &mut DirectionFigures, before: &DirectionFigures) {
    let or = |new: &mut Option<Percentiles>, old: &Option<Percentiles>| {
        *new = new.take().or_else(|| old.clone());
    };
    or(&mut figures.send_lateness_us, &before.send_lateness_us);
    if let (Some(tcp), Some(before)) = (&mut figures.tcp, &before.tcp) {
        or(&mut tcp.rtt_us, &before.rtt_us);
    }
    figures.outages.clone_from(&before.outages);
}

/// How exchanges were stamped; `None` where there were none.
fn method(timestamping: &Timestamping) -> Option<TimestampMethod> {
    (0 < timestamping.exchanges).then_some(match timestamping.by_kernel {
        0 => TimestampMethod::UserSpaceTransmit,
        _ => TimestampMethod::Kernel,
    })
}

fn of_direction(run: &TrialRun, direction: Direction, criteria: &Criteria) -> DirectionFigures {
    let counts = run.outcome.one_way(direction);
    let load = run.trial.load().filter(|load| load.directions().includes(direction));
    let (sender, receiver) = (counts.sender.as_ref(), counts.receiver.as_ref());
    let losses = losses(run, direction).filter(|losses| 0 < losses.offered);
    let has_receiver = receiver.is_some() || counts.tcp_receiver.is_some();
    let owd = counts.probes.delays.as_ref().and_then(one_way_delays);
    let owd_error_us = owd.as_ref().map(|(_, error_us)| *error_us);
    let mut figures = DirectionFigures {
        tested: run.trial.covers(direction),
        load_kind: load_kind(run, direction, criteria),
        // The receiver alone does not know what was sent behind the last that arrived.
        lost: sender.and(receiver).map(|receiver| receiver.lost()),
        loss_ratio: losses.map(|losses| float(losses.lost) / float(losses.offered)),
        outages: has_receiver.then(|| outages(run, direction, counts)),
        jitter_us: finite(counts.probes.variation.quantile(JITTER_QUANTILE)),
        jitter_rfc3550_us: counts.probes.jitter_rfc3550_ns.map(|nanos| nanos / 1e3),
        owd_us: owd.map(|(owd, _)| owd),
        owd_error_us,
        send_lateness_us: load.and(sender).and_then(|sender| percentiles(&sender.lateness)),
        burst_packets: load.map(|load| load.train(direction)),
        ..DirectionFigures::default()
    };
    match load {
        Some(load) => rates::of_udp(&mut figures, load, run, direction, criteria),
        None => rates::of_tcp(&mut figures, run, direction, criteria),
    }
    figures.streams = match load {
        Some(load) => streams::of_udp(load, counts),
        None => streams::of_tcp(figures.goodput_bit_s, counts),
    };
    figures.loss_concentrated =
        load.and_then(|load| streams::concentration(load.train(direction), counts));
    figures
}

/// `None` where the trial does not test the direction.
fn load_kind(run: &TrialRun, direction: Direction, criteria: &Criteria) -> Option<LoadKindRecord> {
    let trial = &run.trial;
    trial.covers(direction).then(|| match (trial.load(), trial.tcp()) {
        (Some(_), _) if trial.is_capacity() => LoadKindRecord::Capacity,
        (Some(_), _) if criteria.is_carried(trial, direction) => LoadKindRecord::Fixed,
        (Some(_), _) => LoadKindRecord::Overshoot,
        (None, Some(_)) => LoadKindRecord::Tcp,
        (None, None) => LoadKindRecord::Idle,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{ReceiverCounts, SenderCounts, Series, Status};
    use crate::direction::Directions;
    use crate::metric::Metric;
    use crate::metric::tests::{came, criteria, judged, outcome, sent};
    use crate::trial::{Load, LoadKind};
    use crate::units::BitRate;
    use crate::verdict::{Verdict, findings};

    /// 10 Mbit/s of load in frames of 1518 octets, 9.70 Mbit/s of it payload.
    fn forward(run: &TrialRun, criteria: &Criteria) -> DirectionFigures {
        let mut figures = figures(run, criteria, &TrialFigures::default());
        require(&mut figures, criteria, (0, run), &[]);
        figures.forward
    }

    fn requires(rate: &str) -> Criteria {
        let mut criteria = criteria();
        let required = Metric::THROUGHPUT.bounded_by(rate).expect("a rate");
        criteria.requirements.set(None, required);
        criteria
    }

    #[track_caller]
    fn near(value: Option<u64>, expected: f64) {
        let value = float(value.expect("it is known"));
        assert!((value - expected).abs() < expected / 1e3, "{value}, not {expected}");
    }

    /// 7905 packets of 1472 octets left in 9.6 s.
    #[test]
    fn goodput_is_what_left_in_the_window_and_arrived_in_its_time() {
        let all = forward(&outcome(|_| {}), &criteria());
        near(all.goodput_bit_s, 9_696_800.0);
        near(all.carried.map(|carried| carried.l2_bit_s), 9_999_825.0);
        near(all.offered_bit_s, 9_697_000.0);
        near(all.offered.map(|offered| offered.l1_bit_s), 10_131_000.0);
        // By when they were due, all of them came.
        let half = outcome(|run| judged(run).whole.carried /= 2);
        near(forward(&half, &criteria()).goodput_bit_s, 9_696_800.0 / 2.0);
        let queued = outcome(|run| judged(run).whole.rise_ns = Some(2_400_000_000));
        near(forward(&queued, &criteria()).goodput_bit_s, 9_696_800.0 * 0.8);
    }

    /// A frame of 1518 octets takes 1538 on the wire, and carries 1500 of IP and 1472 of payload.
    #[test]
    fn a_throughput_is_the_same_at_each_layer() {
        let run = outcome(|_| {});
        let evidence = crate::flow::Evidence { trials: vec![run.clone()], ..Default::default() };
        let found = findings(&criteria(), &evidence);
        let layers = |metric: Metric| {
            let its = |finding: &&crate::verdict::Finding| finding.requirement.metric() == metric;
            let finding = found.iter().find(its).expect("it is required");
            layers(finding, 9_850_000.0, &run, &criteria())
        };
        let rates = layers(Metric::THROUGHPUT).expect("a rate");
        assert_eq!(
            [rates.l1_bit_s, rates.l2_bit_s, rates.l3_bit_s, rates.l4_bit_s],
            [9_979_776, 9_850_000, 9_733_202, 9_551_515]
        );
        assert_eq!(layers(Metric::OUTAGE), None);
    }

    /// Of a trial of 10 s 4 s ran, of which 3.8 s count, and in each second 824 packets came.
    #[test]
    fn a_trial_that_was_cut_short_carried_what_it_did_in_the_time_that_it_ran() {
        let cut = |change: &dyn Fn(&mut TrialRun)| {
            outcome(|run| {
                run.outcome.status = Status::Partial;
                run.outcome.forward.throughput = None;
                let per_second = Series::from_seconds(vec![824; 4]);
                let received = ReceiverCounts { steady: 3_129, ..ReceiverCounts::default() };
                *came(run) = ReceiverCounts { per_second, ..received };
                *sent(run) = SenderCounts::default();
                change(run);
            })
        };
        let rate = |run: &TrialRun| forward(run, &criteria());
        let last_due = |run: &mut TrialRun| sent(run).last_due_ns = 4_000_000_000;
        near(rate(&cut(&last_due)).goodput_bit_s, 9_696_606.0);
        let dated = |run: &mut TrialRun| {
            (run.outcome.started_ns, run.outcome.ended_ns) = (Some(7), Some(4_000_000_007));
        };
        near(rate(&cut(&dated)).goodput_bit_s, 9_696_606.0);
        let figures = rate(&cut(&|_| {}));
        near(figures.goodput_bit_s, 9_696_606.0);
        let seconds = figures.by_second.expect("two of them are whole");
        assert_eq!((seconds.seconds, seconds.min_bit_s), (2, 9_703_424));
        assert_eq!(figures.goodput_p5_bit_s, Some(9_703_424), "no second that never ran");
        let at_once = cut(&|run| sent(run).last_due_ns = 200_000_000);
        assert_eq!(rate(&at_once).goodput_bit_s, None);
    }

    /// The load and its probes are 10.13 Mbit/s.
    #[test]
    fn headroom_is_shown_where_more_than_the_requirement_was_offered() {
        let run = outcome(|_| {});
        let all = run.trial.rate_at(Direction::Forward, criteria().framing, criteria().layer);
        let headroom = |rate: &str| forward(&run, &requires(rate)).headroom_ratio;
        let ratio = headroom("5 Mbit/s").expect("twice as much was offered");
        // 5 Mbit/s less the probes, which are some 0.13 Mbit/s.
        assert!((2.0..2.06).contains(&ratio), "{ratio}");
        assert_eq!(headroom(&all.map(|all| all.to_string()).expect("a rate")), None);
        assert_eq!(headroom("11 Mbit/s"), None, "less was offered");
        // 10 Mbit/s of load is a little more than 10 Mbit/s less the probes.
        let ratio = headroom("10 Mbit/s").expect("1.3 % more was offered");
        assert!((1.0..1.03).contains(&ratio), "{ratio}");
    }

    /// What is required of the load is the rate less what goes beside it: a load that carries it is
    /// not short of it.
    #[test]
    fn a_pass_at_just_the_rate_has_the_goodput_that_is_required() {
        let run = outcome(|_| {});
        let framing = criteria().framing;
        let all = run.trial.rate_at(Direction::Forward, framing, criteria().layer);
        let figures = forward(&run, &requires(&all.expect("a rate").to_string()));
        near(figures.required_bit_s, float(figures.goodput_bit_s.expect("known")));
    }

    #[test]
    fn what_a_load_is_for_is_distinguished() {
        let kind = |run: &TrialRun, criteria: &Criteria| forward(run, criteria).load_kind;
        let run = outcome(|_| {});
        assert_eq!(kind(&run, &criteria()), Some(LoadKindRecord::Fixed));
        let mut criteria = criteria();
        criteria.committed.forward = BitRate::new(9_000_000);
        assert_eq!(kind(&run, &criteria), Some(LoadKindRecord::Overshoot));
        let load = run.trial.load().expect("a load");
        let rate = load.rate(Direction::Forward).expect("a rate");
        let load = Load::new(Directions::Forward, 1, 1_472, rate, LoadKind::Capacity);
        let capacity = crate::trial::Trial::new(load.ok(), Span::from_secs(10)).expect("a trial");
        let capacity = TrialRun { trial: capacity, ..run.clone() };
        assert_eq!(kind(&capacity, &criteria), Some(LoadKindRecord::Capacity));
        let idle = crate::trial::Trial::new(None, Span::from_secs(10)).expect("a trial");
        assert_eq!(kind(&TrialRun { trial: idle, ..run }, &criteria), Some(LoadKindRecord::Idle));
        let reverse = figures(&capacity, &criteria, &TrialFigures::default()).reverse;
        assert_eq!((reverse.tested, reverse.load_kind), (false, None));
    }

    #[test]
    fn each_direction_and_the_round_trip_have_their_own_verdict() {
        let run = outcome(|run| judged(run).whole.carried /= 2);
        let mut criteria = criteria();
        let bound = Metric::RTT_P99.require("<= 1 ms").expect("a bound");
        criteria.requirements.set(None, bound);
        let evidence = crate::flow::Evidence { trials: vec![run.clone()], ..Default::default() };
        let found = findings(&criteria, &evidence);
        let mut figures = figures(&run, &criteria, &TrialFigures::default());
        require(&mut figures, &criteria, (0, &run), &found);
        let verdicts = &figures.verdicts;
        let of = |verdict: &Option<super::super::record::TrialVerdict>| {
            verdict.as_ref().map(|judged| judged.verdict)
        };
        assert_eq!(of(&verdicts.forward), Some(Verdict::Fail));
        assert_eq!(of(&verdicts.round_trip), Some(Verdict::Inconclusive), "no probe was sent");
        assert_eq!(of(&verdicts.reverse), None);
        let reason = verdicts.forward.as_ref().and_then(|judged| judged.reason.clone());
        assert!(reason.is_some_and(|reason| reason.starts_with(Metric::THROUGHPUT.name())));
    }
}
