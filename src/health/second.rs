//! One second of probing, which all that is known of a link between its load tests is made of.

use crate::direction::PerDirection;
use crate::stats::availability::Class;
use crate::units::Span;

/// What one direction of a link did in one second.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Carried {
    /// Probes, or replies to them, that were sent in that second.
    pub sent: u32,
    /// How many of those never arrived.
    pub lost: u32,
}

/// One second of a link, as its probes saw it. It is complete once no reply can come any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Second {
    /// When it began, in seconds since 1970.
    pub start_s: i64,
    /// What each direction carried; `None` where that is not known: no probe was sent, or the
    /// direction in which one was lost cannot be determined.
    pub carried: PerDirection<Option<Carried>>,
    /// What both directions carried together: probes that were sent, and how many were not
    /// answered. `None` where none was sent.
    pub answered: Option<Carried>,
    /// Round trips of the probes of this second, in the order in which they were sent; late ones,
    /// of which no delay is read, are not among them.
    pub round_trips: Vec<Span>,
}

impl Carried {
    /// How such a second counts.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self.sent {
            0 => Class::Unmeasured,
            sent if sent < self.lost.saturating_mul(2) => Class::Errored,
            _ => Class::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_lost_is_errored_and_nothing_sent_is_unmeasured() {
        let class = |sent, lost| Carried { sent, lost }.class();
        assert_eq!([class(20, 10), class(20, 11), class(20, 20)], {
            [Class::Good, Class::Errored, Class::Errored]
        });
        assert_eq!(class(0, 0), Class::Unmeasured);
    }
}
