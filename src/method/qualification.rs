//! The first method: find the path's MTU, then run the plan's trials in their order, idle before
//! any load.
//!
//! It never loads a link that answered no probe, and runs nothing after a trial that was cut short.

use crate::account::Status;
use crate::flow::{Evidence, TrialRun};
use crate::framing::IpVersion;
use crate::method::lengthening::{again, long_enough};
use crate::method::note::Note;
use crate::method::trials::{Composed, SitePath, TRIAL_OVERHEAD, compose};
use crate::method::{Impossible, Method, Step};
use crate::metric::Criterion;
use crate::plan::{Effort, Offer, Plan, Work};
use crate::policy::{LoadRequest, PROBING_MAX, Request, probing_rate};
use crate::stats::delays::Delay;
use crate::trial::{Limits, MTU_MAX, Trial};
use crate::units::{BitRate, Span};
use std::collections::VecDeque;

/// What the search for the path's MTU may take.
const SEARCH: Span = Span::from_secs(60);

/// The largest packet that is tried: beyond it no Ethernet goes.
pub const PACKET_MAX: u32 = 9_216;

/// What an agent would have to allow for any plan.
pub(super) const NO_LIMITS: Limits =
    Limits { rate_max: BitRate::MAX, duration_max: Span::from_secs(24 * 3_600) };

/// Times that a run which takes what others leave asks again, as that has changed meanwhile.
const ASKED_AGAIN_MAX: u32 = 3;

/// The step that was given last.
#[derive(Debug)]
enum State {
    Begun,
    AskedToSearch,
    Searching,
    /// What others leave has changed between the answer and the request: it is asked for once more.
    AskedForRoom,
    /// The trials are composed: leave for them was asked, or one of them runs.
    Composed {
        ahead: VecDeque<Trial>,
        /// What was asked for all of them.
        request: Request,
        /// Leave for the first of them was asked for again, as it takes longer than was planned.
        is_asked: bool,
    },
}

/// A plan on the way to one of its sites.
#[derive(Debug)]
pub(super) struct Qualification {
    plan: Plan,
    place: usize,
    ip: IpVersion,
    device_mtu: u32,
    limits: Limits,
    state: State,
    notes: Vec<Note>,
    asked_again: u32,
}

impl Qualification {
    /// The trials of `plan` towards its site at `place`, over `ip`, leaving this host on a device
    /// of `device_mtu`, where the agent allows `limits`.
    pub(super) const fn new(
        plan: Plan,
        place: usize,
        ip: IpVersion,
        device_mtu: u32,
        limits: Limits,
    ) -> Self {
        let notes = Vec::new();
        Self { plan, place, ip, device_mtu, limits, state: State::Begun, notes, asked_again: 0 }
    }

    /// The trials, once it is known which payload crosses.
    fn compose(&mut self, evidence: &Evidence) -> Result<Step, Impossible> {
        let path_mtu = evidence.path_mtu.ok_or(Impossible::NothingCrosses)?;
        let found = path_mtu.octets.saturating_sub(self.ip.udp_overhead_octets());
        let longest = self.plan.longest_size(self.place);
        if let Some(asked) = longest.filter(|size| found < (*size).max(self.least_payload())) {
            return Err(Impossible::SizeTooLong { asked, found });
        }
        let limits = self.limits;
        // Where other runs leave nothing, the agent refuses what is asked, and says who holds it.
        let free = evidence.free_rate_bit_s.and_then(BitRate::new);
        let free = free.map_or(limits.rate_max, |free| free.min(limits.rate_max));
        let criteria = self.plan.criteria(self.ip);
        let composed = |most| {
            let path = SitePath { limits, free, most, ip: self.ip, payload: found };
            let composed = compose(&self.plan, self.place, path)?;
            let refusal = |it: Criterion<'_>| it.refusal(&composed.trials, limits.rate_max);
            let why = criteria.iter().find_map(refusal);
            Ok::<_, Impossible>((composed, why))
        };
        // What one more driver needs to probe is left to it: of two that ask at once, neither is
        // refused for the other's probes. Where that keeps a proof from being had, or leaves too
        // little for this one's own probes, it is taken.
        let spare = probing_rate(limits.rate_max).bits_per_second();
        let spared = BitRate::new(free.bits_per_second().saturating_sub(spare)).unwrap_or(free);
        let (Composed { trials, request, notes }, why) = match composed(spared) {
            Ok((spared, None)) => (spared, None),
            Ok((_, Some(_))) | Err(_) => composed(free)?,
        };
        if let Some(why) = why {
            return Err(Impossible::Unprovable(why));
        }
        let (ahead, is_asked) = (trials.into(), false);
        self.state = State::Composed { ahead, request: request.clone(), is_asked };
        self.notes.extend(notes);
        Ok(Step::Request(request))
    }

    /// Has the next trial take longer than was planned where what was seen asks for it: the last
    /// one once more, or the next one itself. Then leave is asked for, for all that was loaded and
    /// is to come; `None` where nothing changes.
    fn lengthen(&mut self, evidence: &Evidence) -> Option<Step> {
        if self.plan.effort != Effort::Full {
            return None;
        }
        let criteria = self.plan.criteria(self.ip);
        let State::Composed { ahead, request, is_asked } = &mut self.state else { return None };
        if std::mem::take(is_asked) {
            return None;
        }
        let loaded = |trial: &&Trial| !trial.is_idle();
        let total = |sum: Span, trial: &Trial| sum.plus(trial.duration());
        let spent = all(evidence, ahead).filter(loaded).fold(Span::default(), total);
        let spare = self.limits.duration_max.minus(spent);
        let (trial, note) = match again(&criteria, evidence, spare) {
            Some((trial, note)) => {
                ahead.push_front(trial);
                (trial, note)
            }
            None => {
                let first = ahead.front_mut()?;
                let (trial, note) = long_enough(&criteria, evidence, first, spare)?;
                *first = trial;
                (trial, note)
            }
        };
        self.notes.push(note);
        *is_asked = !trial.is_idle();
        let all = || all(evidence, ahead);
        let load_time = all().filter(loaded).fold(Span::default(), total);
        let overhead = all().fold(Span::default(), |sum, _| sum.plus(TRIAL_OVERHEAD));
        let whole = all().fold(overhead, total).min(load_time.plus(PROBING_MAX));
        let load = request.load.map(|load| LoadRequest { duration: load_time, ..load });
        Some(Step::Request(Request { duration: whole, load, ..request.clone() }))
    }

    /// Whether any test takes as much as other runs leave.
    fn takes_the_rest(&self) -> bool {
        let mut tests = self.plan.tests_of(self.place);
        tests.any(|test| test.work.offer() == Some(Offer::Max))
    }

    fn least_payload(&self) -> u32 {
        let least = crate::wire::probe::LEN_MIN;
        u32::try_from(least).expect("a probe is short").min(self.most_payload())
    }

    fn most_payload(&self) -> u32 {
        most_payload(&self.plan, self.place, self.ip, self.device_mtu)
    }
}

/// The largest payload that is tried towards the site at `place`: what a device of `device_mtu`
/// carries; where every load has a size of its own, the largest of those, so that nothing larger is
/// ever sent.
#[must_use]
pub fn most_payload(plan: &Plan, place: usize, ip: IpVersion, device_mtu: u32) -> u32 {
    let carried = device_mtu.min(PACKET_MAX).saturating_sub(ip.udp_overhead_octets());
    let size = |work: Work| match work {
        Work::Idle => Some(0),
        Work::Udp(udp) => udp.payload,
        Work::Tcp(_) => None,
    };
    let sizes = plan.tests_of(place).map(|test| size(test.work));
    let largest = sizes.collect::<Option<Vec<u32>>>().and_then(|sizes| sizes.into_iter().max());
    largest.filter(|largest| 0 < *largest).unwrap_or(carried)
}

impl Method for Qualification {
    fn next(&mut self, evidence: &Evidence) -> Step {
        let reason = evidence.trials.last().and_then(last_because);
        if reason.is_none()
            && let Some(step) = self.lengthen(evidence)
        {
            return step;
        }
        match &mut self.state {
            State::Begun => {
                self.state = State::AskedToSearch;
                let congestion = self.plan.reverse_congestion(self.place);
                let (circuit, duration, fences) = (None, SEARCH, Vec::new());
                Step::Request(Request { circuit, duration, load: None, congestion, fences })
            }
            State::AskedToSearch => {
                self.state = State::Searching;
                let trial = Trial::new(None, Span::from_secs(10)).expect("10 s are within bounds");
                Step::FindPayload(self.most_payload(), trial)
            }
            State::Searching => match reason {
                // The agent refused the search.
                Some(reason) => Step::Abandon(reason),
                None => self.compose(evidence).unwrap_or_else(Step::Impossible),
            },
            State::AskedForRoom => self.compose(evidence).unwrap_or_else(Step::Impossible),
            State::Composed { ahead, .. } => match (reason, ahead.front()) {
                (_, None) => Step::Finish,
                (Some(reason), Some(_)) => Step::Abandon(reason),
                (None, Some(trial)) => {
                    let trial = trial.with_round_trip(idle(evidence));
                    ahead.pop_front();
                    Step::Run(trial)
                }
            },
        }
    }

    /// Two that ask at the same moment for what is left are both answered with the same rest:
    /// whoever comes second asks for what is left then.
    fn refused(&mut self, evidence: &Evidence) -> Option<Step> {
        let is_composed = matches!(self.state, State::Composed { .. });
        let has_begun = !evidence.trials.is_empty();
        if !is_composed || has_begun || !self.takes_the_rest() {
            return None;
        }
        self.asked_again += 1;
        (self.asked_again <= ASKED_AGAIN_MAX).then(|| {
            self.state = State::AskedForRoom;
            let (circuit, duration, load) = (None, SEARCH, None);
            let (congestion, fences) = (Vec::new(), Vec::new());
            Step::Request(Request { circuit, duration, load, congestion, fences })
        })
    }

    /// Trials that were never composed are listed as they would be for an agent that allows all, on
    /// a path that carries all that the device does.
    fn ahead(&self) -> Vec<Trial> {
        if let State::Composed { ahead, .. } = &self.state {
            return ahead.iter().copied().collect();
        }
        let (limits, payload) = (NO_LIMITS, self.most_payload());
        let free = limits.rate_max;
        let path = SitePath { limits, free, most: free, ip: self.ip, payload };
        let composed = compose(&self.plan, self.place, path);
        composed.map(|composed| composed.trials).unwrap_or_default()
    }

    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

/// The trials that were run, and those ahead.
fn all<'a>(evidence: &'a Evidence, ahead: &'a VecDeque<Trial>) -> impl Iterator<Item = &'a Trial> {
    evidence.trials.iter().map(|run| &run.trial).chain(ahead)
}

/// Why no trial comes after this one; `None` where one may.
fn last_because(run: &TrialRun) -> Option<&'static str> {
    match run.outcome.status {
        Status::Ok if run.outcome.round_trip.delays.measured() == 0 => {
            Some("no probe came back before it")
        }
        Status::Ok => None,
        Status::Partial | Status::Aborted | Status::Refused | Status::NotRun => {
            Some("the trial before it was cut short")
        }
    }
}

/// The median round trip of the link when it was idle, as it was seen last.
fn idle(evidence: &Evidence) -> Option<Span> {
    let trials = evidence.trials.iter().rev();
    let mut idle = trials.filter(|run| run.trial.is_idle());
    match idle.find_map(|run| run.outcome.round_trip.delays.quantile(0.5))? {
        Delay::Finite(nanos) => Some(Span::from_nanos(nanos)),
        Delay::Infinite => None,
    }
}

/// What [`Qualification::most_payload`] gives is a datagram.
const _: () = assert!(PACKET_MAX <= MTU_MAX, "no packet is longer");

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::{Outcome, PathMtu};
    use crate::direction::{Direction, Directions};
    use crate::metric::{Limit, Metric, Requirement, Requirements};
    use crate::plan::{Link, Near, Site, TcpTest, Test, UdpTest};

    /// A plan of an idle trial and one of UDP both ways.
    pub(in crate::method) fn plan(payload: Option<u32>) -> Plan {
        let offer = Offer::Rate("10 Mbit/s".parse().expect("a rate"));
        let udp =
            UdpTest { directions: Directions::Both, offer, streams: 1, payload, burst_max: None };
        let agent = "192.0.2.1".parse().expect("a host");
        let site = Site { name: "far".into(), agent, key: None, management: None };
        Plan {
            link: Link::default(),
            key: None,
            near: Near::default(),
            sites: vec![site],
            idle: crate::plan::IDLE_DEFAULT,
            effort: Effort::Full,
            schedule: None,
            rules: crate::plan::LoadRules::default(),
            requirements: Requirements::default(),
            tests: vec![test(Work::Idle), test(Work::Udp(udp))],
        }
    }

    fn test(work: Work) -> Test {
        Test { site: None, work, duration: None, dscp: None }
    }

    pub(in crate::method) fn limits() -> Limits {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        Limits { rate_max, duration_max: Span::from_secs(600) }
    }

    pub(in crate::method) fn outcome(trial: Trial, status: Status, answered: bool) -> TrialRun {
        let mut outcome = Outcome::nothing(status, String::new());
        if answered {
            outcome.round_trip.delays.record(1_000);
        }
        TrialRun { trial, outcome }
    }

    /// Both were given the same rest, and one was refused for what the other had taken of it.
    #[test]
    fn whoever_takes_the_rest_asks_again_where_it_has_become_less() {
        let mut maximal = plan(None);
        let directions = Directions::Both;
        let (offer, streams, payload, burst_max) = (Offer::Max, 1, None, None);
        maximal.tests[1] =
            test(Work::Udp(UdpTest { directions, offer, streams, payload, burst_max }));
        for (plan, asks_again) in [(maximal, true), (plan(None), false)] {
            let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
            let mut evidence = Evidence::default();
            method.next(&evidence);
            assert_eq!(method.refused(&evidence), None, "not even probes are let in");
            method.next(&evidence);
            evidence.path_mtu =
                Some(PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None });
            let rate = |step: Step| match step {
                Step::Request(Request { load: Some(load), .. }) => load.rate.bits_per_second(),
                step => panic!("{step:?}"),
            };
            evidence.free_rate_bit_s = Some(1_000_000_000);
            let all = rate(method.next(&evidence));
            if !asks_again {
                assert_eq!(method.refused(&evidence), None, "it would ask for the same");
                continue;
            }
            for free_rate_bit_s in [500_000_000, 400_000_000, 300_000_000] {
                let again = method.refused(&evidence).expect("a question");
                assert!(matches!(again, Step::Request(Request { load: None, .. })), "{again:?}");
                evidence.free_rate_bit_s = Some(free_rate_bit_s);
                let less = rate(method.next(&evidence));
                assert!(less <= free_rate_bit_s && less < all, "{less}");
            }
            assert_eq!(method.refused(&evidence), None, "not for ever");
        }
    }

    /// Idle, UDP and TCP: leave, the search, leave, and the trials in their order.
    #[test]
    fn scripted_evidence_gives_each_step_once() {
        let mut plan = plan(None);
        let Work::Udp(UdpTest { directions, offer, streams, .. }) = plan.tests[1].work else {
            unreachable!("it is UDP")
        };
        let congestion = crate::trial::CongestionControl::CUBIC;
        let tcp = TcpTest { directions, offer, streams, congestion, verify: false };
        plan.tests.push(test(Work::Tcp(tcp)));
        let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
        let mut evidence = Evidence::default();
        assert!(matches!(method.next(&evidence), Step::Request(Request { load: None, .. })));
        assert!(matches!(method.next(&evidence), Step::FindPayload(1_472, _)));
        evidence.path_mtu =
            Some(PathMtu { octets: 1_400, tried_octets: 1_500, kernel_octets: None });
        assert!(matches!(method.next(&evidence), Step::Request(Request { load: Some(_), .. })));
        assert_eq!(method.ahead().len(), 3);
        let mut run = Vec::new();
        while let Step::Run(trial) = method.next(&evidence) {
            run.push(trial);
            assert_eq!(method.ahead().len(), 3 - run.len());
            evidence.trials.push(outcome(trial, Status::Ok, true));
        }
        let [idle, udp, tcp] = run[..] else { panic!("{run:?}") };
        assert!(idle.is_idle());
        assert_eq!(udp.load().map(crate::trial::Load::payload), Some(1_372));
        let tcp = tcp.tcp().expect("TCP");
        assert_eq!((tcp.mtu(), tcp.round_trip()), (1_400, Some(Span::from_nanos(1_000))));
        assert_eq!(method.next(&evidence), Step::Finish);
    }

    /// 1 Gbit/s is all that the agent allows, and a run that probes counts for 142.4 kbit/s: two
    /// drivers that asked at once were both refused for each other's probes.
    #[test]
    fn a_load_as_fast_as_can_be_leaves_one_more_driver_its_probes_unless_its_proof_takes_them() {
        let asked = |required: Option<&str>| {
            let mut plan = plan(None);
            let (directions, offer) = (Directions::Forward, Offer::Max);
            let congestion = crate::trial::CongestionControl::CUBIC;
            let tcp = TcpTest { directions, offer, streams: 1, congestion, verify: false };
            plan.tests = vec![test(Work::Tcp(tcp))];
            if let Some(required) = required {
                let required = Metric::TCP_THROUGHPUT.bounded_by(required).expect("a rate");
                plan.requirements.set(Some(Direction::Forward), required);
            }
            let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
            let mut evidence = Evidence::default();
            (0..2).for_each(|_| _ = method.next(&evidence));
            evidence.path_mtu =
                Some(PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None });
            match method.next(&evidence) {
                Step::Request(Request { load: Some(load), .. }) => load.rate.bits_per_second(),
                step => panic!("{step:?}"),
            }
        };
        let rest = 1_000_000_000 - 142_400;
        assert!((rest - 10_000..=rest).contains(&asked(None)), "{}", asked(None));
        assert!((rest - 10_000..=rest).contains(&asked(Some("900 Mbit/s"))));
        // It takes 10 % more to prove it, which is all there is.
        assert!(rest < asked(Some("909 Mbit/s")));
    }

    /// Of 1 Gbit/s others hold all but 250 kbit/s: less what one more driver needs, 142.4 kbit/s,
    /// that is less than the run's own probes take.
    #[test]
    fn where_others_leave_little_a_load_as_fast_as_can_be_takes_it() {
        let mut plan = plan(None);
        let (directions, offer) = (Directions::Forward, Offer::Max);
        let congestion = crate::trial::CongestionControl::CUBIC;
        let tcp = TcpTest { directions, offer, streams: 1, congestion, verify: false };
        plan.tests = vec![test(Work::Tcp(tcp))];
        let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
        let free_rate_bit_s = Some(250_000);
        let mut evidence = Evidence { free_rate_bit_s, ..Evidence::default() };
        (0..2).for_each(|_| _ = method.next(&evidence));
        evidence.path_mtu =
            Some(PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None });
        let step = method.next(&evidence);
        assert!(matches!(step, Step::Request(Request { load: Some(_), .. })), "{step:?}");
    }

    /// 1 Gbit/s is all that the agent allows.
    #[test]
    fn tcp_whose_pace_would_hold_it_back_is_refused_with_the_limit_that_it_takes() {
        let step = |required: &str, free_rate_bit_s: Option<u64>| {
            let mut plan = plan(None);
            let (directions, offer) = (Directions::Forward, Offer::Max);
            let congestion = crate::trial::CongestionControl::CUBIC;
            let tcp = TcpTest { directions, offer, streams: 1, congestion, verify: false };
            plan.tests = vec![test(Work::Tcp(tcp))];
            let required = Metric::TCP_THROUGHPUT.bounded_by(required).expect("a rate");
            plan.requirements.set(Some(Direction::Forward), required);
            let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
            let mut evidence = Evidence { free_rate_bit_s, ..Evidence::default() };
            (0..2).for_each(|_| _ = method.next(&evidence));
            evidence.path_mtu =
                Some(PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None });
            method.next(&evidence)
        };
        assert!(matches!(step("909 Mbit/s", None), Step::Request(_)));
        let Step::Impossible(why) = step("910 Mbit/s", None) else { panic!("it is held back") };
        let why = why.to_string();
        assert!(why.contains("tcp_throughput forward of 910 Mbit/s"), "{why}");
        assert!(why.contains("raise the limit to 1.00"), "{why}");
        // Other runs hold half of it.
        let free = Some(500_000_000);
        assert!(matches!(step("454 Mbit/s", free), Step::Request(_)));
        let Step::Impossible(why) = step("456 Mbit/s", free) else { panic!("it is held back") };
        let why = why.to_string();
        assert!(why.ends_with("try again later: other runs hold part of the agent's 1 Gbit/s"));
    }

    /// 10 Mbit/s of 1514 octets are 824 packets/s, six intervals of which are 7.28 ms.
    #[test]
    fn an_outage_that_no_trial_can_see_is_refused_with_the_rate_that_it_takes() {
        let step = |most: Span| {
            let mut plan = plan(None);
            let most = Requirement::new(Metric::OUTAGE, Limit::Time(most)).expect("a time");
            plan.requirements.set(Some(Direction::Forward), most);
            let mut method = Qualification::new(plan, 0, IpVersion::V4, 1_500, limits());
            let mut evidence = Evidence::default();
            (0..2).for_each(|_| _ = method.next(&evidence));
            evidence.path_mtu =
                Some(PathMtu { octets: 1_500, tried_octets: 1_500, kernel_octets: None });
            let step = method.next(&evidence);
            (step, method.ahead())
        };
        let (step_of_8, ahead) = step(Span::from_millis(8));
        assert!(matches!(step_of_8, Step::Request(_)), "{step_of_8:?}");
        let kept: Vec<Span> = ahead.iter().map(Trial::silence_min).collect();
        assert_eq!(kept, [Span::from_millis(50), Span::from_millis(4)], "half of the bound");
        let Step::Impossible(why) = step(Span::from_millis(7)).0 else { panic!("too short") };
        let why = why.to_string();
        assert!(why.contains("outage forward of 7 ms") && why.contains("858 packets/s"), "{why}");
    }
}
