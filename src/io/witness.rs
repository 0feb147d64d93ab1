//! Asks a host beside the link, ten times a second, whether it still answers and how fast: by ping
//! (ICMP echo), or by its STAMP reflector (RFC 8762, unauthenticated).
//!
//! A ping takes the group of `net.ipv4.ping_group_range`, or a raw socket, which root has.

use super::clock;
use crate::clock::Driver;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);

/// Requests whose departure is remembered: an answer that is later than 25 s is none.
const KEPT: usize = 256;

/// Octets behind the header of an ICMP echo: which request it is an answer to.
const ECHO_LEN: usize = 24;
const STAMP_LEN: usize = 44;

/// A host that is asked until this is dropped.
#[derive(Debug)]
pub struct WitnessProbe {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    answered: AtomicU64,
    round_trip_ns: AtomicU64,
    is_over: AtomicBool,
}

/// What a host has answered so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WitnessAnswers {
    /// Requests that left.
    pub sent: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// The newest round trip, in nanoseconds; `None` before the first.
    pub round_trip_ns: Option<u64>,
}

impl WitnessProbe {
    /// Asks the host at `address` from now on: its STAMP reflector at `port`, or by ping.
    ///
    /// # Errors
    ///
    /// Where this user may not ping, or there is no route.
    pub fn begin(address: IpAddr, port: Option<u16>) -> io::Result<Self> {
        let asker = Asker::open(address, port)?;
        let shared = Arc::new(Shared::default());
        let probe = Self { shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("witness".to_owned());
        thread.spawn(move || asker.ask(&shared))?;
        Ok(probe)
    }

    /// What it has answered so far.
    #[must_use]
    pub fn answers(&self) -> WitnessAnswers {
        let round_trip_ns = self.shared.round_trip_ns.load(Relaxed);
        WitnessAnswers {
            sent: self.shared.sent.load(Relaxed),
            answered: self.shared.answered.load(Relaxed),
            round_trip_ns: (0 < round_trip_ns).then_some(round_trip_ns),
        }
    }
}

impl Drop for WitnessProbe {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
    }
}

/// How a host is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Echo4 { has_header: bool },
    Echo6,
    Stamp,
}

struct Asker {
    socket: Socket,
    form: Form,
    /// Distinguishes this series from those of others.
    tag: u64,
}

impl Asker {
    fn open(address: IpAddr, port: Option<u16>) -> io::Result<Self> {
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let (socket, form) = match (port, address) {
            (Some(_), _) => (Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?, Form::Stamp),
            (None, IpAddr::V4(_)) => {
                let (socket, is_raw) = ping_socket(domain, Protocol::ICMPV4)?;
                (socket, Form::Echo4 { has_header: is_raw })
            }
            (None, IpAddr::V6(_)) => (ping_socket(domain, Protocol::ICMPV6)?.0, Form::Echo6),
        };
        socket.connect(&SockAddr::from(SocketAddr::new(address, port.unwrap_or(0))))?;
        let tag = clock::now::<Driver>().nanos();
        Ok(Self { socket, form, tag })
    }

    fn ask(&self, shared: &Shared) {
        let mut left = [None::<Instant>; KEPT];
        let (mut sequence, mut due) = (0_u32, Instant::now());
        while !shared.is_over.load(Relaxed) {
            let place = sequence as usize % KEPT;
            left[place] = Some(Instant::now());
            // What this host cannot send is lost for whoever is asked: it shows no harm, and an
            // unreachable host does.
            _ = self.socket.send(&self.request(sequence));
            shared.sent.fetch_add(1, Relaxed);
            (sequence, due) = (sequence.wrapping_add(1), due + EVERY);
            self.listen(due, &mut left, shared);
        }
    }

    /// Takes in what comes until `due`.
    fn listen(&self, due: Instant, left: &mut [Option<Instant>; KEPT], shared: &Shared) {
        let mut buffer = [0; 256];
        while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|it| !it.is_zero())
        {
            _ = self.socket.set_read_timeout(Some(rest.max(Duration::from_millis(1))));
            let Ok(len) = (&self.socket).read(&mut buffer) else {
                // A refused port answers at once, and again.
                clock::wait_until(clock::now::<Driver>().after_nanos(1_000_000), 0);
                continue;
            };
            let Some(sequence) = self.answered(&buffer[..len]) else { continue };
            if let Some(at) = left[sequence as usize % KEPT].take() {
                let ns = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
                shared.round_trip_ns.store(ns.max(1), Relaxed);
                shared.answered.fetch_add(1, Relaxed);
            }
        }
    }

    fn request(&self, sequence: u32) -> Vec<u8> {
        if self.form == Form::Stamp {
            let mut octets = vec![0; STAMP_LEN];
            octets[..4].copy_from_slice(&sequence.to_be_bytes());
            return octets;
        }
        let mut octets = vec![0; ECHO_LEN];
        octets[0] = if self.form == Form::Echo6 { 128 } else { 8 };
        octets[6..8].copy_from_slice(&sequence.to_be_bytes()[2..]);
        octets[8..16].copy_from_slice(&self.tag.to_be_bytes());
        octets[16..20].copy_from_slice(&sequence.to_be_bytes());
        if self.form != Form::Echo6 {
            let sum = checksum(&octets);
            octets[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        octets
    }

    /// The number of the request that `octets` answer.
    fn answered(&self, octets: &[u8]) -> Option<u32> {
        let number = |octets: &[u8]| Some(u32::from_be_bytes(octets.get(..4)?.try_into().ok()?));
        let echo = match self.form {
            Form::Stamp => return number(octets.get(24..)?),
            Form::Echo4 { has_header: true } => {
                let header = usize::from(octets.first()? & 0x0f) * 4;
                octets.get(header..)?
            }
            Form::Echo4 { .. } | Form::Echo6 => octets,
        };
        let is_reply = *echo.first()? == if self.form == Form::Echo6 { 129 } else { 0 };
        let is_ours = echo.get(8..16)? == self.tag.to_be_bytes();
        (is_reply && is_ours).then(|| number(echo.get(16..)?)).flatten()
    }
}

/// A socket for pings, and whether it is a raw one.
fn ping_socket(domain: Domain, protocol: Protocol) -> io::Result<(Socket, bool)> {
    let plain = Socket::new(domain, Type::DGRAM, Some(protocol));
    let (socket, is_raw) = match plain {
        Ok(socket) => (socket, false),
        Err(error) => match Socket::new(domain, Type::RAW, Some(protocol)) {
            Ok(socket) => (socket, true),
            Err(_) => return Err(error),
        },
    };
    Ok((socket, is_raw))
}

/// RFC 1071, of an even number of octets.
fn checksum(octets: &[u8]) -> u16 {
    let sum: u32 =
        octets.chunks_exact(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};

    /// Waits for up to 5 s until `probe` was answered so often.
    fn answers_of(probe: &WitnessProbe, least: u64) -> WitnessAnswers {
        let end = Instant::now() + Duration::from_secs(5);
        while probe.answers().answered < least && Instant::now() < end {
            clock::wait_until(clock::now::<Driver>().after_nanos(10_000_000), 0);
        }
        probe.answers()
    }

    #[test]
    fn a_reflector_answers_and_its_silence_is_seen() {
        let reflector = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let at = reflector.local_addr().expect("an address");
        let probe = WitnessProbe::begin(at.ip(), Some(at.port())).expect("a route");
        let mut buffer = [0; 64];
        for _ in 0..2 {
            let (len, from) = reflector.recv_from(&mut buffer).expect("a request");
            assert_eq!(len, STAMP_LEN);
            let mut reply = [0; STAMP_LEN];
            reply[24..28].copy_from_slice(&buffer[..4]);
            reflector.send_to(&reply, from).expect("sent");
        }
        let answers = answers_of(&probe, 2);
        assert_eq!(answers.answered, 2);
        assert!(answers.round_trip_ns.is_some());
        reflector.recv_from(&mut buffer).expect("it is asked still");
        assert!(2 < probe.answers().sent);
    }

    /// Where this user may not ping, that is said, and nothing else is tested.
    #[test]
    fn this_host_answers_a_ping() {
        let Ok(probe) = WitnessProbe::begin(Ipv4Addr::LOCALHOST.into(), None) else { return };
        assert!(1 < answers_of(&probe, 2).answered, "{probe:?}");
    }
}
