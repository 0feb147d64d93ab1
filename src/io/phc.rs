//! The clock of a network card that stamps packets itself.
//!
//! A card's stamps are nearer to the wire than the kernel's, but of a clock of its own, which runs
//! as it likes. Each is carried over to this host's monotonic clock by reading both clocks beside
//! each other as soon as the stamp is reported, so that how the card's clock runs, and what sets
//! it, does not matter. Nobody is asked to trust this before it was tried on such a card: the
//! project's tests have none, and reports say so.

use super::clock::Ahead;
use super::sys;
use crate::clock::Stamp;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

/// A card that stamps all that leaves and all that comes.
#[derive(Debug)]
pub(super) struct Phc {
    clock: libc::clockid_t,
    /// Open for as long as the clock is read; none where the clock is the kernel's.
    _device: Option<File>,
}

/// A reading crosses the bus to the card, and the scheduler may tear it apart: the best of so many.
const READINGS: usize = 3;

/// The longest that a stamp may be old when it is carried over.
const AGE_NS_MAX: u64 = 1_000_000_000;

impl Phc {
    /// The card of the device `name`, where it stamps all packets and this program may read its
    /// clock. Whether it does is for the administrator to decide: nothing is set here.
    pub(super) fn of(socket: BorrowedFd<'_>, name: &str) -> io::Result<Self> {
        let stamping = sys::stamping_of(socket, name)?;
        if stamping != (libc::HWTSTAMP_TX_ON, libc::HWTSTAMP_FILTER_ALL) {
            return Err(io::Error::other(format!("{name} does not stamp all: {stamping:?}")));
        }
        let clocks = Path::new("/sys/class/net").join(name).join("device/ptp");
        let clock = fs::read_dir(clocks)?.next().ok_or(io::ErrorKind::NotFound)??;
        let device = File::open(Path::new("/dev").join(clock.file_name()))?;
        Ok(Self { clock: sys::clock_of(device.as_fd()), _device: Some(device) })
    }

    /// The monotonic time of the card's `card_ns`, which lies in the near past; `None` where it
    /// does not, because somebody has set the card's clock since.
    pub(super) fn carry<C>(&self, card_ns: u64) -> Option<Stamp<C>> {
        let readings = (0..READINGS).map(|_| Ahead::of(self.clock));
        let ahead = readings.min_by_key(Ahead::width_ns)?;
        let at_ns = ahead.carry(card_ns)?;
        (ahead.at_ns().saturating_sub(at_ns) <= AGE_NS_MAX).then(|| Stamp::from_nanos(at_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::io::clock::now;
    use std::net::UdpSocket;

    /// Another clock of the kernel, in a card's place.
    const ANOTHER: Phc = Phc { clock: libc::CLOCK_TAI, _device: None };

    #[test]
    fn a_stamp_of_another_clock_is_carried_to_when_it_was_taken() {
        for _ in 0..1_000 {
            let before: Stamp<Driver> = now();
            let card_ns = sys::clock_ns(ANOTHER.clock);
            let after: Stamp<Driver> = now();
            let carried = ANOTHER.carry::<Driver>(card_ns).expect("of just now");
            let width_ns = Ahead::of(ANOTHER.clock).width_ns().max(100_000);
            assert!(before.nanos() <= carried.nanos() + width_ns, "{before:?} {carried:?}");
            assert!(carried.nanos() <= after.nanos() + width_ns, "{carried:?} {after:?}");
        }
    }

    #[test]
    fn a_stamp_that_the_clock_was_set_behind_is_none() {
        let carried = |change: fn(u64) -> u64| {
            ANOTHER.carry::<Driver>(change(sys::clock_ns(ANOTHER.clock))).is_some()
        };
        assert!(carried(|now_ns| now_ns - AGE_NS_MAX / 2));
        assert!(!carried(|now_ns| now_ns - AGE_NS_MAX - 1_000));
        assert!(!carried(|now_ns| now_ns + 10_000_000_000));
        assert!(!carried(|_| 0) && !carried(|_| u64::MAX));
    }

    #[test]
    fn a_device_that_does_not_stamp_has_no_card() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for name in ["lo", "nosuch0", "a name that is far too long", "../x"] {
            assert!(Phc::of(socket.as_fd(), name).is_err(), "{name}");
        }
    }
}
