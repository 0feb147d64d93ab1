//! System calls that no safe crate wraps as we need them: the crate's only `unsafe`.
#![expect(unsafe_code, reason = "system calls take raw pointers; each block says why it is sound")]

pub(super) mod closed;
pub(super) mod file_system;
pub(super) mod names;
pub(super) mod screen;
pub(super) mod time_zone;

use crate::account::TcpInfo;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// Octets for the control messages of one datagram: stamp, drop counter, packet information.
const CONTROL_LEN: usize = 256;

/// The most datagrams of one system call.
pub(super) const MANY_MAX: usize = 64;

/// Control messages are read in place, so their buffer is aligned as their header is.
#[derive(Debug)]
#[repr(align(16))]
pub(super) struct Control([u8; CONTROL_LEN]);

impl Default for Control {
    fn default() -> Self {
        Self([0; CONTROL_LEN])
    }
}

/// What came with a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ancillary {
    /// Octets that were read.
    pub(super) len: usize,
    /// The datagram was longer than the buffer.
    pub(super) truncated: bool,
    /// Who sent it.
    pub(super) peer: Option<SocketAddr>,
    /// The address of this host that it was sent to.
    pub(super) local: Option<IpAddr>,
    /// When the kernel received it, on the wall clock.
    pub(super) real_ns: Option<u64>,
    /// When the network card did, on its own clock.
    pub(super) card_ns: Option<u64>,
    /// What the socket had dropped when it queued it.
    pub(super) drops: Option<u32>,
    /// Its differentiated services code point, where the socket asks for it.
    pub(super) mark: Option<u8>,
    /// Octets of each datagram that the kernel has joined to this one.
    pub(super) segment: Option<usize>,
}

/// Reads one datagram without waiting.
pub(super) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Ancillary> {
    let mut control = Control([0; CONTROL_LEN]);
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all of `msghdr` may be zero.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = socklen(size_of::<libc::sockaddr_storage>());
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LEN;
    // SAFETY: the header's pointers are to live buffers of the lengths beside them.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: zeroed octets are a valid `sockaddr_storage`, and the kernel wrote an address or
    // none.
    let peer = unsafe { socket_addr(&name.assume_init(), header.msg_namelen) };
    let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    let mut ancillary = Ancillary { len, truncated, peer, ..Ancillary::default() };
    // SAFETY: the kernel has filled the control buffer that the header points to.
    unsafe { read_control(&header, &mut ancillary) };
    Ok(ancillary)
}

/// Reads datagrams without waiting, each to a place of `each` octets of `octets`, with a place of
/// `controls`: as many as there are places. What is longer than its place is cut, and its whole
/// length given. Their senders are not.
pub(super) fn receive_many(
    fd: BorrowedFd<'_>,
    octets: &mut [u8],
    each: usize,
    controls: &mut [Control],
    into: &mut Vec<Ancillary>,
) -> io::Result<()> {
    // SAFETY: all of `iovec` and `mmsghdr` may be zero.
    let mut parts: [libc::iovec; MANY_MAX] = unsafe { zeroed() };
    // SAFETY: likewise.
    let mut headers: [libc::mmsghdr; MANY_MAX] = unsafe { zeroed() };
    let places = octets.chunks_exact_mut(each).zip(controls);
    let mut count = 0;
    for (((place, control), part), header) in places.zip(&mut parts).zip(&mut headers) {
        *part = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
        header.msg_hdr.msg_iov = &raw mut *part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_LEN;
        count += 1;
    }
    let (fd, flags) = (fd.as_raw_fd(), libc::MSG_DONTWAIT | libc::MSG_TRUNC);
    // SAFETY: the first `count` headers point to live buffers of the lengths beside them, each its
    // own; no time limit is given.
    let read =
        unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), count, flags as _, ptr::null_mut()) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    for header in &headers[..read] {
        let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let len = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
        let mut ancillary = Ancillary { len, truncated, ..Ancillary::default() };
        // SAFETY: the kernel has filled the control buffer that the header points to.
        unsafe { read_control(&header.msg_hdr, &mut ancillary) };
        into.push(ancillary);
    }
    Ok(())
}

/// Sends the datagrams of `each` octets that `octets` are to the connected peer without waiting, up
/// to [`MANY_MAX`] and with `flags`; how many the kernel took, at least one.
pub(super) fn send_many(
    fd: BorrowedFd<'_>,
    octets: &[u8],
    each: usize,
    flags: libc::c_int,
) -> io::Result<usize> {
    // SAFETY: all of `iovec` and `mmsghdr` may be zero.
    let mut parts: [libc::iovec; MANY_MAX] = unsafe { zeroed() };
    // SAFETY: likewise.
    let mut headers: [libc::mmsghdr; MANY_MAX] = unsafe { zeroed() };
    let mut count = 0;
    for ((octets, part), header) in octets.chunks(each).zip(&mut parts).zip(&mut headers) {
        *part = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        header.msg_hdr.msg_iov = &raw mut *part;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers point to live buffers of the lengths beside them, which
    // the kernel only reads.
    let flags = flags | libc::MSG_DONTWAIT;
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// # Safety
///
/// `header` must be as `recvmsg` left it, its control buffer alive.
unsafe fn read_control(header: &libc::msghdr, ancillary: &mut Ancillary) {
    // SAFETY: by this function's contract; CMSG_NXTHDR stays within the buffer.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let stamp: libc::timespec = ptr::read_unaligned(data.cast());
                    ancillary.real_ns = nanos(stamp);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
                    let [software_ns, _, card_ns] = three_ns(data);
                    ancillary.real_ns = software_ns.or(ancillary.real_ns);
                    ancillary.card_ns = card_ns;
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    ancillary.drops = Some(ptr::read_unaligned(data.cast()));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let octets: libc::c_int = ptr::read_unaligned(data.cast());
                    ancillary.segment = usize::try_from(octets).ok();
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    let class: u8 = ptr::read_unaligned(data.cast());
                    ancillary.mark = Some(class >> 2);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    let class: libc::c_int = ptr::read_unaligned(data.cast());
                    ancillary.mark = u8::try_from(class >> 2).ok();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    let octets = info.ipi_spec_dst.s_addr.to_ne_bytes();
                    ancillary.local = Some(IpAddr::V4(Ipv4Addr::from(octets)));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    ancillary.local = Some(IpAddr::V6(address));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// The stamps of an `SCM_TIMESTAMPING` message: the software's, one that no kernel gives any more,
/// and the network card's; 0 is none.
///
/// # Safety
///
/// `data` must be such a message's.
unsafe fn three_ns(data: *const u8) -> [Option<u64>; 3] {
    // SAFETY: by this function's contract three `timespec` stand there.
    let stamps: [libc::timespec; 3] = unsafe { ptr::read_unaligned(data.cast()) };
    stamps.map(|stamp| nanos(stamp).filter(|ns| 0 < *ns))
}

/// # Safety
///
/// `storage` must hold an address of `len` octets, or `len` be less than any address's.
unsafe fn socket_addr(
    storage: &libc::sockaddr_storage,
    len: libc::socklen_t,
) -> Option<SocketAddr> {
    let storage = ptr::from_ref(storage);
    let holds = |size: usize| socklen(size) <= len;
    // SAFETY: `sockaddr_storage` is large enough and aligned for both; the family says which.
    unsafe {
        match libc::c_int::from((*storage).ss_family) {
            libc::AF_INET if holds(size_of::<libc::sockaddr_in>()) => {
                let v4 = &*storage.cast::<libc::sockaddr_in>();
                let address = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::from((address, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 if holds(size_of::<libc::sockaddr_in6>()) => {
                let v6 = &*storage.cast::<libc::sockaddr_in6>();
                let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                let (flow, scope) = (v6.sin6_flowinfo, v6.sin6_scope_id);
                Some(std::net::SocketAddrV6::new(address, port, flow, scope).into())
            }
            _ => None,
        }
    }
}

/// Sends one datagram to `peer` without waiting, from the address `local` of this host, marked with
/// the code point `mark` and with `flags`.
pub(super) fn send_from(
    fd: BorrowedFd<'_>,
    octets: &[u8],
    peer: SocketAddr,
    local: Option<IpAddr>,
    (mark, flags): (u8, libc::c_int),
) -> io::Result<usize> {
    let name = socket2::SockAddr::from(peer);
    let mut control = Control([0; CONTROL_LEN]);
    let mut part =
        libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: all of `msghdr` may be zero.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LEN;
    // SAFETY: the control buffer is alive, zeroed, and longer than both messages together.
    header.msg_controllen = unsafe { write_control(&header, peer.ip(), local, mark) };
    if header.msg_controllen == 0 {
        header.msg_control = ptr::null_mut();
    }
    // SAFETY: the header's pointers are to live buffers of the lengths beside them; the kernel
    // only reads the datagram and the name.
    let flags = flags | libc::MSG_DONTWAIT;
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Writes the source address and the mark, where they are given, as the control messages; their
/// length.
///
/// # Safety
///
/// `header`'s control buffer must be alive, zeroed, and hold the largest of both messages.
unsafe fn write_control(
    header: &libc::msghdr,
    peer: IpAddr,
    local: Option<IpAddr>,
    mark: u8,
) -> usize {
    let mut len = 0;
    // SAFETY: by this function's contract the first header and its data are within the buffer, and
    // so are the second where the first one's length is written.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        match local {
            Some(IpAddr::V4(address)) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from_ne_bytes(address.octets());
                len += write_message(message, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(address)) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = address.octets();
                len += write_message(message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        if 0 < mark {
            if 0 < len {
                message = libc::CMSG_NXTHDR(header, message);
            }
            let class = libc::c_int::from(mark) << 2;
            // An IPv6 socket that sends to an IPv4 address sends IPv4.
            let (level, kind) = match peer.to_canonical() {
                IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
                IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            };
            len += write_message(message, level, kind, class);
        }
    }
    len
}

/// Writes one control message; its length.
///
/// # Safety
///
/// `message` must be a header with room for `value` behind it.
unsafe fn write_message<T>(
    message: *mut libc::cmsghdr,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let len = socklen(size_of::<T>());
    // SAFETY: by this function's contract.
    unsafe {
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(len) as usize;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), value);
        libc::CMSG_SPACE(len) as usize
    }
}

/// What the kernel has queued on a socket beside its datagrams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queued {
    /// An error, by its number; 0 for what is none that is known.
    Error(u32),
    /// A datagram left: its number among those sent, and when, on the wall clock or on the network
    /// card's.
    Left { number: u32, real_ns: Option<u64>, card_ns: Option<u64> },
}

/// Reads away one entry of the socket's error queue; `None` where there is none.
pub(super) fn queued(fd: BorrowedFd<'_>) -> Option<Queued> {
    let mut control = Control([0; CONTROL_LEN]);
    // SAFETY: all of `msghdr` may be zero.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LEN;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the control buffer is alive; there is no other.
    if unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) } < 0 {
        return None;
    }
    let (mut stamps, mut error) = (None, None);
    // SAFETY: the kernel has filled the control buffer; CMSG_NXTHDR stays within it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => stamps = Some(three_ns(data)),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    error = Some(ptr::read_unaligned(data.cast::<libc::sock_extended_err>()));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    Some(match (error, stamps) {
        (Some(error), Some([real_ns, _, card_ns]))
            if error.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING =>
        {
            Queued::Left { number: error.ee_data, real_ns, card_ns }
        }
        (Some(error), _) => Queued::Error(error.ee_errno),
        (None, _) => Queued::Error(0),
    })
}

/// Marks what `fd` sends from now on with the code point `mark`, by either version of IP.
pub(super) fn set_mark(fd: BorrowedFd<'_>, is_ipv6: bool, mark: u8) -> io::Result<()> {
    let class = libc::c_int::from(mark) << 2;
    if is_ipv6 {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)?;
    }
    set_option(fd, libc::IPPROTO_IP, libc::IP_TOS, class)
}

/// Sets a socket option that is one integer.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = socklen(size_of::<libc::c_int>());
    let value = (&raw const value).cast();
    // SAFETY: `value` is alive and as long as `len` says.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, len) })
}

/// Reads a socket option that is a row of up to `N` integers.
pub(super) fn option<const N: usize>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<[u32; N]> {
    let mut values = [0_u32; N];
    let mut len = socklen(size_of_val(&values));
    let target = values.as_mut_ptr().cast();
    // SAFETY: `values` is alive and as long as `len` says; any octets are valid integers.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, target, &raw mut len) })?;
    Ok(values)
}

/// Takes up to `most` octets from a TCP socket without copying them anywhere (tcp(7), `MSG_TRUNC`).
pub(super) fn discard(fd: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with `MSG_TRUNC` TCP writes nothing to the buffer, so there is none.
    let taken = unsafe { libc::recv(fd.as_raw_fd(), ptr::null_mut(), most, flags) };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// Has TCP send at most so many octets of payload a second.
pub(super) fn set_pacing_rate(fd: BorrowedFd<'_>, octets_per_second: u64) -> io::Result<()> {
    let len = socklen(size_of::<u64>());
    let value = (&raw const octets_per_second).cast();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE);
    // SAFETY: the value is alive and as long as `len` says.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, len) })
}

/// What the kernel knows of a TCP connection; `None` for what it is too old to report.
pub(super) fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    // SAFETY: all of `tcp_info` may be zero.
    let mut info: libc::tcp_info = unsafe { zeroed() };
    let mut len = socklen(size_of::<libc::tcp_info>());
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let target = (&raw mut info).cast();
    // SAFETY: `info` is alive and as long as `len` says; the kernel writes no more than that.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, target, &raw mut len) })?;
    let within = |end: usize, value: u64| (socklen(end) <= len).then_some(value);
    macro_rules! field {
        ($name:ident) => {
            within(
                std::mem::offset_of!(libc::tcp_info, $name) + size_of_val(&info.$name),
                u64::from(info.$name),
            )
        };
    }
    Ok(TcpInfo {
        rtt_us: info.tcpi_rtt.into(),
        // The kernel reports the greatest number where it has no sample.
        min_rtt_us: field!(tcpi_min_rtt).filter(|rtt_us| *rtt_us < u64::from(u32::MAX)),
        cwnd_segments: info.tcpi_snd_cwnd.into(),
        mss_octets: info.tcpi_snd_mss,
        timestamps: info.tcpi_options & TCPI_OPT_TIMESTAMPS != 0,
        retransmitted_segments: info.tcpi_total_retrans.into(),
        sent_octets: field!(tcpi_bytes_sent),
        retransmitted_octets: field!(tcpi_bytes_retrans),
        duplicate_segments: field!(tcpi_dsack_dups),
        reordered: field!(tcpi_reord_seen),
        busy_us: field!(tcpi_busy_time),
        receiver_limited_us: field!(tcpi_rwnd_limited),
        buffer_limited_us: field!(tcpi_sndbuf_limited),
    })
}

/// Octets and segments that a TCP connection has sent and received until now, retransmissions and
/// segments without payload among them, in the order of [`super::tcp::Carried`]; 0 for what the
/// kernel is too old to report it.
pub(super) fn tcp_carried(fd: BorrowedFd<'_>) -> io::Result<[u64; 4]> {
    // SAFETY: all of `tcp_info` may be zero.
    let mut info: libc::tcp_info = unsafe { zeroed() };
    let mut len = socklen(size_of::<libc::tcp_info>());
    let target = (&raw mut info).cast();
    // SAFETY: `info` is alive and as long as `len` says; the kernel writes no more than that.
    checked(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, target, &raw mut len)
    })?;
    let [sent, received] = [info.tcpi_bytes_sent, info.tcpi_bytes_received];
    Ok([sent, info.tcpi_segs_out.into(), received, info.tcpi_segs_in.into()])
}

/// The soft limit of open files, raised to the hard one where that is higher.
pub(super) fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is alive.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` is alive.
    let is_raised = checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) });
    Ok(if is_raised.is_ok() { raised.rlim_cur } else { limit.rlim_cur })
}

/// The largest window that a TCP connection can ever offer, in octets (RFC 7323, section 2.2).
pub(super) fn window_max(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // Two scales of four bits each behind six octets: the sender's, and this end's.
    let [_, second] = option::<2>(fd, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    let scales = second.to_ne_bytes()[2];
    let scale = if cfg!(target_endian = "little") { scales >> 4 } else { scales & 15 };
    Ok(u64::from(u16::MAX) << scale)
}

/// Of `tcpi_options`: segments carry timestamps (linux/tcp.h).
const TCPI_OPT_TIMESTAMPS: u8 = 1;

/// Waits until `fd` can be read, at most `limit`; whether it can.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLIN, limit)
}

/// Waits until `fd` can be written, at most `limit`; whether it can.
pub(super) fn wait_writable(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLOUT, limit)
}

fn wait(fd: BorrowedFd<'_>, events: libc::c_short, limit: Duration) -> io::Result<bool> {
    let mut set = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    let limit = timespec(limit);
    // SAFETY: one live `pollfd`, a live `timespec`, no signal mask.
    let ready = unsafe { libc::ppoll(&raw mut set, 1, &raw const limit, ptr::null()) };
    match ready {
        0.. => Ok(0 < ready),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

/// The time of a clock, in nanoseconds.
pub(super) fn clock_ns(clock: libc::clockid_t) -> u64 {
    // SAFETY: all of `timespec` may be zero.
    let mut time: libc::timespec = unsafe { zeroed() };
    // SAFETY: `time` is alive.
    let result = checked(unsafe { libc::clock_gettime(clock, &raw mut time) });
    debug_assert!(result.is_ok(), "Linux has this clock: {result:?}");
    nanos(time).unwrap_or(0)
}

/// What the kernel knows of its wall clock (adjtimex(2)): the most that it may be off, in
/// microseconds, with what it has still to make up for; `None` where no time service keeps it, or
/// the one that does states no error.
///
/// chronyd and ntpd set both errors. systemd-timesyncd sets both to 0 at each poll, however far off
/// the clock is, and phc2sys sets the maximum alone: neither is a statement.
pub(super) fn wall_error_us() -> Option<u64> {
    // SAFETY: all of `timex` may be zero; no mode asks for a reading alone.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: `state` is alive.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    let is_kept = 0 <= result && result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0;
    let is_stated = 0 < state.esterror && state.esterror <= state.maxerror;
    let offset_units = if state.status & libc::STA_NANO == 0 { 1 } else { 1_000 };
    let pending_us = state.offset.unsigned_abs() / offset_units + 1;
    let stated_us = u64::try_from(state.maxerror).ok().filter(|_| is_kept && is_stated);
    stated_us.map(|stated_us| stated_us.saturating_add(pending_us))
}

/// Sleeps until the monotonic clock shows `until_ns`.
pub(super) fn sleep_until(until_ns: u64) {
    let until = timespec(Duration::from_nanos(until_ns));
    loop {
        // SAFETY: `until` is alive; no remainder is asked for with an absolute time.
        let result = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const until,
                ptr::null_mut(),
            )
        };
        if result != libc::EINTR {
            return;
        }
    }
}

/// Lets this thread's sleeps end when they are due, not up to 50 us later.
pub(super) fn tighten_timer_slack() {
    // SAFETY: this `prctl` takes an integer and no pointer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// Has this thread run ahead of all that are not real-time's, where this user may.
pub(super) fn run_first() -> io::Result<()> {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: `first` is alive; 0 is this thread.
    checked(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const first) })
}

/// Moves this thread, and no other, into a network namespace.
pub(super) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two integers and no pointer.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// The clock that `device`, a `/dev/ptpN`, stands for (clock_gettime(2), "Dynamic clocks").
pub(super) fn clock_of(device: BorrowedFd<'_>) -> libc::clockid_t {
    const CLOCK_FD: libc::clockid_t = 3;
    (!device.as_raw_fd() << 3) | CLOCK_FD
}

/// What of all that leaves and of all that comes the network card `name` is set up to stamp
/// (linux/net_tstamp.h).
pub(super) fn stamping_of(socket: BorrowedFd<'_>, name: &str) -> io::Result<(u32, u32)> {
    let mut config = libc::hwtstamp_config { flags: 0, tx_type: 0, rx_filter: 0 };
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_data = (&raw mut config).cast();
    // SAFETY: `request` is alive and points to a live `hwtstamp_config`: what this request reads
    // and writes.
    checked(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCGHWTSTAMP as _, &raw mut request)
    })?;
    Ok((config.tx_type.cast_unsigned(), config.rx_filter.cast_unsigned()))
}

/// A request about the network interface `name`.
fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all of `ifreq` may be zero.
    let mut request: libc::ifreq = unsafe { zeroed() };
    // The last octet stays the zero that ends the name.
    if request.ifr_name.len() <= name.len() || name.contains('\0') {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (target, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *target = libc::c_char::from_ne_bytes([octet]);
    }
    Ok(request)
}

/// Makes `control`, a fresh `/dev/net/tun`, the far side of the TUN device `name` of this thread's
/// network namespace: IP packets without a header in front (tun, "Frame format").
pub(super) fn attach_tun(control: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_flags = TUN_FLAGS;
    // SAFETY: `request` is alive, and an `ifreq` is what this request reads and writes.
    checked(unsafe { libc::ioctl(control.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

#[expect(clippy::cast_possible_truncation, reason = "both flags are below 2^15: 0x1001")]
const TUN_FLAGS: libc::c_short = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn nanos(time: libc::timespec) -> Option<u64> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
}

fn timespec(span: Duration) -> libc::timespec {
    let tv_sec = span.as_secs().try_into().unwrap_or(libc::time_t::MAX);
    libc::timespec { tv_sec, tv_nsec: span.subsec_nanos().into() }
}

fn socklen(len: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(len).expect("addresses and options are short")
}
