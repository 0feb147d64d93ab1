//! How a report is written, where there is a choice.

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rendering {
    /// Columns of the terminal that text goes to; `None` where it goes to a file.
    pub columns: Option<usize>,
    /// Whether CSV has a row for each stream of a load.
    pub streams: bool,
    /// Whether text has the trials and how they were measured, behind the first screen.
    pub verbose: bool,
    /// Seconds by which the reader's clock is ahead of UTC at the time of the run; `None` where
    /// nobody reads it there.
    pub utc_offset_s: Option<i32>,
}
