//! `linkqual-agent allow`: adds a driver to the file that the agent reads.

use super::fail;
use crate::cli::AllowArgs;
use crate::io::key::read_public;
use crate::io::terminal::print;
use crate::io::watched::{add_line, read_text};
use crate::policy::allowed::{AllowedDriver, read};
use crate::wire::key::KeyLine;
use std::path::Path;
use std::process::ExitCode;

/// Adds the driver, unless it is listed already; its exit code.
pub(super) fn allow(args: &AllowArgs) -> ExitCode {
    let key = match key(&args.key_line) {
        Ok(key) => key,
        Err(why) => return fail(&why, 2),
    };
    let AllowArgs { max_rate, probe_only, ref circuits, expires, .. } = *args;
    let driver = AllowedDriver { key, max_rate, probe_only, circuits: circuits.clone(), expires };
    let path = args.drivers.display();
    let text = match read_text(&args.drivers) {
        Ok(text) => text,
        Err(error) => return fail(&format!("{path}: cannot be read: {error}"), 2),
    };
    let (listed, _) = read(&text);
    if let Some(there) = listed.iter().find(|there| there.key.key() == driver.key.key()) {
        let why = format!(
            "{path} allows this key already: {there}. Change that line, or take it out first"
        );
        return fail(&why, 2);
    }
    if let Err(error) = add_line(&args.drivers, &driver.to_string()) {
        return fail(&format!("{path}: cannot be written: {error}"), 5);
    }
    let said = format!(
        "{path} now allows {driver}\nA running agent that reads this file serves it at once.\n"
    );
    match print(&said) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), 5),
    }
}

/// The key of a line, whose words a shell may have parted, or of a file.
fn key(words: &[String]) -> Result<KeyLine, String> {
    let line = words.join(" ");
    match line.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(&line).is_file() => {
            read_public(Path::new(&line)).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}
