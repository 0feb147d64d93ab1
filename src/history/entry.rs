//! The entry of a run: what it was, and what came of it.

use super::tables::{Cell, Row};
use crate::report::{ABORTED, INTERRUPTED, Report};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a run was made: it decides how long it is kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody ran it by hand.
    Manual,
    /// A schedule did.
    Scheduled,
    /// It is evidence that a link was accepted.
    Acceptance,
}

impl Class {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Scheduled, Self::Acceptance];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Acceptance => "acceptance",
        }
    }
}

/// How far a run came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has begun, and nothing is known of its end.
    Running,
    /// All that was planned ran.
    Ok,
    /// Not all of it did.
    Partial,
    /// It was interrupted.
    Aborted,
    /// An agent refused it.
    Refused,
    /// Nothing could be run.
    NotRun,
    /// It was due, and was not started.
    Missed,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Ok,
        Self::Partial,
        Self::Aborted,
        Self::Refused,
        Self::NotRun,
        Self::Missed,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::NotRun => "not_run",
            Self::Missed => "missed",
        }
    }

    /// That of a run with `report`.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let is_interrupted = report
            .reason
            .as_deref()
            .is_some_and(|why| why.ends_with(INTERRUPTED) || why.contains(ABORTED));
        match (report.complete, is_interrupted) {
            (true, _) => Self::Ok,
            (false, true) => Self::Aborted,
            (false, false) => Self::Partial,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().replace('_', " "))
    }
}

/// A run: what it was, and what came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its identifier: 32 hexadecimal digits.
    pub run: String,
    /// Why it was made.
    pub class: Class,
    /// How far it came.
    pub state: State,
    /// Its verdict; `None` until it has one.
    pub verdict: Option<Verdict>,
    /// Why not all of it ran, in one sentence.
    pub reason: Option<String>,
    /// The command that made it: check, run or import.
    pub command: String,
    /// The plan's file, as given.
    pub plan_file: Option<String>,
    /// SHA-256 of that file.
    pub plan_sha256: Option<String>,
    /// The program that made it, with its version.
    pub program: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// When it ended; `None` until it has.
    pub ended_ns: Option<u64>,
    /// When it ends at the latest, as planned: one that is running after that was cut short.
    pub due_ns: Option<u64>,
    /// When this was written.
    pub recorded_ns: u64,
}

impl Entry {
    /// What follows from `report`, written at `now_ns`.
    #[must_use]
    pub fn with(mut self, report: &Report, now_ns: u64) -> Self {
        self.verdict = Some(report.verdict);
        self.reason.clone_from(&report.reason);
        self.program.clone_from(&report.program);
        self.plan_file = report.plan.as_ref().map(|plan| plan.file.clone());
        self.plan_sha256 = report.plan.as_ref().map(|plan| plan.sha256.clone());
        self.recorded_ns = now_ns;
        self
    }

    /// That of a report that was saved elsewhere; `None` where its dates are none.
    #[must_use]
    pub fn imported(report: &Report, now_ns: u64) -> Option<Self> {
        let entry = Self {
            run: report.run.clone(),
            class: Class::Manual,
            state: State::of(report),
            verdict: None,
            reason: None,
            command: "import".to_owned(),
            plan_file: None,
            plan_sha256: None,
            program: String::new(),
            started_ns: report.started_ns()?,
            ended_ns: Some(report.ended_ns()?),
            due_ns: None,
            recorded_ns: 0,
        };
        Some(entry.with(report, now_ns))
    }

    /// It as a row.
    #[must_use]
    pub fn row(&self) -> Row {
        let verdict = self.verdict.map(|verdict| verdict.to_string());
        Row::new(
            "runs",
            vec![
                ("run", Cell::text(&self.run)),
                ("class", Cell::text(self.class.name())),
                ("state", Cell::text(self.state.name())),
                ("verdict", Cell::Text(verdict)),
                ("reason", Cell::Text(self.reason.clone())),
                ("command", Cell::text(&self.command)),
                ("plan_file", Cell::Text(self.plan_file.clone())),
                ("plan_sha256", Cell::Text(self.plan_sha256.clone())),
                ("program", Cell::text(&self.program)),
                ("started_ns", Cell::count(self.started_ns)),
                ("ended_ns", Cell::counted(self.ended_ns)),
                ("due_ns", Cell::counted(self.due_ns)),
                ("recorded_ns", Cell::count(self.recorded_ns)),
            ],
        )
    }
}
