//! Reads this host's clocks, and waits.

use super::{chrony, sys};
use crate::account::{ClockSource, WallClock};
use crate::clock::Stamp;

/// This host's monotonic clock now, as the clock `C`. All processes of a host read the same one.
#[must_use]
pub fn now<C>() -> Stamp<C> {
    Stamp::from_nanos(sys::clock_ns(libc::CLOCK_MONOTONIC))
}

/// Nanoseconds since this host was started, those included in which it slept: for what ends by
/// itself whatever this host does.
#[must_use]
pub fn boot_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_BOOTTIME)
}

/// The wall clock, in nanoseconds since 1970: to date a report. Only [`WallWatch`] measures by it,
/// as far as the host vouches for it.
#[must_use]
pub fn wall_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_REALTIME)
}

/// Seconds that this host's local time is ahead of UTC at `unix_s`, seconds since 1970.
#[must_use]
pub fn utc_offset_s(unix_s: i64) -> Option<i32> {
    sys::time_zone::utc_offset_s(unix_s)
}

/// Watches this host's wall clock for the length of a trial, as chronyd or the kernel states it.
///
/// What it is ahead by is one number until somebody sets it (see [`Bridge`]), and the most that it
/// may be off is known at both ends of the trial: clocks that run evenly are off by no more in
/// between.
#[derive(Clone, Copy, Debug)]
pub struct WallWatch(Option<WallClock>);

impl WallWatch {
    /// From now on.
    #[must_use]
    pub fn begin() -> Self {
        Self(stated_wall())
    }

    /// Until now; `None` where no time service keeps the clock, or somebody set it meanwhile.
    #[must_use]
    pub fn end(self) -> Option<WallClock> {
        let (before, now) = self.0.zip(stated_wall())?;
        let moved_ns = now.ahead_ns.abs_diff(before.ahead_ns);
        (moved_ns <= STEP_MIN_NS).then_some(WallClock {
            error_ns: now.error_ns.max(before.error_ns).saturating_add(moved_ns),
            ..now
        })
    }
}

/// chronyd's word is nearer than what it has the kernel say.
fn chrony_error() -> Option<(u64, ClockSource)> {
    let [.., a, b, c, d] = sys::clock_ns(libc::CLOCK_MONOTONIC).to_be_bytes();
    let number = u32::from_be_bytes([a, b, c, d]);
    chrony::wall_error_ns(number).map(|error_ns| (error_ns, ClockSource::Chrony))
}

fn kernel_error() -> Option<(u64, ClockSource)> {
    let error_ns = sys::wall_error_us()?.checked_mul(1_000)?.checked_add(UNCOUNTED_NS)?;
    Some((error_ns, ClockSource::Kernel))
}

/// Whether a time service keeps this host's wall clock, as chronyd or the kernel states.
#[must_use]
pub fn is_kept() -> bool {
    chrony_error().or_else(kernel_error).is_some()
}

/// What the kernel adds to the most that its clock may be off, once a second (500 ppm).
const UNCOUNTED_NS: u64 = 500_000;

/// A clock that may be off by more is as good as none: the kernel's own limit is 16 s.
const WALL_ERROR_NS_MAX: u64 = 1_000_000_000;

fn stated_wall() -> Option<WallClock> {
    let (error_ns, source) = chrony_error().or_else(kernel_error)?;
    let ahead = Ahead::of_wall_closely();
    let error_ns = error_ns.saturating_add(ahead.width_ns());
    (error_ns <= WALL_ERROR_NS_MAX).then_some(WallClock {
        ahead_ns: ahead.middle_ns(),
        error_ns,
        source,
    })
}

/// How long it is until `until`.
pub(super) fn remaining<C>(until: Stamp<C>) -> std::time::Duration {
    std::time::Duration::from_nanos(until.nanos_since(now()))
}

/// Prepares this thread to wait precisely.
pub fn tighten_timer_slack() {
    sys::tighten_timer_slack();
}

/// Has this thread run ahead of all others but the real-time ones; whether this user may.
#[must_use]
pub fn run_first() -> bool {
    sys::run_first().is_ok()
}

/// Waits until `until`, awake for the last `spin_ns` of it: sleeping alone ends 25 us late
/// typically, and 90 us at the 99th percentile.
pub fn wait_until<C>(until: Stamp<C>, spin_ns: u64) {
    let sleep_until = until.nanos().saturating_sub(spin_ns);
    if now::<C>().nanos() < sleep_until {
        sys::sleep_until(sleep_until);
    }
    while now() < until {
        std::hint::spin_loop();
    }
}

/// Carries the kernel's stamps, which are of the wall clock, over to the monotonic one, and notices
/// when the wall clock is set.
///
/// Both clocks of Linux run on one counter and are slewed together, so that what the wall clock is
/// ahead by is *one number* until somebody sets it. Each reading (monotonic, wall, monotonic) says
/// between which bounds it lies, however long the scheduler kept the three apart; what all readings
/// have in common is narrower than any of them, some tens of nanoseconds. A reading that has
/// nothing in common with those before it proves that the clock was set.
#[derive(Debug, Default)]
pub struct Bridge {
    known: Option<Ahead>,
    steps: u64,
    /// Stamps of up to this moment may be of before a step, and no clock reading shows it.
    unsure_until_ns: u64,
}

/// How far another clock is ahead of the monotonic one: between two bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ahead {
    /// When it was read last, on the monotonic clock.
    at_ns: u64,
    low_ns: i64,
    high_ns: i64,
}

/// A change beyond this is a step: one that is smaller is below the resolution of a delay.
const STEP_MIN_NS: u64 = 1_000;

/// The fastest that a wall clock is slewed, where a kernel should slew it alone: 500 parts per
/// million.
const SLEW_MAX_PPM: u64 = 500;

/// The first reading, and the first behind a step, should be as good as this, and is tried for so
/// often: the scheduler may tear any one of them apart.
const WIDTH_GOOD_NS: u64 = 500;
const READINGS_MAX: usize = 4;

/// The longest that a datagram may have waited in its socket when the clock was set back.
const BACKLOG_NS: u64 = 1_000_000_000;

impl Bridge {
    /// The monotonic time of the wall clock's `real_ns`, which lies in the near past; `None` where
    /// the wall clock has just been set, and nothing shows whether it was before or behind.
    pub fn carry<C>(&mut self, real_ns: u64) -> Option<Stamp<C>> {
        let nanos = self.read().carry(real_ns)?;
        (self.unsure_until_ns < nanos).then(|| Stamp::from_nanos(nanos))
    }

    /// How often the wall clock was set since the start.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    fn read(&mut self) -> Ahead {
        let read = Ahead::of_wall();
        if let Some(both) = self.known.and_then(|known| known.in_common_with(&read)) {
            self.known = Some(both);
            return both;
        }
        let read = read.or_closer();
        if let Some(known) = self.known {
            self.on_changed(&known, &read);
        }
        self.known = Some(read);
        read
    }

    fn on_changed(&mut self, known: &Ahead, read: &Ahead) {
        let change_ns = read.middle_ns().saturating_sub(known.middle_ns());
        let since_ns = read.at_ns.saturating_sub(known.at_ns);
        let slewed_ns = since_ns.saturating_mul(SLEW_MAX_PPM) / 1_000_000;
        if change_ns.unsigned_abs() <= STEP_MIN_NS.saturating_add(slewed_ns) {
            return;
        }
        self.steps += 1;
        // Set back, the clock shows some times twice: those of before look later than they are.
        let again_ns = if change_ns < 0 { change_ns.unsigned_abs().min(BACKLOG_NS) } else { 0 };
        self.unsure_until_ns = read.at_ns.saturating_add(again_ns);
    }
}

impl Ahead {
    fn of_wall() -> Self {
        Self::of(libc::CLOCK_REALTIME)
    }

    fn of_wall_closely() -> Self {
        Self::of_wall().or_closer()
    }

    /// The same, or what is read where that is not good.
    fn or_closer(self) -> Self {
        (1..READINGS_MAX).fold(self, |best, _| match best.width_ns() {
            ..=WIDTH_GOOD_NS => best,
            _ => {
                let read = Some(Self::of_wall());
                read.filter(|read| read.width_ns() < best.width_ns()).unwrap_or(best)
            }
        })
    }

    /// Of the other `clock`, by a reading of it between two of the monotonic one.
    pub(super) fn of(clock: libc::clockid_t) -> Self {
        let before_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let other_ns = sys::clock_ns(clock);
        let at_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
        // Each reading is cut to whole nanoseconds.
        let other_ns = other_ns.cast_signed();
        let low_ns = other_ns.saturating_sub_unsigned(at_ns).saturating_sub(1);
        let high_ns = other_ns.saturating_sub_unsigned(before_ns).saturating_add(1);
        Self { at_ns, low_ns, high_ns }
    }

    /// The monotonic time of the other clock's `stamp_ns`; `None` where it is of the future, by
    /// more than the two clocks' reading is wide: then it is of before a step of the other clock.
    pub(super) fn carry(&self, stamp_ns: u64) -> Option<u64> {
        let nanos = stamp_ns.cast_signed().saturating_sub(self.middle_ns());
        let nanos = u64::try_from(nanos).ok()?;
        (nanos <= self.at_ns.saturating_add(STEP_MIN_NS)).then(|| nanos.min(self.at_ns))
    }

    /// When the clocks were read, on the monotonic one.
    pub(super) const fn at_ns(&self) -> u64 {
        self.at_ns
    }

    const fn middle_ns(&self) -> i64 {
        self.low_ns.midpoint(self.high_ns)
    }

    pub(super) const fn width_ns(&self) -> u64 {
        self.high_ns.abs_diff(self.low_ns)
    }

    /// What both say; `None` where they contradict each other.
    fn in_common_with(&self, read: &Self) -> Option<Self> {
        let low_ns = self.low_ns.max(read.low_ns);
        let high_ns = self.high_ns.min(read.high_ns);
        (low_ns <= high_ns).then_some(Self { at_ns: read.at_ns, low_ns, high_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;

    #[test]
    fn a_wait_never_ends_early() {
        for spin_ns in [0, 60_000, 1_000_000] {
            let until: Stamp<Driver> = now().after_nanos(300_000);
            wait_until(until, spin_ns);
            assert!(until <= now());
        }
        wait_until(Stamp::<Driver>::from_nanos(0), 0);
    }

    #[test]
    fn a_wall_stamp_of_now_is_now() {
        let mut bridge = Bridge::default();
        for _ in 0..1_000 {
            let before: Stamp<Driver> = now();
            let wall_ns = wall_ns();
            let after: Stamp<Driver> = now();
            let stamp = bridge.carry::<Driver>(wall_ns).expect("nobody sets the clock");
            assert!(before.nanos() <= stamp.nanos() + WIDTH_GOOD_NS, "{before:?} {stamp:?}");
            assert!(stamp.nanos() <= after.nanos() + WIDTH_GOOD_NS, "{stamp:?} {after:?}");
        }
        assert_eq!(bridge.steps(), 0);
    }

    const fn ahead(at_ns: u64, low_ns: i64, high_ns: i64) -> Ahead {
        Ahead { at_ns, low_ns, high_ns }
    }

    #[test]
    fn readings_narrow_each_other_and_a_torn_one_does_no_harm() {
        let known = ahead(0, 1_000, 1_080);
        assert_eq!(known.in_common_with(&ahead(9, 960, 1_040)), Some(ahead(9, 1_000, 1_040)));
        assert_eq!(
            known.in_common_with(&ahead(9, -5_000_000, 1_001)),
            Some(ahead(9, 1_000, 1_001))
        );
        assert_eq!(known.in_common_with(&ahead(9, 1_080, 2_000)), Some(ahead(9, 1_080, 1_080)));
        assert_eq!(known.in_common_with(&ahead(9, 1_081, 2_000)), None);
    }

    #[test]
    fn slewing_is_no_step_and_setting_is_one() {
        let is_step = |after_ns, change_ns| {
            let mut bridge = Bridge::default();
            let later = ahead(after_ns, change_ns, change_ns + 80);
            bridge.on_changed(&ahead(0, 0, 80), &later);
            bridge.steps() == 1
        };
        assert!(!is_step(0, 1_000));
        assert!(is_step(0, 1_001) && is_step(0, -1_001));
        assert!(!is_step(10_000_000, 6_000), "5 us of slewing");
        assert!(is_step(10_000_000, 6_001));
    }

    /// A bridge that has read the clocks at the true relation and then finds the wall clock set by
    /// `by_ns`.
    fn stepped(by_ns: i64) -> Bridge {
        let mut bridge = Bridge::default();
        let mut read = bridge.read();
        read.low_ns -= by_ns;
        read.high_ns -= by_ns;
        bridge.known = Some(read);
        bridge
    }

    #[test]
    fn stamps_of_around_a_step_are_distinguished_from_those_behind_it() {
        for by_ns in [50_000_000, -50_000_000, 5_000, -5_000] {
            let mut bridge = stepped(by_ns);
            assert_eq!(bridge.carry::<Driver>(wall_ns()), None, "{by_ns}: before or behind?");
            assert_eq!(bridge.steps(), 1, "{by_ns}");
            // Of before the step: as far off as it was, and never taken for another time.
            let old_ns = wall_ns().saturating_add_signed(-by_ns) - 1_000_000;
            let old = bridge.carry::<Driver>(old_ns);
            assert_eq!(old, None, "{by_ns}");
            wait_until(Stamp::<Driver>::from_nanos(bridge.unsure_until_ns + 1), 0);
            let behind = bridge.carry::<Driver>(wall_ns());
            assert!(behind.is_some_and(|stamp| stamp <= now()), "{by_ns}");
            assert_eq!(bridge.steps(), 1, "{by_ns}");
        }
    }
}
