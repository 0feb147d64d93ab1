//! Plans with a schedule: what they run when, and `linkqual schedule`, which shows it.

use super::error::Error;
use super::planning::{Loaded, load};
use crate::cli::ScheduleArgs;
use crate::direction::Direction;
use crate::driver::claim;
use crate::forecast::Forecast;
use crate::io::clock::wall_ns;
use crate::io::terminal::{columns, print, say};
use crate::method::Impossible;
use crate::method::schedule::Resource;
use crate::plan::Plan;
use crate::report::PlanRecord;
use crate::schedule::{Due, Scheduled, listing};
use crate::units::ByteCount;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::process::ExitCode;

/// A plan of one link that is run again and again.
#[derive(Clone, Debug)]
pub(super) struct Recurring {
    /// When, and what it takes.
    pub(super) scheduled: Scheduled,
    /// What is run.
    pub(super) plan: Plan,
    /// The file that it is from.
    pub(super) file: PlanRecord,
    /// What is sent in each direction at most.
    sent: [ByteCount; 2],
}

/// A link of the plans that are watched.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// What it is called: its name, or its plan's file.
    pub(super) name: String,
    /// Its plan.
    pub(super) plan: Plan,
    /// The file that it is from.
    pub(super) file: PlanRecord,
}

/// The links of the plans in `paths`.
///
/// # Errors
///
/// All that is wrong with the first of them that is wrong; or where two links have one name.
pub(super) fn watched(paths: &[PathBuf]) -> Result<Vec<Watched>, Error> {
    let mut all: Vec<Watched> = Vec::new();
    for path in paths {
        let Loaded { plans, record, .. } = load(path)?;
        for plan in plans.plans {
            let name = plan.link.name.clone().unwrap_or_else(|| path.display().to_string());
            if all.iter().any(|other| other.name == name) {
                let path = path.display();
                let what = format!("{path}: another link is called {name}: give each its own name");
                return Err(Error::Links(what));
            }
            all.push(Watched { name, plan, file: record.clone() });
        }
    }
    Ok(all)
}

/// Those of `links` that have a schedule.
///
/// # Errors
///
/// Where a trial cannot be sent as its plan says.
pub(super) fn recurring(links: &[Watched]) -> Result<Vec<Recurring>, Error> {
    let mut all: Vec<Recurring> = Vec::new();
    for Watched { name, plan, file } in links {
        let Some(timing) = plan.schedule.clone() else { continue };
        let forecast = Forecast::of(plan).map_err(Impossible::OutOfBounds)?;
        let mut resources = claim(plan, &super::keys::known_of(plan)).resources;
        if plan.loads() {
            resources.insert(Resource::ThisHost);
        }
        let scheduled = Scheduled {
            name: name.clone(),
            timing,
            takes: forecast.longest(plan),
            loads: plan.loads(),
            resources,
        };
        let sent = Direction::ALL.map(|direction| {
            let octets = forecast.sites.iter().map(|site| site.sent(direction).octets.octets());
            ByteCount::new(octets.fold(0, u64::saturating_add))
        });
        all.push(Recurring { scheduled, plan: plan.clone(), file: file.clone(), sent });
    }
    Ok(all)
}

/// Now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_nanosecond(wall_ns().into()).unwrap_or(Timestamp::MIN)
}

/// `linkqual schedule`.
///
/// # Errors
///
/// Where a plan is wrong, or nobody can read the schedule.
pub(super) fn schedule(args: &ScheduleArgs) -> Result<ExitCode, Error> {
    let links = recurring(&watched(&args.plans)?)?;
    if links.is_empty() {
        let what = "no link of these plans has a schedule: give one [schedule], or \
                    [links.NAME.schedule], with cron and zone (linkqual help watch)";
        return Err(Error::Links(what.to_owned()));
    }
    let from = now();
    let ahead = SignedDuration::from_hours(24 * i64::from(args.next));
    let until = from.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let mut runs: Vec<(Due, usize, bool)> = Vec::new();
    for (place, link) in links.iter().enumerate() {
        let due = link.scheduled.runs(from, until);
        runs.extend(due.map(|(due, missed)| (due, place, missed.is_none())));
    }
    runs.sort();
    let rows = runs.iter().map(|(due, place, fits)| {
        let link = &links[*place];
        listing::Row { due: *due, link: &link.scheduled, sent: link.sent, fits: *fits }
    });
    print(&listing::text(&rows.collect::<Vec<_>>(), columns()))?;
    let misfits = runs.iter().filter(|(_, _, fits)| !fits).count();
    if 0 < misfits {
        say(&format!(
            "error: {misfits} of {} runs do not fit a window, and would be missed: change cron, \
             jitter or the windows, or shorten the tests",
            runs.len()
        ));
        return Ok(ExitCode::from(super::error::USAGE));
    }
    Ok(ExitCode::SUCCESS)
}
