//! A TUN device: the host's end of a line whose other end is a program.
//!
//! What the host sends into the device, the program reads, one IP packet at a time; what it writes,
//! the host receives. The device advertises no offloads, so each packet fits the device's MTU and
//! has its checksums. Addresses and routes are not made here: that is whose device it is.

use super::sys;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The far side of a TUN device; dropped, it is detached, and a device made by this is gone.
#[derive(Debug)]
pub struct Tun {
    packets: File,
}

impl Tun {
    /// Attaches to the TUN device `name`, and makes it where there is none; in the network
    /// namespace that the file `namespace` stands for, or in this process's own.
    ///
    /// # Errors
    ///
    /// What the system says: no such namespace, no right to do it, a name that is no name or that
    /// is another device's, or a device that has a far side already.
    ///
    /// # Panics
    ///
    /// Never: the thread that this starts does not.
    pub fn open(namespace: Option<&Path>, name: &str) -> io::Result<Self> {
        let Some(namespace) = namespace else { return Self::attach(name) };
        let namespace = File::open(namespace)?;
        // A thread that is in a namespace stays there until it ends, so this one never goes there.
        std::thread::scope(|scope| {
            let attached = scope.spawn(|| {
                sys::enter_network(namespace.as_fd())?;
                Self::attach(name)
            });
            attached.join().expect("opening and attaching never panic")
        })
    }

    fn attach(name: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let packets = options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let packets = packets.open("/dev/net/tun")?;
        sys::attach_tun(packets.as_fd(), name)?;
        Ok(Self { packets })
    }

    /// Reads the next packet that the host has sent, without waiting; its length, or `None` where
    /// there is none. What `buffer` has no room for is cut off.
    ///
    /// # Errors
    ///
    /// Where the device is down, or gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.packets.read(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the host receive `packet`, without waiting.
    ///
    /// # Errors
    ///
    /// Where the host does not take it: the device is down or gone, or it is no IP packet.
    pub fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        self.packets.write(packet).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_device_can_have_is_refused() {
        // 15 octets and a zero are all there is room for.
        for name in ["a-name-of-16-oct", "a\0b"] {
            let opened = Tun::open(None, name);
            // Who may not open the control device at all hears that first.
            assert!(opened.is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_is_an_error() {
        let missing = Tun::open(Some(Path::new("/nonexistent")), "emulation");
        assert_eq!(missing.map(drop).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
