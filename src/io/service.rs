//! What the service manager that started this program, where one did, is notified of
//! (`sd_notify(3)`).

use sd_notify::NotifyState;

/// The program serves from now on; `systemctl status` shows `status`, a line.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// `systemctl status` shows `status` from now on, a line.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The program works still, which the service manager may watch; `systemctl status` shows
/// `status`.
pub fn alive(status: &str) {
    notify(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// The program is about to end.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be notified");
    }
}
