//! A report as it is asked for: its folder, its text, the exit code of its verdict.

use super::error::Error;
use crate::account::plain;
use crate::cli::OutputArgs;
use crate::driver::{Keep, NotKept};
use crate::io::clock::utc_offset_s;
use crate::io::files::{BadOutput, Output};
use crate::io::terminal::{columns, is_output_coloured, is_utf8, print, say};
use crate::report::{FORMATS, Format, Rendering, Report};
use crate::verdict::Verdict;
use std::path::Path;
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
        FORMATS.iter().try_for_each(|format| self.save_as(format, report))
    }

    fn save_as(&self, format: &Format, report: &Report) -> Result<(), BadOutput> {
        let rendering = Rendering { verbose: true, streams: self.streams, ..Rendering::default() };
        self.output.save(format.file, &(format.render)(report, &rendering))
    }
}

impl Keep for Files {
    fn keep(&mut self, report: &Report) -> Result<(), NotKept> {
        Ok(self.save(report)?)
    }

    fn keep_record(&mut self, report: &Report) -> Result<(), NotKept> {
        Ok(self.save_as(&FORMATS[0], report)?)
    }
}

/// As [`show`], of a run: where its report is neither saved nor printed, it goes to the standard
/// error, as nothing else has what was measured.
///
/// # Errors
///
/// As [`show`].
pub(super) fn show_run(
    report: &Report,
    saved: Result<(), Error>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    let is_kept = args.out.is_some() && saved.is_ok();
    let printed = printed(report, args);
    if printed.is_err() && !is_kept {
        say(text(report, &Rendering { verbose: args.verbose, ..Rendering::default() }).trim_end());
    }
    conclude(report, saved, printed)
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
    conclude(report, saved, printed(report, args))
}

/// Prints the report as it was asked for.
fn printed(report: &Report, args: &OutputArgs) -> Result<(), BadOutput> {
    let rendering = Rendering { streams: args.csv_streams, ..Rendering::default() };
    match args.format().name {
        TEXT => print_text(report, args.verbose, args.out.as_deref()),
        _ => print(&(args.format().render)(report, &rendering)),
    }
}

/// The exit code of the verdict where all that was asked for is `saved` and `printed`.
fn conclude(
    report: &Report,
    saved: Result<(), Error>,
    printed: Result<(), BadOutput>,
) -> Result<ExitCode, Error> {
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

/// The format that is shown in colours, and as wide as the terminal.
const TEXT: &str = "text";

/// Prints a report as text: the first screen, and all behind it where it is `verbose`. Its files
/// are in `folder`.
///
/// # Errors
///
/// Where nobody can read it.
pub(super) fn print_text(
    report: &Report,
    verbose: bool,
    folder: Option<&Path>,
) -> Result<(), BadOutput> {
    let columns = columns();
    let started_s = report.started_s();
    let utc_offset_s = columns.and(started_s).and_then(utc_offset_s);
    let rendering = Rendering { columns, verbose, utc_offset_s, ..Rendering::default() };
    let mut text = text(report, &rendering);
    text += &match (folder, verbose) {
        (Some(folder), _) => files_text(&plain(&folder.display().to_string()), verbose),
        (None, false) => "Details: --verbose. --out DIR keeps the report.\n".to_owned(),
        (None, true) => String::new(),
    };
    if !is_utf8() {
        text = text.replace('±', "+/-");
    }
    print(&if is_output_coloured() { coloured(&text) } else { text })
}

/// The report as text.
fn text(report: &Report, rendering: &Rendering) -> String {
    let format = FORMATS.iter().find(|format| format.name == TEXT);
    format.map_or_else(String::new, |format| (format.render)(report, rendering))
}

/// Where the report is kept, and how to see all of it.
fn files_text(folder: &str, verbose: bool) -> String {
    let mut files = FORMATS.iter().map(|format| format.file);
    let first = files.next().unwrap_or_default();
    let rest: Vec<&str> = files.collect();
    let separator = if folder.ends_with('/') { "" } else { "/" };
    let details = match verbose {
        true => String::new(),
        false => format!("        Details: linkqual show {folder} --verbose"),
    };
    format!("Files: {folder}{separator}{first}, {}{details}\n", rest.join(", "))
}

/// The verdicts of a text in colours: the first word of a line, and the last.
fn coloured(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let painted = VERDICTS.into_iter().find_map(|(verdict, colour)| {
            let name = verdict.to_string();
            let paint = |name: &str| format!("\u{1b}[1;{colour}m{name}\u{1b}[0m");
            let last = line.strip_suffix(&name).filter(|before| before.ends_with("  "));
            let first = line.trim_start().strip_prefix(&name);
            let first = first.filter(|rest| rest.is_empty() || rest.starts_with("  "));
            let indent = &line[..line.len() - line.trim_start().len()];
            let last = last.map(|before| format!("{before}{}", paint(&name)));
            last.or(first.map(|rest| format!("{indent}{}{rest}", paint(&name))))
        });
        out += &painted.unwrap_or_else(|| line.to_owned());
        out += end;
    }
    out
}

/// Each verdict, and its colour on a terminal: green, yellow, magenta, red.
const VERDICTS: [(Verdict, u8); 4] =
    [(Verdict::Pass, 32), (Verdict::Inconclusive, 33), (Verdict::Invalid, 35), (Verdict::Fail, 31)];

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

    #[test]
    fn a_verdict_alone_has_a_colour() {
        let red = |text: &str| format!("\u{1b}[1;31m{text}\u{1b}[0m");
        let text =
            "FAIL   link: A->B carried 1 of 2 Mbit/s\n  Throughput  PASS or FAIL\nloss  FAIL\n";
        let expected = format!(
            "{}   link: A->B carried 1 of 2 Mbit/s\n  Throughput  PASS or FAIL\nloss  {}\n",
            red("FAIL"),
            red("FAIL")
        );
        assert_eq!(coloured(text), expected);
        assert_eq!(coloured("FAILED\nnothing"), "FAILED\nnothing");
    }

    #[test]
    fn the_files_are_named_with_the_command_that_shows_them() {
        let text = files_text("run-1", false);
        assert!(text.starts_with("Files: run-1/report.json, report.txt, "), "{text}");
        assert!(text.ends_with("Details: linkqual show run-1 --verbose\n"), "{text}");
        assert!(files_text("run-1/", true).starts_with("Files: run-1/report.json, "));
    }
}
