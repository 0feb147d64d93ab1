//! An agent that lies: between driver and agent stands one that holds the agent's key, and changes
//! what it says it has counted. Whatever that is, the driver writes its report, and never crashes.

use crate::support::{Agent, run, share};
use linkqual::account::Status;
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::{Acceptor, Connector, Identity};
use linkqual::report::Report;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long a handshake may take.
const SOON: Duration = Duration::from_secs(10);

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// What the liar makes of the text of a message.
type Lie = fn(&str) -> String;

/// Stands at the agent's port of another loopback address.
struct Liar {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Liar {
    fn start(agent: &Agent, lie: Lie) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 2], agent.address.port()));
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = vec![pass_datagrams(address, agent.address, &is_over), {
            let (is_over, target) = (Arc::clone(&is_over), agent.address);
            let own = Identity::new(&read_secret(&agent.keys.path("agent")).unwrap());
            let driver = Identity::new(&read_secret(&agent.keys.path("driver")).unwrap());
            let driver_key = read_public(&agent.keys.path("driver.pub")).unwrap().key();
            let agent_key = read_public(&agent.keys.path("agent.pub")).unwrap().key();
            let acceptor = Acceptor::new(&own, [driver_key]);
            let connector = Connector::new(&driver, agent_key);
            let listener = std::net::TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let listener = TcpListener::from_std(listener).unwrap();
                    while !is_over.load(Relaxed) {
                        let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await
                        else {
                            continue;
                        };
                        let (acceptor, connector) = (acceptor.clone(), connector.clone());
                        let (stream, _) = accepted.unwrap();
                        tokio::spawn(converse(stream, target, acceptor, connector, lie));
                    }
                });
            })
        }];
        Self { address, is_over, threads }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// A control connection: the driver's words pass, the agent's are changed.
async fn converse(
    stream: TcpStream,
    target: SocketAddr,
    acceptor: Acceptor,
    connector: Connector,
    lie: Lie,
) {
    let Ok((driver, _)) = acceptor.accept(stream, SOON).await else { return };
    let agent = TcpStream::connect(target).await.unwrap();
    let agent = connector.connect(agent, SOON).await.unwrap();
    let (driver_read, driver_write) = tokio::io::split(driver);
    let (agent_read, agent_write) = tokio::io::split(agent);
    tokio::select! {
        () = pass(driver_read, agent_write, str::to_owned) => {}
        () = pass(agent_read, driver_write, lie) => {}
    }
}

/// Passes frames on until either end closes.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: impl Fn(&str) -> String,
) {
    while let Ok(length) = from.read_u32().await {
        let mut body = vec![0xa5; usize::try_from(length).unwrap()];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = change(str::from_utf8(&body).unwrap());
        let length = u32::try_from(body.len()).unwrap();
        if to.write_u32(length).await.is_err() || to.write_all(body.as_bytes()).await.is_err() {
            return;
        }
        _ = to.flush().await;
    }
}

/// Passes datagrams on as they are, each peer's from a port of its own.
fn pass_datagrams(
    address: SocketAddr,
    target: SocketAddr,
    is_over: &Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    let is_over = Arc::clone(is_over);
    thread::spawn(move || {
        let mut peers: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
        let mut answers = Vec::new();
        let mut datagram = [0; 65_536];
        while !is_over.load(Relaxed) {
            let Ok((len, peer)) = socket.recv_from(&mut datagram) else { continue };
            let upstream = peers.entry(peer).or_insert_with(|| {
                let upstream = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
                upstream.connect(target).unwrap();
                upstream.set_read_timeout(Some(LOOK)).unwrap();
                let (from, back) = (upstream.try_clone().unwrap(), socket.try_clone().unwrap());
                let is_over = Arc::clone(&is_over);
                answers.push(thread::spawn(move || {
                    let mut datagram = [0; 65_536];
                    while !is_over.load(Relaxed) {
                        let Ok(len) = from.recv(&mut datagram) else { continue };
                        _ = back.send_to(&datagram[..len], peer);
                    }
                }));
                upstream
            });
            _ = upstream.send(&datagram[..len]);
        }
        answers.into_iter().for_each(|answer| answer.join().unwrap());
    })
}

/// `message` with the first number behind `key` replaced, where it is of `kind` and of a trial that
/// measures: the search for the path's MTU, which is the first, leaves no evidence.
fn replaced(message: &str, kind: &str, key: &str, number: &str) -> String {
    let key = format!("\"{key}\":");
    let is_of = message.contains(&format!("\"type\":\"{kind}\",\"trial\":"))
        && !message.contains("\"trial\":1,");
    let Some(at) = message.find(&key).filter(|_| is_of) else { return message.to_owned() };
    let (before, behind) = message.split_at(at + key.len());
    let rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{number}{rest}")
}

/// A run whose agent reports `lie` leaves a written report, status partial, exit 3.
#[track_caller]
fn check(lie: Lie) -> Report {
    let agent = Agent::start();
    let liar = Liar::start(&agent, lie);
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = agent.check_at(liar.address);
    command.args(["--rate", "1 Mbit/s", "--duration", "1s", "--idle", "1s", "--quiet"]);
    let ended = run(command.arg("--out").arg(folder.path().join("out")));
    ended.expect_code(3);
    let text = std::fs::read_to_string(folder.path().join("out/report.json")).expect("written");
    let report = Report::parse(&text).expect("a report");
    let partial = |row: linkqual::report::Row<'_>| row.trial.outcome.status == Status::Partial;
    assert!(report.rows().any(partial), "{}{}", ended.out, ended.err);
    report
}

/// The first release added such numbers up, and panicked when it wrote the report.
#[test]
fn an_agents_absurd_counters_leave_a_report() {
    let _machine = share(12);
    let lies: [Lie; 10] = [
        |message| replaced(message, "account", "received", "9223372036854775808"),
        |message| replaced(message, "account", "received", "281474976710657"),
        |message| replaced(message, "account", "replies", "-1"),
        |message| replaced(message, "account", "queue_drops", "NaN"),
        |message| replaced(message, "account", "jitter_rfc3550_ns", "1e999"),
        |message| replaced(message, "closing", "sent", "9223372036854775808"),
        // The first 'late' of an account is the probes'.
        |message| replaced(message, "account", "late", "281474976710656"),
        // More probes were lost than were sent.
        |message| match message.contains("\"type\":\"account\"") {
            true => message.replacen(
                "\"losses\":{\"lost\":0,\"bursts\":0,\"longest\":0,\"squares\":\"0\"}",
                "\"losses\":{\"lost\":281474976710656,\"bursts\":1,\
                 \"longest\":281474976710656,\"squares\":\"79228162514264337593543950336\"}",
                1,
            ),
            false => message.to_owned(),
        },
        |message| match message.contains("\"type\":\"account\"") {
            true => message.replace("\"received\":", "\"\\u001b[2J\u{202e}\":-1,\"received\":"),
            false => message.to_owned(),
        },
        |message| replaced(message, "closing", "stream", "1"),
    ];
    thread::scope(|scope| {
        let runs = lies.map(|lie| scope.spawn(move || _ = check(lie)));
        runs.into_iter().for_each(|run| run.join().unwrap());
    });
}
