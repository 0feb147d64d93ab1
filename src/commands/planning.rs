//! Plans: read with their keys, run, checked, written.

use super::error::Error;
use super::keys;
use super::links::{run_links, selected};
use super::permitting::permit;
use super::running::{How, run_plan};
use crate::account::plain;
use crate::cli::{PlanCheckArgs, PlanInitArgs, RunArgs};
use crate::driver::{claim, egress_of, room};
use crate::forecast::{self, AtOnce, Forecast};
use crate::framing::IpVersion;
use crate::io::files::{read_text, write_new};
use crate::io::host;
use crate::io::key::{read_public, read_secret};
use crate::io::terminal::{columns, error_columns, print, say};
use crate::method::{DeviceLimit, Impossible};
use crate::plan::file::{
    Assumption, FILE_OCTETS_MAX, Half, Reading, SAMPLE, SAMPLE_LINKS, by_key, read, read_to_judge,
};
use crate::plan::{Plan, PlanKind, PlanSet, Site};
use crate::report::PlanRecord;
use crate::wrap::Page;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

/// The plans of a file, their keys usable.
pub(super) struct Loaded {
    pub(super) plans: PlanSet,
    pub(super) assumptions: Vec<Assumption>,
    pub(super) record: PlanRecord,
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
    let (plans, assumptions) = reading.conclude_all()?;
    let record = record_of(path, file.sha256, file.text);
    Ok(Loaded { plans, assumptions, record })
}

/// Refuses sizes that leave this host in no single piece towards a site whose address the plan
/// gives. A name is not looked up for it, as nothing is to be sent: a run refuses them itself.
fn refuse_sizes(reading: &mut Reading) {
    let outgoing: Vec<Vec<_>> = reading.plans().iter().map(ways_out).collect();
    for size in reading.sizes().to_vec() {
        let towards = outgoing.get(size.plan).into_iter().flatten().enumerate();
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

/// By which device, of which MTU, this host is left for each site of `plan`, as far as it is known.
fn ways_out(plan: &Plan) -> Vec<Option<(IpVersion, (String, u32))>> {
    let egress = egress_of(plan);
    let outgoing = |site: &Site| {
        let ip: IpAddr = site.agent.name.parse().ok()?;
        let leaves = host::outgoing((ip, site.agent.port).into(), &egress)?;
        Some((IpVersion::of(ip), leaves))
    };
    plan.sites.iter().map(outgoing).collect()
}

/// Reads what the plan at `path` requires: nothing is to be run, so it needs no ends and no tests,
/// and its keys need not be here.
///
/// # Errors
///
/// All that is wrong with it.
pub(super) fn read_requirements(path: &Path) -> Result<(PlanSet, PlanRecord), Error> {
    let file = read_text(path, FILE_OCTETS_MAX)?;
    let (plans, _) = read_to_judge(path, &file.text).conclude_all()?;
    Ok((plans, record_of(path, file.sha256, file.text)))
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
    let Loaded { plans, assumptions, record } = load(&args.plan)?;
    let Some(plans) = selected(plans, args)? else { return Ok(ExitCode::SUCCESS) };
    let notes: Vec<String> = assumptions.iter().map(|taken| format!("assumed: {taken}")).collect();
    if !args.output.quiet && !assumptions.is_empty() {
        let taken: Vec<String> = by_key(&assumptions).into_iter().map(|(text, _)| text).collect();
        let mut page = Page::listing(error_columns());
        page.wrapped("", &format!("note: not set in the plan, so assumed: {}", taken.join("; ")));
        say(page.into_text().trim_end());
    }
    let PlanSet { mut plans, kind } = plans;
    let notes = [notes, permit(&mut plans, &args.permit)?].concat();
    let how = How { command: "run", record: Some(&args.record), output: &args.output };
    match kind {
        PlanKind::Links => run_links(plans, record, notes, args.at_once.parallel, how),
        PlanKind::Bare | PlanKind::Link => run_plan(plans.remove(0), Some(record), notes, how),
    }
}

/// `linkqual plan check`.
///
/// # Errors
///
/// All that is wrong with the plan.
pub(super) fn check(args: &PlanCheckArgs) -> Result<ExitCode, Error> {
    let Loaded { plans: PlanSet { plans, kind }, assumptions, .. } = load(&args.plan)?;
    let forecasts = plans.iter().map(Forecast::of).collect::<Result<Vec<_>, _>>();
    let forecasts = forecasts.map_err(Impossible::OutOfBounds)?;
    let text = match (kind, plans.as_slice(), forecasts.as_slice()) {
        (PlanKind::Bare | PlanKind::Link, [plan], [forecast]) => {
            forecast::text(plan, forecast, &assumptions, columns())
        }
        _ => {
            let claims = plans.iter().map(|plan| claim(plan, &keys::known_of(plan))).collect();
            let room = room(&plans, args.at_once.parallel);
            let pairs: Vec<_> = plans.iter().zip(&forecasts).collect();
            forecast::links_text(&pairs, &AtOnce { claims, room }, &assumptions, columns())
        }
    };
    print(&text)?;
    // Nothing is sent: who is to be trusted may be found out later.
    let notes = match keys::unknown(&plans) {
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
    let sample = if args.links { SAMPLE_LINKS } else { SAMPLE };
    match args.file.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => write_new(path, sample)?,
        None => print(sample)?,
    }
    Ok(ExitCode::SUCCESS)
}
