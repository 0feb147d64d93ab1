//! Why there is no report, and what the program exits with then.

use crate::io::files::{BadInput, BadOutput};
use crate::io::key::KeyFileError;
use crate::method::Impossible;
use crate::plan::Host;
use crate::plan::file::Faults;
use std::net::SocketAddr;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyFileError),
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] BadOutput),
    /// A file cannot be read.
    #[error("{0}")]
    Input(#[from] BadInput),
    /// The plan is wrong.
    #[error("{0}")]
    Plan(#[from] Faults),
    /// The check cannot be run as it was asked.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// A file that is to be read makes no sense.
    #[error("{0}")]
    Unreadable(String),
    /// A congestion control that a test names and this host does not have.
    #[error("this host cannot send TCP as the plan says: {0}")]
    NoCongestionControl(String),
    /// The name is nobody's.
    #[error("{host}: no such host: {why}. Check the spelling, or give an address")]
    NoSuchHost {
        /// As it was given.
        host: Host,
        /// What the resolver says.
        why: String,
    },
    /// Nobody answers there.
    #[error(
        "nothing answers at {agent}: {why}. Is linkqual-agent running there, and is TCP port \
         {port} open? Try: nc -vz {ip} {port}"
    )]
    Unreachable {
        /// Where.
        agent: SocketAddr,
        /// Its address alone.
        ip: std::net::IpAddr,
        /// Its port alone.
        port: u16,
        /// What the system says.
        why: String,
    },
    /// No name server answers, so that nobody knows where the agent is.
    #[error(
        "{host}: its name could not be resolved: {why}. No name server answered: check this host's \
         /etc/resolv.conf and the way to its name servers, or give an address"
    )]
    Unresolved {
        /// As it was given.
        host: Host,
        /// What the resolver says.
        why: String,
    },
    /// None of the addresses of a name answers.
    #[error(
        "nothing answers at any address of {host}: {tried}. Is linkqual-agent running there, and \
         is TCP port {} open?",
        .host.port
    )]
    NoneAnswers {
        /// As it was given.
        host: Host,
        /// Each address, and why not.
        tried: String,
    },
    /// The agent does not let this driver in, or is not the one that was meant.
    #[error("{0}")]
    NotAdmitted(String),
    /// The agent said no, or what it said made no sense.
    #[error("{0}")]
    Agent(String),
    /// This host cannot do it.
    #[error("this host cannot do it: {0}")]
    System(String),
    /// The user ended it before anything was measured.
    #[error("interrupted before anything was measured")]
    Interrupted,
}

/// The exit code of output that could not be written.
const LOST: u8 = 5;

impl Error {
    /// 2 where the user must change what was asked, 4 where nothing could be run, 5 where output
    /// was lost.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Key(KeyFileError::Unwritten { .. }) => LOST,
            Self::Output(output) if output.is_lost() => LOST,
            Self::Key(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Plan(_)
            | Self::Impossible(_)
            | Self::Unreadable(_)
            | Self::NoCongestionControl(_)
            | Self::NoSuchHost { .. } => 2,
            Self::Unreachable { .. }
            | Self::Unresolved { .. }
            | Self::NoneAnswers { .. }
            | Self::NotAdmitted(_)
            | Self::Agent(_)
            | Self::System(_)
            | Self::Interrupted => 4,
        }
    }
}
