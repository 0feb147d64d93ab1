//! Links that are watched: a month of them in virtual time, what the history keeps of them, and a
//! real Alertmanager.

use crate::history::with_each;
use crate::support::{Agent, PATIENCE, Program, User, await_within, run};
use linkqual::alerting::{
    Alert, Notice, Occasion, Outbox, Pace, Placed, Receiver, Register, Severity, problems,
};
use linkqual::direction::PerDirection;
use linkqual::health::entered::short_id;
use linkqual::health::record::{Maintenance, Note, NoteKind, WatchSeen, event_row, state_row};
use linkqual::health::state::{
    Cause, Change, Changed, Contact, Current, Event, Health, ProbeBounds, State, Subject, Watched,
};
use linkqual::health::{Calendar, Carried, Maintained, Second};
use linkqual::io::http::{Request, send};
use linkqual::metric::{Metric, Requirements};
use linkqual::plan::{Works, WorksWhen};
use linkqual::store::{EventFilter, Store};
use linkqual::units::Span;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// What a link does from one second to another.
#[derive(Clone, Copy)]
enum Does {
    /// It loses all.
    Down,
    /// Nothing is sent.
    Rest,
    /// It loses two of 20.
    Loses,
}

/// Links, and what happens to them: without a word of it all is well.
struct Month {
    names: Vec<&'static str>,
    happens: Vec<(&'static str, i64, i64, Does)>,
    works: Vec<(&'static str, Works)>,
    restarts: Vec<i64>,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    events: Vec<(i64, String, State, Cause)>,
    notices: Vec<(i64, Occasion, String, usize)>,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Sunday, 1 March 2026, 00:00 UTC: Berlin's clock goes ahead on the 29th.
const BEGIN: i64 = 1_772_323_200;

fn watched(name: &str) -> Watched {
    let mut requirements = Requirements::default();
    requirements.set(None, Metric::LOSS.bounded_by("1%").unwrap());
    Watched {
        name: name.to_owned(),
        // a and b lead to one host.
        host: if ["a", "b"].contains(&name) { "h1" } else { name }.to_owned(),
        site: name.to_owned(),
        bounds: ProbeBounds::of(&requirements),
        is_unproven: false,
    }
}

fn placed(name: &str) -> Placed {
    // d and e share a circuit, f and g a router.
    let shares = if ["f", "g"].contains(&name) { vec!["pe1".to_owned()] } else { Vec::new() };
    Placed {
        link: name.to_owned(),
        host: watched(name).host,
        circuit: ["d", "e"].contains(&name).then(|| "c1".to_owned()),
        shares,
        severity: if name == "c" { Severity::Warning } else { Severity::Critical },
    }
}

fn second(start_s: i64, lost: u32) -> Second {
    let carried = PerDirection {
        forward: Some(Carried { sent: 20, lost }),
        reverse: Some(Carried { sent: 20 - lost, lost: 0 }),
    };
    let came = usize::try_from(20 - lost).unwrap();
    let round_trips = vec![Span::from_millis(5); came];
    Second { start_s, carried, answered: Some(Carried { sent: 20, lost }), round_trips }
}

impl Month {
    /// Goes through a month: each second near what happens, and one of ten or fifty far from it.
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let watched: Vec<Watched> = self.names.iter().map(|name| watched(name)).collect();
        let placed: Vec<Placed> = self.names.iter().map(|name| placed(name)).collect();
        let mut health = Health::new(watched.clone(), 0);
        let mut register = Register::new(Pace::default());
        let calendars = self.calendars();
        let mut now_s = 0;
        while now_s < 31 * DAY {
            let step_s = self.step_s(now_s);
            if self.restarts.contains(&now_s) {
                let states: Vec<Current> = health.states().cloned().collect();
                let alerts: Vec<Alert> = register.alerts().cloned().collect();
                health = Health::new(watched.clone(), now_s);
                health.restore(&states);
                register = Register::new(Pace::default());
                register.restore(alerts);
            }
            for (place, name) in self.names.iter().enumerate() {
                self.probe(&mut health, place, name, now_s);
                health.handle_maintenance(place, calendars[place].at(BEGIN + now_s));
            }
            now_s += step_s;
            health.handle_time(now_s);
            while let Some(Event { at_s, now, .. }) = health.poll_event() {
                if now.subject == Subject::Forward {
                    outcome.events.push((at_s, now.link, now.state, now.cause));
                }
            }
            let states: Vec<Current> = health.states().cloned().collect();
            let muted = |name: &str| {
                let place = self.names.iter().position(|it| *it == name)?;
                calendars[place].at(BEGIN + now_s).map(|it| it.reason)
            };
            register.handle_problems(now_s, &problems(&placed, &states), muted);
            while let Some(Notice { at_s, occasion, alert, .. }) = register.poll_notice() {
                let links = alert.problem.links.len();
                outcome.notices.push((at_s, occasion, alert.key.to_string(), links));
            }
        }
        outcome
    }

    fn calendars(&self) -> Vec<Calendar> {
        let at = |s: i64| jiff::Timestamp::from_second(s).unwrap();
        let of = |name: &&str| {
            let works = self.works.iter().filter(|(link, _)| link == name);
            let all = works.flat_map(|(_, works)| {
                let within = works.within(at(BEGIN), at(BEGIN + 31 * DAY)).into_iter();
                within.map(|(from, until)| Maintained {
                    from_s: from.as_second(),
                    until_s: until.as_second(),
                    reason: works.reason.clone(),
                })
            });
            Calendar::new(all.collect())
        };
        self.names.iter().map(of).collect()
    }

    fn step_s(&self, now_s: i64) -> i64 {
        let near = |at_s: i64| at_s - 30 <= now_s && now_s < at_s + 60;
        let changes = self.happens.iter().any(|(_, from, to, _)| near(*from) || near(*to));
        if changes || self.restarts.iter().any(|at_s| near(*at_s)) {
            return 1;
        }
        // For two hours what was lost is looked at still.
        let is_after = |to: i64| to <= now_s && now_s < to + 2 * HOUR;
        let recent = self.happens.iter().any(|(_, from, to, _)| is_after(*to) || is_after(*from));
        if recent { 10 } else { 50 }
    }

    fn probe(&self, health: &mut Health, place: usize, name: &str, now_s: i64) {
        let now = self
            .happens
            .iter()
            .find(|(link, from, to, _)| *link == name && *from <= now_s && now_s < *to);
        match now.map(|(.., does)| does) {
            None => health.handle_second(place, &second(now_s, 0)),
            Some(Does::Loses) => health.handle_second(place, &second(now_s, 2)),
            // After a minute no probe is let through any more, and the agent is not reached.
            Some(Does::Down) if now.is_some_and(|(_, from, ..)| *from + 60 < now_s) => {
                health.handle_contact(place, now_s, Contact::Silent);
            }
            Some(Does::Down) => health.handle_second(place, &second(now_s, 20)),
            Some(Does::Rest) => {}
        }
    }
}

/// At 10:00 on each of those days something happens; expected is what an operator would want.
#[test]
fn a_month_of_links_has_the_right_states_and_the_right_alerts() {
    let at = |day: i64| day * DAY + 10 * HOUR;
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let when = WorksWhen::Every {
        rule: Box::new("0 3 * * sun".parse().unwrap()),
        zone: berlin,
        lasts: jiff::SignedDuration::from_hours(2),
    };
    let weekly = Works { when, reason: "updates".to_owned(), ticket: None };
    let mut happens = vec![
        // A link, and five minutes later all of it is well.
        ("c", at(1), at(1) + 300, Does::Down),
        // A host with two links.
        ("a", at(2), at(2) + 600, Does::Down),
        ("b", at(2) + 1, at(2) + 600, Does::Down),
        // Of that host one link alone.
        ("a", at(3), at(3) + 600, Does::Down),
        // A circuit with two links, over a restart of the watch.
        ("d", at(4), at(4) + 1200, Does::Down),
        ("e", at(4), at(4) + 1200, Does::Down),
        // What two links share.
        ("f", at(5), at(5) + 300, Does::Down),
        ("g", at(5) + 2, at(5) + 300, Does::Down),
        // Loss in one direction.
        ("c", at(6), at(6) + 900, Does::Loses),
        // Nothing is probed.
        ("c", at(7), at(7) + 900, Does::Rest),
        // Two seconds are no outage.
        ("c", at(8), at(8) + 2, Does::Down),
        // In the weekly maintenance, which begins at 03:00 in Berlin: 02:00 UTC on the 22nd, and
        // 01:00 on the 29th, when its clock has gone ahead. The outage of the 29th begins before.
        ("c", 21 * DAY + 2 * HOUR + 60, 21 * DAY + 2 * HOUR + 900, Does::Down),
        ("c", 28 * DAY + HOUR - 600, 28 * DAY + HOUR + 900, Does::Down),
        // It outlasts the maintenance of the 8th, which ends at 04:00 UTC.
        ("c", 7 * DAY + 4 * HOUR - 600, 7 * DAY + 4 * HOUR + 600, Does::Down),
    ];
    // 30 s down, 30 s up, twenty times.
    happens.extend((0..20).map(|n| ("c", at(9) + n * 60, at(9) + n * 60 + 30, Does::Down)));
    let month = Month {
        names: vec!["a", "b", "c", "d", "e", "f", "g"],
        happens,
        works: vec![("c", weekly)],
        restarts: vec![at(4) + 300],
    };
    let outcome = month.outcome();
    let of_day = |day: i64| {
        let within = |at_s: i64| day * DAY <= at_s && at_s < (day + 1) * DAY;
        let notices = outcome.notices.iter().filter(|it| within(it.0));
        let shown = notices.map(|(_, occasion, key, links)| {
            let occasion = occasion.name();
            format!("{occasion} {key} {links}")
        });
        shown.collect::<Vec<String>>()
    };
    let of = |key: &str| vec![format!("firing {key}"), format!("resolved {key}")];
    assert_eq!(of_day(1), of("link c 1"));
    assert_eq!(of_day(2), of("host h1 2"), "one alert for a host");
    assert_eq!(of_day(3), of("link a 1"));
    assert_eq!(of_day(4), of("circuit c1 2"), "one alert over a restart");
    assert_eq!(of_day(5), of("shared pe1 2"));
    assert_eq!(of_day(6), of("link c 1"));
    assert_eq!(of_day(7), [of("link c 1"), of("no data from c 1")].concat());
    assert_eq!(of_day(8), [""; 0]);
    let flapping = ["firing link c 1", "firing link c 1", "resolved link c 1"];
    assert!(of_day(9).len() <= 5, "{:?}", of_day(9));
    assert_eq!(of_day(9).last().map(String::as_str), Some(flapping[2]));
    assert_eq!(of_day(21), [""; 0], "in maintenance");
    assert_eq!(of_day(28), of("link c 1"), "until the maintenance begins");
    assert_eq!(outcome.notices.iter().filter(|it| it.1 == Occasion::Reminder).count(), 0);
    // In maintenance four times, an hour earlier by UTC when the clock has gone ahead.
    let begins = outcome.events.iter().filter(|it| it.2 == State::Maintenance).map(|it| it.0);
    let hours: Vec<i64> = begins.map(|at_s| at_s % DAY / HOUR).collect();
    assert_eq!(hours, [2, 2, 2, 2, 1]);
    let fails = outcome.events.iter().filter(|it| it.1 == "a" && it.2 == State::Fail);
    let causes: Vec<Cause> = fails.map(|it| it.3).collect();
    assert_eq!(causes, [Cause::HostDown, Cause::Outage]);
}

fn current(link: &str, subject: Subject, state: State, cause: Cause) -> Current {
    let (link, reason) = (link.to_owned(), "because".to_owned());
    Current { link, subject, state, cause, reason, since_s: 1_800_000_000 }
}

fn maintenance(link: &str) -> Maintenance {
    Maintenance {
        id: short_id(link, 7),
        link: link.to_owned(),
        from_s: 1_800_000_000,
        until_s: 1_800_003_600,
        reason: "fibre".to_owned(),
        ticket: None,
        by: Some("alice".to_owned()),
        entered_s: 1_799_990_000,
        ended_s: None,
        ended_by: None,
        remark: None,
    }
}

#[test]
fn the_history_keeps_states_events_alerts_maintenance_and_notes() {
    with_each(async |place| {
        let mut store = Store::make(place).await.unwrap();
        let (at_s, watch) = (1_800_000_000, "near");
        let now = current("a", Subject::Forward, State::Fail, Cause::Outage);
        let first = Some(Change { what: Changed::Path, at_s: at_s - 9 });
        let event = Event { at_s, from: State::Pass, now: now.clone(), first };
        let seen = WatchSeen {
            watch: watch.to_owned(),
            program: "linkqual".to_owned(),
            started_s: at_s,
            links: 1,
            ended_s: None,
            seen_s: at_s + 60,
        };
        let note = Note {
            id: short_id("a", 8),
            link: "a".to_owned(),
            kind: NoteKind::ProviderFault,
            from_s: at_s,
            until_s: at_s + 60,
            ticket: Some("T1".to_owned()),
            text: None,
            by: None,
            entered_s: at_s,
        };
        let alert = Alert::test(at_s);
        let rows = [
            state_row(&now, watch, at_s),
            event_row(&event, watch),
            seen.row(),
            alert.row(None, watch, at_s),
            maintenance("a").row(at_s),
            note.row(),
        ];
        store.put(&rows).await.unwrap();
        // Written twice they are there once, and what is older replaces nothing.
        store.put(&rows).await.unwrap();
        let before = current("a", Subject::Forward, State::Pass, Cause::Met);
        store.put(&[state_row(&before, watch, at_s - 1)]).await.unwrap();
        check(&mut store, &now, &event, &seen, &note).await;
        let over = Notice { occasion: Occasion::Resolved, at_s, alert, remark: None };
        store.put(&[over.alert.row(Some(&over), watch, at_s + 5)]).await.unwrap();
        assert_eq!(store.alerts(at_s + 1).await.unwrap(), []);
        let ended = maintenance("a").ended(at_s + 7200, None);
        store.put(&[ended.row(at_s + 7200)]).await.unwrap();
        // Another history that is joined with it knows the newer of both.
        let folder = tempfile::tempdir().unwrap();
        let copy = linkqual::store::Place::File(folder.path().join("copy.db"));
        let mut copy = Store::make(&copy).await.unwrap();
        copy.put(&rows).await.unwrap();
        store.copy_into(&mut copy).await.unwrap();
        check(&mut copy, &now, &event, &seen, &note).await;
        let known = copy.maintenance(at_s + 7000).await.unwrap();
        assert_eq!(known[0].remark.as_deref(), Some("ended 60 min later than planned"));
        assert_eq!(copy.alerts(0).await.unwrap().len(), 1);
        assert!(copy.alerts(0).await.unwrap()[0].ended.is_some());
    });
}

async fn check(store: &mut Store, now: &Current, event: &Event, seen: &WatchSeen, note: &Note) {
    let states = store.link_states().await.unwrap();
    assert_eq!(states.iter().map(|it| &it.current).collect::<Vec<_>>(), [now]);
    let all = EventFilter { limit: 10, ..EventFilter::default() };
    let events = store.events(&all).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].now.current, events[0].first), (now, event.first));
    let other = EventFilter { link: Some("b".to_owned()), ..all };
    assert_eq!(store.events(&other).await.unwrap(), []);
    assert_eq!(store.watches().await.unwrap(), std::slice::from_ref(seen));
    assert_eq!(store.notes(0).await.unwrap(), std::slice::from_ref(note));
}

#[test]
fn maintenance_notes_and_acknowledgements_are_entered_by_command() {
    let user = User::new();
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = linkqual::store::Place::File(user.data().join("linkqual/history.db"));
    let at_s = jiff::Timestamp::now().as_second();
    runtime.block_on(async {
        let mut store = Store::open(&place).await.unwrap();
        let seen = WatchSeen {
            watch: "near".to_owned(),
            program: "linkqual".to_owned(),
            started_s: at_s,
            links: 1,
            ended_s: None,
            seen_s: at_s,
        };
        let state =
            |subject, state, cause| state_row(&current("a", subject, state, cause), "near", at_s);
        let rows = [
            seen.row(),
            state(Subject::Forward, State::Pass, Cause::Met),
            state(Subject::Reverse, State::Fail, Cause::Loss),
            state(Subject::RoundTrip, State::Pass, Cause::Met),
            Alert::test(at_s).row(None, "near", at_s),
        ];
        store.put(&rows).await.unwrap();
        store.close().await.unwrap();
    });
    let health = run(&mut user.linkqual(&["health", "--json"]));
    health.expect_code(1);
    let json = health.json();
    assert_eq!(json[0]["states"]["reverse"]["state"], "fail");
    let unknown = run(&mut user.linkqual(&["health", "--link", "b"]));
    unknown.expect_error(2, &["no watched link is called 'b'"]);
    let alerts = run(&mut user.linkqual(&["alerts", "--json"])).json();
    let id = alerts[0]["id"].as_str().unwrap().to_owned();
    let taken = run(&mut user.linkqual(&["ack", &id, "--owner", "bob", "--until", "4h"]));
    taken.expect_code(0);
    assert!(taken.out.contains("bob takes care of"), "{}", taken.out);
    run(&mut user.linkqual(&["ack", "ffffffff"])).expect_error(2, &["no open alert is called"]);
    let enter = ["maintenance", "a", "--to", "2h", "--reason", "fibre", "--ticket", "CHG7"];
    let entered = run(&mut user.linkqual(&enter));
    assert!(entered.out.contains("CHG7"), "{}", entered.out);
    let ended = run(&mut user.linkqual(&["maintenance", "a", "--end"]));
    ended.expect_code(0);
    run(&mut user.linkqual(&["maintenance", "a", "--end"]))
        .expect_error(2, &["no maintenance of 'a' is going on"]);
    let late =
        ["maintenance", "a", "--from", "2026-01-01T00:00:00Z", "--to", "2h", "--reason", "x"];
    let late = run(&mut user.linkqual(&late));
    assert!(late.out.contains("after it began"), "{}", late.out);
    let note = ["note", "a", "cut", "--from", "2026-01-01T00:00:00Z", "--to", "2h", "--kind"];
    run(user.linkqual(&note).arg("provider-fault")).expect_code(0);
    let notes = run(&mut user.linkqual(&["note", "--list"]));
    notes.expect_code(0);
    run(&mut user.linkqual(&["alerts", "test"])).expect_error(2, &["no receiver is configured"]);
}

/// Each notice that a command was handed, once: one that was sent when its watch was killed is sent
/// again.
fn noticed(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut notices: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    notices.dedup();
    notices
}

/// The agent is killed, and so is the watch while the alert is open: it is one alert, reported
/// once, and over when the agent is there again.
#[test]
fn a_watch_alerts_once_over_its_restart_and_says_when_it_is_over() {
    let (user, mut agent) = (User::new(), Agent::start());
    run(&mut user.linkqual(&["history", "init"])).expect_code(0);
    let key = agent.keys.path("driver");
    let plan = user.path("plan.toml");
    let ends = format!(
        "[driver]\nkey = '{}'\n[sites.far]\nagent = '{}'\nkey = '{}'\n",
        key.display(),
        agent.address,
        agent.keys.path("agent.pub").display()
    );
    let link = "[link]\nname = 'ec-1'\ncircuit = 'c-1'\n[[test]]\nkind = 'idle'\n";
    std::fs::write(&plan, format!("{ends}{link}")).unwrap();
    let notices = user.path("notices");
    let hook = format!("cat >> {0}; echo >> {0}", notices.display());
    let alerts = format!(
        "group_wait = '1 s'\nresolve_wait = '1 s'\n[[command]]\nrun = ['/bin/sh', '-c', '{hook}']\n"
    );
    std::fs::write(user.path("alerts.toml"), alerts).unwrap();
    let plan = plan.to_str().unwrap();
    let mut watch = Program::start(&mut user.linkqual(&["watch", plan]));
    watch.await_said(PATIENCE, "ec-1: round trip: indeterminate -> pass");
    agent.program.kill();
    watch.await_said(PATIENCE, "no data from 127.0.0.1: its agent's host answers");
    await_within(PATIENCE, "a notice", || (noticed(&notices).len() == 1).then_some(()));
    watch.kill();
    let watch = Program::start(&mut user.linkqual(&["watch", plan]));
    watch.await_said(PATIENCE, "1 links are watched");
    agent.restart_with(&[]);
    watch.await_said(PATIENCE, "resolved");
    await_within(PATIENCE, "the end", || (noticed(&notices).len() == 2).then_some(()));
    watch.signal("TERM");
    watch.ended(PATIENCE).expect_code(0);
    let notices = noticed(&notices);
    assert_eq!(notices[0]["occasion"], "firing");
    assert_eq!(notices[1]["occasion"], "resolved");
    assert_eq!(notices[0]["alert"], notices[1]["alert"]);
    assert_eq!(notices[0]["kind"], "no_data");
    let alerts = run(&mut user.linkqual(&["alerts", "--since", "1h", "--json"])).json();
    assert_eq!(alerts[0]["id"], notices[0]["alert"]);
    assert!(alerts[0]["ended"].is_string(), "{alerts}");
    let health = run(&mut user.linkqual(&["health", "--json"]));
    health.expect_code(3);
    assert_eq!(health.json()[0]["states"]["forward"]["state"], "not_running");
    let events = run(&mut user.linkqual(&["health", "--events", "1h", "--json"])).json();
    let causes = events.as_array().unwrap().iter().map(|it| it["cause"].as_str().unwrap());
    let causes: std::collections::BTreeSet<&str> = causes.collect();
    assert!(causes.contains("agent_down") && causes.contains("met"), "{causes:?}");
}

/// Debian's Alertmanager, on a port of its own.
struct Manager {
    _folder: tempfile::TempDir,
    program: Program,
    address: String,
}

impl Manager {
    fn start() -> Option<Self> {
        let path = Path::new("/usr/bin/prometheus-alertmanager");
        if !path.exists() {
            linkqual::io::terminal::say("Alertmanager is not installed: not tried with it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut command = Command::new(path);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", folder.path().display()));
        command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
        let program = Program::start(&mut command);
        program.await_said(PATIENCE, "Listening on");
        Some(Self { _folder: folder, program, address })
    }

    /// The alerts that it has, by their names, each with its state.
    fn alerts(&self) -> Vec<(String, String)> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let get = "GET /api/v2/alerts HTTP/1.0\r\n\r\n";
        stream.write_all(get.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let json = text.split_once("\r\n\r\n").unwrap().1;
        let json: Value = serde_json::from_str(json).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alerts = json.as_array().unwrap().iter();
        let mut alerts: Vec<_> = alerts
            .map(|it| (text(&it["labels"]["alertname"]), text(&it["labels"]["severity"])))
            .collect();
        alerts.sort();
        alerts
    }
}

#[test]
fn a_real_alertmanager_has_an_alert_while_it_goes_on_and_not_after() {
    let Some(mut manager) = Manager::start() else { return };
    let url = format!("http://{}/", manager.address);
    let receiver = Receiver::Alertmanager { url: url.clone(), bearer: None, ca_file: None };
    let now_s = jiff::Timestamp::now().as_second();
    let mut outbox = Outbox::new("near", &[receiver], now_s);
    let alert = Alert::test(now_s - 60);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let post = |outbox: &mut Outbox, open: &[Alert], now_s| {
        let letter = outbox.poll(now_s, open.iter()).unwrap();
        let url = format!("{url}api/v2/alerts");
        let json = Some(letter.json.to_string());
        runtime.block_on(send(&Request { url, json, ..Request::default() })).unwrap();
        outbox.handle_sent(0, true, now_s);
    };
    post(&mut outbox, std::slice::from_ref(&alert), now_s);
    let has = |names: &[(&str, &str)]| {
        let names: Vec<_> = names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        await_within(PATIENCE, "the alerts", || (manager.alerts() == names).then_some(()));
    };
    has(&[("LinkqualLink", "info"), ("LinkqualWatch", "none")]);
    let (occasion, remark) = (Occasion::Resolved, None);
    outbox.add(&Notice { occasion, at_s: now_s, alert, remark }, now_s);
    post(&mut outbox, &[], now_s);
    has(&[("LinkqualWatch", "none")]);
    manager.program.kill();
}
