//! The one validator: what is believed of a fact that someone else wrote.

use super::text::{TEXT_MAX, is_control, spoken};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The highest count that is believed: beyond any trial, and sums of such counts fit 64 bit.
pub const COUNT_MAX: u64 = 1 << 48;

/// The highest sum of such counts: a record adds up the streams of a direction, at most 64.
pub const SUM_MAX: u64 = COUNT_MAX << 6;

/// The highest time that is believed, in nanoseconds: 292 years, on whichever clock.
pub const NANOS_MAX: u64 = i64::MAX as u64;

/// The longest name of a field, in characters.
const KEY_MAX: usize = 64;

/// Why something that another wrote cannot be so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    /// `what` is wrong, with the value and what is allowed. The value may be anyone's.
    #[must_use]
    pub fn new(what: impl AsRef<str>) -> Self {
        Self(spoken(what.as_ref()))
    }

    /// An error unless `holds`.
    pub(super) fn unless(holds: bool, what: &str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(what)) }
    }
}

/// A fact, whose fields have to agree with one another.
pub trait Fact: DeserializeOwned + Serialize {
    /// Whether the fields agree. Their bounds are [`read`]'s business.
    ///
    /// # Errors
    ///
    /// Names the fields that do not.
    fn check(&self) -> Result<(), Invalid>;
}

/// Reads a fact, which anyone may have written.
///
/// # Errors
///
/// Where a number is beyond [`COUNT_MAX`] (a time: [`NANOS_MAX`]), negative or not a number, a text
/// is longer than [`TEXT_MAX`] or has control or direction characters, or the fields contradict
/// each other.
pub fn read<T: Fact>(value: &Value) -> Result<T, Invalid> {
    bounded("", value, COUNT_MAX, None)?;
    let fact = T::deserialize(value).map_err(|error| Invalid::new(error.to_string()))?;
    fact.check()?;
    Ok(fact)
}

/// Whether `fact`, which was put together of several, can be read back from a record.
///
/// # Errors
///
/// Like [`read`], where sums may reach [`SUM_MAX`].
pub fn read_back<T: Fact>(fact: &T) -> Result<(), Invalid> {
    let value = serde_json::to_value(fact).map_err(|error| Invalid::new(error.to_string()))?;
    bounded("", &value, SUM_MAX, None)?;
    T::deserialize(&value).map_err(|error| Invalid::new(error.to_string()))?.check()
}

/// Whether every text and number in `value`, which stands behind `key`, is within what is believed;
/// counts up to `count_max`. What stands behind a key `but` is not looked at.
///
/// # Errors
///
/// As for [`read`]; the reason names the key.
pub fn bounded(key: &str, value: &Value, count_max: u64, but: Option<&str>) -> Result<(), Invalid> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            let is_time = key.ends_with("_ns");
            let most = if is_time { NANOS_MAX } else { count_max };
            // What is neither is a ratio or a rate: finite, as JSON has no other.
            let holds = match (number.as_u64(), number.as_i64()) {
                (Some(count), _) => count <= most,
                (None, Some(negative)) => is_time && negative.unsigned_abs() <= most,
                (None, None) => true,
            };
            let range = if is_time { format!("-{most}") } else { "0".to_owned() };
            Invalid::unless(holds, &format!("{key}: {number} is not from {range} to {most}"))
        }
        Value::String(text) => {
            let is_long = TEXT_MAX < text.len() && key != "histogram";
            let is_fit = !is_long && !text.contains(is_control);
            Invalid::unless(is_fit, &format!("{key}: a text that is too long or not printable"))
        }
        Value::Array(values) => {
            values.iter().try_for_each(|value| bounded(key, value, count_max, but))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            // Every reason below names its key.
            let is_name = (1..=KEY_MAX).contains(&key.len())
                && key.bytes().all(|octet| octet.is_ascii_graphic());
            Invalid::unless(is_name, "a field whose name is not 1 to 64 ASCII characters")?;
            if but == Some(key.as_str()) { Ok(()) } else { bounded(key, value, count_max, but) }
        }),
    }
}

/// What the other side says of a fact: the fact, or why what it said cannot be so. A message with
/// such a claim is still a message: the fact alone is missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim<T>(Result<T, Invalid>);

impl<T> Claim<T> {
    /// A fact of this side's.
    #[must_use]
    pub const fn of(fact: T) -> Self {
        Self(Ok(fact))
    }

    /// The fact, where it can be so.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub const fn fact(&self) -> Result<&T, &Invalid> {
        self.0.as_ref()
    }

    /// The fact itself.
    ///
    /// # Errors
    ///
    /// Like [`Self::fact`].
    pub fn into_fact(self) -> Result<T, Invalid> {
        self.0
    }
}

impl<T: Default> Default for Claim<T> {
    fn default() -> Self {
        Self::of(T::default())
    }
}

impl<T> From<T> for Claim<T> {
    fn from(fact: T) -> Self {
        Self::of(fact)
    }
}

impl<'de, T: Fact> Deserialize<'de> for Claim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(read(&Value::deserialize(deserializer)?)))
    }
}

impl<T: Serialize> Serialize for Claim<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(fact) => fact.serialize(serializer),
            // Only what was read can be invalid, and that is never passed on as a fact.
            Err(_) => serializer.serialize_unit(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::fmt::Debug;

    /// Whether `fact`, written down and read, is one.
    #[track_caller]
    pub(in crate::account) fn check<T: Fact + PartialEq + Debug>(fact: &T, holds: bool) {
        let value = serde_json::to_value(fact).expect("JSON");
        match read::<T>(&value) {
            Ok(read) => assert!(holds && read == *fact, "{read:?} was taken"),
            Err(error) => assert!(!holds, "{error}"),
        }
    }

    /// Every number in `value`, by its path.
    fn numbers(path: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Number(_) => found.push(path.to_owned()),
            Value::Array(values) => (0_usize..)
                .zip(values)
                .for_each(|(place, value)| numbers(&format!("{path}/{place}"), value, found)),
            Value::Object(fields) => fields
                .iter()
                .for_each(|(key, value)| numbers(&format!("{path}/{key}"), value, found)),
            _ => {}
        }
    }

    /// Each number of `fact` in turn is made absurd, and none is taken; nor is any field of `fact`
    /// lost on the way.
    #[track_caller]
    pub(in crate::account) fn refuses_absurd_numbers<T: Fact + PartialEq + Debug>(fact: &T) {
        check(fact, true);
        let value = serde_json::to_value(fact).expect("JSON");
        let mut paths = Vec::new();
        numbers("", &value, &mut paths);
        assert!(!paths.is_empty(), "nothing is counted");
        for path in paths {
            for absurd in [json!(1_u64 << 63), json!(u64::MAX), json!(-1), json!("NaN")] {
                let mut changed = value.clone();
                *changed.pointer_mut(&path).expect("it is there") = absurd.clone();
                assert!(read::<T>(&changed).is_err(), "{path} = {absurd} was taken");
            }
            let is_time = path.ends_with("_ns");
            let mut changed = value.clone();
            *changed.pointer_mut(&path).expect("it is there") = json!(COUNT_MAX + 1);
            assert!(is_time || read::<T>(&changed).is_err(), "{path} = 2^48 + 1 was taken");
        }
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Two {
        few: u64,
        many: u64,
        at_ns: u64,
        name: String,
    }

    impl Fact for Two {
        fn check(&self) -> Result<(), Invalid> {
            Invalid::unless(self.few <= self.many, "few: more than many")
        }
    }

    fn two(few: u64, many: u64) -> Two {
        Two { few, many, at_ns: 1 << 60, name: "x".to_owned() }
    }

    #[test]
    fn a_fact_is_within_its_bounds_and_agrees_with_itself() {
        refuses_absurd_numbers(&two(3, 3));
        check(&two(COUNT_MAX, COUNT_MAX), true);
        check(&two(4, 3), false);
        check(&Two { at_ns: NANOS_MAX, ..two(1, 1) }, true);
        check(&Two { at_ns: NANOS_MAX + 1, ..two(1, 1) }, false);
        check(&Two { name: "x".repeat(TEXT_MAX), ..two(1, 1) }, true);
        check(&Two { name: "x".repeat(TEXT_MAX + 1), ..two(1, 1) }, false);
        check(&Two { name: "\u{1b}[2J".to_owned(), ..two(1, 1) }, false);
        check(&Two { name: "\u{202e}".to_owned(), ..two(1, 1) }, false);
    }

    #[test]
    fn a_field_has_a_short_plain_name_whether_it_is_known_or_not() {
        let with = |key: &str| {
            let mut value = serde_json::to_value(two(1, 2)).expect("JSON");
            value[key] = json!(-1);
            value
        };
        let longest = "k".repeat(KEY_MAX);
        let error = read::<Two>(&with(&longest)).expect_err("-1 is no count").to_string();
        assert!(error.starts_with(&longest), "{error}");
        let long = "k".repeat(KEY_MAX + 1);
        for key in ["", "\u{1b}[2J", "a b", "\u{202e}", "\u{e9}", &long] {
            let error = read::<Two>(&with(key)).expect_err("no name").to_string();
            assert_eq!(error, "a field whose name is not 1 to 64 ASCII characters", "{key:?}");
        }
    }

    #[test]
    fn the_reason_for_a_refusal_writes_nothing_but_itself() {
        let invalid = Invalid::new(format!("unknown variant `\u{9b}{}`", "\n".repeat(1_000)));
        assert_eq!(invalid.to_string(), "unknown variant ``");
    }

    #[test]
    fn a_claim_that_cannot_be_so_is_still_a_message() {
        let claims: Vec<Claim<Two>> = serde_json::from_value(json!([
            two(1, 2),
            {"few": 2, "many": 1, "at_ns": 0, "name": ""},
            {"few": -1},
            null,
        ]))
        .expect("each is a claim");
        assert_eq!(claims[0].fact(), Ok(&two(1, 2)));
        let why: Vec<String> = claims[1..]
            .iter()
            .map(|claim| claim.fact().expect_err("it cannot be so").to_string())
            .collect();
        assert_eq!(why[0], "few: more than many");
        assert!(why[1].contains("-1") && why[2].contains("null"), "{why:?}");
    }
}
