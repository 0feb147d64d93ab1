//! Caveats of a load's sender: what it did not send, or sent in lumps.

use super::caveat::{Bias, Concern, hosts};
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::metric::{Criteria, SenderShortage, sender_shortage};
use crate::plan::Metric;

/// A share above which a sender was too slow to be believed: 1 %.
const SHORT_MAX_PERCENT: u64 = 1;

/// Where what the sender did explains that a rate is not carried. A FAIL that stands without it has
/// no such caveat.
pub(super) fn of_sender(
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
) -> Option<Concern> {
    run.trial.load()?;
    let one_way = run.outcome.one_way(direction);
    if one_way.throughput.is_none() {
        return of_slots(run, direction);
    }
    let SenderShortage { missing, held_ns } = sender_shortage(criteria, run, direction)?;
    let (sender, _) = hosts(direction);
    let sent = one_way.sender.as_ref()?;
    let held_ms = held_ns / 1_000_000;
    let metered = metered(sent.metered);
    let text = format!(
        "{sender} explains why the rate was not carried: in the window it sent {missing} packets \
         fewer than were due (its stack or queue refused {} in the trial, it was too slow for {}), \
         and it stalled for {held_ms} ms in all{metered}. Use a host with an idle processor, or \
         ask for less",
        sent.refused, sent.skipped
    );
    Some((&[Metric::Throughput], Bias::CanOnlyWorsenBy(missing), text))
}

/// The same where throughput is judged by due times.
fn of_slots(run: &TrialRun, direction: Direction) -> Option<Concern> {
    let sent = run.outcome.one_way(direction).sender.as_ref()?;
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
        "{sender} sent {} of {slots} packets: its own stack or queue refused {}, it was too slow \
         for {}{metered}. Ask for less, use a faster host, or look for a limit on its device",
        sent.sent, sent.refused, sent.skipped
    );
    Some((&[Metric::Throughput], bias, text))
}

/// What the agent's own meter stopped, in words.
fn metered(packets: u64) -> String {
    match packets {
        0 => String::new(),
        packets => format!(
            "; its limit for all that it sends (--max-rate) stopped {packets} of these: other runs \
             or answers took part of it"
        ),
    }
}
