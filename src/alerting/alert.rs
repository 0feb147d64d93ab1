//! An alert, and a notice of one.

use super::problem::Problem;
use super::words::{Key, Occasion, Severity};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Somebody takes care of an alert.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Acknowledged {
    /// Who.
    pub owner: String,
    /// Until when, in seconds since 1970.
    pub until_s: i64,
}

/// An alert: a problem that is, or was a moment ago.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Alert {
    /// Its name: eight hexadecimal digits.
    pub id: String,
    /// What it is about.
    pub key: Key,
    /// The problem; its severity is the highest so far.
    pub problem: Problem,
    /// When it was first seen, in seconds since 1970.
    pub seen_s: i64,
    /// Since when the problem is gone.
    pub gone_s: Option<i64>,
    /// Who takes care of it.
    pub acknowledged: Option<Acknowledged>,
    /// Whether it comes and goes.
    pub flapping: bool,
    /// When a notice of it was last made, and of which severity; `None` before the first.
    pub(super) noticed: Option<(i64, Severity)>,
}

impl Alert {
    /// Whether it has been reported.
    #[must_use]
    pub const fn is_reported(&self) -> bool {
        self.noticed.is_some()
    }

    /// An alert that says that it is a test, at `now_s`.
    #[must_use]
    pub fn test(now_s: i64) -> Self {
        let text = "this is a test: nothing is wrong".to_owned();
        let links = BTreeMap::from([("test".to_owned(), text)]);
        let problem = Problem { severity: Severity::Info, since_s: now_s, links };
        let mut alert = Self::new(Key::Link("test".to_owned()), problem, now_s);
        alert.noticed = Some((now_s, Severity::Info));
        alert
    }

    pub(super) fn new(key: Key, problem: Problem, now_s: i64) -> Self {
        Self {
            id: id(&key, now_s),
            key,
            problem,
            seen_s: now_s,
            gone_s: None,
            acknowledged: None,
            flapping: false,
            noticed: None,
        }
    }
}

/// Eight hexadecimal digits for what began then.
fn id(key: &Key, now_s: i64) -> String {
    let digest = Sha256::digest(format!("{} {} {now_s}", key.kind(), key.name()));
    digest.iter().take(4).map(|octet| format!("{octet:02x}")).collect()
}

/// What is sent to people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// Why.
    pub occasion: Occasion,
    /// When, in seconds since 1970.
    pub at_s: i64,
    /// The alert as it was then.
    pub alert: Alert,
    /// Why it is over, where that is not that all is well; why there is a reminder.
    pub remark: Option<String>,
}
