//! The procedures: what a run does next, given what it has found so far.
//!
//! # The contract of a method
//!
//! A [`Method`] is a machine with one input, [`Method::next`]: all [`Evidence`] of this site in,
//! one [`Step`] out. It is called once when the run begins, and then once each time a step is over:
//!
//! | step | is over when | what the evidence then holds |
//! |---|---|---|
//! | [`Step::Request`] | the agent has granted it | `free_rate_bit_s`, as it was then |
//! | [`Step::FindPayload`] | the search has ended | `path_mtu`; `None` where nothing crosses |
//! | [`Step::Run`] | the trial has ended, or was cut short | one more outcome, the last |
//! | any other | never | |
//!
//! A request that the agent refuses ends the run, unless [`Method::refused`] has another in its
//! place. A search that the agent refuses is over too, and leaves one outcome that says so.
//!
//! Evidence only grows, and the agent's limits never change during a run. So whatever a method
//! decides, it decides from the limits that it was made with, the evidence, and the steps that it
//! has given. A trial may be repeated with another duration: it is one more `Run`, and one more
//! outcome. An agent counts all load of a run, so a method that lengthens a trial first asks for
//! leave again, for what has been loaded before and what is to come ([`Step::Request`]).
//!
//! A method knows trials and evidence. It never sees a message, a connection or the time, and it
//! never chooses among sites or other methods: [`campaign`] alone composes those. The loops that
//! carry out steps never look at a measured value.

pub mod campaign;

pub mod guard;

mod lengthening;

pub mod note;

mod qualification;

pub mod schedule;

pub mod trials;

use crate::flow::Evidence;
use crate::framing::IpVersion;
use crate::method::note::Note;
use crate::policy::Request;
use crate::trial::{OutOfBounds, Trial};
use std::fmt;
use std::fmt::Debug;

pub use qualification::{PACKET_MAX, most_payload};

/// A procedure towards one site, on the terms of the module's docs.
pub trait Method: Debug + Send {
    /// What to do next, given all that was found so far.
    fn next(&mut self, evidence: &Evidence) -> Step;

    /// The agent has refused the request that was given last: what to ask in its place, if
    /// anything.
    fn refused(&mut self, _evidence: &Evidence) -> Option<Step> {
        None
    }

    /// The trials that are still to run after the step given last, as far as they are known: where
    /// the run ends early, the report lists them as not run.
    fn ahead(&self) -> Vec<Trial>;

    /// What was decided for the user since this was last called.
    fn take_notes(&mut self) -> Vec<Note>;
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask the agent for leave.
    Request(Request),
    /// Find the largest payload, at most this, that crosses both ways; the trial bounds its time.
    FindPayload(u32, Trial),
    /// Run this trial.
    Run(Trial),
    /// There is nothing more to do.
    Finish,
    /// None of the trials ahead is run, for this reason.
    Abandon(&'static str),
    /// The plan cannot be run as it was asked.
    Impossible(Impossible),
}

/// Why a plan cannot be run as it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// A number of a trial is outside its bounds.
    #[error("{0}")]
    OutOfBounds(#[from] OutOfBounds),
    /// The size does not cross.
    #[error(
        "a size of {asked} octets: the path carries at most {found} octets of UDP payload \
         unfragmented. Give at most that, or leave the size out"
    )]
    SizeTooLong {
        /// What was asked for.
        asked: u32,
        /// What crosses.
        found: u32,
    },
    /// No trial that the agent allows can prove a requirement: why, and what to do.
    #[error("{0}")]
    Unprovable(String),
    /// The size leaves this host in no single piece.
    #[error("a size of {asked} octets: {limit}")]
    SizeAboveDevice {
        /// What was asked for.
        asked: u32,
        /// What leaves.
        limit: DeviceLimit,
    },
    /// No probe of any size came back.
    #[error(
        "no probe was answered, not even the smallest: does a firewall drop UDP after the first \
         packets?"
    )]
    NothingCrosses,
}

/// What a device of this host sends in one piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceLimit {
    /// The device.
    device: String,
    /// Octets of its largest IP packet.
    mtu: u32,
    /// Octets of UDP payload in that.
    most: u32,
}

impl DeviceLimit {
    /// Where a payload of `asked` octets over `ip` is more than a `device` of this `mtu` sends in
    /// one piece: its limit.
    #[must_use]
    pub fn below(asked: u32, ip: IpVersion, (device, mtu): (String, u32)) -> Option<Self> {
        let most = mtu.saturating_sub(ip.udp_overhead_octets());
        (most < asked).then_some(Self { device, mtu, most })
    }
}

impl fmt::Display for DeviceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, mtu, most } = self;
        write!(
            f,
            "this host's device {device} has an MTU of {mtu}, so at most {most} octets of UDP \
             payload leave unfragmented. Give at most that, or raise the MTU"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::method::qualification::tests::outcome;
    use crate::units::Span;

    #[test]
    fn a_device_limits_a_payload_by_its_mtu_less_the_headers() {
        let most = |asked, ip| DeviceLimit::below(asked, ip, ("eth0".into(), 1_500));
        assert_eq!((most(1_472, IpVersion::V4), most(1_452, IpVersion::V6)), (None, None));
        for (asked, ip, least) in [(1_473, IpVersion::V4, "1472"), (1_453, IpVersion::V6, "1452")] {
            let limit = most(asked, ip).expect("one octet too much");
            let error = Impossible::SizeAboveDevice { asked, limit }.to_string();
            let expected = format!(
                "a size of {asked} octets: this host's device eth0 has an MTU of 1500, so at \
                 most {least} octets of UDP payload leave unfragmented"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    /// A method that runs one idle trial, and once more for max(3T, 10 s) where no probe of it came
    /// back.
    #[derive(Debug)]
    pub(super) struct Lengthening {
        duration: Span,
        is_granted: bool,
        is_lengthened: bool,
    }

    impl Lengthening {
        pub(super) const fn new(duration: Span) -> Self {
            Self { duration, is_granted: false, is_lengthened: false }
        }

        fn trial(&self) -> Trial {
            Trial::new(None, self.duration).expect("within bounds")
        }

        /// Leave for all that was run, and for the trial that comes.
        fn ask(&mut self, evidence: &Evidence) -> Step {
            let run = evidence.trials.iter().map(|run| run.trial.duration());
            let duration = run.fold(self.duration, Span::plus);
            self.is_granted = true;
            let (congestion, fences) = (Vec::new(), Vec::new());
            Step::Request(Request { circuit: None, duration, load: None, congestion, fences })
        }
    }

    impl Method for Lengthening {
        fn next(&mut self, evidence: &Evidence) -> Step {
            let runs = if self.is_lengthened { 2 } else { 1 };
            match evidence.trials.last() {
                Some(last)
                    if !self.is_lengthened && last.outcome.round_trip.delays.measured() == 0 =>
                {
                    let trebled = self.duration.plus(self.duration).plus(self.duration);
                    self.duration = trebled.max(Span::from_secs(10));
                    self.is_lengthened = true;
                    self.ask(evidence)
                }
                None if !self.is_granted => self.ask(evidence),
                _ if evidence.trials.len() < runs => {
                    self.is_granted = false;
                    Step::Run(self.trial())
                }
                _ => Step::Finish,
            }
        }

        fn ahead(&self) -> Vec<Trial> {
            if self.is_granted { vec![self.trial()] } else { Vec::new() }
        }

        fn take_notes(&mut self) -> Vec<Note> {
            Vec::new()
        }
    }

    /// What is asked for, and the trials that are run, where probes come back to those that are as
    /// long as `answered`.
    fn lengthened(first: Span, answered: Span) -> Vec<(Span, Span)> {
        let (mut method, mut evidence) = (Lengthening::new(first), Evidence::default());
        let mut run = Vec::new();
        while let Step::Request(request) = method.next(&evidence) {
            let Step::Run(trial) = method.next(&evidence) else { panic!("no trial") };
            run.push((request.duration, trial.duration()));
            let is_answered = answered <= trial.duration();
            evidence.trials.push(outcome(trial, Status::Ok, is_answered));
        }
        run
    }

    #[test]
    fn a_trial_is_lengthened_once_by_what_was_seen() {
        let seconds = Span::from_secs;
        let short = (seconds(2), seconds(2));
        assert_eq!(lengthened(seconds(2), seconds(2)), [short], "it needs no more");
        assert_eq!(lengthened(seconds(2), seconds(3)), [short, (seconds(12), seconds(10))]);
        let (once, again) = ((seconds(4), seconds(4)), (seconds(16), seconds(12)));
        assert_eq!(lengthened(seconds(4), seconds(60)), [once, again], "no more than once");
    }
}
