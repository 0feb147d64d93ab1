//! What the probes beside a trial showed.

use super::{Fact, Invalid, ReceiverCounts};
use crate::clock::Offset;
use crate::stats::delays::Delays;
use serde::{Deserialize, Serialize};

/// The most follow-ups that an account carries: those that no reply did.
const FOLLOW_UPS_MAX: usize = 1_024;

/// The highest differentiated services code point.
const DSCP_MAX: u8 = 63;

/// How probes were marked when they arrived.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Marks {
    /// Probes whose mark the kernel reported.
    pub seen: u64,
    /// Of those: probes that arrived with another mark than they were sent with.
    pub changed: u64,
    /// The mark of the last of those, 0 to 63; null where there was none.
    pub other: Option<u8>,
}

impl Marks {
    /// A probe arrived that was sent with the mark `sent`; its mark now, where the kernel reports
    /// it.
    pub const fn on_arrival(&mut self, sent: u8, arrived: Option<u8>) {
        let Some(arrived) = arrived else { return };
        self.seen += 1;
        if arrived != sent {
            self.changed += 1;
            self.other = Some(arrived);
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let holds = self.changed <= self.seen && self.other.is_none_or(|mark| mark <= DSCP_MAX);
        Invalid::unless(holds, "marks of more probes than arrived, or above 63")
    }
}

/// When a reply left the agent, by its kernel: a later reply carries it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FollowUp {
    /// The reply's number.
    pub sequence: u32,
    /// When it left, in ns of the agent's clock.
    pub sent_ns: u64,
}

/// What the agent counted of a trial's probes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ReflectorCounts {
    /// The probes that arrived.
    pub probes: ReceiverCounts,
    /// How they were marked.
    pub marks: Marks,
    /// Replies that the agent's kernel accepted.
    pub replies: u64,
    /// Replies that the agent's stack refused.
    pub refused: u64,
    /// When the newest replies left: what no later reply carried, or may have carried in vain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<FollowUp>,
}

impl Fact for ReflectorCounts {
    fn check(&self) -> Result<(), Invalid> {
        self.probes.check()?;
        self.marks.check()?;
        let fits = self.follow_ups.len() <= FOLLOW_UPS_MAX;
        Invalid::unless(fits, "more follow-ups than any agent keeps")
    }
}

/// What stamped the exchanges that delays are read from, each of four times. Where the kernel gave
/// none, the program read the clock, which makes a delay longer, never shorter.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timestamping {
    /// Probes that were answered and were not sent late.
    pub exchanges: u64,
    /// Exchanges with all four times by the kernel, or by the network card.
    pub by_kernel: u64,
    /// T1 by the kernel: the probe left the driver.
    pub probe_sent: u64,
    /// T2 by the kernel: the probe reached the agent.
    pub probe_received: u64,
    /// T3 by the kernel: the reply left the agent, and a follow-up said when.
    pub reply_sent: u64,
    /// T4 by the kernel: the reply reached the driver.
    pub reply_received: u64,
}

impl Timestamping {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let each = [self.probe_sent, self.probe_received, self.reply_sent, self.reply_received];
        let holds = |each: &u64| self.by_kernel <= *each && *each <= self.exchanges;
        Invalid::unless(each.iter().all(holds), "timestamping: more times than exchanges")
    }
}

/// What the probes showed of one direction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProbeCounts {
    /// Probes sent this way, in reverse replies; null where the end that knows did not report.
    pub sent: Option<u64>,
    /// Probes received this way, in reverse replies, each once; null likewise.
    pub received: Option<u64>,
    /// One-way delays above their minimum, clock skew removed.
    pub variation: Delays,
    /// RFC 3550 jitter in ns.
    pub jitter_rfc3550_ns: Option<f64>,
    /// How fast the agent's clock ran against the driver's, in parts per million, by this direction
    /// alone.
    pub skew_ppm: Option<f64>,
    /// How they were marked when they arrived; null where the end that knows did not report.
    pub marks: Option<Marks>,
}

impl ProbeCounts {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let jitter_ns = self.jitter_rfc3550_ns.unwrap_or(0.0);
        let holds = jitter_ns.is_finite() && 0.0 <= jitter_ns;
        Invalid::unless(holds, "probes: a jitter that is none")?;
        let holds = self.skew_ppm.is_none_or(f64::is_finite);
        Invalid::unless(holds, "probes: a skew that is none")?;
        self.marks.iter().try_for_each(Marks::check)
    }
}

/// How far the agent's clock is ahead of the driver's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClockOffset {
    /// How far it is ahead, in ns.
    pub agent_ahead_ns: i64,
    /// The bound of that offset's error, in ns.
    pub error_ns: u64,
}

impl From<Offset> for ClockOffset {
    fn from(offset: Offset) -> Self {
        Self { agent_ahead_ns: offset.agent_ahead_ns(), error_ns: offset.error_ns() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::{check, refuses_absurd_numbers};

    #[test]
    fn an_account_of_probes_is_read_back_whole_and_an_absurd_one_refused() {
        let mut marks = Marks::default();
        [Some(46), None, Some(0)].into_iter().for_each(|mark| marks.on_arrival(46, mark));
        let follow_ups = vec![FollowUp { sequence: 7, sent_ns: 9 }];
        let sound = ReflectorCounts { marks, replies: 3, follow_ups, ..Default::default() };
        assert_eq!((marks.seen, marks.changed, marks.other), (2, 1, Some(0)));
        refuses_absurd_numbers(&sound);
        check(&ReflectorCounts { marks: Marks { changed: 3, ..marks }, ..sound.clone() }, false);
        check(&ReflectorCounts { marks: Marks { other: Some(64), ..marks }, ..sound }, false);
    }
}
