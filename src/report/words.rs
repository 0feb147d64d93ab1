//! Words that formats for people share.

use super::quantity::{bits_text, quantity};
use super::record::{BoundText, FindingRecord, JudgedAgain, LayerRates, LinkRecord, SiteRecord};
use crate::direction::Direction;
use crate::framing::Layer;
use crate::metric::Metric;
use crate::units::BitRate;
use crate::verdict::Verdict;

/// The metric by a name for people: that of its key, in words.
pub(super) fn title(metric: Metric) -> String {
    let word = |word: &str| match word {
        "rtt" | "tcp" | "mtu" | "owd" => word.to_uppercase(),
        other => other.to_owned(),
    };
    metric.name().split('_').map(word).collect::<Vec<_>>().join(" ")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_a_name_for_people() {
        let titles: Vec<String> = Metric::ALL.iter().copied().map(title).collect();
        assert!(titles.iter().all(|title| !title.contains('_')), "{titles:?}");
        let shown = [Metric::RTT_P99, Metric::TCP_THROUGHPUT, Metric::PATH_MTU].map(title);
        assert_eq!(shown, ["RTT p99", "TCP throughput", "path MTU"]);
    }
}
