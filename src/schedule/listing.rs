//! What will run when, as people read it.

use super::{Due, Scheduled};
use crate::units::ByteCount;
use crate::wrap::{Page, Table, line};

/// A run that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// When.
    pub due: Due,
    /// Of which link.
    pub link: &'a Scheduled,
    /// What is sent from the driver, and from the agents, unless it is lengthened.
    pub sent: [ByteCount; 2],
    /// Whether it fits its windows.
    pub fits: bool,
}

/// `rows` as a table, for a terminal of so many `columns`; each time in the zone of its link.
#[must_use]
pub fn text(rows: &[Row<'_>], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if rows.is_empty() {
        line!(page, "No run starts in that time.");
        return page.into_text();
    }
    let columns = ["STARTS", "OVER BY", "ZONE", "LINK", "LOAD", "SENT A->B", "SENT B->A", ""];
    let mut table = Table::new(&columns);
    for Row { due, link, sent, fits } in rows {
        let zone = &link.timing.zone;
        let [start, end] = [due.start, due.end].map(|at| at.to_zoned(zone.clone()));
        let load = if link.loads { "load" } else { "probes" };
        table.row(&[
            start.strftime("%a %Y-%m-%d %H:%M:%S").to_string(),
            end.strftime("%H:%M:%S").to_string(),
            zone.iana_name().unwrap_or("UTC").to_owned(),
            link.name.clone(),
            load.to_owned(),
            sent[0].to_string(),
            sent[1].to_string(),
            if *fits { String::new() } else { "no window".to_owned() },
        ]);
    }
    page.table("", &table);
    page.into_text()
}
