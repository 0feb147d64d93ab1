//! The driver's executable: arguments in, exit code out.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    linkqual::cli::log("warn");
    linkqual::driver::main(&linkqual::cli::DriverArgs::parse())
}
