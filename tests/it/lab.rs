//! Lines of network namespaces that `scripts/lab` makes: the kernel of a router, or the emulator,
//! knows the truth. Needs root and the tools; where they are missing the tests say so and pass.

use crate::support::{
    Agent, Ended, TrialKind, TrialRow, alone, await_within, rows, run as run_program, share,
};
use linkqual::direction::Direction;
use linkqual::report::Report;
use linkqual::verdict::Verdict;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Names of this process's labs begin with its number; another makes each lab's its own.
static LABS: AtomicU32 = AtomicU32::new(0);

pub(crate) const AGENT: &str = "10.77.2.2:4872";

/// Driver and agent, a line between them; dropped, all of it is gone.
pub(crate) struct Lab {
    prefix: String,
}

/// What a lab says whose emulator was not built: that is no reason to skip it.
const UNBUILT: &str = "no emulator at";

impl Lab {
    /// A router between them, or `None` where this machine cannot have one.
    pub(crate) fn new() -> Option<Self> {
        Self::up(&[])
    }

    /// The emulator between them, of these words, likewise.
    fn emulated(forward: &str, reverse: &str) -> Option<Self> {
        Self::up(&["--emulated", "--sleep", "--forward", forward, "--reverse", reverse])
    }

    /// What `scripts/lab up` makes of these words, likewise.
    pub(crate) fn up(arguments: &[&str]) -> Option<Self> {
        let number = LABS.fetch_add(1, Relaxed);
        let lab = Self { prefix: format!("{}-{number}", std::process::id()) };
        match lab.try_command("up", arguments) {
            Ok(_) => Some(lab),
            Err(why) => {
                assert!(!why.contains(UNBUILT), "{why}");
                // Not through a macro that the test runner would swallow.
                linkqual::io::terminal::say(&format!("SKIPPED: no lab on this machine: {why}"));
                None
            }
        }
    }

    fn try_command(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        // Examples are built beside the programs.
        let emulator = Path::new(env!("CARGO_BIN_EXE_linkqual")).with_file_name("examples");
        let mut script = Command::new("scripts/lab");
        script.env("LINKQUAL_EMULATOR", emulator.join("emulator"));
        let output = script.args([command, &self.prefix]).args(arguments).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Has `scripts/lab` do something to this lab; what it prints.
    #[track_caller]
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.try_command(command, arguments);
        output.unwrap_or_else(|why| panic!("{command} {arguments:?}: {why}"))
    }

    /// Has every device of it carry packets of up to `mtu` octets.
    fn widen(&self, mtu: &str) {
        let ends = [("driver", "eth0"), ("router", "to-driver"), ("router", "to-agent")];
        for (host, device) in ends.into_iter().chain([("agent", "eth0")]) {
            ip(&["-n", &self.name(host), "link", "set", device, "mtu", mtu]);
        }
    }

    pub(crate) fn name(&self, host: &str) -> String {
        format!("lql-{}-{host}", self.prefix)
    }

    /// What the line did.
    pub(crate) fn truth(&self) -> Value {
        serde_json::from_str(&self.command("truth", &[])).unwrap()
    }

    /// What the router does to packets that it forwards, besides.
    pub(crate) fn forbid(&self, rules: &str) {
        let rules = format!(
            "table ip forbid {{
                chain forward {{
                    type filter hook forward priority 0;
                    {rules}
                }}
            }}"
        );
        self.command("exec", &["router", "nft", &rules]);
    }

    /// An agent at the far end.
    pub(crate) fn agent(&self) -> Agent {
        Agent::start_in(Some(&self.name("agent")), AGENT, &[])
    }

    /// What the pre-check of a plan for the agent says, and its exit code.
    fn precheck(&self, code: i32) -> String {
        self.precheck_of("[[test]]\nkind = \"idle\"\n", code)
    }

    /// The same of a plan with these tests.
    fn precheck_of(&self, tests: &str, code: i32) -> String {
        let agent = self.agent();
        let (plan, driver) = (agent.keys.path("plan.toml"), self.name("driver"));
        let text = format!(
            "[driver]\nkey = \"driver\"\n[sites.far]\nagent = \"{AGENT}\"\n\
                            key = \"agent.pub\"\n{tests}"
        );
        std::fs::write(&plan, text).unwrap();
        let probe = [env!("CARGO_BIN_EXE_linkqual"), "plan", "firewall", "--probe"];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &driver]).args(probe).arg(plan);
        let ended = run_program(&mut command);
        ended.expect_code(code);
        ended.out
    }

    /// Runs the plan that goes on with `rest` behind its ends; the idle line is probed for 1 s.
    fn run_plan(&self, rest: &str) -> (Ended, Report) {
        self.run_plan_at(AGENT, "", rest)
    }

    /// The same towards another address of the agent, with `near` about the driver's own end.
    pub(crate) fn run_plan_at(&self, address: &str, near: &str, rest: &str) -> (Ended, Report) {
        let agent = Agent::start_in(Some(&self.name("agent")), address, &[]);
        let (driver, far) = (agent.keys.path("driver"), agent.keys.path("agent.pub"));
        let ends = format!(
            "idle = '1 s'\n[driver]\nkey = {driver:?}\n{near}\n[sites.far]\n\
             agent = \"{address}\"\nkey = {far:?}\n"
        );
        let plan = agent.keys.path("plan.toml");
        std::fs::write(&plan, ends + rest).unwrap();
        let mut command = Command::new("ip");
        let program = env!("CARGO_BIN_EXE_linkqual");
        command.args(["netns", "exec", &self.name("driver"), program, "run", "--json"]).arg(plan);
        let ended = run_program(&mut command);
        let report = serde_json::from_str(&ended.out)
            .unwrap_or_else(|error| panic!("{error}: {}", ended.err));
        (ended, report)
    }

    /// A check of 3 s.
    fn check(&self, arguments: &[&str]) -> (Ended, Report) {
        self.check_at(AGENT, "3s", arguments)
    }

    /// A check that probes the idle line for 1 s before its load.
    pub(crate) fn check_at(
        &self,
        agent: &str,
        duration: &str,
        arguments: &[&str],
    ) -> (Ended, Report) {
        let agent = Agent::start_in(Some(&self.name("agent")), agent, &[]);
        let mut command = agent.check_from(&self.name("driver"));
        command.args(arguments).args(["--json", "--idle", "1s", "--duration", duration]);
        let ended = run_program(&mut command);
        let report = serde_json::from_str(&ended.out)
            .unwrap_or_else(|error| panic!("{error}: {}", ended.err));
        (ended, report)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may never have been made.
        _ = self.try_command("down", &[]);
    }
}

/// A UDP test and a TCP test of these directions, at 5 Mbit/s for 2 s each.
fn both_protocols(more: &str) -> String {
    let test =
        |kind| format!("[[test]]\nkind = '{kind}'\nrate = '5 Mbit/s'\nduration = '2 s'\n{more}\n");
    test("udp") + &test("tcp")
}

/// Has `ip` do something.
#[track_caller]
pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {why}", arguments.join(" "));
}

#[track_caller]
fn assert_verdict(ended: &Ended, report: &Report, verdict: Verdict, code: i32) {
    assert_eq!(report.verdict, verdict, "{}", linkqual::report::text(report));
    ended.expect_code(code);
}

fn loaded(report: &Report) -> Vec<TrialRow> {
    rows(report).into_iter().filter(|row| row.kind == TrialKind::Udp).collect()
}

/// A count of a trial's row.
type Count = fn(&TrialRow) -> Option<u64>;

/// Each of `counts`, over all trials of a direction that loaded it, is what the line counted of the
/// load under this name, and is not zero. A trial runs twice where the host was held up.
#[track_caller]
fn assert_counted(lab: &Lab, report: &Report, counts: &[(Count, &str)]) {
    let (truth, text) = (lab.truth(), linkqual::report::text(report));
    let rows = loaded(report);
    for direction in Direction::ALL {
        for (count, name) in counts {
            let rows = rows.iter().filter(|row| row.direction == direction);
            let counted: u64 = rows.map(|row| count(row).unwrap()).sum();
            let truth = truth[direction.to_string()]["load"][name].as_u64().unwrap();
            assert_eq!(counted, truth, "{direction} {name}: {text}");
            assert!(0 < truth, "{direction} {name}: {text}");
        }
    }
}

#[test]
fn eighty_of_a_hundred_megabits_pass() {
    let _machine = alone();
    let Some(lab) = Lab::new() else { return };
    lab.command("rate", &["forward", "htb", "100mbit"]);
    lab.command("rate", &["reverse", "htb", "100mbit"]);
    let (ended, report) = lab.check(&["--rate", "80 Mbit/s", "--loss", "0.1%"]);
    assert_verdict(&ended, &report, Verdict::Pass, 0);
    let sizes: Vec<_> = loaded(&report).iter().map(|row| row.payload_bytes).collect();
    assert_eq!(sizes, [Some(1_472); 2], "the load fills the path's MTU");
}

/// Namespaces of one host have one clock: what one is found to be ahead of the other is the error
/// itself. Three links of one kernel take some tens of microseconds, and half of that is the bound.
#[test]
fn one_clock_is_known_to_itself_within_the_bound_and_one_way_delays_too() {
    let _machine = alone();
    let Some(lab) = Lab::new() else { return };
    // With a rate that is known, so that it is probed often.
    let (ended, report) = lab.run_plan(
        "[link]\nport_rate = '1 Gbit/s'\n[require]\nowd_p99 = '<= 1 s'\n[[test]]\nkind = 'idle'\n",
    );
    assert_verdict(&ended, &report, Verdict::Pass, 0);
    let trial = report.rows().next().unwrap().trial;
    let offset = trial.outcome.round_trip.clock_offset.unwrap();
    let (error_ns, bound_ns) = (offset.agent_ahead_ns.unsigned_abs(), offset.error_ns);
    assert!(error_ns <= bound_ns && bound_ns < 50_000, "{offset:?}");
    for row in report.rows() {
        let bounds = row.counts().probes.delays.as_ref().unwrap();
        let (low, high) = (bounds.low.min_ns().unwrap(), bounds.high.min_ns().unwrap());
        let half_ns = (high - low) / 2;
        assert!(half_ns <= bound_ns + 2_000, "{}: {low} to {high} ns", row.direction);
    }
}

#[test]
fn sixty_of_fifty_megabits_fail() {
    let _machine = share(60);
    let Some(lab) = Lab::new() else { return };
    lab.command("rate", &["forward", "htb", "50mbit"]);
    let (ended, report) = lab.check(&["--rate", "60 Mbit/s", "--direction", "forward"]);
    // Only a host that was stalled for a tenth of the window, or skipped packets, is an excuse: the
    // link carries a sixth less than the rate.
    let row = report.rows().find(|row| row.trial.asked.udp.is_some()).unwrap();
    let whole = row.counts().throughput.as_ref().unwrap().whole;
    let skipped = row.counts().sender.as_ref().unwrap().skipped;
    let is_stalled = 0 < skipped || whole.duration_ns <= whole.held_ns.saturating_mul(10);
    let (verdict, code) = match report.verdict {
        Verdict::Invalid if is_stalled => (Verdict::Invalid, 3),
        _ => (Verdict::Fail, 1),
    };
    assert_verdict(&ended, &report, verdict, code);
}

#[test]
fn one_percent_dropped_fails_and_is_counted_exactly() {
    let _machine = share(80);
    let Some(lab) = Lab::new() else { return };
    for way in ["forward", "reverse"] {
        lab.command("lose", &[way, "load", "random", "100"]);
    }
    let (ended, report) = lab.check(&["--rate", "40 Mbit/s", "--loss", "0.1%"]);
    assert_verdict(&ended, &report, Verdict::Fail, 1);
    let counts: [(Count, &str); 2] =
        [(|row| row.sent_packets, "offered"), (|row| row.lost_packets, "lost")];
    assert_counted(&lab, &report, &counts);
}

/// Both versions of IP, both ways, by the count of the emulator.
#[test]
fn what_an_emulated_line_does_is_counted_exactly() {
    let words = "mtu=1500 delay=2ms load.loss=ge:0.5%,20% load.duplicate=nth:50,100us";
    let _machine = share(20);
    for agent in [AGENT, "[fd77:2::2]:4872"] {
        let Some(lab) = Lab::emulated(words, words) else { return };
        let (_, report) = lab.check_at(agent, "2s", &["--rate", "10 Mbit/s"]);
        let carried: [(Count, &str); 2] =
            [(|row| row.sent_packets, "offered"), (|row| row.received_packets, "delivered")];
        let harmed: [(Count, &str); 2] =
            [(|row| row.lost_packets, "lost"), (|row| row.duplicate_packets, "duplicated")];
        assert_counted(&lab, &report, &[carried, harmed].concat());
    }
}

/// A few of the lines of `scripts/truth`, whose exit code says whether what was reported of them is
/// true.
#[test]
fn what_is_reported_of_known_lines_is_true() {
    let _machine = alone();
    let programs = Path::new(env!("CARGO_BIN_EXE_linkqual")).parent().unwrap();
    let mut script = Command::new("scripts/truth");
    let ended = run_program(script.arg("--quick").env("LINKQUAL_BUILD", programs));
    assert!(!ended.err.contains(UNBUILT), "{}", ended.err);
    // 127 is a shell's word for a program that is not there: Python.
    if let Some(2 | 127) = ended.code {
        linkqual::io::terminal::say(&format!("SKIPPED: no lab on this machine: {}", ended.err));
        return;
    }
    ended.expect_code(0);
}

/// What is wrong with the words of a line is reported with the words that there are.
#[test]
fn a_line_that_is_misspelled_is_refused() {
    let lab = Lab { prefix: format!("{}-misspelled", std::process::id()) };
    let output = lab.try_command("up", &["--emulated", "--forward", "delay=10"]).unwrap_err();
    let is_skipped = !output.contains("--forward");
    assert!(is_skipped || output.contains("\"delay=10\": not a length of time"), "{output}");
}

#[test]
fn a_limiter_on_the_drivers_own_device_is_not_blamed_on_the_line() {
    let _machine = share(60);
    let Some(lab) = Lab::new() else { return };
    lab.command("rate", &["driver", "htb", "50mbit"]);
    let (ended, report) = lab.check(&["--rate", "60 Mbit/s", "--direction", "forward"]);
    assert_verdict(&ended, &report, Verdict::Invalid, 3);
    assert!(!report.caveats.is_empty());
}

/// A frame of 1514 octets, its check sequence left out as the token bucket does, carries 1448 of
/// TCP payload: of 100 Mbit/s, 95.64 are left. What that is worth is judged in `judge`.
#[test]
fn tcp_carries_what_the_layers_leave_of_a_shaped_line() {
    let _machine = alone();
    let Some(lab) = Lab::new() else { return };
    lab.command("rate", &["forward", "tbf", "100mbit"]);
    lab.command("rate", &["reverse", "tbf", "40mbit"]);
    let test = |way| format!("[[test]]\nkind = 'tcp'\ndirection = '{way}'\nduration = '6 s'\n");
    let (ended, report) = lab.run_plan(&(test("forward") + &test("reverse")));
    assert_verdict(&ended, &report, Verdict::Inconclusive, 3);
    let rows = rows(&report).into_iter();
    let rows: Vec<_> = rows.filter(|row| row.kind == TrialKind::Tcp && row.tested).collect();
    assert_eq!(rows.len(), 2);
    for (row, mbit_s) in rows.into_iter().zip([100.0, 40.0]) {
        let text = linkqual::report::text(&report);
        let (tcp, received) = (row.tcp.unwrap(), row.tcp_received.unwrap());
        let expected = mbit_s * 1e6 * 1_448.0 / 1_514.0;
        // A host that others stall loses time in some seconds, and gains none in any.
        let goodput = f64::from(u32::try_from(row.goodput_max_bit_s.unwrap()).unwrap());
        let off = goodput / expected - 1.0;
        assert!(off.abs() < 0.005, "{goodput} is {off} off {expected}: {text}");
        assert!(2 < row.goodput_seconds.unwrap(), "{text}");
        assert_eq!(tcp.octets, received.octets, "each octet came: {text}");
        assert_eq!(received.octets, received.per_second.total(), "{text}");
        assert_eq!((received.ended, tcp.broken, tcp.refused), (true, None, None), "{text}");
        assert_eq!(tcp.congestion_control.as_deref(), Some("cubic"));
        assert!(2 < tcp.samples.len(), "before, during and after");
    }
}

/// What is committed differs by direction; a load above it is overshoot, which is not judged.
#[test]
fn a_plan_for_a_line_that_differs_each_way_is_judged_each_way() {
    let _machine = alone();
    let Some(lab) = Lab::new() else { return };
    lab.command("rate", &["forward", "htb", "101mbit"]);
    lab.command("rate", &["reverse", "htb", "51mbit"]);
    let plan = "[link]
        forward.rate = '100 Mbit/s'
        reverse.rate = '50 Mbit/s'
        [require]
        loss = '<= 0.1%'
        [require.forward]
        throughput = '>= 80 Mbit/s'
        [require.reverse]
        throughput = '>= 40 Mbit/s'
        [[test]]
        kind = 'udp'
        rate = '80%'
        duration = '3 s'
        [[test]]
        kind = 'udp'
        rate = '60 Mbit/s'
        direction = 'reverse'
        duration = '3 s'";
    let (ended, report) = lab.run_plan(plan);
    assert_verdict(&ended, &report, Verdict::Pass, 0);
    let lost = |trial: usize| {
        let mut rows = loaded(&report).into_iter().filter(move |row| row.trial == trial);
        rows.next_back().unwrap().lost_packets.unwrap()
    };
    assert!(0 < lost(2), "60 Mbit/s are more than the line carries, and are shown");
    let verdicts: Vec<_> = loaded(&report).iter().filter_map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass; 2], "overshoot has none");
}

/// The pre-check, with a firewall in the way: what is seen, and which side that is.
#[track_caller]
fn blocked(rules: &str, parts: &[&str]) {
    let Some(lab) = Lab::new() else { return };
    lab.forbid(rules);
    let output = lab.precheck(4);
    for part in parts {
        assert!(output.contains(part), "{part:?} is not in:\n{output}");
    }
}

#[test]
fn the_pre_check_passes_an_open_way() {
    let Some(lab) = Lab::new() else { return };
    let output = lab.precheck(0);
    assert!(output.contains("IP packets of up to 1500 octets"), "{output}");
}

/// The run's own marks are tried: a class that the path drops is named, and which way.
#[test]
fn the_pre_check_names_a_class_that_the_path_drops() {
    let test = "[[test]]\nkind = 'idle'\ndscp = 'CS6'\n";
    for (rule, way) in [
        ("udp dport 4872 ip dscp cs6 drop", "drops this class on the path to the agent"),
        ("udp sport 4872 ip dscp cs6 drop", "drops this class on the path back"),
    ] {
        let Some(lab) = Lab::new() else { return };
        lab.forbid(rule);
        let output = lab.precheck_of(test, 4);
        for part in ["passes   UDP 4872  ", "BLOCKED  UDP 4872 CS6", way] {
            assert!(output.contains(part), "{part:?} is not in:\n{output}");
        }
    }
}

#[test]
fn the_pre_check_tells_tcp_that_is_dropped_from_tcp_that_is_rejected() {
    blocked("tcp dport 4872 drop", &["BLOCKED  TCP 4872", "no answer within 5 s"]);
    blocked("tcp dport 4872 reject with tcp reset", &["BLOCKED  TCP 4872", "refused: "]);
    let prohibited = "tcp dport 4872 reject with icmp type admin-prohibited";
    blocked(prohibited, &["BLOCKED  TCP 4872", "unreachable: "]);
}

#[test]
fn the_pre_check_tells_udp_that_is_dropped_from_udp_that_is_rejected() {
    let there = "udp dport 4872 drop";
    blocked(there, &["passes   hello", "BLOCKED  UDP 4872", "no answer within 5 s"]);
    blocked("udp sport 4872 drop", &["BLOCKED  UDP 4872", "no answer within 5 s"]);
    let rejected = "udp dport 4872 reject";
    blocked(rejected, &["BLOCKED  UDP 4872", "rejected: an ICMP error comes back"]);
}

#[test]
fn the_pre_check_tells_a_flow_that_is_cut_once_it_is_open() {
    // A signal is 64 octets, of which the fourth says what it is: 4 confirms a challenge.
    let confirm = "udp dport 4872 udp length 72 @th,88,8 4 drop";
    blocked(confirm, &["BLOCKED  UDP 4872", "one datagram passes each way, but none after it"]);
    let probes = "udp dport 4872 udp length > 72 drop";
    blocked(probes, &["BLOCKED  UDP 4872", "no probe after it"]);
}

/// A hop that carries 1400 octets between two that carry 1500, with its ICMP filtered: nothing of
/// ours is larger than it, and the report names what stalls others.
#[test]
fn a_black_hole_above_1400_octets_is_named_and_stalls_nothing_of_ours() {
    let _machine = share(20);
    let Some(lab) = Lab::new() else { return };
    lab.forbid("meta length > 1400 drop");
    let (ended, report) = lab.run_plan(&both_protocols(""));
    let text = linkqual::report::text(&report);
    assert!(report.complete, "{text}{}", ended.err);
    let path = report.links[0].sites[0].path_mtu.expect("it was found out");
    assert_eq!((path.octets, path.kernel_octets), (1_400, Some(1_500)), "{text}");
    let hole = "packets above 1400 octets are dropped without ICMP (black hole): application TCP \
                will stall on this path unless its MSS is clamped to 1360";
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words.join(" ").contains(hole), "{text}");
    let rows: Vec<TrialRow> = rows(&report).into_iter().filter(|row| row.tested).collect();
    for row in rows.iter().filter(|row| row.kind == TrialKind::Udp) {
        assert_eq!((row.payload_bytes, row.lost_packets), (Some(1_372), Some(0)), "{text}");
    }
    let tcp: Vec<&TrialRow> = rows.iter().filter(|row| row.kind == TrialKind::Tcp).collect();
    assert_eq!(tcp.len(), 2, "{text}");
    for row in tcp {
        let received = row.tcp_received.as_ref().expect("an account");
        assert!(received.ended && 500_000 < received.octets, "{text}");
    }
}

/// A line that bleaches marks one way: what was sent with one comes with none.
#[test]
fn a_line_that_changes_marks_one_way_shows_which() {
    let _machine = share(10);
    let Some(lab) = Lab::new() else { return };
    lab.forbid("iifname to-driver ip dscp 46 ip dscp set cs0");
    let (_, report) = lab.check(&["--rate", "5 Mbit/s", "--dscp", "EF"]);
    let text = linkqual::report::text(&report);
    for row in rows(&report) {
        let (changed, other) = match row.direction {
            Direction::Forward => (row.probe_received_packets, Some(0)),
            Direction::Reverse => (Some(0), None),
        };
        let output = (row.dscp, row.probe_remarked_packets, row.dscp_received);
        assert_eq!(output, (46, changed, other), "{text}");
        assert!(0 < row.probe_received_packets.unwrap(), "{text}");
    }
    assert!(text.contains("probes sent as EF (46) arrived as CS0 (0)"), "{text}");
}

/// Load of both kinds bears the mark, not the probes alone: the router counts what has it.
#[test]
fn load_is_marked_both_ways() {
    let _machine = share(10);
    let Some(lab) = Lab::new() else { return };
    lab.forbid(
        "ip dscp 34 iifname to-driver meta l4proto udp udp length > 1000 counter comment \"a\"
         ip dscp 34 iifname to-agent meta l4proto udp udp length > 1000 counter comment \"b\"
         ip dscp 34 iifname to-driver meta l4proto tcp ip length > 1000 counter comment \"c\"
         ip dscp 34 iifname to-agent meta l4proto tcp ip length > 1000 counter comment \"d\"",
    );
    let (_, report) = lab.run_plan(&both_protocols("dscp = 'AF41'"));
    let router = lab.name("router");
    let list = ["netns", "exec", &router, "nft", "list", "table", "ip", "forbid"];
    let output = Command::new("ip").args(list).output().unwrap();
    let rules = String::from_utf8(output.stdout).unwrap();
    for rule in rules.lines().filter(|line| line.contains("counter")) {
        assert!(!rule.contains("packets 0 "), "{rule}\n{}", linkqual::report::text(&report));
    }
    assert_eq!(rules.matches("counter packets").count(), 4, "{rules}");
}

/// Both versions of IP over packets of both usual lengths: the path's MTU is found, and UDP and TCP
/// fill it. UDP's header is of 8 octets; TCP's of 20, and its timestamps of 12.
#[test]
fn both_versions_of_ip_fill_packets_of_1500_and_of_9000_octets() {
    let _machine = share(10);
    for mtu in [1_500, 9_000] {
        let Some(lab) = Lab::new() else { return };
        lab.widen(&mtu.to_string());
        for (agent, header) in [(AGENT, 20), ("[fd77:2::2]:4872", 40)] {
            let (_, report) = lab.run_plan_at(agent, "", &both_protocols(""));
            let text = linkqual::report::text(&report);
            assert_eq!(
                report.links[0].sites[0].path_mtu.map(|path| path.octets),
                Some(mtu),
                "{agent}: {text}"
            );
            for row in rows(&report).into_iter().filter(|row| row.tested) {
                match row.kind {
                    TrialKind::Idle => {}
                    TrialKind::Udp => {
                        assert_eq!(row.payload_bytes, Some(mtu - header - 8), "{agent}: {text}");
                        assert_eq!(row.lost_packets, Some(0), "{agent}: {text}");
                    }
                    TrialKind::Tcp => {
                        let info = row.tcp.unwrap().last;
                        assert_eq!(info.mss_octets, mtu - header - 32, "{agent}: {text}");
                    }
                }
            }
        }
    }
}

/// A size that only longer packets carry is sent where they cross, and refused where they do not.
#[test]
fn a_size_of_8900_crosses_where_packets_of_9000_octets_do() {
    let _machine = share(40);
    let Some(lab) = Lab::new() else { return };
    lab.widen("9000");
    let (_, report) = lab.check(&["--rate", "20 Mbit/s", "--size", "8900"]);
    for row in loaded(&report) {
        let (size, lost) = (row.payload_bytes, row.lost_packets);
        assert_eq!((size, lost), (Some(8_900), Some(0)), "{}", linkqual::report::text(&report));
    }
    // The way there, without ICMP that reports it.
    ip(&["-n", &lab.name("router"), "link", "set", "to-agent", "mtu", "1500"]);
    lab.forbid("ip protocol icmp drop");
    let agent = lab.agent();
    let mut command = agent.check_from(&lab.name("driver"));
    let ended = run_program(command.args(["--rate", "20 Mbit/s", "--size", "8900"]));
    ended.expect_error(2, &["8900", "at most 1472"]);
}

/// `plan check` sends nothing, and knows the device of an agent whose address it is given.
#[test]
fn a_size_above_the_devices_mtu_is_refused_before_anything_is_sent() {
    let _machine = share(2);
    let Some(lab) = Lab::new() else { return };
    let agent = lab.agent();
    let in_driver = |arguments: &[&str]| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &lab.name("driver"), env!("CARGO_BIN_EXE_linkqual")]);
        command.args(arguments);
        run_program(&mut command)
    };
    let path = agent.keys.path("plan.toml");
    let plan_check = |size: u32| {
        let text = format!(
            "[driver]\nkey = 'driver'\n[sites.far]\nagent = '{AGENT}'\nkey = 'agent.pub'\n\
             [[test]]\nkind = 'udp'\nrate = '5 Mbit/s'\nsize = {size}\n"
        );
        std::fs::write(&path, text).unwrap();
        in_driver(&["plan", "check", path.to_str().unwrap()])
    };
    plan_check(1_472).expect_code(0);
    let device = "this host's device eth0 has an MTU of 1500, so at most 1472 octets";
    plan_check(1_473).expect_error(2, &["test[0].size = 1473: ", device, "plan.toml:9:8"]);
    let mut command = agent.check_from(&lab.name("driver"));
    let ended = run_program(command.args(["--rate", "5 Mbit/s", "--size", "1473"]));
    ended.expect_error(2, &["a size of 1473 octets: ", device]);
    lab.widen("1501");
    plan_check(1_473).expect_code(0);
}

/// The driver has two addresses and two devices: what it is asked to use is what the agent sees.
#[test]
fn a_run_leaves_by_the_address_and_the_device_that_it_is_given() {
    let _machine = share(10);
    let Some(lab) = Lab::new() else { return };
    let driver = lab.name("driver");
    ip(&["-n", &driver, "addr", "add", "10.77.1.9/24", "dev", "eth0"]);
    lab.forbid(
        "iifname to-driver ip saddr 10.77.1.2 counter drop
         iifname to-driver ip saddr 10.77.1.9 meta l4proto udp counter accept
         iifname to-driver ip saddr 10.77.1.9 meta l4proto tcp counter accept",
    );
    let way = ["--source", "10.77.1.9", "--device", "eth0"];
    let near = "source = '10.77.1.9'\ndevice = 'eth0'";
    let (_, report) = lab.run_plan_at(AGENT, near, &both_protocols(""));
    assert!(report.complete, "{}", linkqual::report::text(&report));
    assert_eq!(report.links[0].sites[0].ends.driver_address.as_deref(), Some("10.77.1.9"));
    let agent = Agent::start_in(Some(&lab.name("agent")), AGENT, &["--device", "eth0"]);
    let run = |arguments: &[&str]| {
        run_program(agent.check_from(&driver).args(["--rtt-p99", "1 s"]).args(arguments))
    };
    run(&["--source", "10.77.1.7"]).expect_error(4, &["10.77.1.7", "not an address of this host"]);
    run(&["--device", "eth7"]).expect_error(4, &["'eth7'", "no such device"]);
    run(&["--source", "fd77:1::2"]).expect_error(4, &["another version of IP"]);
    run(&[&way[..], &["--duration", "1s"]].concat()).expect_code(0);
}

/// A queue that is full drops a small packet as readily as a large one: all heartbeats of the
/// driver are lost once the load has begun. Probes prove what they would have.
#[test]
fn a_healthy_load_goes_on_though_no_heartbeat_crosses_the_other_direction() {
    let _machine = share(10);
    let Some(lab) = Lab::new() else { return };
    let report = std::thread::scope(|scope| {
        let lose = scope.spawn(|| {
            let loads = || lab.truth()["reverse"]["load"]["offered"].as_u64();
            let begun = || loads().filter(|packets| 300 < *packets);
            await_within(Duration::from_secs(60), "the load has begun", begun);
            // A signal is of 64 octets.
            lab.forbid("iifname to-driver meta l4proto udp udp length 72 counter drop");
        });
        let (_, report) = lab.check_at(AGENT, "5s", &["--rate", "5 Mbit/s", "--no-lengthen"]);
        lose.join().unwrap();
        report
    });
    let text = linkqual::report::text(&report);
    let rules = lab.command("exec", &["router", "nft", "list", "table", "ip", "forbid"]);
    let lost = rules.split_once("counter packets ").map(|(_, rest)| rest.split(' ').next());
    let lost: u64 = lost.flatten().unwrap().parse().unwrap();
    assert!(10 < lost, "{rules}");
    let loaded = loaded(&report);
    let paused: Vec<_> = loaded.iter().map(|row| (row.paused_packets, row.lost_packets)).collect();
    assert_eq!(paused, [(Some(0), Some(0)); 2], "{text}");
}
