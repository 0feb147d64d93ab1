//! The formats of a report. A new one is a file of its own and a line here: the files that `--out`
//! leaves follow from this list.

use super::record::Report;
use super::rendering::Rendering;
use super::{csv, text};

/// A format of a report.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Its file in the folder of a report.
    pub file: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The report in this format.
    pub render: fn(&Report, &Rendering) -> String,
}

/// Every format. The first is the record, from which all others can be made again.
pub const FORMATS: &[Format] = &[
    of("json", "report.json", "programs, and judging again", |report, _| report.to_json()),
    of("text", "report.txt", "people", text::render),
    of("csv", "runs.csv", "spreadsheets and capacity planning", csv::render),
];

const fn of(
    name: &'static str,
    file: &'static str,
    about: &'static str,
    render: fn(&Report, &Rendering) -> String,
) -> Format {
    Format { name, file, about, render }
}
