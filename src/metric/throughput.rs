//! Throughput: what of a fixed-rate UDP load, and of the probes beside it, left in the window and
//! arrived in its time. A queue that grows carries nothing: what it holds is late for good.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::criteria::{Criteria, Measured, account_missing};
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::due_throughput::throughput_by_due_times;
use super::jitter::JITTER_QUANTILE;
use super::loss::{self, Corruption, losses, unresolved_for};
use super::outage::{Pauses, own_pause, own_pause_least, pause_text, was_silent};
use super::requirement::Requirements;
use crate::account::{SenderCounts, Status, ThroughputEvidence, TransitFit};
use crate::direction::Direction;
use crate::flow::{EDGE, TrialRun};
use crate::stats::confidence::{Confidence, loss_bounds};
use crate::stats::delays::Delay;
use crate::stats::{count, real};
use crate::trial::{Load, Trial};
use crate::units::{BitRate, BurstSize, PacketRate, Ratio, Span};

/// The share of packets that a throughput forgives at least, and where no loss is required; of a
/// queue's growth, the share of the time: 0.1 %.
const FORGIVEN_MIN: Ratio = match Ratio::from_ppm(1_000) {
    Some(ratio) => ratio,
    None => unreachable!(),
};

/// No trial shows less than this many packets.
const GRAIN_PACKETS: f64 = 2.0;

/// Packets of a window below which two of them are more than what is forgiven.
const WINDOW_PACKETS: u64 = 2_000;

/// A sender below this share of the rate, one packet allowed, passes nothing.
const SENT_MIN: f64 = 0.99;

/// In a shorter window growth passes only with the whole of its uncertainty.
const LONG_ENOUGH: Span = Span::from_secs(2);

/// The shortest window that is judged where nothing shorter is asked for.
const WINDOW_MIN: Span = Span::from_secs(2);

/// The share of its pauses, in percent, that this driver must have seen for them to be known: a
/// queue that drains meanwhile goes on arriving.
const PAUSE_SEEN_MIN_PERCENT: u64 = 90;

/// What a trial takes beside the window that is judged.
const EDGES: Span = EDGE.plus(EDGE);

static ABOUT: About = About {
    name: "throughput",
    title: "throughput",
    unit: Unit::BitPerSecond,
    kind: Kind::LeastRate,
    reach: Reach::EachDirection,
    what: "What of a fixed-rate UDP load and its probes left in the window and arrived in time",
    asks: "UDP throughput",
    example: ">= 500 Mbit/s",
    sample: Sample::Required,
    source: "RFC 2544, 26.1; Y.1564, CIR test",
    answered_by: Traffic::Udp,
    made_of: &[Basis::LoadRate, Basis::LoadLosses, Basis::Arrivals],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Carrying;

struct Carrying;

impl Definition for Carrying {
    /// A load that is slower than the rate asked, or above what is committed, says nothing.
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        let within = |direction| criterion.criteria.is_carried(trial, direction);
        criterion.direction.is_some_and(within) && is_offered(criterion, trial)
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        throughput(criterion, run, run.trial.load()?)
    }

    fn is_open(&self, criterion: &Criterion<'_>, run: &TrialRun) -> bool {
        let asked = asked(criterion, run);
        asked.is_some_and(|(question, evidence)| question.proof(evidence, 0) == Proof::Open)
    }

    /// The rate asked is that of all that is sent: UDP need not carry what goes beside it.
    fn payload_rate(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<BitRate> {
        let (criteria, load) = (criterion.criteria, trial.load()?);
        let beside = match trial.is_rounded_up() {
            true => 0,
            false => beside(criteria, trial, load, criterion.direction?),
        };
        let rest = criterion.limit().rate()?.bits_per_second().saturating_sub(beside);
        criteria.framing.goodput(BitRate::new(rest)?, criteria.layer, load.payload())
    }

    /// The time in which the growth of a queue shows.
    fn takes(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<Need> {
        let because = format!("{METRIC} is judged over {} s at least", WINDOW_MIN.secs_up());
        Some(Need { takes: WINDOW_MIN.plus(EDGES), because })
    }

    /// Then a full bucket carries no more than what is forgiven.
    fn takes_in_full(&self, criterion: &Criterion<'_>) -> Option<Span> {
        drained_after(criterion)
    }

    /// Half of the variation is then no more than the growth that a PASS allows.
    fn takes_after(
        &self,
        criterion: &Criterion<'_>,
        _trial: &Trial,
        idle: &TrialRun,
    ) -> Option<Need> {
        let variation = &idle.outcome.one_way(criterion.direction?).probes.variation;
        let Some(Delay::Finite(varies_ns)) = variation.quantile(JITTER_QUANTILE) else {
            return None;
        };
        let window_ns = real(varies_ns) / (2.0 * FORGIVEN_MIN.as_fraction());
        let window = Span::from_nanos(count(window_ns.round()));
        let because = format!(
            "{METRIC}: the idle link's delay varies by {} ms, which hides a queue that grows in \
             less",
            Span::from_nanos(varies_ns).millis_up()
        );
        Some(Need { takes: window.plus(EDGES), because })
    }

    fn shortfalls(&self, criterion: &Criterion<'_>, trial: &Trial) -> Vec<String> {
        // Two shares for one rate would contradict each other: the bucket's is the larger.
        let credit = short_credit_text(criterion, trial);
        credit.or_else(|| grain_text(criterion, trial)).into_iter().collect()
    }

    fn prospect(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> Prospect {
        let rate = criterion.limit();
        let needs = format!("UDP at {rate} or more, within what is committed; counted");
        Prospect { needs, chance: Chance::Provable }
    }

    fn unjudged(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> String {
        let (named, rate) = (criterion.named(), criterion.limit());
        let is_fast = |trial: &&Trial| {
            let loads = |direction| trial.load().is_some_and(|load| load.rate(direction).is_some());
            criterion.direction.is_some_and(loads) && is_offered(criterion, trial)
        };
        match trials.iter().any(is_fast) {
            true => format!(
                "no udp test loads{named} at a rate up to the committed one: load above it, or \
                 as fast as possible, is not judged"
            ),
            false => format!("no udp test loads{named} at {rate} or more"),
        }
    }

    fn unmeasured(&self) -> &'static str {
        "no UDP load at this rate or above, up to the committed rate, was sent in this direction"
    }
}

/// The share of packets that may be lost while a throughput still counts as carried.
pub(super) fn loss_allowed(requirements: &Requirements, direction: Direction) -> Ratio {
    loss::most(requirements, direction).unwrap_or(FORGIVEN_MIN)
}

/// That so few packets of `trial` are judged that its rate is proved less closely.
fn grain_text(criterion: &Criterion<'_>, trial: &Trial) -> Option<String> {
    let direction = criterion.direction?;
    let packets = trial.load()?.rate(direction)?.packets_in(trial.at_rate().minus(EDGES));
    (packets < WINDOW_PACKETS).then(|| {
        let tenths = WINDOW_PACKETS / packets.max(1);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        format!(
            "only {packets} packets are judged, so that a PASS forgives the loss of 2 of them, \
             {whole}.{tenth} %"
        )
    })
}

/// How long a load takes of which a policer's full bucket may carry no more than what is forgiven.
fn drained_after(criterion: &Criterion<'_>) -> Option<Span> {
    let (direction, required) = (criterion.direction?, criterion.limit().rate()?);
    let allowed = loss_allowed(&criterion.criteria.requirements, direction);
    let forgiven = allowed.max(FORGIVEN_MIN).of(required)?;
    let burst = *criterion.criteria.burst.get(direction);
    Some(Span::from_secs(burst.bits().div_ceil(forgiven.bits_per_second())))
}

/// That a policer's full bucket may carry more of `trial` than what is forgiven.
fn short_credit_text(criterion: &Criterion<'_>, trial: &Trial) -> Option<String> {
    let (direction, required) = (criterion.direction?, criterion.limit().rate()?);
    let burst = *criterion.criteria.burst.get(direction);
    let takes = drained_after(criterion)?;
    if takes <= trial.at_rate() {
        return None;
    }
    let credit = count(real(burst.bits()) / trial.at_rate().as_secs());
    let proven = BitRate::new(required.bits_per_second().saturating_sub(credit));
    let proves = match proven {
        None => "the rate cannot pass".to_owned(),
        Some(proven) => format!("a PASS proves {}", proven.rounded_down()),
    };
    let takes = takes.secs_up();
    Some(format!(
        "{proves}; to prove all {required} takes {takes} s, as a policer or shaper may first pass \
         {burst} from its full token bucket"
    ))
}

/// What the evidence of one direction proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    /// The rate is carried.
    Carried,
    /// It is not.
    Short,
    /// It is not, and what the sender did not send, or sent in lumps, explains that.
    SenderShort,
    /// Neither.
    Open,
}

/// What the sender of a load did not do as it was due: the reason for a verdict of INVALID.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SenderShortage {
    /// Packets that are missing of what was to be sent in the window.
    pub missing: u64,
    /// The sum of its stalls, in ns.
    pub held_ns: u64,
}

/// `None` where the trial says nothing about it.
fn throughput(criterion: &Criterion<'_>, run: &TrialRun, load: &Load) -> Option<Measured> {
    let (criteria, direction) = (criterion.criteria, criterion.direction?);
    let required = criterion.limit().rate()?;
    let one_way = run.outcome.one_way(direction);
    let (sent, came) = (one_way.sender.as_ref(), one_way.receiver.as_ref());
    // Nothing that the other side reports, or leaves out, chooses the rule.
    if run.trial.is_rounded_up() && sent.is_some() && came.is_some() {
        let allowed = loss_allowed(&criteria.requirements, direction);
        return throughput_by_due_times(criteria, run, load, direction, allowed);
    }
    let (Some(sent), Some(came)) = (sent, came) else {
        return Some(account_missing(run, one_way));
    };
    let Some(evidence) = &one_way.throughput else {
        let why = "the receiver did not report what it received of the window";
        return Some(Measured::Missing(why.to_owned()));
    };
    let question = Question::of(criteria, run, load, direction, required)?;
    let own = came.host_dropped + losses(run, direction).map_or(0, |losses| losses.doubtful);
    let proof = question.proof(evidence, 0);
    // What the sender's host may have withheld may be why this direction seemed dead.
    let withheld_ns = unresolved_for(run, direction).nanos();
    let own_pause_ns = question.own_pause_ns.saturating_sub(withheld_ns);
    let at_best = Question { own_pause_ns, ..question }.proof(evidence, own);
    let is_open = is_interrupted(run, direction, sent);
    let meets = |proof: Proof, sender_short: Option<bool>| match proof {
        Proof::Carried => Some(true),
        Proof::Short => Some(false),
        Proof::SenderShort if is_open => None,
        Proof::SenderShort => sender_short,
        Proof::Open => None,
    };
    Some(Measured::Counted {
        value: question.whole(evidence, 0).carried * question.required,
        meets: meets(proof, Some(false)),
        meets_at_best: meets(at_best, None),
        proven: question.proven(evidence).filter(|_| proof == Proof::Carried),
        counts: question.counts(evidence, proof, run, direction),
    })
}

/// Packets per second of the load in `direction` that left in the window and arrived in its time:
/// what counts as carried, whatever is required, without what goes beside the load. `None` where
/// the evidence of it is missing.
#[must_use]
pub fn carried_packets(run: &TrialRun, direction: Direction) -> Option<f64> {
    let one_way = run.outcome.one_way(direction);
    let fit = one_way.throughput.as_ref()?.whole;
    let corruption = one_way.receiver.as_ref().map(Corruption::of).unwrap_or_default();
    let (altered, _) = corruption.share(Confidence::default());
    let rise_ns = fit.rise_ns.map_or(0.0, crate::stats::signed_real).max(0.0);
    let seconds = (real(fit.duration_ns) + rise_ns) / 1e9;
    (0 < fit.duration_ns).then(|| real(fit.carried) * (1.0 - altered) / seconds)
}

/// Whether `trial` sends as much as is required in all: load, probes and heartbeats.
fn is_offered(criterion: &Criterion<'_>, trial: &Trial) -> bool {
    let Criteria { framing, layer, .. } = criterion.criteria;
    let offered = criterion.direction.and_then(|it| trial.rate_at(it, *framing, *layer));
    offered.zip(criterion.limit().rate()).is_some_and(|(offered, required)| required <= offered)
}

/// The question that is asked of one direction of `run`, and the evidence that answers it.
fn asked<'a>(
    criterion: &Criterion<'_>,
    run: &'a TrialRun,
) -> Option<(Question, &'a ThroughputEvidence)> {
    if !LAW.speaks(criterion, &run.trial) {
        return None;
    }
    let (direction, required) = (criterion.direction?, criterion.limit().rate()?);
    let question = Question::of(criterion.criteria, run, run.trial.load()?, direction, required)?;
    Some((question, run.outcome.one_way(direction).throughput.as_ref()?))
}

/// What of the sender explains that the throughput required of `direction` is not met; `None` where
/// nothing of it does, or it was interrupted.
#[must_use]
pub fn sender_shortage(
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
) -> Option<SenderShortage> {
    let criterion = Criterion::of(criteria, METRIC, Some(direction))?;
    let (question, evidence) = asked(&criterion, run)?;
    let counts = run.outcome.one_way(direction).sender.as_ref()?;
    let TransitFit { duration_ns, sent, held_ns, .. } = evidence.whole;
    let due = count(question.packets_in(duration_ns).round());
    let missing = due.saturating_sub(sent);
    let is_short = question.proof(evidence, 0) == Proof::SenderShort;
    let is_own = is_short && !is_interrupted(run, direction, counts);
    is_own.then_some(SenderShortage { missing, held_ns })
}

/// Packets per second as a real number.
fn per_second(rate: PacketRate) -> f64 {
    const MANY: u64 = 1_000_000;
    real(MANY) * 1e9 / real(rate.due(MANY).nanos().max(1))
}

/// The bits of a packet of `payload` octets at the layer that rates count.
fn packet_bits(criteria: &Criteria, payload: u32) -> f64 {
    8.0 * f64::from(criteria.framing.octets_at(criteria.layer, payload))
}

/// What is sent beside the load in `direction`, in bit/s: probes or their replies, and the
/// heartbeats for the load of the other direction.
fn beside(criteria: &Criteria, trial: &Trial, load: &Load, direction: Direction) -> u64 {
    let (framing, layer) = (criteria.framing, criteria.layer);
    let bits = |rate: Option<BitRate>| rate.map_or(0, BitRate::bits_per_second);
    let all = bits(trial.rate_at(direction, framing, layer));
    all.saturating_sub(bits(load.rate_at(direction, framing, layer)))
}

/// Whether the load stopped for what neither its sender nor this direction of the link did: the
/// trial was cut short, or the load was paused, nobody knows when, although this direction was
/// never silent.
fn is_interrupted(run: &TrialRun, direction: Direction, sent: &SenderCounts) -> bool {
    let is_placed = is_pause_seen(run, direction) || was_silent(run, direction);
    run.outcome.status != Status::Ok || (0 < sent.paused && !is_placed)
}

/// Whether its sender reports when the load was paused.
fn is_pause_placed(run: &TrialRun, direction: Direction) -> bool {
    let evidence = run.outcome.one_way(direction).throughput.as_ref();
    evidence.is_some_and(|evidence| 0 < evidence.whole.paused_ns)
}

/// Whether what its sender reports of when the load was paused is what this driver saw itself.
fn is_pause_seen(run: &TrialRun, direction: Direction) -> bool {
    let evidence = run.outcome.one_way(direction).throughput.as_ref();
    let paused_ns = evidence.map_or(0, |evidence| evidence.whole.paused_ns);
    let seen_ns = Pauses::seen(run, direction).time.nanos();
    0 < paused_ns && paused_ns / 100 * PAUSE_SEEN_MIN_PERCENT <= seen_ns
}

/// Whether the path's own delay did not change, or when it did is known.
fn is_placed(evidence: &ThroughputEvidence) -> bool {
    evidence.path_change.is_none_or(|change| change.at_ns.is_some())
}

/// What is asked of the load in one direction of a trial. Ratios are parts of the rate required.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// In bit/s.
    required: f64,
    /// Packets of the load per second, and the bits of each.
    packets: f64,
    packet_bits: f64,
    /// What goes beside it as sent and as carried, in bit/s.
    beside_sent: f64,
    beside_carried: f64,
    /// By how much more was offered than is required.
    over: f64,
    /// How long at most the load was paused because this direction was dead, in ns: the link's
    /// doing. Any other pause is no time that is judged.
    own_pause_ns: u64,
    /// How long at least: what a FAIL may count.
    own_pause_least_ns: u64,
    /// What this driver itself saw of other pauses: what the far end says of them excludes no more
    /// time.
    seen: Pauses,
    /// Packets that were never sent for that, where nobody knows when: as old records have it.
    unplaced: u64,
    bound: f64,
    confidence: Confidence,
    /// What arrived altered: lost, for a verdict.
    corruption: Corruption,
    trial: Span,
    /// What a policer or shaper may have held when the load started: it carries that beside its
    /// rate.
    burst: BurstSize,
}

/// A part of the window as a question sees it. All are ratios.
#[derive(Clone, Copy, Debug)]
struct Part {
    sent: f64,
    carried: f64,
    growth: f64,
    /// The uncertainty of the growth.
    growth_error: f64,
    /// That of what was carried.
    error: f64,
    held: f64,
    /// What is forgiven of the rate, and of growth.
    forgiven: f64,
    growth_max: f64,
    /// One packet.
    grain: f64,
    /// Whether enough arrived to show growth at all.
    is_known: bool,
    is_long: bool,
    /// Whether enough of it is left without the time in which the load was paused.
    is_judged: bool,
    /// Whether that is enough for a PASS: a load that was off for most of the window shows nothing
    /// of the rate in most of it.
    is_mostly_judged: bool,
}

impl Part {
    /// Whether the sender offered enough for a PASS.
    fn is_sent(&self) -> bool {
        SENT_MIN - self.grain <= self.sent
    }

    /// Whether the link carried the rate, and no queue grew.
    fn is_carried(&self) -> bool {
        let error = if self.is_long { self.growth_error / 2.0 } else { self.growth_error };
        1.0 - self.forgiven <= self.carried && self.growth + error <= self.growth_max
    }

    /// Whether the link carried too little even if `spare` more of the rate was carried.
    fn is_short(&self, spare: f64) -> bool {
        let carried = self.carried + self.error + spare;
        carried < 1.0 - self.forgiven || self.growth_max < self.growth - self.growth_error - spare
    }
}

impl Question {
    fn of(
        criteria: &Criteria,
        run: &TrialRun,
        load: &Load,
        direction: Direction,
        required: BitRate,
    ) -> Option<Self> {
        let one_way = run.outcome.one_way(direction);
        let packets = per_second(load.rate(direction)?);
        let packet_bits = packet_bits(criteria, load.payload());
        let beside_sent = real(beside(criteria, &run.trial, load, direction));
        let probes = one_way.probes.sent.zip(one_way.probes.received);
        let arrived = probes
            .filter(|(sent, _)| 0 < *sent)
            .map_or(1.0, |(sent, received)| real(received.min(sent)) / real(sent));
        let required = real(required.bits_per_second());
        let paused = one_way.sender.as_ref().map_or(0, |sent| sent.paused);
        let unplaced = if is_pause_placed(run, direction) { 0 } else { paused };
        // Of two trials either may fail by chance.
        let trials = if run.trial.is_lengthened() { 2 } else { 1 };
        let confidence = criteria.confidence().over(trials);
        Some(Self {
            required,
            packets,
            packet_bits,
            beside_sent,
            beside_carried: beside_sent * arrived,
            over: ((packets * packet_bits + beside_sent) / required - 1.0).max(0.0),
            own_pause_ns: own_pause(run, direction).nanos(),
            own_pause_least_ns: own_pause_least(run, direction).nanos(),
            seen: Pauses::seen(run, direction),
            unplaced: if was_silent(run, direction) { unplaced } else { 0 },
            bound: loss_allowed(&criteria.requirements, direction).as_fraction(),
            confidence,
            corruption: one_way.receiver.as_ref().map(Corruption::of).unwrap_or_default(),
            trial: run.trial.at_rate(),
            burst: *criteria.burst.get(direction),
        })
    }

    /// Packets of the load that are due in `span_ns`.
    fn packets_in(&self, span_ns: u64) -> f64 {
        self.packets * real(span_ns) / 1e9
    }

    /// The share of packets that is forgiven, however many they are.
    fn forgiven(&self) -> f64 {
        self.bound.max(FORGIVEN_MIN.as_fraction())
    }

    /// How much of `fit` is not judged, as its load was paused while this direction was alive.
    fn excluded_ns(&self, fit: &TransitFit) -> u64 {
        self.said_ns(fit).min(self.seen.time.nanos())
    }

    /// For how long its load was paused by its sender's word while this direction was alive.
    const fn said_ns(&self, fit: &TransitFit) -> u64 {
        fit.paused_ns.saturating_sub(self.own_pause_ns)
    }

    /// The part that `fit` is of, if `own` more of its packets had arrived.
    fn part(&self, fit: &TransitFit, own: u64) -> Part {
        let excluded_ns = self.excluded_ns(fit);
        let judged_ns = fit.duration_ns.saturating_sub(excluded_ns).max(1);
        let window_s = real(judged_ns) / 1e9;
        let ratio = |ns: f64| ns / real(judged_ns);
        let own_pause_ns = fit.paused_ns.min(self.own_pause_ns);
        let never_sent = count(self.packets_in(own_pause_ns)) + self.unplaced;
        let arrived = fit.carried.saturating_add(own).min(fit.sent);
        let rate = |packets: f64, beside: f64| {
            (packets * self.packet_bits / window_s + beside) / self.required
        };
        let rise_ns = fit.rise_ns.map_or(0.0, crate::stats::signed_real);
        let growth = ratio(rise_ns);
        let growth_error = ratio(fit.spread_ns.map_or(0.0, real));
        let lost = fit.sent - arrived;
        let low = loss_bounds(lost, fit.sent, self.confidence).map_or(0.0, |bounds| bounds.low);
        let loss = if fit.sent == 0 { 0.0 } else { real(lost) / real(fit.sent) };
        let (altered, bounds) = self.corruption.share(self.confidence);
        let packets = self.packets_in(judged_ns).max(1.0);
        let grain = GRAIN_PACKETS / packets;
        Part {
            sent: rate(real(fit.sent.saturating_add(never_sent)), self.beside_sent),
            carried: rate(real(arrived) * (1.0 - altered), self.beside_carried)
                / (1.0 + growth.max(0.0)),
            growth,
            growth_error,
            error: growth_error + 1.0 / packets + (loss - low).max(0.0) + (altered - bounds.low),
            held: ratio(real(fit.held_ns)),
            forgiven: self.forgiven().max(grain),
            growth_max: FORGIVEN_MIN.as_fraction().max(grain) + self.over,
            grain: 1.0 / packets,
            is_known: fit.rise_ns.is_some(),
            // A queue drains in a pause: how it grows on either side of it shows as deviation.
            is_long: LONG_ENOUGH.nanos() <= judged_ns && self.said_ns(fit) == 0,
            is_judged: excluded_ns == 0 || WINDOW_MIN.nanos() <= judged_ns,
            is_mostly_judged: excluded_ns <= fit.duration_ns / 2,
        }
    }

    fn whole(&self, evidence: &ThroughputEvidence, own: u64) -> Part {
        self.part(&evidence.whole, own)
    }

    /// What `evidence` proves if `own` more of its packets had arrived.
    ///
    /// What the far end says of pauses proves no PASS beyond what this driver saw of them. A FAIL
    /// is proven where the link falls short in what is left by the far end's own words, and by no
    /// more of its own pauses than there were for sure.
    fn proof(&self, evidence: &ThroughputEvidence, own: u64) -> Proof {
        let proof = self.proof_by_seen(evidence, own);
        if !matches!(proof, Proof::Short | Proof::SenderShort) {
            return proof;
        }
        let time = Span::from_nanos(u64::MAX);
        let own_pause_ns = self.own_pause_ns.min(self.own_pause_least_ns);
        let as_said = Self { own_pause_ns, seen: Pauses { time, ..self.seen }, ..*self };
        match (as_said.proof_by_seen(evidence, own), proof) {
            (Proof::Short, _) => Proof::Short,
            (_, Proof::Short) => Proof::Open,
            _ => proof,
        }
    }

    fn proof_by_seen(&self, evidence: &ThroughputEvidence, own: u64) -> Proof {
        let whole = self.whole(evidence, own);
        if !whole.is_judged {
            return Proof::Open;
        }
        if whole.is_short(0.0) {
            let is_sent = 1.0 - whole.forgiven <= whole.sent;
            let is_held = 0.0 < whole.held && !whole.is_short(whole.held);
            return if is_sent && !is_held { Proof::Short } else { Proof::SenderShort };
        }
        let third = self.part(&evidence.last_third, own);
        let is_carried = whole.is_known
            && whole.is_mostly_judged
            && whole.is_sent()
            && is_placed(evidence)
            && whole.is_carried()
            && !third.is_short(0.0)
            && !self.is_held_by_the_bucket(evidence);
        if is_carried { Proof::Carried } else { Proof::Open }
    }

    /// What was counted, in words.
    fn counts(
        &self,
        evidence: &ThroughputEvidence,
        proof: Proof,
        run: &TrialRun,
        direction: Direction,
    ) -> String {
        let TransitFit { sent: left, carried, .. } = evidence.whole;
        let mut counts = format!("{carried} of {left} packets arrived");
        let Corruption { corrupted, compared, .. } = self.corruption;
        if 0 < corrupted {
            counts += &format!(
                "; {corrupted} of {compared} packets that were compared had been altered on the \
                 way, and that share of all counts as lost"
            );
        }
        counts += &self.delay_text(evidence);
        let paused = run.outcome.one_way(direction).sender.as_ref().map_or(0, |sent| sent.paused);
        let excluded_s = real(self.excluded_ns(&evidence.whole)) / 1e9;
        if 0.0 < excluded_s {
            counts += &format!(
                "; the load was paused for {excluded_s:.1} s, as the far end stopped answering: \
                 that time is not judged"
            );
        } else if 0 < paused {
            counts += &pause_text(run, direction, paused);
        }
        if run.outcome.status != Status::Ok {
            counts += "; the trial was cut short";
        }
        match proof {
            Proof::Carried => counts += &self.credit_text(evidence),
            Proof::Open => counts += &self.open_text(evidence),
            Proof::Short | Proof::SenderShort => {}
        }
        counts
    }

    /// How the transit time changed, in words.
    fn delay_text(&self, evidence: &ThroughputEvidence) -> String {
        let mut text = String::new();
        let whole = self.whole(evidence, 0);
        if 1e-5 < whole.growth && whole.growth_error < whole.growth {
            let per_second = whole.growth * 1e3;
            text += &format!("; a queue grew: their delay rose by {per_second:.3} ms per s");
        }
        let Some(change) = evidence.path_change else { return text };
        let verb = if change.change_ns < 0 { "fell" } else { "rose" };
        let change_ms = real(change.change_ns.unsigned_abs()) / 1e6;
        let changed = format!("{verb} by {change_ms:.1}");
        text += &match change.at_ns {
            Some(at_ns) => format!(
                "; the path's delay {changed} ms {:.1} s after the start and stayed there, as \
                 after a change of route: not a growing queue",
                real(at_ns) / 1e9
            ),
            None => {
                format!("; the path's delay {changed} ms during the test, at an unknown time")
            }
        };
        text
    }

    /// Why neither PASS nor FAIL is proven: the first condition of a PASS that does not hold.
    fn open_text(&self, evidence: &ThroughputEvidence) -> String {
        let whole = self.whole(evidence, 0);
        let text = if !whole.is_judged {
            "; too little time is left for a verdict"
        } else if !whole.is_mostly_judged {
            "; less than half of the test is left, too little for a PASS. Run again"
        } else if !whole.is_known {
            "; too few to show whether a queue grew. Test longer"
        } else if !whole.is_sent() {
            "; less than 99 % of the rate was sent, too little for a PASS. Use a host with an \
             idle processor, or test at a lower rate"
        } else if !is_placed(evidence) {
            "; a growing queue may be hidden by that. Run again when the path is stable"
        } else if self.is_held_by_the_bucket(evidence) {
            return format!(
                "; but a policer or shaper may have passed all of it from a full token bucket of \
                 {}. Test longer",
                self.burst
            );
        } else if whole.is_carried() {
            "; but in the last third of the test the required rate was not carried. Test longer"
        } else {
            "; too close to the required rate to be judged at this length. Test longer"
        };
        text.to_owned()
    }

    /// What a full bucket may have carried of the load beside the link's rate, in bit/s. In each
    /// pause it may have filled again.
    fn credit(&self, evidence: &ThroughputEvidence) -> f64 {
        let whole = &evidence.whole;
        let excluded = Span::from_nanos(self.excluded_ns(whole));
        let pauses = whole.pauses.max(self.seen.count).max(1);
        let buckets = 1 + if self.said_ns(whole) == 0 { 0 } else { pauses };
        real(self.burst.bits()) * real(buckets) / self.trial.minus(excluded).as_secs()
    }

    /// Whether that may be all that was asked: nothing of the rate is proven then.
    fn is_held_by_the_bucket(&self, evidence: &ThroughputEvidence) -> bool {
        self.required <= self.credit(evidence)
    }

    /// The rate that a PASS proves, in bit/s, where a full bucket may have carried more than is
    /// forgiven; `None` where it proves what was asked.
    fn proven(&self, evidence: &ThroughputEvidence) -> Option<f64> {
        let credit = self.credit(evidence);
        (self.forgiven() * self.required < credit).then_some((self.required - credit).max(0.0))
    }

    /// What a PASS proves, where a full bucket may have carried more than is forgiven.
    fn credit_text(&self, evidence: &ThroughputEvidence) -> String {
        let rate = self.proven(evidence).and_then(|proven| BitRate::new(count(proven)));
        rate.map_or_else(String::new, |rate| {
            let (burst, rate) = (self.burst, rate.rounded_down());
            format!(
                "; {rate} is proven, as a policer or shaper may have passed the rest from its \
                 full token bucket ({burst}). A longer test proves more"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{PathChange, Silence, Silences};
    use crate::direction::PerDirection;
    use crate::metric::tests::{
        Counts, came, check, counted, criteria, estimate, gaps, judged, measured, outcome, sent,
        throughput,
    };

    /// So many of 7911 packets arrived.
    fn carried(run: &mut TrialRun, packets: u64) {
        judged(run).whole.carried = packets;
        let third = &mut judged(run).last_third;
        third.carried = packets / 3;
    }

    #[track_caller]
    fn judge(run: &TrialRun) -> Counts {
        counted(measured(throughput(), run))
    }

    fn counts(run: &TrialRun) -> String {
        judge(run).counts
    }

    #[track_caller]
    fn check_shortage(run: &TrialRun, expected: bool) {
        let shortage = sender_shortage(&criteria(), run, Direction::Forward);
        assert_eq!(shortage.is_some(), expected, "{shortage:?}");
    }

    /// The load and its probes are 1.3 % faster than is required.
    #[test]
    fn altered_packets_are_not_carried() {
        let altered = |corrupted, compared| {
            outcome(|run| {
                came(run).corrupted = corrupted;
                came(run).compared = compared;
            })
        };
        check(throughput(), &altered(240, 8_000), Some(false));
        check(throughput(), &altered(80, 8_000), Some(true));
        // Of so few that were compared, nobody knows of the others.
        check(throughput(), &altered(3, 100), None);
        let Counts { value, counts, .. } = judge(&altered(4_000, 8_000));
        assert!((5.0e6..5.2e6).contains(&value), "{value}");
        let altered = "4000 of 8000 packets that were compared had been altered";
        assert!(counts.contains(altered), "{counts}");
    }

    /// The load and its probes are 1.9 % more than is required: what is carried may be less.
    #[test]
    fn what_left_and_arrived_is_carried() {
        check(throughput(), &outcome(|_| {}), Some(true));
        check(throughput(), &outcome(|run| carried(run, 7_400)), Some(false));
        check_shortage(&outcome(|run| carried(run, 7_400)), false);
    }

    /// Nothing went beside this load, whose frames are of 1518 octets.
    #[test]
    fn what_is_carried_is_the_same_whether_something_is_required_or_not() {
        let run = outcome(|run| {
            judged(run).whole.rise_ns = Some(400_000_000);
            carried(run, 7_800);
            came(run).corrupted = 240;
            came(run).compared = 8_000;
            (run.outcome.forward.probes.sent, run.outcome.forward.probes.received) =
                (Some(1_000), Some(0));
        });
        let packets = carried_packets(&run, Direction::Forward).expect("evidence");
        assert!((packets - 7_800.0 * 0.97 / 10.0).abs() < 1e-9, "{packets}");
        assert!((judge(&run).value - packets * 1_518.0 * 8.0).abs() < 1e-3, "{packets}");
        let none = outcome(|run| run.outcome.forward.throughput = None);
        assert_eq!(carried_packets(&none, Direction::Forward), None);
    }

    #[test]
    fn a_queue_that_grows_is_not_carried() {
        let grows = |ms: i64| outcome(|run| judged(run).whole.rise_ns = Some(ms * 1_000_000));
        check(throughput(), &grows(120), Some(true));
        check(throughput(), &grows(400), Some(false));
    }

    #[test]
    fn a_growth_within_its_uncertainty_proves_nothing() {
        let run = outcome(|run| {
            judged(run).whole.rise_ns = Some(250_000_000);
            judged(run).whole.spread_ns = Some(240_000_000);
        });
        check(throughput(), &run, None);
        let criteria = criteria();
        let criterion = Criterion::of(&criteria, METRIC, Some(Direction::Forward));
        assert!(criterion.expect("it is required").is_open(&run));
    }

    #[test]
    fn a_last_third_that_is_short_by_itself_proves_nothing() {
        let run = outcome(|run| judged(run).last_third.carried /= 2);
        check(throughput(), &run, None);
    }

    #[test]
    fn a_path_that_changed_where_nobody_knows_proves_nothing() {
        let change = |at_ns| PathChange { at_ns, change_ns: 5_000_000 };
        let run = |at_ns| outcome(|run| judged(run).path_change = Some(change(at_ns)));
        check(throughput(), &run(Some(3)), Some(true));
        check(throughput(), &run(None), None);
    }

    #[test]
    fn what_was_not_sent_is_not_the_links() {
        let short = outcome(|run| {
            carried(run, 7_000);
            judged(run).whole.sent = 7_000;
        });
        check_shortage(&short, true);
        let held = outcome(|run| {
            carried(run, 7_600);
            judged(run).whole.held_ns = 500_000_000;
        });
        check_shortage(&held, true);
        // Whatever cut the trial short or paused its load, the sender did not.
        for run in [&short, &held] {
            let mut cut = run.clone();
            cut.outcome.status = Status::Partial;
            check_shortage(&cut, false);
            assert!(counts(&cut).contains("; the trial was cut short"), "{}", counts(&cut));
            let mut paused = run.clone();
            sent(&mut paused).paused = 300;
            check_shortage(&paused, false);
        }
        let Counts { meets, meets_at_best, .. } = judge(&held);
        assert_eq!((meets, meets_at_best), (Some(false), None));
    }

    #[test]
    fn what_this_host_dropped_is_the_links_at_best() {
        let run = outcome(|run| {
            carried(run, 7_000);
            came(run).host_dropped = 911;
        });
        let Counts { meets, meets_at_best, .. } = judge(&run);
        assert_eq!((meets, meets_at_best), (Some(false), Some(true)));
    }

    #[test]
    fn a_pause_for_want_of_heartbeats_is_not_this_directions_fault() {
        let paused = |run: &mut TrialRun| {
            sent(run).paused = 1_500;
            judged(run).whole.sent = 6_400;
            carried(run, 6_400);
        };
        check(throughput(), &outcome(paused), None);
        let silent = |run: &mut TrialRun| {
            paused(run);
            run.outcome.forward.silences = gaps(1_000, 2_600, true);
        };
        check(throughput(), &outcome(silent), Some(false));
    }

    /// The same of a load in reverse, whose silences are those of `seen`, in ms from 1 s on.
    fn reversed(run: &TrialRun, seen: &[(u64, u64)]) -> Counts {
        let mut run = crate::metric::tests::reversed(run.clone());
        let silence = |(from, until): &(u64, u64)| Silence {
            start_ns: from * 1_000_000,
            end_ns: until * 1_000_000,
            ..Silence::default()
        };
        run.outcome.reverse.silences =
            Silences::from_vec(seen.iter().map(silence).collect()).expect("in order");
        let (criteria, direction) = (criteria(), Some(Direction::Reverse));
        let criterion = Criterion { criteria: &criteria, direction, requirement: throughput() };
        counted(criterion.estimate(&run))
    }

    /// 10 ms on and 10 ms off at twice what the line carries, said to be one pause.
    #[test]
    fn what_an_agent_says_of_its_pauses_proves_nothing_beyond_what_was_seen_of_them() {
        let forged = paused(4_800, 3_955, 3_955);
        let meets = |run: &TrialRun, seen: &[(u64, u64)]| reversed(run, seen).meets;
        assert_eq!(meets(&forged, &[]), None);
        assert_eq!(meets(&forged, &[(2_000, 2_100)]), None);
        // It was off for as long as that.
        assert_eq!(meets(&forged, &[(2_000, 6_900)]), Some(true));
        // It was off, but not for so short a window to be left.
        let most = paused(5_600, 3_296, 3_296);
        let Counts { meets: most, counts, .. } = reversed(&most, &[(2_000, 7_700)]);
        assert_eq!(most, None);
        assert!(counts.contains("less than half of the test is left"), "{counts}");
        // What is lost beside a pause that nobody saw is lost nevertheless.
        assert_eq!(meets(&paused(2_000, 6_263, 4_200), &[]), Some(false));
    }

    #[test]
    fn a_bucket_may_have_filled_again_in_each_pause_that_was_seen() {
        let run = paused(2_000, 6_263, 6_263);
        let one = reversed(&run, &[(2_000, 4_100)]);
        let seen: Vec<_> = (0..20).map(|it| (2_000 + it * 200, 2_105 + it * 200)).collect();
        let many = reversed(&run, &seen);
        assert_eq!((one.meets, many.meets), (Some(true), Some(true)));
        assert!(many.proven.expect("less") < one.proven.expect("less") - 1e6);
    }

    /// 9.6 s, of which the load was paused for so many ms while the other direction was dead.
    fn paused(ms: u64, sent_packets: u64, carried_packets: u64) -> TrialRun {
        outcome(|run| {
            sent(run).paused = ms * 823 / 1_000;
            judged(run).whole.sent = sent_packets;
            carried(run, carried_packets);
            // It was before the last third.
            let third = &mut judged(run).last_third;
            third.carried = third.sent * carried_packets / sent_packets;
            (judged(run).whole.paused_ns, judged(run).whole.pauses) = (ms * 1_000_000, 1);
            run.outcome.reverse.silences = gaps(1_000, 1_000 + ms, true);
        })
    }

    /// Of 7911 packets, 1648 were due in 2 s.
    #[test]
    fn a_pause_that_the_other_direction_caused_is_not_judged_and_the_rest_is() {
        check(throughput(), &paused(2_000, 6_263, 6_263), Some(true));
        check(throughput(), &paused(2_000, 6_263, 4_200), Some(false));
        let text = counts(&paused(2_000, 6_263, 4_200));
        let words = "the load was paused for 2.0 s, as the far end stopped answering: that time is";
        assert!(text.contains(words), "{text}");
        check_shortage(&paused(2_000, 6_263, 4_200), false);
        // Too few were sent beside the pause, too.
        check_shortage(&paused(2_000, 5_000, 5_000), true);
        // 1.6 s are left.
        check(throughput(), &paused(8_000, 1_318, 1_318), None);
        check(throughput(), &paused(8_000, 1_318, 600), None);
        assert!(counts(&paused(8_000, 1_318, 600)).contains("too little time is left"));
    }

    #[test]
    fn a_pause_that_this_directions_death_caused_excuses_nothing() {
        let mut run = paused(2_000, 6_263, 6_263);
        run.outcome.forward.silences = gaps(1_000, 3_600, true);
        check(throughput(), &run, Some(false));
        // 1.1 s of 2 s are its own: 900 packets are lost for it.
        run.outcome.forward.silences = gaps(1_000, 2_600, true);
        check(throughput(), &run, Some(false));
    }

    /// Its 1.05 s may have paused nothing: the other direction's death did. Of 60 s, 1.75 % are
    /// lost, where 2 % may be.
    #[test]
    fn a_pause_that_may_not_be_this_directions_own_is_no_failure() {
        let mut run = paused(2_000, 6_263, 6_263 - 110);
        run.outcome.forward.silences = gaps(1_000, 2_050, true);
        let mut criteria = criteria();
        let two_percent = Metric::LOSS.require("<= 2%").expect("a bound");
        criteria.requirements.set(None, two_percent);
        let Counts { meets, .. } = counted(estimate(&criteria, throughput(), &run));
        assert_eq!(meets, None);
        run.outcome.forward.silences = gaps(1_000, 3_600, true);
        let Counts { meets, .. } = counted(estimate(&criteria, throughput(), &run));
        assert_eq!(meets, Some(false), "1.6 s of it for sure");
    }

    #[test]
    fn a_bucket_may_have_filled_again_in_each_pause() {
        let proven = |run: &TrialRun| judge(run).proven.expect("less than all");
        assert!(proven(&paused(2_000, 6_263, 6_263)) < proven(&outcome(|_| {})));
        let mut many = paused(2_000, 6_263, 6_263);
        judged(&mut many).whole.pauses = 40;
        assert!(proven(&many) < proven(&paused(2_000, 6_263, 6_263)) - 1e6);
    }

    #[test]
    fn a_queue_that_a_pause_may_have_drained_is_counted_whole() {
        let uncertain = |ms: u64, spread_ms: u64| {
            let mut run = paused(ms, 7_911 - ms * 824 / 1_000, 7_911 - ms * 824 / 1_000);
            judged(&mut run).whole.spread_ns = Some(spread_ms * 1_000_000);
            run
        };
        check(throughput(), &uncertain(0, 250), Some(true));
        check(throughput(), &uncertain(1, 250), None);
    }

    #[test]
    fn what_leaves_a_throughput_open_is_named() {
        let check_open = |change: &dyn Fn(&mut TrialRun), words: &str| {
            let run = outcome(change);
            check(throughput(), &run, None);
            assert!(counts(&run).ends_with(words), "{}", counts(&run));
        };
        let grows = |run: &mut TrialRun| {
            judged(run).whole.rise_ns = Some(250_000_000);
            judged(run).whole.spread_ns = Some(240_000_000);
        };
        check_open(
            &grows,
            "too close to the required rate to be judged at this length. Test longer",
        );
        let unknown = |run: &mut TrialRun| judged(run).whole.rise_ns = None;
        check_open(&unknown, "; too few to show whether a queue grew. Test longer");
        // 97.9 % of the load and all of its probes, of which no packet was lost.
        let slow = |run: &mut TrialRun| {
            judged(run).whole.sent = 7_700;
            carried(run, 7_700);
            judged(run).whole.spread_ns = Some(200_000_000);
        };
        let sent = "too little for a PASS. Use a host with an idle processor, or test at a lower \
                    rate";
        check_open(&slow, sent);
        let change = PathChange { at_ns: None, change_ns: 5_000_000 };
        let change = |run: &mut TrialRun| judged(run).path_change = Some(change);
        let hidden = "rose by 5.0 ms during the test, at an unknown time; a growing queue may be \
                      hidden by that. Run again when the path is stable";
        check_open(&change, hidden);
        let third = |run: &mut TrialRun| judged(run).last_third.carried /= 2;
        let words = "; but in the last third of the test the required rate was not carried. Test \
                     longer";
        check_open(&third, words);
    }

    #[test]
    fn a_short_trial_proves_less_than_the_rate() {
        let text = counts(&outcome(|_| {}));
        assert!(text.contains("9.947 Mbit/s is proven"), "{text}");
        assert!(text.contains("full token bucket (64 KiB)"), "{text}");
        let minute = Span::from_secs(60);
        let long = outcome(|run| {
            run.trial = run.trial.with_duration(minute).expect("within bounds");
        });
        assert!(!counts(&long).contains("proven"));
    }

    /// In 10 s a bucket of 16 KiB carries 13.1 kbit/s, and one of 8 KiB less than the 10 kbit/s
    /// that are forgiven.
    #[test]
    fn a_bucket_that_the_provider_names_is_taken_at_its_size() {
        let judged = |octets| {
            let burst = PerDirection::both(BurstSize::new(octets).expect("a size"));
            let criteria = Criteria { burst, ..criteria() };
            counted(estimate(&criteria, throughput(), &outcome(|_| {})))
        };
        let Counts { meets, proven, counts: text, .. } = judged(16_384);
        assert_eq!((meets, proven), (Some(true), Some(9_986_892.8)));
        assert!(text.contains("9.986 Mbit/s is proven"), "{text}");
        assert!(text.contains("full token bucket (16 KiB)"), "{text}");
        let Counts { meets, proven, counts: text, .. } = judged(8_192);
        assert_eq!((meets, proven, text.contains("proven")), (Some(true), None, false));
        // It may carry all that is sent in 10 s.
        for octets in [12_500_000, 20_000_000] {
            let Counts { meets, meets_at_best, proven, counts: text, .. } = judged(octets);
            assert_eq!((meets, meets_at_best, proven), (None, None, None));
            assert!(text.contains("may have passed all of it from a full token bucket"), "{text}");
        }
    }
}
