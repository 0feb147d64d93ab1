//! What a peer says over TLS, line by line: each line a message, for both sessions.
//!
//! The driver's session is taken as far as its peer lets it get: what it asks for is done at once,
//! and what its own hands would count is nothing. A line that is no message lets 1 s pass.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::account::{
    Claim, HostCounts, HostFacts, ReceiverCounts, ReflectorCounts, SenderCounts, TcpReceiverCounts,
    TcpSenderCounts,
};
use linkqual::clock::Stamp;
use linkqual::direction::{Directions, PerDirection};
use linkqual::flow::{FarEvent, NearEvent};
use linkqual::framing::{Framing, IpVersion};
use linkqual::policy::{LoadRequest, Request, Role};
use linkqual::session::{agent, driver};
use linkqual::trial::{CongestionControl, Limits, Load, LoadKind, TcpLoad, Trial};
use linkqual::units::{PacketRate, Span};
use linkqual::wire::control::{Message, RunId, Secrets};
use linkqual::wire::key::PublicKey;
use linkqual::wire::{StreamNumber, Token};

const SECOND_NS: u64 = 1_000_000_000;

fuzz_target!(|octets: &[u8]| {
    let (mut agent, mut driver) = (Agent::new(), Driver::new());
    let mut now_ns = SECOND_NS;
    for line in octets.split(|octet| *octet == b'\n') {
        now_ns += SECOND_NS / 100;
        match Message::parse(line) {
            Ok(message) => {
                let again = Message::parse(&message.emit()).expect("what is emitted is read back");
                assert!(!is_sound(&message) || again == message, "{again:?}\n{message:?}");
                agent.hear(now_ns, message.clone());
                driver.hear(now_ns, message);
            }
            Err(_) => {
                now_ns += SECOND_NS;
                agent.wait(now_ns);
                driver.wait(now_ns);
            }
        }
    }
    agent.close(now_ns);
    driver.close(now_ns);
});

/// Whether all that `message` claims makes sense: what does not is emitted as nothing, and is read
/// back with another reason.
fn is_sound(message: &Message) -> bool {
    fn holds<T>(claim: Option<&Claim<T>>) -> bool {
        claim.is_none_or(|claim| claim.fact().is_ok())
    }
    match message {
        Message::Hello(hello) => holds(hello.host.as_ref()),
        Message::Closing { sent, .. } => holds(Some(sent)),
        Message::Account(account) => {
            holds(Some(&account.probes))
                && holds(account.receiver.as_ref())
                && holds(account.tcp_receiver.as_ref())
                && holds(account.tcp_sender.as_ref())
                && holds(Some(&account.moves))
                && holds(Some(&account.host))
        }
        _ => true,
    }
}

fn limits() -> Limits {
    let rate_max = "1 Gbit/s".parse().expect("a rate");
    Limits { rate_max, duration_max: Span::from_secs(60) }
}

/// A public key as it is presented: any 32 octets behind their head.
const SPKI: [u8; 44] = {
    let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let mut spki = [0xa5; 44];
    let mut place = 0;
    while place < head.len() {
        spki[place] = head[place];
        place += 1;
    }
    spki
};

struct Dice;

impl agent::Host for Dice {
    fn secrets(&mut self, stream: StreamNumber) -> Secrets {
        Secrets { stream, token: Token(stream.into()), key: [0xa5; 32] }
    }

    fn lacks(&self, _: &Trial) -> Option<String> {
        None
    }

    fn lacks_congestion(&self, _: CongestionControl) -> Option<String> {
        None
    }

    fn facts(&self) -> HostFacts {
        HostFacts::default()
    }
}

struct Agent(agent::Session);

impl Agent {
    const PEER: agent::ConnectionId = agent::ConnectionId(1);

    fn new() -> Self {
        let mut session = agent::Session::new(limits(), Box::new(Dice));
        let framing = Framing::plain(IpVersion::V4);
        let key = PublicKey::from_spki(&SPKI).expect("a key");
        let role = Role::qualifier(limits());
        let driver = agent::Listed { who: "anyone".into(), key, role };
        session.handle_open(Stamp::from_nanos(0), Self::PEER, driver, framing);
        Self(session)
    }

    fn hear(&mut self, now_ns: u64, message: Message) {
        self.0.handle_message(Stamp::from_nanos(now_ns), Self::PEER, message);
        self.act(now_ns);
    }

    fn wait(&mut self, now_ns: u64) {
        self.0.handle_timeout(Stamp::from_nanos(now_ns));
        self.act(now_ns);
    }

    fn close(&mut self, now_ns: u64) {
        self.0.handle_closed(Stamp::from_nanos(now_ns), Self::PEER);
        self.wait(now_ns + 1_000 * SECOND_NS);
        self.wait(now_ns + 5_000 * SECOND_NS);
        assert_eq!(self.0.deadline(), None, "nobody is there, and nothing is kept any more");
    }

    fn act(&mut self, now_ns: u64) {
        while let Some(action) = self.0.poll_action() {
            if let agent::Action::Stop(id) = action {
                let now = Stamp::from_nanos(now_ns);
                self.0.handle_trial(id, FarEvent::Heard(now));
                self.0.handle_trial(id, FarEvent::Reflected(ReflectorCounts::default()));
                self.0.handle_trial(id, FarEvent::Host(HostCounts::default()));
            }
        }
    }
}

struct Driver {
    session: driver::Session,
    trial: Trial,
    tcp: Trial,
    trials: usize,
}

impl Driver {
    fn new() -> Self {
        let rate = PacketRate::new(100).expect("a rate");
        let load = Load::new(Directions::Both, 1, 100, rate, LoadKind::FixedRate).expect("a load");
        let trial = Trial::new(Some(load), Span::from_secs(1)).expect("a trial");
        let session = driver::Session::new(RunId(7), Stamp::from_nanos(0));
        let rate = Some("1 Mbit/s".parse().expect("a rate"));
        let rates = PerDirection { forward: rate, reverse: rate };
        let tcp = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let tcp = Trial::with_tcp(tcp.expect("a load"), Span::from_secs(1)).expect("a trial");
        Self { session, trial, tcp, trials: 0 }
    }

    fn hear(&mut self, now_ns: u64, message: Message) {
        self.session.handle_message(Stamp::from_nanos(now_ns), message);
        self.act(now_ns);
    }

    fn wait(&mut self, now_ns: u64) {
        self.session.handle_timeout(Stamp::from_nanos(now_ns));
        self.act(now_ns);
    }

    fn close(&mut self, now_ns: u64) {
        self.session.handle_closed(Stamp::from_nanos(now_ns));
        self.act(now_ns);
        for passed in 1..16 {
            self.session.handle_unreachable(Stamp::from_nanos(now_ns), "nobody answers");
            self.wait(now_ns + passed * 100 * SECOND_NS);
        }
        assert!(!self.session.is_connected(), "it knows that nobody is there");
    }

    fn act(&mut self, now_ns: u64) {
        let now = Stamp::from_nanos(now_ns);
        while let Some(action) = self.session.poll_action() {
            match action {
                driver::Action::Reconnect => self.session.handle_connected(now),
                driver::Action::Admitted(..) => {
                    let rate = "1 Mbit/s".parse().expect("a rate");
                    let duration = Span::from_secs(10);
                    let load = Some(LoadRequest { rate, duration });
                    let congestion = vec!["cubic".parse().expect("a name")];
                    let (circuit, fences) = (None, Vec::new());
                    let asked = Request { circuit, duration, load, congestion, fences };
                    self.session.request(now, &asked);
                }
                driver::Action::Granted { .. } => {
                    self.session.begin(now, driver::Task::FindPayload(1_472), self.trial);
                }
                driver::Action::Open(openings, tcp) => {
                    let udp = openings.iter().map(|opening| opening.stream.number);
                    let tcp = tcp.iter().map(|opening| opening.stream.number);
                    for number in udp.chain(tcp) {
                        self.session.handle_trial(now, NearEvent::Opened(number));
                    }
                }
                driver::Action::FindPayload(most) => {
                    self.session.handle_trial(now, NearEvent::PayloadFound(Some(most)));
                }
                driver::Action::PayloadFound(_) | driver::Action::Ended(_) if self.trials < 4 => {
                    self.trials += 1;
                    let trial = if self.trials % 2 == 0 { self.tcp } else { self.trial };
                    self.session.begin(now, driver::Task::Measure, trial);
                }
                driver::Action::Start => {
                    let sent = NearEvent::Sent(1, SenderCounts::default());
                    self.session.handle_trial(now, sent);
                    self.session.handle_trial(now, NearEvent::Came(2, ReceiverCounts::default()));
                    let sent = NearEvent::TcpSent(1, TcpSenderCounts::default());
                    self.session.handle_trial(now, sent);
                    let received = NearEvent::TcpCame(2, TcpReceiverCounts::default());
                    self.session.handle_trial(now, received);
                    self.session.handle_trial(now, NearEvent::Probed(Box::default()));
                }
                _ => {}
            }
        }
    }
}
