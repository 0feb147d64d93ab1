//! A PostgreSQL server of a test's own: made in a temporary folder, reached by a socket in it, and
//! gone with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A server; dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
}

impl Postgres {
    /// Starts one; `None` where PostgreSQL is not installed, which is said.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            linkqual::io::terminal::say("PostgreSQL is not installed: not tried with it");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let server = Self { folder, programs };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let mut make = server.command("initdb");
        run(make.args(["-A", "trust", "-U", "linkqual", "--no-sync", "-D"]).arg(server.data()));
        server.restart();
        Some(server)
    }

    /// The URL of its only database.
    pub(crate) fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgresql:///postgres?host={folder}&user=linkqual")
    }

    /// Starts it again, or for the first time.
    pub(crate) fn restart(&self) {
        let folder = self.folder.path().display();
        let options = format!("-k {folder} -c listen_addresses= -c max_connections=20");
        let mut start = self.command("pg_ctl");
        start.args(["start", "-w", "-o", &options, "-l"]).arg(self.folder.path().join("log"));
        run(start.arg("-D").arg(self.data()));
    }

    /// Stops it as if its host had failed.
    pub(crate) fn stop(&self) {
        run(self.command("pg_ctl").args(["stop", "-m", "immediate", "-w", "-D"]).arg(self.data()));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the server; it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-D"]).arg(self.data());
        // It may be stopped already.
        _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").status();
    }
}

fn run(command: &mut Command) {
    let ended = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(ended.unwrap().success(), "{command:?}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The folder of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.map(|version| version.unwrap().path().join("bin"));
    programs.filter(|programs: &PathBuf| Path::new(&programs.join("initdb")).exists()).max()
}
