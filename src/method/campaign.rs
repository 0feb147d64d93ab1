//! What a run does next, given what has happened so far. It alone composes.

use crate::flow::{Evidence, Outcome, PathMtu, Status};
use crate::method::trials::{Composed, Note, SitePath, compose};
use crate::plan::{Limits, MTU_MAX, OutOfBounds, Plan, Trial, Work};
use crate::policy::Request;
use crate::stats::delays::Delay;
use crate::units::{BitRate, IpVersion, Span};

/// What the search for the path's MTU may take.
const SEARCH: Span = Span::from_secs(60);

/// The largest packet that is tried: beyond it no Ethernet goes.
pub const PACKET_MAX: u32 = 9_216;

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

/// Why a plan cannot be run as it was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// A number of a trial is outside its bounds.
    #[error("{0}")]
    OutOfBounds(#[from] OutOfBounds),
    /// The size does not cross.
    #[error(
        "a size of {asked} octets: the path carries at most {found} octets of UDP payload in one \
         piece. Ask for at most that, or leave the size out"
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

/// A plan on the way to one of its sites.
#[derive(Debug)]
pub struct Campaign {
    plan: Plan,
    place: usize,
    ip: IpVersion,
    device_mtu: u32,
    state: Option<State>,
    ahead: std::collections::VecDeque<Trial>,
    /// The trial that is to be run now: its outcome is not here yet.
    current: Option<Trial>,
    evidence: Evidence,
    notes: Vec<Note>,
}

impl Campaign {
    /// A campaign for `plan` towards its site at `place`, over `ip`, leaving this host on a device
    /// of `device_mtu`.
    #[must_use]
    pub fn new(plan: Plan, place: usize, ip: IpVersion, device_mtu: u32) -> Self {
        let (ahead, evidence) = (std::collections::VecDeque::new(), Evidence::default());
        let (state, notes) = (None, Vec::new());
        Self { plan, place, ip, device_mtu, state, ahead, current: None, evidence, notes }
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
        let sizes = self.plan.tests_of(self.place).filter_map(|test| match test.work {
            Work::Udp(udp) => udp.payload,
            Work::Idle | Work::Tcp(_) => None,
        });
        if let Some(asked) = sizes.max().filter(|size| found < (*size).max(self.least_payload())) {
            return Err(Impossible::SizeTooLong { asked, found });
        }
        let headers = self.ip.udp_overhead_octets();
        let packet = |payload: u32| payload.saturating_add(headers);
        let (octets, tried) = (packet(found), packet(self.most_payload()));
        self.evidence.path_mtu = Some(PathMtu { octets, tried: tried.max(octets) });
        let path = SitePath { limits, ip: self.ip, payload: found };
        let Composed { trials, request, notes } = compose(&self.plan, self.place, path)?;
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
        self.current = None;
        self.evidence.outcomes.push(outcome);
        if let Some(reason) = reason {
            self.abandon(reason);
        }
        self.next()
    }

    /// No further trial runs, because of `reason`. Those that were never composed are told as they
    /// would be for an agent that allows all.
    pub fn abandon(&mut self, reason: &str) {
        if !matches!(self.state, Some(State::Composed { .. })) {
            let path = SitePath { limits: NO_LIMITS, ip: self.ip, payload: self.most_payload() };
            let composed = compose(&self.plan, self.place, path);
            self.ahead = composed.map(|composed| composed.trials).unwrap_or_default().into();
        }
        let nothing = |trial| Outcome::nothing(trial, Status::NotRun, reason.to_owned());
        let rest = self.current.take().into_iter().chain(self.ahead.drain(..));
        self.evidence.outcomes.extend(rest.map(nothing));
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was found out so far.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Whether anything was measured.
    #[must_use]
    pub fn has_evidence(&self) -> bool {
        self.evidence.outcomes.iter().any(|outcome| outcome.status != Status::NotRun)
    }

    /// What was decided for the user.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether every trial has run to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let whole = |outcome: &&Outcome| outcome.status == Status::Ok;
        let run = self.evidence.outcomes.iter().filter(whole).count();
        matches!(self.state, Some(State::Composed { trials }) if trials == run)
    }

    fn next(&mut self) -> Step {
        let round_trip = self.round_trip();
        self.current = self.ahead.pop_front().map(|trial| trial.with_round_trip(round_trip));
        self.current.map_or(Step::Finish, Step::Run)
    }

    /// The median round trip of the line when it was idle, as it was seen last.
    fn round_trip(&self) -> Option<Span> {
        let outcomes = self.evidence.outcomes.iter().rev();
        let mut idle = outcomes.filter(|outcome| outcome.trial.is_idle());
        match idle.find_map(|outcome| outcome.round_trip.quantile(0.5))? {
            Delay::Finite(nanos) => Some(Span::from_nanos(nanos)),
            Delay::Infinite => None,
        }
    }

    fn least_payload(&self) -> u32 {
        let least = crate::wire::probe::LEN_MIN;
        u32::try_from(least).expect("a probe is short").min(self.most_payload())
    }

    /// The largest payload to try: what the device carries; where every load has a size of its own,
    /// the largest of those, so that nothing larger is ever sent.
    fn most_payload(&self) -> u32 {
        let carried = self.device_mtu.min(PACKET_MAX).saturating_sub(self.ip.udp_overhead_octets());
        let size = |work: Work| match work {
            Work::Idle => Some(0),
            Work::Udp(udp) => udp.payload,
            Work::Tcp(_) => None,
        };
        let sizes = self.plan.tests_of(self.place).map(|test| size(test.work));
        let largest = sizes.collect::<Option<Vec<u32>>>().and_then(|sizes| sizes.into_iter().max());
        largest.filter(|largest| 0 < *largest).unwrap_or(carried)
    }
}

/// What an agent would have to allow for any plan.
const NO_LIMITS: Limits =
    Limits { rate_max: BitRate::MAX, duration_max: Span::from_secs(24 * 3_600) };

/// What [`Campaign::most_payload`] gives is a datagram.
const _: () = assert!(PACKET_MAX <= MTU_MAX, "no packet is longer");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::plan::{Link, Offer, Requirements, Site, Test, UdpTest};

    fn plan(payload: Option<u32>) -> Plan {
        let offer = Offer::Rate("10 Mbit/s".parse().expect("a rate"));
        let udp =
            UdpTest { directions: Directions::Both, offer, streams: 1, payload, burst_max: None };
        let test = |work| Test { site: None, work, duration: None, dscp: None };
        let agent = "192.0.2.1".parse().expect("a host");
        let site = Site { name: "far".into(), agent, key: "far.pub".into() };
        Plan {
            link: Link::default(),
            key: "key".into(),
            near: crate::plan::Near::default(),
            sites: vec![site],
            idle: crate::plan::IDLE_DEFAULT,
            requirements: Requirements::default(),
            tests: vec![test(Work::Idle), test(Work::Udp(udp))],
        }
    }

    fn searched(payload: Option<u32>) -> Campaign {
        let mut campaign = Campaign::new(plan(payload), 0, IpVersion::V4, 1_500);
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
        let path = PathMtu { octets: 1_500, tried: 1_500 };
        assert_eq!(campaign.evidence().path_mtu, Some(path));
    }

    #[test]
    fn what_was_never_reached_is_told_as_not_run() {
        let mut campaign = Campaign::new(plan(None), 0, IpVersion::V4, 1_500);
        campaign.abandon("nothing answers");
        let outcomes = &campaign.evidence().outcomes;
        assert!(outcomes.iter().all(|outcome| outcome.status == Status::NotRun));
        assert_eq!((outcomes.len(), campaign.has_evidence()), (2, false));
        assert!(!campaign.is_complete());
    }

    #[test]
    fn a_trial_that_failed_before_it_began_is_told_as_not_run() {
        let mut campaign = searched(None);
        campaign.handle_payload(Some(1_472)).expect("possible");
        let Step::Run(idle) = campaign.handle_granted() else { panic!("no trial") };
        campaign.handle_outcome(outcome(idle, Status::Ok, true));
        campaign.abandon("this host has no socket left");
        let outcomes = &campaign.evidence().outcomes;
        let told: Vec<_> = outcomes.iter().map(|it| (it.status, it.trial.is_idle())).collect();
        assert_eq!(told, [(Status::Ok, true), (Status::NotRun, false)]);
        assert_eq!(outcomes[1].reason.as_deref(), Some("this host has no socket left"));
    }

    #[test]
    fn a_size_that_does_not_cross_is_told() {
        let error = searched(Some(1_400)).handle_payload(Some(1_372)).expect_err("too long");
        assert!(error.to_string().contains("a size of 1400 octets: the path carries at most 1372"));
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
            assert_eq!(campaign.evidence().outcomes[1].status, Status::NotRun);
            assert!(!campaign.is_complete());
        }
    }
}
