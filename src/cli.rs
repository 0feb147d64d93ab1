//! The arguments of both programs: what was typed, and what it means.

use crate::plan::{
    Check, Course, DURATION_MAX, DURATION_MIN, Limits, Offer, PAYLOAD_MAX, PAYLOAD_MIN,
    Requirements, STREAMS_MAX,
};
use crate::policy::{Refusal, is_circuit};
use crate::units::{BitRate, Layer, Malformed, Ratio, Span};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of the agent, TCP and UDP: one that IANA lists as unassigned.
pub const PORT: u16 = 4872;

/// Qualifies a leased line: sends timed traffic across it, and judges what arrives.
#[derive(Debug, Parser)]
#[command(name = "linkqual", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct DriverArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DriverCommand,
}

/// What the driver can do.
#[derive(Debug, Subcommand)]
pub enum DriverCommand {
    /// Make a key: FILE is secret, FILE.pub is for the other end
    Keygen(KeygenArgs),
    /// Ask one question of one line, and answer it with a verdict
    Check(CheckArgs),
    /// Show a verdict on an emulated line, on this machine alone, without root
    Demo(DemoArgs),
}

/// `linkqual keygen`.
#[derive(Args, Debug)]
pub struct KeygenArgs {
    /// File for the secret key; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Words behind the public key, by which the other end knows it
    #[arg(long, default_value = "linkqual")]
    pub comment: String,
}

/// `linkqual check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0 PASS, 1 FAIL, 2 wrong usage, 3 INCONCLUSIVE or INVALID, 4 nothing could be run.

Rates are bit/s, kbit/s, Mbit/s or Gbit/s, and count Ethernet frames (L2) unless --layer says
otherwise. Times are us, ms, s or min. Each requirement is judged for itself; without any, the
line is measured and nothing can pass.")]
pub struct CheckArgs {
    /// The agent, with its port where that is not 4872
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Host,
    /// This driver's secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The agent's public key
    #[arg(long, value_name = "FILE.pub")]
    pub agent_key: PathBuf,
    /// Load at this rate, which the line must carry; "max": as fast as possible
    #[arg(long, allow_hyphen_values = true, value_parser = parse_offer)]
    pub rate: Option<Offer>,
    /// Most that the 99th percentile of the round trip may be
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::<Span>)]
    pub rtt_p99: Option<Span>,
    /// Most of the load that may be lost, such as 0.01%
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, value_parser = parse_loss)]
    pub loss: Option<Ratio>,
    /// Most that one-way delay may vary: 99.9th percentile less the least
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::<Span>)]
    pub jitter: Option<Span>,
    /// Longest time without an arrival
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::<Span>)]
    pub outage: Option<Span>,
    /// How long to load; or to probe, where there is no load: 1 s to 10 min
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_duration)]
    pub duration: Option<Span>,
    /// forward (to the agent), reverse or both at once
    #[arg(long, default_value = "both", value_parser = parse::<Course>)]
    pub direction: Course,
    /// Load streams in each direction
    #[arg(long, default_value_t = 1, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(STREAMS_MAX)))]
    pub streams: u32,
    /// UDP payload of each load packet; what fills the path's MTU if not given
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32)
              .range(i64::from(PAYLOAD_MIN)..=i64::from(PAYLOAD_MAX)))]
    pub size: Option<u32>,
    /// The layer that rates count: L1 wire, L2 frame, L3 packet, L4 payload
    #[arg(long, default_value = "L2", value_parser = parse::<Layer>)]
    pub layer: Layer,
    /// The provider's name of the circuit: shown in the report, and the load lock's key
    #[arg(long, value_name = "ID", value_parser = parse_circuit)]
    pub circuit: Option<String>,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where and how a result goes.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Folder for report.json and report.txt; it is made, and no report in it is overwritten
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print report.json instead of the text
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// `linkqual demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Emulate a line that fails
    #[arg(long)]
    pub broken: bool,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The far end of a line under test: serves the drivers whose keys it is given, and nobody else.
#[derive(Debug, Parser)]
#[command(name = "linkqual-agent", version, about, max_term_width = 100)]
#[command(after_help = "\
Each driver whose key is allowed has the role 'qualifier': it may probe at any time, and load one
at a time within --max-rate and --max-duration. The agent never sends to an address that has not
answered, never answers with more than came, and stops by itself when a driver is gone.

SIGINT and SIGTERM end it. RUST_LOG=debug logs more.")]
pub struct AgentArgs {
    /// Where to listen, TCP and UDP alike
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:4872")]
    pub listen: SocketAddr,
    /// This agent's secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Public keys of the drivers that are served
    #[arg(long, value_name = "FILE.pub", required = true, num_args = 1..)]
    pub allow: Vec<PathBuf>,
    /// Most that a driver may send or be sent, in one direction, as Ethernet frames (L2)
    #[arg(long, value_name = "RATE", default_value = "1 Gbit/s", value_parser = parse::<BitRate>)]
    pub max_rate: BitRate,
    /// Longest that a driver may load in one run
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = parse::<Span>)]
    pub max_duration: Span,
}

impl AgentArgs {
    /// The limits of the role `qualifier`.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { rate_max: self.max_rate, duration_max: self.max_duration }
    }
}

impl CheckArgs {
    /// The check that was asked for.
    #[must_use]
    pub fn check(&self) -> Check {
        let throughput = match self.rate {
            Some(Offer::Rate(rate)) => Some(rate),
            Some(Offer::Max) | None => None,
        };
        Check {
            offer: self.rate,
            requirements: Requirements {
                throughput,
                loss: self.loss,
                rtt_p99: self.rtt_p99,
                jitter: self.jitter,
                outage: self.outage,
            },
            duration: self.duration,
            course: self.direction,
            streams: self.streams,
            payload: self.size,
            layer: self.layer,
            circuit: self.circuit.clone(),
        }
    }
}

/// A host and a port, as `HOST[:PORT]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// A name or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = |name: &str, port| Self { name: name.to_owned(), port };
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(host(text, PORT));
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return Ok(host(inner, PORT));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let is_path = port.is_some_and(|port| port.starts_with('/'));
        if name.is_empty() || !name.chars().all(allowed) || is_path {
            return Err("not a host: a name or an address, such as 10.0.0.7, 10.0.0.7:4872, \
                        [2001:db8::7]:4872 or vpc-agent.example"
                .to_owned());
        }
        Ok(host(name, port.map_or(Ok(PORT), parse_port)?))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse::<u16>().ok().filter(|port| 0 < *port);
    port.ok_or_else(|| format!("'{text}' is not a port: a number from 1 to 65535"))
}

fn parse<T: FromStr<Err = Malformed>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Malformed| error.form())
}

/// A trial's length.
fn parse_duration(text: &str) -> Result<Span, String> {
    let duration = parse::<Span>(text)?;
    if duration < DURATION_MIN || DURATION_MAX < duration {
        return Err(format!("from {DURATION_MIN} to {DURATION_MAX} are allowed"));
    }
    Ok(duration)
}

fn parse_loss(text: &str) -> Result<Ratio, String> {
    let ratio: Ratio = parse(text)?;
    if ratio == Ratio::default() {
        return Err("no test proves a loss of 0 %: give a share above it, such as 0.001%".into());
    }
    Ok(ratio)
}

fn parse_circuit(text: &str) -> Result<String, String> {
    let refusal = || format!("{}", Refusal::BadCircuit);
    is_circuit(text).then(|| text.to_owned()).ok_or_else(refusal)
}

fn parse_offer(text: &str) -> Result<Offer, String> {
    match text {
        "max" => Ok(Offer::Max),
        _ => parse(text).map(Offer::Rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_both_programs_are_consistent() {
        DriverArgs::command().debug_assert();
        AgentArgs::command().debug_assert();
    }

    #[track_caller]
    fn host(text: &str, name: &str, port: u16) {
        assert_eq!(text.parse(), Ok(Host { name: name.to_owned(), port }));
    }

    #[test]
    fn a_host_may_name_its_port() {
        host("10.0.0.7", "10.0.0.7", PORT);
        host("10.0.0.7:99", "10.0.0.7", 99);
        host("vpc-agent.example:99", "vpc-agent.example", 99);
        host("::1", "::1", PORT);
        host("[::1]", "::1", PORT);
        host("[::1]:99", "::1", 99);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", ":99", "host:0", "host:65536", "host:x", "a b", "http://host"] {
            assert!(text.parse::<Host>().is_err(), "{text:?} was taken for a host");
        }
    }
}
