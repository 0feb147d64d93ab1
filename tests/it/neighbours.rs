//! The next hop's link-layer address, which each host asks for by ARP or neighbour discovery. The
//! answers cross the queues that the load fills: where they are lost, no packet of ours may be.

use crate::lab::{AGENT, Lab};
use crate::support::{await_within, share};
use linkqual::verdict::Verdict;
use std::time::Duration;

/// What the router does not hear any more: who asks for its link-layer address.
const UNANSWERED: &str = "
    table arp unanswered {
        chain input { type filter hook input priority 0; arp operation request drop; }
    }
    table ip6 unanswered {
        chain input { type filter hook input priority 0; icmpv6 type nd-neighbor-solicit drop; }
    }";

/// Has both hosts doubt the next hop's address from 0.5 to 1.5 s after they were last sure of it,
/// ask for it 1 s later, and give it up within half a second. An entry that is there keeps its
/// time.
fn forget_soon(lab: &Lab) {
    for host in ["driver", "agent"] {
        for version in ["ipv4", "ipv6"] {
            let of = |name: &str, value: &str| format!("net.{version}.neigh.eth0.{name}={value}");
            let settings = [
                of("base_reachable_time_ms", "1000"),
                of("delay_first_probe_time", "1"),
                of("retrans_time_ms", "100"),
                of("ucast_solicit", "2"),
                of("mcast_solicit", "2"),
            ];
            let mut words = vec![host, "sysctl", "-q", "-w"];
            words.extend(settings.iter().map(String::as_str));
            lab.command("exec", &words);
        }
    }
}

/// The first questions are answered: the way is known.
fn resolve(lab: &Lab) {
    let hops = [("driver", "10.77.1.1", "fd77:1::1"), ("agent", "10.77.2.1", "fd77:2::1")];
    for (host, ipv4, ipv6) in hops {
        for hop in [ipv4, ipv6] {
            let datagram = format!("echo > /dev/udp/{hop}/9");
            await_within(Duration::from_secs(5), "the address of the next hop", || {
                lab.command("exec", &[host, "bash", "-c", &datagram]);
                let known = lab.command("exec", &[host, "ip", "neigh", "show", hop]);
                known.contains("lladdr").then_some(())
            });
        }
    }
}

/// Nobody answers the hosts' questions during the whole run; what comes back from the other end
/// proves that the next hop is there.
#[test]
fn a_next_hop_that_carries_the_load_is_not_asked_for_its_address() {
    let _machine = share(20);
    for address in [AGENT, "[fd77:2::2]:4872"] {
        let Some(lab) = Lab::new() else { return };
        forget_soon(&lab);
        resolve(&lab);
        lab.command("exec", &["router", "nft", UNANSWERED]);
        let words = ["--rate", "4 Mbit/s", "--loss", "1%"];
        let (_, report) = lab.check_at(address, "5s", &words);
        let text = linkqual::report::text(&report);
        for row in report.rows() {
            let counts = row.counts();
            let probes = counts.probes.sent.zip(counts.probes.received);
            assert!(probes.is_some_and(|(sent, came)| sent == came), "{address}: {text}");
            if let Some((sent, came)) = counts.sender.as_ref().zip(counts.receiver.as_ref()) {
                let lost = (came.lost(), sent.unreachable, sent.paused);
                assert_eq!(lost, (0, 0, 0), "{address} {}: {text}", row.direction);
            }
        }
        assert!(4 <= report.rows().count(), "an idle trial and a load: {text}");
    }
}

/// The next hop of the agent's host does not answer it for more than a second of the load: its
/// kernel drops what it has accepted. The link itself loses nothing.
#[test]
fn what_a_host_drops_for_want_of_its_next_hop_is_not_the_links_loss() {
    let _machine = share(10);
    let Some(lab) = Lab::new() else { return };
    let within = Duration::from_secs(60);
    let report = std::thread::scope(|scope| {
        let forget = scope.spawn(|| {
            let loads = || lab.truth()["reverse"]["load"]["offered"].as_u64();
            await_within(within, "the load has begun", || loads().filter(|it| 500 < *it));
            lab.command("exec", &["router", "nft", UNANSWERED]);
            // By its own state, an entry that is in use would stay.
            let entry = ["agent", "ip", "neigh", "del", "10.77.2.1", "dev", "eth0"];
            lab.command("exec", &entry);
            std::thread::sleep(Duration::from_millis(1_200));
            lab.command("exec", &["router", "nft", "flush ruleset arp"]);
        });
        let words = ["--rate", "5 Mbit/s", "--loss", "1%", "--outage", "300ms"];
        let (_, report) = lab.check_at(AGENT, "6s", &words);
        forget.join().unwrap();
        report
    });
    let text = linkqual::report::text(&report);
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).expect("a load");
    let host = row.trial.outcome.agent_host.as_ref().expect("its account");
    let hop = host.unresolved_next_hop.expect("it was seen");
    assert_eq!(hop.address.to_string(), "10.77.2.1", "{text}");
    assert!(1_000_000_000 <= hop.unresolved_ns, "{hop:?}");
    let lost = row.trial.outcome.reverse.receiver.as_ref().map_or(0, |came| came.lost());
    assert!(100 < lost, "{lost}: {text}");
    assert_ne!(report.verdict, Verdict::Fail, "{text}");
    let words = "the agent's host got no answer to ARP from its next hop 10.77.2.1 for up to";
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{text}");
}
