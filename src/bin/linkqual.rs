//! The driver's executable: arguments in, exit code out.

use linkqual::cli::{DriverArgs, typed};
use linkqual::commands;
use linkqual::io::log;
use linkqual::io::terminal::{check_stdout, say};
use std::process::ExitCode;

fn main() -> ExitCode {
    log::start("warn");
    match typed::<DriverArgs>() {
        Ok(args) => commands::main(&args),
        Err(answered) => {
            let (code, lost) = answered.end(check_stdout().map_err(|lost| lost.to_string()));
            lost.iter().for_each(|why| say(&format!("error: {why}")));
            ExitCode::from(code)
        }
    }
}
