//! What streams carry: octets that no line compresses, marked so that no two packets or passes are
//! alike. Their receiver can make them again, and compares: from the token of a stream of
//! datagrams, whose headers are tagged under a key, and from the key of a TCP stream.

use super::tcp::{TcpStream, WRITE_MAX};
use super::{BATCH_MAX, Stream, Train};
use crate::account::TcpChecked;
use crate::units::Span;
use crate::wire::load::HEADER_LEN;
use crate::wire::seal::{KEY_LEN, Tagger};
use crate::wire::{StreamNumber, Token};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// Up to this rate of a stream every payload is compared: 200 Mbit/s, in octets per second.
pub(super) const COMPARE_ALL_OCTETS: u64 = 200_000_000 / 8;

/// Octets of payload that a stream of datagrams has ready, so that packets in a row are not alike;
/// and the fewest packets.
const POOL_OCTETS: usize = 1 << 18;
const PLACES_MIN: usize = 16;

/// How far apart marks are: a line that keeps what it has seen finds no block of this length again,
/// though shorter ones.
const BLOCK: usize = 1 << 10;

/// Octets that no line compresses, and that no other stream has: the key stream of `ChaCha8`. Both
/// ends make the same, whatever their versions.
fn random(key: [u8; KEY_LEN], len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    key_stream(key, 0).fill_bytes(&mut octets);
    octets
}

/// The key stream of this number, its nonce.
fn key_stream(key: [u8; KEY_LEN], number: u64) -> ChaCha8Rng {
    let mut stream = ChaCha8Rng::from_seed(key);
    stream.set_stream(number);
    stream
}

/// The key of a datagram stream's payload: `token`, big-endian, and zeros. Its packets are tagged.
fn token_key(token: Token) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&token.0.to_be_bytes());
    key
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
        Self { octets: random(token_key(stream.token), places * each), each, places: places as u64 }
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

/// A TCP stream's payload, of which [`WRITE_MAX`] octets at a time exist: the key stream of
/// `ChaCha8` under the stream's own key. Each pass of it has marks of its own, from the key stream
/// of the pass's number. Who has seen a part of it can make none of what follows.
#[derive(Clone)]
pub struct Payload {
    octets: Vec<u8>,
    key: [u8; KEY_LEN],
    pass: u64,
}

/// Octets of the marks of a pass.
const MARKS_LEN: usize = WRITE_MAX / BLOCK * 8;

impl Payload {
    /// The first pass of the stream with this [`payload_key`](crate::wire::seal::payload_key).
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut payload = Self { octets: random(*key, WRITE_MAX), key: *key, pass: 0 };
        payload.mark();
        payload
    }

    /// This pass, all of it.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Goes on to the next pass.
    pub fn turn(&mut self) {
        self.turn_to(self.pass + 1);
    }

    fn turn_to(&mut self, pass: u64) {
        if self.pass != pass {
            self.pass = pass;
            self.mark();
        }
    }

    fn mark(&mut self) {
        let mut marks = [0; MARKS_LEN];
        key_stream(self.key, self.pass + 1).fill_bytes(&mut marks);
        for (block, mark) in self.octets.chunks_exact_mut(BLOCK).zip(marks.chunks_exact(8)) {
            block[..8].copy_from_slice(mark);
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("pass", &self.pass).finish_non_exhaustive()
    }
}

/// Octets that are compared together, and of how many such pieces at least one is.
const PIECE: u64 = 1 << 16;
const PIECES: u64 = 64;

/// What is to be done with the next octets of a stream, so many of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// They are compared with what was sent.
    Compare(usize),
    /// They are counted alone.
    Pass(usize),
}

/// Compares what comes of a TCP stream with what was sent: all of it, or one piece in 64 that
/// nobody on the path can predict.
#[derive(Debug)]
pub struct PayloadCheck {
    stream: StreamNumber,
    payload: Payload,
    /// Octets that came before.
    at: u64,
    /// The piece of the 64 that is compared; `None` where all are.
    chosen: Option<u64>,
    choice: ChaCha8Rng,
    checked: TcpChecked,
}

impl PayloadCheck {
    /// A check of `stream`, with this [`payload_key`](crate::wire::seal::payload_key).
    #[must_use]
    pub fn new(stream: &TcpStream, key: &[u8; KEY_LEN]) -> Self {
        let octets = stream.rate.octets_in(Span::from_secs(1)).octets();
        let compares_all = stream.verify || octets <= COMPARE_ALL_OCTETS;
        let mut check = Self {
            stream: stream.number,
            payload: Payload::new(key),
            at: 0,
            chosen: None,
            choice: key_stream(*key, u64::MAX),
            checked: TcpChecked::default(),
        };
        if !compares_all {
            check.choose();
        }
        check
    }

    fn choose(&mut self) {
        self.chosen = Some(u64::from(self.choice.next_u32()) % PIECES);
    }

    /// What is to be done with the next octets.
    #[must_use]
    pub fn next(&self) -> Turn {
        let len = |octets: u64| usize::try_from(octets).unwrap_or(WRITE_MAX);
        let Some(chosen) = self.chosen else { return Turn::Compare(WRITE_MAX) };
        let into = self.at % (PIECE * PIECES);
        match (into / PIECE).cmp(&chosen) {
            Ordering::Less => Turn::Pass(len(chosen * PIECE - into)),
            Ordering::Equal => Turn::Compare(len((chosen + 1) * PIECE - into)),
            Ordering::Greater => Turn::Pass(len(PIECES * PIECE - into)),
        }
    }

    /// So many octets came that were not to be compared.
    pub fn on_passed(&mut self, octets: usize) {
        self.advance(octets as u64);
    }

    /// The next octets of the stream, to be compared.
    pub fn on_octets(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let pass_len = WRITE_MAX as u64;
            self.payload.turn_to(self.at / pass_len);
            let from = usize::try_from(self.at % pass_len).unwrap_or(0);
            let expected = &self.payload.octets()[from..];
            let (part, rest) = octets.split_at(octets.len().min(expected.len()));
            let expected = &expected[..part.len()];
            if part != expected {
                let differs = |place: &usize| part[*place] != expected[*place];
                for place in (0..part.len()).filter(differs) {
                    let at = self.at + place as u64;
                    self.checked.damaged_octets += 1;
                    self.checked.stream.get_or_insert(self.stream);
                    self.checked.first_octet.get_or_insert(at);
                    self.checked.last_octet = Some(at);
                }
            }
            self.checked.octets += part.len() as u64;
            self.advance(part.len() as u64);
            octets = rest;
        }
    }

    fn advance(&mut self, octets: u64) {
        let group = |at: u64| at / (PIECE * PIECES);
        let before = group(self.at);
        self.at += octets;
        if self.chosen.is_some() && before < group(self.at) {
            self.choose();
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
    use crate::units::PacketRate;
    use crate::wire::load::Header;

    /// Trains of up to four, three blocks each, more than once through all places.
    #[test]
    fn each_datagram_has_its_header_and_its_number_and_is_what_its_receiver_makes() {
        let rate = PacketRate::new(1_000_000).expect("a rate");
        let steady = Steady::of(Span::from_secs(1));
        let (direction, dscp) = (Direction::Forward, crate::trial::Dscp::default());
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
            ramp: Span::default(),
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
        let mut payload = Payload::new(&[7; KEY_LEN]);
        let first = payload.octets().to_vec();
        assert_ne!(first, Payload::new(&[8; KEY_LEN]).octets());
        payload.turn();
        let second = payload.octets();
        assert!(first.chunks(BLOCK).zip(second.chunks(BLOCK)).all(|(a, b)| a != b));
    }

    /// Test vector TC1 of draft-strombergson-chacha-test-vectors-01, 8 rounds, a key of 256 bit.
    #[test]
    fn the_octets_are_the_key_stream_that_every_version_makes() {
        let expected = [
            0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09,
            0xa5, 0xa1, 0x2c, 0x84, 0x0e, 0xc3, 0xce, 0x9a, 0x7f, 0x3b, 0x18, 0x1b, 0xe1, 0x88,
            0xef, 0x71, 0x1a, 0x1e,
        ];
        assert_eq!(random([0; KEY_LEN], 32), expected);
    }

    fn tcp(rate: &str, verify: bool) -> TcpStream {
        use crate::trial::{CongestionControl, Dscp, LoadKind};
        TcpStream {
            number: 4,
            token: Token(7),
            direction: Direction::Forward,
            rate: rate.parse().expect("a rate"),
            duration: Span::from_secs(10),
            mtu: 1_500,
            congestion: CongestionControl::CUBIC,
            kind: LoadKind::FixedRate,
            verify,
            round_trip: None,
            dscp: Dscp::default(),
        }
    }

    /// Takes `sent` as a receiver does, up to `part` octets at a time.
    fn checked(stream: &TcpStream, sent: &[u8], part: usize) -> TcpChecked {
        let mut check = PayloadCheck::new(stream, &[7; KEY_LEN]);
        let mut rest = sent;
        while !rest.is_empty() {
            let (Turn::Compare(len) | Turn::Pass(len)) = check.next();
            let (now, later) = rest.split_at(len.min(part).min(rest.len()));
            match check.next() {
                Turn::Compare(_) => check.on_octets(now),
                Turn::Pass(_) => check.on_passed(now.len()),
            }
            rest = later;
        }
        check.checked()
    }

    /// So many passes of the stream's payload.
    fn passes(count: usize) -> Vec<u8> {
        let (mut payload, mut sent) = (Payload::new(&[7; KEY_LEN]), Vec::new());
        for _ in 0..count {
            sent.extend_from_slice(payload.octets());
            payload.turn();
        }
        sent
    }

    /// Whoever has seen a pass sends it again and again; a tenth of the pieces is his.
    #[test]
    fn of_a_fast_stream_one_piece_in_64_is_compared_and_a_forged_one_found() {
        let mut sent = passes(40);
        let whole = TcpChecked { octets: 10 * PIECE, ..TcpChecked::default() };
        for part in [1_448, 1 << 17, WRITE_MAX] {
            assert_eq!(checked(&tcp("201 Mbit/s", false), &sent, part), whole);
        }
        let octets = sent.len() as u64;
        let all = TcpChecked { octets, ..TcpChecked::default() };
        assert_eq!(checked(&tcp("200 Mbit/s", false), &sent, WRITE_MAX), all);
        let first = sent[..WRITE_MAX].to_vec();
        sent.chunks_mut(WRITE_MAX).skip(1).for_each(|pass| pass.copy_from_slice(&first));
        let forged = checked(&tcp("1 Gbit/s", false), &sent, WRITE_MAX);
        assert!(10 * PIECE / 2 / BLOCK as u64 <= forged.damaged_octets, "{forged:?}");
    }

    #[test]
    fn damage_is_found_where_it_is_however_the_octets_come() {
        let mut sent = passes(3);
        let check = |sent: &[u8], part| checked(&tcp("1 Gbit/s", true), sent, part);
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
