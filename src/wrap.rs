//! Lines of text for a terminal: what every text that is printed is set in.

use std::fmt::Write as _;

/// The most columns of a line; a table may need a few more.
pub(crate) const WIDTH: usize = 100;

/// Adds a line to a text. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        writeln!($out, $($text)*).expect("a String takes any text")
    }};
}

pub(crate) use line;

/// A sentence in lines, those after the first set in by four.
pub(crate) fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && WIDTH < line.chars().count() + 1 + word.chars().count() {
            writeln!(out, "{line}").expect("a String takes any text");
            line = format!("{indent}    ");
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{line}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_set_in_lines_that_fit() {
        let mut out = String::new();
        wrapped(&mut out, "  ", &"word ".repeat(30));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("      word"), "{out}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{out}");
        let mut long = String::new();
        wrapped(&mut long, "", &"x".repeat(150));
        assert_eq!(long.len(), 151, "what has no place to be broken at stands whole");
    }
}
