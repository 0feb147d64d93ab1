//! A demo: an agent, an emulated line and a driver in one process, on loopback.
//!
//! The line itself runs in real time in two places: [`relay`] has it between sockets, for the demo
//! and for tests without root, [`emulator`] between two TUN devices, for the lab.

pub mod emulator;
mod packet;
pub mod relay;
mod transit;

use crate::agent::{Config, Server};
use crate::direction::{Direction, Directions};
use crate::driver::{Error, Job};
use crate::emulation::{Applies, Class, Duplicate, Jitter, Loss, Outage, Reorder, Shaper, Spec};
use crate::io::tls::Identity;
use crate::metric::{Metric, Requirements};
use crate::plan::{
    Effort, Host, IDLE_DEFAULT, Link, LoadRules, Near, Offer, Plan, Site, Test, UdpTest, Work,
};
use crate::trial::Limits;
use crate::units::Span;
use crate::wire::key::{KeyLine, PublicKey, SecretKey};
use rand::TryRng as _;
use relay::Relay;
use std::net::{Ipv4Addr, SocketAddr};

/// All that the emulated line does follows from this.
const SEED: u64 = 0x11_4e;

const MS: u64 = 1_000_000;

/// A demo that is ready: its agent listens, and its line is up for as long as this stands.
#[derive(Debug)]
pub struct Demo {
    is_broken: bool,
    plan: Plan,
    near: SecretKey,
    agent_key: PublicKey,
    _relay: Relay,
}

impl Demo {
    /// Starts the agent and the line, which `is_broken` or not.
    ///
    /// # Errors
    ///
    /// Where this host cannot even emulate a line.
    pub fn start(is_broken: bool) -> Result<Self, Error> {
        let (near, far) = (throw_away_key()?, throw_away_key()?);
        let target = start_agent(&far, &near)?;
        let (forward, reverse) = if is_broken { broken_line() } else { sound_line() };
        let relay = Relay::start(target, forward, reverse, SEED).map_err(system)?;
        let plan = sample_plan(relay.local());
        let agent_key = Identity::new(&far).public_key();
        Ok(Self { is_broken, plan, near, agent_key, _relay: relay })
    }

    /// What it is, and what is required in it, for people: lines.
    #[must_use]
    pub fn introduction(&self) -> Vec<String> {
        let mut lines = vec![
            "An agent, a driver and an emulated line between them, on this machine alone.".into(),
            "The line: 50 Mbit/s, 5 ms each way, MTU 1500, and the small faults of any line."
                .into(),
        ];
        if self.is_broken {
            let broken = "It is broken: towards the agent 1 % of the load is lost in bursts, and \
                          for 1.5 s all.";
            lines.push(broken.into());
        }
        lines.push("Required, in both directions:".into());
        for (direction, requirement) in self.plan.requirements.iter() {
            // Both directions are asked for the same.
            if direction != Some(Direction::Reverse) {
                lines.push(format!("  {:<10} {requirement}", requirement.metric()));
            }
        }
        lines
    }

    /// The run that it shows.
    ///
    /// # Errors
    ///
    /// Where this host has no randomness to name it by.
    pub fn job(&self) -> Result<Job, Error> {
        Job::new(self.plan.clone(), Identity::new(&self.near), vec![self.agent_key])
    }
}

fn system(error: std::io::Error) -> Error {
    Error::System(error.to_string())
}

/// What a modest migration asks of its line.
fn sample_plan(agent: SocketAddr) -> Plan {
    let rate = "20 Mbit/s".parse().expect("a rate");
    let mut requirements = Requirements::default();
    for (metric, bound) in [
        (Metric::THROUGHPUT, ">= 20 Mbit/s"),
        (Metric::LOSS, "<= 0.1%"),
        (Metric::RTT_P99, "<= 100 ms"),
        (Metric::OUTAGE, "<= 1 s"),
    ] {
        requirements.set(None, metric.require(bound).expect("a bound"));
    }
    let offer = Offer::Rate(rate);
    // Nothing larger is tried: the emulated line drops it without a word, as no real device does.
    let payload = Some(1_472);
    let udp = UdpTest { directions: Directions::Both, offer, streams: 1, payload, burst_max: None };
    let test = |work, duration| Test { site: None, work, duration, dscp: None };
    let host = Host { name: agent.ip().to_string(), port: agent.port() };
    Plan {
        link: Link { circuit: Some("demo".to_owned()), ..Link::default() },
        key: None,
        near: Near::default(),
        sites: vec![Site {
            name: "the demo's agent".into(),
            agent: host,
            key: None,
            management: None,
        }],
        idle: IDLE_DEFAULT,
        effort: Effort::Full,
        schedule: None,
        rules: LoadRules::default(),
        requirements,
        tests: vec![test(Work::Idle, None), test(Work::Udp(udp), Some(LOAD))],
    }
}

/// How long the demo loads.
const LOAD: Span = Span::from_secs(10);

/// 50 Mbit/s, 5 ms each way, with the small faults of any line.
fn sound_line() -> (Spec, Spec) {
    let one_way = Spec {
        mtu: Some(1_500),
        shaper: Some(Shaper {
            bits_per_second: 50_000_000,
            queue_octets: 250_000,
            overhead_octets: 18,
        }),
        loss: vec![(Applies::To(Class::Load), Loss::Random { ratio: 2e-5 })],
        delay_ns: 5 * MS,
        jitter: Jitter::Exponential { mean_ns: MS / 5 },
        keep_order: true,
        reorder: vec![(
            Applies::To(Class::Load),
            Reorder::Random { ratio: 1e-4, extra_delay_ns: 3 * MS },
        )],
        duplicate: vec![(
            Applies::To(Class::Load),
            Duplicate::Random { ratio: 1e-4, gap_ns: MS / 10 },
        )],
        ..Spec::default()
    };
    (one_way.clone(), one_way)
}

/// The same line, which loses packets in bursts on the way there, and once is dead for 1.5 s.
fn broken_line() -> (Spec, Spec) {
    let (mut forward, reverse) = sound_line();
    let bursts =
        Loss::GilbertElliott { enter: 0.002, leave: 0.2, loss_in_bad: 1.0, loss_in_good: 0.0 };
    let dead = Outage { start_ns: 18_000 * MS, duration_ns: 1_500 * MS };
    forward.loss.push((Applies::To(Class::Load), bursts));
    forward.loss.push((Applies::ToAll, Loss::Outages(vec![dead])));
    (forward, reverse)
}

fn throw_away_key() -> Result<SecretKey, Error> {
    let mut seed = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| Error::System(error.to_string()))?;
    Ok(SecretKey::from_seed(seed))
}

/// Serves one driver on loopback, on a thread of its own that ends with the program; where.
fn start_agent(own: &SecretKey, driver: &SecretKey) -> Result<SocketAddr, Error> {
    let comment = "the demo's driver";
    let allowed = KeyLine::new(Identity::new(driver).public_key(), comment).expect("plain words");
    let rate_max = "1 Gbit/s".parse().expect("a rate");
    let duration_max = Span::from_secs(60);
    let config = Config {
        pause: None,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        identity: Identity::new(own),
        allowed: vec![allowed],
        drivers: None,
        limits: Limits { rate_max, duration_max },
        device: None,
        state: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(system)?;
    let server = runtime.block_on(Server::bind(config)).map_err(system)?;
    let local = server.local();
    let serve = move || runtime.block_on(server.serve(std::future::pending()));
    std::thread::Builder::new().name("agent".into()).spawn(serve).map_err(system)?;
    Ok(local)
}
