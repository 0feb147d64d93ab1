//! Plays TCP over random links of known truth through the product's own judge, and prints how often
//! the verdict was wrong. Exits with 1 where it was.
//!
//! `cargo run --example oracle_tcp -- [LINKS [FIRST-SEED]] > benches/results/tcp_throughput.md`
#![expect(clippy::unwrap_used, reason = "a script may fail by panicking")]

#[path = "../tests/it/oracle_tcp.rs"]
mod oracle_tcp;

use oracle_tcp::{Case, Grid};
use std::io::Write as _;
use std::process::ExitCode;

const LINKS: u64 = 2_000;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let (links, first) = (numbers.next().unwrap_or(LINKS), numbers.next().unwrap_or(0));
    let mut grid = Grid::default();
    for seed in first..first + links {
        let case = Case::random(seed);
        let judged = case.judge();
        if judged.is_wrong() {
            let (shape, held, reason) = (case.shape, case.held, &judged.reason);
            _ = writeln!(std::io::stderr(), "seed {seed}: {shape:?}, {held:?}: {reason}");
            _ = writeln!(std::io::stderr(), "  {judged:?}");
        }
        grid.add(&judged);
    }
    let text = format!(
        "# TCP: verdicts on {links} links of known truth\n\nA scripted transport: in each tenth of \
         a second it delivers what the link, the window over the round trip, its pace and the \
         application allow. Links of 0.7 to 1.3 times the required 1 Mbit/s to 1 Gbit/s: constant, \
         noisy, sawtooth, collapsing, declining, dead for 3 s, slow for 1 s; idle round trips of \
         0.1 to 100 ms, trials of 14 to 60 s; seeds from {first} on.\n\n{grid}\n"
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if grid.wrong() == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
