//! The history: the same tests with SQLite and with a PostgreSQL server, and what becomes of runs
//! when a database fails.

use crate::postgres::Postgres;
use crate::support::{Agent, PATIENCE, Program, User, run};
use linkqual::history::{Class, Entry, Kept, NANOS_PER_DAY, State};
use linkqual::report::Report;
use linkqual::store::spool::Spool;
use linkqual::store::{Audit, Error, Expired, Filter, Place, Store};
use linkqual::verdict::Verdict;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const SOUND: &str = include_str!("golden/v3/sound.json");
const BROKEN: &str = include_str!("golden/v3/broken.json");
const LINKS: &str = include_str!("golden/v3/links.json");

/// When the runs below were written.
const NOW: u64 = 1_800_000_000_000_000_000;

/// Tries `story` with a file and with a server.
pub(crate) fn with_each(story: impl AsyncFn(&Place)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(story(&Place::File(folder.path().join("a history?.db"))));
    if let Some(server) = Postgres::start() {
        runtime.block_on(story(&server.url().parse().unwrap()));
    }
}

fn report(text: &str) -> Report {
    Report::parse(text).unwrap()
}

/// `report` as the run `run`, asked for by alice.
fn run_of(text: &str, run: &str) -> Report {
    let mut report = Report { run: run.repeat(8), ..report(text) };
    report.links[0].sites[0].ends.requested_by = Some("alice@vm".to_owned());
    report
}

fn kept(report: &Report, at_ns: u64) -> Kept {
    Kept::of(Entry::imported(report, at_ns).unwrap(), report)
}

fn all() -> Filter {
    Filter { limit: 100, ..Filter::default() }
}

async fn runs(store: &mut Store, filter: &Filter) -> Vec<String> {
    let listing = store.list(filter, NOW).await.unwrap();
    listing
        .found
        .into_iter()
        .map(|listed| format!("{} {}", &listed.run[..4], listed.link))
        .collect()
}

#[test]
fn what_is_recorded_is_found_and_read_again_as_it_was() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let reports = [run_of(SOUND, "aaaa"), run_of(BROKEN, "bbbb"), run_of(LINKS, "cccc")];
        for report in &reports {
            assert!(store.record(&kept(report, NOW)).await.unwrap());
            // Written twice, it is there once.
            assert!(store.record(&kept(report, NOW)).await.unwrap());
        }
        for report in &reports {
            assert_eq!(store.report(&report.run).await.unwrap(), *report);
        }
        assert_eq!(runs(&mut store, &all()).await.len(), 5, "a line for each link");
        let failed = Filter { verdict: Some(Verdict::Fail), ..all() };
        assert_eq!(runs(&mut store, &failed).await, ["bbbb demo", "cccc ec-2032"]);
        let of_link = Filter { link: Some("peering-a".into()), ..all() };
        assert_eq!(runs(&mut store, &of_link).await, ["cccc peering-a"]);
        let since = Filter { since_ns: reports[1].started_ns(), ..all() };
        assert_eq!(runs(&mut store, &since).await, ["bbbb demo"]);
        let until = Filter { until_ns: reports[0].started_ns(), ..all() };
        assert_eq!(runs(&mut store, &until).await.len(), 3);
        let newest = store.list(&Filter { limit: 1, ..all() }, NOW).await.unwrap();
        assert!(newest.has_more && newest.found.len() == 1);
        assert_eq!(store.find("bbb").await.unwrap(), reports[1].run);
        assert!(matches!(store.find("d").await, Err(Error::NoRun(why)) if why.contains("no run")));
        assert!(
            matches!(store.find("x").await, Err(Error::NoRun(why)) if why.contains("not a run"))
        );
        store.close().await.unwrap();
        // Another program finds it as it is.
        let mut again = Store::open(place).await.unwrap();
        assert_eq!(again.report(&reports[2].run).await.unwrap(), reports[2]);
    });
}

#[test]
fn what_is_older_never_replaces_what_is_newer() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let (first, second) = (run_of(BROKEN, "aaaa"), run_of(SOUND, "aaaa"));
        assert!(store.record(&kept(&second, NOW)).await.unwrap());
        assert!(!store.record(&kept(&first, NOW - 1)).await.unwrap());
        assert_eq!(store.report(&second.run).await.unwrap(), second);
        // Nor does what was known while it ran; but what it came to does, though a clock was set.
        let mut running = kept(&first, NOW + 1);
        running.entry.state = State::Running;
        assert!(!store.record(&running).await.unwrap());
        let (other, last) = (run_of(BROKEN, "bbbb"), run_of(SOUND, "bbbb"));
        running = kept(&other, NOW);
        running.entry.state = State::Running;
        assert!(store.record(&running).await.unwrap());
        assert!(store.record(&kept(&last, NOW - 1)).await.unwrap());
        assert_eq!(store.report(&last.run).await.unwrap(), last);
    });
}

#[test]
fn people_are_deleted_apart_from_the_evidence_and_each_deletion_is_on_record() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let report = run_of(SOUND, "aaaa");
        store.record(&kept(&report, NOW)).await.unwrap();
        let audit = |action| Audit {
            action,
            by_user: Some("bob".into()),
            reason: Some("asked for".into()),
            at_ns: NOW,
        };
        store.redact(&report.run, &audit("redact")).await.unwrap();
        let mut without = report.clone();
        without.links[0].sites[0].ends.requested_by = None;
        assert_eq!(store.report(&report.run).await.unwrap(), without);
        // A backup from before does not bring the name back.
        let folder = tempfile::tempdir().unwrap();
        let file = Place::File(folder.path().join("before.db"));
        let mut before = Store::make(&file).await.unwrap();
        before.record(&kept(&report, NOW + 1)).await.unwrap();
        before.copy_into(&mut store).await.unwrap();
        assert_eq!(store.report(&report.run).await.unwrap(), without);
        store.delete(&report.run, &audit("delete")).await.unwrap();
        assert!(matches!(store.report(&report.run).await, Err(Error::NoRun(_))));
        assert!(runs(&mut store, &all()).await.is_empty());
        // The audit goes with a copy.
        let file = Place::File(folder.path().join("after.db"));
        let mut after = Store::make(&file).await.unwrap();
        store.copy_into(&mut after).await.unwrap();
        after.close().await.unwrap();
        let done: Vec<_> = audit_of(&folder.path().join("after.db")).await;
        assert_eq!(done, ["delete bob asked for", "redact bob asked for"]);
    });
}

/// What was done to the runs of the file `path`.
async fn audit_of(path: &Path) -> Vec<String> {
    use sqlx::{Connection as _, Row as _};
    let url = format!("sqlite://{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT action, by_user, reason FROM audit ORDER BY action");
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    let text = |row: &sqlx::sqlite::SqliteRow, column| row.get::<String, usize>(column);
    rows.iter().map(|row| [0, 1, 2].map(|column| text(row, column)).join(" ")).collect()
}

#[test]
fn scheduled_runs_and_people_expire_and_other_runs_stay() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let report = run_of(SOUND, "aaaa");
        let started_ns = report.started_ns().unwrap();
        for (run, class) in
            [("aaaa", Class::Manual), ("bbbb", Class::Scheduled), ("cccc", Class::Acceptance)]
        {
            let report = run_of(SOUND, run);
            let mut kept = kept(&report, NOW);
            kept.entry.class = class;
            store.record(&kept).await.unwrap();
        }
        let after = |days: u64| started_ns + days * NANOS_PER_DAY + 1;
        let expired = async |store: &mut Store, days| store.expire(after(days)).await.unwrap();
        assert_eq!(expired(&mut store, 179).await, Expired::default());
        assert_eq!(expired(&mut store, 180).await, Expired { runs: 0, people: 3 });
        assert_eq!(expired(&mut store, 399).await, Expired::default());
        assert_eq!(expired(&mut store, 400).await, Expired { runs: 1, people: 0 });
        assert_eq!(runs(&mut store, &all()).await, ["aaaa demo", "cccc demo"]);
    });
}

/// A number that is missing in the first row is a number in the next; a move keeps every value.
#[test]
fn a_copy_has_every_value_of_the_original() {
    with_each(async |place| {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Place::File(folder.path().join(name));
        let mut first = Store::make(&file("first.db")).await.unwrap();
        for (text, run) in [(BROKEN, "bbbb"), (LINKS, "cccc"), (SOUND, "aaaa")] {
            first.record(&kept(&run_of(text, run), NOW)).await.unwrap();
        }
        let mut there = Store::make(place).await.unwrap();
        let mut back = Store::make(&file("back.db")).await.unwrap();
        assert_eq!(first.copy_into(&mut there).await.unwrap().runs, 3);
        assert_eq!(first.copy_into(&mut there).await.unwrap().there, 3, "again, to no effect");
        assert_eq!(there.copy_into(&mut back).await.unwrap().runs, 3);
        first.close().await.unwrap();
        back.close().await.unwrap();
        let dumps = ["first.db", "back.db"].map(|name| dump(&folder.path().join(name)));
        assert!(10_000 < dumps[0].len() && dumps[0] == dumps[1]);
    });
}

/// All rows of runs in the file `path`, as text.
fn dump(path: &Path) -> String {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        tables = [t for t, in db.execute(\"SELECT name FROM sqlite_master WHERE type = 'table' \
        AND name NOT LIKE '\\\\_%' ESCAPE '\\\\' ORDER BY name\")]\n\
        for table in tables:\n    \
            print(table, sorted(map(repr, db.execute('SELECT * FROM ' + table))))\n";
    let ended = Command::new("python3").args(["-c", script]).arg(path).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn a_history_of_a_later_linkqual_is_left_alone() {
    with_each(async |place| {
        use sqlx::Connection as _;
        Store::make(place).await.unwrap().close().await.unwrap();
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                     execution_time) SELECT 99, 'later', success, checksum, execution_time FROM \
                     _sqlx_migrations WHERE version = 1";
        let url = match place {
            Place::File(path) => format!("sqlite://{}", path.display()).replace('?', "%3F"),
            Place::Server(url) => url.clone(),
        };
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        sqlx::query(later).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let opened = Store::open(place).await;
        assert!(matches!(&opened, Err(Error::Newer { found: 99, .. })), "{opened:?}");
    });
}

#[test]
fn what_is_kept_aside_is_brought_in_once_and_what_is_damaged_stays() {
    with_each(async |place| {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"));
        let report = run_of(SOUND, "aaaa");
        spool.keep(Entry::imported(&report, NOW).unwrap(), &report).unwrap();
        fs::write(folder.path().join("spool/dddd.run.json"), "{\"entry\": 1").unwrap();
        let mut store = Store::make(place).await.unwrap();
        let brought = spool.bring_into(&mut store).await;
        assert_eq!((brought.runs, brought.left.len()), (1, 1), "{brought:?}");
        assert_eq!(store.report(&report.run).await.unwrap(), report);
        assert_eq!(spool.bring_into(&mut store).await.runs, 0);
        assert!(folder.path().join("spool/dddd.taken.json").exists());
    });
}

/// A user with a history, and an agent that this user trusts.
fn user_of(agent: &Agent, history: &str) -> User {
    let user = User::new();
    run(&mut user.linkqual(&["history", "init", history])).expect_code(0);
    user.trust(agent);
    user
}

/// A short check of `agent` by its own driver's key.
fn check(user: &User, agent: &Agent) -> Command {
    let mut command = user.linkqual(&["check", &agent.address.to_string(), "--idle", "1s"]);
    command.args(["--path-mtu", "1200", "--quiet", "--key"]).arg(agent.keys.path("driver"));
    command
}

fn listed(user: &User, args: &[&str]) -> Vec<Value> {
    let ended = run(user.linkqual(&["history", "--format", "json"]).args(args));
    ended.expect_code(0).json().as_array().unwrap().clone()
}

/// The state, the verdict and the reason of each run that is listed.
fn outcomes(runs: &[Value]) -> Vec<String> {
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or("none").to_owned();
    let keys = ["state", "verdict", "why"];
    runs.iter().map(|run| keys.map(|key| text(run, key)).join(" ")).collect()
}

#[test]
fn every_run_is_recorded_also_those_that_did_not_come_about() {
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/history.db");
    let user = user_of(&agent, file.to_str().unwrap());
    assert_eq!(run(&mut user.linkqual(&["history"])).expect_code(0).out, NOTHING);
    run(&mut check(&user, &agent)).expect_code(0);
    run(check(&user, &agent).arg("--no-history")).expect_code(0);
    let here = agent.address.to_string();
    // By the user's own key, which the agent does not list.
    run(&mut user.linkqual(&["check", &here, "--path-mtu", "1200"])).expect_code(4);
    let nobody = "127.0.0.1:9";
    let mut absent = user.linkqual(&["check", nobody, "--path-mtu", "1200", "--agent-key"]);
    run(absent.arg(agent.keys.path("agent.pub"))).expect_code(4);
    // What was typed wrongly is no run.
    let wrong = run(check(&user, &agent).args(["--rate", "1 bit/s"]));
    wrong.expect_error(2, &["0 probes per second: from 0.1 to 100 are allowed"]);
    let runs = listed(&user, &[]);
    let outcomes = outcomes(&runs);
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    assert!(
        outcomes[0].starts_with("not_run none connection refused by 127.0.0.1:9"),
        "{outcomes:?}"
    );
    assert!(outcomes[1].starts_with("refused none the agent at 127.0.0.1"), "{outcomes:?}");
    assert_eq!(outcomes[2], "ok PASS the requirement is met");
    assert_eq!(listed(&user, &["--verdict", "pass", "--link", &here]).len(), 1);
    assert_eq!(listed(&user, &["--since", "1h", "--state", "refused"]).len(), 1);
    let name = runs[2]["run"].as_str().unwrap();
    let shown = run(&mut user.linkqual(&["show", &name[..8]]));
    assert!(shown.expect_code(0).out.starts_with("PASS "), "{}", shown.out);
    let reason = ["--reason", "a test"];
    run(user.linkqual(&["history", "redact", &name[..8]]).args(reason)).expect_code(0);
    run(user.linkqual(&["history", "delete", &name[..8]]).args(reason)).expect_code(0);
    run(&mut user.linkqual(&["show", &name[..8]])).expect_error(2, &["no run in the history"]);
}

const NOTHING: &str = "No runs are recorded that fit.\n";

#[test]
fn without_a_history_nothing_is_recorded_and_the_command_says_how_to_make_one() {
    let user = User::new();
    let ended = run(&mut user.linkqual(&["history"]));
    ended.expect_error(2, &["there is no history yet", "linkqual history init"]);
    assert!(!user.data().exists());
    let ended = run(&mut user.linkqual(&["history", "--history", "mysql://x"]));
    assert!(ended.err.contains("mysql:// is no history"), "{}", ended.err);
    let ended = run(&mut user.linkqual(&["history", "--since", "yesterday"]));
    assert!(ended.err.contains("not a time"), "{}", ended.err);
}

/// Others may write to a history that is shared.
#[test]
fn no_text_of_a_history_drives_the_terminal() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let mut report = run_of(SOUND, "aaaa");
        report.links[0].name = Some("x\u{1b}[31m\u{202e}y".to_owned());
        store.record(&kept(&report, NOW)).await.unwrap();
        assert_eq!(runs(&mut store, &all()).await, ["aaaa x[31my"]);
    });
}

#[test]
fn the_environment_names_another_history_and_a_run_may_stay_out_of_it() {
    let (agent, folder) = (Agent::start(), tempfile::tempdir().unwrap());
    let user = user_of(&agent, folder.path().join("usual.db").to_str().unwrap());
    let other = folder.path().join("other.db");
    let there =
        |mut command: Command| Program::start_with_history(&mut command, &other).ended(PATIENCE);
    there(user.linkqual(&["history", "init"])).expect_code(0);
    run(&mut user.linkqual(&["history", "init", folder.path().join("usual.db").to_str().unwrap()]));
    there(check(&user, &agent)).expect_code(0);
    let mut without = check(&user, &agent);
    without.arg("--no-history");
    there(without).expect_code(0);
    let listed_there = there(user.linkqual(&["history", "--format", "json"]));
    assert_eq!(listed_there.json().as_array().unwrap().len(), 1);
    assert!(listed(&user, &[]).is_empty());
}

#[test]
fn saved_reports_are_imported_once_backed_up_and_restored() {
    let (user, folder) = (User::new(), tempfile::tempdir().unwrap());
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    assert!(user.data().join("linkqual/history.db").is_file());
    for (name, text) in [("run-1", SOUND), ("run-2", BROKEN)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("report.json"), text).unwrap();
    }
    let history = |args: &[&str]| {
        let ended = run(user.linkqual(&["history"]).args(args));
        ended.expect_code(0).out.clone()
    };
    let here = folder.path().to_str().unwrap();
    assert_eq!(history(&["import", here]), "2 runs recorded, 0 were there already.\n");
    assert_eq!(history(&["import", here]), "0 runs recorded, 2 were there already.\n");
    let text = history(&[]);
    insta::assert_snapshot!("history", text);
    let backup = folder.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    assert!(history(&["backup", backup]).starts_with("2 runs written to "));
    let again = run(&mut user.linkqual(&["history", "backup", backup]));
    again.expect_error(2, &["exists"]);
    let first = listed(&user, &[])[0]["run"].as_str().unwrap().to_owned();
    history(&["delete", &first, "--reason", "a mistake"]);
    assert_eq!(history(&["restore", backup]), "1 run restored, 1 were there already.\n");
    assert_eq!(history(&[]), text);
    let elsewhere = folder.path().join("elsewhere.db");
    history(&["move", elsewhere.to_str().unwrap()]);
    fs::remove_file(user.data().join("linkqual/history.db")).unwrap();
    assert_eq!(history(&[]), text);
    let missing = run(&mut user.linkqual(&["history", "import", "/nothing/here"]));
    missing.expect_error(2, &["/nothing/here"]);
}

/// The run goes on, is kept aside, and is in the history as soon as that takes it.
#[test]
fn a_run_survives_a_database_that_is_locked() {
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let user = user_of(&agent, file.to_str().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lock = runtime.block_on(locked(&file));
    let ended = run(&mut check(&user, &agent));
    ended.expect_code(0);
    assert!(ended.err.contains("database is locked"), "{}", ended.err);
    assert!(ended.err.contains("kept in "), "{}", ended.err);
    drop(lock);
    assert_eq!(outcomes(&listed(&user, &[])), ["ok PASS the requirement is met"]);
    assert_eq!(files(&user.data().join("linkqual/spool")), 0);
}

pub(crate) async fn locked(path: &Path) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let url = format!("sqlite://{}", path.display());
    let mut lock = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut lock).await.unwrap();
    lock
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn a_run_survives_a_server_that_stops_and_starts() {
    let Some(server) = Postgres::start() else { return };
    let agent = Agent::start();
    let user = user_of(&agent, &server.url());
    let running = Program::start(&mut check(&user, &agent));
    // It is recorded before anything is sent.
    crate::support::await_within(PATIENCE, "a run begins", || {
        let runs = listed(&user, &["--state", "running"]);
        (!runs.is_empty()).then_some(())
    });
    server.stop();
    let ended = running.ended(PATIENCE);
    ended.expect_code(0);
    assert!(ended.err.contains("kept in "), "{}", ended.err);
    let unreachable = run(&mut user.linkqual(&["history"]));
    unreachable.expect_error(4, &["history at postgresql:///postgres"]);
    server.restart();
    assert_eq!(outcomes(&listed(&user, &[])), ["ok PASS the requirement is met"]);
}

/// Where there is no room beside the history either, the verdict is still shown, and the exit code
/// says that something was lost.
#[test]
fn a_run_survives_a_full_disk_and_says_so_where_nothing_can_be_kept() {
    let Some(disk) = Disk::of("2m") else { return };
    let agent = Agent::start();
    let file = disk.folder.path().join("history.db");
    let user = user_of(&agent, file.to_str().unwrap());
    disk.fill();
    let ended = run(&mut check(&user, &agent));
    ended.expect_code(0);
    assert!(ended.err.contains("kept in "), "{}", ended.err);
    let spool = user.data().join("linkqual/spool");
    assert_eq!(files(&spool), 1);
    fs::remove_file(disk.folder.path().join("filler")).unwrap();
    assert_eq!(outcomes(&listed(&user, &[])), ["ok PASS the requirement is met"]);
    disk.fill();
    fs::remove_dir(&spool).unwrap();
    fs::write(&spool, "a file in the way").unwrap();
    let ended = run(&mut check(&user, &agent));
    ended.expect_code(5);
    assert!(ended.err.contains("verdict: PASS"), "{}", ended.err);
}

/// A small disk.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// One of `size`; `None` where none can be made, which is said.
    fn of(size: &str) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        let done = mount.arg(disk.folder.path()).output();
        let done = done.is_ok_and(|ended| ended.status.success());
        if !done {
            linkqual::io::terminal::say("no file system can be mounted here: not tried");
        }
        done.then_some(disk)
    }

    /// Leaves no room.
    fn fill(&self) {
        use std::io::Write as _;
        let mut filler = fs::File::create(self.folder.path().join("filler")).unwrap();
        while filler.write_all(&[0; 4_096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

/// Killed while it writes: what was recorded before is there, and nothing is there by half.
#[test]
fn nothing_is_half_recorded_by_a_program_that_is_killed() {
    let (user, folder) = (User::new(), tempfile::tempdir().unwrap());
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    for place in 0..40 {
        let name = folder.path().join(format!("run-{place}"));
        fs::create_dir(&name).unwrap();
        let report = run_of(BROKEN, &format!("{place:04x}"));
        fs::write(name.join("report.json"), report.to_json()).unwrap();
    }
    let here = folder.path().to_str().unwrap();
    let mut before = 0;
    for _ in 0..3 {
        let mut importing = Program::start(&mut user.linkqual(&["history", "import", here]));
        crate::support::await_within(PATIENCE, "it writes", || {
            let runs = listed(&user, &["--limit", "100"]).len();
            (before < runs || 40 <= runs).then_some(())
        });
        importing.kill();
        let runs = listed(&user, &["--limit", "100"]);
        assert!(before <= runs.len(), "{before} were recorded, {} are left", runs.len());
        before = runs.len();
        for listed in runs {
            let name = listed["run"].as_str().unwrap();
            run(&mut user.linkqual(&["show", name])).expect_code(0);
        }
    }
    let ended = run(&mut user.linkqual(&["history", "import", here]));
    assert!(ended.expect_code(0).out.contains("runs recorded"), "{}", ended.out);
    assert_eq!(listed(&user, &["--limit", "100"]).len(), 40);
}

/// A run that is killed stays in the history as one that was cut short, with what it had measured.
#[test]
fn a_run_that_is_killed_is_listed_as_running_until_its_time_is_over() {
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let user = user_of(&agent, file.to_str().unwrap());
    let mut running = Program::start(&mut check(&user, &agent));
    crate::support::await_within(PATIENCE, "a run begins", || {
        (!listed(&user, &[]).is_empty()).then_some(())
    });
    running.kill();
    assert_eq!(listed(&user, &["--state", "running"]).len(), 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let later = runtime.block_on(async {
        let mut store = Store::open(&Place::File(file.clone())).await.unwrap();
        store.list(&all(), u64::MAX).await.unwrap().found
    });
    assert_eq!(later[0].state, State::Aborted);
    assert!(later[0].why.as_deref().is_some_and(|why| why.starts_with("cut short")), "{later:?}");
}
