//! Reads this host's clocks, and waits.

use super::sys;
use crate::clock::Stamp;

/// This host's monotonic clock now, as the clock `C`. All processes of a host read the same one.
#[must_use]
pub fn now<C>() -> Stamp<C> {
    Stamp::from_nanos(sys::clock_ns(libc::CLOCK_MONOTONIC))
}

/// The wall clock, in nanoseconds since 1970: to date a report, never to measure.
#[must_use]
pub fn wall_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_REALTIME)
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

/// Carries the kernel's receive stamps, which are of the wall clock, over to the monotonic one,
/// and notices when the wall clock is set.
#[derive(Debug, Default)]
pub struct Bridge {
    ahead: Option<Ahead>,
    steps: u64,
}

/// How far the wall clock was ahead of the monotonic one, when.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    at_ns: u64,
    by_ns: i128,
}

/// A change beyond this is a step.
const STEP_MIN_NS: u128 = 1_000_000;

/// The fastest that a wall clock is slewed: 500 parts per million.
const SLEW_MAX_PPM: u128 = 500;

impl Bridge {
    /// The monotonic time of the wall clock's `real_ns`, which lies in the near past.
    pub fn monotonic<C>(&mut self, real_ns: u64) -> Stamp<C> {
        let ahead = self.read();
        let nanos = i128::from(real_ns) - ahead.by_ns;
        let nanos = u64::try_from(nanos).unwrap_or(0);
        // A stamp of the future is one of before a step back: it can only have come by now.
        Stamp::from_nanos(nanos.min(ahead.at_ns))
    }

    /// How often the wall clock was set since the start.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The narrowest of a few readings: the scheduler may tear any one of them apart.
    fn read(&mut self) -> Ahead {
        let mut read = Reading::take();
        for _ in 0..READINGS_MAX {
            if read.width_ns <= WIDTH_GOOD_NS {
                break;
            }
            let again = Reading::take();
            read = if again.width_ns < read.width_ns { again } else { read };
        }
        if let Some(last) = self.ahead {
            if STEP_MIN_NS / 20 < u128::from(read.width_ns) {
                return Ahead { at_ns: read.ahead.at_ns, ..last };
            }
            self.steps += u64::from(is_step(last, read.ahead));
        }
        self.ahead = Some(read.ahead);
        read.ahead
    }
}

/// A reading of both clocks that is as good as they are, and how often it is tried for.
const WIDTH_GOOD_NS: u64 = 500;
const READINGS_MAX: usize = 3;

/// One reading of both clocks, and the time that it took: the bound of its error.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ahead: Ahead,
    width_ns: u64,
}

impl Reading {
    fn take() -> Self {
        let before_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let real_ns = sys::clock_ns(libc::CLOCK_REALTIME);
        let at_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let width_ns = at_ns.saturating_sub(before_ns);
        let by_ns = i128::from(real_ns) - i128::from(before_ns + width_ns / 2);
        Self { ahead: Ahead { at_ns, by_ns }, width_ns }
    }
}

fn is_step(last: Ahead, read: Ahead) -> bool {
    let since_ns = u128::from(read.at_ns.saturating_sub(last.at_ns));
    let allowed = STEP_MIN_NS + since_ns * SLEW_MAX_PPM / 1_000_000;
    allowed < (read.by_ns - last.by_ns).unsigned_abs()
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
        let before: Stamp<Driver> = now();
        let stamp = bridge.monotonic::<Driver>(wall_ns());
        let after: Stamp<Driver> = now();
        assert!(before.nanos() <= stamp.nanos() + 50_000 && stamp <= after);
        assert_eq!(bridge.steps(), 0);
    }

    #[test]
    fn slewing_is_no_step_and_setting_is_one() {
        let at = |at_ms: u64, by_us: i128| Ahead { at_ns: at_ms * 1_000_000, by_ns: by_us * 1_000 };
        assert!(!is_step(at(0, 0), at(10_000, 5_900)));
        assert!(is_step(at(0, 0), at(10_000, 6_100)));
        assert!(is_step(at(0, 0), at(1, -1_100)));
    }
}
