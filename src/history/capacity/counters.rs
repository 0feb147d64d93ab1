//! Interface counters as other systems export them: CSV with the columns `time`, `link`,
//! `direction`, and `octets` (a counter that only grows) or `bit_s` (a mean since the row before).
//!
//! A counter that wraps goes on; one that was reset leaves a gap, which is no traffic and no
//! silence. A row that is there twice counts once.

use crate::direction::Direction;
use crate::stats::real;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// What a counter of 32 bits counts up to.
const WRAP: u64 = 1 << 32;

/// Octets that a wrapped counter may have moved on where the port's rate is not known: a quarter of
/// what it counts.
const WRAPPED_MAX: u64 = WRAP / 4;

/// What a link's interface carried in one direction, on average, from one reading to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// From then on, in seconds since 1970.
    pub from_s: i64,
    /// Until then.
    pub until_s: i64,
    /// Bits in a second.
    pub bit_s: f64,
}

/// The readings of each link and direction, in the order of time, and what was wrong with rows that
/// are not among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// The readings.
    pub readings: BTreeMap<(String, Direction), Vec<Reading>>,
    /// How often a counter was reset: what it carried meanwhile is not known.
    pub resets: usize,
    /// Rows that were there twice.
    pub duplicates: usize,
}

/// What is wrong with a file of counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faulty {
    /// The line, from 1.
    pub line: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A row, as it stands.
#[derive(Debug, Deserialize)]
struct Raw {
    time: String,
    link: String,
    direction: String,
    octets: Option<u64>,
    bit_s: Option<f64>,
}

/// What a row says of its direction at its time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Octets(u64),
    BitRate(f64),
}

/// Reads `text`. Where `port_bit_s` knows the rate of a link's port, no reading exceeds it.
///
/// # Errors
///
/// The first row that cannot be read: half a file would look like a quiet month.
pub fn read(text: &str, port_bit_s: impl Fn(&str) -> Option<u64>) -> Result<Counters, Faulty> {
    let mut reader = ::csv::ReaderBuilder::new()
        .trim(::csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let mut said: BTreeMap<(String, Direction), BTreeMap<i64, Said>> = BTreeMap::new();
    let mut counters = Counters::default();
    let headers = reader.headers().map_err(|error| faulty(&error))?.clone();
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| faulty(&error))? {
        let line = record.position().map_or(0, ::csv::Position::line);
        let wrong = |what: String| Faulty { line, what };
        let raw: Raw = record.deserialize(Some(&headers)).map_err(|error| faulty(&error))?;
        let (time, direction, value) = parsed(&raw).map_err(wrong)?;
        let series = said.entry((raw.link, direction)).or_default();
        match series.insert(time, value) {
            None => {}
            Some(before) if before == value => counters.duplicates += 1,
            Some(_) => {
                let what = format!("{} has two different values in this direction", raw.time);
                return Err(wrong(what));
            }
        }
    }
    for ((link, direction), series) in said {
        let port = port_bit_s(&link);
        let (readings, resets) = readings(&series, port);
        counters.resets += resets;
        counters.readings.insert((link, direction), readings);
    }
    Ok(counters)
}

fn faulty(error: &::csv::Error) -> Faulty {
    let line = error.position().map_or(1, ::csv::Position::line);
    let what = match error.kind() {
        ::csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(field) => format!("column {}: {}", field + 1, err.kind()),
            None => err.kind().to_string(),
        },
        kind => format!("{kind:?}"),
    };
    Faulty {
        line,
        what: format!("{what}; the columns are time, link, direction, and octets or bit_s"),
    }
}

fn parsed(raw: &Raw) -> Result<(i64, Direction, Said), String> {
    let time: Timestamp = raw.time.parse().map_err(|_| {
        format!("'{}' is no time with its zone, such as 2026-11-30T02:00:00Z", raw.time)
    })?;
    let direction = match raw.direction.as_str() {
        "forward" | "out" | "tx" => Direction::Forward,
        "reverse" | "in" | "rx" => Direction::Reverse,
        other => {
            let what = "is no direction: out (forward, driver to agent) or in (reverse)";
            return Err(format!("'{other}' {what}"));
        }
    };
    let said = match (raw.octets, raw.bit_s) {
        (Some(octets), None) => Said::Octets(octets),
        (None, Some(bit_s)) if bit_s.is_finite() && 0.0 <= bit_s => Said::BitRate(bit_s),
        (None, Some(bit_s)) => return Err(format!("{bit_s} is no rate in bit/s")),
        (Some(_), Some(_)) => return Err("has both octets and bit_s: give one".to_owned()),
        (None, None) => return Err("has neither octets nor bit_s".to_owned()),
    };
    Ok((time.as_second(), direction, said))
}

/// What `series` comes to between its rows, and how often it was reset.
fn readings(series: &BTreeMap<i64, Said>, port_bit_s: Option<u64>) -> (Vec<Reading>, usize) {
    let (mut readings, mut resets) = (Vec::new(), 0);
    let rows: Vec<(i64, Said)> = series.iter().map(|(time, said)| (*time, *said)).collect();
    for [(from_s, before), (until_s, after)] in rows.array_windows() {
        let seconds = real(until_s.abs_diff(*from_s));
        let bit_s = match (before, after) {
            (_, Said::BitRate(bit_s)) => Some(*bit_s),
            (Said::Octets(before), Said::Octets(after)) => {
                let moved = moved(*before, *after, port_bit_s, seconds);
                resets += usize::from(moved.is_none());
                moved.map(|octets| 8.0 * real(octets) / seconds)
            }
            (Said::BitRate(_), Said::Octets(_)) => None,
        };
        let reading = |bit_s| Reading { from_s: *from_s, until_s: *until_s, bit_s };
        readings.extend(bit_s.map(reading));
    }
    (readings, resets)
}

/// By how much a counter moved on; `None` where it was reset.
fn moved(before: u64, after: u64, port_bit_s: Option<u64>, seconds: f64) -> Option<u64> {
    let max = port_bit_s.map_or(f64::INFINITY, |bit_s| real(bit_s) * seconds / 8.0);
    if before <= after {
        // A reset to above what it was looks like more than the port can carry.
        return Some(after - before).filter(|octets| real(*octets) <= max);
    }
    let wrapped = (before < WRAP).then(|| after + WRAP - before);
    let is_likely = |octets: &u64| match port_bit_s {
        Some(_) => real(*octets) <= max,
        None => *octets <= WRAPPED_MAX,
    };
    wrapped.filter(is_likely)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str, port: Option<u64>) -> (Vec<f64>, Counters) {
        let counters = read(text, |_| port).expect("counters");
        let key = ("a".to_owned(), Direction::Forward);
        let readings = counters.readings.get(&key).cloned().unwrap_or_default();
        (readings.iter().map(|reading| reading.bit_s).collect(), counters)
    }

    fn rows(octets: &[u64]) -> String {
        let row = |(minute, octets): (usize, &u64)| {
            format!("2026-11-30T02:{minute:02}:00Z,a,out,{octets}\n")
        };
        let rows: String = octets.iter().enumerate().map(row).collect();
        format!("time,link,direction,octets\n{rows}")
    }

    #[test]
    fn a_counter_that_wraps_goes_on_and_one_that_is_reset_leaves_a_gap() {
        let (rates, _) = forward(&rows(&[4_294_960_000, 4_294_967_000, 204]), None);
        assert_eq!(rates, [8.0 * 7_000.0 / 60.0, 8.0 * 500.0 / 60.0]);
        // 3 GB less: no wrap of a quarter of what it counts.
        let (rates, counters) = forward(&rows(&[3_000_000_000, 3_000_060_000, 0, 60_000]), None);
        assert_eq!((rates, counters.resets), (vec![8_000.0, 8_000.0], 1));
        // A port of 1 Mbit/s carries 7.5 MB in a minute.
        let (rates, counters) = forward(&rows(&[4_290_000_000, 20_000_000]), Some(1_000_000));
        assert_eq!((rates, counters.resets), (vec![], 1));
        // Of 64 bits: it does not wrap within a career.
        let (rates, counters) = forward(&rows(&[90_000_000_000, 10]), None);
        assert_eq!((rates, counters.resets), (vec![], 1));
    }

    #[test]
    fn rows_are_sorted_and_those_that_are_there_twice_count_once() {
        let text = "time,link,direction,bit_s\n\
                    2026-11-30T02:10:00Z,a,out,2000\n\
                    2026-11-30T03:00:00+01:00,a,forward,5\n\
                    2026-11-30T02:05:00Z,a,tx,1000\n\
                    2026-11-30T02:10:00Z,a,out,2000\n";
        let (rates, counters) = forward(text, None);
        assert_eq!((rates, counters.duplicates), (vec![1_000.0, 2_000.0], 1));
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_line() {
        let fault = |row: &str| {
            let text = format!("time,link,direction,octets,bit_s\n{row}\n");
            read(&text, |_| None).expect_err("a fault").to_string()
        };
        let time = "2026-11-30T02:00:00Z";
        assert!(fault("yesterday,a,out,1,").starts_with("line 2: 'yesterday' is no time"));
        assert!(fault(&format!("{time},a,up,1,")).contains("'up' is no direction"));
        assert!(fault(&format!("{time},a,in,1,2")).contains("both octets and bit_s"));
        assert!(fault(&format!("{time},a,in,,")).contains("neither"));
        assert!(fault(&format!("{time},a,in,,-3")).contains("-3 is no rate"));
        assert!(fault(&format!("{time},a,in,many,")).contains("line 2: column 4"));
        let twice = format!("{time},a,in,1,\n{time},a,in,2,");
        assert!(fault(&twice).starts_with("line 3: 2026-11-30T02:00:00Z has two different"));
    }
}
