//! How people write a bit rate. Reports write `500 Mbit/s`; what other tools of the trade write for
//! it (`500M`, `500Mbps`, `500mbit`) is read too. What says something else, such as bytes, is
//! refused with the right spelling.

use super::text::{Malformed, parse_number, show_scaled};

pub(super) const SCALES: [(&str, u64); 4] =
    [("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];

const FORM: &str = "a bit rate above 0: a number followed by bit/s, kbit/s, Mbit/s or Gbit/s, \
                    such as \"500 Mbit/s\"";

/// What may stand behind the prefix, beside nothing.
const BITS: [&str; 4] = ["bit/s", "bit", "bps", "b/s"];

/// Bits per second; the same text means the same rate on the command line and in a plan.
pub(super) fn parse(text: &str) -> Result<u64, Malformed> {
    let malformed = || Malformed::new(text, FORM);
    if parse_number(text, 1_000_000).is_some_and(|rate| 0 < rate) {
        let why = format!(
            "clear without a unit. Write \"{text} Mbit/s\", or kbit/s, Gbit/s or bit/s in its place"
        );
        return Err(Malformed::corrected(text, why));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (power, rest) = match unit.chars().next() {
        Some('k' | 'K') => (1, &unit[1..]),
        Some('m' | 'M') => (2, &unit[1..]),
        Some('g' | 'G') => (3, &unit[1..]),
        _ => (0, unit),
    };
    let of = |base: u64, factor: u64| {
        parse_number(number, base.pow(power).checked_mul(factor)?).filter(|rate| 0 < *rate)
    };
    let shown = |rate: Option<u64>| rate.map(|rate| show_scaled(rate, &SCALES));
    if unit == "m" {
        let right = shown(of(1_000, 1)).ok_or_else(malformed)?;
        return Err(Malformed::corrected(text, format!("clear: m is milli. Write \"{right}\"")));
    }
    if BITS.contains(&rest) || (rest.is_empty() && 0 < power) {
        return of(1_000, 1).ok_or_else(malformed);
    }
    if 0 < power && rest.starts_with('i') {
        let factor = if rest.starts_with("iB") { 8 } else { 1 };
        let right = shown(of(1_024, factor)).ok_or_else(malformed)?;
        return Err(Malformed::corrected(
            text,
            format!("decimal, as circuits are sold. Write \"{right}\""),
        ));
    }
    if matches!(rest, "B" | "B/s" | "Bps") {
        let [octets, bits] = [8, 1].map(|factor| shown(of(1_000, factor)));
        let (octets, bits) = octets.zip(bits).ok_or_else(malformed)?;
        let why = format!("in bits. Write \"{octets}\" if bytes were meant, \"{bits}\" if bits");
        return Err(Malformed::corrected(text, why));
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use crate::units::BitRate;

    #[track_caller]
    fn rate(text: &str, expected: u64) {
        assert_eq!(text.parse::<BitRate>().map(BitRate::bits_per_second), Ok(expected), "{text}");
    }

    #[test]
    fn every_tools_spelling_is_read() {
        let units = ["", "bit", "bps", "b/s", "bit/s"];
        for (prefixes, scale) in
            [(["k", "K"], 1_000), (["M", "m"], 1_000_000), (["G", "g"], 1_000_000_000)]
        {
            for (prefix, unit) in prefixes.iter().flat_map(|p| units.map(|unit| (p, unit))) {
                if (*prefix, unit) != ("m", "") {
                    rate(&format!("1.5{prefix}{unit}"), scale * 3 / 2);
                    rate(&format!("20 {prefix}{unit}"), scale * 20);
                }
            }
        }
        units[1..].iter().for_each(|unit| rate(&format!("64 {unit}"), 64));
    }

    #[test]
    fn what_means_something_else_is_refused_with_the_right_spelling() {
        for (text, right) in [
            ("50m", "not clear: m is milli. Write \"50 Mbit/s\""),
            ("5", "not clear without a unit. Write \"5 Mbit/s\", or kbit/s, Gbit/s or bit/s"),
            ("2.5", "Write \"2.5 Mbit/s\""),
            ("50 Mi", "not decimal, as circuits are sold. Write \"52.4288 Mbit/s\""),
            ("50Mibit/s", "Write \"52.4288 Mbit/s\""),
            ("1 GiB/s", "Write \"8.589934592 Gbit/s\""),
            ("1 Kibps", "Write \"1.024 kbit/s\""),
            ("10MB/s", "not in bits. Write \"80 Mbit/s\" if bytes were meant, \"10 Mbit/s\" if"),
            ("10 GB", "Write \"80 Gbit/s\" if bytes were meant, \"10 Gbit/s\" if bits"),
            ("0.5kBps", "Write \"4 kbit/s\" if bytes were meant, \"500 bit/s\" if bits"),
            ("9B", "Write \"72 bit/s\" if bytes were meant, \"9 bit/s\" if bits"),
        ] {
            let error = text.parse::<BitRate>().expect_err(text).to_string();
            assert!(error.contains(right), "{error}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_form_of_one() {
        for text in [
            "",
            "0",
            "500.",
            "0 bit/s",
            "0M",
            "1,5 Gbit/s",
            "-1 bit/s",
            "1.",
            ".5 Gbit/s",
            "1..5 Gbit/s",
            "5  Mbit/s",
            "99999999999 Gbit/s",
            "99999999999 GB/s",
            "0.5 bit/s",
            "Mbit/s",
            "1.0000000000000000000000000000001 Gbit/s",
            "5 Tbit/s",
            "5 Mbits",
            "5 MBit/s",
            "5 Mx",
            "5 µbit/s",
            " 5 Mbit/s",
            "5 Mbit/s ",
        ] {
            let error = text.parse::<BitRate>().expect_err(text).to_string();
            assert!(error.contains("such as \"500 Mbit/s\""), "{text}: {error}");
        }
    }
}
