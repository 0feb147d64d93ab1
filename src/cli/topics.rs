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

/// Every page, in the order in which a newcomer needs them.
#[rustfmt::skip]
pub const TOPICS: &[Topic] = &[
    topic("install", "packages, the agent as a service, firewalls, uninstalling",
        include_str!("../../docs/install.md")),
    topic("keys", "keys, trusting an agent, a new key, allowed_drivers",
        include_str!("../../docs/keys.md")),
    topic("plan", "every key of a plan file, and plans of several links",
        include_str!("../../docs/plan.md")),
    topic("verdicts", "verdicts, exit codes, and how each requirement is judged",
        include_str!("../../docs/verdicts.md")),
    topic("link-cost", "what a run sends, how long it takes, and what keeps it safe",
        include_str!("../../docs/link-cost.md")),
    topic("agent", "what an agent allows, and what happens when something fails",
        include_str!("../../docs/agent.md")),
    topic("report", "every field of report.json",
        include_str!("../../docs/report.md")),
    topic("csv", "every column of runs.csv",
        include_str!("../../docs/csv.md")),
    topic("limits", "what to know before you believe a number",
        include_str!("../../docs/limits.md")),
    topic("performance", "accuracy and speed, compared with other tools",
        include_str!("../../docs/performance.md")),
    topic("development", "building, testing, and the source",
        include_str!("../../docs/development.md")),
];

/// The page of `name`.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// All of them, for the end of a help text.
pub(super) fn list() -> String {
    let mut text = "Manual (linkqual help TOPIC):".to_owned();
    for Topic { name, about, .. } in TOPICS {
        text += &format!("\n  {name:<12} {about}");
    }
    text
}

/// Their names, a comma apart.
pub(super) fn names() -> String {
    TOPICS.iter().map(|topic| topic.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
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
