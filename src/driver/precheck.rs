//! The pre-check: port by port, what a run does before it loads, and which side is in its way.
//!
//! It opens every kind of flow that the run will open, with the run's marks, sizes and protocols,
//! and sends no load: connections, handshakes, and the probes that find the path's MTU. It stops at
//! the first thing that does not pass.

use super::addresses::size_above_device;
use super::dialling::CONNECT_MAX;
use super::job::Former;
use super::rounds::Round;
use crate::clock::{Driver, Stamp};
use crate::dataplane::near::{Manner, NearTrial, OnEvent, TcpDial};
use crate::flow::{HandshakeFailed, NearEvent};
use crate::framing::IpVersion;
use crate::io::channel::{Channel, Closed, Outbox};
use crate::io::clock;
use crate::io::egress::{Egress, explain};
use crate::io::tcp::connect_by;
use crate::io::tls::{Connector, Identity, TlsError, TlsStream};
use crate::io::udp::Socket;
use crate::method::most_payload;
use crate::plan::Plan;
use crate::policy::{LoadRequest, Request};
use crate::session::driver::{Action, Blocked, Failure, Opening, Session, Task, TcpOpening};
use crate::trial::{Dscp, Limits};
use crate::units::{BitRate, Span};
use crate::wire::control::{Message, RunId};
use crate::wire::key::{KeyLine, PublicKey};
use crate::wire::probe::LEN_MIN;
use rand::TryRng as _;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long all that comes after it may take, and as much again for each further kind of flow.
const CONVERSATION_MAX: Duration = Duration::from_secs(60);
const ROUND_MAX: Duration = Duration::from_secs(10);

/// The longest that several rounds may take, whatever the plan.
const ROUNDS_MAX: Duration = Duration::from_secs(600);

/// The load that is asked for, so that its flows may be opened; none of it is sent.
const LOAD_RATE: BitRate = match BitRate::new(1_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// How much of that load in all.
const LOAD_DURATION: Span = Span::from_secs(60);

/// How often deadlines are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long an ICMP error may take to come back.
const REJECTION_MAX: Span = Span::from_millis(500);

/// Where to, and as whom.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// What will be run.
    pub plan: &'a Plan,
    /// The site: its place in the plan.
    pub place: usize,
    /// The agent.
    pub agent: SocketAddr,
    /// How this host is left.
    pub egress: Egress,
    /// This driver.
    pub identity: Identity,
    /// Keys that it had before, tried in this order where the agent does not list its key.
    pub former: Vec<Former>,
    /// The key that the agent must have.
    pub agent_key: PublicKey,
}

/// One thing that was tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// What, such as "TCP 4872".
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What was seen; where it does not pass, on which side that is.
    pub seen: String,
}

/// What became of something that was tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It passes.
    Passes,
    /// Something on the path or at an end stops it.
    Blocked,
    /// The way is free, and one end does not accept the key of the other.
    Refused,
}

impl Step {
    /// Whether it passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.outcome == Outcome::Passes
    }
}

fn step(what: impl Into<String>, passes: bool, seen: impl Into<String>) -> Step {
    let outcome = if passes { Outcome::Passes } else { Outcome::Blocked };
    Step { what: what.into(), outcome, seen: seen.into() }
}

/// A key that one end does not accept.
fn not_accepted(what: impl Into<String>, seen: impl Into<String>) -> Step {
    Step { what: what.into(), outcome: Outcome::Refused, seen: seen.into() }
}

/// Tries each thing that a run needs, up to the first that does not pass.
pub async fn check(target: &Target<'_>) -> Vec<Step> {
    let (with_own, is_listed) = attempt(target).await;
    if is_listed {
        return with_own;
    }
    for former in &target.former {
        let of_former = Target { identity: former.identity.clone(), ..target.clone() };
        let (mut steps, _) = attempt(&of_former).await;
        if steps.iter().any(|step| step.what == "hello" && step.passes()) {
            let note = former.note(target.agent, target.identity.public_key());
            steps.insert(0, step("key", true, note));
            return steps;
        }
    }
    // The key to allow is the driver's own.
    with_own
}

/// The same with the target's own key; whether the agent lists it, as far as it came to that.
async fn attempt(target: &Target<'_>) -> (Vec<Step>, bool) {
    let mut is_listed = true;
    let steps = steps(target, &mut is_listed).await;
    (steps, is_listed)
}

async fn steps(target: &Target<'_>, is_listed: &mut bool) -> Vec<Step> {
    let port = target.agent.port();
    let began = clock::now::<Driver>();
    let connected =
        tokio::time::timeout(CONNECT_MAX, connect_by(target.agent, &target.egress)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return vec![step(format!("TCP {port}"), false, refused(&error))],
        Err(_) => return vec![step(format!("TCP {port}"), false, UNANSWERED)],
    };
    let took = Span::from_nanos(clock::now::<Driver>().nanos_since(began));
    let micros = Span::from_nanos(took.nanos() / 1_000 * 1_000);
    let mut steps = vec![step(format!("TCP {port}"), true, format!("connected in {micros}"))];
    // Without it an answer may wait for an acknowledgement; where it cannot be had, it does.
    _ = stream.set_nodelay(true);
    let connector = Connector::new(&target.identity, target.agent_key);
    match connector.connect(stream, CONNECT_MAX).await {
        Ok(stream) => {
            steps.push(step("TLS", true, "the agent has the expected key"));
            *is_listed = converse(target, stream, &mut steps).await;
        }
        Err(TlsError::Unexpected { expected, got }) => {
            steps.push(step("TLS", true, "an agent answers"));
            steps.push(not_accepted("key", another_key(target, expected, got)));
        }
        Err(error @ TlsError::Refused { .. }) => {
            let seen = format!("the port is open, but the keys do not match: {error}");
            steps.push(not_accepted("key", seen));
        }
        Err(error) => steps.push(step("TLS", false, not_tls(&error))),
    }
    steps
}

/// The agent has another key than the one that is expected: what that may be, and what to do.
fn another_key(target: &Target<'_>, expected: PublicKey, got: PublicKey) -> String {
    let site = &target.plan.sites[target.place];
    let host = &site.agent;
    let way_on = match &site.key {
        Some(path) => format!("put the line that it prints into {}", path.display()),
        None => format!("trust it: linkqual trust {host} --replace"),
    };
    format!(
        "the agent has another key, {got}, where {expected} is expected: either this is \
         another host, or there is a man in the middle, or the key was replaced. Ask its operator \
         for the fingerprint (linkqual-agent key). If the key is right, {way_on}"
    )
}

const UNANSWERED: &str = "no answer within 5 s: a firewall drops the connection in one direction \
                          or the other, or the host is down; from here these look the same";

fn admitted(limits: Limits) -> Step {
    let seen = format!(
        "the agent admits this driver, and allows {} (L2), {} s of load in one run",
        limits.rate_max,
        limits.duration_max.secs_up()
    );
    step("hello", true, seen)
}

/// Who says no to a connection.
fn refused(error: &io::Error) -> String {
    let side = match error.kind() {
        ErrorKind::ConnectionRefused => {
            "refused: the host is up, but nothing listens on that port, or a firewall rejects \
             the connection. Is linkqual-agent running?"
        }
        ErrorKind::ConnectionReset => {
            "reset: a firewall on the path, or the agent's host, cut the connection"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "unreachable: this host has no route to it, or a router on the path reports so by ICMP"
        }
        ErrorKind::PermissionDenied => "forbidden by this host's own firewall",
        ErrorKind::TimedOut => UNANSWERED,
        _ => "this host cannot connect",
    };
    format!("{side} ({})", explain(error))
}

/// Who says no to TLS, where TCP passes.
fn not_tls(error: &TlsError) -> String {
    match error {
        TlsError::Closed | TlsError::Io(_) => format!(
            "connected, then cut during the handshake: something other than linkqual-agent \
             listens there, or a firewall on the path blocks TLS 1.3 with raw public keys ({error})"
        ),
        TlsError::TimedOut { .. } => format!(
            "connected, then no answer: something on the path accepts connections for the agent, \
             or drops packets larger than the first of a handshake ({error})"
        ),
        error => error.to_string(),
    }
}

/// All that is said over the control connection, and what is tried over UDP meanwhile; whether the
/// agent lists the driver's key, as far as it is known.
async fn converse(
    target: &Target<'_>,
    stream: TlsStream<TcpStream>,
    steps: &mut Vec<Step>,
) -> bool {
    let mut check = match Check::new(target) {
        Ok(check) => check,
        Err(error) => {
            steps.push(step("UDP", false, format!("this host: {error}")));
            return true;
        }
    };
    let limit = check.limit;
    let conversation = check.run(stream, steps);
    let in_time = tokio::time::timeout(limit, conversation).await;
    if in_time.is_err() {
        let seen = format!("did not finish within {} s", limit.as_secs());
        steps.push(step("control", false, seen));
    }
    !check.is_refused
}

/// A conversation that asks for leave to probe, and probes.
struct Check<'a> {
    target: &'a Target<'a>,
    session: Session,
    trial: Option<NearTrial>,
    sender: mpsc::UnboundedSender<NearEvent>,
    events: mpsc::UnboundedReceiver<NearEvent>,
    /// How long all of it may take.
    limit: Duration,
    /// The largest payload that a run tries.
    most: u32,
    limits: Option<Limits>,
    rounds: VecDeque<Round>,
    /// The round under way.
    round: Option<Round>,
    /// The largest payload that passed, once that is known.
    found: Option<u32>,
    may_load: bool,
    /// The largest payload of the search under way.
    searched: u32,
    /// Whether the agent has said anything.
    greeted: bool,
    /// Whether the agent does not list this driver's key.
    is_refused: bool,
    over: bool,
}

impl<'a> Check<'a> {
    fn new(target: &'a Target<'a>) -> io::Result<Self> {
        let mut run = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut run).map_err(io::Error::other)?;
        let ip = IpVersion::of(target.agent.ip());
        let device_mtu = Socket::connect_by(target.agent, &target.egress)?.mtu()?;
        let most = most_payload(target.plan, target.place, ip, device_mtu);
        let rounds: VecDeque<_> = Round::all(target.plan, target.place).into();
        let further = u32::try_from(rounds.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let limit = ROUND_MAX.saturating_mul(further).saturating_add(CONVERSATION_MAX);
        let (sender, events) = mpsc::unbounded_channel();
        Ok(Self {
            target,
            session: Session::new(RunId(u128::from_le_bytes(run)), clock::now()),
            trial: None,
            sender,
            events,
            most,
            limits: None,
            rounds,
            limit: limit.min(ROUNDS_MAX),
            round: None,
            found: None,
            may_load: false,
            searched: most,
            greeted: false,
            is_refused: false,
            over: false,
        })
    }

    async fn run(&mut self, stream: TlsStream<TcpStream>, steps: &mut Vec<Step>) {
        let mut channel = Channel::open(stream);
        let mut look = tokio::time::interval(LOOK);
        loop {
            while let Some(action) = self.session.poll_action() {
                self.perform(action, &channel.outbox, steps);
            }
            if self.over {
                return channel.close().await;
            }
            tokio::select! {
                heard = channel.inbox.next() => self.hear(heard, steps),
                Some(event) = self.events.recv() => {
                    self.session.handle_trial(clock::now(), event);
                }
                _ = look.tick() => self.session.handle_timeout(clock::now()),
            }
        }
    }

    /// Something came over the control connection, or it is over.
    fn hear(&mut self, heard: Result<Message, Closed>, steps: &mut Vec<Step>) {
        match heard {
            Ok(message) => {
                self.greeted = true;
                self.session.handle_message(clock::now(), message);
            }
            Err(Closed::Malformed(error)) => {
                let seen = format!("the answer is not a linkqual message: {error}");
                self.end(steps, step("control", false, seen));
            }
            Err(Closed::Refused) => {
                self.is_refused = true;
                let not_listed = not_accepted("hello", self.not_listed());
                self.end(steps, not_listed);
            }
            Err(closed @ (Closed::Stalled { .. } | Closed::Oversize { .. })) => {
                self.end(steps, step("control", false, closed.to_string()));
            }
            Err(Closed::There | Closed::Here | Closed::Broken(_)) => {
                let seen = match self.greeted {
                    false => "closed before the agent sent anything: is it the same release?",
                    true => "closed by the agent, or by a firewall on the path",
                };
                self.end(steps, step("control", false, seen));
            }
        }
    }

    fn not_listed(&self) -> String {
        let key = self.target.identity.public_key();
        let line = KeyLine::new(key, "").expect("no comment is allowed");
        format!(
            "the agent does not allow this driver's key, {key}, and until it does nothing else can \
             be tried. Ask its operator to run: linkqual-agent allow {line}"
        )
    }

    /// Carries out what the session wants.
    fn perform(&mut self, action: Action, outbox: &Outbox, steps: &mut Vec<Step>) {
        let now = clock::now();
        match action {
            // Where the connection is closed, the inbox reports how it ended.
            Action::Say(message) => _ = outbox.say(&message),
            Action::Admitted(limits, _) => {
                steps.push(admitted(limits));
                self.limits = Some(limits);
                self.request(now, None);
            }
            Action::Granted { .. } => {
                self.may_load = self.round.is_some_and(Round::is_load);
                self.next(now, steps);
            }
            Action::Refused(reason) => self.session.end_refused(reason),
            Action::Open(openings, tcp) => {
                if let Err(error) = self.open(&openings, tcp) {
                    self.end(steps, step("UDP", false, format!("this host: {}", explain(&error))));
                }
            }
            Action::FindPayload(_) | Action::Start => {
                if let Some(trial) = &self.trial {
                    trial.start(now);
                }
            }
            Action::Stop => self.trial = None,
            Action::PayloadFound(found) => {
                let passed = self.passed(found);
                match passed.passes() {
                    true => {
                        steps.push(passed);
                        self.round = None;
                        self.next(now, steps);
                    }
                    false => {
                        self.session.finish();
                        self.end(steps, passed);
                    }
                }
            }
            Action::Failed(failure) => {
                let failed = self.failed(&failure);
                self.end(steps, failed);
            }
            // A run would open another connection.
            Action::Reconnect => {
                let seen = "connected, but the agent no longer answers: its answers are dropped";
                self.end(steps, step("control", false, seen));
            }
            Action::Close(..) | Action::Gone(_) | Action::Ended(_) => {}
        }
    }

    /// Asks for leave, as a run does: first to probe, then to load.
    fn request(&mut self, now: Stamp<Driver>, load: Option<LoadRequest>) {
        let duration = Span::from_secs(self.limit.as_secs());
        let circuit = load.and_then(|_| self.target.plan.link.circuit.clone());
        let congestion = match load {
            None => self.target.plan.reverse_congestion(self.target.place),
            Some(_) => Vec::new(),
        };
        // Nothing is loaded: it needs no lease.
        let fences = Vec::new();
        self.session.request(now, &Request { circuit, duration, load, congestion, fences });
    }

    /// The load that is asked for: within what the agent allows.
    fn load(&self) -> LoadRequest {
        let (most, duration) = (self.limits.map(|limits| limits.rate_max), LOAD_DURATION);
        let duration = duration.min(self.limits.map_or(duration, |limits| limits.duration_max));
        LoadRequest { rate: most.map_or(LOAD_RATE, |most| most.min(LOAD_RATE)), duration }
    }

    /// Begins the next round, once the agent has granted what it takes.
    fn next(&mut self, now: Stamp<Driver>, steps: &mut Vec<Step>) {
        let Some(round) = self.round.take().or_else(|| self.rounds.pop_front()) else {
            self.session.finish();
            self.over = true;
            return;
        };
        self.round = Some(round);
        let load = self.load();
        if round.is_load() && !self.may_load {
            return self.request(now, Some(load));
        }
        let trial = match round.trial(load.rate) {
            Ok(trial) => trial,
            Err(error) => {
                return self.end(steps, step(self.name(), false, format!("this plan: {error}")));
            }
        };
        let most = match round {
            Round::Probes(_) => self.found.unwrap_or(self.most),
            Round::Udp(..) | Round::Tcp(..) => u32::try_from(LEN_MIN).expect("a probe is short"),
        };
        self.searched = most;
        self.session.begin(now, Task::FindPayload(most), trial);
    }

    /// Opens the streams of a round.
    fn open(&mut self, openings: &[Opening], tcp: Vec<TcpOpening>) -> io::Result<()> {
        let streams: Vec<_> =
            openings.iter().map(|opening| (opening.stream, opening.key)).collect();
        let dial = |TcpOpening { run, stream, key }| TcpDial { run, stream, key };
        let dials: Vec<TcpDial> = tcp.into_iter().map(dial).collect();
        let sender = self.sender.clone();
        // The conversation may be over before the last event.
        let on_event = Arc::new(move |event| _ = sender.send(event)) as OnEvent;
        let to = (self.target.agent, &self.target.egress);
        let manner = Manner { find_payload: Some(self.searched), at_once: 1, tape: None };
        self.trial = Some(NearTrial::open(to, &streams, &dials, &manner, &on_event)?);
        Ok(())
    }

    fn end(&mut self, steps: &mut Vec<Step>, last: Step) {
        steps.push(last);
        self.over = true;
    }

    /// What the round under way tries.
    fn name(&self) -> String {
        let port = self.target.agent.port();
        let (what, mark) = match self.round {
            Some(Round::Udp(mark, _)) => ("UDP load".to_owned(), mark),
            Some(Round::Tcp(mark, ..)) => ("TCP load".to_owned(), mark),
            Some(Round::Probes(mark)) => (format!("UDP {port}"), mark),
            None => (format!("UDP {port}"), Dscp::default()),
        };
        if mark == Dscp::default() { what } else { format!("{what} {mark}") }
    }

    fn packet(&self, payload: u32) -> u32 {
        payload + IpVersion::of(self.target.agent.ip()).udp_overhead_octets()
    }

    /// The round under way opened all of its flows, and a payload of `found` passes both ways.
    fn passed(&mut self, found: Option<u32>) -> Step {
        const CUT: &str = "the handshake passes both ways, but no probe after it: a firewall on \
                           the path cuts the flow once it is open";
        let name = self.name();
        let mark = self.round.map(Round::mark).filter(|mark| *mark != Dscp::default());
        let payload = match (found, mark) {
            (Some(payload), _) => payload,
            (None, None) => return step(name, false, CUT),
            (None, Some(mark)) => {
                // The handshake's own datagrams are marked on the way there, its answers are not.
                let seen = format!(
                    "the handshake marked {mark} passes, and no reply with that mark comes back, \
                     while unmarked ones do: the path drops this class on the path back. Have \
                     {mark} allowed, or remove dscp from the plan"
                );
                return step(name, false, seen);
            }
        };
        let packet = self.packet(payload);
        match (self.round, self.found) {
            (Some(Round::Udp(_, flows)), _) => {
                step(name, true, format!("{flows} at once pass, no load sent"))
            }
            (Some(Round::Tcp(_, flows, _)), _) => {
                let what = if flows == 1 { "connection" } else { "connections at once" };
                step(name, true, format!("{flows} {what} without TLS pass, no load sent"))
            }
            // What the run sends with this mark is as long as what passes without.
            (_, Some(unmarked)) if payload < unmarked => {
                let unmarked = self.packet(unmarked);
                let seen = format!(
                    "packets of {unmarked} octets pass unmarked, and only up to {packet} with this \
                     mark: the path treats the class differently"
                );
                step(name, false, seen)
            }
            (_, Some(_)) => step(name, true, format!("passes both ways, up to {packet} octets")),
            (_, None) => {
                self.found = Some(payload);
                let longest = self.target.plan.longest_size(self.target.place);
                let too_long = longest.filter(|size| payload < *size);
                let (agent, egress) = (self.target.agent, &self.target.egress);
                match (too_long, size_above_device(too_long, agent, egress)) {
                    (Some(_), Some(above)) => step(name, false, above.to_string()),
                    (Some(size), None) => step(
                        name,
                        false,
                        format!(
                            "IP packets of up to {packet} octets pass both ways, and the plan's \
                             tests send {}: set a smaller size, or have the path MTU raised",
                            self.packet(size)
                        ),
                    ),
                    (None, _) => step(
                        name,
                        true,
                        format!(
                            "handshake and probes pass both ways, in IP packets of up to {packet} \
                             octets"
                        ),
                    ),
                }
            }
        }
    }

    fn failed(&self, failure: &Failure) -> Step {
        match failure {
            Failure::Blocked(blocked) => step(self.name(), false, self.blocked(blocked)),
            // Somebody else holds the line now: nothing is in the way.
            Failure::Refused(why) if self.round.is_some_and(Round::is_load) => step(
                self.name(),
                true,
                format!("not tried, as the agent grants no load now: {why}"),
            ),
            Failure::NotOpened(why) => step(self.name(), false, why.clone()),
            failure => step("control", false, failure.to_string()),
        }
    }

    /// A stream of UDP that could not be opened, though TCP passes: where it is blocked.
    fn blocked(&self, blocked: &Blocked) -> String {
        let marked = (blocked.dscp != Dscp::default()).then_some(blocked.dscp);
        match (blocked.why, marked) {
            (HandshakeFailed::NotAccepted, _) => {
                "one datagram passes each way, but none after it: a firewall on the path cuts \
                 the flow after its first packets"
                    .to_owned()
            }
            (HandshakeFailed::NoAnswer, Some(mark)) => {
                let way = match blocked.received {
                    None => "",
                    Some(0) => " on the path to the agent",
                    Some(_) => " on the path back from the agent",
                };
                format!(
                    "no answer within 5 s to datagrams marked {mark}, while unmarked ones pass: \
                     the path drops this class{way}. Have {mark} allowed, or remove dscp from the \
                     plan"
                )
            }
            (HandshakeFailed::NoAnswer, None) if rejects_udp(self.target) => {
                "rejected: an ICMP error comes back, from the agent's host or from a firewall \
                 that rejects on its behalf, while TCP to the same port passes"
                    .to_owned()
            }
            (HandshakeFailed::NoAnswer, None) if blocked.received.is_none() => {
                "no answer within 5 s, while TCP to the same port passes: UDP is dropped in one \
                 direction; which one cannot be determined from here. On the agent's host, run: \
                 tcpdump -n udp"
                    .to_owned()
            }
            (HandshakeFailed::NoAnswer, None) => {
                let direction = blocked.direction();
                format!("no answer within 5 s, while TCP to the same port passes. {direction}")
            }
        }
    }
}

/// Whether datagrams to the agent are answered with ICMP errors.
fn rejects_udp(target: &Target<'_>) -> bool {
    let Ok(mut socket) = Socket::connect_by(target.agent, &target.egress) else { return false };
    let until = clock::now::<Driver>().after_nanos(REJECTION_MAX.nanos());
    // Nobody answers what has no seal; only what never reached the agent's socket is rejected.
    if socket.send(&[0; 16]).is_err() {
        return false;
    }
    _ = socket.wait_readable(until);
    let mut buffer = [0; 64];
    _ = socket.receive::<Driver>(&mut buffer);
    0 < socket.icmp_errors()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_reported_by_how() {
        #[track_caller]
        fn check(kind: ErrorKind, part: &str) {
            let message = refused(&io::Error::from(kind));
            assert!(message.contains(part), "{message}");
        }
        check(ErrorKind::ConnectionRefused, "the host is up");
        check(ErrorKind::HostUnreachable, "no route to it, or a router");
        check(ErrorKind::PermissionDenied, "this host's own firewall");
        check(ErrorKind::TimedOut, "from here these look the same");
    }
}
