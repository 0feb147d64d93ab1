//! Which version of the protocol two programs speak: each speaks two, so that not all of a network
//! has to be upgraded in one night.

use super::Hello;

/// The newest version of this protocol that this program speaks.
///
/// What each brought: 7 the fences of leases, and that a program speaks two versions.
pub const PROTOCOL: u32 = 7;

/// The version before, which it speaks too.
///
/// It has the same messages: what came with [`PROTOCOL`] are fields that may be absent. The
/// datagrams' version is their own.
pub const PROTOCOL_BEFORE: u32 = PROTOCOL - 1;

/// The versions that a program speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl Versions {
    /// Those of this program.
    pub const OWN: Self = Self { oldest: PROTOCOL_BEFORE, newest: PROTOCOL };

    /// Those of whoever said `hello`.
    #[must_use]
    pub const fn of(hello: &Hello) -> Self {
        let newest = match hello.latest {
            Some(latest) if hello.protocol < latest => latest,
            _ => hello.protocol,
        };
        Self { oldest: hello.protocol, newest }
    }

    /// The newest version that both speak; `None` where there is none.
    #[must_use]
    pub fn shared(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (self.oldest.max(other.oldest) <= newest).then_some(newest)
    }

    /// Whether its program is to be upgraded, and not the one that speaks `other`, where they share
    /// none.
    #[must_use]
    pub const fn is_older_than(self, other: Self) -> bool {
        self.newest < other.oldest
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { oldest, newest } = self;
        match oldest == newest {
            true => write!(f, "protocol version {newest}"),
            false => write!(f, "protocol versions {oldest} to {newest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(protocol: u32, latest: Option<u32>) -> Versions {
        let program = "linkqual 9".to_owned();
        let (limits, role, who, host) = (None, None, None, None);
        Versions::of(&Hello { protocol, latest, program, limits, role, who, host })
    }

    #[test]
    fn the_newest_version_that_both_speak_is_spoken() {
        let with = |protocol, latest| Versions::OWN.shared(saying(protocol, latest));
        assert_eq!(Versions::OWN.shared(Versions::OWN), Some(PROTOCOL));
        assert_eq!(with(PROTOCOL - 2, None), None);
        assert_eq!(with(PROTOCOL - 1, None), Some(PROTOCOL - 1), "the version before");
        assert_eq!(with(PROTOCOL - 2, Some(PROTOCOL - 1)), Some(PROTOCOL - 1));
        assert_eq!(with(PROTOCOL, Some(PROTOCOL + 1)), Some(PROTOCOL), "the version after");
        assert_eq!(with(PROTOCOL + 1, Some(PROTOCOL + 2)), None);
        // What cannot be is taken for one version alone.
        assert_eq!(with(PROTOCOL, Some(0)), Some(PROTOCOL));
    }

    #[test]
    fn versions_are_named_and_the_older_program_is_to_be_upgraded() {
        assert_eq!(Versions::OWN.to_string(), "protocol versions 6 to 7");
        assert_eq!(saying(5, None).to_string(), "protocol version 5");
        let older = |protocol, latest| saying(protocol, latest).is_older_than(Versions::OWN);
        assert!(older(5, None) && !older(8, Some(9)));
    }
}
