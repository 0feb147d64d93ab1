//! Names and their addresses. A name that does not resolve and a resolver that does not answer are
//! two errors.

use super::sys::names::{self, Failed};
use std::net::SocketAddr;

/// Why a name gave no address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unresolved {
    /// The name servers, or the hosts file, say that there is none.
    #[error("{0}")]
    NoSuchHost(String),
    /// No name server answered.
    #[error("{0}")]
    NoAnswer(String),
    /// This host could not ask.
    #[error("{0}")]
    Host(String),
}

/// Every address of `name` with `port`, as this host's resolver has it, in the order of preference.
/// An IPv6 address may have a zone behind it, such as `fe80::1%eth0`. Waits for name servers.
///
/// # Errors
///
/// Where there is none.
pub fn system(name: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
    names::resolve(name, port).map_err(|failed| match failed {
        Failed::None(why) => Unresolved::NoSuchHost(why),
        Failed::Again(why) => Unresolved::NoAnswer(why),
        Failed::System(error) => Unresolved::Host(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses are names that need no name server.
    #[test]
    fn an_address_is_its_own_name_and_keeps_its_zone() {
        let one = |name: &str| system(name, 99).map(|found| found[0].to_string());
        assert_eq!(one("127.0.0.9"), Ok("127.0.0.9:99".to_owned()));
        assert_eq!(one("2001:db8::7"), Ok("[2001:db8::7]:99".to_owned()));
        // The loopback device is the first of every network namespace.
        assert_eq!(one("fe80::1%lo"), Ok("[fe80::1%1]:99".to_owned()));
        let no_device = one("fe80::1%nosuch0");
        assert!(matches!(no_device, Err(Unresolved::NoSuchHost(_))), "{no_device:?}");
        assert!(matches!(one("a\0b"), Err(Unresolved::NoSuchHost(_))));
    }
}
