//! The pre-check against what stands in a run's way: each cause is named, and on which side it is.

use crate::support::{Agent, Ended, Program, await_within, run};
use linkqual::demo::relay::Relay;
use linkqual::emulation::{Applies, Loss, Spec};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// `plan firewall --probe` towards `address`, with `tests`.
fn probe(agent: &Agent, address: SocketAddr, tests: &str) -> Ended {
    let plan = agent.keys.path("plan.toml");
    let text = format!(
        "[driver]\nkey = 'driver'\n[sites.far]\nagent = '{address}'\nkey = 'agent.pub'\n{tests}"
    );
    std::fs::write(&plan, text).unwrap();
    let mut command = crate::support::linkqual();
    run(command.args(["plan", "firewall", "--probe"]).arg(plan))
}

fn check(agent: &Agent, address: SocketAddr) -> Ended {
    run(agent.check_at(address).args(["--duration", "1s"]))
}

const IDLE: &str = "[[test]]\nkind = 'idle'\n";

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
}

/// The agent is asked, over the control connection, what it has received.
#[test]
fn the_direction_in_which_udp_is_blocked_is_reported() {
    let agent = Agent::start();
    let dead = || Spec {
        loss: vec![(Applies::ToAll, Loss::Random { ratio: 1.0 })],
        ..Spec::default()
    };
    let forward = Relay::start(agent.address, dead(), Spec::default(), 1).unwrap();
    let reverse = Relay::start(agent.address, Spec::default(), dead(), 1).unwrap();
    let forward_words = ["none of the datagrams", "UDP to it is blocked", "Kubernetes Service"];
    let reverse_words = ["datagrams and answered each one", "blocked on the path back"];
    for (relay, words) in [(&forward, &forward_words[..]), (&reverse, &reverse_words)] {
        let probed = probe(&agent, relay.local(), IDLE);
        probed.expect_code(4);
        says(&probed.out, &[&["BLOCKED  UDP"], words].concat());
        let checked = check(&agent, relay.local());
        checked.expect_error(4, &[&["no UDP datagram came back"], words].concat());
    }
}

/// A port of both protocols, of which TCP goes to one agent and UDP to another, as a Service with
/// two agents behind it does.
fn split(tcp: SocketAddr, udp: SocketAddr) -> SocketAddr {
    let (listener, socket) = loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        if let Ok(socket) = UdpSocket::bind(address) {
            break (listener, socket);
        }
    };
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(tcp).unwrap();
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            for (mut from, mut to) in [(near, far), back] {
                thread::spawn(move || {
                    _ = std::io::copy(&mut from, &mut to);
                    _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    thread::spawn(move || {
        let mut octets = [0; 2_048];
        while let Ok(len) = socket.recv(&mut octets) {
            _ = socket.send_to(&octets[..len], udp);
        }
    });
    address
}

#[test]
fn a_service_that_splits_tcp_and_udp_over_two_agents_is_named() {
    let (agent, other) = (Agent::start(), Agent::start());
    let address = split(agent.address, other.address);
    let words = ["goes to another agent than TCP does", "load balancer", "Kubernetes Service"];
    let probed = probe(&agent, address, IDLE);
    probed.expect_code(4);
    says(&probed.out, &words);
    check(&agent, address).expect_error(4, &words);
}

#[test]
fn every_flow_of_the_plan_is_opened_and_no_load_is_sent() {
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).unwrap();
    let tests = "[[test]]\nkind = 'udp'\nrate = '10 Mbit/s'\nstreams = 2\ndscp = 'EF'\n\
                 [[test]]\nkind = 'tcp'\nstreams = 3\ndirection = 'forward'\n";
    let probed = probe(&agent, relay.local(), tests);
    probed.expect_code(0);
    says(&probed.out, &["UDP load EF 4 at once pass", "TCP load   3 connections at once"]);
    let marked = format!("UDP {} EF", relay.local().port());
    says(&probed.out, &[&marked, "passes both ways, up to "]);
    use linkqual::direction::Direction;
    use linkqual::emulation::Class;
    for direction in Direction::ALL {
        assert_eq!(relay.counts(direction, Class::Load).offered, 0, "{direction}");
    }
}

#[test]
fn a_load_that_another_driver_holds_is_no_block() {
    let agent = Agent::start();
    let mut holder = Program::start(agent.check().args(["--rate", "1 Mbit/s", "--idle", "20s"]));
    let tests = "[[test]]\nkind = 'udp'\nrate = '1 Mbit/s'\n";
    // Until the holder has the lock the pre-check passes, too: by opening the flows.
    let probed = await_within(Duration::from_secs(60), "the lock is held", || {
        assert!(holder.is_running(), "{}", holder.err());
        let probed = probe(&agent, agent.address, tests);
        probed.expect_code(0);
        probed.out.contains("not tried").then_some(probed)
    });
    let words = ["passes   UDP load   not tried, as the agent grants no load now: ", "alice"];
    says(&probed.out, &words);
}

#[test]
fn a_size_that_the_path_does_not_carry_is_named() {
    let agent = Agent::start();
    let narrow = || Spec { mtu: Some(1_400), ..Spec::default() };
    let relay = Relay::start(agent.address, narrow(), narrow(), 1).unwrap();
    let tests = "[[test]]\nkind = 'udp'\nrate = '1 Mbit/s'\nsize = 1472\n";
    let probed = probe(&agent, relay.local(), tests);
    probed.expect_code(4);
    says(&probed.out, &["of up to 1400 octets pass", "the plan's tests send 1500"]);
}

#[test]
fn the_pre_check_goes_on_to_the_next_address_as_a_run_does() {
    let script = "ip link set lo up || exit 77
        echo '127.0.0.9 agent.test' > $keys/hosts; echo '127.0.0.1 agent.test' >> $keys/hosts
        mount --bind $keys/hosts /etc/hosts || exit 77
        trap 'kill $served' EXIT
        $agent --listen 127.0.0.1:4872 --key $keys/agent --allow $keys/driver.pub > $keys/said &
        served=$!
        until grep -q listens $keys/said; do kill -0 $served; done
        $linkqual plan firewall --probe $keys/plan.toml
        $linkqual run $keys/plan.toml --json --quiet || test $? = 3";
    let keys = crate::support::Keys::of("alice");
    let plan = "[driver]\nkey = 'driver'\n[sites.far]\nagent = 'agent.test'\nkey = 'agent.pub'\n\
                [[test]]\nkind = 'idle'\nduration = '1 s'\n";
    std::fs::write(keys.path("plan.toml"), plan).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-euc", script]);
    command.env("linkqual", env!("CARGO_BIN_EXE_linkqual"));
    command.env("agent", env!("CARGO_BIN_EXE_linkqual-agent"));
    command.env("keys", keys.path("driver").parent().unwrap());
    let ended = run(&mut command);
    if matches!(ended.code, Some(77)) || ended.err.contains("unshare failed") {
        linkqual::io::terminal::say("SKIPPED: no namespaces on this machine");
        return;
    }
    ended.expect_code(0);
    let tried = ["at 127.0.0.9:4872", "BLOCKED  TCP 4872", "at 127.0.0.1:4872", "passes   UDP"];
    says(&ended.out, &tried);
    let note = "agent.test:4872 has several addresses; 127.0.0.1:4872 is used; 127.0.0.9:4872: ";
    says(&ended.out, &[note, "\"address\": \"127.0.0.1:4872\""]);
}
