//! What comes to an agent's UDP port, from anyone: every parser, and the reflector behind them.
//!
//! ```text
//! | port, and whether to seal (8 bit) | length (8 bit) | length octets | the next datagram …
//! ```
//!
//! A seal is not guessed by luck, nor a tag, so that the first octet's highest bit asks for a good
//! one: what stands behind it is reached by those who hold a key, and must not trust them either.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::clock::{Agent, Stamp};
use linkqual::direction::{Direction, Directions};
use linkqual::flow::{
    End, Freshness, Incoming, LoadCheck, Receiver, Reflector, Response, Stream, streams_of,
};
use linkqual::trial::{Load, LoadKind, Trial};
use linkqual::units::{PacketRate, Span};
use linkqual::wire::load::{HEADER_LEN, Header};
use linkqual::wire::probe::{self, Probe, Reply};
use linkqual::wire::seal::{KEY_LEN, SEAL_LEN, Sealer, Seals, Tagger};
use linkqual::wire::signal::{self, Say, Signal};
use linkqual::wire::{Kind, Token, kind_of};
use std::net::SocketAddr;

/// The key of every stream here.
const KEY: [u8; KEY_LEN] = [0xa5; KEY_LEN];

fuzz_target!(|octets: &[u8]| {
    let driver = Seals::of(&KEY, Direction::Forward);
    let tagger = Tagger::of(&KEY, Direction::Forward);
    let (mut reflector, load) = expecting();
    open_probes(&mut reflector, &driver);
    let mut receiver = Receiver::<Agent>::new(load, Stamp::from_nanos(0));
    let (mut check, mut seen) = (LoadCheck::new(load, tagger), Freshness::default());
    let (mut rest, mut now) = (octets, 1_000_000_000);
    while let [how, len, behind @ ..] = rest {
        let (datagram, next) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = next;
        now += 10_000_000 * u64::from(how & 0x3f);
        let mut datagram = datagram.to_vec();
        if how & 0x80 != 0 {
            seal(&driver.sent, &tagger, &mut datagram);
        }
        parse_all(&driver.sent, &tagger, &datagram);
        if let Some(packet) = check.packet(&datagram, datagram.len()) {
            receiver.on_arrival(Stamp::from_nanos(now), &packet, u32::from(*how));
        }
        if let Ok(signal) = Signal::parse(&datagram, &driver.sent) {
            seen.accepts(&signal);
            assert!(!seen.accepts(&signal), "accepted once");
        }
        let came = incoming(now, u16::from(how & 0x40), u32::from(*how), &datagram);
        match reflector.handle(&came) {
            Response::Reply(reply) => {
                assert!(reflector.emit(&reply, Stamp::from_nanos(now), &mut datagram));
                assert!(Reply::parse(&datagram, &driver.received).is_ok(), "it is read back");
                reflector.on_replied(&reply);
                reflector.on_left(reply.token, reply.sequence, Stamp::from_nanos(now));
            }
            Response::Signal(signal) => assert!(signal.len() <= datagram.len(), "no more octets"),
            Response::Ignore | Response::Open(_) => {}
        }
        _ = reflector.take_moved();
    }
    let end = End::Abandoned { listened_until: Stamp::from_nanos(0) };
    reflector.forget(Token(0), end, 0);
    _ = receiver.finish(end, 0);
});

fn incoming(now: u64, port: u16, drops: u32, octets: &[u8]) -> Incoming<'_> {
    let peer = SocketAddr::from(([10, 0, 0, 1], port));
    let (at, by_kernel, mark) = (Stamp::from_nanos(now), drops & 1 == 0, None);
    Incoming { at, by_kernel, peer, local: None, drops, mark, octets }
}

/// Opens the probes' stream from port 0: no luck finds the cookie that it takes.
fn open_probes(reflector: &mut Reflector, driver: &Seals) {
    let mut say = |counter, say| {
        let signal = Signal { stream: 0, token: Token(0), counter, say };
        let response = reflector.handle(&incoming(0, 0, 0, &signal.emit(&driver.sent)));
        let Response::Signal(answer) = response else { panic!("no answer: {response:?}") };
        Signal::parse(&answer, &driver.received).expect("an answer is sealed").say
    };
    let Say::Challenge { cookie } = say(0, Say::Hello) else { panic!("no challenge") };
    assert_eq!(say(1, Say::Confirm { cookie }), Say::Accepted);
}

/// A reflector that expects the probes and one load stream of a trial, and that stream; tokens are
/// their numbers.
fn expecting() -> (Reflector, Stream) {
    let rate = PacketRate::new(100).expect("a rate");
    let load = Load::new(Directions::Forward, 1, 100, rate, LoadKind::FixedRate).expect("a load");
    let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
    let mut reflector = Reflector::new(&[1; 32]);
    let streams = streams_of(&trial).into_iter();
    let named = |stream: Stream| Stream { token: Token(stream.number.into()), ..stream };
    let streams: Vec<Stream> = streams.map(named).collect();
    streams.iter().for_each(|it| reflector.expect(*it, &KEY, Stamp::from_nanos(0)));
    (reflector, streams[1])
}

fn parse_all(sealer: &Sealer, tagger: &Tagger, datagram: &[u8]) {
    _ = kind_of(datagram);
    _ = probe::claimed(datagram);
    _ = Reply::parse(datagram, sealer);
    _ = Signal::claimed(datagram);
    _ = Header::claimed(datagram);
    if let Ok(header) = Header::parse(datagram, datagram.len(), tagger) {
        let mut again = datagram.to_vec();
        header.emit(&mut again, tagger);
        assert_eq!(again, datagram, "a header says all that it was read from");
    }
    if let Ok(signal) = Signal::parse(datagram, sealer) {
        assert_eq!(Signal::parse(&signal.emit(sealer), sealer), Ok(signal));
    }
    if let Ok(probe) = Probe::parse(datagram, sealer) {
        let mut again = datagram.to_vec();
        probe.emit(sealer, &mut again);
        assert_eq!(Probe::parse(&again, sealer), Ok(probe));
    }
}

/// Puts a good seal, or a good tag, where `datagram` has one.
fn seal(sealer: &Sealer, tagger: &Tagger, datagram: &mut [u8]) {
    let len = u32::try_from(datagram.len()).expect("a short datagram").to_be_bytes();
    match kind_of(datagram) {
        Some(Kind::Probe) if probe::LEN_MIN <= datagram.len() => {
            let follow_ups = [&datagram[73..92], &datagram[93..112]];
            let parts = [&datagram[..44], &datagram[48..56], follow_ups[0], follow_ups[1], &len];
            let seal = sealer.seal(&parts);
            datagram[56..56 + SEAL_LEN].copy_from_slice(&seal);
        }
        Some(Kind::Signal) if signal::LEN <= datagram.len() => {
            let seal = sealer.seal(&[&datagram[..signal::LEN - SEAL_LEN]]);
            datagram[signal::LEN - SEAL_LEN..signal::LEN].copy_from_slice(&seal);
        }
        Some(Kind::Load) if HEADER_LEN <= datagram.len() => {
            let tag = tagger.tag(&[&datagram[..HEADER_LEN - 8], &len].concat());
            datagram[HEADER_LEN - 8..HEADER_LEN].copy_from_slice(&tag.to_be_bytes());
        }
        _ => {}
    }
}
