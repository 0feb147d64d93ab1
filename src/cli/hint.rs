//! What somebody may have meant who typed an option of another tool, or a value in two words.

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Units that a shell splits off a number.
const UNITS: [&str; 13] = [
    "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "kbps", "Mbps", "Gbps", "us", "ms", "s", "min", "h", "%",
];

/// `error` of the program `command` with a hint, where what is not known is an old acquaintance.
pub(super) fn hinted(command: &Command, error: clap::Error) -> clap::Error {
    let program = command.get_name();
    let place = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(place) else { return error };
    let hint = match error.kind() {
        ErrorKind::InvalidSubcommand => hint_of_word(program, typed),
        _ => hint(program, typed).or_else(|| hint_of_check(command, &usage_of(&error), typed)),
    };
    let Some(hint) = hint else { return error };
    // A new one: without the options or commands that only look like it.
    let mut hinted = clap::Error::new(error.kind()).with_cmd(command);
    for kind in [place, ContextKind::Usage] {
        if let Some(value) = error.get(kind) {
            hinted.insert(kind, value.clone());
        }
    }
    let hint = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
    hinted.insert(ContextKind::Suggested, hint);
    hinted
}

fn usage_of(error: &clap::Error) -> String {
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    }
}

/// What to type in the place of the word `typed`, which is no command.
fn hint_of_word(program: &str, typed: &str) -> Option<String> {
    let is_plan = typed.ends_with(".toml");
    let is_host = typed.contains(['.', ':']) && !typed.contains('/');
    match program {
        AGENT if is_host => Some(format!("to listen there: linkqual-agent --listen {typed}")),
        AGENT => None,
        _ if is_plan => Some(format!("to run a plan: linkqual run {typed}")),
        _ if is_host => Some(format!("to test the link to a host: linkqual check {typed}")),
        _ => None,
    }
}

/// The program of the far end.
const AGENT: &str = "linkqual-agent";

/// What to do where the option `typed` is one of `check`, and the command of `usage` has none such.
fn hint_of_check(program: &Command, usage: &str, typed: &str) -> Option<String> {
    let check = program.find_subcommand("check")?;
    let long = typed.strip_prefix("--")?;
    let is_one = check.get_arguments().any(|option| option.get_long() == Some(long));
    let way_on = match usage {
        _ if usage.contains("linkqual judge") => {
            "a saved report is judged by what a plan requires: --require PLAN.toml"
        }
        _ if usage.contains("linkqual run") => "here the plan says it: linkqual help plan",
        _ => return None,
    };
    is_one.then(|| format!("{typed} is an option of linkqual check; {way_on}"))
}

/// What to type in the place of the option `typed`.
fn hint(program: &str, typed: &str) -> Option<String> {
    let is_unit = UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(typed));
    let hint = match (program, typed) {
        _ if is_unit => {
            return Some(format!(
                "a value with a space in it is one word in quotes, such as \"50 {typed}\", or is \
                 written without the space: 50{typed}"
            ));
        }
        (AGENT, "-p" | "--port") => "give the port with --listen: linkqual-agent --listen :PORT",
        (AGENT, "-s" | "--server" | "-D" | "--daemon") => {
            "linkqual-agent serves without an option; a service manager keeps it in the background"
        }
        (_, "-c" | "--client") => "give the agent's address without an option: linkqual check HOST",
        (_, "-s" | "--server") => "the far end runs a separate program: linkqual-agent",
        (_, "-u" | "--udp") => "--rate loads with UDP, and --tcp-throughput with TCP",
        (_, "-p" | "--port") => "give the port with the host: linkqual check HOST:PORT",
        (_, "--time") => "-t TIME, or --duration TIME",
        (_, "--bandwidth" | "--bitrate") => "-b RATE, or --rate RATE",
        (_, "-i" | "--interval") => {
            "report.json has the counts of each second: --json, or --out DIR"
        }
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
            let hint = hint("linkqual", typed).expect(typed);
            assert!(hint.contains(words), "{hint}");
        }
        assert_eq!(hint("linkqual", "--nonsense"), None);
        let of_agent = hint(AGENT, "-p").expect("a port");
        assert!(of_agent.contains("--listen :PORT"), "{of_agent}");
    }

    #[test]
    fn a_host_in_the_place_of_a_command_is_to_be_checked_and_a_plan_run() {
        for (program, typed, words) in [
            ("linkqual", "10.61.2.2", "linkqual check 10.61.2.2"),
            ("linkqual", "gw.example:4873", "linkqual check gw.example:4873"),
            ("linkqual", "plan.toml", "linkqual run plan.toml"),
            (AGENT, "10.61.2.2", "linkqual-agent --listen 10.61.2.2"),
        ] {
            assert!(hint_of_word(program, typed).expect(typed).ends_with(words), "{typed}");
        }
        assert_eq!(hint_of_word("linkqual", "chek"), None);
    }
}
