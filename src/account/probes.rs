//! What the probes beside a trial showed.

use super::{Fact, Invalid, ReceiverCounts};
use crate::clock::Offset;
use crate::stats::delays::Delays;
use serde::{Deserialize, Serialize};

/// The most follow-ups that an account carries: those that no reply did.
const FOLLOW_UPS_MAX: usize = 1_024;

/// The highest differentiated services code point.
const DSCP_MAX: u8 = 63;

/// DSCP of the probes when they arrived.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Marks {
    /// Probes whose DSCP the kernel reported on arrival; null in records converted from format 2.
    pub seen: Option<u64>,
    /// Of those: probes that arrived with another DSCP than they were sent with.
    #[serde(default)]
    pub changed: u64,
    /// DSCP of the last of those, a number from 0 to 63; null if there was none.
    pub other: Option<u8>,
}

impl Default for Marks {
    /// No probe has arrived yet.
    fn default() -> Self {
        Self { seen: Some(0), changed: 0, other: None }
    }
}

impl Marks {
    /// A probe arrived that was sent with the mark `sent`; its mark now, where the kernel reports
    /// it.
    pub const fn on_arrival(&mut self, sent: u8, arrived: Option<u8>) {
        let Some(arrived) = arrived else { return };
        let Some(seen) = &mut self.seen else { return };
        *seen += 1;
        if arrived != sent {
            self.changed += 1;
            self.other = Some(arrived);
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        let is_part = self.seen.is_none_or(|seen| self.changed <= seen);
        let holds = is_part && self.other.is_none_or(|mark| mark <= DSCP_MAX);
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
    /// Replies that the agent's stack refused, or its meter.
    pub refused: u64,
    /// Handshake datagrams that arrived for those of the trial's streams that never opened: whether
    /// UDP is blocked on the way there, or on the way back.
    pub unopened_hellos: u64,
    /// When the newest replies left: what no later reply carried, or may have carried in vain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<FollowUp>,
}

impl ReflectorCounts {
    /// Probes that arrived and were not answered, because the agent's stack or its meter refused
    /// the reply.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.refused.min(self.probes.received.saturating_sub(self.replies))
    }
}

impl Fact for ReflectorCounts {
    fn check(&self) -> Result<(), Invalid> {
        self.probes.check()?;
        self.marks.check()?;
        let fits = self.follow_ups.len() <= FOLLOW_UPS_MAX;
        Invalid::unless(fits, "more follow-ups than any agent keeps")
    }
}

/// What took the four timestamps of each probe and its reply (T1 to T4). Where the kernel has none,
/// the program reads the clock, which makes a delay longer, never shorter.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timestamping {
    /// Probes that were answered and were not sent late.
    pub exchanges: u64,
    /// Of those: probes with all four timestamps by the kernel or the network card.
    pub by_kernel: u64,
    /// Probes with T1 by the kernel: the probe left the driver.
    pub probe_sent: u64,
    /// Probes with T2 by the kernel: the probe arrived at the agent.
    pub probe_received: u64,
    /// Probes with T3 by the kernel: the reply left the agent, as a follow-up reported.
    pub reply_sent: u64,
    /// Probes with T4 by the kernel: the reply arrived at the driver.
    pub reply_received: u64,
}

impl Timestamping {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let each = [self.probe_sent, self.probe_received, self.reply_sent, self.reply_received];
        let holds = |each: &u64| self.by_kernel <= *each && *each <= self.exchanges;
        Invalid::unless(each.iter().all(holds), "timestamping: more times than exchanges")
    }
}

/// One-way delays in ns: where the clocks' offset leaves each open, as short and as long as it can
/// have been.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct DelayBounds {
    /// Each as short as it can have been, in ns.
    pub low: Delays,
    /// Each as long as it can have been, in ns.
    pub high: Delays,
}

impl DelayBounds {
    fn check(&self) -> Result<(), Invalid> {
        let holds =
            self.low.total() == self.high.total() && self.low.min_ns() <= self.high.min_ns();
        Invalid::unless(holds, "probes: bounds of delays that are no pairs")
    }
}

/// What the probes showed in one direction. In reverse, the replies are the probes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProbeCounts {
    /// Probes sent; null if the end that counts them did not report.
    pub sent: Option<u64>,
    /// Probes received, each counted once; null if the end that counts them did not report.
    pub received: Option<u64>,
    /// One-way delays above their minimum in ns, of the probes that arrived, with the clock skew
    /// removed.
    pub variation: Delays,
    /// One-way delays of the probes that arrived and were answered, between their bounds; absent if
    /// they were not recorded, or the two clocks did not run evenly against each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays: Option<DelayBounds>,
    /// RFC 3550 jitter in ns; null if not known.
    pub jitter_rfc3550_ns: Option<f64>,
    /// Clock skew, estimated from this direction alone, in parts per million: how fast the agent's
    /// clock runs against the driver's; null if not known.
    pub skew_ppm: Option<f64>,
    /// DSCP on arrival; null if the end that reads it did not report.
    pub marks: Option<Marks>,
}

impl ProbeCounts {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let jitter_ns = self.jitter_rfc3550_ns.unwrap_or(0.0);
        let holds = jitter_ns.is_finite() && 0.0 <= jitter_ns;
        Invalid::unless(holds, "probes: a jitter that is none")?;
        let holds = self.skew_ppm.is_none_or(f64::is_finite);
        Invalid::unless(holds, "probes: a skew that is none")?;
        self.delays.iter().try_for_each(DelayBounds::check)?;
        self.marks.iter().try_for_each(Marks::check)
    }
}

/// Offset between the two clocks, with its error bound.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClockOffset {
    /// How far the agent's clock is ahead of the driver's, in ns; negative if it is behind.
    pub agent_ahead_ns: i64,
    /// Error bound of that offset, in ns: the true offset is within plus or minus this.
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
    fn a_probe_is_withheld_once_whatever_copies_of_it_were_not_answered() {
        let withheld = |received, replies, refused| {
            let probes = ReceiverCounts { received, ..ReceiverCounts::default() };
            ReflectorCounts { probes, replies, refused, ..ReflectorCounts::default() }.withheld()
        };
        assert_eq!([withheld(10, 7, 3), withheld(10, 7, 5), withheld(10, 7, 1)], [3, 3, 1]);
        assert_eq!(withheld(10, 12, 4), 0, "all were answered, and copies too");
    }

    #[test]
    fn an_account_of_probes_is_read_back_whole_and_an_absurd_one_refused() {
        let mut marks = Marks::default();
        [Some(46), None, Some(0)].into_iter().for_each(|mark| marks.on_arrival(46, mark));
        let follow_ups = vec![FollowUp { sequence: 7, sent_ns: 9 }];
        let sound = ReflectorCounts { marks, replies: 3, follow_ups, ..Default::default() };
        assert_eq!((marks.seen, marks.changed, marks.other), (Some(2), 1, Some(0)));
        refuses_absurd_numbers(&sound);
        check(&ReflectorCounts { marks: Marks { changed: 3, ..marks }, ..sound.clone() }, false);
        check(&ReflectorCounts { marks: Marks { other: Some(64), ..marks }, ..sound }, false);
    }
}
