//! The agent's program: its arguments and keys, what it prints, its signals and exit codes. What it
//! serves is [`Server`]'s.

use super::allow::{allow, revoke};
use super::pause::{pause, resume};
use super::server::{COMMENT, Config, Server, public_line};
use crate::cli::{AGENT_TOPICS, AgentArgs, AgentCommand, AgentKeyArgs, HelpArgs};
use crate::io::clock;
use crate::io::files::{BadOutput, StateDir, make_usual_folder};
use crate::io::key::{KeyFileError, public_key, read_public, read_secret};
use crate::io::keyring::{KeyringError, ReplacedKey, make_agent_key, replace_agent_key};
use crate::io::service;
use crate::io::terminal::{check_stdout, print, say};
use crate::io::tls::Identity;
use crate::wire::key::SecretKey;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the agent's program; its exit code.
#[must_use]
pub fn main(args: &AgentArgs) -> ExitCode {
    let done = match &args.command {
        Some(AgentCommand::Allow(args)) => Some(allow(args)),
        Some(AgentCommand::Revoke(args)) => Some(revoke(args)),
        Some(AgentCommand::Pause(args)) => Some(pause(args)),
        Some(AgentCommand::Resume(args)) => Some(resume(args)),
        Some(AgentCommand::Key(args)) => Some(key(args)),
        Some(AgentCommand::Help(args)) => return help(args),
        None => None,
    };
    match done {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err((why, code))) => return fail(&why, code),
        None => {}
    }
    let config = match config(args) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), 2),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("this host lacks resources for an agent: {error}"), 4),
    };
    runtime.block_on(async {
        let listen = config.listen;
        let agent = match Server::bind(config).await {
            Ok(agent) => agent,
            Err(error) => {
                return fail(&format!("cannot listen on {listen}: {}", unheard(listen, &error)), 4);
            }
        };
        // Before it says that it serves: whoever started it may send signals from then on.
        let ended = ended();
        if let Err(error) = print(&agent.introduction()) {
            return fail(&error.to_string(), 5);
        }
        service::ready(&agent.status());
        let ended = async {
            ended.await;
            service::stopping();
        };
        agent.serve(ended).await;
        ExitCode::SUCCESS
    })
}

/// Why an agent cannot listen, and what to do.
fn unheard(listen: SocketAddr, error: &io::Error) -> String {
    let port = listen.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is in use. Is linkqual-agent already running? See: ss -lntup sport = :{port}"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "it is not an address of this host. See: ip address".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{error}. Ports below 1024 need CAP_NET_BIND_SERVICE: try another --listen")
        }
        _ => format!("{error}. Give --listen an address of this host, and a port that is free"),
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    say(&format!("error: {text}"));
    ExitCode::from(code)
}

/// Ends when the operator wants the program to end; it listens from now on.
fn ended() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async {
        let (mut terminate, mut interrupt) = match (terminate, interrupt) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                return tracing::error!(%error, "signals cannot be handled: ending");
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// `linkqual-agent help`.
fn help(args: &HelpArgs) -> ExitCode {
    if let Some(topic) = args.topic(AGENT_TOPICS) {
        return match print(topic.text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string(), 5),
        };
    }
    let answered = args.answer::<AgentArgs>(AGENT_TOPICS);
    let (code, lost) = answered.end(check_stdout().map_err(|lost| lost.to_string()));
    lost.iter().for_each(|why| say(&format!("error: {why}")));
    ExitCode::from(code)
}

/// `linkqual-agent key`: the public key on the standard output, and where it is beside it.
fn key(args: &AgentKeyArgs) -> Result<(), (String, u8)> {
    let failed = |error: BadConfig| (error.to_string(), error.code());
    let is_missing = !args.key.try_exists().unwrap_or(true);
    if is_missing && !args.make_key {
        return Err(failed(BadConfig::NoKeyYet(args.key.clone())));
    }
    if args.replace {
        return replace_key(&args.key).map_err(failed);
    }
    let secret = secret_key(&args.key, args.make_key).map_err(failed)?;
    let line = public_line(public_key(&secret));
    say(&format!("this agent's key is {}, {}", args.key.display(), line.key()));
    print(&format!("{line}\n")).map_err(|error| (error.to_string(), 5))
}

/// `linkqual-agent key --replace`: the new public key on the standard output, and what to do now.
fn replace_key(path: &Path) -> Result<(), BadConfig> {
    let ReplacedKey { new, old, retired } = replace_agent_key(path, COMMENT, clock::wall_ns())?;
    say(&format!(
        "this agent's new key is {}, {}. The old one, {old}, is kept in {}. An agent that runs \
         still has the old one: restart it (sudo systemctl restart linkqual-agent). Each driver \
         then reports a changed key: have its user compare the new fingerprint and run linkqual \
         trust HOST --replace",
        path.display(),
        new.key(),
        retired.display()
    ));
    Ok(print(&format!("{new}\n"))?)
}

/// The key in the file `path`; where there is none, it is made if that `is_wanted`.
fn secret_key(path: &Path, is_wanted: bool) -> Result<SecretKey, BadConfig> {
    let is_missing = !path.try_exists().unwrap_or(true);
    if is_missing && !is_wanted {
        return Err(BadConfig::NoKey(path.to_owned()));
    }
    if is_missing {
        // Where it cannot be made, the key cannot be either, and that says why.
        _ = make_usual_folder(path);
        let line = make_agent_key(path, COMMENT)?;
        say(&format!("made the key {}: {}", path.display(), line.key()));
    }
    Ok(read_secret(path)?)
}

fn config(args: &AgentArgs) -> Result<Config, BadConfig> {
    let secret = secret_key(&args.key, args.make_key)?;
    let allowed = args.allow.iter().map(|path| read_public(path)).collect::<Result<_, _>>()?;
    let identity = Identity::new(&secret);
    let state = args.state.as_deref().map(StateDir::open).transpose()?;
    let (listen, limits, device) = (args.listen, args.limits(), args.device.clone());
    let drivers = args.drivers();
    let pause = Some(args.key.clone());
    Ok(Config { listen, identity, allowed, drivers, limits, device, state, pause })
}

/// An agent cannot be run as it was asked.
#[derive(Debug, thiserror::Error)]
enum BadConfig {
    /// A key cannot be used.
    #[error("{0}")]
    Key(KeyFileError),
    /// Its key is not this user's to read, or to make.
    #[error("{}: {what}: {source}. Run it as root (sudo), or as the key's owner", .path.display())]
    Forbidden {
        /// The key's file.
        path: PathBuf,
        /// What cannot be done.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// There is no key yet.
    #[error(
        "{}: no such key file. Give the agent's key with --key, or have one made with --make-key",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The same, of an agent that is not started by this.
    #[error(
        "{}: no such key file. The agent makes its key when it is started first: start the service \
         (sudo systemctl start linkqual-agent), or make the key now with --make-key. A key \
         elsewhere is named with --key",
        .0.display()
    )]
    NoKeyYet(PathBuf),
    /// A key cannot be made or replaced.
    #[error("{0}")]
    Keyring(KeyringError),
    /// Output cannot be written, or records cannot be kept there.
    #[error("{0}")]
    Output(#[from] BadOutput),
}

impl BadConfig {
    /// 5 where what was written is lost, else 2.
    const fn code(&self) -> u8 {
        let is_lost = match self {
            Self::Output(output) => output.is_lost(),
            Self::Keyring(error) => error.is_lost(),
            _ => false,
        };
        if is_lost { 5 } else { 2 }
    }
}

impl From<KeyringError> for BadConfig {
    fn from(error: KeyringError) -> Self {
        let is_denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match error {
            KeyringError::Key(error) => error.into(),
            KeyringError::Folder { path, source } if is_denied(&source) => {
                Self::Forbidden { path, what: "cannot be written", source }
            }
            error => Self::Keyring(error),
        }
    }
}

impl From<KeyFileError> for BadConfig {
    /// What helps the driver's user, a key of their own, is no advice here.
    fn from(error: KeyFileError) -> Self {
        let is_denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match error {
            KeyFileError::Unreadable { path, source } if is_denied(&source) => {
                Self::Forbidden { path, what: "cannot be read", source }
            }
            KeyFileError::Unwritable { path, source } if is_denied(&source) => {
                Self::Forbidden { path, what: "cannot be written", source }
            }
            error => Self::Key(error),
        }
    }
}
