//! What a run does next, given what has happened so far. It alone composes.

use crate::flow::{Outcome, Status};
use crate::method::check::{Composed, Note, compose};
use crate::plan::{Check, Limits, OutOfBounds, Trial};
use crate::policy::Request;
use crate::units::{IpVersion, Span};

/// What the search for the path's MTU may take.
const SEARCH: Span = Span::from_secs(60);

/// The largest packet that is tried: beyond it no Ethernet goes.
const PACKET_MAX: u32 = 9_216;

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
}

/// Why a check cannot be run as it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// A number of a trial is outside its bounds.
    #[error("{0}")]
    OutOfBounds(#[from] OutOfBounds),
    /// The size does not cross.
    #[error(
        "--size {asked}: the path carries at most {found} octets of UDP payload in one piece. Ask \
         for at most that, or leave --size out"
    )]
    SizeTooLong {
        /// What was asked for.
        asked: u32,
        /// What crosses.
        found: u32,
    },
    /// No probe of any size came back.
    #[error("no probe came back, not even the smallest: does a firewall drop UDP after a start?")]
    NothingCrosses,
}

#[derive(Debug)]
enum State {
    Asking { limits: Limits },
    Searching { limits: Limits },
    Composed { trials: usize },
}

/// A run of one check against one agent.
#[derive(Debug)]
pub struct Campaign {
    check: Check,
    ip: IpVersion,
    device_mtu: u32,
    state: Option<State>,
    ahead: std::collections::VecDeque<Trial>,
    outcomes: Vec<Outcome>,
    notes: Vec<Note>,
}

impl Campaign {
    /// A campaign for `check` over `ip`, leaving this host on a device of `device_mtu`.
    #[must_use]
    pub fn new(check: Check, ip: IpVersion, device_mtu: u32) -> Self {
        let (state, ahead) = (None, std::collections::VecDeque::new());
        Self { check, ip, device_mtu, state, ahead, outcomes: Vec::new(), notes: Vec::new() }
    }

    /// The agent allows `limits`.
    pub fn handle_admitted(&mut self, limits: Limits) -> Step {
        self.state = Some(State::Asking { limits });
        Step::Request(Request { circuit: None, duration: SEARCH, load: None })
    }

    /// The agent has granted what was asked.
    ///
    /// # Panics
    ///
    /// Panics before [`Self::handle_admitted`]: the caller's own order is wrong.
    pub fn handle_granted(&mut self) -> Step {
        match self.state.take() {
            Some(State::Asking { limits }) => {
                self.state = Some(State::Searching { limits });
                let trial = Trial::new(None, Span::from_secs(10)).expect("10 s are within bounds");
                Step::FindPayload(self.most_payload(), trial)
            }
            state => {
                assert!(state.is_some(), "granted before admitted");
                self.state = state;
                self.next()
            }
        }
    }

    /// The largest payload that crosses is `found`: the trials are composed.
    ///
    /// # Errors
    ///
    /// Where the check cannot be run on this path.
    ///
    /// # Panics
    ///
    /// Panics where no search was asked for: the caller's own order is wrong.
    pub fn handle_payload(&mut self, found: Option<u32>) -> Result<Step, Impossible> {
        let Some(State::Searching { limits }) = self.state.take() else {
            unreachable!("a payload was found that nobody sought");
        };
        let found = found.ok_or(Impossible::NothingCrosses)?;
        let payload = match self.check.payload {
            Some(asked) if found < asked.max(self.least_payload()) => {
                return Err(Impossible::SizeTooLong { asked, found });
            }
            Some(asked) => asked,
            None => found,
        };
        let Composed { trials, request, notes } = compose(&self.check, limits, self.ip, payload)?;
        self.state = Some(State::Composed { trials: trials.len() });
        self.ahead = trials.into();
        self.notes = notes;
        Ok(Step::Request(request))
    }

    /// A trial is over. One that was cut short is the last; load is spared a line that is dead.
    pub fn handle_outcome(&mut self, outcome: Outcome) -> Step {
        let reason = match outcome.status {
            Status::Ok if outcome.round_trip.measured() == 0 => {
                Some("no probe came back before it")
            }
            Status::Ok => None,
            Status::Partial | Status::Refused | Status::NotRun => {
                Some("the trial before it was cut short")
            }
        };
        self.outcomes.push(outcome);
        if let Some(reason) = reason {
            self.abandon(reason);
        }
        self.next()
    }

    /// No further trial runs, because of `reason`.
    pub fn abandon(&mut self, reason: &str) {
        let nothing = |trial| Outcome::nothing(trial, Status::NotRun, reason.to_owned());
        self.outcomes.extend(self.ahead.drain(..).map(nothing));
    }

    /// What the run is about.
    #[must_use]
    pub const fn check(&self) -> &Check {
        &self.check
    }

    /// What came of the trials so far.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// What was decided for the user.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether every trial has run to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let run = self.outcomes.iter().filter(|outcome| outcome.status == Status::Ok).count();
        matches!(self.state, Some(State::Composed { trials }) if trials == run)
    }

    fn next(&mut self) -> Step {
        self.ahead.pop_front().map_or(Step::Finish, Step::Run)
    }

    fn least_payload(&self) -> u32 {
        let least = crate::wire::probe::LEN_MIN;
        u32::try_from(least).expect("a probe is short").min(self.most_payload())
    }

    /// The largest payload to try: what was asked for, or what the device carries.
    fn most_payload(&self) -> u32 {
        let carried = self.device_mtu.min(PACKET_MAX).saturating_sub(self.ip.udp_overhead_octets());
        self.check.payload.unwrap_or(carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Course, Offer, Requirements};
    use crate::units::Layer;

    fn check(payload: Option<u32>) -> Check {
        Check {
            offer: Some(Offer::Rate("10 Mbit/s".parse().expect("a rate"))),
            requirements: Requirements::default(),
            duration: None,
            course: Course::Both,
            streams: 1,
            payload,
            layer: Layer::L2,
            circuit: None,
        }
    }

    fn searched(payload: Option<u32>) -> Campaign {
        let mut campaign = Campaign::new(check(payload), IpVersion::V4, 1_500);
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        let duration_max = Span::from_secs(600);
        let step = campaign.handle_admitted(Limits { rate_max, duration_max });
        assert!(matches!(step, Step::Request(Request { load: None, .. })));
        let Step::FindPayload(most, _) = campaign.handle_granted() else { panic!("no search") };
        assert_eq!(most, payload.unwrap_or(1_472));
        campaign
    }

    fn outcome(trial: Trial, status: Status, answered: bool) -> Outcome {
        let mut outcome = Outcome::nothing(trial, status, String::new());
        if answered {
            outcome.round_trip.record(1_000);
        }
        outcome
    }

    #[test]
    fn leave_then_the_search_then_leave_to_load_then_each_trial() {
        let mut campaign = searched(None);
        let step = campaign.handle_payload(Some(1_472)).expect("possible");
        assert!(matches!(step, Step::Request(Request { load: Some(_), .. })));
        let Step::Run(idle) = campaign.handle_granted() else { panic!("no trial") };
        assert!(idle.load().is_none());
        let Step::Run(load) = campaign.handle_outcome(outcome(idle, Status::Ok, true)) else {
            panic!("no load")
        };
        assert_eq!(load.load().map(crate::plan::Load::payload), Some(1_472));
        assert!(!campaign.is_complete());
        assert_eq!(campaign.handle_outcome(outcome(load, Status::Ok, true)), Step::Finish);
        assert!(campaign.is_complete());
    }

    #[test]
    fn a_size_that_does_not_cross_is_told() {
        let error = searched(Some(1_400)).handle_payload(Some(1_372)).expect_err("too long");
        assert!(error.to_string().contains("--size 1400: the path carries at most 1372"));
        assert!(searched(Some(64)).handle_payload(Some(72)).is_ok(), "shorter than any probe");
        assert_eq!(searched(None).handle_payload(None), Err(Impossible::NothingCrosses));
    }

    #[test]
    fn a_dead_line_is_not_loaded_and_a_cut_trial_is_the_last() {
        for (status, answered) in [(Status::Ok, false), (Status::Partial, true)] {
            let mut campaign = searched(None);
            campaign.handle_payload(Some(1_472)).expect("possible");
            let Step::Run(idle) = campaign.handle_granted() else { panic!("no trial") };
            let step = campaign.handle_outcome(outcome(idle, status, answered));
            assert_eq!(step, Step::Finish);
            assert_eq!(campaign.outcomes()[1].status, Status::NotRun);
            assert!(!campaign.is_complete());
        }
    }
}
