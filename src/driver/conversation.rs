//! One run against one agent: its control connection, its trials, its record.

use super::addresses::size_above_device;
use super::cancel::{Cancelled, Urgency};
use super::dialling::{Dialler, Reached, no_way};
use super::error::Error;
use super::events::{Event, Phase, Progress};
use super::guarding::Guarding;
use super::job::Former;
use super::lease::{Lease, LeaseOver};
use super::results::Results;
use crate::account::{HostCounts, Status};
use crate::clock::{Driver, Stamp};
use crate::dataplane::Gauge;
use crate::dataplane::near::{Manner, NearTrial, TcpDial};
use crate::flow::{NearEvent, TrialRun};
use crate::framing::IpVersion;
use crate::io::channel::{Channel, Closed, Malformed, Unsaid};
use crate::io::egress::Egress;
use crate::io::neighbour::NextHopWatch;
use crate::io::tls::{Connector, Identity, TlsStream};
use crate::io::udp::Socket;
use crate::io::{clock, host, timestamps};
use crate::method::Step;
use crate::method::campaign::Campaign;
use crate::method::note::texts;
use crate::report::{ABORTED, INTERRUPTED, SiteEnds, SiteRun};
use crate::session::driver::{Action, Failure, Introduced, Opening, Session, Task, TcpOpening};
use crate::trial::Limits;
use crate::units::Span;
use crate::wire::control::Message;
use crate::wire::key::{KeyLine, PublicKey};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often progress is reported, and silence is checked for.
const LOOK: Duration = Duration::from_millis(200);

/// A run to be conducted.
#[derive(Debug)]
pub(super) struct SiteJob {
    /// The site that it goes to: its place in the plan.
    pub(super) place: usize,
    /// Where the agent may be: each address of its name, in the order of preference.
    pub(super) agents: Vec<SocketAddr>,
    /// How this host is left.
    pub(super) egress: Egress,
    /// This driver.
    pub(super) identity: Identity,
    /// The key that the agent must have.
    pub(super) agent_key: PublicKey,
    /// The lease by which it loads; `None` where it needs none.
    pub(super) lease: Option<Arc<Lease>>,
}

/// How a run towards one site ended that measured something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// By itself.
    Done,
    /// Before its time, as somebody wanted it.
    Cancelled,
}

/// Conducts a run towards one site to its end, or until it is cancelled; what was measured is in
/// the results.
///
/// Where the agent does not list the driver's key, those that it had before are tried in turn;
/// where it lists none of them, the error is that of the driver's own: it is the one to allow.
///
/// # Errors
///
/// Where nothing was measured.
pub(super) async fn conduct(
    mut job: SiteJob,
    former: &[Former],
    results: &mut Results,
    cancelled: &mut Cancelled,
) -> Result<Ending, Error> {
    let own_key = job.identity.public_key();
    let key = if former.is_empty() { Key::Only } else { Key::First };
    let own = conduct_as(&job, key, results, cancelled).await;
    let Err(Error::NotListed { agent, .. }) = own else { return own };
    for former in former {
        job.identity = former.identity.clone();
        let key = Key::Former(former.note(agent, own_key));
        let ended = conduct_as(&job, key, results, cancelled).await;
        if !matches!(ended, Err(Error::NotListed { .. })) {
            return ended;
        }
    }
    own
}

/// Which of the driver's keys a run goes with.
enum Key {
    /// The only one.
    Only,
    /// Its own, where there are former ones.
    First,
    /// A former one; once the agent admits it, the report has this note.
    Former(String),
}

/// The same with the key that `job` has. Where that is one of several, nothing is left of a run
/// that the agent does not list.
async fn conduct_as(
    job: &SiteJob,
    key: Key,
    results: &mut Results,
    cancelled: &mut Cancelled,
) -> Result<Ending, Error> {
    results.report_phase(job.place, Phase::Connecting);
    let host = results.plan().sites[job.place].agent.clone();
    let connector = Connector::new(&job.identity, job.agent_key);
    let dialler = Dialler::new(host, job.egress.clone(), connector);
    let reached = tokio::select! {
        reached = dialler.reach(&job.agents) => reached?,
        () = cancelled.wanted() => return Err(cancelled.error()),
    };
    let mut conductor = Conductor::new(job, dialler, reached, results)?;
    let is_one_of_several = !matches!(key, Key::Only);
    conductor.note_of_key = match key {
        Key::Former(note) => Some(note),
        Key::Only | Key::First => None,
    };
    conductor.perform().await?;
    let mut look = tokio::time::interval(LOOK);
    while !conductor.over {
        tokio::select! {
            heard = hear(&mut conductor.channel) => conductor.hear(heard),
            dialled = dialled(&mut conductor.dialling) => conductor.take_connection(dialled),
            Some(event) = conductor.events.recv() => {
                conductor.session.handle_trial(clock::now(), event);
            }
            _ = look.tick() => conductor.look(),
            urgency = cancelled.sooner(conductor.urgency) => {
                conductor.cancel(urgency, cancelled.why());
            }
        }
        conductor.perform().await?;
    }
    if let Some(channel) = conductor.channel.take() {
        channel.close().await;
    }
    if is_one_of_several && conductor.is_not_listed() {
        return Err(conductor.nothing_ran());
    }
    conductor.conclude()
}

/// The next message on the control connection, or how it ended; nothing ever, where there is none.
pub(super) async fn hear(channel: &mut Option<Channel>) -> Result<Message, Closed> {
    match channel {
        Some(channel) => channel.inbox.next().await,
        None => std::future::pending().await,
    }
}

/// The connection that is being opened, if any: dropped, it is given up.
pub(super) type Dialling = JoinSet<Result<TlsStream<TcpStream>, Error>>;

/// What becomes of the connection that is being opened; nothing ever, where none is.
pub(super) async fn dialled(dialling: &mut Dialling) -> Result<TlsStream<TcpStream>, Error> {
    match dialling.join_next().await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => Err(Error::System(error.to_string())),
        None => std::future::pending().await,
    }
}

/// Why a run ends before its time, where the session cannot know it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum CutShort {
    /// The user wants it.
    #[error("{}", INTERRUPTED)]
    Interrupted,
    /// Others suffer, or somebody stopped all load.
    #[error("{prefix}{0}", prefix = ABORTED)]
    Aborted(String),
    /// The agent ended the connection because it does not know this driver's key.
    #[error("the agent does not list this key")]
    NotListed,
    /// What came from the agent is no message.
    #[error("the agent broke the protocol: {0}")]
    Broken(Malformed),
    /// Its lease ends.
    #[error("{0}")]
    LeaseOver(LeaseOver),
}

/// Matches what happens to what is to be done.
struct Conductor<'a> {
    session: Session,
    campaign: Campaign,
    results: &'a mut Results,
    place: usize,
    agent: SocketAddr,
    own_key: PublicKey,
    /// What there is to say of the use of that key, until it is said.
    note_of_key: Option<String>,
    agent_key: PublicKey,
    lease: Option<Arc<Lease>>,
    limits: Option<Limits>,
    introduced: Option<Introduced>,
    own_address: String,
    began_wall_ns: u64,
    dialler: Dialler,
    channel: Option<Channel>,
    /// Octets that the connection had moved at the last look.
    moved: u64,
    dialling: Dialling,
    sender: mpsc::UnboundedSender<NearEvent>,
    events: mpsc::UnboundedReceiver<NearEvent>,
    trial: Option<NearTrial>,
    searching: Option<u32>,
    device: Option<String>,
    before: host::Counters,
    next_hop: Option<NextHopWatch<Driver>>,
    timestamp_noise_ns: Option<u64>,
    /// Since when the trial under way is, and how long it is to take.
    measuring: Option<(Stamp<Driver>, Span)>,
    /// Whether it loads.
    is_loading: bool,
    urgency: Urgency,
    guarding: Guarding,
    cut_short: Option<CutShort>,
    failure: Option<Failure>,
    over: bool,
}

impl<'a> Conductor<'a> {
    fn new(
        job: &SiteJob,
        dialler: Dialler,
        reached: Reached,
        results: &'a mut Results,
    ) -> Result<Self, Error> {
        let Reached { agent, connection, note } = reached;
        let no_way = |error: io::Error| no_way(agent, &error);
        let longest = results.plan().longest_size(job.place);
        if let Some(above) = size_above_device(longest, agent, &job.egress) {
            return Err(above.into());
        }
        let socket = Socket::connect_by(agent, &job.egress).map_err(no_way)?;
        let device_mtu = socket.mtu().map_err(no_way)?;
        let own_address = socket.local().map_err(no_way)?.ip();
        let device = host::device_of(own_address);
        let ip = IpVersion::of(agent.ip());
        let (sender, events) = mpsc::unbounded_channel();
        results.note(note.into_iter().collect());
        let (guarding, notes) = Guarding::begin(results.plan(), device.as_deref());
        results.note(notes);
        Ok(Self {
            session: Session::new(results.run_towards(job.place), clock::now()),
            campaign: Campaign::new(results.plan().clone(), job.place, ip, device_mtu),
            results,
            place: job.place,
            agent,
            own_key: job.identity.public_key(),
            note_of_key: None,
            agent_key: job.agent_key,
            lease: job.lease.clone(),
            limits: None,
            introduced: None,
            own_address: own_address.to_canonical().to_string(),
            began_wall_ns: 0,
            dialler,
            channel: Some(Channel::open(connection)),
            moved: 0,
            dialling: Dialling::new(),
            sender,
            events,
            trial: None,
            searching: None,
            before: host::Counters::read(device.as_deref()),
            next_hop: None,
            timestamp_noise_ns: None,
            device,
            measuring: None,
            is_loading: false,
            urgency: Urgency::None,
            guarding,
            cut_short: None,
            failure: None,
            over: false,
        })
    }

    fn hear(&mut self, heard: Result<Message, Closed>) {
        match heard {
            Ok(message) => self.session.handle_message(clock::now(), message),
            // Whoever says what is no message, or knows this driver no more, says it again.
            Err(Closed::Malformed(why)) => self.lose_agent(CutShort::Broken(why)),
            Err(Closed::Refused) => self.lose_agent(CutShort::NotListed),
            Err(why @ (Closed::Stalled { .. } | Closed::Oversize { .. })) => {
                tracing::warn!(%why, "the control connection to the agent is dropped");
                self.lose_connection();
            }
            Err(Closed::There | Closed::Here | Closed::Broken(_)) => self.lose_connection(),
        }
    }

    fn lose_connection(&mut self) {
        self.channel = None;
        self.session.handle_closed(clock::now());
    }

    fn lose_agent(&mut self, why: CutShort) {
        self.channel = None;
        self.session.handle_lost(clock::now(), &why.to_string());
        self.cut_short.get_or_insert(why);
    }

    fn take_connection(&mut self, dialled: Result<TlsStream<TcpStream>, Error>) {
        match dialled {
            Ok(connection) => {
                tracing::info!("the agent is reached again");
                // The one before may be stuck: it is cut, not closed.
                self.channel = Some(Channel::open(connection));
                self.moved = 0;
                self.session.handle_connected(clock::now());
            }
            Err(error) => {
                tracing::info!(%error, "the agent is not reached");
                self.results.report_key(self.place, &error);
                self.session.handle_unreachable(clock::now(), &error.to_string());
            }
        }
    }

    fn reconnect(&mut self) {
        let (dialler, agent) = (self.dialler.clone(), self.agent);
        // Whatever is under way is given up.
        self.dialling = Dialling::new();
        self.dialling.spawn(async move { dialler.dial(agent).await });
    }

    fn look(&mut self) {
        let now = clock::now();
        let is_heard = self.trial.as_ref().is_some_and(|trial| trial.gauge().hears(now));
        self.next_hop.iter_mut().for_each(|hop| hop.look(is_heard));
        if let Some(trial) = &self.trial {
            let heard = trial.gauge().heard::<Driver>().min(now);
            self.session.handle_trial(now, NearEvent::Heard(heard));
            if let Some((began, length)) = self.measuring {
                let elapsed = Span::from_nanos(now.nanos_since(began));
                self.results.emit(Event::Progress(progress(
                    self.place,
                    (elapsed, length),
                    trial.gauge(),
                )));
            }
        }
        let trial = self.trial.as_ref().filter(|_| self.cut_short.is_none());
        if let Some(why) = trial.and_then(|trial| self.guarding.look(now, trial.gauge())) {
            self.cut_short = Some(CutShort::Aborted(why));
            self.session.handle_interrupt(now);
        }
        let moved = self.channel.as_ref().map_or(0, |channel| channel.inbox.octets());
        if std::mem::replace(&mut self.moved, moved) < moved {
            self.session.handle_progress(now);
        }
        let lease = self.lease.as_ref().filter(|_| self.measuring.is_some() && self.is_loading);
        if lease.is_some_and(|lease| lease.is_over(clock::boot_ns())) && self.cut_short.is_none() {
            self.cut_short = Some(CutShort::LeaseOver(LeaseOver::Ended));
            self.session.handle_interrupt(now);
        }
        self.session.handle_timeout(now);
    }

    /// Nothing more is loaded: the lease does not last.
    fn end_with_lease(&mut self, why: LeaseOver) {
        self.cut_short.get_or_insert(CutShort::LeaseOver(why));
        self.session.finish();
        self.over = true;
    }

    /// At first what was measured is kept; the second time this ends at once. `why` is given where
    /// the user does not want it himself.
    fn cancel(&mut self, urgency: Urgency, why: Option<String>) {
        self.urgency = urgency;
        if urgency == Urgency::AtOnce {
            self.over = true;
        }
        if !self.is_cancelled() {
            self.cut_short = Some(why.map_or(CutShort::Interrupted, CutShort::Aborted));
            self.session.handle_interrupt(clock::now());
        }
    }

    const fn is_cancelled(&self) -> bool {
        matches!(self.cut_short, Some(CutShort::Interrupted | CutShort::Aborted(_)))
    }

    /// Carries out all that the session wants.
    async fn perform(&mut self) -> Result<(), Error> {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Say(message) => self.say(message),
                Action::Open(openings, tcp) => self.open(&openings, tcp),
                Action::FindPayload(_) | Action::Start => {
                    self.began_wall_ns = self.results.wall_ns();
                    if let Some(trial) = &self.trial {
                        trial.start(clock::now());
                    }
                }
                Action::Close(stream, sent) => {
                    if let Some(trial) = &self.trial {
                        trial.control().close(stream, sent);
                    }
                }
                Action::Stop => {
                    if let Some(trial) = &self.trial {
                        trial.control().stop();
                    }
                }
                Action::Gone(since) => {
                    if let Some(trial) = &self.trial {
                        trial.control().peer_gone(since);
                    }
                }
                Action::Reconnect => self.reconnect(),
                Action::Admitted(limits, introduced) => {
                    self.results.note(self.note_of_key.take().into_iter().collect());
                    self.limits = Some(limits);
                    self.introduced = Some(*introduced);
                    let step = self.campaign.handle_admitted(limits);
                    self.take(step)?;
                }
                Action::Granted { free_rate_bit_s } => {
                    let step = self.campaign.handle_granted(Some(free_rate_bit_s));
                    self.take(step)?;
                }
                Action::Refused(reason) => match self.campaign.handle_refused() {
                    Some(step) => self.take(step)?,
                    None => self.session.end_refused(reason),
                },
                Action::PayloadFound(found) => {
                    let socket = Socket::connect_by(self.agent, &self.dialler.egress);
                    let kernel_octets = socket.and_then(|socket| socket.mtu()).ok();
                    let step = self.campaign.handle_payload(found, kernel_octets);
                    self.take(step)?;
                }
                Action::Ended(run) => self.end_trial(*run).await?,
                Action::Failed(failure) => {
                    self.failure = Some(failure);
                    self.over = true;
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, message: Message) {
        let Some(channel) = &self.channel else { return };
        match channel.outbox.say(&message) {
            // Where it is closed, the inbox reports how it ended.
            Ok(_) | Err(Unsaid::Closed) => {}
            Err(why @ Unsaid::Full) => {
                tracing::warn!(%why, "the control connection to the agent is dropped");
                self.lose_connection();
            }
        }
    }

    fn take(&mut self, step: Step) -> Result<(), Error> {
        let notes = self.campaign.take_notes();
        self.results.note(texts(&notes));
        let now = clock::now();
        self.searching = None;
        match step {
            Step::Request(request) => {
                let lease = self.lease.clone();
                let within = |lease: Arc<Lease>| lease.within(request.clone(), clock::boot_ns());
                let request = match lease.map(within).transpose() {
                    Ok(within) => within.unwrap_or(request),
                    Err(over) => {
                        self.end_with_lease(over);
                        return Ok(());
                    }
                };
                self.results.report_phase(self.place, Phase::Asking);
                self.session.request(now, &request);
            }
            Step::FindPayload(most, trial) => {
                self.results.report_phase(self.place, Phase::Searching(most));
                self.searching = Some(most);
                self.session.begin(now, Task::FindPayload(most), trial);
            }
            Step::Run(trial) => {
                let lease = self.lease.as_ref();
                let allowed = lease.map(|lease| lease.allows(&trial, clock::boot_ns()));
                if let Some(Err(over)) = allowed {
                    self.end_with_lease(over);
                    return Ok(());
                }
                self.is_loading = !trial.is_idle();
                self.results.report_phase(self.place, Phase::Measuring(trial));
                self.measuring = Some((now, trial.duration()));
                self.before = host::Counters::read(self.device.as_deref());
                let local = self.own_address.parse().ok();
                let device = self.dialler.egress.device.as_deref();
                self.next_hop = Some(NextHopWatch::begin(local, self.agent, device));
                self.timestamp_noise_ns = timestamps::noise_ns();
                self.guarding.begin_trial(&trial, self.results.plan());
                self.session.begin(now, Task::Measure, trial);
            }
            Step::Finish | Step::Abandon(_) => {
                self.session.finish();
                self.over = true;
            }
            Step::Impossible(why) => return Err(why.into()),
        }
        Ok(())
    }

    fn open(&mut self, openings: &[Opening], tcp: Vec<TcpOpening>) {
        let sender = self.sender.clone();
        // The conductor outlives every trial, or the program ends.
        let on_event =
            Arc::new(move |event| _ = sender.send(event)) as crate::dataplane::near::OnEvent;
        let streams: Vec<_> =
            openings.iter().map(|opening| (opening.stream, opening.key)).collect();
        let dial = |TcpOpening { run, stream, key }| TcpDial { run, stream, key };
        let dials: Vec<TcpDial> = tcp.into_iter().map(dial).collect();
        let (find_payload, at_once) = (self.searching, self.results.at_once());
        let manner = Manner { find_payload, at_once, tape: None };
        let trial = NearTrial::open(
            (self.agent, &self.dialler.egress),
            &streams,
            &dials,
            &manner,
            &on_event,
        );
        match trial {
            Ok(trial) => self.trial = Some(trial),
            Err(error) => {
                let failed = NearEvent::HostFailed(error.to_string());
                self.session.handle_trial(clock::now(), failed);
            }
        }
    }

    async fn end_trial(&mut self, mut run: TrialRun) -> Result<(), Error> {
        let since = host::Counters::read(self.device.as_deref()).since(&self.before);
        let trial = self.trial.take();
        self.measuring = None;
        self.guarding.end_trial();
        if let Some(CutShort::Aborted(_)) = &self.cut_short
            && run.outcome.status == Status::Partial
        {
            run.outcome.status = Status::Aborted;
            run.outcome.reason = self.cut_short.as_ref().map(ToString::to_string);
        }
        let gauge = trial.as_ref().map(|trial| trial.gauge());
        let is_heard = gauge.is_some_and(|gauge| gauge.hears::<Driver>(clock::now()));
        run.outcome.take_driver_host(HostCounts {
            queue_drops: since.queue_drops,
            kernel_drops: since.softnet_drops,
            checksum_errors: since.checksum_errors,
            clock_steps: gauge.map_or(0, |gauge| gauge.clock_steps()),
            unresolved_next_hop: self.next_hop.take().and_then(|hop| hop.end(is_heard)),
            timestamp_noise_ns: self.timestamp_noise_ns,
            hardware_timestamps: gauge.is_some_and(|gauge| gauge.hardware_timestamps()),
            // It stands with the probes.
            wall_clock: None,
        });
        if matches!(run.outcome.status, Status::Ok | Status::Partial | Status::Aborted) {
            let duration_ns = run.trial.duration().nanos();
            run.outcome.set_times(self.began_wall_ns, duration_ns, self.results.wall_ns());
        }
        let step = self.campaign.handle_outcome(run);
        self.results.report_phase(self.place, Phase::Judging);
        let site_run = self.site_run();
        self.results.save(site_run, self.campaign.is_complete()).await;
        self.take(step)
    }

    /// The way to this site, as far as it has come.
    fn site_run(&self) -> SiteRun {
        let site = &self.campaign.plan().sites[self.place];
        let failure = self.failure.as_ref().map(ToString::to_string);
        let reason = self.cut_short.as_ref().map(ToString::to_string).or(failure);
        let evidence = self.campaign.evidence().clone();
        let introduced = self.introduced.as_ref();
        let cut = |run: &TrialRun| run.outcome.reason.clone();
        SiteRun {
            ends: SiteEnds {
                site: site.name.clone(),
                agent: site.agent.to_string(),
                address: Some(self.agent.to_string()),
                driver_address: Some(self.own_address.clone()),
                agent_program: introduced.map(|agent| agent.program.clone()),
                agent_protocol: introduced.map(|agent| agent.protocol),
                driver_key: Some(self.own_key.fingerprint()),
                agent_key: Some(self.agent_key.fingerprint()),
                agent_host: introduced.and_then(|agent| agent.host.clone()),
                requested_by: introduced.and_then(|agent| agent.who.clone()),
                role: introduced.and_then(|agent| agent.role.clone()),
                ip: IpVersion::of(self.agent.ip()),
                reason: reason.or_else(|| evidence.trials.iter().find_map(cut)),
            },
            limits: self.limits,
            evidence,
        }
    }

    /// Whether nothing was measured as the agent does not know the driver's key.
    fn is_not_listed(&self) -> bool {
        self.cut_short == Some(CutShort::NotListed) && !self.campaign.has_evidence()
    }

    /// The way to this site is over: what was measured is kept; the reason where nothing was.
    fn conclude(mut self) -> Result<Ending, Error> {
        let has_evidence = self.campaign.has_evidence();
        if let Some(failure) = &self.failure {
            let reason = failure.to_string();
            self.campaign.abandon(&reason);
        } else if let Some(why) = &self.cut_short {
            // Ended at once, it was not waited for, and what it has counted is not known.
            self.campaign.abandon(&why.to_string());
        }
        let site_run = self.site_run();
        self.results.close(site_run, self.campaign.is_complete());
        match self.cut_short {
            Some(CutShort::Interrupted) => Ok(Ending::Cancelled),
            Some(CutShort::Aborted(_)) if has_evidence => Ok(Ending::Cancelled),
            _ if has_evidence => Ok(Ending::Done),
            _ => Err(self.nothing_ran()),
        }
    }

    fn nothing_ran(&self) -> Error {
        let agent = self.agent;
        match (&self.cut_short, &self.failure) {
            (Some(CutShort::NotListed), _) => {
                let line = KeyLine::new(self.own_key, "").expect("no comment is allowed");
                Error::NotListed { agent, line }
            }
            (Some(why @ CutShort::Broken(_)), _) => {
                Error::Agent(format!("the agent at {agent}: {why}"))
            }
            (Some(CutShort::LeaseOver(over)), _) => Error::NotLeased(over.to_string()),
            (Some(CutShort::Aborted(why)), _) => Error::Aborted(why.clone()),
            (Some(CutShort::Interrupted), _) | (None, None) => Error::Interrupted,
            (None, Some(Failure::Refused(why))) => {
                Error::Agent(format!("the agent at {agent} refused: {why}"))
            }
            (None, Some(failure)) => Error::Agent(format!("the agent at {agent}: {failure}")),
        }
    }
}

/// How a trial towards the site at `site` goes, that has taken `elapsed` of its `length`.
fn progress(site: usize, (elapsed, length): (Span, Span), gauge: &Gauge) -> Progress {
    let round_trip_ns = gauge.round_trip_ns.load(Relaxed);
    Progress {
        site,
        elapsed,
        length,
        sent: gauge.sent.load(Relaxed),
        octets: gauge.octets.load(Relaxed),
        missing: gauge.missing.load(Relaxed),
        round_trip: (0 < round_trip_ns).then(|| Span::from_nanos(round_trip_ns)),
    }
}
