//! What each end tells of a TCP stream: plain numbers, as the kernel names them.

use super::control::GapMessage;
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

/// A moment of all streams of a direction together.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SampleMessage {
    /// Streams that were asked.
    pub streams: u64,
    /// The sum of their smoothed round trips, in microseconds.
    pub rtt_us_sum: u64,
    /// The greatest of them.
    pub rtt_us_max: u64,
    /// The sum of their congestion windows, in segments.
    pub cwnd_sum: u64,
    /// Segments sent again so far.
    pub retransmits: u64,
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
    pub gaps: Vec<GapMessage>,
    /// Whether the stream's end came.
    pub ended: bool,
}
