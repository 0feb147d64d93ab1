//! The metrics: what each is, its unit, and how it follows from what happened in a trial.
//!
//! | metric | unit | what it is | source |
//! |---|---|---|---|
//! | throughput | bit/s | received rate of a fixed-rate UDP load in the trial's steady part | RFC 2544, 26.1; Y.1564, CIR test |
//! | tcp_throughput | bit/s | median of the whole seconds that TCP's receiver got after its warm-up | RFC 6349; RFC 9097, 1 s intervals |
//! | loss | ratio | UDP load packets lost or later than 2 s, of those sent | RFC 7680 |
//! | rtt_p99 | us | 99th percentile of the round trip, over probes sent | RFC 2681 |
//! | rtt_p99_loaded | us | the same beside any load, TCP and overshoot included | |
//! | jitter | us | one-way delay variation, 99.9th percentile less the least | Y.1540; RFC 5481, PDV |
//! | outage | s | the longest time without an arrival while packets were sent | |
//! | path_mtu | octets | the largest IP packet that crosses both ways in one piece | RFC 8899 |
//!
//! A number comes with what is known of it: bounds where it was sampled, or that it was counted;
//! or with the reason why there is none. Never 0 for "no result".

use crate::account::{
    OneWayCounts, PathMtu, ReceiverCounts, SenderCounts, Silence, Status, TcpReceiverCounts,
    TcpSenderCounts,
};
use crate::direction::{Direction, PerDirection};
use crate::flow::{Evidence, SILENCE, Steady, TrialRun};
use crate::framing::{Framing, IpVersion, Layer};
use crate::plan::{Bound, Load, LoadKind, Metric, Plan, Requirement, Requirements, TcpLoad, Trial};
use crate::stats::confidence::{Bounds, Confidence, bounds_of_loss, quantile_ranks};
use crate::stats::delays::{Delay, Delays};
use crate::stats::loss_bursts::LossBursts;
use crate::units::{BitRate, Span};

/// What every computation here needs to know of the link and of the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criteria {
    /// What is required.
    pub requirements: Requirements,
    /// What the provider has committed to; load above it is overshoot.
    pub committed: PerDirection<Option<BitRate>>,
    /// The layer that rates count.
    pub layer: Layer,
    /// What stands around a payload.
    pub framing: Framing,
}

impl Criteria {
    /// What `plan` asks of a line over `ip`.
    #[must_use]
    pub const fn of(plan: &Plan, ip: IpVersion) -> Self {
        let (requirements, link) = (plan.requirements, &plan.link);
        let framing = link.framing(ip);
        Self { requirements, committed: link.committed, layer: link.layer, framing }
    }

    /// The confidence of each one-sided bound.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        Confidence::new(self.requirements.confidence.as_fraction()).unwrap_or_default()
    }

    /// Whether `load` is what the line is to carry in `direction`: not as fast as can be, and not
    /// above what is committed.
    #[must_use]
    pub fn is_carried(&self, load: &Load, direction: Direction) -> bool {
        let Some(rate) = load.rate(direction) else { return false };
        let committed = self.committed.get(direction);
        let within = committed.is_none_or(|committed| {
            rate <= self.framing.packet_rate(committed, self.layer, load.payload())
        });
        load.kind() == LoadKind::FixedRate && within
    }

    /// Whether delays of `trial` are those of a line that is idle, or carries no more than it must.
    #[must_use]
    pub fn is_at_ease(&self, trial: &Trial) -> bool {
        let carried = |load: &Load| {
            let mut directions = load.directions().iter();
            directions.all(|direction| self.is_carried(load, direction))
        };
        trial.is_idle() || trial.load().is_some_and(carried)
    }
}

/// Whole seconds behind its warm-up that TCP must be seen for.
pub const TCP_SECONDS_MIN: u64 = 10;

/// A number that was measured, or why it was not. "No packet was lost" is not "no packet was sent".
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Sampled: the true value is at least `low`, and at most `high`, each at the confidence asked.
    Sampled {
        /// The best guess; `None` where it is infinite (a lost probe has no end to its delay).
        value: Option<f64>,
        /// One-sided lower bound; `None` where the samples are too few for one, or it is infinite.
        low: Option<f64>,
        /// One-sided upper bound; `None` likewise.
        high: Option<f64>,
        /// The lower bound if all that this tester cannot vouch for had gone the line's way.
        low_at_best: Option<f64>,
        /// Whether `low` is missing because it is infinite.
        unbounded: bool,
        /// How many samples there were.
        samples: u64,
    },
    /// Counted exactly.
    Counted {
        /// The number.
        value: f64,
        /// Whether the counts meet the requirement; `None` where they prove neither.
        meets: Option<bool>,
        /// Whether they would if all that this tester cannot vouch for had gone the line's way.
        meets_at_best: Option<bool>,
        /// The counts, in words.
        counts: String,
    },
    /// No number: the reason, as the report tells it.
    Missing(String),
}

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

/// All that `evidence` has to say to the requirements, trial by trial.
#[must_use]
pub fn measure(criteria: &Criteria, evidence: &Evidence) -> Vec<Measurement> {
    let mut measurements = Vec::new();
    for (direction, requirement) in criteria.requirements.iter() {
        let mut add = |trial, measured| {
            measurements.push(Measurement { trial, direction, requirement, measured });
        };
        if let (Requirement::PathMtu(octets), Some(path)) = (requirement, evidence.path_mtu) {
            add(None, path_mtu(path, octets));
        }
        for (trial, run) in evidence.trials.iter().enumerate() {
            let measured = match direction {
                None => of_round_trip(criteria, requirement, run),
                Some(direction) => of_direction(criteria, requirement, run, direction),
            };
            if let Some(measured) = measured {
                add(Some(trial), measured);
            }
        }
    }
    measurements
}

fn path_mtu(path: PathMtu, needed: u32) -> Measured {
    let meets = Some(needed <= path.octets);
    let counts =
        format!("{} octets cross both ways, of {} that were tried", path.octets, path.tried_octets);
    Measured::Counted { value: path.octets.into(), meets, meets_at_best: meets, counts }
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
    speaks.then(|| percentile(&run.outcome.round_trip.delays, 0.99, criteria.confidence()))
}

/// `None` where the trial does not speak to the requirement in this direction.
fn of_direction(
    criteria: &Criteria,
    requirement: Requirement,
    run: &TrialRun,
    direction: Direction,
) -> Option<Measured> {
    let one_way = run.outcome.one_way(direction);
    let carried = || run.trial.load().filter(|load| criteria.is_carried(load, direction));
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
            at_ease.then(|| percentile(&one_way.probes.variation, 0.999, criteria.confidence()))
        }
        Requirement::Outage(most) => {
            // A queue that TCP fills delays and drops; it does not fall silent.
            let speaks = at_ease || run.trial.tcp().is_some();
            speaks.then(|| longest_outage(run, one_way, most))
        }
        Requirement::RttP99(_) | Requirement::RttP99Loaded(_) | Requirement::PathMtu(_) => None,
    }
}

/// The payload that the requirements ask of the load of `trial` in `direction`; `None` where they
/// ask none of it.
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
        (Some(load), _) => framing.goodput(required.throughput?, layer, load.payload()),
        (None, Some(load)) => {
            let segment = load.segment(framing.ip);
            framing.tcp_goodput(required.tcp_throughput?, layer, segment, true)
        }
        (None, None) => None,
    }
}

/// Packets that were lost on the way, for all that this tester can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Losses {
    /// Packets that the line had to deliver: sent, less those that the receiving host dropped.
    pub offered: u64,
    /// Lost or late.
    pub lost: u64,
    /// Of the lost, those that this tester may have lost itself.
    pub doubtful: u64,
}

/// The losses of the load in `direction`; `None` where an account is missing.
#[must_use]
pub fn losses(run: &TrialRun, direction: Direction) -> Option<Losses> {
    let one_way = run.outcome.one_way(direction);
    let (sent, came) = (one_way.sender.as_ref()?, one_way.receiver.as_ref()?);
    let lost = came.losses.lost();
    let (sender, receiver) = run.outcome.hosts(direction);
    // A queue drop that the socket was told of was refused, and so never sent.
    let queue_drops = sender.map_or(0, |host| host.queue_drops).saturating_sub(sent.queue_dropped);
    let kernel_drops = receiver.map_or(0, |host| host.kernel_drops);
    let doubtful = [came.unattributed, came.lost_in_excess, queue_drops, kernel_drops];
    Some(Losses {
        offered: sent.sent.saturating_sub(came.host_dropped),
        lost,
        doubtful: doubtful.into_iter().fold(0, u64::saturating_add).min(lost),
    })
}

/// `None` where the load is slower than `required`, and so says nothing about it.
fn throughput(
    criteria: &Criteria,
    run: &TrialRun,
    load: &Load,
    direction: Direction,
    required: BitRate,
) -> Option<Measured> {
    let packet_rate = criteria.framing.packet_rate(required, criteria.layer, load.payload());
    if load.rate(direction)? < packet_rate {
        return None;
    }
    let one_way = run.outcome.one_way(direction);
    let (Some(sent), Some(came)) = (&one_way.sender, &one_way.receiver) else {
        return Some(account_missing(run, one_way));
    };
    let steady = Steady::of(run.trial.duration());
    let per_stream = packet_rate.share(load.streams()).unwrap_or(packet_rate);
    let slots = steady.slots(per_stream).saturating_mul(u64::from(load.streams()));
    let carries = |sent: u64, received: u64| {
        let allowed = criteria.requirements.loss_of_throughput(direction);
        slots <= sent && allowed.holds(sent.saturating_sub(received), sent)
    };
    let doubtful = losses(run, direction).map_or(0, |losses| losses.doubtful);
    let never_sent = sent.refused + sent.skipped;
    let vouched_for = came.steady + came.host_dropped + doubtful + never_sent;
    let sent_at_best = sent.steady + never_sent;
    let span = steady.span(load.stream_rate(direction)?);
    let rate = criteria.framing.bit_rate(came.steady, span, criteria.layer, load.payload());
    let (unproved, mut counts) = unproved(run, direction, (sent, came), slots);
    let lagging = came.steady.saturating_sub(came.steady_on_time);
    let lag_max = load.rate(direction)?.packets_in(LAG_MAX);
    if lag_max < lagging {
        counts += &format!(
            "; {lagging} of them came after their time, so a queue was filling: measure longer"
        );
    }
    let meets = |sent: u64, received: u64| match carries(sent, received) {
        true if lag_max < lagging => None,
        true => Some(true),
        false if 0 < unproved && carries(sent + unproved, received + unproved) => None,
        false => Some(false),
    };
    Some(Measured::Counted {
        value: rate.map_or(0.0, |rate| float(rate.bits_per_second())),
        meets: meets(sent.steady, came.steady),
        meets_at_best: meets(sent_at_best, vouched_for.min(sent_at_best)),
        counts,
    })
}

/// Packets of `slots` that were never sent through no fault of the line in `direction`, and what
/// was sent and received, in words.
fn unproved(
    run: &TrialRun,
    direction: Direction,
    (sent, came): (&SenderCounts, &ReceiverCounts),
    slots: u64,
) -> (u64, String) {
    let mut counts =
        format!("{} of {slots} packets sent and {} received", sent.steady, came.steady);
    let mut unproved = 0;
    if 0 < sent.paused {
        counts += &format!("; load was paused for {} packets, as no heartbeat came", sent.paused);
        // Where this direction itself was never silent, it was the way back that was.
        let gaps = &run.outcome.one_way(direction).silences;
        let silent = gaps.outages(outage_min(&run.trial)).any(|gap| SILENCE <= gap.span());
        unproved += if silent { 0 } else { sent.paused };
    }
    if run.outcome.status != Status::Ok {
        counts += "; the trial was cut short";
        unproved += slots.saturating_sub(sent.steady);
    }
    (unproved, counts)
}

/// What a TCP load must be paced above what is required, in percent, so that its pace is not what
/// holds it below.
pub const PACE_SPARE_PERCENT: u64 = 2;

/// TCP in one direction of a trial, after its warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpCarried {
    /// Octets of payload in each whole second, sorted.
    pub seconds: Vec<u64>,
    /// What was cut off before them.
    pub warm_up: Span,
    /// Payload of a full segment.
    pub segment: u32,
    /// Whether segments carried timestamps.
    pub timestamps: bool,
}

impl TcpCarried {
    /// What came of `run` in `direction`; `None` where an account is missing, or TCP was not.
    #[must_use]
    pub fn of(run: &TrialRun, direction: Direction, ip: IpVersion) -> Option<Self> {
        let (load, one_way) = (run.trial.tcp()?, run.outcome.one_way(direction));
        let (sent, came) = (one_way.tcp_sender.as_ref()?, one_way.tcp_receiver.as_ref()?);
        let warm_up = warm_up(sent);
        let seen = Span::from_secs(came.per_second.seconds().len() as u64);
        // Of a trial that was cut short, what was never run is no second in which nothing came.
        let lasted = match run.outcome.status {
            Status::Ok => run.trial.duration(),
            _ => seen.min(run.trial.duration()),
        };
        let mut seconds = whole_seconds(came, warm_up, lasted);
        seconds.sort_unstable();
        let (segment, timestamps) = match sent.last.mss_octets {
            0 => (load.segment(ip), true),
            mss => (mss, sent.last.timestamps),
        };
        Some(Self { seconds, warm_up, segment, timestamps })
    }

    /// Octets of payload in a second as a rate at `layer`; `None` for none.
    #[must_use]
    pub fn rate(&self, octets: u64, framing: Framing, layer: Layer) -> Option<BitRate> {
        let goodput = crate::units::ByteCount::new(octets).per(Span::from_secs(1))?;
        framing.tcp_rate_at(goodput, layer, self.segment, self.timestamps)
    }

    /// The second of the quantile `q`: the nearest rank.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Option<u64> {
        let rank = (self.seconds.len() * percent).div_ceil(100).max(1);
        self.seconds.get(rank - 1).copied()
    }

    /// Octets of a second on average.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        self.seconds.iter().sum::<u64>().checked_div(self.seconds.len() as u64)
    }
}

/// How long TCP is given to warm up, in round trips, and at least.
const WARM_UP_ROUND_TRIPS: u64 = 20;
const WARM_UP_MIN: Span = Span::from_secs(2);

/// How long the TCP that sent this is given to warm up: 20 round trips, 2 s at least.
fn warm_up(sent: &TcpSenderCounts) -> Span {
    let round_trips = sent.last.min_rtt_us.unwrap_or(0).saturating_mul(WARM_UP_ROUND_TRIPS);
    WARM_UP_MIN.max(Span::from_nanos(round_trips.saturating_mul(1_000)))
}

/// Octets of each whole second of a trial of `duration` behind its warm-up: a second in which
/// nothing arrived counts, the one that the end cuts off does not.
fn whole_seconds(received: &TcpReceiverCounts, warm_up: Span, duration: Span) -> Vec<u64> {
    let whole = duration.nanos() / Span::from_secs(1).nanos();
    let count = |second: u64| {
        let second = usize::try_from(second).unwrap_or(usize::MAX);
        received.per_second.seconds().get(second).copied().unwrap_or(0)
    };
    // The last whole second may end behind the sender's last octet, where the first was late.
    (warm_up.secs_up()..whole.saturating_sub(1)).map(count).collect()
}

/// `None` where the load is paced at hardly more than `required`, and so says nothing about it.
fn tcp_throughput(
    criteria: &Criteria,
    run: &TrialRun,
    load: &TcpLoad,
    direction: Direction,
    required: BitRate,
) -> Option<Measured> {
    let paced = load.rate_at(direction, criteria.framing, criteria.layer)?.bits_per_second();
    let needed = required.bits_per_second().saturating_mul(100 + PACE_SPARE_PERCENT) / 100;
    if paced < needed {
        return None;
    }
    let one_way = run.outcome.one_way(direction);
    if let Some(why) = one_way.tcp_sender.as_ref().and_then(|sent| sent.refused.as_ref()) {
        return Some(Measured::Missing(format!("the sending host could not send: {why}")));
    }
    let Some(carried) = TcpCarried::of(run, direction, criteria.framing.ip) else {
        return Some(account_missing(run, one_way));
    };
    let samples = carried.seconds.len() as u64;
    if samples < TCP_SECONDS_MIN {
        return Some(Measured::Missing(format!(
            "{samples} whole seconds behind its warm-up of {} s: {TCP_SECONDS_MIN} are needed, so \
             load for longer",
            carried.warm_up.secs_up()
        )));
    }
    let rate = |octets: u64| {
        let rate = carried.rate(octets, criteria.framing, criteria.layer);
        rate.map_or(0.0, |rate| float(rate.bits_per_second()))
    };
    let ranks = quantile_ranks(samples, 0.5, criteria.confidence());
    let at = |rank: Option<u64>| {
        let place = usize::try_from(rank?.checked_sub(1)?).ok()?;
        carried.seconds.get(place).map(|octets| rate(*octets))
    };
    let low = at(ranks.low);
    Some(Measured::Sampled {
        value: carried.quantile(50).map(rate),
        low,
        high: at(ranks.high),
        low_at_best: low,
        unbounded: false,
        samples,
    })
}

/// How much of the load may come after its time while the line still counts as carrying it: what
/// comes late is in a queue, and a queue that fills is no throughput.
const LAG_MAX: Span = Span::from_millis(100);

fn loss(criteria: &Criteria, run: &TrialRun, direction: Direction) -> Measured {
    let one_way = run.outcome.one_way(direction);
    let Some(losses) = losses(run, direction) else { return account_missing(run, one_way) };
    let Some(came) = &one_way.receiver else { return account_missing(run, one_way) };
    let bounds =
        |periods: &LossBursts| bounds_of_loss(periods, losses.offered, criteria.confidence());
    let Some(Bounds { low, high }) = bounds(&came.losses) else {
        return Measured::Missing("no packet was sent".into());
    };
    let at_best = came.losses.without(losses.doubtful);
    Measured::Sampled {
        value: Some(float(losses.lost) / float(losses.offered)),
        low: Some(low),
        high: Some(high),
        low_at_best: bounds(&at_best).map(|bounds| bounds.low),
        unbounded: false,
        samples: losses.offered,
    }
}

fn percentile(delays: &Delays, quantile: f64, confidence: Confidence) -> Measured {
    let Some(value) = delays.quantile(quantile) else {
        return Measured::Missing("no probe left in time to be measured".into());
    };
    let (low, high) = delays.bounds(quantile, confidence);
    let finite = |delay: Delay| match delay {
        Delay::Finite(nanos) => Some(micros(nanos)),
        Delay::Infinite => None,
    };
    Measured::Sampled {
        value: finite(value),
        low: low.and_then(finite),
        high: high.and_then(finite),
        low_at_best: low.and_then(finite),
        unbounded: low == Some(Delay::Infinite),
        samples: delays.total(),
    }
}

fn longest_outage(run: &TrialRun, one_way: &OneWayCounts, most: Span) -> Measured {
    let least = outage_min(&run.trial);
    if one_way.receiver.is_none() && one_way.tcp_receiver.is_none() {
        return unanswered(run, one_way, most);
    }
    let longest = |gaps: &mut dyn Iterator<Item = &Silence>| {
        gaps.map(Silence::span).max().unwrap_or_default()
    };
    let outage = longest(&mut one_way.silences.outages(least));
    let unsent = longest(&mut one_way.silences.as_slice().iter());
    let counts = match one_way.silences.outages(least).count() {
        _ if outage <= most && most < unsent => {
            format!(
                "nothing was sent for {:.3} s, so that an outage could not be seen",
                unsent.as_secs()
            )
        }
        0 => format!("no time of {least} or more without an arrival"),
        1 => "one outage".to_owned(),
        count => format!("the longest of {count} outages"),
    };
    let counts = match one_way.sender.is_none() && one_way.tcp_sender.is_none() && most < outage {
        true => {
            counts
                + "; the sender's account is missing, so that its own silence, where the \
                          other direction was dead, cannot be told from the line's"
        }
        false => counts,
    };
    let meets = match outage <= most {
        true if most < unsent => None,
        meets => Some(meets),
    };
    Measured::Counted { value: outage.as_secs(), meets, meets_at_best: meets, counts }
}

/// Without the far end's account, the time in which no probe was answered still proves that the
/// line was dead, in one direction or the other.
fn unanswered(run: &TrialRun, one_way: &OneWayCounts, most: Span) -> Measured {
    let replies = &run.outcome.reverse.silences;
    let longest =
        replies.outages(outage_min(&run.trial)).map(Silence::span).max().unwrap_or_default();
    if longest <= most {
        return account_missing(run, one_way);
    }
    let counts = "no probe was answered for so long; the agent's account is missing, so that the \
                  direction cannot be told";
    let meets = Some(false);
    let (value, counts) = (longest.as_secs(), counts.to_owned());
    Measured::Counted { value, meets, meets_at_best: meets, counts }
}

/// The shortest time without an arrival that is an outage: three packet intervals, 50 ms at least.
#[must_use]
pub fn outage_min(trial: &Trial) -> Span {
    let probes = trial.probe_rate();
    let fastest = trial.load().map_or(probes, |load| load.rate_max().max(probes));
    fastest.due(3).max(Span::from_millis(50))
}

fn account_missing(run: &TrialRun, one_way: &OneWayCounts) -> Measured {
    if run.outcome.status == Status::NotRun || run.outcome.status == Status::Refused {
        let reason = run.outcome.reason.as_deref().unwrap_or("it was not reached");
        return Measured::Missing(format!("the trial was not run: {reason}"));
    }
    let has_come = one_way.receiver.is_some() || one_way.tcp_receiver.is_some();
    let whose = if has_come { "sender" } else { "receiver" };
    Measured::Missing(format!("the {whose}'s account did not arrive"))
}

/// Microseconds.
#[must_use]
pub fn micros(nanos: u64) -> f64 {
    float(nanos) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 need no last digit in a report")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Outcome, ReceiverCounts, SenderCounts, Series, Silences};
    use crate::direction::Directions;
    use crate::framing::IpVersion;
    use crate::plan::{CongestionControl, LoadKind, Trial};
    use crate::units::PacketRate;

    const MS: u64 = 1_000_000;

    /// 10 Mbit/s in frames of 1518 octets are 824 packets/s: 7911 in the steady 9.6 s of 10.
    const SLOTS: u64 = 7_911;

    fn criteria() -> Criteria {
        let mut requirements = Requirements::default();
        requirements.set(None, throughput());
        requirements.set(None, Requirement::Outage(Span::from_secs(1)));
        let (committed, framing) = (PerDirection::default(), Framing::plain(IpVersion::V4));
        Criteria { requirements, committed, layer: Layer::L2, framing }
    }

    /// A trial that sent and received all, changed by `change`.
    fn outcome(change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate = PacketRate::new(824).expect("a rate");
        let load =
            Load::new(Directions::Forward, 1, 1_472, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let sent = SenderCounts { sent: 8_240, steady: SLOTS, ..SenderCounts::default() };
        let counts = ReceiverCounts {
            received: 8_240,
            steady: SLOTS,
            steady_on_time: SLOTS,
            ..ReceiverCounts::default()
        };
        run.outcome.forward =
            OneWayCounts { sender: Some(sent), receiver: Some(counts), ..OneWayCounts::default() };
        change(&mut run);
        run
    }

    fn gaps(start_ms: u64, end_ms: u64, offered: bool) -> Silences {
        let (start_ns, end_ns) = (start_ms * MS, end_ms * MS);
        let gap = Silence { start_ns, end_ns, offered, ..Silence::default() };
        Silences::from_vec(vec![gap]).expect("one gap")
    }

    #[track_caller]
    fn check(requirement: Requirement, run: &TrialRun, expected: Option<bool>) {
        let measured = of_direction(&criteria(), requirement, run, Direction::Forward);
        let Some(Measured::Counted { meets, counts, .. }) = measured else {
            panic!("not counted: {measured:?}")
        };
        assert_eq!(meets, expected, "{counts}");
    }

    fn throughput() -> Requirement {
        Requirement::Throughput("10 Mbit/s".parse().expect("a rate"))
    }

    fn came(run: &mut TrialRun) -> &mut ReceiverCounts {
        run.outcome.forward.receiver.as_mut().expect("it has one")
    }

    fn sent(run: &mut TrialRun) -> &mut SenderCounts {
        run.outcome.forward.sender.as_mut().expect("it has one")
    }

    #[test]
    fn a_rate_is_carried_to_the_last_packet_of_its_loss_bound() {
        check(throughput(), &outcome(|_| {}), Some(true));
        check(throughput(), &outcome(|run| came(run).steady -= 7), Some(true));
        check(throughput(), &outcome(|run| came(run).steady -= 8), Some(false));
        check(throughput(), &outcome(|run| sent(run).steady -= 1), Some(false));
    }

    #[test]
    fn a_queue_that_fills_carries_nothing_proved() {
        check(throughput(), &outcome(|run| came(run).steady_on_time -= 83), Some(true));
        check(throughput(), &outcome(|run| came(run).steady_on_time -= 84), None);
    }

    #[test]
    fn a_pause_for_want_of_heartbeats_is_not_this_directions_fault() {
        let paused = |run: &mut TrialRun| {
            let sent = sent(run);
            (sent.paused, sent.steady) = (500, SLOTS - 500);
            came(run).steady -= 500;
        };
        check(throughput(), &outcome(paused), None);
        let silent = |run: &mut TrialRun| {
            paused(run);
            run.outcome.forward.silences = gaps(1_000, 2_600, true);
        };
        check(throughput(), &outcome(silent), Some(false));
    }

    #[test]
    fn what_was_not_sent_before_an_interrupt_proves_nothing() {
        let cut = |run: &mut TrialRun| {
            run.outcome.status = Status::Partial;
            sent(run).steady = 1_000;
            came(run).steady = 1_000;
            came(run).steady_on_time = 1_000;
        };
        check(throughput(), &outcome(cut), None);
    }

    /// TCP of 20 s at 10 Mbit/s of payload, of which `seconds` came, changed by `change`.
    fn tcp(seconds: usize, change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate = Some("100 Mbit/s".parse().expect("a rate"));
        let rates = PerDirection { forward: rate, reverse: None };
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(20)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let per_second = Series::from_seconds(vec![1_250_000; seconds]);
        let came =
            TcpReceiverCounts { per_second, began_ns: Some(1), ..TcpReceiverCounts::default() };
        run.outcome.forward = OneWayCounts {
            tcp_sender: Some(TcpSenderCounts::default()),
            tcp_receiver: Some(came),
            ..OneWayCounts::default()
        };
        change(&mut run);
        run
    }

    fn tcp_measured(required: &str, run: &TrialRun) -> Option<Measured> {
        let required = Requirement::TcpThroughput(required.parse().expect("a rate"));
        of_direction(&criteria(), required, run, Direction::Forward)
    }

    /// 10 Mbit/s of payload are 10.48 of frames (1518 octets for 1448).
    #[test]
    fn tcp_is_judged_by_its_whole_seconds() {
        let Some(Measured::Sampled { value, low, samples, .. }) =
            tcp_measured("10 Mbit/s", &tcp(20, |_| {}))
        else {
            panic!("not sampled")
        };
        assert_eq!((value, low, samples), (Some(10_483_425.0), Some(10_483_425.0), 17));
        // A line that died half-way: the seconds in which nothing came count.
        let dead = tcp_measured("10 Mbit/s", &tcp(6, |_| {}));
        let Some(Measured::Sampled { value: Some(0.0), samples: 17, .. }) = dead else {
            panic!("{dead:?}")
        };
        // Paced at 100 Mbit/s of payload, which are 104.8 of frames: less than 2 % above this.
        assert_eq!(tcp_measured("104 Mbit/s", &tcp(20, |_| {})), None);
    }

    #[test]
    fn tcp_that_was_cut_short_is_judged_by_what_was_run() {
        let cut = |seconds| tcp(seconds, |run| run.outcome.status = Status::Partial);
        let few = tcp_measured("10 Mbit/s", &cut(6));
        assert!(matches!(few, Some(Measured::Missing(_))), "{few:?}");
        let Some(Measured::Sampled { value, samples: 13, .. }) =
            tcp_measured("10 Mbit/s", &cut(16))
        else {
            panic!("13 s were run")
        };
        assert_eq!(value, Some(10_483_425.0));
    }

    #[test]
    fn what_is_offered_too_slowly_or_above_what_is_committed_says_nothing() {
        let measured = |criteria: &Criteria, rate: &str| {
            let required = Requirement::Throughput(rate.parse().expect("a rate"));
            of_direction(criteria, required, &outcome(|_| {}), Direction::Forward)
        };
        let mut criteria = criteria();
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        assert_eq!(measured(&criteria, "10.1 Mbit/s"), None, "824 packets/s are offered, not 832");
        criteria.committed.forward = Some("10 Mbit/s".parse().expect("a rate"));
        assert!(measured(&criteria, "10 Mbit/s").is_some());
        criteria.committed.forward = Some("9.9 Mbit/s".parse().expect("a rate"));
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

    #[test]
    fn an_outage_is_judged_where_something_was_sent() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let with = |gaps| outcome(|run: &mut TrialRun| run.outcome.forward.silences = gaps);
        check(outage, &with(gaps(0, 1_000, true)), Some(true));
        check(outage, &with(gaps(0, 1_001, true)), Some(false));
        check(outage, &with(gaps(0, 1_001, false)), None);
    }

    #[test]
    fn silence_without_the_senders_account_is_told_as_such() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let counts_of = |sent: bool| {
            let outcome = outcome(|run| {
                run.outcome.forward.silences = gaps(0, 2_000, true);
                if !sent {
                    run.outcome.forward.sender = None;
                }
            });
            match of_direction(&criteria(), outage, &outcome, Direction::Forward) {
                Some(Measured::Counted { meets: Some(false), counts, .. }) => counts,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(counts_of(true), "one outage");
        assert!(counts_of(false).contains("the sender's account is missing"));
    }

    #[test]
    fn unanswered_probes_prove_an_outage_without_the_agents_account() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let dead = outcome(|run| {
            run.outcome.status = Status::Partial;
            run.outcome.forward.receiver = None;
            run.outcome.reverse.silences = gaps(2_000, 10_000, true);
        });
        check(outage, &dead, Some(false));
        let brief = outcome(|run| run.outcome.forward.receiver = None);
        let measured = of_direction(&criteria(), outage, &brief, Direction::Forward);
        assert!(matches!(measured, Some(Measured::Missing(_))), "{measured:?}");
    }
}
