//! Maintenance: when links are worked on. Probes go on, load is denied, and nobody is alerted.

/// Maintenance that a link is in, or will be.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Maintained {
    /// From then on, in seconds since 1970.
    pub from_s: i64,
    /// Until then.
    pub until_s: i64,
    /// Why, and by which ticket.
    pub reason: String,
}

/// All maintenance of a link.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Calendar {
    entries: Vec<Maintained>,
}

impl Calendar {
    /// These entries.
    #[must_use]
    pub fn new(mut entries: Vec<Maintained>) -> Self {
        entries.sort();
        Self { entries }
    }

    /// What the link is in at `now_s`: of several that overlap one that began first, until the last
    /// of them ends.
    #[must_use]
    pub fn at(&self, now_s: i64) -> Option<Maintained> {
        let holds = |it: &&Maintained| it.from_s <= now_s && now_s < it.until_s;
        let first = self.entries.iter().find(holds)?;
        let mut whole = first.clone();
        for entry in &self.entries {
            if entry.from_s <= whole.until_s && whole.until_s < entry.until_s {
                whole.until_s = entry.until_s;
            }
        }
        Some(whole)
    }

    /// The maintenance that denies load at any time from `start_s` to `end_s`: load is not begun
    /// where it would not be over before.
    #[must_use]
    pub fn denies_load(&self, start_s: i64, end_s: i64) -> Option<&Maintained> {
        self.entries.iter().find(|it| it.from_s < end_s.max(start_s + 1) && start_s < it.until_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from_s: i64, until_s: i64, reason: &str) -> Maintained {
        Maintained { from_s, until_s, reason: reason.to_owned() }
    }

    #[test]
    fn entries_that_overlap_are_one_maintenance() {
        let entries =
            vec![entry(150, 300, "later"), entry(100, 200, "first"), entry(400, 500, "x")];
        let calendar = Calendar::new(entries);
        assert_eq!(calendar.at(99), None);
        assert_eq!(calendar.at(100), Some(entry(100, 300, "first")));
        assert_eq!(calendar.at(250), Some(entry(150, 300, "later")));
        assert_eq!(calendar.at(300), None);
    }

    #[test]
    fn load_that_would_reach_into_maintenance_is_denied() {
        let calendar = Calendar::new(vec![entry(100, 200, "fibre")]);
        assert!(calendar.denies_load(0, 100).is_none());
        assert!(calendar.denies_load(0, 101).is_some());
        assert!(calendar.denies_load(199, 199).is_some(), "a load without length begins in it");
        assert!(calendar.denies_load(200, 300).is_none());
    }
}
