//! An order that stops all load, of one link or of all, until it is lifted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Somebody stopped all load.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StopOrder {
    /// The link, by its name; all where there is none.
    pub link: Option<String>,
    /// Why.
    pub reason: String,
    /// The user.
    pub by: String,
    /// The host of that user.
    pub host: String,
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
}

impl StopOrder {
    /// Whether it is about a load of `links`; of a run whose link has no name it is, where it is
    /// about all.
    #[must_use]
    pub fn is_about(&self, links: &[String]) -> bool {
        self.link.as_ref().is_none_or(|link| links.contains(link))
    }

    /// What it stops.
    #[must_use]
    pub fn what(&self) -> String {
        self.link.as_ref().map_or_else(|| "all load".to_owned(), |link| format!("load on {link}"))
    }
}

impl fmt::Display for StopOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = i64::try_from(self.at_ns / 1_000_000_000).unwrap_or(0);
        let at = jiff::Timestamp::from_second(at).unwrap_or_default();
        let Self { reason, by, host, .. } = self;
        let (what, at) = (self.what(), at.strftime("%Y-%m-%d %H:%M UTC"));
        write!(f, "{what} was stopped by {by} on {host}, {at}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_who_when_and_why() {
        let order = StopOrder {
            link: None,
            reason: "CPU alarm".into(),
            by: "alice".into(),
            host: "near".into(),
            at_ns: 1_764_554_400_000_000_000,
        };
        let expected = "all load was stopped by alice on near, 2025-12-01 02:00 UTC: CPU alarm";
        assert_eq!(order.to_string(), expected);
        assert!(order.is_about(&["a".to_owned()]) && order.is_about(&[]));
        let of_link = StopOrder { link: Some("a".into()), ..order };
        assert!(of_link.is_about(&["a".to_owned()]));
        assert!(!of_link.is_about(&["b".to_owned()]) && !of_link.is_about(&[]));
        assert!(of_link.to_string().starts_with("load on a was stopped by alice"));
    }
}
