//! The control channel's pump: messages both ways over one connection, in a task of its own.
//!
//! ```text
//! +-------------------------------+---------------------------+
//! | length (32 bit, big-endian)   | JSON (length octets)      |
//! +-------------------------------+---------------------------+
//! ```
//!
//! Reading and writing never wait for each other: a peer that stops reading is still heard, and two
//! ends that both have much to say do not block each other. How the connection ended, a refusal
//! included, arrives behind the last message, as data.
//!
//! Never allocates for a frame above [`FRAME_MAX`]; never reads on after what is no message.

use crate::io::tls::is_refusal;
use crate::wire::control::{FRAME_MAX, MalformedMessage, Message};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};

/// How long the other end may take nothing of what is written to it. It is longer than either
/// session waits for an answer, and a link of 20 kbit/s carries in it the 64 KiB that TLS buffers.
pub const WRITE_MAX: Duration = Duration::from_secs(30);

/// The longest frame that an agent reads: a driver's longest message is the account of one stream.
pub const DRIVER_FRAME_MAX: usize = FRAME_MAX / 4;

/// How long the last messages may take, once this end has closed the connection.
pub const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Messages that may wait to be written.
pub const OUTBOX_MAX: usize = 256;

/// Octets of them, unless one alone has more: an account, and what is said beside it.
pub const OUTBOX_OCTETS_MAX: usize = 2 * FRAME_MAX;

/// Messages that may wait to be handled; then nothing more is read.
const INBOX_MAX: usize = 16;

/// Octets of the length before each message.
const HEADER_LEN: usize = 4;

/// A control connection, and the task that carries it.
#[derive(Debug)]
pub struct Channel {
    /// What is to be said.
    pub outbox: Outbox,
    /// What is heard.
    pub inbox: Inbox,
}

impl Channel {
    /// Carries messages over `stream` until either end closes it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self::open_within(stream, DEADLINES, FRAME_MAX)
    }

    /// The same at an agent, which hears less than it says: no frame above
    /// [`DRIVER_FRAME_MAX`] is read, so that many connections of one key hold little memory.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn of_driver<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self::open_within(stream, DEADLINES, DRIVER_FRAME_MAX)
    }

    fn open_within<S>(stream: S, deadlines: Deadlines, frame_max: usize) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (messages, said) = mpsc::channel(OUTBOX_MAX);
        let waiting = Arc::<AtomicUsize>::default();
        let (heard, received) = mpsc::channel(INBOX_MAX);
        let (open, closed_here) = oneshot::channel();
        let octets = Moved::default();
        let far = (heard, frame_max, Moved::clone(&octets));
        let said = Said { messages: said, waiting: Arc::clone(&waiting) };
        let pump = tokio::spawn(pump(stream, said, closed_here, far, deadlines));
        let outbox = Outbox { messages, waiting, _open: open };
        Self { outbox, inbox: Inbox { received, octets, pump } }
    }

    /// Writes what is queued, then closes the connection; takes at most [`FAREWELL_MAX`].
    pub async fn close(self) {
        drop(self.outbox);
        self.inbox.over().await;
    }
}

/// Messages on their way to the other end. Dropped, it closes the connection behind them.
#[derive(Debug)]
pub struct Outbox {
    messages: mpsc::Sender<Bytes>,
    /// Octets of the messages that are not written yet.
    waiting: Arc<AtomicUsize>,
    /// Dropped with the outbox, it says so at once, however long the queue.
    _open: oneshot::Sender<()>,
}

impl Outbox {
    /// Queues `message`; how many octets it has.
    ///
    /// # Errors
    ///
    /// The queue is full, or the connection is closed.
    pub fn say(&self, message: &Message) -> Result<usize, Unsaid> {
        let body = message.emit();
        let len = body.len();
        let waiting = self.waiting.fetch_add(len, Relaxed);
        let queued = match 0 < waiting && OUTBOX_OCTETS_MAX < waiting + len {
            true => Err(Unsaid::Full),
            false => self.messages.try_send(Bytes::from(body)).map_err(|error| match error {
                TrySendError::Full(_) => Unsaid::Full,
                TrySendError::Closed(_) => Unsaid::Closed,
            }),
        };
        if queued.is_err() {
            self.waiting.fetch_sub(len, Relaxed);
        }
        queued.map(|()| len)
    }
}

/// What was said, as the pump takes it.
struct Said {
    messages: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// Why a message is not queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsaid {
    /// The other end reads too slowly.
    #[error("too many messages wait for the other end to read them")]
    Full,
    /// Nothing is written any more; the inbox says why.
    #[error("the connection is closed")]
    Closed,
}

/// Octets that a connection has moved, both ways together.
type Moved = Arc<AtomicU64>;

/// Messages from the other end. Dropped, it cuts the connection, whatever is still queued.
#[derive(Debug)]
pub struct Inbox {
    received: mpsc::Receiver<Result<Message, Closed>>,
    octets: Moved,
    pump: JoinHandle<()>,
}

impl Inbox {
    /// The next message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// How the connection ended, once; [`Closed::Here`] from then on.
    pub async fn next(&mut self) -> Result<Message, Closed> {
        self.received.recv().await.unwrap_or(Err(Closed::Here))
    }

    /// Octets that the connection has read and written so far: a long message on a narrow link is
    /// no silence.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets.load(Relaxed)
    }

    /// Drops what still arrives, until the connection is over: at most [`FAREWELL_MAX`] after the
    /// outbox is dropped.
    pub async fn over(mut self) {
        while self.received.recv().await.is_some() {}
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// How a control connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// The other end closed it between two messages.
    #[error("the other end closed the connection")]
    There,
    /// This end closed it.
    #[error("this end closed the connection")]
    Here,
    /// The other end, which was dialled, does not list this end's key.
    #[error("the other end does not list this program's key")]
    Refused,
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    /// What arrived is no message. What is said within [`FAREWELL_MAX`] still goes out.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The other end does not read.
    #[error("the other end read nothing for {limit:?}, with a message waiting for it")]
    Stalled {
        /// The time that it had.
        limit: Duration,
    },
    /// This end had a message that the other end would not take.
    #[error("a message of {len} octets cannot be sent: at most {FRAME_MAX} are allowed")]
    Oversize {
        /// Octets of the message.
        len: usize,
    },
}

/// Why what arrived is no message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A length of 0.
    #[error("a frame of 0 octets: a message has at least 1")]
    Empty,
    /// A length above the maximum.
    #[error("a frame of {len} octets: at most {max} are allowed")]
    TooLong {
        /// Octets announced.
        len: usize,
        /// Octets allowed.
        max: usize,
    },
    /// The other end closed the connection within a header or a body.
    #[error("the connection ended within a frame: {len} of {expected} octets had come")]
    CutShort {
        /// Octets that arrived.
        len: usize,
        /// Octets that were due.
        expected: usize,
    },
    /// The octets are not those of a message.
    #[error(transparent)]
    Message(#[from] MalformedMessage),
}

/// How long the other end may hold up this one.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// [`WRITE_MAX`]
    write: Duration,
    /// [`FAREWELL_MAX`]
    farewell: Duration,
}

const DEADLINES: Deadlines = Deadlines { write: WRITE_MAX, farewell: FAREWELL_MAX };

/// Carries messages both ways until either end is done. Reports how it ended, unless this end did.
async fn pump<S: AsyncRead + AsyncWrite>(
    stream: S,
    messages: Said,
    closed_here: oneshot::Receiver<()>,
    (received, frame_max, octets): (mpsc::Sender<Result<Message, Closed>>, usize, Moved),
    deadlines: Deadlines,
) {
    let (reader, writer) = tokio::io::split(stream);
    let messages_in = Reader { octets: Moved::clone(&octets), ..Reader::new(reader, frame_max) };
    let mut reading = pin!(read(messages_in, &received));
    let mut writing = pin!(write(writer, messages, deadlines.write, &octets));
    let closed = tokio::select! {
        closed = &mut reading => closed,
        written = &mut writing => match written {
            Ok(()) => return,
            // What the other end said last, such as a refusal, is read, not written into.
            Err(Closed::Broken(error)) => {
                let read = timeout(deadlines.farewell, reading).await;
                read.unwrap_or(Closed::Broken(error))
            }
            Err(closed) => closed,
        },
        _ = closed_here => {
            // Nobody is left to hear how it went.
            _ = timeout(deadlines.farewell, writing).await;
            return;
        }
    };
    let may_answer = matches!(closed, Closed::Malformed(_));
    if received.send(Err(closed)).await.is_ok() && may_answer {
        _ = timeout(deadlines.farewell, writing).await;
    }
}

/// Reads `messages` up to the end of their stream; how it ends.
async fn read<R: AsyncRead + Unpin>(
    mut messages: Reader<R>,
    received: &mpsc::Sender<Result<Message, Closed>>,
) -> Closed {
    let mut is_admitted = false;
    loop {
        match messages.next().await {
            Ok(message) => {
                is_admitted = true;
                if received.send(Ok(message)).await.is_err() {
                    return Closed::Here;
                }
            }
            // The connector's handshake was over before its key was judged.
            Err(Closed::Broken(error)) if !is_admitted && is_refusal(&error) => {
                return Closed::Refused;
            }
            Err(closed) => return closed,
        }
    }
}

/// Reads messages from a stream, and keeps the part of a frame that has arrived.
#[derive(Debug)]
struct Reader<R> {
    stream: R,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
    frame_max: usize,
    octets: Moved,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    fn new(stream: R, frame_max: usize) -> Self {
        // The header stays in the buffer until the body is there too: a stream that ends between
        // the two ends within a frame, which an empty buffer would hide.
        let codec = LengthDelimitedCodec::builder()
            .length_field_length(HEADER_LEN)
            .max_frame_length(frame_max)
            .num_skip(0)
            .length_adjustment(HEADER_LEN.cast_signed())
            .new_codec();
        Self { stream, codec, buffer: BytesMut::new(), frame_max, octets: Moved::default() }
    }

    /// The next message, or how the stream ends; then close it. Cancel-safe.
    async fn next(&mut self) -> Result<Message, Closed> {
        loop {
            if let Some(message) = self.parse()? {
                return Ok(message);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(self.end()),
                Ok(len) => _ = self.octets.fetch_add(len as u64, Relaxed),
                Err(error) => return Err(Closed::Broken(error)),
            }
        }
    }

    /// The message that the buffer begins with, once it is whole.
    ///
    /// The codec reserves what a header announces, up to its maximum. Pages that nothing is
    /// written to cost nothing, and a peer that is admitted can fill as many anyway.
    fn parse(&mut self) -> Result<Option<Message>, Malformed> {
        let Ok(frame) = self.codec.decode(&mut self.buffer) else {
            // The codec refuses nothing but the length, which it leaves in the buffer.
            let len = announced(&self.buffer).unwrap_or_default();
            return Err(Malformed::TooLong { len, max: self.frame_max });
        };
        let Some(frame) = frame else { return Ok(None) };
        let body = frame.get(HEADER_LEN..).unwrap_or_default();
        if body.is_empty() {
            return Err(Malformed::Empty);
        }
        let message = Message::parse(body)?;
        if self.buffer.is_empty() {
            // The memory of a long message is not kept for short ones.
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }

    fn end(&self) -> Closed {
        let len = self.buffer.len();
        match announced(&self.buffer) {
            None if len == 0 => Closed::There,
            None => Malformed::CutShort { len, expected: HEADER_LEN }.into(),
            Some(expected) => Malformed::CutShort { len: len - HEADER_LEN, expected }.into(),
        }
    }
}

/// Octets of the body that the header at the start of `buffer` announces.
fn announced(buffer: &[u8]) -> Option<usize> {
    let header = buffer.first_chunk::<HEADER_LEN>()?;
    Some(usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX))
}

/// Writes messages until the outbox is dropped, then closes this end's half of `stream`.
///
/// # Errors
///
/// The stream breaks, or takes nothing for `write_max`, or a message is too long.
async fn write<W: AsyncWrite + Unpin>(
    mut stream: W,
    mut said: Said,
    write_max: Duration,
    octets: &AtomicU64,
) -> Result<(), Closed> {
    let mut codec = LengthDelimitedCodec::builder()
        .length_field_length(HEADER_LEN)
        .max_frame_length(FRAME_MAX)
        .new_codec();
    while let Some(body) = said.messages.recv().await {
        let len = body.len();
        // In one piece, so that a small message is one TLS record.
        let mut frame = BytesMut::new();
        let encoded = codec.encode(body, &mut frame);
        encoded.map_err(|_| Closed::Oversize { len })?;
        while !frame.is_empty() {
            // A long message may take its time on a slow link, as long as it goes on.
            let len = in_time(write_max, stream.write_buf(&mut frame)).await?;
            if len == 0 {
                return Err(Closed::Broken(io::ErrorKind::WriteZero.into()));
            }
            octets.fetch_add(len as u64, Relaxed);
        }
        in_time(write_max, stream.flush()).await?;
        said.waiting.fetch_sub(len, Relaxed);
    }
    in_time(write_max, stream.shutdown()).await
}

async fn in_time<T>(
    limit: Duration,
    write: impl Future<Output = io::Result<T>>,
) -> Result<T, Closed> {
    match timeout(limit, write).await {
        Ok(written) => written.map_err(Closed::Broken),
        Err(_) => Err(Closed::Stalled { limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tls::{Acceptor, Connector, Identity};
    use crate::wire::key::SecretKey;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;
    use tokio::io::{DuplexStream, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::{join, runtime};

    /// Longer than anything here takes on a busy host; no test waits for it.
    const SOON: Duration = Duration::from_secs(60);

    /// Short enough to be waited for, and long enough that a busy host does not reach it by itself.
    const PROMPT: Deadlines =
        Deadlines { write: Duration::from_millis(500), farewell: Duration::from_millis(500) };

    const FINISH: &[u8] = b"\0\0\0\x11{\"type\":\"finish\"}";

    fn fault(len: usize) -> Message {
        Message::Fault { reason: "x".repeat(len) }
    }

    /// Both ends of a stream that holds `len` octets each way, one of them carried.
    fn channel(len: usize) -> (Channel, DuplexStream) {
        let (near, far) = duplex(len);
        (Channel::open_within(near, PROMPT, FRAME_MAX), far)
    }

    async fn parse(octets: &[u8]) -> Result<Message, Closed> {
        Reader::new(octets, FRAME_MAX).next().await
    }

    #[tokio::test]
    async fn a_message_is_a_length_and_its_json_both_ways() {
        let (mut channel, mut far) = channel(64);
        channel.outbox.say(&Message::Finish).unwrap();
        let mut octets = [0xa5; FINISH.len()];
        far.read_exact(&mut octets).await.unwrap();
        assert_eq!(octets, FINISH);
        far.write_all(FINISH).await.unwrap();
        assert_eq!(channel.inbox.next().await.unwrap(), Message::Finish);
        drop(far);
        assert!(matches!(channel.inbox.next().await, Err(Closed::There)));
        assert!(matches!(channel.inbox.next().await, Err(Closed::Here)));
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_says_how_much_of_it_arrived() {
        for len in 1..FINISH.len() {
            let (mut channel, mut far) = channel(64);
            far.write_all(&FINISH[..len]).await.unwrap();
            drop(far);
            let expected = match len.checked_sub(HEADER_LEN) {
                None => Malformed::CutShort { len, expected: 4 },
                Some(len) => Malformed::CutShort { len, expected: 17 },
            };
            match channel.inbox.next().await {
                Err(Closed::Malformed(malformed)) => assert_eq!(malformed, expected),
                other => panic!("{len}: {other:?}"),
            }
        }
        assert!(matches!(parse(b"").await, Err(Closed::There)));
    }

    #[tokio::test]
    async fn the_octets_of_a_part_of_a_frame_are_counted() {
        let (mut channel, mut far) = channel(64);
        channel.outbox.say(&Message::Finish).unwrap();
        let mut octets = [0xa5; FINISH.len()];
        far.read_exact(&mut octets).await.unwrap();
        let (begun, rest) = FINISH.split_at(9);
        far.write_all(begun).await.unwrap();
        timeout(PROMPT.write, channel.inbox.next()).await.unwrap_err();
        assert_eq!(channel.inbox.octets(), (FINISH.len() + begun.len()) as u64);
        far.write_all(rest).await.unwrap();
        assert_eq!(channel.inbox.next().await.unwrap(), Message::Finish);
        assert_eq!(channel.inbox.octets(), 2 * FINISH.len() as u64);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_after_each_octet_loses_none() {
        let (mut near, far) = duplex(64);
        let mut reader = Reader::new(far, FRAME_MAX);
        let (last, begun) = FINISH.split_last().unwrap();
        for _ in 0..3 {
            for octet in begun {
                near.write_all(&[*octet]).await.unwrap();
                timeout(Duration::ZERO, reader.next()).await.unwrap_err();
            }
            near.write_all(&[*last]).await.unwrap();
            assert_eq!(reader.next().await.unwrap(), Message::Finish);
        }
    }

    #[tokio::test]
    async fn a_length_above_the_maximum_is_refused_before_it_is_allocated() {
        let (mut near, far) = duplex(64);
        let mut reader = Reader::new(far, FRAME_MAX);
        let length = u32::try_from(FRAME_MAX + 1).unwrap();
        near.write_all(&length.to_be_bytes()).await.unwrap();
        // The second time, too: nothing after it can be trusted.
        for _ in 0..2 {
            let closed = reader.next().await.unwrap_err();
            assert_eq!(
                closed.to_string(),
                "a frame of 4194305 octets: at most 4194304 are allowed"
            );
        }
        assert!(reader.buffer.capacity() <= 64, "{}", reader.buffer.capacity());
    }

    #[tokio::test]
    async fn the_longest_frame_passes_and_its_memory_is_not_kept() {
        let message = fault(FRAME_MAX - fault(0).emit().len());
        let (near, far) = duplex(1 << 20);
        let near = Channel::open(near);
        near.outbox.say(&message.clone()).unwrap();
        let mut reader = Reader::new(far, FRAME_MAX);
        assert_eq!(reader.next().await.unwrap(), message);
        assert!(reader.buffer.capacity() <= 64, "{}", reader.buffer.capacity());
    }

    #[tokio::test]
    async fn what_would_not_be_read_is_not_written() {
        let (mut channel, mut far) = channel(64);
        channel.outbox.say(&fault(FRAME_MAX)).unwrap();
        let len = fault(FRAME_MAX).emit().len();
        let closed = channel.inbox.next().await.unwrap_err();
        assert!(matches!(closed, Closed::Oversize { len: got } if got == len), "{closed}");
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_length_of_0_is_refused() {
        let closed = parse(&[0, 0, 0, 0, 1]).await.unwrap_err();
        assert!(matches!(closed, Closed::Malformed(Malformed::Empty)), "{closed}");
    }

    #[tokio::test]
    async fn whoever_says_what_is_no_message_can_still_be_sent_the_reason() {
        let (Channel { outbox, mut inbox }, mut far) = channel(64);
        far.write_all(b"\0\0\0\x02{}\0\0\0\x02{}").await.unwrap();
        let closed = inbox.next().await.unwrap_err();
        assert!(matches!(closed, Closed::Malformed(Malformed::Message(_))), "{closed}");
        outbox.say(&Message::Finish).unwrap();
        drop(outbox);
        let mut octets = Vec::new();
        let (_, read) = join!(inbox.over(), far.read_to_end(&mut octets));
        read.unwrap();
        assert_eq!(octets, FINISH);
    }

    #[tokio::test]
    async fn what_is_queued_goes_out_before_the_connection_is_closed() {
        let (channel, mut far) = channel(5);
        for _ in 0..3 {
            channel.outbox.say(&Message::Finish).unwrap();
        }
        let mut octets = Vec::new();
        let (_, read) = join!(channel.close(), far.read_to_end(&mut octets));
        read.unwrap();
        assert_eq!(octets, FINISH.repeat(3));
    }

    #[tokio::test]
    async fn a_connection_whose_inbox_is_dropped_is_cut() {
        let (Channel { outbox, inbox }, mut far) = channel(5);
        outbox.say(&Message::Finish).unwrap();
        far.read_exact(&mut [0; 3]).await.unwrap();
        drop(inbox);
        let mut rest = Vec::new();
        timeout(SOON, far.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.len() < FINISH.len() - 3, "{}", rest.len());
        assert_eq!(outbox.say(&Message::Finish), Err(Unsaid::Closed));
    }

    /// Asserts that `channel`, whose peer reads nothing, ends by its deadline and says so.
    async fn check_stall(mut channel: Channel) {
        let began = tokio::time::Instant::now();
        channel.outbox.say(&fault(1 << 20)).unwrap();
        let closed = timeout(SOON, channel.inbox.next()).await.unwrap().unwrap_err();
        assert!(matches!(closed, Closed::Stalled { limit } if limit == PROMPT.write), "{closed}");
        assert!(PROMPT.write <= began.elapsed());
        let text = "the other end read nothing for 500ms, with a message waiting for it";
        assert_eq!(closed.to_string(), text);
        assert_eq!(channel.outbox.say(&Message::Finish), Err(Unsaid::Closed));
    }

    #[tokio::test]
    async fn a_peer_that_stops_reading_ends_within_the_deadline() {
        let (channel, _far) = channel(64);
        check_stall(channel).await;
    }

    fn identity(seed: u8) -> Identity {
        Identity::new(&SecretKey::from_seed([seed; 32]))
    }

    #[tokio::test]
    async fn over_tls_either_end_ends_within_the_deadline_where_the_other_stops_reading() {
        let (driver, agent) = (identity(1), identity(2));
        let connector = Connector::new(&driver, agent.public_key());
        let acceptor = Acceptor::new(&agent, [driver.public_key()]);
        for is_driver in [true, false] {
            let (near, far) = duplex(4096);
            let (near, far) = join!(connector.connect(near, SOON), acceptor.accept(far, SOON));
            let (near, (far, _)) = (near.unwrap(), far.unwrap());
            let (talker, _idler) = if is_driver { (near, far) } else { (far, near) };
            check_stall(Channel::open_within(talker, PROMPT, FRAME_MAX)).await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_is_no_peer_that_stops() {
        // Twenty times the pause between two reads, for hosts that are busy.
        let (limit, pause) = (Duration::from_secs(1), Duration::from_millis(50));
        let (near, mut far) = duplex(64);
        let channel = Channel::open_within(near, Deadlines { write: limit, ..PROMPT }, FRAME_MAX);
        let message = fault(25 * 64);
        let mut left = HEADER_LEN + message.emit().len();
        channel.outbox.say(&message).unwrap();
        let began = tokio::time::Instant::now();
        while 0 < left {
            tokio::time::sleep(pause).await;
            let read = far.read(&mut [0; 64]).await.unwrap();
            assert_ne!(read, 0, "it is cut with {left} octets to go");
            left -= read;
        }
        assert!(limit < began.elapsed());
    }

    /// The pumps before this one read nothing while they wrote.
    #[tokio::test]
    async fn two_ends_that_both_have_much_to_say_do_not_block_each_other() {
        let (near, far) = duplex(64);
        let (mut near, mut far) = (Channel::open(near), Channel::open(far));
        let message = fault(10_000);
        near.outbox.say(&message.clone()).unwrap();
        far.outbox.say(&message.clone()).unwrap();
        let both = async { join!(near.inbox.next(), far.inbox.next()) };
        let (at_near, at_far) = timeout(SOON, both).await.unwrap();
        assert_eq!((at_near.unwrap(), at_far.unwrap()), (message.clone(), message));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_takes_no_more_and_closing_it_takes_no_longer_than_a_farewell() {
        let (channel, _far) = channel(64);
        channel.outbox.say(&fault(100)).unwrap();
        // The pump takes the first one off the queue, and is stuck with it.
        tokio::task::yield_now().await;
        for _ in 0..OUTBOX_MAX {
            channel.outbox.say(&Message::Finish).unwrap();
        }
        assert_eq!(channel.outbox.say(&Message::Finish), Err(Unsaid::Full));
        timeout(SOON, channel.close()).await.unwrap();
    }

    /// 256 accounts of 2 MB waited in the first release, for each connection.
    #[tokio::test]
    async fn a_queue_takes_no_more_octets_than_two_of_the_longest_messages_have() {
        let (channel, _far) = channel(64);
        let account = fault(FRAME_MAX / 4);
        let said = (0..OUTBOX_MAX).filter(|_| channel.outbox.say(&account).is_ok()).count();
        assert_eq!(said, 7, "of 1 MiB and a little, in 8 MiB");
        assert_eq!(channel.outbox.say(&account), Err(Unsaid::Full));
        channel.outbox.say(&Message::Finish).unwrap();
    }

    /// The queue is read on until all of it is written: only the outbox itself can say so earlier.
    #[tokio::test]
    async fn a_farewell_has_its_deadline_however_slowly_the_other_end_reads() {
        let (channel, mut far) = channel(64);
        for _ in 0..OUTBOX_MAX {
            channel.outbox.say(&Message::Finish).unwrap();
        }
        let slow = async {
            let mut len = 0;
            loop {
                tokio::time::sleep(PROMPT.farewell / 10).await;
                match far.read(&mut [0; 10]).await.unwrap() {
                    0 => return len,
                    read => len += read,
                }
            }
        };
        let (_, len) = timeout(SOON, async { join!(channel.close(), slow) }).await.unwrap();
        assert!(len < OUTBOX_MAX * FINISH.len(), "{len}");
    }

    /// What is written meets a reset connection; the refusal before it is still read.
    #[tokio::test]
    async fn a_driver_that_is_not_listed_hears_so_while_it_speaks() {
        let (driver, agent) = (identity(3), identity(2));
        let connector = Connector::new(&driver, agent.public_key());
        let acceptor = Acceptor::new(&agent, [identity(1).public_key()]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = join!(near, listener.accept());
        let dial = async {
            let stream = connector.connect(near.unwrap(), SOON).await.unwrap();
            let mut channel = Channel::open(stream);
            channel.outbox.say(&Message::Finish).unwrap();
            channel.inbox.next().await.unwrap_err()
        };
        let (closed, accepted) = join!(dial, acceptor.accept(far.unwrap().0, SOON));
        assert!(matches!(closed, Closed::Refused), "{closed}");
        accepted.unwrap_err();
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut_of_the_stream(
            lens in prop::collection::vec(0_usize..200, 0..8),
            cut in 1_usize..300,
        ) {
            let said: Vec<Message> = lens.into_iter().map(fault).collect();
            let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let heard = runtime.block_on(async {
                let (near, far) = duplex(cut);
                let (near, mut far) = (Channel::open(near), Channel::open(far));
                for message in &said {
                    near.outbox.say(&message.clone()).unwrap();
                }
                let hear = async {
                    let mut heard = Vec::new();
                    while let Ok(message) = far.inbox.next().await {
                        heard.push(message);
                    }
                    heard
                };
                join!(near.close(), hear).1
            });
            prop_assert_eq!(heard, said);
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets: Vec<u8>) {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(parse(&octets));
        }
    }
}
