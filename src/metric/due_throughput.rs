//! Throughput as format 2 of the record had it: by packets that were due in the steady part of the
//! trial. Records of that time are judged by it, and a note of theirs says so.

use super::criteria::{Criteria, Measured, account_missing};
use super::loss::losses;
use super::outage::was_silent;
use crate::account::{ReceiverCounts, SenderCounts, Status};
use crate::direction::Direction;
use crate::flow::{Steady, TrialRun};
use crate::stats::real;
use crate::trial::Load;
use crate::units::{Ratio, Span};

/// How much of the load may come after its time while the line still counts as carrying it: what
/// comes late is in a queue, and a queue that fills is no throughput.
const LAG_MAX: Span = Span::from_millis(100);

/// Whether `direction` of `run` carried its load, `allowed` of which may be lost.
pub(super) fn throughput_by_due_times(
    criteria: &Criteria,
    run: &TrialRun,
    load: &Load,
    direction: Direction,
    allowed: Ratio,
) -> Option<Measured> {
    let packet_rate = load.rate(direction)?;
    let one_way = run.outcome.one_way(direction);
    let (Some(sent), Some(came)) = (&one_way.sender, &one_way.receiver) else {
        return Some(account_missing(run, one_way));
    };
    let steady = Steady::of_trial(&run.trial);
    let per_stream = packet_rate.share(load.streams()).unwrap_or(packet_rate);
    let slots = steady.slots(per_stream).saturating_mul(u64::from(load.streams()));
    let carries = |sent: u64, received: u64| {
        slots <= sent && allowed.holds(sent.saturating_sub(received), sent)
    };
    let doubtful = losses(run, direction).map_or(0, |losses| losses.doubtful);
    let never_sent = sent.refused + sent.skipped;
    let vouched_for = came.steady + came.host_dropped + doubtful + never_sent;
    let sent_at_best = sent.steady + never_sent;
    let span = steady.span(load.stream_rate(direction)?);
    let rate = criteria.framing.bit_rate(came.steady, span, criteria.layer, load.payload());
    let (unproved, mut counts) = unproved(run, direction, (sent, came), slots);
    let lagging = came.steady.saturating_sub(came.steady_on_time);
    let lag_max = load.rate(direction)?.packets_in(LAG_MAX);
    if lag_max < lagging {
        counts += &format!(
            "; {lagging} of them arrived after the end of the trial, so a queue was filling. Test \
             longer"
        );
    }
    let meets = |sent: u64, received: u64| match carries(sent, received) {
        true if lag_max < lagging => None,
        true => Some(true),
        false if 0 < unproved && carries(sent + unproved, received + unproved) => None,
        false => Some(false),
    };
    Some(Measured::Counted {
        value: rate.map_or(0.0, |rate| real(rate.bits_per_second())),
        meets: meets(sent.steady, came.steady),
        meets_at_best: meets(sent_at_best, vouched_for.min(sent_at_best)),
        proven: None,
        counts,
    })
}

/// Packets of `slots` that were never sent through no fault of the line in `direction`, and what
/// was sent and received, in words.
fn unproved(
    run: &TrialRun,
    direction: Direction,
    (sent, came): (&SenderCounts, &ReceiverCounts),
    slots: u64,
) -> (u64, String) {
    let mut counts =
        format!("{} of {slots} packets sent and {} received", sent.steady, came.steady);
    let mut unproved = 0;
    if 0 < sent.paused {
        counts +=
            &format!("; load was paused for {} packets, as no heartbeat arrived", sent.paused);
        // Where this direction itself was never silent, it was the way back that was.
        unproved += if was_silent(run, direction) { 0 } else { sent.paused };
    }
    if run.outcome.status != Status::Ok {
        counts += "; the trial was cut short";
        unproved += slots.saturating_sub(sent.steady);
    }
    (unproved, counts)
}

#[cfg(test)]
mod tests {
    use crate::account::Status;
    use crate::flow::TrialRun;
    use crate::metric::tests::{SLOTS, came, check, gaps, sent, throughput};

    /// As format 2 has it.
    fn outcome(change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        crate::metric::tests::outcome(|run| {
            run.trial = run.trial.rounded_up(true);
            run.outcome.forward.throughput = None;
            change(run);
        })
    }

    #[test]
    fn a_rate_is_carried_to_the_last_packet_of_its_loss_bound() {
        check(throughput(), &outcome(|_| {}), Some(true));
        check(throughput(), &outcome(|run| came(run).steady -= 7), Some(true));
        check(throughput(), &outcome(|run| came(run).steady -= 8), Some(false));
        check(throughput(), &outcome(|run| sent(run).steady -= 1), Some(false));
    }

    #[test]
    fn a_queue_that_fills_carries_nothing_proved() {
        check(throughput(), &outcome(|run| came(run).steady_on_time -= 83), Some(true));
        check(throughput(), &outcome(|run| came(run).steady_on_time -= 84), None);
    }

    #[test]
    fn a_pause_for_want_of_heartbeats_is_not_this_directions_fault() {
        let paused = |run: &mut TrialRun| {
            let sent = sent(run);
            (sent.paused, sent.steady) = (500, SLOTS - 500);
            came(run).steady -= 500;
        };
        check(throughput(), &outcome(paused), None);
        let silent = |run: &mut TrialRun| {
            paused(run);
            run.outcome.forward.silences = gaps(1_000, 2_600, true);
        };
        check(throughput(), &outcome(silent), Some(false));
    }

    #[test]
    fn what_was_not_sent_before_an_interrupt_proves_nothing() {
        let cut = |run: &mut TrialRun| {
            run.outcome.status = Status::Partial;
            sent(run).steady = 1_000;
            came(run).steady = 1_000;
            came(run).steady_on_time = 1_000;
        };
        check(throughput(), &outcome(cut), None);
    }
}
