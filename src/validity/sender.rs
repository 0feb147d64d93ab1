//! Caveats of a load's sender: what it did not send, or sent in lumps.

use super::caveat::{Bias, Concern, SHORT_MAX_PERCENT, hosts};
use crate::account::SenderCounts;
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::metric::{Basis, Criteria, SenderShortage, catch_up_queue, sender_shortage};
use crate::units::Span;

/// What a load's sender did that evidence is doubted for.
pub(super) fn of_sender(criteria: &Criteria, run: &TrialRun, direction: Direction) -> Vec<Concern> {
    let sent = run.outcome.one_way(direction).sender.as_ref();
    let Some(sent) = sent.filter(|_| run.trial.load().is_some()) else { return Vec::new() };
    let of_rate = match run.outcome.one_way(direction).throughput {
        Some(_) => of_window(criteria, run, direction, sent),
        None => of_slots(direction, sent),
    };
    let of_catch_ups = of_catch_ups(run, direction, sent);
    let of_delays = of_delays(direction, sent);
    let concerns: Vec<Concern> = of_rate.into_iter().chain(of_delays).collect();
    // Each of those says it.
    let of_meter = of_meter(direction, sent).filter(|_| concerns.is_empty());
    concerns.into_iter().chain(of_meter).chain(of_catch_ups).collect()
}

/// Where the load caught up faster than its burst bound, it made a queue that is not the link's: a
/// delay that fails without it stays a FAIL.
fn of_catch_ups(run: &TrialRun, direction: Direction, sent: &SenderCounts) -> Option<Concern> {
    let queue = catch_up_queue(run, direction);
    let beyond = sent.excess_packets;
    let (sender, _) = hosts(direction);
    let text = format!(
        "{sender} was late by up to {:.1} ms, and caught up faster than the burst bound ({beyond} \
         packets too early for a policer): the queue of that may be why delays are up to as much \
         longer. Use a host with an idle processor, or test at a lower rate",
        queue.as_secs() * 1e3
    );
    let bias = Bias::CanOnlyWorsenBy(beyond);
    (queue != Span::default()).then_some((&[Basis::ProbeDelays], bias, text))
}

/// Where what the sender did explains that a rate is not carried. A FAIL that stands without it has
/// no such caveat.
fn of_window(
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
    sent: &SenderCounts,
) -> Option<Concern> {
    let SenderShortage { missing, held_ns } = sender_shortage(criteria, run, direction)?;
    let (sender, _) = hosts(direction);
    let held_ms = held_ns / 1_000_000;
    let metered = metered(sent.metered);
    let text = format!(
        "{sender} did not send at the full rate: it sent {missing} packets too few ({} refused by \
         its own queue and {} skipped as it was too slow, in the whole trial), and stalled for \
         {held_ms} ms in all{metered}. Use a host with an idle processor, or test at a lower rate",
        sent.refused, sent.skipped
    );
    Some((&[Basis::LoadRate], Bias::CanOnlyWorsenBy(missing), text))
}

/// Where the load was less than was asked for, delays beside it are not those that were asked for.
/// What was paused is the link's.
fn of_delays(direction: Direction, sent: &SenderCounts) -> Option<Concern> {
    let missing = sent.refused + sent.skipped;
    let due = sent.sent + sent.unreachable + missing;
    // One packet is allowed.
    if missing.saturating_sub(1).saturating_mul(100) <= due.saturating_mul(SHORT_MAX_PERCENT) {
        return None;
    }
    let (sender, _) = hosts(direction);
    let metered = metered(sent.metered);
    let text = format!(
        "{sender} sent {} of {due} packets that were due ({} refused by its own queue, {} skipped \
         as it was too slow{metered}), so delays at the full rate are not known. Use a host with \
         an idle processor, or test at a lower rate",
        due - missing,
        sent.refused,
        sent.skipped
    );
    Some((&[Basis::ProbeDelays], Bias::Either, text))
}

/// Packets that a meter stopped are not lost on the link, and never go unsaid.
fn of_meter(direction: Direction, sent: &SenderCounts) -> Option<Concern> {
    let (sender, _) = hosts(direction);
    let text = format!(
        "{sender} did not send all that was due{}. Run when no other driver uses the agent, or \
         have its operator raise --max-rate",
        metered(sent.metered)
    );
    let bias = Bias::CanOnlyWorsenBy(sent.metered);
    (0 < sent.metered).then_some((&[Basis::LoadRate], bias, text))
}

/// The same where throughput is judged by due times.
fn of_slots(direction: Direction, sent: &SenderCounts) -> Option<Concern> {
    let missing = sent.refused + sent.skipped;
    if missing == 0 {
        return None;
    }
    let (sender, _) = hosts(direction);
    let slots = sent.sent + sent.unreachable + sent.paused + missing;
    let short = slots.saturating_mul(SHORT_MAX_PERCENT) < missing.saturating_mul(100);
    let bias = if short { Bias::Either } else { Bias::CanOnlyWorsenBy(missing) };
    let metered = metered(sent.metered);
    let text = format!(
        "{sender} sent {} of {slots} packets ({} refused by its own queue, {} skipped as it was \
         too slow{metered}). Test at a lower rate, use a faster host, or look for a limit on its \
         interface",
        sent.sent, sent.refused, sent.skipped
    );
    Some((&[Basis::LoadRate], bias, text))
}

/// What the agent's own meter stopped, in words.
fn metered(packets: u64) -> String {
    match packets {
        0 => String::new(),
        packets => {
            format!("; its --max-rate, which other runs share, held back {packets} of these")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Evidence;
    use crate::framing::IpVersion;
    use crate::metric::tests::{outcome, sent};
    use crate::metric::{Metric, Requirements};
    use crate::validity::{Caveat, caveats};

    /// The caveats of a load of 8235 packets, of which nothing is required.
    fn of(change: impl FnOnce(&mut SenderCounts)) -> Vec<Caveat> {
        let criteria = Criteria::plain(Requirements::default(), IpVersion::V4);
        let run = outcome(|run| change(sent(run)));
        caveats(&criteria, &Evidence { trials: vec![run], ..Evidence::default() })
    }

    fn of_delays(sent_packets: u64, skipped: u64, paused: u64) -> Option<Caveat> {
        let found = of(|sent| {
            (sent.sent, sent.skipped, sent.paused) = (sent_packets, skipped, paused);
        });
        found.into_iter().find(|caveat| caveat.metrics().contains(&Metric::RTT_P99))
    }

    #[test]
    fn less_load_than_was_due_is_a_caveat_on_delays_whatever_is_required() {
        let caveat = of_delays(8_151, 84, 0).expect("more than 1 % and a packet is missing");
        assert_eq!(caveat.bias, Bias::Either);
        assert!(caveat.text.starts_with("this host sent 8151 of 8235 packets"), "{}", caveat.text);
        let touches = |metric, direction| caveat.touches(metric, direction, Some(0));
        assert!(touches(Metric::RTT_P99, None) && touches(Metric::RTT_P99_LOADED, None));
        assert!(touches(Metric::JITTER, Some(Direction::Forward)));
        assert!(!touches(Metric::JITTER, Some(Direction::Reverse)));
        assert_eq!(of_delays(8_152, 83, 0), None);
        assert_eq!(of_delays(4_000, 0, 4_235), None, "paused");
    }

    #[test]
    fn the_queue_of_a_catch_up_is_a_caveat_on_delays_worth_what_the_load_was_late() {
        let caught_up = |sent: &mut SenderCounts| {
            sent.lateness.record_many(12_000_000, 1);
            sent.excess_packets = 7;
        };
        let found = of(caught_up);
        let [caveat] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(caveat.bias, Bias::CanOnlyWorsenBy(7));
        let words = "late by up to 12.0 ms, and caught up faster than the burst bound (7 packets";
        assert!(caveat.text.contains(words), "{}", caveat.text);
        let touches = |metric, direction| caveat.touches(metric, direction, Some(0));
        assert!(touches(Metric::RTT_P99, None) && touches(Metric::RTT_P99_LOADED, None));
        assert!(touches(Metric::JITTER, Some(Direction::Forward)));
        assert!(!touches(Metric::JITTER, Some(Direction::Reverse)));
        // What was late and left at its own pace makes no queue.
        assert_eq!(of(|sent| sent.lateness.record_many(12_000_000, 1)), []);
    }

    #[test]
    fn what_a_meter_stopped_never_goes_unsaid() {
        for stopped in [1, 84] {
            let found = of(|sent| {
                (sent.sent, sent.refused, sent.metered) = (8_235 - stopped, stopped, stopped);
            });
            let words = format!("held back {stopped} of these");
            let said = found.iter().filter(|caveat| caveat.text.contains(&words)).count();
            assert_eq!(said, 1, "{found:?}");
        }
        let none = of(|_| {});
        assert_eq!(none, []);
    }
}
