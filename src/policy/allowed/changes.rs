//! How an operator and the agent change `allowed_drivers`.

use super::{AllowedDriver, Circuits, Expiry, Successor, read};
use crate::wire::key::{KeyLine, MalformedKey, PublicKey};
use crate::wire::succession::Succession;

/// The text of `text` in which a new key has taken the place of an old one, and the line of the new
/// one: it has the limits of the old one, which is allowed until the overlap is over.
///
/// That the old key has signed it is for the caller to know.
///
/// # Errors
///
/// Where the old key is not allowed, or has handed on already, or the new one is allowed.
pub fn succeeded(
    text: &str,
    succession: &Succession,
    wall_ns: u64,
) -> Result<(String, AllowedDriver), NotSucceeded> {
    let (old, new) = (succession.old(), succession.new_key());
    let (allowed, _) = read(text);
    let line_of = |key| allowed.iter().find(|driver: &&AllowedDriver| driver.key.key() == key);
    if let Some(there) = line_of(new) {
        return Err(NotSucceeded::Already(there.to_string()));
    }
    let there = line_of(old).ok_or(NotSucceeded::Unlisted(old))?;
    if there.is_expired(wall_ns) {
        return Err(NotSucceeded::Expired(there.to_string()));
    }
    if let Some(Successor(first)) = &there.successor {
        return Err(NotSucceeded::Twice { old, first: first.clone(), new });
    }
    let until = Expiry { at: succession.until() };
    let until = there.expires.map_or(until, |own| own.min(until));
    let successor = Some(Successor::of(&new));
    let ending = AllowedDriver { expires: Some(until), successor, ..there.clone() };
    let key = KeyLine::new(new, there.key.comment()).map_err(NotSucceeded::Key)?;
    let driver = AllowedDriver { key, ..there.clone() };
    Ok((replaced(text, there, &format!("{ending}\n{driver}")), driver))
}

/// Why a new key does not take the place of an old one.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotSucceeded {
    /// The new key is allowed already.
    #[error("the new key is allowed already: {0}")]
    Already(String),
    /// The old key is not.
    #[error(
        "the old key, {0}, is not allowed there, so it can hand nothing on. Allow the new key by \
         the line of linkqual key"
    )]
    Unlisted(PublicKey),
    /// The old key is allowed no longer.
    #[error(
        "the line of the old key has expired, so it can hand nothing on: {0}. Allow the new key by \
         the line of linkqual key"
    )]
    Expired(String),
    /// The old key has signed another before.
    #[error(
        "the old key, {old}, has handed on already, to {first}, and not to {new}. Somebody may \
         have copied it: ask the driver's user which of the two is theirs (linkqual key). Allow \
         that one by its own line, and take the others out: linkqual-agent revoke SHA256:…"
    )]
    Twice {
        /// The old key.
        old: PublicKey,
        /// The fingerprint of the one that it has signed first.
        first: String,
        /// The new one.
        new: PublicKey,
    },
    /// The new line is none.
    #[error("{0}")]
    Key(MalformedKey),
}

/// `text` with `lines` in the place of the first line that is `there`.
#[must_use]
pub fn replaced(text: &str, there: &AllowedDriver, lines: &str) -> String {
    let mut is_done = false;
    let mut changed = String::new();
    for line in text.lines() {
        let is_it = !is_done && driver_of(line).as_ref() == Some(there);
        is_done |= is_it;
        changed += if is_it { lines } else { line };
        changed.push('\n');
    }
    changed
}

/// The driver that `line` allows, if it is a line of one.
fn driver_of(line: &str) -> Option<AllowedDriver> {
    line.trim_start_matches('\u{feff}').trim().parse().ok()
}

/// Whose lines are to be taken out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// Those of this key.
    Key(PublicKey),
    /// Those of a key by its fingerprint, or by the comment behind it.
    Named(String),
}

impl Whom {
    fn is(&self, driver: &AllowedDriver) -> bool {
        match self {
            Self::Key(key) => driver.key.key() == *key,
            Self::Named(name) => {
                driver.key.comment() == name || driver.key.key().fingerprint() == *name
            }
        }
    }
}

/// `text` without the lines of the driver that `whom` names, and who that was: its key, and those
/// that have handed on to it, by which it would be served still.
///
/// # Errors
///
/// Where it names nobody there, or several who have nothing to do with each other.
pub fn revoked(text: &str, whom: &Whom) -> Result<(String, Vec<AllowedDriver>), NotRevoked> {
    let (allowed, _) = read(text);
    let named: Vec<_> = allowed.iter().filter(|driver| whom.is(driver)).collect();
    let hands_on_to = |driver: &AllowedDriver, next: &AllowedDriver| {
        driver.successor.as_ref().is_some_and(|it| it.is(&next.key.key()))
    };
    let is_last = |driver: &&AllowedDriver| !named.iter().any(|next| hands_on_to(driver, next));
    let last: Vec<_> = named.iter().copied().filter(is_last).collect();
    let last = match last.as_slice() {
        [] => return Err(NotRevoked::Nobody),
        [last] => *last,
        several => {
            let several = several.iter().map(ToString::to_string).collect();
            return Err(NotRevoked::Several(several));
        }
    };
    let mut gone = vec![last.clone()];
    // Each that is found is one line more, and there are no more than the text has.
    while let Some(before) = allowed
        .iter()
        .find(|driver| !gone.contains(driver) && gone.iter().any(|next| hands_on_to(driver, next)))
    {
        gone.push(before.clone());
    }
    let is_gone =
        |driver: &AllowedDriver| gone.iter().any(|revoked| revoked.key.key() == driver.key.key());
    // Further lines of the same key allow nobody as long as the first stands.
    let kept = text.lines().filter(|line| !driver_of(line).as_ref().is_some_and(is_gone));
    Ok((kept.map(|line| format!("{line}\n")).collect(), gone))
}

/// Why nobody is taken out.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotRevoked {
    /// No line is of that driver.
    #[error("no line there has this key, fingerprint or comment")]
    Nobody,
    /// Several have that comment.
    #[error(
        "several drivers have this comment. Name one by its key or fingerprint:\n{}",
        .0.join("\n")
    )]
    Several(Vec<String>),
}

/// Those of `listed` that `text` lists too, each within the limits of both: where it is not known
/// who wrote the text, it can take away, and give nothing.
#[must_use]
pub fn remaining(listed: &[AllowedDriver], text: &str) -> Vec<AllowedDriver> {
    let (there, _) = read(text);
    let both = listed.iter().filter_map(|driver| {
        let now = there.iter().find(|now| now.key.key() == driver.key.key())?;
        Some(narrowed(driver, now))
    });
    both.collect()
}

/// `driver` within the limits of both lines of its key.
fn narrowed(driver: &AllowedDriver, by: &AllowedDriver) -> AllowedDriver {
    let circuits = match (&driver.circuits, &by.circuits) {
        (Some(Circuits(own)), Some(Circuits(others))) => {
            Some(Circuits(own.iter().filter(|name| others.contains(name)).cloned().collect()))
        }
        (own, others) => own.clone().or_else(|| others.clone()),
    };
    AllowedDriver {
        max_rate: lesser(driver.max_rate, by.max_rate),
        probe_only: driver.probe_only || by.probe_only,
        circuits,
        expires: lesser(driver.expires, by.expires),
        ..driver.clone()
    }
}

/// The lesser of two limits, as far as there are any.
fn lesser<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    const KEY: &str = "linkqual-ed25519 \
                       MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= alice@idc";

    fn line(limits: &str) -> AllowedDriver {
        format!("{limits} {KEY}").parse().expect(limits)
    }

    /// From 2026-11-30T19:40:00Z for a week.
    fn succession() -> (Succession, u64) {
        let spki = |octet| [&line("").key.key().to_spki()[..12], &[octet; 32]].concat();
        let new = PublicKey::from_spki(&spki(7)).expect("a key");
        let now_ns = 1_796_067_600 * 1_000_000_000;
        let week = Span::from_secs(7 * 86_400);
        let succession = Succession::new(line("").key.key(), new, now_ns, week);
        (succession.expect("within the calendar"), now_ns)
    }

    #[test]
    fn a_new_key_has_the_limits_of_the_old_one_which_ends_with_the_overlap() {
        let (succession, now_ns) = succession();
        let new = format!("linkqual-ed25519 {} alice@idc", succession.new_key().to_base64());
        let on = format!("successor={} ", succession.new_key());
        let succeeded = |text: &str| succeeded(text, &succession, now_ns).map(|(text, _)| text);
        let end = "expires=2026-12-07T19:40:00Z";
        for (limits, ending) in [
            ("", format!("{end} ")),
            (
                "max-rate=5Mbit/s circuits=\"a b\" ",
                format!("max-rate=5Mbit/s circuits=\"a b\" {end} "),
            ),
            (
                "probe-only expires=2026-12-01T00:00:00Z ",
                "probe-only expires=2026-12-01T00:00:00Z ".into(),
            ),
            ("expires=2030-01-01T00:00:00Z ", format!("{end} ")),
        ] {
            let text = format!("# us\nnonsense\n{limits}{KEY}\n# them");
            let expected = format!("# us\nnonsense\n{ending}{on}{KEY}\n{limits}{new}\n# them\n");
            assert_eq!(succeeded(&text), Ok(expected), "{limits}");
        }
        let twice = format!("probe-only {KEY}\n{KEY}\n");
        let expected = format!("probe-only {end} {on}{KEY}\nprobe-only {new}\n{KEY}\n");
        assert_eq!(succeeded(&twice), Ok(expected), "the first line is the one that holds");
    }

    #[test]
    fn a_key_that_is_not_allowed_hands_nothing_on() {
        let (succession, now_ns) = succession();
        let refused = |text: &str| {
            succeeded(text, &succession, now_ns).map_err(|why| why.to_string()).expect_err(text)
        };
        assert!(refused("").contains("is not allowed there, so it can hand nothing on"));
        assert!(refused(&format!("max-rate=5MB {KEY}")).contains("is not allowed there"));
        let passed = refused(&format!("expires=2026-11-29 {KEY}"));
        assert!(passed.contains("has expired, so it can hand nothing on: expires="), "{passed}");
        let new = format!("linkqual-ed25519 {}", succession.new_key().to_base64());
        let there = refused(&format!("{KEY}\nprobe-only {new}\n"));
        assert!(there.contains("the new key is allowed already: probe-only "), "{there}");
    }

    /// A key of `octet`, and its line with `limits` and a comment.
    fn other(octet: u8, limits: &str, comment: &str) -> (PublicKey, String) {
        let spki = [&line("").key.key().to_spki()[..12], &[octet; 32]].concat();
        let key = PublicKey::from_spki(&spki).expect("a key");
        (key, format!("{limits}linkqual-ed25519 {} {comment}", key.to_base64()))
    }

    /// Whoever has copied it could have it sign another, whose end would be that of the overlap.
    #[test]
    fn a_key_hands_on_once() {
        let (succession, now_ns) = succession();
        let (text, _) = succeeded(&format!("{KEY}\n"), &succession, now_ns).expect("it hands on");
        let (second, _) = other(8, "", "");
        let day = Span::from_secs(86_400);
        let again = Succession::new(succession.old(), second, now_ns, day).expect("a succession");
        let why = succeeded(&text, &again, now_ns).expect_err("it has handed on").to_string();
        assert!(
            why.contains(&format!("to {}, and not to {second}", succession.new_key())),
            "{why}"
        );
        // Nor where the one that it has signed was taken out since.
        let (text, _) = revoked(&text, &Whom::Key(succession.new_key())).expect("it is there");
        assert_eq!(text, "", "the old key would serve its owner still");
    }

    #[test]
    fn whoever_is_revoked_is_not_served_by_a_former_key_either() {
        let ((b, _), (c, _)) = (other(2, "", ""), other(3, "", ""));
        let (a, line_a) = other(1, &format!("expires=2030-01-01 successor={b} "), "alice");
        let (_, line_b) = other(2, &format!("successor={c} "), "alice");
        let (_, line_c) = other(3, "max-rate=5M ", "alice");
        let (bob, line_bob) = other(4, "", "bob");
        let text = format!("# us\n{line_a}\n{line_b}\n{line_c}\nnonsense\n{line_bob}\n{line_c}\n");
        let rest = format!("# us\nnonsense\n{line_bob}\n");
        for whom in [Whom::Key(c), Whom::Named(c.fingerprint()), Whom::Named("alice".into())] {
            let (left, gone) = revoked(&text, &whom).expect("it is there");
            assert_eq!((left, gone.len()), (rest.clone(), 3), "{whom:?}");
        }
        let (left, gone) = revoked(&text, &Whom::Key(a)).expect("it is there");
        assert_eq!(gone.len(), 1);
        assert!(left.contains(&line_b) && !left.contains(&line_a), "{left}");
        let twice = format!("{text}{}\n", other(5, "", "bob").1);
        assert_eq!(revoked(&twice, &Whom::Key(bob)).expect("it is there").1.len(), 1);
        let Err(NotRevoked::Several(lines)) = revoked(&twice, &Whom::Named("bob".into())) else {
            panic!("two are called bob");
        };
        assert_eq!(lines.len(), 2);
        assert_eq!(revoked(&text, &Whom::Named("eve".into())), Err(NotRevoked::Nobody));
        assert_eq!(revoked("", &Whom::Named(String::new())), Err(NotRevoked::Nobody));
    }

    #[test]
    fn a_text_of_unknown_origin_takes_away_and_gives_nothing() {
        let bob = other(4, "", "bob").1;
        let left = |listed: &str, text: &str| -> Vec<String> {
            let (listed, _) = read(listed);
            remaining(&listed, text).iter().map(ToString::to_string).collect()
        };
        assert_eq!(left(&format!("{KEY}\n{bob}\n"), &format!("{KEY}\n")), [KEY]);
        assert_eq!(left(&format!("{KEY}\n"), &format!("{bob}\n{KEY}\n")), [KEY]);
        assert_eq!(left(&format!("{KEY}\n"), &format!("max-rate=5MB {KEY}\n")), [""; 0]);
        for (before, text, both) in [
            ("max-rate=5M", "", "max-rate=5Mbit/s "),
            ("", "max-rate=5M", "max-rate=5Mbit/s "),
            ("max-rate=5M", "max-rate=6M", "max-rate=5Mbit/s "),
            ("probe-only", "max-rate=6M", "max-rate=6Mbit/s probe-only "),
            ("circuits=a,b", "circuits=b,c", "circuits=\"b\" "),
            ("circuits=a", "", "circuits=\"a\" "),
            (
                "expires=2030-01-01T00:00:00Z",
                "expires=2027-03-31T00:00:00Z",
                "expires=2027-03-31T00:00:00Z ",
            ),
        ] {
            let found = left(&format!("{before} {KEY}\n"), &format!("{text} {KEY}\n"));
            assert_eq!(found, [format!("{both}{KEY}")], "{before} / {text}");
        }
    }
}
