//! Load datagrams by the train: many to a system call, cut and joined by the kernel where it does.

use super::{Sent, Socket, judge_send};
use crate::clock::Stamp;
use crate::io::sys;
use socket2::SockRef;
use std::io;
use std::os::fd::AsFd as _;

/// The most datagrams of one call that the kernel neither cuts nor joins.
const DATAGRAMS_MAX: usize = sys::MANY_MAX;

/// The largest datagram, and so what joined ones need.
const JOINED_OCTETS: usize = 1 << 16;

/// Octets of all places together, where datagrams are not joined; one has room at least.
const EACH_OCTETS_MAX: usize = 1 << 20;

/// What was read at once, and the places for it: made once, used again and again.
#[derive(Debug)]
pub struct Batch<C> {
    octets: Vec<u8>,
    each: usize,
    controls: Vec<sys::Control>,
    read: Vec<sys::Ancillary>,
    stamps: Vec<Stamp<C>>,
}

/// Datagrams of one length that reached this host together, the last perhaps shorter.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals<'a, C> {
    /// When the kernel received them.
    pub at: Stamp<C>,
    /// What the socket had dropped when it queued them.
    pub drops: u32,
    /// The octets of all of them; of one that is longer than its place, those at its front.
    octets: &'a [u8],
    /// Octets of each but the last.
    each: usize,
    /// Octets that came.
    len: usize,
}

impl<C> Batch<C> {
    /// Places for datagrams that the kernel joins.
    #[must_use]
    pub fn joined() -> Self {
        Self::of(JOINED_OCTETS, 8)
    }

    /// Places for datagrams of up to `octets` that it does not.
    #[must_use]
    pub fn each(octets: usize) -> Self {
        let octets = octets.max(1);
        Self::of(octets, (EACH_OCTETS_MAX / octets).clamp(1, DATAGRAMS_MAX))
    }

    fn of(each: usize, places: usize) -> Self {
        Self {
            octets: vec![0; each * places],
            each,
            controls: (0..places).map(|_| sys::Control::default()).collect(),
            read: Vec::with_capacity(places),
            stamps: Vec::with_capacity(places),
        }
    }

    /// What was read last, in the order in which it was queued.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrivals<'_, C>> {
        let places = self.octets.chunks_exact(self.each);
        let read = self.read.iter().zip(&self.stamps).zip(places);
        read.map(|((read, at), place)| Arrivals {
            at: *at,
            drops: read.drops.unwrap_or_default(),
            octets: &place[..read.len.min(place.len())],
            each: read.segment.filter(|each| 0 < *each).unwrap_or(read.len),
            len: read.len,
        })
    }

    /// Whether there was more to read than there are places.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.read.len() == self.controls.len()
    }

    /// Octets that this takes of a socket's buffer, roughly: the kernel counts its own with it.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        let of_each = |read: &sys::Ancillary| 2 * (read.len as u64 + SKB_OCTETS);
        self.read.iter().map(of_each).sum()
    }
}

/// What the kernel adds to a datagram in memory, roughly.
const SKB_OCTETS: u64 = 512;

impl<'a, C> Arrivals<'a, C> {
    /// Each datagram: what was read of it, and how many octets it has.
    pub fn datagrams(&self) -> impl Iterator<Item = (&'a [u8], usize)> + use<'a, C> {
        let Self { octets, each, len, .. } = *self;
        let starts = (0..len).step_by(each.max(1));
        starts.map(move |start| {
            let end = (start + each).min(len);
            (&octets[start.min(octets.len())..end.min(octets.len())], end - start)
        })
    }
}

impl Socket {
    /// Has the kernel cut what it is given into datagrams of `octets`; with 0, not any more.
    ///
    /// # Errors
    ///
    /// Where it is too old for it.
    pub fn cut(&self, octets: u32) -> io::Result<()> {
        let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
        sys::set_option(self.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, octets)
    }

    /// Has the kernel join what comes. From now on datagrams are read with [`Batch::joined`] alone:
    /// a smaller place would cut them.
    ///
    /// # Errors
    ///
    /// Where it is too old for it.
    pub fn join(&self) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)
    }

    /// Sends the datagrams that `octets` are, which the kernel cuts: all of them or none. `None`
    /// where it cannot cut them, nor the device: for want of an offload, because it would encrypt
    /// them, or because the MTU has become less.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send_cut(&mut self, octets: &[u8]) -> io::Result<Option<Sent>> {
        match self.send(octets) {
            Ok(Sent::TooLong) => Ok(None),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
                Ok(None)
            }
            sent => sent.map(Some),
        }
    }

    /// Sends the datagrams of `each` octets that `octets` are, one by one; how many the kernel
    /// took, or the result of the first that it did not.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send_each(&mut self, octets: &[u8], each: usize) -> io::Result<(usize, Sent)> {
        if octets.len() <= each {
            return self.send(octets).map(|sent| (usize::from(sent == Sent::Accepted), sent));
        }
        let flags = self.take_flags();
        match sys::send_many(self.as_fd(), octets, each, flags) {
            Ok(count) => Ok((count, Sent::Accepted)),
            // Of the first, which is then sent alone: there it is reported alone and repeated.
            Err(error) => match judge_send(Err(error))? {
                Sent::Unreachable | Sent::TooLong => self.send_each(&octets[..each], each),
                sent => Ok((0, sent)),
            },
        }
    }

    /// Reads what is here, as far as `batch` has places for it; whether anything was.
    ///
    /// # Errors
    ///
    /// What the kernel says; an ICMP error that a datagram caused is counted, and is none.
    pub fn receive_batch<C>(&mut self, batch: &mut Batch<C>) -> io::Result<bool> {
        let Batch { octets, each, controls, read, stamps } = batch;
        read.clear();
        stamps.clear();
        if self.until_read(|fd| sys::receive_many(fd, octets, *each, controls, read))?.is_none() {
            return Ok(false);
        }
        // Both clocks are read once for all of them, unless the wall clock was set just now.
        let mut ahead = None;
        for place in read.iter_mut() {
            stamps.push(match (place.real_ns, ahead) {
                (None, _) => crate::io::clock::now(),
                (Some(real_ns), Some(ahead_ns)) => {
                    Stamp::from_nanos(real_ns.wrapping_sub(ahead_ns))
                }
                (Some(real_ns), None) => match self.bridge.carry::<C>(real_ns) {
                    Some(at) => {
                        ahead = Some(real_ns.wrapping_sub(at.nanos()));
                        at
                    }
                    None => crate::io::clock::now(),
                },
            });
            // The counter comes only once it has moved.
            self.drops = place.drops.unwrap_or(self.drops);
            place.drops = Some(self.drops);
        }
        Ok(true)
    }

    /// Octets of the receive buffer and of the send buffer that the kernel granted.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn buffers(&self) -> io::Result<(u64, u64)> {
        let socket = SockRef::from(&self.socket);
        Ok((socket.recv_buffer_size()? as u64, socket.send_buffer_size()? as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::io::clock::now;

    fn pair() -> (Socket, Socket) {
        let listener = Socket::listen("127.0.0.1:0".parse().expect("an address"));
        let listener = listener.expect("a listener");
        let connected = Socket::connect(listener.local().expect("bound")).expect("a socket");
        (listener, connected)
    }

    /// Datagrams of `each` octets, filled with their numbers.
    fn train(packets: u8, each: usize) -> Vec<u8> {
        (0..packets).flat_map(|number| vec![number; each]).collect()
    }

    /// The numbers and the lengths of the datagrams that come.
    fn read(socket: &mut Socket, mut batch: Batch<Driver>, most: usize) -> Vec<(u8, usize)> {
        let mut came = Vec::new();
        while came.len() < most
            && socket.wait_readable(now::<Driver>().after_nanos(200_000_000)).expect("ppoll")
        {
            while socket.receive_batch(&mut batch).expect("recvmmsg") {
                for arrivals in batch.arrivals() {
                    came.extend(arrivals.datagrams().map(|(octets, len)| (octets[0], len)));
                }
            }
        }
        came
    }

    fn numbered(packets: u8, each: usize) -> Vec<(u8, usize)> {
        (0..packets).map(|number| (number, each)).collect()
    }

    #[test]
    fn a_train_that_the_kernel_cuts_and_joins_comes_whole() {
        let (mut listener, mut socket) = pair();
        socket.cut(1_000).expect("Linux has it since 4.18");
        listener.join().expect("Linux has it since 5.0");
        let mut octets = train(20, 1_000);
        octets.truncate(19_500);
        assert_eq!(socket.send_cut(&octets).expect("send"), Some(Sent::Accepted));
        let mut expected = numbered(20, 1_000);
        expected[19].1 = 500;
        assert_eq!(read(&mut listener, Batch::joined(), 20), expected);
    }

    #[test]
    fn datagrams_sent_each_come_each_and_are_measured_though_not_read() {
        let (mut listener, mut socket) = pair();
        let sent = socket.send_each(&train(20, 1_400), 1_400).expect("send");
        assert_eq!(sent, (20, Sent::Accepted));
        assert_eq!(read(&mut listener, Batch::each(128), 20), numbered(20, 1_400));
    }

    #[test]
    fn a_train_is_cut_where_nothing_joins_it() {
        let (mut listener, mut socket) = pair();
        socket.cut(500).expect("Linux has it since 4.18");
        let sent = socket.send_cut(&train(64, 500)).expect("send");
        assert_eq!(sent, Some(Sent::Accepted));
        assert_eq!(read(&mut listener, Batch::each(500), 64), numbered(64, 500));
    }

    #[test]
    fn what_the_kernel_cannot_cut_is_reported() {
        let (_listener, mut socket) = pair();
        socket.cut(10).expect("Linux has it since 4.18");
        assert_eq!(socket.send_cut(&train(200, 10)).expect("no error"), None, "128 are too many");
    }

    #[test]
    fn what_is_longer_than_the_way_takes_is_reported() {
        let (_listener, mut socket) = pair();
        let sent = socket.send_each(&vec![0; 140_000], 70_000).expect("send");
        assert_eq!(sent, (0, Sent::TooLong));
    }

    #[test]
    fn a_batch_is_stamped_between_its_sending_and_its_reading() {
        let (mut listener, mut socket) = pair();
        let before: Stamp<Driver> = now();
        socket.send_each(&train(3, 100), 100).expect("send");
        let mut batch = Batch::each(128);
        assert!(listener.receive_batch(&mut batch).expect("recvmmsg"));
        let after: Stamp<Driver> = now();
        for arrivals in batch.arrivals() {
            assert!(before.nanos() <= arrivals.at.nanos() + 50_000 && arrivals.at <= after);
        }
        assert_eq!(batch.arrivals().count(), 3);
        assert!(!listener.receive_batch(&mut batch).expect("recvmmsg"), "all is read");
    }
}
