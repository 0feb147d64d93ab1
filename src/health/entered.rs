//! What people enter about links, as people read it.

use super::record::{Maintenance, Note};
use crate::wrap::{Page, Table, line};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Eight hexadecimal digits for what is entered about `link` at `now_ns`.
#[must_use]
pub fn short_id(link: &str, now_ns: u64) -> String {
    let digest = Sha256::digest(format!("{link} {now_ns}"));
    digest.iter().take(4).map(|octet| format!("{octet:02x}")).collect()
}

fn minute(at_s: i64) -> String {
    let date = Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH);
    date.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `entries` as a table, for a terminal of so many `columns`.
#[must_use]
pub fn maintenance_text(entries: &[Maintenance], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if entries.is_empty() {
        line!(page, "No maintenance is entered. That of plans is in the plans.");
        return page.into_text();
    }
    let heads = ["LINK", "FROM (UTC)", "UNTIL", "REASON", "TICKET", "BY", "REMARK"];
    let mut table = Table::new(&heads);
    for it in entries {
        let ended = if it.ended_s.is_some() { " (ended)" } else { "" };
        table.row(&[
            it.link.clone(),
            minute(it.from_s),
            format!("{}{ended}", minute(it.holds_until_s())),
            it.reason.clone(),
            it.ticket.clone().unwrap_or_default(),
            it.by.clone().unwrap_or_default(),
            it.remark.clone().unwrap_or_default(),
        ]);
    }
    page.table("", &table);
    page.into_text()
}

/// `notes` as a table, for a terminal of so many `columns`.
#[must_use]
pub fn notes_text(notes: &[Note], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if notes.is_empty() {
        line!(page, "There are no notes.");
        return page.into_text();
    }
    let heads = ["LINK", "FROM (UTC)", "UNTIL", "KIND", "TICKET", "BY", "TEXT"];
    let mut table = Table::new(&heads);
    for it in notes {
        table.row(&[
            it.link.clone(),
            minute(it.from_s),
            minute(it.until_s),
            it.kind.name().to_owned(),
            it.ticket.clone().unwrap_or_default(),
            it.by.clone().unwrap_or_default(),
            it.text.clone().unwrap_or_default(),
        ]);
    }
    page.table("", &table);
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::super::record::NoteKind;
    use super::*;

    #[test]
    fn what_is_entered_is_shown_with_who_did_so() {
        let entry = Maintenance {
            id: short_id("a", 1),
            link: "a".to_owned(),
            from_s: 0,
            until_s: 3600,
            reason: "fibre".to_owned(),
            ticket: Some("CHG7".to_owned()),
            by: Some("alice".to_owned()),
            entered_s: 0,
            ended_s: Some(1800),
            ended_by: None,
            remark: Some("entered late".to_owned()),
        };
        let text = maintenance_text(&[entry], None);
        for part in ["1970-01-01 00:30 (ended)", "CHG7", "alice", "entered late"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let note = Note {
            id: short_id("a", 2),
            link: "a".to_owned(),
            kind: NoteKind::OwnFault,
            from_s: 0,
            until_s: 60,
            ticket: None,
            text: Some("cable".to_owned()),
            by: None,
            entered_s: 60,
        };
        assert!(notes_text(&[note], None).contains("own-fault"));
        assert_ne!(short_id("a", 1), short_id("a", 2));
    }
}
