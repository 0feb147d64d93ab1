//! The arguments of the driver.

use super::value::{parse, parse_device};
use crate::direction::Directions;
use crate::framing::Layer;
use crate::metric::{Requirement, Requirements};
use crate::plan::{
    Host, IDLE_DEFAULT, Link, Near, Offer, Plan, Site, TcpTest, Test, UdpTest, Work,
};
use crate::policy::{Refusal, is_circuit};
use crate::trial::{
    CongestionControl, DURATION_MAX, DURATION_MIN, Dscp, PAYLOAD_MAX, PAYLOAD_MIN, STREAMS_MAX,
};
use crate::units::{BitRate, Ratio, Span};
use clap::{Args, Parser, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

/// Qualifies a leased line: sends timed traffic across it, and judges what arrives.
#[derive(Debug, Parser)]
#[command(name = "linkqual", version, max_term_width = 100, arg_required_else_help = true)]
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
    Check(Box<CheckArgs>),
    /// Run a plan: its tests towards each of its sites, and a verdict on all
    Run(RunArgs),
    /// Write a plan, see what it would do, or what a firewall must let pass for it
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Judge a saved report again, without traffic
    Judge(JudgeArgs),
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
Exit code: 0 PASS, 1 FAIL, 2 wrong usage, 3 INCONCLUSIVE or INVALID, 4 nothing could be run,
5 output could not be written.

Rates are bit/s, kbit/s, Mbit/s or Gbit/s (or 50M, 50Mbps), and count Ethernet frames (L2) unless
--layer says otherwise. Times are us, ms, s, min or h. Each requirement is judged for itself;
without any, the line is measured and nothing can pass.")]
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
    /// Load at this rate, all streams together, which the line must carry; "max": as fast as
    /// possible
    #[arg(long, short = 'b', allow_hyphen_values = true, value_parser = parse_offer)]
    pub rate: Option<Offer>,
    /// Least that TCP must carry; it is sent after the UDP load, as fast as possible
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, value_parser = parse::<BitRate>)]
    pub tcp_throughput: Option<BitRate>,
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
    /// How long to load; or to probe, where there is no load: 1 s to 10 min; a number alone counts
    /// seconds
    #[arg(long, short = 't', value_name = "TIME", allow_hyphen_values = true,
          value_parser = parse_duration)]
    pub duration: Option<Span>,
    /// How long to probe the idle line before the first load, at least: 1 s to 10 min; 10 s if not
    /// given
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_duration)]
    pub idle: Option<Span>,
    /// forward (to the agent), reverse or both at once
    #[arg(long, default_value = "both", value_parser = parse::<Directions>)]
    pub direction: Directions,
    /// The same as --direction reverse
    #[arg(short = 'R', conflicts_with = "direction")]
    pub is_reverse: bool,
    /// The same as --direction both
    #[arg(long = "bidir", conflicts_with_all = ["direction", "is_reverse"])]
    pub is_both: bool,
    /// Load streams in each direction
    #[arg(long, short = 'P', default_value_t = 1, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(STREAMS_MAX)))]
    pub streams: u32,
    /// UDP payload of each load packet; what fills the path's MTU if not given
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32)
              .range(i64::from(PAYLOAD_MIN)..=i64::from(PAYLOAD_MAX)))]
    pub size: Option<u32>,
    /// Most UDP payload that a stream sends at once, one datagram apart; what suits the rate if not
    /// given
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(PAYLOAD_MAX)))]
    pub burst_max: Option<u32>,
    /// The layer that rates count: L1 wire, L2 frame, L3 packet, L4 payload
    #[arg(long, default_value = "L2", value_parser = parse::<Layer>)]
    pub layer: Layer,
    /// The provider's name of the circuit: shown in the report, and the load lock's key
    #[arg(long, value_name = "ID", value_parser = parse_circuit)]
    pub circuit: Option<String>,
    /// The address of this host to send from; what its routes say if not given
    #[arg(long, value_name = "ADDR")]
    pub source: Option<IpAddr>,
    /// The device of this host to send by; what its routes say if not given
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub device: Option<String>,
    /// Mark all packets both ways, such as EF, AF41, CS5 or 46; a line that changes it shows
    #[arg(long, value_name = "DSCP", allow_hyphen_values = true, value_parser = parse::<Dscp>)]
    pub dscp: Option<Dscp>,
    /// What governs how fast TCP sends, by the kernel's name; cubic if not given. Where this user
    /// may not choose it, the host's default takes its place
    #[arg(long, requires = "tcp_throughput", value_name = "NAME",
          value_parser = parse::<CongestionControl>)]
    pub congestion: Option<CongestionControl>,
    /// Compare each octet that TCP carries with what was sent, also above 200 Mbit/s per stream,
    /// where one in 64 is compared otherwise; costs speed
    #[arg(long, requires = "tcp_throughput")]
    pub verify: bool,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where and how a result goes.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Folder for report.json, report.txt and runs.csv; it is made, and no report in it is
    /// overwritten
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print report.json instead of the text
    #[arg(long, short = 'J')]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// `linkqual run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0 PASS, 1 FAIL, 2 the plan or its keys are wrong, 3 INCONCLUSIVE or INVALID, 4 nothing
could be run, 5 output could not be written.")]
pub struct RunArgs {
    /// The plan; `linkqual plan init` writes one
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `linkqual judge`.
#[derive(Args, Debug)]
pub struct JudgeArgs {
    /// A run's report.json
    #[arg(value_name = "REPORT.json")]
    pub report: PathBuf,
    /// Judge by what this plan requires; by what the run was judged by if not given
    #[arg(long, value_name = "PLAN.toml")]
    pub require: Option<PathBuf>,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `linkqual plan`.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show what would be sent, what each requirement needs, and whether it can be proved
    #[command(after_help = CHECK_CODES)]
    Check(PlanCheckArgs),
    /// Write a sample plan, every field of it explained
    Init(PlanInitArgs),
    /// Show what firewalls must let pass, as a table and as nft rules; try it with --probe
    #[command(after_help = FIREWALL_CODES)]
    Firewall(PlanFirewallArgs),
}

const CHECK_CODES: &str = "\
Nothing is sent. Exit code: 0, also where something cannot be proved; 2 the plan or its keys are
wrong; 5 output could not be written.";

const FIREWALL_CODES: &str = "\
Exit code: 0; 2 the plan or its keys are wrong, or a name does not resolve; 4 no name server
answers, or with --probe something did not pass; 5 output could not be written.";

/// `linkqual plan check`.
#[derive(Args, Debug)]
pub struct PlanCheckArgs {
    /// The plan
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
}

/// `linkqual plan init`.
#[derive(Args, Debug)]
pub struct PlanInitArgs {
    /// File to write, which must not exist; the standard output if not given
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `linkqual plan firewall`.
#[derive(Args, Debug)]
pub struct PlanFirewallArgs {
    /// The plan
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
    /// Print the nft rules alone
    #[arg(long, conflicts_with = "probe")]
    pub nft: bool,
    /// Try it: connect to each agent as a run would, without load, and say what was seen
    #[arg(long)]
    pub probe: bool,
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

/// The load for a loss that is asked for without a rate.
const RATE_ASSUMED: BitRate = match BitRate::new(10_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

impl CheckArgs {
    /// What was asked for, as a plan of one site.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let site = Site {
            name: self.host.to_string(),
            agent: self.host.clone(),
            key: self.agent_key.clone(),
        };
        let (circuit, layer) = (self.circuit.clone(), self.layer);
        Plan {
            link: Link { circuit, layer, ..Link::default() },
            key: self.key.clone(),
            near: Near { source: self.source, device: self.device.clone() },
            sites: vec![site],
            idle: self.idle.unwrap_or(IDLE_DEFAULT),
            requirements: self.requirements(),
            tests: self.tests(),
        }
    }

    fn requirements(&self) -> Requirements {
        let throughput = match self.rate {
            Some(Offer::Rate(rate)) => Some(Requirement::Throughput(rate)),
            _ => None,
        };
        let one_way = [
            throughput,
            self.tcp_throughput.map(Requirement::TcpThroughput),
            self.loss.map(Requirement::Loss),
            self.jitter.map(Requirement::Jitter),
            self.outage.map(Requirement::Outage),
        ];
        let mut requirements = Requirements::default();
        for requirement in one_way.into_iter().flatten() {
            for direction in self.directions().iter() {
                requirements.set(Some(direction), requirement);
            }
        }
        requirements.round_trip.rtt_p99 = self.rtt_p99;
        requirements
    }

    /// Which ways to load.
    const fn directions(&self) -> Directions {
        if self.is_reverse { Directions::Reverse } else { self.direction }
    }

    fn tests(&self) -> Vec<Test> {
        let assumed = self.loss.map(|_| Offer::Assumed(RATE_ASSUMED));
        let load = self.rate.or(assumed).map(|offer| {
            let (directions, streams) = (self.directions(), self.streams);
            let (payload, burst_max) = (self.size, self.burst_max);
            Work::Udp(UdpTest { directions, offer, streams, payload, burst_max })
        });
        let tcp = self.tcp_throughput.map(|_| {
            let (directions, streams) = (self.directions(), self.streams);
            let congestion = self.congestion.unwrap_or(CongestionControl::CUBIC);
            let offer = Offer::Max;
            Work::Tcp(TcpTest { directions, offer, streams, congestion, verify: self.verify })
        });
        let loads = load.is_some() || tcp.is_some();
        let idle = self.duration.filter(|_| !loads);
        let test = |work, duration| Test { site: None, work, duration, dscp: self.dscp };
        let loads = load.into_iter().chain(tcp).map(|work| test(work, self.duration));
        std::iter::once(test(Work::Idle, idle)).chain(loads).collect()
    }
}

/// A trial's length.
fn parse_duration(text: &str) -> Result<Span, String> {
    let duration = match text.parse() {
        Ok(seconds) => Span::from_secs(seconds),
        Err(_) => parse::<Span>(text)?,
    };
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
        "0" => Err("as fast as possible is --rate max".into()),
        _ => parse(text).map(Offer::Rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        DriverArgs::command().debug_assert();
    }

    fn check(options: &[&str]) -> Plan {
        let ends = ["linkqual", "check", "10.0.0.7", "--key", "d", "--agent-key", "a.pub"];
        let parsed = DriverArgs::try_parse_from(ends.iter().chain(options));
        match parsed.expect("right").command {
            DriverCommand::Check(args) => args.plan(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_check_of_both_protocols_is_a_plan_of_three_tests() {
        let load = ["--rate", "5 Mbit/s", "--tcp-throughput", "1 Mbit/s", "--direction", "forward"];
        let more = ["--dscp", "AF41", "--duration", "3s", "--idle", "2s", "--verify"];
        let plan = check(&[&load[..], &more].concat());
        let kinds: Vec<_> = plan.tests.iter().map(|test| test.work.offer()).collect();
        let rate = Offer::Rate("5 Mbit/s".parse().expect("a rate"));
        assert_eq!(kinds, [None, Some(rate), Some(Offer::Max)]);
        let Work::Tcp(tcp) = plan.tests[2].work else { panic!("{plan:?}") };
        assert!(tcp.verify && tcp.directions == Directions::Forward);
        assert!(plan.tests.iter().all(|test| test.dscp == "AF41".parse().ok()));
        let durations: Vec<_> = plan.tests.iter().map(|test| test.duration).collect();
        let load = Some(Span::from_secs(3));
        assert_eq!((durations, plan.idle), (vec![None, load, load], Span::from_secs(2)));
        let required = &plan.requirements.each;
        assert_eq!(required.forward.tcp_throughput, "1 Mbit/s".parse().ok());
        assert_eq!(required.reverse.tcp_throughput, None);
    }

    /// What is typed for iperf3 means the same here.
    #[test]
    fn habits_of_iperf3_are_met() {
        let plan = check(&["-b", "50M", "-t", "10", "-P", "4", "-R", "-J"]);
        let Work::Udp(load) = plan.tests[1].work else { panic!("{plan:?}") };
        let rate = Offer::Rate("50 Mbit/s".parse().expect("a rate"));
        assert_eq!((load.offer, load.streams, load.directions), (rate, 4, Directions::Reverse));
        assert_eq!(plan.tests[1].duration, Some(Span::from_secs(10)));
        let plan = check(&["-b", "50M", "--bidir"]);
        assert_eq!(plan.tests[1].work.directions(), Some(Directions::Both));
        let zero = ["linkqual", "check", "h", "--key", "d", "--agent-key", "a", "-b", "0"];
        let error = DriverArgs::try_parse_from(zero).expect_err("no rate").to_string();
        assert!(error.contains("as fast as possible is --rate max"), "{error}");
    }

    #[test]
    fn an_idle_line_is_probed_for_ten_seconds_unless_something_else_is_said() {
        assert_eq!(check(&[]).idle, Span::from_secs(10));
        assert_eq!(check(&["--idle", "600 s"]).idle, Span::from_secs(600));
    }
}
