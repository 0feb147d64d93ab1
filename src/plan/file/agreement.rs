//! Whether the parts of a plan can all be meant: rates that contradict each other.

use super::draft::Draft;
use super::fault::Place;
use super::kinds::KindOfTest;
use super::link::{LinkRates, Rated};
use super::require::Demand;
use super::test::Offering;
use crate::direction::Direction;
use crate::metric::Traffic;
use crate::trial::{TCP_PACE_SPARE_PERCENT, tcp_paced_at_least};
use crate::units::BitRate;

/// Reports each pair of rates of which one is impossible while the other is right.
pub(super) fn agree(
    draft: &mut Draft<'_>,
    rates: &LinkRates,
    demands: &[Demand],
    offerings: &[Offering],
) {
    for (rate, place) in
        Direction::ALL.into_iter().filter_map(|direction| rates.committed.get(direction).as_ref())
    {
        above(draft, (*rate, place), &rates.port, "no more can be committed than the port carries");
    }
    for Offering { rate, place, .. } in offerings {
        if let Some(rate) = rate {
            above(draft, (*rate, place), &rates.port, "the port carries no more");
        }
    }
    for (direction, requirement, place) in demands {
        let (Some(direction), Some(required)) = (*direction, requirement.limit().rate()) else {
            continue;
        };
        let required = (required, place);
        above(draft, required, &rates.port, "the port carries no more");
        let committed = rates.committed.get(direction);
        above(draft, required, committed, "the provider commits to no more");
        let kind = match requirement.metric().about().answered_by {
            Traffic::Tcp => KindOfTest::Tcp,
            _ => KindOfTest::Udp,
        };
        unproved(draft, required, kind, direction, offerings);
    }
}

/// `rate` may not be above `limit`.
fn above(draft: &mut Draft<'_>, (rate, place): (BitRate, &Place), limit: &Rated, why: &str) {
    let Some((_, at)) = limit.as_ref().filter(|(most, _)| *most < rate) else { return };
    // Such as a share of another rate.
    let is_written = place.value.as_ref().is_some_and(|value| value.contains("bit/s"));
    let asked = if is_written { String::new() } else { format!("{rate} is ") };
    let what = format!("{asked}above {}: {why}", at.described());
    draft.fault(place, what).beside(at, "the limit");
}

/// A rate that is required, and that every test of its kind stays below.
fn unproved(
    draft: &mut Draft<'_>,
    (required, place): (BitRate, &Place),
    kind: KindOfTest,
    direction: Direction,
    offerings: &[Offering],
) {
    let covers = |offering: &&Offering| offering.kind == kind && offering.direction == direction;
    let mut fastest: Option<(BitRate, &Place)> = None;
    for offering in offerings.iter().filter(covers) {
        // As fast as possible may be fast enough.
        let Some(rate) = offering.rate else { return };
        if fastest.is_none_or(|(other, _)| other < rate) {
            fastest = Some((rate, &offering.place));
        }
    }
    let needed = match kind {
        KindOfTest::Tcp => tcp_paced_at_least(required),
        _ => required,
    };
    let Some((rate, at)) = fastest.filter(|(rate, _)| *rate < needed) else { return };
    let (what, fastest) = (kind.name(), at.described());
    let takes = match kind {
        KindOfTest::Tcp => format!(
            ". Pace TCP at {TCP_PACE_SPARE_PERCENT} % above it, {needed} or more, or at \"max\""
        ),
        _ => String::new(),
    };
    let above = match rate < required {
        true => "above the rate",
        false => "too near to the rate",
    };
    let what = format!(
        "{above} of every {what} test {direction}, so that none can prove it: the fastest, \
         {fastest}, offers {rate}{takes}"
    );
    draft.fault(place, what).beside(at, "the fastest");
}
