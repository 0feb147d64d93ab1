//! A forecast of several links: when each is run, and what it will do.

use super::text::{assumed, link, spoken};
use super::{Forecast, Site};
use crate::method::schedule::{Claim, Room, Slot, timetable};
use crate::plan::Plan;
use crate::plan::file::Assumption;
use crate::units::Span;
use crate::wrap::{Page, Table, line};

/// What connecting and the search for the path's MTU take on a healthy link, at most.
const SET_UP: Span = Span::from_secs(1);

/// What `plans` will do, whose links take these claims on this host, for a terminal of so many
/// `columns`; for a file where there is none.
#[must_use]
pub fn links_text(
    plans: &[(&Plan, &Forecast)],
    (claims, room): (Vec<Claim>, Room),
    assumptions: &[Assumption],
    columns: Option<usize>,
) -> String {
    let mut out = Page::new(columns);
    schedule(&mut out, plans, (claims, room));
    for (plan, forecast) in plans {
        line!(out, "");
        link(&mut out, plan, forecast);
    }
    line!(out, "");
    assumed(&mut out, plans.iter().map(|(plan, _)| *plan), assumptions);
    out.into_text()
}

/// How long a run of a link takes that is healthy.
fn length(forecast: &Forecast) -> Span {
    let of = |site: &Site| SET_UP.plus(site.duration());
    forecast.sites.iter().map(of).fold(Span::default(), Span::plus)
}

fn schedule(out: &mut Page, plans: &[(&Plan, &Forecast)], (claims, room): (Vec<Claim>, Room)) {
    let lengths: Vec<Span> = plans.iter().map(|(_, forecast)| length(forecast)).collect();
    let parallel = room.parallel.max(1);
    let slots = timetable(claims, room, &lengths);
    let all = slots.iter().map(|slot| slot.end).max().unwrap_or_default();
    let at_once = match parallel {
        1 => "one at a time".to_owned(),
        most => format!("up to {most} at once"),
    };
    out.wrapped("", &format!("{} links, {at_once}, about {} in all", plans.len(), spoken(all)));
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
