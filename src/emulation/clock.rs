//! A host's clock as it is: off, too fast or too slow, and set by somebody in the middle of a run.

/// Parts per billion in one whole.
const BILLION: i128 = 1_000_000_000;

/// What a host's clock reads at each true moment; the default is right. Exact, in integers.
///
/// It reads `true_ns * (1 + drift_ppb / 10^9) + offset_ns`, rounded down, and `step.by_ns` more
/// once the step has come; never below 0 or above the end of time. It never runs backwards, except
/// at a step back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DriftingClock {
    /// Nanoseconds that it gains per true second; 1 ppm is 1000. At -10^9 or less it stands still.
    pub drift_ppb: i64,
    /// What it reads at the true moment 0.
    pub offset_ns: i64,
    /// Somebody sets it.
    pub step: Option<Step>,
}

/// A clock that is set: from the true moment `at_ns` on it reads `by_ns` more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// The true moment, in nanoseconds.
    pub at_ns: u64,
    /// Nanoseconds forwards, or backwards if negative.
    pub by_ns: i64,
}

impl DriftingClock {
    /// What the clock reads at the true moment `true_ns`, in nanoseconds.
    #[must_use]
    pub fn read(&self, true_ns: u64) -> u64 {
        // Saturates only for drifts above 9 * 10^18 ppb, far beyond the end of time.
        let run_ns = i128::from(true_ns).saturating_mul(self.pace()) / BILLION;
        clamped(run_ns + self.ahead_ns(true_ns))
    }

    /// The first true moment, not before `from_ns`, at which the clock reads `reading_ns` or more:
    /// when a deadline on this clock is due. `None` if that never comes.
    #[must_use]
    pub fn true_ns_when(&self, reading_ns: u64, from_ns: u64) -> Option<u64> {
        if reading_ns <= self.read(from_ns) {
            return Some(from_ns);
        }
        let due_ns = self.reached_ns(reading_ns, self.ahead_ns(from_ns));
        match self.step {
            Some(step) if from_ns < step.at_ns && due_ns.is_none_or(|due| step.at_ns <= due) => {
                let due_ns = self.reached_ns(reading_ns, self.ahead_ns(step.at_ns))?;
                Some(due_ns.max(step.at_ns))
            }
            _ => due_ns,
        }
    }

    /// When `true_ns * pace / 10^9 + ahead_ns` first comes to `reading_ns`.
    fn reached_ns(&self, reading_ns: u64, ahead_ns: i128) -> Option<u64> {
        let run_ns = i128::from(reading_ns) - ahead_ns;
        if run_ns <= 0 {
            return Some(0);
        }
        if self.pace() == 0 {
            return None;
        }
        // Up, because a reading is rounded down.
        let true_ns = (run_ns * BILLION + self.pace() - 1) / self.pace();
        u64::try_from(true_ns).ok()
    }

    /// What the clock gains in 10^9 ns; not negative.
    fn pace(&self) -> i128 {
        (BILLION + i128::from(self.drift_ppb)).max(0)
    }

    fn ahead_ns(&self, true_ns: u64) -> i128 {
        let stepped_ns = match self.step {
            Some(step) if step.at_ns <= true_ns => step.by_ns,
            _ => 0,
        };
        i128::from(self.offset_ns) + i128::from(stepped_ns)
    }
}

fn clamped(nanos: i128) -> u64 {
    u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn the_default_clock_is_right() {
        for true_ns in [0, 1, u64::MAX] {
            assert_eq!(DriftingClock::default().read(true_ns), true_ns);
        }
    }

    #[test]
    fn one_ppm_is_a_microsecond_per_second() {
        let fast = DriftingClock { drift_ppb: 1_000, offset_ns: 7, ..Default::default() };
        assert_eq!(fast.read(0), 7);
        assert_eq!(fast.read(SECOND_NS), SECOND_NS + 7 + 1_000);
        assert_eq!(fast.read(86_400 * SECOND_NS), 86_400 * (SECOND_NS + 1_000) + 7);
        let slow = DriftingClock { drift_ppb: -1_000, ..Default::default() };
        assert_eq!(slow.read(SECOND_NS), SECOND_NS - 1_000);
        assert_eq!(slow.read(1), 0);
    }

    #[test]
    fn a_reading_stays_within_its_range() {
        let behind = DriftingClock { offset_ns: -10, ..Default::default() };
        assert_eq!(behind.read(9), 0);
        assert_eq!(behind.read(11), 1);
        let mad = DriftingClock { drift_ppb: i64::MAX, offset_ns: i64::MAX, ..Default::default() };
        assert_eq!(mad.read(u64::MAX), u64::MAX);
        let stopped = DriftingClock { drift_ppb: i64::MIN, offset_ns: 5, ..Default::default() };
        assert_eq!(stopped.read(u64::MAX), 5);
        assert_eq!(stopped.true_ns_when(6, 0), None);
    }

    #[test]
    fn a_step_counts_from_its_moment_on() {
        let step = Some(Step { at_ns: 100, by_ns: -30 });
        let clock = DriftingClock { step, ..Default::default() };
        assert_eq!(clock.read(99), 99);
        assert_eq!(clock.read(100), 70);
    }

    #[test]
    fn a_deadline_is_due_at_the_first_moment_that_reads_it() {
        let check = |by_ns, reading_ns, from_ns, expected| {
            let clock =
                DriftingClock { step: Some(Step { at_ns: 100, by_ns }), ..Default::default() };
            assert_eq!(clock.true_ns_when(reading_ns, from_ns), Some(expected));
        };
        check(-30, 99, 0, 99);
        check(-30, 100, 0, 130);
        check(-30, 90, 100, 120);
        check(-30, 90, 95, 95);
        check(30, 110, 0, 100);
        check(30, 131, 0, 101);
        check(30, 50, 200, 200);
    }

    fn clocks() -> impl Strategy<Value = DriftingClock> {
        let step = (0..300_u64, -200..200_i64).prop_map(|(at_ns, by_ns)| Step { at_ns, by_ns });
        // Drifts far beyond any real clock's, so that 300 ns show them.
        (-1_000_000_000..1_000_000_000_i64, -50..50_i64, proptest::option::of(step))
            .prop_map(|(drift_ppb, offset_ns, step)| DriftingClock { drift_ppb, offset_ns, step })
    }

    proptest! {
        #[test]
        fn a_clock_never_runs_backwards_unless_stepped(clock in clocks(), true_ns in 0..u64::MAX) {
            let clock = DriftingClock { step: None, ..clock };
            prop_assert!(clock.read(true_ns) <= clock.read(true_ns + 1));
        }

        #[test]
        fn a_deadline_is_due_when_the_readings_one_by_one_say_so(
            clock in clocks(),
            reading_ns in 0..400_u64,
            from_ns in 0..300_u64,
        ) {
            let searched = (from_ns..2_000).find(|&true_ns| reading_ns <= clock.read(true_ns));
            let due = clock.true_ns_when(reading_ns, from_ns);
            prop_assert_eq!(due.filter(|&due_ns| due_ns < 2_000), searched);
        }
    }
}
