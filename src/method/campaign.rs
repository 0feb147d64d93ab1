//! The run towards one site: it keeps what was found there, and hands it to the method.
//!
//! It alone composes plan, site and method. It never decides which trial comes next.

use crate::account::{Outcome, PathMtu, Status};
use crate::flow::{Evidence, TrialRun};
use crate::framing::IpVersion;
use crate::method::note::Note;
use crate::method::qualification::{NO_LIMITS, Qualification};
use crate::method::{Method, Step};
use crate::plan::Plan;
use crate::trial::Limits;

/// How far a run has come.
#[derive(Debug)]
enum State {
    /// The agent has not said yet what it allows.
    Begun,
    /// This step was given last.
    Given(Step),
    /// What was still ahead is listed as not run.
    Abandoned,
}

/// A plan on the way to one of its sites.
#[derive(Debug)]
pub struct Campaign {
    plan: Plan,
    place: usize,
    ip: IpVersion,
    device_mtu: u32,
    /// `None` until the agent says what it allows.
    method: Option<Box<dyn Method>>,
    state: State,
    evidence: Evidence,
}

impl Campaign {
    /// A campaign for `plan` towards its site at `place`, over `ip`, leaving this host on a device
    /// of `device_mtu`.
    #[must_use]
    pub fn new(plan: Plan, place: usize, ip: IpVersion, device_mtu: u32) -> Self {
        let (method, state, evidence) = (None, State::Begun, Evidence::default());
        Self { plan, place, ip, device_mtu, method, state, evidence }
    }

    /// The agent allows `limits`.
    pub fn handle_admitted(&mut self, limits: Limits) -> Step {
        self.begin(self.method(limits))
    }

    /// The agent has granted what was asked; of its limit, other runs leave `free_rate_bit_s`.
    ///
    /// # Panics
    ///
    /// Panics where nothing was asked: the caller's own order is wrong.
    pub fn handle_granted(&mut self, free_rate_bit_s: Option<u64>) -> Step {
        let is_asked = matches!(self.state, State::Given(Step::Request(_)));
        assert!(is_asked, "granted while {:?}", self.state);
        self.evidence.free_rate_bit_s = free_rate_bit_s;
        self.next()
    }

    /// The agent has refused what was asked: what to ask in its place, if anything.
    ///
    /// # Panics
    ///
    /// Panics where nothing was asked: the caller's own order is wrong.
    pub fn handle_refused(&mut self) -> Option<Step> {
        let is_asked = matches!(self.state, State::Given(Step::Request(_)));
        assert!(is_asked, "refused while {:?}", self.state);
        let step = self.method.as_mut()?.refused(&self.evidence)?;
        self.state = State::Given(step.clone());
        Some(step)
    }

    /// The largest payload that crosses is `found`; this host's kernel takes the path to carry
    /// packets of `kernel_octets`.
    ///
    /// # Panics
    ///
    /// Panics where no search was asked for: the caller's own order is wrong.
    pub fn handle_payload(&mut self, found: Option<u32>, kernel_octets: Option<u32>) -> Step {
        let State::Given(Step::FindPayload(most, _)) = self.state else {
            unreachable!("a payload was found that nobody sought");
        };
        let packet = |payload: u32| payload.saturating_add(self.ip.udp_overhead_octets());
        self.evidence.path_mtu = found.map(|found| {
            let (octets, tried) = (packet(found), packet(most));
            PathMtu { octets, tried_octets: tried.max(octets), kernel_octets }
        });
        self.next()
    }

    /// A trial is over.
    pub fn handle_outcome(&mut self, run: TrialRun) -> Step {
        self.evidence.trials.push(run);
        self.next()
    }

    /// No further trial runs, because of `reason`: the one under way and those ahead are listed as
    /// not run.
    pub fn abandon(&mut self, reason: &str) {
        if matches!(self.state, State::Abandoned | State::Given(Step::Finish)) {
            return;
        }
        let current = match std::mem::replace(&mut self.state, State::Abandoned) {
            State::Given(Step::Run(trial)) => Some(trial),
            State::Given(_) | State::Begun | State::Abandoned => None,
        };
        let ahead = match &self.method {
            Some(method) => method.ahead(),
            None => self.method(NO_LIMITS).ahead(),
        };
        let nothing = |trial| {
            let outcome = Outcome::nothing(Status::NotRun, reason.to_owned());
            TrialRun { trial, outcome }
        };
        self.evidence.trials.extend(current.into_iter().chain(ahead).map(nothing));
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
        self.evidence.trials.iter().any(|run| run.outcome.status != Status::NotRun)
    }

    /// What was decided for the user since this was last called.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.method.as_mut().map(|method| method.take_notes()).unwrap_or_default()
    }

    /// Whether every trial has run to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_whole = |run: &TrialRun| run.outcome.status == Status::Ok;
        let is_over = matches!(self.state, State::Given(Step::Finish));
        is_over && self.evidence.trials.iter().all(is_whole)
    }

    /// The method that answers the plan.
    fn method(&self, limits: Limits) -> Box<dyn Method> {
        let (plan, place) = (self.plan.clone(), self.place);
        Box::new(Qualification::new(plan, place, self.ip, self.device_mtu, limits))
    }

    fn begin(&mut self, method: Box<dyn Method>) -> Step {
        self.method = Some(method);
        self.next()
    }

    /// # Panics
    ///
    /// Panics before [`Self::handle_admitted`]: the caller's own order is wrong.
    fn next(&mut self) -> Step {
        let method = self.method.as_mut().expect("the agent has admitted this driver");
        let step = method.next(&self.evidence);
        self.state = State::Given(step.clone());
        if let Step::Abandon(reason) = step {
            self.abandon(reason);
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Impossible;
    use crate::method::qualification::tests::{limits, outcome, plan};
    use crate::method::tests::Lengthening;
    use crate::policy::Request;
    use crate::trial::Trial;
    use crate::units::Span;

    fn searched(payload: Option<u32>) -> Campaign {
        let mut campaign = Campaign::new(plan(payload), 0, IpVersion::V4, 1_500);
        let step = campaign.handle_admitted(limits());
        assert!(matches!(step, Step::Request(Request { load: None, .. })));
        let Step::FindPayload(most, _) = campaign.handle_granted(None) else { panic!("no search") };
        assert_eq!(most, payload.unwrap_or(1_472));
        campaign
    }

    /// A campaign whose first trial runs.
    fn running() -> (Campaign, Trial) {
        let mut campaign = searched(None);
        campaign.handle_payload(Some(1_472), None);
        let Step::Run(idle) = campaign.handle_granted(None) else { panic!("no trial") };
        (campaign, idle)
    }

    #[test]
    fn leave_then_the_search_then_leave_to_load_then_each_trial() {
        let mut campaign = searched(None);
        let step = campaign.handle_payload(Some(1_472), None);
        assert!(matches!(step, Step::Request(Request { load: Some(_), .. })));
        let Step::Run(idle) = campaign.handle_granted(None) else { panic!("no trial") };
        assert!(idle.load().is_none());
        let Step::Run(load) = campaign.handle_outcome(outcome(idle, Status::Ok, true)) else {
            panic!("no load")
        };
        assert_eq!(load.load().map(crate::trial::Load::payload), Some(1_472));
        assert!(!campaign.is_complete());
        assert_eq!(campaign.handle_outcome(outcome(load, Status::Ok, true)), Step::Finish);
        assert!(campaign.is_complete());
        let path = PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None };
        assert_eq!(campaign.evidence().path_mtu, Some(path));
        campaign.abandon("the connection closed after the last trial");
        assert!(campaign.is_complete());
        assert_eq!(campaign.evidence().trials.len(), 2);
    }

    #[test]
    fn what_was_never_reached_is_reported_as_not_run() {
        let mut campaign = Campaign::new(plan(None), 0, IpVersion::V4, 1_500);
        campaign.abandon("nothing answers");
        let outcomes = &campaign.evidence().trials;
        assert!(outcomes.iter().all(|run| run.outcome.status == Status::NotRun));
        assert_eq!((outcomes.len(), campaign.has_evidence()), (2, false));
        assert!(!campaign.is_complete());
    }

    #[test]
    fn a_trial_that_failed_before_it_began_is_reported_as_not_run() {
        let (mut campaign, idle) = running();
        campaign.handle_outcome(outcome(idle, Status::Ok, true));
        campaign.abandon("this host has no socket left");
        campaign.abandon("and once more");
        let outcomes = &campaign.evidence().trials;
        let shown: Vec<_> =
            outcomes.iter().map(|it| (it.outcome.status, it.trial.is_idle())).collect();
        assert_eq!(shown, [(Status::Ok, true), (Status::NotRun, false)]);
        assert_eq!(outcomes[1].outcome.reason.as_deref(), Some("this host has no socket left"));
    }

    #[test]
    fn a_size_that_does_not_cross_is_reported() {
        let Step::Impossible(error) = searched(Some(1_400)).handle_payload(Some(1_372), None)
        else {
            panic!("too long")
        };
        assert!(error.to_string().contains("a size of 1400 octets: the path carries at most 1372"));
        let short = searched(Some(64)).handle_payload(Some(72), None);
        assert!(matches!(short, Step::Request(_)), "shorter than any probe");
        let nothing = searched(None).handle_payload(None, None);
        assert_eq!(nothing, Step::Impossible(Impossible::NothingCrosses));
    }

    #[test]
    fn a_dead_line_is_not_loaded_and_a_cut_trial_is_the_last() {
        for (status, answered) in [(Status::Ok, false), (Status::Partial, true)] {
            let (mut campaign, idle) = running();
            let step = campaign.handle_outcome(outcome(idle, status, answered));
            assert!(matches!(step, Step::Abandon(_)), "{step:?}");
            assert_eq!(campaign.evidence().trials[1].outcome.status, Status::NotRun);
            assert!(!campaign.is_complete());
        }
    }

    #[test]
    fn a_search_that_is_refused_ends_the_run() {
        let mut campaign = searched(None);
        let trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
        let step = campaign.handle_outcome(outcome(trial, Status::Refused, false));
        assert_eq!(step, Step::Abandon("the trial before it was cut short"));
        let shown: Vec<_> = campaign.evidence().trials.iter().map(|it| it.outcome.status).collect();
        assert_eq!(shown, [Status::Refused, Status::NotRun, Status::NotRun]);
    }

    /// Leave is asked for in between, and where the run ends then, the longer trial was not run.
    #[test]
    fn a_trial_that_is_run_again_for_longer_is_an_outcome_of_its_own() {
        let second = Span::from_secs(1);
        for ends_early in [false, true] {
            let mut campaign = Campaign::new(plan(None), 0, IpVersion::V4, 1_500);
            campaign.begin(Box::new(Lengthening::new(second)));
            let Step::Run(short) = campaign.handle_granted(None) else { panic!("no trial") };
            let step = campaign.handle_outcome(outcome(short, Status::Ok, false));
            assert!(matches!(step, Step::Request(_)), "{step:?}");
            if ends_early {
                campaign.abandon("the connection was lost");
            } else {
                let Step::Run(long) = campaign.handle_granted(None) else { panic!("no trial") };
                let step = campaign.handle_outcome(outcome(long, Status::Ok, true));
                assert_eq!(step, Step::Finish);
            }
            let outcomes = campaign.evidence().trials.iter();
            let shown: Vec<_> =
                outcomes.map(|it| (it.outcome.status, it.trial.duration())).collect();
            let last = if ends_early { Status::NotRun } else { Status::Ok };
            assert_eq!(shown, [(Status::Ok, second), (last, Span::from_secs(10))]);
            assert_eq!(campaign.is_complete(), !ends_early);
        }
    }
}
