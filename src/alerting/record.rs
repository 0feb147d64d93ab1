//! Alerts as the history keeps them.

use super::alert::{Alert, Notice};
use super::words::Occasion;
use crate::history::{Cell, Row};

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

fn time(at_s: Option<i64>) -> Cell {
    Cell::Int(at_s.map(|at_s| at_s.saturating_mul(NANOS)))
}

impl Alert {
    /// Its row, as `watch` has it at `now_s`; `over` is the notice that says that it is over.
    #[must_use]
    pub fn row(&self, over: Option<&Notice>, watch: &str, now_s: i64) -> Row {
        let over = over.filter(|notice| notice.occasion == Occasion::Resolved);
        let links = serde_json::to_string(&self.problem.links).unwrap_or_default();
        let by = self.acknowledged.as_ref();
        Row::new(
            "alerts",
            vec![
                ("id", Cell::text(&self.id)),
                ("kind", Cell::text(self.key.kind())),
                ("name", Cell::text(self.key.name())),
                ("severity", Cell::text(self.problem.severity.name())),
                ("title", Cell::text(&self.title())),
                ("links", Cell::text(&links)),
                ("since_ns", time(Some(self.problem.since_s))),
                ("seen_ns", time(Some(self.seen_s))),
                ("ended_ns", time(over.map(|notice| self.gone_s.unwrap_or(notice.at_s)))),
                ("remark", Cell::Text(over.and_then(|notice| notice.remark.clone()))),
                ("owner", Cell::Text(by.map(|by| by.owner.clone()))),
                ("until_ns", time(by.map(|by| by.until_s))),
                ("watch", Cell::text(watch)),
                ("changed_ns", time(Some(now_s))),
            ],
        )
    }
}
