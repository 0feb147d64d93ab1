//! `allowed_drivers`: who may use an agent, a key a line, and within which limits.
//!
//! ```text
//! # max-rate, probe-only, circuits and expires stand before the key, as far as they are needed.
//! max-rate=500Mbit/s circuits="EC-1,EC 2" linkqual-ed25519 MCowBQYDK2VwAyEA… alice@idc
//! probe-only expires=2027-03-31 linkqual-ed25519 MCowBQYDK2VwAyEA… bob@noc
//! ```
//!
//! `successor=SHA256:…` stands in the line of a key that has handed on to another: it does so once.
//!
//! A line that is not understood allows nobody, and takes nothing from the others.

mod changes;

pub use changes::{NotRevoked, NotSucceeded, Whom, remaining, replaced, revoked, succeeded};

use super::circuit::is_circuit;
use super::role::Role;
use crate::trial::Limits;
use crate::units::{BitRate, Malformed};
use crate::wire::key::{KeyLine, MalformedKey, PublicKey};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

/// One key that is allowed, and its limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedDriver {
    /// The key, and what the operator calls it.
    pub key: KeyLine,
    /// The rate of all its runs together; what the agent allows all drivers where it is `None`.
    pub max_rate: Option<BitRate>,
    /// Whether it may probe but not load.
    pub probe_only: bool,
    /// The circuits that it may load; any where it is `None`.
    pub circuits: Option<Circuits>,
    /// Until when it is allowed; for good where it is `None`.
    pub expires: Option<Expiry>,
    /// The key that it has signed as the one after it, if any.
    pub successor: Option<Successor>,
}

impl AllowedDriver {
    /// A key that may do all that the agent allows.
    #[must_use]
    pub const fn whole(key: KeyLine) -> Self {
        let (max_rate, circuits, expires, successor) = (None, None, None, None);
        Self { key, max_rate, probe_only: false, circuits, expires, successor }
    }

    /// What it may do at an agent that allows all drivers together `limits`.
    #[must_use]
    pub fn role(&self, limits: Limits) -> Role {
        let rate_max = self.max_rate.map_or(limits.rate_max, |own| own.min(limits.rate_max));
        let limits = Limits { rate_max, ..limits };
        let role = if self.probe_only { Role::prober(limits) } else { Role::qualifier(limits) };
        match &self.circuits {
            Some(Circuits(names)) => role.on_circuits(names.clone()),
            None => role,
        }
    }

    /// Whether it is allowed no longer at `wall_ns`, nanoseconds since 1970 in UTC.
    #[must_use]
    pub fn is_expired(&self, wall_ns: u64) -> bool {
        self.expires.is_some_and(|expires| expires.at.as_nanosecond() <= i128::from(wall_ns))
    }
}

impl fmt::Display for AllowedDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rate) = self.max_rate {
            write!(f, "max-rate={} ", rate.to_string().replace(' ', ""))?;
        }
        if self.probe_only {
            write!(f, "probe-only ")?;
        }
        if let Some(circuits) = &self.circuits {
            write!(f, "circuits=\"{circuits}\" ")?;
        }
        if let Some(expires) = self.expires {
            write!(f, "expires={expires} ")?;
        }
        if let Some(Successor(fingerprint)) = &self.successor {
            write!(f, "successor={fingerprint} ")?;
        }
        write!(f, "{}", self.key)
    }
}

/// The fingerprint of the key after another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Successor(String);

impl Successor {
    /// That of `key`.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(key.fingerprint())
    }

    /// Whether it is that of `key`.
    #[must_use]
    pub fn is(&self, key: &PublicKey) -> bool {
        self.0 == key.fingerprint()
    }
}

impl FromStr for Successor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        let digits = text.strip_prefix("SHA256:").filter(|it| it.chars().all(is_base64));
        let is_some = digits.is_some_and(|digits| digits.len() == DIGITS);
        let form = "a fingerprint: \"SHA256:\" and 43 characters";
        is_some.then(|| Self(text.to_owned())).ok_or_else(|| Malformed::new(text, form))
    }
}

/// Digits of a fingerprint: SHA-256 in Base64, without padding.
const DIGITS: usize = 43;

/// Names of circuits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Circuits(Vec<String>);

impl FromStr for Circuits {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let is_some = names.iter().all(|name| is_circuit(name) && !name.contains('"'));
        let form = "names of circuits, one comma apart, such as EC-1,EC-2";
        is_some.then_some(Self(names)).ok_or_else(|| Malformed::new(text, form))
    }
}

impl fmt::Display for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// The moment from which a key is allowed no longer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Expiry {
    at: Timestamp,
}

/// A day is allowed to its end in UTC.
impl FromStr for Expiry {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let day_end = |day: Date| day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
        let at = match text.parse::<Date>() {
            Ok(day) if text.len() == "2027-03-31".len() => day_end(day).map(|end| end.timestamp()),
            _ => text.parse::<Timestamp>(),
        };
        let form = "a day or a moment, such as 2027-03-31 (to its end in UTC) or \
                    2027-03-31T18:00:00Z";
        at.map(|at| Self { at }).map_err(|_| Malformed::new(text, form))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)
    }
}

/// Why a line allows nobody.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadLine {
    /// A limit is none.
    #[error("{name}={why}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        why: Malformed,
    },
    /// A word before the key is no limit.
    #[error(
        "\"{0}\" is no limit: max-rate=RATE, probe-only, circuits=NAME,… and expires=DAY may stand \
         before the key"
    )]
    Unknown(String),
    /// The limit stands twice.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// A line before it allows the same key.
    #[error("line {0} allows this key already")]
    Repeated(usize),
    /// The key is none.
    #[error("{0}")]
    Key(#[from] MalformedKey),
}

impl FromStr for AllowedDriver {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let mut rest = line.trim();
        let (mut max_rate, mut circuits, mut expires) = (None, None, None);
        let (mut probe_only, mut successor) = (None, None);
        loop {
            let (word, behind) = word(rest);
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let value = value.trim_matches('"');
            match name {
                "max-rate" => set(&mut max_rate, "max-rate", value.parse())?,
                "circuits" => set(&mut circuits, "circuits", value.parse())?,
                "expires" => set(&mut expires, "expires", value.parse())?,
                "successor" => set(&mut successor, "successor", value.parse())?,
                "probe-only" if word == name => set(&mut probe_only, "probe-only", Ok(()))?,
                _ if word.starts_with("linkqual-") || behind.is_empty() => break,
                _ => return Err(BadLine::Unknown(word.chars().take(64).collect())),
            }
            rest = behind;
        }
        let key = rest.parse()?;
        let probe_only = probe_only.is_some();
        Ok(Self { key, max_rate, probe_only, circuits, expires, successor })
    }
}

fn set<T>(
    limit: &mut Option<T>,
    name: &'static str,
    value: Result<T, Malformed>,
) -> Result<(), BadLine> {
    let value = value.map_err(|why| BadLine::Limit { name, why })?;
    match limit.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadLine::Twice(name)),
    }
}

/// The first word of `text`, in which what stands in quotes is not parted, and what is behind it.
fn word(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let end = text.find(|c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    });
    let (word, behind) = text.split_at(end.unwrap_or(text.len()));
    (word, behind.trim_start())
}

/// The keys that `text` allows, and what is wrong with each line that allows nobody, by its number.
#[must_use]
pub fn read(text: &str) -> (Vec<AllowedDriver>, Vec<(usize, BadLine)>) {
    let text = text.trim_start_matches('\u{feff}');
    let (mut allowed, mut bad) = (Vec::<AllowedDriver>::new(), Vec::new());
    let mut lines: BTreeMap<PublicKey, usize> = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        match line.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            line => match line.parse::<AllowedDriver>() {
                Ok(driver) => match lines.entry(driver.key.key()) {
                    Entry::Occupied(first) => bad.push((number, BadLine::Repeated(*first.get()))),
                    Entry::Vacant(free) => {
                        free.insert(number);
                        allowed.push(driver);
                    }
                },
                Err(why) => bad.push((number, why)),
            },
        }
    }
    (allowed, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    const KEY: &str = "linkqual-ed25519 \
                       MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= alice@idc";

    fn limits() -> Limits {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        Limits { rate_max, duration_max: Span::from_secs(600) }
    }

    fn line(limits: &str) -> AllowedDriver {
        format!("{limits} {KEY}").parse().expect(limits)
    }

    #[test]
    fn a_line_is_written_as_it_is_read() {
        for limits in [
            "",
            "max-rate=500Mbit/s ",
            "probe-only ",
            "max-rate=1.5Mbit/s circuits=\"EC-1,EC 2\" expires=2027-03-31T18:00:00Z ",
        ] {
            let text = format!("{limits}{KEY}");
            assert_eq!(line(limits.trim()).to_string(), text);
        }
        let handed_on = format!("successor=SHA256:{} {KEY}", "a".repeat(43));
        assert_eq!(line(&handed_on.replace(KEY, "")).to_string(), handed_on);
        let day = line("expires=2027-03-31");
        assert!(day.to_string().starts_with("expires=2027-04-01T00:00:00Z "), "{day}");
        assert_eq!(line("max-rate=500M"), line("max-rate=\"500 Mbit/s\""));
    }

    #[test]
    fn what_stands_in_a_line_is_the_role() {
        let role = |limits_text: &str| line(limits_text).role(limits());
        assert_eq!(role(""), Role::qualifier(limits()));
        assert!(!role("probe-only").may_load);
        let own = "300 Mbit/s".parse().expect("a rate");
        assert_eq!(role("max-rate=300M").limits, Limits { rate_max: own, ..limits() });
        assert_eq!(role("max-rate=2G").limits, limits(), "never more than the agent's");
        let circuits = Some(vec!["EC-1".to_owned(), "EC 2".to_owned()]);
        assert_eq!(role("circuits=\"EC-1, EC 2\"").circuits, circuits);
    }

    #[test]
    fn a_key_is_allowed_to_the_end_of_its_day() {
        let day = line("expires=2027-03-31");
        // 2027-04-01T00:00:00Z.
        let end_ns = 1_806_537_600 * 1_000_000_000;
        assert!(!day.is_expired(end_ns - 1) && day.is_expired(end_ns));
        assert!(!line("").is_expired(u64::MAX));
    }

    #[test]
    fn a_line_that_is_wrong_allows_nobody_and_takes_nothing_from_the_others() {
        let wrong = [
            ("max-rate=50MB", "max-rate=\"50MB\": not in bits. Write \"400 Mbit/s\""),
            ("max-rate", "max-rate=\"\": not a bit rate"),
            ("max-rate=1M max-rate=2M", "max-rate stands twice"),
            ("max-rates=1M", "\"max-rates=1M\" is no limit: max-rate=RATE, probe-only"),
            ("probe-only=yes", "\"probe-only=yes\" is no limit"),
            ("circuits=a,,b", "circuits=\"a,,b\": not names of circuits"),
            ("expires=31.3.2027", "expires=\"31.3.2027\": not a day or a moment"),
            ("successor=alice", "successor=\"alice\": not a fingerprint"),
            ("expires=2027-02-30", "such as 2027-03-31 (to its end in UTC)"),
        ];
        for (limits, words) in wrong {
            let text = format!("# who\n\n\r\n{limits} {KEY}\nprobe-only {KEY}\n");
            let (allowed, bad) = read(&text);
            assert_eq!(allowed.len(), 1, "{limits}");
            let [(4, why)] = &bad[..] else { panic!("{bad:?}") };
            assert!(why.to_string().contains(words), "{why}");
        }
        // The first line holds, whatever a later one would lift.
        let (allowed, bad) = read(&format!("probe-only {KEY}\n{KEY}\n"));
        assert!(allowed.len() == 1 && allowed[0].probe_only);
        assert_eq!(bad, [(2, BadLine::Repeated(1))]);
        let (allowed, bad) = read("\u{feff}ssh-ed25519 AAAA alice\nlinkqual-ed25519 AAAA\n");
        assert_eq!((allowed.len(), bad.len()), (0, 2));
        assert!(bad[1].1.to_string().contains("key"), "{bad:?}");
    }
}
