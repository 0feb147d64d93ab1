//! `linkqual-agent allow`: adds a driver to the file that the agent reads, or lets a new key take
//! the place of the one that has signed it.

use crate::cli::AllowArgs;
use crate::io::clock;
use crate::io::files::make_usual_folder;
use crate::io::key::{is_signed, read_public};
use crate::io::terminal::print;
use crate::io::watched::{add_line, read_text, replace_text};
use crate::policy::allowed::{AllowedDriver, read, replaced, succeeded};
use crate::wire::key::KeyLine;
use crate::wire::succession::{MARK, MalformedSuccession, SuccessionLine};
use std::io;
use std::path::Path;

/// Why a driver was not added, and the exit code for that.
pub(super) type NotAdded = (String, u8);

/// Adds the driver, unless it is allowed already, and says so. A line of it that has expired gives
/// way.
pub(super) fn allow(args: &AllowArgs) -> Result<(), NotAdded> {
    if args.key_line.iter().flat_map(|word| word.split_whitespace()).next() == Some(MARK) {
        return succeed(args);
    }
    let key = key(&args.key_line).map_err(|why| (why, 2))?;
    let AllowArgs { max_rate, probe_only, ref circuits, expires, .. } = *args;
    let driver = AllowedDriver { key, max_rate, probe_only, circuits: circuits.clone(), expires };
    let now_ns = clock::wall_ns();
    if driver.is_expired(now_ns) {
        let passed = expires.map_or_else(String::new, |expires| expires.to_string());
        return Err((format!("--expires: {passed} has passed, so it would allow nobody"), 2));
    }
    let path = args.drivers.display();
    let unreadable = |error| (format!("{path}: cannot be read: {error}"), 2);
    let text = read_text(&args.drivers).map_err(unreadable)?;
    let (listed, _) = read(&text);
    let there = listed.iter().find(|there| there.key.key() == driver.key.key());
    if let Some(there) = there.filter(|there| !there.is_expired(now_ns)) {
        let why = format!(
            "{path} allows this key already: {there}. Change that line, or take it out first"
        );
        return Err((why, 2));
    }
    let line = driver.to_string();
    let written = match there {
        Some(expired) => replace_text(&args.drivers, &replaced(&text, expired, &line)),
        None => make_usual_folder(&args.drivers).and_then(|()| add_line(&args.drivers, &line)),
    };
    written.map_err(|error| unwritten(args, &error))?;
    let said = format!(
        "{path} now allows {driver}\nAn agent that runs and can read this file serves it within a \
         second.\n"
    );
    print(&said).map_err(|error| (error.to_string(), 5))
}

/// Lets a driver's new key take the place of its old one, which has signed it, and says so.
fn succeed(args: &AllowArgs) -> Result<(), NotAdded> {
    let usage = |why: String| (why, 2);
    let is_limited = args.max_rate.is_some() || args.circuits.is_some() || args.expires.is_some();
    if args.probe_only || is_limited {
        let why = "a new key has the limits of the old one: leave --max-rate, --probe-only, \
                   --circuits and --expires out";
        return Err(usage(why.to_owned()));
    }
    let line: SuccessionLine = args
        .key_line
        .join(" ")
        .parse()
        .map_err(|why: MalformedSuccession| usage(why.to_string()))?;
    let (succession, now_ns) = (line.succession, clock::wall_ns());
    if !is_signed(&succession.old(), succession.signed_text().as_bytes(), &line.signature) {
        let why = "the old key has not signed this line, or not as it is here. Nothing was \
                   changed. Copy the line of linkqual key rotate again, whole";
        return Err(usage(why.to_owned()));
    }
    if succession.is_over(now_ns) {
        return Err(usage(format!(
            "this line was valid until {}. Allow the new key by the line of linkqual key, and take \
             the old one out",
            succession.until()
        )));
    }
    let path = args.drivers.display();
    let text = read_text(&args.drivers)
        .map_err(|error| usage(format!("{path}: cannot be read: {error}")))?;
    let (text, driver) =
        succeeded(&text, &succession, now_ns).map_err(|why| usage(format!("{path}: {why}")))?;
    replace_text(&args.drivers, &text).map_err(|error| unwritten(args, &error))?;
    let said = format!(
        "{path} now allows {driver}\nThe old key, {}, is allowed until {} at the latest.\n",
        succession.old(),
        succession.until()
    );
    print(&said).map_err(|error| (error.to_string(), 5))
}

/// The file of drivers could not be written: why, and what to do.
fn unwritten(args: &AllowArgs, error: &io::Error) -> NotAdded {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => ". Run it as root (sudo)",
        _ => "",
    };
    (format!("{}: cannot be written: {error}{advice}", args.drivers.display()), 5)
}

/// The key of a line, whose words a shell may have parted, or of a file.
fn key(words: &[String]) -> Result<KeyLine, String> {
    let line = words.join(" ");
    match line.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(&line).is_file() => {
            read_public(Path::new(&line)).map_err(|error| error.to_string())
        }
        Err(_) if !line.contains(' ') => {
            Err(format!("{line}: no such file, and no line of a .pub file: give either"))
        }
        Err(error) => Err(error.to_string()),
    }
}
