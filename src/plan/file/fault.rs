//! What is wrong with a plan's text: each fault names its line, its field and its value, and stands
//! alone; all of them are reported together.

use crate::account::plain;
use std::collections::BTreeSet;
use std::fmt;

/// Faults that are shown: more than a person reads at once.
pub const SHOWN_MAX: usize = 20;

/// Characters of the file's own text that a message repeats.
const REPEATED_MAX: usize = 64;

/// Octets of the file's text, from the first to the one behind the last.
pub(super) type Octets = (usize, usize);

/// Where something stands in the file, and what stands there.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    /// Its line, 1 the first.
    pub(super) line: usize,
    /// Its field's whole name, such as "require.forward.loss" or "test\[0].rate".
    pub(super) name: String,
    /// Its value as it is written; `None` of a table.
    pub(super) value: Option<String>,
    /// Its key; `None` of what is not there.
    pub(super) key: Option<Octets>,
    /// What is marked where it is wrong: its value, or its key where it is a table.
    pub(super) mark: Option<Octets>,
}

impl Place {
    /// A field, or the plan itself, that is not there.
    pub(super) fn absent(name: &str) -> Self {
        Self { line: 1, name: name.to_owned(), ..Self::default() }
    }

    /// A field that this table lacks: where it stands is where the table does.
    pub(super) fn field(&self, key: &str) -> Self {
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        Self { name, value: None, ..self.clone() }
    }

    /// The same, to mark its key.
    pub(super) fn of_key(&self) -> Self {
        Self { mark: self.key, ..self.clone() }
    }

    /// The field, its value and its line, for a message about another.
    pub(super) fn described(&self) -> String {
        let value = self.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}{value} (line {})", self.name, self.line)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    pub(super) place: Place,
    pub(super) what: String,
    /// What was likely meant.
    pub(super) meant: Option<String>,
    /// What there is instead.
    pub(super) help: Option<String>,
    /// Another place that has to do with it, and what it is there.
    pub(super) beside: Option<(Place, String)>,
}

impl Fault {
    /// `what` is wrong with what stands at `place`, and what is allowed there.
    pub(super) fn new(place: &Place, what: impl Into<String>) -> Self {
        let (place, what) = (place.clone(), what.into());
        Self { place, what, meant: None, help: None, beside: None }
    }

    /// It was likely `meant`, where something was; and `help` says what there is.
    pub(super) fn suggest(&mut self, meant: Option<&str>, help: impl Into<String>) {
        self.meant = meant.map(|meant| format!("did you mean '{meant}'?"));
        self.help = Some(help.into());
    }

    /// What stands at `other` has to do with it, being `what`.
    pub(super) fn beside(&mut self, other: &Place, what: &str) {
        self.beside = Some((other.clone(), what.to_owned()));
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

    /// The field, its value, and what is wrong with it.
    pub(super) fn title(&self) -> String {
        let Place { name, value, .. } = &self.place;
        let value = value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        let colon = if name.is_empty() { "" } else { ": " };
        format!("{name}{value}{colon}{}", self.what)
    }
}

impl fmt::Display for Fault {
    /// On one line, which says all but where.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        let more: Vec<&str> =
            [&self.meant, &self.help].into_iter().flatten().map(|text| text.as_str()).collect();
        if more.is_empty() { Ok(()) } else { write!(f, ": {}", more.join(" ")) }
    }
}

/// All that is wrong with a file, by line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Faults {
    pub(super) file: String,
    pub(super) text: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// Those of `file` with this text, in any order; each is reported once.
    pub(super) fn of(file: &str, text: String, mut faults: Vec<Fault>) -> Self {
        let mut seen = BTreeSet::new();
        faults.retain(|fault| seen.insert(fault.clone()));
        // Those of one line stay in the order in which they were found.
        faults.sort_by_key(Fault::line);
        Self { file: plain(file), text, faults }
    }

    /// Each, by line.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The first of them, [`SHOWN_MAX`] at most; and how many more there are, where there are.
    pub(super) fn shown(&self) -> (&[Fault], Option<String>) {
        let (shown, rest) = self.faults.split_at(self.faults.len().min(SHOWN_MAX));
        let (file, more) = (&self.file, rest.len());
        (shown, (0 < more).then(|| format!("{file}: and {more} more: fix these first")))
    }
}

impl fmt::Display for Faults {
    /// A line for each, up to [`SHOWN_MAX`] of them, and how many more there are. For a terminal,
    /// [`Faults::annotated`] shows them in their places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = self.shown();
        let line = |fault: &Fault| format!("{}:{}: {fault}", self.file, fault.line());
        let lines: Vec<String> = shown.iter().map(line).chain(more).collect();
        f.write_str(&lines.join("\n"))
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
        let place = Place { line, value: Some("1".into()), ..Place::absent(name) };
        Fault::new(&place, "not so")
    }

    #[test]
    fn faults_are_reported_by_line_and_each_once() {
        let faults = Faults::of(
            "plan.toml",
            String::new(),
            vec![fault(9, "b"), fault(2, "a"), fault(9, "b")],
        );
        assert_eq!(faults.to_string(), "plan.toml:2: a = 1: not so\nplan.toml:9: b = 1: not so");
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let many = |count| (0..count).map(|i| fault(i + 1, &format!("key{i}"))).collect();
        let shown = |count| Faults::of("plan.toml", String::new(), many(count)).to_string();
        assert_eq!(shown(SHOWN_MAX).lines().count(), SHOWN_MAX);
        assert!(shown(SHOWN_MAX).ends_with("plan.toml:20: key19 = 1: not so"));
        assert_eq!(shown(SHOWN_MAX + 1).lines().count(), SHOWN_MAX + 1);
        assert!(shown(SHOWN_MAX + 1).ends_with("plan.toml: and 1 more: fix these first"));
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
