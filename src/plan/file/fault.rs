//! What is wrong with a plan's text: each fault names its line, its field and its value, and stands
//! alone; all of them are told together.

use std::collections::BTreeSet;
use std::fmt;

/// Faults that are shown: more than a person reads at once.
pub const SHOWN_MAX: usize = 100;

/// Characters of the file's own text that a message repeats.
const REPEATED_MAX: usize = 64;

/// Where something stands in the file, and what stands there.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    /// Its line, 1 the first.
    pub(super) line: usize,
    /// Its field's whole name, such as "require.forward.loss" or "test\[0].rate".
    pub(super) name: String,
    /// Its value as it is written; `None` of a table.
    pub(super) value: Option<String>,
}

impl Place {
    /// A field of this table, whether it is there or not.
    pub(super) fn field(&self, key: &str) -> Self {
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        Self { line: self.line, name, value: None }
    }

    /// The field, its value and its line, for a message about another.
    pub(super) fn told(&self) -> String {
        let value = self.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}{value} (line {})", self.name, self.line)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    place: Place,
    what: String,
}

impl Fault {
    /// `what` is wrong with what stands at `place`, and what is allowed there.
    pub(super) fn new(place: &Place, what: impl Into<String>) -> Self {
        Self { place: place.clone(), what: what.into() }
    }

    /// The line in the file.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.place.line
    }

    /// The field's whole name; empty where the text is no TOML.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.place.name
    }
}

/// All that is wrong with a file, by line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Faults {
    file: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// Those of `file`, in any order; each is told once.
    pub(super) fn of(file: &str, mut faults: Vec<Fault>) -> Self {
        let mut told = BTreeSet::new();
        faults.retain(|fault| told.insert(fault.clone()));
        // Those of one line stay in the order in which they were found.
        faults.sort_by_key(Fault::line);
        Self { file: repeated(file), faults }
    }

    /// Each, by line.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for Faults {
    /// A line for each, up to [`SHOWN_MAX`] of them, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        for (i, fault) in self.faults.iter().take(SHOWN_MAX).enumerate() {
            let Fault { place: Place { line, name, value }, what } = fault;
            let start = if i == 0 { "" } else { "\n" };
            write!(f, "{start}{file}:{line}: {name}")?;
            if let Some(value) = value {
                write!(f, " = {value}")?;
            }
            let colon = if name.is_empty() { "" } else { ": " };
            write!(f, "{colon}{what}")?;
        }
        match self.faults.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n{file}: and {more} more: mend these first"),
        }
    }
}

/// Text of a user's file, on one line, without what a terminal would obey, and not too long.
pub(super) fn repeated(text: &str) -> String {
    let mut shown = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == REPEATED_MAX {
            shown.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The one of `known` that `given` was most likely meant to be.
pub(super) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Two thirds alike, or the start of it: "durration", "dur".
    const ALIKE: f64 = 0.6;
    const START_MIN: usize = 3;
    let given: String = given.chars().take(REPEATED_MAX).collect();
    let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(&given, known);
    let likely = |known: &&str| {
        ALIKE <= likeness(known) || START_MIN <= given.len() && known.starts_with(given.as_str())
    };
    known.into_iter().filter(likely).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize, name: &str) -> Fault {
        Fault::new(&Place { line, name: name.into(), value: Some("1".into()) }, "not so")
    }

    #[test]
    fn faults_are_told_by_line_and_each_once() {
        let faults = Faults::of("plan.toml", vec![fault(9, "b"), fault(2, "a"), fault(9, "b")]);
        assert_eq!(faults.to_string(), "plan.toml:2: a = 1: not so\nplan.toml:9: b = 1: not so");
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let many = |count| (0..count).map(|i| fault(i + 1, &format!("key{i}"))).collect();
        let shown = |count| Faults::of("plan.toml", many(count)).to_string();
        assert_eq!(shown(SHOWN_MAX).lines().count(), SHOWN_MAX);
        assert!(shown(SHOWN_MAX).ends_with("plan.toml:100: key99 = 1: not so"));
        assert_eq!(shown(SHOWN_MAX + 1).lines().count(), SHOWN_MAX + 1);
        assert!(shown(SHOWN_MAX + 1).ends_with("plan.toml: and 1 more: mend these first"));
    }

    #[test]
    fn a_file_writes_no_line_and_no_colour_of_its_own() {
        assert_eq!(repeated("\"a\"\n\u{1b}[31m\u{202e}"), "\"a\"\\n\\u{1b}[31m\\u{202e}");
        assert_eq!(repeated(&"é".repeat(65)), "é".repeat(64) + "…");
    }

    #[test]
    fn the_nearest_name_is_one_that_could_have_been_meant() {
        let known = ["kind", "rate", "direction", "duration"];
        let nearest = |given| nearest(given, known);
        assert_eq!(nearest("durration"), Some("duration"));
        assert_eq!(nearest("rtae"), Some("rate"));
        assert_eq!(nearest("dur"), Some("duration"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest(""), None);
    }
}
