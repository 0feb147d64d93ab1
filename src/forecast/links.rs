//! A forecast of several links: when each is run, and what it will do.

use super::Forecast;
use super::at_once::AtOnce;
use super::spoken::spoken;
use super::text::{assumed, link};
use crate::method::schedule::Slot;
use crate::plan::Plan;
use crate::plan::file::Assumption;
use crate::wrap::{Page, Table, line};

/// What `plans` will do, which run `at_once`, for a terminal of so many
/// `columns`; for a file where there is none.
#[must_use]
pub fn links_text(
    plans: &[(&Plan, &Forecast)],
    at_once: &AtOnce,
    assumptions: &[Assumption],
    columns: Option<usize>,
) -> String {
    let mut out = Page::new(columns);
    schedule(&mut out, plans, at_once);
    for (plan, forecast) in plans {
        line!(out, "");
        link(&mut out, plan, forecast);
    }
    line!(out, "");
    assumed(&mut out, plans.iter().map(|(plan, _)| *plan), assumptions);
    out.into_text()
}

fn schedule(out: &mut Page, plans: &[(&Plan, &Forecast)], at_once: &AtOnce) {
    let (slots, all) = (at_once.slots(plans), spoken(at_once.end(plans)));
    let how = match at_once.room.parallel.max(1) {
        1 => "one at a time".to_owned(),
        most => format!("up to {most} at once"),
    };
    out.wrapped("", &format!("{} links, {how}, about {all} in all", plans.len()));
    let mut table = Table::new(&["link", "role", "starts", "takes", "why it waits"]).right(&[2, 3]);
    for Slot { place, start, end, waited } in &slots {
        let link = &plans[*place].0.link;
        let role = match (link.inventory.role, &link.inventory.protects) {
            (Some(role), Some(protects)) => format!("{role} of {protects}"),
            (Some(role), None) => role.to_string(),
            (None, _) => "-".to_owned(),
        };
        let waited = waited.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let name = link.name.clone().unwrap_or_default();
        table.row(&[name, role, spoken(*start), spoken(end.minus(*start)), waited]);
    }
    out.table("  ", &table);
}
