//! The arguments of the agent.

use super::value::{parse, parse_device};
use crate::trial::Limits;
use crate::units::{BitRate, Span};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The far end of a line under test: serves the drivers whose keys it is given, and nobody else.
#[derive(Debug, Parser)]
#[command(name = "linkqual-agent", version, max_term_width = 100)]
#[command(after_help = "\
Each driver whose key is allowed has the role 'qualifier': it may probe at any time, and load one
at a time for each circuit within --max-duration. All of them together stay within --max-rate. The
agent never sends to an address that has not answered, never answers with more than came, and stops
by itself when a driver is gone.

SIGINT and SIGTERM end it. RUST_LOG=debug logs more.")]
pub struct AgentArgs {
    /// Where to listen, TCP and UDP alike
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:4872")]
    pub listen: SocketAddr,
    /// The only device to listen and send on; any if not given
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub device: Option<String>,
    /// This agent's secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Public keys of the drivers that are served
    #[arg(long, value_name = "FILE.pub", required = true, num_args = 1..)]
    pub allow: Vec<PathBuf>,
    /// Maximum for all drivers together, in each direction, as Ethernet frames (L2)
    #[arg(long, value_name = "RATE", default_value = "1 Gbit/s", value_parser = parse::<BitRate>)]
    pub max_rate: BitRate,
    /// Longest that a driver may load in one run
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = parse::<Span>)]
    pub max_duration: Span,
    /// Folder in which the records of runs outlive this program; it is made
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl AgentArgs {
    /// The limits of the role `qualifier`.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { rate_max: self.max_rate, duration_max: self.max_duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        AgentArgs::command().debug_assert();
    }
}
