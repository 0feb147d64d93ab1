//! TCP sockets as a measurement needs them: bulk that never waits unless asked to, and what the
//! kernel knows of a connection.

use super::egress::Egress;
use super::sys;
use crate::account::{TcpBuffer, TcpInfo};
use crate::clock::Stamp;
use crate::units::{BitRate, Span};
use socket2::{Domain, Protocol, Type};
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Where the kernel lists the congestion controls that it has, and those that anybody may choose.
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// The largest segment of a control connection: what fits into the smallest MTU of IPv6.
const CONTROL_SEGMENT: libc::c_int = 1_220;

/// Octets of the headers of IP and TCP, without options: what a segment leaves of a packet.
const HEADERS_V4: u32 = 40;
const HEADERS_V6: u32 = 60;

/// What the kernel is handed before it is due: 20 ms, and some segments of the usual length.
const AHEAD: Span = Span::from_millis(20);
const AHEAD_MIN: u32 = 1 << 14;

/// A buffer of a connection, and who in the kernel limits it.
struct Buffer {
    what: &'static str,
    set: libc::c_int,
    force: libc::c_int,
    /// The least, the first and the greatest length that the kernel gives it by itself.
    tuned: &'static str,
    /// The greatest length that a program without privileges may give it.
    allowed: &'static str,
}

const SEND: Buffer = Buffer {
    what: "send",
    set: libc::SO_SNDBUF,
    force: libc::SO_SNDBUFFORCE,
    tuned: "net.ipv4.tcp_wmem",
    allowed: "net.core.wmem_max",
};

const RECEIVE: Buffer = Buffer {
    what: "receive",
    set: libc::SO_RCVBUF,
    force: libc::SO_RCVBUFFORCE,
    tuned: "net.ipv4.tcp_rmem",
    allowed: "net.core.rmem_max",
};

/// A number of a setting of the kernel's, the last of it where it has several.
fn setting(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    text.split_whitespace().last()?.parse().ok()
}

impl Buffer {
    /// Has `fd`'s buffer hold what is `needed`, where the kernel would not let it grow so far by
    /// itself; in octets as the kernel counts them.
    fn fit(&self, fd: BorrowedFd<'_>, needed: u64) -> TcpBuffer {
        let tuned_max_octets = setting(self.tuned);
        if tuned_max_octets.is_none_or(|most| needed <= most) {
            return TcpBuffer { needed_octets: needed, tuned_max_octets, ..TcpBuffer::default() };
        }
        // The kernel doubles what it is asked for.
        let half = libc::c_int::try_from(needed.div_ceil(2)).unwrap_or(libc::c_int::MAX);
        let set = |name| sys::set_option(fd, libc::SOL_SOCKET, name, half);
        let is_set = set(self.force).or_else(|_| {
            // Whoever may set less than the kernel gives by itself is better off without.
            let allowed = setting(self.allowed).unwrap_or(0).saturating_mul(2);
            if tuned_max_octets < Some(allowed) { set(self.set) } else { Ok(()) }
        });
        let length = sys::option::<1>(fd, libc::SOL_SOCKET, self.set).map(|[octets]| octets.into());
        let granted =
            length.ok().filter(|octets| is_set.is_ok() && tuned_max_octets < Some(*octets));
        let reason = granted.is_none_or(|granted| granted < needed).then(|| {
            format!(
                "the {} buffer needs {needed} octets, {} is {}, and {} is the maximum without \
                 CAP_NET_ADMIN: raise either on this host",
                self.what,
                self.tuned,
                tuned_max_octets.unwrap_or(0),
                self.allowed
            )
        });
        TcpBuffer { needed_octets: needed, tuned_max_octets, granted_octets: granted, reason }
    }
}

/// What a connection has sent and received until now, by its kernel: retransmissions, and segments
/// without payload, among them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Carried {
    /// Octets of payload that left.
    pub sent_octets: u64,
    /// Segments that left.
    pub sent_segments: u64,
    /// Octets of payload that came.
    pub received_octets: u64,
    /// Segments that came.
    pub received_segments: u64,
}

/// What became of a write or a read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Moved {
    /// So many octets.
    Octets(usize),
    /// None now.
    Nothing,
    /// The other end has sent all.
    End,
    /// The connection is gone: why.
    Gone(String),
}

/// Whether a host answers TCP at `port` of `name` within `limit`: one that refuses is there too.
pub async fn answers(name: &str, port: u16, limit: Duration) -> bool {
    match tokio::time::timeout(limit, tokio::net::TcpStream::connect((name, port))).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// Connects a control connection to `peer` by `way`: what is handed back is on its way.
///
/// # Errors
///
/// What the kernel says, or why it cannot be bound so.
pub async fn connect_by(peer: SocketAddr, egress: &Egress) -> io::Result<tokio::net::TcpStream> {
    let socket =
        socket2::Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    egress.bind(&socket, peer)?;
    sys::set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_MAXSEG, CONTROL_SEGMENT)?;
    set_discovery(socket.as_fd(), libc::IP_PMTUDISC_DONT);
    tokio::net::TcpSocket::from_std_stream(socket.into()).connect(peer).await
}

/// Listens for control connections at `local`, on the device of `way` alone.
///
/// # Errors
///
/// What the kernel says, or why it cannot be bound so.
pub fn listen_by(local: SocketAddr, egress: &Egress) -> io::Result<tokio::net::TcpListener> {
    let socket =
        socket2::Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    egress.bind_device(&socket)?;
    if local.is_ipv6() {
        // Whatever net.ipv6.bindv6only says: one listener serves both versions of IP.
        socket.set_only_v6(false)?;
    }
    // What is accepted has it too. The driver's first SYN clamps the segments of both ends; the
    // listener does not, because TCP trials come to it as well.
    set_discovery(socket.as_fd(), libc::IP_PMTUDISC_DONT);
    socket.bind(&local.into())?;
    socket.listen(BACKLOG)?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// Whether routers may cut the packets of a connection over IPv4. Control connections let them: a
/// path that carries less than this host's device, and does not say so, still carries them.
fn set_discovery(fd: BorrowedFd<'_>, how: libc::c_int) {
    if let Err(error) = sys::set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, how) {
        tracing::debug!(%error, "the DF bit stays as it is");
    }
}

/// Connections that wait to be accepted at most, as tokio has it.
const BACKLOG: libc::c_int = 1_024;

/// Tries whether this host has the congestion control `name`. One that this user may not choose is
/// no error: the host's default takes its place.
///
/// # Errors
///
/// Where it does not have it: with those that it has.
pub fn try_congestion_control(name: &str) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    match govern(&socket, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        tried => tried,
    }
}

fn govern(socket: &socket2::Socket, name: &str) -> io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes()).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            let allowed = std::fs::read_to_string(ALLOWED).unwrap_or_default();
            return io::Error::new(error.kind(), not_allowed(name, allowed.trim()));
        }
        let available = std::fs::read_to_string(AVAILABLE).unwrap_or_default();
        let what = format!("no congestion control '{name}' ({error}); it has {}", available.trim());
        io::Error::new(error.kind(), what)
    })
}

/// Why a user may not choose the congestion control `name`, where `allowed` are for everybody.
fn not_allowed(name: &str, allowed: &str) -> String {
    format!(
        "this user may not choose the congestion control '{name}': \
         net.ipv4.tcp_allowed_congestion_control has {allowed}. Add it there, choose one of those, \
         or give the program CAP_NET_ADMIN"
    )
}

/// A TCP connection for bulk.
#[derive(Debug)]
pub struct Bulk {
    stream: TcpStream,
}

impl Bulk {
    /// Connects to `peer` by `way`, in packets of at most `mtu` octets both ways, with a receive
    /// buffer of so many octets where that is known: how large segments and windows may ever be is
    /// agreed on when a connection begins.
    ///
    /// # Errors
    ///
    /// What the kernel says, or that `limit` is over.
    pub fn connect(
        peer: SocketAddr,
        egress: &Egress,
        limit: Duration,
        (mtu, receives): (u32, Option<u64>),
    ) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
        egress.bind(&socket, peer)?;
        let headers = if peer.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        let segment =
            libc::c_int::try_from(mtu.saturating_sub(headers)).unwrap_or(libc::c_int::MAX);
        sys::set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_MAXSEG, segment)?;
        if let Some(needed) = receives {
            // What it comes to is known once it is connected.
            _ = RECEIVE.fit(socket.as_fd(), needed);
        }
        socket.connect_timeout(&peer.into(), limit)?;
        Self::of(socket.into())
    }

    /// A connection that the control plane has accepted.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn taken(stream: tokio::net::TcpStream) -> io::Result<Self> {
        Self::of(stream.into_std()?)
    }

    /// A connection that is there already.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // A listener hands on what its control connections need.
        set_discovery(stream.as_fd(), libc::IP_PMTUDISC_WANT);
        Ok(Self { stream })
    }

    /// Has the congestion control `name` govern what is sent from now on.
    ///
    /// # Errors
    ///
    /// Where this host does not have it, or not for this user: with those that it has.
    pub fn set_congestion_control(&self, name: &str) -> io::Result<()> {
        govern(&socket2::SockRef::from(&self.stream), name)
    }

    /// The congestion control that governs it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn congestion_control(&self) -> io::Result<String> {
        let name = socket2::SockRef::from(&self.stream).tcp_congestion()?;
        let len = name.iter().position(|octet| *octet == 0).unwrap_or(name.len());
        Ok(String::from_utf8_lossy(&name[..len]).into_owned())
    }

    /// Marks what is sent from now on with the differentiated services code point `mark`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_mark(&self, mark: u8) -> io::Result<()> {
        let is_ipv6 = self.stream.local_addr()?.is_ipv6();
        sys::set_mark(self.stream.as_fd(), is_ipv6, mark)
    }

    /// Sends no more than `rate` of payload, and is handed no more than what is due soon: so the
    /// end of its time is soon the end of the stream.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_rate(&self, rate: BitRate) -> io::Result<()> {
        let ahead = u32::try_from(rate.octets_in(AHEAD).octets()).unwrap_or(u32::MAX);
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_tcp_notsent_lowat(ahead.max(AHEAD_MIN))?;
        sys::set_pacing_rate(self.stream.as_fd(), rate.bits_per_second().div_ceil(8))
    }

    /// Has its send buffer hold what is `needed`; what came of it.
    #[must_use]
    pub fn fit_send_buffer(&self, needed: u64) -> TcpBuffer {
        SEND.fit(self.stream.as_fd(), needed)
    }

    /// Has its receive buffer hold what is `needed`; what came of it.
    #[must_use]
    pub fn fit_receive_buffer(&self, needed: u64) -> TcpBuffer {
        let buffer = RECEIVE.fit(self.stream.as_fd(), needed);
        // Half of a buffer is offered as a window.
        let window = sys::window_max(self.stream.as_fd()).unwrap_or(u64::MAX).saturating_mul(2);
        if buffer.reason.is_some() || needed <= window {
            return buffer;
        }
        let granted = Some(buffer.granted_octets.unwrap_or(window).min(window));
        let reason = format!(
            "the receive buffer needs {needed} octets, and the connection began with a window that \
             no more than {window} can fill: raise {} on this host, and start the program again",
            RECEIVE.tuned
        );
        TcpBuffer { granted_octets: granted, reason: Some(reason), ..buffer }
    }

    /// Has [`Bulk::wait_readable`] wait until so many octets are there; fewer can still be read.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_gathered(&self, octets: u32) -> io::Result<()> {
        let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
        sys::set_option(self.stream.as_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, octets)
    }

    /// Hands `octets` to the kernel, as many as it takes.
    pub fn write(&self, octets: &[u8]) -> Moved {
        match (&self.stream).write(octets) {
            Ok(written) => Moved::Octets(written),
            Err(error) => moved(&error),
        }
    }

    /// Takes up to `most` octets and keeps none.
    pub fn discard(&self, most: usize) -> Moved {
        match sys::discard(self.stream.as_fd(), most) {
            Ok(0) => Moved::End,
            Ok(taken) => Moved::Octets(taken),
            Err(error) => moved(&error),
        }
    }

    /// Takes octets into `buffer`.
    pub fn read(&self, buffer: &mut [u8]) -> Moved {
        use std::io::Read as _;
        match (&self.stream).read(buffer) {
            Ok(0) => Moved::End,
            Ok(taken) => Moved::Octets(taken),
            Err(error) => moved(&error),
        }
    }

    /// Waits until something can be read, or the other end is gone, or it is `until`.
    pub fn wait_readable<C>(&self, until: Stamp<C>) {
        // What goes wrong is reported by the read that follows.
        _ = sys::wait_readable(self.stream.as_fd(), super::clock::remaining(until));
    }

    /// Waits until something can be written, or the other end is gone, or it is `until`.
    pub fn wait_writable<C>(&self, until: Stamp<C>) {
        // What goes wrong is reported by the write that follows.
        _ = sys::wait_writable(self.stream.as_fd(), super::clock::remaining(until));
    }

    /// What is not sent yet never is: the other end sees a reset once this is dropped.
    pub fn abort(&self) {
        // A connection that is gone sends nothing more anyhow.
        _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Nothing more is sent: the other end sees the end once it has all.
    pub fn finish(&self) {
        // A connection that is gone has finished already.
        _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Where its other end is.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as that it is gone.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// What it has sent and received until now.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn carried(&self) -> io::Result<Carried> {
        let [sent_octets, sent_segments, received_octets, received_segments] =
            sys::tcp_carried(self.stream.as_fd())?;
        Ok(Carried { sent_octets, sent_segments, received_octets, received_segments })
    }

    /// What the kernel knows of it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn info(&self) -> io::Result<TcpInfo> {
        sys::tcp_info(self.stream.as_fd())
    }
}

fn moved(error: &io::Error) -> Moved {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Moved::Nothing,
        _ => Moved::Gone(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;
    use crate::io::clock;
    use std::net::TcpListener;

    fn pair() -> (Bulk, Bulk) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let near = listener.local_addr().expect("bound");
        let near = Bulk::connect(near, &Egress::default(), Duration::from_secs(5), (1_500, None));
        let (far, _) = listener.accept().expect("it was dialled");
        (near.expect("it listens"), Bulk::of(far).expect("a socket"))
    }

    fn soon() -> Stamp<Driver> {
        clock::now::<Driver>().after_nanos(5_000_000_000)
    }

    #[test]
    fn what_is_written_is_taken_and_the_end_is_seen() {
        let (near, far) = pair();
        assert_eq!(far.discard(100), Moved::Nothing);
        assert_eq!(near.write(&[0xa5; 100]), Moved::Octets(100));
        far.wait_readable(soon());
        assert_eq!(far.discard(60), Moved::Octets(60));
        let mut rest = [0; 100];
        assert_eq!(far.read(&mut rest), Moved::Octets(40));
        assert_eq!(rest[..40], [0xa5; 40]);
        near.finish();
        far.wait_readable(soon());
        assert_eq!(far.discard(60), Moved::End);
        let info = near.info().expect("a connection");
        assert!(
            0 < info.mss_octets
                && info.mss_octets <= 1_460
                && 0 < info.cwnd_segments
                && info.sent_octets >= Some(100),
            "{info:?}"
        );
    }

    #[test]
    fn a_full_buffer_takes_no_more_until_the_other_end_reads() {
        let (near, far) = pair();
        let block = vec![0xa5; 1 << 20];
        let mut written = 0;
        while let Moved::Octets(octets) = near.write(&block) {
            written += octets;
        }
        assert!(1 << 16 < written);
        while written > 0 {
            match far.discard(1 << 20) {
                Moved::Octets(octets) => written -= octets,
                Moved::Nothing => far.wait_readable(soon()),
                other => panic!("{other:?}"),
            }
        }
        near.wait_writable(soon());
        assert!(matches!(near.write(&block), Moved::Octets(_)));
    }

    #[test]
    fn a_peer_that_is_gone_is_reported() {
        let (near, far) = pair();
        assert_eq!(near.write(&[1; 10]), Moved::Octets(10));
        drop(far);
        near.wait_readable(soon());
        let ended = near.discard(10);
        assert!(matches!(ended, Moved::Gone(_) | Moved::End), "{ended:?}");
    }

    /// Whatever this host allows: what is granted is enough, or why not is reported.
    #[test]
    fn a_buffer_is_set_only_where_the_kernel_would_not_let_it_grow() {
        let (near, far) = pair();
        let most = setting("net.ipv4.tcp_wmem").expect("Linux has it");
        let enough = near.fit_send_buffer(most);
        let left =
            TcpBuffer { needed_octets: most, tuned_max_octets: Some(most), ..TcpBuffer::default() };
        assert_eq!(enough, left, "the kernel tunes it");
        for buffer in [near.fit_send_buffer(most + 2), far.fit_receive_buffer(1 << 30)] {
            let is_short =
                buffer.granted_octets.is_none_or(|granted| granted < buffer.needed_octets);
            assert_eq!(buffer.reason.is_some(), is_short, "{buffer:?}");
            assert!(
                buffer.granted_octets.is_none_or(|granted| buffer.tuned_max_octets < Some(granted)
                    || buffer.reason.as_ref().is_some_and(|why| why.contains("window")))
            );
        }
    }

    #[test]
    fn a_congestion_control_that_nobody_has_is_reported_with_those_there_are() {
        let (near, _far) = pair();
        near.set_congestion_control("reno").expect("every Linux has it");
        assert_eq!(near.congestion_control().expect("a socket"), "reno");
        let error = near.set_congestion_control("no_such").expect_err("nobody has it").to_string();
        assert!(error.contains("'no_such'") && error.contains("reno"), "{error}");
    }
    #[test]
    fn a_congestion_control_that_a_user_may_not_choose_is_reported_with_the_setting() {
        let why = not_allowed("cubic", "reno bbr");
        for part in ["may not choose", "net.ipv4.tcp_allowed_congestion_control has reno bbr"] {
            assert!(why.contains(part), "{why}");
        }
    }

    /// What the kernel would fill with 65 483 octets over loopback.
    #[test]
    fn the_first_syn_of_a_control_connection_clamps_the_segments_of_both_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let (near, far) = runtime.expect("a runtime").block_on(async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = listen_by(any, &Egress::default()).expect("a port");
            let at = listener.local_addr().expect("bound");
            let near = connect_by(at, &Egress::default()).await.expect("it listens");
            (near, listener.accept().await.expect("it was dialled").0)
        });
        for end in [&near, &far] {
            let info = sys::tcp_info(end.as_fd()).expect("a connection");
            assert!(info.mss_octets <= 1_220, "{info:?}");
            let how = sys::option::<1>(end.as_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
            assert_eq!(how.ok(), Some([0]), "routers may cut it");
        }
    }
}
