//! The stamps of a socket's datagrams: awaited, and reported by the kernel.

use crate::clock::{Driver, Stamp};
use crate::io::sys;
use crate::wire::Token;
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

/// Software stamps of what comes and of what leaves, the latter by number and without the datagram.
const BY_KERNEL: libc::c_uint = libc::SOF_TIMESTAMPING_RX_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// Likewise those of a network card.
const BY_CARD: libc::c_uint = libc::SOF_TIMESTAMPING_RX_HARDWARE
    | libc::SOF_TIMESTAMPING_TX_HARDWARE
    | libc::SOF_TIMESTAMPING_RAW_HARDWARE
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// Datagrams whose stamps may be awaited at a time, and stamps that may wait to be taken: a device
/// that holds back more of them reports the oldest in vain.
const AWAITED_MAX: u32 = 256;

/// The longest that a datagram may take from the call that sends it to its device.
const QUEUED_NS_MAX: u64 = 1_000_000_000;

/// How far a stamp may seem to be of before its datagram was sent: the width of a reading of both
/// clocks.
const WIDTH_NS: u64 = 1_000;

/// What a datagram is known by when it has left: its stream's secret and its sequence number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label {
    /// The stream.
    pub token: Token,
    /// The number in it.
    pub sequence: u32,
}

/// A datagram that left, by the kernel's stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Departure<C> {
    /// Which.
    pub label: Label,
    /// When.
    pub at: Stamp<C>,
}

/// A datagram that the kernel took, and has not reported the stamp of.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    number: u32,
    /// What it is known by, and when the call began that sent it.
    labelled: Option<(Label, u64)>,
}

/// The stamps of one socket's datagrams; without any until [`Departures::ask`].
#[derive(Debug, Default)]
pub(in crate::io) struct Departures {
    /// What was asked for; 0 is nothing.
    flags: libc::c_uint,
    next: u32,
    awaited: VecDeque<Awaited>,
    stamped: VecDeque<(Label, u64)>,
}

impl Departures {
    /// Has the kernel stamp all that the socket sends from now on, or its network card.
    pub(in crate::io) fn ask(&mut self, fd: BorrowedFd<'_>, by_card: bool) -> io::Result<()> {
        let room = AWAITED_MAX as usize;
        self.awaited.reserve_exact(room);
        self.stamped.reserve_exact(room);
        self.number_anew(fd, if by_card { BY_CARD } else { BY_KERNEL })
    }

    /// The kernel took a datagram; a labelled one in a call that began at the time beside its
    /// label, in nanoseconds of the monotonic clock.
    pub(in crate::io) fn on_sent(&mut self, labelled: Option<(Label, u64)>) {
        if self.flags == 0 {
            return;
        }
        if self.awaited.len() == AWAITED_MAX as usize {
            self.awaited.pop_front();
        }
        self.awaited.push_back(Awaited { number: self.next, labelled });
        self.next = self.next.wrapping_add(1);
    }

    /// The kernel did not take a datagram, which may have had a number all the same.
    pub(in crate::io) fn on_refused(&mut self, fd: BorrowedFd<'_>) {
        if self.flags != 0 && self.number_anew(fd, self.flags).is_err() {
            self.flags = 0;
        }
    }

    /// A datagram left: the kernel reported its number, and when.
    pub(in crate::io) fn on_left(&mut self, number: u32, at: Option<Stamp<Driver>>) {
        let place = self.awaited.iter().position(|awaited| awaited.number == number);
        let labelled = place.and_then(|place| self.awaited.remove(place)?.labelled);
        let (Some((label, since_ns)), Some(at)) = (labelled, at) else { return };
        let is_its = since_ns <= at.nanos().saturating_add(WIDTH_NS)
            && at.nanos() <= since_ns.saturating_add(QUEUED_NS_MAX);
        if !is_its {
            return;
        }
        if self.stamped.len() == AWAITED_MAX as usize {
            self.stamped.pop_front();
        }
        self.stamped.push_back((label, at.nanos().max(since_ns)));
    }

    /// The oldest stamp that nobody has taken.
    pub(in crate::io) fn take<C>(&mut self) -> Option<Departure<C>> {
        let (label, at_ns) = self.stamped.pop_front()?;
        Some(Departure { label, at: Stamp::from_nanos(at_ns) })
    }

    /// The kernel counts from 0 again each time that numbers are asked for where they were not.
    fn number_anew(&mut self, fd: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
        self.awaited.clear();
        self.next = 0;
        for flags in [flags, flags | libc::SOF_TIMESTAMPING_OPT_ID] {
            let flags = flags.cast_signed();
            sys::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags)?;
        }
        self.flags = flags;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::now;
    use crate::io::udp::{Sent, Socket};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    fn label(sequence: u32) -> Label {
        Label { token: Token(7), sequence }
    }

    fn pair(local: &str) -> (Socket, Socket) {
        let local: SocketAddr = local.parse().expect("an address");
        let target = Socket::listen(local).expect("a listener");
        let mut source = Socket::connect(target.local().expect("bound")).expect("a socket");
        source.stamp_departures().expect("Linux stamps");
        (target, source)
    }

    /// The next stamp; loopback reports it within the call that sends, if at all.
    fn departed(socket: &mut Socket) -> Option<Departure<Driver>> {
        socket.departed()
    }

    #[test]
    fn a_datagram_leaves_between_its_sending_and_its_coming() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let (mut target, mut source) = pair(local);
            for sequence in 0..1_000 {
                let before: Stamp<Driver> = now();
                assert_eq!(
                    source.send_labelled(b"x", label(sequence)).expect("send"),
                    Sent::Accepted
                );
                let left = departed(&mut source).expect("a stamp");
                target.wait_readable(before.after_nanos(200_000_000)).expect("ppoll");
                let came =
                    target.receive::<Driver>(&mut [0; 8]).expect("recvmsg").expect("it came");
                assert_eq!(left.label, label(sequence));
                assert!(came.by_kernel);
                assert!(before <= left.at, "{before:?} {left:?}");
                assert!(left.at.nanos() <= came.at.nanos() + WIDTH_NS, "{left:?} {came:?}");
            }
        }
    }

    #[test]
    fn what_has_no_label_is_stamped_for_nobody() {
        let (_target, mut source) = pair("127.0.0.1:0");
        source.send(b"a signal").expect("send");
        source.send_labelled(b"a probe", label(3)).expect("send");
        source.send(b"a signal").expect("send");
        assert_eq!(departed(&mut source).map(|left| left.label), Some(label(3)));
        assert_eq!(departed(&mut source), None);
    }

    #[test]
    fn numbers_start_anew_behind_a_refusal() {
        let (_target, mut source) = pair("127.0.0.1:0");
        source.send_labelled(b"1", label(1)).expect("send");
        assert_eq!(departed(&mut source).map(|left| left.label), Some(label(1)));
        let long = vec![0; 65_508];
        assert_eq!(source.send_labelled(&long, label(2)).expect("send"), Sent::TooLong);
        source.send_labelled(b"3", label(3)).expect("send");
        assert_eq!(departed(&mut source).map(|left| left.label), Some(label(3)));
    }

    #[test]
    fn a_stamp_that_cannot_be_its_datagrams_is_dropped() {
        let (target, _source) = pair("127.0.0.1:0");
        let mut departures = Departures::default();
        departures.ask(target.as_fd(), false).expect("Linux stamps");
        let since = Stamp::<Driver>::from_nanos(7_000_000_000);
        (0..4).for_each(|number| departures.on_sent(Some((label(number), since.nanos()))));
        departures.on_left(0, Some(Stamp::from_nanos(since.nanos() - 10 * WIDTH_NS)));
        assert_eq!(departures.take::<Driver>(), None, "of before it was sent");
        departures.on_left(9, Some(since));
        assert_eq!(departures.take::<Driver>(), None, "of no datagram");
        departures.on_left(1, None);
        assert_eq!(departures.take::<Driver>(), None, "of a clock that was set");
        departures.on_left(2, Some(since));
        departures.on_left(2, Some(since));
        assert_eq!(departures.take::<Driver>().map(|left| left.label), Some(label(2)));
        assert_eq!(departures.take::<Driver>(), None, "returned once");
        departures.on_left(3, Some(since.after_nanos(QUEUED_NS_MAX + 1)));
        assert_eq!(departures.take::<Driver>(), None, "long behind");
    }

    #[test]
    fn stamps_that_nobody_takes_are_bounded() {
        let (target, _source) = pair("127.0.0.1:0");
        let mut departures = Departures::default();
        departures.ask(target.as_fd(), false).expect("Linux stamps");
        let since = Stamp::<Driver>::from_nanos(7_000_000_000);
        let numbers = 0..3 * AWAITED_MAX;
        numbers.clone().for_each(|number| departures.on_sent(Some((label(number), since.nanos()))));
        numbers.for_each(|number| departures.on_left(number, Some(since)));
        let first = departures.take::<Driver>().expect("a stamp");
        assert_eq!(first.label, label(2 * AWAITED_MAX));
        assert_eq!(std::iter::from_fn(|| departures.take::<Driver>()).count(), 255);
    }

    #[test]
    fn where_a_card_is_to_stamp_the_kernel_does_not_in_its_place() {
        let target = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let source = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        source.connect(target.local_addr().expect("bound")).expect("connected");
        for (by_card, expected) in [(false, true), (true, false)] {
            let mut departures = Departures::default();
            departures.ask(source.as_fd(), by_card).expect("Linux takes the flags");
            source.send(b"x").expect("sent");
            // Loopback has no card: it reports nothing, rather than something of another clock.
            let queued = sys::queued(source.as_fd());
            assert_eq!(queued.is_some(), expected, "{queued:?}");
        }
    }
}
