//! What shows whether others suffer from a load: fetched for [`Guard`], which decides.

use crate::clock::{Driver, Stamp};
use crate::dataplane::Gauge;
use crate::direction::{Direction, PerDirection};
use crate::framing::{Framing, IpVersion, Layer};
use crate::io::host;
use crate::io::witness::WitnessProbe;
use crate::method::guard::{Answers, Carriage, Guard, Seen};
use crate::plan::{Plan, Witness};
use crate::trial::Trial;
use crate::units::{BitRate, Span};
use std::sync::atomic::Ordering::Relaxed;

/// A guard, and what it looks at.
#[derive(Debug)]
pub(super) struct Guarding {
    guard: Guard,
    witnesses: Vec<(Witness, WitnessProbe)>,
    /// The outgoing interface and what it carries, where it is looked at.
    interface: Option<(String, BitRate)>,
    /// The load of the trial under way.
    load: Option<Load>,
}

/// A load as the outgoing interface sees it.
#[derive(Clone, Copy, Debug)]
struct Load {
    began: Option<Stamp<Driver>>,
    /// Octets of a frame of UDP; `None` of TCP.
    frame: Option<u64>,
    /// What it takes at most in each direction.
    rates: PerDirection<Option<BitRate>>,
}

impl Guarding {
    /// That of a run of `plan` which leaves this host by `device`; and what cannot be looked at.
    pub(super) fn begin(plan: &Plan, device: Option<&str>) -> (Self, Vec<String>) {
        let guard = Guard::new(plan.rules.abort_if.clone());
        let (mut witnesses, mut notes) = (Vec::new(), Vec::new());
        for witness in guard.witnesses() {
            match WitnessProbe::begin(witness.address, witness.port) {
                Ok(probe) => witnesses.push((witness, probe)),
                Err(error) => notes.push(format!(
                    "abort_if: the witness {witness} cannot be asked ({error}), so it ends no load"
                )),
            }
        }
        let interface = guard.wants_interface().then(|| {
            let device = device?;
            let speed = host::speed_of(device).or(plan.link.port_rate)?;
            host::octets_of(device).map(|_| (device.to_owned(), speed))
        });
        if interface == Some(None) {
            notes.push(
                "abort_if: the speed of the outgoing interface is not known, so its utilisation \
                 ends no load: give the link its port_rate"
                    .to_owned(),
            );
        }
        (Self { guard, witnesses, interface: interface.flatten(), load: None }, notes)
    }

    /// `trial` of `plan` begins.
    pub(super) fn begin_trial(&mut self, trial: &Trial, plan: &Plan) {
        let framing = plan.link.framing(IpVersion::V4);
        self.guard.handle_trial();
        self.load = (!trial.is_idle()).then(|| Load {
            began: None,
            frame: trial.load().map(|load| framing.octets_at(Layer::L2, load.payload()).into()),
            rates: PerDirection::from_fn(|direction| rate_of(trial, framing, direction)),
        });
    }

    /// It is over.
    pub(super) fn end_trial(&mut self) {
        self.load = None;
    }

    /// Why the load has to end at `now`, if it has to.
    pub(super) fn look(&mut self, now: Stamp<Driver>, gauge: &Gauge) -> Option<String> {
        if self.guard.is_idle() {
            return None;
        }
        let round_trip_ns = gauge.round_trip_ns.load(Relaxed);
        let agent = Answers {
            sent: gauge.probes.load(Relaxed),
            answered: gauge.replies.load(Relaxed),
            round_trip: (0 < round_trip_ns).then(|| Span::from_nanos(round_trip_ns)),
        };
        let witnesses = self.witnesses.iter().map(|(witness, probe)| {
            let seen = probe.answers();
            let round_trip = seen.round_trip_ns.map(Span::from_nanos);
            (*witness, Answers { sent: seen.sent, answered: seen.answered, round_trip })
        });
        let witnesses = witnesses.collect();
        let interface = self.interface.as_ref().and_then(|(device, speed)| {
            let octets = host::octets_of(device)?;
            let own = self.load.as_ref().map_or([0; 2], |load| load.octets(now, gauge));
            Some(Carriage { octets, own, speed_bit_s: speed.bits_per_second() })
        });
        if let Some(load) = &mut self.load {
            load.began.get_or_insert(now);
        }
        let is_loading = self.load.is_some();
        self.guard.look(now.nanos(), &Seen { agent, witnesses, interface, is_loading })
    }
}

impl Load {
    /// Its octets that have left and arrived by `now`: counted of UDP, and at most of TCP.
    fn octets(&self, now: Stamp<Driver>, gauge: &Gauge) -> [u64; 2] {
        if let Some(frame) = self.frame {
            return [&gauge.sent, &gauge.received].map(|it| it.load(Relaxed).saturating_mul(frame));
        }
        let since = self.began.map_or(0, |began| now.nanos_since(began));
        let by_now = |direction| {
            let rate: Option<BitRate> = *self.rates.get(direction);
            rate.map_or(0, |rate| rate.octets_in(Span::from_nanos(since)).octets())
        };
        Direction::ALL.map(by_now)
    }
}

fn rate_of(trial: &Trial, framing: Framing, direction: Direction) -> Option<BitRate> {
    match (trial.load(), trial.tcp()) {
        (Some(load), _) => load.rate_at(direction, framing, Layer::L2),
        (None, Some(load)) => load.rate_at(direction, framing, Layer::L2),
        (None, None) => None,
    }
}
