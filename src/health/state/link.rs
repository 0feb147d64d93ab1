//! What is known of one link, and the state that follows from it.

use super::blocks::{Gauge, Grade, RECENT};
use super::bounds::{Count, ProbeBounds};
use super::load::{LoadResult, LoadVerdict};
use super::words::{Cause, Change, Changed, Current, State, Subject};
use super::{BLOCK_S, DOWN_S, NO_DATA_S, UP_S};
use crate::health::{Class, Second};
use crate::units::Span;
use std::collections::VecDeque;

/// How the agent was reached last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contact {
    /// It answers.
    Reached,
    /// Its host refuses the connection: the agent does not run.
    AgentDown,
    /// It answers, and refuses this driver.
    Refused,
    /// Nothing answers.
    Silent,
    /// This host cannot send.
    ThisHost,
    /// It is not probed for now, as a run does so itself.
    Resting,
}

/// A link that does not answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Down {
    /// Since when.
    pub(super) since_s: i64,
    /// What it is of; `None` while that is not decided.
    pub(super) cause: Option<(Cause, String)>,
    /// Good seconds in a row.
    good: i64,
}

/// What is known of one link.
#[derive(Clone, Debug)]
pub(super) struct Known {
    gauges: Vec<Gauge>,
    /// The counts of the block that is being filled, one for each gauge.
    block: Vec<Count>,
    block_start_s: i64,
    floor: Floor,
    /// How the agent is reached, until that changes: that its host answers measures nothing.
    contact: Option<Contact>,
    has_answered: bool,
    /// When a second was last measured.
    pub(super) measured_s: Option<i64>,
    /// When a reply last came.
    pub(super) answered_s: Option<i64>,
    /// Seconds in a row without a reply, and when they began.
    silent: Option<(i64, i64)>,
    pub(super) down: Option<Down>,
    load: Option<LoadResult>,
    /// Changes that were seen since all was as required.
    changes: Vec<Change>,
    pub(super) watched_since_s: i64,
    /// What probes showed before this program was started again; it stands until there are blocks
    /// enough to say so again.
    before: Vec<Current>,
    blocks: usize,
}

/// A state, and why.
pub(super) type Judged = (State, Cause, String);

impl Known {
    pub(super) fn new(bounds: &ProbeBounds, now_s: i64) -> Self {
        Self {
            gauges: bounds.0.iter().cloned().map(Gauge::new).collect(),
            block: vec![Count::default(); bounds.0.len()],
            block_start_s: now_s,
            floor: Floor::default(),
            contact: None,
            has_answered: false,
            measured_s: None,
            answered_s: None,
            silent: None,
            down: None,
            load: None,
            changes: Vec::new(),
            watched_since_s: now_s,
            before: Vec::new(),
            blocks: 0,
        }
    }

    /// Goes on from what was known before this program was started again: an outage that was going
    /// on is the same one, until the link answers.
    pub(super) fn restore(&mut self, before: &Current) {
        self.has_answered |= before.state != State::NotRunning && before.cause != Cause::Starting;
        match before.cause {
            cause if cause.is_outage() => {
                let cause = Some((cause, before.reason.clone()));
                self.down = Some(Down { since_s: before.since_s, cause, good: 0 });
            }
            Cause::Load => {
                let load = self.load.get_or_insert_with(|| LoadResult::none(before.since_s));
                load.restore(before);
            }
            Cause::Loss | Cause::Delay | Cause::Variation => self.before.push(before.clone()),
            _ => {}
        }
    }

    pub(super) fn handle_contact(&mut self, at_s: i64, contact: Contact) {
        self.contact = Some(contact);
        match contact {
            Contact::Silent => {
                let is_measured = self.measured_s.is_some_and(|last| at_s - last < DOWN_S);
                if self.has_answered && !is_measured && self.down.is_none() {
                    let since_s = self.answered_s.map_or(at_s, |last| last + 1);
                    self.down = Some(Down { since_s, cause: None, good: 0 });
                }
            }
            // Whatever is wrong, its packets come and go.
            Contact::AgentDown | Contact::Refused => self.down = None,
            Contact::Reached | Contact::ThisHost | Contact::Resting => {}
        }
    }

    pub(super) fn handle_load(&mut self, load: LoadResult) {
        if load.failed() {
            self.note(Changed::Throughput, load.at_s);
        }
        let before = self.load.take();
        self.load = Some(load.after(before));
    }

    pub(super) fn handle_time(&mut self, now_s: i64) {
        if let Some(load) = &mut self.load {
            load.handle_time(now_s);
        }
    }

    /// The link's load that waits to be confirmed.
    pub(super) fn unconfirmed(&self) -> Option<&LoadResult> {
        self.load.as_ref().filter(|load| load.is_unconfirmed())
    }

    pub(super) fn note(&mut self, what: Changed, at_s: i64) {
        if !self.changes.iter().any(|change| change.what == what) {
            self.changes.push(Change { what, at_s });
        }
    }

    pub(super) fn handle_second(&mut self, second: &Second) {
        let Some(answered) = second.answered.filter(|answered| 0 < answered.sent) else { return };
        // What is known of a second later, which way its probes were lost, is for the rows.
        if self.measured_s.is_some_and(|last| second.start_s <= last) {
            return;
        }
        let start_s = second.start_s;
        self.measured_s = Some(start_s);
        if answered.lost < answered.sent {
            self.answered_s = Some(start_s);
            self.has_answered = true;
            self.silent = None;
        } else {
            let (since_s, seconds) = self.silent.unwrap_or((start_s, 0));
            self.silent = Some((since_s, seconds + 1));
        }
        self.go_down_or_up(start_s, answered.class() == Class::Good);
        if self.down.is_none() && self.silent.is_none() {
            self.count(second);
        }
    }

    fn go_down_or_up(&mut self, start_s: i64, is_good: bool) {
        match (&mut self.down, self.silent) {
            (None, Some((since_s, seconds))) if DOWN_S <= seconds && self.has_answered => {
                self.down = Some(Down { since_s, cause: None, good: 0 });
            }
            (Some(down), _) => {
                down.good = if is_good { down.good + 1 } else { 0 };
                if UP_S <= down.good {
                    self.down = None;
                    self.block_start_s = start_s;
                    self.block.fill(Count::default());
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, second: &Second) {
        if self.block_start_s + BLOCK_S <= second.start_s {
            self.close_block();
            self.block_start_s = second.start_s;
        }
        let floor = self.floor.of(second);
        for (gauge, count) in self.gauges.iter().zip(&mut self.block) {
            *count = count.plus(gauge.bound.count(second, floor));
        }
    }

    fn close_block(&mut self) {
        self.blocks = self.blocks.saturating_add(1);
        for (gauge, count) in self.gauges.iter_mut().zip(&mut self.block) {
            gauge.push(std::mem::take(count));
        }
        let start_s = self.block_start_s;
        if self.floor.close_block() {
            self.note(Changed::RttFloor, start_s);
        }
        let is_losing = |gauge: &&Gauge| gauge.bound.cause == Cause::Loss;
        if self.gauges.iter().filter(is_losing).any(|gauge| Grade::Kept < gauge.grade()) {
            self.note(Changed::Loss, start_s);
        }
    }

    /// What changed first since all was as required; forgotten when it is again.
    pub(super) fn first_change(&self) -> Option<Change> {
        self.changes.iter().min_by_key(|change| change.at_s).copied()
    }

    pub(super) fn forget_changes(&mut self) {
        self.changes.clear();
    }

    /// The state of `subject` at `now_s`, and since when, where that is known better than by the
    /// clock; `None` while it is not decided.
    pub(super) fn judge(&self, subject: Subject, now_s: i64) -> Option<(Judged, Option<i64>)> {
        if let Some(down) = &self.down {
            let (cause, why) = down.cause.clone()?;
            let reason = format!("no reply: {why}");
            return Some(((State::Fail, cause, reason), Some(down.since_s)));
        }
        let load = self.load.as_ref().and_then(|load| load.standing(subject));
        if let Some((LoadVerdict::Fail, reason, at_s)) = &load {
            return Some(((State::Fail, Cause::Load, reason.clone()), Some(*at_s)));
        }
        if let Some(missing) = self.missing(now_s) {
            return Some((missing, None));
        }
        self.measured_s?;
        let gauges = self.gauges.iter().filter(|gauge| gauge.bound.subject == subject);
        let worst = gauges.max_by_key(|gauge| gauge.grade());
        match worst.filter(|gauge| Grade::Kept < gauge.grade()) {
            Some(gauge) => Some((beyond(gauge), None)),
            None if self.blocks < RECENT && self.before.iter().any(|it| it.subject == subject) => {
                None
            }
            None => Some(match load {
                Some((LoadVerdict::Near, reason, at_s)) => {
                    ((State::Warning, Cause::Load, reason), Some(at_s))
                }
                _ => ((State::Pass, Cause::Met, "all is as required".to_owned()), None),
            }),
        }
    }

    /// Why nothing is known now.
    fn missing(&self, now_s: i64) -> Option<Judged> {
        let measured_s = self.measured_s.filter(|_| self.has_answered);
        let last_s = measured_s.unwrap_or(self.watched_since_s);
        let state = State::Indeterminate;
        let why = match self.contact {
            Some(Contact::AgentDown) => {
                (Cause::AgentDown, "its agent's host answers, the agent does not".to_owned())
            }
            Some(Contact::Refused) => (Cause::Refused, "the agent refuses this driver".to_owned()),
            Some(Contact::ThisHost) => (Cause::NoData, "this host cannot send".to_owned()),
            Some(Contact::Resting) if self.has_answered => return None,
            _ if NO_DATA_S <= now_s - last_s => {
                let what = if self.has_answered { "measured" } else { "answered" };
                (Cause::NoData, format!("nothing was {what} for {} s", now_s - last_s))
            }
            _ if measured_s.is_none() && !self.has_answered => {
                (Cause::Starting, "nothing has been measured yet".to_owned())
            }
            _ => return None,
        };
        Some((state, why.0, why.1))
    }
}

/// A link that is beyond a bound, or near it.
fn beyond(gauge: &Gauge) -> Judged {
    let (required, share) = (&gauge.bound.required, gauge.share() * 100.0);
    let what = match gauge.bound.cause {
        Cause::Loss => "of the probes are lost",
        Cause::Delay => "of the probes take longer or are lost",
        _ => "of the probes vary by more",
    };
    match gauge.grade() {
        Grade::Over => {
            (State::Fail, gauge.bound.cause, format!("{required} required: {share:.2} % {what}"))
        }
        _ => {
            let near = format!("{required} required: above 80 % of it, {share:.2} % {what}");
            (State::Warning, gauge.bound.cause, near)
        }
    }
}

/// Blocks whose shortest round trips are the floor.
const FLOOR_BLOCKS: usize = 360;

/// Blocks in a row of which the shortest round trip is longer by so much: the floor has moved.
const MOVED_BLOCKS: u32 = 3;
const MOVED_MIN: Span = Span::from_nanos(200_000);

/// The shortest round trip, of an hour.
#[derive(Clone, Debug, Default)]
struct Floor {
    blocks: VecDeque<Span>,
    block: Option<Span>,
    longer: u32,
}

impl Floor {
    /// The floor with the round trips of `second`.
    fn of(&mut self, second: &Second) -> Span {
        let shortest = second.round_trips.iter().copied().min();
        self.block = [self.block, shortest].into_iter().flatten().min();
        let known = self.blocks.iter().copied().min();
        [known, self.block].into_iter().flatten().min().unwrap_or_default()
    }

    /// Whether the floor has just moved up: by 5 %, at least 0.2 ms. It is a new one then.
    fn close_block(&mut self) -> bool {
        let Some(block) = self.block.take() else { return false };
        let known = self.blocks.iter().copied().min();
        let limit = known.map(|known| {
            let part = Span::from_nanos(known.nanos() / 20);
            known.plus(part.max(MOVED_MIN))
        });
        self.longer = if limit.is_some_and(|limit| limit < block) { self.longer + 1 } else { 0 };
        let has_moved = MOVED_BLOCKS <= self.longer;
        if has_moved {
            self.blocks.clear();
            self.longer = 0;
        }
        self.blocks.push_back(block);
        if FLOOR_BLOCKS < self.blocks.len() {
            self.blocks.pop_front();
        }
        has_moved
    }
}
