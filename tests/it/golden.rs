//! Saved records, rendered: each golden text is what its record has to look like. The records are
//! of format 2, which is still read, and of format 3 as it was when it was frozen.

use linkqual::metric::Metric;
use linkqual::report::{FORMAT, FindingRecord, Report, csv, text};

/// `record`, read and judged by what it was judged by, as `linkqual judge` does: findings and
/// figures are derived anew.
#[track_caller]
fn judged(record: &str) -> (Report, Report) {
    let before = Report::parse(record).expect("a record of this format is readable for ever");
    let mut judged = before.clone();
    judged.judge(&before.question().expect("what it was judged by")).expect("evidence");
    assert_eq!(judged.verdict, before.verdict, "judged again, it says the same");
    // TCP was judged by the median of its seconds, now by the worst 10 of them.
    let kept = |report: &Report| {
        let is_kept = |finding: &&FindingRecord| finding.metric != Metric::TCP_THROUGHPUT;
        let kept = report.findings.iter().filter(is_kept).cloned();
        // A later program says the same in other words, and at more layers.
        let same = |it| FindingRecord { layers: None, reason: String::new(), remark: None, ..it };
        kept.map(same).collect::<Vec<_>>()
    };
    assert_eq!(kept(&judged), kept(&before));
    (before, judged)
}

#[track_caller]
fn check(name: &str, record: &str) {
    let (before, report) = judged(record);
    let text = text(&report);
    assert!(text.starts_with(&report.verdict.to_string()), "the verdict is the first word");
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "a line of {longest:?} columns:\n{text}");
    insta::assert_snapshot!(name, text);
    let converted = before.to_json();
    assert_eq!(Report::parse(&converted).unwrap(), before, "it is read back as it is");
    let (mut again, written) = (Report::parse(&report.to_json()).unwrap(), report.to_json());
    assert_eq!(again, report, "a converted record is read back as it is");
    again.judge(&report.question().unwrap()).unwrap();
    assert_eq!(again.to_json(), written, "and judged and written again to the octet");
}

#[test]
fn a_line_that_fails() {
    check("broken", include_str!("golden/broken.json"));
}

#[test]
fn a_line_that_passes() {
    check("sound", include_str!("golden/sound.json"));
}

#[test]
fn a_line_that_carries_tcp() {
    check("tcp", include_str!("golden/tcp.json"));
}

/// A record of format 3 that an earlier program wrote: never made anew, so that a field which is
/// added later and is not optional fails here.
#[track_caller]
fn check_frozen(name: &str, record: &str) {
    let (before, report) = judged(record);
    assert_eq!(before.format, FORMAT);
    insta::assert_snapshot!(format!("frozen_{name}"), text(&report));
    assert!(csv(&before).lines().count() > 1, "it is rendered as CSV");
}

#[test]
fn frozen_records_of_format_3_are_read_judged_and_rendered() {
    check_frozen("broken", include_str!("golden/v3/broken.json"));
    check_frozen("sound", include_str!("golden/v3/sound.json"));
    check_frozen("tcp", include_str!("golden/v3/tcp.json"));
    check_frozen("links", include_str!("golden/v3/links.json"));
}
