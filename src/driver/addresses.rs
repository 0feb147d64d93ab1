//! Where agents are: the addresses of their names, and how this host is left for them.

use super::error::Error;
use crate::framing::IpVersion;
use crate::io::egress::Egress;
use crate::io::host;
use crate::io::resolve::{Unresolved, system};
use crate::method::{DeviceLimit, Impossible};
use crate::plan::{Host, Near, Plan};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What names are resolved by: every address of a name with a port, in the order of preference.
/// It may wait.
pub(super) type Lookup =
    Arc<dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, Unresolved> + Send + Sync>;

/// How this host is left for `plan`.
#[must_use]
pub fn egress_of(plan: &Plan) -> Egress {
    let Near { source, device } = plan.near.clone();
    Egress { source, device }
}

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 8;

/// Every address of `host`, each once; one at least, and the first eight.
///
/// # Errors
///
/// Where it has none, or no name server says.
pub async fn addresses(host: &Host) -> Result<Vec<SocketAddr>, Error> {
    addresses_by(Arc::new(system), host).await
}

pub(super) async fn addresses_by(lookup: Lookup, host: &Host) -> Result<Vec<SocketAddr>, Error> {
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

/// Where the `longest` size that a plan asks for is more than leaves for `agent` in one piece.
pub(super) fn size_above_device(
    longest: Option<u32>,
    agent: SocketAddr,
    egress: &Egress,
) -> Option<Impossible> {
    let (asked, ip) = (longest?, IpVersion::of(agent.ip()));
    let limit = DeviceLimit::below(asked, ip, host::outgoing(agent, egress)?)?;
    Some(Impossible::SizeAboveDevice { asked, limit })
}

/// Of an agent's addresses those that `source` can speak to; all where that is none, so that the
/// error of the attempt gives the reason.
#[must_use]
pub fn fitting(agents: Vec<SocketAddr>, source: Option<IpAddr>) -> Vec<SocketAddr> {
    let fits = |agent: &SocketAddr| source.is_none_or(|source| source.is_ipv6() == agent.is_ipv6());
    let fitting: Vec<_> = agents.iter().copied().filter(fits).collect();
    if fitting.is_empty() { agents } else { fitting }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Vec<SocketAddr>, Unresolved>;

    fn resolved(lookup: fn(&str, u16) -> Found) -> Result<Vec<SocketAddr>, Error> {
        let host = "agent.example:99".parse().expect("a host");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(addresses_by(Arc::new(lookup), &host))
    }

    fn at(octet: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, octet], 99))
    }

    #[track_caller]
    fn refused(lookup: fn(&str, u16) -> Found, is_wrong: bool, words: &str) {
        let error = resolved(lookup).expect_err("no address");
        assert_eq!(matches!(error, Error::NoSuchHost { .. }), is_wrong, "{error}");
        assert!(error.to_string().starts_with("agent.example:99: "), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_name_server_that_does_not_answer_is_no_wrong_name() {
        let words = "could not be resolved: try again. No name server answered";
        refused(|_, _| Err(Unresolved::NoAnswer("try again".into())), false, words);
        let words = "no such host: unknown. Check the spelling";
        refused(|_, _| Err(Unresolved::NoSuchHost("unknown".into())), true, words);
        refused(|_, _| Ok(Vec::new()), true, "no such host: it has no address");
        let host = resolved(|_, _| Err(Unresolved::Host("no memory".into()))).expect_err("none");
        assert!(matches!(&host, Error::System(why) if why == "no memory"), "{host}");
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
