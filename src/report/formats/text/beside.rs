//! What was measured and nothing was required of, in one line: no plan asks for all that a reader
//! of its report wants to know.

use crate::direction::Direction;
use crate::report::blocks::Block;
use crate::report::quantity::{bits_text, percent, quantity};
use crate::report::words::way;
use crate::report::{DirectionFigures, TrialRecord};

/// The rate, the losses, the delays and their variation on the way to a site, each the worst of its
/// trials, as far as nothing is required of them; `None` of nothing.
pub(super) fn beside(block: &Block<'_>) -> Option<String> {
    let layer = block.link.rate_layer;
    let rate = |figures: &DirectionFigures| figures.carried.map(|rates| rates.at(layer));
    let slowest = |trials: &[&TrialRecord], direction| {
        let udp = trials.iter().filter(|trial| trial.asked.udp.is_some());
        udp.filter_map(|trial| rate(of(trial, direction))).min().map(bits_text)
    };
    let lost = |trials: &[&TrialRecord], direction| {
        worst(trials, |trial| of(trial, direction).loss_ratio).map(percent)
    };
    let varied = |trials: &[&TrialRecord], direction| {
        worst(trials, |trial| of(trial, direction).jitter_us).map(|us| quantity(us, "us"))
    };
    let trials: Vec<&TrialRecord> = block.site.trials.iter().collect();
    let parts = [
        ("throughput of UDP", each_way(|direction| slowest(&trials, direction))),
        ("packet loss", each_way(|direction| lost(&trials, direction))),
        ("RTT p99", round_trips(&trials)),
        ("jitter (PDV p99.9)", each_way(|direction| varied(&trials, direction))),
    ];
    let is_required = |name: &str| {
        block.findings.iter().any(|finding| name.starts_with(finding.metric.about().title))
    };
    let parts = parts.into_iter().filter(|(name, shown)| !shown.is_empty() && !is_required(name));
    let parts: Vec<String> = parts.map(|(name, shown)| format!("{name} {shown}")).collect();
    (!parts.is_empty()).then(|| format!("Measured, not required: {}.", parts.join("; ")))
}

const fn of(trial: &TrialRecord, direction: Direction) -> &DirectionFigures {
    match direction {
        Direction::Forward => &trial.figures.forward,
        Direction::Reverse => &trial.figures.reverse,
    }
}

fn worst(trials: &[&TrialRecord], of: impl Fn(&TrialRecord) -> Option<f64>) -> Option<f64> {
    trials.iter().filter_map(|trial| of(trial)).max_by(f64::total_cmp)
}

/// What `shown` has of each direction.
fn each_way(shown: impl Fn(Direction) -> Option<String>) -> String {
    let each = Direction::ALL
        .into_iter()
        .filter_map(|direction| shown(direction).map(|text| format!("{text} {}", way(direction))));
    each.collect::<Vec<_>>().join(", ")
}

/// The 99th percentile of the idle link, and beside load.
fn round_trips(trials: &[&TrialRecord]) -> String {
    let is_idle = |trial: &&TrialRecord| trial.asked.udp.is_none() && trial.asked.tcp.is_none();
    let (idle, loaded): (Vec<_>, Vec<_>) = trials.iter().copied().partition(is_idle);
    let of = |trials: &[&TrialRecord], when: &str| {
        let p99 = worst(trials, |trial| trial.figures.rtt_us.as_ref()?.p99);
        p99.map(|us| format!("{} {when}", quantity(us, "us")))
    };
    [of(&idle, "idle"), of(&loaded, "loaded")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
