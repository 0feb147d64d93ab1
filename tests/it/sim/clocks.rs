//! Clocks that are off, drift and step, and what delays and their variation say then.

use super::hands::Host;
use super::world::{Setup, play};
use super::{MS, SECOND, check_truth, good, outcome, setup, trial, trial_run};
use linkqual::account::{ClockSource, WallClock};
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{DriftingClock, Jitter, Spec};
use linkqual::flow::{Evidence, TrialRun};
use linkqual::framing::IpVersion;
use linkqual::metric::{Basis, Criteria, Metric, Requirements};
use linkqual::stats::confidence::Confidence;
use linkqual::stats::delays::{Delay, Delays};
use linkqual::trial::Trial;
use linkqual::units::Span;
use linkqual::validity::{Bias, Caveat, caveats};

/// The error of a clock of 100 ppm over the 20 ms of a round trip, in nanoseconds, and the rounding
/// of its four readings.
const ROUND_TRIP_ERROR_NS: u64 = 2_000 + 4;

#[track_caller]
fn check_round_trips(setup: &Setup, delays: &Delays) {
    let (min_ns, max_ns) = (delays.min_ns().unwrap(), delays.max_ns().unwrap());
    assert!(20 * MS - ROUND_TRIP_ERROR_NS <= min_ns, "{min_ns} ns; seed {}", setup.seed);
    assert!(max_ns <= 20 * MS + ROUND_TRIP_ERROR_NS, "{max_ns} ns; seed {}", setup.seed);
}

#[test]
fn clocks_that_drift_and_are_hours_apart_change_no_delay() {
    let hours_ns = 3 * 3_600 * SECOND.cast_signed();
    for (driver_ppb, agent_ppb, offset_ns) in [
        (100_000_i32, -100_000_i32, hours_ns),
        (-100_000, 100_000, hours_ns),
        (100_000, 100_000, 7),
        (0, 100_000, 5 * hours_ns),
    ] {
        let setup = Setup {
            driver_clock: DriftingClock { drift_ppb: driver_ppb.into(), offset_ns, step: None },
            agent_clock: DriftingClock { drift_ppb: agent_ppb.into(), offset_ns: 0, step: None },
            ..setup(trial(Directions::Both, 1, 200, 10), &good())
        };
        let run = play(&setup);
        check_truth(&setup, &run);
        let outcome = outcome(&setup, &run);
        assert_eq!(outcome.round_trip.clock_steps, 0, "seed {}", setup.seed);
        assert_eq!(caveats_of(trial_run(&setup, &run)), [], "seed {}", setup.seed);
        check_round_trips(&setup, &outcome.round_trip.delays);
        for direction in Direction::ALL {
            // A floor through points that are each rounded by less than 2 ns.
            let probing = &outcome.one_way(direction).probes;
            let variation_ns = probing.variation.max_ns().unwrap();
            assert!(variation_ns <= 4, "{direction}: {variation_ns} ns; seed {}", setup.seed);
        }
        let apart_ppm = f64::from(agent_ppb - driver_ppb) / 1e3;
        let skew_ppm = outcome.forward.probes.skew_ppm.unwrap();
        assert!((skew_ppm - apart_ppm).abs() < 0.1, "{skew_ppm} is not {apart_ppm}");
        // The agent's reading less the driver's, at some moment of the 12 s since the beginning.
        let offset = outcome.round_trip.clock_offset.unwrap();
        let error_ns = offset.error_ns + 13 * 200_000;
        assert!(offset.agent_ahead_ns.abs_diff(-offset_ns) <= error_ns, "{offset:?}");
    }
}

#[test]
fn a_step_of_the_agents_clock_is_found_and_doubted() {
    for by_ns in [50 * MS.cast_signed(), -50 * MS.cast_signed()] {
        let setup = Setup {
            agent_clock: DriftingClock { offset_ns: -400 * MS.cast_signed(), ..Default::default() },
            agent_step: Some((5 * SECOND / 2 + 3, by_ns)),
            ..setup(trial(Directions::Both, 1, 200, 5), &good())
        };
        let run = play(&setup);
        check_truth(&setup, &run);
        let outcome = outcome(&setup, &run);
        assert_eq!(outcome.round_trip.clock_steps, 1, "{by_ns} ns; seed {}", setup.seed);
        check_round_trips(&setup, &outcome.round_trip.delays);
        let caveats = caveats_of(trial_run(&setup, &run));
        let [caveat] = caveats.as_slice() else { unreachable!("{caveats:?}; seed {}", setup.seed) };
        assert_eq!((caveat.doubts, caveat.bias), (&[Basis::OneWayDelays][..], Bias::Either));
        assert!(caveat.metrics().contains(&Metric::JITTER));
        for direction in Direction::ALL {
            let variation = &outcome.one_way(direction).probes.variation;
            assert!(variation.max_ns().unwrap() <= 4, "{direction}; seed {}", setup.seed);
        }
    }
}

/// Each quantile's bounds hold the truth, at a confidence that no seed in a million escapes.
#[track_caller]
fn check_quantiles(setup: &Setup, delays: &Delays, truth_ns: impl Fn(f64) -> u64) {
    let sure = Confidence::new(1.0 - 1e-6).unwrap();
    for q in [0.1, 0.5, 0.9, 0.99] {
        let (low, high) = delays.bounds(q, sure);
        let truth = Delay::Finite(truth_ns(q));
        assert!(low.unwrap() <= truth, "{q}: {low:?} {truth:?}; seed {}", setup.seed);
        assert!(truth <= high.unwrap(), "{q}: {truth:?} {high:?}; seed {}", setup.seed);
    }
}

#[test]
fn delays_and_their_variation_are_those_of_the_line() {
    let idle = Trial::new(None, Span::from_secs(30)).unwrap();
    for jitter in [
        Jitter::Uniform { max_ns: 4 * MS },
        Jitter::Exponential { mean_ns: MS },
        Jitter::Normal { sigma_ns: MS },
    ] {
        let spec = Spec { jitter, ..good() };
        let setup = Setup { forward: spec, ..setup(idle, &good()) };
        let run = play(&setup);
        check_truth(&setup, &run);
        let outcome = outcome(&setup, &run);
        let truth_ns = |q| jitter.quantile_ns(q).unwrap();
        check_quantiles(&setup, &outcome.round_trip.delays, |q| 20 * MS + truth_ns(q));
        // The least of 3000: the chance that none is below the 1 % quantile is 8e-14.
        let floor_ns = outcome.round_trip.delays.min_ns().unwrap();
        assert!((20 * MS..=20 * MS + truth_ns(0.01)).contains(&floor_ns), "{jitter:?}");
        check_quantiles(&setup, &outcome.forward.probes.variation, truth_ns);
        assert!(outcome.reverse.probes.variation.max_ns().unwrap() <= 1, "{jitter:?}");
    }
}

/// 10 ms there, 4 ms back, and the agent's clock 7 ms ahead: 7 ms is half the round trip.
#[test]
fn one_way_delays_are_known_by_the_round_trip_or_by_what_both_hosts_state() {
    let clock = |ahead_ns: i64, error_ns| {
        Some(WallClock { ahead_ns, error_ns, source: ClockSource::Kernel })
    };
    let offset_ns = 7 * MS.cast_signed();
    let right = [clock(5, 20_000), clock(5 - offset_ns, 30_000)];
    // The agent's clock is 3 to 17 ms ahead, whatever anybody says; these say 22.
    let wrong = [clock(5, 20_000), clock(5 - offset_ns - 15 * MS.cast_signed(), 30_000)];
    for (walls, error_ns, contradicted) in [
        ([None, None], 7 * MS, false),
        ([right[0], None], 7 * MS, false),
        (right, 50_000, false),
        (wrong, 7 * MS, true),
    ] {
        let idle = Trial::new(None, Span::from_secs(5)).unwrap();
        let setup = Setup {
            reverse: Spec { delay_ns: 4 * MS, ..Spec::default() },
            agent_clock: DriftingClock { offset_ns, ..Default::default() },
            driver_host: Host { wall_clock: walls[0], ..Host::default() },
            agent_host: Host { wall_clock: walls[1], ..Host::default() },
            ..setup(idle, &good())
        };
        let run = play(&setup);
        check_truth(&setup, &run);
        let outcome = outcome(&setup, &run);
        let round_trip = &outcome.round_trip;
        let stated = round_trip.stated_clocks;
        assert_eq!([stated.driver, stated.agent], walls);
        assert_eq!(stated.contradicted, contradicted, "{stated:?}");
        assert_eq!(outcome.agent_host.unwrap().wall_clock, None, "it stands in one place");
        let known = round_trip.clock_offset.unwrap();
        let slack_ns = 10_000;
        assert!(known.error_ns.abs_diff(error_ns) < slack_ns, "{known:?}");
        let off_ns = known.agent_ahead_ns.abs_diff(offset_ns);
        assert!(off_ns <= known.error_ns + 4, "{known:?} is not {offset_ns}");
        for (direction, delay_ns) in [(Direction::Forward, 10 * MS), (Direction::Reverse, 4 * MS)] {
            let bounds = outcome.one_way(direction).probes.delays.as_ref().unwrap();
            let (low, high) = (bounds.low.min_ns().unwrap(), bounds.high.max_ns().unwrap());
            assert!(low <= delay_ns && delay_ns <= high, "{direction}: {low} to {high}");
            let width_ns = high - low;
            assert!(width_ns.abs_diff(2 * error_ns) < 2 * slack_ns, "{direction}: {width_ns}");
        }
    }
}

/// The caveats about one trial, where nothing is required.
fn caveats_of(run: &TrialRun) -> Vec<Caveat> {
    let criteria = Criteria::plain(Requirements::default(), IpVersion::V4);
    caveats(&criteria, &Evidence { trials: vec![run.clone()], ..Evidence::default() })
}
