//! Results survive: real processes, whose control connection, agent or line fails in the midst of a
//! load. There is a report every time; what it counts is what the relay counts.

use crate::cli::{Conversation, converse};
use crate::support::{Agent, Ended, PATIENCE, Program, Share, await_within, share};
use crate::support::{TrialKind, TrialRow, rows};
use linkqual::account::Status;
use linkqual::clock::Stamp;
use linkqual::demo::relay::Relay;
use linkqual::direction::Direction;
use linkqual::emulation::{Applies, Class, Loss, Outage, Spec};
use linkqual::io::clock;
use linkqual::report::{FindingRecord, OutageRecord, Report, Scope};
use linkqual::trial::Trial;
use linkqual::units::Span;
use linkqual::verdict::Verdict;
use linkqual::wire::control::{Message, Prepare, Request};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any test.
const FOR_GOOD: Span = Span::from_secs(3_600);

/// What 4 Mbit/s are in frames of 1518 octets.
const PACKETS_PER_SECOND: u64 = 330;

/// A line that an MTU of 1500 and a millisecond each way make a line; it may be dead for a while
/// once its load has begun.
fn line(dead: Option<Outage>) -> Spec {
    let loss = dead.map(|outage| (Applies::ToAll, Loss::Outages(vec![outage])));
    let loss = loss.into_iter().collect();
    Spec { mtu: Some(1_500), delay_ns: 1_000_000, loss, ..Spec::default() }
}

/// A driver that loads a line both ways.
struct Loading {
    _machine: Share,
    agent: Agent,
    relay: Relay,
    driver: Program,
    began: Instant,
    seconds: u64,
}

impl Loading {
    /// Starts it, and waits until the load of `seconds` has begun.
    fn start(seconds: u64, dead: Option<Outage>) -> Self {
        let mut loading = Self::announce(seconds, dead, &["--idle", "1s"]);
        loading.await_second(0);
        loading.relay.set_epoch(clock::now());
        loading.began = Instant::now();
        loading
    }

    /// Starts it, with further options, and waits for nothing.
    fn announce(seconds: u64, dead: Option<Outage>, options: &[&str]) -> Self {
        let machine = share(8);
        let agent = Agent::start();
        let relay = Relay::start(agent.address, line(dead), line(dead), 7).unwrap();
        relay.set_epoch(Stamp::from_nanos(u64::MAX));
        let out = agent.keys.path("run");
        let mut command = agent.check_at(relay.local());
        command.args(["--rate", "4 Mbit/s", "--loss", "1%", "--outage", "1s", "--json", "--out"]);
        command.arg(out).args(["--duration", &format!("{seconds}s")]).args(options);
        let driver = Program::start(&mut command);
        Self { _machine: machine, agent, relay, driver, began: Instant::now(), seconds }
    }

    /// Waits until the load has gone on for `seconds`, by what the line was given.
    fn await_second(&self, seconds: u64) {
        let offered = || self.relay.counts(Direction::Forward, Class::Load).offered;
        await_within(PATIENCE, "the load goes on", || {
            (seconds * PACKETS_PER_SECOND < offered()).then_some(())
        });
    }

    /// Waits for the report, which must be the one that is kept in the folder.
    fn end(self) -> Finished {
        let ended = self.driver.ended(PATIENCE);
        let load = Duration::from_secs(self.seconds);
        let after_load = self.began.elapsed().saturating_sub(load);
        let report: Report = serde_json::from_str(&ended.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", ended.out, ended.err));
        let kept = std::fs::read_to_string(self.agent.keys.path("run").join("report.json"));
        assert!(kept.unwrap() == ended.out, "another report is kept than is printed");
        let text = std::fs::read_to_string(self.agent.keys.path("run").join("report.txt"));
        assert!(!text.unwrap().is_empty(), "the text is kept");
        Finished { report, relay: self.relay, ended, after_load }
    }
}

/// What came of it.
struct Finished {
    report: Report,
    relay: Relay,
    ended: Ended,
    /// How long after the end of the load the report was there.
    after_load: Duration,
}

impl Finished {
    fn load(&self, direction: Direction) -> TrialRow {
        let wanted = |row: &TrialRow| row.kind == TrialKind::Udp && row.direction == direction;
        rows(&self.report).into_iter().find(wanted).unwrap()
    }

    fn finding(&self, metric: &str, direction: Direction) -> &FindingRecord {
        let wanted = |finding: &&FindingRecord| {
            finding.metric.name() == metric && finding.direction == Scope::from(Some(direction))
        };
        self.report.findings.iter().find(wanted).unwrap()
    }

    /// Outages of a second or more: others that keep this host busy make shorter ones.
    fn outages(&self, direction: Direction) -> Vec<OutageRecord> {
        let outages = self.load(direction).outages.unwrap();
        outages.into_iter().filter(|outage| 1.0 <= outage.duration_s).collect()
    }

    /// What was sent, as far as the sender's account is here, is what the line was given; and each
    /// of it is received, lost, late or dropped by the host.
    #[track_caller]
    fn check_identity(&self) {
        for direction in Direction::ALL {
            let row = self.load(direction);
            let Some(sent) = row.sent_packets else { continue };
            let truth = self.relay.counts(direction, Class::Load);
            assert_eq!(sent, truth.offered, "sent {direction}: {:#?}", self.report);
            let parts = [row.lost_packets, row.late_packets, row.host_dropped_packets];
            let Some(received) = row.received_packets else { continue };
            let all = received + parts.iter().flatten().sum::<u64>();
            assert_eq!(sent, all, "{direction}: {:#?}", self.report);
        }
    }

    /// Every count is the relay's own.
    #[track_caller]
    fn check_exact(&self) {
        self.check_identity();
        for direction in Direction::ALL {
            let (row, truth) = (self.load(direction), self.relay.counts(direction, Class::Load));
            assert_eq!(row.sent_packets, Some(truth.offered), "sent {direction}");
            assert_eq!(row.received_packets, Some(truth.delivered), "received {direction}");
            assert_eq!(row.lost_packets, Some(truth.lost()), "lost {direction}");
            assert_eq!(row.duplicate_packets, Some(0), "duplicate {direction}");
            assert_eq!(row.status, Status::Ok, "{:#?}", self.report);
        }
        assert!(self.report.complete, "{:#?}", self.report);
        assert_eq!(self.report.reason, None);
    }

    /// Nothing is seen of what happened. Where others keep this host busy, it is doubted, as it
    /// would be in a run that nothing befell.
    #[track_caller]
    fn check_unharmed(&self) {
        self.check_exact();
        let skipped = Direction::ALL.map(|direction| self.load(direction).skipped_packets.unwrap());
        match (skipped, self.report.verdict) {
            ([0, 0], verdict) => assert_eq!(verdict, Verdict::Pass, "{:#?}", self.report),
            (_, Verdict::Pass | Verdict::Invalid) => {}
            (_, verdict) => panic!("{verdict:?}: {:#?}", self.report),
        }
        let code = if self.report.verdict == Verdict::Pass { 0 } else { 3 };
        self.ended.expect_code(code);
    }

    /// A part of it is missing, the report says so, and nothing passes.
    #[track_caller]
    fn check_partial(&self, one_of: &[&str]) {
        self.check_identity();
        assert!(!self.report.complete);
        let reason = self.report.reason.as_deref().unwrap();
        assert!(one_of.iter().any(|words| reason.contains(words)), "{reason}");
        for direction in Direction::ALL {
            assert_eq!(self.load(direction).status, Status::Partial);
        }
        assert_ne!(self.report.verdict, Verdict::Pass);
    }
}

/// Runs all of `cases` at the same time: each waits most of its time.
fn side_by_side(cases: &[(&str, fn())]) {
    let running: Vec<_> = cases
        .iter()
        .map(|(name, case)| {
            let thread = thread::Builder::new().name((*name).to_owned());
            (*name, thread.spawn(*case).unwrap())
        })
        .collect();
    let failed: Vec<&str> = running
        .into_iter()
        .filter_map(|(name, case)| case.join().is_err().then_some(name))
        .collect();
    assert_eq!(failed, <[&str; 0]>::default(), "see above");
}

#[test]
fn whatever_befalls_the_control_connection() {
    side_by_side(&[
        ("reset", a_control_connection_that_is_reset_changes_nothing),
        ("silent", a_control_connection_that_carries_nothing_for_a_while_changes_nothing),
        ("silent at the end", a_control_connection_that_carries_nothing_at_the_end_is_waited_for),
        ("dead", a_control_connection_that_is_dead_for_good_leaves_this_ends_own_half),
        ("dead while idle", a_control_connection_that_dies_while_idle_makes_no_outage),
        ("interrupted", an_interrupt_is_heeded_although_the_agent_is_not_reached),
    ]);
}

#[test]
fn whatever_befalls_the_agent_or_the_line() {
    side_by_side(&[
        ("killed", an_agent_that_is_killed_and_started_again_is_not_the_line),
        ("killed for good", an_agent_that_is_killed_for_good_is_not_the_line),
        ("frozen", an_agent_that_stands_still_for_a_while_is_not_the_line),
        ("dead", a_line_that_is_dead_for_good_is_an_outage),
        ("out", an_outage_of_three_seconds_is_one_of_three_seconds_and_little_loss),
    ]);
}

fn a_control_connection_that_is_reset_changes_nothing() {
    let loading = Loading::start(6, None);
    loading.await_second(2);
    loading.relay.reset_tcp();
    let finished = loading.end();
    finished.check_unharmed();
    assert!(finished.after_load < Duration::from_secs(4), "{:?}", finished.after_load);
}

fn a_control_connection_that_carries_nothing_for_a_while_changes_nothing() {
    let loading = Loading::start(8, None);
    loading.await_second(2);
    loading.relay.stall_tcp(Span::from_secs(5));
    let finished = loading.end();
    finished.check_unharmed();
    assert!(finished.after_load < Duration::from_secs(4), "{:?}", finished.after_load);
}

fn a_control_connection_that_carries_nothing_at_the_end_is_waited_for() {
    let loading = Loading::start(5, None);
    loading.await_second(4);
    loading.relay.stall_tcp(Span::from_secs(5));
    let finished = loading.end();
    finished.check_unharmed();
    assert!(finished.after_load < Duration::from_secs(12), "{:?}", finished.after_load);
}

/// Each half is reported as far as one end knows it.
fn a_control_connection_that_is_dead_for_good_leaves_this_ends_own_half() {
    let loading = Loading::start(4, None);
    loading.await_second(2);
    loading.relay.stall_tcp(FOR_GOOD);
    let finished = loading.end();
    finished.check_partial(&["the agent's account could not be fetched"]);
    finished.ended.expect_code(3);
    let forward = finished.load(Direction::Forward);
    let truth = finished.relay.counts(Direction::Forward, Class::Load);
    assert_eq!((forward.sent_packets, forward.received_packets), (Some(truth.offered), None));
    let reverse = finished.load(Direction::Reverse);
    let truth = finished.relay.counts(Direction::Reverse, Class::Load);
    assert_eq!((reverse.sent_packets, reverse.received_packets), (None, Some(truth.delivered)));
    assert!(finished.after_load < Duration::from_secs(30), "{:?}", finished.after_load);
}

/// All that was probed was answered; behind the last probe there is nothing to miss.
fn a_control_connection_that_dies_while_idle_makes_no_outage() {
    let loading = Loading::announce(4, None, &[]);
    await_within(PATIENCE, "probes go on", || {
        (200 < loading.relay.counts(Direction::Reverse, Class::Probe).offered).then_some(())
    });
    loading.relay.stall_tcp(FOR_GOOD);
    let finished = loading.end();
    finished.ended.expect_code(3);
    assert!(!finished.report.complete);
    for direction in Direction::ALL {
        assert_ne!(
            finished.finding("outage", direction).verdict,
            Verdict::Fail,
            "{}",
            finished.ended.out
        );
    }
}

fn an_interrupt_is_heeded_although_the_agent_is_not_reached() {
    let loading = Loading::start(30, None);
    loading.relay.stall_tcp(FOR_GOOD);
    loading.relay.reset_tcp();
    loading.await_second(3);
    loading.driver.signal("INT");
    let interrupted = Instant::now();
    let finished = loading.end();
    assert!(interrupted.elapsed() < Duration::from_secs(6), "{:?}", interrupted.elapsed());
    finished.check_partial(&["interrupted"]);
    finished.ended.expect_code(3);
}

fn an_agent_that_is_killed_and_started_again_is_not_the_line() {
    let mut loading = Loading::start(10, None);
    loading.await_second(2);
    loading.agent.restart_with(&[]);
    let finished = loading.end();
    // Whichever is known first: that nothing comes, or that the new one knows nothing.
    finished.check_partial(&["the agent went away", "the agent lost this run"]);
    finished.ended.expect_code(3);
    assert_eq!(finished.after_load, Duration::ZERO, "it is known at once");
}

/// Nobody starts it again: what it was sent meanwhile is no loss of the line's.
fn an_agent_that_is_killed_for_good_is_not_the_line() {
    let mut loading = Loading::announce(8, None, &["--rtt-p99", "1s", "--idle", "1s"]);
    loading.await_second(3);
    loading.agent.program.kill();
    let finished = loading.end();
    finished.check_partial(&["the agent went away"]);
    finished.ended.expect_code(3);
}

/// 3 s are longer than silence: the load towards it pauses, and its own goes on late.
fn an_agent_that_stands_still_for_a_while_is_not_the_line() {
    let loading = Loading::start(8, None);
    loading.await_second(2);
    loading.agent.program.signal("STOP");
    thread::sleep(Duration::from_secs(3));
    loading.agent.program.signal("CONT");
    let finished = loading.end();
    finished.check_identity();
    assert!(finished.report.complete, "{:#?}", finished.report);
    assert_ne!(finished.report.verdict, Verdict::Fail, "{:#?}", finished.report);
    assert_ne!(
        finished.report.verdict,
        Verdict::Pass,
        "nobody saw 3 s of it: {:#?}",
        finished.report
    );
    let reverse = finished.load(Direction::Reverse);
    assert!(500 < reverse.skipped_packets.unwrap(), "it was held up itself: {reverse:#?}");
    assert_eq!(finished.outages(Direction::Reverse), [], "{reverse:#?}");
}

/// Everything is dead, the control connection too.
fn a_line_that_is_dead_for_good_is_an_outage() {
    let dead = Outage { start_ns: 2_000_000_000, duration_ns: FOR_GOOD.nanos() };
    let loading = Loading::start(8, Some(dead));
    await_within(PATIENCE, "the line dies", || {
        (0 < loading.relay.counts(Direction::Forward, Class::Load).lost()).then_some(())
    });
    loading.relay.stall_tcp(FOR_GOOD);
    let finished = loading.end();
    finished.check_partial(&["the agent's account could not be fetched"]);
    finished.ended.expect_code(1);
    for direction in Direction::ALL {
        assert_eq!(finished.finding("outage", direction).verdict, Verdict::Fail);
    }
    let reverse = finished.load(Direction::Reverse);
    let truth = finished.relay.counts(Direction::Reverse, Class::Load);
    assert_eq!(reverse.received_packets, Some(truth.delivered));
    assert!(0 < finished.load(Direction::Forward).paused_packets.unwrap());
}

fn an_outage_of_three_seconds_is_one_of_three_seconds_and_little_loss() {
    let dead = Outage { start_ns: 2_000_000_000, duration_ns: 3_000_000_000 };
    let finished = Loading::start(10, Some(dead)).end();
    finished.check_exact();
    finished.ended.expect_code(1);
    for direction in Direction::ALL {
        let row = finished.load(direction);
        let outages = finished.outages(direction);
        let [outage] = &outages[..] else { panic!("{direction}: {outages:?}") };
        assert!((2.85..=3.15).contains(&outage.duration_s), "{direction}: {outage:?}");
        let (sent, paused) = (row.sent_packets.unwrap(), row.paused_packets.unwrap());
        assert!(0 < paused, "{direction}: {row:#?}");
        // The outage takes 30 % of the time, of which the load goes on for little more than 1 s.
        let lost = row.lost_packets.unwrap();
        assert!(lost * 100 < 17 * (sent + paused), "{direction}: {lost} of {sent} lost");
        assert_eq!(finished.finding("outage", direction).verdict, Verdict::Fail);
    }
}

/// An idle trial that is stopped at once, asked for in a driver's place.
async fn count_nothing(open: &mut Conversation, run: &str) {
    open.greet().await;
    let (run, duration_ns) = (run.to_owned(), 60_000_000_000);
    let (congestion, fences) = (Vec::new(), Vec::new());
    let request = Request { run, circuit: None, duration_ns, load: None, congestion, fences };
    open.say(&Message::Request(request)).await;
    assert!(matches!(open.hear(PATIENCE).await, Some(Message::Granted(_))));
    let idle = Trial::new(None, Span::from_secs(1)).unwrap();
    let prepare = Prepare { trial: 5, asked: (&idle).into() };
    open.say(&Message::Prepare(prepare)).await;
    assert!(matches!(open.hear(PATIENCE).await, Some(Message::Prepared { trial: 5, .. })));
    open.say(&Message::Stop { trial: 5 }).await;
    let account = open.hear(PATIENCE).await;
    assert!(matches!(&account, Some(Message::Account(account)) if account.trial == 5));
}

/// What the agent says to a driver that is back for `run`.
fn ask_again(agent: &Agent, run: &str) -> Vec<Message> {
    converse(agent, async |open| {
        open.greet().await;
        open.say(&Message::Attach { run: run.to_owned() }).await;
        let mut said = vec![open.hear(PATIENCE).await.unwrap()];
        if matches!(said[0], Message::Attached { .. }) {
            said.push(open.hear(PATIENCE).await.unwrap());
        }
        said
    })
}

#[test]
fn an_agent_that_is_started_again_has_the_records_of_its_state_folder_and_no_others() {
    let run = "0123456789abcdef0123456789abcdef";
    let state = tempfile::tempdir().unwrap();
    let state = ["--state", state.path().to_str().unwrap()];
    let mut agent = Agent::start_with(&state);
    assert!(agent.program.out().contains("in the --state folder"), "{}", agent.program.out());
    converse(&agent, async |open| count_nothing(open, run).await);
    let check_known = |agent: &Agent, still_granted: bool| {
        let said = ask_again(agent, run);
        let [Message::Attached { run: attached, trial, granted }, Message::Account(account)] =
            &said[..]
        else {
            panic!("{said:?}")
        };
        assert_eq!((&attached[..], *trial, account.trial), (run, Some(5), 5));
        assert_eq!(*granted, still_granted);
    };
    check_known(&agent, true);
    agent.program.await_said(PATIENCE, "is over; its record is kept");
    check_known(&agent, false);
    agent.restart_with(&state);
    check_known(&agent, false);
    std::fs::write(std::path::Path::new(state[1]).join("bad.json"), "{").unwrap();
    agent.restart_with(&state);
    agent.program.await_said(PATIENCE, "record in --state ignored");
    check_known(&agent, false);
    agent.restart_with(&[]);
    assert!(agent.program.out().contains("in memory only"), "{}", agent.program.out());
    let said = ask_again(&agent, run);
    let [Message::Refused { reason }] = &said[..] else { panic!("{said:?}") };
    assert!(reason.contains("this agent does not know that run"), "{reason}");
}
