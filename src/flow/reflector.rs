//! The agent's end of every stream's opening, and of the probes: answers, one for one, whoever
//! holds a token and has shown that it reads what is sent to its address. Nobody else is answered.

use super::{Arrival, Arrived, End, PROBE_STREAM, Receiver, Stream};
use crate::account::{FollowUp, Marks, ReflectorCounts};
use crate::clock::{Agent, Stamp};
use crate::wire::probe::{self, FOLLOW_UPS, Probe, Reply};
use crate::wire::seal::{KEY_LEN, Sealer};
use crate::wire::signal::{self, Say, Signal};
use crate::wire::{self, Kind, Token};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// The probes of one trial, as the agent keeps them.
#[derive(Debug)]
struct ReflectorSession {
    receiver: Receiver<Agent>,
    marks: Marks,
    replies: u32,
    refused: u64,
    follow_ups: FollowUps,
}

/// The kernel's stamps of replies that left, until later replies have told each one twice: the next
/// one, and the one behind it.
#[derive(Debug, Default)]
struct FollowUps {
    untold: VecDeque<FollowUp>,
    told: Option<FollowUp>,
}

/// Stamps that wait to be told: one a reply, where a device holds back more than that.
const UNTOLD_MAX: usize = 64;

impl FollowUps {
    fn on_left(&mut self, left: FollowUp) {
        if self.untold.len() == UNTOLD_MAX {
            self.untold.pop_front();
        }
        self.untold.push_back(left);
    }

    /// What the next reply tells.
    fn next(&mut self) -> [Option<FollowUp>; FOLLOW_UPS] {
        let next = [self.untold.pop_front(), self.told];
        self.told = next[0];
        next
    }

    /// What no reply told, or the last one alone.
    fn rest(self) -> Vec<FollowUp> {
        self.told.into_iter().chain(self.untold).collect()
    }
}

#[derive(Debug)]
struct Entry {
    stream: Stream,
    sealer: Sealer,
    peer: Option<SocketAddr>,
    /// Handshake datagrams that came for it.
    hellos: u64,
    session: Option<ReflectorSession>,
}

/// A stream of load whose address is proven: it now needs a socket of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The stream's secret.
    pub token: Token,
    /// Where its driver is.
    pub peer: SocketAddr,
    /// The address of this host that the driver spoke to.
    pub local: Option<IpAddr>,
}

/// What to do about a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Response {
    /// Nothing: a stranger's, damaged, or not granted.
    Ignore,
    /// Send these octets back.
    Signal([u8; signal::LEN]),
    /// Emit this reply, with the time of its leaving, over the probe's own length.
    Reply(Reply),
    /// Open a socket for this stream, which says *accepted* itself.
    Open(Opened),
}

/// A datagram as it came to the agent's port.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// When it reached this host.
    pub at: Stamp<Agent>,
    /// Whether that is the kernel's stamp.
    pub by_kernel: bool,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address of this host that it was sent to.
    pub local: Option<IpAddr>,
    /// What the socket had dropped by then.
    pub drops: u32,
    /// How it was marked, where that is known.
    pub mark: Option<u8>,
    /// Its payload.
    pub octets: &'a [u8],
}

/// The agent's end of all streams that are not yet, or never will be, on a socket of their own.
#[derive(Debug)]
pub struct Reflector {
    cookies: Sealer,
    by_card: bool,
    entries: BTreeMap<Token, Entry>,
}

impl Reflector {
    /// A reflector that makes its cookies with `secret`, which nobody else may know.
    #[must_use]
    pub fn new(secret: &[u8; KEY_LEN]) -> Self {
        Self { cookies: Sealer::new(secret), by_card: false, entries: BTreeMap::new() }
    }

    /// Has replies say that a network card stamps them, and not the kernel.
    pub const fn on_card(&mut self) {
        self.by_card = true;
    }

    /// Expects `stream`, sealed with `sealer`, from `now` on.
    pub fn expect(&mut self, stream: Stream, sealer: Sealer, now: Stamp<Agent>) {
        let is_probes = stream.number == PROBE_STREAM;
        let session = is_probes.then(|| ReflectorSession {
            receiver: Receiver::new(stream, now),
            marks: Marks::default(),
            replies: 0,
            refused: 0,
            follow_ups: FollowUps::default(),
        });
        self.entries.insert(stream.token, Entry { stream, sealer, peer: None, hellos: 0, session });
    }

    /// Forgets a stream; the account of its probes, where it had any, is closed: they ended as
    /// `end` says, and this host's socket has dropped `drops`.
    pub fn forget(&mut self, token: Token, end: End<'_, Agent>, drops: u32) -> ReflectorCounts {
        let session = self.entries.remove(&token).and_then(|entry| entry.session);
        session.map_or_else(ReflectorCounts::default, |session| ReflectorCounts {
            probes: session.receiver.finish(end, drops),
            marks: session.marks,
            replies: session.replies.into(),
            refused: session.refused,
            unopened_hellos: 0,
            follow_ups: session.follow_ups.rest(),
        })
    }

    /// Whether the stream of `token` was opened, or is not known any more.
    #[must_use]
    pub fn is_opened(&self, token: Token) -> bool {
        self.entries.get(&token).is_none_or(|entry| entry.peer.is_some())
    }

    /// Handshake datagrams that came for `token`, where it was never opened.
    #[must_use]
    pub fn unopened_hellos(&self, token: Token) -> u64 {
        let entry = self.entries.get(&token).filter(|entry| entry.peer.is_none());
        entry.map_or(0, |entry| entry.hellos)
    }

    /// Whether a stream of `token` is expected, or open.
    #[must_use]
    pub fn knows(&self, token: Token) -> bool {
        self.entries.contains_key(&token)
    }

    /// When the newest probe of `token` came.
    #[must_use]
    pub fn newest_at(&self, token: Token) -> Option<Stamp<Agent>> {
        self.entries.get(&token)?.session.as_ref()?.receiver.newest_at()
    }

    /// What to do about a datagram.
    pub fn handle(&mut self, incoming: &Incoming<'_>) -> Response {
        match wire::kind_of(incoming.octets) {
            Some(Kind::Signal) => self.handle_signal(incoming),
            Some(Kind::Probe) => self.handle_probe(incoming),
            Some(Kind::Load) | None => Response::Ignore,
        }
    }

    /// Writes `reply`, leaving at `now`, over `datagram`, with when earlier ones left; false where
    /// its stream is gone.
    pub fn emit(&mut self, reply: &Reply, now: Stamp<Agent>, datagram: &mut [u8]) -> bool {
        let Some(entry) = self.entries.get_mut(&reply.token) else { return false };
        let Some(session) = &mut entry.session else { return false };
        let (sent_ns, follow_ups) = (now.nanos(), session.follow_ups.next());
        Reply { sent_ns, follow_ups, ..*reply }.emit(&entry.sealer, datagram);
        true
    }

    /// The kernel tells when the reply of this number left.
    pub fn on_left(&mut self, token: Token, sequence: u32, at: Stamp<Agent>) {
        if let Some(session) = self.session(token) {
            session.follow_ups.on_left(FollowUp { sequence, sent_ns: at.nanos() });
        }
    }

    /// How replies of `token` are marked; not at all where its stream is gone.
    #[must_use]
    pub fn mark(&self, token: Token) -> u8 {
        self.entries.get(&token).map_or(0, |entry| entry.stream.dscp.number())
    }

    /// The kernel accepted a reply of `token`.
    pub fn on_replied(&mut self, token: Token) {
        if let Some(session) = self.session(token) {
            session.replies += 1;
        }
    }

    /// This host's stack refused a reply of `token`.
    pub fn on_refused(&mut self, token: Token) {
        if let Some(session) = self.session(token) {
            session.refused += 1;
        }
    }

    fn session(&mut self, token: Token) -> Option<&mut ReflectorSession> {
        self.entries.get_mut(&token)?.session.as_mut()
    }

    fn handle_signal(&mut self, incoming: &Incoming<'_>) -> Response {
        let Ok((number, token)) = Signal::claimed(incoming.octets) else { return Response::Ignore };
        let cookie = self.cookie(token, incoming.peer);
        let Some(entry) = self.entries.get_mut(&token) else { return Response::Ignore };
        let signal = match Signal::parse(incoming.octets, &entry.sealer) {
            Ok(signal) if number == entry.stream.number => signal,
            _ => return Response::Ignore,
        };
        let answer = match signal.say {
            Say::Hello => {
                entry.hellos += 1;
                Say::Challenge { cookie }
            }
            Say::Confirm { cookie: read } if read == cookie => {
                entry.peer = Some(incoming.peer);
                if entry.session.is_none() {
                    let (peer, local) = (incoming.peer, incoming.local);
                    return Response::Open(Opened { token, peer, local });
                }
                Say::Accepted
            }
            _ => return Response::Ignore,
        };
        Response::Signal(Signal { say: answer, ..signal }.emit(&entry.sealer))
    }

    fn handle_probe(&mut self, incoming: &Incoming<'_>) -> Response {
        let entry =
            probe::claimed(incoming.octets).ok().and_then(|token| self.entries.get_mut(&token));
        let Some(Entry { stream, sealer, peer, session: Some(session), .. }) = entry else {
            return Response::Ignore;
        };
        if *peer != Some(incoming.peer) {
            return Response::Ignore;
        }
        let Ok(probe) = Probe::parse(incoming.octets, sealer) else { return Response::Ignore };
        let sequence = u64::from(probe.sequence);
        let arrived = Arrived {
            sequence,
            due_ns: stream.rate.due(sequence).nanos(),
            sent_ns: probe.sent_ns,
            octets: u32::try_from(incoming.octets.len()).unwrap_or(u32::MAX),
        };
        session.marks.on_arrival(stream.dscp.number(), incoming.mark);
        let arrival = session.receiver.on_arrival(incoming.at, &arrived, incoming.drops);
        // Copies are answered too, as any reflector does: within the grant's own size.
        let all_answered = stream.slots.saturating_mul(2) <= u64::from(session.replies);
        if arrival == Arrival::Rejected || all_answered {
            return Response::Ignore;
        }
        Response::Reply(Reply {
            sequence: session.replies,
            sent_ns: 0,
            received_ns: incoming.at.nanos(),
            received_by_kernel: incoming.by_kernel,
            probe_sequence: probe.sequence,
            probe_sent_ns: probe.sent_ns,
            follow_ups: [None; FOLLOW_UPS],
            by_card: self.by_card,
            token: stream.token,
        })
    }

    /// What only someone at `peer` can have read.
    fn cookie(&self, token: Token, peer: SocketAddr) -> u64 {
        let seal = self.cookies.seal(&[&token.0.to_be_bytes(), peer.to_string().as_bytes()]);
        seal[..8].iter().fold(0, |cookie, octet| cookie << 8 | u64::from(*octet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::flow::streams_of;
    use crate::plan::{Load, LoadKind, Trial};
    use crate::units::{PacketRate, Span};

    const TOKENS: [Token; 2] = [Token(11), Token(12)];

    fn sealer() -> Sealer {
        Sealer::new(&[0xa5; KEY_LEN])
    }

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    /// A reflector that expects a stream of probes and one of load.
    fn reflector() -> Reflector {
        let rate = PacketRate::new(100).expect("a rate");
        let load =
            Load::new(Directions::Forward, 1, 100, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(1)).expect("a trial");
        let mut reflector = Reflector::new(&[1; KEY_LEN]);
        for (stream, token) in streams_of(&trial).into_iter().zip(TOKENS) {
            reflector.expect(Stream { token, ..stream }, sealer(), Stamp::from_nanos(0));
        }
        reflector
    }

    fn come(reflector: &mut Reflector, port: u16, octets: &[u8]) -> Response {
        let at = Stamp::from_nanos(5_000_000);
        let (peer, local, by_kernel, mark) = (peer(port), None, true, None);
        reflector.handle(&Incoming { at, by_kernel, peer, local, drops: 0, mark, octets })
    }

    fn say(reflector: &mut Reflector, port: u16, stream: u32, say: Say) -> Response {
        let signal = Signal { stream, token: TOKENS[stream as usize], say };
        come(reflector, port, &signal.emit(&sealer()))
    }

    fn cookie_of(response: Response) -> u64 {
        let Response::Signal(octets) = response else { panic!("no challenge: {response:?}") };
        match Signal::parse(&octets, &sealer()).expect("a signal").say {
            Say::Challenge { cookie } => cookie,
            other => panic!("no challenge: {other:?}"),
        }
    }

    #[test]
    fn hellos_are_counted_until_a_stream_is_open() {
        let mut reflector = reflector();
        let hellos = |reflector: &Reflector| TOKENS.map(|token| reflector.unopened_hellos(token));
        assert_eq!(hellos(&reflector), [0, 0]);
        assert!(!reflector.is_opened(TOKENS[0]));
        say(&mut reflector, 1, 0, Say::Hello);
        say(&mut reflector, 1, 0, Say::Hello);
        assert_eq!(hellos(&reflector), [2, 0]);
        open(&mut reflector, 1, 0);
        assert_eq!(hellos(&reflector), [0, 0], "it is open");
        assert!(reflector.is_opened(TOKENS[0]));
        assert_eq!(reflector.unopened_hellos(Token(99)), 0, "nobody's");
    }

    fn open(reflector: &mut Reflector, port: u16, stream: u32) -> Response {
        let cookie = cookie_of(say(reflector, port, stream, Say::Hello));
        say(reflector, port, stream, Say::Confirm { cookie })
    }

    fn probe(reflector: &mut Reflector, port: u16, sequence: u32) -> Response {
        let mut datagram = [0; probe::LEN_MIN];
        Probe { sequence, sent_ns: 7, token: TOKENS[0] }.emit(&sealer(), &mut datagram);
        come(reflector, port, &datagram)
    }

    #[test]
    fn a_proven_address_opens_its_stream() {
        let mut reflector = reflector();
        assert!(matches!(open(&mut reflector, 1, 0), Response::Signal(_)));
        let opened = Opened { token: TOKENS[1], peer: peer(2), local: None };
        assert_eq!(open(&mut reflector, 2, 1), Response::Open(opened));
    }

    #[test]
    fn a_cookie_read_at_one_address_opens_no_other() {
        let mut reflector = reflector();
        let cookie = cookie_of(say(&mut reflector, 1, 1, Say::Hello));
        assert_eq!(say(&mut reflector, 2, 1, Say::Confirm { cookie }), Response::Ignore);
    }

    #[test]
    fn probes_are_answered_only_from_the_proven_address() {
        let mut reflector = reflector();
        assert_eq!(probe(&mut reflector, 1, 0), Response::Ignore);
        open(&mut reflector, 1, 0);
        assert!(matches!(probe(&mut reflector, 1, 0), Response::Reply(_)));
        assert_eq!(probe(&mut reflector, 2, 0), Response::Ignore);
    }

    #[test]
    fn replies_are_numbered_by_the_agent_and_counted_when_they_leave() {
        let mut reflector = reflector();
        open(&mut reflector, 1, 0);
        let Response::Reply(first) = probe(&mut reflector, 1, 5) else { panic!("no reply") };
        assert_eq!((first.sequence, first.probe_sequence, first.received_ns), (0, 5, 5_000_000));
        reflector.on_refused(TOKENS[0]);
        let Response::Reply(second) = probe(&mut reflector, 1, 6) else { panic!("no reply") };
        assert_eq!(second.sequence, 0, "a refused reply took no number");
        reflector.on_replied(TOKENS[0]);
        let closing = crate::flow::Closing { sent: 10, last_due_ns: 0, excess: &Vec::new() };
        let account = reflector.forget(TOKENS[0], End::Closed(closing), 0);
        assert_eq!((account.replies, account.refused), (1, 1));
        assert_eq!((account.probes.received, account.probes.lost()), (2, 8));
    }

    /// What the reply to the next probe tells of earlier ones.
    fn told(reflector: &mut Reflector, sequence: u32) -> [Option<FollowUp>; 2] {
        let Response::Reply(reply) = probe(reflector, 1, sequence) else { panic!("no reply") };
        let mut datagram = [0; probe::LEN_MIN];
        assert!(reflector.emit(&reply, Stamp::from_nanos(6_000_000), &mut datagram));
        reflector.on_replied(TOKENS[0]);
        Reply::parse(&datagram, &sealer()).expect("a reply").follow_ups
    }

    #[test]
    fn each_stamp_is_told_by_two_replies_and_the_last_in_the_account() {
        let mut reflector = reflector();
        open(&mut reflector, 1, 0);
        let follow_up = |sequence| FollowUp { sequence, sent_ns: 7_000_000 + u64::from(sequence) };
        let left = |reflector: &mut Reflector, sequence| {
            let FollowUp { sequence, sent_ns } = follow_up(sequence);
            reflector.on_left(TOKENS[0], sequence, Stamp::from_nanos(sent_ns));
        };
        assert_eq!(told(&mut reflector, 0), [None, None]);
        left(&mut reflector, 0);
        assert_eq!(told(&mut reflector, 1), [Some(follow_up(0)), None]);
        assert_eq!(told(&mut reflector, 2), [None, Some(follow_up(0))], "1 came late");
        left(&mut reflector, 1);
        left(&mut reflector, 2);
        assert_eq!(told(&mut reflector, 3), [Some(follow_up(1)), None]);
        assert_eq!(told(&mut reflector, 4), [Some(follow_up(2)), Some(follow_up(1))]);
        left(&mut reflector, 3);
        left(&mut reflector, 4);
        let end = End::Abandoned { listened_until: Stamp::from_nanos(0) };
        let account = reflector.forget(TOKENS[0], end, 0);
        assert_eq!(account.follow_ups, [follow_up(2), follow_up(3), follow_up(4)]);
    }

    #[test]
    fn a_device_that_holds_back_stamps_without_end_has_the_oldest_forgotten() {
        let mut follow_ups = FollowUps::default();
        (0..100).for_each(|sequence| follow_ups.on_left(FollowUp { sequence, sent_ns: 0 }));
        let rest = follow_ups.rest();
        assert_eq!((rest.len(), rest[0].sequence), (64, 36));
    }

    #[test]
    fn a_probe_beyond_the_grant_is_not_answered() {
        let mut reflector = reflector();
        open(&mut reflector, 1, 0);
        assert!(matches!(probe(&mut reflector, 1, 99), Response::Reply(_)));
        assert_eq!(probe(&mut reflector, 1, 100), Response::Ignore);
    }

    #[test]
    fn strangers_are_never_answered() {
        let mut reflector = reflector();
        let forged = Signal { stream: 0, token: TOKENS[0], say: Say::Hello };
        let forged = forged.emit(&Sealer::new(&[0; KEY_LEN]));
        let unknown = Signal { stream: 0, token: Token(99), say: Say::Hello }.emit(&sealer());
        for octets in [&forged[..], &unknown[..], &[0x4c, 0x51, 1, 2], b"", &[0; 1_000]] {
            assert_eq!(come(&mut reflector, 1, octets), Response::Ignore);
        }
    }
}
