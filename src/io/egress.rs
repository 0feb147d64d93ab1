//! Which of this host's addresses and devices its sockets use, where its routes are not to decide.

use socket2::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr};

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

    /// Binds `socket` to it, before it is bound or connected to anything else.
    ///
    /// # Errors
    ///
    /// Where this host has no such address or device, or this program may not bind to it: which,
    /// and what to do.
    pub fn bind(&self, socket: &Socket) -> io::Result<()> {
        self.bind_device(socket)?;
        let Some(source) = self.source else { return Ok(()) };
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| {
            let why = match error.raw_os_error() {
                Some(libc::EADDRNOTAVAIL) => "it is no address of this host".to_owned(),
                Some(libc::EAFNOSUPPORT | libc::EINVAL) => {
                    "it is of another version of IP than the agent's address".to_owned()
                }
                _ => error.to_string(),
            };
            told(&error, format!("cannot send from {source}: {why}. See: ip address"))
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
                    "this program may not: run it as root, or with CAP_NET_RAW".to_owned()
                }
                _ => error.to_string(),
            };
            told(&error, format!("cannot use the device '{device}': {why}"))
        })
    }
}

fn told(error: &io::Error, what: String) -> io::Error {
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
        match (egress.bind(&socket), part) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                let text = error.to_string();
                assert!(text.contains(part), "{text}");
            }
            (bound, part) => panic!("{bound:?} where {part:?} was expected"),
        }
    }

    #[test]
    fn what_this_host_does_not_have_is_told() {
        check(None, None, None);
        check(Some("127.0.0.9"), Some("lo"), None);
        check(Some("192.0.2.9"), None, Some("cannot send from 192.0.2.9: it is no address"));
        check(Some("::1"), None, Some("another version of IP"));
        let none = "cannot use the device 'nosuch0': this host has no such device";
        check(None, Some("nosuch0"), Some(none));
    }
}
