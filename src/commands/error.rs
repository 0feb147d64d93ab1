//! Why a command cannot do what it is asked, and what the program exits with then.

use crate::driver::{self, NotKept};
use crate::io::files::{BadInput, BadOutput};
use crate::io::key::KeyFileError;
use crate::io::keyring::KeyringError;
use crate::method::Impossible;
use crate::plan::file::Faults;
use crate::plan::{Host, Plan, Site};
use crate::store;
use crate::wire::key::PublicKey;

/// Agents that are not known, and how each comes to be.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(super) struct Unknown(Vec<String>);

impl Unknown {
    /// Of the agents of `plan` those whose place in `known` is empty; `None` where none is.
    pub(super) fn of(plan: &Plan, known: &[Option<PublicKey>]) -> Option<Self> {
        let unknown = plan.sites.iter().zip(known).filter(|(_, known)| known.is_none());
        let messages: Vec<String> = unknown
            .map(|(Site { agent, .. }, _)| {
                format!(
                    "the agent {agent} is not known here yet. Compare its fingerprint with its \
                     operator, and have it remembered: linkqual trust {agent}"
                )
            })
            .collect();
        (!messages.is_empty()).then_some(Self(messages))
    }

    /// These and `others`, each once.
    pub(super) fn and(mut self, others: Self) -> Self {
        for message in others.0 {
            if !self.0.contains(&message) {
                self.0.push(message);
            }
        }
        self
    }
}

/// Why a command cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyFileError),
    /// The driver's own keys, or what it knows of agents, cannot be had.
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    /// Agents that nobody has trusted yet.
    #[error("{0}")]
    UnknownAgents(Unknown),
    /// Nobody can be asked whether an agent's key is the right one.
    #[error("{0}")]
    Unasked(String),
    /// An agent's key was not the right one.
    #[error("{0}")]
    NotTrusted(String),
    /// An agent has another key than the one that is trusted.
    #[error("{}", changed(.host, known, got, .so))]
    Changed {
        /// The agent, with its port.
        host: String,
        /// The key that it is to have.
        known: PublicKey,
        /// The key that it has.
        got: PublicKey,
        /// What was not done for that.
        so: &'static str,
    },
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] BadOutput),
    /// A report could not be kept, its place being right as far as could be known.
    #[error("{0}")]
    NotKept(NotKept),
    /// A file cannot be read.
    #[error("{0}")]
    Input(#[from] BadInput),
    /// The plan is wrong.
    #[error("{0}")]
    Plan(#[from] Faults),
    /// A file that is to be read makes no sense.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing may be loaded now.
    #[error("{0}")]
    Denied(String),
    /// A plan has no such link.
    #[error("{0}")]
    Links(String),
    /// It is not clear which history is meant.
    #[error("{0}")]
    History(String),
    /// The history cannot be read or written.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// There is no run.
    #[error("{0}")]
    Run(driver::Error),
}

impl From<driver::Error> for Error {
    /// A key that has changed is said louder here than a report does.
    fn from(error: driver::Error) -> Self {
        match error {
            driver::Error::AnotherKey { host, expected, got } => {
                Self::changed(&host, expected, got)
            }
            error => Self::Run(error),
        }
    }
}

impl Error {
    /// What a run says of the agent `host` that has the key `got` and not the one that is `known`.
    pub(super) fn changed(host: &Host, known: PublicKey, got: PublicKey) -> Self {
        Self::Changed { host: host.to_string(), known, got, so: "No test runs against this agent" }
    }
}

/// What is said of an agent whose key has changed.
fn changed(host: &str, known: &PublicKey, got: &PublicKey, so: &str) -> String {
    format!(
        "THE KEY OF AGENT {host} HAS CHANGED\n\
         expected {known}\n\
         found    {got}\n\
         Either this is another host, or there is a man in the middle, or the key was replaced. \
         {so}.\n\
         Ask its operator for the fingerprint (linkqual-agent key). If the key found is correct, \
         trust it: linkqual trust {host} --replace (if --agent-key or the plan names a .pub \
         file, replace that file instead)"
    )
}

impl From<Impossible> for Error {
    fn from(why: Impossible) -> Self {
        Self::Run(why.into())
    }
}

/// The exit code of what the user must change.
pub(super) const USAGE: u8 = 2;

/// The exit code of what could not be run.
pub(super) const NOT_RUN: u8 = 4;

/// The exit code of output that could not be written.
const LOST: u8 = 5;

impl Error {
    /// 2 where the user must change what was asked, 4 where nothing could be run, 5 where output
    /// was lost.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Key(KeyFileError::Unwritten { .. }) | Self::NotKept(_) => LOST,
            Self::Output(output) if output.is_lost() => LOST,
            Self::Keyring(error) if error.is_lost() => LOST,
            Self::NotTrusted(_) | Self::Changed { .. } | Self::Denied(_) => NOT_RUN,
            Self::Key(_)
            | Self::Keyring(_)
            | Self::UnknownAgents(_)
            | Self::Unasked(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Plan(_)
            | Self::Unreadable(_)
            | Self::Links(_)
            | Self::History(_)
            | Self::Store(store::Error::None(_) | store::Error::NoRun(_)) => USAGE,
            Self::Store(_) => NOT_RUN,
            Self::Run(error) => code_of(error),
        }
    }
}

const fn code_of(error: &driver::Error) -> u8 {
    use driver::Error;
    match error {
        Error::Impossible(_)
        | Error::NoCongestionControl(_)
        | Error::Keys { .. }
        | Error::NoSuchHost { .. } => USAGE,
        Error::Unreachable { .. }
        | Error::NoAnswer { .. }
        | Error::Refused { .. }
        | Error::Unresolved { .. }
        | Error::NoneAnswers { .. }
        | Error::NotAdmitted(_)
        | Error::NotListed { .. }
        | Error::AnotherKey { .. }
        | Error::Agent(_)
        | Error::NotLeased(_)
        | Error::System(_)
        | Error::Interrupted
        | Error::Aborted(_) => NOT_RUN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::Output;
    use std::path::Path;

    #[test]
    fn a_wrong_name_is_wrong_usage_and_a_name_server_that_does_not_answer_is_not() {
        let host = || Host { name: "agent.example".into(), port: 99 };
        let why = String::new;
        let code = |error: driver::Error| Error::from(error).exit_code();
        assert_eq!(code(driver::Error::NoSuchHost { host: host(), why: why() }), 2);
        assert_eq!(code(driver::Error::Unresolved { host: host(), why: why() }), 4);
        assert_eq!(code(driver::Error::NoneAnswers { host: host(), tried: why() }), 4);
        assert_eq!(code(driver::Error::System("no memory".into())), 4);
        assert_eq!(code(Impossible::NothingCrosses.into()), 2);
    }

    #[test]
    fn output_is_lost_where_its_place_was_right() {
        assert_eq!(Error::NotKept("full".into()).exit_code(), 5);
        let wrong = Output::create(Path::new("/proc/nothing/here"), &[]).expect_err("not writable");
        assert_eq!(Error::from(wrong).exit_code(), 2);
    }
}
