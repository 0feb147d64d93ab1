//! `linkqual-agent allow` and `revoke`: the operator's changes of the file of drivers, which the
//! agent reads.

use crate::cli::{AllowArgs, RevokeArgs};
use crate::io::clock;
use crate::io::files::make_usual_folder;
use crate::io::key::{is_signed, read_public};
use crate::io::terminal::print;
use crate::io::watched::{Unchanged, change_text, with_line};
use crate::policy::allowed::{AllowedDriver, Whom, read, replaced, revoked, succeeded};
use crate::wire::key::{KeyLine, PublicKey};
use crate::wire::succession::{MARK, MalformedSuccession, SuccessionLine};
use std::io;
use std::path::Path;

/// Why the file of drivers was not changed, and the exit code for that.
pub(super) type NotChanged = (String, u8);

fn usage(why: impl ToString) -> NotChanged {
    (why.to_string(), 2)
}

/// Adds the driver, unless it is allowed already, and says so. A line of it that has expired gives
/// way, and any where it is to be replaced.
pub(super) fn allow(args: &AllowArgs) -> Result<(), NotChanged> {
    if args.key_line.iter().flat_map(|word| word.split_whitespace()).next() == Some(MARK) {
        return succeed(args);
    }
    let key = key(&args.key_line).map_err(usage)?;
    let AllowArgs { max_rate, probe_only, ref circuits, expires, .. } = *args;
    let circuits = circuits.clone();
    let driver =
        AllowedDriver { max_rate, probe_only, circuits, expires, ..AllowedDriver::whole(key) };
    let now_ns = clock::wall_ns();
    if driver.is_expired(now_ns) {
        let passed = expires.map_or_else(String::new, |expires| expires.to_string());
        return Err(usage(format!("--expires: {passed} has passed, so it would allow nobody")));
    }
    let path = args.drivers.display();
    make_usual_folder(&args.drivers).map_err(|error| unwritten(&args.drivers, &error))?;
    let before = change(&args.drivers, |text| {
        let (listed, _) = read(text);
        let there = listed.iter().find(|there| there.key.key() == driver.key.key());
        let stays = |there: &&AllowedDriver| !args.replace && !there.is_expired(now_ns);
        if let Some(there) = there.filter(stays) {
            return Err(usage(format!(
                "{path} allows this key already: {there}. With --replace the line is written anew"
            )));
        }
        let line = driver.to_string();
        let text = match there {
            Some(there) => replaced(text, there, &line),
            None => with_line(text, &line),
        };
        Ok((text, there.cloned()))
    })?;
    let before = before.map_or_else(String::new, |before| format!("instead of {before}\n"));
    say(&format!("{path} now allows {driver}\n{before}{AT_ONCE}"))
}

/// When a change takes effect.
const AT_ONCE: &str = "An agent that runs and can read this file takes it in within a second.\n";

/// When it takes none: the file is not all that allows drivers.
const AT_RESTART: &str =
    "A key that the agent was started with (--allow) needs a restart of the agent, without it.\n";

/// Takes a driver out, and says whom.
pub(super) fn revoke(args: &RevokeArgs) -> Result<(), NotChanged> {
    let whom = whom(&args.whom).map_err(usage)?;
    let path = args.drivers.display();
    let (gone, next) = change(&args.drivers, |text| {
        let (rest, gone) = revoked(text, &whom).map_err(|why| usage(format!("{path}: {why}")))?;
        let successors = gone.iter().filter_map(|driver| driver.successor.as_ref());
        let left = read(&rest).0.into_iter();
        let next = left.filter(|driver| successors.clone().any(|it| it.is(&driver.key.key())));
        let next: Vec<AllowedDriver> = next.collect();
        Ok((rest, (gone, next)))
    })?;
    let mut said = String::new();
    for driver in gone {
        said += &format!("{path} no longer allows {driver}\n");
    }
    for driver in next {
        said += &format!("the key after it is still allowed: {driver}\n");
    }
    say(&format!("{said}{AT_ONCE}{AT_RESTART}"))
}

/// Lets a driver's new key take the place of its old one, which has signed it, and says so.
fn succeed(args: &AllowArgs) -> Result<(), NotChanged> {
    let is_limited = args.max_rate.is_some() || args.circuits.is_some() || args.expires.is_some();
    if args.probe_only || args.replace || is_limited {
        let why = "a new key has the limits of the old one, and takes its place: leave --max-rate, \
                   --probe-only, --circuits, --expires and --replace out";
        return Err(usage(why));
    }
    let line: SuccessionLine =
        args.key_line.join(" ").parse().map_err(|why: MalformedSuccession| usage(why))?;
    let (succession, now_ns) = (line.succession, clock::wall_ns());
    if !is_signed(&succession.old(), succession.signed_text().as_bytes(), &line.signature) {
        let why = "the old key has not signed this line, or not as it is here. Nothing was \
                   changed. Copy the line of linkqual key rotate again, whole";
        return Err(usage(why));
    }
    if succession.is_over(now_ns) {
        return Err(usage(format!(
            "this line was valid until {}. Allow the new key by the line of linkqual key, and take \
             the old one out",
            succession.until()
        )));
    }
    let path = args.drivers.display();
    let driver = change(&args.drivers, |text| {
        succeeded(text, &succession, now_ns).map_err(|why| usage(format!("{path}: {why}")))
    })?;
    let (old, until) = (succession.old(), succession.until());
    say(&format!(
        "{path} now allows {driver}\nThe old key, {old}, is allowed until {until} at the latest.\n"
    ))
}

/// Changes the file of drivers, which nobody else changes meanwhile.
fn change<T>(
    path: &Path,
    change: impl FnMut(&str) -> Result<(String, T), NotChanged>,
) -> Result<T, NotChanged> {
    change_text(path, change).map_err(|why| match why {
        Unchanged::Refused(why) => why,
        Unchanged::Unreadable(error) => {
            usage(format!("{}: cannot be read: {error}", path.display()))
        }
        Unchanged::Unwritable(error) => unwritten(path, &error),
    })
}

fn say(text: &str) -> Result<(), NotChanged> {
    print(text).map_err(|error| (error.to_string(), 5))
}

/// The file of drivers could not be written: why, and what to do.
fn unwritten(path: &Path, error: &io::Error) -> NotChanged {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => ". Run it as root (sudo)",
        _ => "",
    };
    (format!("{}: cannot be written: {error}{advice}", path.display()), 5)
}

/// Whom the operator means: a key's line or the Base64 in it, its .pub file, its fingerprint, or
/// its comment.
fn whom(words: &[String]) -> Result<Whom, String> {
    let text = words.join(" ");
    let text = text.trim();
    if Path::new(text).extension().is_some_and(|end| end == "pub") || text.starts_with("linkqual-")
    {
        return key(words).map(|line| Whom::Key(line.key()));
    }
    match PublicKey::from_base64(text) {
        Ok(key) => Ok(Whom::Key(key)),
        Err(_) if text.is_empty() => {
            Err("name the driver: by its key, its fingerprint, or its comment".to_owned())
        }
        Err(_) => Ok(Whom::Named(text.to_owned())),
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
        Err(_) if !line.contains(' ') => {
            Err(format!("{line}: no such file, and no line of a .pub file: give either"))
        }
        Err(error) => Err(error.to_string()),
    }
}
