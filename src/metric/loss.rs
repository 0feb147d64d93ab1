//! Loss: UDP load packets that were lost, late or altered, of those sent.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::criteria::{Criteria, Measured, account_missing};
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::requirement::{Limit, Requirements};
use crate::account::{ReceiverCounts, Silence};
use crate::direction::Direction;
use crate::flow::{TrialRun, compared_of};
use crate::stats::confidence::{Bounds, Confidence, bounds_of_loss, loss_bounds, packets_needed};
use crate::stats::loss_bursts::LossBursts;
use crate::stats::real;
use crate::trial::{Load, Trial};
use crate::units::{Ratio, Span};
use std::fmt;

/// Lost packets that the plan for a loss bound allows for: a line ten times better than its bound
/// then passes 99 times of 100 (the binomial operating characteristic at k = 3).
const LOST_ALLOWED: u64 = 3;

static ABOUT: About = About {
    name: "loss",
    title: "packet loss",
    unit: Unit::Ratio,
    kind: Kind::MostShare,
    reach: Reach::EachDirection,
    what: "Share of the UDP load packets sent that were lost, altered or more than 2 s late",
    asks: "UDP packet loss ratio",
    example: "<= 0.01%",
    sample: Sample::Required,
    source: "RFC 7680",
    answered_by: Traffic::Udp,
    made_of: &[Basis::LoadLosses, Basis::Arrivals],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Losing;

struct Losing;

impl Definition for Losing {
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        criterion.direction.is_some_and(|direction| criterion.criteria.is_carried(trial, direction))
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        Some(loss(criterion.criteria, run, criterion.direction?))
    }

    fn together(&self, criterion: &Criterion<'_>, runs: &[&TrialRun]) -> Option<Measured> {
        pooled_loss(criterion.criteria, runs, criterion.direction?)
    }

    /// The time in which enough packets leave.
    fn takes(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<Need> {
        let (load, limit) = (trial.load()?, criterion.limit().share()?);
        let proof = LossProof::of(criterion, load, limit, LOST_ALLOWED)?;
        let takes = load.rate(criterion.direction?)?.span_of(proof.packets);
        Some(Need { takes, because: format!("{METRIC} <= {limit} needs {proof}") })
    }

    fn prospect(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect {
        prospect(criterion, trials, criterion.limit().share().unwrap_or_default())
    }

    fn unjudged(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> String {
        let is_udp = |trial: &&Trial| trial.load().is_some() && criterion.covers(trial);
        let within = match trials.iter().any(is_udp) {
            true => " within the committed rate",
            false => "",
        };
        format!("no udp test loads{}{within}", criterion.named())
    }

    fn unmeasured(&self) -> &'static str {
        "no UDP load at a rate up to the committed one was sent in this direction"
    }
}

/// The share of packets that may be lost in `direction`, where that is required.
pub(super) fn most(requirements: &Requirements, direction: Direction) -> Option<Ratio> {
    requirements.limit(METRIC, Some(direction)).and_then(Limit::share)
}

/// The worst trial decides: each that judges a requirement has to prove it.
fn prospect(criterion: &Criterion<'_>, trials: &[&Trial], most: Ratio) -> Prospect {
    let chance = |trial: &&Trial| {
        let (load, direction) = (trial.load()?, criterion.direction?);
        let packets = load.rate(direction)?.packets_in(trial.duration());
        let proofs = |lost| LossProof::of(criterion, load, most, lost);
        let proofs: Vec<LossProof> = (0..=LOST_ALLOWED).filter_map(proofs).collect();
        let proof = proofs.iter().rfind(|proof| proof.packets <= packets).copied();
        Some((proof.map(|proof| proof.allowed), packets, proofs))
    };
    let worst = trials.iter().filter_map(chance).min_by_key(|(lost, packets, _)| (*lost, *packets));
    let Some((lost, packets, proofs)) = worst else {
        let confidence = criterion.criteria.confidence();
        let needed = packets_needed(most.as_fraction(), LOST_ALLOWED, confidence);
        let needs = format!("{needed} packets, of which {LOST_ALLOWED} may be lost");
        return Prospect { needs, chance: Chance::Provable };
    };
    let chance = match lost {
        Some(LOST_ALLOWED) => Chance::Provable,
        Some(0) => Chance::Partly(format!("{packets} packets prove it only if none is lost")),
        Some(lost) => Chance::Partly(format!(
            "{packets} packets prove it only if at most {lost} of them are lost"
        )),
        None => Chance::Unprovable(format!(
            "{packets} packets can prove a FAIL but not a PASS: a PASS takes {} with none lost",
            proofs.first().map_or(0, |proof| proof.packets)
        )),
    };
    Prospect { needs: proofs.last().map_or_else(String::new, LossProof::to_string), chance }
}

/// Packets that arrived altered: of those that were compared, and of all that arrived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Corruption {
    pub(super) corrupted: u64,
    pub(super) compared: u64,
    arrived: u64,
}

impl Corruption {
    pub(super) fn of(came: &ReceiverCounts) -> Self {
        let arrived = came.received.saturating_add(came.corrupted);
        Self { corrupted: came.corrupted, compared: came.compared, arrived }
    }

    const fn add(&mut self, other: Self) {
        self.corrupted = self.corrupted.saturating_add(other.corrupted);
        self.compared = self.compared.saturating_add(other.compared);
        self.arrived = self.arrived.saturating_add(other.arrived);
    }

    /// The ratio of `offered` packets that arrived altered: where all were compared it is counted,
    /// else the share of the compared ones stands for all, between its own bounds.
    fn ratio(&self, offered: u64, confidence: Confidence) -> (f64, Bounds) {
        if offered == 0 {
            return (0.0, Bounds { low: 0.0, high: 0.0 });
        }
        let scaled = |share: f64| share * real(self.arrived) / real(offered);
        let (share, Bounds { low, high }) = self.share(confidence);
        (scaled(share), Bounds { low: scaled(low), high: scaled(high) })
    }

    /// The same of the packets that arrived. Where none of those compared was altered, few of the
    /// others can have been; records of before payloads were compared have none of either.
    pub(super) fn share(&self, confidence: Confidence) -> (f64, Bounds) {
        let bounds = loss_bounds(self.corrupted, self.compared, confidence);
        let are_all_intact = self.corrupted == 0 && self.arrived <= self.compared;
        match bounds.filter(|_| !are_all_intact) {
            Some(bounds) => (real(self.corrupted) / real(self.compared), bounds),
            None => (0.0, Bounds { low: 0.0, high: 0.0 }),
        }
    }
}

/// What a bound on the loss of a load takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct LossProof {
    /// Packets of the load.
    packets: u64,
    /// Of them, those that may be lost.
    allowed: u64,
    /// Of how many one payload is compared, and none of those is altered.
    compared_of: u64,
}

impl LossProof {
    /// What proves that `load` loses `limit` at most, where it goes in the direction asked about.
    /// The bounds on what was lost and on what was altered add up, and both are inverse to the
    /// packets: so do the packets that each takes.
    fn of(criterion: &Criterion<'_>, load: &Load, limit: Ratio, allowed: u64) -> Option<Self> {
        let compared_of = compared_of(load.stream_rate(criterion.direction?)?, load.payload());
        let confidence = criterion.criteria.confidence();
        let needed = |allowed| packets_needed(limit.as_fraction(), allowed, confidence);
        let altered = if compared_of == 1 { 0 } else { needed(0).saturating_mul(compared_of) };
        Some(Self { packets: needed(allowed).saturating_add(altered), allowed, compared_of })
    }
}

impl fmt::Display for LossProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, allowed, compared_of } = self;
        write!(f, "{packets} packets, of which {allowed} may be lost")?;
        match compared_of {
            1 => Ok(()),
            many => write!(
                f,
                " (one payload in {many} is compared: streams of up to 200 Mbit/s need fewer \
                 packets)"
            ),
        }
    }
}

/// Packets that were lost on the way, for all that this tester can know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    /// Packets that the line had to deliver: sent, less those that the receiving host dropped.
    pub offered: u64,
    /// Lost or late.
    pub lost: u64,
    /// Of the lost, those that this tester may have lost itself.
    pub doubtful: u64,
    /// Of those, the ones that may never have left their host, as it did not know the link-layer
    /// address of its next hop.
    pub unresolved: u64,
}

/// The losses of the load in `direction`; `None` where an account is missing.
#[must_use]
pub fn losses(run: &TrialRun, direction: Direction) -> Option<Losses> {
    let one_way = run.outcome.one_way(direction);
    let (sent, came) = (one_way.sender.as_ref()?, one_way.receiver.as_ref()?);
    let lost = came.losses.lost();
    let (sender, receiver) = run.outcome.hosts(direction);
    // A queue drop that the socket was informed of was refused, and so never sent.
    let queue_drops = sender.map_or(0, |host| host.queue_drops).saturating_sub(sent.queue_dropped);
    let kernel_drops = receiver.map_or(0, |host| host.kernel_drops);
    let rate = run.trial.load().and_then(|load| load.rate(direction));
    let due = rate.map_or(0, |rate| rate.packets_in(unresolved_for(run, direction)));
    let unresolved = due.min(lost);
    let doubtful = [came.unattributed, came.lost_in_excess, queue_drops, kernel_drops, unresolved];
    Some(Losses {
        offered: sent.sent.saturating_sub(came.host_dropped),
        lost,
        doubtful: doubtful.into_iter().fold(0, u64::saturating_add).min(lost),
        unresolved,
    })
}

/// For how long at most the sending host of `direction` did not know the link-layer address of its
/// next hop: what its kernel accepted meanwhile may never have left it. What the agent's host says
/// of itself counts no further than nothing arrived from it here.
#[must_use]
pub fn unresolved_for(run: &TrialRun, direction: Direction) -> Span {
    let host = run.outcome.hosts(direction).0;
    let hop = host.and_then(|host| host.unresolved_next_hop);
    let said = hop.map_or(Span::default(), |hop| Span::from_nanos(hop.unresolved_ns));
    match direction {
        Direction::Forward => said,
        Direction::Reverse => {
            let silences = run.outcome.reverse.silences.as_slice().iter();
            said.min(silences.map(Silence::span).fold(Span::default(), Span::plus))
        }
    }
}

fn loss(criteria: &Criteria, run: &TrialRun, direction: Direction) -> Measured {
    let one_way = run.outcome.one_way(direction);
    let Some(losses) = losses(run, direction) else { return account_missing(run, one_way) };
    let Some(came) = &one_way.receiver else { return account_missing(run, one_way) };
    bounded(criteria, losses, &came.losses, Corruption::of(came))
}

/// The losses of several trials together, as those of one; `None` where none has its accounts.
fn pooled_loss(criteria: &Criteria, runs: &[&TrialRun], direction: Direction) -> Option<Measured> {
    let (mut sum, mut bursts) = (None, LossBursts::default());
    let mut corruption = Corruption::default();
    for run in runs {
        let Some(of_run) = losses(run, direction) else { continue };
        let came = run.outcome.one_way(direction).receiver.as_ref()?;
        bursts.merge(&came.losses);
        corruption.add(Corruption::of(came));
        let before: Losses = sum.unwrap_or_default();
        sum = Some(Losses {
            offered: before.offered.saturating_add(of_run.offered),
            lost: before.lost.saturating_add(of_run.lost),
            doubtful: before.doubtful.saturating_add(of_run.doubtful),
            unresolved: before.unresolved.saturating_add(of_run.unresolved),
        });
    }
    Some(bounded(criteria, sum?, &bursts, corruption))
}

fn bounded(
    criteria: &Criteria,
    losses: Losses,
    bursts: &LossBursts,
    corruption: Corruption,
) -> Measured {
    let bounds =
        |bursts: &LossBursts| bounds_of_loss(bursts, losses.offered, criteria.confidence());
    let Some(Bounds { low, high }) = bounds(bursts) else {
        return Measured::Missing("no packet was sent".into());
    };
    let at_best = bursts.without(losses.doubtful);
    let (corrupted, range) = corruption.ratio(losses.offered, criteria.confidence());
    Measured::Sampled {
        value: Some(real(losses.lost) / real(losses.offered) + corrupted),
        low: Some(low + range.low),
        high: Some((high + range.high).min(1.0)),
        low_at_best: bounds(&at_best).map(|bounds| bounds.low + range.low),
        high_at_worst: Some((high + range.high).min(1.0)),
        unbounded: false,
        samples: losses.offered,
        open: Some(match losses.lost {
            0 => format!(
                "{} packets without a loss are too few to prove it. Test longer",
                losses.offered
            ),
            lost => format!(
                "{lost} of {} packets were lost, too close to the limit to judge. Test longer",
                losses.offered
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::trial::LoadKind;
    use crate::units::PacketRate;

    fn ratio(corrupted: u64, compared: u64, arrived: u64, offered: u64) -> (f64, Bounds) {
        let corruption = Corruption { corrupted, compared, arrived };
        corruption.ratio(offered, Confidence::P95)
    }

    #[test]
    fn of_altered_packets_the_compared_stand_for_all() {
        // 10 of 1000 are 1 %, of 64 000 of which 50 000 arrived.
        let (value, Bounds { low, high }) = ratio(10, 1_000, 50_000, 64_000);
        let scale = 50.0 / 64.0;
        assert!((value - 0.01 * scale).abs() < 1e-12, "{value}");
        let bounds = loss_bounds(10, 1_000, Confidence::P95).expect("bounds");
        assert!(
            (low - bounds.low * scale).abs() < 1e-12 && (high - bounds.high * scale).abs() < 1e-12
        );
        assert!(low < value && value < high);
    }

    #[test]
    fn where_all_were_compared_and_none_was_altered_nothing_is_added() {
        let none = (0.0, Bounds { low: 0.0, high: 0.0 });
        assert_eq!(ratio(0, 64_000, 64_000, 64_001), none);
        assert_eq!(ratio(0, 0, 64_000, 64_000), none, "an old record");
        assert!(ratio(1, 1, 1, 0).0.abs() < f64::EPSILON, "nothing was sent");
    }

    /// 0.05 is 0.997 008 8 to the 1000th.
    #[test]
    fn of_what_was_not_compared_some_may_have_been_altered() {
        let (value, Bounds { low, high }) = ratio(0, 1_000, 50_000, 64_000);
        assert!(value.abs() < f64::EPSILON && low.abs() < f64::EPSILON);
        assert!((high - 0.002_991_2 * 50.0 / 64.0).abs() < 1e-6, "{high}");
    }

    /// What is planned passes with as many lost as it allows; a tenth of 1 % in 10 s of 1 Gbit/s.
    #[test]
    fn what_a_proof_of_loss_takes_is_enough() {
        let criteria = crate::metric::tests::criteria();
        let needs = |per_second, streams| {
            let rate = PacketRate::new(per_second).expect("a rate");
            let kind = LoadKind::FixedRate;
            let load = Load::new(Directions::Forward, streams, 1_472, rate, kind).expect("a load");
            let requirement = METRIC.require("<= 0.1%").expect("a bound");
            let direction = Some(Direction::Forward);
            let criterion = Criterion { criteria: &criteria, direction, requirement };
            let limit = requirement.limit().share().expect("a share");
            LossProof::of(&criterion, &load, limit, 3).expect("it goes there")
        };
        let slow = needs(33_000, 2);
        assert!((7_752..=7_754).contains(&slow.packets), "each stream is compared whole: {slow:?}");
        let LossProof { packets, compared_of, .. } = needs(81_000, 1);
        assert!((100_000..110_000).contains(&packets) && compared_of == 32, "{packets}");
        let (_, corrupted) = ratio(0, packets / compared_of, packets, packets);
        let lost = loss_bounds(3, packets, Confidence::P95).expect("bounds");
        let high = lost.high + corrupted.high;
        assert!((0.000_99..=0.001_001).contains(&high), "{high}");
    }
}
