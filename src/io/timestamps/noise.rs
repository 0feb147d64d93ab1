//! How far this host's stamps are to be believed.

use crate::clock::Driver;
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
    fn this_hosts_noise_is_a_small_number() {
        // What loopback can promise: that there is one, and that it is no second.
        assert!(noise_ns().is_some_and(|noise_ns| noise_ns < 1_000_000_000));
    }
}
