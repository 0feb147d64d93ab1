//! Messages on a stream: each is a length and that many octets.
//!
//! ```text
//! +-------------------------------+---------------------------+
//! | length (32 bit, big-endian)   | body (length octets)      |
//! +-------------------------------+---------------------------+
//! ```
//!
//! Never allocates for octets that have not come, beyond [`CHUNK`]; never reads beyond the frame.

use std::{io, mem};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets by which the memory of a body grows: one TLS record (RFC 8446, section 5.1). It grows by
/// sums, not by doubling, so that what is held is what came; a body has few records.
pub const CHUNK: usize = 16 << 10;

const HEADER_LEN: usize = 4;

/// Reads frames from a stream, and keeps the part of a frame that has come.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    body_max: usize,
    header: [u8; HEADER_LEN],
    header_len: usize,
    body: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `stream` frames of 1 to `body_max` octets.
    pub const fn new(stream: R, body_max: usize) -> Self {
        Self { stream, body_max, header: [0; HEADER_LEN], header_len: 0, body: Vec::new() }
    }

    /// The body of the next frame, or `None` at the end of the stream between two frames.
    ///
    /// Cancel-safe: what has come when the future is dropped counts at the next call.
    ///
    /// # Errors
    ///
    /// The length is not allowed, the stream ends within a frame, or breaks. What follows then is
    /// without meaning: close the stream.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        while self.header_len < HEADER_LEN {
            let came = self.stream.read(&mut self.header[self.header_len..]).await?;
            if came == 0 && self.header_len == 0 {
                return Ok(None);
            }
            if came == 0 {
                return Err(FrameError::CutShort { len: self.header_len, expected: HEADER_LEN });
            }
            self.header_len += came;
        }
        let length = usize::try_from(u32::from_be_bytes(self.header)).unwrap_or(usize::MAX);
        check_length(length, self.body_max)?;
        while self.body.len() < length {
            let missing = length - self.body.len();
            if self.body.len() == self.body.capacity() {
                self.body.reserve_exact(missing.min(CHUNK));
            }
            let mut rest = (&mut self.stream).take(missing as u64);
            if rest.read_buf(&mut self.body).await? == 0 {
                return Err(FrameError::CutShort { len: self.body.len(), expected: length });
            }
        }
        self.header_len = 0;
        Ok(Some(mem::take(&mut self.body)))
    }
}

/// Reads one frame's body of 1 to `body_max` octets; `None` where the stream ends before it.
///
/// Not cancel-safe: where the wait may be given up, keep a [`FrameReader`].
///
/// # Errors
///
/// As [`FrameReader::next`].
pub async fn read_frame<R: AsyncRead + Unpin>(
    stream: &mut R,
    body_max: usize,
) -> Result<Option<Vec<u8>>, FrameError> {
    FrameReader::new(stream, body_max).next().await
}

/// Writes `body` of 1 to `body_max` octets as one frame, and flushes it.
///
/// Not cancel-safe: if the future is dropped, half a frame may have gone; close the stream.
///
/// # Errors
///
/// The length is not allowed, and nothing has been written; or the stream breaks.
pub async fn write_frame<W: AsyncWrite + Unpin>(
    stream: &mut W,
    body: &[u8],
    body_max: usize,
) -> Result<(), FrameError> {
    check_length(body.len(), body_max)?;
    let Ok(length) = u32::try_from(body.len()) else {
        return Err(FrameError::TooLong { len: body.len(), body_max: u32::MAX as usize });
    };
    // In one piece, so that a small message is one TLS record.
    let frame = [&length.to_be_bytes(), body].concat();
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

const fn check_length(len: usize, body_max: usize) -> Result<(), FrameError> {
    if len == 0 {
        return Err(FrameError::Empty);
    }
    if body_max < len {
        return Err(FrameError::TooLong { len, body_max });
    }
    Ok(())
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length of 0.
    #[error("a frame of 0 octets: a message has at least 1")]
    Empty,
    /// A length beyond what this end takes.
    #[error("a frame of {len} octets: at most {body_max} are allowed")]
    TooLong {
        /// Octets announced.
        len: usize,
        /// Octets allowed.
        body_max: usize,
    },
    /// The stream ended in the midst of a header or a body.
    #[error("the connection ended within a frame: {len} of {expected} octets had come")]
    CutShort {
        /// Octets that came.
        len: usize,
        /// Octets that were to come.
        expected: usize,
    },
    /// The stream broke; [`is_refusal`](crate::io::tls::is_refusal) tells why, where it is TLS.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::{io::duplex, runtime, time::timeout};

    const GOLDEN: [u8; 7] = [0, 0, 0, 3, b'a', b'b', b'c'];

    #[tokio::test]
    async fn a_frame_is_emitted_and_parsed() {
        let mut stream = Vec::new();
        write_frame(&mut stream, b"abc", 3).await.unwrap();
        assert_eq!(stream, GOLDEN);
        let mut rest = &GOLDEN[..];
        assert_eq!(read_frame(&mut rest, 3).await.unwrap().unwrap(), b"abc");
        assert!(read_frame(&mut rest, 3).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn every_truncation_but_the_empty_one_is_an_error() {
        for len in 1..GOLDEN.len() {
            let err = read_frame(&mut &GOLDEN[..len], 3).await.unwrap_err();
            let expected = if len < 4 {
                format!("{len} of 4 octets")
            } else {
                format!("{} of 3 octets", len - 4)
            };
            assert!(err.to_string().contains(&expected), "{len}: {err}");
        }
    }

    #[tokio::test]
    async fn a_length_above_the_maximum_is_refused_before_its_body_comes() {
        let (mut near, far) = duplex(64);
        near.write_all(&[0, 0, 0, 4]).await.unwrap();
        let mut reader = FrameReader::new(far, 3);
        // The second time, too: nothing after it can be trusted.
        for _ in 0..2 {
            let message = reader.next().await.unwrap_err().to_string();
            assert_eq!(message, "a frame of 4 octets: at most 3 are allowed");
        }
        assert_eq!(reader.body.capacity(), 0);
    }

    #[tokio::test]
    async fn a_length_of_0_is_refused() {
        let err = read_frame(&mut &[0, 0, 0, 0, 1][..], 3).await.unwrap_err();
        assert!(matches!(err, FrameError::Empty));
    }

    #[tokio::test]
    async fn what_would_not_be_read_is_not_written() {
        let mut stream = Vec::new();
        let empty = write_frame(&mut stream, b"", 3).await.unwrap_err();
        assert!(matches!(empty, FrameError::Empty));
        let long = write_frame(&mut stream, b"abcd", 3).await.unwrap_err();
        assert!(matches!(long, FrameError::TooLong { len: 4, body_max: 3 }));
        assert!(stream.is_empty());
    }

    #[tokio::test]
    async fn memory_grows_with_what_came_not_with_what_was_announced() {
        let (mut near, far) = duplex(1 << 20);
        let mut reader = FrameReader::new(far, usize::MAX);
        near.write_all(&[0xff; 4]).await.unwrap();
        for came in [0, 1, CHUNK, 3 * CHUNK + 1] {
            near.write_all(&vec![0xa5; came - reader.body.len()]).await.unwrap();
            timeout(Duration::ZERO, reader.next()).await.unwrap_err();
            assert_eq!(reader.body.len(), came);
            assert!(reader.body.capacity() <= came + CHUNK, "{}", reader.body.capacity());
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_after_each_octet_loses_none() {
        let (mut near, far) = duplex(64);
        let mut reader = FrameReader::new(far, 3);
        for _ in 0..3 {
            for octet in &GOLDEN[..6] {
                near.write_all(&[*octet]).await.unwrap();
                timeout(Duration::ZERO, reader.next()).await.unwrap_err();
            }
            near.write_all(&GOLDEN[6..]).await.unwrap();
            assert_eq!(reader.next().await.unwrap().unwrap(), b"abc");
        }
        drop(near);
        assert!(reader.next().await.unwrap().is_none());
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
            cut in 1_usize..300,
        ) {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(async {
                let (mut near, far) = duplex(cut);
                let write = async {
                    for body in &bodies {
                        write_frame(&mut near, body, 200).await.unwrap();
                    }
                    drop(near);
                };
                let read = async {
                    let mut reader = FrameReader::new(far, 200);
                    let mut read = Vec::new();
                    while let Some(body) = reader.next().await.unwrap() {
                        read.push(body);
                    }
                    read
                };
                tokio::join!(write, read).1
            });
            prop_assert_eq!(read, bodies);
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets: Vec<u8>) {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_frame(&mut &octets[..], 16));
        }
    }
}
