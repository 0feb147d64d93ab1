//! An attacker on the path, without a key: he stands at the agent's port of another loopback
//! address, passes the control connection on as it is, and does what he likes with datagrams.

use crate::support::{Agent, Ended, Program, await_within, run, share};
use linkqual::direction::Direction;
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use linkqual::wire::{Kind, kind_of};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What he does with a datagram on its way in a direction: what goes on, and where to.
type Deed = dyn Fn(Direction, &[u8]) -> Vec<(Direction, Vec<u8>)> + Send + Sync;

struct Attacker {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    is_over: AtomicBool,
    /// How often a NAT behind him has forgotten its flows.
    forgotten: AtomicU64,
    /// When load left the agent last.
    last_load: Mutex<Option<Instant>>,
    deed: Box<Deed>,
}

impl Attacker {
    fn start(
        agent: &Agent,
        deed: impl Fn(Direction, &[u8]) -> Vec<(Direction, Vec<u8>)> + Send + Sync + 'static,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 2], agent.address.port()));
        let (is_over, forgotten) = (AtomicBool::new(false), AtomicU64::new(0));
        let shared = Arc::new(Shared {
            is_over,
            forgotten,
            last_load: Mutex::new(None),
            deed: Box::new(deed),
        });
        let threads = vec![pass_datagrams(address, agent.address, &shared), {
            let (shared, target) = (Arc::clone(&shared), agent.address);
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            thread::spawn(move || pass_control(&listener, target, &shared))
        }];
        Self { address, shared, threads }
    }

    /// When load left the agent last.
    fn last_load(&self) -> Option<Instant> {
        *self.shared.last_load.lock().unwrap()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Passes each peer's datagrams on from a port of its own, which changes when its NAT forgets.
fn pass_datagrams(address: SocketAddr, target: SocketAddr, shared: &Arc<Shared>) -> JoinHandle<()> {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut flows: BTreeMap<(SocketAddr, u64), UdpSocket> = BTreeMap::new();
        let mut answers = Vec::new();
        let mut datagram = [0; 65_536];
        while !shared.is_over.load(Relaxed) {
            let Ok((len, peer)) = socket.recv_from(&mut datagram) else { continue };
            let age = shared.forgotten.load(Relaxed);
            let upstream = flows.entry((peer, age)).or_insert_with(|| {
                let upstream = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
                upstream.connect(target).unwrap();
                upstream.set_read_timeout(Some(LOOK)).unwrap();
                let ways = (upstream.try_clone().unwrap(), socket.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                answers.push(thread::spawn(move || answer(&ways, (peer, age), &shared)));
                upstream
            });
            for (direction, octets) in (shared.deed)(Direction::Forward, &datagram[..len]) {
                _ = match direction {
                    Direction::Forward => upstream.send(&octets),
                    Direction::Reverse => socket.send_to(&octets, peer),
                };
            }
        }
        answers.into_iter().for_each(|answer| answer.join().unwrap());
    })
}

/// What the agent sends to one port; dropped once the NAT has forgotten that.
fn answer(
    (upstream, socket): &(UdpSocket, UdpSocket),
    (peer, age): (SocketAddr, u64),
    shared: &Shared,
) {
    let mut datagram = [0; 65_536];
    while !shared.is_over.load(Relaxed) {
        let Ok(len) = upstream.recv(&mut datagram) else { continue };
        if kind_of(&datagram[..len]) == Some(Kind::Load) {
            *shared.last_load.lock().unwrap() = Some(Instant::now());
        }
        if shared.forgotten.load(Relaxed) != age {
            continue;
        }
        for (direction, octets) in (shared.deed)(Direction::Reverse, &datagram[..len]) {
            _ = match direction {
                Direction::Forward => upstream.send(&octets),
                Direction::Reverse => socket.send_to(&octets, peer),
            };
        }
    }
}

/// Passes control connections on; the agent's end stays open whatever the driver's does.
fn pass_control(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    let mut ends = Vec::new();
    while !shared.is_over.load(Relaxed) {
        let Ok((driver, _)) = listener.accept() else {
            thread::sleep(LOOK);
            continue;
        };
        let agent = TcpStream::connect(target).unwrap();
        for end in [&driver, &agent] {
            end.set_nonblocking(false).unwrap();
            end.set_read_timeout(Some(LOOK)).unwrap();
        }
        for (from, to) in [(&driver, &agent), (&agent, &driver)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = Arc::clone(shared);
            ends.push(thread::spawn(move || copy(from, to, &shared)));
        }
    }
    ends.into_iter().for_each(|end| end.join().unwrap());
}

fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut octets = [0; 65_536];
    while !shared.is_over.load(Relaxed) {
        match from.read(&mut octets) {
            Ok(0) => break,
            Ok(len) if to.write_all(&octets[..len]).is_err() => break,
            Ok(_) => {}
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {}
                _ => break,
            },
        }
    }
    // The agent hears nothing of it: the control plane is not what ends the load.
    _ = from.shutdown(Shutdown::Read);
}

const HEARTBEAT: u8 = 6;

fn is_heartbeat(octets: &[u8]) -> bool {
    kind_of(octets) == Some(Kind::Signal) && octets[3] == HEARTBEAT
}

const fn back(direction: Direction) -> Direction {
    match direction {
        Direction::Forward => Direction::Reverse,
        Direction::Reverse => Direction::Forward,
    }
}

/// `check` through the attacker, 1000 packets per second both ways for 3 s, with what is asked.
fn check(agent: &Agent, attacker: &Attacker, asked: &[&str]) -> (Ended, Report) {
    let mut command = agent.check_at(attacker.address);
    command.args(["--rate", "2 Mbit/s", "--size", "200", "--duration", "3s"]);
    command.args(["--direction", "both"]);
    let ended = run(command.args(["--idle", "1s", "--json"]).args(asked));
    let report = serde_json::from_str(&ended.out);
    let report = report.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err));
    (ended, report)
}

/// The link loses each fourth packet of load and each fourth probe, both ways. He sends again, back
/// and ahead whatever passes him, as it is and with other numbers: the link still fails, by exactly
/// what it lost.
#[test]
fn whatever_is_replayed_reflected_or_made_up_the_link_still_fails() {
    let _machine = share(8);
    let agent = Agent::start();
    let (seen, dropped) = (AtomicU64::new(0), [const { AtomicU64::new(0) }; 2]);
    let dropped = Arc::new(dropped);
    let counts = Arc::clone(&dropped);
    let attacker = Attacker::start(&agent, move |direction, octets| {
        let own = octets.to_vec();
        let kind = kind_of(octets);
        if kind == Some(Kind::Signal) {
            return vec![
                (direction, own.clone()),
                (direction, own.clone()),
                (back(direction), own),
            ];
        }
        let is_dropped = seen.fetch_add(1, Relaxed) % 4 == 3;
        if is_dropped && kind == Some(Kind::Load) {
            counts[direction as usize].fetch_add(1, Relaxed);
        }
        let mut ahead = own.clone();
        let place = if kind == Some(Kind::Probe) { 3 } else { 23 };
        ahead[place] = ahead[place].wrapping_add(1);
        let mut passed = vec![(back(direction), own.clone()), (direction, ahead)];
        if !is_dropped {
            passed.extend((0..3).map(|_| (direction, own.clone())));
        }
        passed
    });
    let (ended, report) = check(&agent, &attacker, &["--loss", "5%"]);
    ended.expect_code(1);
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
    for direction in Direction::ALL {
        let one_way = row.trial.outcome.one_way(direction);
        let came = one_way.receiver.as_ref().expect("an account");
        let sent = one_way.sender.as_ref().expect("an account").sent;
        let lost = dropped[direction as usize].load(Relaxed);
        assert!(sent / 5 < lost, "{direction}: {lost} of {sent}");
        assert_eq!((came.lost(), came.received), (lost, sent - lost), "{direction}");
        assert_eq!((came.corrupted, came.late, came.rejected), (0, 0, 0), "{direction}");
        assert!(sent / 2 < came.malformed, "{direction}: {} made up", came.malformed);
    }
}

/// He sends twenty of each packet of load to the agent, and loses none. What that does not read for
/// its own limit is its doing: the link does not fail, and the report names the cause.
#[test]
fn twenty_copies_of_each_packet_fail_no_link() {
    let _machine = share(40);
    let agent = Agent::start();
    let attacker = Attacker::start(&agent, move |direction, octets| {
        let is_load = kind_of(octets) == Some(Kind::Load) && direction == Direction::Forward;
        vec![(direction, octets.to_vec()); if is_load { 20 } else { 1 }]
    });
    let (ended, report) = check(&agent, &attacker, &["--loss", "1%"]);
    let text = linkqual::report::text(&report);
    assert_ne!(report.verdict, Verdict::Fail, "{text}{}", ended.err);
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
    let came = row.trial.outcome.forward.receiver.as_ref().expect("an account");
    assert!(0 < came.unread && came.received < came.duplicate, "{text}");
    let named = report.caveats.iter().find(|it| it.text.contains("stopped reading"));
    assert_eq!(named.map(|it| it.direction), Some(Some(Direction::Forward)), "{text}");
}

/// One payload in 50 is altered, and has a right checksum again.
#[test]
fn altered_payloads_are_found_and_the_link_fails_by_them() {
    let _machine = share(8);
    let agent = Agent::start();
    let seen = AtomicU64::new(0);
    let attacker = Attacker::start(&agent, move |direction, octets| {
        let mut own = octets.to_vec();
        if kind_of(octets) == Some(Kind::Load) && seen.fetch_add(1, Relaxed) % 50 == 49 {
            let last = own.len() - 1;
            own[last] ^= 0x80;
        }
        vec![(direction, own)]
    });
    let (ended, report) = check(&agent, &attacker, &["--loss", "0.5%"]);
    ended.expect_code(1);
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
    let came = |direction| row.trial.outcome.one_way(direction).receiver.as_ref().expect("it");
    let corrupted: u64 = Direction::ALL.iter().map(|it| came(*it).corrupted).sum();
    let sent: u64 = Direction::ALL.iter().map(|it| came(*it).received).sum::<u64>() + corrupted;
    assert_eq!(corrupted, sent / 50, "of {sent}");
    assert!(Direction::ALL.iter().all(|it| came(*it).losses.lost() == 0));
}

/// A NAT forgets all flows 2 s after the first load: they move, and the report says so.
#[test]
fn flows_that_a_nat_forgets_move_and_the_report_names_both_addresses() {
    let _machine = share(8);
    let agent = Agent::start();
    let first: Mutex<Option<Instant>> = Mutex::new(None);
    let is_due = Arc::new(AtomicBool::new(false));
    let due = Arc::clone(&is_due);
    let attacker = Attacker::start(&agent, move |direction, octets| {
        if kind_of(octets) == Some(Kind::Load) {
            let first = *first.lock().unwrap().get_or_insert_with(Instant::now);
            due.store(Duration::from_secs(1) < first.elapsed(), Relaxed);
        }
        vec![(direction, octets.to_vec())]
    });
    let forgets = {
        let shared = Arc::clone(&attacker.shared);
        thread::spawn(move || {
            while !is_due.load(Relaxed) && !shared.is_over.load(Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
            shared.forgotten.fetch_add(1, Relaxed);
        })
    };
    let (_, report) = check(&agent, &attacker, &[]);
    forgets.join().unwrap();
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
    let moves = &row.trial.outcome.moves;
    let mut streams: Vec<u32> = moves.iter().map(|moved| moved.stream).collect();
    streams.sort_unstable();
    assert_eq!(streams, [0, 1, 2], "{moves:?}");
    assert!(moves.iter().all(|moved| moved.from != moved.to), "{moves:?}");
    assert_eq!(row.trial.outcome.reason, None);
    for direction in Direction::ALL {
        let one_way = row.trial.outcome.one_way(direction);
        let (sent, came) = (one_way.sender.as_ref().unwrap(), one_way.receiver.as_ref().unwrap());
        // What left until the agent followed, and no more: the last second arrives.
        assert!(came.lost() < sent.sent / 3, "{direction}: {} of {}", came.lost(), sent.sent);
    }
}

/// The driver is killed, and the agent does not learn it: its control connection stays. The
/// attacker sends what he has, in every way that he can.
#[test]
fn load_stops_when_its_driver_is_gone_whatever_is_sent_in_its_place() {
    let _machine = share(8);
    let agent = Agent::start();
    let kept: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let released: Mutex<Option<Instant>> = Mutex::new(None);
    let attacker = Attacker::start(&agent, move |direction, octets| {
        let own = octets.to_vec();
        let mut kept = kept.lock().unwrap();
        if direction == Direction::Forward && is_heartbeat(octets) {
            // He keeps every second one back.
            kept.push(own.clone());
            return if kept.len().is_multiple_of(2) { Vec::new() } else { vec![(direction, own)] };
        }
        let mut passed = vec![(direction, own.clone())];
        if is_gone.load(Relaxed) && direction == Direction::Reverse {
            let mut released = released.lock().unwrap();
            if released.is_none_or(|last| Duration::from_millis(900) < last.elapsed()) {
                *released = Some(Instant::now());
                passed.extend(kept.iter().map(|heartbeat| (Direction::Forward, heartbeat.clone())));
            }
            passed.push((Direction::Forward, own));
        }
        passed
    });
    let mut command = agent.check_at(attacker.address);
    command.args(["--rate", "2 Mbit/s", "--size", "200", "--duration", "20s"]);
    let mut driver =
        Program::start(command.args(["--direction", "reverse", "--idle", "1s", "--quiet"]));
    let limit = Duration::from_secs(30);
    await_within(limit, "load comes", || attacker.last_load());
    thread::sleep(Duration::from_secs(1));
    driver.kill();
    gone.store(true, Relaxed);
    let killed = Instant::now();
    // The silence, its round trip, and what this machine takes.
    thread::sleep(Duration::from_secs(5));
    let last = attacker.last_load().expect("it came");
    let after = last.saturating_duration_since(killed);
    assert!(after < Duration::from_secs(3), "load left the agent {after:?} after its driver died");
}
