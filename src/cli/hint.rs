//! What somebody may have meant who typed an option of another tool, or a value in two words.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Units that a shell splits off a number.
const UNITS: [&str; 13] = [
    "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "kbps", "Mbps", "Gbps", "us", "ms", "s", "min", "h", "%",
];

/// `error` with a hint, where what is not known is an old acquaintance.
pub(super) fn hinted(mut error: clap::Error) -> clap::Error {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(typed))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return error;
    };
    if let Some(hint) = hint(typed) {
        let hint = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
        error.insert(ContextKind::Suggested, hint);
    }
    error
}

/// `error` with the `topics` that could have been asked for, where a command is not known.
#[cfg(feature = "driver")]
pub(super) fn with_topics(mut error: clap::Error, topics: &str) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand {
        let hint = StyledStr::from(format!("the topics of the manual are {topics}"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint]));
    }
    error
}

/// What to type in the place of `typed`.
fn hint(typed: &str) -> Option<String> {
    let is_unit = UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(typed));
    let hint = match typed {
        _ if is_unit => {
            return Some(format!(
                "a value with a space in it is one word in quotes, such as \"50 {typed}\", or is \
                 written without the space: 50{typed}"
            ));
        }
        "-c" | "--client" => "give the agent's address without an option: linkqual check HOST",
        "-s" | "--server" => "the far end runs a separate program: linkqual-agent",
        "-u" | "--udp" => "--rate loads with UDP, and --tcp-throughput with TCP",
        "-p" | "--port" => "give the port with the host: linkqual check HOST:PORT",
        "--time" => "-t TIME, or --duration TIME",
        "-i" | "--interval" => "report.json has the counts of each second: --json, or --out DIR",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_in_a_word_of_its_own_and_other_tools_options_are_answered() {
        for (typed, words) in [
            ("Mbit/s", "such as \"50 Mbit/s\", or is written without the space: 50Mbit/s"),
            ("mbps", "50mbps"),
            ("%", "50%"),
            ("-c", "linkqual check HOST"),
            ("-s", "linkqual-agent"),
            ("-u", "--rate loads with UDP"),
            ("-p", "HOST:PORT"),
        ] {
            let hint = hint(typed).expect(typed);
            assert!(hint.contains(words), "{hint}");
        }
        assert_eq!(hint("--nonsense"), None);
    }
}
