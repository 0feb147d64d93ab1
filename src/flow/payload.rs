//! What streams carry: octets that no line compresses, marked so that no two packets or passes are
//! alike. Their receiver can make them again from the stream's token, and compares.

use super::tcp::WRITE_MAX;
use super::{BATCH_MAX, Stream, Train};
use crate::account::TcpChecked;
use crate::wire::load::HEADER_LEN;
use crate::wire::seal::Tagger;
use crate::wire::{StreamNumber, Token};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::ops::Range;

/// Octets of payload that a stream of datagrams has ready, so that packets in a row are not alike;
/// and the fewest packets.
const POOL_OCTETS: usize = 1 << 18;
const PLACES_MIN: usize = 16;

/// How far apart marks are: a line that keeps what it has seen finds no block of this length again,
/// though shorter ones.
const BLOCK: usize = 1 << 10;

/// Octets that no line compresses, and that no other stream has: the key stream of `ChaCha8` whose
/// key is `token`, big-endian, and zeros. Both ends make the same, whatever their versions.
fn random(token: Token, len: usize) -> Vec<u8> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&token.0.to_be_bytes());
    let mut octets = vec![0; len];
    ChaCha8Rng::from_seed(key).fill_bytes(&mut octets);
    octets
}

/// Writes `number` to the front of each whole [`BLOCK`] of `octets`.
fn mark(octets: &mut [u8], number: u64) {
    for block in octets.chunks_exact_mut(BLOCK) {
        block[..8].copy_from_slice(&number.to_be_bytes());
    }
}

/// The datagrams of a load stream, as many as differ: the packet of a number is that of its place,
/// and carries its number in each whole `BLOCK` behind the first, which has the header.
#[derive(Clone, Debug)]
pub struct LoadPayload {
    octets: Vec<u8>,
    each: usize,
    places: u64,
}

impl LoadPayload {
    /// That of `stream`, to be compared with.
    #[must_use]
    pub fn new(stream: &Stream) -> Self {
        // A datagram has fewer than 2^16 octets.
        let each = usize::try_from(stream.payload).unwrap_or(usize::from(u16::MAX)).max(1);
        let places = (POOL_OCTETS / each).max(PLACES_MIN);
        Self { octets: random(stream.token, places * each), each, places: places as u64 }
    }

    /// The same, to be sent from: behind the last place the first follow once more, so that a train
    /// stands in a row wherever it begins.
    #[must_use]
    pub fn for_sending(mut self, stream: &Stream) -> Self {
        let behind = stream.train.max(BATCH_MAX) as usize;
        let wrapped = self.octets.iter().copied().cycle().skip(self.octets.len());
        let wrapped: Vec<u8> = wrapped.take(behind * self.each).collect();
        self.octets.extend(wrapped);
        self
    }

    /// Octets of each datagram.
    #[must_use]
    pub const fn each(&self) -> usize {
        self.each
    }

    /// Writes the datagrams of `train`; where they stand.
    pub fn load(&mut self, train: &Train, tagger: &Tagger) -> Range<usize> {
        let mut range = 0..0;
        for header in train.headers() {
            if range.is_empty() {
                range = self.place(header.sequence);
            } else {
                range.end += self.each;
            }
            let datagram = &mut self.octets[range.end - self.each..range.end];
            mark(&mut datagram[BLOCK.min(self.each)..], header.sequence);
            header.emit(datagram, tagger);
        }
        range
    }

    /// The octets that stand there.
    #[must_use]
    pub fn octets(&self, range: Range<usize>) -> &[u8] {
        &self.octets[range]
    }

    /// Whether the payload of `datagram`, the packet of this number, is what was sent; its header
    /// is not looked at.
    #[must_use]
    pub fn is_intact(&self, sequence: u64, datagram: &[u8]) -> bool {
        let sent = &self.octets[self.place(sequence)];
        if datagram.len() != sent.len() || datagram.len() < HEADER_LEN {
            return false;
        }
        let (first, rest) = datagram.split_at(BLOCK.min(self.each));
        let (sent_first, sent_rest) = sent.split_at(BLOCK.min(self.each));
        let (blocks, sent_blocks) = (rest.chunks_exact(BLOCK), sent_rest.chunks_exact(BLOCK));
        first[HEADER_LEN..] == sent_first[HEADER_LEN..]
            && blocks.remainder() == sent_blocks.remainder()
            && blocks.zip(sent_blocks).all(|(block, sent)| {
                block[..8] == sequence.to_be_bytes() && block[8..] == sent[8..]
            })
    }

    fn place(&self, sequence: u64) -> Range<usize> {
        // It is less than the number of places, each of which is in memory.
        let place = usize::try_from(sequence % self.places).unwrap_or(0);
        place * self.each..(place + 1) * self.each
    }
}

/// A stream's payload, of which [`WRITE_MAX`] octets at a time exist.
#[derive(Clone, Debug)]
pub struct Payload {
    octets: Vec<u8>,
    pass: u64,
}

impl Payload {
    /// The first pass of the stream with this secret.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self { octets: random(token, WRITE_MAX), pass: 0 }
    }

    /// This pass, all of it.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Goes on to the next pass.
    pub fn turn(&mut self) {
        self.pass += 1;
        mark(&mut self.octets, self.pass);
    }
}

/// Compares what comes with what was sent.
#[derive(Clone, Debug)]
pub struct PayloadCheck {
    stream: StreamNumber,
    payload: Payload,
    at: usize,
    checked: TcpChecked,
}

impl PayloadCheck {
    /// A check of the stream of this number, with this secret.
    #[must_use]
    pub fn new(stream: StreamNumber, token: Token) -> Self {
        Self { stream, payload: Payload::new(token), at: 0, checked: TcpChecked::default() }
    }

    /// The next octets of the stream.
    pub fn on_octets(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let expected = &self.payload.octets()[self.at..];
            let (part, rest) = octets.split_at(octets.len().min(expected.len()));
            let expected = &expected[..part.len()];
            if part != expected {
                let differs = |place: &usize| part[*place] != expected[*place];
                for place in (0..part.len()).filter(differs) {
                    let at = self.checked.octets + place as u64;
                    self.checked.damaged_octets += 1;
                    self.checked.stream.get_or_insert(self.stream);
                    self.checked.first_octet.get_or_insert(at);
                    self.checked.last_octet = Some(at);
                }
            }
            self.checked.octets += part.len() as u64;
            self.at += part.len();
            if self.at == WRITE_MAX {
                self.at = 0;
                self.payload.turn();
            }
            octets = rest;
        }
    }

    /// What was found.
    #[must_use]
    pub const fn checked(&self) -> TcpChecked {
        self.checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Driver, Stamp};
    use crate::direction::Direction;
    use crate::flow::{Next, Outgoing, Sender, Steady};
    use crate::units::{PacketRate, Span};
    use crate::wire::load::Header;

    /// Trains of up to four, three blocks each, more than once through all places.
    #[test]
    fn each_datagram_has_its_header_and_its_number_and_is_what_its_receiver_makes() {
        let rate = PacketRate::new(1_000_000).expect("a rate");
        let steady = Steady::of(Span::from_secs(1));
        let (direction, dscp) = (Direction::Forward, crate::plan::Dscp::default());
        let stream = Stream {
            number: 1,
            token: Token(9),
            direction,
            rate,
            slots: 1_000_000,
            payload: 3_100,
            train: 4,
            burst: 4,
            life: crate::flow::Liveness::default(),
            capacity: false,
            steady,
            silence_min: crate::account::SILENCE_MIN,
            dscp,
        };
        let (tagger, compared) = (Tagger::of(&[1; 32], direction), LoadPayload::new(&stream));
        let mut payload = compared.clone().for_sending(&stream);
        let mut sender = Sender::<Driver>::new(stream, Stamp::from_nanos(0));
        let mut sequence = 0;
        for round in 1..100 {
            let now = Stamp::from_nanos(4_000 * round);
            let Next::Send(Outgoing::Load(train)) = sender.poll(now) else { panic!("no train") };
            let range = payload.load(&train, &tagger);
            for datagram in payload.octets(range).chunks(3_100) {
                let header = Header::parse(datagram, 3_100, &tagger).expect("a header");
                assert_eq!(header.sequence, sequence);
                assert_eq!(datagram[1_024..1_032], sequence.to_be_bytes());
                assert_eq!(datagram[2_048..2_056], sequence.to_be_bytes());
                assert!(compared.is_intact(sequence, datagram));
                assert!(!compared.is_intact(sequence + 1, datagram));
                for place in [HEADER_LEN, 1_023, 1_024, 1_032, 2_048, 3_071, 3_072, 3_099] {
                    let mut altered = datagram.to_vec();
                    altered[place] ^= 0x10;
                    assert!(!compared.is_intact(sequence, &altered), "octet {place}");
                }
                sequence += 1;
            }
            sender.on_sent(now, train.packets(), true);
        }
        assert!(4 * compared.places < sequence);
    }

    #[test]
    fn no_two_passes_and_no_two_streams_are_the_same() {
        let mut payload = Payload::new(Token(7));
        let first = payload.octets().to_vec();
        assert_ne!(first, Payload::new(Token(8)).octets());
        payload.turn();
        let second = payload.octets();
        assert!(first.chunks(BLOCK).zip(second.chunks(BLOCK)).all(|(a, b)| a != b));
        assert_eq!(second[BLOCK..BLOCK + 8], [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    /// Test vector TC1 of draft-strombergson-chacha-test-vectors-01, 8 rounds, a key of 256 bit.
    #[test]
    fn the_octets_are_the_key_stream_that_every_version_makes() {
        let expected = [
            0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09,
            0xa5, 0xa1, 0x2c, 0x84, 0x0e, 0xc3, 0xce, 0x9a, 0x7f, 0x3b, 0x18, 0x1b, 0xe1, 0x88,
            0xef, 0x71, 0x1a, 0x1e,
        ];
        assert_eq!(random(Token(0), 32), expected);
    }

    #[test]
    fn damage_is_found_where_it_is_however_the_octets_come() {
        let (mut payload, mut sent) = (Payload::new(Token(7)), Vec::new());
        for _ in 0..3 {
            sent.extend_from_slice(payload.octets());
            payload.turn();
        }
        let check = |sent: &[u8], part: usize| {
            let mut check = PayloadCheck::new(4, Token(7));
            sent.chunks(part).for_each(|part| check.on_octets(part));
            check.checked()
        };
        let octets = sent.len() as u64;
        let whole = TcpChecked { octets, ..TcpChecked::default() };
        assert_eq!(check(&sent, 1_447), whole);
        let places = [1_048_575, 1_048_576, 2_500_000];
        places.into_iter().for_each(|place: usize| sent[place] ^= 1);
        for part in [1, 1_448, WRITE_MAX, sent.len()] {
            let (stream, first_octet) = (Some(4), Some(1_048_575));
            let expected = TcpChecked {
                octets,
                damaged_octets: 3,
                stream,
                first_octet,
                last_octet: Some(2_500_000),
            };
            assert_eq!(check(&sent, part), expected, "{part} at a time");
        }
    }
}
