//! Where an agent is: a host and its port, as it is written in a plan and on the command line.
//!
//! This is the only place that says which of them are none.

use crate::account::is_device;
use crate::wire::PORT;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fmt, str::FromStr};

/// A host and a port, as `HOST[:PORT]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// A name or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(meant) = unbracketed(text) {
            let whole = if is_ipv6(text) && !text.contains('%') {
                format!("; if all of it is the address: [{text}]")
            } else {
                String::new()
            };
            return Err(format!("an IPv6 address with a port must be in brackets: {meant}{whole}"));
        }
        let (name, port) = split(text).ok_or_else(|| NOT_A_HOST.to_owned())?;
        one_host(name)?;
        Ok(Self { name: name.to_owned(), port: port.map_or(Ok(PORT), parse_port)? })
    }
}

const NOT_A_HOST: &str = "not a host: a name or an address, such as 10.0.0.7, 10.0.0.7:4872, \
                          [2001:db8::7]:4872, [fe80::7%eth0]:4872 or vpc-agent.example";

/// An IPv6 address in `text` whose port would be taken for a part of it, with brackets around the
/// address.
fn unbracketed(text: &str) -> Option<String> {
    let (address, port) = text.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    // Many addresses end in digits, and few in those of this port.
    let is_meant = port == PORT.to_string() || !is_ipv6(text) || text.contains('%');
    (is_port && is_meant && is_ipv6(address)).then(|| format!("[{address}]:{port}"))
}

/// The name or address in `text`, and its port where one is given.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if is_ipv6(text) {
        return Some((text, None));
    }
    match text.strip_prefix('[').map(|text| text.split_once(']')) {
        // What stands in brackets is an IPv6 address.
        Some(Some((inner, ""))) => is_ipv6(inner).then_some((inner, None)),
        Some(Some((inner, rest))) => {
            let port = rest.strip_prefix(':').filter(|_| is_ipv6(inner))?;
            Some((inner, Some(port)))
        }
        Some(None) => None,
        None => Some(text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port))))
            .filter(|(_, port)| port.is_none_or(|port| !port.starts_with('/'))),
    }
}

/// Whether one host can have this name or address.
fn one_host(name: &str) -> Result<(), String> {
    if is_ipv6(name) {
        let address = name.split_once('%').map_or(name, |(address, _)| address);
        return address.parse().map_or(Ok(()), one_hosts);
    }
    // A name may end in the dot of DNS's root.
    let labels = name.strip_suffix('.').unwrap_or(name);
    if NAME_LEN_MAX < name.len() || !labels.split('.').all(is_label) {
        return Err(NOT_A_HOST.to_owned());
    }
    // A name whose last part is a number is none (RFC 1123, section 2.1): resolvers take it for an
    // address, and some read "10.9.2" as 10.9.0.2.
    let is_number = |label: &str| {
        let hex =
            label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
        hex || label.bytes().all(|octet| octet.is_ascii_digit())
    };
    if !labels.rsplit('.').next().is_some_and(is_number) {
        return Ok(());
    }
    let address: Ipv4Addr = name.parse().map_err(|_| {
        format!("not an address: '{name}' is not four numbers from 0 to 255, such as 10.0.0.7")
    })?;
    one_hosts(address.into())
}

/// Whether `address` is one that a single host can have and be reached at.
///
/// # Errors
///
/// What it is instead, for a message that names the value itself.
pub fn one_hosts(address: IpAddr) -> Result<(), String> {
    let what = match address.to_canonical() {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "an address that stands for any of a host's own",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        address if address.is_unspecified() => "an address that stands for any of a host's own",
        address if address.is_multicast() => "a multicast address",
        _ => return Ok(()),
    };
    Err(format!("{what}: give the address of one host, such as 10.0.0.7 or 2001:db8::7"))
}

/// The longest name that DNS knows (RFC 1035, section 2.3.4).
const NAME_LEN_MAX: usize = 253;

/// The longest part of one.
const LABEL_LEN_MAX: usize = 63;

/// Whether `label` can stand between the dots of a name. Those of hosts have no `_`, and some are
/// called so all the same.
fn is_label(label: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether `text` is an IPv6 address, with or without its zone: the device that it is reached by
/// (RFC 4007, section 11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(a, zone)| (a, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_device)
}

impl Host {
    /// The zone of an IPv6 address: the name or the number of the device that it is reached by.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.name.split_once('%').map(|(_, zone)| zone)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse::<u16>().ok().filter(|port| 0 < *port);
    port.ok_or_else(|| format!("'{text}' is not a port: a number from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(text: &str, name: &str, port: u16) {
        assert_eq!(text.parse(), Ok(Host { name: name.to_owned(), port }));
    }

    #[test]
    fn a_host_may_name_its_port() {
        host("10.0.0.7", "10.0.0.7", PORT);
        host("10.0.0.7:99", "10.0.0.7", 99);
        host("vpc-agent.example:99", "vpc-agent.example", 99);
        host("::1", "::1", PORT);
        host("[::1]", "::1", PORT);
        host("[::1]:99", "::1", 99);
    }

    #[test]
    fn a_host_may_have_a_zone() {
        for text in ["fe80::1%eth0", "[fe80::1%eth0]", "[fe80::1%eth0]:4872"] {
            host(text, "fe80::1%eth0", PORT);
        }
        host("[fe80::1%3]:99", "fe80::1%3", 99);
        host("fe80::1%br-lan.100", "fe80::1%br-lan.100", PORT);
        let zone = |text: &str| text.parse::<Host>().expect("a host").zone().map(str::to_owned);
        assert_eq!(zone("[fe80::1%eth0]:99").as_deref(), Some("eth0"));
        assert_eq!(zone("fe80::1"), None);
        let shown = "[fe80::1%eth0]:99".parse::<Host>().expect("a host").to_string();
        assert_eq!(shown, "[fe80::1%eth0]:99");
    }

    /// It would be another address, or another device.
    #[test]
    fn an_ipv6_address_with_a_port_stands_in_brackets() {
        for (text, meant) in [
            ("::1:4872", "[::1]:4872"),
            ("2001:db8::7:4872", "[2001:db8::7]:4872"),
            ("2001:db8:0:1:2:3:4:5:99", "[2001:db8:0:1:2:3:4:5]:99"),
            ("fe80::1%eth0:99", "[fe80::1%eth0]:99"),
        ] {
            refused(text, &format!("must be in brackets: {meant}"));
        }
        refused("2001:db8::7:4872", "; if all of it is the address: [2001:db8::7:4872]");
        host("[2001:db8::7:4872]", "2001:db8::7:4872", PORT);
        for text in ["2001:db8::7:4873", "::4872", "::1:0"] {
            host(text, text, PORT);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let others =
            ["[host]", "[\u{1b}[2J]", "[::1]x", "fe80::1%", "fe80::1%a/b", "10.0.0.1%eth0", "[::1"];
        let names = ["", ":99", "host:0", "host:65536", "host:x", "a b", "http://host"];
        for text in names.into_iter().chain(others) {
            assert!(text.parse::<Host>().is_err(), "{text:?} was taken for a host");
        }
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let refusal = text.parse::<Host>().expect_err(text);
        assert!(refusal.contains(why), "{text:?}: {refusal}");
    }

    #[test]
    fn an_address_that_no_single_host_has_is_refused() {
        for text in ["0.0.0.0", "0.0.0.0:4872", "0.1.2.3", "::", "[::]:99", "::ffff:0.0.0.0"] {
            refused(text, "stands for any of a host's own: give the address of one host");
        }
        for text in ["224.0.0.1", "239.255.255.255:99", "ff02::1", "[ff02::1%eth0]:99"] {
            refused(text, "a multicast address: give the address of one host");
        }
        refused("255.255.255.255", "the broadcast address: give");
        for text in ["1.0.0.0", "223.255.255.255", "240.0.0.1", "127.0.0.1", "fe00::1"] {
            host(text, text, PORT);
        }
    }

    /// Resolvers read some of them as addresses, others as names that nobody has.
    #[test]
    fn what_only_looks_like_an_address_is_refused() {
        for text in ["10.9.2.300", "10.9.2", "10.9.2.7.1", "10", "10.9.2.07", "0x7f000001"] {
            refused(text, &format!("'{text}' is not four numbers from 0 to 255"));
        }
        for text in ["1.2.3.4:4872:3", "a..b", ".a", "-a", "a-", &"a".repeat(64)] {
            refused(text, "not a host: a name or an address, such as");
        }
        let long = |len: usize| ["a"; 127].join(".") + &"b".repeat(len);
        host(&long(0), &long(0), PORT);
        refused(&long(1), "not a host");
        for text in ["10.9.2.example", "7.a7", "agent.example.", "a_b", &"a".repeat(63)] {
            host(text, text, PORT);
        }
    }
}
