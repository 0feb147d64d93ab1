//! One on the path who has no key: he reads every datagram at the far end of the link, and may keep
//! it, change it, send it again, send it back, or put in one of his own.

use linkqual::direction::Direction;
use linkqual::wire::{Kind, kind_of};

/// How long he takes to send something of his own.
const TAKES_NS: u64 = 1_000_000;

/// What he does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Attack {
    /// Nothing: nobody is there.
    #[default]
    None,
    /// Sends each probe back to its driver, as a reply.
    ReflectProbes,
    /// Sends each probe again, so often.
    ReplayProbes(u64),
    /// Sends the agent each heartbeat of the driver's again, and goes on with the newest for as
    /// long as load comes back.
    ReplayHeartbeats,
    /// Sends the agent's own heartbeats back to it, and load of its own as heartbeats.
    EchoHeartbeats,
    /// Keeps the driver's heartbeats from this time on, and releases one each 900 ms.
    WithholdHeartbeats {
        /// Nanoseconds after the begin.
        from_ns: u64,
    },
    /// Drops all that the driver sends from this time on but its load, and releases one packet of
    /// that each 900 ms.
    WithholdLoad {
        /// Nanoseconds after the begin.
        from_ns: u64,
    },
    /// Delays each reply to a probe by so much, so that the round trip seems to rise.
    DelayReplies {
        /// In nanoseconds.
        by_ns: u64,
    },
    /// Puts in a packet of load behind each that crosses, with the next numbers.
    ForgeLoad,
    /// Cuts each packet of load to its header.
    CutLoad,
    /// Flips one bit of the due time of the packet of load of this number.
    FlipDue(u64),
    /// Alters the payload of each n-th packet of load.
    AlterPayload(u64),
}

/// A datagram on its way from the attacker.
pub(super) struct Passed {
    pub(super) at_ns: u64,
    pub(super) direction: Direction,
    pub(super) octets: Vec<u8>,
}

/// The attacker, and what he remembers.
#[derive(Debug, Default)]
pub(super) struct Attacker {
    attack: Attack,
    /// Packets of load that he has seen.
    load: u64,
    kept: Vec<Vec<u8>>,
    released_ns: u64,
    /// What he did something to, or put in.
    pub(super) touched: u64,
}

/// The kind of a heartbeat.
const HEARTBEAT: u8 = 6;

fn is_heartbeat(octets: &[u8]) -> bool {
    kind_of(octets) == Some(Kind::Signal) && octets[3] == HEARTBEAT
}

impl Attacker {
    pub(super) fn new(attack: Attack) -> Self {
        Self { attack, ..Self::default() }
    }

    /// What becomes of a datagram that reaches him at `at_ns`, on its way in `direction`.
    #[expect(clippy::too_many_lines, reason = "one attack after another")]
    pub(super) fn pass(&mut self, at_ns: u64, direction: Direction, octets: &[u8]) -> Vec<Passed> {
        let mut passed = Vec::new();
        let mut send = |at_ns, direction, octets| passed.push(Passed { at_ns, direction, octets });
        let forward = direction == Direction::Forward;
        let kind = kind_of(octets);
        let mut own = octets.to_vec();
        match self.attack {
            Attack::ReflectProbes if forward && kind == Some(Kind::Probe) => {
                self.touched += 1;
                send(at_ns + TAKES_NS, Direction::Reverse, own.clone());
            }
            Attack::ReplayProbes(times) if forward && kind == Some(Kind::Probe) => {
                self.touched += times;
                (1..=times).for_each(|n| send(at_ns + n * TAKES_NS / 10, direction, own.clone()));
            }
            Attack::ReplayHeartbeats if forward && is_heartbeat(octets) => {
                self.kept = vec![own.clone()];
            }
            Attack::ReplayHeartbeats if !forward && kind == Some(Kind::Load) => {
                if let Some(newest) = self.kept.last() {
                    self.touched += 1;
                    send(at_ns + TAKES_NS, Direction::Forward, newest.clone());
                }
            }
            Attack::EchoHeartbeats if !forward => {
                self.touched += 1;
                send(at_ns + TAKES_NS, Direction::Forward, own.clone());
                if kind == Some(Kind::Load) {
                    own.truncate(64);
                    own[3] = HEARTBEAT;
                    send(at_ns + TAKES_NS, Direction::Forward, own);
                    own = octets.to_vec();
                }
            }
            Attack::WithholdHeartbeats { from_ns } | Attack::WithholdLoad { from_ns }
                if from_ns <= at_ns =>
            {
                let is_load = matches!(self.attack, Attack::WithholdLoad { .. });
                let is_kept = if is_load { kind == Some(Kind::Load) } else { is_heartbeat(octets) };
                if forward && is_kept {
                    self.touched += 1;
                    self.kept.push(std::mem::take(&mut own));
                } else if forward && is_load {
                    own = Vec::new();
                }
                if self.released_ns + 900_000_000 <= at_ns && !self.kept.is_empty() {
                    self.released_ns = at_ns;
                    send(at_ns, Direction::Forward, self.kept.remove(0));
                }
            }
            Attack::DelayReplies { by_ns } if !forward && kind == Some(Kind::Probe) => {
                self.touched += 1;
                send(at_ns + by_ns, direction, own);
                own = Vec::new();
            }
            Attack::ForgeLoad if kind == Some(Kind::Load) => {
                for ahead in 1..=3 {
                    self.touched += 1;
                    let mut forged = own.clone();
                    let number = u64::from_be_bytes(octets[16..24].try_into().unwrap());
                    forged[16..24].copy_from_slice(&(number + ahead).to_be_bytes());
                    send(at_ns + TAKES_NS, direction, forged);
                }
            }
            Attack::CutLoad if kind == Some(Kind::Load) => {
                self.touched += 1;
                own.truncate(44);
            }
            Attack::FlipDue(number) if kind == Some(Kind::Load) => {
                if self.load == number {
                    self.touched += 1;
                    own[25] ^= 0x10;
                }
                self.load += 1;
            }
            Attack::AlterPayload(nth) if kind == Some(Kind::Load) => {
                self.load += 1;
                if self.load.is_multiple_of(nth) {
                    self.touched += 1;
                    own[120] ^= 0x01;
                }
            }
            _ => {}
        }
        if !own.is_empty() {
            passed.push(Passed { at_ns, direction, octets: own });
        }
        passed
    }
}
