//! A comparison as people and scripts read it.

use super::rule::Finding;
use super::{Changed, Compared, Comparison, Outcome, SiteCompared};
use crate::report::{Scope, quantity};
use crate::wrap::{Page, Table, line};
use serde::Serialize;

/// Digits of a run's identifier that are shown.
const DIGITS: usize = 16;

impl Comparison {
    /// It as a table for each site, for a terminal of so many `columns`.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut page = Page::new(columns);
        let run = short(&self.run);
        line!(page, "Run {run} of {}, compared with {}", minute(&self.started_at), self.baseline);
        for site in &self.sites {
            line!(page, "\n{}", heading(site));
            site.notes.iter().for_each(|note| page.wrapped("  ", note));
            page.table("  ", &table(site));
        }
        line!(page, "\n{}", self.conclusion());
        page.into_text()
    }

    fn conclusion(&self) -> &'static str {
        match self.result {
            Outcome::Worse => "Shown to be worse: see WORSE above.",
            Outcome::NotWorse => "Nothing is shown to be worse.",
            Outcome::TooLittle => "Too little is known to say that nothing is worse.",
        }
    }

    /// It as JSON.
    ///
    /// # Panics
    ///
    /// Never: numbers, texts and lists are JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists are JSON") + "\n"
    }

    /// It as comma-separated values (RFC 4180), a header line first.
    ///
    /// # Panics
    ///
    /// Never: a vector takes all octets, and text is UTF-8.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        for site in &self.sites {
            for compared in &site.compared {
                let line = Line::of(self, site, compared);
                writer.serialize(line).expect("a vector takes all octets");
            }
        }
        let octets = writer.into_inner().expect("a vector takes all octets");
        String::from_utf8(octets).expect("text is UTF-8")
    }
}

/// A line of comma-separated values.
#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    started_at: &'a str,
    link: &'a str,
    site: &'a str,
    direction: Option<Scope>,
    load: Option<&'a str>,
    offered_forward_bit_s: Option<u64>,
    offered_reverse_bit_s: Option<u64>,
    quantity: super::Quantity,
    unit: &'static str,
    baseline: Option<f64>,
    baseline_low: Option<f64>,
    baseline_high: Option<f64>,
    baseline_runs: usize,
    value: f64,
    difference: Option<f64>,
    difference_low: Option<f64>,
    difference_high: Option<f64>,
    result: Finding,
    changed_run: Option<&'a str>,
    changed_at: Option<&'a str>,
    note: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(all: &'a Comparison, site: &'a SiteCompared, it: &'a Compared) -> Self {
        let changed = it.changes.last();
        Self {
            run: &all.run,
            started_at: &all.started_at,
            link: &site.link,
            site: &site.site,
            direction: it.direction,
            load: it.load.as_deref(),
            offered_forward_bit_s: it.offered_bit_s[0],
            offered_reverse_bit_s: it.offered_bit_s[1],
            quantity: it.quantity,
            unit: it.unit,
            baseline: it.baseline,
            baseline_low: it.baseline_low,
            baseline_high: it.baseline_high,
            baseline_runs: it.baseline_runs,
            value: it.value,
            difference: it.difference,
            difference_low: it.difference_low,
            difference_high: it.difference_high,
            result: it.result,
            changed_run: changed.map(|changed| changed.run.as_str()),
            changed_at: changed.map(|changed| changed.started_at.as_str()),
            note: it.note.as_deref(),
        }
    }
}

/// The link, and what the baseline is made of.
fn heading(site: &SiteCompared) -> String {
    let runs = |count: usize| format!("{count} run{}", if count == 1 { "" } else { "s" });
    let name = match site.link == site.site {
        true => site.link.clone(),
        false => format!("{} ({})", site.link, site.site),
    };
    let out: Vec<String> =
        site.left_out.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let out = match out.is_empty() {
        true => String::new(),
        false => format!("; left out: {}", out.join(", ")),
    };
    format!("{name}: {} in the baseline{out}", runs(site.baseline_runs))
}

fn table(site: &SiteCompared) -> Table {
    let columns = ["", "QUANTITY", "BASELINE", "THIS RUN", "DIFFERENCE (95 %)", "CHANGE"];
    let mut table = Table::new(&columns);
    let mut above = String::new();
    let mut said = None;
    for it in &site.compared {
        let of = of(it);
        let shown = if of == above { String::new() } else { of.clone() };
        above = of;
        let baseline = it.baseline.map_or_else(|| "-".to_owned(), |value| quantity(value, it.unit));
        table.row(&[
            shown,
            it.quantity.name().to_owned(),
            baseline,
            quantity(it.value, it.unit),
            difference(it),
            word(it.result).to_owned(),
        ]);
        // Of many rows in succession that lack the same runs it is said once.
        if let Some(note) = it.note.as_ref().filter(|note| said != Some(*note)) {
            table.remark(note.clone());
        }
        said = it.note.as_ref().filter(|_| it.result == Finding::TooFew);
        it.changes.iter().for_each(|changed| table.remark(change(it, changed)));
    }
    table
}

/// What it is of: its way and its load.
fn of(it: &Compared) -> String {
    let way = match it.direction {
        Some(Scope::Forward) => "A->B ",
        Some(Scope::Reverse) => "B->A ",
        Some(Scope::RoundTrip) => "round trip, ",
        None => return "path".to_owned(),
    };
    let offered = match (it.direction, it.offered_bit_s) {
        (Some(Scope::Forward), [Some(rate), _]) | (Some(Scope::Reverse), [_, Some(rate)]) => {
            format!(" {}", quantity(crate::stats::real(rate), "bit/s"))
        }
        _ => String::new(),
    };
    let load = match it.load.as_deref() {
        Some("udp") => "UDP",
        Some("tcp") => "TCP",
        other => other.unwrap_or(""),
    };
    format!("{way}{load}{offered}")
}

fn difference(it: &Compared) -> String {
    match (it.difference, it.difference_low, it.difference_high) {
        (Some(difference), Some(low), Some(high)) if it.result != Finding::TooFew => {
            spread(difference, [low, high], it.unit)
        }
        _ => "-".to_owned(),
    }
}

/// `difference`, which lies from `low` to `high`: in one unit, at as many digits as the width of
/// the interval justifies.
fn spread(difference: f64, [low, high]: [f64; 2], unit: &str) -> String {
    let largest = [difference, low, high].iter().fold(0.0, |most: f64, it| most.max(it.abs()));
    let (unit, scale) = match unit {
        "ratio" => ("%", 0.01),
        "bit/s" | "us" => scale_of(largest, unit),
        unit => (unit, 1.0),
    };
    let width = (high - low) / scale;
    let decimals = (0_u8..6).find(|places| 10.0 <= width * 10_f64.powi(i32::from(*places)));
    let places = if unit == "octets" { 0 } else { usize::from(decimals.unwrap_or(6)) };
    let shown = |value: f64| {
        let digits = format!("{:+.places$}", value / scale);
        let is_zero = digits.chars().all(|sign| !('1'..='9').contains(&sign));
        if is_zero { "0".to_owned() } else { digits }
    };
    format!("{} {unit} ({} to {})", shown(difference), shown(low), shown(high))
}

/// The largest unit of which there is one at least in `largest` of `unit`.
fn scale_of(largest: f64, unit: &str) -> (&'static str, f64) {
    let units: &[(&str, f64)] = match unit {
        "bit/s" => &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)],
        _ => &[("us", 1.0), ("ms", 1e3), ("s", 1e6)],
    };
    let fits = units.iter().rfind(|(_, scale)| *scale <= largest).or_else(|| units.first());
    fits.copied().unwrap_or(("", 1.0))
}

const fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::TooFew => "too few runs",
        Finding::Same => "none shown",
        Finding::WorseOnce => "worse once",
        Finding::Worse => "WORSE",
        Finding::BetterOnce => "better once",
        Finding::Better => "better",
    }
}

fn change(it: &Compared, changed: &Changed) -> String {
    let (before, after) = (quantity(changed.before, it.unit), quantity(changed.after, it.unit));
    let way = if changed.is_worse { "worse" } else { "better" };
    let (run, at) = (short(&changed.run), minute(&changed.started_at));
    format!("{way} since run {run} of {at}: {before} before it, {after} from it on")
}

fn short(run: &str) -> &str {
    run.get(..DIGITS).unwrap_or(run)
}

fn minute(at: &str) -> String {
    format!("{} UTC", at.get(..16).unwrap_or(at).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_in_one_unit_at_the_digits_that_its_interval_justifies() {
        for (difference, interval, unit, expected) in [
            (1_020.0, [968.1, 1_072.0], "us", "+1.02 ms (+0.97 to +1.07)"),
            (0.0, [-624.7, 768.8], "us", "0 us (-625 to +769)"),
            (-5.04e6, [-6.1e6, -4e6], "bit/s", "-5.0 Mbit/s (-6.1 to -4.0)"),
            (0.0, [-1.258e-4, 1.258e-4], "ratio", "0 % (-0.013 to +0.013)"),
            (-80.0, [-80.4, -79.6], "octets", "-80 octets (-80 to -80)"),
        ] {
            assert_eq!(spread(difference, interval, unit), expected);
        }
    }
}
