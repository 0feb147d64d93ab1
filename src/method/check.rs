//! One question to one line: an idle trial, then the load, each as long as its proof needs.

use crate::plan::{
    Aim, Check, DURATION_MAX, DURATION_MIN, Limits, Load, Offer, OutOfBounds, PAYLOAD_MIN,
    PROBES_PER_SECOND, Requirements, Trial,
};
use crate::policy::{LoadRequest, PROBING_MAX, Request, frame_rate};
use crate::stats::confidence::{Confidence, packets_needed, samples_needed};
use crate::units::{BitRate, Framing, IpVersion, Layer, Span};
use std::fmt;

/// How long is loaded where nothing else is asked for.
const LOAD_DEFAULT: Span = Span::from_secs(30);

/// The idle trial before any load, at least.
const IDLE_MIN: Span = Span::from_secs(10);

/// The load for a loss that is asked for without a rate.
const RATE_ASSUMED: BitRate = match BitRate::new(10_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// Lost packets that the plan for a loss bound allows for: a line ten times better than its bound
/// then passes 99 times of 100 (the binomial operating characteristic at k = 3).
const LOST_ALLOWED: u64 = 3;

/// Probes beyond what a percentile needs, for those that leave late and are not counted: 5 %.
const PROBES_SPARE_PERCENT: u64 = 5;

/// Set-up and account of a trial, beside the time in which packets are due.
const TRIAL_OVERHEAD: Span = Span::from_secs(30);

/// What was decided for the user, told before anything is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// No rate was given.
    RateAssumed(BitRate),
    /// A trial takes longer than was asked for.
    Lengthened {
        /// "idle", "load".
        which: &'static str,
        /// As it was asked for.
        asked: Span,
        /// As it is.
        takes: Span,
        /// What needs it.
        because: String,
    },
    /// A requirement cannot be proved here.
    CannotProve {
        /// The requirement, and what it would take.
        what: String,
        /// The longest that is possible.
        most: Span,
    },
    /// The load is only as far as the agent's role goes.
    Capacity(BitRate),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateAssumed(rate) => write!(
                f,
                "no rate was given: loss is measured at {rate}. Give --rate to load as the \
                 migration will"
            ),
            Self::Lengthened { which, asked, takes, because } => write!(
                f,
                "the {which} trial takes {} s instead of {} s: {because}",
                takes.secs_up(),
                asked.secs_up()
            ),
            Self::CannotProve { what, most } => write!(
                f,
                "{what}, and a trial takes {} s at most here: it can fail, and not pass",
                most.secs_up()
            ),
            Self::Capacity(rate) => write!(
                f,
                "capacity trial: as fast as this host can, single datagrams, up to the agent's \
                 limit of {rate}; it is shown and not judged"
            ),
        }
    }
}

/// The trials that answer a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// In the order in which they run.
    pub trials: Vec<Trial>,
    /// What the agent is asked for.
    pub request: Request,
    /// What was decided for the user.
    pub notes: Vec<Note>,
}

/// Whether `check` sends load.
#[must_use]
pub const fn needs_load(check: &Check) -> bool {
    check.offer.is_some() || check.requirements.need_load()
}

/// The trials for `check`, on a path that carries payloads of `payload` octets, within `limits`.
///
/// # Errors
///
/// Where a number is outside the bounds of a trial.
pub fn compose(
    check: &Check,
    limits: Limits,
    ip: IpVersion,
    payload: u32,
) -> Result<Composed, OutOfBounds> {
    let framing = Framing::plain(ip);
    let mut notes = Vec::new();
    let requirements = &check.requirements;
    let probing = probing_needed(requirements);
    let asked = match (needs_load(check), check.duration) {
        (false, Some(duration)) => duration.max(DURATION_MIN),
        _ => IDLE_MIN,
    };
    let idle = lengthen("idle", asked, probing.clone(), DURATION_MAX, &mut notes);
    let mut trials = vec![Trial::new(None, idle)?];
    if needs_load(check) {
        let load = load(check, limits, framing, payload.max(PAYLOAD_MIN), &mut notes)?;
        let most = DURATION_MAX.min(limits.duration_max);
        // What was asked for is refused by the agent rather than shortened here unseen.
        let asked = check.duration.unwrap_or(LOAD_DEFAULT.min(most));
        let needs = longest(probing, loss_needed(requirements, &load));
        let duration = lengthen("load", asked, needs, most, &mut notes);
        trials.push(Trial::new(Some(load), duration)?);
    }
    let request = request(check, limits, &trials, framing);
    Ok(Composed { trials, request, notes })
}

/// What the trials together ask of the agent.
fn request(check: &Check, limits: Limits, trials: &[Trial], framing: Framing) -> Request {
    let asked = match check.offer {
        Some(Offer::Rate(rate)) if check.layer == Layer::L2 => Some(rate),
        None => Some(RATE_ASSUMED.min(limits.rate_max)),
        Some(Offer::Rate(_) | Offer::Max) => None,
    };
    let total = |trials: &mut dyn Iterator<Item = &Trial>| {
        trials.fold(Span::default(), |sum, trial| sum.plus(trial.duration()))
    };
    let overhead = trials.iter().fold(Span::default(), |sum, _| sum.plus(TRIAL_OVERHEAD));
    let load_time = total(&mut trials.iter().filter(|trial| trial.load().is_some()));
    let rate = trials.iter().filter_map(|trial| frame_rate(trial.load()?, framing)).max();
    // What the user asked for, not what it is rounded up to: the agent's limit may be just that.
    let rate = rate.map(|rate| asked.map_or(rate, |asked| asked.min(rate)));
    let duration = total(&mut trials.iter()).plus(overhead).min(load_time.plus(PROBING_MAX));
    let load = rate.map(|rate| LoadRequest { rate, duration: load_time });
    Request { circuit: check.circuit.clone(), duration, load }
}

fn load(
    check: &Check,
    limits: Limits,
    framing: Framing,
    payload: u32,
    notes: &mut Vec<Note>,
) -> Result<Load, OutOfBounds> {
    let (rate, layer, aim) = match check.offer {
        Some(Offer::Rate(rate)) => (rate, check.layer, Aim::Carry),
        Some(Offer::Max) => {
            notes.push(Note::Capacity(limits.rate_max));
            return capacity(check, limits, framing, payload);
        }
        None => {
            let rate = RATE_ASSUMED.min(limits.rate_max);
            notes.push(Note::RateAssumed(rate));
            (rate, Layer::L2, Aim::Carry)
        }
    };
    let packet_rate = framing.packet_rate(rate, layer, payload);
    Load::new(check.course, check.streams, payload, packet_rate, aim)
}

/// The most that the role allows, rounded down to what its streams can share.
fn capacity(
    check: &Check,
    limits: Limits,
    framing: Framing,
    payload: u32,
) -> Result<Load, OutOfBounds> {
    let at_most = |per_second: u64| {
        let rate = crate::units::PacketRate::new(per_second.max(1)).unwrap_or(PROBES_PER_SECOND);
        Load::new(check.course, check.streams, payload, rate, Aim::Capacity)
    };
    let per_second = framing.packet_rate(limits.rate_max, Layer::L2, payload).per_second();
    let streams = u64::from(check.streams.max(1));
    let mut load = at_most(per_second / streams * streams)?;
    if frame_rate(&load, framing).is_none_or(|rate| limits.rate_max < rate) {
        load = at_most((per_second / streams).saturating_sub(1) * streams)?;
    }
    Ok(load)
}

/// A length of time that a proof needs, and which proof.
type Need = Option<(Span, String)>;

fn longest(a: Need, b: Need) -> Need {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The time in which enough probes leave for the percentiles that are asked for.
fn probing_needed(requirements: &Requirements) -> Need {
    let need = |quantile: f64, what: String| {
        let probes = samples_needed(quantile, Confidence::default());
        let probes = probes + probes * PROBES_SPARE_PERCENT / 100;
        (PROBES_PER_SECOND.span_of(probes), format!("{what} needs {probes} probes at 100/s"))
    };
    let rtt = requirements.rtt_p99.map(|span| need(0.99, format!("rtt_p99 <= {span}")));
    let jitter = requirements.jitter.map(|span| need(0.999, format!("jitter <= {span}")));
    longest(rtt, jitter)
}

/// The time in which enough packets leave for the loss that is asked for.
fn loss_needed(requirements: &Requirements, load: &Load) -> Need {
    let limit = requirements.loss.filter(|_| load.aim() == Aim::Carry)?;
    let packets = packets_needed(limit.as_fraction(), LOST_ALLOWED, Confidence::default());
    let because =
        format!("loss <= {limit} needs {packets} packets, of which {LOST_ALLOWED} may be lost");
    Some((load.rate().span_of(packets), because))
}

fn lengthen(
    which: &'static str,
    asked: Span,
    need: Need,
    most: Span,
    notes: &mut Vec<Note>,
) -> Span {
    let Some((needed, because)) = need else { return asked };
    if needed <= asked {
        return asked;
    }
    if most < needed {
        notes.push(Note::CannotProve { what: because, most });
        return asked;
    }
    let takes = Span::from_secs(needed.secs_up());
    let takes = takes.min(most);
    notes.push(Note::Lengthened { which, asked, takes, because });
    takes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Course;

    fn limits() -> Limits {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        Limits { rate_max, duration_max: Span::from_secs(600) }
    }

    fn check(rate: &str, loss: Option<&str>) -> Check {
        let rate: BitRate = rate.parse().expect("a rate");
        let loss = loss.map(|loss| loss.parse().expect("a ratio"));
        Check {
            offer: Some(Offer::Rate(rate)),
            requirements: Requirements { throughput: Some(rate), loss, ..Requirements::default() },
            duration: None,
            course: Course::Both,
            streams: 1,
            payload: None,
            layer: Layer::L2,
            circuit: None,
        }
    }

    fn composed(check: &Check) -> Composed {
        compose(check, limits(), IpVersion::V4, 1_472).expect("within bounds")
    }

    #[test]
    fn ten_seconds_idle_then_thirty_of_load() {
        let composed = composed(&check("500 Mbit/s", None));
        let seconds: Vec<u64> =
            composed.trials.iter().map(|trial| trial.duration().secs_up()).collect();
        assert_eq!((seconds, composed.notes), (vec![10, 30], vec![]));
        let load = composed.request.load.expect("load");
        assert_eq!(load.duration, Span::from_secs(30));
        assert_eq!(load.rate, "500 Mbit/s".parse::<BitRate>().expect("a rate"));
    }

    /// k = 3 at 95 %: n * p = 7.754; 10 Mbit/s in frames of 1518 octets are 824 packets/s.
    #[test]
    fn a_loss_bound_lengthens_the_load_and_says_so() {
        let composed = composed(&check("10 Mbit/s", Some("0.01%")));
        let takes = composed.trials[1].duration();
        assert_eq!(takes, Span::from_secs(95));
        let text = composed.notes[0].to_string();
        assert!(text.contains("takes 95 s instead of 30 s: loss <= 0.01% needs 775"), "{text}");
    }

    #[test]
    fn what_cannot_be_proved_is_said() {
        let composed = composed(&check("1 Mbit/s", Some("0.0001%")));
        let takes = composed.trials[1].duration();
        assert_eq!(takes, Span::from_secs(30), "what cannot be proved is not tried for longer");
        assert!(composed.notes[0].to_string().contains("it can fail, and not pass"));
    }

    #[test]
    fn a_duration_is_never_shortened_unseen() {
        let limits = Limits { duration_max: Span::from_secs(20), ..limits() };
        let seconds = |check: &Check| {
            let composed = compose(check, limits, IpVersion::V4, 1_472).expect("within bounds");
            composed.request.load.expect("load").duration.secs_up()
        };
        let mut check = check("500 Mbit/s", None);
        assert_eq!(seconds(&check), 20, "nothing was asked for");
        check.duration = Some(Span::from_secs(21));
        assert_eq!(seconds(&check), 21, "the agent refuses it");
    }

    #[test]
    fn percentiles_lengthen_both_trials() {
        let mut check = check("100 Mbit/s", None);
        check.requirements.jitter = Some(Span::from_millis(2));
        let composed = composed(&check);
        let seconds: Vec<u64> =
            composed.trials.iter().map(|trial| trial.duration().secs_up()).collect();
        assert_eq!(seconds, [32, 32]);
    }

    #[test]
    fn without_load_the_duration_is_the_probes() {
        let mut check = check("1 Mbit/s", None);
        check.offer = None;
        check.requirements = Requirements::default();
        check.duration = Some(Span::from_secs(3));
        let composed = composed(&check);
        assert_eq!(composed.trials.len(), 1);
        assert_eq!(composed.trials[0].duration(), Span::from_secs(3));
        assert_eq!(composed.request.load, None);
    }

    #[test]
    fn a_loss_without_a_rate_assumes_one_and_says_so() {
        let mut check = check("1 Mbit/s", Some("1%"));
        check.offer = None;
        check.requirements.throughput = None;
        let composed = composed(&check);
        assert!(composed.notes[0].to_string().contains("10 Mbit/s"));
        assert!(composed.trials[1].load().is_some());
    }

    #[test]
    fn a_capacity_trial_stays_within_the_role() {
        let mut check = check("1 Mbit/s", None);
        check.offer = Some(Offer::Max);
        for streams in [1, 3, 7] {
            check.streams = streams;
            let composed = composed(&check);
            let load = composed.request.load.expect("load");
            assert!(load.rate <= limits().rate_max, "{}", load.rate);
            assert!(!composed.trials[1].is_judged());
        }
    }
}
