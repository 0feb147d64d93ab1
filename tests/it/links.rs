//! Plans of several links: one command, a verdict on each.

use crate::lab::Lab;
use crate::support::{Agent, Ended, Keys, PATIENCE, Program, alone, await_within, linkqual, run};
use linkqual::account::Status;
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Class, Spec};
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// An address on which nobody listens.
fn nobody() -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap().to_string()
}

/// The driver and the far ends of a plan: each site with where its agent is, and whose keys it has.
fn ends(sites: &[(&str, &str, &Keys)]) -> String {
    let mut text = format!("[driver]\nkey = {:?}\n", sites[0].2.path("driver"));
    for (name, address, keys) in sites {
        let key = keys.path("agent.pub");
        writeln!(text, "[sites.{name}]\nagent = \"{address}\"\nkey = {key:?}").unwrap();
    }
    text
}

/// A second of probes, which a host that others stall passes too.
const IDLE: &str =
    "[require]\noutage = \"<= 10 s\"\n[[test]]\nkind = \"idle\"\nduration = \"1 s\"\n";

fn link(name: &str, site: &str, more: &str) -> String {
    format!("[links.{name}]\nport_rate = \"1 Gbit/s\"\nsites = [\"{site}\"]\n{more}")
}

/// Runs `linkqual` in `folder`.
fn in_folder(folder: &TempDir, args: &[&str]) -> Ended {
    run(linkqual().current_dir(folder).args(args))
}

fn report(ended: &Ended) -> Report {
    Report::parse(&ended.out).unwrap_or_else(|error| panic!("{error}\n{}", ended.err))
}

fn names(report: &Report) -> Vec<&str> {
    report.links.iter().filter_map(|link| link.name.as_deref()).collect()
}

fn verdicts(report: &Report) -> Vec<Verdict> {
    (0..report.links.len()).map(|place| report.verdict_on(place).unwrap()).collect()
}

fn statuses(report: &Report, place: usize) -> Vec<Status> {
    let trials = report.links[place].sites.iter().flat_map(|site| &site.trials);
    trials.map(|trial| trial.outcome.status).collect()
}

/// Three links to one agent: one is sound, one dead, and one is asked for what nothing meets. What
/// is found of one link costs its own verdict, and those that did not pass are run again alone.
/// Somebody may be in between on one link of four: a line among those of the others is no alarm.
#[test]
fn an_agent_with_another_key_is_said_aloud_though_other_links_are_run() {
    let (agent, other) = (Agent::start(), Agent::start());
    let (address, elsewhere) = (agent.address.to_string(), other.address.to_string());
    // The driver expects the key of the first agent at both.
    let ends = ends(&[("near", &address, &agent.keys), ("far", &elsewhere, &agent.keys)]);
    let folder = tempfile::tempdir().unwrap();
    let plan = format!("{ends}{}{}{IDLE}", link("a", "near", ""), link("b", "far", ""));
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let ended = in_folder(&folder, &["run", "plan.toml", "--quiet", "--json"]);
    ended.expect_code(3);
    assert_eq!(verdicts(&report(&ended)), [Verdict::Pass, Verdict::Inconclusive]);
    let found = other.keys.fingerprint("agent.pub");
    for words in [
        &format!("error: b: THE KEY OF AGENT {elsewhere} HAS CHANGED\n"),
        &format!("error: found    {found}\n"),
        &format!("linkqual trust {elsewhere} --replace"),
    ] {
        assert_eq!(ended.err.matches(words.as_str()).count(), 1, "{words}: {}", ended.err);
    }
}

#[test]
fn each_link_has_its_own_verdict_and_those_that_did_not_pass_are_run_again() {
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (near, relayed) = (agent.address.to_string(), relay.local().to_string());
    let (gone, keys) = (nobody(), &agent.keys);
    let sites = [("near", &*near, keys), ("gone", &*gone, keys), ("relayed", &*relayed, keys)];
    let strict = "[links.strict.require]\nrtt_p99 = \"<= 1 us\"\n";
    let links = [
        link("sound", "near", "owner = \"NOC\"\n"),
        link("dead", "gone", ""),
        link("strict", "relayed", strict),
    ];
    let plan = ends(&sites) + IDLE + &links.concat();
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let linkqual = |args: &[&str]| in_folder(&folder, args);
    let ended = linkqual(&["run", "plan.toml", "--json", "--parallel", "3", "--out", "first"]);
    ended.expect_code(1);
    let first = report(&ended);
    assert_eq!(names(&first), ["sound", "dead", "strict"]);
    let expected = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail];
    assert_eq!(verdicts(&first), expected, "{}", linkqual::report::text(&first));
    let shown = linkqual::report::text(&first);
    let places = ["\nFAIL   strict", "\nINCONCLUSIVE  dead", "\nPASS   sound"];
    let places = places.map(|head| shown.find(head));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
    assert_eq!((first.complete, first.links[0].complete), (false, Some(true)));
    assert_eq!(first.links[0].inventory.owner.as_deref(), Some("NOC"));
    let why = first.links[1].reason.as_deref().unwrap();
    assert!(why.starts_with("connection refused by 127.0.0.1:"), "{why}");
    assert_eq!(first.reason.as_deref(), Some(&*format!("dead: {why}")));
    assert_eq!(statuses(&first, 1), [Status::NotRun]);
    assert_eq!(first.asked_of(0).requirements.len() + 1, first.asked_of(2).requirements.len());
    assert!(
        ended.err.contains("note: not set in the plan, so assumed: rate_layer: rates count "),
        "{}",
        ended.err
    );
    let kept = fs::read_to_string(folder.path().join("first/report.json")).unwrap();
    assert_eq!(kept, ended.out);
    let rows = fs::read_to_string(folder.path().join("first/runs.csv")).unwrap();
    for name in ["sound", "dead", "strict"] {
        assert!(rows.lines().any(|row| row.contains(&format!(",{name},"))), "{name}: {rows}");
    }

    let again = linkqual(&["run", "plan.toml", "--json", "--only-failed", "first"]);
    assert_eq!(names(&report(again.expect_code(1))), ["dead", "strict"]);
    let alone = linkqual(&["run", "plan.toml", "--json", "--link", "sound"]);
    assert_eq!(names(&report(alone.expect_code(0))), ["sound"]);
    let dead = linkqual(&["run", "plan.toml", "--link", "dead"]);
    dead.expect_error(4, &["connection refused by 127.0.0.1:"]);
    let failed = ["run", "plan.toml", "--only-failed", "first/report.json"];
    let none = linkqual(&[&failed[..], &["--link", "sound"]].concat());
    none.expect_code(0);
    assert!(none.err.contains("every link passed in first/report.json"), "{}", none.err);
    let typo = linkqual(&["run", "plan.toml", "--link", "sond"]);
    typo.expect_error(2, &["--link sond: plan.toml has no such link: it has sound, dead, strict"]);

    judged_again(&folder, &first);
}

/// By the requirements of each link, without its plan; and by those of others.
fn judged_again(folder: &TempDir, first: &Report) {
    let judged = |args: &[&str], code: i32| {
        let ended = in_folder(folder, &[&["judge", "first", "--json"], args].concat());
        let again = report(ended.expect_code(code));
        (again, ended.err)
    };
    let (mut again, _) = judged(&[], 1);
    assert!(again.judged_again.take().is_some());
    assert_eq!(again.to_json(), first.to_json(), "each by its own requirements");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("mild.toml", "[require]\noutage = '<= 20 s'\n");
    let (mild, _) = judged(&["--require", "mild.toml"], 3);
    assert_eq!(verdicts(&mild), [Verdict::Pass, Verdict::Inconclusive, Verdict::Pass]);
    assert!(mild.links.iter().all(|link| link.asked.is_none()), "the same of each");
    write("one.toml", "[links.strict.require]\nrtt_p99 = '<= 5 s'\n");
    let (one, notes) = judged(&["--require", "one.toml"], 3);
    assert_eq!(verdicts(&one), [Verdict::Pass, Verdict::Inconclusive, Verdict::Pass]);
    assert!(notes.contains("note: link sound: not in the plan: judged as it was"), "{notes}");
    assert_eq!(one.asked_of(0), first.asked_of(0));
    write("other.toml", "[links.other.require]\nrtt_p99 = '<= 5 s'\n");
    let other = in_folder(folder, &["judge", "first", "--require", "other.toml"]);
    let why = "the plan's links (other) are none of the report's: link sound, link dead, link";
    other.expect_error(2, &[why]);
}

/// Links that have not been run are in the record from the first trial on, and at its end with the
/// reason.
#[test]
fn an_interrupt_leaves_every_link_in_the_report() {
    let agent = Agent::start();
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (near, relayed) = (agent.address.to_string(), relay.local().to_string());
    let sites = [("relayed", &*relayed, &agent.keys), ("near", &*near, &agent.keys)];
    let tests = "[[test]]\nkind = \"idle\"\nduration = \"1 s\"\n[[test]]\nkind = \"idle\"\n\
                 duration = \"60 s\"\n[require]\noutage = \"<= 10 s\"\n";
    let links = link("under-way", "relayed", "") + &link("next", "near", "");
    fs::write(folder.path().join("plan.toml"), ends(&sites) + tests + &links).unwrap();
    let mut command = linkqual();
    command.current_dir(&folder).args(["run", "plan.toml", "--json", "--parallel", "2", "--out"]);
    let driver = Program::start(command.arg("kept"));
    let kept = folder.path().join("kept/report.json");
    let read = || Report::parse(&fs::read_to_string(&kept).ok()?).ok();
    let first = await_within(PATIENCE, "a trial is kept", read);
    assert_eq!(names(&first), ["under-way", "next"]);
    assert_eq!(statuses(&first, 0), [Status::Ok]);
    assert_eq!(first.links[1].reason.as_deref(), Some("not run yet"));
    assert_eq!(statuses(&first, 1), [Status::NotRun; 2], "what is planned is listed");
    // Both lead to one agent, by its key: the second waits.
    await_within(PATIENCE, "the second trial probes", || {
        (200 < relay.counts(Direction::Reverse, Class::Probe).offered).then_some(())
    });
    driver.signal("INT");
    let ended = driver.ended(PATIENCE);
    let report = report(ended.expect_code(3));
    assert_eq!(statuses(&report, 0), [Status::Ok, Status::Partial]);
    assert_eq!(statuses(&report, 1), [Status::NotRun; 2]);
    let why = report.links[1].reason.as_deref();
    assert_eq!(why, Some("interrupted before anything was measured"));
    assert_eq!(verdicts(&report), [Verdict::Inconclusive; 2]);
    assert_eq!(report.reason.as_deref(), Some("under-way: interrupted"));
}

/// What the router counted towards and from each agent, and when.
struct Samples(Vec<(u64, Vec<u64>)>);

/// Agents of the lab, and the address of each.
const AGENTS: [(&str, &str); 4] = [
    ("agent", "10.77.2.2:4872"),
    ("agent2", "10.77.3.2:4872"),
    ("agent3", "10.77.4.2:4872"),
    ("agent4", "10.77.5.2:4872"),
];

/// How often the router's counters are read, in s.
const SAMPLE_S: &str = "0.05";

/// More octets than this in a tenth of a second are a load: 1 Mbit/s; probes are a tenth of it.
const LOAD_OCTETS: u64 = 12_500;

impl Samples {
    /// Reads the counters of a router's devices until it is ended.
    fn taken_in(lab: &Lab) -> Program {
        let devices = AGENTS.map(|(agent, _)| {
            let counter = |way| format!("/sys/class/net/to-{agent}/statistics/{way}_bytes");
            format!("{} {}", counter("tx"), counter("rx"))
        });
        let script = format!(
            "while :; do echo $(date +%s%N) $(cat {}); sleep {SAMPLE_S}; done",
            devices.join(" ")
        );
        let mut command = Command::new("ip");
        let router = lab.name("router");
        Program::start(command.args(["netns", "exec", &router, "sh", "-c", &script]))
    }

    /// Of lines of a time in ns and the octets of each device, tx and rx.
    fn of(out: &str) -> Self {
        let numbers = |line: &str| -> Vec<u64> {
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let lines = out.lines().map(numbers).filter(|line| line.len() == 1 + 2 * AGENTS.len());
        let octets = |line: Vec<u64>| {
            let sums = line[1..].chunks(2).map(|pair| pair[0] + pair[1]).collect();
            (line[0], sums)
        };
        Self(lines.map(octets).collect())
    }

    /// Which agents' links were loaded in the 100 ms before each sample.
    fn loaded(&self) -> Vec<[bool; AGENTS.len()]> {
        let before = |at: u64| {
            let until = self.0.partition_point(|(other, _)| *other + 100_000_000 <= at);
            self.0.get(until.checked_sub(1)?)
        };
        let of = |(at, octets): &(u64, Vec<u64>)| {
            let (began, counted) = before(*at)?;
            let is_loaded = |place: usize| {
                let more = octets[place] - counted[place];
                LOAD_OCTETS < more * 100_000_000 / (at - began)
            };
            Some(std::array::from_fn(is_loaded))
        };
        self.0.iter().filter_map(of).collect()
    }
}

/// A leased line, its backup and two peerings, and a link whose agent is dead, in one command. The
/// line and its backup share a router, so that they never load at once; others do.
#[test]
fn a_leased_line_its_backup_and_two_peerings_are_run_by_one_command() {
    let _machine = alone();
    let Some(lab) = Lab::up(&["--agents", "4"]) else { return };
    // Less than its plan requires.
    let slow = ["router", "tc", "qdisc", "add", "dev", "to-agent4", "root", "tbf", "rate"];
    lab.command("exec", &[&slow[..], &["4mbit", "burst", "16k", "latency", "50ms"]].concat());
    let mut agents: Vec<Agent> = Vec::new();
    for (host, address) in AGENTS {
        // Each serves its own driver, and that of the first.
        let driver = agents.first().map(|first| first.keys.path("driver.pub"));
        let driver = driver.as_ref().map(|path| path.to_str().unwrap());
        let args = driver.map_or(Vec::new(), |path| vec!["--allow", path]);
        agents.push(Agent::start_in(Some(&lab.name(host)), address, &args));
    }
    let plan = agents[0].keys.path("plan.toml");
    fs::write(&plan, lab_plan(&agents)).unwrap();
    let sampling = Samples::taken_in(&lab);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &lab.name("driver"), env!("CARGO_BIN_EXE_linkqual"), "run"]);
    let ended = run(command.arg(plan).args(["--json", "--parallel", "2"]));
    let samples = Samples::of(&sampling.out());

    let report = report(ended.expect_code(1));
    let text = linkqual::report::text(&report);
    assert_eq!(names(&report), ["line", "backup", "dead", "peering-a", "peering-b"]);
    use Verdict::{Fail, Inconclusive, Pass};
    assert_eq!(verdicts(&report), [Pass, Pass, Inconclusive, Pass, Fail], "{text}");
    assert!(ended.err.contains(" in all, up to 2 links at once\n"), "{}", ended.err);
    let complete: Vec<_> = report.links.iter().map(|link| link.complete).collect();
    let expected = [true, true, false, true, true].map(Some);
    assert_eq!(complete, expected, "one dead site costs only its own link: {text}");
    let required = |place| report.asked_of(place).requirements[0].bound.as_str();
    let rates = [0, 1, 3, 4].map(required);
    assert_eq!(rates, [">= 18 Mbit/s", ">= 10 Mbit/s", ">= 16 Mbit/s", ">= 8 Mbit/s"]);

    let loaded = samples.loaded();
    let count = |is: &dyn Fn(&[bool; AGENTS.len()]) -> bool| {
        loaded.iter().filter(|loaded| is(loaded)).count()
    };
    for place in 0..AGENTS.len() {
        assert!(20 < count(&|loaded| loaded[place]), "{} was loaded", AGENTS[place].0);
    }
    assert_eq!(count(&|loaded| loaded[0] && loaded[1]), 0, "they share a router");
    let at_once = count(&|loaded| 1 < loaded.iter().filter(|loaded| **loaded).count());
    assert!(5 < at_once, "others load at once: {at_once} of {}", loaded.len());
    let most = loaded.iter().map(|loaded| loaded.iter().filter(|loaded| **loaded).count()).max();
    assert_eq!(most, Some(2));
}

/// Of a bundle behind one address one member drops all: the load covers it, as its source ports are
/// many, and the finding says that few streams have the loss.
#[test]
fn a_member_of_a_bundle_that_drops_is_found_by_its_streams() {
    let _machine = alone();
    let Some(lab) = Lab::up(&[]) else { return };
    let agent = Agent::start_in(Some(&lab.name("agent")), AGENTS[0].1, &[]);
    // The hash of a bundle of eight, of which one is dead for load.
    let rules = "table ip bundle {
        chain forward {
            type filter hook forward priority 0;
            iifname to-driver meta l4proto udp @th,64,16 0x4c51 @th,88,8 1 udp sport & 7 == 3 drop
        }
    }";
    lab.command("exec", &["router", "nft", rules]);
    let text = format!(
        "idle = '1 s'\n[link]\nrate = '5 Mbit/s'\nmembers = 8\n{}[require.forward]\n\
         throughput = '>= 5 Mbit/s'\n[[test]]\nkind = 'udp'\ndirection = 'forward'\n\
         duration = '3 s'\n",
        ends(&[("far", AGENTS[0].1, &agent.keys)])
    );
    let plan = agent.keys.path("plan.toml");
    fs::write(&plan, text).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &lab.name("driver"), env!("CARGO_BIN_EXE_linkqual"), "run"]);
    let ended = run(command.arg(plan).arg("--json"));
    let report = report(&ended);
    let text = linkqual::report::text(&report);
    // A host that is too slow for so many threads makes it INVALID.
    assert_ne!(report.verdict, Verdict::Pass, "{text}");
    assert!(ended.err.contains("streams: 48, so that hashing uses each of the 8"), "{text}");
    let decided = report.findings[0].trial;
    let load = report.rows().find(|row| Some(row.trial.trial) == decided).unwrap();
    let figures = load.figures();
    let dead: Vec<u32> = figures
        .streams
        .iter()
        .filter(|stream| stream.loss_ratio == Some(1.0))
        .map(|stream| stream.stream)
        .collect();
    assert!((1..24).contains(&dead.len()) && figures.streams.len() == 48, "{text}");
    let few = figures.loss_concentrated.as_ref().unwrap();
    let share = few.streams.len() * 5;
    assert!(few.streams.iter().all(|stream| dead.contains(stream)), "{few:?}, {dead:?}");
    assert!(dead.len() * 4 <= share, "they have four fifths of the loss: {few:?}, {dead:?}");
    let remark = report.findings[0].remark.as_deref().unwrap();
    assert!(remark.contains("of 48 streams have") && text.contains("of 48 streams have"), "{text}");
}

/// Of the lab's links, each with a rate of its own and what it must do.
fn lab_plan(agents: &[Agent]) -> String {
    let keys: Vec<&Keys> = agents.iter().map(|agent| &agent.keys).collect();
    let sites = [
        ("idc", AGENTS[0].1, keys[0]),
        ("idc-backup", AGENTS[1].1, keys[1]),
        ("vpc-a", AGENTS[2].1, keys[2]),
        ("vpc-b", AGENTS[3].1, keys[3]),
        // Nobody is there, and the router says so.
        ("nobody", "10.77.9.2:4872", keys[3]),
    ];
    let link = |name: &str, site: &str, mbit_s: u32, more: &str| {
        format!(
            "[links.{name}]\nrate = '{mbit_s} Mbit/s'\nsites = ['{site}']\n{more}\n\
             [links.{name}.require.forward]\nthroughput = '>= {mbit_s} Mbit/s'\n"
        )
    };
    let test = "[[test]]\nkind = 'udp'\nrate = '100%'\ndirection = 'forward'\nduration = '3 s'\n";
    let line = "role = 'primary'\nshares = ['pe1']\nowner = 'NOC'";
    let backup = "role = 'backup'\nprotects = 'line'\nshares = ['pe1']";
    [
        "idle = '1 s'\n".to_owned(),
        ends(&sites),
        test.to_owned(),
        link("line", "idc", 18, line),
        link("backup", "idc-backup", 10, backup),
        link("dead", "nobody", 10, ""),
        link("peering-a", "vpc-a", 16, ""),
        link("peering-b", "vpc-b", 8, ""),
    ]
    .concat()
}
