//! Programs that are run with something to read.

use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be run.
    #[error("{0} cannot be run: {1}")]
    NotRun(String, io::Error),
    /// It took too long, and was killed.
    #[error("{program} took longer than {} s, and was killed", .limit.as_secs())]
    TooSlow {
        /// The program.
        program: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It says that it failed.
    #[error("{0} failed: {1}")]
    Failed(String, std::process::ExitStatus),
}

/// Runs `arguments`, of which the first is the program, with `input` to read, for `limit` at most.
/// What it prints is nobody's.
///
/// # Errors
///
/// Where it cannot be run, takes too long, or fails.
pub async fn run(arguments: &[String], input: &str, limit: Duration) -> Result<(), ProgramError> {
    let (program, rest) = arguments
        .split_first()
        .ok_or_else(|| ProgramError::NotRun(String::new(), io::ErrorKind::NotFound.into()))?;
    let not_run = |error| ProgramError::NotRun(program.clone(), error);
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(not_run)?;
    let stdin = child.stdin.take();
    let work = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it is given.
            _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    };
    let ended = timeout(limit, work).await;
    let status = ended.map_err(|_| ProgramError::TooSlow { program: program.clone(), limit })?;
    let status = status.map_err(not_run)?;
    if status.success() { Ok(()) } else { Err(ProgramError::Failed(program.clone(), status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str, limit: Duration) -> Result<(), ProgramError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let arguments = ["/bin/sh", "-c", script].map(str::to_owned);
        runtime.expect("a runtime").block_on(run(&arguments, "two words\n", limit))
    }

    #[test]
    fn a_program_reads_its_input_and_may_fail_or_be_too_slow() {
        let long = Duration::from_secs(10);
        assert!(ended("read a b && test \"$b\" = words", long).is_ok());
        assert!(ended("exit 0", long).is_ok(), "it need not read");
        let failed = ended("exit 3", long).expect_err("it fails").to_string();
        assert!(failed.starts_with("/bin/sh failed: exit status: 3"), "{failed}");
        let slow = ended("sleep 20", Duration::from_millis(50));
        assert!(matches!(slow, Err(ProgramError::TooSlow { .. })), "{slow:?}");
    }
}
