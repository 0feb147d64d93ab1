//! What is wrong with a calendar, and where.

/// What is wrong with a calendar.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// The line in the file.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Fault {
    pub(super) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}
