//! A driver with a key that asks for more than it may have, and strangers that have none: what an
//! agent sends stays within its limit, and other drivers are served.

use crate::lab::Lab;
use crate::support::{Agent, Program, run, share};
use linkqual::account::{AskedRate, AskedTrial};
use linkqual::direction::Direction;
use linkqual::io::channel::{Channel, Closed};
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::{Connector, Identity};
use linkqual::session::hello;
use linkqual::units::Span;
use linkqual::wire::control::{LoadRequest, Message, Prepare, Request, RunId, Secrets};
use linkqual::wire::probe::Probe;
use linkqual::wire::seal::{Sealer, Seals};
use linkqual::wire::signal::{Say, Signal};
use serde_json::Value;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};

/// How long anything here may take that an honest agent does at once.
const SOON: Duration = Duration::from_secs(20);

/// 10 Mbit/s in octets per second, and what may pass beyond it at once.
const RATE: &str = "10 Mbit/s";
const RATE_OCTETS: u64 = 1_250_000;
const DEPTH_OCTETS: u64 = 64 << 10;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A control connection with the agent's driver key, greeted; how it ended where it is refused.
async fn connect(agent: &Agent) -> Result<Channel, Closed> {
    let identity = Identity::new(&read_secret(&agent.keys.path("driver")).unwrap());
    let expected = read_public(&agent.keys.path("agent.pub")).unwrap().key();
    let stream = TcpStream::connect(agent.address).await.unwrap();
    let stream = Connector::new(&identity, expected).connect(stream, SOON).await.unwrap();
    let mut channel = Channel::open(stream);
    _ = channel.outbox.say(&Message::Hello(hello("linkqual", None)));
    match next(&mut channel).await? {
        Message::Hello(_) => Ok(channel),
        Message::Fault { reason } => {
            assert!(reason.contains("Try again in a minute"), "{reason}");
            Err(Closed::There)
        }
        other => panic!("{other:?}"),
    }
}

async fn next(channel: &mut Channel) -> Result<Message, Closed> {
    tokio::time::timeout(SOON, channel.inbox.next()).await.expect("the agent answers")
}

/// Asks for `message`, and waits for the answer.
async fn ask(channel: &mut Channel, message: Message) -> Message {
    channel.outbox.say(&message).unwrap();
    next(channel).await.unwrap()
}

fn request(run: u128, circuit: Option<&str>, load: Option<u64>) -> Message {
    let duration_ns = Span::from_secs(30).nanos();
    let load = load.map(|rate_bit_s| LoadRequest { rate_bit_s, duration_ns });
    let circuit = circuit.map(str::to_owned);
    let (run, congestion, fences) = (RunId(run).to_string(), Vec::new(), Vec::new());
    Message::Request(Request { run, circuit, duration_ns, load, congestion, fences })
}

/// The first release granted each circuit all of the limit: 20 times as much in all.
#[test]
fn twenty_circuits_at_once_get_no_more_than_the_limit() {
    let agent = Agent::start_with(&["--max-rate", RATE]);
    block_on(async {
        let mut channels = Vec::new();
        let mut granted = 0;
        for circuit in 0..20 {
            let mut channel = connect(&agent).await.unwrap();
            let name = format!("EC-{circuit}");
            match ask(&mut channel, request(circuit, Some(&name), Some(4_000_000))).await {
                Message::Granted(_) => granted += 1,
                Message::Refused { reason } => {
                    let words = "4 Mbit/s (L2) was requested, 2 Mbit/s of 10 Mbit/s is free: a run \
                                 of alice holds 4 Mbit/s";
                    assert!(reason.contains(words), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            channels.push(channel);
        }
        assert_eq!(granted, 2);
    });
}

/// Opens the probes' stream.
fn open_probes(socket: &UdpSocket, secrets: &Secrets) -> Sealer {
    let seals = Seals::of(&secrets.key, Direction::Forward);
    let mut say = Say::Hello;
    for counter in 0..20 {
        let signal = Signal { stream: secrets.stream, token: secrets.token, counter, say };
        socket.send(&signal.emit(&seals.sent)).unwrap();
        let mut answer = [0xa5; 2_048];
        let Ok(len) = socket.recv(&mut answer) else { continue };
        match Signal::parse(&answer[..len], &seals.received).unwrap().say {
            Say::Challenge { cookie } => say = Say::Confirm { cookie },
            Say::Accepted => return seals.sent,
            other => panic!("{other:?}"),
        }
    }
    panic!("the stream does not open");
}

/// Sends probes as fast as a thread can; the octets of frames of the answers in `seconds`.
fn flood(socket: &UdpSocket, secrets: &Secrets, seconds: u64) -> u64 {
    let sealer = open_probes(socket, secrets);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut datagram = vec![0xa5; 1_400];
            for sequence in (0..6_000).cycle() {
                if is_over.load(Relaxed) {
                    break;
                }
                let probe =
                    Probe { sequence, sent_ns: 1, newest_reply_ns: 0, token: secrets.token };
                probe.emit(&sealer, &mut datagram);
                _ = socket.send(&datagram);
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let until = Instant::now() + Duration::from_secs(seconds);
        let (mut octets, mut answer) = (0, [0; 2_048]);
        while Instant::now() < until {
            // Ethernet, IPv4 and UDP.
            octets += socket.recv(&mut answer).map_or(0, |len| len as u64 + 46);
        }
        is_over.store(true, Relaxed);
        octets
    })
}

/// At 1 Mbit/s, the first release answered a flood of 3 Gbit/s whole.
#[test]
fn a_flood_of_probes_is_answered_within_the_limit() {
    let _machine = share(12);
    let agent = Agent::start_with(&["--max-rate", "1 Mbit/s"]);
    block_on(async {
        let mut channel = connect(&agent).await.unwrap();
        let granted = ask(&mut channel, request(1, None, None)).await;
        assert!(matches!(granted, Message::Granted(_)), "{granted:?}");
        let duration_ns = Span::from_secs(20).nanos();
        let probe_rate = AskedRate { packets: 100, seconds: 1 };
        let asked = AskedTrial {
            duration_ns,
            dscp: 0,
            probe_rate,
            silence_min_ns: None,
            heartbeat_rate: Some(AskedRate { packets: 10, seconds: 1 }),
            idle_round_trip_ns: None,
            lengthened: false,
            ramp_ns: None,
            udp: None,
            tcp: None,
        };
        let prepare = Message::Prepare(Prepare { trial: 1, asked });
        let Message::Prepared { streams, .. } = ask(&mut channel, prepare).await else {
            panic!("not prepared")
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(agent.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let answered = flood(&socket, &streams[0], 2);
        // 2 s, a tenth of one for the test's own clock, and what may pass at once.
        let most = 125_000 * 21 / 10 + DEPTH_OCTETS;
        assert!(answered <= most, "{answered} octets of {most}");
        assert!(20_000 < answered, "only {answered} octets: it is not even a flood");
    });
}

/// Silent connections displaced whoever came, within its handshake.
#[test]
fn silent_connections_keep_no_driver_out() {
    let agent = Agent::start();
    block_on(async {
        let mut silent = Vec::new();
        for _ in 0..1_000 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
            silent.push(socket.connect(agent.address).await.unwrap());
            if silent.len() % 100 == 0 {
                connect(&agent).await.expect("a driver is served");
            }
        }
    });
    // Four seconds later each of those that were left has said nothing for too long: 16 lines.
    let lines = agent.program.err().lines().filter(|line| line.contains("said nothing")).count();
    assert!(lines <= 5, "{}", agent.program.err());
}

#[test]
fn one_line_stands_for_many_strangers() {
    let agent = Agent::start();
    block_on(async {
        for _ in 0..200 {
            let stream = TcpStream::connect(agent.address).await.unwrap();
            _ = stream.try_write(b"GET / HTTP/1.0\r\n\r\n");
        }
        // One that is served shows that those before it were.
        connect(&agent).await.expect("a driver is served");
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let secrets = Secrets { stream: 1, token: linkqual::wire::Token(7), key: [7; 32] };
    for counter in 0..200 {
        let signal = Signal { stream: 1, token: secrets.token, counter, say: Say::Hello };
        socket.send_to(&signal.emit(&Sealer::new(&secrets.key)), agent.address).unwrap();
    }
    let unknown = "UDP handshake of an unknown run";
    agent.program.await_said(SOON, unknown);
    let count = |what| agent.program.err().lines().filter(|line| line.contains(what)).count();
    let what = [count("not TLS"), count(unknown)];
    assert!(what.iter().all(|lines| (1..=5).contains(lines)), "{what:?}");
}

/// With 148 descriptors there is room for 25 drivers, and for three quarters of them with one key.
#[test]
fn one_key_leaves_connections_to_others() {
    let agent = Agent::start_limited(148, &[]);
    block_on(async {
        let mut channels = Vec::new();
        for _ in 0..30 {
            channels.extend(connect(&agent).await.ok());
        }
        assert_eq!(channels.len(), 19);
        // In the first release, it read that the agent closed the connection.
        let refused = run(agent.check().args(["--rate", "1 Mbit/s"]));
        let words = "19 connections of this key are open, and room is kept for others. Try again";
        assert!(refused.err.contains(words), "{}{}", refused.out, refused.err);
        refused.expect_code(4);
        drop(channels.pop());
        let again = async {
            while connect(&agent).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SOON, again).await.expect("a place that is given back is taken again");
    });
}

/// The first release found it out when streams were opened, and the trial was never accounted.
#[test]
fn a_trial_that_cannot_have_its_descriptors_is_refused_with_the_reason() {
    let agent = Agent::start_limited(148, &[]);
    let mut command = agent.check();
    command.args(["--rate", "1 Mbit/s", "--streams", "26", "--duration", "1s", "--idle", "1s"]);
    let ended = run(&mut command);
    let words = "descriptors for 50 more streams of load, 52 were asked for";
    let said: Vec<&str> = ended.out.split_whitespace().collect();
    assert!(said.join(" ").contains(words), "{}{}", ended.out, ended.err);
    ended.expect_code(3);
}

/// What leaves a host by its device: octets of frames, with their check sequence.
fn left(namespace: &str) -> u64 {
    let output = Command::new("ip")
        .args(["-n", namespace, "-s", "-j", "link", "show", "eth0"])
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = &shown[0]["stats64"]["tx"];
    sent["bytes"].as_u64().unwrap() + 4 * sent["packets"].as_u64().unwrap()
}

/// Over any second, and over all of it, what the agent's device sends while `driver` runs is within
/// the limit; it is at least half of it, so that there was something to limit.
#[track_caller]
fn check_device(namespace: &str, mut driver: Program) {
    let began = Instant::now();
    // Between which times the counter was read, and what it was.
    let sample = || {
        let before = Instant::now();
        let octets = left(namespace);
        (before, Instant::now(), octets)
    };
    let mut samples = vec![sample()];
    while driver.is_running() {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", driver.err());
        std::thread::sleep(Duration::from_millis(50));
        samples.push(sample());
    }
    let mut largest = 0;
    for (place, (from, _, first)) in samples.iter().enumerate() {
        for (_, until, last) in &samples[place + 1..] {
            let span = until.duration_since(*from);
            let span_us = u64::try_from(span.as_micros()).unwrap();
            let most = RATE_OCTETS * span_us / 1_000_000 + DEPTH_OCTETS;
            assert!(last - first <= most, "{} of {most} octets in {span:?}", last - first);
            if span_us < 1_200_000 {
                largest = largest.max(last - first);
            }
        }
    }
    let ended = driver.ended(SOON);
    assert!(RATE_OCTETS / 2 < largest, "{largest} octets: {}{}", ended.out, ended.err);
}

/// A check of 3 s of the lab's agent, whose limit is all that it asks for.
fn checked(lab: &Lab, address: &str, args: &[&str]) {
    let agent = Agent::start_in(Some(&lab.name("agent")), address, &["--max-rate", RATE]);
    let mut command = agent.check_from(&lab.name("driver"));
    command.args(["--duration", "3s", "--idle", "1s", "--direction", "reverse"]).args(args);
    check_device(&lab.name("agent"), Program::start(&mut command));
}

/// TCP in segments of 88 octets took 1.9 times the limit.
#[test]
fn small_segments_of_tcp_stay_within_the_limit() {
    let _machine = share(20);
    let Some(lab) = Lab::new() else { return };
    let driver = lab.name("driver");
    let route = ["route", "change", "default", "via", "10.77.1.1", "advmss", "100"];
    assert!(Command::new("ip").args(["-n", &driver]).args(route).status().unwrap().success());
    checked(&lab, "10.77.2.2:4872", &["--tcp-throughput", "9 Mbit/s"]);
}

/// Frames of IPv6 took 1.24 times the limit.
#[test]
fn small_packets_of_ipv6_stay_within_the_limit() {
    let _machine = share(20);
    let Some(lab) = Lab::new() else { return };
    checked(&lab, "[fd77:2::2]:4872", &["--rate", RATE, "--size", "100"]);
}
