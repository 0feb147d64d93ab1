//! The driver's program: carries out what [`crate::method`] and [`crate::session::driver`] say.

mod conversation;
mod firewall;
mod judge;
mod planning;
mod precheck;
mod progress;
mod results;

pub use conversation::{SiteJob, conduct};
pub use judge::judge;
pub use planning::run;
pub use results::Results;

use crate::cli::{CheckArgs, KeygenArgs, OutputArgs, PlanCommand};
use crate::direction::Direction;
use crate::io::egress::Egress;
use crate::io::files::{BadInput, BadOutput, Output, print, say};
use crate::io::key::{KeyFileError, generate, read_public, read_secret};
use crate::io::tcp::try_congestion_control;
use crate::io::tls::Identity;
use crate::method::Impossible;
use crate::plan::file::Faults;
use crate::plan::{Host, Near, Plan, Test, Work};
use crate::report::{PlanRecord, Report, text};
use crate::verdict::Verdict;
use crate::wire::key::PublicKey;
use std::net::SocketAddr;
use std::process::ExitCode;

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

impl Error {
    /// 2 where the user must change what was asked, 4 where nothing could be run.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Key(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Plan(_)
            | Self::Impossible(_)
            | Self::Unreadable(_)
            | Self::NoCongestionControl(_)
            | Self::NoSuchHost { .. } => 2,
            Self::Unreachable { .. }
            | Self::NotAdmitted(_)
            | Self::Agent(_)
            | Self::System(_)
            | Self::Interrupted => 4,
        }
    }
}

/// The exit code of what was done, or of why it was not, which is told.
#[must_use]
pub fn exit(result: Result<ExitCode, Error>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // A plan's faults are told together, a line each.
        for line in error.to_string().lines() {
            say(&format!("error: {line}"));
        }
        ExitCode::from(error.exit_code())
    })
}

/// `linkqual keygen`.
///
/// # Errors
///
/// Where the key cannot be written.
pub fn keygen(args: &KeygenArgs) -> Result<ExitCode, Error> {
    let line = generate(&args.out, &args.comment)?;
    let path = args.out.display();
    print(&format!(
        "{path} is secret: it stays on this host, readable by its owner alone.\n\
         {path}.pub is for the other end: {}\n",
        line.key()
    ));
    Ok(ExitCode::SUCCESS)
}

/// `linkqual plan`.
///
/// # Errors
///
/// Where what is asked cannot be done.
pub fn plan(command: &PlanCommand) -> Result<ExitCode, Error> {
    match command {
        PlanCommand::Check(args) => planning::check(args),
        PlanCommand::Init(args) => planning::init(args),
        PlanCommand::Firewall(args) => firewall::firewall(args),
    }
}

/// `linkqual check`.
///
/// # Errors
///
/// Where there is no report.
pub fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    run_plan(args.plan(), None, Vec::new(), &args.output)
}

/// Runs a plan, read from `file`, towards each of its sites, one after the other; the exit code of
/// the verdict. The report tells `notes`.
///
/// # Errors
///
/// Where there is no report.
fn run_plan(
    plan: Plan,
    file: Option<PlanRecord>,
    notes: Vec<String>,
    args: &OutputArgs,
) -> Result<ExitCode, Error> {
    for test in &plan.tests {
        try_congestion_control_of(test)?;
    }
    let identity = Identity::new(&read_secret(&plan.key)?);
    let keys = plan.sites.iter().map(|site| Ok(read_public(&site.key)?.key()));
    let keys = keys.collect::<Result<Vec<PublicKey>, Error>>()?;
    let mut results = Results::open(plan, file, create(args)?)?;
    results.note(notes);
    let report = runtime()?.block_on(async {
        let mut interrupts = interrupts();
        let mut first_error = None;
        let sites = keys.len();
        for (place, agent_key) in keys.into_iter().enumerate() {
            let result = run_site(place, agent_key, &identity, &mut results, &mut interrupts, args);
            match result.await {
                Ok(()) => {}
                Err(error @ (Error::Output(_) | Error::Interrupted)) => {
                    (place + 1..sites).for_each(|rest| results.miss(rest, None, "interrupted"));
                    first_error.get_or_insert(error);
                    break;
                }
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        match first_error {
            Some(error) if !results.has_evidence() || matches!(error, Error::Output(_)) => {
                Err(error)
            }
            _ => results.conclude(),
        }
    })?;
    Ok(show(&report, args))
}

/// What this host cannot send is found out before anything is loaded.
fn try_congestion_control_of(test: &Test) -> Result<(), Error> {
    match &test.work {
        Work::Tcp(tcp) if tcp.directions.includes(Direction::Forward) => {
            let tried = try_congestion_control(tcp.congestion.name());
            tried.map_err(|error| Error::NoCongestionControl(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// How this host is left for `plan`.
pub(crate) fn egress_of(plan: &Plan) -> Egress {
    let Near { source, device } = plan.near.clone();
    Egress { source, device }
}

async fn run_site(
    place: usize,
    agent_key: PublicKey,
    identity: &Identity,
    results: &mut Results,
    interrupts: &mut tokio::sync::mpsc::Receiver<()>,
    args: &OutputArgs,
) -> Result<(), Error> {
    let host = results.plan().sites[place].agent.clone();
    let agent = match addresses(&host).await {
        Ok(agents) => {
            // Of an agent with several addresses, one that the source can speak to.
            let source = results.plan().near.source;
            let fits = |agent: &&SocketAddr| {
                source.is_none_or(|source| source.is_ipv6() == agent.is_ipv6())
            };
            agents.iter().find(fits).copied().unwrap_or(agents[0])
        }
        Err(error) => {
            results.miss(place, None, &error.to_string());
            return Err(error);
        }
    };
    let (identity, watched) = (identity.clone(), !args.quiet);
    let way = egress_of(results.plan());
    let job = SiteJob { place, agent, way, identity, agent_key, watched };
    let conducted = conduct(job, results, interrupts).await;
    if let Err(error) = &conducted {
        results.miss(place, Some(agent), &error.to_string());
    }
    conducted
}

/// The output folder, where one is asked for.
///
/// # Errors
///
/// Where it cannot be written, or holds a report.
pub fn create(args: &OutputArgs) -> Result<Option<Output>, Error> {
    Ok(args.out.as_deref().map(Output::create).transpose()?)
}

/// Prints the report as it was asked for; its exit code.
pub fn show(report: &Report, args: &OutputArgs) -> ExitCode {
    print(&if args.json { report.to_json() } else { text(report) });
    exit_code(report.verdict)
}

const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Inconclusive | Verdict::Invalid => 3,
    }
}

fn exit_code(verdict: Verdict) -> ExitCode {
    ExitCode::from(code(verdict))
}

/// What carries the control plane.
///
/// # Errors
///
/// Where this host has no room for it.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::System(error.to_string()))
}

/// Every address of `host`, one at least.
async fn addresses(host: &Host) -> Result<Vec<SocketAddr>, Error> {
    let no_such_host = |why: String| Error::NoSuchHost { host: host.clone(), why };
    let found = tokio::net::lookup_host((host.name.as_str(), host.port)).await;
    let found: Vec<_> = found.map_err(|error| no_such_host(error.to_string()))?.collect();
    if found.is_empty() {
        return Err(no_such_host("it has no address".into()));
    }
    Ok(found)
}

/// Counts the user's wishes to end: Ctrl-C, or a SIGTERM.
#[must_use]
pub fn interrupts() -> tokio::sync::mpsc::Receiver<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return tracing::error!("no signals can be had: Ctrl-C leaves no report");
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_exit_code() {
        use Verdict::{Fail, Inconclusive, Invalid, Pass};
        assert_eq!([Pass, Fail, Inconclusive, Invalid].map(code), [0, 1, 3, 3]);
    }
}
