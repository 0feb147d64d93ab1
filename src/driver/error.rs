//! Why a run, or a part of it, did not come about.

use crate::method::Impossible;
use crate::plan::Host;
use crate::wire::key::{KeyLine, PublicKey};
use std::net::SocketAddr;

/// Why a run, or a part of it, did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be run as it was asked.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// A congestion control that a test names and this host does not have.
    #[error("this host cannot send TCP as the plan says: {0}")]
    NoCongestionControl(String),
    /// The keys do not fit the plan.
    #[error("the plan has {sites} sites, and {keys} keys of agents are given: each takes one")]
    Keys {
        /// Sites of the plan.
        sites: usize,
        /// Keys that were given.
        keys: usize,
    },
    /// The name is nobody's.
    #[error("{host}: no such host: {why}. Check the spelling, or give an address")]
    NoSuchHost {
        /// As it was given.
        host: Host,
        /// What the resolver says.
        why: String,
    },
    /// Nobody answers there.
    #[error(
        "nothing answers at {agent}: {why}. Is linkqual-agent running there, and is TCP port \
         {port} open? Try: nc -vz {ip} {port}"
    )]
    Unreachable {
        /// Where.
        agent: SocketAddr,
        /// Its address alone.
        ip: std::net::IpAddr,
        /// Its port alone.
        port: u16,
        /// What the system says.
        why: String,
    },
    /// Nothing at all comes from there.
    #[error(
        "no answer from {agent} within {secs} s. Is linkqual-agent running there, and is TCP port \
         {port} open? Try: nc -vz {ip} {port}"
    )]
    NoAnswer {
        /// Where.
        agent: SocketAddr,
        /// Its address alone.
        ip: std::net::IpAddr,
        /// Its port alone.
        port: u16,
        /// For how long it was waited.
        secs: u64,
    },
    /// The host there says no.
    #[error(
        "connection refused by {agent}: the host is up, but nothing listens on TCP port {port}, \
         or a firewall rejects the connection. Is linkqual-agent running there, on that port?"
    )]
    Refused {
        /// Where.
        agent: SocketAddr,
        /// Its port alone.
        port: u16,
    },
    /// No name server answers, so that nobody knows where the agent is.
    #[error(
        "{host}: its name could not be resolved: {why}. No name server answered: check this \
         host's /etc/resolv.conf and the route to its name servers, or give an address"
    )]
    Unresolved {
        /// As it was given.
        host: Host,
        /// What the resolver says.
        why: String,
    },
    /// None of the addresses of a name answers.
    #[error(
        "nothing answers at any address of {host}: {tried}. Is linkqual-agent running there, and \
         is TCP port {} open?",
        .host.port
    )]
    NoneAnswers {
        /// As it was given.
        host: Host,
        /// Each address, and why not.
        tried: String,
    },
    /// No control channel came to be with the agent, though something answers there.
    #[error("{0}")]
    NotAdmitted(String),
    /// The agent does not list this driver's key.
    #[error(
        "the agent at {agent} does not allow this driver's key {}, or no longer allows it. Ask its \
         operator to run: linkqual-agent allow {line}",
        .line.key()
    )]
    NotListed {
        /// Where it is.
        agent: SocketAddr,
        /// This driver's key.
        line: KeyLine,
    },
    /// The agent has another key than the one that is expected.
    #[error(
        "the agent {host} has another key, {got}, where {expected} is expected: either this is \
         another host, or there is a man in the middle, or the key was replaced. Ask its operator \
         for the fingerprint (linkqual-agent key)"
    )]
    AnotherKey {
        /// As it was given.
        host: Host,
        /// The key that it was to have.
        expected: PublicKey,
        /// The key that it has.
        got: PublicKey,
    },
    /// The agent said no, or what it said made no sense.
    #[error("{0}")]
    Agent(String),
    /// There is no lease on what it loads, or it has ended.
    #[error("{0}")]
    NotLeased(String),
    /// This host cannot do it.
    #[error("this host cannot do it: {0}")]
    System(String),
    /// The user ended it before anything was measured.
    #[error("interrupted before anything was measured")]
    Interrupted,
    /// It was aborted before anything was measured, for this reason.
    #[error("aborted before anything was measured: {0}")]
    Aborted(String),
}
