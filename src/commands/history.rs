//! `linkqual history`: the runs that are recorded, and what is done to them.

use super::error::Error;
use super::recording::{configure, configured, open, usual_place};
use super::runtime::runtime;
use super::saved::{read_report, record_at};
use crate::cli::{HistoryArgs, HistoryCommand, HistoryPlaceArgs, ListArgs, ListFormat};
use crate::history::{Entry, Kept};
use crate::io::clock::wall_ns;
use crate::io::files::folders_in;
use crate::io::terminal::{columns, print};
use crate::io::user_folders::user_name;
use crate::report::Report;
use crate::store::{Audit, Copied, Filter, Place, Store};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `linkqual history`.
///
/// # Errors
///
/// Where there is none, or it cannot be read or written.
pub(super) fn history(args: &HistoryArgs) -> Result<ExitCode, Error> {
    let done = async {
        match &args.command {
            None => list(&args.place, &args.list).await,
            Some(HistoryCommand::Init(init)) => make(&args.place, init.at.as_ref()).await,
            Some(HistoryCommand::Import(import)) => bring_in(&args.place, &import.paths).await,
            Some(HistoryCommand::Backup(backup)) => back_up(&args.place, &backup.file).await,
            Some(HistoryCommand::Restore(backup)) => restore(&args.place, &backup.file).await,
            Some(HistoryCommand::Move(to)) => move_to(&args.place, &to.to).await,
            Some(HistoryCommand::Delete(delete)) => {
                take_out(&args.place, &delete.runs, "delete", &delete.reason).await
            }
            Some(HistoryCommand::Redact(redact)) => {
                take_out(&args.place, &redact.runs, "redact", &redact.reason).await
            }
            Some(HistoryCommand::Prune) => prune(&args.place).await,
        }
    };
    print(&runtime()?.block_on(done)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The report of the run that begins with `digits`.
///
/// # Errors
///
/// Where there is none, or it cannot be read.
pub(super) fn report_of(args: &HistoryPlaceArgs, digits: &str) -> Result<Report, Error> {
    runtime()?.block_on(async {
        let mut store = opened(args).await?;
        let run = store.find(digits).await?;
        Ok(store.report(&run).await?)
    })
}

pub(super) async fn opened(args: &HistoryPlaceArgs) -> Result<Store, Error> {
    Ok(open(&place(args)?).await?)
}

/// The history that is meant.
fn place(args: &HistoryPlaceArgs) -> Result<Place, Error> {
    configured(args)?.ok_or_else(|| {
        Error::History("there is no history yet. Make one: linkqual history init".to_owned())
    })
}

async fn list(args: &HistoryPlaceArgs, list: &ListArgs) -> Result<String, Error> {
    let now_ns = wall_ns();
    let filter = Filter {
        link: list.link.clone(),
        since_ns: list.since.map(|since| since.ns(now_ns)),
        until_ns: list.until.map(|until| until.ns(now_ns)),
        verdict: list.verdict.map(Into::into),
        state: list.state,
        class: list.class,
        limit: list.limit,
    };
    let listing = opened(args).await?.list(&filter, now_ns).await?;
    Ok(match list.format {
        ListFormat::Text => listing.text(columns()),
        ListFormat::Json => listing.json(),
        ListFormat::Csv => listing.csv(),
    })
}

async fn make(args: &HistoryPlaceArgs, at: Option<&Place>) -> Result<String, Error> {
    let place = match at.or(args.place.as_ref()) {
        Some(place) => place.clone(),
        None => usual_place()?,
    };
    let place = absolute(place)?;
    Store::make(&place).await?.close().await?;
    configure(&place)?;
    Ok(format!(
        "The history is at {place}. check and run record in it from now on. To leave a \
         run out, use --no-history.\n"
    ))
}

/// A file is meant wherever a command is run later.
fn absolute(place: Place) -> Result<Place, Error> {
    let Place::File(path) = place else { return Ok(place) };
    let failed = |source| crate::store::Error::File { path: path.clone(), source };
    Ok(Place::File(std::path::absolute(&path).map_err(failed)?))
}

async fn bring_in(args: &HistoryPlaceArgs, paths: &[PathBuf]) -> Result<String, Error> {
    let mut store = opened(args).await?;
    let (mut new, mut there) = (0_u64, 0_u64);
    for path in paths.iter().flat_map(|path| records_in(path)) {
        let report = read_report(&path)?;
        if store.has(&report.run).await? {
            there += 1;
            continue;
        }
        let wrong = |why: &str| Error::Unreadable(format!("{}: {why}", path.display()));
        let entry = Entry::imported(&report, wall_ns());
        let entry = entry.ok_or_else(|| wrong("it does not say when it was run"))?;
        store.record(&Kept::of(entry, &report)).await?;
        new += 1;
    }
    Ok(format!("{} recorded, {there} were there already.\n", runs_text(new)))
}

/// The records at `path`: a file, the folder of a run, or a folder of such folders.
fn records_in(path: &Path) -> Vec<PathBuf> {
    let record = record_at(path);
    if record.is_file() || !path.is_dir() {
        return vec![record];
    }
    let folders = folders_in(path);
    let records: Vec<PathBuf> =
        folders.iter().map(|folder| record_at(folder)).filter(|record| record.is_file()).collect();
    // So that what is missing is named.
    if records.is_empty() { vec![record] } else { records }
}

async fn back_up(args: &HistoryPlaceArgs, file: &Path) -> Result<String, Error> {
    if file.exists() {
        return Err(crate::io::files::BadOutput::Named(file.to_owned()).into());
    }
    let mut store = opened(args).await?;
    let mut backup = Store::make(&absolute(Place::File(file.to_owned()))?).await?;
    let copied = store.copy_into(&mut backup).await?;
    backup.close().await?;
    Ok(format!("{} written to {}.\n", runs_text(copied.runs), file.display()))
}

async fn restore(args: &HistoryPlaceArgs, file: &Path) -> Result<String, Error> {
    let mut backup = Store::open(&Place::File(file.to_owned())).await?;
    let mut store = opened(args).await?;
    let Copied { runs, there } = backup.copy_into(&mut store).await?;
    Ok(format!("{} restored, {there} were there already.\n", runs_text(runs)))
}

async fn move_to(args: &HistoryPlaceArgs, to: &Place) -> Result<String, Error> {
    let (mut store, to) = (opened(args).await?, absolute(to.clone())?);
    let holdings = store.holdings().await?;
    if !holdings.held.is_empty() {
        let what = format!("{holdings}. Move the history when nothing is being loaded");
        return Err(Error::History(what));
    }
    let mut new = Store::make(&to).await?;
    let Copied { runs, there } = store.copy_into(&mut new).await?;
    new.close().await?;
    configure(&to)?;
    let from = store.place();
    Ok(format!(
        "{} copied to {to}, {there} were there already. check and run record there from now on.\n\
         What is at {from} was left as it is: delete it when you no longer need it.\n",
        runs_text(runs)
    ))
}

async fn take_out(
    args: &HistoryPlaceArgs,
    runs: &[String],
    action: &'static str,
    reason: &str,
) -> Result<String, Error> {
    let mut store = opened(args).await?;
    let mut found = Vec::new();
    for digits in runs {
        found.push(store.find(digits).await?);
    }
    for run in &found {
        let by_user = user_name();
        let audit = Audit { action, by_user, reason: Some(reason.to_owned()), at_ns: wall_ns() };
        match action {
            "delete" => store.delete(run, &audit).await?,
            _ => store.redact(run, &audit).await?,
        }
    }
    let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
    Ok(match action {
        "delete" => format!("{} deleted.\n", runs_text(count)),
        _ => format!("Names of people deleted from {}.\n", runs_text(count)),
    })
}

async fn prune(args: &HistoryPlaceArgs) -> Result<String, Error> {
    let (mut store, now_ns) = (opened(args).await?, wall_ns());
    let expired = store.expire(now_ns).await?;
    store.expire_probed(i64::try_from(now_ns / 1_000_000_000).unwrap_or(i64::MAX)).await?;
    Ok(format!(
        "{} deleted; names of people deleted from {}.\n",
        runs_text(expired.runs),
        runs_text(expired.people)
    ))
}

fn runs_text(count: u64) -> String {
    format!("{count} run{}", if count == 1 { "" } else { "s" })
}
