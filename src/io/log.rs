//! The log, on the standard error.

use super::terminal::is_watched;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Starts the log: what `RUST_LOG` says, or `default`.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(default));
    // Its own complaint about a log that takes nothing would go there too, and panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // On a terminal the subscriber itself heeds NO_COLOR; a file is never given colours.
    if is_watched() { log.init() } else { log.with_ansi(false).init() }
}

/// Lines of one kind that are written in each [`PERIOD_NS`]; the others are summed.
const LINES_MAX: u64 = 5;

/// How long lines of a kind are summed.
const PERIOD_NS: u64 = 60_000_000_000;

/// What has been written of each kind of line that anyone who reaches this host can cause.
static REPEATED: Mutex<Repeated> = Mutex::new(Repeated { kinds: BTreeMap::new() });

/// Logs `what` a stranger did, and the `details`: the first few times in a minute, then summed.
/// Anyone can cause such a line, so nobody can fill the log with them. `what` is the kind: as many
/// are counted apart as the program has texts.
pub fn stranger(what: &'static str, details: impl Display) {
    let is_written = repeated().note(super::clock::now::<crate::clock::Agent>().nanos(), what);
    if is_written {
        tracing::warn!(%details, "{what}");
    }
}

/// Logs how many lines have been held back in the minute that is over. To be called now and then.
pub fn sum_up() {
    let sums = repeated().sums(super::clock::now::<crate::clock::Agent>().nanos());
    for (what, more) in sums {
        tracing::warn!(more, "{what}: as many more times in the last minute");
    }
}

fn repeated() -> std::sync::MutexGuard<'static, Repeated> {
    // What a thread that panicked left is whole: counters alone change.
    REPEATED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines by their kind.
#[derive(Debug, Default)]
struct Repeated {
    kinds: BTreeMap<&'static str, Kind>,
}

/// The lines of one kind in the minute under way.
#[derive(Debug)]
struct Kind {
    since_ns: u64,
    count: u64,
}

impl Repeated {
    /// Whether this line is to be written.
    fn note(&mut self, now_ns: u64, what: &'static str) -> bool {
        let kind = self.kinds.entry(what).or_insert(Kind { since_ns: now_ns, count: 0 });
        kind.count += 1;
        kind.count <= LINES_MAX
    }

    /// Of each kind whose minute is over, how many lines were not written.
    fn sums(&mut self, now_ns: u64) -> Vec<(&'static str, u64)> {
        let is_over = |kind: &Kind| PERIOD_NS <= now_ns.saturating_sub(kind.since_ns);
        let over = self.kinds.extract_if(.., |_, kind| is_over(kind));
        let sums = over.map(|(what, kind)| (what, kind.count.saturating_sub(LINES_MAX)));
        sums.filter(|(_, more)| 0 < *more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 7444 strangers in 20 s were as many lines in the first release.
    #[test]
    fn a_few_lines_are_written_and_the_others_summed() {
        let mut repeated = Repeated::default();
        let written = (0..7_444).filter(|n| repeated.note(n * 2_686_000, "not TLS")).count();
        assert_eq!(written, 5);
        assert!(repeated.note(20_000_000_000, "silent"), "another kind is written");
        assert_eq!(repeated.sums(59_999_999_999), []);
        assert_eq!(repeated.sums(60_000_000_000), [("not TLS", 7_439)]);
        assert!(repeated.note(60_000_000_001, "not TLS"), "a new minute");
        assert_eq!(repeated.sums(200_000_000_000), []);
    }
}
