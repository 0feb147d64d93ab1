//! Markdown, for tickets and wikis: the verdict, what was required and measured, the caveats, and a
//! row for each trial and direction.

use crate::account::Status;
use crate::report::quantity::{bits_text, digits, percent, quantity};
use crate::report::words::{
    again_text, doubted, ends_text, is_measured, link_text, rates_text, required, value,
};
use crate::report::{LinkRecord, LoadKindRecord, Rendering, Report, Row};
use crate::verdict::Verdict;
use crate::wrap::line;

pub(super) fn render(report: &Report, _: &Rendering) -> String {
    let mut out = String::new();
    head(&mut out, report);
    links(&mut out, report);
    findings(&mut out, report);
    caveats(&mut out, report);
    trials(&mut out, report);
    line!(out, "Measured by {}, run {}.", plain(&report.program), plain(&report.run));
    out
}

/// Somebody's words: nothing in them is taken for Markdown or HTML.
fn plain(text: &str) -> String {
    let escaped = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        // Nobody is mentioned, and nothing becomes a link.
        '@' => "&#64;".to_owned(),
        '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => format!("\\{c}"),
        c => c.to_string(),
    };
    let text: String = text.chars().map(escaped).collect();
    text.replace("://", "&#58;//").replace("www.", "www&#46;")
}

fn head(out: &mut String, report: &Report) {
    let links: Vec<String> = report.links.iter().map(link_text).collect();
    let (verdict, links) = (report.verdict, plain(&links.join("; ")));
    line!(out, "# {verdict}: {links}, {}\n", plain(&report.started_at));
    let several = 1 < report.sites().count();
    let again = report.judged_again.iter().map(again_text);
    let reason = report.reason.iter().map(|reason| format!("not complete: {reason}"));
    let ends = report.sites().filter_map(|(link, site)| ends_text(link, site, several));
    let rates = report.links.iter().map(rates_text);
    for text in again.chain(reason).chain(ends).chain(rates) {
        line!(out, "- {}", plain(&text));
    }
    line!(out, "");
}

/// The verdict on each of several links, the worst first.
fn links(out: &mut String, report: &Report) {
    if report.links.len() < 2 {
        return;
    }
    columns(out, &["link", "verdict", "role", "circuit", "provider", "owner", "not complete"]);
    for place in report.links_worst_first() {
        let LinkRecord { name, circuit, provider, inventory, reason, .. } = &report.links[place];
        let shown = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), plain);
        let role = inventory.role.map(|role| match &inventory.protects {
            Some(protects) => format!("{role} of {protects}"),
            None => role.to_string(),
        });
        let verdict = report.verdict_on(place).map(|verdict| verdict.to_string());
        let owner = shown(&inventory.owner);
        let (name, circuit, provider) = (shown(name), shown(circuit), shown(provider));
        let cells = [name, shown(&verdict), shown(&role), circuit, provider, owner, shown(reason)];
        row(out, &cells);
    }
    line!(out, "");
}

/// A site, with its link where there are several.
fn site_text(report: &Report, link: Option<&LinkRecord>, site: &str) -> String {
    match link.and_then(|link| link.name.as_ref()).filter(|_| 1 < report.links.len()) {
        Some(name) => plain(&format!("{name}: {site}")),
        None => plain(site),
    }
}

/// A row of a table.
fn row(out: &mut String, cells: &[String]) {
    line!(out, "| {} |", cells.join(" | "));
}

/// The head of a table.
fn columns(out: &mut String, names: &[&str]) {
    line!(out, "| {} |", names.join(" | "));
    line!(out, "|{}", "---|".repeat(names.len()));
}

fn findings(out: &mut String, report: &Report) {
    if report.findings.is_empty() {
        line!(out, "Nothing was required, so there is nothing to pass.\n");
        return;
    }
    let measured = format!("measured ({} % bounds)", digits(report.asked.confidence * 100.0));
    let names = ["site", "requirement", "direction", "required", &measured, "verdict"];
    columns(out, &names);
    for finding in &report.findings {
        let verdict = match finding.verdict {
            Verdict::Pass => finding.verdict.to_string(),
            verdict => format!("**{verdict}**"),
        };
        row(
            out,
            &[
                site_text(report, report.links.get(finding.link), &finding.site),
                finding.metric.about().title.to_owned(),
                finding.direction.to_string(),
                plain(&required(finding)),
                plain(&value(finding)),
                verdict,
            ],
        );
    }
    line!(out, "");
    let is_explained = |verdict| verdict != Verdict::Pass;
    let explained = report.findings.iter();
    let explained = explained.filter(|it| is_explained(it.verdict) || it.proven.is_some());
    let mut missing = Vec::new();
    for finding in explained {
        // Why nothing was measured is the same for all that was to be measured there.
        if !is_measured(finding) {
            if missing.contains(&&finding.reason) {
                continue;
            }
            missing.push(&finding.reason);
        }
        let (metric, direction) = (finding.metric.about().title, finding.direction);
        let on = match report.links.get(finding.link).filter(|_| 1 < report.links.len()) {
            Some(link) => format!("{}: ", plain(link.name.as_deref().unwrap_or_default())),
            None => String::new(),
        };
        line!(out, "- {on}{metric} {direction}: {}", plain(&finding.reason));
        if let Some(remark) = &finding.remark {
            line!(out, "  - {}", plain(remark));
        }
    }
    line!(out, "");
}

fn caveats(out: &mut String, report: &Report) {
    if report.caveats.is_empty() && report.complete {
        line!(out, "No measurement caveats.\n");
        return;
    }
    for caveat in &report.caveats {
        let direction = caveat.direction.map(|direction| format!(" {direction}"));
        let direction = direction.unwrap_or_default();
        let text = plain(&caveat.text);
        let on = match 1 < report.links.len() {
            true => {
                let link = report.links.get(caveat.link);
                format!("{}: ", site_text(report, link, &caveat.site))
            }
            false => String::new(),
        };
        line!(out, "- {on}caveat on {}: {text}", doubted(caveat, &direction));
    }
    line!(out, "");
}

fn trials(out: &mut String, report: &Report) {
    let names = [
        "trial",
        "site",
        "direction",
        "load",
        "offered",
        "goodput (L4)",
        "lost",
        "PDV p99.9",
        "RTT median",
        "RTT max",
        "status",
    ];
    columns(out, &names);
    for each in report.rows().filter(|row| row.figures().tested) {
        row(out, &cells(report, &each));
    }
    line!(out, "");
}

fn cells(report: &Report, row: &Row<'_>) -> [String; 11] {
    let (figures, trial) = (row.figures(), row.trial);
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rate = |bit_s: u64| format!("{} {}", bits_text(bit_s), row.link.rate_layer);
    let us = |us: f64| quantity(us, "us");
    let rtt = trial.figures.rtt_us.as_ref();
    let load = figures.load_kind.map(|kind| match kind {
        LoadKindRecord::Idle => "none",
        LoadKindRecord::Fixed => "UDP",
        LoadKindRecord::Overshoot => "UDP, overshoot",
        LoadKindRecord::Capacity => "UDP, as fast as possible",
        LoadKindRecord::Tcp => "TCP",
    });
    let status = match trial.outcome.status {
        Status::Ok => "ok",
        Status::Partial => "cut short",
        Status::Refused => "refused",
        Status::NotRun => "not run",
    };
    [
        trial.trial.to_string(),
        site_text(report, Some(row.link), &row.site.ends.site),
        row.direction.to_string(),
        shown(load.map(str::to_owned)),
        shown(figures.offered_in_all_bit_s.map(rate)),
        shown(figures.goodput_bit_s.map(bits_text)),
        shown(figures.loss_ratio.map(percent)),
        shown(figures.jitter_us.map(us)),
        shown(rtt.and_then(|rtt| rtt.p50).map(us)),
        shown(rtt.and_then(|rtt| rtt.max).map(us)),
        status.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = include_str!("../../../tests/it/golden/v3/sound.json");

    fn judged(record: &str) -> Report {
        let mut report = Report::parse(record).expect("a record");
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        report
    }

    #[test]
    fn a_report_is_a_heading_and_two_tables() {
        let text = render(&judged(SOUND), &Rendering::default());
        assert!(text.starts_with("# PASS: link to the demo's agent, circuit demo, "), "{text}");
        let finding = "| the demo's agent | RTT p99 | round-trip | &lt;= 30 ms | 13.92 ms (13.42 \
                       ms to 14.04 ms) | PASS |\n";
        assert!(text.contains(finding), "{text}");
        let trial = "| 1 | the demo's agent | forward | UDP | 20 Mbit/s L2 | 19.4 Mbit/s | 0 % | \
                     4.878 ms | 10.7 ms | 34.34 ms | ok |\n";
        assert!(text.contains(trial), "{text}");
        let tables = text.lines().filter(|line| line.starts_with("|---"));
        assert_eq!(tables.count(), 2, "{text}");
    }

    #[test]
    fn what_another_wrote_breaks_out_of_no_cell() {
        let mut report = judged(SOUND);
        report.links[0].sites[0].ends.site = "a|b <script> [x](y) `z`".to_owned();
        let text = render(&report, &Rendering::default());
        assert!(text.contains("| a\\|b &lt;script&gt; \\[x\\](y) \\`z\\` |"), "{text}");
        assert!(!text.contains("<script>"), "{text}");
    }
}
