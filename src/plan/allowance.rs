//! How much of a link in service a load may take.

use super::link::{Link, Offer};
use super::rules::LoadRules;
use crate::direction::Direction;
use crate::units::BitRate;

impl LoadRules {
    /// The most that may be offered in `direction` of a `link` in service; `None` where no rate is
    /// committed.
    #[must_use]
    pub fn most(&self, link: &Link, direction: Direction) -> Option<BitRate> {
        self.share().of(*link.committed.get(direction).as_ref()?)
    }

    /// Whether `offer` in `direction` is within what a `link` in service may be loaded with.
    #[must_use]
    pub fn allows(&self, offer: Offer, link: &Link, direction: Direction) -> bool {
        let most = self.most(link, direction);
        let rate = offer.rate(link, direction).map(|(rate, _)| rate);
        rate.zip(most).is_some_and(|(rate, most)| rate <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::PerDirection;
    use crate::units::Share;

    fn link() -> Link {
        let rate = "100 Mbit/s".parse().ok();
        Link { committed: PerDirection { forward: rate, reverse: None }, ..Link::default() }
    }

    #[test]
    fn a_link_in_service_is_loaded_with_its_share_and_no_more() {
        let rules = LoadRules::default();
        let allows = |rate: &str, direction| {
            rules.allows(Offer::Rate(rate.parse().expect("a rate")), &link(), direction)
        };
        assert!(allows("50 Mbit/s", Direction::Forward));
        assert!(!allows("50000001 bit/s", Direction::Forward));
        assert!(!allows("1 Mbit/s", Direction::Reverse), "no rate is committed");
        assert!(!rules.allows(Offer::Max, &link(), Direction::Forward));
        let half = Offer::Committed(Share::HALF);
        assert!(rules.allows(half, &link(), Direction::Forward));
    }
}
