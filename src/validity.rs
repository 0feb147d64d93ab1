//! What this tester cannot vouch for: its own limits, reported as caveats, so that they are never
//! blamed on the line.

mod caveat;
mod sender;
mod tcp;

pub use caveat::{Bias, Caveat};

use crate::account::{Moved, PathMtu, ReceiverCounts, RoundTripCounts, Status};
use crate::direction::Direction;
use crate::flow::{Evidence, PROBE_STREAM, TrialRun, streams_of};
use crate::metric::{Basis, Criteria, Limit, losses, micros, unresolved_for};
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
    let concerns = sender.chain(of_receiver(run, direction)).chain(of_next_hop(run, direction));
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
            "{} of the lost packets were sent in a burst, as {sender} caught up after a stall: a \
             policer may have dropped them for that alone. Use a host with an idle processor, or \
             test at a lower rate",
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

/// Where the sending host did not know its next hop for a time: of what its kernel accepted then it
/// holds back about a hundred packets, and drops all others before the device.
fn of_next_hop(run: &TrialRun, direction: Direction) -> Vec<Concern> {
    let (sender, _) = hosts(direction);
    let Some(hop) = run.outcome.hosts(direction).0.and_then(|host| host.unresolved_next_hop) else {
        return Vec::new();
    };
    let unresolved = unresolved_for(run, direction);
    let one_way = run.outcome.one_way(direction);
    let lost = one_way.probes.sent.zip(one_way.probes.received);
    let lost = lost.map_or(u64::MAX, |(sent, received)| sent.saturating_sub(received));
    let probes = run.trial.probe_rate().packets_in(unresolved).min(lost);
    let load = losses(run, direction).map_or(0, |losses| losses.unresolved);
    // A moment of it explains no shortfall of TCP.
    let short_max_ns = run.trial.duration().nanos() / 100 * SHORT_MAX_PERCENT;
    let is_tcp = run.trial.tcp().is_some() && short_max_ns < unresolved.nanos();
    if load == 0 && probes == 0 && !is_tcp {
        return Vec::new();
    }
    let asks = if hop.address.is_ipv4() { "ARP" } else { "neighbour discovery" };
    let text = format!(
        "{sender} got no answer to {asks} from its next hop {} for up to {:.1} s, and its kernel \
         drops packets meanwhile: up to {load} lost packets of the load and {probes} lost probes \
         may never have left it. Find out why the next hop does not answer, or give it a permanent \
         entry there (ip neighbour replace {} lladdr ADDRESS dev DEVICE nud permanent)",
        hop.address,
        unresolved.as_secs(),
        hop.address,
    );
    let by = Bias::CanOnlyWorsenBy(load.saturating_add(probes));
    let udp = (&[Basis::LoadLosses, Basis::Arrivals, Basis::ProbeDelays] as &[_], by, text.clone());
    let tcp = is_tcp.then_some((&[Basis::TcpStream] as &[_], Bias::CanOnlyWorsen, text));
    std::iter::once(udp).chain(tcp).collect()
}

/// Where a receiver kept to its own limit, what it never read is not lost on the link.
fn of_unread(direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    let (_, receiver) = hosts(direction);
    (0 < came.unread).then(|| -> Concern {
        let text = format!(
            "more than twice as many packets arrived as were due, and {receiver} stopped reading \
             {} of the streams before the end: some packets counted as lost may have arrived. \
             Find what copies packets on the path, or sends to this port",
            came.unread
        );
        (&[Basis::Arrivals], Bias::CanOnlyWorsen, text)
    })
}

/// Lost packets that a host may have dropped, or that came too late to be counted.
fn of_losses(run: &TrialRun, direction: Direction, came: &ReceiverCounts) -> Option<Concern> {
    run.trial.load()?;
    let losses = losses(run, direction)?;
    let others = losses.doubtful.saturating_sub(came.lost_in_excess + losses.unresolved);
    if others == 0 {
        return None;
    }
    let (sender, receiver) = hosts(direction);
    let text = match run.outcome.status {
        Status::Ok => format!(
            "up to {others} of the lost packets may have been dropped inside {sender} or \
             {receiver}, whose queues and network cards report drops for that time. Test at a \
             lower rate, or find the drops with ip -s link"
        ),
        _ => format!(
            "up to {others} of the lost packets may have arrived after the trial was cut short, \
             or may have been dropped inside {sender} or {receiver}. Run it again to the end"
        ),
    };
    Some((&[Basis::LoadLosses], Bias::CanOnlyWorsenBy(others), text))
}

/// What to do where the ends disagree.
const DISAGREE_ADVICE: &str = "Run again; if they still disagree, something between the two \
                               programs copies, removes or rewrites packets";

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
         {} were lost, and {receiver} dropped {}. {DISAGREE_ADVICE}",
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
    let never_sent = sent.refused + sent.unreachable + sent.paused + sent.skipped + sent.ramped;
    if came.slots_passed <= never_sent {
        return None;
    }
    let (sender, receiver) = hosts(direction);
    let text = format!(
        "the ends disagree: the packets that {receiver} received show that {} were never sent, \
         and {sender} reports {never_sent}. {DISAGREE_ADVICE}",
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
                "the offset between the two hosts' clocks jumped {} times, so that delay variation \
                 is known only between the jumps. Run again when time synchronisation has settled",
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
        let busy =
            format!("{late_probes} of {probes} probes were sent late, because this host was busy");
        let text = match late_delay_max_ns {
            Some(max_ns) => format!(
                "{busy}. Sent on time, they would have taken up to {:.3} ms. {IDLE_HOST}",
                micros(max_ns) / 1e3
            ),
            None => format!(
                "{busy}. Sent on time, those that were lost may have been answered. {IDLE_HOST}"
            ),
        };
        add(&[Basis::ProbeDelays], Bias::EitherBy(late_probes), text);
    }
    caveats
}

/// What to do where this host was busy while it probed.
const IDLE_HOST: &str = "Use a host with an idle processor, or run again";

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
    use crate::stats::loss_bursts::LossBursts;
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

    /// All that may be said of a UDP load: a reader who knows neither program can act on it.
    #[test]
    fn each_caveat_ends_with_what_to_do() {
        let mut run = crate::metric::tests::outcome(|_| {});
        let came = crate::metric::tests::came(&mut run);
        (came.unread, came.host_dropped, came.lost_in_excess) = (1, 1, 1);
        came.slots_passed = u64::MAX;
        let sent = crate::metric::tests::sent(&mut run);
        (sent.skipped, sent.metered) = (sent.sent / 10, 1);
        run.outcome.moves.push(Moved {
            stream: PROBE_STREAM,
            from: "192.0.2.1:1".parse().expect("an address"),
            to: "192.0.2.1:2".parse().expect("an address"),
        });
        run.outcome.round_trip.clock_steps = 1;
        run.outcome.round_trip.late_probes = 1_000;
        run.outcome.forward.probes.received = Some(100);
        run.outcome.reverse.probes.sent = Some(1);
        let host = crate::account::HostCounts { clock_steps: 1, ..Default::default() };
        run.outcome.driver_host = Some(host);
        let evidence = Evidence { trials: vec![run], ..Evidence::default() };
        let found = caveats(&crate::metric::tests::criteria(), &evidence);
        assert!(9 <= found.len(), "{found:#?}");
        for Caveat { text, .. } in &found {
            let last = text.rsplit(". ").next().unwrap_or_default();
            let advice = ["Use ", "Test ", "Run ", "Raise ", "Find ", "Try "];
            assert!(advice.iter().any(|verb| last.starts_with(verb)), "{text}");
        }
    }

    #[test]
    fn what_a_host_may_have_kept_back_for_want_of_its_next_hop_is_named() {
        let mut run = crate::metric::tests::kept_back(700, 1_000);
        let found = of_next_hop(&run, Direction::Forward);
        let [(_, Bias::CanOnlyWorsenBy(720), text)] = found.as_slice() else { panic!("{found:?}") };
        let words = "this host got no answer to ARP from its next hop 10.1.1.1 for up to 1.0 s";
        let counts = "up to 700 lost packets of the load and 20 lost probes";
        assert!(text.contains(words) && text.contains(counts), "{text}");
        assert_eq!(of_next_hop(&run, Direction::Reverse), []);
        run.outcome.forward.probes.received = run.outcome.forward.probes.sent;
        crate::metric::tests::came(&mut run).losses = LossBursts::default();
        assert_eq!(of_next_hop(&run, Direction::Forward), [], "nothing was lost");
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
