//! Markdown, for tickets and wikis: the verdict, what was required and measured, the caveats, and a
//! row for each trial and direction.

use crate::account::Status;
use crate::report::blocks::{Block, blocks};
use crate::report::date::span_text;
use crate::report::quantity::{bits_text, digits, percent, quantity};
use crate::report::words::{
    again_text, capitalised, doubted, measured, ordinal, rates_text, required, row_names, way, why,
};
use crate::report::{LinkRecord, LoadKindRecord, Rendering, Report, Row};
use crate::verdict::Verdict;
use crate::wrap::line;
use std::collections::BTreeSet;

pub(super) fn render(report: &Report, _: &Rendering) -> String {
    let mut out = String::new();
    let blocks = blocks(report);
    head(&mut out, report, &blocks);
    findings(&mut out, report, &blocks);
    caveats(&mut out, report);
    trials(&mut out, report);
    line!(out, "Measured by {}, run {}.", plain(&report.program), plain(&report.run));
    out
}

/// Somebody's words: nothing in them is taken for Markdown or HTML.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let next = letters.peek().copied();
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match c {
            // "<= 20 ms" and "A->B" stay readable in a mail: no tag and no quotation begins so.
            '<' if next.is_some_and(|next| next == '=' || next == ' ') => out.push(c),
            '<' => out += "&lt;",
            '>' if !out.is_empty() => out.push(c),
            '>' => out += "&gt;",
            '&' if next.is_none_or(char::is_whitespace) => out.push(c),
            '&' => out += "&amp;",
            // Nobody is mentioned, and nothing becomes a link.
            '@' => out += "&#64;",
            // Between letters it emphasises nothing.
            '_' if is_word(out.chars().last()) && is_word(next) => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// The verdict on each link and site, the worst on top.
fn head(out: &mut String, report: &Report, blocks: &[Block<'_>]) {
    if let [only] = blocks {
        let (verdict, name) = (only.heading(), plain(&only.name()));
        line!(out, "# {verdict}: {name}: {}\n", plain(&why(only)));
    } else {
        line!(out, "# {}\n", report.verdict);
    }
    for block in blocks {
        if 1 < blocks.len() {
            let (verdict, name) = (block.heading(), plain(&block.name()));
            line!(out, "- **{verdict}** {name}: {}", plain(&why(block)));
        }
        let ends = &block.site.ends;
        let near = ends.driver_address.as_deref().unwrap_or("not known");
        let far = ends.address.as_deref().unwrap_or(&ends.agent);
        let (utc, _) = span_text(block.times(report), None);
        match block.is_reached() {
            true => {
                line!(
                    out,
                    "- A {} (driver), B {} (agent), {}",
                    plain(near),
                    plain(far),
                    plain(&utc)
                );
            }
            false => line!(out, "- B {} (agent)", plain(far)),
        }
    }
    let again = report.judged_again.iter().map(again_text);
    let is_said = |block: &Block<'_>| blocks.len() == 1 && block.is_unfinished();
    let reason = report.reason.iter().filter(|_| !blocks.iter().any(is_said));
    let reason = reason.map(|reason| format!("Not complete: {reason}"));
    let rates = report.links.iter().map(|link| capitalised(&rates_text(link)));
    for text in again.chain(reason).chain(rates) {
        line!(out, "- {}", plain(&text));
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

fn findings(out: &mut String, report: &Report, blocks: &[Block<'_>]) {
    if report.findings.is_empty() {
        line!(out, "Nothing was required, so there is nothing to pass.\n");
        return;
    }
    let levels = (0..report.links.len()).map(|place| report.asked_of(place).confidence);
    let levels: BTreeSet<String> = levels.map(|level| digits(level * 100.0)).collect();
    let levels: Vec<String> = levels.into_iter().collect();
    let bounds = format!("{} % bounds (each)", levels.join(" or "));
    columns(out, &["site", "requirement", "", "required", "measured", &bounds, "verdict"]);
    let findings =
        || blocks.iter().flat_map(|block| block.findings.iter().map(move |it| (block, *it)));
    for (block, finding) in findings() {
        let verdict = match finding.verdict {
            Verdict::Pass => finding.verdict.to_string(),
            verdict => format!("**{verdict}**"),
        };
        let (name, way) = row_names(finding, block);
        let (value, bounds) = measured(finding, block);
        let site = site_text(report, Some(block.link), &finding.site);
        let cells = [&name, &way, &required(finding), &value, &bounds];
        let cells = cells.into_iter().map(|cell| plain(cell));
        row(out, &std::iter::once(site).chain(cells).chain([verdict]).collect::<Vec<_>>());
    }
    line!(out, "");
    let explained = findings().filter(|(_, it)| it.verdict != Verdict::Pass || it.proven.is_some());
    let mut missing = Vec::new();
    for (block, finding) in explained {
        // Why nothing was measured is the same for all that was to be measured there.
        if !finding.is_measured() {
            if missing.contains(&&finding.reason) {
                continue;
            }
            missing.push(&finding.reason);
        }
        let (name, way) = row_names(finding, block);
        let named = format!("{name} {way}");
        let on = match &block.link.name {
            Some(name) if 1 < report.links.len() => format!("{}: ", plain(name)),
            _ => String::new(),
        };
        line!(out, "- {on}{}: {}", plain(named.trim_end()), plain(&finding.reason));
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
        let direction = caveat.direction.map(|direction| format!(" {}", way(direction)));
        let text = plain(&caveat.text);
        let place = plain(&direction.unwrap_or_default());
        let on = match 1 < report.links.len() {
            true => {
                let link = report.links.get(caveat.link);
                format!("{}: ", site_text(report, link, &caveat.site))
            }
            false => String::new(),
        };
        line!(out, "- {on}Caveat on {}: {text}", doubted(caveat, &place));
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
        Status::Aborted => "aborted",
        Status::Refused => "refused",
        Status::NotRun => "not run",
    };
    [
        ordinal(trial.trial).to_string(),
        site_text(report, Some(row.link), &row.site.ends.site),
        plain(way(row.direction)),
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
        assert!(
            text.starts_with("# PASS: link to the demo's agent (circuit demo): all "),
            "{text}"
        );
        let finding = "| the demo's agent | RTT p99 | loaded | <= 30 ms | 13.9 ms | 13.4 to \
                       14.0 ms | PASS |\n";
        assert!(text.contains(finding), "{text}");
        let trial = "| 2 | the demo's agent | A->B | UDP | 20 Mbit/s L2 | 19.4 Mbit/s | 0 % | \
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
        assert!(text.contains("| a\\|b &lt;script> \\[x\\](y) \\`z\\` |"), "{text}");
        assert!(!text.contains("<script>"), "{text}");
        for (said, shown) in [
            ("<= 20 ms, A->B & C, rtt_p99", "<= 20 ms, A->B & C, rtt_p99"),
            (
                "> quoted </td> <!-- --> &lt; &#64;",
                "&gt; quoted &lt;/td> &lt;\\!-- --> &amp;lt; &amp;\\#64;",
            ),
            ("_a_ <b>", "\\_a\\_ &lt;b>"),
        ] {
            assert_eq!(plain(said), shown);
        }
    }
}
