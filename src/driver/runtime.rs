//! What the driver has of this host: the control plane's runtime, signals, names and addresses.

use super::error::Error;
use crate::io::egress::Egress;
use crate::io::resolve::{self, Lookup, Unresolved};
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

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;

/// Every address of `host`, each once; one at least, and the first [`ADDRESSES_MAX`].
///
/// # Errors
///
/// Where it has none, or no name server says.
pub(super) async fn addresses(host: &Host) -> Result<Vec<SocketAddr>, Error> {
    addresses_by(resolve::system, host).await
}

async fn addresses_by(lookup: Lookup, host: &Host) -> Result<Vec<SocketAddr>, Error> {
    let (name, port) = (host.name.clone(), host.port);
    let found = tokio::task::spawn_blocking(move || lookup(&name, port)).await;
    let found = found.map_err(|error| Error::System(error.to_string()))?;
    let no_such_host = |why: String| Error::NoSuchHost { host: host.clone(), why };
    let found = found.map_err(|unresolved| match unresolved {
        Unresolved::NoSuchHost(why) => no_such_host(match host.zone() {
            Some(zone) => format!("{why}: this host may have no device '{zone}'"),
            None => why,
        }),
        Unresolved::NoAnswer(why) => Error::Unresolved { host: host.clone(), why },
        Unresolved::Host(why) => Error::System(why),
    })?;
    let mut agents: Vec<SocketAddr> = Vec::new();
    for agent in found {
        if agents.len() < ADDRESSES_MAX && !agents.contains(&agent) {
            agents.push(agent);
        }
    }
    if agents.is_empty() {
        return Err(no_such_host("it has no address".into()));
    }
    Ok(agents)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(lookup: Lookup) -> Result<Vec<SocketAddr>, Error> {
        let host = "agent.example:99".parse().expect("a host");
        runtime().expect("a runtime").block_on(addresses_by(lookup, &host))
    }

    fn at(octet: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, octet], 99))
    }

    #[track_caller]
    fn refused(lookup: Lookup, code: u8, words: &str) {
        let error = resolved(lookup).expect_err("no address");
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(error.to_string().starts_with("agent.example:99: "), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_name_server_that_does_not_answer_is_no_wrong_name() {
        let words = "could not be resolved: try again. No name server answered";
        refused(|_, _| Err(Unresolved::NoAnswer("try again".into())), 4, words);
        let words = "no such host: unknown. Check the spelling";
        refused(|_, _| Err(Unresolved::NoSuchHost("unknown".into())), 2, words);
        refused(|_, _| Ok(Vec::new()), 2, "no such host: it has no address");
        let host = resolved(|_, _| Err(Unresolved::Host("no memory".into()))).expect_err("none");
        assert_eq!((host.exit_code(), host.to_string().contains("no memory")), (4, true));
    }

    #[test]
    fn every_address_is_looked_at_once_and_in_order() {
        let twice = resolved(|name, port| {
            assert_eq!((name, port), ("agent.example", 99));
            Ok(vec![at(2), at(1), at(2)])
        });
        assert_eq!(twice.expect("addresses"), [at(2), at(1)]);
        let many = resolved(|_, _| Ok((1..=20).map(at).collect())).expect("addresses");
        assert_eq!(many.len(), ADDRESSES_MAX);
    }
}
