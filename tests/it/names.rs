//! Names, addresses and zones, as the programs meet them: dead addresses, name servers that do not
//! answer, hosts whose IPv6 is not what it is elsewhere. No name server is asked.

use crate::support::{Agent, Ended, Keys, run};
use clap::Parser as _;
use linkqual::cli::{DriverArgs, DriverCommand};
use linkqual::driver::{HostClock, Job};
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::tls::Identity;
use linkqual::report::Report;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

/// The report of a check of an agent whose name has the addresses `before` and then its own.
fn reached(agent: &Agent, before: &[SocketAddr]) -> Report {
    let keys = &agent.keys;
    let (driver, public) = (keys.path("driver"), keys.path("agent.pub"));
    let args = ["linkqual", "check", "agent.example:99", "--duration", "1s"].map(String::from);
    let paths = [("--key", &driver), ("--agent-key", &public)];
    let paths = paths.map(|(name, path)| [name.to_owned(), path.display().to_string()]);
    let args = DriverArgs::try_parse_from(args.into_iter().chain(paths.into_iter().flatten()));
    let DriverCommand::Check(args) = args.unwrap().command else { unreachable!("it is a check") };
    let identity = Identity::new(&read_secret(&driver).unwrap());
    let job = Job::new(args.plan(), identity, vec![read_public(&public).unwrap().key()]).unwrap();
    let addresses: Vec<_> = before.iter().copied().chain([agent.address]).collect();
    let job = job.resolved_by(move |name, port| {
        assert_eq!((name, port), ("agent.example", 99));
        Ok(addresses.clone())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(linkqual::driver::run(job, HostClock));
    assert!(run.error.is_none(), "{:?}", run.error);
    run.report
}

/// One is refused, one accepts and says nothing, one has no route.
#[test]
fn an_agent_is_reached_at_whichever_of_its_addresses_answers() {
    let agent = Agent::start();
    let closed = {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        taken.local_addr().unwrap()
    };
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    let no_route = "[fe80::1]:4872".parse().unwrap();
    for (before, why) in [
        (closed, "connection refused"),
        (silent.1, "no answer yet"),
        (no_route, "this host has no route to [fe80::1]:4872"),
    ] {
        let report = reached(&agent, &[before]);
        let site = &report.links[0].sites[0];
        assert_eq!(site.ends.address, Some(agent.address.to_string()), "{before} before it");
        let text = linkqual::report::text(&report);
        let taken = format!("agent.example:99 has several addresses; {} is used", agent.address);
        let note = report.notes.iter().find(|note| note.starts_with(&taken));
        let note = note.unwrap_or_else(|| panic!("{text}"));
        assert!(note.contains(&format!("; {before}: ")) && note.contains(why), "{note}");
    }
    let report = reached(&agent, &[]);
    assert!(!report.notes.iter().any(|note| note.contains("several addresses")), "there is one");
}

/// Runs a script of the shell in a network namespace of its own, with both programs as $linkqual
/// and $agent and a folder of keys as $keys; `None` where this machine cannot have one.
fn apart(keys: &Keys, script: &str) -> Option<Ended> {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-euc", &format!("ip link set lo up || exit 77\n{script}")]);
    command.env("linkqual", env!("CARGO_BIN_EXE_linkqual"));
    command.env("agent", env!("CARGO_BIN_EXE_linkqual-agent"));
    command.env("keys", keys.path("driver").parent().unwrap());
    if Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|o| o.status.success()) {
        let ended = run(&mut command);
        if ended.code != Some(77) {
            return Some(ended);
        }
    }
    linkqual::io::terminal::say("SKIPPED: no network namespaces, or no IPv6, on this machine");
    None
}

#[test]
fn a_name_server_that_does_not_answer_is_reported_and_is_no_wrong_usage() {
    let keys = Keys::of("alice");
    let check = "exec $linkqual check agent.example --key $keys/driver --agent-key $keys/agent.pub";
    let Some(ended) = apart(&keys, check) else { return };
    ended.expect_error(4, &["agent.example:4872", "No name server answered", "resolv.conf"]);
}

/// Starts an agent at its default address, and checks it at `address`.
fn serve(address: &str) -> String {
    format!(
        "trap 'kill $served' EXIT
         : > $keys/said
         $agent --key $keys/agent --allow $keys/driver.pub > $keys/said &
         served=$!
         until grep -q listens $keys/said; do kill -0 $served; done
         $linkqual check '{address}' --key $keys/driver --agent-key $keys/agent.pub \\
             --duration 1s --quiet --verbose"
    )
}

#[test]
fn the_default_address_serves_both_versions_of_ip_whatever_the_host_prefers() {
    let keys = Keys::of("alice");
    for (set, address) in [
        ("sysctl -qw net.ipv6.bindv6only=1 || exit 77", "127.0.0.1"),
        ("sysctl -qw net.ipv6.bindv6only=1 || exit 77", "::1"),
        ("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 || exit 77", "127.0.0.1"),
    ] {
        let Some(ended) = apart(&keys, &format!("{set}\n{}", serve(address))) else { return };
        // Nothing is required, so that nothing can pass: it was measured.
        ended.expect_code(3);
        assert!(ended.out.contains("idle, probes only, 1 s\n"), "{set}: {}", ended.out);
    }
}

#[test]
fn an_agent_is_reached_by_a_link_local_address_with_its_zone() {
    let keys = Keys::of("alice");
    let device = "ip link add v0 type veth peer name v1 || exit 77
                  ip link set v0 up; ip link set v1 up
                  ip address add fe80::77/64 dev v0 nodad || exit 77";
    for address in ["fe80::77%v0", "[fe80::77%v0]:4872"] {
        let script = format!("{device}\n{} --loss 50% --idle 1s || test $? = 3", serve(address));
        let Some(ended) = apart(&keys, &script) else { return };
        ended.expect_code(0);
        assert!(ended.out.contains("trial 2: UDP 10 Mbit/s L2 each way"), "{}", ended.out);
    }
    let wrong = "exec $linkqual check fe80::77%v9 --key $keys/driver --agent-key $keys/agent.pub";
    let Some(ended) = apart(&keys, wrong) else { return };
    ended.expect_error(2, &["[fe80::77%v9]:4872", "no device 'v9'"]);
}

/// Files as an editor of another system leaves them: a byte order mark, and CRLF.
#[test]
fn keys_and_plans_with_a_byte_order_mark_are_read() {
    let keys = Keys::of("alice");
    for name in ["driver", "agent.pub"] {
        let text = std::fs::read_to_string(keys.path(name)).unwrap();
        let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        std::fs::write(keys.path(name), text).unwrap();
    }
    let plan = "\u{feff}[driver]\r\nkey = 'driver'\r\n[sites.far]\r\nagent = '127.0.0.1:9'\r\n\
                key = 'agent.pub'\r\n[[test]]\r\nkind = 'idle'\r\n";
    std::fs::write(keys.path("plan.toml"), plan).unwrap();
    let checked =
        run(crate::support::linkqual().args(["plan", "check"]).arg(keys.path("plan.toml")));
    checked.expect_code(0);
}
