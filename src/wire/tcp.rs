//! What each end tells of a TCP stream: plain numbers, as the kernel names them.

use super::StreamNumber;
use super::control::{DelaysMessage, SilenceMessage};
use serde::{Deserialize, Serialize};

/// What the sending kernel knows of a connection (`TCP_INFO`); `None` where it is too old to tell.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TcpInfo {
    /// Smoothed round trip, in microseconds.
    pub rtt_us: u64,
    /// The least round trip, in microseconds.
    pub min_rtt_us: Option<u64>,
    /// Congestion window, in segments.
    pub cwnd: u64,
    /// Payload of a full segment.
    pub mss: u32,
    /// Whether segments carry timestamps.
    pub timestamps: bool,
    /// Segments sent again.
    pub retransmits: u64,
    /// Octets sent, those sent again among them.
    pub bytes_sent: Option<u64>,
    /// Octets sent again.
    pub bytes_retransmitted: Option<u64>,
    /// Segments that the receiver says it had already: sent again for nothing.
    pub duplicates: Option<u64>,
    /// How often segments were seen out of order.
    pub reordered: Option<u64>,
    /// Microseconds in which there was something to send.
    pub busy_us: Option<u64>,
    /// Of those: limited by the receiver's window.
    pub receiver_limited_us: Option<u64>,
    /// Of those: limited by the sender's own buffer.
    pub buffer_limited_us: Option<u64>,
}

/// A buffer of one end of a connection, in octets as the kernel counts them: twice the payload that
/// it holds, for what stands around that.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TcpBuffer {
    /// What the rate times the round trip needs.
    pub needed: u64,
    /// How far this host's kernel lets it grow by itself.
    pub tuned_max: Option<u64>,
    /// What it was set to; `None` where the kernel was left to tune it.
    pub granted: Option<u64>,
    /// Why it is less than is needed; `None` where it is not.
    pub reason: Option<String>,
}

/// What a receiver found when it compared what came with what was sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TcpChecked {
    /// Octets that were compared.
    pub octets: u64,
    /// Of those: octets that are others than were sent.
    pub damaged: u64,
    /// The stream in which the first was found.
    pub stream: Option<StreamNumber>,
    /// Where that is in it: so many octets came before.
    pub first_at: Option<u64>,
    /// Where the last one is that was found in that stream.
    pub last_at: Option<u64>,
}

/// A second of all streams of a direction together, which were looked at each 100 ms of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SampleMessage {
    /// Streams that were asked.
    pub streams: u64,
    /// The sum of their smoothed round trips at its end, in microseconds.
    pub rtt_us_sum: u64,
    /// The least of them in it.
    pub rtt_us_min: u64,
    /// The greatest of them in it.
    pub rtt_us_max: u64,
    /// The sum of their congestion windows at its end, in segments.
    pub cwnd_sum: u64,
    /// The sum of the greatest congestion window of each in it.
    pub cwnd_max_sum: u64,
    /// Segments sent again so far.
    pub retransmits: u64,
    /// Of those: segments that the receiver had already.
    pub duplicates: Option<u64>,
    /// How often segments were seen out of order so far.
    pub reordered: Option<u64>,
    /// Microseconds in which there was something to send, so far.
    pub busy_us: Option<u64>,
    /// Of those: limited by the receiver's window.
    pub receiver_limited_us: Option<u64>,
    /// Of those: limited by the sender's own buffer.
    pub buffer_limited_us: Option<u64>,
}

/// A sender's account of a TCP stream.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TcpSentMessage {
    /// Octets of payload that the kernel took.
    pub octets: u64,
    /// The kernel's name of the congestion control; empty where the stream never was.
    pub congestion_control: String,
    /// What the kernel knew in the end.
    pub last: TcpInfo,
    /// Before, each second, and after.
    pub samples: Vec<SampleMessage>,
    /// Its smoothed round trip, each 100 ms.
    pub round_trips: DelaysMessage,
    /// How long its thread was kept from sending, in nanoseconds.
    pub held_up_ns: u64,
    /// Its send buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<TcpBuffer>,
    /// Why it ended before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Why its host could not send it at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A receiver's account of a TCP stream.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TcpCameMessage {
    /// Octets of payload that came.
    pub octets: u64,
    /// The same by the second, from the first arrival.
    pub per_second: Vec<u64>,
    /// When the first came, on the receiver's clock.
    pub began_ns: Option<u64>,
    /// Times without arrival.
    pub gaps: Vec<SilenceMessage>,
    /// Whether the stream's end came.
    pub ended: bool,
    /// What was compared; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<TcpChecked>,
    /// Its receive buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<TcpBuffer>,
}
