//! What we send counts: a link that carries exactly what was asked of it passes, however narrow it
//! is, and probes do not fill it.

use super::world::{Setup, play};
use super::{good, setup, trial_run};
use linkqual::direction::Direction;
use linkqual::emulation::{Policer, Shaper, Spec};
use linkqual::flow::{Evidence, TrialRun};
use linkqual::framing::{Framing, IpVersion};
use linkqual::method::trials::{SitePath, compose};
use linkqual::plan::Plan;
use linkqual::plan::file::read;
use linkqual::policy::frame_rate;
use linkqual::trial::{Limits, Trial};
use linkqual::units::{BitRate, Span};
use linkqual::verdict::{Verdict, findings};
use std::path::Path;

/// The plan of `more`, and its trials.
fn composed(more: &str) -> (Plan, Vec<Trial>) {
    let plan = read_plan(more);
    let rate_max = "1 Gbit/s".parse().unwrap();
    let limits = Limits { rate_max, duration_max: Span::from_secs(600) };
    let free = limits.rate_max;
    let path = SitePath { limits, free, most: free, ip: IpVersion::V4, payload: 1_472 };
    let trials = compose(&plan, 0, path).unwrap().trials;
    (plan, trials)
}

/// A plan of one site with `more` behind its ends.
pub(super) fn read_plan(more: &str) -> Plan {
    let ends = "[driver]\nkey = 'd.key'\n[sites.vpc]\nagent = '10.0.0.7'\nkey = 'a.pub'\n";
    read(Path::new("plan.toml"), &format!("{ends}{more}")).conclude().unwrap().0
}

/// Plays the last trial of the plan of `more` over `spec` both ways: it, and its verdicts.
fn played(more: &str, spec: &Spec) -> (TrialRun, Vec<Verdict>) {
    played_between(more, spec, spec)
}

/// The same over a link whose directions differ.
fn played_between(more: &str, forward: &Spec, reverse: &Spec) -> (TrialRun, Vec<Verdict>) {
    let (plan, trials) = composed(more);
    let both = setup(*trials.last().unwrap(), forward);
    let setup = Setup { reverse: reverse.clone(), ..both };
    let run = play(&setup);
    let run = trial_run(&setup, &run).clone();
    let evidence = Evidence { trials: vec![run.clone()], ..Evidence::default() };
    let found = findings(&plan.criteria(IpVersion::V4), &evidence);
    (run, found.iter().map(|finding| finding.verdict).collect())
}

/// A policer of frames with their check sequence, as a provider has it.
fn policed(bits_per_second: u64) -> Spec {
    let policer = Policer { bits_per_second, burst_octets: 16 << 10, overhead_octets: 18 };
    Spec { policer: Some(policer), ..good() }
}

#[track_caller]
fn check_nothing_lost(run: &TrialRun) {
    for direction in Direction::ALL {
        let one_way = run.outcome.one_way(direction);
        let came = one_way.receiver.as_ref().unwrap();
        assert_eq!((came.lost(), came.late), (0, 0), "{direction}");
        assert_eq!(one_way.probes.sent, one_way.probes.received, "{direction}");
    }
}

/// Probes came on top of the load, and a link policed at exactly its committed rate failed.
#[test]
fn a_link_policed_at_its_committed_rate_passes_a_test_of_that_rate() {
    for streams in [1, 3] {
        let plan = format!(
            "[link]\nrate = '10 Mbit/s'\n[require]\nthroughput = '>= 10 Mbit/s'\n\
             loss = '<= 0.1%'\n[[test]]\nkind = 'udp'\nrate = '100%'\nduration = '10 s'\n\
             streams = {streams}\n"
        );
        let (run, verdicts) = played(&plan, &policed(10_000_000));
        check_nothing_lost(&run);
        assert_eq!(verdicts, [Verdict::Pass; 4], "{streams} streams");
    }
}

/// 64 kbit/s: 100 probes a second are 126 kbit/s, and their own queue failed the link.
#[test]
fn probes_do_not_fill_a_narrow_link_that_is_idle() {
    let plan = "[link]\nrate = '64 kbit/s'\n[require]\nrtt_p99 = '<= 500 ms'\n\
                [[test]]\nkind = 'idle'\n";
    let shaper = Shaper { bits_per_second: 64_000, queue_octets: 100_000, overhead_octets: 18 };
    let (run, verdicts) = played(plan, &Spec { shaper: Some(shaper), ..good() });
    assert_eq!(run.trial.probe_rate().to_string(), "5.063");
    assert_eq!(run.trial.duration(), Span::from_secs(62), "310 probes");
    assert_eq!(verdicts, [Verdict::Pass]);
}

/// Driver and agent had two rules for one rate, and the agent refused the trial after 10 s.
#[test]
fn a_few_packets_a_second_are_granted_and_judged_by_the_link() {
    let plan = |rate: &str| {
        format!(
            "[require]\nthroughput = '>= {rate}'\nloss = '<= 5%'\n\
             [[test]]\nkind = 'udp'\nrate = '{rate}'\nduration = '60 s'\n"
        )
    };
    for (text, bits_per_second) in [("64 kbit/s", 64_000), ("2.048 Mbit/s", 2_048_000)] {
        let asked: BitRate = text.parse().unwrap();
        let (_, trials) = composed(&plan(text));
        let trial = trials.last().unwrap();
        assert_eq!(frame_rate(trial, Framing::plain(IpVersion::V4)), Some(asked));
        let (run, verdicts) = played(&plan(text), &policed(bits_per_second));
        check_nothing_lost(&run);
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Pass), "{text}: {verdicts:?}");
        let (_, verdicts) = played(&plan(text), &policed(bits_per_second * 3 / 4));
        assert!(verdicts.contains(&Verdict::Fail), "{text}, three quarters: {verdicts:?}");
    }
}

/// 9 Mbit/s behind a buffer of 2 s: what a heartbeat echoes left up to 2 s before. Paused for that,
/// the load towards the driver never showed what the link carries. A direction without
/// a test is INCONCLUSIVE.
#[test]
fn no_load_is_paused_by_a_queue_of_its_own() {
    let shaper =
        Shaper { bits_per_second: 9_000_000, queue_octets: 2_250_000, overhead_octets: 18 };
    let slow = Spec { shaper: Some(shaper), ..good() };
    use Verdict::{Fail, Inconclusive, Pass};
    for (directions, forward, reverse, expected) in [
        ("reverse", &good(), &slow, &[Inconclusive, Fail][..]),
        ("both", &good(), &slow, &[Pass, Fail][..]),
        ("both", &slow, &good(), &[Fail, Pass][..]),
    ] {
        let plan = format!(
            "[require]\nthroughput = '>= 10 Mbit/s'\n[[test]]\nkind = 'udp'\n\
             rate = '10 Mbit/s'\nduration = '30 s'\ndirection = '{directions}'\n"
        );
        let (run, verdicts) = played_between(&plan, forward, reverse);
        for direction in Direction::ALL {
            let sent = &run.outcome.one_way(direction).sender;
            let paused = sent.as_ref().map_or(0, |sent| sent.paused);
            assert_eq!(paused, 0, "{directions}: {direction}");
        }
        assert_eq!(verdicts, expected, "{directions}");
    }
}

/// At a probe a second, the only one behind the load met the queue that it was to see drained.
#[test]
fn a_narrow_link_that_is_too_slow_fails_by_its_queue() {
    let plan = "[require.forward]\nthroughput = '>= 64 kbit/s'\n\
                [[test]]\nkind = 'udp'\nrate = '64 kbit/s'\nduration = '30 s'\nsize = 60\n\
                direction = 'forward'\n";
    let verdicts = |bits_per_second| {
        let shaper = Shaper { bits_per_second, queue_octets: 100_000, overhead_octets: 18 };
        let (run, verdicts) = played(plan, &Spec { shaper: Some(shaper), ..good() });
        assert_eq!(run.trial.probe_rate().to_string(), "1");
        verdicts
    };
    assert_eq!(verdicts(63_360), [Verdict::Fail]);
    assert_eq!(verdicts(60_000), [Verdict::Fail]);
    assert_eq!(verdicts(64_000), [Verdict::Pass]);
}
