//! Plays probes over random links of known truth, between clocks that are apart and drift, and
//! prints how often the bounds of one-way delay hold. Exits with 1 where that is too seldom.
//!
//! `cargo run --example oracle_owd -- [LINKS [FIRST-SEED]] > benches/results/owd_p99.md`
#![expect(clippy::unwrap_used, reason = "a script may fail by panicking")]

#[path = "../tests/it/oracle_owd.rs"]
mod oracle_owd;

use oracle_owd::{Case, Tally};
use std::io::Write as _;
use std::process::ExitCode;

const LINKS: u64 = 1_000;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let (links, first) = (numbers.next().unwrap_or(LINKS), numbers.next().unwrap_or(0));
    let mut tally = Tally::default();
    for seed in first..first + links {
        let case = Case::random(seed);
        tally.add(&case, case.judge());
    }
    let (coverage, clocks) = (tally.coverage(), tally.clocks());
    let text = format!(
        "# One-way delay: bounds on {links} links of known truth\n\nEmulated links of 0.02 to 50 \
         ms each way, by itself, with jitter of 0.01 to 3 ms (none, uniform, exponential, \
         normal) and up to 1 % of loss; clocks up to 10 ms apart that gain up to 100 ppm on each \
         other; idle trials of 10 and 30 s with 100 probes/s; seeds from {first} on. The interval \
         is that of the 99th percentile at 95 % on each side.\n\n{tally}\nWhere the hosts \
         state the truth, or are found out: the interval holds the truth in {:.2} % of all \
         directions, what the clocks leave open in {:.2} %. Of the wrong statements {:.1} % were \
         found out: the others are possible as far as the probes show.\n",
        100.0 * coverage,
        100.0 * clocks,
        100.0 * tally.found_out()
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if 0.94 <= coverage && 1.0 <= clocks && !tally.is_unjust() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
