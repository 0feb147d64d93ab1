//! A report as it is asked for: its folder, its text, the exit code of its verdict.

use super::error::Error;
use crate::cli::OutputArgs;
use crate::driver::{Keep, NotKept};
use crate::io::files::{BadOutput, Output};
use crate::io::terminal::{columns, print, say};
use crate::report::{FORMATS, Rendering, Report};
use crate::verdict::Verdict;
use std::process::ExitCode;

/// The output folder, where one is asked for.
///
/// # Errors
///
/// Where it cannot be written, or holds a report.
pub(super) fn create(args: &OutputArgs) -> Result<Option<Output>, Error> {
    let others: Vec<&str> = FORMATS.iter().skip(1).map(|format| format.file).collect();
    let create = |folder| Output::create(folder, &others);
    Ok(args.out.as_deref().map(create).transpose()?)
}

/// The output folder, where a run is kept, and how its files are written.
#[derive(Debug)]
pub(super) struct Files {
    output: Output,
    streams: bool,
}

impl Files {
    /// The files in `output`, as `args` want them.
    pub(super) const fn new(output: Output, args: &OutputArgs) -> Self {
        Self { output, streams: args.csv_streams }
    }

    /// Writes a report in each of its formats, the record first.
    ///
    /// # Errors
    ///
    /// Where a file cannot be written.
    pub(super) fn save(&self, report: &Report) -> Result<(), BadOutput> {
        let rendering = Rendering { columns: None, streams: self.streams };
        let mut formats = FORMATS.iter();
        formats.try_for_each(|format| {
            self.output.save(format.file, &(format.render)(report, &rendering))
        })
    }
}

impl Keep for Files {
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        Ok(self.save(report)?)
    }
}

/// Prints the report as it was asked for; the exit code of its verdict. Where it could not be
/// `saved`, or cannot be printed, the verdict goes to the standard error.
///
/// # Errors
///
/// Where it is not saved or printed.
pub(super) fn show(
    report: &Report,
    saved: Result<(), Error>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    let rendering = Rendering { columns: columns(), streams: args.csv_streams };
    let printed = print(&(args.format().render)(report, &rendering));
    let lost = match (saved, printed.map_err(Error::from)) {
        (Ok(()), Ok(())) => return Ok(exit_code(report.verdict)),
        (Err(first), Err(second)) => {
            say(&format!("error: {first}"));
            second
        }
        (Err(lost), Ok(())) | (Ok(()), Err(lost)) => lost,
    };
    say(&format!("verdict: {}", report.verdict));
    Err(lost)
}

const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Inconclusive | Verdict::Invalid => 3,
    }
}

fn exit_code(verdict: Verdict) -> ExitCode {
    ExitCode::from(code(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_exit_code() {
        use Verdict::{Fail, Inconclusive, Invalid, Pass};
        assert_eq!([Pass, Fail, Inconclusive, Invalid].map(code), [0, 1, 3, 3]);
    }
}
