//! The report for people. The first screen stands alone ([`first`]): the verdict is the first word,
//! what was measured comes before how. Behind it, where all is asked for, stand the reasons, the
//! trials, and how they were measured.

mod beside;
mod details;
mod first;
mod trial;
mod words;

use crate::framing::Layer;
use crate::metric::{About, Kind, Traffic};
use crate::report::blocks::{Block, blocks};
use crate::report::words::{layers_text, row_names};
use crate::report::{FindingRecord, Rendering, Report, Row};
use crate::units::BitRate;
use crate::verdict::Verdict;
use crate::wrap::{Page, line};
use details::details;
use first::first;
use trial::trials;
use words::Once;

/// The whole report as text, in lines of up to 100 columns.
#[must_use]
pub fn text(report: &Report) -> String {
    render(report, &Rendering { verbose: true, ..Rendering::default() })
}

/// The report as text.
pub(super) fn render(report: &Report, rendering: &Rendering) -> String {
    let mut page = Page::new(rendering.columns);
    let mut said = Once::default();
    first(&mut page, report, rendering, &mut said);
    if rendering.verbose {
        reasons(&mut page, report, &mut said);
        trials(&mut page, report, &mut said);
        details(&mut page, report);
        closing(&mut page, report);
    }
    page.into_text()
}

/// Why each requirement has its verdict, and the rates at the other layers.
fn reasons(page: &mut Page, report: &Report, said: &mut Once) {
    let blocks = blocks(report);
    let texts =
        blocks.iter().flat_map(|block| block.findings.iter().map(move |finding| (block, *finding)));
    let texts: Vec<String> =
        texts.filter_map(|(block, finding)| reason(block, finding, said)).collect();
    if texts.is_empty() {
        return;
    }
    line!(page, "Verdicts in detail:");
    texts.iter().for_each(|text| page.wrapped("  ", text));
    line!(page, "");
}

fn reason(block: &Block<'_>, finding: &FindingRecord, said: &mut Once) -> Option<String> {
    let explains = finding.verdict != Verdict::Pass || finding.proven.is_some();
    // Why nothing was measured is the same for all that was to be measured there.
    let explains = explains && (finding.is_measured() || said.is_new(&finding.reason));
    let reason = explains.then(|| finding.reason.clone());
    let parts: Vec<String> = reason.into_iter().chain(other_layers(block, finding)).collect();
    let (name, way) = row_names(finding, block);
    let named = format!("{name} {way}");
    (!parts.is_empty()).then(|| format!("{}: {}", named.trim_end(), parts.join("; ")))
}

/// A rate at the layers that it is not judged at.
fn other_layers(block: &Block<'_>, finding: &FindingRecord) -> Option<String> {
    let judged = block.link.rate_layer;
    let layers = Layer::ALL.into_iter().filter(|layer| *layer != judged);
    Some(format!("= {}", layers_text(&finding.layers?, layers)))
}

/// Who measured, and by what.
fn closing(page: &mut Page, report: &Report) {
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
        "throughput is judged by the rule in force when this was recorded: packets due in \
         the window, not by those that left and arrived in it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::direction::Direction;
    use crate::metric::{Basis, Metric};
    use crate::report::{BiasRecord, CaveatRecord, PlanRecord, Scope};
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

    /// The first screen.
    fn screen(report: &Report) -> String {
        render(report, &Rendering::default())
    }

    #[test]
    fn a_site_of_any_script_is_reported() {
        let text = text(&two_sites());
        let rows = text.lines().filter(|line| line.starts_with("Throughput  "));
        let columns: Vec<usize> =
            rows.map(|line| line.split("PASS").next().expect("a first part").width()).collect();
        assert_eq!(columns.len(), 2, "{text}");
        assert!(columns.iter().all(|column| *column == columns[0]), "{text}");
        for words in ["PASS   link to 上海数据中心 (circuit", "trial 1 towards 上海数据中心:"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.lines().all(|line| line.width() <= 100), "{text}");
    }

    /// A summary, and a block for each with its own ends and times.
    #[test]
    fn of_several_sites_the_worst_stands_on_top() {
        let mut report = two_sites();
        let second = |finding: &&mut FindingRecord| finding.site == "vpc";
        let failed = report.findings.iter_mut().find(second).expect("it has findings");
        (failed.verdict, failed.value) = (Verdict::Fail, Some(10e6));
        report.verdict = Verdict::Fail;
        let text = screen(&report);
        let is_head = |line: &&str| line.starts_with("FAIL") || line.starts_with("PASS");
        let starts: Vec<&str> = text.lines().filter(is_head).collect();
        assert!(starts[0].starts_with("FAIL  1 of 2 pass"), "{text}");
        let failed = "FAIL   link to vpc (circuit demo): A->B carried 10.00 of 20 Mbit/s required";
        assert_eq!(starts[1], failed, "{text}");
        assert!(starts[2].starts_with("PASS   link to 上海数据中心"), "{text}");
    }

    #[test]
    fn a_dead_site_costs_the_others_no_line() {
        let mut report = two_sites();
        let reason = "nothing answers at 10.0.0.7:4872 within 5 s";
        let dead = &mut report.links[0].sites[1];
        dead.ends.reason = Some(reason.to_owned());
        for trial in &mut dead.trials {
            trial.outcome = crate::account::Outcome::nothing(Status::NotRun, reason.to_owned());
            (trial.started_at, trial.ended_at) = (None, None);
        }
        report.reason = Some(format!("vpc: {reason}"));
        report.complete = false;
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        let shown = screen(&report);
        for text in [shown.clone(), text(&report)] {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words.matches(reason).count(), 1, "{text}");
        }
        assert!(shown.contains("PASS   link to 上海数据中心"), "{shown}");
    }

    /// All that was required passes by what was measured, and not all was run.
    #[test]
    fn no_format_begins_with_pass_where_not_all_was_run() {
        let mut report = judged(SOUND);
        (report.complete, report.reason) = (false, Some("interrupted".to_owned()));
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        assert!(report.findings.iter().all(|finding| finding.verdict == Verdict::Pass));
        let shown = screen(&report);
        let head =
            "INCONCLUSIVE  link to the demo's agent (circuit demo): not complete: interrupted";
        assert!(shown.starts_with(head), "{shown}");
        assert_eq!(shown.matches("interrupted").count(), 1, "{shown}");
        let shown = crate::report::formats::markdown::render(&report, &Rendering::default());
        assert!(shown.starts_with("# INCONCLUSIVE: link to "), "{shown}");
        assert_eq!(shown.matches("interrupted").count(), 1, "{shown}");
    }

    #[test]
    fn what_is_measured_and_not_required_is_shown_in_a_line() {
        let mut report = judged(SOUND);
        let line = |report: &Report| {
            let shown = screen(report);
            let from = shown.find("Measured, not required: ").map(|at| shown[at..].to_owned());
            from.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let is_rate = |it: &FindingRecord| it.metric == Metric::THROUGHPUT;
        report.findings.retain(is_rate);
        let text = line(&report).expect("a line");
        let parts = ["packet loss 0 % A->B, 0 % B->A; RTT p99 ", " idle, ", " loaded; jitter (PDV"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("throughput of UDP"), "it is in the table: {text}");
        report.findings.clear();
        let text = line(&report).expect("a line");
        assert!(text.contains("throughput of UDP 20 Mbit/s A->B, 20 Mbit/s B->A; "), "{text}");
        report.links[0].sites[0].trials.clear();
        assert_eq!(line(&report), None);
    }

    /// Nothing of it was begun: it has no verdict of its own, and no address or time of others.
    #[test]
    fn a_link_that_was_never_begun_is_headed_not_run() {
        let mut report = two_sites();
        (report.complete, report.reason) = (false, Some("interrupted".to_owned()));
        let missed = &mut report.links[0].sites[1];
        missed.ends.reason = Some("interrupted".to_owned());
        missed.ends.address = None;
        for trial in &mut missed.trials {
            let why = "interrupted".to_owned();
            trial.outcome = crate::account::Outcome::nothing(Status::NotRun, why);
            (trial.started_at, trial.ended_at) = (None, None);
        }
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        let shown = screen(&report);
        assert!(shown.contains("\nNOT RUN  link to vpc (circuit demo)"), "{shown}");
        assert!(shown.contains("\n  NOT RUN"), "{shown}");
        let shown = crate::report::formats::markdown::render(&report, &Rendering::default());
        assert!(shown.contains("\n- **NOT RUN** link to vpc"), "{shown}");
        assert_eq!(shown.matches(" UTC").count(), 1, "the other's times: {shown}");
    }

    /// 9.99998 of 10 Mbit/s stood over 10.00, and 17.99 of 18 passed without a word.
    #[test]
    fn rates_of_one_requirement_are_as_precise_and_what_is_forgiven_is_shown() {
        let shown = |rates: [(f64, Verdict); 2]| {
            let mut report = judged(SOUND);
            let is_rate = |it: &&mut FindingRecord| it.metric == Metric::THROUGHPUT;
            for (finding, (value, verdict)) in report.findings.iter_mut().filter(is_rate).zip(rates)
            {
                (finding.value, finding.verdict, finding.bound) = (Some(value), verdict, 18e6);
            }
            let screen = screen(&report);
            let from = screen.find("\nThroughput  ").expect("a row");
            screen[from + 1..].lines().take(2).collect::<Vec<_>>().join("\n")
        };
        let both = shown([(17.999_98e6, Verdict::Fail), (18e6, Verdict::Pass)]);
        assert!(both.contains("17.99998 Mbit/s") && both.contains("18.00000 Mbit/s"), "{both}");
        let open = shown([(17.999_98e6, Verdict::Inconclusive), (18e6, Verdict::Pass)]);
        assert_eq!(open.matches("18.00 Mbit/s").count(), 2, "{open}");
        let less = shown([(17.99e6, Verdict::Pass), (18.0e6, Verdict::Pass)]);
        assert!(less.contains("17.99 Mbit/s  0.05556 % below: allowed  "), "{less}");
        assert!(less.contains("18.00 Mbit/s  counted "), "{less}");
    }

    /// One of seven is no headline, whichever comes first.
    #[test]
    fn several_undecided_requirements_are_counted_in_the_first_line() {
        let mut report = judged(SOUND);
        for (place, finding) in report.findings.iter_mut().take(2).enumerate() {
            finding.verdict = Verdict::Inconclusive;
            finding.reason = format!("too few of kind {place}");
        }
        report.verdict = Verdict::Inconclusive;
        let shown = screen(&report);
        let head = format!(": 2 of {} requirements are undecided\n", report.findings.len());
        assert!(shown.contains(&head), "{shown}");
        for place in [0, 1] {
            assert_eq!(shown.matches(&format!("too few of kind {place}")).count(), 1, "{shown}");
        }
        // Why the run ended says more.
        (report.complete, report.reason) = (false, Some("interrupted".to_owned()));
        let shown = screen(&report);
        let head = "INCONCLUSIVE  link to the demo's agent (circuit demo): not complete: interr";
        assert!(shown.starts_with(head), "{shown}");
        assert!(shown.contains("too few of kind 0"), "{shown}");
    }

    /// Of two sites, the one that is not whole: it is no PASS, and is not counted as one.
    #[test]
    fn what_is_missing_of_a_site_costs_it_its_pass_and_the_other_nothing() {
        let mut report = two_sites();
        report.complete = false;
        let cut = &mut report.links[0].sites[1];
        cut.ends.reason = Some("the agent went away".to_owned());
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        let shown = screen(&report);
        assert!(shown.starts_with("INCONCLUSIVE  1 of 2 pass"), "{shown}");
        let places = ["INCONCLUSIVE  link to vpc", "PASS   link to 上海数据中心"];
        let places = places.map(|head| shown.find(&format!("\n{head}")));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
        assert!(shown.contains("not complete: the agent went away"), "{shown}");
    }

    #[test]
    fn the_first_screen_has_the_caveats_on_what_is_required() {
        let mut report = judged(SOUND);
        let doubt = |metrics: &[Metric]| CaveatRecord {
            evidence: vec![Basis::LoadRate],
            metrics: metrics.to_vec(),
            ..loss(&report)
        };
        let doubted: [&[Metric]; 3] =
            [&[Metric::RTT_P99, Metric::RTT_P999], &[Metric::RTT_P999], &[Metric::JITTER]];
        let caveats = doubted.map(doubt);
        report.caveats.extend(caveats);
        let shown = screen(&report);
        assert!(shown.contains("Caveat on RTT p99, trial 2: the host was busy\n"), "{shown}");
        assert_eq!(shown.matches("Caveat on").count(), 1, "{shown}");
        let more = "2 more caveats on other figures: --verbose.";
        assert!(shown.contains(more), "{shown}");
        assert!(!shown.contains("No measurement caveats"), "{shown}");
        let all = text(&report);
        assert_eq!(all.matches("Caveat on").count(), 3, "{all}");
        assert!(!all.contains("--verbose"), "{all}");
        // One direction alone is required of.
        report.caveats.clear();
        report.caveats.push(CaveatRecord { direction: Some(Direction::Reverse), ..loss(&report) });
        let is_forward = |it: &FindingRecord| it.direction == Scope::Forward;
        report.findings.retain(is_forward);
        let shown = screen(&report);
        let none = "No measurement caveats on what is required (1 caveat on other figures: ";
        assert!(shown.contains(none), "{shown}");
        report.caveats[0].direction = Some(Direction::Forward);
        let shown = screen(&report);
        assert!(shown.contains("Caveat on packet loss A->B, trial 2:"), "{shown}");
    }

    /// Directions in a reason are A->B from where it is made: a name is what it is called.
    #[test]
    fn no_name_in_a_reason_is_changed() {
        let mut report = judged(SOUND);
        let reason = "the agent refused: circuit reverse, forward are not allowed";
        let finding = &mut report.findings[0];
        (finding.verdict, finding.reason) = (Verdict::Inconclusive, reason.to_owned());
        for text in [screen(&report), text(&report)] {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(reason), "{text}");
        }
        let text = crate::report::formats::markdown::render(&report, &Rendering::default());
        assert!(text.contains(reason), "{text}");
    }

    /// A caveat on the loss.
    fn loss(report: &Report) -> CaveatRecord {
        CaveatRecord {
            link: 0,
            site: report.links[0].sites[0].ends.site.clone(),
            evidence: Vec::new(),
            metrics: vec![Metric::LOSS],
            direction: None,
            trial: Some(1),
            bias: BiasRecord::Either,
            packets: None,
            text: "the host was busy".to_owned(),
        }
    }

    #[test]
    fn the_first_screen_has_no_trials_and_no_other_layers() {
        for record in [SOUND, TCP] {
            let (shown, all) = (screen(&judged(record)), text(&judged(record)));
            assert!(all.starts_with(&shown), "it comes first in all of it");
            for words in ["trial 1", "How it was measured", "Mbit/s L1", "linkqual 0"] {
                assert!(!shown.contains(words) && all.contains(words), "{words}: {shown}");
            }
        }
    }

    #[test]
    fn a_narrow_terminal_is_not_written_beyond() {
        for record in [SOUND, TCP] {
            for columns in [70, 80, 90] {
                for verbose in [false, true] {
                    let columns = Some(columns);
                    let rendering = Rendering { columns, verbose, ..Rendering::default() };
                    let text = render(&judged(record), &rendering);
                    let widest = text.lines().map(|line| line.width()).max();
                    assert!(widest <= columns, "{widest:?} of {columns:?}:\n{text}");
                }
            }
        }
    }

    #[test]
    fn the_readers_time_stands_below_that_of_the_record() {
        let rendering = Rendering { utc_offset_s: Some(8 * 3_600), ..Rendering::default() };
        let text = render(&judged(SOUND), &rendering);
        assert!(text.contains(" local time (UTC+08:00)\n"), "{text}");
        assert!(!screen(&judged(SOUND)).contains("local time"));
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
        assert!(text.contains("\ntrials 1 to 2: not run\n"), "{text}");
        assert!(!text.contains("REQUIREMENT"), "there is nothing to put in a table: {text}");
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
        assert!(shown.contains("Path MTU 9216 (largest tried)."), "{shown}");
        let path = report.links[0].sites[0].path_mtu.as_mut().expect("it was measured");
        path.octets = 1_500;
        let text = text(&report);
        assert!(text.contains("Path MTU 1500"), "{text}");
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
