//! `known_agents`: the keys of agents, a line each, and comments.
//!
//! ```text
//! # what was typed, with its port; its key
//! 172.16.0.2:4872 linkqual-ed25519 MCowBQYDK2VwAyEA… comment
//! ```
//!
//! An agent is known by what is typed for it and by nothing else: another name of the same host, or
//! its address, is another agent. A line of another agent is not looked at, whatever it holds.

use crate::wire::PORT;
use crate::wire::key::{KeyLine, MalformedKey, PublicKey};
use std::net::SocketAddr;

/// The longest line that is read: a host of 255 octets, a key and a comment are below.
const LINE_OCTETS_MAX: usize = 1_024;

/// The key of `host` in `text`; `None` where no line is of it.
pub(super) fn find(text: &str, host: &str) -> Result<Option<PublicKey>, Unclear> {
    let mut found: Option<(usize, PublicKey)> = None;
    for (line, rest) in lines_of(text, host) {
        let why = |source| Unclear::Malformed { line, source };
        if LINE_OCTETS_MAX < rest.len() {
            return Err(Unclear::Long { line });
        }
        let key = rest.parse::<KeyLine>().map_err(why)?.key();
        match found {
            Some((first, other)) if other != key => return Err(Unclear::Twice { first, line }),
            Some(_) => {}
            None => found = Some((line, key)),
        }
    }
    Ok(found.map(|(_, key)| key))
}

/// The agents that are known, and why a line is of none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KnownAgents {
    /// Each name, with its port, and the key, in the order of the file.
    pub agents: Vec<(String, PublicKey)>,
    /// What is wrong with the others.
    pub unclear: Vec<String>,
}

/// All agents of `text`, which is of the file `name`.
pub(super) fn all(text: &str, name: &str) -> KnownAgents {
    let mut known = KnownAgents::default();
    for (line, text) in numbered(text) {
        let text = text.trim_matches([' ', '\t', '\r']);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (host, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let host = match host.parse::<SocketAddr>().is_ok() || has_port(host) {
            true => host.to_owned(),
            false => format!("{host}:{PORT}"),
        };
        let key = match rest.len() <= LINE_OCTETS_MAX {
            true => rest.parse::<KeyLine>().map_err(|source| Unclear::Malformed { line, source }),
            false => Err(Unclear::Long { line }),
        };
        match key {
            Ok(key) => known.agents.push((host, key.key())),
            Err(why) => known.unclear.push(format!("{name}:{why}")),
        }
    }
    known
}

/// Whether `host`, a name or an address as it was typed, ends with a port.
fn has_port(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(name, port)| (!name.contains(':'), port));
    port.is_some_and(|(is_port, port)| is_port && port.parse::<u16>().is_ok())
}

/// The line of `host`.
pub(super) fn line(host: &str, key: PublicKey) -> String {
    let key = KeyLine::new(key, "").expect("an empty comment is allowed");
    format!("{host} {key}")
}

/// `text` without the lines of `host`, whole lines all; `None` where it has none.
pub(super) fn without(text: &str, host: &str) -> Option<String> {
    let own: Vec<usize> = lines_of(text, host).map(|(line, _)| line).collect();
    let others = numbered(text).filter(|(line, _)| !own.contains(line));
    let others = others.map(|(_, text)| format!("{text}\n")).collect();
    (!own.is_empty()).then_some(others)
}

/// The lines of `host` in `text`, by their number, and what stands in them behind it.
fn lines_of<'a>(text: &'a str, host: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let usual = format!(":{PORT}");
    numbered(text).filter_map(move |(line, text)| {
        let (name, rest) = text.trim_matches([' ', '\t', '\r']).split_once([' ', '\t'])?;
        // Somebody who writes a line need not know the usual port.
        let is_it = name == host || host.strip_suffix(&usual) == Some(name);
        is_it.then_some((line, rest))
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).split_terminator('\n'))
}

/// Why it is not clear which key an agent has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unclear {
    /// Its line has no key.
    #[error("{line}: {source}")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: MalformedKey,
    },
    /// Its line is longer than any.
    #[error(
        "{line}: longer than {LINE_OCTETS_MAX} octets, so it is no line of this file. Remove it"
    )]
    Long {
        /// The line, counted from 1.
        line: usize,
    },
    /// Two of its lines have different keys.
    #[error(
        "{line}: another key for the agent of line {first}. Ask its operator which one is right \
         (linkqual-agent key), and remove the other line"
    )]
    Twice {
        /// The line, counted from 1.
        line: usize,
        /// The line before it.
        first: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "172.16.0.2:4872";
    const ALICE: &str =
        "linkqual-ed25519 MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    const OTHER: &str =
        "linkqual-ed25519 MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuA=";

    fn alice() -> PublicKey {
        ALICE.parse::<KeyLine>().unwrap().key()
    }

    #[test]
    fn an_agent_is_known_by_what_was_typed_and_its_port() {
        for text in [
            format!("{HOST} {ALICE}"),
            format!("# agents\n\n{HOST}\t {ALICE} vpc agent\n"),
            format!("\u{feff}{HOST} {ALICE}\r\n"),
            format!("172.16.0.2 {ALICE}\n"),
            format!("10.0.0.1:4872 {OTHER}\n{HOST} {ALICE}\n{HOST} {ALICE} again\n"),
        ] {
            assert_eq!(find(&text, HOST), Ok(Some(alice())), "{text:?}");
        }
        for text in [
            String::new(),
            format!("#{HOST} {ALICE}\n"),
            format!("172.16.0.2:4873 {ALICE}\n"),
            format!("172.16.0.20:4872 {ALICE}\n"),
            format!("{HOST}, {ALICE}\n"),
            format!("{HOST}\n"),
            format!("{ALICE} {HOST}\n"),
            format!("a\r{HOST} {ALICE}\n"),
        ] {
            assert_eq!(find(&text, HOST), Ok(None), "{text:?}");
        }
        assert_eq!(find(&format!("AGENT.example:4872 {ALICE}"), "agent.example:4872"), Ok(None));
    }

    #[test]
    fn what_is_not_clear_is_refused_with_its_line() {
        let twice = format!("\n{HOST} {ALICE}\n# b\n{HOST} {OTHER}\n");
        assert_eq!(find(&twice, HOST), Err(Unclear::Twice { first: 2, line: 4 }));
        let long = format!("{HOST} {ALICE} {}", "a".repeat(1_000));
        assert_eq!(find(&long, HOST), Err(Unclear::Long { line: 1 }));
        for rest in ["ssh-ed25519 AAAA", "linkqual-ed25519 AAAA", &format!("{ALICE} a\u{1b}[2Jb")] {
            let error = find(&format!("{HOST} {rest}"), HOST).unwrap_err();
            assert!(matches!(error, Unclear::Malformed { line: 1, .. }), "{error}");
        }
        // A carriage return begins no line: what a terminal would show over it is a comment.
        let hidden = format!("{HOST} {ALICE}\rx {OTHER}\n");
        assert_eq!(find(&hidden, HOST), Ok(Some(alice())));
        // What is wrong with other agents' lines is not this one's.
        let others = format!("a b c\n\u{0}\n{}\n{HOST} {ALICE}\n", "x".repeat(100_000));
        assert_eq!(find(&others, HOST), Ok(Some(alice())));
    }

    #[test]
    fn the_lines_of_one_agent_are_taken_out_and_the_others_stay_as_they_are() {
        let text = format!("# a\r\n{HOST} {OTHER}\nb:1 {ALICE}  c\n{HOST} {ALICE}");
        assert_eq!(without(&text, HOST), Some(format!("# a\r\nb:1 {ALICE}  c\n")));
        assert_eq!(without(&text, "b:2"), None);
        let own = line(HOST, alice());
        assert_eq!(own, format!("{HOST} {ALICE}"));
        assert_eq!(find(&own, HOST), Ok(Some(alice())));
    }

    #[test]
    fn all_agents_are_listed_with_their_ports_and_lines_that_are_none_are_said() {
        let text = format!(
            "# agents\n\n{HOST} {ALICE}\n10.0.0.1 {OTHER} b\r\n[::1]:99 {ALICE}\nname:1 x\n"
        );
        let KnownAgents { agents, unclear } = all(&text, "known_agents");
        let hosts: Vec<&str> = agents.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, [HOST, "10.0.0.1:4872", "[::1]:99"]);
        assert_eq!(agents[0].1, alice());
        assert!(unclear.len() == 1 && unclear[0].starts_with("known_agents:6: "), "{unclear:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = all(&text, "known_agents");
            let _ = find(&text, HOST);
            let _ = find(&format!("{HOST} {text}"), HOST);
            let _ = without(&text, HOST);
        }
    }
}
