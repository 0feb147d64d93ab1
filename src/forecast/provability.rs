//! Whether a plan can prove what it requires: which trials judge a requirement, what its proof
//! takes, and what they have.

use crate::direction::Direction;
use crate::metric::{Criteria, Criterion, Prospect, Requirement};
use crate::trial::Trial;

/// A requirement, and what may become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Provability {
    /// What is required.
    pub requirement: Requirement,
    /// In which direction; `None` for the round trip.
    pub direction: Option<Direction>,
    /// The trials that judge it: their places among those of the site.
    pub judged_by: Vec<usize>,
    /// What its proof takes, and whether it has that.
    pub prospect: Prospect,
}

/// Each requirement of `criteria`, against what `trials` will send.
pub(super) fn provabilities(criteria: &Criteria, trials: &[Trial]) -> Vec<Provability> {
    let trials: Vec<&Trial> = trials.iter().collect();
    let provability = |criterion: Criterion<'_>| {
        let Criterion { direction, requirement, .. } = criterion;
        let (judged_by, prospect) = criterion.prospect(&trials);
        Provability { requirement, direction, judged_by, prospect }
    };
    criteria.iter().map(provability).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Forecast;
    use super::super::tests::plan;
    use crate::metric::Chance;

    /// Of the only requirement and direction of a plan: its trials, and whether it can be proved.
    fn only(more: &str) -> (Vec<usize>, Chance) {
        let mut site = Forecast::of(&plan(more)).expect("within bounds").sites.remove(0);
        assert_eq!(site.provabilities.len(), 1, "{:?}", site.provabilities);
        let provability = site.provabilities.remove(0);
        (provability.judged_by, provability.prospect.chance)
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
        unprovable(&over, "load above it, or as fast as possible, is not judged");
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
            why.contains("489131 packets prove it only if at most 1 of them are lost"),
            "{why}"
        );
        unprovable(&required("0.0001%"), "a PASS takes");
    }

    /// 1 Gbit/s in one stream is 80 thousand packets/s: 10 s of them, of which one payload in 32 is
    /// compared, prove a tenth of 1 %, and not a tenth of that.
    #[test]
    fn a_fast_stream_proves_a_loss_by_the_payloads_that_are_compared() {
        let required = |loss: &str, streams| {
            let load = udp("1 Gbit/s") + &format!("streams = {streams}\nduration = '10 s'\n");
            let plan = plan(&format!("{load}[require.forward]\nloss = '<= {loss}'\n"));
            let site = Forecast::of(&plan).expect("within bounds").sites.remove(0);
            assert_eq!(site.provabilities[0].prospect.chance, Chance::Provable);
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
