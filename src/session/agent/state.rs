//! What the agent's half of the conversation holds, and until when each part of it waits:
//! connections, runs and their trials, and the actions that its host is to take.
//!
//! It never says anything: what follows a state is decided where it is consumed.

use crate::account::{
    Claim, HostFacts, ReceiverCounts, SenderCounts, TcpReceiverCounts, TcpSenderCounts,
};
use crate::clock::{Agent, Stamp};
use crate::flow::{Intake, LATE_MAX, Stream, TcpStream};
use crate::framing::Framing;
use crate::policy::{Fences, Grant, Role};
use crate::session::{ANSWER_MAX, QUIET_MAX, quiet_max};
use crate::trial::{CongestionControl, Limits, Trial};
use crate::units::{PacketRate, Span};
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message, RunId, Secrets};
use crate::wire::fence::Fence;
use crate::wire::key::PublicKey;
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long a driver that is admitted may do nothing.
const IDLE_MAX: Span = Span::from_secs(60);

/// How long after its end a grant still holds its slot, for the accounts of its last trial.
pub(super) const GRACE: Span = LATE_MAX.plus(Span::from_secs(5));

/// Runs that are over of which a record is kept: the oldest gives way.
pub const RECORDS_MAX: usize = 64;

/// How long a record is kept.
pub const RECORD_SPAN: Span = Span::from_secs(3_600);

/// A connection to a driver, by its number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId(pub u64);

/// A trial of a run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TrialId {
    /// The run.
    pub run: RunId,
    /// The trial's number in it.
    pub number: u32,
}

/// What the machine has to ask its host for.
pub trait Host: Send {
    /// Secrets for `stream` that nobody can guess: the machine has no randomness of its own.
    fn secrets(&mut self, stream: StreamNumber) -> Secrets;

    /// Why this host cannot carry its end of `trial`, for want of threads or descriptors too;
    /// `None` where it can, and has set them aside for the [`Action::Expect`] that follows.
    fn lacks(&self, trial: &Trial) -> Option<String>;

    /// Why this host cannot send TCP by `control`; `None` where it can.
    fn lacks_congestion(&self, control: CongestionControl) -> Option<String>;

    /// What it is.
    fn facts(&self) -> HostFacts;
}

/// What the hands are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say this.
    Say(ConnectionId, Message),
    /// Close this connection once all has been said.
    Close(ConnectionId),
    /// Expect the handshakes of these streams, from the driver of this connection, and the
    /// connections of these TCP streams; nothing is accepted or answered from this moment on.
    Expect(TrialId, ConnectionId, Vec<(Stream, Secrets)>, Vec<(TcpStream, Secrets)>, Stamp<Agent>),
    /// Send what is to be sent.
    Start(TrialId),
    /// The driver's account of a stream that comes from it.
    Sent(TrialId, StreamNumber, SenderCounts),
    /// End the trial now; what it has counted is still reported.
    Stop(TrialId),
    /// Keep this beyond the program's end, in the place of what is kept of the run.
    Keep(Box<Record>),
    /// Keep these leases beyond the program's end, in the place of those that are kept.
    KeepFences(Vec<Fence>),
    /// Nothing of this run needs to be kept any more.
    Forget(RunId),
    /// For the log.
    Note(String),
}

/// How often a driver may have something done that is costly, from `now` on: a few times at once,
/// and then once a second. No driver needs it more often: trials last a second, and so do tries to
/// connect.
pub(super) const fn turns(now: Stamp<Agent>) -> Intake<Agent> {
    Intake::of(PacketRate::new(1).expect("above zero"), 8, now)
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) who: String,
    pub(super) key: PublicKey,
    pub(super) role: Role,
    pub(super) framing: Framing,
    pub(super) greeted: bool,
    pub(super) run: Option<RunId>,
    pub(super) idle_since: Stamp<Agent>,
    /// Those to prepare a trial.
    pub(super) turns: Intake<Agent>,
    /// Why it is broken off once its trial is counted; its driver has nothing more to ask.
    pub(super) breaking: Option<String>,
}

/// A driver that has shown a key which is listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// What the agent's operator calls it.
    pub who: String,
    /// Its key.
    pub key: PublicKey,
    /// What it may do.
    pub role: Role,
}

/// The agent's half of all its conversations.
pub struct Session {
    /// Of all drivers together.
    pub(super) limits: Limits,
    pub(super) host: Box<dyn Host>,
    pub(super) peers: BTreeMap<ConnectionId, Peer>,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// The leases that it was shown.
    pub(super) fences: Fences,
    /// Whether it is about to end.
    pub(super) is_leaving: bool,
    /// Why nothing is loaded for now, if so.
    pub(super) paused: Option<String>,
    pub(super) actions: VecDeque<Action>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peers", &self.peers).field("runs", &self.runs).finish()
    }
}

/// A run, and what is kept of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) who: String,
    pub(super) owner: PublicKey,
    pub(super) connection: Option<ConnectionId>,
    /// Those to attach a connection.
    pub(super) turns: Intake<Agent>,
    pub(super) closed_at: Stamp<Agent>,
    /// Since when it has held a load lock; `None` while it holds none.
    pub(super) locked_since: Option<Stamp<Agent>>,
    pub(super) spent: Span,
    pub(super) phase: Phase,
    pub(super) trial: Option<Running>,
}

impl Run {
    /// Until when it loads if it goes as asked, where it may load for `granted` in all: the trial
    /// under way, and what no trial has used yet.
    pub(super) fn loads_until(&self, granted: Span, now: Stamp<Agent>) -> Stamp<Agent> {
        let running = self.trial.as_ref().and_then(|running| match &running.part {
            Part::Open { trial, .. } => {
                Some(running.started_at.unwrap_or(now).after_nanos(trial.duration().nanos()))
            }
            Part::Stopped | Part::Counted => None,
        });
        let unused = granted.minus(self.spent);
        running.unwrap_or(now).max(now).after_nanos(unused.nanos())
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// It holds a slot.
    Granted(Grant),
    /// It holds nothing; what its last trial counted is kept.
    Over { at: Stamp<Agent> },
}

/// A trial under way, or the last one of its run.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) number: u32,
    pub(super) started_at: Option<Stamp<Agent>>,
    pub(super) heard: Stamp<Agent>,
    /// Streams of the driver's whose accounts have not come.
    pub(super) awaited: BTreeSet<StreamNumber>,
    pub(super) closings: Vec<(StreamNumber, Claim<SenderCounts>)>,
    /// The TCP streams of each way together: one by one, they would be more than a frame.
    pub(super) tcp_sender: Option<TcpSenderCounts>,
    pub(super) receiver: Option<ReceiverCounts>,
    pub(super) tcp_receiver: Option<TcpReceiverCounts>,
    pub(super) account: Account,
    pub(super) part: Part,
}

/// How far a trial has come.
#[derive(Debug)]
pub(super) enum Part {
    /// Its threads run until all is counted, or until they are stopped.
    Open { trial: Trial, secrets: Vec<Secrets>, stop_at: Stamp<Agent> },
    /// Its threads have been asked to end, and report what they have counted.
    Stopped,
    /// All is counted.
    Counted,
}

impl Running {
    /// Whether packets of it are still due, or would be once it is started.
    pub(super) fn may_send(&self, now: Stamp<Agent>) -> bool {
        let Part::Open { trial, .. } = &self.part else { return false };
        let ends_at = |started: Stamp<Agent>| started.after_nanos(trial.duration().nanos());
        self.started_at.is_none_or(|started_at| now < ends_at(started_at))
    }

    pub(super) const fn stop_at(&self) -> Option<Stamp<Agent>> {
        match &self.part {
            Part::Open { stop_at, .. } => Some(*stop_at),
            Part::Stopped | Part::Counted => None,
        }
    }
}

impl Running {
    /// How long no data may come once the connection is closed, before the run is over.
    fn quiet_max(&self) -> Span {
        match &self.part {
            Part::Open { trial, .. } => quiet_max(trial),
            Part::Stopped | Part::Counted => QUIET_MAX,
        }
    }
}

impl Run {
    pub(super) const fn grant(&self) -> Option<&Grant> {
        match &self.phase {
            Phase::Granted(grant) => Some(grant),
            Phase::Over { .. } => None,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// When its phase ends, whoever is alive: a grant with its time, or a second after its driver
    /// fell silent; a record with its hour.
    pub(super) fn until(&self) -> Stamp<Agent> {
        let grant = match &self.phase {
            Phase::Granted(grant) => grant,
            Phase::Over { at } => return at.after_nanos(RECORD_SPAN.nanos()),
        };
        let grant_end = grant.ends_at().after_nanos(GRACE.nanos());
        if self.connection.is_some() {
            return grant_end;
        }
        let (heard, quiet_max) = match &self.trial {
            Some(running) => (running.heard, running.quiet_max()),
            None => (self.closed_at, QUIET_MAX),
        };
        grant_end.min(heard.max(self.closed_at).after_nanos(quiet_max.nanos()))
    }
}

impl Session {
    pub(super) fn peer_until(&self, peer: &Peer) -> Option<Stamp<Agent>> {
        let granted = || self.runs.get(&peer.run?)?.grant();
        match peer.greeted {
            false => Some(peer.idle_since.after_nanos(ANSWER_MAX.nanos())),
            true if granted().is_some() => None,
            true => Some(peer.idle_since.after_nanos(IDLE_MAX.nanos())),
        }
    }
}
