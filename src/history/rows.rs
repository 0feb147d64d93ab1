//! Rows of a report, to search and to plan by: its links, trials, findings, caveats and paths.

use super::entry::Entry;
use super::tables::{Cell, Row};
use crate::account::Outcome;
use crate::direction::Direction;
use crate::plan::Plan;
use crate::report::{
    CaveatRecord, DirectionFigures, FindingRecord, Headline, LinkRecord, Percentiles, Report,
    Scope, SiteRecord, TrialRecord,
};
use serde::{Deserialize, Serialize};

/// All rows of a run, but that of the run itself, its document and its people. Of a run without a
/// verdict its links have none.
pub(super) fn of(entry: &Entry, report: &Report) -> Vec<Row> {
    let run = entry.run.as_str();
    let headlines = report.headlines();
    let has_verdict = entry.verdict.is_some();
    let links = headlines.iter().map(|headline| link_row(run, report, headline, has_verdict));
    let mut rows: Vec<Row> = links.collect();
    for (place, link) in report.links.iter().enumerate() {
        for site in &link.sites {
            rows.push(path_row(run, place, site));
            for trial in &site.trials {
                let at = At { run, place, link, site, trial };
                rows.extend(Direction::ALL.into_iter().filter_map(|way| at.one_way(way)));
                rows.push(at.round_trip());
            }
        }
    }
    rows.extend(report.findings.iter().enumerate().map(|(n, it)| finding_row(run, n, it)));
    rows.extend(report.caveats.iter().enumerate().map(|(n, it)| caveat_row(run, n, it)));
    rows
}

/// A link of a run of which only the plan is known.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PlannedLink {
    /// Its place among the links of the run.
    pub place: usize,
    /// The site at its far end.
    pub site: String,
    /// What it is listed as.
    pub label: String,
    /// Its name.
    pub link: Option<String>,
    /// Its circuit.
    pub circuit: Option<String>,
    /// Who provides it.
    pub provider: Option<String>,
}

/// The links of `plans`, each with each of its sites.
pub fn planned<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Vec<PlannedLink> {
    let links = plans.into_iter().enumerate().flat_map(|(place, plan)| {
        plan.sites.iter().map(move |site| {
            let link = &plan.link;
            let label = link.name.clone().or_else(|| link.circuit.clone());
            PlannedLink {
                place,
                site: site.name.clone(),
                label: label.unwrap_or_else(|| site.agent.to_string()),
                link: link.name.clone(),
                circuit: link.circuit.clone(),
                provider: link.provider.clone(),
            }
        })
    });
    links.collect()
}

/// The rows of `links`, of the run called `run`.
pub(super) fn of_planned(run: &str, links: &[PlannedLink]) -> Vec<Row> {
    let row = |link: &PlannedLink| {
        let cells = vec![
            ("run", Cell::text(run)),
            ("place", Cell::place(link.place)),
            ("site", Cell::text(&link.site)),
            ("label", Cell::text(&link.label)),
            ("link", Cell::Text(link.link.clone())),
            ("circuit", Cell::Text(link.circuit.clone())),
            ("provider", Cell::Text(link.provider.clone())),
            ("verdict", Cell::Text(None)),
            ("why", Cell::Text(None)),
            ("started_ns", Cell::Int(None)),
            ("ended_ns", Cell::Int(None)),
        ];
        Row::new("run_links", cells)
    };
    links.iter().map(row).collect()
}

fn link_row(run: &str, report: &Report, headline: &Headline, has_verdict: bool) -> Row {
    let link = report.links.get(headline.link);
    let name = link.and_then(|link| link.name.clone());
    let circuit = link.and_then(|link| link.circuit.clone());
    let label = name.clone().or_else(|| circuit.clone()).or_else(|| Some(headline.agent.clone()));
    let cells = vec![
        ("run", Cell::text(run)),
        ("place", Cell::place(headline.link)),
        ("site", Cell::text(&headline.site)),
        ("label", Cell::Text(label)),
        ("link", Cell::Text(name)),
        ("circuit", Cell::Text(circuit)),
        ("provider", Cell::Text(link.and_then(|link| link.provider.clone()))),
        ("verdict", Cell::Text(has_verdict.then(|| headline.verdict.to_string()))),
        ("why", Cell::text(&headline.why)),
        ("started_ns", Cell::counted(headline.started_ns)),
        ("ended_ns", Cell::counted(headline.ended_ns)),
    ];
    Row::new("run_links", cells)
}

fn path_row(run: &str, place: usize, site: &SiteRecord) -> Row {
    let (ends, mtu) = (&site.ends, site.path_mtu);
    let cells = vec![
        ("run", Cell::text(run)),
        ("place", Cell::place(place)),
        ("site", Cell::text(&ends.site)),
        ("driver_address", Cell::Text(ends.driver_address.clone())),
        ("agent_address", Cell::Text(ends.address.clone())),
        ("agent_program", Cell::Text(ends.agent_program.clone())),
        ("driver_key", Cell::Text(ends.driver_key.clone())),
        ("agent_key", Cell::Text(ends.agent_key.clone())),
        ("path_mtu_octets", Cell::counted(mtu.map(|mtu| mtu.octets.into()))),
        ("tried_octets", Cell::counted(mtu.map(|mtu| mtu.tried_octets.into()))),
    ];
    Row::new("run_paths", cells)
}

fn finding_row(run: &str, number: usize, finding: &FindingRecord) -> Row {
    let cells = vec![
        ("run", Cell::text(run)),
        ("number", Cell::place(number)),
        ("place", Cell::place(finding.link)),
        ("site", Cell::text(&finding.site)),
        ("trial", finding.trial.map_or(Cell::Int(None), Cell::place)),
        ("direction", Cell::text(&finding.direction.to_string())),
        ("metric", Cell::text(finding.metric.name())),
        ("verdict", Cell::text(&finding.verdict.to_string())),
        ("bound", Cell::Real(Some(finding.bound))),
        ("value", Cell::Real(finding.value)),
        ("low", Cell::Real(finding.low)),
        ("high", Cell::Real(finding.high)),
        ("unit", Cell::text(&finding.unit)),
        ("reason", Cell::text(&finding.reason)),
    ];
    Row::new("run_findings", cells)
}

fn caveat_row(run: &str, number: usize, caveat: &CaveatRecord) -> Row {
    let metrics: Vec<&str> = caveat.metrics.iter().map(|metric| metric.name()).collect();
    let way = caveat.direction.map(|way| Scope::from(Some(way)).to_string());
    let cells = vec![
        ("run", Cell::text(run)),
        ("number", Cell::place(number)),
        ("place", Cell::place(caveat.link)),
        ("site", Cell::text(&caveat.site)),
        ("trial", caveat.trial.map_or(Cell::Int(None), Cell::place)),
        ("direction", Cell::Text(way)),
        ("metrics", Cell::text(&metrics.join(" "))),
        ("bias", Cell::text(&caveat.bias.to_string())),
        ("caveat", Cell::text(&caveat.text)),
    ];
    Row::new("run_caveats", cells)
}

/// Where a row of a trial stands.
struct At<'a> {
    run: &'a str,
    place: usize,
    link: &'a LinkRecord,
    site: &'a SiteRecord,
    trial: &'a TrialRecord,
}

/// What a row of a trial has beside its place.
#[derive(Default)]
struct Figures<'a> {
    one_way: Option<&'a DirectionFigures>,
    sent: Option<u64>,
    received: Option<u64>,
    delays: Option<&'a Percentiles>,
}

impl At<'_> {
    /// The row of a direction; `None` where the trial does not test it.
    fn one_way(&self, direction: Direction) -> Option<Row> {
        let figures = match direction {
            Direction::Forward => &self.trial.figures.forward,
            Direction::Reverse => &self.trial.figures.reverse,
        };
        let counts = self.trial.outcome.one_way(direction);
        figures.tested.then(|| {
            self.row(
                Some(direction).into(),
                &Figures {
                    one_way: Some(figures),
                    sent: counts.sender.as_ref().map(|sender| sender.sent),
                    received: counts.receiver.as_ref().map(|receiver| receiver.received),
                    delays: figures.owd_us.as_ref(),
                },
            )
        })
    }

    /// The row of the round trip.
    fn round_trip(&self) -> Row {
        let delays = self.trial.figures.rtt_us.as_ref();
        let sent = delays.map(|delays| delays.samples);
        let received = delays.map(Percentiles::arrived);
        self.row(Scope::RoundTrip, &Figures { one_way: None, sent, received, delays })
    }

    fn row(&self, scope: Scope, figures: &Figures<'_>) -> Row {
        let Self { run, place, link, site, trial } = *self;
        let Outcome { status, reason, .. } = &trial.outcome;
        let judged = trial.figures.verdicts.of(scope);
        let reason = reason.clone().or_else(|| judged.and_then(|judged| judged.reason.clone()));
        let one_way = figures.one_way;
        let rates = |of: fn(&DirectionFigures) -> Option<u64>| Cell::counted(one_way.and_then(of));
        let carried = one_way.and_then(|it| it.carried).map(|it| it.at(link.rate_layer));
        let delay = |of: fn(&Percentiles) -> Option<f64>| Cell::Real(figures.delays.and_then(of));
        let outages = one_way.and_then(|it| it.outages.as_deref());
        let longest = outages.map(|all| all.iter().map(|it| it.duration_s).fold(0.0, f64::max));
        let lost = match scope {
            Scope::RoundTrip => figures.delays.map(|delays| delays.lost),
            Scope::Forward | Scope::Reverse => one_way.and_then(|it| it.lost),
        };
        let load = match (&trial.asked.udp, &trial.asked.tcp) {
            (Some(_), _) => "udp",
            (None, Some(_)) => "tcp",
            (None, None) => "idle",
        };
        let cells = vec![
            ("run", Cell::text(run)),
            ("place", Cell::place(place)),
            ("site", Cell::text(&site.ends.site)),
            ("trial", Cell::place(trial.trial)),
            ("direction", Cell::text(&scope.to_string())),
            ("load", Cell::text(load)),
            ("status", Cell::text(status.name())),
            ("verdict", Cell::Text(judged.map(|judged| judged.verdict.to_string()))),
            ("reason", Cell::Text(reason)),
            ("started_ns", Cell::counted(trial.started_ns())),
            ("duration_ns", Cell::count(trial.asked.duration_ns)),
            ("offered_bit_s", rates(|it| it.offered_bit_s)),
            ("carried_bit_s", Cell::counted(carried)),
            ("goodput_bit_s", rates(|it| it.goodput_bit_s)),
            ("required_bit_s", rates(|it| it.required_bit_s)),
            ("headroom_ratio", Cell::Real(one_way.and_then(|it| it.headroom_ratio))),
            ("sent", Cell::counted(figures.sent)),
            ("received", Cell::counted(figures.received)),
            ("lost", Cell::counted(lost)),
            ("loss_ratio", Cell::Real(one_way.and_then(|it| it.loss_ratio))),
            ("outages", outages.map_or(Cell::Int(None), |all| Cell::place(all.len()))),
            ("longest_outage_s", Cell::Real(longest)),
            ("variation_us", Cell::Real(one_way.and_then(|it| it.jitter_us))),
            ("delay_min_us", delay(|it| it.min)),
            ("delay_p50_us", delay(|it| it.p50)),
            ("delay_p95_us", delay(|it| it.p95)),
            ("delay_p99_us", delay(|it| it.p99)),
            ("delay_max_us", delay(|it| it.max)),
        ];
        Row::new("run_trials", cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = include_str!("../../tests/it/golden/v3/sound.json");

    fn cell<'a>(row: &'a Row, column: &str) -> &'a Cell {
        let table = super::super::TABLES.iter().find(|table| table.name == row.table);
        let columns = table.expect("a table").columns;
        let at = columns.iter().position(|it| it.name == column).expect("a column");
        &row.cells[at]
    }

    /// Each figure is the report's own.
    #[test]
    fn the_rows_of_a_report_have_what_it_says() {
        let report = Report::parse(SOUND).expect("a report");
        let rows = of(&Entry::imported(&report, 1).expect("dated"), &report);
        let rows_of = |table| rows.iter().filter(move |row: &&Row| row.table == table);
        assert_eq!(rows_of("run_findings").count(), report.findings.len());
        assert_eq!(rows_of("run_caveats").count(), report.caveats.len());
        let link = rows_of("run_links").next().expect("a link");
        assert_eq!(cell(link, "verdict"), &Cell::text(&report.verdict.to_string()));
        let trials: Vec<_> = rows_of("run_trials").collect();
        let loaded = trials.iter().find(|row| *cell(row, "load") == Cell::text("udp"));
        let loaded = loaded.expect("a load");
        let record = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
        assert_eq!(cell(loaded, "goodput_bit_s"), &Cell::counted(record.figures().goodput_bit_s));
        let sent = record.counts().sender.as_ref().map(|sender| sender.sent);
        assert_eq!(cell(loaded, "sent"), &Cell::counted(sent));
        let idle = trials.iter().find(|row| *cell(row, "direction") == Cell::text("round-trip"));
        let rtt = report.links[0].sites[0].trials[0].figures.rtt_us.as_ref().expect("probes");
        assert_eq!(cell(idle.expect("probes"), "delay_p50_us"), &Cell::Real(rtt.p50));
    }
}
