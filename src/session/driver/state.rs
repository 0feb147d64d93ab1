//! What the driver's half of the conversation holds, and until when each part of it waits: the
//! states of the conversation, of its connection and of its trial, and the actions that its hands
//! are to take.
//!
//! It never says anything: what follows a state is decided where it is consumed.

use crate::account::{HostFacts, ReceiverCounts, SenderCounts, TcpReceiverCounts, TcpSenderCounts};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{
    HandshakeFailed, LATE_MAX, PROBE_STREAM, Probed, Stream, TcpStream, TrialRun, trail,
};
use crate::policy::Request;
use crate::session::{QUIET_MAX, quiet_max};
use crate::trial::{Dscp, Limits, Trial};
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message, RunId, Versions};
use crate::wire::seal::KEY_LEN;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// How long an answer may take in all, over whichever connection; shorter than the agent keeps an
/// abandoned trial open, so that what comes at last is still exact.
pub(super) const REACH_MAX: Span = Span::from_secs(18);

/// How long an answer may take to move. Then the connection is taken for dead, and another is
/// opened beside it.
pub(super) const OVERDUE: Span = Span::from_secs(3);

/// How much longer than that the agent's account is waited for while octets move: a narrow link
/// takes its time, and an agent that trickles them holds the driver no longer.
pub(super) const MOVING_MAX: Span = Span::from_secs(120);

/// How long the record of a run is tried for that the agent has ended.
pub(super) const FETCH_MAX: Span = Span::from_secs(10);

/// How long the agent is given to say what it received of a stream that did not open.
pub(super) const RECEIVED_MAX: Span = Span::from_secs(3);

/// How long the two ends' last words on a trial that is stopped may take.
pub(super) const LAST_WORDS_MAX: Span = LATE_MAX.plus(QUIET_MAX);

/// What a trial is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Task {
    /// To measure.
    Measure,
    /// To find the largest payload, at most this, that crosses both ways.
    FindPayload(u32),
}

/// A stream to be opened, and how it is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opening {
    /// The stream, its token in it.
    pub stream: Stream,
    /// Its key.
    pub key: [u8; KEY_LEN],
}

/// A TCP stream to be opened, and how its hello is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TcpOpening {
    /// The run.
    pub run: RunId,
    /// The stream, its token in it.
    pub stream: TcpStream,
    /// Its key.
    pub key: [u8; KEY_LEN],
}

/// How an agent introduced itself, and what it calls this driver; for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Introduced {
    /// Its program, with its version.
    pub program: String,
    /// The role that it gives this driver's key.
    pub role: Option<String>,
    /// What it calls this driver's key.
    pub who: Option<String>,
    /// Its host, where it said what that is.
    pub host: Option<HostFacts>,
    /// The version of the protocol that is spoken with it.
    pub protocol: u32,
}

/// What the hands are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say this to the agent.
    Say(Message),
    /// Open these streams, each by its handshake, and these TCP streams, each by its hello.
    Open(Vec<Opening>, Vec<TcpOpening>),
    /// All streams are open: search, then report
    /// [`NearEvent::PayloadFound`](crate::flow::NearEvent).
    FindPayload(u32),
    /// All streams are open: send and receive.
    Start,
    /// The agent's account of a stream that comes from it; of the probes' stream, of its replies.
    Close(StreamNumber, SenderCounts),
    /// End the trial now; what it has counted is still reported.
    Stop,
    /// The agent is gone since then: what does not come any more is not the line's doing.
    Gone(Stamp<Driver>),
    /// Open another connection, and call [`Session::handle_connected`] or
    /// [`Session::handle_unreachable`]; what is said until then goes over the old one, where that
    /// is still open.
    Reconnect,
    /// The agent has admitted this driver, with these limits.
    Admitted(Limits, Box<Introduced>),
    /// The agent has granted the request.
    Granted {
        /// What other runs leave of its limit, in bit/s.
        free_rate_bit_s: u64,
    },
    /// The agent has refused a request to load, for this reason: ask for something else, or call
    /// [`Session::end_refused`].
    Refused(String),
    /// The largest payload that crosses both ways; `None` where nothing did.
    PayloadFound(Option<u32>),
    /// The trial is over.
    Ended(Box<TrialRun>),
    /// The conversation is over.
    Failed(Failure),
}

/// Why a conversation is over before its time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The agent said no.
    #[error("{0}")]
    Refused(String),
    /// The agent's version is another.
    #[error(
        "the agent is {program} and speaks {theirs}, this driver speaks {}: upgrade {}",
        Versions::OWN,
        if .theirs.is_older_than(Versions::OWN) { "the agent" } else { "the driver" }
    )]
    OtherVersion {
        /// The agent, as it introduced itself.
        program: String,
        /// The versions of the protocol that it speaks.
        theirs: Versions,
    },
    /// The agent said what makes no sense here.
    #[error("the agent broke the protocol: {0}")]
    Protocol(String),
    /// The agent ended the conversation.
    #[error("the agent ended it: {0}")]
    BrokenOff(String),
    /// The connection closed.
    #[error("the agent closed the connection")]
    Closed,
    /// No answer came.
    #[error("the agent did not answer within {0}")]
    Timeout(Span),
    /// The connection was lost, and there was no other.
    #[error("the control connection was lost, and could not be restored within {REACH_MAX}: {0}")]
    Unreachable(String),
    /// The agent does not know the run any more.
    #[error("the agent lost this run: {0}")]
    Lost(String),
    /// No stream could be opened.
    #[error("{0}")]
    NotOpened(String),
    /// A UDP stream could not be opened, while the control connection works.
    #[error("{0}")]
    Blocked(Blocked),
}

/// A UDP stream that could not be opened, and what both ends saw of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blocked {
    /// Its number.
    pub stream: StreamNumber,
    /// How many streams the trial has.
    pub streams: usize,
    /// How far it came, as this end saw it.
    pub why: HandshakeFailed,
    /// How its packets are marked.
    pub dscp: Dscp,
    /// Datagrams of it that the agent says it has received; `None` where it did not say.
    pub received: Option<u64>,
}

impl Blocked {
    /// Which way the block is, and what can cause it; in sentences.
    #[must_use]
    pub fn direction(&self) -> String {
        let marked = match self.dscp == Dscp::default() {
            true => String::new(),
            false => format!(
                " The packets are marked {}: a path that drops this class looks the same.",
                self.dscp
            ),
        };
        let direction = match self.received {
            None => "Does a firewall let UDP to that port through, both ways?".to_owned(),
            Some(0) => "The agent received none of the datagrams sent to it. Either UDP to it is \
                        blocked by a firewall or an ACL, or UDP reaches a different agent than TCP \
                        does. Behind a load balancer or Kubernetes Service, TCP and UDP of this \
                        port must reach the same agent; the other one logs \"UDP handshake of an \
                        unknown run\"."
                .to_owned(),
            Some(received) => format!(
                "The agent received {received} of this host's datagrams and answered each one: UDP \
                 is blocked on the path back, from the agent's port to this host. Does a firewall \
                 let the answers through?"
            ),
        };
        direction + &marked
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, streams) = (u64::from(self.stream) + 1, self.streams);
        let seen = match self.why {
            HandshakeFailed::NoAnswer => "no UDP datagram came back from the agent's port",
            HandshakeFailed::NotAccepted => {
                "the agent's first UDP datagram came back, and none after it"
            }
        };
        write!(
            f,
            "stream {number} of {streams} could not be opened: {seen} within 5 s. {} Try \
             every flow, without load: linkqual plan firewall PLAN.toml --probe",
            self.direction()
        )
    }
}

/// The driver's half of a conversation with one agent.
#[derive(Debug)]
pub struct Session {
    pub(super) run: RunId,
    pub(super) state: State,
    pub(super) trials: u32,
    /// What leave was asked for last; asked again where the agent has ended the run meanwhile.
    pub(super) request: Option<Request>,
    pub(super) has_lapsed: bool,
    pub(super) link: Link,
    /// When the run's connection closed, where it has no other yet.
    pub(super) closed_at: Option<Stamp<Driver>>,
    /// Why the agent could not be reached, the last time.
    pub(super) unreachable: Option<String>,
    pub(super) dialled_at: Option<Stamp<Driver>>,
    /// How often the connection closed before the agent had said hello.
    pub(super) ungreeted: u32,
    /// When the connection was last given something to answer, or octets moved on it.
    pub(super) asked_at: Stamp<Driver>,
    /// When octets moved on it last.
    pub(super) moved_at: Option<Stamp<Driver>>,
    pub(super) actions: VecDeque<Action>,
}

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
    /// A stream could not be opened; the agent may say what it has received.
    ExpectReceived {
        blocked: Blocked,
        until: Stamp<Driver>,
    },
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

/// A trial that is cut short: the data plane and the agent are given a moment to report what they
/// have.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) reason: String,
    pub(super) until: Stamp<Driver>,
}

impl Running {
    /// `trial`, whose streams are opened from `now` on.
    pub(super) fn new(
        trial: Trial,
        (streams, tcp): (Vec<Stream>, Vec<TcpStream>),
        now: Stamp<Driver>,
    ) -> Self {
        Self {
            trial,
            streams,
            tcp,
            opened: 0,
            started: false,
            ends_at: now,
            heard: now,
            sent: BTreeMap::new(),
            came: BTreeMap::new(),
            tcp_sender: BTreeMap::new(),
            tcp_receiver: BTreeMap::new(),
            probed: None,
            account: None,
            stopping: None,
        }
    }

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

    /// When the last packet has come, of the probes behind the load too: none is due any more.
    pub(super) fn last_at(&self) -> Stamp<Driver> {
        self.ends_at.after_nanos(trail(&self.trial).1.plus(LATE_MAX).nanos())
    }

    /// Until when the agent's account is waited for, and tried for.
    pub(super) fn account_until(&self) -> Stamp<Driver> {
        self.last_at().after_nanos(REACH_MAX.nanos())
    }

    /// Whether the agent sends the load stream `number`, and so closes its account.
    pub(super) fn is_sent_there(&self, number: StreamNumber) -> bool {
        let mut others = self.streams.iter().filter(|stream| !Self::is_sent_here(stream));
        others.any(|stream| stream.number == number)
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
            | State::ExpectReceived { until, .. }
            | State::ExpectAccount { until, .. } => Some(*until),
            State::Running(running) => Some(self.running_until(running)),
            State::Opening { .. } | State::Searching | State::Idle | State::Over => None,
        }
    }

    /// When something is to be done about a running trial, whatever comes. Where the connection
    /// closed and no data came for a second since, the agent has ended the run; behind the trial's
    /// end none is due, and it still waits for the accounts, for longer while octets move.
    pub(super) fn running_until(&self, running: &Running) -> Stamp<Driver> {
        if let Some(stopping) = &running.stopping {
            return self.while_moving(stopping.until);
        }
        let quiet_max = quiet_max(&running.trial);
        let quiet = |closed_at| running.heard.max(closed_at).after_nanos(quiet_max.nanos());
        let quiet = self.closed_at.map(quiet).filter(|quiet| *quiet < running.ends_at);
        quiet.unwrap_or_else(|| self.while_moving(running.account_until()))
    }

    fn while_moving(&self, until: Stamp<Driver>) -> Stamp<Driver> {
        let moving = self.moved_at.map_or(until, |at| at.after_nanos(OVERDUE.nanos()));
        until.max(moving.min(until.after_nanos(MOVING_MAX.nanos())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::trial::{Load, LoadKind};
    use crate::units::PacketRate;

    #[test]
    fn accounts_are_waited_for_behind_the_probes_that_follow_a_load() {
        let rate = PacketRate::new(100).expect("a rate");
        let load = Load::new(Directions::Both, 1, 100, rate, LoadKind::FixedRate).expect("a load");
        let until = |load| {
            let trial = Trial::new(load, Span::from_secs(10)).expect("a trial");
            let ends_at = Stamp::from_nanos(0);
            Running::new(trial, (Vec::new(), Vec::new()), ends_at).account_until()
        };
        let after = |seconds| Stamp::from_nanos(Span::from_secs(seconds).nanos());
        assert_eq!((until(None), until(Some(load))), (after(20), after(24)));
    }
}
