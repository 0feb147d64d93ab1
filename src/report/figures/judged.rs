//! What of the figures depends on the requirements.

use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::framing::Layer;
use crate::metric::{Criteria, Kind, TcpCarried, Traffic, float};
use crate::report::quantity::percent;
use crate::report::record::{DirectionFigures, LayerRates, TrialFigures, TrialVerdict};
use crate::stats::count;
use crate::units::BitRate;
use crate::verdict::{Finding, Verdict};

/// Fills in what the requirements ask of the trial at `place` among those of its site, and what
/// its evidence alone says to each; `findings` are those of all trials.
pub(in crate::report) fn require(
    figures: &mut TrialFigures,
    criteria: &Criteria,
    (place, run): (usize, &TrialRun),
    findings: &[Finding],
) {
    let here = || findings.iter().filter(|finding| finding.trial == Some(place));
    let worst = |is_its: &dyn Fn(Option<Direction>) -> bool| {
        here().filter(|finding| is_its(finding.direction)).max_by_key(|finding| finding.verdict)
    };
    let verdict = |scope| worst(&|judged| judged == scope).map(verdict);
    figures.verdicts.round_trip = verdict(None);
    figures.verdicts.forward = verdict(Some(Direction::Forward));
    figures.verdicts.reverse = verdict(Some(Direction::Reverse));
    for direction in Direction::ALL {
        let either = worst(&|judged| judged.is_none_or(|judged| judged == direction));
        let either = either.filter(|_| run.trial.covers(direction)).map(self::verdict);
        let figures = figures.one_way_mut(direction);
        figures.verdict = either.as_ref().map(|either| either.verdict);
        figures.verdict_reason = either.and_then(|either| either.reason);
        let required = criteria.payload_rate(&run.trial, direction);
        figures.required_bit_s = required.map(BitRate::bits_per_second);
        figures.headroom_ratio = headroom(figures, criteria, run, direction);
    }
}

fn verdict(finding: &Finding) -> TrialVerdict {
    let verdict = finding.verdict;
    let reason = || format!("{}: {}", finding.requirement.metric(), finding.reason);
    TrialVerdict { verdict, reason: (verdict != Verdict::Pass).then(reason) }
}

/// A link that is offered no more than is required cannot show that it carries more.
fn headroom(
    figures: &DirectionFigures,
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
) -> Option<f64> {
    let (required, payload) = criteria.rate_asked(&run.trial, direction)?;
    let (framing, layer) = (criteria.framing, criteria.layer);
    let offered = match run.trial.tcp() {
        Some(load) => load.rate_at(direction, framing, layer),
        None => run.trial.asked_at(direction, framing, layer),
    };
    if offered? <= required {
        return None;
    }
    let carried = match &figures.tcp {
        Some(tcp) => tcp.goodput_worst_10s_bit_s,
        None => figures.goodput_bit_s,
    };
    Some(float(carried?) / float(payload.bits_per_second()))
}

/// What the `figures` of the trial that decided show beside a finding, and that helps to find the
/// cause: losses that are those of few streams.
pub(in crate::report) fn remark(finding: &Finding, figures: &TrialFigures) -> Option<String> {
    if finding.requirement.metric().about().answered_by != Traffic::Udp {
        return None;
    }
    let figures = match finding.direction? {
        Direction::Forward => &figures.forward,
        Direction::Reverse => &figures.reverse,
    };
    let few = figures.loss_concentrated.as_ref()?;
    let (count, all, share) = (few.streams.len(), few.streams_in_all, percent(few.loss_share));
    let verb = if count == 1 { "has" } else { "have" };
    Some(format!(
        "{count} of {all} streams {verb} {share} of the lost packets: one member of a bundle \
         (LAG), or one of several equal-cost paths, may lose them"
    ))
}

/// The value of a throughput as the frames of `run` make it at each layer; `None` for other
/// metrics.
pub(in crate::report) fn layers(
    finding: &Finding,
    value: f64,
    run: &TrialRun,
    criteria: &Criteria,
) -> Option<LayerRates> {
    let direction = finding.direction?;
    if finding.requirement.metric().about().kind != Kind::LeastRate {
        return None;
    }
    let framing = criteria.framing;
    let tcp = TcpCarried::of(run, direction, framing.ip);
    let octets = |layer: Layer| match (run.trial.load(), &tcp) {
        (Some(load), _) => Some(framing.octets_at(layer, load.payload())),
        (None, Some(tcp)) => Some(framing.tcp_octets_at(layer, tcp.segment, tcp.timestamps)),
        (None, None) => None,
    };
    let of = f64::from(octets(criteria.layer)?);
    let at = |layer| octets(layer).map_or(0.0, |octets| value * f64::from(octets) / of);
    Some(LayerRates::from_fn(|layer| count(at(layer).round())))
}
