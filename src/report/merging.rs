//! Several runs, a link each, as one record.
//!
//! Nothing is judged here: each part was, by what its own link is asked, and the whole says the
//! same of each; judged again, it says so again.

use super::date::date;
use super::judging::{program, unless_partial, worst};
use super::record::{Asked, FORMAT, FindingRecord, LinkRecord, PlanRecord, Report};
use crate::verdict::Verdict;
use std::borrow::Borrow;

/// What a record of several runs has of its own.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Its name.
    pub id: String,
    /// When the first of them began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// When this was written, likewise.
    pub ended_ns: u64,
    /// The plan's file, where there is one.
    pub file: Option<PlanRecord>,
    /// What was decided for the user on all links.
    pub notes: Vec<String>,
}

impl Merged {
    /// One record of all `parts`, each judged already, whose links are in this order. What was
    /// decided for a single link, and why it is not complete, is said with the link's name.
    #[must_use]
    pub fn report(&self, parts: &[impl Borrow<Report>]) -> Report {
        let parts: Vec<&Report> = parts.iter().map(Borrow::borrow).collect();
        let mut whole = Report {
            format: FORMAT.to_owned(),
            verdict: Verdict::Inconclusive,
            complete: parts.iter().all(|part| part.complete),
            reason: None,
            program: program(),
            run: self.id.clone(),
            started_at: date(self.started_ns),
            ended_at: date(self.ended_ns),
            plan: self.file.clone(),
            judged_again: None,
            driver_host: parts.iter().find_map(|part| part.driver_host.clone()),
            asked: Asked { confidence: 0.0, mss_clamped: false, requirements: Vec::new() },
            notes: self.notes.clone(),
            findings: Vec::new(),
            caveats: Vec::new(),
            links: Vec::new(),
        };
        let mut asked = Vec::new();
        for part in parts {
            asked.extend((0..part.links.len()).map(|place| part.asked_of(place).clone()));
            add(&mut whole, part);
        }
        whole.share_asked(asked);
        let verdicts: Vec<Verdict> = whole.links.iter().filter_map(|link| link.verdict).collect();
        whole.verdict = unless_partial(worst(&verdicts), whole.complete);
        whole
    }
}

/// Adds `part` behind what is there: places of links and numbers of trials go on.
fn add(whole: &mut Report, part: &Report) {
    let link_before = whole.links.len();
    let trial_before = whole.sites().map(|(_, site)| site.trials.len()).sum::<usize>();
    let name = part.links.first().and_then(|link| link.name.clone()).unwrap_or_default();
    let of_link = |text: &String| format!("{name}: {text}");
    let notes = part.notes.iter().map(of_link);
    whole.notes.extend(notes);
    whole.reason = whole.reason.take().or_else(|| part.reason.as_ref().map(of_link));
    let place = |link: usize| link + link_before;
    let number = |trial: Option<usize>| trial.map(|trial| trial + trial_before);
    whole.findings.extend(part.findings.iter().cloned().map(|finding| FindingRecord {
        link: place(finding.link),
        trial: number(finding.trial),
        ..finding
    }));
    whole.caveats.extend(part.caveats.iter().cloned().map(|mut caveat| {
        (caveat.link, caveat.trial) = (place(caveat.link), number(caveat.trial));
        caveat
    }));
    for link in &part.links {
        let mut link = LinkRecord {
            complete: Some(part.complete),
            reason: part.reason.clone(),
            ..link.clone()
        };
        for trial in link.sites.iter_mut().flat_map(|site| &mut site.trials) {
            trial.trial += trial_before;
        }
        whole.links.push(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::blocks::blocks;
    use crate::report::{FORMATS, Rendering};

    const SOUND: &str = include_str!("../../tests/it/golden/v3/sound.json");
    const BROKEN: &str = include_str!("../../tests/it/golden/v3/broken.json");
    const TCP: &str = include_str!("../../tests/it/golden/v3/tcp.json");

    /// A record of a link of this name, judged by what it was judged by.
    fn part(record: &str, name: &str) -> Report {
        let mut report = Report::parse(record).expect("a record");
        report.links[0].name = Some(name.to_owned());
        let question = report.question().expect("what it was judged by");
        report.judge(&question).expect("evidence");
        report
    }

    fn head() -> Merged {
        Merged { id: "ab".repeat(16), notes: vec!["of all".into()], ..Merged::default() }
    }

    fn whole() -> (Vec<Report>, Report) {
        let parts = vec![part(SOUND, "a"), part(BROKEN, "b"), part(TCP, "c")];
        let whole = head().report(&parts);
        (parts, whole)
    }

    #[test]
    fn each_link_keeps_its_verdict_findings_and_trials() {
        let (parts, whole) = whole();
        assert_eq!(whole.verdict, Verdict::Fail, "the worst wins");
        assert_eq!(blocks(&whole)[0].link.name.as_deref(), Some("b"), "it stands on top");
        for (place, part) in parts.iter().enumerate() {
            assert_eq!(whole.verdict_on(place), Some(part.verdict));
            assert_eq!(whole.asked_of(place), &part.asked, "each is judged by its own");
            let values = |findings: Vec<&FindingRecord>| {
                findings.iter().map(|it| (it.metric, it.value, it.verdict)).collect::<Vec<_>>()
            };
            let own = values(part.findings.iter().collect());
            let findings = whole.findings.iter().filter(|it| it.link == place);
            assert_eq!(values(findings.collect()), own);
            let caveats = whole.caveats.iter().filter(|it| it.link == place);
            assert_eq!(caveats.count(), part.caveats.len());
        }
        for finding in &whole.findings {
            let trial = finding.trial.expect("each was measured");
            let here = |link: &LinkRecord| {
                link.sites.iter().flat_map(|site| &site.trials).any(|it| it.trial == trial)
            };
            assert!(here(&whole.links[finding.link]), "{finding:?}");
        }
    }

    /// By the requirements of each link, which differ.
    #[test]
    fn judged_again_the_whole_says_the_same_to_the_octet() {
        let (_, whole) = whole();
        let written = whole.to_json();
        let mut again = Report::parse(&written).expect("a record");
        assert_eq!(again, whole);
        again.judge(&again.question().expect("what it was judged by")).expect("evidence");
        assert_eq!(again.to_json(), written);
        for format in FORMATS {
            let shown = (format.render)(&again, &Rendering::default());
            for name in ["a", "b", "c"] {
                assert!(shown.contains(name), "{}: {name}", format.name);
            }
        }
    }

    #[test]
    fn what_all_links_are_asked_stands_once() {
        let same = head().report(&[part(SOUND, "a"), part(SOUND, "b")]);
        assert!(same.links.iter().all(|link| link.asked.is_none()));
        assert_eq!(same.asked, part(SOUND, "a").asked);
        let (_, differing) = whole();
        let common = &differing.asked.requirements;
        assert!(differing.links.iter().all(|link| link.asked.is_some()));
        let has_all = |place| {
            let asked = &differing.asked_of(place).requirements;
            common.iter().all(|one| asked.contains(one))
        };
        assert!((0..3).all(has_all), "{common:?}");
    }

    #[test]
    fn a_link_that_was_not_run_costs_its_own_verdict_and_the_whole_pass() {
        let mut dead = part(SOUND, "b");
        (dead.complete, dead.reason) = (false, Some("nothing answers".into()));
        let question = dead.question().expect("what it was judged by");
        dead.judge(&question).expect("evidence");
        assert_eq!(dead.verdict, Verdict::Inconclusive);
        let whole = head().report(&[part(SOUND, "a"), dead]);
        assert_eq!((whole.verdict, whole.complete), (Verdict::Inconclusive, false));
        assert_eq!(whole.reason.as_deref(), Some("b: nothing answers"));
        let verdicts = [whole.verdict_on(0), whole.verdict_on(1)];
        assert_eq!(verdicts, [Some(Verdict::Pass), Some(Verdict::Inconclusive)]);
        let mut again = whole.clone();
        again.judge(&whole.question().expect("what it was judged by")).expect("evidence");
        assert_eq!(again, whole);
    }
}
