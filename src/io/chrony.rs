//! What chronyd knows of this host's wall clock: asked on its monitoring port, which answers any
//! program of this host (protocol 6 of chrony 2.2 and later; numbers are big-endian).
//!
//! ```text
//! octets 0-1    version 6; 1 asks, 2 answers
//! octets 4-5    the request's code: 33, tracking
//! octets 6-9    of an answer: its form (5, tracking) and its status (0, success)
//! octets 8-11   of a request, and 16-19 of an answer: the request's number
//! octets 28-31  reference ID; 127.127.1.1 where the host is its own reference
//! octets 54-55  leap status; 3 where no source keeps the clock
//! octets 68-71, 92-99  what is still to be corrected, root delay and root dispersion, in s
//! ```
//!
//! The clock is off by no more than the correction that is under way, the root dispersion and half
//! the root delay together, if the server at the root is right (chrony.conf, "Root dispersion").
//! Nothing here waits for longer than a moment: where nobody answers, the kernel is asked.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const PORT: u16 = 323;

/// An answer, and a request, which is as long: chronyd answers with no more than came.
const LEN: usize = 104;

/// chronyd answers at once, or nobody does.
const PATIENCE: Duration = Duration::from_millis(20);

const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const TRACKING: [u8; 2] = 33_u16.to_be_bytes();
const TRACKING_REPLY: [u8; 2] = 5_u16.to_be_bytes();
const SUCCESS: [u8; 2] = 0_u16.to_be_bytes();

/// The reference ID of a host that is its own.
const OWN_REFERENCE: [u8; 4] = [127, 127, 1, 1];
const UNSYNCHRONISED: [u8; 2] = 3_u16.to_be_bytes();

/// The most that the wall clock may be off now, in nanoseconds; `None` where no chronyd answers, or
/// none that follows a server.
pub(super) fn wall_error_ns(number: u32) -> Option<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    socket.connect((Ipv4Addr::LOCALHOST, PORT)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.send(&request(number)).ok()?;
    let mut answer = [0; LEN];
    let len = socket.recv(&mut answer).ok()?;
    parse(answer.get(..len)?, number)
}

fn request(number: u32) -> [u8; LEN] {
    let mut octets = [0; LEN];
    (octets[0], octets[1]) = (VERSION, REQUEST);
    octets[4..6].copy_from_slice(&TRACKING);
    octets[8..12].copy_from_slice(&number.to_be_bytes());
    octets
}

fn parse(answer: &[u8], number: u32) -> Option<u64> {
    let octets: &[u8; LEN] = answer.try_into().ok()?;
    let is_answer = (octets[0], octets[1]) == (VERSION, REPLY)
        && octets[4..6] == TRACKING
        && octets[6..8] == TRACKING_REPLY
        && octets[8..10] == SUCCESS
        && octets[16..20] == number.to_be_bytes();
    let follows = octets[28..32] != OWN_REFERENCE && octets[54..56] != UNSYNCHRONISED;
    let error_s = number_at(octets, 68).abs() + number_at(octets, 96) + number_at(octets, 92) / 2.0;
    (is_answer && follows && (0.0..ERROR_S_MAX).contains(&error_s)).then(|| {
        let error = Duration::from_secs_f64(error_s);
        u64::try_from(error.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// No clock that is kept is off by as much.
const ERROR_S_MAX: f64 = 1e6;

/// A number of seconds: 7 bits of exponent to the base 2, and 25 of coefficient, both signed.
fn number_at(octets: &[u8; LEN], at: usize) -> f64 {
    let [a, b, c, d] = [octets[at], octets[at + 1], octets[at + 2], octets[at + 3]];
    let bits = i32::from_be_bytes([a, b, c, d]);
    let (exponent, coefficient) = (bits >> 25, bits << 7 >> 7);
    f64::from(coefficient) * 2_f64.powi(exponent - 25)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: u32 = 0xa5a5_a5a5;

    /// An answer of chronyd 4.3 that follows a server; `chronyc tracking` showed 3.753 us "fast of
    /// NTP time", and 9.390 us of root delay, before the server's last answer.
    #[rustfmt::skip]
    const FOLLOWS: [u8; LEN] = [
        6, 2, 0, 0, 0, 33, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0xa5, 0xa5, 0xa5, 0xa5, 0, 0, 0, 0,
        0, 0, 0, 0, 10, 99, 0, 1, 10, 99, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0x6b, 0x0d, 0xb9, 0xe1, 0x11, 0x8d, 0xb9, 0x8a,
        0xe1, 0x7d, 0xb6, 0xda, 0xd4, 0xfb, 0xb5, 0x56, 0xda, 0xbe, 0x6c, 0x8c,
        0xfc, 0xaa, 0x57, 0xc6, 0xf2, 0xe9, 0x90, 0xd4, 0x02, 0xc6, 0xfa, 0xc7,
        0xe2, 0xa2, 0xbd, 0x2f, 0xdc, 0xff, 0x17, 0x2e, 0x04, 0x81, 0xbb, 0x63,
    ];

    fn changed(change: impl FnOnce(&mut [u8; LEN])) -> Option<u64> {
        let mut octets = FOLLOWS;
        change(&mut octets);
        parse(&octets, NUMBER)
    }

    #[test]
    fn the_error_is_what_is_to_be_corrected_the_dispersion_and_half_the_delay() {
        let [correction, delay, dispersion] =
            [68, 92, 96].map(|at| format!("{:.0}", number_at(&FOLLOWS, at) * 1e9));
        assert_eq!([correction, delay, dispersion], ["-3883", "9700", "1901"]);
        let error_ns = changed(|_| {}).expect("it follows a server");
        assert!(error_ns.abs_diff(3_883 + 1_901 + 9_700 / 2) <= 2, "{error_ns}");
    }

    #[test]
    fn a_host_that_follows_nobody_states_nothing() {
        assert_eq!(changed(|octets| octets[55] = 3), None, "no source");
        let own = changed(|octets| octets[28..32].copy_from_slice(&OWN_REFERENCE));
        assert_eq!(own, None, "its own reference");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for at in [0, 1, 5, 7, 9, 19] {
            assert_eq!(changed(|octets| octets[at] ^= 1), None, "octet {at}");
        }
        for len in 0..LEN {
            assert_eq!(parse(&FOLLOWS[..len], NUMBER), None, "{len} octets");
        }
        let huge = changed(|octets| octets[96..100].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]));
        assert_eq!(huge, None, "more seconds than a clock can be off");
        let below = changed(|octets| octets[96..100].copy_from_slice(&[0x03, 0, 0, 0]));
        assert_eq!(below, None, "a dispersion of -1 s");
    }

    #[test]
    fn a_request_is_as_long_as_its_answer() {
        let octets = request(NUMBER);
        assert_eq!(&octets[..12], [6, 1, 0, 0, 0, 33, 0, 0, 0xa5, 0xa5, 0xa5, 0xa5]);
        assert!(octets[12..].iter().all(|octet| *octet == 0));
    }
}
