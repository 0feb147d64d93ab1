//! The agent's executable: arguments in, exit code out.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    linkqual::io::log::start("info");
    linkqual::agent::main(&linkqual::cli::AgentArgs::parse())
}
