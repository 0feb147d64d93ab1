//! Saved records, rendered: each golden text is what its record has to look like. The records are
//! of format 2, which is still read, and of format 3 as it was when it was frozen.

use linkqual::metric::Metric;
use linkqual::report::{FORMAT, FindingRecord, Report, csv, text};

#[track_caller]
fn check(name: &str, record: &str) {
    let report = Report::parse(record).unwrap();
    let text = text(&report);
    assert!(text.starts_with(&report.verdict.to_string()), "the verdict is the first word");
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(110), "a line of {longest:?} columns:\n{text}");
    insta::assert_snapshot!(name, text);
    let converted = report.to_json();
    let again = Report::parse(&converted).unwrap();
    assert_eq!(again, report, "a converted record is read back as it is");
    assert_eq!(again.to_json(), converted, "and is written again to the octet");
    let mut judged = again;
    let question = judged.question().unwrap();
    judged.judge(&question).unwrap();
    assert_eq!(judged.verdict, report.verdict, "judged again, it says the same");
    // A record of format 2 was judged by the median of TCP's seconds, now by the worst 10 of them.
    if judged.findings.iter().all(|finding| finding.metric != Metric::TcpThroughput) {
        assert_eq!(judged, report, "judged again, it says the same");
    }
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
    let report = Report::parse(record).expect("a record of this format is readable for ever");
    assert_eq!(report.format, FORMAT);
    insta::assert_snapshot!(name, text(&report));
    assert!(csv(&report).lines().count() > 1, "it is rendered as CSV");
    let mut judged = report.clone();
    judged.judge(&report.question().expect("what it was judged by")).expect("evidence");
    assert_eq!(judged.verdict, report.verdict, "judged again, it says the same");
    // TCP was judged by the median of its seconds, now by the worst 10 of them.
    let kept = |report: &Report| {
        let is_kept = |finding: &&FindingRecord| finding.metric != Metric::TcpThroughput;
        report.findings.iter().filter(is_kept).cloned().collect::<Vec<_>>()
    };
    assert_eq!(kept(&judged), kept(&report));
}

#[test]
fn frozen_records_of_format_3_are_read_judged_and_rendered() {
    check_frozen("broken", include_str!("golden/v3/broken.json"));
    check_frozen("sound", include_str!("golden/v3/sound.json"));
    check_frozen("tcp", include_str!("golden/v3/tcp.json"));
}
