//! Control connections: who may have one, and its two directions.

use super::drivers::Drivers;
use super::strangers::{Budget, NoSlot, Slot, Slots, Strangers};
use crate::io::channel::{Channel, Closed, FAREWELL_MAX, Inbox, Outbox};
use crate::io::clock;
use crate::io::log::stranger;
use crate::io::tcp::Bulk;
use crate::io::tls::{Acceptor, Identity, TlsError, TlsStream};
use crate::session::agent::{ConnectionId, Listed};
use crate::wire::control::Message;
use crate::wire::data::{FIRST_OCTET, HELLO_LEN};
use crate::wire::key::PublicKey;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long a stranger may take to show a key.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// The first octet of TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the log says of a driver that does not accept the key of this agent.
fn expects_another(peer: SocketAddr, own: PublicKey) -> String {
    format!(
        "{peer}: it does not accept {own}. If this agent's key was replaced, its user compares the \
         fingerprint and runs: linkqual trust HOST --replace"
    )
}

/// What comes from connections.
#[derive(Debug)]
pub(super) enum Input {
    /// A driver is admitted.
    Open {
        /// Its number.
        connection: ConnectionId,
        /// Whose key it has, and what that may do.
        driver: Listed,
        /// Where it is.
        peer: SocketAddr,
        /// Where to put what it is to be sent; dropped, the connection ends.
        outbox: Outbox,
    },
    /// A connection that is to carry a stream's data said so.
    Data {
        /// The connection.
        bulk: Bulk,
        /// Where it is from.
        peer: SocketAddr,
        /// What it said.
        hello: Box<[u8; HELLO_LEN]>,
    },
    /// A driver said something.
    Message {
        /// Which.
        connection: ConnectionId,
        /// What.
        message: Box<Message>,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// How.
        closed: Closed,
    },
}

/// Lets drivers in, and nobody else.
pub(super) struct Admission {
    identity: Identity,
    drivers: Drivers,
    acceptor: Acceptor,
    allowed: Arc<BTreeMap<PublicKey, Listed>>,
    inputs: mpsc::Sender<Input>,
    slots: Slots,
    strangers: Strangers,
    next: u64,
}

impl Admission {
    pub(super) fn new(
        identity: Identity,
        drivers: Drivers,
        inputs: mpsc::Sender<Input>,
        budget: Budget,
    ) -> Self {
        let (slots, strangers) = (Slots::new(budget.connections), Strangers::new(budget.strangers));
        let (acceptor, allowed) = admitting(&identity, &drivers);
        Self { identity, drivers, acceptor, allowed, inputs, slots, strangers, next: 1 }
    }

    /// Takes in who may use the agent now; the keys that may no longer.
    pub(super) fn refresh(&mut self) -> Vec<PublicKey> {
        let Some(gone) = self.drivers.refresh(clock::wall_ns()) else { return Vec::new() };
        (self.acceptor, self.allowed) = admitting(&self.identity, &self.drivers);
        tracing::info!(allowed = self.allowed.len(), gone = gone.len(), "drivers have changed");
        gone
    }

    /// As [`Self::refresh`], whether the file of drivers has changed or not.
    pub(super) fn read_again(&mut self) -> Vec<PublicKey> {
        self.drivers.read_again();
        self.refresh()
    }

    /// Why the file of drivers is not taken in as it is, if so.
    pub(super) fn fault(&self) -> Option<&str> {
        self.drivers.fault()
    }

    /// Whether this key may use the agent.
    pub(super) fn lists(&self, key: &PublicKey) -> bool {
        self.allowed.contains_key(key)
    }

    /// Whether a driver may still use the agent: it may have been listed when its handshake began.
    pub(super) fn admits(&self, driver: &Listed) -> bool {
        self.allowed.get(&driver.key).is_some_and(|listed| listed.role == driver.role)
    }

    /// Serves a connection in a task of its own.
    pub(super) fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Such as too many open files: the next accept may find one.
            Err(error) => return stranger("connection not accepted", error),
        };
        let connection = ConnectionId(self.next);
        self.next += 1;
        let displaced = self.strangers.place(peer.ip());
        let (acceptor, allowed) = (self.acceptor.clone(), Arc::clone(&self.allowed));
        let (inputs, slots) = (self.inputs.clone(), self.slots.clone());
        tokio::spawn(async move {
            let admitted = tokio::select! {
                admitted = handshake(stream, peer, &acceptor, (&allowed, &slots)) => admitted,
                _ = displaced => {
                    return tracing::debug!(%peer, "closed to make room: it had not shown a key");
                }
            };
            let (stream, driver, _slot) = match admitted {
                Some(Admitted::Driver(stream, driver, slot)) => (*stream, driver, slot),
                Some(Admitted::Data(bulk, hello)) => {
                    // The loop has ended where nobody takes this.
                    _ = inputs.send(Input::Data { bulk, peer, hello }).await;
                    return;
                }
                None => return,
            };
            let Channel { outbox, inbox } = Channel::of_driver(stream);
            let open = Input::Open { connection, driver, peer, outbox };
            if inputs.send(open).await.is_ok() {
                hear(connection, inbox, &inputs).await;
            }
        });
    }
}

/// Who shakes hands with the drivers that are listed now, and those.
fn admitting(
    identity: &Identity,
    drivers: &Drivers,
) -> (Acceptor, Arc<BTreeMap<PublicKey, Listed>>) {
    let keys = drivers.listed().map(|driver| driver.key.key());
    let listed = keys.filter_map(|key| Some((key, drivers.find(&key)?)));
    let listed: BTreeMap<PublicKey, Listed> = listed.collect();
    (Acceptor::new(identity, listed.keys().copied()), Arc::new(listed))
}

/// What a connection turns out to be.
enum Admitted {
    /// A listed driver's control connection.
    Driver(Box<TlsStream<TcpStream>>, Listed, Slot),
    /// One that is to carry data; whether it may is not known yet.
    Data(Bulk, Box<[u8; HELLO_LEN]>),
}

/// A TLS connection of a listed driver that there is room for, or one for data; strangers are
/// logged.
async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &Acceptor,
    (allowed, slots): (&BTreeMap<PublicKey, Listed>, &Slots),
) -> Option<Admitted> {
    // Without it an answer may wait for an acknowledgement; where it cannot be had, it does.
    _ = stream.set_nodelay(true);
    let mut first = [0];
    match tokio::time::timeout(HANDSHAKE_MAX, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {}
        Ok(Ok(1)) if first[0] == FIRST_OCTET => return data(stream, peer).await,
        Ok(Ok(1)) => {
            stranger("not TLS: is it another program?", peer);
            return None;
        }
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "connection broken");
            return None;
        }
        Err(_) => {
            stranger("connection sent nothing", peer);
            return None;
        }
    }
    match acceptor.accept(stream, HANDSHAKE_MAX).await {
        Ok((stream, key)) => {
            // The acceptor has the same list.
            let driver = allowed.get(&key)?.clone();
            match slots.take(key) {
                Ok(slot) => Some(Admitted::Driver(Box::new(stream), driver, slot)),
                Err(full) => {
                    stranger("driver refused", format!("{peer} {}: {full}", driver.who));
                    refuse(stream, full).await;
                    None
                }
            }
        }
        Err(TlsError::Refused { own }) => {
            stranger("driver expects another key of this agent", expects_another(peer, own));
            None
        }
        Err(error) => {
            stranger("driver not admitted", format!("{peer}: {error}"));
            None
        }
    }
}

/// Says why there is no room for a driver, once it has said its hello.
async fn refuse(stream: TlsStream<TcpStream>, full: NoSlot) {
    let mut channel = Channel::of_driver(stream);
    // One that says nothing is not waited for.
    _ = tokio::time::timeout(FAREWELL_MAX, channel.inbox.next()).await;
    let reason = format!("{full}. Try again in a minute");
    _ = channel.outbox.say(&Message::Fault { reason });
    channel.close().await;
}

/// Reads what a data connection says first.
async fn data(mut stream: TcpStream, peer: SocketAddr) -> Option<Admitted> {
    let mut hello = Box::new([0; HELLO_LEN]);
    match tokio::time::timeout(HANDSHAKE_MAX, stream.read_exact(hello.as_mut_slice())).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "data connection broken");
            return None;
        }
        Err(_) => {
            stranger("data connection without a valid hello", peer);
            return None;
        }
    }
    match Bulk::taken(stream) {
        Ok(bulk) => Some(Admitted::Data(bulk, hello)),
        Err(error) => {
            stranger("data connection could not be registered", format!("{peer}: {error}"));
            None
        }
    }
}

/// Hands on what a driver says until its connection is over, the last message to it included.
async fn hear(connection: ConnectionId, mut inbox: Inbox, inputs: &mpsc::Sender<Input>) {
    loop {
        let input = match inbox.next().await {
            Ok(message) => Input::Message { connection, message: Box::new(message) },
            Err(closed) => Input::Closed { connection, closed },
        };
        let is_last = matches!(input, Input::Closed { .. });
        if inputs.send(input).await.is_err() {
            // The loop has ended, and with it the program.
            return;
        }
        if is_last {
            return inbox.over().await;
        }
    }
}
