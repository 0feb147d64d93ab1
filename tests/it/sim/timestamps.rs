//! The two-step way of a reply's stamp: what two programs take is in no delay where the kernels
//! report when probes and replies left, and in each where they do not, for all that is known.

use super::hands::Host;
use super::world::{Run, Setup, play};
use super::{MS, check_truth, good, line, outcome, setup, trial};
use linkqual::account::{Outcome, Timestamping};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Applies, Class, Duplicate, Loss, Reorder, Spec};
use linkqual::trial::Trial;
use linkqual::units::Span;

/// Between the program's reading of the clock and the leaving: of a probe, of a reply.
const PROBE_TAKES_NS: u64 = 200_000;
const REPLY_TAKES_NS: u64 = 150_000;

/// Idle probes for 10 s between two slow programs, replies over `reverse`.
fn slow(reverse: &Spec, driver_unstamped: u64, agent_unstamped: u64) -> Setup {
    let host = |takes_ns, unstamped_nth| Host {
        takes_ns,
        wakes_ns: 3 * MS,
        unstamped_nth,
        ..Host::default()
    };
    Setup {
        reverse: reverse.clone(),
        driver_host: host(PROBE_TAKES_NS, driver_unstamped),
        agent_host: host(REPLY_TAKES_NS, agent_unstamped),
        ..setup(Trial::new(None, Span::from_secs(10)).unwrap(), &good())
    }
}

/// The least and the greatest round trip.
#[track_caller]
fn check_round_trips(setup: &Setup, outcome: &Outcome, least_ns: u64, greatest_ns: u64) {
    let delays = &outcome.round_trip.delays;
    let extremes = (delays.min_ns(), delays.max_ns());
    assert_eq!(extremes, (Some(least_ns), Some(greatest_ns)), "seed {}", setup.seed);
}

/// Which replies came, in the order of their leaving.
fn came(run: &Run) -> Vec<bool> {
    let replies = line(run, Direction::Reverse).log().iter();
    let replies = replies.filter(|entry| entry.class == Class::Probe);
    replies.map(|entry| !entry.deliveries.arrivals_ns().is_empty()).collect()
}

#[test]
fn what_the_programs_take_is_in_no_delay() {
    let setup = slow(&good(), 0, 0);
    let run = play(&setup);
    check_truth(&setup, &run);
    let outcome = outcome(&setup, &run);
    check_round_trips(&setup, outcome, 20 * MS, 20 * MS);
    let all = Timestamping {
        exchanges: 1_000,
        by_kernel: 1_000,
        probe_sent: 1_000,
        probe_received: 1_000,
        reply_sent: 1_000,
        reply_received: 1_000,
    };
    assert_eq!(outcome.round_trip.timestamping, all, "the last one's stamp is in the account");
    for direction in Direction::ALL {
        assert_eq!(outcome.one_way(direction).probes.variation.max_ns(), Some(0), "{direction}");
    }
}

#[test]
fn kernels_that_stamp_nothing_leave_the_programs_time_in_and_the_report_says_so() {
    let setup = slow(&good(), 1, 1);
    let run = play(&setup);
    check_truth(&setup, &run);
    let outcome = outcome(&setup, &run);
    let round_trip_ns = 20 * MS + PROBE_TAKES_NS + REPLY_TAKES_NS;
    check_round_trips(&setup, outcome, round_trip_ns, round_trip_ns);
    let Timestamping {
        exchanges,
        by_kernel,
        probe_sent,
        probe_received,
        reply_sent,
        reply_received,
    } = outcome.round_trip.timestamping;
    assert_eq!((exchanges, by_kernel), (1_000, 0));
    assert_eq!((probe_sent, probe_received, reply_sent, reply_received), (0, 1_000, 0, 1_000));
}

#[test]
fn stamps_that_one_kernel_owes_are_sent_by_its_end() {
    let setup = slow(&good(), 4, 10);
    let run = play(&setup);
    let stamping = outcome(&setup, &run).round_trip.timestamping;
    // Of 20 probes 5 have no stamp, and 2 replies; the 20th lacks both.
    let expected = (1_000, 700, 750, 900);
    let Timestamping { exchanges, by_kernel, probe_sent, reply_sent, .. } = stamping;
    assert_eq!((exchanges, by_kernel, probe_sent, reply_sent), expected);
}

/// A reply's stamp is carried by the two behind it, and of the last two by the account.
#[test]
fn a_stamp_is_missing_only_where_all_that_carried_it_were_lost() {
    let losing = |loss| Spec { loss: vec![(Applies::To(Class::Probe), loss)], ..good() };
    for spec in [
        losing(Loss::EveryNth(3)),
        losing(Loss::Random { ratio: 0.3 }),
        losing(Loss::Random { ratio: 0.8 }),
    ] {
        let setup = slow(&spec, 0, 0);
        let run = play(&setup);
        check_truth(&setup, &run);
        let (outcome, came) = (outcome(&setup, &run), came(&run));
        assert_eq!(came.len(), 1_000);
        let is_carried =
            |reply: usize| reply + 2 >= came.len() || came[reply + 1] || came[reply + 2];
        let returned: Vec<usize> = (0..came.len()).filter(|reply| came[*reply]).collect();
        let carried = returned.iter().filter(|reply| is_carried(**reply)).count();
        let Timestamping { exchanges, by_kernel, reply_sent, .. } = outcome.round_trip.timestamping;
        let expected = (returned.len() as u64, carried as u64, carried as u64);
        assert_eq!((exchanges, by_kernel, reply_sent), expected, "seed {}", setup.seed);
        let is_whole = carried == returned.len();
        let greatest_ns = 20 * MS + if is_whole { 0 } else { REPLY_TAKES_NS };
        check_round_trips(&setup, outcome, 20 * MS, greatest_ns);
    }
}

#[test]
fn copies_and_disorder_mix_no_stamps_up() {
    for spec in [
        Spec {
            duplicate: vec![(Applies::ToAll, Duplicate::EveryNth { n: 3, gap_ns: MS })],
            ..good()
        },
        Spec {
            reorder: vec![(Applies::ToAll, Reorder::EveryNth { n: 7, extra_delay_ns: 95 * MS })],
            ..good()
        },
    ] {
        let setup = Setup { forward: spec.clone(), ..slow(&spec, 0, 0) };
        let run = play(&setup);
        let outcome = outcome(&setup, &run);
        let Timestamping { exchanges, by_kernel, .. } = outcome.round_trip.timestamping;
        assert_eq!((exchanges, by_kernel), (1_000, 1_000), "seed {}", setup.seed);
        assert_eq!(outcome.round_trip.delays.min_ns(), Some(20 * MS));
        // Held back on both ways at most.
        assert!(outcome.round_trip.delays.max_ns() <= Some(20 * MS + 2 * 95 * MS));
    }
}

#[test]
fn stamps_are_carried_beside_load_too() {
    let setup = Setup { trial: trial(Directions::Both, 2, 500, 3), ..slow(&good(), 0, 0) };
    let run = play(&setup);
    check_truth(&setup, &run);
    let Timestamping { exchanges, by_kernel, .. } = outcome(&setup, &run).round_trip.timestamping;
    assert_eq!((exchanges, by_kernel), (300, 300));
}
