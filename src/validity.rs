//! What this tester cannot vouch for: its own limits, reported as caveats, so that they are never
//! blamed on the line.

mod caveat;
mod sender;
mod tcp;

pub use caveat::{Bias, Caveat};

use crate::account::{Moved, PathMtu, ReceiverCounts, RoundTripCounts, Status};
use crate::direction::Direction;
use crate::flow::{Evidence, PROBE_STREAM, TrialRun, streams_of};
use crate::metric::{Basis, Criteria, Limit, losses, micros};
use caveat::{Concern, SHORT_MAX_PERCENT, hosts};
use sender::of_sender;

/// The caveats about `evidence`, judged on `criteria`.
#[must_use]
pub fn caveats(criteria: &Criteria, evidence: &Evidence) -> Vec<Caveat> {
    let of_trial = |(trial, run): (usize, &TrialRun)| {
        let mut caveats: Vec<Caveat> = Direction::ALL
            .into_iter()
            // UDP that goes as fast as it can is bounded by its host: its counts say all.
            .filter(|_| !run.trial.is_capacity() || run.trial.tcp().is_some())
            .flat_map(|direction| of_direction(criteria, trial, run, direction))
            .collect();
        caveats.extend(of_clocks(trial, run));
        caveats.extend(of_replies(trial, run));
        caveats.extend(of_moves(trial, run));
        caveats
    };
    let of_path = evidence.path_mtu.and_then(|path| of_path(criteria, path));
    let of_trials = evidence.trials.iter().enumerate().flat_map(of_trial);
    of_path.into_iter().chain(of_trials).collect()
}

/// A host that cannot send longer packets cannot find out whether the line carries them.
fn of_path(criteria: &Criteria, path: PathMtu) -> Option<Caveat> {
    let limits = criteria.requirements.iter().map(|(_, requirement)| requirement.limit());
    let needed = limits.filter_map(Limit::octets).max()?;
    let is_limit = path.octets == path.tried_octets && path.tried_octets < needed;
    is_limit.then(|| Caveat {
        doubts: &[Basis::Search],
        direction: None,
        trial: None,
        bias: Bias::CanOnlyWorsen,
        text: format!(
            "no packet above {} octets was tried: the MTU of this host's device, or the size that \
             was asked for, is no more. Raise it to {needed}",
            path.tried_octets
        ),
    })
}

fn of_direction(
    criteria: &Criteria,
    trial: usize,
    run: &TrialRun,
    direction: Direction,
) -> Vec<Caveat> {
    let concern = |(doubts, bias, text): Concern| {
        let (direction, trial) = (Some(direction), Some(trial));
        Caveat { doubts, direction, trial, bias, text }
    };
    let sender = of_sender(criteria, run, direction).into_iter();
    let concerns = sender.chain(of_receiver(run, direction));
    concerns.chain(tcp::of_tcp(criteria, run, direction)).map(concern).collect()
}

fn of_receiver(run: &TrialRun, direction: Direction) -> Vec<Concern> {
    let mut concerns: Vec<Concern> = Vec::new();
    let Some(came) = &run.outcome.one_way(direction).receiver else { return concerns };
    let (sender, receiver) = hosts(direction);
    if 0 < came.host_dropped {
        let text = format!(
            "{receiver} dropped {} packets in its receive buffer; they are not counted as lost. \
             Raise net.core.rmem_max there, or test at a lower rate",
            came.host_dropped
        );
        let bias = Bias::CanOnlyWorsenBy(came.host_dropped);
        concerns.push((&[Basis::LoadRate], bias, text));
    }
    if 0 < came.lost_in_excess {
        let text = format!(
            "{} of the lost packets left {sender} in a catch-up faster than the burst bound, so \
             a policer may have dropped them rightly",
            came.lost_in_excess
        );
        let bias = Bias::CanOnlyWorsenBy(came.lost_in_excess);
        concerns.push((&[Basis::LoadLosses], bias, text));
    }
    concerns.extend(of_unread(direction, came));
    concerns.extend(of_losses(run, direction, came));
    concerns.extend(of_disagreement(run, direction, came));
    concerns.extend(of_schedule(run, direction, came));
    concerns
}

/// Where a receiver kept to its own limit, what it never read is not lost on the link.
fn of_unread(direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    let (_, receiver) = hosts(direction);
    (0 < came.unread).then(|| -> Concern {
        let text = format!(
            "more than twice the datagrams that were granted arrived, and {receiver} did not read \
             {} of the streams to the end: packets among the rest may count as lost. Find what \
             copies packets, or sends to this port",
            came.unread
        );
        (&[Basis::Arrivals], Bias::CanOnlyWorsen, text)
    })
}

/// Lost packets that a host may have dropped, or that came too late to be counted.
fn of_losses(run: &TrialRun, direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    run.trial.load()?;
    let others = losses(run, direction)?.doubtful.saturating_sub(came.lost_in_excess);
    if others == 0 {
        return None;
    }
    let (sender, receiver) = hosts(direction);
    let text = match run.outcome.status {
        Status::Ok => format!(
            "up to {others} of the lost packets may have been dropped inside {sender} or \
             {receiver}, whose queues and network cards report drops for that time"
        ),
        _ => format!(
            "up to {others} of the lost packets may have arrived after the trial was cut short, \
             or may have been dropped inside {sender} or {receiver}"
        ),
    };
    Some((&[Basis::LoadLosses], Bias::CanOnlyWorsenBy(others), text))
}

/// Where what the sender counts is not what the receiver accounts for.
fn of_disagreement(run: &TrialRun, direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    let (sender, receiver) = hosts(direction);
    let accounted = came.accounted();
    let sent =
        run.outcome.one_way(direction).sender.as_ref().filter(|sent| match run.outcome.status {
            Status::Ok => sent.sent != accounted,
            // What was under way when it was cut short is in nobody's account.
            _ => sent.sent < came.received + came.late + came.corrupted,
        })?;
    let text = format!(
        "the ends disagree: {sender} sent {} packets; {} arrived, {} of them late and {} altered, \
         {} were lost, and {receiver} dropped {}",
        sent.sent,
        came.received + came.late + came.corrupted,
        came.late,
        came.corrupted,
        came.lost(),
        came.host_dropped
    );
    Some((&[Basis::Arrivals], Bias::Either, text))
}

/// Where packets name due times that leave more slots out than their sender says it never sent.
fn of_schedule(run: &TrialRun, direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    let sent = run.outcome.one_way(direction).sender.as_ref()?;
    let never_sent = sent.refused + sent.unreachable + sent.paused + sent.skipped;
    if came.slots_passed <= never_sent {
        return None;
    }
    let (sender, receiver) = hosts(direction);
    let text = format!(
        "the ends disagree: by the due times of the packets that {receiver} received, {} were \
         never sent; {sender} reports {never_sent}",
        came.slots_passed
    );
    Some((&[Basis::Arrivals], Bias::Either, text))
}

/// Streams that came to the agent from another address than before.
fn of_moves(trial: usize, run: &TrialRun) -> Vec<Caveat> {
    let caveat = |moved: &Moved| {
        let is_probes = moved.stream == PROBE_STREAM;
        let carried = streams_of(&run.trial).into_iter().find(|it| it.number == moved.stream);
        let direction = carried.filter(|_| !is_probes).map(|it| it.direction);
        let what = match moved.stream {
            PROBE_STREAM => "the probes".to_owned(),
            number => format!("stream {number}"),
        };
        let Moved { from, to, .. } = moved;
        Caveat {
            doubts: match is_probes {
                true => &[Basis::ProbeDelays, Basis::Arrivals],
                false => &[Basis::Arrivals],
            },
            direction,
            trial: Some(trial),
            bias: Bias::Either,
            text: format!(
                "{what} reached the agent from {from}, and then from {to}: a NAT on the path \
                 dropped its mapping. Packets lost before the agent followed may be due to that. \
                 Raise the NAT's UDP timeout, or run again"
            ),
        }
    };
    run.outcome.moves.iter().map(caveat).collect()
}

fn of_clocks(trial: usize, run: &TrialRun) -> Vec<Caveat> {
    let mut caveats = Vec::new();
    let mut add = |doubts, bias, text| {
        caveats.push(Caveat { doubts, direction: None, trial: Some(trial), bias, text });
    };
    if 0 < run.outcome.round_trip.clock_steps {
        add(
            &[Basis::OneWayDelays],
            Bias::Either,
            format!(
                "the offset between the two hosts' clocks changed suddenly {} times: delay \
                 variation is known only between those changes",
                run.outcome.round_trip.clock_steps
            ),
        );
    }
    let hosts = [run.outcome.driver_host, run.outcome.agent_host].into_iter().flatten();
    let wall_steps = hosts.map(|host| host.clock_steps).fold(0, u64::saturating_add);
    if 0 < wall_steps {
        add(
            &[Basis::ProbeDelays],
            Bias::Either,
            format!(
                "a wall clock was set {wall_steps} times while probes were stamped by it. Run \
                 again when time synchronisation has settled"
            ),
        );
    }
    let RoundTripCounts { late_probes, late_delay_max_ns, .. } = run.outcome.round_trip;
    let probes = run.outcome.round_trip.delays.total().saturating_add(late_probes);
    if probes.saturating_mul(SHORT_MAX_PERCENT) < late_probes.saturating_mul(100) {
        let busy = format!(
            "{late_probes} of {probes} probes were sent late by more than half their interval, \
             because this host was busy: use a host with an idle processor, or run again"
        );
        let (bias, text) = match late_delay_max_ns {
            Some(max_ns) => (
                Bias::EitherBy(late_probes),
                format!(
                    "{busy}. In time, they would have taken {:.3} ms at most",
                    micros(max_ns) / 1e3
                ),
            ),
            None => (Bias::Either, busy),
        };
        add(&[Basis::ProbeDelays], bias, text);
    }
    caveats
}

/// Probes that the agent did not answer: they are not lost on the link, but fewer round trips stand
/// for it.
fn of_replies(trial: usize, run: &TrialRun) -> Option<Caveat> {
    let received = run.outcome.forward.probes.received?;
    let withheld = received.saturating_sub(run.outcome.reverse.probes.sent?);
    let short = received.saturating_mul(SHORT_MAX_PERCENT) < withheld.saturating_mul(100);
    short.then(|| Caveat {
        doubts: &[Basis::ProbeDelays],
        direction: None,
        trial: Some(trial),
        bias: Bias::Either,
        text: format!(
            "the agent did not answer {withheld} of {received} probes that arrived: its stack \
             refused the replies, or it had reached its sending limit. Try again when it serves \
             fewer drivers, or have its operator raise --max-rate"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Outcome;
    use crate::metric::Metric;
    use crate::trial::Trial;
    use crate::units::Span;

    #[test]
    fn what_a_receiver_kept_from_reading_is_not_the_links_loss() {
        let mut run = crate::metric::tests::outcome(|_| {});
        let caveats = |run: &TrialRun| {
            let evidence = Evidence { trials: vec![run.clone()], ..Evidence::default() };
            caveats(&crate::metric::tests::criteria(), &evidence)
        };
        assert_eq!(caveats(&run), []);
        crate::metric::tests::came(&mut run).unread = 1;
        let found = caveats(&run);
        assert_eq!((found.len(), found[0].bias), (1, Bias::CanOnlyWorsen));
        assert!(found[0].touches(Metric::LOSS, Some(Direction::Forward), Some(0)));
    }

    /// One of 100 is borne: more would leave too little that the link is judged by.
    #[test]
    fn probes_that_the_agent_did_not_answer_are_a_caveat() {
        let caveat = |answered| {
            let trial = Trial::new(None, Span::from_secs(1)).expect("a trial");
            let mut outcome = Outcome::default();
            outcome.forward.probes.received = Some(100);
            outcome.reverse.probes.sent = answered;
            of_replies(0, &TrialRun { trial, outcome }).map(|caveat| caveat.text)
        };
        assert_eq!([caveat(None), caveat(Some(101)), caveat(Some(99))], [None, None, None]);
        let text = caveat(Some(98)).expect("two are missing");
        assert!(text.contains("did not answer 2 of 100 probes that arrived"), "{text}");
    }
}
