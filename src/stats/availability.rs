//! Availability, second by second (ITU-T Y.1563): ten seconds in a row decide.
//!
//! A second that was not measured is neither up nor down. It ends a run, as ten *consecutive*
//! seconds are asked for and nobody knows what that one was; but it changes no state by itself.
//! After ten of them in a row the state is not known any more, and begins anew as available.

/// Seconds in a row that make a link unavailable, or available again.
pub const RUN: u32 = 10;

/// How a second counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// At most half of the probes were lost.
    Good,
    /// More than half were: a severely errored second.
    Errored,
    /// Nothing was sent, or nobody can say where it was lost: it counts neither as up nor as down.
    #[default]
    Unmeasured,
}

/// Seconds by how they count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seconds {
    /// Available ones.
    pub available: u64,
    /// Unavailable ones.
    pub unavailable: u64,
    /// Those that were not measured.
    pub unmeasured: u64,
}

impl Seconds {
    /// Seconds that were measured.
    #[must_use]
    pub const fn measured(&self) -> u64 {
        self.available.saturating_add(self.unavailable)
    }

    /// The share of the measured time that was available, from 0 to 1; `None` where none was
    /// measured.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let measured = self.measured();
        (0 < measured).then(|| super::real(self.available) / super::real(measured))
    }

    /// Adds those of another time.
    pub const fn add(&mut self, other: &Self) {
        self.available = self.available.saturating_add(other.available);
        self.unavailable = self.unavailable.saturating_add(other.unavailable);
        self.unmeasured = self.unmeasured.saturating_add(other.unmeasured);
    }
}

/// Whether a link is available, as seconds come in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Availability {
    is_unavailable: bool,
    /// Measured seconds in a row that speak against that.
    run: u32,
    /// Unmeasured ones in a row.
    unmeasured: u32,
}

/// What a second changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Whether it counts as unavailable, as far as is known now; `None` where it was not measured.
    pub is_unavailable: Option<bool>,
    /// So many seconds before it, which were in a row, count the other way than they were counted:
    /// the way that it does.
    pub reversed: u32,
}

impl Availability {
    /// Whether the link is unavailable now.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        self.is_unavailable
    }

    /// Takes the next second.
    pub const fn on_second(&mut self, class: Class) -> Counted {
        let is_errored = match class {
            Class::Unmeasured => {
                (self.run, self.unmeasured) = (0, self.unmeasured.saturating_add(1));
                self.is_unavailable = self.is_unavailable && self.unmeasured < RUN;
                return Counted { is_unavailable: None, reversed: 0 };
            }
            Class::Errored => true,
            Class::Good => false,
        };
        self.unmeasured = 0;
        if is_errored == self.is_unavailable {
            self.run = 0;
            return Counted { is_unavailable: Some(is_errored), reversed: 0 };
        }
        self.run += 1;
        if self.run < RUN {
            return Counted { is_unavailable: Some(self.is_unavailable), reversed: 0 };
        }
        (self.is_unavailable, self.run) = (is_errored, 0);
        Counted { is_unavailable: Some(is_errored), reversed: RUN - 1 }
    }
}

/// The seconds of a whole time, in their order.
#[must_use]
pub fn seconds_of(classes: impl IntoIterator<Item = Class>) -> Seconds {
    let (mut availability, mut seconds) = (Availability::default(), Seconds::default());
    for class in classes {
        let Counted { is_unavailable, reversed } = availability.on_second(class);
        match is_unavailable {
            None => seconds.unmeasured += 1,
            Some(true) => {
                seconds.unavailable += 1 + u64::from(reversed);
                seconds.available -= u64::from(reversed);
            }
            Some(false) => {
                seconds.available += 1 + u64::from(reversed);
                seconds.unavailable -= u64::from(reversed);
            }
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    use Class::{Errored, Good, Unmeasured};

    /// Runs of seconds: so many of a class, in this order.
    #[track_caller]
    fn check(runs: &[(usize, Class)], available: u64, unavailable: u64) {
        let classes = runs.iter().flat_map(|(count, class)| std::iter::repeat_n(*class, *count));
        let seconds = seconds_of(classes.clone());
        let of = |wanted| classes.clone().filter(|class| *class == wanted).count() as u64;
        let unmeasured = of(Unmeasured);
        assert_eq!(seconds, Seconds { available, unavailable, unmeasured }, "{runs:?}");
    }

    /// Those of Y.1563: runs of nine and of ten, and one that is cut short.
    #[test]
    fn the_vectors_of_the_standard() {
        check(&[(5, Good), (9, Errored), (5, Good)], 19, 0);
        check(&[(5, Good), (10, Errored), (12, Good)], 17, 10);
        check(&[(5, Good), (12, Errored), (9, Good), (1, Errored), (10, Good)], 15, 22);
        check(&[(5, Good), (10, Errored), (5, Good)], 5, 15);
    }

    #[test]
    fn an_unmeasured_second_ends_a_run_and_changes_no_state() {
        check(&[(5, Good), (9, Errored), (1, Unmeasured), (9, Errored), (5, Good)], 28, 0);
        check(&[(12, Errored), (9, Good), (1, Unmeasured), (9, Good)], 0, 30);
        check(&[(12, Errored), (9, Unmeasured), (3, Errored), (10, Good)], 10, 15);
        check(&[(12, Errored), (5, Unmeasured), (10, Good)], 10, 12);
    }

    #[test]
    fn after_ten_unmeasured_seconds_it_begins_anew() {
        check(&[(12, Errored), (10, Unmeasured), (5, Good)], 5, 12);
        check(&[(12, Errored), (10, Unmeasured), (9, Errored), (5, Good)], 14, 12);
        check(&[(60, Unmeasured)], 0, 0);
        assert_eq!(seconds_of([Unmeasured; 3]).ratio(), None, "never 0 or 100 %");
        assert_eq!(seconds_of([Good; 3]).ratio(), Some(1.0));
    }
}
