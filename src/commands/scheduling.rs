//! Plans with a schedule: what they run when, and `linkqual schedule`, which shows it.

use super::blackouts::Known;
use super::error::Error;
use super::planning::{Loaded, load};
use super::stopping::Stops;
pub(super) use super::volume::{now, volume};
use crate::account::plain;
use crate::cli::ScheduleArgs;
use crate::driver::claim;
use crate::forecast::Forecast;
use crate::io::clock::is_kept;
use crate::io::terminal::{columns, print, say};
use crate::method::Impossible;
use crate::method::schedule::Resource;
use crate::plan::Plan;
use crate::report::PlanRecord;
use crate::schedule::cost::{self, MONTH_DAYS, Volume};
use crate::schedule::listing::{Listed, Listing};
use crate::schedule::preview::preview;
use crate::schedule::{Denied, Permit, Scheduled};
use crate::units::Span;
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
    /// What a run sends, unless it is lengthened.
    volume: Volume,
}

impl Recurring {
    /// It as `linkqual schedule` shows it.
    fn listed(&self) -> Listed<'_> {
        let billing = self.plan.rules.billing.as_ref();
        Listed { link: &self.scheduled, volume: self.volume, billing }
    }
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
    let blackouts = Known::read()?;
    for Watched { name, plan, file } in links {
        let Some(timing) = plan.schedule.clone() else { continue };
        let mut plan = plan.clone();
        // What is usual holds for what runs by itself.
        plan.rules.abort_if = plan.rules.aborts();
        plan.rules.ramps_in = plan.rules.is_in_service();
        let forecast = Forecast::of(&plan).map_err(Impossible::OutOfBounds)?;
        let mut resources = claim(&plan, &super::keys::known_of(&plan)).resources;
        if plan.loads() {
            resources.insert(Resource::ThisHost);
        }
        let scheduled = Scheduled {
            name: name.clone(),
            timing,
            takes: forecast.longest(&plan),
            loads: plan.loads(),
            resources,
            permit: Permit::of(&plan.rules, blackouts.of(&plan.link)),
        };
        let volume = volume(&plan, &forecast);
        all.push(Recurring { scheduled, plan, file: file.clone(), volume });
    }
    Ok(all)
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
    let scheduled: Vec<Scheduled> = links.iter().map(|link| link.scheduled.clone()).collect();
    let lasts: Vec<Span> = links.iter().map(|link| link.volume.lasts).collect();
    let coming = preview(scheduled, &lasts, from, until);
    let listed: Vec<Listed<'_>> = links.iter().map(Recurring::listed).collect();
    let of_links = links.iter().flat_map(|link| remarks(link, from));
    let remarks: Vec<String> = conditions(&links).into_iter().chain(of_links).collect();
    let listing = Listing { links: &listed, coming: &coming, remarks: &remarks };
    match args.json {
        true => print(&format!("{:#}\n", listing.json()))?,
        false => print(&listing.text(args.limit, columns()))?,
    }
    let missed = listing.missed();
    if 0 < missed {
        say(&format!(
            "error: {missed} of {} runs cannot take place then, and would be missed: change cron, \
             jitter or the windows, or shorten the tests",
            coming.len()
        ));
        return Ok(ExitCode::from(super::error::USAGE));
    }
    Ok(ExitCode::SUCCESS)
}

/// What keeps loads from starting now, on whatever day they are due.
fn conditions(links: &[Recurring]) -> Vec<String> {
    let loads = |link: &&Recurring| link.scheduled.loads;
    let stops = Stops::of_this_user().orders().into_iter().map(|order| format!("Now {order}."));
    let needs_clock = |link: &Recurring| link.scheduled.permit.needs_clock;
    let clock = links.iter().filter(loads).any(needs_clock) && !is_kept();
    let clock = clock.then(|| format!("As things are: {}.", Denied::Clock));
    stops.map(|text| plain(&text)).chain(clock).collect()
}

/// What there is to say of a link beside its runs: how it is loaded, and what a month of it costs
/// from `from` on.
fn remarks(link: &Recurring, from: Timestamp) -> Vec<String> {
    let (name, rules) = (&link.scheduled.name, &link.plan.rules);
    let mut remarks = Vec::new();
    if link.scheduled.loads && rules.is_in_service() {
        let aborts: Vec<String> = rules.aborts().iter().map(ToString::to_string).collect();
        remarks.push(format!(
            "{name} is in service: loaded with at most {} of its committed rate; a load ends where \
             {}.",
            rules.share(),
            aborts.join(", or ")
        ));
    }
    let month = from.checked_add(SignedDuration::from_hours(24 * MONTH_DAYS));
    let starts = || {
        let runs = link.scheduled.runs(from, month.unwrap_or(Timestamp::MAX));
        runs.filter(|(_, missed)| missed.is_none()).map(|(due, _)| due.start).collect::<Vec<_>>()
    };
    let cost = rules.billing.as_ref().and_then(|it| cost::of_month(it, &starts(), &link.volume));
    remarks.extend(cost.map(|cost| format!("{name}: {cost}.")));
    remarks
}
