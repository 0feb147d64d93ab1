//! The lines of a calendar: unfolded, and cut into name, parameters and value (RFC 5545, section
//! 3.1).

use super::fault::Fault;

/// A property.
#[derive(Debug)]
pub(super) struct Line {
    /// The line in the file, from 1, on which it begins.
    pub(super) number: usize,
    /// Its name, in capitals.
    pub(super) name: String,
    parameters: Vec<(String, String)>,
    /// Its value, as it stands.
    pub(super) value: String,
}

impl Line {
    /// The value of its parameter of that name, without quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its value as a text, for people: without escapes, and in one line (section 3.3.11).
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut chars = self.value.chars();
        while let Some(next) = chars.next() {
            text.push(match next {
                '\\' => match chars.next() {
                    Some('n' | 'N') | None => ' ',
                    Some(escaped) => escaped,
                },
                next if next.is_control() => ' ',
                next => next,
            });
        }
        text.trim().to_owned()
    }
}

/// The lines of `text`; empty ones are left out.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line, Fault>> + '_ {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical = text.lines().enumerate().peekable();
    std::iter::from_fn(move || {
        loop {
            let (place, first) = physical.next()?;
            let mut whole = first.to_owned();
            while let Some((_, more)) = physical.next_if(|(_, it)| it.starts_with([' ', '\t'])) {
                whole.push_str(&more[1..]);
            }
            if !whole.trim().is_empty() {
                return Some(cut(place + 1, &whole));
            }
        }
    })
}

fn cut(number: usize, line: &str) -> Result<Line, Fault> {
    let wrong = || Fault::new(number, "not a line of a calendar, such as SUMMARY:freeze");
    let mut is_quoted = false;
    let colon = line.char_indices().find(|(_, next)| {
        is_quoted ^= *next == '"';
        *next == ':' && !is_quoted
    });
    let (at, _) = colon.ok_or_else(wrong)?;
    let (head, value) = (&line[..at], line[at + 1..].to_owned());
    let mut parts = split_outside_quotes(head).into_iter();
    let name = parts.next().unwrap_or_default().to_ascii_uppercase();
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(wrong());
    }
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.to_ascii_uppercase(), value.trim_matches('"').to_owned()))
    };
    let parameters = parts.map(parameter).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok(Line { number, name, parameters, value })
}

fn split_outside_quotes(head: &str) -> Vec<&str> {
    let (mut parts, mut from, mut is_quoted) = (Vec::new(), 0, false);
    for (at, next) in head.char_indices() {
        is_quoted ^= next == '"';
        if next == ';' && !is_quoted {
            parts.push(&head[from..at]);
            from = at + 1;
        }
    }
    parts.push(&head[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_outside_its_quotes() {
        let text = "DTSTART;X=\"a;b:c\";TZID=\"China Standard Time\":2026\n\t1224\n\nend:vevent\n";
        let lines: Vec<Line> = lines(text).collect::<Result<_, _>>().expect("lines");
        assert_eq!(lines[0].name, "DTSTART");
        assert_eq!(lines[0].parameter("TZID"), Some("China Standard Time"));
        assert_eq!((lines[0].number, lines[0].value.as_str()), (1, "20261224"));
        assert_eq!((lines[1].number, lines[1].name.as_str()), (4, "END"));
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for wrong in ["no colon", ":x", "A B:x", "A;B:x", "A;\"B=1:x"] {
            assert!(lines(wrong).next().expect("a line").is_err(), "{wrong}");
        }
    }
}
