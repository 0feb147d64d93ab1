use std::fmt;

/// Octets that a policer or shaper lets through beside its rate once it was idle: the committed
/// burst size (MEF 10.4, CBS).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BurstSize(u32);

impl BurstSize {
    /// The largest: 1 GB, which is 80 ms of 100 Gbit/s.
    pub const MAX_OCTETS: u32 = 1_000_000_000;

    /// One of `octets`; `None` of zero, and above [`Self::MAX_OCTETS`].
    #[must_use]
    pub const fn new(octets: u32) -> Option<Self> {
        match octets {
            1..=Self::MAX_OCTETS => Some(Self(octets)),
            _ => None,
        }
    }

    /// How many octets.
    #[must_use]
    pub const fn octets(self) -> u32 {
        self.0
    }

    /// How many bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0 as u64 * 8
    }
}

/// 64 KiB, as much as most policers of leased lines hold at most.
impl Default for BurstSize {
    fn default() -> Self {
        Self(65_536)
    }
}

impl fmt::Display for BurstSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            octets if octets.is_multiple_of(1_024) => write!(f, "{} KiB", octets / 1_024),
            octets => write!(f, "{octets} B"),
        }
    }
}
