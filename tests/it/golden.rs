//! Saved records, rendered: each golden text is what its record has to look like.

use linkqual::report::{Report, text};

#[track_caller]
fn check(name: &str, record: &str) {
    let report: Report = serde_json::from_str(record).unwrap();
    let text = text(&report);
    assert!(text.starts_with(&report.verdict.to_string()), "the verdict is the first word");
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(110), "a line of {longest:?} columns:\n{text}");
    insta::assert_snapshot!(name, text);
    let again = serde_json::to_string_pretty(&report).unwrap() + "\n";
    assert_eq!(again, record, "a record is read and written back to the octet");
    let mut judged = Report::parse(record).unwrap();
    let question = judged.question().unwrap();
    judged.judge(&question).unwrap();
    assert_eq!(judged.to_json(), record, "judged again, it says the same to the octet");
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
