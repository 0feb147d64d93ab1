//! What happened in a trial: counts and delays, each with where it was counted. No verdict.

use super::prober::{self, Exchange, Returned};
use super::reflector::Reflected;
use super::{ReceiverCounts, SenderCounts, Silences, TcpCame, TcpSent};
use crate::clock::Offset;
use crate::direction::Direction;
use crate::plan::Trial;
use crate::stats::delays::Delays;
use crate::stats::jitter::Rfc3550Jitter;
use crate::stats::skew::{self, Transit};
use crate::wire::control::Marks;

/// How far a trial came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// To its end, and both ends told what they counted.
    Ok,
    /// It was cut short, or one end's account is missing.
    Partial,
    /// The agent did not allow it.
    Refused,
    /// No packet of it left.
    NotRun,
}

/// What a host reported against itself while a trial ran.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HostLimits {
    /// Packets that its interface's queue dropped.
    pub queue_drops: u64,
    /// Datagrams that its kernel dropped before any socket (softnet, NIC).
    pub kernel_drops: u64,
    /// Datagrams with a wrong UDP checksum.
    pub checksum_errors: u64,
    /// Steps of its wall clock.
    pub clock_steps: u64,
    /// How far apart its kernel's stamps are of a datagram that goes nowhere, in nanoseconds: the
    /// 99th percentile; `None` where that was not found out.
    pub stamp_noise_ns: Option<u64>,
    /// Its network card stamps what the probes ask for, and not its kernel.
    pub card_stamps: bool,
}

/// What stamped the exchanges that delays are read from. Where the kernel did not, a program read
/// the clock: before it sent, or once it had read. Either makes a delay longer, never shorter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stamping {
    /// Exchanges.
    pub exchanges: u64,
    /// Those with all four stamps by the kernel.
    pub by_kernel: u64,
    /// T1 by the kernel: the probe left the driver.
    pub probe_left: u64,
    /// T2 by the kernel: it reached the agent.
    pub probe_came: u64,
    /// T3 by the kernel: the reply left the agent, and a follow-up told when.
    pub reply_left: u64,
    /// T4 by the kernel: it reached the driver.
    pub reply_came: u64,
}

impl Stamping {
    fn add(&mut self, exchange: &Exchange, reply: &Returned) {
        let by_kernel = [
            exchange.sent_by_kernel,
            reply.seen_by_kernel,
            reply.answered_by_kernel,
            reply.back_by_kernel,
        ];
        self.exchanges += 1;
        self.by_kernel += u64::from(by_kernel.iter().all(|by_kernel| *by_kernel));
        let [probe_left, probe_came, reply_left, reply_came] = by_kernel.map(u64::from);
        self.probe_left += probe_left;
        self.probe_came += probe_came;
        self.reply_left += reply_left;
        self.reply_came += reply_came;
    }
}

/// What the probes showed of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probing {
    /// Probes, or replies, that left; `None` where the end that knows could not tell.
    pub sent: Option<u64>,
    /// Probes, or replies, that came, each once; `None` likewise.
    pub received: Option<u64>,
    /// One-way delays above their floor, clock skew removed.
    pub variation: Delays,
    /// RFC 3550's jitter, in nanoseconds.
    pub jitter_rfc3550_ns: Option<f64>,
    /// How fast the far clock ran against this one, in parts per million, by this direction alone.
    pub skew_ppm: Option<f64>,
    /// How they were marked when they came; `None` where the end that knows could not tell.
    pub marks: Option<Marks>,
}

/// One direction of a trial: of its load, or of its probes where it was idle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Half {
    /// The sender's account; `None` where it did not arrive.
    pub sent: Option<SenderCounts>,
    /// The receiver's account; `None` where it did not arrive.
    pub came: Option<ReceiverCounts>,
    /// The sender's account of TCP; `None` where it did not arrive, or there was none.
    pub tcp_sent: Option<TcpSent>,
    /// The receiver's account of TCP; `None` likewise.
    pub tcp_came: Option<TcpCame>,
    /// Times in which neither load nor probe arrived.
    pub gaps: Silences,
    /// What the probes beside it showed.
    pub probing: Probing,
}

/// The largest packet that crossed a path both ways in one piece, IP header included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathMtu {
    /// Its octets.
    pub octets: u32,
    /// Octets of the largest that was tried.
    pub tried: u32,
}

/// All that was found out about the way to one far end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The path's MTU; `None` where it was not found out.
    pub path_mtu: Option<PathMtu>,
    /// What happened in each trial, in their order.
    pub outcomes: Vec<Outcome>,
}

/// What happened in a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was to happen.
    pub trial: Trial,
    /// How far it came.
    pub status: Status,
    /// Why it came no farther.
    pub reason: Option<String>,
    /// When packets began to be due, in nanoseconds since 1970 on the driver's wall clock: only to
    /// date it.
    pub began_wall_ns: Option<u64>,
    /// Round trips of the probes, the agent's own time taken out.
    pub round_trip: Delays,
    /// Probes that left too late to tell a delay.
    pub late_probes: u64,
    /// What stamped the others that came back.
    pub stamping: Stamping,
    /// How far the agent's clock is ahead, with its bound.
    pub offset: Option<Offset>,
    /// Where the two clocks' relation jumped.
    pub clock_steps: u64,
    /// Driver to agent.
    pub forward: Half,
    /// Agent to driver.
    pub reverse: Half,
    /// What the driver's host reported against itself.
    pub driver: HostLimits,
    /// What the agent's host reported against itself.
    pub agent: HostLimits,
}

impl Outcome {
    /// A trial of which nothing happened.
    #[must_use]
    pub fn nothing(trial: Trial, status: Status, reason: String) -> Self {
        Self {
            trial,
            status,
            reason: Some(reason),
            began_wall_ns: None,
            round_trip: Delays::default(),
            late_probes: 0,
            stamping: Stamping::default(),
            offset: None,
            clock_steps: 0,
            forward: Half::default(),
            reverse: Half::default(),
            driver: HostLimits::default(),
            agent: HostLimits::default(),
        }
    }

    /// One direction of it.
    #[must_use]
    pub const fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }

    /// One direction of it, to be filled in.
    pub const fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// Takes in what the driver's host reports against itself, the last account of a trial: now it
    /// is known which of the packets that a host dropped had come damaged.
    pub fn take_driver_host(&mut self, host: HostLimits) {
        self.driver = host;
        for (half, receiver) in
            [(&mut self.forward, &self.agent), (&mut self.reverse, &self.driver)]
        {
            if let Some(came) = &mut half.came {
                came.blame_line_for(receiver.checksum_errors);
            }
        }
    }

    /// Takes in what became of the probes: `exchanges` and `replies` as the driver saw them,
    /// `reflected` as the agent did, where its account arrived.
    pub fn take_probes(
        &mut self,
        mut exchanges: Vec<Exchange>,
        refused: u64,
        replies: ReceiverCounts,
        reflected: Option<Reflected>,
    ) {
        for told in reflected.iter().flat_map(|reflected| &reflected.follow_ups) {
            prober::follow_up(&mut exchanges, told);
        }
        let usable = || exchanges.iter().filter(|exchange| !exchange.late);
        let returned = || usable().filter_map(|e| e.reply.map(|reply| (e, reply)));
        for (exchange, reply) in returned() {
            self.round_trip.record(reply.round_trip_ns(exchange.sent));
            self.stamping.add(exchange, &reply);
        }
        let unanswered = usable().count() - returned().count();
        self.round_trip.record_lost(unanswered as u64);
        self.late_probes = (exchanges.len() - usable().count()) as u64;
        self.offset = returned()
            .filter_map(|(exchange, reply)| offset_of(exchange, &reply))
            .min_by_key(|offset| offset.error_ns());

        let intervals: Vec<_> =
            returned().filter_map(|(e, reply)| interval_of(e, &reply)).collect();
        let steps = skew::clock_steps(&intervals);
        self.clock_steps = steps.len() as u64;
        let forward: Vec<Transit> = returned().map(|(e, reply)| there(e, &reply)).collect();
        let reverse: Vec<Transit> = returned().map(|(_, reply)| back(&reply)).collect();
        self.forward.probing = one_way(&forward, &reverse, &steps);
        self.reverse.probing = one_way(&reverse, &forward, &steps);
        self.count_probes(exchanges.len() as u64, refused, replies, reflected);
    }

    fn count_probes(
        &mut self,
        sent: u64,
        refused: u64,
        replies: ReceiverCounts,
        reflected: Option<Reflected>,
    ) {
        self.forward.probing.sent = Some(sent);
        self.reverse.probing.received = Some(replies.received);
        self.reverse.probing.variation.record_lost(replies.lost() + replies.late);
        let mut idle = [
            (Direction::Forward, SenderCounts { sent, refused, ..SenderCounts::default() }, None),
            (Direction::Reverse, SenderCounts::default(), Some(replies)),
        ];
        if let Some(reflected) = reflected {
            let probes = reflected.probes;
            self.forward.probing.received = Some(probes.received);
            self.forward.probing.variation.record_lost(probes.lost() + probes.late);
            self.reverse.probing.sent = Some(reflected.replies);
            idle[1].1 = SenderCounts {
                sent: reflected.replies,
                refused: reflected.refused,
                ..SenderCounts::default()
            };
            idle[0].2 = Some(probes);
        }
        let agent_told = self.reverse.probing.sent.is_some();
        for (direction, sent, came) in idle {
            let is_idle = self.trial.is_idle();
            let loads =
                self.trial.directions().is_some_and(|directions| directions.includes(direction));
            let half = self.half_mut(direction);
            // TCP of which nothing ever came leaves its silence to the probes.
            let loads = loads && half.tcp_came.as_ref().is_none_or(|came| came.began_ns.is_some());
            let gaps = came.as_ref().map(|came| came.gaps.clone());
            half.gaps = match (!loads, gaps) {
                (true, Some(gaps)) => gaps,
                (false, Some(gaps)) => half.gaps.in_common_with(&gaps),
                (_, None) => std::mem::take(&mut half.gaps),
            };
            if is_idle {
                let sender_told = direction == Direction::Forward || agent_told;
                half.sent = sender_told.then_some(sent);
                half.came = came;
            }
        }
    }
}

fn offset_of(exchange: &Exchange, reply: &Returned) -> Option<Offset> {
    let held_ns = reply.answered.nanos_since(reply.seen);
    let back = crate::clock::Stamp::from_nanos(reply.back.nanos().saturating_sub(held_ns));
    Offset::from_exchange(exchange.sent, reply.seen, back)
}

/// What two stamps of one host may be wrong by against each other: a microsecond is above all that
/// its clocks are read to, and below any step that is told.
const STAMP_ERROR_NS: i64 = 1_000;

fn interval_of(exchange: &Exchange, reply: &Returned) -> Option<skew::Exchange> {
    let offset = offset_of(exchange, reply)?;
    let error_ns = i64::try_from(offset.error_ns()).ok()?.saturating_add(STAMP_ERROR_NS);
    Some(skew::Exchange {
        sent_ns: exchange.sent.nanos(),
        offset_low_ns: offset.agent_ahead_ns().saturating_sub(error_ns),
        offset_high_ns: offset.agent_ahead_ns().saturating_add(error_ns),
    })
}

fn there(exchange: &Exchange, reply: &Returned) -> Transit {
    let sent_ns = exchange.sent.nanos();
    Transit { sent_ns, delay_ns: reply.seen.nanos().wrapping_sub(sent_ns).cast_signed() }
}

fn back(reply: &Returned) -> Transit {
    let sent_ns = reply.answered.nanos();
    Transit { sent_ns, delay_ns: reply.back.nanos().wrapping_sub(sent_ns).cast_signed() }
}

fn one_way(transits: &[Transit], facing: &[Transit], steps: &[usize]) -> Probing {
    let mut variation = Delays::default();
    for above_floor_ns in skew::variation(transits, facing, steps) {
        variation.record(above_floor_ns);
    }
    let mut jitter = Rfc3550Jitter::default();
    for transit in transits {
        jitter.on_arrival(transit.delay_ns);
    }
    Probing {
        variation,
        jitter_rfc3550_ns: jitter.jitter_ns(),
        skew_ppm: skew::fit_floor(transits).map(|floor| floor.skew_ppm()),
        ..Probing::default()
    }
}
