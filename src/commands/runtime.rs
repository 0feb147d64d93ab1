//! What the program has of its own: a runtime, and its signals.

use crate::driver::{Cancel, Error};
use crate::io::terminal::{is_watched, say};

/// What carries the control plane.
///
/// # Errors
///
/// Where this host has no room for it.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::System(error.to_string()))
}

/// What the first interrupt is answered with.
const ANSWER: &str = "interrupted: finishing the report; Ctrl-C again to stop at once";

/// Passes each Ctrl-C and each SIGTERM on to `cancel`; the first is answered where this `talks`.
/// The third ends the program at once.
pub(super) async fn pass_on_interrupts(cancel: Cancel, talks: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return tracing::error!("signals cannot be handled: Ctrl-C leaves no report");
    };
    for wish in 1.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if 2 < wish {
            #[expect(
                clippy::disallowed_methods,
                reason = "main waits for what does not answer, such as a folder on a dead server"
            )]
            std::process::exit(4);
        }
        cancel.cancel();
        if wish == 1 && talks {
            // A terminal shows the keys that were typed, and perhaps progress, in the line before.
            let start = if is_watched() { "\n" } else { "" };
            say(&format!("{start}{ANSWER}"));
        }
    }
}
