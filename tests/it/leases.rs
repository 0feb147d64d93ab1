//! Leases: no two runs load the same, whatever becomes of their programs and of the database.
//!
//! Some stories need a program of their own that holds leases as short as a test: that is this test
//! binary, started again for one test alone ([`a_holder_of_a_lease`]).

use crate::cli::converse;
use crate::history::with_each;
use crate::postgres::Postgres;
use crate::support::{Agent, Ended, PATIENCE, Program, User, await_within, run, share};
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::driver::{HostClock, Job, Lease, Lessor};
use linkqual::emulation::{Class, Spec};
use linkqual::io::clock::boot_ns;
use linkqual::io::key::{read_public, read_secret};
use linkqual::io::terminal::print;
use linkqual::io::tls::Identity;
use linkqual::plan::file::read;
use linkqual::store::{Leased, Place, Store, Wanted};
use linkqual::wire::control::{LoadRequest, Message, Request};
use linkqual::wire::fence::Fence;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

fn wanted(resources: &[&str], holder: u128, span_ns: u64) -> Wanted {
    Wanted {
        resources: resources.iter().map(|name| (*name).to_owned()).collect(),
        holder: format!("{holder:032x}"),
        run: format!("{holder:032x}"),
        who: "alice@noc1".to_owned(),
        command: "check".to_owned(),
        link: "ec-1".to_owned(),
        span_ns,
    }
}

async fn lease(store: &mut Store, resources: &[&str], holder: u128, span_ns: u64) -> Leased {
    store.lease(&wanted(resources, holder, span_ns)).await.unwrap()
}

#[track_caller]
fn fences(leased: Leased) -> Vec<Fence> {
    match leased {
        Leased::Yes(fences) => fences,
        Leased::Held(holdings) => panic!("{holdings}"),
    }
}

#[track_caller]
fn held(leased: Leased) -> BTreeSet<String> {
    match leased {
        Leased::Held(holdings) => holdings.held.into_iter().map(|held| held.resource).collect(),
        Leased::Yes(fences) => panic!("{fences:?}"),
    }
}

async fn names(store: &mut Store) -> Vec<String> {
    let held = store.holdings().await.unwrap().held;
    held.iter().map(|held| format!("{} {}", &held.run[31..], held.resource)).collect()
}

#[test]
fn all_is_leased_or_nothing_and_each_lease_has_a_higher_number() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let first = fences(lease(&mut store, &["circuit a", "host x"], 1, 60 * SECOND).await);
        assert_eq!(
            first.iter().map(|it| it.of.as_str()).collect::<Vec<_>>(),
            ["circuit a", "host x"]
        );
        assert_ne!(first[0].sequence, first[1].sequence, "each thing has its own numbers");
        let refused = lease(&mut store, &["circuit a", "circuit b", "host x"], 2, SECOND).await;
        let Leased::Held(holdings) = &refused else { panic!("{refused:?}") };
        let left_ns = holdings.held[0].until_ns - holdings.now_ns;
        assert!((50 * SECOND..=60 * SECOND).contains(&left_ns), "{left_ns}");
        assert!(holdings.to_string().contains("of alice@noc1 (check, link ec-1)"), "{holdings}");
        assert_eq!(held(refused), BTreeSet::from(["circuit a".into(), "host x".into()]));
        assert_eq!(names(&mut store).await, ["1 circuit a", "1 host x"], "nothing of the other");
        let free = fences(lease(&mut store, &["circuit b"], 2, 60 * SECOND).await);
        assert_eq!(free.len(), 1);
        // A part of the run is not in the way of another part of it.
        let part = Wanted { run: format!("{:032x}", 1), ..wanted(&["host x"], 3, 60 * SECOND) };
        let part = fences(store.lease(&part).await.unwrap());
        assert!(first[1].number < part[0].number && first[1].sequence == part[0].sequence);
        for holder in [1_u128, 3] {
            store.release(&format!("{holder:032x}")).await.unwrap();
        }
        assert_eq!(names(&mut store).await, ["2 circuit b"]);
        let next = fences(lease(&mut store, &["circuit a", "host x"], 4, 60 * SECOND).await);
        assert!(first[0].number < next[0].number && part[0].number < next[1].number);
        store.close().await.unwrap();
    });
}

#[test]
fn what_is_over_is_taken_over() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let first = fences(lease(&mut store, &["circuit a"], 1, SECOND / 5).await);
        held(lease(&mut store, &["circuit a"], 2, SECOND).await);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(names(&mut store).await.is_empty());
        let next = fences(lease(&mut store, &["circuit a"], 2, SECOND).await);
        assert!(first[0].number < next[0].number);
        // Whoever had it gives back its own alone.
        store.release(&format!("{:032x}", 1)).await.unwrap();
        assert_eq!(names(&mut store).await, ["2 circuit a"]);
    });
}

// ---- Programs that hold leases.

/// What such a program is to do: the name of a part below, and its arguments.
const HOLDER: &str = "LINKQUAL_TEST_HOLDER";

/// This test binary, started again to do `part` alone.
fn holder(part: &str, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "leases::a_holder_of_a_lease", "--nocapture"]);
    command.env(HOLDER, [&[part], args].concat().join("\n"));
    command
}

/// No test by itself: what the tests below start as a program of its own.
#[test]
fn a_holder_of_a_lease() {
    let Ok(text) = std::env::var(HOLDER) else { return };
    let words: Vec<&str> = text.lines().collect();
    match words[..] {
        ["race", place, folder, number] => race(place, Path::new(folder), number.parse().unwrap()),
        ["hold", place, holder, seconds] => {
            let place: Place = place.parse().unwrap();
            let span_ns = seconds.parse::<u64>().unwrap() * SECOND;
            let leased = block_on(async {
                let mut store = Store::open(&place).await.unwrap();
                lease(&mut store, &["circuit a"], holder.parse().unwrap(), span_ns).await
            });
            fences(leased);
            print("held\n").unwrap();
            sleep(PATIENCE);
        }
        ["load", place, keys, relay] => load(place, Path::new(keys), relay),
        _ => panic!("{text}"),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Leases two of three circuits, again and again, and looks whether it is alone with them.
fn race(place: &str, folder: &Path, number: u128) {
    let place: Place = place.parse().unwrap();
    let pairs =
        [["circuit a", "circuit b"], ["circuit b", "circuit c"], ["circuit a", "circuit c"]];
    let until = Instant::now() + Duration::from_millis(1_500);
    let (mut leases, mut refusals) = (0, 0);
    block_on(async {
        let mut store = Store::open(&place).await.unwrap();
        let mut round = number;
        while Instant::now() < until {
            round += 100;
            let pair = pairs[usize::try_from(round / 100 + number).unwrap() % pairs.len()];
            match lease(&mut store, &pair, round, 30 * SECOND).await {
                Leased::Held(_) => refusals += 1,
                Leased::Yes(_) => {
                    leases += 1;
                    let alone = pair.map(|name| folder.join(name));
                    for path in &alone {
                        fs::File::create_new(path).expect("nobody else has it");
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    alone.iter().for_each(|path| fs::remove_file(path).unwrap());
                    store.release(&format!("{round:032x}")).await.unwrap();
                }
            }
        }
    });
    print(&format!("leases {leases} refusals {refusals}\n")).unwrap();
}

#[test]
fn programs_that_race_for_the_same_circuits_never_have_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Postgres::start();
    let file = folder.path().join("history.db").display().to_string();
    for place in server.iter().map(Postgres::url).chain([file]) {
        block_on(async { Store::make(&place.parse().unwrap()).await.unwrap() });
        let marks = tempfile::tempdir().unwrap();
        let marks = marks.path().to_str().unwrap();
        let racers = [1, 2, 3].map(|number: u32| {
            Program::start(&mut holder("race", &[&place, marks, &number.to_string()]))
        });
        let (mut leases, mut refusals) = (0, 0);
        for racer in racers {
            let ended = racer.ended(PATIENCE);
            let said = ended.expect_code(0).out.lines().find(|line| line.starts_with("leases "));
            let words: Vec<&str> = said.unwrap().split(' ').collect();
            leases += words[1].parse::<u32>().unwrap();
            refusals += words[3].parse::<u32>().unwrap();
        }
        assert!(0 < leases && 0 < refusals, "{place}: {leases} leases, {refusals} refusals");
    }
}

/// Waits until circuit a can be leased at `place`; how long that took.
fn next_lease(place: &Place) -> Duration {
    let began = Instant::now();
    await_within(PATIENCE, "the lease is free", || {
        let leased = block_on(async {
            let mut store = Store::open(place).await.ok()?;
            store.lease(&wanted(&["circuit a"], 9, SECOND)).await.ok()
        });
        matches!(leased, Some(Leased::Yes(_))).then_some(())
    });
    began.elapsed()
}

/// Neither less, or two would load, nor more, or nobody could.
#[track_caller]
fn expect_about(seconds: u64, took: Duration) {
    let seconds = Duration::from_secs(seconds);
    let (least, most) = (seconds.saturating_sub(Duration::from_millis(1_500)), seconds * 3);
    assert!((least..=most).contains(&took), "{took:?}, of {seconds:?}");
}

#[test]
fn a_lease_of_a_program_that_is_killed_ends_at_its_time() {
    with_each(async |place| {
        Store::make(place).await.unwrap().close().await.unwrap();
        let place = place.clone();
        let story = move || {
            let mut program = Program::start(&mut holder("hold", &[&place.remembered(), "1", "3"]));
            await_within(PATIENCE, "it is held", || program.out().contains("held").then_some(()));
            program.kill();
            expect_about(3, next_lease(&place));
        };
        tokio::task::spawn_blocking(story).await.unwrap();
    });
}

#[test]
fn a_lease_outlives_a_server_that_stops_and_starts_and_ends_at_its_time() {
    let Some(server) = Postgres::start() else { return };
    let place: Place = server.url().parse().unwrap();
    block_on(async {
        let mut store = Store::make(&place).await.unwrap();
        fences(lease(&mut store, &["circuit a"], 1, 4 * SECOND).await);
    });
    let began = Instant::now();
    server.stop();
    let out_of_reach = block_on(Store::open(&place));
    assert!(out_of_reach.is_err());
    server.restart();
    next_lease(&place);
    expect_about(4, began.elapsed());
}

/// A database that is locked gives no lease, and keeps none of it.
#[test]
fn a_database_that_is_locked_gives_no_lease() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let place = Place::File(file.clone());
    block_on(async {
        let mut store = Store::make(&place).await.unwrap();
        let lock = crate::history::locked(&file).await;
        let refused = store.lease(&wanted(&["circuit a"], 1, 60 * SECOND)).await;
        assert!(refused.is_err_and(|why| why.to_string().contains("locked")));
        drop(lock);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(names(&mut store).await.is_empty());
        fences(lease(&mut store, &["circuit a"], 2, SECOND).await);
    });
}

/// Gives leases of 6 s, on the circuit alone.
struct Short(Place);

impl Lessor for Short {
    fn lease(&mut self) -> Result<Lease, String> {
        let ends_ns = boot_ns() + 6 * SECOND;
        let wanted = wanted(&["circuit EC-1"], 7, 7 * SECOND);
        let leased = block_on(async {
            let mut store = Store::open(&self.0).await.unwrap();
            store.lease(&wanted).await.unwrap()
        });
        Ok(Lease { ends_ns, fences: fences(leased) })
    }

    fn release(&mut self) {}
}

const TESTS: &str = "[[test]]\nkind = 'idle'\nduration = '1 s'\n\
    [[test]]\nkind = 'udp'\nrate = '1 Mbit/s'\ndirection = 'both'\nsize = 600\nduration = '3 s'\n\
    [[test]]\nkind = 'udp'\nrate = '1 Mbit/s'\ndirection = 'both'\nsize = 600\nduration = '1 s'\n";

/// Loads a link through `relay` by such a lease, and prints why not all was run.
fn load(place: &str, keys: &Path, relay: &str) {
    let text = format!(
        "idle = '1 s'\n[link]\ncircuit = 'EC-1'\ncbs_bytes = 1500\n[driver]\nkey = 'd'\n\
         [sites.far]\nagent = '{relay}'\nkey = 'a.pub'\n{TESTS}"
    );
    let plan = read(Path::new("plan.toml"), &text).conclude().unwrap().0;
    let identity = Identity::new(&read_secret(&keys.join("driver")).unwrap());
    let agent_key = read_public(&keys.join("agent.pub")).unwrap().key();
    let job = Job::new(plan, identity, vec![agent_key]).unwrap();
    let job = job.leased_by(Short(place.parse().unwrap()));
    let run = block_on(linkqual::driver::run(job, HostClock));
    print(&format!("reason: {}\n", run.report.reason.unwrap_or_default())).unwrap();
}

/// Datagrams of load that crossed, in both directions.
fn crossed(relay: &Relay) -> u64 {
    let offered = |direction| relay.counts(direction, Class::Load).offered;
    Direction::ALL.into_iter().map(offered).sum()
}

/// Its process was stopped while it loaded, beyond the end of its lease: another has it by then.
#[test]
fn a_holder_that_goes_on_beyond_its_lease_sends_no_more_load() {
    let _machine = share(4);
    let (agent, folder) = (Agent::start(), tempfile::tempdir().unwrap());
    let place = Place::File(folder.path().join("history.db"));
    block_on(async { Store::make(&place).await.unwrap() });
    let relay = Relay::start(agent.address, Spec::default(), Spec::default(), 1).unwrap();
    let keys = agent.keys.path("");
    let args = [&place.remembered(), keys.to_str().unwrap(), &relay.local().to_string()];
    let stopped = Program::start(&mut holder("load", &args));
    let began = Instant::now();
    await_within(PATIENCE, "it loads", || (100 < crossed(&relay)).then_some(()));
    stopped.signal("STOP");
    sleep(Duration::from_secs(8).saturating_sub(began.elapsed()));
    let before = crossed(&relay);
    // The next holder has the circuit at once, and the agent has seen its fence.
    let next = fences(block_on(async {
        let mut store = Store::open(&place).await.unwrap();
        lease(&mut store, &["circuit EC-1"], 8, 60 * SECOND).await
    }));
    let granted = ask_for_load(&agent, next);
    assert!(matches!(granted, Message::Granted(_)), "{granted:?}");
    stopped.signal("CONT");
    let ended = stopped.ended(PATIENCE);
    let out = &ended.expect_code(0).out;
    assert!(out.contains("reason: the lease on what the run loads has ended"), "{out}");
    assert_eq!(crossed(&relay), before, "load beyond the lease: {}", ended.out);
    // By its own lease it would be refused.
    let of = "circuit EC-1".to_owned();
    let (sequence, number) = block_on(async {
        let mut store = Store::open(&place).await.unwrap();
        store.release(&format!("{:032x}", 8)).await.unwrap();
        let newest = fences(lease(&mut store, &["circuit EC-1"], 10, SECOND).await);
        (newest[0].sequence, 1)
    });
    let refused = ask_for_load(&agent, vec![Fence { of, sequence, number }]);
    let Message::Refused { reason } = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("the lease on circuit EC-1 has ended"), "{reason}");
}

/// Asks the agent for a load on that circuit, and gives back at once what is granted.
fn ask_for_load(agent: &Agent, fences: Vec<Fence>) -> Message {
    converse(agent, async |open| {
        open.greet().await;
        let load = Some(LoadRequest { rate_bit_s: 1_000_000, duration_ns: SECOND });
        let (run, circuit) = ("0".repeat(32), Some("EC-1".to_owned()));
        let (duration_ns, congestion) = (2 * SECOND, Vec::new());
        let request = Request { run, circuit, duration_ns, load, congestion, fences };
        open.say(&Message::Request(request)).await;
        let answer = open.hear(PATIENCE).await.expect("an answer");
        open.say(&Message::Finish).await;
        answer
    })
}

// ---- The commands.

/// A user with a history who trusts `agent`.
fn user_of(agent: &Agent, history: &str) -> User {
    let user = User::new();
    run(&mut user.linkqual(&["history", "init", history])).expect_code(0);
    user.trust(agent);
    user
}

/// A check of `agent` that loads for a second.
fn check(user: &User, agent: &Agent, more: &[&str]) -> Command {
    let mut command = user.linkqual(&["check", &agent.address.to_string()]);
    command.args(["--rate", "1 Mbit/s", "-t", "1s", "--quiet", "--key"]);
    command.arg(agent.keys.path("driver")).args(more);
    if !more.contains(&"--idle") {
        command.args(["--idle", "1s"]);
    }
    command
}

/// Asserts that it was run, whatever the verdict is on a busy host.
#[track_caller]
fn expect_run(ended: &Ended) -> &Ended {
    assert!(matches!(ended.code, Some(0 | 3)), "{:?}: {}", ended.code, ended.err);
    ended
}

/// The leases that are held.
fn held_by(user: &User) -> Vec<serde_json::Value> {
    let ended = run(&mut user.linkqual(&["leases", "--format", "json"]));
    ended.expect_code(0).json().as_array().unwrap().clone()
}

#[test]
fn one_host_loads_one_link_at_a_time_and_others_are_given_the_holder() {
    let _machine = share(8);
    let (one, other, folder) = (Agent::start(), Agent::start(), tempfile::tempdir().unwrap());
    let history: PathBuf = folder.path().join("history.db");
    let user = user_of(&one, history.to_str().unwrap());
    user.trust(&other);
    assert!(held_by(&user).is_empty());
    let loading = Program::start(&mut check(&user, &one, &["--circuit", "EC-1", "--idle", "9s"]));
    let held = await_within(PATIENCE, "it has its lease", || {
        Some(held_by(&user)).filter(|held| !held.is_empty())
    });
    let names: Vec<&str> = held.iter().filter_map(|it| it["resource"].as_str()).collect();
    assert!(names.contains(&"circuit EC-1"), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("agent SHA256:")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("host ")), "{names:?}");
    let elsewhere = folder.path().join("elsewhere.db");
    let moved = run(&mut user.linkqual(&["history", "move", elsewhere.to_str().unwrap()]));
    moved.expect_error(2, &["is in use by run ", "when nothing is being loaded"]);
    let shown = run(&mut user.linkqual(&["leases"]));
    assert!(shown.expect_code(0).out.contains("EC-1") && shown.out.contains("alice@"));
    let refused = run(&mut check(&user, &other, &[]));
    refused.expect_error(4, &["is in use by run ", "of alice@", "until ", "--without-lease"]);
    // Probing needs no lease, nor does a load that is wanted without one; that is on record.
    let mut idle = user.linkqual(&["check", &other.address.to_string(), "--idle", "1s"]);
    idle.args(["--path-mtu", "1200", "--quiet", "--key"]).arg(other.keys.path("driver"));
    run(&mut idle).expect_code(0);
    let without = run(&mut check(&user, &other, &["--without-lease", "acceptance night", "-J"]));
    expect_run(&without);
    assert!(without.out.contains("loaded without a lease, as alice wanted: acceptance night"));
    expect_run(&loading.ended(PATIENCE));
    assert!(held_by(&user).is_empty(), "it is given back");
    expect_run(&run(&mut check(&user, &other, &[])));
}

#[test]
fn without_its_history_nothing_is_loaded_and_what_is_loaded_goes_on() {
    let Some(server) = Postgres::start() else { return };
    let _machine = share(4);
    let agent = Agent::start();
    let user = user_of(&agent, &server.url());
    let loading = Program::start(&mut check(&user, &agent, &["--idle", "4s"]));
    await_within(PATIENCE, "it has its lease", || (!held_by(&user).is_empty()).then_some(()));
    server.stop();
    let ended = loading.ended(PATIENCE);
    assert!(expect_run(&ended).err.contains("kept in "), "{}", ended.err);
    let refused = run(&mut check(&user, &agent, &[]));
    let words = ["no lease can be taken, as the history does not take it", "--without-lease"];
    refused.expect_error(4, &words);
    expect_run(&run(&mut check(&user, &agent, &["--no-history"])));
    server.restart();
    // The one that could not be given back ends by itself.
    assert!(!held_by(&user).is_empty());
}
