//! Notices as other programs read them.

use super::alert::{Alert, Notice};
use super::words::{Key, Occasion};
use crate::account::plain;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// So long Alertmanager takes an alert to go on without hearing of it again, in seconds: it is sent
/// each minute.
const LASTS_S: i64 = 240;

/// A time as RFC 3339 has it.
fn date(at_s: i64) -> String {
    Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

impl Key {
    /// What kind of alert it is, as Alertmanager names it.
    const fn alert_name(&self) -> &'static str {
        match self {
            Self::NearEnd => "LinkqualNearEndDown",
            Self::Host(_) => "LinkqualHostDown",
            Self::Shared(_) => "LinkqualSharedDown",
            Self::Circuit(_) | Self::Link(_) => "LinkqualLink",
            Self::NoData(_) => "LinkqualNoData",
        }
    }
}

impl Alert {
    /// What is wrong, in a line.
    #[must_use]
    pub fn title(&self) -> String {
        let links = self.problem.links.len();
        let count = if links == 1 { String::new() } else { format!(" ({links} links)") };
        let flapping = if self.flapping { ", which comes and goes" } else { "" };
        let first = self.problem.links.values().next().map_or("", String::as_str);
        let title = match &self.key {
            Key::NearEnd => format!("no watched link answers{count}"),
            Key::Host(name) => format!("host {name} is down{count}"),
            Key::Shared(name) => format!("all links that share {name} are down{count}"),
            key => format!("{key}{count}: {first}"),
        };
        plain(&format!("{title}{flapping}"))
    }

    /// Each link of it, with what is wrong.
    fn lines(&self) -> String {
        let lines = self.problem.links.iter().map(|(link, text)| format!("{link}: {text}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Notice {
    /// What it says, in a line.
    #[must_use]
    pub fn text(&self) -> String {
        let (occasion, title) = (self.occasion.name(), self.alert.title());
        let remark = self.remark.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        plain(&format!("{occasion} {}: {title}{remark}", self.alert.id))
    }
}

/// A notice for a webhook or a command: docs/health.md has each field.
#[must_use]
pub fn webhook(notice: &Notice, watch: &str) -> Value {
    let Notice { occasion, at_s, alert, remark } = notice;
    let links = alert.problem.links.iter().map(|(link, text)| json!({"link": link, "text": text}));
    let by = alert.acknowledged.as_ref();
    let by = by.map(|by| json!({"owner": by.owner, "until": date(by.until_s)}));
    let ended = alert.gone_s.filter(|_| *occasion == Occasion::Resolved).map(date);
    json!({
        "version": 1,
        "occasion": occasion.name(),
        "at": date(*at_s),
        "watch": watch,
        "alert": alert.id,
        "kind": alert.key.kind(),
        "name": alert.key.name(),
        "severity": alert.problem.severity.name(),
        "title": alert.title(),
        "since": date(alert.problem.since_s),
        "ended": ended,
        "flapping": alert.flapping,
        "acknowledged": by,
        "remark": remark,
        "links": links.collect::<Vec<_>>(),
    })
}

/// What a webhook is signed by: HMAC-SHA-256 of the `text` that is sent, in hexadecimal digits.
///
/// # Panics
///
/// Never: a key may have any length.
#[must_use]
pub fn signature(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mut mac = mac.expect("a key may have any length");
    mac.update(text.as_bytes());
    let octets = mac.finalize().into_bytes();
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("sha256={digits}")
}

/// The alerts that were reported and go on at `now_s`, and those that are over, as Alertmanager
/// takes them (API v2).
#[must_use]
pub fn alertmanager<'a, 'b>(
    open: impl Iterator<Item = &'a Alert>,
    over: impl Iterator<Item = &'b Notice>,
    watch: &str,
    now_s: i64,
) -> Value {
    let open = open.filter(|alert| alert.is_reported());
    let open = open.map(|alert| entry(alert, watch, now_s + LASTS_S, None));
    let over =
        over.map(|notice| entry(&notice.alert, watch, notice.at_s, notice.remark.as_deref()));
    Value::Array(open.chain(over).collect())
}

fn entry(alert: &Alert, watch: &str, ends_s: i64, remark: Option<&str>) -> Value {
    let mut labels = Map::new();
    let mut label = |name: &str, value: &str| labels.insert(name.to_owned(), value.into());
    label("alertname", alert.key.alert_name());
    label("severity", alert.problem.severity.name());
    label("watch", watch);
    match &alert.key {
        Key::NearEnd => None,
        Key::NoData(name) => label("host", name),
        key => label(key.kind(), key.name()),
    };
    let mut annotations = Map::new();
    let mut note = |name: &str, value: String| annotations.insert(name.to_owned(), value.into());
    note("summary", alert.title());
    note("description", alert.lines());
    note("id", alert.id.clone());
    if let Some(remark) = remark {
        note("remark", remark.to_owned());
    }
    if let Some(by) = &alert.acknowledged {
        note("owner", by.owner.clone());
    }
    json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": date(alert.problem.since_s),
        "endsAt": date(ends_s),
    })
}

/// The alert that always fires: where it stops, this program does not run.
#[must_use]
pub fn heartbeat(watch: &str, started_s: i64, now_s: i64) -> Value {
    json!([{
        "labels": {"alertname": "LinkqualWatch", "severity": "none", "watch": watch},
        "annotations": {"summary": "linkqual watch runs: this alert always fires"},
        "startsAt": date(started_s),
        "endsAt": date(now_s + LASTS_S),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_has_all_that_is_known() {
        let notice = Notice {
            occasion: Occasion::Test,
            at_s: 1_764_547_200,
            alert: Alert::test(1_764_547_200),
            remark: None,
        };
        let json = webhook(&notice, "near");
        assert_eq!(json["at"], "2025-12-01T00:00:00Z");
        assert_eq!(json["links"][0]["link"], "test");
        assert_eq!((&json["kind"], &json["severity"]), (&json!("link"), &json!("info")));
        assert_eq!((&json["ended"], &json["acknowledged"]), (&Value::Null, &Value::Null));
        let text = notice.text();
        assert!(text.ends_with("link test: this is a test: nothing is wrong"), "{text}");
    }

    /// RFC 4231, test case 2.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let digits = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let signed = signature("Jefe", "what do ya want for nothing?");
        assert_eq!(signed, format!("sha256={digits}"));
    }

    #[test]
    fn alertmanager_is_sent_what_goes_on_and_what_is_over() {
        let now_s = 1_764_547_200;
        let open = Alert::test(now_s);
        let over = Notice {
            occasion: Occasion::Resolved,
            at_s: now_s - 5,
            alert: Alert::test(now_s - 100),
            remark: Some("maintenance".to_owned()),
        };
        let sent = alertmanager([&open].into_iter(), [&over].into_iter(), "near", now_s);
        assert_eq!(sent[0]["labels"]["link"], "test");
        assert_eq!(sent[0]["labels"]["alertname"], "LinkqualLink");
        assert_eq!(sent[0]["endsAt"], "2025-12-01T00:04:00Z");
        assert_eq!(sent[1]["endsAt"], "2025-11-30T23:59:55Z");
        assert_eq!(sent[1]["startsAt"], "2025-11-30T23:58:20Z");
        assert_eq!(sent[1]["annotations"]["remark"], "maintenance");
    }
}
