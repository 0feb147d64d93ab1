//! How far this host's stamps are to be believed.

use crate::clock::{Driver, Stamp};
use crate::io::clock;
use crate::io::timestamps::{Departure, Label};
use crate::io::udp::{Received, Sent, Socket};
use crate::wire::Token;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Datagrams that this host sends itself to find out how far its stamps are to be believed, and how
/// long one of them is waited for.
const SELF_EXCHANGES: u32 = 100;
const SELF_WAIT_NS: u64 = 2_000_000;

/// The longest that all of them may take.
const SELF_WAIT_NS_MAX: u64 = 20_000_000;

/// How far apart the kernel's two stamps are of a datagram that goes nowhere: from its leaving to
/// its coming over this host's loopback, the 99th percentile of a hundred. `None` where the kernel
/// stamps too few of them. No delay that this host measures is known better.
#[must_use]
pub fn noise_ns() -> Option<u64> {
    let apart = self_exchanges().inspect_err(|error| {
        tracing::debug!(%error, "the noise of the stamps cannot be measured");
    });
    let mut apart_ns = apart.ok()?;
    apart_ns.sort_unstable();
    let rank = (apart_ns.len() * 99).div_ceil(100);
    let is_enough = SELF_EXCHANGES as usize / 2 <= apart_ns.len();
    apart_ns.get(rank.checked_sub(1)?).copied().filter(|_| is_enough)
}

/// The noise as it was measured last, which takes up to 20 ms: no more often than once a minute.
#[derive(Debug)]
pub struct KeptNoise<C> {
    measured: Option<(Stamp<C>, Option<u64>)>,
}

impl<C> Default for KeptNoise<C> {
    fn default() -> Self {
        Self { measured: None }
    }
}

impl<C> KeptNoise<C> {
    /// [`noise_ns`] at `now`, or as it was less than a minute before.
    pub fn noise_ns(&mut self, now: Stamp<C>) -> Option<u64> {
        self.measured_by(now, noise_ns)
    }

    fn measured_by(&mut self, now: Stamp<C>, measure: impl FnOnce() -> Option<u64>) -> Option<u64> {
        match self.measured {
            Some((at, noise_ns)) if now < at.after_nanos(KEPT_NS) => noise_ns,
            _ => self.measured.insert((now, measure())).1,
        }
    }
}

/// How long what was measured is kept.
const KEPT_NS: u64 = 60_000_000_000;

/// Of each datagram that was stamped twice, the time between.
fn self_exchanges() -> io::Result<Vec<u64>> {
    let mut target = Socket::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let mut source = Socket::connect(target.local()?)?;
    source.stamp_departures()?;
    let mut apart_ns = Vec::new();
    let mut buffer = [0; 64];
    let stop_at = clock::now::<Driver>().after_nanos(SELF_WAIT_NS_MAX);
    for sequence in 0..SELF_EXCHANGES {
        let now = clock::now::<Driver>();
        if stop_at <= now {
            break;
        }
        let label = Label { token: Token(0), sequence };
        if source.send_labelled(&[0xa5; 64], label)? != Sent::Accepted {
            continue;
        }
        target.wait_readable(now.after_nanos(SELF_WAIT_NS))?;
        let received: Option<Received<Driver>> = target.receive(&mut buffer)?;
        let left = std::iter::from_fn(|| source.departed()).find(|left| left.label == label);
        if let (Some(Departure { at, .. }), Some(received)) = (left, received)
            && received.by_kernel
        {
            apart_ns.push(received.at.nanos_since(at));
        }
    }
    Ok(apart_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_measured_once_a_minute() {
        let mut kept = KeptNoise::<Driver>::default();
        let mut times = 0;
        for seconds in 0..120 {
            let noise_ns = kept.measured_by(Stamp::from_nanos(seconds * 1_000_000_000), || {
                times += 1;
                Some(times)
            });
            assert_eq!(noise_ns, Some(seconds / 60 + 1));
        }
    }

    #[test]
    fn this_hosts_noise_is_a_small_number() {
        // What loopback can promise: that there is one, and that it is no second.
        assert!(noise_ns().is_some_and(|noise_ns| noise_ns < 1_000_000_000));
    }
}
