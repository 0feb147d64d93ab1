//! What happened in a trial, as both ends together know it.

use super::{
    ClockOffset, Fact, HostCounts, Invalid, Moved, ProbeCounts, ReceiverCounts, SenderCounts,
    Silences, StatedClocks, TcpReceiverCounts, TcpSenderCounts, ThroughputEvidence, Timestamping,
};
use crate::direction::Direction;
use crate::stats::delays::Delays;
use serde::{Deserialize, Serialize};

/// How far a trial got.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran to its end, and both ends reported what they counted.
    Ok,
    /// It was cut short, or the account of one end is missing or not valid.
    Partial,
    /// It was ended because others suffered, or because somebody stopped all load: nothing is
    /// judged by it.
    Aborted,
    /// The agent did not allow it.
    Refused,
    /// No packet of it was sent.
    #[default]
    NotRun,
}

impl Status {
    /// Its name in records and rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::NotRun => "not_run",
        }
    }
}

/// What both ends counted in one direction of a trial: of its load, or of its probes if there was
/// no load.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct OneWayCounts {
    /// What the sender counted; null if its account is missing.
    pub sender: Option<SenderCounts>,
    /// What the receiver counted; null if its account is missing.
    pub receiver: Option<ReceiverCounts>,
    /// What the sender of TCP counted; null if its account is missing, or there was no TCP.
    pub tcp_sender: Option<TcpSenderCounts>,
    /// What the receiver of TCP counted; null if its account is missing, or there was no TCP.
    pub tcp_receiver: Option<TcpReceiverCounts>,
    /// Intervals in which neither load nor probes arrived, from 50 ms on, or from what a shorter
    /// bound on outages needs. Outages are derived from them.
    pub silences: Silences,
    /// What the probes showed in this direction.
    pub probes: ProbeCounts,
    /// The evidence that throughput is recomputed from; absent if throughput was judged by due
    /// times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<ThroughputEvidence>,
}

/// The round trip of a trial's probes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RoundTripCounts {
    /// Round-trip times of the probes in ns, without the time spent in the agent.
    pub delays: Delays,
    /// Probes that were sent too late for a delay measurement.
    pub late_probes: u64,
    /// The longest time from when a late probe was due until its reply came, in ns, without the
    /// time spent in the agent: on a path that keeps packets in order, an upper bound on its round
    /// trip had it left in time. Null if no probe was late, or one of them was not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_delay_max_ns: Option<u64>,
    /// What timestamped the other probes that were answered.
    pub timestamping: Timestamping,
    /// Offset between the two clocks, as the probe with the shortest round trip or the hosts' own
    /// statements bound it best; null if no probe was answered.
    pub clock_offset: Option<ClockOffset>,
    /// What the hosts state of their wall clocks; absent if neither states anything.
    #[serde(skip_serializing_if = "StatedClocks::is_empty")]
    pub stated_clocks: StatedClocks,
    /// Number of steps seen in the offset between the two clocks.
    pub clock_steps: u64,
}

impl RoundTripCounts {
    /// Whether what both hosts state of their clocks bounds one-way delays more closely than half
    /// the least round trip does.
    #[must_use]
    pub fn are_clocks_closer(&self) -> bool {
        let half_ns = self.delays.min_ns().map_or(u64::MAX, |least_ns| least_ns / 2);
        let stated = self.stated_clocks.offset().filter(|_| self.clock_steps == 0);
        stated.is_some_and(|offset| offset.error_ns() < half_ns)
    }
}

/// The path MTU: the largest IP packet that crosses the path unfragmented both ways.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathMtu {
    /// Its octets, IP header included.
    pub octets: u32,
    /// Octets of the largest packet that was tried.
    pub tried_octets: u32,
    /// Octets of the largest packet that the driver's kernel still takes the path to carry, after
    /// larger ones than cross were tried; null if not known.
    #[serde(default)]
    pub kernel_octets: Option<u32>,
}

impl PathMtu {
    /// Whether packets that the driver's kernel would send vanish without an ICMP error.
    #[must_use]
    pub fn is_black_hole(&self) -> bool {
        let is_found = self.octets < self.tried_octets;
        is_found && self.kernel_octets.is_some_and(|kernel| self.octets < kernel)
    }
}

/// What happened in a trial. Whoever keeps it knows which trial that was.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outcome {
    /// Whether it ran to its end.
    pub status: Status,
    /// Why the status is not `ok`; null if it is.
    pub reason: Option<String>,
    /// When its first packet was due, in ns since 1970-01-01 UTC by the driver's wall clock; `None`
    /// if none was sent. A record has it as `started_at`.
    #[serde(skip)]
    pub started_ns: Option<u64>,
    /// When its last packet was due, or when it was cut short, by the same clock. A record has it
    /// as `ended_at`.
    #[serde(skip)]
    pub ended_ns: Option<u64>,
    /// Counts of the direction from driver to agent.
    pub forward: OneWayCounts,
    /// Counts of the direction from agent to driver.
    pub reverse: OneWayCounts,
    /// The round trip, from driver to agent and back.
    pub round_trip: RoundTripCounts,
    /// Drops, errors and clock steps of the driver's host; null if not known.
    pub driver_host: Option<HostCounts>,
    /// Drops, errors and clock steps of the agent's host; null if it did not report them, or not
    /// validly.
    pub agent_host: Option<HostCounts>,
    /// Streams that came to the agent from another address than before, in the order of their
    /// moves: a NAT on the path had forgotten them. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Moved>,
}

impl Outcome {
    /// A trial of which nothing happened.
    #[must_use]
    pub fn nothing(status: Status, reason: String) -> Self {
        Self { status, reason: Some(reason), ..Self::default() }
    }

    /// Notes that it began at `started_ns` by the driver's wall clock, was to last `duration_ns`,
    /// and is over at `now_ns`.
    pub fn set_times(&mut self, started_ns: u64, duration_ns: u64, now_ns: u64) {
        let due_ns = started_ns.saturating_add(duration_ns);
        self.started_ns = Some(started_ns);
        // A wall clock that was set back meanwhile gives no end before the start.
        self.ended_ns = Some(now_ns.clamp(started_ns, due_ns));
    }

    /// One direction of it.
    #[must_use]
    pub const fn one_way(&self, direction: Direction) -> &OneWayCounts {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }

    /// One direction of it, to be filled in.
    pub const fn one_way_mut(&mut self, direction: Direction) -> &mut OneWayCounts {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// What the hosts that send and receive in `direction` reported; `None` where one did not.
    #[must_use]
    pub const fn hosts(&self, direction: Direction) -> (Option<&HostCounts>, Option<&HostCounts>) {
        let (driver, agent) = (self.driver_host.as_ref(), self.agent_host.as_ref());
        match direction {
            Direction::Forward => (driver, agent),
            Direction::Reverse => (agent, driver),
        }
    }

    /// Takes in what the driver's host reports against itself, the last account of a trial: now it
    /// is known which of the packets that a host dropped had arrived damaged.
    pub fn take_driver_host(&mut self, host: HostCounts) {
        self.driver_host = Some(host);
        for direction in Direction::ALL {
            let corrupted = self.hosts(direction).1.map_or(0, |host| host.checksum_errors);
            if let Some(receiver) = &mut self.one_way_mut(direction).receiver {
                receiver.blame_link_for(corrupted);
            }
        }
    }
}

impl OneWayCounts {
    fn check(&self) -> Result<(), Invalid> {
        self.sender.iter().try_for_each(Fact::check)?;
        self.receiver.iter().try_for_each(Fact::check)?;
        self.tcp_sender.iter().try_for_each(Fact::check)?;
        self.tcp_receiver.iter().try_for_each(Fact::check)?;
        self.silences.check()?;
        self.probes.check()?;
        self.throughput.iter().try_for_each(ThroughputEvidence::check)
    }
}

impl Fact for Outcome {
    fn check(&self) -> Result<(), Invalid> {
        self.forward.check()?;
        self.reverse.check()?;
        self.round_trip.timestamping.check()?;
        self.moves.check()?;
        self.driver_host.iter().chain(&self.agent_host).try_for_each(Fact::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::claim::tests::{check, refuses_absurd_numbers};
    use crate::account::{Silence, TransitBlock, TransitFit, TransitSample};

    fn outcome() -> Outcome {
        let silence = Silence {
            end_ns: 60_000_000,
            departure_gap_ns: Some(59_000_000),
            lost_span_ns: Some(50_000_000),
            ..Silence::default()
        };
        let fit = TransitFit { sent: 3, carried: 2, spread_ns: Some(5), ..TransitFit::default() };
        let throughput = ThroughputEvidence {
            window_end_ns: 9,
            whole: fit,
            last_third: fit,
            blocks: vec![TransitBlock { count: 2, ..TransitBlock::default() }],
            trailing_probes: vec![TransitSample { sent_ns: 11, transit_ns: Some(3) }],
            ..ThroughputEvidence::default()
        };
        let forward = OneWayCounts {
            sender: Some(SenderCounts { sent: 3, ..SenderCounts::default() }),
            receiver: Some(ReceiverCounts { received: 2, ..ReceiverCounts::default() }),
            silences: Silences::from_vec(vec![silence]).expect("one"),
            throughput: Some(throughput),
            ..OneWayCounts::default()
        };
        let offset = ClockOffset { agent_ahead_ns: 0, error_ns: 4 };
        let round_trip =
            RoundTripCounts { clock_offset: Some(offset), ..RoundTripCounts::default() };
        Outcome { forward, round_trip, ..Outcome::default() }
    }

    #[test]
    fn an_outcome_is_read_back_whole_and_an_absurd_one_refused() {
        check(&outcome(), true);
        let mut negative = outcome();
        let offset = ClockOffset { agent_ahead_ns: -5, error_ns: 4 };
        negative.round_trip.clock_offset = Some(offset);
        check(&negative, true);
        let counts = outcome().forward;
        refuses_absurd_numbers(&counts.sender.expect("it has one"));
    }

    #[test]
    fn an_outcome_is_as_sound_as_its_parts() {
        let mut part = outcome();
        part.forward.throughput.as_mut().expect("it has one").whole.carried = 4;
        check(&part, false);
        let mut part = outcome();
        part.forward.sender.as_mut().expect("it has one").steady = 4;
        check(&part, false);
        let mut part = outcome();
        part.round_trip.timestamping.by_kernel = 1;
        check(&part, false);
        let mut part = outcome();
        part.reverse.probes.jitter_rfc3550_ns = Some(-1.0);
        check(&part, false);
    }

    #[test]
    fn a_trial_ends_when_its_last_packet_was_due_or_when_it_was_cut_short() {
        let ended_ns = |now_ns| {
            let mut outcome = Outcome::default();
            outcome.set_times(10, 5, now_ns);
            outcome.ended_ns
        };
        assert_eq!([12, 15, 18, 3].map(ended_ns), [12, 15, 15, 10].map(Some));
    }

    #[test]
    fn damaged_packets_are_the_links_loss_and_not_the_hosts() {
        let mut outcome = outcome();
        outcome.agent_host = Some(HostCounts { checksum_errors: 2, ..HostCounts::default() });
        outcome.forward.receiver.as_mut().expect("it has one").host_dropped = 3;
        outcome.take_driver_host(HostCounts::default());
        let receiver = outcome.forward.receiver.expect("it has one");
        assert_eq!((receiver.host_dropped, receiver.lost()), (1, 2));
    }

    #[test]
    fn what_a_host_did_not_report_is_null_and_never_0() {
        let nothing = Outcome::nothing(Status::NotRun, "it was interrupted".to_owned());
        let record = serde_json::to_value(&nothing).expect("JSON");
        assert!(record["driver_host"].is_null() && record["agent_host"].is_null(), "{record:#}");
        assert_eq!(nothing.hosts(Direction::Forward), (None, None));
        check(&nothing, true);
    }
}
