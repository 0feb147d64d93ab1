//! The trials that a plan needs towards one far end: each as long as its proof takes.

use crate::direction::{Direction, Directions, PerDirection};
use crate::framing::{Framing, IpVersion, Layer};
use crate::method::note::Note;
use crate::metric::{Criteria, Criterion, Need, TCP_TRIAL_MIN};
use crate::plan::{Effort, Offer, Plan, TcpTest, Test, UdpTest, Work};
use crate::policy::{LoadRequest, PROBING_MAX, Request, frame_rate};
use crate::trial::{
    Beside, DURATION_MAX, DURATION_MIN, KnownRate, Limits, Load, LoadKind, OutOfBounds,
    PAYLOAD_MIN, PROBES_PER_SECOND, TcpLoad, Trial,
};
use crate::units::{BitRate, Span};

/// How long UDP loads where nothing else is asked for: at least this.
const LOAD_MIN: Span = Span::from_secs(10);

/// At most this, unless a requirement cannot be judged by less: a slow link's full bucket takes
/// minutes to be outweighed, and the report says which rate a shorter trial proves.
const LOAD_MAX: Span = Span::from_secs(30);

/// How long UDP loads in a quick run: the window of 2 s that a queue takes to show, and its edges.
const LOAD_QUICK: Span = Span::from_secs(3);

/// How long a load rises to its rate on a link in service: a tenth of its time, and at least this.
const RAMP_MIN: Span = Span::from_secs(5);
const RAMP_PARTS: u64 = 10;

/// How long TCP loads where nothing else is asked for: longer than the 10 s of a verdict, so that
/// its own swing does not leave most verdicts open.
const TCP_DEFAULT: Span = Span::from_secs(30);

/// Set-up and account of a trial, beside the time in which packets are due.
pub const TRIAL_OVERHEAD: Span = Span::from_secs(30);

/// The trials that answer a plan at one far end.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// In the order in which they run.
    pub trials: Vec<Trial>,
    /// What the agent is asked for.
    pub request: Request,
    /// What was decided for the user.
    pub notes: Vec<Note>,
}

/// What is known of the way to a far end before the trials are composed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SitePath {
    /// What the agent allows.
    pub limits: Limits,
    /// What other runs leave of its rate.
    pub free: BitRate,
    /// What a load as fast as can be may ask for of that: nearly all.
    pub most: BitRate,
    /// The version of IP.
    pub ip: IpVersion,
    /// Octets of the largest UDP payload that crosses in one piece.
    pub payload: u32,
}

/// The trials of `plan` towards the site at `place`.
///
/// # Errors
///
/// Where a number is outside the bounds of a trial.
pub fn compose(plan: &Plan, place: usize, path: SitePath) -> Result<Composed, OutOfBounds> {
    let criteria = plan.criteria(path.ip);
    let mut composer = Composer { plan, criteria, path, notes: Vec::new() };
    let tests: Vec<&Test> = plan.tests_of(place).collect();
    let mut trials = Vec::new();
    let loads = tests.iter().any(|test| test.work != Work::Idle);
    if loads && tests.first().is_none_or(|test| test.work != Work::Idle) {
        let idle = composer.idle(None, loads)?;
        composer.notes.push(Note::IdleAdded(idle.duration()));
        // What it is held against is marked alike.
        let dscp = tests.first().and_then(|test| test.dscp).unwrap_or_default();
        trials.push(idle.with_dscp(dscp));
    }
    for test in &tests {
        let trial = match &test.work {
            Work::Idle => composer.idle(test.duration, loads && trials.is_empty())?,
            Work::Udp(udp) => composer.udp(udp, test.duration)?,
            Work::Tcp(tcp) => composer.tcp(tcp, test.duration)?,
        };
        trials.push(trial.with_dscp(test.dscp.unwrap_or_default()));
    }
    let silence_min = |trial: Trial| trial.with_silence_min(composer.criteria.silence_min(&trial));
    let trials: Vec<Trial> = trials.into_iter().map(silence_min).collect();
    let request = request(plan, &trials, path);
    Ok(Composed { trials, request, notes: composer.notes })
}

/// What the trials together ask of the agent.
fn request(plan: &Plan, trials: &[Trial], path: SitePath) -> Request {
    let total = |trials: &mut dyn Iterator<Item = &Trial>| {
        trials.fold(Span::default(), |sum, trial| sum.plus(trial.duration()))
    };
    let overhead = trials.iter().fold(Span::default(), |sum, _| sum.plus(TRIAL_OVERHEAD));
    let load_time = total(&mut trials.iter().filter(|trial| !trial.is_idle()));
    let loads = trials.iter().filter(|trial| !trial.is_idle());
    let rate = loads.filter_map(|trial| frame_rate(trial, Framing::plain(path.ip))).max();
    let duration = total(&mut trials.iter()).plus(overhead).min(load_time.plus(PROBING_MAX));
    let load = rate.map(|rate| LoadRequest { rate, duration: load_time });
    let (congestion, fences) = (Vec::new(), Vec::new());
    Request { circuit: plan.link.circuit.clone(), duration, load, congestion, fences }
}

struct Composer<'a> {
    plan: &'a Plan,
    criteria: Criteria,
    path: SitePath,
    notes: Vec<Note>,
}

impl Composer<'_> {
    fn idle(&mut self, asked: Option<Span>, before_load: bool) -> Result<Trial, OutOfBounds> {
        let floor = if before_load { self.plan.idle } else { DURATION_MIN };
        let given = asked.is_some();
        let asked = asked.unwrap_or(self.plan.idle);
        let beside = self.beside(None);
        let trial = Trial::new(None, DURATION_MIN)?.with_beside(beside)?;
        let duration = self.lengthen(&trial, asked.max(floor), DURATION_MAX, given);
        if asked < floor && duration == floor {
            let because = "so long is probed before the first load".to_owned();
            let (which, asked) = ("idle".into(), Some(asked));
            self.notes.push(Note::Lengthened { which, asked, takes: floor, because });
        }
        self.note_probes(&trial);
        trial.with_duration(duration)
    }

    fn udp(&mut self, test: &UdpTest, asked: Option<Span>) -> Result<Trial, OutOfBounds> {
        let beside = self.beside(Some((test.offer, test.directions)));
        let load = self.load(test, beside)?;
        let load = test.burst_max.map_or(Ok(load), |octets| load.with_burst_max(octets))?;
        let most = DURATION_MAX.min(self.path.limits.duration_max);
        // What was asked for is refused by the agent rather than shortened here unseen.
        let trial = Trial::new(Some(load), DURATION_MIN)?.with_beside(beside)?;
        let given = asked.is_some();
        let asked = asked.unwrap_or_else(|| self.udp_default(&trial).min(most));
        let duration = self.lengthen(&trial, asked, most, given);
        self.note_probes(&trial);
        let trial = self.ramped(trial.with_duration(duration)?, most)?;
        for criterion in self.criteria.iter() {
            let (metric, direction) = (criterion.requirement.metric(), criterion.direction);
            let note = |what| Note::Shortfall { metric, direction, what };
            self.notes.extend(criterion.shortfalls(&trial).into_iter().map(note));
        }
        Ok(trial)
    }

    /// The same with its load rising to its rate first, where the link is in service.
    fn ramped(&self, trial: Trial, most: Span) -> Result<Trial, OutOfBounds> {
        if !self.plan.rules.ramps_in || trial.is_capacity() {
            return Ok(trial);
        }
        let duration = trial.duration();
        let ramp = Span::from_nanos(duration.nanos() / RAMP_PARTS).max(RAMP_MIN);
        trial.with_duration(duration.plus(ramp).min(most))?.with_ramp(ramp)
    }

    /// How long `trial` loads where nobody said: the shortest that proves what is asked in full.
    fn udp_default(&self, trial: &Trial) -> Span {
        let in_full = |criterion: Criterion<'_>| criterion.takes_in_full(trial);
        match self.plan.effort {
            Effort::Quick => LOAD_QUICK,
            Effort::Full | Effort::Exact => {
                let longest = self.criteria.iter().filter_map(in_full).max();
                longest.unwrap_or_default().clamp(LOAD_MIN, LOAD_MAX)
            }
        }
    }

    fn load(&mut self, test: &UdpTest, beside: Beside) -> Result<Load, OutOfBounds> {
        let payload = test.payload.unwrap_or(self.path.payload).max(PAYLOAD_MIN);
        if test.offer == Offer::Max {
            self.note_capacity("UDP datagrams");
            return self.capacity(test, payload, beside);
        }
        if let Offer::Assumed(rate) = test.offer {
            self.notes.push(Note::RateAssumed(rate.min(self.path.free)));
        }
        let framing = self.criteria.framing;
        let mut rates = PerDirection::default();
        for direction in test.directions.iter() {
            let Some((rate, layer)) = self.rate(test.offer, direction) else { continue };
            let has_heartbeats = test.directions.includes(direction.opposite());
            let rest = beside.rest(rate, framing, layer, has_heartbeats)?;
            *rates.get_mut(direction) = Some(framing.packet_rate(rest, layer, payload));
        }
        Load::with_rates(rates, test.streams, payload, LoadKind::FixedRate)
    }

    /// What is offered in one direction, and the layer that it counts.
    fn rate(&self, offer: Offer, direction: Direction) -> Option<(BitRate, Layer)> {
        let (rate, layer) = offer.rate(&self.plan.link, direction)?;
        match offer {
            Offer::Assumed(_) => Some((rate.min(self.path.free), layer)),
            _ => Some((rate, layer)),
        }
    }

    fn note_capacity(&mut self, what: &'static str) {
        let SitePath { limits, free, most, .. } = self.path;
        let is_shared = free < limits.rate_max;
        self.notes.push(Note::Capacity { what, most, max: limits.rate_max, is_shared });
    }

    /// The most that the agent has free.
    fn capacity(&self, test: &UdpTest, payload: u32, beside: Beside) -> Result<Load, OutOfBounds> {
        let (plain, most) = (Framing::plain(self.path.ip), self.path.most);
        let rest = beside.rest(most, plain, Layer::L2, test.directions == Directions::Both)?;
        let rate = plain.packet_rate(rest, Layer::L2, payload);
        Load::new(test.directions, test.streams, payload, rate, LoadKind::Capacity)
    }

    fn tcp(&mut self, test: &TcpTest, asked: Option<Span>) -> Result<Trial, OutOfBounds> {
        let load = self.tcp_load(test)?;
        let most = DURATION_MAX.min(self.path.limits.duration_max);
        let given = asked.is_some();
        let asked = asked.unwrap_or(TCP_DEFAULT.min(most));
        let beside = self.beside(Some((test.offer, test.directions)));
        let trial = Trial::with_tcp(load, DURATION_MIN)?.with_beside(beside)?;
        let duration = self.lengthen(&trial, asked, most, given);
        if duration < TCP_TRIAL_MIN {
            self.notes.push(Note::TcpTooShort { takes: duration, least: TCP_TRIAL_MIN });
        }
        self.note_probes(&trial);
        trial.with_duration(duration)
    }

    fn tcp_load(&mut self, test: &TcpTest) -> Result<TcpLoad, OutOfBounds> {
        let SitePath { most, ip, payload, .. } = self.path;
        let mtu = payload.saturating_add(ip.udp_overhead_octets());
        let segment = ip.segment_octets(mtu);
        let (framing, plain) = (self.criteria.framing, Framing::plain(ip));
        if test.offer == Offer::Max {
            self.note_capacity("TCP");
        }
        let rates = PerDirection::from_fn(|direction| {
            if !test.directions.includes(direction) {
                return None;
            }
            match self.rate(test.offer, direction) {
                Some((rate, layer)) => framing.tcp_goodput(rate, layer, segment, true),
                None => plain.tcp_goodput(most, Layer::L2, segment, true),
            }
        });
        let load = TcpLoad::new(rates, test.streams, mtu, test.congestion, test.offer.kind());
        load.map(|load| load.with_verify(test.verify))
    }

    /// What goes beside a load, or over the idle link where there is none.
    fn beside(&self, load: Option<(Offer, Directions)>) -> Beside {
        let (known, framing) = (self.known(load), self.criteria.framing);
        let beside = match load {
            Some(_) => Beside::load(known, framing),
            None => Beside::idle(known, framing),
        };
        beside.with_probes(self.plan.link.probes_per_second)
    }

    /// The rate of each direction: what the load asks of it, else what is committed, else the
    /// port's, else the most that the plan asks or requires; of a direction of which nothing is
    /// known, that of the other.
    fn known(&self, load: Option<(Offer, Directions)>) -> PerDirection<KnownRate> {
        let link = &self.plan.link;
        let PerDirection { forward, reverse } = PerDirection::from_fn(|direction| {
            let asked = load.filter(|(_, directions)| directions.includes(direction));
            let asked = asked.and_then(|(offer, _)| self.rate(offer, direction));
            let sold = link.committed.get(direction).or(link.port_rate);
            asked.or(sold.map(|rate| (rate, link.layer))).or_else(|| self.wanted(direction))
        });
        PerDirection { forward: forward.or(reverse), reverse: reverse.or(forward) }
    }

    /// The highest rate that any test asks of a direction, or that is required of it.
    fn wanted(&self, direction: Direction) -> KnownRate {
        let here = self.criteria.iter().filter(|it| it.direction == Some(direction));
        let required = here.filter_map(|criterion| criterion.limit().rate());
        let offers = self.plan.tests.iter().filter_map(|test| {
            let is_loaded = test.work.directions()?.includes(direction);
            self.rate(test.work.offer().filter(|_| is_loaded)?, direction)
        });
        required.map(|rate| (rate, self.plan.link.layer)).chain(offers).max_by_key(|known| known.0)
    }

    /// Says how often a trial probes where that is less than usual.
    fn note_probes(&mut self, trial: &Trial) {
        let usual = self.plan.link.probes_per_second.unwrap_or(PROBES_PER_SECOND);
        let (which, probes) = (trial.kind_name(), trial.probe_rate());
        if probes < usual {
            let is_known = self.known(None).forward.is_some();
            self.notes.push(Note::ProbesScaled { which, probes, is_known });
        }
    }

    /// How long `trial` is where `asked` was asked for: as long as all proofs take that `most` has
    /// room for; of the others it says that they cannot be had.
    /// Nobody asked for `asked` itself unless it was `given`.
    fn lengthen(&mut self, trial: &Trial, asked: Span, most: Span, given: bool) -> Span {
        let most = if self.plan.effort == Effort::Full { most } else { asked };
        let takes = |criterion: Criterion<'_>| criterion.takes(trial);
        let longer = self.criteria.iter().filter_map(takes).filter(|need| asked < need.takes);
        let (within, beyond): (Vec<Need>, Vec<Need>) = longer.partition(|need| need.takes <= most);
        for Need { because: what, .. } in beyond {
            let note = Note::CannotProve { what, most };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let longest = within.into_iter().max_by_key(|need| need.takes);
        let Some(Need { takes, because }) = longest else { return asked };
        let takes = Span::from_secs(takes.secs_up()).min(most);
        let which = trial.kind_name().to_owned();
        let asked = Some(asked).filter(|_| given);
        self.notes.push(Note::Lengthened { which, asked, takes, because });
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::metric::{Metric, Requirements};
    use crate::plan::{Link, Site};
    use crate::trial::CongestionControl;
    use crate::units::BurstSize;

    fn limits() -> Limits {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        Limits { rate_max, duration_max: Span::from_secs(600) }
    }

    fn udp(offer: Offer) -> Work {
        Work::Udp(UdpTest {
            directions: Directions::Both,
            offer,
            streams: 1,
            payload: None,
            burst_max: None,
        })
    }

    fn plan(tests: &[Work], required: &[(Metric, &str)]) -> Plan {
        let mut requirements = Requirements::default();
        for (metric, bound) in required {
            requirements.set(None, metric.require(bound).expect("a bound"));
        }
        let test = |work: &Work| Test { site: None, work: *work, duration: None, dscp: None };
        let agent = "192.0.2.1".parse().expect("a host");
        let site = Site { name: "far".into(), agent, key: None, management: None };
        let tests = tests.iter().map(test).collect();
        let (link, near) = (Link::default(), crate::plan::Near::default());
        let (sites, idle) = (vec![site], crate::plan::IDLE_DEFAULT);
        let effort = Effort::Full;
        let (schedule, rules) = (None, crate::plan::LoadRules::default());
        Plan { link, key: None, near, sites, idle, effort, requirements, tests, schedule, rules }
    }

    #[test]
    fn the_load_of_a_link_in_service_rises_to_its_rate_before_its_time() {
        let mut plan = load("10 Mbit/s", None);
        plan.rules.ramps_in = true;
        let at = |plan: &Plan| {
            let composed = compose(plan, 0, path()).expect("within bounds");
            let trial = composed.trials[1];
            (trial.ramp().secs_up(), trial.at_rate().secs_up(), composed.trials[0].ramp())
        };
        assert_eq!(at(&plan), (5, 10, Span::default()));
        plan.tests[1].duration = Some(Span::from_secs(100));
        assert_eq!(at(&plan), (10, 100, Span::default()));
        // No longer than the agent may be asked for.
        plan.tests[1].duration = Some(Span::from_secs(600));
        assert_eq!(at(&plan), (60, 540, Span::default()));
        plan.rules.ramps_in = false;
        assert_eq!(at(&plan), (0, 600, Span::default()));
    }

    /// Idle, then this rate both ways.
    fn load(rate: &str, loss: Option<&str>) -> Plan {
        let tests = [Work::Idle, udp(Offer::Rate(rate.parse().expect("a rate")))];
        let loss = loss.map(|loss| (Metric::LOSS, loss));
        plan(&tests, &loss.into_iter().collect::<Vec<_>>())
    }

    fn path() -> SitePath {
        let limits = limits();
        let free = limits.rate_max;
        SitePath { limits, free, most: free, ip: IpVersion::V4, payload: 1_472 }
    }

    fn composed(plan: &Plan) -> Composed {
        compose(plan, 0, path()).expect("within bounds")
    }

    fn seconds(composed: &Composed) -> Vec<u64> {
        composed.trials.iter().map(|trial| trial.duration().secs_up()).collect()
    }

    #[test]
    fn ten_seconds_idle_then_ten_of_load() {
        let composed = composed(&load("500 Mbit/s", None));
        assert_eq!((seconds(&composed), &composed.notes), (vec![10, 10], &vec![]));
        let load = composed.request.load.expect("load");
        assert_eq!(load.duration, Span::from_secs(10));
        assert_eq!(load.rate, "500 Mbit/s".parse::<BitRate>().expect("a rate"));
    }

    #[test]
    fn no_load_goes_to_a_line_that_has_not_been_probed() {
        let mut plan = load("500 Mbit/s", None);
        plan.tests.remove(0);
        let added = composed(&plan);
        assert_eq!(seconds(&added), [10, 10]);
        assert_eq!(added.notes, [Note::IdleAdded(Span::from_secs(10))]);
        let mut plan = load("500 Mbit/s", None);
        plan.tests[0].duration = Some(Span::from_secs(3));
        assert_eq!(seconds(&composed(&plan)), [10, 10]);
        assert_eq!(composed(&plan).notes.len(), 1);
    }

    #[test]
    fn the_idle_trial_is_as_long_as_the_plan_says_and_as_its_proof_takes() {
        let idle = Span::from_secs(2);
        let short = Plan { idle, ..load("500 Mbit/s", None) };
        assert_eq!((seconds(&composed(&short)), composed(&short).notes), (vec![2, 10], vec![]));
        let mut added = Plan { idle, ..load("500 Mbit/s", None) };
        added.tests.remove(0);
        assert_eq!(seconds(&composed(&added)), [2, 10]);
        assert_eq!(composed(&added).notes, [Note::IdleAdded(idle)]);
        let mut longer = Plan { idle, ..load("500 Mbit/s", None) };
        longer.tests[0].duration = Some(Span::from_secs(3));
        assert_eq!(seconds(&composed(&longer)), [3, 10]);
        longer.tests[0].duration = Some(Span::from_secs(1));
        assert_eq!(seconds(&composed(&longer)), [2, 10], "no load comes sooner");
        let alone = Plan { idle, ..plan(&[Work::Idle], &[(Metric::RTT_P99, "<= 1 s")]) };
        assert_eq!(seconds(&composed(&alone)), [31], "310 probes at 10/s: no rate is known");
        let link = Link { port_rate: Some("1 Gbit/s".parse().expect("a rate")), ..Link::default() };
        assert_eq!(seconds(&composed(&Plan { link, ..alone })), [4]);
    }

    /// 64 KiB are less than 0.1 % of 50 Mbit/s from 10.5 s on, and of 10 Mbit/s from 52.4 s on.
    #[test]
    fn a_load_is_as_long_as_the_full_proof_takes_from_10_to_30_seconds() {
        let loads = |rate: &str, effort| {
            let tests = [Work::Idle, udp(Offer::Rate(rate.parse().expect("a rate")))];
            let required = plan(&tests, &[(Metric::THROUGHPUT, &format!(">= {rate}"))]);
            let composed = composed(&Plan { effort, ..required });
            (seconds(&composed)[1], composed.notes.len())
        };
        assert_eq!(loads("500 Mbit/s", Effort::Full), (10, 0));
        assert_eq!(loads("50 Mbit/s", Effort::Full), (11, 0));
        assert_eq!(loads("20 Mbit/s", Effort::Full), (27, 0));
        let (seconds, notes) = loads("10 Mbit/s", Effort::Full);
        assert!(seconds == 30 && 2 <= notes, "what 30 s do not prove is said");
        let (seconds, notes) = loads("50 Mbit/s", Effort::Quick);
        assert!(seconds == 3 && 2 <= notes, "what 3 s do not prove is said");
    }

    #[test]
    fn no_trial_of_a_quick_run_is_lengthened_and_what_it_cannot_prove_is_said() {
        let required = [(Metric::LOSS, "<= 0.01%"), (Metric::RTT_P99, "<= 20 ms")];
        let tests = [Work::Idle, udp(Offer::Rate("50 Mbit/s".parse().expect("a rate")))];
        let (effort, idle) = (Effort::Quick, crate::plan::IDLE_QUICK);
        let composed = composed(&Plan { effort, idle, ..plan(&tests, &required) });
        assert_eq!(seconds(&composed), [2, 3]);
        let cannot = |note: &&Note| matches!(note, Note::CannotProve { .. });
        let notes: Vec<String> =
            composed.notes.iter().filter(cannot).map(Note::to_string).collect();
        let shown = notes.join("\n");
        assert!(shown.contains("rtt_p99") && shown.contains("in 2 s"), "{shown}");
        assert!(shown.contains("loss") && shown.contains("in 3 s"), "{shown}");
    }

    #[test]
    fn no_trial_takes_longer_than_was_asked_where_nobody_may_lengthen_it() {
        let required = [(Metric::LOSS, "<= 0.01%"), (Metric::RTT_P99, "<= 20 ms")];
        let tests = [Work::Idle, udp(Offer::Rate("10 Mbit/s".parse().expect("a rate")))];
        let seconds_of = |effort| {
            let mut plan = Plan { effort, ..plan(&tests, &required) };
            plan.tests[1].duration = Some(Span::from_secs(40));
            let composed = composed(&plan);
            (seconds(&composed), composed.notes.iter().map(Note::to_string).collect::<String>())
        };
        let (full, note) = seconds_of(Effort::Full);
        assert!(full == [10, 96] && note.contains("takes 96 s instead of 40 s: loss"), "{note}");
        let (exact, note) = seconds_of(Effort::Exact);
        assert!(exact == [10, 40] && note.contains("loss <= 0.01% needs"), "{note}");
    }

    /// A test of 2 s showed nothing, and nothing was said of it before.
    #[test]
    fn tcp_that_is_too_short_to_be_judged_is_said_so_before_it_runs() {
        let noted = |seconds| {
            let mut plan = plan(&[tcp(Offer::Max)], &[]);
            plan.tests[0].duration = Some(Span::from_secs(seconds));
            let notes = composed(&plan).notes;
            notes.iter().any(|note| note.to_string().contains("can neither pass nor fail"))
        };
        assert_eq!([2, 13, 14].map(noted), [true, true, false]);
    }

    /// 10 Mbit/s are 37.5 MB in 30 s.
    #[test]
    fn a_bucket_that_holds_all_that_is_sent_leaves_nothing_to_be_proven() {
        let note = |octets| {
            let tests = [Work::Idle, udp(Offer::Rate("10 Mbit/s".parse().expect("a rate")))];
            let burst = PerDirection::both(BurstSize::new(octets).expect("a size"));
            let asked = plan(&tests, &[(Metric::THROUGHPUT, ">= 10 Mbit/s")]);
            let plan = Plan { link: Link { burst, ..Link::default() }, ..asked };
            composed(&plan).notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for octets in [37_500_000, 40_000_000] {
            let text = note(octets);
            assert!(text.contains("the rate cannot pass; to prove all"), "{text}");
        }
        let text = note(37_000_000);
        assert!(text.contains("a PASS proves 133.3 kbit/s; to prove all"), "{text}");
    }

    /// k = 3 at 95 %: n * p = 7.754; 10 Mbit/s less 1 % of probes and ten heartbeats a second, in
    /// frames of 1518 octets, are 814.6 packets/s.
    #[test]
    fn a_loss_bound_lengthens_the_load_and_says_so() {
        let composed = composed(&load("10 Mbit/s", Some("<= 0.01%")));
        assert_eq!(seconds(&composed), [10, 96]);
        let text = composed.notes[0].to_string();
        assert!(text.contains("takes 96 s: loss <= 0.01% needs 775"), "{text}");
    }

    #[test]
    fn what_cannot_be_proved_is_said() {
        let composed = composed(&load("1 Mbit/s", Some("<= 0.0001%")));
        assert_eq!(seconds(&composed), [10, 10], "what cannot be proved is not tried for longer");
        let notes: Vec<String> = composed.notes.iter().map(Note::to_string).collect();
        assert!(notes.iter().any(|note| note.contains("may be too short for a PASS")), "{notes:?}");
    }

    /// 0.001 % takes 775 366 packets, 40 ms of jitter 3145 probes: 31.9 s of those.
    #[test]
    fn a_need_that_cannot_be_met_takes_none_from_the_others() {
        let required = [(Metric::LOSS, "<= 0.001%"), (Metric::JITTER, "<= 40 ms")];
        let rate = Offer::Rate("10 Mbit/s".parse().expect("a rate"));
        let composed = composed(&plan(&[Work::Idle, udp(rate)], &required));
        assert_eq!(seconds(&composed), [32, 40]);
        let cannot = |note: &&Note| matches!(note, Note::CannotProve { .. });
        let notes: Vec<String> =
            composed.notes.iter().filter(cannot).map(Note::to_string).collect();
        assert_eq!(notes.len(), 1, "once for both directions: {notes:?}");
        assert!(notes[0].contains("loss <= 0.001% needs 775"), "{notes:?}");
    }

    #[test]
    fn overshoot_proves_no_loss_and_needs_no_time_for_it() {
        let mut plan = load("10 Mbit/s", Some("<= 0.01%"));
        plan.link.committed = PerDirection::both(Some("9 Mbit/s".parse().expect("a rate")));
        assert_eq!(seconds(&composed(&plan)), [10, 10]);
    }

    #[test]
    fn a_duration_is_never_shortened_unseen() {
        let limits = Limits { duration_max: Span::from_secs(5), ..limits() };
        let seconds = |plan: &Plan| {
            let composed = compose(plan, 0, SitePath { limits, most: limits.rate_max, ..path() })
                .expect("within bounds");
            composed.request.load.expect("load").duration.secs_up()
        };
        let mut plan = load("500 Mbit/s", None);
        assert_eq!(seconds(&plan), 5, "nothing was asked for");
        plan.tests[1].duration = Some(Span::from_secs(6));
        assert_eq!(seconds(&plan), 6, "the agent refuses it");
    }

    #[test]
    fn percentiles_lengthen_the_trials_that_they_are_judged_in() {
        let tests = [Work::Idle, udp(Offer::Max), tcp(Offer::Max)];
        let plan = |required| {
            let port_rate = Some("1 Gbit/s".parse().expect("a rate"));
            Plan { link: Link { port_rate, ..Link::default() }, ..plan(&tests, required) }
        };
        let composed = |required| seconds(&composed(&plan(required)));
        assert_eq!(composed(&[(Metric::JITTER, "<= 2 ms")]), [32, 10, 30]);
        assert_eq!(composed(&[(Metric::RTT_P99_LOADED, "<= 2 ms")]), [10, 10, 30]);
        let mut short = plan(&[(Metric::TCP_THROUGHPUT, ">= 1 Mbit/s")]);
        short.tests.iter_mut().for_each(|test| test.duration = Some(Span::from_secs(5)));
        assert_eq!(seconds(&compose(&short, 0, path()).expect("a plan")), [10, 5, 14]);
    }

    #[test]
    fn without_load_the_duration_is_the_probes() {
        let mut plan = plan(&[Work::Idle], &[]);
        plan.tests[0].duration = Some(Span::from_secs(3));
        let composed = composed(&plan);
        assert_eq!((seconds(&composed), composed.request.load), (vec![3], None));
    }

    #[test]
    fn an_assumed_rate_is_said() {
        let rate = "10 Mbit/s".parse().expect("a rate");
        let plan = plan(&[Work::Idle, udp(Offer::Assumed(rate))], &[(Metric::LOSS, "<= 1%")]);
        let composed = composed(&plan);
        assert!(composed.notes[0].to_string().contains("10 Mbit/s"));
        assert!(composed.trials[1].load().is_some());
    }

    #[test]
    fn a_capacity_trial_stays_within_the_role() {
        for streams in [1, 3, 7] {
            let work = UdpTest {
                directions: Directions::Both,
                offer: Offer::Max,
                streams,
                payload: None,
                burst_max: None,
            };
            let composed = composed(&plan(&[Work::Udp(work)], &[]));
            let load = composed.request.load.expect("load");
            assert!(load.rate <= limits().rate_max, "{}", load.rate);
            assert!(composed.trials[1].is_capacity());
        }
    }

    fn tcp(offer: Offer) -> Work {
        let (directions, congestion) = (Directions::Forward, CongestionControl::CUBIC);
        Work::Tcp(TcpTest { directions, offer, streams: 4, congestion, verify: false })
    }

    #[test]
    fn the_fastest_load_of_all_is_asked_for() {
        let slow = udp(Offer::Rate("5 Mbit/s".parse().expect("a rate")));
        let composed = composed(&plan(&[slow, tcp(Offer::Max), Work::Idle, slow], &[]));
        let asked = composed.request.load.expect("load").rate;
        let fastest = composed.trials.iter().filter_map(|trial| frame_rate(trial, framing())).max();
        assert_eq!(Some(asked), fastest);
        assert!("999 Mbit/s".parse::<BitRate>().expect("a rate") < asked, "{asked}");
    }

    fn framing() -> Framing {
        Framing::plain(IpVersion::V4)
    }

    /// Of the agent's 1 Gbit/s, other runs hold 600 Mbit/s. A rate that was asked for is not
    /// lowered unseen: the agent refuses it, and says who holds the rest.
    #[test]
    fn a_load_as_fast_as_can_be_asks_for_what_is_free() {
        let free = "400 Mbit/s".parse().expect("a rate");
        let path = SitePath { free, most: free, ..path() };
        for work in [udp(Offer::Max), tcp(Offer::Max)] {
            let composed = compose(&plan(&[work], &[]), 0, path).expect("within bounds");
            let asked = composed.request.load.expect("load").rate;
            let least: BitRate = "399 Mbit/s".parse().expect("a rate");
            assert!(least < asked && asked <= free, "{work:?}: {asked}");
            let note =
                composed.notes.iter().map(Note::to_string).find(|note| note.contains("fast"));
            let note = note.expect("a note");
            assert!(note.ends_with("400 Mbit/s: other runs hold the rest of the agent's 1 Gbit/s"));
        }
        let fixed = udp(Offer::Rate("500 Mbit/s".parse().expect("a rate")));
        let composed = compose(&plan(&[fixed], &[]), 0, path).expect("within bounds");
        assert!(free < composed.request.load.expect("load").rate);
    }

    /// 1448 octets of payload in frames of 1518: what 1 Gbit/s of frames carries.
    #[test]
    fn tcp_at_full_speed_goes_as_far_as_the_role() {
        let composed = composed(&plan(&[tcp(Offer::Max)], &[]));
        let load = *composed.trials[1].tcp().expect("TCP");
        assert_eq!((load.mtu(), load.kind()), (1_500, LoadKind::Capacity));
        let goodput = load.rate(Direction::Forward).map(BitRate::bits_per_second);
        assert_eq!(goodput, Some(1_000_000_000 * 1_448 / 1_518));
        assert_eq!(load.rate(Direction::Reverse), None);
        assert!(composed.request.load.expect("load").rate <= limits().rate_max);
    }

    #[test]
    fn each_direction_is_loaded_at_its_share_of_what_is_committed() {
        let mut plan = plan(&[udp(Offer::Committed("50%".parse().expect("a share")))], &[]);
        plan.link.committed = PerDirection {
            forward: Some("100 Mbit/s".parse().expect("a rate")),
            reverse: Some("20 Mbit/s".parse().expect("a rate")),
        };
        let composed = composed(&plan);
        let load = composed.trials[1].load().expect("a load");
        let rate = |direction| load.rate_at(direction, framing(), Layer::L2).expect("it is loaded");
        assert_eq!(
            Direction::ALL.map(|direction| rate(direction).to_string()),
            ["49.8912 Mbit/s", "9.8912 Mbit/s"]
        );
        let asked = composed.request.load.expect("load").rate;
        assert_eq!(asked, "50 Mbit/s".parse::<BitRate>().expect("a rate"));
    }
}
