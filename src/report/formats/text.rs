//! The report for people: the verdict is the first word, what was measured comes before how. It is
//! what a carrier's engineer is sent, so that nothing in it takes knowledge of this program.

mod details;
mod trial;
mod words;

use crate::framing::Layer;
use crate::metric::{About, Kind, Traffic, black_hole};
use crate::report::quantity::digits;
use crate::report::words::{
    again_text, doubted, ends_text, is_measured, layers_text, link_text, rates_text, required,
    value,
};
use crate::report::{FindingRecord, Rendering, Report, Row};
use crate::units::BitRate;
use crate::verdict::Verdict;
use crate::wrap::{Page, Table, line};
use details::details;
use trial::trials;
use words::Once;

/// The report as text, in lines of up to 100 columns.
#[must_use]
pub fn text(report: &Report) -> String {
    render(report, &Rendering::default())
}

/// The report as text.
pub(super) fn render(report: &Report, rendering: &Rendering) -> String {
    let mut page = Page::new(rendering.columns);
    let mut told = Once::default();
    head(&mut page, report, &mut told);
    findings(&mut page, report, &mut told);
    paths(&mut page, report);
    caveats(&mut page, report);
    trials(&mut page, report, &mut told);
    details(&mut page, report);
    closing(&mut page, report, &mut told);
    page.into_text()
}

fn head(page: &mut Page, report: &Report, told: &mut Once) {
    let links: Vec<String> = report.links.iter().map(link_text).collect();
    let text = format!("{}, {}", links.join("; "), report.started_at);
    page.hung(&format!("{}  ", report.verdict), "      ", &text);
    if let Some(again) = &report.judged_again {
        page.wrapped("      ", &again_text(again));
    }
    if let Some(reason) = &report.reason {
        page.wrapped("      ", &format!("not complete: {reason}"));
        told.tell(reason);
    }
    for (link, site) in report.sites() {
        let ends = ends_text(link, site, 1 < report.sites().count());
        ends.iter().for_each(|text| page.wrapped("      ", text));
    }
    report.links.iter().for_each(|link| page.wrapped("      ", &rates_text(link)));
    line!(page, "");
}

/// How a link comes to be judged.
const NOTHING_REQUIRED: &str = "Nothing was required, so there is nothing to pass: give a \
                                requirement, such as --rate or --loss, or [require] in a plan, to \
                                have the link judged.";

fn findings(page: &mut Page, report: &Report, told: &mut Once) {
    if report.findings.is_empty() {
        page.wrapped("", NOTHING_REQUIRED);
        line!(page, "");
        return;
    }
    let measured = format!("measured ({} % bounds)", digits(report.asked.confidence * 100.0));
    let mut table = Table::new(&["requirement", "", "required", &measured, "verdict"]);
    let mut site = None;
    for finding in &report.findings {
        if 1 < report.sites().count() && site != Some(&finding.site) {
            table.heading(format!("towards {}", finding.site));
            site = Some(&finding.site);
        }
        table.row(&[
            finding.metric.about().title.to_owned(),
            finding.direction.to_string(),
            required(finding),
            value(finding),
            finding.verdict.to_string(),
        ]);
        let explains = finding.verdict != Verdict::Pass || finding.proven.is_some();
        // Why nothing was measured is the same for all that was to be measured there.
        if explains && (is_measured(finding) || told.is_new(&finding.reason)) {
            table.remark(&finding.reason);
        }
        if let Some(remark) = &finding.remark {
            table.remark(remark);
        }
        if let Some(other) = other_layers(report, finding) {
            table.remark(other);
        }
    }
    page.table("", &table);
    line!(page, "");
}

/// A rate at the layers that it is not judged at.
fn other_layers(report: &Report, finding: &FindingRecord) -> Option<String> {
    let judged = report.links.get(finding.link)?.rate_layer;
    let layers = Layer::ALL.into_iter().filter(|layer| *layer != judged);
    Some(format!("= {}", layers_text(&finding.layers?, layers)))
}

/// What the path to each site carries in one piece, where it is less than was tried.
fn paths(page: &mut Page, report: &Report) {
    for (_, site) in report.sites() {
        let Some(path) = site.path_mtu.filter(|path| path.octets < path.tried_octets) else {
            continue;
        };
        let mut text = format!("path MTU to {}: {} octets", site.ends.site, path.octets);
        if let Some(hole) = black_hole(path, site.ends.ip) {
            text += &format!(": {hole}");
        }
        page.wrapped("", &text);
        line!(page, "");
    }
}

fn caveats(page: &mut Page, report: &Report) {
    if report.caveats.is_empty() && report.complete {
        line!(page, "No measurement caveats.");
    }
    for caveat in &report.caveats {
        let direction = caveat.direction.map(|direction| format!(" {direction}"));
        let site = match 1 < report.sites().count() {
            true => format!(", towards {}", caveat.site),
            false => String::new(),
        };
        let trial = caveat.trial.map(|trial| format!(", trial {trial}")).unwrap_or_default();
        let place = direction.unwrap_or_default() + &site + &trial;
        let text = format!("caveat on {}: {}", doubted(caveat, &place), caveat.text);
        page.wrapped("", &text);
    }
    line!(page, "");
}

/// Who measured, and by what.
fn closing(page: &mut Page, report: &Report, told: &mut Once) {
    for (_, site) in report.sites() {
        let mut parts = vec![format!("agent at {} over {}", site.ends.agent, site.ends.ip)];
        if let Some(path) = site.path_mtu {
            parts.push(match path.octets < path.tried_octets {
                true => format!("path MTU {} octets", path.octets),
                false => {
                    let octets = path.octets;
                    format!("the path carries packets of at least {octets} octets (largest tried)")
                }
            });
        }
        let granted = site.granted_rate_max_bit_s.and_then(BitRate::new);
        if let (Some(rate), Some(seconds)) = (granted, site.granted_duration_max_s) {
            parts.push(format!("it allows {rate} (L2) in each direction, {seconds} s of load"));
        }
        let reason = site.ends.reason.as_ref().filter(|reason| told.is_new(reason));
        parts.extend(reason.map(|reason| format!("not complete: {reason}")));
        page.wrapped("", &parts.join("; "));
    }
    for note in report.notes.iter().map(String::as_str).chain(of_its_time(report)) {
        page.wrapped("", &format!("note: {note}"));
    }
    if let Some(plan) = &report.plan {
        page.wrapped("", &format!("plan {}, sha256 {}", plan.file, plan.sha256));
    }
    page.wrapped("", &format!("{}, run {}", report.program, report.run));
}

/// A throughput that was measured before what left and arrived was kept: format 2 has no rate of
/// heartbeats either.
fn of_its_time(report: &Report) -> Option<&'static str> {
    let asked = |row: Row<'_>| {
        row.trial.asked.udp.is_some_and(|_| row.trial.asked.heartbeat_rate.is_none())
    };
    let is_rate =
        |about: &About| about.kind == Kind::LeastRate && about.answered_by == Traffic::Udp;
    let is_required = report.asked.requirements.iter().any(|one| is_rate(one.metric.about()));
    (is_required && report.rows().any(asked)).then_some(
        "throughput is judged by the rule of the record's own time: by packets that were due in \
         the window, not by those that left and arrived in it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::metric::Metric;
    use crate::report::PlanRecord;
    use unicode_width::UnicodeWidthStr as _;

    const SOUND: &str = include_str!("../../../tests/it/golden/v3/sound.json");
    const TCP: &str = include_str!("../../../tests/it/golden/v3/tcp.json");

    /// A record, judged by what it was judged by.
    fn judged(record: &str) -> Report {
        let mut report = Report::parse(record).expect("a record");
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        report
    }

    /// Two sites, whose names are wide.
    fn two_sites() -> Report {
        let mut report = judged(SOUND);
        let mut second = report.links[0].sites[0].clone();
        report.links[0].sites[0].ends.site = "上海数据中心".to_owned();
        second.ends.site = "vpc".to_owned();
        for trial in &mut second.trials {
            trial.trial += 2;
        }
        report.links[0].sites.push(second);
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        report
    }

    #[test]
    fn a_site_of_any_script_is_reported() {
        let text = text(&two_sites());
        let verdicts = text.lines().filter(|line| line.starts_with("throughput"));
        let columns: Vec<usize> =
            verdicts.map(|line| line.split("PASS").next().expect("a first part").width()).collect();
        assert_eq!(columns.len(), 4, "{text}");
        assert!(columns.iter().all(|column| *column == columns[0]), "{text}");
        for words in
            ["towards 上海数据中心\n", "(上海数据中心), reverse", "trial 0 towards 上海数据中心:"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.lines().all(|line| line.width() <= 100), "{text}");
    }

    #[test]
    fn a_narrow_terminal_is_not_written_beyond() {
        for record in [SOUND, TCP] {
            for columns in [70, 80, 90] {
                let rendering = Rendering { columns: Some(columns), ..Rendering::default() };
                let text = render(&judged(record), &rendering);
                let widest = text.lines().map(|line| line.width()).max();
                assert!(widest <= Some(columns), "{widest:?} of {columns}:\n{text}");
            }
        }
    }

    /// It stands in the run, in the site, in each trial, and in each finding.
    #[test]
    fn why_a_site_was_not_reached_is_said_once() {
        let reason = "nothing answers at 10.0.0.7:4872 within 5 s";
        let mut report = judged(SOUND);
        report.reason = Some(reason.to_owned());
        report.complete = false;
        let site = &mut report.links[0].sites[0];
        site.ends.reason = Some(reason.to_owned());
        for trial in &mut site.trials {
            trial.outcome = crate::account::Outcome::nothing(Status::NotRun, reason.to_owned());
            (trial.started_at, trial.ended_at) = (None, None);
        }
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        let text = text(&report);
        assert_eq!(text.matches(reason).count(), 1, "{text}");
        assert!(text.contains("\ntrials 0 to 1: not run\n"), "{text}");
        assert_eq!(text.matches("not measured").count(), report.findings.len(), "{text}");
    }

    #[test]
    fn a_report_that_was_judged_again_says_so() {
        let mut report = judged(SOUND);
        assert!(!text(&report).contains("judged again"));
        let question = report.question().expect("what it was judged by");
        report.judge_again(&question, None, 1_767_225_600_000_000_000).expect("evidence");
        let by = concat!(
            "judged again 2026-01-01T00:00:00.000Z by linkqual ",
            env!("CARGO_PKG_VERSION"),
            ", by the run's own requirements\n"
        );
        assert!(text(&report).contains(by), "{}", text(&report));
        let (file, sha256) = ("stricter.toml".to_owned(), "ab".repeat(32));
        let plan = PlanRecord { file, sha256, text: None };
        report.judge_again(&question, Some(plan), 1_767_225_600_000_000_000).expect("evidence");
        assert!(text(&report).contains("by the requirements of stricter.toml"));
        assert_eq!(report.plan, None, "the run followed none");
        // Its requirements are now those of the plan.
        report.judge_again(&question, None, 1_767_225_600_000_000_000).expect("evidence");
        assert!(text(&report).contains("by the requirements of stricter.toml"));
        assert_eq!(Report::parse(&report.to_json()), Ok(report));
    }

    #[test]
    fn what_the_largest_packet_tried_proves_is_no_path_mtu() {
        let mut report = judged(TCP);
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = words(text(&report));
        assert!(shown.contains("packets of at least 9216 octets (largest tried)"), "{shown}");
        assert!(!text(&report).contains("path MTU"));
        let path = report.links[0].sites[0].path_mtu.as_mut().expect("it was measured");
        path.octets = 1_500;
        let text = text(&report);
        assert!(text.contains("path MTU to 127.0.0.1:34316: 1500 octets"), "{text}");
    }

    #[test]
    fn no_key_of_a_plan_or_a_record_stands_in_the_text() {
        let text = text(&judged(TCP)) + &text(&two_sites());
        for metric in Metric::ALL {
            let key = metric.name();
            assert!(!key.contains('_') || !text.contains(key), "{key}: {text}");
        }
    }
}
