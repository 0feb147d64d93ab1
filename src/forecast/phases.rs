//! What a run does one after the other, and how long each part takes: shown before anything is
//! sent.

use super::at_once::AtOnce;
use super::spoken::spoken;
use super::{Forecast, Sent, Site};
use crate::direction::{Direction, Directions};
use crate::flow::trail;
use crate::framing::{Framing, Layer};
use crate::metric::MTU_ASSUMED;
use crate::plan::Plan;
use crate::trial::Trial;
use crate::units::{BitRate, Span};

/// What connecting, the search for the path's MTU, and both ends' accounts take on a healthy link,
/// at most.
const SET_UP: Span = Span::from_secs(1);

/// One part of a run towards a site.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Phase {
    /// What it does, such as "idle probes".
    pub what: String,
    /// How long that takes.
    pub takes: Span,
}

impl Site {
    /// The parts of a run of `plan` towards it, in their order. A trial that leaves a queue, or
    /// that has to be repeated, takes longer.
    #[must_use]
    pub fn phases(&self, plan: &Plan) -> Vec<Phase> {
        let (framing, layer) = (plan.link.framing(self.ip), plan.link.layer);
        let set_up = Phase { what: "connect and find the path MTU".to_owned(), takes: SET_UP };
        let phase = |trial: &Trial| Phase {
            what: name_of(trial, framing, layer),
            takes: trial.duration().plus(trail(trial).0),
        };
        let trials = self.steps.iter().map(|step| phase(&step.trial));
        std::iter::once(set_up).chain(trials).collect()
    }
}

/// What a trial sends, in a few words; rates are those of all that is sent, at `layer`.
#[must_use]
pub fn name_of(trial: &Trial, framing: Framing, layer: Layer) -> String {
    let Some(directions) = trial.directions() else { return "idle probes".to_owned() };
    let rate = |direction| match trial.tcp() {
        Some(load) => load.rate_at(direction, framing, layer),
        None => trial.rate_at(direction, framing, layer),
    };
    let protocol = if trial.tcp().is_some() { "TCP" } else { "UDP" };
    let pace = match (trial.is_capacity(), rate(Direction::Forward), rate(Direction::Reverse)) {
        (true, ..) => " as fast as possible".to_owned(),
        (_, Some(forward), Some(reverse))
            if directions == Directions::Both && forward != reverse =>
        {
            let [forward, reverse] = [forward, reverse].map(nearest);
            return format!("{protocol} {forward} to the agent and {reverse} from it");
        }
        (_, forward, reverse) => {
            let forward = forward.filter(|_| directions != Directions::Reverse);
            forward.or(reverse).map_or_else(String::new, |rate| format!(" {}", nearest(rate)))
        }
    };
    format!("{protocol}{pace} {}", way_of(directions))
}

/// Which ways a trial loads, in a few words.
#[must_use]
pub const fn way_of(directions: Directions) -> &'static str {
    match directions {
        Directions::Forward => "to the agent",
        Directions::Reverse => "from the agent",
        Directions::Both => "both ways",
    }
}

/// A rate at four digits: packets of whole octets rarely make the rate that was asked to the bit.
fn nearest(rate: BitRate) -> BitRate {
    let (down, up) = (rate.rounded_down(), rate.rounded_up());
    let [down_off, up_off] =
        [down, up].map(|it| it.bits_per_second().abs_diff(rate.bits_per_second()));
    if up_off < down_off { up } else { down }
}

/// The time that a run of these plans takes, and each part of it: a line for each link and site.
#[must_use]
pub fn timetable(plans: &[(&Plan, &Forecast)], at_once: Option<&AtOnce>) -> Vec<String> {
    let sites = plans.iter().flat_map(|(plan, forecast)| {
        plan.sites.iter().zip(&forecast.sites).map(move |(site, forecast)| (*plan, site, forecast))
    });
    let several = 1 < sites.clone().count();
    let mut whole = Span::default();
    let line = |(plan, site, forecast): (&Plan, &crate::plan::Site, &Site)| {
        let phases = forecast.phases(plan);
        let total = total(&phases);
        whole = whole.plus(total);
        let parts = phases.iter().map(|part| format!("{} {}", part.what, spoken(part.takes)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let link = plan.link.name.as_deref().filter(|_| 1 < plans.len());
        let site = Some(site.name.as_str()).filter(|_| 1 < plan.sites.len() || link.is_none());
        let names: Vec<&str> = link.into_iter().chain(site).collect();
        let name = if several { format!("{}: ", names.join(", ")) } else { String::new() };
        format!("{name}about {}: {parts}", spoken(total))
    };
    let mut lines: Vec<String> = sites.map(line).collect();
    if several {
        let all = at_once.map(|at_once| (at_once.room.parallel, at_once.end(plans)));
        lines.push(match all {
            Some((most @ 2.., end)) => {
                format!("about {} in all, up to {most} links at once", spoken(end))
            }
            _ => format!("about {} in all, one after the other", spoken(whole)),
        });
    }
    lines
}

/// What a run of these plans sends: a line for each link and site.
#[must_use]
pub fn traffic(plans: &[(&Plan, &Forecast)]) -> Vec<String> {
    let sites = plans.iter().flat_map(|(plan, forecast)| {
        plan.sites.iter().zip(&forecast.sites).map(move |(site, forecast)| (*plan, site, forecast))
    });
    let several = 1 < sites.clone().count();
    let line = |(plan, site, forecast): (&Plan, &crate::plan::Site, &Site)| {
        let link = plan.link.name.as_deref().filter(|_| 1 < plans.len());
        let site = Some(site.name.as_str()).filter(|_| 1 < plan.sites.len() || link.is_none());
        let names: Vec<&str> = link.into_iter().chain(site).collect();
        let name = if several { format!("{}: ", names.join(", ")) } else { String::new() };
        let [forward, reverse] =
            Direction::ALL.map(|direction| sent_text(&forecast.sent(direction)));
        let both = match forward == reverse {
            true => format!("{forward} each way"),
            false => format!("{forward} to the agent and {reverse} from it"),
        };
        format!("{name}sends {both} (L2, at a path MTU of {MTU_ASSUMED})")
    };
    sites.map(line).collect()
}

/// Packets and octets of one direction.
fn sent_text(sent: &Sent) -> String {
    if sent.is_open {
        return "as fast as the hosts can and the agent allows".to_owned();
    }
    let most = if sent.is_most { "at most" } else { "about" };
    let packets = sent.packets.saturating_add(sent.probes);
    format!("{most} {packets} packets, {},", sent.octets)
}

/// The sum of all `phases`.
#[must_use]
pub fn total(phases: &[Phase]) -> Span {
    phases.iter().fold(Span::default(), |sum, phase| sum.plus(phase.takes))
}

impl Forecast {
    /// The longest that a run of `plan` may take, whose forecast this is: a trial is lengthened
    /// once, to three times its time or 10 s, and what goes between them takes a minute at most.
    #[must_use]
    pub fn longest(&self, plan: &Plan) -> Span {
        let planned = self.sites.iter().map(|site| total(&site.phases(plan)));
        let planned = planned.fold(Span::default(), Span::plus);
        let tests = u64::try_from(plan.tests.len() * plan.sites.len()).unwrap_or(u64::MAX);
        let lengthened = planned.plus(planned).plus(planned);
        lengthened.plus(Span::from_secs(tests.saturating_mul(10))).plus(Span::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::tests::plan;

    fn lines(more: &str) -> Vec<String> {
        let plan = plan(more);
        timetable(&[(&plan, &Forecast::of(&plan).expect("within bounds"))], None)
    }

    #[test]
    fn each_phase_is_listed_with_its_time_and_the_total() {
        let udp = "[[test]]\nkind = 'udp'\nrate = '50 Mbit/s'\nduration = '11 s'\n";
        let expected = "about 23 s: connect and find the path MTU 1 s, idle probes 10 s, UDP 50 \
                        Mbit/s both ways 12 s";
        assert_eq!(lines(udp), [expected]);
        let tcp = "[[test]]\nkind = 'tcp'\ndirection = 'reverse'\n";
        let expected = "about 41 s: connect and find the path MTU 1 s, idle probes 10 s, TCP as \
                        fast as possible from the agent 30 s";
        assert_eq!(lines(tcp), [expected]);
    }

    #[test]
    fn rates_that_differ_by_direction_are_both_listed() {
        let link = "[link.forward]\nrate = '20 Mbit/s'\n[link.reverse]\nrate = '5 Mbit/s'\n";
        let udp = "[[test]]\nkind = 'udp'\nrate = '100%'\nduration = '10 s'\n";
        let [line] = &lines(&format!("{link}{udp}"))[..] else { panic!("one site") };
        let udp = "UDP 20 Mbit/s to the agent and 5 Mbit/s from it 11 s";
        assert!(line.ends_with(udp), "{line}");
    }

    /// 1000 probes and as many replies of 10 s are 100 per second.
    #[test]
    fn what_will_be_sent_is_shown_in_packets_and_octets() {
        let sends = |more: &str| {
            let plan = plan(more);
            traffic(&[(&plan, &Forecast::of(&plan).expect("within bounds"))]).remove(0)
        };
        let rate = "[link]\nrate = '50 Mbit/s'\n";
        let idle = sends(&format!("{rate}[[test]]\nkind = 'idle'\nduration = '10 s'\n"));
        let expected = "sends about 1000 packets, 158 kB, each way (L2, at a path MTU of 1500)";
        assert_eq!(idle, expected);
        let udp = "[[test]]\nkind = 'udp'\nduration = '10 s'\ndirection = 'forward'\n";
        let udp = sends(&format!("{rate}{udp}"));
        assert!(udp.contains(" packets, 62.6 MB, to the agent and about 2"), "{udp}");
        let open = sends("[[test]]\nkind = 'udp'\nrate = 'max'\n");
        assert!(open.contains("as fast as the hosts can and the agent allows each way"), "{open}");
    }

    /// Of several sites, each has its own line, and all together have one.
    #[test]
    fn several_sites_have_a_line_each_and_a_total() {
        let other = "[sites.second]\nagent = '10.0.0.8'\nkey = 'b.pub'\n";
        let lines = lines(&format!("{other}[[test]]\nkind = 'idle'\nduration = '5 s'\n"));
        let each = "about 6 s: connect and find the path MTU 1 s, idle probes 5 s";
        let expected = [
            format!("vpc: {each}"),
            format!("second: {each}"),
            "about 12 s in all, one after the other".into(),
        ];
        assert_eq!(lines, expected);
    }
}
