//! Control connections: who may have one, and its two directions.

use crate::io::frame::{FrameReader, write_frame};
use crate::io::tls::{Acceptor, TlsStream};
use crate::session::agent::ConnectionId;
use crate::wire::control::{FRAME_MAX, Message};
use crate::wire::key::PublicKey;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

/// Connections that may be open at once, admitted or not.
const CONNECTIONS_MAX: usize = 256;

/// How long a stranger may take to show a key.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Messages that may wait for a driver to read them.
const OUTBOX_MAX: usize = 256;

/// How long the last messages to a driver may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// The first octet of TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// What comes from connections.
#[derive(Debug)]
pub(super) enum Input {
    /// A driver is admitted.
    Open {
        /// Its number.
        connection: ConnectionId,
        /// The name of its key.
        who: String,
        /// Where it is.
        peer: SocketAddr,
        /// Where to put what it is to be told; dropped, the connection ends.
        outbox: mpsc::Sender<Message>,
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
    },
}

/// Lets drivers in, and nobody else.
pub(super) struct Admission {
    acceptor: Acceptor,
    allowed: Arc<BTreeMap<PublicKey, String>>,
    inputs: mpsc::Sender<Input>,
    slots: Arc<Semaphore>,
    next: AtomicU64,
}

impl Admission {
    pub(super) fn new(
        acceptor: Acceptor,
        allowed: BTreeMap<PublicKey, String>,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { acceptor, allowed: Arc::new(allowed), inputs, slots, next: AtomicU64::new(1) }
    }

    /// Serves a connection in a task of its own.
    pub(super) fn admit(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Such as too many open files: the next accept may find one.
            Err(error) => return tracing::warn!(%error, "a connection was not accepted"),
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return tracing::warn!(%peer, "{CONNECTIONS_MAX} connections are open: another refused");
        };
        let connection = ConnectionId(self.next.fetch_add(1, Relaxed));
        let (acceptor, allowed) = (self.acceptor.clone(), Arc::clone(&self.allowed));
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            if let Some((stream, who)) = handshake(stream, peer, &acceptor, &allowed).await {
                let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
                let open = Input::Open { connection, who, peer, outbox };
                if inputs.send(open).await.is_ok() {
                    converse(connection, stream, messages, &inputs).await;
                    // The loop has ended where nobody takes this.
                    _ = inputs.send(Input::Closed { connection }).await;
                }
            }
            drop(slot);
        });
    }
}

/// A TLS connection of a listed driver; strangers are logged.
async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &Acceptor,
    allowed: &BTreeMap<PublicKey, String>,
) -> Option<(TlsStream<TcpStream>, String)> {
    // Without it an answer may wait for an acknowledgement; where it cannot be had, it does.
    _ = stream.set_nodelay(true);
    let mut first = [0];
    match tokio::time::timeout(HANDSHAKE_MAX, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {}
        Ok(Ok(1)) => {
            tracing::warn!(%peer, "what came is not TLS: is it another program?");
            return None;
        }
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection broke");
            return None;
        }
        Err(_) => {
            tracing::warn!(%peer, "a connection said nothing");
            return None;
        }
    }
    match acceptor.accept(stream, HANDSHAKE_MAX).await {
        Ok((stream, key)) => {
            let who = allowed.get(&key).map_or_else(|| key.to_string(), Clone::clone);
            Some((stream, who))
        }
        Err(error) => {
            tracing::warn!(%peer, %error, "not admitted");
            None
        }
    }
}

/// Carries messages both ways until either end is done.
async fn converse(
    connection: ConnectionId,
    stream: TlsStream<TcpStream>,
    mut messages: mpsc::Receiver<Message>,
    inputs: &mpsc::Sender<Input>,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = FrameReader::new(reader, FRAME_MAX);
    loop {
        tokio::select! {
            frame = frames.next() => {
                let parsed = match frame {
                    Ok(Some(frame)) => Message::parse(&frame).map_err(|error| error.to_string()),
                    Ok(None) => return,
                    Err(error) => Err(error.to_string()),
                };
                match parsed {
                    Ok(message) => {
                        let message = Box::new(message);
                        if inputs.send(Input::Message { connection, message }).await.is_err() {
                            return;
                        }
                    }
                    Err(reason) => {
                        tracing::warn!(?connection, %reason, "what came is no message");
                        let fault = Message::Fault { reason }.emit();
                        let farewell = write_frame(&mut writer, &fault, FRAME_MAX);
                        _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
                        return;
                    }
                }
            }
            message = messages.recv() => {
                let Some(message) = message else {
                    _ = tokio::time::timeout(FAREWELL_MAX, writer.shutdown()).await;
                    return;
                };
                if let Err(error) = write_frame(&mut writer, &message.emit(), FRAME_MAX).await {
                    tracing::debug!(?connection, %error, "a message could not be sent");
                    return;
                }
            }
        }
    }
}
