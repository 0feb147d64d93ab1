//! Outage: the longest time without an arrival while packets left the sender.
//!
//! How long it was is known to within the packets around it. It passes by its longest: the time
//! between the arrivals, or the departures, of the packets around it, without the sender's own gap.
//! It fails by its shortest: from the departure of the first lost packet to that of the last.
//!
//! Where one direction dies, the other falls silent too, as nothing is answered and load is paused
//! that nobody confirms. What nobody sent shows no outage: the other direction is not known then,
//! and it is said so.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::criteria::{Measured, account_missing};
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::loss::unresolved_for;
use super::percentile::NOT_COVERED;
use crate::account::{OneWayCounts, SILENCE_MIN, Silence};
use crate::direction::Direction;
use crate::flow::{RESUMED_MAX, SILENCE, TrialRun, silence_of};
use crate::trial::Trial;
use crate::units::{BitRate, Span};

/// Packet intervals in which nothing arrives are an outage from so many on.
const INTERVALS_MIN: u64 = 3;

/// A bound of fewer packet intervals cannot be judged.
const OUTAGE_INTERVALS: u64 = 6;

static ABOUT: About = About {
    name: "outage",
    title: "longest outage",
    unit: Unit::Seconds,
    kind: Kind::MostTime,
    reach: Reach::EachDirection,
    what: "The longest time without an arrival while packets were sent",
    asks: "Longest interval without a packet arriving",
    example: "<= 1 s",
    sample: Sample::Required,
    source: "Y.1540, service availability; RFC 3357, loss periods",
    answered_by: Traffic::Probes,
    made_of: &[Basis::Arrivals],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &Silent;

struct Silent;

impl Definition for Silent {
    /// A queue that TCP fills delays and drops; it does not fall silent.
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        criterion.criteria.is_at_ease(trial) || trial.tcp().is_some()
    }

    /// Packets too far apart show that a link was dead for longer, never that it was not.
    fn can_pass(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        let asked = criterion.direction.zip(criterion.limit().time());
        asked.is_some_and(|(direction, most)| can_resolve(trial, direction, most))
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        let (direction, most) = (criterion.direction?, criterion.limit().time()?);
        longest_outage(run, run.outcome.one_way(direction), direction, most)
    }

    fn silence_min(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<Span> {
        let (direction, most) = (criterion.direction?, criterion.limit().time()?);
        can_resolve(trial, direction, most).then(|| threshold(trial, direction, most))
    }

    fn takes(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<Need> {
        None
    }

    /// Packets of none of them are close enough to each other.
    fn refusal(&self, criterion: &Criterion<'_>, trials: &[Trial], _: BitRate) -> Option<String> {
        let (direction, most) = (criterion.direction?, criterion.limit().time()?);
        let speaks = |trial: &&Trial| criterion.covers(trial) && self.speaks(criterion, trial);
        let intervals = trials.iter().filter(speaks).map(|trial| packet_interval(trial, direction));
        let interval = intervals.min()?;
        let least = Span::from_nanos(interval.nanos().saturating_mul(OUTAGE_INTERVALS));
        (most < least).then(|| {
            format!(
                "{METRIC} {direction} of {most}: packets leave {interval} apart at best, and \
                 {OUTAGE_INTERVALS} intervals must fit into the bound. That takes {} packets/s: \
                 load the link at that rate or a higher one, or allow an outage of {least}",
                packets_needed(most)
            )
        })
    }

    fn prospect(&self, criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect {
        let longest = trials.iter().map(|trial| trial.duration()).max().unwrap_or_default();
        let is_too_short = criterion.limit().time().is_some_and(|most| longest <= most);
        let chance = match is_too_short {
            true => Chance::Partly("no trial is long enough to fail it".to_owned()),
            false => Chance::Provable,
        };
        Prospect { needs: "a trial that takes longer than that; counted".to_owned(), chance }
    }

    fn unjudged(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> String {
        let most = criterion.limit().time().unwrap_or_default();
        format!(
            "no test{} sends {OUTAGE_INTERVALS} packets within {most}, idle or with UDP up to \
             the committed rate: that takes {} packets/s",
            criterion.named(),
            packets_needed(most)
        )
    }

    fn unmeasured(&self) -> &'static str {
        NOT_COVERED
    }
}

/// Packets per second that judge an outage by `most`.
fn packets_needed(most: Span) -> u64 {
    Span::from_secs(OUTAGE_INTERVALS).nanos().div_ceil(most.nanos().max(1))
}

/// `None` where the packets of the trial are too far apart to say anything about `most`.
fn longest_outage(
    run: &TrialRun,
    one_way: &OneWayCounts,
    direction: Direction,
    most: Span,
) -> Option<Measured> {
    let least = threshold(&run.trial, direction, most);
    if one_way.receiver.is_none() && one_way.tcp_receiver.is_none() {
        return Some(unanswered(run, one_way, (least, most)));
    }
    let seen = Seen::of(one_way, least);
    let fails = most < seen.shortest;
    if !fails && !can_resolve(&run.trial, direction, most) {
        return None;
    }
    if !fails && least < run.trial.silence_min() {
        let kept = run.trial.silence_min();
        let why = format!("gaps below {kept} between arrivals were not recorded in this trial");
        return Some(Measured::Missing(why));
    }
    let was_silent = seen.longest <= most && most < seen.unsent;
    let meets = match (fails, seen.longest <= most) {
        (true, _) => Some(false),
        (false, true) if !was_silent => Some(true),
        _ => None,
    };
    let no_sender = one_way.sender.is_none() && one_way.tcp_sender.is_none();
    let (meets, counts) = match no_sender && most < seen.longest {
        // A load that is paused goes on with signals: nothing at all came.
        true if loads(run, direction) => (
            meets,
            seen.counts(least, meets)
                + "; the sender's counts are missing, and no heartbeat arrived",
        ),
        true => (None, seen.unknown(direction)),
        false if was_silent => (meets, seen.unsent(run, direction)),
        false => (meets, seen.counts(least, meets)),
    };
    let value = seen.longest.as_secs();
    // At best, nothing left the sender's host while it did not know its next hop.
    let is_own = seen.shortest.minus(unresolved_for(run, direction)) <= most;
    let meets_at_best = if is_own { meets.filter(|meets| *meets) } else { meets };
    Some(Measured::Counted { value, meets, meets_at_best, proven: None, counts })
}

/// What was seen of outages in one direction of a trial.
struct Seen {
    count: usize,
    /// The longest that any of them can have been.
    longest: Span,
    /// The longest that one of them was for sure.
    shortest: Span,
    /// The longest time without an arrival, whether or not anything was sent.
    unsent: Span,
}

impl Seen {
    fn of(one_way: &OneWayCounts, least: Span) -> Self {
        let outages = || one_way.silences.outages(least);
        let silences = one_way.silences.as_slice().iter();
        // Packets leave late by so much at most: a lost one may have left later than was due.
        let lateness_ns = one_way.sender.as_ref().and_then(|sender| sender.lateness.max_ns());
        let late = Span::from_nanos(lateness_ns.unwrap_or(0));
        Self {
            count: outages().count(),
            longest: outages().map(Silence::longest).max().unwrap_or_default(),
            shortest: outages().map(Silence::shortest).max().unwrap_or_default().minus(late),
            unsent: silences.map(Silence::span).max().unwrap_or_default(),
        }
    }

    /// Where nothing was sent, and so nothing seen.
    fn unsent(&self, run: &TrialRun, direction: Direction) -> String {
        let (silent, other) = (self.unsent.as_secs(), direction.opposite());
        match was_silent(run, other) || is_alone_alive(run, direction) {
            true => format!(
                "the load was paused for {silent:.3} s while {} was down, and no outage can be \
                 seen in a pause. Test {} alone",
                other.way(),
                direction.way()
            ),
            false => format!(
                "nothing was sent for {silent:.3} s, and no outage can be seen in a pause. Run \
                 again"
            ),
        }
    }

    /// Where nothing came, and nobody says whether anything was sent.
    fn unknown(&self, direction: Direction) -> String {
        let (silent, other) = (self.longest.as_secs(), direction.opposite());
        format!(
            "nothing arrived for {silent:.3} s, and the sender's counts are missing: {} was down, \
             or only {}. Run again when both ends can be reached",
            direction.way(),
            other.way()
        )
    }

    fn counts(&self, least: Span, meets: Option<bool>) -> String {
        let Self { count, longest, shortest, .. } = self;
        let counts = match count {
            0 => format!("no gap of {least} or more between arrivals"),
            1 => "one outage".to_owned(),
            count => format!("the longest of {count} outages"),
        };
        match meets {
            None => format!(
                "{counts}: between {:.4} s and {:.4} s",
                shortest.as_secs(),
                longest.as_secs()
            ),
            Some(_) => counts,
        }
    }
}

/// Without the far end's account, the time in which no probe was answered still proves that the
/// line was dead, in one direction or the other: that fails, here where the probes left, as a dead
/// line is never less. Where there was load in reverse, its sender's heartbeats show in which.
fn unanswered(run: &TrialRun, one_way: &OneWayCounts, (least, most): (Span, Span)) -> Measured {
    let replies = run.outcome.reverse.silences.as_slice().iter();
    let longest = replies.filter(|gap| least <= gap.longest()).max_by_key(|gap| gap.shortest());
    let Some(longest) = longest.filter(|gap| most < gap.shortest()) else {
        return account_missing(run, one_way);
    };
    let counts = match (loads(run, Direction::Reverse), longest.offered) {
        (true, true) => {
            "no probe was answered in that time, and no heartbeat arrived: B->A was down; without \
             the agent's counts it is not known whether A->B was too"
        }
        (true, false) => "no probe was answered in that time, while the agent's heartbeats arrived",
        (false, _) => {
            "no probe was answered in that time; the agent's counts are missing, so it is not \
             known in which direction the link was down"
        }
    };
    let meets = Some(false);
    let (value, counts) = (longest.shortest().as_secs(), counts.to_owned());
    Measured::Counted { value, meets, meets_at_best: meets, proven: None, counts }
}

/// Whether `run` was to load `direction` by UDP.
fn loads(run: &TrialRun, direction: Direction) -> bool {
    run.trial.load().is_some_and(|load| load.rate(direction).is_some())
}

/// Whether `direction` was alive by its sender's signals, while nothing that left against it was
/// answered: without the far end's account, that alone shows that the other direction was dead.
fn is_alone_alive(run: &TrialRun, direction: Direction) -> bool {
    let has_account = run.outcome.one_way(direction.opposite()).receiver.is_some();
    // What no packet ended, and is not the link's: the signals went on.
    let is_paused = |gap: &Silence| !gap.offered && gap.departure_gap_ns.is_none();
    let mut silences = run.outcome.one_way(direction).silences.as_slice().iter();
    loads(run, direction) && !has_account && silences.any(is_paused)
}

/// The time between two packets of `trial` in `direction`: of its load or its probes, whichever are
/// closer.
fn packet_interval(trial: &Trial, direction: Direction) -> Span {
    let probes = trial.probe_rate();
    let load = trial.load().and_then(|load| load.rate(direction));
    load.map_or(probes, |load| load.max(probes)).due(1)
}

/// Whether packets in `direction` are close enough to each other to judge an outage by `most`.
fn can_resolve(trial: &Trial, direction: Direction, most: Span) -> bool {
    intervals(trial, direction, OUTAGE_INTERVALS) <= most
}

fn intervals(trial: &Trial, direction: Direction, count: u64) -> Span {
    let nanos = packet_interval(trial, direction).nanos().saturating_mul(count);
    Span::from_nanos(nanos)
}

/// The shortest time without an arrival that is an outage where none may last longer than `most`:
/// three packet intervals, and 50 ms at least; half the bound where that is below 50 ms.
fn threshold(trial: &Trial, direction: Direction, most: Span) -> Span {
    let least = match most < SILENCE_MIN {
        true => Span::from_nanos(most.nanos() / 2),
        false => SILENCE_MIN,
    };
    intervals(trial, direction, INTERVALS_MIN).max(least)
}

/// The shortest time without an arrival that is shown as an outage of `direction`: three packet
/// intervals, and what the trial recorded.
#[must_use]
pub fn outage_min(trial: &Trial, direction: Direction) -> Span {
    intervals(trial, direction, INTERVALS_MIN).max(trial.silence_min())
}

/// What is said of a load that was paused for so many packets.
pub(super) fn pause_text(run: &TrialRun, direction: Direction, packets: u64) -> String {
    let other = direction.opposite();
    let text = format!("; {packets} packets were not sent, as the far end stopped answering");
    match !was_silent(run, direction) && was_silent(run, other) {
        true => {
            let (way, other) = (direction.way(), other.way());
            text + &format!(": what {way} carries is unknown while {other} was down")
        }
        false => text,
    }
}

/// Whether `direction` itself was silent for so long that its load was paused.
pub(super) fn was_silent(run: &TrialRun, direction: Direction) -> bool {
    pausing(run, direction).next().is_some()
}

/// For how long at most the load of `direction` was paused because it was dead itself: from a
/// silence behind its death until it was heard again.
pub(super) fn own_pause(run: &TrialRun, direction: Direction) -> Span {
    let paused = |gap: &Silence| gap.span().minus(SILENCE).plus(RESUMED_MAX);
    pausing(run, direction).map(paused).fold(Span::default(), Span::plus)
}

/// For how long at least it was: a silence before a pause is as long as the heartbeats, the round
/// trip of the idle link and all that it rose by.
pub(super) fn own_pause_least(run: &TrialRun, direction: Direction) -> Span {
    let longest = run.outcome.round_trip.delays.max_ns().map_or(Span::default(), Span::from_nanos);
    let before = silence_of(&run.trial).plus(longest);
    let paused = |gap: &Silence| gap.span().minus(before);
    pausing(run, direction).map(paused).fold(Span::default(), Span::plus)
}

/// What this driver itself saw of the pauses of a load whose direction was alive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    /// How long they were at most.
    pub(super) time: Span,
    /// How many they were at least; 0 where it is not known.
    pub(super) count: u64,
}

impl Pauses {
    /// Those of the load in `direction`. What this host sent it counted itself. Of what the agent
    /// sent, a pause shows here as a time in which neither load nor answer came: whatever the agent
    /// says of it, anything else was not paused.
    pub(super) fn seen(run: &TrialRun, direction: Direction) -> Self {
        let one_way = run.outcome.one_way(direction);
        if direction == Direction::Forward {
            let rate = run.trial.load().and_then(|load| load.rate(direction));
            let paused = one_way.sender.as_ref().map_or(0, |sent| sent.paused);
            return Self { time: rate.map_or(Span::default(), |rate| rate.due(paused)), count: 0 };
        }
        let all = Self::of(one_way.silences.as_slice().iter());
        let own = Self::of(pausing(run, direction));
        Self { time: all.time.minus(own.time), count: all.count.saturating_sub(own.count) }
    }

    fn of<'a>(silences: impl Iterator<Item = &'a Silence>) -> Self {
        let add = |Self { time, count }: Self, gap: &Silence| Self {
            time: time.plus(gap.span()),
            count: count + 1,
        };
        silences.fold(Self::default(), add)
    }
}

/// The outages of `direction` that paused its load.
fn pausing(run: &TrialRun, direction: Direction) -> impl Iterator<Item = &Silence> {
    let silences = &run.outcome.one_way(direction).silences;
    let outages = silences.outages(outage_min(&run.trial, direction));
    outages.filter(|gap| SILENCE <= gap.span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::direction::{Direction, PerDirection};
    use crate::metric::Measured;
    use crate::metric::tests::{check, gaps, measured, outage, outcome};
    use crate::stats::delays::Delays;
    use crate::trial::{Load, LoadKind};

    #[test]
    fn an_outage_is_judged_where_something_was_sent() {
        let outage = outage(Span::from_secs(1));
        let with = |gaps| outcome(|run: &mut TrialRun| run.outcome.forward.silences = gaps);
        check(outage, &with(gaps(0, 1_000, true)), Some(true));
        check(outage, &with(gaps(0, 1_001, true)), Some(false));
        check(outage, &with(gaps(0, 1_001, false)), None);
    }

    #[test]
    fn silence_without_the_senders_account_is_reported_as_such() {
        let outage = outage(Span::from_secs(1));
        let counts_of = |sent: bool| {
            let outcome = outcome(|run| {
                run.outcome.forward.silences = gaps(0, 2_000, true);
                if !sent {
                    run.outcome.forward.sender = None;
                }
            });
            match measured(outage, &outcome) {
                Some(Measured::Counted { meets: Some(false), counts, .. }) => counts,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(counts_of(true), "one outage");
        assert!(counts_of(false).contains("the sender's counts are missing"));
    }

    #[test]
    fn unanswered_probes_prove_an_outage_without_the_agents_account() {
        let outage = outage(Span::from_secs(1));
        let dead = outcome(|run| {
            run.outcome.status = Status::Partial;
            run.outcome.forward.receiver = None;
            run.outcome.reverse.silences = gaps(2_000, 10_000, true);
        });
        check(outage, &dead, Some(false));
        let brief = outcome(|run| run.outcome.forward.receiver = None);
        let measured = measured(outage, &brief);
        assert!(matches!(measured, Some(Measured::Missing(_))), "{measured:?}");
    }
    const MS: u64 = 1_000_000;

    /// An outage forward that was between `shortest` and `longest` ms long; 824 packets/s.
    fn dead(longest: u64, shortest: u64, change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        outcome(|run| {
            run.trial = run.trial.with_silence_min(Span::from_millis(10));
            let silence = Silence {
                end_ns: longest * MS,
                packets: 3,
                offered: true,
                lost_span_ns: Some(shortest * MS),
                ..Silence::default()
            };
            run.outcome.forward.silences =
                crate::account::Silences::from_vec(vec![silence]).expect("one");
            change(run);
        })
    }

    /// The field case: 20 ms were allowed, and the link was dead for 45 ms.
    #[test]
    fn an_outage_shorter_than_50_ms_fails_a_bound_below_it() {
        let most = |ms| outage(Span::from_millis(ms));
        check(most(20), &dead(47, 43, |_| {}), Some(false));
        check(most(43), &dead(47, 43, |_| {}), None);
        check(most(46), &dead(47, 43, |_| {}), None);
        check(most(47), &dead(47, 43, |_| {}), Some(true));
    }

    /// 10 000 packets/s forward, and in reverse a load of 10/s beside 20 probes/s.
    #[test]
    fn each_direction_shows_outages_by_its_own_packets() {
        let rate = crate::units::PacketRate::new;
        let rates = PerDirection { forward: rate(10_000), reverse: rate(10) };
        let load = Load::with_rates(rates, 1, 100, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
        let trial = trial.with_probe_rate(rate(20).expect("above zero")).expect("a trial");
        let least = Direction::ALL.map(|direction| outage_min(&trial, direction));
        assert_eq!(least, [Span::from_millis(50), Span::from_millis(150)]);
    }

    #[test]
    fn a_bound_of_fewer_than_six_intervals_is_not_judged_but_failed() {
        let most = |ms: u64| outage(Span::from_millis(ms));
        // Six intervals of 824 packets/s are 7.28 ms.
        let brief = dead(4, 3, |_| {});
        assert_eq!(measured(most(7), &brief), None);
        check(most(7), &dead(12, 10, |_| {}), Some(false));
    }

    #[test]
    fn a_trial_that_recorded_no_short_times_says_nothing_of_short_outages() {
        let most = outage(Span::from_millis(20));
        let measured = measured(most, &outcome(|_| {}));
        let Some(Measured::Missing(why)) = measured else { panic!("{measured:?}") };
        assert!(why.contains("gaps below 50 ms"), "{why}");
    }

    #[test]
    fn packets_that_may_have_left_late_prove_so_much_less() {
        let late = |run: &mut TrialRun| {
            let mut lateness = Delays::default();
            lateness.record(4 * MS);
            run.outcome.forward.sender.as_mut().expect("it has one").lateness = lateness;
        };
        let most = |ms| outage(Span::from_millis(ms));
        check(most(38), &dead(47, 43, late), Some(false));
        check(most(40), &dead(47, 43, late), None);
    }
}
