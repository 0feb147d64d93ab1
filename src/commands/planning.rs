//! Plans: read with their keys, run, checked, written.

use super::error::Error;
use super::keys;
use super::running::run_plan;
use crate::account::plain;
use crate::cli::{PlanCheckArgs, PlanInitArgs, RunArgs};
use crate::driver::egress_of;
use crate::forecast::{self, Forecast};
use crate::framing::IpVersion;
use crate::io::files::{read_text, write_new};
use crate::io::host;
use crate::io::key::{read_public, read_secret};
use crate::io::terminal::{columns, print, say};
use crate::method::{DeviceLimit, Impossible};
use crate::plan::file::{Assumption, FILE_OCTETS_MAX, Half, Reading, SAMPLE, read};
use crate::plan::{Plan, Site};
use crate::report::PlanRecord;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

/// A plan, its keys usable.
pub(super) struct Loaded {
    pub(super) plan: Plan,
    pub(super) assumptions: Vec<Assumption>,
    record: PlanRecord,
}

/// Reads the plan at `path`, and looks at the key files that it names.
///
/// # Errors
///
/// All that is wrong with either.
pub(super) fn load(path: &Path) -> Result<Loaded, Error> {
    let file = read_text(path, FILE_OCTETS_MAX)?;
    let mut reading = read(path, &file.text);
    for key in reading.keys().to_vec() {
        let refusal = match key.half {
            Half::Secret => read_secret(&key.path).err(),
            Half::Public => read_public(&key.path).err(),
        };
        if let Some(why) = refusal {
            reading.refuse_key(&key, why.to_string());
        }
    }
    refuse_sizes(&mut reading);
    let (plan, assumptions) = reading.conclude()?;
    let record = record_of(path, file.sha256, file.text);
    Ok(Loaded { plan, assumptions, record })
}

/// Refuses sizes that leave this host in no single piece towards a site whose address the plan
/// gives. A name is not looked up for it, as nothing is to be sent: a run refuses them itself.
fn refuse_sizes(reading: &mut Reading) {
    let egress = egress_of(reading.plan());
    let outgoing = |site: &Site| {
        let ip: IpAddr = site.agent.name.parse().ok()?;
        let leaves = host::outgoing((ip, site.agent.port).into(), &egress)?;
        Some((IpVersion::of(ip), leaves))
    };
    let outgoing: Vec<_> = reading.plan().sites.iter().map(outgoing).collect();
    for size in reading.sizes().to_vec() {
        let towards = outgoing.iter().enumerate();
        let towards = towards.filter(|(place, _)| size.site.is_none_or(|site| site == *place));
        let mut limits = towards.filter_map(|(_, outgoing)| {
            let (ip, leaves) = outgoing.clone()?;
            DeviceLimit::below(size.octets, ip, leaves)
        });
        if let Some(limit) = limits.next() {
            reading.refuse_size(&size, limit.to_string());
        }
    }
}

/// Reads the plan at `path` alone: nothing is to be run, so its keys need not be here.
///
/// # Errors
///
/// All that is wrong with it.
pub(super) fn read_plan(path: &Path) -> Result<(Plan, PlanRecord), Error> {
    let file = read_text(path, FILE_OCTETS_MAX)?;
    let (plan, _) = read(path, &file.text).conclude()?;
    Ok((plan, record_of(path, file.sha256, file.text)))
}

/// A report has the file's name as far as it can be printed.
fn record_of(path: &Path, sha256: String, text: String) -> PlanRecord {
    let file = plain(&path.display().to_string());
    PlanRecord { file, sha256, text: Some(text) }
}

/// `linkqual run`.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let Loaded { plan, assumptions, record } = load(&args.plan)?;
    let notes: Vec<String> = assumptions.iter().map(|taken| format!("assumed: {taken}")).collect();
    if !args.output.quiet {
        notes.iter().for_each(|note| say(&format!("note: {note}")));
    }
    run_plan(plan, Some(record), notes, &args.output)
}

/// `linkqual plan check`.
///
/// # Errors
///
/// All that is wrong with the plan.
pub(super) fn check(args: &PlanCheckArgs) -> Result<ExitCode, Error> {
    let Loaded { plan, assumptions, .. } = load(&args.plan)?;
    let forecast = Forecast::of(&plan).map_err(Impossible::OutOfBounds)?;
    print(&forecast::text(&plan, &forecast, &assumptions, columns()))?;
    // Nothing is sent: who is to be trusted may be found out later.
    let notes = match keys::unknown(&plan) {
        Ok(unknown) => unknown.map_or_else(String::new, |unknown| unknown.to_string()),
        Err(error) => error.to_string(),
    };
    notes.lines().for_each(|line| say(&format!("note: before a run: {line}")));
    Ok(ExitCode::SUCCESS)
}

/// `linkqual plan init`.
///
/// # Errors
///
/// Where the file exists, or cannot be written.
pub(super) fn init(args: &PlanInitArgs) -> Result<ExitCode, Error> {
    match &args.file {
        Some(path) => write_new(path, SAMPLE)?,
        None => print(SAMPLE)?,
    }
    Ok(ExitCode::SUCCESS)
}
