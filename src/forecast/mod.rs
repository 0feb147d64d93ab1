//! What a plan will do, before it does: what is sent, what the proofs of its requirements take, and
//! which of them cannot succeed.
//!
//! It never measures and never judges: it composes the trials as a run would, towards agents that
//! allow all, over paths of Ethernet's packets, and says that it assumed these.

mod at_once;
mod firewall;
mod links;
mod phases;
mod provability;
mod spoken;
mod step;
mod text;

pub use at_once::AtOnce;
pub use firewall::{Endpoint, FirewallHosts, nft, table};
pub use links::links_text;
pub use phases::{Phase, name_of, timetable, total, traffic, way_of};
pub use provability::Provability;
pub use step::{Sent, Step};
pub use text::text;

use crate::direction::{Direction, Directions, PerDirection};
use crate::flow::trail;
use crate::framing::IpVersion;
use crate::method::note::Note;
use crate::method::trials::{Composed, SitePath, compose};
use crate::metric::MTU_ASSUMED;
use crate::plan::{Plan, Test};
use crate::policy::Request;
use crate::trial::{DURATION_MAX, Limits, OutOfBounds, Trial};
use crate::units::{BitRate, Span};
use step::{plus, sent};

/// What "as fast as possible" is bounded by where the port's rate is not given.
const RATE_UNKNOWN: BitRate = match BitRate::new(100_000_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

/// What will happen towards each site.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// As the plan has them.
    pub sites: Vec<Site>,
}

/// What will happen towards one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The version of IP; version 4 where the agent is given by name.
    pub ip: IpVersion,
    /// The trials, in the order in which they run.
    pub steps: Vec<Step>,
    /// What the agent is asked to allow; the rate means nothing where a step is as fast as
    /// possible.
    pub request: Request,
    /// For each requirement and direction, in the order in which reports show them.
    pub provabilities: Vec<Provability>,
    /// What was decided for the user.
    pub notes: Vec<Note>,
}

impl Forecast {
    /// What `plan` will do.
    ///
    /// # Errors
    ///
    /// Where a number is outside the bounds of a trial.
    pub fn of(plan: &Plan) -> Result<Self, OutOfBounds> {
        let sites = (0..plan.sites.len()).map(|place| Site::of(plan, place));
        Ok(Self { sites: sites.collect::<Result<_, _>>()? })
    }
}

impl Site {
    fn of(plan: &Plan, place: usize) -> Result<Self, OutOfBounds> {
        let ip = plan.sites[place].agent.name.parse().map_or(IpVersion::V4, IpVersion::of);
        let rate_max = plan.link.port_rate.unwrap_or(RATE_UNKNOWN);
        let limits = Limits { rate_max, duration_max: DURATION_MAX };
        let payload = MTU_ASSUMED - ip.udp_overhead_octets();
        let path = SitePath { limits, free: rate_max, most: rate_max, ip, payload };
        let Composed { trials, request, notes } = compose(plan, place, path)?;
        // How far an agent lets TCP go is not known yet, and the port does not hold back its pace.
        let most = SitePath { free: BitRate::MAX, most: BitRate::MAX, ..path };
        let allowed = compose(plan, place, most).map(|composed| composed.trials);
        let allowed = allowed.unwrap_or_else(|_| trials.clone());
        let tests: Vec<&Test> = plan.tests_of(place).collect();
        // Where there is one trial more, it is the idle one before the first load.
        let added = trials.len().saturating_sub(tests.len());
        let step = |(number, trial): (usize, Trial)| {
            let test = number.checked_sub(added).and_then(|number| tests.get(number));
            let offer = test.and_then(|test| test.work.offer());
            let sent = PerDirection::from_fn(|direction| sent(plan, ip, &trial, offer, direction));
            Step { trial, offer, sent }
        };
        let steps: Vec<Step> = trials.into_iter().enumerate().map(step).collect();
        let provabilities = provability::provabilities(&plan.criteria(ip), &allowed);
        Ok(Self { ip, steps, request, provabilities, notes })
    }

    /// How long the trials take together, without what lies between them; the probes behind a load
    /// for as short as they go on.
    #[must_use]
    pub fn duration(&self) -> Span {
        let durations =
            self.steps.iter().map(|step| step.trial.duration().plus(trail(&step.trial).0));
        durations.fold(Span::default(), Span::plus)
    }

    /// How long the probes behind a load go on, at least and at most; `None` where no load has any.
    #[must_use]
    pub fn trail(&self) -> Option<(Span, Span)> {
        let longest = self.steps.iter().map(|step| trail(&step.trial)).max();
        longest.filter(|(_, most)| Span::default() < *most)
    }

    /// The longest of the trials.
    #[must_use]
    pub fn longest(&self) -> Span {
        let lasts = |step: &Step| step.trial.duration().plus(trail(&step.trial).1);
        self.steps.iter().map(lasts).max().unwrap_or_default()
    }

    /// What is sent in `direction` by all trials.
    #[must_use]
    pub fn sent(&self, direction: Direction) -> Sent {
        self.sent_by(direction, |_| true)
    }

    /// What is sent in `direction` by the trials that load by TCP, or by the others.
    #[must_use]
    pub fn sent_over(&self, is_tcp: bool, direction: Direction) -> Sent {
        self.sent_by(direction, |trial| trial.tcp().is_some() == is_tcp)
    }

    fn sent_by(&self, direction: Direction, counts: impl Fn(&Trial) -> bool) -> Sent {
        let steps = self.steps.iter().filter(|step| counts(&step.trial));
        steps.fold(Sent::default(), |sum, step| {
            let more = step.sent.get(direction);
            Sent {
                packets: sum.packets.saturating_add(more.packets),
                probes: sum.probes.saturating_add(more.probes),
                octets: plus(sum.octets, more.octets.octets()),
                is_most: sum.is_most || more.is_most,
                is_open: sum.is_open || more.is_open,
            }
        })
    }

    /// Whether a trial loads by TCP.
    #[must_use]
    pub fn has_tcp(&self) -> bool {
        self.steps.iter().any(|step| step.trial.tcp().is_some())
    }

    /// The most streams of any trial in all directions together.
    #[must_use]
    pub fn streams(&self, is_tcp: bool) -> u32 {
        let count = |directions: Option<Directions>| match directions {
            None => 0,
            Some(Directions::Both) => 2,
            Some(Directions::Forward | Directions::Reverse) => 1,
        };
        let of = |step: &Step| {
            let streams = match is_tcp {
                true => step.trial.tcp().map(|load| load.streams()),
                false => step.trial.load().map(|load| load.streams()),
            };
            streams.unwrap_or(0) * count(step.trial.directions())
        };
        self.steps.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::read;
    use crate::units::ByteCount;
    use std::path::Path;

    /// A plan of one site with `more` behind its ends.
    pub(super) fn plan(more: &str) -> Plan {
        let ends = "[driver]\nkey = 'd.key'\n[sites.vpc]\nagent = '10.0.0.7'\nkey = 'a.pub'\n";
        let read = read(Path::new("plan.toml"), &format!("{ends}{more}")).conclude();
        read.expect("a plan").0
    }

    fn site(more: &str) -> Site {
        Forecast::of(&plan(more)).expect("within bounds").sites.remove(0)
    }

    /// Probes take 1 % of 10 Mbit/s, 79.1 per second, for a second more than the load, and the rest
    /// in frames of 1518 octets is 8153 packets in 10 s. Heartbeats of 94 octets go the other way,
    /// ten a second; a probe of 112 octets is one of 158.
    #[test]
    fn each_packet_that_will_be_sent_is_counted() {
        let udp = "[[test]]\nkind = 'udp'\nrate = '10 Mbit/s'\nduration = '10 s'\n";
        let site = site(&format!("{udp}direction = 'reverse'\n"));
        assert_eq!(site.steps.len(), 2, "an idle trial comes first");
        assert_eq!(site.duration(), Span::from_secs(21));
        assert_eq!(site.trail(), Some((Span::from_secs(1), Span::from_secs(4))));
        let load = site.steps[1].sent;
        assert_eq!((load.forward.packets, load.reverse.packets), (0, 8_153));
        assert_eq!((load.forward.probes, load.reverse.probes), (871, 871));
        assert_eq!(load.forward.octets, ByteCount::new(871 * 158 + 100 * 110));
        assert_eq!(load.reverse.octets, ByteCount::new(871 * 158 + 8_153 * 1_518));
        assert_eq!(
            site.sent(Direction::Forward).octets,
            ByteCount::new(158_000 + 871 * 158 + 100 * 110)
        );
        assert_eq!((site.streams(false), site.streams(true)), (1, 0));
    }

    #[test]
    fn the_idle_trial_is_as_long_as_the_plan_says() {
        let load = "[[test]]\nkind = 'udp'\nrate = '10 Mbit/s'\nduration = '10 s'\n";
        let short = Plan { idle: Span::from_secs(2), ..plan(load) };
        let site = Forecast::of(&short).expect("within bounds").sites.remove(0);
        assert_eq!(site.steps[0].sent.forward.probes, 200);
        assert_eq!((site.steps.len(), site.duration()), (2, Span::from_secs(13)));
    }

    #[test]
    fn as_fast_as_possible_is_bounded_by_the_port_or_by_nothing() {
        let tcp = "[[test]]\nkind = 'tcp'\ndirection = 'forward'\nduration = '10 s'\n";
        let open = site(tcp);
        assert!(open.sent(Direction::Forward).is_open);
        assert!(!open.sent(Direction::Reverse).is_open);
        let bounded = site(&format!("[link]\nport_rate = '100 Mbit/s'\n{tcp}"));
        let sent = bounded.sent(Direction::Forward);
        assert!(sent.is_most && !sent.is_open);
        // 10 s of 100 Mbit/s, less than a segment more, and 20 s of probes.
        let load = sent.octets.octets() - 2_000 * 158;
        assert!((125_000_000 - 1_518..=125_000_000 + 1_518).contains(&load), "{load}");
    }

    #[test]
    fn the_version_of_ip_follows_from_the_address() {
        let six = plan("[[test]]\nkind = 'idle'\n");
        let site =
            crate::plan::Site { agent: "[::1]:9".parse().expect("a host"), ..six.sites[0].clone() };
        let six = Plan { sites: vec![site], ..six };
        assert_eq!(Forecast::of(&six).expect("within bounds").sites[0].ip, IpVersion::V6);
    }
}
