//! Numbers as the text shows them: each with its unit, at the digits that a person reads.

use crate::metric::float;

/// A number with its unit, at four digits.
pub(super) fn quantity(value: f64, unit: &str) -> String {
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
}
