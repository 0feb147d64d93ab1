//! What comes to an agent's UDP port, from anyone: every parser, and the reflector behind them.
//!
//! ```text
//! | port, and whether to seal (8 bit) | length (8 bit) | length octets | the next datagram …
//! ```
//!
//! A seal is not guessed by luck, so that the first octet's highest bit asks for a good one: what
//! stands behind it is reached by those who hold a key, and must not trust them either.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linkqual::clock::Stamp;
use linkqual::direction::Directions;
use linkqual::flow::{End, Incoming, Reflector, Response, Stream, streams_of};
use linkqual::plan::{Load, LoadKind, Trial};
use linkqual::units::{PacketRate, Span};
use linkqual::wire::load::Header;
use linkqual::wire::probe::{self, Probe, Reply};
use linkqual::wire::seal::{SEAL_LEN, Sealer};
use linkqual::wire::signal::{self, Say, Signal};
use linkqual::wire::{Kind, Token, kind_of};
use std::net::SocketAddr;

fuzz_target!(|octets: &[u8]| {
    let sealer = Sealer::new(&[0xa5; 32]);
    let mut reflector = expecting(&sealer);
    open_probes(&mut reflector, &sealer);
    let (mut rest, mut now) = (octets, 1_000_000_000);
    while let [how, len, behind @ ..] = rest {
        let (datagram, next) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = next;
        now += 10_000_000 * u64::from(how & 0x3f);
        let mut datagram = datagram.to_vec();
        if how & 0x80 != 0 {
            seal(&sealer, &mut datagram);
        }
        parse_all(&sealer, &datagram);
        let came = incoming(now, u16::from(how & 0x40), u32::from(*how), &datagram);
        if let Response::Reply(reply) = reflector.handle(&came) {
            assert!(reflector.emit(&reply, Stamp::from_nanos(now), &mut datagram));
            assert!(Reply::parse(&datagram, &sealer).is_ok(), "what is emitted is read back");
            reflector.on_replied(reply.token);
            reflector.on_left(reply.token, reply.sequence, Stamp::from_nanos(now));
        }
    }
    let end = End::Abandoned { listened_until: Stamp::from_nanos(0) };
    reflector.forget(Token(0), end, 0);
});

fn incoming(now: u64, port: u16, drops: u32, octets: &[u8]) -> Incoming<'_> {
    let peer = SocketAddr::from(([10, 0, 0, 1], port));
    let (at, by_kernel, mark) = (Stamp::from_nanos(now), drops & 1 == 0, None);
    Incoming { at, by_kernel, peer, local: None, drops, mark, octets }
}

/// Opens the probes' stream from port 0: no luck finds the cookie that it takes.
fn open_probes(reflector: &mut Reflector, sealer: &Sealer) {
    let mut say = |say| {
        let signal = Signal { stream: 0, token: Token(0), say };
        let response = reflector.handle(&incoming(0, 0, 0, &signal.emit(sealer)));
        let Response::Signal(answer) = response else { panic!("no answer: {response:?}") };
        Signal::parse(&answer, sealer).expect("an answer is sealed").say
    };
    let Say::Challenge { cookie } = say(Say::Hello) else { panic!("no challenge") };
    assert_eq!(say(Say::Confirm { cookie }), Say::Accepted);
}

/// A reflector that expects the probes and one load stream of a trial; tokens are their numbers.
fn expecting(sealer: &Sealer) -> Reflector {
    let rate = PacketRate::new(100).expect("a rate");
    let load = Load::new(Directions::Forward, 1, 100, rate, LoadKind::FixedRate).expect("a load");
    let trial = Trial::new(Some(load), Span::from_secs(10)).expect("a trial");
    let mut reflector = Reflector::new(&[1; 32]);
    for stream in streams_of(&trial) {
        let stream = Stream { token: Token(stream.number.into()), ..stream };
        reflector.expect(stream, sealer.clone(), Stamp::from_nanos(0));
    }
    reflector
}

fn parse_all(sealer: &Sealer, datagram: &[u8]) {
    _ = kind_of(datagram);
    _ = probe::claimed(datagram);
    _ = Reply::parse(datagram, sealer);
    _ = Signal::claimed(datagram);
    if let Ok(header) = Header::parse(datagram) {
        let mut again = datagram.to_vec();
        header.emit(&mut again);
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

/// Puts a good seal where `datagram` has one.
fn seal(sealer: &Sealer, datagram: &mut [u8]) {
    match kind_of(datagram) {
        Some(Kind::Probe) if probe::LEN_MIN <= datagram.len() => {
            let follow_ups = [&datagram[73..92], &datagram[93..112]];
            let seal =
                sealer.seal(&[&datagram[..44], &datagram[48..56], follow_ups[0], follow_ups[1]]);
            datagram[56..56 + SEAL_LEN].copy_from_slice(&seal);
        }
        Some(Kind::Signal) if signal::LEN <= datagram.len() => {
            let seal = sealer.seal(&[&datagram[..signal::LEN - SEAL_LEN]]);
            datagram[signal::LEN - SEAL_LEN..signal::LEN].copy_from_slice(&seal);
        }
        _ => {}
    }
}
