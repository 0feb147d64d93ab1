//! The record, read back: anyone's text, so that nothing in it is believed before it agrees with
//! the rest.

use super::date::wall_ns;
use super::record::{FORMAT, Report, SiteRecord, TrialRecord};
use super::v2::{self, FORMAT as FORMAT_BEFORE};
use crate::account::{Fact as _, Outcome, SUM_MAX, bounded, plain, sets_direction, spoken};
use crate::flow::{Evidence, TrialRun};
use crate::trial::Trial;
use serde_json::Value;

/// The longest text that is taken for a report: the longest run's is a hundredth of it.
const TEXT_MAX: usize = 1 << 28;

/// What follows from a trial's counts. A rate may be higher than any count, and nothing is judged
/// by it; that it is finite JSON itself sees to.
const FIGURES: &str = "figures";

/// Why a text is no report, or none that can be judged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than any report.
    #[error("{0} octets: no report is as long")]
    TooLong(usize),
    /// Not JSON, or not the fields of a report.
    #[error("not a report of linkqual: {0}")]
    NotAReport(String),
    /// Another version's.
    #[error("a report of format {0:?}: this linkqual reads \"{FORMAT}\" and \"{FORMAT_BEFORE}\"")]
    OtherFormat(String),
    /// It is to be judged by a plan of other links.
    #[error("the plan's links ({plan}) are none of the report's: {report}")]
    OtherLinks {
        /// The plan's.
        plan: String,
        /// The report's.
        report: String,
    },
    /// It contradicts itself, or what can be.
    #[error("the report contradicts itself: {0}")]
    Contradiction(String),
}

impl Report {
    /// Reads a report's text, which may be anyone's; one of the format before is converted.
    ///
    /// # Errors
    ///
    /// Says in what the text is no report of this version; never panics.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if TEXT_MAX < text.len() {
            return Err(Unreadable::TooLong(text.len()));
        }
        let not_a_report =
            |error: serde_json::Error| Unreadable::NotAReport(spoken(&error.to_string()));
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut any: Value = serde_json::from_str(text).map_err(not_a_report)?;
        match any.get("format").and_then(Value::as_str) {
            Some(v2::FORMAT) => {
                printable(&mut any)?;
                v2::convert(serde_json::from_value(any).map_err(not_a_report)?)
                    .map_err(|error| bad(error.to_string()))
            }
            Some(format) if format != FORMAT => {
                Err(Unreadable::OtherFormat(plain(format).chars().take(64).collect()))
            }
            _ => {
                printable(&mut any)?;
                let links = any.get("links").unwrap_or(&Value::Null);
                bounded("", links, SUM_MAX, Some(FIGURES))
                    .map_err(|error| bad(error.to_string()))?;
                let report: Self = serde_json::from_value(any).map_err(not_a_report)?;
                agree(&report)?;
                Ok(report)
            }
        }
    }
}

/// Whether the trials are numbered in their order, and the counts of each agree.
fn agree(report: &Report) -> Result<(), Unreadable> {
    let trials = report.sites().flat_map(|(_, site)| &site.trials);
    for (number, trial) in trials.enumerate() {
        if trial.trial != number {
            return Err(bad(format!("trial {} stands where trial {number} has to", trial.trial)));
        }
        trial.outcome.check().map_err(|why| bad(format!("trial {number}: {why}")))?;
    }
    Ok(())
}

/// Takes from every text in `report` what sets the direction of text, which earlier releases let
/// into names; refuses control characters, which no release ever wrote. The plan's own text, which
/// is never shown, stays as it is.
fn printable(report: &mut Value) -> Result<(), Unreadable> {
    fn clean(value: &mut Value) -> Result<(), Unreadable> {
        match value {
            Value::String(text) if text.contains(char::is_control) => {
                Err(bad(format!("{text:?} has control characters, and no report has")))
            }
            Value::String(text) => {
                if text.contains(sets_direction) {
                    *text = plain(text);
                }
                Ok(())
            }
            Value::Array(values) => values.iter_mut().try_for_each(clean),
            Value::Object(fields) => fields.values_mut().try_for_each(clean),
            _ => Ok(()),
        }
    }
    fn with_plan(value: &mut Value) -> Result<(), Unreadable> {
        let Value::Object(fields) = value else { return clean(value) };
        fields.iter_mut().try_for_each(|(key, value)| match (key.as_str(), value) {
            ("plan", Value::Object(plan)) => {
                let mut fields = plan.iter_mut().filter(|(key, _)| *key != "text");
                fields.try_for_each(|(_, value)| clean(value))
            }
            ("judged_again", value) => with_plan(value),
            (_, value) => clean(value),
        })
    }
    with_plan(report)
}

pub(super) fn bad(what: impl Into<String>) -> Unreadable {
    Unreadable::Contradiction(what.into())
}

/// The evidence towards one site.
pub(super) fn evidence(site: &SiteRecord) -> Result<Evidence, Unreadable> {
    let run = |trial: &TrialRecord| {
        let asked = Trial::try_from(&trial.asked);
        let asked = asked.map_err(|error| bad(format!("trial {}: {error}", trial.trial)))?;
        let wall = |text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let not_a_time = || bad(format!("trial {}: {text} is not a time", trial.trial));
            wall_ns(text).map(Some).ok_or_else(not_a_time)
        };
        let (started_ns, ended_ns) = (wall(&trial.started_at)?, wall(&trial.ended_at)?);
        let outcome = Outcome { started_ns, ended_ns, ..trial.outcome.clone() };
        Ok(TrialRun { trial: asked, outcome })
    };
    let path_mtu = site.path_mtu;
    if path_mtu.is_some_and(|path| path.tried_octets < path.octets) {
        return Err(bad(format!("the path MTU of site {}", site.ends.site)));
    }
    let trials = site.trials.iter().map(run).collect::<Result<_, _>>()?;
    Ok(Evidence { path_mtu, trials, ..Evidence::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::is_control;
    use crate::report::{FORMATS, Rendering};
    use proptest::prelude::*;

    const SOUND: &str = include_str!("../../tests/it/golden/v3/sound.json");

    /// The places of all texts in `value`.
    fn texts(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(path.to_owned()),
            Value::Array(values) => {
                for (place, value) in values.iter().enumerate() {
                    texts(&format!("{path}/{place}"), value, found);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    texts(&format!("{path}/{key}"), value, found);
                }
            }
            _ => {}
        }
    }

    /// Whatever another wrote into a report, the formats that are made of it write nothing but
    /// themselves; nor does the error, where it is refused.
    #[track_caller]
    fn writes_only_itself(place: &str, hostile: &str) {
        let mut value: Value = serde_json::from_str(SOUND).expect("JSON");
        *value.pointer_mut(place).expect("it is there") = hostile.into();
        let shown = match Report::parse(&value.to_string()) {
            Ok(report) => {
                let made = FORMATS.iter().skip(1);
                made.map(|format| (format.render)(&report, &Rendering::default())).collect()
            }
            Err(error) => error.to_string(),
        };
        let unsafe_one = shown.chars().find(|c| is_control(*c) && *c != '\n');
        assert_eq!(unsafe_one, None, "{place}: {shown}");
        let lines = shown.lines().any(|line| line.starts_with("PASS  forged"));
        assert!(!lines, "{place}: {shown}");
    }

    #[test]
    fn no_text_of_a_foreign_report_reaches_a_terminal_unclean() {
        let (value, mut places) = (serde_json::from_str(SOUND).expect("JSON"), Vec::new());
        texts("", &value, &mut places);
        assert!(20 < places.len(), "{places:?}");
        for place in places {
            for hostile in ["\u{1b}[2J", "a\nPASS  forged", "\u{202e}SSAP", "a\u{2028}b\u{9b}"] {
                writes_only_itself(&place, hostile);
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_of_a_site_is_shown_clean(name in any::<String>()) {
            writes_only_itself("/links/0/sites/0/agent", &name);
        }
    }
}
