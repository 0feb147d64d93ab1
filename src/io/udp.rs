//! UDP sockets as a measurement needs them: every refusal, drop and error is reported, none
//! swallowed.

mod trains;

pub use trains::{Arrivals, Batch};

use super::clock::Bridge;
use super::egress::Egress;
use super::phc::Phc;
use super::sys::{self, Queued};
use super::timestamps::{Departure, Departures, Label};
use crate::clock::{Driver, Stamp};
use socket2::{Domain, Protocol, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Octets of receive and of send buffer that are asked for: 20 ms at 3 Gbit/s.
const BUFFER_OCTETS: usize = 8 << 20;

/// The most datagrams that are read when a socket is connected on a port that is in use.
const STRAYS_MAX: usize = 65_536;

/// `SO_MEMINFO`, and the place in it of the socket's drop counter.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_LEN: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// What became of a datagram that was to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// The kernel took it.
    Accepted,
    /// This host's stack said no.
    Refused(Refusal),
    /// The path answered earlier datagrams with ICMP errors, and does so still.
    Unreachable,
    /// It is longer than the device's MTU.
    TooLong,
}

/// Who in this host's stack said no.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The socket's send buffer is full.
    BufferFull,
    /// The device's queue dropped it, and counts it among its drops.
    QueueDropped,
    /// A filter forbids it.
    Forbidden,
}

/// A datagram that was read.
#[derive(Clone, Copy, Debug)]
pub struct Received<C> {
    /// Octets of it, from the buffer's start.
    pub len: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
    /// Who sent it.
    pub peer: Option<SocketAddr>,
    /// The address of this host that it was sent to; only a listener is given it.
    pub local: Option<IpAddr>,
    /// When the kernel received it, or the network card.
    pub at: Stamp<C>,
    /// Whether that is a stamp of theirs, and not the time of reading.
    pub by_kernel: bool,
    /// What the socket had dropped when it queued it.
    pub drops: u32,
    /// Its differentiated services code point; only a listener and who asks for it is given it.
    pub mark: Option<u8>,
}

/// A datagram that belongs to someone else.
#[derive(Clone, Debug)]
pub struct Stray<C> {
    /// Its octets.
    pub octets: Vec<u8>,
    /// Who sent it.
    pub peer: Option<SocketAddr>,
    /// When the kernel received it.
    pub at: Stamp<C>,
    /// Whether that is the kernel's stamp.
    pub by_kernel: bool,
}

/// A UDP socket that never waits, unless it is asked to.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    bridge: Bridge,
    /// What stamps in the kernel's place.
    card: Option<Phc>,
    departures: Departures,
    drops: u32,
    icmp_errors: u64,
    /// What is sent next confirms that the next hop is reachable.
    confirms: bool,
}

impl Socket {
    /// A socket on a port of the kernel's choice, connected to `peer`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::connect_by(peer, &Egress::default())
    }

    /// The same, bound to `way`.
    ///
    /// # Errors
    ///
    /// What the kernel says, or why it cannot be bound so.
    pub fn connect_by(peer: SocketAddr, egress: &Egress) -> io::Result<Self> {
        let socket = Self::open(peer)?;
        egress.bind(&socket.socket, peer)?;
        socket.socket.connect(&peer.into())?;
        Ok(socket)
    }

    /// A socket that anyone may send to, and that others of this user may share the port of.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn listen(local: SocketAddr) -> io::Result<Self> {
        Self::listen_by(local, &Egress::default())
    }

    /// The same, on the device of `way` alone.
    ///
    /// # Errors
    ///
    /// What the kernel says, or why it cannot be bound so.
    pub fn listen_by(local: SocketAddr, egress: &Egress) -> io::Result<Self> {
        let socket = Self::open(local)?;
        egress.bind_device(&socket.socket)?;
        let fd = socket.socket.as_fd();
        sys::set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        if local.is_ipv6() {
            socket.socket.set_only_v6(false)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        socket.receive_marks()?;
        socket.socket.bind(&local.into())?;
        // Only now: a port that another listener has must be refused, and taken from nobody. From
        // now on sockets of this user share it, and nobody else's, as SO_REUSEADDR would allow.
        socket.socket.set_reuse_port(true)?;
        Ok(socket)
    }

    /// A socket on the port of a listener, for the datagrams of `peer` alone; with what reached it
    /// before it was connected, which may be anyone's.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn connect_from<C>(
        local: SocketAddr,
        peer: SocketAddr,
        egress: &Egress,
    ) -> io::Result<(Self, Vec<Stray<C>>)> {
        let mut socket = Self::open(local)?;
        egress.bind_device(&socket.socket)?;
        if local.is_ipv6() {
            socket.socket.set_only_v6(false)?;
        }
        socket.socket.set_reuse_port(true)?;
        socket.socket.bind(&local.into())?;
        socket.socket.connect(&peer.into())?;
        let mut strays = Vec::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        while strays.len() < STRAYS_MAX {
            let Some(received) = socket.receive::<C>(&mut buffer)? else { break };
            let octets = buffer[..received.len].to_vec();
            let Received { peer, at, by_kernel, .. } = received;
            strays.push(Stray { octets, peer, at, by_kernel });
        }
        Ok((socket, strays))
    }

    fn open(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let fd = socket.as_fd();
        let octets = libc::c_int::try_from(BUFFER_OCTETS).unwrap_or(libc::c_int::MAX);
        // Beyond the sysctl's limit only the privileged may go; others get as much as they may.
        if sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets).is_err() {
            socket.set_recv_buffer_size(BUFFER_OCTETS)?;
        }
        if sys::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, octets).is_err() {
            socket.set_send_buffer_size(BUFFER_OCTETS)?;
        }
        let (receive_errors, discover) = (libc::IP_RECVERR, libc::IP_MTU_DISCOVER);
        sys::set_option(fd, libc::IPPROTO_IP, receive_errors, 1)?;
        sys::set_option(fd, libc::IPPROTO_IP, discover, libc::IP_PMTUDISC_PROBE)?;
        if domain == Domain::IPV6 {
            let (receive_errors, discover) = (libc::IPV6_RECVERR, libc::IPV6_MTU_DISCOVER);
            sys::set_option(fd, libc::IPPROTO_IPV6, receive_errors, 1)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, discover, libc::IPV6_PMTUDISC_PROBE)?;
        }
        sys::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        sys::set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        let (bridge, departures) = (Bridge::default(), Departures::default());
        let (card, drops, icmp_errors, confirms) = (None, 0, 0, false);
        Ok(Self { socket, bridge, card, departures, drops, icmp_errors, confirms })
    }

    /// Has the leaving of each datagram stamped: [`Self::departed`] returns the stamps. Where the
    /// socket is bound to a device whose network card stamps all, the card stamps what comes too;
    /// else the kernel.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it does not know how.
    pub fn stamp_departures(&mut self) -> io::Result<()> {
        if let Some(name) = self.socket.device()?
            && let Ok(name) = std::str::from_utf8(&name)
        {
            match Phc::of(self.socket.as_fd(), name) {
                Ok(card) => self.card = Some(card),
                Err(error) => tracing::debug!(%error, "the kernel stamps, not a network card"),
            }
        }
        self.departures.ask(self.socket.as_fd(), self.card.is_some())
    }

    /// Whether a network card stamps, and not the kernel.
    #[must_use]
    pub const fn is_stamped_by_card(&self) -> bool {
        self.card.is_some()
    }

    /// The oldest stamp of a labelled datagram that left and was not returned yet.
    pub fn departed<C>(&mut self) -> Option<Departure<C>> {
        self.drain_errors();
        self.departures.take()
    }

    /// Marks what is sent from now on with the code point `mark`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_mark(&self, mark: u8) -> io::Result<()> {
        let is_ipv6 = self.socket.domain()? == Domain::IPV6;
        sys::set_mark(self.socket.as_fd(), is_ipv6, mark)
    }

    /// Has each datagram that is received from now on show how it was marked.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn receive_marks(&self) -> io::Result<()> {
        let fd = self.socket.as_fd();
        if self.socket.domain()? == Domain::IPV6 {
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        }
        sys::set_option(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)
    }

    /// The far end has proven that what this host sent lately reached it: what is sent next
    /// confirms to the kernel that the next hop is reachable (sendmsg(2), `MSG_CONFIRM`), so that
    /// it need not ask for the link-layer address again.
    pub const fn confirm_next(&mut self) {
        self.confirms = true;
    }

    /// The flags of what is sent next.
    const fn take_flags(&mut self) -> libc::c_int {
        if std::mem::replace(&mut self.confirms, false) { libc::MSG_CONFIRM } else { 0 }
    }

    /// Sends `octets` to the connected peer. Where earlier datagrams caused an ICMP error, which is
    /// reported to the next send, the send is repeated once.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send(&mut self, octets: &[u8]) -> io::Result<Sent> {
        let flags = self.take_flags();
        let send = |socket: &socket2::Socket| {
            socket.send_with_flags(octets, flags).map(|_| Sent::Accepted)
        };
        self.repeat_once(None, send)
    }

    /// Like [`Self::send`]; the kernel's stamp of it is returned with `label`.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send_labelled(&mut self, octets: &[u8], label: Label) -> io::Result<Sent> {
        let flags = self.take_flags();
        let send = |socket: &socket2::Socket| {
            socket.send_with_flags(octets, flags).map(|_| Sent::Accepted)
        };
        self.repeat_once(Some(label), send)
    }

    /// Sends `octets` to `peer`, from the address `local` of this host where one is given.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send_to(
        &mut self,
        octets: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
    ) -> io::Result<Sent> {
        let how = (0, self.take_flags());
        self.repeat_once(None, |socket| {
            sys::send_from(socket.as_fd(), octets, peer, local, how).map(|_| Sent::Accepted)
        })
    }

    /// Like [`Self::send_to`], marked with the code point `mark`; the kernel's stamp of it is
    /// returned by `label`.
    ///
    /// # Errors
    ///
    /// What the kernel says, where it is none of [`Sent`].
    pub fn send_labelled_to(
        &mut self,
        octets: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
        mark: u8,
        label: Label,
    ) -> io::Result<Sent> {
        let how = (mark, self.take_flags());
        self.repeat_once(Some(label), |socket| {
            sys::send_from(socket.as_fd(), octets, peer, local, how).map(|_| Sent::Accepted)
        })
    }

    fn repeat_once(
        &mut self,
        label: Option<Label>,
        send: impl Fn(&socket2::Socket) -> io::Result<Sent>,
    ) -> io::Result<Sent> {
        let first = self.try_send(label, &send)?;
        // An ICMP "too big" that an earlier, longer datagram caused fails a shorter one too.
        if !matches!(first, Sent::Unreachable | Sent::TooLong) {
            return Ok(first);
        }
        self.drain_errors();
        self.try_send(label, &send)
    }

    fn try_send(
        &mut self,
        label: Option<Label>,
        send: impl Fn(&socket2::Socket) -> io::Result<Sent>,
    ) -> io::Result<Sent> {
        let labelled = label.map(|label| (label, super::clock::now::<Driver>().nanos()));
        let sent = judge_send(send(&self.socket));
        match sent {
            Ok(Sent::Accepted) => self.departures.on_sent(labelled),
            _ => self.departures.on_refused(self.socket.as_fd()),
        }
        sent
    }

    /// The next datagram, if one is here.
    ///
    /// # Errors
    ///
    /// What the kernel says; an ICMP error that a datagram caused is counted, and is none.
    pub fn receive<C>(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received<C>>> {
        let read = self.until_read(|fd| sys::receive(fd, buffer))?;
        let Some(ancillary) = read else { return Ok(None) };
        let stamp = self.carry(ancillary.real_ns, ancillary.card_ns);
        // The counter comes only once it has moved.
        self.drops = ancillary.drops.unwrap_or(self.drops);
        Ok(Some(Received {
            len: ancillary.len,
            truncated: ancillary.truncated,
            peer: ancillary.peer,
            local: ancillary.local,
            at: stamp.unwrap_or_else(super::clock::now),
            by_kernel: stamp.is_some(),
            drops: self.drops,
            mark: ancillary.mark,
        }))
    }

    /// The monotonic time of a stamp: of the network card's, where it stamps, or of the kernel's.
    fn carry<C>(&mut self, real_ns: Option<u64>, card_ns: Option<u64>) -> Option<Stamp<C>> {
        match &self.card {
            Some(card) => card.carry(card_ns?),
            None => self.bridge.carry(real_ns?),
        }
    }

    /// Reads until something is here or nothing is.
    fn until_read<T>(
        &mut self,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        loop {
            match read(self.socket.as_fd()) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.drain_errors();
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_icmp(&error) => self.drain_errors(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until something can be read, at most until `until`; whether it can.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn wait_readable<C>(&self, until: Stamp<C>) -> io::Result<bool> {
        let limit = until.nanos_since(super::clock::now());
        sys::wait_readable(self.socket.as_fd(), Duration::from_nanos(limit))
    }

    /// Waits until something can be sent, at most until `until`.
    pub fn wait_writable<C>(&self, until: Stamp<C>) {
        // What goes wrong is reported by the send that follows.
        _ = sys::wait_writable(self.socket.as_fd(), super::clock::remaining(until));
    }

    /// What the socket has dropped until now, also where nothing came after it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn drops(&self) -> io::Result<u32> {
        let memory: [u32; MEMINFO_LEN] =
            sys::option(self.socket.as_fd(), libc::SOL_SOCKET, SO_MEMINFO)?;
        Ok(memory[MEMINFO_DROPS])
    }

    /// The largest IP packet that leaves in one piece, as this host knows the way to the peer.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as that the socket is not connected.
    pub fn mtu(&self) -> io::Result<u32> {
        let fd = self.socket.as_fd();
        let ipv4 = || sys::option::<1>(fd, libc::IPPROTO_IP, libc::IP_MTU);
        let mtu = match self.peer()? {
            SocketAddr::V6(_) => {
                sys::option::<1>(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU).or_else(|_| ipv4())
            }
            SocketAddr::V4(_) => ipv4(),
        };
        mtu.map(|[octets]| octets)
    }

    /// Where this socket is.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(not_ip)
    }

    /// Connects this socket to another peer; nobody else's datagrams come in between.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn move_to(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(&peer.into())
    }

    /// Whom this socket is connected to.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()?.as_socket().ok_or_else(not_ip)
    }

    /// ICMP errors that datagrams of this socket caused.
    #[must_use]
    pub const fn icmp_errors(&self) -> u64 {
        self.icmp_errors
    }

    /// How often the wall clock was set while this socket received.
    #[must_use]
    pub const fn clock_steps(&self) -> u64 {
        self.bridge.steps()
    }

    /// Reads the error queue away: it would keep the socket ready for nothing. Each ICMP error has
    /// one entry there, and fails one call beside; each stamp of a departure has one too.
    fn drain_errors(&mut self) {
        while let Some(queued) = sys::queued(self.socket.as_fd()) {
            match queued {
                Queued::Left { number, real_ns, card_ns } => {
                    let at = self.carry(real_ns, card_ns);
                    self.departures.on_left(number, at);
                }
                Queued::Error(error) => {
                    let error = i32::try_from(error).map(io::Error::from_raw_os_error);
                    self.icmp_errors += u64::from(error.is_ok_and(|error| is_icmp(&error)));
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn judge_send(result: io::Result<Sent>) -> io::Result<Sent> {
    let Err(error) = result else { return result };
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(Sent::Refused(Refusal::BufferFull)),
        Some(libc::ENOBUFS) => Ok(Sent::Refused(Refusal::QueueDropped)),
        Some(libc::EPERM) => Ok(Sent::Refused(Refusal::Forbidden)),
        Some(libc::EMSGSIZE) => Ok(Sent::TooLong),
        _ if is_icmp(&error) => Ok(Sent::Unreachable),
        _ => Err(error),
    }
}

/// Whether an error stands for ICMP that an earlier datagram caused, or of a missing route.
fn is_icmp(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::EMSGSIZE
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EACCES
        )
    )
}

fn not_ip() -> io::Error {
    io::Error::other("a UDP socket without an IP address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::now;

    fn loopback(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn read(socket: &mut Socket, buffer: &mut [u8]) -> Option<Received<Driver>> {
        let until: Stamp<Driver> = now().after_nanos(200_000_000);
        socket.wait_readable(until).expect("ppoll");
        socket.receive(buffer).expect("recvmsg")
    }

    fn pair(local: &str) -> (Socket, Socket) {
        let listener = Socket::listen(loopback(local)).expect("a listener");
        let connected = Socket::connect(listener.local().expect("bound")).expect("a socket");
        (listener, connected)
    }

    #[test]
    fn a_datagram_is_stamped_between_its_sending_and_its_reading() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let (mut listener, mut socket) = pair(local);
            let before: Stamp<Driver> = now();
            assert_eq!(socket.send(b"here").expect("send"), Sent::Accepted);
            let mut buffer = [0xa5; 16];
            let received = read(&mut listener, &mut buffer).expect("a datagram");
            let after: Stamp<Driver> = now();
            assert_eq!(&buffer[..received.len], b"here");
            assert_eq!(received.peer, socket.local().ok());
            assert_eq!(received.local, listener.local().ok().map(|local| local.ip()));
            assert!(before.nanos() <= received.at.nanos() + 50_000 && received.at <= after);
        }
    }

    #[test]
    fn a_long_datagram_says_that_it_was_cut() {
        let (mut listener, mut socket) = pair("127.0.0.1:0");
        socket.send(&[1; 100]).expect("send");
        assert!(read(&mut listener, &mut [0; 10]).expect("a datagram").truncated);
    }

    /// Of both versions of IP, and of IPv4 at a listener for both.
    #[test]
    fn a_mark_is_read_as_it_was_sent_and_a_reply_bears_its_own() {
        for (local, peer) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let mut listener = Socket::listen(loopback(local)).expect("a listener");
            let port = listener.local().expect("bound").port();
            let peer = SocketAddr::new(peer.parse().expect("an address"), port);
            let mut socket = Socket::connect(peer).expect("a socket");
            socket.set_mark(46).expect("anyone may");
            socket.receive_marks().expect("anyone may");
            socket.send(b"?").expect("send");
            let received = read(&mut listener, &mut [0; 8]).expect("a datagram");
            assert_eq!(received.mark, Some(46), "{local}");
            let from = received.peer.expect("a peer");
            for mark in [34, 0] {
                let label = Label { token: crate::wire::Token(1), sequence: 0 };
                let to = (from, received.local);
                listener.send_labelled_to(b"!", to.0, to.1, mark, label).expect("send");
                let reply = read(&mut socket, &mut [0; 8]).expect("a reply");
                assert_eq!(reply.mark, Some(mark), "{local}");
            }
        }
    }

    #[test]
    fn a_listener_answers_from_the_address_it_was_asked_at() {
        let mut listener = Socket::listen(loopback("0.0.0.0:0")).expect("a listener");
        let port = listener.local().expect("bound").port();
        let mut socket = Socket::connect(SocketAddr::from(([127, 0, 0, 2], port))).expect("socket");
        socket.send(b"?").expect("send");
        let received = read(&mut listener, &mut [0; 8]).expect("a datagram");
        let peer = received.peer.expect("a peer");
        listener.send_to(b"!", peer, received.local).expect("send");
        assert!(read(&mut socket, &mut [0; 8]).is_some(), "the answer came from elsewhere");
    }

    #[test]
    fn a_connected_socket_takes_its_peers_datagrams_and_hands_back_strangers() {
        let (mut listener, mut socket) = pair("127.0.0.1:0");
        let (local, peer) = (listener.local().expect("bound"), socket.local().expect("bound"));
        let (mut own, strays) =
            Socket::connect_from::<Driver>(local, peer, &Egress::default()).expect("a socket");
        assert!(strays.is_empty());
        socket.send(b"mine").expect("send");
        Socket::connect(local).expect("a socket").send(b"other").expect("send");
        let mut buffer = [0; 16];
        let received = read(&mut own, &mut buffer).expect("a datagram");
        assert_eq!(&buffer[..received.len], b"mine");
        let received = read(&mut listener, &mut buffer).expect("a datagram");
        assert_eq!(&buffer[..received.len], b"other");
    }

    #[test]
    fn a_closed_port_is_counted_and_no_error() {
        let (listener, mut socket) = pair("127.0.0.1:0");
        drop(listener);
        socket.send(b"1").expect("send");
        assert!(read(&mut socket, &mut [0; 8]).is_none());
        assert_eq!(socket.send(b"2").expect("send"), Sent::Accepted);
        assert!(read(&mut socket, &mut [0; 8]).is_none());
        assert_eq!(socket.icmp_errors(), 2);
    }

    #[test]
    fn what_this_host_drops_is_counted_exactly() {
        let (mut listener, mut socket) = pair("127.0.0.1:0");
        listener.socket.set_recv_buffer_size(8_192).expect("a small buffer");
        (0..100_u32).for_each(|_| assert_eq!(socket.send(&[0; 1_000]).ok(), Some(Sent::Accepted)));
        let mut buffer = [0; 2_000];
        let came = std::iter::from_fn(|| read(&mut listener, &mut buffer)).count();
        let dropped = listener.drops().expect("a counter");
        assert!(0 < dropped);
        assert_eq!(came + usize::try_from(dropped).expect("few"), 100);
        socket.send(b"one more").expect("send");
        assert_eq!(read(&mut listener, &mut buffer).expect("a datagram").drops, dropped);
    }

    #[test]
    fn a_port_that_is_taken_is_refused() {
        let listener = Socket::listen(loopback("127.0.0.1:0")).expect("a listener");
        let second = Socket::listen(listener.local().expect("bound"));
        assert_eq!(second.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
    }

    /// With SO_REUSEADDR at both, Linux would give the port's datagrams to whoever bound it last.
    #[test]
    fn nobody_else_takes_the_datagrams_of_a_port() {
        let (mut listener, mut socket) = pair("127.0.0.1:0");
        let local = listener.local().expect("bound");
        assert!(!listener.socket.reuse_address().expect("an option"));
        let other = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP));
        let other = other.expect("a socket");
        other.set_reuse_address(true).expect("anyone may");
        let bound = other.bind(&local.into()).expect_err("it is taken");
        assert_eq!(bound.kind(), io::ErrorKind::AddrInUse);
        // Beside a socket of its own, strangers' datagrams still reach the listener.
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let _own = Socket::connect_from::<Driver>(local, peer, &Egress::default()).expect("ours");
        for _ in 0..20 {
            socket.send(b"mine").expect("send");
            assert!(read(&mut listener, &mut [0; 8]).is_some());
        }
    }

    #[test]
    fn a_datagram_beyond_the_mtu_is_reported() {
        let (_listener, mut socket) = pair("127.0.0.1:0");
        let mtu = socket.mtu().expect("connected");
        assert!(1_280 <= mtu);
        assert_eq!(socket.send(&vec![0; 65_508]).expect("send"), Sent::TooLong);
    }
}
