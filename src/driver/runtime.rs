//! What the driver has of this host: the control plane's runtime, signals, names and addresses.

use super::error::Error;
use crate::io::egress::Egress;
use crate::plan::{Host, Near, Plan};
use std::net::SocketAddr;

/// How this host is left for `plan`.
pub(super) fn egress_of(plan: &Plan) -> Egress {
    let Near { source, device } = plan.near.clone();
    Egress { source, device }
}

/// What carries the control plane.
///
/// # Errors
///
/// Where this host has no room for it.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::System(error.to_string()))
}

/// Every address of `host`, one at least.
pub(super) async fn addresses(host: &Host) -> Result<Vec<SocketAddr>, Error> {
    let no_such_host = |why: String| Error::NoSuchHost { host: host.clone(), why };
    let found = tokio::net::lookup_host((host.name.as_str(), host.port)).await;
    let found: Vec<_> = found.map_err(|error| no_such_host(error.to_string()))?.collect();
    if found.is_empty() {
        return Err(no_such_host("it has no address".into()));
    }
    Ok(found)
}

/// Counts the user's wishes to end: Ctrl-C, or a SIGTERM.
#[must_use]
pub fn interrupts() -> tokio::sync::mpsc::Receiver<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return tracing::error!("no signals can be had: Ctrl-C leaves no report");
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}
