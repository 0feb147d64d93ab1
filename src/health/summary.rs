//! How available paths were, as people and scripts read it.

use super::{End, Outage, PathName, Sum, Way};
use crate::wrap::{Page, Table, line};
use serde::Serialize;

/// Probes per second with which availability is proven: with fewer, half of those of a second are
/// too few to say whether it was lost.
const PROVEN_AT: f64 = 20.0;

/// For so many seconds an open outage may not have been written before its end is not known.
const OPEN_S: i64 = 600;

/// How available a path was, one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Available {
    /// The link.
    pub link: String,
    /// The far end.
    pub site: String,
    /// Which way.
    pub direction: Way,
    /// From when it was watched within what was asked for, in seconds since 1970.
    pub from_s: i64,
    /// Until when.
    pub until_s: i64,
    /// The share of the measured seconds that were available, in percent; null where none was
    /// measured.
    pub available_percent: Option<f64>,
    /// Seconds that were measured.
    pub measured_s: u64,
    /// Those of them that count as unavailable.
    pub unavailable_s: u64,
    /// Seconds that were not measured: they count neither way.
    pub unmeasured_s: u64,
    /// Outages: errored seconds in a row, however few.
    pub outages: u64,
    /// The longest of them, in seconds.
    pub longest_outage_s: i64,
    /// Probes, or replies, that were sent.
    pub sent: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Probes per second.
    pub probes_per_second: f64,
    /// Whether that is enough to prove it: 20 a second or more.
    pub is_proven: bool,
}

/// What is known of a path one way in some time, to be summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<'a> {
    /// The path.
    pub path: &'a PathName,
    /// Which way.
    pub way: Way,
    /// From when to when it was watched.
    pub span_s: (i64, i64),
    /// What it carried.
    pub sum: Sum,
    /// Probes per second.
    pub probes_per_second: f64,
    /// Its outages.
    pub outages: &'a [Outage],
}

impl Available {
    /// What is known, summed up.
    #[must_use]
    pub fn of(known: &Known<'_>) -> Self {
        let Known { path, way, span_s: (from_s, until_s), sum, probes_per_second, outages } = known;
        let measured_s = sum.measured_s();
        let span_s = u64::try_from(until_s - from_s).unwrap_or(0);
        let available_s = measured_s.saturating_sub(sum.unavailable_s);
        let ratio = crate::stats::real(available_s) / crate::stats::real(measured_s.max(1));
        let own = || outages.iter().filter(|outage| outage.way == *way);
        Self {
            link: path.link.clone(),
            site: path.site.clone(),
            direction: *way,
            from_s: *from_s,
            until_s: *until_s,
            available_percent: (0 < measured_s).then_some(100.0 * ratio),
            measured_s,
            unavailable_s: sum.unavailable_s,
            unmeasured_s: span_s.saturating_sub(measured_s),
            outages: u64::try_from(own().count()).unwrap_or(u64::MAX),
            longest_outage_s: own().map(Outage::length_s).max().unwrap_or(0),
            sent: sum.sent,
            lost: sum.lost,
            probes_per_second: *probes_per_second,
            is_proven: PROVEN_AT <= *probes_per_second,
        }
    }
}

/// Paths, each way.
#[must_use]
pub fn text(found: &[Available], columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    if found.is_empty() {
        line!(page, "Nothing was probed that fits. Is linkqual watch running?");
        return page.into_text();
    }
    let mut table = Table::new(&[
        "LINK",
        "SITE",
        "DIRECTION",
        "AVAILABLE",
        "UNAVAILABLE",
        "NOT MEASURED",
        "OUTAGES",
        "LONGEST",
        "PROBES",
    ]);
    for it in found {
        let available = it.available_percent.map_or("-".to_owned(), percent);
        let kind = if it.is_proven { "" } else { " (observed)" };
        table.row(&[
            it.link.clone(),
            it.site.clone(),
            it.direction.name().to_owned(),
            available,
            format!("{} s", it.unavailable_s),
            format!("{} s", it.unmeasured_s),
            it.outages.to_string(),
            if it.outages == 0 { "-".to_owned() } else { format!("{} s", it.longest_outage_s) },
            format!("{}/s{kind}", it.probes_per_second),
        ]);
    }
    page.table("", &table);
    if found.iter().any(|it| !it.is_proven) {
        line!(
            page,
            "observed: fewer than 20 probes a second are too few to prove what half of a second's \
             probes lost is."
        );
    }
    page.into_text()
}

/// What was found as JSON: a list.
///
/// # Panics
///
/// Never: texts and numbers are JSON.
#[must_use]
pub fn json(found: &[impl Serialize]) -> String {
    serde_json::to_string_pretty(found).expect("texts and numbers are JSON") + "\n"
}

/// Never rounded up: 100 % is all of it.
fn percent(percent: f64) -> String {
    let cut = (percent * 10_000.0).floor() / 10_000.0;
    format!("{cut:.4} %")
}

/// An outage as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedOutage {
    /// The link.
    pub link: String,
    /// The far end.
    pub site: String,
    /// Which way.
    pub direction: Way,
    /// When it began, in seconds since 1970.
    pub start_s: i64,
    /// When its last errored second was over.
    pub until_s: i64,
    /// How long that is.
    pub length_s: i64,
    /// How it ended; open: it goes on; unseen: nothing was measured from then on.
    pub end: End,
    /// Probes, or replies, that were lost in it.
    pub lost: u64,
    /// Those that were sent.
    pub sent: u64,
    /// Whether it was so long, ten seconds or more, that the path counts as unavailable.
    pub is_unavailability: bool,
}

impl ListedOutage {
    /// `outage` of `path`, where it is `now_s`. One that was open when the program ended is none
    /// that goes on.
    #[must_use]
    pub fn of(path: &PathName, outage: &Outage, now_s: i64) -> Self {
        let is_old = outage.until_s + OPEN_S < now_s;
        let end = match outage.end {
            End::Open if is_old => End::Unseen,
            end => end,
        };
        Self {
            link: path.link.clone(),
            site: path.site.clone(),
            direction: outage.way,
            start_s: outage.start_s,
            until_s: outage.until_s,
            length_s: outage.length_s(),
            end,
            lost: outage.lost,
            sent: outage.sent,
            is_unavailability: outage.is_unavailability,
        }
    }
}

/// Outages, as `time` shows when each began.
#[must_use]
pub fn outages_text(
    found: &[ListedOutage],
    columns: Option<usize>,
    time: impl Fn(i64) -> String,
) -> String {
    let mut page = Page::new(columns);
    if found.is_empty() {
        line!(page, "No outage is recorded that fits.");
        return page.into_text();
    }
    let mut table = Table::new(&["BEGAN", "LENGTH", "LINK", "SITE", "DIRECTION", "LOST", "ENDED"]);
    for it in found {
        let ended = match it.end {
            End::Open => "goes on".to_owned(),
            End::Recovered => time(it.until_s),
            End::Unseen => "not seen".to_owned(),
        };
        table.row(&[
            time(it.start_s),
            format!("{} s", it.length_s),
            it.link.clone(),
            it.site.clone(),
            it.direction.name().to_owned(),
            format!("{} of {}", it.lost, it.sent),
            ended,
        ]);
    }
    page.table("", &table);
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> PathName {
        PathName { link: "ec-2031".into(), site: "vpc".into() }
    }

    fn outage(start_s: i64, until_s: i64, end: End) -> Outage {
        let (way, is_unavailability) = (Way::Forward, true);
        Outage { way, start_s, until_s, end, sent: 40, lost: 39, is_unavailability }
    }

    fn available(rate: f64) -> Available {
        let sum = Sum { sent: 100, lost: 1, good_s: 86_389, errored_s: 10, unavailable_s: 10 };
        let outages = [outage(5, 15, End::Recovered)];
        let (path, way, span_s) = (path(), Way::Forward, (0, 86_400));
        let known =
            Known { path: &path, way, span_s, sum, probes_per_second: rate, outages: &outages };
        Available::of(&known)
    }

    #[test]
    fn availability_is_over_the_measured_time_and_never_rounded_up() {
        let found = available(20.0);
        assert_eq!((found.measured_s, found.unmeasured_s, found.outages), (86_399, 1, 1));
        let shown = text(&[found], None);
        for words in ["ec-2031", "forward", "99.9884 %", " 10 s", " 1 s", "20/s"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("observed"), "{shown}");
        assert!(text(&[available(5.0)], None).contains("5/s (observed)"));
        assert_eq!(percent(99.999_999), "99.9999 %");
        assert_eq!(percent(100.0), "100.0000 %");
    }

    #[test]
    fn what_was_not_measured_is_neither_up_nor_down() {
        let path = path();
        let (sum, span_s, outages) = (Sum::default(), (0, 60), &[][..]);
        let known =
            Known { path: &path, way: Way::Reverse, span_s, sum, probes_per_second: 20.0, outages };
        let found = Available::of(&known);
        assert_eq!((found.available_percent, found.unmeasured_s), (None, 60));
    }

    #[test]
    fn an_outage_that_was_open_when_the_program_ended_does_not_go_on() {
        let of = |end, now_s| ListedOutage::of(&path(), &outage(5, 15, end), now_s).end;
        assert_eq!(of(End::Open, 20), End::Open);
        assert_eq!(of(End::Open, 16 + OPEN_S), End::Unseen);
        assert_eq!(of(End::Recovered, 16 + OPEN_S), End::Recovered);
        let listed = ListedOutage::of(&path(), &outage(5, 15, End::Open), 20);
        let shown = outages_text(&[listed], None, |at_s| format!("at {at_s}"));
        for words in ["at 5", "10 s", "39 of 40", "goes on"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
}
