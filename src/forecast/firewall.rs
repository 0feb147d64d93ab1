//! What firewalls must let pass for a plan: a table for a change request, and the same as rules of
//! nftables.

use super::spoken::spoken;
use super::{Forecast, Site, Step};
use crate::account::plain;
use crate::direction::Direction;
use crate::method::trials::TRIAL_OVERHEAD;
use crate::plan::{Link, Offer, Plan};
use crate::session::ANSWER_MAX;
use crate::units::Span;
use crate::wrap::{Page, Table, line};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Where one site's agent is, and from where this host reaches it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The site: its place in the plan.
    pub place: usize,
    /// The agent.
    pub agent: SocketAddr,
    /// This host, as its routes have it; `None` where it has none.
    pub driver: Option<IpAddr>,
}

/// The ways to all sites.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirewallHosts {
    /// The ports that this host takes for its own ends.
    pub ports: RangeInclusive<u16>,
    /// Each address of each agent.
    pub endpoints: Vec<Endpoint>,
}

/// How long UDP may be silent between the handshake of a trial's streams and its first packet, with
/// as much again to spare.
const UDP_IDLE: Span = Span::from_secs(30);

const _: () = assert!(ANSWER_MAX.nanos() < UDP_IDLE.nanos() / 2, "an answer comes before that");

/// What must pass, as a table for a change request: for a terminal of so many `columns`, for a file
/// where there is none.
#[must_use]
pub fn table(
    plan: &Plan,
    forecast: &Forecast,
    hosts: &FirewallHosts,
    columns: Option<usize>,
) -> String {
    let mut out = Page::new(columns);
    for endpoint in &hosts.endpoints {
        let (name, site) = (&plan.sites[endpoint.place].name, &forecast.sites[endpoint.place]);
        let zone = zone(plan, endpoint).map(|zone| format!(" on {zone}")).unwrap_or_default();
        let agent = endpoint.agent.ip().to_canonical();
        let here = here(endpoint);
        out.wrapped("", &format!("towards {name}: the agent is {agent}{zone}, this host {here}"));
        let mut table = Table::new(&["", "protocol", "source", "destination"]);
        for (number, flow) in (1..).zip(flows(&plan.link, endpoint, site, &hosts.ports)) {
            let Flow { protocol, from, to, about } = flow;
            table.row(&[number.to_string(), protocol.to_owned(), from, to]);
            about.into_iter().for_each(|text| table.remark(text));
        }
        out.table("  ", &table);
        line!(out, "");
    }
    if hosts.endpoints.is_empty() {
        return out.into_text();
    }
    for text in REMARKS {
        out.wrapped("", text);
    }
    out.into_text()
}

const REMARKS: [&str; 4] = [
    "Every connection and every first datagram comes from this host; an agent only answers. A \
     stateful firewall needs 1 and 2 (and 3 if listed) in the direction shown; one that \
     is stateless needs the return flows as well, with source and destination swapped.",
    "The addresses are those that this host uses: where an address is translated on the way, a \
     firewall behind that sees another one.",
    "ICMP echo is not needed. Without the ICMP above a run works too: the path's MTU is found by \
     probing; what is rejected is then seen later, as silence.",
    "Try it: linkqual plan firewall --probe",
];

/// The zone of a link-local agent: the device that it is reached by, as the plan names it.
fn zone<'a>(plan: &'a Plan, endpoint: &Endpoint) -> Option<&'a str> {
    plan.sites[endpoint.place].agent.zone()
}

fn here(endpoint: &Endpoint) -> String {
    endpoint.driver.map_or_else(
        || "has no route there: ANY stands for its address".to_owned(),
        |driver| driver.to_canonical().to_string(),
    )
}

struct Flow {
    protocol: &'static str,
    from: String,
    to: String,
    about: Vec<String>,
}

fn flows(link: &Link, endpoint: &Endpoint, site: &Site, ports: &RangeInclusive<u16>) -> Vec<Flow> {
    let agent = SocketAddr::new(endpoint.agent.ip().to_canonical(), endpoint.agent.port());
    let driver = match endpoint.driver.map(|driver| driver.to_canonical()) {
        Some(IpAddr::V6(driver)) => format!("[{driver}]"),
        Some(IpAddr::V4(driver)) => driver.to_string(),
        None => "ANY".to_owned(),
    };
    let from = format!("{driver}:{}-{}", ports.start(), ports.end());
    let flow = |protocol, about: Vec<String>| Flow {
        protocol,
        from: from.clone(),
        to: agent.to_string(),
        about,
    };
    let mut flows = vec![flow("TCP", control(site)), flow("UDP", udp(link, site))];
    if site.has_tcp() {
        flows.push(flow("TCP", tcp(link, site)));
    }
    flows.push(icmp(endpoint, &driver));
    flows
}

/// How long the control connection may be silent: the longest trial, with what lies around it.
fn control_idle(site: &Site) -> Span {
    site.longest().plus(TRIAL_OVERHEAD)
}

fn control(site: &Site) -> Vec<String> {
    let idle = spoken(control_idle(site));
    vec![
        "control: one connection, TLS 1.3, with keys at both ends; opened by this host".to_owned(),
        format!(
            "idle while a trial runs: the session timeout should exceed {idle}, or the \
             run has to open another; less than 5 MB each way for a trial"
        ),
    ]
}

fn udp(link: &Link, site: &Site) -> Vec<String> {
    // The probes are a flow of their own.
    let flows = 1 + site.streams(false);
    vec![
        format!(
            "probes and UDP load: up to {flows} flows at once, each trial with ports of its own"
        ),
        format!(
            "opened by this host; idle timeout at least {} at the start, then {} without a packet \
             after that",
            spoken(UDP_IDLE),
            spoken(longest_gap(site))
        ),
        volume(link, site, false),
    ]
}

/// The longest time between two packets of a UDP flow in either direction: the probes', or the
/// heartbeats that the streams of a direction send in turn.
fn longest_gap(site: &Site) -> Span {
    let of_trial = |step: &Step| {
        let heartbeats =
            step.trial.load().map(|load| step.trial.beside().heartbeats.due(load.streams().into()));
        step.trial.probe_rate().due(1).max(heartbeats.unwrap_or_default())
    };
    site.steps.iter().map(of_trial).max().unwrap_or_default()
}

fn tcp(link: &Link, site: &Site) -> Vec<String> {
    let connections = match site.streams(true) {
        1 => "one connection".to_owned(),
        streams => format!("up to {streams} connections"),
    };
    vec![
        format!(
            "TCP load: {connections} at once, beside the control connection and to \
             the same port; opened by this host, in whichever direction they carry"
        ),
        volume(link, site, true),
        "no TLS, no well-known protocol: exempt it from application inspection".into(),
    ]
}

fn volume(link: &Link, site: &Site, is_tcp: bool) -> String {
    let [forward, reverse] = Direction::ALL.map(|direction| {
        let sent = site.sent_over(is_tcp, direction);
        if sent.is_open {
            return format!("as much as the agent allows {direction}");
        }
        let most = if sent.is_most { "at most " } else { "" };
        format!("{most}{} {direction}", sent.octets)
    });
    let steps = || site.steps.iter().filter(|step| step.trial.tcp().is_some() == is_tcp);
    let is_open = steps().any(|step| step.sent.forward.is_open || step.sent.reverse.is_open);
    let rate = |offer: Offer, direction| match offer {
        Offer::Max => link.port_rate,
        offer => offer.rate(link, direction).map(|(rate, _)| rate),
    };
    let offered = steps().filter_map(|step| Some((step.offer?, step.trial.directions()?)));
    let rates = offered.flat_map(|(offer, directions)| {
        directions.iter().filter_map(move |direction| rate(offer, direction))
    });
    let speed = match rates.max() {
        _ if is_open => "as fast as the agent allows".to_owned(),
        None => "no load: probes alone".to_owned(),
        Some(rate) => format!("up to {rate} ({}) in each direction", link.layer),
    };
    format!("{speed}; in all {forward}, {reverse}")
}

fn icmp(endpoint: &Endpoint, driver: &str) -> Flow {
    let to = format!("{driver} and {}", endpoint.agent.ip().to_canonical());
    let (protocol, types) = match endpoint.agent.ip().to_canonical() {
        IpAddr::V4(_) => ("ICMP", "type 3 (unreachable), above all code 4 (fragmentation needed)"),
        IpAddr::V6(_) => ("ICMPv6", "type 2 (packet too big) and type 1 (unreachable)"),
    };
    let about = vec![format!("{types}; recommended, not required")];
    Flow { protocol, from: "any router on the way".to_owned(), to, about }
}

/// What must pass, as a chain of nftables that a firewall on the way jumps to.
#[must_use]
pub fn nft(plan: &Plan, forecast: &Forecast, hosts: &FirewallHosts) -> String {
    let mut out = String::new();
    line!(
        out,
        "# What linkqual needs to pass. It accepts, and drops nothing. Load it, then jump to it"
    );
    line!(out, "# from the forward chain, before any rule that drops:");
    line!(out, "#   nft add rule inet filter forward jump linkqual");
    line!(out, "table inet filter {{");
    line!(out, "    chain linkqual {{");
    let ports = format!("{}-{}", hosts.ports.start(), hosts.ports.end());
    for endpoint in &hosts.endpoints {
        let (name, site) = (&plan.sites[endpoint.place].name, &forecast.sites[endpoint.place]);
        let idle = control_idle(site).secs_up();
        let name = plain(name);
        line!(
            out,
            "        # {name}: TCP state should outlast {idle} s, UDP state {} s",
            UDP_IDLE.secs_up()
        );
        rules(&mut out, endpoint, &ports);
    }
    line!(out, "    }}");
    line!(out, "}}");
    out
}

/// The rules of one agent's address, this host's ends at `ports`.
fn rules(out: &mut String, endpoint: &Endpoint, ports: &str) {
    let agent = endpoint.agent.ip().to_canonical();
    let (family, icmp) = match agent {
        IpAddr::V4(_) => ("ip", "icmp type destination-unreachable"),
        IpAddr::V6(_) => ("ip6", "icmpv6 type { packet-too-big, destination-unreachable }"),
    };
    let driver = endpoint.driver.map(|driver| driver.to_canonical());
    let of =
        |side: &str| driver.map_or_else(String::new, |driver| format!("{family} {side} {driver} "));
    let port = endpoint.agent.port();
    for protocol in ["tcp", "udp"] {
        line!(
            out,
            "        {}{family} daddr {agent} {protocol} sport {ports} {protocol} dport {port} \
                 ct state new,established accept",
            of("saddr")
        );
        line!(
            out,
            "        {family} saddr {agent} {}{protocol} sport {port} {protocol} dport {ports} \
                 ct state established accept",
            of("daddr")
        );
    }
    line!(out, "        {family} daddr {agent} {icmp} ct state related accept");
    if driver.is_some() {
        line!(out, "        {}{icmp} ct state related accept", of("daddr"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::{SAMPLE, read};
    use std::path::Path;

    fn sample() -> (Plan, Forecast) {
        let plan = read(Path::new("plan.toml"), SAMPLE).conclude().expect("a plan").0;
        let forecast = Forecast::of(&plan).expect("within bounds");
        (plan, forecast)
    }

    fn hosts() -> FirewallHosts {
        let endpoint = |agent: &str, driver: Option<&str>| Endpoint {
            place: 0,
            agent: agent.parse().expect("an address"),
            driver: driver.map(|driver| driver.parse().expect("an address")),
        };
        let endpoints = vec![
            endpoint("172.16.0.2:4872", Some("10.0.0.5")),
            endpoint("[2001:db8::2]:99", Some("2001:db8::5")),
            endpoint("192.0.2.7:4872", None),
        ];
        FirewallHosts { ports: 32_768..=60_999, endpoints }
    }

    #[test]
    fn the_change_request_is_as_it_was_reviewed() {
        let (plan, forecast) = sample();
        let text = table(&plan, &forecast, &hosts(), None);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(100), "a line of {longest:?} columns:\n{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_rules_are_as_they_were_reviewed() {
        let (plan, forecast) = sample();
        insta::assert_snapshot!(nft(&plan, &forecast, &hosts()));
    }

    #[test]
    fn the_zone_of_a_link_local_agent_is_named() {
        let (mut plan, forecast) = sample();
        plan.sites[0].agent = "[fe80::7%eth1]:4872".parse().expect("a host");
        let agent = "[fe80::7%3]:4872".parse().expect("an address");
        let endpoints = vec![Endpoint { place: 0, agent, driver: "fe80::1".parse().ok() }];
        let hosts = FirewallHosts { endpoints, ..hosts() };
        let text = table(&plan, &forecast, &hosts, None);
        assert!(text.contains("the agent is fe80::7 on eth1, this host fe80::1"), "{text}");
        assert!(
            nft(&plan, &forecast, &hosts).contains("ip6 daddr fe80::7 tcp"),
            "no zone in rules"
        );
    }

    #[test]
    fn a_mapped_address_is_reported_as_the_packets_have_it() {
        let (plan, forecast) = sample();
        let agent = "[::ffff:192.0.2.7]:4872".parse().expect("an address");
        let driver = "::ffff:192.0.2.1".parse().ok();
        let hosts =
            FirewallHosts { endpoints: vec![Endpoint { place: 0, agent, driver }], ..hosts() };
        let rules = nft(&plan, &forecast, &hosts);
        assert!(rules.contains("ip saddr 192.0.2.1 ip daddr 192.0.2.7 tcp sport"), "{rules}");
    }
}
