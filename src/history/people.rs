//! People in a report: who asked for a run, whose link it is, whom the provider is reached by. They
//! are kept apart from the report, for a time of their own, so that a name can be deleted while the
//! evidence stays.

use super::tables::{Cell, Row};
use crate::report::Report;

/// The names of people in a report, by where they stand in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct People(Vec<(String, String)>);

/// Where a name stands, and the name.
type Name<'a> = (String, &'a mut Option<String>);

impl People {
    /// Takes the names out of `report`; and the text of the plan where one stands in it.
    pub fn taken_out_of(report: &mut Report) -> Self {
        let mut people = Vec::new();
        for (place, name) in names(report) {
            people.extend(name.take().map(|name| (place, name)));
        }
        let is_named = |text: &String| people.iter().any(|(_, name)| text.contains(name.as_str()));
        if let Some(plan) = &mut report.plan
            && let Some(text) = plan.text.take_if(|text| is_named(text))
        {
            people.push((PLAN_TEXT.to_owned(), text));
        }
        Self(people)
    }

    /// Puts them back into `report`.
    pub fn put_back_into(mut self, report: &mut Report) {
        for (place, name) in names(report) {
            if let Some(at) = self.0.iter().position(|(there, _)| *there == place) {
                *name = Some(self.0.swap_remove(at).1);
            }
        }
        let text = self.0.into_iter().find(|(place, _)| place == PLAN_TEXT);
        if let (Some(plan), Some((_, text))) = (&mut report.plan, text) {
            plan.text = Some(text);
        }
    }

    /// Those of rows that were read: where each name stands, and the name.
    #[must_use]
    pub const fn read(rows: Vec<(String, String)>) -> Self {
        Self(rows)
    }

    /// The rows of the run called `run`.
    #[must_use]
    pub fn rows(&self, run: &str) -> Vec<Row> {
        let row = |(place, person): &(String, String)| {
            let cells = vec![
                ("run", Cell::text(run)),
                ("place", Cell::text(place)),
                ("person", Cell::text(person)),
            ];
            Row::new("run_people", cells)
        };
        self.0.iter().map(row).collect()
    }
}

/// Where the text of the plan stands.
const PLAN_TEXT: &str = "plan/text";

/// Every place for a name in `report`.
fn names(report: &mut Report) -> Vec<Name<'_>> {
    let mut names = Vec::new();
    for (place, link) in report.links.iter_mut().enumerate() {
        names.push((format!("links/{place}/owner"), &mut link.inventory.owner));
        if let Some(contact) = &mut link.inventory.provider_contact {
            names.push((format!("links/{place}/provider_contact/noc"), &mut contact.noc));
        }
        for (site, record) in link.sites.iter_mut().enumerate() {
            let at = format!("links/{place}/sites/{site}/requested_by");
            names.push((at, &mut record.ends.requested_by));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ProviderContact;
    use crate::report::PlanRecord;

    const SOUND: &str = include_str!("../../tests/it/golden/v3/sound.json");

    /// A report with a name in each place.
    pub(crate) fn peopled() -> Report {
        let mut report = Report::parse(SOUND).expect("a report");
        let noc = Some("noc@provider.example".to_owned());
        let contact = ProviderContact { noc, ..ProviderContact::default() };
        report.links[0].inventory.provider_contact = Some(contact);
        report.links[0].inventory.owner = Some("Li Wei".to_owned());
        report.links[0].sites[0].ends.requested_by = Some("alice@vm".to_owned());
        let text = Some("[link]\nowner = \"Li Wei\"\n".to_owned());
        report.plan = Some(PlanRecord { file: "p.toml".into(), sha256: "0".repeat(64), text });
        report
    }

    #[test]
    fn names_are_taken_out_and_put_back_and_the_rest_stays() {
        let whole = peopled();
        let mut report = whole.clone();
        let people = People::taken_out_of(&mut report);
        let text = report.to_json();
        for name in ["Li Wei", "alice@vm", "noc@provider.example"] {
            assert!(!text.contains(name), "{name}");
        }
        assert_eq!(people.rows("r").len(), 4);
        people.put_back_into(&mut report);
        assert_eq!(report, whole);
    }

    #[test]
    fn a_plan_without_names_stays_in_the_report() {
        let mut report = peopled();
        let plan = report.plan.as_mut().expect("above");
        plan.text = Some("[link]\nrate = \"5 Mbit/s\"\n".to_owned());
        let kept = plan.text.clone();
        _ = People::taken_out_of(&mut report);
        assert_eq!(report.plan.and_then(|plan| plan.text), kept);
    }
}
