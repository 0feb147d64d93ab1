//! One conversation with an agent, whose one trial probes.

use super::super::conversation::{Dialling, dialled, hear};
use super::super::dialling::Dialler;
use super::super::error::Error;
use crate::clock::Driver;
use crate::dataplane::near::{Manner, NearTrial};
use crate::dataplane::tape::Tape;
use crate::flow::NearEvent;
use crate::io::channel::{Channel, Closed, Unsaid};
use crate::io::clock;
use crate::policy::Request;
use crate::session::driver::{Action, Failure, Opening, Session, Task};
use crate::trial::Trial;
use crate::units::Span;
use crate::wire::control::{Message, RunId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How often silence is checked for.
const LOOK: Duration = Duration::from_millis(500);

/// What a grant has beside the trial: to open its stream, and for its accounts.
const BESIDE: Span = Span::from_secs(60);

/// How a stint goes, for whoever follows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    has_begun: AtomicBool,
    has_ended: AtomicBool,
    is_wanted_over: AtomicBool,
}

impl Progress {
    /// Whether its probes do not go out yet, and are to.
    pub(super) fn is_opening(&self) -> bool {
        !self.0.has_begun.load(Relaxed) && !self.is_wanted_over()
    }

    /// Whether its probes go out.
    pub(super) fn is_probing(&self) -> bool {
        let Marks { has_begun, has_ended, .. } = &*self.0;
        has_begun.load(Relaxed) && !has_ended.load(Relaxed) && !self.is_wanted_over()
    }

    /// No more probes are to go out; replies under way still count.
    pub(super) fn wind_down(&self) {
        self.0.is_wanted_over.store(true, Relaxed);
    }

    fn is_wanted_over(&self) -> bool {
        self.0.is_wanted_over.load(Relaxed)
    }
}

/// A conversation that is to be had.
pub(super) struct Stint {
    pub(super) agent: SocketAddr,
    /// A connection that is open already.
    pub(super) connection: Option<TcpStream>,
    pub(super) dialler: Dialler,
    pub(super) run: RunId,
    pub(super) trial: Trial,
    pub(super) tape: Arc<Tape>,
    pub(super) progress: Progress,
}

/// How a stint ended.
#[derive(Debug)]
pub(super) enum Over {
    /// As it was to.
    Done,
    /// The agent does not list the key.
    NotListed(String),
    /// The agent, or what is before it, does not let it probe.
    Refused(String),
    /// The agent was lost, or not reached.
    Lost(String),
}

impl Stint {
    /// Has the conversation; how it ended.
    pub(super) async fn conduct(mut self) -> Over {
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.dialler.connect(self.agent).await,
        };
        let admitted = match connection {
            Ok(connection) => self.dialler.admit(self.agent, connection).await,
            Err(error) => return Over::Lost(error.to_string()),
        };
        let channel = match admitted {
            Ok(connection) => Channel::open(connection),
            Err(error @ (Error::AnotherKey { .. } | Error::NotAdmitted(_))) => {
                return Over::Refused(error.to_string());
            }
            Err(error) => return Over::Lost(error.to_string()),
        };
        let (sender, events) = mpsc::unbounded_channel();
        let mut talk = Talk {
            session: Session::new(self.run, clock::now()),
            stint: self,
            channel: Some(channel),
            moved: 0,
            dialling: Dialling::new(),
            sender,
            events,
            near: None,
            over: None,
        };
        let over = talk.go_on().await;
        talk.stint.progress.wind_down();
        if let Some(channel) = talk.channel.take() {
            channel.close().await;
        }
        over
    }
}

struct Talk {
    session: Session,
    stint: Stint,
    channel: Option<Channel>,
    moved: u64,
    dialling: Dialling,
    sender: mpsc::UnboundedSender<NearEvent>,
    events: mpsc::UnboundedReceiver<NearEvent>,
    near: Option<NearTrial>,
    over: Option<Over>,
}

impl Talk {
    async fn go_on(&mut self) -> Over {
        let mut look = tokio::time::interval(LOOK);
        loop {
            self.perform();
            if let Some(over) = self.over.take() {
                return over;
            }
            tokio::select! {
                heard = hear(&mut self.channel) => self.hear(heard),
                dialled = dialled(&mut self.dialling) => match dialled {
                    Ok(connection) => {
                        self.channel = Some(Channel::open(connection));
                        self.moved = 0;
                        self.session.handle_connected(clock::now());
                    }
                    Err(error) => {
                        self.session.handle_unreachable(clock::now(), &error.to_string());
                    }
                },
                Some(event) = self.events.recv() => {
                    if matches!(event, NearEvent::Sent(..)) {
                        self.stint.progress.0.has_ended.store(true, Relaxed);
                    }
                    self.session.handle_trial(clock::now(), event);
                }
                _ = look.tick() => self.look(),
            }
        }
    }

    fn hear(&mut self, heard: Result<Message, Closed>) {
        let now = clock::now();
        match heard {
            Ok(message) => {
                if let (Message::Leaving { .. }, Some(near)) = (&message, &self.near) {
                    near.control().peer_gone(now);
                }
                self.session.handle_message(now, message);
            }
            Err(Closed::Refused) => {
                let why = "the agent does not list this driver's key. Its operator runs: \
                           linkqual-agent allow, with the line that linkqual key shows";
                self.over = Some(Over::NotListed(why.to_owned()));
            }
            Err(_) => {
                self.channel = None;
                self.session.handle_closed(now);
            }
        }
    }

    fn look(&mut self) {
        let now = clock::now::<Driver>();
        if let Some(near) = &self.near {
            if self.stint.progress.is_wanted_over() {
                // The thread reports when the last reply has come, and both ends close the trial.
                near.control().stop();
            }
            let heard = near.gauge().heard::<Driver>().min(now);
            self.session.handle_trial(now, NearEvent::Heard(heard));
        } else if self.stint.progress.is_wanted_over() {
            self.over = Some(Over::Done);
        }
        let moved = self.channel.as_ref().map_or(0, |channel| channel.inbox.octets());
        if std::mem::replace(&mut self.moved, moved) < moved {
            self.session.handle_progress(now);
        }
        self.session.handle_timeout(now);
    }

    fn perform(&mut self) {
        while let Some(action) = self.session.poll_action() {
            let now = clock::now();
            match action {
                Action::Say(message) => self.say(&message),
                Action::Open(openings, _) => self.open(&openings),
                Action::Start => {
                    if let Some(near) = &self.near {
                        near.start(now);
                        self.stint.progress.0.has_begun.store(true, Relaxed);
                    }
                }
                Action::Close(stream, sent) => {
                    self.near.iter().for_each(|near| near.control().close(stream, sent.clone()));
                }
                Action::Stop => self.near.iter().for_each(|near| near.control().stop()),
                Action::Gone(since) => {
                    self.near.iter().for_each(|near| near.control().peer_gone(since));
                }
                Action::Reconnect => {
                    let (dialler, agent) = (self.stint.dialler.clone(), self.stint.agent);
                    self.dialling = Dialling::new();
                    self.dialling.spawn(async move { dialler.dial(agent).await });
                }
                Action::Admitted(..) => {
                    let duration = self.stint.trial.duration().plus(BESIDE);
                    let (circuit, load, congestion, fences) = (None, None, Vec::new(), Vec::new());
                    let request = Request { circuit, duration, load, congestion, fences };
                    self.session.request(now, &request);
                }
                Action::Granted { .. } => {
                    self.session.begin(now, Task::Measure, self.stint.trial);
                }
                // No load is asked for, and no search.
                Action::Refused(_) | Action::FindPayload(_) | Action::PayloadFound(_) => {}
                Action::Ended(run) => {
                    self.session.finish();
                    let reason = run.outcome.reason.as_ref();
                    let is_wanted = self.stint.progress.is_wanted_over();
                    self.over = Some(match reason.filter(|_| !is_wanted) {
                        Some(why) => Over::Lost(why.clone()),
                        None => Over::Done,
                    });
                }
                Action::Failed(failure) => self.over = Some(over_by(&failure)),
            }
        }
    }

    fn say(&mut self, message: &Message) {
        let Some(channel) = &self.channel else { return };
        if matches!(channel.outbox.say(message), Err(Unsaid::Full)) {
            self.channel = None;
            self.session.handle_closed(clock::now());
        }
    }

    fn open(&mut self, openings: &[Opening]) {
        let sender = self.sender.clone();
        // The conversation may be over before the last event.
        let on_event =
            Arc::new(move |event| _ = sender.send(event)) as crate::dataplane::near::OnEvent;
        let streams: Vec<_> = openings.iter().map(|it| (it.stream, it.key)).collect();
        let tape = Some(Arc::clone(&self.stint.tape));
        let manner = Manner { find_payload: None, at_once: 1, tape };
        let to = (self.stint.agent, &self.stint.dialler.egress);
        match NearTrial::open(to, &streams, &[], &manner, &on_event) {
            Ok(near) => self.near = Some(near),
            Err(error) => {
                let failed = NearEvent::HostFailed(error.to_string());
                self.session.handle_trial(clock::now(), failed);
            }
        }
    }
}

fn over_by(failure: &Failure) -> Over {
    let why = failure.to_string();
    match failure {
        Failure::Refused(_)
        | Failure::OtherVersion { .. }
        | Failure::Protocol(_)
        | Failure::BrokenOff(_)
        | Failure::Blocked(_) => Over::Refused(why),
        Failure::Closed
        | Failure::Timeout(_)
        | Failure::Unreachable(_)
        | Failure::Lost(_)
        | Failure::NotOpened(_) => Over::Lost(why),
    }
}
