//! The log, on the standard error.

use super::files::is_watched;
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
