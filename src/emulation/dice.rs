//! Chance that can be repeated: each rule of a line throws a dice of its own.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Whose dice it is; the number is the rule's place on its list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Jitter,
    Loss(u32),
    Reorder(u32),
    Duplicate(u32),
}

impl Stream {
    /// The number of the stream: the kind above, the place below, so that no two share one.
    fn number(self) -> u64 {
        let (kind, place) = match self {
            Self::Jitter => (0, 0),
            Self::Loss(place) => (1, place),
            Self::Reorder(place) => (2, place),
            Self::Duplicate(place) => (3, place),
        };
        (kind << 32) | u64::from(place)
    }
}

/// One stream of random numbers: ChaCha, because its output is part of its contract.
#[derive(Debug)]
pub(super) struct Dice {
    rng: ChaCha8Rng,
}

impl Dice {
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream.number());
        Self { rng }
    }

    /// True with the chance `ratio`; a ratio outside 0 to 1 is the nearer end, not a number is 0.
    pub(super) fn strikes(&mut self, ratio: f64) -> bool {
        self.rng.random::<f64>() < ratio
    }

    /// The stream itself, for a distribution to sample from.
    pub(super) const fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_strikes(ratio: f64, expected: usize) {
        let mut dice = Dice::new(1, Stream::Jitter);
        assert_eq!((0..1_000).filter(|_| dice.strikes(ratio)).count(), expected);
    }

    #[test]
    fn the_ends_of_the_ratio_and_beyond_are_certain() {
        check_strikes(0.0, 0);
        check_strikes(-1.0, 0);
        check_strikes(f64::NAN, 0);
        check_strikes(1.0, 1_000);
        check_strikes(f64::INFINITY, 1_000);
    }

    #[test]
    fn another_seed_or_stream_throws_other_numbers() {
        let throws = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            [(); 4].map(|()| dice.rng().random::<u64>())
        };
        let first = throws(1, Stream::Loss(0));
        assert_eq!(first, throws(1, Stream::Loss(0)));
        assert_ne!(first, throws(2, Stream::Loss(0)));
        assert_ne!(first, throws(1, Stream::Loss(1)));
        assert_ne!(first, throws(1, Stream::Reorder(0)));
    }
}
