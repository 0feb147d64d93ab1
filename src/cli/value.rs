//! What both programs read alike.

use crate::account::is_device;
use crate::units::Malformed;
use crate::wire::PORT;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A quantity, or why it is none; clap says of which option.
pub(super) fn parse<T: FromStr<Err = Malformed>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Malformed| error.form())
}

/// Where to listen: an address, a port with a colon before it, or both.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, PORT));
    }
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(any, port));
    }
    let why = "not where to listen: an address, a port, or both, such as 10.9.2.1, :4873, \
               10.9.2.1:4873 or [2001:db8::7]:4873";
    text.parse().map_err(|_| why.to_owned())
}

/// A file or folder to write. What others take for their standard output is none.
#[cfg(feature = "driver")]
pub(super) fn parse_output(text: &str) -> Result<std::path::PathBuf, String> {
    let why = "not a file or folder to write: give it a name";
    if text.is_empty() || text == "-" { Err(why.to_owned()) } else { Ok(text.into()) }
}

/// The name of a network device.
pub(super) fn parse_device(text: &str) -> Result<String, String> {
    let why = "not the name of a device: 1 to 15 characters, such as \"eth1\"";
    is_device(text).then(|| text.to_owned()).ok_or_else(|| why.to_owned())
}
