//! Alerts of the history, as people and scripts read them.

use crate::wrap::{Page, Table, line};
use jiff::Timestamp;
use serde::Serialize;

/// An alert as the history has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct KeptAlert {
    /// Its name.
    pub id: String,
    /// What kind of thing it is about.
    pub kind: String,
    /// The name of that.
    pub name: String,
    /// How bad it is.
    pub severity: String,
    /// What is wrong, in a line.
    pub title: String,
    /// The links that show it.
    pub links: Vec<String>,
    /// Since when: RFC 3339, UTC.
    pub since: String,
    /// When it was over; null where it is open.
    pub ended: Option<String>,
    /// Why it is over, where all is not well; null otherwise.
    pub remark: Option<String>,
    /// Who takes care of it; null if nobody does.
    pub owner: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// The watch that reported it.
    pub watch: String,
}

impl KeptAlert {
    /// A time as it is kept here.
    #[must_use]
    pub fn date(at_s: i64) -> String {
        Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
    }
}

/// Alerts that were found, the newest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptAlerts(pub Vec<KeptAlert>);

impl KeptAlerts {
    /// They as a table, for a terminal of so many `columns`.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        if self.0.is_empty() {
            line!(page, "No alert is open.");
            return page.into_text();
        }
        let minute = |date: &str| date.get(..16).unwrap_or(date).replace('T', " ");
        let heads = ["ALERT", "SEVERITY", "SINCE (UTC)", "ENDED", "OWNER", "WHAT"];
        let mut table = Table::new(&heads);
        for alert in &self.0 {
            let remark = alert.remark.as_ref().map(|why| format!(" ({why})"));
            table.row(&[
                alert.id.clone(),
                alert.severity.clone(),
                minute(&alert.since),
                alert.ended.as_deref().map(minute).unwrap_or_default(),
                alert.owner.clone().unwrap_or_default(),
                format!("{}{}", alert.title, remark.unwrap_or_default()),
            ]);
        }
        page.table("", &table);
        page.into_text()
    }

    /// They as JSON: a list.
    ///
    /// # Panics
    ///
    /// Never: texts and lists are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("texts are JSON") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_a_line_with_who_takes_care_of_it() {
        let alert = KeptAlert {
            id: "0badcafe".to_owned(),
            kind: "host".to_owned(),
            name: "vpc-1".to_owned(),
            severity: "critical".to_owned(),
            title: "host vpc-1 is down (2 links)".to_owned(),
            links: vec!["a".to_owned(), "b".to_owned()],
            since: KeptAlert::date(100),
            ended: Some(KeptAlert::date(200)),
            remark: Some("fibre".to_owned()),
            owner: Some("alice".to_owned()),
            until: None,
            watch: "near".to_owned(),
        };
        let alerts = KeptAlerts(vec![alert]);
        let text = alerts.text(None);
        for part in ["0badcafe", "1970-01-01 00:01", "00:03", "alice", "(2 links) (fibre)"] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(alerts.json().contains("\"until\": null"));
        assert_eq!(KeptAlerts(Vec::new()).text(None), "No alert is open.\n");
    }
}
