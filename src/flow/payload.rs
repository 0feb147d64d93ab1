//! What TCP streams carry: octets that no line compresses, that differ from pass to pass, and that
//! the receiver can make again from the stream's token.

use super::tcp::WRITE_MAX;
use crate::wire::tcp::TcpChecked;
use crate::wire::{StreamNumber, Token};

/// How far apart the marks are that make each pass over the payload another: a line that keeps what
/// it has seen finds no block of this length again, though shorter ones.
const BLOCK: usize = 1 << 10;

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
        let mut state = token.0;
        let words = std::iter::repeat_with(|| mixed(&mut state).to_be_bytes());
        Self { octets: words.take(WRITE_MAX / 8).flatten().collect(), pass: 0 }
    }

    /// This pass, all of it.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Goes on to the next pass.
    pub fn turn(&mut self) {
        self.pass += 1;
        for block in self.octets.chunks_exact_mut(BLOCK) {
            block[..8].copy_from_slice(&self.pass.to_be_bytes());
        }
    }
}

/// The next word of `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014).
const fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
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
                    self.checked.damaged += 1;
                    self.checked.stream.get_or_insert(self.stream);
                    self.checked.first_at.get_or_insert(at);
                    self.checked.last_at = Some(at);
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

    /// The first words from 0, as the paper's authors publish them.
    #[test]
    fn the_words_are_those_of_split_mix() {
        let mut state = 0;
        assert_eq!(mixed(&mut state), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mixed(&mut state), 0x6e78_9e6a_a1b9_65f4);
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
            let (stream, first_at) = (Some(4), Some(1_048_575));
            let expected =
                TcpChecked { octets, damaged: 3, stream, first_at, last_at: Some(2_500_000) };
            assert_eq!(check(&sent, part), expected, "{part} at a time");
        }
    }
}
