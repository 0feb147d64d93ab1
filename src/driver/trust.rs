//! The key that an agent presents, before anybody trusts it, and whether it serves this driver.

use super::addresses::{addresses, fitting};
use super::dialling::{Dialler, Reached};
use super::error::Error;
use crate::io::channel::{Channel, Closed};
use crate::io::clock;
use crate::io::egress::Egress;
use crate::io::tls::{self, Connector, Identity};
use crate::plan::{Host, Near};
use crate::session::driver::{Action, Introduced, Session};
use crate::trial::Limits;
use crate::wire::control::RunId;
use crate::wire::key::PublicKey;
use std::net::SocketAddr;
use std::time::Duration;

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

/// How long an agent may take to answer a hello.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What an agent lets a driver do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It serves it, within these limits, in the role that it has there.
    Admitted(Limits, Option<String>),
    /// It does not list its key.
    NotListed,
}

/// Says hello to the agent at `agent`, one of the addresses of `host`, that has `key`, as
/// `identity`: what it lets that driver do. Nothing else is asked.
///
/// # Errors
///
/// Where that cannot be found out.
pub async fn admission(
    (host, agent): (&Host, SocketAddr),
    near: &Near,
    identity: &Identity,
    key: PublicKey,
) -> Result<Admission, Error> {
    let egress = Egress { source: near.source, device: near.device.clone() };
    let dialler = Dialler::new(host.clone(), egress, Connector::new(identity, key));
    let mut channel = Channel::open(dialler.dial(agent).await?);
    let answered = tokio::time::timeout(ANSWER_MAX, answer(&mut channel)).await;
    let unclear = |why: String| Error::Agent(format!("the agent at {agent}: {why}"));
    let answered = answered.unwrap_or_else(|_| Err("no answer to the hello".to_owned()));
    channel.close().await;
    answered.map_err(unclear)
}

/// What an agent answers to a hello.
async fn answer(channel: &mut Channel) -> Result<Admission, String> {
    let mut session = Session::new(RunId(0), clock::now());
    loop {
        while let Some(action) = session.poll_action() {
            match action {
                // Where the connection is closed, the inbox reports how it ended.
                Action::Say(message) => _ = channel.outbox.say(&message),
                Action::Admitted(limits, introduced) => {
                    let Introduced { role, .. } = *introduced;
                    return Ok(Admission::Admitted(limits, role));
                }
                Action::Failed(failure) => return Err(failure.to_string()),
                _ => {}
            }
        }
        match channel.inbox.next().await {
            Ok(message) => session.handle_message(clock::now(), message),
            Err(Closed::Refused) => return Ok(Admission::NotListed),
            Err(closed) => return Err(closed.to_string()),
        }
    }
}
