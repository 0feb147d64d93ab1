//! A trial and what happened in it, put together: what metrics and verdicts are read from.

use super::event::Probed;
use super::prober::{self, Exchange, Returned};
use super::throughput::{self, ProbesSeen};
use crate::account::{
    ClockOffset, DelayBounds, Outcome, PathMtu, ProbeCounts, ReceiverCounts, ReflectorCounts,
    RoundTripCounts, SenderCounts, Silences, StatedClocks, Timestamping,
};
use crate::clock::Offset;
use crate::direction::Direction;
use crate::stats::delays::Delays;
use crate::stats::jitter::Rfc3550Jitter;
use crate::stats::one_way::{self, Ahead, Between, Contradiction};
use crate::stats::skew::{self, Transit};
use crate::trial::Trial;

/// A trial, and what happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRun {
    /// What was to happen.
    pub trial: Trial,
    /// What happened.
    pub outcome: Outcome,
}

/// All that was found out about the path to one site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The path's MTU; `None` where it was not found out.
    pub path_mtu: Option<PathMtu>,
    /// What other runs left of the agent's limit when it last granted what was asked, in bit/s of
    /// Ethernet frames in one direction; `None` where it has granted nothing yet.
    pub free_rate_bit_s: Option<u64>,
    /// The trials, in their order.
    pub trials: Vec<TrialRun>,
}

impl TrialRun {
    /// Takes in what became of the probes: what was `probed` as the driver saw it, `reflected` as
    /// the agent did, where its account arrived. What the hosts state of their clocks is in there,
    /// and in the account of the agent's host.
    pub fn take_probes(&mut self, probed: Probed, reflected: Option<ReflectorCounts>) {
        let Probed { mut exchanges, refused, replies, marks, wall_clock } = probed;
        for follow_up in reflected.iter().flat_map(|reflected| &reflected.follow_ups) {
            prober::follow_up(&mut exchanges, follow_up);
        }
        self.take_throughput(&exchanges);
        let all = exchanges.len() as u64;
        self.leave_out_trailing(&mut exchanges);
        let usable = || exchanges.iter().filter(|exchange| !exchange.late);
        let returned = || usable().filter_map(|e| e.reply.map(|reply| (e, reply)));
        let mut round_trip = RoundTripCounts::default();
        for (exchange, reply) in returned() {
            round_trip.delays.record(reply.round_trip_ns(exchange.sent));
            count_timestamps(&mut round_trip.timestamping, exchange, &reply);
        }
        let unanswered = usable().count() - returned().count();
        // What the agent's own limit kept it from answering is not lost on the link.
        let withheld = reflected.as_ref().map_or(0, ReflectorCounts::withheld);
        round_trip.delays.record_lost((unanswered as u64).saturating_sub(withheld));
        round_trip.late_probes = (exchanges.len() - usable().count()) as u64;
        let late = exchanges.iter().filter(|exchange| exchange.late);
        let since_due = late.map(|e| e.reply.map(|reply| reply.round_trip_ns(e.due)));
        round_trip.late_delay_max_ns =
            since_due.collect::<Option<Vec<u64>>>().and_then(|ns| ns.into_iter().max());
        round_trip.clock_offset = returned()
            .filter_map(|(exchange, reply)| offset_of(exchange, &reply))
            .min_by_key(|offset| offset.error_ns())
            .map(Into::into);

        let intervals: Vec<_> =
            returned().filter_map(|(e, reply)| interval_of(e, &reply)).collect();
        let steps = skew::clock_steps(&intervals);
        round_trip.clock_steps = steps.len() as u64;
        let agent = self.outcome.agent_host.as_mut().and_then(|host| host.wall_clock.take());
        round_trip.stated_clocks = StatedClocks { driver: wall_clock, agent, contradicted: false };
        self.outcome.round_trip = round_trip;
        let forward: Vec<Transit> = returned().map(|(e, reply)| there(e, &reply)).collect();
        let reverse: Vec<Transit> = returned().map(|(_, reply)| back(&reply)).collect();
        self.outcome.forward.probes = shown_by(&forward, &reverse, &steps);
        self.outcome.reverse.probes = shown_by(&reverse, &forward, &steps);
        let crossings: Vec<_> = returned().map(|(e, reply)| crossing(e, &reply)).collect();
        self.bound_delays(&crossings, &steps);
        let marks_there = reflected.as_ref().map(|reflected| reflected.marks);
        self.count_probes(all, refused, replies, reflected);
        (self.outcome.forward.probes.marks, self.outcome.reverse.probes.marks) =
            (marks_there, Some(marks));
    }

    /// The one-way delays, as far as the probes and the hosts' statements bound them; `steps` are
    /// the places of `crossings` from which on the clocks' offset is another.
    fn bound_delays(&mut self, crossings: &[one_way::Exchange], steps: &[usize]) {
        let round_trip = &mut self.outcome.round_trip;
        // A step makes what was stated before it, or after it, wrong for the rest.
        let stated = round_trip.stated_clocks.offset().filter(|_| steps.is_empty());
        let mut found = bounded(crossings, steps, stated);
        if found == Err(Contradiction::Stated) {
            round_trip.stated_clocks.contradicted = true;
            found = bounded(crossings, steps, None);
        }
        let Ok(found) = found else { return };
        let stated = stated.filter(|_| !round_trip.stated_clocks.contradicted).map(Into::into);
        let known = round_trip.clock_offset.into_iter().chain(stated);
        round_trip.clock_offset = known.min_by_key(|offset: &ClockOffset| offset.error_ns);
        let bounds = |each: &dyn Fn(&(Between, Between)) -> Between| {
            let mut bounds = DelayBounds::default();
            for Between { low_ns, high_ns } in found.iter().map(each) {
                bounds.low.record(low_ns);
                bounds.high.record(high_ns);
            }
            (!found.is_empty()).then_some(bounds)
        };
        self.outcome.forward.probes.delays = bounds(&|(there, _)| *there);
        self.outcome.reverse.probes.delays = bounds(&|(_, back)| *back);
    }

    /// The evidence of throughput, where UDP loaded at a fixed rate.
    fn take_throughput(&mut self, exchanges: &[Exchange]) {
        if self.trial.load().is_none() || self.trial.is_capacity() {
            return;
        }
        let duration = self.trial.duration();
        let returned = || {
            let usable = exchanges.iter().filter(|exchange| !exchange.late);
            usable.filter_map(|exchange| exchange.reply.map(|reply| (exchange, reply)))
        };
        let forward: Vec<Transit> = returned().map(|(e, reply)| there(e, &reply)).collect();
        let reverse: Vec<Transit> = returned().map(|(_, reply)| back(&reply)).collect();
        let unanswered = exchanges.iter().filter(|exchange| exchange.reply.is_none());
        let lost_ns: Vec<u64> = unanswered.map(|exchange| exchange.sent.nanos()).collect();
        let seen = [
            (Direction::Forward, &forward, &reverse, lost_ns.as_slice()),
            // When the agent answered what never came back, nobody knows.
            (Direction::Reverse, &reverse, &forward, &[]),
        ];
        for (direction, transits, facing, lost_ns) in seen {
            let one_way = self.outcome.one_way_mut(direction);
            let Some(sender) = &one_way.sender else { continue };
            let Some(receiver) = &mut one_way.receiver else { continue };
            let probes = ProbesSeen { transits, facing, lost_ns };
            one_way.throughput = throughput::evidence(duration, sender, receiver, probes);
        }
    }

    /// Probes that were due behind a load are no probes beside it.
    fn leave_out_trailing(&self, exchanges: &mut Vec<Exchange>) {
        let Some(start) = exchanges.first().map(|first| first.due) else { return };
        let duration_ns = self.trial.duration().nanos();
        exchanges.retain(|exchange| exchange.due.nanos_since(start) < duration_ns);
    }

    fn count_probes(
        &mut self,
        sent: u64,
        refused: u64,
        replies: ReceiverCounts,
        reflected: Option<ReflectorCounts>,
    ) {
        self.outcome.forward.probes.sent = Some(sent);
        self.outcome.reverse.probes.received = Some(replies.received);
        let mut idle = [
            (Direction::Forward, SenderCounts { sent, refused, ..SenderCounts::default() }, None),
            (Direction::Reverse, SenderCounts::default(), Some(replies)),
        ];
        if let Some(reflected) = reflected {
            let probes = reflected.probes;
            self.outcome.forward.probes.received = Some(probes.received);
            self.outcome.reverse.probes.sent = Some(reflected.replies);
            idle[1].1 = SenderCounts {
                sent: reflected.replies,
                refused: reflected.refused,
                ..SenderCounts::default()
            };
            idle[0].2 = Some(probes);
        }
        let agent_reported = self.outcome.reverse.probes.sent.is_some();
        for (direction, sent, came) in idle {
            let is_idle = self.trial.is_idle();
            let loads =
                self.trial.directions().is_some_and(|directions| directions.includes(direction));
            let one_way = self.outcome.one_way_mut(direction);
            // TCP of which nothing ever came leaves its silence to the probes.
            let loads =
                loads && one_way.tcp_receiver.as_ref().is_none_or(|came| came.began_ns.is_some());
            let silences = came.as_ref().map(|came| came.silences.clone());
            // Whether the agent answered is not known then; its load was sent whatever it heard, or
            // its signals say that it was paused.
            let is_reported = direction == Direction::Forward || agent_reported;
            let silences = match is_reported || one_way.receiver.is_none() {
                true => silences,
                false => silences.map(Silences::unoffered),
            };
            one_way.silences = match (!loads, silences) {
                (true, Some(silences)) => silences,
                (false, Some(silences)) => one_way.silences.in_common_with(&silences),
                (_, None) => std::mem::take(&mut one_way.silences),
            };
            if is_idle {
                let sender_reported = direction == Direction::Forward || agent_reported;
                one_way.sender = sender_reported.then_some(sent);
                one_way.receiver = came;
            }
        }
    }
}

fn count_timestamps(counts: &mut Timestamping, exchange: &Exchange, reply: &Returned) {
    let by_kernel = [
        exchange.sent_by_kernel,
        reply.seen_by_kernel,
        reply.answered_by_kernel,
        reply.back_by_kernel,
    ];
    counts.exchanges += 1;
    counts.by_kernel += u64::from(by_kernel.iter().all(|by_kernel| *by_kernel));
    let [probe_sent, probe_received, reply_sent, reply_received] = by_kernel.map(u64::from);
    counts.probe_sent += probe_sent;
    counts.probe_received += probe_received;
    counts.reply_sent += reply_sent;
    counts.reply_received += reply_received;
}

fn offset_of(exchange: &Exchange, reply: &Returned) -> Option<Offset> {
    let held_ns = reply.answered.nanos_since(reply.seen);
    let back = crate::clock::Stamp::from_nanos(reply.back.nanos().saturating_sub(held_ns));
    Offset::from_exchange(exchange.sent, reply.seen, back)
}

/// What two stamps of one host may be wrong by against each other: a microsecond is above all that
/// its clocks are read to, and below any step that is reported.
const STAMP_ERROR_NS: i64 = 1_000;

fn interval_of(exchange: &Exchange, reply: &Returned) -> Option<skew::Exchange> {
    let offset = offset_of(exchange, reply)?;
    let error_ns = i64::try_from(offset.error_ns()).ok()?.saturating_add(STAMP_ERROR_NS);
    Some(skew::Exchange {
        sent_ns: exchange.sent.nanos(),
        offset_low_ns: offset.agent_ahead_ns().saturating_sub(error_ns),
        offset_high_ns: offset.agent_ahead_ns().saturating_add(error_ns),
    })
}

fn there(exchange: &Exchange, reply: &Returned) -> Transit {
    let sent_ns = exchange.sent.nanos();
    Transit { sent_ns, delay_ns: reply.seen.nanos().wrapping_sub(sent_ns).cast_signed() }
}

fn back(reply: &Returned) -> Transit {
    let sent_ns = reply.answered.nanos();
    Transit { sent_ns, delay_ns: reply.back.nanos().wrapping_sub(sent_ns).cast_signed() }
}

/// Clocks that are not steered gain so little on each other while a probe is under way: 100 ppm.
const NS_PER_SKEW_NS: u64 = 10_000;

fn crossing(exchange: &Exchange, reply: &Returned) -> one_way::Exchange {
    let (there, back) = (there(exchange, reply), back(reply));
    let round_trip_ns = reply.back.nanos_since(exchange.sent);
    one_way::Exchange {
        at_ns: there.sent_ns.saturating_add(round_trip_ns / 2),
        there_ns: there.delay_ns,
        back_ns: back.delay_ns,
        error_ns: STAMP_ERROR_NS.unsigned_abs() + round_trip_ns / NS_PER_SKEW_NS,
    }
}

/// The bounds of all `crossings`, each stretch between two steps by itself. What hosts state of
/// their clocks is of the whole trial, so that it says nothing where there was a step.
fn bounded(
    crossings: &[one_way::Exchange],
    steps: &[usize],
    stated: Option<Offset>,
) -> Result<Vec<(Between, Between)>, Contradiction> {
    let stated = stated.filter(|_| steps.is_empty()).map(|offset| Ahead {
        low_ns: offset.agent_ahead_ns().saturating_sub_unsigned(offset.error_ns()),
        high_ns: offset.agent_ahead_ns().saturating_add_unsigned(offset.error_ns()),
    });
    let mut found = Vec::with_capacity(crossings.len());
    for end in steps.iter().copied().chain([crossings.len()]) {
        let stretch = crossings.get(found.len()..end).unwrap_or_default();
        found.extend(one_way::bounds(stretch, stated)?);
    }
    Ok(found)
}

fn shown_by(transits: &[Transit], facing: &[Transit], steps: &[usize]) -> ProbeCounts {
    let mut variation = Delays::default();
    for above_floor_ns in skew::variation(transits, facing, steps) {
        variation.record(above_floor_ns);
    }
    let mut jitter = Rfc3550Jitter::default();
    for transit in transits {
        jitter.on_arrival(transit.delay_ns);
    }
    ProbeCounts {
        variation,
        jitter_rfc3550_ns: jitter.jitter_ns(),
        skew_ppm: skew::fit_floor(transits).map(|floor| floor.skew_ppm()),
        ..ProbeCounts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::clock::Stamp;
    use crate::stats::loss_bursts::LossBursts;
    use crate::units::Span;

    const MS: u64 = 1_000_000;

    /// A probe that was due in ms and left so many ms late, and came back after 10 ms more of which
    /// the agent kept it for one; or never did.
    fn probe(due_ms: u64, late_ms: u64, is_answered: bool) -> Exchange {
        let due = Stamp::from_nanos(due_ms * MS);
        let sent = due.after_nanos(late_ms * MS);
        let at_agent = |ms: u64| Stamp::from_nanos(sent.nanos() + ms * MS);
        let reply = Returned {
            sequence: 0,
            seen: at_agent(5),
            seen_by_kernel: true,
            answered: at_agent(6),
            answered_by_kernel: true,
            back: sent.after_nanos(10 * MS),
            back_by_kernel: true,
        };
        let reply = is_answered.then_some(reply);
        Exchange { due, sent, sent_by_kernel: true, late: 5 < late_ms, reply }
    }

    fn round_trip(exchanges: Vec<Exchange>) -> RoundTripCounts {
        let trial = Trial::new(None, Span::from_secs(1)).expect("a trial");
        let mut run = TrialRun { trial, outcome: Outcome::nothing(Status::Ok, String::new()) };
        run.take_probes(Probed { exchanges, ..Probed::default() }, None);
        run.outcome.round_trip
    }

    #[test]
    fn late_probes_are_no_delays_but_are_bounded_from_when_they_were_due() {
        let seen = round_trip(vec![
            probe(0, 0, true),
            probe(10, 6, true),
            probe(20, 21, true),
            probe(30, 0, false),
        ]);
        assert_eq!((seen.delays.measured(), seen.delays.infinite()), (1, 1));
        assert_eq!((seen.late_probes, seen.late_delay_max_ns), (2, Some(30 * MS)));
    }

    /// Jitter is over packets that arrived (Y.1540).
    #[test]
    fn a_lost_probe_has_no_delay_variation() {
        let trial = Trial::new(None, Span::from_secs(1)).expect("a trial");
        let mut run = TrialRun { trial, outcome: Outcome::nothing(Status::Ok, String::new()) };
        let mut losses = LossBursts::default();
        losses.on_lost(2);
        losses.close();
        let came = ReceiverCounts { received: 1, losses, ..ReceiverCounts::default() };
        let reflected = ReflectorCounts { probes: came.clone(), ..ReflectorCounts::default() };
        let exchanges = vec![probe(0, 0, true), probe(10, 0, false), probe(20, 0, false)];
        run.take_probes(Probed { exchanges, replies: came, ..Probed::default() }, Some(reflected));
        for direction in Direction::ALL {
            let variation = &run.outcome.one_way(direction).probes.variation;
            assert_eq!((variation.measured(), variation.infinite()), (1, 0), "{direction}");
        }
        assert_eq!(run.outcome.round_trip.delays.infinite(), 2);
    }

    #[test]
    fn a_late_probe_that_is_not_answered_is_not_bounded() {
        let seen = round_trip(vec![probe(0, 6, true), probe(10, 6, false)]);
        assert_eq!((seen.late_probes, seen.late_delay_max_ns), (2, None));
        assert_eq!(round_trip(vec![probe(0, 0, true)]).late_delay_max_ns, None, "none was late");
    }
}
