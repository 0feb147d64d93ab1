//! The agents that are known here: those that this user trusts, and those that the history has met.
//! An agent is its key: several names may lead to one.

use crate::account::plain;
use crate::report::{Report, date, quantity};
use crate::wrap::{Page, Table, line};
use serde::Serialize;

/// The newest run in which an agent with this key answered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgentSeen {
    /// Fingerprint of its key.
    pub key: String,
    /// Its address and port.
    pub address: Option<String>,
    /// Its program, with the version.
    pub program: Option<String>,
    /// The run.
    pub run: String,
    /// When the run began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// The link's place in its report.
    pub place: usize,
    /// The site.
    pub site: String,
}

/// An agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agent {
    /// The names, with their ports, by which this user trusts it; or by which a run called it.
    pub hosts: Vec<String>,
    /// Fingerprint of its key.
    pub key: String,
    /// Whether this user trusts it: it is in `known_agents`.
    pub is_known: bool,
    /// Its program, with the version; null if it was never seen.
    pub program: Option<String>,
    /// The version of the protocol that was spoken with it last; null if that is not known.
    pub protocol: Option<u32>,
    /// Whether that version is older than this driver's; null if that is not known.
    pub is_older: Option<bool>,
    /// The maximum rate in one direction that it granted last, in bit/s at L2; null if not known.
    pub granted_rate_max_bit_s: Option<u64>,
    /// The maximum duration of load in one run that it granted last, in s; null if not known.
    pub granted_duration_max_s: Option<f64>,
    /// When the last run began in which it answered: RFC 3339, UTC; null if it was never seen.
    pub seen_at: Option<String>,
    /// That run.
    pub seen_run: Option<String>,
}

/// All agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agents {
    /// This driver's program, with its version.
    pub program: String,
    /// Each agent, by its name.
    pub agents: Vec<Agent>,
}

impl Agents {
    /// Those of `known`, each a name and a fingerprint, for the driver `program`.
    #[must_use]
    pub fn known(program: &str, known: &[(String, String)]) -> Self {
        let mut agents: Vec<Agent> = Vec::new();
        for (host, key) in known {
            match agents.iter_mut().find(|agent| agent.key == *key) {
                Some(agent) if agent.hosts.contains(host) => {}
                Some(agent) => agent.hosts.push(host.clone()),
                None => agents.push(Agent {
                    hosts: vec![host.clone()],
                    key: key.clone(),
                    is_known: true,
                    ..Agent::default()
                }),
            }
        }
        Self { program: program.to_owned(), agents }
    }

    /// Adds what the history knows of an agent, by the `report` of the run, if there is one still.
    pub fn add(&mut self, seen: &AgentSeen, report: Option<&Report>) {
        let site = report
            .and_then(|report| report.links.get(seen.place))
            .and_then(|link| link.sites.iter().find(|record| record.ends.site == seen.site));
        let place = self.agents.iter().position(|agent| agent.key == seen.key);
        let place = place.unwrap_or_else(|| {
            let host = site.map(|site| plain(&site.ends.agent)).or_else(|| seen.address.clone());
            let hosts = host.into_iter().collect();
            self.agents.push(Agent { hosts, key: seen.key.clone(), ..Agent::default() });
            self.agents.len() - 1
        });
        let agent = &mut self.agents[place];
        agent.program.clone_from(&seen.program);
        let versions = version(&self.program).zip(seen.program.as_deref().and_then(version));
        agent.is_older = versions.map(|(own, other)| other < own);
        agent.protocol = site.and_then(|site| site.ends.agent_protocol);
        agent.granted_rate_max_bit_s = site.and_then(|site| site.granted_rate_max_bit_s);
        agent.granted_duration_max_s = site.and_then(|site| site.granted_duration_max_s);
        agent.seen_at = Some(date(seen.started_ns));
        agent.seen_run = Some(seen.run.clone());
    }

    /// The same, in the order of their names.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.agents.sort_by(|one, two| (&one.hosts, &one.key).cmp(&(&two.hosts, &two.key)));
        self
    }

    /// It as a table, for a terminal of so many `columns`.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        if self.agents.is_empty() {
            line!(page, "No agents are known. Trust one: linkqual trust HOST");
            return page.into_text();
        }
        let mut table =
            Table::new(&["AGENT", "VERSION", "PROTOCOL", "LIMITS", "LAST SEEN (UTC)", "RUN"]);
        for agent in &self.agents {
            agent.row_into(&mut table, &self.program);
        }
        page.table("", &table);
        page.into_text()
    }

    /// It as JSON.
    ///
    /// # Panics
    ///
    /// Never: numbers, texts and lists are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists are JSON") + "\n"
    }
}

/// Digits of a run's identifier that are shown.
const DIGITS: usize = 16;

impl Agent {
    fn row_into(&self, table: &mut Table, own: &str) {
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let version = self
            .program
            .as_deref()
            .map(|program| program.rsplit(' ').next().unwrap_or(program).to_owned());
        let limits = match (self.granted_rate_max_bit_s, self.granted_duration_max_s) {
            (None, None) => None,
            (rate, duration) => {
                let rate = rate.map(|rate| quantity(crate::stats::real(rate), "bit/s"));
                let duration = duration.map(|s| format!("{} of load", quantity(s, "s")));
                Some([rate, duration].into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
        };
        let seen = self
            .seen_at
            .as_deref()
            .map_or_else(|| "never".to_owned(), |at| at.get(..16).unwrap_or(at).replace('T', " "));
        let run = self.seen_run.as_deref().map(|run| run.get(..DIGITS).unwrap_or(run).to_owned());
        let (hosts, protocol) = (self.hosts.join(", "), self.protocol.map(|it| it.to_string()));
        table.row(&[hosts, known(version), known(protocol), known(limits), seen, known(run)]);
        table.remark(self.key.clone());
        if self.is_older == Some(true) {
            table.remark(format!("older than this driver, {own}"));
        }
        if !self.is_known {
            table.remark("not in known_agents: its key was named with a run, or was replaced");
        }
    }
}

/// The numbers of the version of `program`, such as "linkqual 0.1.0".
fn version(program: &str) -> Option<Vec<u64>> {
    let text = program.rsplit(' ').next()?;
    // What stands behind a hyphen is no number: 0.2.0-rc1.
    let numbers = text.split(['-', '+']).next()?;
    numbers.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(key: &str, program: &str) -> AgentSeen {
        AgentSeen {
            key: key.to_owned(),
            address: Some("10.0.0.1:4872".to_owned()),
            program: Some(program.to_owned()),
            run: "27f80f3d239e05d3ffff".to_owned(),
            started_ns: 1_796_000_000_000_000_000,
            ..AgentSeen::default()
        }
    }

    #[test]
    fn an_agent_is_its_key_whatever_its_names() {
        let known = [("b:4872", "K1"), ("a:4872", "K2"), ("c:4872", "K1"), ("b:4872", "K1")]
            .map(|(host, key)| (host.to_owned(), key.to_owned()));
        let mut agents = Agents::known("linkqual 0.10.0", &known);
        agents.add(&seen("K1", "linkqual-agent 0.9.1"), None);
        agents.add(&seen("K3", "linkqual-agent 0.10.0"), None);
        let agents = agents.sorted();
        let shown: Vec<_> = agents
            .agents
            .iter()
            .map(|it| (it.hosts.join(" "), it.key.as_str(), it.is_known, it.is_older))
            .collect();
        let expected = [
            ("10.0.0.1:4872", "K3", false, Some(false)),
            ("a:4872", "K2", true, None),
            ("b:4872 c:4872", "K1", true, Some(true)),
        ]
        .map(|(hosts, key, is_known, is_older)| (hosts.to_owned(), key, is_known, is_older));
        assert_eq!(shown, expected);
        let text = agents.text(None);
        for words in [
            "a:4872          -        -         -       never",
            "b:4872, c:4872  0.9.1    -         -       2026-11-30 00:53  27f80f3d239e05d3\n",
            "older than this driver, linkqual 0.10.0",
            "not in known_agents",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(Agents::known("", &[]).text(None).contains("linkqual trust HOST"));
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let is_older =
            |one: &str, other: &str| version(one).zip(version(other)).map(|(a, b)| a < b);
        assert_eq!(is_older("linkqual 0.9.0", "linkqual-agent 0.10.0"), Some(true));
        assert_eq!(is_older("linkqual 1.0.0", "linkqual-agent 0.10.0"), Some(false));
        assert_eq!(is_older("linkqual 0.2.0-rc1", "linkqual-agent 0.2.0"), Some(false));
        assert_eq!(is_older("linkqual", "linkqual-agent 0.2.0"), None);
    }
}
