//! A saved report, which may be anyone's text: read, judged by what it says it was judged by, and
//! rendered. What was judged once says the same when it is judged again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::report::{FORMATS, Rendering, Report};

fuzz_target!(|octets: &[u8]| {
    let Ok(given) = std::str::from_utf8(octets) else { return };
    let Ok(mut report) = Report::parse(given) else { return };
    render(&report);
    let Ok(question) = report.question() else { return };
    if report.judge(&question).is_err() {
        return;
    }
    let judged = report.to_json();
    let mut again = Report::parse(&judged).expect("what is written is read back");
    assert_eq!(again.question().as_ref(), Ok(&question));
    again.judge(&question).expect("what was judged can be judged again");
    assert_eq!(again.to_json(), judged, "it says the same");
    render(&again);
});

/// In every format, on a narrow terminal, with all rows.
fn render(report: &Report) {
    let rendering =
        Rendering { columns: Some(60), streams: true, verbose: true, utc_offset_s: Some(28_800) };
    for format in FORMATS {
        _ = (format.render)(report, &rendering);
    }
}
