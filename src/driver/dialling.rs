//! How an agent is reached: every address of its name is tried in turn, until one answers.

use super::error::Error;
use crate::io::egress::{Egress, explain};
use crate::io::tcp::connect_by;
use crate::io::tls::{Connector, TlsError, TlsStream};
use crate::io::udp::Socket;
use crate::plan::Host;
use rand::TryRng as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long a connection may take, and then its TLS handshake.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long one address is waited for before the next is tried beside it (RFC 8305 has the idea;
/// this program is in less of a hurry).
const STAGGER: Duration = Duration::from_secs(1);

/// How long to wait, on average, before each further try of a handshake that was cut.
///
/// An agent has few places for connections that have not shown a key yet, and the newest of a
/// source takes that of its oldest ([`crate::agent`]): runs that begin together on one host push
/// each other out. Each pause is longer than the one before, so that all find a place, and random,
/// so that they do not come back together.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
];

/// Opens control connections to one agent.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    pub(super) egress: Egress,
    connector: Connector,
    host: Host,
}

/// A connection, the address that it is to, and what became of the addresses before it.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) agent: SocketAddr,
    pub(super) connection: TlsStream<TcpStream>,
    /// Where the name has more addresses than one: which was taken, and why no other.
    pub(super) note: Option<String>,
}

impl Dialler {
    /// Dials `host` as `connector` says.
    pub(super) const fn new(host: Host, egress: Egress, connector: Connector) -> Self {
        Self { egress, connector, host }
    }

    /// Connects to the first of `agents`, the addresses of the host, that answers as the agent.
    ///
    /// # Errors
    ///
    /// Where none does.
    pub(super) async fn reach(&self, agents: &[SocketAddr]) -> Result<Reached, Error> {
        let dial = |agent| {
            let dialler = self.clone();
            async move { dialler.dial(agent).await }
        };
        match first(agents, STAGGER, dial).await {
            Ok(First { address: agent, value: connection, passed_over }) => {
                let note = (1 < agents.len()).then(|| taken(&self.host, agent, &passed_over));
                Ok(Reached { agent, connection, note })
            }
            Err(failed) => Err(none_of(&self.host, failed)),
        }
    }

    /// Connects to `agent`.
    ///
    /// # Errors
    ///
    /// Where it does not answer, or not as the agent that is meant.
    pub(super) async fn dial(&self, agent: SocketAddr) -> Result<TlsStream<TcpStream>, Error> {
        for pause in PAUSES {
            let stream = self.connect(agent).await?;
            match self.connector.connect(stream, CONNECT_MAX).await {
                Err(error) if is_cut(&error) => {
                    tracing::debug!(%agent, %error, "the handshake is tried again");
                    tokio::time::sleep(around(pause)).await;
                }
                ended => return ended.map_err(|error| self.not_admitted(agent, error)),
            }
        }
        let stream = self.connect(agent).await?;
        self.admit(agent, stream).await
    }

    /// Makes a connection that is open a control connection.
    ///
    /// # Errors
    ///
    /// Where it does not answer as the agent that is meant.
    pub(super) async fn admit(
        &self,
        agent: SocketAddr,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let ended = self.connector.connect(stream, CONNECT_MAX).await;
        ended.map_err(|error| self.not_admitted(agent, error))
    }

    fn not_admitted(&self, agent: SocketAddr, error: TlsError) -> Error {
        match error {
            TlsError::Unexpected { expected, got } => {
                Error::AnotherKey { host: self.host.clone(), expected, got }
            }
            error => Error::NotAdmitted(format!("the agent at {agent}: {error}")),
        }
    }

    /// Opens a connection to `agent`, and says nothing.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) async fn connect(&self, agent: SocketAddr) -> Result<TcpStream, Error> {
        // What this host itself lacks is another error than an agent that does not answer.
        Socket::connect_by(agent, &self.egress).map_err(|error| no_way(agent, &error))?;
        let (ip, port) = (agent.ip(), agent.port());
        let connecting = connect_by(agent, &self.egress);
        let stream = match tokio::time::timeout(CONNECT_MAX, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(Error::Refused { agent, port });
            }
            Ok(Err(error)) => {
                return Err(Error::Unreachable { agent, ip, port, why: explain(&error) });
            }
            Err(_) => {
                return Err(Error::NoAnswer { agent, ip, port, secs: CONNECT_MAX.as_secs() });
            }
        };
        // Without it an answer may wait for an acknowledgement; where it cannot be had, it does.
        _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Whether the other end cut the connection in its handshake.
fn is_cut(error: &TlsError) -> bool {
    match error {
        TlsError::Closed => true,
        TlsError::Io(error) => {
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        }
        _ => false,
    }
}

/// A random time from half of `pause` to one and a half.
pub(super) fn around(pause: Duration) -> Duration {
    // Without randomness, all wait as long.
    let dice = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX / 2);
    pause / 2 + pause.mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

/// This host has no route, address, device or version of IP towards `agent`.
pub(super) fn no_way(agent: SocketAddr, error: &io::Error) -> Error {
    Error::System(format!("this host has no route to {agent}: {}", explain(error)))
}

/// The note of which address was taken.
fn taken(host: &Host, agent: SocketAddr, passed_over: &[(SocketAddr, Option<Error>)]) -> String {
    let mut text = format!("{host} has several addresses; {agent} is used");
    for (address, error) in passed_over {
        let why = error.as_ref().map_or_else(|| "no answer yet".to_owned(), why);
        text += &format!("; {address}: {why}");
    }
    text
}

/// Why an address did not serve, for a list of several.
fn why(error: &Error) -> String {
    match error {
        Error::Unreachable { why, .. } => why.clone(),
        Error::NoAnswer { secs, .. } => format!("no answer within {secs} s"),
        Error::Refused { .. } => "connection refused".to_owned(),
        error => error.to_string(),
    }
}

/// The one error of several: that of an agent that answered and did not fit, else all of them.
fn none_of(host: &Host, mut failed: Vec<(SocketAddr, Error)>) -> Error {
    let answered = |(_, error): &(SocketAddr, Error)| {
        matches!(error, Error::NotAdmitted(_) | Error::AnotherKey { .. })
    };
    let place = failed.iter().position(answered);
    match (place, failed.len()) {
        (Some(place), _) => failed.swap_remove(place).1,
        (None, 1) => failed.swap_remove(0).1,
        (None, _) => {
            let tried = failed.iter().map(|(agent, error)| format!("{agent}: {}", why(error)));
            let tried = tried.collect::<Vec<_>>().join("; ");
            Error::NoneAnswers { host: host.clone(), tried }
        }
    }
}

/// What was first, and what was tried before it and failed, or has not answered.
#[derive(Debug)]
struct First<T, E> {
    address: SocketAddr,
    value: T,
    passed_over: Vec<(SocketAddr, Option<E>)>,
}

/// Tries `addresses` in turn: the next where one fails, and beside one that takes longer than
/// `stagger`. The first that succeeds; or why each did not.
async fn first<T, E, Trying>(
    addresses: &[SocketAddr],
    stagger: Duration,
    attempt: impl Fn(SocketAddr) -> Trying,
) -> Result<First<T, E>, Vec<(SocketAddr, E)>>
where
    T: Send + 'static,
    E: Send + 'static,
    Trying: Future<Output = Result<T, E>> + Send + 'static,
{
    let (mut tries, mut failed) = (JoinSet::new(), Vec::new());
    let mut begun: Vec<SocketAddr> = Vec::new();
    let mut waiting = addresses.iter().copied();
    loop {
        if let Some(address) = waiting.next() {
            begun.push(address);
            let trying = attempt(address);
            tries.spawn(async move { (address, trying.await) });
        }
        let is_last = waiting.len() == 0;
        let ended = match tokio::time::timeout(stagger, tries.join_next()).await {
            Ok(ended) => ended,
            Err(_) if is_last => tries.join_next().await,
            Err(_) => continue,
        };
        match ended {
            Some(Ok((address, Ok(value)))) => {
                let mut passed_over: Vec<_> =
                    failed.into_iter().map(|(address, error)| (address, Some(error))).collect();
                let is_open = |other: &SocketAddr| {
                    *other != address && passed_over.iter().all(|(passed, _)| passed != other)
                };
                let open: Vec<_> = begun.into_iter().filter(is_open).collect();
                passed_over.extend(open.into_iter().map(|address| (address, None)));
                return Ok(First { address, value, passed_over });
            }
            Some(Ok((address, Err(error)))) => failed.push((address, error)),
            // A try neither panics nor is cancelled.
            Some(Err(_)) => {}
            None if is_last => return Err(failed),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGGER: Duration = Duration::from_millis(40);

    fn address(octet: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, octet], 4872))
    }

    /// Address 1 is refused, 2 never answers, 3 and 4 answer at once.
    async fn attempt(address: SocketAddr) -> Result<u16, &'static str> {
        match address.to_string().as_str() {
            "192.0.2.1:4872" => Err("refused"),
            "192.0.2.2:4872" => std::future::pending().await,
            _ => Ok(address.port()),
        }
    }

    fn tried(octets: &[u8]) -> Result<First<u16, &'static str>, Vec<(SocketAddr, &'static str)>> {
        let addresses: Vec<_> = octets.iter().copied().map(address).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(first(&addresses, STAGGER, attempt))
    }

    #[test]
    fn a_dead_first_address_is_passed_over() {
        for (octets, passed_over) in [
            (&[3, 4][..], vec![]),
            (&[1, 3], vec![(address(1), Some("refused"))]),
            (&[2, 3], vec![(address(2), None)]),
            (&[2, 1, 3], vec![(address(1), Some("refused")), (address(2), None)]),
        ] {
            let found = tried(octets).expect("one answers");
            assert_eq!((found.address, found.value), (address(3), 4872), "{octets:?}");
            assert_eq!(found.passed_over, passed_over, "{octets:?}");
        }
    }

    #[test]
    fn where_none_answers_each_is_named() {
        assert_eq!(tried(&[1]).expect_err("none"), [(address(1), "refused")]);
        assert_eq!(tried(&[]).expect_err("none"), []);
        let host = Host { name: "agent.example".into(), port: 4872 };
        let unreachable = |octet, why: &str| {
            let agent = address(octet);
            let (ip, port, why) = (agent.ip(), agent.port(), why.to_owned());
            (agent, Error::Unreachable { agent, ip, port, why })
        };
        let (agent, ip, port) = (address(2), address(2).ip(), address(2).port());
        let silent = (agent, Error::NoAnswer { agent, ip, port, secs: 5 });
        let failed = vec![unreachable(1, "refused"), silent];
        let error = none_of(&host, failed);
        assert!(matches!(error, Error::NoneAnswers { .. }));
        let text = error.to_string();
        let each = "192.0.2.1:4872: refused; 192.0.2.2:4872: no answer within 5 s";
        assert!(text.contains("agent.example:4872") && text.contains(each), "{text}");
        let other_key = (address(2), Error::NotAdmitted("another key".into()));
        let error = none_of(&host, vec![unreachable(1, "refused"), other_key]);
        assert_eq!(error.to_string(), "another key", "whoever answered is the one to look at");
    }

    #[test]
    fn the_report_says_which_address_was_taken_and_why() {
        let host = Host { name: "agent.example".into(), port: 4872 };
        let passed_over =
            [(address(1), Some(Error::System("no route".into()))), (address(2), None)];
        assert_eq!(
            taken(&host, address(3), &passed_over),
            "agent.example:4872 has several addresses; 192.0.2.3:4872 is used; 192.0.2.1:4872: \
             this host cannot do it: no route; 192.0.2.2:4872: no answer yet"
        );
    }
}
