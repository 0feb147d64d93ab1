//! Whether a load has to end: a machine that is handed what probes, witnesses and the outgoing
//! interface show, and says what others suffer. It never probes or reads a clock.
//!
//! What is normal is what was seen before the load: each trial without load adds to it. A single
//! late or lost probe ends nothing: the round trip has risen where most of the newest second shows
//! it, and of the newest probes two at least have to be lost.

use crate::plan::{AbortIf, Witness};
use crate::units::{Ratio, Span};
use std::collections::{BTreeMap, VecDeque};

/// The time that is looked at.
const NEWEST: Span = Span::from_secs(1);

/// The fewest probes of which a share is lost: where they are rare, they are looked at for longer.
const PROBES_MIN: u64 = 20;

/// The longest that they are looked at for that.
const LOOKED_AT_MAX: Span = Span::from_secs(20);

/// Lost probes that prove nothing: chance takes one now and then.
const LOST_BY_CHANCE: u64 = 1;

/// An answer that is this late is lost, at least.
const PATIENCE_MIN: Span = Span::from_millis(100);

/// The most round trips of the idle link that are remembered.
const IDLE_MAX: usize = 4_096;

/// What probes of one host have shown since they began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answers {
    /// How many left.
    pub sent: u64,
    /// How many were answered.
    pub answered: u64,
    /// The newest round trip.
    pub round_trip: Option<Span>,
}

/// What an interface has carried since it is there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Carriage {
    /// Octets that left and that arrived, as frames.
    pub octets: [u64; 2],
    /// Of those: octets of this run's load.
    pub own: [u64; 2],
    /// What it carries in each direction, in bit/s.
    pub speed_bit_s: u64,
}

/// What is seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Of the agent.
    pub agent: Answers,
    /// Of each witness.
    pub witnesses: Vec<(Witness, Answers)>,
    /// Of the outgoing interface, where it is looked at.
    pub interface: Option<Carriage>,
    /// Whether a load goes on.
    pub is_loading: bool,
}

/// Watches over a run.
#[derive(Debug, Default)]
pub struct Guard {
    rules: Vec<AbortIf>,
    /// That of the agent has no witness.
    hosts: BTreeMap<Option<Witness>, Record>,
    /// When, and what the interface had carried of others by then, in each direction.
    carried: VecDeque<(u64, [u64; 2])>,
}

/// What is known of the answers of one host.
#[derive(Debug, Default)]
struct Record {
    idle_ns: Vec<u64>,
    newest: VecDeque<(u64, Answers)>,
}

impl Guard {
    /// One that ends a load by `rules`.
    #[must_use]
    pub fn new(rules: Vec<AbortIf>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether it has anything to look at.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// The witnesses that are to be asked, each once.
    #[must_use]
    pub fn witnesses(&self) -> Vec<Witness> {
        let mut all: Vec<Witness> = self.rules.iter().filter_map(|rule| rule.witness).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether the outgoing interface is to be looked at.
    #[must_use]
    pub fn wants_interface(&self) -> bool {
        self.rules.iter().any(|rule| rule.interface_utilisation.is_some())
    }

    /// The agent is probed by another trial from now on, which counts from nothing.
    pub fn handle_trial(&mut self) {
        if let Some(own) = self.hosts.get_mut(&None) {
            own.newest.clear();
        }
        self.carried.clear();
    }

    /// What is `seen` at `now_ns`; why the load has to end, if it has to.
    pub fn look(&mut self, now_ns: u64, seen: &Seen) -> Option<String> {
        if self.is_idle() {
            return None;
        }
        let witnesses = seen.witnesses.iter().map(|(witness, answers)| (Some(*witness), *answers));
        for (host, answers) in std::iter::once((None, seen.agent)).chain(witnesses) {
            self.hosts.entry(host).or_default().take(now_ns, answers, seen.is_loading);
        }
        if let Some(interface) = seen.interface {
            let others =
                |place: usize| interface.octets[place].saturating_sub(interface.own[place]);
            self.carried.push_back((now_ns, [others(0), others(1)]));
            forget(&mut self.carried, now_ns, NEWEST);
        }
        let speed = seen.interface.map_or(0, |interface| interface.speed_bit_s);
        let reasons = self.rules.iter().filter_map(|rule| self.broken(rule, speed));
        reasons.filter(|_| seen.is_loading).min()
    }

    fn broken(&self, rule: &AbortIf, speed_bit_s: u64) -> Option<String> {
        let record = self.hosts.get(&rule.witness);
        let of = rule.witness.map_or_else(String::new, |witness| format!(" of {witness}"));
        let rise = rule.rtt_rise.zip(record).and_then(|(most, record)| {
            let rise = record.rise().filter(|rise| most < *rise)?;
            Some(format!("the RTT{of} rose by {}, {most} is allowed", millis(rise)))
        });
        let patience = rule.rtt_rise.unwrap_or_default();
        let loss = rule.loss.zip(record).and_then(|(most, record)| {
            let (lost, sent) = record.lost(patience)?;
            let is_more = LOST_BY_CHANCE < lost && !most.holds(lost, sent);
            is_more.then(|| {
                format!("{lost} of the newest {sent} probes{of} were lost, {most} is allowed")
            })
        });
        let used = rule.interface_utilisation.and_then(|most| {
            let used = self.used(speed_bit_s).filter(|used| most < *used)?;
            let percent = used.as_fraction() * 100.0;
            Some(format!(
                "other traffic uses {percent:.0}% of the outgoing interface, {most} is allowed"
            ))
        });
        rise.or(loss).or(used)
    }

    /// How much of the interface others use, in the busier direction.
    #[expect(clippy::cast_precision_loss, reason = "a share that is compared with a bound")]
    fn used(&self, speed_bit_s: u64) -> Option<Ratio> {
        let ((from_ns, before), (to_ns, now)) = (self.carried.front()?, self.carried.back()?);
        let ns = to_ns.checked_sub(*from_ns).filter(|ns| NEWEST.nanos() / 2 <= *ns)?;
        let octets = (0..2).map(|place| now[place].saturating_sub(before[place])).max()?;
        let bit_s = octets as f64 * 8e9 / ns as f64;
        Ratio::from_fraction((bit_s / speed_bit_s.max(1) as f64).min(1.0))
    }
}

impl Record {
    fn take(&mut self, now_ns: u64, answers: Answers, is_loading: bool) {
        if let Some(round_trip) = answers.round_trip.filter(|_| !is_loading)
            && self.idle_ns.len() < IDLE_MAX
        {
            self.idle_ns.push(round_trip.nanos());
        }
        self.newest.push_back((now_ns, answers));
        forget(&mut self.newest, now_ns, LOOKED_AT_MAX.plus(LOOKED_AT_MAX));
    }

    /// The median round trip of the idle link.
    fn idle(&self) -> Option<Span> {
        median(self.idle_ns.clone()).map(Span::from_nanos)
    }

    /// By how much the round trip of the newest second is longer; `None` where that is not known.
    fn rise(&self) -> Option<Span> {
        let (now_ns, _) = self.newest.back()?;
        let since = now_ns.saturating_sub(NEWEST.nanos());
        let newest = self.newest.iter().filter(|(at_ns, _)| since < *at_ns);
        let newest = newest.filter_map(|(_, answers)| Some(answers.round_trip?.nanos()));
        Some(Span::from_nanos(median(newest.collect())?).minus(self.idle()?))
    }

    /// How many of the newest probes were not answered in time, and how many these are. An answer
    /// may take as long as the idle link's, and `patience` more.
    fn lost(&self, patience: Span) -> Option<(u64, u64)> {
        let idle = self.idle().unwrap_or_default();
        let wait_ns = idle.plus(idle).plus(patience).max(PATIENCE_MIN).nanos();
        let (now_ns, now) = self.newest.back()?;
        let sent_by = |at_ns: u64| {
            let before = self.newest.iter().rev().find(|(it_ns, _)| *it_ns <= at_ns);
            before.map(|(_, answers)| answers.sent)
        };
        let due = sent_by(now_ns.saturating_sub(wait_ns))?;
        // From the newest second back, until there are enough.
        let from = self.newest.iter().rev().find(|(at_ns, then)| {
            let is_old = NEWEST.nanos() <= now_ns.saturating_sub(*at_ns);
            is_old && PROBES_MIN <= due.saturating_sub(then.sent)
        });
        let (from_sent, from_answered) = match from.or(self.newest.front()) {
            // What had left by then, and was still to be answered, was answered since.
            Some((at_ns, then)) => {
                let owed = sent_by(at_ns.saturating_sub(wait_ns)).unwrap_or(0);
                (owed.min(then.sent), then.answered)
            }
            None => return None,
        };
        let sent = due.saturating_sub(from_sent);
        let answered = now.answered.saturating_sub(from_answered);
        (0 < sent).then(|| (sent.saturating_sub(answered), sent))
    }
}

fn forget<T>(newest: &mut VecDeque<(u64, T)>, now_ns: u64, older_than: Span) {
    let keep_from = now_ns.saturating_sub(older_than.nanos());
    while newest.front().is_some_and(|(at_ns, _)| *at_ns < keep_from) {
        newest.pop_front();
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn millis(span: Span) -> String {
    format!("{:.1} ms", span.as_secs() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rule(rtt_rise: Option<&str>, loss_ppm: Option<u64>) -> AbortIf {
        AbortIf {
            rtt_rise: rtt_rise.map(|rise| rise.parse().expect("a time")),
            loss: loss_ppm.and_then(Ratio::from_ppm),
            interface_utilisation: None,
            witness: None,
        }
    }

    /// Probes at `rate` per second, looked at five times a second, over a link of 10 ms: idle for
    /// 5 s, and then loaded for 20 s, in which `seen` says what changes at so many milliseconds.
    /// When the load has to end, in milliseconds of the load, and why.
    fn ended(rule: AbortIf, rate: u64, seen: impl Fn(u64, &mut Seen)) -> Option<(u64, String)> {
        let mut guard = Guard::new(vec![rule]);
        let sample = |ms: u64, is_loading| Seen {
            agent: Answers {
                sent: ms * rate / 1_000,
                answered: ms.saturating_sub(10) * rate / 1_000,
                round_trip: Some(Span::from_millis(10)),
            },
            is_loading,
            ..Seen::default()
        };
        for ms in (0..5_000).step_by(200) {
            assert_eq!(guard.look(ms * MS, &sample(ms, false)), None, "idle");
        }
        guard.handle_trial();
        (0..20_000).step_by(200).find_map(|ms| {
            let mut now = sample(ms, true);
            seen(ms, &mut now);
            guard.look((5_000 + ms) * MS, &now).map(|why| (ms, why))
        })
    }

    #[test]
    fn a_queue_that_fills_ends_the_load_within_a_second_and_a_moment_of_it_does_not() {
        let by = |rise_ms: u64, from: u64, until: u64| {
            ended(rule(Some("20 ms"), None), 100, |ms, seen| {
                if (from..until).contains(&ms) {
                    seen.agent.round_trip = Some(Span::from_millis(10 + rise_ms));
                }
            })
        };
        let (at, why) = by(30, 4_000, 20_000).expect("it ends");
        assert!((4_000..=5_000).contains(&at), "{at}");
        assert_eq!(why, "the RTT rose by 30.0 ms, 20 ms is allowed");
        assert_eq!(by(20, 4_000, 20_000), None, "as much is allowed");
        assert_eq!(by(90, 4_000, 4_400), None, "two late probes");
    }

    #[test]
    fn lost_probes_end_the_load_and_one_by_chance_does_not() {
        let losing = |rate: u64, from: u64, every: u64| {
            ended(rule(None, Some(20_000)), rate, |ms, seen| {
                // Of those that are answered after `from`, one in so many is lost.
                let late = ms.saturating_sub(from + 10) * rate / 1_000;
                seen.agent.answered -= late / every;
            })
        };
        let (at, why) = losing(100, 4_000, 1).expect("all are lost");
        assert!((4_000..=5_000).contains(&at), "{at}");
        assert!(why.contains("of the newest") && why.ends_with("2% is allowed"), "{why}");
        assert!(losing(100, 4_000, 10).is_some_and(|(at, _)| at <= 5_000), "a tenth");
        assert_eq!(losing(100, 4_000, 100), None, "a hundredth");
        let rare = losing(10, 4_000, 1).expect("all are lost");
        assert!((4_000..=5_000).contains(&rare.0), "{rare:?}");
        let once = ended(rule(None, Some(20_000)), 10, |ms, seen| {
            seen.agent.answered -= u64::from(4_000 < ms);
        });
        assert_eq!(once, None, "one of 20 is more than 2 %, and chance");
    }

    #[test]
    fn a_witness_is_looked_at_in_the_place_of_the_agent() {
        let witness = Witness { address: [10, 2, 0, 9].into(), port: None };
        let rule = AbortIf { witness: Some(witness), ..rule(Some("20 ms"), None) };
        assert_eq!(Guard::new(vec![rule, rule]).witnesses(), [witness]);
        let mut guard = Guard::new(vec![rule]);
        let mut look = |ms: u64, agent_ms, witness_ms, is_loading| {
            let answers = |round_trip| Answers {
                round_trip: Some(Span::from_millis(round_trip)),
                ..Answers::default()
            };
            let witnesses = vec![(witness, answers(witness_ms))];
            let agent = answers(agent_ms);
            guard.look(ms * MS, &Seen { agent, witnesses, is_loading, interface: None })
        };
        assert_eq!((0..10).find_map(|at| look(at * 200, 10, 3, false)), None);
        assert_eq!((10..20).find_map(|at| look(at * 200, 90, 3, true)), None, "the agent's");
        let why = (20..30).find_map(|at| look(at * 200, 10, 90, true)).expect("it ends");
        assert_eq!(why, "the RTT of 10.2.0.9 rose by 87.0 ms, 20 ms is allowed");
    }

    #[test]
    fn what_others_send_ends_the_load_and_what_it_sends_itself_does_not() {
        let used = Ratio::from_ppm(800_000);
        let rule = AbortIf { interface_utilisation: used, ..rule(None, None) };
        let with = |others_mbit_s: u64| {
            ended(rule, 100, |ms, seen| {
                let octets = |mbit_s: u64| mbit_s * 125 * ms;
                let (own, speed_bit_s) = (octets(500), 1_000_000_000);
                let octets = [octets(others_mbit_s) + own, own];
                seen.interface = Some(Carriage { octets, own: [own; 2], speed_bit_s });
            })
        };
        assert_eq!(with(790), None);
        let (_, why) = with(810).expect("it ends");
        assert_eq!(why, "other traffic uses 81% of the outgoing interface, 80% is allowed");
    }
}
