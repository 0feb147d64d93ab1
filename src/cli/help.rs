//! `linkqual help` and `linkqual-agent help`: a page of the manual, or what a command takes.

use super::topics::{self, Topic};
use super::{Answered, answered};
use clap::error::ErrorKind;
use clap::{Args, Parser};

/// `help` of either program.
#[derive(Args, Debug)]
pub struct HelpArgs {
    /// A topic of the manual, or a command; all are listed if none is given
    #[arg(value_name = "TOPIC|COMMAND")]
    pub words: Vec<String>,
}

impl HelpArgs {
    /// The page that was asked for, where one of `topics` was.
    #[must_use]
    pub fn topic(&self, topics: &'static [Topic]) -> Option<&'static Topic> {
        match &self.words[..] {
            [word] => topics::find(topics, word),
            _ => None,
        }
    }

    /// Shows what a command of `P` takes, or why there is no such command, nor one of `topics`.
    #[must_use]
    pub fn answer<P: Parser>(&self, topics: &[Topic]) -> Answered {
        let mut program = P::command();
        let name = program.get_name().to_owned();
        let words = self.words.iter().map(String::as_str);
        let words = [name.as_str()].into_iter().chain(words).chain(["--help"]);
        let error = match P::try_parse_from(words) {
            Err(error) => error,
            // Such as `help -- check -- x`: whatever it is, it was no question.
            Ok(_) => program.error(ErrorKind::UnknownArgument, "help takes a topic, or a command"),
        };
        if !matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
            return answered(error);
        }
        let commands: Vec<_> = program.get_subcommands().map(|it| it.get_name()).collect();
        let why = format!(
            "'{}' is neither a topic of the manual nor a command\n\n  topics: {}\n  commands: {}",
            self.words.join(" ").escape_debug(),
            topics::names(topics),
            commands.join(", ")
        );
        answered(program.error(ErrorKind::InvalidSubcommand, why))
    }
}
