//! The states of a conversation, of its connection and of its trial, and until when each waits.
//! They never say anything: what follows a state is decided where it is consumed.

use super::{REACH_MAX, Session, Task};
use crate::account::{ReceiverCounts, SenderCounts, TcpReceiverCounts, TcpSenderCounts};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{LATE_MAX, PROBE_STREAM, Probed, Stream, TcpStream};
use crate::plan::Trial;
use crate::session::QUIET_MAX;
use crate::wire::StreamNumber;
use crate::wire::control::Account;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) enum State {
    ExpectHello {
        until: Stamp<Driver>,
    },
    Idle,
    /// `then` waits for a grant that is asked for once more.
    ExpectGrant {
        then: Option<(Task, Trial)>,
        until: Stamp<Driver>,
    },
    ExpectPrepared {
        task: Task,
        trial: Trial,
        until: Stamp<Driver>,
    },
    Opening {
        task: Task,
        running: Running,
    },
    ExpectStarted {
        running: Running,
        until: Stamp<Driver>,
    },
    Running(Running),
    Searching,
    ExpectAccount {
        found: Option<u32>,
        until: Stamp<Driver>,
    },
    Over,
}

/// How the agent can be spoken to.
#[derive(Debug)]
pub(super) enum Link {
    /// The run has a connection.
    Open,
    /// The hands open another, beside one that is silent or in the place of one that closed.
    Dialling,
    /// Another is open; the agent is asked for the run.
    Attaching { until: Stamp<Driver> },
    /// The agent could not be reached: the next try comes.
    Waiting { until: Stamp<Driver> },
    /// There will be none any more.
    Lost,
}

/// A trial under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) trial: Trial,
    pub(super) streams: Vec<Stream>,
    pub(super) tcp: Vec<TcpStream>,
    pub(super) opened: usize,
    pub(super) started: bool,
    pub(super) ends_at: Stamp<Driver>,
    pub(super) heard: Stamp<Driver>,
    pub(super) sent: BTreeMap<StreamNumber, SenderCounts>,
    pub(super) came: BTreeMap<StreamNumber, ReceiverCounts>,
    pub(super) tcp_sender: BTreeMap<StreamNumber, TcpSenderCounts>,
    pub(super) tcp_receiver: BTreeMap<StreamNumber, TcpReceiverCounts>,
    pub(super) probed: Option<Box<Probed>>,
    pub(super) account: Option<Account>,
    pub(super) stopping: Option<Stopping>,
}

/// A trial that is cut short: the hands and the agent are given a moment to tell what they have.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) reason: String,
    pub(super) until: Stamp<Driver>,
}

impl Running {
    /// Whether this end has nothing more to count.
    pub(super) fn is_counted(&self) -> bool {
        let counted = |stream: &Stream| match (stream.number, stream.direction) {
            (PROBE_STREAM, _) => self.probed.is_some(),
            (number, Direction::Forward) => self.sent.contains_key(&number),
            (number, Direction::Reverse) => self.came.contains_key(&number),
        };
        let tcp_counted = |stream: &TcpStream| match stream.direction {
            Direction::Forward => self.tcp_sender.contains_key(&stream.number),
            Direction::Reverse => self.tcp_receiver.contains_key(&stream.number),
        };
        self.streams.iter().all(counted) && self.tcp.iter().all(tcp_counted)
    }

    /// Whether every stream is open.
    pub(super) const fn is_open(&self) -> bool {
        self.opened == self.streams.len() + self.tcp.len()
    }

    /// Until when the agent's account is waited for, and tried for.
    pub(super) const fn account_until(&self) -> Stamp<Driver> {
        self.ends_at.after_nanos(LATE_MAX.plus(REACH_MAX).nanos())
    }

    /// Whether this end sends `stream`, and so closes its account.
    pub(super) fn is_sent_here(stream: &Stream) -> bool {
        stream.number == PROBE_STREAM || stream.direction == Direction::Forward
    }
}

impl Session {
    pub(super) fn state_until(&self) -> Option<Stamp<Driver>> {
        match &self.state {
            State::ExpectHello { until }
            | State::ExpectGrant { until, .. }
            | State::ExpectPrepared { until, .. }
            | State::ExpectStarted { until, .. }
            | State::ExpectAccount { until, .. } => Some(*until),
            State::Running(running) => Some(self.running_until(running)),
            State::Opening { .. } | State::Searching | State::Idle | State::Over => None,
        }
    }

    /// When something is to be done about a running trial, whatever comes. Where the connection
    /// closed and no data came for a second since, the agent has ended the run; behind the trial's
    /// end none is due, and it still waits for the accounts.
    pub(super) fn running_until(&self, running: &Running) -> Stamp<Driver> {
        if let Some(stopping) = &running.stopping {
            return stopping.until;
        }
        let quiet = |closed_at| running.heard.max(closed_at).after_nanos(QUIET_MAX.nanos());
        let quiet = self.closed_at.map(quiet).filter(|quiet| *quiet < running.ends_at);
        quiet.unwrap_or_else(|| running.account_until())
    }
}
