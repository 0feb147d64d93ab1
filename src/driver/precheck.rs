//! The pre-check: port by port, what a run does before it loads, and which side is in its way.
//!
//! It sends no load: a connection, a handshake on each port, and the probes that find the path's
//! MTU. It stops at the first thing that does not pass.

use super::dialling::CONNECT_MAX;
use crate::dataplane::near::{NearTrial, Tell};
use crate::flow::{HandshakeFailed, NearEvent};
use crate::framing::IpVersion;
use crate::io::channel::{Channel, Closed, Outbox};
use crate::io::clock;
use crate::io::egress::Egress;
use crate::io::tcp::connect_by;
use crate::io::tls::{Connector, Identity, TlsError, TlsStream};
use crate::io::udp::Socket;
use crate::method::PACKET_MAX;
use crate::plan::{Limits, Trial};
use crate::policy::Request;
use crate::session::driver::{Action, Failure, Opening, Session, Task};
use crate::units::Span;
use crate::wire::control::{Message, RunId};
use crate::wire::key::PublicKey;
use rand::TryRng as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long all that comes after it may take.
const CONVERSATION_MAX: Duration = Duration::from_secs(60);

/// How often deadlines are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long an ICMP error may take to come back.
const REJECTION_MAX: Span = Span::from_millis(500);

/// Where to, and as whom.
#[derive(Debug)]
pub(super) struct Target {
    /// The agent.
    pub(super) agent: SocketAddr,
    /// How this host is left.
    pub(super) egress: Egress,
    /// This driver.
    pub(super) identity: Identity,
    /// The key that the agent must have.
    pub(super) agent_key: PublicKey,
}

/// One thing that was tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Step {
    /// What, such as "TCP 4872".
    pub(super) what: String,
    /// Whether it passes.
    pub(super) passes: bool,
    /// What was seen; where it does not pass, on which side that is.
    pub(super) seen: String,
}

fn step(what: impl Into<String>, passes: bool, seen: impl Into<String>) -> Step {
    Step { what: what.into(), passes, seen: seen.into() }
}

/// Tries each thing that a run needs, up to the first that does not pass.
pub(super) async fn check(target: &Target) -> Vec<Step> {
    let port = target.agent.port();
    let began = clock::now::<crate::clock::Driver>();
    let connected =
        tokio::time::timeout(CONNECT_MAX, connect_by(target.agent, &target.egress)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return vec![step(format!("TCP {port}"), false, refused(&error))],
        Err(_) => return vec![step(format!("TCP {port}"), false, UNANSWERED)],
    };
    let took = Span::from_nanos(clock::now::<crate::clock::Driver>().nanos_since(began));
    let micros = Span::from_nanos(took.nanos() / 1_000 * 1_000);
    let mut steps = vec![step(format!("TCP {port}"), true, format!("connected within {micros}"))];
    // Without it an answer may wait for an acknowledgement; where it cannot be had, it does.
    _ = stream.set_nodelay(true);
    let connector = Connector::new(&target.identity, target.agent_key);
    match connector.connect(stream, CONNECT_MAX).await {
        Ok(stream) => {
            steps.push(step("TLS", true, "the agent has the key that the plan names"));
            converse(target, stream, &mut steps).await;
        }
        Err(error) => steps.push(step("TLS", false, not_tls(&error))),
    }
    steps
}

const UNANSWERED: &str = "no answer within 5 s: a firewall on the way drops the connection, there \
                          or back, or no such host is up; which of them cannot be told from here";

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
            "refused: the far host answers, and nothing listens there, or a firewall rejects in \
             its name. Is linkqual-agent running?"
        }
        ErrorKind::ConnectionReset => {
            "reset: a firewall on the way, or the far host, cut the connection"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "unreachable: this host has no route there, or a router on the way says so by ICMP"
        }
        ErrorKind::PermissionDenied => "forbidden by this host's own firewall",
        ErrorKind::TimedOut => UNANSWERED,
        _ => "this host cannot connect",
    };
    format!("{side} ({error})")
}

/// Who says no to TLS, where TCP passes.
fn not_tls(error: &TlsError) -> String {
    match error {
        TlsError::Unexpected { .. } | TlsError::Refused { .. } => {
            format!("the port is open, and the keys do not fit: {error}")
        }
        TlsError::Closed | TlsError::Io(_) => format!(
            "connected, and then cut in the handshake: something other than linkqual-agent listens \
             there, or a firewall on the way does not let TLS 1.3 with raw keys pass ({error})"
        ),
        TlsError::TimedOut { .. } => format!(
            "connected, and then nothing: something on the way accepts connections for the agent, \
             or drops what is larger than a handshake's first packet ({error})"
        ),
        error => error.to_string(),
    }
}

/// All that is said over the control connection, and what is tried over UDP meanwhile.
async fn converse(target: &Target, stream: TlsStream<TcpStream>, steps: &mut Vec<Step>) {
    let mut check = match Check::new(target) {
        Ok(check) => check,
        Err(error) => return steps.push(step("UDP", false, format!("this host: {error}"))),
    };
    let conversation = check.run(stream, steps);
    let in_time = tokio::time::timeout(CONVERSATION_MAX, conversation).await;
    if in_time.is_err() {
        let seen = format!("not over within {} s", CONVERSATION_MAX.as_secs());
        steps.push(step("control", false, seen));
    }
}

/// A conversation that asks for leave to probe, and probes.
struct Check<'a> {
    target: &'a Target,
    session: Session,
    trial: Option<NearTrial>,
    teller: mpsc::UnboundedSender<NearEvent>,
    told: mpsc::UnboundedReceiver<NearEvent>,
    /// The largest payload that this host's device carries.
    most: u32,
    not_opened: Option<HandshakeFailed>,
    /// Whether the agent has said anything.
    greeted: bool,
    over: bool,
}

impl<'a> Check<'a> {
    fn new(target: &'a Target) -> io::Result<Self> {
        let mut run = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut run).map_err(io::Error::other)?;
        let headers = IpVersion::of(target.agent.ip()).udp_overhead_octets();
        let most = Socket::connect_by(target.agent, &target.egress)?
            .mtu()?
            .min(PACKET_MAX)
            .saturating_sub(headers);
        let (teller, told) = mpsc::unbounded_channel();
        Ok(Self {
            target,
            session: Session::new(RunId(u128::from_le_bytes(run)), clock::now()),
            trial: None,
            teller,
            told,
            most,
            not_opened: None,
            greeted: false,
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
                Some(event) = self.told.recv() => {
                    if let NearEvent::NotOpened(_, why) = event {
                        self.not_opened = Some(why);
                    }
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
                let seen = format!("what comes is no message of linkqual: {error}");
                self.end(steps, step("control", false, seen));
            }
            Err(Closed::Refused) => {
                let not_listed = step("hello", false, self.not_listed());
                self.end(steps, not_listed);
            }
            Err(closed @ (Closed::Stalled { .. } | Closed::Oversize { .. })) => {
                self.end(steps, step("control", false, closed.to_string()));
            }
            Err(Closed::There | Closed::Here | Closed::Broken(_)) => {
                let seen = match self.greeted {
                    false => "closed before the agent said anything: has it the newest release?",
                    true => "closed by the agent, or by a firewall on the way",
                };
                self.end(steps, step("control", false, seen));
            }
        }
    }

    fn not_listed(&self) -> String {
        format!(
            "the agent does not list this driver's key, {}, and before it does nothing else can be \
             tried. Have its operator start linkqual-agent with --allow and this driver's .pub \
             file",
            self.target.identity.public_key()
        )
    }

    /// Carries out what the session wants.
    fn perform(&mut self, action: Action, outbox: &Outbox, steps: &mut Vec<Step>) {
        let now = clock::now();
        match action {
            // Where the connection is closed, the inbox reports how it ended.
            Action::Say(message) => _ = outbox.say(message),
            Action::Admitted(limits, _) => {
                steps.push(admitted(limits));
                let duration = Span::from_nanos(
                    u64::try_from(CONVERSATION_MAX.as_nanos()).unwrap_or(u64::MAX),
                );
                self.session.request(now, &Request { circuit: None, duration, load: None });
            }
            Action::Granted => {
                let trial = Trial::new(None, Span::from_secs(10)).expect("10 s are within bounds");
                self.session.begin(now, Task::FindPayload(self.most), trial);
            }
            Action::Open(openings, _) => {
                if let Err(error) = self.open(&openings) {
                    self.end(steps, step("UDP", false, format!("this host: {error}")));
                }
            }
            Action::FindPayload(_) | Action::Start => {
                if let Some(trial) = &self.trial {
                    trial.start(now);
                }
            }
            Action::Stop => self.trial = None,
            Action::PayloadFound(found) => {
                self.session.finish();
                let found = self.found(found);
                self.end(steps, found);
            }
            Action::Failed(failure) => {
                let failed = self.failed(&failure);
                self.end(steps, failed);
            }
            // A run would open another connection.
            Action::Reconnect => {
                let seen = "connected, and the agent answers no more: its answers are dropped";
                self.end(steps, step("control", false, seen));
            }
            Action::Close(..) | Action::Gone(_) | Action::Ended(_) => {}
        }
    }

    /// Opens the streams over which the path's MTU is looked for.
    fn open(&mut self, openings: &[Opening]) -> io::Result<()> {
        let streams: Vec<_> =
            openings.iter().map(|opening| (opening.stream, opening.key)).collect();
        let teller = self.teller.clone();
        // The conversation may be over before the last event.
        let tell = Arc::new(move |event| _ = teller.send(event)) as Tell;
        let to = (self.target.agent, &self.target.egress);
        self.trial = Some(NearTrial::open(to, &streams, &[], Some(self.most), &tell)?);
        Ok(())
    }

    fn end(&mut self, steps: &mut Vec<Step>, last: Step) {
        steps.push(last);
        self.over = true;
    }

    fn udp(&self) -> String {
        format!("UDP {}", self.target.agent.port())
    }

    fn found(&self, found: Option<u32>) -> Step {
        match found {
            Some(payload) => {
                let packet = payload + IpVersion::of(self.target.agent.ip()).udp_overhead_octets();
                let seen = format!(
                    "handshake and probes pass both ways, in IP packets of up to {packet} octets"
                );
                step(self.udp(), true, seen)
            }
            None => step(
                self.udp(),
                false,
                "the handshake passes both ways, and no probe after it: a firewall on the way cuts \
                 the flow once it is open",
            ),
        }
    }

    fn failed(&self, failure: &Failure) -> Step {
        match self.not_opened {
            Some(HandshakeFailed::NoAnswer) if rejects_udp(self.target) => step(
                self.udp(),
                false,
                "rejected: an ICMP error comes back, from the far host or from a firewall that \
                 rejects in its name, while TCP to the same port passes",
            ),
            Some(HandshakeFailed::NoAnswer) => step(
                self.udp(),
                false,
                "no answer within 5 s, while TCP to the same port passes: UDP is dropped on the \
                 way there or on the way back; which of them cannot be told from here. Look for it \
                 at the agent's host: tcpdump -n udp",
            ),
            Some(HandshakeFailed::NotAccepted) => step(
                self.udp(),
                false,
                "one datagram passes each way, and none after it: a firewall on the way cuts the \
                 flow after its first packets",
            ),
            None => step("control", false, failure.to_string()),
        }
    }
}

/// Whether datagrams to the agent are answered with ICMP errors.
fn rejects_udp(target: &Target) -> bool {
    let Ok(mut socket) = Socket::connect_by(target.agent, &target.egress) else { return false };
    let until = clock::now::<crate::clock::Driver>().after_nanos(REJECTION_MAX.nanos());
    // Nobody answers what has no seal; only what never reached the agent's socket is rejected.
    if socket.send(&[0; 16]).is_err() {
        return false;
    }
    _ = socket.wait_readable(until);
    let mut buffer = [0; 64];
    _ = socket.receive::<crate::clock::Driver>(&mut buffer);
    0 < socket.icmp_errors()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_told_by_how() {
        #[track_caller]
        fn check(kind: ErrorKind, part: &str) {
            let told = refused(&io::Error::from(kind));
            assert!(told.contains(part), "{told}");
        }
        check(ErrorKind::ConnectionRefused, "the far host answers");
        check(ErrorKind::HostUnreachable, "no route there, or a router");
        check(ErrorKind::PermissionDenied, "this host's own firewall");
        check(ErrorKind::TimedOut, "cannot be told from here");
    }
}
