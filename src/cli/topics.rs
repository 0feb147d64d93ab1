//! The manual by topic: the pages of `docs/`, word for word.

/// A page of the manual.
#[derive(Debug)]
pub struct Topic {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// The page.
    pub text: &'static str,
}

const fn topic(name: &'static str, about: &'static str, text: &'static str) -> Topic {
    Topic { name, about, text }
}

const INSTALL: Topic = topic(
    "install",
    "packages, the agent as a service, firewalls, uninstalling",
    include_str!("../../docs/install.md"),
);
const KEYS: Topic = topic(
    "keys",
    "keys, trusting an agent, a new key, allowed_drivers",
    include_str!("../../docs/keys.md"),
);
#[cfg(feature = "driver")]
const PLAN: Topic = topic(
    "plan",
    "every key of a plan file, and plans of several links",
    include_str!("../../docs/plan.md"),
);
#[cfg(feature = "driver")]
const VERDICTS: Topic = topic(
    "verdicts",
    "verdicts, exit codes, and how each requirement is judged",
    include_str!("../../docs/verdicts.md"),
);
#[cfg(feature = "driver")]
const HISTORY: Topic = topic(
    "history",
    "recording runs, finding them again, backups, how long they are kept",
    include_str!("../../docs/history.md"),
);
#[cfg(feature = "driver")]
const COMPARE: Topic = topic(
    "compare",
    "comparing a run with those before it: what changed, and since when",
    include_str!("../../docs/compare.md"),
);
#[cfg(feature = "driver")]
const WATCH: Topic = topic(
    "watch",
    "runs by schedule, time windows, linkqual as a service",
    include_str!("../../docs/watch.md"),
);
#[cfg(feature = "driver")]
const HEALTH: Topic = topic(
    "health",
    "states of watched links, alerts, maintenance",
    include_str!("../../docs/health.md"),
);
#[cfg(feature = "driver")]
const AVAILABILITY: Topic = topic(
    "availability",
    "probing links all the time: availability, outages, what is kept",
    include_str!("../../docs/availability.md"),
);
const LINK_COST: Topic = topic(
    "link-cost",
    "what a run sends, how long it takes, and what keeps it safe",
    include_str!("../../docs/link-cost.md"),
);
const AGENT: Topic = topic(
    "agent",
    "what an agent allows, and what happens when something fails",
    include_str!("../../docs/agent.md"),
);
#[cfg(feature = "driver")]
const REPORT: Topic =
    topic("report", "every field of report.json", include_str!("../../docs/report.md"));
#[cfg(feature = "driver")]
const CSV: Topic = topic("csv", "every column of runs.csv", include_str!("../../docs/csv.md"));
const LIMITS: Topic = topic(
    "limits",
    "what to know before you believe a number",
    include_str!("../../docs/limits.md"),
);
#[cfg(feature = "driver")]
const PERFORMANCE: Topic = topic(
    "performance",
    "accuracy and speed, compared with other tools",
    include_str!("../../docs/performance.md"),
);
#[cfg(feature = "driver")]
const DEVELOPMENT: Topic = topic(
    "development",
    "building, testing, and the source",
    include_str!("../../docs/development.md"),
);

/// Every page, in the order in which a newcomer needs them.
#[cfg(feature = "driver")]
#[rustfmt::skip]
pub const TOPICS: &[Topic] = &[
    INSTALL, KEYS, PLAN, VERDICTS, HISTORY, COMPARE, WATCH, AVAILABILITY, HEALTH, LINK_COST, AGENT,
    REPORT, CSV, LIMITS, PERFORMANCE, DEVELOPMENT,
];

/// Those that matter to who runs an agent.
pub const AGENT_TOPICS: &[Topic] = &[INSTALL, KEYS, AGENT, LINK_COST, LIMITS];

/// The page of `name` among `topics`.
pub(super) fn find(topics: &'static [Topic], name: &str) -> Option<&'static Topic> {
    topics.iter().find(|topic| topic.name == name)
}

/// All `topics`, for the end of a help text of `program`.
pub(super) fn list(program: &str, topics: &[Topic]) -> String {
    let mut text = format!("Manual ({program} help TOPIC):");
    for Topic { name, about, .. } in topics {
        text += &format!("\n  {name:<12} {about}");
    }
    text
}

/// The names of `topics`, a comma apart.
pub(super) fn names(topics: &[Topic]) -> String {
    topics.iter().map(|topic| topic.name).collect::<Vec<_>>().join(", ")
}

#[cfg(all(test, feature = "driver"))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    /// No page of `docs/` is left out, and none is there twice.
    #[test]
    fn the_manual_is_all_pages() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let pages = fs::read_dir(folder).expect("a folder").map(|entry| {
            let path = entry.expect("an entry").path();
            fs::read_to_string(path).expect("a page")
        });
        let pages: BTreeSet<String> = pages.collect();
        let topics: Vec<_> = TOPICS.iter().map(|topic| topic.text.to_owned()).collect();
        assert_eq!(pages.len(), topics.len());
        assert_eq!(pages, topics.into_iter().collect());
    }
}
