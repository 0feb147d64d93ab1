//! What is said to people: results on the standard output, talk on the standard error.
//!
//! The programs alone name this file: what can be used as a library hands values over.

use super::bad_output::BadOutput;
use super::sys::{closed, screen};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;

/// Writes a result to the standard output.
///
/// # Errors
///
/// Where it is full, or whoever read it has gone: nobody heard the result.
pub fn print(text: &str) -> Result<(), BadOutput> {
    check_stdout()?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(BadOutput::Stdout)
}

/// Whether there is a standard output at all.
///
/// # Errors
///
/// Where it was closed when the program began.
pub fn check_stdout() -> Result<(), BadOutput> {
    closed::check_stdout().map_err(BadOutput::Stdout)
}

/// Columns of the terminal that the standard output is; `None` where it is none.
#[must_use]
pub fn columns() -> Option<usize> {
    screen::columns(io::stdout().as_fd())
}

/// Columns of the terminal that the standard error is; `None` where it is none.
#[must_use]
pub fn error_columns() -> Option<usize> {
    screen::columns(io::stderr().as_fd())
}

/// Writes talk to the standard error.
pub fn say(text: &str) {
    _ = writeln!(io::stderr().lock(), "{text}");
}

/// The longest answer that is read, in octets.
const ANSWER_MAX: u64 = 1_024;

/// Asks `question` on the standard error, and returns the line that is typed; `None` where no
/// person reads the one and types at the other, or hangs up.
#[must_use]
pub fn ask(question: &str) -> Option<String> {
    if !is_watched() || !io::stdin().is_terminal() {
        return None;
    }
    _ = io::stderr().lock().write_all(question.as_bytes());
    let mut answer = String::new();
    match io::stdin().lock().take(ANSWER_MAX).read_line(&mut answer) {
        Ok(1..) => Some(answer),
        _ => None,
    }
}

/// Whether a person reads the standard error.
#[must_use]
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether the standard output shows colours: a person reads it, and has not asked for none.
#[must_use]
pub fn is_output_coloured() -> bool {
    io::stdout().is_terminal() && may_colour()
}

/// Whether what is printed may have characters beyond ASCII, as the locale says: the first of the
/// usual variables that is set decides (POSIX, "Internationalization Variables").
#[must_use]
pub fn is_utf8() -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let first = set.find(|value| !value.is_empty());
    let name = first.map(|value| value.to_string_lossy().to_ascii_lowercase());
    name.is_some_and(|name| name.contains("utf-8") || name.contains("utf8"))
}

/// Whether the standard error shows colours: a person reads it, and has not asked for none.
#[must_use]
pub fn is_coloured() -> bool {
    is_watched() && may_colour()
}

fn may_colour() -> bool {
    // Any text asks, the empty one does not (no-color.org).
    let is_asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
    !is_asked_for_none && !is_dumb
}
