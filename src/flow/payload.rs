//! What streams carry: octets that no line compresses, marked so that no two packets or passes are
//! alike; TCP's its receiver can make again from the stream's token.

use super::tcp::WRITE_MAX;
use crate::account::TcpChecked;
use crate::wire::{StreamNumber, Token};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// How far apart marks are: a line that keeps what it has seen finds no block of this length again,
/// though shorter ones.
pub const BLOCK: usize = 1 << 10;

/// Octets that no line compresses, and that no other stream has: the key stream of `ChaCha8` whose
/// key is `token`, big-endian, and zeros. Both ends make the same, whatever their versions.
#[must_use]
pub fn random(token: Token, len: usize) -> Vec<u8> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&token.0.to_be_bytes());
    let mut octets = vec![0; len];
    ChaCha8Rng::from_seed(key).fill_bytes(&mut octets);
    octets
}

/// Writes `number` to the front of each whole [`BLOCK`] of `octets`.
pub fn mark(octets: &mut [u8], number: u64) {
    for block in octets.chunks_exact_mut(BLOCK) {
        block[..8].copy_from_slice(&number.to_be_bytes());
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
