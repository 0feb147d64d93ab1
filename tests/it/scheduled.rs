//! `linkqual schedule` and `linkqual watch`: what runs by itself, and what never does.

use crate::support::{Agent, PATIENCE, Program, User, await_within, run};
use linkqual::store::{Leased, Place, Store, Wanted};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A user with a history who trusts `agent`, and whose key it takes.
fn user_of(agent: &Agent) -> User {
    let user = User::new();
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    user.trust(agent);
    user
}

/// A plan with two links to `agent`, by its own driver's key: one is loaded, one only probed.
fn plan(agent: &Agent, cron: &str, windows: &str) -> PathBuf {
    let path = agent.keys.path("plan.toml");
    let key = agent.keys.path("driver");
    let text = format!(
        "idle = '1 s'\n[driver]\nkey = '{}'\n[sites.far]\nagent = '{}'\n[require]\n\
         path_mtu = '>= 1200'\n[links.loaded]\nsites = ['far']\nin_service = false\n\
         [links.probed]\nsites = ['far']\n[[links.probed.test]]\nkind = 'idle'\n[[test]]\n\
         kind = 'udp'\nrate = '1 Mbit/s'\nduration = '1 s'\n[schedule]\ncron = '{cron}'\n\
         zone = 'UTC'\nwindows = [{windows}]\nallow_unsynchronised_clock = true\n",
        key.display(),
        agent.address
    );
    fs::write(&path, text).unwrap();
    path
}

fn listed(user: &User, args: &[&str]) -> Vec<Value> {
    let ended = run(user.linkqual(&["history", "--format", "json"]).args(args));
    ended.expect_code(0).json().as_array().unwrap().clone()
}

fn watch(user: &User, plan: &Path) -> Program {
    Program::start(&mut user.linkqual(&["watch", plan.to_str().unwrap()]))
}

const ALWAYS: &str = "'00:00-24:00'";

#[test]
fn what_fits_is_run_recorded_and_ended_in_good_order() {
    let agent = Agent::start();
    let (user, plan) = (user_of(&agent), plan(&agent, "* * * * *", ALWAYS));
    // Somebody else loads that agent when it is due.
    let history = Place::File(user.data().join("linkqual/history.db"));
    let agents_key = agent.keys.fingerprint("agent.pub");
    let (other, whole) = (format!("{:032x}", 7), 600_000_000_000);
    let leased = Wanted {
        resources: BTreeSet::from([format!("agent {agents_key}")]),
        holder: other.clone(),
        run: other.clone(),
        who: "bob@noc2".to_owned(),
        command: "run".to_owned(),
        link: "ec-1".to_owned(),
        span_ns: whole,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut store = runtime.block_on(Store::open(&history)).unwrap();
    let leased = runtime.block_on(store.lease(&leased)).unwrap();
    assert!(matches!(leased, Leased::Yes(_)), "{leased:?}");
    let watching = watch(&user, &plan);
    watching.await_said(PATIENCE, "loaded: waits for its lease: agent SHA256:");
    assert!(watching.err().contains("is in use by run 0000000000000000 of bob@noc2"));
    watching.await_said(PATIENCE, "probed: PASS");
    assert!(!watching.err().contains("loaded: started"), "{}", watching.err());
    runtime.block_on(store.release(&other)).unwrap();
    watching.await_said(PATIENCE, "loaded: PASS");
    let runs = listed(&user, &["--class", "scheduled", "--verdict", "pass"]);
    let links: Vec<&str> = runs.iter().filter_map(|run| run["link"].as_str()).collect();
    assert!(links.contains(&"loaded") && links.contains(&"probed"), "{links:?}");
    // Plans that are wrong are reported, and those from before stay.
    let right = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, right.replace("'UTC'", "'Mars'")).unwrap();
    watching.signal("HUP");
    watching.await_said(PATIENCE, "those from before stay");
    fs::write(
        &plan,
        right
            .replace("[links.probed]", "[links.renamed]")
            .replace("[[links.probed.test]]", "[[links.renamed.test]]"),
    )
    .unwrap();
    watching.signal("HUP");
    watching.await_said(PATIENCE, "the plans were read again: 2 links");
    watching.signal("TERM");
    watching.ended(PATIENCE).expect_code(0);
    let running = listed(&user, &["--state", "running"]);
    assert!(running.is_empty(), "{running:?}");
}

/// What it had begun is on record, and nobody waits for it beyond its time.
#[test]
#[ignore = "waits for the next minute: scripts/history-failures"]
fn a_watch_that_is_killed_leaves_its_run_on_record_and_its_lease_ends() {
    const AGE_NS: i64 = 600_000_000_000;
    let agent = Agent::start();
    let (user, plan) = (user_of(&agent), plan(&agent, "* * * * *", ALWAYS));
    let mut watching = watch(&user, &plan);
    watching.await_said(PATIENCE, "loaded: started");
    await_within(PATIENCE, "it is on record", || {
        let running = listed(&user, &["--state", "running", "--link", "loaded"]);
        (!running.is_empty()).then_some(())
    });
    watching.kill();
    assert_eq!(listed(&user, &["--state", "running", "--link", "loaded"]).len(), 1);
    let history = user.data().join("linkqual/history.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        use sqlx::Connection as _;
        let mut store = Store::open(&Place::File(history.clone())).await.unwrap();
        let holdings = store.holdings().await.unwrap();
        let last = holdings.held.iter().map(|held| held.until_ns - holdings.now_ns).max();
        assert!(last.is_some_and(|left| left < AGE_NS.unsigned_abs()), "{holdings:?}");
        // Its time passes.
        let url = format!("sqlite://{}", history.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let sql = "UPDATE leases SET since_ns = since_ns - $1, until_ns = until_ns - $1";
        sqlx::query(sql).bind(AGE_NS).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let mut check = user.linkqual(&["check", &agent.address.to_string(), "--rate", "1 Mbit/s"]);
    check.args(["-t", "1s", "--idle", "1s", "--key"]).arg(agent.keys.path("driver"));
    // Whatever the verdict is on a busy host.
    let ended = run(&mut check);
    assert!(matches!(ended.code, Some(0 | 3)), "{}", ended.err);
}

/// The program was down for three days: nothing is made up for, and each run is on record.
#[test]
fn after_a_time_without_it_nothing_is_loaded_and_each_missed_run_is_recorded() {
    let agent = Agent::start();
    // Not within this hour, so that nothing is due while the test runs.
    let hour = (Date::now().hour + 12) % 24;
    let (user, plan) = (user_of(&agent), plan(&agent, &format!("0 {hour} * * *"), ALWAYS));
    let watching = watch(&user, &plan);
    let seen = await_within(PATIENCE, "it says until when it has seen to the schedule", || {
        let folder = fs::read_dir(user.data().join("linkqual")).ok()?;
        let mut files = folder.map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|it| it == "seen"))
    });
    watching.signal("TERM");
    watching.ended(PATIENCE).expect_code(0);
    let before = Date::now().nanos - 3 * 86_400_000_000_000;
    let before = linkqual::report::date(before);
    fs::write(&seen, format!("{before}\n")).unwrap();
    let watching = watch(&user, &plan);
    await_within(PATIENCE, "what was missed is recorded", || {
        (listed(&user, &["--state", "missed"]).len() == 6).then_some(())
    });
    watching.signal("TERM");
    watching.ended(PATIENCE).expect_code(0);
    let runs = listed(&user, &[]);
    assert_eq!(runs.len(), 6, "three days of two links: {runs:?}");
    for run in &runs {
        let why = run["why"].as_str().unwrap();
        assert!(why.contains("was not running then"), "{why}");
    }
    assert!(!agent.program.err().contains("is over"), "no run: {}", agent.program.err());
}

#[test]
fn a_schedule_is_shown_and_what_does_not_fit_is_an_error() {
    let agent = Agent::start();
    let user = user_of(&agent);
    let fits = plan(&agent, "30 2 * * *", "'01:00-05:00'");
    let shown = run(&mut user.linkqual(&["schedule", fits.to_str().unwrap(), "--next", "3d"]));
    shown.expect_code(0);
    assert_eq!(shown.out.matches(" 02:30:00 ").count(), 6, "{}", shown.out);
    assert!(shown.out.contains("probes") && shown.out.contains("load"), "{}", shown.out);
    let blackouts = user.path("blackouts.toml");
    fs::write(&blackouts, "[[blackout]]\nics = 'freeze.ics'\nlinks = ['loaded']\n").unwrap();
    let event = "DTSTART:20200101T000000Z\r\nDTEND:20400101T000000Z\r\nSUMMARY:freeze";
    let calendar =
        format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    fs::write(user.path("freeze.ics"), &calendar).unwrap();
    let args = ["schedule", fits.to_str().unwrap(), "--next", "3d", "--json"];
    let shown = run(&mut user.linkqual(&args));
    let json = shown.expect_code(2).json();
    let missed: Vec<_> =
        json["runs"].as_array().unwrap().iter().map(|run| &run["missed"]).collect();
    let why = "blackout until 2040-01-01 00:00 UTC: freeze";
    assert_eq!(missed.iter().filter(|missed| **missed == why).count(), 3, "{missed:?}");
    // A calendar that is not understood is never taken for an empty one.
    fs::write(user.path("freeze.ics"), calendar.replace("DTEND", "RDATE")).unwrap();
    let shown = run(&mut user.linkqual(&args));
    shown.expect_error(2, &["freeze.ics, line 4: RDATE is not understood", "nothing is loaded"]);
    fs::remove_file(&blackouts).unwrap();
    let misfit = plan(&agent, "30 2 * * *", "'03:00-05:00'");
    let shown = run(&mut user.linkqual(&["schedule", misfit.to_str().unwrap(), "--next", "3d"]));
    shown.expect_code(2);
    assert!(shown.err.contains("error: 3 of 6 runs cannot take place then"), "{}", shown.err);
    assert_eq!(shown.out.matches("no window").count(), 3, "{}", shown.out);
    let bare = agent.keys.path("bare.toml");
    let text = fs::read_to_string(&misfit).unwrap();
    let (bare_text, _) = text.split_once("[schedule]").unwrap();
    fs::write(&bare, bare_text).unwrap();
    let shown = run(&mut user.linkqual(&["schedule", bare.to_str().unwrap()]));
    shown.expect_error(2, &["no link of these plans has a schedule"]);
    let other = User::new();
    let shown = run(&mut other.linkqual(&["watch", misfit.to_str().unwrap()]));
    shown.expect_error(2, &["there is no history yet", "linkqual history init"]);
}

/// The wall clock.
struct Date {
    nanos: u64,
    hour: u64,
}

impl Date {
    fn now() -> Self {
        let nanos = linkqual::io::clock::wall_ns();
        Self { nanos, hour: nanos / 3_600_000_000_000 % 24 }
    }
}
