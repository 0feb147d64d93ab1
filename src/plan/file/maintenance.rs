//! When links are worked on.

use super::draft::Draft;
use super::fault::Place;
use super::moment::Moment;
use super::raw::{Given, Maybe, RawMaintenance, RawMaintenances, value};
use crate::plan::{Works, WorksWhen};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// All that `given` says of the link called `link`.
pub(super) fn works(
    draft: &mut Draft<'_>,
    given: &Maybe<RawMaintenances>,
    link: Option<&str>,
) -> Vec<Works> {
    let Some(RawMaintenances(entries)) = value(given) else { return Vec::new() };
    let is_of_link = |raw: &RawMaintenance| {
        let links = value(&raw.links).into_iter().flat_map(|links| links.whole());
        raw.links.is_none() || links.into_iter().any(|(name, _)| Some(name.0.as_str()) == link)
    };
    let entries = entries.iter().filter_map(Given::whole).filter(|(raw, _)| is_of_link(raw));
    entries.filter_map(|(raw, place)| work(draft, raw, place)).collect()
}

/// Reports names that `given` has, and that are no link's.
pub(super) fn check_links(draft: &mut Draft<'_>, given: &Maybe<RawMaintenances>, names: &[&str]) {
    let entries = value(given).into_iter().flat_map(|given| &given.0).filter_map(Given::whole);
    let links = entries.filter_map(|(raw, _)| value(&raw.links)).flat_map(|links| links.whole());
    for (name, place) in links {
        if !names.contains(&name.0.as_str()) {
            let meant = super::fault::nearest(&name.0, names.iter().copied());
            let fault = draft.fault(place, format!("no link is called '{}'", name.0));
            fault.suggest(meant, format!("the links are {}", names.join(", ")));
        }
    }
}

fn work(draft: &mut Draft<'_>, raw: &RawMaintenance, place: &Place) -> Option<Works> {
    if raw.reason.is_none() {
        draft.missing(place, "reason", "why it is worked on", "fibre is moved");
    }
    let when = match (&raw.cron, &raw.from) {
        (Some(_), None) => every(draft, raw, place),
        (None, Some(_)) => once(draft, raw, place),
        (Some(cron), Some(_)) => {
            draft.fault(&cron.place, "a maintenance has from and to, or cron and duration");
            None
        }
        (None, None) => {
            let what = "says not when: give from and to, or cron, duration and zone";
            draft.fault(&place.of_key(), what);
            None
        }
    };
    let reason = value(&raw.reason)?.0.clone();
    Some(Works { when: when?, reason, ticket: value(&raw.ticket).map(|ticket| ticket.0.clone()) })
}

fn every(draft: &mut Draft<'_>, raw: &RawMaintenance, place: &Place) -> Option<WorksWhen> {
    if raw.duration.is_none() {
        draft.missing(place, "duration", "how long it takes", "4 h");
    }
    if raw.zone.is_none() {
        draft.missing(place, "zone", "the time zone of cron", "Asia/Shanghai");
    }
    let nanos = value(&raw.duration)?.0.nanos();
    Some(WorksWhen::Every {
        rule: Box::new(value(&raw.cron)?.0.clone()),
        zone: value(&raw.zone)?.0.clone(),
        lasts: SignedDuration::from_nanos_i128(nanos.into()),
    })
}

fn once(draft: &mut Draft<'_>, raw: &RawMaintenance, place: &Place) -> Option<WorksWhen> {
    if raw.to.is_none() {
        draft.missing(place, "to", "until when it is worked on", "2026-12-06T02:00:00+08:00");
    }
    let (from, from_place) = raw.from.as_ref()?.whole()?;
    let (to, to_place) = raw.to.as_ref()?.whole()?;
    let zone = value(&raw.zone).map(|zone| zone.0.clone());
    let from = timestamp(draft, from.0, zone.as_ref(), from_place)?;
    let until = timestamp(draft, to.0, zone.as_ref(), to_place)?;
    if until <= from {
        draft.fault(to_place, "has to be after from");
        return None;
    }
    Some(WorksWhen::Once { from, until })
}

fn timestamp(
    draft: &mut Draft<'_>,
    moment: Moment,
    zone: Option<&TimeZone>,
    place: &Place,
) -> Option<Timestamp> {
    match (moment, zone) {
        (Moment::At(at), _) => Some(at),
        (Moment::Local(clock), Some(zone)) => {
            zone.to_ambiguous_zoned(clock).compatible().ok().map(|zoned| zoned.timestamp())
        }
        (Moment::Local(_), None) => {
            draft.fault(place, "has no offset, such as +08:00: add one, or give zone");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use crate::plan::WorksWhen;
    use std::path::Path;

    const ENDS: &str = "[sites.vpc]\nagent = '10.0.0.7:99'\nmanagement = '10.9.0.7:22'\n\
                        [[test]]\nkind = 'idle'\n[links.x]\nsites = ['vpc']\nseverity = 'info'\n\
                        [links.y]\nsites = ['vpc']\n";

    fn faults_of(text: &str) -> String {
        let read = read(Path::new("plan.toml"), &format!("{ENDS}{text}")).conclude_all();
        read.map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    #[test]
    fn maintenance_is_that_of_the_links_that_it_names_or_of_all() {
        let text = format!(
            "{ENDS}[[maintenance]]\nlinks = ['y']\nfrom = 2026-12-05T22:00:00+08:00\n\
             to = '2026-12-06T02:00:00+08:00'\nreason = 'fibre'\nticket = 'CHG7'\n\
             [[maintenance]]\ncron = '0 3 * * sun'\nduration = '2 h'\nzone = 'Europe/Berlin'\n\
             reason = 'updates'\n\
             [[maintenance]]\nfrom = '2026-12-05T22:00'\nto = '2026-12-06T02:00'\n\
             zone = 'Asia/Shanghai'\nreason = 'fibre'\nlinks = ['y']\n"
        );
        let (set, _) = read(Path::new("p.toml"), &text).conclude_all().expect("a plan");
        let works = set.plans.iter().map(|plan| plan.link.works.clone()).collect::<Vec<_>>();
        assert_eq!(works.iter().map(Vec::len).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(works[1][0].when, works[1][2].when);
        let WorksWhen::Once { from, .. } = works[1][0].when else { panic!("{works:?}") };
        assert_eq!(from.to_string(), "2026-12-05T14:00:00Z");
        assert_eq!(works[1][0].ticket.as_deref(), Some("CHG7"));
        let severities = set.plans.iter().map(|plan| plan.link.severity.name());
        assert_eq!(severities.collect::<Vec<_>>(), ["info", "critical"]);
        let management = set.plans[0].sites[0].management.as_ref().map(ToString::to_string);
        assert_eq!(management.as_deref(), Some("10.9.0.7:22"));
    }

    #[test]
    fn what_is_wrong_with_a_maintenance_is_said() {
        let head = "[[maintenance]]\nreason = 'x'\n";
        for (text, what) in [
            ("", "says not when: give from and to"),
            ("from = '2026-12-05T22:00'\nto = '2026-12-06T02:00'\n", "has no offset"),
            ("from = '2026-12-05T22:00Z'\nto = '2026-12-05T21:00Z'\n", "has to be after from"),
            ("from = 'now'\nto = '2026-12-05T21:00Z'\n", "not a time: a date and a time"),
            ("cron = '0 3 * * *'\n", "duration: is missing: how long it takes"),
            ("cron = '0 3 * * *'\nfrom = '2026-12-05T22:00Z'\n", "or cron and duration"),
            ("links = ['z']\n", "no link is called 'z'"),
        ] {
            let found = faults_of(&format!("{head}{text}"));
            assert!(found.contains(what), "{what}: {found}");
        }
        let found = faults_of("[[maintenance]]\ncron = '0 3 * * *'\nduration = '1 h'\n");
        assert!(found.contains("reason: is missing: why it is worked on"), "{found}");
    }
}
