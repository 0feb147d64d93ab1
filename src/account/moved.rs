//! Streams whose address changed while they ran.

use super::{Fact, Invalid};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The most moves of a trial that are reported one by one.
pub const MOVED_MAX: usize = 64;

/// A stream that came to the agent from another address than before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Moved {
    /// The stream's number in the trial: 0 is the probes.
    pub stream: u32,
    /// The driver's address and port as the agent saw them before.
    pub from: SocketAddr,
    /// The driver's address and port as the agent saw them from then on.
    pub to: SocketAddr,
}

impl Fact for Vec<Moved> {
    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.len() <= MOVED_MAX, "more moves than any agent reports")
    }
}
