//! The driver's executable: arguments in, exit code out.

use linkqual::cli::{DriverArgs, DriverCommand, typed};
use linkqual::io::log;
use linkqual::io::terminal::{check_stdout, say};
use linkqual::{demo, driver};
use std::process::ExitCode;

fn main() -> ExitCode {
    log::start("warn");
    let args: DriverArgs = match typed() {
        Ok(args) => args,
        Err(answered) => {
            let (code, lost) = answered.end(check_stdout().map_err(|lost| lost.to_string()));
            lost.iter().for_each(|why| say(&format!("error: {why}")));
            return ExitCode::from(code);
        }
    };
    driver::exit(match &args.command {
        DriverCommand::Keygen(args) => driver::keygen(args),
        DriverCommand::Check(args) => driver::check(args),
        DriverCommand::Run(args) => driver::run(args),
        DriverCommand::Plan(command) => driver::plan(command),
        DriverCommand::Judge(args) => driver::judge(args),
        DriverCommand::Demo(args) => demo::main(args),
    })
}
