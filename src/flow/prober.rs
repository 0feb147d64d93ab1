//! The driver's end of the probes: open loop, so that a slow reply never delays the next probe.

use super::{LATE_MAX, Next, Stream, TRAIL_MAX, TRAIL_MIN, linger};
use crate::account::{FollowUp, SenderCounts};
use crate::clock::{Agent, Driver, Stamp};
use crate::pace::Schedule;
use crate::units::Span;
use crate::wire::probe::{Probe, Reply};
use std::collections::VecDeque;

/// Replies that a follow-up is looked for among: those of the last 5 s and their copies.
const FOLLOWED_MAX: usize = 1_024;

/// Follow-ups that wait for their reply: of 2 s, each sent twice, so that a reply that comes at all
/// finds its own.
const EARLY_MAX: usize = 512;

/// What became of one probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// When it was to leave.
    pub due: Stamp<Driver>,
    /// T1: it left.
    pub sent: Stamp<Driver>,
    /// Whether T1 is the kernel's stamp; else the program read the clock before it sent.
    pub sent_by_kernel: bool,
    /// It left later than half its gap: no delay is read from it.
    pub late: bool,
    /// The first reply to it.
    pub reply: Option<Returned>,
}

/// The rest of an exchange that came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Returned {
    /// The reply's own number.
    pub sequence: u32,
    /// T2: it reached the agent.
    pub seen: Stamp<Agent>,
    /// Whether T2 is the kernel's stamp; else the program read the clock once it was woken up.
    pub seen_by_kernel: bool,
    /// T3: the reply left.
    pub answered: Stamp<Agent>,
    /// Whether T3 is the kernel's stamp, from a follow-up.
    pub answered_by_kernel: bool,
    /// T4: the reply came.
    pub back: Stamp<Driver>,
    /// Whether T4 is the kernel's stamp.
    pub back_by_kernel: bool,
}

impl Returned {
    fn on_followed(&mut self, stamp: &FollowUp) {
        let sent = Stamp::from_nanos(stamp.sent_ns);
        // The program read the clock before it sent: a kernel's stamp of before is not of this.
        if self.answered <= sent {
            (self.answered, self.answered_by_kernel) = (sent, true);
        }
    }

    /// The round trip of a probe that left at `sent`, without the time that the agent kept it.
    #[must_use]
    pub fn round_trip_ns(&self, sent: Stamp<Driver>) -> u64 {
        let there_and_back = self.back.nanos_since(sent);
        there_and_back.saturating_sub(self.answered.nanos_since(self.seen))
    }
}

/// All probes of a trial, in the order in which they left.
pub type Exchanges = Vec<Exchange>;

/// The agent reports when the reply of a number left: T3 of the exchange that has it becomes the
/// kernel's. False where none has it: the reply was lost, is a copy's, or has not come yet.
pub(super) fn follow_up(exchanges: &mut [Exchange], stamp: &FollowUp) -> bool {
    let newest = exchanges.iter_mut().rev().take(FOLLOWED_MAX);
    let mut replies = newest.filter_map(|exchange| exchange.reply.as_mut());
    let reply = replies.find(|reply| reply.sequence == stamp.sequence);
    reply.map(|reply| reply.on_followed(stamp)).is_some()
}

/// The driver's end of the probes.
///
/// The law of its use is [`super::Sender`]'s.
#[derive(Debug)]
pub struct Prober {
    stream: Stream,
    schedule: Schedule<Driver>,
    slot: u64,
    exchanges: Exchanges,
    refused: u64,
    last_due_ns: u64,
    answered: u64,
    /// The newest probe that has been answered.
    newest: Option<u32>,
    /// When the newest reply left, on the agent's clock; 0 where none has come.
    newest_reply_ns: u64,
    last_reply: Option<Stamp<Driver>>,
    /// Follow-ups whose replies have not come: later ones overtook them, or they are lost.
    early: VecDeque<FollowUp>,
    closes_at: Stamp<Driver>,
    round_trip_min_ns: Option<u64>,
    /// How far round trips rose above the least by the load's end.
    rise_ns: u64,
}

/// Probes that left so long before the end of a load show the queue that it leaves.
const RISE_SPAN_NS: u64 = 1_000_000_000;

impl Prober {
    /// Probes of `stream`, the first of them due at `start`.
    #[must_use]
    pub fn new(stream: Stream, start: Stamp<Driver>) -> Self {
        let schedule = Schedule::new(start, stream.rate, stream.slots);
        let closes_at = schedule.end().after_nanos(LATE_MAX.nanos());
        Self {
            stream,
            schedule,
            slot: 0,
            exchanges: Vec::new(),
            refused: 0,
            last_due_ns: 0,
            answered: 0,
            newest: None,
            newest_reply_ns: 0,
            last_reply: None,
            early: VecDeque::with_capacity(EARLY_MAX),
            closes_at,
            round_trip_min_ns: None,
            rise_ns: 0,
        }
    }

    /// What to do at `now`; [`Next::Done`] when no further reply can count.
    pub fn poll(&mut self, now: Stamp<Driver>) -> Next<Driver, Probe> {
        if self.slot == self.schedule.slots() || self.has_trailed() {
            let lingers = self.lingers_until().unwrap_or(self.closes_at);
            let no_reply = self.schedule.due(self.slot).after_nanos(LATE_MAX.nanos());
            let over = lingers.min(self.closes_at).min(no_reply);
            return if over <= now { Next::Done } else { Next::Wait(over) };
        }
        let due = self.schedule.due(self.slot);
        if now < due {
            return Next::Wait(due);
        }
        // The stream's slots fit: the longest trial has 60 000 probes.
        let sequence = u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX);
        let (newest_reply_ns, token) = (self.newest_reply_ns, self.stream.token);
        Next::Send(Probe { sequence, sent_ns: now.nanos(), newest_reply_ns, token })
    }

    /// Until when it listens behind the last probe: for copies, and for the reply to the newest
    /// probe that has none. `None` where nothing came back.
    fn lingers_until(&self) -> Option<Stamp<Driver>> {
        let newest = Span::from_nanos(self.newest_round_trip_ns().unwrap_or(0));
        let linger = linger(newest.max(self.stream.life.round_trip));
        let copies = self.last_reply?.after_nanos(linger.nanos());
        let open = self.exchanges.iter().rfind(|exchange| exchange.reply.is_none());
        let reply = open.map(|exchange| exchange.due.after_nanos(LATE_MAX.nanos()));
        Some(reply.map_or(copies, |reply| reply.max(copies)))
    }

    /// The kernel accepted the probe polled at `now`.
    pub fn on_sent(&mut self, now: Stamp<Driver>) {
        let due = self.schedule.due(self.slot);
        let late = self.late_max_ns() < now.nanos_since(due);
        let (sent, sent_by_kernel, reply) = (now, false, None);
        self.exchanges.push(Exchange { due, sent, sent_by_kernel, late, reply });
        self.last_due_ns = self.schedule.due_after_start(self.slot).nanos();
        self.slot += 1;
    }

    /// The kernel reports when the probe of this number left, behind [`Self::on_sent`].
    pub fn on_left(&mut self, sequence: u32, at: Stamp<Driver>) {
        let late_max_ns = self.late_max_ns();
        let Some(exchange) = self.exchanges.get_mut(sequence as usize) else { return };
        // A thread that the scheduler stopped between the two had it leave later than it thought.
        exchange.late |= late_max_ns < at.nanos_since(exchange.due);
        (exchange.sent, exchange.sent_by_kernel) = (at, true);
    }

    /// Whether probes have gone on behind the load for long enough: twice the time that its queue
    /// takes to drain, as far as the round trips show it, and one of them was due in the second
    /// half of that.
    fn has_trailed(&self) -> bool {
        let trail_ns = self.rise_ns.saturating_mul(2).clamp(TRAIL_MIN.nanos(), TRAIL_MAX.nanos());
        let after = |ns: u64| self.stream.steady.trial_ns().saturating_add(ns);
        let is_drained = after(trail_ns / 2) <= self.last_due_ns;
        is_drained && after(trail_ns) <= self.schedule.due_after_start(self.slot).nanos()
    }

    fn note_rise(&mut self, sent: Stamp<Driver>, round_trip_ns: u64) {
        let least = self.round_trip_min_ns.get_or_insert(round_trip_ns);
        *least = round_trip_ns.min(*least);
        let rise_ns = round_trip_ns - *least;
        let after_ns = sent.nanos_since(self.schedule.due(0)).saturating_add(RISE_SPAN_NS);
        if self.stream.steady.trial_ns() <= after_ns {
            self.rise_ns = self.rise_ns.max(rise_ns);
        }
    }

    /// Half a gap.
    fn late_max_ns(&self) -> u64 {
        self.stream.rate.due(1).nanos() / 2
    }

    /// This host's stack refused the probe: its slot is gone.
    pub const fn on_refused(&mut self) {
        self.refused += 1;
        self.slot += 1;
    }

    /// No probe leaves any more; replies under way still count.
    pub fn stop(&mut self, now: Stamp<Driver>) {
        self.slot = self.schedule.slots();
        self.closes_at = self.closes_at.min(now.after_nanos(LATE_MAX.nanos()));
    }

    /// `reply` came at `back`, by the kernel's stamp or not; whether it is the first to its probe.
    pub fn on_reply(&mut self, back: Stamp<Driver>, by_kernel: bool, reply: &Reply) -> bool {
        self.last_reply = Some(back);
        self.newest_reply_ns = self.newest_reply_ns.max(reply.sent_ns);
        for stamp in reply.follow_ups.iter().flatten() {
            if follow_up(&mut self.exchanges, stamp) {
                continue;
            }
            if self.early.len() == EARLY_MAX {
                self.early.pop_front();
            }
            self.early.push_back(*stamp);
        }
        let stamp = self.early.iter().find(|stamp| stamp.sequence == reply.sequence);
        let exchange = self.exchanges.get_mut(reply.probe_sequence as usize);
        match exchange {
            Some(exchange) if exchange.reply.is_none() => {
                let returned = exchange.reply.insert(Returned {
                    sequence: reply.sequence,
                    seen: Stamp::from_nanos(reply.received_ns),
                    seen_by_kernel: reply.received_by_kernel,
                    answered: Stamp::from_nanos(reply.sent_ns),
                    answered_by_kernel: false,
                    back,
                    back_by_kernel: by_kernel,
                });
                if let Some(stamp) = stamp {
                    returned.on_followed(stamp);
                }
                let (sent, round_trip_ns) = (exchange.sent, returned.round_trip_ns(exchange.sent));
                self.answered += 1;
                self.newest = self.newest.max(Some(reply.probe_sequence));
                self.note_rise(sent, round_trip_ns);
                true
            }
            _ => false,
        }
    }

    /// What is known of the probe of this number; `None` where it has not left.
    #[must_use]
    pub fn exchange(&self, sequence: u32) -> Option<&Exchange> {
        self.exchanges.get(sequence as usize)
    }

    /// When the newest reply came.
    #[must_use]
    pub const fn last_reply(&self) -> Option<Stamp<Driver>> {
        self.last_reply
    }

    /// When the newest probe left that has been answered: as of then the agent was alive, and both
    /// ways worked.
    #[must_use]
    pub fn alive_at(&self) -> Option<Stamp<Driver>> {
        self.exchanges.get(self.newest? as usize).map(|newest| newest.sent)
    }

    /// The round trip of the newest probe that has been answered, in nanoseconds.
    #[must_use]
    pub fn newest_round_trip_ns(&self) -> Option<u64> {
        let newest = self.exchanges.get(self.newest? as usize)?;
        newest.reply.map(|reply| reply.round_trip_ns(newest.sent))
    }

    /// Probes that left, and of them those that were answered.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.exchanges.len() as u64, self.answered)
    }

    /// The account of the probes that left, as the reflector needs it to close its own.
    #[must_use]
    pub fn counts(&self) -> SenderCounts {
        let (sent, refused) = (self.exchanges.len() as u64, self.refused);
        SenderCounts { sent, refused, last_due_ns: self.last_due_ns, ..SenderCounts::default() }
    }

    /// When the last probe that left was due: behind it nothing is answered.
    #[must_use]
    pub fn offered_until(&self) -> Stamp<Driver> {
        self.schedule.due(0).after_nanos(self.last_due_ns)
    }

    /// The agent is gone since `gone`: what it was sent from then on says nothing about the line.
    pub fn forget_unanswered_from(&mut self, gone: Stamp<Driver>) {
        self.exchanges.retain(|exchange| exchange.reply.is_some() || exchange.sent < gone);
    }

    /// Probes that this host's stack refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What became of each probe.
    #[must_use]
    pub fn into_exchanges(self) -> Exchanges {
        self.exchanges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::streams_of;
    use crate::trial::Trial;

    const MS: u64 = 1_000_000;

    fn prober() -> Prober {
        let trial = Trial::new(None, Span::from_secs(1)).expect("a trial");
        Prober::new(streams_of(&trial)[0], Stamp::from_nanos(0))
    }

    /// A later answer to an earlier probe proves no more than the newest that came.
    #[test]
    fn a_probe_says_which_reply_was_the_newest() {
        let mut prober = prober();
        let probe = |prober: &mut Prober, ms: u64| {
            let now = Stamp::from_nanos(ms * MS);
            let Next::Send(probe) = prober.poll(now) else { panic!("no probe at {ms} ms") };
            prober.on_sent(now);
            probe
        };
        assert_eq!((probe(&mut prober, 0).newest_reply_ns, prober.alive_at()), (0, None));
        probe(&mut prober, 10);
        let answer = reply(1, 10 * MS);
        prober.on_reply(Stamp::from_nanos(15 * MS), true, &answer);
        let late = Reply { sent_ns: answer.sent_ns - MS, ..reply(0, 0) };
        prober.on_reply(Stamp::from_nanos(16 * MS), true, &late);
        assert_eq!(prober.alive_at(), Some(Stamp::from_nanos(10 * MS)));
        assert_eq!(probe(&mut prober, 20).newest_reply_ns, answer.sent_ns);
    }

    fn reply(probe_sequence: u32, sent_ns: u64) -> Reply {
        let received_ns = 5_000 * MS;
        Reply {
            sequence: 0,
            sent_ns: received_ns + 3 * MS,
            received_ns,
            received_by_kernel: true,
            probe_sequence,
            probe_sent_ns: sent_ns,
            follow_ups: [None, None],
            by_card: false,
            answers_copy: false,
            token: crate::wire::Token(0),
        }
    }

    #[test]
    fn the_agents_own_time_is_no_part_of_the_round_trip() {
        let mut prober = prober();
        let now = Stamp::from_nanos(0);
        assert!(matches!(prober.poll(now), Next::Send(Probe { sequence: 0, .. })));
        prober.on_sent(now);
        assert!(prober.on_reply(Stamp::from_nanos(10 * MS), true, &reply(0, 0)));
        assert!(!prober.on_reply(Stamp::from_nanos(11 * MS), true, &reply(0, 0)), "a copy");
        assert!(!prober.on_reply(Stamp::from_nanos(11 * MS), true, &reply(9, 0)), "never sent");
        assert_eq!(prober.newest_round_trip_ns(), Some(7 * MS));
    }

    /// T1 0 and 0.2 ms, T2 5 s, T3 5.003 s and 5.0035 s, T4 10 ms: 9.8 ms less 3.5 ms.
    #[test]
    fn the_kernels_stamps_take_the_programs_place() {
        let mut prober = prober();
        prober.on_sent(Stamp::from_nanos(0));
        prober.on_sent(Stamp::from_nanos(10 * MS));
        prober.on_left(0, Stamp::from_nanos(MS / 5));
        prober.on_left(2, Stamp::from_nanos(MS));
        prober.on_reply(Stamp::from_nanos(10 * MS), true, &reply(0, 0));
        assert_eq!(prober.newest_round_trip_ns(), Some(9_800_000 - 3 * MS));
        let stamp = |sequence, sent_ns| Some(FollowUp { sequence, sent_ns });
        let follow_ups = [stamp(0, 5_003 * MS + MS / 2), stamp(9, 0)];
        let next = Reply { sequence: 1, follow_ups, ..reply(1, 10 * MS) };
        prober.on_reply(Stamp::from_nanos(20 * MS), false, &next);
        let exchanges = prober.into_exchanges();
        let [first, second] = exchanges.as_slice() else { panic!("{exchanges:?}") };
        let (one, two) = (first.reply.expect("a reply"), second.reply.expect("a reply"));
        assert_eq!(one.round_trip_ns(first.sent), 9_800_000 - 3_500_000);
        assert!(first.sent_by_kernel && one.answered_by_kernel && one.back_by_kernel);
        assert!(!second.sent_by_kernel && !two.answered_by_kernel && !two.back_by_kernel);
    }

    #[test]
    fn a_reply_that_its_follow_up_overtook_has_it_all_the_same() {
        let mut prober = prober();
        (0..3).for_each(|slot| prober.on_sent(Stamp::from_nanos(slot * 10 * MS)));
        let stamp = FollowUp { sequence: 0, sent_ns: 5_004 * MS };
        let next = Reply { sequence: 1, follow_ups: [Some(stamp), None], ..reply(1, 10 * MS) };
        prober.on_reply(Stamp::from_nanos(20 * MS), true, &next);
        prober.on_reply(Stamp::from_nanos(30 * MS), true, &reply(0, 0));
        let first = prober.into_exchanges()[0].reply.expect("a reply");
        assert_eq!((first.answered.nanos(), first.answered_by_kernel), (5_004 * MS, true));
    }

    #[test]
    fn a_follow_up_of_before_its_reply_changes_nothing() {
        let mut prober = prober();
        prober.on_sent(Stamp::from_nanos(0));
        prober.on_reply(Stamp::from_nanos(10 * MS), true, &reply(0, 0));
        let mut exchanges = prober.into_exchanges();
        follow_up(&mut exchanges, &FollowUp { sequence: 0, sent_ns: 5_003 * MS - 1 });
        assert!(exchanges[0].reply.is_some_and(|reply| !reply.answered_by_kernel));
        follow_up(&mut exchanges, &FollowUp { sequence: 0, sent_ns: 5_003 * MS });
        assert!(exchanges[0].reply.is_some_and(|reply| reply.answered_by_kernel));
    }

    #[test]
    fn a_probe_that_the_kernel_sent_half_a_gap_late_is_marked() {
        let mut prober = prober();
        (0..2).for_each(|slot| prober.on_sent(Stamp::from_nanos(slot * 10 * MS)));
        prober.on_left(0, Stamp::from_nanos(5 * MS));
        prober.on_left(1, Stamp::from_nanos(15 * MS + 1));
        let late: Vec<bool> = prober.into_exchanges().iter().map(|it| it.late).collect();
        assert_eq!(late, [false, true]);
    }

    #[test]
    fn probes_leave_on_schedule_whether_answered_or_not() {
        let mut prober = prober();
        let mut now = Stamp::from_nanos(0);
        loop {
            match prober.poll(now) {
                Next::Send(_) => prober.on_sent(now),
                Next::Wait(until) => now = until,
                Next::Done => break,
            }
        }
        assert_eq!(now, Stamp::from_nanos(3_000 * MS), "the last reply may take 2 s");
        assert_eq!(prober.so_far(), (100, 0));
        assert!(prober.into_exchanges().iter().all(|exchange| !exchange.late));
    }

    #[test]
    fn a_probe_that_left_half_a_gap_late_is_marked() {
        let mut prober = prober();
        prober.on_sent(Stamp::from_nanos(5 * MS));
        prober.on_sent(Stamp::from_nanos(15 * MS + 1));
        let late: Vec<bool> =
            prober.into_exchanges().iter().map(|exchange| exchange.late).collect();
        assert_eq!(late, [false, true]);
    }

    /// When the last probe was due of a trial of 2 s with load, whose round trips take
    /// `round_trip_ms` in its last second, and no time before.
    fn last_due_ms(per_second: u64, round_trip_ms: u64) -> u64 {
        let rate = crate::units::PacketRate::new(100).expect("a rate");
        let (both, kind) = (crate::direction::Directions::Both, crate::trial::LoadKind::FixedRate);
        let load = crate::trial::Load::new(both, 1, 100, rate, kind).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(2)).expect("a trial");
        let probes = crate::units::PacketRate::new(per_second).expect("a rate");
        let trial = trial.with_probe_rate(probes).expect("a rate of probes");
        let mut prober = Prober::new(streams_of(&trial)[0], Stamp::from_nanos(0));
        let mut now = Stamp::from_nanos(0);
        loop {
            match prober.poll(now) {
                Next::Send(probe) => {
                    prober.on_sent(now);
                    let took_ms = if now.nanos() < 1_000 * MS { 0 } else { round_trip_ms };
                    let back = now.after_nanos((took_ms + 3) * MS);
                    prober.on_reply(back, true, &reply(probe.sequence, now.nanos()));
                }
                Next::Wait(until) => now = until,
                Next::Done => break,
            }
        }
        prober.last_due_ns / MS
    }

    #[test]
    fn probes_go_on_behind_a_load_for_twice_the_time_of_its_queue() {
        assert_eq!(last_due_ms(100, 0), 2_990);
        assert_eq!(last_due_ms(100, 500), 2_990);
        assert_eq!(last_due_ms(100, 700), 3_390);
        assert_eq!(last_due_ms(100, 9_000), 5_990, "4 s at most");
    }

    #[test]
    fn a_probe_is_sent_once_the_queue_has_drained_however_few_they_are() {
        assert_eq!(last_due_ms(1, 0), 3_000);
        assert_eq!(last_due_ms(1, 700), 3_000);
        assert_eq!(last_due_ms(1, 1_200), 4_000);
        assert_eq!(last_due_ms(1, 9_000), 5_000, "there is none in the fourth second");
    }

    #[test]
    fn nothing_is_offered_behind_the_last_probe() {
        let mut prober = prober();
        prober.on_sent(Stamp::from_nanos(0));
        prober.on_sent(Stamp::from_nanos(11 * MS));
        prober.stop(Stamp::from_nanos(12 * MS));
        assert_eq!(prober.offered_until(), Stamp::from_nanos(10 * MS));
    }

    #[test]
    fn what_is_sent_to_an_agent_that_is_gone_is_forgotten() {
        let mut prober = prober();
        (0..4).for_each(|slot| prober.on_sent(Stamp::from_nanos(slot * 10 * MS)));
        prober.on_reply(Stamp::from_nanos(35 * MS), true, &reply(3, 30 * MS));
        prober.forget_unanswered_from(Stamp::from_nanos(20 * MS));
        let left: Vec<_> = prober.into_exchanges().iter().map(|it| it.sent.nanos() / MS).collect();
        assert_eq!(left, [0, 10, 30], "an answer proves that it was there");
    }

    #[test]
    fn a_stopped_prober_waits_only_for_what_is_under_way() {
        let mut prober = prober();
        prober.on_sent(Stamp::from_nanos(0));
        prober.stop(Stamp::from_nanos(MS));
        assert!(matches!(prober.poll(Stamp::from_nanos(MS)), Next::Wait(_)));
        prober.on_reply(Stamp::from_nanos(2 * MS), true, &reply(0, 0));
        assert_eq!(prober.poll(Stamp::from_nanos(51 * MS)), Next::Wait(Stamp::from_nanos(52 * MS)));
        assert_eq!(prober.poll(Stamp::from_nanos(52 * MS)), Next::Done);
    }

    /// When a prober of one second is over whose probes take `round_trip_ms`, but for that of slot
    /// `lost`.
    fn over_ms(round_trip_ms: u64, lost: Option<u64>) -> u64 {
        let mut prober = prober();
        let mut now = Stamp::from_nanos(0);
        let mut replies = VecDeque::new();
        loop {
            while let Some((back, sequence, sent_ns)) = replies.front().copied() {
                if now < back {
                    break;
                }
                replies.pop_front();
                prober.on_reply(back, true, &reply(sequence, sent_ns));
            }
            match prober.poll(now) {
                Next::Send(probe) => {
                    prober.on_sent(now);
                    if lost != Some(probe.sequence.into()) {
                        let back = now.after_nanos(round_trip_ms * MS);
                        replies.push_back((back, probe.sequence, now.nanos()));
                    }
                }
                Next::Wait(until) => {
                    now = replies.front().map_or(until, |(back, ..)| until.min(*back));
                }
                Next::Done => return now.nanos() / MS,
            }
        }
    }

    /// The last is due at 990 ms; the agent keeps each for 3 ms that are no part of the round
    /// trip.
    #[test]
    fn a_prober_whose_probes_are_all_back_waits_for_three_round_trips_and_50_ms_at_least() {
        assert_eq!(over_ms(4, None), 990 + 4 + 50);
        assert_eq!(over_ms(103, None), 990 + 103 + 300);
        assert_eq!(over_ms(4, Some(99)), 2_990, "the last reply may take 2 s");
        assert_eq!(over_ms(4, Some(0)), 2_000, "and so may the first");
    }
}
