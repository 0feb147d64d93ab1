//! What a pre-check opens, flow by flow: the marks, sizes and protocols of the plan's tests, and
//! none of their load.

use crate::direction::{Directions, PerDirection};
use crate::plan::{Plan, Work};
use crate::trial::{CongestionControl, Dscp, Load, LoadKind, MTU_MIN, OutOfBounds, TcpLoad, Trial};
use crate::units::{BitRate, PacketRate, Span};

/// One kind of flow that a run opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Round {
    /// The flow of the probes, marked so: how large its packets may be.
    Probes(Dscp),
    /// So many flows of UDP load at once, marked so.
    Udp(Dscp, u32),
    /// So many connections of TCP load at once, marked so.
    Tcp(Dscp, u32, CongestionControl),
}

/// The trial's length, of which nothing but its opening is used.
const DURATION: Span = Span::from_secs(10);

/// Octets of UDP payload of the load that is asked for and never sent.
const PAYLOAD: u32 = 100;

impl Round {
    /// Every kind of flow that a run of `plan` opens towards its site at `place`: the unmarked
    /// probes first, with which each run begins.
    pub(super) fn all(plan: &Plan, place: usize) -> Vec<Self> {
        let mut probes = vec![Self::Probes(Dscp::default())];
        let mut loads: Vec<Self> = Vec::new();
        for test in plan.tests_of(place) {
            let mark = test.dscp.unwrap_or_default();
            if !probes.contains(&Self::Probes(mark)) {
                probes.push(Self::Probes(mark));
            }
            // Beyond one direction the streams are as many again.
            let flows = |streams: u32, directions: Directions| match directions {
                Directions::Both => streams.saturating_mul(2),
                Directions::Forward | Directions::Reverse => streams,
            };
            match test.work {
                Work::Idle => {}
                Work::Udp(udp) => {
                    add(&mut loads, Self::Udp(mark, flows(udp.streams, udp.directions)));
                }
                Work::Tcp(tcp) => {
                    let flows = flows(tcp.streams, tcp.directions);
                    add(&mut loads, Self::Tcp(mark, flows, tcp.congestion));
                }
            }
        }
        probes.into_iter().chain(loads).collect()
    }

    /// The trial that opens it; what loads goes towards this host, and the agent is never asked to
    /// start.
    pub(super) fn trial(self, rate: BitRate) -> Result<Trial, OutOfBounds> {
        let one_way = |streams: u32| streams.clamp(1, crate::trial::STREAMS_MAX);
        let (trial, mark) = match self {
            Self::Probes(mark) => (Trial::new(None, DURATION)?, mark),
            Self::Udp(mark, flows) => {
                let streams = one_way(flows);
                let packets = PacketRate::new(streams.into()).expect("one stream at least");
                let load =
                    Load::new(Directions::Reverse, streams, PAYLOAD, packets, LoadKind::FixedRate)?;
                (Trial::new(Some(load), DURATION)?, mark)
            }
            Self::Tcp(mark, flows, congestion) => {
                let rates = PerDirection { forward: None, reverse: Some(rate) };
                let load =
                    TcpLoad::new(rates, one_way(flows), MTU_MIN, congestion, LoadKind::FixedRate)?;
                (Trial::with_tcp(load, DURATION)?, mark)
            }
        };
        Ok(trial.with_dscp(mark))
    }

    /// Whether an agent grants it only with load.
    pub(super) const fn is_load(self) -> bool {
        !matches!(self, Self::Probes(_))
    }

    /// How its packets are marked.
    pub(super) const fn mark(self) -> Dscp {
        match self {
            Self::Probes(mark) | Self::Udp(mark, _) | Self::Tcp(mark, ..) => mark,
        }
    }
}

/// Adds `round`, or the more of its flows to the one of its kind that is there.
fn add(rounds: &mut Vec<Round>, round: Round) {
    for other in &mut *rounds {
        match (other, round) {
            (Round::Udp(mark, flows), Round::Udp(same, more)) if *mark == same => {
                return *flows = more.max(*flows);
            }
            (Round::Tcp(mark, flows, _), Round::Tcp(same, more, _)) if *mark == same => {
                return *flows = more.max(*flows);
            }
            _ => {}
        }
    }
    rounds.push(round);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::read;
    use std::path::Path;

    fn rounds(tests: &str) -> Vec<Round> {
        let text = format!(
            "[driver]\nkey = 'd'\n[sites.a]\nagent = '10.0.0.1'\nkey = 'a.pub'\n\
             [sites.b]\nagent = '10.0.0.2'\nkey = 'b.pub'\n{tests}"
        );
        let plan = read(Path::new("plan.toml"), &text).conclude().expect("a plan").0;
        Round::all(&plan, 0)
    }

    #[test]
    fn every_mark_and_protocol_of_a_sites_tests_is_opened_once() {
        let test = |kind: &str, rest: &str| format!("[[test]]\nkind = '{kind}'\n{rest}\n");
        let mark = |text: &str| text.parse::<Dscp>().expect("a mark");
        let best_effort = Round::Probes(Dscp::default());
        assert_eq!(rounds(&test("idle", "")), [best_effort]);
        let marked = test("idle", "dscp = 'CS6'") + &test("idle", "dscp = 'EF'");
        let expected = [best_effort, Round::Probes(mark("CS6")), Round::Probes(mark("EF"))];
        assert_eq!(rounds(&marked), expected);
        let elsewhere = test("idle", "") + &test("idle", "dscp = 'CS6'\nsite = 'b'");
        assert_eq!(rounds(&elsewhere), [best_effort]);
        let load = "rate = '1 Mbit/s'\ndscp = 'EF'\n";
        let loads = test("udp", &format!("{load}streams = 4\ndirection = 'forward'"))
            + &test("udp", &format!("{load}streams = 3\ndirection = 'both'"))
            + &test("tcp", "direction = 'reverse'");
        let expected = [
            best_effort,
            Round::Probes(mark("EF")),
            Round::Udp(mark("EF"), 6),
            Round::Tcp(Dscp::default(), 1, CongestionControl::CUBIC),
        ];
        assert_eq!(rounds(&loads), expected);
        let rate = "1 Mbit/s".parse().expect("a rate");
        for round in expected {
            let trial = round.trial(rate).expect("within bounds");
            assert_eq!(trial.dscp(), round.mark());
            assert_eq!(round.is_load(), !trial.is_idle());
        }
    }
}
