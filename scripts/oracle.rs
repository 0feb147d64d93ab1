//! Plays random links of known truth through the product's own estimator and judge of throughput,
//! in virtual time, and prints how often the verdict was wrong: the error rates that the law of
//! measurement states. Exits with 1 where they do not hold.
//!
//! `cargo run --release --example oracle -- [LINKS [FIRST-SEED]] > benches/results/throughput.md`
#![expect(clippy::unwrap_used, reason = "a script may fail by panicking")]

#[path = "../tests/it/oracle/mod.rs"]
mod oracle;

use oracle::{Case, Grid};
use std::io::Write as _;
use std::process::ExitCode;

const LINKS: u64 = 2_000;

/// The fastest load: 100 Mbit/s of full frames.
const FASTEST: f64 = 8_235.0;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let (links, first) = (numbers.next().unwrap_or(LINKS), numbers.next().unwrap_or(0));
    let mut grid = Grid::default();
    for seed in first..first + links {
        let case = Case::random(seed, (1.0, 60.0), FASTEST);
        let judged = case.judge();
        if judged.is_wrong() {
            _ = writeln!(std::io::stderr(), "{case:?}\n  {judged:?}");
        }
        grid.add(&judged);
    }
    let text = format!(
        "# Throughput: verdicts on {links} links of known truth\n\nBottlenecks of 90 to 99.8 % and \
         100 to 105 % of the rate, queues of 5 ms to 2 s, loads of 1 to 60 s at 1 to 100 Mbit/s, \
         clocks up to 50 ppm apart; seeds from {first} on. The edge is neither: what it forwards \
         in the trial is enough, or its rate is.\n\n{grid}\n"
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if grid.holds() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
