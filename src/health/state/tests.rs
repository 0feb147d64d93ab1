//! What the links of a small network are found to be in, second by second.

use super::*;
use crate::direction::PerDirection;
use crate::health::{Carried, Maintained, Second};
use crate::metric::{Metric, Requirements};
use crate::units::Span;

/// Two links to one host, and one to another host of the same site.
struct Net {
    health: Health,
    now_s: i64,
    events: Vec<(i64, String, State, Cause)>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn watched() -> Vec<Watched> {
    let mut requirements = Requirements::default();
    for (metric, text) in [(Metric::LOSS, "1%"), (Metric::RTT_P99, "20 ms")] {
        requirements.set(None, metric.bounded_by(text).expect("a bound"));
    }
    let link = |(name, host): (&str, &str)| Watched {
        name: name.to_owned(),
        host: host.to_owned(),
        site: "vpc".to_owned(),
        bounds: ProbeBounds::of(&requirements),
        is_unproven: false,
    };
    NAMES.into_iter().zip(["h1", "h1", "h2"]).map(link).collect()
}

/// A second of a link: so many of its 20 probes are lost on the way there; the others take so long.
fn second(start_s: i64, lost: u32, millis: u64) -> Second {
    let carried = |lost| Some(Carried { sent: 20, lost });
    let carried = match lost {
        20 => PerDirection::default(),
        lost => PerDirection { forward: carried(lost), reverse: carried(0) },
    };
    let came = usize::try_from(20 - lost).expect("at most 20");
    let round_trips = vec![Span::from_millis(millis); came];
    Second { start_s, carried, answered: Some(Carried { sent: 20, lost }), round_trips }
}

impl Net {
    fn new(watched: Vec<Watched>) -> Self {
        Self { health: Health::new(watched, 0), now_s: 0, events: Vec::new() }
    }

    /// Goes on for `seconds`, each link losing so many probes of 20, with round trips of 5 ms.
    fn run(&mut self, seconds: i64, lost: [u32; 3]) -> &mut Self {
        self.go(seconds, lost.map(|lost| Some((lost, 5))))
    }

    /// The same, where a link may be without any second.
    fn go(&mut self, seconds: i64, does: [Option<(u32, u64)>; 3]) -> &mut Self {
        for _ in 0..seconds {
            for (place, does) in does.into_iter().enumerate() {
                if let Some((lost, millis)) = does {
                    self.health.handle_second(place, &second(self.now_s, lost, millis));
                }
            }
            self.now_s += 1;
            self.tick();
        }
        self
    }

    fn tick(&mut self) {
        self.health.handle_time(self.now_s);
        while let Some(event) = self.health.poll_event() {
            let Current { link, subject, state, cause, .. } = event.now;
            if subject == Subject::Forward {
                self.events.push((event.at_s, link, state, cause));
            }
        }
    }

    /// What happened since the last look, of the forward direction.
    #[track_caller]
    fn check(&mut self, expected: &[(i64, &str, State, Cause)]) -> &mut Self {
        let expected =
            expected.iter().map(|(at, link, state, why)| (*at, (*link).to_owned(), *state, *why));
        assert_eq!(std::mem::take(&mut self.events), expected.collect::<Vec<_>>());
        self
    }

    /// All is well for two minutes.
    fn begun() -> Self {
        let mut net = Self::new(watched());
        net.run(120, [0; 3]);
        let pass = |link| (1, link, State::Pass, Cause::Met);
        net.check(&NAMES.map(pass));
        net
    }

    fn current(&self, link: &str, subject: Subject) -> &Current {
        let is_it = |it: &&Current| it.link == link && it.subject == subject;
        self.health.states().find(is_it).expect("a state")
    }
}

#[test]
fn a_link_whose_host_answers_elsewhere_is_down_and_up_again() {
    let mut net = Net::begun();
    // Down at 122, as its host still answers over b then.
    net.run(60, [20, 0, 0]).check(&[(124, "a", State::Fail, Cause::Outage)]);
    let down = net.current("a", Subject::RoundTrip);
    assert_eq!((down.state, down.since_s), (State::Fail, 120));
    assert_eq!(down.reason, "no reply: its host answers over b");
    net.run(9, [0; 3]).check(&[]);
    net.run(60, [0; 3]).check(&[(190, "a", State::Pass, Cause::Met)]);
}

#[test]
fn two_lost_seconds_are_no_outage_and_a_lost_second_breaks_a_recovery() {
    let mut net = Net::begun();
    net.run(2, [20, 0, 0]).run(60, [0; 3]).check(&[]);
    net.run(30, [20, 0, 0]).run(8, [0; 3]).run(1, [20, 0, 0]).run(9, [0; 3]);
    net.check(&[(186, "a", State::Fail, Cause::Outage)]);
    net.run(1, [0; 3]).check(&[(231, "a", State::Pass, Cause::Met)]);
}

#[test]
fn a_host_that_is_silent_on_all_its_links_is_down() {
    let mut net = Net::begun();
    let (host, fail) = (Cause::HostDown, State::Fail);
    net.run(60, [20, 20, 0]).check(&[(128, "a", fail, host), (128, "b", fail, host)]);
    // It answers at its management address: it is the links.
    net.health.handle_management("h1", net.now_s, true);
    let both = Cause::Outage;
    net.run(1, [20, 20, 0]).check(&[(181, "a", fail, both), (181, "b", fail, both)]);
    assert_eq!(net.current("a", Subject::Forward).since_s, 120, "it is the same outage");
}

#[test]
fn of_a_single_link_neighbours_decide_and_else_nobody_can_say() {
    let mut net = Net::begun();
    net.run(20, [0, 0, 20]).check(&[(128, "c", State::Fail, Cause::Outage)]);
    let mut one = Net::new(vec![watched().remove(2)]);
    one.run(60, [0; 3]).run(20, [20, 0, 0]);
    let (pass, fail) = (State::Pass, State::Fail);
    one.check(&[(1, "c", pass, Cause::Met), (68, "c", fail, Cause::LinkOrFarEnd)]);
    one.health.handle_management("h2", one.now_s, false);
    one.run(1, [20, 0, 0]).check(&[(81, "c", fail, Cause::HostDown)]);
}

#[test]
fn where_nothing_answers_at_all_this_end_is_suspected() {
    let mut net = Net::begun();
    let near = |link| (128, link, State::Fail, Cause::NearEnd);
    net.run(20, [20; 3]).check(&NAMES.map(near));
}

#[test]
fn loss_in_one_direction_fails_that_one_and_a_single_bad_block_none() {
    let mut net = Net::begun();
    // 10 s with 5 %: one block.
    net.run(10, [1, 0, 0]).run(60, [0; 3]).check(&[]);
    net.run(40, [1, 0, 0]).check(&[(221, "a", State::Fail, Cause::Loss)]);
    assert_eq!(net.current("a", Subject::Reverse).state, State::Pass);
    assert_eq!(
        net.current("a", Subject::Forward).reason,
        "loss <= 1% required: 3.00 % of the probes are lost"
    );
    net.run(60, [0; 3]).check(&[(281, "a", State::Pass, Cause::Met)]);
}

#[test]
fn what_changed_first_is_named() {
    let mut net = Net::begun();
    // The round trip grows to 15 ms, which is near its bound of 20 ms at 80 %: at 17 ms.
    net.go(60, [Some((0, 17)), Some((0, 5)), Some((0, 5))]);
    let mut first = None;
    let mut health = net.health.clone();
    health.handle_load(0, failed(200, None));
    health.handle_time(201);
    while let Some(event) = health.poll_event() {
        first = event.first.or(first);
    }
    assert_eq!(first.map(|change| change.what), Some(Changed::RttFloor));
    let trip = net.current("a", Subject::RoundTrip);
    assert_eq!((trip.state, trip.cause), (State::Warning, Cause::Delay));
}

/// A load run that failed forward.
fn failed(at_s: i64, confirm_until_s: Option<i64>) -> LoadResult {
    let mut load = LoadResult::none(at_s);
    load.verdicts[0] = (LoadVerdict::Fail, "throughput: too little".to_owned());
    LoadResult { confirm_until_s, ..load }
}

#[test]
fn a_failed_load_is_confirmed_once_or_counts_at_once() {
    let (fail, pass) = (State::Fail, State::Pass);
    let mut net = Net::begun();
    net.health.handle_load(0, failed(120, None));
    net.run(5, [0; 3]).check(&[(121, "a", fail, Cause::Load)]);
    // One that says nothing leaves it, one that passes ends it.
    net.health.handle_load(0, LoadResult::none(126));
    net.run(5, [0; 3]).check(&[]);
    let mut passed = LoadResult::none(130);
    passed.verdicts = [(LoadVerdict::Pass, String::new()), Default::default(), Default::default()];
    net.health.handle_load(0, passed.clone());
    net.run(5, [0; 3]).check(&[(131, "a", pass, Cause::Met)]);
    // One that may be confirmed waits for that.
    net.health.handle_load(0, failed(135, Some(500)));
    assert_eq!(net.health.unconfirmed().collect::<Vec<_>>(), [(0, 500)]);
    net.run(5, [0; 3]).check(&[]);
    net.health.handle_load(0, passed);
    net.run(5, [0; 3]).check(&[]);
    net.health.handle_load(0, failed(145, Some(500)));
    net.health.handle_load(0, failed(150, Some(500)));
    assert_eq!(net.health.unconfirmed().count(), 0);
    net.run(5, [0; 3]).check(&[(146, "a", fail, Cause::Load)]);
    // And where no other run came about in time, it counts.
    net.health.handle_load(1, failed(150, Some(160)));
    net.run(20, [0; 3]).check(&[(160, "b", fail, Cause::Load)]);
}

#[test]
fn in_maintenance_nothing_is_judged_and_after_it_all_is() {
    let mut net = Net::begun();
    let until_s = 220;
    let works = Maintained { from_s: 120, until_s, reason: "fibre CHG7".to_owned() };
    net.health.handle_maintenance(0, Some(works));
    net.run(100, [20, 0, 0]).check(&[(121, "a", State::Maintenance, Cause::Maintenance)]);
    net.health.handle_maintenance(0, None);
    net.run(10, [20, 0, 0]).check(&[(221, "a", State::Fail, Cause::Outage)]);
    assert_eq!(net.current("a", Subject::Forward).since_s, 120);
}

#[test]
fn where_nothing_is_measured_nothing_is_known() {
    let mut net = Net::begun();
    let well = Some((0, 5));
    net.go(100, [None, well, well]).check(&[(179, "a", State::Indeterminate, Cause::NoData)]);
    net.run(1, [0; 3]).check(&[(221, "a", State::Pass, Cause::Met)]);
    net.health.handle_contact(0, 222, Contact::AgentDown);
    net.go(1, [None, well, well]).check(&[(222, "a", State::Indeterminate, Cause::AgentDown)]);
    // Of a link that answered, and whose agent nobody reaches any more, that is an outage.
    net.health.handle_contact(0, 223, Contact::Silent);
    net.go(20, [None, well, well]).check(&[(225, "a", State::Fail, Cause::Outage)]);
    // While a run probes it itself nothing is missing; where this host cannot send, it is at once.
    net.go(20, [well; 3]).check(&[(252, "a", State::Pass, Cause::Met)]);
    net.health.handle_contact(0, 263, Contact::Resting);
    net.go(600, [None, well, well]).check(&[]);
    net.health.handle_contact(0, 863, Contact::ThisHost);
    net.go(1, [None, well, well]).check(&[(863, "a", State::Indeterminate, Cause::NoData)]);
    let mut new = Net::new(watched());
    new.health.handle_contact(0, 1, Contact::Silent);
    new.go(100, [None; 3]);
    let (starting, none) = (Cause::Starting, State::Indeterminate);
    let first = NAMES.map(|link| (1, link, none, starting));
    let then = NAMES.map(|link| (60, link, none, Cause::NoData));
    new.check(&[first, then].concat());
}

#[test]
fn a_backup_passes_only_where_its_probes_are_shown_to_cross_it() {
    let mut links = watched();
    links[0].is_unproven = true;
    let mut net = Net::new(links);
    net.run(20, [0; 3]);
    let state = net.current("a", Subject::Forward);
    assert_eq!((state.state, state.cause), (State::Indeterminate, Cause::NotProven));
    net.run(20, [20, 0, 0]);
    assert_eq!(net.current("a", Subject::Forward).state, State::Fail, "a fault is one");
}

#[test]
fn an_outage_goes_on_over_a_restart_and_loss_stands_until_it_is_measured_again() {
    let mut before = Net::begun();
    before.run(60, [20, 1, 0]);
    let states: Vec<Current> = before.health.states().cloned().collect();
    let mut after = Net::new(watched());
    after.now_s = 300;
    after.health = Health::new(watched(), 300);
    after.health.restore(&states);
    after.go(3, [None; 3]).run(30, [20, 0, 0]).check(&[]);
    assert_eq!(after.current("a", Subject::Forward).since_s, 120);
    after.run(30, [0; 3]);
    after.check(&[(343, "a", State::Pass, Cause::Met), (351, "b", State::Pass, Cause::Met)]);
}

/// After a restart in mid-outage, in which the host is found to answer and the agent not.
#[test]
fn without_a_measured_second_nothing_passes_after_a_restart() {
    let mut before = Net::begun();
    before.run(60, [20, 20, 0]);
    let states: Vec<Current> = before.health.states().cloned().collect();
    let mut after = Net::new(watched());
    after.now_s = 300;
    after.health = Health::new(watched(), 300);
    after.health.restore(&states);
    after.health.handle_contact(0, 300, Contact::AgentDown);
    let (well, down) = (Some((0, 5)), State::Indeterminate);
    after.go(4, [None, None, well]).check(&[(301, "a", down, Cause::AgentDown)]);
    // That its host answers connections is no measurement of the link.
    after.go(10, [well, None, well]).check(&[(308, "b", State::Fail, Cause::Outage)]);
    assert_eq!(after.current("b", Subject::Forward).state, State::Fail);
    after.health.handle_contact(0, 314, Contact::Reached);
    after.go(1, [well, None, well]).check(&[(315, "a", State::Pass, Cause::Met)]);
}

#[test]
fn links_that_stay_keep_what_is_known_and_those_that_go_are_no_longer_watched() {
    let mut net = Net::begun();
    net.run(20, [20, 0, 0]);
    net.events.clear();
    let mut links = watched();
    links.remove(2);
    net.health = net.health.clone().succeed(links, net.now_s);
    net.run(10, [20, 0, 0]);
    net.check(&[(140, "c", State::NotRunning, Cause::Stopped)]);
    assert_eq!(net.current("a", Subject::Forward).since_s, 120);
}
