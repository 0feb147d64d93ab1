//! What will run when, as people and programs read it.

use super::cost::{self, Volume};
use super::preview::Coming;
use super::{Missed, Scheduled};
use crate::plan::Billing;
use crate::wrap::{Page, Table, line};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A link of the schedule, and what a run of it sends and costs.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The link.
    pub link: &'a Scheduled,
    /// What a run sends, unless it is lengthened.
    pub volume: Volume,
    /// How that is billed.
    pub billing: Option<&'a Billing>,
}

/// The schedule of some time.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// The links, by their places.
    pub links: &'a [Listed<'a>],
    /// The runs, in their order.
    pub coming: &'a [Coming],
    /// What there is to say of links and of how things are, line by line.
    pub remarks: &'a [String],
}

impl Listing<'_> {
    /// How many of the runs will be missed.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.coming.iter().filter(|run| run.starts.is_err()).count()
    }

    /// As a table of up to `limit` rows, for a terminal of so many `columns`; each time in the zone
    /// of its link.
    #[must_use]
    pub fn text(&self, limit: usize, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        if self.coming.is_empty() {
            line!(page, "No run starts in that time.");
        } else {
            page.table("", &self.table(limit));
        }
        if let (Some(zone), false) = (self.only_zone(), self.coming.is_empty()) {
            line!(page, "All times are those of {zone}.");
        }
        if limit < self.coming.len() {
            let rest = self.coming.len() - limit;
            page.wrapped("", &format!("and {rest} more: use --limit to see them"));
        }
        for remark in self.remarks {
            page.wrapped("", remark);
        }
        page.into_text()
    }

    /// The time zone of all links, where it is one.
    fn only_zone(&self) -> Option<String> {
        let mut zones = self.links.iter().map(|listed| zone_name(listed.link));
        let first = zones.next()?;
        zones.all(|zone| zone == first).then_some(first)
    }

    fn table(&self, limit: usize) -> Table {
        let has_cost = self.links.iter().any(|it| cost::of_run(it.billing, &it.volume).is_some());
        let has_zones = self.only_zone().is_none();
        let mut head = vec!["STARTS", "OVER BY"];
        head.extend(has_zones.then_some("ZONE"));
        head.extend(["LINK", "LOAD", "SENT A->B", "SENT B->A"]);
        head.extend(has_cost.then_some("COST"));
        head.push("");
        let mut table = Table::new(&head);
        for run in self.coming.iter().take(limit) {
            let Listed { link, volume, billing } = self.links[run.place];
            let zone = &link.timing.zone;
            let [start, end] = [run.due.start, run.due.end].map(|at| at.to_zoned(zone.clone()));
            let load = if link.loads { "load" } else { "probes" };
            let mut row = vec![
                start.strftime("%a %Y-%m-%d %H:%M:%S").to_string(),
                end.strftime("%H:%M:%S").to_string(),
            ];
            row.extend(has_zones.then(|| zone_name(link)));
            row.extend([link.name.clone(), load.to_owned()]);
            row.extend(volume.sent.map(|sent| sent.to_string()));
            row.extend(has_cost.then(|| cost::of_run(billing, &volume).unwrap_or_default()));
            row.push(note(link, run));
            table.row(&row);
        }
        table
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let at = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let run = |run: &Coming| {
            let Listed { link, volume, billing } = self.links[run.place];
            json!({
                "link": link.name,
                "due": at(run.due.start),
                "over_by": at(run.due.end),
                "zone": zone_name(link),
                "loads": link.loads,
                "sent_octets": {
                    "forward": volume.sent[0].octets(),
                    "reverse": volume.sent[1].octets(),
                },
                "cost": cost::of_run(billing, &volume),
                "starts": run.starts.as_ref().ok().map(|start| at(*start)),
                "waits_for": run.waits_for,
                "missed": run.starts.as_ref().err().map(Missed::to_string),
            })
        };
        let runs: Vec<Value> = self.coming.iter().map(run).collect();
        json!({ "runs": runs, "missed": self.missed(), "remarks": self.remarks })
    }
}

fn zone_name(link: &Scheduled) -> String {
    link.timing.zone.iana_name().unwrap_or("UTC").to_owned()
}

fn note(link: &Scheduled, run: &Coming) -> String {
    match (&run.starts, &run.waits_for) {
        (Err(Missed::NoWindow), _) => "no window".to_owned(),
        (Err(why), _) => format!("missed: {why}"),
        (Ok(start), Some(other)) => {
            let start = start.to_zoned(link.timing.zone.clone());
            format!("after {other}, about {}", start.strftime("%H:%M"))
        }
        (Ok(_), None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::preview::preview;
    use super::super::tests::{at, link, sharing};
    use super::*;
    use crate::plan::Price;
    use crate::units::{ByteCount, Span};

    #[test]
    fn the_first_rows_are_shown_with_the_count_of_the_rest_and_what_each_costs() {
        let links = ["a", "b"]
            .map(|name| sharing(link(name, "0 2 * * *", &["02:00-03:00"], 25), "fibre-7"));
        let lasts = [Span::from_secs(600); 2];
        let coming =
            preview(links.to_vec(), &lasts, at("2026-11-27T00:00:00Z"), at("2026-11-29T00:00:00Z"));
        let sent = [ByteCount::new(1_000_000_000), ByteCount::new(0)];
        let volume = Volume { sent, loads: lasts[0], lasts: lasts[0] };
        let billing = Billing::Volume(Price { millionths: 80_000, currency: "EUR".into() });
        let listed = |link| Listed { link, volume, billing: Some(&billing) };
        let listed = [listed(&links[0]), listed(&links[1])];
        let remarks = ["a is in service".to_owned()];
        let listing = Listing { links: &listed, coming: &coming, remarks: &remarks };
        let text = listing.text(3, None);
        assert_eq!(text.matches("02:00:00").count(), 3, "{text}");
        assert_eq!(text.matches("after a, about 02:10").count(), 1, "{text}");
        assert!(text.contains("0.08 EUR") && text.contains("and 1 more: use --limit"), "{text}");
        assert!(text.contains("All times are those of Europe/Berlin."), "{text}");
        assert!(text.ends_with("a is in service\n"), "{text}");
        let json = listing.json();
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(4));
        assert_eq!(json["runs"][1]["waits_for"], "a");
        assert_eq!(json["runs"][1]["starts"], "2026-11-27T01:10:00Z");
        assert_eq!(json["missed"], 0);
    }
}
