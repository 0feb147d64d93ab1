//! The connection of a TCP stream, dialled by the driver.

use super::tcp::say;
use super::{Control, LOOK_NS};
use crate::clock::Driver;
use crate::direction::Direction;
use crate::flow::TcpStream;
use crate::io::clock;
use crate::io::egress::Egress;
use crate::io::tcp::{Bulk, Moved};
use crate::wire::control::RunId;
use crate::wire::data::{ANSWER_LEN, DataHello, parse_answer};
use crate::wire::seal::Seals;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a connection may take, and then its answer.
const OPEN_MAX: Duration = Duration::from_secs(5);
const ANSWER_NS: u64 = 5_000_000_000;

/// Dials a stream's connection and has it accepted.
///
/// # Errors
///
/// What the kernel says, or why the agent did not take it.
pub(super) fn open(
    (peer, egress): (SocketAddr, &Egress),
    run: RunId,
    stream: &TcpStream,
    seals: &Seals,
    control: &Control<Driver>,
) -> io::Result<Bulk> {
    let is_reverse = stream.direction == Direction::Reverse;
    let receives = stream.buffer_needed().filter(|_| is_reverse);
    let bulk = Bulk::connect(peer, egress, OPEN_MAX, (stream.mtu, receives))?;
    bulk.set_mark(stream.dscp.number())?;
    let hello = DataHello { stream: stream.number, run, token: stream.token }.emit(&seals.sent);
    say(&bulk, &hello)?;
    let until = clock::now::<Driver>().after_nanos(ANSWER_NS);
    let mut answer = [0; ANSWER_LEN];
    let mut len = 0;
    while len < ANSWER_LEN {
        match bulk.read(&mut answer[len..]) {
            Moved::Octets(octets) => len += octets,
            Moved::Nothing if until <= clock::now() || control.is_stopped() => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Moved::Nothing => bulk.wait_readable(clock::now::<Driver>().after_nanos(LOOK_NS)),
            Moved::End => return Err(io::ErrorKind::ConnectionRefused.into()),
            Moved::Gone(why) => return Err(io::Error::other(why)),
        }
    }
    let accepted = parse_answer(&answer, &hello, &seals.received);
    accepted.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    Ok(bulk)
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "tests hold the listener")]
#[expect(clippy::disallowed_methods, reason = "tests start threads")]
mod tests {
    use super::*;
    use crate::dataplane::tcp::accept;
    use crate::trial::{CongestionControl, Dscp, LoadKind};
    use crate::units::Span;
    use crate::wire::Token;
    use crate::wire::data::HELLO_LEN;
    use std::net::TcpListener;

    #[test]
    fn a_stream_is_opened_by_its_key_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream {
            number: 1,
            token: Token(7),
            direction: Direction::Forward,
            rate: "1 Mbit/s".parse().expect("a rate"),
            duration: Span::from_secs(1),
            mtu: 1_500,
            congestion: CongestionControl::CUBIC,
            kind: LoadKind::FixedRate,
            verify: true,
            round_trip: Some(Span::from_millis(1)),
            dscp: Dscp::default(),
        };
        let open_with = |answered_by: u8| {
            let far = std::thread::spawn({
                let listener = listener.try_clone().expect("a descriptor");
                move || {
                    use std::io::Read as _;
                    let mut connection = listener.accept().expect("it was dialled").0;
                    let mut hello = [0; HELLO_LEN];
                    connection.read_exact(&mut hello).expect("a hello");
                    let bulk = Bulk::of(connection).expect("a socket");
                    let answered_by = Seals::of(&[answered_by; 32], Direction::Reverse);
                    let answer = accept(&bulk, &stream, &hello, &answered_by);
                    let seals = Seals::of(&[1; 32], Direction::Reverse);
                    (bulk, answer, DataHello::parse(&hello, &seals.received))
                }
            });
            let (run, seals) = (RunId(9), Seals::of(&[1; 32], Direction::Forward));
            let opened =
                open((address, &Egress::default()), run, &stream, &seals, &Control::default());
            let (_bulk, answered, hello) = far.join().expect("it never panics");
            answered.expect("a socket");
            assert_eq!(hello.map(|hello| (hello.run, hello.token)), Ok((run, stream.token)));
            opened.map(drop)
        };
        assert!(open_with(1).is_ok());
        assert!(open_with(2).is_err(), "an answer of somebody else's");
    }
}
