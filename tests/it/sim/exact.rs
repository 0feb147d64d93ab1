//! Counts: what is reported is what the line did.

use super::hands::Host;
use super::world::play;
use super::{MS, check_truth, good, line, outcome, setup, trial};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{
    Applies, Class, Duplicate, Entry, Jitter, Loss, Policer, Reorder, Shaper, Spec,
};
use linkqual::trial::Trial;
use linkqual::units::Span;

const COURSES: [Directions; 3] = [Directions::Forward, Directions::Reverse, Directions::Both];

/// 500 packets a second for 3 s over `spec` in each direction, and 10 ms probes alone.
#[track_caller]
fn check(spec: &Spec) {
    for directions in COURSES {
        check_trial(trial(directions, 1, 500, 3), spec);
    }
    check_trial(Trial::new(None, Span::from_secs(3)).unwrap(), spec);
}

#[track_caller]
fn check_trial(trial: Trial, spec: &Spec) {
    let setup = setup(trial, spec);
    let run = play(&setup);
    check_truth(&setup, &run);
}

fn losing(loss: Loss) -> Spec {
    Spec { loss: vec![(Applies::ToAll, loss)], ..good() }
}

#[test]
fn a_perfect_line_loses_nothing() {
    check(&good());
}

#[test]
fn several_streams_are_counted_as_their_sum() {
    check_trial(trial(Directions::Both, 4, 1_000, 2), &losing(Loss::Random { ratio: 0.03 }));
}

#[test]
fn every_twentieth_lost_is_counted() {
    check(&losing(Loss::EveryNth(20)));
}

#[test]
fn a_load_that_dies_half_way_is_lost_to_its_last_packet() {
    check(&Spec { loss: vec![(Applies::To(Class::Load), Loss::After(750))], ..good() });
}

#[test]
fn losses_and_copies_do_not_hide_each_other() {
    let duplicate = vec![(Applies::ToAll, Duplicate::EveryNth { n: 10, gap_ns: MS })];
    check(&Spec { duplicate, ..losing(Loss::EveryNth(20)) });
}

#[test]
fn copies_alone_are_no_loss() {
    let copies = |duplicate| Spec { duplicate: vec![(Applies::ToAll, duplicate)], ..good() };
    check(&copies(Duplicate::EveryNth { n: 10, gap_ns: MS }));
    check(&copies(Duplicate::EveryNth { n: 1, gap_ns: 0 }));
    check(&copies(Duplicate::Random { ratio: 0.3, gap_ns: 50 * MS }));
}

/// Packets of the load that arrived behind a later one, by the line's own log.
fn overtaken(log: &[Entry]) -> u64 {
    let load = log.iter().filter(|entry| entry.class == Class::Load).enumerate();
    let mut arrivals: Vec<(u64, usize)> = load
        .filter_map(|(number, entry)| Some((*entry.deliveries.arrivals_ns().first()?, number)))
        .collect();
    arrivals.sort_unstable();
    let mut newest = 0;
    let behind = |(_, number): &&(u64, usize)| {
        newest = newest.max(*number);
        *number < newest
    };
    arrivals.iter().filter(behind).count() as u64
}

#[test]
fn reordering_is_no_loss_and_counted() {
    let rules = [
        Reorder::EveryNth { n: 7, extra_delay_ns: 5 * MS },
        Reorder::Random { ratio: 0.1, extra_delay_ns: 90 * MS },
    ];
    for rule in rules {
        let spec = Spec { reorder: vec![(Applies::ToAll, rule)], ..good() };
        check(&spec);
        let setup = setup(trial(Directions::Both, 1, 500, 3), &spec);
        let run = play(&setup);
        for direction in Direction::ALL {
            let truth = overtaken(line(&run, direction).log());
            let came = outcome(&setup, &run).one_way(direction).receiver.as_ref().unwrap();
            assert!(0 < truth, "nothing was overtaken; seed {}", setup.seed);
            assert_eq!(came.reordered, truth, "{direction}; seed {}", setup.seed);
        }
    }
}

/// A receiver waits for 2 s: what is held back for less is counted as if it had come in time, what
/// is held back for longer is late, or lost where the account is closed before.
#[test]
fn what_comes_two_seconds_late_is_late() {
    let held = |extra_delay_ns| {
        let rule = Reorder::EveryNth { n: 50, extra_delay_ns };
        Spec { reorder: vec![(Applies::To(Class::Load), rule)], ..good() }
    };
    check(&held(1_900 * MS));
    let setup = setup(trial(Directions::Both, 1, 500, 4), &held(2_100 * MS));
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    super::check_identity(&setup, outcome);
    for direction in Direction::ALL {
        let came = outcome.one_way(direction).receiver.as_ref().unwrap();
        assert_eq!((came.received, came.losses.lost()), (1_960, 40), "{direction}: {came:?}");
        assert!(38 <= came.late, "{direction}: {} late; seed {}", came.late, setup.seed);
    }
}

#[test]
fn any_datagram_of_the_handshake_may_be_lost() {
    for lost in 1..=12 {
        check_trial(
            trial(Directions::Both, 2, 100, 1),
            &Spec { loss: vec![(Applies::To(Class::Signal), Loss::First(lost))], ..good() },
        );
    }
}

/// Bursts spare signals, which are few: one could outlast a whole handshake.
#[test]
fn chance_and_bursts_are_counted() {
    let chance = (Applies::ToAll, Loss::Random { ratio: 0.05 });
    check(&Spec { loss: vec![chance.clone()], ..good() });
    let bursts =
        Loss::GilbertElliott { enter: 0.01, leave: 0.1, loss_in_bad: 0.8, loss_in_good: 0.001 };
    let of = |class| (Applies::To(class), bursts.clone());
    check(&Spec { loss: vec![of(Class::Load), of(Class::Probe)], ..good() });
    let loss = vec![chance, of(Class::Load), of(Class::Probe)];
    check(&Spec { loss, jitter: Jitter::Exponential { mean_ns: 2 * MS }, ..good() });
}

/// 500 packets of 200 + 28 + 18 octets are 984 kbit/s.
#[test]
fn a_full_queue_drops_at_its_tail_and_is_counted() {
    for bits_per_second in [500_000, 900_000] {
        let shaper = Shaper { bits_per_second, queue_octets: 2_000, overhead_octets: 18 };
        check(&Spec { shaper: Some(shaper), ..good() });
    }
}

#[test]
fn a_policer_is_counted() {
    for bits_per_second in [500_000, 900_000] {
        let policer = Policer { bits_per_second, burst_octets: 3_000, overhead_octets: 18 };
        check(&Spec { policer: Some(policer), ..good() });
    }
}

#[test]
fn what_a_host_refuses_was_never_sent() {
    let host = Host { refuses_nth: 7, drops_nth: 0, ..Host::default() };
    let setup = super::world::Setup {
        driver_host: host,
        agent_host: host,
        ..setup(trial(Directions::Both, 1, 700, 2), &losing(Loss::EveryNth(20)))
    };
    let run = play(&setup);
    check_truth(&setup, &run);
    for direction in Direction::ALL {
        let sent = outcome(&setup, &run).one_way(direction).sender.as_ref().unwrap();
        assert_eq!((sent.sent, sent.refused), (1_200, 200), "{direction}");
    }
}

/// The line loses nothing: whatever is missing, a host dropped.
#[track_caller]
fn check_drops_alone(spec: &Spec) {
    let host = Host { refuses_nth: 0, drops_nth: 10, ..Host::default() };
    let setup = super::world::Setup {
        driver_host: host,
        agent_host: host,
        ..setup(trial(Directions::Both, 1, 500, 2), spec)
    };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    super::check_identity(&setup, outcome);
    for direction in Direction::ALL {
        let came = outcome.one_way(direction).receiver.as_ref().unwrap();
        assert_eq!(came.received, 900, "{direction}; seed {}", setup.seed);
        let ours = came.host_dropped + came.unattributed;
        assert_eq!((ours, came.lost() - came.unattributed), (100, 0), "{direction}: {came:?}");
    }
}

#[test]
fn what_a_host_drops_is_not_the_lines_loss() {
    check_drops_alone(&good());
}

#[test]
fn what_a_host_drops_is_not_the_lines_loss_on_a_line_that_reorders() {
    let rule = Reorder::EveryNth { n: 7, extra_delay_ns: 5 * MS };
    check_drops_alone(&Spec { reorder: vec![(Applies::ToAll, rule)], ..good() });
}

#[test]
fn a_load_that_no_packet_of_comes_is_lost_and_not_missing() {
    check(&Spec { loss: vec![(Applies::To(Class::Load), Loss::After(0))], ..good() });
}
