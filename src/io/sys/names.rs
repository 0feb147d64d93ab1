//! The system's resolver, asked so that each of its errors can be distinguished.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::ptr;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 64;

/// Why there is no address, in the resolver's terms (`getaddrinfo(3)`).
#[derive(Debug)]
pub(in crate::io) enum Failed {
    /// `EAI_AGAIN`: no name server answered.
    Again(String),
    /// `EAI_SYSTEM`: this host could not ask.
    System(io::Error),
    /// Nobody has that name.
    None(String),
}

/// Every address of `name` with `port`, in the order of preference (RFC 6724).
pub(in crate::io) fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, Failed> {
    let name = CString::new(name).map_err(|error| Failed::None(error.to_string()))?;
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    look_up_by_itself();
    // SAFETY: all of `addrinfo` may be zero.
    let mut hints: libc::addrinfo = unsafe { zeroed() };
    hints.ai_family = libc::AF_UNSPEC;
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = ptr::null_mut();
    // SAFETY: the name ends in zero, the hints are alive, no service is given, and `list` is where
    // the result goes.
    let code =
        unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    match code {
        0 => {
            // SAFETY: the list is what the resolver has just made, and is freed once.
            let found = unsafe { addresses(list, port) };
            // SAFETY: likewise; nothing points into it any more.
            unsafe { libc::freeaddrinfo(list) };
            Ok(found)
        }
        libc::EAI_AGAIN => Err(Failed::Again(message(code))),
        libc::EAI_SYSTEM => Err(Failed::System(io::Error::last_os_error())),
        libc::EAI_MEMORY => Err(Failed::System(io::ErrorKind::OutOfMemory.into())),
        code => Err(Failed::None(message(code))),
    }
}

/// Has a static program look names up by its own code alone: in the hosts file, then by DNS. What
/// else `/etc/nsswitch.conf` names are libraries of the host, made for the host's C library; loaded
/// into a program with another one they may crash it.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
fn look_up_by_itself() {
    unsafe extern "C" {
        /// `nss.h` of the GNU C library.
        fn __nss_configure_lookup(
            database: *const libc::c_char,
            services: *const libc::c_char,
        ) -> libc::c_int;
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: both texts end in zero and are never freed, and no other thread looks names up
        // before this is done. Where it fails, what the host configured holds.
        unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    });
}

/// The addresses in `list`, with `port`.
///
/// # Safety
///
/// `list` must be what `getaddrinfo` made, and not be freed.
unsafe fn addresses(list: *const libc::addrinfo, port: u16) -> Vec<SocketAddr> {
    let (mut found, mut next) = (Vec::new(), list);
    while !next.is_null() && found.len() < ADDRESSES_MAX {
        // SAFETY: by this function's contract it is an entry of the list.
        let entry = unsafe { &*next };
        // SAFETY: all of `sockaddr_storage` may be zero.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let len = (entry.ai_addrlen as usize).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: the entry's address has `ai_addrlen` octets, and `storage` has room for `len`.
        let address = unsafe {
            ptr::copy_nonoverlapping(
                entry.ai_addr.cast::<u8>(),
                (&raw mut storage).cast::<u8>(),
                len,
            );
            super::socket_addr(&storage, entry.ai_addrlen)
        };
        found.extend(address.map(|mut address| {
            address.set_port(port);
            address
        }));
        next = entry.ai_next;
    }
    found
}

fn message(code: libc::c_int) -> String {
    // SAFETY: the text is the library's own, ends in zero and is never freed.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    let text = text.to_string_lossy();
    if cfg!(all(target_env = "gnu", target_feature = "crt-static")) {
        return format!(
            "{text} (this static build asks /etc/hosts and the name servers of /etc/resolv.conf \
             alone; an IP address needs neither)"
        );
    }
    text.into_owned()
}
