//! A forecast for a terminal.

use super::spoken::spoken;
use super::{Forecast, Provability, Sent, Site, Step, timetable};
use crate::direction::Direction;
use crate::method::note::{Note, texts};
use crate::metric::{Chance, MTU_ASSUMED, Prospect};
use crate::plan::file::{Assumption, by_key};
use crate::plan::{Link, Offer, Plan};
use crate::wrap::{Page, Table, line};
use std::net::IpAddr;

/// What a plan will do, for a terminal of so many `columns`; for a file where there is none.
#[must_use]
pub fn text(
    plan: &Plan,
    forecast: &Forecast,
    assumptions: &[Assumption],
    columns: Option<usize>,
) -> String {
    let mut out = Page::new(columns);
    link(&mut out, plan, forecast);
    line!(out, "");
    assumed(&mut out, [plan], assumptions);
    out.into_text()
}

/// What a plan will do on its link.
pub(super) fn link(out: &mut Page, plan: &Plan, forecast: &Forecast) {
    head(out, plan);
    for text in timetable(&[(plan, forecast)], None) {
        out.wrapped("  ", &text);
    }
    for (site, forecast) in plan.sites.iter().zip(&forecast.sites) {
        line!(out, "\ntowards {} ({}), {}", site.name, site.agent, forecast.ip);
        steps(out, plan, forecast);
        provabilities(out, forecast);
        notes(out, forecast);
    }
}

fn head(out: &mut Page, plan: &Plan) {
    let link = &plan.link;
    let name = link.name.as_deref().unwrap_or("without a name");
    let circuit = link.circuit.as_ref().map(|circuit| format!(", circuit {circuit}"));
    let provider = link.provider.as_ref().map(|provider| format!(" of {provider}"));
    let provider = provider.unwrap_or_default();
    out.wrapped("", &format!("link {name}{}{provider}", circuit.unwrap_or_default()));
    out.wrapped("  ", &format!("{}; {}", rates(link), framing(link)));
}

fn rates(link: &Link) -> String {
    let committed = match (link.committed.forward, link.committed.reverse) {
        (None, None) => "no rate is committed".to_owned(),
        (Some(forward), Some(reverse)) if forward == reverse => {
            format!("{forward} is committed in each direction")
        }
        (forward, reverse) => {
            let show =
                |rate: Option<_>| rate.map_or("nothing".to_owned(), |rate| format!("{rate}"));
            format!("{} is committed forward, {} reverse", show(forward), show(reverse))
        }
    };
    let port = link.port_rate.map(|rate| format!(", the port carries {rate}"));
    format!("{committed}{}", port.unwrap_or_default())
}

fn framing(link: &Link) -> String {
    let tags = match link.vlan_tags {
        0 => "no VLAN tag".to_owned(),
        1 => "1 VLAN tag".to_owned(),
        tags => format!("{tags} VLAN tags"),
    };
    format!("rates count {}, {tags}, {} further octets", link.layer, link.extra_overhead_octets)
}

fn steps(out: &mut Page, plan: &Plan, site: &Site) {
    let rate = format!("rate ({})", plan.link.layer);
    let columns =
        ["trial", "kind", "", &rate, "streams", "duration", "packets", "probes", "octets (L2)"];
    let mut table = Table::new(&columns).right(&[4, 5, 6, 7, 8]);
    for (number, step) in site.steps.iter().enumerate() {
        for (i, direction) in Direction::ALL.into_iter().enumerate() {
            let sent = step.sent.get(direction);
            let (number, kind, duration) = match i {
                0 => (
                    (number + 1).to_string(),
                    step.trial.kind_name(),
                    step.trial.duration().to_string(),
                ),
                _ => (String::new(), "", String::new()),
            };
            table.row(&[
                number,
                kind.to_owned(),
                direction.to_string(),
                offered(plan, step, direction),
                streams(step, direction),
                duration,
                packets(sent),
                sent.probes.to_string(),
                octets(sent),
            ]);
        }
    }
    out.table("  ", &table);
    summary(out, site);
}

fn is_loaded(step: &Step, direction: Direction) -> bool {
    step.trial.directions().is_some_and(|directions| directions.includes(direction))
}

fn offered(plan: &Plan, step: &Step, direction: Direction) -> String {
    match step.offer.filter(|_| is_loaded(step, direction)) {
        None => "-".to_owned(),
        Some(Offer::Max) => "max".to_owned(),
        Some(offer) => {
            offer.rate(&plan.link, direction).map_or("-".to_owned(), |(rate, _)| rate.to_string())
        }
    }
}

fn streams(step: &Step, direction: Direction) -> String {
    if is_loaded(step, direction) { step.streams().to_string() } else { "-".to_owned() }
}

fn packets(sent: &Sent) -> String {
    match (sent.is_open, sent.is_most) {
        (true, _) => "?".to_owned(),
        (false, true) => format!("<= {}", sent.packets),
        (false, false) => sent.packets.to_string(),
    }
}

fn octets(sent: &Sent) -> String {
    match (sent.is_open, sent.is_most) {
        (true, _) => "?".to_owned(),
        (false, true) => format!("<= {}", sent.octets),
        (false, false) => sent.octets.to_string(),
    }
}

fn summary(out: &mut Page, site: &Site) {
    let [forward, reverse] = Direction::ALL.map(|direction| octets(&site.sent(direction)));
    let (trials, most) = (spoken(site.duration()), spoken(site.request.duration));
    let acknowledgements = if site.has_tcp() { ", TCP's acknowledgements not" } else { "" };
    let text = format!(
        "in total {trials} of trials (at most {most}, gaps between trials included); {forward} \
         forward, {reverse} reverse (L2, probes included{acknowledgements})"
    );
    out.wrapped("  ", &text);
    if let Some((least, most)) = site.trail() {
        let text = format!(
            "probes continue after a UDP load: for {least}, which is counted here, and for up to \
             {most} where it leaves a queue"
        );
        out.wrapped("  ", &text);
    }
    let is_open = Direction::ALL.into_iter().any(|direction| site.sent(direction).is_open);
    let Some(load) = site.request.load else { return };
    let rate = match site.steps.iter().any(|step| step.offer == Some(Offer::Max)) {
        true => "as much load as it allows".to_owned(),
        false => format!("load of {} (L2, untagged)", load.rate),
    };
    let time = spoken(load.duration);
    let text = format!(
        "the agent is asked for {rate}, for {time} in one run: its --max-rate and --max-duration \
         must allow that"
    );
    out.wrapped("  ", &text);
    if is_open {
        out.wrapped("  ", "?: as fast as the hosts can, up to what the agent allows");
    }
}

fn provabilities(out: &mut Page, site: &Site) {
    line!(out, "");
    if site.provabilities.is_empty() {
        out.wrapped("  ", "nothing is required, so that nothing can pass: see [require]");
        return;
    }
    let columns = ["requirement", "", "required", "trials", "can it be proved?"];
    let mut table = Table::new(&columns);
    for provability in &site.provabilities {
        let Provability { requirement, direction, judged_by, prospect } = provability;
        let Prospect { needs, chance } = prospect;
        let direction =
            direction.map_or("round-trip".to_owned(), |direction| direction.to_string());
        let (verdict, why) = match chance {
            Chance::Provable => ("yes", None),
            Chance::Partly(why) => ("in part", Some(why)),
            Chance::Unprovable(why) => ("NO", Some(why)),
        };
        let metric = requirement.metric().to_string();
        let (bound, trials) = (requirement.to_string(), places(judged_by));
        table.row(&[metric, direction, bound, trials, verdict.to_owned()]);
        table.remark(format!("needs {needs}"));
        if let Some(why) = why {
            table.remark(format!("but {why}"));
        }
    }
    out.table("  ", &table);
    let unproved = site
        .provabilities
        .iter()
        .filter(|provability| matches!(provability.prospect.chance, Chance::Unprovable(_)));
    match unproved.count() {
        0 => {}
        count => {
            let text = format!(
                "warning: {count} of {} cannot be proved: at best the verdict is INCONCLUSIVE",
                site.provabilities.len()
            );
            out.wrapped("  ", &text);
        }
    }
}

/// Numbers of trials; more than are read at a glance are counted.
fn places(places: &[usize]) -> String {
    match places {
        [] => "-".to_owned(),
        places if places.len() <= 4 => {
            let shown: Vec<String> = places.iter().map(|it| (it + 1).to_string()).collect();
            shown.join(", ")
        }
        places => format!("{} of them", places.len()),
    }
}

fn notes(out: &mut Page, site: &Site) {
    // What cannot be proved, and what is as fast as possible, is shown above.
    let is_shown = |note: &&Note| !matches!(note, Note::CannotProve { .. } | Note::Capacity { .. });
    let notes: Vec<Note> = site.notes.iter().filter(is_shown).cloned().collect();
    texts(&notes).iter().for_each(|note| out.wrapped("  ", &format!("note: {note}")));
}

pub(super) fn assumed<'a>(
    out: &mut Page,
    plans: impl IntoIterator<Item = &'a Plan>,
    assumptions: &[Assumption],
) {
    line!(out, "assumptions (not set in the plan):");
    for (text, tables) in by_key(assumptions) {
        out.wrapped("  ", &format!("{text} ({})", tables.join(", ")));
    }
    let text = format!(
        "the path: it carries packets of {MTU_ASSUMED} octets, and the agents allow all; a run \
         finds out both before it loads, and a search for the path's MTU comes first"
    );
    out.wrapped("  ", &text);
    let is_name = |site: &crate::plan::Site| site.agent.name.parse::<IpAddr>().is_err();
    if plans.into_iter().flat_map(|plan| &plan.sites).any(is_name) {
        out.wrapped("  ", "an agent that is given by name is reached over IPv4");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::{SAMPLE, read};
    use crate::wrap::WIDTH;
    use std::path::Path;

    #[test]
    fn the_forecast_of_the_sample_is_as_it_was_reviewed() {
        let (plan, assumptions) =
            read(Path::new("plan.toml"), SAMPLE).conclude().expect("the sample is a plan");
        let forecast = Forecast::of(&plan).expect("within bounds");
        for columns in [80, WIDTH] {
            let text = text(&plan, &forecast, &assumptions, Some(columns));
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(columns), "a line of {longest:?} columns:\n{text}");
        }
        insta::assert_snapshot!(text(&plan, &forecast, &assumptions, None));
    }
}
