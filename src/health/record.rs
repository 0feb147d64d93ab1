//! What is kept of links that are watched, beside their runs: states, events, maintenance, notes.

use super::state::{Cause, Change, Changed, Current, Event, State, Subject};
use crate::history::{Cell, Row};
use serde::Serialize;

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// A time in seconds as the history has it.
const fn time(at_s: i64) -> Cell {
    Cell::Int(Some(at_s.saturating_mul(NANOS)))
}

/// A time that may be missing, likewise.
fn time_if(at_s: Option<i64>) -> Cell {
    Cell::Int(at_s.map(|at_s| at_s.saturating_mul(NANOS)))
}

fn text_if(text: Option<&String>) -> Cell {
    Cell::Text(text.cloned())
}

/// The row of a state, as `watch` has it at `now_s`.
#[must_use]
pub fn state_row(current: &Current, watch: &str, now_s: i64) -> Row {
    let Current { link, subject, state, cause, reason, since_s } = current;
    Row::new(
        "link_states",
        vec![
            ("link", Cell::text(link)),
            ("subject", Cell::text(subject.name())),
            ("state", Cell::text(state.name())),
            ("cause", Cell::text(cause.name())),
            ("reason", Cell::text(reason)),
            ("since_ns", time(*since_s)),
            ("watch", Cell::text(watch)),
            ("changed_ns", time(now_s)),
        ],
    )
}

/// The row of an event that `watch` saw.
#[must_use]
pub fn event_row(event: &Event, watch: &str) -> Row {
    let Event { at_s, from, now, first } = event;
    Row::new(
        "state_events",
        vec![
            ("link", Cell::text(&now.link)),
            ("subject", Cell::text(now.subject.name())),
            ("at_ns", time(*at_s)),
            ("from_state", Cell::text(from.name())),
            ("state", Cell::text(now.state.name())),
            ("cause", Cell::text(now.cause.name())),
            ("reason", Cell::text(&now.reason)),
            ("since_ns", time(now.since_s)),
            ("first_change", Cell::Text(first.map(|it| it.what.name().to_owned()))),
            ("first_ns", time_if(first.map(|it| it.at_s))),
            ("watch", Cell::text(watch)),
            ("changed_ns", time(*at_s)),
        ],
    )
}

/// A watch that runs, or ran.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WatchSeen {
    /// Its name: its host, and its plans.
    pub watch: String,
    /// The version of its program.
    pub program: String,
    /// When it was started, in seconds since 1970.
    pub started_s: i64,
    /// How many links it watches.
    pub links: i64,
    /// When it was ended in good order.
    pub ended_s: Option<i64>,
    /// When it was last heard of.
    pub seen_s: i64,
}

impl WatchSeen {
    /// Its row.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new(
            "watches",
            vec![
                ("watch", Cell::text(&self.watch)),
                ("program", Cell::text(&self.program)),
                ("started_ns", time(self.started_s)),
                ("links", Cell::Int(Some(self.links))),
                ("ended_ns", time_if(self.ended_s)),
                ("changed_ns", time(self.seen_s)),
            ],
        )
    }
}

/// A state as the history has it, and which watch said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptState {
    /// The state.
    pub current: Current,
    /// The watch.
    pub watch: String,
}

impl KeptState {
    /// What the history has under these names; `None` where another version wrote what this one
    /// does not know.
    #[must_use]
    pub fn of(
        names: [&str; 3],
        link: String,
        reason: String,
        since_ns: i64,
        watch: String,
    ) -> Option<Self> {
        let [subject, state, cause] = names;
        let current = Current {
            link,
            subject: Subject::named(subject)?,
            state: State::named(state)?,
            cause: Cause::named(cause)?,
            reason,
            since_s: since_ns / NANOS,
        };
        Some(Self { current, watch })
    }
}

/// The change of that name, at that time.
#[must_use]
pub fn change(name: Option<&str>, at_ns: Option<i64>) -> Option<Change> {
    Some(Change { what: Changed::named(name?)?, at_s: at_ns? / NANOS })
}

/// Maintenance that was entered by a command.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Maintenance {
    /// Its name: eight hexadecimal digits.
    pub id: String,
    /// The link.
    pub link: String,
    /// From then on, in seconds since 1970.
    pub from_s: i64,
    /// Until then.
    pub until_s: i64,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: Option<String>,
    /// Who entered it.
    pub by: Option<String>,
    /// When it was entered.
    pub entered_s: i64,
    /// When it was ended before its time, or after it.
    pub ended_s: Option<i64>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// What an auditor has to know: that it was entered after the fact, or ended late.
    pub remark: Option<String>,
}

/// The length of a maintenance at most: a year.
pub const MAINTENANCE_S_MAX: i64 = 366 * 86_400;

impl Maintenance {
    /// One as it is entered. That it is entered after it began is remarked.
    ///
    /// # Errors
    ///
    /// What is wrong with its times.
    pub fn entered(mut self) -> Result<Self, String> {
        if self.until_s <= self.from_s {
            return Err("--to has to be after --from".to_owned());
        }
        if MAINTENANCE_S_MAX < self.until_s - self.from_s {
            return Err("a maintenance may take 366 days at most".to_owned());
        }
        if self.from_s + GRACE_S < self.entered_s {
            let late = (self.entered_s - self.from_s) / 60;
            self.remark = Some(format!("entered {late} min after it began"));
        }
        Ok(self)
    }

    /// The same, ended at `now_s`. One that is over already has been going on for longer than
    /// planned: it lasted until now, which is remarked.
    #[must_use]
    pub fn ended(mut self, now_s: i64, by: Option<String>) -> Self {
        if self.until_s < now_s {
            let late = (now_s - self.until_s) / 60;
            let what = format!("ended {late} min later than planned");
            self.remark = Some(match self.remark {
                Some(before) => format!("{before}; {what}"),
                None => what,
            });
        }
        self.ended_s = Some(now_s);
        self.ended_by = by;
        self
    }

    /// Until when it holds.
    #[must_use]
    pub fn holds_until_s(&self) -> i64 {
        self.ended_s.unwrap_or(self.until_s)
    }

    /// As the states of the link have it.
    #[must_use]
    pub fn maintained(&self) -> super::Maintained {
        let ticket = self.ticket.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        let reason = format!("{}{ticket}", self.reason);
        super::Maintained { from_s: self.from_s, until_s: self.holds_until_s(), reason }
    }

    /// Its row, changed at `now_s`.
    #[must_use]
    pub fn row(&self, now_s: i64) -> Row {
        Row::new(
            "maintenance",
            vec![
                ("id", Cell::text(&self.id)),
                ("link", Cell::text(&self.link)),
                ("from_ns", time(self.from_s)),
                ("until_ns", time(self.until_s)),
                ("reason", Cell::text(&self.reason)),
                ("ticket", text_if(self.ticket.as_ref())),
                ("by_user", text_if(self.by.as_ref())),
                ("entered_ns", time(self.entered_s)),
                ("ended_ns", time_if(self.ended_s)),
                ("ended_by", text_if(self.ended_by.as_ref())),
                ("remark", text_if(self.remark.as_ref())),
                ("changed_ns", time(now_s)),
            ],
        )
    }
}

/// So much later than it begins a maintenance may be entered without a remark.
const GRACE_S: i64 = 60;

/// Whose doing something on a link was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// The provider's, announced.
    ProviderMaintenance,
    /// The provider's.
    ProviderFault,
    /// Our own.
    OwnFault,
}

impl NoteKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::ProviderMaintenance, Self::ProviderFault, Self::OwnFault];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProviderMaintenance => "provider-maintenance",
            Self::ProviderFault => "provider-fault",
            Self::OwnFault => "own-fault",
        }
    }
}

/// What somebody says about a time on a link.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Note {
    /// Its name: eight hexadecimal digits.
    pub id: String,
    /// The link.
    pub link: String,
    /// Whose doing it was.
    pub kind: NoteKind,
    /// From then on, in seconds since 1970.
    pub from_s: i64,
    /// Until then.
    pub until_s: i64,
    /// The ticket.
    pub ticket: Option<String>,
    /// What it says.
    pub text: Option<String>,
    /// Who entered it.
    pub by: Option<String>,
    /// When.
    pub entered_s: i64,
}

impl Note {
    /// One as it is entered.
    ///
    /// # Errors
    ///
    /// What is wrong with its times.
    pub fn entered(self) -> Result<Self, String> {
        if self.until_s <= self.from_s {
            return Err("--to has to be after --from".to_owned());
        }
        Ok(self)
    }

    /// Its row.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new(
            "notes",
            vec![
                ("id", Cell::text(&self.id)),
                ("link", Cell::text(&self.link)),
                ("kind", Cell::text(self.kind.name())),
                ("from_ns", time(self.from_s)),
                ("until_ns", time(self.until_s)),
                ("ticket", text_if(self.ticket.as_ref())),
                ("text", text_if(self.text.as_ref())),
                ("by_user", text_if(self.by.as_ref())),
                ("entered_ns", time(self.entered_s)),
                ("changed_ns", time(self.entered_s)),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maintenance(entered_s: i64) -> Maintenance {
        Maintenance {
            id: "0badcafe".to_owned(),
            link: "a".to_owned(),
            from_s: 10_000,
            until_s: 13_600,
            reason: "fibre".to_owned(),
            ticket: Some("CHG7".to_owned()),
            by: Some("alice".to_owned()),
            entered_s,
            ended_s: None,
            ended_by: None,
            remark: None,
        }
    }

    #[test]
    fn what_is_entered_after_the_fact_or_ended_late_is_remarked() {
        let planned = maintenance(9_000).entered().expect("it is right");
        assert_eq!(planned.remark, None);
        assert_eq!(planned.maintained().reason, "fibre (CHG7)");
        let early = planned.ended(12_000, None);
        assert_eq!((early.remark.as_deref(), early.holds_until_s()), (None, 12_000));
        let late = maintenance(11_200).entered().expect("it is right").ended(14_200, None);
        let remark = "entered 20 min after it began; ended 10 min later than planned";
        assert_eq!((late.remark.as_deref(), late.holds_until_s()), (Some(remark), 14_200));
        let wrong = Maintenance { until_s: 10_000, ..maintenance(0) };
        assert_eq!(wrong.entered(), Err("--to has to be after --from".to_owned()));
    }

    #[test]
    fn rows_are_those_of_their_tables() {
        assert_eq!(maintenance(0).row(5).cells[2], Cell::Int(Some(10_000 * NANOS)));
        let current = Current {
            link: "a".to_owned(),
            subject: Subject::Forward,
            state: State::Fail,
            cause: Cause::Outage,
            reason: "no reply".to_owned(),
            since_s: 7,
        };
        let row = state_row(&current, "near", 9);
        let [link, .., since, _, changed] = row.cells.as_slice() else { panic!("{row:?}") };
        assert_eq!((link, since), (&Cell::text("a"), &Cell::Int(Some(7 * NANOS))));
        assert_eq!(changed, &Cell::Int(Some(9 * NANOS)));
        let first = Some(Change { what: Changed::Path, at_s: 6 });
        let event = Event { at_s: 8, from: State::Pass, now: current, first };
        assert_eq!(event_row(&event, "near").cells[8], Cell::text("path"));
        assert_eq!(change(Some("path"), Some(6 * NANOS)), first);
    }
}
