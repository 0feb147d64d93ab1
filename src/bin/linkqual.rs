//! The driver's executable: arguments in, exit code out.

use clap::Parser as _;
use linkqual::cli::{DriverArgs, DriverCommand};
use linkqual::io::log;
use linkqual::{demo, driver};
use std::process::ExitCode;

fn main() -> ExitCode {
    log::start("warn");
    driver::exit(match &DriverArgs::parse().command {
        DriverCommand::Keygen(args) => driver::keygen(args),
        DriverCommand::Check(args) => driver::check(args),
        DriverCommand::Run(args) => driver::run(args),
        DriverCommand::Plan(command) => driver::plan(command),
        DriverCommand::Judge(args) => driver::judge(args),
        DriverCommand::Demo(args) => demo::main(args),
    })
}
