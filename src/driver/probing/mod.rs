//! A path that is probed all the time, and what is seen of it.
//!
//! An agent grants no probing without an end. So one stint follows the other, each a conversation
//! with one trial, and the next one probes before the one before it stops: no second is lost. What
//! each probe came to goes on a tape, and is made into seconds here; a trial's exchanges never pile
//! up.
//!
//! Where the agent is not reached, a connection to it is tried once a second: what answers that,
//! and be it with a refusal, shows that the path is up; what does not is lost, as a probe would be.

mod stint;

use super::addresses::{Lookup, addresses_by, fitting};
use super::dialling::{Dialler, around};
use super::error::Error;
use super::job::{Former, new_run};
use crate::clock::{Driver, Stamp};
use crate::dataplane::tape::Tape;
use crate::health::{Collector, Observed, Reach, SeriesId};
use crate::io::clock;
use crate::io::egress::Egress;
use crate::io::resolve::system;
use crate::io::tls::{Connector, Identity};
use crate::plan::Host;
use crate::trial::Trial;
use crate::units::{PacketRate, Span};
use crate::wire::key::PublicKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stint::{Over, Progress, Stint};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often tapes are read, and what is due is done.
const LOOK: Duration = Duration::from_millis(500);

/// How long a stint probes at most.
const STINT: Duration = Duration::from_secs(300);

/// How long before its end the next one begins.
const HANDOVER: Span = Span::from_secs(20);

/// How long after a stint began connections are tried beside it, where it does not probe yet.
const OPENING: Span = Span::from_secs(3);

/// How long a try to connect may take: a probe has as long.
const KNOCK_MAX: Duration = Duration::from_secs(2);

/// How long to wait after an agent refused, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long the addresses of a name are used before it is looked up again.
const LOOKED_UP: Span = Span::from_secs(30);

/// A path that is to be probed: from this host to an agent.
#[derive(Clone)]
pub struct Path {
    agent: Host,
    egress: Egress,
    identities: Vec<Identity>,
    agent_key: PublicKey,
    rate: PacketRate,
    lookup: Lookup,
}

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Path").field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl Path {
    /// To `agent`, which has `agent_key`, by `egress`, with `rate` probes per second.
    #[must_use]
    pub fn new(
        agent: Host,
        egress: Egress,
        identity: Identity,
        agent_key: PublicKey,
        rate: PacketRate,
    ) -> Self {
        let (identities, lookup) = (vec![identity], Arc::new(system) as Lookup);
        Self { agent, egress, identities, agent_key, rate, lookup }
    }

    /// Keys that the driver had before: they are tried with an agent that does not list its key.
    #[must_use]
    pub fn with_former(mut self, former: Vec<Former>) -> Self {
        self.identities.extend(former.into_iter().map(|former| former.identity));
        self
    }
}

/// Probes `path` until the future is dropped, and hands what is seen to `observe`; not while `rest`
/// is true.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn probe(
    path: Path,
    rest: watch::Receiver<bool>,
    mut observe: impl FnMut(Observed) + Send,
) {
    let mut prober = PathProber::new(path, rest);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => prober.look(),
            Some(knocked) = prober.knocks.join_next() => prober.on_knocked(knocked.ok()),
            Some(found) = prober.lookups.join_next() => prober.on_looked_up(found.ok()),
            Some(over) = prober.stints.join_next() => prober.on_over(over.ok()),
        }
        prober.observed.drain(..).for_each(&mut observe);
    }
}

/// A try to connect that was made in a second, and what came of it.
type Knocked = (i64, SocketAddr, Result<TcpStream, Error>);

struct PathProber {
    path: Path,
    rest: watch::Receiver<bool>,
    collector: Collector,
    /// Stints under way, the one that probes first; each with its series.
    current: Vec<Running>,
    series: u64,
    stints: JoinSet<(SeriesId, Over)>,
    knocks: JoinSet<Knocked>,
    lookups: JoinSet<Result<Vec<SocketAddr>, Error>>,
    agents: Vec<SocketAddr>,
    looked_up_at: Option<Stamp<Driver>>,
    knocked_s: i64,
    /// The key that is tried.
    identity: usize,
    pause: Duration,
    paused_until: Option<Stamp<Driver>>,
    reach: Option<Reach>,
    observed: Vec<Observed>,
}

/// A stint under way.
struct Running {
    series: SeriesId,
    tape: Arc<Tape>,
    progress: Progress,
    began: Stamp<Driver>,
    length: Span,
    is_over: bool,
}

impl Running {
    /// Whether it is on its way to its first probe.
    fn is_opening(&self) -> bool {
        !self.is_over && self.progress.is_opening()
    }
}

impl PathProber {
    fn new(path: Path, rest: watch::Receiver<bool>) -> Self {
        Self {
            path,
            rest,
            collector: Collector::new(now_s()),
            current: Vec::new(),
            series: 0,
            stints: JoinSet::new(),
            knocks: JoinSet::new(),
            lookups: JoinSet::new(),
            agents: Vec::new(),
            looked_up_at: None,
            knocked_s: 0,
            identity: 0,
            pause: PAUSE_MIN,
            paused_until: None,
            reach: None,
            observed: Vec::new(),
        }
    }

    fn look(&mut self) {
        self.read_tapes();
        self.observed.extend(self.collector.poll(now_s()));
        if *self.rest.borrow() {
            self.current.iter().for_each(|stint| stint.progress.wind_down());
            return self.note(Reach::Resting);
        }
        let now = clock::now();
        let probing = self.current.iter().filter(|it| it.progress.is_probing());
        let newest = probing.max_by_key(|it| it.series);
        match newest.map(|it| (it.series, it.began, it.length)) {
            Some((series, began, length)) => {
                self.pause = PAUSE_MIN;
                let older = self.current.iter().filter(|it| it.series < series);
                older.for_each(|it| it.progress.wind_down());
                let is_next = self.current.iter().any(|it| series < it.series && !it.is_over);
                let due = began.after_nanos(length.minus(HANDOVER).nanos());
                if due <= now && !is_next && !self.is_paused(now) {
                    self.begin(None);
                }
                self.note(Reach::Probing);
            }
            None => self.knock(now),
        }
    }

    fn read_tapes(&mut self) {
        let ahead_ns = ahead_ns();
        for stint in &self.current {
            let events = stint.tape.take();
            if !events.is_empty() {
                self.collector.take(stint.series, &events, ahead_ns);
            }
        }
        self.current.retain(|stint| !stint.is_over);
    }

    fn is_paused(&self, now: Stamp<Driver>) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Nothing probes: tries to connect, once in a second.
    fn knock(&mut self, now: Stamp<Driver>) {
        let is_opening =
            |it: &Running| it.is_opening() && now.nanos_since(it.began) < OPENING.nanos();
        if self.is_paused(now) || self.current.iter().any(is_opening) {
            return;
        }
        let is_fresh = self.looked_up_at.is_some_and(|at| now.nanos_since(at) < LOOKED_UP.nanos());
        if !is_fresh && self.lookups.is_empty() {
            let (lookup, host) = (Lookup::clone(&self.path.lookup), self.path.agent.clone());
            self.lookups.spawn(async move { addresses_by(lookup, &host).await });
        }
        let second = now_s();
        if self.agents.is_empty() || second <= self.knocked_s {
            return;
        }
        self.knocked_s = second;
        let place = usize::try_from(second).unwrap_or(0) % self.agents.len();
        let (agent, dialler) = (self.agents[place], self.dialler());
        self.knocks.spawn(async move {
            let knocked = tokio::time::timeout(KNOCK_MAX, dialler.connect(agent)).await;
            let silent = || Error::NoAnswer {
                agent,
                ip: agent.ip(),
                port: agent.port(),
                secs: KNOCK_MAX.as_secs(),
            };
            (second, agent, knocked.unwrap_or_else(|_| Err(silent())))
        });
    }

    fn on_looked_up(&mut self, found: Option<Result<Vec<SocketAddr>, Error>>) {
        match found {
            Some(Ok(agents)) => {
                self.agents = fitting(agents, self.path.egress.source);
                self.looked_up_at = Some(clock::now());
                self.look();
            }
            // Those that it had are tried for as long as none are found.
            Some(Err(error)) if self.agents.is_empty() => {
                self.note(Reach::ThisHost(error.to_string()));
            }
            Some(Err(_)) | None => {}
        }
    }

    fn on_knocked(&mut self, knocked: Option<Knocked>) {
        let Some((second, agent, knocked)) = knocked else { return };
        match knocked {
            Ok(connection) => {
                self.collector.on_knock(second, true);
                if !self.current.iter().any(Running::is_opening) && !*self.rest.borrow() {
                    self.begin(Some((agent, connection)));
                }
            }
            Err(error @ Error::Refused { .. }) => {
                self.collector.on_knock(second, true);
                self.note(Reach::NoAgent(error.to_string()));
            }
            Err(error @ (Error::NoAnswer { .. } | Error::Unreachable { .. })) => {
                self.collector.on_knock(second, false);
                self.note(Reach::Silent(error.to_string()));
            }
            Err(error) => self.note(Reach::ThisHost(error.to_string())),
        }
    }

    /// Begins a stint, over `connection` where there is one already.
    fn begin(&mut self, connection: Option<(SocketAddr, TcpStream)>) {
        let agent = connection.as_ref().map(|(agent, _)| *agent).or(self.agents.first().copied());
        let (Some(agent), Ok(run)) = (agent, new_run()) else { return };
        // Those of many paths that began together do not end together.
        let more = u64::try_from(around(STINT / 3).as_nanos()).unwrap_or(0);
        let length = Span::from_nanos(u64::try_from((STINT / 2).as_nanos()).unwrap_or(0));
        let length = length.plus(Span::from_nanos(more));
        let trial = Trial::new(None, length).and_then(|it| it.with_probe_rate(self.path.rate));
        let Ok(trial) = trial else { return };
        self.series += 1;
        let (series, tape, progress) = (SeriesId(self.series), Arc::default(), Progress::default());
        let stint = Stint {
            agent,
            connection: connection.map(|(_, connection)| connection),
            dialler: self.dialler(),
            run,
            trial,
            tape: Arc::clone(&tape),
            progress: progress.clone(),
        };
        self.stints.spawn(async move { (series, stint.conduct().await) });
        let (began, is_over) = (clock::now(), false);
        self.current.push(Running { series, tape, progress, began, length, is_over });
    }

    fn on_over(&mut self, over: Option<(SeriesId, Over)>) {
        let Some((series, over)) = over else { return };
        self.read_tapes();
        for stint in self.current.iter_mut().filter(|it| it.series == series) {
            stint.is_over = true;
        }
        self.read_tapes();
        self.collector.end(series);
        match over {
            Over::Done => {}
            Over::NotListed(_) if self.identity + 1 < self.path.identities.len() => {
                self.identity += 1;
            }
            Over::NotListed(why) | Over::Refused(why) => {
                self.identity = 0;
                self.back_off();
                if !self.current.iter().any(|it| it.progress.is_probing()) {
                    self.note(Reach::Refused(why));
                }
            }
            // A connection is tried at once: that says more.
            Over::Lost(why) => {
                tracing::info!(agent = %self.path.agent, %why, "a path is probed no more");
                self.paused_until = None;
            }
        }
    }

    fn back_off(&mut self) {
        let pause = u64::try_from(around(self.pause).as_nanos()).unwrap_or(0);
        self.paused_until = Some(clock::now::<Driver>().after_nanos(pause));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn dialler(&self) -> Dialler {
        let identity = &self.path.identities[self.identity];
        let connector = Connector::new(identity, self.path.agent_key);
        Dialler::new(self.path.agent.clone(), self.path.egress.clone(), connector)
    }

    fn note(&mut self, reach: Reach) {
        if self.reach.as_ref() != Some(&reach) {
            self.reach = Some(reach.clone());
            self.observed.push(Observed::Reach(reach));
        }
    }
}

/// The wall clock, in seconds since 1970.
fn now_s() -> i64 {
    i64::try_from(clock::wall_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// How far the wall clock is ahead of the stamps'.
fn ahead_ns() -> i64 {
    let wall = clock::wall_ns();
    i64::try_from(wall.saturating_sub(clock::now::<Driver>().nanos())).unwrap_or(i64::MAX)
}
