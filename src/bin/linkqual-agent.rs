//! The agent's executable: arguments in, exit code out.

use linkqual::cli::{Answered, typed};
use linkqual::io::{files::say, log};
use std::process::ExitCode;

fn main() -> ExitCode {
    log::start("info");
    match typed() {
        Ok(args) => linkqual::agent::main(&args),
        Err(Answered { code, lost }) => {
            lost.iter().for_each(|why| say(&format!("error: {why}")));
            ExitCode::from(code)
        }
    }
}
