//! Whether an agent lets a driver run what it asks for. One function decides, in one order.

pub mod allowed;

mod circuit;

mod fences;

mod refusal;

mod role;

mod usage;

pub use circuit::{CIRCUIT_LEN_MAX, is_circuit};
pub use fences::{Fences, is_superseded};
pub use refusal::{Left, Refusal};
pub use role::Role;
pub use usage::{Holder, KEY_RUNS_MAX, PROBING_RATE, RUNS_MAX, Usage, probing_rate};

use crate::account::Invalid;
use crate::clock::{Agent, Stamp};
use crate::direction::Direction;
use crate::framing::{Framing, Layer};
use crate::trial::{CongestionControl, Trial};
use crate::units::{BitRate, Malformed, Span};
use crate::wire::control;
use crate::wire::fence::{FENCES_MAX, Fence};

/// What a driver may spend on probes beside its load, under one grant.
pub const PROBING_MAX: Span = Span::from_secs(15 * 60);

/// How long after its first a driver may say a request again, that of all that the role may: it has
/// lost a connection, and does not know whether it was heard.
const SAID_AGAIN_MAX: Span = Span::from_secs(60);

/// What a driver asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The circuit whose load lock is to be taken; the whole agent's where there is none.
    pub circuit: Option<String>,
    /// How long the run may take in all.
    pub duration: Span,
    /// The load; none where only probes are asked for.
    pub load: Option<LoadRequest>,
    /// What the agent is to send TCP by, [`CONGESTION_MAX`] at most: asked with the first request
    /// of a run, so that what its host lacks is known before anything is measured.
    pub congestion: Vec<CongestionControl>,
    /// The leases that the run holds on what it loads, [`FENCES_MAX`] at most; none where it has no
    /// lease.
    pub fences: Vec<Fence>,
}

/// Congestion controls that a request names: more than any kernel has.
pub const CONGESTION_MAX: usize = 16;

impl TryFrom<&control::Request> for Request {
    type Error = Invalid;

    fn try_from(message: &control::Request) -> Result<Self, Invalid> {
        let load = |load: control::LoadRequest| {
            let rate = BitRate::new(load.rate_bit_s);
            let rate = rate.ok_or_else(|| Invalid::new("a load of 0 bit/s"))?;
            Ok(LoadRequest { rate, duration: Span::from_nanos(load.duration_ns) })
        };
        if CONGESTION_MAX < message.congestion.len() {
            let count = message.congestion.len();
            let why =
                format!("{count} congestion controls, where at most {CONGESTION_MAX} are allowed");
            return Err(Invalid::new(why));
        }
        let congestion = message.congestion.iter().map(|name| name.parse());
        let congestion: Result<_, Malformed> = congestion.collect();
        if FENCES_MAX < message.fences.len() {
            let count = message.fences.len();
            let why = format!("{count} leases, where at most {FENCES_MAX} are allowed");
            return Err(Invalid::new(why));
        }
        let fences = message.fences.iter().cloned().map(Fence::checked);
        Ok(Self {
            circuit: message.circuit.clone(),
            duration: Span::from_nanos(message.duration_ns),
            load: message.load.map(load).transpose()?,
            congestion: congestion.map_err(|error| Invalid::new(error.form()))?,
            fences: fences.collect::<Result<_, _>>()?,
        })
    }
}

impl From<LoadRequest> for control::LoadRequest {
    fn from(load: LoadRequest) -> Self {
        Self { rate_bit_s: load.rate.bits_per_second(), duration_ns: load.duration.nanos() }
    }
}

/// The load that a driver asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoadRequest {
    /// In one direction, of untagged Ethernet frames (L2).
    pub rate: BitRate,
    /// Of all load together.
    pub duration: Span,
}

/// Proof that the policy allowed a request: only [`authorise`] makes one, and traffic needs one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    circuit: Option<String>,
    ends_at: Stamp<Agent>,
    load: Option<LoadRequest>,
    fences: Vec<Fence>,
}

impl Grant {
    /// When it ends by itself.
    #[must_use]
    pub const fn ends_at(&self) -> Stamp<Agent> {
        self.ends_at
    }

    /// The load that it allows.
    #[must_use]
    pub const fn load(&self) -> Option<LoadRequest> {
        self.load
    }

    /// The leases by which it allows load.
    #[must_use]
    pub fn fences(&self) -> &[Fence] {
        &self.fences
    }

    /// The circuit whose lock it holds, where it allows load.
    #[must_use]
    pub fn circuit(&self) -> Option<&str> {
        self.circuit.as_deref()
    }

    /// Whether `trial` is within it at `now`; `spent` of its load has been used.
    ///
    /// # Errors
    ///
    /// What the trial would exceed.
    pub fn allows(
        &self,
        trial: &Trial,
        framing: Framing,
        now: Stamp<Agent>,
        spent: Span,
    ) -> Result<(), Refusal> {
        if self.ends_at < now.after_nanos(trial.duration().nanos()) {
            return Err(Refusal::BeyondGrant("it would outlast it"));
        }
        if trial.is_idle() {
            return Ok(());
        }
        let Some(granted) = self.load else {
            return Err(Refusal::BeyondGrant("it grants probes and no load"));
        };
        if granted.duration < trial.duration().plus(spent) {
            return Err(Refusal::BeyondGrant("it would load for longer"));
        }
        if frame_rate(trial, framing).is_some_and(|rate| granted.rate < rate) {
            return Err(Refusal::BeyondGrant("it would load faster"));
        }
        Ok(())
    }
}

/// The rate of all that `trial` sends in its faster direction, of untagged Ethernet frames: what
/// limits are counted in. Of TCP, that of its segments. `None` where it is idle.
#[must_use]
pub fn frame_rate(trial: &Trial, framing: Framing) -> Option<BitRate> {
    let plain = Framing::plain(framing.ip);
    let rate = |direction| match trial.tcp() {
        Some(load) => load.rate_at(direction, plain, Layer::L2),
        None => trial.rate_at(direction, plain, Layer::L2),
    };
    let rates = Direction::ALL.into_iter().filter(|_| !trial.is_idle()).filter_map(rate);
    rates.max()
}

/// Decides on `request` of a key with `role`, at an agent that sends and accepts `rate_max` in all:
/// first whether there is room, then how much, then the lock.
///
/// # Errors
///
/// The first rule that `request` breaks.
pub fn authorise(
    rate_max: BitRate,
    role: &Role,
    request: &Request,
    usage: &Usage,
    now: Stamp<Agent>,
) -> Result<Grant, Refusal> {
    if RUNS_MAX <= usage.runs {
        return Err(Refusal::Full);
    }
    if KEY_RUNS_MAX <= usage.own_runs {
        return Err(Refusal::KeyFull);
    }
    if request.circuit.as_deref().is_some_and(|name| !is_circuit(name)) {
        return Err(Refusal::BadCircuit);
    }
    let load_time = request.load.map_or(Span::default(), |load| load.duration);
    let probing = request.duration.minus(load_time);
    if PROBING_MAX < probing {
        let (what, asked, max) = ("probe for", probing, PROBING_MAX);
        return Err(Refusal::DurationAboveMax { role: role.name, what, asked, max });
    }
    if let Some(load) = request.load {
        authorise_load(role, load, request.circuit.as_deref(), usage, now)?;
    }
    let ends_at = now.after_nanos(request.duration.nanos());
    authorise_rate(rate_max, role, request, usage, now)?;
    let locked_max = role.limits.duration_max.plus(PROBING_MAX);
    let locked_since = usage.locked_since.filter(|_| request.load.is_some()).unwrap_or(now);
    let locked_until = locked_since.after_nanos(locked_max.plus(SAID_AGAIN_MAX).nanos());
    if locked_until < ends_at {
        return Err(Refusal::LockedTooLong { role: role.name, max: locked_max });
    }
    let (circuit, fences) = (request.circuit.clone(), request.fences.clone());
    Ok(Grant { circuit, ends_at, load: request.load, fences })
}

/// All grants together stay within what the agent may send and accept, and those of a key within
/// what its role may.
///
/// A driver that watches its links probes them all the time, and loads them now and then: what it
/// probes with is a part of what it may load with, and neither is refused because of the other. The
/// agent's meter holds whatever both together send to the limit.
fn authorise_rate(
    max: BitRate,
    role: &Role,
    request: &Request,
    usage: &Usage,
    now: Stamp<Agent>,
) -> Result<(), Refusal> {
    let own_max = role.limits.rate_max;
    let asked = request.load.map_or_else(|| probing_rate(max.min(own_max)), |load| load.rate);
    let fits = |granted: u64, max: BitRate| {
        granted.saturating_add(asked.bits_per_second()) <= max.bits_per_second()
    };
    let own_loads = usage.own_granted.saturating_sub(usage.own_probing);
    if request.load.is_none() && 0 < own_loads {
        return Ok(());
    }
    let beside = if request.load.is_some() { usage.own_probing } else { 0 };
    let granted = usage.granted(max).saturating_sub(beside);
    if fits(granted, max) {
        let own = usage.own_granted.saturating_sub(beside);
        let refusal = Refusal::OwnRateTaken { asked, granted: own, max: own_max };
        return if fits(own, own_max) { Ok(()) } else { Err(refusal) };
    }
    let holder = usage.holders.iter().max_by_key(|holder| holder.rate).cloned();
    let left = holder.as_ref().map_or_else(Left::default, |holder| Left::of(holder, now));
    Err(Refusal::RateTaken { asked, granted, max, holder, left })
}

fn authorise_load(
    role: &Role,
    load: LoadRequest,
    circuit: Option<&str>,
    usage: &Usage,
    now: Stamp<Agent>,
) -> Result<(), Refusal> {
    if !role.may_load {
        return Err(Refusal::ProbesOnly(role.name));
    }
    let may_load = |allowed: &Vec<String>| allowed.iter().any(|it| Some(it.as_str()) == circuit);
    if let Some(allowed) = role.circuits.as_ref().filter(|allowed| !may_load(allowed)) {
        let (asked, allowed) = (circuit.map(str::to_owned), allowed.clone());
        return Err(Refusal::OtherCircuit { role: role.name, asked, allowed });
    }
    if role.limits.rate_max < load.rate {
        let (asked, max) = (load.rate, role.limits.rate_max);
        return Err(Refusal::RateAboveMax { asked, max });
    }
    if role.limits.duration_max < load.duration {
        let (what, asked, max) = ("load for", load.duration, role.limits.duration_max);
        return Err(Refusal::DurationAboveMax { role: role.name, what, asked, max });
    }
    let in_the_way = |holder: &&Holder| match (holder.circuit.as_deref(), circuit) {
        (Some(held), Some(asked)) => held == asked,
        _ => true,
    };
    if let Some(holder) = usage.holders.iter().find(in_the_way) {
        return Err(Refusal::Locked { holder: holder.clone(), left: Left::of(holder, now) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::{Directions, PerDirection};
    use crate::framing::IpVersion;
    use crate::trial::{Beside, Limits, Load, LoadKind};

    const NOW: Stamp<Agent> = Stamp::from_nanos(1_000);

    fn rate(mbit_s: u64) -> BitRate {
        BitRate::new(mbit_s * 1_000_000).expect("above zero")
    }

    fn role() -> Role {
        let duration_max = Span::from_secs(600);
        Role::qualifier(Limits { rate_max: rate(1_000), duration_max })
    }

    fn request(mbit_s: u64, seconds: u64, circuit: Option<&str>) -> Request {
        let duration = Span::from_secs(seconds);
        Request {
            circuit: circuit.map(str::to_owned),
            duration: duration.plus(Span::from_secs(60)),
            load: Some(LoadRequest { rate: rate(mbit_s), duration }),
            congestion: Vec::new(),
            fences: Vec::new(),
        }
    }

    fn probing(seconds: u64) -> Request {
        let (duration, fences) = (Span::from_secs(seconds), Vec::new());
        Request { circuit: None, duration, load: None, congestion: Vec::new(), fences }
    }

    #[test]
    fn a_request_names_as_many_congestion_controls_as_a_kernel_may_have() {
        let asked = |names: Vec<String>| {
            let run = "0".repeat(32);
            let message = control::Request {
                run,
                circuit: None,
                duration_ns: 1,
                load: None,
                congestion: names,
                fences: Vec::new(),
            };
            Request::try_from(&message).map_err(|error| error.to_string())
        };
        let many = |count: usize| (0..count).map(|i| format!("bbr{i}")).collect();
        let named = asked(vec!["cubic".into(), "bbr".into()]).expect("two that may be");
        assert_eq!(named.congestion, [CongestionControl::CUBIC, "bbr".parse().expect("a name")]);
        assert_eq!(asked(many(CONGESTION_MAX)).map(|it| it.congestion.len()), Ok(CONGESTION_MAX));
        let refusal = asked(many(CONGESTION_MAX + 1)).expect_err("one too many");
        assert!(refusal.contains("17 congestion controls, where at most 16"), "{refusal}");
        let refusal = asked(vec!["a name".into()]).expect_err("none");
        assert!(refusal.contains("not a congestion control"), "{refusal}");
    }

    fn held(circuit: Option<&str>) -> Usage {
        let until = NOW.after_nanos(Span::from_secs(30).nanos());
        let circuit = circuit.map(str::to_owned);
        let (who, rate, likely) = ("ops@idc".into(), rate(100), until);
        let holder = Holder { who, circuit, rate, until, likely };
        Usage { runs: 1, holders: vec![holder], ..Usage::default() }
    }

    fn refusal(request: &Request, usage: &Usage) -> String {
        authorise(rate(1_000), &role(), request, usage, NOW)
            .expect_err("must be refused")
            .to_string()
    }

    #[test]
    fn the_limits_themselves_are_granted() {
        let grant =
            authorise(rate(1_000), &role(), &request(1_000, 600, None), &Usage::default(), NOW);
        let ends_at = grant.expect("within limits").ends_at();
        assert_eq!(ends_at, NOW.after_nanos(Span::from_secs(660).nanos()));
    }

    #[test]
    fn more_than_the_limits_is_refused_with_the_limit() {
        let usage = Usage::default();
        let text = refusal(&request(1_001, 600, None), &usage);
        assert!(text.contains("at most 1 Gbit/s (L2), but 1.001 Gbit/s was requested"), "{text}");
        let text = refusal(&request(1, 601, None), &usage);
        assert!(text.contains("may load for at most 600 s, 601 s was requested"), "{text}");
        let probing = probing(901);
        assert!(refusal(&probing, &usage).contains("may probe for at most 900 s"));
        assert!(refusal(&request(1, 1, Some("")), &usage).contains("1 to 128"));
        assert!(refusal(&request(1, 1, Some("a\nb")), &usage).contains("printable"));
    }

    /// A driver watches 60 links, and loads one of them at all that the agent grants.
    #[test]
    fn what_a_driver_probes_with_is_part_of_what_it_may_load_with() {
        let probing_bit_s = 60 * probing_rate(rate(1_000)).bits_per_second();
        let own = Usage {
            runs: 60,
            own_runs: 60,
            own_granted: probing_bit_s,
            own_probing: probing_bit_s,
            ..Usage::default()
        };
        let decide =
            |asked: &Request, usage: &Usage| authorise(rate(1_000), &role(), asked, usage, NOW);
        assert!(decide(&request(1_000, 600, None), &own).is_ok());
        let others = Usage { own_runs: 0, own_granted: 0, own_probing: 0, ..own };
        let text = refusal(&request(1_000, 600, None), &others);
        assert!(text.contains("runs that probe hold the rest"), "{text}");
        // And the other way round: it goes on probing beside its load.
        let mut loading = held(None);
        loading.holders[0].rate = rate(1_000);
        assert!(
            decide(&probing(60), &Usage { own_granted: 1_000_000_000, ..loading.clone() }).is_ok()
        );
        assert!(decide(&probing(60), &loading).is_err(), "somebody else's load");
    }

    #[test]
    fn load_waits_for_the_lock_of_its_circuit_and_is_given_the_holder() {
        let text = refusal(&request(1, 1, None), &held(None));
        assert!(text.contains("a run of ops@idc holds the load lock for at most 30 s"), "{text}");
        let text = refusal(&request(1, 1, Some("EC-1")), &held(Some("EC-1")));
        assert!(text.contains("circuit 'EC-1'"), "{text}");
        // The grant has 30 s in reserve for each trial: few runs take them.
        let mut soon = held(None);
        soon.holders[0].likely = NOW.after_nanos(Span::from_secs(5).nanos());
        let text = refusal(&request(1, 1, None), &soon);
        assert!(
            text.contains("holds the load lock for about 5 s more, at most 30 s. Try"),
            "{text}"
        );
        assert!(
            authorise(rate(1_000), &role(), &request(1, 1, Some("EC-2")), &held(Some("EC-1")), NOW)
                .is_ok()
        );
        refusal(&request(1, 1, None), &held(Some("EC-1")));
        refusal(&request(1, 1, Some("EC-1")), &held(None));
    }

    /// But for the lock, there must be room for it.
    #[test]
    fn probing_is_never_locked() {
        let probing = probing(60);
        assert!(authorise(rate(1_000), &role(), &probing, &held(None), NOW).is_ok());
    }

    #[test]
    fn a_full_agent_says_so() {
        let usage = Usage { runs: RUNS_MAX, ..Usage::default() };
        assert!(refusal(&request(1, 1, None), &usage).contains("1024 runs already"));
        let usage = Usage { runs: KEY_RUNS_MAX, own_runs: KEY_RUNS_MAX, ..Usage::default() };
        assert!(refusal(&request(1, 1, None), &usage).contains("768 runs of this key"));
        let usage = Usage { own_runs: KEY_RUNS_MAX - 1, ..usage };
        assert!(authorise(rate(1_000), &role(), &request(1, 1, None), &usage, NOW).is_ok());
    }

    /// The first release let each of 20 circuits have all of the limit.
    #[test]
    fn all_grants_together_stay_within_the_limit() {
        let usage = held(Some("EC-1"));
        let asked = |mbit_s| request(mbit_s, 1, Some("EC-2"));
        assert!(authorise(rate(1_000), &role(), &asked(900), &usage, NOW).is_ok());
        let text = refusal(&asked(901), &usage);
        let words = "901 Mbit/s (L2) was requested, 900 Mbit/s of 1 Gbit/s is free: a run of \
                     ops@idc \
                     holds 100 Mbit/s for at most 30 s more";
        assert!(text.contains(words), "{text}");
        // Nine runs that probe are 1.2816 Mbit/s.
        let usage = Usage { runs: 10, ..usage };
        assert!(refusal(&asked(899), &usage).contains("898.7184 Mbit/s of 1 Gbit/s is free"));
        assert!(authorise(rate(1_000), &role(), &asked(898), &usage, NOW).is_ok());
    }

    #[test]
    fn a_run_that_probes_counts_too() {
        let probing = probing(60);
        let mut usage = held(None);
        usage.holders[0].rate = rate(1_000);
        let text = refusal(&probing, &usage);
        assert!(text.contains("none of 1 Gbit/s is free: a run of ops@idc holds"), "{text}");
        let slow = Role::qualifier(Limits {
            rate_max: "64 kbit/s".parse().expect("a rate"),
            ..role().limits
        });
        let usage = |runs| Usage { runs, ..Usage::default() };
        assert!(authorise(slow.limits.rate_max, &slow, &probing, &usage(9), NOW).is_ok());
        let refused = authorise(slow.limits.rate_max, &slow, &probing, &usage(10), NOW)
            .expect_err("10 have it all");
        assert!(refused.to_string().contains("runs that probe hold the rest"), "{refused}");
    }

    /// A key's own limit comes out of the agent's: other keys find the rest of it free.
    #[test]
    fn a_keys_runs_stay_within_its_own_limit() {
        let limits = Limits { rate_max: rate(200), ..role().limits };
        let role = Role::qualifier(limits);
        let usage = Usage { own_runs: 1, own_granted: 150_000_000, ..held(Some("EC-1")) };
        let ask =
            |mbit_s| authorise(rate(1_000), &role, &request(mbit_s, 1, Some("EC-2")), &usage, NOW);
        assert!(ask(50).is_ok());
        let text = ask(51).expect_err("above its own limit").to_string();
        let words = "51 Mbit/s (L2) was requested, and other runs of this key hold 150 Mbit/s of \
                     its 200 Mbit/s";
        assert!(text.contains(words), "{text}");
        // Probes count a tenth of a limit so low that 100 of them a second are more.
        let slow =
            Role::qualifier(Limits { rate_max: "100 kbit/s".parse().expect("one"), ..limits });
        let ask_to_probe = |own_runs: u64| {
            let own = own_runs * 10_000;
            let usage = Usage { own_granted: own, own_probing: own, ..Usage::default() };
            authorise(rate(1_000), &slow, &probing(60), &usage, NOW)
        };
        assert!(ask_to_probe(9).is_ok() && ask_to_probe(10).is_err());
        let text = ask(201).expect_err("above its own limit").to_string();
        let words = "this driver may send at most 200 Mbit/s (L2), but 201 Mbit/s was requested";
        assert!(text.contains(words), "{text}");
    }

    #[test]
    fn a_role_may_be_to_probe_alone_or_to_load_some_circuits() {
        let usage = Usage::default();
        let ask = |role: &Role, request: &Request| {
            authorise(rate(1_000), role, request, &usage, NOW).map_err(|why| why.to_string())
        };
        let prober = Role::prober(role().limits);
        let probing = probing(60);
        assert!(ask(&prober, &probing).is_ok());
        let text = ask(&prober, &request(1, 1, None)).expect_err("a load");
        assert!(text.contains("role 'prober' may probe but not load"), "{text}");
        let some = role().on_circuits(vec!["EC-1".into(), "EC 2".into()]);
        assert!(ask(&some, &request(1, 1, Some("EC 2"))).is_ok());
        assert!(ask(&some, &probing).is_ok(), "probing needs no circuit");
        let text = ask(&some, &request(1, 1, Some("EC-3"))).expect_err("another");
        assert!(
            text.contains("may load only these circuits: EC-1, EC 2; 'EC-3' was requested"),
            "{text}"
        );
        let text = ask(&some, &request(1, 1, None)).expect_err("none");
        assert!(text.contains("EC-1, EC 2; none was named. Name one of them"), "{text}");
    }

    #[test]
    fn a_load_lock_is_not_renewed_for_ever() {
        let since = |seconds| {
            let locked_since = Some(Stamp::from_nanos(0));
            let now = Stamp::from_nanos(Span::from_secs(seconds).nanos());
            authorise(
                rate(1_000),
                &role(),
                &request(1, 1, None),
                &Usage { locked_since, ..Usage::default() },
                now,
            )
        };
        // 61 s each, of 1560.
        assert!(since(1_499).is_ok());
        let text = since(1_500).expect_err("too long").to_string();
        assert!(text.contains("load lock for at most 1500 s in one run"), "{text}");
        let locked_since = Some(Stamp::from_nanos(0));
        let probing = probing(60);
        let now = Stamp::from_nanos(Span::from_secs(9_000).nanos());
        let usage = Usage { locked_since, ..Usage::default() };
        assert!(
            authorise(rate(1_000), &role(), &probing, &usage, now).is_ok(),
            "probing holds no lock"
        );
    }

    #[test]
    fn a_trial_must_be_within_its_grant() {
        let framing = Framing::plain(IpVersion::V4);
        let grant =
            authorise(rate(1_000), &role(), &request(100, 30, None), &Usage::default(), NOW);
        let grant = grant.expect("within limits");
        let trial = |mbit_s, seconds| {
            let packets = framing.packet_rate(rate(mbit_s), Layer::L2, 1_472);
            let load = Load::new(Directions::Both, 1, 1_472, packets, LoadKind::FixedRate)
                .expect("a load");
            Trial::new(Some(load), Span::from_secs(seconds)).expect("a trial")
        };
        let allows =
            |trial: &Trial, spent| grant.allows(trial, framing, NOW, Span::from_secs(spent));
        assert_eq!(allows(&trial(99, 30), 0), Ok(()));
        assert!(allows(&trial(100, 30), 0).is_err(), "probes and heartbeats come on top");
        assert!(allows(&trial(99, 30), 1).is_err());
        assert!(allows(&trial(99, 31), 0).is_err());
        let idle = Trial::new(None, Span::from_secs(91)).expect("a trial");
        assert!(allows(&idle, 0).is_err(), "it would outlast the grant");
    }

    /// A driver that asks for just what its role may send gets it, to the bit, however few packets
    /// that is.
    #[test]
    fn a_rate_is_granted_as_it_is_asked_and_not_a_bit_faster() {
        let framing = Framing::plain(IpVersion::V4);
        for text in ["64 kbit/s", "100 Mbit/s", "999.999999 Mbit/s"] {
            let asked: BitRate = text.parse().expect("a rate");
            for (streams, payload) in [(1, 1_472), (7, 1_472), (64, 200)] {
                let beside = Beside::load(PerDirection::both(Some((asked, Layer::L2))), framing);
                let rest = beside.rest(asked, framing, Layer::L2, true).expect("there is some");
                let packets = framing.packet_rate(rest, Layer::L2, payload);
                let load =
                    Load::new(Directions::Both, streams, payload, packets, LoadKind::FixedRate);
                let trial = Trial::new(load.ok(), Span::from_secs(30));
                let trial = trial.and_then(|trial| trial.with_beside(beside)).expect("a trial");
                assert_eq!(frame_rate(&trial, framing), Some(asked), "{streams} x {payload}");
                let below = BitRate::new(asked.bits_per_second() - 1).expect("above zero");
                let granted = |rate| {
                    let load = Some(LoadRequest { rate, duration: Span::from_secs(30) });
                    let (ends_at, fences) = (NOW.after_nanos(1 << 40), Vec::new());
                    let grant = Grant { circuit: None, ends_at, load, fences };
                    grant.allows(&trial, framing, NOW, Span::default()).is_ok()
                };
                assert_eq!((granted(asked), granted(below)), (true, false));
            }
        }
    }
}
