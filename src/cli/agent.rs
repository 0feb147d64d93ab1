//! The arguments of the agent.

use super::HelpArgs;
use super::topics::{self, AGENT_TOPICS};
use super::value::{parse, parse_device, parse_listen};
use crate::policy::allowed::{Circuits, Expiry};
use crate::trial::Limits;
use crate::units::{BitRate, Span};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where an agent's secret key is where no other place is named.
const KEY: &str = "/etc/linkqual/agent.key";

/// Where the drivers that may use it are listed where no other place is named.
pub const DRIVERS: &str = "/etc/linkqual/allowed_drivers";

/// The far end of a link under test: serves only drivers whose keys are allowed.
#[derive(Debug, Parser)]
#[command(name = "linkqual-agent", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(after_help = format!("{NOTES}\n\n{}", topics::list("linkqual-agent", AGENT_TOPICS)))]
pub struct AgentArgs {
    /// What to do in the place of serving.
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// Where to listen, TCP and UDP alike: an address, :PORT, or both
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:4872", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// The only interface to listen and send on; any if not given
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub device: Option<String>,
    /// This agent's secret key
    #[arg(long, value_name = "FILE", default_value = KEY)]
    pub key: PathBuf,
    /// Make the key where there is no such file
    #[arg(long)]
    pub make_key: bool,
    /// Public keys of drivers that are served within --max-rate and --max-duration alone
    #[arg(long, value_name = "FILE.pub", num_args = 1..)]
    pub allow: Vec<PathBuf>,
    /// File that lists the allowed drivers, each with its limits [default:
    /// /etc/linkqual/allowed_drivers, unless --allow is given]
    #[arg(long, value_name = "FILE")]
    drivers: Option<PathBuf>,
    /// Maximum for all drivers together, in each direction, as Ethernet frames (L2)
    #[arg(long, value_name = "RATE", default_value = "1 Gbit/s", value_parser = parse::<BitRate>)]
    pub max_rate: BitRate,
    /// Maximum duration of load in one run
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = parse::<Span>)]
    pub max_duration: Span,
    /// Directory that keeps the records of runs across restarts; created if missing
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

const NOTES: &str = "\
An allowed driver may probe at any time; only one driver at a time may load a circuit, within
--max-duration and its own limits. All of them together stay within --max-rate. The agent never
sends to an unverified address, never answers with more octets than it received, and stops by itself
when a driver is gone.

The file of --drivers is read again whenever it changes, and at SIGHUP; runs of a key that is
removed or has expired are ended. SIGTERM and SIGINT end the agent after drivers have fetched their
counts. RUST_LOG=debug logs more.";

/// What an agent's program does beside serving.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Allow a driver, with limits of its own: adds its key to the file that a running agent reads
    #[command(after_help = ALLOW_NOTES)]
    Allow(AllowArgs),
    /// Take a driver out of that file, and with it the former keys of the same driver
    #[command(after_help = REVOKE_NOTES)]
    Revoke(RevokeArgs),
    /// Load nothing until resume: what runs ends within a second, and probes go on
    Pause(PauseArgs),
    /// Let a paused agent load again
    Resume(ResumeArgs),
    /// Show this agent's fingerprint and public key, for its drivers' operators to compare
    #[command(after_help = KEY_NOTES)]
    Key(AgentKeyArgs),
    /// Show a manual page, or the options of a command
    Help(HelpArgs),
}

const KEY_NOTES: &str = "\
After --replace restart the agent. Each driver then reports that the key has changed: have its user
compare the new fingerprint, and run linkqual trust HOST --replace.";

const ALLOW_NOTES: &str = "\
The line that linkqual key rotate prints is taken too: the new key gets the limits of the old one,
which then expires at the end of the overlap that the line names.";

const REVOKE_NOTES: &str = "\
A running agent ends the runs of a key that is taken out within a second. Keys that were given to
the agent with --allow are not in the file: restart it without them.";

/// `linkqual-agent pause`.
#[derive(Args, Debug)]
#[command(after_help = PAUSE_NOTES)]
pub struct PauseArgs {
    /// Why: shown to each driver whose load ends or is refused
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// This agent's secret key
    #[arg(long, value_name = "FILE", default_value = KEY)]
    pub key: PathBuf,
}

/// `linkqual-agent resume`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// This agent's secret key
    #[arg(long, value_name = "FILE", default_value = KEY)]
    pub key: PathBuf,
}

const PAUSE_NOTES: &str = "\
The file `paused` beside the key says who paused the agent, when and why. It outlives a restart of
the agent.";

/// `linkqual-agent key`.
#[derive(Args, Debug)]
pub struct AgentKeyArgs {
    /// This agent's secret key
    #[arg(long, value_name = "FILE", default_value = KEY)]
    pub key: PathBuf,
    /// Make the key where there is no such file
    #[arg(long)]
    pub make_key: bool,
    /// Put a new key in its place; the old one is kept in the folder retired beside it
    #[arg(long, conflicts_with = "make_key")]
    pub replace: bool,
}

/// `linkqual-agent allow`.
#[derive(Args, Debug)]
pub struct AllowArgs {
    /// The driver's key: the line that linkqual key prints, or a .pub file
    #[arg(value_name = "KEYLINE", required = true, num_args = 1..)]
    pub key_line: Vec<String>,
    /// Maximum for all its runs together, in each direction, as Ethernet frames (L2); the agent's
    /// own maximum if not given
    #[arg(long, value_name = "RATE", value_parser = parse::<BitRate>)]
    pub max_rate: Option<BitRate>,
    /// Allow it to probe, and not to load
    #[arg(long, conflicts_with = "circuits")]
    pub probe_only: bool,
    /// Circuits that it may load, comma-separated; any if not given
    #[arg(long, value_name = "NAME,…", value_parser = parse::<Circuits>)]
    pub circuits: Option<Circuits>,
    /// The last day on which it is allowed, in UTC, or a moment such as 2027-03-31T18:00:00Z
    #[arg(long, value_name = "DAY", value_parser = parse::<Expiry>)]
    pub expires: Option<Expiry>,
    /// Replace the line of a key that is already listed with other limits
    #[arg(long)]
    pub replace: bool,
    /// The file to which the line is added
    #[arg(long, value_name = "FILE", default_value = DRIVERS)]
    pub drivers: PathBuf,
}

/// `linkqual-agent revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The driver: its key or .pub file, its fingerprint (SHA256:…), or the comment of its line
    #[arg(value_name = "DRIVER", required = true, num_args = 1..)]
    pub whom: Vec<String>,
    /// The file that lists it
    #[arg(long, value_name = "FILE", default_value = DRIVERS)]
    pub drivers: PathBuf,
}

impl AgentArgs {
    /// What all drivers together may do.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { rate_max: self.max_rate, duration_max: self.max_duration }
    }

    /// The file that lists drivers; `None` where they are all given with the command.
    #[must_use]
    pub fn drivers(&self) -> Option<PathBuf> {
        let usual = || self.allow.is_empty().then(|| DRIVERS.into());
        self.drivers.clone().or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn an_address_a_port_or_both_are_where_to_listen() {
        for (typed, meant) in [
            ("10.9.2.1", "10.9.2.1:4872"),
            (":4873", "[::]:4873"),
            ("10.9.2.1:4873", "10.9.2.1:4873"),
            ("::1", "[::1]:4872"),
            ("[2001:db8::7]", "[2001:db8::7]:4872"),
            ("[2001:db8::7]:4873", "[2001:db8::7]:4873"),
        ] {
            let args = AgentArgs::try_parse_from(["linkqual-agent", "--listen", typed]);
            assert_eq!(args.expect(typed).listen.to_string(), meant);
        }
        let error = AgentArgs::try_parse_from(["linkqual-agent", "--listen", "agent.example"]);
        assert!(error.expect_err("a name").to_string().contains("such as 10.9.2.1, :4873"));
    }

    #[test]
    fn the_arguments_are_consistent() {
        AgentArgs::command().debug_assert();
    }
}
