//! Words that formats for people share.

use super::quantity::{bits_text, quantity};
use super::record::{
    BoundText, CaveatRecord, FindingRecord, JudgedAgain, LayerRates, LinkRecord, SiteRecord,
};
use crate::direction::Direction;
use crate::framing::Layer;
use crate::units::BitRate;
use crate::verdict::Verdict;

/// A link by its name, circuit and provider.
pub(super) fn link_text(link: &LinkRecord) -> String {
    let name = match (&link.name, link.sites.as_slice()) {
        (Some(name), _) => format!("link {name}"),
        (None, [site]) => format!("link to {}", site.ends.site),
        (None, sites) => format!("link to {} sites", sites.len()),
    };
    let circuit = link.circuit.as_ref().map(|circuit| format!(", circuit {circuit}"));
    let provider = link.provider.as_ref().map(|provider| format!(" of {provider}"));
    name + &circuit.unwrap_or_default() + &provider.unwrap_or_default()
}

/// How a record was judged again.
pub(super) fn again_text(again: &JudgedAgain) -> String {
    let by = again.plan.as_ref().map_or_else(
        || "the run's own requirements".to_owned(),
        |plan| format!("the requirements of {} (sha256 {})", plan.file, plan.sha256),
    );
    format!("judged again {} by {}, by {by}", again.at, again.program)
}

/// Which way is forward; `None` where nothing was sent.
pub(super) fn ends_text(link: &LinkRecord, site: &SiteRecord, several: bool) -> Option<String> {
    let (near, far) = (site.ends.driver_address.as_ref()?, site.ends.address.as_ref()?);
    let is_named = several || link.name.is_some();
    let name = if is_named { format!(" ({})", site.ends.site) } else { String::new() };
    Some(format!("forward is from {near} to {far}{name}, reverse the other way"))
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
            text += &format!(", {rate} is committed {direction}");
        }
    }
    text
}

/// Whether anything is known of what was measured.
pub(super) const fn is_measured(finding: &FindingRecord) -> bool {
    finding.value.is_some() || finding.low.is_some() || finding.high.is_some()
}

/// The bound of a requirement.
pub(super) fn required(finding: &FindingRecord) -> String {
    let relation = match finding.relation {
        BoundText::AtMost => "<=",
        BoundText::AtLeast => ">=",
    };
    format!("{relation} {}", quantity(finding.bound, &finding.unit))
}

/// What was measured, with its bounds.
pub(super) fn value(finding: &FindingRecord) -> String {
    let show = |value: f64| quantity(value, &finding.unit);
    let value = match finding.value {
        Some(value) => show(value),
        None if finding.verdict == Verdict::Fail => return "undefined: too many lost".to_owned(),
        None if !is_measured(finding) => return "not measured".to_owned(),
        None => "above the largest sample".to_owned(),
    };
    match (finding.low, finding.high) {
        (None, None) => format!("{value} (counted)"),
        (Some(low), Some(high)) => format!("{value} ({} to {})", show(low), show(high)),
        (Some(low), None) => format!("{value} ({} or more)", show(low)),
        (None, Some(high)) => format!("{value} (up to {})", show(high)),
    }
}

/// A rate at each of `layers`.
pub(super) fn layers_text(rates: &LayerRates, layers: impl Iterator<Item = Layer>) -> String {
    let at = |layer| format!("{} {layer}", bits_text(rates.at(layer)));
    layers.map(at).collect::<Vec<_>>().join(", ")
}

/// What a caveat doubts, `place`, and the metrics that this touches.
pub(super) fn doubted(caveat: &CaveatRecord, place: &str) -> String {
    let metrics: Vec<&str> = caveat.metrics.iter().map(|metric| metric.about().title).collect();
    let metrics = metrics.join(", ");
    if caveat.evidence.is_empty() {
        return metrics + place;
    }
    let evidence: Vec<&str> = caveat.evidence.iter().map(|basis| basis.name()).collect();
    format!("{}{place} ({metrics})", evidence.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Basis, Metric};
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
