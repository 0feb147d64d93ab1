//! `linkqual maintenance` and `linkqual note`: what people say of times on a link.

use super::error::Error;
use super::health::now_s;
use super::history::opened;
use super::runtime::runtime;
use crate::cli::{HistoryPlaceArgs, MaintenanceArgs, NoteArgs};
use crate::health::Moment;
use crate::health::entered::{maintenance_text, notes_text, short_id};
use crate::health::record::{Maintenance, Note};
use crate::io::clock::{utc_offset_s, wall_ns};
use crate::io::terminal::{columns, print};
use crate::io::user_folders::user_name;
use std::process::ExitCode;

/// Since when notes, and maintenance that is over, are listed: 90 days.
const LISTED_S: i64 = 90 * 86_400;

/// `linkqual maintenance`.
///
/// # Errors
///
/// Where the times are wrong, no maintenance is there to be ended, or the history cannot be read or
/// written.
pub(super) fn maintenance(args: &MaintenanceArgs) -> Result<ExitCode, Error> {
    let text = match (&args.link, args.end) {
        (None, _) => list(&args.place)?,
        (Some(link), true) => end(&args.place, link)?,
        (Some(link), false) => enter(args, link)?,
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn seconds(moment: Moment, base_s: i64) -> i64 {
    moment.seconds(base_s, now_s(), |at_s| utc_offset_s(at_s).map_or(0, i64::from))
}

fn enter(args: &MaintenanceArgs, link: &str) -> Result<String, Error> {
    let now_s = now_s();
    let from_s = seconds(args.from, now_s);
    let until_s = args.to.map_or(from_s, |to| seconds(to, from_s));
    let entered = Maintenance {
        id: short_id(link, wall_ns()),
        link: link.to_owned(),
        from_s,
        until_s,
        reason: args.reason.clone().unwrap_or_default(),
        ticket: args.ticket.clone(),
        by: user_name(),
        entered_s: now_s,
        ended_s: None,
        ended_by: None,
        remark: None,
    };
    let entered = entered.entered().map_err(Error::Links)?;
    write(&args.place, &entered, now_s)?;
    Ok(maintenance_text(&[entered], columns()))
}

fn end(place: &HistoryPlaceArgs, link: &str) -> Result<String, Error> {
    let now_s = now_s();
    let known = read(place, now_s - LISTED_S)?;
    let mut open: Vec<Maintenance> = known
        .into_iter()
        .filter(|it| it.link == link && it.ended_s.is_none() && it.from_s <= now_s)
        .collect();
    // What is over for long was over.
    open.sort_by_key(|it| it.until_s);
    let Some(last) = open.pop() else {
        let what = format!("no maintenance of '{link}' is going on: linkqual maintenance --list");
        return Err(Error::Links(what));
    };
    let ended = last.ended(now_s, user_name());
    write(place, &ended, now_s)?;
    Ok(maintenance_text(&[ended], columns()))
}

fn list(place: &HistoryPlaceArgs) -> Result<String, Error> {
    Ok(maintenance_text(&read(place, now_s() - LISTED_S)?, columns()))
}

fn read(place: &HistoryPlaceArgs, since_s: i64) -> Result<Vec<Maintenance>, Error> {
    runtime()?.block_on(async { Ok(opened(place).await?.maintenance(since_s).await?) })
}

fn write(place: &HistoryPlaceArgs, it: &Maintenance, now_s: i64) -> Result<(), Error> {
    let rows = [it.row(now_s)];
    runtime()?.block_on(async { Ok(opened(place).await?.put(&rows).await?) })
}

/// `linkqual note`.
///
/// # Errors
///
/// Where the times are wrong, or the history cannot be read or written.
pub(super) fn note(args: &NoteArgs) -> Result<ExitCode, Error> {
    let now_s = now_s();
    let (Some(link), Some(from), Some(to), Some(kind)) =
        (&args.link, args.from, args.to, args.kind)
    else {
        let notes = runtime()?.block_on(async {
            Ok::<_, Error>(opened(&args.place).await?.notes(now_s - LISTED_S).await?)
        })?;
        print(&notes_text(&notes, columns()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let from_s = seconds(from, now_s);
    let note = Note {
        id: short_id(link, wall_ns()),
        link: link.clone(),
        kind,
        from_s,
        until_s: seconds(to, from_s),
        ticket: args.ticket.clone(),
        text: args.text.clone(),
        by: user_name(),
        entered_s: now_s,
    };
    let note = note.entered().map_err(Error::Links)?;
    let rows = [note.row()];
    runtime()?.block_on(async { Ok::<_, Error>(opened(&args.place).await?.put(&rows).await?) })?;
    print(&notes_text(&[note], columns()))?;
    Ok(ExitCode::SUCCESS)
}
