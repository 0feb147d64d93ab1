//! The agent's end of every stream's opening, and of the probes: answers, one for one, whoever
//! holds a token and has shown that it reads what is sent to its address. Nobody else is answered.

use super::window::{Slot, Window};
use super::{Arrival, Arrived, End, Freshness, HEARTBEAT, Intake, PROBE_STREAM, Receiver, Stream};
use crate::account::{FollowUp, Marks, Moved, ReflectorCounts};
use crate::clock::{Agent, Stamp};
use crate::direction::Direction;
use crate::units::PacketRate;
use crate::wire::load;
use crate::wire::probe::{self, FOLLOW_UPS, Probe, Reply};
use crate::wire::seal::{KEY_LEN, Sealer, Seals, Tagger};
use crate::wire::signal::{self, Say, Signal};
use crate::wire::{self, Kind, Token};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// The probes of one trial, as the agent keeps them.
#[derive(Debug)]
struct ReflectorSession {
    receiver: Receiver<Agent>,
    /// The probes of which a copy was answered too.
    copied: Window,
    /// Probes that are answered, and copies.
    answers: [Intake<Agent>; 2],
    /// Those that are longer than probes of a trial are.
    long: Intake<Agent>,
    marks: Marks,
    replies: u32,
    /// When the newest reply left of those that probes prove to have come.
    alive_at: Option<Stamp<Agent>>,
    refused: u64,
    follow_ups: FollowUps,
}

/// The kernel's stamps of replies that left, until later replies have carried each one twice: the
/// next one, and the one behind it.
#[derive(Debug, Default)]
struct FollowUps {
    pending: VecDeque<FollowUp>,
    repeated: Option<FollowUp>,
}

/// Stamps that wait to be sent: one a reply, where a device holds back more than that.
const PENDING_MAX: usize = 64;

impl FollowUps {
    fn on_left(&mut self, left: FollowUp) {
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(left);
    }

    /// What the next reply carries.
    fn next(&mut self) -> [Option<FollowUp>; FOLLOW_UPS] {
        let next = [self.pending.pop_front(), self.repeated];
        self.repeated = next[0];
        next
    }

    /// What no reply carried, or the last one alone.
    fn rest(self) -> Vec<FollowUp> {
        self.repeated.into_iter().chain(self.pending).collect()
    }
}

#[derive(Debug)]
struct Entry {
    stream: Stream,
    seals: Seals,
    tagger: Tagger,
    seen: Freshness,
    /// Signals that were said, and challenges, which are counted apart.
    said: u64,
    challenges: u64,
    /// When it was challenged last at an address that is not its own.
    challenged_at: Option<Stamp<Agent>>,
    /// Signals of its handshake that are answered.
    handshakes: Intake<Agent>,
    /// When nothing of it is answered any more.
    until: Option<Stamp<Agent>>,
    peer: Option<SocketAddr>,
    /// Handshake datagrams that came for it.
    hellos: u64,
    session: Option<ReflectorSession>,
}

impl Entry {
    /// Whether `incoming` is from elsewhere than the address that was proven.
    fn is_elsewhere(&self, incoming: &Incoming<'_>) -> bool {
        self.peer.is_some_and(|peer| peer != incoming.peer)
    }

    fn emit(&self, counter: u64, say: Say) -> Response {
        let Stream { number: stream, token, .. } = self.stream;
        Response::Signal(Signal { stream, token, counter, say }.emit(&self.seals.sent))
    }

    fn challenge(&mut self, cookie: u64) -> Response {
        let counter = self.challenges;
        self.challenges += 1;
        self.emit(counter, Say::Challenge { cookie })
    }

    /// Challenges the stream at the address that `incoming` came from, though it is not its own: a
    /// NAT may have forgotten that one. No more often than heartbeats come, and never with more
    /// octets than came.
    fn challenge_elsewhere(&mut self, incoming: &Incoming<'_>, cookie: u64) -> Response {
        let again_at = self.challenged_at.map(|last| last.after_nanos(HEARTBEAT.nanos()));
        if incoming.octets.len() < signal::LEN || again_at.is_some_and(|at| incoming.at < at) {
            return Response::Ignore;
        }
        self.challenged_at = Some(incoming.at);
        self.challenge(cookie)
    }

    /// Whether its grant is over.
    fn is_lapsed(&self, incoming: &Incoming<'_>) -> bool {
        self.until.is_some_and(|until| until <= incoming.at)
    }
}

/// How often the signals of a stream's handshake are answered, and how many at once: its driver
/// says them 100 ms apart at least.
const HANDSHAKES: PacketRate = PacketRate::new(20).expect("above zero");
const HANDSHAKES_AT_ONCE: u64 = 8;

/// How often a probe is answered that is longer than those of a trial, and how many at once: three
/// times what a search for the largest payload sends, three of each of fourteen lengths.
const LONG: PacketRate = PacketRate::new(1).expect("above zero");
const LONG_AT_ONCE: u64 = 128;

/// A stream of load whose address is proven: it now needs a socket of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The stream's secret.
    pub token: Token,
    /// Where its driver is.
    pub peer: SocketAddr,
    /// The address of this host that the driver spoke to.
    pub local: Option<IpAddr>,
    /// The driver's signals that came so far: none of them is new to that socket.
    pub seen: Freshness,
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
    /// Open a socket for this stream, which says *accepted* itself; where it has one, nothing.
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
    moved: VecDeque<(Token, Moved)>,
}

impl Reflector {
    /// A reflector that makes its cookies with `secret`, which nobody else may know.
    #[must_use]
    pub fn new(secret: &[u8; KEY_LEN]) -> Self {
        let (entries, moved) = (BTreeMap::new(), VecDeque::new());
        Self { cookies: Sealer::new(secret), by_card: false, entries, moved }
    }

    /// Has replies say that a network card stamps them, and not the kernel.
    pub const fn on_card(&mut self) {
        self.by_card = true;
    }

    /// Expects `stream`, with this key, from `now` on.
    pub fn expect(&mut self, stream: Stream, key: &[u8; KEY_LEN], now: Stamp<Agent>) {
        let is_probes = stream.number == PROBE_STREAM;
        let session = is_probes.then(|| ReflectorSession {
            receiver: Receiver::new(stream, now),
            copied: Window::of(&stream),
            answers: [Intake::new(stream.rate, 1, now); 2],
            long: Intake::of(LONG, LONG_AT_ONCE, now),
            marks: Marks::default(),
            replies: 0,
            alive_at: None,
            refused: 0,
            follow_ups: FollowUps::default(),
        });
        let entry = Entry {
            stream,
            seals: Seals::of(key, Direction::Reverse),
            tagger: Tagger::of(key, Direction::Forward),
            seen: Freshness::default(),
            said: 0,
            challenges: 0,
            challenged_at: None,
            handshakes: Intake::of(HANDSHAKES, HANDSHAKES_AT_ONCE, now),
            until: None,
            peer: None,
            hellos: 0,
            session,
        };
        self.entries.insert(stream.token, entry);
    }

    /// Has nothing of the stream of `token` answered from `until` on: its grant is over.
    pub fn lapse(&mut self, token: Token, until: Stamp<Agent>) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.until = Some(until);
        }
    }

    /// The oldest move of a stream to another address that was not reported yet. A load stream's
    /// socket has to follow.
    pub fn take_moved(&mut self) -> Option<(Token, Moved)> {
        self.moved.pop_front()
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

    /// When the newest probe of `token` came, of those that were not late: what was held back for
    /// longer proves nobody alive.
    #[must_use]
    pub fn newest_at(&self, token: Token) -> Option<Stamp<Agent>> {
        self.entries.get(&token)?.session.as_ref()?.receiver.newest_at()
    }

    /// As of when the driver is proven to have been alive, and the way to it to have worked: when
    /// the newest reply of `token` left that a probe says has come.
    #[must_use]
    pub fn alive_at(&self, token: Token) -> Option<Stamp<Agent>> {
        self.entries.get(&token)?.session.as_ref()?.alive_at
    }

    /// The heartbeats of `token` below `next` have come to the stream's own socket.
    pub fn on_heartbeats(&mut self, token: Token, next: u64) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.seen.on_heartbeats(next);
        }
    }

    /// One more than the counter of the newest heartbeat of `token`, wherever it came to.
    #[must_use]
    pub fn next_heartbeat(&self, token: Token) -> u64 {
        self.entries.get(&token).map_or(0, |entry| entry.seen.next_heartbeat())
    }

    /// What to do about a datagram.
    pub fn handle(&mut self, incoming: &Incoming<'_>) -> Response {
        match wire::kind_of(incoming.octets) {
            Some(Kind::Signal) => self.handle_signal(incoming),
            Some(Kind::Probe) => self.handle_probe(incoming),
            Some(Kind::Load) => self.handle_load(incoming),
            None => Response::Ignore,
        }
    }

    /// Writes `reply`, leaving at `now`, over `datagram`, with when earlier ones left; false where
    /// its stream is gone.
    pub fn emit(&mut self, reply: &Reply, now: Stamp<Agent>, datagram: &mut [u8]) -> bool {
        let Some(entry) = self.entries.get_mut(&reply.token) else { return false };
        let Some(session) = &mut entry.session else { return false };
        let follow_ups = match reply.answers_copy {
            true => [None; FOLLOW_UPS],
            false => session.follow_ups.next(),
        };
        Reply { sent_ns: now.nanos(), follow_ups, ..*reply }.emit(&entry.seals.sent, datagram);
        true
    }

    /// The kernel reports when the reply of this number left; answers to copies have none.
    pub fn on_left(&mut self, token: Token, sequence: u32, at: Stamp<Agent>) {
        if let Some(session) = self.session(token).filter(|it| sequence < it.replies) {
            session.follow_ups.on_left(FollowUp { sequence, sent_ns: at.nanos() });
        }
    }

    /// How replies of `token` are marked; not at all where its stream is gone.
    #[must_use]
    pub fn mark(&self, token: Token) -> u8 {
        self.entries.get(&token).map_or(0, |entry| entry.stream.dscp.number())
    }

    /// The kernel accepted `reply`.
    pub fn on_replied(&mut self, reply: &Reply) {
        if let Some(session) = self.session(reply.token).filter(|_| !reply.answers_copy) {
            session.replies += 1;
        }
    }

    /// This host's stack refused `reply`.
    pub fn on_refused(&mut self, reply: &Reply) {
        if let Some(session) = self.session(reply.token).filter(|_| !reply.answers_copy) {
            session.refused += 1;
        }
    }

    fn session(&mut self, token: Token) -> Option<&mut ReflectorSession> {
        self.entries.get_mut(&token)?.session.as_mut()
    }

    fn handle_signal(&mut self, incoming: &Incoming<'_>) -> Response {
        let Self { cookies, entries, moved, .. } = self;
        let claimed = Signal::claimed(incoming.octets).ok();
        let entry = claimed.and_then(|(_, token)| entries.get_mut(&token));
        let Some(entry) = entry else { return Response::Ignore };
        let signal = match Signal::parse(incoming.octets, &entry.seals.received) {
            Ok(signal) if signal.stream == entry.stream.number => signal,
            _ => return Response::Ignore,
        };
        if entry.is_lapsed(incoming) || !entry.seen.accepts(&signal) {
            return Response::Ignore;
        }
        let cookie = cookie(cookies, signal.token, incoming.peer);
        match signal.say {
            Say::Hello => {
                entry.hellos += 1;
                match entry.handshakes.passes(incoming.at) {
                    true => entry.challenge(cookie),
                    false => Response::Ignore,
                }
            }
            Say::Confirm { cookie: read } if read == cookie => confirm(entry, incoming, moved),
            Say::Heartbeat { .. } if entry.is_elsewhere(incoming) => {
                entry.challenge_elsewhere(incoming, cookie)
            }
            _ => Response::Ignore,
        }
    }

    /// Load of a stream that has a socket of its own comes here where it is not from that address.
    fn handle_load(&mut self, incoming: &Incoming<'_>) -> Response {
        let octets = incoming.octets;
        let claimed = load::Header::claimed(octets).ok();
        let entry = claimed.and_then(|(_, token)| self.entries.get_mut(&token));
        let Some(entry) = entry.filter(|entry| entry.is_elsewhere(incoming)) else {
            return Response::Ignore;
        };
        if load::Header::parse(octets, octets.len(), &entry.tagger).is_err() {
            return Response::Ignore;
        }
        let cookie = cookie(&self.cookies, entry.stream.token, incoming.peer);
        entry.challenge_elsewhere(incoming, cookie)
    }

    fn handle_probe(&mut self, incoming: &Incoming<'_>) -> Response {
        let claimed = probe::claimed(incoming.octets).ok();
        let entry = claimed.and_then(|token| self.entries.get_mut(&token));
        let is_open = |entry: &&mut Entry| {
            entry.session.is_some() && entry.peer.is_some() && !entry.is_lapsed(incoming)
        };
        let Some(entry) = entry.filter(is_open) else {
            return Response::Ignore;
        };
        let Ok(probe) = Probe::parse(incoming.octets, &entry.seals.received) else {
            return Response::Ignore;
        };
        if entry.is_elsewhere(incoming) {
            let cookie = cookie(&self.cookies, entry.stream.token, incoming.peer);
            return entry.challenge_elsewhere(incoming, cookie);
        }
        let Entry { stream, session: Some(session), .. } = entry else { return Response::Ignore };
        let Some(answers_copy) = session.take(incoming, stream, &probe) else {
            return Response::Ignore;
        };
        Response::Reply(Reply {
            sequence: if answers_copy { u32::MAX } else { session.replies },
            sent_ns: 0,
            received_ns: incoming.at.nanos(),
            received_by_kernel: incoming.by_kernel,
            probe_sequence: probe.sequence,
            probe_sent_ns: probe.sent_ns,
            follow_ups: [None; FOLLOW_UPS],
            by_card: self.by_card,
            answers_copy,
            token: stream.token,
        })
    }
}

impl ReflectorSession {
    /// Counts a probe. It is answered, and so is its first copy: whether the answer is to a copy;
    /// `None` where there is none. What is more than was granted is neither counted nor answered:
    /// each new one may cost the agent's port a look at ten thousand silences.
    fn take(&mut self, incoming: &Incoming<'_>, stream: &Stream, probe: &Probe) -> Option<bool> {
        let sequence = u64::from(probe.sequence);
        let arrived = Arrived {
            sequence,
            due_ns: stream.rate.due(sequence).nanos(),
            sent_ns: probe.sent_ns,
            octets: u32::try_from(incoming.octets.len()).unwrap_or(u32::MAX),
            ..Arrived::default()
        };
        let is_copy = self.receiver.has(sequence);
        let is_long = probe::LEN_MIN < incoming.octets.len();
        let kind = usize::from(is_copy);
        if !self.answers[kind].is_open(incoming.at) || is_long && !self.long.is_open(incoming.at) {
            match is_copy {
                true => self.receiver.on_copy(),
                false => self.receiver.on_rejected(),
            }
            return None;
        }
        match self.receiver.on_arrival(incoming.at, &arrived, incoming.drops) {
            Arrival::Rejected => return None,
            Arrival::Duplicate => {
                if self.copied.slot(sequence) != Some(Slot::Missing) {
                    return None;
                }
                self.copied.set(sequence, Slot::Received);
            }
            _ => {
                self.marks.on_arrival(stream.dscp.number(), incoming.mark);
                self.note_alive(incoming.at, probe.newest_reply_ns);
            }
        }
        self.answers[kind].take(incoming.at, 1);
        self.long.take(incoming.at, is_long.into());
        Some(is_copy)
    }

    /// A probe that came at `now` says which reply the driver had.
    fn note_alive(&mut self, now: Stamp<Agent>, newest_reply_ns: u64) {
        // Who claims to have a reply that never left has none.
        let is_known = 0 < newest_reply_ns && newest_reply_ns <= now.nanos();
        if is_known && 0 < self.replies {
            self.alive_at = self.alive_at.max(Some(Stamp::from_nanos(newest_reply_ns)));
        }
    }
}

/// A stream's driver has shown that it reads what is sent to its address.
fn confirm(
    entry: &mut Entry,
    incoming: &Incoming<'_>,
    moved: &mut VecDeque<(Token, Moved)>,
) -> Response {
    let Stream { number, token, .. } = entry.stream;
    let before = entry.peer.replace(incoming.peer);
    if let Some(from) = before.filter(|before| *before != incoming.peer) {
        moved.push_back((token, Moved { stream: number, from, to: incoming.peer }));
    }
    if entry.session.is_none() {
        let (peer, local, seen) = (incoming.peer, incoming.local, entry.seen);
        return Response::Open(Opened { token, peer, local, seen });
    }
    if !entry.handshakes.passes(incoming.at) {
        return Response::Ignore;
    }
    let counter = entry.said;
    entry.said += 1;
    entry.emit(counter, Say::Accepted)
}

/// What only someone at `peer` can have read.
fn cookie(cookies: &Sealer, token: Token, peer: SocketAddr) -> u64 {
    let seal = cookies.seal(&[&token.0.to_be_bytes(), peer.to_string().as_bytes()]);
    seal[..8].iter().fold(0, |cookie, octet| cookie << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::flow::streams_of;
    use crate::trial::{Load, LoadKind, Trial};
    use crate::units::Span;

    const TOKENS: [Token; 2] = [Token(11), Token(12)];

    const KEY: [u8; KEY_LEN] = [0xa5; KEY_LEN];

    /// The driver's seals.
    fn seals() -> Seals {
        Seals::of(&KEY, Direction::Forward)
    }

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    /// A reflector that expects a stream of probes and one of load, and its driver's next counter.
    struct Bench {
        reflector: Reflector,
        counter: u64,
        now_ms: u64,
    }

    fn bench() -> Bench {
        let rate = PacketRate::new(100).expect("a rate");
        let load =
            Load::new(Directions::Forward, 1, 100, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(1)).expect("a trial");
        let mut reflector = Reflector::new(&[1; KEY_LEN]);
        for (stream, token) in streams_of(&trial).into_iter().zip(TOKENS) {
            reflector.expect(Stream { token, ..stream }, &KEY, Stamp::from_nanos(0));
        }
        Bench { reflector, counter: 0, now_ms: 5 }
    }

    impl Bench {
        fn come(&mut self, port: u16, octets: &[u8]) -> Response {
            let at = Stamp::from_nanos(self.now_ms * 1_000_000);
            let (peer, local, by_kernel, mark) = (peer(port), None, true, None);
            let incoming = Incoming { at, by_kernel, peer, local, drops: 0, mark, octets };
            self.reflector.handle(&incoming)
        }

        /// A signal that was not said before.
        fn signal(&mut self, stream: u32, say: Say) -> [u8; signal::LEN] {
            let counter = self.counter;
            self.counter += 1;
            let token = TOKENS[stream as usize];
            Signal { stream, token, counter, say }.emit(&seals().sent)
        }

        fn say(&mut self, port: u16, stream: u32, say: Say) -> Response {
            let signal = self.signal(stream, say);
            self.come(port, &signal)
        }

        fn open(&mut self, port: u16, stream: u32) -> Response {
            let cookie = cookie_of(self.say(port, stream, Say::Hello));
            self.say(port, stream, Say::Confirm { cookie })
        }

        fn probe(&mut self, port: u16, sequence: u32) -> Response {
            let mut datagram = [0; probe::LEN_MIN];
            Probe { sequence, sent_ns: 7, newest_reply_ns: 0, token: TOKENS[0] }
                .emit(&seals().sent, &mut datagram);
            self.come(port, &datagram)
        }

        /// The reply to a probe, which then leaves.
        fn reply(&mut self, sequence: u32) -> Reply {
            let Response::Reply(reply) = self.probe(1, sequence) else { panic!("no reply") };
            let mut datagram = [0; probe::LEN_MIN];
            assert!(self.reflector.emit(&reply, Stamp::from_nanos(6_000_000), &mut datagram));
            self.reflector.on_replied(&reply);
            Reply::parse(&datagram, &seals().received).expect("a reply")
        }
    }

    fn cookie_of(response: Response) -> u64 {
        let Response::Signal(octets) = response else { panic!("no challenge: {response:?}") };
        match Signal::parse(&octets, &seals().received).expect("a signal").say {
            Say::Challenge { cookie } => cookie,
            other => panic!("no challenge: {other:?}"),
        }
    }

    #[test]
    fn hellos_are_counted_until_a_stream_is_open() {
        let mut bench = bench();
        let hellos = |bench: &Bench| TOKENS.map(|token| bench.reflector.unopened_hellos(token));
        assert_eq!(hellos(&bench), [0, 0]);
        assert!(!bench.reflector.is_opened(TOKENS[0]));
        bench.say(1, 0, Say::Hello);
        bench.say(1, 0, Say::Hello);
        assert_eq!(hellos(&bench), [2, 0]);
        bench.open(1, 0);
        assert_eq!(hellos(&bench), [0, 0], "it is open");
        assert!(bench.reflector.is_opened(TOKENS[0]));
        assert_eq!(bench.reflector.unopened_hellos(Token(99)), 0, "nobody's");
    }

    #[test]
    fn a_proven_address_opens_its_stream() {
        let mut bench = bench();
        assert!(matches!(bench.open(1, 0), Response::Signal(_)));
        let Response::Open(opened) = bench.open(2, 1) else { panic!("not opened") };
        let Opened { token, peer: at, local, mut seen } = opened;
        assert_eq!((token, at, local), (TOKENS[1], peer(2), None));
        let (stream, counter, say) = (1, bench.counter - 1, Say::Confirm { cookie: 0 });
        let confirm = Signal { stream, token, counter, say };
        assert!(!seen.accepts(&confirm), "its own socket would take the confirmation again");
        assert_eq!(bench.reflector.take_moved(), None);
    }

    #[test]
    fn a_cookie_read_at_one_address_opens_no_other() {
        let mut bench = bench();
        let cookie = cookie_of(bench.say(1, 1, Say::Hello));
        assert_eq!(bench.say(2, 1, Say::Confirm { cookie }), Response::Ignore);
    }

    #[test]
    fn a_signal_is_accepted_once() {
        let mut bench = bench();
        let hello = bench.signal(0, Say::Hello);
        let cookie = cookie_of(bench.come(1, &hello));
        assert_eq!(bench.come(1, &hello), Response::Ignore);
        let confirm = bench.signal(0, Say::Confirm { cookie });
        assert!(matches!(bench.come(1, &confirm), Response::Signal(_)));
        assert_eq!(bench.come(1, &confirm), Response::Ignore);
    }

    #[test]
    fn probes_are_answered_only_from_the_proven_address() {
        let mut bench = bench();
        assert_eq!(bench.probe(1, 0), Response::Ignore);
        bench.open(1, 0);
        assert!(matches!(bench.probe(1, 0), Response::Reply(_)));
        assert!(!matches!(bench.probe(2, 0), Response::Reply(_)));
    }

    #[test]
    fn the_first_copy_of_a_probe_is_answered_and_spends_no_other_probes_answer() {
        let mut bench = bench();
        bench.open(1, 0);
        for sequence in 0..100 {
            let reply = bench.reply(sequence);
            assert_eq!((reply.sequence, reply.answers_copy), (sequence, false));
            let copy = bench.reply(sequence);
            assert!(copy.answers_copy);
            for _ in 0..50 {
                assert_eq!(bench.probe(1, sequence), Response::Ignore);
            }
        }
        let excess = Vec::new();
        let closing =
            crate::flow::Closing { sent: 100, last_due_ns: 0, excess: &excess, window: None };
        let account = bench.reflector.forget(TOKENS[0], End::Closed(closing), 0);
        assert_eq!((account.replies, account.probes.received), (100, 100));
        assert_eq!(account.probes.duplicate, 100 * 51);
    }

    #[test]
    fn a_reply_or_a_probe_that_is_sent_back_is_nobodys() {
        let mut bench = bench();
        bench.open(1, 0);
        let Response::Reply(reply) = bench.probe(1, 0) else { panic!("no reply") };
        let mut datagram = [0; probe::LEN_MIN];
        bench.reflector.emit(&reply, Stamp::from_nanos(6_000_000), &mut datagram);
        assert_eq!(bench.come(1, &datagram), Response::Ignore);
        Probe { sequence: 1, sent_ns: 7, newest_reply_ns: 0, token: TOKENS[0] }
            .emit(&seals().sent, &mut datagram);
        assert!(Reply::parse(&datagram, &seals().received).is_err());
    }

    /// Heartbeats may all be lost where a queue is full: probes are ten times as many.
    #[test]
    fn a_probe_proves_that_the_reply_it_names_has_come() {
        let mut bench = bench();
        bench.open(1, 0);
        let probe = |bench: &mut Bench, sequence, newest_reply_ns| {
            let mut datagram = [0; probe::LEN_MIN];
            Probe { sequence, sent_ns: 7, newest_reply_ns, token: TOKENS[0] }
                .emit(&seals().sent, &mut datagram);
            bench.come(1, &datagram);
            bench.reflector.alive_at(TOKENS[0]).map(Stamp::nanos)
        };
        bench.now_ms = 10;
        assert_eq!(probe(&mut bench, 0, 6_000_000), None, "no reply has left");
        bench.reply(1);
        assert_eq!(probe(&mut bench, 2, 0), None, "none had come");
        assert_eq!(probe(&mut bench, 3, 11_000_000), None, "none can have left then");
        assert_eq!(probe(&mut bench, 4, 6_000_000), Some(6_000_000));
        assert_eq!(probe(&mut bench, 5, 5_000_000), Some(6_000_000), "an earlier one");
        assert_eq!(probe(&mut bench, 4, 9_000_000), Some(6_000_000), "a copy");
    }

    /// What a stream that is open at port 1 sends from port 2.
    fn heartbeat(bench: &mut Bench) -> Vec<u8> {
        bench.signal(1, Say::Heartbeat { received: 0, next: 0, echo: 0, rise_ms: 0 }).to_vec()
    }

    fn load(_: &mut Bench) -> Vec<u8> {
        let mut datagram = vec![0; 100];
        let header =
            load::Header { stream: 1, token: TOKENS[1], sequence: 0, due_ns: 0, lateness_ns: 0 };
        header.emit(&mut datagram, &Tagger::of(&KEY, Direction::Forward));
        datagram
    }

    #[test]
    fn a_stream_that_comes_from_elsewhere_is_challenged_there_and_moves() {
        for datagram in [heartbeat, load] {
            let mut bench = bench();
            bench.open(1, 1);
            let octets = datagram(&mut bench);
            let cookie = cookie_of(bench.come(2, &octets));
            assert_eq!(bench.reflector.take_moved(), None, "it has shown nothing yet");
            let confirm = bench.signal(1, Say::Confirm { cookie });
            assert_eq!(bench.come(3, &confirm), Response::Ignore, "read elsewhere");
            bench.say(2, 1, Say::Confirm { cookie });
            let moved = Moved { stream: 1, from: peer(1), to: peer(2) };
            assert_eq!(bench.reflector.take_moved(), Some((TOKENS[1], moved)));
            let octets = datagram(&mut bench);
            assert_eq!(bench.come(2, &octets), Response::Ignore, "it is there now");
        }
    }

    /// Sent again from elsewhere, it had the agent challenge whoever did so.
    #[test]
    fn a_heartbeat_that_came_to_the_streams_own_socket_challenges_nobody() {
        let mut bench = bench();
        bench.open(1, 1);
        let octets = heartbeat(&mut bench);
        bench.reflector.on_heartbeats(TOKENS[1], bench.counter);
        assert_eq!(bench.come(2, &octets), Response::Ignore);
        let octets = heartbeat(&mut bench);
        assert_ne!(bench.come(2, &octets), Response::Ignore);
        assert_eq!(bench.reflector.next_heartbeat(TOKENS[1]), bench.counter);
    }

    #[test]
    fn probes_move_too() {
        let mut bench = bench();
        bench.open(1, 0);
        let cookie = cookie_of(bench.probe(2, 0));
        assert!(matches!(bench.say(2, 0, Say::Confirm { cookie }), Response::Signal(_)));
        assert!(bench.reflector.take_moved().is_some());
        assert!(matches!(bench.probe(2, 0), Response::Reply(_)), "it was not counted before");
        assert!(!matches!(bench.probe(1, 1), Response::Reply(_)));
    }

    #[test]
    fn who_sends_others_packets_again_is_challenged_ten_times_a_second_at_most() {
        let mut bench = bench();
        bench.open(1, 1);
        let octets = load(&mut bench);
        let mut challenged = 0;
        for ms in 5..1_005 {
            bench.now_ms = ms;
            let port = u16::try_from(ms).expect("a port");
            challenged += u32::from(bench.come(port, &octets) != Response::Ignore);
        }
        assert_eq!(challenged, 10);
        assert_eq!(bench.reflector.take_moved(), None);
    }

    #[test]
    fn replies_are_numbered_by_the_agent_and_counted_when_they_leave() {
        let mut bench = bench();
        bench.open(1, 0);
        let Response::Reply(first) = bench.probe(1, 5) else { panic!("no reply") };
        assert_eq!((first.sequence, first.probe_sequence, first.received_ns), (0, 5, 5_000_000));
        bench.reflector.on_refused(&first);
        let Response::Reply(second) = bench.probe(1, 6) else { panic!("no reply") };
        assert_eq!(second.sequence, 0, "a refused reply took no number");
        bench.reflector.on_replied(&second);
        let closing =
            crate::flow::Closing { sent: 10, last_due_ns: 0, excess: &Vec::new(), window: None };
        let account = bench.reflector.forget(TOKENS[0], End::Closed(closing), 0);
        assert_eq!((account.replies, account.refused), (1, 1));
        assert_eq!((account.probes.received, account.probes.lost()), (2, 8));
    }

    #[test]
    fn each_stamp_is_reported_by_two_replies_and_the_last_in_the_account() {
        let mut bench = bench();
        bench.open(1, 0);
        let follow_up = |sequence| FollowUp { sequence, sent_ns: 7_000_000 + u64::from(sequence) };
        let left = |bench: &mut Bench, sequence| {
            let FollowUp { sequence, sent_ns } = follow_up(sequence);
            bench.reflector.on_left(TOKENS[0], sequence, Stamp::from_nanos(sent_ns));
        };
        assert_eq!(bench.reply(0).follow_ups, [None, None]);
        left(&mut bench, 0);
        assert_eq!(bench.reply(1).follow_ups, [Some(follow_up(0)), None]);
        assert_eq!(bench.reply(2).follow_ups, [None, Some(follow_up(0))], "1 came late");
        left(&mut bench, 1);
        left(&mut bench, 2);
        assert_eq!(bench.reply(2).follow_ups, [None, None], "a copy's answer reports nothing");
        left(&mut bench, u32::MAX);
        assert_eq!(bench.reply(3).follow_ups, [Some(follow_up(1)), None]);
        assert_eq!(bench.reply(4).follow_ups, [Some(follow_up(2)), Some(follow_up(1))]);
        left(&mut bench, 3);
        left(&mut bench, 4);
        let end = End::Abandoned { listened_until: Stamp::from_nanos(0) };
        let account = bench.reflector.forget(TOKENS[0], end, 0);
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
        let mut bench = bench();
        bench.open(1, 0);
        // 1 s of load, and 4 s of probes behind it.
        assert!(matches!(bench.probe(1, 499), Response::Reply(_)));
        assert_eq!(bench.probe(1, 500), Response::Ignore);
    }

    /// Each was answered: with a key and leave to probe, all that the agent may send in all.
    #[test]
    fn a_handshake_is_answered_eight_times_and_then_twenty_times_a_second_at_most() {
        let mut bench = bench();
        let mut cookie = None;
        let mut answered = |bench: &mut Bench, ms: u64, say: Say| {
            bench.now_ms = ms;
            let response = bench.say(1, 0, say);
            let is_answered = response != Response::Ignore;
            if is_answered && cookie.is_none() {
                cookie = Some(cookie_of(response));
            }
            u64::from(is_answered)
        };
        let hellos: u64 = (1_000..2_000).map(|ms| answered(&mut bench, ms, Say::Hello)).sum();
        assert_eq!(hellos, 8 + 19);
        let cookie = cookie.expect("a challenge");
        let mut confirm = |ms| u64::from(answered_confirm(&mut bench, ms, cookie));
        assert_eq!((2_000..3_000).map(&mut confirm).sum::<u64>(), 20);
    }

    fn answered_confirm(bench: &mut Bench, ms: u64, cookie: u64) -> bool {
        bench.now_ms = ms;
        bench.say(1, 0, Say::Confirm { cookie }) != Response::Ignore
    }

    /// All 500 probes of a trial of 1 s could be had at once, in frames of any size.
    #[test]
    fn probes_are_answered_as_fast_as_was_granted_and_two_seconds_of_them_at_once() {
        let mut bench = bench();
        bench.open(1, 0);
        let answered = |response: Response| matches!(response, Response::Reply(_));
        let at_once = (0..400).filter(|it| answered(bench.probe(1, *it))).count();
        assert_eq!(at_once, 200 + 128);
        let copies = (0..400).filter(|it| answered(bench.probe(1, *it))).count();
        assert_eq!(copies, 200 + 128, "copies use up no probe's answer, and none of their own");
        bench.now_ms += 10;
        assert!(answered(bench.probe(1, 400)) && !answered(bench.probe(1, 401)));
        let end = End::Abandoned { listened_until: Stamp::from_nanos(0) };
        let account = bench.reflector.forget(TOKENS[0], end, 0);
        assert_eq!((account.probes.received, account.probes.rejected), (329, 73 + 72));
    }

    /// A run that only probes counts for 140 kbit/s: of 1400 octets each, they took 8 times it.
    #[test]
    fn long_probes_are_answered_as_a_search_sends_them_and_no_more() {
        let mut bench = bench();
        bench.open(1, 0);
        let mut answered = |now_ms, sequence| {
            bench.now_ms = now_ms;
            let mut datagram = [0; probe::LEN_MIN + 1];
            let probe = Probe { sequence, sent_ns: 7, newest_reply_ns: 0, token: TOKENS[0] };
            probe.emit(&seals().sent, &mut datagram);
            matches!(bench.come(1, &datagram), Response::Reply(_))
        };
        assert_eq!((0..150).filter(|it| answered(5, *it)).count(), 128);
        assert!(answered(1_005, 150) && !answered(1_005, 151));
        assert!(matches!(bench.probe(1, 152), Response::Reply(_)), "as long as a trial's");
    }

    #[test]
    fn nothing_is_answered_once_the_grant_is_over() {
        let mut bench = bench();
        bench.open(1, 0);
        bench.reflector.lapse(TOKENS[0], Stamp::from_nanos(1_000_000_000));
        bench.now_ms = 999;
        assert!(matches!(bench.probe(1, 0), Response::Reply(_)));
        bench.now_ms = 1_000;
        assert_eq!(bench.probe(1, 1), Response::Ignore);
        assert_eq!(bench.say(1, 0, Say::Hello), Response::Ignore);
    }

    #[test]
    fn strangers_are_never_answered() {
        let mut bench = bench();
        let hello = Signal { stream: 0, token: TOKENS[0], counter: 0, say: Say::Hello };
        let forged = hello.emit(&Sealer::new(&[0; KEY_LEN]));
        let reflected = hello.emit(&seals().received);
        let unknown = Signal { token: Token(99), ..hello }.emit(&seals().sent);
        let strange = [0x4c, 0x51, 2, 2];
        for octets in [&forged[..], &reflected[..], &unknown[..], &strange, b"", &[0; 1_000]] {
            assert_eq!(bench.come(1, octets), Response::Ignore);
        }
    }
}
