//! The plan file: text in, a plan out, or all that is wrong with the text.
//!
//! [`read`] opens no file: its caller reads the text, and reports the key files that the plan
//! names what is wrong with them ([`Reading::refuse_key`]), so that all faults are reported
//! together. A plan that comes out is whole: defaults are applied here, once, and those that decide
//! what is sent are listed as assumptions.

mod agreement;
mod annotated;
mod blackouts;
mod draft;
mod fault;
mod kinds;
mod link;
mod links;
mod maintenance;
mod moment;
mod raw;
mod require;
mod rules;
mod site;
mod test;
mod timing;

pub use blackouts::{BlackoutFile, CalendarFile, read_blackouts};
pub use draft::{Assumption, Half, KeyFile, SizeAsked, by_key};
pub use fault::{Fault, Faults, SHOWN_MAX};

use super::{Plan, PlanKind, PlanSet};
use crate::units::PacketRate;
use draft::{Draft, Purpose};
use fault::Place;
use raw::{Given, RawLink, RawPlan, RawRequire, Reader, value};
use std::path::Path;
use test::Whose;

/// Octets that a plan may have.
pub const FILE_OCTETS_MAX: u64 = 1 << 20;

/// A plan that is right in every field, and shows each of them.
pub const SAMPLE: &str = include_str!("../sample.toml");

/// A plan of several links: a leased line, its backup, and two peerings.
pub const SAMPLE_LINKS: &str = include_str!("../sample_links.toml");

/// A plan's text that has been read; what is wrong with its key files can still be added.
#[derive(Debug)]
pub struct Reading {
    file: String,
    text: String,
    plans: PlanSet,
    keys: Vec<KeyFile>,
    sizes: Vec<SizeAsked>,
    assumptions: Vec<Assumption>,
    faults: Vec<Fault>,
}

impl Reading {
    /// The key files that it names.
    #[must_use]
    pub fn keys(&self) -> &[KeyFile] {
        &self.keys
    }

    /// The file of `key` cannot be used: `why`.
    pub fn refuse_key(&mut self, key: &KeyFile, why: impl Into<String>) {
        self.faults.push(Fault::new(&key.place, why));
    }

    /// The sizes that its tests ask for.
    #[must_use]
    pub fn sizes(&self) -> &[SizeAsked] {
        &self.sizes
    }

    /// This host cannot send `size`: `why`.
    pub fn refuse_size(&mut self, size: &SizeAsked, why: impl Into<String>) {
        self.faults.push(Fault::new(&size.place, why));
    }

    /// The plan of each link, as far as it can be read: whether it is whole, [`Self::conclude`]
    /// says.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans.plans
    }

    /// The plans of all links, and what they leave open.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn conclude_all(self) -> Result<(PlanSet, Vec<Assumption>), Faults> {
        if self.faults.is_empty() {
            return Ok((self.plans, self.assumptions));
        }
        Err(Faults::of(&self.file, self.text, self.faults))
    }

    /// The plan of the only link, and what it leaves open.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, among it that there are several links.
    pub fn conclude(mut self) -> Result<(Plan, Vec<Assumption>), Faults> {
        if self.faults.is_empty() && self.plans.plans.len() != 1 {
            let count = self.plans.plans.len();
            let what = format!("{count} links, where a plan of one belongs");
            self.faults.push(Fault::new(&Place::absent("links"), what));
        }
        let (mut plans, assumptions) = self.conclude_all()?;
        Ok((plans.plans.remove(0), assumptions))
    }
}

/// Reads the text of the plan `file`; what its paths are relative to is the folder of that.
#[must_use]
pub fn read(file: &Path, text: &str) -> Reading {
    read_for(Purpose::Run, file, text)
}

/// The same of a plan that is only to judge what was run: it needs no ends and no tests.
#[must_use]
pub fn read_to_judge(file: &Path, text: &str) -> Reading {
    read_for(Purpose::Judge, file, text)
}

fn read_for(purpose: Purpose, file: &Path, text: &str) -> Reading {
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text);
    let raw = reader.plan();
    let folder = file.parent().unwrap_or(Path::new(""));
    let faults = reader.faults;
    let mut draft = Draft::new(folder, purpose, faults);
    let plans = raw.map(|raw| plans(&mut draft, &raw));
    let Draft { keys, sizes, assumptions, faults, .. } = draft;
    let plans = plans.unwrap_or_else(|| PlanSet { plans: Vec::new(), kind: PlanKind::Bare });
    let (file, text) = (file.display().to_string(), text.to_owned());
    Reading { file, text, plans, keys, sizes, assumptions, faults }
}

fn plans(draft: &mut Draft<'_>, raw: &RawPlan) -> PlanSet {
    let mut set = plans_of(draft, raw);
    let probes = value(&raw.watch).and_then(|watch| value(&watch.probes_per_second));
    let watched_at = probes.and_then(|probes| PacketRate::new(probes.0.into()));
    set.plans.iter_mut().for_each(|plan| plan.link.watched_at = watched_at);
    set
}

fn plans_of(draft: &mut Draft<'_>, raw: &RawPlan) -> PlanSet {
    match (&raw.link, &raw.links) {
        (link, Some(given)) => {
            if let Some(link) = link {
                let what = "a plan has one [link] or several [links.NAME], not both";
                draft.fault(&link.place.of_key(), what).beside(&given.place, "several");
            }
            let plans = given.whole().map(|(links, place)| links::plans(draft, raw, links, place));
            PlanSet { plans: plans.unwrap_or_default(), kind: PlanKind::Links }
        }
        (link, None) => {
            let kind = if link.is_some() { PlanKind::Link } else { PlanKind::Bare };
            PlanSet { plans: vec![plan(draft, raw)], kind }
        }
    }
}

/// The plan of a file with one link.
fn plan(draft: &mut Draft<'_>, raw: &RawPlan) -> Plan {
    let (no_link, no_require) = (RawLink::default(), RawRequire::default());
    let (absent, given) = (Place::absent("link"), raw.link.as_ref().and_then(Given::whole));
    let (raw_link, place) = given.unwrap_or((&no_link, &absent));
    links::refuse_those_of_several(draft, raw_link);
    let (mut link, rates) = link::link(draft, raw_link, place);
    let names: Vec<&str> = link.name.as_deref().into_iter().collect();
    maintenance::check_links(draft, &raw.maintenance, &names);
    link.works = maintenance::works(draft, &raw.maintenance, link.name.as_deref());
    let (key, near) = site::driver(draft, &raw.driver);
    let sites = site::sites(draft, &raw.sites);
    let require = value(&raw.require).unwrap_or(&no_require);
    let (requirements, demands) = require::requirements(draft, require);
    let (tests, offerings) = test::tests(draft, (&raw.test, Whose::Its), &sites, (&link, &rates));
    agreement::agree(draft, &rates, &demands, &offerings);
    let idle = value(&raw.idle).map_or(super::IDLE_DEFAULT, |idle| idle.0);
    let effort = super::Effort::Full;
    let schedule = timing::timing(draft, &raw.schedule, &tests);
    let rules = rules::rules(draft, raw, raw_link, &raw.schedule);
    if schedule.is_some() {
        rules::within_share(draft, &rules, (&link, &rates), &offerings);
    }
    Plan { link, key, near, sites, idle, effort, requirements, tests, schedule, rules }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::{Direction, Directions};
    use crate::framing::Layer;
    use crate::metric::{About, Metric, Reach, Sample};
    use crate::plan::{Offer, TcpTest, UdpTest, Work};
    use crate::trial::CongestionControl;
    use crate::units::Span;
    use proptest::prelude::*;

    const ENDS: &str = "[driver]\nkey = 'd.key'\n[sites.vpc]\nagent = '10.0.0.7:99'\n\
                        key = 'a.pub'\n[[test]]\nkind = 'idle'\n";

    fn taken(text: &str) -> (Plan, Vec<Assumption>) {
        read(Path::new("plans/prod.toml"), text).conclude().expect("a plan")
    }

    fn faults_of(text: &str) -> String {
        let read = read(Path::new("plan.toml"), text).conclude_all();
        read.map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    /// The faults of the least plan with `more` behind it, whose lines count from there.
    #[track_caller]
    fn check(more: &str, expected: &[&str]) {
        let before = ENDS.lines().count();
        let shown = faults_of(&format!("{ENDS}{more}"));
        let mut lines = shown.lines();
        for line in expected {
            let found = lines.next().unwrap_or("nothing more");
            let (line, rest) = line.split_once(": ").expect("a line and a text");
            let line: usize = line.parse().expect("a line");
            let start = format!("plan.toml:{}: {rest}", before + line);
            assert!(found.starts_with(&start), "{found:?}\n  is not\n{start:?}");
        }
        assert_eq!(lines.next(), None, "{more}");
    }

    #[test]
    fn the_sample_is_a_plan() {
        let (plan, assumptions) = taken(SAMPLE);
        assert_eq!(assumptions, [], "it shows every field that decides what is sent");
        let taken = |field: &str| Assumption { field: field.into(), taken: "no tag".into() };
        let shown = by_key(&[taken("links.a.tags"), taken("link.b.other"), taken("links.b.tags")]);
        let expected: [(&str, &[&str]); 2] =
            [("tags: no tag", &["links.a", "links.b"]), ("other: no tag", &["link.b"])];
        let expected = expected.map(|(text, tables)| {
            (text.to_owned(), tables.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(shown, expected);
        assert_eq!(plan.link.committed.forward, "500 Mbit/s".parse().ok());
        assert_eq!((plan.link.layer, plan.link.vlan_tags), (Layer::L2, 1));
        assert_eq!(plan.requirements.iter().count(), 12);
        assert_eq!((plan.tests.len(), plan.idle), (4, Span::from_secs(10)));
        assert_eq!(plan.tests[0].duration, Some(Span::from_secs(30)));
        let tcp = TcpTest {
            directions: Directions::Reverse,
            offer: Offer::Max,
            streams: 4,
            congestion: CongestionControl::CUBIC,
            verify: false,
        };
        assert_eq!(plan.tests[3].work, Work::Tcp(tcp));
    }

    /// The sample with the lines of `[require]` that the list of metrics makes.
    fn with_each_metric(sample: &str) -> String {
        let head = sample.find("[require]").expect("it requires something");
        let begin = head + sample[head..].find('\n').expect("its line ends") + 1;
        let end = begin + sample[begin..].find("confidence = ").expect("it says how surely");
        let line = |metric: &Metric| {
            let About { name, example, asks, reach, sample, .. } = metric.about();
            let which = if *reach == Reach::EachDirection { ", each direction" } else { "" };
            let key = match sample {
                Sample::Required => format!("{name} = \"{example}\""),
                Sample::Commented => format!("# {name} = \"{example}\""),
            };
            format!("{key:<31} # {asks}{which}\n")
        };
        let lines: String = Metric::ALL.iter().map(line).collect();
        format!("{}{lines}{}", &sample[..begin], &sample[end..])
    }

    /// To accept a change: `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_sample_explains_each_metric_as_the_schema_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/sample.toml");
        let made = with_each_metric(SAMPLE);
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(path, &made).expect("the sample is writable");
        }
        let kept = std::fs::read_to_string(path).expect("the sample is there");
        assert!(kept == made, "sample.toml does not show the metrics as they are");
    }

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.md");
    const MARK: &str = "<!-- Made of the list of metrics: UPDATE_SCHEMA=1 cargo test schema -->\n";

    /// The table of metrics in docs/plan.md, made of their list.
    fn with_table_of_metrics(docs: &str) -> String {
        let (before, rest) = docs.split_once(MARK).expect("it has the mark");
        // A table that was made before stands between the mark and the empty line.
        let after = rest.find("\n| key |").map_or(rest, |begin| &rest[begin..]);
        let row = |metric: &Metric| {
            let About { name, example, asks, reach, .. } = metric.about();
            let which = if *reach == Reach::EachDirection { ", in each direction" } else { "" };
            format!("| `{name}` | `\"{example}\"` | {asks}{which} |\n")
        };
        let rows: String = Metric::ALL.iter().map(row).collect();
        format!(
            "{before}{MARK}\n| metric | such as | what is required |\n|---|---|---|\n{rows}{after}"
        )
    }

    /// To accept a change: `UPDATE_SCHEMA=1 cargo test schema`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "whether to rewrite comes from outside")]
    fn the_manual_of_the_plan_has_each_key_and_metric_of_the_schema() {
        let read = || std::fs::read_to_string(DOCS).expect("it is in the repository");
        let made = with_table_of_metrics(&read());
        if std::env::var("UPDATE_SCHEMA").is_ok() {
            std::fs::write(DOCS, &made).expect("it is writable");
        }
        assert!(read() == made, "docs/plan.md lacks a metric: UPDATE_SCHEMA=1 cargo test schema");
        let lacks = |key: &&&str| !made.contains(&format!("`{key}`"));
        assert_eq!(raw::all_keys().iter().find(lacks), None, "docs/plan.md lacks this key");
    }

    /// What the sample shows in comments may be taken out of them.
    #[test]
    fn the_comments_of_the_sample_are_right_too() {
        let schedule = ["[schedule", "cron", "zone", "windows", "in_service", "share", "change"];
        let terms = [
            "[[abort",
            "[watch",
            "probes_per",
            "rtt_rise",
            "interface",
            "witness",
            "[billing",
            "model",
            "price",
        ];
        let fields = ["streams", "size", "rate", "[link", "[req", "require_change", "allow_un"];
        let fields = fields.into_iter().chain(schedule).chain(terms).chain(["currency"]);
        let open = |line: &str| {
            let rest = line.strip_prefix("# ").unwrap_or(line);
            let mut fields = fields.clone().chain(Metric::ALL.iter().map(|it| it.name()));
            let is_field = fields.any(|field| rest.starts_with(field));
            if is_field { rest.to_owned() } else { line.to_owned() }
        };
        let text: Vec<String> = SAMPLE.lines().map(open).collect();
        let (plan, _) = taken(&text.join("\n"));
        assert_eq!(plan.link.committed.reverse, "200 Mbit/s".parse().ok());
        assert!(plan.schedule.is_some_and(|schedule| schedule.windows.len() == 1));
        assert_eq!(plan.rules.abort_if.len(), 1);
        assert!(plan.rules.requires_change && plan.rules.change.is_some());
        assert!(matches!(plan.rules.billing, Some(crate::plan::Billing::Percentile(_))));
        let missing = |metric: &&Metric| {
            metric.scopes().any(|scope| plan.requirements.of(**metric, scope).is_none())
        };
        assert_eq!(Metric::ALL.iter().find(missing), None, "it asks for all");
    }

    #[test]
    fn what_a_plan_leaves_open_is_taken_once_and_said() {
        let text = "[driver]\nkey = 'd.key'\n[sites.vpc]\nagent = '10.0.0.7'\nkey = '/a.pub'\n\
                    [link]\nrate = '10 Mbit/s'\n[require]\nloss = '<= 1%'\n\
                    [[test]]\nkind = 'udp'\n[[test]]\nkind = 'tcp'\n";
        let (plan, assumptions) = taken(text);
        assert_eq!(plan.key.as_deref(), Some(Path::new("plans/d.key")), "relative to the plan");
        assert_eq!(plan.sites[0].key.as_deref(), Some(Path::new("/a.pub")));
        let all = "100%".parse().expect("a share");
        let directions = Directions::Both;
        let udp = UdpTest {
            directions,
            offer: Offer::Committed(all),
            streams: 1,
            payload: None,
            burst_max: None,
        };
        assert_eq!(plan.tests[0].work, Work::Udp(udp));
        assert_eq!(plan.tests[1].work.offer(), Some(Offer::Max));
        let fields: Vec<&str> = assumptions.iter().map(|taken| taken.field.as_str()).collect();
        let expected = [
            "link.rate_layer",
            "link.vlan_tags",
            "sites.vpc.agent",
            "require.confidence",
            "test[0].direction",
            "test[0].rate",
            "test[1].direction",
            "test[1].rate",
        ];
        assert_eq!(fields, expected);
    }

    /// Then the driver's own is taken, and what is known of the agent.
    #[test]
    fn a_plan_need_not_name_a_key() {
        let (site, test) = ("[sites.vpc]\nagent = '10.0.0.7:99'\n", "[[test]]\nkind = 'idle'\n");
        for driver in ["", "[driver]\nsource = '10.0.0.2'\n"] {
            let reading = read(Path::new("plan.toml"), &format!("{driver}{site}{test}"));
            assert_eq!(reading.keys(), []);
            let (plan, _) = reading.conclude().expect("a plan");
            assert_eq!((plan.key, &plan.sites[0].key), (None, &None));
            assert_eq!(plan.near.source.is_some(), !driver.is_empty());
        }
    }

    #[test]
    fn how_links_are_watched_is_said_of_all() {
        let (plan, _) = taken(&format!("{ENDS}[watch]\nprobes_per_second = 50\n"));
        assert_eq!(plan.link.watched_at, PacketRate::new(50));
        assert_eq!(taken(ENDS).0.link.watched_at, None);
        let what = "1: watch.probes_per_second = 101: from 1 to 100 are allowed";
        check("[watch]\nprobes_per_second = 101\n", &[&what.replacen('1', "2", 1)]);
    }

    #[test]
    fn a_direction_adds_and_overrides() {
        let text = format!(
            "{ENDS}[link]\nrate = '9 Mbit/s'\ncbs_bytes = 16384\n[link.forward]\n\
             rate = '9 Mbit/s'\n[link.reverse]\nrate = '5 Mbit/s'\ncbs_bytes = 8192\n\
             [require]\nloss = '<= 1%'\n[require.reverse]\nloss = '<= 2%'\njitter = '<= 2 ms'\n"
        );
        let (plan, _) = taken(&text);
        assert_eq!(plan.link.committed.forward, "9 Mbit/s".parse().ok());
        assert_eq!(plan.link.committed.reverse, "5 Mbit/s".parse().ok());
        let octets = |direction| plan.link.burst.get(direction).octets();
        assert_eq!((octets(Direction::Forward), octets(Direction::Reverse)), (16_384, 8_192));
        let (forward, reverse) = (Some(Direction::Forward), Some(Direction::Reverse));
        let shown: Vec<_> =
            plan.requirements.iter().map(|(scope, what)| (scope, what.metric())).collect();
        let expected =
            [(forward, Metric::LOSS), (reverse, Metric::LOSS), (reverse, Metric::JITTER)];
        assert_eq!(shown, expected);
        let text = format!("{ENDS}[require.forward]\noutage = '<= 1 s'\n");
        assert_eq!(taken(&text).0.requirements.iter().count(), 1, "it may stand alone");
    }

    #[test]
    fn sites_are_in_the_order_of_the_file() {
        let text = format!("{ENDS}[sites.a]\nagent = '10.0.0.8:99'\nkey = 'b.pub'\n");
        let names: Vec<String> = taken(&text).0.sites.into_iter().map(|site| site.name).collect();
        assert_eq!(names, ["vpc", "a"]);
    }

    #[test]
    fn rates_that_are_equal_agree() {
        check(
            "[link]\nport_rate = '10 Mbit/s'\nrate = '10 Mbit/s'\n[require]\n\
             throughput = '>= 10 Mbit/s'\n[[test]]\nkind = 'udp'\nrate = '10 Mbit/s'\n",
            &[],
        );
    }

    #[test]
    fn rates_that_contradict_each_other_are_reported_with_both() {
        let link = "[link]\nport_rate = '10 Mbit/s'\nrate = '11 Mbit/s'\n";
        let what = "above link.port_rate = '10 Mbit/s' (line 9): no more";
        check(link, &[&format!("3: link.rate = '11 Mbit/s': {what}")]);
        check(
            "[[test]]\nkind = 'udp'\nrate = '9 Mbit/s'\ndirection = 'forward'\n[require]\n\
             throughput = '>= 10 Mbit/s'\n[[test]]\nkind = 'udp'\nrate = 'max'\n\
             direction = 'reverse'\n",
            &["6: require.throughput = '>= 10 Mbit/s': above the rate of every udp test forward, \
               so that none can prove it: the fastest, test[1].rate = '9 Mbit/s' (line 10)"],
        );
        check(
            "[link]\nrate = '10 Mbit/s'\n[require]\ntcp_throughput = '>= 10 Mbit/s'\n[[test]]\n\
             kind = 'tcp'\nrate = '90%'\ndirection = 'reverse'\n",
            &["4: require.tcp_throughput = '>= 10 Mbit/s': above the rate of every tcp test \
               reverse, so that none can prove it: the fastest, test[1].rate = '90%' (line 14), \
               offers 9 Mbit/s. Pace TCP at 10 % above it, 11 Mbit/s or more, or at \"max\""],
        );
        check(
            "[require.forward]\ntcp_throughput = '>= 10 Mbit/s'\n[[test]]\nkind = 'tcp'\n\
             rate = '10.9 Mbit/s'\n",
            &["2: require.forward.tcp_throughput = '>= 10 Mbit/s': too near to the rate of every \
               tcp test forward, so that none can prove it: the fastest, test[1].rate = \
               '10.9 Mbit/s' (line 12), offers 10.9 Mbit/s. Pace TCP at 10 % above it, \
               11 Mbit/s or more, or at \"max\""],
        );
    }

    #[test]
    fn how_long_is_probed_before_the_first_load_stands_above_the_tables() {
        assert_eq!(taken(ENDS).0.idle, Span::from_secs(10), "nothing is said");
        assert_eq!(taken(&format!("idle = '2 s'\n{ENDS}")).0.idle, Span::from_secs(2));
        let short = faults_of(&format!("idle = '999 ms'\n{ENDS}"));
        let expected = "plan.toml:1: idle = '999 ms': the idle trial before the first load takes \
                        from 1 s to 600 s (10 min)";
        assert_eq!(short, expected);
        let number = faults_of(&format!("idle = 2\n{ENDS}"));
        let expected = "plan.toml:1: idle = 2: an integer where a string such as \"10 s\" belongs";
        assert_eq!(number, expected);
        check(
            "duration = '30 s'\nidle = '2 s'\n",
            &["2: test[0].idle = '2 s': belongs above the plan's first table"],
        );
    }

    #[test]
    fn overshoot_is_a_share_of_more_than_all() {
        let test = "[link]\nrate = '10 Mbit/s'\n[[test]]\nkind = 'udp'\nrate = '125 %'\n";
        let (plan, _) = taken(&format!("{ENDS}{test}"));
        let offer = plan.tests[1].work.offer().expect("a load");
        let rate = offer.rate(&plan.link, Direction::Forward).map(|(rate, _)| rate);
        assert_eq!(rate, "12.5 Mbit/s".parse().ok());
        assert!(plan.link.committed.forward < rate, "which is what overshoot is");
        let above = "[link]\nrate = '900 Gbit/s'\nport_rate = '950 Gbit/s'\n[[test]]\n\
                     kind = 'tcp'\nrate = '125%'\ndirection = 'forward'\n";
        check(above, &["6: test[1].rate = '125%': 1125 Gbit/s forward: at most 1000 Gbit/s is"]);
        let above = above.replace("900 G", "900 M").replace("950 G", "950 M");
        check(&above, &["6: test[1].rate = '125%': 1.125 Gbit/s is above link.port_rate ="]);
    }

    #[test]
    fn what_is_not_committed_cannot_be_shared() {
        check(
            "[[test]]\nkind = 'udp'\n",
            &["1: test[1].rate: is missing, and there is no committed rate to default to: give"],
        );
        check(
            "[link.forward]\nrate = '1 Mbit/s'\n[[test]]\nkind = 'udp'\nrate = '50%'\n",
            &["5: test[1].rate = '50%': a share of the committed rate, and none is committed \
               reverse: give link.rate, or [link.reverse] rate, or a rate here"],
        );
        check(
            "[link]\nrate = '10 GBd'\n[[test]]\nkind = 'udp'\nrate = '50%'\n",
            &["2: link.rate = '10 GBd': not a bit rate"],
        );
    }

    #[test]
    fn a_key_that_a_kind_does_not_have_is_reported() {
        check(
            "[[test]]\nkind = 'tcp'\nsize = 1000\n[[test]]\nkind = 'idle'\nrate = 'max'\n",
            &[
                "3: test[1].size = 1000: a test of kind tcp is TCP, whose segments fill",
                "6: test[2].rate = 'max': a test of kind idle is probes alone, and loads nothing",
            ],
        );
    }

    #[test]
    fn numbers_and_names_are_taken_up_to_their_bounds() {
        check("[link]\nvlan_tags = 2\nextra_overhead_bytes = 1_000\ncbs_bytes = 1\n", &[]);
        check("[link]\ncbs_bytes = 0\n", &["2: link.cbs_bytes = 0: from 1 to 1000000000 are"]);
        check(
            "[link]\nvlan_tags = 3\nextra_overhead_bytes = 1_001\n",
            &[
                "2: link.vlan_tags = 3: from 0 to 2 are allowed",
                "3: link.extra_overhead_bytes = 1_001: from 0 to 1000 are allowed",
            ],
        );
        let site = |name: &str| format!("[sites.\"{name}\"]\nagent = 'b'\nkey = 'b.pub'\n");
        check(&site(&"é".repeat(63)), &[]);
        let expected = format!("1: sites.\"{}\": not a site's name", "é".repeat(64));
        check(&site(&"é".repeat(64)), &[&expected]);
        check(&site("a b"), &["1: sites.\"a b\": not a site's name: 1 to 63 printable"]);
        let small = "[[test]]\nkind = 'udp'\nrate = '1000 Gbit/s'\nsize = 44\n";
        check(small, &["4: test[1].size = 44: 1388888888.888 packets per second: from 0.1 to"]);
    }

    #[test]
    fn there_are_as_many_sites_and_tests_as_are_allowed() {
        let site = |i: u64| format!("[sites.s{i}]\nagent = 'host{i}'\nkey = 'b.pub'\n");
        let sites = |count: u64| (0..count).map(site).collect::<String>();
        check(&sites(31), &[]);
        let shown = faults_of(&format!("{ENDS}{}", sites(32)));
        assert_eq!(shown, "plan.toml:3: sites: 33 far ends: at most 32 are allowed");
        check(&"[[test]]\nkind = 'idle'\n".repeat(63), &[]);
    }

    #[test]
    fn a_site_is_one_agent_and_has_a_test() {
        check(
            "[sites.b]\nagent = '10.0.0.7:99'\nkey = 'b.pub'\n",
            &["2: sites.b.agent = '10.0.0.7:99': the same agent as sites.vpc.agent"],
        );
        let text = ENDS.replace("'idle'", "'idle'\nsite = 'vpc'");
        let shown = faults_of(&format!("{text}[sites.b]\nagent = 'b'\nkey = 'b.pub'\n"));
        assert!(shown.starts_with("plan.toml:9: sites.b: no test goes there"), "{shown}");
    }

    #[test]
    fn a_key_file_is_reported_with_its_field() {
        let mut reading = read(Path::new("plans/prod.toml"), ENDS);
        let keys = reading.keys().to_vec();
        let paths: Vec<_> = keys.iter().map(|key| (key.half, key.path.as_path())).collect();
        let expected =
            [(Half::Secret, Path::new("plans/d.key")), (Half::Public, Path::new("plans/a.pub"))];
        assert_eq!(paths, expected);
        reading.refuse_key(&keys[1], "plans/a.pub: cannot be read");
        let faults = reading.conclude().expect_err("a key is wrong");
        assert_eq!(faults.faults()[0].field(), "sites.vpc.key");
        let expected = "plans/prod.toml:5: sites.vpc.key = 'a.pub': plans/a.pub: cannot be read";
        assert_eq!(faults.to_string(), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_a_plan_or_refused_without_panic(text in ".{0,80}") {
            _ = faults_of(&text);
            _ = faults_of(&format!("{ENDS}{text}"));
            _ = faults_of(&ENDS.replace("idle", &text));
        }
    }
}
