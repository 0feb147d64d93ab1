//! Quantities as text: a decimal number and a unit, exact, or why it is none.

use std::borrow::Cow;

/// Digits of a decimal number that is read: more than any quantity here can hold.
const DIGITS_MAX: usize = 30;

/// The text is not the quantity that is asked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{given}\": not {form}")]
pub struct Malformed {
    given: String,
    form: Cow<'static, str>,
    is_corrected: bool,
}

impl Malformed {
    /// `given` is not `form`, which reads on from "not".
    #[must_use]
    pub fn new(given: &str, form: &'static str) -> Self {
        Self {
            form: Cow::Borrowed(form),
            is_corrected: false,
            ..Self::corrected(given, String::new())
        }
    }

    /// `given` is clear, and is not what is asked for: `why`, which reads on from "not", and says
    /// how to write what was meant.
    pub(super) fn corrected(given: &str, why: String) -> Self {
        let given = given.chars().take(64).flat_map(char::escape_debug).collect();
        Self { given, form: why.into(), is_corrected: true }
    }

    /// Whether it says how to write what was meant.
    #[must_use]
    pub const fn is_corrected(&self) -> bool {
        self.is_corrected
    }

    /// What it is not, for a message that names the value itself.
    #[must_use]
    pub fn form(&self) -> String {
        format!("not {}", self.form)
    }
}

/// Reads a decimal number, at most one space and a unit; exact, or nothing.
pub(super) fn parse_scaled(text: &str, scales: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, scale) = scales.iter().find(|(name, _)| *name == unit)?;
    parse_number(number, *scale)
}

/// Reads a decimal number of units of `scale`; exact, or nothing.
pub(super) fn parse_number(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let point_without_digits = number.contains('.') && fraction.is_empty();
    if whole.is_empty() || point_without_digits || DIGITS_MAX < number.len() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.checked_mul(u128::from(scale))?;
    (scaled % shift == 0).then(|| u64::try_from(scaled / shift).ok())?
}

/// The exact decimal number of the largest unit that keeps it at 1 or more.
pub(super) fn show_scaled(value: u64, scales: &[(&str, u64)]) -> String {
    let unit = scales.iter().rfind(|(_, scale)| *scale <= value).or_else(|| scales.first());
    unit.map_or_else(String::new, |(unit, scale)| format!("{} {unit}", decimal(value, *scale)))
}

/// `value / scale` as an exact decimal number; `scale` is a power of ten.
pub(super) fn decimal(value: u64, scale: u64) -> String {
    let fraction = format!("{:0width$}", value % scale, width = scale.ilog10() as usize);
    let fraction = fraction.trim_end_matches('0');
    match fraction {
        "" => (value / scale).to_string(),
        _ => format!("{}.{fraction}", value / scale),
    }
}
