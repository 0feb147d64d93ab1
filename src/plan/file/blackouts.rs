//! The file of blackouts: text in, times out, or all that is wrong with the text.

use super::draft::{Draft, Purpose};
use super::fault::{Faults, Place};
use super::kinds::MomentOf;
use super::raw::{Given, ListOf, Maybe, RawBlackout, RawBlackouts, Reader, value};
use crate::plan::{Blackout, Scope};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// The most entries of one file.
const ENTRIES_MAX: usize = 1_000;

/// What a file of blackouts has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlackoutFile {
    /// Times.
    pub blackouts: Vec<Blackout>,
    /// Calendars of times.
    pub calendars: Vec<CalendarFile>,
}

/// A calendar whose events are blackouts.
#[derive(Clone, Debug, PartialEq)]
pub struct CalendarFile {
    /// Its file.
    pub path: PathBuf,
    /// The zone of what has none in it, such as whole days.
    pub zone: Option<TimeZone>,
    /// Why, in the place of what its events say.
    pub reason: Option<String>,
    /// Of which links.
    pub scope: Scope,
}

/// Reads the text of the file of blackouts `file`; what its paths are relative to is the folder of
/// that.
///
/// # Errors
///
/// All that is wrong with it.
pub fn read_blackouts(file: &Path, text: &str) -> Result<BlackoutFile, Faults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text);
    let raw = reader.blackouts();
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut draft = Draft::new(folder, Purpose::Run, reader.faults);
    let mut read = BlackoutFile::default();
    let given = raw.as_ref().and_then(|raw| raw.blackout.as_ref()).and_then(Given::whole);
    if let Some((RawBlackouts(entries), place)) = given {
        if ENTRIES_MAX < entries.len() {
            let what = format!("{} of them: at most {ENTRIES_MAX} are allowed", entries.len());
            draft.fault(place, what);
        }
        for (raw, place) in entries.iter().filter_map(Given::whole) {
            match &raw.ics {
                Some(_) => read.calendars.extend(calendar(&mut draft, raw)),
                None => read.blackouts.extend(blackout(&mut draft, raw, place)),
            }
        }
    }
    match draft.faults.is_empty() {
        true => Ok(read),
        false => Err(Faults::of(&file.display().to_string(), text.to_owned(), draft.faults)),
    }
}

fn scope(raw: &RawBlackout) -> Scope {
    let links = value(&raw.links).into_iter().flat_map(ListOf::whole);
    let circuits = value(&raw.circuits).into_iter().flat_map(ListOf::whole);
    Scope {
        links: links.map(|(name, _)| name.0.clone()).collect(),
        circuits: circuits.map(|(name, _)| name.0.clone()).collect(),
    }
}

/// An empty list names nothing, and would be taken for all.
fn refuse_empty_lists(draft: &mut Draft<'_>, raw: &RawBlackout) {
    let what = "an empty list: name one at least, or leave the key out for all links";
    if let Some((_, place)) =
        raw.links.as_ref().and_then(Given::whole).filter(|it| it.0.0.is_empty())
    {
        draft.fault(place, what);
    }
    let circuits = raw.circuits.as_ref().and_then(Given::whole);
    if let Some((_, place)) = circuits.filter(|it| it.0.0.is_empty()) {
        draft.fault(place, what);
    }
}

fn calendar(draft: &mut Draft<'_>, raw: &RawBlackout) -> Option<CalendarFile> {
    refuse_empty_lists(draft, raw);
    for given in [&raw.from, &raw.to].into_iter().flatten() {
        draft
            .fault(&given.place, "belongs to a blackout without ics: a calendar has its own times");
    }
    Some(CalendarFile {
        path: draft.folder.join(&value(&raw.ics)?.0),
        zone: value(&raw.zone).map(|zone| zone.0.clone()),
        reason: value(&raw.reason).map(|reason| reason.0.clone()),
        scope: scope(raw),
    })
}

fn blackout(draft: &mut Draft<'_>, raw: &RawBlackout, place: &Place) -> Option<Blackout> {
    refuse_empty_lists(draft, raw);
    if raw.from.is_none() {
        draft.missing(place, "from", "when it begins", "2026-12-24 18:00");
    }
    if raw.to.is_none() {
        draft.missing(place, "to", "when it ends", "2027-01-04 06:00");
    }
    if raw.reason.is_none() {
        draft.missing(place, "reason", "why nothing is loaded then", "year-end freeze");
    }
    let zone = value(&raw.zone).map(|zone| &zone.0);
    let from = moment(draft, &raw.from, zone, Edge::Start);
    let to = moment(draft, &raw.to, zone, Edge::End);
    let (from, to) = (from?, to?);
    if to <= from {
        let at = raw.to.as_ref().map_or(place, |to| &to.place);
        draft.fault(at, "is not after `from`");
        return None;
    }
    let reason = value(&raw.reason)?.0.clone();
    Some(Blackout { from, to, reason, scope: scope(raw) })
}

/// Which end of a day is meant.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Edge {
    Start,
    End,
}

fn moment(
    draft: &mut Draft<'_>,
    given: &Maybe<super::kinds::DayOrTime>,
    zone: Option<&TimeZone>,
    edge: Edge,
) -> Option<Timestamp> {
    let (moment, place) = given.as_ref().and_then(Given::whole)?;
    let local = match moment.0 {
        MomentOf::Fixed(at) => return Some(at),
        MomentOf::Local(local) => local,
        MomentOf::Day(day) if edge == Edge::Start => day.into(),
        MomentOf::Day(day) => day.tomorrow().ok()?.into(),
    };
    let Some(zone) = zone else {
        let what = "of which time zone? Give zone = \"Asia/Shanghai\", or an offset here, such as \
                    \"2026-12-24 18:00+08:00\"";
        draft.fault(place, what);
        return None;
    };
    // Where the clock shows a time twice, or skips it, the blackout is the longer one.
    let at = zone.to_ambiguous_zoned(local);
    let at = if edge == Edge::Start { at.earlier() } else { at.later() };
    at.ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> BlackoutFile {
        let read = read_blackouts(Path::new("/etc/linkqual/blackouts.toml"), text);
        read.unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn times_and_calendars_are_read() {
        let file = taken(
            "[[blackout]]\nfrom = '2026-12-24 18:00'\nto = 2027-01-03\nzone = 'Asia/Shanghai'\n\
             reason = 'freeze'\n[[blackout]]\nfrom = 2026-12-01T00:00:00+01:00\n\
             to = '2026-12-01 06:00Z'\nlinks = ['a']\ncircuits = ['EC-1']\nreason = 'audit'\n\
             [[blackout]]\nics = 'changes.ics'\nzone = 'UTC'\n",
        );
        let [freeze, audit] = &file.blackouts[..] else { panic!("{file:?}") };
        assert_eq!(
            (freeze.from, freeze.to),
            (at("2026-12-24T10:00:00Z"), at("2027-01-03T16:00:00Z"))
        );
        assert_eq!(
            (audit.from, audit.to),
            (at("2026-11-30T23:00:00Z"), at("2026-12-01T06:00:00Z"))
        );
        assert_eq!(audit.scope.links, ["a"]);
        assert_eq!(file.calendars[0].path, Path::new("/etc/linkqual/changes.ics"));
        assert_eq!(taken(""), BlackoutFile::default());
    }

    #[test]
    fn what_is_wrong_is_reported_with_its_line() {
        for (text, what) in [
            ("[[blackouts]]\n", "no such key: did you mean 'blackout'? a file of blackouts has"),
            (
                "[[blackout]]\nfrom = 2026-12-24\nto = 2026-12-25\nreason = 'x'\n",
                "of which time zone?",
            ),
            ("[[blackout]]\nfrom = 'noon'\n", ":2: blackout[0].from = 'noon': not a time: a day"),
            ("[[blackout]]\nreason = 'x'\n", "blackout[0].from: is missing"),
            (
                "[[blackout]]\nfrom = '2026-12-24 02:00Z'\nto = '2026-12-24 02:00Z'\n\
                 reason = 'x'\n",
                "is not after",
            ),
            ("[[blackout]]\nics = 'x.ics'\nfrom = 2026-12-24\n", "a calendar has its own times"),
            ("[[blackout]]\nics = 'x.ics'\nlinks = []\n", "an empty list"),
        ] {
            let read = read_blackouts(Path::new("blackouts.toml"), text);
            let found = read.expect_err(text).to_string();
            assert!(found.contains(what), "{what}: {found}");
        }
    }

    /// 02:30 is skipped on 29 March in Berlin, and comes twice on 25 October.
    #[test]
    fn a_blackout_is_the_longer_one_where_the_clock_changes() {
        let file = taken(
            "[[blackout]]\nfrom = '2026-10-25 02:30'\nto = '2026-10-25 02:31'\n\
             zone = 'Europe/Berlin'\nreason = 'x'\n",
        );
        let it = &file.blackouts[0];
        assert_eq!((it.from, it.to), (at("2026-10-25T00:30:00Z"), at("2026-10-25T01:31:00Z")));
    }
}
