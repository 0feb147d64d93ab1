//! Which of this host's addresses and devices its sockets use, where its routes are not to decide.

use socket2::Socket;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// What sockets are bound to; nothing where all is left to the kernel's routes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Egress {
    /// The address of this host that they send from.
    pub source: Option<IpAddr>,
    /// The device that they send by.
    pub device: Option<String>,
}

impl Egress {
    /// The way by `device`, where one is given, from whichever address.
    #[must_use]
    pub const fn by(device: Option<String>) -> Self {
        Self { source: None, device }
    }

    /// Binds `socket` to it, before it is connected to `peer`. A link-local source is one of the
    /// zone that the peer is in.
    ///
    /// # Errors
    ///
    /// Where this host has no such address or device, or this program may not bind to it: which,
    /// and what to do.
    pub fn bind(&self, socket: &Socket, peer: SocketAddr) -> io::Result<()> {
        self.bind_device(socket)?;
        let Some(source) = self.source else { return Ok(()) };
        socket.bind(&beside(source, 0, peer).into()).map_err(|error| {
            let why = match error.raw_os_error() {
                Some(libc::EADDRNOTAVAIL) => "it is not an address of this host".to_owned(),
                Some(libc::EAFNOSUPPORT | libc::EINVAL) => {
                    "it is of another version of IP than the agent's address".to_owned()
                }
                _ => error.to_string(),
            };
            explained(&error, format!("cannot send from {source}: {why}. See: ip address"))
        })
    }

    /// Binds `socket` to the device alone.
    ///
    /// # Errors
    ///
    /// Like [`Self::bind`].
    pub fn bind_device(&self, socket: &Socket) -> io::Result<()> {
        let Some(device) = &self.device else { return Ok(()) };
        socket.bind_device(Some(device.as_bytes())).map_err(|error| {
            let why = match error.raw_os_error() {
                Some(libc::ENODEV | libc::EINVAL) => {
                    "this host has no such device. See: ip link".to_owned()
                }
                Some(libc::EPERM) => {
                    "not permitted: run this program as root, or with CAP_NET_RAW".to_owned()
                }
                _ => error.to_string(),
            };
            explained(&error, format!("cannot use the device '{device}': {why}"))
        })
    }
}

/// The address `ip` of this host with `port`, in the zone of `peer` where it has one.
#[must_use]
pub fn beside(ip: IpAddr, port: u16, peer: SocketAddr) -> SocketAddr {
    match (ip, peer) {
        (IpAddr::V6(ip), SocketAddr::V6(peer)) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, port, 0, peer.scope_id()).into()
        }
        _ => SocketAddr::new(ip, port),
    }
}

/// `address` in the form of its own version of IP, its zone kept: a listener for both versions
/// names IPv4 addresses in IPv6's form.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Has `listen` listen at `local`. A kernel without IPv6 cannot listen at `[::]`, which stands for
/// all addresses of this host: there these are `0.0.0.0`.
///
/// # Errors
///
/// Those of `listen`.
pub fn listen_at<T>(
    local: SocketAddr,
    listen: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let everywhere = local.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match listen(local) {
        Err(error) if everywhere && has_no_ipv6(&error) => {
            tracing::info!("this host has no IPv6: serving IPv4 only");
            listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, local.port())))
        }
        listens => listens,
    }
}

/// Whether `error` is that of a kernel, or of a network namespace, without IPv6.
fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// What went wrong on the way to an address, in words: the kernel's own are of no help where this
/// host lacks a version of IP.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => {
            "this host's kernel does not have that version of IP".to_owned()
        }
        _ => error.to_string(),
    }
}

fn explained(error: &io::Error, what: String) -> io::Error {
    io::Error::new(error.kind(), what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};

    #[track_caller]
    fn check(source: Option<&str>, device: Option<&str>, part: Option<&str>) {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        let source = source.map(|source| source.parse().expect("an address"));
        let egress = Egress { source, device: device.map(str::to_owned) };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        match (egress.bind(&socket, peer), part) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                let text = error.to_string();
                assert!(text.contains(part), "{text}");
            }
            (bound, part) => panic!("{bound:?} where {part:?} was expected"),
        }
    }

    /// A kernel that has IPv6, or not, and has given out port 7 already.
    fn listened(local: &str, has_ipv6: bool) -> Result<SocketAddr, Option<i32>> {
        let listen = |local: SocketAddr| match (local.is_ipv6() && !has_ipv6, local.port()) {
            (true, _) => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
            (false, 7) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
            (false, _) => Ok(local),
        };
        let local = local.parse().expect("an address");
        listen_at(local, listen).map_err(|error| error.raw_os_error())
    }

    #[test]
    fn a_host_without_ipv6_is_served_over_ipv4() {
        let at = |text: &str| Ok(text.parse().expect("an address"));
        assert_eq!(listened("[::]:4872", true), at("[::]:4872"));
        assert_eq!(listened("[::]:4872", false), at("0.0.0.0:4872"));
        assert_eq!(listened("0.0.0.0:4872", false), at("0.0.0.0:4872"));
        // Whoever names an address means that one.
        assert_eq!(listened("[::1]:4872", false), Err(Some(libc::EAFNOSUPPORT)));
        assert_eq!(listened("[::]:7", true), Err(Some(libc::EADDRINUSE)));
        assert_eq!(listened("[::]:7", false), Err(Some(libc::EADDRINUSE)));
    }

    #[test]
    fn a_zone_is_kept_and_lent_to_what_is_link_local() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let peer = at("[fe80::1%3]:99");
        assert_eq!(beside(ip("fe80::2"), 7, peer), at("[fe80::2%3]:7"));
        assert_eq!(beside(ip("2001:db8::2"), 7, peer), at("[2001:db8::2]:7"));
        assert_eq!(beside(ip("10.0.0.2"), 7, at("10.0.0.1:99")), at("10.0.0.2:7"));
        assert_eq!(canonical(peer), peer);
        assert_eq!(canonical(at("[::ffff:10.0.0.1]:99")), at("10.0.0.1:99"));
    }

    #[test]
    fn what_this_host_does_not_have_is_named() {
        check(None, None, None);
        check(Some("127.0.0.9"), Some("lo"), None);
        check(Some("192.0.2.9"), None, Some("cannot send from 192.0.2.9: it is not an address"));
        check(Some("::1"), None, Some("another version of IP"));
        let none = "cannot use the device 'nosuch0': this host has no such device";
        check(None, Some("nosuch0"), Some(none));
    }
}
