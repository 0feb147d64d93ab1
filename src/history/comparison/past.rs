//! Runs of a site, as the rows of the history have them, and which of their trials are alike.

use super::quantity::Quantity;
use super::rule::{Reading, median};
use crate::direction::{Direction, PerDirection};
use crate::history::entry::State;
use crate::stats::confidence::{Confidence, loss_bounds};
use crate::stats::real;
use crate::verdict::Verdict;

/// A run, as far as it is about one site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastRun {
    /// Its identifier.
    pub run: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: u64,
    /// How far it came; `None` if that is no state this program knows.
    pub state: Option<State>,
    /// Its verdict on the link.
    pub verdict: Option<Verdict>,
    /// The link's place in its report.
    pub place: usize,
    /// Its trials, in their order.
    pub trials: Vec<PastTrial>,
    /// The path.
    pub path: PastPath,
}

/// What is known of a path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PastPath {
    /// The driver's address.
    pub driver_address: Option<String>,
    /// The agent's address and port.
    pub agent_address: Option<String>,
    /// The agent's program, with its version.
    pub agent_program: Option<String>,
    /// Fingerprint of the agent's key.
    pub agent_key: Option<String>,
    /// Octets of the largest IP packet that crosses the path.
    pub mtu_octets: Option<u64>,
}

/// A trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastTrial {
    /// Its number in the run.
    pub number: usize,
    /// What was sent beside probes: "udp", "tcp", or "idle".
    pub load: String,
    /// Whether it ran to its end.
    pub is_whole: bool,
    /// What each direction showed; `None` of one that was not tested.
    pub one_way: PerDirection<Option<PastFigures>>,
    /// The shortest round trip, in us.
    pub rtt_min_us: Option<f64>,
}

/// What a direction showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastFigures {
    /// Payload offered, in bit/s.
    pub offered_bit_s: Option<u64>,
    /// Carried, at the link's layer, in bit/s.
    pub carried_bit_s: Option<u64>,
    /// Payload carried, in bit/s.
    pub goodput_bit_s: Option<u64>,
    /// Packets sent.
    pub sent: Option<u64>,
    /// Packets lost.
    pub lost: Option<u64>,
    /// Lost and late packets, as a share.
    pub loss_ratio: Option<f64>,
    /// Delay variation in us.
    pub jitter_us: Option<f64>,
}

/// Offered rates that differ by less, as a share, are the same load.
const OFFERED_ALIKE: f64 = 0.05;

/// A load of which this share was carried was not limited by the link.
const CARRIED_WHOLE: f64 = 0.98;

/// The payload's share of what a load takes at the link's layer is the same within this: other
/// sizes of packets, and rates at another layer, are another load.
const FRAMING_ALIKE: f64 = 0.01;

impl PastRun {
    /// Why it is in no baseline; `None` if it may be in one.
    #[must_use]
    pub fn why_out(&self) -> Option<String> {
        match (self.state, self.verdict) {
            (Some(State::Ok), Some(Verdict::Invalid)) => Some(Verdict::Invalid.to_string()),
            (Some(State::Ok), Some(_)) => None,
            (Some(State::Ok), None) => Some("without a verdict".to_owned()),
            (Some(state), _) => Some(state.to_string()),
            (None, _) => Some("of an unknown state".to_owned()),
        }
    }

    /// Its whole trials that are like `trial`.
    pub(super) fn like<'a>(
        &'a self,
        trial: &'a PastTrial,
    ) -> impl Iterator<Item = &'a PastTrial> + Clone {
        self.trials.iter().filter(|other| other.is_whole && other.is_like(trial))
    }

    /// What its trials like `trial` showed of `quantity`; `None` where they showed nothing.
    pub(super) fn reading(
        &self,
        trial: &PastTrial,
        direction: Option<Direction>,
        quantity: Quantity,
    ) -> Option<Reading> {
        let of = |trial: &PastTrial| trial.reading(direction, quantity);
        combined(self.like(trial).filter_map(of))
    }

    /// Its path MTU.
    pub(super) fn mtu(&self) -> Option<Reading> {
        self.path.mtu_octets.map(|octets| Reading { value: real(octets), error: 0.0 })
    }
}

/// Several readings of one run, as one: their medians.
pub(super) fn combined(readings: impl Iterator<Item = Reading> + Clone) -> Option<Reading> {
    let value = median(readings.clone().map(|reading| reading.value))?;
    Some(Reading { value, error: median(readings.map(|reading| reading.error))? })
}

impl PastTrial {
    /// Whether it sends what `other` does.
    fn is_like(&self, other: &Self) -> bool {
        self.load == other.load
            && Direction::ALL.into_iter().all(|way| {
                match (self.one_way.get(way), other.one_way.get(way)) {
                    (None, None) => true,
                    (Some(one), Some(other)) => one.is_like(other, &self.load),
                    _ => false,
                }
            })
    }

    fn reading(&self, direction: Option<Direction>, quantity: Quantity) -> Option<Reading> {
        let exact = |value| Reading { value, error: 0.0 };
        let Some(direction) = direction else {
            return self.rtt_min_us.filter(|_| quantity == Quantity::RttFloor).map(exact);
        };
        let figures = self.one_way.get(direction).as_ref()?;
        match quantity {
            Quantity::CarriedRate => figures.carried_bit_s.map(|rate| exact(real(rate))),
            Quantity::Jitter => figures.jitter_us.map(exact),
            Quantity::Loss => figures.loss(),
            _ => None,
        }
    }
}

impl PastFigures {
    /// Whether all that was offered was carried: then the link was not the limit, and the carried
    /// rate is no capacity.
    pub(super) fn is_carried_whole(&self) -> bool {
        let shares = self.goodput_bit_s.zip(self.offered_bit_s);
        shares.is_some_and(|(carried, offered)| CARRIED_WHOLE * real(offered) <= real(carried))
    }

    fn is_like(&self, other: &Self, load: &str) -> bool {
        let is_close = |one: f64, other: f64, share: f64| {
            (one - other).abs() <= share * one.abs().max(other.abs())
        };
        let offered = match (self.offered_bit_s, other.offered_bit_s) {
            (None, None) => true,
            (Some(one), Some(two)) => {
                is_close(real(one), real(two), OFFERED_ALIKE)
                    || !self.is_carried_whole() && !other.is_carried_whole()
            }
            _ => false,
        };
        let framing =
            |figures: &Self| Some(real(figures.carried_bit_s?) / real(figures.goodput_bit_s?));
        let framing = framing(self).zip(framing(other)).filter(|_| load == "udp");
        offered && framing.is_none_or(|(one, two)| is_close(one, two, FRAMING_ALIKE))
    }

    /// The loss; what is left open is that of so many packets.
    fn loss(&self) -> Option<Reading> {
        let value = self.loss_ratio?;
        let bounds = self.lost.zip(self.sent);
        let bounds = bounds.and_then(|(lost, sent)| loss_bounds(lost, sent, Confidence::P95));
        let error = bounds.map_or(0.0, |bounds| (bounds.high - bounds.low) / 2.0);
        Some(Reading { value, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(load: &str, offered: u64, goodput: u64) -> PastTrial {
        let figures = PastFigures {
            offered_bit_s: Some(offered),
            carried_bit_s: Some(goodput + goodput / 32),
            goodput_bit_s: Some(goodput),
            ..PastFigures::default()
        };
        PastTrial {
            load: load.to_owned(),
            is_whole: true,
            one_way: PerDirection { forward: Some(figures), reverse: None },
            ..PastTrial::default()
        }
    }

    #[test]
    fn trials_are_alike_that_send_the_same_or_are_limited_by_the_link_alike() {
        let of = |offered, goodput| trial("udp", offered, goodput);
        let alike = |one: &PastTrial, two: &PastTrial| one.is_like(two) && two.is_like(one);
        assert!(alike(&of(100_000_000, 100_000_000), &of(104_000_000, 104_000_000)));
        assert!(
            !alike(&of(100_000_000, 100_000_000), &of(110_000_000, 110_000_000)),
            "another offered rate"
        );
        assert!(
            alike(&of(100_000_000, 100_000_000), &of(100_000_000, 60_000_000)),
            "a fall is a change, not another test"
        );
        assert!(
            alike(&of(200_000_000, 95_000_000), &of(300_000_000, 95_000_000)),
            "the link was the limit in both"
        );
        assert!(!alike(&of(200_000_000, 95_000_000), &of(90_000_000, 90_000_000)));
        assert!(!alike(&of(100_000_000, 100_000_000), &trial("tcp", 100_000_000, 100_000_000)));
        let mut both = of(100_000_000, 100_000_000);
        both.one_way.reverse = both.one_way.forward.clone();
        assert!(!alike(&both, &of(100_000_000, 100_000_000)), "load in one direction and in both");
        let mut small = of(100_000_000, 100_000_000);
        small.one_way.forward.as_mut().expect("tested").carried_bit_s = Some(130_000_000);
        assert!(!alike(&small, &of(100_000_000, 100_000_000)), "small packets");
    }

    #[test]
    fn runs_that_say_nothing_of_the_link_are_in_no_baseline() {
        let why = |state, verdict| {
            PastRun { state: Some(state), verdict, ..PastRun::default() }.why_out()
        };
        assert_eq!(why(State::Ok, Some(Verdict::Fail)), None);
        assert_eq!(why(State::Ok, Some(Verdict::Inconclusive)), None);
        assert_eq!(why(State::Ok, Some(Verdict::Invalid)).as_deref(), Some("INVALID"));
        assert_eq!(why(State::Partial, Some(Verdict::Pass)).as_deref(), Some("partial"));
        assert_eq!(why(State::Aborted, None).as_deref(), Some("aborted"));
        assert_eq!(PastRun::default().why_out().as_deref(), Some("of an unknown state"));
    }

    /// Nothing lost of 1000: up to 0.3 % by the rule of three.
    #[test]
    fn a_loss_leaves_open_what_its_packets_do() {
        let figures = PastFigures {
            sent: Some(1_000),
            lost: Some(0),
            loss_ratio: Some(0.0),
            ..PastFigures::default()
        };
        let loss = figures.loss().expect("known");
        assert!((loss.error - 0.001_5).abs() < 1e-5, "{loss:?}");
    }
}
