//! The key that an agent presents, before anybody trusts it.

use super::addresses::{addresses, fitting};
use super::dialling::{Dialler, Reached};
use super::error::Error;
use crate::io::egress::Egress;
use crate::io::tls::{self, Connector, Identity};
use crate::plan::{Host, Near};
use crate::wire::key::PublicKey;
use std::net::SocketAddr;

/// What answers at a host, and the key that it has proven to be its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Presented {
    /// Where it answers.
    pub agent: SocketAddr,
    /// Its key.
    pub key: PublicKey,
    /// Where the name has more addresses than one: which was taken, and why no other.
    pub note: Option<String>,
}

/// Shakes hands with the agent at `host` as `identity`, whether that is allowed there or not, and
/// hangs up. Nothing is said: whoever answers learns the public key of `identity`, and no more.
///
/// # Errors
///
/// Where nothing answers, or what answers is no agent.
pub async fn presented(host: &Host, near: &Near, identity: &Identity) -> Result<Presented, Error> {
    let agents = fitting(addresses(host).await?, near.source);
    let egress = Egress { source: near.source, device: near.device.clone() };
    let dialler = Dialler::new(host.clone(), egress, Connector::to_anyone(identity));
    let Reached { agent, connection, note } = dialler.reach(&agents).await?;
    let key = tls::presented(&connection);
    let key = key.map_err(|error| Error::NotAdmitted(format!("the agent at {agent}: {error}")))?;
    Ok(Presented { agent, key, note })
}
