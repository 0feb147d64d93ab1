//! The formats of a report. A new one is a file in `formats/` and its line in the list below: what
//! `--out` leaves, what `--format` takes and what docs/report.md says of it follow.
//!
//! A format computes nothing: it writes down the record and its figures. The files are declared
//! one by one, and not by a macro over the list: `cargo fmt` sees no file that a macro declares.

pub(super) mod csv;
mod json;
mod markdown;
pub(super) mod text;

use super::record::Report;
use super::rendering::Rendering;

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
    of("json", "report.json", "programs, and judging again", json::render),
    of("text", "report.txt", "people", text::render),
    of("csv", "runs.csv", "spreadsheets and capacity planning", csv::render),
    of("markdown", "report.md", "tickets and wikis", markdown::render),
];

const fn of(
    name: &'static str,
    file: &'static str,
    about: &'static str,
    render: fn(&Report, &Rendering) -> String,
) -> Format {
    Format { name, file, about, render }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md");
    const HEADER: &str = "| format | file | for |\n|---|---|---|\n";

    /// The table in docs/report.md, made of the list: `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_schema_of_formats_in_the_docs_is_that_of_the_list() {
        let docs = std::fs::read_to_string(DOCS).expect("it is in the repository");
        let (before, rest) = docs.split_once(HEADER).expect("it has the table");
        let after = rest.find("\n\n").map_or("", |end| &rest[end + 1..]);
        let row = |format: &Format| {
            format!("| `{}` | `{}` | {} |\n", format.name, format.file, format.about)
        };
        let rows: String = FORMATS.iter().map(row).collect();
        let made = format!("{before}{HEADER}{rows}{after}");
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(DOCS, &made).expect("it is writable");
        }
        let docs = std::fs::read_to_string(DOCS).expect("it is in the repository");
        assert!(docs == made, "docs/report.md lacks a format: UPDATE_SCHEMA=1 cargo test schema");
    }
}
