//! One trial over a link of known truth: the product's own sender, prober and receiver in virtual
//! time, and its own evidence.

use super::link::{Link, Passed, Spec};
use linkqual::account::{OneWayCounts, Outcome, ReceiverCounts, ReflectorCounts, Status};
use linkqual::clock::{Agent, Driver, Stamp};
use linkqual::flow::{
    Arrived, Closing, End, Next, Outgoing, Probed, Prober, Receiver, Sender, TrialRun, streams_of,
};
use linkqual::trial::Trial;
use linkqual::units::Span;
use linkqual::wire::Token;
use linkqual::wire::probe::Reply;
use std::collections::VecDeque;

/// The driver's clock when the load begins, and the agent's.
const DRIVER_NS: u64 = 50_000_000_000;
const AGENT_NS: u64 = 7_000_000_000;

/// What is cut off each end of the truth as of the measurement.
const EDGE: f64 = 0.2;

/// Octets of a load packet and of a probe at the layer that the link counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) load: f64,
    pub(crate) probe: f64,
}

/// What happened, and what is true.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) run: TrialRun,
    /// What of the load left the bottleneck in the steady part, of what was due in it.
    pub(crate) forwarded: f64,
    /// Packets due in the steady part.
    pub(crate) packets: f64,
}

struct Left {
    at_ns: u64,
    sequence: u64,
    due_ns: u64,
    sent_ns: u64,
}

/// Plays `trial`, whose load goes forward alone, over the link of `spec`; the agent's clock runs
/// `skew` times faster.
#[expect(clippy::too_many_lines, reason = "one trial from its first packet to its evidence")]
pub(crate) fn play(trial: Trial, spec: Spec, sizes: Sizes, skew: f64) -> Played {
    let mut link = Link::new(spec);
    let streams = streams_of(&trial);
    let [probes, load] = streams[..] else { unreachable!("one load stream, forward") };
    let mut sender = Sender::<Driver>::new(load, Stamp::from_nanos(DRIVER_NS));
    let left = send(&mut sender, &link.held());
    let mut prober = Prober::new(probes, Stamp::from_nanos(DRIVER_NS));
    let mut receiver = Receiver::<Agent>::new(load, agent(0.0, skew));
    let mut left = left.into_iter().peekable();
    let mut replies: VecDeque<(u64, Reply)> = VecDeque::new();
    let (mut now, mut served, mut reflected) = (DRIVER_NS, 0_u64, 0_u64);
    let until = spec.duration - EDGE;
    loop {
        while let Some((back, reply)) = replies.pop_front_if(|(back, _)| *back <= now) {
            prober.on_reply(Stamp::from_nanos(back), true, &reply);
        }
        let next = prober.poll(Stamp::from_nanos(now));
        let probe_at = match next {
            Next::Send(_) => now,
            Next::Wait(at) => at.nanos(),
            Next::Done => u64::MAX,
        };
        let reply_at = replies.front().map_or(u64::MAX, |(back, _)| *back);
        if let Some(packet) = left.next_if(|packet| packet.at_ns <= probe_at) {
            let passed = link.pass(seconds(packet.at_ns), sizes.load);
            if let Some(Passed { served: at, arrived }) = passed {
                served += u64::from(EDGE <= at && at < until);
                let Left { sequence, due_ns, sent_ns, .. } = packet;
                let passed = load.rate.packets_in(Span::from_nanos(due_ns)) - sequence;
                let (octets, is_intact) = (1_472, None);
                let arrival = Arrived { sequence, due_ns, sent_ns, octets, passed, is_intact };
                receiver.on_arrival(agent(arrived, skew), &arrival, 0);
            }
            continue;
        }
        match next {
            Next::Send(probe) => {
                prober.on_sent(Stamp::from_nanos(now));
                if let Some(Passed { arrived, .. }) = link.pass(seconds(now), sizes.probe) {
                    let reply = Reply {
                        sequence: u32::try_from(reflected).unwrap(),
                        sent_ns: agent(arrived, skew).nanos(),
                        received_ns: agent(arrived, skew).nanos(),
                        received_by_kernel: true,
                        probe_sequence: probe.sequence,
                        probe_sent_ns: probe.sent_ns,
                        follow_ups: [None, None],
                        by_card: false,
                        answers_copy: false,
                        token: Token(0),
                    };
                    reflected += 1;
                    let noise = (link.draw() % 1_000) as f64 * 1e-7;
                    replies.push_back((driver(arrived + 0.005 + noise).nanos(), reply));
                }
            }
            Next::Wait(_) => now = probe_at.min(reply_at).max(now),
            Next::Done => break,
        }
    }
    let window = sender.counts().sent;
    let counts = sender.into_counts();
    let closing = Closing {
        sent: window,
        last_due_ns: counts.last_due_ns,
        excess: &counts.excess,
        window: counts.streams[0].window.as_ref(),
    };
    let receiver = receiver.finish(End::Closed(closing), 0);
    let exchanges = prober.into_exchanges();
    let probes = ReceiverCounts { received: reflected, ..ReceiverCounts::default() };
    let account = ReflectorCounts { probes, replies: reflected, ..ReflectorCounts::default() };
    let forward =
        OneWayCounts { sender: Some(counts), receiver: Some(receiver), ..OneWayCounts::default() };
    let outcome = Outcome { status: Status::Ok, forward, ..Outcome::default() };
    let mut run = TrialRun { trial, outcome };
    let came = ReceiverCounts { received: reflected, ..ReceiverCounts::default() };
    run.take_probes(Probed { exchanges, replies: came, ..Probed::default() }, Some(account));
    let per_second = 1e9 / (load.rate.due(1_000_000).nanos() as f64 / 1e6);
    let packets = per_second * (spec.duration - 2.0 * EDGE);
    Played { run, forwarded: served as f64 / packets, packets }
}

/// What leaves a sender that is held up at these times.
fn send(sender: &mut Sender<Driver>, held: &[(f64, f64)]) -> Vec<Left> {
    let (mut left, mut now, mut held) = (Vec::new(), Stamp::from_nanos(DRIVER_NS), held.iter());
    let mut next = held.next();
    loop {
        while let Some((start, end)) = next.filter(|(start, _)| driver(*start) <= now) {
            now = now.max(driver(*end));
            next = held.next();
            let _ = start;
        }
        let seen = sender.counts().sent;
        sender.on_heard(now, seen, 0);
        match sender.poll(now) {
            Next::Send(Outgoing::Load(train)) => {
                let at_ns = now.nanos();
                left.extend(train.headers().map(|header| Left {
                    at_ns,
                    sequence: header.sequence,
                    due_ns: header.due_ns,
                    sent_ns: header.due_ns + u64::from(header.lateness_ns),
                }));
                sender.on_sent(now, train.packets(), false);
            }
            Next::Send(Outgoing::Signal(_)) => unreachable!("it is heard all the time"),
            Next::Wait(until) => now = until,
            Next::Done => return left,
        }
    }
}

/// Seconds of the load's time, of the driver's clock.
fn seconds(nanos: u64) -> f64 {
    (nanos - DRIVER_NS) as f64 / 1e9
}

fn driver(at: f64) -> Stamp<Driver> {
    Stamp::from_nanos(DRIVER_NS + (at * 1e9) as u64)
}

fn agent(at: f64, skew: f64) -> Stamp<Agent> {
    Stamp::from_nanos(AGENT_NS + (at * 1e9 * (1.0 + skew)) as u64)
}
