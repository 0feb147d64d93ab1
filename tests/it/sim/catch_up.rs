//! A sending host that is held up: it sends all that was due, and what it sent too fast for a
//! policer is counted and no more, so that a link that loses by itself fails by itself.

use super::hands::{Host, Stall};
use super::world::{Setup, play};
use super::{MS, check_identity, good, setup, trial_run};
use linkqual::account::{SenderCounts, Waiting};
use linkqual::direction::{Direction, Directions, PerDirection};
use linkqual::emulation::{Applies, Loss, Policer, Shaper, Spec};
use linkqual::flow::Evidence;
use linkqual::framing::{Framing, IpVersion, Layer};
use linkqual::metric::{Criteria, Metric, Requirements};
use linkqual::trial::{Load, LoadKind, Trial};
use linkqual::units::{BitRate, Span};
use linkqual::verdict::{Verdict, findings};

/// A trial of 4 s at `rate` of frames, with `payload` octets in each datagram.
fn trial(directions: Directions, rate: &str, payload: u32) -> Trial {
    let rate: BitRate = rate.parse().unwrap();
    let rate = Framing::plain(IpVersion::V4).packet_rate(rate, Layer::L2, payload);
    let load = Load::new(directions, 1, payload, rate, LoadKind::FixedRate).unwrap();
    Trial::new(Some(load), Span::from_secs(4)).unwrap()
}

/// A host that wakes 30 us late from each sleep and, each 200 ms, stalls for `stall_ms`.
fn held_up(waiting: Waiting, stall_ms: u64) -> Host {
    let stall = Stall { each_ns: 200 * MS, for_ns: stall_ms * MS };
    let oversleeps_ns = if waiting == Waiting::Asleep { 30_000 } else { 0 };
    Host { waiting, oversleeps_ns, stall: Some(stall), ..Host::default() }
}

struct Played {
    sent: PerDirection<Option<SenderCounts>>,
    lost: u64,
    lost_in_excess: u64,
    /// Of loss <= 0.1 %, forward.
    verdict: Verdict,
}

/// Plays `trial` over `spec` both ways, from hosts that are alike.
fn played(trial: Trial, spec: &Spec, host: Host) -> Played {
    let setup = Setup { driver_host: host, agent_host: host, ..setup(trial, spec) };
    let run = play(&setup);
    let run = trial_run(&setup, &run);
    check_identity(&setup, &run.outcome);
    let mut requirements = Requirements::default();
    requirements.set(Some(Direction::Forward), Metric::LOSS.require("<= 0.1%").unwrap());
    let criteria = Criteria::plain(requirements, IpVersion::V4);
    let evidence = Evidence { trials: vec![run.clone()], ..Evidence::default() };
    let came = run.outcome.forward.receiver.as_ref().unwrap();
    Played {
        sent: PerDirection::from_fn(|direction| run.outcome.one_way(direction).sender.clone()),
        lost: came.losses.lost(),
        lost_in_excess: came.lost_in_excess,
        verdict: findings(&criteria, &evidence)[0].verdict,
    }
}

/// The link carries 200 of 250 Mbit/s both ways. A sleeping host sent 66 600 of 82 348 packets of
/// it, and was blamed for it.
#[test]
fn a_host_that_sleeps_sends_all_and_the_slow_link_fails() {
    let shaper =
        Shaper { bits_per_second: 200_000_000, queue_octets: 150_000, overhead_octets: 18 };
    let spec = Spec { shaper: Some(shaper), ..good() };
    let played =
        played(trial(Directions::Both, "250 Mbit/s", 1_472), &spec, held_up(Waiting::Asleep, 8));
    for direction in Direction::ALL {
        let sent = played.sent.get(direction).as_ref().unwrap();
        assert_eq!((sent.sent, sent.skipped, sent.refused), (82_346, 0, 0), "{direction}");
    }
    assert!(
        played.lost_in_excess * 2 < played.lost,
        "{} of {}",
        played.lost_in_excess,
        played.lost
    );
    assert_eq!(played.verdict, Verdict::Fail);
}

/// The same forward only, from a host that is awake: by gaps 1/16 shorter at most 1 packet in 16 is
/// in excess. Nearly all losses were.
#[test]
fn a_sixteenth_of_an_even_catch_up_is_in_excess_at_most() {
    let policer =
        Policer { bits_per_second: 200_000_000, burst_octets: 30_000, overhead_octets: 18 };
    let spec = Spec { policer: Some(policer), ..good() };
    let played =
        played(trial(Directions::Forward, "250 Mbit/s", 1_472), &spec, held_up(Waiting::Awake, 4));
    let sent = played.sent.forward.as_ref().unwrap();
    assert_eq!((sent.sent, sent.skipped), (82_346, 0));
    let in_catch_ups: u64 = sent.excess.iter().map(|one| one.end - one.start).sum();
    assert!(0 < played.lost_in_excess, "it did catch up");
    let (lost_in_excess, lost) = (played.lost_in_excess, played.lost);
    assert!(lost_in_excess * 15 <= in_catch_ups, "{lost_in_excess} of {in_catch_ups} sent");
    assert!(lost_in_excess * 10 <= lost, "{lost_in_excess} of {lost} lost");
    assert_eq!(played.verdict, Verdict::Fail);
}

/// 0.3 % of 8972 octets each are lost, 0.1 % are allowed: 8 KiB hold no such packet, and a bucket
/// of one had 58 of 71 losses in a catch-up.
#[test]
fn losses_of_long_packets_are_not_the_catch_ups() {
    let loss = vec![(Applies::ToAll, Loss::EveryNth(333))];
    let spec = Spec { loss, ..good() };
    let played =
        played(trial(Directions::Forward, "440 Mbit/s", 8_972), &spec, held_up(Waiting::Awake, 2));
    assert!(60 <= played.lost, "{}", played.lost);
    assert!(
        played.lost_in_excess * 4 <= played.lost,
        "{} of {}",
        played.lost_in_excess,
        played.lost
    );
    assert_eq!(played.verdict, Verdict::Fail);
}

/// A link policed at just this rate, whose bucket holds 16 KiB: what it drops of a host's catch-ups
/// is the host's, to the last packet.
#[test]
fn what_a_policer_drops_of_a_catch_up_is_the_hosts() {
    let policer =
        Policer { bits_per_second: 100_000_000, burst_octets: 8_192, overhead_octets: 18 };
    let spec = Spec { policer: Some(policer), ..good() };
    let load = trial(Directions::Forward, "98 Mbit/s", 1_472);
    let played = played(load, &spec, held_up(Waiting::Asleep, 10));
    assert!(0 < played.lost, "half gaps are twice the rate");
    assert!(
        played.lost <= played.lost_in_excess + played.lost / 10,
        "{} of {}",
        played.lost_in_excess,
        played.lost
    );
    assert_ne!(played.verdict, Verdict::Fail);
}
