//! Writes the manual pages and the shells' completions of both programs, from the commands that the
//! programs themselves parse; `scripts/package` runs it.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate_to};
use linkqual::cli::{AgentArgs, DriverArgs};
use linkqual::io::terminal::say;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The shells that packages have a place for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        say("usage: manuals DIR");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}: {error}", folder.display()));
            ExitCode::FAILURE
        }
    }
}

/// Writes `man/PROGRAM*.1`, a page for each command, and `completions/SHELL/` into `folder`.
pub(crate) fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    for command in [DriverArgs::command(), AgentArgs::command()] {
        let pages = folder.join("man");
        fs::create_dir_all(&pages)?;
        clap_mangen::generate_to(command.clone(), &pages)?;
        for page in fs::read_dir(&pages)? {
            let page = page?.path();
            // What stands at the end of a help text has a heading of its own there: man-pages(7).
            let text = fs::read_to_string(&page)?.replace(".SH EXTRA", ".SH NOTES");
            fs::write(page, text)?;
        }
        for shell in SHELLS {
            let place = folder.join("completions").join(shell.to_string());
            fs::create_dir_all(&place)?;
            let name = command.get_name().to_owned();
            generate_to(shell, &mut command.clone(), name, place)?;
        }
    }
    Ok(())
}
