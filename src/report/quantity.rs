//! Numbers as the text shows them: each with its unit, at the digits that a person reads.

use super::record::BoundText;
use crate::metric::float;

/// A number with its unit, at four digits.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "bit/s" => {
            scaled(value, &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)])
        }
        "us" => scaled(value, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)]),
        "s" => scaled(value * 1e3, &[("ms", 1.0), ("s", 1e3)]),
        "ratio" => percent(value),
        _ => format!("{value} {unit}"),
    }
}

/// The units of a quantity in one of `unit`, and how much of that each is.
fn units_of(unit: &str) -> &'static [(&'static str, f64)] {
    match unit {
        "bit/s" => &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)],
        "us" => &[("us", 1.0), ("ms", 1e3), ("s", 1e6)],
        "s" => &[("ms", 1e-3), ("s", 1.0)],
        "ratio" => &[("%", 0.01)],
        _ => &[],
    }
}

/// Numbers that are read together: in one unit, at as many digits as their bounds justify.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    unit: &'static str,
    scale: f64,
    decimals: usize,
}

/// The most digits behind the point.
const DECIMALS_MAX: usize = 9;

impl Beside {
    /// `value`, which lies from `low` to `high`, held against `bound`: in the unit of the bound,
    /// where that suits it, and at the first digit of the interval's width. More digits are shown
    /// where a number would else meet the bound that it misses, or miss the one that it meets.
    /// Not so where there is no `relation`: what passed may miss its bound by what is forgiven.
    /// `None` where `unit` has no scale.
    pub(super) fn of(
        (value, low, high): (f64, Option<f64>, Option<f64>),
        (relation, bound): (Option<BoundText>, f64),
        unit: &str,
    ) -> Option<Self> {
        let units = units_of(unit);
        let fits = |number: f64| {
            let reaches = |scale: f64| scale <= number.abs() * (1.0 + 5e-5);
            units.iter().rfind(|(_, scale)| reaches(*scale)).or_else(|| units.first()).copied()
        };
        let largest = [Some(value), high, low].into_iter().flatten().fold(0.0, f64::max);
        let (unit, scale) = fits(bound)?;
        // 3 kbit/s of a required Gbit/s are not shown in Gbit/s, nor 20 s of 20 ms in ms.
        let suits = largest == 0.0 || (0.01..10_000.0).contains(&(largest / scale));
        let (unit, scale) = if suits { (unit, scale) } else { fits(largest)? };
        let numbers = || [Some(value), low, high].into_iter().flatten();
        let width =
            numbers().fold(f64::NEG_INFINITY, f64::max) - numbers().fold(f64::INFINITY, f64::min);
        let four = 3 - magnitude(largest / scale);
        let justified = match 0.0 < width {
            true => four.min(-magnitude(width / scale)),
            false => four,
        };
        let least = usize::try_from(justified).unwrap_or(0).min(DECIMALS_MAX);
        let is_true = |decimals: &usize| {
            let beside = Self { unit, scale, decimals: *decimals };
            numbers().all(|number| {
                let shown: f64 = beside.digits(number).parse().unwrap_or(f64::NAN);
                let meets = |number: f64, slack: f64| match relation {
                    Some(BoundText::AtMost) => number <= bound / scale * (1.0 + slack),
                    Some(BoundText::AtLeast) => bound / scale * (1.0 - slack) <= number,
                    None => true,
                };
                // A number that is at its bound but for what the division left meets it.
                meets(shown, 1e-12) == meets(number / scale, 1e-12)
            })
        };
        let decimals = (least..=DECIMALS_MAX).find(is_true).unwrap_or(least);
        Some(Self { unit, scale, decimals })
    }

    /// With as many digits as `other`, where that has more and its unit.
    pub(super) fn as_precise_as(self, other: Self) -> Self {
        let decimals = if other.unit == self.unit { other.decimals } else { 0 };
        Self { decimals: self.decimals.max(decimals), ..self }
    }

    /// A number without its unit.
    pub(super) fn digits(&self, number: f64) -> String {
        match number {
            0.0 => "0".to_owned(),
            _ => format!("{:.*}", self.decimals, number / self.scale),
        }
    }

    /// A number with its unit.
    pub(super) fn show(&self, number: f64) -> String {
        format!("{} {}", self.digits(number), self.unit)
    }
}

/// The power of ten of a number's first digit.
fn magnitude(number: f64) -> i32 {
    if number == 0.0 {
        return 0;
    }
    let mut power = 0;
    while 10f64.powi(power + 1) <= number.abs() && power < 15 {
        power += 1;
    }
    while number.abs() < 10f64.powi(power) && -15 < power {
        power -= 1;
    }
    power
}

/// A rate in bit/s, at four digits.
pub(super) fn bits_text(bit_s: u64) -> String {
    quantity(float(bit_s), "bit/s")
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    // What four digits round up to a unit is shown in it.
    let reaches = |scale: f64| scale <= value.abs() * (1.0 + 5e-5);
    let unit = units.iter().rfind(|(_, scale)| reaches(*scale)).or_else(|| units.first());
    unit.map_or_else(String::new, |(unit, scale)| format!("{} {unit}", digits(value / scale)))
}

/// A share in percent, of which a hundred-thousandth still shows.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        _ if percent.abs() < 1e-12 => "0 %".to_owned(),
        _ if percent.abs() < 1e-4 => format!("{percent:.2e} %"),
        _ if percent.abs() < 0.1 => format!("{} %", trim(&format!("{percent:.5}"))),
        _ => format!("{} %", digits(percent)),
    }
}

/// Four significant digits, without zeros behind the point.
pub(super) fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        magnitude if magnitude < 10.0 => 3,
        magnitude if magnitude < 100.0 => 2,
        magnitude if magnitude < 1_000.0 => 1,
        _ => 0,
    };
    trim(&format!("{value:.decimals$}")).to_owned()
}

fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_four_digits_and_their_unit() {
        assert_eq!(quantity(80_003_560.0, "bit/s"), "80 Mbit/s");
        assert_eq!(quantity(500_123_456.0, "bit/s"), "500.1 Mbit/s");
        assert_eq!(quantity(999_999_600.0, "bit/s"), "1 Gbit/s");
        assert_eq!(quantity(999_900_000.0, "bit/s"), "999.9 Mbit/s");
        assert_eq!(quantity(0.0, "bit/s"), "0 bit/s");
        assert_eq!(quantity(12.345, "us"), "12.35 us");
        assert_eq!(quantity(20_000.0, "us"), "20 ms");
        assert_eq!(quantity(0.25, "s"), "250 ms");
        assert_eq!(quantity(3.0012, "s"), "3.001 s");
        assert_eq!(quantity(0.0001, "ratio"), "0.01 %");
        assert_eq!(quantity(0.000_033_2, "ratio"), "0.00332 %");
        assert_eq!(quantity(0.0, "ratio"), "0 %");
        assert_eq!(quantity(0.25, "ratio"), "25 %");
        assert_eq!(quantity(1e-7, "ratio"), "1.00e-5 %");
    }

    #[track_caller]
    fn beside(numbers: (f64, Option<f64>, Option<f64>), bound: f64, unit: &str, shown: &str) {
        let relation = if unit == "bit/s" { BoundText::AtLeast } else { BoundText::AtMost };
        let beside = Beside::of(numbers, (Some(relation), bound), unit).expect("a unit");
        let (value, low, high) = numbers;
        let bounds = low.into_iter().chain(high).map(|number| beside.digits(number));
        let bounds = bounds.collect::<Vec<_>>().join(" to ");
        assert_eq!(format!("{} | {bounds}", beside.show(value)), shown);
    }

    #[test]
    fn a_number_has_no_more_digits_than_its_bounds_justify() {
        beside((0.219_31, Some(0.2158), Some(0.2221)), 1e-4, "ratio", "21.9 % | 21.6 to 22.2");
        beside((312.0, Some(301.0), Some(401.0)), 20_000.0, "us", "0.3 ms | 0.3 to 0.4");
        beside((312.0, Some(301.0), Some(340.0)), 20_000.0, "us", "0.31 ms | 0.30 to 0.34");
        beside((195.12e6, None, None), 250e6, "bit/s", "195.1 Mbit/s | ");
        beside((250e6, None, None), 250e6, "bit/s", "250.0 Mbit/s | ");
        beside((20.0006e6, None, None), 20e6, "bit/s", "20.00 Mbit/s | ");
        beside((0.0, Some(0.0), Some(1.263e-4)), 1e-3, "ratio", "0 % | 0 to 0.01");
    }

    /// 0.0126 % are not 0.01 %, nor are 249.96 Mbit/s the 250 that were asked for.
    #[test]
    fn no_digit_moves_a_number_to_the_other_side_of_its_bound() {
        beside((0.0, Some(0.0), Some(1.04e-4)), 1e-4, "ratio", "0 % | 0 to 0.0104");
        beside((249.96e6, None, None), 250e6, "bit/s", "249.96 Mbit/s | ");
        let rtt = (20_004.0, Some(19_996.0), Some(20_010.0));
        beside(rtt, 20_000.0, "us", "20.004 ms | 19.996 to 20.010");
    }

    #[test]
    fn what_passed_shows_no_digits_of_what_it_is_forgiven() {
        let beside = Beside::of((19.999_99e6, None, None), (None, 20e6), "bit/s");
        assert_eq!(beside.expect("a unit").show(19.999_99e6), "20.00 Mbit/s");
    }

    #[test]
    fn a_number_far_from_its_bound_has_a_unit_of_its_own() {
        beside((8e6, None, None), 1e9, "bit/s", "8.000 Mbit/s | ");
        beside((5.0, Some(4.5), Some(6.0)), 20_000.0, "us", "5 us | 4 to 6");
        beside((50.0, Some(45.0), Some(60.0)), 20_000.0, "us", "0.05 ms | 0.04 to 0.06");
        beside((1.5, None, None), 1.0, "s", "1.500 s | ");
    }
}
