//! Why a command cannot do what it is asked, and what the program exits with then.

use crate::driver::{self, NotKept};
use crate::io::files::{BadInput, BadOutput};
use crate::io::key::KeyFileError;
use crate::method::Impossible;
use crate::plan::file::Faults;

/// Why a command cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyFileError),
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
    /// There is no run.
    #[error("{0}")]
    Run(#[from] driver::Error),
}

impl From<Impossible> for Error {
    fn from(why: Impossible) -> Self {
        Self::Run(why.into())
    }
}

/// The exit code of what the user must change.
const USAGE: u8 = 2;

/// The exit code of what could not be run.
const NOT_RUN: u8 = 4;

/// The exit code of output that could not be written.
const LOST: u8 = 5;

impl Error {
    /// 2 where the user must change what was asked, 4 where nothing could be run, 5 where output
    /// was lost.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Key(KeyFileError::Unwritten { .. }) | Self::NotKept(_) => LOST,
            Self::Output(output) if output.is_lost() => LOST,
            Self::Key(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Plan(_)
            | Self::Unreadable(_) => USAGE,
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
        | Error::Refused { .. }
        | Error::Unresolved { .. }
        | Error::NoneAnswers { .. }
        | Error::NotAdmitted(_)
        | Error::Agent(_)
        | Error::System(_)
        | Error::Interrupted => NOT_RUN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::Output;
    use crate::plan::Host;
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
