//! The links of a plan that has several: a plan for each, made of its own table and of what the
//! file says of all.
//!
//! Far ends stand once, under `[sites.NAME]`, and links name them: a leased line and its backup
//! often lead to the same agent, and where one agent is named twice no two links may load it at
//! once.

use super::draft::Draft;
use super::fault::Place;
use super::raw::{
    Given, LINKS_MAX, ListOf, Maybe, RawLink, RawLinks, RawPlan, RawRequire, RawTests, value,
};
use super::test::{Whose, tests};
use super::{agreement, link, maintenance, require, rules, site, timing};
use crate::plan::{IDLE_DEFAULT, LinkRole, Near, Plan, Site};
use std::path::PathBuf;

/// What the file says of all links.
struct OfAll<'a> {
    key: Option<PathBuf>,
    near: Near,
    sites: Vec<Site>,
    site_places: Vec<Place>,
    site_names: Vec<String>,
    raw: &'a RawPlan,
}

/// A plan for each of `links`, which stand at `place`.
pub(super) fn plans(
    draft: &mut Draft<'_>,
    raw: &RawPlan,
    links: &RawLinks,
    place: &Place,
) -> Vec<Plan> {
    let RawLinks(entries) = links;
    if entries.is_empty() {
        let what = "no link: at least one is needed, such as [links.ec-2031] with rate = \
                    \"500 Mbit/s\" and sites = [\"vpc\"]";
        draft.fault(place, what);
    }
    if u32::try_from(entries.len()).is_ok_and(|count| LINKS_MAX < count) {
        let what = format!("{} links: at most {LINKS_MAX} are allowed", entries.len());
        draft.fault(place, what);
    }
    let (key, near) = site::driver(draft, &raw.driver);
    let sites = site::sites(draft, &raw.sites);
    let site_places = std::mem::take(&mut draft.sites);
    let site_names = sites.iter().map(|site| site.name.clone()).collect();
    let of_all = OfAll { key, near, sites, site_places, site_names, raw };
    let mut plans = Vec::new();
    for (name, given) in entries {
        site::check_name(draft, "link", name, &given.place);
        if let Some((raw, place)) = given.whole() {
            draft.plan = plans.len();
            plans.push(of_all.plan(draft, name, raw, place));
        }
    }
    if draft.is_run() {
        of_all.visit_sites(draft, &plans);
    }
    protect(draft, entries);
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    maintenance::check_links(draft, &raw.maintenance, &names);
    plans
}

impl OfAll<'_> {
    fn plan(&self, draft: &mut Draft<'_>, name: &str, raw: &RawLink, place: &Place) -> Plan {
        if let Some(given) = &raw.name {
            let what = format!("with several links, the table names the link, here '{name}'");
            draft.fault(&given.place, what);
        }
        let (mut link, rates) = link::link(draft, raw, place);
        link.name = Some(name.to_owned());
        link.works = maintenance::works(draft, &self.raw.maintenance, Some(name));
        let sites = self.sites_of(draft, raw, place);
        let no_require = RawRequire::default();
        let base = value(&self.raw.require).unwrap_or(&no_require);
        let require = value(&raw.require).unwrap_or(&no_require).over(base);
        let (requirements, demands) = require::requirements(draft, &require);
        let (tests, offerings) = tests(draft, self.tests_of(raw), &sites, (&link, &rates));
        agreement::agree(draft, &rates, &demands, &offerings);
        let idle = value(&self.raw.idle).map_or(IDLE_DEFAULT, |idle| idle.0);
        let (key, near) = (self.key.clone(), self.near_of(raw));
        let effort = super::super::Effort::Full;
        let of_plan = if raw.schedule.is_some() { &raw.schedule } else { &self.raw.schedule };
        let schedule = timing::timing(draft, of_plan, &tests);
        let rules = rules::rules(draft, self.raw, raw, of_plan);
        if schedule.is_some() {
            rules::within_share(draft, &rules, (&link, &rates), &offerings);
        }
        Plan { link, key, near, sites, idle, effort, requirements, tests, schedule, rules }
    }

    /// Its own tests, or those of all links.
    fn tests_of<'a>(&'a self, raw: &'a RawLink) -> (&'a Maybe<RawTests>, Whose<'a>) {
        match &raw.test {
            Some(_) => (&raw.test, Whose::Its),
            None => (&self.raw.test, Whose::Everyones(&self.site_names)),
        }
    }

    /// How this host is left: what the link says, or else the driver.
    fn near_of(&self, raw: &RawLink) -> Near {
        let source = value(&raw.source).map(|source| source.0);
        let device = value(&raw.device).map(|device| device.0.clone());
        Near {
            source: source.or(self.near.source),
            device: device.or_else(|| self.near.device.clone()),
        }
    }

    /// The far ends that the link names, each once.
    fn sites_of(&self, draft: &mut Draft<'_>, raw: &RawLink, place: &Place) -> Vec<Site> {
        draft.sites = Vec::new();
        let Some(given) = &raw.sites else {
            if draft.is_run() {
                let what = "is missing: the far ends of this link, such as sites = [\"vpc\"], each \
                            a table [sites.NAME]";
                draft.fault(&place.field("sites"), what);
            }
            return Vec::new();
        };
        let Some((ListOf(names), of_list)) = given.whole() else { return Vec::new() };
        if names.is_empty() {
            draft.fault(of_list, "no far end: name one at least");
        }
        let (mut sites, mut places) = (Vec::new(), Vec::new());
        for (name, place) in names.iter().filter_map(Given::whole) {
            let Some(found) = site::named(draft, &name.0, place, &self.sites) else { continue };
            let site = &self.sites[found];
            if sites.contains(site) {
                draft.fault(place, "named twice: a far end is run towards once");
                continue;
            }
            sites.push(site.clone());
            places.push(place.clone());
        }
        draft.sites = places;
        sites
    }

    /// Each far end is there for some link.
    fn visit_sites(&self, draft: &mut Draft<'_>, plans: &[Plan]) {
        for (site, place) in self.sites.iter().zip(&self.site_places) {
            if plans.iter().all(|plan| !plan.sites.contains(site)) {
                let what = "no link leads there: name it in the sites of a link, or take it out";
                draft.fault(place, what);
            }
        }
    }
}

/// A backup protects a primary link of the plan.
fn protect(draft: &mut Draft<'_>, entries: &[(String, Given<RawLink>)]) {
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    for (name, given) in entries {
        let Some((raw, _)) = given.whole() else { continue };
        let Some((protected, place)) = raw.protects.as_ref().and_then(Given::whole) else {
            continue;
        };
        let role = |raw: &RawLink| value(&raw.role).map(|role| role.0);
        if role(raw) != Some(LinkRole::Backup) {
            draft.fault(place, "a backup protects another link: give this one role = \"backup\"");
        }
        if protected.0 == *name {
            draft.fault(place, "a link does not protect itself: name its primary link");
            continue;
        }
        let Some(found) = site::place_of(draft, "link", &protected.0, place, &names) else {
            continue;
        };
        let (_, other) = &entries[found];
        let is_primary = |raw: &RawLink| role(raw) == Some(LinkRole::Primary);
        if other.value.as_ref().is_some_and(|other| !is_primary(other)) {
            let what = format!(
                "a backup protects a primary link: give {} role = \"primary\"",
                other.place.name
            );
            draft.fault(place, what).beside(&other.place, "not a primary link");
        }
    }
}

/// Keys that only a link of several has.
pub(super) fn refuse_those_of_several(draft: &mut Draft<'_>, raw: &RawLink) {
    let place = |place: Option<&Place>| place.cloned();
    let given = [
        ("[require]", place(raw.require.as_ref().map(|given| &given.place))),
        ("[[test]]", place(raw.test.as_ref().map(|given| &given.place))),
        ("[schedule]", place(raw.schedule.as_ref().map(|given| &given.place))),
        ("[sites.NAME]", place(raw.sites.as_ref().map(|given| &given.place))),
        ("[driver]", place(raw.source.as_ref().map(|given| &given.place))),
        ("[driver]", place(raw.device.as_ref().map(|given| &given.place))),
        ("", place(raw.protects.as_ref().map(|given| &given.place))),
        ("", place(raw.shares.as_ref().map(|given| &given.place))),
    ];
    for (instead, place) in given {
        let Some(place) = place else { continue };
        let instead = match instead {
            "" => "it is about other links".to_owned(),
            table => format!("a plan of one link has {table}"),
        };
        let what = format!("belongs in a plan of several links, under [links.NAME]: {instead}");
        draft.fault(&place.of_key(), what);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Assumption, SAMPLE_LINKS, read, read_to_judge};
    use crate::direction::Direction;
    use crate::metric::{Limit, Metric};
    use crate::plan::{
        Contract, LinkRole, Offer, Plan, PlanKind, PlanSet, ProviderContact, UdpTest, Work,
    };
    use std::net::IpAddr;
    use std::path::Path;

    /// Two far ends, a requirement and a test for all links.
    const COMMON: &str = "[driver]\nkey = 'd.key'\nsource = '10.0.0.2'\n[sites.a]\n\
                          agent = '10.1.0.2:99'\nkey = 'a.pub'\n[sites.b]\nagent = '10.2.0.2:99'\n\
                          key = 'b.pub'\n[require]\nloss = '<= 1%'\njitter = '<= 5 ms'\n\
                          confidence = '99%'\n[require.forward]\nloss = '<= 2%'\n[[test]]\n\
                          kind = 'udp'\nrate = '50%'\ndirection = 'forward'\n";

    fn taken(text: &str) -> (PlanSet, Vec<Assumption>) {
        let read = read(Path::new("plans/prod.toml"), text).conclude_all();
        read.unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults_of(text: &str) -> String {
        let read = read(Path::new("plan.toml"), text).conclude_all();
        read.map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    /// The faults of [`COMMON`] with `more` behind it, whose lines count from there.
    #[track_caller]
    fn check(more: &str, expected: &[&str]) {
        let before = COMMON.lines().count();
        let found = faults_of(&format!("{COMMON}{more}"));
        let mut lines = found.lines();
        for line in expected {
            let found = lines.next().unwrap_or("nothing more");
            let (line, rest) = line.split_once(": ").expect("a line and a text");
            let line: i64 = line.parse().expect("a line");
            let start = format!("plan.toml:{}: {rest}", i64::try_from(before).unwrap() + line);
            assert!(found.starts_with(&start), "{found:?}\n  is not\n{start:?}");
        }
        assert_eq!(lines.next(), None, "{more}");
    }

    const BOTH: &str = "[links.x]\nrate = '10 Mbit/s'\nsites = ['a']\n[links.y]\n\
                        rate = '20 Mbit/s'\nsites = ['b']\n";

    fn limit(plan: &Plan, metric: Metric, direction: Direction) -> Option<Limit> {
        plan.requirements.limit(metric, Some(direction))
    }

    #[test]
    fn the_sample_of_several_links_is_a_plan() {
        let (set, assumptions) = taken(SAMPLE_LINKS);
        assert_eq!(set.kind, PlanKind::Links);
        let names: Vec<&str> = set.names().collect();
        assert_eq!(names, ["ec-2031", "ec-2032", "peering-data", "peering-shared"]);
        let [primary, backup, data, shared] = set.plans.as_slice() else { panic!("{set:?}") };
        assert_eq!(primary.link.circuit.as_deref(), Some("EC-2031"), "that of its provider");
        assert_eq!(primary.link.provider.as_deref(), Some("Example Telecom"));
        let known = &primary.link.inventory;
        assert_eq!(
            (known.role, known.owner.as_deref()),
            (Some(LinkRole::Primary), Some("Network operations"))
        );
        let contact = ProviderContact {
            circuit: Some("EC-2031".into()),
            test_id: Some("RFS-88120".into()),
            noc: Some("+86 10 5550 0100".into()),
        };
        assert_eq!(known.provider_contact, Some(contact));
        let contract = Contract { end: Some("2027-06-30".into()), lead_time_days: Some(90) };
        assert_eq!(known.contract, Some(contract));
        assert_eq!(backup.link.inventory.protects.as_deref(), Some("ec-2031"));
        assert_eq!(backup.link.inventory.shares, known.shares);
        assert_eq!(backup.near.source, "10.0.1.2".parse::<IpAddr>().ok());
        assert_eq!(primary.near.source, None);
        let Work::Udp(UdpTest { streams, .. }) = data.tests[0].work else { panic!("{data:?}") };
        assert_eq!(streams, 48, "four members");
        assert_eq!((shared.tests.len(), shared.tests[0].work), (2, Work::Idle));
        let said = assumptions.iter().filter(|it| it.field == "test[0].streams");
        assert_eq!(said.count(), 1, "{assumptions:?}");
        let rtt = |plan: &Plan| plan.requirements.limit(Metric::RTT_P99, None);
        let time = |text: &str| text.parse().ok().map(Limit::Time);
        assert_eq!((rtt(primary), rtt(backup)), (time("20 ms"), time("35 ms")));
    }

    #[test]
    fn what_is_said_of_all_links_is_said_of_each() {
        let (set, _) = taken(&format!("idle = '2 s'\n{COMMON}{BOTH}"));
        let [x, y] = set.plans.as_slice() else { panic!("{set:?}") };
        assert_eq!(x.key, y.key);
        assert_eq!((x.near.source, x.idle), (y.near.source, y.idle));
        assert_eq!((x.sites[0].name.as_str(), y.sites[0].name.as_str()), ("a", "b"));
        let rate = |plan: &Plan| {
            let offer = plan.tests[0].work.offer().expect("a load");
            offer.rate(&plan.link, Direction::Forward).map(|(rate, _)| rate.to_string())
        };
        let expected = (Some("5 Mbit/s".to_owned()), Some("10 Mbit/s".to_owned()));
        assert_eq!((rate(x), rate(y)), expected, "of its own committed rate");
    }

    /// The link's own keys over the plan's; those of a direction stand in that direction.
    #[test]
    fn requirements_merge_key_by_key() {
        let own = "[links.x.require]\nloss = '<= 3%'\noutage = '<= 1 s'\n\
                   [links.x.require.reverse]\njitter = '<= 9 ms'\n";
        let (set, _) = taken(&format!("{COMMON}{BOTH}{own}"));
        let [x, y] = set.plans.as_slice() else { panic!("{set:?}") };
        let share = |text: &str| text.parse().ok().map(Limit::Share);
        let time = |text: &str| text.parse().ok().map(Limit::Time);
        let both = |plan, metric| Direction::ALL.map(|direction| limit(plan, metric, direction));
        assert_eq!(
            both(x, Metric::LOSS),
            [share("2%"), share("3%")],
            "forward has a key of its own"
        );
        assert_eq!(both(y, Metric::LOSS), [share("2%"), share("1%")]);
        assert_eq!(both(x, Metric::JITTER), [time("5 ms"), time("9 ms")]);
        assert_eq!(both(x, Metric::OUTAGE), [time("1 s"); 2]);
        assert_eq!(both(y, Metric::OUTAGE), [None; 2]);
        assert_eq!(x.requirements.confidence, y.requirements.confidence);
        let forward = "[links.x.require.forward]\nloss = '<= 4%'\n";
        let (set, _) = taken(&format!("{COMMON}{BOTH}{forward}"));
        assert_eq!(both(&set.plans[0], Metric::LOSS), [share("4%"), share("1%")]);
    }

    #[test]
    fn a_test_of_its_own_replaces_those_of_all() {
        let own = "[[links.x.test]]\nkind = 'idle'\n";
        let (set, _) = taken(&format!("{COMMON}{BOTH}{own}"));
        assert_eq!((set.plans[0].tests[0].work, set.plans[0].tests.len()), (Work::Idle, 1));
        assert!(matches!(set.plans[1].tests[0].work, Work::Udp(_)));
        let wrong = "[[links.x.test]]\nkind = 'idle'\nsite = 'b'\n";
        check(
            &format!("{BOTH}{wrong}"),
            &["9: links.x.test[0].site = 'b': no such site: the plan has a"],
        );
    }

    #[test]
    fn a_test_of_all_that_goes_to_a_site_is_of_the_links_that_lead_there() {
        let test = "[[test]]\nkind = 'idle'\nsite = 'b'\n";
        let (set, _) = taken(&format!("{COMMON}{test}{BOTH}"));
        let counts: Vec<usize> = set.plans.iter().map(|plan| plan.tests.len()).collect();
        assert_eq!(counts, [1, 2]);
        assert_eq!(set.plans[1].tests[1].site, Some(0));
    }

    #[test]
    fn links_are_refused_with_the_line_and_what_to_do() {
        check(
            &format!("[link]\nrate = '1 Mbit/s'\n{BOTH}"),
            &["1: link: a plan has one [link] or several [links.NAME], not both"],
        );
        check(
            "[links.x]\nrate = '1 Mbit/s'\nsites = ['a', 'a', 'c']\n",
            &[
                "-12: sites.b: no link leads there: name it in the sites of a link",
                "3: links.x.sites[1] = 'a': named twice",
                "3: links.x.sites[2] = 'c': no such site: the plan has a, b",
            ],
        );
        check(
            "[links.\"a b\"]\nrate = '1 Mbit/s'\nname = 'z'\n",
            &[
                "-15: sites.a: no link leads there",
                "-12: sites.b: no link leads there",
                "1: links.\"a b\": not a link's name: 1 to 63 printable characters",
                "1: links.\"a b\".sites: is missing: the far ends of this link",
                "3: links.\"a b\".name = 'z': with several links, the table names the link",
            ],
        );
        check(
            "[links.x]\nsites = ['a', 'b']\n",
            &["-1: test[0].rate = '50%': a share of the committed rate, and none is committed \
               forward: give links.x.rate, or [links.x.forward] rate, or a rate here"],
        );
        check(
            "[links.x]\nsites = ['a', 'b']\nrate = '5 Mbit/s'\n[links.x.require.forward]\n\
             throughput = '>= 6 Mbit/s'\nidle = 1\nrtt_p99 = '<= 1 s'\n",
            &[
                "5: links.x.require.forward.throughput = '>= 6 Mbit/s': above links.x.rate = \
                 '5 Mbit/s' (line 22): the provider commits to no more",
                "5: links.x.require.forward.throughput = '>= 6 Mbit/s': above the rate of every",
                "6: links.x.require.forward.idle = 1: belongs above the plan's first table",
                "7: links.x.require.forward.rtt_p99 = '<= 1 s': belongs in [links.x.require]",
            ],
        );
    }

    #[test]
    fn a_backup_protects_a_primary_link() {
        let links = |x: &str, y: &str| {
            let link = |name, site, more| {
                format!("[links.{name}]\nrate = '1 Mbit/s'\nsites = ['{site}']\n{more}\n")
            };
            link("x", "a", x) + &link("y", "b", y)
        };
        check(&links("role = 'primary'", "role = 'backup'\nprotects = 'x'"), &[]);
        check(&links("", "role = 'backup'"), &[]);
        check(
            &links("", "role = 'backup'\nprotects = 'x'"),
            &["9: links.y.protects = 'x': a backup protects a primary link: give links.x role ="],
        );
        check(
            &links("role = 'primary'", "protects = 'x'"),
            &["8: links.y.protects = 'x': a backup protects another link: give this one role ="],
        );
        check(
            &links("role = 'primary'", "role = 'backup'\nprotects = 'z'"),
            &["9: links.y.protects = 'z': no such link: the plan has x, y"],
        );
        check(
            &links("role = 'backup'\nprotects = 'x'", ""),
            &["5: links.x.protects = 'x': a link does not protect itself"],
        );
    }

    #[test]
    fn a_plan_of_one_link_has_no_keys_of_several() {
        let text = COMMON.replace(
            "[driver]",
            "[link]\nrate = '1 Mbit/s'\nshares = ['pe1']\n\
                                  protects = 'x'\nowner = 'NOC'\nmembers = 2\n\
                                  device = 'eth0'\n[driver]",
        );
        let found = faults_of(&text);
        let lines: Vec<&str> =
            found.lines().map(|line| line.split(": b").next().unwrap()).collect();
        let expected = [
            "plan.toml:3: link.shares = ['pe1']",
            "plan.toml:4: link.protects = 'x'",
            "plan.toml:7: link.device = 'eth0'",
        ];
        assert_eq!(lines, expected, "{found}");
        assert!(found.contains("[links.NAME]: a plan of one link has [driver]"), "{found}");
    }

    #[test]
    fn what_is_only_to_be_judged_by_needs_no_ends_and_no_tests() {
        let judged = |text: &str| read_to_judge(Path::new("plan.toml"), text).conclude_all();
        let (set, _) = judged("[require]\nloss = '<= 1%'\n").expect("enough");
        assert_eq!((set.kind, set.plans.len()), (PlanKind::Bare, 1));
        assert_eq!(set.plans[0].requirements.iter().count(), 2);
        let (set, _) = judged("[links.x.require]\nloss = '<= 1%'\n").expect("enough");
        assert_eq!(set.names().collect::<Vec<_>>(), ["x"]);
        let faults = judged("[require]\nlos = '<= 1%'\n").expect_err("a typo");
        assert!(faults.to_string().contains("did you mean 'loss'?"), "{faults}");
    }

    #[test]
    fn a_bundle_has_the_streams_that_are_given() {
        let links = BOTH.replace("[links.y]", "members = 16\n[links.y]");
        let streams = |text: &str| {
            let (set, _) = taken(text);
            let works = set.plans.into_iter().map(|plan| plan.tests[0].work);
            let of = |work| match work {
                Work::Udp(UdpTest { streams, offer: Offer::Committed(_), .. }) => streams,
                other => panic!("{other:?}"),
            };
            works.map(of).collect::<Vec<u32>>()
        };
        assert_eq!(streams(&format!("{COMMON}{links}")), [64, 1]);
        assert_eq!(streams(&format!("{COMMON}streams = 7\n{links}")), [7, 7]);
        check(
            &BOTH.replace("[links.y]", "members = 17\n[links.y]"),
            &["4: links.x.members = 17: from 2 to 16 are allowed"],
        );
    }
}
