//! Words that formats for people share.

use super::blocks::Block;
use super::quantity::{Beside, bits_text, percent, quantity};
use super::record::{
    BoundText, CaveatRecord, FindingRecord, JudgedAgain, LayerRates, LinkRecord, Scope,
};
use crate::direction::Direction;
use crate::framing::Layer;
use crate::metric::{About, Kind, Metric, Traffic, float};
use crate::units::BitRate;
use crate::verdict::Verdict;

/// How a record was judged again.
pub(super) fn again_text(again: &JudgedAgain) -> String {
    let by = again.plan.as_ref().map_or_else(
        || "the run's own requirements".to_owned(),
        |plan| format!("the requirements of {} (sha256 {})", plan.file, plan.sha256),
    );
    format!("judged again {} by {}, by {by}", again.at, again.program)
}

/// What rates count, and what is committed.
pub(super) fn rates_text(link: &LinkRecord) -> String {
    let layer = match link.rate_layer {
        Layer::L1 => "rates count what frames take on the wire (L1)",
        Layer::L2 => "rates count Ethernet frames with FCS (L2)",
        Layer::L3 => "rates count IP packets (L3)",
        Layer::L4 => "rates count payload (L4)",
    };
    let mut text = layer.to_owned();
    match link.vlan_tags {
        0 => {}
        1 => text += " with 1 VLAN tag",
        tags => text += &format!(" with {tags} VLAN tags"),
    }
    if 0 < link.extra_overhead_octets {
        text += &format!(" and {} octets more a packet", link.extra_overhead_octets);
    }
    for direction in Direction::ALL {
        if let Some(rate) = link.committed_bit_s.get(direction).and_then(BitRate::new) {
            text += &format!(", {rate} is committed {}", way(direction));
        }
    }
    text
}

/// The bound of a requirement.
pub(super) fn required(finding: &FindingRecord) -> String {
    let relation = match finding.relation {
        BoundText::AtMost => "<=",
        BoundText::AtLeast => ">=",
    };
    format!("{relation} {}", quantity(finding.bound, &finding.unit))
}

/// A direction as people read it: A is the driver's end, B the agent's.
pub(super) const fn way(direction: Direction) -> &'static str {
    direction.way()
}

/// The number of a trial, as people count: records and CSV count from 0.
pub(super) const fn ordinal(trial: usize) -> usize {
    trial.saturating_add(1)
}

/// A sentence's begin.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What a row is about: the metric, and the direction, or whether the link was idle or loaded.
pub(super) fn row_names(finding: &FindingRecord, block: &Block<'_>) -> (String, String) {
    let title = finding.metric.about().title;
    let title = title.strip_suffix(LOADED).map_or(title, str::trim_end);
    let of = match finding.direction {
        Scope::Forward => way(Direction::Forward),
        Scope::Reverse => way(Direction::Reverse),
        Scope::RoundTrip => {
            let trial = block.site.trials.iter().find(|it| Some(it.trial) == finding.trial);
            trial.map_or("", |trial| match (&trial.asked.udp, &trial.asked.tcp) {
                (None, None) => "idle",
                _ => LOADED,
            })
        }
    };
    (capitalised(title), of.to_owned())
}

/// Beside load.
const LOADED: &str = "loaded";

/// The share of the probes that were lost in the trial that decided `finding`, where any were.
fn lost(finding: &FindingRecord, block: &Block<'_>) -> Option<String> {
    let trial = block.site.trials.iter().find(|it| Some(it.trial) == finding.trial)?;
    let figures = &trial.figures;
    let delays = match finding.direction {
        Scope::Forward => &figures.forward.owd_us,
        Scope::Reverse => &figures.reverse.owd_us,
        Scope::RoundTrip => &figures.rtt_us,
    };
    let delays = delays.as_ref().filter(|delays| 0 < delays.lost)?;
    Some(percent(float(delays.lost) / float(delays.samples.max(1))))
}

/// What was measured, and its bounds.
pub(super) fn measured(finding: &FindingRecord, block: &Block<'_>) -> (String, String) {
    let FindingRecord { low, high, bound, unit, .. } = finding;
    let Some(value) = finding.value else {
        let value = match (lost(finding, block), finding.verdict) {
            (Some(share), _) => format!("{share} lost"),
            (None, Verdict::Fail) => "undefined".to_owned(),
            (None, _) if !finding.is_measured() => "not measured".to_owned(),
            (None, _) => "above all samples".to_owned(),
        };
        let low = low.map(|low| format!("{} or more", quantity(low, unit)));
        return (value, low.unwrap_or_else(|| "-".to_owned()));
    };
    let is_time = finding.metric.about().kind == Kind::MostTime;
    let is_counted = low.is_none() && high.is_none();
    if is_counted && is_time && value == 0.0 {
        return ("none".to_owned(), COUNTED.to_owned());
    }
    let Some(beside) = beside(finding) else {
        return (quantity(value, unit), COUNTED.to_owned());
    };
    // Numbers of one requirement stand below each other, and are as precise.
    let peers = block.findings.iter().filter(|it| is_counted && it.metric == finding.metric);
    let peers = peers.filter(|it| it.low.is_none() && it.high.is_none());
    let beside = peers.filter_map(|it| self::beside(it)).fold(beside, Beside::as_precise_as);
    let bounds = match (low, high) {
        (None, None) if is_forgiven(finding, &beside) => {
            format!("{} below: allowed", percent((bound - value) / bound))
        }
        (None, None) => COUNTED.to_owned(),
        (Some(low), Some(high)) => format!("{} to {}", beside.digits(*low), beside.show(*high)),
        (Some(low), None) => format!("{} or more", beside.show(*low)),
        (None, Some(high)) => format!("up to {}", beside.show(*high)),
    };
    (beside.show(value), bounds)
}

/// How the numbers of `finding` are shown; `None` without one, or where they have no scale. What is
/// open is nowhere near a bound but by chance: it is shown beside it where its interval is.
fn beside(finding: &FindingRecord) -> Option<Beside> {
    let FindingRecord { low, high, bound, unit, verdict, .. } = finding;
    let is_counted = low.is_none() && high.is_none();
    let is_held = match verdict {
        Verdict::Pass => false,
        Verdict::Fail => true,
        Verdict::Inconclusive | Verdict::Invalid => !is_counted,
    };
    let relation = Some(finding.relation).filter(|_| is_held);
    Beside::of((finding.value?, *low, *high), (relation, *bound), unit)
}

/// Whether a rate passed and is shown as less than is required.
fn is_forgiven(finding: &FindingRecord, beside: &Beside) -> bool {
    let shown = |number| beside.digits(number).parse::<f64>().unwrap_or(f64::NAN);
    let is_less = finding.value.is_some_and(|value| shown(value) < shown(finding.bound));
    finding.verdict == Verdict::Pass && finding.relation == BoundText::AtLeast && is_less
}

/// The bounds of what is no sample.
const COUNTED: &str = "counted";

/// Why a block has its verdict: its worst finding, in one line; or that not all was run.
pub(super) fn why(block: &Block<'_>) -> String {
    if block.is_unfinished() {
        let reason = block.reason.unwrap_or("not all that was planned was run");
        return format!("not complete: {reason}");
    }
    if let Some(open) = block.undecided() {
        return match block.requirements() - open {
            0 => format!("none of {open} requirements is decided"),
            decided => format!("{open} of {} requirements are undecided", open + decided),
        };
    }
    let Some(worst) = block.worst() else { return "nothing was required".to_owned() };
    let reason = block.site.ends.reason.as_ref().filter(|_| !block.is_reached());
    let (name, way) = row_names(worst, block);
    let named = [name.as_str(), way.as_str()].join(" ");
    match (reason, worst.verdict) {
        (Some(reason), _) => reason.clone(),
        (None, Verdict::Pass) => match block.findings.len() {
            1 => "the requirement is met".to_owned(),
            2 => "both requirements are met".to_owned(),
            count => format!("all {count} requirements are met"),
        },
        (None, Verdict::Fail) => shortfall(worst, block, &name, &way),
        (None, Verdict::Inconclusive | Verdict::Invalid) => {
            format!("{}: {}", named.trim_end(), worst.reason)
        }
    }
}

/// By how much a requirement is missed.
fn shortfall(finding: &FindingRecord, block: &Block<'_>, name: &str, way: &str) -> String {
    let About { kind, answered_by, .. } = finding.metric.about();
    let (value, _) = measured(finding, block);
    let bound = quantity(finding.bound, &finding.unit);
    let is_known = finding.value.is_some();
    let name = match name.chars().nth(1) {
        Some(second) if second.is_ascii_uppercase() => name.to_owned(),
        _ => name.to_lowercase(),
    };
    let what = match way {
        "A->B" | "B->A" => format!("{way} {name}"),
        _ => [name.as_str(), way].join(" ").trim_end().to_owned(),
    };
    match (kind, answered_by) {
        (Kind::LeastRate, Traffic::Udp) if is_known => {
            format!("{way} carried {} required", of_bound(&value, &bound))
        }
        (Kind::LeastRate, _) if is_known => {
            format!("{what} {} required", of_bound(&value, &bound))
        }
        (Kind::LeastRate | Kind::LeastOctets, _) => {
            format!("{what} {value}, at least {bound} required")
        }
        (Kind::MostShare | Kind::MostTime, _) if is_known => {
            format!("{what} {value}, at most {bound} allowed")
        }
        (Kind::MostShare | Kind::MostTime, _) => {
            let lost = lost(finding, block).unwrap_or_else(|| "too many".to_owned());
            format!("{what} has no value, as {lost} of the probes were lost; {bound} allowed")
        }
    }
}

/// "195.1 of 250 Mbit/s" where both have one unit.
fn of_bound(value: &str, bound: &str) -> String {
    match (value.split_once(' '), bound.split_once(' ')) {
        (Some((digits, unit)), Some((_, same))) if unit == same => format!("{digits} of {bound}"),
        _ => format!("{value} of {bound}"),
    }
}

/// A rate at each of `layers`.
pub(super) fn layers_text(rates: &LayerRates, layers: impl Iterator<Item = Layer>) -> String {
    let at = |layer| format!("{} {layer}", bits_text(rates.at(layer)));
    layers.map(at).collect::<Vec<_>>().join(", ")
}

/// `metrics` of which a caveat is.
pub(super) fn titles(metrics: &[Metric]) -> String {
    metrics.iter().map(|metric| metric.about().title).collect::<Vec<_>>().join(", ")
}

/// What a caveat doubts, `place`, and the metrics that this touches.
pub(super) fn doubted(caveat: &CaveatRecord, place: &str) -> String {
    let metrics = titles(&caveat.metrics);
    if caveat.evidence.is_empty() {
        return metrics + place;
    }
    let evidence: Vec<&str> = caveat.evidence.iter().map(|basis| basis.name()).collect();
    format!("{}{place} ({metrics})", evidence.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Basis;
    use crate::report::BiasRecord;

    #[test]
    fn a_caveat_names_the_evidence_and_the_metrics_that_follow() {
        let mut caveat = CaveatRecord {
            link: 0,
            site: String::new(),
            evidence: vec![Basis::LoadRate, Basis::TcpStream],
            metrics: vec![Metric::THROUGHPUT, Metric::TCP_THROUGHPUT],
            direction: None,
            trial: None,
            bias: BiasRecord::Either,
            packets: None,
            text: String::new(),
        };
        let metrics = "throughput, TCP throughput";
        let expected = format!("the rate of the load, TCP forward ({metrics})");
        assert_eq!(doubted(&caveat, " forward"), expected);
        caveat.evidence.clear();
        assert_eq!(doubted(&caveat, " forward"), format!("{metrics} forward"), "in older records");
    }
}
