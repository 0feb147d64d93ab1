//! Lines and tables of text for people: what every text that is printed is set in.
//!
//! Widths are those of a terminal's cells, so that names of any script stand in their columns. No
//! text has control sequences: it goes to files as well.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement};
use std::fmt::{self, Write};
use textwrap::core::Word;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr};

/// The columns of a line in files; a wider terminal has no longer lines, which nobody reads.
pub(crate) const WIDTH: usize = 100;

/// The fewest columns that a text is set in, however narrow a terminal is.
pub(crate) const WIDTH_MIN: usize = 60;

/// Adds a line to a page. Writing to it cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        writeln!($out, $($text)*).expect("a page takes any text")
    }};
}

pub(crate) use line;

/// A text that is being set, line by line.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    columns: usize,
}

impl Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.write_str(text)
    }
}

impl Page {
    /// An empty one for a terminal of so many columns, from [`WIDTH_MIN`] to [`WIDTH`]; for a file
    /// where there is none.
    pub(crate) fn new(terminal: Option<usize>) -> Self {
        let columns = terminal.unwrap_or(WIDTH).clamp(WIDTH_MIN, WIDTH);
        Self { text: String::new(), columns }
    }

    /// The same, for a program where there is no terminal: no line is broken.
    pub(crate) fn listing(terminal: Option<usize>) -> Self {
        match terminal {
            Some(_) => Self::new(terminal),
            None => Self { text: String::new(), columns: u16::MAX.into() },
        }
    }

    /// What was set.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Adds a sentence in lines, those after the first set in by four more.
    pub(crate) fn wrapped(&mut self, indent: &str, text: &str) {
        self.hung(indent, &format!("{indent}    "), text);
    }

    /// Adds a sentence in lines: the first begins with `first`, those behind it with `behind`.
    pub(crate) fn hung(&mut self, first: &str, behind: &str, text: &str) {
        let options = Options::new(self.columns)
            .initial_indent(first)
            .subsequent_indent(behind)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation)
            .word_separator(WordSeparator::Custom(words))
            .wrap_algorithm(WrapAlgorithm::FirstFit);
        for line in textwrap::wrap(&glued(text), options) {
            line!(self, "{}", unglued(line.trim_end()));
        }
    }

    /// Adds a table, set in by `indent`.
    pub(crate) fn table(&mut self, indent: &str, table: &Table) {
        table.set(self, indent);
    }
}

/// A space at which no line is broken, and that is kept where it stands.
pub(crate) const GLUE: char = '\u{a0}';

/// What stands behind a number, and is not parted from it.
#[rustfmt::skip]
const UNITS: [&str; 19] = [
    "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "us", "ms", "s", "min", "h", "%", "KiB", "MiB", "B",
    "kB", "MB", "GB", "octets", "packets", "ppm",
];

/// What stands before a number, likewise.
const RELATIONS: [&str; 3] = ["<=", ">=", "±"];

/// `text` on one line, each number with its unit and its relation.
fn glued(text: &str) -> String {
    let mut out = String::new();
    let mut before = "";
    let is_space = |c: char| c.is_whitespace() && c != GLUE;
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        let unit = word.trim_end_matches([',', ';', ':', '.', ')']);
        let is_number = before.ends_with(|c: char| c.is_ascii_digit());
        let belongs = is_number && UNITS.contains(&unit)
            || RELATIONS.iter().any(|sign| before.ends_with(sign));
        if !out.is_empty() {
            out.push(if belongs { GLUE } else { ' ' });
        }
        out += word;
        before = word;
    }
    out
}

fn unglued(text: &str) -> String {
    text.replace(GLUE, " ")
}

/// The words of a line: it may be broken behind spaces, and between wide characters, which stand
/// without spaces, unless the second closes what is before it.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    const CLOSING: &str = "，。、；：？！）》」』】";
    let is_wide = |c: char| c.width() == Some(2);
    let mut pieces = Vec::new();
    let (mut start, mut before) = (0, None);
    for (at, c) in line.char_indices() {
        let breaks = match before {
            None => false,
            Some(' ') => c != ' ',
            Some(before) => is_wide(before) && is_wide(c) && !CLOSING.contains(c),
        };
        if breaks {
            pieces.push(Word::from(&line[start..at]));
            start = at;
        }
        before = Some(c);
    }
    pieces.push(Word::from(&line[start..]));
    Box::new(pieces.into_iter())
}

/// Marks where a row of a table begins, among its lines: a private character, one column wide.
const ROW: char = '\u{e000}';

/// Blanks between two columns.
const GAP: u16 = 2;

/// A text across all columns of a table, set in by so much more.
#[derive(Debug)]
struct Remark {
    indent: &'static str,
    text: String,
}

/// A table without lines around it. A row may have remarks below it, across all columns.
#[derive(Debug)]
pub(crate) struct Table {
    inner: comfy_table::Table,
    /// The remarks before the first row, and below each.
    remarks: Vec<Vec<Remark>>,
    has_header: bool,
}

impl Table {
    /// An empty one of these columns; where all of them are without a name, without a header.
    pub(crate) fn new(columns: &[impl AsRef<str>]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        let has_header = columns.iter().any(|name| !name.as_ref().is_empty());
        if has_header {
            inner.set_header(cells(columns));
        }
        Self { inner, remarks: vec![Vec::new()], has_header }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, row: &[impl AsRef<str>]) {
        self.inner.add_row(cells(row));
        self.remarks.push(Vec::new());
    }

    /// Adds a remark below the last row, or above the first.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.push("    ", text.into());
    }

    fn push(&mut self, indent: &'static str, text: String) {
        let last = self.remarks.last_mut().expect("one for the header");
        last.push(Remark { indent, text });
    }

    /// Sets the columns at `places` to the right: numbers of one unit.
    pub(crate) fn right(mut self, places: &[usize]) -> Self {
        // Columns are there as soon as a row or a header is.
        for place in places {
            if let Some(column) = self.inner.column_mut(*place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    fn set(&self, page: &mut Page, indent: &str) {
        let mut table = self.inner.clone();
        let last = table.column_count().saturating_sub(1);
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if place == last { 0 } else { GAP }));
        }
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        // The mark of a row takes a column of its own.
        let columns = page.columns.saturating_sub(indent.width()).saturating_add(1);
        table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
        let mut remarks = self.remarks.iter();
        let mut below = if self.has_header { None } else { remarks.next() };
        for text in table.lines() {
            let text = match text.strip_prefix(ROW) {
                Some(text) => {
                    remark(page, indent, below);
                    below = remarks.next();
                    text
                }
                None => text.strip_prefix(' ').unwrap_or(&text),
            };
            line!(page, "{}", unglued(format!("{indent}{text}").trim_end()));
        }
        remark(page, indent, below);
    }
}

fn remark(page: &mut Page, indent: &str, remarks: Option<&Vec<Remark>>) {
    for remark in remarks.into_iter().flatten() {
        page.wrapped(&format!("{indent}{}", remark.indent), &remark.text);
    }
}

/// The cells of a row, the first with the mark.
fn cells(row: &[impl AsRef<str>]) -> Vec<String> {
    let mark = |place| if place == 0 { ROW.to_string() } else { String::new() };
    let each = row.iter().enumerate();
    each.map(|(place, cell)| mark(place) + &broken(cell.as_ref())).collect()
}

/// A cell's lines, each number with its unit.
fn broken(cell: &str) -> String {
    cell.lines().map(glued).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(indent: &str, text: &str) -> String {
        let mut page = Page::new(None);
        page.wrapped(indent, text);
        page.into_text()
    }

    #[test]
    fn a_sentence_is_set_in_lines_that_fit() {
        let out = wrapped("  ", &"word ".repeat(30));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("      word"), "{out}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{out}");
        let long = wrapped("", &"x".repeat(150));
        assert_eq!(long.len(), 151, "what has no place to be broken at stands whole");
    }

    #[test]
    fn a_page_is_as_wide_as_is_asked() {
        let mut page = Page::new(Some(70));
        page.wrapped("", &"word ".repeat(30));
        let widest = page.into_text().lines().map(str::len).max();
        assert_eq!(widest, Some(69));
        assert_eq!([3, 300].map(|columns| Page::new(Some(columns)).columns), [WIDTH_MIN, WIDTH]);
    }

    #[test]
    fn a_listing_for_a_program_has_a_line_for_each_row() {
        let mut steps = Table::new(&["", ""]);
        steps.row(&["passes".to_owned(), "word ".repeat(40)]);
        let lines = |terminal| {
            let mut page = Page::listing(terminal);
            page.table("  ", &steps);
            page.into_text().lines().count()
        };
        assert_eq!([None, Some(80)].map(lines), [1, 3]);
    }

    #[test]
    fn a_number_is_not_parted_from_its_unit() {
        let out = wrapped("", &format!("{} 60 s of load", "x".repeat(97)));
        assert_eq!(out.lines().nth(1), Some("    60 s of load"), "{out}");
        let out = wrapped("", &format!("{} (<= 5.7 GB)", "x".repeat(90)));
        assert_eq!(out.lines().nth(1), Some("    (<= 5.7 GB)"), "{out}");
        let out = wrapped("", &format!("{} 60 apples", "x".repeat(97)));
        assert_eq!(out.lines().nth(1), Some("    apples"), "{out}");
    }

    /// Each of these characters takes two columns, and no space is between them.
    #[test]
    fn wide_text_is_broken_where_it_has_no_spaces() {
        let out = wrapped("", &"上海到北京专线".repeat(10));
        let widths: Vec<usize> = out.lines().map(UnicodeWidthStr::width).collect();
        assert_eq!(widths, [100, 44], "{out}");
        let stop = wrapped("", &format!("{}。", "上".repeat(50)));
        assert_eq!(
            stop.lines().nth(1),
            Some("    上。"),
            "no line begins with a full stop: {stop}"
        );
    }

    fn table(width: usize, table: &Table) -> Vec<String> {
        let mut page = Page::new(Some(width));
        page.table("  ", table);
        page.into_text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_of_any_script_stand_below_each_other() {
        let mut cities = Table::new(&["site", "verdict"]);
        cities.row(&["上海", "PASS"]);
        cities.row(&["vpc", "FAIL"]);
        cities.row(&["café", "PASS"]);
        let lines = table(WIDTH, &cities);
        assert_eq!(lines, ["  site  verdict", "  上海  PASS", "  vpc   FAIL", "  café  PASS"]);
    }

    #[test]
    fn remarks_stand_below_their_row_also_where_that_is_broken() {
        let mut long = Table::new(&["metric", "measured", "verdict"]);
        let measured = "17.76 Mbit/s (17.5 Mbit/s to 18 Mbit/s) and so on, and so on";
        long.row(&["throughput", measured, "FAIL"]);
        long.remark("why");
        long.row(&["loss", "0 %", "PASS"]);
        let expected = [
            "  metric      measured                                         verdict",
            "  throughput  17.76 Mbit/s (17.5 Mbit/s to 18 Mbit/s) and so   FAIL",
            "              on, and so on",
            "      why",
            "  loss        0 %                                              PASS",
        ];
        assert_eq!(table(70, &long), expected);
        assert!(table(100, &long).iter().all(|line| !line.contains("  on, and")));
    }

    #[test]
    fn a_table_without_names_of_columns_has_no_header() {
        let mut bare = Table::new(&["", ""]);
        bare.row(&["sent", "9"]);
        bare.remark("below");
        bare.row(&["received", "10"]);
        let bare = bare.right(&[1]);
        assert_eq!(table(80, &bare), ["  sent       9", "      below", "  received  10"]);
    }
}
