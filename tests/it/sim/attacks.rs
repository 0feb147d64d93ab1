//! What one on the path can do without a key: nothing that dropping or delaying could not.

use super::attacker::Attack;
use super::world::{Blow, Run, Setup, play};
use super::{MS, SECOND, check_identity, check_truth, good, line, outcome, setup, trial};
use linkqual::account::Outcome;
use linkqual::direction::{Direction, Directions};
use linkqual::emulation::{Applies, Class, Loss, Spec};
use linkqual::flow::{LATE_MAX, SILENCE};
use linkqual::trial::Trial;
use linkqual::units::Span;

fn idle(seconds: u64) -> Trial {
    Trial::new(None, Span::from_secs(seconds)).unwrap()
}

/// A link that loses what `class` is, as `loss` says.
fn losing(class: Class, loss: Loss) -> Spec {
    Spec { loss: vec![(Applies::To(class), loss)], ..good() }
}

fn attacked(setup: &Setup, attack: Attack) -> (Setup, Run) {
    let setup = Setup { attack, ..setup.clone() };
    let run = play(&setup);
    assert!(0 < run.touched, "{attack:?} did nothing");
    (setup, run)
}

/// `attack` changes nothing of what is reported, but for copies and malformed datagrams.
#[track_caller]
fn check_unchanged(setup: &Setup, attack: Attack) {
    let calm = play(setup);
    let expected = harmless(outcome(setup, &calm));
    let (setup, run) = attacked(setup, attack);
    assert_eq!(harmless(outcome(&setup, &run)), expected, "{attack:?}");
}

/// `outcome`, without what any stranger may add to.
fn harmless(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for direction in Direction::ALL {
        if let Some(receiver) = &mut outcome.one_way_mut(direction).receiver {
            (receiver.duplicate, receiver.malformed) = (0, 0);
            receiver.streams.iter_mut().for_each(|stream| stream.duplicate = 0);
        }
    }
    outcome
}

/// No reply crosses, and none is forged.
#[test]
fn a_reflected_probe_is_no_reply() {
    let dead = losing(Class::Probe, Loss::After(0));
    let setup = Setup { reverse: dead, ..setup(idle(3), &good()) };
    let (setup, run) = attacked(&setup, Attack::ReflectProbes);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.round_trip.delays.measured(), 0);
    assert_eq!(outcome.reverse.probes.received, Some(0));
    check_unchanged(&setup, Attack::ReflectProbes);
}

/// The first release answered twice as many probes as were granted, whichever they were.
#[test]
fn a_replayed_probe_spends_no_other_probes_answer() {
    let setup = setup(idle(3), &good());
    let (setup, run) = attacked(&setup, Attack::ReplayProbes(50));
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.round_trip.delays.measured(), 300, "all are answered");
    assert_eq!(outcome.forward.receiver.as_ref().unwrap().duplicate, 300 * 50);
    check_unchanged(&setup, Attack::ReplayProbes(50));
}

/// A second chance for each reply would have made a lossy reverse direction look sound.
#[test]
fn a_replayed_probe_makes_up_for_no_lost_reply() {
    let lossy = losing(Class::Probe, Loss::EveryNth(4));
    let setup = Setup { reverse: lossy, ..setup(idle(3), &good()) };
    for times in [1, 20] {
        check_unchanged(&setup, Attack::ReplayProbes(times));
    }
}

/// The driver vanishes at 5 s of 30, and the control connection stays open.
fn driver_gone() -> Setup {
    let blows = vec![(5 * SECOND, Blow::DriverVanishes)];
    Setup { blows, ..setup(trial(Directions::Both, 1, 200, 30), &good()) }
}

#[test]
fn no_heartbeat_that_is_sent_again_or_held_back_keeps_load_going() {
    // The trial begins within two seconds of the run: from then on he keeps what he gets.
    for attack in [
        Attack::ReplayHeartbeats,
        Attack::EchoHeartbeats,
        Attack::WithholdHeartbeats { from_ns: 6 * SECOND },
        Attack::WithholdHeartbeats { from_ns: 2 * SECOND },
    ] {
        let (setup, run) = attacked(&driver_gone(), attack);
        // What was echoed left before the driver did, and 10 ms is the way.
        let most = 5 * SECOND + SILENCE.nanos() + 20 * MS;
        let last = run.last_load_ns[1];
        assert!(last <= most, "{attack:?}: load for {last} ns; seed {}", setup.seed);
    }
}

/// Sealed packets that he releases one by one were as good as a driver until the grant's end, at
/// 70 s.
#[test]
fn no_packet_that_is_held_back_keeps_the_slot_of_a_dead_driver() {
    for from_ns in [3 * SECOND, 7 * SECOND] {
        let blows = vec![(5 * SECOND, Blow::DriverVanishes), (5 * SECOND, Blow::ControlCloses)];
        let setup = Setup { blows, ..setup(trial(Directions::Forward, 1, 200, 30), &good()) };
        let (setup, run) = attacked(&setup, Attack::WithholdLoad { from_ns });
        // He may hold it back for as long as a packet may be late; a second later it is over.
        let most = 5 * SECOND + LATE_MAX.nanos() + SECOND + 100 * MS;
        let over_ns = run.agent_over_ns.unwrap();
        assert!(over_ns <= most, "over at {over_ns} ns; seed {}", setup.seed);
    }
}

/// He makes the round trip rise by 9 s, which counts for two and no more.
#[test]
fn no_delayed_reply_keeps_load_going_beyond_what_a_packet_may_be_late() {
    let attack = Attack::DelayReplies { by_ns: 9 * SECOND };
    let blows = vec![(12 * SECOND, Blow::DriverVanishes)];
    let (setup, run) = attacked(&Setup { blows, ..driver_gone() }, attack);
    let silence_ns = 12 * SECOND + SILENCE.nanos();
    let last = run.last_load_ns[1];
    assert!(silence_ns + SECOND <= last, "load for {last} ns: the rise was not passed on");
    let most = silence_ns + LATE_MAX.nanos() + 20 * MS;
    assert!(last <= most, "load for {last} ns; seed {}", setup.seed);
}

/// 75 % are lost, and he makes up as many.
#[test]
fn forged_load_hides_no_loss() {
    let lossy = losing(Class::Load, Loss::EveryNth(4));
    let setup = setup(trial(Directions::Both, 1, 200, 4), &lossy);
    check_unchanged(&setup, Attack::ForgeLoad);
    let (setup, run) = attacked(&setup, Attack::ForgeLoad);
    let outcome = outcome(&setup, &run);
    let malformed: u64 = Direction::ALL
        .map(|it| outcome.one_way(it).receiver.as_ref().unwrap().malformed)
        .iter()
        .sum();
    assert_eq!(malformed, run.touched);
}

#[test]
fn load_that_is_cut_short_is_not_carried() {
    let setup = setup(trial(Directions::Both, 2, 200, 4), &good());
    let (setup, run) = attacked(&setup, Attack::CutLoad);
    let outcome = outcome(&setup, &run);
    check_identity(&setup, outcome);
    for direction in Direction::ALL {
        let one_way = outcome.one_way(direction);
        let (sent, came) = (one_way.sender.as_ref().unwrap(), one_way.receiver.as_ref().unwrap());
        assert_eq!((came.received, came.lost()), (0, sent.sent), "{direction}");
        assert_eq!(came.malformed, sent.sent, "{direction}");
    }
}

/// The row "one packet spoils all": 7240 of 8240 were late.
#[test]
fn one_flipped_bit_is_one_malformed_packet() {
    for number in [0, 1, 399, 799] {
        let setup = setup(trial(Directions::Forward, 1, 200, 4), &good());
        let (setup, run) = attacked(&setup, Attack::FlipDue(number));
        let outcome = outcome(&setup, &run);
        check_identity(&setup, outcome);
        let came = outcome.forward.receiver.as_ref().unwrap();
        assert_eq!((came.received, came.late, came.lost()), (799, 0, 1), "packet {number}");
        assert_eq!((came.malformed, came.rejected), (1, 0), "packet {number}");
    }
}

/// The row "altered payload": 1 % of them passed without a word.
#[test]
fn an_altered_payload_is_corrupted_and_counts_as_lost() {
    let setup = setup(trial(Directions::Both, 1, 500, 4), &good());
    let (setup, run) = attacked(&setup, Attack::AlterPayload(100));
    let outcome = outcome(&setup, &run);
    check_identity(&setup, outcome);
    let mut corrupted = 0;
    for direction in Direction::ALL {
        let one_way = outcome.one_way(direction);
        let (sent, came) = (one_way.sender.as_ref().unwrap(), one_way.receiver.as_ref().unwrap());
        assert_eq!((came.lost(), came.malformed), (0, 0), "{direction}");
        assert_eq!(came.compared, sent.sent, "{direction}: 800 kbit/s are compared whole");
        corrupted += came.corrupted;
    }
    assert_eq!(corrupted, run.touched);
}

/// A NAT forgets all flows 4 s into a trial of 10 s: the driver's packets come from new ports, and
/// what is sent to the old ones is dropped.
#[test]
fn flows_whose_address_changes_move_and_go_on() {
    let blows = vec![(4 * SECOND, Blow::NatForgets)];
    let setup = Setup { blows, ..setup(trial(Directions::Both, 2, 200, 10), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    check_identity(&setup, outcome);
    let streams: Vec<_> = outcome.moves.iter().map(|moved| moved.stream).collect();
    assert_eq!(outcome.moves.len(), 5, "{streams:?}");
    for moved in &outcome.moves {
        assert_eq!(moved.to.port(), moved.from.port() + 1_000);
    }
    for direction in Direction::ALL {
        let one_way = outcome.one_way(direction);
        let (sent, came) = (one_way.sender.as_ref().unwrap(), one_way.receiver.as_ref().unwrap());
        assert_eq!(sent.paused, 0, "{direction}");
        // A round trip, and in reverse up to 200 ms until a heartbeat of the stream shows the new
        // address: the two of them share ten per second.
        let lost = came.lost();
        assert!(0 < lost && lost <= 200 * 250 / 1_000, "{direction}: {lost} lost");
        let longest = one_way.silences.as_slice().iter().map(|it| it.span()).max();
        assert!(longest.is_none_or(|it| it <= Span::from_millis(250)), "{direction}: {longest:?}");
    }
}

/// The same twice, and of the probes alone.
#[test]
fn probes_whose_address_changes_move_each_time() {
    let blows = vec![(SECOND, Blow::NatForgets), (2 * SECOND, Blow::NatForgets)];
    let setup = Setup { blows, ..setup(idle(4), &good()) };
    let run = play(&setup);
    let outcome = outcome(&setup, &run);
    assert_eq!(outcome.moves.len(), 2, "{:?}", outcome.moves);
    let answered = outcome.round_trip.delays.measured();
    assert!((390..400).contains(&answered), "{answered} of 400 answered");
}

/// With nobody there nothing of this is counted.
#[test]
fn an_honest_link_has_nothing_malformed_and_nothing_moves() {
    let setup = setup(trial(Directions::Both, 2, 200, 4), &good());
    let run = play(&setup);
    check_truth(&setup, &run);
    assert_eq!(outcome(&setup, &run).moves, []);
    assert_eq!(line(&run, Direction::Forward).counts(Class::Load).lost(), 0);
}
