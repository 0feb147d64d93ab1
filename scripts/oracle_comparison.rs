//! Plays quarters of links on which nothing changes, and changes of known size, and prints how
//! often the rule of alarm is wrong. Exits with 1 where that is too often.
//!
//! `cargo run --release --example oracle_comparison -- [LINKS [FIRST-SEED]] > \
//! benches/results/comparison.md`
#![expect(clippy::unwrap_used, reason = "a script may fail by panicking")]

#[path = "../tests/it/oracle_comparison.rs"]
mod oracle_comparison;

use oracle_comparison::{Found, Tally};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

const LINKS: u64 = 3_000;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let (links, first) = (numbers.next().unwrap_or(LINKS), numbers.next().unwrap_or(0));
    let mut tally = Tally::default();
    (first..first + links).for_each(|seed| tally.add_quarter(seed));
    let per_sixty = |alarms| tally.per_quarter_of_sixty(alarms);
    let (alarms, changes) = (per_sixty(tally.false_alarms), per_sixty(tally.false_changes));
    let mut text = format!(
        "# Comparison: the rule of alarm on links of known truth\n\nA run a day at any hour, both \
         ways, idle and loaded: 18 series of a link (carried rate, RTT floor, RTT p50, p90 and \
         p99, jitter, loss, path MTU). Runs vary by Student's law with 3 degrees of freedom, by \
         the hour, and by a part with an autocorrelation of 0.4 from day to day; 1 % of all runs \
         are disturbed, so that half of what they show is off: a carried rate by up to 20 %, an \
         RTT floor by up to 5 ms, a loss by up to 1 %. The carried rate has standard deviations \
         of 0.2 % by chance and 0.2 % from day to day and swings by 0.3 % with the hour; the RTT \
         floor 20 us, 15 us and 40 us. Seeds from {first} on.\n\n## Nothing changes\n\n| quarters \
         of a link | runs judged, of one quantity each | false alarms | per quarter of 60 links | \
         false change points | per quarter of 60 links |\n|---|---|---|---|---|---|\n| {links} | \
         {} | {} | {alarms:.2} | {} | {changes:.2} |\n\n## Something changes\n\n| change | \
         runs before it | changes | found within 3 runs | \
         begin named to the run |\n|---|---|---|---|---|\n",
        tally.judged, tally.false_alarms, tally.false_changes
    );
    let mut least: f64 = 1.0;
    for runs in [30, 20, 12] {
        let (mut falls, mut rises) = (Found::default(), Found::default());
        for seed in first..first + links {
            falls.add_fall(seed, runs);
            rises.add_rise(seed, runs);
        }
        for (name, found) in [("a capacity falls by 5 %", falls), ("RTT floor + 1 ms", rises)] {
            writeln!(text, "| {name} | {runs} | {found} |").unwrap();
            least = least.min(found.share());
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if alarms <= 1.0 && changes <= 1.0 && 0.95 <= least => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
