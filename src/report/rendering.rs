//! How a report is written, where there is a choice.

use crate::wrap::WIDTH;

/// How a report is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rendering {
    /// Columns of a line of text.
    pub columns: usize,
    /// Whether CSV has a row for each stream of a load.
    pub streams: bool,
}

impl Default for Rendering {
    /// As it is kept in files.
    fn default() -> Self {
        Self { columns: WIDTH, streams: false }
    }
}
