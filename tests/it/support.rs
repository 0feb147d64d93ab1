//! What the tests with real processes share: keys, an agent, a check, and the machine itself.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

const DRIVER: &str = env!("CARGO_BIN_EXE_linkqual");
const AGENT: &str = env!("CARGO_BIN_EXE_linkqual-agent");

/// The machine's processors, which tests that keep time need for themselves.
static MACHINE: RwLock<()> = RwLock::new(());

/// Uses the machine beside others.
pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Has the machine alone: for tests whose packets must leave in time.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// The keys of a driver and of an agent, made as a user makes them.
pub(crate) struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["driver", "agent"] {
            let out = keys.path(name);
            let output = Command::new(DRIVER).arg("keygen").arg("--out").arg(out).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        keys
    }

    /// A file in the keys' folder: `driver`, `driver.pub`, `agent`, `agent.pub`, or a new one.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A command in the network namespace `namespace`, or in this one where there is none.
pub(crate) fn command_in(namespace: Option<&str>, program: &str) -> Command {
    match namespace {
        None => Command::new(program),
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, program]);
            command
        }
    }
}

/// A real agent; dropped, it is killed.
pub(crate) struct Agent {
    child: Child,
    local: SocketAddr,
}

impl Agent {
    /// Starts an agent on loopback, on a port of the system's choice.
    pub(crate) fn start(keys: &Keys, arguments: &[&str]) -> Self {
        Self::start_in(None, "127.0.0.1:0", keys, arguments)
    }

    pub(crate) fn start_in(
        namespace: Option<&str>,
        listen: &str,
        keys: &Keys,
        arguments: &[&str],
    ) -> Self {
        let mut child = command_in(namespace, AGENT)
            .args(["--listen", listen, "--key"])
            .arg(keys.path("agent"))
            .arg("--allow")
            .arg(keys.path("driver.pub"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(" listens on ").nth(1).and_then(|rest| rest.split(' ').next());
        let local = address.unwrap_or_else(|| panic!("the agent said: {line}")).parse().unwrap();
        Self { child, local }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `linkqual check` of the agent at `agent`, to its end.
pub(crate) fn check(keys: &Keys, agent: SocketAddr, arguments: &[&str]) -> Output {
    check_in(None, keys, agent, arguments)
}

pub(crate) fn check_in(
    namespace: Option<&str>,
    keys: &Keys,
    agent: SocketAddr,
    arguments: &[&str],
) -> Output {
    let key = |name: &str| -> PathBuf { Path::new(&keys.path(name)).to_owned() };
    command_in(namespace, DRIVER)
        .args(["check", &agent.to_string(), "--key"])
        .arg(key("driver"))
        .arg("--agent-key")
        .arg(key("agent.pub"))
        .args(arguments)
        .output()
        .unwrap()
}
