//! A plan of several links: those that are wanted, run as one.

use super::error::Error;
use super::keys;
use super::leasing::{leased, note_of};
use super::output::create;
use super::running::{How, PROGRESS_MAX, conclude, job_of, keepers};
use super::runtime::{pass_on_interrupts, runtime};
use super::saved::read_report;
use super::screen::Screen;
use super::stopping::{loaded, obey};
use crate::cli::RunArgs;
use crate::driver::{Cancel, HostClock, Job, Links, events, run_links as conduct_links};
use crate::forecast::AtOnce;
use crate::io::terminal::say;
use crate::plan::{Plan, PlanSet};
use crate::report::{PlanRecord, Report};
use crate::verdict::Verdict;
use std::process::ExitCode;

/// The plans of those links that are wanted; `None` where all passed that may be run again.
///
/// # Errors
///
/// Where a name is no link's, or the report cannot be read, or is of other links.
pub(super) fn selected(plans: PlanSet, args: &RunArgs) -> Result<Option<PlanSet>, Error> {
    let names: Vec<String> = plans.names().map(str::to_owned).collect();
    let known = match names.as_slice() {
        [] => "its link has no name".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    let plan = args.plan.display();
    for name in &args.links {
        if !names.contains(name) {
            return Err(Error::Links(format!("--link {name}: {plan} has no such link: {known}")));
        }
    }
    let named = |plan: &Plan| plan.link.name.clone().unwrap_or_default();
    let is_named = |plan: &Plan| args.links.is_empty() || args.links.contains(&named(plan));
    let plans = plans.only(is_named);
    let Some(path) = &args.only_failed else { return Ok(Some(plans)) };
    let failed = failed(&read_report(path)?);
    let (report, of) = (path.display(), |name: &String| failed.iter().find(|(it, _)| it == name));
    if plans.plans.iter().all(|plan| of(&named(plan)).is_none()) {
        let why = format!("--only-failed {report}: it is about no link of {plan}: {known}");
        return Err(Error::Links(why));
    }
    for plan in plans.plans.iter().filter(|plan| of(&named(plan)).is_none()) {
        say(&format!("note: {} is not in {report}, and is not run", named(plan)));
    }
    let plans = plans.only(|plan| of(&named(plan)).is_some_and(|(_, failed)| *failed));
    if plans.plans.is_empty() {
        say(&format!("note: every link passed in {report}: nothing is to be run"));
        return Ok(None);
    }
    Ok(Some(plans))
}

/// The links of `report` by their names, and whether each did not pass.
fn failed(report: &Report) -> Vec<(String, bool)> {
    let links = report.links.iter().enumerate().map(|(place, link)| {
        let verdict = report.verdict_on(place).unwrap_or(report.verdict);
        (link.name.clone().unwrap_or_default(), verdict != Verdict::Pass)
    });
    links.collect()
}

/// Runs `plans`, each of a link, up to `parallel` of them at once; the exit code of the verdict on
/// all. The report includes `notes`.
///
/// # Errors
///
/// Where there is no report.
pub(super) fn run_links(
    plans: Vec<Plan>,
    file: PlanRecord,
    notes: Vec<String>,
    parallel: u32,
    how: How<'_>,
) -> Result<ExitCode, Error> {
    let args = how.output;
    if let Some(unknown) = keys::unknown(&plans)? {
        return Err(Error::UnknownAgents(unknown));
    }
    let jobs = plans.into_iter().map(job_of).collect::<Result<Vec<Job>, Error>>()?;
    let run = jobs.first().map(Job::id).unwrap_or_default();
    let leased = |job| leased(job, &run, how.command, how.record);
    let jobs = jobs.into_iter().map(leased).collect::<Result<Vec<Job>, Error>>()?;
    let notes = notes.into_iter().chain(note_of(how.record)).collect();
    let output = create(args)?;
    let (events, reader) = events(PROGRESS_MAX);
    let cancel = Cancel::default();
    let links = Links::new(jobs, parallel).from_file(Some(file.clone())).with_notes(notes);
    let (claims, room) = links.claims();
    let plans: Vec<&Plan> = links.plans().collect();
    let screen = Screen::begin(!args.quiet, &plans, Some(&AtOnce { claims, room }));
    let loaded = loaded(plans.iter().copied());
    let recording = how.recording(&links.run().to_string(), &plans, Some(&file))?;
    let links = links.reporting_to(events).ended_by(&cancel);
    let links = match keepers(output, args, recording.as_ref()) {
        Some(keepers) => links.kept_by(keepers),
        None => links,
    };
    let (run, is_said) = runtime()?.block_on(async {
        loaded.map(|links| tokio::spawn(obey(cancel.clone(), links, Vec::new)));
        tokio::spawn(pass_on_interrupts(cancel, !args.quiet));
        tokio::join!(conduct_links(links, HostClock), screen.follow(reader))
    });
    conclude(run, is_said, recording, args)
}
