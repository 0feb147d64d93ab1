//! Whether a plan can prove what it requires: which trials judge a requirement, what its proof
//! takes, and what they have.

use super::{MTU_ASSUMED, Step};
use crate::direction::Direction;
use crate::method::trials::{LOST_ALLOWED, TCP_EDGES};
use crate::metric::{
    Criteria, JITTER_QUANTILE, LossProof, Metric, OUTAGE_INTERVALS, RTT_QUANTILE, Requirement,
    TCP_SECONDS_MIN, can_resolve,
};
use crate::stats::confidence::{packets_needed, samples_needed};
use crate::trial::{LoadKind, TCP_PACE_SPARE_PERCENT, Trial, tcp_paced_at_least};
use crate::units::{BitRate, Ratio, Span};

/// A requirement, and what may become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Provability {
    /// What is required.
    pub requirement: Requirement,
    /// In which direction; `None` for the round trip.
    pub direction: Option<Direction>,
    /// The trials that judge it: their places among those of the site.
    pub judged_by: Vec<usize>,
    /// What its proof takes.
    pub needs: String,
    /// Whether it has that.
    pub chance: Chance,
}

/// Whether a requirement can be proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Chance {
    /// It can pass and it can fail.
    Provable,
    /// Neither is sure to be reached: why.
    Partly(String),
    /// It is INCONCLUSIVE at best, however good the line is: why.
    Unprovable(String),
}

/// Each requirement of `criteria`, against what `steps` will send.
pub(super) fn provabilities(criteria: &Criteria, steps: &[Step]) -> Vec<Provability> {
    let provability =
        |(direction, requirement)| provability(criteria, steps, direction, requirement);
    criteria.requirements.iter().map(provability).collect()
}

fn provability(
    criteria: &Criteria,
    steps: &[Step],
    direction: Option<Direction>,
    requirement: Requirement,
) -> Provability {
    let judges = |trial: &Trial| judges(criteria, trial, direction, requirement);
    let numbered = steps.iter().map(|step| &step.trial).enumerate();
    let (judged_by, trials): (Vec<usize>, Vec<&Trial>) =
        numbered.filter(|(_, trial)| judges(trial)).unzip();
    let (needs, mut chance) = match requirement {
        Requirement::Throughput(rate) => {
            (format!("UDP at {rate} or more, within what is committed; counted"), Chance::Provable)
        }
        Requirement::TcpThroughput(_) => tcp_seconds(&trials),
        Requirement::Loss(most) => losses(criteria, &trials, direction, most),
        Requirement::RttP99(_) | Requirement::RttP99Loaded(_) => {
            probes(criteria, &trials, RTT_QUANTILE)
        }
        Requirement::Jitter(_) => probes(criteria, &trials, JITTER_QUANTILE),
        Requirement::Outage(most) => outage(&trials, most),
        Requirement::PathMtu(octets) => path_mtu(octets),
    };
    if trials.is_empty() && requirement.metric() != Metric::PathMtu {
        chance = Chance::Unprovable(nobody_judges(criteria, steps, direction, requirement));
    }
    Provability { requirement, direction, judged_by, needs, chance }
}

/// Whether `trial` will have something to say to the requirement; as [`crate::metric`] has it.
fn judges(
    criteria: &Criteria,
    trial: &Trial,
    direction: Option<Direction>,
    requirement: Requirement,
) -> bool {
    let carried = |direction| criteria.is_carried(trial, direction);
    let Some(direction) = direction else {
        return match requirement {
            Requirement::RttP99(_) => criteria.is_at_ease(trial),
            Requirement::RttP99Loaded(_) => !trial.is_idle(),
            _ => false,
        };
    };
    if !trial.covers(direction) {
        return false;
    }
    match requirement {
        Requirement::Throughput(rate) => {
            carried(direction) && is_udp_at(criteria, trial, direction, rate)
        }
        Requirement::TcpThroughput(rate) => is_tcp_at(criteria, trial, direction, rate),
        Requirement::Loss(_) => carried(direction),
        Requirement::Jitter(_) => criteria.is_at_ease(trial),
        Requirement::Outage(most) => {
            let speaks = criteria.is_at_ease(trial) || trial.tcp().is_some();
            speaks && can_resolve(trial, direction, most)
        }
        _ => false,
    }
}

fn is_udp_at(criteria: &Criteria, trial: &Trial, direction: Direction, least: BitRate) -> bool {
    let is_loaded = trial.load().is_some_and(|load| load.rate(direction).is_some());
    let rate = trial.rate_at(direction, criteria.framing, criteria.layer);
    is_loaded && rate.is_some_and(|rate| least <= rate)
}

/// Whether TCP is not held below `least` by its own pace; how far the agent lets it go is not known
/// yet.
fn is_tcp_at(criteria: &Criteria, trial: &Trial, direction: Direction, least: BitRate) -> bool {
    trial.tcp().is_some_and(|load| {
        load.kind() == LoadKind::Capacity
            || load.can_prove(least, direction, criteria.framing, criteria.layer) == Some(true)
    })
}

fn nobody_judges(
    criteria: &Criteria,
    steps: &[Step],
    direction: Option<Direction>,
    requirement: Requirement,
) -> String {
    let named = direction.map_or_else(String::new, |direction| format!(" {direction}"));
    let covers = |step: &&Step| direction.is_none_or(|direction| step.trial.covers(direction));
    let mut udp = steps.iter().filter(covers).filter(|step| step.trial.load().is_some());
    match requirement {
        Requirement::Throughput(rate) => {
            let is_fast = |step: &Step| {
                direction.is_some_and(|direction| is_udp_at(criteria, &step.trial, direction, rate))
            };
            if udp.any(is_fast) {
                let why = "as fast as possible and above the committed rate is not judged";
                return format!("no udp test offers{named} what the line is to carry: {why}");
            }
            format!("no udp test loads{named} at {rate} or more")
        }
        Requirement::TcpThroughput(rate) => {
            format!(
                "no tcp test loads{named} at {} or more ({TCP_PACE_SPARE_PERCENT} % above, so \
                 that its own pace is not what holds it below)",
                tcp_paced_at_least(rate)
            )
        }
        Requirement::Loss(_) if udp.next().is_some() => {
            format!("no udp test loads{named} within the committed rate")
        }
        Requirement::Loss(_) => format!("no udp test loads{named}"),
        Requirement::Outage(most) => format!(
            "no test{named} sends {OUTAGE_INTERVALS} packets within {most}, idle or by UDP within \
             the committed rate: that takes {} packets/s",
            Span::from_secs(OUTAGE_INTERVALS).nanos().div_ceil(most.nanos().max(1))
        ),
        Requirement::RttP99Loaded(_) => "no test loads the line".to_owned(),
        _ => format!("no test{named} is idle, or loads by UDP within the committed rate"),
    }
}

fn tcp_seconds(trials: &[&Trial]) -> (String, Chance) {
    let needs = format!("{TCP_SECONDS_MIN} whole seconds of TCP behind its warm-up");
    let shortest = trials.iter().map(|trial| trial.duration()).min().unwrap_or_default();
    if shortest < Span::from_secs(TCP_SECONDS_MIN).plus(TCP_EDGES) {
        let why = format!("the shortest tcp test takes {shortest}");
        return (needs, Chance::Unprovable(why));
    }
    (needs, Chance::Provable)
}

/// The worst trial decides: each that judges a requirement has to prove it.
fn losses(
    criteria: &Criteria,
    trials: &[&Trial],
    direction: Option<Direction>,
    most: Ratio,
) -> (String, Chance) {
    let chance = |trial: &&Trial| {
        let (load, direction) = (trial.load()?, direction?);
        let packets = load.rate(direction)?.packets_in(trial.duration());
        let proofs = |lost| LossProof::of(criteria, load, direction, most, lost);
        let proofs: Vec<LossProof> = (0..=LOST_ALLOWED).filter_map(proofs).collect();
        let proof = proofs.iter().rfind(|proof| proof.packets <= packets).copied();
        Some((proof.map(|proof| proof.allowed), packets, proofs))
    };
    let worst = trials.iter().filter_map(chance).min_by_key(|(lost, packets, _)| (*lost, *packets));
    let Some((lost, packets, proofs)) = worst else {
        let needed = packets_needed(most.as_fraction(), LOST_ALLOWED, criteria.confidence());
        let needs = format!("{needed} packets, of which {LOST_ALLOWED} may be lost");
        return (needs, Chance::Provable);
    };
    let chance = match lost {
        Some(LOST_ALLOWED) => Chance::Provable,
        Some(0) => Chance::Partly(format!("{packets} packets prove it only where none is lost")),
        Some(lost) => Chance::Partly(format!(
            "{packets} packets prove it only where at most {lost} of them are lost"
        )),
        None => Chance::Unprovable(format!(
            "{packets} packets can fail it, and not prove it: that takes {} of which none is lost",
            proofs.first().map_or(0, |proof| proof.packets)
        )),
    };
    (proofs.last().map_or_else(String::new, LossProof::to_string), chance)
}

fn probes(criteria: &Criteria, trials: &[&Trial], quantile: f64) -> (String, Chance) {
    let needed = samples_needed(quantile, criteria.confidence());
    let fewest = trials.iter().map(|trial| trial.probes()).min().unwrap_or(0);
    let slowest = trials.iter().map(|trial| trial.probe_rate()).min();
    let takes = slowest.map(|rate| format!(", {} s at {rate}/s", rate.span_of(needed).secs_up()));
    let needs = format!("{needed} probes{}", takes.unwrap_or_default());
    if fewest < needed {
        return (
            needs,
            Chance::Unprovable(format!("{fewest} probes can fail it, and not prove it")),
        );
    }
    (needs, Chance::Provable)
}

fn outage(trials: &[&Trial], most: Span) -> (String, Chance) {
    let longest = trials.iter().map(|trial| trial.duration()).max().unwrap_or_default();
    let chance = match longest <= most {
        true => Chance::Partly("no trial is long enough to fail it".to_owned()),
        false => Chance::Provable,
    };
    ("a trial that takes longer than that; counted".to_owned(), chance)
}

fn path_mtu(octets: u32) -> (String, Chance) {
    let chance = match octets <= MTU_ASSUMED {
        true => Chance::Provable,
        false => Chance::Partly(format!("this host's device must carry {octets} octets as well")),
    };
    ("the search that comes before the first trial; counted".to_owned(), chance)
}

#[cfg(test)]
mod tests {
    use super::super::Forecast;
    use super::super::tests::plan;
    use super::*;

    /// Of the only requirement and direction of a plan: its trials, and whether it can be proved.
    fn only(more: &str) -> (Vec<usize>, Chance) {
        let mut site = Forecast::of(&plan(more)).expect("within bounds").sites.remove(0);
        assert_eq!(site.provabilities.len(), 1, "{:?}", site.provabilities);
        let provability = site.provabilities.remove(0);
        (provability.judged_by, provability.chance)
    }

    #[track_caller]
    fn unprovable(more: &str, part: &str) {
        let (_, chance) = only(more);
        let Chance::Unprovable(why) = chance else { panic!("{chance:?}") };
        assert!(why.contains(part), "{why}");
    }

    fn udp(rate: &str) -> String {
        format!("[[test]]\nkind = 'udp'\nrate = '{rate}'\ndirection = 'forward'\n")
    }

    #[test]
    fn a_throughput_is_judged_by_loads_that_reach_it_within_what_is_committed() {
        let required = "[require.forward]\nthroughput = '>= 9 Mbit/s'\n";
        let two = format!("{}{}{required}", udp("9 Mbit/s"), udp("8 Mbit/s"));
        assert_eq!(only(&two), (vec![1], Chance::Provable));
        let over = format!("[link]\nrate = '9 Mbit/s'\n{}{required}", udp("10 Mbit/s"));
        unprovable(&over, "above the committed rate is not judged");
        unprovable(&format!("{}{required}", udp("max")), "as fast as possible");
        let reverse = "[require.reverse]\nthroughput = '>= 9 Mbit/s'\n";
        unprovable(&format!("{}{reverse}", udp("9 Mbit/s")), "loads reverse at 9 Mbit/s or more");
    }

    #[test]
    fn tcp_is_judged_where_it_may_go_as_fast() {
        let tcp = |more: &str| {
            format!(
                "[[test]]\nkind = 'tcp'\ndirection = 'forward'\n{more}\n[require.forward]\n\
                 tcp_throughput = '>= 9 Mbit/s'\n"
            )
        };
        assert_eq!(only(&tcp("")), (vec![1], Chance::Provable));
        assert_eq!(only(&tcp("rate = '9.9 Mbit/s'")), (vec![1], Chance::Provable));
        let udp = format!("{}[require.forward]\ntcp_throughput = '>= 1 Mbit/s'\n", udp("9 Mbit/s"));
        unprovable(&udp, "no tcp test loads forward at 1.1 Mbit/s or more (10 % above");
    }

    /// 9.9 Mbit/s beside 1 % of probes for at most 600 s are 489 131 packets;
    /// none lost of 299 572 proves 0.001 %.
    #[test]
    fn a_loss_is_proved_by_packets() {
        let required = |loss: &str| {
            let rate = udp("10 Mbit/s");
            format!("{rate}duration = '10 min'\n[require.forward]\nloss = '<= {loss}'\n")
        };
        assert_eq!(only(&required("0.01%")), (vec![1], Chance::Provable));
        let (_, chance) = only(&required("0.001%"));
        let Chance::Partly(why) = chance else { panic!("{chance:?}") };
        assert!(
            why.contains("489131 packets prove it only where at most 1 of them are lost"),
            "{why}"
        );
        unprovable(&required("0.0001%"), "that takes");
    }

    /// 1 Gbit/s in one stream is 80 thousand packets/s: 10 s of them, of which one payload in 32 is
    /// compared, prove a tenth of 1 %, and not a tenth of that.
    #[test]
    fn a_fast_stream_proves_a_loss_by_the_payloads_that_are_compared() {
        let required = |loss: &str, streams| {
            let load = udp("1 Gbit/s") + &format!("streams = {streams}\nduration = '10 s'\n");
            let plan = plan(&format!("{load}[require.forward]\nloss = '<= {loss}'\n"));
            let site = Forecast::of(&plan).expect("within bounds").sites.remove(0);
            assert_eq!(site.provabilities[0].chance, Chance::Provable);
            site.steps[1].trial.duration().secs_up()
        };
        assert_eq!((required("0.1%", 1), required("0.01%", 6)), (10, 10));
        // 1 036 000 packets.
        assert_eq!(required("0.01%", 1), 13);
    }

    #[test]
    fn the_round_trip_beside_load_needs_load() {
        let idle = "[[test]]\nkind = 'idle'\n[require]\n";
        unprovable(&format!("{idle}rtt_p99_loaded = '<= 1 ms'\n"), "no test loads the line");
        assert_eq!(only(&format!("{idle}rtt_p99 = '<= 1 ms'\n")), (vec![0], Chance::Provable));
    }

    #[test]
    fn an_outage_that_no_trial_could_hold_is_said() {
        let required = |most: &str| {
            format!(
                "[[test]]\nkind = 'idle'\nduration = '30 s'\n[require.forward]\n\
                 outage = '<= {most}'\n"
            )
        };
        assert_eq!(only(&required("29 s")).1, Chance::Provable);
        assert!(matches!(only(&required("30 s")).1, Chance::Partly(_)));
    }
}
