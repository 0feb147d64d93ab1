//! The arguments of the driver.

use super::HelpArgs;
use super::health::{AckArgs, AlertsArgs, HealthArgs, MaintenanceArgs, NoteArgs};
use super::history::{
    AgentsArgs, CompareArgs, HistoryArgs, HistoryPlaceArgs, LeasesArgs, RecordArgs,
};
use super::permit::PermitArgs;
use super::schedule::{AvailabilityArgs, ScheduleArgs, WatchArgs};
use super::stop::{ResumeLoadArgs, StopArgs};
use super::topics::{self, TOPICS};
use super::value::{parse, parse_device, parse_output};
use crate::direction::Directions;
use crate::framing::Layer;
use crate::metric::{Kind, Limit, Metric, Requirement, Requirements, Traffic};
use crate::plan::{
    Effort, Host, IDLE_DEFAULT, IDLE_QUICK, Link, LoadRules, Near, Offer, Plan, Site, TcpTest,
    Test, UdpTest, Work, one_hosts,
};
use crate::policy::{Refusal, is_circuit};
use crate::report::{FORMATS, Format};
use crate::trial::{
    CongestionControl, DURATION_MAX, DURATION_MIN, Dscp, PAYLOAD_MAX, PAYLOAD_MIN, STREAMS_MAX,
};
use crate::units::{BitRate, Span};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

/// Tests a leased line, VPN or VPC peering: sends paced traffic across it and gives a verdict.
#[derive(Debug, Parser)]
#[command(name = "linkqual", version, max_term_width = 100, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, after_help = topics::list("linkqual", TOPICS))]
pub struct DriverArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DriverCommand,
}

/// What the driver can do.
#[derive(Debug, Subcommand)]
pub enum DriverCommand {
    /// Create a key pair: the secret key in FILE, the public key in FILE.pub for the other end
    Keygen(KeygenArgs),
    /// Show this driver's public key, which agents must allow; creates one if there is none
    Key(KeyArgs),
    /// Show an agent's fingerprint, and remember its key once you have compared it
    Trust(TrustArgs),
    /// Test one link, and give a verdict
    Check(Box<CheckArgs>),
    /// Run a plan: all its tests to each of its sites, with a verdict for each link
    Run(RunArgs),
    /// Write a sample plan, show what it would send, or which flows firewalls must allow
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Judge a saved report again, without traffic
    Judge(JudgeArgs),
    /// Show a saved report, or a run of the history, as it was written
    Show(ShowArgs),
    /// Show when the runs of plans with a schedule start, and whether they fit their windows
    Schedule(ScheduleArgs),
    /// Probe the links of plans all the time, and run their tests by schedule, as a service
    Watch(WatchArgs),
    /// End all load of this user's runs, and keep new load from starting until resume
    Stop(StopArgs),
    /// Allow load again that stop has ended
    Resume(ResumeLoadArgs),
    /// Show how available the links were that are watched, and their outages
    Availability(AvailabilityArgs),
    /// Show the state of each watched link, since when, and why
    Health(HealthArgs),
    /// List the alerts that are open, or test whether alerts arrive
    Alerts(AlertsArgs),
    /// Take care of an alert: nobody is reminded of it until then
    Ack(AckArgs),
    /// Say that a link is worked on: it is not loaded then, and nobody is alerted
    Maintenance(MaintenanceArgs),
    /// Note whose doing a fault of a link was
    Note(NoteArgs),
    /// List the runs that were recorded; make, import, back up, move or prune that history
    History(Box<HistoryArgs>),
    /// Compare a run of the history with those before it: what changed, and since when
    Compare(CompareArgs),
    /// List the agents that are known: key, version, limits, and when each was seen
    Agents(AgentsArgs),
    /// List the leases that are held: what is being loaded now, by whom, and until when
    Leases(LeasesArgs),
    /// Test an emulated link on this machine, without root, and show the verdict
    Demo(DemoArgs),
    /// Show a manual page, or the options of a command
    Help(HelpArgs),
}

/// `linkqual keygen`.
#[derive(Args, Debug)]
pub struct KeygenArgs {
    /// File for the secret key; it must not exist
    #[arg(long, value_name = "FILE", value_parser = parse_output)]
    pub out: PathBuf,
    /// Comment on the public key, shown at the other end
    #[arg(long, default_value = "linkqual")]
    pub comment: String,
}

/// `linkqual key`.
#[derive(Args, Debug)]
#[command(after_help = KEY_NOTES)]
pub struct KeyArgs {
    /// What to do in the place of showing it.
    #[command(subcommand)]
    pub command: Option<KeyCommand>,
}

const KEY_NOTES: &str = "\
The key is in $XDG_CONFIG_HOME/linkqual/driver.key, or in ~/.config/linkqual/driver.key where that
is not set, and for root in /etc/linkqual/driver.key. The standard output is the line for
linkqual-agent allow, and nothing else.";

/// What `linkqual key` does beside showing it.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key, signed by the old one; print the line for linkqual-agent allow
    #[command(after_help = ROTATE_NOTES)]
    Rotate(RotateArgs),
}

const ROTATE_NOTES: &str = "\
Have the operator of each agent run linkqual-agent allow with the line that is printed: the new key
then has the limits of the old one, which ends with the overlap. Until then the old key is used
with agents that do not list the new one. It is kept in the folder retired beside driver.key.";

/// `linkqual key rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// How long the old key stays valid, such as 7d or 12h: 1 h to 90 d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_overlap)]
    pub overlap: Span,
}

/// `linkqual trust`.
#[derive(Args, Debug)]
#[command(after_help = "\
The agent's operator finds the fingerprint with linkqual-agent key or in the agent's startup log.
Keys are stored in known_agents, beside this driver's key. Exit code: 0 the agent is trusted,
2 wrong usage, 4 nothing was remembered, 5 it could not be written.")]
pub struct TrustArgs {
    /// The agent; port 4872 if not given. Its key is stored under the name typed here
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Host,
    /// Expected fingerprint: trust the key without asking if it matches
    #[arg(long, value_name = "SHA256:…", value_parser = parse_fingerprint)]
    pub fingerprint: Option<String>,
    /// Replace the trusted key with the agent's current key
    #[arg(long)]
    pub replace: bool,
    /// Local source address; chosen by the routing table if not given
    #[arg(long, value_name = "ADDR", value_parser = parse_source)]
    pub source: Option<IpAddr>,
    /// Local outgoing interface; chosen by the routing table if not given
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub device: Option<String>,
}

/// `linkqual check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0 PASS, 1 FAIL, 2 wrong usage, 3 INCONCLUSIVE or INVALID, 4 nothing could be run,
5 output could not be written.

Rates are bit/s, kbit/s, Mbit/s or Gbit/s (or 50M, 50Mbps), and count Ethernet frames (L2) unless
--layer says otherwise. Times are ns, us, ms, s, min or h. Each requirement is judged separately;
without any, the link is measured but not judged.")]
pub struct CheckArgs {
    /// The agent; port 4872 if not given
    #[arg(value_name = "HOST[:PORT]")]
    pub host: Host,
    /// This driver's secret key; the one that `linkqual key` shows if not given
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The agent's public key; the one that `linkqual trust` has remembered if not given
    #[arg(long, value_name = "FILE.pub")]
    pub agent_key: Option<PathBuf>,
    /// UDP load that the link must carry, total of all streams; "max": as fast as possible
    #[arg(long, short = 'b', allow_hyphen_values = true, value_parser = parse_offer)]
    pub rate: Option<Offer>,
    /// What the line must do
    #[command(flatten)]
    pub required: RequirementArgs,
    /// Length of the load (of the probes, if there is no load): 1 s to 10 min; a bare number is in
    /// seconds. If not given: as long as the requirements need, at least 10 s. A load that is too
    /// short to prove a requirement is lengthened, and the first lines say so
    #[arg(long, short = 't', value_name = "TIME", allow_hyphen_values = true,
          value_parser = parse_duration)]
    pub duration: Option<Span>,
    /// Never take longer than -t and --idle; requirements that cannot be proved in that time are
    /// listed before the test starts
    #[arg(long, conflicts_with = "quick")]
    pub no_lengthen: bool,
    /// Minimum time to probe the idle link before the first load: 1 s to 10 min; 10 s if not
    /// given
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_duration)]
    pub idle: Option<Span>,
    /// Quick first look: 2 s of idle probes and 3 s of load; requirements that cannot be proved in
    /// that time are listed before the test starts. TCP throughput is not judged
    #[arg(long, conflicts_with_all = ["duration", "idle", TCP])]
    pub quick: bool,
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
    /// UDP payload of each load packet; fills the path MTU if not given
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32)
              .range(i64::from(PAYLOAD_MIN)..=i64::from(PAYLOAD_MAX)))]
    pub size: Option<u32>,
    /// Maximum UDP payload per burst of a stream (at least one datagram); chosen by rate if not
    /// given
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(PAYLOAD_MAX)))]
    pub burst_max: Option<u32>,
    /// The layer at which rates are counted: L1 wire, L2 frame, L3 packet, L4 payload
    #[arg(long, default_value = "L2", value_parser = parse::<Layer>)]
    pub layer: Layer,
    /// The provider's circuit ID: shown in the report; only one load at a time runs on a circuit
    #[arg(long, value_name = "ID", value_parser = parse_circuit)]
    pub circuit: Option<String>,
    /// Local source address; chosen by the routing table if not given
    #[arg(long, value_name = "ADDR", value_parser = parse_source)]
    pub source: Option<IpAddr>,
    /// Local outgoing interface; chosen by the routing table if not given
    #[arg(long, value_name = "NAME", value_parser = parse_device)]
    pub device: Option<String>,
    /// Mark all packets in both directions, such as EF, AF41 or 46; the report shows re-marking
    #[arg(long, value_name = "DSCP", allow_hyphen_values = true, value_parser = parse::<Dscp>)]
    pub dscp: Option<Dscp>,
    /// TCP congestion control, by its Linux name; cubic if not given. If this user may
    /// not choose it, the host's default is used
    #[arg(long, requires = TCP, value_name = "NAME",
          value_parser = parse::<CongestionControl>)]
    pub congestion: Option<CongestionControl>,
    /// Compare every octet of TCP payload with what was sent, even above 200 Mbit/s per stream,
    /// where otherwise one block in 64 is compared; costs speed
    #[arg(long, requires = TCP)]
    pub verify: bool,
    /// Whether it may load the link
    #[command(flatten)]
    pub permit: PermitArgs,
    /// Whether it is recorded
    #[command(flatten)]
    pub record: RecordArgs,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What a line must do: an option for each metric, made from what the metric says of itself.
#[derive(Clone, Debug, Default)]
pub struct RequirementArgs(Vec<Requirement>);

/// The options that have TCP sent.
const TCP: &str = "tcp";

impl RequirementArgs {
    fn option(metric: Metric) -> Arg {
        let about = metric.about();
        let side = match about.kind {
            Kind::LeastRate | Kind::LeastOctets => "Minimum",
            Kind::MostShare | Kind::MostTime => "Maximum",
        };
        let udp = format!("; tested at {RATE_ASSUMED} if no --rate is given");
        let load = format!("; tested under {RATE_ASSUMED} of UDP if no load is given");
        let sent = match (about.answered_by, about.kind) {
            (Traffic::Udp, Kind::LeastRate) => "; --rate if not given",
            (Traffic::Tcp, _) => "; TCP is sent after the UDP load, as fast as possible",
            (Traffic::Udp, _) => &udp,
            (Traffic::Load, _) => &load,
            (Traffic::Probes | Traffic::Search, _) => "",
        };
        Arg::new(metric.name())
            .long(metric.name().replace('_', "-"))
            .value_name(about.kind.placeholder())
            .allow_hyphen_values(true)
            .help(format!("{side} {}{sent}", after_side(about.asks)))
            .value_parser(move |text: &str| metric.bounded_by(text))
    }

    /// Those that `traffic` answers.
    fn answered_by(&self, traffic: Traffic) -> impl Iterator<Item = &Requirement> {
        self.0.iter().filter(move |it| it.metric().about().answered_by == traffic)
    }
}

impl Args for RequirementArgs {
    fn augment_args(command: Command) -> Command {
        let metrics = || Metric::ALL.iter().copied();
        let with_tcp = metrics().filter(|metric| metric.about().answered_by == Traffic::Tcp);
        let with_tcp = ArgGroup::new(TCP).args(with_tcp.map(Metric::name)).multiple(true);
        command.args(metrics().map(Self::option)).group(with_tcp)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RequirementArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |metric: &Metric| matches.get_one::<Requirement>(metric.name()).copied();
        Ok(Self(Metric::ALL.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What a metric asks for, after "Minimum" or "Maximum": a longest interval is a maximum already.
fn after_side(asks: &str) -> String {
    let asks = asks.strip_prefix("Longest ").unwrap_or(asks);
    let mut chars = asks.chars();
    match (chars.next(), chars.next()) {
        // Not of an abbreviation.
        (Some(first), Some(second)) if second.is_lowercase() || second == '-' => {
            format!("{}{}", first.to_lowercase(), &asks[first.len_utf8()..])
        }
        _ => asks.to_owned(),
    }
}

/// Where and how a result goes.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Folder for the report in every format.
    #[arg(long, value_name = "DIR", help = out_help(), value_parser = parse_output)]
    pub out: Option<PathBuf>,
    /// Print the report in this format
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = format_by_name())]
    pub format: &'static Format,
    /// The same as --format json
    #[arg(long, short = 'J', conflicts_with = "format")]
    pub json: bool,
    /// Add a CSV row for each stream of a load
    #[arg(long)]
    pub csv_streams: bool,
    /// Print the full report as text, with every trial and how it was measured
    #[arg(long, short)]
    pub verbose: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl OutputArgs {
    /// The format that is printed.
    #[must_use]
    pub fn format(&self) -> &'static Format {
        // The record stands first.
        if self.json { &FORMATS[0] } else { self.format }
    }
}

fn format_by_name() -> impl TypedValueParser<Value = &'static Format> {
    let names = FORMATS.iter().map(|format| format.name);
    PossibleValuesParser::new(names).map(|name| {
        let is_it = |format: &&Format| format.name == name;
        FORMATS.iter().find(is_it).expect("a name of the list")
    })
}

fn out_help() -> String {
    let files: Vec<&str> = FORMATS.iter().map(|format| format.file).collect();
    let files = files.join(", ");
    format!("Directory for the report ({files}); created if missing; reports are never overwritten")
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
    /// Run only this link of the plan; repeat the option for more links
    #[arg(long = "link", value_name = "NAME")]
    pub links: Vec<String>,
    /// Run only the links that did not pass in this report: a report.json, or the folder with it
    #[arg(long, value_name = "REPORT")]
    pub only_failed: Option<PathBuf>,
    /// How several links are run
    #[command(flatten)]
    pub at_once: ParallelArgs,
    /// Whether it may load the links
    #[command(flatten)]
    pub permit: PermitArgs,
    /// Whether it is recorded
    #[command(flatten)]
    pub record: RecordArgs,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How several links are run.
#[derive(Args, Clone, Copy, Debug)]
pub struct ParallelArgs {
    /// Run up to N links of a plan in parallel: never two that share an agent, a circuit or an
    /// entry of `shares`, and no more than the outgoing interface and the CPUs carry
    #[arg(long, value_name = "N", default_value_t = 1, allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub parallel: u32,
}

/// `linkqual judge`.
#[derive(Args, Debug)]
pub struct JudgeArgs {
    /// A run's report.json, or the folder with it
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// Judge by what this plan requires; by what the run was judged by if not given
    #[arg(long, value_name = "PLAN.toml")]
    pub require: Option<PathBuf>,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `linkqual show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code: 0, whatever the verdict; 2 no report can be read there; 5 output could not be written.")]
pub struct ShowArgs {
    /// The folder that --out wrote, a report.json, or a run as linkqual history shows it
    #[arg(value_name = "DIR|RUN")]
    pub report: PathBuf,
    /// Which history, for a run
    #[command(flatten)]
    pub place: HistoryPlaceArgs,
    /// Show the full report, with every trial and how it was measured
    #[arg(long, short)]
    pub verbose: bool,
}

/// `linkqual plan`.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show what would be sent, what each requirement needs, and whether it can be proved
    #[command(after_help = CHECK_CODES)]
    Check(PlanCheckArgs),
    /// Write a sample plan with every field explained
    Init(PlanInitArgs),
    /// Show the flows that firewalls must allow, as a table and as nft rules; --probe tests them
    #[command(after_help = FIREWALL_CODES)]
    Firewall(PlanFirewallArgs),
}

const CHECK_CODES: &str = "\
Nothing is sent. Exit code: 0, even if something cannot be proved; 2 the plan or its keys are
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
    /// How several links are run
    #[command(flatten)]
    pub at_once: ParallelArgs,
}

/// `linkqual plan init`.
#[derive(Args, Debug)]
pub struct PlanInitArgs {
    /// File to write, which must not exist; the standard output if not given, or -
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A plan of several links: a leased line, its backup, and two peerings
    #[arg(long)]
    pub links: bool,
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
    /// Test it: connect to each agent as a run would, without load, and report what gets through
    #[arg(long)]
    pub probe: bool,
}

/// `linkqual demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Emulate a link that fails
    #[arg(long)]
    pub broken: bool,
    /// Where and how the result goes
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The load for what needs one, where no rate is given.
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
            management: None,
        };
        let (circuit, layer) = (self.circuit.clone(), self.layer);
        Plan {
            link: Link { circuit, layer, ..Link::default() },
            key: self.key.clone(),
            near: Near { source: self.source, device: self.device.clone() },
            sites: vec![site],
            idle: self.idle.unwrap_or(if self.quick { IDLE_QUICK } else { IDLE_DEFAULT }),
            effort: match (self.quick, self.no_lengthen) {
                (true, _) => Effort::Quick,
                (false, true) => Effort::Exact,
                (false, false) => Effort::Full,
            },
            requirements: self.requirements(),
            tests: self.tests(),
            schedule: None,
            rules: LoadRules::default(),
        }
    }

    fn requirements(&self) -> Requirements {
        let mut requirements = Requirements::default();
        let mut require = |requirement| {
            for direction in self.directions().iter() {
                requirements.set(Some(direction), requirement);
            }
        };
        if let Some(Offer::Rate(rate)) = self.rate {
            // A load at a rate asks for it, unless another is asked for.
            Requirement::new(Metric::THROUGHPUT, Limit::Rate(rate))
                .into_iter()
                .for_each(&mut require);
        }
        self.required.0.iter().copied().for_each(require);
        requirements
    }

    /// Which ways to load.
    const fn directions(&self) -> Directions {
        if self.is_reverse { Directions::Reverse } else { self.direction }
    }

    /// The load of UDP that what is required needs; `None` where it needs none.
    fn load_needed(&self) -> Option<Offer> {
        let rates = self.required.answered_by(Traffic::Udp).filter_map(|it| it.limit().rate());
        let has_tcp = self.required.answered_by(Traffic::Tcp).next().is_some();
        let needs = |traffic| self.required.answered_by(traffic).next().is_some();
        match rates.max() {
            Some(rate) => Some(Offer::Rate(rate)),
            None if needs(Traffic::Udp) || needs(Traffic::Load) && !has_tcp => {
                Some(Offer::Assumed(RATE_ASSUMED))
            }
            None => None,
        }
    }

    fn tests(&self) -> Vec<Test> {
        let load = self.rate.or(self.load_needed()).map(|offer| {
            let (directions, streams) = (self.directions(), self.streams);
            let (payload, burst_max) = (self.size, self.burst_max);
            Work::Udp(UdpTest { directions, offer, streams, payload, burst_max })
        });
        let tcp = self.required.answered_by(Traffic::Tcp).next().map(|_| {
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

/// An address that a host can send from.
fn parse_source(text: &str) -> Result<IpAddr, String> {
    let address = text.parse().map_err(|_| "not an IP address of this host, such as 10.0.0.2")?;
    one_hosts(address).map(|()| address)
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

/// How long two keys are valid beside each other.
fn parse_overlap(text: &str) -> Result<Span, String> {
    const DAY: Span = Span::from_secs(86_400);
    const FORM: &str = "not a time such as 7d or 12h: from 1 h to 90 d are allowed";
    let days = text.strip_suffix('d').and_then(|days| days.trim_end().parse::<u64>().ok());
    let overlap = match days {
        Some(days) => DAY.nanos().checked_mul(days).map(Span::from_nanos),
        None => text.parse().ok(),
    };
    let hour = Span::from_secs(3_600);
    let most = Span::from_nanos(90 * DAY.nanos());
    overlap.filter(|overlap| hour <= *overlap && *overlap <= most).ok_or_else(|| FORM.into())
}

/// The fingerprint of a key, as both programs show it.
fn parse_fingerprint(text: &str) -> Result<String, String> {
    /// Of the 32 octets of SHA-256, without padding.
    const BASE64_LEN: usize = 43;
    let is_one = text.strip_prefix("SHA256:").is_some_and(|rest| {
        rest.len() == BASE64_LEN
            && rest.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/".contains(&c))
    });
    let form = "not a fingerprint: \"SHA256:\" and 43 characters, as linkqual-agent key shows it";
    is_one.then(|| text.to_owned()).ok_or_else(|| form.into())
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
    use crate::direction::Direction;
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
        let required = |direction| plan.requirements.limit(Metric::TCP_THROUGHPUT, Some(direction));
        let rate = "1 Mbit/s".parse().ok().map(Limit::Rate);
        assert_eq!(required(Direction::Forward), rate);
        assert_eq!(required(Direction::Reverse), None);
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

    /// Each metric has an option, and brings the load that it needs.
    #[test]
    fn what_is_required_brings_the_load_that_it_takes() {
        let offers = |options: &[&str]| -> Vec<Option<Offer>> {
            check(options).tests.iter().map(|test| test.work.offer()).collect()
        };
        let rate = |text: &str| Some(Offer::Rate(text.parse().expect("a rate")));
        let assumed = Some(Offer::Assumed(RATE_ASSUMED));
        let idle =
            ["--rtt-p99", "9ms", "--owd-p99", "9ms", "--path-mtu", "1500", "--jitter", "1ms"];
        assert_eq!(offers(&idle), [None]);
        assert_eq!(check(&idle).requirements.iter().count(), 6);
        assert_eq!(offers(&["--loss", "1%"]), [None, assumed]);
        assert_eq!(offers(&["--rtt-p99-loaded", "9ms"]), [None, assumed]);
        let tcp = ["--tcp-throughput", "1 Mbit/s"];
        assert_eq!(offers(&tcp), [None, Some(Offer::Max)]);
        let beside_tcp = ["--rtt-p99-loaded", "9ms"];
        assert_eq!(offers(&[&tcp[..], &beside_tcp].concat()), [None, Some(Offer::Max)]);
        assert_eq!(offers(&["--throughput", "5 Mbit/s"]), [None, rate("5 Mbit/s")]);
        let less = ["--rate", "6 Mbit/s", "--throughput", "5 Mbit/s"];
        assert_eq!(offers(&less), [None, rate("6 Mbit/s")]);
        let required =
            check(&less).requirements.limit(Metric::THROUGHPUT, Some(Direction::Forward));
        assert_eq!(required, "5 Mbit/s".parse().ok().map(Limit::Rate), "and not its own");
        let unknown = DriverArgs::try_parse_from(["linkqual", "check", "h", "--verify"]);
        let why = unknown.expect_err("it is of TCP").to_string();
        assert!(why.contains("--tcp-throughput"), "{why}");
    }

    #[test]
    fn keys_need_not_be_named() {
        let parsed = DriverArgs::try_parse_from(["linkqual", "check", "10.0.0.7"]);
        let DriverCommand::Check(args) = parsed.expect("right").command else { panic!("no check") };
        let plan = args.plan();
        assert_eq!((plan.key, &plan.sites[0].key), (None, &None));
    }

    #[test]
    fn an_overlap_is_of_days_or_hours() {
        let hours = |hours: u64| Ok(Span::from_secs(hours * 3_600));
        for (text, expected) in
            [("7d", hours(168)), ("1 d", hours(24)), ("12h", hours(12)), ("1 h", hours(1))]
        {
            assert_eq!(parse_overlap(text), expected, "{text}");
        }
        assert_eq!(parse_overlap("90d"), hours(90 * 24));
        for text in ["", "d", "7", "0d", "59 min", "91d", "-1d", "1.5d", "99999999999999999999d"] {
            assert!(parse_overlap(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fingerprint_is_as_it_is_shown() {
        let right = "SHA256:oekVYFTgT6yJmunydRMs3Ael28TqLCrTof/G4NJTaB8";
        assert_eq!(parse_fingerprint(right).as_deref(), Ok(right));
        for wrong in ["", &right[7..], &right[..49], &format!("{right}="), "MD5:00:11"] {
            let why = parse_fingerprint(wrong).expect_err(wrong);
            assert!(why.contains("as linkqual-agent key shows it"), "{why}");
        }
    }

    #[test]
    fn an_idle_line_is_probed_for_ten_seconds_unless_something_else_is_said() {
        assert_eq!(check(&[]).idle, Span::from_secs(10));
        assert_eq!(check(&["--idle", "600 s"]).idle, Span::from_secs(600));
    }
}
