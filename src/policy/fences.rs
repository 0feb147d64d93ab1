//! The leases that an agent was shown: of each the newest, so that a run whose lease has ended is
//! refused even where its program does not know of it.

use super::refusal::Refusal;
use crate::wire::fence::Fence;

/// Leases that an agent remembers: the one that was shown longest ago gives way. A site with
/// several hundred circuits has room for all of them.
const REMEMBERED_MAX: usize = 1_024;

/// The newest lease on each thing that an agent was shown, the one that was shown last at the end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fences(Vec<Fence>);

impl Fences {
    /// Those that were kept, in their order.
    #[must_use]
    pub fn kept(fences: Vec<Fence>) -> Self {
        let mut kept = Self::default();
        kept.note(&fences);
        kept
    }

    /// All of them, the one that was shown last at the end.
    #[must_use]
    pub fn all(&self) -> &[Fence] {
        &self.0
    }

    /// Whether a run may load by the leases `shown`.
    ///
    /// # Errors
    ///
    /// The first of them that another has taken over.
    pub fn check(&self, shown: &[Fence]) -> Result<(), Refusal> {
        let is_over = |shown: &&Fence| is_superseded(std::slice::from_ref(shown), &self.0);
        let over = shown.iter().find(is_over);
        over.map_or(Ok(()), |over| Err(Refusal::LeaseOver(over.of.clone())))
    }

    /// Remembers the leases `shown`; true where any is newer than what was known.
    pub fn note(&mut self, shown: &[Fence]) -> bool {
        let mut is_new = false;
        for fence in shown {
            let known = self.0.iter().position(|known| known.sequence == fence.sequence);
            let known = known.map(|place| self.0.remove(place));
            let newest = match known {
                Some(known) if fence.number <= known.number => known,
                _ => {
                    is_new = true;
                    fence.clone()
                }
            };
            self.0.push(newest);
        }
        let surplus = self.0.len().saturating_sub(REMEMBERED_MAX);
        self.0.drain(..surplus);
        is_new
    }
}

/// Whether a run that holds the leases `held` has lost one of them to whoever shows `shown`.
#[must_use]
pub fn is_superseded(held: &[Fence], shown: &[Fence]) -> bool {
    let beats =
        |held: &Fence, shown: &Fence| held.sequence == shown.sequence && held.number < shown.number;
    held.iter().any(|held| shown.iter().any(|shown| beats(held, shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(sequence: u128, number: u64) -> Fence {
        Fence { of: format!("circuit {sequence}"), sequence, number }
    }

    #[test]
    fn a_lower_number_of_the_same_sequence_is_refused_and_no_other() {
        let mut fences = Fences::default();
        assert!(fences.note(&[fence(1, 7), fence(2, 3)]));
        assert!(!fences.note(&[fence(1, 7)]), "the same run asks again");
        assert_eq!(fences.check(&[fence(1, 7), fence(2, 3)]), Ok(()));
        assert_eq!(fences.check(&[fence(1, 8), fence(3, 1)]), Ok(()));
        let refusal = fences.check(&[fence(1, 9), fence(2, 2)]).expect_err("it is over");
        let words = "the lease on circuit 2 has ended, and another run has taken it over since. \
                     Start the run again";
        assert_eq!(refusal.to_string(), words);
        assert!(!fences.note(&[fence(1, 6)]), "it never goes back");
        assert!(fences.check(&[fence(1, 6)]).is_err());
    }

    #[test]
    fn what_was_shown_longest_ago_gives_way() {
        let mut fences = Fences::default();
        for sequence in 0..REMEMBERED_MAX as u128 {
            fences.note(&[fence(sequence, 9)]);
        }
        fences.note(&[fence(0, 9)]);
        fences.note(&[fence(9_999, 1)]);
        assert_eq!(fences.all().len(), REMEMBERED_MAX);
        assert!(fences.check(&[fence(0, 1)]).is_err(), "shown again just now");
        assert!(fences.check(&[fence(1, 1)]).is_ok(), "forgotten");
        assert_eq!(Fences::kept(fences.all().to_vec()), fences);
    }

    #[test]
    fn a_run_is_superseded_by_a_higher_number_of_what_it_holds() {
        let held = [fence(1, 7), fence(2, 3)];
        assert!(is_superseded(&held, &[fence(2, 4)]));
        assert!(!is_superseded(&held, &[fence(2, 3), fence(3, 9), fence(1, 6)]));
        assert!(!is_superseded(&[], &[fence(2, 4)]));
    }
}
