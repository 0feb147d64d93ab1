//! Faults as a person reads them on a terminal: each with the line of the file that it is in, and
//! the place marked.
//!
//! The file is anyone's: of its text nothing is shown that a terminal would obey.

use super::fault::{Fault, Faults, Octets};
use crate::account::{is_control, plain};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// What stands in place of a character that is not shown.
const HIDDEN: char = '\u{fffd}';

impl Faults {
    /// Each fault with the line of the file and its place in it, up to
    /// [`SHOWN_MAX`](super::SHOWN_MAX) of them, and how many more there are; with the colours of a
    /// terminal where it is `coloured`.
    #[must_use]
    pub fn annotated(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let (shown, more) = self.shown();
        let groups = shown.iter().map(|fault| self.group(fault));
        let more = more.map(|more| Group::with_title(Level::ERROR.primary_title(more)));
        let shown: Vec<String> =
            groups.chain(more).map(|group| renderer.render(&[group])).collect();
        shown.join("\n\n")
    }

    fn group<'a>(&'a self, fault: &'a Fault) -> Group<'a> {
        let title = Level::ERROR.primary_title(plain(&fault.title()));
        let group = match fault.place.mark {
            Some(mark) => title.element(self.snippet(fault, mark)),
            // It stands nowhere.
            None => title.element(Origin::path(&self.file)),
        };
        match &fault.help {
            Some(help) => group.element(Level::HELP.message(plain(help))),
            None => group,
        }
    }

    fn snippet<'a>(
        &'a self,
        fault: &'a Fault,
        mark: Octets,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let beside = fault.beside.as_ref().and_then(|(place, what)| Some((place.mark?, what)));
        let marks = || std::iter::once(mark).chain(beside.map(|(mark, _)| mark));
        let first = marks().map(|(start, _)| self.line(start).0).min().unwrap_or_default();
        let last = marks().map(|(start, _)| self.line(start).1).max().unwrap_or_default();
        let above = self.text[..first].matches('\n').count();
        let span = |(start, end): Octets| {
            // Of what goes on over several lines, the first is marked.
            let end = end.min(self.line(start).1).max(start);
            let place = |at: usize| shown(&self.text[first..at]).len();
            place(start)..place(end)
        };
        let main = AnnotationKind::Primary.span(span(mark)).label(fault.meant.as_deref());
        let beside = beside
            .map(|(mark, what)| AnnotationKind::Context.span(span(mark)).label(what.as_str()));
        Snippet::source(shown(&self.text[first..last]))
            .line_start(above + 1)
            .path(self.file.as_str())
            .annotation(main)
            .annotations(beside)
    }

    /// Where the line begins that holds the octet `at`, and where it ends.
    fn line(&self, at: usize) -> (usize, usize) {
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |len| at + len);
        (start, end)
    }
}

/// The file's text, without what a terminal would obey, and with the line ends of one.
fn shown(text: &str) -> String {
    let is_kept = |c: char| matches!(c, '\n' | '\t') || !is_control(c);
    let chars = text.chars().filter(|c| *c != '\r');
    chars.map(|c| if is_kept(c) { c } else { HIDDEN }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use proptest::prelude::*;
    use std::path::Path;

    const ENDS: &str = "[driver]\nkey = 'd.key'\n[sites.vpc]\nagent = '10.0.0.7:99'\n\
                        key = 'a.pub'\n[[test]]\nkind = 'idle'\n";

    fn annotated(text: &str) -> String {
        let read = read(Path::new("plan.toml"), text).conclude();
        read.map_or_else(|faults| faults.annotated(false), |_| String::new())
    }

    #[test]
    fn what_was_meant_stands_at_the_place() {
        let expected = "error: test[0].durration = '30 s': no such key\n \
                        --> plan.toml:8:1\n  |\n\
                        8 | durration = '30 s'\n  \
                        | ^^^^^^^^^ did you mean 'duration'?\n  |\n  \
                        = help: test[0] has kind, site, direction, rate, duration, dscp, streams, \
                        size, burst_max, congestion_control, verify";
        assert_eq!(annotated(&format!("{ENDS}durration = '30 s'\n")), expected);
        let of_another_editor = format!("\u{feff}{ENDS}durration = '30 s'\n").replace('\n', "\r\n");
        assert_eq!(annotated(&of_another_editor), expected);
    }

    #[test]
    fn two_values_that_do_not_agree_are_both_marked() {
        let link = "[link]\nrate = '11 Mbit/s'\nname = 'EC-7'\ncircuit = '7'\n\n\
                    port_rate = '10 Mbit/s'\n";
        let expected = "error: link.rate = '11 Mbit/s': above link.port_rate = '10 Mbit/s' (line \
                        13): no more can be committed than the port carries\n  \
                        --> plan.toml:9:8\n   |\n \
                        9 | rate = '11 Mbit/s'\n   \
                        |        ^^^^^^^^^^^\n\
                        ...\n\
                        13 | port_rate = '10 Mbit/s'\n   \
                        |             ----------- the limit";
        assert_eq!(annotated(&format!("{ENDS}{link}")), expected);
    }

    #[test]
    fn what_is_not_there_is_reported_at_its_table_or_at_the_file() {
        let sites = ENDS.replace("agent = '10.0.0.7:99'\n", "");
        let expected = "error: sites.vpc.agent: is missing: where its agent listens, such as agent \
                        = \"172.16.0.2:4872\"\n \
                        --> plan.toml:3:8\n  |\n\
                        3 | [sites.vpc]\n  |        ^^^";
        assert_eq!(annotated(&sites), expected);
        let test = ENDS.replace("[[test]]\nkind = 'idle'\n", "");
        let expected = "error: test: no test: at least one is needed, such as [[test]] with kind = \
                        \"idle\"\n--> plan.toml";
        assert_eq!(annotated(&test), expected);
    }

    #[test]
    fn each_fault_of_what_is_no_toml_is_shown() {
        let shown = annotated("[link]\nname = 'a\nrate = 500 Mbit/s\n[driver\n");
        let places: Vec<&str> = shown.lines().filter(|line| line.contains("--> ")).collect();
        assert_eq!(places, [" --> plan.toml:2:10", " --> plan.toml:3:8", " --> plan.toml:4:8"]);
    }

    /// Of a text over several lines too, of which the first is marked.
    #[test]
    fn a_file_gives_a_terminal_no_orders() {
        let shown = annotated("keys = \"\"\"a\u{9b}31m\u{202e}\nb\"\"\"\n");
        assert!(shown.contains("1 | keys = \"\"\"a\u{fffd}31m\u{fffd}\n"), "{shown}");
        let is_safe = |c: char| c == '\n' || !crate::account::is_control(c);
        assert!(shown.chars().all(is_safe), "{shown:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_annotated_without_panic(
            text in "(?s).{0,80}",
            lines in "([a\\[\\]='\"\r\t\u{3b1}\u{4e00}]{0,9}\n?){0,9}",
        ) {
            for text in [&text, &lines, &format!("{ENDS}{text}"), &format!("{ENDS}{lines}")] {
                let shown = annotated(text);
                let is_safe = |c: char| c == '\n' || !crate::account::is_control(c);
                prop_assert!(shown.chars().all(is_safe), "{:?}", shown);
            }
        }
    }
}
