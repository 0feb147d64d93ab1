//! The first screen: what a carrier's engineer reads, and is sent. A verdict with its reason in one
//! line, who measured between which ends and when, a table of what was required and measured, and
//! what limits the evidence. A for the driver's end, B for the agent's.

use super::beside::beside;
use super::words::Once;
use crate::direction::Direction;
use crate::metric::{Metric, black_hole};
use crate::report::blocks::{Block, blocks};
use crate::report::date::span_text;
use crate::report::quantity::digits;
use crate::report::words::{
    again_text, capitalised, doubted, measured, ordinal, rates_text, required, row_names, titles,
    way, why,
};
use crate::report::{CaveatRecord, FindingRecord, Rendering, Report};
use crate::verdict::Verdict;
use crate::wrap::{GLUE, Page, Table, line};

/// How a link comes to be judged.
const NOTHING_REQUIRED: &str = "No requirements were given, so there is no PASS or FAIL: give a \
                                requirement, such as --rate or --loss, or [require] in a plan, to \
                                have the link judged.";

/// Columns before what stands below the verdict.
const INDENT: &str = "       ";

pub(super) fn first(page: &mut Page, report: &Report, rendering: &Rendering, said: &mut Once) {
    let blocks = blocks(report);
    if 1 < blocks.len() {
        summary(page, report, &blocks, said);
    }
    for block in &blocks {
        head(page, report, block, rendering, said);
        line!(page, "");
        if block.is_reached() {
            findings(page, report, block, said);
            beside(block).iter().for_each(|text| page.wrapped("", text));
            caveats(page, report, block, rendering.verbose);
            line!(page, "");
        }
    }
    if report.links.is_empty() {
        line!(page, "{}", report.verdict);
    }
}

/// What came of each link and site, the worst on top.
fn summary(page: &mut Page, report: &Report, blocks: &[Block<'_>], said: &mut Once) {
    let (verdict, count) = (report.verdict, blocks.len());
    let passed = blocks.iter().filter(|block| block.verdict == Verdict::Pass).count();
    page.hung(&format!("{verdict}  "), INDENT, &format!("{passed} of {count} pass"));
    let mut table = Table::new(&["", "", ""]);
    for block in blocks {
        let why = why(block);
        if !block.is_reached() {
            said.note(&why);
        }
        table.row(&[block.heading(), block.name(), why]);
    }
    page.table("  ", &table);
    line!(page, "");
}

fn head(
    page: &mut Page,
    report: &Report,
    block: &Block<'_>,
    rendering: &Rendering,
    said: &mut Once,
) {
    let verdict = format!("{:<5}  ", block.heading());
    let why = Some(why(block)).filter(|why| block.is_reached() || said.is_new(why));
    let text = why.map_or_else(|| block.name(), |why| format!("{}: {why}", block.name()));
    page.hung(&verdict, INDENT, &text);
    if let Some(worst) = headed(block).filter(|worst| is_open(worst)) {
        said.note(&worst.reason);
    }
    if let Some(reason) = block.reason.filter(|_| block.is_unfinished()) {
        said.note(reason);
    }
    let ends = &block.site.ends;
    let near = ends.driver_address.as_deref().unwrap_or("not known");
    let far = ends.address.as_deref().unwrap_or(&ends.agent);
    if block.is_reached() {
        let (utc, local) = span_text(block.times(report), rendering.utc_offset_s);
        let text = format!("A {near} (driver){GLUE}{GLUE} B {far} (agent){GLUE}{GLUE} {utc}");
        page.wrapped(INDENT, &text);
        local.iter().for_each(|local| page.wrapped(INDENT, local));
    } else {
        page.wrapped(INDENT, &format!("B {far} (agent)"));
    }
    if let Some(again) = &report.judged_again {
        page.wrapped(INDENT, &again_text(again));
    }
    if let Some(reason) = block.reason.filter(|reason| said.is_new(reason)) {
        page.wrapped(INDENT, &format!("Not complete: {reason}"));
    }
}

fn findings(page: &mut Page, report: &Report, block: &Block<'_>, said: &mut Once) {
    if block.findings.is_empty() {
        page.wrapped("", NOTHING_REQUIRED);
        line!(page, "");
    } else {
        let asked = block.findings.first().map(|finding| report.asked_of(finding.link));
        let confidence = digits(asked.unwrap_or(&report.asked).confidence * 100.0);
        let bounds = format!("{confidence} % BOUNDS (EACH)");
        let columns = ["REQUIREMENT", "", "REQUIRED", "MEASURED", &bounds, "VERDICT"];
        let mut table = Table::new(&columns);
        let mut before = String::new();
        for finding in &block.findings {
            let (name, way) = row_names(finding, block);
            let (value, bounds) = measured(finding, block);
            let shown = if name == before { String::new() } else { name.clone() };
            let verdict = finding.verdict.to_string();
            table.row(&[shown, way, required(finding), value, bounds, verdict]);
            before = name;
        }
        page.table("", &table);
        line!(page, "");
        for finding in &block.findings {
            explain(page, finding, block, said);
        }
    }
}

/// What keeps a requirement from a verdict, or from all that a PASS says.
fn explain(page: &mut Page, finding: &FindingRecord, block: &Block<'_>, said: &mut Once) {
    if let Some(remark) = finding.remark.as_ref().filter(|remark| said.is_new(remark)) {
        page.wrapped("", remark);
    }
    let is_part = finding.verdict == Verdict::Pass && finding.proven.is_some();
    // The first line has it, or it is why nothing at all was measured there.
    let is_head = headed(block).is_some_and(|worst| std::ptr::eq(worst, finding));
    let mut is_given = || is_head || !finding.is_measured() && !said.is_new(&finding.reason);
    if !is_part && (!is_open(finding) || is_given()) {
        return;
    }
    let (name, way) = row_names(finding, block);
    let text = format!("{} {}: {}", name, way, finding.reason);
    page.wrapped("", text.trim());
}

/// The finding whose reason the first line has.
fn headed<'a>(block: &Block<'a>) -> Option<&'a FindingRecord> {
    let is_counted = block.is_unfinished() || block.undecided().is_some();
    block.worst().filter(|_| !is_counted)
}

/// Whether the evidence leaves a requirement without a verdict on the link.
const fn is_open(finding: &FindingRecord) -> bool {
    matches!(finding.verdict, Verdict::Inconclusive | Verdict::Invalid)
}

/// What limits the evidence, and how the table is to be read: what touches a requirement alone,
/// unless all is asked for.
fn caveats(page: &mut Page, report: &Report, block: &Block<'_>, verbose: bool) {
    let (mut given, mut left_out) = (0_usize, 0_usize);
    for caveat in block.caveats(report) {
        let touched = block.touched_by(caveat);
        if verbose {
            page.wrapped("", &caveat_text(caveat, None));
        } else if touched.is_empty() {
            left_out += 1;
            continue;
        } else {
            page.wrapped("", &caveat_text(caveat, Some(&touched)));
        }
        given += 1;
    }
    let mut parts = Vec::new();
    if 0 < left_out {
        let caveats = if left_out == 1 { "caveat" } else { "caveats" };
        parts.push(match given {
            0 => format!(
                "No measurement caveats on what is required ({left_out} {caveats} on other \
                 figures: --verbose)."
            ),
            _ => format!("{left_out} more {caveats} on other figures: --verbose."),
        });
    } else if given == 0 {
        parts.push("No measurement caveats.".to_owned());
    }
    if let Some(path) = block.site.path_mtu {
        let octets = path.octets;
        parts.push(match black_hole(path, block.site.ends.ip) {
            _ if path.tried_octets <= octets => format!("Path MTU {octets} (largest tried)."),
            Some(hole) => format!("Path MTU {octets}: {hole}."),
            None => format!("Path MTU {octets}."),
        });
    }
    parts.push(format!("{}.", capitalised(&rates_text(block.link))));
    page.wrapped("", &parts.join(" "));
}

/// A caveat on `metrics`, or on all that it touches, with the evidence that it doubts.
fn caveat_text(caveat: &CaveatRecord, metrics: Option<&[Metric]>) -> String {
    let place = caveat.direction.map(|direction: Direction| format!(" {}", way(direction)));
    let trial = caveat.trial.map(|trial| format!(", trial {}", ordinal(trial)));
    let trial = trial.unwrap_or_default();
    let place = place.unwrap_or_default() + &trial;
    let doubted = match metrics {
        Some(metrics) => titles(metrics) + &place,
        None => doubted(caveat, &place),
    };
    format!("Caveat on {doubted}: {}", caveat.text)
}
